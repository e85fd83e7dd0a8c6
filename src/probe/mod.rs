//! A probe: one prompt with its parameters and, where it has them, its checks.
//!
//! Layer 1. Parsing of probe files is in [`file`], folders are read in [`load`], and [`check`] says whether an answer
//! is right.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub mod check;
// pub mod file;
// pub mod load;

pub use check::Check;
// pub use load::{LoadError, load};

use crate::sample::Asking;

/// One prompt, ready to be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The path of its file under the prompts folder without extension, such as `core/haiku`; members of a family
    /// add the name of their row: `core/capitals/france`.
    pub id: String,
    /// What it is there to show, in a line.
    pub about: String,
    /// Greedy or sampled.
    pub asking: Asking,
    /// Answers to ask of each endpoint; the configuration decides when absent.
    pub samples: Option<u32>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Parameters that differ from the configured defaults.
    pub parameters: Parameters,
    /// Tools offered.
    pub tools: Vec<Tool>,
    /// A JSON Schema that the answer must follow, sent as `response_format`.
    pub response_schema: Option<Value>,
    /// What a right answer looks like.
    pub checks: Vec<Check>,
}

/// Parameters of one probe; what is absent comes from the configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Sampling temperature of a sampled probe. Greedy probes are always asked at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The cap on the answer's tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Stop sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The system message.
    System,
    /// The user.
    User,
    /// An earlier answer of the model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// Images that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Tool calls of an assistant message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<PastToolCall>,
    /// The call that a tool message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// A tool call in a conversation's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastToolCall {
    /// The call's id, to which the tool message refers.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

/// An image, kept as its bytes so that the digest covers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The media type, such as `image/png`.
    pub media_type: String,
    /// The bytes in Base64.
    pub base64: String,
}

/// A tool offered to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Its parameters as a JSON Schema.
    pub parameters: Value,
}

impl Probe {
    /// The digest that identifies what is asked: SHA-256, in hex, of the probe's canonical JSON without its id and its
    /// explanation, so that renaming a file changes nothing and changing a word changes everything.
    pub fn digest(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or(Value::Null);
        if let Value::Object(map) = &mut value {
            for name in ["id", "about", "samples", "checks"] {
                map.shift_remove(name);
            }
        }
        hex(&Sha256::digest(value.to_string().as_bytes()))
    }

    /// The characters of all messages, from which the plan estimates prompt tokens.
    pub fn prompt_chars(&self) -> usize {
        let tools: usize = self.tools.iter().map(|t| t.description.len() + t.parameters.to_string().len()).sum();
        self.messages.iter().map(|m| m.content.chars().count()).sum::<usize>() + tools
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}
