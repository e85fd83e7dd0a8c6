//! Tallies: how many answers of each side show something, and how sure that makes it.
//!
//! Two kinds of things are told apart. What a correct host *never* does, whatever its model says (a special token in the text,
//! more tokens than the cap), is certain from three answers on, as long as the reference does not do it: one may be a slip
//! of a restarting server, and three are a rule. What a *model* does now and then (a word in another script, JSON that
//! breaks) is certain only where chance cannot make it: Fisher's exact test against the reference's own count, at a level that all
//! rules of this kind share.

use crate::stats::exact::{Share, more_often};
use crate::verdict::Confidence;

/// Fewest probes or answers on which an exact disagreement counts as a rule.
pub const FEWEST: usize = 3;

/// Rules that can be wrong by chance, each delivery and form that is looked at counted by itself.
const RULES_OF_CHANCE: f64 = 12.0;

/// From this p-value on chance is ruled out: one false alarm in a thousand for all rules that can be wrong by chance together.
pub const RULED_OUT: f64 = 0.001 / RULES_OF_CHANCE;

/// From this p-value on it is likely: with one in two hundred, for all of them together, it is not.
pub const HARDLY_CHANCE: f64 = 0.005 / RULES_OF_CHANCE;

/// The same as ruled out where all of the endpoint's answers show it and none of the reference's: six against six are enough.
const ALL_AGAINST_NONE: f64 = 0.0011;

/// From this p-value on it is worth a word.
pub const WORTH_A_WORD: f64 = 0.01;

/// How many answers of each side show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// The endpoint's.
    pub endpoint: Share,
    /// The reference's.
    pub reference: Share,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let add = |a: Share, b: Share| Share { showing: a.showing + b.showing, all: a.all + b.all };
        Self { endpoint: add(self.endpoint, other.endpoint), reference: add(self.reference, other.reference) }
    }

    /// How sure it is, for what a correct host never does.
    pub fn never(self) -> Option<Confidence> {
        if self.endpoint.showing < FEWEST {
            return None;
        }
        Some(match self.reference {
            Share { showing: 0, all } if all >= FEWEST => Confidence::Certain,
            Share { showing: 0, .. } => Confidence::Likely,
            // What the reference does as well is no difference from it, though worth knowing.
            _ => Confidence::Possible,
        })
    }

    /// How sure it is, for what a correct model does now and then.
    pub fn seldom(self) -> Option<Confidence> {
        let p = more_often(self.endpoint, self.reference);
        if self.endpoint.showing < FEWEST || p > WORTH_A_WORD {
            return None;
        }
        Some(if self.reference.showing == 0 && self.is_beyond_chance() {
            Confidence::Certain
        } else if p <= HARDLY_CHANCE {
            Confidence::Likely
        } else {
            Confidence::Possible
        })
    }

    /// Whether chance cannot make the endpoint's answers show it so much more often.
    pub fn is_beyond_chance(self) -> bool {
        let p = more_often(self.endpoint, self.reference);
        let opposite = self.endpoint.showing == self.endpoint.all && self.reference.showing == 0;
        p <= RULED_OUT || opposite && p <= ALL_AGAINST_NONE
    }

    /// In words: `7 of 20 answers, 0 of 20 of the reference's`.
    pub fn words(self) -> String {
        let Self { endpoint, reference } = self;
        format!(
            "{} of {} answers, {} of {} of the reference's",
            endpoint.showing, endpoint.all, reference.showing, reference.all
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(endpoint: (usize, usize), reference: (usize, usize)) -> Tally {
        let share = |(showing, all)| Share { showing, all };
        Tally { endpoint: share(endpoint), reference: share(reference) }
    }

    #[test]
    fn what_no_correct_host_does_takes_three_answers_and_a_reference_without_it() {
        assert_eq!(tally((3, 90), (0, 90)).never(), Some(Confidence::Certain));
        assert_eq!(tally((2, 90), (0, 90)).never(), None);
        assert_eq!(tally((3, 90), (0, 1)).never(), Some(Confidence::Likely));
        assert_eq!(tally((3, 90), (4, 90)).never(), Some(Confidence::Possible));
    }

    #[test]
    fn what_models_do_now_and_then_must_be_beyond_chance() {
        assert_eq!(tally((3, 90), (0, 90)).seldom(), None);
        assert_eq!(tally((8, 90), (0, 90)).seldom(), Some(Confidence::Possible));
        assert_eq!(tally((12, 90), (0, 90)).seldom(), Some(Confidence::Likely));
        assert_eq!(tally((15, 90), (0, 90)).seldom(), Some(Confidence::Certain));
        assert_eq!(tally((30, 90), (1, 90)).seldom(), Some(Confidence::Likely));
        assert_eq!(tally((6, 6), (0, 6)).seldom(), Some(Confidence::Certain));
        assert_eq!(tally((4, 4), (0, 4)).seldom(), None, "two coins that fall each its way twice");
        assert!(tally((6, 6), (0, 6)).is_beyond_chance() && tally((30, 90), (1, 90)).is_beyond_chance());
        assert!(!tally((4, 4), (0, 4)).is_beyond_chance() && !tally((12, 90), (0, 90)).is_beyond_chance());
    }
}
