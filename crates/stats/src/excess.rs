//! By how much an answer is more surprising than what is usual after the same words.
//!
//! Most of the spread of surprisal between answers is not chance in the choice of words but where the words before have led:
//! to a place where much may follow or where little can. Sampling at another temperature changes the choice and hardly the place. The
//! derivative of the log-likelihood in the inverse temperature, at 1, is a sum over positions,
//!
//! ```text
//! E = Σ_t (s_t − E[s_t | what stands before t])
//! ```
//!
//! up to its sign, with the surprisal `s_t = −ln p(x_t | …)`: with the true probabilities it is Rao's score (1948), the locally most
//! powerful statistic for a change of temperature. Here the expectation is the mean surprisal of what followed the same
//! words in **other** answers, both sides' together. It begins with the mean over all pieces; each of the contexts of
//! [`crate::surprisal`], in that order, that was seen `n > 0` times with surprisals that sum to `Σ` makes `(Σ + a m)/(n + a)` of
//! the mean `m` so far. Like the surprisals, the scores do not depend on which side gave an answer.

use crate::pieces::Interned;
use crate::surprisal::{NONE, ORDER, ProbeRuns, Run, SMOOTHING};

/// The excess of each answer, in nats, for each probe in the order of its answers. `runs` has `nodes` nodes; `surprisals` are those of
/// each piece.
pub(crate) fn excesses(
    texts: &Interned,
    (runs, nodes): (&[ProbeRuns], usize),
    surprisals: &[Vec<Vec<f64>>],
) -> Vec<Vec<f64>> {
    let mut followed = Followed { all: Sum::default(), nodes: vec![Node::default(); nodes] };
    for (runs, own) in runs.iter().flatten().zip(surprisals.iter().flatten()) {
        for (node, s) in pieces_after(runs, own) {
            followed.nodes[node].everywhere.add(1.0, s);
        }
        for &surprisal in own {
            followed.all.add(1.0, surprisal);
        }
    }
    let probes = texts.probes.iter().zip(runs).zip(surprisals);
    probes.map(|((probe, runs), surprisals)| followed.of_probe(probe, runs, surprisals)).collect()
}

/// How often something followed, and the sum of its surprisals.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    number: f64,
    total: f64,
}

impl Sum {
    fn add(&mut self, number: f64, total: f64) {
        self.number += number;
        self.total += total;
    }

    /// The mean, smoothed by that of the shorter context.
    fn smooth(self, mean: f64) -> f64 {
        if self.number < 0.5 { mean } else { (self.total + SMOOTHING * mean) / (self.number + SMOOTHING) }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    everywhere: Sum,
    /// In the probe at hand.
    here: Sum,
}

/// What followed each run.
struct Followed {
    all: Sum,
    nodes: Vec<Node>,
}

impl Followed {
    fn of_probe(&mut self, probe: &[Vec<u32>], runs: &[Vec<Run>], surprisals: &[Vec<f64>]) -> Vec<f64> {
        for (runs, own) in runs.iter().zip(surprisals) {
            for (node, s) in pieces_after(runs, own) {
                self.nodes[node].here.add(1.0, s);
            }
        }
        let mut out = Vec::with_capacity(probe.len());
        for (i, (runs, own)) in runs.iter().zip(surprisals).enumerate() {
            self.change(runs, own, -1.0);
            let mut all = self.all;
            for &surprisal in own {
                all.add(-1.0, -surprisal);
            }
            let start = if all.number < 0.5 { 0.0 } else { all.total / all.number };
            let prefixes = after_prefixes(probe, surprisals, i);
            let excess = |at: usize| own[at] - prefixes[at].smooth(self.expected(runs, at, start));
            out.push((0..own.len()).map(excess).sum());
            self.change(runs, own, 1.0);
        }
        for (runs, own) in runs.iter().zip(surprisals) {
            for (node, _) in pieces_after(runs, own) {
                self.nodes[node].here = Sum::default();
            }
        }
        out
    }

    /// Takes an answer away, as -1 times, or adds it again.
    fn change(&mut self, runs: &[Run], surprisals: &[f64], times: f64) {
        for (node, s) in pieces_after(runs, surprisals) {
            let node = &mut self.nodes[node];
            node.everywhere.add(times, times * s);
            node.here.add(times, times * s);
        }
    }

    /// The mean surprisal after the last pieces before this position.
    fn expected(&self, runs: &[Run], at: usize, start: f64) -> f64 {
        let Some(before) = at.checked_sub(1) else { return start };
        let before: [Node; ORDER] =
            std::array::from_fn(|order| self.nodes.get(runs[before][order] as usize).copied().unwrap_or_default());
        let everywhere = before.iter().fold(start, |mean, node| node.everywhere.smooth(mean));
        before.iter().fold(everywhere, |mean, node| node.here.smooth(mean))
    }
}

/// The runs of up to three pieces in an answer that occur more than once, each with the surprisal of the piece after it.
fn pieces_after(runs: &[Run], surprisals: &[f64]) -> impl Iterator<Item = (usize, f64)> {
    let after = runs.iter().zip(surprisals.iter().skip(1));
    after.flat_map(|(run, &s)| run[..ORDER].iter().filter(|&&node| node != NONE).map(move |&node| (node as usize, s)))
}

/// For each position of the answer, what stands there in those of the probe's other answers that are the same before it.
fn after_prefixes(probe: &[Vec<u32>], surprisals: &[Vec<f64>], answer: usize) -> Vec<Sum> {
    let own = &probe[answer];
    let mut out = vec![Sum::default(); own.len()];
    for (other, surprisals) in probe.iter().zip(surprisals).enumerate().filter(|&(i, _)| i != answer).map(|(_, o)| o) {
        let shared = own.iter().zip(other).take_while(|(a, b)| a == b).count();
        out.iter_mut().zip(surprisals).take(shared + 1).for_each(|(sum, s)| sum.add(1.0, *s));
    }
    out
}
