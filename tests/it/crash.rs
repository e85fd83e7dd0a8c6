//! A run that is killed again and again loses nothing that was acknowledged and asks nothing twice.
//!
//! `cargo test` kills it 8 times; `SAMEMODEL_KILLS=50 cargo test --test it crash` as often as is claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rand::RngExt as _;
use samemodel::stats::rng;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::fixture::{Project, Running};

/// Endpoint, probe and replicate.
type Slot = (String, String, i64);

/// The name of the variable that says how often.
const KILLS: &str = "SAMEMODEL_KILLS";
const USUAL_KILLS: u64 = 8;

/// How long after its start a run is killed, in milliseconds.
const MOMENTS: std::ops::Range<u64> = 50..600;

/// Seed of the moments and of the run.
const SEED: u64 = 20_261_122;

fn kills() -> u64 {
    std::env::var(KILLS).map_or(USUAL_KILLS, |text| text.parse().expect("SAMEMODEL_KILLS is a number"))
}

/// Two endpoints, each answering some 40 requests a second, so that the run outlasts all kills.
fn project(answers: u64) -> Project {
    Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_probe("day", "Plan a day in Prague.")
        .with_default("samples", &answers.to_string())
        .with_default("max_tokens", "3")
        .with_endpoint_and("reference", "lab:slow=50", "concurrency = 2\n", "")
        .with_endpoint_and("twin", "lab:slow=50+flaky-host=0.1", "concurrency = 2\n", "")
}

/// Every answer of the history with its text, read from the file itself. Fails when a slot is answered twice.
async fn stored(history: &Path) -> BTreeMap<Slot, String> {
    let mut answers = BTreeMap::new();
    if !history.exists() {
        return answers;
    }
    let mut file = SqliteConnectOptions::new().filename(history).connect().await.expect("the history opens");
    let integrity: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut file).await.expect("it can be checked");
    assert_eq!(integrity, "ok");
    let rows: Vec<(String, String, i64, String)> = if tables(&mut file).await.contains("sample") {
        sqlx::query_as("SELECT endpoint, probe, replicate, text FROM sample").fetch_all(&mut file).await.expect("rows")
    } else {
        Vec::new()
    };
    for (endpoint, probe, replicate, text) in rows {
        let slot = (endpoint, probe, replicate);
        assert!(answers.insert(slot.clone(), text).is_none(), "{slot:?} is answered twice");
    }
    file.close().await.expect("it closes");
    answers
}

async fn tables(file: &mut sqlx::SqliteConnection) -> BTreeSet<String> {
    let names = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'");
    names.fetch_all(file).await.expect("tables").into_iter().collect()
}

async fn runs(history: &Path) -> i64 {
    let mut file = SqliteConnectOptions::new().filename(history).connect().await.expect("the history opens");
    let runs = if tables(&mut file).await.contains("run") {
        sqlx::query_scalar("SELECT COUNT(*) FROM run").fetch_one(&mut file).await.expect("a count")
    } else {
        0
    };
    file.close().await.expect("it closes");
    runs
}

/// The slots that the program has told of, in lines that it finished writing before it was killed.
fn told(log: &str) -> Vec<Slot> {
    let finished = log.rfind('\n').map_or("", |end| &log[..end]);
    finished.lines().filter_map(|line| line.split_once("answered endpoint=\"")).map(|(_, rest)| slot(rest)).collect()
}

fn slot(rest: &str) -> Slot {
    let (endpoint, rest) = rest.split_once("\" probe=\"").expect("a probe");
    let (probe, replicate) = rest.split_once("\" replicate=").expect("a replicate");
    (endpoint.to_owned(), probe.to_owned(), replicate.trim().parse().expect("a number"))
}

/// Starts the run or goes on with it, and kills it after so long; what it told of until then.
async fn killed(project: &Project, history: &Path, after: Duration) -> Vec<Slot> {
    let begun = history.exists() && runs(history).await > 0;
    let seed = SEED.to_string();
    let first = ["check", "m", "-vv", "--seed", &seed];
    let again = ["check", "m", "-vv", "--resume"];
    let mut child = project.start(if begun { &again } else { &first }, "");
    sleep(after);
    assert!(still_runs(&mut child), "the run ended before it could be killed: {}", child.stderr());
    // SIGKILL: no handler runs, nothing is flushed.
    child.child.kill().expect("it is killed");
    child.child.wait().expect("it is gone");
    told(&child.stderr())
}

fn still_runs(child: &mut Running) -> bool {
    child.child.try_wait().expect("the child's state").is_none()
}

#[tokio::test(flavor = "current_thread")]
async fn a_run_that_is_killed_again_and_again_loses_no_answer_and_has_none_twice() {
    let kills = kills();
    // Two probes: some 40 answers a second and endpoint at most, for as long as all kills together may take.
    let answers = 4 + kills * MOMENTS.end * 40 / 1000 / 2 / 2;
    let project = project(answers);
    project.write();
    let history = project.path(".samemodel/history.db");
    let mut rng = rng::derive(SEED, &["moments"]);
    let mut known = BTreeMap::new();
    let mut acknowledged = 0;
    for kill in 1..=kills {
        let told = killed(&project, &history, Duration::from_millis(rng.random_range(MOMENTS))).await;
        let now = stored(&history).await;
        for (slot, text) in &known {
            assert_eq!(now.get(slot), Some(text), "{slot:?} was changed or lost at kill {kill}");
        }
        for slot in &told {
            assert!(now.contains_key(slot), "{slot:?} was acknowledged and is lost at kill {kill}");
            assert!(!known.contains_key(slot), "{slot:?} was answered before and asked again at kill {kill}");
        }
        acknowledged += told.len();
        known = now;
    }
    assert!(acknowledged > 0, "no kill came late enough to lose anything");

    let end = project.run(["check", "m", "--resume", "--format", "json", "--quiet"]);
    assert!([0, 3].contains(&end.code()), "{}", end.stderr);
    let all = stored(&history).await;
    for (slot, text) in &known {
        assert_eq!(all.get(slot), Some(text), "{slot:?} was changed or lost at the end");
    }
    let planned: BTreeSet<Slot> = ["reference", "twin"]
        .into_iter()
        .flat_map(|e| ["day", "weather"].map(|p| (e, p)))
        .flat_map(|(e, p)| (0..answers.cast_signed()).map(move |r| (e.to_owned(), p.to_owned(), r)))
        .collect();
    assert_eq!(all.into_keys().collect::<BTreeSet<_>>(), planned);
    assert_eq!(runs(&history).await, 1);
    println!("{kills} kills, {acknowledged} of {} answers acknowledged before one", planned.len());
}
