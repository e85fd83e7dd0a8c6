//! The report as JSON, `samemodel.report/1`, and the JSON Schemas of the files that the program writes.
//!
//! Layer 4, pure. The one format that is a contract: it holds all that was found, raw. The schemas are generated from the types
//! and committed under `schemas/`.

use schemars::JsonSchema;

use super::Report;
use crate::sample::Sample;

/// The report, indented; ends with a newline.
pub fn render(report: &Report) -> String {
    pretty(report)
}

/// The JSON Schema of a report; ends with a newline.
pub fn report_schema() -> String {
    schema::<Report>()
}

/// The JSON Schema of one line of samples; ends with a newline.
pub fn sample_schema() -> String {
    schema::<Sample>()
}

/// The JSON Schema of a type that is written as JSON; ends with a newline.
pub fn schema<T: JsonSchema>() -> String {
    pretty(&schemars::schema_for!(T))
}

/// A value that is written as JSON, indented; ends with a newline.
pub(crate) fn pretty(value: &impl serde::Serialize) -> String {
    // Only maps with keys that are no strings can fail, and none of these types has one; should one appear, the text is no JSON
    // and says why, so that whoever reads it stops.
    let text = serde_json::to_string_pretty(value);
    text.unwrap_or_else(|error| format!("this report cannot be written as JSON: {error}")) + "\n"
}
