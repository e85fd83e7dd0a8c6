//! The form of the characters: texts that are the reference's but for what transport makes of them, and tokens that were not decoded.

use std::collections::BTreeSet;

use super::tally::Tally;
use super::{Evidence, finding as told};
use crate::signal::answers::{Answer, Answers};
use crate::signal::rewriting::{Rewriting, between};
use crate::signal::unicode::{has_two_forms, is_composed};
use crate::stats::exact::Share;
use crate::verdict::{Confidence, Finding};

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    normalised(evidence).into_iter().chain(undecoded(evidence)).collect()
}

/// How byte-level tokenizers write a space and a line feed, and how `SentencePiece` writes a space.
const UNDECODED: [char; 3] = ['\u{120}', '\u{10a}', '\u{2581}'];

/// So many words of an answer must begin with one.
const FEWEST_UNDECODED: usize = 2;

/// Whether tokens were not decoded. Bars are drawn with one of these characters, and names in Maltese begin with another; only where
/// they stand for spaces are there more of them before words than spaces.
fn is_undecoded(text: &str) -> bool {
    let pairs = text.chars().zip(text.chars().skip(1));
    let marks = pairs.filter(|(c, next)| UNDECODED.contains(c) && next.is_alphanumeric()).count();
    marks >= FEWEST_UNDECODED && marks > text.matches(' ').count()
}

/// The finding that tokens stand in answers as the tokenizer keeps them.
fn undecoded(evidence: &Evidence<'_>) -> Option<Finding> {
    let shows = |a: &Answer<'_>| Some(is_undecoded(&a.text));
    let tally = Tally { endpoint: share(evidence.answers, shows), reference: share(evidence.reference, shows) };
    let confidence = tally.never()?;
    let seen = format!("tokens such as `Ġ` for a space stand in {}", tally.words());
    Some(told("undecoded-tokens", confidence, seen))
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
    let tally = Tally { endpoint, reference: Share { showing: 0, all: evidence.reference.count() } };
    let is_of_host = kinds.iter().any(|kind| !kind.may_be_the_models());
    let confidence = if is_of_host { tally.never() } else { tally.seldom() }?;
    let kinds: Vec<&str> = kinds.into_iter().map(Rewriting::words).collect();
    Some((confidence, format!("answers are the reference's but for {}: {}", kinds.join(", "), tally.words())))
}

fn share(answers: &Answers<'_>, of: impl Fn(&Answer<'_>) -> Option<bool>) -> Share {
    let mut share = Share::default();
    answers.all().filter_map(of).for_each(|shows| share.count(shows.into()));
    share
}
