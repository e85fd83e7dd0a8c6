//! How long the test of layer 1 takes, on one thread, and how it grows.
//!
//! `cargo bench --bench compare`. The size `25 × 10` at 1000 permutations is the one for which figures of others are known
//! (two cores of the same kind, from the project's notes): the Python package `model-equality-testing` 442.6 s with its
//! kernel recomputed for each permutation, numpy with the kernel computed once 0.15–0.18 s.

use std::io::BufReader;

use divan::Bencher;
use samemodel::compare::{Roles, Settings, compare};
use samemodel::sample::Sample;
use samemodel::sample::file::read_samples;
use samemodel::stats::Pair;
use samemodel::stats::permutation::{self, two_sample};

fn main() {
    divan::main();
}

/// Characters of each answer: the length at which all Hamming kernels have work to do.
const LENGTH: usize = 1000;

/// Recorded answers of one real model, joined within their probe until they are long enough.
fn texts(probes: usize, answers: usize) -> Vec<(String, Vec<String>)> {
    let file = include_bytes!("../tests/data/llama3-70b-wikipedia.jsonl");
    let samples = read_samples(BufReader::new(file.as_slice()), "wikipedia").expect("recorded samples");
    let of =
        |probe: &str| -> Vec<&str> { samples.iter().filter(|s| s.probe == probe).map(|s| s.text.as_str()).collect() };
    (0..probes)
        .map(|p| {
            let pool = of(&format!("wikipedia_en-{:02}", p % 25));
            let answer = |i: usize| -> String {
                let pieces = (0..).map(|k| pool[(i + k * 7) % pool.len()]);
                pieces.take(LENGTH.div_ceil(100)).collect::<String>().chars().take(LENGTH).collect()
            };
            (format!("probe-{p}"), (0..2 * answers).map(answer).collect())
        })
        .collect()
}

fn pairs(texts: &[(String, Vec<String>)]) -> Vec<Pair<'_>> {
    texts
        .iter()
        .map(|(probe, answers)| {
            let all: Vec<&str> = answers.iter().map(String::as_str).collect();
            let (reference, endpoint) = all.split_at(all.len() / 2);
            Pair { probe, reference: reference.to_vec(), endpoint: endpoint.to_vec() }
        })
        .collect()
}

fn on_one_thread(bencher: Bencher<'_, '_>, work: impl Fn() + Sync + Send) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    bencher.bench_local(|| pool.install(&work));
}

/// Kernels and 1000 permutations of all six of them.
#[divan::bench(args = [25, 50, 100])]
fn permutation_test_by_probes(bencher: Bencher<'_, '_>, probes: usize) {
    let texts = texts(probes, 10);
    let pairs = pairs(&texts);
    let settings = permutation::Settings { permutations: 1000, seed: 1, label: "bench" };
    on_one_thread(bencher, || drop(divan::black_box(two_sample(divan::black_box(&pairs), settings))));
}

/// The whole comparison up to the verdict: features, intervals, self-check and contrast on top.
#[divan::bench(args = [1, 2, 4])]
fn whole_comparison_by_endpoints(bencher: Bencher<'_, '_>, endpoints: usize) {
    let texts = texts(25, 10);
    let names: Vec<String> = (0..endpoints).map(|e| format!("endpoint-{e}")).collect();
    let mut samples: Vec<Sample> = Vec::new();
    for (probe, answers) in &texts {
        for (i, text) in answers.iter().enumerate() {
            let sides = if i < 10 { vec!["reference"] } else { names.iter().map(String::as_str).collect() };
            let sample = |side: &str| Sample { replicate: (i % 10) as u32, ..Sample::new(side, probe, text) };
            samples.extend(sides.into_iter().map(sample));
        }
    }
    let settings = Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 1000 };
    let roles = Roles { reference: "reference", endpoints: names.iter().map(String::as_str).collect(), control: None };
    on_one_thread(bencher, || drop(divan::black_box(compare(divan::black_box(&samples), &roles, &settings))));
}
