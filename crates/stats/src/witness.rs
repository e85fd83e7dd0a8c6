//! A witness trained on the control: which share of the endpoint's answers is as if from it.
//!
//! A squared discrepancy grows with the square of a mixture's share, and so a mixture is significant long before anything
//! can be said of its size. Scores of single answers grow with the share itself. Each answer is scored by naive Bayes on its
//! pieces and pairs of them: the log-likelihood under half of the control's answers less that under the reference's and
//! the endpoint's together, without the answer itself, squashed to between 0 and 1. Both halves take turns: one trains, and
//! the other's answers are scored. With mean scores `s̄` of reference, endpoint and control,
//!
//! ```text
//! ε̂ = Σ (s̄_e − s̄_r) / Σ (s̄_c − s̄_r)    over probes
//! ```
//!
//! is unbiased for the share of a mixture with the control whatever the scores are, since the scores of reference and
//! endpoint do not depend on which side gave an answer and the control's are of answers that did not train them. For the same
//! reason a permutation of labels within the probe keeps a test on the scores exact ([`crate::permutation`]).
//!
//! What does not look like the control it does not see.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use rand::seq::SliceRandom as _;

use crate::interval::{FEWEST_CLUSTERS, Interval, normal_quantile, student_quantile};
use crate::pieces::{END, pieces};
use crate::surprisal::Mixed;
use crate::{Pair, rng};

/// Halves of the control's answers.
const FOLDS: usize = 2;

/// The weight of the uniform distribution in the distribution of pieces, for each different piece.
const UNSEEN: f64 = 0.1;

/// How many observations a shorter context's distribution is worth in the distribution of pairs.
const PAIRS: f64 = 2.0;

/// How many observations the distribution of pieces over all probes is worth in that of one probe's.
const PIECES: f64 = 10.0;

/// How steeply log-likelihood ratios are squashed: pieces are not independent, so their sum exaggerates.
const SLOPE: f64 = 0.3;

/// Level of the interval of the separation that must lie above 0.
const SEPARATION: f64 = 0.998;

/// Scores of all answers to the probes that reference, endpoint and control answered, each between 0 (as the reference's and the
/// endpoint's) and 1 (as the control's).
#[derive(Debug, Clone, PartialEq)]
pub struct Witness {
    probes: Vec<Heard>,
}

/// One probe's scores.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    probe: String,
    reference: Vec<f64>,
    endpoint: Vec<f64>,
    control: Vec<f64>,
}

impl Witness {
    /// Trains on the control's answers by probe, halved at random under this seed. `None` where the control is not clearly told apart by
    /// the scores, as where all answer the same or two probes at the most were answered by all three.
    pub fn train(pairs: &[Pair<'_>], control: &BTreeMap<&str, Vec<&str>>, seed: u64) -> Option<Self> {
        let used: Vec<(&Pair<'_>, Vec<&str>)> = pairs
            .iter()
            .filter(|p| p.reference.len() >= 2 && p.endpoint.len() >= 2)
            .filter_map(|p| Some((p, control.get(p.probe).filter(|control| !control.is_empty())?)))
            .map(|(p, control)| (p, shuffled(control, p.probe, seed)))
            .collect();
        if used.len() < 2 {
            return None;
        }
        let mut training = Training::new(&used);
        let scores = training.scores();
        let heard = |((pair, control), mut scores): (&(&Pair<'_>, Vec<&str>), Vec<f64>)| {
            let of_control = scores.split_off(scores.len() - control.len());
            let endpoint = scores.split_off(pair.reference.len());
            Heard { probe: pair.probe.to_owned(), reference: scores, endpoint, control: of_control }
        };
        let out = Self { probes: used.iter().zip(scores).map(heard).collect() };
        out.separates().then_some(out)
    }

    /// The scores of one probe's answers, the reference's first, then the endpoint's; `None` for a probe that was not heard.
    pub fn of_probe(&self, probe: &str) -> Option<impl Iterator<Item = f64>> {
        let heard = self.probes.iter().find(|heard| heard.probe == probe)?;
        Some(heard.reference.iter().chain(&heard.endpoint).copied())
    }

    /// The share of the endpoint's answers that is as if from the control, with its interval at the given two-sided level. Noise
    /// may take it below 0 and above 1.
    ///
    /// The interval holds the shares `ε` with `|ε̂ − ε| ≤ z √V(ε)`, as the one of a proportion by Wilson (1927): the noise of a
    /// mixture grows with its share, so that an interval as wide at both ends would be too wide below. `V` is that of a mixture
    /// within each probe, and as many times larger as the jackknife over probes says where probes differ in their share.
    pub fn share(&self, level: f64) -> Interval {
        let terms: Vec<Term> = self.probes.iter().map(Heard::term).collect();
        let variance = Variance::new(&self.probes, &terms);
        let estimate = ratio(&terms);
        let spread = (jackknife(&terms) / variance.at(estimate)).max(1.0);
        let q = f64::midpoint(1.0, level);
        let m = terms.len();
        let z = if m < FEWEST_CLUSTERS { student_quantile(q, m as f64 - 1.0) } else { normal_quantile(q) };
        let is_within = |share: f64| (estimate - share).abs() <= z * (spread * variance.at(share)).sqrt();
        let end = |direction: f64| estimate + direction * farthest(|reach| is_within(estimate + direction * reach));
        Interval { estimate, low: end(-1.0), high: end(1.0) }
    }

    /// Whether the control's scores are clearly above the reference's.
    fn separates(&self) -> bool {
        let apart: Vec<f64> = self.probes.iter().map(|heard| mean(&heard.control) - mean(&heard.reference)).collect();
        let m = apart.len() as f64;
        let error = (squares(&apart) / (m - 1.0) / m).sqrt();
        mean(&apart) > student_quantile(f64::midpoint(1.0, SEPARATION), m - 1.0) * error
    }
}

/// The farthest of the distances from the estimate, up to 2, at which it is still within: the noise is finite, so that what is far
/// enough away is not.
fn farthest(is_within: impl Fn(f64) -> bool) -> f64 {
    let (mut inside, mut outside) = (0.0, 2.0);
    for _ in 0..40 {
        let middle = f64::midpoint(inside, outside);
        if is_within(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    inside
}

/// A probe's part of both sums of the share, and its weight in them.
#[derive(Debug, Clone, Copy)]
struct Term {
    weight: f64,
    excess: f64,
    apart: f64,
}

impl Heard {
    fn term(&self) -> Term {
        let (r, e) = (self.reference.len() as f64, self.endpoint.len() as f64);
        let reference = mean(&self.reference);
        Term {
            weight: r * e / (r + e),
            excess: mean(&self.endpoint) - reference,
            apart: mean(&self.control) - reference,
        }
    }
}

/// Answers may come in the order of their texts, and halves of every other one would resemble each other too much.
fn shuffled<'a>(texts: &[&'a str], probe: &str, seed: u64) -> Vec<&'a str> {
    let mut out = texts.to_vec();
    out.shuffle(&mut rng::derive(seed, &["witness", probe]));
    out
}

fn ratio(terms: &[Term]) -> f64 {
    let (excess, apart) = terms.iter().fold((0.0, 0.0), |(x, a), t| (x + t.weight * t.excess, a + t.weight * t.apart));
    excess / apart
}

/// Variance of the ratio by leaving each probe out in turn.
fn jackknife(terms: &[Term]) -> f64 {
    let without = |left_out: usize| -> f64 {
        let others: Vec<Term> = terms.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, t)| *t).collect();
        ratio(&others)
    };
    let values: Vec<f64> = (0..terms.len()).map(without).collect();
    let m = terms.len() as f64;
    squares(&values) * (m - 1.0) / m
}

/// The variance of the estimate for each share, as the coefficients of answers within probes.
struct Variance {
    /// Of the endpoint's answers that are as the reference's, of those that are as the control's, and of which they are.
    endpoint: [f64; 3],
    reference: f64,
    control: f64,
}

impl Variance {
    fn new(probes: &[Heard], terms: &[Term]) -> Self {
        let apart: f64 = terms.iter().map(|t| t.weight * t.apart).sum();
        // Where hardly any score is off, the next may be: as if one more answer were taken for the other side's.
        let off = (apart / terms.iter().map(|t| t.weight).sum::<f64>()).powi(2);
        let within = |side: fn(&Heard) -> &[f64]| {
            let (sum, answers) =
                probes.iter().map(side).fold((0.0, 0), |(sum, n), scores| (sum + squares(scores), n + scores.len()));
            (sum + off) / (answers.saturating_sub(probes.len()) + 1) as f64
        };
        let (of_reference, of_control) = (within(|h| &h.reference), within(|h| &h.control));
        let mut out = Self { endpoint: [0.0; 3], reference: 0.0, control: 0.0 };
        for (heard, term) in probes.iter().zip(terms) {
            let weight = (term.weight / apart).powi(2);
            let each = weight / heard.endpoint.len() as f64;
            for (sum, variance) in out.endpoint.iter_mut().zip([of_reference, of_control, term.apart.powi(2)]) {
                *sum += each * variance;
            }
            out.reference += weight * of_reference / heard.reference.len() as f64;
            out.control += weight * of_control / heard.control.len() as f64;
        }
        out
    }

    fn at(&self, share: f64) -> f64 {
        let share = share.clamp(0.0, 1.0);
        let rest = 1.0 - share;
        let [of_reference, of_control, between] = self.endpoint;
        rest * of_reference
            + share * of_control
            + share * rest * between
            + rest.powi(2) * self.reference
            + share.powi(2) * self.control
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Squared distances from the mean, summed.
fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|v| (v - mean).powi(2)).sum()
}

/// All answers as numbers for their pieces and pairs of pieces, and how often each of these occurs.
struct Training {
    probes: Vec<Vec<Answer>>,
    counts: Vec<Counts>,
    /// Different pieces.
    distinct: f64,
}

/// An answer's pieces, each with the number of the pair that it ends, and whose it is.
struct Answer {
    runs: Vec<Run>,
    source: usize,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    piece: u32,
    /// [`NONE`] where it is the first.
    pair: u32,
}

const NONE: u32 = u32::MAX;

/// Whose answers are counted: the reference's and the endpoint's together, or a half of the control's.
const POOL: usize = 0;
const CONTROL: usize = 1;
const SOURCES: usize = CONTROL + FOLDS;

/// How often something occurs in the answers of each source.
type Counts = [Count; SOURCES];

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    everywhere: f64,
    /// In the probe at hand.
    here: f64,
}

impl Training {
    fn new(probes: &[(&Pair<'_>, Vec<&str>)]) -> Self {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        for text in probes.iter().flat_map(|(pair, control)| pair.reference.iter().chain(&pair.endpoint).chain(control))
        {
            for piece in pieces(text) {
                let next = numbers.len() as u32 + 1;
                numbers.entry(piece).or_insert(next);
            }
        }
        let distinct = numbers.len() + 1;
        // Totals stand behind the pieces, and pairs behind those.
        let mut known: HashMap<u64, u32, BuildHasherDefault<Mixed>> = HashMap::default();
        let mut cut = |text: &str, source: usize| {
            let numbered = pieces(text).map(|piece| numbers.get(piece).copied().unwrap_or(END));
            let mut before = NONE;
            let runs = numbered.chain([END]).map(|piece| {
                let key = u64::from(before) << 32 | u64::from(piece);
                let next = (distinct + 1 + known.len()) as u32;
                let pair = if before == NONE { NONE } else { *known.entry(key).or_insert(next) };
                before = piece;
                Run { piece, pair }
            });
            Answer { runs: runs.collect(), source }
        };
        let of_probe = |(p, (pair, control)): (usize, &(&Pair<'_>, Vec<&str>))| -> Vec<Answer> {
            let pool = pair.reference.iter().chain(&pair.endpoint).map(|text| (*text, POOL));
            // Probes begin with another half, so that single answers do not all train one.
            let control = control.iter().enumerate().map(|(i, text)| (*text, CONTROL + (i + p) % FOLDS));
            pool.chain(control).map(|(text, source)| cut(text, source)).collect()
        };
        let probes: Vec<Vec<Answer>> = probes.iter().enumerate().map(of_probe).collect();
        let counts = vec![Counts::default(); distinct + 1 + known.len()];
        let mut out = Self { probes: Vec::new(), counts, distinct: distinct as f64 };
        for answer in probes.iter().flatten() {
            out.change(answer, |count| count.everywhere += 1.0);
        }
        out.probes = probes;
        out
    }

    /// Where all pieces are counted together.
    fn total(&self) -> usize {
        self.distinct as usize
    }

    fn change(&mut self, answer: &Answer, change: impl Fn(&mut Count)) {
        let total = self.total();
        for run in &answer.runs {
            change(&mut self.counts[run.piece as usize][answer.source]);
            change(&mut self.counts[total][answer.source]);
            if run.pair != NONE {
                change(&mut self.counts[run.pair as usize][answer.source]);
            }
        }
    }

    /// The score of each answer, by probe; those that trained neither half have the mean of both.
    fn scores(&mut self) -> Vec<Vec<f64>> {
        let probes = std::mem::take(&mut self.probes);
        let mut out = Vec::with_capacity(probes.len());
        for probe in &probes {
            for answer in probe {
                self.change(answer, |count| count.here += 1.0);
            }
            out.push(probe.iter().map(|answer| self.score(answer)).collect());
            for answer in probe {
                self.change(answer, |count| count.here = 0.0);
            }
        }
        out
    }

    fn score(&mut self, answer: &Answer) -> f64 {
        self.change(answer, |count| *count = Count { everywhere: count.everywhere - 1.0, here: count.here - 1.0 });
        let folds = (0..FOLDS).filter(|fold| answer.source == POOL || answer.source == CONTROL + fold);
        // A half of the control's is scored by what the other half trained.
        let trained = |fold: usize| if answer.source == POOL { CONTROL + fold } else { CONTROL + (fold + 1) % FOLDS };
        let squashed = |ratio: f64| 1.0 / (1.0 + (-SLOPE * ratio).exp());
        let scores: Vec<f64> = folds.map(|fold| squashed(self.ratio(answer, trained(fold)))).collect();
        self.change(answer, |count| *count = Count { everywhere: count.everywhere + 1.0, here: count.here + 1.0 });
        mean(&scores)
    }

    /// The logarithm of how much likelier an answer is from this source than from the pool.
    fn ratio(&self, answer: &Answer, source: usize) -> f64 {
        let mut before = None;
        let mut sum = 0.0;
        for run in &answer.runs {
            sum += (self.probability(before, *run, source) / self.probability(before, *run, POOL)).ln();
            before = Some(run.piece);
        }
        sum
    }

    /// The probability of a piece after the one before it: pieces over all probes, pairs over all probes, pieces of the probe and
    /// pairs of the probe, each smoothed by what stands before it.
    fn probability(&self, before: Option<u32>, run: Run, source: usize) -> f64 {
        let of = |node: usize| self.counts[node][source];
        let (piece, total) = (of(run.piece as usize), of(self.total()));
        let context = before.map(|before| (of(before as usize), of(run.pair as usize)));
        let mut q = smooth(1.0 / self.distinct, (total.everywhere, piece.everywhere), UNSEEN * self.distinct);
        if let Some((context, pair)) = context {
            q = smooth(q, (context.everywhere, pair.everywhere), PAIRS);
        }
        q = smooth(q, (total.here, piece.here), PIECES);
        if let Some((context, pair)) = context {
            q = smooth(q, (context.here, pair.here), PAIRS);
        }
        q
    }
}

/// The share `c` of `n` observations, smoothed by `q` for so many of them.
fn smooth(q: f64, (n, c): (f64, f64), worth: f64) -> f64 {
    (c + worth * q) / (n + worth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt as _;

    const OURS: [&str; 6] = ["red", "green", "blue", "yellow", "black", "white"];
    const THEIRS: [&str; 6] = ["red", "green", "rose", "amber", "black", "ivory"];

    fn answer(words: &[&str], rng: &mut impl rand::Rng) -> String {
        (0..6).map(|_| words[rng.random_range(0..words.len())]).collect::<Vec<_>>().join(" ")
    }

    /// A trial of so many probes with these numbers of answers of reference, endpoint and control, of which this share of the
    /// endpoint's is the control's.
    fn witness(probes: usize, answers: [usize; 3], share: f64, seed: u64) -> Option<Witness> {
        let mut rng = rng::derive(seed, &["witness"]);
        let ids: Vec<String> = (0..probes).map(|p| format!("p{p}")).collect();
        let texts: Vec<[Vec<String>; 3]> = (0..probes)
            .map(|_| {
                [0, 1, 2].map(|side| {
                    let of = |rng: &mut rand_chacha::ChaCha8Rng| {
                        let is_theirs = side == 2 || side == 1 && rng.random::<f64>() < share;
                        answer(if is_theirs { &THEIRS } else { &OURS }, rng)
                    };
                    (0..answers[side]).map(|_| of(&mut rng)).collect()
                })
            })
            .collect();
        let of = |p: usize, side: usize| texts[p][side].iter().map(String::as_str).collect::<Vec<_>>();
        let pairs: Vec<Pair<'_>> =
            (0..probes).map(|p| Pair { probe: &ids[p], reference: of(p, 0), endpoint: of(p, 1) }).collect();
        let control = (0..probes).map(|p| (ids[p].as_str(), of(p, 2))).collect();
        Witness::train(&pairs, &control, seed)
    }

    #[test]
    fn the_share_of_a_mixture_is_found_without_bias_and_within_its_interval() {
        for share in [0.0, 0.2, 0.5, 1.0] {
            let found: Vec<Interval> =
                (0..40).filter_map(|seed| Some(witness(12, [10, 10, 8], share, seed)?.share(0.95))).collect();
            assert_eq!(found.len(), 40);
            let estimates: Vec<f64> = found.iter().map(|found| found.estimate).collect();
            assert!((mean(&estimates) - share).abs() < 0.03, "{share}: {}", mean(&estimates));
            let held = found.iter().filter(|found| found.low <= share && share <= found.high).count();
            // Of 40 at 95 %, fewer than 34 would happen once in some hundred such tests.
            assert!(held >= 34, "{share}: {held} of 40");
        }
    }

    #[test]
    fn two_answers_of_the_control_to_a_probe_are_enough_and_few_leave_a_wide_interval() {
        let found = witness(12, [10, 10, 2], 0.3, 1).expect("told apart").share(0.95);
        assert!(found.low < 0.3 && 0.3 < found.high, "{found:?}");
        let wide = witness(3, [4, 4, 4], 0.3, 1).map(|w| w.share(0.95));
        assert!(wide.is_none_or(|wide| wide.high - wide.low > found.high - found.low), "{wide:?}");
    }

    #[test]
    fn a_control_that_is_not_told_apart_is_no_witness() {
        let same = Pair { probe: "p", reference: vec!["yes"; 4], endpoint: vec!["yes"; 4] };
        let pairs: Vec<Pair<'_>> = ["p", "q", "r"].map(|probe| Pair { probe, ..same.clone() }).into();
        let control = ["p", "q", "r"].map(|probe| (probe, vec!["yes"; 4])).into();
        assert_eq!(Witness::train(&pairs, &control, 1), None);
        assert_eq!(Witness::train(&pairs, &BTreeMap::new(), 1), None);
        let control = [("p", vec!["no"; 4])].into();
        assert_eq!(Witness::train(&pairs, &control, 1), None, "one probe says nothing of others");
    }

    #[test]
    fn scores_do_not_depend_on_which_side_gave_an_answer() {
        let (a, b) = (["red fox", "red hen", "old fox"], ["a cat", "red hen"]);
        let of = |reference: &[&'static str], endpoint: &[&'static str]| {
            let pairs: Vec<Pair<'_>> = ["p", "q", "r"]
                .map(|probe| Pair { probe, reference: reference.to_vec(), endpoint: endpoint.to_vec() })
                .into();
            let control: BTreeMap<&str, Vec<&str>> =
                ["p", "q", "r"].map(|probe| (probe, vec!["blue cow", "blue hen", "blue cow"])).into();
            let used: Vec<(&Pair<'_>, Vec<&str>)> = pairs.iter().map(|p| (p, control[p.probe].clone())).collect();
            Training::new(&used).scores()
        };
        let (one, other) = (of(&a, &b), of(&b, &a));
        for (one, other) in one.iter().zip(&other) {
            assert!(one[..3].iter().zip(&other[2..5]).all(|(x, y)| (x - y).abs() < 1e-12));
            assert!(one[3..5].iter().zip(&other[..2]).all(|(x, y)| (x - y).abs() < 1e-12));
            assert!(one[5..].iter().all(|control| one[..5].iter().all(|score| score < control)), "{one:?}");
        }
    }
}
