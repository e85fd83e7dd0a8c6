//! Honest hosts that write their answers in dialects of their own: of none is anything said that is not literally true, whichever
//! of two is the reference.

use std::sync::atomic::{AtomicU64, Ordering};

use samemodel::compare::{Roles, Settings, compare};
use samemodel::sample::Sample;
use samemodel::sample::file::read_samples;
use samemodel::verdict::{Confidence, Verdict};
use serde_json::{Value, json};

use crate::fixture::Project;
use crate::host::{Host, Request, WORDS, digest, response};

/// What each is, by the first part of its path.
const DIALECTS: [(&str, Dialect); 34] = [
    ("whole", |a| whole(&a.completion())),
    ("whole-in-parts", |a| whole(&with(a.completion(), "/choices/0/message/content", json!([a.part()])))),
    ("whole-empty-fields", |a| {
        let message = json!({"role": "assistant", "content": a.text, "reasoning_content": null, "refusal": null,
            "tool_calls": [], "function_call": null, "annotations": [], "audio": null});
        whole(&with(a.completion(), "/choices/0/message", message))
    }),
    ("carriage-returns", |a| sse(&a.events(), "\r\n\r\n")),
    ("bare-returns", |a| sse(&a.events(), "\r\r")),
    ("byte-order-mark", |a| body(&format!("\u{feff}{}", joined(&a.events(), "\n\n")))),
    ("no-space", |a| body(&joined(&a.events(), "\n\n").replace("data: ", "data:"))),
    ("no-end", |a| body(joined(&a.events(), "\n\n").trim_end().trim_end_matches("data: [DONE]").trim_end())),
    ("comments", |a| sse(&before_each(&a.events(), ": PROCESSING"), "\n\n")),
    ("pings", |a| sse(&before_each(&a.events(), "event: ping\ndata: {\"type\": \"ping\"}"), "\n\n")),
    ("empty-choices", |a| sse(&before_each(&a.events(), "data: {\"choices\": []}"), "\n\n")),
    ("letters", |a| sse(&a.events_of(&a.letters(), &json!({})), "\n\n")),
    ("empty-role", |a| sse(&a.events_of(std::slice::from_ref(&a.text), &json!({"role": "", "reasoning": ""})), "\n\n")),
    ("null-fields", |a| {
        sse(
            &a.events_of(&a.letters(), &json!({"tool_calls": null, "refusal": null, "reasoning_content": null})),
            "\n\n",
        )
    }),
    ("usage-in-each", |a| sse(&a.each(|event| with(event, "/usage", a.usage())), "\n\n")),
    ("usage-of-nothing", |a| {
        sse(&a.each(|event| with(event, "/usage", json!({"prompt_tokens": 0, "completion_tokens": 0}))), "\n\n")
    }),
    ("no-usage", |a| sse(&a.without_usage(), "\n\n")),
    ("uncached", |a| {
        let usage = json!({"prompt_tokens": a.prompt - a.cached(), "completion_tokens": a.tokens});
        sse(&a.with_usage(&usage), "\n\n")
    }),
    ("cached-told", |a| sse(&a.with_usage(&with(a.usage(), "/prompt_tokens_details", a.cached_details())), "\n\n")),
    ("end-counted", |a| sse(&a.with_usage(&with(a.usage(), "/completion_tokens", json!(a.tokens + 1))), "\n\n")),
    ("channel-not-counted", |a| {
        sse(&a.with_usage(&with(a.usage(), "/completion_tokens", json!(a.tokens.saturating_sub(4)))), "\n\n")
    }),
    ("ids-of-what-is-said", |a| {
        sse(&a.each(|event| with(event, "/id", json!(digest(&[&a.text]).to_string()))), "\n\n")
    }),
    ("whole-message-last", |a| {
        let message = json!({"role": "assistant", "content": a.text});
        sse(&a.last(|event| with(event, "/choices/0/message", message.clone())), "\n\n")
    }),
    ("finished-twice", |a| {
        let events = a.events();
        sse(&[&events[..2], &events[1..]].concat(), "\n\n")
    }),
    ("dated-name", |a| sse(&a.each(|event| with(event, "/model", json!("lab-2026-05-01"))), "\n\n")),
    ("rotating-fingerprint", |a| {
        sse(&a.each(|event| with(event, "/system_fingerprint", json!(format!("fp_{}", a.number % 5)))), "\n\n")
    }),
    ("no-names", |a| sse(&a.each(|event| json!({"choices": event["choices"], "usage": event["usage"]})), "\n\n")),
    ("further-fields", |a| {
        let further = json!({"id": "x", "queue_time": 0.01});
        sse(&a.each(|event| with(with(event, "/x_host", further.clone()), "/service_tier", json!("default"))), "\n\n")
    }),
    ("no-error", |a| sse(&a.each(|event| with(event, "/error", Value::Null)), "\n\n")),
    ("limits-unknown", |a| {
        let headers = ["x-ratelimit-remaining-requests: -1", "x-ratelimit-reset-requests: -1"].map(str::to_owned);
        response("200 OK", &headers, &a.completion().to_string())
    }),
    ("other-reasons", |a| {
        let reason = if a.finish() == "stop" { "COMPLETE" } else { "MAX_TOKENS" };
        sse(&a.last(|event| with(event, "/choices/0/finish_reason", json!(reason))), "\n\n")
    }),
    ("no-reason", |a| sse(&a.last(|event| with(event, "/choices/0/finish_reason", Value::Null)), "\n\n")),
    ("escaped", |a| body(&joined(&a.events(), "\n\n").replace("amber", "\\u0061mb\\u0065r"))),
    ("plain", plain),
];

fn plain(answer: &Answer) -> Vec<u8> {
    sse(&answer.events(), "\n\n")
}

type Dialect = fn(&Answer) -> Vec<u8>;

/// Requests so far, so that sampled answers differ from one to the next.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// What is said, before it is written in a dialect.
struct Answer {
    number: u64,
    text: String,
    prompt: u64,
    tokens: u64,
}

impl Answer {
    /// Sixteen words: at temperature 0 the same to one prompt, or with a seed, else drawn; no more than the cap allows.
    fn to(request: &Request) -> Self {
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let asked = &request.body;
        let prompt = asked["messages"].to_string();
        let draw = match (&asked["temperature"], asked["seed"].as_u64()) {
            (temperature, _) if *temperature == 0.0 => String::new(),
            (_, Some(seed)) => format!("seed {seed}"),
            (_, None) => number.to_string(),
        };
        let cap = ["max_tokens", "max_completion_tokens"].iter().find_map(|name| asked[*name].as_u64());
        let tokens = cap.unwrap_or(64).min(16);
        let word = |i: u64| WORDS[digest(&[&draw, &prompt, &i.to_string()]) as usize % WORDS.len()];
        let text = (0..tokens).map(word).collect::<Vec<_>>().join(" ");
        Self { number, text, prompt: 20 + prompt.len() as u64 / 4, tokens }
    }

    /// It ends by itself after its sixteenth word.
    fn finish(&self) -> &'static str {
        if self.tokens < 16 { "length" } else { "stop" }
    }

    fn usage(&self) -> Value {
        let Self { prompt, tokens, .. } = self;
        json!({"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens})
    }

    /// Tokens of the prompt that are in the host's cache: more or fewer from one answer to the next.
    fn cached(&self) -> u64 {
        if self.number.is_multiple_of(3) { 0 } else { 16 }
    }

    fn cached_details(&self) -> Value {
        json!({"cached_tokens": self.cached()})
    }

    fn part(&self) -> Value {
        json!({"type": "text", "text": self.text})
    }

    fn letters(&self) -> Vec<String> {
        self.text.chars().map(String::from).collect()
    }

    fn completion(&self) -> Value {
        json!({"id": format!("c-{}", self.number), "object": "chat.completion", "model": "lab", "usage": self.usage(),
            "choices": [{"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": self.finish()}]})
    }

    fn event(&self, delta: &Value, finish: Option<&str>) -> Value {
        json!({"id": format!("c-{}", self.number), "object": "chat.completion.chunk", "model": "lab", "usage": null,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    }

    /// A piece with all of the text, the end, and the usage.
    fn values(&self) -> Vec<Value> {
        let usage = with(with(self.event(&json!({}), None), "/choices", json!([])), "/usage", self.usage());
        vec![self.event(&json!({"content": self.text}), None), self.event(&json!({}), Some(self.finish())), usage]
    }

    fn events(&self) -> Vec<String> {
        self.each(|event| event)
    }

    /// Pieces with further fields in each delta.
    fn events_of(&self, pieces: &[String], further: &Value) -> Vec<String> {
        let piece = |text: &String| {
            let mut delta = further.clone();
            delta["content"] = json!(text);
            self.event(&delta, None)
        };
        let rest = self.values().split_off(1);
        lines(pieces.iter().map(piece).chain(rest))
    }

    fn each(&self, change: impl Fn(Value) -> Value) -> Vec<String> {
        lines(self.values().into_iter().map(change))
    }

    fn last(&self, change: impl Fn(Value) -> Value) -> Vec<String> {
        let mut values = self.values();
        values[1] = change(values[1].clone());
        lines(values.into_iter())
    }

    fn with_usage(&self, usage: &Value) -> Vec<String> {
        let mut values = self.values();
        values[2]["usage"] = usage.clone();
        lines(values.into_iter())
    }

    fn without_usage(&self) -> Vec<String> {
        let mut values = self.values();
        values.truncate(2);
        lines(values.into_iter())
    }
}

/// The value with another one at a place; the last key may be new.
fn with(mut value: Value, place: &str, other: Value) -> Value {
    let (parent, key) = place.rsplit_once('/').expect("a place");
    value.pointer_mut(parent).expect("what holds it")[key] = other;
    value
}

/// The lines of a stream, with its end.
fn lines(events: impl Iterator<Item = Value>) -> Vec<String> {
    events.map(|event| format!("data: {event}")).chain(["data: [DONE]".to_owned()]).collect()
}

fn before_each(lines: &[String], other: &str) -> Vec<String> {
    lines.iter().flat_map(|line| [other.to_owned(), line.clone()]).collect()
}

fn joined(lines: &[String], end: &str) -> String {
    lines.iter().fold(String::new(), |out, line| out + line + end)
}

fn sse(lines: &[String], end: &str) -> Vec<u8> {
    body(&joined(lines, end))
}

fn body(text: &str) -> Vec<u8> {
    response("200 OK", &["content-type: text/event-stream".to_owned()], text)
}

fn whole(completion: &Value) -> Vec<u8> {
    response("200 OK", &["content-type: application/json".to_owned()], &completion.to_string())
}

fn answer(request: &Request) -> Vec<u8> {
    let name = request.path.split('/').nth(1).unwrap_or_default();
    let dialect = DIALECTS.iter().find(|(known, _)| *known == name).map_or(plain as Dialect, |(_, dialect)| *dialect);
    dialect(&Answer::to(request))
}

/// A check of all dialects against the plain one: sampled and greedy probes, and canaries of the cap and the seed.
fn project(host: &Host) -> Project {
    let project = Project::new()
        .with_probes_on_words(20)
        .with_file("prompts/cap.toml", "about = \"cap\"\npurpose = \"canary\"\nparameters = { max_tokens = 8 }\n[[message]]\nrole = \"user\"\ncontent = \"Count.\"\n")
        .with_file("prompts/seed.toml", "about = \"seed\"\npurpose = \"canary\"\nparameters = { seed = 7 }\nsamples = 4\n[[message]]\nrole = \"user\"\ncontent = \"Draw.\"\n")
        .with_default("samples", "6")
        .with_endpoint("reference", &host.url("plain"));
    DIALECTS.iter().fold(project, |project, (name, _)| project.with_endpoint(&format!("at-{name}"), &host.url(name)))
}

/// What is literally true of some: counts that are missing, or other ones than the other side's, reasons that are missing, and
/// fingerprints that change.
const TRUE: [(&str, &str); 7] = [
    ("channel-not-counted", "usage-miscounted"),
    ("no-usage", "usage-miscounted"),
    ("usage-of-nothing", "usage-miscounted"),
    ("uncached", "usage-miscounted"),
    ("end-counted", "usage-miscounted"),
    ("rotating-fingerprint", "route-not-pinned"),
    ("no-reason", "finish-reason-wrong"),
];

fn is_true(name: &str, fault: &str) -> bool {
    TRUE.iter().any(|(of, said)| *of == name && *said == fault)
}

/// What is wrongly said of the plain host where these answers, of a dialect and of the plain host, are turned round.
fn wrong_of_the_plain_one(name: &str, samples: &[Sample]) -> Option<String> {
    let reference = format!("at-{name}");
    let both: Vec<Sample> =
        samples.iter().filter(|s| s.endpoint == reference || s.endpoint == "reference").cloned().collect();
    let settings = Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 199 };
    let found = compare(&both, &Roles::new(&reference, vec!["reference"]), &settings).expect("comparable");
    let found = &found.endpoints[0];
    let sure: Vec<_> = found
        .findings
        .iter()
        .filter(|finding| finding.confidence != Confidence::Possible && !is_true(name, &finding.fault))
        .collect();
    let is_wrong = found.verdict == Verdict::Drifted || !sure.is_empty();
    is_wrong.then(|| format!("beside {name}: {} {sure:?}", found.reason))
}

#[test]
fn of_hosts_that_only_write_otherwise_nothing_is_said_and_all_answers_are_read() {
    let host = Host::start(answer);
    let project = project(&host);
    let run = project.run(["check", "--seed", "1", "--format", "json"]);
    let mut wrong = Vec::new();
    for (name, _) in DIALECTS {
        let found = run.endpoint(&format!("at-{name}"));
        let sure: Vec<&Value> = found["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .filter(|finding| finding["confidence"] != "possible")
            .filter(|finding| !is_true(name, finding["fault"].as_str().expect("a fault")))
            .collect();
        // Who reads all of every text finds the same ones at temperature 0.
        let is_read = found["errors"] == 0 && found["unanswered"] == 0 && found["greedy"]["differing"] == 0.0;
        if found["verdict"] == "drifted" || !sure.is_empty() || !is_read {
            wrong.push(format!("{name}: {} {sure:?} {} {}", found["reason"], found["causes"], found["greedy"]));
        }
    }
    let export = project.run(["export"]);
    let samples = read_samples(export.stdout.as_bytes(), "the samples").expect("samples");
    wrong.extend(DIALECTS.iter().filter_map(|(name, _)| wrong_of_the_plain_one(name, &samples)));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
