//! A request for an answer, read and checked.

use serde::Deserialize;
use serde_json::Value;

use super::conversation::{self, MessageBody};
use super::sampling::SamplingBody;
use super::{ApiError, Tools};
use crate::lab::engine::Sampling;
use crate::lab::prompt::Message;

const MOST_STOPS: usize = 4;
const MOST_LOGPROBS: u32 = 20;
const MOST_CHOICES: u32 = 128;

/// What a request asks for, once it is found to be in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The model's name.
    pub model: String,
    /// The conversation, at least one message.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Tools,
    /// What the answer must look like.
    pub format: Format,
    /// Whether the model is to think first.
    pub thinking: Thinking,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The most tokens of each answer, at least 1.
    pub limit: Option<usize>,
    /// What makes the answer repeatable.
    pub seed: Option<i64>,
    /// Sequences that end the answer, none of them empty.
    pub stops: Vec<String>,
    /// Report log-probabilities, with so many of the likeliest tokens.
    pub logprobs: Option<usize>,
    /// How many answers, at least 1.
    pub choices: usize,
    /// How the answer travels.
    pub delivery: Delivery,
}

/// What an answer must look like.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Anything.
    Text,
    /// A JSON object.
    Object,
    /// JSON that follows this schema.
    Schema(Value),
}

/// Whether the model is to think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It answers at once.
    Off,
    /// Its thoughts come first, as long as it makes them by itself.
    On,
    /// They are twice as long.
    Longer,
    /// They are four times as long.
    Longest,
}

impl Thinking {
    /// What is meant by a word for effort; a word that nobody knows lets the model think as it does by itself.
    fn of_effort(effort: &str) -> Self {
        match effort {
            "none" | "minimal" => Self::Off,
            "medium" => Self::Longer,
            "high" | "xhigh" | "max" => Self::Longest,
            _ => Self::On,
        }
    }

    /// How many times as long as the model's own its thoughts are to be.
    pub fn factor(self) -> f64 {
        match self {
            Self::Off | Self::On => 1.0,
            Self::Longer => 2.0,
            Self::Longest => 4.0,
        }
    }
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
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    seed: Option<i64>,
    stop: Option<Value>,
    n: Option<u32>,
    logprobs: Option<Value>,
    top_logprobs: Option<u32>,
    tools: Option<Value>,
    tool_choice: Option<Value>,
    // Read for its type alone: the lab's model makes one call at a time whatever is said.
    #[serde(rename = "parallel_tool_calls")]
    _parallel_tool_calls: Option<bool>,
    response_format: Option<Value>,
    reasoning_effort: Option<String>,
    reasoning: Option<Reasoning>,
    chat_template_kwargs: Option<TemplateArguments>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The form that OpenRouter has for it.
#[derive(Deserialize)]
struct Reasoning {
    effort: Option<String>,
}

#[derive(Deserialize)]
struct TemplateArguments {
    enable_thinking: Option<bool>,
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::invalid(format!("body: {error}")))
}

impl Order {
    /// Reads a request's body.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ApiError> {
        let body: Body = parse(bytes)?;
        let sampling: SamplingBody = parse(bytes)?;
        Ok(Self {
            messages: conversation::read(&body.messages)?,
            tools: Tools::read(body.tools.as_ref(), body.tool_choice.as_ref())?,
            format: body.format()?,
            thinking: body.thinking(),
            sampling: sampling.read()?,
            limit: body.limit()?,
            stops: body.stops()?,
            logprobs: body.logprobs()?,
            choices: body.choices()?,
            delivery: body.delivery()?,
            seed: body.seed,
            model: body.model,
        })
    }
}

impl Body {
    fn format(&self) -> Result<Format, ApiError> {
        let wrong = |message: &str| ApiError::parameter("response_format", message);
        let Some(format) = self.response_format.as_ref().filter(|format| !format.is_null()) else {
            return Ok(Format::Text);
        };
        match format.get("type").and_then(Value::as_str) {
            Some("text") => Ok(Format::Text),
            Some("json_object") => Ok(Format::Object),
            Some("json_schema") => match format.pointer("/json_schema/schema") {
                Some(schema) => Ok(Format::Schema(schema.clone())),
                None => Err(wrong("`json_schema` needs a `schema`")),
            },
            _ => Err(wrong("`response_format` has a `type` of text, json_object or json_schema")),
        }
    }

    fn thinking(&self) -> Thinking {
        let said = self.chat_template_kwargs.as_ref().and_then(|arguments| arguments.enable_thinking);
        let nested = self.reasoning.as_ref().and_then(|reasoning| reasoning.effort.as_deref());
        let effort = self.reasoning_effort.as_deref().or(nested).map_or(Thinking::Off, Thinking::of_effort);
        match (said, effort) {
            (Some(false), _) => Thinking::Off,
            (Some(true), Thinking::Off) => Thinking::On,
            (_, effort) => effort,
        }
    }

    fn choices(&self) -> Result<usize, ApiError> {
        match self.n.unwrap_or(1) {
            n @ 1..=MOST_CHOICES => Ok(n as usize),
            _ => Err(ApiError::parameter("n", format!("`n` must be from 1 to {MOST_CHOICES}"))),
        }
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

    /// `true` or, as some hosts have it, the number of likeliest tokens.
    fn logprobs(&self) -> Result<Option<usize>, ApiError> {
        let wanted = match &self.logprobs {
            None | Some(Value::Null | Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(self.top_logprobs.unwrap_or(0)),
            Some(Value::Number(number)) => match number.as_u64().and_then(|number| u32::try_from(number).ok()) {
                Some(number) => Some(self.top_logprobs.unwrap_or(number)),
                None => return Err(ApiError::parameter("logprobs", "`logprobs` must be true, false or a number")),
            },
            Some(_) => return Err(ApiError::parameter("logprobs", "`logprobs` must be true, false or a number")),
        };
        match (wanted, self.top_logprobs) {
            (Some(top), _) | (None, Some(top)) if top > MOST_LOGPROBS => {
                Err(ApiError::parameter("top_logprobs", "`top_logprobs` must be from 0 to 20"))
            }
            (None, Some(1..)) => Err(ApiError::parameter("top_logprobs", "`top_logprobs` needs `logprobs` to be true")),
            (wanted, _) => Ok(wanted.map(|top| top as usize)),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{ToolChoice, tools::Tool};
    use super::*;
    use crate::lab::prompt::Role;

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
            "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "presence_penalty": 0.2, "frequency_penalty": 0.3,
            "repetition_penalty": 1.1, "logit_bias": {"9": -100, "7": 1.5}, "max_tokens": 7, "max_completion_tokens": 9,
            "seed": -3, "stop": ["a", "b"], "n": 3, "logprobs": true, "top_logprobs": 5, "user": "unread",
            "parallel_tool_calls": false, "stream": true, "stream_options": {"include_usage": true},
        }));
        let order = order.unwrap();
        let sampling = Sampling {
            temperature: 0.5,
            top_k: Some(40),
            top_p: 0.9,
            min_p: 0.1,
            repetition_penalty: 1.1,
            presence_penalty: 0.2,
            frequency_penalty: 0.3,
            logit_bias: vec![(7, 1.5), (9, -100.0)],
            ..Sampling::PLAIN
        };
        assert_eq!((order.sampling, order.choices), (sampling, 3));
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
        assert_eq!(messages[0], Message::new(Role::System, "Be polite."));
        assert_eq!(messages[1].content, "");
    }

    #[test]
    fn calls_and_their_results_are_read() {
        let call = |arguments: Value| {
            let function = json!({"name": "get_time", "arguments": arguments});
            let call = json!({"id": "call_1", "type": "function", "function": function});
            let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
            let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "7:45"});
            read(json!({"messages": [message, result]})).unwrap().messages
        };
        let messages = call(json!(r#"{"city": "Rome"}"#));
        assert_eq!(messages[0].calls[0].arguments, r#"{"city": "Rome"}"#);
        assert_eq!((messages[1].role, messages[1].content.as_str()), (Role::Tool, "7:45"));
        assert_eq!(call(json!({"city": "Rome"}))[0].calls[0].arguments, r#"{"city":"Rome"}"#);
    }

    #[test]
    fn tools_formats_and_thoughts_are_read() {
        let function = json!({"name": "get_time", "strict": true, "parameters": {"type": "object"}});
        let order = read(json!({
            "tools": [{"type": "function", "function": function}], "tool_choice": "required",
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "null"}}},
            "reasoning_effort": "low",
        }));
        let order = order.unwrap();
        let tool = Tool {
            name: "get_time".to_owned(),
            description: None,
            parameters: json!({"type": "object"}),
            strict: true,
        };
        assert_eq!(order.tools, Tools { offered: vec![tool], choice: ToolChoice::Required });
        assert_eq!((order.format, order.thinking), (Format::Schema(json!({"type": "null"})), Thinking::On));
        for (body, thinking) in [
            (json!({"reasoning_effort": "none"}), Thinking::Off),
            (json!({"reasoning_effort": "medium"}), Thinking::Longer),
            (json!({"reasoning": {"effort": "high"}}), Thinking::Longest),
            (json!({"reasoning": {}}), Thinking::Off),
            (json!({"chat_template_kwargs": {"enable_thinking": true}}), Thinking::On),
            (json!({"chat_template_kwargs": {"enable_thinking": false}, "reasoning_effort": "high"}), Thinking::Off),
        ] {
            assert_eq!(read(body.clone()).unwrap().thinking, thinking, "{body}");
        }
        assert_eq!(read(json!({"response_format": {"type": "json_object"}})).unwrap().format, Format::Object);
        assert_eq!(read(json!({"logprobs": 5})).unwrap().logprobs, Some(5));
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
            json!({"n": 0}),
            json!({"n": 129}),
            json!({"min_p": 1.5}),
            json!({"presence_penalty": -2.5}),
            json!({"repetition_penalty": 0}),
            json!({"logit_bias": {"x": 1}}),
            json!({"logit_bias": {"1": 101}}),
            json!({"logprobs": "yes"}),
            json!({"logprobs": 21}),
            json!({"parallel_tool_calls": "yes"}),
            json!({"stop": ""}),
            json!({"stop": [1]}),
            json!({"stop": ["a", "b", "c", "d", "e"]}),
            json!({"top_logprobs": 2}),
            json!({"logprobs": true, "top_logprobs": 21}),
            json!({"stream_options": {"include_usage": true}}),
            json!({"messages": []}),
            json!({"messages": [{"role": "king", "content": "x"}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]}]}),
            json!({"messages": [{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]}),
            json!({"tools": [{"type": "function"}]}),
            json!({"tool_choice": "required"}),
            json!({"response_format": {"type": "xml"}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}),
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
