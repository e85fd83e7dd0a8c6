//! Named pipes, which could be waited for without end.
//!
//! Layer 1. Pipes that are open already, such as those of a shell's `<(…)`, come as descriptors and are read and written as
//! anything else.

use std::io;
use std::path::Path;

/// Refuses a path that is a named pipe.
///
/// # Errors
///
/// Where it is one; never where it cannot be told.
pub fn refuse(path: &Path) -> io::Result<()> {
    if is_named(path) {
        let what = "it is a named pipe, which could be waited for without end: name a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

#[cfg(unix)]
fn is_named(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    let is_descriptor = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
    // What is behind a link to a descriptor has no path of its own.
    let has_a_name = || std::fs::canonicalize(path).is_ok();
    !is_descriptor && std::fs::metadata(path).is_ok_and(|there| there.file_type().is_fifo()) && has_a_name()
}

#[cfg(not(unix))]
fn is_named(_: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_with_a_name_is_refused_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        assert!(refuse(&pipe).is_err() && refuse(&link).is_err());
        let absent = folder.path().join("absent");
        for path in [Path::new("/dev/null"), Path::new("/dev/stdin"), folder.path(), absent.as_path()] {
            assert!(refuse(path).is_ok(), "{}", path.display());
        }
    }
}
