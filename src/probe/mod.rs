//! A probe: one prompt with its parameters and, where it has them, its checks.
//!
//! Layer 1. [`load()`] reads the folders that a configuration names, [`mod@file`] turns the bytes of one file into probes,
//! and [`check`] says whether an answer is right; [`RequestClass`] says what a request has in it that hosts refuse. Below them, [`spec`] is the shape of a TOML file, `keys` finds
//! misspelt keys, `family` fills templates from rows and `rules` says what makes no sense.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

mod cap;
pub mod check;
mod class;
mod error;
mod family;
pub mod file;
mod keys;
pub mod load;
mod rules;
pub mod spec;

pub use cap::{Cap, UNCAPPED_TOKENS};
pub use check::{Check, Miss};
pub use class::{Feature, RequestClass};
pub use error::{FileError, Position, Problem};
pub use file::is_of_probes;
pub use load::{LoadError, files, load};

use crate::sample::script::scripts;
use crate::sample::{Asking, Purpose, Traits};

/// One prompt, ready to be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The path of its file under the prompts folder without extension, such as `core/haiku`; members of a family
    /// add the name of their row: `core/capitals/france`.
    pub id: String,
    /// What it is there to show, in a line; empty where a `.md` file says nothing.
    pub about: String,
    /// Greedy or sampled.
    pub asking: Asking,
    /// What it is asked for.
    #[serde(default)]
    pub purpose: Purpose,
    /// Answers to ask of each endpoint; the configuration decides when absent.
    pub samples: Option<u32>,
    /// How answers are to come; the configuration decides when absent.
    #[serde(default)]
    pub delivery: Option<Delivery>,
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

/// How the answers to a probe are to come. A host that cannot stream, or does nothing else, is asked as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// As a stream.
    Streamed,
    /// In one piece.
    Whole,
    /// Every other one as a stream, beginning with the first.
    Both,
}

impl Delivery {
    /// Whether the answer of this number is to be streamed.
    pub fn streams(self, replicate: u32) -> bool {
        match self {
            Self::Streamed => true,
            Self::Whole => false,
            Self::Both => replicate.is_multiple_of(2),
        }
    }
}

/// Parameters of one probe; what is absent comes from the configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Sampling temperature of a sampled probe. Greedy probes are always asked at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The cap on the answer's tokens, or "none" to send none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<Cap>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Stop sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// A seed that is sent with each answer asked for, to see whether the same comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// How much the model is to think, sent as `reasoning_effort`, such as "low".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever sets the task: the system message.
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

/// What [`Probe::digest`] is taken of: named field by field, in this order, so that a new field of [`Probe`] cannot
/// change the digests of recorded answers. A new optional field of what is nested here must be left out of the JSON
/// when absent; a test holds the digests of two known probes. Schemas keep the order of their keys, which hosts
/// render into the prompt.
#[derive(Serialize)]
struct Asked<'a> {
    schema: &'static str,
    asking: Asking,
    messages: &'a [Message],
    parameters: &'a Parameters,
    tools: &'a [Tool],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_schema: Option<&'a Value>,
}

/// The version of the form that digests are taken of.
const DIGEST_SCHEMA: &str = "samemodel.probe/1";

impl Probe {
    /// The digest that identifies what is asked: SHA-256, in 64 hex digits, of the conversation, the parameters, the
    /// tools and the response schema. Renaming a file, explaining it better, asking more often or judging answers
    /// otherwise changes nothing; changing a word of what is sent changes everything.
    ///
    /// # Panics
    ///
    /// Never: all map keys are strings, the only thing that serialising to JSON can fail on.
    pub fn digest(&self) -> String {
        let asked = Asked {
            schema: DIGEST_SCHEMA,
            asking: self.asking,
            messages: &self.messages,
            parameters: &self.parameters,
            tools: &self.tools,
            response_schema: self.response_schema.as_ref(),
        };
        let json = serde_json::to_vec(&asked).expect("JSON with string keys");
        sha256_hex(&json)
    }

    /// What it has in it, for whoever judges its answers.
    pub fn traits(&self) -> Traits {
        let characters = |of: &dyn Fn(&Message) -> bool| -> u64 {
            self.messages.iter().filter(|m| of(m)).map(|m| m.content.chars().count() as u64).sum()
        };
        let found = self.messages.iter().flat_map(|m| scripts(&m.content));
        Traits {
            purpose: self.purpose,
            messages: self.messages.len() as u32,
            characters: characters(&|_| true),
            system_characters: characters(&|m| m.role == Role::System),
            images: self.messages.iter().map(|m| m.images.len() as u32).sum(),
            tools: self.tools.iter().map(|tool| tool.name.clone()).collect(),
            scripts: found.map(str::to_owned).collect(),
            response_schema: self.response_schema.clone(),
        }
    }

    /// The bytes of all messages and tools, which no byte-level tokenizer turns into more tokens.
    pub fn prompt_bytes(&self) -> usize {
        let calls = |m: &Message| m.tool_calls.iter().map(|c| c.name.len() + c.arguments.len()).sum::<usize>();
        let messages: usize = self.messages.iter().map(|m| m.content.len() + calls(m)).sum();
        let schema = self.response_schema.as_ref().map_or(0, |s| s.to_string().len());
        let tools: usize =
            self.tools.iter().map(|t| t.name.len() + t.description.len() + t.parameters.to_string().len()).sum();
        messages + tools + schema
    }

    /// The characters of all messages, from which the plan estimates prompt tokens.
    pub fn prompt_chars(&self) -> usize {
        let tools: usize = self.tools.iter().map(|t| t.description.len() + t.parameters.to_string().len()).sum();
        self.messages.iter().map(|m| m.content.chars().count()).sum::<usize>() + tools
    }
}

/// SHA-256 of the bytes, in 64 hex digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(role: Role, content: &str) -> Message {
        Message { role, content: content.into(), images: vec![], tool_calls: vec![], tool_call_id: None }
    }

    fn plain() -> Probe {
        Probe {
            id: "a/b".into(),
            about: "shows".into(),
            asking: Asking::Sampled,
            purpose: Purpose::Comparison,
            samples: None,
            delivery: None,
            messages: vec![message(Role::User, "Hello")],
            parameters: Parameters::default(),
            tools: vec![],
            response_schema: None,
            checks: vec![],
        }
    }

    fn full() -> Probe {
        Probe {
            asking: Asking::Greedy,
            messages: vec![
                message(Role::System, "Be brief."),
                Message {
                    images: vec![Image { media_type: "image/png".into(), base64: "iVBORw==".into() }],
                    ..message(Role::User, "What is it?")
                },
                Message {
                    tool_calls: vec![PastToolCall { id: "1".into(), name: "look".into(), arguments: "{}".into() }],
                    ..message(Role::Assistant, "")
                },
                Message { tool_call_id: Some("1".into()), ..message(Role::Tool, "a cat") },
            ],
            parameters: Parameters {
                temperature: None,
                max_tokens: Some(Cap::Tokens(8)),
                top_p: Some(0.5),
                stop: vec!["\n".into()],
                ..Parameters::default()
            },
            tools: vec![Tool {
                name: "look".into(),
                description: String::new(),
                parameters: json!({"type": "object"}),
            }],
            response_schema: Some(json!({"type": "string"})),
            ..plain()
        }
    }

    /// Recorded answers carry these digests: if this fails, change the code, not the numbers.
    #[test]
    fn digests_of_known_probes_never_change() {
        assert_eq!(plain().digest(), "e443a527934dc34a1f43b71186e9ba15a2be8941d2061b9605b789d08e5451ba");
        assert_eq!(full().digest(), "7642614f317b292ea9ea4b5c24904fb1e12eddaee22de24283f153472b0d2f58");
    }

    #[test]
    fn a_digest_ignores_name_explanation_number_and_checks() {
        let renamed = Probe {
            id: "c".into(),
            about: String::new(),
            samples: Some(3),
            checks: vec![Check::Exact("Hi".into())],
            ..plain()
        };
        assert_eq!(renamed.digest(), plain().digest());
    }

    #[test]
    fn a_digest_changes_with_whatever_is_sent() {
        let mut others = vec![plain(); 6];
        others[0].messages[0].content.push('.');
        others[1].messages[0].role = Role::System;
        others[2].asking = Asking::Greedy;
        others[3].parameters.max_tokens = Some(Cap::Tokens(1));
        others[4].tools = full().tools;
        others[5].response_schema = Some(json!({}));
        let mut digests: Vec<_> = others.iter().chain([&plain()]).map(Probe::digest).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 7);
    }

    #[test]
    fn a_probe_survives_json() {
        let json = serde_json::to_string(&full()).unwrap();
        assert_eq!(serde_json::from_str::<Probe>(&json).unwrap(), full());
    }

    #[test]
    fn a_digest_ignores_what_the_probe_is_for_and_how_answers_come_but_not_its_cap_seed_and_effort() {
        let same = Probe { purpose: Purpose::Canary, delivery: Some(Delivery::Both), ..plain() };
        assert_eq!(same.digest(), plain().digest());
        let mut others = vec![plain(); 3];
        others[0].parameters.max_tokens = Some(Cap::Unsent);
        others[1].parameters.seed = Some(7);
        others[2].parameters.reasoning_effort = Some("low".into());
        assert!(others.iter().all(|other| other.digest() != plain().digest()));
    }

    #[test]
    fn traits_say_what_a_probe_has_in_it() {
        let traits = full().traits();
        assert_eq!((traits.messages, traits.characters, traits.system_characters, traits.images), (4, 25, 9, 1));
        assert_eq!((traits.tools, traits.response_schema), (vec!["look".to_owned()], full().response_schema));
        let japanese = Probe { messages: vec![message(Role::User, "猫 is a cat")], ..plain() };
        assert_eq!(Vec::from_iter(japanese.traits().scripts), ["Han"]);
    }

    #[test]
    fn the_size_of_a_prompt_counts_messages_and_tools() {
        assert_eq!(plain().prompt_chars(), 5);
        assert_eq!(full().prompt_chars(), 9 + 11 + 5 + r#"{"type":"object"}"#.len());
    }
}
