//! Whether a host's counts of completion tokens are those of its answers, so that rules on caps can go by them.
//!
//! Hosts count characters, chunks of a stream, the last chunk alone, or the cap. Where answers are the reference's word
//! for word their counts are too, but for a token at the end; where none are, a token stands for about as much text as
//! one of the reference's.

use super::tally::FEWEST;
use super::{Evidence, finding};
use crate::signal::answers::Answer;
use crate::signal::finish::Ended;
use crate::signal::tokens::{AT_ITS_END, hides_thoughts};
use crate::stats::exact::Share;
use crate::verdict::Confidence::{Likely, Possible};
use crate::verdict::Finding;

/// From this share of answers on it is the way in which a host counts.
const MOST: f64 = 0.5;

/// Fewest answers by which a way of counting is judged.
const FEWEST_JUDGED: usize = 8;

/// By how much a token's text may be longer or shorter than that of one of the reference's, as a factor: other
/// tokenizers of large models differ by less.
const ANOTHER_TOKENIZER: f64 = 2.0;

/// Bytes of text for each token that tokenizers of large models make, with room on both sides: three to five of English,
/// three to six of Chinese. What lies outside is no count of what is shown.
const PLAUSIBLE: (f64, f64) = (1.5, 8.0);

/// The finding that completion tokens are no count of what is answered. Where the reference's cannot be one and the
/// endpoint's can, it is the reference that counts wrongly.
pub(super) fn miscounted(evidence: &Evidence<'_>) -> Option<Finding> {
    // Of thoughts that are in the counts and not in the texts nobody knows how long they are.
    if hides_thoughts(evidence.reference) {
        return None;
    }
    let (theirs, ours) = sizes(evidence);
    let (theirs, ours) = (bytes_per_token(theirs), bytes_per_token(ours));
    let is_plausible = |a_token: f64| (PLAUSIBLE.0..=PLAUSIBLE.1).contains(&a_token);
    let equal = off_on_equal_texts(evidence);
    if equal.all >= FEWEST_JUDGED {
        return (equal.showing >= FEWEST && equal.value() >= MOST).then(|| {
            let is_reference_off = theirs.is_some_and(is_plausible) && ours.is_some_and(|ours| !is_plausible(ours));
            let seen = format!(
                "completion_tokens are others than the reference's on {} of {} answers that are its own word for word",
                equal.showing, equal.all
            );
            finding("usage-miscounted", if is_reference_off { Possible } else { Likely }, seen)
        });
    }
    let (theirs, ours) = (theirs?, ours?);
    let seen = format!("{theirs:.1} bytes of text for each of completion_tokens, {ours:.1} of the reference's");
    if theirs > ANOTHER_TOKENIZER * ours {
        let (confidence, why) = if theirs > PLAUSIBLE.1 {
            (Likely, "fewer than the text takes")
        } else {
            (Possible, "fewer than the text takes, or the reference's are more")
        };
        return Some(finding("usage-miscounted", confidence, format!("{seen}: {why}")));
    }
    (ANOTHER_TOKENIZER * theirs < ours)
        .then(|| finding("usage-miscounted", Possible, format!("{seen}: miscounted, or for what is not shown")))
}

/// Whether all that was generated is text.
fn is_text(answer: &Answer<'_>) -> bool {
    let thinks = answer.thought.is_some() || answer.reasoning_tokens().is_some_and(|n| n > 0);
    !thinks && answer.sample.tool_calls.is_empty() && answer.blank().is_none()
}

/// An answer's bytes and tokens, where all that was generated is text.
fn size(answer: &Answer<'_>) -> Option<(u64, u64)> {
    // A zero stands for a count that was not made.
    let tokens = answer.completion_tokens().filter(|n| *n > 0 && is_text(answer))?;
    Some((answer.sample.text.len() as u64, tokens))
}

/// Answers whose text is one of the reference's to the byte, and of these the ones with another count.
fn off_on_equal_texts(evidence: &Evidence<'_>) -> Share {
    let mut share = Share::default();
    for (asking, probe, ours) in evidence.reference.everything() {
        for answer in evidence.answers.of(asking, probe) {
            let Some((_, tokens)) = size(answer) else { continue };
            let equal = ours.iter().filter(|r| r.sample.text == answer.sample.text);
            let nearest = equal.filter_map(size).map(|(_, n)| n.abs_diff(tokens)).min();
            if let Some(off) = nearest {
                share.count((off > AT_ITS_END).into());
            }
        }
    }
    share
}

/// Bytes and tokens of answers.
type Sizes = Vec<(u64, u64)>;

/// The endpoint's and the reference's, on the probes to which no answer of the reference's holds more than text.
fn sizes(evidence: &Evidence<'_>) -> (Sizes, Sizes) {
    let (mut theirs, mut ours) = (Sizes::new(), Sizes::new());
    for (asking, probe, answers) in evidence.reference.everything() {
        let of_probe: Option<Sizes> = answers.iter().map(size).collect();
        let Some(of_probe) = of_probe else { continue };
        theirs.extend(evidence.answers.of(asking, probe).iter().filter_map(size));
        ours.extend(of_probe);
    }
    (theirs, ours)
}

/// `None` of too few answers.
fn bytes_per_token(sizes: Sizes) -> Option<f64> {
    let n = sizes.len();
    let (bytes, tokens) = sizes.into_iter().fold((0.0, 0.0), |sum, (b, t)| (sum.0 + b as f64, sum.1 + t as f64));
    (n >= FEWEST_JUDGED).then(|| bytes / tokens)
}

/// Bytes of text for each of the reference's tokens: by its counts, or else by the caps that have cut its answers.
pub(super) fn reference_bytes_per_token(evidence: &Evidence<'_>) -> Option<f64> {
    let cut = |a: &Answer<'_>| {
        let is_cut = Ended::of(a) == Ended::AtCap && is_text(a);
        a.cap().filter(|_| is_cut).map(|cap| (a.sample.text.len() as u64, cap))
    };
    let counted = bytes_per_token(evidence.reference.all().filter_map(size).collect());
    counted.or_else(|| bytes_per_token(evidence.reference.all().filter_map(cut).collect()))
}

/// By how much more text than so many of the reference's tokens have an answer may hold: tokens are not all of one length.
pub(super) const ROOM: f64 = 1.2;

/// Whether the answers that end at so many tokens are as short as that makes them. Where each is said to have the same
/// number, and they are as long as the reference's, it is no count of theirs.
pub(super) fn are_short(evidence: &Evidence<'_>, tokens: u64) -> bool {
    let at_wall = evidence.answers.all().filter_map(size).filter(|(_, n)| *n == tokens).collect();
    let longest = reference_bytes_per_token(evidence).map(|ours| ROOM * ours);
    bytes_per_token(at_wall).zip(longest).is_none_or(|(theirs, longest)| theirs <= longest)
}
