//! The token oracle: prompt tokens as each host counts them.
//!
//! The prompt is the same, so with the same model, template and system message the count is the same. One token more on
//! every probe is no noise: it is a second BOS.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Answer, Answers};
use crate::sample::Asking;

/// How prompt-token counts compare over the probes for which both sides report exactly one count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptTokens {
    /// The pairs (reference, endpoint), one for each such probe.
    pub counts: Vec<(u64, u64)>,
    /// Probes for which the endpoint reports more than one count for one prompt, while the reference reports one.
    pub wavering: usize,
}

/// The shape of the disagreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing to compare.
    Unknown,
    /// Equal on all probes.
    Equal,
    /// The same offset on all probes.
    Offset(i64),
    /// Equal up to a ceiling, which longer prompts never pass.
    Ceiling(u64),
    /// Different on some or all probes, without one rule.
    Mixed {
        /// Probes that differ.
        differing: usize,
    },
}

impl PromptTokens {
    /// Compares all probes.
    pub fn compare(reference: &Answers<'_>, endpoint: &Answers<'_>) -> Self {
        let mut out = Self::default();
        for asking in [Asking::Greedy, Asking::Sampled] {
            for (probe, answers) in reference.probes(asking) {
                let (theirs, ours) = (counts(endpoint.of(asking, probe)), counts(answers));
                match (single(&ours), single(&theirs)) {
                    (Some(r), Some(e)) => out.counts.push((r, e)),
                    (Some(_), None) if theirs.len() > 1 => out.wavering += 1,
                    _ => {}
                }
            }
        }
        out
    }

    /// Says which rule the differences follow.
    pub fn shape(&self) -> Shape {
        if self.counts.is_empty() {
            return Shape::Unknown;
        }
        let offsets: BTreeSet<i64> = self.counts.iter().map(|&(r, e)| e.cast_signed() - r.cast_signed()).collect();
        if offsets.len() == 1 {
            return match offsets.first() {
                Some(0) | None => Shape::Equal,
                Some(&offset) => Shape::Offset(offset),
            };
        }
        let ceiling = self.counts.iter().map(|&(_, e)| e).max().unwrap_or(0);
        if self.counts.iter().all(|&(r, e)| e == r.min(ceiling)) {
            return Shape::Ceiling(ceiling);
        }
        Shape::Mixed { differing: self.counts.iter().filter(|(r, e)| r != e).count() }
    }

    /// The commonest pair that differs, as an example: reference, endpoint.
    pub fn example(&self) -> Option<(u64, u64)> {
        let mut seen: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        for &pair in self.counts.iter().filter(|(r, e)| r != e) {
            *seen.entry(pair).or_default() += 1;
        }
        seen.into_iter().max_by_key(|&(_, n)| n).map(|(pair, _)| pair)
    }

    /// Probes that differ.
    pub fn differing(&self) -> usize {
        self.counts.iter().filter(|(r, e)| r != e).count()
    }
}

fn counts(answers: &[Answer<'_>]) -> BTreeSet<u64> {
    answers.iter().filter_map(|a| a.sample.usage?.prompt_tokens).collect()
}

fn single(counts: &BTreeSet<u64>) -> Option<u64> {
    if counts.len() == 1 { counts.first().copied() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(counts: &[(u64, u64)]) -> Shape {
        PromptTokens { counts: counts.to_vec(), wavering: 0 }.shape()
    }

    #[test]
    fn each_rule_is_told_from_the_others() {
        assert_eq!(shape(&[]), Shape::Unknown);
        assert_eq!(shape(&[(5, 5), (9, 9)]), Shape::Equal);
        assert_eq!(shape(&[(5, 6), (9, 10)]), Shape::Offset(1));
        assert_eq!(shape(&[(5, 5), (40, 32), (90, 32)]), Shape::Ceiling(32));
        assert_eq!(shape(&[(5, 6), (9, 12), (7, 7)]), Shape::Mixed { differing: 2 });
    }
}
