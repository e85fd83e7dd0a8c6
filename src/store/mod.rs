//! The history: runs, the attempts made in them, and the samples those brought.
//!
//! Layer 3. Everything goes through the trait [`Store`], so that a history shared by several machines can stand behind
//! it one day; today there is [`SqliteStore`], a file in the data directory. A [`Lock`] keeps runs of one directory
//! apart. All that came from a host is redacted once more before it is written.
//!
//! | module | holds |
//! |---|---|
//! | `sqlite` | the SQLite database: opening, reading |
//! | `writer` | group commit: many records, one transaction |
//! | `rows` | between rows and nouns, redaction |
//! | `outcome` | what follows from runs: results, alerts, notifications, silences |
//! | `outcome_rows`, `outcome_sqlite` | their rows, and their place in the SQLite database |
//! | `examination` | what `samemodel doctor` found of endpoints |
//! | `watch`, `prune` | which times of a watch were started; dropping what is no longer kept |
//! | `sql` | the statements, shared by databases |
//! | `migrations/` | the schema, shared by databases |
//! | `lock`, `directory`, `error` | one run at a time; private files; what can go wrong |

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::attempt::{Attempt, Slot};
use crate::sample::{Latency, Sample, SampleError};

mod directory;
mod error;
mod examination;
mod lock;
mod outcome;
mod outcome_rows;
mod outcome_sqlite;
mod prune;
mod rows;
mod sql;
mod sqlite;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

pub use directory::NoFolder;
pub use error::StoreError;
pub use examination::ExaminationStore;
pub use lock::{Holder, Lock, LockError, Scope};
pub use outcome::{
    AlertStore, AlertUpdate, Conclusion, Delivery, EndpointResult, Notification, OutboxEntry, RecordedResult, Silence,
    SilenceId, State, latest_results,
};
pub use prune::RetentionStore;
pub use sqlite::SqliteStore;
pub use watch::{RecordedStart, StartCause, StartEnd, WatchStart, WatchStore};

/// What a store's methods return: a future, boxed so that a store can be chosen at run time.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A history of runs.
///
/// Every write is durable when its future resolves, and never half done. A future that is dropped before that may or
/// may not have written.
pub trait Store: Send + Sync {
    /// Adds a run with its plan as JSON text. Fails when a run with this id is there.
    fn create_run<'a>(&'a self, run: &'a RunRecord, plan: &'a str) -> StoreFuture<'a, ()>;

    /// Keeps an attempt of a run and the sample that it brought, if it brought one. A request that is answered already
    /// keeps its first answer: the attempt is kept, the sample is not, and [`Recorded::AlreadyAnswered`] says so.
    fn record<'a>(
        &'a self,
        run: &'a RunId,
        attempt: &'a Attempt,
        sample: Option<&'a Sample>,
    ) -> StoreFuture<'a, Recorded>;

    /// Marks a run as ended; one that was resumed may end again.
    fn finish_run<'a>(&'a self, run: &'a RunId, end: RunEnd) -> StoreFuture<'a, ()>;

    /// Keeps what a run came to: its end, its results, and the alerts and notifications that follow from it, all in one
    /// transaction. Concluding a run again replaces its results.
    fn conclude<'a>(&'a self, run: &'a RunId, conclusion: &'a Conclusion) -> StoreFuture<'a, ()>;

    /// A run's results in the order of its report; none for a run that is not concluded, and for an imported one.
    fn results<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<EndpointResult>>;

    /// The results of all runs of a model that began at this time or later, the earliest first.
    fn results_since<'a>(&'a self, model: &'a str, since: Timestamp) -> StoreFuture<'a, Vec<RecordedResult>>;

    /// Adds a run with samples from elsewhere, or nothing at all: a second answer to one request is refused.
    fn import<'a>(&'a self, run: &'a RunRecord, samples: &'a [Sample]) -> StoreFuture<'a, ()>;

    /// All runs, the latest first.
    fn runs(&self) -> StoreFuture<'_, Vec<RunRecord>>;

    /// One run.
    fn run<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, RunRecord>;

    /// A run's plan as it was given; an imported run has none.
    fn plan<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Option<String>>;

    /// The requests of a run that have their answer.
    fn answered<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, HashSet<Slot>>;

    /// A run's samples by endpoint, probe and replicate: each answer, and imported lines with an error. Counts that
    /// the host did not send are absent; where it sent neither, so is `usage`.
    fn samples<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<Sample>>;

    /// A run's attempts in the order of recording, without what the host sent.
    fn attempts<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<RecordedAttempt>>;

    /// The number of attempts, answers and failures at each endpoint of a run, by its name.
    fn counts<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<AttemptCounts>>;

    /// The tokens that the attempts of a run used, by endpoint and probe: what its cost is reckoned from.
    fn spent<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<Spent>>;

    /// How long the answers of a run took, by endpoint and in the order of recording. An answer whose time is not known is
    /// left out.
    fn times<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<AnswerTimes>>;

    /// Everything of a run as sample lines: its samples, and a line with `error` for each failed attempt. This is what
    /// an export writes and a comparison counts.
    fn lines<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<Sample>> {
        Box::pin(async move {
            let model = self.run(run).await?.model;
            let mut lines = self.samples(run).await?;
            lines.extend(self.attempts(run).await?.iter().filter_map(|attempt| attempt.error_line(&model)));
            Ok(lines)
        })
    }
}

/// A run's identity: a version 7 UUID, whose order is the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl RunId {
    /// A new one, from the system's clock and random generator.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// A new one of this time: ids are in the order of their times.
    pub fn at(time: Timestamp) -> Self {
        let since = time.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, since.as_secs(), since.subsec_nanos())))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What is known of a run as a whole, beside its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its identity.
    pub id: RunId,
    /// The nominal model under which endpoints are compared.
    pub model: String,
    /// The name of the reference.
    pub reference: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How and when it ended; nothing while it is under way, and of a run that was killed.
    pub end: Option<RunEnd>,
    /// The seed of its plan and its comparison.
    pub seed: u64,
    /// The digest of the configuration that it ran with.
    pub config_digest: String,
    /// The version of this program that made it.
    pub tool_version: String,
}

impl RunRecord {
    /// Whether it is not complete: killed, stopped, or out of budget.
    pub fn is_unfinished(&self) -> bool {
        self.end.is_none_or(|end| end.how != Ending::Complete)
    }
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    /// How it ended.
    pub how: Ending,
    /// When.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every request of the plan was answered or given up.
    Complete,
    /// It was asked to stop before that.
    Partial,
    /// The next request might have passed the budget.
    StoppedBudget,
}

impl Ending {
    /// The name used in the store and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::StoppedBudget => "stopped-budget",
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// All of it is kept.
    Stored,
    /// The attempt is kept; its sample is not, since the request had its answer.
    AlreadyAnswered,
}

/// An attempt as the store gives it back, without headers and body.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedAttempt {
    /// The planned request that it served.
    pub slot: Slot,
    /// The number of the try, from 1; it begins anew when a run is resumed.
    pub number: u32,
    /// When the request was sent.
    pub started_at: Timestamp,
    /// How long it took until the outcome was known, in whole microseconds.
    pub elapsed: Duration,
    /// The HTTP status, when there was a response.
    pub status: Option<u16>,
    /// Why there is no answer, when there is none.
    pub failure: Option<SampleError>,
}

impl RecordedAttempt {
    /// A failed attempt as a sample line with `error`; nothing for one that was answered.
    pub fn error_line(&self, model: &str) -> Option<Sample> {
        let Slot { endpoint, probe, replicate } = &self.slot;
        Some(Sample {
            model: Some(model.to_owned()),
            replicate: *replicate,
            at: self.started_at.checked_add(self.elapsed).ok(),
            error: Some(self.failure.clone()?),
            ..Sample::new(endpoint, probe, "")
        })
    }
}

/// Attempts at one endpoint in one run. An imported sample counts as one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptCounts {
    /// The endpoint.
    pub endpoint: String,
    /// All attempts.
    pub attempts: u64,
    /// Requests that were answered.
    pub answers: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// What attempts of one run cost with one probe at one endpoint: charges that are stored, and, where none are, tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Spent {
    /// The endpoint.
    pub endpoint: String,
    /// The probe.
    pub probe: String,
    /// Prompt tokens, as far as the host counted both kinds.
    pub prompt_tokens: u64,
    /// Answer tokens, likewise.
    pub completion_tokens: u64,
    /// Attempts without both counts that may have cost something all the same: the host began to answer, or the
    /// connection was lost while it may have been at work. A budget takes the worst case for each.
    pub unmetered: u64,
    /// Charges that are stored, in US dollars.
    pub charged: f64,
}

/// How long one answer of a run took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTimes {
    /// The endpoint.
    pub endpoint: String,
    /// Its times, in milliseconds.
    pub latency: Latency,
}
