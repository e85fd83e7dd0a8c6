//! What is told: the transitions of one run as one message for each receiver that they concern.
//!
//! The message is the contract `samemodel.alert/1`: it is kept in the outbox, sent to generic webhooks and commands as it
//! is, and rendered for Slack and e-mail when it is sent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advance::{Transition, What};
use super::pattern::fits;
use super::state::{Facts, Severity, Subject};
use crate::config::{Alerting, LeastSeverity};
use crate::probe::sha256_hex;

/// The schema name that every message carries.
pub const MESSAGE_SCHEMA: &str = "samemodel.alert/1";

/// What one receiver is told after one run or examination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Always `samemodel.alert/1`.
    pub schema: String,
    /// The message's key. The same events make the same key, so that a message that comes twice can be told.
    pub key: String,
    /// Whether it is an example, sent to see whether messages arrive.
    pub example: bool,
    /// When the run or the examination saw this.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The nominal model; empty where the check failed before it knew one.
    pub model: String,
    /// The run's id, where there was one.
    pub run: Option<String>,
    /// How much the gravest of its events matters.
    pub severity: Severity,
    /// What happened, the more general first.
    pub events: Vec<Event>,
    /// Where the report can be read.
    pub report_url: Option<String>,
    /// Where notes on alerts are.
    pub docs_url: Option<String>,
}

/// Something that happened to one alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The event's own key, the same in all messages about it.
    pub key: String,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub change: Change,
    /// For the how manieth time; only of what can happen again while an alert fires.
    pub count: Option<u32>,
    /// How much it matters, or did at its worst.
    pub severity: Severity,
    /// When what is wrong was first seen; of a change, when all was last seen to be as before.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// What it looks like, or last looked like.
    pub facts: Facts,
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is wrong.
    Firing,
    /// It comes and goes; it is resolved when it has been right for a whole window.
    Flapping,
    /// It is clearly worse than was said.
    Worse,
    /// It is still wrong.
    Reminder,
    /// It is right again.
    Resolved,
    /// It is another than before. Unlike what is wrong, that has no end: it is told once and never resolved.
    Changed,
}

/// Where the transitions come from.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The nominal model.
    pub model: &'a str,
    /// The run, where there was one.
    pub run: Option<&'a str>,
    /// When it saw them; what they are known by follows from it.
    pub at: Timestamp,
    /// When they were found, which is later where a run is gone on with: messages are sent in this order.
    pub made: Timestamp,
}

impl Event {
    fn new(transition: &Transition) -> Self {
        let (change, count) = match transition.what {
            What::Fired => (Change::Firing, None),
            What::Flapping => (Change::Flapping, None),
            What::Grew(n) => (Change::Worse, Some(n)),
            What::Reminder(n) => (Change::Reminder, Some(n)),
            What::Resolved => (Change::Resolved, None),
            What::Changed => (Change::Changed, None),
        };
        Self {
            key: transition.key(),
            subject: transition.subject.clone(),
            change,
            count,
            severity: transition.severity,
            since: transition.since,
            facts: transition.facts.clone(),
        }
    }
}

impl Message {
    /// One message with these events, in the order of their subjects, for one receiver.
    pub fn new(receiver: &str, mut events: Vec<Event>, occasion: &Occasion<'_>, config: &Alerting) -> Self {
        events.sort_by(|a, b| order(&a.subject).cmp(&order(&b.subject)));
        let mut keys: Vec<&str> = events.iter().map(|event| event.key.as_str()).collect();
        keys.sort_unstable();
        let identity = serde_json::json!([receiver, keys]).to_string();
        Self {
            schema: MESSAGE_SCHEMA.to_owned(),
            key: sha256_hex(identity.as_bytes())[..32].to_owned(),
            example: false,
            at: occasion.at,
            model: occasion.model.to_owned(),
            run: occasion.run.map(str::to_owned),
            severity: events.iter().map(|event| event.severity).max().unwrap_or_default(),
            report_url: config.report_url.as_deref().and_then(|url| report_url(url, occasion)),
            docs_url: config.docs_url.clone(),
            events,
        }
    }
}

fn order(subject: &Subject) -> (&str, super::state::Kind, &str) {
    (&subject.model, subject.kind, &subject.endpoint)
}

/// The template filled in; nothing where it asks for a run and there is none.
fn report_url(template: &str, occasion: &Occasion<'_>) -> Option<String> {
    let Some(run) = occasion.run else {
        return (!template.contains("{run}")).then(|| template.replace("{model}", &in_url(occasion.model)));
    };
    Some(template.replace("{run}", run).replace("{model}", &in_url(occasion.model)))
}

fn in_url(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// One message for each receiver that is to be told of any of the transitions, by its name.
pub fn group(transitions: &[Transition], occasion: &Occasion<'_>, config: &Alerting) -> BTreeMap<String, Message> {
    let mut told: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    for transition in transitions {
        for receiver in receivers_of(transition, config) {
            told.entry(receiver).or_default().push(Event::new(transition));
        }
    }
    let messages = told.into_iter();
    messages.map(|(to, events)| (to.to_owned(), Message::new(to, events, occasion, config))).collect()
}

/// Who is to be told: the receivers of all routes that fit, or everyone where there are no routes.
fn receivers_of<'a>(transition: &Transition, config: &'a Alerting) -> BTreeSet<&'a str> {
    if config.route.is_empty() {
        return config.receiver.keys().map(String::as_str).collect();
    }
    let Transition { subject, severity, .. } = transition;
    let fitting = config.route.values().filter(|route| {
        let least = match route.severity {
            LeastSeverity::Warning => Severity::Warning,
            LeastSeverity::Critical => Severity::Critical,
        };
        fits(&route.model, &subject.model) && fits(&route.endpoint, &subject.endpoint) && *severity >= least
    });
    fitting.flat_map(|route| route.to.iter().map(String::as_str)).collect()
}
