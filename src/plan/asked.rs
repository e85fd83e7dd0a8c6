//! With what a probe is asked, beside its own words: what one's own configuration changes makes earlier answers stale.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::plural::count;
use crate::sample::SampleParameters;

/// What the configuration sends with a probe and its digest does not cover.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedWith {
    /// The temperature, where one is sent.
    pub temperature: Option<f64>,
    /// The cap on an answer's tokens, where one is sent.
    pub max_tokens: Option<u32>,
    /// How much the model is to think.
    pub reasoning_effort: Option<String>,
    /// What is known of the endpoint that is asked.
    pub endpoint: Option<AskedAt>,
}

/// What the configuration of an endpoint adds.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedAt {
    /// What it puts into the request's body.
    pub extra_body: BTreeMap<String, Value>,
    /// What opens and closes a thought there.
    pub thought_marks: Vec<[String; 2]>,
}

impl AskedWith {
    /// What was sent with an answer.
    pub fn of(sent: &SampleParameters) -> Self {
        Self {
            temperature: sent.temperature,
            max_tokens: sent.max_tokens,
            reasoning_effort: sent.reasoning_effort.clone(),
            endpoint: Some(AskedAt { extra_body: sent.extra_body.clone(), thought_marks: sent.thought_marks.clone() }),
        }
    }

    /// How earlier answers were asked for otherwise, in words that follow `it was asked`; `None` where they were not.
    pub fn otherwise(&self, then: &SampleParameters) -> Option<String> {
        if let Some(temperature) =
            then.temperature.filter(|t| self.temperature.is_none_or(|now| t.total_cmp(&now).is_ne()))
        {
            return Some(format!("at temperature {temperature}"));
        }
        if then.max_tokens != self.max_tokens {
            let cap = then
                .max_tokens
                .map_or_else(|| "no cap".to_owned(), |cap| format!("a cap of {}", count(cap as usize, "token")));
            return Some(format!("with {cap}"));
        }
        if then.reasoning_effort != self.reasoning_effort {
            let effort = then.reasoning_effort.as_deref();
            let effort = effort.map_or_else(|| "no effort".to_owned(), |effort| format!("effort `{effort}`"));
            return Some(format!("with {effort}"));
        }
        self.endpoint.as_ref().and_then(|endpoint| endpoint.otherwise(then))
    }
}

impl AskedAt {
    fn otherwise(&self, then: &SampleParameters) -> Option<String> {
        if then.extra_body != self.extra_body {
            let names: BTreeSet<&str> =
                then.extra_body.keys().chain(self.extra_body.keys()).map(String::as_str).collect();
            let differ: Vec<&str> =
                names.into_iter().filter(|name| then.extra_body.get(*name) != self.extra_body.get(*name)).collect();
            return Some(format!("with another `extra_body` ({})", differ.join(", ")));
        }
        (then.thought_marks != self.thought_marks).then(|| "with other `thought_marks`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_ones_own_configuration_sends_otherwise_is_said() {
        let then = SampleParameters {
            temperature: Some(1.0),
            max_tokens: Some(64),
            extra_body: BTreeMap::from([("top_k".to_owned(), Value::from(20))]),
            ..SampleParameters::default()
        };
        let now = AskedWith::of(&then);
        let how = |now: &AskedWith| now.otherwise(&then);
        assert_eq!(how(&now), None);
        assert_eq!(how(&AskedWith { temperature: Some(0.7), ..now.clone() }).as_deref(), Some("at temperature 1"));
        assert_eq!(how(&AskedWith { temperature: None, ..now.clone() }).as_deref(), Some("at temperature 1"));
        assert_eq!(how(&AskedWith { max_tokens: None, ..now.clone() }).as_deref(), Some("with a cap of 64 tokens"));
        let effort = AskedWith { reasoning_effort: Some("low".into()), ..now.clone() };
        assert_eq!(how(&effort).as_deref(), Some("with no effort"));
        let at = |extra_body, thought_marks| AskedWith {
            endpoint: Some(AskedAt { extra_body, thought_marks }),
            ..now.clone()
        };
        assert_eq!(how(&at(BTreeMap::new(), Vec::new())).as_deref(), Some("with another `extra_body` (top_k)"));
        let marks = vec![["<t>".to_owned(), "</t>".to_owned()]];
        assert_eq!(how(&at(then.extra_body.clone(), marks)).as_deref(), Some("with other `thought_marks`"));
        assert_eq!(how(&AskedWith { endpoint: None, ..now.clone() }), None, "nothing is known of the endpoint");
    }
}
