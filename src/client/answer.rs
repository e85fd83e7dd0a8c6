//! Answers: from JSON, whole or in the pieces of a stream, to an [`Answer`] or a [`Failure`].
//!
//! Layer 3, pure. Hosts are read tolerantly, and nothing is ever written in: an absent finish reason stays absent, an
//! unknown one is kept as it came, and what cannot be told apart from a cut is not an answer.

use serde_json::Value;

use super::fault::{HostError, failure, within_answer};
use super::sse;
use super::toolcall::ToolCalls;
use crate::attempt::{Answer, Failure, FailureKind};
use crate::sample::Usage;

/// What one event of a stream brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A piece of the answer: text, reasoning or a tool call.
    Piece,
    /// Something else, such as a role, a finish reason or token counts.
    Nothing,
    /// `[DONE]`: the stream is over.
    Done,
}

/// An answer under construction.
#[derive(Debug, Default)]
pub struct Assembly {
    slow_down: Vec<u16>,
    answer: Answer,
    reasoning: String,
    refusal: String,
    tool_calls: ToolCalls,
    seen_choice: bool,
    done: bool,
}

/// Reads a whole body.
///
/// # Errors
///
/// With the host's own error under HTTP 200, with what a content filter withheld, and with what is no chat completion.
pub fn whole(body: &[u8], slow_down: &[u16]) -> Result<Answer, Failure> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let value = serde_json::from_slice(body).map_err(|error| malformed(&format!("the body is not JSON: {error}")))?;
    let mut assembly = Assembly::new(slow_down);
    assembly.absorb(&value)?;
    assembly.done = true;
    assembly.finish()
}

impl Assembly {
    /// Nothing yet. `slow_down` lists the statuses that mean it beside 429.
    pub fn new(slow_down: &[u16]) -> Self {
        Self { slow_down: slow_down.to_vec(), ..Self::default() }
    }

    /// Takes one event of a stream.
    ///
    /// # Errors
    ///
    /// With the host's own error within the stream, and with what is no JSON.
    pub fn event(&mut self, event: &sse::Event) -> Result<Progress, Failure> {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            self.done = true;
            return Ok(Progress::Done);
        }
        if data.is_empty() {
            return Ok(Progress::Nothing);
        }
        match serde_json::from_slice(data) {
            Ok(value) => self.absorb(&value),
            Err(_) if event.name == "error" => {
                let message = String::from_utf8_lossy(data).into_owned();
                Err(within_answer(&HostError { message, ..HostError::default() }, &self.slow_down))
            }
            Err(error) => Err(malformed(&format!("an event of the stream is not JSON: {error}"))),
        }
    }

    /// Takes the end of a stream, and what it left of an event. Such a rest is used when it is whole, for hosts that
    /// leave out the last blank line, and otherwise was cut.
    ///
    /// # Errors
    ///
    /// As [`Assembly::finish`] and, for a host's error in the rest, as [`Assembly::event`].
    pub fn end(mut self, ending: &sse::Ending) -> Result<Answer, Failure> {
        if let sse::Ending::Within(rest) = ending {
            match self.event(rest) {
                Err(cut) if cut.kind == FailureKind::Malformed => {}
                other => drop(other?),
            }
        }
        self.finish()
    }

    /// Whether the host has said that the answer is over, so that nothing is lost if the connection now breaks.
    pub fn is_complete(&self) -> bool {
        self.done || self.answer.finish_reason.is_some()
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// `CutStream` without a finish reason and without `[DONE]`; `Filtered` when a filter withheld the answer;
    /// `Server` when the finish reason is `error`; `Malformed` when there never was a choice.
    pub fn finish(mut self) -> Result<Answer, Failure> {
        let length = self.answer.text.chars().count();
        if !self.is_complete() {
            let message = format!("the stream ended after {length} characters, with neither finish reason nor [DONE]");
            return Err(failure(FailureKind::CutStream, message));
        }
        if !self.seen_choice {
            return Err(malformed("the answer holds no choice"));
        }
        self.answer.tool_calls = self.tool_calls.finish();
        self.answer.reasoning = (!self.reasoning.is_empty()).then_some(self.reasoning);
        match self.answer.finish_reason.as_deref() {
            Some("content_filter") => {
                let message = format!("the content filter cut the answer after {length} characters");
                Err(failure(FailureKind::Filtered, message))
            }
            Some("error") => Err(failure(FailureKind::Server, "the host ended the answer with finish reason `error`")),
            _ if self.answer.text.is_empty() && !self.refusal.is_empty() => {
                Err(failure(FailureKind::Filtered, format!("the host refused: {}", self.refusal)))
            }
            _ => Ok(self.answer),
        }
    }

    fn absorb(&mut self, value: &Value) -> Result<Progress, Failure> {
        if let Some(error) = HostError::read(value) {
            return Err(within_answer(&error, &self.slow_down));
        }
        if !value.is_object() {
            return Err(malformed("the answer is not a JSON object"));
        }
        self.metadata(value);
        let choice = value.get("choices").and_then(Value::as_array).and_then(|choices| {
            // Only one answer is asked for; a host that sends more is read by its first.
            choices.iter().find(|choice| matches!(choice.get("index").and_then(Value::as_u64), None | Some(0)))
        });
        self.usage(value, choice);
        let Some(choice) = choice.filter(|choice| choice.is_object()) else { return Ok(Progress::Nothing) };
        if choice.get("error").is_some_and(|error| !error.is_null())
            && let Some(error) = HostError::read(choice)
        {
            return Err(within_answer(&error, &self.slow_down));
        }
        Ok(self.choice(choice))
    }

    fn metadata(&mut self, value: &Value) {
        let first = |slot: &mut Option<String>, field: Option<&Value>| {
            if slot.is_none() {
                *slot = field.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
            }
        };
        first(&mut self.answer.response_model, value.get("model"));
        first(&mut self.answer.system_fingerprint, value.get("system_fingerprint"));
        first(&mut self.answer.response_id, value.get("id"));
        let provider = value.get("provider");
        first(&mut self.answer.provider, provider.and_then(|field| field.get("name")).or(provider));
    }

    /// Token counts: at the top, in Groq's own field, or beside the choice. The last ones that came hold.
    fn usage(&mut self, value: &Value, choice: Option<&Value>) {
        let places =
            [value.get("usage"), value.pointer("/x_groq/usage"), choice.and_then(|choice| choice.get("usage"))];
        if let Some(usage) = places.into_iter().flatten().find_map(read_usage) {
            self.answer.usage = Some(usage);
        }
    }

    fn choice(&mut self, choice: &Value) -> Progress {
        self.seen_choice = true;
        // Some hosts send an empty reason while the answer goes on; that says nothing.
        let reason = choice.get("finish_reason").filter(|reason| !reason.is_null() && reason.as_str() != Some(""));
        if let Some(reason) = reason {
            self.answer.finish_reason = Some(reason.as_str().map_or_else(|| reason.to_string(), str::to_owned));
        }
        if let Some(logprobs) = choice.get("logprobs").filter(|logprobs| !logprobs.is_null()) {
            join(self.answer.logprobs.get_or_insert(Value::Null), logprobs);
        }
        let Some(part) = ["delta", "message"].iter().find_map(|name| choice.get(name).filter(|part| part.is_object()))
        else {
            return Progress::Nothing;
        };
        let before = self.answer.text.len() + self.reasoning.len() + self.refusal.len();
        self.content(part.get("content"));
        for name in ["reasoning", "reasoning_content"] {
            // Hosts that send both fields send the same in both.
            if let Some(text) = part.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()) {
                self.reasoning.push_str(text);
                break;
            }
        }
        self.refusal.push_str(part.get("refusal").and_then(Value::as_str).unwrap_or_default());
        let called = self.tool_calls.absorb(part);
        let after = self.answer.text.len() + self.reasoning.len() + self.refusal.len();
        if called || after > before { Progress::Piece } else { Progress::Nothing }
    }

    fn content(&mut self, content: Option<&Value>) {
        match content {
            Some(Value::String(text)) => self.answer.text.push_str(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.part(part)),
            _ => {}
        }
    }

    fn part(&mut self, part: &Value) {
        if let Some(text) = part.as_str().or_else(|| part.get("text").and_then(Value::as_str)) {
            self.answer.text.push_str(text);
        }
        match part.get("thinking") {
            Some(Value::String(text)) => self.reasoning.push_str(text),
            Some(Value::Array(pieces)) => {
                let texts = pieces.iter().filter_map(|piece| piece.get("text").and_then(Value::as_str));
                texts.for_each(|text| self.reasoning.push_str(text));
            }
            _ => {}
        }
    }
}

fn malformed(message: &str) -> Failure {
    failure(FailureKind::Malformed, message)
}

fn read_usage(value: &Value) -> Option<Usage> {
    let count = |name| {
        let field = value.get(name)?;
        let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64);
        field.as_u64().or_else(|| field.as_f64().and_then(whole))
    };
    let usage = Usage { prompt_tokens: count("prompt_tokens"), completion_tokens: count("completion_tokens") };
    (usage != Usage::default()).then_some(usage)
}

/// Joins a piece of log-probabilities to those before it: lists are appended to, fields joined by name, and anything
/// else replaced.
fn join(whole: &mut Value, piece: &Value) {
    match (whole, piece) {
        (Value::Array(whole), Value::Array(piece)) => whole.extend(piece.iter().cloned()),
        (Value::Object(whole), Value::Object(piece)) => {
            for (name, value) in piece {
                join(whole.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (whole @ Value::Null, piece) => *whole = piece.clone(),
        (_, Value::Null) => {}
        (whole, piece) => *whole = piece.clone(),
    }
}

#[cfg(test)]
mod tests;
