//! Whether a seed is kept: two answers with one seed, held against two with another.
//!
//! A host in good order repeats its draws but not its sums, so that in another batch one of two such answers may leave
//! the other at any token, the first among them. One early parting therefore says nothing: a seed is ignored only where
//! answers with one are no more alike than answers with two.

use super::State;
use super::read::{TELLING, agree, common};
use crate::plural::count;

/// How many times as long answers with one seed must be alike as answers with different seeds, to show that it is kept.
const FAR: usize = 4;

/// Whether the host's sums differ from request to request, as its greedy answers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    /// Greedy answers to one prompt are not all the same.
    Seen,
    /// They are, as far as there are several.
    Unseen,
}

/// Two answers, compared.
#[derive(Debug, Clone, Copy)]
struct Pair {
    /// Characters of the shorter one.
    length: usize,
    /// Characters that both begin with.
    alike: usize,
    /// Whether one is the beginning of the other.
    agrees: bool,
}

impl Pair {
    fn of(a: &str, b: &str) -> Self {
        let length = a.chars().count().min(b.chars().count());
        Self { length, alike: common(a, b), agrees: agree(a, b) }
    }
}

/// What the host does with a seed, and what that rests on. The order of the two answers with a seed, and of the two
/// seeds, is all the same.
pub(super) fn judge(one: [&str; 2], other: [&str; 2], noise: Noise) -> (State, String) {
    let same = [one, other].map(|[first, again]| Pair::of(first, again));
    let across = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| Pair::of(one[i], other[j]));
    let shortest = same.iter().map(|pair| pair.length).min().unwrap_or(0);
    if shortest < TELLING {
        return (State::Unknown, format!("answers of {} are too short to tell", count(shortest, "character")));
    }
    let longest = |pairs: &[Pair]| pairs.iter().map(|pair| pair.alike).max().unwrap_or(0);
    let (with_one, with_two) = (longest(&same), longest(&across));
    let alike = format!(
        "with one seed the answers begin alike for {}, with different seeds for {with_two}",
        count(with_one, "character")
    );
    let is_far = |characters: usize| characters > with_two * FAR;
    let (all_agree, any_agrees) = (same.iter().all(|pair| pair.agrees), same.iter().any(|pair| pair.agrees));
    if all_agree && !across.iter().any(|pair| pair.agrees) {
        return (State::Honoured, "each of two seeds gave one answer twice, and not the other's".to_owned());
    }
    if all_agree && across.iter().all(|pair| pair.agrees) {
        return (State::Unknown, "the answers are the same whatever the seed".to_owned());
    }
    let is_kept = same.iter().any(|pair| pair.agrees && is_far(pair.length))
        || same.iter().all(|pair| pair.alike * 2 >= pair.length && is_far(pair.alike));
    if is_kept {
        return (State::Honoured, alike);
    }
    if !any_agrees && with_one <= with_two && noise == Noise::Unseen {
        return (State::Ignored, alike);
    }
    (State::Unknown, format!("{alike}: numerical noise, or chance"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAMP: &str = "The lamp turned, and the keeper slept until the gulls came.";
    const SHIP: &str = "A ship had left it on the rocks, wrapped in oilcloth and wax.";

    fn state(one: [&str; 2], other: [&str; 2]) -> State {
        judge(one, other, Noise::Unseen).0
    }

    #[test]
    fn a_seed_that_gives_its_answer_again_is_honoured() {
        assert_eq!(state([LAMP, LAMP], [SHIP, SHIP]), State::Honoured);
    }

    #[test]
    fn noise_in_one_answer_or_late_in_both_leaves_a_seed_honoured() {
        assert_eq!(state([LAMP, "Then the storm came and took the boats."], [SHIP, SHIP]), State::Honoured);
        let parted = ["The lamp turned, and the keeper slept, as he always did.", LAMP];
        let also_parted = [SHIP, "A ship had left it on the rocks, torn and wet, for him."];
        let (state, evidence) = judge(parted, also_parted, Noise::Seen);
        assert_eq!(state, State::Honoured, "{evidence}");
        assert_eq!(evidence, "with one seed the answers begin alike for 37 characters, with different seeds for 0");
    }

    #[test]
    fn a_seed_with_which_answers_are_no_more_alike_than_without_is_ignored() {
        let drawn = ["It was a letter from his wife.", "He found it at low tide.", "Nobody had written to him."];
        assert_eq!(state([LAMP, SHIP], [drawn[0], drawn[1]]), State::Ignored);
        assert_eq!(state([LAMP, SHIP], [drawn[2], "The lamp went out."]), State::Ignored);
    }

    #[test]
    fn early_partings_are_put_down_to_noise_where_it_shows_elsewhere_or_the_answers_are_still_more_alike() {
        let drawn = ["It was a letter from his wife.", "He found it at low tide."];
        assert_eq!(judge([LAMP, SHIP], drawn, Noise::Seen).0, State::Unknown);
        assert_eq!(state(["The lantern fell into the sea.", LAMP], drawn), State::Unknown);
    }

    #[test]
    fn what_is_short_or_the_same_whatever_the_seed_tells_nothing() {
        assert_eq!(state(["Yes.", "No."], [LAMP, SHIP]), State::Unknown);
        assert_eq!(state([LAMP, LAMP], [LAMP, LAMP]), State::Unknown);
    }

    proptest! {
        #[test]
        fn the_order_of_answers_and_of_seeds_changes_nothing(
            a in "[ab]{10,16}", b in "[ab]{10,16}", c in "[ab]{10,16}", d in "[ab]{10,16}",
        ) {
            for noise in [Noise::Seen, Noise::Unseen] {
                let found = judge([&a, &b], [&c, &d], noise);
                prop_assert_eq!(judge([&b, &a], [&c, &d], noise), found.clone());
                prop_assert_eq!(judge([&a, &b], [&d, &c], noise), found.clone());
                prop_assert_eq!(judge([&c, &d], [&a, &b], noise), found.clone());
            }
        }

        #[test]
        fn noise_in_one_answer_never_makes_a_seed_ignored(
            a in "[a-d]{0,30}", b in "[a-d]{0,30}", noisy in "[a-d]{0,30}",
        ) {
            for noise in [Noise::Seen, Noise::Unseen] {
                prop_assert_ne!(judge([&a, &noisy], [&b, &b], noise).0, State::Ignored);
                prop_assert_ne!(judge([&a, &a], [&noisy, &b], noise).0, State::Ignored);
            }
        }
    }
}
