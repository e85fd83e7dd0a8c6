//! From what came back to findings on what the host does with each part of a request.
//!
//! A finding says `honoured` or `ignored` only where the answers show it; an honest host's numerical noise, a model's own choice and a
//! failure by chance are no evidence against it.

use serde_json::Value;

use super::examination::{Asked, Aspect, Examination, MOST_REQUESTS};
use super::facts;
use super::question::{CHOSEN_TOOL, Delivery, NATURAL_TOOL, Question, schema};
use super::read::{TELLING, agree, choices, common, is_stream, said, visible};
use super::seed::{self, Noise};
use super::{Feature, Finding, State};
use crate::attempt::{Answer, FailureKind};
use crate::config::MaxTokensField;
use crate::plural::count;
use crate::probe::Check;
use crate::sample::{Asking, ToolCall};
use crate::signal::finish::Ended;

/// One finding of each feature.
pub(super) fn findings(ex: &Examination<'_>) -> Vec<Finding> {
    Feature::ALL.iter().map(|feature| finding(ex, *feature)).collect()
}

fn finding(ex: &Examination<'_>, feature: Feature) -> Finding {
    // Where nothing is answered, no feature is to blame.
    if feature != Feature::Answers && !ex.has_any_answer() {
        return Finding::new(feature, State::Unknown, "nothing is answered");
    }
    match feature {
        Feature::Answers => facts::answers(ex),
        Feature::Model => facts::model(ex),
        Feature::Stream => stream(ex),
        Feature::Usage => facts::usage(ex),
        Feature::Tools => tools(ex),
        Feature::ToolChoice => tool_choice(ex),
        Feature::JsonSchema => json_schema(ex),
        Feature::Logprobs => logprobs(ex),
        Feature::Seed => seed(ex),
        Feature::Stop => stop(ex),
        Feature::N => n(ex),
        Feature::Cap => cap(ex),
        Feature::NoCap => no_cap(ex),
        Feature::Temperature0 => temperature_0(ex),
        Feature::SystemMessage => facts::system_message(ex),
        Feature::Thinking => facts::thinking(ex),
        Feature::TokenCounts => facts::token_counts(ex),
        Feature::Limits => facts::limits(ex),
    }
}

/// The finding on a feature whose question has no answer.
pub(super) fn unanswered(ex: &Examination<'_>, feature: Feature, question: Question) -> Finding {
    if !ex.has_any_answer() {
        return Finding::new(feature, State::Unknown, "nothing is answered");
    }
    if let Some(refusal) = ex.refusal(question) {
        let evidence = match ex.count(question) {
            1 => "the host refuses it by name".to_owned(),
            times => format!("refused {times} times, while other requests are answered"),
        };
        let words = Some(refusal.message.clone());
        return Finding { words, ..Finding::new(feature, State::Refused, evidence) };
    }
    match ex.failure(question) {
        Some(failure) => {
            let words = Some(failure.message.clone());
            let evidence = format!("the request failed: {}", failure.kind);
            Finding { words, ..Finding::new(feature, State::Unknown, evidence) }
        }
        None if ex.asked.last().and_then(Asked::failure).is_some_and(|f| f.kind == FailureKind::RateLimited) => {
            Finding::new(feature, State::Unknown, "not asked, since the host asks to wait for long")
        }
        None if ex.asked.len() >= MOST_REQUESTS => {
            Finding::new(feature, State::Unknown, format!("not asked: the {MOST_REQUESTS} requests were used up"))
        }
        None => Finding::new(feature, State::Unknown, "not asked, since nothing to ask it with was answered"),
    }
}

/// The words of the refusal after which something was written in another way, and then taken.
pub(super) fn remedied<'a>(ex: &'a Examination<'_>, aspect: Aspect) -> Option<&'a str> {
    ex.remedies.iter().find(|remedy| remedy.aspect == aspect).map(|remedy| remedy.words.as_str())
}

fn stream(ex: &Examination<'_>) -> Finding {
    let Some(asked) = ex.answered(Question::Streamed) else {
        return unanswered(ex, Feature::Stream, Question::Streamed);
    };
    if is_stream(&asked.attempt.raw) {
        return Finding::new(Feature::Stream, State::Honoured, "the answer came as a stream of events");
    }
    Finding::new(Feature::Stream, State::Ignored, "asked for a stream, the host answered in one piece")
}

/// A call to one of these tools with arguments that are an object.
fn is_sound(call: &ToolCall) -> bool {
    serde_json::from_str::<Value>(&call.arguments).is_ok_and(|arguments| arguments.is_object())
}

fn tools(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: &str| Finding::new(Feature::Tools, state, evidence);
    let Some(answer) = ex.answer(Question::Tools) else { return unanswered(ex, Feature::Tools, Question::Tools) };
    let calls = |answer: &Answer| {
        let offered = |call: &&ToolCall| [NATURAL_TOOL, CHOSEN_TOOL].contains(&call.name.as_str());
        answer.tool_calls.iter().find(offered).cloned()
    };
    if let Some(call) = calls(answer) {
        return if is_sound(&call) {
            found(State::Honoured, "the model called a tool that was offered, with arguments")
        } else {
            found(State::Unknown, "a tool was called, with arguments that are no JSON object")
        };
    }
    let chosen = ex.answer(Question::ToolChoice);
    if chosen.and_then(calls).is_some_and(|call| is_sound(&call)) {
        return found(State::Honoured, "the model called the tool that was chosen for it, and none by itself");
    }
    let in_text = |answer: &Answer| answer.text.contains(NATURAL_TOOL) || answer.text.contains(CHOSEN_TOOL);
    if in_text(answer) || chosen.is_some_and(in_text) {
        return found(State::Ignored, "a call stands in the text, and none where calls belong");
    }
    match chosen {
        Some(answer) if is_cut_in_thought(ex, answer) => {
            found(State::Unknown, "the cap ended the answer before a call")
        }
        Some(_) => found(State::Ignored, "no tool was called, not even the one that was chosen for the model"),
        None => found(State::Unknown, "the model called no tool, which may be its own choice"),
    }
}

/// Whether the cap ended an answer before anything but a thought.
fn is_cut_in_thought(ex: &Examination<'_>, answer: &Answer) -> bool {
    is_at_cap(answer) && visible(answer, &ex.subject.provider.dialect.thought_marks).trim().is_empty()
}

fn tool_choice(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: &str| Finding::new(Feature::ToolChoice, state, evidence);
    if let Some(refusal) = ex.refusal(Question::Tools) {
        let words = Some(refusal.message.clone());
        return Finding { words, ..found(State::Refused, "requests with tools are refused altogether") };
    }
    let Some(answer) = ex.answer(Question::ToolChoice) else {
        return unanswered(ex, Feature::ToolChoice, Question::ToolChoice);
    };
    let called = |name: &str| answer.tool_calls.iter().any(|call| call.name == name);
    if called(CHOSEN_TOOL) {
        found(State::Honoured, "the tool was called that was chosen, though it does not fit the question")
    } else if called(NATURAL_TOOL) {
        found(State::Ignored, "the tool was called that fits the question, not the one that was chosen")
    } else if answer.tool_calls.is_empty() && is_cut_in_thought(ex, answer) {
        found(State::Unknown, "the cap ended the answer before a call")
    } else if answer.tool_calls.is_empty() {
        found(State::Ignored, "no tool was called, though one was chosen")
    } else {
        found(State::Ignored, "a tool was called that was not offered")
    }
}

fn json_schema(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: &str| Finding::new(Feature::JsonSchema, state, evidence);
    let Some(answer) = ex.answer(Question::Schema) else {
        return unanswered(ex, Feature::JsonSchema, Question::Schema);
    };
    let text = visible(answer, &ex.subject.provider.dialect.thought_marks).trim();
    let follows = |text: &str| Check::JsonSchema(schema()).passes(text);
    let fenced = || text.trim_start_matches("```json").trim_matches('`').trim();
    if follows(text) {
        found(State::Honoured, "the answer follows the schema, of which the prompt says nothing")
    } else if text.is_empty() || (text.starts_with('{') && is_at_cap(answer)) {
        found(State::Unknown, "the cap ended the answer before it was whole")
    } else if follows(fenced()) {
        found(
            State::Unknown,
            "the answer follows the schema within a code block, so that the model may have been asked and not held",
        )
    } else {
        found(State::Ignored, "the answer does not follow the schema")
    }
}

fn is_at_cap(answer: &Answer) -> bool {
    Ended::read(answer.finish_reason.as_deref()) == Ended::AtCap
}

fn logprobs(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: &str| Finding::new(Feature::Logprobs, state, evidence);
    let Some(answer) = ex.answer(Question::Logprobs) else {
        return unanswered(ex, Feature::Logprobs, Question::Logprobs);
    };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => {
            fields.values().all(|field| field.is_null() || field.as_array().is_some_and(Vec::is_empty))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if answer.logprobs.as_ref().is_some_and(|logprobs| !is_empty(logprobs)) {
        found(State::Honoured, "log-probabilities came with the answer")
    } else if answer.text.trim().is_empty() {
        found(State::Unknown, "the answer has no text that could have any")
    } else {
        found(State::Ignored, "the answer came without log-probabilities")
    }
}

fn seed(ex: &Examination<'_>) -> Finding {
    let questions = [Question::Seeded, Question::SeededAgain, Question::OtherSeed, Question::OtherSeedAgain];
    if let Some(missing) = questions.into_iter().find(|question| ex.answer(*question).is_none()) {
        return unanswered(ex, Feature::Seed, missing);
    }
    let [one, again, other, other_again] = questions.map(|question| ex.answer(question).map(said).unwrap_or_default());
    let is_noisy = pairs(&greedy(ex)).any(|(a, b)| !agree(a, b));
    let noise = if is_noisy { Noise::Seen } else { Noise::Unseen };
    let (state, evidence) = seed::judge([&one, &again], [&other, &other_again], noise);
    Finding::new(Feature::Seed, state, evidence)
}

/// What was said to the one prompt at temperature 0.
fn greedy(ex: &Examination<'_>) -> Vec<String> {
    let asked = [Question::Whole, Question::Streamed, Question::Logprobs];
    let answered = asked.iter().filter_map(|question| ex.answered(*question));
    let greedy = answered.filter(|asked| asked.inquiry.probe.asking == Asking::Greedy);
    greedy.filter_map(Asked::answer).map(said).collect()
}

/// Each two of some texts.
fn pairs(texts: &[String]) -> impl Iterator<Item = (&String, &String)> {
    texts.iter().enumerate().flat_map(move |(i, a)| texts[i + 1..].iter().map(move |b| (a, b)))
}

fn stop(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::Stop, state, evidence);
    let Some(asked) = ex.answered(Question::Stop) else { return unanswered(ex, Feature::Stop, Question::Stop) };
    let (Some(answer), Some(word)) = (asked.answer(), asked.inquiry.probe.parameters.stop.first()) else {
        return unanswered(ex, Feature::Stop, Question::Stop);
    };
    let text = said(answer);
    let before = until(&text, word);
    let shown = until(visible(answer, &ex.subject.provider.dialect.thought_marks), word);
    if shown.contains(word.as_str()) {
        return found(State::Ignored, format!("the answer goes on past `{word}`"));
    }
    if before.contains(word.as_str()) {
        return found(State::Unknown, format!("only the thought before the answer has `{word}`, and may be meant to"));
    }
    let others = [Question::Whole, Question::Streamed, Question::Logprobs];
    let others: Vec<String> = others.iter().filter_map(|q| ex.answer(*q)).map(said).collect();
    let until_the_word = |other: &String| {
        let end = other.find(word.as_str()).unwrap_or(other.len());
        end < other.len() && other[..end].trim() == before.trim()
    };
    if others.iter().any(until_the_word) {
        return found(State::Honoured, format!("the answer ends before `{word}`, with which it goes on otherwise"));
    }
    let shortest = others.iter().map(|other| other.chars().count()).min().unwrap_or(0);
    let is_short = before.chars().count() * 2 < shortest && !is_at_cap(answer);
    if is_short && others.iter().all(|other| other.matches(word.as_str()).count() >= 2) {
        return found(
            State::Honoured,
            format!("the answer ends early and without `{word}`, which others have several times"),
        );
    }
    found(State::Unknown, format!("the answer does not have `{word}`, and would perhaps not have had it"))
}

/// What stands before a stop sequence, which some hosts leave at the end.
fn until<'a>(text: &'a str, word: &str) -> &'a str {
    let text = text.trim();
    text.strip_suffix(word).unwrap_or(text)
}

fn n(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: &str| Finding::new(Feature::N, state, evidence);
    let Some(asked) = ex.answered(Question::Choices) else { return unanswered(ex, Feature::N, Question::Choices) };
    match choices(&asked.attempt.raw) {
        Some(1) => found(State::Ignored, "asked for two answers, the host gave one"),
        Some(2) => found(State::Honoured, "asked for two answers, the host gave two"),
        Some(number) => found(State::Ignored, &format!("asked for two answers, the host gave {number}")),
        None => found(State::Unknown, "the number of answers cannot be read from the response"),
    }
}

/// Whether an answer has more words than its cap has tokens. Counts alone are not believed: hosts miscount.
fn is_over(asked: &Asked) -> bool {
    let (Some(cap), Some(answer)) = (asked.inquiry.cap(), asked.answer()) else { return false };
    said(answer).split_whitespace().count() > cap as usize
}

/// Whether an answer was ended by its cap, as far as can be seen.
fn is_capped(asked: &Asked) -> bool {
    let (Some(cap), Some(answer)) = (asked.inquiry.cap(), asked.answer()) else { return false };
    let counted = answer.usage.and_then(|usage| usage.completion_tokens);
    let most = u64::from(cap) * u64::from(asked.inquiry.choices());
    let is_full = answer.finish_reason.is_none() || Ended::read(answer.finish_reason.as_deref()) == Ended::Naturally;
    let is_within = !is_over(asked) && counted.is_none_or(|counted| counted <= most + 2);
    is_within && (is_at_cap(answer) || (is_full && counted == Some(most)))
}

/// Whether the cap is not kept under the name of its field that is in use.
pub(super) fn exceeds_its_cap(ex: &Examination<'_>) -> bool {
    let of_this_name = |asked: &&Asked| asked.inquiry.dialect.max_tokens == ex.manner.cap_field;
    ex.asked.iter().filter(of_this_name).any(is_over)
}

/// The other name under which the cap is kept, where it is not kept under the one in use.
pub(super) fn kept_under_another_name(ex: &Examination<'_>) -> Option<MaxTokensField> {
    let asked = ex.answered(Question::Short).filter(|asked| is_capped(asked) && exceeds_its_cap(ex))?;
    Some(asked.inquiry.dialect.max_tokens).filter(|field| *field != ex.manner.cap_field)
}

/// The name of the cap's field as it is sent.
pub(super) fn field_name(field: MaxTokensField) -> &'static str {
    match field {
        MaxTokensField::MaxTokens => "max_tokens",
        MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
    }
}

fn cap(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::Cap, state, evidence);
    let name = field_name(ex.manner.cap_field);
    if let Some(other) = kept_under_another_name(ex) {
        let other = field_name(other);
        return found(State::Ignored, format!("`{name}` is not kept, and `{other}` is")).with_value(other);
    }
    if let Some(over) = ex.asked.iter().find(|asked| is_over(asked)) {
        let words = over.answer().map_or(0, |answer| said(answer).split_whitespace().count());
        let cap = over.inquiry.cap().unwrap_or(0);
        let evidence = format!("an answer has {} at a cap of {}", count(words, "word"), count(cap as usize, "token"));
        return found(State::Ignored, evidence).with_value(name);
    }
    if let Some(asked) = ex.asked.iter().rev().find(|asked| is_capped(asked)) {
        let cap = asked.inquiry.cap().unwrap_or(0);
        let untold = if asked.answer().is_some_and(is_at_cap) { "" } else { ", though no finish reason says so" };
        let evidence = format!("`{name}` ends answers: at {cap} tokens{untold}");
        let refused = remedied(ex, Aspect::CapField).map(str::to_owned);
        return Finding { words: refused, ..found(State::Honoured, evidence) }.with_value(name);
    }
    match ex.answered(Question::Whole) {
        Some(_) => found(State::Unknown, format!("`{name}` is taken, and no answer reached its cap")).with_value(name),
        None => unanswered(ex, Feature::Cap, Question::Whole),
    }
}

fn no_cap(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::NoCap, state, evidence);
    let Some(answer) = ex.answer(Question::Uncapped) else {
        return unanswered(ex, Feature::NoCap, Question::Uncapped);
    };
    let tokens = answer.usage.and_then(|usage| usage.completion_tokens);
    let after = tokens.map_or_else(String::new, |tokens| format!(" after {}", count(tokens as usize, "token")));
    if is_at_cap(answer) {
        // A model that rambles on is ended by its context too, which is hardly as round as a default.
        return if tokens.is_some_and(is_round) {
            found(State::Ignored, format!("without a cap of the caller's the host ends the answer{after}"))
        } else {
            found(State::Unknown, format!("the answer was ended{after}, by a cap or by the end of the context"))
        };
    }
    found(State::Honoured, format!("the answer ended by itself{after}"))
}

/// Whether somebody would set this as a cap.
fn is_round(tokens: u64) -> bool {
    tokens.is_power_of_two() || tokens.is_multiple_of(100)
}

fn temperature_0(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::Temperature0, state, evidence);
    if let Some(words) = remedied(ex, Aspect::Zero) {
        let evidence = match ex.manner.zero {
            Some(zero) => format!("0 is refused, and {zero} is taken"),
            None => "no temperature near 0 is taken".to_owned(),
        };
        return Finding { words: Some(words.to_owned()), ..found(State::Refused, evidence) };
    }
    let texts = greedy(ex);
    let (Some(shortest), true) = (texts.iter().map(|text| text.chars().count()).min(), texts.len() > 1) else {
        return unanswered(ex, Feature::Temperature0, Question::Whole);
    };
    if shortest < TELLING {
        return found(State::Unknown, format!("answers of {} are too short to tell", count(shortest, "character")));
    }
    let many = texts.len();
    if pairs(&texts).all(|(a, b)| agree(a, b)) {
        return found(State::Honoured, format!("{many} answers are the same, as far as {many} tell"));
    }
    let alike = pairs(&texts).map(|(a, b)| common(a, b)).max().unwrap_or(0);
    let none_is_alike = pairs(&texts).all(|(a, b)| common(a, b) * 4 < shortest);
    if many > 2 && none_is_alike {
        return found(State::Ignored, format!("{many} answers part after {alike} of {shortest} characters at most"));
    }
    let why = "numerical noise, or a temperature that is not 0";
    found(
        State::Unknown,
        format!("of {many} answers not all are the same, alike for {alike} of {shortest} characters: {why}"),
    )
}

/// Whether what need not be streamed must be.
pub(super) fn is_streamed_always(ex: &Examination<'_>) -> bool {
    ex.manner.delivery == Delivery::Streamed
}
