//! What comes of a comparison: plain values, for the decision to complete and for reports to show.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::band::Band;
use super::control::Control;
use super::thinking::Thinking;
use super::{Settings, effect};
use crate::signal::contrast::Contrast;
use crate::signal::metadata::Metadata;
use crate::verdict::{Effect, Finding, ProbeResult, SignalResult, Verdict};

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
    /// Where each endpoint is held against its own past: those from whose past the control was not told apart, though it was from
    /// that of others, each with the p-value.
    pub like_the_control: Vec<(String, f64)>,
    /// Endpoints that are declared to be twins of the reference and leave it sooner than honest hosts do, so that they say nothing of
    /// how far apart these are.
    pub strangers: Vec<String>,
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
    /// What to ask more of, where that would let there be a firmer verdict.
    pub advice: Option<String>,
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
    /// Its answers; compared, unless there was nothing to compare them with.
    pub answers: usize,
    /// Answers per sampled probe with which an inconclusive verdict would probably be decided.
    pub samples_to_decide: Option<u32>,
    /// Answers per sampled probe with which it would be settled how answers are drawn.
    pub samples_to_settle: Option<u32>,
    /// How many answers to a sampled probe were compared; absent where none were.
    pub depth: Option<Depth>,
    /// What is said of each of both questions: what is computed, and how answers are drawn.
    pub questions: Questions,
    /// Whether sampled answers of either side were to be compared.
    pub is_sampled: bool,
    /// What greedy answers of honest hosts may show.
    pub band: Band,
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
    /// What both sides show of their thinking, and what is missing of their answers.
    pub thinking: Thinking,
}

/// How many answers to a sampled probe were compared, on average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Depth {
    /// Of what the endpoint is held against.
    pub reference: f64,
    /// Of the endpoint.
    pub endpoint: f64,
}

impl Depth {
    /// Whether it is the reference that has too few, so that asking the endpoint for more would decide nothing.
    pub fn is_reference_short(&self, needed: u32) -> bool {
        let needed = f64::from(needed);
        self.reference < needed && needed <= self.endpoint
    }
}

/// A verdict in its two parts: greedy answers see what is computed (weights, prompt, kernels) and cannot see how answers are drawn
/// (temperature, `top_k`, `top_p`, `min_p`, penalties).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Questions {
    /// What is computed.
    pub computed: Question,
    /// How answers are drawn.
    pub drawn: Question,
}

/// One part of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Question {
    /// What can be said of it.
    pub verdict: Verdict,
    /// The effect that it rests on.
    pub effect: Option<Effect>,
}

impl Default for Question {
    fn default() -> Self {
        Self { verdict: Verdict::Unmeasured, effect: None }
    }
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
    pub(super) fn new(reasons: BTreeMap<Option<String>, usize>, metadata: Metadata) -> Self {
        Self {
            finish_reasons: reasons.into_iter().map(|(reason, n)| (reason.unwrap_or_default(), n)).collect(),
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
            advice: None,
            p_value: None,
            q_value: None,
            e_value: None,
            effect: None,
            effects: Vec::new(),
            answers: 0,
            samples_to_decide: None,
            samples_to_settle: None,
            depth: None,
            questions: Questions::default(),
            is_sampled: false,
            band: Band::default(),
            greedy_probes_to_decide: None,
            signals: Vec::new(),
            probes: Vec::new(),
            greedy: None,
            findings: Vec::new(),
            contrast: None,
            observed: Observed::default(),
            thinking: Thinking::default(),
        }
    }

    /// The reason, with the advice where there is any.
    pub fn why(&self) -> String {
        match &self.advice {
            Some(advice) => format!("{}: {advice}", self.reason),
            None => self.reason.clone(),
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
