//! What can go wrong with the store, told apart by what the user can do about it.
//!
//! Part of layer 3's store. An error is cheap to clone, because one failed commit answers many waiting records.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::migrate::MigrateError;

use super::RunId;
use super::directory::NoFolder;
use crate::attempt::Slot;

/// Why the store did not do what it was asked. Nothing of a write that failed is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file system is full.
    #[error("{}: the disk is full; free some space and resume the run: what was acknowledged is kept", path.display())]
    DiskFull {
        /// The database.
        path: PathBuf,
    },
    /// Another program kept the database locked for longer than this one waits.
    #[error("{}: another program holds the database; close it and try again", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The file is a database but damaged.
    #[error("{}: the database is damaged ({message}); move it away, or restore a copy", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What the engine said.
        message: String,
    },
    /// The file is something else.
    #[error("{}: not a database; move the file away", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory cannot be written.
    #[error("{}: the database or its directory is read-only; make both writable or choose another directory, such as a copy, with \
         `--data-dir`", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// It is only to be read, and even that needs something written.
    #[error("{}: {why} where nothing may be written; copy the directory to where it may be, and name the copy with `--data-dir`",
        path.display())]
    NeedsWriting {
        /// The database.
        path: PathBuf,
        /// What cannot be done without.
        why: &'static str,
    },
    /// The database or one of the files beside it could not be opened.
    #[error("{}: the database cannot be opened; see that it may be read, that its directory is writable and that not too many files are \
         open",
        path.display())]
    CannotOpen {
        /// The database.
        path: PathBuf,
    },
    /// The directory or the file could not be made or opened.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory or the file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// What is to be the data directory is something else.
    #[error(transparent)]
    NoFolder(#[from] NoFolder),
    /// A later version of this program wrote the database.
    #[error("{}: written by a newer samemodel (schema {found}, this one knows {known}); upgrade samemodel",
        path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The first schema version found that this program does not know.
        found: i64,
        /// The latest schema version that this program knows.
        known: i64,
    },
    /// The schema is not the one that this program made.
    #[error("{}: the schema cannot be brought up to date ({message}); move the file away, or restore a copy",
        path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// What the migration said.
        message: String,
    },
    /// No run has this id.
    #[error("{}: there is no run {run}; `samemodel history` lists those that there are", path.display())]
    UnknownRun {
        /// The database.
        path: PathBuf,
        /// The id asked for.
        run: RunId,
    },
    /// Two samples of an import answer the same request.
    #[error("replicate {} of probe `{}` at endpoint `{}` is there twice; nothing was imported",
        slot.replicate, slot.probe, slot.endpoint)]
    DuplicateAnswer {
        /// The request.
        slot: Slot,
    },
    /// A stored row does not hold what this program writes.
    #[error("{}: a row of table `{table}` cannot be read: {message}", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The task that writes has ended, as it does when the runtime shuts down.
    #[error("{}: the store is closed", path.display())]
    Closed {
        /// The database.
        path: PathBuf,
    },
    /// The file system refused to read or write.
    #[error("{}: the disk refused to read or write ({message}); see that it has room, that no limit on the size of files is \
         reached, and that it is sound, and try again: what was acknowledged is kept", path.display())]
    Refused {
        /// The database.
        path: PathBuf,
        /// What the engine said.
        message: String,
    },
    /// Anything else that the database reports.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What it said.
        source: Arc<sqlx::Error>,
    },
}

/// The primary result codes of SQLite that mean something to a user; see <https://sqlite.org/rescode.html>.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
}

impl StoreError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly { path },
            _ => Self::Io { path, source: Arc::new(source) },
        }
    }

    pub(super) fn sqlite(path: &Path, source: sqlx::Error) -> Self {
        let known = source.as_database_error().and_then(|error| {
            let extended: i32 = error.code()?.parse().ok()?;
            Self::of_code(path, extended & 0xff, error.message())
        });
        known.unwrap_or_else(|| Self::Database { path: path.to_owned(), source: Arc::new(source) })
    }

    fn of_code(path: &Path, primary: i32, message: &str) -> Option<Self> {
        let path = path.to_owned();
        Some(match primary {
            code::FULL => Self::DiskFull { path },
            code::BUSY | code::LOCKED => Self::Locked { path },
            code::IOERR => Self::Refused { path, message: message.to_owned() },
            code::CORRUPT => Self::Corrupt { path, message: message.to_owned() },
            code::NOTADB => Self::NotADatabase { path },
            code::READONLY => Self::ReadOnly { path },
            code::CANTOPEN => Self::CannotOpen { path },
            _ => return None,
        })
    }

    pub(super) fn migration(path: &Path, known: i64, source: MigrateError) -> Self {
        match source {
            MigrateError::VersionMissing(found) if found > known => Self::Newer { path: path.to_owned(), found, known },
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::sqlite(path, error),
            other => Self::Schema { path: path.to_owned(), message: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_that_a_user_can_act_upon_has_its_own_advice() {
        let advice = |primary| StoreError::of_code(Path::new("h.db"), primary, "m").map(|error| error.to_string());
        for (primary, words) in [
            (code::FULL, "free some space"),
            (code::BUSY, "close it and try again"),
            (code::LOCKED, "close it and try again"),
            (code::IOERR, "(m); see that it has room"),
            (code::CORRUPT, "(m); move it away"),
            (code::NOTADB, "not a database"),
            (code::READONLY, "make both writable"),
            (code::CANTOPEN, "directory is writable"),
        ] {
            let message = advice(primary).unwrap();
            assert!(message.starts_with("h.db: ") && message.contains(words), "{message}");
        }
        assert_eq!(advice(1), None, "a code without advice of its own keeps the engine's words");
    }

    #[test]
    fn a_full_or_read_only_file_system_is_told_apart_from_other_failures() {
        let of = |kind: io::ErrorKind| StoreError::io(Path::new("d"), kind.into());
        assert!(matches!(of(io::ErrorKind::StorageFull), StoreError::DiskFull { .. }));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), StoreError::ReadOnly { .. }));
        assert!(matches!(of(io::ErrorKind::NotADirectory), StoreError::Io { .. }));
    }
}
