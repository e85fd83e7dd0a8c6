//! The settings that follow from findings: only what the configuration knows, and only where it says something else now.

use serde_json::{Value, json};

use super::examination::{Aspect, Examination, Subject};
use super::facts::thoughts;
use super::judge::{field_name, is_streamed_always, kept_under_another_name, remedied};
use super::question::Question;
use super::{Advice, Feature, Finding, Place, Setting, State};

/// The least allowance that is worth setting, in tokens.
const LEAST_ALLOWANCE: u32 = 256;

/// Tokens to leave for thoughts, where the longest that was seen whole took so many: as a few requests seldom show the longest.
pub(super) fn allowance_for(longest: u32) -> u32 {
    longest.saturating_mul(4).max(LEAST_ALLOWANCE).checked_next_power_of_two().unwrap_or(u32::MAX)
}

/// What to set, in the order of the tables.
pub(super) fn settings(ex: &Examination<'_>, findings: &[Finding]) -> Vec<Setting> {
    if !ex.has_any_answer() {
        return Vec::new();
    }
    let state = |feature: Feature| findings.iter().find(|f| f.feature == feature).map_or(State::Unknown, |f| f.state);
    let all = [
        cap_field(ex),
        stream_usage(ex, state(Feature::Usage)),
        zero_temperature(ex),
        seed(ex, state(Feature::Seed)),
        effort(ex),
        stream(ex, state(Feature::Stream)),
        expected_model(ex, findings),
    ];
    all.into_iter().flatten().chain(reasoning(ex)).collect()
}

fn set(place: Place, key: &str, value: impl Into<Value>, why: &str) -> Setting {
    Setting { place, key: key.to_owned(), value: value.into(), advice: Advice::Set, why: why.to_owned() }
}

fn dialect(subject: &Subject<'_>) -> Place {
    Place::Dialect(subject.endpoint.provider.clone())
}

fn endpoint(subject: &Subject<'_>) -> Place {
    Place::Endpoint { model: subject.model.to_owned(), endpoint: subject.endpoint.name.clone() }
}

fn cap_field(ex: &Examination<'_>) -> Option<Setting> {
    let configured = ex.subject.provider.dialect.max_tokens;
    let (field, why) = match kept_under_another_name(ex) {
        Some(field) => (field, "the cap is kept under this name only"),
        None => (ex.manner.cap_field, "the cap is refused under its other name"),
    };
    let is_taken = ex.answered(Question::Whole).is_some() && field != configured;
    is_taken.then(|| set(dialect(&ex.subject), "max_tokens", field_name(field), why))
}

fn stream_usage(ex: &Examination<'_>, usage: State) -> Option<Setting> {
    let configured = ex.subject.provider.dialect.stream_usage;
    ex.answered(Question::Streamed)?;
    let refused = remedied(ex, Aspect::StreamUsage).is_some();
    match (configured, refused) {
        (true, true) => Some(set(dialect(&ex.subject), "stream_usage", false, "`stream_options` is refused")),
        (false, false) if usage == State::Honoured => {
            Some(set(dialect(&ex.subject), "stream_usage", true, "`stream_options` is taken, and brings token counts"))
        }
        _ => None,
    }
}

fn zero_temperature(ex: &Examination<'_>) -> Option<Setting> {
    let zero =
        ex.manner.zero.filter(|_| remedied(ex, Aspect::Zero).is_some() && ex.answered(Question::Whole).is_some())?;
    Some(set(dialect(&ex.subject), "zero_temperature", zero, "temperature 0 is refused"))
}

fn seed(ex: &Examination<'_>, seed: State) -> Option<Setting> {
    match (ex.subject.provider.dialect.seed, seed) {
        (true, State::Refused) => Some(set(dialect(&ex.subject), "seed", false, "a seed is refused")),
        (false, State::Honoured) => Some(set(dialect(&ex.subject), "seed", true, "a seed is honoured")),
        _ => None,
    }
}

/// Whether an effort that is taken is kept cannot be told, and it may have been left out for that.
fn effort(ex: &Examination<'_>) -> Option<Setting> {
    match (ex.subject.provider.dialect.effort, remedied(ex, Aspect::Effort)) {
        (true, Some(_)) => Some(set(dialect(&ex.subject), "effort", false, "`reasoning_effort` is refused")),
        (false, None) if ex.manner.effort => {
            let taken = set(dialect(&ex.subject), "effort", true, "`reasoning_effort` is taken now");
            Some(Setting { advice: Advice::Consider, ..taken })
        }
        _ => None,
    }
}

fn stream(ex: &Examination<'_>, stream: State) -> Option<Setting> {
    let streams = ex.subject.endpoint.stream.unwrap_or(ex.subject.defaults.stream);
    match stream {
        State::Refused if streams => Some(set(endpoint(&ex.subject), "stream", false, "streams are refused")),
        State::Ignored if streams => {
            Some(set(endpoint(&ex.subject), "stream", false, "answers come in one piece anyway"))
        }
        _ if is_streamed_always(ex) && ex.subject.endpoint.stream != Some(true) => {
            Some(set(endpoint(&ex.subject), "stream", true, "answers are refused in one piece"))
        }
        _ => None,
    }
}

/// A name that does not fit may belong to another model, so that only the reader can say that it is right.
fn expected_model(ex: &Examination<'_>, findings: &[Finding]) -> Option<Setting> {
    let model = findings.iter().find(|f| f.feature == Feature::Model && f.state == State::Ignored)?;
    let names: Vec<&str> = model.value.as_deref()?.split(", ").collect();
    let value = if let [name] = names.as_slice() { json!(name) } else { json!(names) };
    let why = "if that is what the model goes by there";
    Some(Setting { advice: Advice::Consider, ..set(endpoint(&ex.subject), "expected_model", value, why) })
}

fn reasoning(ex: &Examination<'_>) -> Vec<Setting> {
    let whole = thoughts(ex).into_iter().rev().find(|thought| thought.complete);
    let longest = whole.map_or(0, |thought| u32::try_from(thought.tokens).unwrap_or(u32::MAX));
    let configured = &ex.subject.defaults.reasoning;
    // Twice the longest that was seen is room enough where something is set already.
    if longest == 0 || configured.allowance >= longest.saturating_mul(2) {
        return Vec::new();
    }
    let place = || Place::Reasoning(ex.subject.model.to_owned());
    let why = format!("the longest of its thoughts took {longest} tokens, and hosts count them with the answer's");
    // A table of the model's own takes the place of the defaults', effort and all.
    let effort = configured.effort.as_ref().map(|effort| set(place(), "effort", effort.clone(), "as it is now"));
    std::iter::once(set(place(), "allowance", allowance_for(longest), &why)).chain(effort).collect()
}
