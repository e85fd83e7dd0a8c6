//! The data directory, `.samemodel/` by default: made so that only its owner can read it, since responses may be private.
//!
//! Part of layer 3's store. An existing directory or file keeps the permissions that its owner gave it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// What is in the directory's place, where it is neither a directory nor nothing.
pub(super) fn instead_of_a_directory(dir: &Path) -> Option<&'static str> {
    let there = std::fs::symlink_metadata(dir).ok()?;
    match std::fs::metadata(dir) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some("no folder"),
        Err(error) if there.is_symlink() && error.kind() == io::ErrorKind::NotFound => {
            Some("a link that leads nowhere")
        }
        Err(_) => None,
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
