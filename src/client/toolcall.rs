//! Tool calls: putting together what arrives in pieces.
//!
//! Layer 3, pure. Hosts differ: some number the pieces, some leave the number out, some repeat the name in every
//! piece, some send one number for all calls, and some send the arguments as an object instead of text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lenient::join_halves;
use crate::sample::ToolCall;

/// Tool calls under construction.
#[derive(Debug, Default)]
pub struct ToolCalls {
    partial: Vec<Partial>,
    /// The latest call with each number, so that a hostile host cannot make the search long.
    latest: BTreeMap<u64, usize>,
    /// Bytes that have been taken.
    taken: usize,
}

#[derive(Debug, Default)]
struct Partial {
    id: String,
    name: String,
    arguments: String,
}

impl Partial {
    fn len(&self) -> usize {
        self.id.len() + self.name.len() + self.arguments.len()
    }
}

impl ToolCalls {
    /// Takes the tool calls of a message, or the pieces of one delta: `tool_calls`, or the older `function_call`.
    /// Returns whether there were any.
    pub fn absorb(&mut self, message: &Value) -> bool {
        let calls = message.get("tool_calls").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for call in calls.iter().filter(|call| call.is_object()) {
            let function = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
            self.piece(call.get("index").and_then(Value::as_u64), text(call.get("id")), function);
        }
        let older = message.get("function_call").filter(|function| function.is_object());
        if let Some(function) = older {
            self.piece(None, "", function);
        }
        older.is_some() || !calls.is_empty()
    }

    /// Bytes so far, about.
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Whether there are none so far.
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// The calls in order of their first pieces.
    pub fn finish(self) -> Vec<ToolCall> {
        let call = |call: Partial| ToolCall { name: call.name, arguments: join_halves(call.arguments) };
        self.partial.into_iter().map(call).collect()
    }

    fn piece(&mut self, index: Option<u64>, id: &str, function: &Value) {
        let name = text(function.get("name"));
        let position = self.continued(index, id, name).unwrap_or_else(|| {
            self.partial.push(Partial::default());
            self.taken += size_of::<Partial>();
            let position = self.partial.len() - 1;
            self.latest.extend(index.map(|index| (index, position)));
            position
        });
        let call = &mut self.partial[position];
        let before = call.len();
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name != name {
            call.name.push_str(name);
        }
        match function.get("arguments") {
            Some(Value::String(piece)) => call.arguments.push_str(piece),
            Some(Value::Null) | None => {}
            Some(whole) => call.arguments.push_str(&whole.to_string()),
        }
        self.taken += call.len() - before;
    }

    /// The call that a piece continues; nothing when it begins a new one.
    fn continued(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let position = match index {
            Some(index) => *self.latest.get(&index)?,
            None => self.partial.len().checked_sub(1)?,
        };
        let call = &self.partial[position];
        let other_id = !id.is_empty() && !call.id.is_empty() && id != call.id;
        let names_again = index.is_none() && id.is_empty() && !name.is_empty() && !call.name.is_empty();
        let begins = (other_id && !name.is_empty()) || names_again;
        (!begins).then_some(position)
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(pieces: &[Value]) -> Vec<(String, String)> {
        let mut calls = ToolCalls::default();
        for piece in pieces {
            calls.absorb(&json!({"tool_calls": [piece]}));
        }
        calls.finish().into_iter().map(|call| (call.name, call.arguments)).collect()
    }

    fn two() -> Vec<(String, String)> {
        vec![("f".into(), r#"{"a":1}"#.into()), ("g".into(), "{}".into())]
    }

    #[test]
    fn numbered_pieces_are_joined_even_when_they_alternate() {
        let pieces = [
            json!({"index": 0, "id": "x", "function": {"name": "f", "arguments": ""}}),
            json!({"index": 1, "id": "y", "function": {"name": "g", "arguments": "{"}}),
            json!({"index": 0, "function": {"arguments": "{\"a\":"}}),
            json!({"index": 1, "function": {"arguments": "}"}}),
            json!({"index": 0, "function": {"name": null, "arguments": "1}"}}),
        ];
        assert_eq!(read(&pieces), two());
    }

    #[test]
    fn pieces_without_a_number_continue_the_call_before_them() {
        let pieces = [
            json!({"id": "x", "function": {"name": "f", "arguments": "{\"a\":"}}),
            json!({"function": {"arguments": "1}"}}),
            json!({"id": "y", "function": {"name": "g", "arguments": "{"}}),
            json!({"id": "y", "function": {"name": "g", "arguments": "}"}}),
        ];
        assert_eq!(read(&pieces), two());
    }

    #[test]
    fn pieces_with_neither_number_nor_id_are_parted_by_names() {
        let pieces = [
            json!({"function": {"name": "f", "arguments": "{\"a\":1}"}}),
            json!({"function": {"name": "g", "arguments": {}}}),
        ];
        assert_eq!(read(&pieces), two());
    }

    #[test]
    fn calls_that_share_a_number_are_parted_by_their_ids() {
        let pieces = [
            json!({"index": 0, "id": "x", "function": {"name": "f", "arguments": "{\"a\":1}"}}),
            json!({"index": 0, "id": "y", "function": {"name": "g", "arguments": "{}"}}),
        ];
        assert_eq!(read(&pieces), two());
    }

    #[test]
    fn what_is_held_of_calls_is_counted() {
        let mut calls = ToolCalls::default();
        for _ in 0..9 {
            calls.absorb(
                &json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "a".repeat(1000)}}]}),
            );
        }
        assert!((9000..10_000).contains(&calls.len()), "{}", calls.len());
        calls.absorb(&json!({"tool_calls": vec![json!({"function": {"name": "g"}}); 1000]}));
        assert!(calls.len() > 20_000, "calls without arguments take room too: {}", calls.len());
    }

    #[test]
    fn an_enormous_number_costs_nothing() {
        let pieces = [json!({"index": u64::MAX, "id": "x", "function": {"name": "f", "arguments": "{}"}})];
        assert_eq!(read(&pieces), [("f".into(), "{}".into())]);
    }

    #[test]
    fn the_older_function_call_is_read_too() {
        let mut calls = ToolCalls::default();
        assert!(calls.absorb(&json!({"function_call": {"name": "f", "arguments": "{}"}})));
        assert!(!calls.absorb(&json!({"tool_calls": null, "function_call": null})));
        assert_eq!(calls.finish().len(), 1);
    }
}
