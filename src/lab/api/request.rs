//! A request for an answer, read and checked.

use serde::Deserialize;
use serde_json::Value;

use super::ApiError;
use crate::lab::engine::Sampling;
use crate::lab::prompt::{Message, Role};

const MOST_STOPS: usize = 4;
const MOST_LOGPROBS: u32 = 20;

/// What a request asks for, once it is found to be in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The model's name.
    pub model: String,
    /// The conversation, at least one message.
    pub messages: Vec<Message>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The most tokens of the answer, at least 1.
    pub limit: Option<usize>,
    /// What makes the answer repeatable.
    pub seed: Option<i64>,
    /// Sequences that end the answer, none of them empty.
    pub stops: Vec<String>,
    /// Report log-probabilities, with so many of the likeliest tokens.
    pub logprobs: Option<usize>,
    /// How the answer travels.
    pub delivery: Delivery,
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At once.
    Whole,
    /// As it grows.
    Stream,
    /// As it grows, with token counts at the end.
    StreamWithUsage,
}

/// The body as it comes; what is not named here is let through unread, as hosts do.
#[derive(Deserialize)]
struct Body {
    model: String,
    messages: Vec<MessageBody>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    seed: Option<i64>,
    stop: Option<Value>,
    n: Option<u32>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    tools: Option<Value>,
    response_format: Option<Value>,
}

#[derive(Deserialize)]
struct MessageBody {
    role: String,
    content: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Order {
    /// Reads a request's body.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ApiError> {
        let body: Body = serde_json::from_slice(bytes).map_err(|error| ApiError::invalid(format!("body: {error}")))?;
        body.refuse_unsupported()?;
        Ok(Self {
            sampling: body.sampling()?,
            limit: body.limit()?,
            stops: body.stops()?,
            logprobs: body.logprobs()?,
            delivery: body.delivery()?,
            messages: body.messages()?,
            seed: body.seed,
            model: body.model,
        })
    }
}

impl Body {
    fn refuse_unsupported(&self) -> Result<(), ApiError> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::parameter("n", "`n` must be 1"));
        }
        if self.tools.as_ref().is_some_and(|tools| !tools.as_array().is_some_and(Vec::is_empty)) {
            return Err(ApiError::unsupported("tools"));
        }
        match self.response_format.as_ref().and_then(|format| format.get("type")) {
            Some(kind) if kind != "text" => Err(ApiError::unsupported("response_format")),
            _ => Ok(()),
        }
    }

    fn messages(&self) -> Result<Vec<Message>, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::parameter("messages", "there must be at least one message"));
        }
        self.messages.iter().map(MessageBody::read).collect()
    }

    fn sampling(&self) -> Result<Sampling, ApiError> {
        let temperature = self.temperature.unwrap_or(1.0);
        if !(0.0..=2.0).contains(&temperature) {
            return Err(ApiError::parameter("temperature", "`temperature` must be from 0 to 2"));
        }
        let top_p = self.top_p.unwrap_or(1.0);
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(ApiError::parameter("top_p", "`top_p` must be above 0 and at most 1"));
        }
        // 0 and -1 are what various hosts take for "no limit".
        let top_k = match self.top_k {
            None | Some(-1 | 0) => None,
            Some(k) => {
                Some(usize::try_from(k).map_err(|_| ApiError::parameter("top_k", "`top_k` must be at least -1"))?)
            }
        };
        Ok(Sampling { temperature, top_k, top_p, ..Sampling::PLAIN })
    }

    fn limit(&self) -> Result<Option<usize>, ApiError> {
        match self.max_completion_tokens.or(self.max_tokens) {
            Some(0) => Err(ApiError::parameter("max_tokens", "`max_tokens` must be at least 1")),
            limit => Ok(limit.map(|limit| limit as usize)),
        }
    }

    fn stops(&self) -> Result<Vec<String>, ApiError> {
        let wrong = || ApiError::parameter("stop", "`stop` must be a text or up to 4 texts, none of them empty");
        let stops: Vec<String> = match &self.stop {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(stop)) => vec![stop.clone()],
            Some(Value::Array(stops)) => {
                stops.iter().map(|stop| stop.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        if stops.len() > MOST_STOPS || stops.iter().any(String::is_empty) { Err(wrong()) } else { Ok(stops) }
    }

    fn logprobs(&self) -> Result<Option<usize>, ApiError> {
        match (self.logprobs.unwrap_or(false), self.top_logprobs) {
            (_, Some(top)) if top > MOST_LOGPROBS => {
                Err(ApiError::parameter("top_logprobs", "`top_logprobs` must be from 0 to 20"))
            }
            (false, Some(1..)) => {
                Err(ApiError::parameter("top_logprobs", "`top_logprobs` needs `logprobs` to be true"))
            }
            (false, _) => Ok(None),
            (true, top) => Ok(Some(top.unwrap_or(0) as usize)),
        }
    }

    fn delivery(&self) -> Result<Delivery, ApiError> {
        let usage = self.stream_options.as_ref().map(|options| options.include_usage.unwrap_or(false));
        match (self.stream.unwrap_or(false), usage) {
            (true, Some(true)) => Ok(Delivery::StreamWithUsage),
            (true, _) => Ok(Delivery::Stream),
            (false, None) => Ok(Delivery::Whole),
            (false, Some(_)) => {
                Err(ApiError::parameter("stream_options", "`stream_options` needs `stream` to be true"))
            }
        }
    }
}

impl MessageBody {
    fn read(&self) -> Result<Message, ApiError> {
        let role = Role::named(&self.role).ok_or_else(|| {
            ApiError::parameter("messages", format!("role `{}` is none of system, user, assistant, tool", self.role))
        })?;
        let content = match &self.content {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().map(text_of_part).collect::<Result<_, _>>()?,
            Some(_) => return Err(ApiError::parameter("messages", "`content` must be a text or a list of parts")),
        };
        Ok(Message { role, content })
    }
}

fn text_of_part(part: &Value) -> Result<&str, ApiError> {
    let text = part.get("text").and_then(Value::as_str).filter(|_| part.get("type").is_some_and(|kind| kind == "text"));
    text.ok_or_else(|| ApiError::parameter("messages", "this host reads parts of type `text` only"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(mut body: Value) -> Result<Order, ApiError> {
        let fields = body.as_object_mut().unwrap();
        fields.entry("model").or_insert(json!("lab"));
        fields.entry("messages").or_insert(json!([{"role": "user", "content": "Hello"}]));
        Order::from_json(body.to_string().as_bytes())
    }

    #[test]
    fn a_bare_request_has_the_usual_defaults() {
        let order = read(json!({})).unwrap();
        assert_eq!(order.sampling, Sampling::PLAIN);
        assert_eq!((order.limit, order.seed, order.logprobs), (None, None, None));
        assert_eq!(order.delivery, Delivery::Whole);
    }

    #[test]
    fn all_parameters_are_read() {
        let order = read(json!({
            "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_tokens": 7, "max_completion_tokens": 9, "seed": -3,
            "stop": ["a", "b"], "n": 1, "logprobs": true, "top_logprobs": 5, "user": "unread",
            "stream": true, "stream_options": {"include_usage": true},
        }));
        let order = order.unwrap();
        assert_eq!(order.sampling, Sampling { temperature: 0.5, top_k: Some(40), top_p: 0.9, ..Sampling::PLAIN });
        assert_eq!((order.limit, order.seed, order.logprobs), (Some(9), Some(-3), Some(5)));
        assert_eq!(order.stops, ["a", "b"]);
        assert_eq!(order.delivery, Delivery::StreamWithUsage);
    }

    #[test]
    fn content_may_be_parts_or_nothing() {
        let order = read(json!({"messages": [
            {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "polite."}]},
            {"role": "assistant", "content": null},
        ]}));
        let messages = order.unwrap().messages;
        assert_eq!(messages[0], Message { role: Role::System, content: "Be polite.".to_owned() });
        assert_eq!(messages[1].content, "");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for body in [
            json!({"temperature": -0.1}),
            json!({"temperature": 2.1}),
            json!({"temperature": "hot"}),
            json!({"top_p": 0}),
            json!({"top_k": -2}),
            json!({"max_tokens": 0}),
            json!({"max_tokens": -1}),
            json!({"n": 2}),
            json!({"stop": ""}),
            json!({"stop": [1]}),
            json!({"stop": ["a", "b", "c", "d", "e"]}),
            json!({"top_logprobs": 2}),
            json!({"logprobs": true, "top_logprobs": 21}),
            json!({"stream_options": {"include_usage": true}}),
            json!({"messages": []}),
            json!({"messages": [{"role": "king", "content": "x"}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            json!({"tools": [{"type": "function"}]}),
            json!({"response_format": {"type": "json_object"}}),
        ] {
            assert!(read(body.clone()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(Order::from_json(&bytes).is_err());
        }

        #[test]
        fn any_text_in_any_field_is_read_or_refused(field in "[a-z_]{1,12}", text in "\\PC{0,20}") {
            let mut body = serde_json::Map::new();
            body.insert(field, Value::String(text));
            let _ = read(Value::Object(body));
        }
    }
}
