//! The state machine of one alert: from pending over firing to resolved, and what is told on the way.
//!
//! Thresholds keep single runs from being told, reminders keep what lasts from being forgotten, and damping keeps what
//! comes and goes from being told each time. What cannot be decided neither advances an alert nor resets it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::features::digest;
use super::pattern::Scope;
use super::state::{Alert, Facts, Firing, Kind, Phase, Severity, Subject, Told};
use crate::config::Alerting;
use crate::verdict::{Confidence, Effect};

/// What a run saw of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Of what.
    pub subject: Subject,
    /// Whether it is wrong.
    pub condition: Condition,
    /// What it looked like.
    pub facts: Facts,
}

/// Whether something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It is.
    Failing,
    /// It is not.
    Passing,
    /// The run cannot tell.
    Unknown,
}

/// When people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row before an alert fires.
    pub fail_after: u32,
    /// Passes in a row before it is resolved.
    pub pass_after: u32,
    /// Time between two messages on what is still wrong.
    pub remind_every: Duration,
    /// Changes within the window from which on an alert flaps.
    pub flap_changes: u32,
    /// The window.
    pub flap_window: Duration,
}

impl Policy {
    /// The policy that a configuration asks for.
    pub fn of(config: &Alerting) -> Self {
        // Hours that were validated; what is out of range all the same is as good as never.
        let hours = |h: f64| Duration::try_from_secs_f64(h * 3600.0).unwrap_or(Duration::MAX);
        Self {
            fail_after: config.fail_after,
            pass_after: config.pass_after,
            remind_every: hours(config.remind_every),
            flap_changes: config.flap_changes,
            flap_window: hours(config.flap_window),
        }
    }

    /// Failures before an alert of this kind fires. A check that cannot measure leaves everything unseen, so once is enough.
    pub fn fail_after(&self, kind: Kind) -> u32 {
        if kind == Kind::Checker { 1 } else { self.fail_after }
    }

    /// Passes before one that fires is resolved.
    pub fn pass_after(&self, kind: Kind) -> u32 {
        if kind == Kind::Checker { 1 } else { self.pass_after }
    }
}

/// A run at the time of its observations.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When.
    pub now: Timestamp,
    /// The run; absent for a check that failed before it had one.
    pub run: Option<&'a str>,
    /// When people are told.
    pub policy: Policy,
    /// Whom nobody is told of.
    pub silences: &'a [Scope],
}

/// Something that people are to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Of what.
    pub subject: Subject,
    /// What happened.
    pub what: What,
    /// When what is wrong was first seen; of a change, when all was last seen to be as before.
    pub since: Timestamp,
    /// How much it matters, or did at its worst.
    pub severity: Severity,
    /// What it looks like, or last looked like.
    pub facts: Facts,
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It is wrong.
    Fired,
    /// It comes and goes.
    Flapping,
    /// It is clearly worse than was said, for the nth time.
    Grew(u32),
    /// It is still wrong, for the nth time.
    Reminder(u32),
    /// It is right again.
    Resolved,
    /// It is another than before; unlike what is wrong, that has no end.
    Changed,
}

impl Transition {
    /// The same event makes the same key, and no two events do: an alert fires, flaps and is resolved at most once since a
    /// given time, reminders and growth are counted, and changes are told apart by what they are.
    pub fn key(&self) -> String {
        let Subject { model, endpoint, kind } = &self.subject;
        let what = match self.what {
            What::Fired => "fired".to_owned(),
            What::Flapping => "flapping".to_owned(),
            What::Grew(n) => format!("grew-{n}"),
            What::Reminder(n) => format!("reminder-{n}"),
            What::Resolved => "resolved".to_owned(),
            What::Changed => format!("changed-{}", digest(&self.facts.features)),
        };
        format!("{model}/{endpoint}/{}/{}/{what}", kind.as_str(), self.since)
    }
}

/// What follows from a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Advanced {
    /// The alerts that were observed, as they stand now, by subject.
    pub states: Vec<Alert>,
    /// What people are to be told, by subject.
    pub transitions: Vec<Transition>,
}

/// Advances each alert by what was seen of it, in whatever order. Of two observations of one subject the worse counts.
pub fn advance(alerts: &BTreeMap<Subject, Alert>, mut observations: Vec<Observation>, moment: &Moment<'_>) -> Advanced {
    observations.sort_by(|a, b| (&a.subject, a.condition).cmp(&(&b.subject, b.condition)));
    observations.dedup_by(|later, first| later.subject == first.subject);
    let mut out = Advanced::default();
    for seen in &observations {
        let before = alerts.get(&seen.subject);
        let mut alert = before.cloned().unwrap_or_else(|| Alert::new(seen.subject.clone()));
        let happened = step(&mut alert, seen, moment);
        out.transitions.extend(happened.map(|(what, severity)| Transition {
            subject: alert.subject.clone(),
            what,
            since: alert.phase.since().unwrap_or(moment.now),
            severity,
            facts: alert.facts.clone(),
        }));
        // What nobody has ever been able to tell anything of leaves no trace.
        if before.is_some() || seen.condition != Condition::Unknown {
            out.states.push(alert);
        }
    }
    out
}

fn step(alert: &mut Alert, seen: &Observation, moment: &Moment<'_>) -> Option<(What, Severity)> {
    if moment.run.is_some() && alert.last_run.as_deref() == moment.run {
        return None;
    }
    let was_flapping = matches!(&alert.phase, Phase::Firing(firing) if firing.flapping);
    match seen.condition {
        Condition::Failing => fail(alert, seen, moment),
        Condition::Passing => {
            if let Some(told) = pass(alert, moment) {
                return Some((What::Resolved, told.severity));
            }
        }
        Condition::Unknown => {}
    }
    if seen.condition != Condition::Unknown {
        alert.last_run = moment.run.map(str::to_owned);
    }
    let began_to_flap = !was_flapping && matches!(&alert.phase, Phase::Firing(firing) if firing.flapping);
    speak(alert, seen.condition, began_to_flap, moment)
}

fn fail(alert: &mut Alert, seen: &Observation, moment: &Moment<'_>) {
    let flapping = turn(alert, Condition::Failing, moment);
    alert.facts = seen.facts.clone();
    let (since, failures) = match &mut alert.phase {
        Phase::Firing(firing) => {
            firing.passes = 0;
            firing.flapping |= flapping;
            return;
        }
        Phase::Pending { since, failures } => (*since, failures.saturating_add(1)),
        Phase::Quiet | Phase::Resolved { .. } => (moment.now, 1),
    };
    alert.phase = if failures >= moment.policy.fail_after(alert.subject.kind) || flapping {
        Phase::Firing(Firing { since, passes: 0, flapping, told: None })
    } else {
        Phase::Pending { since, failures }
    };
}

/// Takes note that it was right, and gives what was told of an alert that is resolved by that.
fn pass(alert: &mut Alert, moment: &Moment<'_>) -> Option<Told> {
    let flapping = turn(alert, Condition::Passing, moment);
    let calm = alert.changes.last().is_none_or(|last| elapsed(*last, moment.now) >= moment.policy.flap_window);
    match &mut alert.phase {
        Phase::Pending { .. } => alert.phase = Phase::Quiet,
        Phase::Firing(firing) => {
            firing.passes = firing.passes.saturating_add(1);
            firing.flapping |= flapping;
            let enough = firing.passes >= moment.policy.pass_after(alert.subject.kind);
            if enough && (calm || !firing.flapping) {
                let told = firing.told.take();
                alert.phase = Phase::Resolved { since: firing.since, at: moment.now };
                return told;
            }
        }
        Phase::Quiet | Phase::Resolved { .. } => {}
    }
    None
}

/// Takes note of a change between right and wrong, and says whether there were too many of them lately.
fn turn(alert: &mut Alert, condition: Condition, moment: &Moment<'_>) -> bool {
    let Moment { now, policy, .. } = *moment;
    let failing = condition == Condition::Failing;
    if alert.failing != failing {
        alert.failing = failing;
        alert.changes.push(now);
    }
    // The last change is kept, however long ago: calm is counted from it.
    let last = alert.changes.last().copied();
    alert.changes.retain(|at| elapsed(*at, now) <= policy.flap_window || Some(*at) == last);
    alert.changes.len() >= policy.flap_changes as usize
}

/// What is to be said of an alert that fires, if anything, taking note that it is.
fn speak(
    alert: &mut Alert,
    condition: Condition,
    began_to_flap: bool,
    moment: &Moment<'_>,
) -> Option<(What, Severity)> {
    let silenced = moment.silences.iter().any(|scope| scope.holds(&alert.subject));
    let facts = &alert.facts;
    let Phase::Firing(firing) = &mut alert.phase else { return None };
    if silenced {
        return None;
    }
    let Some(told) = &mut firing.told else {
        // What a silence kept back is told once it is over, unless it is just getting right.
        if condition == Condition::Passing && !began_to_flap {
            return None;
        }
        firing.told = Some(say(facts, moment.now));
        return Some((if firing.flapping { What::Flapping } else { What::Fired }, facts.severity));
    };
    let due = elapsed(told.at, moment.now) >= moment.policy.remind_every;
    let what = if began_to_flap {
        What::Flapping
    } else if condition == Condition::Failing && !firing.flapping && has_grown(told, facts) {
        told.escalations += 1;
        What::Grew(told.escalations)
    } else if condition != Condition::Passing && due {
        told.reminders += 1;
        What::Reminder(told.reminders)
    } else {
        return None;
    };
    let severity = told.severity.max(facts.severity);
    *told = Told { reminders: told.reminders, escalations: told.escalations, severity, ..say(facts, moment.now) };
    Some((what, severity))
}

fn say(facts: &Facts, now: Timestamp) -> Told {
    Told {
        at: now,
        reminders: 0,
        escalations: 0,
        severity: facts.severity,
        effect: facts.effect.clone(),
        causes: certain_causes(facts).map(str::to_owned).collect(),
    }
}

fn certain_causes(facts: &Facts) -> impl Iterator<Item = &str> {
    facts.causes.iter().filter(|cause| cause.confidence == Confidence::Certain).map(|cause| cause.fault.as_str())
}

/// Whether it is clearly worse than was said: more severe, certain of another cause, or larger by more than chance.
fn has_grown(told: &Told, facts: &Facts) -> bool {
    let new_cause = certain_causes(facts).any(|cause| !told.causes.iter().any(|known| known == cause));
    // All sizes are shares of what another model would show, but for that of variety.
    let is_of_variety = |effect: &Effect| effect.name.is_of_drawing();
    let larger = match (&told.effect, &facts.effect) {
        (Some(then), Some(now)) => is_of_variety(then) == is_of_variety(now) && bounds(now).0 > bounds(then).1,
        _ => false,
    };
    facts.severity > told.severity || new_cause || larger
}

/// An effect's interval by size, whatever its direction.
fn bounds(effect: &Effect) -> (f64, f64) {
    if effect.estimate < 0.0 { (-effect.high, -effect.low) } else { (effect.low, effect.high) }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
