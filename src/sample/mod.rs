//! A sample: one completed answer, as it travels between hosts, the store, files and the comparison.
//!
//! Layer 1. The serialised form is the contract `samemodel.sample/1`, one JSON object a line. Only `endpoint`, `probe`
//! and `text` are required, so that anyone can bring samples from elsewhere. Nothing here is ever filled in: what a
//! host did not send is absent. Files of samples are read and written in [`mod@file`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod file;
pub mod script;
mod traits;
mod unique;

pub use traits::{Purpose, Traits, drawn_id};

/// The schema name that every sample line carries.
pub const SCHEMA: &str = "samemodel.sample/1";

fn schema_name() -> String {
    SCHEMA.to_owned()
}

/// One answer of one endpoint to one probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Always `samemodel.sample/1`.
    #[serde(default = "schema_name")]
    pub schema: String,
    /// The nominal model under which endpoints are compared.
    #[serde(default)]
    pub model: Option<String>,
    /// The endpoint that answered.
    pub endpoint: String,
    /// The probe that was asked.
    pub probe: String,
    /// The digest of the probe as it was asked, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_digest: Option<String>,
    /// The number of this answer among those to the same probe, from 0.
    #[serde(default)]
    pub replicate: u32,
    /// When the answer was complete.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// The answer's text, exactly as received; empty when the host sent none.
    pub text: String,
    /// What the host sent in a reasoning channel, if it sent any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why the answer ended, in the host's own word.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// Token counts as the host reports them.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// Tool calls, in order.
    #[serde(default)]
    pub tool_calls: Vec<ToolCall>,
    /// Log-probabilities of the answer's tokens, as the host sent them.
    #[serde(default)]
    pub logprobs: Option<serde_json::Value>,
    /// The model name that the host says answered.
    #[serde(default)]
    pub response_model: Option<String>,
    /// The host's fingerprint of its own configuration.
    #[serde(default)]
    pub system_fingerprint: Option<String>,
    /// The id that the host gave to its response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// The host that answered behind a router, where the router says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How long the answer took.
    #[serde(default)]
    pub latency_ms: Option<Latency>,
    /// Set when there is no answer: such a line counts as an attempt, never as an answer.
    #[serde(default)]
    pub error: Option<SampleError>,
    /// How the answer was asked for.
    #[serde(default)]
    pub parameters: Option<SampleParameters>,
    /// Response headers that say something about the host (never credentials), lower-case names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl Sample {
    /// A sample with the three required fields and nothing else.
    pub fn new(endpoint: impl Into<String>, probe: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            schema: schema_name(),
            model: None,
            endpoint: endpoint.into(),
            probe: probe.into(),
            probe_digest: None,
            replicate: 0,
            at: None,
            text: text.into(),
            reasoning: None,
            finish_reason: None,
            usage: None,
            tool_calls: Vec::new(),
            logprobs: None,
            response_model: None,
            system_fingerprint: None,
            response_id: None,
            provider: None,
            latency_ms: None,
            error: None,
            parameters: None,
            headers: BTreeMap::new(),
        }
    }

    /// Whether this line is an answer; a line with an error is only an attempt.
    pub fn is_answer(&self) -> bool {
        self.error.is_none()
    }

    /// A text of this answer, followed by its tool calls, each on a line of its own with its arguments in one layout.
    pub fn with_calls<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.tool_calls.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = text.to_owned();
        for call in &self.tool_calls {
            let _ = write!(out, "\n{} {}", call.name, call.in_one_layout());
        }
        Cow::Owned(out)
    }

    /// How the probe was asked: greedy when the recorded temperature is 0, otherwise sampled.
    pub fn asking(&self) -> Asking {
        match self.parameters.as_ref().and_then(|p| p.temperature) {
            Some(0.0) => Asking::Greedy,
            _ => Asking::Sampled,
        }
    }
}

/// The two kinds of asking, which see different faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Asking {
    /// Temperature 0: many different probes, one or two answers each.
    Greedy,
    /// Temperature above 0: fewer probes, many answers each.
    Sampled,
}

/// Token counts as a host reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the prompt after templating.
    #[serde(default)]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(default)]
    pub completion_tokens: Option<u64>,
    /// Tokens of thinking, where the host counts them apart; nearly all hosts count them among the answer's as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

/// One tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// The function's name.
    pub name: String,
    /// The arguments as text, exactly as received: whether they are JSON is for the comparison to find out.
    pub arguments: String,
}

impl ToolCall {
    /// Whether it has no arguments: hosts write that as an empty object, as nothing, or as nothing with a name.
    pub fn is_bare(&self) -> bool {
        matches!(self.arguments.trim(), "" | "{}" | "null")
    }

    /// The arguments without white space between their parts, as far as they are JSON: hosts that read calls write them anew.
    fn in_one_layout(&self) -> Cow<'_, str> {
        if self.is_bare() {
            return Cow::Borrowed("{}");
        }
        match serde_json::from_str::<serde_json::Value>(&self.arguments) {
            Ok(value) => Cow::Owned(value.to_string()),
            Err(_) => Cow::Borrowed(self.arguments.as_str()),
        }
    }
}

/// Times of one answer in milliseconds since the request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Until the first token; absent when the answer was not streamed.
    #[serde(default)]
    pub first_token: Option<u64>,
    /// Until the answer was complete.
    pub total: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SampleError {
    /// The class of the failure, such as `rate_limited` or `transport`.
    pub kind: String,
    /// What the host or the connection said.
    #[serde(default)]
    pub message: String,
}

/// How an answer was asked for: the sampling parameters, and what the probe had in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SampleParameters {
    /// 0 makes the probe greedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The cap on the answer's tokens; absent where none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The seed that was sent, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Stop sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// How much the model was to think, in the host's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Whether a stream was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Whether a stream was to bring token counts; absent where no stream was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_usage: Option<bool>,
    /// What opens and closes a thought within the content at this host, beside the marks of common formats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thought_marks: Vec<[String; 2]>,
    /// What the endpoint's own settings put into the request's body beside all this: numbers and switches as they are, of anything
    /// else a digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_body: BTreeMap<String, serde_json::Value>,
    /// What the probe had in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<Traits>,
}
