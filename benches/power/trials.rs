//! Trials: answers of both sides, drawn from recorded ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use samemodel::compare::{EndpointComparison, Roles, Settings, compare};
use samemodel::sample::file::read_samples;
use samemodel::sample::{Asking, Sample};
use samemodel::stats::{Pair, rng};

/// Permutations of each test, but where time is taken.
pub const PERMUTATIONS: u32 = 499;

/// Sampled answers of one model, by probe.
pub type Model = BTreeMap<String, Vec<String>>;

pub struct Data {
    pub wikipedia: Model,
    pub llama: Model,
    pub mistral: Model,
    /// A small model, from three honest hosts, and others of its hosts.
    pub small: Model,
    pub gemma: Model,
    pub two_bits: Model,
}

/// The prompts of the two models from here on were not looked at.
const HELD_OUT: usize = 20;

impl Data {
    pub fn read() -> Result<Self, crate::Error> {
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

fn by_endpoint(name: &str) -> Result<BTreeMap<String, Model>, crate::Error> {
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
pub struct Trial<'a> {
    pub probe: &'a str,
    pub reference: Vec<&'a str>,
    pub endpoint: Vec<&'a str>,
    pub control: Vec<&'a str>,
}

pub fn pairs<'a>(trials: &[Trial<'a>]) -> Vec<Pair<'a>> {
    let pair = |t: &Trial<'a>| Pair { probe: t.probe, reference: t.reference.clone(), endpoint: t.endpoint.clone() };
    trials.iter().map(pair).collect()
}

/// The endpoint's comparison by the real path.
pub fn judged(trials: &[Trial<'_>], seed: u64) -> EndpointComparison {
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
pub fn split<'a>(model: &'a Model, control: Option<&'a Model>, shape: [usize; 3], seed: u64) -> Vec<Trial<'a>> {
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
pub struct Mixture<'a> {
    pub name: &'a str,
    pub right: &'a Model,
    pub wrong: &'a Model,
}

/// What is asked of a mixture: probes, answers of a side to each, and the wrong model's share; and at most so many answers of the
/// control, which are answers of the wrong model that are not in the mixture.
#[derive(Clone, Copy)]
pub struct Asked {
    pub probes: usize,
    pub answers: usize,
    pub share: f64,
    pub control: usize,
}

pub fn mixture<'a>(of: Mixture<'a>, asked: Asked, seed: u64) -> Vec<Trial<'a>> {
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
