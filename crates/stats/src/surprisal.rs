//! How surprising an answer is after all others: its mean surprisal under counts of both sides' answers without itself.
//!
//! Sampling at a lower temperature, or without the tail of the distribution, makes answers less surprising than the
//! reference's, one by one and hardly anywhere in particular; another model's are more surprising. The scores see all of an
//! answer and do not depend on which side gave it, so permuting labels within the probe keeps a test on them exact.
//!
//! The model is a chain of backed-off contexts, each of which smooths the one before with the weight of two
//! observations (the Dirichlet prior of `MacKay` and Peto 1995, *A Hierarchical Dirichlet Language Model*): none, the last
//! one, two and three pieces over all probes; the last one, two and three within the probe; the exact prefix within the
//! probe.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::excess::excesses;
use crate::pieces::{Interned, ProbePieces};

/// How many observations the shorter context's distribution is worth in the longer one.
pub(crate) const SMOOTHING: f64 = 2.0;

/// The longest context in pieces.
pub(crate) const ORDER: usize = 3;

/// How surprising each answer is: for each probe, in the order of its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Surprisals {
    /// The mean surprisal of an answer's pieces, in nats a piece, at least 0.
    pub means: Vec<f64>,
    /// By how much the answer is more surprising than what is usual after the same words, in nats; see [`crate::excess`].
    pub excesses: Vec<f64>,
}

/// How surprising the answers to each probe are.
pub fn surprisals(texts: &Interned) -> Vec<Surprisals> {
    let (mut counts, runs) = Counts::of(texts);
    let of_pieces: Vec<Vec<Vec<f64>>> =
        texts.probes.iter().zip(&runs).map(|(probe, runs)| counts.of_probe(probe, runs)).collect();
    let excesses = excesses(texts, (&runs, counts.nodes.len()), &of_pieces);
    let mean = |pieces: &Vec<f64>| pieces.iter().sum::<f64>() / pieces.len().max(1) as f64;
    let means = of_pieces.iter().map(|answers| answers.iter().map(mean).collect());
    means.zip(excesses).map(|(means, excesses)| Surprisals { means, excesses }).collect()
}

/// The nodes of the runs of one, two, three and four pieces that end at one position; [`NONE`] where fewer stand before, and
/// where a run cannot occur but here: without its own answer nothing of it is left to count.
pub(crate) type Run = [u32; ORDER + 1];

pub(crate) const NONE: u32 = u32::MAX;

/// The runs at each position of one probe's answers.
pub(crate) type ProbeRuns = Vec<Vec<Run>>;

/// How often a run occurs. Every piece but the end mark is followed by one, and no run goes on after the end mark, so this
/// is also how often something followed it.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    everywhere: u32,
    /// In the probe at hand.
    here: u32,
}

/// Counts of all runs of up to four pieces that occur more than once.
struct Counts {
    /// By node; the runs of one piece stand first, numbered as their pieces.
    nodes: Vec<Count>,
    /// All pieces.
    total: u32,
    /// The probability of a piece before anything was seen.
    uniform: f64,
}

impl Counts {
    fn of(texts: &Interned) -> (Self, Vec<ProbeRuns>) {
        let pieces: usize = texts.probes.iter().flatten().map(Vec::len).sum();
        let mut counts = Self {
            nodes: vec![Count::default(); texts.distinct],
            total: pieces as u32,
            uniform: 1.0 / (texts.distinct as f64 + 1.0),
        };
        let of_one_piece = |answer: &Vec<u32>| answer.iter().map(|&piece| [piece, NONE, NONE, NONE]).collect();
        let mut runs: Vec<ProbeRuns> =
            texts.probes.iter().map(|probe| probe.iter().map(of_one_piece).collect()).collect();
        runs.iter().flatten().flatten().for_each(|run| counts.nodes[run[0] as usize].everywhere += 1);
        let mut longer = Longer::default();
        for order in 0..ORDER {
            longer.clear();
            runs.iter_mut().flatten().for_each(|answer| counts.lengthen(answer, order, &mut longer));
        }
        (counts, runs)
    }

    /// Counts the runs of an answer that are one piece longer than those of `order`. Of those only what occurs more than once can
    /// be part of a longer run that does, at its end as at its beginning, and most text does not.
    fn lengthen(&mut self, answer: &mut [Run], order: usize, longer: &mut Longer) {
        for at in 1..answer.len() {
            let (before, end) = (answer[at - 1][order], answer[at][order]);
            let occurs_again = |node: u32| self.nodes.get(node as usize).is_some_and(|count| count.everywhere > 1);
            if occurs_again(before) && occurs_again(end) {
                let next = self.nodes.len() as u32;
                let node = *longer.entry(u64::from(before) << 32 | u64::from(answer[at][0])).or_insert(next);
                if node == next {
                    self.nodes.push(Count::default());
                }
                self.nodes[node as usize].everywhere += 1;
                answer[at][order + 1] = node;
            }
        }
    }

    /// The surprisals of the pieces of one probe's answers, each without what its answer adds to the counts itself.
    fn of_probe(&mut self, probe: &ProbePieces, runs: &[Vec<Run>]) -> Vec<Vec<f64>> {
        for own in runs {
            self.change(own, |count| count.here += 1);
        }
        let mut scores = Vec::with_capacity(probe.len());
        for (i, own) in runs.iter().enumerate() {
            self.change(own, |count| (count.everywhere, count.here) = (count.everywhere - 1, count.here - 1));
            self.total -= own.len() as u32;
            let shared = shared_prefixes(probe, i);
            scores.push((0..own.len()).map(|at| -self.probability(own, at, &shared).ln()).collect());
            self.change(own, |count| (count.everywhere, count.here) = (count.everywhere + 1, count.here + 1));
            self.total += own.len() as u32;
        }
        for own in runs {
            self.change(own, |count| count.here = 0);
        }
        scores
    }

    /// Changes the counts of all of an answer's runs.
    fn change(&mut self, runs: &[Run], change: impl Fn(&mut Count)) {
        for &node in runs.iter().flatten().filter(|&&node| node != NONE) {
            change(&mut self.nodes[node as usize]);
        }
    }

    /// The probability of the piece at this position after what stands before it.
    fn probability(&self, runs: &[Run], at: usize, shared: &[u32]) -> f64 {
        let run = runs[at].map(|node| self.nodes.get(node as usize).copied().unwrap_or_default());
        let mut q = smooth(self.uniform, self.total, run[0].everywhere);
        if let Some(before) = at.checked_sub(1) {
            let before = runs[before].map(|node| self.nodes.get(node as usize).copied().unwrap_or_default());
            for order in 0..ORDER {
                q = smooth(q, before[order].everywhere, run[order + 1].everywhere);
            }
            for order in 0..ORDER {
                q = smooth(q, before[order].here, run[order + 1].here);
            }
        }
        smooth(q, shared[at], shared[at + 1])
    }
}

/// For each length up to the answer's, how many of the probe's other answers begin with so many of its pieces.
fn shared_prefixes(probe: &ProbePieces, answer: usize) -> Vec<u32> {
    let own = &probe[answer];
    let mut out = vec![0; own.len() + 1];
    for other in probe.iter().enumerate().filter(|&(i, _)| i != answer).map(|(_, other)| other) {
        out[own.iter().zip(other).take_while(|(a, b)| a == b).count()] += 1;
    }
    for length in (0..own.len()).rev() {
        out[length] += out[length + 1];
    }
    out
}

/// The share `c` of `n` observations, smoothed by `q` for [`SMOOTHING`] of them.
fn smooth(q: f64, n: u32, c: u32) -> f64 {
    // Multiplied by the reciprocal, which need not wait for `q`.
    let each = 1.0 / (f64::from(n) + SMOOTHING);
    if n == 0 { q } else { (f64::from(c) + SMOOTHING * q) * each }
}

/// The node of a run that goes on with one more piece, by the node of the run and the piece.
type Longer = HashMap<u64, u32, BuildHasherDefault<Mixed>>;

/// A hash of one number by multiplication (Knuth, *The Art of Computer Programming* 3, § 6.4). The keys are our own
/// numbering, not anything that a host chose.
#[derive(Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pair;
    use crate::pieces::intern;

    /// The definition, as slowly as it can be written: the mean surprisal and the excess of each answer.
    fn plainly(texts: &Interned) -> Vec<[f64; 2]> {
        let all: Vec<(usize, usize)> =
            texts.probes.iter().enumerate().flat_map(|(p, a)| (0..a.len()).map(move |i| (p, i))).collect();
        // For each context of a position, from short to long, where in other answers something followed it.
        let contexts = |p: usize, i: usize, at: usize| -> Vec<Vec<(usize, usize, usize)>> {
            let own = &texts.probes[p][i];
            let seen = |local: bool, order: usize, exact: bool| {
                let others = all.iter().filter(move |&&(q, j)| (q, j) != (p, i) && (!local || q == p));
                let places = others.flat_map(|&(q, j)| (order..texts.probes[q][j].len()).map(move |t| (q, j, t)));
                let fits = |&(q, j, t): &(usize, usize, usize)| {
                    (!exact || t == at) && texts.probes[q][j][t - order..t] == own[at - order..at]
                };
                places.filter(fits).collect()
            };
            let mut out: Vec<_> = (0..=3.min(at)).map(|order| seen(false, order, false)).collect();
            out.extend((1..=3.min(at)).map(|order| seen(true, order, false)));
            out.push(seen(true, at, true));
            out
        };
        let surprisal = |p: usize, i: usize, at: usize| {
            let piece = |&(q, j, t): &(usize, usize, usize)| texts.probes[q][j][t];
            let start = 1.0 / (texts.distinct as f64 + 1.0);
            let follows = contexts(p, i, at).into_iter().map(|seen| seen.iter().map(piece).collect::<Vec<u32>>());
            -follows.fold(start, |q, follows| mix(q, &follows, texts.probes[p][i][at])).ln()
        };
        let expected = |p: usize, i: usize, at: usize| {
            contexts(p, i, at).iter().enumerate().filter(|(_, seen)| !seen.is_empty()).fold(
                0.0,
                |mean, (level, seen)| {
                    let total: f64 = seen.iter().map(|&(q, j, t)| surprisal(q, j, t)).sum();
                    let a = if level == 0 { 0.0 } else { 2.0 };
                    (total + a * mean) / (seen.len() as f64 + a)
                },
            )
        };
        let score = |&(p, i): &(usize, usize)| {
            let n = texts.probes[p][i].len();
            let total: f64 = (0..n).map(|at| surprisal(p, i, at)).sum();
            [total / n as f64, total - (0..n).map(|at| expected(p, i, at)).sum::<f64>()]
        };
        all.iter().map(score).collect()
    }

    fn mix(q: f64, follows: &[u32], piece: u32) -> f64 {
        let n = follows.len() as f64;
        if follows.is_empty() {
            q
        } else {
            (follows.iter().filter(|&&f| f == piece).count() as f64 + 2.0 * q) / (n + 2.0)
        }
    }

    #[test]
    fn scores_follow_their_definition() {
        let pairs = [
            Pair { probe: "p", reference: vec!["a b a b c", "a b b", ""], endpoint: vec!["a b a b a b a", "b c, a"] },
            Pair { probe: "q", reference: vec!["a a a a", "a b a b c"], endpoint: vec!["c b a", "c b a"] },
        ];
        let texts = intern(&pairs);
        let found = surprisals(&texts);
        let found = found.iter().flat_map(|probe| probe.means.iter().zip(&probe.excesses));
        for ((mean, excess), expected) in found.zip(plainly(&texts)) {
            assert!((mean - expected[0]).abs() < 1e-12, "{mean} {expected:?}");
            assert!((excess - expected[1]).abs() < 1e-12, "{excess} {expected:?}");
        }
    }

    #[test]
    fn the_answer_that_no_other_resembles_is_the_most_surprising() {
        let pairs =
            [Pair { probe: "p", reference: vec!["it is so", "it is so too"], endpoint: vec!["it is so", "no way"] }];
        let found = &surprisals(&intern(&pairs))[0].means;
        assert!(found[..3].iter().all(|s| *s < found[3]), "{found:?}");
    }

    #[test]
    fn an_answer_among_none_has_the_surprisal_of_a_guess() {
        let pairs = [Pair { probe: "p", reference: vec!["a"], endpoint: vec![] }];
        assert!((surprisals(&intern(&pairs))[0].means[0] - 3.0_f64.ln()).abs() < 1e-12);
    }
}
