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

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::pieces::ProbePieces;

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
    /// Answers that hold the words, one word after the other; numbered over all probes.
    holders: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Word {
    /// Where its holders end; they begin where the last word's end.
    end: usize,
    /// How many of them are expected to be the endpoint's.
    expected: f64,
    /// `1 / (V + 3)`, for each of the words that these answers and no others hold.
    weight: f64,
}

impl Presence {
    /// `reference` has the number of the reference's answers to each probe, which come first among the probe's answers.
    pub fn new(probes: &[ProbePieces], distinct: usize, reference: &[usize]) -> Self {
        let mut out = Self { words: Vec::new(), holders: Vec::new() };
        let sizes: Vec<Size> = sizes(probes, reference);
        // Words that the same answers hold, such as those of one phrase, differ from expectation alike.
        let mut words: HashMap<Vec<u32>, usize> = HashMap::new();
        for holders in holders(probes, distinct) {
            let Some((informative, expected, variance)) = informative(&holders, &sizes) else { continue };
            let weight = 1.0 / (variance + DAMPING);
            match words.entry(informative) {
                Entry::Occupied(known) => out.words[*known.get()].weight += weight,
                Entry::Vacant(new) => {
                    out.holders.extend(new.key());
                    new.insert(out.words.len());
                    out.words.push(Word { end: out.holders.len(), expected, weight });
                }
            }
        }
        out
    }

    /// `S` under each labelling of a block. `labels` has one row for each answer, over all probes.
    pub fn block(&self, labels: &[Labels]) -> [f64; BLOCK] {
        let mut sums = [0.0; BLOCK];
        let mut start = 0;
        for word in &self.words {
            let holders = &self.holders[start..word.end];
            start = word.end;
            let (first, more) = holders.split_at(holders.len().min(BYTE));
            let first = count(first, labels);
            if more.is_empty() {
                for (sum, count) in sums.iter_mut().zip(first) {
                    *sum += (f64::from(count) - word.expected).powi(2) * word.weight;
                }
                continue;
            }
            let mut counts = first.map(f64::from);
            for part in more.chunks(BYTE) {
                for (total, count) in counts.iter_mut().zip(count(part, labels)) {
                    *total += f64::from(count);
                }
            }
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += (count - word.expected).powi(2) * word.weight;
            }
        }
        sums
    }
}

/// A word's holders in probes where it tells something, how many of them are expected to be the endpoint's, and the variance;
/// `None` for a word that is the same under every labelling.
fn informative(holders: &[u32], sizes: &[Size]) -> Option<(Vec<u32>, f64, f64)> {
    let (mut out, mut expected, mut variance) = (Vec::with_capacity(holders.len()), 0.0, 0.0);
    let mut rest = holders;
    for size in sizes {
        let (here, after) = rest.split_at(rest.partition_point(|&answer| (answer as usize) < size.end));
        rest = after;
        // What all answers to a probe hold tells nothing there.
        if !here.is_empty() && here.len() < size.answers {
            expected += size.share * here.len() as f64;
            variance += size.variance(here.len());
            out.extend(here);
        }
    }
    let one_of_equal_sides = out.len() == 1 && (variance - 0.25).abs() < 1e-12;
    (variance > 0.0 && !one_of_equal_sides).then_some((out, expected, variance))
}

/// How many of at most [`BYTE`] answers are the endpoint's, in each labelling.
fn count(holders: &[u32], labels: &[Labels]) -> Labels {
    let mut counts = [0_u8; BLOCK];
    for &holder in holders {
        for (count, label) in counts.iter_mut().zip(&labels[holder as usize]) {
            *count = count.wrapping_add(*label);
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
