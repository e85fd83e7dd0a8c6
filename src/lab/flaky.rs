//! What a flaky host does to a request. Pure: decided by the request's own seed, whatever else arrives and when.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The most pieces of text that get through before an answer is cut.
const LONGEST_CUT: u64 = 6;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Served,
    /// 429 with `Retry-After`.
    TooMany,
    /// 503.
    Unavailable,
    /// The connection is reset before anything is answered.
    Reset,
    /// The answer breaks off, with no finish reason and no `[DONE]`.
    Cut {
        /// So many pieces of text get through, at least 1.
        after: usize,
        /// How it ends.
        end: CutEnd,
    },
}

/// How a cut answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutEnd {
    /// The connection closes within the body.
    Torn,
    /// The body ends in good order, as behind a proxy that lost its upstream.
    Quiet,
}

/// The fate of the request with this seed at a host that fails this share of them.
///
/// Failures are of the four kinds in turn by chance, each as often as the others.
pub fn fate(seed: [u8; 32], share: f64) -> Fate {
    /// 2⁻⁵³: a random 53-bit number times this lies in [0, 1).
    const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
    let mut generator = ChaCha8Rng::from_seed(seed);
    if (generator.next_u64() >> 11) as f64 * UNIT >= share {
        return Fate::Served;
    }
    match generator.next_u64() % 4 {
        0 => Fate::TooMany,
        1 => Fate::Unavailable,
        2 => Fate::Reset,
        _ => Fate::Cut {
            after: 1 + (generator.next_u64() % LONGEST_CUT) as usize,
            end: if generator.next_u64().is_multiple_of(2) { CutEnd::Torn } else { CutEnd::Quiet },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::draws::Draws;

    fn fates(share: f64) -> Vec<Fate> {
        let draws = Draws::new(9, "host");
        (0..4_000_u32).map(|number| fate(draws.of(number.to_le_bytes()).seed("fate"), share)).collect()
    }

    #[test]
    fn the_share_of_failures_is_the_one_asked_for_and_all_kinds_occur() {
        let fates = fates(0.25);
        let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
        let failed = count(|fate| *fate != Fate::Served);
        assert!((880..=1120).contains(&failed), "{failed} of 4000");
        for kind in [
            count(|fate| *fate == Fate::TooMany),
            count(|fate| *fate == Fate::Unavailable),
            count(|fate| *fate == Fate::Reset),
            count(|fate| matches!(fate, Fate::Cut { .. })),
        ] {
            assert!((200..=300).contains(&kind), "{kind} of {failed}");
        }
        assert!(count(|fate| matches!(fate, Fate::Cut { end: CutEnd::Torn, .. })) > 50);
        assert!(count(|fate| matches!(fate, Fate::Cut { end: CutEnd::Quiet, .. })) > 50);
    }

    #[test]
    fn fates_repeat_with_the_seed_and_have_bounds() {
        assert_eq!(fates(0.25), fates(0.25));
        assert!(fates(0.0).iter().all(|fate| *fate == Fate::Served));
        assert!(fates(1.0).iter().all(|fate| *fate != Fate::Served));
    }
}
