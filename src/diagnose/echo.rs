//! What the host says of itself: the model that answered, and the ids of its responses; and what it says whatever is asked.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{FEWEST, Tally};
use super::{Evidence, finding};
use crate::signal::metadata::{Metadata, are_other_sizes, is_expected, may_be_same_model};
use crate::signal::repeats::{self, repeated, replayed_ids};
use crate::verdict::Confidence::{Likely, Possible};
use crate::verdict::{Confidence, Finding};

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    [names, replays].into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// The model that answers by its own word, where that is another than was asked for or than the reference names.
fn names(evidence: &Evidence<'_>) -> Option<Finding> {
    let (theirs, ours) = (Metadata::gather(evidence.answers).models, Metadata::gather(evidence.reference).models);
    if !evidence.expected_models.is_empty() {
        return unexpected(evidence, &theirs);
    }
    // What the reference says too is no difference from it.
    let news: BTreeMap<&String, usize> =
        theirs.iter().filter(|(name, _)| !ours.contains_key(*name)).map(|(name, n)| (name, *n)).collect();
    let asked: Vec<&str> = match evidence.asked_model {
        Some(asked) => vec![asked],
        None => ours.keys().map(String::as_str).collect(),
    };
    let other = news.iter().find(|(name, _)| !asked.iter().any(|asked| may_be_same_model(asked, name)));
    let ((name, n), asked) = (other?, asked.first()?);
    let total: usize = theirs.values().sum();
    let seen = format!("asked for `{asked}`, and {}", say(*n, total, name));
    if are_other_sizes(asked, name) {
        return Some(finding(if *n < total { "partial-routing" } else { "swapped-model" }, surest(*n), seen));
    }
    // A deployment has any name that its owner gave it.
    let seen =
        format!("{seen}: another model, or another name of the same; `expected_model` says which names are right");
    Some(finding("other-model-name", Possible, seen))
}

/// How many answers say of themselves that they are from a model.
fn say(n: usize, total: usize, name: &str) -> String {
    if total == 1 {
        return format!("1 answer says that it is from `{name}`");
    }
    format!("{n} of {total} answers say that they are from `{name}`")
}

/// A model that answers by its own word under a name that the user does not expect.
fn unexpected(evidence: &Evidence<'_>, models: &BTreeMap<String, usize>) -> Option<Finding> {
    let patterns = evidence.expected_models;
    let others = || models.iter().filter(|(name, _)| !is_expected(patterns, name));
    let (name, _) = others().max_by_key(|(_, n)| **n)?;
    let (n, total): (usize, usize) = (others().map(|(_, n)| n).sum(), models.values().sum());
    let expected: Vec<String> = patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
    let seen = format!("{} is expected, and {}", expected.join(" or "), say(n, total, name));
    Some(finding(if n < total { "partial-routing" } else { "swapped-model" }, surest(n), seen))
}

/// How sure another name is at most that comes with so many answers: one may be a slip.
fn surest(answers: usize) -> Confidence {
    if answers >= FEWEST { Likely } else { Possible }
}

/// Answers under the id and with the text of an earlier one: they were not made, they were kept. A host that makes an id of what it says
/// has them as well where a text comes again by chance, which it then does at the reference just as often.
fn replays(evidence: &Evidence<'_>) -> Option<Finding> {
    let tally = Tally { endpoint: replayed_ids(evidence.answers), reference: replayed_ids(evidence.reference) };
    let confidence = tally.never()?;
    let (ours, theirs) =
        (repeated(evidence.reference, evidence.answers), repeated(evidence.answers, evidence.reference));
    // Half as often is as often, as far as so few answers tell.
    if ours.showing > 0 && 2.0 * ours.value() >= theirs.value() {
        return None;
    }
    let evidence = format!("the id and the text of an earlier answer on {}", tally.words());
    Some(finding("cached-responses", confidence, evidence))
}

/// Fewest probes that one text must answer before it is told.
const FEWEST_CANNED: usize = 8;

/// Characters of a text that are told.
const LONGEST_TOLD: usize = 60;

/// The finding that one text of the endpoint's alone answers many probes to which the reference's answers differ, such as a refusal of all
/// of them: a filter may say it, a stand-in, or another model. Where tools are missing, one text may well be right.
pub(super) fn canned(evidence: &Evidence<'_>) -> Option<Finding> {
    let ours = repeats::canned(evidence.reference);
    let alike: BTreeSet<&str> = ours.values().flatten().copied().collect();
    let answered: BTreeSet<&str> = evidence.reference.all().map(|a| a.sample.probe.as_str()).collect();
    let given: BTreeSet<&str> = evidence.reference.all().map(|a| &*a.text).collect();
    let is_told = |probe: &str| {
        let has_tools = evidence.traits(probe).is_some_and(|traits| !traits.tools.is_empty());
        answered.contains(probe) && !alike.contains(probe) && !has_tools
    };
    let theirs = repeats::canned(evidence.answers);
    let counted = theirs.iter().filter(|(text, _)| !given.contains(*text));
    let counted = counted.map(|(text, probes)| (probes.iter().filter(|probe| is_told(probe)).count(), *text));
    let (n, text) = counted.max().filter(|(n, _)| *n >= FEWEST_CANNED)?;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let told: String = words.chars().take(LONGEST_TOLD).collect();
    let rest = if told.len() < words.len() { "…" } else { "" };
    let seen = format!("`{told}{rest}` answers {n} probes to which the reference's answers differ");
    Some(finding("swapped-model", Possible, seen))
}
