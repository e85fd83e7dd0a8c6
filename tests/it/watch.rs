//! `samemodel watch` on small fleets of the lab: what is due runs once, suspicion calls for more, and no failure looks like success.

use std::fs;

use serde_json::Value;

use crate::fixture::{Project, Run, TELLING, assert_says};

/// Times that are never on time again within a test: what is due is due because nothing ran yet.
const YEARLY: &str = "\n[watch.pulse]\ncron = \"0 0 1 1 *\"\nprobes = [\"pulse\"]\nsamples = 2\n";
const BOTH: &str = "\n[watch.pulse]\ncron = \"0 0 1 1 *\"\nprobes = [\"pulse\"]\n[watch.full]\ncron = \"0 0 2 1 *\"\n";

/// A model with two probes, one of which makes a pulse, and a `[watch]` of its own.
fn project(watch: &str) -> Project {
    let project = Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_default("max_tokens", "4")
        .with_endpoint("reference", "lab:")
        .with_endpoint("twin", "lab:")
        .with_tables(watch);
    fs::create_dir(project.path("pulse")).expect("a folder");
    project.with_file("pulse/hello.md", "Say hello.")
}

fn history(project: &Project, model: &str) -> Value {
    project.run(["history", model, "--format", "json"]).json()
}

fn tiers(history: &Value) -> Vec<&str> {
    history["runs"].as_array().expect("runs").iter().map(|run| run["tier"].as_str().unwrap_or("none")).collect()
}

#[track_caller]
fn ended(run: &Run, codes: &[i32]) {
    assert!(codes.contains(&run.code()), "{}\n{}\n{}", run.code(), run.stdout, run.stderr);
}

#[test]
fn what_is_due_is_checked_once_with_the_exit_code_of_a_check() {
    let project = project(YEARLY);
    let first = project.run(["watch", "--once", "--quiet"]);
    ended(&first, &[0, 3]);
    assert_says(&first.stdout, &["  m  pulse  ", "run "]);
    assert_says(&first.stderr, &["next: pulse of m at "]);
    let second = project.run(["watch", "--once", "--quiet"]);
    assert_eq!(second.code(), 0, "{}", second.stderr);
    assert_says(&second.stdout, &["nothing is due; next: pulse of m at "]);
    let history = history(&project, "m");
    assert_eq!(tiers(&history), ["pulse"]);
    assert_eq!(history["runs"][0]["answers"], 4, "two answers from each of two endpoints to the one probe of a pulse");
}

#[test]
fn a_full_check_goes_before_a_pulse_that_is_due_with_it() {
    let project = project(BOTH);
    ended(&project.run(["watch", "--once", "--quiet"]), &[0, 3]);
    assert_eq!(tiers(&history(&project, "m")), ["full"]);
    assert_says(&project.run(["watch", "--once"]).stdout, &["nothing is due"]);
}

#[test]
fn a_deleted_history_makes_everything_due_again() {
    let project = project(YEARLY);
    ended(&project.run(["watch", "--once", "--quiet"]), &[0, 3]);
    fs::remove_dir_all(project.path(".samemodel")).expect("it is there");
    let again = project.run(["watch", "--once", "--quiet"]);
    ended(&again, &[0, 3]);
    assert_says(&again.stdout, &["  m  pulse  "]);
}

#[test]
fn suspicion_calls_for_a_full_check_at_once() {
    let drifting = Project::new()
        .with_shipped_probes(&TELLING)
        .with_default("samples", "6")
        .with_endpoint("reference", "lab:")
        .with_endpoint("small-model", "lab:swapped-model")
        .with_tables(&BOTH.replace("\"pulse\"", "\"prompts\""));
    // The full check has its time now, so that later only suspicion can call for it.
    ended(&drifting.run(["watch", "--once", "--quiet"]), &[0, 1, 3]);
    forget(&drifting, "pulse");
    let run = drifting.run(["watch", "--once", "--quiet"]);
    ended(&run, &[0, 1, 3]);
    assert_says(&run.stdout, &["  m  pulse  ", "  m  full (suspected: small-model)  "]);
    let history = history(&drifting, "m");
    assert_eq!(tiers(&history), ["full", "pulse", "full"]);
    assert_eq!(history["runs"][0]["suspects"].as_array().expect("a list").last().expect("one"), "small-model");

    // Within the time to cool down, the same drift calls for no other.
    forget(&drifting, "pulse");
    let run = drifting.run(["watch", "--once", "--quiet"]);
    ended(&run, &[1, 3]);
    assert!(!run.stdout.contains("suspected"), "{}", run.stdout);
}

/// Forgets that this tier was ever started.
fn forget(project: &Project, tier: &'static str) {
    let path = project.path(".samemodel/history.db");
    let forget = async {
        use sqlx::{ConnectOptions as _, Connection as _};
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut file = options.connect().await.expect("the history opens");
        let done = sqlx::query("DELETE FROM watch_start WHERE tier = $1").bind(tier).execute(&mut file).await;
        assert!(done.expect("rows").rows_affected() > 0, "nothing was noted");
        file.close().await.expect("it closes");
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(forget);
}

#[test]
fn a_check_that_fails_is_told_with_its_code_and_never_as_a_success() {
    let down =
        project(YEARLY).with_endpoint("reference-2", "http://127.0.0.1:9").with_model("reference", "\"reference-2\"");
    let run = down.run(["watch", "--once", "--quiet"]);
    assert_eq!(run.code(), 3, "{}\n{}", run.stdout, run.stderr);
    assert_says(&run.stdout, &["  m  pulse  failed: ", "reference-2"]);
    let empty = project(YEARLY).with_file("empty.jsonl", "").with_model("reference", "{ samples = \"empty.jsonl\" }");
    let run = empty.run(["watch", "--once", "--quiet"]);
    assert_eq!(run.code(), 3, "{}\n{}", run.stdout, run.stderr);
    assert_says(&run.stdout, &["failed: ", "empty.jsonl holds no answers"]);
    let gone = project(&YEARLY.replace("\"pulse\"", "\"not-there\""));
    let run = gone.run(["watch", "--once", "--quiet"]);
    assert_eq!(run.code(), 2, "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn times_and_models_that_are_not_there_are_refused() {
    project("").run(["watch", "--once"]).refuses(2, &["[watch.pulse]", "cron"]);
    project(YEARLY).run(["watch", "--once", "n"]).refuses(2, &["no model `n`"]);
    let wrong = YEARLY.replace("0 0 1 1 *", "0 0 31 2 *");
    project(&wrong).run(["watch", "--once"]).refuses(2, &["providers.toml:", "whose time never comes"]);
}

#[cfg(unix)]
#[test]
fn a_watch_waits_keeps_another_away_and_stops_when_asked() {
    let project = project(YEARLY);
    project.write();
    let mut first = project.start(&["watch", "--quiet"], "");
    first.wait_until("it waits", |run| run.stdout().contains("next: pulse of m at "));
    assert_says(&first.stdout(), &["  m  pulse  "]);
    let second = project.run(["watch"]);
    second.refuses(75, &["another watch is at work", "`samemodel watch`, process "]);
    ended(&project.run(["check", "m", "--quiet"]), &[0, 3]);
    let once = project.run(["watch", "--once"]);
    assert_says(&once.stdout, &["nothing is due"]);
    first.signal("TERM");
    let stopped = first.finish();
    assert_eq!(stopped.code(), 0, "{}", stopped.stderr);
    assert!(stopped.stdout.ends_with("stopped, as asked\n"), "{}", stopped.stdout);
}

#[cfg(unix)]
#[test]
fn a_time_that_meets_another_run_is_given_back_and_told_with_code_75() {
    let slow = project(YEARLY)
        .with_default("samples", "200")
        .with_default("max_tokens", "2")
        .with_endpoint("slow", "lab:slow=20");
    slow.write();
    let mut check = slow.start(&["check", "m", "-vv"], "");
    check.wait_until("answers", |run| run.stderr().contains("answered endpoint="));
    let once = slow.run(["watch", "--once", "--quiet"]);
    once.refuses(75, &["another run is under way"]);
    check.signal("TERM");
    ended(&check.finish(), &[0, 1, 3]);
    ended(&slow.run(["watch", "--once", "--quiet"]), &[0, 1, 3]);
    assert_eq!(tiers(&history(&slow, "m"))[0], "pulse");
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_a_watch_with_words_on_what_to_do() {
    let project = project(YEARLY);
    let full = project.run_on_a_full_disk(24, ["watch", "--once", "--quiet"]);
    full.refuses(70, &["the disk refused", "see that it has room"]);
    let again = project.run(["watch", "--once", "--quiet"]);
    ended(&again, &[0, 3]);
    assert!(!again.stdout.contains("failed"), "{}", again.stdout);
}

#[test]
fn after_a_clock_was_set_back_far_what_is_due_by_the_new_time_is_checked_at_once() {
    let mut project = project(YEARLY);
    for now in ["2027-02-01T00:00:00Z", "2026-03-01T00:00:00Z"] {
        project = project.with_env("SAMEMODEL_NOW", now);
        let run = project.run(["watch", "--once", "--quiet"]);
        ended(&run, &[0, 3]);
        // The clock goes on from there, and on a busy machine by more than a second.
        let minute = &now[..now.len() - "00Z".len()];
        assert!(
            run.stdout.lines().any(|line| line.starts_with(minute) && line.contains("Z  m  pulse  ")),
            "{}",
            run.stdout
        );
    }
    let run = project.run(["watch", "--once", "--quiet"]);
    assert_says(&run.stdout, &["nothing is due; next: pulse of m at 2027-01-01T00:00:00Z"]);
}

#[test]
fn a_watch_drops_what_the_policy_no_longer_keeps() {
    let project = project(YEARLY).with_tables("\n[history]\nraw_days = 30\n");
    let at = |project: Project, now: &str| {
        let project = project.with_env("SAMEMODEL_NOW", now);
        let run = project.run(["watch", "--once", "--quiet"]);
        ended(&run, &[0, 3]);
        (project, run.stderr)
    };
    let (project, said) = at(project, "2026-06-01T00:00:00Z");
    assert!(!said.contains("dropped"), "the only run is kept whole: {said}");
    let (project, said) = at(project, "2027-02-01T00:00:00Z");
    assert_says(&said, &["dropped by [history]: 1 run without what hosts sent, 0 runs down to results alone"]);
    let (_, said) = at(project, "2027-02-01T00:05:00Z");
    assert!(!said.contains("dropped"), "nothing was checked: {said}");
}
