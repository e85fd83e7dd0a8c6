//! How a model thinks at a host: hidden thoughts, thoughts of another length, and answers that thinking left blank.

use super::tally::{FEWEST, RULED_OUT, Tally};
use super::{Evidence, finding};
use crate::compare::view::Disclosure;
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::signal::blank::Blank;
use crate::stats::exact::Share;
use crate::stats::features::{Values, mean_difference};
use crate::stats::permutation;
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::Finding;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    [blanks, hidden, effort].into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// Answers without content and call, more often than the reference's. That they are blank is a fact; a model whose thoughts are
/// longer, a host that loses what was said and a filter all make them. Where a thought came to its end, the answer may stand within
/// it, which is told as such.
fn blanks(evidence: &Evidence<'_>) -> Option<Finding> {
    let side = |answers: &Answers<'_>| {
        let mut share = Share::default();
        let behind_a_thought = |a: &Answer<'_>| a.thought.is_some() && a.blank() == Some(Blank::Ended);
        answers.compared().for_each(|a| share.count((a.blank().is_some() && !behind_a_thought(a)).into()));
        share
    };
    let tally = Tally { endpoint: side(evidence.answers), reference: side(evidence.reference) };
    // A model that has moved ends its answers as it likes.
    let confidence = if evidence.is_model_moved() { tally.seldom().map(|_| Possible) } else { tally.seldom() }?;
    let kinds = &evidence.thinking.endpoint.blanks;
    let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n} {}", kind.words())).collect();
    let seen = format!("no content and no call in {}: {}", tally.words(), kinds.join(", "));
    Some(finding("blank-answers", confidence, seen))
}

/// Thoughts that the endpoint's host counts and does not send, or sends as a summary, where the reference's are disclosed.
fn hidden(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.thinking.disclosure != Disclosure::HiddenByEndpoint {
        return None;
    }
    let counted = |a: &&Answer<'_>| a.reasoning_tokens().is_some_and(|n| n > 0);
    let thinking = evidence.answers.compared().filter(counted).count();
    let shown = evidence.answers.compared().filter(counted).filter(|a| a.thought.is_some()).count();
    let ours = &evidence.thinking.reference;
    let against = format!("the reference's are there in {} of {}", ours.with_thought, ours.answers);
    if thinking >= FEWEST && shown < thinking {
        let seen =
            format!("tokens of thinking are counted in {thinking} answers and thoughts sent with {shown}; {against}");
        return Some(finding("reasoning-hidden", Certain, seen));
    }
    if thinking >= FEWEST {
        let seen = format!("thoughts are far shorter than the tokens counted for them: a summary; {against}");
        return Some(finding("reasoning-hidden", Likely, seen));
    }
    // Without a count it may as well not think, or think within its answers.
    let theirs = &evidence.thinking.endpoint;
    let seen = format!("thoughts in {} of {} answers; {against}", theirs.with_thought, theirs.answers);
    Some(finding("reasoning-hidden", Possible, seen))
}

/// By how much thoughts must be longer or shorter than the reference's, as a factor, before their length is another one.
const ANOTHER_LENGTH: f64 = 1.5;

/// Thoughts much shorter or longer than the reference's at the same effort. Another model thinks otherwise as well: where content
/// is not the reference's either, no more than the length is said.
fn effort(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.thinking.disclosure == Disclosure::NoThoughts {
        return None;
    }
    let length = measure(evidence)?;
    let values: Vec<Values<'_>> = [Asking::Greedy, Asking::Sampled]
        .into_iter()
        .flat_map(|asking| evidence.reference.with_blanks(asking).map(move |(probe, ours)| (asking, probe, ours)))
        .map(|(asking, probe, ours)| {
            let of = |answers: &[Answer<'_>]| answers.iter().filter_map(length).map(f64::ln_1p).collect();
            Values { probe, reference: of(ours), endpoint: of(evidence.answers.all_of(asking, probe)) }
        })
        .collect();
    let settings = evidence.settings;
    // Enough permutations to rule chance out.
    let permutations = settings.permutations.max((2.0 / RULED_OUT) as u32);
    let test = permutation::Settings { permutations, seed: settings.seed, label: "thinking" };
    let found = mean_difference(&values, test, "effort")?;
    let factor = (found.endpoint - found.reference).exp();
    if found.p > RULED_OUT || (1.0 / ANOTHER_LENGTH..ANOTHER_LENGTH).contains(&factor) {
        return None;
    }
    let words = if factor > 1.0 {
        format!("{factor:.1} times as long as")
    } else {
        format!("{:.0} % as long as", 100.0 * factor)
    };
    let effort = evidence.answers.compared().find_map(|a| a.sample.parameters.as_ref()?.reasoning_effort.clone());
    let asked = effort.map_or_else(String::new, |effort| format!(" at effort `{}`", effort.escape_debug()));
    let confidence = if evidence.is_model_moved() { Possible } else { Likely };
    let seen = format!("thoughts are {words} the reference's{asked}, by geometric means");
    Some(finding("reasoning-effort-ignored", confidence, seen))
}

/// How long an answer's thought is, by one measure for both sides: tokens where both count them, else characters where both
/// disclose them. Thoughts that a cap cut are as long as that let them be.
fn measure(evidence: &Evidence<'_>) -> Option<fn(&Answer<'_>) -> Option<f64>> {
    let counts = |answers: &Answers<'_>| answers.compared().any(|a| a.reasoning_tokens().is_some_and(|n| n > 0));
    if counts(evidence.answers) && counts(evidence.reference) {
        return Some(|a| a.reasoning_tokens().map(|n| n as f64));
    }
    (evidence.thinking.disclosure == Disclosure::Both)
        .then_some(|a| Some(a.thought.map_or(0, |thought| thought.chars().count()) as f64))
}
