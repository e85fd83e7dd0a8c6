//! How what is watched stands, for people and as `samemodel.status/1`: the latest verdicts, what fires, and what is to come.
//!
//! Layer 4, pure. As in reports, what came from a host is raw in the JSON and escaped on the screen, which is in `screen`.

use std::cmp::Reverse;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::percent;
use crate::alert::{Alert, Firing, Kind, Phase, Severity, fits};
use crate::config::Config;
use crate::schedule::{Step, Tier};
use crate::store::{EndpointResult, OutboxEntry, RecordedResult, Silence, State};
use crate::verdict::{Effect, Finding, Verdict};

mod screen;
#[cfg(test)]
mod tests;

/// The schema name that a status carries.
pub const SCHEMA: &str = "samemodel.status/1";

/// How what is watched stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "How what is watched stands")]
pub struct StatusReport {
    /// Always `samemodel.status/1`.
    pub schema: String,
    /// When it stood so, RFC 3339 in UTC.
    pub at: String,
    /// What is watched, or the model that was named.
    pub models: Vec<ModelStatus>,
    /// Alerts that fire or are pending: those that fire first, and of these the gravest; last those that no check looks after.
    pub alerts: Vec<AlertStatus>,
    /// Silences that hold.
    pub silences: Vec<SilenceStatus>,
    /// Messages that are still to be sent, or were given up.
    pub messages: Vec<MessageStatus>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelStatus {
    /// The nominal model.
    pub model: String,
    /// What its checks hold endpoints against; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The check that comes next; absent where none is to come.
    pub next: Option<NextCheck>,
    /// The latest run, where it has not ended: it is at work, or was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_run: Option<OpenRun>,
    /// Snapshots that wait for review.
    pub waiting: usize,
    /// The endpoints that are judged.
    pub endpoints: Vec<EndpointStatus>,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenRun {
    /// Its id.
    pub run: String,
    /// What it holds endpoints against.
    pub reference: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
}

/// A check that is to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextCheck {
    /// `pulse` or `full`.
    pub tier: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Whether its time has come.
    pub is_due: bool,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointStatus {
    /// The endpoint.
    pub endpoint: String,
    /// What a check said of it last, or, where there was none, a test; absent where it was never judged.
    pub latest: Option<LatestVerdict>,
}

/// What a run said of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatestVerdict {
    /// The run's id.
    pub run: String,
    /// When the run began, RFC 3339 in UTC.
    pub started_at: String,
    /// What the run held the endpoint against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What decided it, or what is missing, in a line.
    pub reason: String,
    /// The effect that decides.
    pub effect: Option<Effect>,
    /// What keeps many requests from being answered, beside a verdict that is open; in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
    /// How the run ended: `complete`, `partial` or `stopped-budget`; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_status: Option<String>,
}

/// An alert that fires or is pending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertStatus {
    /// The nominal model; empty where a check failed before it knew one.
    pub model: String,
    /// The endpoint; empty for what concerns the model's checks as a whole.
    pub endpoint: String,
    /// What is wrong.
    pub kind: Kind,
    /// `firing` or `pending`.
    pub phase: String,
    /// Whether it comes and goes.
    pub flapping: bool,
    /// Whether nobody is told.
    pub silenced: bool,
    /// Whether the configuration no longer has what it is about, so that no check finds it right again.
    #[serde(default)]
    pub abandoned: bool,
    /// How much it matters.
    pub severity: Severity,
    /// When it was first seen, RFC 3339 in UTC.
    pub since: String,
    /// What was seen, in a line.
    pub reason: String,
    /// Likely causes, the surest first.
    pub causes: Vec<Finding>,
}

/// A silence that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SilenceStatus {
    /// Its id.
    pub id: String,
    /// The model, or a pattern in which `*` stands for anything.
    pub model: String,
    /// The endpoint, likewise.
    pub endpoint: String,
    /// When it ends, RFC 3339 in UTC.
    pub until: String,
    /// Why.
    pub comment: String,
}

/// A message that was not sent yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageStatus {
    /// The receiver by its name in the configuration.
    pub receiver: String,
    /// `waiting` or `given-up`.
    pub state: String,
    /// When it is tried next, or was given up, RFC 3339 in UTC.
    pub at: String,
    /// Whether its time has come: the next check sends it.
    #[serde(default)]
    pub is_due: bool,
    /// What it says, in a line.
    pub about: String,
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
}

impl NextCheck {
    /// What a schedule says is to be done.
    pub fn of(step: Step) -> Option<Self> {
        let next = |tier: Tier, at: Timestamp| Self { tier: tier.to_string(), at: at.to_string(), is_due: false };
        match step {
            Step::Run(due) => Some(Self { is_due: true, ..next(due.tier, due.at) }),
            Step::Wait { tier, until } => Some(next(tier, until)),
            Step::Never => None,
        }
    }
}

impl From<RecordedResult> for LatestVerdict {
    fn from(RecordedResult { run, started_at, reference, result }: RecordedResult) -> Self {
        Self {
            failing: failing(&result),
            run_status: None,
            run: run.to_string(),
            started_at: started_at.to_string(),
            reference: Some(reference),
            verdict: result.verdict,
            reason: result.reason,
            effect: result.effect,
        }
    }
}

/// Faults that are failures of requests.
const OF_REQUESTS: [&str; 2] = ["request-refused", "flaky-host"];

/// What keeps many requests from being answered. Where nothing is measured, the reason says it; and a drift has others.
fn failing(result: &EndpointResult) -> Option<String> {
    if result.verdict != Verdict::Inconclusive {
        return None;
    }
    let found = result.findings.iter().find(|finding| OF_REQUESTS.contains(&finding.fault.as_str()));
    let many = || {
        let share = result.errors as f64 / result.attempts.max(1) as f64;
        (result.errors * 10 > result.attempts).then(|| format!("{} of attempts failed", percent(share)))
    };
    found.map(|finding| format!("{}: {}", finding.fault, finding.evidence)).or_else(many)
}

impl AlertStatus {
    /// Of these alerts those that fire or are pending, in their order.
    pub fn all(alerts: Vec<Alert>, silences: &[Silence], config: &Config) -> Vec<Self> {
        let mut out: Vec<Self> = alerts.into_iter().filter_map(|alert| Self::of(alert, silences, config)).collect();
        out.sort_by_key(|alert| (alert.abandoned, !alert.is_firing(), Reverse(alert.severity)));
        out
    }

    fn of(alert: Alert, silences: &[Silence], config: &Config) -> Option<Self> {
        let Alert { subject, phase, facts, .. } = alert;
        let (since, flapping) = match &phase {
            Phase::Pending { since, .. } => (*since, false),
            Phase::Firing(Firing { since, flapping, .. }) => (*since, *flapping),
            Phase::Quiet | Phase::Resolved { .. } => return None,
        };
        let holds = |s: &Silence| fits(&s.model, &subject.model) && fits(&s.endpoint, &subject.endpoint);
        Some(Self {
            silenced: silences.iter().any(holds),
            abandoned: !subject.is_looked_after(config),
            model: subject.model,
            endpoint: subject.endpoint,
            kind: subject.kind,
            phase: phase.as_str().to_owned(),
            flapping,
            severity: facts.severity,
            since: since.to_string(),
            reason: facts.reason,
            causes: facts.causes,
        })
    }

    fn is_firing(&self) -> bool {
        self.phase == "firing"
    }
}

impl From<Silence> for SilenceStatus {
    fn from(silence: Silence) -> Self {
        let Silence { id, model, endpoint, until, comment, .. } = silence;
        Self { id: id.to_string(), model, endpoint, until: until.to_string(), comment }
    }
}

impl MessageStatus {
    /// A message about this as it stands at `now`, unless it was sent.
    pub fn of(entry: OutboxEntry, about: String, now: Timestamp) -> Option<Self> {
        let is_due = entry.state.is_due(now);
        let (state, at) = match entry.state {
            State::Sent(_) => return None,
            State::Waiting(at) => ("waiting", at),
            State::GivenUp(at) => ("given-up", at),
        };
        let (state, at, receiver) = (state.to_owned(), at.to_string(), entry.notification.receiver);
        Some(Self { receiver, state, at, is_due, about, failure: entry.failure })
    }
}

impl StatusReport {
    /// Whether any alert fires, silenced or not, of what checks still look after.
    pub fn is_firing(&self) -> bool {
        self.alerts.iter().any(|alert| alert.is_firing() && !alert.abandoned)
    }

    /// As JSON, indented; ends with a newline.
    pub fn json(&self) -> String {
        super::json::pretty(self)
    }
}
