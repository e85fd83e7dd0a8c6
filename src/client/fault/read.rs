//! Reading an error out of JSON, in whichever form it comes.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::super::lenient;
use super::{class, page, wait};
use crate::attempt::FailureKind;

/// An error as a host wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostError {
    /// What it says; empty when it says nothing.
    pub message: String,
    /// Its code or type, numbers as text.
    pub codes: Vec<String>,
    /// Codes that stand deeper in it, such as in details: they help to find its class, and are not told.
    pub deeper: Vec<String>,
    /// Whether the request was turned away for what it says.
    pub flagged: bool,
    /// Whether it says how long to wait.
    pub waits: bool,
    /// Its class, where its form tells whose code it holds.
    pub known: Option<FailureKind>,
}

/// How often an error may stand within another.
const MOST_NESTED: usize = 6;

/// How many of a list are looked at.
const LOOKED_AT: usize = 8;

/// Fields that hold an error's words, the plainest first.
const MESSAGES: [&str; 8] =
    ["message", "detail", "msg", "error_message", "errorMessage", "error_msg", "error_description", "error_info"];

/// Fields that hold a code, a type or a status.
const CODES: [&str; 14] = [
    "code",
    "type",
    "error_type",
    "status",
    "status_code",
    "http_code",
    "statusCode",
    "http_status",
    "error_code",
    "errorCode",
    "errorType",
    "httpStatus",
    "httpCode",
    "http_status_code",
];

/// Parts of an error that hold further codes.
const PARTS: [&str; 5] = ["details", "detail", "metadata", "status", "extensions"];

/// Fields within which whole responses are passed on.
const WRAPPERS: [&str; 4] = ["response", "data", "body", "result"];

/// Codes with which hosts say that there is no error.
const FINE: [&str; 7] = ["", "0", "200", "ok", "success", "null", "none"];

impl HostError {
    /// Reads an error out of a JSON body or stream event; nothing when it is not one.
    pub fn read(value: &Value) -> Option<Self> {
        let error = Self::within(value, MOST_NESTED)?;
        Some(Self { waits: wait::is_told(value) || wait::wait_in_words(&error.message).is_some(), ..error })
    }

    /// An error of which there are words alone.
    pub fn of_words(words: &str) -> Self {
        let waits = wait::wait_in_words(words).is_some();
        Self { message: words.to_owned(), waits, ..Self::default() }
    }

    fn within(value: &Value, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        match value {
            Value::String(text) => Some(Self::of_text(text, depth)),
            Value::Array(list) => {
                list.first().filter(|first| first.is_object()).and_then(|first| Self::within(first, depth))
            }
            Value::Object(_) => Self::of_body(value, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    /// A text; some are JSON or a page themselves, passed on from the host behind.
    fn of_text(text: &str, depth: usize) -> Self {
        let trimmed = text.trim();
        let is_json = trimmed.starts_with(['{', '[']);
        let parsed = is_json.then(|| lenient::parse(trimmed.as_bytes()).ok()).flatten();
        parsed.and_then(|value| Self::within(&value, depth)).unwrap_or_else(|| {
            let message = if page::is_page(trimmed) { page::told(trimmed) } else { text.to_owned() };
            Self { message, ..Self::default() }
        })
    }

    fn of_body(body: &Value, depth: usize) -> Option<Self> {
        let mut error = match body.get("error") {
            Some(error @ Value::Object(_)) => Self::object(error, depth),
            Some(Value::String(text)) => Self::of_text(text, depth),
            Some(Value::Array(list)) => list.first().and_then(|first| Self::within(first, depth)).unwrap_or_default(),
            Some(Value::Bool(true)) => {
                Self { message: own_words(body).unwrap_or("true").to_owned(), ..Self::default() }
            }
            Some(Value::Number(number)) => Self { codes: vec![number.to_string()], ..Self::default() },
            Some(Value::Null | Value::Bool(false)) | None => return Self::flat(body, depth),
        };
        error.take_from_beside(body);
        let is_fine = error.codes.iter().all(|code| is_fine(code));
        let is_empty = error.message.trim().is_empty() && error.status().is_none();
        let is_none =
            if has_choices(body) { is_empty || (is_fine && !error.codes.is_empty()) } else { is_empty && is_fine };
        if is_none { Self::flat(body, depth) } else { Some(error) }
    }

    /// Takes what stands beside the error in its body: words where it has none, and codes.
    fn take_from_beside(&mut self, body: &Value) {
        if self.message.is_empty() && body.get("choices").is_none() {
            own_words(body).unwrap_or_default().clone_into(&mut self.message);
        }
        let is_described = body.get("error").is_some_and(Value::is_object);
        // Beside an object that says more, only a status is about the error.
        let new = codes_of(body).into_iter().filter(|code| !is_described || class::status(code).is_some());
        for code in new {
            if !self.codes.contains(&code) {
                self.codes.push(code);
            }
        }
    }

    /// An error that is the body itself: `{"object":"error",…}`, `{"message":…}`, `{"detail":…}`, `{"errors":[…]}`,
    /// one in a host's own form, or one within a wrapper. A body with choices is an answer, whatever else it holds.
    fn flat(body: &Value, depth: usize) -> Option<Self> {
        if has_choices(body) {
            return None;
        }
        if let Some(error) = of_base_resp(body) {
            return Some(error);
        }
        if let Some(first) = body.get("errors").and_then(Value::as_array).and_then(|errors| errors.first()) {
            return if first.is_object() { Some(Self::object(first, depth)) } else { Self::within(first, depth) };
        }
        let named = body.get("object").and_then(Value::as_str) == Some("error");
        let mut error = Self::object(body, depth);
        error.known = error.known.or_else(|| baidu(body));
        let is_fine = !error.codes.is_empty() && error.codes.iter().all(|code| is_fine(code));
        let says = !error.message.is_empty() || error.status().is_some();
        if named || (says && !is_fine) {
            return Some(error);
        }
        WRAPPERS.iter().find_map(|name| wrapped(body.get(*name)?, depth))
    }

    fn object(error: &Value, depth: usize) -> Self {
        let mut out = Self { codes: codes_of(error), ..Self::default() };
        let words = MESSAGES.iter().filter_map(|name| error.get(*name)).find(|words| !is_empty(words));
        match words {
            Some(words @ (Value::String(_) | Value::Object(_))) => match Self::within(words, depth) {
                Some(inner) => out.take(inner),
                None => out.message = words.to_string(),
            },
            Some(words) => out.message = words.to_string(),
            None => {
                let inner = error.get("error").and_then(|inner| Self::within(inner, depth));
                out.take(inner.unwrap_or_default());
            }
        }
        out.take_raw(error, depth);
        out.flagged |= error.pointer("/metadata/reasons").is_some_and(Value::is_array);
        out.deeper.extend(codes_within(error));
        out
    }

    /// Takes an error that stands within this one and says what it says.
    fn take(&mut self, inner: Self) {
        self.message = inner.message;
        self.flagged |= inner.flagged;
        self.known = self.known.or(inner.known);
        let place = if self.codes.is_empty() { &mut self.codes } else { &mut self.deeper };
        place.extend(inner.codes);
        self.deeper.extend(inner.deeper);
    }

    /// Adds what a router passes on of the host behind it: its own words are `Provider returned error`.
    fn take_raw(&mut self, error: &Value, depth: usize) {
        let Some(raw) = error.pointer("/metadata/raw").filter(|raw| !is_empty(raw)) else { return };
        let unread = || Self { message: raw.to_string(), ..Self::default() };
        let inner = Self::within(raw, depth).unwrap_or_else(unread);
        if self.message.is_empty() {
            self.message = inner.message;
        } else if !inner.message.is_empty() && !self.message.contains(&inner.message) {
            self.message = format!("{}: {}", self.message, inner.message);
        }
        self.deeper.extend(inner.codes.into_iter().chain(inner.deeper));
    }

    /// The HTTP status that the error names itself, as routers do for errors within a stream.
    pub(super) fn status(&self) -> Option<u16> {
        self.codes.iter().chain(&self.deeper).find_map(|code| class::status(code))
    }

    /// The HTTP status that its words begin with, as `Error code: 400 - …` does.
    pub(super) fn status_in_words(&self) -> Option<u16> {
        static STATUS: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?i)^\W*(?:http|error|status)(?:[ _]?(?:status|error|code))*\s*[:=]?\s*([45][0-9]{2})\b")
                .expect("a constant expression")
        });
        STATUS.captures(&self.message)?[1].parse().ok()
    }

    /// Whether one of its codes is one of these words, in whatever case and with whatever between their parts.
    pub(super) fn has_code(&self, known: &[&str]) -> bool {
        self.codes.iter().chain(&self.deeper).any(|code| known.iter().any(|word| class::is_word(code, word)))
    }

    /// What it says, its codes behind, each once: many hosts give the same word as type and as code.
    pub(super) fn told(&self) -> String {
        let mut codes: Vec<&str> = Vec::new();
        for code in &self.codes {
            if !codes.iter().any(|told| told.eq_ignore_ascii_case(code)) {
                codes.push(code);
            }
        }
        let codes = codes.join(", ");
        match (self.message.is_empty(), codes.is_empty()) {
            (false, true) => self.message.clone(),
            (false, false) => format!("{} ({codes})", self.message),
            (true, false) => codes,
            (true, true) => "an error without a message".to_owned(),
        }
    }
}

/// The error that a wrapper passes on, where it passes one on.
fn wrapped(inner: &Value, depth: usize) -> Option<HostError> {
    let has_error = inner.get("error").is_some_and(|error| !is_empty(error));
    let is_error = has_error || codes_of(inner).iter().any(|code| class::status(code).is_some());
    is_error.then(|| HostError::within(inner, depth))?
}

/// The form of `MiniMax`: the code and the words in `base_resp`, under 200; code 0 is none.
fn of_base_resp(body: &Value) -> Option<HostError> {
    let said = body.get("base_resp")?;
    let code = said.get("status_code")?.as_i64().filter(|code| *code != 0)?;
    let message = said.get("status_msg").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(HostError { message, codes: vec![code.to_string()], known: class::of_minimax(code), ..HostError::default() })
}

/// The class of Baidu's code, in its form: `{"error_code": …, "error_msg": …}`.
fn baidu(body: &Value) -> Option<FailureKind> {
    body.get("error_msg")?;
    class::of_baidu(body.get("error_code")?.as_i64()?)
}

/// The words of a body that stand in it as they are.
fn own_words(body: &Value) -> Option<&str> {
    let mut words = MESSAGES.iter().filter_map(|name| body.get(*name)?.as_str());
    words.find(|words| !words.is_empty())
}

fn codes_of(error: &Value) -> Vec<String> {
    let code = |name: &&str| match error.get(*name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    CODES.iter().filter_map(code).collect()
}

/// Codes and reasons in the parts of an error.
fn codes_within(error: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for part in PARTS.iter().filter_map(|name| error.get(*name)) {
        let list = part.as_array().map_or(std::slice::from_ref(part), Vec::as_slice);
        for part in list.iter().take(LOOKED_AT) {
            out.extend(codes_of(part));
            out.extend(part.get("reason").and_then(Value::as_str).map(str::to_owned));
        }
    }
    out
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(yes) => !yes,
        Value::Number(_) => false,
    }
}

fn is_fine(code: &str) -> bool {
    FINE.iter().any(|fine| code.eq_ignore_ascii_case(fine))
}

/// Whether a body holds an answer. Token counts come with an empty list.
fn has_choices(body: &Value) -> bool {
    match body.get("choices") {
        None | Some(Value::Null) => false,
        Some(Value::Array(choices)) => !choices.is_empty() || body.get("usage").is_some(),
        Some(_) => true,
    }
}
