//! What all messages for people say, in plain words. Raw: it may quote hosts, and each receiver makes it harmless.

use std::time::Duration;

use jiff::Timestamp;

use crate::alert::{Change, Event, Facts, FeatureChange, Kind, Message, Severity, Subject};
use crate::report::words::{confidence, effect, percent};

/// A line on an event with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// One or two words.
    pub about: &'static str,
    /// What is to be said.
    pub text: String,
}

/// Likely causes that are named.
const NAMED_CAUSES: usize = 3;

/// Changes that have a line each, with the host's words.
const NAMED_CHANGES: usize = 5;

/// The message in a line, for a title or a subject.
pub fn headline(message: &Message) -> String {
    let example = if message.example { "[example] " } else { "" };
    let what = match message.events.as_slice() {
        [] => "nothing to tell".to_owned(),
        [event] => sentence(event),
        events => tally(events),
    };
    format!("{example}{}: {what}", model(&message.model))
}

/// A model's name, or that of this program where a check failed before it knew one.
fn model(name: &str) -> &str {
    if name.is_empty() { "samemodel" } else { name }
}

fn tally(events: &[Event]) -> String {
    let words = |event: &Event| match (event.change, event.subject.kind) {
        (Change::Resolved, _) => "right again",
        (_, Kind::Drift) => "drifting",
        (_, Kind::Unreachable) => "unreachable",
        (_, Kind::ReferenceMoved) => "moved reference",
        (_, Kind::Checker) => "failed check",
        (_, Kind::FeaturesChanged) => "with changed features",
    };
    let order = ["failed check", "moved reference", "unreachable", "drifting", "with changed features", "right again"];
    let counts = order.map(|word| (word, events.iter().filter(|event| words(event) == word).count()));
    let parts: Vec<String> =
        counts.into_iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}")).collect();
    parts.join(", ")
}

/// What happened, in a sentence without a full stop.
pub fn sentence(event: &Event) -> String {
    let who = &event.subject.endpoint;
    let sentence = match (event.subject.kind, event.change) {
        (Kind::FeaturesChanged, _) | (_, Change::Changed) => format!("{who} handles requests differently than before"),
        (Kind::Drift, Change::Firing) => format!("{who} drifts"),
        (Kind::Drift, Change::Worse) => format!("{who} drifts more than before"),
        (Kind::Drift, Change::Reminder) => format!("{who} still drifts"),
        (Kind::Drift, Change::Flapping) => format!("{who} drifts on and off"),
        (Kind::Drift, Change::Resolved) => format!("{who} no longer drifts"),
        (Kind::Unreachable, Change::Firing | Change::Worse) => format!("{who} gives no answers"),
        (Kind::Unreachable, Change::Reminder) => format!("{who} still gives no answers"),
        (Kind::Unreachable, Change::Flapping) => format!("{who} answers on and off"),
        (Kind::Unreachable, Change::Resolved) => format!("{who} answers again"),
        (Kind::ReferenceMoved, Change::Firing | Change::Worse) => format!("the reference {who} has moved"),
        (Kind::ReferenceMoved, Change::Reminder) => format!("the reference {who} is still not where it was"),
        (Kind::ReferenceMoved, Change::Flapping) => format!("the reference {who} moves on and off"),
        (Kind::ReferenceMoved, Change::Resolved) => format!("the reference {who} is where it was"),
        (Kind::Checker, Change::Firing | Change::Worse) => "the check failed".to_owned(),
        (Kind::Checker, Change::Reminder) => "the check still fails".to_owned(),
        (Kind::Checker, Change::Flapping) => "the check fails on and off".to_owned(),
        (Kind::Checker, Change::Resolved) => "the check works again".to_owned(),
    };
    let critical = event.severity == Severity::Critical && event.change != Change::Resolved;
    if critical { format!("{sentence} (critical)") } else { sentence }
}

/// What there is to say of an event beyond its sentence.
pub fn lines(event: &Event, at: Timestamp) -> Vec<Line> {
    let line = |about, text: String| Line { about, text };
    let since = format!("{} UTC, {} ago", event.since.strftime("%Y-%m-%d %H:%M"), length(event.since, at));
    if event.change == Change::Resolved {
        let was = &event.facts.reason;
        let mut out = vec![line("began", since)];
        out.extend((!was.is_empty()).then(|| line("was", was.clone())));
        return out;
    }
    if event.change == Change::Changed {
        let mut out = vec![line("last examined", since)];
        out.extend(changes(&event.facts.features).into_iter().map(|text| line("change", text)));
        return out;
    }
    let mut out = Vec::new();
    out.extend(size(&event.facts).map(|text| line("how much", text)));
    out.push(line("since", since));
    if !event.facts.reason.is_empty() {
        out.push(line("why", event.facts.reason.clone()));
    }
    for cause in event.facts.causes.iter().take(NAMED_CAUSES) {
        let text = format!("{} ({}): {}", cause.fault, confidence(cause.confidence), cause.evidence);
        // What the service does wrong is no cause of drift.
        out.push(line(if cause.is_of_the_service() { "also" } else { "cause" }, text));
    }
    out
}

/// The first changes with the host's words, and the others together without them.
fn changes(features: &[FeatureChange]) -> Vec<String> {
    let (first, others) = features.split_at(features.len().min(NAMED_CHANGES));
    let with_words = |feature: &FeatureChange| match &feature.words {
        Some(words) => format!("{} (the host: {words})", feature.change.words()),
        None => feature.change.words(),
    };
    let mut out: Vec<String> = first.iter().map(with_words).collect();
    let others: Vec<String> = others.iter().map(|feature| feature.change.words()).collect();
    out.extend((!others.is_empty()).then(|| others.join("; ")));
    out
}

/// The effect against what would not matter.
fn size(facts: &Facts) -> Option<String> {
    let measured = effect(facts.effect.as_ref()?);
    Some(match facts.tolerance {
        Some(tolerance) => format!("{measured}, where {} would not matter", percent(tolerance)),
        None => measured,
    })
}

/// The command that keeps people from being told of these alerts for a while.
pub fn how_to_silence(events: &[Event]) -> Option<String> {
    let told = events.iter().filter(|event| event.change != Change::Resolved).map(|event| &event.subject);
    let mut scopes: Vec<String> = told.map(scope).collect();
    scopes.dedup();
    let scope = match scopes.as_slice() {
        [] => return None,
        [one] => one.clone(),
        _ => format!("{}/*", model_of(events)),
    };
    Some(format!("samemodel alert silence '{scope}' --for 7d"))
}

fn scope(subject: &Subject) -> String {
    let or_any = |name: &str| if name.is_empty() { "*".to_owned() } else { name.to_owned() };
    format!("{}/{}", or_any(&subject.model), or_any(&subject.endpoint))
}

fn model_of(events: &[Event]) -> &str {
    events.first().map(|event| event.subject.model.as_str()).filter(|model| !model.is_empty()).unwrap_or("*")
}

/// A length of time in its two largest units.
fn length(from: Timestamp, to: Timestamp) -> String {
    let minutes = Duration::try_from(to.duration_since(from)).unwrap_or_default().as_secs() / 60;
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, m) => format!("{m} min"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

/// The whole message as plain text, one line each; every line is made harmless by `clean`.
pub fn plain(message: &Message, clean: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut put = |line: &str| {
        out.push_str(&clean(line));
        out.push('\n');
    };
    for event in &message.events {
        put(&sentence(event));
        for Line { about, text } in lines(event, message.at) {
            put(&format!("  {about}: {text}"));
        }
        if let Some(example) = event.facts.example.as_ref().filter(|_| event.change != Change::Resolved) {
            put(&format!("  to {}", example.probe));
            put(&format!("    the reference: {}", example.reference));
            put(&format!("    {}: {}", event.subject.endpoint, example.endpoint));
        }
        put("");
    }
    for (about, text) in footer(message) {
        put(&format!("{about}: {text}"));
    }
    out
}

/// What stands below all events: links, how to silence, the run.
pub fn footer(message: &Message) -> Vec<(&'static str, String)> {
    let silence = how_to_silence(&message.events);
    let parts = [
        ("report", message.report_url.clone()),
        ("notes", message.docs_url.clone()),
        ("run", message.run.clone()),
        ("silence", silence),
        ("key", Some(message.key.clone())),
    ];
    parts.into_iter().filter_map(|(about, text)| Some((about, text?))).collect()
}

/// A message that shows what an alert looks like, marked as an example.
pub fn example(receiver: &str, at: Timestamp, config: &crate::config::Alerting) -> Message {
    use crate::alert::{Example, Occasion};
    use crate::verdict::{Confidence, Effect, EffectName, Finding};
    let since = at - jiff::SignedDuration::from_hours(26);
    let event = Event {
        key: format!("example/{receiver}/{at}"),
        subject: Subject { model: "example-model".into(), endpoint: "some-host".into(), kind: Kind::Drift },
        change: Change::Firing,
        count: None,
        severity: Severity::Critical,
        since,
        facts: Facts {
            severity: Severity::Critical,
            reason: "an example: nothing is wrong, and this message shows only that messages arrive".into(),
            effect: Some(Effect { name: EffectName::Substitution, estimate: 0.31, low: 0.22, high: 0.39 }),
            tolerance: Some(0.05),
            causes: vec![Finding {
                fault: "double-bos".into(),
                confidence: Confidence::Certain,
                evidence: "prompt_tokens 13 against 12 on 25 of 25 probes".into(),
            }],
            example: Some(Example {
                probe: "core/haiku".into(),
                reference: "An old silent pond".into(),
                endpoint: "Sure! Here is a haiku for you".into(),
            }),
            features: Vec::new(),
        },
    };
    let occasion = Occasion { model: "example-model", run: None, at, made: at };
    Message { example: true, ..Message::new(receiver, vec![event], &occasion, config) }
}
