//! What the statistics of sampled answers are worth on recorded answers of real models: false alarms, the power to see
//! mixtures, how well their share is known, and the time it takes.
//!
//! `cargo bench --bench power` prints Markdown tables, on one thread or many with the same figures but those of time; behind
//! `--`, words choose among the tables (`level`, `drifted`, `mixtures`, `coverage`, `answers`, `lab`, `package`, `time`). Without `--bench` every table
//! is made with a few trials, as a test of itself. Prompts on which constants were chosen take no part.

#![allow(clippy::print_stdout)]

use std::fmt::Write as _;

use rayon::prelude::*;
use samemodel::compare::EndpointComparison;
use samemodel::stats::permutation::{self, two_sample};
use samemodel::verdict::{Effect, EffectName, Verdict};

use trials::{Asked, Data, Mixture, PERMUTATIONS, Trial, judged, mixture, pairs, split};

#[path = "shared/busy.rs"]
mod busy;
#[cfg(feature = "lab")]
#[path = "power/lab.rs"]
mod lab;
#[path = "power/met.rs"]
mod met;
#[path = "power/time.rs"]
mod time;
#[path = "power/trials.rs"]
mod trials;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let effort = if arguments.iter().any(|a| a == "--bench") { FULL } else { SHORT };
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let data = Data::read()?;
    let tables: &[(&str, Table)] = &[
        ("level", level),
        ("drifted", drifted),
        ("mixtures", mixtures),
        ("coverage", coverage),
        ("answers", answers_needed),
        #[cfg(feature = "lab")]
        ("lab", lab::lab),
        ("package", met::package),
        ("time", time::time),
    ];
    for (name, table) in tables {
        if words.is_empty() || words.iter().any(|word| word == name) {
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
    /// Trials that the published package sees too, which is slow.
    package: u64,
    repeats: usize,
}

const FULL: Effort = Effort { splits: 10_000, verdicts: 5000, mixtures: 200, package: 25, repeats: 7 };
const SHORT: Effort = Effort { splits: 2, verdicts: 2, mixtures: 2, package: 1, repeats: 1 };

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
                .map_or([1.0; 5], |f| [f.kernels_p, f.presence_p, f.surprisals_p, f.length_p, f.p])
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
