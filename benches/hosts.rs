//! What a check costs where hosts misbehave or are many, measured with the real program over HTTP: its memory where they send too
//! much, how long healthy endpoints take beside a silent one, and the processor time of an answer.
//!
//! `cargo bench --bench hosts` prints a Markdown table and fails beyond the limits of memory and of waiting; behind `--`, words choose
//! among the parts (`memory`, `silence`, `overhead`). Without `--bench` a small load is put on once, as a test of itself.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use body::Body;
use check::{Ending, Project, REFERENCE};
use server::{Manner, Server};

#[path = "hosts/bare.rs"]
mod bare;
#[path = "hosts/body.rs"]
mod body;
#[path = "shared/busy.rs"]
mod busy;
#[path = "hosts/check.rs"]
mod check;
#[path = "hosts/server.rs"]
mod server;

const LIMIT_MEGABYTES: f64 = 300.0;

/// How many times as long healthy endpoints may take beside a silent one.
const LIMIT_RATIO: f64 = 1.2;

/// What an answer may take beside its request, in milliseconds: said, and not enforced.
const AIM_MILLISECONDS: f64 = 0.1;

/// Good answers that a host gives before it sends too much: as many as it takes until eight requests are under way at once.
const WARM: u64 = 8;

/// How long a healthy host takes for an answer, beside a silent one and alone.
const DELAY: Duration = Duration::from_millis(20);

const SILENT: &str = "silent";

/// How much is asked.
struct Load {
    flood: Flood,
    healthy: Healthy,
    crowd: Crowd,
}

/// Hosts that send too much.
struct Flood {
    /// Hosts beside the reference.
    others: usize,
    answers: usize,
    /// Tokens of a usual answer.
    tokens: usize,
    /// Bytes of a body that is too large: as many as the program reads of an answer.
    large: usize,
}

/// Hosts that answer, beside a silent one.
struct Healthy {
    /// Hosts beside the reference.
    others: usize,
    answers: usize,
}

/// Hosts that answer at once.
struct Crowd {
    /// Hosts beside the reference.
    others: usize,
    few: usize,
    many: usize,
    /// How often it is measured: other work on the machine adds to each number and takes from none.
    times: usize,
}

const WHOLE: Load = Load {
    flood: Flood { others: 6, answers: 32, tokens: 1000, large: 8 << 20 },
    healthy: Healthy { others: 3, answers: 1000 },
    crowd: Crowd { others: 19, few: 50, many: 300, times: 3 },
};

const SMALL: Load = Load {
    flood: Flood { others: 2, answers: 10, tokens: 20, large: 1 << 18 },
    healthy: Healthy { others: 1, answers: 10 },
    crowd: Crowd { others: 2, few: 2, many: 6, times: 1 },
};

/// What measures one part.
type Part = fn(&Load) -> Vec<Row>;

/// One line of the table.
struct Row {
    what: String,
    measured: String,
    limit: String,
    is_beyond: bool,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} | {} |", self.what, self.measured, self.limit)
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let whole = arguments.iter().any(|argument| argument == "--bench");
    let load = if whole { WHOLE } else { SMALL };
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let parts: [(&str, Part); 3] = [("memory", memory), ("silence", silence), ("overhead", overhead)];
    println!("| what | measured | limit |\n|---|---|---|");
    let mut beyond = Vec::new();
    for (name, part) in parts {
        if words.is_empty() || words.contains(&name) {
            for row in part(&load) {
                println!("{row}");
                if row.is_beyond {
                    beyond.push(row.what);
                }
            }
        }
    }
    assert!(!whole || beyond.is_empty(), "beyond the limit: {}", beyond.join("; "));
}

/// The reference and so many others.
fn hosts(others: usize) -> Vec<String> {
    std::iter::once(REFERENCE.to_owned()).chain((1..=others).map(|index| format!("host-{index}"))).collect()
}

/// The memory of checks of hosts that send too much, and what they leave on the disk.
fn memory(load: &Load) -> Vec<Row> {
    let Flood { tokens, large, .. } = load.flood;
    let sent = |what: &str, body: Body| {
        let megabytes = body.bytes() as f64 / 1e6;
        (format!("{what}, {megabytes:.1} MB an answer"), Manner::at_once(body))
    };
    let kinds = [
        sent("usual answers", Body::stream(tokens)),
        sent("a field that nobody knows", Body::padded(large)),
        sent("a text far beyond its cap", Body::long(large)),
        sent("logprobs that nobody asked for", Body::with_logprobs(tokens)),
        ("comments without end".to_owned(), Manner::Comments(Arc::new(Body::stream(tokens)))),
    ];
    let mut first = None;
    let mut rows = Vec::new();
    for (what, manner) in kinds {
        let flooded = flooded(&load.flood, manner);
        let usual = *first.get_or_insert(flooded.kept);
        rows.push(flooded.row(&what, usual));
    }
    rows
}

/// What became of a check of hosts that send too much.
struct Flooded {
    ending: Ending,
    megabytes: Option<f64>,
    /// Bytes on the disk.
    kept: u64,
}

fn flooded(flood: &Flood, manner: Manner) -> Flooded {
    let good = Manner::at_once(Body::stream(flood.tokens));
    let server = Server::start(move |question| {
        let is_good = question.host == REFERENCE || question.number < WARM;
        if is_good { good.clone() } else { manner.clone() }
    });
    let Flood { others, answers, tokens, .. } = *flood;
    // No host is taken out for what it sends, so that all of it is met.
    let defaults = format!("samples = {answers}\nmax_tokens = {tokens}\nretry = {{ down_after = 1000 }}\n");
    let project = Project::new(&server, &hosts(others), &defaults);
    let mut check = project.start();
    let ending = check.finish();
    Flooded { ending, megabytes: check.megabytes, kept: project.kept() }
}

impl Flooded {
    /// `usual` is how much hosts leave on the disk that send usual answers, in bytes.
    fn row(&self, what: &str, usual: u64) -> Row {
        let is_stopped = self.ending == Ending::Stopped;
        let stopped = if is_stopped { " when it was stopped" } else { "" };
        let (kept, usual) = (self.kept as f64, usual as f64);
        Row {
            what: format!("memory of a check: {what}"),
            measured: format!(
                "{}{stopped}; {:.1} MB on the disk, {:.1} × the usual",
                told(self.megabytes, 0, "MB"),
                kept / 1e6,
                kept / usual
            ),
            limit: format!("{LIMIT_MEGABYTES:.0} MB"),
            is_beyond: is_stopped || self.megabytes.is_some_and(|megabytes| megabytes > LIMIT_MEGABYTES),
        }
    }
}

/// How long healthy endpoints take beside a silent one, which is there with the program's own time limits.
fn silence(load: &Load) -> Vec<Row> {
    let [alone, beside] = [None, Some(SILENT)].map(|silent| waited(&load.healthy, silent));
    let measured = |alone: f64, beside: f64| {
        let ratio = beside / alone;
        (ratio, format!("{beside:.2} s instead of {alone:.2} s, {ratio:.2} ×"))
    };
    let (ratio, all) = measured(alone.since_first_request, beside.since_first_request);
    let (_, questions) = measured(alone.since_first_question, beside.since_first_question);
    vec![
        Row {
            what: "healthy endpoints beside a silent one: from the first request to their last answer".to_owned(),
            measured: all,
            limit: format!("{LIMIT_RATIO} ×"),
            is_beyond: ratio > LIMIT_RATIO,
        },
        Row {
            what: "the same from the first question on, without the look at the lists of models".to_owned(),
            measured: questions,
            limit: "–".to_owned(),
            is_beyond: false,
        },
    ]
}

/// How long it took until healthy endpoints had all their answers, in seconds.
struct Waited {
    since_first_request: f64,
    since_first_question: f64,
}

fn waited(healthy: &Healthy, silent: Option<&str>) -> Waited {
    let body = Arc::new(Body::small());
    let server = Server::start(move |question| match question.host {
        SILENT => Manner::Silent,
        _ => Manner::Answers(Arc::clone(&body), DELAY),
    });
    let mut all = hosts(healthy.others);
    let planned = (all.len() * healthy.answers) as u64;
    all.extend(silent.map(str::to_owned));
    let defaults = format!("samples = {}\nstream = false\n", healthy.answers);
    let project = Project::new(&server, &all, &defaults);
    let mut check = project.start();
    // What the silent one is waited for after that takes minutes, and the check ends here.
    check.wait_until(|| server.log().answers >= planned);
    let log = server.log();
    let since = |first: Option<Instant>| {
        let both = first.zip(log.last_answer);
        both.map(|(first, last)| (last - first).as_secs_f64()).expect("answers")
    };
    Waited { since_first_request: since(log.first_request), since_first_question: since(log.first_question) }
}

/// The processor time that one more answer takes, and how much of that the bare requests take.
fn overhead(load: &Load) -> Vec<Row> {
    let Crowd { others, few, many, times } = load.crowd;
    let [less, more] = [few, many].map(|answers| {
        let measured = (0..times).map(|_| busy(others, answers));
        measured.reduce(Busy::least).expect("measured at least once")
    });
    let endpoints = others + 1;
    let added = endpoints * (many - few);
    let each = |busy: Duration| 1e3 * busy.as_secs_f64() / added as f64;
    let asking = less.asking.zip(more.asking).map(|(less, more)| each(more.saturating_sub(less)));
    let bare = each(more.bare.saturating_sub(less.bare));
    let row =
        |what: &str, measured: String| Row {
            what: what.to_owned(), measured, limit: "–".to_owned(), is_beyond: false
        };
    let (many, few) = (endpoints * many, endpoints * few);
    vec![
        row(
            &format!(
                "processor time of an answer: {many} instead of {few} at {endpoints} endpoints, until the last is given and \
                 without judging; the least of {times} times"
            ),
            told(asking, 3, "ms"),
        ),
        row("of that the same requests by a client that only reads the answers", told(Some(bare), 3, "ms")),
        Row {
            limit: format!("{AIM_MILLISECONDS} ms, not enforced"),
            ..row("and what comes on top of it", told(asking.map(|asking| asking - bare), 3, "ms"))
        },
        row(
            &format!("processor time of the whole check of {many} answers, judging included"),
            told(more.all.map(|busy| busy.as_secs_f64()), 2, "s"),
        ),
    ]
}

/// The processor time of a check.
#[derive(Clone, Copy)]
struct Busy {
    /// Until the last question was answered.
    asking: Option<Duration>,
    all: Option<Duration>,
    /// Of a client that asks as much and does nothing else.
    bare: Duration,
}

impl Busy {
    /// The least of both, of each number.
    fn least(self, other: Self) -> Self {
        Self {
            asking: self.asking.zip(other.asking).map(|(a, b)| a.min(b)),
            all: self.all.zip(other.all).map(|(a, b)| a.min(b)),
            bare: self.bare.min(other.bare),
        }
    }
}

fn busy(others: usize, answers: usize) -> Busy {
    let at_once = Manner::at_once(Body::small());
    let server = Server::start(move |_| at_once.clone());
    let all = hosts(others);
    let planned = (all.len() * answers) as u64;
    let defaults = format!("samples = {answers}\nstream = false\npermutations = 99\n");
    let project = Project::new(&server, &all, &defaults);
    let urls: Vec<String> = all.iter().map(|host| server.url(host)).collect();
    let mut check = project.start();
    check.wait_until(|| server.log().answers >= planned);
    check.look();
    let asking = check.busy;
    assert_eq!(check.finish(), Ending::Own, "a check of small answers takes too much");
    Busy { asking, all: check.busy, bare: bare::asked(&urls, answers) }
}

/// A number with its unit; `unknown` where there is none.
fn told(number: Option<f64>, digits: usize, unit: &str) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| format!("{number:.digits$} {unit}"))
}
