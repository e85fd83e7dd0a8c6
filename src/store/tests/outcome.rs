//! What follows from runs: kept whole or not at all, and sent things stay sent.

use super::*;
use crate::alert::{Alert, Facts, Firing, Kind, Phase, Severity, Subject, Told};
use crate::verdict::{Confidence, Effect, EffectName, Finding, Verdict};

fn result(endpoint: &str, verdict: Verdict) -> EndpointResult {
    EndpointResult {
        endpoint: endpoint.into(),
        verdict,
        reason: "why".into(),
        p_value: Some(0.001),
        q_value: Some(0.004),
        e_value: None,
        effect: Some(Effect { name: EffectName::Departure, estimate: 0.31, low: 0.22, high: 0.39 }),
        tolerance: 0.05,
        samples: 250,
        attempts: 252,
        errors: 2,
        cost: Some(0.01),
        findings: vec![Finding {
            fault: "double-bos".into(),
            confidence: Confidence::Certain,
            evidence: "13 against 12".into(),
        }],
    }
}

fn bare(endpoint: &str) -> EndpointResult {
    EndpointResult {
        p_value: None,
        q_value: None,
        effect: None,
        cost: None,
        findings: Vec::new(),
        ..result(endpoint, Verdict::Unmeasured)
    }
}

fn alert(endpoint: &str, phase: Phase) -> Alert {
    let facts = Facts { reason: "as if 31 %".into(), tolerance: Some(0.05), ..Facts::default() };
    let subject = Subject { model: "m".into(), endpoint: endpoint.into(), kind: Kind::Drift };
    Alert { phase, facts, last_run: Some("r".into()), ..Alert::new(subject) }
}

fn firing() -> Phase {
    let told = Told {
        at: time(3),
        reminders: 1,
        escalations: 0,
        severity: Severity::Critical,
        effect: None,
        causes: vec!["double-bos".into()],
    };
    Phase::Firing(Firing { since: time(2), passes: 1, flapping: true, told: Some(told) })
}

fn notification(key: &str, second: i64) -> Notification {
    Notification {
        key: key.into(),
        receiver: "slack".into(),
        run: None,
        created_at: time(second),
        event: "{\"schema\":\"s\"}".into(),
    }
}

fn update(states: Vec<Alert>, notifications: Vec<Notification>) -> AlertUpdate {
    AlertUpdate { states, notifications }
}

async fn keys_due(store: &SqliteStore, second: i64) -> Vec<String> {
    store.due(time(second)).await.unwrap().into_iter().map(|entry| entry.notification.key).collect()
}

#[tokio::test]
async fn a_conclusion_comes_back_as_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    assert_eq!(store.results(&run).await.unwrap(), []);
    let conclusion = Conclusion {
        end: Some(RunEnd { how: Ending::Complete, at: time(9) }),
        results: vec![result("z", Verdict::Drifted), result("a", Verdict::Consistent), bare("b")],
        alerts: update(
            vec![
                alert("z", firing()),
                alert("a", Phase::Quiet),
                alert("b", Phase::Pending { since: time(1), failures: 1 }),
            ],
            vec![Notification { run: Some(run), ..notification("k", 9) }],
        ),
    };
    store.conclude(&run, &conclusion).await.unwrap();

    assert_eq!(store.run(&run).await.unwrap().end, conclusion.end);
    assert_eq!(store.results(&run).await.unwrap(), conclusion.results);
    let mut states = conclusion.alerts.states.clone();
    states.sort_by(|a, b| a.subject.cmp(&b.subject));
    assert_eq!(store.alerts().await.unwrap(), states);
    let [entry] = <[OutboxEntry; 1]>::try_from(store.due(time(9)).await.unwrap()).unwrap();
    assert_eq!(entry.notification, conclusion.alerts.notifications[0]);
    assert_eq!((entry.attempts, entry.state, entry.failure), (0, State::Waiting(time(9)), None));
    assert_eq!(keys_due(&store, 8).await, [""; 0], "it is not due before it was made");
}

#[tokio::test]
async fn a_run_that_is_concluded_again_has_its_new_results_only_and_states_take_the_place_of_states() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    let first = Conclusion {
        results: vec![result("a", Verdict::Drifted), result("b", Verdict::Drifted)],
        alerts: update(vec![alert("a", firing())], vec![notification("k", 1)]),
        ..Conclusion::default()
    };
    let second = Conclusion {
        results: vec![result("a", Verdict::Consistent)],
        alerts: update(
            vec![alert("a", Phase::Resolved { since: time(1), at: time(2) })],
            vec![notification("k", 2), notification("l", 2)],
        ),
        ..Conclusion::default()
    };
    store.conclude(&run, &first).await.unwrap();
    store.conclude(&run, &second).await.unwrap();
    assert_eq!(store.results(&run).await.unwrap(), second.results);
    assert_eq!(store.alerts().await.unwrap(), second.alerts.states);
    assert_eq!(keys_due(&store, 9).await, ["k", "l"], "no event is in the outbox twice");
    assert_eq!(store.run(&run).await.unwrap().end, None, "an end that is not given is not touched");
}

#[tokio::test]
async fn nothing_of_a_conclusion_is_kept_when_a_part_of_it_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    let conclusion = Conclusion {
        end: Some(RunEnd { how: Ending::Complete, at: time(9) }),
        results: vec![result("a", Verdict::Drifted), result("a", Verdict::Drifted)],
        alerts: update(vec![alert("a", firing())], vec![notification("k", 1)]),
    };
    store.conclude(&run, &conclusion).await.unwrap_err();
    let unknown = Notification { run: Some(RunId::generate()), ..notification("k", 1) };
    let conclusion = Conclusion {
        results: vec![result("a", Verdict::Drifted)],
        alerts: update(vec![alert("a", firing())], vec![unknown]),
        ..conclusion
    };
    store.conclude(&run, &conclusion).await.unwrap_err();
    assert_eq!(store.run(&run).await.unwrap().end, None);
    assert_eq!(store.results(&run).await.unwrap(), []);
    assert_eq!(store.alerts().await.unwrap(), []);
    assert_eq!(keys_due(&store, 9).await, [""; 0]);
}

#[tokio::test]
async fn a_run_that_is_not_there_has_no_results_and_no_conclusion() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let unknown = RunId::generate();
    assert!(matches!(store.results(&unknown).await, Err(StoreError::UnknownRun { .. })));
    let concluded = store.conclude(&unknown, &Conclusion::default()).await;
    assert!(matches!(concluded, Err(StoreError::UnknownRun { .. })));
}

#[tokio::test]
async fn results_of_a_model_come_in_the_order_of_its_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (early, late, other) = (run_at(5), run_at(7), RunRecord { model: "n".into(), ..run_at(6) });
    for (run, verdict) in [(&late, Verdict::Drifted), (&early, Verdict::Consistent), (&other, Verdict::Drifted)] {
        store.create_run(run, "{}").await.unwrap();
        let conclusion = Conclusion { results: vec![result("e", verdict), bare("a")], ..Conclusion::default() };
        store.conclude(&run.id, &conclusion).await.unwrap();
    }
    let seen = |results: Vec<RecordedResult>| -> Vec<_> {
        results.into_iter().map(|r| (r.run, r.started_at, r.result.endpoint, r.result.verdict)).collect()
    };
    let of = |run: &RunRecord, verdict| {
        [
            (run.id, run.started_at, "e".to_owned(), verdict),
            (run.id, run.started_at, "a".to_owned(), Verdict::Unmeasured),
        ]
    };
    let all = seen(store.results_since("m", time(0)).await.unwrap());
    assert_eq!(all, [of(&early, Verdict::Consistent), of(&late, Verdict::Drifted)].concat());
    let latest = seen(store.results_since("m", time(6)).await.unwrap());
    assert_eq!(latest, of(&late, Verdict::Drifted));
}

#[test]
fn a_check_counts_before_a_later_test_and_before_a_clock_that_was_ahead() {
    use crate::config::Reference;
    let found = |second, reference: &str, verdict| {
        let run = run_at(second);
        let result = result("e", verdict);
        RecordedResult { run: run.id, started_at: run.started_at, reference: reference.to_owned(), result }
    };
    let (check, test) = (found(1, "r", Verdict::Drifted), found(2, Reference::SNAPSHOT, Verdict::Consistent));
    let ahead = found(9, "r", Verdict::Inconclusive);
    let verdict = |results: &[&RecordedResult], reference: Option<&Reference>| {
        let results = results.iter().map(|&result| result.clone()).collect();
        latest_results(results, reference, time(5)).remove("e").map(|found| found.result.verdict)
    };
    let other = Reference::Endpoint("r".into());
    assert_eq!(verdict(&[&check, &test, &ahead], Some(&other)), Some(Verdict::Drifted));
    assert_eq!(verdict(&[&check, &test], None), Some(Verdict::Drifted));
    assert_eq!(verdict(&[&test], Some(&other)), Some(Verdict::Consistent), "there is nothing else");
    assert_eq!(verdict(&[&check, &test], Some(&Reference::Snapshot)), Some(Verdict::Consistent));
}

#[tokio::test]
async fn a_notification_waits_until_its_time_and_what_is_sent_stays_sent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.update_alerts(&update(Vec::new(), vec![notification("b", 2), notification("a", 1)])).await.unwrap();
    assert_eq!(keys_due(&store, 2).await, ["a", "b"], "the earliest first");
    let later = Delivery::Postponed { until: time(60), reason: "503".into() };
    store.settle("a", &later).await.unwrap();
    store.settle("b", &Delivery::Sent { at: time(3) }).await.unwrap();
    assert_eq!(keys_due(&store, 59).await, [""; 0]);
    assert_eq!(keys_due(&store, 60).await, ["a"]);
    store.settle("b", &later).await.unwrap();
    let entries = store.outbox(time(0)).await.unwrap();
    let states: Vec<_> = entries.iter().map(|e| (e.attempts, e.state, e.failure.as_deref())).collect();
    assert_eq!(states, [(1, State::Waiting(time(60)), Some("503")), (1, State::Sent(time(3)), None)]);
    assert_eq!(store.outbox(time(3)).await.unwrap().len(), 1, "what waits is listed however old it is");
}

#[tokio::test]
async fn what_is_due_waits_for_what_its_receiver_is_to_hear_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let to_another = Notification { receiver: "another".into(), ..notification("c", 3) };
    let made = vec![notification("a", 1), notification("b", 2), to_another];
    store.update_alerts(&update(Vec::new(), made)).await.unwrap();
    store.settle("a", &Delivery::Postponed { until: time(60), reason: "503".into() }).await.unwrap();
    assert_eq!(keys_due(&store, 59).await, ["c"]);
    assert_eq!(keys_due(&store, 60).await, ["a", "b", "c"]);
    store.settle("a", &Delivery::GivenUp { at: time(60), reason: "gone".into() }).await.unwrap();
    assert_eq!(keys_due(&store, 61).await, ["b", "c"], "what is given up holds up nothing");
}

#[tokio::test]
async fn what_was_given_up_is_tried_again_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.update_alerts(&update(Vec::new(), vec![notification("a", 1), notification("b", 1)])).await.unwrap();
    store.settle("a", &Delivery::GivenUp { at: time(2), reason: "no_service".into() }).await.unwrap();
    store.settle("b", &Delivery::Sent { at: time(2) }).await.unwrap();
    assert_eq!(keys_due(&store, 1_000).await, [""; 0]);
    assert_eq!(store.take_up_again(time(5)).await.unwrap(), 1);
    assert_eq!(keys_due(&store, 5).await, ["a"]);
}

#[tokio::test]
async fn a_silence_holds_until_its_end_or_until_it_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let silence = Silence {
        id: SilenceId::generate(),
        model: "m".into(),
        endpoint: "*".into(),
        created_at: time(1),
        until: time(10),
        comment: "they know".into(),
    };
    store.add_silence(&silence).await.unwrap();
    assert_eq!(store.silences(time(9)).await.unwrap(), std::slice::from_ref(&silence));
    assert_eq!(store.silences(time(10)).await.unwrap(), []);
    assert!(store.end_silence(silence.id, time(5)).await.unwrap());
    assert!(!store.end_silence(silence.id, time(6)).await.unwrap());
    assert_eq!(store.silences(time(5)).await.unwrap(), []);
    assert_eq!(silence.id.to_string().parse::<SilenceId>().unwrap(), silence.id);
}

#[tokio::test]
async fn no_secret_comes_into_results_states_events_or_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Redactor::new(["sk-canary"])).await.unwrap();
    let run = run_at(1);
    store.create_run(&run, "{}").await.unwrap();
    let mut told = result("e", Verdict::Drifted);
    told.reason = "sk-canary".into();
    told.findings[0].evidence = "saw sk-canary".into();
    let mut state = alert("e", firing());
    state.facts.reason = "sk-canary".into();
    let event = Notification { event: "{\"text\":\"sk-canary\"}".into(), ..notification("k", 1) };
    let conclusion = Conclusion { results: vec![told], alerts: update(vec![state], vec![event]), end: None };
    store.conclude(&run.id, &conclusion).await.unwrap();
    store.settle("k", &Delivery::GivenUp { at: time(2), reason: "at sk-canary".into() }).await.unwrap();
    let results = store.results(&run.id).await.unwrap();
    let all = (results, store.alerts().await.unwrap(), store.outbox(time(0)).await.unwrap());
    let shown = format!("{all:?}");
    assert!(!shown.contains("sk-canary") && shown.contains("[redacted]"), "{shown}");
}
