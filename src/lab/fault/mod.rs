//! The faults that the lab can give an endpoint, each at the layer where it goes wrong in life.
//!
//! Pure. Ids are those of the fault catalogue, so that a diagnosis can be held against what was really wrong.
//! [`mod@catalogue`] is the table of them, [`mod@address`] reads `lab:` addresses, [`mod@schedule`] says when a fault is there,
//! and `parameter` what may stand after its `=`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::engine::{CacheFormat, WeightFormat};

pub mod address;
pub mod catalogue;
mod parameter;
pub mod schedule;

pub use address::{SCHEME, Scheduled, Setup};
pub use catalogue::{CATALOGUE, Entry};
pub use parameter::{
    Blankness, Channel, End, FinishSaid, Hiding, Override, Parser, Reach, Routing, Template, UsageSaid,
};
use parameter::{at_least_one, share};
pub use schedule::Schedule;

/// One thing that is wrong with an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// All linear weights, embedding and output included, are rounded to blocks of a few bits when they are loaded.
    QuantizedWeights(WeightFormat),
    /// Attention keeps its keys and values in a few bits.
    QuantizedCache(CacheFormat),
    /// Another, smaller model answers under the same name.
    SwappedModel,
    /// A share of the requests goes to the smaller model.
    PartialRouting {
        /// The share, above 0 and up to 1.
        share: f64,
        /// What decides which requests.
        by: Routing,
    },
    /// The weights have gone so far to those of a chat-tuned variant, above 0 and up to 1.
    FinetunedVariant {
        /// 1 is the variant itself.
        tuned: f64,
    },
    /// The server puts a token for the beginning of the sequence before one that is already there.
    DoubleBos,
    /// The token for the beginning of the sequence is left out.
    MissingBos,
    /// The conversation is rendered in another way than the model learnt.
    WrongTemplate(Template),
    /// The host puts a system message of its own, with this text, before the conversation.
    HiddenSystemPrompt(String),
    /// System messages of the caller are left out.
    DroppedSystemPrompt,
    /// The base of the rotary positions is multiplied by this.
    WrongRope {
        /// 1 would be right.
        factor: f64,
    },
    /// Only the last so many tokens of a prompt are read, and no error says so.
    TruncatedContext {
        /// How many tokens are kept, at least 1.
        keep: usize,
    },
    /// Answers whose length the caller did not cap end after so many tokens.
    LowOutputDefault {
        /// The cap, at least 1.
        cap: usize,
    },
    /// The caller's cap is not kept.
    MaxTokensIgnored,
    /// Stop sequences of the caller are not looked for.
    StopIgnored,
    /// The engine takes another token for the one that ends an answer.
    WrongEos(End),
    /// The host samples in a way of its own.
    TemperatureIgnored(Override),
    /// The caller's seed changes nothing.
    SeedIgnored,
    /// This share of requests that were seen before gets the old answer.
    CachedResponses {
        /// The share, above 0 and up to 1.
        share: f64,
    },
    /// Special tokens are not taken out of the text, in this share of answers.
    LeakedTokens {
        /// The share, above 0 and up to 1.
        share: f64,
    },
    /// The parser of tool calls fails, for this share of calls.
    ToolParser {
        /// How it fails.
        how: Parser,
        /// The share, above 0 and up to 1.
        share: f64,
    },
    /// The request's tools do not reach the template.
    ToolsDropped,
    /// The request's schema does not reach the engine.
    SchemaNotEnforced,
    /// The finish reason is wrong.
    FinishReasonWrong(FinishSaid),
    /// Thoughts and answer are in the wrong channel.
    ReasoningMisplaced(Channel),
    /// Thoughts are not passed on.
    ReasoningHidden(Hiding),
    /// Thoughts are so many times as long as they are at the effort that was asked for, see
    /// `lab/constrain/thoughts.rs`.
    ReasoningEffortIgnored {
        /// From 0.1 to 10, and not 1.
        factor: f64,
    },
    /// This share of the answers has no content.
    BlankAnswers {
        /// The share, above 0 and up to 1.
        share: f64,
        /// Why they have none.
        why: Blankness,
    },
    /// Token counts are wrong.
    UsageMiscounted(UsageSaid),
    /// Images do not reach the model.
    ImageDropped,
    /// Images reach the model smaller by this factor in width and height.
    ImageDownscaled {
        /// 2 or 4.
        factor: usize,
    },
    /// Characters of another script come instead of this share of tokens.
    CorruptedOutput {
        /// The share of tokens, above 0 and up to 1.
        share: f64,
    },
    /// The likeliest token is missing at this share of tokens.
    TopkMiscompile {
        /// The share of tokens, above 0 and up to 1.
        share: f64,
    },
    /// Half the vocabulary, by a hash of the token before, has its scores raised by this.
    Watermark {
        /// The bias in nats, above 0 and up to 10.
        bias: f64,
    },
    /// A share of the requests fails: 429, 503, a reset connection, an answer cut in the middle.
    FlakyHost {
        /// The share of requests that fail, above 0 and up to 1.
        share: f64,
    },
    /// Every answer is late by this much.
    Slow(Duration),
}

impl Fault {
    /// One of each fault, with its usual parameter.
    pub fn catalogue() -> Vec<Self> {
        catalogue::all().filter_map(|entry| Self::read(entry.id, entry.usual)).collect()
    }

    /// The fault's line in the catalogue.
    pub fn entry(&self) -> &'static Entry {
        catalogue::all().find(|entry| entry.id == self.id()).unwrap_or(&CATALOGUE[0])
    }

    /// The fault with this id and parameter; `None` when either is wrong.
    fn read(id: &str, text: &str) -> Option<Self> {
        let alone = |fault: Self| text.is_empty().then_some(fault);
        match id {
            "quantized-weights" => WeightFormat::quantized(text).map(Self::QuantizedWeights),
            "quantized-kv" => CacheFormat::quantized(text).map(Self::QuantizedCache),
            "swapped-model" => alone(Self::SwappedModel),
            "partial-routing" => {
                let (number, by) = text.split_once(',').unwrap_or((text, Routing::Chance.word()));
                Some(Self::PartialRouting { share: share(number)?, by: Routing::named(by)? })
            }
            "finetuned-variant" => share(text).map(|tuned| Self::FinetunedVariant { tuned }),
            "double-bos" => alone(Self::DoubleBos),
            "missing-bos" => alone(Self::MissingBos),
            "wrong-template" => Template::named(text).map(Self::WrongTemplate),
            "hidden-system-prompt" => (!text.trim().is_empty()).then(|| Self::HiddenSystemPrompt(text.to_owned())),
            "dropped-system-prompt" => alone(Self::DroppedSystemPrompt),
            "wrong-rope" => text
                .parse()
                .ok()
                .filter(|factor| (0.01..=100.0).contains(factor))
                .map(|factor| Self::WrongRope { factor }),
            "truncated-context" => at_least_one(text).map(|keep| Self::TruncatedContext { keep }),
            "low-output-default" => at_least_one(text).map(|cap| Self::LowOutputDefault { cap }),
            "max-tokens-ignored" => alone(Self::MaxTokensIgnored),
            "stop-ignored" => alone(Self::StopIgnored),
            "wrong-eos" => End::named(text).map(Self::WrongEos),
            "temperature-ignored" => Override::read(text).map(Self::TemperatureIgnored),
            "seed-ignored" => alone(Self::SeedIgnored),
            "cached-responses" => share(text).map(|share| Self::CachedResponses { share }),
            "leaked-tokens" => share(text).map(|share| Self::LeakedTokens { share }),
            "tool-parser" => {
                let (how, number) = text.split_once(',').unwrap_or((text, "1"));
                Some(Self::ToolParser { how: Parser::named(how)?, share: share(number)? })
            }
            "tools-dropped" => alone(Self::ToolsDropped),
            "schema-not-enforced" => alone(Self::SchemaNotEnforced),
            "finish-reason-wrong" => FinishSaid::named(text).map(Self::FinishReasonWrong),
            "reasoning-misplaced" => Channel::named(text).map(Self::ReasoningMisplaced),
            "reasoning-hidden" => Hiding::named(text).map(Self::ReasoningHidden),
            "reasoning-effort-ignored" => text
                .parse()
                .ok()
                .filter(|factor: &f64| (0.1..=10.0).contains(factor) && (factor - 1.0).abs() > 0.0)
                .map(|factor| Self::ReasoningEffortIgnored { factor }),
            "blank-answers" => {
                let (number, why) = text.split_once(',').unwrap_or((text, Blankness::Nothing.word()));
                Some(Self::BlankAnswers { share: share(number)?, why: Blankness::named(why)? })
            }
            "usage-miscounted" => UsageSaid::named(text).map(Self::UsageMiscounted),
            "image-dropped" => alone(Self::ImageDropped),
            "image-downscaled" => text
                .parse()
                .ok()
                .filter(|factor| [2, 4].contains(factor))
                .map(|factor| Self::ImageDownscaled { factor }),
            "corrupted-output" => share(text).map(|share| Self::CorruptedOutput { share }),
            "topk-miscompile" => share(text).map(|share| Self::TopkMiscompile { share }),
            "watermark" => {
                text.parse().ok().filter(|bias| *bias > 0.0 && *bias <= 10.0).map(|bias| Self::Watermark { bias })
            }
            "flaky-host" => share(text).map(|share| Self::FlakyHost { share }),
            "slow" => text.parse().ok().filter(|ms| *ms <= 60_000).map(|ms| Self::Slow(Duration::from_millis(ms))),
            _ => None,
        }
    }

    /// The id in the fault catalogue.
    pub fn id(&self) -> &'static str {
        match self {
            Self::QuantizedWeights(_) => "quantized-weights",
            Self::QuantizedCache(_) => "quantized-kv",
            Self::SwappedModel => "swapped-model",
            Self::PartialRouting { .. } => "partial-routing",
            Self::FinetunedVariant { .. } => "finetuned-variant",
            Self::DoubleBos => "double-bos",
            Self::MissingBos => "missing-bos",
            Self::WrongTemplate(_) => "wrong-template",
            Self::HiddenSystemPrompt(_) => "hidden-system-prompt",
            Self::DroppedSystemPrompt => "dropped-system-prompt",
            Self::WrongRope { .. } => "wrong-rope",
            Self::TruncatedContext { .. } => "truncated-context",
            Self::LowOutputDefault { .. } => "low-output-default",
            Self::MaxTokensIgnored => "max-tokens-ignored",
            Self::StopIgnored => "stop-ignored",
            Self::WrongEos(_) => "wrong-eos",
            Self::TemperatureIgnored(_) => "temperature-ignored",
            Self::SeedIgnored => "seed-ignored",
            Self::CachedResponses { .. } => "cached-responses",
            Self::LeakedTokens { .. } => "leaked-tokens",
            Self::ToolParser { .. } => "tool-parser",
            Self::ToolsDropped => "tools-dropped",
            Self::SchemaNotEnforced => "schema-not-enforced",
            Self::FinishReasonWrong(_) => "finish-reason-wrong",
            Self::ReasoningMisplaced(_) => "reasoning-misplaced",
            Self::ReasoningHidden(_) => "reasoning-hidden",
            Self::ReasoningEffortIgnored { .. } => "reasoning-effort-ignored",
            Self::BlankAnswers { .. } => "blank-answers",
            Self::UsageMiscounted(_) => "usage-miscounted",
            Self::ImageDropped => "image-dropped",
            Self::ImageDownscaled { .. } => "image-downscaled",
            Self::CorruptedOutput { .. } => "corrupted-output",
            Self::TopkMiscompile { .. } => "topk-miscompile",
            Self::Watermark { .. } => "watermark",
            Self::FlakyHost { .. } => "flaky-host",
            Self::Slow(_) => "slow",
        }
    }

    /// The parameter, in the form that can be read back; empty where there is none.
    pub fn parameter(&self) -> String {
        match self {
            Self::QuantizedWeights(format) => format.to_string(),
            Self::QuantizedCache(format) => format.to_string(),
            Self::PartialRouting { share, by: Routing::Chance }
            | Self::BlankAnswers { share, why: Blankness::Nothing } => share.to_string(),
            Self::PartialRouting { share, by } => format!("{share},{}", by.word()),
            Self::BlankAnswers { share, why } => format!("{share},{}", why.word()),
            Self::FinetunedVariant { tuned: number }
            | Self::WrongRope { factor: number }
            | Self::ReasoningEffortIgnored { factor: number }
            | Self::CachedResponses { share: number }
            | Self::LeakedTokens { share: number }
            | Self::CorruptedOutput { share: number }
            | Self::TopkMiscompile { share: number }
            | Self::Watermark { bias: number }
            | Self::FlakyHost { share: number } => number.to_string(),
            Self::WrongTemplate(template) => template.word().to_owned(),
            Self::HiddenSystemPrompt(text) => text.clone(),
            Self::TruncatedContext { keep: count }
            | Self::LowOutputDefault { cap: count }
            | Self::ImageDownscaled { factor: count } => count.to_string(),
            Self::WrongEos(end) => end.word().to_owned(),
            Self::TemperatureIgnored(own) => own.to_string(),
            Self::ToolParser { how, share } => format!("{},{share}", how.word()),
            Self::FinishReasonWrong(said) => said.word().to_owned(),
            Self::ReasoningMisplaced(channel) => channel.word().to_owned(),
            Self::ReasoningHidden(hiding) => hiding.word().to_owned(),
            Self::UsageMiscounted(said) => said.word().to_owned(),
            Self::Slow(delay) => delay.as_millis().to_string(),
            Self::SwappedModel
            | Self::DoubleBos
            | Self::MissingBos
            | Self::DroppedSystemPrompt
            | Self::MaxTokensIgnored
            | Self::StopIgnored
            | Self::SeedIgnored
            | Self::ToolsDropped
            | Self::SchemaNotEnforced
            | Self::ImageDropped => String::new(),
        }
    }
}

impl fmt::Display for Fault {
    /// The form that an address has, parameter included, so that it can be read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())?;
        let parameter = self.parameter();
        if parameter.is_empty() { Ok(()) } else { write!(f, "={parameter}") }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    /// Reads `id` or `id=parameter`.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (id, parameter) = match text.split_once('=') {
            Some((id, parameter)) => (id, Some(parameter)),
            None => (text, None),
        };
        let entry = catalogue::all()
            .find(|entry| entry.id == id)
            .ok_or_else(|| FaultError::Unknown { found: id.to_owned(), nearest: nearest(id) })?;
        // A fault that takes no parameter takes no empty one either.
        let wrong = parameter.is_some_and(str::is_empty);
        Self::read(id, parameter.unwrap_or(entry.usual)).filter(|_| !wrong).ok_or_else(|| FaultError::Parameter {
            id: entry.id,
            found: parameter.unwrap_or_default().to_owned(),
            wanted: entry.wanted,
        })
    }
}

/// Why an address of the lab cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// The address belongs to something else.
    #[error("`{found}` is no address of the lab: write `lab:` or `lab:fault+fault`")]
    Address {
        /// What stood there.
        found: String,
    },
    /// There is no such fault.
    #[error("unknown fault `{found}`{}; the lab has {}", hint(*nearest), list())]
    Unknown {
        /// What stood there.
        found: String,
        /// The id that looks most like it, if any does.
        nearest: Option<&'static str>,
    },
    /// The fault exists, and its parameter cannot be read.
    #[error("`{id}` cannot take `{found}`: it takes {wanted}")]
    Parameter {
        /// The fault.
        id: &'static str,
        /// What stood after `=`.
        found: String,
        /// What may stand there.
        wanted: &'static str,
    },
    /// One fault is named twice.
    #[error("`{id}` is named twice: name it once, with one parameter")]
    Twice {
        /// The fault.
        id: &'static str,
    },
    /// Two faults undo each other.
    #[error("`double-bos` and `missing-bos` undo each other: choose one")]
    Cancel,
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|id| format!(", did you mean `{id}`?")).unwrap_or_default()
}

fn list() -> String {
    catalogue::all().map(|entry| entry.id).collect::<Vec<_>>().join(", ")
}

/// The fault whose id is nearest to `found`, when one is near.
fn nearest(found: &str) -> Option<&'static str> {
    crate::suggest::nearest(found, catalogue::all().map(|entry| entry.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_table_is_read_back_from_what_it_prints_at_each_severity() {
        for entry in catalogue::all() {
            assert!(entry.severities.contains(&entry.usual), "{}", entry.id);
            for parameter in entry.severities {
                let fault = Fault::read(entry.id, parameter).unwrap_or_else(|| panic!("{} {parameter}", entry.id));
                assert_eq!(fault.to_string().parse(), Ok(fault.clone()));
                assert_eq!(fault.entry(), entry);
            }
            assert_eq!(entry.id.parse().ok(), Fault::read(entry.id, entry.usual));
        }
    }

    #[test]
    fn a_parameter_out_of_range_says_what_is_wanted() {
        for (address, wanted) in [
            ("quantized-weights=f32", "q8_0, q5_0 or q4_0"),
            ("quantized-kv=f16", "q8 or q4"),
            ("temperature-ignored=0", "above 0"),
            ("temperature-ignored=0.3,greedy", ",sampled"),
            ("temperature-ignored=top_k:0", "top_k:40"),
            ("partial-routing=0.1,always", "sticky"),
            ("truncated-context=0", "at least 1"),
            ("blank-answers=0.3,always", ",lost"),
            ("reasoning-hidden=all", "summary"),
            ("reasoning-effort-ignored=1", "not 1"),
            ("flaky-host=1.5", "up to 1"),
            ("flaky-host=NaN", "up to 1"),
            ("slow=-1", "milliseconds"),
            ("double-bos=2", "nothing"),
            ("double-bos=", "nothing"),
            ("hidden-system-prompt=", "text"),
        ] {
            let message = address.parse::<Fault>().unwrap_err().to_string();
            assert!(message.contains(wanted), "{address}: {message}");
        }
    }
}
