//! Answers: from JSON, whole or in the pieces of a stream, to an [`Answer`] or a [`Failure`].
//!
//! Layer 3, pure. Hosts are read tolerantly, and nothing is ever written in: an absent finish reason stays absent, an
//! unknown one is kept as it came, and what cannot be told apart from a cut is not an answer.

use serde_json::Value;

use super::fault::{self, HostError, failure, within_answer};
use super::lenient::{self, join_halves};
use super::sse;
use super::toolcall::ToolCalls;
use crate::attempt::{Answer, Failure, FailureKind};
use crate::sample::Usage;
use crate::signal::finish::Ended;

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

/// What becomes of log-probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Logprobs {
    /// They are part of the answer.
    #[default]
    Kept,
    /// They are passed over, since nobody asked for them: they are many times as large as the text.
    Dropped,
}

/// An answer under construction.
#[derive(Debug, Default)]
pub struct Assembly {
    slow_down: Vec<u16>,
    answer: Answer,
    content: Channel,
    reasoning: Channel,
    refusal: Channel,
    tool_calls: ToolCalls,
    logprobs: Logprobs,
    seen_delta: bool,
    seen_choice: bool,
    done: bool,
}

/// Reads a whole body into an assembly that holds nothing yet.
///
/// # Errors
///
/// With the host's own error under HTTP 200, with what a content filter withheld, and with what is no chat completion.
pub fn whole(body: &[u8], mut assembly: Assembly) -> Result<Answer, Failure> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let value = lenient::parse(body).map_err(|error| malformed(&format!("the body is not JSON: {error}")))?;
    assembly.absorb(&value)?;
    assembly.done = true;
    assembly.finish()
}

impl Assembly {
    /// Nothing yet. `slow_down` lists the statuses that mean it beside 429.
    pub fn new(slow_down: &[u16]) -> Self {
        Self { slow_down: slow_down.to_vec(), ..Self::default() }
    }

    /// The same, with this becoming of log-probabilities.
    #[must_use]
    pub fn with_logprobs(self, logprobs: Logprobs) -> Self {
        Self { logprobs, ..self }
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
        if data.is_empty() || is_heartbeat(data) {
            return Ok(Progress::Nothing);
        }
        let host_error = |value: Option<&Value>| {
            let said = || HostError { message: String::from_utf8_lossy(data).into_owned(), ..HostError::default() };
            within_answer(&value.and_then(HostError::read).unwrap_or_else(said), &self.slow_down)
        };
        match lenient::parse(data) {
            Ok(value) if event.name == "error" => Err(host_error(Some(&value))),
            Ok(Value::Null | Value::Bool(_) | Value::Number(_)) => Ok(Progress::Nothing),
            Ok(value) => self.absorb(&value),
            Err(_) if event.name == "error" => Err(host_error(None)),
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
    /// `Server` when the finish reason says that it was broken off; `Malformed` when there never was a choice; `Blank` when nothing was generated.
    pub fn finish(mut self) -> Result<Answer, Failure> {
        self.answer.text = join_halves(self.content.finish());
        let (reasoning, refusal) = (join_halves(self.reasoning.finish()), self.refusal.finish());
        let length = self.answer.text.chars().count();
        if !(self.done || self.answer.finish_reason.is_some()) {
            let message = format!("the stream ended after {length} characters, with neither finish reason nor [DONE]");
            return Err(failure(FailureKind::CutStream, message));
        }
        if !self.seen_choice {
            return Err(malformed("the answer holds no choice"));
        }
        self.answer.tool_calls = self.tool_calls.finish();
        self.answer.reasoning = (!reasoning.is_empty()).then_some(reasoning);
        match self.answer.finish_reason.as_deref() {
            Some("content_filter") => {
                let message = format!("the content filter cut the answer after {length} characters");
                Err(failure(FailureKind::Filtered, message))
            }
            Some(reason) if Ended::read(Some(reason)) == Ended::Interrupted => {
                let reason = fault::one_line(reason);
                let message = format!("the host broke off after {length} characters, with finish reason `{reason}`");
                Err(failure(FailureKind::Server, message))
            }
            _ if self.answer.text.is_empty() && !refusal.is_empty() => {
                Err(failure(FailureKind::Filtered, format!("the host refused: {refusal}")))
            }
            _ if is_nothing(&self.answer) => {
                Err(failure(FailureKind::Blank, "the answer holds nothing: no content, no call, and no token counted"))
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
            // SGLang sends an object with the reason as its type.
            let word = reason.as_str().or_else(|| reason.get("type").and_then(Value::as_str));
            self.answer.finish_reason = Some(word.map_or_else(|| reason.to_string(), str::to_owned));
        }
        let logprobs = choice.get("logprobs").filter(|logprobs| !logprobs.is_null());
        if let Some(logprobs) = logprobs.filter(|_| self.logprobs == Logprobs::Kept) {
            join(self.answer.logprobs.get_or_insert(Value::Null), logprobs);
        }
        let part = |name| choice.get(name).filter(|part| part.is_object());
        let before = self.length();
        let mut called = false;
        if let Some(delta) = part("delta") {
            called |= self.delta(delta);
            self.seen_delta |= called || self.length() > before;
        }
        match part("message") {
            Some(message) if self.seen_delta => called |= self.message_behind_deltas(message),
            Some(message) => called |= self.delta(message),
            None => {}
        }
        if called || self.length() > before { Progress::Piece } else { Progress::Nothing }
    }

    /// Bytes of text so far.
    pub fn length(&self) -> usize {
        self.content.text.len() + self.reasoning.text.len() + self.refusal.text.len()
    }

    /// Takes the next piece; whether it brought one of a tool call.
    fn delta(&mut self, part: &Value) -> bool {
        let Piece { content, reasoning } = Piece::read(part);
        self.content.push(&content);
        self.reasoning.push(&reasoning);
        self.refusal.push(part.get("refusal").and_then(Value::as_str).unwrap_or_default());
        self.tool_calls.absorb(part)
    }

    /// Takes a message that follows pieces: hosts close a stream with the whole answer once more, so only what the pieces left out
    /// is new in it.
    fn message_behind_deltas(&mut self, part: &Value) -> bool {
        let Piece { content, reasoning } = Piece::read(part);
        self.content.complete(content);
        self.reasoning.complete(reasoning);
        self.tool_calls.is_empty() && self.tool_calls.absorb(part)
    }
}

/// Whether an event's data is a single word, by which some hosts keep a connection open, rather than JSON.
fn is_heartbeat(data: &[u8]) -> bool {
    let quoted = data.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let word = quoted.unwrap_or(data);
    let fits = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b':' | b'.');
    // `null` and its like are JSON and say nothing either.
    !word.is_empty() && word.len() <= LONGEST_HEARTBEAT && word.iter().all(fits)
}

/// Longer words than this, in bytes, are no heartbeat.
const LONGEST_HEARTBEAT: usize = 32;

/// Whether nothing was generated at all: what ends so at a cap was generated and is not shown.
fn is_nothing(answer: &Answer) -> bool {
    let Answer { text, reasoning, tool_calls, usage, finish_reason, .. } = answer;
    let generated = match usage.and_then(|usage| usage.completion_tokens) {
        Some(tokens) => tokens > 0,
        None => Ended::read(finish_reason.as_deref()) == Ended::AtCap,
    };
    text.is_empty() && reasoning.is_none() && tool_calls.is_empty() && !generated
}

/// One text of an answer, from the pieces in which it came.
#[derive(Debug, Default)]
struct Channel {
    text: String,
    /// Where each piece begins.
    pieces: Vec<usize>,
}

/// From this length on, in bytes, and this many pieces, a piece that equals all before it is the whole answer sent again.
const WHOLE_AGAIN: (usize, usize) = (16, 3);

/// From this many pieces on, each of which begins with the one before and is longer, pieces hold all that came so far.
const GROWING: usize = 4;

impl Channel {
    fn push(&mut self, piece: &str) {
        let (long, often) = WHOLE_AGAIN;
        let again = self.text == piece && piece.len() >= long && self.pieces.len() >= often;
        if !piece.is_empty() && !again {
            self.pieces.push(self.text.len());
            self.text.push_str(piece);
        }
    }

    /// Takes a whole text, where it goes on from what has come.
    fn complete(&mut self, whole: String) {
        if whole.starts_with(&self.text) {
            self.text = whole;
            self.pieces.clear();
        }
    }

    /// The text.
    fn finish(mut self) -> String {
        let ends = self.pieces.iter().skip(1).copied().chain([self.text.len()]);
        let pieces: Vec<&str> = self.pieces.iter().zip(ends).map(|(&start, end)| &self.text[start..end]).collect();
        let grows = |pair: &[&str]| pair[1].len() > pair[0].len() && pair[1].starts_with(pair[0]);
        match self.pieces.last() {
            Some(&last) if pieces.len() >= GROWING && pieces.windows(2).all(grows) => self.text.split_off(last),
            _ => self.text,
        }
    }
}

/// The texts of one piece.
#[derive(Default)]
struct Piece {
    content: String,
    reasoning: String,
}

/// Fields that hold thoughts as text. Hosts that send several send the same in each.
const THOUGHTS: [&str; 4] = ["reasoning", "reasoning_content", "reasoning_text", "thinking"];

impl Piece {
    fn read(part: &Value) -> Self {
        let mut out = Self::default();
        match part.get("content") {
            Some(Value::String(text)) => out.content.push_str(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| out.part(part)),
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

fn malformed(message: &str) -> Failure {
    failure(FailureKind::Malformed, message)
}

fn read_usage(value: &Value) -> Option<Usage> {
    let count = |place: &Value, name| {
        let field = place.get(name)?;
        let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64);
        field.as_u64().or_else(|| field.as_f64().and_then(whole))
    };
    let details = ["completion_tokens_details", "output_tokens_details"].iter().find_map(|name| value.get(name));
    let usage = Usage {
        prompt_tokens: count(value, "prompt_tokens"),
        completion_tokens: count(value, "completion_tokens"),
        reasoning_tokens: details.into_iter().chain([value]).find_map(|place| count(place, "reasoning_tokens")),
    };
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
