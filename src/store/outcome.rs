//! What follows from runs: results, alerts, what is to be sent, and what is not to be.
//!
//! Part of layer 3's store. The nouns are here; [`Conclusion`] is what a run adds at once, and [`AlertStore`] has the
//! reading and writing that is not about one run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use uuid::Uuid;

use super::{RunEnd, RunId, StoreFuture};
use crate::alert::Alert;
use crate::config::Reference;
use crate::verdict::{Effect, Finding, Verdict};

/// What a run came to. It is kept whole or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conclusion {
    /// How and when the run ended; nothing where that is kept already.
    pub end: Option<RunEnd>,
    /// One for each judged endpoint, in the order of the report.
    pub results: Vec<EndpointResult>,
    /// What changes in alerts.
    pub alerts: AlertUpdate,
}

/// What changes in alerts: their states, and what is to be sent of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertUpdate {
    /// States that take the place of those that there are.
    pub states: Vec<Alert>,
    /// What is to be sent. One whose key is there already is not added again.
    pub notifications: Vec<Notification>,
}

/// What a run says of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointResult {
    /// The endpoint.
    pub endpoint: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What decided it, or what is missing, in a line.
    pub reason: String,
    /// p-value before correction over endpoints.
    pub p_value: Option<f64>,
    /// p-value after correction.
    pub q_value: Option<f64>,
    /// e-value of the p-value before correction.
    pub e_value: Option<f64>,
    /// The effect that decides.
    pub effect: Option<Effect>,
    /// The largest effect of its kind that does not matter.
    pub tolerance: f64,
    /// Answers compared.
    pub samples: u64,
    /// HTTP requests, retries included.
    pub attempts: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// What was paid, in US dollars, as far as prices are known.
    pub cost: Option<f64>,
    /// Likely faults with evidence.
    pub findings: Vec<Finding>,
}

/// A result with the run that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedResult {
    /// The run.
    pub run: RunId,
    /// When the run began.
    pub started_at: Timestamp,
    /// What it held the endpoint against, by name.
    pub reference: String,
    /// What it says of the endpoint.
    pub result: EndpointResult,
}

impl RecordedResult {
    /// What it weighs among the results of an endpoint whose model is held against `reference`: what a test found beside approved
    /// snapshots must not hide what a check has found, nor what a clock that was ahead has noted what is known at `now`.
    pub fn weight(&self, reference: Option<&Reference>, now: Timestamp) -> (bool, bool, Timestamp) {
        let is_of_a_check = self.reference != Reference::SNAPSHOT || reference == Some(&Reference::Snapshot);
        (is_of_a_check, self.started_at <= now, self.started_at)
    }
}

/// What counts of each endpoint: of all its results the one that weighs most.
pub fn latest_results(
    mut results: Vec<RecordedResult>,
    reference: Option<&Reference>,
    now: Timestamp,
) -> BTreeMap<String, RecordedResult> {
    results.sort_by_key(|recorded| recorded.weight(reference, now));
    results.into_iter().map(|recorded| (recorded.result.endpoint.clone(), recorded)).collect()
}

/// Something to send to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The same event makes the same key.
    pub key: String,
    /// The receiver by its name in the configuration.
    pub receiver: String,
    /// The run that caused it, where there was one.
    pub run: Option<RunId>,
    /// When it was made; it is due from then on.
    pub created_at: Timestamp,
    /// What happened, as JSON.
    pub event: String,
}

/// A notification and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// What is to be sent.
    pub notification: Notification,
    /// How often that was tried.
    pub attempts: u32,
    /// How it stands.
    pub state: State,
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
}

/// How a notification stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is to be tried at this time or later.
    Waiting(Timestamp),
    /// The receiver said at this time that it has it.
    Sent(Timestamp),
    /// It was given up at this time.
    GivenUp(Timestamp),
}

impl State {
    /// Whether it is to be tried by now.
    pub fn is_due(self, now: Timestamp) -> bool {
        matches!(self, Self::Waiting(at) if at <= now)
    }
}

/// What came of an attempt to send a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver said that it has it.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// It failed and is to be tried again.
    Postponed {
        /// Not before this time.
        until: Timestamp,
        /// Why it failed.
        reason: String,
    },
    /// It failed in a way that another attempt would not change.
    GivenUp {
        /// When.
        at: Timestamp,
        /// Why it failed.
        reason: String,
    },
}

/// A silence's identity, in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SilenceId(Uuid);

impl SilenceId {
    /// A new one.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SilenceId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A time in which nobody is told of some alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its identity.
    pub id: SilenceId,
    /// The model, or a pattern in which `*` stands for anything.
    pub model: String,
    /// The endpoint, likewise.
    pub endpoint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub comment: String,
}

/// Alerts and what is sent of them, beyond what a run concludes.
///
/// As with [`Store`](super::Store), every write is durable when its future resolves.
pub trait AlertStore: Send + Sync {
    /// Keeps changes that no run causes, such as those of a check that failed before it had one. All or nothing.
    fn update_alerts<'a>(&'a self, update: &'a AlertUpdate) -> StoreFuture<'a, ()>;

    /// How all alerts stand, by subject.
    fn alerts(&self) -> StoreFuture<'_, Vec<Alert>>;

    /// What is to be sent at this time, the earliest first.
    fn due(&self, now: Timestamp) -> StoreFuture<'_, Vec<OutboxEntry>>;

    /// What was made at this time or later, and all that still waits, the earliest first.
    fn outbox(&self, since: Timestamp) -> StoreFuture<'_, Vec<OutboxEntry>>;

    /// Keeps what came of an attempt. What was sent stays sent.
    fn settle<'a>(&'a self, key: &'a str, delivery: &'a Delivery) -> StoreFuture<'a, ()>;

    /// Makes everything that was given up due again, and says how much that is.
    fn take_up_again(&self, now: Timestamp) -> StoreFuture<'_, u64>;

    /// Adds a silence.
    fn add_silence<'a>(&'a self, silence: &'a Silence) -> StoreFuture<'a, ()>;

    /// The silences that hold at this time, in the order of their making.
    fn silences(&self, now: Timestamp) -> StoreFuture<'_, Vec<Silence>>;

    /// Ends a silence, and says whether it still held.
    fn end_silence(&self, id: SilenceId, now: Timestamp) -> StoreFuture<'_, bool>;
}
