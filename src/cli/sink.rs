//! Where a report goes: opened before anything is asked, and written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::UsageError;
use super::args::Global;
use super::inputs::Inputs;
use super::part;
use crate::pipe;

/// Standard output, or a file that is ready to be written.
#[derive(Debug)]
pub(super) struct Sink {
    target: Option<Target>,
}

#[derive(Debug)]
enum Target {
    /// A file, which the part beside it takes the place of once that is whole.
    File { path: PathBuf, part: PathBuf, file: File },
    /// What is written as it is, such as standard output or a device, or a file in a folder that takes no other.
    Stream { path: PathBuf, file: File },
}

impl Sink {
    /// Opens the file; without one, standard output. Fails when it cannot be written, and when it would take the place of what is read,
    /// `inputs` among it, or kept.
    pub fn open(path: Option<&Path>, global: &Global, inputs: &[PathBuf]) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { target: None }) };
        Inputs::of(global, inputs).refuse("the output", path)?;
        let target = Target::open(path)
            .map_err(|error| UsageError(format!("cannot write {}: {error}; nothing was done", path.display())))?;
        Ok(Self { target: Some(target) })
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.target.is_some()
    }

    /// Writes the text.
    pub fn write(mut self, text: &str) -> anyhow::Result<()> {
        let Some(target) = self.target.take() else { return super::emit(text) };
        let path = match &target {
            Target::File { path, .. } | Target::Stream { path, .. } => path.clone(),
        };
        target.write(text).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Sink {
    /// What was not written leaves nothing behind.
    fn drop(&mut self) {
        if let Some(Target::File { part, .. }) = &self.target {
            let _ = fs::remove_file(part);
        }
    }
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        let there = match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if there.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        pipe::refuse(path)?;
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let file = OpenOptions::new().write(true).open(path)?;
            return Ok(Self::Stream { path: path.to_owned(), file });
        }
        // The file behind a link is written, and the link stays.
        let place = if there.is_some() { fs::canonicalize(path)? } else { path.to_owned() };
        if there.is_some() {
            // A file that may not be written is not replaced either.
            OpenOptions::new().write(true).open(&place)?;
        }
        let part = part::beside(&place).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match File::create(&part) {
            Ok(file) => {
                if let Some(there) = there {
                    file.set_permissions(there.permissions())?;
                }
                Ok(Self::File { path: place, part, file })
            }
            Err(error) if there.is_none() => Err(error),
            Err(_) => Ok(Self::Stream { file: OpenOptions::new().write(true).open(&place)?, path: place }),
        }
    }

    fn write(self, text: &str) -> io::Result<()> {
        match self {
            Self::Stream { mut file, .. } => {
                if file.metadata()?.is_file() {
                    file.set_len(0)?;
                }
                file.write_all(text.as_bytes())?;
                file.flush()
            }
            Self::File { path, part, mut file } => {
                let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
                // A file that is mounted by itself cannot be replaced; what was paid for is not lost for that.
                let replaced = written.and_then(|()| fs::rename(&part, &path).or_else(|_| fs::write(&path, text)));
                let _ = fs::remove_file(&part);
                replaced
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(config: &Path) -> Global {
        use clap::Parser as _;
        let config = config.to_str().expect("a path");
        super::super::args::Cli::try_parse_from(["samemodel", "metrics", "--config", config]).expect("arguments").global
    }

    #[test]
    fn a_report_is_written_whole_and_one_that_was_never_made_leaves_what_was_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let (config, path) = (dir.path().join("c.toml"), dir.path().join("report"));
        fs::write(&path, "old").expect("written");
        drop(Sink::open(Some(&path), &global(&config), &[]).expect("opened"));
        assert_eq!(fs::read_to_string(&path).expect("there"), "old");
        Sink::open(Some(&path), &global(&config), &[]).expect("opened").write("new").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_read_and_what_cannot_be_written_is_refused_at_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let (config, samples) = (dir.path().join("c.toml"), dir.path().join("s.jsonl"));
        fs::write(&config, "").expect("written");
        fs::write(&samples, "").expect("written");
        let absent = dir.path().join("absent/report");
        for path in [&config, &samples, &dir.path().join(".").join("c.toml"), &dir.path().to_owned(), &absent] {
            let refused = Sink::open(Some(path), &global(&config), std::slice::from_ref(&samples)).unwrap_err();
            assert!(refused.is::<UsageError>(), "{refused}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_refused_and_a_device_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let open = |path: &Path| Sink::open(Some(path), &global(&dir.path().join("c")), &[]);
        let refused = open(&pipe).unwrap_err();
        assert!(refused.is::<UsageError>() && refused.to_string().contains("a named pipe"), "{refused}");
        open(Path::new("/dev/null")).expect("opened").write("new").expect("written");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_behind_a_link_is_written_and_its_permissions_stay() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let (path, link) = (dir.path().join("report"), dir.path().join("link"));
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        Sink::open(Some(&link), &global(&dir.path().join("c")), &[]).expect("opened").write("new").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
