//! Sixty checks by the program itself over a fleet whose faults come and go: the messages that arrive are those of the script.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use samemodel::alert::Message;
use serde::Deserialize;

use crate::fixture::Project;
use crate::receiver::{Answer, Posted, Receiver};

/// Probes that show the scripted faults in little time.
const PROBES: [&str; 9] = [
    // How answers are drawn has to be settled too before an endpoint is well again.
    "sampled/days.toml",
    "sampled/poems.toml",
    "greedy/weather.toml",
    "greedy/descriptions.toml",
    "greedy/letters.toml",
    "greedy/poems.toml",
    "greedy/dialogues.toml",
    "greedy/opinions.toml",
    "greedy/stories.toml",
];

/// Half hours, so that nothing falls due just as a check begins.
const ALERTS: &str = "
[alert]
fail_after = 2
pass_after = 2
critical_from = 3.0
remind_every = 19.5
flap_changes = 6
flap_window = 11.5

[alert.receiver.hook]
kind = \"webhook\"
url_env = \"HOOK_URL\"
";

#[derive(Deserialize)]
struct Script {
    since: Timestamp,
    endpoints: BTreeMap<String, String>,
    killed: Vec<Kill>,
    receiver_down: Vec<u32>,
    expected: Vec<Told>,
}

#[derive(Deserialize)]
struct Kill {
    run: u32,
    when: Moment,
}

/// When the program is killed.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Moment {
    /// While it asks.
    Asking,
    /// After it has kept what to tell, before the receiver has it.
    BeforeDelivery,
    /// When the receiver has it, before the program knows.
    AfterDelivery,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Told {
    run: u32,
    told: String,
}

/// What the receiver has to know of the run that is under way, and what it got.
#[derive(Default)]
struct Scene {
    run: AtomicU32,
    /// A request has come in whose sender is to be killed.
    holds: AtomicBool,
    /// Its sender is dead.
    dead: AtomicBool,
    arrived: Mutex<Vec<(u32, String)>>,
}

impl Scene {
    fn answer(&self, script: &Script, posted: &Posted) -> Answer {
        let run = self.run.load(Ordering::SeqCst);
        if script.receiver_down.contains(&run) {
            return ("503 Service Unavailable", "", "");
        }
        let kill = script.killed.iter().find(|kill| kill.run == run).map(|kill| kill.when);
        if kill != Some(Moment::BeforeDelivery) {
            self.arrived.lock().expect("what arrived").push((run, posted.body.clone()));
        }
        if kill.is_some() {
            self.holds.store(true, Ordering::SeqCst);
            let begun = Instant::now();
            while !self.dead.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(10) {
                sleep(Duration::from_millis(2));
            }
        }
        ("204 No Content", "", "")
    }
}

fn project(script: &Script, hook: &Receiver) -> Project {
    let project = Project::new()
        .with_shipped_probes(&PROBES)
        .with_default("samples", "6")
        .with_default("greedy_samples", "3")
        .with_default("tolerance", "0.1")
        .with_default(
            "retry",
            "{ tries = 2, first_wait = 0.02, longest_wait = 0.1, longest_asked_wait = 0.1, total = 20.0 }",
        )
        .with_default("dispersion_tolerance", "0.9")
        .with_tables(&format!("\n[lab]\nsince = \"{}\"\n{ALERTS}", script.since))
        .with_env("HOOK_URL", &format!("http://{}/hook", hook.authority()));
    let project = project.with_model("control", "\"control\"").with_endpoint("control", "lab:finetuned-variant=1");
    script.endpoints.iter().fold(project, |project, (name, address)| project.with_endpoint(name, address))
}

#[test]
fn sixty_checks_of_a_fleet_whose_faults_come_and_go_tell_exactly_what_the_script_expects() {
    let script: Arc<Script> =
        Arc::new(serde_json::from_str(include_str!("../data/rehearsal.json")).expect("the script"));
    let scene = Arc::new(Scene::default());
    let (on_stage, lines) = (Arc::clone(&scene), Arc::clone(&script));
    let hook = Receiver::start(move |posted| on_stage.answer(&lines, posted));
    let mut project = project(&script, &hook);

    for run in 1..=60 {
        scene.run.store(run, Ordering::SeqCst);
        let now = script.since + SignedDuration::from_hours(i64::from(run));
        project = project.with_env("SAMEMODEL_NOW", &now.to_string());
        project.write();
        let seed = run.to_string();
        let mut check = project.start(&["check", "--quiet", "--seed", &seed], "");
        match script.killed.iter().find(|kill| kill.run == run).map(|kill| kill.when) {
            None => {
                let ended = check.finish();
                assert!([0, 1, 3].contains(&ended.code()), "run {run}: {}\n{}", ended.stdout, ended.stderr);
            }
            Some(Moment::Asking) => {
                let history = project.path(".samemodel/history.db-wal");
                check.wait_until("it asks", |_| history.metadata().is_ok_and(|file| file.len() > 0));
                drop(check);
            }
            Some(Moment::BeforeDelivery | Moment::AfterDelivery) => {
                check.wait_until("it tells", |_| scene.holds.load(Ordering::SeqCst));
                drop(check);
                scene.dead.store(true, Ordering::SeqCst);
                sleep(Duration::from_millis(20));
                scene.holds.store(false, Ordering::SeqCst);
                scene.dead.store(false, Ordering::SeqCst);
            }
        }
    }

    let (mut told, mut keys) = (Vec::new(), HashSet::new());
    for (run, body) in scene.arrived.lock().expect("what arrived").iter() {
        let message: Message = serde_json::from_str(body).expect("a message");
        if keys.insert(message.key.clone()) {
            for event in &message.events {
                let change = serde_json::to_value(event.change).expect("a word");
                let words =
                    [event.subject.endpoint.as_str(), event.subject.kind.as_str(), change.as_str().expect("a word")];
                told.push(Told { run: *run, told: words.join(" ") });
            }
        }
    }
    assert_eq!(told, script.expected);
}

#[test]
fn a_time_that_cannot_be_read_is_refused_before_anything_is_asked() {
    let project = Project::new().with_endpoint("host", "lab:").with_env("SAMEMODEL_NOW", "tomorrow");
    project.run(["check"]).refuses(2, &["SAMEMODEL_NOW", "`tomorrow`", "2026-11-22T00:00:00Z"]);
    assert!(!project.path(".samemodel").exists());
}
