//! Tests of what is sent: within limits and harmless, whatever models and hosts say.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::Value;

use super::{Known, slack, webhook, words};
use crate::alert::{
    Change, Event, Example, Facts, FeatureChange, Kind, Message, Occasion, Scope, Severity, Subject, Transition, What,
};
use crate::config::Alerting;
use crate::doctor::{self, Feature, State};
use crate::verdict::{Confidence, Effect, EffectName, Finding};

fn at() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn event(endpoint: &str, text: &str) -> Event {
    Event {
        key: format!("m/{endpoint}/drift/x/fired"),
        subject: Subject { model: "m".into(), endpoint: endpoint.into(), kind: Kind::Drift },
        change: Change::Firing,
        count: None,
        severity: Severity::Critical,
        since: at() - SignedDuration::from_hours(30),
        facts: Facts {
            severity: Severity::Critical,
            reason: text.into(),
            effect: Some(Effect { name: EffectName::Substitution, estimate: 0.31, low: 0.22, high: 0.39 }),
            tolerance: Some(0.05),
            causes: vec![Finding {
                fault: "double-bos".into(),
                confidence: Confidence::Certain,
                evidence: text.into(),
            }],
            example: Some(Example { probe: "p".into(), reference: text.into(), endpoint: text.into() }),
            features: Vec::new(),
        },
    }
}

#[test]
fn what_the_service_does_wrong_is_no_cause_of_drift() {
    let mut event = event("e", "seen");
    let flaky = Finding { fault: "flaky-host".into(), confidence: Confidence::Certain, evidence: "seen".into() };
    event.facts.causes.insert(0, flaky);
    let about = |fault: &str| {
        let lines = words::lines(&event, at());
        lines.iter().find(|line| line.text.starts_with(fault)).map(|line| line.about)
    };
    assert_eq!((about("flaky-host"), about("double-bos")), (Some("also"), Some("cause")));
}

fn message(events: Vec<Event>) -> Message {
    let config = Alerting {
        report_url: Some("https://reports.example/{run}".into()),
        docs_url: Some("https://notes.example/alerts".into()),
        ..Alerting::default()
    };
    Message::new("slack", events, &Occasion { model: "m", run: Some("r-1"), at: at(), made: at() }, &config)
}

/// All strings of a payload that are shown, and whether anything in it would be read as markup.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            assert_ne!(fields.get("type"), Some(&Value::from("mrkdwn")), "nothing is markup");
            if let Some(Value::String(text)) = fields.get("text") {
                out.push(text.clone());
            }
            fields.values().for_each(|field| texts(field, out));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        _ => {}
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Slack's limits, as its documentation has them, and the one it does not have.
fn keeps_limits(payload: &Value) {
    let blocks = payload["blocks"].as_array().unwrap();
    assert!(blocks.len() <= slack::MOST_BLOCKS);
    let mut all = 0;
    for block in blocks {
        let mut said = Vec::new();
        texts(block, &mut said);
        let length: usize = said.iter().map(|text| units(text)).sum();
        let most = if block["type"] == "header" { slack::LONGEST_HEADER } else { slack::LONGEST_BLOCK };
        assert!(length <= most, "{length} characters in one {}", block["type"]);
        assert!(said.iter().all(|text| !text.is_empty()), "Slack refuses empty texts");
        all += length;
    }
    assert!(all + units(payload["text"].as_str().unwrap()) <= slack::LONGEST_MESSAGE, "{all} characters in all");
}

#[test]
fn the_message_for_slack_says_what_how_much_since_when_and_why() {
    let mut drift = event("deepinfra", "as if 31 % of its answers came from another model");
    drift.facts.example = Some(Example {
        probe: "core/who-is".into(),
        reference: "Nathan is a scientist.".into(),
        endpoint: "Nathan is a legend! <!channel> *bold* `code`\nhttps://evil.example".into(),
    });
    let resolved = Event { change: Change::Resolved, severity: Severity::Warning, ..event("novita", "too slow") };
    let down = Event {
        subject: Subject { model: "m".into(), endpoint: "azure".into(), kind: Kind::Unreachable },
        severity: Severity::Warning,
        facts: Facts { reason: "no answers: 12 × connect".into(), ..Facts::default() },
        ..event("azure", "")
    };
    let payload = slack::payload(&message(vec![drift, resolved, down]));
    keeps_limits(&payload);
    insta::assert_json_snapshot!("slack", payload);
}

#[test]
fn the_same_message_in_plain_text_has_one_line_for_each_thing_to_say() {
    let plain = words::plain(&message(vec![event("e", "a\nb")]), crate::report::escape::line);
    insta::assert_snapshot!("plain", plain);
}

#[test]
fn a_message_with_more_events_than_slack_has_room_for_says_how_many_more() {
    for n in [1, 5, 46, 47, 48, 300] {
        let events = (0..n).map(|i| event(&format!("e{i}"), &"long ".repeat(500))).collect();
        let payload = slack::payload(&message(events));
        keeps_limits(&payload);
        assert_eq!(payload.to_string().contains("more: samemodel alert list"), n > 47, "{n}");
    }
}

#[test]
fn the_committed_schema_is_the_one_that_the_types_give() {
    crate::report::tests::committed("schemas/alert.json", &crate::report::json::schema::<Message>());
}

/// Features that were honoured and are refused in these words.
fn refused(features: &[Feature], words: &str) -> Facts {
    let change = |feature: &Feature| FeatureChange {
        change: doctor::Change { feature: *feature, before: State::Honoured, now: State::Refused, was: None, is: None },
        words: Some(words.into()),
    };
    let features = features.iter().map(change).collect();
    Facts { severity: Severity::Critical, reason: "features".into(), features, ..Facts::default() }
}

fn changed(endpoint: &str, facts: Facts) -> Event {
    let subject = Subject { model: "m".into(), endpoint: endpoint.into(), kind: Kind::FeaturesChanged };
    Event { subject, change: Change::Changed, facts, ..event(endpoint, "") }
}

#[test]
fn changed_features_are_told_with_the_hosts_words_within_the_limits() {
    let few = changed("e", refused(&[Feature::Tools, Feature::Seed], "HTTP 404: <!channel>\nno"));
    let plain = words::plain(&message(vec![few.clone()]), crate::report::escape::line);
    let expected = [
        "e handles requests differently than before (critical)\n  last examined: 2026-11-21 03:00 UTC, 1 d 6 h ago\n",
        "  change: tools: honoured → refused (the host: HTTP 404: <!channel>⏎no)\n  change: seed: honoured → refused",
    ];
    for part in expected {
        assert!(plain.contains(part), "{plain}");
    }
    let two = words::headline(&message(vec![few.clone(), changed("f", few.facts.clone())]));
    assert_eq!(two, "m: 2 with changed features");
    let many = changed("e", refused(&Feature::ALL, &"long ".repeat(500)));
    let payload = slack::payload(&message(vec![many.clone(), few]));
    keeps_limits(&payload);
    assert!(payload.to_string().contains("system message: honoured → refused; thinking"), "{payload:#}");

    let schema: Value = serde_json::from_str(&crate::report::json::schema::<Message>()).unwrap();
    let told: Value = serde_json::from_str(&webhook::body(&message(vec![many]))).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&told).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(told["events"][0]["facts"]["features"][4]["feature"], "tools");
    let read: Message = serde_json::from_value(told).unwrap();
    assert_eq!(read.events[0].facts.features.len(), Feature::ALL.len(), "it comes out of the outbox as it went in");
}

#[test]
fn changes_go_where_routes_lead_and_nobody_is_told_of_silenced_ones() {
    let config: Alerting = toml::from_str(
        "receiver.a = { kind = 'slack', url_env = 'A' }\nreceiver.b = { kind = 'slack', url_env = 'B' }\n\
         route.all = { to = ['a'] }\nroute.grave = { to = ['b'], severity = 'critical' }",
    )
    .unwrap();
    let transition = |endpoint: &str, severity| Transition {
        subject: Subject { model: "m".into(), endpoint: endpoint.into(), kind: Kind::FeaturesChanged },
        what: What::Changed,
        since: at(),
        severity,
        facts: refused(&[Feature::Tools], "no"),
    };
    let changes = vec![transition("e", Severity::Warning), transition("f", Severity::Critical)];
    let occasion = Occasion { model: "m", run: None, at: at(), made: at() };
    let receivers = |endpoint: &str| {
        let silences = vec![Scope { model: "m".into(), endpoint: endpoint.into() }];
        let update = Known { silences, ..Known::default() }.tell(changes.clone(), &occasion, &config);
        assert_eq!(update.states, [], "no alert begins that would have to end");
        update.notifications.into_iter().map(|notification| notification.receiver).collect::<Vec<_>>()
    };
    assert_eq!(receivers("other"), ["a", "b"]);
    assert_eq!(receivers("f"), ["a"]);
    assert_eq!(receivers("*"), [""; 0]);
}

#[test]
fn an_example_is_marked_as_one() {
    let example = words::example("slack", at(), &Alerting::default());
    assert!(words::headline(&example).starts_with("[example] "));
    assert!(webhook::body(&example).contains("\"example\":true"));
    keeps_limits(&slack::payload(&example));
}

#[test]
fn silencing_names_the_endpoint_or_the_model() {
    let silence = |events: &[Event]| words::how_to_silence(events);
    assert_eq!(silence(&[event("e", "")]).as_deref(), Some("samemodel alert silence 'm/e' --for 7d"));
    assert_eq!(silence(&[event("e", ""), event("f", "")]).as_deref(), Some("samemodel alert silence 'm/*' --for 7d"));
    assert_eq!(silence(&[Event { change: Change::Resolved, ..event("e", "") }]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_a_model_says_is_literal_text_within_the_limits(
        texts_of in prop::collection::vec(any::<String>(), 0..60),
        pad in 0usize..2000,
    ) {
        let events: Vec<Event> =
            texts_of.iter().map(|text| event(text, &format!("<!channel> {text}{}", "\u{202e}🦙".repeat(pad)))).collect();
        let payload = slack::payload(&message(events));
        keeps_limits(&payload);
        let mut said = Vec::new();
        texts(&payload["blocks"], &mut said);
        let overridden = said.iter().any(|text| text.contains('\u{202e}'));
        prop_assert!(!overridden);
        prop_assert!(!payload["text"].as_str().unwrap().contains('<'));
    }
}
