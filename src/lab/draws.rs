//! Chance at an endpoint: everything random of a request comes from one digest, by purpose, so that neither the load nor the
//! order of unlike requests changes any of it. Pure.

use std::fmt::{self, Debug, Write};

use sha2::{Digest, Sha256};

/// 2⁻⁵³: a random 53-bit number times this lies in [0, 1).
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// A source of seeds and numbers, each for a purpose; the same purpose always gets the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draws {
    root: [u8; 32],
}

impl Draws {
    /// The draws of an endpoint with this name in a fleet with this seed.
    pub fn new(seed: u64, endpoint: &str) -> Self {
        Self { root: hash(&seed.to_le_bytes(), endpoint.as_bytes()) }
    }

    /// Draws of their own for a part, such as one request or one of its answers.
    #[must_use]
    pub fn of(&self, part: impl AsRef<[u8]>) -> Self {
        Self { root: hash(&self.root, part.as_ref()) }
    }

    /// A seed for this purpose.
    pub fn seed(&self, purpose: &str) -> [u8; 32] {
        self.of(purpose).root
    }

    /// A number for this purpose.
    pub fn number(&self, purpose: &str) -> u64 {
        self.seed(purpose).first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// A number from 0 to below 1 for this purpose.
    pub fn unit(&self, purpose: &str) -> f64 {
        (self.number(purpose) >> 11) as f64 * UNIT
    }
}

fn hash(first: &[u8], second: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [first, second] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A digest of a value as `Debug` shows it, which names every field, so that nothing that is asked for can be forgotten.
pub fn digest(value: &impl Debug) -> [u8; 32] {
    struct Hashing(Sha256);
    impl Write for Hashing {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text);
            Ok(())
        }
    }
    let mut hashing = Hashing(Sha256::new());
    // Nothing above can fail; a value whose `Debug` fails would be hashed as far as it got.
    let _ = write!(hashing, "{value:?}");
    hashing.0.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_for_a_purpose_and_differ_otherwise() {
        let host = Draws::new(1, "a");
        assert_eq!(host.of("x").seed("p"), Draws::new(1, "a").of("x").seed("p"));
        for other in [host.of("y").seed("p"), host.of("x").seed("q"), Draws::new(2, "a").of("x").seed("p")] {
            assert_ne!(host.of("x").seed("p"), other);
        }
        assert_ne!(Draws::new(1, "b").seed("p"), host.seed("p"));
    }

    #[test]
    fn units_are_even() {
        let host = Draws::new(3, "a");
        let low = (0_u32..4_000).filter(|i| host.of(i.to_le_bytes()).unit("p") < 0.25).count();
        assert!((900..=1_100).contains(&low), "{low} of 4000 below a quarter");
    }

    #[test]
    fn digests_tell_values_apart() {
        assert_eq!(digest(&("a", 1)), digest(&("a", 1)));
        assert_ne!(digest(&("a", 1)), digest(&("a", 2)));
    }
}
