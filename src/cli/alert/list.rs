//! `samemodel alert list`: how alerts stand beside what the latest run says, what is silenced, and what waits to be sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode as Code;

use jiff::Timestamp;

use super::{SHOWN, shown};
use crate::alert::{Alert, Kind, Phase, Policy, Scope};
use crate::cli::snapshots::group::item;
use crate::cli::{FILE_WIDTH, clock, emit, terminal_width};
use crate::config::{Config, Model};
use crate::deliver::words;
use crate::exit::ExitCode;
use crate::report::words::{WHAT_SENDS, count};
use crate::store::{
    AlertStore as _, OutboxEntry, RecordedResult, Silence, SqliteStore, State, Store as _, StoreError, latest_results,
};

/// What was found last of each endpoint, by model.
type Latest = BTreeMap<String, BTreeMap<String, RecordedResult>>;

pub(super) async fn list(store: Option<&SqliteStore>, config: &Config) -> anyhow::Result<Code> {
    let (now, width) = (clock::now(), width());
    let (alerts, silences, entries) = match store {
        Some(store) => (store.alerts().await?, store.silences(now).await?, store.outbox(now - SHOWN).await?),
        None => (Vec::new(), Vec::new(), Vec::new()),
    };
    let told: Vec<&Alert> = alerts.iter().filter(|alert| !matches!(alert.phase, Phase::Quiet)).collect();
    let latest = latest(store, &told, &config.model, now).await?;
    let policy = Policy::of(&config.alert);
    let mut out = totals(&alerts) + "\n";
    for alert in told {
        let is_silenced = silences.iter().any(|silence| scope(silence).holds(&alert.subject));
        let silenced = if is_silenced { ", silenced" } else { "" };
        let is_looked_after = alert.subject.is_looked_after(config);
        let abandoned = if is_looked_after { "" } else { ", no longer checked" };
        out += &item(&row(alert, &format!("{silenced}{abandoned}")), 0, width);
        if let Some(line) = since_then(alert, &latest, is_looked_after.then_some(&policy)) {
            out += &item(&line, 10, width);
        }
    }
    let _ = writeln!(out, "\n{}", count(silences.len(), "silence"));
    for silence in silences {
        let Silence { id, model, endpoint, until, comment, .. } = silence;
        let line = format!("{id}  {model}/{endpoint}  until {}  {comment}", shown(until));
        out += &item(&line, 0, width);
    }
    let _ = writeln!(out, "\n{} of the last 7 days", count(entries.len(), "message"));
    for entry in &entries {
        out += &item(&message(entry, now), 0, width);
    }
    if entries.iter().any(|entry| entry.state.is_due(now)) {
        out += &item(WHAT_SENDS, 0, width);
    }
    emit(&out)?;
    Ok(ExitCode::Consistent.into())
}

/// Columns of a line: those of a terminal, while in a file or a pipe each thing has a line of its own.
fn width() -> usize {
    let stdout = std::io::stdout();
    if stdout.is_terminal() { terminal_width(&stdout).min(FILE_WIDTH) } else { usize::MAX }
}

/// How many alerts stand how: there is one for each endpoint and each thing that may be wrong with it.
fn totals(alerts: &[Alert]) -> String {
    let of = |phase: &str| alerts.iter().filter(|alert| alert.phase.as_str() == phase).count();
    let phases = ["firing", "pending", "resolved", "quiet"].map(|phase| (of(phase), phase));
    let parts: Vec<String> =
        phases.into_iter().filter(|(n, _)| *n > 0).map(|(n, phase)| format!("{n} {phase}")).collect();
    if parts.is_empty() { "no alerts yet".to_owned() } else { format!("alerts: {}", parts.join(", ")) }
}

fn scope(silence: &Silence) -> Scope {
    Scope { model: silence.model.clone(), endpoint: silence.endpoint.clone() }
}

fn row(alert: &Alert, marks: &str) -> String {
    let Alert { subject, phase, facts, .. } = alert;
    let about = match subject.kind {
        Kind::Checker => subject.model.clone(),
        _ => format!("{}/{}", subject.model, subject.endpoint),
    };
    let flapping = matches!(phase, Phase::Firing(firing) if firing.flapping);
    let word = if flapping { "flapping" } else { phase.as_str() };
    let since = phase.since().map(shown).unwrap_or_default();
    let (kind, severity) = (subject.kind.as_str(), facts.severity.as_str());
    format!("{word:<9} {kind:<15} {about}  {severity}{marks}, since {since}  {}", facts.reason)
}

/// What the latest run says of an endpoint whose alert is about an earlier one, and what the alert waits for: nothing where no check
/// looks after it, and no policy holds.
fn since_then(alert: &Alert, latest: &Latest, policy: Option<&Policy>) -> Option<String> {
    let subject = &alert.subject;
    let is_of_endpoint = matches!(subject.kind, Kind::Drift | Kind::Unreachable);
    let found = latest.get(&subject.model).filter(|_| is_of_endpoint).and_then(|found| found.get(&subject.endpoint));
    let last = found.map(|found| match &found.result {
        result if result.reason == alert.facts.reason => format!("last run: {}", result.verdict),
        result => format!("last run: {}, {}", result.verdict, result.reason),
    });
    let waits = policy.and_then(|policy| waits(alert, policy));
    let parts: Vec<String> = last.into_iter().chain(waits).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn waits(alert: &Alert, policy: &Policy) -> Option<String> {
    let kind = alert.subject.kind;
    match &alert.phase {
        Phase::Firing(firing) => {
            let needed = count(policy.pass_after(kind) as usize, "pass");
            Some(format!("{} of {needed} to resolve", firing.passes))
        }
        Phase::Pending { failures, .. } => {
            let needed = count(policy.fail_after(kind) as usize, "failing run");
            Some(format!("{failures} of {needed} before it is told"))
        }
        Phase::Quiet | Phase::Resolved { .. } => None,
    }
}

async fn latest(
    store: Option<&SqliteStore>,
    alerts: &[&Alert],
    configured: &BTreeMap<String, Model>,
    now: Timestamp,
) -> Result<Latest, StoreError> {
    let mut out = Latest::new();
    let Some(store) = store else { return Ok(out) };
    for model in alerts.iter().map(|alert| &alert.subject.model) {
        if !out.contains_key(model) {
            let results = store.results_since(model, Timestamp::MIN).await?;
            let reference = configured.get(model).map(|configured| &configured.reference);
            out.insert(model.clone(), latest_results(results, reference, now));
        }
    }
    Ok(out)
}

fn message(entry: &OutboxEntry, now: Timestamp) -> String {
    let notification = &entry.notification;
    let about = serde_json::from_str(&notification.event).map(|message| words::headline(&message)).unwrap_or_default();
    let (state, at) = match entry.state {
        State::Sent(at) => ("sent", at),
        State::Waiting(at) if entry.state.is_due(now) => ("due since", at),
        State::Waiting(at) => ("waits", at),
        State::GivenUp(at) => ("given up", at),
    };
    let why = entry.failure.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{state:<9} {}  {}  {about}{why}", shown(at), notification.receiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Firing, Subject};
    use crate::config::Alerting;
    use crate::store::{EndpointResult, Notification, RunId};
    use crate::verdict::Verdict;

    fn alert(phase: Phase) -> Alert {
        let subject = Subject { model: "m".into(), endpoint: "alpha".into(), kind: Kind::Drift };
        Alert { phase, ..Alert::new(subject) }
    }

    fn latest() -> Latest {
        let result = EndpointResult {
            endpoint: "alpha".into(),
            verdict: Verdict::Inconclusive,
            reason: "weights 0 %".into(),
            p_value: None,
            q_value: None,
            e_value: None,
            effect: None,
            tolerance: 0.05,
            samples: 10,
            attempts: 10,
            errors: 0,
            cost: None,
            findings: Vec::new(),
        };
        let started_at = Timestamp::UNIX_EPOCH;
        let found = RecordedResult { run: RunId::at(started_at), started_at, reference: "r".into(), result };
        Latest::from([("m".to_owned(), BTreeMap::from([("alpha".to_owned(), found)]))])
    }

    #[test]
    fn a_message_whose_time_has_come_is_due_since_then() {
        let at = Timestamp::UNIX_EPOCH;
        let (key, receiver, event) = ("k".into(), "hook".into(), "{}".into());
        let notification = Notification { key, receiver, run: None, created_at: at, event };
        let entry = OutboxEntry { notification, attempts: 1, state: State::Waiting(at), failure: Some("503".into()) };
        assert_eq!(message(&entry, at), "due since 1970-01-01 00:00 UTC  hook   (503)");
        let before = at - jiff::SignedDuration::from_secs(1);
        assert_eq!(message(&entry, before), "waits     1970-01-01 00:00 UTC  hook   (503)");
    }

    #[test]
    fn an_alert_stands_beside_what_the_latest_run_says_and_what_it_waits_for() {
        let policy = Policy::of(&Alerting { fail_after: 3, pass_after: 2, ..Alerting::default() });
        let since = Timestamp::UNIX_EPOCH;
        let firing = alert(Phase::Firing(Firing { since, passes: 1, flapping: false, told: None }));
        let line = since_then(&firing, &latest(), Some(&policy));
        assert_eq!(line.as_deref(), Some("last run: inconclusive, weights 0 %; 1 of 2 passes to resolve"));
        let mut same = firing.clone();
        same.facts.reason = "weights 0 %".into();
        let line = since_then(&same, &latest(), None);
        assert_eq!(line.as_deref(), Some("last run: inconclusive"), "its reason is the alert's own");
        let pending = alert(Phase::Pending { since, failures: 1 });
        let line = since_then(&pending, &Latest::new(), Some(&policy));
        assert_eq!(line.as_deref(), Some("1 of 3 failing runs before it is told"));
        let resolved = alert(Phase::Resolved { since, at: since });
        assert_eq!(since_then(&resolved, &Latest::new(), Some(&policy)), None);
        assert_eq!(since_then(&pending, &Latest::new(), None), None, "no check looks after it, so nobody is ever told");
        assert!(row(&firing, ", silenced").contains("m/alpha  warning, silenced, since 1970-01-01"));
        assert_eq!(
            totals(&[firing, pending, resolved, alert(Phase::Quiet)]),
            "alerts: 1 firing, 1 pending, 1 resolved, 1 quiet"
        );
    }
}
