//! What makes no sense in a probe that is well formed.
//!
//! Pure. Each rule gives the first problem at the place of the item that has it; the caller knows which file it is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::{Located, Problem};
use super::{Cap, Check, Message, Parameters, Role, Tool};
use crate::sample::Asking;

/// A part of a probe and where it stands in the file.
pub(super) struct Placed<T> {
    pub(super) offset: usize,
    pub(super) item: T,
}

/// A conversation says something in each message, keeps tool calls and their results together, and ends with a question.
pub(super) fn conversation(messages: &[Placed<Message>]) -> Result<(), Located> {
    let mut calls = BTreeSet::new();
    for Placed { offset, item } in messages {
        message(item, &calls).map_err(|problem| problem.at(*offset))?;
        calls.extend(item.tool_calls.iter().map(|call| call.id.as_str()));
    }
    let last = messages.last().ok_or_else(|| Problem::NoMessage.at(0))?;
    match last.item.role {
        Role::User | Role::Tool => Ok(()),
        Role::System => Err(Problem::NothingAsked("system message").at(last.offset)),
        Role::Assistant => Err(Problem::NothingAsked("assistant's own answer").at(last.offset)),
    }
}

fn message(message: &Message, calls: &BTreeSet<&str>) -> Result<(), Problem> {
    if message.content.trim().is_empty() && message.tool_calls.is_empty() {
        return Err(Problem::EmptyContent);
    }
    let owned = [
        (message.images.is_empty(), "images", Role::User, "user"),
        (message.tool_calls.is_empty(), "tool_calls", Role::Assistant, "assistant"),
        (message.tool_call_id.is_none(), "tool_call_id", Role::Tool, "tool"),
    ];
    for (absent, field, owner, role) in owned {
        if !absent && message.role != owner {
            return Err(Problem::WrongRole { field, role });
        }
    }
    if message.role == Role::Tool && !message.tool_call_id.as_deref().is_some_and(|id| calls.contains(id)) {
        return Err(Problem::UnknownCall);
    }
    for call in &message.tool_calls {
        tool_name(&call.name)?;
        if !matches!(serde_json::from_str(&call.arguments), Ok(Value::Object(_))) {
            return Err(Problem::Arguments(call.name.clone()));
        }
    }
    Ok(())
}

/// Tools have names that hosts take, each its own, and parameters that are a schema.
pub(super) fn tools(tools: &[Placed<Tool>]) -> Result<(), Located> {
    let mut names = BTreeSet::new();
    for Placed { offset, item } in tools {
        tool_name(&item.name).map_err(|problem| problem.at(*offset))?;
        if !names.insert(&item.name) {
            return Err(Problem::DuplicateTool(item.name.clone()).at(*offset));
        }
        schema("parameters", &item.parameters).map_err(|problem| problem.at(*offset))?;
    }
    Ok(())
}

fn tool_name(name: &str) -> Result<(), Problem> {
    let sane = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if sane { Ok(()) } else { Err(Problem::ToolName(name.to_owned())) }
}

/// Parameters lie in the ranges that hosts take, and the temperature does not contradict the kind of asking.
pub(super) fn parameters(asking: Asking, parameters: &Parameters) -> Result<(), Problem> {
    match (asking, parameters.temperature) {
        (Asking::Greedy, Some(_)) => return Err(Problem::GreedyTemperature),
        (Asking::Sampled, Some(temperature)) if !(temperature > 0.0 && temperature <= 2.0) => {
            let wanted = "above 0 and at most 2 (for 0, set `asking = \"greedy\"`)";
            return Err(Problem::Range { name: "temperature", value: temperature.to_string(), wanted });
        }
        _ => {}
    }
    if parameters.max_tokens == Some(Cap::Tokens(0)) {
        return Err(Problem::Range { name: "max_tokens", value: "0".into(), wanted: "at least 1" });
    }
    if let Some(top_p) = parameters.top_p.filter(|top_p| !(*top_p > 0.0 && *top_p <= 1.0)) {
        return Err(Problem::Range { name: "top_p", value: top_p.to_string(), wanted: "above 0 and at most 1" });
    }
    if parameters.stop.iter().any(String::is_empty) {
        return Err(Problem::EmptyStop);
    }
    if parameters.reasoning_effort.as_deref().is_some_and(|effort| effort.trim().is_empty()) {
        return Err(Problem::EmptyEffort);
    }
    Ok(())
}

/// A check can be used, and is neither always nor never true for want of a condition.
pub(super) fn check(check: &Check) -> Result<(), Problem> {
    match check {
        Check::Exact(text) if text.trim().is_empty() => Err(Problem::EmptyCheck("exact")),
        Check::Contains(text) if text.is_empty() => Err(Problem::EmptyCheck("contains")),
        Check::Regex(pattern) if pattern.is_empty() => Err(Problem::EmptyCheck("regex")),
        Check::OneOf(texts) if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) => {
            Err(Problem::EmptyCheck("one_of"))
        }
        Check::Regex(pattern) => {
            regex::Regex::new(pattern).map(drop).map_err(|error| Problem::Regex(one_line(&error.to_string())))
        }
        Check::JsonSchema(value) => schema("json_schema", value),
        Check::Exact(_) | Check::Contains(_) | Check::OneOf(_) => Ok(()),
    }
}

/// A value is a JSON Schema that needs nothing from elsewhere.
pub(super) fn schema(name: &'static str, value: &Value) -> Result<(), Problem> {
    jsonschema::validator_for(value)
        .map(drop)
        .map_err(|error| Problem::Schema { name, reason: one_line(&error.to_string()) })
}

/// Some libraries draw their errors over several lines; a message of ours is one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
