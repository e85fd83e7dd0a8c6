//! Hosts that refuse, break off and write as real ones do, each beside a reference that does not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::fixture::{Project, Run, assert_says};
use crate::host::{Host, Request, WORDS, delta, digest, end, response};

/// Requests so far, so that sampled answers differ from one to the next.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Those to each name, so that when a host fails does not hang on what else is asked at the time.
static BY_NAME: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// The number of the next request to a host of this name, from 1.
fn next_to(name: &str) -> u64 {
    let mut by_name = BY_NAME.lock().unwrap_or_else(PoisonError::into_inner);
    let number = by_name.entry(name.to_owned()).or_default();
    *number += 1;
    *number
}

/// Sixteen words: at temperature 0 always the same to one prompt, else drawn.
fn text(request: &Request, number: u64) -> String {
    let prompt = request.body["messages"].to_string();
    let draw = if request.body["temperature"] == 0.0 { String::new() } else { number.to_string() };
    let word = |i: usize| WORDS[digest(&[&draw, &prompt, &i.to_string()]) as usize % WORDS.len()];
    (0..16).map(word).collect::<Vec<_>>().join(" ")
}

/// A stream of lines as they are, each ended by a blank one.
fn lines(lines: &[String]) -> Vec<u8> {
    let body: String = lines.iter().fold(String::new(), |out, line| out + line + "\n\n");
    response("200 OK", &["content-type: text/event-stream".to_owned()], &body)
}

fn data(event: &str) -> String {
    format!("data: {event}")
}

fn good(request: &Request, number: u64) -> Vec<u8> {
    lines(&[data(&delta(&text(request, number))), data(&end()), data("[DONE]")])
}

fn refuse(status: &str, message: &str) -> Vec<u8> {
    let code: u64 = status.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
    response(status, &[], &json!({"error": {"message": message, "code": code}}).to_string())
}

/// Answers as the first part of the path says.
fn answer(request: &Request) -> Vec<u8> {
    let name = request.path.split('/').nth(1).unwrap_or_default();
    let (number, own) = (REQUESTS.fetch_add(1, Ordering::Relaxed), next_to(name));
    let now_and_then = own.is_multiple_of(6);
    let has = |field: &str| !request.body[field].is_null();
    let said = || text(request, number);
    match name {
        "error-field" if now_and_then => lines(&[
            r#"error: {"code":400,"message":"the prompt does not fit: raise --ctx-size","type":"exceed_context_size"}"#
                .to_owned(),
            data("[DONE]"),
        ]),
        "bare-json" if now_and_then => lines(&[
            data(&delta("a")),
            r#"{"error":{"code":400,"message":"the prompt does not fit: raise --ctx-size"}}"#.to_owned(),
        ]),
        "status-code" if has("tools") => {
            let error =
                json!({"error": {"message": "no such call", "type": "invalid_request_error", "status_code": 400}});
            lines(&["event: error".to_owned() + "\n" + &data(&error.to_string())])
        }
        "tools-501" if has("tools") => refuse("501 Not Implemented", "calls are not implemented"),
        "tools-wait" if has("tools") => {
            let error = json!({"error": {"message": "no endpoints support tool use"}});
            response("404 Not Found", &["retry-after: 3600".to_owned()], &error.to_string())
        }
        "tools-200" if has("tools") => {
            let error = json!({"error": {"message": "no such choice", "type": "invalid_request_error"}});
            lines(&[data(&error.to_string()), data("[DONE]")])
        }
        "plan" if now_and_then => {
            let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.02s"});
            let message = "You exceeded your current quota, please check your plan and billing details.";
            let error = json!([{"error": {"code": 429, "message": message, "details": [retry]}}]);
            response("429 Too Many Requests", &[], &error.to_string())
        }
        "early" if now_and_then => response("425 Too Early", &[], "too early"),
        // By then others have been answered.
        "lost-key" if now_and_then && own > 30 => refuse("401 Unauthorized", "this key is not known here"),
        "lost-way" if now_and_then && own > 30 => response("302 Found", &["location: /elsewhere".to_owned()], ""),
        "empty-limit" => {
            let limit = ["limit-requests: 0", "remaining-requests: 0", "reset-requests: 1d"];
            let body = json!({"choices": [{"message": {"content": said()}, "finish_reason": "stop"}]});
            response("200 OK", &limit.map(|header| format!("x-ratelimit-{header}")), &body.to_string())
        }
        "no-model" => refuse("404 Not Found", "the model does not exist"),
        "key-200" => {
            let error = json!({"error": {"message": "this key is not known", "code": "invalid_api_key"}});
            response("200 OK", &[], &error.to_string())
        }
        "base-resp" => {
            let error = json!({"choices": null, "base_resp": {"status_code": 1008, "status_msg": "nothing is left"}});
            response("200 OK", &[], &error.to_string())
        }
        "silent" => {
            std::thread::sleep(std::time::Duration::from_secs(2));
            good(request, number)
        }
        "spent" if own > 60 => refuse("402 Payment Required", "nothing is left of the credit"),
        "cold" if request.body["temperature"] == 0.0 => {
            refuse("422 Unprocessable Entity", "temperature must be above 0")
        }
        "waking" if own < 5 && has("messages") => refuse("400 Bad Request", "the model is loading, try again in 0.1s"),
        "no-tools" if has("tools") => refuse("404 Not Found", "no endpoints support tool use"),
        "no-uncapped" if !has("max_tokens") => refuse("402 Payment Required", "fewer max_tokens, or more credits"),
        "firewall" if digest(&[&request.body["messages"].to_string()]).is_multiple_of(4) => {
            refuse("403 Forbidden", "blocked by the firewall")
        }
        "no-right" => refuse("403 Forbidden", "this key may not use the model"),
        "no-credit" => refuse("429 Too Many Requests", "Insufficient balance. Please recharge."),
        "empty" if now_and_then => response("200 OK", &[], ""),
        "html" if now_and_then => {
            response("200 OK", &["content-type: text/html".to_owned()], "<html>Bad gateway</html>")
        }
        "done-alone" if now_and_then => lines(&[data("[DONE]")]),
        "garbled" if now_and_then => lines(&[data(&delta("a")), data(r#"{"choices":[{"ind"#), data("[DONE]")]),
        "abort" if now_and_then => {
            let broken = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "abort"}]});
            lines(&[data(&delta("a")), data(&broken.to_string()), data("[DONE]")])
        }
        _ => odd_stream(name, request, number),
    }
}

/// Answers in a stream that is odd and whole, or else in a plain one.
fn odd_stream(name: &str, request: &Request, number: u64) -> Vec<u8> {
    let said = || text(request, number);
    match name {
        "halves" => {
            let half = |unit: &str| {
                data(&format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{unit}"}},"finish_reason":null}}]}}"#))
            };
            lines(&[data(&delta(&said())), half("\\ud83d"), half("\\ude00"), data(&end()), data("[DONE]")])
        }
        "emoji" => lines(&[data(&delta(&said())), data(&delta("😀")), data(&end()), data("[DONE]")]),
        "heartbeat" => lines(&[
            data("ping"),
            data(&delta(&said())),
            "event: heartbeat\ndata: heartbeat".to_owned(),
            data("null"),
            data(&end()),
            data("[DONE]"),
        ]),
        "nan" => {
            let piece = delta(&said()).replace(
                "\"finish_reason\"",
                "\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-Infinity,\"p\":NaN}]},\"finish_reason\"",
            );
            lines(&[data(&piece), data(&end()), data("[DONE]")])
        }
        _ => good(request, number),
    }
}

const TOOLS: &str = r#"
about = "tools"
purpose = "canary"
samples = 4
[[message]]
role = "user"
content = "What will the weather be in {{ city }}?"
[[tool]]
name = "get_forecast"
description = "The forecast."
[tool.parameters]
type = "object"
[[row]]
id = "oslo"
city = "Oslo"
[[row]]
id = "turin"
city = "Turin"
"#;

const UNCAPPED: &str = r#"
about = "uncapped"
asking = "greedy"
purpose = "canary"
parameters = { max_tokens = "none" }
[[message]]
role = "user"
content = "Count."
"#;

/// A check of these hosts against one that answers as it should; `reference` is its name on the test's host.
fn check(reference: &str, hosts: &[&str]) -> Run {
    let host = Host::start(answer);
    let mut project = Project::new()
        .with_probes_on_words(30)
        .with_file("prompts/tools.toml", TOOLS)
        .with_file("prompts/uncapped.toml", UNCAPPED)
        .with_default("samples", "8")
        // So many tries that no request meets a host's bad moment each time.
        .with_default("retry", "{ tries = 15, first_wait = 0.02, longest_wait = 0.1, total = 20.0 }")
        .with_endpoint("reference", &host.url(reference));
    for name in hosts {
        project = project.with_endpoint(&format!("at-{name}"), &host.url(name));
    }
    project.run(["check", "--seed", "1", "--format", "json"])
}

/// Requests of the plan: 8 sampled probes, 30 greedy ones, 2 with tools and one without a cap.
const PLANNED: u64 = 8 * 8 + 30 * 2 + 2 * 4 + 2;

fn causes(endpoint: &Value) -> Vec<&Value> {
    endpoint["causes"].as_array().map_or_else(Vec::new, |causes| causes.iter().collect())
}

fn named(endpoint: &Value) -> Vec<(&str, &str)> {
    let findings = endpoint["findings"].as_array().expect("findings");
    findings
        .iter()
        .map(|f| (f["fault"].as_str().expect("a fault"), f["confidence"].as_str().expect("how sure")))
        .collect()
}

#[test]
fn a_host_that_refuses_one_class_of_requests_is_asked_all_others_and_what_it_refuses_is_told() {
    let run = check("good", &["no-tools", "status-code", "no-uncapped", "tools-501", "tools-wait", "tools-200"]);
    for (name, refused, requests, words) in [
        ("tools-501", 8, "with tools", "calls are not implemented"),
        ("tools-wait", 8, "with tools", "no endpoints support tool use"),
        ("tools-200", 8, "with tools", "no such choice"),
        ("no-tools", 8, "with tools", "no endpoints support tool use"),
        ("status-code", 8, "with tools", "no such call"),
        ("no-uncapped", 2, "without a cap", "fewer max_tokens"),
    ] {
        let found = &run.endpoint(&format!("at-{name}"));
        assert_eq!(found["samples"], PLANNED - refused, "{name}: {found:#}");
        assert_ne!(found["verdict"], "drifted", "{name}: {found:#}");
        let causes = causes(found);
        assert_eq!((causes.len(), &causes[0]["count"], &causes[0]["requests"]), (1, &json!(refused), &json!(requests)));
        assert_says(causes[0]["message"].as_str().expect("words"), &[words]);
        assert_eq!(named(found), [("request-refused", "certain")], "{name}: {found:#}");
    }
}

#[test]
fn a_host_that_refuses_every_plain_request_is_out_soon_and_its_words_are_in_the_report() {
    let run = check("good", &["no-right", "no-credit", "no-model", "key-200", "base-resp"]);
    for (name, class, words) in [
        ("no-model", "not_found", "the model does not exist"),
        ("key-200", "unauthorized", "this key is not known"),
        ("base-resp", "payment_required", "nothing is left"),
        ("no-right", "forbidden", "this key may not use the model"),
        ("no-credit", "payment_required", "Insufficient balance"),
    ] {
        let found = &run.endpoint(&format!("at-{name}"));
        assert_eq!(found["verdict"], "unmeasured", "{name}: {found:#}");
        assert_says(found["reason"].as_str().expect("a reason"), &[words]);
        assert!(found["failures"][class].as_u64().is_some_and(|n| n < 30), "{name} is asked on and on: {found:#}");
        assert!(named(found).iter().all(|(fault, _)| *fault != "request-refused"), "{name}: {found:#}");
    }
}

#[test]
fn a_host_that_refuses_temperature_0_is_asked_all_else_and_one_without_credit_is_out_with_the_reason() {
    let run = check("good", &["cold", "spent", "waking"]);
    let found = &run.endpoint("at-cold");
    // The probe without a cap is asked at temperature 0 as well.
    assert_eq!((&found["samples"], &found["taken_out"]), (&json!(PLANNED - 62), &json!(null)), "{found:#}");
    assert_eq!((&causes(found)[0]["requests"], &causes(found)[0]["count"]), (&json!("at temperature 0"), &json!(60)));
    assert!(named(found).contains(&("request-refused", "certain")), "{found:#}");
    let found = &run.endpoint("at-spent");
    assert_says(found["taken_out"].as_str().expect("a reason"), &["left out after", "nothing is left of the credit"]);
    let found = &run.endpoint("at-waking");
    assert_eq!((&found["samples"], &found["errors"]), (&json!(PLANNED), &found["failures"]["server"]), "{found:#}");
    assert_ne!(found["errors"], 0, "{found:#}");
}

#[test]
fn a_silent_host_is_out_after_a_few_time_outs_and_asked_nothing_more() {
    let host = Host::start(answer);
    let run = ["twin", "silent"]
        .into_iter()
        .fold(Project::new().with_probes_on_words(6), |p, name| p.with_endpoint(name, &host.url(name)))
        .with_default("samples", "2")
        .with_default("timeout", "{ first_byte = 0.5 }")
        .with_default("retry", "{ first_wait = 0.02, longest_wait = 0.1 }")
        .with_endpoint("reference", &host.url("good"))
        .run(["check", "--seed", "1", "--format", "json"]);
    let found = &run.endpoint("silent");
    // Three, and what was under way beside them.
    let timeouts = found["failures"]["timeout"].as_u64();
    assert!(timeouts.is_some_and(|n| (3..=6).contains(&n)) && found["samples"] == 0, "{found:#}");
    assert_eq!(found["errors"].as_u64(), timeouts, "{found:#}");
    let (_, after) = run.stderr.split_once("silent: nothing more is asked").expect("it is said");
    assert!(!after.contains("silent: timeout"), "{after}");
}

#[test]
fn plain_requests_that_a_host_refuses_by_what_they_ask_are_told() {
    let run = check("good", &["firewall"]);
    let found = run.endpoint("at-firewall");
    assert_ne!(found["verdict"], "drifted", "{found:#}");
    assert!(found["unanswered"].as_u64().is_some_and(|n| n > 5), "{found:#}");
    assert!(named(&found).contains(&("request-refused", "likely")), "{found:#}");
}

#[test]
fn what_passes_is_tried_again_and_nothing_is_lost() {
    let hosts = ["empty", "html", "done-alone", "garbled", "abort", "plan", "early", "lost-key", "lost-way"];
    let run = check("good", &hosts);
    for name in hosts {
        let found = &run.endpoint(&format!("at-{name}"));
        assert_eq!(found["samples"], PLANNED, "{name}: {found:#}");
        assert_ne!(found["verdict"], "drifted", "{name}: {found:#}");
        assert!(found["errors"].as_u64().is_some_and(|n| n > 5), "{name}: {found:#}");
    }
}

#[test]
fn a_limit_of_nothing_beside_answers_is_none() {
    let run = check("good", &["empty-limit"]);
    let found = &run.endpoint("at-empty-limit");
    assert_eq!((&found["samples"], &found["errors"]), (&json!(PLANNED), &json!(0)), "{found:#}");
}

#[test]
fn an_error_within_a_stream_is_the_hosts_own_words_and_no_answer() {
    let run = check("good", &["error-field", "bare-json"]);
    for name in ["error-field", "bare-json"] {
        let found = &run.endpoint(&format!("at-{name}"));
        assert!(found["failures"]["rejected"].as_u64().is_some_and(|n| n > 5), "{name}: {found:#}");
        assert_says(causes(found)[0]["message"].as_str().expect("words"), &["raise --ctx-size"]);
    }
}

#[test]
fn answers_are_read_whatever_else_stands_in_the_stream() {
    let run = check("emoji", &["halves"]);
    let found = &run.endpoint("at-halves");
    assert_eq!((&found["samples"], found["verdict"] == "drifted"), (&json!(PLANNED), false), "{found:#}");
    let run = check("good", &["heartbeat", "nan"]);
    for name in ["heartbeat", "nan"] {
        let found = &run.endpoint(&format!("at-{name}"));
        assert_eq!((&found["samples"], &found["errors"]), (&json!(PLANNED), &json!(0)), "{name}: {found:#}");
        assert!(named(found).is_empty(), "{name}: {found:#}");
    }
}

#[test]
fn without_a_control_the_reference_draws_once_more_and_the_report_says_what_the_unit_is() {
    let run = check("good", &["good"]);
    let report = run.json();
    let account = &report["reference_account"];
    assert_eq!(account["attempts"], PLANNED + 30, "one more for each greedy probe: {account}");
    assert_eq!(run.endpoint("at-good")["attempts"], PLANNED);
    let source = run.endpoint("at-good")["band"]["source"].clone();
    assert!(source == "draws" || source == "built-in", "{source}");
}
