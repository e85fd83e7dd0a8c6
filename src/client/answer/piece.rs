//! Pieces: the texts of one message, or of one delta, in every form in which hosts write them.
//!
//! Layer 3, pure.

use serde_json::Value;

/// The texts of one piece.
#[derive(Default)]
pub(super) struct Piece {
    /// What is answered.
    pub content: String,
    /// What is thought.
    pub reasoning: String,
}

/// Fields that hold thoughts: as text, in an object around it, or in blocks. Hosts that send several send the same in
/// each.
const THOUGHTS: [&str; 6] =
    ["reasoning", "reasoning_content", "reasoning_text", "thinking", "thinking_blocks", "reasoning_details"];

/// What a router puts the fields into that it has from the host behind it and does not know.
const OF_THE_HOST: &str = "provider_specific_fields";

/// What holds the text of a block of thought, or of an object in its place.
const TEXTS: [&str; 3] = ["text", "thinking", "content"];

impl Piece {
    /// Reads a message or a delta.
    pub fn read(part: &Value) -> Self {
        let mut out = Self::default();
        match part.get("content") {
            Some(Value::String(text)) => out.content.push_str(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| out.part(part)),
            // One part without the list around it.
            Some(part @ Value::Object(_)) => out.part(part),
            _ => {}
        }
        let places = [Some(part), part.get(OF_THE_HOST)];
        let told = || places.iter().flatten().flat_map(|place| fields_of(place));
        // A summary is not what was generated, and such a host sends it as text as well. What came as a part of the
        // content is not sent otherwise.
        if !out.reasoning.is_empty() || told().any(holds_summary) {
            return out;
        }
        out.reasoning = told().map(thought_in).find(|thought| !thought.is_empty()).unwrap_or_default();
        out
    }

    fn part(&mut self, part: &Value) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let thinks = matches!(kind, "reasoning" | "reasoning_text" | "thinking");
        let text = part.as_str().unwrap_or_else(|| text_of(part));
        let channel = if thinks { &mut self.reasoning } else { &mut self.content };
        channel.push_str(text);
        match part.get("thinking") {
            Some(Value::String(text)) => self.reasoning.push_str(text),
            Some(Value::Array(pieces)) => pieces.iter().for_each(|piece| self.reasoning.push_str(text_of(piece))),
            _ => {}
        }
    }
}

fn text_of(part: &Value) -> &str {
    part.get("text").and_then(Value::as_str).unwrap_or_default()
}

/// The fields with thoughts that there are.
fn fields_of(place: &Value) -> impl Iterator<Item = &Value> {
    THOUGHTS.iter().filter_map(move |name| place.get(*name))
}

/// The thought in a field, empty where it holds none.
fn thought_in(field: &Value) -> String {
    match field {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(thought_in).collect(),
        Value::Object(fields) => {
            let mut texts = TEXTS.iter().filter_map(|name| fields.get(*name)).map(thought_in);
            texts.find(|text| !text.is_empty()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// Whether a field holds a summary among its blocks.
fn holds_summary(field: &Value) -> bool {
    field.as_array().is_some_and(|blocks| blocks.iter().any(is_summary))
}

fn is_summary(detail: &Value) -> bool {
    detail.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("summary"))
}
