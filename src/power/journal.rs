//! The journal: what each case came to in each trial, one JSON line each, so that a study can stop and go on.
//!
//! A line is written whole once its trial is over. A line that was cut short by a crash is passed over and its trial done
//! again; a line of another study is an error.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::summary::Oracle;

use crate::verdict::{Confidence, Verdict};

/// What can be kept in a journal.
pub trait Entry: Clone + Serialize + DeserializeOwned {
    /// The schema name that every line carries.
    const SCHEMA: &'static str;
}

impl Entry for Outcome {
    const SCHEMA: &'static str = "samemodel.power-trial/1";
}

/// What the oracle sees; nothing where it has no probabilities.
impl Entry for Option<Oracle> {
    const SCHEMA: &'static str = "samemodel.power-oracle/1";
}

/// Which trial of which case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The design, in the form that can be read back.
    pub design: String,
    /// The trial's seed.
    pub seed: u64,
    /// The case's address.
    pub address: String,
}

/// What one case came to in one trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The faults that were named, the surest first.
    pub findings: Vec<(String, Confidence)>,
    /// The estimate of the effect that decided, where there is one.
    pub effect: Option<f64>,
    /// Answers.
    pub answers: u64,
    /// Attempts.
    pub attempts: u64,
    /// Tokens that were read at this endpoint.
    pub prompt_tokens: u64,
    /// Tokens that it wrote.
    pub completion_tokens: u64,
}

#[derive(Serialize, Deserialize)]
struct Line<E> {
    schema: String,
    trial: Key,
    outcome: E,
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is whole and no outcome.
    #[error("{} line {line}: {message}; move the file away to begin anew", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
}

/// A file of outcomes.
pub struct Journal<E = Outcome> {
    path: PathBuf,
    file: File,
    outcomes: BTreeMap<Key, E>,
}

impl<E: Entry> Journal<E> {
    /// Opens the journal at `path` and reads what it holds; makes it, and its folder, when it is not there.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let outcomes = read(&bytes[..whole]).map_err(|(line, message)| JournalError::Line {
            path: path.to_owned(),
            line,
            message,
        })?;
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), file, outcomes })
    }

    /// What is known so far.
    pub fn outcomes(&self) -> &BTreeMap<Key, E> {
        &self.outcomes
    }

    /// Keeps the outcomes of a trial: all of them are on the disk when this returns.
    pub fn add(&mut self, outcomes: Vec<(Key, E)>) -> Result<(), JournalError> {
        let mut text = String::new();
        for (key, outcome) in &outcomes {
            let line = Line { schema: E::SCHEMA.to_owned(), trial: key.clone(), outcome: outcome.clone() };
            // Only maps with keys that are no strings could fail here.
            text.push_str(&serde_json::to_string(&line).unwrap_or_default());
            text.push('\n');
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalError::Io { path: self.path.clone(), source })?;
        self.outcomes.extend(outcomes);
        Ok(())
    }
}

fn read<E: Entry>(bytes: &[u8]) -> Result<BTreeMap<Key, E>, (usize, String)> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| {
            let line: Line<E> = serde_json::from_slice(line).map_err(|error| (number + 1, error.to_string()))?;
            if line.schema == E::SCHEMA {
                Ok((line.trial, line.outcome))
            } else {
                Err((number + 1, format!("schema `{}` where `{}` is expected", line.schema, E::SCHEMA)))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(seed: u64) -> (Key, Outcome) {
        let key = Key { design: "default".into(), seed, address: "lab:double-bos".into() };
        let outcome = Outcome {
            verdict: Verdict::Drifted,
            findings: vec![("double-bos".into(), Confidence::Certain)],
            effect: Some(0.1 + seed as f64 / 3.0),
            answers: 5,
            attempts: 6,
            prompt_tokens: 70,
            completion_tokens: 80,
        };
        (key, outcome)
    }

    #[test]
    fn what_was_kept_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/journal.jsonl");
        Journal::open(&path).unwrap().add(vec![entry(1), entry(2)]).unwrap();
        let mut again: Journal = Journal::open(&path).unwrap();
        again.add(vec![entry(3)]).unwrap();
        let expected: BTreeMap<Key, Outcome> = [entry(1), entry(2), entry(3)].into();
        assert_eq!(Journal::open(&path).unwrap().outcomes(), &expected);
    }

    #[test]
    fn a_line_that_was_cut_short_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::open(&path).unwrap().add(vec![entry(1), entry(2)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        let mut again = Journal::open(&path).unwrap();
        assert_eq!(again.outcomes().len(), 1);
        again.add(vec![entry(2)]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_line_of_something_else_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        fs::write(&path, "\n{\"schema\":\"other/1\"}\n").unwrap();
        let message = Journal::<Outcome>::open(&path).err().unwrap().to_string();
        assert!(message.contains("journal.jsonl line 2"), "{message}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read::<Outcome>(&bytes);
        }
    }
}
