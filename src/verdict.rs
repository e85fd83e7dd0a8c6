//! A verdict on one endpoint, and the words and numbers it rests on.
//!
//! Layer 1. A verdict is earned: `consistent` means that the intervals of what decides lie inside their tolerances, not
//! that a test failed to reject; too little evidence is `inconclusive`, none is `unmeasured`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What can be said of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What decides lies within its tolerances, with the whole intervals.
    Consistent,
    /// A difference is significant after multiplicity and larger than the tolerance.
    Drifted,
    /// Neither can be said with the answers there are.
    Inconclusive,
    /// There is no evidence: no key, no answers, or nothing to compare with.
    Unmeasured,
}

impl Verdict {
    /// The word used in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Drifted => "drifted",
            Self::Inconclusive => "inconclusive",
            Self::Unmeasured => "unmeasured",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A size of difference with its interval, as a share between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// What was measured.
    pub name: EffectName,
    /// The estimate.
    pub estimate: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// The sizes of difference; each is a share of answers, so that one tolerance holds for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EffectName {
    /// Equivalent substitution fraction: as if this share of sampled answers came from another model.
    Substitution,
    /// Share of sampled answers that a witness trained on the control takes for the control's.
    Mixture,
    /// Share of the reference's diversity that is lost (or gained) within the endpoint's own answers.
    Dispersion,
    /// How much less surprising the endpoint's answers are than the reference's, as a share of how surprising those are.
    Surprisal,
    /// Excess hazard of leaving the reference's greedy answer, as a share of that of another model.
    Divergence,
    /// Share of greedy answers that leave the reference's as soon as another model's do.
    Departure,
}

impl EffectName {
    /// Whether it is about how answers are drawn (temperature, `top_k`, `top_p`, penalties) and not about what is computed (weights,
    /// prompt, kernels).
    pub fn is_of_drawing(self) -> bool {
        matches!(self, Self::Dispersion | Self::Surprisal)
    }

    /// The word used in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Substitution => "substitution",
            Self::Mixture => "mixture",
            Self::Dispersion => "dispersion",
            Self::Surprisal => "surprisal",
            Self::Divergence => "divergence",
            Self::Departure => "departure",
        }
    }
}

/// One thing compared between endpoint and reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalResult {
    /// The signal's name, such as `mmd_hamming`.
    pub name: String,
    /// The statistic's value, when it could be computed.
    pub statistic: Option<f64>,
    /// Its p-value before any correction, when the signal is a test.
    pub p_value: Option<f64>,
}

/// What one probe shows by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeResult {
    /// The probe's id.
    pub probe: String,
    /// Its own permutation p-value, uncorrected, when it has one.
    pub p_value: Option<f64>,
    /// Its own effect: for sampled probes MMD², for greedy ones the share of answers that left the reference.
    pub effect: Option<f64>,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// An exact disagreement: no chance is involved.
    Certain,
    /// The evidence points to this fault more than to any other.
    Likely,
    /// The evidence fits this fault among others.
    Possible,
}

/// Faults of the service, which say nothing of what it answers.
const OF_THE_SERVICE: [&str; 8] = [
    "blank-answers",
    "flaky-host",
    "reasoning-hidden",
    "request-refused",
    "route-not-pinned",
    "slow",
    "unicode-normalised",
    "usage-miscounted",
];

impl Finding {
    /// Whether it is of the service and not of the answers. A host that fails, is slow, counts wrongly, sends requests several ways or
    /// shows less than was generated is a matter of its own: what it does answer may be right, and no drift comes of it.
    pub fn is_of_the_service(&self) -> bool {
        OF_THE_SERVICE.contains(&self.fault.as_str())
    }

    /// Whether it is an exact disagreement about the answers, which is drift by itself.
    pub fn is_certain_drift(&self) -> bool {
        self.confidence == Confidence::Certain && !self.is_of_the_service()
    }
}

/// Faults that are another model's answers.
const OF_ANOTHER_MODEL: [&str; 2] = ["partial-routing", "swapped-model"];

impl Finding {
    /// Whether the evidence points to another model, for some answers or for all, more than to anything else.
    pub fn is_of_another_model(&self) -> bool {
        self.confidence != Confidence::Possible && OF_ANOTHER_MODEL.contains(&self.fault.as_str())
    }

    /// Whether answers may be drawn otherwise: at another temperature, without their tail, or under a penalty.
    pub fn is_of_drawing(&self) -> bool {
        self.fault == "temperature-ignored"
    }
}

/// A difference put down to a likely fault, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The fault's id in the catalogue, such as `double-bos`.
    pub fault: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// What was seen, in one line.
    pub evidence: String,
}
