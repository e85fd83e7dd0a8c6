//! A penalty on repetition: where greedy answers leave the reference's, it is because a word would come again.

use std::collections::BTreeSet;

use super::tally::HARDLY_CHANCE;
use super::{Evidence, finding};
use crate::sample::Asking;
use crate::stats::exact::{Share, tail_of_even};
use crate::verdict::Confidence::Likely;
use crate::verdict::Finding;

/// Where answers part, the share of the words that came before on one side alone which are the reference's: nearly all, under a
/// penalty. Other weights turn to a used word as often as away from it.
const AWAY: f64 = 0.85;

/// The finding that the endpoint turns away from words that it has used.
pub(super) fn turns_away(evidence: &Evidence<'_>) -> Option<Finding> {
    let parting = partings(evidence);
    (parting.value() >= AWAY && tail_of_even(parting) <= HARDLY_CHANCE).then(|| {
        let seen = format!(
            "where greedy answers part and one side goes on with a word that it has used, that is the reference in {} of {} answers, \
             as under a penalty on repetition",
            parting.showing, parting.all
        );
        finding("temperature-ignored", Likely, seen)
    })
}

/// First answers to greedy probes that part where exactly one side goes on with a word from before, and those of them in which that
/// is the reference.
fn partings(evidence: &Evidence<'_>) -> Share {
    let mut share = Share::default();
    for (probe, reference) in evidence.reference.probes(Asking::Greedy) {
        let theirs = evidence.answers.of(Asking::Greedy, probe);
        let (Some(ours), Some(theirs)) = (reference.first(), theirs.first()) else { continue };
        if let Some((ours, theirs)) = parting(&ours.text, &theirs.text).filter(|(ours, theirs)| ours != theirs) {
            share.count((ours == Word::Used && theirs == Word::New).into());
        }
    }
    share
}

/// A word beside those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Used,
    New,
}

/// The first words that differ, beside those that both texts have before them.
fn parting(ours: &str, theirs: &str) -> Option<(Word, Word)> {
    let plain = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let mut used = BTreeSet::new();
    for (our, their) in ours.split_whitespace().map(plain).zip(theirs.split_whitespace().map(plain)) {
        if our != their {
            let kind = |word: &String| if used.contains(word) { Word::Used } else { Word::New };
            return Some((kind(&our), kind(&their)));
        }
        used.insert(our);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_came_before_is_known_where_two_texts_part() {
        let of = |ours, theirs| parting(ours, theirs);
        assert_eq!(of("the cat and the dog", "the cat and a dog"), Some((Word::Used, Word::New)));
        assert_eq!(of("The cat and a dog", "the cat and the dog"), Some((Word::New, Word::Used)));
        assert_eq!(of("the cat", "the cat"), None);
    }
}
