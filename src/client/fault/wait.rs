//! How long a host asks to wait before another try, wherever it says so: in headers, in an error's fields, in words.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use memchr::memmem;
use regex::Regex;
use serde_json::{Map, Value};

use super::super::{headers, lenient};
use crate::attempt::{Failure, FailureKind};
use crate::retry::is_passing;

/// How deep in an error a wait is looked for.
const MOST_NESTED: usize = 6;

/// The field below which a model's own words stand, which say nothing of the host.
const CHOICES: &str = "choices";

/// How many of a list are looked at.
const LOOKED_AT: usize = 16;

/// Bytes of a text that are looked at.
const TEXT: usize = 4096;

/// Fields that hold an error's words.
const WORDS: [&str; 8] = ["message", "detail", "error", "msg", "raw", "error_msg", "error_message", "errorMessage"];

/// A wait is told with the failure's words from here on: it may be why a request is given up.
const WORTH_TELLING: Duration = Duration::from_mins(1);

/// A response that is no answer.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The headers that were kept.
    pub headers: &'a headers::Kept,
    /// The body as far as it was read.
    pub body: &'a [u8],
}

/// The failure with what its response says of another try.
///
/// Of waits in headers and in the body the longer one holds. A 429 that says how long to wait is a limit that passes,
/// whatever it says of plans and credit; and a wait that comes with a refusal says nothing, since waiting does not
/// mend it.
pub fn with_wait(failure: Failure, response: Response<'_>, now: Timestamp) -> Failure {
    let Response { status, headers, body } = response;
    let asked = headers::asked_wait(headers, now).max(wait_in_body(body, now));
    let told = asked.filter(|wait| !wait.is_zero());
    let kind = match failure.kind {
        FailureKind::PaymentRequired if status == Some(429) && told.is_some() => FailureKind::RateLimited,
        kind => kind,
    };
    let of_limits = || headers::limit_wait(headers, now).filter(|_| kind == FailureKind::RateLimited);
    let should_retry = headers::should_retry(headers);
    let may_pass = is_passing(kind) || should_retry == Some(true);
    let retry_after = told.or_else(of_limits).or(asked).filter(|_| may_pass);
    let message = match retry_after.filter(|wait| *wait > WORTH_TELLING) {
        Some(wait) => format!("{}; the host asks to wait {} s", failure.message, wait.as_secs()),
        None => failure.message,
    };
    Failure { kind, message, retry_after, should_retry }
}

/// The wait that a body asks for before another try: as Google's `RetryInfo`, in headers that a router passes on, as a
/// field, or in words. The body is one JSON document, a stream of which the last event that is JSON tells it, or text.
pub fn wait_in_body(body: &[u8], now: Timestamp) -> Option<Duration> {
    match lenient::parse(body).ok().or_else(|| last_event(body)) {
        Some(Value::String(text)) => wait_in_words(&text).or_else(|| wait_in_json(&text, now, MOST_NESTED)),
        Some(value) => wait_in(&value, now, MOST_NESTED),
        // A stream that broke off within an event holds an answer's words.
        None if body.trim_ascii_start().starts_with(b"data:") => None,
        None => {
            let end = memmem::find(body, b"\"choices\"").unwrap_or(body.len());
            wait_in_words(&String::from_utf8_lossy(&body[..end.min(TEXT)]))
        }
    }
}

/// Whether an error says how long to wait. Moments are not looked at, only durations.
pub(super) fn is_told(error: &Value) -> bool {
    wait_in(error, Timestamp::UNIX_EPOCH, MOST_NESTED).is_some()
}

fn last_event(body: &[u8]) -> Option<Value> {
    let mut fields = body
        .rsplit(|b| *b == b'\n')
        .filter_map(|line| line.strip_prefix(b"data:").or_else(|| line.strip_prefix(b"error:")));
    fields.find_map(|line| lenient::parse(line.trim_ascii()).ok())
}

fn wait_in(value: &Value, now: Timestamp, depth: usize) -> Option<Duration> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Object(fields) => wait_in_fields(fields, now, depth),
        Value::Array(list) => list.iter().take(LOOKED_AT).find_map(|value| wait_in(value, now, depth)),
        Value::String(text) => wait_in_json(text, now, depth),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// In a text that is JSON itself, as a router passes on what the host behind it said.
fn wait_in_json(text: &str, now: Timestamp, depth: usize) -> Option<Duration> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    let value = is_json.then(|| lenient::parse(text.trim().as_bytes()).ok())??;
    wait_in(&value, now, depth)
}

fn wait_in_fields(fields: &Map<String, Value>, now: Timestamp, depth: usize) -> Option<Duration> {
    let told = fields.iter().find_map(|(name, value)| {
        let text = value.as_str().map(str::to_owned).or_else(|| value.as_f64().map(|number| number.to_string()));
        match (name.to_ascii_lowercase().replace(['-', '_'], "").as_str(), text) {
            ("retrydelay", None) => Duration::try_from_secs_f64(value.get("seconds")?.as_f64()?).ok(),
            (
                "retrydelay" | "retryafter" | "retryafterseconds" | "retryin" | "estimatedtime" | "xratelimitreset",
                Some(text),
            ) => headers::wait(&text, now),
            ("retryafterms", Some(text)) => headers::wait(&format!("{text}ms"), now),
            _ => None,
        }
    });
    let nested = || {
        let mut hosts = fields.iter().filter(|(name, _)| name.as_str() != CHOICES);
        hosts.find_map(|(_, value)| wait_in(value, now, depth))
    };
    let words = || WORDS.iter().find_map(|name| wait_in_words(fields.get(*name)?.as_str()?));
    told.filter(|wait| !wait.is_zero()).or_else(nested).or_else(words)
}

/// A wait in a sentence, such as `try again in 12s`, `retry after 5 seconds`, `in 1m2.5s` or `in 0 minutes and 9
/// seconds`.
pub(super) fn wait_in_words(message: &str) -> Option<Duration> {
    static WAIT: LazyLock<Regex> = LazyLock::new(|| {
        let units = "milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|ms|s|m|h|d";
        let one = format!(r"[0-9]+(?:\.[0-9]+)?\s*(?:{units})");
        let before =
            r"(?:again|retry|retrying|wait|resets?|available)\s+(?:again\s+)?(?:in|after|for)?\s*(?:about\s+)?";
        let between = r"\s*(?:,\s*)?(?:and\s+)?";
        Regex::new(&format!(r"(?i){before}({one}(?:{between}{one})*)\b")).expect("a constant expression")
    });
    static PART: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)").expect("a constant expression"));
    let found = WAIT.captures(message)?;
    let seconds: f64 = PART
        .captures_iter(found.get(1)?.as_str())
        .filter_map(|part| Some(part[1].parse::<f64>().ok()? * unit_seconds(&part[2])?))
        .sum();
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero() && *wait <= headers::LONGEST_BELIEVED)
}

/// The seconds of a unit, in any of its written forms.
fn unit_seconds(unit: &str) -> Option<f64> {
    let unit = unit.to_ascii_lowercase();
    let is_millis = unit == "ms" || unit.starts_with("milli");
    match unit.as_bytes().first()? {
        _ if is_millis => Some(1e-3),
        b's' => Some(1.0),
        b'm' => Some(60.0),
        b'h' => Some(3600.0),
        b'd' => Some(86_400.0),
        _ => None,
    }
}
