//! The route of requests: whether one endpoint is one host with one model, by what its answers say of themselves.

use std::collections::BTreeMap;

use super::tally::FEWEST;
use super::{Evidence, finding as told};
use crate::plural::count;
use crate::sample::Sample;
use crate::signal::answers::Answers;
use crate::signal::metadata::is_expected;
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::{Confidence, Finding};

/// Headers in which hosts name the deployment or the model that answered.
const HEADERS: [&str; 10] = [
    "azureml-model-deployment",
    "cf-aig-model",
    "cf-aig-provider",
    "openai-model",
    "x-inference-provider",
    "x-litellm-model-id",
    "x-model",
    "x-ms-deployment-name",
    "x-openrouter-provider",
    "x-portkey-provider",
];

/// Fields and headers that name a model, of which the user may have said which names are right.
const OF_MODELS: [&str; 4] = ["cf-aig-model", "openai-model", "response_model", "x-model"];

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
    let is_right = |name: &str, theirs: &Values| {
        let patterns = evidence.expected_models;
        OF_MODELS.contains(&name) && !patterns.is_empty() && theirs.spans.keys().all(|v| is_expected(patterns, v))
    };
    let found = fields.chain(headers).filter_map(|(name, theirs, ours, confidence)| {
        let found = theirs.vary(confidence).filter(|_| !is_right(name, &theirs))?;
        let confidence = if ours.vary(confidence).is_some() { Possible } else { found };
        Some((confidence, format!("{name} is {}", theirs.words())))
    });
    let (confidence, evidence) = found.min_by_key(|(confidence, _)| *confidence)?;
    Some(told("route-not-pinned", confidence, evidence))
}

/// When an answer was asked for and when it was there, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    asked: i64,
    answered: i64,
}

impl Span {
    /// `None` where nothing says so.
    fn of(sample: &Sample) -> Option<Self> {
        let answered = sample.at?.as_millisecond();
        let taken = i64::try_from(sample.latency_ms?.total).ok()?;
        Some(Self { asked: answered.saturating_sub(taken), answered })
    }
}

/// The values of one field, each with the times of the answers that have it.
struct Values {
    spans: BTreeMap<String, Vec<Option<Span>>>,
}

impl Values {
    fn gather<'a>(answers: &'a Answers<'_>, field: impl Fn(&'a Sample) -> Option<&'a str>) -> Self {
        let mut spans: BTreeMap<String, Vec<Option<Span>>> = BTreeMap::new();
        for answer in answers.all() {
            if let Some(value) = field(answer.sample) {
                let value: String = value.chars().take(LONGEST).collect();
                spans.entry(value).or_default().push(Span::of(answer.sample));
            }
        }
        Self { spans }
    }

    fn answers(&self) -> usize {
        self.spans.values().map(Vec::len).sum()
    }

    /// How sure it is that they are of several hosts, up to this: one answer may be an oddity, several are a route. One that is new each
    /// time is an id, and one that is followed by another for good is a deployment.
    fn vary(&self, surest: Confidence) -> Option<Confidence> {
        if self.spans.len() < 2 || 2 * self.spans.len() > self.answers() {
            return None;
        }
        let most = self.spans.values().map(Vec::len).max().unwrap_or(0);
        match self.out_of_turn() {
            Some(share) if share <= 0.0 => None,
            Some(share) if share >= OUT_OF_TURN && self.answers() - most >= FEWEST => Some(surest),
            // Without times nothing tells a route from a deployment.
            _ => Some(Possible),
        }
    }

    /// Of the answers with one value, the share that was asked for when one with a later value was already there: none where one
    /// deployment follows another, however many requests are in flight. The largest of all pairs; `None` where times are not known.
    fn out_of_turn(&self) -> Option<f64> {
        let timed = |spans: &Vec<Option<Span>>| spans.iter().copied().collect::<Option<Vec<Span>>>();
        let mut values: Vec<Vec<Span>> = self.spans.values().map(timed).collect::<Option<_>>()?;
        values.sort_by_key(|spans| spans.iter().map(|span| span.asked).min());
        let late = |(i, earlier): (usize, &Vec<Span>)| {
            let of_later = values[i + 1..].iter().flatten();
            let begun = of_later.map(|span| span.answered).min()?;
            let late = earlier.iter().filter(|span| span.asked > begun).count();
            Some(late as f64 / earlier.len() as f64)
        };
        Some(values.iter().enumerate().filter_map(late).fold(0.0, f64::max))
    }

    fn words(&self) -> String {
        let mut counts: Vec<(&String, usize)> = self.spans.iter().map(|(value, spans)| (value, spans.len())).collect();
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let words: Vec<String> =
            counts.into_iter().take(NAMED).map(|(value, n)| format!("`{value}` {}", count(n, "time"))).collect();
        words.join(", ")
    }
}

/// From this share of the answers with one value on that come behind another one, they take turns: while a deployment goes from
/// server to server both answer for a while.
const OUT_OF_TURN: f64 = 0.25;

/// Characters of a value that are kept: a host may send megabytes.
const LONGEST: usize = 120;

/// Values that are named in the evidence.
const NAMED: usize = 5;
