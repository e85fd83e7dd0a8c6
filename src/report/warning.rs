//! Warnings: what the reader of a report must know to trust its numbers.
//!
//! Part of layer 4, pure.

use std::collections::BTreeMap;

use super::Account;
use crate::compare::{Comparison, EndpointComparison};
use crate::config::Reference;
use crate::plural::count;

/// What speaks against trusting the numbers.
pub(super) fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut out = Vec::new();
    let alpha = comparison.settings.alpha;
    if let (Some(name), Some(p)) = (&comparison.control.endpoint, comparison.control.p_value)
        && p > alpha
    {
        let from = if comparison.reference == Reference::SNAPSHOT { "what was approved" } else { "the reference" };
        out.push(format!(
            "the control `{name}` was not told apart from {from} (p = {p:.3}), so it is no unit: the built-in one stands in"
        ));
    }
    let is_sampled = comparison.endpoints.iter().any(|e| e.signals.iter().any(|signal| signal.name == "mmd"));
    if is_sampled && comparison.control.content.sampled_from.is_none() {
        out.push(
            "the reference gives the same answers to different sampled probes, so that without a control nothing says how far \
             another model would be: a difference of sampled answers has no size"
                .to_owned(),
        );
    }
    if let Some(check) = comparison.self_check
        && check.p_value <= alpha
    {
        out.push(format!(
            "the reference differs from itself (p = {:.3}); by chance alone that happens in {:.0} % of runs: repeat the run \
             before you act on it",
            check.p_value,
            100.0 * alpha
        ));
    }
    if let Some(name) = &comparison.control.endpoint {
        out.extend(comparison.like_the_control.iter().map(|(endpoint, p)| {
            format!(
                "`{endpoint}`: the control `{name}` is not told apart from its earlier answers (p = {p:.3}), so that they may be \
                 of the same model; its effects are in the built-in unit"
            )
        }));
    }
    let told = |e: &EndpointComparison| {
        let missing = e.thinking.blanks_in_words().filter(|_| e.thinking.missing() > comparison.settings.tolerance);
        let hidden = e.thinking.what_is_hidden().map(str::to_owned);
        missing.into_iter().chain(hidden).map(|what| format!("`{}`: {what}", e.endpoint)).collect::<Vec<_>>()
    };
    out.extend(comparison.endpoints.iter().flat_map(told));
    out
}

/// Below this share of what was planned the answers that there are may not stand for those that there are not.
const FULL_ENOUGH: f64 = 0.9;

/// Endpoints of which much was left unanswered: unequal denominators are not compared in silence.
pub(super) fn gaps(accounts: &BTreeMap<String, Account>) -> impl Iterator<Item = String> {
    accounts.iter().filter_map(|(name, account)| {
        let asked = account.samples + account.unanswered.saturating_sub(account.not_asked);
        let share = account.samples as f64 / asked.max(1) as f64;
        (account.samples > 0 && share < FULL_ENOUGH).then(|| {
            format!(
                "`{name}` answered {} of {} ({:.0} %): what failed may not be like what did not",
                account.samples,
                count(asked, "request"),
                100.0 * share
            )
        })
    })
}
