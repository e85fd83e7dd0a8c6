//! What the exposition holds of runs, results, times and alerts, and that no name breaks out of it.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::alert::Firing;
use crate::sample::Latency;
use crate::store::{Ending, RunEnd, WatchStart};
use crate::verdict::{Effect, EffectName};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_772_366_400).unwrap().checked_add(SignedDuration::from_mins(minute)).unwrap()
}

fn run(minute: i64) -> RunRecord {
    RunRecord {
        id: RunId::generate(),
        model: "m".into(),
        reference: "r".into(),
        started_at: at(minute),
        end: Some(RunEnd { how: Ending::Complete, at: at(minute + 1) }),
        seed: 1,
        config_digest: String::new(),
        tool_version: "0.1.0".into(),
    }
}

fn result(run: &RunRecord, endpoint: &str, verdict: Verdict) -> RecordedResult {
    let effect = Effect { name: EffectName::Substitution, estimate: 0.31, low: 0.22, high: 0.39 };
    let measured = verdict != Verdict::Unmeasured;
    let result = EndpointResult {
        endpoint: endpoint.into(),
        verdict,
        reason: "because".into(),
        p_value: None,
        q_value: measured.then_some(0.006),
        e_value: None,
        effect: measured.then_some(effect),
        tolerance: 0.05,
        samples: if measured { 250 } else { 0 },
        attempts: 252,
        errors: 2,
        cost: measured.then_some(0.25),
        findings: Vec::new(),
    };
    RecordedResult { run: run.id, started_at: run.started_at, reference: run.reference.clone(), result }
}

fn start(tier: Tier, minute: i64, run: Option<&RunRecord>) -> RecordedStart {
    let (due_at, started_at) = (at(minute), at(minute));
    RecordedStart {
        start: WatchStart { model: "m".into(), tier, number: 1, cause: StartCause::Schedule, due_at, started_at },
        run: run.map(|run| run.id),
        outcome: run.map(|_| "consistent".to_owned()),
    }
}

fn alert(endpoint: &str, kind: crate::alert::Kind, phase: Phase) -> AlertState {
    let silences = [Scope { model: "*".into(), endpoint: "down".into() }];
    let subject = Subject { model: "m".into(), endpoint: endpoint.into(), kind };
    AlertState::of(Alert { phase, ..Alert::new(subject) }, &silences)
}

fn firing() -> Phase {
    Phase::Firing(Firing { since: at(0), passes: 0, flapping: false, told: None })
}

fn took(endpoint: &str, total: u64, first_token: Option<u64>) -> AnswerTimes {
    AnswerTimes { endpoint: endpoint.into(), latency: Latency { first_token, total } }
}

#[test]
fn an_exposition_has_a_series_for_all_that_was_measured_and_none_for_what_was_not() {
    let runs = [run(10), run(0)];
    let results = [
        result(&runs[1], "e", Verdict::Consistent),
        result(&runs[0], "e", Verdict::Drifted),
        result(&runs[0], "down", Verdict::Unmeasured),
    ];
    let starts = [start(Tier::Pulse, 9, Some(&runs[0])), start(Tier::Full, 0, Some(&runs[1]))];
    let times = [took("e", 400, None), took("e", 100, Some(50)), took("e", 900, Some(75)), took("r", 5, Some(1))];
    let state = ModelState::of("m", &runs, &results, None, at(20)).unwrap().with_starts(&starts, at(20));
    assert_eq!(state.latest_runs(), BTreeSet::from([runs[0].id]));
    let alerts = [
        alert("", crate::alert::Kind::Checker, Phase::Quiet),
        alert("down", crate::alert::Kind::Unreachable, Phase::Pending { since: at(10), failures: 1 }),
        alert("e", crate::alert::Kind::Drift, firing()),
    ];
    insta::assert_snapshot!(render(&[state.with_times(runs[0].id, &times)], &alerts));
}

#[test]
fn a_run_without_results_is_told_beside_the_results_of_the_one_before() {
    let runs = [run(10), run(0)];
    let results = [result(&runs[1], "e", Verdict::Consistent)];
    let state = ModelState::of("m", &runs, &results, None, at(20)).unwrap();
    assert_eq!((state.last_run, state.last_run_has_results, state.last_success), (at(10), false, Some(at(0))));
    assert_eq!(ModelState::of("other", &runs, &results, None, at(20)), None);
}

#[test]
fn a_run_noted_by_a_clock_that_was_ahead_does_not_hide_what_is_known_now() {
    let runs = [run(600), run(0)];
    let results = [result(&runs[1], "e", Verdict::Drifted), result(&runs[0], "e", Verdict::Consistent)];
    let state = ModelState::of("m", &runs, &results, None, at(20)).unwrap();
    assert_eq!(state.endpoints["e"].latest.verdict, Verdict::Drifted);
    assert_eq!(state.endpoints["e"].answers, 500);
}

#[test]
fn a_test_beside_approved_snapshots_does_not_hide_what_a_check_has_found() {
    let runs = [RunRecord { reference: Reference::SNAPSHOT.into(), ..run(10) }, run(0)];
    let results = [result(&runs[1], "e", Verdict::Drifted), result(&runs[0], "e", Verdict::Consistent)];
    let verdict = |reference: Option<&Reference>| {
        let state = ModelState::of("m", &runs, &results, reference, at(20)).unwrap();
        assert_eq!(state.endpoints["e"].answers, 500, "answers of tests are answers");
        state.endpoints["e"].latest.verdict
    };
    assert_eq!(verdict(Some(&Reference::Endpoint("r".into()))), Verdict::Drifted);
    assert_eq!(verdict(None), Verdict::Drifted);
    assert_eq!(verdict(Some(&Reference::Snapshot)), Verdict::Consistent, "its checks are held against them, too");
    let tested = ModelState::of("m", &runs[..1], &results, None, at(20)).unwrap();
    assert_eq!(tested.endpoints["e"].latest.verdict, Verdict::Consistent, "there is no check");
}

#[test]
fn a_tier_began_with_its_latest_start_that_came_to_a_run() {
    let runs = [run(10), run(0)];
    let tiers = |starts: &[RecordedStart]| {
        ModelState::of("m", &runs, &[], None, at(20)).unwrap().with_starts(starts, at(20)).tiers
    };
    let noted = start(Tier::Pulse, 0, Some(&runs[1]));
    let goes_on = start(Tier::Pulse, 9, None);
    assert_eq!(tiers(&[noted.clone(), goes_on.clone()]), BTreeMap::from([(Tier::Pulse, at(9))]));

    let claimed = start(Tier::Pulse, 11, None);
    let failed = RecordedStart { outcome: Some("failed".into()), ..goes_on.clone() };
    let ahead = start(Tier::Pulse, 600, Some(&runs[0]));
    let (mut covered, mut other) = (goes_on.clone(), goes_on);
    covered.start.cause = StartCause::Covered;
    other.start.model = "other".into();
    for beside in [claimed, failed, ahead, covered, other] {
        let told = format!("{beside:?}");
        assert_eq!(tiers(&[noted.clone(), beside]), BTreeMap::from([(Tier::Pulse, at(0))]), "{told}");
    }
}

#[test]
fn every_phase_has_its_word_and_a_time_while_something_is_wrong() {
    let resolved = Phase::Resolved { since: at(0), at: at(1) };
    let phases = [Phase::Quiet, Phase::Pending { since: at(0), failures: 1 }, firing(), resolved];
    assert_eq!(phases.each_ref().map(Phase::as_str), PHASES);
    let since = phases.map(|phase| alert("e", crate::alert::Kind::Drift, phase).since());
    assert_eq!(since, [None, Some(at(0)), Some(at(0)), None]);
}

#[test]
fn times_are_told_of_the_latest_run_by_what_half_and_most_answers_keep_within() {
    let seconds = |times: Vec<u64>| Quantiles::of(times).map(|q| (q.median, q.p95));
    assert_eq!(seconds(Vec::new()), None);
    assert_eq!(seconds(vec![1234]), Some((1.234, 1.234)));
    assert_eq!(seconds((1..=100).rev().collect()), Some((0.051, 0.096)));

    let runs = [run(10), run(0)];
    let results = [result(&runs[1], "e", Verdict::Consistent), result(&runs[0], "e", Verdict::Consistent)];
    let state = ModelState::of("m", &runs, &results, None, at(20)).unwrap();
    let state = state.with_times(runs[1].id, &[took("e", 5, None)]);
    assert_eq!(state.endpoints["e"].latency, None, "they are of an earlier run");
    let state = state.with_times(runs[0].id, &[took("e", 7, None)]);
    assert_eq!(state.endpoints["e"].latency, Some(Quantiles { median: 0.007, p95: 0.007 }));
    assert_eq!(state.endpoints["e"].first_token, None);
}

proptest! {
    #[test]
    fn no_name_breaks_out_of_its_label(name in "(?s).{0,20}|[\"\\\\\n{},=#]{0,12}") {
        let mut out = Exposition(String::new());
        out.sample("x", &[("model", &name)], 1.0);
        let line = out.0.strip_suffix('\n').expect("a line");
        prop_assert!(!line.contains('\n'));
        let inner = line.strip_prefix("x{model=\"").and_then(|rest| rest.strip_suffix("\"} 1")).expect("its frame");
        let mut read = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            prop_assert_ne!(c, '"');
            read.push(match c {
                '\\' => match chars.next() {
                    Some('n') => '\n',
                    Some(other) => other,
                    None => return Err(TestCaseError::fail("it ends in a backslash")),
                },
                c => c,
            });
        }
        prop_assert_eq!(read, name);
    }
}
