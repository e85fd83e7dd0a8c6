//! The route of requests: whether one endpoint is one host with one model, by what its answers say of themselves.

use std::collections::BTreeMap;

use super::tally::FEWEST;
use super::{Evidence, finding as told};
use crate::plural::count;
use crate::sample::Sample;
use crate::signal::answers::Answers;
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::{Confidence, Finding};

/// Headers in which hosts name the deployment or the model that answered.
const HEADERS: [&str; 5] = [
    "azureml-model-deployment",
    "openai-model",
    "x-inference-provider",
    "x-ms-deployment-name",
    "x-openrouter-provider",
];

/// What an answer says of where it comes from.
type Field = fn(&Sample) -> Option<&str>;

/// The fields by name. What names a model or a host leaves no doubt.
const FIELDS: [(&str, Field, Confidence); 3] = [
    ("response_model", |s| s.response_model.as_deref(), Certain),
    ("provider", |s| s.provider.as_deref(), Certain),
    ("system_fingerprint", |s| s.system_fingerprint.as_deref(), Likely),
];

/// The finding that requests to one endpoint go to several hosts or models.
pub(super) fn finding(evidence: &Evidence<'_>) -> Option<Finding> {
    let fields = FIELDS.iter().map(|(name, field, confidence)| {
        let values = |answers| Values::gather(answers, |s| field(s).filter(|value| !value.is_empty()));
        (*name, values(evidence.answers), values(evidence.reference), *confidence)
    });
    let headers = HEADERS.iter().map(|name| {
        let values = |answers| Values::gather(answers, |s| s.headers.get(*name).map(String::as_str));
        (*name, values(evidence.answers), values(evidence.reference), Certain)
    });
    let found = fields.chain(headers).filter_map(|(name, theirs, ours, confidence)| {
        let confidence = theirs.vary(confidence).map(|found| if ours.alternate() { Possible } else { found })?;
        Some((confidence, format!("{name} is {}", theirs.words())))
    });
    let (confidence, evidence) = found.min_by_key(|(confidence, _)| *confidence)?;
    Some(told("route-not-pinned", confidence, evidence))
}

/// The values of one field in the order of the answers.
struct Values {
    /// Each with the number of answers that have it.
    counts: BTreeMap<String, usize>,
    /// How often one follows another.
    changes: usize,
}

impl Values {
    fn gather<'a>(answers: &'a Answers<'_>, field: impl Fn(&'a Sample) -> Option<&'a str>) -> Self {
        let mut values: Vec<_> = answers.all().filter_map(|a| Some((a.sample.at, field(a.sample)?))).collect();
        values.sort_by_key(|(at, _)| *at);
        let mut counts = BTreeMap::new();
        for (_, value) in &values {
            *counts.entry(value.chars().take(LONGEST).collect()).or_default() += 1;
        }
        Self { counts, changes: values.windows(2).filter(|pair| pair[0].1 != pair[1].1).count() }
    }

    /// Whether values come and go. One that changes once is a deployment, and one that is new each time is an id.
    fn alternate(&self) -> bool {
        let answers: usize = self.counts.values().sum();
        self.counts.len() >= 2 && self.changes >= self.counts.len() && 2 * self.counts.len() <= answers
    }

    /// How sure it is that they are of several hosts, up to this: one answer may be an oddity, several are a route.
    fn vary(&self, surest: Confidence) -> Option<Confidence> {
        let most = self.counts.values().max().copied().unwrap_or(0);
        let others = self.counts.values().sum::<usize>() - most;
        self.alternate().then_some(if others >= FEWEST { surest } else { Possible })
    }

    fn words(&self) -> String {
        let mut counts: Vec<(&String, &usize)> = self.counts.iter().collect();
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let words: Vec<String> =
            counts.into_iter().take(NAMED).map(|(value, n)| format!("`{value}` {}", count(*n, "time"))).collect();
        words.join(", ")
    }
}

/// Characters of a value that are kept: a host may send megabytes.
const LONGEST: usize = 120;

/// Values that are named in the evidence.
const NAMED: usize = 5;
