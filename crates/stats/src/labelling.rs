//! The permuting of labels: what every labelling of the answers gives.
//!
//! Labels are permuted within each probe. Blocks of labellings have random streams of their own, so that they can be run in any
//! order and on any number of threads; all sums that many threads share are of whole numbers or taken in a fixed order.

// What is to be vectorised has to be compiled as one function for the processor at hand.
#![allow(clippy::inline_always)]

use pulp::{Arch, Simd, WithSimd};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::kernel::{COMBINED, Kernels, LANES, Lanes, UNITS, mean_of_combined};
use crate::permutation::{ProbeStatistic, Settings};
use crate::presence::{BLOCK, Labels, Presence};
use crate::subset::Choices;
use crate::surprisal::{Surprisals, surprisals};
use crate::witness::Witness;
use crate::{Pair, pieces, rng};

/// Which groups are computed.
#[derive(Clone, Copy)]
pub(crate) enum Groups<'a> {
    /// All that need no control.
    All,
    /// And the witness.
    AllWith(&'a Witness),
    /// The kernels alone.
    Kernels,
}

/// Scores that an answer has by itself, centred within its probe.
const SCORES: usize = 4;
pub(crate) const SURPRISAL: usize = 0;
pub(crate) const LENGTH: usize = 1;
pub(crate) const WITNESS: usize = 2;
pub(crate) const EXCESS: usize = 3;

type Scores = [f64; SCORES];

/// What one labelling of all answers gives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Statistic {
    /// Means over probes.
    pub t: Lanes,
    pub d: Lanes,
    /// Sums over probes, each with its weight, of the combined kernels: what is tested.
    pub weighed_t: [f64; COMBINED.len()],
    pub weighed_d: [f64; COMBINED.len()],
    /// Sums over the endpoint's answers: what is tested.
    pub scores: Scores,
    /// Difference of mean surprisal, averaged over probes: what is reported.
    pub surprisal: f64,
    pub presence: f64,
}

/// All probes, prepared for any labelling.
pub(crate) struct Design {
    pub strata: Vec<Stratum>,
    presence: Presence,
    answers: usize,
}

/// The outcome of some labellings.
struct Labelled {
    statistics: Vec<Statistic>,
    /// For each probe, in how many of them its `T` is at least the observed one.
    at_least: Vec<u32>,
}

impl Design {
    pub fn new(pairs: &[&Pair<'_>], settings: Settings<'_>, groups: Groups<'_>) -> Self {
        let texts = match groups {
            Groups::All | Groups::AllWith(_) => pieces::intern(pairs.iter().copied()),
            Groups::Kernels => pieces::Interned::none(pairs),
        };
        let surprisals = surprisals(&texts);
        let reference: Vec<usize> = pairs.iter().map(|p| p.reference.len()).collect();
        let presence = Presence::new(&texts.probes, texts.distinct, &reference);
        let mut strata: Vec<Stratum> = pairs
            .par_iter()
            .zip(&surprisals)
            .map(|(pair, surprisals)| Stratum::new(pair, &scores(pair, surprisals, groups), settings))
            .collect();
        let mut answers = 0;
        let weights: f64 = strata.iter().map(|s| s.weight).sum();
        let m = strata.len() as f64;
        for (stratum, surprisals) in strata.iter_mut().zip(&surprisals) {
            let ours = &surprisals.means[..stratum.reference.min(surprisals.means.len())];
            stratum.level = ours.iter().sum::<f64>() / ours.len().max(1) as f64;
            stratum.offset = answers;
            stratum.weight *= m / weights;
            answers += stratum.answers();
        }
        Self { strata, presence, answers }
    }

    /// What the observed labels give, then each of so many permutations; and what each probe shows by itself.
    pub fn all(&self, permutations: u32) -> (Vec<Statistic>, Vec<ProbeStatistic>) {
        let labellings = permutations as usize + 1;
        let firsts: Vec<usize> = (0..labellings).step_by(BLOCKS * BLOCK).collect();
        let parts: Vec<Labelled> =
            firsts.par_iter().map(|&first| self.run(first, (BLOCKS * BLOCK).min(labellings - first))).collect();
        let mut all = Vec::with_capacity(labellings);
        let mut at_least = vec![0_u32; self.strata.len()];
        for part in parts {
            all.extend(part.statistics);
            at_least.iter_mut().zip(&part.at_least).for_each(|(total, part)| *total += part);
        }
        let probes = self.strata.iter().zip(&at_least).map(|(s, &n)| s.probe_statistic(n, permutations)).collect();
        (all, probes)
    }

    /// The labellings from `first` on; number 0 is the observed one, and each block of them has a random stream of its own,
    /// so that they can be run in any order.
    fn run(&self, first: usize, count: usize) -> Labelled {
        let mut labels: Vec<Labels> = vec![[0; BLOCK]; self.answers * count.div_ceil(BLOCK)];
        let mut out = Labelled { statistics: vec![Statistic::default(); count], at_least: Vec::new() };
        for stratum in &self.strata {
            let mut blocks: Vec<&mut [Labels]> = labels
                .chunks_exact_mut(self.answers)
                .map(|block| &mut block[stratum.offset..stratum.offset + stratum.answers()])
                .collect();
            out.at_least.push(stratum.run(first, &mut out.statistics, &mut blocks));
        }
        let m = self.strata.len() as f64;
        for (statistics, labels) in out.statistics.chunks_mut(BLOCK).zip(labels.chunks_exact(self.answers)) {
            for (statistic, presence) in statistics.iter_mut().zip(self.presence.block(labels)) {
                for value in statistic.t.iter_mut().chain(&mut statistic.d) {
                    *value /= m;
                }
                statistic.surprisal /= m;
                statistic.presence = presence;
            }
        }
        out
    }
}

/// How many blocks of labellings share what is prepared for them.
const BLOCKS: usize = 16;

/// One probe's kernels and scores with what all permutations share.
pub(crate) struct Stratum {
    probe: String,
    pub kernels: Kernels,
    pub reference: usize,
    /// Of each answer.
    rows: Vec<Row>,
    /// `T` and `D` from sums of kernels; the kernels' units are in it.
    means: Means,
    /// Mean surprisal of the reference's answers.
    level: f64,
    generator: ChaCha8Rng,
    /// How much this probe tells, as a multiple of the mean over probes.
    weight: f64,
    /// How many answers the probes before have.
    offset: usize,
    observed: Observed,
}

/// What the observed labels give.
#[derive(Default)]
struct Observed {
    t: f64,
    within_reference: f64,
    within_endpoint: f64,
    surprisal: f64,
}

/// For one set of the endpoint's answers, in [`UNITS`]: kernels summed over its unordered pairs, and its row sums. With
/// them `ee = 2 inner`, `re = rows − ee` and `rr = ΣK − 2 rows + ee` over ordered pairs, so that only pairs within
/// the endpoint's side are visited.
#[derive(Default, Clone, Copy)]
struct Sums {
    inner: Lanes,
    rows: Lanes,
    scores: Scores,
}

/// An answer's kernels with all others, summed, in [`UNITS`], then its scores.
type Row = [f64; LANES + SCORES];

/// Both halves of a sum of rows.
fn halves(row: &Row) -> (Lanes, Scores) {
    (std::array::from_fn(|k| row[k]), std::array::from_fn(|k| row[LANES + k]))
}

/// Coefficients of [`Sums`] in means of the kernels.
struct Means {
    total: Lanes,
    of_rr: Lanes,
    of_ee: Lanes,
    t: [Lanes; 3],
    d: [Lanes; 3],
}

impl Means {
    fn new(total: &Lanes, reference: usize, endpoint: usize) -> Self {
        let (r, e) = (reference as f64, endpoint as f64);
        let of_rr = UNITS.map(|unit| 1.0 / (r * (r - 1.0) * unit));
        let of_ee = UNITS.map(|unit| 1.0 / (e * (e - 1.0) * unit));
        let of_re = UNITS.map(|unit| 1.0 / (r * e * unit));
        let lanes = |f: &dyn Fn(usize) -> f64| -> Lanes { std::array::from_fn(f) };
        Self {
            t: [
                lanes(&|l| total[l] * of_rr[l]),
                lanes(&|l| -2.0 * (of_rr[l] + of_re[l])),
                lanes(&|l| 2.0 * (of_rr[l] + of_ee[l] + 2.0 * of_re[l])),
            ],
            d: [lanes(&|l| -total[l] * of_rr[l]), lanes(&|l| 2.0 * of_rr[l]), lanes(&|l| 2.0 * (of_ee[l] - of_rr[l]))],
            total: *total,
            of_rr,
            of_ee,
        }
    }

    fn t(&self, sums: &Sums) -> Lanes {
        linear(&self.t, sums)
    }

    fn d(&self, sums: &Sums) -> Lanes {
        linear(&self.d, sums)
    }

    /// Means within the reference's and within the endpoint's answers.
    fn within(&self, sums: &Sums) -> (Lanes, Lanes) {
        let rr = std::array::from_fn(|l| (self.total[l] - 2.0 * sums.rows[l] + 2.0 * sums.inner[l]) * self.of_rr[l]);
        let ee = std::array::from_fn(|l| 2.0 * sums.inner[l] * self.of_ee[l]);
        (rr, ee)
    }
}

fn linear([constant, of_rows, of_inner]: &[Lanes; 3], sums: &Sums) -> Lanes {
    std::array::from_fn(|l| constant[l] + of_rows[l] * sums.rows[l] + of_inner[l] * sums.inner[l])
}

impl Stratum {
    fn new(pair: &Pair<'_>, scores: &[Scores], settings: Settings<'_>) -> Self {
        let texts: Vec<&str> = pair.reference.iter().chain(&pair.endpoint).copied().collect();
        let kernels = Kernels::new(&texts);
        let rows: Vec<Row> = scores.iter().enumerate().map(|(i, scores)| row(&kernels, i, scores)).collect();
        let total = std::array::from_fn(|l| rows.iter().map(|row| row[l]).sum());
        let (r, e) = (pair.reference.len(), pair.endpoint.len());
        let mut out = Self {
            probe: pair.probe.to_owned(),
            kernels,
            reference: r,
            rows,
            means: Means::new(&total, r, e),
            generator: rng::derive(settings.seed, &["permutation", settings.label, pair.probe]),
            weight: weight(r as f64, e as f64),
            offset: 0,
            level: 0.0,
            observed: Observed::default(),
        };
        out.observed = out.observe();
        out
    }

    fn answers(&self) -> usize {
        self.kernels.answers()
    }

    fn endpoint(&self) -> usize {
        self.answers() - self.reference
    }

    /// By how much the logarithm of one plus the number of characters is larger.
    pub fn length_difference(&self) -> f64 {
        self.difference(self.rows[self.reference..].iter().map(|row| row[LANES + LENGTH]).sum())
    }

    /// The harmonic mean of both sides' numbers of answers.
    pub fn size(&self) -> f64 {
        let (r, e) = (self.reference as f64, self.endpoint() as f64);
        2.0 * r * e / (r + e)
    }

    fn observe(&self) -> Observed {
        let choices = Choices::of_one(self.answers(), self.reference..self.answers());
        let sums = self.sums(&choices).next().unwrap_or_default();
        let (rr, ee) = self.means.within(&sums);
        Observed {
            t: mean_of_combined(&self.means.t(&sums)),
            within_reference: mean_of_combined(&rr),
            within_endpoint: mean_of_combined(&ee),
            surprisal: self.difference(sums.scores[SURPRISAL]),
        }
    }

    /// The difference of the sides' means of a centred score, from its sum over the endpoint's answers.
    fn difference(&self, sum: f64) -> f64 {
        let (r, e) = (self.reference as f64, self.endpoint() as f64);
        sum * (1.0 / e + 1.0 / r)
    }

    /// For each choice of the endpoint's answers.
    fn sums(&self, endpoint: &Choices) -> impl Iterator<Item = Sums> {
        endpoint.pair_sums(&self.kernels).into_iter().zip(endpoint.sums(&self.rows)).map(|(inner, rows)| {
            let (rows, scores) = halves(&rows);
            Sums { inner, rows, scores }
        })
    }

    /// Adds this probe's part to the statistics of the labellings from `first` on and sets its labels in the blocks of them;
    /// returns in how many permutations `T` is at least the observed one.
    fn run(&self, first: usize, statistics: &mut [Statistic], blocks: &mut [&mut [Labels]]) -> u32 {
        let mut choices = Choices::none(self.answers(), statistics.len());
        let mut draws = vec![0; BLOCK * self.answers() * DRAW];
        for (k, labels) in blocks.iter_mut().enumerate() {
            self.draw(first + k * BLOCK, labels, &mut draws);
            choices.enter(labels, k * BLOCK);
        }
        let slack = 1e-12 * (1.0 + self.observed.t.abs());
        let mut at_least = 0;
        for (at, (statistic, sums)) in statistics.iter_mut().zip(self.sums(&choices)).enumerate() {
            let t = self.add(&sums, statistic);
            at_least += u32::from(first + at > 0 && t >= self.observed.t - slack);
        }
        at_least
    }

    /// Draws the labels of the block that begins with labelling `first`; `draws` is room for as many random numbers.
    fn draw(&self, first: usize, labels: &mut [Labels], draws: &mut [u8]) {
        let mut rng = self.generator.clone();
        rng.set_stream((first / BLOCK) as u64);
        // Drawn at once, which is far faster than one by one.
        rng.fill_bytes(draws);
        let draws = draws.as_chunks::<DRAW>().0;
        Arch::new().dispatch(Choose { labels, endpoint: self.endpoint(), draws });
        // The observed labelling is the first of all.
        if first == 0 {
            labels.iter_mut().enumerate().for_each(|(i, row)| row[0] = u8::from(i >= self.reference));
        }
    }

    /// Adds this probe's part to a statistic; returns its mean `T` of the combined kernels.
    fn add(&self, sums: &Sums, statistic: &mut Statistic) -> f64 {
        let (t, d) = (self.means.t(sums), self.means.d(sums));
        add(&mut statistic.t, &t);
        add(&mut statistic.d, &d);
        for (k, lane) in COMBINED.into_iter().enumerate() {
            statistic.weighed_t[k] += self.weight * t[lane as usize];
            statistic.weighed_d[k] += self.weight * d[lane as usize];
        }
        for (total, score) in statistic.scores.iter_mut().zip(sums.scores) {
            *total += score;
        }
        statistic.surprisal += self.difference(sums.scores[SURPRISAL]);
        mean_of_combined(&t)
    }

    fn probe_statistic(&self, at_least: u32, permutations: u32) -> ProbeStatistic {
        ProbeStatistic {
            probe: self.probe.clone(),
            t: self.observed.t,
            within_reference: self.observed.within_reference,
            within_endpoint: self.observed.within_endpoint,
            surprisal: self.observed.surprisal,
            reference_surprisal: self.level,
            p: f64::from(at_least + 1) / (f64::from(permutations) + 1.0),
        }
    }
}

/// What a probe with this many answers tells: the inverse of the variance of `T` for equal sources, up to what the answers
/// are. A probe of two answers is not worth one of twenty.
fn weight(r: f64, e: f64) -> f64 {
    1.0 / (2.0 / (r * (r - 1.0)) + 2.0 / (e * (e - 1.0)) + 4.0 / (r * e))
}

/// The scores of a probe's answers; those of groups that are left out are 0.
fn scores(pair: &Pair<'_>, surprisals: &Surprisals, groups: Groups<'_>) -> Vec<Scores> {
    let texts = pair.reference.iter().chain(&pair.endpoint);
    let mut out: Vec<Scores> = texts.clone().map(|_| Scores::default()).collect();
    let mut set = |score: usize, values: &[f64]| {
        out.iter_mut().zip(centred(values)).for_each(|(scores, value)| scores[score] = value);
    };
    if !matches!(groups, Groups::Kernels) {
        set(SURPRISAL, &surprisals.means);
        set(EXCESS, &surprisals.excesses);
        set(LENGTH, &texts.map(|t| (t.chars().count() as f64).ln_1p()).collect::<Vec<f64>>());
    }
    if let Groups::AllWith(witness) = groups {
        set(WITNESS, &witness.of_probe(pair.probe).into_iter().flatten().collect::<Vec<f64>>());
    }
    out
}

fn centred(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| v - mean).collect()
}

fn row(kernels: &Kernels, i: usize, scores: &Scores) -> Row {
    let mut out = Row::default();
    for value in kernels.row(i) {
        out.iter_mut().zip(value.lanes()).for_each(|(sum, value)| *sum += value);
    }
    out[LANES..].copy_from_slice(scores);
    out
}

/// Adds all kernels at once, in the array's order.
fn add(total: &mut Lanes, value: &Lanes) {
    for (sum, v) in total.iter_mut().zip(value) {
        *sum += v;
    }
}

/// Bytes of a random number.
const DRAW: usize = 4;

/// Chooses as many answers as the endpoint has at random in each labelling of a block: each is taken with the probability with which a random choice
/// of those that are still wanted holds it (Knuth, *The Art of Computer Programming* 2, § 3.4.2, algorithm S). All
/// labellings go from answer to answer together, since none has to wait for another.
///
/// Numbers are drawn by multiplication without rejection (Lemire 2019): some are likelier than others by at most
/// `n / 2³²`, which no test of any feasible size can notice.
struct Choose<'a> {
    labels: &'a mut [Labels],
    endpoint: usize,
    draws: &'a [[u8; DRAW]],
}

impl WithSimd for Choose<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut wanted = [self.endpoint as u32; BLOCK];
        let left = (1..=self.labels.len() as u64).rev();
        for ((labels, draws), left) in self.labels.iter_mut().zip(self.draws.as_chunks::<BLOCK>().0).zip(left) {
            for ((label, wanted), draw) in labels.iter_mut().zip(&mut wanted).zip(draws) {
                let below = (u64::from(u32::from_le_bytes(*draw)) * left) >> 32;
                let is_taken = u32::from((below as u32) < *wanted);
                *label = is_taken as u8;
                *wanted -= is_taken;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Lane;

    #[test]
    fn the_shortcut_over_row_sums_equals_the_plain_definition() {
        let pair = Pair { probe: "p", reference: vec!["abc", "abd", "xyz"], endpoint: vec!["abc", "qqq"] };
        let settings = Settings { permutations: 199, seed: 0, label: "test" };
        let stratum = Stratum::new(&pair, &[Scores::default(); 5], settings);
        let k = |i: usize, j: usize| stratum.kernels.between(i, j)[Lane::Hamming50 as usize];
        let plain = 2.0 * (k(0, 1) + k(0, 2) + k(1, 2)) / 6.0 + k(3, 4)
            - 2.0 * (k(0, 3) + k(0, 4) + k(1, 3) + k(1, 4) + k(2, 3) + k(2, 4)) / 6.0;
        let choices = Choices::of_one(5, 3..5);
        let found = stratum.sums(&choices).map(|sums| stratum.means.t(&sums)[Lane::Hamming50 as usize]).sum::<f64>();
        assert!((plain - found).abs() < 1e-12, "{plain} {found}");
    }
}
