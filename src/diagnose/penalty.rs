//! A penalty on repetition: where greedy answers leave the reference's, it is because a word would come again.

use std::collections::BTreeSet;

use super::tally::WORTH_A_WORD;
use super::{Evidence, finding};
use crate::sample::Asking;
use crate::signal::departures::departs;
use crate::stats::exact::{Share, tail, tail_of_even};
use crate::verdict::Confidence::Possible;
use crate::verdict::Finding;

/// Where answers part, the share of the words that came before on one side alone which are the reference's: nearly all, under a
/// penalty. Other weights turn to a used word about as often as away from it, and draws more often away: the likeliest word is one from
/// before more often than others are.
const AWAY: f64 = 0.85;

/// The share of the answers that part which turn away at least. Beside the lab's reference half do at a host with
/// `temperature-ignored=repetition_penalty:1.05` to `1.2`, and up to 15 % under other weights, at another temperature or without the
/// likeliest token.
const MANY: f64 = 0.25;

/// How often an answer that parts from another may turn away from a used word without any penalty. On a real engine other kernels and
/// weights do so about as often as not (`tests/data/engine`). A likeliest word is one from before more often than others are, though, so
/// that beside a reference without noise of its own even odds say too little: this leaves room for that, and is no measurement.
const AWAY_WITHOUT: f64 = 0.75;

/// What else speaks for another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// Answers are farther than the tolerance.
    Distance,
    /// Nothing, so that a penalty must be surely more than what a model's own taste makes.
    Nothing,
}

/// The finding that the endpoint turns away from words that it has used, or the reference does. Weights that were trained to repeat less do
/// so as well, so that it is never more than possible.
pub(super) fn turns_away(evidence: &Evidence<'_>, beside: Beside) -> Option<Finding> {
    // A penalty changes answers in one way, whenever they are asked for. What is drawn turns away as well, and differently each time.
    if evidence.is_restless() {
        return None;
    }
    let theirs = Partings::of(evidence);
    let ours = Partings { of_used: theirs.of_used.rest(), ..theirs };
    let seen = |parting: Partings, who: &str, whose: &str| {
        format!(
            "where greedy answers part and one side goes on with a word that it has used, that is {who} in {} of {} answers, out of {} \
             that part, as under a penalty on repetition at {whose}",
            parting.of_used.showing, parting.of_used.all, parting.all
        )
    };
    let seen = if theirs.are_for_used_words(beside) {
        seen(theirs, "the reference", "the endpoint")
    } else if ours.are_for_used_words(beside) {
        seen(ours, "the endpoint", "the reference")
    } else {
        return None;
    };
    Some(finding("temperature-ignored", Possible, seen))
}

/// First answers to greedy probes that part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Partings {
    all: usize,
    /// Those where exactly one side goes on with a word from before, and of them the ones in which that is the reference.
    of_used: Share,
}

impl Partings {
    fn of(evidence: &Evidence<'_>) -> Self {
        let mut out = Self::default();
        for (probe, reference) in evidence.reference.probes(Asking::Greedy) {
            let theirs = evidence.answers.of(Asking::Greedy, probe);
            let (Some(ours), Some(theirs)) = (reference.first(), theirs.first()) else { continue };
            // What the reference says too has not left it.
            if !departs(theirs, reference.iter()) {
                continue;
            }
            out.all += 1;
            if let Some((ours, theirs)) = parting(&ours.text, &theirs.text).filter(|(ours, theirs)| ours != theirs) {
                out.of_used.count((ours == Word::Used && theirs == Word::New).into());
            }
        }
        out
    }

    /// Whether answers turn away from used words, beyond chance, and many of those that part do so for this.
    fn are_for_used_words(self, beside: Beside) -> bool {
        let away = Share { showing: self.of_used.showing, all: self.all };
        let p = match beside {
            Beside::Distance => tail_of_even(self.of_used),
            Beside::Nothing => tail(self.of_used, AWAY_WITHOUT),
        };
        self.of_used.value() >= AWAY && away.value() >= MANY && p <= WORTH_A_WORD
    }
}

/// A word beside those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Used,
    New,
}

/// The first words that differ, beside those that both texts have before them; `None` where a text ends with one of them, which a cap
/// may have cut or a host have added something to.
fn parting(ours: &str, theirs: &str) -> Option<(Word, Word)> {
    let plain = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let mut used = BTreeSet::new();
    let (mut our_words, mut their_words) = (ours.split_whitespace().peekable(), theirs.split_whitespace().peekable());
    while let (Some(our), Some(their)) = (our_words.next().map(plain), their_words.next().map(plain)) {
        if our != their {
            let is_last = our_words.peek().is_none() || their_words.peek().is_none();
            let kind = |word: &String| if used.contains(word) { Word::Used } else { Word::New };
            return (!is_last).then(|| (kind(&our), kind(&their)));
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
        assert_eq!(of("the cat and the", "the cat and th"), None, "a cap may have cut it");
        assert_eq!(of("The cat and a dog", "the cat and the dog"), Some((Word::New, Word::Used)));
        assert_eq!(of("the cat", "the cat"), None);
    }

    #[test]
    fn a_penalty_turns_nearly_all_away_and_explains_many_of_those_that_part() {
        let parting = |all, showing, of_used| Partings { all, of_used: Share { showing, all: of_used } };
        let of = |all, showing, of_used| parting(all, showing, of_used).are_for_used_words(Beside::Distance);
        assert!(of(55, 32, 33) && of(12, 8, 8));
        assert!(!of(55, 8, 15), "to used words as often as away from them");
        assert!(!of(62, 14, 14), "few of those that part");
        assert!(!of(6, 4, 4), "too few to rule chance out");
        let alone = |showing, all| parting(55, showing, all).are_for_used_words(Beside::Nothing);
        assert!(alone(31, 31) && !alone(14, 14), "a model's own taste turns three of four away");
    }
}
