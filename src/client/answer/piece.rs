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

/// Fields that hold thoughts as text. Hosts that send several send the same in each.
const THOUGHTS: [&str; 4] = ["reasoning", "reasoning_content", "reasoning_text", "thinking"];

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
        let details = part.get("reasoning_details").and_then(Value::as_array);
        // A summary is not what was generated, and such a host sends it as text as well.
        if details.is_some_and(|details| details.iter().any(is_summary)) {
            return out;
        }
        let told = |name: &&str| part.get(*name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match THOUGHTS.iter().find_map(told) {
            Some(text) => out.reasoning.push_str(text),
            None => details.into_iter().flatten().for_each(|detail| out.reasoning.push_str(text_of(detail))),
        }
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

fn is_summary(detail: &Value) -> bool {
    detail.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("summary"))
}
