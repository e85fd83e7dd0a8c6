//! The engine held against llama.cpp, which has read the exported files: `model/llama_cpp.json` is what it made of them.
//!
//! `recipe/llama_cpp.sh` in the folder of the models records it once more.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::super::Situation;
use super::super::write::digest;
use super::*;

#[derive(Deserialize)]
struct Record {
    models: BTreeMap<String, Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    /// Of the weights that it was made with.
    sha256: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    /// After how many of the ids.
    positions: Vec<usize>,
    /// By format, for each position: the likeliest next tokens and their log-probabilities.
    top: BTreeMap<String, Vec<Vec<(u32, f64)>>>,
}

/// Prompts of `golden.json`, by model.
#[derive(Deserialize)]
struct Prompt {
    prompt_ids: Vec<u32>,
    patches: Option<serde_json::Value>,
}

fn record() -> Record {
    serde_json::from_str(include_str!("../../../model/llama_cpp.json")).unwrap()
}

fn kind(name: &str) -> ModelKind {
    ModelKind::ALL.into_iter().find(|kind| kind.name() == name).unwrap()
}

/// How far log-probabilities are from those recorded.
#[derive(Debug, Default, Clone, Copy)]
struct Distance {
    /// The mean over the draws that the record describes, in nats.
    mean: f64,
    /// The largest of any token that comes in at least 1 % of draws.
    most: f64,
}

/// The most that is let through in each format; what was measured is half of it, or less.
///
/// Weights and their rounding are the same in both engines, so what is left comes from activations. With weights in single
/// precision llama.cpp rounds none but those of attention; with weights in half precision it rounds all to half precision,
/// which the engine does not. With fewer bits both round activations to 8 bits by the same rule, and where they differ in the
/// last bits some of them round to the next step: changing them by one part in 100,000 moves log-probabilities as much.
fn tolerance(format: WeightFormat) -> Distance {
    match format {
        WeightFormat::F32 => Distance { mean: 0.001, most: 0.02 },
        WeightFormat::F16 => Distance { mean: 0.005, most: 0.15 },
        WeightFormat::Q8_0 | WeightFormat::Q5_0 | WeightFormat::Q4_0 => Distance { mean: 0.06, most: 0.8 },
    }
}

fn logprobs(model: &Model, prompt: &[u32]) -> Vec<f64> {
    let scores = scores(model, prompt);
    let situation = Situation { scores: &scores, prompt: &[], answer: &[], mask: None };
    Sampling::PLAIN.distribution(&situation).into_iter().map(f64::ln).collect()
}

/// How far the engine, with weights in its format, is from what is recorded of another one.
fn distance(name: &str, recorded: &Recorded, (ours, theirs): (WeightFormat, WeightFormat)) -> Distance {
    let model = kind(name).load(&spec(ours)).unwrap();
    let (mut sum, mut positions, mut most) = (0.0, 0.0, 0.0_f64);
    for case in &recorded.cases {
        for (position, top) in case.positions.iter().zip(&case.top[&theirs.to_string()]) {
            let ours = logprobs(&model, &case.ids[..*position]);
            for (id, logprob) in top {
                let (share, difference) = (logprob.exp(), (ours[*id as usize] - logprob).abs());
                sum += share * difference;
                most = if share < 0.01 { most } else { most.max(difference) };
            }
            positions += 1.0;
        }
    }
    Distance { mean: sum / positions, most }
}

#[test]
fn the_record_is_of_these_weights() {
    for (name, recorded) in record().models {
        assert_eq!(
            recorded.sha256,
            digest(kind(&name).weights()),
            "the weights of {name} have changed: run recipe/llama_cpp.sh again"
        );
    }
}

#[test]
fn llama_cpp_has_the_same_tokens_for_each_prompt() {
    let golden: BTreeMap<String, Vec<Prompt>> =
        serde_json::from_str(include_str!("../../../model/golden.json")).unwrap();
    let record = record();
    assert_eq!(record.models.len(), ModelKind::ALL.len());
    for (name, prompts) in golden {
        let texts: Vec<_> = prompts.into_iter().filter(|p| p.patches.is_none()).map(|p| p.prompt_ids).collect();
        let ids: Vec<_> = record.models[&name].cases.iter().map(|case| case.ids.clone()).collect();
        assert_eq!(ids, texts, "{name}");
    }
}

#[test]
fn llama_cpp_has_the_same_probabilities_in_every_format() {
    for (name, recorded) in &record().models {
        for format in WeightFormat::ALL {
            let (found, most) = (distance(name, recorded, (format, format)), tolerance(format));
            // To be seen with `--nocapture`, after weights have changed.
            println!("{name} {format}: {found:?}");
            assert!(found.mean < most.mean && found.most < most.most, "{name} {format}: {found:?}, not below {most:?}");
        }
    }
}

#[test]
fn what_llama_cpp_makes_of_rounded_weights_is_nearer_to_those_than_to_the_published_ones() {
    for (name, recorded) in &record().models {
        for format in [WeightFormat::Q5_0, WeightFormat::Q4_0] {
            let [own, other] = [format, WeightFormat::F16].map(|ours| distance(name, recorded, (ours, format)).mean);
            println!("{name} {format}: {own} and {other}");
            assert!(3.0 * own < other, "{name} {format}: {own} and {other}");
        }
    }
}
