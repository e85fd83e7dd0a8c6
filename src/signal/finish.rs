//! Finish reasons and length at the cap.

use std::collections::BTreeMap;

use super::answers::Answers;

/// What an endpoint's answers ended with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finish {
    /// Answers by finish reason, in the host's own words; `None` where it sent none.
    pub reasons: BTreeMap<Option<String>, usize>,
    /// Answers whose token count is over the cap they were asked for with.
    pub over_cap: usize,
    /// Answers for which cap and count are known.
    pub capped: usize,
}

impl Finish {
    /// Counts over all answers.
    pub fn count(answers: &Answers<'_>) -> Self {
        let mut out = Self::default();
        for answer in answers.all() {
            *out.reasons.entry(answer.sample.finish_reason.clone()).or_default() += 1;
            let cap = answer.sample.parameters.as_ref().and_then(|p| p.max_tokens);
            let tokens = answer.sample.usage.and_then(|u| u.completion_tokens);
            if let (Some(cap), Some(tokens)) = (cap, tokens) {
                out.capped += 1;
                out.over_cap += usize::from(tokens > u64::from(cap));
            }
        }
        out
    }

    /// The share of answers with this reason, between 0 and 1; 0 without answers.
    pub fn share(&self, reason: Option<&str>) -> f64 {
        let total: usize = self.reasons.values().sum();
        let with = self.reasons.get(&reason.map(str::to_owned)).copied().unwrap_or(0);
        if total == 0 { 0.0 } else { with as f64 / total as f64 }
    }
}
