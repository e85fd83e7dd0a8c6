//! The stratified permutation test of layer 1: do the endpoint's sampled answers come from the reference's distribution?
//!
//! Four groups of statistics see the same permutations:
//!
//! - **kernels**: for each kernel the unbiased squared maximum mean discrepancy `T = A_rr + A_ee − 2 A_re` (Gretton et al.
//!   2012, equation 3) and the dispersion `D = A_ee − A_rr`, where `A` are means of the kernel without its diagonal. The
//!   kernels of [`COMBINED`] are standardised over the permutations and the largest `T` or `|D|` is taken;
//! - **presence** of words ([`super::presence`]);
//! - **surprisal** ([`super::surprisal`]), two-sided;
//! - **length**, the logarithm of the number of characters, two-sided.
//!
//! Each group is ranked over the permutations, the smallest rank is taken, and that is permuted (the "min-p" of Westfall
//! and Young 1993, § 2.3): faults differ in where they show, and one that shows in one group only is found nearly as
//! surely as by that group alone. Labels are permuted within each probe: answers to different probes are not exchangeable,
//! and permuting across them costs most of the power. Since every permutation is treated as the observed labelling is,
//! all of this keeps the test exact.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::kernel::{COMBINED, Kernels, Lane, Lanes, Packed, UNITS, mean_of_combined};
use super::presence::{BLOCK, Labels, Presence};
use super::surprisal::surprisals;
use super::{Pair, permutation_p_value, pieces, rng};

/// How many permutations, under which seed, for which endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The number of permutations, at least 1.
    pub permutations: u32,
    /// The seed of the run.
    pub seed: u64,
    /// What tells this test's random stream from others, usually the endpoint's name.
    pub label: &'a str,
}

/// The fewest permutations, at least `configured`, with which each of `tests` tests can still be significant at `alpha`
/// after Holm's correction: twice as many as make the smallest p-value, `1 / (B + 1)`, reach `alpha / tests`, so that one
/// permutation that happens to look as unlike as what was observed costs nothing.
///
/// `tests` counts every p-value that is corrected for, instruments of one endpoint included.
pub fn permutations_for(tests: usize, alpha: f64, configured: u32) -> u32 {
    // Less a little, since 2400 / 0.05 need not be a whole number.
    let labellings = (2.0 * tests as f64 / alpha - 1e-6).ceil();
    // A cast from floating point saturates.
    configured.max((labellings - 1.0) as u32)
}

/// The outcome of the test.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoSample {
    /// `T` for each kernel, averaged over probes.
    pub t: Lanes,
    /// `D` for each kernel, averaged over probes.
    pub d: Lanes,
    /// One-sided p-value of `T` for each kernel by itself.
    pub t_p: Lanes,
    /// Two-sided p-value of `D` for each kernel by itself.
    pub d_p: Lanes,
    /// One-sided p-value of the largest standardised `T` among the combined kernels.
    pub mmd_p: f64,
    /// Two-sided p-value of the largest standardised `D` among the combined kernels.
    pub dispersion_p: f64,
    /// p-value of the larger of both: the group of the kernels.
    pub kernels_p: f64,
    /// p-value of the presence of words, one-sided by its nature: any word more or less often adds to the statistic.
    pub presence_p: f64,
    /// Two-sided p-value of the mean surprisal.
    pub surprisal_p: f64,
    /// Two-sided p-value of the mean logarithm of the length.
    pub length_p: f64,
    /// p-value of the smallest of the four groups' ranks: the endpoint's p-value of layer 1.
    pub p: f64,
    /// By how much the endpoint's answers are more surprising than the reference's, in nats a piece, averaged over probes;
    /// negative where they are less so: the tail of the distribution is missing, as with a lower temperature, `top_p` or
    /// `top_k`.
    pub surprisal: f64,
    /// By how much the logarithm of one plus the number of characters is larger, averaged over probes.
    pub length: f64,
    /// The mean of the combined kernels' `T` over permutations: the noise of equal sources.
    pub t_null: Null,
    /// The same of `D`.
    pub d_null: Null,
    /// The same of `surprisal`.
    pub surprisal_null: Null,
    /// Mean number of answers of a side to a probe: the harmonic mean of both sides', averaged over probes.
    pub answers_per_probe: f64,
    /// MMD² with the Hamming kernel at 1000 characters, pooled over same-probe pairs instead of averaged over probes: the
    /// statistic of the Python package `model-equality-testing`.
    pub pooled_hamming1000: f64,
    /// What each probe shows by itself, in the order given.
    pub probes: Vec<ProbeStatistic>,
}

/// One probe's statistics with the mean of the combined kernels.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeStatistic {
    /// The probe's id.
    pub probe: String,
    /// Unbiased MMD², between −2 and 2.
    pub t: f64,
    /// Mean kernel value within the reference's answers, between 0 and 1.
    pub within_reference: f64,
    /// Mean kernel value within the endpoint's answers, between 0 and 1.
    pub within_endpoint: f64,
    /// Mean surprisal of the endpoint's answers less that of the reference's, in nats a piece.
    pub surprisal: f64,
    /// Mean surprisal of the reference's answers, in nats a piece, at least 0.
    pub reference_surprisal: f64,
    /// One-sided permutation p-value of this probe alone.
    pub p: f64,
}

/// Tests all probes for which both sides have at least two answers; `None` when there is no such probe.
pub fn two_sample(pairs: &[Pair<'_>], settings: Settings<'_>) -> Option<TwoSample> {
    test(pairs, settings, Groups::All)
}

/// The same by the kernels alone, for those who want only `T` and `D`: all other groups are left out and have a p-value of 1.
pub fn two_sample_by_kernels(pairs: &[Pair<'_>], settings: Settings<'_>) -> Option<TwoSample> {
    test(pairs, settings, Groups::Kernels)
}

/// Which groups are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Groups {
    All,
    Kernels,
}

fn test(pairs: &[Pair<'_>], settings: Settings<'_>, groups: Groups) -> Option<TwoSample> {
    let pairs: Vec<&Pair<'_>> = pairs.iter().filter(|p| p.reference.len() >= 2 && p.endpoint.len() >= 2).collect();
    if pairs.is_empty() {
        return None;
    }
    let design = Design::new(&pairs, settings, groups);
    let blocks: Vec<Labelled> = (0..=settings.permutations as usize)
        .step_by(BLOCK)
        .collect::<Vec<_>>()
        .par_iter()
        .map(|&first| {
            let count = BLOCK.min(settings.permutations as usize + 1 - first);
            design.run(first, count)
        })
        .collect();
    let mut all = Vec::with_capacity(settings.permutations as usize + 1);
    let mut at_least = vec![0_u32; design.strata.len()];
    for block in blocks {
        all.extend(block.statistics);
        at_least.iter_mut().zip(&block.at_least).for_each(|(total, part)| *total += part);
    }
    let probes =
        design.strata.iter().zip(&at_least).map(|(s, &n)| s.probe_statistic(n, settings.permutations)).collect();
    Some(summarise(&all, &design, probes))
}

/// Scores that an answer has by itself, centred within its probe.
const SCORES: usize = 2;
const SURPRISAL: usize = 0;
const LENGTH: usize = 1;

type Scores = [f64; SCORES];

/// What one labelling of all answers gives.
#[derive(Debug, Clone, Copy, Default)]
struct Statistic {
    /// Means over probes.
    t: Lanes,
    d: Lanes,
    /// Sums over probes, each with its weight, of the combined kernels: what is tested.
    weighed_t: [f64; COMBINED.len()],
    weighed_d: [f64; COMBINED.len()],
    /// Sums over the endpoint's answers: what is tested.
    scores: Scores,
    /// Difference of mean surprisal, averaged over probes: what is reported.
    surprisal: f64,
    presence: f64,
}

/// All probes, prepared for any labelling.
struct Design {
    strata: Vec<Stratum>,
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
    fn new(pairs: &[&Pair<'_>], settings: Settings<'_>, groups: Groups) -> Self {
        let texts = match groups {
            Groups::All => pieces::intern(pairs.iter().copied()),
            Groups::Kernels => pieces::Interned::none(pairs),
        };
        let surprisals = surprisals(&texts);
        let reference: Vec<usize> = pairs.iter().map(|p| p.reference.len()).collect();
        let presence = Presence::new(&texts.probes, texts.distinct, &reference);
        let mut strata: Vec<Stratum> = pairs
            .par_iter()
            .zip(&surprisals)
            .map(|(pair, surprisals)| Stratum::new(pair, scores(pair, surprisals, groups), settings))
            .collect();
        let mut answers = 0;
        let weights: f64 = strata.iter().map(|s| s.weight).sum();
        let m = strata.len() as f64;
        for (stratum, surprisals) in strata.iter_mut().zip(&surprisals) {
            let ours = &surprisals[..stratum.reference.min(surprisals.len())];
            stratum.level = ours.iter().sum::<f64>() / ours.len().max(1) as f64;
            stratum.offset = answers;
            stratum.weight *= m / weights;
            answers += stratum.answers();
        }
        Self { strata, presence, answers }
    }

    /// The labellings from `first` on; number 0 is the observed one, and each block of them has a random stream of its own,
    /// so that blocks can be run in any order.
    fn run(&self, first: usize, count: usize) -> Labelled {
        let mut labels: Vec<Labels> = vec![[0; BLOCK]; self.answers];
        let mut out = Labelled { statistics: vec![Statistic::default(); count], at_least: Vec::new() };
        for stratum in &self.strata {
            let labels = &mut labels[stratum.offset..stratum.offset + stratum.answers()];
            out.at_least.push(stratum.run(first, &mut out.statistics, labels));
        }
        let m = self.strata.len() as f64;
        for (statistic, presence) in out.statistics.iter_mut().zip(self.presence.block(&labels)) {
            for value in statistic.t.iter_mut().chain(&mut statistic.d) {
                *value /= m;
            }
            statistic.surprisal /= m;
            statistic.presence = presence;
        }
        out
    }
}

/// One probe's kernels and scores with what all permutations share.
struct Stratum {
    probe: String,
    kernels: Kernels,
    reference: usize,
    /// Of each answer's kernels with all others, in [`UNITS`].
    row_sums: Vec<Lanes>,
    /// `T` and `D` from sums of kernels; the kernels' units are in it.
    means: Means,
    scores: Vec<Scores>,
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
    fn new(pair: &Pair<'_>, scores: Vec<Scores>, settings: Settings<'_>) -> Self {
        let texts: Vec<&str> = pair.reference.iter().chain(&pair.endpoint).copied().collect();
        let kernels = Kernels::new(&texts);
        let row_sums: Vec<Lanes> = (0..texts.len()).map(|i| row_sum(kernels.row(i))).collect();
        let total = std::array::from_fn(|l| row_sums.iter().map(|row| row[l]).sum());
        let (r, e) = (pair.reference.len(), pair.endpoint.len());
        let mut out = Self {
            probe: pair.probe.to_owned(),
            kernels,
            reference: r,
            row_sums,
            means: Means::new(&total, r, e),
            scores,
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

    fn length_difference(&self) -> f64 {
        self.difference(self.scores[self.reference..].iter().map(|s| s[LENGTH]).sum())
    }

    fn size(&self) -> f64 {
        let (r, e) = (self.reference as f64, self.endpoint() as f64);
        2.0 * r * e / (r + e)
    }

    fn observe(&self) -> Observed {
        let order: Vec<u32> = (0..self.answers() as u32).collect();
        let sums = self.sums(&order[self.reference..]);
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

    fn sums(&self, endpoint: &[u32]) -> Sums {
        let mut out = Sums::default();
        let (mut packed, mut summands) = (Packed::default(), 0);
        for (k, &i) in endpoint.iter().enumerate() {
            let row = self.kernels.row(i as usize);
            let mut others = &endpoint[..k];
            while summands + others.len() > Packed::SUMMANDS {
                let (fitting, rest) = others.split_at(Packed::SUMMANDS - summands);
                add_others(&mut packed, row, fitting);
                unpack(&mut out.inner, &packed);
                (packed, summands, others) = (Packed::default(), 0, rest);
            }
            add_others(&mut packed, row, others);
            summands += others.len();
            add(&mut out.rows, &self.row_sums[i as usize]);
            for (sum, value) in out.scores.iter_mut().zip(&self.scores[i as usize]) {
                *sum += value;
            }
        }
        unpack(&mut out.inner, &packed);
        out
    }

    /// Adds this probe's part to the statistics of the labellings from `first` on and sets its labels in them; returns in how
    /// many permutations `T` is at least the observed one.
    fn run(&self, first: usize, statistics: &mut [Statistic], labels: &mut [Labels]) -> u32 {
        let mut rng = self.generator.clone();
        rng.set_stream((first / BLOCK) as u64);
        let mut chosen: Vec<u32> = (self.reference as u32..=self.answers() as u32).collect();
        let slack = 1e-12 * (1.0 + self.observed.t.abs());
        let mut at_least = 0;
        for (at, statistic) in statistics.iter_mut().enumerate() {
            let is_observed = first + at == 0;
            if is_observed {
                labels[self.reference..].iter_mut().for_each(|row| row[at] = 1);
            } else {
                choose(&mut chosen, labels, at, &mut rng);
            }
            let chosen = &chosen[..self.endpoint()];
            let t = self.add(&self.sums(chosen), statistic);
            at_least += u32::from(!is_observed && t >= self.observed.t - slack);
        }
        at_least
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

/// The scores of a probe's answers; without the other groups all are 0.
fn scores(pair: &Pair<'_>, surprisals: &[f64], groups: Groups) -> Vec<Scores> {
    let texts = pair.reference.iter().chain(&pair.endpoint);
    if groups == Groups::Kernels {
        return texts.map(|_| Scores::default()).collect();
    }
    let lengths: Vec<f64> = texts.map(|t| (t.chars().count() as f64).ln_1p()).collect();
    centred(surprisals).into_iter().zip(centred(&lengths)).map(|(surprisal, length)| [surprisal, length]).collect()
}

fn centred(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| v - mean).collect()
}

fn row_sum(row: &[Packed]) -> Lanes {
    let mut total = Lanes::default();
    for value in row {
        unpack(&mut total, value);
    }
    total
}

/// Adds one answer's kernels with these others.
#[inline]
fn add_others(packed: &mut Packed, row: &[Packed], others: &[u32]) {
    // Four at a time: what the loop itself costs would be most of it.
    let quads = others.chunks_exact(4);
    for &j in quads.remainder() {
        packed.add(&row[j as usize]);
    }
    for quad in quads {
        for &j in quad {
            packed.add(&row[j as usize]);
        }
    }
}

fn unpack(total: &mut Lanes, packed: &Packed) {
    for (lane, sum) in total.iter_mut().enumerate() {
        *sum += f64::from(packed.get(lane));
    }
}

/// Adds all kernels at once, in the array's order.
fn add(total: &mut Lanes, value: &Lanes) {
    for (sum, v) in total.iter_mut().zip(value) {
        *sum += v;
    }
}

/// Chooses one answer less than there is room for, at random and in ascending order, and sets their labels in column `at`:
/// each is taken with the probability with which a random choice of those that are still wanted holds it (Knuth, *The Art
/// of Computer Programming* 2, § 3.4.2, algorithm S). The last slot is scratch, which spares a branch; the order lets the
/// kernels of a probe be read from one half of their matrix, which stays in the cache.
///
/// Numbers are drawn by multiplication without rejection (Lemire 2019): some are likelier than others by at most
/// `n / 2³²`, which no test of any feasible size can notice.
fn choose(chosen: &mut [u32], labels: &mut [Labels], at: usize, rng: &mut ChaCha8Rng) {
    let (mut wanted, mut taken, mut left) = (chosen.len() as u64 - 1, 0, labels.len() as u64);
    for (i, labels) in labels.iter_mut().enumerate() {
        let below = (u64::from(rng.next_u32()) * left) >> 32;
        let is_taken = u8::from(below < wanted);
        chosen[taken] = i as u32;
        labels[at] = is_taken;
        taken += usize::from(is_taken);
        wanted -= u64::from(is_taken);
        left -= 1;
    }
}

fn summarise(all: &[Statistic], design: &Design, probes: Vec<ProbeStatistic>) -> TwoSample {
    let column = |f: &dyn Fn(&Statistic) -> f64| -> Vec<f64> { all.iter().map(f).collect() };
    let size =
        |f: &dyn Fn(&Statistic) -> f64| -> Vec<f64> { standardise(&column(f)).into_iter().map(f64::abs).collect() };
    let mmd = largest([0, 1, 2].map(|k| standardise(&column(&|s| s.weighed_t[k]))));
    let dispersion = largest([0, 1, 2].map(|k| size(&|s| s.weighed_d[k])));
    let groups = [
        mmd.iter().zip(&dispersion).map(|(a, b)| a.max(*b)).collect(),
        column(&|s| s.presence),
        // Centred by construction, so what is near to 0 is near to what is expected.
        column(&|s| s.scores[SURPRISAL].abs()),
        column(&|s| s.scores[LENGTH].abs()),
    ];
    let smallest = smallest_rank(&groups);
    let [kernels_p, presence_p, surprisal_p, length_p] = groups.map(|g| p_of(&g));
    let m = design.strata.len() as f64;
    let length: f64 = design.strata.iter().map(Stratum::length_difference).sum::<f64>() / m;
    TwoSample {
        t: all[0].t,
        d: all[0].d,
        t_p: std::array::from_fn(|lane| p_of(&column(&|s| s.t[lane]))),
        d_p: std::array::from_fn(|lane| p_of(&size(&|s| s.d[lane]))),
        mmd_p: p_of(&mmd),
        dispersion_p: p_of(&dispersion),
        kernels_p,
        presence_p,
        surprisal_p,
        length_p,
        p: p_of(&smallest),
        surprisal: all[0].surprisal,
        length,
        t_null: Null::of(column(&|s| mean_of_combined(&s.t)).split_off(1)),
        d_null: Null::of(column(&|s| mean_of_combined(&s.d)).split_off(1)),
        surprisal_null: Null::of(column(&|s| s.surprisal).split_off(1)),
        answers_per_probe: design.strata.iter().map(Stratum::size).sum::<f64>() / m,
        pooled_hamming1000: pooled_hamming1000(&design.strata),
        probes,
    }
}

/// For each labelling how far it stands out in the group in which it stands out most: minus the smallest of its ranks.
///
/// Several groups have a labelling of rank 1 each, and so the smallest p-value would be as many times larger; between
/// labellings of one rank the standardised size of the statistic decides. It adds less than 1.
fn smallest_rank(groups: &[Vec<f64>]) -> Vec<f64> {
    let mut out = vec![f64::NEG_INFINITY; groups.first().map_or(0, Vec::len)];
    for group in groups {
        let standing = standardise(group).into_iter().map(|z| z.max(0.0) / (1.0 + z.max(0.0)));
        for ((best, rank), tie) in out.iter_mut().zip(ranks(group)).zip(standing) {
            *best = best.max(tie - f64::from(rank));
        }
    }
    out
}

/// How many of the values are at least this one, itself included. Values within a relative `1e-12` are ties, as in
/// [`permutation_p_value`].
fn ranks(values: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| values[b as usize].total_cmp(&values[a as usize]));
    let mut out = vec![0; values.len()];
    let mut end = 0;
    for &i in &order {
        let value = values[i as usize];
        let slack = 1e-12 * (1.0 + value.abs());
        while end < order.len() && values[order[end] as usize] >= value - slack {
            end += 1;
        }
        out[i as usize] = end as u32;
    }
    out
}

fn p_of(observed_first: &[f64]) -> f64 {
    permutation_p_value(observed_first[0], observed_first[1..].iter().copied())
}

/// How a statistic spreads over permutations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Null {
    /// Standard deviation.
    pub sd: f64,
    /// The value that one permutation in a thousand undercuts.
    pub low: f64,
    /// The value that one permutation in a thousand exceeds.
    pub high: f64,
}

impl Null {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let (Some(&smallest), Some(&largest)) = (values.first(), values.last()) else { return Self::default() };
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let skipped = values.len() / 1000;
        let at = |i: usize, otherwise: f64| values.get(i).copied().unwrap_or(otherwise);
        Self { sd, low: at(skipped, smallest), high: at(values.len() - 1 - skipped, largest) }
    }
}

/// Centres and scales over the observed value and its permutations alike, which treats all of them the same and so
/// keeps the test exact. A statistic that does not vary says nothing and becomes 0.
fn standardise(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let constant = sd <= 1e-12 * (1.0 + mean.abs());
    values.iter().map(|v| if constant { 0.0 } else { (v - mean) / sd }).collect()
}

fn largest(standardised: [Vec<f64>; 3]) -> Vec<f64> {
    let [a, b, c] = standardised;
    a.iter().zip(&b).zip(&c).map(|((x, y), z)| x.max(*y).max(*z)).collect()
}

/// MMD² as the Python package `model-equality-testing` 0.0.2 computes it: sums over all same-probe pairs of all probes,
/// divided by the number of such pairs. In whole numbers until the last division.
fn pooled_hamming1000(strata: &[Stratum]) -> f64 {
    let (mut rr, mut ee, mut re) = ((0_u64, 0_u64), (0_u64, 0_u64), (0_u64, 0_u64));
    for s in strata {
        for i in 0..s.kernels.answers() {
            for j in (0..s.kernels.answers()).filter(|&j| j != i) {
                let block = match (i < s.reference, j < s.reference) {
                    (true, true) => &mut rr,
                    (false, false) => &mut ee,
                    (true, false) => &mut re,
                    (false, true) => continue,
                };
                block.0 += u64::from(s.kernels.matches(i, j));
                block.1 += 1;
            }
        }
    }
    let mean = |(matches, pairs): (u64, u64)| matches as f64 / (pairs as f64 * 1000.0);
    mean(rr) - 2.0 * mean(re) + mean(ee)
}

/// The value of `T` or `D` for one kernel.
pub fn lane(lanes: &Lanes, lane: Lane) -> f64 {
    lanes[lane as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt as _;

    fn settings(seed: u64) -> Settings<'static> {
        Settings { permutations: 199, seed, label: "test" }
    }

    /// Answers of a toy source: words drawn with the given weights' generator.
    fn answers(seed: u64, probe: &str, words: &[&str], n: usize) -> Vec<String> {
        let mut rng = rng::derive(seed, &[probe]);
        (0..n).map(|_| (0..4).map(|_| words[rng.random_range(0..words.len())]).collect::<Vec<_>>().join(" ")).collect()
    }

    fn compare(reference: &[&str], endpoint: &[&str], seed: u64) -> TwoSample {
        let ids: Vec<String> = (0..12).map(|p| format!("p{p}")).collect();
        let r: Vec<_> = ids.iter().map(|p| answers(seed, &format!("{p}r"), reference, 8)).collect();
        let e: Vec<_> = ids.iter().map(|p| answers(seed, &format!("{p}e"), endpoint, 8)).collect();
        let pairs: Vec<Pair<'_>> = ids
            .iter()
            .enumerate()
            .map(|(i, id)| Pair {
                probe: id,
                reference: r[i].iter().map(String::as_str).collect(),
                endpoint: e[i].iter().map(String::as_str).collect(),
            })
            .collect();
        two_sample(&pairs, settings(seed)).expect("there are answers")
    }

    const WORDS: [&str; 6] = ["red", "green", "blue", "yellow", "black", "white"];

    #[test]
    fn other_answers_give_the_smallest_p_value_there_is() {
        let found = compare(&WORDS, &["rouge", "vert", "bleu", "jaune"], 1);
        assert!((found.mmd_p - 1.0 / 200.0).abs() < 1e-12);
        assert!((found.p - 1.0 / 200.0).abs() < 1e-12);
        assert!(found.probes.iter().all(|p| p.t > 0.0));
    }

    #[test]
    fn equal_sources_reject_about_as_often_as_the_level_says() {
        let rejected = (0..200).filter(|&seed| compare(&WORDS, &WORDS, seed).p <= 0.05).count();
        // 200 draws at 5 %: more than 20 would happen once in 500 such tests.
        assert!(rejected <= 20, "{rejected} of 200");
    }

    #[test]
    fn fewer_words_show_in_the_dispersion() {
        let found = compare(&WORDS, &["red", "red", "red", "red", "green"], 3);
        assert!(found.dispersion_p <= 0.01 && lane(&found.d, Lane::Hamming50) > 0.0);
    }

    #[test]
    fn the_result_is_the_same_to_the_bit_on_one_thread_and_on_many() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| compare(&WORDS, &WORDS[..5], 11))
        };
        assert_eq!(on(1), on(7));
    }

    #[test]
    fn the_shortcut_over_row_sums_equals_the_plain_definition() {
        let pair = Pair { probe: "p", reference: vec!["abc", "abd", "xyz"], endpoint: vec!["abc", "qqq"] };
        let stratum = Stratum::new(&pair, vec![Scores::default(); 5], settings(0));
        let k = |i: usize, j: usize| stratum.kernels.between(i, j)[Lane::Hamming50 as usize];
        let plain = 2.0 * (k(0, 1) + k(0, 2) + k(1, 2)) / 6.0 + k(3, 4)
            - 2.0 * (k(0, 3) + k(0, 4) + k(1, 3) + k(1, 4) + k(2, 3) + k(2, 4)) / 6.0;
        let found = stratum.means.t(&stratum.sums(&[3, 4]))[Lane::Hamming50 as usize];
        assert!((plain - found).abs() < 1e-12, "{plain} {found}");
    }

    /// Answers of the toy source to probes of several sizes.
    fn uneven(endpoint: &[&str], seed: u64) -> TwoSample {
        let ids: Vec<String> = (0..12).map(|p| format!("p{p}")).collect();
        let sizes = |p: usize| [2 + p % 5 * 3, 2 + p % 3 * 4];
        let r: Vec<_> = (0..12).map(|p| answers(seed, &format!("{p}r"), &WORDS, sizes(p)[0])).collect();
        let e: Vec<_> = (0..12).map(|p| answers(seed, &format!("{p}e"), endpoint, sizes(p)[1])).collect();
        let pairs: Vec<Pair<'_>> = (0..12)
            .map(|p| Pair {
                probe: &ids[p],
                reference: r[p].iter().map(String::as_str).collect(),
                endpoint: e[p].iter().map(String::as_str).collect(),
            })
            .collect();
        two_sample(&pairs, settings(seed)).expect("there are answers")
    }

    #[test]
    fn equal_sources_in_uneven_numbers_reject_about_as_often_as_the_level_says() {
        let rejected = (0..200).filter(|&seed| uneven(&WORDS, seed).p <= 0.05).count();
        assert!(rejected <= 20, "{rejected} of 200");
    }

    #[test]
    fn fewer_words_are_less_surprising_and_others_more() {
        let found = compare(&WORDS, &["red", "red", "red", "green"], 3);
        assert!(found.surprisal_p <= 0.01 && found.surprisal < 0.0, "{}", found.surprisal);
        let rare = ["red", "green", "blue", "yellow", "black", "white", "a", "b", "c", "d", "e", "f"];
        let found = compare(&WORDS, &rare, 3);
        assert!(found.surprisal_p <= 0.01 && found.surprisal > 0.0, "{}", found.surprisal);
        let by_probe = found.probes.iter().map(|p| p.surprisal).sum::<f64>() / found.probes.len() as f64;
        assert!((by_probe - found.surprisal).abs() < 1e-12);
    }

    #[test]
    fn longer_answers_show_in_the_length() {
        let found = compare(&WORDS, &["red red", "green green", "blue blue", "yellow", "black", "white"], 5);
        assert!(found.length_p <= 0.01 && found.length > 0.0);
    }

    #[test]
    fn the_kernels_alone_give_what_they_give_among_all() {
        let texts = answers(1, "p", &WORDS, 9);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let pair = Pair { probe: "p", reference: texts[..5].to_vec(), endpoint: texts[5..].to_vec() };
        let all = two_sample(std::slice::from_ref(&pair), settings(1)).expect("there are answers");
        let alone = two_sample_by_kernels(&[pair], settings(1)).expect("there are answers");
        assert_eq!((alone.t, alone.d, alone.kernels_p, alone.mmd_p), (all.t, all.d, all.kernels_p, all.mmd_p));
        assert!((alone.presence_p - 1.0).abs() < 1e-12 && (alone.surprisal_p - 1.0).abs() < 1e-12);
    }

    #[test]
    fn many_answers_are_summed_without_overflow() {
        let same = vec!["x".repeat(1000); 150];
        let same: Vec<&str> = same.iter().map(String::as_str).collect();
        let pair = Pair { probe: "p", reference: same.clone(), endpoint: same };
        let found = two_sample_by_kernels(&[pair], Settings { permutations: 5, ..settings(0) }).expect("answers");
        assert!((found.probes[0].within_endpoint - 1.0).abs() < 1e-12, "{}", found.probes[0].within_endpoint);
        assert!(found.t.iter().all(|t| t.abs() < 1e-9));
    }

    #[test]
    fn ranks_count_ties_as_a_p_value_does() {
        assert_eq!(ranks(&[2.0, 3.0, 1.0, 3.0, 3.0 - 1e-14]), [4, 3, 5, 3, 3]);
    }

    #[test]
    fn what_stands_out_in_one_group_only_stands_out() {
        let groups = [vec![9.0, 0.0, 0.1, 0.2, 0.3], vec![0.3, 0.4, 0.1, 0.2, 0.0], vec![1.0; 5]];
        let found = smallest_rank(&groups);
        assert!(found[1..].iter().all(|other| *other < found[0]), "{found:?}");
    }

    #[test]
    fn permutations_grow_with_the_number_of_tests() {
        assert_eq!(permutations_for(1, 0.05, 1999), 1999);
        assert_eq!(permutations_for(240, 0.05, 1999), 9599);

        assert_eq!(permutations_for(0, 0.05, 99), 99);
        assert_eq!(permutations_for(1, 0.0, 99), u32::MAX);
    }

    #[test]
    fn one_answer_on_a_side_is_no_sample() {
        let pair = Pair { probe: "p", reference: vec!["a", "b"], endpoint: vec!["c"] };
        assert_eq!(two_sample(&[pair], settings(0)), None);
    }

    #[test]
    fn identical_answers_everywhere_say_nothing() {
        let pair = Pair { probe: "p", reference: vec!["a"; 4], endpoint: vec!["a"; 4] };
        let found = two_sample(&[pair], settings(0)).expect("there are answers");
        assert!((found.p - 1.0).abs() < 1e-12 && found.t.iter().all(|t| t.abs() < 1e-12));
    }
}
