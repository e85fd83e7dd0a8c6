//! How long the statistics take.

use std::time::Duration;

use samemodel::stats::Pair;
use samemodel::stats::permutation::{self, two_sample, two_sample_by_kernels};

use crate::Effort;
use crate::busy::busy;
use crate::trials::{Data, Model, pairs, split};

/// Characters of each answer where time is taken.
const LENGTH: usize = 1000;

/// Processor time on one thread, the fastest of several runs.
pub fn time(data: &Data, effort: &Effort) -> String {
    let long: Model = data
        .wikipedia
        .iter()
        .map(|(probe, texts)| {
            let text = |i: usize| -> String {
                let joined = (0..LENGTH.div_ceil(100)).map(|k| texts[(i + k * 7) % texts.len()].as_str());
                joined.collect::<String>().chars().take(LENGTH).collect()
            };
            (probe.clone(), (0..texts.len()).map(text).collect())
        })
        .collect();
    // So short that a busy machine disturbs most of its runs.
    let often = effort.repeats * 30;
    let kernels = fastest(&long, (10, 1000), often, |pairs, settings| {
        std::hint::black_box(two_sample_by_kernels(pairs, settings));
    });
    let all = fastest(&long, (25, 9999), effort.repeats, |pairs, settings| {
        std::hint::black_box(two_sample(pairs, settings));
    });
    format!(
        "### Processor time on one thread, answers of {LENGTH} characters, the fastest of some runs\n\n| what | runs | time |\n|---|--:|--:|\n\
         | kernels alone, 25 probes × 10 answers a side, 1,000 permutations | {often} | {:.1} ms |\n\
         | all, 25 probes × 25 answers a side, 9,999 permutations, times 20 endpoints | {} | {:.2} s |\n",
        1000.0 * kernels.as_secs_f64(),
        effort.repeats,
        20.0 * all.as_secs_f64()
    )
}

fn fastest(
    texts: &Model,
    (answers, permutations): (usize, u32),
    repeats: usize,
    work: impl Fn(&[Pair<'_>], permutation::Settings<'_>) + Sync,
) -> Duration {
    let trials = split(texts, None, [25, answers, answers], 1);
    let pairs = pairs(&trials);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let settings = permutation::Settings { permutations, seed: 1, label: "time" };
    let timed = || {
        let start = busy();
        work(&pairs, settings);
        busy().saturating_sub(start)
    };
    let once = |_| pool.as_ref().map_or_else(|_| timed(), |pool| pool.install(timed));
    (0..repeats).map(once).min().unwrap_or_default()
}
