//! The same statistics on sampled answers alone of the lab's hosts, on probes with which no constant was chosen.

use std::fmt::Write as _;
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::seq::SliceRandom as _;
use rayon::prelude::*;
use samemodel::lab::{Fleet, FleetOptions, LabEndpoint, MODEL_NAME};
use samemodel::probe::{self, Probe};
use samemodel::stats::permutation::{self, two_sample};
use samemodel::stats::rng;
use serde_json::{Value, json};

use crate::trials::{Data, Model, PERMUTATIONS, Trial, pairs, split};
use crate::{Effort, Error, share};

const PROBES: usize = 20;

/// Tokens of an answer.
const CAP: usize = 32;

/// Requests under way at one host.
const AT_ONCE: usize = 8;

/// The reference, an honest twin of it, and hosts that are not.
const HOSTS: [(&str, &str); 7] = [
    ("the reference", "lab:"),
    ("an honest twin", "lab:weights=f32"),
    ("4-bit weights", "lab:quantized-weights=q4_0"),
    ("5-bit weights", "lab:quantized-weights=q5_0"),
    ("temperature 0.9", "lab:temperature-ignored=0.9"),
    ("top_p 0.9", "lab:temperature-ignored=top_p:0.9"),
    ("wrong RoPE", "lab:wrong-rope=4"),
];

/// Answers that a host gives to each probe, from which trials are drawn: far more than any trial takes.
const POOL: usize = 100;
const SHORT_POOL: usize = 6;

/// The most answers of a side that are tried.
const MOST: [usize; 15] = [3, 4, 5, 6, 8, 10, 11, 12, 14, 15, 18, 20, 25, 30, 40];

/// False alarms, and the answers that each difference needs.
pub fn lab(_: &Data, effort: &Effort) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let hosts = runtime.map_err(Error::from).and_then(|runtime| runtime.block_on(answers(effort)));
    let hosts = match hosts {
        Ok(hosts) => hosts,
        Err(error) => return format!("### Sampled answers of the lab\n\nNot measured: {error}\n"),
    };
    let (reference, others) = hosts.split_at(1);
    let mut out = format!("### Sampled answers of the lab alone, {PROBES} probes × {CAP} tokens\n\n");
    let p_values = |seed: u64| {
        let trials = split(&reference[0], None, [PROBES, 10.min(effort.pool() / 2), 10.min(effort.pool() / 2)], seed);
        p_of(&trials, seed)
    };
    let rejected = (0..effort.splits).into_par_iter().map(p_values).filter(|p| *p <= 0.05).count();
    let _ = writeln!(
        out,
        "The reference against itself, {} splits at 10 answers a side: p ≤ 0.05 in {}.\n",
        effort.splits,
        share(rejected, effort.splits as usize)
    );
    out += "| host | p ≤ 0.05 at 20 answers a side | answers a probe and side for 80 % power at 5 % |\n|---|--:|--:|\n";
    for ((name, _), host) in HOSTS[1..].iter().zip(others) {
        let power = |n: usize| {
            let trial = |seed| p_of(&against(&reference[0], host, n, seed), seed);
            (0..effort.mixtures).into_par_iter().map(trial).filter(|p| *p <= 0.05).count()
        };
        let trials = effort.mixtures as usize;
        let needed = MOST.into_iter().find(|n| 5 * power(*n) >= 4 * trials);
        let needed = needed.map_or_else(|| format!("> {}", MOST[MOST.len() - 1]), |n| n.to_string());
        let _ = writeln!(out, "| {name} | {} | {needed} |", share(power(20), trials));
    }
    out
}

impl Effort {
    fn pool(&self) -> usize {
        if self.repeats > 1 { POOL } else { SHORT_POOL }
    }
}

fn p_of(trials: &[Trial<'_>], seed: u64) -> f64 {
    let settings = permutation::Settings { permutations: PERMUTATIONS, seed, label: "lab" };
    two_sample(&pairs(trials), settings).map_or(1.0, |found| found.p)
}

/// So many answers of the reference and of a host to each probe.
fn against<'a>(reference: &'a Model, host: &'a Model, n: usize, seed: u64) -> Vec<Trial<'a>> {
    let mut rng = rng::derive(seed, &["lab"]);
    let mut drawn = |texts: &'a [String]| -> Vec<&'a str> {
        let mut out: Vec<&str> = texts.iter().map(String::as_str).collect();
        out.shuffle(&mut rng);
        out.truncate(n);
        out
    };
    reference
        .iter()
        .filter_map(|(probe, texts)| {
            let (reference, endpoint) = (drawn(texts), drawn(host.get(probe)?));
            Some(Trial { probe, reference, endpoint, control: Vec::new() })
        })
        .collect()
}

/// The answers of all hosts, in their order.
async fn answers(effort: &Effort) -> Result<Vec<Model>, Error> {
    let probes = probe::load(&["prompts/lab-held-out/sampled".to_owned()], Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let endpoints =
        HOSTS.iter().map(|(name, address)| LabEndpoint::from_address(*name, address)).collect::<Result<Vec<_>, _>>()?;
    let fleet = Fleet::start(&endpoints, FleetOptions { seed: 20, ..FleetOptions::default() }).await?;
    let mut out = Vec::new();
    for host in 0..HOSTS.len() {
        let url = format!("{}/chat/completions", fleet.base_url(host));
        let (client, mut model) = (reqwest::Client::new(), Model::new());
        for probe in probes.iter().take(PROBES) {
            let asked = (0..effort.pool()).map(|_| ask(&client, &url, probe));
            let texts = stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await?;
            model.insert(probe.id.clone(), texts);
        }
        out.push(model);
    }
    Ok(out)
}

async fn ask(client: &reqwest::Client, url: &str, probe: &Probe) -> Result<String, Error> {
    let messages: Vec<Value> = probe.messages.iter().map(|m| json!({"role": m.role, "content": m.content})).collect();
    let body = json!({"model": MODEL_NAME, "messages": messages, "max_tokens": CAP, "temperature": 1});
    let bytes = client.post(url).body(body.to_string()).send().await?.error_for_status()?.bytes().await?;
    let answer: Value = serde_json::from_slice(&bytes)?;
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    Ok(text.to_owned())
}
