//! Traits: what a probe has in it, kept with each answer, so that an answer can be judged where its probe is not at hand.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a probe is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Its answers enter the statistical comparison, and whatever is exact is looked at too.
    #[default]
    Comparison,
    /// Only what is exact is looked at: counts, reasons, repeats, formats.
    Canary,
    /// Nothing is compared: answers drawn to a greedy probe show how soon a draw leaves the greedy answer, which sizes what others
    /// show.
    Draw,
}

/// Ends the id of a probe that draws answers to a greedy one. No file can give a probe such an id.
const DRAWN: &str = "@drawn";

/// The id of the probe that draws answers to this greedy one.
pub fn drawn_id(greedy: &str) -> String {
    format!("{greedy}{DRAWN}")
}

/// What a probe has in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Traits {
    /// What it is asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub purpose: Purpose,
    /// Messages of the conversation.
    #[serde(default)]
    pub messages: u32,
    /// Characters of all messages together.
    #[serde(default)]
    pub characters: u64,
    /// Characters of its system messages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub system_characters: u64,
    /// Images in it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub images: u32,
    /// The names of the tools that are offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Scripts other than Latin in the conversation, by their names in Unicode.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scripts: BTreeSet<String>,
    /// The JSON Schema that the answer must follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
