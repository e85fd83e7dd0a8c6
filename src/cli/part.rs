//! Parts of files: what is written beside a file until it is whole and takes the file's place.

use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use crate::process;

/// Where this process writes the part of a file; `None` where the path names no file. Parts of the same file that a process which is no
/// more has left are taken away.
pub(super) fn beside(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?;
    for left in left_behind(file, name) {
        // One that cannot be taken away hinders nobody.
        let _ = fs::remove_file(left);
    }
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    Some(file.with_file_name(part))
}

fn left_behind(file: &Path, name: &OsStr) -> Vec<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| is_left_behind(entry, name)).map(|entry| entry.path()).collect()
}

fn is_left_behind(entry: &DirEntry, name: &OsStr) -> bool {
    let found = entry.file_name();
    let process = || found.to_str()?.strip_prefix(name.to_str()?)?.strip_prefix('.')?.strip_suffix(".part");
    let is_of_nobody = |process: &str| {
        let is_number = process.chars().all(|c| c.is_ascii_digit());
        is_number && process.parse().is_ok_and(|process: i32| !process::is_alive(process))
    };
    process().is_some_and(is_of_nobody) && entry.file_type().is_ok_and(|kind| kind.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_same_file_that_nobody_writes_any_more_are_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("report.json");
        // No system gives a process this number.
        let nobody = i32::MAX;
        let names = [
            format!("report.json.{nobody}.part"),
            format!("report.json.{}.part", std::process::id()),
            format!("other.json.{nobody}.part"),
            format!("report.json.old.{nobody}.part"),
            "report.json.part".to_owned(),
            "report.json.old.part".to_owned(),
            "report.json..part".to_owned(),
            "report.json".to_owned(),
        ];
        for name in &names {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let part = beside(&file).expect("a name");
        assert_eq!(part.file_name(), Some(OsStr::new(&names[1])));
        let left: Vec<bool> = names.iter().map(|name| folder.path().join(name).exists()).collect();
        let gone = if cfg!(unix) { 2 } else { 1 };
        assert!(!left[1] && left[2..].iter().all(|left| *left), "{left:?}");
        assert_eq!(left.iter().filter(|left| !**left).count(), gone, "{left:?}");
    }
}
