//! The stratified permutation test of layer 1: do the endpoint's sampled answers come from the reference's distribution?
//!
//! Two statistics for each kernel, averaged over probes: the unbiased squared maximum mean discrepancy
//! `T = A_rr + A_ee − 2 A_re` (Gretton et al. 2012, equation 3) and the dispersion `D = A_ee − A_rr`, where `A` are means
//! of the kernel without its diagonal. Labels are permuted within each probe: answers to different probes are not
//! exchangeable, and permuting across them costs most of the power. The kernels of
//! [`COMBINED`] are standardised over the same permutations and the largest is taken, which
//! keeps the test exact.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::kernel::{COMBINED, Kernels, LANES, Lane, Lanes, mean_of_combined};
use super::{Pair, permutation_p_value, rng};

/// Probes whose partial sums are taken together; fixed, so that the order of summation does not depend on threads.
const CHUNK: usize = 8;

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
    /// p-value of the larger of both: the endpoint's p-value of layer 1.
    pub p: f64,
    /// The mean of the combined kernels' `T` over permutations: the noise of equal sources.
    pub t_null: Null,
    /// The same of `D`.
    pub d_null: Null,
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
    /// One-sided permutation p-value of this probe alone.
    pub p: f64,
}

/// Tests all probes for which both sides have at least two answers; `None` when there is no such probe.
pub fn two_sample(pairs: &[Pair<'_>], settings: Settings<'_>) -> Option<TwoSample> {
    let strata: Vec<Stratum> =
        pairs.par_iter().filter(|p| p.reference.len() >= 2 && p.endpoint.len() >= 2).map(Stratum::new).collect();
    if strata.is_empty() {
        return None;
    }
    let chunks: Vec<Chunk> = strata.par_chunks(CHUNK).map(|chunk| Chunk::run(chunk, settings)).collect();
    let mut totals = vec![Statistic::default(); settings.permutations as usize + 1];
    let mut probes = Vec::with_capacity(strata.len());
    for chunk in chunks {
        for (total, part) in totals.iter_mut().zip(&chunk.sums) {
            total.add(part);
        }
        probes.extend(chunk.probes);
    }
    let m = strata.len() as f64;
    for total in &mut totals {
        total.divide(m);
    }
    Some(summarise(&totals, &strata, probes))
}

/// `T` and `D` for each kernel.
#[derive(Debug, Clone, Copy, Default)]
struct Statistic {
    t: Lanes,
    d: Lanes,
}

impl Statistic {
    fn add(&mut self, other: &Self) {
        for lane in 0..LANES {
            self.t[lane] += other.t[lane];
            self.d[lane] += other.d[lane];
        }
    }

    fn divide(&mut self, by: f64) {
        for lane in 0..LANES {
            self.t[lane] /= by;
            self.d[lane] /= by;
        }
    }
}

/// One probe's kernels with what all permutations share.
struct Stratum {
    probe: String,
    kernels: Kernels,
    reference: usize,
    row_sums: Vec<Lanes>,
    total: Lanes,
}

/// Sums of the kernel over ordered pairs, without the diagonal.
struct Blocks {
    rr: Lanes,
    ee: Lanes,
    re: Lanes,
}

impl Stratum {
    fn new(pair: &Pair<'_>) -> Self {
        let texts: Vec<&str> = pair.reference.iter().chain(&pair.endpoint).copied().collect();
        let kernels = Kernels::new(&texts);
        let row_sums: Vec<Lanes> = (0..texts.len()).map(|i| sum(kernels.row(i).iter())).collect();
        let total = sum(row_sums.iter());
        Self { probe: pair.probe.to_owned(), kernels, reference: pair.reference.len(), row_sums, total }
    }

    fn endpoint(&self) -> usize {
        self.kernels.answers() - self.reference
    }

    fn size(&self) -> f64 {
        let (r, e) = (self.reference as f64, self.endpoint() as f64);
        2.0 * r * e / (r + e)
    }

    /// With `a = zᵀKz` and row sums `r`: `re = zᵀr − a` and `rr = ΣK − 2 zᵀr + a`, so that only pairs within the
    /// endpoint's side are visited.
    fn blocks(&self, endpoint: &[usize]) -> Blocks {
        let (mut a, mut zr) = ([0.0; LANES], [0.0; LANES]);
        for (k, &i) in endpoint.iter().enumerate() {
            let row = self.kernels.row(i);
            for &j in &endpoint[..k] {
                for lane in 0..LANES {
                    a[lane] += row[j][lane];
                }
            }
            for (sum, of_row) in zr.iter_mut().zip(&self.row_sums[i]) {
                *sum += of_row;
            }
        }
        let mut blocks = Blocks { rr: [0.0; LANES], ee: [0.0; LANES], re: [0.0; LANES] };
        for lane in 0..LANES {
            blocks.ee[lane] = 2.0 * a[lane];
            blocks.re[lane] = zr[lane] - blocks.ee[lane];
            blocks.rr[lane] = self.total[lane] - 2.0 * zr[lane] + blocks.ee[lane];
        }
        blocks
    }

    fn statistic(&self, blocks: &Blocks) -> Statistic {
        let (r, e) = (self.reference as f64, self.endpoint() as f64);
        let mut out = Statistic::default();
        for lane in 0..LANES {
            let rr = blocks.rr[lane] / (r * (r - 1.0));
            let ee = blocks.ee[lane] / (e * (e - 1.0));
            out.t[lane] = rr + ee - 2.0 * blocks.re[lane] / (r * e);
            out.d[lane] = ee - rr;
        }
        out
    }

    /// Statistics of the observed labels first, then of each permutation.
    fn run(&self, settings: Settings<'_>) -> (Vec<Statistic>, ProbeStatistic) {
        let mut rng = rng::derive(settings.seed, &["permutation", settings.label, &self.probe]);
        let mut order: Vec<usize> = (0..self.kernels.answers()).collect();
        let observed_blocks = self.blocks(&order[self.reference..]);
        let mut all = Vec::with_capacity(settings.permutations as usize + 1);
        all.push(self.statistic(&observed_blocks));
        for _ in 0..settings.permutations {
            let chosen = choose(&mut order, self.endpoint(), &mut rng);
            all.push(self.statistic(&self.blocks(chosen)));
        }
        let observed = mean_of_combined(&all[0].t);
        let (r, e) = (self.reference as f64, self.endpoint() as f64);
        let probe = ProbeStatistic {
            probe: self.probe.clone(),
            t: observed,
            within_reference: mean_of_combined(&observed_blocks.rr) / (r * (r - 1.0)),
            within_endpoint: mean_of_combined(&observed_blocks.ee) / (e * (e - 1.0)),
            p: permutation_p_value(observed, all[1..].iter().map(|s| mean_of_combined(&s.t))),
        };
        (all, probe)
    }
}

fn sum<'a>(values: impl Iterator<Item = &'a Lanes>) -> Lanes {
    values.fold([0.0; LANES], |mut total, v| {
        for lane in 0..LANES {
            total[lane] += v[lane];
        }
        total
    })
}

/// Chooses `count` of the items at random, by the first steps of a Fisher–Yates shuffle.
fn choose<'a>(items: &'a mut [usize], count: usize, rng: &mut ChaCha8Rng) -> &'a [usize] {
    let n = items.len();
    for i in 0..count {
        let j = rng.random_range(i as u32..n as u32) as usize;
        items.swap(i, j);
    }
    &items[..count]
}

/// Sums over some probes.
struct Chunk {
    sums: Vec<Statistic>,
    probes: Vec<ProbeStatistic>,
}

impl Chunk {
    fn run(strata: &[Stratum], settings: Settings<'_>) -> Self {
        let mut sums = vec![Statistic::default(); settings.permutations as usize + 1];
        let mut probes = Vec::with_capacity(strata.len());
        for stratum in strata {
            let (all, probe) = stratum.run(settings);
            sums.iter_mut().zip(&all).for_each(|(sum, s)| sum.add(s));
            probes.push(probe);
        }
        Self { sums, probes }
    }
}

fn summarise(all: &[Statistic], strata: &[Stratum], probes: Vec<ProbeStatistic>) -> TwoSample {
    let (mut t_p, mut d_p) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        let t: Vec<f64> = all.iter().map(|s| s.t[lane]).collect();
        t_p[lane] = p_of(&t);
        let centred = standardise(&all.iter().map(|s| s.d[lane]).collect::<Vec<_>>());
        d_p[lane] = p_of(&centred.iter().map(|z| z.abs()).collect::<Vec<_>>());
    }
    let mmd = largest(COMBINED.map(|lane| standardise(&all.iter().map(|s| s.t[lane as usize]).collect::<Vec<_>>())));
    let dispersion = largest(COMBINED.map(|lane| {
        let z = standardise(&all.iter().map(|s| s.d[lane as usize]).collect::<Vec<_>>());
        z.into_iter().map(f64::abs).collect()
    }));
    let both: Vec<f64> = mmd.iter().zip(&dispersion).map(|(a, b)| a.max(*b)).collect();
    TwoSample {
        t: all[0].t,
        d: all[0].d,
        t_p,
        d_p,
        mmd_p: p_of(&mmd),
        dispersion_p: p_of(&dispersion),
        p: p_of(&both),
        t_null: Null::of(all[1..].iter().map(|s| mean_of_combined(&s.t)).collect()),
        d_null: Null::of(all[1..].iter().map(|s| mean_of_combined(&s.d)).collect()),
        answers_per_probe: strata.iter().map(Stratum::size).sum::<f64>() / strata.len() as f64,
        pooled_hamming1000: pooled_hamming1000(strata),
        probes,
    }
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
        values.sort_by(f64::total_cmp);
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
        let stratum = Stratum::new(&pair);
        let k = |i: usize, j: usize| stratum.kernels.row(i)[j][Lane::Hamming50 as usize];
        let plain = 2.0 * (k(0, 1) + k(0, 2) + k(1, 2)) / 6.0 + k(3, 4)
            - 2.0 * (k(0, 3) + k(0, 4) + k(1, 3) + k(1, 4) + k(2, 3) + k(2, 4)) / 6.0;
        let found = stratum.statistic(&stratum.blocks(&[3, 4])).t[Lane::Hamming50 as usize];
        assert!((plain - found).abs() < 1e-12, "{plain} {found}");
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
