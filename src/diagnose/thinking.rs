//! How a model thinks at a host: hidden thoughts, thoughts of another length, and answers that thinking left blank.

use super::tally::{FEWEST, HARDLY_CHANCE, Tally};
use super::{Evidence, channels, finding};
use crate::compare::thinking::Side;
use crate::compare::view::Disclosure;
use crate::plural::count;
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::signal::blank::Blank;
use crate::stats::exact::Share;
use crate::stats::features::{Values, mean_difference};
use crate::stats::permutation;
use crate::stats::survival::first_divergence;
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::Finding;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    [blanks, hidden, effort].into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// Whether answers end behind their thoughts because what came next got lost: the thoughts are word for word those of
/// the reference, which goes on behind them. Where the answer stands within the thought, or the model itself breaks
/// off, they are not.
pub(super) fn are_answers_lost(evidence: &Evidence<'_>) -> bool {
    let mut lost = Share::default();
    for (probe, ours) in evidence.reference.probes(Asking::Greedy) {
        let theirs = evidence.answers.all_of(Asking::Greedy, probe).iter();
        for answer in theirs.filter(|a| ends_behind_a_thought(a)) {
            lost.count(ours.iter().any(|r| r.thought == answer.thought).into());
        }
    }
    lost.showing >= FEWEST && lost.value() >= MOST
}

fn ends_behind_a_thought(answer: &Answer<'_>) -> bool {
    answer.thought.is_some() && answer.blank() == Some(Blank::Ended)
}

/// Answers without content and call, more often than the reference's. That they are blank is a fact; a model whose thoughts are
/// longer, a host that loses what was said and a filter all make them. Where a thought came to its end, the answer may stand within
/// it, which is told as such.
fn blanks(evidence: &Evidence<'_>) -> Option<Finding> {
    let are_lost = are_answers_lost(evidence);
    let side = |answers: &Answers<'_>| {
        let mut share = Share::default();
        let is_told = |a: &Answer<'_>| a.blank().is_some() && (are_lost || !ends_behind_a_thought(a));
        answers.compared().for_each(|a| share.count(is_told(a).into()));
        share
    };
    let tally = Tally { endpoint: side(evidence.answers), reference: side(evidence.reference) };
    // A model that has moved ends its answers as it likes. Where those that are there are the reference's, it has not.
    let is_moved = evidence.is_model_moved() && !channels::keeps_to_the_reference(evidence, |_| true);
    let confidence = if is_moved { tally.seldom().map(|_| Possible) } else { tally.seldom() }?;
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
        if let Some((counted, taken)) = within_content(evidence) {
            let seen = format!(
                "tokens of thinking are counted in {thinking} answers and thoughts sent with {shown}, and the texts take about \
                 {taken:.0} of all {counted} tokens: the thoughts stand in them, without marks"
            );
            return Some(finding("reasoning-misplaced", Likely, seen));
        }
        let seen =
            format!("tokens of thinking are counted in {thinking} answers and thoughts sent with {shown}; {against}");
        return Some(finding("reasoning-hidden", Certain, seen));
    }
    if thinking >= FEWEST && are_summaries(evidence) {
        let seen = format!("thoughts are far shorter than the tokens counted for them: a summary; {against}");
        return Some(finding("reasoning-hidden", Likely, seen));
    }
    let share = |side: &Side| side.with_thought as f64 / side.answers.max(1) as f64;
    if thinking >= FEWEST && share(&evidence.thinking.endpoint) >= MORE_THAN_A_SUMMARY * share(ours) {
        let seen =
            format!("tokens of thinking are counted otherwise, for thoughts as long as the reference's; {against}");
        return Some(finding("usage-miscounted", Likely, seen));
    }
    // Without a count it may as well not think, or think within its answers, unless its answers take more tokens than
    // they show.
    let theirs = &evidence.thinking.endpoint;
    let seen = format!("thoughts in {} of {}; {against}", theirs.with_thought, count(theirs.answers, "answer"));
    Some(match unseen_tokens(evidence) {
        Some((counted, shown)) => {
            let seen = format!("{seen}; {counted} tokens are counted for text that takes about {shown:.0}");
            finding("reasoning-hidden", Likely, seen)
        }
        None => finding("reasoning-hidden", Possible, seen),
    })
}

/// Whether greedy answers begin as the reference's thoughts do, more than as its contents: on most probes where either is the longer
/// beginning.
fn begin_as_thoughts(evidence: &Evidence<'_>) -> bool {
    let mut share = Share::default();
    for (probe, ours) in evidence.reference.probes(Asking::Greedy) {
        let theirs = evidence.answers.of(Asking::Greedy, probe);
        let (Some(ours), Some(theirs)) = (ours.first(), theirs.first()) else { continue };
        let alike = |text: &str| first_divergence(&theirs.text, text).time;
        let (thought, content) = (alike(ours.generated()), alike(&ours.text));
        if thought != content {
            share.count((thought > content).into());
        }
    }
    share.showing >= FEWEST && 2 * share.showing > share.all
}

/// All tokens that are counted for the answers with a count of thinking and without a thought, and about how many their texts take, by
/// the reference's own; `None` where the thoughts are not among the texts: these take what is counted beside the thinking, or, where a
/// host counts that apart, are nearer in length to the reference's content than to all that it generates.
fn within_content(evidence: &Evidence<'_>) -> Option<(u64, f64)> {
    let mean = |answers: &[Answer<'_>], text: fn(&Answer<'_>) -> usize| {
        answers.iter().map(|a| text(a) as f64).sum::<f64>() / answers.len() as f64
    };
    let (mut counted, mut of_thinking, mut text, mut between) = (0, 0, 0.0, 0.0);
    for (asking, probe, ours) in evidence.reference.everything() {
        let whole = mean(ours, |a| a.generated().chars().count());
        let content = mean(ours, |a| a.text.chars().count());
        for answer in evidence.answers.all_of(asking, probe).iter().filter(|a| a.thought.is_none()) {
            let thinking = answer.reasoning_tokens().filter(|n| *n > 0);
            if let (Some(tokens), Some(thinking)) = (evidence.completion_tokens(answer), thinking) {
                counted += tokens;
                of_thinking += thinking;
                text += answer.text.chars().count() as f64;
                between += f64::midpoint(whole, content);
            }
        }
    }
    let taken = text / evidence.characters_per_token?;
    let are_among_it = taken >= counted as f64 - of_thinking as f64 / 2.0 && text >= between;
    (counted > 0 && are_among_it && begin_as_thoughts(evidence)).then_some((counted, taken))
}

/// The part of the reference's thoughts that the endpoint's must reach to be more than a summary of them.
const MORE_THAN_A_SUMMARY: f64 = 0.5;

/// Whether the thoughts that are sent are far shorter than the reference's, in characters, by geometric means over answers
/// with one. What is counted for them is a number that hosts make in several ways.
fn are_summaries(evidence: &Evidence<'_>) -> bool {
    let (theirs, ours) = (length_of_thoughts(evidence.answers), length_of_thoughts(evidence.reference));
    theirs.zip(ours).is_some_and(|(theirs, ours)| theirs < MORE_THAN_A_SUMMARY * ours)
}

/// Characters of a thought that is sent; `None` where none is, or with fewer than half of the answers that are known to
/// think.
fn length_of_thoughts(answers: &Answers<'_>) -> Option<f64> {
    let mut sent = Share::default();
    let mut sum = 0.0;
    for answer in answers.compared().filter(|a| a.thought.is_some() || a.reasoning_tokens().is_some_and(|n| n > 0)) {
        sent.count(answer.thought.is_some().into());
        sum += answer.thought.map_or(0.0, |thought| (thought.chars().count() as f64).ln_1p());
    }
    (sent.showing > 0 && sent.value() >= MOST).then(|| (sum / sent.showing as f64).exp())
}

/// How many times the tokens that an answer's text takes must be counted before thoughts are among them. A text without
/// its thoughts is as long as it is, so the reference's own tokens are a measure of it.
const BEYOND_WHAT_IS_SHOWN: f64 = 1.5;

/// Tokens that the endpoint counts on the probes on which the reference thinks and about how many its text takes, by
/// the reference's own tokens; `None` where the former are not far more.
fn unseen_tokens(evidence: &Evidence<'_>) -> Option<(u64, f64)> {
    let characters = |a: &Answer<'_>| a.text.chars().count() as f64;
    let (mut counted, mut text, mut answers, mut own) = (0, 0.0, 0, (0.0, 0.0));
    for (asking, probe, ours) in evidence.reference.everything() {
        let thoughtful = ours.iter().filter(|a| a.thought.is_some() && a.blank().is_none());
        let visible =
            |a: &Answer<'_>| Some((characters(a), a.completion_tokens()?.checked_sub(a.reasoning_tokens()?)?));
        let shown: Vec<(f64, u64)> = thoughtful.filter_map(visible).collect();
        // A model that seldom thinks of its own accord says nothing of what the other answers take.
        if 2 * shown.len() <= ours.len() {
            continue;
        }
        own = shown.iter().fold(own, |(c, t), (characters, tokens)| (c + characters, t + *tokens as f64));
        for answer in evidence.answers.of(asking, probe).iter().filter(|a| a.thought.is_none()) {
            counted += evidence.completion_tokens(answer)?;
            text += characters(answer);
            answers += 1;
        }
    }
    let shown = text * own.1 / own.0.max(1.0);
    (answers >= FEWEST && shown > 0.0 && counted as f64 >= BEYOND_WHAT_IS_SHOWN * shown).then_some((counted, shown))
}

/// By how much thoughts must be longer or shorter than the reference's, as a factor, before their length is another one.
const ANOTHER_LENGTH: f64 = 1.5;

/// From this share on it is most of them.
const MOST: f64 = 0.5;

/// Thoughts much shorter or longer than the reference's at the same effort. Another model thinks otherwise as well: where content
/// is not the reference's either, no more than the length is said.
fn effort(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.thinking.disclosure == Disclosure::NoThoughts {
        return None;
    }
    // A host that was not asked for the same effort, since it takes none, ignores nothing.
    let asked_for = |answers: &Answers<'_>| {
        answers.compared().find_map(|a| Some(a.sample.parameters.as_ref()?.reasoning_effort.clone()))
    };
    if asked_for(evidence.reference).zip(asked_for(evidence.answers)).is_some_and(|(ours, theirs)| ours != theirs) {
        return None;
    }
    let values = lengths(evidence, measure(evidence)?);
    let settings = evidence.settings;
    // Enough permutations to leave hardly anything to chance.
    let permutations = settings.permutations.max((10.0 / HARDLY_CHANCE) as u32);
    let test = permutation::Settings { permutations, seed: settings.seed, label: "thinking" };
    let found = mean_difference(&values, test, "effort")?;
    let factor = (found.endpoint - found.reference).exp();
    if found.p > HARDLY_CHANCE || (1.0 / ANOTHER_LENGTH..ANOTHER_LENGTH).contains(&factor) {
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

/// Lengths of thoughts, in logarithms, on the probes on which the reference thinks. A few of the endpoint's that meet
/// the cap are blank answers and told as such.
fn lengths<'a>(evidence: &Evidence<'a>, length: fn(&Answer<'_>) -> Option<f64>) -> Vec<Values<'a>> {
    let thinks = |a: &Answer<'_>| length(a).is_some_and(|n| n > 0.0);
    let is_cut = |a: &Answer<'_>| a.blank() == Some(Blank::Thought);
    // Where nothing is answered behind it, the answer may stand within a thought.
    let is_whole = |a: &&Answer<'_>| !ends_behind_a_thought(a);
    let probes: Vec<_> = [Asking::Greedy, Asking::Sampled]
        .into_iter()
        .flat_map(|asking| evidence.reference.with_blanks(asking).map(move |(probe, ours)| (asking, probe, ours)))
        .filter(|(_, _, ours)| ours.iter().any(thinks))
        .map(|(asking, probe, ours)| (probe, ours, evidence.answers.all_of(asking, probe)))
        .collect();
    let mut cut = Share::default();
    probes.iter().flat_map(|(_, _, theirs)| *theirs).for_each(|a| cut.count(is_cut(a).into()));
    let of = |answers: &[Answer<'_>]| {
        let kept = answers.iter().filter(is_whole).filter(|a| cut.value() >= MOST || !is_cut(a));
        kept.filter_map(length).map(f64::ln_1p).collect()
    };
    probes
        .into_iter()
        .map(|(probe, ours, theirs)| Values { probe, reference: of(ours), endpoint: of(theirs) })
        .collect()
}

/// How long an answer's thought is, by one measure for both sides: characters where both disclose them, else tokens where
/// both count them. Thoughts that a cap cut are as long as that let them be.
fn measure(evidence: &Evidence<'_>) -> Option<fn(&Answer<'_>) -> Option<f64>> {
    let counts = |answers: &Answers<'_>| answers.compared().any(|a| a.reasoning_tokens().is_some_and(|n| n > 0));
    let both_count = counts(evidence.answers) && counts(evidence.reference);
    let both_send = length_of_thoughts(evidence.answers).is_some() && length_of_thoughts(evidence.reference).is_some();
    // A summary is shorter than what was thought. Without counts nothing tells it from a short thought.
    let is_whole = evidence.thinking.disclosure == Disclosure::Both || both_send && !is_summarised(evidence);
    if is_whole {
        return Some(|a| Some(a.thought.map_or(0, |thought| thought.chars().count()) as f64));
    }
    both_count.then_some(|a| a.reasoning_tokens().map(|n| n as f64))
}

/// Whether either side sends summaries of its thoughts.
fn is_summarised(evidence: &Evidence<'_>) -> bool {
    let (theirs, ours) = (length_of_thoughts(evidence.answers), length_of_thoughts(evidence.reference));
    theirs.zip(ours).is_none_or(|(a, b)| a < MORE_THAN_A_SUMMARY * b || b < MORE_THAN_A_SUMMARY * a)
}
