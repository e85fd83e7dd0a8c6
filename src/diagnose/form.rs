//! The form of the characters: texts that are the reference's in another normal form of Unicode, and tokens that were not decoded.

use super::tally::Tally;
use super::{Evidence, finding as told};
use crate::signal::answers::{Answer, Answers};
use crate::signal::unicode::{has_two_forms, is_composed, is_same_composed};
use crate::stats::exact::Share;
use crate::verdict::Finding;

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

/// The finding that answers are composed where the reference's are decomposed, or the other way round. A reader sees no difference,
/// so it says nothing of the model.
fn normalised(evidence: &Evidence<'_>) -> Option<Finding> {
    let (theirs, ours) = (decomposed(evidence.answers), decomposed(evidence.reference));
    let (decomposed, composed) =
        (Tally { endpoint: theirs, reference: ours }, Tally { endpoint: ours, reference: theirs });
    let same = same_texts(evidence);
    let (confidence, seen) = if let Some(confidence) = same.never() {
        (confidence, format!("but for the normal form of their characters {} are the reference's", same.words()))
    } else if let Some(confidence) = decomposed.seldom() {
        (confidence, format!("characters are decomposed in {}", decomposed.words()))
    } else {
        let words = format!(
            "characters are decomposed in {} of {} of the reference's answers, in {} of {} of its own",
            ours.showing, ours.all, theirs.showing, theirs.all
        );
        (composed.seldom()?, words)
    };
    Some(told("unicode-normalised", confidence, seen))
}

/// The share of decomposed texts, among those whose characters have two forms.
fn decomposed(answers: &Answers<'_>) -> Share {
    share(answers, |a| has_two_forms(a.content).then(|| !is_composed(a.content)))
}

/// Answers that are the reference's once both are composed, and not before.
fn same_texts(evidence: &Evidence<'_>) -> Tally {
    let same = |a: &Answer<'_>| {
        let ours = evidence.reference.of(a.sample.asking(), &a.sample.probe);
        ours.iter().all(|r| r.content != a.content) && ours.iter().any(|r| is_same_composed(r.content, a.content))
    };
    let none = Share { showing: 0, all: evidence.reference.count() };
    Tally { endpoint: share(evidence.answers, |a| Some(same(a))), reference: none }
}

fn share(answers: &Answers<'_>, of: impl Fn(&Answer<'_>) -> Option<bool>) -> Share {
    let mut share = Share::default();
    answers.all().filter_map(of).for_each(|shows| share.count(shows.into()));
    share
}
