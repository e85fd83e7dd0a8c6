//! What is not observed because something greater is wrong: one cause is told of once.
//!
//! An observation that is taken away leaves its alert as it was: nothing is counted, resolved or brought to mind.

use std::collections::BTreeMap;

use super::advance::{Condition, Observation};
use super::state::{Alert, Kind, Phase, Subject};

/// The observations that count, given how the alerts stand.
///
/// - A check that failed has observed nothing else.
/// - An endpoint that cannot be reached is not also drifting.
/// - When the reference has moved, it is not the endpoints that drift.
///
/// The greater trouble holds from its first failure on, before anyone is told, and until it is seen to be right.
pub fn inhibit(alerts: &BTreeMap<Subject, Alert>, observations: Vec<Observation>) -> Vec<Observation> {
    let wrong: Vec<Subject> = observations
        .iter()
        .map(|seen| &seen.subject)
        .chain(alerts.keys())
        .filter(|subject| subject.kind != Kind::Drift && is_wrong(subject, alerts, &observations))
        .cloned()
        .collect();
    let stands_behind = |seen: &Observation| {
        wrong.iter().any(|greater| greater.model == seen.subject.model && covers(greater, &seen.subject))
    };
    observations.into_iter().filter(|seen| !stands_behind(seen)).collect()
}

fn covers(greater: &Subject, subject: &Subject) -> bool {
    match greater.kind {
        Kind::Checker => subject.kind != Kind::Checker,
        Kind::ReferenceMoved => subject.kind == Kind::Drift,
        Kind::Unreachable => subject.kind == Kind::Drift && subject.endpoint == greater.endpoint,
        Kind::Drift | Kind::FeaturesChanged => false,
    }
}

/// What this run saw goes before what was known.
fn is_wrong(subject: &Subject, alerts: &BTreeMap<Subject, Alert>, observations: &[Observation]) -> bool {
    let seen = observations.iter().find(|seen| seen.subject == *subject).map(|seen| seen.condition);
    match seen {
        Some(Condition::Failing) => true,
        Some(Condition::Passing) => false,
        // A check that is under way has reached its hosts, whatever became of the last one.
        Some(Condition::Unknown) | None => {
            subject.kind != Kind::Checker
                && alerts.get(subject).is_some_and(|alert| matches!(alert.phase, Phase::Firing(_)))
        }
    }
}
