//! The faults that the lab can give an endpoint, and the `lab:` addresses that name them.
//!
//! Pure. Ids are those of the fault catalogue, so that a diagnosis can be held against what was really wrong. An address
//! is `lab:` followed by faults joined by `+`, each with an optional parameter after `=`:
//!
//! ```text
//! lab:                                      the reference: no fault
//! lab:quantized-weights                     with the usual parameter
//! lab:double-bos+temperature-ignored=0.5    two faults at once, one with a parameter
//! lab:noise=10                              no fault, but another level of honest serving noise
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::engine::{Noise, WeightFormat};

/// What every address of the lab begins with.
pub const SCHEME: &str = "lab:";
const NOISE: &str = "noise";

/// One thing that is wrong with an endpoint, at the layer where it goes wrong in life.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// All linear weights, embedding and output included, are rounded to blocks of a few bits when they are loaded.
    QuantizedWeights(WeightFormat),
    /// Another, smaller model answers under the same name.
    SwappedModel,
    /// The server puts a token for the beginning of the sequence before one that is already there.
    DoubleBos,
    /// The token for the beginning of the sequence is left out.
    MissingBos,
    /// The host puts a system message of its own, with this text, before the conversation.
    HiddenSystemPrompt(String),
    /// The host samples at a temperature of its own.
    TemperatureIgnored {
        /// The temperature that is used instead, above 0.
        fixed: f64,
        /// Which requests it is used for.
        reach: Reach,
    },
    /// Only the last so many tokens of a prompt are read, and no error says so.
    TruncatedContext {
        /// How many tokens are kept, at least 1.
        keep: usize,
    },
    /// A share of the requests fails: 429, 503, a reset connection, an answer cut in the middle.
    FlakyHost {
        /// The share of requests that fail, from 0 to 1.
        share: f64,
    },
    /// Every answer is late by this much.
    Slow(Duration),
}

/// Which requests a host overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of them, those that ask for temperature 0 too.
    All,
    /// Those that ask for a temperature above 0.
    Sampled,
}

impl Fault {
    /// One of each fault, with its usual parameter.
    pub fn catalogue() -> Vec<Self> {
        vec![
            Self::QuantizedWeights(WeightFormat::Q4_0),
            Self::SwappedModel,
            Self::DoubleBos,
            Self::MissingBos,
            Self::HiddenSystemPrompt("Be polite.".to_owned()),
            Self::TemperatureIgnored { fixed: 0.3, reach: Reach::All },
            Self::TruncatedContext { keep: 64 },
            Self::FlakyHost { share: 0.25 },
            Self::Slow(Duration::from_millis(250)),
        ]
    }

    /// The id in the fault catalogue.
    pub fn id(&self) -> &'static str {
        match self {
            Self::QuantizedWeights(_) => "quantized-weights",
            Self::SwappedModel => "swapped-model",
            Self::DoubleBos => "double-bos",
            Self::MissingBos => "missing-bos",
            Self::HiddenSystemPrompt(_) => "hidden-system-prompt",
            Self::TemperatureIgnored { .. } => "temperature-ignored",
            Self::TruncatedContext { .. } => "truncated-context",
            Self::FlakyHost { .. } => "flaky-host",
            Self::Slow(_) => "slow",
        }
    }

    /// What is wrong, in a line.
    pub fn about(&self) -> &'static str {
        match self {
            Self::QuantizedWeights(_) => "weights rounded to 4, 5 or 8 bits in blocks of 32",
            Self::SwappedModel => "a smaller model answers under the same name",
            Self::DoubleBos => "the token that begins a sequence comes twice",
            Self::MissingBos => "the token that begins a sequence is left out",
            Self::HiddenSystemPrompt(_) => "the host adds a system message of its own",
            Self::TemperatureIgnored { .. } => "the host samples at a temperature of its own",
            Self::TruncatedContext { .. } => "only the end of a long prompt is read, without an error",
            Self::FlakyHost { .. } => "a share of requests meets 429, 503, a reset or a cut stream",
            Self::Slow(_) => "every answer is late",
        }
    }

    /// What may stand after `=`, in words for a message.
    fn wanted(&self) -> &'static str {
        match self {
            Self::QuantizedWeights(_) => "q4_0, q5_0 or q8_0",
            Self::SwappedModel | Self::DoubleBos | Self::MissingBos => "nothing after its name",
            Self::HiddenSystemPrompt(_) => "the text of the message, without `+`",
            Self::TemperatureIgnored { .. } => {
                "a temperature above 0 and up to 2, then `,sampled` if requests at temperature 0 stay as they are"
            }
            Self::TruncatedContext { .. } => "the number of tokens kept, at least 1",
            Self::FlakyHost { .. } => "the share of requests that fail, from 0 to 1",
            Self::Slow(_) => "milliseconds, at most 60000",
        }
    }

    /// The same fault with the parameter that `text` gives; `None` when `text` is no such parameter.
    fn with_parameter(&self, text: &str) -> Option<Self> {
        match self {
            Self::QuantizedWeights(_) => WeightFormat::quantized(text).map(Self::QuantizedWeights),
            Self::SwappedModel | Self::DoubleBos | Self::MissingBos => None,
            Self::HiddenSystemPrompt(_) => (!text.trim().is_empty()).then(|| Self::HiddenSystemPrompt(text.to_owned())),
            Self::TemperatureIgnored { .. } => {
                let (number, reach) = match text.split_once(',') {
                    None => (text, Reach::All),
                    Some((number, "sampled")) => (number, Reach::Sampled),
                    Some(_) => return None,
                };
                let fixed = number.parse().ok().filter(|t| *t > 0.0 && *t <= 2.0)?;
                Some(Self::TemperatureIgnored { fixed, reach })
            }
            Self::TruncatedContext { .. } => {
                text.parse().ok().filter(|keep| *keep > 0).map(|keep| Self::TruncatedContext { keep })
            }
            Self::FlakyHost { .. } => {
                text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(|share| Self::FlakyHost { share })
            }
            Self::Slow(_) => {
                text.parse().ok().filter(|ms| *ms <= 60_000).map(|ms| Self::Slow(Duration::from_millis(ms)))
            }
        }
    }
}

impl fmt::Display for Fault {
    /// The form that an address has, parameter included, so that it can be read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())?;
        match self {
            Self::QuantizedWeights(format) => write!(f, "={format}"),
            Self::SwappedModel | Self::DoubleBos | Self::MissingBos => Ok(()),
            Self::HiddenSystemPrompt(text) => write!(f, "={text}"),
            Self::TemperatureIgnored { fixed, reach: Reach::All } => write!(f, "={fixed}"),
            Self::TemperatureIgnored { fixed, reach: Reach::Sampled } => write!(f, "={fixed},sampled"),
            Self::TruncatedContext { keep } => write!(f, "={keep}"),
            Self::FlakyHost { share } => write!(f, "={share}"),
            Self::Slow(delay) => write!(f, "={}", delay.as_millis()),
        }
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
        let usual = Self::catalogue()
            .into_iter()
            .find(|fault| fault.id() == id)
            .ok_or_else(|| FaultError::Unknown { found: id.to_owned(), nearest: nearest(id) })?;
        match parameter {
            None => Ok(usual),
            Some(parameter) => usual.with_parameter(parameter).ok_or_else(|| FaultError::Parameter {
                id: usual.id(),
                found: parameter.to_owned(),
                wanted: usual.wanted(),
            }),
        }
    }
}

/// What a `lab:` address asks for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Setup {
    /// What is wrong with the endpoint; nothing for a reference.
    pub faults: Vec<Fault>,
    /// A level of serving noise other than the fleet's.
    pub noise: Option<Noise>,
}

impl FromStr for Setup {
    type Err = FaultError;

    /// Reads a whole address, `lab:` included.
    fn from_str(address: &str) -> Result<Self, FaultError> {
        let list = address.strip_prefix(SCHEME).ok_or_else(|| FaultError::Address { found: address.to_owned() })?;
        let mut setup = Self::default();
        for item in list.split('+').filter(|_| !list.is_empty()) {
            if let Some(level) = item.strip_prefix(NOISE).and_then(|rest| rest.strip_prefix('=')) {
                let noise = level.parse().ok().and_then(Noise::of_bits).ok_or_else(|| FaultError::Parameter {
                    id: NOISE,
                    found: level.to_owned(),
                    wanted: "the bits of mantissa that are left, from 4 to 23, where 23 means no noise",
                })?;
                if setup.noise.replace(noise).is_some() {
                    return Err(FaultError::Twice { id: NOISE });
                }
                continue;
            }
            setup.add(item.parse()?)?;
        }
        Ok(setup)
    }
}

impl Setup {
    fn add(&mut self, fault: Fault) -> Result<(), FaultError> {
        if self.faults.iter().any(|other| other.id() == fault.id()) {
            return Err(FaultError::Twice { id: fault.id() });
        }
        let cancels = |a: &Fault, b: &Fault| matches!((a, b), (Fault::DoubleBos, Fault::MissingBos));
        if self.faults.iter().any(|other| cancels(other, &fault) || cancels(&fault, other)) {
            return Err(FaultError::Cancel);
        }
        self.faults.push(fault);
        Ok(())
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
    Fault::catalogue().iter().map(Fault::id).collect::<Vec<_>>().join(", ")
}

/// The fault whose id is nearest to `found`, when one is near.
fn nearest(found: &str) -> Option<&'static str> {
    let catalogue = Fault::catalogue();
    crate::suggest::nearest(found, catalogue.iter().map(Fault::id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_address_is_a_reference() {
        assert_eq!("lab:".parse(), Ok(Setup::default()));
    }

    #[test]
    fn faults_are_joined_by_plus_and_take_parameters() {
        let setup: Setup =
            "lab:double-bos+quantized-weights=q8_0+temperature-ignored=0.5,sampled+noise=10".parse().unwrap();
        assert_eq!(
            setup.faults,
            [
                Fault::DoubleBos,
                Fault::QuantizedWeights(WeightFormat::Q8_0),
                Fault::TemperatureIgnored { fixed: 0.5, reach: Reach::Sampled },
            ]
        );
        assert_eq!(setup.noise, Noise::of_bits(10));
    }

    #[test]
    fn every_fault_is_read_back_from_what_it_prints() {
        for fault in Fault::catalogue() {
            assert_eq!(fault.to_string().parse(), Ok(fault.clone()));
            assert_eq!(fault.id().parse(), Ok(fault));
        }
    }

    #[test]
    fn an_unknown_fault_names_the_nearest_and_lists_all() {
        let message = "lab:quantised-weights".parse::<Setup>().unwrap_err().to_string();
        assert!(message.contains("did you mean `quantized-weights`?"), "{message}");
        for fault in Fault::catalogue() {
            assert!(message.contains(fault.id()), "{message}");
        }
        let message = "lab:xyz".parse::<Setup>().unwrap_err().to_string();
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn a_parameter_out_of_range_says_what_is_wanted() {
        for (address, wanted) in [
            ("lab:quantized-weights=f32", "q4_0, q5_0 or q8_0"),
            ("lab:temperature-ignored=0", "above 0"),
            ("lab:temperature-ignored=0.3,greedy", ",sampled"),
            ("lab:truncated-context=0", "at least 1"),
            ("lab:flaky-host=1.5", "from 0 to 1"),
            ("lab:flaky-host=NaN", "from 0 to 1"),
            ("lab:slow=-1", "milliseconds"),
            ("lab:double-bos=2", "nothing"),
            ("lab:hidden-system-prompt=", "text"),
            ("lab:noise=3", "from 4 to 23"),
        ] {
            let message = address.parse::<Setup>().unwrap_err().to_string();
            assert!(message.contains(wanted), "{address}: {message}");
        }
    }

    #[test]
    fn repeated_and_cancelling_faults_are_refused() {
        assert_eq!("lab:slow+slow=1".parse::<Setup>(), Err(FaultError::Twice { id: "slow" }));
        assert_eq!("lab:missing-bos+double-bos".parse::<Setup>(), Err(FaultError::Cancel));
        assert!("lab:slow+".parse::<Setup>().is_err());
        assert!("https://example.com".parse::<Setup>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC*") {
            let _ = text.parse::<Fault>();
            if let Ok(setup) = format!("lab:{text}").parse::<Setup>() {
                for fault in setup.faults {
                    prop_assert_eq!(fault.to_string().parse(), Ok(fault));
                }
            }
        }
    }
}
