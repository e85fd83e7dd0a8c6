//! One run at a time in each data directory.
//!
//! Part of layer 3's store. The lock is the operating system's advisory lock on the file `lock`, so that it ends with
//! its process however that ends; a file left behind means nothing. The file also says who holds the lock, for a second
//! process to tell.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::directory::{self, NoFolder};

/// The lock of a data directory, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process id.
    pub pid: u32,
    /// The machine's name, where it is known: directories may be shared over a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When the lock was taken.
    pub since: Timestamp,
    /// What the process does, such as `check llama-4-maverick`.
    pub command: String,
}

/// What a lock is for. One of each kind can be held in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A run, or another change of the history.
    Run,
    /// A watch, which takes the other one for each of its runs.
    Watch,
}

impl Scope {
    fn file(self) -> &'static str {
        match self {
            Self::Run => "lock",
            Self::Watch => "watch.lock",
        }
    }
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{}: another run is under way{}; wait for it to end or stop it", path.display(), described(by.as_ref()))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it; nothing when the file does not tell.
        by: Option<Holder>,
    },
    /// Another process watches.
    #[error("{}: another watch is at work{}; let it watch these models too, stop it, or name another data directory",
        path.display(), described(by.as_ref()))]
    Watched {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it; nothing when the file does not tell.
        by: Option<Holder>,
    },
    /// Something else is in the file's place, which taking the lock would overwrite.
    #[error("{}: the lock is {what}, and what is there would be overwritten: move it away", path.display())]
    NoFile {
        /// The lock file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// What is to be the data directory is something else.
    #[error(transparent)]
    NoFolder(#[from] NoFolder),
    /// The file could not be made, locked or written.
    #[error("{}: cannot take the lock: {source}; see that the directory can be written and has room, or choose another", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn described(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| format!(" ({holder})"))
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`, process {}", self.command, self.pid)?;
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        write!(f, ", since {:.0}", self.since)
    }
}

impl Holder {
    /// This process, which begins `command` at `now`.
    pub fn this_process(command: impl Into<String>, now: Timestamp) -> Self {
        Self { pid: std::process::id(), host: host_name(), since: now, command: command.into() }
    }
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

impl Lock {
    /// Takes the lock of `dir` for a run, making the directory if need be. Does not wait.
    pub fn acquire(dir: &Path, holder: &Holder) -> Result<Self, LockError> {
        Self::acquire_for(Scope::Run, dir, holder)
    }

    /// Takes the lock of `dir` for this, likewise.
    pub fn acquire_for(scope: Scope, dir: &Path, holder: &Holder) -> Result<Self, LockError> {
        let path = dir.join(scope.file());
        let failed = |source| LockError::Io { path: path.clone(), source };
        if let Some(other) = NoFolder::found_at(dir) {
            return Err(other.into());
        }
        directory::create(dir).map_err(failed)?;
        if let Some(what) = instead_of_a_file(&path) {
            return Err(LockError::NoFile { path, what });
        }
        let mut file = directory::open_private(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let by = read_holder(&mut file);
                return Err(match scope {
                    Scope::Run => LockError::Held { path, by },
                    Scope::Watch => LockError::Watched { path, by },
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_holder(&mut file, holder).map_err(failed)?;
        Ok(Self { file })
    }
}

/// What is in a file's place, where it is neither a file nor nothing.
fn instead_of_a_file(path: &Path) -> Option<&'static str> {
    let kind = std::fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_file() {
        None
    } else {
        Some("no ordinary file")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The next holder's file must not name this one for a moment; the lock itself ends with the handle.
        let _ = self.file.set_len(0);
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(64 << 10).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    serde_json::to_writer(&mut *file, holder)?;
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(command: &str) -> Holder {
        Holder { pid: 7, host: Some("h".into()), since: Timestamp::UNIX_EPOCH, command: command.into() }
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Lock::acquire(dir.path(), &holder("check m")).unwrap();
        let refused = Lock::acquire(dir.path(), &holder("check n")).unwrap_err();
        let LockError::Held { by, .. } = &refused else { panic!("{refused}") };
        assert_eq!(by.as_ref(), Some(&holder("check m")));
        let message = refused.to_string();
        assert!(message.contains("(`check m`, process 7 on h, since 1970-01-01T00:00:00Z)"), "{message}");
    }

    #[test]
    fn a_lock_that_was_let_go_can_be_taken_and_no_longer_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        drop(Lock::acquire(dir.path(), &holder("a")).unwrap());
        assert_eq!(std::fs::read_to_string(dir.path().join("lock")).unwrap(), "");
        Lock::acquire(dir.path(), &holder("b")).unwrap();
    }

    #[test]
    fn a_watch_keeps_other_watches_away_and_no_run() {
        let dir = tempfile::tempdir().unwrap();
        let _watch = Lock::acquire_for(Scope::Watch, dir.path(), &holder("watch")).unwrap();
        let _run = Lock::acquire(dir.path(), &holder("check m")).unwrap();
        let refused = Lock::acquire_for(Scope::Watch, dir.path(), &holder("watch")).unwrap_err();
        assert!(refused.to_string().contains("another watch is at work (`watch`, process 7"), "{refused}");
    }

    #[test]
    fn a_file_left_behind_by_a_killed_process_does_not_lock() {
        let dir = tempfile::tempdir().unwrap();
        let left = serde_json::to_string(&Holder { command: "x".repeat(500), ..holder("") }).unwrap();
        std::fs::write(dir.path().join("lock"), left).unwrap();
        let _lock = Lock::acquire(dir.path(), &holder("b")).unwrap();
        let text = std::fs::read_to_string(dir.path().join("lock")).unwrap();
        assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder("b"));
    }

    #[test]
    fn a_holder_that_cannot_be_read_is_not_made_up() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = Lock::acquire(dir.path(), &holder("a")).unwrap();
        std::fs::write(dir.path().join("lock"), "{").unwrap();
        let refused = Lock::acquire(dir.path(), &holder("b")).unwrap_err();
        assert!(matches!(&refused, LockError::Held { by: None, .. }), "{refused}");
    }

    #[test]
    fn this_process_names_itself() {
        let me = Holder::this_process("check m", Timestamp::UNIX_EPOCH);
        assert_eq!((me.pid, me.command.as_str()), (std::process::id(), "check m"));
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_a_link_is_refused_and_what_it_leads_to_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("lock")).unwrap();
        let refused = Lock::acquire(dir.path(), &holder("a")).unwrap_err();
        assert!(refused.to_string().contains("lock: the lock is a symbolic link"), "{refused}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
    }

    #[test]
    fn a_file_or_a_link_to_nowhere_in_the_place_of_the_directory_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        let refused = Lock::acquire(&file, &holder("a")).unwrap_err();
        assert!(refused.to_string().contains("file is no folder, and the history"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
            let refused = Lock::acquire(&link, &holder("a")).unwrap_err();
            assert!(refused.to_string().contains("link is a link that leads nowhere"), "{refused}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_directory_and_the_lock_file_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/.samemodel");
        let _lock = Lock::acquire(&dir, &holder("a")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join("lock"))), (0o700, 0o600));
    }
}
