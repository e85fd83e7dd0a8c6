//! Alerts from runs to receivers: a history that is written down, over the real store and real HTTP, with simulated time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use samemodel::alert::{Condition, Message, Observation, Occasion};
use samemodel::config::{Config, Credentials, Environment};
use samemodel::deliver::{Courier, Known, Receivers, words};
use samemodel::redact::Redactor;
use samemodel::report::Report;
use samemodel::report::outcome::{failed_check, observations, results};
use samemodel::store::{
    AlertStore, AlertUpdate, Conclusion, Delivery, OutboxEntry, RunId, RunRecord, Silence, SilenceId, SqliteStore,
    Store as _, StoreFuture,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::receiver::{Answer, Posted, Receiver};

#[derive(Deserialize)]
struct Script {
    settings: Value,
    endpoints: BTreeMap<String, String>,
    killed: Vec<Kill>,
    receiver_down_from: u32,
    receiver_up_from: u32,
    rate_limited_once_from: u32,
    expected: Vec<Expected>,
}

#[derive(Deserialize)]
struct Kill {
    run: u32,
    at: Boundary,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Boundary {
    BeforeConclude,
    AfterConclude,
    AfterDelivery,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Expected {
    run: u32,
    told: String,
}

fn time(run: u32) -> Timestamp {
    "2026-11-22T00:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_hours(i64::from(run))
}

/// A report in which each endpoint looks as its letter says.
fn report(script: &Script, run: u32) -> Report {
    let at = run as usize - 1;
    let endpoints: Vec<Value> = script
        .endpoints
        .iter()
        .map(|(name, letters)| endpoint(name, letters.chars().nth(at).expect("a letter for each run")))
        .collect();
    let account = json!({"samples": 50, "attempts": 50, "errors": 0, "failures": {}, "unanswered": 0, "cost": null});
    let report = json!({
        "schema": "samemodel.report/1", "model": "m", "reference": "reference", "seed": 1, "alpha": 0.05,
        "tolerance": 0.05, "dispersion_tolerance": 0.1, "permutations": 999, "tool_version": "0", "run": null,
        "partial": null, "reference_account": account,
        "control": {"endpoint": null, "p_value": null, "account": account}, "self_check": null,
        "endpoints": endpoints, "warnings": []
    });
    serde_json::from_value(report).expect("a report")
}

fn endpoint(name: &str, letter: char) -> Value {
    let effect = |low: f64, estimate: f64, high: f64| json!({"name": "substitution", "estimate": estimate, "low": low, "high": high});
    let (verdict, effect, samples) = match letter {
        '.' => ("consistent", effect(0.0, 0.01, 0.03), 50),
        'd' => ("drifted", effect(0.08, 0.1, 0.14), 50),
        'D' => ("drifted", effect(0.3, 0.36, 0.42), 50),
        '?' => ("inconclusive", effect(0.0, 0.04, 0.09), 50),
        'x' => ("unmeasured", Value::Null, 0),
        other => panic!("no such letter: {other}"),
    };
    json!({
        "endpoint": name, "verdict": verdict, "reason": format!("it looks like {letter} <!channel>"), "p_value": null,
        "q_value": null, "e_value": null, "effect": effect, "effects": [], "samples": samples, "attempts": 50,
        "errors": 50 - samples, "failures": {}, "unanswered": 0, "cost": null, "samples_to_decide": null,
        "greedy_probes_to_decide": null, "signals": [], "probes": [], "greedy": null, "findings": [], "contrast": null
    })
}

/// The store of a program that is killed before it can keep that something was sent.
struct Killed<'a>(&'a SqliteStore);

impl AlertStore for Killed<'_> {
    fn update_alerts<'a>(&'a self, update: &'a AlertUpdate) -> StoreFuture<'a, ()> {
        self.0.update_alerts(update)
    }
    fn alerts(&self) -> StoreFuture<'_, Vec<samemodel::alert::Alert>> {
        self.0.alerts()
    }
    fn due(&self, now: Timestamp) -> StoreFuture<'_, Vec<OutboxEntry>> {
        self.0.due(now)
    }
    fn outbox(&self, since: Timestamp) -> StoreFuture<'_, Vec<OutboxEntry>> {
        self.0.outbox(since)
    }
    fn settle<'a>(&'a self, _: &'a str, _: &'a Delivery) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn take_up_again(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        self.0.take_up_again(now)
    }
    fn add_silence<'a>(&'a self, silence: &'a Silence) -> StoreFuture<'a, ()> {
        self.0.add_silence(silence)
    }
    fn silences(&self, now: Timestamp) -> StoreFuture<'_, Vec<Silence>> {
        self.0.silences(now)
    }
    fn end_silence(&self, id: SilenceId, now: Timestamp) -> StoreFuture<'_, bool> {
        self.0.end_silence(id, now)
    }
}

/// One run of the program: it opens the store, concludes, delivers, unless it is killed on the way.
async fn run_once(dir: &TempDir, script: &Script, run: u32, setup: &(Config, Receivers)) {
    let killed = script.killed.iter().find(|kill| kill.run == run).map(|kill| kill.at);
    let (config, receivers) = setup;
    let store = SqliteStore::open(dir.path(), Redactor::default()).await.expect("a store");
    let record = RunRecord {
        id: RunId::generate(),
        model: "m".into(),
        reference: "reference".into(),
        started_at: time(run),
        end: None,
        seed: 1,
        config_digest: String::new(),
        tool_version: String::new(),
    };
    store.create_run(&record, "{}").await.expect("a run");
    if killed != Some(Boundary::BeforeConclude) {
        let report = report(script, run);
        let known = Known::from(&store, time(run)).await.expect("what is known");
        let seen = observations(&report, &known.alerts, &config.alert, record.started_at);
        let id = record.id.to_string();
        let occasion = Occasion { model: "m", run: Some(&id), at: record.started_at, made: record.started_at };
        let alerts = known.follow(seen, &occasion, &config.alert);
        let conclusion = Conclusion { end: None, results: results(&report), alerts };
        store.conclude(&record.id, &conclusion).await.expect("a conclusion");
        match killed {
            None => {
                Courier { store: &store, receivers }.send_due(time(run)).await.expect("deliveries");
            }
            Some(Boundary::AfterDelivery) => {
                let store = &Killed(&store);
                Courier { store, receivers }.send_due(time(run)).await.expect("deliveries");
            }
            Some(_) => {}
        }
    }
    store.close().await.expect("closed");
}

/// Holds a payload against Slack's limits, and answers as Slack does.
fn slack(posted: &Posted) -> Answer {
    let refused = ("400 Bad Request", "", "invalid_payload");
    let Ok(payload) = serde_json::from_str::<Value>(&posted.body) else { return refused };
    let Some(blocks) = payload["blocks"].as_array() else { return refused };
    let lengths: Vec<usize> = blocks.iter().map(text_length).collect();
    let most = |block: &Value| if block["type"] == "header" { 150 } else { 3000 };
    let known = ["header", "section", "rich_text", "context", "divider", "actions"];
    let fits = blocks.iter().zip(&lengths).all(|(block, length)| {
        *length > 0 && *length <= most(block) && known.iter().any(|kind| block["type"] == *kind)
    });
    let whole = lengths.iter().sum::<usize>() <= 10_000 && blocks.len() <= 50 && payload["text"].is_string();
    if fits && whole && !posted.body.contains("mrkdwn\":true") { ("200 OK", "", "ok") } else { refused }
}

fn text_length(value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            let own = fields.get("text").and_then(Value::as_str).map_or(0, |text| text.encode_utf16().count());
            own + fields.values().map(text_length).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(text_length).sum(),
        _ => 0,
    }
}

fn key_of_slack(posted: &Posted) -> String {
    let payload: Value = serde_json::from_str(&posted.body).expect("JSON");
    let mut ids = payload["blocks"].as_array().expect("blocks").iter().filter_map(|block| block["block_id"].as_str());
    ids.next_back().expect("an id").to_owned()
}

/// A configuration with these settings of `[alert]` and what follows from it in this environment.
fn setup(settings: Value, environment: &[(&str, &str)]) -> (Config, Receivers) {
    let alert = serde_json::from_value(settings).expect("settings");
    let config = Config { alert, ..Config::default() };
    let environment = environment.iter().copied().collect::<Environment>();
    let receivers = Receivers::of(&config, &Credentials::of(&config, &environment));
    (config, receivers)
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sixty_runs_exactly_the_expected_messages_are_sent() {
    let mut script: Script = serde_json::from_str(include_str!("../data/alerts.json")).expect("the script");
    let now = Arc::new(AtomicU32::new(0));
    let (clock, down) = (Arc::clone(&now), script.receiver_down_from..script.receiver_up_from);
    let limited = (AtomicU32::new(0), script.rate_limited_once_from);
    let channel = Receiver::start(move |posted| {
        let run = clock.load(Ordering::SeqCst);
        if down.contains(&run) {
            return ("503 Service Unavailable", "", "");
        }
        if run >= limited.1 && limited.0.fetch_add(1, Ordering::SeqCst) == 0 {
            return ("429 Too Many Requests", "retry-after: 30\r\n", "rate_limited");
        }
        slack(posted)
    });
    let hook = Receiver::start(|_| ("204 No Content", "", ""));
    script.settings["receiver"] = json!({
        "channel": {"kind": "slack", "url_env": "SLACK_URL"},
        "hook": {"kind": "webhook", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET"}
    });
    let urls = [&channel, &hook].map(|receiver| format!("http://{}/secret", receiver.authority()));
    let environment = [("SLACK_URL", urls[0].as_str()), ("HOOK_URL", urls[1].as_str()), ("HOOK_SECRET", "signed")];
    let setup = setup(script.settings.clone(), &environment);

    let dir = TempDir::new().expect("a folder");
    let (mut told, mut arrived) = (Vec::new(), HashSet::new());
    for run in 1..=60 {
        now.store(run, Ordering::SeqCst);
        let before = channel.got().len();
        run_once(&dir, &script, run, &setup).await;
        for posted in &channel.got()[before..] {
            let refused = run >= script.receiver_down_from && run < script.receiver_up_from;
            let limited = run == script.rate_limited_once_from;
            if !refused && !limited && arrived.insert(key_of_slack(posted)) {
                told.push((run, key_of_slack(posted)));
            }
        }
    }

    // Everything that reached the channel also reached the hook, which says in words for machines what it was.
    let messages: Vec<Message> =
        hook.got().iter().map(|posted| serde_json::from_str(&posted.body).expect("a message")).collect();
    let events: HashSet<&str> = messages.iter().flat_map(|m| m.events.iter().map(|event| event.key.as_str())).collect();
    let store = SqliteStore::open(dir.path(), Redactor::default()).await.expect("a store");
    let entries = store.outbox(time(0)).await.expect("the outbox");
    let mut seen = Vec::new();
    for (run, id) in told {
        let key = id.trim_start_matches("samemodel-");
        let entry = entries.iter().find(|entry| entry.notification.key == key).expect("what was sent was kept");
        let message: Message = serde_json::from_str(&entry.notification.event).expect("a message");
        for event in &message.events {
            assert!(events.contains(event.key.as_str()));
            let change = serde_json::to_value(event.change).expect("a word");
            let subject = &event.subject;
            let words = [subject.endpoint.as_str(), subject.kind.as_str(), change.as_str().expect("a word")];
            seen.push(Expected { run, told: words.join(" ") });
        }
    }
    assert_eq!(seen, script.expected);
    assert_eq!(channel.got().len(), script.expected.len() + 3, "one again after a kill, one refused, one limited");
    let waiting = entries.iter().filter(|entry| !matches!(entry.state, samemodel::store::State::Sent(_))).count();
    assert_eq!(waiting, 0, "nothing is left to send");

    for posted in hook.got() {
        assert!(is_signed(&posted, b"signed"), "{posted:?}");
        valid(&posted.body);
    }
}

fn is_signed(posted: &Posted, secret: &[u8]) -> bool {
    let [id, at, signature] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| &posted.headers[name]);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).expect("a key");
    mac.update(format!("{id}.{at}.{}", posted.body).as_bytes());
    let encoded = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    *signature == format!("v1,{encoded}")
}

fn valid(body: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/alert.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("the schema");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let value: Value = serde_json::from_str(body).expect("JSON");
    let errors: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

fn example(receiver: &str) -> Message {
    words::example(receiver, time(1), &samemodel::config::Alerting::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_arrives_with_its_subject_its_key_and_nothing_that_acts() {
    let server = Receiver::start_mail();
    let url = format!("smtp://{}", server.authority());
    let settings = json!({"receiver": {"mail": {
        "kind": "email", "url_env": "MAIL_URL", "from": "samemodel <a@example.org>", "to": ["b@example.org"]
    }}});
    let (_, receivers) = setup(settings, &[("MAIL_URL", &url)]);
    let message = example("mail");
    receivers.send("mail", &message, time(1)).await.expect("it is delivered");
    let [mail] = <[Posted; 1]>::try_from(server.got()).expect("one mail");
    for words in ["Subject: [example] example-model", &message.key, "To: b@example.org", "double-bos (certain)"] {
        assert!(mail.body.contains(words), "`{words}` is not in {}", mail.body);
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_the_message_and_no_credentials_and_says_what_failed() {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("got");
    let script = format!("cat > '{}'; echo \"$HOOK_URL\" >> '{0}'", file.display());
    let settings = json!({"receiver": {
        "program": {"kind": "command", "command": ["sh", "-c", script]},
        "fails": {"kind": "command", "command": ["sh", "-c", "cat > /dev/null; echo no paper >&2; exit 3"]},
        "absent": {"kind": "command", "command": ["/no/such/program"]},
        "slow": {"kind": "command", "command": ["sleep", "60"], "timeout": 0.05}
    }});
    let (_, receivers) = setup(settings, &[]);
    receivers.send("program", &example("program"), time(1)).await.expect("it is delivered");
    let got = std::fs::read_to_string(&file).expect("what it got");
    let (body, rest) = got.split_once('\n').expect("a line");
    valid(body);
    assert_eq!(rest, "\n");
    let mut said = Vec::new();
    for name in ["fails", "absent", "slow"] {
        let trouble = receivers.send(name, &example(name), time(1)).await.expect_err("it fails");
        said.push(trouble.reason().to_owned());
    }
    assert!(said[0].ends_with("exit status: 3: no paper"), "{said:?}");
    assert!(said[1].starts_with("the command cannot be run"), "{said:?}");
    assert!(said[2].starts_with("the command took longer"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_refuses_for_good_is_told_from_trouble_that_passes_and_shows_no_address() {
    let channel = Receiver::start(|_| ("404 Not Found", "", "no_service"));
    let urls = [format!("http://{}/canary", channel.authority()), "http://127.0.0.1:9/canary".to_owned()];
    let settings = json!({"receiver": {
        "gone": {"kind": "slack", "url_env": "GONE"}, "unset": {"kind": "slack", "url_env": "UNSET"},
        "down": {"kind": "webhook", "url_env": "DOWN"}, "wrong": {"kind": "slack", "url_env": "WRONG"}
    }});
    let environment = [("GONE", urls[0].as_str()), ("DOWN", urls[1].as_str()), ("WRONG", "http://h.example/canary")];
    let (_, receivers) = setup(settings, &environment);
    let mut said = Vec::new();
    for name in ["gone", "unset", "down", "wrong"] {
        said.push(receivers.send(name, &example(name), time(1)).await.expect_err("it fails"));
    }
    let lasting: Vec<bool> = said.iter().map(|t| matches!(t, samemodel::deliver::Trouble::Lasting { .. })).collect();
    assert_eq!(lasting, [true, false, false, false], "{said:?}");
    assert_eq!(said[0].reason(), "no_service: the webhook is gone: make a new one");
    assert!(said[1].reason().contains("set UNSET"), "{said:?}");
    assert_eq!(said[3].reason(), "the value of WRONG is no https URL");
    assert!(!format!("{said:?} {receivers}", receivers = receivers.names().count()).contains("canary"));
}

/// What is found at a time of a check that began at another.
async fn find(store: &SqliteStore, config: &Config, seen: Observation, times: (Timestamp, Timestamp)) {
    let (at, made) = times;
    let known = Known::from(store, made).await.expect("what is known");
    let occasion = Occasion { model: "m", run: None, at, made };
    store.update_alerts(&known.follow(vec![seen], &occasion, &config.alert)).await.expect("it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_that_something_ended_before_that_it_began() {
    let asked = AtomicU32::new(0);
    let hook = Receiver::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => ("503 Service Unavailable", "", ""),
        _ => ("204 No Content", "", ""),
    });
    let url = format!("http://{}/hook", hook.authority());
    let settings = json!({"receiver": {"hook": {"kind": "webhook", "url_env": "HOOK_URL"}}});
    let (config, receivers) = setup(settings, &[("HOOK_URL", &url)]);
    let dir = TempDir::new().expect("a folder");
    let store = SqliteStore::open(dir.path(), Redactor::default()).await.expect("a store");
    let courier = Courier { store: &store, receivers: &receivers };
    let second = |n| time(2) + SignedDuration::from_secs(n);

    find(&store, &config, failed_check("m", "no room"), (second(0), second(0))).await;
    assert_eq!(courier.send_due(second(0)).await.expect("deliveries").len(), 1);
    // A run that began before the check that failed, and is gone on with.
    let works = Observation { condition: Condition::Passing, ..failed_check("m", "") };
    find(&store, &config, works, (time(1), second(10))).await;
    assert_eq!(courier.send_due(second(20)).await.expect("deliveries"), [], "it waits for the earlier one");
    assert_eq!(courier.send_due(second(60)).await.expect("deliveries").len(), 2);
    store.close().await.expect("closed");

    let change = |posted: &Posted| {
        let message: Value = serde_json::from_str(&posted.body).expect("a message");
        message["events"][0]["change"].as_str().expect("a word").to_owned()
    };
    assert_eq!(hook.got().iter().map(change).collect::<Vec<_>>(), ["firing", "firing", "resolved"]);
}
