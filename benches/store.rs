//! How fast the store makes answers durable: one after the other, and as they come from many requests at once.
//!
//! `cargo bench --bench store`. Every commit waits for the disk, so the figures are the disk's more than the
//! processor's. The database lies in the build directory, since a temporary directory may be in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use divan::counter::ItemsCount;
use jiff::Timestamp;
use samemodel::attempt::{Answer, Asked, Attempt, Outcome, Slot};
use samemodel::redact::Redactor;
use samemodel::sample::SampleParameters;
use samemodel::store::{RunId, RunRecord, SqliteStore, Store};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

struct Bench {
    runtime: Runtime,
    store: Arc<SqliteStore>,
    run: RunId,
    next: u32,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let run = RunRecord {
            id: RunId::generate(),
            model: "m".into(),
            reference: "e".into(),
            started_at: Timestamp::UNIX_EPOCH,
            end: None,
            seed: 0,
            config_digest: String::new(),
            tool_version: String::new(),
        };
        let store = runtime.block_on(async {
            let store = SqliteStore::open(dir.path(), Redactor::default()).await.expect("a store");
            store.create_run(&run, "{}").await.expect("a run");
            store
        });
        Self { runtime, store: Arc::new(store), run: run.id, next: 0, _dir: dir }
    }

    /// Records so many answers, all of them waiting at once.
    fn record(&mut self, together: u32) {
        let (store, run, first) = (&self.store, self.run, self.next);
        self.next += together;
        self.runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for replicate in first..first + together {
                let store = Arc::clone(store);
                tasks.spawn(async move {
                    let attempt = attempt(replicate);
                    let sample = attempt.sample(&asked());
                    store.record(&run, &attempt, sample.as_ref()).await.expect("a commit");
                });
            }
            tasks.join_all().await;
        });
    }
}

/// An answer of 64 tokens with its streamed body, some 10 KiB.
fn attempt(replicate: u32) -> Attempt {
    let answer = Answer { text: "some words ".repeat(25), finish_reason: Some("stop".into()), ..Answer::default() };
    Attempt {
        slot: Slot { endpoint: "e".into(), probe: "p".into(), replicate },
        number: 1,
        started_at: Timestamp::UNIX_EPOCH,
        elapsed: Duration::from_millis(400),
        status: Some(200),
        headers: BTreeMap::new(),
        raw: format!("data: {}\n\n", "x".repeat(150)).repeat(64),
        outcome: Outcome::Answered(Box::new(answer)),
        cost: None,
    }
}

fn asked() -> Asked {
    Asked { model: "m".into(), probe_digest: String::new(), parameters: SampleParameters::default() }
}

#[divan::bench(args = [1, 16, 128, 1024], sample_count = 30, sample_size = 1)]
fn answers_recorded(bencher: divan::Bencher, together: u32) {
    let mut bench = Bench::new();
    bencher.counter(ItemsCount::new(together)).bench_local(|| bench.record(together));
}
