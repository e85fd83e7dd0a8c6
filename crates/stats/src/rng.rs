//! Random generators derived from one seed and a label.
//!
//! Deriving by label rather than by drawing from a shared generator makes each stream independent of how many others
//! there are and of the order in which threads reach them.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

/// The generator of `label` under `seed`: the same for the same two, unrelated for any other.
pub fn derive(seed: u64, label: &[&str]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in label {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A seed derived likewise, for those who pass it on.
pub fn derive_seed(seed: u64, label: &[&str]) -> u64 {
    use rand::Rng as _;
    derive(seed, label).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_told_apart_even_when_their_letters_run_together() {
        assert_ne!(derive_seed(1, &["ab", "c"]), derive_seed(1, &["a", "bc"]));
        assert_ne!(derive_seed(1, &["ab"]), derive_seed(2, &["ab"]));
        assert_eq!(derive_seed(7, &["x", "y"]), derive_seed(7, &["x", "y"]));
    }
}
