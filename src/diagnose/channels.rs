//! What stands in an answer and does not belong there: tokens of the chat format, thoughts, other scripts, broken formats.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{HARDLY_CHANCE, Tally};
use super::tools::writes;
use super::{Evidence, MOVED, finding, thinking};
use crate::sample::Asking;
use crate::sample::script::scripts;
use crate::signal::answers::{Answer, Answers};
use crate::signal::blank::Blank;
use crate::signal::departures::{departing, departing_from_itself};
use crate::signal::finish::Ended;
use crate::signal::marks::{holds_call, special_tokens};
use crate::signal::thought::{empty_marks, holds_misplaced};
use crate::stats::exact::{Share, more_often};
use crate::verdict::Confidence::{Likely, Possible};
use crate::verdict::Finding;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rules = [leaked, misplaced, foreign_scripts, schema];
    rules.into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// Counts the answers of both sides for which a rule has something to say.
fn tally(evidence: &Evidence<'_>, of: impl Fn(&Answers<'_>, &Answer<'_>) -> Option<bool>) -> Tally {
    let side = |answers: &Answers<'_>| {
        let mut share = Share::default();
        answers.all().filter_map(|a| of(answers, a)).for_each(|shows| share.count(shows.into()));
        share
    };
    Tally { endpoint: side(evidence.answers), reference: side(evidence.reference) }
}

/// What of the chat format stands in the text: its tokens, or else the marks of a thought that is none.
fn leaked(evidence: &Evidence<'_>) -> Option<Finding> {
    leaked_tokens(evidence).or_else(|| marks_alone(evidence))
}

/// Special tokens in the text. Those of a tool call that was not taken out are the tool parser's.
fn leaked_tokens(evidence: &Evidence<'_>) -> Option<Finding> {
    let leaks = |a: &Answer<'_>| {
        let tools = evidence.traits(&a.sample.probe).is_some_and(|t| !t.tools.is_empty());
        leaking(a).next().is_some() && !(tools && writes(a, |text| holds_call(text, &[])))
    };
    let tally = tally(evidence, |_, a| Some(leaks(a)));
    let confidence = match tally.never() {
        Some(confidence) => confidence,
        None if tally.endpoint.showing > 0 && tally.reference.showing == 0 => Likely,
        None => return None,
    };
    let tokens: BTreeSet<&str> = evidence.answers.all().filter(|a| leaks(a)).flat_map(leaking).collect();
    let some: Vec<&str> = tokens.into_iter().take(5).collect();
    let evidence = format!("special tokens in the text of {}: {}", tally.words(), some.join(" "));
    Some(finding("leaked-tokens", confidence, evidence))
}

/// The special tokens that a host has left in a text, behind its end and before its beginning.
fn leaking<'a>(answer: &'a Answer<'_>) -> impl Iterator<Item = &'a str> {
    let before = empty_marks(&answer.sample.text, answer.thought_marks()).unwrap_or_default();
    [&*answer.text, answer.left, before].into_iter().flat_map(special_tokens)
}

/// Marks of a thought with nothing between them, which the reference does not write. The answer behind them is whole.
fn marks_alone(evidence: &Evidence<'_>) -> Option<Finding> {
    let holds = |a: &Answer<'_>| empty_marks(&a.sample.text, a.thought_marks()).is_some();
    let tally = tally(evidence, |_, a| Some(holds(a)));
    let is_of_host = tally.never().is_some() && tally.reference.showing == 0;
    let is_told = is_of_host && thoughts_in_answers(evidence).is_none();
    let words = || format!("marks of a thought with nothing between them in the text of {}", tally.words());
    is_told.then(|| finding("leaked-tokens", Possible, words()))
}

/// Thoughts where answers are to stand, or answers where thoughts are: the surer of both.
fn misplaced(evidence: &Evidence<'_>) -> Option<Finding> {
    let found = [thoughts_in_answers, answers_in_thoughts].into_iter().filter_map(|rule| rule(evidence));
    found.min_by_key(|f| f.confidence)
}

/// Thoughts in the answer's text: their marks are there, and not in the reference's. Where marks are declared thoughts are to stand
/// between them.
fn thoughts_in_answers(evidence: &Evidence<'_>) -> Option<Finding> {
    let marked = tally(evidence, |_, a| Some(holds_misplaced(&a.sample.text, a.thought_marks())));
    let confidence = marked.never()?;
    Some(finding("reasoning-misplaced", confidence, format!("thoughts in the text of {}", marked.words())))
}

/// Everything among the thoughts and nothing in the answer, although the answer is said to be complete. Models break off behind a
/// thought now and then, and another model does so on its own: what puts the answer there does it with most of those that think.
fn answers_in_thoughts(evidence: &Evidence<'_>) -> Option<Finding> {
    let unanswered = |a: &Answer<'_>| {
        // A cap may well be used up by thinking.
        let cut = Ended::of(a) == Ended::AtCap || evidence.is_full(a) || a.blank() == Some(Blank::Thought);
        (!cut && a.sample.tool_calls.is_empty()).then(|| thinks(a) && a.content.is_empty())
    };
    if thinking::are_answers_lost(evidence) {
        return None;
    }
    let of_those_that_think = tally(evidence, |_, a| unanswered(a).filter(|_| thinks(a))).endpoint;
    // Where neither side thinks, nothing can be among the thoughts.
    let sides = evidence.answers.all().chain(evidence.reference.all());
    let probes: BTreeSet<&str> = sides.filter(|a| thinks(a)).map(|a| a.sample.probe.as_str()).collect();
    let tally = tally(evidence, |_, a| unanswered(a).filter(|_| probes.contains(a.sample.probe.as_str())));
    let confidence = match tally.seldom()? {
        _ if evidence.is_model_moved() && of_those_that_think.value() < MOST => Possible,
        confidence => confidence,
    };
    let evidence = format!("all is thought and nothing is answered in {}", tally.words());
    Some(finding("reasoning-misplaced", confidence, evidence))
}

fn thinks(answer: &Answer<'_>) -> bool {
    answer.thought.is_some()
}

/// The share of the answers that think which the host must be the reason for.
const MOST: f64 = 0.5;

/// Letters of a script that neither the prompt has nor any other answer of the reference to it.
fn foreign_scripts(evidence: &Evidence<'_>) -> Option<Finding> {
    let mut usual: BTreeMap<&str, Vec<BTreeSet<&str>>> = BTreeMap::new();
    for answer in evidence.reference.all() {
        usual.entry(&answer.sample.probe).or_default().push(scripts(answer.content));
    }
    let foreign = |answers: &Answers<'_>, a: &Answer<'_>| -> Option<bool> {
        let known = usual.get(a.sample.probe.as_str())?;
        let asked = evidence.traits(&a.sample.probe);
        let own = scripts(a.content);
        // An answer of the reference must not stand for itself.
        let itself = usize::from(std::ptr::eq(answers, evidence.reference));
        Some(own.iter().any(|script| {
            let prompted = asked.is_some_and(|t| t.scripts.contains(*script));
            !prompted && known.iter().filter(|k| k.contains(script)).count() <= itself
        }))
    };
    let tally = tally(evidence, |answers, a| foreign(answers, a));
    // Another model has other words in other scripts. Only where the answers without them are the reference's is it the same one.
    let plain = |a: &Answer<'_>| foreign(evidence.answers, a) == Some(false);
    let is_of_draws = is_of_draws_alone(evidence, |a| foreign(evidence.answers, a) == Some(true));
    let confidence = match tally.seldom()? {
        confidence if !is_of_draws && keeps_to_the_reference(evidence, plain) => confidence,
        _ => Possible,
    };
    let strange = evidence.answers.all().filter(|a| foreign(evidence.answers, a) == Some(true));
    let names: BTreeSet<&str> = strange.flat_map(|a| scripts(a.content)).collect();
    let names: Vec<&str> = names.into_iter().take(5).collect();
    let evidence = format!("letters of scripts that do not belong there ({}) in {}", names.join(", "), tally.words());
    Some(finding("corrupted-output", confidence, evidence))
}

/// By how much more often drawn answers show something before they alone do: those to greedy probes are not so much shorter.
const FAR_MORE_OFTEN: f64 = 4.0;

/// Whether drawn answers show something that greedy ones hardly do. What spoils texts spoils both; a higher temperature, or another
/// model behind such requests alone, writes otherwise in drawn answers.
fn is_of_draws_alone(evidence: &Evidence<'_>, shows: impl Fn(&Answer<'_>) -> bool) -> bool {
    let (mut drawn, mut greedy) = (Share::default(), Share::default());
    for (asking, _, answers) in evidence.answers.everything() {
        let share = if asking == Asking::Sampled { &mut drawn } else { &mut greedy };
        for answer in answers {
            share.count(shows(answer).into());
        }
    }
    more_often(drawn, greedy) <= HARDLY_CHANCE && drawn.value() > FAR_MORE_OFTEN * greedy.value()
}

/// Whether nearly all of these greedy answers are the reference's, as far as its own are each other's. Without greedy answers nothing
/// shows it.
pub(super) fn keeps_to_the_reference(evidence: &Evidence<'_>, of: impl Fn(&Answer<'_>) -> bool) -> bool {
    let theirs = departing(evidence.answers, evidence.reference, of);
    let ours = departing_from_itself(evidence.reference);
    theirs.all >= FEWEST_GREEDY && theirs.value() <= ours.value() + MOVED
}

/// Fewest greedy answers that show that the model is the same.
const FEWEST_GREEDY: usize = 20;

/// Answers that do not follow the schema that was sent with the request. Two probes on which all of the endpoint's answers
/// break it and none of the reference's do are certain too: a model that errs by chance does not err on one prompt each time.
fn schema(evidence: &Evidence<'_>) -> Option<Finding> {
    let mut whole = 0;
    let mut tally = Tally::default();
    for (asking, probe, ours) in evidence.reference.everything() {
        let schema = evidence.traits(probe).and_then(|t| t.response_schema.as_ref());
        let Some(validator) = schema.and_then(|schema| jsonschema::validator_for(schema).ok()) else { continue };
        let share = |answers: &[Answer<'_>]| {
            let mut share = Share::default();
            let whole = answers.iter().filter(|a| Ended::of(a) != Ended::AtCap && a.sample.tool_calls.is_empty());
            // As it came: a quotation mark that is folded may end a string.
            let broken = whole.filter_map(|a| breaks(&validator, a.content));
            broken.for_each(|breaks| share.count(breaks.into()));
            share
        };
        let (theirs, ours) = (share(evidence.answers.of(asking, probe)), share(ours));
        whole += usize::from(theirs.all >= 2 && theirs.showing == theirs.all && ours.all >= 2 && ours.showing == 0);
        tally = tally.and(Tally { endpoint: theirs, reference: ours });
    }
    let opposite = (whole >= 2).then(|| tally.never()).flatten();
    let confidence = opposite.into_iter().chain(tally.seldom()).min()?;
    Some(finding("schema-not-enforced", confidence, format!("the schema is broken by {}", tally.words())))
}

/// Whether a text breaks the schema; `None` where it breaks off, or there is none: whatever cut it, it says nothing of what was enforced.
fn breaks(validator: &jsonschema::Validator, text: &str) -> Option<bool> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => Some(!validator.is_valid(&value)),
        Err(error) if error.is_eof() => None,
        Err(_) => Some(true),
    }
}
