//! The shape of a probe file in TOML, before rows are filled in and sense is looked for.
//!
//! The check for misspelt keys and the JSON Schema for editors come from these types. Values keep their place in the
//! file, so that a later complaint can name line and column.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use toml::{Spanned, Table};

use super::{Delivery, Parameters, PastToolCall, Role};
use crate::sample::{Asking, Purpose};

/// A probe, or a family of probes, as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "samemodel probe file")]
pub struct ProbeFile {
    /// What it is there to show, in a line.
    #[schemars(with = "String")]
    pub about: Spanned<String>,
    /// Sampled, which is the default, or greedy.
    #[serde(default = "sampled")]
    pub asking: Asking,
    /// For the comparison, which is the default, or as a canary, whose answers are held against exact rules alone.
    #[serde(default)]
    pub purpose: Purpose,
    /// How answers are to come, where it differs from what is configured.
    #[serde(default)]
    pub delivery: Option<Delivery>,
    /// Answers to ask of each endpoint, where the number differs from the configured one.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1))]
    pub samples: Option<Spanned<u32>>,
    /// Parameters that differ from the configured defaults.
    #[serde(default)]
    #[schemars(with = "Parameters")]
    pub parameters: Option<Spanned<Parameters>>,
    /// The conversation, in order.
    #[serde(default)]
    #[schemars(with = "Vec<MessageSpec>")]
    pub message: Vec<Spanned<MessageSpec>>,
    /// Tools offered to the model.
    #[serde(default)]
    #[schemars(with = "Vec<ToolSpec>")]
    pub tool: Vec<Spanned<ToolSpec>>,
    /// A JSON Schema that the answer must follow, sent as `response_format`.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub response_schema: Option<Spanned<Table>>,
    /// What a right answer looks like.
    #[serde(default)]
    #[schemars(with = "Vec<CheckSpec>")]
    pub check: Vec<Spanned<CheckSpec>>,
    /// Values that make a family of this file: one probe for each row, with messages and checks as templates.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub row: Option<Vec<Spanned<Table>>>,
}

fn sampled() -> Asking {
    Asking::Sampled
}

/// One message, as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageSpec {
    /// Who speaks.
    pub role: Role,
    /// What is said; only an assistant that calls a tool may say nothing.
    #[serde(default)]
    pub content: String,
    /// Files of images (PNG, JPEG, GIF or WebP), relative to the probe file.
    #[serde(default)]
    pub images: Vec<String>,
    /// Tool calls of an assistant message.
    #[serde(default)]
    pub tool_calls: Vec<PastToolCall>,
    /// The call that a tool message answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
}

/// One tool, as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolSpec {
    /// The function's name.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Its parameters as a JSON Schema.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub parameters: Table,
}

/// One check, as written: exactly one of its keys is set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    /// The trimmed answer is exactly this.
    #[serde(default)]
    pub exact: Option<String>,
    /// The answer holds this, whatever the case.
    #[serde(default)]
    pub contains: Option<String>,
    /// The answer matches this regular expression somewhere.
    #[serde(default)]
    pub regex: Option<String>,
    /// The trimmed answer is one of these, whatever the case.
    #[serde(default)]
    pub one_of: Option<Vec<String>>,
    /// The answer is JSON that follows this schema.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub json_schema: Option<Table>,
}

/// The JSON Schema of probe files, for editors.
pub fn schema() -> Schema {
    schema_for!(ProbeFile)
}
