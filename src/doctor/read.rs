//! Reading answers: what is visible of one, how long it thought, and where two texts part.

use serde_json::Value;

use crate::attempt::Answer;
use crate::signal::thought;

/// Characters below which the sameness of two answers says nothing.
pub(super) const TELLING: usize = 12;

/// Characters that a token has about as many of.
const CHARACTERS_A_TOKEN: u64 = 4;

/// Tokens beyond its text that an answer may be counted with before a thought must be behind it.
const UNSEEN_TOKENS: u64 = 16;

/// What an answer thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thought {
    /// Its tokens, about.
    pub tokens: u64,
    /// Whether an answer came after it.
    pub complete: bool,
}

/// The answer without its thought.
pub(super) fn visible<'a>(answer: &'a Answer, marks: &[[String; 2]]) -> &'a str {
    thought::split(&answer.text, marks).content
}

/// Thought and answer in one text, by which two answers are compared.
pub(super) fn said(answer: &Answer) -> String {
    answer.reasoning.clone().unwrap_or_default() + &answer.text
}

/// The thought of an answer, by the host's count, by what stands there, or by tokens that nothing visible accounts for.
pub(super) fn thought_of(answer: &Answer, marks: &[[String; 2]]) -> Option<Thought> {
    let parts = thought::split(&answer.text, marks);
    let calls: usize = answer.tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
    let shown = (parts.content.trim().chars().count() + calls) as u64;
    let complete = shown > 0;
    let usage = answer.usage.unwrap_or_default();
    if let Some(tokens) = usage.reasoning_tokens.filter(|tokens| *tokens > 0) {
        return Some(Thought { tokens, complete });
    }
    let text = answer.reasoning.as_deref().or(parts.thought).map(str::trim).filter(|text| !text.is_empty());
    if let Some(text) = text {
        let length = text.chars().count() as u64;
        let estimate = length.div_ceil(CHARACTERS_A_TOKEN);
        let share = |completion: u64| (completion * length).checked_div(length + shown).unwrap_or(0).max(1);
        return Some(Thought { tokens: usage.completion_tokens.map_or(estimate, share), complete });
    }
    // No token is shorter than a character.
    let unseen = usage.completion_tokens.filter(|completion| *completion > shown + UNSEEN_TOKENS)?;
    Some(Thought { tokens: unseen - shown / CHARACTERS_A_TOKEN, complete })
}

/// Characters that two texts begin with alike.
pub(super) fn common(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// Whether one of two texts is the beginning of the other.
pub(super) fn agree(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end(), b.trim_end());
    a.starts_with(b) || b.starts_with(a)
}

/// A stop sequence that answers such as this have, though not at their beginning: the commonest word if it comes three times, or
/// else the commonest letter.
pub(super) fn stop_of(text: &str) -> Option<String> {
    let is_first = |piece: &str| text.trim_start().starts_with(piece);
    let words = text.split_whitespace().filter(|w| w.len() > 1 && w.chars().all(|c| c.is_ascii_alphabetic()));
    let letters = text.char_indices().filter(|(_, c)| c.is_ascii_lowercase()).map(|(at, _)| &text[at..=at]);
    let commonest = |pieces: &mut dyn Iterator<Item = &str>, least: usize| {
        let mut pieces: Vec<&str> = pieces.filter(|piece| !is_first(piece)).collect();
        pieces.sort_unstable();
        let runs = pieces.chunk_by(|a, b| a == b).map(|run| (run.len(), run[0]));
        runs.filter(|(count, _)| *count >= least).max_by_key(|(count, _)| *count).map(|(_, piece)| piece.to_owned())
    };
    commonest(&mut words.into_iter(), 3).or_else(|| commonest(&mut letters.into_iter(), 2))
}

/// The number of different choices in a body as received, a document or a stream; `None` where it can be read as neither.
pub(super) fn choices(raw: &str) -> Option<usize> {
    let events = || {
        let events = raw.lines().filter_map(|line| line.trim_start_matches('\u{feff}').strip_prefix("data:"));
        events.filter_map(|event| serde_json::from_str(event.trim()).ok()).collect()
    };
    let whole = serde_json::from_str(raw.trim_start_matches('\u{feff}')).ok();
    let documents: Vec<Value> = whole.map_or_else(events, |whole| vec![whole]);
    let listed = documents.iter().filter_map(|document| document.get("choices")?.as_array());
    let mut indexes: Vec<u64> = Vec::new();
    for choices in listed {
        let places = choices.iter().zip(0..);
        indexes.extend(places.map(|(choice, at)| choice.get("index").and_then(Value::as_u64).unwrap_or(at)));
    }
    indexes.sort_unstable();
    indexes.dedup();
    (!indexes.is_empty()).then_some(indexes.len())
}

/// Whether a body as received is a stream of events.
pub(super) fn is_stream(raw: &str) -> bool {
    !raw.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '['])
}
