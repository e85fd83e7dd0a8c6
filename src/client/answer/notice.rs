//! Notices: what hosts put into a stream beside the chunks of an answer, and how an error is told from a sign of life.
//!
//! Layer 3, pure. Hosts keep connections open with pings, times and news of a queue, in JSON and in words, and close
//! streams with words of their own. None of that costs an answer unless it says that something went wrong.

use serde_json::Value;

use crate::client::fault::HostError;
use crate::client::lenient;

/// What an event says that holds no chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// The stream is over.
    Done,
    /// Nothing about the answer.
    Harmless,
    /// Something that may be why no more came, if no more comes.
    Remark(HostError),
    /// Something went wrong.
    Trouble(HostError),
    /// It is what is left of something else.
    Garbled,
}

/// Words that say that something went wrong, in lower case. Words that a queue may use too (`busy`, `capacity`) are
/// not among them: what they say is a remark.
const TROUBLE: &[&str] = &[
    "error",
    "fail",
    "timeout",
    "timed out",
    "overload",
    "unavailable",
    "exceeded",
    "too many",
    "rate limit",
    "exception",
    "abort",
    "cancelled",
    "canceled",
    "refused",
    "denied",
    "rejected",
    "forbidden",
    "unauthorized",
    "invalid",
    "insufficient",
    "bad gateway",
    "bad request",
    "not found",
    "not supported",
    "unsupported",
    "out of memory",
    "crash",
    "terminated",
    "interrupted",
];

/// Words of signs of life and of farewells, in lower case.
const PASSING: &[&str] = &["ping", "alive", "beat", "done", "end of", "finished", "completed", "success"];

/// Values of an `error` that say that there is none, in lower case.
const NONE: &[&str] = &["", "0", "200", "ok", "none", "null", "false", "success", "no error"];

/// Fields of which the words count.
const TELLING: &[&str] =
    &["type", "status", "state", "object", "event", "code", "message", "detail", "msg", "reason", "title"];

/// Objects within which hosts put an error.
const WRAPPERS: [&str; 3] = ["response", "data", "x_groq"];

/// The longest notice that is no JSON, in bytes.
const LONGEST: usize = 200;

/// How deep within an event trouble is looked for.
const MOST_NESTED: usize = 2;

impl Notice {
    /// Reads the data of an event that is no JSON object.
    pub fn of_data(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self::Harmless;
        }
        match lenient::parse(data) {
            Ok(Value::String(text)) => Self::of_words(&text),
            Ok(Value::Array(list)) => list.first().map_or(Self::Harmless, Self::of_json),
            Ok(_) => Self::Harmless,
            Err(_) => Self::of_words(&String::from_utf8_lossy(data)),
        }
    }

    /// Reads an event that is JSON and has no choices.
    pub fn of_json(value: &Value) -> Self {
        if is_trouble(value, MOST_NESTED) {
            return Self::Trouble(read(value));
        }
        let said = ["message", "detail", "msg"].iter().find_map(|name| value.get(*name)?.as_str());
        // Chunks without choices bring token counts and the like.
        let remarks = value.get("choices").is_none() && said.is_some_and(|said| is_remark(&said.to_lowercase()));
        if remarks { Self::Remark(read(value)) } else { Self::Harmless }
    }

    fn of_words(text: &str) -> Self {
        let text = text.trim();
        if text.trim_matches(['"', '\'']).eq_ignore_ascii_case("[done]") {
            return Self::Done;
        }
        // A piece of JSON may hold any words.
        if text.contains("\":") || text.starts_with('{') {
            return Self::Garbled;
        }
        let lower = text.to_lowercase();
        if tells_trouble(&lower) {
            return Self::Trouble(said(text));
        }
        let strange = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
        if text.len() > LONGEST || text.contains(strange) {
            Self::Garbled
        } else if is_remark(&lower) {
            Self::Remark(said(text))
        } else {
            Self::Harmless
        }
    }
}

/// The error that an event named `error` tells, whatever its data are.
pub(super) fn named_error(data: &[u8]) -> HostError {
    match lenient::parse(data) {
        Ok(Value::Null) => HostError::default(),
        Ok(value) => read(&value),
        Err(_) => said(&String::from_utf8_lossy(data)),
    }
}

/// The error that a chunk tells beside its choice, in it, or in its message or delta. Hosts write an empty one beside
/// good answers.
pub(super) fn error_beside(chunk: &Value, choice: Option<&Value>) -> Option<HostError> {
    let part = |name| choice.and_then(|choice| choice.get(name));
    let mut places = [Some(chunk), choice, part("delta"), part("message")].into_iter().flatten();
    places.find(|place| place.get("error").is_some_and(|error| !is_none(error))).and_then(HostError::read)
}

/// Whether an event, or what it holds, says that something went wrong: in a field of an error, by a code, or in words.
fn is_trouble(value: &Value, depth: usize) -> bool {
    let Value::Object(fields) = value else { return false };
    fields.iter().any(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let is_code = name.ends_with("code") || name.ends_with("status");
        match value {
            _ if name.contains("error") => !is_none(value),
            Value::Bool(told) => name == "success" && !told,
            Value::Number(number) => is_code && number.as_f64().is_some_and(is_bad),
            Value::String(text) => {
                let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
                let telling = || TELLING.contains(&name.as_str()) && tells_trouble(&text.to_lowercase());
                (is_code && number.is_some_and(is_bad)) || telling()
            }
            Value::Object(_) => depth > 0 && is_trouble(value, depth - 1),
            Value::Null | Value::Array(_) => false,
        }
    })
}

/// Whether a code is none that hosts use for what goes well: 0, 200 and their like.
fn is_bad(code: f64) -> bool {
    !(0.0..300.0).contains(&code)
}

/// Whether the value of an `error` says that there is none: nothing, a zero, or an object of such.
fn is_none(error: &Value) -> bool {
    match error {
        Value::Null => true,
        Value::Bool(told) => !told,
        Value::Number(number) => matches!(number.as_i64(), Some(0 | 200)),
        Value::String(text) => NONE.contains(&text.trim().to_lowercase().as_str()),
        Value::Array(list) => list.iter().all(is_none),
        Value::Object(fields) => {
            // A code that says so settles it, whatever the words for it are.
            let code = fields.get("code").filter(|code| !code.is_null() && code.as_str() != Some(""));
            fields.values().all(is_none) || (code.is_some_and(is_none) && !is_trouble(error, 0))
        }
    }
}

fn tells_trouble(lower: &str) -> bool {
    TROUBLE.iter().any(|word| lower.contains(word))
}

/// Whether words may be why a stream ended: a sentence, and none of those that come with every stream.
fn is_remark(lower: &str) -> bool {
    let sentence = lower.contains(' ') || !lower.is_ascii();
    sentence && !PASSING.iter().any(|word| lower.contains(word))
}

/// Reads an event that tells of an error, which hosts wrap in several ways.
fn read(value: &Value) -> HostError {
    let tells = |inner: &&Value| inner.get("error").is_some_and(|error| !is_none(error));
    let inner = WRAPPERS.iter().filter_map(|name| value.get(*name)).find(tells);
    HostError::read(inner.unwrap_or(value)).unwrap_or_else(|| said(&value.to_string()))
}

fn said(text: &str) -> HostError {
    HostError::of_words(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(data: &str) -> Notice {
        match data.strip_prefix('{') {
            Some(_) => Notice::of_json(&lenient::parse(data.as_bytes()).unwrap()),
            None => Notice::of_data(data.as_bytes()),
        }
    }

    #[test]
    fn signs_of_life_and_farewells_are_harmless() {
        for data in [
            "",
            "null",
            "true",
            "3",
            "-",
            "...",
            "ping",
            "PING",
            "keep-alive",
            "keep alive",
            "[PING]",
            "\"ping 3\"",
            "'ping'",
            "<ping>",
            "[]",
            "12:00:01",
            "2026-11-28T10:00:00Z",
            "1732800000.5",
            "connected!",
            "end of stream",
            r#"{"type":"ping"}"#,
            r#"{"status":"processing"}"#,
            r#"{"message":"processing","ts":12}"#,
            r#"{"detail":"queued"}"#,
            r#"{"code":0,"message":"ok"}"#,
            r#"{"code":200,"message":"success"}"#,
            r#"{"message":"connected"}"#,
            r#"{"type":"done","message":"finished"}"#,
            r#"{"errors":[],"error":false}"#,
            r#"{"progress":0.5,"detail":null,"message":""}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":900}}"#,
        ] {
            assert_eq!(of(data), Notice::Harmless, "{data}");
        }
        for data in ["[DONE]", "[done]", "\"[DONE]\"", "'[done]'"] {
            assert_eq!(of(data), Notice::Done, "{data}");
        }
    }

    #[test]
    fn what_says_that_it_is_an_error_is_trouble_in_every_shape() {
        for data in [
            "Timeout",
            "overloaded",
            "Error: no",
            "\"the model failed\"",
            r#"[{"error":{"message":"no"}}]"#,
            r#"{"error":"no"}"#,
            r#"{"error":true}"#,
            r#"{"detail":{"error":"engine dead"}}"#,
            r#"{"success":false}"#,
            r#"{"type":"error","data":{"error":{"message":"m"}}}"#,
            r#"{"type":"response.failed","response":{}}"#,
            r#"{"code":20015,"message":"no"}"#,
            r#"{"code":"400 Bad","msg":"no"}"#,
            r#"{"code":-1,"message":"no"}"#,
            r#"{"base_resp":{"status_code":1002}}"#,
            r#"{"x_groq":{"error":"no"}}"#,
            r#"{"errorCode":400}"#,
            r#"{"object":"error"}"#,
            r#"{"message":"model not found"}"#,
            r#"{"error_info":"busy, come again"}"#,
        ] {
            assert!(matches!(of(data), Notice::Trouble(_)), "{data}: {:?}", of(data));
        }
        let Notice::Trouble(error) = of(r#"{"type":"error","data":{"error":{"message":"m","code":503}}}"#) else {
            panic!("no trouble")
        };
        assert_eq!(error.message, "m");
    }

    #[test]
    fn a_sentence_that_is_neither_is_a_remark_and_pieces_of_json_are_garbled() {
        for data in ["we are busy", r#"{"message":"no capacity left"}"#, r#"{"detail":"服务繁忙"}"#] {
            assert!(matches!(of(data), Notice::Remark(_)), "{data}: {:?}", of(data));
        }
        let long = "a".repeat(201);
        for data in [r#"nt":"an error"}}]}"#, r#"[{"error":"#, "a\u{fffd}b", "a\nb", long.as_str()] {
            assert_eq!(of(data), Notice::Garbled, "{data}");
        }
    }

    #[test]
    fn an_empty_error_is_none() {
        for error in [
            json!(null),
            json!(false),
            json!(""),
            json!(0),
            json!("0"),
            json!([]),
            json!({}),
            json!("none"),
            json!({"message": null, "code": null}),
            json!({"message": "", "type": ""}),
            json!({"code": 0, "message": "success"}),
            json!({"code": "0", "message": "请求成功"}),
        ] {
            assert!(is_none(&error), "{error}");
            let chunk = json!({"choices": [{"delta": {"content": "a"}, "error": error}], "error": error});
            assert_eq!(error_beside(&chunk, chunk.pointer("/choices/0")), None);
        }
        for error in [json!(true), json!("no"), json!({"code": null, "message": "no"}), json!({"code": 429}), json!(1)]
        {
            assert!(!is_none(&error), "{error}");
        }
        let chunk = json!({"choices": [{"delta": {"content": "", "error": {"message": "no", "code": 503}}}]});
        assert_eq!(error_beside(&chunk, chunk.pointer("/choices/0")).map(|error| error.message), Some("no".into()));
    }
}
