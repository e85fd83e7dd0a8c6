//! Where approved snapshots stand beside what is asked now, and what of a run has to be reviewed.
//!
//! Part of layer 3's snapshots, pure.

use std::collections::BTreeMap;

use super::{Change, ChangeKind, Snapshot};
use crate::compare::{Comparison, EndpointComparison, Settings};
use crate::plan::{AskedWith, Plan, PlannedProbe};
use crate::plural::count;
use crate::sample::{Purpose, Sample};
use crate::verdict::{EffectName, Verdict};

/// How the approved snapshot of one probe at one endpoint stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is of what is asked now.
    Current(Box<Snapshot>),
    /// It is of something else, and why.
    Stale(String),
}

/// The approved snapshots of a plan's endpoints and probes.
#[derive(Debug, Clone, Default)]
pub struct Approved {
    found: BTreeMap<(String, String), Standing>,
}

impl Approved {
    /// Sorts approved snapshots by how they stand beside what the plan asks, `asked_with` at each endpoint. Those of endpoints or
    /// probes that it does not ask are left out.
    pub fn new(
        found: impl IntoIterator<Item = Snapshot>,
        plan: &Plan,
        asked_with: impl Fn(&str, &PlannedProbe) -> AskedWith,
    ) -> Self {
        let planned: BTreeMap<&str, &PlannedProbe> = plan.probes.iter().map(|p| (p.probe.id.as_str(), p)).collect();
        let standing = |snapshot: Snapshot| {
            let planned = planned.get(snapshot.head.probe.as_str())?;
            let key = (snapshot.head.endpoint.clone(), snapshot.head.probe.clone());
            let stale = snapshot.staleness(&planned.probe, &asked_with(&snapshot.head.endpoint, planned));
            Some((key, stale.map_or_else(|| Standing::Current(Box::new(snapshot)), Standing::Stale)))
        };
        let asked = |(key, _): &((String, String), Standing)| plan.endpoints.contains(&key.0);
        Self { found: found.into_iter().filter_map(standing).filter(asked).collect() }
    }

    /// How the snapshot of a probe at an endpoint stands; nothing when there is none.
    pub fn standing(&self, endpoint: &str, probe: &str) -> Option<&Standing> {
        self.found.get(&(endpoint.to_owned(), probe.to_owned()))
    }

    /// The answers of all current snapshots of these endpoints.
    pub fn samples<'a>(&'a self, plan: &'a Plan, endpoints: &'a [String]) -> Vec<Sample> {
        let mut out = Vec::new();
        for endpoint in endpoints {
            for planned in &plan.probes {
                if let Some(Standing::Current(snapshot)) = self.standing(endpoint, &planned.probe.id) {
                    out.extend(snapshot.samples(&planned.probe));
                }
            }
        }
        out
    }

    /// Of an endpoint's probes, how many snapshots are current, stale and not there.
    pub fn tally(&self, plan: &Plan, endpoint: &str) -> Tally {
        let mut tally = Tally::default();
        for planned in compared(plan).filter(|planned| planned.is_for(endpoint)) {
            match self.standing(endpoint, &planned.probe.id) {
                Some(Standing::Current(_)) => tally.current += 1,
                Some(Standing::Stale(why)) => {
                    tally.stale += 1;
                    tally.why.get_or_insert_with(|| why.clone());
                }
                None => tally.unseen += 1,
            }
        }
        tally
    }
}

/// How the snapshots of an endpoint stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Of what is asked now.
    pub current: usize,
    /// Of something else.
    pub stale: usize,
    /// Why the first of those is.
    pub why: Option<String>,
    /// Not there.
    pub unseen: usize,
}

impl Tally {
    /// Whether there is a snapshot of any probe.
    pub fn is_some(&self) -> bool {
        self.current + self.stale > 0
    }

    /// What is missing, in words that follow an endpoint's name; nothing when nothing is.
    pub fn gaps(&self) -> Option<String> {
        let of = |n| count(n, "probe");
        let stale = || format!("{} {}", of(self.stale), self.why.as_ref().map_or(String::new(), |w| format!("({w})")));
        match (self.stale, self.unseen) {
            (0, 0) => None,
            (0, _) if self.current == 0 => Some("no approved snapshot".to_owned()),
            (0, unseen) => Some(format!("no approved snapshot of {}", of(unseen))),
            (_, 0) => Some(format!("a stale snapshot of {}", stale().trim_end())),
            (_, unseen) => Some(format!("a stale snapshot of {}, and none of {}", stale().trim_end(), of(unseen))),
        }
    }
}

/// The probes of which there are snapshots: one draw more to a greedy probe shows nothing of an endpoint.
fn compared(plan: &Plan) -> impl Iterator<Item = &PlannedProbe> {
    plan.probes.iter().filter(|planned| planned.probe.purpose != Purpose::Draw)
}

/// Snapshots of what a run's endpoints answered, one for each probe of which every planned answer came: what is missing may not
/// be like what is not.
pub fn taken(plan: &Plan, endpoints: &[String], samples: &[Sample], source: &str) -> Vec<Snapshot> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Sample>> = BTreeMap::new();
    for sample in samples.iter().filter(|s| s.is_answer()) {
        groups.entry((&sample.endpoint, &sample.probe)).or_default().push(sample);
    }
    let mut out = Vec::new();
    for endpoint in endpoints {
        for planned in compared(plan) {
            let Some(answers) = groups.get(&(endpoint.as_str(), planned.probe.id.as_str())) else { continue };
            if answers.len() >= planned.answers as usize {
                out.extend(Snapshot::of_samples(&plan.model, &planned.probe, answers, source));
            }
        }
    }
    out
}

/// Those of the snapshots taken that have to be reviewed, each with the reason: all that are not approved as they stand, and, of
/// an endpoint that has drifted, all whose answers are not those approved.
pub fn changes(approved: &Approved, taken: Vec<Snapshot>, comparison: &Comparison) -> Vec<Snapshot> {
    let endpoint = |name: &str| comparison.endpoints.iter().find(|e| e.endpoint == name);
    let change = |mut snapshot: Snapshot| {
        let found = endpoint(&snapshot.head.endpoint);
        let (kind, reason) = match approved.standing(&snapshot.head.endpoint, &snapshot.head.probe) {
            None => (ChangeKind::Unseen, "nothing was approved yet".to_owned()),
            Some(Standing::Stale(why)) => (ChangeKind::Stale, why.clone()),
            Some(Standing::Current(then)) => {
                let drifted = found.filter(|e| e.verdict == Verdict::Drifted)?;
                (!snapshot.has_answers_of(then)).then(|| (ChangeKind::Drifted, drifted.why()))?
            }
        };
        let effect = found.and_then(|e| e.effect.clone());
        // An endpoint that was not measured has no more to say than that nothing is approved.
        let measured = found.filter(|e| e.verdict != Verdict::Unmeasured);
        snapshot.head.change = Some(Change {
            kind,
            verdict: found.map(|e| e.verdict),
            because: measured.map(EndpointComparison::why).filter(|why| *why != reason),
            reason,
            tolerance: effect.as_ref().map(|effect| tolerance(effect.name, &comparison.settings)),
            effect,
            p_value: found.and_then(|e| probe_p_value(e, &snapshot.head.probe)),
            findings: found.map(|e| e.findings.clone()).unwrap_or_default(),
        });
        Some(snapshot)
    };
    taken.into_iter().filter_map(change).collect()
}

/// The largest effect of this name that does not matter.
fn tolerance(name: EffectName, settings: &Settings) -> f64 {
    if name.is_of_drawing() { settings.dispersion_tolerance } else { settings.tolerance }
}

fn probe_p_value(endpoint: &EndpointComparison, probe: &str) -> Option<f64> {
    endpoint.probes.iter().find(|p| p.probe == probe)?.p_value
}

#[cfg(test)]
mod tests {
    use super::super::testing::{probe, sample, snapshot};
    use super::*;
    use crate::compare::Roles;
    use crate::compare::past::{Past, compare_with_past};
    use crate::config::Reasoning;
    use crate::plan::Sampling;
    use crate::verdict::Effect;

    fn plan(probes: &[&str], answers: u32) -> Plan {
        Plan {
            schema: crate::plan::SCHEMA.to_owned(),
            model: "llama".to_owned(),
            seed: 1,
            left_out: Vec::new(),
            sampling: Sampling {
                temperature: 1.0,
                max_tokens: 64,
                reasoning: Reasoning::default(),
                stream: true,
                send_seed: false,
            },
            endpoints: vec!["together".to_owned()],
            probes: probes
                .iter()
                .map(|id| PlannedProbe {
                    probe: probe(id, "Write a haiku."),
                    answers,
                    max_tokens: 64,
                    only: None,
                    not_for: Vec::new(),
                })
                .collect(),
        }
    }

    fn approved(found: impl IntoIterator<Item = Snapshot>, plan: &Plan) -> Approved {
        Approved::new(found, plan, |_, planned| planned.asked_with(&plan.sampling))
    }

    fn ours() -> [String; 1] {
        ["together".to_owned()]
    }

    fn comparison(verdict: Verdict) -> Comparison {
        let settings = Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };
        let mut out = compare_with_past(&[], &Past::default(), &Roles::new("snapshot", vec!["together"]), &settings);
        out.endpoints[0].verdict = verdict;
        out
    }

    fn kinds(changes: &[Snapshot]) -> Vec<ChangeKind> {
        changes.iter().filter_map(|s| s.head.change.as_ref()).map(|c| c.kind).collect()
    }

    #[test]
    fn only_probes_with_all_their_answers_are_taken() {
        let samples = [sample("a", 0), sample("b", 1)];
        assert_eq!(taken(&plan(&["core/haiku", "other"], 2), &ours(), &samples, "run 1").len(), 1);
        assert!(taken(&plan(&["core/haiku"], 3), &ours(), &samples, "run 1").is_empty());
    }

    #[test]
    fn what_was_never_approved_waits_whatever_the_verdict() {
        let fresh = vec![snapshot(&["a", "b"])];
        let found = changes(&Approved::default(), fresh, &comparison(Verdict::Unmeasured));
        assert_eq!(kinds(&found), [ChangeKind::Unseen]);
    }

    #[test]
    fn what_waits_says_what_its_run_found_of_the_endpoint_whatever_it_waits_for() {
        let mut found = comparison(Verdict::Drifted);
        found.endpoints[0].reason = "as if half came from another model".into();
        let effect = Effect { name: EffectName::Dispersion, estimate: 0.5, low: 0.4, high: 0.6 };
        found.endpoints[0].effect = Some(effect.clone());
        let told = changes(&Approved::default(), vec![snapshot(&["a"])], &found).remove(0).head.change.expect("waits");
        assert_eq!((told.kind, told.verdict), (ChangeKind::Unseen, Some(Verdict::Drifted)));
        assert_eq!((told.effect, told.tolerance), (Some(effect), Some(0.1)));
        assert_eq!(told.because.as_deref(), Some("as if half came from another model"));
        let first = changes(&Approved::default(), vec![snapshot(&["a"])], &comparison(Verdict::Unmeasured)).remove(0);
        let told = first.head.change.expect("waits");
        assert_eq!((told.verdict, told.because), (Some(Verdict::Unmeasured), None));
    }

    #[test]
    fn other_answers_wait_only_where_the_endpoint_has_drifted() {
        let plan = plan(&["core/haiku"], 2);
        let approved = approved([snapshot(&["a", "b"])], &plan);
        let changed = |texts: &[&str], verdict| kinds(&changes(&approved, vec![snapshot(texts)], &comparison(verdict)));
        assert_eq!(changed(&["a", "c"], Verdict::Consistent), []);
        assert_eq!(changed(&["a", "c"], Verdict::Inconclusive), []);
        assert_eq!(changed(&["b", "a"], Verdict::Drifted), [], "the same answers");
        assert_eq!(changed(&["a", "c"], Verdict::Drifted), [ChangeKind::Drifted]);
    }

    #[test]
    fn a_snapshot_of_another_question_is_stale_and_not_compared() {
        let mut plan = plan(&["core/haiku"], 2);
        plan.probes[0].probe = probe("core/haiku", "Write two haikus.");
        let approved = approved([snapshot(&["a", "b"])], &plan);
        assert!(approved.samples(&plan, &ours()).is_empty());
        assert_eq!(
            approved.tally(&plan, "together").gaps().as_deref(),
            Some("a stale snapshot of 1 probe (the probe has changed)")
        );
        let found = changes(&approved, vec![snapshot(&["a", "b"])], &comparison(Verdict::Unmeasured));
        assert_eq!(kinds(&found), [ChangeKind::Stale]);
    }

    #[test]
    fn gaps_are_told_in_words() {
        let gaps = |current, stale, unseen| Tally { current, stale, unseen, why: None }.gaps();
        assert_eq!(gaps(3, 0, 0), None);
        assert_eq!(gaps(0, 0, 3).as_deref(), Some("no approved snapshot"));
        assert_eq!(gaps(2, 0, 1).as_deref(), Some("no approved snapshot of 1 probe"));
        assert_eq!(gaps(0, 2, 1).as_deref(), Some("a stale snapshot of 2 probes, and none of 1 probe"));
    }
}
