//! The class of a request: what it asks of a host beyond a plain question. Hosts refuse whole classes, such as requests with tools,
//! and answer all others.

use std::collections::BTreeSet;
use std::fmt;

use super::{Cap, Probe, Role};
use crate::sample::Asking;

/// What a request has in it that a host may not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Tools are offered.
    Tools,
    /// The answer must follow a schema.
    Schema,
    /// There are images.
    Images,
    /// There is a system message.
    System,
    /// There are earlier turns.
    History,
    /// No cap is sent.
    Uncapped,
    /// Stop sequences are sent.
    Stop,
    /// A seed of the probe's own is sent.
    Seed,
    /// `top_p` is sent.
    TopP,
    /// How much to think is sent with the probe.
    Effort,
    /// A plain question otherwise, asked at temperature 0: some hosts refuse that.
    Greedy,
}

impl Feature {
    /// What stands behind `requests`, such as `with tools`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Tools => "with tools",
            Self::Schema => "with a schema",
            Self::Images => "with images",
            Self::System => "with a system message",
            Self::History => "with earlier turns",
            Self::Uncapped => "without a cap",
            Self::Stop => "with stop sequences",
            Self::Seed => "with a seed",
            Self::TopP => "with top_p",
            Self::Effort => "with an effort",
            Self::Greedy => "at temperature 0",
        }
    }
}

/// The features of a request; a plain one has none, or is asked at temperature 0 and has nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RequestClass(BTreeSet<Feature>);

impl RequestClass {
    /// That of the requests for a probe.
    pub fn of(probe: &Probe) -> Self {
        let has = |role| probe.messages.iter().any(|m| m.role == role);
        let parameters = &probe.parameters;
        let features = [
            (Feature::Tools, !probe.tools.is_empty()),
            (Feature::Schema, probe.response_schema.is_some()),
            (Feature::Images, probe.messages.iter().any(|m| !m.images.is_empty())),
            (Feature::System, has(Role::System)),
            (Feature::History, has(Role::Assistant)),
            (Feature::Uncapped, parameters.max_tokens == Some(Cap::Unsent)),
            (Feature::Stop, !parameters.stop.is_empty()),
            (Feature::Seed, parameters.seed.is_some()),
            (Feature::TopP, parameters.top_p.is_some()),
            (Feature::Effort, parameters.reasoning_effort.is_some()),
        ];
        let found: BTreeSet<Feature> =
            features.into_iter().filter(|(_, has)| *has).map(|(feature, _)| feature).collect();
        let is_greedy = found.is_empty() && probe.asking == Asking::Greedy;
        Self(found.into_iter().chain(is_greedy.then_some(Feature::Greedy)).collect())
    }

    /// Whether this is in it.
    pub fn has(&self, feature: Feature) -> bool {
        self.0.contains(&feature)
    }

    /// Whether it asks a plain question, at whatever temperature.
    pub fn is_plain(&self) -> bool {
        self.0.iter().all(|feature| *feature == Feature::Greedy)
    }
}

impl fmt::Display for RequestClass {
    /// `plain`, or what stands behind `requests`: `with tools and a schema`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("plain");
        }
        let words: Vec<&str> = self.0.iter().map(|feature| feature.words()).collect();
        f.write_str(&words.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::probe::Parameters;

    #[test]
    fn a_class_is_told_from_the_probe_and_reads_as_a_phrase() {
        let mut probe: Probe = serde_json::from_value(json!({
            "id": "a", "about": "", "asking": "sampled", "samples": null, "parameters": {}, "tools": [],
            "response_schema": null, "checks": [], "messages": [{"role": "user", "content": "Hello"}],
        }))
        .expect("a probe");
        assert!(RequestClass::of(&probe).is_plain());
        probe.parameters = Parameters { max_tokens: Some(Cap::Unsent), seed: Some(1), ..Parameters::default() };
        assert_eq!(RequestClass::of(&probe).to_string(), "without a cap and with a seed");
        probe.parameters = Parameters { max_tokens: Some(Cap::Tokens(8)), ..Parameters::default() };
        assert_eq!(RequestClass::of(&probe).to_string(), "plain");
    }

    #[test]
    fn temperature_0_is_a_class_of_its_own_of_what_is_plain_otherwise() {
        let mut probe: Probe = serde_json::from_value(json!({
            "id": "a", "about": "", "asking": "greedy", "samples": null, "parameters": {}, "tools": [],
            "response_schema": null, "checks": [], "messages": [{"role": "user", "content": "Hello"}],
        }))
        .expect("a probe");
        let class = RequestClass::of(&probe);
        assert_eq!((class.to_string().as_str(), class.is_plain()), ("at temperature 0", true));
        probe.parameters = Parameters { seed: Some(1), ..Parameters::default() };
        let class = RequestClass::of(&probe);
        assert_eq!((class.to_string().as_str(), class.is_plain()), ("with a seed", false));
    }
}
