//! What a watch notes, and what retention drops.

use super::*;
use crate::retention::{Level, Standing};
use crate::schedule::Tier;
use crate::verdict::Verdict;

fn start(number: u64, cause: StartCause) -> WatchStart {
    WatchStart { model: "m".into(), tier: Tier::Pulse, number, cause, due_at: time(60), started_at: time(61) }
}

#[tokio::test]
async fn a_time_is_claimed_once_and_both_claims_of_a_pair_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (open(dir.path()).await, open(dir.path()).await);
    let pulse = start(1, StartCause::Covered);
    let full = WatchStart { tier: Tier::Full, ..start(1, StartCause::Schedule) };
    assert!(first.claim(std::slice::from_ref(&pulse)).await.unwrap());
    assert!(!second.claim(&[full.clone(), pulse.clone()]).await.unwrap());
    assert_eq!(second.starts("m", Tier::Full).await.unwrap(), []);
    assert!(second.claim(&[full, start(2, StartCause::Schedule)]).await.unwrap());
    let numbers: Vec<u64> = first.starts("m", Tier::Pulse).await.unwrap().iter().map(|s| s.start.number).collect();
    assert_eq!(numbers, [2, 1]);
}

#[tokio::test]
async fn a_claim_comes_back_with_what_became_of_it_and_can_be_given_back_before() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    let suspicion = start(1, StartCause::Suspicion(vec!["a \"b\"".into(), "c".into()]));
    store.claim(&[suspicion.clone(), start(2, StartCause::Schedule)]).await.unwrap();
    store.end_start(&suspicion, StartEnd { run: Some(run), verdict: Some(Verdict::Drifted) }).await.unwrap();
    store.give_back(&[suspicion.clone(), start(2, StartCause::Schedule)]).await.unwrap();
    let expected = RecordedStart { start: suspicion, run: Some(run), outcome: Some("drifted".into()) };
    assert_eq!(store.starts("m", Tier::Pulse).await.unwrap(), std::slice::from_ref(&expected), "what ended is kept");
    assert_eq!(store.started_runs().await.unwrap(), [expected]);
    let failed = start(2, StartCause::Schedule);
    store.claim(std::slice::from_ref(&failed)).await.unwrap();
    store.end_start(&failed, StartEnd { run: None, verdict: None }).await.unwrap();
    assert_eq!(store.starts("m", Tier::Pulse).await.unwrap()[0].outcome.as_deref(), Some("failed"));
}

#[tokio::test]
async fn a_run_is_brought_down_level_by_level_and_its_results_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    record_answer(&store, &run, 0, &"long ".repeat(100_000)).await;
    store.finish_run(&run, RunEnd { how: Ending::Complete, at: time(9) }).await.unwrap();
    let level = |runs: Vec<crate::retention::Run<RunId>>| (runs[0].level, runs[0].standing);
    assert_eq!(level(store.retained().await.unwrap()), (Level::Whole, Standing::Complete(time(9))));

    store.reduce(&run, Level::WithoutRaw).await.unwrap();
    assert_eq!(store.samples(&run).await.unwrap()[0].headers, BTreeMap::new());
    assert!(store.samples(&run).await.unwrap()[0].text.starts_with("long "), "an answer is not what was sent raw");

    store.reduce(&run, Level::ResultsOnly).await.unwrap();
    assert_eq!(store.lines(&run).await.unwrap(), []);
    assert_eq!(store.plan(&run).await.unwrap(), None);
    assert_eq!(level(store.retained().await.unwrap()), (Level::ResultsOnly, Standing::Complete(time(9))));
    let (before, after) = store.compact().await.unwrap();
    assert!(after + 400_000 < before, "{before} to {after}");
}

#[tokio::test]
async fn imported_runs_are_known_by_their_missing_plan() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let run = RunRecord { end: Some(RunEnd { how: Ending::Complete, at: time(9) }), ..run_at(1) };
    store.import(&run, &[answered(0, "hi").1]).await.unwrap();
    assert_eq!(store.retained().await.unwrap()[0].standing, Standing::Imported);
}
