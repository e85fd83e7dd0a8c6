//! The nouns of alerting: what an alert is about, and how it stands.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::doctor;
use crate::verdict::{Effect, Finding};

/// What an alert is about. There is one alert for each subject, ever; it fires and is resolved time and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// The nominal model.
    pub model: String,
    /// The endpoint; empty for what concerns the model's checks as a whole.
    pub endpoint: String,
    /// What may be wrong.
    pub kind: Kind,
}

impl Subject {
    /// Whether checks still look after it: one that is no longer configured has nobody who finds it right again. Where no model is
    /// configured, whatever is known may be checked again, and so may the lab, which is there beside any configuration.
    pub fn is_looked_after(&self, config: &Config) -> bool {
        if self.model.is_empty() || config.model.is_empty() {
            return true;
        }
        let Some(model) = config.model.get(&self.model) else { return is_built_in(&self.model) };
        let is_there = model.endpoint.iter().any(|endpoint| endpoint.name == self.endpoint);
        match self.kind {
            Kind::Checker => true,
            Kind::ReferenceMoved => self.endpoint == model.reference.name(),
            Kind::Unreachable | Kind::Drift => is_there && model.is_judged(&self.endpoint),
            Kind::FeaturesChanged => is_there,
        }
    }
}

/// Whether a model is there without being configured.
#[cfg(feature = "lab")]
fn is_built_in(model: &str) -> bool {
    model == crate::config::LAB_MODEL
}

#[cfg(not(feature = "lab"))]
fn is_built_in(_: &str) -> bool {
    false
}

/// What may be wrong, the more general first: messages are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The check itself failed, or could not have found anything.
    Checker,
    /// The reference is no longer what the others were held against.
    ReferenceMoved,
    /// The endpoint gives no answers.
    Unreachable,
    /// The endpoint's answers are not the reference's.
    Drift,
    /// The endpoint does something else with a feature of requests than when it was last examined.
    FeaturesChanged,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Checker, Self::ReferenceMoved, Self::Unreachable, Self::Drift, Self::FeaturesChanged];

    /// The word used in the store, in keys and in messages for machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checker => "checker",
            Self::ReferenceMoved => "reference-moved",
            Self::Unreachable => "unreachable",
            Self::Drift => "drift",
            Self::FeaturesChanged => "features-changed",
        }
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a look.
    #[default]
    Warning,
    /// Worth being woken for.
    Critical,
}

impl Severity {
    /// The word used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// An alert as it stands after a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is about.
    pub subject: Subject,
    /// Where it is on its way from pending to resolved.
    pub phase: Phase,
    /// When what was observed last changed between right and wrong, as far back as flapping is judged.
    pub changes: Vec<Timestamp>,
    /// What was observed last: that it fails, or that it does not.
    pub failing: bool,
    /// The run that had its say last; a run that is gone on with has no second one.
    pub last_run: Option<String>,
    /// What the last failure looked like.
    pub facts: Facts,
}

/// The way of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing was ever wrong, or what was did not last.
    Quiet,
    /// Something is wrong, though not yet often enough to say so.
    Pending {
        /// When it was first seen.
        since: Timestamp,
        /// How often in a row.
        failures: u32,
    },
    /// Something is wrong.
    Firing(Firing),
    /// It was wrong, and is right again.
    Resolved {
        /// When it was first seen.
        since: Timestamp,
        /// When it was found to be right again.
        at: Timestamp,
    },
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// When what is wrong was first seen.
    pub since: Timestamp,
    /// How often in a row it was right lately.
    pub passes: u32,
    /// Set while it comes and goes: it is then only resolved when it has been right for a whole window.
    pub flapping: bool,
    /// What was said of it; nothing while it is silenced.
    pub told: Option<Told>,
}

/// What was said of an alert that fires, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When something was last said.
    pub at: Timestamp,
    /// Reminders so far.
    pub reminders: u32,
    /// How often it was said to have grown worse.
    pub escalations: u32,
    /// The severity that was given.
    pub severity: Severity,
    /// The effect that was given, against which growth is judged.
    pub effect: Option<Effect>,
    /// The certain causes that were given.
    pub causes: Vec<String>,
}

/// What an observation looked like, for messages. May quote hosts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// How much it matters.
    pub severity: Severity,
    /// What was seen, in a line.
    pub reason: String,
    /// The effect that decided.
    pub effect: Option<Effect>,
    /// The largest effect of its kind that does not matter.
    pub tolerance: Option<f64>,
    /// Likely causes, the surest first.
    pub causes: Vec<Finding>,
    /// Two answers that show the difference.
    pub example: Option<Example>,
    /// What an examination found changed, in a fixed order; absent of everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<FeatureChange>,
}

/// A typical answer of the reference beside one of the endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Example {
    /// The probe that both answer.
    pub probe: String,
    /// The reference's answer.
    pub reference: String,
    /// The endpoint's answer.
    pub endpoint: String,
}

/// A feature of requests with which a host does something else than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeatureChange {
    /// The feature, what the host did with it, and what it does.
    #[serde(flatten)]
    pub change: doctor::Change,
    /// The host's own words, redacted, where it refuses now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

impl Phase {
    /// The word used in the store and in lists.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Pending { .. } => "pending",
            Self::Firing(_) => "firing",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// When what is or was wrong was first seen.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Quiet => None,
            Self::Pending { since, .. } | Self::Resolved { since, .. } => Some(*since),
            Self::Firing(firing) => Some(firing.since),
        }
    }
}

impl Alert {
    /// An alert of which nothing has been seen.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            phase: Phase::Quiet,
            changes: Vec::new(),
            failing: false,
            last_run: None,
            facts: Facts::default(),
        }
    }
}
