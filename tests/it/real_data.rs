//! Recorded answers of real models: a swapped model is found, one model against itself is not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use rand::seq::SliceRandom as _;
use samemodel::compare::{Comparison, Roles, Settings, compare};
use samemodel::sample::file::read_samples;
use samemodel::sample::{Asking, Sample};
use samemodel::stats::rng;
use samemodel::stats::survival::first_divergence;
use samemodel::verdict::{EffectName, Verdict};

pub fn load(name: &str) -> Vec<Sample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    read_samples(BufReader::new(File::open(path).expect("the file")), name).expect("samples")
}

pub fn roles<'a>(reference: &'a str, endpoint: &'a str) -> Roles<'a> {
    Roles::new(reference, vec![endpoint])
}

pub fn settings(seed: u64) -> Settings {
    Settings { seed, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 999 }
}

pub fn statistic(comparison: &Comparison, signal: &str) -> f64 {
    let signals = &comparison.endpoints[0].signals;
    signals.iter().find(|s| s.name == signal).and_then(|s| s.statistic).expect("the signal was measured")
}

const LLAMA: &str = "llama-3-70b-fp8";
const MISTRAL: &str = "mistral-7b-v0.3-fp8";

#[test]
fn a_real_swapped_model_is_drifted_with_the_smallest_p_value_there_is() {
    let samples = load("ultrachat-two-models.jsonl");
    let found = compare(&samples, &roles(LLAMA, MISTRAL), &settings(0)).expect("a comparison");
    let mistral = &found.endpoints[0];
    assert_eq!(mistral.verdict, Verdict::Drifted);
    assert!((mistral.p_value.expect("tested") - 1.0 / 1000.0).abs() < 1e-12);
    assert!(mistral.contrast.is_some(), "the difference is shown");
}

#[test]
fn a_hundred_and_twenty_endpoints_that_all_serve_another_model_are_all_drifted() {
    let few = load("ultrachat-two-models.jsonl").into_iter().filter(|s| s.replicate < 12);
    let (mut samples, others): (Vec<Sample>, Vec<Sample>) = few.partition(|s| s.endpoint == LLAMA);
    let names: Vec<String> = (0..120).map(|i| format!("host-{i:03}")).collect();
    for name in &names {
        samples.extend(others.iter().map(|s| Sample { endpoint: name.clone(), ..s.clone() }));
    }
    let roles = Roles::new(LLAMA, names.iter().map(String::as_str).collect());
    let found = compare(&samples, &roles, &settings(0)).expect("a comparison");
    let others = found.endpoints.iter().filter(|e| e.verdict != Verdict::Drifted).count();
    assert_eq!((found.endpoints.len(), others), (120, 0));
}

/// Divergences for each token, at four characters a token, among answers to the same probe: of one endpoint, or of two.
fn parting(samples: &[Sample], endpoints: [&str; 2], asking: Asking) -> f64 {
    let of = |endpoint: &'_ str| {
        let mut probes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let ours = samples.iter().filter(|s| s.endpoint == endpoint && s.asking() == asking && s.is_answer());
        ours.for_each(|s| probes.entry(s.probe.clone()).or_default().push(&s.text));
        probes
    };
    let (ours, theirs) = (of(endpoints[0]), of(endpoints[1]));
    let (mut events, mut characters) = (0.0, 0.0);
    for (probe, ours) in &ours {
        let theirs = theirs.get(probe).map_or(&[][..], Vec::as_slice);
        let pairs = ours.iter().enumerate().flat_map(|(i, x)| {
            let others = if endpoints[0] == endpoints[1] { &theirs[..i] } else { theirs };
            others.iter().map(move |y| first_divergence(x, y))
        });
        for seen in pairs {
            events += f64::from(u8::from(seen.event));
            characters += f64::from(seen.time);
        }
    }
    4.0 * events / characters
}

#[test]
fn how_soon_draws_of_real_models_part_differs_twentyfold() {
    let draws = |samples: &[Sample], model: &str| parting(samples, [model; 2], Asking::Sampled);
    let conversation = draws(&load("ultrachat-two-models.jsonl"), LLAMA);
    let continuation = draws(&load("llama3-70b-wikipedia.jsonl"), LLAMA);
    let small = draws(&crate::engine::load("engine/a.jsonl.gz"), "ref");
    assert!((0.06..0.1).contains(&conversation), "{conversation}");
    assert!((0.4..0.6).contains(&continuation), "{continuation}");
    assert!((1.4..2.2).contains(&small), "{small}");
}

#[test]
fn honest_hosts_part_at_a_small_share_of_the_rate_at_which_draws_do_and_coarser_weights_at_a_larger() {
    let samples = crate::engine::load("engine/a.jsonl.gz");
    let draws = parting(&samples, ["ref"; 2], Asking::Sampled);
    let share = |host: &str| parting(&samples, ["ref", host], Asking::Greedy) / draws;
    for (host, most) in [("twin1", 0.01), ("twin2", 0.02), ("q8", 0.03)] {
        assert!(share(host) < most, "{host}: {}", share(host));
    }
    assert!((0.1..0.2).contains(&share("q4_0")), "{}", share("q4_0"));
}

/// Splits each probe's answers at random into two endpoints of this many answers.
fn split(samples: &[Sample], answers: usize, seed: u64) -> Vec<Sample> {
    let mut rng = rng::derive(seed, &["split"]);
    let mut probes: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        probes.entry(&sample.probe).or_default().push(sample);
    }
    let mut out = Vec::new();
    for answers_of_one in probes.values_mut() {
        answers_of_one.shuffle(&mut rng);
        for (i, &sample) in answers_of_one.iter().take(2 * answers).enumerate() {
            let endpoint = if i < answers { "a" } else { "b" }.to_owned();
            out.push(Sample { endpoint, replicate: (i % answers) as u32, ..sample.clone() });
        }
    }
    out
}

#[test]
fn one_real_model_against_itself_is_significant_at_its_level_and_never_drifted() {
    let samples = load("llama3-70b-wikipedia.jsonl");
    let (mut significant, mut drifted) = (0, 0);
    // Other splits than those by which the alarm's level was chosen.
    for seed in 5000..5200 {
        let halves = split(&samples, 10, seed);
        let found = compare(&halves, &roles("a", "b"), &Settings { permutations: 199, ..settings(seed) })
            .expect("a comparison");
        significant += usize::from(found.endpoints[0].p_value.expect("tested") <= 0.05);
        drifted += usize::from(found.endpoints[0].verdict == Verdict::Drifted);
    }
    assert_eq!(drifted, 0);
    assert!(significant <= 14, "{significant} of 200 splits are significant at 5 %");
}

/// A mixture with a known share of Mistral's answers, beside a reference and a control of other answers.
fn mixture(samples: &[Sample], share: f64, seed: u64) -> Vec<Sample> {
    use rand::RngExt as _;
    let mut rng = rng::derive(seed, &["mixture"]);
    let mut probes: BTreeMap<&str, (Vec<&Sample>, Vec<&Sample>)> = BTreeMap::new();
    for sample in samples {
        let sides = probes.entry(&sample.probe).or_default();
        if sample.endpoint == LLAMA { sides.0.push(sample) } else { sides.1.push(sample) }
    }
    let mut out = Vec::new();
    for (llama, mistral) in probes.values_mut() {
        llama.shuffle(&mut rng);
        mistral.shuffle(&mut rng);
        for i in 0..12 {
            let mixed = if rng.random::<f64>() < share { mistral[12 + i] } else { llama[12 + i] };
            for (endpoint, sample) in [("reference", llama[i]), ("control", mistral[i]), ("mixed", mixed)] {
                out.push(Sample { endpoint: endpoint.into(), replicate: i as u32, ..sample.clone() });
            }
        }
    }
    out
}

#[test]
fn with_a_control_a_fifth_of_another_models_answers_is_drifted_and_named_and_its_share_is_known() {
    let samples = load("ultrachat-two-models.jsonl");
    for share in [0.0, 0.2] {
        let (mut drifted, mut named, mut held, mut sum) = (0, 0, 0, 0.0);
        for seed in 2000..2040 {
            let mixed = mixture(&samples, share, seed);
            let roles = Roles { control: Some("control"), ..Roles::new("reference", vec!["mixed"]) };
            let found =
                compare(&mixed, &roles, &Settings { permutations: 199, ..settings(seed) }).expect("a comparison");
            let found = &found.endpoints[0];
            let effect = found.effects.iter().map(|s| &s.effect).find(|e| e.name == EffectName::Mixture);
            let effect = effect.expect("a witness");
            held += usize::from(effect.low <= share && share <= effect.high);
            sum += effect.estimate / 40.0;
            drifted += usize::from(found.verdict == Verdict::Drifted);
            named += usize::from(found.findings.iter().any(|f| f.fault == "partial-routing"));
        }
        assert!(held >= 34, "the interval held the share {share} in {held} of 40");
        assert!((sum - share).abs() <= 0.02, "{share} was estimated as {sum}");
        if share == 0.0 {
            assert_eq!((drifted, named), (0, 0));
        } else {
            assert!(drifted >= 32 && named >= 32, "{drifted} drifted and {named} named of 40");
        }
    }
}

#[test]
fn the_substitution_share_is_recovered_and_its_interval_holds_it() {
    let samples = load("ultrachat-two-models.jsonl");
    for share in [0.0, 0.25, 0.5] {
        let (mut held, mut sum) = (0, 0.0);
        for seed in 1000..1040 {
            let mixed = mixture(&samples, share, seed);
            let roles = Roles { control: Some("control"), ..Roles::new("reference", vec!["mixed"]) };
            let found =
                compare(&mixed, &roles, &Settings { permutations: 199, ..settings(seed) }).expect("a comparison");
            let effect =
                found.endpoints[0].effects.iter().map(|s| &s.effect).find(|e| e.name == EffectName::Substitution);
            let effect = effect.expect("sized");
            held += usize::from(effect.low <= share && share <= effect.high);
            sum += effect.estimate / 40.0;
        }
        // 95 % of 40 is 38; fewer than 34 would happen once in 60 such tests.
        assert!(held >= 34, "the interval held the share {share} in {held} of 40");
        // A root of a noisy square is biased upwards at 0 and nowhere else.
        assert!((sum - share).abs() <= if share == 0.0 { 0.1 } else { 0.03 }, "{share} was estimated as {sum}");
    }
}
