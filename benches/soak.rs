//! A long check of many endpoints at once, by the real program in its lab: memory stays flat, and no record is lost.
//!
//! `cargo bench --bench soak` asks 200 endpoints for ten minutes, ten requests at a time each, interrupts the program,
//! and holds what it said against what it kept: a Markdown table, and a failure beyond its limits. A number behind `--`
//! is for so many seconds instead. Without `--bench` a small load is put on for a moment, as a test of itself.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use samemodel::attempt::Slot;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tempfile::TempDir;

/// Addresses of endpoints, the reference's first: what hosts of a lively fleet may have, failures among it.
const ADDRESSES: [&str; 8] = [
    "lab:",
    "lab:flaky-host=0.02",
    "lab:weights=f32",
    "lab:quantized-weights",
    "lab:swapped-model",
    "lab:double-bos",
    "lab:hidden-system-prompt",
    "lab:temperature-ignored",
];

/// A probe is about each. To judge takes as long as the square of the answers to one.
const THINGS: [&str; 8] = ["boat", "fox", "kettle", "tower", "candle", "river", "barn", "dragon"];

/// The longest that a check may take to begin, and to end.
const PATIENCE: Duration = Duration::from_mins(10);

/// How much is asked, and for how long.
struct Load {
    endpoints: usize,
    /// Requests under way at each of them.
    concurrency: usize,
    length: Duration,
    /// How many times the memory of its beginning a check may take at its end; a short one shows nothing of that.
    growth: f64,
}

const WHOLE: Load = Load { endpoints: 200, concurrency: 10, length: Duration::from_mins(10), growth: 1.25 };
const SMALL: Load = Load { endpoints: 8, concurrency: 4, length: Duration::from_secs(3), growth: f64::INFINITY };

/// One line of the table.
struct Row {
    what: String,
    measured: String,
    limit: String,
    is_beyond: bool,
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usual = if arguments.iter().any(|argument| argument == "--bench") { WHOLE } else { SMALL };
    let seconds: Option<u64> = arguments.iter().find_map(|argument| argument.parse().ok());
    let wanted = Load { length: seconds.map_or(usual.length, Duration::from_secs), ..usual };
    let rows = soak(&wanted);
    println!("| what | measured | limit |\n|---|---|---|");
    for Row { what, measured, limit, .. } in &rows {
        println!("| {what} | {measured} | {limit} |");
    }
    let beyond: Vec<String> = rows.into_iter().filter(|row| row.is_beyond).map(|row| row.what).collect();
    assert!(beyond.is_empty(), "beyond the limit: {}", beyond.join("; "));
}

fn soak(wanted: &Load) -> Vec<Row> {
    let load = wanted.fitting();
    let mut check = Check::start(&load);
    check.wait_for_an_answer();
    let (asked, seen) = check.watch(load.length);
    let interrupted = Timestamp::now();
    let ended = check.finish();
    let (attempts, mut samples) = (check.export("attempts"), check.export("samples"));
    samples.retain(|sample| sample.error.is_none());
    let mut rows = vec![under_way(wanted, &load, &attempts), asking(&load, (asked, ended), &attempts)];
    rows.extend([memory(&load, &seen, check.peak), asked_on(interrupted, &attempts)]);
    rows.extend(records(&check.said(), &attempts, &samples));
    // One that was killed leaves no report.
    rows.extend(ended.map(|_| reported(&check.read("report"), &attempts)));
    rows
}

impl Load {
    /// With no more endpoints than one process can serve and ask by the files that it may have open here.
    fn fitting(&self) -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        // The soft limit comes first, which the program raises to the hard one.
        let hard = |line: &str| line.strip_prefix("Max open files")?.split_whitespace().nth(1)?.parse().ok();
        let files: Option<usize> = limits.lines().find_map(hard);
        // A listener, and both ends of each connection, of which some more lie idle; the rest is for other things.
        let most = files.map_or(self.endpoints, |files| files.saturating_sub(200) / (1 + 3 * self.concurrency));
        Self { endpoints: self.endpoints.min(most.max(2)), ..*self }
    }

    fn configuration(&self) -> String {
        let Self { endpoints, concurrency, .. } = *self;
        // More than the lab answers in that time, and no more than there is room for in a plan.
        let samples = (1000 * self.length.as_secs() as usize / (endpoints * THINGS.len())).clamp(200, 4000);
        // Of each test there are the more permutations the smaller alpha is, and no verdict is looked at here.
        let mut text = format!(
            "[defaults]\nsamples = {samples}\nmax_tokens = 32\npermutations = 99\nalpha = 0.5\nwindow = 100\n\n\
             [model.m]\nreference = \"e0\"\nprobes = [\"prompts\"]\n"
        );
        for (index, address) in ADDRESSES.iter().cycle().take(endpoints).enumerate() {
            let _ = write!(
                text,
                "\n[provider.e{index}]\nbase_url = \"{address}\"\nconcurrency = {concurrency}\n\n\
                 [[model.m.endpoint]]\nname = \"e{index}\"\nprovider = \"e{index}\"\nmodel = \"lab\"\n"
            );
        }
        text
    }
}

/// A line of an export of attempts or of samples.
#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    slot: Slot,
    started_at: Option<Timestamp>,
    elapsed_ms: Option<f64>,
    response_id: Option<String>,
    /// Why there is no answer.
    #[serde(alias = "failure_kind")]
    error: Option<IgnoredAny>,
}

/// A check under way, in a folder of its own. It is killed when it is dropped.
struct Check {
    child: Child,
    folder: TempDir,
    /// The most memory that it held at once, in megabytes; not a number where the system does not say it.
    peak: f64,
}

impl Check {
    fn start(load: &Load) -> Self {
        // In the build directory, since a temporary directory may be in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file is written");
        write("providers.toml", &load.configuration());
        fs::create_dir(folder.path().join("prompts")).expect("a folder of prompts");
        for thing in THINGS {
            write(&format!("prompts/{thing}.md"), &format!("Tell me a story about a {thing}.\n"));
        }
        let file = |name: &str| File::create(folder.path().join(name)).expect("a file");
        let mut command = program(&folder, &["check", "m", "--quiet", "--seed", "1", "--format", "json"]);
        let child = command.stdout(file("report")).stderr(file("log")).spawn().expect("the program starts");
        Self { child, folder, peak: f64::NAN }
    }

    fn look(&mut self) -> Option<ExitStatus> {
        self.peak = self.megabytes("VmHWM:").unwrap_or(self.peak);
        self.child.try_wait().expect("the child's state")
    }

    /// What the system says of its memory under this name.
    fn megabytes(&self, name: &str) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kb| kb / 1e3)
    }

    /// Waits until the reference has answered: before that there is nothing to report on.
    fn wait_for_an_answer(&mut self) {
        let begun = Instant::now();
        while !self.read("log").contains("answered endpoint=\"e0\"") {
            assert!(self.look().is_none() && begun.elapsed() < PATIENCE, "nothing comes: {}", self.read("log"));
            sleep(Duration::from_millis(20));
        }
    }

    /// Watches it for so long, unless it ends before: for how long, and its memory at even intervals, in megabytes.
    fn watch(&mut self, length: Duration) -> (Duration, Vec<f64>) {
        let (begun, pause) = (Instant::now(), (length / 100).min(Duration::from_secs(1)));
        let mut seen = Vec::new();
        while begun.elapsed() < length && self.look().is_none() {
            seen.extend(self.megabytes("VmRSS:"));
            sleep(pause);
        }
        (begun.elapsed(), seen)
    }

    /// Interrupts it as Ctrl-C does: how long it then took to its end, unless it took too long and was killed.
    fn finish(&mut self) -> Option<Duration> {
        if self.look().is_none() {
            let sent = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
            assert!(sent.expect("kill").success(), "it cannot be interrupted");
        }
        let interrupted = Instant::now();
        while interrupted.elapsed() < PATIENCE {
            if let Some(status) = self.look() {
                assert!(matches!(status.code(), Some(0 | 1 | 3)), "{status}: {}", self.read("log"));
                return Some(interrupted.elapsed());
            }
            sleep(Duration::from_millis(20));
        }
        self.child.kill().and_then(|()| self.child.wait()).expect("it is killed");
        None
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).expect("what is written")
    }

    /// The answers of which its log says that they are on the disk.
    fn said(&self) -> Vec<Slot> {
        let slot = |line: &str| {
            let (_, fields) = line.split_once("answered endpoint=\"")?;
            let (endpoint, fields) = fields.split_once("\" probe=\"")?;
            let (probe, replicate) = fields.split_once("\" replicate=")?;
            Some(Slot { endpoint: endpoint.into(), probe: probe.into(), replicate: replicate.trim().parse().ok()? })
        };
        self.read("log").lines().filter_map(slot).collect()
    }

    fn export(&self, what: &str) -> Vec<Line> {
        let mut command = program(&self.folder, &["export", "--what", what, "--format", "jsonl", "--output", what]);
        assert!(command.status().expect("the program starts").success(), "the {what} are not exported");
        self.read(what).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program in this folder, in an environment of its own in which it logs each answer that it has recorded.
fn program(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samemodel"));
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).env_clear().env("HOME", folder.path());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("SAMEMODEL_LOG", "samemodel::runner=debug");
    command
}

fn under_way(wanted: &Load, load: &Load, attempts: &[Line]) -> Row {
    let Load { endpoints, concurrency, .. } = *load;
    let fewer = if endpoints < wanted.endpoints { ", as many as may have files open here" } else { "" };
    let what = format!("requests under way at once, {concurrency} at each of {endpoints} endpoints{fewer}");
    let measured = format!("{} of {}", at_once(attempts), endpoints * concurrency);
    Row { what, measured, limit: "–".to_owned(), is_beyond: false }
}

/// The most attempts that were under way at one time.
fn at_once(attempts: &[Line]) -> i64 {
    let changes = attempts.iter().filter_map(|attempt| {
        let begun = attempt.started_at?.as_microsecond();
        Some([(begun, 1), (begun + (1e3 * attempt.elapsed_ms?) as i64, -1)])
    });
    let mut changes: Vec<(i64, i64)> = changes.flatten().collect();
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    most
}

fn asking(load: &Load, (asked, ended): (Duration, Option<Duration>), attempts: &[Line]) -> Row {
    let answers = attempts.iter().filter(|attempt| attempt.error.is_none()).count();
    let (seconds, failed) = (asked.as_secs_f64(), attempts.len() - answers);
    let rate = answers as f64 / seconds;
    let end = ended.map_or("killed".to_owned(), |took| format!("ended {:.0} s", took.as_secs_f64()));
    Row {
        what: "asking, until interrupted, and the end, judging included".to_owned(),
        measured: format!("{seconds:.0} s: {answers} answers, {rate:.0} a second, and {failed} failures; {end} later"),
        limit: format!("{} s, and {} s later", load.length.as_secs(), PATIENCE.as_secs()),
        is_beyond: asked < load.length || ended.is_none(),
    }
}

/// Whether it asked on when it was interrupted, which it may hear of a moment later.
fn asked_on(interrupted: Timestamp, attempts: &[Line]) -> Row {
    let heard = interrupted + Duration::from_secs(1);
    let late = attempts.iter().filter(|attempt| attempt.started_at > Some(heard)).count();
    none("requests that were sent more than a second after the interruption", late, attempts.len())
}

fn memory(load: &Load, seen: &[f64], peak: f64) -> Row {
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let tenth = seen.len() / 10;
    // In the first tenth connections are made, and requests become as many as they may be.
    let (early, late) = (mean(&seen[tenth..2 * tenth]), mean(&seen[seen.len() - tenth..]));
    let (ratio, most) = (late / early, seen.iter().copied().fold(f64::NAN, f64::max));
    Row {
        what: "memory in the last tenth of the time and in the second; the most, without and with judging".to_owned(),
        measured: format!("{late:.0} MB and {early:.0} MB, {ratio:.2} ×; {most:.0} MB and {peak:.0} MB"),
        limit: if load.growth.is_finite() { format!("{} ×", load.growth) } else { "–".to_owned() },
        is_beyond: ratio > load.growth,
    }
}

/// Whether the log, the attempts and the samples have the same answers, each of them once.
fn records(said: &[Slot], attempts: &[Line], samples: &[Line]) -> [Row; 3] {
    let lists: [Vec<&Slot>; 3] = [
        said.iter().collect(),
        attempts.iter().filter(|attempt| attempt.error.is_none()).map(|attempt| &attempt.slot).collect(),
        samples.iter().map(|sample| &sample.slot).collect(),
    ];
    let sets: Vec<HashSet<&Slot>> = lists.iter().map(|list| list.iter().copied().collect()).collect();
    let all: HashSet<&Slot> = lists.iter().flatten().copied().collect();
    let lost = all.iter().filter(|slot| !sets.iter().all(|set| set.contains(*slot))).count();
    let twice = lists.iter().zip(&sets).map(|(list, set)| list.len() - set.len()).sum();
    let ids: HashSet<&str> = samples.iter().filter_map(|sample| sample.response_id.as_deref()).collect();
    [
        none("answers that the log, the attempts or the samples do not have", lost, all.len()),
        none("answers that one of them has twice", twice, all.len()),
        // The lab gives each answer that it serves an id of its own.
        none("samples that are not answers of their own of the lab", samples.len() - ids.len(), samples.len()),
    ]
}

/// How many of all are what none may be.
fn none(what: &str, found: usize, all: usize) -> Row {
    let (what, measured, limit) = (what.to_owned(), format!("{found} of {all}"), "0".to_owned());
    Row { what, measured, limit, is_beyond: found > 0 || all == 0 }
}

fn reported(report: &str, attempts: &[Line]) -> Row {
    let report: Value = serde_json::from_str(report).expect("JSON");
    let mut kept: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for attempt in attempts {
        let [all, answers, failures] = kept.entry(&attempt.slot.endpoint).or_default();
        *all += 1;
        *(if attempt.error.is_none() { answers } else { failures }) += 1;
    }
    let others = report["endpoints"].as_array().expect("endpoints").iter().map(|other| (&other["endpoint"], other));
    let (all, mut otherwise) = (kept.len(), 0);
    for (name, account) in others.chain([(&report["reference"], &report["reference_account"])]) {
        let told = ["attempts", "samples", "errors"].map(|field| account[field].as_u64().expect("a count"));
        let own = kept.remove(name.as_str().expect("a name")).unwrap_or_default();
        otherwise += usize::from(told != own);
    }
    none("endpoints of which the report counts otherwise than the history", otherwise + kept.len(), all)
}
