//! The program with `[alert]` configured: checks that find something, checks that fail, and the verbs.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::fixture::{Project, assert_says};
use crate::host::{Host, Request, delta, end, response, stream};
use crate::receiver::{Posted, Receiver};

const ALERT: &str = "[alert]\nfail_after = 1\n\
    [alert.receiver.hook]\nkind = 'webhook'\nurl_env = 'HOOK_URL'\n\
    [alert.heartbeat]\nurl_env = 'PING_URL'\n";

fn project(receiver: &Receiver) -> Project {
    Project::new()
        .with_probe("p", "Tell me of the sea.")
        .with_file("providers.local.toml", ALERT)
        .with_env("HOOK_URL", &format!("http://{}/canary-hook", receiver.authority()))
        .with_env("PING_URL", &format!("http://{}/canary-ping", receiver.authority()))
}

fn receiver() -> Receiver {
    Receiver::start(|_| ("200 OK", "", "ok"))
}

fn paths(receiver: &Receiver) -> Vec<String> {
    receiver.got().into_iter().map(|posted| posted.path).collect()
}

fn events(posted: &Posted) -> Vec<String> {
    let message: Value = serde_json::from_str(&posted.body).expect("a message");
    let events = message["events"].as_array().expect("events").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    events.map(|e| format!("{} {}", word(&e["subject"]["kind"]), word(&e["change"]))).collect()
}

#[test]
fn an_endpoint_that_gives_no_answers_is_told_of_and_the_switch_hears_of_the_check() {
    let receiver = receiver();
    let project = project(&receiver)
        .with_endpoint("reference", "lab:")
        .with_endpoint("same", "lab:")
        .with_endpoint("gone", "http://127.0.0.1:9/v1");
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert_eq!(paths(&receiver), ["/canary-ping/start", "/canary-hook", "/canary-ping"]);
    assert_eq!(events(&receiver.got()[1]), ["unreachable firing"]);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("canary"));

    let listed = project.run(["alert", "list"]);
    assert_says(&listed.stdout, &["firing    unreachable     m/gone", "sent"]);
    let again = project.run(["check", "m", "--quiet"]);
    assert_eq!(again.code(), 3);
    assert_eq!(receiver.got().len(), 5, "a second run has nothing to add: {:?}", paths(&receiver));
    for (path, bytes) in project.files() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary"), "{} holds an address", path.display());
    }
}

#[test]
fn a_check_that_measures_nothing_is_told_at_once_and_again_only_when_it_works() {
    let receiver = receiver();
    let project = project(&receiver)
        .with_endpoint("reference", "http://127.0.0.1:9/v1")
        .with_endpoint("same", "lab:")
        .with_default("retry", "{ tries = 1, down_after = 1 }");
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert_eq!(paths(&receiver), ["/canary-ping/start", "/canary-hook", "/canary-ping/fail"]);
    assert_eq!(events(&receiver.got()[1]), ["checker firing"]);
    let message: Value = serde_json::from_str(&receiver.got()[1].body).expect("a message");
    assert!(message["run"].is_string(), "the run that is gone on with is named: {message}");
    project.run(["check", "m", "--quiet"]);
    assert_eq!(receiver.got().len(), 5, "{:?}", paths(&receiver));
}

/// Requests that [`dies`] has had as the reference.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// A host whose reference answers a few times and then no more.
fn dies(request: &Request) -> Vec<u8> {
    if request.path.ends_with("/models") {
        return response("200 OK", &[], r#"{"data":[{"id":"lab"}]}"#);
    }
    if request.path.starts_with("/reference/") && ASKED.fetch_add(1, Ordering::SeqCst) >= 12 {
        return response("503 Service Unavailable", &[], "{}");
    }
    stream(&[delta("The sea is wide."), end()])
}

#[test]
fn a_reference_that_stops_answering_is_a_check_that_failed() {
    let (receiver, host) = (receiver(), Host::start(dies));
    let project = project(&receiver)
        .with_default("samples", "40")
        .with_default("retry", "{ tries = 1, down_after = 1 }")
        .with_endpoint("reference", &host.url("reference"))
        .with_endpoint("same", &host.url("same"));
    let run = project.run(["check", "m", "--quiet"]);
    assert_says(&run.stdout, &["stopped early", "the reference `reference` does not answer"]);
    assert_eq!(paths(&receiver), ["/canary-ping/start", "/canary-hook", "/canary-ping/fail"]);
    assert_eq!(events(&receiver.got()[1]), ["checker firing"]);
    assert_says(&receiver.got()[1].body, &["the reference `reference` stopped answering before the end"]);
    let later = project.run(["report"]);
    assert_says(&later.stdout, &["stopped early", "the reference `reference` does not answer"]);
}

#[test]
fn a_check_that_cannot_begin_is_told_too() {
    let receiver = receiver();
    let project = project(&receiver)
        .with_keyed_endpoint("reference", "https://h.example/v1", "NO_KEY")
        .with_endpoint("same", "lab:");
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert_eq!(paths(&receiver), ["/canary-ping/start", "/canary-hook", "/canary-ping/fail"]);
}

/// Changes the history behind the program's back.
fn alter(project: &Project, statement: &'static str) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(project.path(".samemodel/history.db"));
    let work = async {
        let mut file = options.connect().await.expect("the history opens");
        sqlx::query(statement).execute(&mut file).await.expect("it is done");
        file.close().await.expect("it closes");
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(work);
}

#[test]
fn a_run_whose_results_find_no_room_is_gone_on_with_and_then_tells_what_it_found() {
    let receiver = receiver();
    let project = project(&receiver).with_endpoint("reference", "lab:").with_endpoint("twin", "lab:");
    project.run(["check", "m", "--quiet"]);
    let project = project.with_endpoint("gone", "http://127.0.0.1:9/v1");
    alter(&project, "CREATE TRIGGER no_room BEFORE INSERT ON result BEGIN SELECT RAISE(ABORT, 'no room'); END");
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 70, "what is found and not kept is no success: {}", run.stderr);
    assert_says(&run.stderr, &["cannot be kept", "no room", "the same command with --resume"]);
    assert_says(&run.stdout, &["twin", "gone"]);
    assert_eq!(paths(&receiver)[2..], ["/canary-ping/start", "/canary-hook", "/canary-ping/fail"]);
    assert_eq!(events(&receiver.got()[3]), ["checker firing"], "nothing else is told that is not kept");

    let monitored = project.run(["check", "m", "--quiet", "--format", "nagios"]);
    assert_eq!(monitored.code(), 3, "{}", monitored.stderr);
    assert!(monitored.stdout.starts_with("SAMEMODEL UNKNOWN"), "{}", monitored.stdout);
    assert_eq!(paths(&receiver)[5..], ["/canary-ping/start", "/canary-ping/fail"], "it is told once");

    alter(&project, "DROP TRIGGER no_room");
    let resumed = project.run(["check", "m", "--resume", "--format", "json"]);
    assert_eq!(resumed.code(), 3, "{}", resumed.stderr);
    let twin = resumed.endpoint("twin");
    assert_eq!(twin["attempts"], twin["samples"], "nothing is asked again: {twin}");
    assert_eq!(paths(&receiver)[7..], ["/canary-ping/start", "/canary-hook", "/canary-ping"]);
    assert_eq!(events(&receiver.got()[8]), ["checker resolved", "unreachable firing"]);
}

#[test]
fn why_a_history_cannot_be_kept_is_said_once_and_before_what_follows_from_it() {
    let receiver = receiver();
    let project = project(&receiver).with_endpoint("reference", "lab:").with_endpoint("same", "lab:");
    std::fs::create_dir(project.path(".samemodel")).expect("a folder");
    let project = project.with_file(".samemodel/history.db", &"no database ".repeat(500));
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 70, "{}", run.stderr);
    let said: Vec<&str> = run.stderr.lines().collect();
    assert!(said[0].starts_with("samemodel: ") && said[0].contains("not a database"), "{}", run.stderr);
    assert!(said[1].starts_with("the alert on this cannot be kept, so it is sent at once: "), "{}", run.stderr);
    assert_eq!(run.stderr.matches("samemodel: ").count(), 1, "{}", run.stderr);
}

#[test]
fn a_receiver_that_is_down_changes_nothing_about_the_check_and_gets_its_message_later() {
    let receiver = receiver();
    let project = project(&receiver).with_endpoint("reference", "lab:").with_endpoint("gone", "http://127.0.0.1:9/v1");
    let down = project.with_env("HOOK_URL", "http://127.0.0.1:9/canary-hook");
    let run = down.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert_says(&run.stderr, &["an alert to `hook` was not delivered and is kept for the next check"]);
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    let listed = down.run(["alert", "list"]);
    assert_says(&listed.stdout, &["waits", "127.0.0.1 cannot be reached"]);
}

#[test]
fn what_is_not_told_yet_and_who_cannot_be_told_is_said_at_every_check() {
    let receiver = receiver();
    let project = Project::new()
        .with_probe("p", "Tell me of the sea.")
        .with_file("providers.local.toml", &ALERT.replace("fail_after = 1", "fail_after = 2"))
        .with_env("PING_URL", &format!("http://{}/canary-ping", receiver.authority()))
        .with_endpoint("reference", "lab:")
        .with_endpoint("same", "lab:")
        .with_endpoint("gone", "http://127.0.0.1:9/v1");
    let run = project.run(["check", "m", "--quiet"]);
    assert_says(&run.stderr, &["the receiver `hook` is not told of this check: ", "HOOK_URL"]);
    assert_says(&run.stderr, &["alert pending: unreachable of gone is told after 1 more failing run (fail_after = 2)"]);
    let listed = project.run(["alert", "list"]);
    assert_says(&listed.stdout, &["alerts: 1 pending, ", "m/gone  warning, since ", "last run: unmeasured"]);
    assert_says(
        &listed.stdout,
        &["1 of 2 failing runs before it is told", "0 silences", "0 messages of the last 7 days"],
    );
}

#[test]
fn a_silence_keeps_quiet_until_it_is_ended() {
    let receiver = receiver();
    let project = project(&receiver).with_endpoint("reference", "lab:").with_endpoint("gone", "http://127.0.0.1:9/v1");
    let silenced = project.run(["alert", "silence", "m/*", "--for", "7d", "--comment", "known"]);
    assert_says(&silenced.stdout, &["nobody is told of m/* until"]);
    project.run(["check", "m", "--quiet"]);
    assert_eq!(paths(&receiver), ["/canary-ping/start", "/canary-ping/fail"]);
    assert_eq!(project.run(["alert", "unsilence", "m/*"]).code(), 0);
    project.run(["alert", "unsilence", "m/*"]).refuses(2, &["no silence holds for `m/*`"]);
}

#[test]
fn looking_at_alerts_needs_no_configuration_and_makes_nothing() {
    let project = Project::new().with_endpoint("reference", "lab:");
    let listed = project.run(["alert", "list"]);
    assert_eq!(listed.code(), 0, "{}", listed.stderr);
    assert_says(&listed.stdout, &["no alerts yet\n", "0 silences\n", "0 messages of the last 7 days\n"]);
    assert!(!project.path(".samemodel").exists(), "looking makes no history");

    assert_eq!(project.run(["alert", "silence", "m/*", "--for", "7d", "--comment", "known"]).code(), 0);
    std::fs::remove_file(project.path("providers.toml")).expect("it was there");
    let listed = project.run_as_is(&["alert", "list"]);
    assert_eq!(listed.code(), 0, "{}", listed.stderr);
    assert_says(&listed.stdout, &["no alerts yet\n", "1 silence\n", "m/*"]);
    project.run_as_is(&["alert", "list", "-c", "none.toml"]).refuses(2, &["none.toml"]);
}

#[test]
fn an_example_goes_to_every_receiver_and_is_marked() {
    let receiver = receiver();
    let project = project(&receiver).with_endpoint("reference", "lab:");
    let run = project.run(["alert", "test"]);
    assert_eq!((run.code(), run.stdout.as_str()), (0, "hook: an example was delivered\n"));
    assert!(receiver.got()[0].body.contains("\"example\":true"));
    project.run(["alert", "test", "other"]).refuses(2, &["no receiver `other` is configured, only `hook`"]);
}

#[test]
fn an_address_in_the_file_is_refused_with_advice() {
    let project = Project::new()
        .with_file("providers.local.toml", "[alert.receiver.s]\nkind = 'slack'\nurl_env = 'https://hooks.example/x'\n")
        .with_endpoint("reference", "lab:");
    project.run(["alert", "list"]).refuses(2, &["must name an environment variable", "never stands in a file"]);
}

#[test]
fn a_watch_tells_of_what_it_finds_as_a_check_does() {
    let receiver = receiver();
    let project = project(&receiver)
        .with_endpoint("reference", "lab:")
        .with_endpoint("same", "lab:")
        .with_endpoint("gone", "http://127.0.0.1:9/v1")
        .with_tables("\n[watch.full]\ncron = \"0 0 2 1 *\"\n");
    let run = project.run(["watch", "--once", "--quiet"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert_eq!(paths(&receiver), ["/canary-ping/start", "/canary-hook", "/canary-ping"]);
    assert_eq!(events(&receiver.got()[1]), ["unreachable firing"]);
}
