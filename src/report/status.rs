//! How what is watched stands, for people and as `samemodel.status/1`: the latest verdicts, what fires, and what is to come.
//!
//! Layer 4, pure. As in reports, what came from a host is raw in the JSON and escaped on the screen.

use std::cmp::Reverse;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::tone;
use super::layout::{self, Tone, left, wrap};
use super::terminal::View;
use super::{escape, words};
use crate::alert::{Alert, Firing, Kind, Phase, Severity, fits};
use crate::schedule::{Step, Tier};
use crate::store::{OutboxEntry, RecordedResult, Silence, State};
use crate::verdict::{Effect, Finding, Verdict};

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
    /// Alerts that fire or are pending: those that fire first, and of these the gravest.
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
    /// The check that comes next; absent where none is to come.
    pub next: Option<NextCheck>,
    /// Snapshots that wait for review.
    pub waiting: usize,
    /// The endpoints that are judged.
    pub endpoints: Vec<EndpointStatus>,
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
    /// What was said of it last; absent where it was never judged.
    pub latest: Option<LatestVerdict>,
}

/// What a run said of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatestVerdict {
    /// The run's id.
    pub run: String,
    /// When the run began, RFC 3339 in UTC.
    pub started_at: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What decided it, or what is missing, in a line.
    pub reason: String,
    /// The effect that decides.
    pub effect: Option<Effect>,
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
    /// What it says, in a line.
    pub about: String,
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
}

impl NextCheck {
    /// What a schedule says is to be done.
    pub fn of(step: Step) -> Option<Self> {
        let next = |tier: Tier, at: jiff::Timestamp| Self { tier: tier.to_string(), at: at.to_string(), is_due: false };
        match step {
            Step::Run(due) => Some(Self { is_due: true, ..next(due.tier, due.at) }),
            Step::Wait { tier, until } => Some(next(tier, until)),
            Step::Never => None,
        }
    }

    fn words(&self) -> String {
        let check = if self.tier == Tier::Full.as_str() { "full check" } else { &self.tier };
        let at = minute(&self.at);
        if self.is_due { format!("{check} due since {at} UTC") } else { format!("next {check} at {at} UTC") }
    }
}

impl From<RecordedResult> for LatestVerdict {
    fn from(RecordedResult { run, started_at, result }: RecordedResult) -> Self {
        Self {
            run: run.to_string(),
            started_at: started_at.to_string(),
            verdict: result.verdict,
            reason: result.reason,
            effect: result.effect,
        }
    }
}

impl AlertStatus {
    /// Of these alerts those that fire or are pending, in their order.
    pub fn all(alerts: Vec<Alert>, silences: &[Silence]) -> Vec<Self> {
        let mut out: Vec<Self> = alerts.into_iter().filter_map(|alert| Self::of(alert, silences)).collect();
        out.sort_by_key(|alert| (!alert.is_firing(), Reverse(alert.severity)));
        out
    }

    fn of(alert: Alert, silences: &[Silence]) -> Option<Self> {
        let Alert { subject, phase, facts, .. } = alert;
        let (since, flapping) = match &phase {
            Phase::Pending { since, .. } => (*since, false),
            Phase::Firing(Firing { since, flapping, .. }) => (*since, *flapping),
            Phase::Quiet | Phase::Resolved { .. } => return None,
        };
        let holds = |s: &Silence| fits(&s.model, &subject.model) && fits(&s.endpoint, &subject.endpoint);
        Some(Self {
            silenced: silences.iter().any(holds),
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

    fn words(&self) -> String {
        let about = match (self.model.as_str(), self.endpoint.as_str()) {
            ("", _) => "samemodel".to_owned(),
            (model, "") => model.to_owned(),
            (model, endpoint) => format!("{model}/{endpoint}"),
        };
        let phase = if self.flapping { "flapping" } else { &self.phase };
        let silenced = if self.silenced { ", silenced" } else { "" };
        let cause = self.causes.first().map(|c| format!("; {} ({})", c.fault, words::confidence(c.confidence)));
        let (kind, severity, since) = (self.kind.as_str(), self.severity.as_str(), minute(&self.since));
        let head = format!("{phase}: {kind} of {about}, {severity}{silenced}, since {since} UTC");
        format!("{head}: {}{}", self.reason, cause.unwrap_or_default())
    }
}

impl From<Silence> for SilenceStatus {
    fn from(silence: Silence) -> Self {
        let Silence { id, model, endpoint, until, comment, .. } = silence;
        Self { id: id.to_string(), model, endpoint, until: until.to_string(), comment }
    }
}

impl SilenceStatus {
    fn words(&self) -> String {
        let Self { model, endpoint, comment, .. } = self;
        let why = if comment.is_empty() { String::new() } else { format!(": {comment}") };
        format!("{model}/{endpoint} until {} UTC{why}", minute(&self.until))
    }
}

impl MessageStatus {
    /// A message about this, unless it was sent.
    pub fn of(entry: OutboxEntry, about: String) -> Option<Self> {
        let (state, at) = match entry.state {
            State::Sent(_) => return None,
            State::Waiting(at) => ("waiting", at),
            State::GivenUp(at) => ("given-up", at),
        };
        let (state, at, receiver) = (state.to_owned(), at.to_string(), entry.notification.receiver);
        Some(Self { receiver, state, at, about, failure: entry.failure })
    }

    fn words(&self) -> String {
        let Self { receiver, about, .. } = self;
        let at = minute(&self.at);
        let why = self.failure.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        match self.state.as_str() {
            "waiting" => format!("waits for {receiver} until {at} UTC: {about}{why}"),
            _ => format!("given up for {receiver} at {at} UTC: {about}{why}"),
        }
    }
}

impl StatusReport {
    /// Whether any alert fires, silenced or not.
    pub fn is_firing(&self) -> bool {
        self.alerts.iter().any(AlertStatus::is_firing)
    }

    /// As JSON, indented; ends with a newline.
    pub fn json(&self) -> String {
        super::json::pretty(self)
    }

    /// As one screen: what is wrong in a line, then each model, and then what there is of alerts, silences and messages.
    pub fn screen(&self, view: View) -> String {
        let tone = if self.is_firing() { Tone::Bad } else { Tone::Heading };
        let head = format!("{} UTC: {}", minute(&self.at), self.summary());
        let mut out = view.paint.apply(tone, &head) + "\n";
        for model in &self.models {
            out.push('\n');
            model.put(&mut out, view);
        }
        let sections = [
            ("alerts", self.alerts.iter().map(AlertStatus::words).collect::<Vec<_>>()),
            ("silences", self.silences.iter().map(SilenceStatus::words).collect()),
            ("messages", self.messages.iter().map(MessageStatus::words).collect()),
        ];
        for (title, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
            let _ = writeln!(out, "\n{}", view.paint.apply(Tone::Heading, title));
            for line in lines {
                put(&mut out, line, view);
            }
        }
        out
    }

    fn summary(&self) -> String {
        let firing = self.alerts.iter().filter(|alert| alert.is_firing()).count();
        match (firing, self.alerts.len() - firing) {
            (0, 0) => "nothing fires".to_owned(),
            (0, pending) => format!("nothing fires, {pending} pending"),
            (firing, 0) => format!("{firing} firing"),
            (firing, pending) => format!("{firing} firing, {pending} pending"),
        }
    }
}

impl ModelStatus {
    fn put(&self, out: &mut String, view: View) {
        let waits = if self.waiting == 1 { "waits" } else { "wait" };
        let review = format!("{} {waits} for `samemodel review`", words::count(self.waiting, "snapshot"));
        let next = self.next.as_ref().map_or_else(|| "no check is to come".to_owned(), NextCheck::words);
        let parts: Vec<String> = [next].into_iter().chain((self.waiting > 0).then_some(review)).collect();
        put(out, &format!("{}: {}", self.model, parts.join("; ")), view);
        for endpoint in &self.endpoints {
            let _ = writeln!(out, "{}", endpoint.row(view));
        }
    }
}

/// Columns of an endpoint's name, and what stands before an effect: name, time and verdict with their gaps.
const NAME: usize = 20;
const BEFORE_EFFECT: usize = 2 + NAME + 2 + 16 + 2 + 12 + 2;

impl EndpointStatus {
    fn row(&self, view: View) -> String {
        let name = layout::name(&escape::line(&self.endpoint), NAME);
        let Some(latest) = &self.latest else { return format!("  {name}  never judged") };
        let verdict = view.paint.apply(tone(latest.verdict), &left(latest.verdict.as_str(), 12));
        let effect = latest.effect.as_ref().map_or_else(String::new, words::effect);
        let effect = left(&effect, view.width.saturating_sub(BEFORE_EFFECT).max(8));
        format!("  {name}  {}  {verdict}  {effect}", minute(&latest.started_at)).trim_end().to_owned()
    }
}

/// A time to the minute.
fn minute(at: &str) -> String {
    at.get(..16).unwrap_or(at).replace('T', " ")
}

/// Writes raw text in lines that fit; those after the first are set in.
fn put(out: &mut String, text: &str, view: View) {
    let lines = wrap(&escape::line(text), view.width.saturating_sub(2));
    for (number, line) in lines.iter().enumerate() {
        let indent = if number == 0 { "" } else { "  " };
        let _ = writeln!(out, "{indent}{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::alert::{Facts, Subject};
    use crate::report::Paint;
    use crate::report::tests::committed;
    use crate::schedule::Due;
    use crate::store::{Notification, SilenceId};
    use crate::verdict::{Confidence, EffectName};

    const NARROW: View = View { width: 80, paint: Paint::Plain };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn alert(endpoint: &str, phase: Phase) -> Alert {
        let subject = Subject { model: "m".into(), endpoint: endpoint.into(), kind: Kind::Drift };
        let (fault, evidence) = ("swapped-model".to_owned(), String::new());
        let causes = vec![Finding { fault, confidence: Confidence::Likely, evidence }];
        let reason = "as if 31 % of its answers came from another\u{1b}[2J model".to_owned();
        Alert { phase, facts: Facts { reason, causes, ..Facts::default() }, ..Alert::new(subject) }
    }

    fn silence() -> Silence {
        Silence {
            id: SilenceId::generate(),
            model: "m".into(),
            endpoint: "al*".into(),
            created_at: at("2026-03-01T10:00:00Z"),
            until: at("2026-03-08T10:00:00Z"),
            comment: "they are on it".into(),
        }
    }

    fn entry(state: State) -> OutboxEntry {
        let notification = Notification {
            key: "k".into(),
            receiver: "hook".into(),
            run: None,
            created_at: at("2026-03-01T12:00:00Z"),
            event: "{}".into(),
        };
        OutboxEntry { notification, attempts: 1, state, failure: Some("connection refused".into()) }
    }

    fn report() -> StatusReport {
        let effect = Effect { name: EffectName::Substitution, estimate: 0.31, low: 0.22, high: 0.39 };
        let latest = LatestVerdict {
            run: "0193a5c2-7f04-7000-8000-000000000000".into(),
            started_at: "2026-03-01T12:00:00Z".into(),
            verdict: Verdict::Drifted,
            reason: "as if from another model".into(),
            effect: Some(effect),
        };
        let same =
            LatestVerdict { verdict: Verdict::Unmeasured, effect: None, reason: "no answers".into(), ..latest.clone() };
        let endpoints = [("alpha", Some(latest)), ("be\u{1b}[2Jta", Some(same)), ("gamma", None)];
        let endpoints = endpoints.map(|(name, latest)| EndpointStatus { endpoint: name.to_owned(), latest });
        let until = at("2026-03-01T12:15:00Z");
        let firing = Firing { since: at("2026-03-01T11:00:00Z"), passes: 0, flapping: false, told: None };
        let pending = Phase::Pending { since: at("2026-03-01T12:00:00Z"), failures: 1 };
        let alerts = vec![alert("gamma", pending), alert("beta", Phase::Quiet), alert("alpha", Phase::Firing(firing))];
        StatusReport {
            schema: SCHEMA.to_owned(),
            at: "2026-03-01T12:05:30.5Z".to_owned(),
            models: vec![ModelStatus {
                model: "m".to_owned(),
                next: NextCheck::of(Step::Wait { tier: Tier::Pulse, until }),
                waiting: 4,
                endpoints: endpoints.into(),
            }],
            alerts: AlertStatus::all(alerts, &[silence()]),
            silences: vec![silence().into()],
            messages: [State::Sent(until), State::Waiting(until), State::GivenUp(until)]
                .into_iter()
                .filter_map(|state| MessageStatus::of(entry(state), "m: 1 drifting".to_owned()))
                .collect(),
        }
    }

    #[test]
    fn one_screen_of_eighty_columns_says_how_all_stands() {
        let screen = report().screen(NARROW);
        assert!(screen.lines().all(|line| layout::width(line) <= 80), "{screen}");
        insta::assert_snapshot!(screen, @r"
        2026-03-01 12:05 UTC: 1 firing, 1 pending

        m: next pulse at 2026-03-01 12:15 UTC; 4 snapshots wait for `samemodel review`
          alpha                 2026-03-01 12:00  drifted       31 % (22 to 39)
          be\u{1b}[2Jta         2026-03-01 12:00  unmeasured
          gamma                 never judged

        alerts
        firing: drift of m/alpha, warning, silenced, since 2026-03-01 11:00 UTC: as if
          31 % of its answers came from another\u{1b}[2J model; swapped-model (likely)
        pending: drift of m/gamma, warning, since 2026-03-01 12:00 UTC: as if 31 % of
          its answers came from another\u{1b}[2J model; swapped-model (likely)

        silences
        m/al* until 2026-03-08 10:00 UTC: they are on it

        messages
        waits for hook until 2026-03-01 12:15 UTC: m: 1 drifting (connection refused)
        given up for hook at 2026-03-01 12:15 UTC: m: 1 drifting (connection refused)
        ");
    }

    #[test]
    fn where_nothing_is_wrong_there_is_little_to_say() {
        let due = Due { tier: Tier::Full, at: at("2026-03-01T04:00:00Z"), covers: None };
        let mut report = report();
        (report.alerts, report.silences, report.messages) = (Vec::new(), Vec::new(), Vec::new());
        (report.models[0].next, report.models[0].waiting) = (NextCheck::of(Step::Run(due)), 0);
        report.models[0].endpoints.clear();
        assert_eq!(
            report.screen(NARROW),
            "2026-03-01 12:05 UTC: nothing fires\n\nm: full check due since 2026-03-01 04:00 UTC\n"
        );
        assert!(!report.is_firing());
        report.models[0].next = NextCheck::of(Step::Never);
        assert!(report.screen(NARROW).ends_with("m: no check is to come\n"));
    }

    #[test]
    fn the_committed_schema_is_that_of_the_types_and_a_status_follows_it() {
        let schema = crate::report::json::schema::<StatusReport>();
        committed("schemas/status.json", &schema);
        let report = report();
        let value: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
        assert!(jsonschema::is_valid(&serde_json::from_str(&schema).expect("JSON"), &value));
        assert_eq!(serde_json::from_value::<StatusReport>(value).expect("a status"), report);
        assert!(report.is_firing() && report.alerts[0].silenced && !report.alerts[1].silenced);
    }
}
