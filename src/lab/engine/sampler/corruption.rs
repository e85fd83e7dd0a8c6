//! Characters of another script that come instead of the token chosen: a fault that has been seen where an engine was compiled
//! wrong. A character comes whole, as the tokens of its bytes, one a step.

use std::collections::VecDeque;

use rand_chacha::rand_core::Rng;

use super::candidates::unit;
use super::mask::TokenMask;
use crate::lab::engine::vocabulary::Vocabulary;

/// Thai consonants, and Chinese characters of the first rows.
const SCRIPTS: [(u32, u32); 2] = [(0x0E01, 46), (0x4E00, 0x1000)];

/// What is still to come of a character.
#[derive(Debug, Default)]
pub struct Corruption {
    pending: VecDeque<u32>,
}

impl Corruption {
    /// The token that comes instead of the one chosen, if one does. What the mask forbids does not come, and ends a character.
    pub fn token(
        &mut self,
        share: f64,
        vocabulary: &Vocabulary,
        mask: Option<&TokenMask>,
        generator: &mut impl Rng,
    ) -> Option<u32> {
        if self.pending.is_empty() && share > 0.0 && unit(generator) < share {
            self.pending.extend(vocabulary.spelt(stray(generator)).unwrap_or_default());
        }
        let token = self.pending.pop_front()?;
        if mask.is_none_or(|mask| mask.allows(token)) {
            return Some(token);
        }
        self.pending.clear();
        None
    }
}

fn stray(generator: &mut impl Rng) -> char {
    let draw = generator.next_u32();
    let (first, count) = SCRIPTS[usize::from(draw & 1 == 1)];
    char::from_u32(first + (draw >> 1) % count).unwrap_or(char::REPLACEMENT_CHARACTER)
}
