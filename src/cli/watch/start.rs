//! One check of a watch: what is known of the ones before, the claim on its time, and what came of it.

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};

use super::super::alarm::Telling;
use super::super::check::{self, Asked, Asker};
use super::super::session::{Overrides, Session};
use super::super::{clock, emit, in_a_line};
use super::Watcher;
use crate::redact::Redactor;
use crate::report::{Report, escape, words};
use crate::schedule::suspicion::{Cause, Caution, Finding, suspects};
use crate::schedule::{Due, Last, Tier};
use crate::store::{
    LockError, RecordedStart, RunId, SqliteStore, StartCause, StartEnd, Store as _, StoreError, WatchStart, WatchStore,
};
use crate::verdict::Verdict;

/// What is known of a model's earlier starts, the latest first.
pub(super) struct Known {
    pulses: Vec<RecordedStart>,
    fulls: Vec<RecordedStart>,
}

/// Times that are started together: the check, and what it makes needless.
pub(super) struct Claim {
    starts: Vec<WatchStart>,
}

/// What came of a claim.
pub(super) enum Started {
    /// Another watcher was faster.
    Taken,
    /// Another run is under way, and the claim was given back.
    Busy(anyhow::Error),
    /// The check failed.
    Failed(anyhow::Error),
    /// It has a report.
    Ended(Box<Report>),
}

impl Known {
    pub async fn read(store: &SqliteStore, model: &str) -> Result<Self, StoreError> {
        Ok(Self { pulses: store.starts(model, Tier::Pulse).await?, fulls: store.starts(model, Tier::Full).await? })
    }

    pub fn last(&self) -> Last {
        let due = |starts: &[RecordedStart]| starts.first().map(|s| s.start.due_at);
        Last { pulse: due(&self.pulses), full: due(&self.fulls) }
    }

    fn start(&self, model: &str, tier: Tier, cause: StartCause, times: (Timestamp, Timestamp)) -> WatchStart {
        let before = match tier {
            Tier::Pulse => &self.pulses,
            Tier::Full => &self.fulls,
        };
        let number = before.first().map_or(0, |s| s.start.number) + 1;
        WatchStart { model: model.to_owned(), tier, number, cause, due_at: times.0, started_at: times.1 }
    }

    /// The claim on a time whose turn it is at `now`.
    pub fn claim(&self, model: &str, due: Due, now: Timestamp) -> Claim {
        let mut starts = vec![self.start(model, due.tier, StartCause::Schedule, (due.at, now))];
        starts.extend(due.covers.map(|pulse| self.start(model, Tier::Pulse, StartCause::Covered, (pulse, now))));
        Claim { starts }
    }

    /// The claim on a full check, if what this pulse found calls for one at `now`.
    pub fn full_check_after(&self, pulse: &Report, cool_down: SignedDuration, now: Timestamp) -> Option<Claim> {
        let found: Vec<Finding<'_>> = pulse
            .endpoints
            .iter()
            .map(|e| Finding { endpoint: &e.endpoint, verdict: e.verdict, q_value: e.q_value })
            .collect();
        let past: Vec<Cause> = self
            .fulls
            .iter()
            .filter_map(|s| match &s.start.cause {
                StartCause::Suspicion(suspects) => Some(Cause { at: s.start.started_at, suspects: suspects.clone() }),
                StartCause::Schedule | StartCause::Covered => None,
            })
            .collect();
        let suspects = suspects(&found, &past, Caution { alpha: pulse.alpha, cool_down }, now)?;
        // Due at once: so it makes up for every full check that was due before, too.
        let start = self.start(&pulse.model, Tier::Full, StartCause::Suspicion(suspects), (now, now));
        Some(Claim { starts: vec![start] })
    }
}

impl Claim {
    pub fn model(&self) -> &str {
        &self.starts[0].model
    }

    pub fn tier(&self) -> Tier {
        self.starts[0].tier
    }

    /// Why it is made, where that is not its time.
    fn reason(&self) -> String {
        match &self.starts[0].cause {
            StartCause::Suspicion(suspects) => format!(" (suspected: {})", suspects.join(", ")),
            StartCause::Schedule | StartCause::Covered => String::new(),
        }
    }
}

/// Whether another run was in the way.
fn is_held(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(LockError::Held { .. })))
}

impl Watcher<'_> {
    pub(super) async fn store(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(&self.data_dir, Redactor::default()).await
    }

    /// Claims the times, and carries out the check that they stand for.
    pub(super) async fn start(&self, claim: &Claim) -> anyhow::Result<Started> {
        let store = self.store().await?;
        let claimed = store.claim(&claim.starts).await;
        store.close().await?;
        if !claimed.context("the check was not begun")? {
            return Ok(Started::Taken);
        }
        let checked = match self.check(claim).await {
            Err(error) if is_held(&error) => {
                let store = self.store().await?;
                let given_back = store.give_back(&claim.starts).await;
                store.close().await?;
                given_back?;
                return Ok(Started::Busy(error));
            }
            checked => checked,
        };
        // Told before it is noted, since the disk that ended the check may be what keeps it from being noted.
        tell(claim, &checked)?;
        self.note_end(claim, &checked).await?;
        Ok(checked.map_or_else(Started::Failed, |report| Started::Ended(Box::new(report))))
    }

    /// A check as `samemodel check` makes it, with what its tier changes.
    async fn check(&self, claim: &Claim) -> anyhow::Result<Report> {
        let watch = &self.config.watch;
        let tier = match claim.tier() {
            Tier::Pulse => watch.pulse.as_ref(),
            Tier::Full => watch.full.as_ref(),
        };
        let tier = tier.context("a tier that is due is configured")?;
        let overrides = Overrides {
            samples: tier.samples,
            budget: tier.budget,
            probes: tier.probes.as_deref(),
            ..Overrides::default()
        };
        let session = Session::open(self.global, Some(claim.model()), &overrides)?;
        let asked = Asked { asker: Asker::Watch, telling: Telling::People, ..Asked::default() };
        check::ask(session, asked, self.global).await
    }

    async fn note_end(&self, claim: &Claim, checked: &anyhow::Result<Report>) -> anyhow::Result<()> {
        let start = &claim.starts[0];
        let store = self.store().await?;
        let run = match checked {
            Ok(report) => Ok(report.run.as_ref().and_then(|run| run.parse::<RunId>().ok())),
            Err(_) => store.runs().await.map(|runs| {
                let own =
                    |run: &&crate::store::RunRecord| run.model == start.model && run.started_at >= start.started_at;
                runs.iter().find(own).map(|run| run.id)
            }),
        };
        let noted = match run {
            Ok(run) => {
                let verdict = checked.as_ref().ok().map(Report::overall);
                store.end_start(start, StartEnd { run, verdict }).await
            }
            Err(error) => Err(error),
        };
        store.close().await?;
        noted.context("what came of the check was not noted")
    }
}

/// Who has drifted, by name.
fn drifted(report: &Report) -> String {
    let drifted = report.endpoints.iter().filter(|e| e.verdict == Verdict::Drifted);
    let names: Vec<&str> = drifted.map(|e| e.endpoint.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" (drifted: {})", words::few(&names)) }
}

/// One line for the check on standard output.
fn tell(claim: &Claim, checked: &anyhow::Result<Report>) -> anyhow::Result<()> {
    let what = match checked {
        Ok(report) => {
            let partial = if report.partial.is_some() { ", stopped before the end" } else { "" };
            let run = report.run.as_deref().map_or_else(String::new, |run| format!("  run {run}"));
            format!("{}{}{partial}{run}", words::tally(report), drifted(report))
        }
        Err(error) => format!("failed: {}", in_a_line(error)),
    };
    let (now, model, tier) = (clock::now(), claim.model(), claim.tier());
    let line = format!("{now:.0}  {model}  {tier}{}  {what}", claim.reason());
    emit(&(escape::line(&line) + "\n"))
}
