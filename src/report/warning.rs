//! Warnings: what the reader of a report must know to trust its numbers.
//!
//! Part of layer 4, pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Account;
use crate::compare::{Comparison, EndpointComparison};
use crate::config::Reference;
use crate::plural::count;

/// What the reader of a report must know. In JSON it is its text alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Warning {
    /// What there is to know.
    pub text: String,
    /// The endpoints that it names, the reference apart: whoever must not read of one of these must not read it.
    pub endpoints: Vec<String>,
}

impl Warning {
    /// One that names these endpoints.
    pub fn about(endpoints: &[&str], text: String) -> Self {
        Self { text, endpoints: endpoints.iter().map(|&name| name.to_owned()).collect() }
    }
}

impl From<String> for Warning {
    fn from(text: String) -> Self {
        Self { text, endpoints: Vec::new() }
    }
}

impl From<Warning> for String {
    fn from(warning: Warning) -> Self {
        warning.text
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What speaks against trusting the numbers.
pub(super) fn warnings(comparison: &Comparison) -> Vec<Warning> {
    let mut out = Vec::new();
    let alpha = comparison.settings.alpha;
    if let (Some(name), Some(p)) = (&comparison.control.endpoint, comparison.control.p_value)
        && p > alpha
    {
        let from = if comparison.reference == Reference::SNAPSHOT { "what was approved" } else { "the reference" };
        let text = format!(
            "the control `{name}` was not told apart from {from} (p = {p:.3}), so it is no unit: the built-in one stands in"
        );
        out.push(Warning::about(&[name], text));
    }
    let is_sampled = comparison.endpoints.iter().any(|e| e.signals.iter().any(|signal| signal.name == "mmd"));
    if is_sampled && comparison.control.content.sampled_from.is_none() {
        let text = "the reference gives the same answers to different sampled probes, so that without a control nothing says how \
                    far another model would be: a difference of sampled answers has no size";
        out.push(text.to_owned().into());
    }
    if let Some(check) = comparison.self_check
        && check.p_value <= alpha
    {
        let text = format!(
            "the reference differs from itself (p = {:.3}); by chance alone that happens in {:.0} % of runs: repeat the run \
             before you act on it",
            check.p_value,
            100.0 * alpha
        );
        out.push(text.into());
    }
    if let Some(name) = &comparison.control.endpoint {
        out.extend(comparison.like_the_control.iter().map(|(endpoint, p)| {
            let text = format!(
                "`{endpoint}`: the control `{name}` is not told apart from its earlier answers (p = {p:.3}), so that they may be \
                 of the same model; its effects are in the built-in unit"
            );
            Warning::about(&[endpoint, name], text)
        }));
    }
    out.extend(comparison.strangers.iter().map(|endpoint| {
        let text = format!(
            "`{endpoint}` is declared a twin of the reference and leaves its answers sooner than any honest host was seen to: it does not \
             say what honest hosts may show"
        );
        Warning::about(&[endpoint], text)
    }));
    let told = |e: &EndpointComparison| {
        let missing = e.thinking.blanks_in_words().filter(|_| e.thinking.missing() > comparison.settings.tolerance);
        let hidden = e.thinking.what_is_hidden().map(str::to_owned);
        let warning = |what: String| Warning::about(&[&e.endpoint], format!("`{}`: {what}", e.endpoint));
        missing.into_iter().chain(hidden).map(warning).collect::<Vec<_>>()
    };
    out.extend(comparison.endpoints.iter().flat_map(told));
    out
}

/// Below this share of what was planned the answers that there are may not stand for those that there are not.
const FULL_ENOUGH: f64 = 0.9;

/// Endpoints of which much was left unanswered: unequal denominators are not compared in silence.
pub(super) fn gaps(accounts: &BTreeMap<String, Account>) -> impl Iterator<Item = Warning> {
    accounts.iter().filter_map(|(name, account)| {
        let asked = account.samples + account.unanswered.saturating_sub(account.not_asked);
        let share = account.samples as f64 / asked.max(1) as f64;
        (account.samples > 0 && share < FULL_ENOUGH).then(|| {
            let text = format!(
                "`{name}` answered {} of {} ({:.0} %): what failed may not be like what did not",
                account.samples,
                count(asked, "request"),
                100.0 * share
            );
            Warning::about(&[name], text)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_its_text_in_json_and_knows_whom_it_names() {
        let short = Account { samples: 5, unanswered: 5, ..Account::default() };
        let accounts = BTreeMap::from([("a".to_owned(), short)]);
        let warning = gaps(&accounts).next().expect("half is missing");
        assert_eq!(warning.endpoints, ["a"]);
        let json = serde_json::to_string(&warning).expect("JSON");
        assert_eq!(json, r#""`a` answered 5 of 10 requests (50 %): what failed may not be like what did not""#);
        let read: Warning = serde_json::from_str(&json).expect("a warning");
        assert_eq!((read.text, read.endpoints), (warning.text, Vec::<String>::new()));
    }
}
