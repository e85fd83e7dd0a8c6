//! The stratified permutation test of layer 1: do the endpoint's sampled answers come from the reference's distribution?
//!
//! Four groups of statistics see the same permutations, five where a control trained a witness:
//!
//! - **kernels**: for each kernel the unbiased squared maximum mean discrepancy `T = A_rr + A_ee − 2 A_re` (Gretton et al.
//!   2012, equation 3) and the dispersion `D = A_ee − A_rr`, where `A` are means of the kernel without its diagonal. The
//!   kernels of [`COMBINED`](crate::kernel::COMBINED) are standardised over the permutations and the largest `T` or `|D|` is taken;
//! - **presence** of words ([`crate::presence`]);
//! - **surprisal**: the larger of the mean surprisal ([`crate::surprisal`]) and of its excess over what is usual after the same
//!   words ([`crate::excess`]), both two-sided and standardised over the permutations;
//! - **length**, the logarithm of the number of characters, two-sided;
//! - **witness**, how much answers look like the control's ([`crate::witness`]).
//!
//! Each group is ranked over the permutations, the smallest rank is taken, and that is permuted (the "min-p" of Westfall
//! and Young 1993, § 2.3): faults differ in where they show, and one that shows in one group only is found nearly as
//! surely as by that group alone. Labels are permuted within each probe: answers to different probes are not exchangeable,
//! and permuting across them costs most of the power. Since every permutation is treated as the observed labelling is,
//! all of this keeps the test exact.

use crate::Pair;
use crate::combination::{Null, largest, p_of, smallest_rank, standardise};
use crate::kernel::{Lane, Lanes, mean_of_combined};
use crate::labelling::{Design, EXCESS, Groups, LENGTH, SURPRISAL, Statistic, Stratum, WITNESS};
use crate::witness::Witness;

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
    /// Two-sided p-value of the excess of surprisal over what is usual after the same words.
    pub excess_p: f64,
    /// p-value of the larger of both: the group of the surprisals.
    pub surprisals_p: f64,
    /// Two-sided p-value of the mean logarithm of the length.
    pub length_p: f64,
    /// One-sided p-value of the witness's mean score; absent without one.
    pub witness_p: Option<f64>,
    /// p-value of the smallest of the groups' ranks: the endpoint's p-value of layer 1.
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

/// The same with a further group: the scores of a witness that was trained on these pairs.
pub fn two_sample_with(pairs: &[Pair<'_>], witness: &Witness, settings: Settings<'_>) -> Option<TwoSample> {
    test(pairs, settings, Groups::AllWith(witness))
}

/// The same by the kernels alone, for those who want only `T` and `D`: all other groups are left out and have a p-value of 1.
pub fn two_sample_by_kernels(pairs: &[Pair<'_>], settings: Settings<'_>) -> Option<TwoSample> {
    test(pairs, settings, Groups::Kernels)
}

fn test(pairs: &[Pair<'_>], settings: Settings<'_>, groups: Groups<'_>) -> Option<TwoSample> {
    let pairs: Vec<&Pair<'_>> = pairs.iter().filter(|p| p.reference.len() >= 2 && p.endpoint.len() >= 2).collect();
    if pairs.is_empty() {
        return None;
    }
    let design = Design::new(&pairs, settings, groups);
    let (all, probes) = design.all(settings.permutations);
    Some(summarise(&all, &design, (probes, groups)))
}

fn summarise(all: &[Statistic], design: &Design, (probes, seen): (Vec<ProbeStatistic>, Groups<'_>)) -> TwoSample {
    let column = |f: &dyn Fn(&Statistic) -> f64| -> Vec<f64> { all.iter().map(f).collect() };
    let size =
        |f: &dyn Fn(&Statistic) -> f64| -> Vec<f64> { standardise(&column(f)).into_iter().map(f64::abs).collect() };
    let mmd = largest([0, 1, 2].map(|k| standardise(&column(&|s| s.weighed_t[k]))));
    let dispersion = largest([0, 1, 2].map(|k| size(&|s| s.weighed_d[k])));
    let mut groups = vec![
        mmd.iter().zip(&dispersion).map(|(a, b)| a.max(*b)).collect(),
        column(&|s| s.presence),
        size(&|s| s.scores[SURPRISAL]).iter().zip(&size(&|s| s.scores[EXCESS])).map(|(a, b)| a.max(*b)).collect(),
        // Centred by construction, so what is near to 0 is near to what is expected.
        column(&|s| s.scores[LENGTH].abs()),
    ];
    let (mut p_values, mut witness_p) = ([1.0; 4], None);
    match seen {
        Groups::Kernels => groups.truncate(1),
        Groups::All => {}
        Groups::AllWith(_) => {
            groups.push(column(&|s| s.scores[WITNESS]));
            witness_p = groups.last().map(|group| p_of(group));
        }
    }
    p_values.iter_mut().zip(&groups).for_each(|(p, group)| *p = p_of(group));
    let [kernels_p, presence_p, surprisals_p, length_p] = p_values;
    let smallest = smallest_rank(&groups);
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
        surprisal_p: p_of(&column(&|s| s.scores[SURPRISAL].abs())),
        excess_p: p_of(&column(&|s| s.scores[EXCESS].abs())),
        surprisals_p,
        length_p,
        witness_p,
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
    use crate::rng;
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
    fn a_choice_of_the_likelier_words_shows_in_the_excess() {
        let found = compare(&["red", "red", "green", "blue"], &["red", "red", "red", "red", "green", "blue"], 3);
        assert!(found.excess_p <= 0.05 && found.surprisals_p <= 0.05, "{} {}", found.excess_p, found.surprisals_p);
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
        assert!((alone.presence_p - 1.0).abs() < 1e-12 && (alone.surprisals_p - 1.0).abs() < 1e-12);
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
