//! Comparison: samples of many endpoints against one reference, up to the verdict.
//!
//! Layer 2, pure: the same samples and settings give the same comparison to the bit. [`effect`] sizes differences,
//! [`decide`] turns them into verdicts, [`control`] finds the unit in which they are measured; [`past`] holds endpoints against
//! answers of their own. `measured` gathers all that is seen of one endpoint, and `outcome` holds what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::sample::{Asking, Sample};
use crate::signal::answers::Answers;
use crate::stats::permutation::{self, two_sample};
use crate::stats::{Pair, multiple, rng};
use crate::suggest::nearest;
use crate::verdict::Verdict;

pub mod control;
pub mod decide;
pub mod effect;
mod measured;
mod outcome;
pub mod past;

pub use outcome::{Comparison, EndpointComparison, GreedySummary, Observed, SelfCheck};

use control::Control;
use decide::Judgement;
use measured::Measured;

/// How to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// From which all random choices derive.
    pub seed: u64,
    /// Rate of false alarms over all endpoints together.
    pub alpha: f64,
    /// The largest effect that does not matter, as a share.
    pub tolerance: f64,
    /// The largest change of the answers' diversity that does not matter, as a share of the reference's.
    pub dispersion_tolerance: f64,
    /// Permutations of each test.
    pub permutations: u32,
}

/// Who is what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles<'a> {
    /// The endpoint that the others are held against.
    pub reference: &'a str,
    /// The endpoints to judge, in the order of the report; the reference and the control are left out of it.
    pub endpoints: Vec<&'a str>,
    /// An endpoint that is known to serve another model.
    pub control: Option<&'a str>,
    /// What is known of endpoints beforehand, by name.
    pub known: BTreeMap<&'a str, Known<'a>>,
}

/// What is known of an endpoint beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known<'a> {
    /// The name by which the model is asked for there.
    pub model: Option<&'a str>,
    /// Patterns of the names under which the model may answer there; empty where none is known.
    pub expected: &'a [String],
    /// Prompt tokens that the host is known to count beyond the reference's.
    pub token_offset: i64,
}

impl<'a> Roles<'a> {
    /// These endpoints against this reference, without a control.
    pub fn new(reference: &'a str, endpoints: Vec<&'a str>) -> Self {
        Self { reference, endpoints, control: None, known: BTreeMap::new() }
    }

    /// The endpoints that get a verdict.
    fn judged(&self) -> impl Iterator<Item = &'a str> {
        self.endpoints.iter().copied().filter(|&n| n != self.reference && Some(n) != self.control)
    }
}

/// Why nothing can be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The reference has no answers.
    #[error("the reference `{0}` has no answers, so there is nothing to compare with; {1}")]
    EmptyReference(String, &'static str),
    /// No samples are of the reference's name.
    #[error("no samples are from the reference `{name}`; there are samples from {known}{suggestion}")]
    UnknownReference {
        /// The name that was asked for.
        name: String,
        /// The endpoints that there are.
        known: String,
        /// What may have been meant, as the end of the sentence.
        suggestion: String,
    },
}

/// Compares every endpoint with the reference.
pub fn compare(samples: &[Sample], roles: &Roles<'_>, settings: &Settings) -> Result<Comparison, CompareError> {
    let of = |name: &str| answers_of(samples, name);
    if !samples.iter().any(|s| s.endpoint == roles.reference) && !samples.is_empty() {
        return Err(unknown_reference(samples, roles.reference));
    }
    let reference = of(roles.reference);
    if reference.count() == 0 {
        let advice = "look at its errors, or name another reference";
        return Err(CompareError::EmptyReference(roles.reference.to_owned(), advice));
    }
    let control = Control::establish(&reference, roles.control.map(|name| (name, of(name))), settings);
    let sides: Vec<Side<'_>> = roles.judged().map(|name| Side { name, answers: of(name), against: 0 }).collect();
    let endpoints = judged(&sides, &[(reference.clone(), control.clone())], roles, settings);
    Ok(Comparison {
        reference: roles.reference.to_owned(),
        reference_answers: reference.count(),
        settings: settings.clone(),
        self_check: self_check(&reference, settings),
        control,
        endpoints,
    })
}

/// The answers among these samples that are of this endpoint.
fn answers_of<'s>(samples: &'s [Sample], endpoint: &str) -> Answers<'s> {
    Answers::new(samples.iter().filter(|s| s.endpoint == endpoint))
}

/// An endpoint to judge, with the index of what it is held against.
struct Side<'a> {
    name: &'a str,
    answers: Answers<'a>,
    against: usize,
}

/// The verdicts on all sides together.
fn judged(
    sides: &[Side<'_>],
    references: &[(Answers<'_>, Control)],
    roles: &Roles<'_>,
    settings: &Settings,
) -> Vec<EndpointComparison> {
    let known = |name: &str| roles.known.get(name).copied().unwrap_or_default();
    let measured: Vec<Measured<'_>> = sides
        .iter()
        .map(|side| {
            let (reference, control) = &references[side.against];
            Measured::new(side.name, reference, &side.answers, control, settings).allow(known(side.name))
        })
        .collect();
    let mut endpoints: Vec<EndpointComparison> =
        measured.iter().map(|m| m.judge(known(&m.endpoint), settings)).collect();
    correct_for_endpoints(&mut endpoints, settings);
    for (endpoint, measured) in endpoints.iter_mut().zip(&measured).filter(|(e, _)| e.verdict == Verdict::Drifted) {
        endpoint.contrast = measured.contrast();
    }
    endpoints
}

fn unknown_reference(samples: &[Sample], name: &str) -> CompareError {
    let known: BTreeSet<&str> = samples.iter().map(|s| s.endpoint.as_str()).collect();
    let near = nearest(name, known.iter().copied());
    let suggestion = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let known: Vec<String> = known.into_iter().map(|k| format!("`{k}`")).collect();
    CompareError::UnknownReference { name: name.to_owned(), known: known.join(", "), suggestion }
}

/// Pairs of answers to all probes that both sides answered in one way of asking.
pub(crate) fn pairs<'a>(reference: &'a Answers<'_>, endpoint: &'a Answers<'_>, asking: Asking) -> Vec<Pair<'a>> {
    reference
        .probes(asking)
        .filter(|(probe, _)| !endpoint.is_set_aside(probe))
        .filter_map(|(probe, r)| {
            let e = endpoint.of(asking, probe);
            let texts = |answers: &'a [crate::signal::answers::Answer<'_>]| answers.iter().map(|a| &*a.text).collect();
            (!e.is_empty()).then(|| Pair { probe, reference: texts(r), endpoint: texts(e) })
        })
        .collect()
}

pub(crate) fn test_settings<'a>(settings: &Settings, label: &'a str) -> permutation::Settings<'a> {
    permutation::Settings { permutations: settings.permutations, seed: settings.seed, label }
}

/// Splits the reference's sampled answers in two at random and compares the halves.
fn self_check(reference: &Answers<'_>, settings: &Settings) -> Option<SelfCheck> {
    use rand::seq::SliceRandom as _;
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for (probe, answers) in reference.probes(Asking::Sampled) {
        let mut texts: Vec<&str> = answers.iter().map(|a| &*a.text).collect();
        texts.shuffle(&mut rng::derive(settings.seed, &["self-check", probe]));
        let endpoint = texts.split_off(texts.len() / 2);
        pairs.push(Pair { probe, reference: texts, endpoint });
    }
    let found = two_sample(&pairs, test_settings(settings, "the reference against itself"))?;
    let tested = pairs.iter().filter(|p| p.reference.len() >= 2 && p.endpoint.len() >= 2);
    Some(SelfCheck { p_value: found.p, answers: tested.map(|p| p.reference.len() + p.endpoint.len()).sum() })
}

/// Holm over the endpoints that were tested, then the verdicts.
fn correct_for_endpoints(endpoints: &mut [EndpointComparison], settings: &Settings) {
    let tested: Vec<usize> = (0..endpoints.len()).filter(|&i| endpoints[i].p_value.is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|&i| endpoints[i].p_value).collect();
    for (&i, q) in tested.iter().zip(multiple::holm(&p_values)) {
        endpoints[i].q_value = Some(q);
    }
    for endpoint in endpoints {
        let Judgement { verdict, reason, effect } = decide::decide(endpoint, settings);
        if verdict != Verdict::Inconclusive {
            (endpoint.samples_to_decide, endpoint.greedy_probes_to_decide) = (None, None);
        }
        (endpoint.verdict, endpoint.reason, endpoint.effect) = (verdict, reason, effect);
    }
}
