//! What waits, run by run: of which run each snapshot is, and what of it is not taken together with others unasked.
//!
//! Part of layer 3's snapshots, pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChangeKind, Folder, Head, Snapshot};
use crate::verdict::{Effect, Finding, Verdict};

/// The schema name of the list of what waits.
pub const PENDING_SCHEMA: &str = "samemodel.pending/1";

/// Why a snapshot is not taken together with others unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Caution {
    /// The run that left it found that the endpoint had drifted.
    Drifted,
    /// What waits of the endpoint beside it is of a later run.
    Superseded,
}

/// The snapshots, by name, that are not taken together with others unasked; `waiting` holds all that wait of each endpoint. Of a
/// file that does not say what its run found, the others of that run decide.
pub fn cautions(waiting: &[(String, Snapshot)]) -> BTreeMap<&str, Caution> {
    let mut latest: BTreeMap<&str, (Option<Timestamp>, &str)> = BTreeMap::new();
    let mut drifted: Vec<(&str, &str)> = Vec::new();
    for (name, snapshot) in waiting {
        let (endpoint, head) = (Folder::endpoint_of(name), &snapshot.head);
        let run = (head.sampled, head.source.as_str());
        let last = latest.entry(endpoint).or_insert(run);
        *last = run.max(*last);
        if has_drifted(head) {
            drifted.push((endpoint, &head.source));
        }
    }
    let caution = |(name, snapshot): &'_ (String, Snapshot)| {
        let (endpoint, source) = (Folder::endpoint_of(name), snapshot.head.source.as_str());
        if latest.get(endpoint).is_some_and(|(_, last)| *last != source) {
            Some(Caution::Superseded)
        } else {
            drifted.contains(&(endpoint, source)).then_some(Caution::Drifted)
        }
    };
    waiting.iter().filter_map(|found| Some((found.0.as_str(), caution(found)?))).collect()
}

/// Whether a snapshot's own head says that its run found that the endpoint had drifted.
pub fn has_drifted(head: &Head) -> bool {
    let change = head.change.as_ref();
    change.is_some_and(|c| c.verdict == Some(Verdict::Drifted) || c.kind == ChangeKind::Drifted)
}

/// All that waits, as `samemodel pending --format json` says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pending {
    /// Always `samemodel.pending/1`.
    pub schema: String,
    /// The snapshots, in the order of review.
    pub waiting: Vec<PendingSnapshot>,
}

/// One snapshot that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PendingSnapshot {
    /// Its name, `<model>/<endpoint>/<probe>`.
    pub name: String,
    /// The nominal model.
    pub model: String,
    /// The endpoint.
    pub endpoint: String,
    /// The probe.
    pub probe: String,
    /// What is the matter; absent where the file does not say.
    pub kind: Option<ChangeKind>,
    /// In a line.
    pub reason: Option<String>,
    /// The verdict on the endpoint of the run that left it; absent where the file does not say.
    pub verdict: Option<Verdict>,
    /// Why that is the verdict, where `reason` is about something else.
    pub because: Option<String>,
    /// The effect that decided, over all of the endpoint's probes.
    pub effect: Option<Effect>,
    /// The largest effect that does not matter.
    pub tolerance: Option<f64>,
    /// This probe's own p-value, before any correction.
    pub p_value: Option<f64>,
    /// Likely faults of the endpoint.
    pub findings: Vec<Finding>,
    /// Where the answers come from, such as `run 0193…`.
    pub source: String,
    /// When the last answer came.
    #[schemars(with = "Option<String>")]
    pub sampled: Option<Timestamp>,
    /// Answers.
    pub samples: usize,
    /// Why it is not taken together with others unasked.
    pub caution: Option<Caution>,
}

impl Pending {
    /// The list of these, of which `cautions` says what is not taken unasked.
    pub fn new(waiting: &[(String, Snapshot)], cautions: &BTreeMap<&str, Caution>) -> Self {
        let told = |(name, snapshot): &(String, Snapshot)| {
            PendingSnapshot::new(name, &snapshot.head, cautions.get(name.as_str()).copied())
        };
        Self { schema: PENDING_SCHEMA.to_owned(), waiting: waiting.iter().map(told).collect() }
    }
}

impl PendingSnapshot {
    fn new(name: &str, head: &Head, caution: Option<Caution>) -> Self {
        let change = head.change.clone();
        let of = change.as_ref();
        Self {
            name: name.to_owned(),
            model: head.model.clone(),
            endpoint: head.endpoint.clone(),
            probe: head.probe.clone(),
            kind: of.map(|c| c.kind),
            reason: of.map(|c| c.reason.clone()),
            verdict: of.and_then(|c| c.verdict),
            because: of.and_then(|c| c.because.clone()),
            effect: of.and_then(|c| c.effect.clone()),
            tolerance: of.and_then(|c| c.tolerance),
            p_value: of.and_then(|c| c.p_value),
            findings: change.map(|c| c.findings).unwrap_or_default(),
            source: head.source.clone(),
            sampled: head.sampled,
            samples: head.samples,
            caution,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Change;
    use super::super::testing::snapshot;
    use super::*;

    fn waits(probe: &str, run: (&str, &str), said: (ChangeKind, Option<Verdict>)) -> (String, Snapshot) {
        let mut new = snapshot(&["a"]);
        (new.head.source, new.head.sampled) = (run.0.to_owned(), Some(run.1.parse().expect("a time")));
        new.head.change = Some(Change {
            kind: said.0,
            reason: String::new(),
            verdict: said.1,
            because: None,
            effect: None,
            tolerance: None,
            p_value: None,
            findings: Vec::new(),
        });
        (format!("llama/{probe}"), new)
    }

    const FIRST: (&str, &str) = ("run 1", "2026-11-25T12:00:00Z");
    const SECOND: (&str, &str) = ("run 2", "2026-11-26T12:00:00Z");

    #[test]
    fn all_of_a_run_that_found_drift_is_taken_only_when_asked_for() {
        let all = [
            waits("a/one", FIRST, (ChangeKind::Drifted, Some(Verdict::Drifted))),
            waits("a/new", FIRST, (ChangeKind::Unseen, None)),
            waits("b/new", FIRST, (ChangeKind::Unseen, Some(Verdict::Unmeasured))),
            waits("c/old", FIRST, (ChangeKind::Stale, Some(Verdict::Drifted))),
        ];
        let told: Vec<(&str, Caution)> = cautions(&all).into_iter().collect();
        let drifted = |name| (name, Caution::Drifted);
        assert_eq!(told, [drifted("llama/a/new"), drifted("llama/a/one"), drifted("llama/c/old")]);
    }

    #[test]
    fn answers_of_two_runs_are_never_taken_together() {
        let all = [
            waits("a/one", FIRST, (ChangeKind::Drifted, Some(Verdict::Drifted))),
            waits("a/two", SECOND, (ChangeKind::Unseen, Some(Verdict::Inconclusive))),
            waits("b/one", FIRST, (ChangeKind::Unseen, None)),
        ];
        let told: Vec<(&str, Caution)> = cautions(&all).into_iter().collect();
        assert_eq!(told, [("llama/a/one", Caution::Superseded)]);
    }

    #[test]
    fn the_list_says_of_each_what_its_run_found() {
        let all = [waits("a/one", FIRST, (ChangeKind::Drifted, Some(Verdict::Drifted)))];
        let list = Pending::new(&all, &cautions(&all));
        let told = &list.waiting[0];
        assert_eq!((told.verdict, told.caution), (Some(Verdict::Drifted), Some(Caution::Drifted)));
        assert_eq!((told.source.as_str(), told.samples), ("run 1", 1));
        assert_eq!(list.schema, PENDING_SCHEMA);
    }
}
