//! Crash safety: what was acknowledged is there, whatever happens to the program.

use std::sync::Mutex;

use sqlx::Connection as _;

use super::*;

/// What a new store finds: the requests that have their answer, and the numbers of samples and of attempts.
fn stored(dir: &Path, run: &RunId) -> (HashSet<Slot>, usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(dir).await;
        // The vanished store's thread may be in the middle of its last transaction: this waits for its end.
        let mut connection = store.writer.connection.lock().await;
        let _quiet = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let samples = store.samples(run).await.unwrap();
        let attempts = store.attempts(run).await.unwrap();
        let answered = store.answered(run).await.unwrap();
        (answered, samples.len(), attempts.len())
    })
}

/// Begins to record `0..total` at once and returns, without closing anything, when at least `enough` are acknowledged.
fn record_and_vanish(dir: &Path, total: u32, enough: usize) -> (RunId, HashSet<Slot>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let run = runtime.block_on(async {
        let (store, run) = with_run(dir).await;
        let store = Arc::new(store);
        let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for replicate in 0..total {
            let (store, acknowledged, tell) = (Arc::clone(&store), Arc::clone(&acknowledged), tell.clone());
            tokio::spawn(async move {
                record_answer(&store, &run, replicate, "hi").await;
                acknowledged.lock().unwrap().insert(slot(replicate));
                let _ = tell.send(());
            });
        }
        for _ in 0..enough {
            heard.recv().await.unwrap();
        }
        run
    });
    runtime.shutdown_background();
    let acknowledged = acknowledged.lock().unwrap().clone();
    (run, acknowledged)
}

#[test]
fn a_program_that_vanishes_while_recording_keeps_all_that_was_acknowledged_and_nothing_twice() {
    for enough in [1, 100, 150, 299] {
        let dir = tempfile::tempdir().unwrap();
        let (run, acknowledged) = record_and_vanish(dir.path(), 300, enough);
        let (answered, samples, attempts) = stored(dir.path(), &run);
        assert!(acknowledged.len() >= enough && answered.is_superset(&acknowledged));
        assert_eq!((samples, attempts), (answered.len(), answered.len()), "half of a record, or one twice");
    }
}

#[test]
fn a_program_that_vanishes_after_its_last_acknowledgement_leaves_exactly_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (run, acknowledged) = record_and_vanish(dir.path(), 300, 300);
    assert_eq!(stored(dir.path(), &run), (acknowledged, 300, 300));
}

#[tokio::test]
async fn the_files_as_a_kill_would_leave_them_hold_what_was_acknowledged() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, run) = with_run(dir.path()).await;
    for replicate in 0..5 {
        record_answer(&store, &run, replicate, "hi").await;
    }
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), image.path().join(entry.file_name())).unwrap();
    }
    let copy = open(image.path()).await;
    assert_eq!(copy.answered(&run).await.unwrap(), (0..5).map(slot).collect());
}

#[tokio::test]
async fn a_resumed_run_goes_on_where_it_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    record_answer(&store, &run, 0, "before").await;
    drop(store);
    let store = open(dir.path()).await;
    let found = store.run(&run).await.unwrap();
    assert!(found.is_unfinished(), "{found:?}");
    assert_eq!(record_answer(&store, &run, 0, "again").await, Recorded::AlreadyAnswered);
    assert_eq!(record_answer(&store, &run, 1, "after").await, Recorded::Stored);
    store.close().await.unwrap();
    assert_eq!(open(dir.path()).await.answered(&run).await.unwrap(), HashSet::from([slot(0), slot(1)]));
}
