//! Reads the folders and files of probes that a configuration names.
//!
//! This is where layer 1 touches the disk; what the bytes mean is up to [`file`](super::file).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use super::error::did_you_mean;
use super::file::{FileKind, Source, parse};
use super::{FileError, Probe};
use crate::suggest::nearest;

/// Why there are no probes.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The configuration names nothing.
    #[error("no probes are named: list folders or files in `probes`, such as `prompts/core`")]
    NothingNamed,
    /// A path that does not exist.
    #[error(
        "{} does not exist; paths in `probes` are relative to the configuration's folder{}",
        path.display(), did_you_mean(.suggestion.as_deref())
    )]
    Missing {
        /// The path as looked for.
        path: PathBuf,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A folder or file that exists and cannot be read.
    #[error("{} cannot be read: {source}; check its permissions", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder without probe files.
    #[error("{} holds no probes: add a .md or .toml file, or take it out of `probes`", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A named file of another kind.
    #[error("{} is no probe file: it must end in .md or .toml", path.display())]
    NotAProbe {
        /// The file.
        path: PathBuf,
    },
    /// Something that is neither a file nor a folder, which could be waited for without end.
    #[error("{} is no ordinary file: take it away, or name the files in `probes` one by one", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// A file or folder whose name cannot be part of an id.
    #[error("{} cannot give a probe its id: rename it with letters, digits, _, - and ., {LONGEST_PART} bytes at most", path.display())]
    BadName {
        /// The file or folder.
        path: PathBuf,
    },
    /// Folders in folders without end.
    #[error("{} lies more than {MAX_DEPTH} folders deep: is there a link to a folder above it?", path.display())]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is wrong inside.
    #[error("{}:{source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: FileError,
    },
    /// One id for two probes.
    #[error(
        "the id {id} is given twice, by {} and by {}: rename one, or name its folder once in `probes`",
        first.display(), second.display()
    )]
    Duplicate {
        /// The id.
        id: String,
        /// The file that had it first.
        first: PathBuf,
        /// The file that has it again.
        second: PathBuf,
    },
}

/// The longest part of an id, in bytes: snapshots are kept in files of this name with an ending.
const LONGEST_PART: usize = 200;

/// How many folders deep probes are looked for.
const MAX_DEPTH: usize = 16;

/// All probes in the folders and files that `names` lists, relative to `folder`: in the order of the list, and within a
/// folder by name, so that every machine sees them in one order. There is at least one, and all ids differ.
///
/// Hidden files and files of other kinds are passed over in folders. Fails on the first thing that is missing, empty,
/// unreadable, wrong or there twice.
pub fn load(names: &[String], folder: &Path) -> Result<Vec<Probe>, LoadError> {
    if names.is_empty() {
        return Err(LoadError::NothingNamed);
    }
    let mut probes = Vec::new();
    let mut origins: BTreeMap<String, PathBuf> = BTreeMap::new();
    for name in names {
        for found in find(name, folder)? {
            for probe in read(&found)? {
                if let Some(first) = origins.insert(probe.id.clone(), found.path.clone()) {
                    return Err(LoadError::Duplicate { id: probe.id, first, second: found.path });
                }
                probes.push(probe);
            }
        }
    }
    Ok(probes)
}

/// The probe files that `names` lists, relative to `folder`, as far as they are found: for whoever must not write over one.
pub fn files(names: &[String], folder: &Path) -> Vec<PathBuf> {
    let found = names.iter().flat_map(|name| find(name, folder).unwrap_or_default());
    found.map(|found| found.path).collect()
}

/// Whether a name can be one part of an id, between two slashes: such ids need no quoting in shells, reports and file
/// names.
pub(super) fn is_id_part(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= LONGEST_PART && !name.starts_with('.') && name.chars().all(fits)
}

/// A probe file and the id that its place gives it.
struct Found {
    path: PathBuf,
    kind: FileKind,
    id: String,
}

/// The probe files behind one entry of the configuration: at least one.
fn find(name: &str, folder: &Path) -> Result<Vec<Found>, LoadError> {
    let path = folder.join(name);
    let metadata = fs::metadata(&path).map_err(|error| unreachable_path(&path, error))?;
    if metadata.is_dir() {
        let mut found = Vec::new();
        walk(&path, &id_prefix(Path::new(name)), 0, &mut found)?;
        return if found.is_empty() { Err(LoadError::Empty { path }) } else { Ok(found) };
    }
    if !metadata.is_file() {
        return Err(LoadError::Special { path });
    }
    let kind = FileKind::of(&path).ok_or_else(|| LoadError::NotAProbe { path: path.clone() })?;
    let parents = Path::new(name).parent().map(id_prefix).unwrap_or_default();
    Ok(vec![Found { id: id_of(&path, &parents)?, kind, path }])
}

/// The parts of an id that a configured folder stands for: what follows its last folder named `prompts`, or, where there
/// is none, its own name. The path as configured decides, never where the project lies on this machine.
fn id_prefix(configured: &Path) -> Vec<String> {
    let parts: Vec<String> = configured
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let start = match parts.iter().rposition(|part| part == "prompts") {
        Some(prompts) => prompts + 1,
        None => parts.len().saturating_sub(1),
    };
    parts[start..].to_vec()
}

fn walk(folder: &Path, prefix: &[String], depth: usize, found: &mut Vec<Found>) -> Result<(), LoadError> {
    if depth > MAX_DEPTH {
        return Err(LoadError::TooDeep { path: folder.to_owned() });
    }
    let unreadable = |source| LoadError::Unreadable { path: folder.to_owned(), source };
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()
        .map_err(unreadable)?;
    entries.sort();
    for path in entries.into_iter().filter(|path| !is_hidden(path)) {
        let metadata = fs::metadata(&path).map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
        if metadata.is_dir() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let inner = if name == "prompts" { vec![] } else { [prefix, &[name]].concat() };
            walk(&path, &inner, depth + 1, found)?;
        } else if let Some(kind) = FileKind::of(&path) {
            if !metadata.is_file() {
                return Err(LoadError::Special { path });
            }
            found.push(Found { id: id_of(&path, prefix)?, kind, path });
        }
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with('.'))
}

/// The id of a file below folders of these names.
fn id_of(path: &Path, parents: &[String]) -> Result<String, LoadError> {
    let bad = || LoadError::BadName { path: path.to_owned() };
    let stem = path.file_stem().and_then(OsStr::to_str).ok_or_else(bad)?;
    let parts: Vec<&str> = parents.iter().map(String::as_str).chain([stem]).collect();
    if parts.iter().all(|part| is_id_part(part)) { Ok(parts.join("/")) } else { Err(bad()) }
}

fn read(found: &Found) -> Result<Vec<Probe>, LoadError> {
    let path = &found.path;
    let bytes = fs::read(path).map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
    let images = |name: &str| {
        let image = path.with_file_name(name);
        // A pipe could be waited for without end.
        let is_file = fs::metadata(&image)?.is_file();
        if is_file {
            fs::read(image)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file"))
        }
    };
    parse(&Source { id: &found.id, kind: found.kind, bytes: &bytes, images: &images })
        .map_err(|source| LoadError::File { path: path.clone(), source })
}

/// What to say of a named path that cannot be looked at.
fn unreachable_path(path: &Path, source: io::Error) -> LoadError {
    if source.kind() != io::ErrorKind::NotFound {
        return LoadError::Unreadable { path: path.to_owned(), source };
    }
    LoadError::Missing { path: path.to_owned(), suggestion: neighbour(path) }
}

/// A file or folder beside `path` with a similar name, if there is one.
fn neighbour(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let names: Vec<String> =
        fs::read_dir(path.parent()?).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let meant = nearest(wanted, names.iter().map(String::as_str))?;
    Some(path.with_file_name(meant).display().to_string())
}

#[cfg(test)]
mod tests;
