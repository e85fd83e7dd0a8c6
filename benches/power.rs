//! What the statistics of sampled answers are worth on recorded answers of real models: false alarms, the power to see
//! mixtures, how well their share is known, and the time it takes.
//!
//! `cargo bench --bench power` prints Markdown tables, on one thread or many with the same figures but those of time; behind
//! `--`, words choose among the tables (`level`, `drifted`, `mixtures`, `coverage`, `answers`, `time`). Without `--bench` every table
//! is made with a few trials, as a test of itself. Prompts on which constants were chosen take no part.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use samemodel::compare::{EndpointComparison, Roles, Settings, compare};
use samemodel::sample::file::read_samples;
use samemodel::sample::{Asking, Sample};
use samemodel::stats::permutation::{self, two_sample, two_sample_by_kernels};
use samemodel::stats::{Pair, rng};
use samemodel::verdict::{Effect, EffectName, Verdict};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let effort = if arguments.iter().any(|a| a == "--bench") { FULL } else { SHORT };
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let data = Data::read()?;
    let tables: [(&str, Table); 6] = [
        ("level", level),
        ("drifted", drifted),
        ("mixtures", mixtures),
        ("coverage", coverage),
        ("answers", answers_needed),
        ("time", time),
    ];
    for (name, table) in tables {
        if words.is_empty() || words.iter().any(|word| *word == name) {
            println!("{}", table(&data, &effort));
        }
    }
    Ok(())
}

/// What prints one table.
type Table = fn(&Data, &Effort) -> String;

/// How many trials of each kind.
struct Effort {
    splits: u64,
    verdicts: u64,
    mixtures: u64,
    repeats: usize,
}

const FULL: Effort = Effort { splits: 2000, verdicts: 5000, mixtures: 200, repeats: 7 };
const SHORT: Effort = Effort { splits: 2, verdicts: 2, mixtures: 2, repeats: 1 };

/// Permutations of each test, but where time is taken.
const PERMUTATIONS: u32 = 499;

/// Sampled answers of one model, by probe.
type Model = BTreeMap<String, Vec<String>>;

struct Data {
    wikipedia: Model,
    llama: Model,
    mistral: Model,
    /// A small model, from three honest hosts, and others of its hosts.
    small: Model,
    gemma: Model,
    two_bits: Model,
}

/// The prompts of the two models from here on were not looked at.
const HELD_OUT: usize = 20;

impl Data {
    fn read() -> Result<Self, Error> {
        let wikipedia = by_endpoint("llama3-70b-wikipedia.jsonl")?.into_values().next().ok_or("no answers")?;
        let mut two = by_endpoint("ultrachat-two-models-40x40.jsonl.gz")?;
        let mut held_out =
            |name: &str| -> Model { two.remove(name).unwrap_or_default().into_iter().skip(HELD_OUT).collect() };
        let (llama, mistral) = (held_out("llama-3-70b-fp8"), held_out("mistral-7b-v0.3-fp8"));
        let mut engine = by_endpoint("engine/a.jsonl.gz")?;
        let mut small = Model::new();
        for honest in ["ref", "twin1", "twin2"] {
            for (probe, texts) in engine.remove(honest).unwrap_or_default() {
                small.entry(probe).or_default().extend(texts);
            }
        }
        let mut host = |name: &str| engine.remove(name).unwrap_or_default();
        Ok(Self { wikipedia, llama, mistral, small, gemma: host("gemma"), two_bits: host("q2k") })
    }
}

fn by_endpoint(name: &str) -> Result<BTreeMap<String, Model>, Error> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let zipped = path.extension().is_some_and(|extension| extension == "gz");
    let file = File::open(path)?;
    let bytes: Box<dyn Read> = if zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut out: BTreeMap<String, Model> = BTreeMap::new();
    for sample in read_samples(BufReader::new(bytes), name)? {
        if sample.is_answer() && sample.asking() == Asking::Sampled && !sample.text.trim().is_empty() {
            out.entry(sample.endpoint).or_default().entry(sample.probe).or_default().push(sample.text);
        }
    }
    Ok(out)
}

/// One probe's answers in a trial.
struct Trial<'a> {
    probe: &'a str,
    reference: Vec<&'a str>,
    endpoint: Vec<&'a str>,
    control: Vec<&'a str>,
}

fn pairs<'a>(trials: &[Trial<'a>]) -> Vec<Pair<'a>> {
    let pair = |t: &Trial<'a>| Pair { probe: t.probe, reference: t.reference.clone(), endpoint: t.endpoint.clone() };
    trials.iter().map(pair).collect()
}

/// The endpoint's comparison by the real path.
fn judged(trials: &[Trial<'_>], seed: u64) -> EndpointComparison {
    let mut samples = Vec::new();
    for trial in trials {
        for (side, texts) in
            [("reference", &trial.reference), ("endpoint", &trial.endpoint), ("control", &trial.control)]
        {
            let sample = |(i, text): (usize, &&str)| Sample {
                replicate: i as u32,
                ..Sample::new(side, trial.probe, (*text).to_owned())
            };
            samples.extend(texts.iter().enumerate().map(sample));
        }
    }
    let has_control = trials.iter().any(|t| !t.control.is_empty());
    let roles = Roles { control: has_control.then_some("control"), ..Roles::new("reference", vec!["endpoint"]) };
    let settings =
        Settings { seed, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: PERMUTATIONS };
    let found = compare(&samples, &roles, &settings);
    found.map_or_else(|e| EndpointComparison::unmeasured("endpoint", &e.to_string()), |mut c| c.endpoints.remove(0))
}

fn shuffled<'a>(texts: &'a [String], rng: &mut ChaCha8Rng) -> Vec<&'a str> {
    let mut out: Vec<&str> = texts.iter().map(String::as_str).collect();
    out.shuffle(rng);
    out
}

fn drawn<'a>(model: &'a Model, probes: usize, rng: &mut ChaCha8Rng) -> Vec<&'a String> {
    let mut out: Vec<&String> = model.keys().collect();
    out.shuffle(rng);
    out.truncate(probes);
    out
}

/// One model against itself: so many answers of either side to so many probes, and of a control.
fn split<'a>(model: &'a Model, control: Option<&'a Model>, shape: [usize; 3], seed: u64) -> Vec<Trial<'a>> {
    let mut rng = rng::derive(seed, &["split"]);
    let [probes, r, e] = shape;
    drawn(model, probes, &mut rng)
        .into_iter()
        .map(|probe| {
            let mut reference = shuffled(&model[probe], &mut rng);
            reference.truncate(r + e);
            let endpoint = reference.split_off(r.min(reference.len()));
            let control = control.and_then(|control| control.get(probe));
            let control = control.map_or_else(Vec::new, |texts| shuffled(texts, &mut rng));
            Trial { probe, reference, endpoint, control: control.into_iter().take(e).collect() }
        })
        .collect()
}

/// Two models of which one takes a share of the other's requests.
#[derive(Clone, Copy)]
struct Mixture<'a> {
    name: &'a str,
    right: &'a Model,
    wrong: &'a Model,
}

/// What is asked of a mixture: probes, answers of a side to each, and the wrong model's share; and at most so many answers of the
/// control, which are answers of the wrong model that are not in the mixture.
#[derive(Clone, Copy)]
struct Asked {
    probes: usize,
    answers: usize,
    share: f64,
    control: usize,
}

fn mixture<'a>(of: Mixture<'a>, asked: Asked, seed: u64) -> Vec<Trial<'a>> {
    let mut rng = rng::derive(seed, &["mixture"]);
    let n = asked.answers;
    drawn(of.right, asked.probes, &mut rng)
        .into_iter()
        .filter_map(|probe| Some((probe, &of.right[probe], of.wrong.get(probe)?)))
        .map(|(probe, right, wrong)| {
            let (right, mut wrong) = (shuffled(right, &mut rng), shuffled(wrong, &mut rng));
            let mut draw = |own: &&'a str| {
                let is_wrong = rng.random::<f64>() < asked.share;
                if is_wrong { wrong.pop().unwrap_or(*own) } else { *own }
            };
            let endpoint = right[n..].iter().take(n).map(&mut draw).collect();
            wrong.truncate(asked.control);
            Trial { probe, reference: right[..n].to_vec(), endpoint, control: wrong }
        })
        .collect()
}

fn share(showing: usize, all: usize) -> String {
    format!("{:.3}", showing as f64 / all.max(1) as f64)
}

/// A/A: how often the test rejects, at a nominal 5 %.
fn level(data: &Data, effort: &Effort) -> String {
    let mut out = "### One model against itself: how often p ≤ 0.05\n\n".to_owned();
    out += "| probes × answers | splits | kernels | presence | surprisal | length | all |\n|---|--:|--:|--:|--:|--:|--:|\n";
    let shapes = [[25, 10, 10], [15, 8, 8], [10, 20, 20], [40, 5, 5], [25, 30, 5]];
    for [probes, r, e] in shapes {
        let p_values = |seed: u64| {
            // Where more probes are wanted than there are, some are asked twice, with other answers.
            let mut trials = split(&data.wikipedia, None, [probes, r, e], seed);
            let twice: Vec<(String, Trial<'_>)> = split(&data.wikipedia, None, [probes - trials.len(), r, e], !seed)
                .into_iter()
                .map(|trial| (format!("{} again", trial.probe), trial))
                .collect();
            trials.extend(twice.iter().map(|(probe, t)| Trial {
                probe,
                reference: t.reference.clone(),
                endpoint: t.endpoint.clone(),
                control: Vec::new(),
            }));
            let settings = permutation::Settings { permutations: PERMUTATIONS, seed, label: "level" };
            two_sample(&pairs(&trials), settings)
                .map_or([1.0; 5], |f| [f.kernels_p, f.presence_p, f.surprisal_p, f.length_p, f.p])
        };
        let found: Vec<[f64; 5]> = (0..effort.splits).into_par_iter().map(p_values).collect();
        let cell = |k: usize| share(found.iter().filter(|p| p[k] <= 0.05).count(), found.len());
        let cells: Vec<String> = (0..5).map(cell).collect();
        let of = if r == e { format!("{probes} × {r}") } else { format!("{probes} × {r} against {e}") };
        let _ = writeln!(out, "| {of} | {} | {} |", found.len(), cells.join(" | "));
    }
    out
}

/// A/A: how often the verdict is `drifted`.
fn drifted(data: &Data, effort: &Effort) -> String {
    let mut out = "### One model against itself: verdicts\n\n".to_owned();
    out += "| answers | splits | p ≤ 0.05 | drifted |\n|---|--:|--:|--:|\n";
    for (name, model, control, shape) in [
        ("25 × 10, no control", &data.wikipedia, None, [25, 10, 10]),
        ("20 × 10, another model as control", &data.llama, Some(&data.mistral), [20, 10, 10]),
    ] {
        let judge = |seed: u64| judged(&split(model, control, shape, seed), seed);
        let found: Vec<(bool, bool)> = (0..effort.verdicts)
            .into_par_iter()
            .map(judge)
            .map(|e| (e.p_value.is_some_and(|p| p <= 0.05), e.verdict == Verdict::Drifted))
            .collect();
        let significant = share(found.iter().filter(|f| f.0).count(), found.len());
        let drifted = found.iter().filter(|f| f.1).count();
        let _ = writeln!(out, "| {name} | {} | {significant} | {drifted} |", found.len());
    }
    out
}

/// What trials of one kind show.
struct Seen {
    trials: usize,
    significant: usize,
    drifted: usize,
    /// The mixture's size, where it was measured.
    sizes: Vec<Effect>,
}

fn seen(of: Mixture<'_>, asked: Asked, trials: u64) -> Seen {
    let judge = |seed: u64| judged(&mixture(of, asked, seed), seed);
    let found: Vec<EndpointComparison> = (0..trials).into_par_iter().map(judge).collect();
    let size = |e: &EndpointComparison| {
        e.effects.iter().find(|s| s.effect.name == EffectName::Mixture).map(|s| s.effect.clone())
    };
    Seen {
        trials: found.len(),
        significant: found.iter().filter(|e| e.p_value.is_some_and(|p| p <= 0.05)).count(),
        drifted: found.iter().filter(|e| e.verdict == Verdict::Drifted).count(),
        sizes: found.iter().filter_map(size).collect(),
    }
}

impl Seen {
    /// Mean estimate, mean half-width and how many intervals hold the share.
    fn of_sizes(&self, share: f64) -> Option<(f64, f64, usize)> {
        let n = self.sizes.len() as f64;
        let mean = |f: fn(&Effect) -> f64| self.sizes.iter().map(f).sum::<f64>() / n;
        let held = self.sizes.iter().filter(|e| e.low <= share && share <= e.high).count();
        (n > 0.0).then(|| (mean(|e| e.estimate), mean(|e| (e.high - e.low) / 2.0), held))
    }
}

fn llama_with_mistral(data: &Data) -> Mixture<'_> {
    Mixture { name: "Llama 3 70B, some Mistral 7B", right: &data.llama, wrong: &data.mistral }
}

/// Mixtures with and without a control.
fn mixtures(data: &Data, effort: &Effort) -> String {
    let mut out = "### Llama 3 70B with a share of Mistral 7B's answers\n\n".to_owned();
    out += "| share | probes × answers | control | trials | p ≤ 0.05 | drifted |\n|--:|---|---|--:|--:|--:|\n";
    for percent in [0.0, 10.0, 20.0, 30.0] {
        for (probes, answers) in [(15, 12), (20, 10), (20, 20)] {
            for control in [0, answers] {
                let asked = Asked { probes, answers, share: percent / 100.0, control };
                let found = seen(llama_with_mistral(data), asked, effort.mixtures);
                let _ = writeln!(
                    out,
                    "| {percent} % | {probes} × {answers} | {} | {} | {} | {} |",
                    if control == 0 { "none" } else { "yes" },
                    found.trials,
                    share(found.significant, found.trials),
                    share(found.drifted, found.trials)
                );
            }
        }
    }
    out
}

/// How well the share of a mixture is known with a control, for several wrong models.
fn coverage(data: &Data, effort: &Effort) -> String {
    let mut out = "### The size of a mixture with a control\n\n".to_owned();
    out += "| models | probes × answers, of the control | share | measured in | mean | half-width | 95 % interval holds it |\n";
    out += "|---|---|--:|--:|--:|--:|--:|\n";
    let small = &data.small;
    for (of, probes, answers, control) in [
        (llama_with_mistral(data), 15, 12, 12),
        (llama_with_mistral(data), 15, 12, 2),
        (Mixture { name: "Mistral 7B, some Llama 3 70B", right: &data.mistral, wrong: &data.llama }, 15, 12, 12),
        (Mixture { name: "SmolLM2 135M, some Gemma 3 270M", right: small, wrong: &data.gemma }, 14, 10, 4),
        (Mixture { name: "SmolLM2 135M, some of 2 bits", right: small, wrong: &data.two_bits }, 14, 10, 4),
    ] {
        for percent in [0.0, 10.0, 20.0, 30.0] {
            let wrong = percent / 100.0;
            let found = seen(of, Asked { probes, answers, share: wrong, control }, effort.mixtures);
            let sizes = found.of_sizes(wrong).map_or_else(
                || "– | – | –".to_owned(),
                |(mean, half, held)| {
                    format!("{:.1} % | {:.1} % | {} |", 100.0 * mean, 100.0 * half, share(held, found.sizes.len()))
                },
            );
            let _ = writeln!(
                out,
                "| {} | {probes} × {answers}, {control} | {percent} % | {} of {} | {}",
                of.name,
                found.sizes.len(),
                found.trials,
                sizes.trim_end_matches(" |").to_owned() + " |"
            );
        }
    }
    out
}

/// Fewest answers a probe and side with which a mixture is significant in four trials of five.
fn answers_needed(data: &Data, effort: &Effort) -> String {
    let mut out = "### Answers a probe and side for 80 % power at 5 %, 20 probes\n\n".to_owned();
    out += "| share of Mistral 7B's answers | no control | with a control |\n|--:|--:|--:|\n";
    for percent in [5.0, 10.0, 20.0] {
        let needed = |with_control: bool| {
            let enough = |answers: &usize| {
                let control = if with_control { *answers } else { 0 };
                let asked = Asked { probes: 20, answers: *answers, share: percent / 100.0, control };
                let found = seen(llama_with_mistral(data), asked, effort.mixtures);
                5 * found.significant >= 4 * found.trials
            };
            let found = [3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20].into_iter().find(enough);
            found.map_or_else(|| "> 20".to_owned(), |answers| answers.to_string())
        };
        let _ = writeln!(out, "| {percent} % | {} | {} |", needed(false), needed(true));
    }
    out
}

/// Characters of each answer where time is taken.
const LENGTH: usize = 1000;

/// Processor time on one thread, the fastest of several runs.
fn time(data: &Data, effort: &Effort) -> String {
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
    let kernels = fastest(&long, (10, 1000), effort, |pairs, settings| {
        std::hint::black_box(two_sample_by_kernels(pairs, settings));
    });
    let all = fastest(&long, (25, 9999), effort, |pairs, settings| {
        std::hint::black_box(two_sample(pairs, settings));
    });
    format!(
        "### Processor time on one thread, answers of {LENGTH} characters, the fastest of {} runs\n\n| what | time |\n|---|--:|\n\
         | kernels alone, 25 probes × 10 answers a side, 1,000 permutations | {:.1} ms |\n\
         | all, 25 probes × 25 answers a side, 9,999 permutations, times 20 endpoints | {:.2} s |\n",
        effort.repeats,
        1000.0 * kernels.as_secs_f64(),
        20.0 * all.as_secs_f64()
    )
}

fn fastest(
    texts: &Model,
    (answers, permutations): (usize, u32),
    effort: &Effort,
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
    (0..effort.repeats).map(once).min().unwrap_or_default()
}

/// How long this thread has kept a processor busy, where the system says so, else the time that has passed: other programs take none
/// of the former.
fn busy() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}
