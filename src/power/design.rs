//! A design: how much is asked of an endpoint in one check. Plain values, read from the command line.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::Defaults;
use crate::probe::{Cap, Probe};
use crate::sample::{Asking, Purpose};

/// How much is asked of an endpoint in one check.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// Sampled probes that take part, the first so many; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<usize>,
    /// Answers per sampled probe.
    pub answers: u32,
    /// Greedy probes that take part, the first so many; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greedy: Option<usize>,
    /// Cap on the tokens of an answer; what the probes say where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    /// Temperature of sampled probes.
    pub temperature: f64,
}

impl Default for Design {
    /// What `check` asks for when nothing is configured.
    fn default() -> Self {
        let defaults = Defaults::default();
        Self { sampled: None, answers: defaults.samples, greedy: None, tokens: None, temperature: defaults.temperature }
    }
}

impl Design {
    /// A tenth of the usual work: what continuous integration can afford.
    pub const SHORT: Self = Self { sampled: Some(6), answers: 8, greedy: Some(24), tokens: Some(24), temperature: 1.0 };

    /// The probes that take part, with this design's cap. Probes that are there for exact evidence alone always take part.
    pub fn choose(&self, probes: &[Probe]) -> Vec<Probe> {
        let (mut sampled, mut greedy) = (0, 0);
        let takes_part = |probe: &&Probe| {
            if probe.purpose == Purpose::Canary {
                return true;
            }
            let (count, limit) = match probe.asking {
                Asking::Sampled => (&mut sampled, self.sampled),
                Asking::Greedy => (&mut greedy, self.greedy),
            };
            *count += 1;
            limit.is_none_or(|limit| *count <= limit)
        };
        let chosen = probes.iter().filter(takes_part).cloned();
        chosen
            .map(|mut probe| {
                let cap = probe.parameters.max_tokens;
                if let Some(tokens) = self.tokens.filter(|_| probe.purpose != Purpose::Canary) {
                    let tokens = cap.map_or(tokens, |cap| cap.tokens().min(tokens));
                    probe.parameters.max_tokens = Some(Cap::Tokens(tokens));
                }
                probe
            })
            .collect()
    }
}

/// Why a design cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{found}` is no design: write `default`, `short`, or some of {WANTED}, joined by commas")]
pub struct DesignError {
    found: String,
}

const WANTED: &str = "`sampled=24`, `answers=10`, `greedy=150`, `tokens=32`, `temperature=1`";

impl FromStr for Design {
    type Err = DesignError;

    /// Reads `default`, `short`, or pairs such as `answers=25,sampled=10`; what is not named is as in the default.
    fn from_str(text: &str) -> Result<Self, DesignError> {
        let wrong = || DesignError { found: text.to_owned() };
        match text {
            "default" => return Ok(Self::default()),
            "short" => return Ok(Self::SHORT),
            _ => {}
        }
        let mut design = Self::default();
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
            let count = || value.parse::<u32>().ok();
            let at_least = |least: u32| count().filter(|n| *n >= least).ok_or_else(wrong);
            match key {
                "sampled" => design.sampled = Some(count().ok_or_else(wrong)? as usize),
                "greedy" => design.greedy = Some(count().ok_or_else(wrong)? as usize),
                "answers" => design.answers = at_least(2)?,
                "tokens" => design.tokens = Some(at_least(1)?),
                "temperature" => {
                    let temperature = value.parse().ok().filter(|t| *t > 0.0 && *t <= 2.0);
                    design.temperature = temperature.ok_or_else(wrong)?;
                }
                _ => return Err(wrong()),
            }
        }
        Ok(design)
    }
}

impl fmt::Display for Design {
    /// The form that can be read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("default");
        }
        if *self == Self::SHORT {
            return f.write_str("short");
        }
        let usual = Self::default();
        let pairs = [
            self.sampled.map(|n| format!("sampled={n}")),
            (self.answers != usual.answers).then(|| format!("answers={}", self.answers)),
            self.greedy.map(|n| format!("greedy={n}")),
            self.tokens.map(|n| format!("tokens={n}")),
            (self.temperature.total_cmp(&usual.temperature).is_ne())
                .then(|| format!("temperature={}", self.temperature)),
        ];
        f.write_str(&pairs.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_design_says_what_differs_from_the_usual() {
        let design: Design = "answers=25,sampled=10,temperature=0.7".parse().unwrap();
        assert_eq!((design.answers, design.sampled, design.greedy), (25, Some(10), None));
        assert_eq!(design.to_string(), "sampled=10,answers=25,temperature=0.7");
        assert_eq!("default".parse(), Ok(Design::default()));
        assert_eq!(Design::SHORT.to_string(), "short");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_an_example() {
        for text in ["", "answers", "answers=1", "answers=x", "tokens=0", "temperature=0", "temperature=NaN", "k=1"] {
            let message = text.parse::<Design>().unwrap_err().to_string();
            assert!(message.contains("`answers=10`"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn a_design_is_read_back_from_what_it_prints(
            sampled in proptest::option::of(0_usize..99), answers in 2_u32..50, greedy in proptest::option::of(0_usize..200),
            tokens in proptest::option::of(1_u32..99), temperature in 0.1_f64..2.0,
        ) {
            let design = Design { sampled, answers, greedy, tokens, temperature };
            prop_assert_eq!(design.to_string().parse(), Ok(design));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
            let _ = text.parse::<Design>();
        }
    }
}
