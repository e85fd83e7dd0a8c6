//! What the screen says, and that a status follows its schema.

use super::*;
use crate::alert::{Facts, Subject};
use crate::report::tests::committed;
use crate::report::{Paint, View, layout};
use crate::schedule::Due;
use crate::store::{Notification, SilenceId};
use crate::verdict::{Confidence, EffectName};

/// How long before the next pulse the status is looked at.
const PULSE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// The most lines of a reason.
const MOST: usize = 3;

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
        reference: Some("together".into()),
        verdict: Verdict::Drifted,
        reason: "as if from another model".into(),
        effect: Some(effect),
        failing: None,
        run_status: Some("complete".into()),
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
            reference: Some("together".to_owned()),
            next: NextCheck::of(Step::Wait { tier: Tier::Pulse, until }),
            open_run: None,
            waiting: 4,
            endpoints: endpoints.into(),
        }],
        alerts: AlertStatus::all(alerts, &[silence()], &Config::default()),
        silences: vec![silence().into()],
        messages: [State::Sent(until), State::Waiting(until), State::GivenUp(until)]
            .into_iter()
            .filter_map(|state| MessageStatus::of(entry(state), "m: 1 drifting".to_owned(), until - PULSE))
            .collect(),
    }
}

#[test]
fn one_screen_of_eighty_columns_says_how_all_stands() {
    let screen = report().screen(NARROW);
    assert!(screen.lines().all(|line| layout::width(line) <= 80), "{screen}");
    insta::assert_snapshot!(screen, @r"
    2026-03-01 12:05 UTC: 1 firing, 1 pending

    m: held against together; next pulse at 2026-03-01 12:15 UTC; 4 snapshots wait
      for `samemodel review`
      alpha                 2026-03-01 12:00  drifted       31 % (22 to 39)
      be\u{1b}[2Jta         2026-03-01 12:00  unmeasured
        no answers
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
fn an_effect_without_room_has_its_own_line_and_names_grow_with_the_screen() {
    let mut report = report();
    report.models[0].endpoints.truncate(1);
    let name = "a-rather-long-endpoint-name-via-openrouter";
    report.models[0].endpoints[0].endpoint = name.to_owned();
    let told = |width| report.screen(View { width, ..NARROW });
    let narrow = "\n  a-rather-l…penrouter  2026-03-01 12:00  drifted\n    31 % (22 to 39)\n";
    assert!(told(60).contains(narrow), "{}", told(60));
    let narrowest = "\n  a-rat…uter  2026-03-01 12:00  drifted\n    31 % (22 to 39)\n";
    assert!(told(44).contains(narrowest), "{}", told(44));
    let usual = "\n  a-rather-long-…ia-openrouter  2026-03-01 12:00  drifted       31 % (22 to 39)\n";
    assert!(told(80).contains(usual), "{}", told(80));
    let wide = format!("\n  {name}  2026-03-01 12:00  drifted       31 % (22 to 39)\n");
    assert!(told(120).contains(&wide), "{}", told(120));
}

#[test]
fn what_had_no_snapshot_is_to_be_asked_again_once_nothing_waits() {
    let mut report = report();
    report.models[0].reference = Some("snapshot".to_owned());
    let latest = report.models[0].endpoints[1].latest.as_mut().expect("it was judged");
    latest.reference = Some("snapshot".to_owned());
    latest.reason = "no approved snapshot: 120 answers wait for review".to_owned();
    let told = |report: &StatusReport| report.screen(View { width: 200, ..NARROW });
    let waits = "unmeasured\n    no approved snapshot: 120 answers wait for review\n";
    assert!(told(&report).contains(waits), "{}", told(&report));
    report.models[0].waiting = 0;
    let again = "unmeasured\n    then: no approved snapshot: 120 answers wait for review; \
                 nothing waits now: ask again with `samemodel test m`\n";
    assert!(told(&report).contains(again), "{}", told(&report));
}

#[test]
fn a_run_that_has_not_ended_is_told_before_what_others_left_open() {
    let mut report = report();
    report.models[0].open_run = Some(OpenRun {
        run: "0193a5c2-7f05-7000-8000-000000000000".into(),
        reference: "together".into(),
        started_at: "2026-03-01T12:04:00Z".into(),
    });
    let screen = report.screen(View { width: 400, ..NARROW });
    let told = "the run of 2026-03-01 12:04 UTC has not ended: it is at work, or it was killed and \
                `samemodel check m --resume` goes on with it\n";
    assert!(screen.contains(told), "{screen}");
}

#[test]
fn a_run_that_was_stopped_is_told_with_what_goes_on_with_it() {
    let mut report = report();
    report.models[0].waiting = 0;
    let told = |report: &StatusReport| report.screen(View { width: 200, ..NARROW });
    assert!(!told(&report).contains("--resume"));
    for latest in report.models[0].endpoints.iter_mut().filter_map(|endpoint| endpoint.latest.as_mut()) {
        latest.run_status = Some("partial".into());
    }
    let go_on = "; its latest run was stopped before the end: go on with `samemodel check m --resume`\n";
    assert!(told(&report).contains(go_on), "{}", told(&report));
    let latest = report.models[0].endpoints[1].latest.as_mut().expect("it was judged");
    (latest.run_status, latest.reference) = (Some("stopped-budget".into()), Some("snapshot".into()));
    let go_on = "; its latest run was stopped at the budget: raise it and go on with `samemodel test m --resume`\n";
    assert!(told(&report).contains(go_on), "{}", told(&report));
    latest_of(&mut report).verdict = Verdict::Drifted;
    assert!(!told(&report).contains("--resume"), "what is decided is decided: {}", told(&report));
}

/// What was said last of the second endpoint.
fn latest_of(report: &mut StatusReport) -> &mut LatestVerdict {
    report.models[0].endpoints[1].latest.as_mut().expect("it was judged")
}

#[test]
fn what_keeps_requests_from_being_answered_stands_below_an_open_verdict() {
    let result = |verdict, errors, findings| EndpointResult {
        endpoint: "e".into(),
        verdict,
        reason: String::new(),
        p_value: None,
        q_value: None,
        e_value: None,
        effect: None,
        tolerance: 0.05,
        samples: 45,
        attempts: 100,
        errors,
        cost: None,
        findings,
    };
    let refused = Finding {
        fault: "request-refused".into(),
        confidence: Confidence::Certain,
        evidence: "requests with tools: 8 refused".into(),
    };
    let told = failing(&result(Verdict::Inconclusive, 8, vec![refused.clone()]));
    assert_eq!(told.as_deref(), Some("request-refused: requests with tools: 8 refused"));
    let many = failing(&result(Verdict::Inconclusive, 55, Vec::new()));
    assert_eq!(many.as_deref(), Some("55 % of attempts failed"));
    assert_eq!(failing(&result(Verdict::Inconclusive, 10, Vec::new())), None);
    assert_eq!(failing(&result(Verdict::Drifted, 55, vec![refused])), None);
    let mut report = report();
    let latest = report.models[0].endpoints[0].latest.as_mut().expect("it was judged");
    latest.failing = many;
    assert!(report.screen(NARROW).contains("(22 to 39)\n    55 % of attempts failed\n"), "{}", report.screen(NARROW));
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
        "2026-03-01 12:05 UTC: nothing fires\n\nm: held against together; full check due since 2026-03-01 04:00 UTC\n"
    );
    assert!(!report.is_firing());
    report.models[0].next = NextCheck::of(Step::Never);
    assert!(report.screen(NARROW).ends_with("m: held against together; no check is to come\n"));
}

#[test]
fn before_the_first_verdict_the_command_that_brings_it_is_named() {
    let mut report = report();
    assert!(!report.screen(NARROW).contains("nothing was judged yet"));
    report.models[0].endpoints.iter_mut().for_each(|endpoint| endpoint.latest = None);
    let told = "\nnothing was judged yet: run `samemodel check m`, or `samemodel watch --once`\n";
    assert!(report.screen(NARROW).contains(told), "{}", report.screen(NARROW));
    (report.models[0].model, report.models[0].next) = ("a model".into(), None);
    let told = "\nnothing was judged yet: run `samemodel check 'a model'`\n";
    assert!(report.screen(NARROW).contains(told), "{}", report.screen(NARROW));
}

#[test]
fn a_check_that_failed_is_not_advised_again_and_of_many_models_the_first_are_named() {
    let mut report = report();
    report.models[0].endpoints.iter_mut().for_each(|endpoint| endpoint.latest = None);
    report.models[0].next = None;
    report.models = (0..5).map(|n| ModelStatus { model: format!("m{n}"), ..report.models[0].clone() }).collect();
    let advice = |report: &StatusReport| {
        let screen = report.screen(View { width: 400, ..NARROW });
        screen.lines().find(|line| line.starts_with("nothing was judged yet")).map(str::to_owned)
    };
    let checks =
        |from: usize| (from..from + 3).map(|n| format!("`samemodel check m{n}`")).collect::<Vec<_>>().join(", ");
    assert_eq!(advice(&report), Some(format!("nothing was judged yet: run {} and 2 more", checks(0))));
    (report.alerts[0].kind, report.alerts[0].model) = (Kind::Checker, "m0".into());
    assert_eq!(advice(&report), Some(format!("nothing was judged yet: run {} and 1 more", checks(1))));
    report.models.truncate(1);
    assert_eq!(advice(&report), None);
}

#[test]
fn a_verdict_of_a_run_that_held_against_something_else_says_so() {
    let mut report = report();
    let told = |report: &StatusReport| report.screen(NARROW).matches("\n    held against ").count();
    assert_eq!(told(&report), 0);
    let latest = report.models[0].endpoints[0].latest.as_mut().expect("it was judged");
    latest.reference = Some("snapshot".to_owned());
    assert!(report.screen(NARROW).contains("(22 to 39)\n    held against approved snapshots\n"));
    report.models[0].reference = None;
    assert_eq!(told(&report), 2, "{}", report.screen(NARROW));
}

#[test]
fn what_was_not_measured_says_why_and_no_host_fills_the_screen() {
    let mut report = report();
    let latest = report.models[0].endpoints[1].latest.as_mut().expect("it was asked");
    latest.reason = "no answers: 8 rejected (HTTP 400: no \u{1b}tools)".into();
    assert!(report.screen(NARROW).contains("unmeasured\n    no answers: 8 rejected (HTTP 400: no \\u{1b}tools)\n"));
    let latest = report.models[0].endpoints[1].latest.as_mut().expect("it was asked");
    latest.reason = "no answers: ".to_owned() + &"word ".repeat(200);
    let screen = report.screen(NARROW);
    assert_eq!(screen.lines().filter(|line| line.starts_with("    ")).count(), MOST, "{screen}");
    assert!(screen.lines().any(|line| line.ends_with('…')) && screen.lines().all(|line| layout::width(line) <= 80));
}

/// A configuration with the model `m`, whose reference is `together` and which has these endpoints.
fn config(endpoints: &[&str]) -> Config {
    let named = |name: &&str| {
        let line = format!("name = '{name}'\nprovider = 'p'\nmodel = 'm'");
        toml::from_str::<crate::config::Endpoint>(&line).expect("an endpoint")
    };
    let model = toml::from_str::<crate::config::Model>("reference = 'together'\nprobes = []").expect("a model");
    let model = crate::config::Model { endpoint: endpoints.iter().map(named).collect(), ..model };
    Config { model: [("m".to_owned(), model)].into(), ..Config::default() }
}

fn firing() -> Phase {
    Phase::Firing(Firing { since: at("2026-03-01T11:00:00Z"), passes: 0, flapping: false, told: None })
}

#[cfg(feature = "lab")]
#[test]
fn the_lab_is_looked_after_beside_any_configuration() {
    let subject = Subject { model: "lab".into(), ..alert("twin", firing()).subject };
    let mut config = Config::default();
    assert!(subject.is_looked_after(&config));
    let model = toml::from_str::<crate::config::Model>("reference = 'together'\nprobes = []").expect("a model");
    config.model.insert("m".to_owned(), model);
    assert!(subject.is_looked_after(&config));
    assert!(!Subject { model: "old".into(), ..subject }.is_looked_after(&config));
}

#[test]
fn alerts_that_no_check_looks_after_are_counted_apart_and_do_not_fire() {
    let mut report = report();
    let old = Alert {
        subject: Subject { model: "old".into(), ..alert("alpha", firing()).subject },
        ..alert("alpha", firing())
    };
    let alerts = vec![alert("gone", firing()), old, alert("together", firing())];
    report.alerts = AlertStatus::all(alerts.clone(), &[], &config(&["alpha", "together"]));
    assert!(report.alerts.iter().all(|alert| alert.abandoned) && !report.is_firing());
    let screen = report.screen(NARROW);
    assert!(screen.contains("UTC: nothing fires\n"), "{screen}");
    let told =
        "\nalerts\n3 alerts of what is no longer checked: m/gone, old/alpha, m/together\n  (`samemodel alert list`)\n";
    assert!(screen.contains(told), "{screen}");
    report.alerts = AlertStatus::all([alerts, vec![alert("alpha", firing())]].concat(), &[], &config(&["alpha"]));
    assert!(report.is_firing() && report.alerts[0].endpoint == "alpha" && !report.alerts[0].abandoned);
    assert!(report.screen(NARROW).contains("UTC: 1 firing\n"), "{}", report.screen(NARROW));
    report.alerts = AlertStatus::all(vec![alert("gone", firing())], &[], &Config::default());
    assert!(report.is_firing(), "without a configuration nothing is known to be gone");
}

#[test]
fn a_cause_is_named_of_a_drift_that_holds_and_what_the_service_does_wrong_is_none() {
    let mut report = report();
    let (fault, evidence) = ("flaky-host".to_owned(), String::new());
    report.alerts[0].causes.insert(0, Finding { fault, confidence: Confidence::Certain, evidence });
    let told = |report: &StatusReport| {
        let screen = report.screen(View { width: 400, ..NARROW });
        screen.lines().find(|line| line.starts_with("firing: ")).expect("one fires").to_owned()
    };
    assert!(told(&report).ends_with("model; swapped-model (likely); beside that, and no drift: flaky-host (certain)"));
    report.models[0].endpoints[0].latest.as_mut().expect("it was judged").verdict = Verdict::Inconclusive;
    assert!(told(&report).ends_with("[2J model"), "{}", told(&report));
    report.models[0].endpoints[0].latest = None;
    assert!(told(&report).contains("; swapped-model (likely)"), "nothing else is known: {}", told(&report));
    report.alerts[0].kind = Kind::Unreachable;
    assert!(told(&report).ends_with("[2J model"), "{}", told(&report));
}

#[test]
fn a_message_whose_time_has_come_is_due_and_what_sends_it_is_said() {
    let mut report = report();
    assert!(!report.screen(NARROW).contains("samemodel alert send"));
    let due = at("2026-03-01T12:00:00Z");
    report.messages =
        MessageStatus::of(entry(State::Waiting(due)), "m: 1 drifting".to_owned(), due).into_iter().collect();
    let told = "\nmessages\ndue for hook since 2026-03-01 12:00 UTC: m: 1 drifting (connection refused)\n\
                what is due is tried with the next check, or at once with\n  `samemodel alert send`; where a \
                receiver fails, the rest waits\n";
    assert!(report.screen(NARROW).ends_with(told), "{}", report.screen(NARROW));
    let later = MessageStatus::of(entry(State::GivenUp(due)), String::new(), due).expect("it was not sent");
    assert!(!later.is_due && report.messages[0].is_due);
}

#[test]
fn many_alerts_are_told_with_how_many_more_there_are() {
    let mut report = report();
    let pending = |name: &str| alert(name, Phase::Pending { since: at("2026-03-01T12:00:00Z"), failures: 1 });
    let alerts = (0..30).map(|n| if n == 29 { alert("z", firing()) } else { pending(&format!("e{n}")) }).collect();
    report.alerts = AlertStatus::all(alerts, &[], &Config::default());
    let screen = report.screen(NARROW);
    assert!(screen.contains("\nalerts\nfiring: drift of m/z, "), "what fires comes first: {screen}");
    assert_eq!(screen.matches("\npending: drift of m/").count(), 5, "{screen}");
    assert!(screen.contains("\n24 more: `samemodel alert list`\n"), "{screen}");
    assert!(screen.lines().count() <= 36, "{screen}");
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
