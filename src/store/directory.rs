//! The data directory, `.samemodel/` by default: made so that only its owner can read it, since responses may be private.
//!
//! Part of layer 3's store. An existing directory or file keeps the permissions that its owner gave it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What is to be the data directory is something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is {what}, and the history is kept in a folder: move it away, or name another with `--data-dir`", dir.display())]
pub struct NoFolder {
    dir: PathBuf,
    what: &'static str,
}

impl NoFolder {
    /// What is in the directory's place, where it is neither a directory nor nothing.
    pub fn found_at(dir: &Path) -> Option<Self> {
        let there = std::fs::symlink_metadata(dir).ok()?;
        let what = match std::fs::metadata(dir) {
            Ok(found) if found.is_dir() => return None,
            Ok(_) => "no folder",
            Err(error) if there.is_symlink() && error.kind() == io::ErrorKind::NotFound => "a link that leads nowhere",
            Err(_) => return None,
        };
        Some(Self { dir: dir.to_owned(), what })
    }
}

/// Makes the directory and its parents, mode 0700 on Unix, unless it is there.
pub(super) fn create(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens a file for reading and writing without truncating it, and makes it, mode 0600 on Unix, unless it is there.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_place_of_the_directory_is_told_and_a_directory_or_nothing_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        let told = NoFolder::found_at(&file).unwrap().to_string();
        assert!(told.ends_with(
            "file is no folder, and the history is kept in a folder: move it away, or name another with `--data-dir`"
        ));
        assert_eq!([NoFolder::found_at(dir.path()), NoFolder::found_at(&dir.path().join("nothing"))], [None, None]);
    }
}
