//! Harmless texts: those in which no secret was found, so that a text is gone through once and not each time that it comes.
//!
//! Part of layer 1's redaction. Every answer of a host brings the same names and values, and what is cleaned when it comes
//! is cleaned once more before it is written. Texts are compared whole, so that none is taken for harmless that was not
//! gone through.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many texts are remembered, each in a place of its own; a power of two.
const PLACES: usize = 1 << 9;

/// The longest text that is remembered, in bytes.
const LONGEST: usize = 4 << 10;

/// Some of the latest texts without a secret.
pub(super) struct Harmless(Mutex<Vec<Box<str>>>);

impl Default for Harmless {
    fn default() -> Self {
        Self(Mutex::new(vec![Box::default(); PLACES]))
    }
}

impl Harmless {
    /// Whether this very text is among them.
    pub fn has(&self, text: &str) -> bool {
        text.len() <= LONGEST && *self.texts()[place(text)] == *text
    }

    /// Remembers a text, in the stead of the one at its place.
    pub fn add(&self, text: &str) {
        if text.len() <= LONGEST {
            self.texts()[place(text)] = text.into();
        }
    }

    fn texts(&self) -> MutexGuard<'_, Vec<Box<str>>> {
        // Nothing under the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a text is remembered. Texts that share a place only forget each other.
fn place(text: &str) -> usize {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mixed = words.iter().chain([&last]).fold(text.len() as u64, |mixed, word| {
        (mixed.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    });
    (mixed >> (64 - PLACES.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_text_is_remembered() {
        let harmless = Harmless::default();
        let (longest, longer) = ("a".repeat(LONGEST), "a".repeat(LONGEST + 1));
        for text in ["assistant", "", longest.as_str(), longer.as_str()] {
            harmless.add(text);
        }
        assert!(["assistant", "", longest.as_str()].iter().all(|text| harmless.has(text)));
        assert!(["assistan", "assistant ", "ssistant", longer.as_str()].iter().all(|text| !harmless.has(text)));
    }

    #[test]
    fn of_more_texts_than_there_are_places_some_are_forgotten_and_none_is_mistaken() {
        let harmless = Harmless::default();
        (0..3 * PLACES).for_each(|number| harmless.add(&number.to_string()));
        let kept = (0..9 * PLACES).filter(|number| harmless.has(&number.to_string())).count();
        assert!((PLACES / 2..=PLACES).contains(&kept), "{kept}");
        assert!((3 * PLACES..9 * PLACES).all(|number| !harmless.has(&number.to_string())));
    }
}
