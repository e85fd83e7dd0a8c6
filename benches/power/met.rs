//! The same answers by the published Python package.
//!
//! `MET_PYTHON` names an interpreter that has `model-equality-testing` (`pip install model-equality-testing==0.0.2`).

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use samemodel::stats::permutation::{self, two_sample};
use serde_json::{Value, json};

use crate::trials::{Asked, Data, PERMUTATIONS, Trial, mixture, pairs, split};
use crate::{Effort, Error, llama_with_mistral, share};

/// Probes, and answers of a side to each: its kernel is computed anew for every permutation, so that more take hours.
const SHAPE: [usize; 2] = [15, 12];

/// How often either is significant.
pub fn package<'a>(data: &'a Data, effort: &Effort) -> String {
    let mut out = "### The same answers by `model-equality-testing` 0.0.2: how often p ≤ 0.05\n\n".to_owned();
    let Ok(python) = std::env::var("MET_PYTHON") else {
        return out + "Not measured: `MET_PYTHON` names no interpreter that has the package.\n";
    };
    let [probes, answers] = SHAPE;
    let _ = writeln!(out, "{probes} probes × {answers} answers a side, without a control.\n");
    out += "| answers | trials | the package | samemodel |\n|---|--:|--:|--:|\n";
    let of_itself = |seed: u64| split(&data.llama, None, [probes, answers, answers], seed);
    let mixed = |percent: f64| {
        let asked = Asked { probes, answers, share: percent / 100.0, control: 0 };
        move |seed: u64| mixture(llama_with_mistral(data), asked, seed)
    };
    for (name, trial) in [
        ("Llama 3 70B against itself", &of_itself as &dyn Fn(u64) -> Vec<Trial<'a>>),
        ("10 % of Mistral 7B's", &mixed(10.0)),
        ("20 % of Mistral 7B's", &mixed(20.0)),
        ("all of Mistral 7B's", &mixed(100.0)),
    ] {
        let trials: Vec<Vec<Trial<'a>>> = (0..effort.package).map(trial).collect();
        let ours = trials.iter().enumerate().filter(|(seed, t)| our_p(t, *seed as u64) <= 0.05).count();
        let theirs = match their_p(&python, &trials) {
            Ok(p_values) => share(p_values.iter().filter(|p| **p <= 0.05).count(), trials.len()),
            Err(error) => error.to_string().replace('\n', " "),
        };
        let _ = writeln!(out, "| {name} | {} | {theirs} | {} |", trials.len(), share(ours, trials.len()));
    }
    out
}

fn our_p(trial: &[Trial<'_>], seed: u64) -> f64 {
    let settings = permutation::Settings { permutations: PERMUTATIONS, seed, label: "package" };
    two_sample(&pairs(trial), settings).map_or(1.0, |found| found.p)
}

/// The package's p-value of each trial.
fn their_p(python: &str, trials: &[Vec<Trial<'_>>]) -> Result<Vec<f64>, Error> {
    let of_probe = |t: &Trial<'_>| json!({ "reference": t.reference, "endpoint": t.endpoint });
    let trials: Vec<Value> = trials.iter().map(|trial| trial.iter().map(of_probe).collect()).collect();
    let file = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&file, &trials)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/power/met.py");
    let done = Command::new(python).arg(script).arg(file.path()).output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or("it failed").to_owned().into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}
