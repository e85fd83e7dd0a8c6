//! The folder of snapshots: its files found, read, and changed whole or not at all.
//!
//! Part of layer 3. A file is written beside its place under a temporary name, forced to the disk and renamed; then the folder is
//! forced too. So a crash, a full disk or a second program leaves the old file or the new one and never half of either.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::update::Written;
use super::{FormatError, Snapshot, file, paths};
use crate::process::is_alive;

/// The name of the folder beside the configuration.
pub const NAME: &str = "snapshots";

/// What is appended to the name of a snapshot that waits.
const WAITING: &str = ".new";

/// A folder of snapshots; it need not exist.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// A file in the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The approved file's path below the folder, `/` between its parts, without `.snap`: `<model>/<endpoint>/<probe>`.
    pub name: String,
    /// Which of the two it is.
    pub state: State,
}

/// Which of the two files of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The approved one.
    Approved,
    /// The one that waits for review.
    Waiting,
}

/// Why a file of the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no snapshot.
    #[error("{} is no snapshot: {source}; restore it from version control, or delete it and take a new one", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// It cannot be written, and what was there before is still there.
    #[error("cannot write {}; what was there is unchanged", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a probe's two files held, so that a decision can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    name: String,
    approved: Option<Vec<u8>>,
    waiting: Option<Vec<u8>>,
}

impl Folder {
    /// The folder of snapshots that lies in this one.
    pub fn within(folder: &Path) -> Self {
        Self { root: folder.join(NAME) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The name of a probe's files, see [`Entry::name`].
    pub fn name_of(model: &str, endpoint: &str, probe: &str) -> String {
        let path = paths::of_probe(model, endpoint, probe).with_extension("");
        below(&path)
    }

    /// The name of an endpoint's part of the folder.
    pub fn name_of_endpoint(model: &str, endpoint: &str) -> String {
        below(&paths::of_endpoint(model, endpoint))
    }

    /// The name of a model's part of the folder.
    pub fn name_of_model(model: &str) -> String {
        below(&paths::of_model(model))
    }

    /// The path of a file.
    pub fn path_of(&self, name: &str, state: State) -> PathBuf {
        let suffix = if state == State::Waiting { WAITING } else { "" };
        self.root.join(format!("{name}.snap{suffix}"))
    }

    /// All snapshots, in order of name, the approved one of a name first. Files of other kinds are left alone.
    pub fn entries(&self) -> Result<Vec<Entry>, SnapshotError> {
        let mut found: Vec<Entry> = self.files()?.iter().filter_map(|path| self.entry(path)).collect();
        found.sort();
        Ok(found)
    }

    /// The paths of all files in the folder and the folders below it.
    fn files(&self) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let listed = match fs::read_dir(&folder) {
                Ok(listed) => listed,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(SnapshotError::Read { path: folder, source }),
            };
            for entry in listed {
                let entry = entry.map_err(|source| SnapshotError::Read { path: folder.clone(), source })?;
                let path = entry.path();
                // A link could lead round in a circle.
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    /// Takes away what a program that was killed has left: files that were never moved to their places, and snapshots that still wait
    /// although the same is approved. Returns how many.
    pub fn tidy(&self) -> Result<usize, SnapshotError> {
        let mut gone = 0;
        for path in self.files()? {
            if is_left_behind(&path) {
                remove(&path)?;
                gone += 1;
            }
        }
        for entry in self.entries()?.into_iter().filter(|entry| entry.state == State::Waiting) {
            let read = |state| self.read(&entry.name, state).ok().flatten();
            let (Some(waiting), Some(approved)) = (read(State::Waiting), read(State::Approved)) else { continue };
            // As approving it would make it.
            let mut head = waiting.head;
            (head.approved, head.change) = (approved.head.approved, None);
            if head == approved.head && waiting.answers == approved.answers {
                remove(&self.path_of(&entry.name, State::Waiting))?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    fn entry(&self, path: &Path) -> Option<Entry> {
        let name = below(path.strip_prefix(&self.root).ok()?);
        let (name, state) = match name.strip_suffix(WAITING) {
            Some(name) => (name, State::Waiting),
            None => (name.as_str(), State::Approved),
        };
        Some(Entry { name: name.strip_suffix(".snap")?.to_owned(), state })
    }

    /// The names of what waits of this endpoint, in order.
    pub fn waiting_of(&self, model: &str, endpoint: &str) -> Result<Vec<String>, SnapshotError> {
        let below = Self::name_of_endpoint(model, endpoint) + "/";
        let waits = |entry: &Entry| entry.state == State::Waiting && entry.name.starts_with(&below);
        Ok(self.entries()?.into_iter().filter(waits).map(|entry| entry.name).collect())
    }

    /// The endpoint's part of a name: two snapshots are of one endpoint if it is the same.
    pub fn endpoint_of(name: &str) -> &str {
        name.match_indices('/').nth(1).map_or(name, |(at, _)| &name[..at])
    }

    /// Reads a snapshot; nothing when there is no such file.
    pub fn read(&self, name: &str, state: State) -> Result<Option<Snapshot>, SnapshotError> {
        let path = self.path_of(name, state);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.split(|b| *b == b'\n').count();
            FormatError { line, what: "it is not UTF-8".into() }
        });
        match text.and_then(|text| file::parse(&text)) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(source) => Err(SnapshotError::Format { path, source }),
        }
    }

    /// Writes a snapshot where it belongs. One that is approved takes the place of the one that waits.
    pub fn write(&self, snapshot: Snapshot, to: Written, now: Timestamp) -> Result<PathBuf, SnapshotError> {
        let head = &snapshot.head;
        let name = Self::name_of(&head.model, &head.endpoint, &head.probe);
        match to {
            Written::Waiting => {
                let path = self.path_of(&name, State::Waiting);
                replace(&path, file::render(&snapshot).as_bytes())?;
                Ok(path)
            }
            Written::Approved => self.approve(&name, snapshot, now),
        }
    }

    /// Makes the snapshot that waits the approved one; nothing when it is no longer the one that was `seen`.
    pub fn accept(&self, name: &str, seen: &Snapshot, now: Timestamp) -> Result<Option<Before>, SnapshotError> {
        let Some(snapshot) = self.read(name, State::Waiting)?.filter(|there| there == seen) else { return Ok(None) };
        let before = self.before(name)?;
        self.approve(name, snapshot, now)?;
        Ok(Some(before))
    }

    /// Deletes the snapshot that waits; nothing when none waits.
    pub fn reject(&self, name: &str) -> Result<Option<Before>, SnapshotError> {
        let before = self.before(name)?;
        if before.waiting.is_none() {
            return Ok(None);
        }
        remove(&self.path_of(name, State::Waiting))?;
        Ok(Some(before))
    }

    /// Deletes the approved snapshot and the one that waits.
    pub fn delete(&self, name: &str) -> Result<(), SnapshotError> {
        remove(&self.path_of(name, State::Waiting))?;
        remove(&self.path_of(name, State::Approved))
    }

    /// Puts a probe's two files back as they were.
    pub fn restore(&self, before: &Before) -> Result<(), SnapshotError> {
        for (state, bytes) in [(State::Waiting, &before.waiting), (State::Approved, &before.approved)] {
            let path = self.path_of(&before.name, state);
            match bytes {
                Some(bytes) => replace(&path, bytes)?,
                None => remove(&path)?,
            }
        }
        Ok(())
    }

    fn approve(&self, name: &str, mut snapshot: Snapshot, now: Timestamp) -> Result<PathBuf, SnapshotError> {
        snapshot.head.approved = Some(now);
        snapshot.head.change = None;
        let path = self.path_of(name, State::Approved);
        replace(&path, file::render(&snapshot).as_bytes())?;
        // Should this fail, the same answers are approved and wait: the next run tidies up.
        remove(&self.path_of(name, State::Waiting))?;
        Ok(path)
    }

    fn before(&self, name: &str) -> Result<Before, SnapshotError> {
        Ok(Before {
            name: name.to_owned(),
            approved: read(&self.path_of(name, State::Approved))?,
            waiting: read(&self.path_of(name, State::Waiting))?,
        })
    }
}

/// A path as its names with `/` between them, on every system.
fn below(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Marks a file that is not yet in its place; the number of the process that writes it follows.
const TEMPORARY: &str = "tmp-";

/// Whether a file was to be moved to its place by a process that is no more.
fn is_left_behind(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((named, process)) = name.rsplit_once(&format!(".{TEMPORARY}")) else { return false };
    let approved = named.strip_suffix(WAITING).unwrap_or(named);
    let is_snapshot = Path::new(approved).extension().is_some_and(|ending| ending == "snap");
    is_snapshot && process.parse().is_ok_and(|process: i32| !is_alive(process))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SnapshotError> {
    let contents = fs::metadata(path).and_then(|metadata| {
        // A pipe could be waited for without end.
        let special = || io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file");
        if metadata.is_file() { fs::read(path) } else { Err(special()) }
    });
    match contents {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SnapshotError::Read { path: path.to_owned(), source }),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_added_extension(format!("{TEMPORARY}{}", std::process::id()));
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync(folder)
    };
    write().map_err(|source| {
        // Whether this succeeds changes nothing for what the user is told.
        let _ = fs::remove_file(&temporary);
        SnapshotError::Write { path: path.to_owned(), source }
    })
}

fn remove(path: &Path) -> Result<(), SnapshotError> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other,
    };
    let done = removed.and_then(|()| sync(path.parent().unwrap_or(Path::new("."))));
    done.map_err(|source| SnapshotError::Write { path: path.to_owned(), source })
}

/// Forces a folder's list of names to the disk, where the system can.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::snapshot;
    use super::*;
    use tempfile::TempDir;

    const NAMED: &str = "llama/together/core/haiku";

    fn now() -> Timestamp {
        "2026-11-25T12:00:00Z".parse().expect("a time")
    }

    fn folder() -> (TempDir, Folder) {
        let temporary = TempDir::new().expect("a folder");
        let folder = Folder::within(temporary.path());
        (temporary, folder)
    }

    fn texts(folder: &Folder, state: State) -> Option<Vec<String>> {
        let found = folder.read(NAMED, state).expect("readable")?;
        Some(found.answers.into_iter().map(|a| a.text).collect())
    }

    fn named(state: State) -> Entry {
        Entry { name: NAMED.into(), state }
    }

    #[test]
    fn what_waits_is_accepted_and_taken_back() {
        let (_kept, folder) = folder();
        assert_eq!(folder.entries().expect("none"), []);
        folder.write(snapshot(&["a"]), Written::Approved, now()).expect("written");
        folder.write(snapshot(&["b"]), Written::Waiting, now()).expect("written");
        assert_eq!(folder.entries().expect("two"), [named(State::Approved), named(State::Waiting)]);
        let other = folder.accept(NAMED, &snapshot(&["c"]), now()).expect("nothing to do");
        assert_eq!(other, None, "somebody else's answers have come in its place");
        let before = folder.accept(NAMED, &snapshot(&["b"]), now()).expect("accepted").expect("one waited");
        assert_eq!((texts(&folder, State::Approved), texts(&folder, State::Waiting)), (Some(vec!["b".into()]), None));
        folder.restore(&before).expect("restored");
        assert_eq!(texts(&folder, State::Approved), Some(vec!["a".into()]));
        assert_eq!(texts(&folder, State::Waiting), Some(vec!["b".into()]));
    }

    #[test]
    fn what_waits_is_rejected_and_taken_back() {
        let (_kept, folder) = folder();
        folder.write(snapshot(&["b"]), Written::Waiting, now()).expect("written");
        let before = folder.reject(NAMED).expect("rejected").expect("one waited");
        assert_eq!(folder.entries().expect("none"), []);
        assert_eq!(folder.reject(NAMED).expect("nothing to do"), None);
        assert_eq!(folder.accept(NAMED, &snapshot(&["b"]), now()).expect("nothing to do"), None);
        folder.restore(&before).expect("restored");
        assert_eq!(folder.entries().expect("one"), [named(State::Waiting)]);
    }

    #[test]
    fn an_approved_snapshot_says_when_and_no_longer_why_it_waited() {
        let (_kept, folder) = folder();
        let mut waiting = snapshot(&["b"]);
        waiting.head.change = Some(super::super::Change {
            kind: super::super::ChangeKind::Unseen,
            reason: "never seen".into(),
            verdict: None,
            because: None,
            effect: None,
            tolerance: None,
            p_value: None,
            findings: Vec::new(),
        });
        folder.write(waiting.clone(), Written::Waiting, now()).expect("written");
        folder.accept(NAMED, &waiting, now()).expect("accepted");
        let head = folder.read(NAMED, State::Approved).expect("readable").expect("there").head;
        assert_eq!((head.approved, head.change), (Some(now()), None));
    }

    #[test]
    fn what_waits_of_an_endpoint_is_found_by_its_name_and_not_by_one_that_begins_likewise() {
        let (_kept, folder) = folder();
        folder.write(snapshot(&["b"]), Written::Waiting, now()).expect("written");
        assert_eq!(folder.waiting_of("llama", "together").expect("one"), [NAMED]);
        assert!(folder.waiting_of("llama", "to").expect("none").is_empty());
        assert_eq!(Folder::endpoint_of(NAMED), "llama/together");
    }

    #[test]
    fn a_file_that_is_no_snapshot_is_named_with_its_line() {
        let (_kept, folder) = folder();
        let path = folder.write(snapshot(&["b"]), Written::Approved, now()).expect("written");
        fs::write(&path, b"---\nschema: \xff").expect("written");
        let error = folder.read(NAMED, State::Approved).unwrap_err().to_string();
        assert!(error.contains("haiku.snap is no snapshot: line 2: it is not UTF-8"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let (_kept, folder) = folder();
        let path = folder.write(snapshot(&["a"]), Written::Approved, now()).expect("written");
        // A folder in the place of the temporary file fails for every user, root included.
        let temporary = path.with_added_extension(format!("tmp-{}", std::process::id()));
        fs::create_dir(&temporary).expect("a folder");
        let error = folder.write(snapshot(&["b"]), Written::Approved, now()).unwrap_err();
        assert!(error.to_string().contains("what was there is unchanged"), "{error}");
        assert_eq!(texts(&folder, State::Approved), Some(vec!["a".into()]));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_killed_program_left_is_taken_away_and_what_a_living_one_writes_is_not() {
        let (_kept, folder) = folder();
        let path = folder.write(snapshot(&["b"]), Written::Waiting, now()).expect("written");
        let waiting = fs::read(&path).expect("there");
        let mut ended = std::process::Command::new("true").spawn().expect("a process");
        ended.wait().expect("it ends");
        let left = path.with_added_extension(format!("tmp-{}", ended.id()));
        // The process that waits for this one, the first of all, lives.
        let written = path.with_added_extension("tmp-1");
        fs::write(&left, "---").expect("written");
        fs::write(&written, "---").expect("written");
        folder.accept(NAMED, &snapshot(&["b"]), now()).expect("accepted").expect("one waited");
        // Killed between the two files.
        fs::write(&path, waiting).expect("written");
        assert_eq!(folder.tidy().expect("tidied"), 2);
        assert_eq!((left.exists(), written.exists(), path.exists()), (false, true, false));
        folder.write(snapshot(&["c"]), Written::Waiting, now()).expect("written");
        assert_eq!(folder.tidy().expect("nothing to do"), 0, "other answers wait");
    }

    #[test]
    fn files_of_other_kinds_are_left_alone() {
        let (_kept, folder) = folder();
        folder.write(snapshot(&["a"]), Written::Approved, now()).expect("written");
        fs::write(folder.path().join("README.md"), "ours").expect("written");
        assert_eq!(folder.entries().expect("one"), [named(State::Approved)]);
    }
}
