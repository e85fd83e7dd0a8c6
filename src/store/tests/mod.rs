//! Tests of the store: what goes in comes out, once, and without secrets.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;
use crate::attempt::{Answer, Asked, Failure, FailureKind, Outcome};
use crate::redact::Redactor;
use crate::sample::{SampleParameters, ToolCall, Usage};

mod crash;
mod damage;
mod examination;
mod keeping;
mod outcome;

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn run_at(second: i64) -> RunRecord {
    RunRecord {
        id: RunId::generate(),
        model: "m".into(),
        reference: "e".into(),
        started_at: time(second),
        end: None,
        seed: u64::MAX,
        config_digest: "d".into(),
        tool_version: "0.1.0".into(),
    }
}

fn slot(replicate: u32) -> Slot {
    Slot { endpoint: "e".into(), probe: "p".into(), replicate }
}

fn attempt(replicate: u32, outcome: Outcome) -> Attempt {
    Attempt {
        slot: slot(replicate),
        number: 1,
        started_at: time(5),
        elapsed: Duration::from_micros(1_234_567),
        status: Some(200),
        headers: BTreeMap::from([("server".into(), "h".into())]),
        raw: "{\"choices\":[]}".into(),
        outcome,
        cost: None,
    }
}

fn answered(replicate: u32, text: &str) -> (Attempt, Sample) {
    let usage = Usage { prompt_tokens: Some(12), completion_tokens: Some(9), reasoning_tokens: Some(4) };
    let answer = Answer { text: text.into(), usage: Some(usage), ..Answer::default() };
    let attempt = attempt(replicate, Outcome::Answered(Box::new(answer)));
    let parameters = SampleParameters { temperature: Some(0.7), ..SampleParameters::default() };
    let asked = Asked { model: "m".into(), probe_digest: "pd".into(), parameters };
    let sample = attempt.sample(&asked).unwrap();
    (attempt, sample)
}

fn failed(replicate: u32, kind: FailureKind) -> Attempt {
    let failure = Failure { kind, message: "why".into(), retry_after: None, should_retry: None };
    attempt(replicate, Outcome::Failed(failure))
}

async fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, Redactor::default()).await.unwrap()
}

/// A store with one run that has begun.
async fn with_run(dir: &Path) -> (SqliteStore, RunId) {
    let store = open(dir).await;
    let run = run_at(1);
    store.create_run(&run, "{}").await.unwrap();
    (store, run.id)
}

async fn record_answer(store: &SqliteStore, run: &RunId, replicate: u32, text: &str) -> Recorded {
    let (attempt, sample) = answered(replicate, text);
    store.record(run, &attempt, Some(&sample)).await.unwrap()
}

#[tokio::test]
async fn a_run_comes_back_as_it_was_made_with_its_plan() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let run = run_at(1);
    store.create_run(&run, "{\"seed\":1}").await.unwrap();
    assert_eq!(store.run(&run.id).await.unwrap(), run);
    assert_eq!(store.plan(&run.id).await.unwrap().as_deref(), Some("{\"seed\":1}"));
    assert_eq!(run.id.to_string().parse::<RunId>().unwrap(), run.id);
    assert!(store.create_run(&run, "{}").await.is_err());
}

#[tokio::test]
async fn runs_are_listed_from_the_latest_with_how_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let runs = [run_at(1), run_at(3), run_at(2)];
    for run in &runs {
        store.create_run(run, "{}").await.unwrap();
    }
    let listed: Vec<RunId> = store.runs().await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(listed, [runs[1].id, runs[2].id, runs[0].id]);

    let end = |how| RunEnd { how, at: time(9) };
    store.finish_run(&runs[1].id, end(Ending::Complete)).await.unwrap();
    store.finish_run(&runs[2].id, end(Ending::StoppedBudget)).await.unwrap();
    let listed = store.runs().await.unwrap();
    assert_eq!(listed[1], RunRecord { end: Some(end(Ending::StoppedBudget)), ..runs[2].clone() });
    assert_eq!(listed.iter().map(RunRecord::is_unfinished).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn an_answer_is_kept_with_its_attempt_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    let (attempt, sample) = answered(0, "hi");
    assert_eq!(store.record(&run, &attempt, Some(&sample)).await.unwrap(), Recorded::Stored);

    assert_eq!(store.samples(&run).await.unwrap(), [sample]);
    assert_eq!(store.answered(&run).await.unwrap(), HashSet::from([slot(0)]));
    let kept = RecordedAttempt {
        slot: slot(0),
        number: 1,
        started_at: attempt.started_at,
        elapsed: attempt.elapsed,
        status: Some(200),
        failure: None,
    };
    assert_eq!(store.attempts(&run).await.unwrap(), [kept]);
}

#[tokio::test]
async fn a_request_is_answered_once_and_a_second_answer_is_kept_as_an_attempt_only() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    assert_eq!(record_answer(&store, &run, 0, "first").await, Recorded::Stored);
    assert_eq!(record_answer(&store, &run, 0, "second").await, Recorded::AlreadyAnswered);
    let texts: Vec<String> = store.samples(&run).await.unwrap().into_iter().map(|sample| sample.text).collect();
    assert_eq!(texts, ["first"]);
    let counts = AttemptCounts { endpoint: "e".into(), attempts: 2, answers: 1, failures: 0 };
    assert_eq!(store.counts(&run).await.unwrap(), [counts]);
}

#[tokio::test]
async fn of_records_that_come_at_once_all_are_kept_and_the_second_answer_to_a_request_as_an_attempt_only() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    // More than one statement adds, a number that is no power of two, and failures in between.
    let replicates = (0..53).chain([17]);
    let records = futures_util::future::join_all(replicates.map(|replicate| {
        let store = &store;
        async move {
            if replicate % 10 == 3 {
                store.record(&run, &failed(replicate, FailureKind::Timeout), None).await.unwrap()
            } else {
                record_answer(store, &run, replicate, &format!("text {replicate}")).await
            }
        }
    }));
    let recorded = records.await;
    assert_eq!(recorded.iter().filter(|recorded| **recorded == Recorded::AlreadyAnswered).count(), 1);
    let texts: Vec<String> = store.samples(&run).await.unwrap().into_iter().map(|sample| sample.text).collect();
    let expected: Vec<String> = (0..53).filter(|r| r % 10 != 3).map(|r| format!("text {r}")).collect();
    assert_eq!(texts, expected);
    let counts = AttemptCounts { endpoint: "e".into(), attempts: 54, answers: 48, failures: 5 };
    assert_eq!(store.counts(&run).await.unwrap(), [counts]);
}

#[tokio::test]
async fn failures_are_counted_and_become_lines_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    store.record(&run, &failed(0, FailureKind::RateLimited), None).await.unwrap();
    record_answer(&store, &run, 0, "hi").await;

    let counts = AttemptCounts { endpoint: "e".into(), attempts: 2, answers: 1, failures: 1 };
    assert_eq!(store.counts(&run).await.unwrap(), [counts]);
    assert_eq!(store.answered(&run).await.unwrap().len(), 1);
    let lines = store.lines(&run).await.unwrap();
    let error = SampleError { kind: "rate_limited".into(), message: "why".into() };
    assert_eq!(lines.iter().map(|line| line.error.clone()).collect::<Vec<_>>(), [None, Some(error)]);
    assert_eq!(lines[1].model.as_deref(), Some("m"));
}

#[tokio::test]
async fn tokens_are_summed_by_probe_and_what_may_have_cost_uncounted_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    record_answer(&store, &run, 0, "a").await;
    record_answer(&store, &run, 1, "b").await;
    let uncounted = attempt(2, Outcome::Answered(Box::default()));
    store.record(&run, &uncounted, None).await.unwrap();
    store.record(&run, &failed(3, FailureKind::CutStream), None).await.unwrap();
    let timeout = Attempt { status: None, ..failed(4, FailureKind::Timeout) };
    store.record(&run, &timeout, None).await.unwrap();
    let limited = Attempt { status: Some(429), ..failed(5, FailureKind::RateLimited) };
    store.record(&run, &limited, None).await.unwrap();

    let spent = Spent {
        endpoint: "e".into(),
        probe: "p".into(),
        prompt_tokens: 24,
        completion_tokens: 18,
        unmetered: 3,
        charged: 0.0,
    };
    assert_eq!(store.spent(&run).await.unwrap(), std::slice::from_ref(&spent));

    let (answered, sample) = answered(6, "c");
    store.record(&run, &Attempt { cost: Some(0.25), ..answered }, Some(&sample)).await.unwrap();
    let cut = Attempt { cost: Some(0.5), ..failed(7, FailureKind::CutStream) };
    store.record(&run, &cut, None).await.unwrap();
    assert_eq!(
        store.spent(&run).await.unwrap(),
        [Spent { charged: 0.75, ..spent }],
        "a charge takes the place of counts"
    );
}

#[tokio::test]
async fn absurd_counts_of_a_host_break_no_sum() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    let usage = Usage { prompt_tokens: Some(u64::MAX), completion_tokens: Some(1), reasoning_tokens: None };
    for replicate in 0..3 {
        let answer = Answer { usage: Some(usage), ..Answer::default() };
        store.record(&run, &attempt(replicate, Outcome::Answered(Box::new(answer))), None).await.unwrap();
    }
    let spent = store.spent(&run).await.unwrap();
    assert!(spent[0].prompt_tokens > i64::MAX as u64 && spent[0].completion_tokens == 3, "{spent:?}");
}

#[tokio::test]
async fn times_are_those_of_answers_as_far_as_they_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let latency = |first_token, total| Latency { first_token, total };
    let sample =
        |endpoint: &str, replicate, latency_ms| Sample { replicate, latency_ms, ..Sample::new(endpoint, "p", "t") };
    let timeout = SampleError { kind: "timeout".into(), message: String::new() };
    let samples = [
        sample("z", 0, Some(latency(Some(120), 900))),
        sample("z", 1, None),
        Sample { error: Some(timeout), ..sample("z", 2, Some(latency(None, 60_000))) },
        sample("a", 0, Some(latency(None, 700))),
        sample("z", 3, Some(latency(Some(0), 5))),
    ];
    let run = run_at(1);
    store.import(&run, &samples).await.unwrap();
    let known = [("a", latency(None, 700)), ("z", latency(Some(120), 900)), ("z", latency(Some(0), 5))];
    let known = known.map(|(endpoint, latency)| AnswerTimes { endpoint: endpoint.into(), latency });
    assert_eq!(store.times(&run.id).await.unwrap(), known);
}

#[tokio::test]
async fn a_record_of_an_unknown_run_is_refused_without_harm_to_those_committed_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    let store: Arc<dyn Store> = Arc::new(store);
    let stranger = RunId::generate();
    // Sent before the task that writes has its turn, so that they share a transaction.
    let mut tasks = tokio::task::JoinSet::new();
    for replicate in 0..20 {
        let store = Arc::clone(&store);
        let of = if replicate == 7 { stranger } else { run };
        tasks.spawn(async move {
            let (attempt, sample) = answered(replicate, "hi");
            store.record(&of, &attempt, Some(&sample)).await
        });
    }
    let outcomes = tasks.join_all().await;
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(matches!(refused[..], [StoreError::UnknownRun { run, .. }] if run == stranger), "{refused:?}");
    assert_eq!(store.answered(&run).await.unwrap().len(), 19);
}

#[tokio::test]
async fn everything_about_a_run_that_is_not_there_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let run = RunId::generate();
    let errors = [
        store.run(&run).await.err(),
        store.plan(&run).await.err(),
        store.samples(&run).await.err(),
        store.answered(&run).await.err(),
        store.attempts(&run).await.err(),
        store.counts(&run).await.err(),
        store.spent(&run).await.err(),
        store.times(&run).await.err(),
        store.lines(&run).await.err(),
        store.finish_run(&run, RunEnd { how: Ending::Partial, at: time(1) }).await.err(),
    ];
    for error in errors {
        assert!(error.as_ref().is_some_and(|error| error.to_string().contains(&run.to_string())), "{error:?}");
    }
}

/// What the store gives back for samples: sorted, and `usage` without any count left out.
fn as_kept(mut samples: Vec<Sample>) -> Vec<Sample> {
    for sample in &mut samples {
        sample.usage = sample.usage.filter(|usage| *usage != Usage::default()).map(|usage| Usage {
            prompt_tokens: usage.prompt_tokens.map(at_most_i64),
            completion_tokens: usage.completion_tokens.map(at_most_i64),
            reasoning_tokens: usage.reasoning_tokens.map(at_most_i64),
        });
        sample.latency_ms = sample.latency_ms.map(|latency| Latency {
            first_token: latency.first_token.map(at_most_i64),
            total: at_most_i64(latency.total),
        });
    }
    samples.sort_by_key(|sample| (sample.endpoint.clone(), sample.probe.clone(), sample.replicate));
    samples
}

fn at_most_i64(count: u64) -> u64 {
    count.min(i64::MAX as u64)
}

#[tokio::test]
async fn any_samples_that_are_imported_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (mut runner, strategy) = (TestRunner::default(), crate::sample::file::tests::samples());
    for _ in 0..40 {
        let samples = strategy.new_tree(&mut runner).unwrap().current();
        let run = run_at(1);
        store.import(&run, &samples).await.unwrap();
        assert_eq!(store.lines(&run.id).await.unwrap(), as_kept(samples));
        assert_eq!(store.plan(&run.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_import_with_two_answers_to_one_request_adds_nothing_and_failures_may_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let answer = Sample::new("e", "p", "t");
    let failure = SampleError { kind: "reset".into(), message: String::new() };
    let failed = Sample { error: Some(failure), ..answer.clone() };
    let run = run_at(1);

    let twice = [answer.clone(), failed.clone(), answer.clone()];
    let error = store.import(&run, &twice).await.unwrap_err();
    assert!(matches!(&error, StoreError::DuplicateAnswer { slot: of } if *of == slot(0)), "{error}");
    assert_eq!(store.runs().await.unwrap(), []);

    store.import(&run, &[failed.clone(), failed, answer]).await.unwrap();
    let counts = AttemptCounts { endpoint: "e".into(), attempts: 3, answers: 1, failures: 2 };
    assert_eq!(store.counts(&run.id).await.unwrap(), [counts]);
    assert_eq!(store.answered(&run.id).await.unwrap().len(), 1);
}

const CANARY: &str = "sk-canary-\"1234\"";

/// An answer that echoes a credential wherever a host could put one.
fn echoing() -> (Attempt, Sample) {
    let echo = || format!("<{CANARY}>");
    let answer = Answer {
        text: echo(),
        reasoning: Some(echo()),
        finish_reason: Some(echo()),
        usage: None,
        tool_calls: vec![ToolCall { name: echo(), arguments: serde_json::json!({ "key": CANARY }).to_string() }],
        logprobs: Some(serde_json::json!({ CANARY: [{ "token": CANARY, "logprob": -0.5 }] })),
        response_model: Some(echo()),
        system_fingerprint: Some(echo()),
        response_id: Some(echo()),
        provider: Some(echo()),
        latency: None,
    };
    let headers = BTreeMap::from([("x-echo".to_owned(), echo())]);
    let attempt = Attempt { headers, raw: echo(), ..attempt(0, Outcome::Answered(Box::new(answer))) };
    let parameters = SampleParameters::default();
    let sample = attempt.sample(&Asked { model: "m".into(), probe_digest: "d".into(), parameters }).unwrap();
    (attempt, sample)
}

#[tokio::test]
async fn a_secret_that_a_host_echoes_reaches_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), Redactor::new([CANARY])).await.unwrap();
    let run = run_at(1);
    store.create_run(&run, "{}").await.unwrap();
    let (attempt, sample) = echoing();
    store.record(&run.id, &attempt, Some(&sample)).await.unwrap();
    let failure = Failure { kind: FailureKind::Server, message: CANARY.into(), retry_after: None, should_retry: None };
    store.record(&run.id, &Attempt { outcome: Outcome::Failed(failure), ..attempt }, None).await.unwrap();

    let lines = store.lines(&run.id).await.unwrap();
    assert_eq!(lines[0].text, "<[redacted]>");
    assert_eq!(lines[0].logprobs.as_ref().unwrap()["[redacted]"][0]["logprob"], -0.5);
    store.close().await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"sk-canary"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_directory_and_all_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join(".samemodel");
    let (store, run) = with_run(&dir).await;
    record_answer(&store, &run, 0, "private").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "the log is a file of its own: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
