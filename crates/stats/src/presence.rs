//! Which words the endpoint's answers hold more often, or less, than the reference's.
//!
//! Each answer is the set of its pieces. For a piece `w` over all probes, `D_w` is the number of the endpoint's answers that
//! hold it, less its expectation under permutation of labels within each probe, and `V_w` the variance of that number;
//! the statistic is
//!
//! ```text
//! S = Σ_w D_w² / (V_w + 3)
//! ```
//!
//! The constant keeps rare words, of which there are many, from drowning the others. Rounded weights prefer other words a
//! little and everywhere; a comparison of whole texts sees hardly anything of that.
//!
//! All labellings of a block are counted side by side, one byte each, so that the compiler can use vectors.

// What is to be vectorised has to be compiled as one function for the processor at hand.
#![allow(clippy::inline_always)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use pulp::{Arch, Simd, WithSimd};

use crate::pieces::ProbePieces;

/// How many labellings are counted at once.
pub const BLOCK: usize = 64;

/// For one answer, whether it is the endpoint's (1) or the reference's (0) in each labelling of a block.
pub type Labels = [u8; BLOCK];

/// Added to each variance; see the module.
const DAMPING: f64 = 3.0;

/// Summands that a byte can count.
const BYTE: usize = u8::MAX as usize;

/// The answers that hold each word, prepared for any labelling.
#[derive(Debug, Clone)]
pub struct Presence {
    /// One for each set of holders.
    words: Vec<Word>,
    /// The answers that are counted, one word after the other; numbered over all probes.
    answers: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Word {
    /// Where the answers end that hold it and are counted; they begin where the last word's end.
    with: usize,
    /// Where those end that do not hold it and are counted.
    without: usize,
    /// How many are expected: of the endpoint's among those with it and of the reference's among those without.
    expected: f64,
    /// `1 / (V + 3)`, for each of the words that these answers and no others hold.
    weight: f64,
}

impl Presence {
    /// `reference` has the number of the reference's answers to each probe, which come first among the probe's answers.
    pub fn new(probes: &[ProbePieces], distinct: usize, reference: &[usize]) -> Self {
        let mut out = Self { words: Vec::new(), answers: Vec::new() };
        let sizes: Vec<Size> = sizes(probes, reference);
        // Words that the same answers hold, such as those of one phrase, differ from expectation alike.
        let mut words: HashMap<Counted, usize> = HashMap::new();
        for holders in holders(probes, distinct) {
            let Some((counted, expected, variance)) = counted(&holders, &sizes) else { continue };
            let weight = 1.0 / (variance + DAMPING);
            match words.entry(counted) {
                Entry::Occupied(known) => out.words[*known.get()].weight += weight,
                Entry::Vacant(new) => {
                    out.answers.extend(&new.key().with);
                    let with = out.answers.len();
                    out.answers.extend(&new.key().without);
                    new.insert(out.words.len());
                    out.words.push(Word { with, without: out.answers.len(), expected, weight });
                }
            }
        }
        out
    }

    /// `S` under each labelling of a block. `labels` has one row for each answer, over all probes.
    pub fn block(&self, labels: &[Labels]) -> [f64; BLOCK] {
        Arch::new().dispatch(Block { presence: self, labels })
    }
}

/// The statistic of a block of labellings, in whatever vector instructions the processor has.
struct Block<'a> {
    presence: &'a Presence,
    labels: &'a [Labels],
}

impl WithSimd for Block<'_> {
    type Output = [f64; BLOCK];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [f64; BLOCK] {
        let Self { presence, labels } = self;
        let mut sums = [0.0; BLOCK];
        let mut start = 0;
        for word in &presence.words {
            let (with, without) = (&presence.answers[start..word.with], &presence.answers[word.with..word.without]);
            start = word.without;
            if with.len() + without.len() <= BYTE {
                let counts = count(with, without, labels);
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += (f64::from(count) - word.expected).powi(2) * word.weight;
                }
                continue;
            }
            let mut counts = [0.0; BLOCK];
            let parts = with.chunks(BYTE).map(|with| count(with, &[], labels));
            for part in parts.chain(without.chunks(BYTE).map(|without| count(&[], without, labels))) {
                counts.iter_mut().zip(part).for_each(|(total, count)| *total += f64::from(count));
            }
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += (count - word.expected).powi(2) * word.weight;
            }
        }
        sums
    }
}

/// The answers whose labels say how many of the endpoint's answers hold a word: in each probe those that do or, where they are
/// fewer, those that do not.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Counted {
    with: Vec<u32>,
    without: Vec<u32>,
}

/// What is counted of a word in probes where it tells something, what is expected of that, and the variance; `None` for a word
/// that is the same under every labelling.
fn counted(holders: &[u32], sizes: &[Size]) -> Option<(Counted, f64, f64)> {
    let (mut out, mut expected, mut variance) = (Counted::default(), 0.0, 0.0);
    let (mut rest, mut start) = (holders, 0);
    for size in sizes {
        let (here, after) = rest.split_at(rest.partition_point(|&answer| (answer as usize) < size.end));
        rest = after;
        let all = start..size.end as u32;
        start = size.end as u32;
        // What all answers to a probe hold tells nothing there.
        if here.is_empty() || here.len() == size.answers {
            continue;
        }
        variance += size.variance(here.len());
        if 2 * here.len() <= size.answers {
            expected += size.share * here.len() as f64;
            out.with.extend(here);
        } else {
            expected += (1.0 - size.share) * (size.answers - here.len()) as f64;
            let mut here = here.iter().peekable();
            out.without.extend(all.filter(|answer| here.next_if_eq(&answer).is_none()));
        }
    }
    let one_of_equal_sides = out.with.len() + out.without.len() == 1 && (variance - 0.25).abs() < 1e-12;
    (variance > 0.0 && !one_of_equal_sides).then_some((out, expected, variance))
}

/// How many of these answers are the endpoint's, and of those the reference's, in each labelling: of at most [`BYTE`] together.
#[inline(always)]
fn count(with: &[u32], without: &[u32], labels: &[Labels]) -> Labels {
    let mut counts = [without.len() as u8; BLOCK];
    for &answer in with {
        for (count, label) in counts.iter_mut().zip(&labels[answer as usize]) {
            *count = count.wrapping_add(*label);
        }
    }
    for &answer in without {
        for (count, label) in counts.iter_mut().zip(&labels[answer as usize]) {
            *count = count.wrapping_sub(*label);
        }
    }
    counts
}

/// A probe's answers among all.
struct Size {
    /// The number of the first answer after this probe's.
    end: usize,
    answers: usize,
    /// The endpoint's share of them.
    share: f64,
}

impl Size {
    /// Variance of the number of the endpoint's among `held` answers, as drawn without replacement.
    fn variance(&self, held: usize) -> f64 {
        let (n, k) = (self.answers as f64, held as f64);
        self.share * (1.0 - self.share) * k * (n - k) / (n - 1.0)
    }
}

fn sizes(probes: &[ProbePieces], reference: &[usize]) -> Vec<Size> {
    let mut end = 0;
    probes
        .iter()
        .zip(reference)
        .map(|(probe, &reference)| {
            end += probe.len();
            Size { end, answers: probe.len(), share: 1.0 - reference as f64 / probe.len() as f64 }
        })
        .collect()
}

/// For each piece the answers that hold it, in ascending order.
fn holders(probes: &[ProbePieces], distinct: usize) -> Vec<Vec<u32>> {
    let mut out = vec![Vec::new(); distinct];
    for (number, answer) in probes.iter().flatten().enumerate() {
        for &piece in answer {
            let holders: &mut Vec<u32> = &mut out[piece as usize];
            if holders.last() != Some(&(number as u32)) {
                holders.push(number as u32);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statistic of one labelling as its definition says.
    fn plainly(probes: &[ProbePieces], reference: &[usize], endpoint: &[bool]) -> f64 {
        let pieces: std::collections::BTreeSet<u32> = probes.iter().flatten().flatten().copied().collect();
        let of = |w: &u32| {
            let (mut d, mut v, mut number) = (0.0, 0.0, 0);
            for (probe, &r) in probes.iter().zip(reference) {
                let n = probe.len() as f64;
                let share = (n - r as f64) / n;
                let k = probe.iter().filter(|a| a.contains(w)).count() as f64;
                for answer in probe {
                    d += f64::from(u8::from(answer.contains(w) && endpoint[number]));
                    number += 1;
                }
                d -= k * share;
                v += k * (n - k) / (n * (n - 1.0)) * n * share * (1.0 - share);
            }
            d * d / (v + 3.0)
        };
        pieces.iter().map(of).sum()
    }

    #[test]
    fn sums_follow_the_definition_up_to_a_constant() {
        let probes: Vec<ProbePieces> = vec![
            vec![vec![1, 2, 0], vec![1, 1, 3, 0], vec![2, 4, 0], vec![1, 0]],
            vec![vec![5, 0], vec![1, 5, 0], vec![1, 6, 0], vec![2, 5, 0]],
        ];
        for reference in [[2, 2], [1, 2]] {
            let presence = Presence::new(&probes, 7, &reference);
            let labellings = [[0, 0, 1, 1, 0, 0, 1, 1], [1, 0, 0, 1, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1, 1, 0]];
            // The reference's number decides what is expected, whether or not a labelling keeps to it.
            let mut labels = vec![[0_u8; BLOCK]; 8];
            for (at, labelling) in labellings.iter().enumerate() {
                labelling.iter().zip(&mut labels).for_each(|(&l, row)| row[at] = l);
            }
            let found = presence.block(&labels);
            let expected = labellings.map(|l| plainly(&probes, &reference, &l.map(|x| x == 1)));
            if reference == [2, 2] {
                // Words of one answer add the same to each.
                assert!((found[0] - found[1] - expected[0] + expected[1]).abs() < 1e-12);
                assert!((found[0] - found[2] - expected[0] + expected[2]).abs() < 1e-12);
            }
            assert!(found[..3].iter().all(|s| *s >= 0.0));
        }
    }

    #[test]
    fn a_word_in_more_answers_than_a_byte_counts_is_counted() {
        let mut probe: ProbePieces = vec![vec![1, 0]; 600];
        probe.extend(vec![vec![0]; 600]);
        let presence = Presence::new(&[probe], 2, &[600]);
        let mut labels = vec![[0_u8; BLOCK]; 1200];
        for row in &mut labels[..600] {
            row[0] = 1;
        }
        for row in &mut labels[300..900] {
            row[1] = 1;
        }
        let found = presence.block(&labels);
        let variance = 0.25 * 600.0 * 600.0 / 1199.0;
        assert!((found[0] - 300.0 * 300.0 / (variance + 3.0)).abs() < 1e-9);
        assert!(found[1].abs() < 1e-9);
    }
}
