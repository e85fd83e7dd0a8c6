//! Whether a host's counts of completion tokens are those of its answers, so that rules on caps can go by them.
//!
//! Hosts count characters, chunks of a stream, the last chunk alone, or the cap. Where answers are the reference's word
//! for word their counts are too, but for a token at the end; where none are, a token stands for about as much text as
//! one of the reference's.

use super::tally::FEWEST;
use super::{Evidence, finding};
use crate::signal::answers::Answer;
use crate::signal::tokens::hides_thoughts;
use crate::stats::exact::Share;
use crate::verdict::Confidence::{Likely, Possible};
use crate::verdict::Finding;

/// Tokens that hosts count at an answer's end, or do not.
const AT_ITS_END: u64 = 2;

/// From this share of answers on it is the way in which a host counts.
const MOST: f64 = 0.5;

/// Fewest answers by which a way of counting is judged.
const FEWEST_JUDGED: usize = 8;

/// By how much a token's text may be longer or shorter than that of one of the reference's, as a factor: other
/// tokenizers of large models differ by less.
const ANOTHER_TOKENIZER: f64 = 2.0;

/// The finding that completion tokens are no count of what is answered.
pub(super) fn miscounted(evidence: &Evidence<'_>) -> Option<Finding> {
    // Of thoughts that are in the counts and not in the texts nobody knows how long they are.
    if hides_thoughts(evidence.reference) {
        return None;
    }
    let equal = off_on_equal_texts(evidence);
    if equal.all >= FEWEST_JUDGED {
        return (equal.showing >= FEWEST && equal.value() >= MOST).then(|| {
            let seen = format!(
                "completion_tokens are others than the reference's on {} of {} answers that are its own word for word",
                equal.showing, equal.all
            );
            finding("usage-miscounted", Likely, seen)
        });
    }
    let (theirs, ours) = sizes(evidence);
    let (a_token, ours) = (bytes_per_token(theirs)?, bytes_per_token(ours)?);
    let seen = format!("{a_token:.1} bytes of text for each of completion_tokens, {ours:.1} of the reference's");
    if a_token > ANOTHER_TOKENIZER * ours {
        return Some(finding("usage-miscounted", Likely, format!("{seen}: fewer than the text takes")));
    }
    (ANOTHER_TOKENIZER * a_token < ours)
        .then(|| finding("usage-miscounted", Possible, format!("{seen}: miscounted, or for what is not shown")))
}

/// An answer's bytes and tokens, where all that was generated is text.
fn size(answer: &Answer<'_>) -> Option<(u64, u64)> {
    let thinks = answer.thought.is_some() || answer.reasoning_tokens().is_some_and(|n| n > 0);
    let is_text = !thinks && answer.sample.tool_calls.is_empty() && answer.blank().is_none();
    // A zero stands for a count that was not made.
    let tokens = answer.completion_tokens().filter(|n| *n > 0 && is_text)?;
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

/// By how much more text than the reference's tokens answers that a cap has cut may hold.
const ROOM: f64 = 1.2;

/// Whether the answers that end at so many tokens are as short as that makes them. Where each is said to have the same
/// number, and they are as long as the reference's, it is no count of theirs.
pub(super) fn are_short(evidence: &Evidence<'_>, tokens: u64) -> bool {
    let at_wall = evidence.answers.all().filter_map(size).filter(|(_, n)| *n == tokens).collect();
    let ours = evidence.reference.all().filter_map(size).collect();
    let longest = bytes_per_token(ours).map(|ours| ROOM * ours);
    bytes_per_token(at_wall).zip(longest).is_none_or(|(theirs, longest)| theirs <= longest)
}
