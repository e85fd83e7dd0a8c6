//! Power: how often a check finds each fault of the lab, and how often it accuses an honest host, by simulation.
//!
//! Layer 4. The truth is known at the lab's hosts, so detection and false alarms can be counted. A [`Study`] is cases ×
//! designs × seeds; every [`mod@trial`] goes the way that any check goes, over HTTP through client, runner, store and
//! comparison. Outcomes are kept in a [`mod@journal`] as they come, and [`mod@summary`] makes rates with intervals of them.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::config::Price;
use crate::event::Event;
use crate::probe::Probe;

pub mod case;
pub mod chart;
pub mod design;
pub mod journal;
pub mod oracle;
pub mod summary;
pub mod table;
pub mod trial;

pub use case::{Case, Severities, Truth};
pub use design::{Design, DesignError};
use journal::{Journal, JournalError, Key};
pub use summary::{PowerReport, Row};
use trial::{Trial, TrialError};

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Study {
    /// The endpoints whose truth is known.
    pub cases: Vec<Case>,
    /// How much is asked of each.
    pub designs: Vec<Design>,
    /// The seed of the first trial; each further one has the next number.
    pub first_seed: u64,
    /// Trials of each case and design.
    pub trials: u32,
    /// What is asked.
    pub probes: Vec<Probe>,
    /// What tokens are reckoned to cost.
    pub price: Price,
    /// Where outcomes are kept.
    pub folder: PathBuf,
}

/// What happens in a study.
#[derive(Debug)]
pub enum Happening {
    /// A trial begins: its number from 1, of how many that are still to be done.
    Trial {
        /// From 1.
        number: usize,
        /// How many there are to do.
        of: usize,
        /// What it asks.
        design: Design,
    },
    /// Something happened within it.
    Within(Event),
    /// The oracle turns to the next case.
    Oracle {
        /// Its number from 1.
        case: usize,
        /// How many there are.
        of: usize,
    },
}

/// Why a study brought no report.
#[derive(Debug, Error)]
pub enum PowerError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A trial failed.
    #[error("trial with seed {seed}: {source}")]
    Trial {
        /// Its seed.
        seed: u64,
        /// Why.
        source: TrialError,
    },
    /// It was asked to stop; what is complete is kept.
    #[error("stopped: {kept} outcomes are kept in {}, and the same command goes on from there", path.display())]
    Stopped {
        /// Outcomes kept.
        kept: usize,
        /// The journal.
        path: PathBuf,
    },
}

impl Study {
    /// The file in which outcomes of these probes and this version of model and program are kept.
    pub fn journal_path(&self) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(crate::lab::fingerprint());
        for probe in &self.probes {
            hash.update(probe.digest());
            hash.update(probe.samples.unwrap_or_default().to_le_bytes());
        }
        let digest = hash.finalize();
        let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{name}.jsonl"))
    }

    /// Does the trials that the journal does not hold yet.
    pub async fn run(
        &self,
        happened: &(dyn Fn(Happening) + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<PowerReport, PowerError> {
        let path = self.journal_path();
        let mut journal = Journal::open(&path)?;
        let open = self.open(&journal);
        for (number, (design, seed, cases)) in open.iter().enumerate() {
            happened(Happening::Trial { number: number + 1, of: open.len(), design: *design });
            let folder = self.folder.join(format!("trial-{}", std::process::id()));
            let trial = Trial {
                design: *design,
                seed: *seed,
                probes: &self.probes,
                folder: &folder,
                events: &|event| happened(Happening::Within(event)),
                stop: stop.clone(),
            };
            let outcomes = trial.run(cases).await;
            // The history of a trial is of no use beside its outcomes; what cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(&folder);
            match outcomes {
                Ok(outcomes) => journal.add(outcomes)?,
                Err(TrialError::Stopped) => return Err(PowerError::Stopped { kept: journal.outcomes().len(), path }),
                Err(source) => return Err(PowerError::Trial { seed: *seed, source }),
            }
        }
        Ok(summary::summarise(self, journal.outcomes(), &summary::Oracles::new()))
    }

    /// Trials with the cases that have no outcome yet.
    fn open(&self, journal: &Journal) -> Vec<(Design, u64, Vec<&Case>)> {
        let mut open = Vec::new();
        for design in &self.designs {
            for seed in self.seeds() {
                let key = |case: &Case| Key { design: design.to_string(), seed, address: case.address.clone() };
                let cases: Vec<&Case> =
                    self.cases.iter().filter(|case| !journal.outcomes().contains_key(&key(case))).collect();
                if !cases.is_empty() {
                    open.push((*design, seed, cases));
                }
            }
        }
        open
    }

    /// The seeds of all trials.
    pub fn seeds(&self) -> impl Iterator<Item = u64> {
        self.first_seed..self.first_seed + u64::from(self.trials)
    }
}
