//! Findings on what the host tells of itself: names, counts, thoughts and limits.

use super::examination::{Asked, Aspect, Examination};
use super::judge::{remedied, unanswered};
use super::question::{Delivery, Question, STORY, SYSTEM};
use super::read::{Thought, thought_of};
use super::{Feature, Finding, State};
use crate::attempt::Answer;
use crate::config::ExpectedModel;
use crate::plural::count;
use crate::signal::metadata::{is_expected, may_be_same_model};

/// The most limits that are told.
const MOST_LIMITS: usize = 8;

/// The longest name, in characters, that a host is taken at its word with.
const LONGEST_NAME: usize = 120;

/// Whether the host answers.
pub(super) fn answers(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::Answers, state, evidence);
    let answered: Vec<&Asked> = ex.asked.iter().filter(|asked| asked.answer().is_some()).collect();
    if answered.is_empty() {
        let failure = ex.asked.last().and_then(Asked::failure);
        let words = failure.map(|failure| failure.message.clone());
        let refused = failure.is_some_and(|failure| failure.kind.is_refusal() || failure.kind.is_fatal());
        let state = if refused { State::Refused } else { State::Unknown };
        let kind = failure.map_or_else(|| "not asked".to_owned(), |failure| format!("no answer: {}", failure.kind));
        return Finding { words, ..found(state, kind) };
    }
    let mut times: Vec<u128> = answered.iter().map(|asked| asked.attempt.elapsed.as_millis()).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or(0);
    let by_chance = ex.asked.iter().filter(|asked| asked.failure().is_some() && asked.refusal().is_none());
    let failed = match by_chance.count() {
        0 => String::new(),
        failed => format!("; {failed} failed without being refused"),
    };
    let requests = count(ex.asked.len(), "request");
    let evidence = format!("{} of {requests}, typically in {median} ms{failed}", answered.len());
    found(State::Honoured, evidence)
}

/// Which model the host says that it is.
pub(super) fn model(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::Model, state, evidence);
    let mut names: Vec<String> =
        answers_of(ex).filter_map(|answer| answer.response_model.as_deref()).map(bounded).collect();
    names.sort_unstable();
    names.dedup();
    let endpoint = ex.subject.endpoint;
    let expected = endpoint.expected_model.as_ref().map_or(&[][..], ExpectedModel::patterns);
    let is_right = |name: &String| {
        if expected.is_empty() { may_be_same_model(&endpoint.model, name) } else { is_expected(expected, name) }
    };
    match names.as_slice() {
        [] if ex.has_any_answer() => found(State::Unknown, "the host does not say which model answers".to_owned()),
        [] => unanswered(ex, Feature::Model, Question::Whole),
        all if all.iter().all(is_right) => {
            found(State::Honoured, format!("asked for `{}`, it says `{}`", endpoint.model, all.join("`, `")))
                .with_value(all.join(", "))
        }
        all => found(State::Ignored, format!("asked for `{}`, it says `{}`", endpoint.model, all.join("`, `")))
            .with_value(all.join(", ")),
    }
}

fn bounded(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

fn answers_of<'a>(ex: &'a Examination<'_>) -> impl Iterator<Item = &'a Answer> {
    ex.asked.iter().filter_map(Asked::answer)
}

fn is_counted(asked: &Asked) -> bool {
    let usage = asked.answer().and_then(|answer| answer.usage).unwrap_or_default();
    usage.prompt_tokens.is_some() && usage.completion_tokens.is_some()
}

/// Whether answers come with token counts.
pub(super) fn usage(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: &str| Finding::new(Feature::Usage, state, evidence);
    if let Some(words) = remedied(ex, Aspect::StreamUsage) {
        let counted = ex.answered(Question::Streamed).is_some_and(is_counted);
        if ex.answered(Question::Streamed).is_some() {
            let evidence = if counted {
                "to ask for it in streams is refused, and it comes unasked"
            } else {
                "to ask for it in streams is refused"
            };
            return Finding { words: Some(words.to_owned()), ..found(State::Refused, evidence) };
        }
    }
    let answered: Vec<&Asked> = ex.asked.iter().filter(|asked| asked.answer().is_some()).collect();
    let (streamed, whole): (Vec<&Asked>, Vec<&Asked>) =
        answered.iter().copied().partition(|asked| asked.inquiry.delivery == Delivery::Streamed);
    let counted = answered.iter().filter(|asked| is_counted(asked)).count();
    if answered.is_empty() {
        unanswered(ex, Feature::Usage, Question::Whole)
    } else if counted == answered.len() && streamed.is_empty() {
        found(State::Honoured, "token counts come with whole answers")
    } else if counted == answered.len() {
        found(State::Honoured, "token counts come with every answer, streams among them")
    } else if counted == 0 {
        found(State::Ignored, "no answer comes with token counts")
    } else if whole.iter().all(|asked| is_counted(asked)) {
        found(State::Ignored, "token counts come with whole answers, and not with streams")
    } else {
        found(State::Ignored, &format!("token counts come with {counted} of {}", count(answered.len(), "answer")))
    }
}

fn prompt_tokens(asked: &Asked) -> Option<u64> {
    asked.answer()?.usage?.prompt_tokens
}

/// Counts of the same prompt, asked in different ways.
fn counts_of_the_story(ex: &Examination<'_>) -> Vec<u64> {
    // Two answers to one prompt are counted in more ways than one.
    let story = |asked: &&Asked| asked.inquiry.question.is_the_story() && asked.inquiry.choices() == 1;
    ex.asked.iter().filter(story).filter_map(prompt_tokens).collect()
}

/// Whether prompts are counted, and a known one always alike.
pub(super) fn token_counts(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::TokenCounts, state, evidence);
    let counts = counts_of_the_story(ex);
    let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max()) else {
        let finding = unanswered(ex, Feature::TokenCounts, Question::Whole);
        let uncounted = found(State::Ignored, "prompts are not counted".to_owned());
        return if ex.answer(Question::Whole).is_some() { uncounted } else { finding };
    };
    let characters = STORY.chars().count();
    if least != most {
        return found(
            State::Ignored,
            format!("the same prompt of {characters} characters was counted as {least} to {most}"),
        );
    }
    let growth = ex.answered(Question::System).and_then(prompt_tokens).map(|with| (with, SYSTEM.chars().count()));
    let told = growth.map_or_else(String::new, |(with, more)| format!(", and {with} with {more} characters more"));
    let evidence = format!("{least} tokens for a prompt of {characters} characters{told}");
    // A token is seldom longer than eight characters, and never shorter than a byte.
    let is_sound = *least as usize * 8 >= characters && *least as usize <= characters * 4 + 4096;
    found(if is_sound { State::Honoured } else { State::Ignored }, evidence).with_value(least.to_string())
}

/// Whether a system message reaches the model, by the tokens that it adds.
pub(super) fn system_message(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::SystemMessage, state, evidence);
    let Some(asked) = ex.answered(Question::System) else {
        return unanswered(ex, Feature::SystemMessage, Question::System);
    };
    let counts = counts_of_the_story(ex);
    let steady = counts.first().filter(|first| counts.iter().all(|count| count == *first));
    let (Some(with), Some(without)) = (prompt_tokens(asked), steady) else {
        return found(
            State::Unknown,
            "it is taken; whether the model reads it cannot be told without steady counts".to_owned(),
        );
    };
    let characters = SYSTEM.chars().count() as u64;
    let more = with.saturating_sub(*without);
    let evidence = format!("{characters} characters add {more} tokens to the prompt");
    match more {
        more if more * 8 >= characters => found(State::Honoured, evidence),
        more if more * 20 < characters => found(State::Ignored, evidence),
        _ => found(State::Unknown, evidence),
    }
}

/// Thoughts of all answers, the shortest first.
pub(super) fn thoughts(ex: &Examination<'_>) -> Vec<Thought> {
    let marks = &ex.subject.provider.dialect.thought_marks;
    let mut thoughts: Vec<Thought> = answers_of(ex).filter_map(|answer| thought_of(answer, marks)).collect();
    thoughts.sort_unstable_by_key(|thought| thought.tokens);
    thoughts
}

/// How long the model thinks, and whether it may be said how long it should.
pub(super) fn thinking(ex: &Examination<'_>) -> Finding {
    if !ex.has_any_answer() {
        return unanswered(ex, Feature::Thinking, Question::Uncapped);
    }
    let length = length_of_thoughts(ex);
    let Some(words) = remedied(ex, Aspect::Effort) else { return length };
    let evidence = format!("`reasoning_effort` is refused; without it {}", length.evidence);
    Finding { state: State::Refused, evidence, words: Some(words.to_owned()), ..length }
}

fn length_of_thoughts(ex: &Examination<'_>) -> Finding {
    let found = |state, evidence: String| Finding::new(Feature::Thinking, state, evidence);
    let thoughts = thoughts(ex);
    let whole: Vec<u64> = thoughts.iter().filter(|thought| thought.complete).map(|thought| thought.tokens).collect();
    match (whole.get(whole.len() / 2), whole.last(), thoughts.last()) {
        (_, _, None) => found(State::Noted, "no answer thinks first".to_owned()).with_value("0"),
        (Some(median), Some(longest), _) => {
            let many = count(whole.len(), "answer");
            found(State::Noted, format!("typically {median} tokens before an answer, {longest} at most in {many}"))
                .with_value(median.to_string())
        }
        (_, _, Some(cut)) => {
            found(State::Noted, format!("more than {} tokens: no thought ended before its cap", cut.tokens))
        }
    }
}

/// Limits that response headers tell.
pub(super) fn limits(ex: &Examination<'_>) -> Finding {
    let headers = ex.asked.iter().rev().map(|asked| &asked.attempt.headers);
    let is_limit = |name: &str| name.contains("limit") && !name.contains("reset") && !name.contains("remaining");
    let mut told = headers.map(|headers| {
        let limits = headers.iter().filter(|(name, _)| is_limit(name));
        limits.take(MOST_LIMITS).map(|(name, value)| format!("{name}: {}", bounded(value))).collect::<Vec<_>>()
    });
    match told.find(|limits| !limits.is_empty()) {
        Some(limits) => Finding::new(Feature::Limits, State::Noted, limits.join("; ")),
        None if ex.has_any_answer() => Finding::new(Feature::Limits, State::Noted, "no header tells any"),
        None => unanswered(ex, Feature::Limits, Question::Whole),
    }
}
