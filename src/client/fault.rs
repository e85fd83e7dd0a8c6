//! What hosts say when they do not answer: reading error bodies of every shape, and putting them into classes.
//!
//! Layer 3, pure. Errors come as an object, as a flat object, as a bare string, in a list, or as a page of HTML; under
//! their HTTP status or, in a stream that has begun, under 200. Messages are returned whole: they are shortened only
//! after redaction, since a cut could leave half of an echoed key behind.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use regex::Regex;
use serde_json::Value;

use super::{headers, lenient};
use crate::attempt::{Failure, FailureKind};

/// An error as a host wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostError {
    /// What it says; empty when it says nothing.
    pub message: String,
    /// Its code or type, numbers as text.
    pub codes: Vec<String>,
    /// Whether the request was turned away for what it says.
    pub flagged: bool,
}

/// Fields that hold a code, a type or a status.
const CODES: &[&str] =
    &["code", "type", "error_type", "status", "status_code", "http_code", "statusCode", "http_status", "error_code"];

/// Codes that mean "no credit left", whatever the HTTP status. `1113` is Z.ai's.
const NO_CREDIT: &[&str] = &[
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "insufficient_funds",
    "credit_limit",
    "payment_required",
    "arrearage",
    "billing_hard_limit_reached",
    "1113",
];

/// Words that mean it, in lower case, where a host says nothing of a wait: a quota that comes back is a limit.
const NO_CREDIT_WORDS: &[&str] = &[
    "insufficient balance",
    "insufficient credit",
    "insufficient fund",
    "insufficient quota",
    "not enough credit",
    "not enough balance",
    "out of credit",
    "no credits",
    "credit balance",
    "payment required",
    "in arrears",
    "recharge",
    "top up",
    "plan and billing",
    "requires more credits",
    "余额不足",
    "欠费",
];

/// Codes that mean that a content filter stepped in, whatever the HTTP status.
const FILTERED: &[&str] = &["content_filter", "content_policy_violation", "responsibleaipolicyviolation"];

/// Codes that mean "no such model", whatever the HTTP status.
const NO_MODEL: &[&str] = &["model_not_found", "model_not_available"];

impl HostError {
    /// Reads an error out of a JSON body or stream event; nothing when it is not one.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self { message: text.clone(), ..Self::default() }),
            Value::Array(list) => list.first().filter(|first| first.is_object()).and_then(Self::read),
            Value::Object(fields) => match fields.get("error") {
                Some(Value::Null) | None => Self::flat(value),
                Some(error @ Value::Object(_)) => {
                    let mut read = Self::object(error);
                    // Some hosts put the status beside the error.
                    read.codes.extend(Self::object(value).codes.into_iter().filter(|code| status(code).is_some()));
                    read.codes.dedup();
                    Some(read)
                }
                Some(Value::String(text)) => {
                    let outer = Self::object(value);
                    Some(Self { message: text.clone(), ..outer })
                }
                Some(other) => Some(Self { message: other.to_string(), ..Self::default() }),
            },
            _ => None,
        }
    }

    /// An error that is the body itself: `{"object":"error",…}`, `{"message":…}`, `{"detail":…}` or `{"errors":[…]}`.
    /// A body with choices is an answer, whatever else it holds.
    fn flat(value: &Value) -> Option<Self> {
        let has_choices = match value.get("choices") {
            None | Some(Value::Null) => false,
            // Token counts come with an empty list.
            Some(Value::Array(choices)) => !choices.is_empty() || value.get("usage").is_some(),
            Some(_) => true,
        };
        if has_choices {
            return None;
        }
        if let Some(first) = value.get("errors").and_then(Value::as_array).and_then(|errors| errors.first()) {
            return Some(if first.is_object() { Self::object(first) } else { Self::read(first)? });
        }
        let named = value.get("object").and_then(Value::as_str) == Some("error");
        let error = Self::object(value);
        (named || !error.message.is_empty() || error.status().is_some()).then_some(error)
    }

    fn object(error: &Value) -> Self {
        let message = ["message", "detail", "msg", "error_message"].iter().find_map(|name| match error.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        let codes = CODES
            .iter()
            .filter_map(|name| match error.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect();
        let flagged = error.pointer("/metadata/reasons").is_some_and(Value::is_array);
        Self { message: message.unwrap_or_default(), codes, flagged }
    }

    /// The HTTP status that the error names itself, as routers do for errors within a stream.
    fn status(&self) -> Option<u16> {
        self.codes.iter().find_map(|code| status(code))
    }

    /// Whether it says that there is no credit left.
    fn says_no_credit(&self) -> bool {
        let message = self.message.to_lowercase();
        let says = || NO_CREDIT_WORDS.iter().any(|words| message.contains(words));
        self.has_code(NO_CREDIT) || (says() && wait_in_words(&message).is_none())
    }

    fn has_code(&self, known: &[&str]) -> bool {
        self.codes.iter().any(|code| known.contains(&code.to_ascii_lowercase().as_str()))
    }

    fn told(&self) -> String {
        let codes = self.codes.join(", ");
        match (self.message.is_empty(), codes.is_empty()) {
            (false, true) => self.message.clone(),
            (false, false) => format!("{} ({codes})", self.message),
            (true, false) => codes,
            (true, true) => "an error without a message".to_owned(),
        }
    }
}

/// The HTTP status that a code is.
fn status(code: &str) -> Option<u16> {
    code.parse().ok().filter(|status| (400..600).contains(status))
}

/// The wait that a body asks for before another try: as Google's `RetryInfo`, in headers that a router passes on, as a field, or in
/// words. The body is one JSON document, or a stream of which the last event that is JSON tells it.
pub fn wait_in_body(body: &[u8], now: Timestamp) -> Option<Duration> {
    let last_event = || {
        let mut fields = body.rsplit(|b| *b == b'\n').filter_map(|line| {
            line.strip_prefix(b"data:").or_else(|| line.strip_prefix(b"error:")).map(<[u8]>::trim_ascii)
        });
        fields.find_map(|line| lenient::parse(line).ok())
    };
    let value = lenient::parse(body).ok().or_else(last_event)?;
    wait_in(&value, now, MOST_NESTED)
}

/// How deep in an error a wait is looked for.
const MOST_NESTED: usize = 6;

fn wait_in(value: &Value, now: Timestamp, depth: usize) -> Option<Duration> {
    if depth == 0 {
        return None;
    }
    let Value::Object(fields) = value else {
        return value.as_array()?.iter().take(16).find_map(|value| wait_in(value, now, depth - 1));
    };
    let told = fields.iter().find_map(|(name, value)| {
        let text = value.as_str().map(str::to_owned).or_else(|| value.as_f64().map(|number| number.to_string()));
        match (name.to_ascii_lowercase().replace(['-', '_'], "").as_str(), text) {
            ("retrydelay", None) => Duration::try_from_secs_f64(value.get("seconds")?.as_f64()?).ok(),
            ("retrydelay" | "retryafter" | "retryafterseconds" | "xratelimitreset", Some(text)) => {
                headers::wait(&text, now)
            }
            ("retryafterms", Some(text)) => headers::wait(&format!("{text}ms"), now),
            _ => None,
        }
    });
    let nested = || fields.values().filter(|value| !value.is_string()).find_map(|value| wait_in(value, now, depth - 1));
    let words =
        || ["message", "detail", "error", "msg"].iter().find_map(|name| wait_in_words(fields.get(*name)?.as_str()?));
    told.filter(|wait| !wait.is_zero()).or_else(nested).or_else(words)
}

/// A wait in a sentence, such as `try again in 12s`, `retry after 5 seconds` or `in 1m2.5s`.
fn wait_in_words(message: &str) -> Option<Duration> {
    static WAIT: LazyLock<Regex> = LazyLock::new(|| {
        let one = r"[0-9]+(?:\.[0-9]+)?\s*(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?|ms|s|m|h)";
        let before = r"(?:again|retry|wait|resets?|available)\s+(?:again\s+)?(?:in|after|for)?\s*(?:about\s+)?";
        Regex::new(&format!(r"(?i){before}({one}(?:\s*{one})*)\b")).expect("a constant expression")
    });
    static PART: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)").expect("a constant expression"));
    let found = WAIT.captures(message)?;
    let seconds: f64 = PART
        .captures_iter(found.get(1)?.as_str())
        .filter_map(|part| {
            let unit = match part[2].to_ascii_lowercase().as_str() {
                "ms" => 1e-3,
                unit if unit.starts_with("milli") => 1e-3,
                unit if unit.starts_with('s') => 1.0,
                unit if unit.starts_with('m') => 60.0,
                unit if unit.starts_with('h') => 3600.0,
                _ => return None,
            };
            Some(part[1].parse::<f64>().ok()? * unit)
        })
        .sum();
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero() && *wait <= headers::LONGEST_BELIEVED)
}

/// The failure that a response with a status other than 2xx is. `slow_down` lists statuses that mean it beside 429.
pub fn from_status(status: u16, body: &[u8], slow_down: &[u16]) -> Failure {
    let error = lenient::parse(body).ok().as_ref().and_then(HostError::read);
    // Gateways wrap the error of the host behind them into a status of their own.
    let inner = error.as_ref().and_then(HostError::status).filter(|_| status >= 400 && status != 429);
    let kind = classify(inner.unwrap_or(status), error.as_ref(), slow_down);
    let said = match &error {
        Some(error) => error.told(),
        None => readable(body),
    };
    let message = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
    failure(kind, message)
}

/// The failure that an error under HTTP 200 is, such as one within a stream.
pub fn within_answer(error: &HostError, slow_down: &[u16]) -> Failure {
    let kind = classify(error.status().unwrap_or(500), Some(error), slow_down);
    failure(kind, format!("the host reports an error under HTTP 200: {}", error.told()))
}

/// A failure without word on retrying.
pub fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), retry_after: None, should_retry: None }
}

fn classify(status: u16, error: Option<&HostError>, slow_down: &[u16]) -> FailureKind {
    let says = |codes| error.is_some_and(|error| error.has_code(codes));
    match status {
        _ if says(FILTERED) => FailureKind::Filtered,
        402 | 403 | 429 if error.is_some_and(HostError::says_no_credit) => FailureKind::PaymentRequired,
        _ if says(NO_CREDIT) => FailureKind::PaymentRequired,
        // A router's moderation answers 403 too, and says nothing about the key.
        403 if error.is_some_and(|error| error.flagged) => FailureKind::Filtered,
        429 => FailureKind::RateLimited,
        _ if slow_down.contains(&status) => FailureKind::RateLimited,
        300..=399 => FailureKind::Redirect,
        401 => FailureKind::Unauthorized,
        403 => FailureKind::Forbidden,
        402 => FailureKind::PaymentRequired,
        404 => FailureKind::NotFound,
        408 | 409 | 500..=599 => FailureKind::Server,
        400..=499 if says(NO_MODEL) => FailureKind::NotFound,
        400..=499 => FailureKind::Rejected,
        _ => FailureKind::Malformed,
    }
}

/// An error body that is not JSON, as one line of text; a page of HTML is only named, since its text says little.
fn readable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start();
    if text.starts_with('<') { "a page of HTML".to_owned() } else { one_line(text) }
}

/// The text with every run of white space and control characters made one space.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn told(body: &Value) -> Option<String> {
        HostError::read(body).map(|error| error.told())
    }

    #[test]
    fn every_shape_of_an_error_is_read() {
        for (body, expected) in [
            (json!({"error": {"message": "no", "code": "bad", "type": null}}), "no (bad)"),
            (json!({"error": {"message": "no", "code": 429}}), "no (429)"),
            (json!({"error": "no"}), "no"),
            (json!({"error": "no", "error_type": "dynamic_request_limited"}), "no (dynamic_request_limited)"),
            (json!({"message": "no", "type": "t", "param": "p", "code": "c"}), "no (c, t)"),
            (json!({"object": "error", "message": "no", "code": 400}), "no (400)"),
            (json!({"object": "error"}), "an error without a message"),
            (json!({"detail": [{"msg": "field required"}]}), r#"[{"msg":"field required"}]"#),
            (json!({"success": false, "errors": [{"code": 7003, "message": "no"}]}), "no (7003)"),
            (json!([{"error": {"status": "UNAVAILABLE", "message": "no"}}]), "no (UNAVAILABLE)"),
            (json!("no"), "no"),
            (json!({"error": true}), "true"),
        ] {
            assert_eq!(told(&body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn an_answer_is_not_taken_for_an_error() {
        for body in [
            json!({"choices": [], "error": null}),
            json!({"choices": [{}], "message": "hello"}),
            json!({"id": "x"}),
            json!(null),
            json!(3),
            json!([]),
        ] {
            assert_eq!(told(&body), None, "{body}");
        }
    }

    #[test]
    fn statuses_fall_into_their_classes() {
        use FailureKind::*;
        for (status, kind) in [
            (301, Redirect),
            (400, Rejected),
            (401, Unauthorized),
            (402, PaymentRequired),
            (403, Forbidden),
            (404, NotFound),
            (408, Server),
            (409, Server),
            (422, Rejected),
            (429, RateLimited),
            (500, Server),
            (503, RateLimited),
            (529, Server),
        ] {
            assert_eq!(from_status(status, b"{}", &[503]).kind, kind, "{status}");
        }
    }

    #[test]
    fn a_code_can_say_more_than_the_status() {
        let kind = |status: u16, body: Value| from_status(status, body.to_string().as_bytes(), &[]).kind;
        assert_eq!(kind(429, json!({"error": {"code": "insufficient_quota"}})), FailureKind::PaymentRequired);
        assert_eq!(kind(400, json!({"error": {"code": "content_filter"}})), FailureKind::Filtered);
        assert_eq!(kind(400, json!({"error": {"code": "model_not_found"}})), FailureKind::NotFound);
        assert_eq!(kind(403, json!({"error": {"code": 403, "metadata": {"reasons": ["x"]}}})), FailureKind::Filtered);
    }

    #[test]
    fn an_error_under_200_takes_its_class_from_its_own_code() {
        let kind = |code: Value| {
            within_answer(&HostError::read(&json!({"error": {"message": "m", "code": code}})).unwrap(), &[503]).kind
        };
        assert_eq!(kind(json!(429)), FailureKind::RateLimited);
        assert_eq!(kind(json!("503")), FailureKind::RateLimited);
        assert_eq!(kind(json!("server_error")), FailureKind::Server);
        assert_eq!(kind(json!(7)), FailureKind::Server);
    }

    #[test]
    fn a_status_within_the_body_decides_the_class_wherever_it_stands() {
        let within = |body: Value| within_answer(&HostError::read(&body).expect("an error"), &[]).kind;
        for name in ["status_code", "http_code", "code", "statusCode"] {
            assert_eq!(
                within(json!({"error": {"message": "m", name: 400, "type": "invalid"}})),
                FailureKind::Rejected,
                "{name}"
            );
            assert_eq!(within(json!({"error": {"message": "m"}, name: "429"})), FailureKind::RateLimited, "{name}");
            assert_eq!(within(json!({name: 503, "message": "m"})), FailureKind::Server, "{name}");
        }
        assert_eq!(
            from_status(500, br#"{"error": {"message": "m", "code": 429}}"#, &[]).kind,
            FailureKind::RateLimited
        );
        assert_eq!(
            from_status(429, br#"{"error": {"message": "m", "code": 400}}"#, &[]).kind,
            FailureKind::RateLimited
        );
    }

    #[test]
    fn no_credit_is_told_from_a_limit_that_passes() {
        let kind =
            |message: &str| from_status(429, json!({"error": {"message": message}}).to_string().as_bytes(), &[]).kind;
        assert_eq!(kind("Insufficient balance or no resource package. Please recharge."), FailureKind::PaymentRequired);
        assert_eq!(
            kind("You exceeded your current quota, please check your plan and billing details."),
            FailureKind::PaymentRequired
        );
        let passes =
            "You exceeded your current quota, please check your plan and billing details. Please retry in 20.5s.";
        assert_eq!(kind(passes), FailureKind::RateLimited);
        assert_eq!(kind("Too many requests"), FailureKind::RateLimited);
    }

    #[test]
    fn a_wait_in_the_body_is_found_in_every_form() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let later = (now.as_millisecond() + 12_000).to_string();
        let bodies = [
            json!([{"error": {"code": 429, "details": [{"@type": "x"}, {"@type": "RetryInfo", "retryDelay": "12s"}]}}]),
            json!({"error": {"details": [{"retryDelay": {"seconds": 12}}]}}),
            json!({"error": {"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": later}}}}),
            json!({"error": {"metadata": {"headers": {"Retry-After": "12"}}}}),
            json!({"retry_after": 12, "error": "slow down"}),
            json!({"error": {"retry_after_ms": 12000}}),
            json!({"error": {"message": "Rate limit reached. Please try again in 12s. Visit …"}}),
            json!({"error": "Please retry after 12 seconds."}),
            json!({"detail": "wait 12.0 s"}),
        ];
        for body in bodies {
            let wait = wait_in_body(body.to_string().as_bytes(), now);
            assert_eq!(wait, Some(Duration::from_secs(12)), "{body}");
        }
        let stream =
            b"data: {\"choices\":[]}\n\nevent: error\ndata: {\"error\":{\"message\":\"try again in 1m2.5s\"}}\n\n";
        assert_eq!(wait_in_body(stream, now), Some(Duration::from_millis(62_500)));
        for body in [
            json!({"error": "no"}),
            json!({"error": {"message": "5 seconds of audio"}}),
            json!({"error": "retry in 5 months"}),
            json!({"retry_after": -3}),
        ] {
            assert_eq!(wait_in_body(body.to_string().as_bytes(), now), None, "{body}");
        }
    }

    #[test]
    fn a_body_that_is_not_json_is_told_in_one_line() {
        assert_eq!(from_status(502, b" <html><h1>Bad</h1>", &[]).message, "HTTP 502: a page of HTML");
        assert_eq!(from_status(500, b"up\n\n stream \x1b[1m", &[]).message, "HTTP 500: up stream [1m");
        assert_eq!(from_status(500, b"", &[]).message, "HTTP 500");
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(status in 100u16..700, body in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(from_status(status, &body, &[]).message.starts_with("HTTP "));
            let _ = wait_in_body(&body, Timestamp::UNIX_EPOCH);
        }
    }
}
