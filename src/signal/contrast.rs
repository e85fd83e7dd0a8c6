//! A contrast: a typical answer of the reference beside the endpoint's farthest one, with the words that differ.

use serde::{Deserialize, Serialize};
use similar::{ChangeTag, TextDiff};

/// Characters of an answer that are looked at and shown; string distance is quadratic in it.
const LONGEST: usize = 400;

/// Two answers to one probe that show the difference best.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Contrast {
    /// The probe's id.
    pub probe: String,
    /// The reference's answer that is nearest to its others.
    pub reference: String,
    /// The endpoint's answer that is farthest from it.
    pub endpoint: String,
    /// Both as one text with its changes, by words.
    pub changes: Vec<Change>,
}

/// A piece of the text that both have, or that only one has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    /// Who has it.
    pub side: Side,
    /// The words, raw: whoever shows them escapes them.
    pub text: String,
}

/// Who has a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Both.
    Both,
    /// The reference only.
    Reference,
    /// The endpoint only.
    Endpoint,
}

/// Picks the two answers by normalised Levenshtein similarity; `None` when a side has none.
pub fn contrast(probe: &str, reference: &[&str], endpoint: &[&str]) -> Option<Contrast> {
    let (reference, endpoint) = (shorten(reference), shorten(endpoint));
    let closeness = |i: usize| -> f64 {
        let others = reference.iter().enumerate().filter(|&(j, _)| j != i);
        others.map(|(_, other)| strsim::normalized_levenshtein(&reference[i], other)).sum()
    };
    let typical = &reference[extreme((0..reference.len()).map(closeness))?];
    let distance = |text: &String| 1.0 - strsim::normalized_levenshtein(typical, text);
    let farthest = &endpoint[extreme(endpoint.iter().map(distance))?];
    Some(Contrast {
        probe: probe.to_owned(),
        reference: typical.clone(),
        endpoint: farthest.clone(),
        changes: changes(typical, farthest),
    })
}

/// The first index of the largest value.
fn extreme(values: impl Iterator<Item = f64>) -> Option<usize> {
    values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(i, _)| i)
}

fn shorten(texts: &[&str]) -> Vec<String> {
    let one = |text: &&str| -> String {
        let mut out: String = text.chars().take(LONGEST).collect();
        if out.len() < text.len() {
            out.push('…');
        }
        out
    };
    texts.iter().map(one).collect()
}

/// Both texts as one, word by word, neighbours of one side joined.
pub fn changes(reference: &str, endpoint: &str) -> Vec<Change> {
    let mut out: Vec<Change> = Vec::new();
    for change in TextDiff::from_unicode_words(reference, endpoint).iter_all_changes() {
        let side = match change.tag() {
            ChangeTag::Equal => Side::Both,
            ChangeTag::Delete => Side::Reference,
            ChangeTag::Insert => Side::Endpoint,
        };
        match out.last_mut() {
            Some(last) if last.side == side => last.text.push_str(change.value()),
            _ => out.push(Change { side, text: change.value().to_owned() }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_typical_and_the_farthest_are_picked() {
        let found = contrast("p", &["a cat sat", "a cat sits", "zzz"], &["a cat sat", "un chat"]).expect("answers");
        assert_eq!((found.reference.as_str(), found.endpoint.as_str()), ("a cat sat", "un chat"));
        assert_eq!(contrast("p", &[], &["x"]), None);
        assert_eq!(contrast("p", &["x"], &[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_changes_hold_both_texts_whole(a in "[a-d ]{0,40}", b in "[a-d ]{0,40}") {
            let pieces = changes(&a, &b);
            let side = |skip: Side| -> String { pieces.iter().filter(|c| c.side != skip).map(|c| c.text.as_str()).collect() };
            prop_assert_eq!(side(Side::Endpoint), a);
            prop_assert_eq!(side(Side::Reference), b);
        }
    }
}
