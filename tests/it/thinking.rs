//! Models that think before they answer, at hosts that show their thoughts in one form or another.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::fixture::{Project, Run};
use crate::host::{Host, Request, digest, response, stream};

const WORDS: [&str; 24] = [
    "amber", "birch", "cloud", "dune", "ember", "fjord", "grove", "harbour", "island", "jetty", "kelp", "lantern",
    "meadow", "north", "oar", "pine", "quarry", "river", "stone", "tide", "umber", "valley", "willow", "zephyr",
];

/// Draws so far, so that sampled answers differ from one request to the next.
static DRAWS: AtomicU64 = AtomicU64::new(0);

/// So many words of this model: at temperature 0 always the same to one prompt, else drawn from a few that belong to both.
fn words(model: &str, request: &Request, part: &str, count: usize) -> Vec<&'static str> {
    let prompt = request.body["messages"].to_string();
    let draw = match request.body["temperature"].as_f64() {
        Some(0.0) => String::new(),
        _ => DRAWS.fetch_add(1, Ordering::Relaxed).to_string(),
    };
    let word = |i: usize| {
        let chosen = digest(&[part, &draw, &prompt, model, &i.to_string()]) % 6;
        WORDS[digest(&["pool", &prompt, model, &chosen.to_string()]) as usize % WORDS.len()]
    };
    (0..count).map(word).collect()
}

/// Answers as `/<model>-<form>-<tokens>/` says: the model, how its host passes thoughts on, and how long they are on average.
fn think(request: &Request) -> Vec<u8> {
    let name = request.path.split('/').nth(1).unwrap_or_default().to_owned();
    let mut parts = name.split('-');
    let (model, form) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mean: u64 = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    // From 0.4 to 1.6 times the mean, by the prompt.
    let length = mean * (400 + digest(&["length", &request.body["messages"].to_string()]) % 1200) / 1000;
    let cap = request.body["max_tokens"].as_u64().unwrap_or(u64::MAX);
    let thought = words(model, request, "thought", length.min(cap) as usize);
    let wanted = words(model, request, "answer", 14);
    let room = (cap - length.min(cap)).min(wanted.len() as u64) as usize;
    let ended = if room < wanted.len() { "length" } else { "stop" };
    let (thought, text) = (thought.join(" "), wanted[..room].join(" "));
    let delta = match form {
        "hidden" => json!({"content": text}),
        "marks" if room == 0 => json!({"content": format!("<think>\n{thought}")}),
        "marks" => json!({"content": format!("<think>\n{thought}\n</think>\n\n{text}")}),
        "content" => json!({"reasoning_content": thought, "content": text}),
        _ => json!({"reasoning": thought, "content": text}),
    };
    let used = length.min(cap);
    let usage = json!({"prompt_tokens": 9, "completion_tokens": used + room as u64,
        "completion_tokens_details": {"reasoning_tokens": used}});
    stream(&[
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}).to_string(),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": ended}], "usage": usage}).to_string(),
    ])
}

/// A check of these hosts against one that shows its thoughts in a field.
fn check(host: &Host, reference: &str, hosts: &[&str], allowance: u32, seed: &str) -> Run {
    let mut rows = String::from(
        "about = \"greedy\"\nasking = \"greedy\"\n[[message]]\nrole = \"user\"\ncontent = \"About {{ word }}.\"\n",
    );
    for i in 0..40 {
        let _ = write!(rows, "[[row]]\nid = \"r{i:02}\"\nword = \"{} {i}\"\n", WORDS[i % WORDS.len()]);
    }
    let mut project = Project::new()
        .with_file("prompts/greedy.toml", &rows)
        .with_default("samples", "10")
        .with_default("max_tokens", "64")
        .with_model("reasoning", &format!("{{ effort = \"low\", allowance = {allowance} }}"))
        .with_endpoint("reference", &host.url(reference));
    for word in &WORDS[..12] {
        project = project.with_probe(word, &format!("Tell me of the {word}."));
    }
    for name in hosts {
        project = project.with_endpoint(&format!("at-{name}"), &host.url(name));
    }
    project.run(["check", "--seed", seed, "--format", "json"])
}

fn endpoint<'a>(report: &'a Value, host: &str) -> &'a Value {
    let all = report["endpoints"].as_array().expect("endpoints");
    all.iter().find(|e| e["endpoint"] == format!("at-{host}")).expect("the endpoint")
}

/// Faults that are said of an endpoint as certain or likely.
fn named(endpoint: &Value) -> Vec<&str> {
    let findings = endpoint["findings"].as_array().expect("findings");
    let sure = findings.iter().filter(|f| f["confidence"] != "possible");
    sure.filter_map(|f| f["fault"].as_str()).collect()
}

/// Seeds to try: one, or as many as `SAMEMODEL_SEEDS` says.
fn seeds() -> impl Iterator<Item = String> {
    let n = std::env::var("SAMEMODEL_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    (1..=n).map(|seed: u32| seed.to_string())
}

#[test]
fn another_model_that_thinks_is_never_consistent_however_long_it_thinks_and_whatever_is_hidden() {
    let host = Host::start(think);
    for seed in seeds() {
        for tokens in [30, 100, 300, 2000] {
            let hosts = ["field", "content", "hidden"].map(|form| format!("b-{form}-{tokens}"));
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            for reference in [format!("a-field-{tokens}"), format!("a-hidden-{tokens}")] {
                let report = check(&host, &reference, &hosts, 2048, &seed).json();
                for name in &hosts {
                    let found = endpoint(&report, name);
                    let stopped = report["partial"].as_str().is_some_and(|why| why.contains("set `reasoning"));
                    assert!(found["verdict"] == "drifted" || stopped, "{name} against {reference}: {found}");
                    assert_ne!(found["verdict"], "consistent");
                    assert!(named(found).iter().all(|f| ["swapped-model", "reasoning-hidden"].contains(f)), "{found}");
                }
            }
        }
    }
}

#[test]
fn one_model_twice_is_never_said_to_drift_whatever_field_its_thoughts_come_in() {
    let host = Host::start(think);
    for seed in seeds() {
        for tokens in [30, 300] {
            let hosts = ["field", "content", "hidden"].map(|form| format!("a-{form}-{tokens}"));
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            for reference in [format!("a-field-{tokens}"), format!("a-hidden-{tokens}")] {
                let report = check(&host, &reference, &hosts, 2048, &seed).json();
                for name in &hosts {
                    let found = endpoint(&report, name);
                    assert_ne!(found["verdict"], "drifted", "{name} against {reference}: {found}");
                    assert!(named(found).iter().all(|f| *f == "reasoning-hidden"), "{found}");
                }
            }
        }
    }
}

#[test]
fn thoughts_in_the_content_are_compared_as_thoughts_and_told_as_misplaced() {
    let host = Host::start(think);
    let report = check(&host, "a-field-30", &["a-marks-30"], 2048, "1").json();
    let found = endpoint(&report, "a-marks-30");
    assert_eq!((&found["thinking"]["disclosure"], named(found)), (&json!("both"), vec!["reasoning-misplaced"]));
    let divergence = found["effects"].as_array().expect("effects").iter().find(|e| e["name"] == "divergence");
    assert_eq!(divergence.expect("greedy answers")["estimate"], 0.0, "{found}");
}

#[test]
fn a_run_whose_first_answers_are_all_thought_stops_and_says_what_to_set() {
    let host = Host::start(think);
    let run = check(&host, "a-field-300", &["a-content-300"], 0, "1");
    let report = run.json();
    let partial = report["partial"].as_str().expect("stopped");
    assert!(partial.contains("used up their cap of 64 tokens by thinking"), "{partial}");
    assert!(partial.contains("set `reasoning = { allowance = 512 }` in the model's table"), "{partial}");
    assert!(run.stderr.contains("used up their cap"), "{}", run.stderr);
    let found = endpoint(&report, "a-content-300");
    assert!(found["samples"].as_u64().is_some_and(|n| n < 100), "{found}");
    assert_eq!(found["verdict"], "inconclusive");
}

#[test]
fn an_allowance_that_suffices_leaves_nothing_blank() {
    let host = Host::start(think);
    let report = check(&host, "a-field-300", &["a-content-300"], 512, "1").json();
    let found = endpoint(&report, "a-content-300");
    assert_eq!((&report["partial"], &found["thinking"]["endpoint"]["blanks"]), (&Value::Null, &json!({})), "{found}");
    assert_eq!(found["verdict"], "consistent", "{found}");
}

/// Answers, but for each seventh request, to which it sends the form of an answer with nothing in it.
fn blank_now_and_then(request: &Request) -> Vec<u8> {
    if !request.path.contains("blank") || !DRAWS.fetch_add(1, Ordering::Relaxed).is_multiple_of(7) {
        return think(request);
    }
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0}});
    response("200 OK", &["content-type: application/json".to_owned()], &body.to_string())
}

#[test]
fn a_blank_answer_of_no_token_is_a_failed_attempt_that_is_tried_again() {
    let host = Host::start(blank_now_and_then);
    let report = check(&host, "a-field-0", &["a-blank-0"], 0, "1").json();
    let found = endpoint(&report, "a-blank-0");
    assert!(found["failures"]["blank"].as_u64().is_some_and(|n| n > 10), "{found}");
    assert_eq!((&found["samples"], &found["verdict"]), (&json!(200), &json!("consistent")), "{found}");
    assert_eq!(named(found), ["blank-answers"]);
}
