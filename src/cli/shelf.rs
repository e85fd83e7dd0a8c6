//! The approved snapshots of a model, as a run uses them: read before anything is spent, and what changed written after it.

use super::job::Job;
use super::session::Session;
use super::{UsageError, clock, note};
use crate::compare::Comparison;
use crate::config::Reference;
use crate::plan::Plan;
use crate::report::{EndpointReport, SnapshotCounts};
use crate::sample::Sample;
use crate::snapshot::standing::{Approved, Standing, changes, taken};
use crate::snapshot::update::{Place, Written};
use crate::snapshot::{ChangeKind, Folder, Snapshot, State, Update};
use crate::verdict::Verdict;

/// The approved snapshots of a model's endpoints, and what becomes of changed ones.
pub(super) struct Shelf {
    folder: Folder,
    found: Vec<Snapshot>,
    update: Update,
    place: Place,
    scope: Scope,
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
        Ok(Self { folder, found, update, place: Place::of(word("CI").as_deref()), scope })
    }

    /// The same with another word for what is written.
    pub fn with_update(self, update: Option<Update>) -> Self {
        Self { update: update.unwrap_or(self.update), ..self }
    }

    /// The approved snapshots beside what a plan asks.
    pub fn beside(&self, plan: &Plan) -> Approved {
        Approved::new(self.found.iter().cloned(), plan)
    }

    /// Writes what has to be reviewed, takes away what no longer has to be, and says so. `compared` is the run's comparison, and
    /// that of the reference with its past.
    pub fn settle(
        &self,
        job: &Job,
        samples: &[Sample],
        approved: &Approved,
        compared: (&Comparison, Option<&EndpointReport>),
    ) -> anyhow::Result<Option<SnapshotCounts>> {
        let is_kept = |name: &&String| match &self.scope {
            Scope::Approved(name) => approved.tally(&job.plan, name).unseen < job.plan.probes.len(),
            Scope::All(_) => job.plan.endpoints.contains(name),
            Scope::None => false,
        };
        let endpoints: Vec<String> = self.scope.endpoints().iter().filter(is_kept).cloned().collect();
        if endpoints.is_empty() {
            return Ok(None);
        }
        let taken = taken(&job.plan, &endpoints, samples, &format!("run {}", job.run.id));
        let comparison = with_the_reference(compared.0, compared.1);
        self.tidy(&taken, approved, &comparison)?;
        let mut counts = SnapshotCounts::default();
        let now = clock::now();
        for snapshot in changes(approved, taken, &comparison) {
            let kind = snapshot.head.change.as_ref().map_or(ChangeKind::Unseen, |c| c.kind);
            let to = self.update.of_change(kind, self.place);
            if let Some(to) = to {
                self.folder.write(snapshot, to, now)?;
            }
            *match to {
                Some(Written::Waiting) => &mut counts.waiting,
                Some(Written::Approved) => &mut counts.approved,
                None => &mut counts.unwritten,
            } += 1;
        }
        self.tell(counts);
        Ok(Some(counts))
    }

    /// Takes away what waits for review of probes whose approved answers came again.
    fn tidy(&self, taken: &[Snapshot], approved: &Approved, comparison: &Comparison) -> anyhow::Result<()> {
        if !self.update.tidies(self.place) {
            return Ok(());
        }
        let agrees =
            |name: &str| comparison.endpoints.iter().any(|e| e.endpoint == name && e.verdict == Verdict::Consistent);
        for head in taken.iter().map(|s| &s.head).filter(|head| agrees(&head.endpoint)) {
            if matches!(approved.standing(&head.endpoint, &head.probe), Some(Standing::Current(_))) {
                self.folder.reject(&Folder::name_of(&head.model, &head.endpoint, &head.probe))?;
            }
        }
        Ok(())
    }

    fn tell(&self, counts: SnapshotCounts) {
        let SnapshotCounts { waiting, approved: written, unwritten: left } = counts;
        let of = |n: usize| if n == 1 { "1 snapshot".to_owned() } else { format!("{n} snapshots") };
        let wait = |n: usize| if n == 1 { "waits" } else { "wait" };
        let path = self.folder.path().display();
        if written > 0 {
            note(&format!("{} written to {path} as approved", of(written)));
        }
        if waiting > 0 {
            note(&format!("{} {} for review in {path}: samemodel review", of(waiting), wait(waiting)));
        }
        if left > 0 {
            let why = if self.update == Update::No { "SAMEMODEL_UPDATE is no" } else { "this is CI" };
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
