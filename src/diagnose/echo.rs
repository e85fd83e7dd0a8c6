//! What the host says of itself: the model that answered, and the ids of its responses.

use super::tally::Tally;
use super::{Evidence, finding};
use crate::signal::metadata::{Metadata, may_be_same_model};
use crate::signal::repeats::replayed_ids;
use crate::verdict::Confidence::{Likely, Possible};
use crate::verdict::Finding;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    [names, replays].into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// The model that answers by its own word: another than was asked for, or more than one.
fn names(evidence: &Evidence<'_>) -> Option<Finding> {
    let models = Metadata::gather(evidence.answers).models;
    let total: usize = models.values().sum();
    let other = evidence.asked_model.and_then(|asked| {
        models.iter().find(|(name, _)| !may_be_same_model(asked, name)).map(|(name, n)| (asked, name, n))
    });
    if let Some((asked, name, n)) = other {
        let seen = format!("asked for `{asked}`, and {n} of {total} answers say that they are from `{name}`");
        let fault = if *n < total { "partial-routing" } else { "swapped-model" };
        return Some(finding(fault, Likely, seen));
    }
    let names: Vec<String> = models.iter().map(|(name, n)| format!("`{name}` {n} times")).collect();
    let seen = || format!("answers are from several models: {}", names.join(", "));
    (names.len() > 1).then(|| finding("partial-routing", Possible, seen()))
}

/// Answers under the id and with the text of an earlier one: they were not made, they were kept.
fn replays(evidence: &Evidence<'_>) -> Option<Finding> {
    let tally = Tally { endpoint: replayed_ids(evidence.answers), reference: replayed_ids(evidence.reference) };
    let confidence = tally.never()?;
    let evidence = format!("the id and the text of an earlier answer on {}", tally.words());
    Some(finding("cached-responses", confidence, evidence))
}
