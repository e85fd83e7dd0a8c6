//! The approved snapshots of a model, as a run uses them: read before anything is spent, and what changed written after it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::job::Job;
use super::session::{Breadth, Session};
use super::{UsageError, clock, note};
use crate::compare::Comparison;
use crate::config::Reference;
use crate::plan::Plan;
use crate::report::words::count;
use crate::report::{EndpointReport, SnapshotCounts};
use crate::sample::Sample;
use crate::snapshot::standing::{Approved, Standing, changes, taken};
use crate::snapshot::update::{Place, Written};
use crate::snapshot::waiting::has_drifted;
use crate::snapshot::{ChangeKind, Folder, Snapshot, State, Update};
use crate::verdict::Verdict;

/// The approved snapshots of a model's endpoints, and what becomes of changed ones.
pub(super) struct Shelf {
    folder: Folder,
    found: Vec<Snapshot>,
    update: Update,
    place: Place,
    scope: Scope,
    breadth: Breadth,
    purpose: Purpose,
}

/// What approved snapshots are needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To be held against, and what changed is looked after.
    Keeping,
    /// To be held against and nothing else.
    Reading,
}

/// What became of what a run would have reviewed.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Snapshots.
    pub counts: SnapshotCounts,
    /// Answers by endpoint, and where they were written.
    answers: BTreeMap<String, Vec<(Option<Written>, usize)>>,
}

impl Settled {
    fn count(&mut self, snapshot: &Snapshot, to: Option<Written>) {
        *match to {
            Some(Written::Waiting) => &mut self.counts.waiting,
            Some(Written::Approved) => &mut self.counts.approved,
            None => &mut self.counts.unwritten,
        } += 1;
        self.answers.entry(snapshot.head.endpoint.clone()).or_default().push((to, snapshot.head.samples));
    }

    /// What became of an endpoint's answers, in words that follow what is missing of its snapshots.
    pub fn told(&self, endpoint: &str) -> String {
        let of = |to| {
            let here = self.answers.get(endpoint).into_iter().flatten();
            here.filter(|(where_to, _)| *where_to == to).map(|(_, n)| n).sum::<usize>()
        };
        let told = [(Some(Written::Waiting), "review"), (Some(Written::Approved), "approved"), (None, "unwritten")];
        let parts = told.into_iter().filter_map(|(to, how)| match (of(to), how) {
            (0, _) => None,
            (1, "review") => Some("1 answer waits for review".to_owned()),
            (n, "review") => Some(format!("{n} answers wait for review")),
            (1, "approved") => Some("1 answer is approved now".to_owned()),
            (n, "approved") => Some(format!("{n} answers are approved now")),
            (n, _) => Some(format!("{} to review, and nothing is written", count(n, "answer"))),
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "no probe has all its answers".to_owned() } else { parts.join(", ") }
    }
}

/// Which endpoints' answers are kept as snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// Of these, from the first run on.
    All(Vec<String>),
    /// Of this one, once somebody has approved some.
    Approved(String),
    /// Of none.
    None,
}

impl Shelf {
    /// Reads what was approved of the model's endpoints. A file that cannot be read is an error: left out, it would make a green
    /// run of an unknown one.
    pub fn open(session: &Session) -> anyhow::Result<Self> {
        let word = |name: &str| session.environment.get(name).map(|value| value.to_string_lossy().into_owned());
        let update = word("SAMEMODEL_UPDATE").unwrap_or_default().parse().map_err(|error| {
            let error: crate::snapshot::update::UnknownUpdate = error;
            UsageError(error.to_string())
        })?;
        let is_kept = |name: &&str| Some(*name) != session.model.control.as_deref();
        let scope = match &session.model.reference {
            Reference::Snapshot => {
                let names = session.model.endpoint.iter().map(|e| e.name.as_str());
                Scope::All(names.filter(is_kept).map(str::to_owned).collect())
            }
            Reference::Endpoint(name) => Scope::Approved(name.clone()),
            Reference::Recorded(_) => Scope::None,
        };
        let folder = Folder::within(&session.loaded.folder);
        let found = approved_of(&folder, &session.name, scope.endpoints())?;
        let place = Place::of(word("CI").as_deref());
        Ok(Self { folder, found, update, place, scope, breadth: session.breadth, purpose: Purpose::Keeping })
    }

    /// The same with another word for what is written.
    pub fn with_update(self, update: Option<Update>) -> Self {
        Self { update: update.unwrap_or(self.update), ..self }
    }

    /// The same to be read alone: of what changed nothing is written and nothing is said.
    pub fn read_only(self) -> Self {
        Self { purpose: Purpose::Reading, ..self }
    }

    /// Whether what changed is looked after.
    pub fn is_kept(&self) -> bool {
        self.purpose == Purpose::Keeping
    }

    /// Snapshots of these endpoints that were approved after this time.
    pub fn approved_since(&self, endpoints: &[String], then: Timestamp) -> usize {
        let is_later =
            |s: &&Snapshot| endpoints.contains(&s.head.endpoint) && s.head.approved.is_some_and(|at| at > then);
        self.found.iter().filter(is_later).count()
    }

    /// The approved snapshots beside what a plan asks.
    pub fn beside(&self, plan: &Plan, session: &Session) -> Approved {
        Approved::new(self.found.iter().cloned(), plan, |endpoint, planned| session.asked_with(endpoint, planned, plan))
    }

    /// Writes what has to be reviewed, takes away what no longer has to be, and says so. `compared` is the run's comparison, and
    /// that of the reference with its past.
    pub fn settle(
        &self,
        job: &Job,
        samples: &[Sample],
        approved: &Approved,
        compared: (&Comparison, Option<&EndpointReport>),
    ) -> anyhow::Result<Option<Settled>> {
        let is_kept = |name: &&String| match &self.scope {
            Scope::Approved(name) => approved.tally(&job.plan, name).is_some(),
            Scope::All(_) => job.plan.endpoints.contains(name),
            Scope::None => false,
        };
        let endpoints: Vec<String> = self.scope.endpoints().iter().filter(is_kept).cloned().collect();
        if endpoints.is_empty() || !self.is_kept() {
            return Ok(None);
        }
        let taken = taken(&job.plan, &endpoints, samples, &format!("run {}", job.run.id));
        let comparison = with_the_reference(compared.0, compared.1);
        let mut changed = changes(approved, taken, &comparison);
        let mut settled = Settled::default();
        for endpoint in &endpoints {
            let (of_this, others) = changed.into_iter().partition(|s: &Snapshot| s.head.endpoint == *endpoint);
            changed = others;
            let verdict = comparison.endpoints.iter().find(|e| e.endpoint == *endpoint).map(|e| e.verdict);
            self.settle_endpoint((&job.plan, approved, endpoint), of_this, verdict, &mut settled)?;
        }
        self.tell(settled.counts);
        Ok(Some(settled))
    }

    /// What waits of an endpoint is of one run. A run that has something to propose replaces all of it; one that finds the endpoint
    /// consistent takes away what has been disproved; and any other leaves it as it stands, since it knows no better.
    fn settle_endpoint(
        &self,
        (plan, approved, endpoint): (&Plan, &Approved, &str),
        changed: Vec<Snapshot>,
        verdict: Option<Verdict>,
        settled: &mut Settled,
    ) -> anyhow::Result<()> {
        let waiting = self.folder.waiting_of(&plan.model, endpoint)?;
        let name = |s: &Snapshot| Folder::name_of(&s.head.model, &s.head.endpoint, &s.head.probe);
        let asked: BTreeMap<String, &str> = plan
            .probes
            .iter()
            .map(|p| p.probe.id.as_str())
            .map(|probe| (Folder::name_of(&plan.model, endpoint, probe), probe))
            .collect();
        let is_approved = |waits: &str| {
            let standing = asked.get(waits).and_then(|probe| approved.standing(endpoint, probe));
            matches!(standing, Some(Standing::Current(_)))
        };
        let covers = self.breadth == Breadth::Whole || waiting.iter().all(|waits| asked.contains_key(waits));
        let writes = self.update.tidies(self.place);
        let replaces = writes && !changed.is_empty() && (covers || verdict == Some(Verdict::Drifted));
        let stays = |waits: &String| match verdict {
            _ if replaces => changed.iter().any(|new| name(new) == *waits),
            Some(Verdict::Consistent) if writes => !is_approved(waits) && !self.is_of_drift(waits),
            _ => true,
        };
        let (left, gone): (Vec<String>, Vec<String>) = waiting.into_iter().partition(stays);
        for name in &gone {
            self.folder.reject(name)?;
        }
        if !replaces {
            settled.counts.earlier += left.len();
        }
        let now = clock::now();
        // What a run of a few probes would add must not displace what one of all has left.
        for snapshot in changed.into_iter().filter(|_| replaces || !writes) {
            let kind = snapshot.head.change.as_ref().map_or(ChangeKind::Unseen, |c| c.kind);
            let to = self.update.of_change(kind, self.place);
            settled.count(&snapshot, to);
            if let Some(to) = to {
                self.folder.write(snapshot, to, now)?;
            }
        }
        Ok(())
    }

    /// Whether what waits under this name was left by a run that found drift; so it is taken to be where it cannot be read.
    fn is_of_drift(&self, name: &str) -> bool {
        let read = self.folder.read(name, State::Waiting).ok().flatten();
        read.is_none_or(|snapshot| has_drifted(&snapshot.head))
    }

    fn tell(&self, counts: SnapshotCounts) {
        let SnapshotCounts { waiting, approved: written, unwritten: left, earlier } = counts;
        let of = |n| count(n, "snapshot");
        let wait = |n: usize| if n == 1 { "waits" } else { "wait" };
        let path = self.folder.path().display();
        if written > 0 {
            note(&format!("{} written to {path} as approved", of(written)));
        }
        if waiting > 0 {
            note(&format!("{} {} for review in {path}: samemodel review", of(waiting), wait(waiting)));
        }
        if earlier > 0 {
            note(&format!("{} of an earlier run still {}: samemodel pending", of(earlier), wait(earlier)));
        }
        if left > 0 {
            let why = if self.update == Update::No { "nothing is to be written" } else { "this is CI" };
            note(&format!("{} would change and none was written, since {why}", of(left)));
        }
    }
}

impl Scope {
    fn endpoints(&self) -> &[String] {
        match self {
            Self::All(names) => names,
            Self::Approved(name) => std::slice::from_ref(name),
            Self::None => &[],
        }
    }
}

/// The comparison with the reference's own added, so that what waits of it says why.
fn with_the_reference(comparison: &Comparison, reference: Option<&EndpointReport>) -> Comparison {
    let mut out = comparison.clone();
    if let Some(report) = reference {
        let mut found = crate::compare::EndpointComparison::unmeasured(&report.endpoint, &report.reason);
        (found.verdict, found.effect) = (report.verdict, report.effect.clone());
        (found.findings, found.probes) = (report.findings.clone(), report.probes.clone());
        out.endpoints.push(found);
    }
    out
}

/// All approved snapshots of these endpoints.
fn approved_of(folder: &Folder, model: &str, endpoints: &[String]) -> anyhow::Result<Vec<Snapshot>> {
    let prefixes: Vec<String> = endpoints.iter().map(|e| Folder::name_of_endpoint(model, e) + "/").collect();
    let mut found = Vec::new();
    for entry in folder.entries()? {
        if entry.state == State::Approved && prefixes.iter().any(|prefix| entry.name.starts_with(prefix.as_str())) {
            found.extend(folder.read(&entry.name, State::Approved)?);
        }
    }
    Ok(found)
}
