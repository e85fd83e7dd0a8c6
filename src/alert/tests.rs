//! Tests of the state machine: single steps, and what must hold of any history.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::config::Alerting;
use crate::verdict::{Confidence, Effect, EffectName, Finding};

const HOUR: i64 = 3600;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_secs(hour * HOUR)
}

fn policy() -> Policy {
    Policy::of(&Alerting::default())
}

fn subject(endpoint: &str, kind: Kind) -> Subject {
    Subject { model: "m".into(), endpoint: endpoint.into(), kind }
}

fn drift(endpoint: &str, condition: Condition) -> Observation {
    Observation { subject: subject(endpoint, Kind::Drift), condition, facts: Facts::default() }
}

fn of(kind: Kind, endpoint: &str, condition: Condition) -> Observation {
    Observation { subject: subject(endpoint, kind), ..drift(endpoint, condition) }
}

/// A history of runs, an hour apart unless told otherwise.
struct History {
    alerts: BTreeMap<Subject, Alert>,
    hour: i64,
    policy: Policy,
    silences: Vec<Scope>,
}

impl History {
    fn new() -> Self {
        Self { alerts: BTreeMap::new(), hour: 0, policy: policy(), silences: Vec::new() }
    }

    fn run(&mut self, observations: Vec<Observation>) -> Vec<Transition> {
        self.hour += 1;
        let run = format!("run-{}", self.hour);
        self.run_as(&run, observations)
    }

    fn run_as(&mut self, run: &str, observations: Vec<Observation>) -> Vec<Transition> {
        let moment = Moment { now: at(self.hour), run: Some(run), policy: self.policy, silences: &self.silences };
        let observations = inhibit(&self.alerts, observations);
        let Advanced { states, transitions } = advance(&self.alerts, observations, &moment);
        self.alerts.extend(states.into_iter().map(|alert| (alert.subject.clone(), alert)));
        transitions
    }

    /// What is told of endpoint `e` when runs see this: `f`ailing, `p`assing, or `u`nknown.
    fn told(&mut self, runs: &str) -> Vec<Vec<What>> {
        let whats = |transitions: Vec<Transition>| transitions.into_iter().map(|t| t.what).collect();
        runs.chars().map(|seen| whats(self.run(vec![drift("e", condition(seen))]))).collect()
    }
}

fn condition(letter: char) -> Condition {
    match letter {
        'f' => Condition::Failing,
        'p' => Condition::Passing,
        _ => Condition::Unknown,
    }
}

/// The runs, from 1, in which something was told, and what.
fn when(told: Vec<Vec<What>>) -> Vec<(usize, What)> {
    (1..).zip(told).flat_map(|(run, whats)| whats.into_iter().map(move |what| (run, what))).collect()
}

fn effect(low: f64, estimate: f64, high: f64) -> Effect {
    Effect { name: EffectName::Substitution, estimate, low, high }
}

fn finding(fault: &str, confidence: Confidence) -> Finding {
    Finding { fault: fault.into(), confidence, evidence: "seen".into() }
}

#[test]
fn it_is_told_from_the_second_failure_in_a_row_and_resolved_by_the_second_pass() {
    assert_eq!(when(History::new().told("pffffpp")), [(3, What::Fired), (7, What::Resolved)]);
}

#[test]
fn a_single_failure_and_a_single_pass_change_nothing() {
    assert_eq!(when(History::new().told("pfpffpff")), [(5, What::Fired)]);
}

#[test]
fn what_cannot_be_decided_neither_advances_nor_resets() {
    assert_eq!(when(History::new().told("fuuuf")), [(5, What::Fired)]);
    assert_eq!(when(History::new().told("ffpuuup")), [(2, What::Fired), (7, What::Resolved)]);
    let mut history = History::new();
    history.told("uuu");
    assert!(history.alerts.is_empty(), "of what was never decided nothing is kept");
}

#[test]
fn what_lasts_is_brought_to_mind_after_a_day_and_not_while_it_is_getting_right() {
    let day = "f".repeat(24);
    let told = when(History::new().told(&format!("ff{day}{day}")));
    assert_eq!(told, [(2, What::Fired), (26, What::Reminder(1)), (50, What::Reminder(2))]);
    let told = when(History::new().told(&format!("ff{}pu", "f".repeat(23))));
    assert_eq!(told, [(2, What::Fired), (27, What::Reminder(1))], "an open verdict is no pass");
}

#[test]
fn the_time_that_is_told_is_that_of_the_first_failure() {
    let mut history = History::new();
    history.run(vec![drift("e", Condition::Failing)]);
    let told = history.run(vec![drift("e", Condition::Failing)]);
    assert_eq!(told[0].since, at(1));
    assert_eq!(told[0].key(), format!("m/e/drift/{}/fired", at(1)));
}

#[test]
fn what_comes_and_goes_is_told_once_and_held_until_it_is_calm_for_a_window() {
    let mut history = History::new();
    let told = when(history.told("fpfpfpfpfpfp"));
    assert_eq!(told, [(7, What::Flapping)], "the seventh run is the first to fail after six changes");
}

#[test]
fn a_flapping_alert_is_resolved_after_a_window_of_calm() {
    let mut history = History::new();
    history.policy.flap_window = Duration::from_hours(10);
    let told = when(history.told(&format!("fpfpfpf{}", "p".repeat(12))));
    assert_eq!(told, [(7, What::Flapping), (18, What::Resolved)], "ten hours after the last change");
}

#[test]
fn an_effect_that_is_larger_by_more_than_chance_is_told_once() {
    let mut history = History::new();
    let seen = |effect| {
        let facts = Facts { effect: Some(effect), ..Facts::default() };
        vec![Observation { facts, ..drift("e", Condition::Failing) }]
    };
    history.run(seen(effect(0.1, 0.2, 0.3)));
    history.run(seen(effect(0.1, 0.2, 0.3)));
    assert_eq!(history.run(seen(effect(0.25, 0.35, 0.45))), [], "the intervals overlap");
    let told = history.run(seen(effect(0.35, 0.45, 0.55)));
    assert_eq!(told[0].what, What::Grew(1));
    assert_eq!(history.run(seen(effect(0.4, 0.45, 0.55))), [], "what was told is what growth is judged by");
    assert_eq!(history.run(seen(effect(0.6, 0.7, 0.8)))[0].what, What::Grew(2));
    let named = |name| Effect { name, ..effect(0.9, 0.95, 1.0) };
    assert_eq!(history.run(seen(named(EffectName::Dispersion))), [], "variety is no share of another model");
    assert_eq!(history.run(seen(named(EffectName::Divergence)))[0].what, What::Grew(3));
}

#[test]
fn a_new_certain_cause_and_a_higher_severity_are_worth_telling() {
    let mut history = History::new();
    let seen = |causes: Vec<Finding>, severity| {
        let facts = Facts { severity, causes, ..Facts::default() };
        vec![Observation { facts, ..drift("e", Condition::Failing) }]
    };
    history.run(seen(Vec::new(), Severity::Warning));
    history.run(seen(Vec::new(), Severity::Warning));
    let likely = vec![finding("slow", Confidence::Likely)];
    assert_eq!(history.run(seen(likely, Severity::Warning)), [], "what is only likely may change from run to run");
    let certain = vec![finding("double-bos", Confidence::Certain)];
    assert_eq!(history.run(seen(certain.clone(), Severity::Warning))[0].what, What::Grew(1));
    let told = history.run(seen(certain, Severity::Critical));
    assert_eq!((told[0].what, told[0].severity), (What::Grew(2), Severity::Critical));
}

#[test]
fn a_resolved_alert_matters_as_much_as_it_did_at_its_worst() {
    let mut history = History::new();
    let critical = Facts { severity: Severity::Critical, ..Facts::default() };
    let seen = |facts: &Facts| vec![Observation { facts: facts.clone(), ..drift("e", Condition::Failing) }];
    history.run(seen(&critical));
    history.run(seen(&critical));
    history.run(seen(&Facts::default()));
    history.told("p");
    assert_eq!(history.run(vec![drift("e", Condition::Passing)])[0].severity, Severity::Critical);
}

#[test]
fn a_silence_keeps_an_alert_back_and_its_end_lets_it_out() {
    let mut history = History::new();
    history.silences = vec![Scope { model: "m".into(), endpoint: "*".into() }];
    assert_eq!(when(history.told("ffff")), []);
    history.silences.clear();
    let told = history.run(vec![drift("e", Condition::Failing)]);
    assert_eq!((told[0].what, told[0].since), (What::Fired, at(1)), "with the time at which it began");
}

#[test]
fn what_begins_and_ends_within_a_silence_is_never_told_and_what_was_told_is_told_to_be_right() {
    let mut history = History::new();
    history.silences = vec![Scope { model: "*".into(), endpoint: "e".into() }];
    assert_eq!(when(history.told("ffpp")), []);
    history.silences.clear();
    history.told("ff");
    history.silences = vec![Scope { model: "*".into(), endpoint: "e".into() }];
    assert_eq!(when(history.told("fffpp")), [(5, What::Resolved)]);
}

#[test]
fn a_run_that_is_gone_on_with_has_no_second_say() {
    let mut history = History::new();
    history.hour = 1;
    history.run_as("r", vec![drift("e", Condition::Failing)]);
    assert_eq!(history.run_as("r", vec![drift("e", Condition::Failing)]), []);
    history.hour = 2;
    assert_eq!(history.run_as("s", vec![drift("e", Condition::Failing)])[0].what, What::Fired);
    history.run_as("t", vec![drift("e", Condition::Unknown)]);
    let resumed = history.run_as("t", vec![drift("e", Condition::Passing)]);
    assert_eq!(resumed, [], "one that could not tell may still have its say");
    assert!(matches!(&history.alerts[&subject("e", Kind::Drift)].phase, Phase::Firing(f) if f.passes == 1));
}

#[test]
fn a_check_that_fails_is_told_at_once_and_observes_nothing_else() {
    let mut history = History::new();
    let broken = || vec![of(Kind::Checker, "", Condition::Failing), drift("e", Condition::Failing)];
    let told = history.run(broken());
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].what, told[0].subject.kind), (What::Fired, Kind::Checker));
    assert_eq!(history.run(broken()), []);
    let told = history.run(vec![of(Kind::Checker, "", Condition::Passing), drift("e", Condition::Failing)]);
    assert_eq!(told.iter().map(|t| t.what).collect::<Vec<_>>(), [What::Resolved], "and drift begins to be counted");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_not_also_drifting() {
    let mut history = History::new();
    history.told("ff");
    let down = || vec![of(Kind::Unreachable, "e", Condition::Failing), drift("e", Condition::Failing)];
    assert_eq!(history.run(down()), []);
    assert_eq!(history.run(down())[0].subject.kind, Kind::Unreachable);
    for _ in 0..30 {
        let told = history.run(down());
        assert!(told.iter().all(|t| t.subject.kind == Kind::Unreachable), "only what is greater is brought to mind");
    }
}

#[test]
fn a_moved_reference_is_one_alert_and_not_twenty() {
    let mut history = History::new();
    let names: Vec<String> = (0..20).map(|n| format!("e{n}")).collect();
    let moved = |condition| {
        let mut seen: Vec<_> = names.iter().map(|name| drift(name, Condition::Failing)).collect();
        seen.push(of(Kind::ReferenceMoved, "reference", condition));
        seen
    };
    assert_eq!(history.run(moved(Condition::Failing)), []);
    assert_eq!(history.run(moved(Condition::Failing)).len(), 1);
    assert_eq!(history.run(moved(Condition::Unknown)), [], "it holds until it is seen to be right");
}

#[test]
fn one_message_goes_to_each_receiver_and_the_same_events_make_the_same_key() {
    let config: Alerting = toml::from_str(
        "receiver.a = { kind = 'slack', url_env = 'A' }\nreceiver.b = { kind = 'slack', url_env = 'B' }\n\
         receiver.c = { kind = 'slack', url_env = 'C' }\n\
         route.all = { to = ['a'] }\nroute.some = { to = ['a', 'b'], endpoint = 'e*', severity = 'critical' }",
    )
    .unwrap();
    let transition = |endpoint: &str, severity| Transition {
        subject: subject(endpoint, Kind::Drift),
        what: What::Fired,
        since: at(1),
        severity,
        facts: Facts::default(),
    };
    let transitions = [
        transition("e1", Severity::Critical),
        transition("e2", Severity::Warning),
        transition("x", Severity::Critical),
    ];
    let occasion = Occasion { model: "m", run: Some("r"), at: at(2), made: at(2) };
    let messages = group(&transitions, &occasion, &config);
    let seen: Vec<(&str, usize)> = messages.iter().map(|(to, m)| (to.as_str(), m.events.len())).collect();
    assert_eq!(seen, [("a", 3), ("b", 1)]);

    let mut turned = transitions.clone();
    turned.reverse();
    let later = Occasion { run: Some("another"), at: at(9), made: at(9), ..occasion };
    let again = group(&turned, &later, &config);
    assert_eq!(messages["a"].key, again["a"].key);
    assert_ne!(messages["a"].key, messages["b"].key);
    assert_eq!(messages["a"].events, again["a"].events);
}

#[test]
fn links_name_the_run_and_the_model_and_are_left_out_where_there_is_no_run() {
    let config = Alerting { report_url: Some("https://h/{model}/{run}".into()), ..Alerting::default() };
    let occasion = |run| Occasion { model: "m é", run, at: at(1), made: at(1) };
    let url = |run| Message::new("a", Vec::new(), &occasion(run), &config).report_url;
    assert_eq!(url(Some("r")).as_deref(), Some("https://h/m%20%C3%A9/r"));
    assert_eq!(url(None), None);
}

/// One run's observations of a few endpoints, of all kinds.
fn observations() -> impl Strategy<Value = Vec<Observation>> {
    let one = (0..3usize, 0..4usize, 0..3usize, 0..4u32).prop_map(|(endpoint, kind, seen, size)| {
        let kind = Kind::ALL[kind];
        let endpoint = if kind == Kind::Checker { "" } else { ["a", "b", "c"][endpoint] };
        let low = f64::from(size) / 5.0;
        let facts = Facts {
            severity: if size > 2 { Severity::Critical } else { Severity::Warning },
            effect: Some(effect(low, low + 0.05, low + 0.1)),
            ..Facts::default()
        };
        let condition = [Condition::Failing, Condition::Passing, Condition::Unknown][seen];
        Observation { subject: subject(endpoint, kind), condition, facts }
    });
    prop::collection::vec(one, 0..10).prop_map(|all| {
        let unique: BTreeMap<Subject, Observation> = all.into_iter().map(|o| (o.subject.clone(), o)).collect();
        unique.into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_any_history_what_is_told_makes_sense(runs in prop::collection::vec((observations(), 1i64..40, any::<bool>()), 0..40)) {
        let mut history = History::new();
        let mut open: BTreeMap<Subject, Timestamp> = BTreeMap::new();
        let mut keys = std::collections::HashSet::new();
        for (seen, hours, silent) in runs {
            history.hour += hours;
            history.silences = if silent { vec![Scope { model: "m".into(), endpoint: "a".into() }] } else { Vec::new() };
            for told in history.run(seen) {
                prop_assert!(keys.insert(told.key()), "a key comes twice: {}", told.key());
                let is_open = open.get(&told.subject).copied();
                match told.what {
                    What::Fired => prop_assert_eq!(is_open, None, "it fires while it fires"),
                    What::Grew(_) | What::Reminder(_) => prop_assert_eq!(is_open, Some(told.since)),
                    What::Flapping => prop_assert!(is_open.is_none_or(|since| since == told.since)),
                    What::Resolved => prop_assert_eq!(is_open, Some(told.since), "nobody knew of it"),
                    What::Changed => unreachable!("runs observe no features"),
                }
                if told.what == What::Resolved {
                    open.remove(&told.subject);
                } else {
                    open.insert(told.subject, told.since);
                }
            }
        }
    }

    #[test]
    fn the_order_of_observations_does_not_matter(runs in prop::collection::vec(observations().prop_flat_map(|all| {
        (Just(all.clone()), Just(all).prop_shuffle())
    }), 0..20)) {
        let (mut one, mut other) = (History::new(), History::new());
        for (seen, shuffled) in runs {
            prop_assert_eq!(one.run(seen), other.run(shuffled));
            prop_assert_eq!(&one.alerts, &other.alerts);
        }
    }

    #[test]
    fn a_state_survives_the_store(runs in prop::collection::vec(observations(), 0..12)) {
        let mut history = History::new();
        for seen in runs {
            history.run(seen);
        }
        for alert in history.alerts.values() {
            let text = serde_json::to_string(alert).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Alert>(&text).unwrap(), alert);
        }
    }
}
