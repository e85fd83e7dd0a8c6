//! The form of the characters: texts that are the reference's but for what transport makes of them, and tokens that were not decoded.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{FEWEST, Tally};
use super::{Evidence, finding as told};
use crate::signal::answers::{Answer, Answers};
use crate::signal::marks::without_special_tokens;
use crate::signal::rewriting::{Rewriting, between};
use crate::signal::undecoded::{first_token, is_misread};
use crate::signal::unicode::{has_two_forms, is_composed};
use crate::stats::exact::Share;
use crate::verdict::Confidence::Possible;
use crate::verdict::{Confidence, Finding};

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    [normalised, undecoded, misread].into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// What answers show, on the probes to which none of the reference's shows it: what is asked for is there in both.
struct Contrast {
    tally: Tally,
    /// Probes of which an answer shows it.
    probes: usize,
}

impl Contrast {
    fn of(evidence: &Evidence<'_>, shows: impl Fn(&Answer<'_>) -> bool) -> Self {
        let mut out = Self { tally: Tally::default(), probes: 0 };
        for (asking, probe, ours) in evidence.reference.everything() {
            if ours.iter().any(&shows) {
                continue;
            }
            let theirs = evidence.answers.of(asking, probe);
            out.tally.reference.all += ours.len();
            out.tally.endpoint.all += theirs.len();
            let showing = theirs.iter().filter(|a| shows(a)).count();
            out.tally.endpoint.showing += showing;
            out.probes += usize::from(showing > 0);
        }
        out
    }

    /// How sure it is, for what no model writes of itself. One or two probes may ask for it.
    fn confidence(&self) -> Option<Confidence> {
        let confidence = self.tally.never()?;
        Some(if self.probes < FEWEST { confidence.max(Possible) } else { confidence })
    }
}

/// The token in an answer that was not decoded. Special tokens have such characters in them, and are told as such.
fn token(answer: &Answer<'_>) -> Option<&'static str> {
    first_token(&without_special_tokens(answer.generated()))
}

/// The finding that tokens stand in answers as the tokenizer keeps them.
fn undecoded(evidence: &Evidence<'_>) -> Option<Finding> {
    let contrast = Contrast::of(evidence, |a| token(a).is_some());
    let confidence = contrast.confidence()?;
    let mut marks: BTreeMap<&str, usize> = BTreeMap::new();
    evidence.answers.all().filter_map(token).for_each(|mark| *marks.entry(mark).or_default() += 1);
    let (mark, _) = marks.into_iter().max_by_key(|(_, answers)| *answers)?;
    let seen = format!("tokens such as {mark} stand in {}", contrast.tally.words());
    Some(told("undecoded-tokens", confidence, seen))
}

/// The finding that characters stand in answers as if each of their bytes were one. A host may have read them so, or a model learnt
/// them from pages on which they stand.
fn misread(evidence: &Evidence<'_>) -> Option<Finding> {
    let contrast = Contrast::of(evidence, |a| token(a).is_none() && is_misread(a.generated()));
    let confidence = contrast.confidence()?.max(Possible);
    let seen = format!("letters such as `Ã©` for the bytes of one stand in {}", contrast.tally.words());
    Some(told("corrupted-output", confidence, seen))
}

/// The finding that answers are the reference's but for what transport makes of texts, or that characters are decomposed,
/// or lines ended otherwise, on one side alone. A reader sees no difference, so it says nothing of the model.
fn normalised(evidence: &Evidence<'_>) -> Option<Finding> {
    let on_one_side = |what: &str, shows: fn(&Answer<'_>) -> Option<bool>| {
        seen_on_one_side(what, share(evidence.answers, shows), share(evidence.reference, shows))
    };
    let (confidence, seen) = rewritten(evidence)
        .or_else(|| on_one_side("characters are decomposed", is_decomposed))
        .or_else(|| on_one_side("lines end with a carriage return and a line feed", ends_with_two))?;
    Some(told("unicode-normalised", confidence, seen))
}

/// Whether a text is decomposed, where its characters have two forms.
fn is_decomposed(answer: &Answer<'_>) -> Option<bool> {
    has_two_forms(answer.content).then(|| !is_composed(answer.content))
}

/// Whether a carriage return stands before a text's line feeds, where it has any.
fn ends_with_two(answer: &Answer<'_>) -> Option<bool> {
    answer.content.contains('\n').then(|| answer.content.contains("\r\n"))
}

/// What shows in the endpoint's answers and not in the reference's, or the other way round.
fn seen_on_one_side(what: &str, theirs: Share, ours: Share) -> Option<(Confidence, String)> {
    let there = Tally { endpoint: theirs, reference: ours };
    if let Some(confidence) = there.seldom() {
        return Some((confidence, format!("{what} in {}", there.words())));
    }
    let confidence = Tally { endpoint: ours, reference: theirs }.seldom()?;
    let words = format!(
        "{what} in {} of {} of the reference's answers, in {} of {} of its own",
        ours.showing, ours.all, theirs.showing, theirs.all
    );
    Some((confidence, words))
}

/// Answers that are the reference's once both are folded, and not before. Two signs for one thing may both be the
/// model's own, of which one or the other comes where neither is likelier; then only more than chance is told.
fn rewritten(evidence: &Evidence<'_>) -> Option<(Confidence, String)> {
    let mut kinds = BTreeSet::new();
    let mut endpoint = Share::default();
    for answer in evidence.answers.all() {
        let ours = evidence.reference.of(answer.sample.asking(), &answer.sample.probe);
        let is_given = ours.iter().any(|r| r.content == answer.content);
        let twin = ours.iter().find(|r| !is_given && r.text == answer.text);
        endpoint.count(twin.is_some().into());
        kinds.extend(twin.into_iter().flat_map(|r| between(r.content, answer.content)));
    }
    let tally = Tally { endpoint, reference: rewritten_by_itself(evidence.reference) };
    let is_of_host = tally.reference.showing == 0 && kinds.iter().any(|kind| !kind.may_be_the_models());
    let confidence = if is_of_host { tally.never() } else { tally.seldom() }?;
    let kinds: Vec<&str> = kinds.into_iter().map(Rewriting::words).collect();
    Some((confidence, format!("answers are the reference's but for {}: {}", kinds.join(", "), tally.words())))
}

/// Answers that are another one of the same host once both are folded, and not before: it writes them both ways itself.
fn rewritten_by_itself(answers: &Answers<'_>) -> Share {
    let mut share = Share::default();
    for (_, _, of_probe) in answers.everything() {
        for answer in of_probe {
            let is_twin = |other: &Answer<'_>| other.text == answer.text && other.content != answer.content;
            share.count(of_probe.iter().any(is_twin).into());
        }
    }
    share
}

fn share(answers: &Answers<'_>, of: impl Fn(&Answer<'_>) -> Option<bool>) -> Share {
    let mut share = Share::default();
    answers.all().filter_map(of).for_each(|shows| share.count(shows.into()));
    share
}
