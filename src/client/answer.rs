//! Answers: from JSON, whole or in the pieces of a stream, to an [`Answer`] or a [`Failure`].
//!
//! Layer 3, pure. Hosts are read tolerantly, and nothing is ever written in: an absent finish reason stays absent, an
//! unknown one is kept as it came, and what cannot be told apart from a cut is not an answer. Texts are put together
//! by `channel` from what `piece` finds in each chunk, and `notice` reads what is no chunk.

mod channel;
mod notice;
mod piece;

use serde_json::Value;

use channel::Channel;
use notice::Notice;
use piece::Piece;

use super::fault::{self, HostError, failure, within_answer};
use super::lenient::{self, join_halves};
use super::sse;
use super::toolcall::ToolCalls;
use crate::attempt::{Answer, Failure, FailureKind};
use crate::plural::count;
use crate::sample::Usage;
use crate::signal::finish::{Ended, is_filtered};

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
    /// Bytes of log-probabilities that are kept, about.
    logprobs_length: usize,
    seen_delta: bool,
    /// The number of the choice that is read, once there was one.
    index: Option<u64>,
    /// What a host said that may be why nothing came after it.
    remark: Option<HostError>,
    /// A field beside the finish reason that says, whatever that one says, that the answer is not whole.
    broken: Option<(&'static str, String)>,
    done: bool,
}

/// Reads a whole body into an assembly that holds nothing yet.
///
/// # Errors
///
/// With the host's own error under HTTP 200, with what a content filter withheld, and with what is no chat completion.
pub fn whole(body: &[u8], mut assembly: Assembly) -> Result<Answer, Failure> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let value = match lenient::parse(body) {
        Ok(value) => value,
        Err(error) => {
            return in_lines(body, assembly).unwrap_or_else(|| Err(not_json(body, &error)));
        }
    };
    if !has_choices(&value)
        && let Some(error) = HostError::read(&value)
    {
        return Err(assembly.failed(&error));
    }
    if !value.is_object() {
        return Err(malformed("the answer is not a JSON object"));
    }
    assembly.chunk(&value)?;
    assembly.done = true;
    assembly.finish()
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Failure {
    // Words say more than where they are no JSON.
    let is_words = body.trim_ascii_start().first().is_some_and(u8::is_ascii_alphabetic);
    let why = if is_words { fault::readable(body) } else { error.to_string() };
    malformed(&format!("the body is not JSON: {why}"))
}

/// Reads a body with a JSON document on each of its lines as a stream, if it can be read as one.
fn in_lines(body: &[u8], assembly: Assembly) -> Option<Result<Answer, Failure>> {
    let mut decoder = sse::Decoder::new(sse::Limits { line: body.len(), total: body.len() });
    let mut events = Vec::new();
    decoder.push(body, &mut events).ok()?;
    let (last, ending) = decoder.finish();
    events.extend(last);
    match in_events(&events, &ending, assembly) {
        Err(failed) if failed.kind == FailureKind::Malformed => None,
        // A single document that was cut is no stream.
        Err(failed) if failed.kind == FailureKind::CutStream && events.is_empty() => None,
        read => Some(read),
    }
}

fn in_events(events: &[sse::Event], ending: &sse::Ending, mut assembly: Assembly) -> Result<Answer, Failure> {
    for event in events {
        if assembly.event(event)? == Progress::Done {
            return assembly.finish();
        }
    }
    assembly.end(ending)
}

/// Whether JSON is a chunk or an answer: an error or a notice has no choices, or an empty list.
fn has_choices(value: &Value) -> bool {
    value.get("choices").and_then(Value::as_array).is_some_and(|choices| !choices.is_empty())
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
    /// With the host's own error within the stream, and with what is left of JSON that was cut.
    pub fn event(&mut self, event: &sse::Event) -> Result<Progress, Failure> {
        let data = event.data.trim_ascii();
        if event.is_error() && !self.is_over() {
            return Err(self.failed(&notice::named_error(data)));
        }
        if !data.starts_with(b"{") {
            return self.notice(if data == b"[DONE]" { Notice::Done } else { Notice::of_data(data) });
        }
        match lenient::parse(data) {
            Ok(value) if has_choices(&value) => self.chunk(&value),
            Ok(value) => {
                // A host's notice has a number of its own, which is not the answer's.
                if value.get("choices").is_some() {
                    self.metadata(&value);
                }
                self.usage(&value, None);
                self.notice(Notice::of_json(&value))
            }
            Err(_) if self.is_over() => Ok(Progress::Nothing),
            Err(error) => Err(malformed(&format!("an event of the stream is not JSON: {error}"))),
        }
    }

    fn notice(&mut self, notice: Notice) -> Result<Progress, Failure> {
        match notice {
            Notice::Done => {
                self.done = true;
                return Ok(Progress::Done);
            }
            // Whatever a host says behind a finished answer, the answer is there.
            _ if self.is_over() => {}
            Notice::Remark(said) => self.remark = Some(said),
            Notice::Trouble(error) => return Err(self.failed(&error)),
            Notice::Garbled => return Err(malformed("an event of the stream is not JSON")),
            Notice::Harmless => {}
        }
        Ok(Progress::Nothing)
    }

    /// Whether the host has given a reason for the end that leaves the answer whole.
    fn is_over(&self) -> bool {
        let reason = self.answer.finish_reason.as_deref();
        reason.is_some() && Ended::read(reason) != Ended::Interrupted
    }

    fn failed(&self, error: &HostError) -> Failure {
        within_answer(error, &self.slow_down)
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
    /// `CutStream` without a finish reason and without `[DONE]`; the host's own error where it left a remark instead
    /// of a finish reason; `Filtered` when a filter withheld the answer; `Server` when the finish reason, or a field beside
    /// it, says that it was broken off; `Malformed` when there never was a choice; `Blank` when nothing was generated.
    pub fn finish(mut self) -> Result<Answer, Failure> {
        self.answer.text = join_halves(self.content.finish());
        let (reasoning, refusal) = (join_halves(self.reasoning.finish()), self.refusal.finish());
        self.answer.reasoning = (!reasoning.is_empty()).then_some(reasoning);
        self.answer.tool_calls = self.tool_calls.finish();
        if let Some(remark) = self.remark.filter(|_| self.answer.finish_reason.is_none()) {
            return Err(within_answer(&remark, &self.slow_down));
        }
        if !(self.done || self.answer.finish_reason.is_some()) {
            let length = count(self.answer.text.chars().count(), "character");
            let message = format!("the stream ended after {length}, with neither finish reason nor [DONE]");
            return Err(failure(FailureKind::CutStream, message));
        }
        if self.index.is_none() {
            return Err(malformed("the answer holds no choice"));
        }
        let told = self.answer.finish_reason.as_deref().map(|reason| ("finish reason", reason));
        let broken = self.broken.as_ref().map(|(field, word)| (*field, word.as_str()));
        match withheld(&self.answer, told.into_iter().chain(broken), &refusal) {
            Some(failed) => Err(failed),
            None => Ok(self.answer),
        }
    }

    /// Takes a chunk of a stream, or a whole answer.
    fn chunk(&mut self, value: &Value) -> Result<Progress, Failure> {
        self.metadata(value);
        let choice = self.chosen(value);
        if !self.is_over()
            && let Some(error) = notice::error_beside(value, choice)
        {
            return Err(self.failed(&error));
        }
        self.usage(value, choice);
        self.broken = choice.and_then(|choice| broken_off(value, choice)).or(self.broken.take());
        Ok(choice.map_or(Progress::Nothing, |choice| self.choice(choice)))
    }

    /// The choice that is read. Only one answer is asked for; of a host that sends more the first is read, by the
    /// number that it came with first, which not all hosts count from 0.
    fn chosen<'a>(&mut self, value: &'a Value) -> Option<&'a Value> {
        let choices = value.get("choices")?.as_array()?;
        let numbered = |number: u64| choices.iter().find(|choice| number_of(choice).is_none_or(|own| own == number));
        let choice = match self.index {
            Some(number) => numbered(number),
            None => numbered(0).or_else(|| choices.first()),
        };
        let choice = choice.filter(|choice| choice.is_object())?;
        self.index = self.index.or_else(|| number_of(choice)).or(Some(0));
        Some(choice)
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

    /// Token counts: in a field of their own, in Groq's or Gemini's, beside the choice, or at the top. Of each count
    /// the last one that came holds.
    fn usage(&mut self, value: &Value, choice: Option<&Value>) {
        let of_choice = choice.and_then(|choice| choice.get("usage"));
        let own = [value.get("usage"), value.pointer("/x_groq/usage"), of_choice, value.get("usageMetadata")];
        if let Some(usage) = own.into_iter().chain([Some(value)]).flatten().find_map(read_usage) {
            let known = self.answer.usage.unwrap_or_default();
            self.answer.usage = Some(Usage {
                prompt_tokens: usage.prompt_tokens.or(known.prompt_tokens),
                completion_tokens: usage.completion_tokens.or(known.completion_tokens),
                reasoning_tokens: usage.reasoning_tokens.or(known.reasoning_tokens),
            });
        }
    }

    fn choice(&mut self, choice: &Value) -> Progress {
        self.remark = None;
        let ends = self.finish_reason(choice);
        let logprobs = choice.get("logprobs").filter(|logprobs| !logprobs.is_null());
        if let Some(logprobs) = logprobs.filter(|_| self.logprobs == Logprobs::Kept) {
            self.logprobs_length += size(logprobs);
            join(self.answer.logprobs.get_or_insert(Value::Null), logprobs);
        }
        let part = |name| choice.get(name).filter(|part| part.is_object());
        let before = self.length();
        let mut called = false;
        let (delta, message) = (part("delta"), part("message"));
        let text = choice.get("text").and_then(Value::as_str).unwrap_or_default();
        if let Some(delta) = delta {
            called |= self.delta(delta, ends);
            self.seen_delta |= called || self.length() > before;
        }
        match message {
            Some(message) if self.seen_delta => called |= self.message_behind_deltas(message),
            Some(message) => called |= self.delta(message, ends),
            // The form of completions that are no chat.
            None if delta.is_none() => push(&mut self.content, text, ends),
            None => {}
        }
        if called || self.length() > before { Progress::Piece } else { Progress::Nothing }
    }

    /// Takes the finish reason of a choice, and tells which piece of the answer it is.
    fn finish_reason(&mut self, choice: &Value) -> Position {
        // Some hosts send an empty reason while the answer goes on; that says nothing.
        let reason = choice.get("finish_reason").filter(|reason| !reason.is_null() && reason.as_str() != Some(""));
        let Some(reason) = reason else { return Position::Between };
        // SGLang sends an object with the reason as its type.
        let word = reason.as_str().or_else(|| reason.get("type").and_then(Value::as_str));
        self.answer.finish_reason = Some(word.map_or_else(|| reason.to_string(), str::to_owned));
        Position::Last
    }

    /// Bytes of it that are in memory, about.
    pub fn in_memory(&self) -> usize {
        self.length() + self.tool_calls.len() + self.logprobs_length
    }

    /// Bytes of text so far.
    fn length(&self) -> usize {
        self.content.len() + self.reasoning.len() + self.refusal.len()
    }

    /// Takes the next piece; whether it brought one of a tool call.
    fn delta(&mut self, part: &Value, position: Position) -> bool {
        let Piece { content, reasoning } = Piece::read(part);
        push(&mut self.content, &content, position);
        push(&mut self.reasoning, &reasoning, position);
        self.refusal.push(part.get("refusal").and_then(Value::as_str).unwrap_or_default());
        self.tool_calls.absorb(part)
    }

    /// Takes a message that follows pieces: hosts close a stream with the whole answer once more, so only what the
    /// pieces left out is new in it.
    fn message_behind_deltas(&mut self, part: &Value) -> bool {
        let Piece { content, reasoning } = Piece::read(part);
        self.content.complete(content);
        self.reasoning.complete(reasoning);
        self.tool_calls.is_empty() && self.tool_calls.absorb(part)
    }
}

/// Where a piece stands in its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Between,
    /// It came with the finish reason.
    Last,
}

fn push(channel: &mut Channel, piece: &str, position: Position) {
    match position {
        Position::Between => channel.push(piece),
        Position::Last => channel.push_last(piece),
    }
}

/// Fields beside the finish reason in which hosts say why an answer ended, in a choice or around it. Routers make `stop` of what the
/// host behind them broke off, and leave its own word there.
const BESIDE: [&str; 4] = ["native_finish_reason", "stop_reason", "done_reason", "status"];

/// The field and the word that say of a choice that its answer is not whole. A word is one: what stopped an answer may be any text,
/// and some hosts tell that in the same field.
fn broken_off(chunk: &Value, choice: &Value) -> Option<(&'static str, String)> {
    let is_broken = |word: &str| {
        let is_word = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        is_word && (is_filtered(word) || Ended::read(Some(word)) == Ended::Interrupted)
    };
    BESIDE.into_iter().find_map(|field| {
        let mut words = [choice, chunk].into_iter().filter_map(|place| place.get(field)?.as_str());
        words.find(|word| is_broken(word)).map(|word| (field, word.to_owned()))
    })
}

/// Why an answer that came to its end is none after all, by what its host says of its end, each in a field.
fn withheld<'a>(answer: &Answer, mut ends: impl Iterator<Item = (&'a str, &'a str)>, refusal: &str) -> Option<Failure> {
    let length = || count(answer.text.chars().count(), "character");
    let broken = |(field, word): (&str, &str)| {
        if is_filtered(word) {
            let message = format!("the content filter cut the answer after {}", length());
            return Some((FailureKind::Filtered, message));
        }
        (Ended::read(Some(word)) == Ended::Interrupted).then(|| {
            let word = fault::one_line(word);
            (FailureKind::Server, format!("the host broke off after {}, with {field} `{word}`", length()))
        })
    };
    if let Some((kind, message)) = ends.find_map(broken) {
        return Some(failure(kind, message));
    }
    if answer.text.is_empty() && !refusal.is_empty() {
        return Some(failure(FailureKind::Filtered, format!("the host refused: {refusal}")));
    }
    let blank = "the answer holds nothing: no content, no call, and no token counted";
    is_nothing(answer).then(|| failure(FailureKind::Blank, blank))
}

/// Whether nothing was generated at all: what ends so at a cap was generated and is not shown.
fn is_nothing(answer: &Answer) -> bool {
    let Answer { text, reasoning, tool_calls, usage, finish_reason, .. } = answer;
    let generated = match usage.and_then(|usage| usage.completion_tokens) {
        Some(tokens) => tokens > 0,
        None => Ended::read(finish_reason.as_deref()) == Ended::AtCap,
    };
    text.is_empty() && reasoning.is_none() && tool_calls.is_empty() && !generated
}

fn number_of(choice: &Value) -> Option<u64> {
    choice.get("index").and_then(Value::as_u64)
}

fn malformed(message: &str) -> Failure {
    failure(FailureKind::Malformed, message)
}

/// Names of the count of a prompt's tokens: OpenAI's, those of Anthropic and of the newer interface, those of clients
/// in other languages, Gemini's and Ollama's.
const PROMPT: [&str; 6] =
    ["prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "promptTokenCount", "prompt_eval_count"];

/// Names of the count of an answer's tokens.
const COMPLETION: [&str; 6] =
    ["completion_tokens", "output_tokens", "completionTokens", "outputTokens", "candidatesTokenCount", "eval_count"];

/// Names of the count of tokens of thinking, and of what it stands in where it does not stand beside the others.
const REASONING: [&str; 2] = ["reasoning_tokens", "reasoningTokens"];
const DETAILS: [&str; 4] =
    ["completion_tokens_details", "output_tokens_details", "completionTokensDetails", "outputTokensDetails"];

/// What Anthropic counts apart of a prompt, beside the tokens that a cache neither had nor took.
const OF_CACHE: [&str; 2] = ["cache_read_input_tokens", "cache_creation_input_tokens"];

fn read_usage(value: &Value) -> Option<Usage> {
    let details = DETAILS.iter().filter_map(|name| value.get(*name));
    let usage = Usage {
        prompt_tokens: prompt_tokens(value),
        completion_tokens: first_count(value, &COMPLETION),
        reasoning_tokens: details.chain([value]).find_map(|place| first_count(place, &REASONING)),
    };
    (usage != Usage::default()).then_some(usage)
}

fn prompt_tokens(value: &Value) -> Option<u64> {
    let counted = first_count(value, &PROMPT)?;
    let is_apart = value.get("prompt_tokens").is_none() && value.get("input_tokens").is_some();
    let of_cache = OF_CACHE.iter().filter(|_| is_apart).filter_map(|name| value.get(*name).and_then(count_of));
    Some(of_cache.fold(counted, u64::saturating_add))
}

/// The first count that there is under one of these names.
fn first_count(place: &Value, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| count_of(place.get(*name)?))
}

/// A count, in every form in which hosts write one: `12`, `12.0`, `"12"`.
fn count_of(field: &Value) -> Option<u64> {
    let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64);
    let written = || field.as_str()?.trim().parse::<f64>().ok();
    field.as_u64().or_else(|| field.as_f64().or_else(written).and_then(whole))
}

/// The bytes that a value takes in JSON, about.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(list) => list.iter().map(size).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>() + 2,
    }
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
