//! Snapshots: answers that somebody approved, kept as files that are reviewed like code.
//!
//! Layer 3. A snapshot is what one endpoint answered to one probe: `snapshots/<model>/<endpoint>/<probe>.snap`. Beside it lies
//! what waits for review, with `.new` appended. Two snapshots are equal when the comparison says so, not when their bytes are.
//! Everything but [`folder`] is pure.
//!
//! | module | holds |
//! |---|---|
//! | [`file`](mod@file) | a snapshot as text and back |
//! | [`folder`] | the files: found, written whole or not at all, accepted, rejected |
//! | [`selection`] | snapshots named on the command line |
//! | [`standing`] | approved snapshots beside what is asked now, and what has to be reviewed |
//! | [`update`] | where that is written |
//! | [`waiting`] | what waits, run by run, and what of it is not taken unasked |
//! | `paths`, `text` | names of files; text that survives review |

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::AskedWith;
use crate::probe::Probe;
use crate::sample::{Sample, SampleParameters, ToolCall, Usage};
use crate::verdict::{Effect, Finding, Verdict};

pub mod file;
pub mod folder;
mod paths;
pub mod selection;
pub mod standing;
mod text;
pub mod update;
pub mod waiting;

pub use file::FormatError;
pub use folder::{Entry, Folder, SnapshotError, State};
pub use update::Update;

/// The schema name that every snapshot carries.
pub const SCHEMA: &str = "samemodel.snapshot/1";

/// The version of how answers are compared. It goes up when what a snapshot holds no longer means the same to the comparison,
/// which makes all earlier snapshots stale.
pub const COMPARISON: u32 = 1;

/// What one endpoint answered to one probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What is known of the answers together.
    pub head: Head,
    /// The distinct answers, in order of their text.
    pub answers: Vec<Answer>,
}

/// What is known of a snapshot's answers together; the YAML head of its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Always `samemodel.snapshot/1`.
    pub schema: String,
    /// The nominal model.
    pub model: String,
    /// The endpoint that answered.
    pub endpoint: String,
    /// The probe that was asked.
    pub probe: String,
    /// The beginning of what was asked, for those who read the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// The probe's digest as it was asked.
    pub digest: String,
    /// The parameters that were sent, but for the seed and what differs between answers.
    pub parameters: SampleParameters,
    /// Answers, all together.
    pub samples: usize,
    /// Tokens of the prompt as the host counted them, where all answers say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Finish reasons with the number of answers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub finish_reasons: BTreeMap<String, usize>,
    /// The model name that the host said had answered, where all answers say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// The version of the program that asked.
    pub tool_version: String,
    /// The version of the comparison, see [`COMPARISON`].
    pub comparison: u32,
    /// Where the answers come from, such as `run 0193…`.
    pub source: String,
    /// When the last answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Timestamp>,
    /// When it was approved; absent while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Timestamp>,
    /// Why it waits; absent once it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// Why a snapshot waits for review, and what the run that left it says of the endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What is the matter.
    pub kind: ChangeKind,
    /// In a line.
    pub reason: String,
    /// The run's verdict on the endpoint; absent in files that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why that is the verdict, where `reason` is about something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The effect that decided, over all of the endpoint's probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// The largest effect that does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// This probe's own p-value, before any correction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// Likely faults of the endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// What is the matter with a snapshot that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// The endpoint's answers differ from those approved.
    Drifted,
    /// The approved answers are to something else than what is asked now.
    Stale,
    /// Nothing was approved yet.
    Unseen,
}

/// One distinct answer and how often it came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// The text as received.
    pub text: String,
    /// Tool calls, in order, as name and arguments.
    pub tool_calls: Vec<(String, String)>,
    /// What came in a reasoning channel.
    pub reasoning: Option<String>,
    /// What else tells it from other answers.
    pub facets: Facets,
    /// How often it came, at least 1.
    pub count: usize,
}

/// What tells answers of one text apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facets {
    /// Why it ended, in the host's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Its tokens, as the host counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Its tokens of thinking, where the host counted them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// The prompt's tokens, where the head does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The model that answered, where the head does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// The seed with which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether a stream was asked for, where that differs from the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
}

/// Characters of the prompt that a head shows.
const PROMPT_SHOWN: usize = 160;

impl Snapshot {
    /// The answers of one endpoint to one probe, in the order of [`Answer`]; nothing when there are none. Failures are no
    /// answers and are left out.
    pub fn of_samples(model: &str, probe: &Probe, samples: &[&Sample], source: &str) -> Option<Self> {
        let answers: Vec<&Sample> = samples.iter().copied().filter(|s| s.is_answer()).collect();
        let first = answers.first()?;
        let head = Head {
            schema: SCHEMA.to_owned(),
            model: model.to_owned(),
            endpoint: first.endpoint.clone(),
            probe: probe.id.clone(),
            prompt: probe.messages.last().map(|m| m.content.chars().take(PROMPT_SHOWN).collect()).unwrap_or_default(),
            digest: probe.digest(),
            parameters: SampleParameters { seed: None, traits: None, ..first.parameters.clone().unwrap_or_default() },
            samples: answers.len(),
            prompt_tokens: common(&answers, |s| s.usage.and_then(|u| u.prompt_tokens)),
            finish_reasons: answers.iter().filter_map(|s| s.finish_reason.clone()).fold(
                BTreeMap::new(),
                |mut all, reason| {
                    *all.entry(reason).or_default() += 1;
                    all
                },
            ),
            response_model: common(&answers, |s| s.response_model.clone()),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            comparison: COMPARISON,
            source: source.to_owned(),
            sampled: answers.iter().filter_map(|s| s.at).max(),
            approved: None,
            change: None,
        };
        let mut counts: BTreeMap<Answer, usize> = BTreeMap::new();
        for sample in &answers {
            *counts.entry(Answer::of(sample, &head)).or_default() += 1;
        }
        let answers = counts.into_iter().map(|(answer, count)| Answer { count, ..answer }).collect();
        Some(Self { head, answers })
    }

    /// The answers as samples of the endpoint, one for each time that one came, as the comparison takes them. `probe` is
    /// what was asked, whose traits the file does not repeat.
    pub fn samples(&self, probe: &Probe) -> Vec<Sample> {
        let each = self.answers.iter().flat_map(|answer| std::iter::repeat_n(answer, answer.count));
        each.enumerate().map(|(replicate, answer)| answer.sample(&self.head, probe, replicate)).collect()
    }

    /// Whether both hold the same answers equally often, whatever else is said of them.
    pub fn has_answers_of(&self, other: &Self) -> bool {
        let counted = |of: &Self| {
            let mut counts: BTreeMap<(String, Vec<(String, String)>), usize> = BTreeMap::new();
            for answer in &of.answers {
                *counts.entry((answer.text.clone(), answer.tool_calls.clone())).or_default() += answer.count;
            }
            counts
        };
        counted(self) == counted(other)
    }

    /// Why its answers are to something else than `probe` as it is asked now with `parameters`; nothing when they are not.
    pub fn staleness(&self, probe: &Probe, now: &AskedWith) -> Option<String> {
        let then = &self.head.parameters;
        if self.head.comparison != COMPARISON {
            return Some(format!(
                "it was taken for version {} of the comparison, and this is {COMPARISON}",
                self.head.comparison
            ));
        }
        if self.head.digest != probe.digest() {
            return Some("the probe has changed".to_owned());
        }
        now.otherwise(then).map(|how| format!("it was asked {how}"))
    }
}

/// What all say, if they say the same.
fn common<T: PartialEq>(answers: &[&Sample], say: impl Fn(&Sample) -> Option<T>) -> Option<T> {
    let first = say(answers.first()?)?;
    answers.iter().all(|s| say(s).as_ref() == Some(&first)).then_some(first)
}

impl Answer {
    /// One answer, with a count that is still to be taken.
    fn of(sample: &Sample, head: &Head) -> Self {
        let parameters = sample.parameters.as_ref();
        let usage = sample.usage.unwrap_or_default();
        let stream = parameters.and_then(|p| p.stream);
        Self {
            text: sample.text.clone(),
            tool_calls: sample.tool_calls.iter().map(|c| (c.name.clone(), c.arguments.clone())).collect(),
            reasoning: sample.reasoning.clone(),
            facets: Facets {
                finish_reason: sample.finish_reason.clone(),
                tokens: usage.completion_tokens,
                reasoning_tokens: usage.reasoning_tokens,
                prompt_tokens: usage.prompt_tokens.filter(|_| head.prompt_tokens.is_none()),
                response_model: sample.response_model.clone().filter(|_| head.response_model.is_none()),
                seed: parameters.and_then(|p| p.seed),
                stream: stream.filter(|_| stream != head.parameters.stream),
            },
            count: 0,
        }
    }

    fn sample(&self, head: &Head, probe: &Probe, replicate: usize) -> Sample {
        let prompt_tokens = self.facets.prompt_tokens.or(head.prompt_tokens);
        let usage = Usage {
            prompt_tokens,
            completion_tokens: self.facets.tokens,
            reasoning_tokens: self.facets.reasoning_tokens,
        };
        let call = |(name, arguments): &(String, String)| ToolCall { name: name.clone(), arguments: arguments.clone() };
        Sample {
            model: Some(head.model.clone()),
            probe_digest: Some(head.digest.clone()),
            replicate: replicate.try_into().unwrap_or(u32::MAX),
            at: head.sampled,
            reasoning: self.reasoning.clone(),
            finish_reason: self.facets.finish_reason.clone(),
            usage: (usage != Usage::default()).then_some(usage),
            tool_calls: self.tool_calls.iter().map(call).collect(),
            response_model: self.facets.response_model.clone().or_else(|| head.response_model.clone()),
            parameters: Some(SampleParameters {
                seed: self.facets.seed,
                stream: self.facets.stream.or(head.parameters.stream),
                traits: Some(probe.traits()),
                ..head.parameters.clone()
            }),
            ..Sample::new(&head.endpoint, &head.probe, &self.text)
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
