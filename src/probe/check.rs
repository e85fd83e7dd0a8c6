//! Checks: what a right answer to a probe looks like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One condition on an answer's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The trimmed answer is exactly this.
    Exact(String),
    /// The answer holds this, whatever the case.
    Contains(String),
    /// The answer matches this regular expression somewhere.
    Regex(String),
    /// The trimmed answer is one of these, whatever the case.
    OneOf(Vec<String>),
    /// The answer is JSON that follows this schema.
    JsonSchema(Value),
}
