//! Examinations: what an endpoint does with each thing that a request may ask of it, and the settings that follow.
//!
//! Layer 2, pure. [`question`] has the requests, [`examination`] says which comes next, `judge` makes findings of what came
//! back, `facts` those on counts, thoughts and limits, `seed` the one on seeds, and `settings` the lines for
//! `providers.toml`. Nothing is claimed that the answers do not show: what cannot be told is [`State::Unknown`], with
//! the reason.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod examination;
mod facts;
mod judge;
pub mod question;
mod read;
mod seed;
mod settings;
#[cfg(test)]
mod tests;

pub use examination::{Examination, LONGEST_WAIT, MOST_REQUESTS, Subject, names_the_effort};
pub use question::{Inquiry, Manner, Question};

use crate::probe;

/// How long what was refused is taken for refused still: two of the weekly examinations that the manual advises. Hosts
/// mend themselves unsaid, and whoever asks once too often is refused once more, which costs nothing.
pub const REFUSALS_HOLD: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Whether it answers at all.
    Answers,
    /// Which model it says that it is.
    Model,
    /// Answers as a stream.
    Stream,
    /// Token counts, in whole answers and in streams.
    Usage,
    /// Tools.
    Tools,
    /// The choice of one tool.
    ToolChoice,
    /// A JSON Schema for the answer.
    JsonSchema,
    /// Log-probabilities.
    Logprobs,
    /// A seed.
    Seed,
    /// Stop sequences.
    Stop,
    /// Several answers to one request.
    N,
    /// A cap on the answer's tokens, and the name of its field.
    Cap,
    /// Requests without a cap.
    NoCap,
    /// Temperature 0.
    #[serde(rename = "temperature_0")]
    Temperature0,
    /// A system message.
    SystemMessage,
    /// How long it thinks.
    Thinking,
    /// Tokens counted for known prompts.
    TokenCounts,
    /// Limits that it tells.
    Limits,
}

impl Feature {
    /// In the order in which they are told.
    pub const ALL: [Self; 18] = [
        Self::Answers,
        Self::Model,
        Self::Stream,
        Self::Usage,
        Self::Tools,
        Self::ToolChoice,
        Self::JsonSchema,
        Self::Logprobs,
        Self::Seed,
        Self::Stop,
        Self::N,
        Self::Cap,
        Self::NoCap,
        Self::Temperature0,
        Self::SystemMessage,
        Self::Thinking,
        Self::TokenCounts,
        Self::Limits,
    ];

    /// What people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Model => "model",
            Self::Stream => "stream",
            Self::Usage => "usage",
            Self::Tools => "tools",
            Self::ToolChoice => "tool choice",
            Self::JsonSchema => "JSON schema",
            Self::Logprobs => "logprobs",
            Self::Seed => "seed",
            Self::Stop => "stop",
            Self::N => "n",
            Self::Cap => "cap",
            Self::NoCap => "no cap",
            Self::Temperature0 => "temperature 0",
            Self::SystemMessage => "system message",
            Self::Thinking => "thinking",
            Self::TokenCounts => "token counts",
            Self::Limits => "limits",
        }
    }

    /// The feature of a probe's request that a host which refuses this one does not take; `None` where no probe has it.
    pub fn of_requests(self) -> Option<probe::Feature> {
        match self {
            Self::Tools => Some(probe::Feature::Tools),
            Self::JsonSchema => Some(probe::Feature::Schema),
            Self::Seed => Some(probe::Feature::Seed),
            Self::Stop => Some(probe::Feature::Stop),
            Self::NoCap => Some(probe::Feature::Uncapped),
            Self::SystemMessage => Some(probe::Feature::System),
            Self::Answers
            | Self::Model
            | Self::Stream
            | Self::Usage
            | Self::ToolChoice
            | Self::Logprobs
            | Self::N
            | Self::Cap
            | Self::Temperature0
            | Self::Thinking
            | Self::TokenCounts
            | Self::Limits => None,
        }
    }
}

/// What the host does with a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does what is asked.
    Honoured,
    /// It takes the request and does not do it.
    Ignored,
    /// It does not take the request.
    Refused,
    /// A fact that is neither: how long it thinks, which limits it tells.
    Noted,
    /// It cannot be told.
    Unknown,
}

impl State {
    /// The word for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Noted => "noted",
            Self::Unknown => "unknown",
        }
    }
}

/// What was found of one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The feature.
    pub feature: Feature,
    /// What the host does with it.
    pub state: State,
    /// What that rests on.
    pub evidence: String,
    /// The host's own words, redacted, where it refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What is told, where that is a name or a number: the model, tokens of thinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Finding {
    fn new(feature: Feature, state: State, evidence: impl Into<String>) -> Self {
        Self { feature, state, evidence: evidence.into(), words: None, value: None }
    }

    fn with_value(self, value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), ..self }
    }
}

/// Where in the configuration a setting belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// `[provider.<name>.dialect]`
    Dialect(String),
    /// `[model.<name>.reasoning]`
    Reasoning(String),
    /// The endpoint of this name of a model.
    Endpoint {
        /// The model.
        model: String,
        /// The endpoint.
        endpoint: String,
    },
}

/// How sure it is that a setting is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// It follows from what was found.
    Set,
    /// Whether it is right only the reader knows, so that it is shown as a comment.
    Consider,
}

/// A setting that follows from findings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// The table.
    pub place: Place,
    /// The key in it.
    pub key: String,
    /// The value, which is written in TOML as in JSON.
    pub value: Value,
    /// Whether it is to be set or thought about.
    pub advice: Advice,
    /// Why, in a line.
    pub why: String,
}

/// One endpoint, examined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Examined {
    /// The endpoint.
    pub endpoint: String,
    /// Its provider.
    pub provider: String,
    /// The model's name there, as it was asked for.
    pub model: String,
    /// When.
    #[schemars(with = "String")]
    pub examined_at: Timestamp,
    /// Requests that were sent.
    pub requests: usize,
    /// What they cost, in US dollars, at most where the host did not count; absent without a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// What was found, one of each feature, in a fixed order.
    pub findings: Vec<Finding>,
    /// The settings that follow.
    pub settings: Vec<Setting>,
}

impl Examined {
    /// What was found of this feature.
    pub fn finding(&self, feature: Feature) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.feature == feature)
    }

    /// Whether there was any answer.
    pub fn has_answered(&self) -> bool {
        self.finding(Feature::Answers).is_some_and(|finding| finding.state == State::Honoured)
    }

    /// Whether what it refused then is to be taken for refused still.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        now.duration_since(self.examined_at) <= REFUSALS_HOLD
    }

    /// What is known to be refused.
    pub fn refused(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.state == State::Refused)
    }

    /// Takes from an earlier examination of the same model there what could not be told in this one.
    fn complete(&mut self, earlier: &Self) {
        if (&self.provider, &self.model) != (&earlier.provider, &earlier.model) {
            return;
        }
        for finding in self.findings.iter_mut().filter(|finding| finding.state == State::Unknown) {
            if let Some(told) = earlier.finding(finding.feature).filter(|told| told.state != State::Unknown) {
                *finding = told.clone();
            }
        }
    }

    /// What differs from an earlier examination. What could not be told then or now is no change.
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        self.findings
            .iter()
            .filter_map(|now| {
                let then = before.finding(now.feature)?;
                let known = now.state != State::Unknown && then.state != State::Unknown;
                let renamed = now.feature == Feature::Model && now.value != then.value;
                (known && (now.state != then.state || renamed)).then(|| Change {
                    feature: now.feature,
                    before: then.state,
                    now: now.state,
                    was: then.value.clone().filter(|_| renamed),
                    is: now.value.clone().filter(|_| renamed),
                })
            })
            .collect()
    }
}

/// The latest examination of each endpoint, in which what could not be told is as it was told last before: a change is none the
/// less one for an examination in between that could not tell. `examinations` are by endpoint, and of each the newest first.
pub fn last_told(examinations: Vec<Examined>) -> Vec<Examined> {
    let mut out: Vec<Examined> = Vec::new();
    for examined in examinations {
        match out.last_mut().filter(|latest| latest.endpoint == examined.endpoint) {
            Some(latest) => latest.complete(&examined),
            None => out.push(examined),
        }
    }
    out
}

/// A finding that is another than last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The feature.
    pub feature: Feature,
    /// What the host did with it.
    pub before: State,
    /// What it does.
    pub now: State,
    /// The name that it told then, where another name is the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// The name that it tells now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
}

impl Change {
    /// It in a few words, such as `tools: honoured → refused`. Raw: names are the host's.
    pub fn words(&self) -> String {
        let was = self.was.as_deref().unwrap_or(self.before.words());
        let is = self.is.as_deref().unwrap_or(self.now.words());
        format!("{}: {was} → {is}", self.feature.words())
    }
}
