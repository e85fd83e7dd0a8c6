//! What no output may take the place of: whatever is read, the history, and snapshots.
//!
//! One mistyped path would otherwise cost what cannot be had again. Links are followed, and on Unix a second name of the same file is
//! known by its device and number.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::Global;
use super::{UsageError, session};
use crate::config::{Config, Credentials, DEFAULT_FILE, Environment, Loaded, Reference};
use crate::probe;
use crate::snapshot::Folder;

/// What the files of this command line are, as far as its configuration can be read.
pub(super) struct Inputs {
    /// The folder of the configuration.
    folder: PathBuf,
    data_dir: PathBuf,
    /// Files that are read.
    files: Vec<PathBuf>,
    /// Folders and files of probes, as configured.
    probes: Vec<PathBuf>,
}

impl Inputs {
    /// Those of the configuration, and `named`, which the command reads besides.
    pub fn of(global: &Global, named: &[PathBuf]) -> Self {
        let config = global.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let folder = session::folder(global);
        let files = [config.to_owned(), config.with_extension("local.toml")].into_iter().chain(named.iter().cloned());
        let data_dir = session::data_dir(global, &folder);
        let mut inputs = Self { files: files.collect(), probes: Vec::new(), data_dir, folder };
        // A pipe could be read once only. One that is wrong is complained of by who needs it.
        if fs::metadata(config).is_ok_and(|there| there.is_file()) {
            let environment = Environment::of_process();
            if let Ok(loaded) = Config::load(Some(config), &environment, &[]) {
                inputs.add(&loaded, &environment);
            }
        }
        inputs
    }

    fn add(&mut self, loaded: &Loaded, environment: &Environment) {
        let config = &loaded.config;
        let tiers = [&config.watch.pulse, &config.watch.full].into_iter().flatten();
        let watched = tiers.flat_map(|tier| tier.probes.iter().flatten());
        let names: Vec<String> =
            config.model.values().flat_map(|model| &model.probes).chain(watched).cloned().collect();
        let recorded = config.model.values().filter_map(|model| match &model.reference {
            Reference::Recorded(recorded) => Some(loaded.resolve(&recorded.samples)),
            Reference::Endpoint(_) | Reference::Snapshot => None,
        });
        self.files.extend(recorded);
        self.files.extend(Credentials::files(config, environment));
        self.files.extend(probe::files(&names, &loaded.folder));
        self.probes.extend(names.iter().map(|name| loaded.resolve(name)));
    }

    /// Refuses to write to this path, which `what` it is, where that would take the place of any of these.
    pub fn refuse(&self, what: &str, path: &Path) -> Result<(), UsageError> {
        let place = place(path);
        let why = self
            .read_at(path, &place)
            .or_else(|| self.kept_at(path, &place))
            .or_else(|| self.snapshot_at(path, &place))
            .or_else(|| self.probe_at(&place));
        match why {
            Some(why) => Err(UsageError(format!("{what} {} {why}: name another file", path.display()))),
            None => Ok(()),
        }
    }

    fn read_at(&self, path: &Path, place: &Path) -> Option<String> {
        let read = self.files.iter().find(|read| is_same((path, place), read))?;
        Some(format!("is {}, which is read", read.display()))
    }

    /// Whether it lies in the data directory, or is a file of it by another name.
    fn kept_at(&self, path: &Path, place: &Path) -> Option<String> {
        let dir = self::place(&self.data_dir);
        // A project within its data directory has reports there, too.
        let everything = !self::place(&self.folder.join(".")).starts_with(&dir);
        let is_within = place
            .strip_prefix(&dir)
            .ok()
            .and_then(|below| below.components().next())
            .is_some_and(|first| everything || first.as_os_str().to_str().is_some_and(is_own));
        let kept = || {
            let own = files_in(&dir).into_iter();
            own.filter(|file| file.file_name().and_then(|name| name.to_str()).is_some_and(is_own))
                .any(|file| is_same((path, place), &file))
        };
        (is_within || kept()).then(|| format!("is of {}, where the history is kept", self.data_dir.display()))
    }

    fn snapshot_at(&self, path: &Path, place: &Path) -> Option<String> {
        let folder = Folder::within(&self.folder);
        let is_one = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.trim_end_matches(".new").rsplit_once('.').is_some_and(|(_, extension)| extension == "snap")
        };
        let is_within = place.starts_with(self::place(folder.path()));
        (is_within || is_one(path) || is_one(place)).then(|| "is where snapshots are kept".to_owned())
    }

    /// Whether it would be taken for a probe, or for the image of one.
    fn probe_at(&self, place: &Path) -> Option<String> {
        let among = self.probes.iter().find(|probes| place.starts_with(self::place(probes)))?;
        probe::is_of_probes(place).then(|| format!("is among the probes of {}", among.display()))
    }
}

/// Whether the program writes a file or folder of this name into its data directory.
fn is_own(name: &str) -> bool {
    name.starts_with("history.db") || ["lock", "watch.lock", "power"].contains(&name)
}

/// Where a path leads to, links followed; of what is not there, where it would be.
fn place(path: &Path) -> PathBuf {
    if let Ok(place) = fs::canonicalize(path) {
        return place;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            place(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).join(name)
        }
        _ => path.to_owned(),
    }
}

/// Whether a path, given with where it leads to, is the same file as another.
fn is_same((path, place): (&Path, &Path), other: &Path) -> bool {
    if place == self::place(other) {
        return true;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let inode = |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|m| (m.dev(), m.ino()));
        inode(path).is_some_and(|number| inode(other) == Some(number))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// The files of a folder, as far as it can be read.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        [provider.h]
        base_url = "https://h.example"
        [model.m]
        reference = { samples = "ref.jsonl" }
        probes = ["prompts/x", "one.md"]
        [[model.m.endpoint]]
        name = "e"
        provider = "h"
        model = "e"
    "#;

    fn global(config: &Path) -> Global {
        use clap::Parser as _;
        let config = config.to_str().expect("a path");
        super::super::args::Cli::try_parse_from(["samemodel", "metrics", "--config", config]).expect("arguments").global
    }

    /// A project's folder, and what it has for inputs.
    fn project() -> (tempfile::TempDir, Inputs) {
        let dir = tempfile::tempdir().expect("a folder");
        for folder in ["prompts/x", "snapshots/m/e", ".samemodel", "reports"] {
            fs::create_dir_all(dir.path().join(folder)).expect("a folder");
        }
        for file in
            ["prompts/x/a.md", "one.md", "ref.jsonl", "snapshots/m/e/a.snap", ".samemodel/history.db", "reports/old"]
        {
            fs::write(dir.path().join(file), "Tell me.").expect("written");
        }
        let config = dir.path().join("providers.toml");
        fs::write(&config, CONFIG).expect("written");
        let inputs = Inputs::of(&global(&config), &[dir.path().join("named.jsonl")]);
        (dir, inputs)
    }

    #[test]
    fn whatever_is_read_and_whatever_is_kept_is_refused() {
        let (dir, inputs) = project();
        for (output, said) in [
            ("providers.toml", "which is read"),
            ("providers.local.toml", "which is read"),
            ("reports/../providers.toml", "which is read"),
            ("named.jsonl", "which is read"),
            ("ref.jsonl", "which is read"),
            ("one.md", "which is read"),
            ("prompts/x/a.md", "which is read"),
            ("prompts/x/new.md", "is among the probes of"),
            ("prompts/x/image.PNG", "is among the probes of"),
            (".samemodel/history.db", "where the history is kept"),
            (".samemodel/history.db-wal", "where the history is kept"),
            (".samemodel/lock", "where the history is kept"),
            (".samemodel/report.json", "where the history is kept"),
            ("snapshots/m/e/a.snap", "where snapshots are kept"),
            ("snapshots/new", "where snapshots are kept"),
            ("reports/a.snap.new", "where snapshots are kept"),
        ] {
            let refused = inputs.refuse("the output", &dir.path().join(output)).expect_err(output).to_string();
            assert!(refused.starts_with("the output ") && refused.contains(said), "{refused}");
            assert!(refused.ends_with(": name another file"), "{refused}");
        }
        for output in ["report.json", "reports/old", "prompts/x/report.json", "prompts/report.md", "history.db"] {
            assert!(inputs.refuse("the output", &dir.path().join(output)).is_ok(), "{output}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_of_either_kind_are_seen_through() {
        let (dir, inputs) = project();
        for (number, target) in
            ["prompts/x/a.md", ".samemodel/history.db", "ref.jsonl", "providers.toml"].into_iter().enumerate()
        {
            let (soft, hard) = (dir.path().join(format!("s{number}")), dir.path().join(format!("h{number}")));
            std::os::unix::fs::symlink(dir.path().join(target), &soft).expect("a link");
            fs::hard_link(dir.path().join(target), &hard).expect("a second name");
            for output in [soft, hard] {
                assert!(inputs.refuse("the output", &output).is_err(), "{target} by {}", output.display());
            }
        }
        std::os::unix::fs::symlink(dir.path().join(".samemodel"), dir.path().join("kept")).expect("a link");
        assert!(inputs.refuse("the output", &dir.path().join("kept/new")).is_err());
    }

    #[test]
    fn a_project_within_its_data_directory_may_have_reports_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut global = global(&dir.path().join("providers.toml"));
        global.data_dir = Some(dir.path().to_owned());
        let inputs = Inputs::of(&global, &[]);
        assert!(inputs.refuse("the output", &dir.path().join("report.json")).is_ok());
        assert!(inputs.refuse("the output", &dir.path().join("history.db")).is_err());
    }
}
