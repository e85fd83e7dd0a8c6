//! Comparison: samples of many endpoints against one reference, up to the verdict.
//!
//! Layer 2, pure: the same samples and settings give the same comparison to the bit. [`effect`] sizes differences,
//! [`decide`] turns them into verdicts, [`control`] finds the unit in which they are measured.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diagnose::{self, Evidence};
use crate::sample::{Asking, Sample};
use crate::signal::answers::Answers;
use crate::signal::contrast::{Contrast, contrast};
use crate::signal::finish::Finish;
use crate::signal::metadata::Metadata;
use crate::signal::tokens::PromptTokens;
use crate::stats::divergence::{Divergence, divergence};
use crate::stats::kernel::{Lane, mean_of_combined};
use crate::stats::permutation::{self, TwoSample, lane, two_sample};
use crate::stats::{Pair, features, multiple, rng};
use crate::suggest::nearest;
use crate::verdict::{Effect, Finding, ProbeResult, SignalResult, Verdict};

pub mod control;
pub mod decide;
pub mod effect;

use control::Control;
use decide::Judgement;

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
    /// Prompt tokens that the host is known to count beyond the reference's.
    pub token_offset: i64,
}

impl<'a> Roles<'a> {
    /// These endpoints against this reference, without a control.
    pub fn new(reference: &'a str, endpoints: Vec<&'a str>) -> Self {
        Self { reference, endpoints, control: None, known: BTreeMap::new() }
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

/// All endpoints against the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The reference's name.
    pub reference: String,
    /// Answers of the reference.
    pub reference_answers: usize,
    /// The settings.
    pub settings: Settings,
    /// In what unit effects are measured, and whether the tests could have fired.
    pub control: Control,
    /// The reference against itself.
    pub self_check: Option<SelfCheck>,
    /// The endpoints in the order asked for.
    pub endpoints: Vec<EndpointComparison>,
}

/// An A/A test: one half of the reference's sampled answers against the other, by the same path.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SelfCheck {
    /// The p-value; uniform when all is well.
    pub p_value: f64,
    /// Answers compared, both halves together.
    pub answers: usize,
}

/// One endpoint against the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointComparison {
    /// The endpoint's name.
    pub endpoint: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the verdict is not firmer, or what decided it, in a line.
    pub reason: String,
    /// p-value before correction over endpoints; absent when nothing could be tested.
    pub p_value: Option<f64>,
    /// p-value after Holm's correction over the endpoints of this comparison.
    pub q_value: Option<f64>,
    /// e-value of the p-value before correction.
    pub e_value: Option<f64>,
    /// The effect that decides.
    pub effect: Option<Effect>,
    /// All effects measured.
    pub effects: Vec<effect::Sized>,
    /// Answers compared.
    pub answers: usize,
    /// Answers per sampled probe with which an inconclusive verdict would probably be decided.
    pub samples_to_decide: Option<u32>,
    /// Greedy probes with which it would, which is usually cheaper.
    pub greedy_probes_to_decide: Option<u32>,
    /// What was compared.
    pub signals: Vec<SignalResult>,
    /// What each probe shows by itself.
    pub probes: Vec<ProbeResult>,
    /// What greedy answers show.
    pub greedy: Option<GreedySummary>,
    /// Likely faults.
    pub findings: Vec<Finding>,
    /// Two answers that show the difference, for endpoints that drifted.
    pub contrast: Option<Contrast>,
    /// What its answers say of themselves.
    pub observed: Observed,
}

/// What the answers of an endpoint say of themselves, with the number of answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Observed {
    /// Finish reasons in the host's own words; the empty one where it sent none.
    pub finish_reasons: BTreeMap<String, usize>,
    /// Names of the model that answered.
    pub response_models: BTreeMap<String, usize>,
    /// The host's fingerprints of its own configuration.
    pub fingerprints: BTreeSet<String>,
    /// Hosts that answered behind a router.
    pub providers: BTreeSet<String>,
}

impl Observed {
    fn new(finish: Finish, metadata: Metadata) -> Self {
        Self {
            finish_reasons: finish.reasons.into_iter().map(|(reason, n)| (reason.unwrap_or_default(), n)).collect(),
            response_models: metadata.models,
            fingerprints: metadata.fingerprints,
            providers: metadata.providers,
        }
    }
}

impl EndpointComparison {
    /// An endpoint of which nothing is known, with the reason.
    pub fn unmeasured(endpoint: &str, reason: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            verdict: Verdict::Unmeasured,
            reason: reason.to_owned(),
            p_value: None,
            q_value: None,
            e_value: None,
            effect: None,
            effects: Vec::new(),
            answers: 0,
            samples_to_decide: None,
            greedy_probes_to_decide: None,
            signals: Vec::new(),
            probes: Vec::new(),
            greedy: None,
            findings: Vec::new(),
            contrast: None,
            observed: Observed::default(),
        }
    }
}

/// Greedy answers in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GreedySummary {
    /// Probes compared.
    pub probes: usize,
    /// Divergences from the reference for each token at risk (character, where no host reports token counts).
    pub hazard: f64,
    /// Divergences of the reference from itself, likewise; absent with one reference answer.
    pub own_hazard: Option<f64>,
    /// The hazard that counts as another model.
    pub control_hazard: f64,
    /// Share of pairs of answers that differ somewhere.
    pub differing: f64,
    /// The same among the reference's own answers.
    pub own_differing: Option<f64>,
}

/// Compares every endpoint with the reference.
pub fn compare(samples: &[Sample], roles: &Roles<'_>, settings: &Settings) -> Result<Comparison, CompareError> {
    let of = |name: &str| Answers::new(samples.iter().filter(|s| s.endpoint == name));
    if !samples.iter().any(|s| s.endpoint == roles.reference) && !samples.is_empty() {
        return Err(unknown_reference(samples, roles.reference));
    }
    let reference = of(roles.reference);
    if reference.count() == 0 {
        let advice = "look at its errors, or name another reference";
        return Err(CompareError::EmptyReference(roles.reference.to_owned(), advice));
    }
    let control = Control::establish(&reference, roles.control.map(|name| (name, of(name))), settings);
    let mut endpoints: Vec<EndpointComparison> = Vec::new();
    for &name in roles.endpoints.iter().filter(|&&n| n != roles.reference && Some(n) != roles.control) {
        let answers = of(name);
        let known = roles.known.get(name).copied().unwrap_or_default();
        let mut measured = Measured::new(name, &reference, &answers, &control, settings);
        measured.tokens.allow(known.token_offset);
        endpoints.push(measured.judge(known, settings));
    }
    correct_for_endpoints(&mut endpoints, settings);
    Ok(Comparison {
        reference: roles.reference.to_owned(),
        reference_answers: reference.count(),
        settings: settings.clone(),
        self_check: self_check(&reference, settings),
        control,
        endpoints,
    })
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

/// What was measured of one endpoint, before it is judged.
struct Measured<'a> {
    endpoint: String,
    answers: &'a Answers<'a>,
    reference: &'a Answers<'a>,
    sampled: Option<TwoSample>,
    greedy: Option<Divergence>,
    effects: Vec<effect::Sized>,
    summary: Option<GreedySummary>,
    features: Vec<SignalResult>,
    tokens: PromptTokens,
    samples_to_decide: Option<u32>,
}

impl<'a> Measured<'a> {
    fn new(
        name: &str,
        reference: &'a Answers<'a>,
        answers: &'a Answers<'a>,
        control: &Control,
        settings: &Settings,
    ) -> Self {
        let test = test_settings(settings, name);
        let sampled = two_sample(&pairs(reference, answers, Asking::Sampled), test);
        let greedy = divergence(&pairs(reference, answers, Asking::Greedy), test);
        let mut effects = Vec::new();
        if let Some(found) = &sampled {
            effects.extend(effect::substitution(found, control, test));
            effects.extend(effect::dispersion(found, test));
        }
        effects.extend(greedy.as_ref().and_then(|found| effect::divergence(found, control, test)));
        let summary = greedy.as_ref().map(|found| control.greedy_summary(found));
        let samples_to_decide = sampled.as_ref().and_then(|found| effect::samples_to_decide(found, control, settings));
        Self {
            endpoint: name.to_owned(),
            features: features_of(reference, answers, test),
            tokens: PromptTokens::compare(reference, answers),
            answers,
            reference,
            sampled,
            greedy,
            effects,
            summary,
            samples_to_decide,
        }
    }

    /// The smaller p-value of both ways of asking, doubled when both were tested.
    fn p_value(&self) -> Option<f64> {
        let tests = [self.sampled.as_ref().map(|s| s.p), self.greedy.as_ref().and_then(|g| g.p)];
        let found: Vec<f64> = tests.into_iter().flatten().collect();
        let smallest = found.iter().copied().reduce(f64::min)?;
        Some((smallest * found.len() as f64).min(1.0))
    }

    /// Everything but the correction over endpoints, which needs all of them.
    fn judge(self, known: Known<'_>, settings: &Settings) -> EndpointComparison {
        let p_value = self.p_value();
        let (finish, metadata) = (Finish::count(self.answers), Metadata::gather(self.answers));
        let findings = diagnose::diagnose(&Evidence {
            tokens: &self.tokens,
            asked_model: known.model,
            finish: &finish,
            reference_finish: &Finish::count(self.reference),
            metadata: &metadata,
            reference_metadata: &Metadata::gather(self.reference),
            sampled: self.sampled.as_ref(),
            effects: &self.effects,
            tolerance: settings.tolerance,
            dispersion_tolerance: settings.dispersion_tolerance,
            alpha: settings.alpha,
        });
        EndpointComparison {
            p_value,
            e_value: p_value.map(multiple::e_value),
            effects: self.effects.clone(),
            answers: self.answers.count(),
            greedy_probes_to_decide: self
                .summary
                .and_then(|g| effect::probes_to_decide(g.probes, &self.effects, settings)),
            samples_to_decide: self.samples_to_decide,
            signals: self.signals(),
            probes: self.probes(),
            greedy: self.summary,
            contrast: self.contrast(),
            observed: Observed::new(finish, metadata),
            findings,
            ..EndpointComparison::unmeasured(&self.endpoint, "")
        }
    }

    fn signals(&self) -> Vec<SignalResult> {
        let signal = |name: &str, statistic: f64, p_value: Option<f64>| SignalResult {
            name: name.to_owned(),
            statistic: Some(statistic),
            p_value,
        };
        let mut out = Vec::new();
        if let Some(s) = &self.sampled {
            out.push(signal("mmd", mean_of_combined(&s.t), Some(s.mmd_p)));
            out.push(signal("mmd_hamming", s.pooled_hamming1000, Some(lane(&s.t_p, Lane::Hamming1000))));
            for (name, l) in [
                ("mmd_hamming_50", Lane::Hamming50),
                ("mmd_hamming_200", Lane::Hamming200),
                ("mmd_hamming_200_normalised", Lane::Hamming200Normalised),
                ("mmd_prefix", Lane::Prefix),
            ] {
                out.push(signal(name, lane(&s.t, l), Some(lane(&s.t_p, l))));
            }
            out.push(signal("dispersion", mean_of_combined(&s.d), Some(s.dispersion_p)));
            out.push(signal("duplicates", lane(&s.d, Lane::Equal), Some(lane(&s.d_p, Lane::Equal))));
        }
        if let Some(g) = &self.greedy {
            out.push(SignalResult { name: "greedy_divergence".into(), statistic: g.statistic, p_value: g.p });
        }
        if !self.tokens.counts.is_empty() {
            out.push(signal("prompt_tokens", self.tokens.differing() as f64, None));
        }
        out.extend(self.features.iter().cloned());
        out
    }

    fn probes(&self) -> Vec<ProbeResult> {
        let sampled = self.sampled.iter().flat_map(|s| &s.probes).map(|p| ProbeResult {
            probe: p.probe.clone(),
            p_value: Some(p.p),
            effect: Some(p.t),
        });
        let greedy = self.greedy.iter().flat_map(|g| &g.probes).map(|p| ProbeResult {
            probe: p.probe.clone(),
            p_value: None,
            effect: Some(p.cross.events),
        });
        sampled.chain(greedy).collect()
    }

    /// The sampled probe with the largest difference, or the greedy one that leaves the reference soonest.
    fn contrast(&self) -> Option<Contrast> {
        let sampled = self.sampled.iter().flat_map(|s| &s.probes).max_by(|a, b| a.t.total_cmp(&b.t));
        let greedy = self.greedy.iter().flat_map(|g| &g.probes);
        let soonest = greedy
            .filter(|p| p.cross.events > p.own.events)
            .min_by(|a, b| a.cross.characters.total_cmp(&b.cross.characters));
        // Under greedy asking one difference is a difference; sampled answers differ by nature.
        let stronger = match (&self.sampled, self.greedy.as_ref().and_then(|g| g.p)) {
            (Some(s), Some(p)) if s.p <= p => Asking::Sampled,
            (Some(_), None) => Asking::Sampled,
            _ => Asking::Greedy,
        };
        let (asking, probe) = match (stronger, soonest, sampled) {
            (Asking::Greedy, Some(p), _) | (_, Some(p), None) => (Asking::Greedy, &p.probe),
            (_, _, Some(p)) => (Asking::Sampled, &p.probe),
            (_, None, None) => return None,
        };
        let texts =
            |answers: &'a Answers<'_>| -> Vec<&str> { answers.of(asking, probe).iter().map(|a| &*a.text).collect() };
        contrast(probe, &texts(self.reference), &texts(self.answers))
    }
}

/// Features that explain: length, answers cut at the cap, white space at the start.
fn features_of(reference: &Answers<'_>, endpoint: &Answers<'_>, test: permutation::Settings<'_>) -> Vec<SignalResult> {
    type Feature = fn(&crate::signal::answers::Answer<'_>) -> f64;
    let all: [(&str, Feature); 3] = [
        ("length", |a| a.text.chars().count() as f64),
        ("cut_at_cap", |a| f64::from(u8::from(a.sample.finish_reason.as_deref() == Some("length")))),
        ("leading_space", |a| f64::from(u8::from(a.text.starts_with(char::is_whitespace)))),
    ];
    let found = all.into_iter().filter_map(|(name, feature)| {
        let values: Vec<features::Values<'_>> = reference
            .probes(Asking::Sampled)
            .map(|(probe, r)| features::Values {
                probe,
                reference: r.iter().map(feature).collect(),
                endpoint: endpoint.of(Asking::Sampled, probe).iter().map(feature).collect(),
            })
            .collect();
        let found = features::mean_difference(&values, test, name)?;
        let statistic = Some(found.endpoint - found.reference);
        Some(SignalResult { name: name.to_owned(), statistic, p_value: Some(found.p) })
    });
    found.collect()
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
        if verdict != Verdict::Drifted {
            endpoint.contrast = None;
        }
        if verdict != Verdict::Inconclusive {
            (endpoint.samples_to_decide, endpoint.greedy_probes_to_decide) = (None, None);
        }
        (endpoint.verdict, endpoint.reason, endpoint.effect) = (verdict, reason, effect);
    }
}
