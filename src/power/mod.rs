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
use crate::lab::fault::catalogue::Evidence;
use crate::probe::Probe;

pub mod case;
pub mod chart;
pub mod design;
pub mod evidence;
pub mod journal;
pub mod oracle;
pub mod summary;
pub mod table;
pub mod trial;

pub use case::{Case, Severities, Truth};
pub use design::{Design, DesignError};
use journal::{Journal, JournalError, Key};
use summary::Oracles;
pub use summary::{Oracle, PowerReport, Row};
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
    /// The oracle has no answer.
    #[error("oracle: {0}")]
    Oracle(#[from] evidence::EvidenceError),
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
        self.folder.join(format!("{}.jsonl", self.digest()))
    }

    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(crate::lab::fingerprint());
        for probe in &self.probes {
            hash.update(probe.digest());
            hash.update(probe.samples.unwrap_or_default().to_le_bytes());
        }
        let digest = hash.finalize();
        digest.iter().take(6).fold(String::new(), |out, byte| out + &format!("{byte:02x}"))
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
        let oracles = self.ask_the_oracle(happened, stop)?;
        Ok(summary::summarise(self, journal.outcomes(), &oracles))
    }

    /// What the oracle sees of each case that shows in the distribution of answers, where that is not known yet.
    fn ask_the_oracle(
        &self,
        happened: &(dyn Fn(Happening) + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Oracles, PowerError> {
        let path = self.folder.join(format!("{}-oracle.jsonl", self.digest()));
        let mut journal: Journal<Option<Oracle>> = Journal::open(&path)?;
        let key = |design: &Design, case: &Case| Key {
            design: design.to_string(),
            seed: self.first_seed,
            address: case.address.clone(),
        };
        let shows = |case: &&Case| match case.truth {
            Truth::Fault(entry) => entry.evidence == Evidence::Distribution,
            Truth::Composed => true,
            Truth::Honest => false,
        };
        let all =
            self.designs.iter().flat_map(|design| self.cases.iter().filter(shows).map(move |case| (design, case)));
        let open: Vec<_> = all.filter(|(design, case)| !journal.outcomes().contains_key(&key(design, case))).collect();
        let mut asking = None;
        for (number, (design, case)) in open.iter().enumerate() {
            if stop.is_cancelled() {
                return Err(PowerError::Stopped { kept: journal.outcomes().len(), path });
            }
            happened(Happening::Oracle { case: number + 1, of: open.len() });
            let asking = match &mut asking {
                Some(asking) => asking,
                none => none.insert(evidence::Asking::new(&self.probes, self.first_seed)?),
            };
            let seen = tokio::task::block_in_place(|| asking.oracle(**design, case))?;
            journal.add(vec![(key(design, case), seen)])?;
        }
        let seen = journal.outcomes().iter().filter(|(key, _)| key.seed == self.first_seed);
        Ok(seen.filter_map(|(key, seen)| Some(((key.design.clone(), key.address.clone()), (*seen)?))).collect())
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
