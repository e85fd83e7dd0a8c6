//! Comparison: samples of many endpoints against one reference, up to the verdict.
//!
//! Layer 2, pure: the same samples and settings give the same comparison to the bit. [`effect`] sizes differences,
//! [`decide`] turns them into verdicts, [`control`] finds the unit in which they are measured; [`view`] says
//! what of answers is compared and [`thinking`] what is missing of them; [`past`] holds endpoints against
//! answers of their own. `measured` gathers all that is seen of one endpoint, and `outcome` holds what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::sample::{Asking, Sample};
use crate::signal::answers::{Answer, Answers};
use crate::stats::permutation::{self, permutations_for, two_sample};
use crate::stats::{Pair, multiple, rng};
use crate::suggest::nearest;
use crate::verdict::Verdict;

pub mod band;
pub mod control;
pub mod decide;
pub mod effect;
mod measured;
mod outcome;
pub mod past;
pub mod thinking;
pub mod view;

pub use decide::{MOST_ANSWERS, MOST_PROBES};
pub use outcome::{Comparison, Depth, EndpointComparison, GreedySummary, Observed, Question, Questions, SelfCheck};

use band::{Band, Fleet, apart_in_time, honest_hazard};
use control::{Control, Pace};
use decide::Judgement;
use measured::Measured;
use view::View;

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
#[derive(Debug, Clone, PartialEq)]
pub struct Roles<'a> {
    /// The endpoint that the others are held against.
    pub reference: &'a str,
    /// The endpoints to judge, in the order of the report; the reference and the control are left out of it.
    pub endpoints: Vec<&'a str>,
    /// An endpoint that is known to serve another model.
    pub control: Option<&'a str>,
    /// What is known of endpoints beforehand, by name.
    pub known: BTreeMap<&'a str, Known<'a>>,
    /// Endpoints that are declared to be twins of the reference: the same model, honestly served.
    pub twins: BTreeSet<&'a str>,
    /// Earlier answers of the reference, asked alike; empty where there are none.
    pub earlier: &'a [Sample],
    /// Planned requests whose answers were to be compared and that stayed without one, by endpoint.
    pub unanswered: BTreeMap<&'a str, usize>,
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
        Self {
            reference,
            endpoints,
            control: None,
            known: BTreeMap::new(),
            twins: BTreeSet::new(),
            earlier: &[],
            unanswered: BTreeMap::new(),
        }
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
    let other = roles.control.map(of);
    let control = Control::establish(&reference, &reference, roles.control.zip(other.clone()), settings);
    let sides: Vec<Side<'_>> = roles.judged().map(|name| Side { name, answers: of(name), against: 0 }).collect();
    let roles = Roles { unanswered: unanswered(samples, &roles.unanswered), ..roles.clone() };
    let (bands, strangers) = bands(&reference, &sides, &control, &roles);
    let against = Against { reference: reference.clone(), control: control.clone(), other };
    let endpoints = judged(&sides, &[against], &bands, (&roles, settings));
    Ok(Comparison {
        reference: roles.reference.to_owned(),
        reference_answers: reference.count(),
        settings: settings.clone(),
        self_check: self_check(&reference, settings),
        control,
        like_the_control: Vec::new(),
        strangers,
        endpoints,
    })
}

/// Requests without an answer, by endpoint: those known of beforehand, or those of which the samples hold errors alone.
fn unanswered<'a>(samples: &'a [Sample], known: &BTreeMap<&'a str, usize>) -> BTreeMap<&'a str, usize> {
    let request = |s: &'a Sample| (s.endpoint.as_str(), s.probe.as_str(), s.replicate);
    let answered: BTreeSet<_> = samples.iter().filter(|s| s.is_answer()).map(request).collect();
    let failed: BTreeSet<_> = samples.iter().map(request).filter(|request| !answered.contains(request)).collect();
    let mut out = known.clone();
    for endpoint in failed.iter().map(|(endpoint, ..)| *endpoint).filter(|endpoint| !known.contains_key(endpoint)) {
        *out.entry(endpoint).or_default() += 1;
    }
    out
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

/// What endpoints are held against.
struct Against<'a> {
    reference: Answers<'a>,
    control: Control,
    /// The control's answers, where one was asked.
    other: Option<Answers<'a>>,
}

/// What honest hosts may show, by endpoint: as twins, the fleet, the control or the literature have it; and the declared twins that are
/// none.
fn bands<'a>(
    reference: &Answers<'_>,
    sides: &[Side<'a>],
    control: &Control,
    roles: &Roles<'_>,
) -> (BTreeMap<&'a str, Band>, Vec<String>) {
    let hosts: Vec<(&str, &Answers<'_>)> = sides.iter().map(|side| (side.name, &side.answers)).collect();
    let fleet = fleet(reference, &hosts, roles);
    let over_time = apart_in_time(reference, &Answers::new(roles.earlier));
    let band = |i: usize| {
        let band = band(&fleet, i, reference, control);
        over_time.map_or(band, |hazard| band.over_time(hazard, &pace(reference, control)))
    };
    let strangers = fleet.strangers(honest_hazard(control.characters_per_token));
    let strangers = strangers.into_iter().map(|i| sides[i].name.to_owned()).collect();
    (sides.iter().enumerate().map(|(i, side)| (side.name, band(i))).collect(), strangers)
}

/// The reference and all hosts beside it.
fn fleet(reference: &Answers<'_>, hosts: &[(&str, &Answers<'_>)], roles: &Roles<'_>) -> Fleet {
    let twins = hosts.iter().enumerate().filter(|(_, (name, _))| roles.twins.contains(name)).map(|(i, _)| i).collect();
    let others: Vec<&Answers<'_>> = hosts.iter().map(|(_, answers)| *answers).collect();
    Fleet::new(reference, &others, twins)
}

/// The band of one host of a fleet, by its index beside the reference.
fn band(fleet: &Fleet, host: usize, reference: &Answers<'_>, control: &Control) -> Band {
    fleet.band(host, &pace(reference, control), honest_hazard(control.characters_per_token))
}

/// How soon another model's greedy answers leave the reference's, thoughts among them where it thinks.
fn pace(reference: &Answers<'_>, control: &Control) -> Pace {
    let thinks = reference.compared().any(|a| a.thought.is_some());
    control.units(if thinks { View::Generated } else { View::Content }).pace
}

/// The verdicts on all sides together, with the bands that are known.
fn judged(
    sides: &[Side<'_>],
    references: &[Against<'_>],
    bands: &BTreeMap<&str, Band>,
    (roles, settings): (&Roles<'_>, &Settings),
) -> Vec<EndpointComparison> {
    let known = |name: &str| roles.known.get(name).copied().unwrap_or_default();
    // Each endpoint has a test for each way of asking, and Holm corrects for all endpoints.
    let permutations = permutations_for(2 * sides.len(), settings.alpha, settings.permutations);
    let settings = &Settings { permutations, ..settings.clone() };
    let measured: Vec<Measured<'_>> = sides
        .iter()
        .map(|side| {
            let against = &references[side.against];
            let band = bands.get(side.name).copied().unwrap_or_else(|| Band::of_unit(&against.control.content.pace));
            Measured::new(side.name, against, &side.answers, band, settings).allow(known(side.name))
        })
        .collect();
    let mut endpoints: Vec<EndpointComparison> =
        measured.iter().map(|m| m.judge(known(&m.endpoint), settings)).collect();
    let unanswered = |name: &str| roles.unanswered.get(name).copied().unwrap_or(0);
    for endpoint in &mut endpoints {
        endpoint.thinking.endpoint.unanswered = unanswered(&endpoint.endpoint);
        endpoint.thinking.reference.unanswered = unanswered(roles.reference);
    }
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

pub(crate) fn test_settings<'a>(settings: &Settings, label: &'a str) -> permutation::Settings<'a> {
    permutation::Settings { permutations: settings.permutations, seed: settings.seed, label }
}

/// Splits the reference's sampled answers in two at random and compares the halves.
fn self_check(reference: &Answers<'_>, settings: &Settings) -> Option<SelfCheck> {
    use rand::seq::SliceRandom as _;
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for (probe, answers) in reference.with_blanks(Asking::Sampled) {
        let mut texts: Vec<&str> = answers.iter().map(Answer::generated).filter(|text| !text.is_empty()).collect();
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
        let significant = endpoint.q_value.is_none_or(|q| q <= settings.alpha);
        endpoint.questions = decide::questions(&endpoint.effects, significant, settings);
        let Judgement { verdict, reason, advice, effect } = decide::decide(endpoint, settings);
        if verdict != Verdict::Inconclusive {
            (endpoint.samples_to_decide, endpoint.greedy_probes_to_decide) = (None, None);
        }
        (endpoint.verdict, endpoint.reason, endpoint.advice) = (verdict, reason, advice);
        endpoint.effect = effect;
    }
}
