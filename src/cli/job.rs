//! A run in the store: a new one, or one that is gone on with.

use std::collections::HashSet;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::session::Session;
use super::{UsageError, clock, note};
use crate::attempt::Slot;
use crate::config::Reference;
use crate::plan::{KnownRefusal, Plan};
use crate::probe::sha256_hex;
use crate::report::words::{count, short_id};
use crate::store::{RunId, RunRecord, Store};

/// What is asked in this run, and what of it is answered already.
pub(super) struct Job {
    pub run: RunRecord,
    pub plan: Plan,
    pub answered: HashSet<Slot>,
}

/// Which run is gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resumed {
    /// The latest that did not finish.
    Unfinished,
    /// The latest, to ask once more for what was given up.
    Latest,
}

impl Job {
    /// Plans a new run and keeps it.
    ///
    /// What endpoints are known to refuse is left out of it.
    pub async fn begin(
        store: &dyn Store,
        session: &Session,
        seed: u64,
        refusals: &[KnownRefusal],
    ) -> anyhow::Result<Self> {
        let mut plan = session.plan(seed)?;
        plan.leave_out(refusals);
        let started_at = clock::now();
        let run = RunRecord {
            id: RunId::at(started_at),
            model: session.name.clone(),
            reference: session.reference_name().to_owned(),
            started_at,
            end: None,
            seed,
            config_digest: sha256_hex(serde_json::to_string(&session.loaded.config)?.as_bytes()),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        store.create_run(&run, &serde_json::to_string(&plan)?).await?;
        Ok(Self { run, plan, answered: HashSet::new() })
    }

    /// Takes up the model's latest run, or the latest that did not finish, of those that are held against the same as this one; and
    /// says which it is.
    pub async fn resume(store: &dyn Store, session: &mut Session, which: Resumed) -> anyhow::Result<Self> {
        let mut runs = store.runs().await?;
        runs.retain(|run| run.model == session.name);
        let reference = session.reference_name().to_owned();
        let is_meant =
            |run: &&RunRecord| run.reference == reference && (which == Resumed::Latest || run.is_unfinished());
        let Some(run) = runs.iter().find(is_meant).cloned() else {
            return Err(nothing_to_resume(store, session, which, &runs).await.into());
        };
        let newer = runs.into_iter().next().filter(|latest| latest.id != run.id);
        let job = Self::kept(store, session, run).await?;
        if which == Resumed::Latest && job.open() == 0 {
            return Err(UsageError(format!("run {} has an answer to each of its requests", job.run.id)).into());
        }
        note(&job.going_on(newer.as_ref()));
        Ok(job)
    }

    /// Planned requests that have no answer yet.
    fn open(&self) -> usize {
        self.plan.requests().into_iter().filter(|&request| !self.answered.contains(&self.plan.slot(request))).count()
    }

    /// Which run is gone on with, how far it is, and whether it is the latest of its model.
    fn going_on(&self, newer: Option<&RunRecord>) -> String {
        let planned = self.plan.requests().len();
        let answered = planned - self.open();
        let told = format!("going on with run {}, {answered} of {planned} answered", named(&self.run));
        let newer = newer.map(|newer| {
            let of = &newer.model;
            format!("; `{of}` has a newer run, {}: leave out --resume to begin anew", named(newer))
        });
        told + &newer.unwrap_or_default()
    }

    /// A run as it was asked: what its plan says of sampling replaces what the configuration says now.
    pub async fn kept(store: &dyn Store, session: &mut Session, run: RunRecord) -> anyhow::Result<Self> {
        let text = store.plan(&run.id).await?.ok_or_else(|| {
            UsageError(format!(
                "run {0} has no plan, as it was imported: `samemodel export {0}` writes what it holds, for `samemodel compare`",
                run.id
            ))
        })?;
        let plan: Plan =
            serde_json::from_str(&text).with_context(|| format!("the plan of run {} cannot be read", run.id))?;
        let answered = store.answered(&run.id).await?;
        if let Some(gone) = plan.endpoints.iter().find(|name| !session.model.endpoint.iter().any(|e| e.name == **name))
        {
            return Err(UsageError(format!(
                "run {} asked endpoint `{gone}`, which the configuration no longer has: put it back, or begin a new run",
                run.id
            ))
            .into());
        }
        plan.sampling.clone().apply(&mut session.defaults);
        Ok(Self { run, plan, answered })
    }
}

/// A run for people: the beginning of its id, which names it, and when it began by the clock on the wall.
fn named(run: &RunRecord) -> String {
    format!("{} of {}", short_id(&run.id.to_string()), local(run.started_at))
}

fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Why no run can be gone on with, given all runs of the model, the latest first; and what can be done instead.
async fn nothing_to_resume(store: &dyn Store, session: &mut Session, which: Resumed, runs: &[RunRecord]) -> UsageError {
    let is = if which == Resumed::Latest { "kept" } else { "unfinished" };
    let told = format!("no run of `{}` is {is}", session.name);
    let mut more = Vec::new();
    let reference = session.reference_name().to_owned();
    let latest = runs.iter().find(|run| run.reference == reference && which == Resumed::Unfinished);
    if let Some(latest) = latest.cloned() {
        // One that can no longer be read has nothing to be gone on with.
        let open = Job::kept(store, session, latest).await.map_or(0, |job| job.open());
        if open > 0 {
            let were = if open == 1 { "was" } else { "were" };
            let given_up = count(open, "request");
            more.push(format!("{given_up} of the latest {were} given up: --resume --retry-given-up asks once more"));
        }
    }
    if let Some(other) = runs.iter().find(|run| run.reference != reference && run.is_unfinished()) {
        more.push(format!("run {}, {}", named(other), how_to_resume(other)));
    }
    let begin = "leave out --resume to begin one";
    UsageError(if more.is_empty() {
        format!("{told}: {begin}")
    } else {
        format!("{told}; {}; or {begin}", more.join("; "))
    })
}

/// Which command goes on with a run that is held against something else.
fn how_to_resume(run: &RunRecord) -> String {
    if run.reference == Reference::SNAPSHOT {
        "held against approved snapshots, is: `samemodel test --resume` goes on with it".to_owned()
    } else {
        format!("held against `{}`, is: `samemodel check --resume` with that reference goes on with it", run.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_the_beginning_of_its_id_and_a_time() {
        let at = Timestamp::UNIX_EPOCH;
        let run = RunRecord {
            id: RunId::at(at),
            model: "m".into(),
            reference: Reference::SNAPSHOT.into(),
            started_at: at,
            end: None,
            seed: 1,
            config_digest: String::new(),
            tool_version: String::new(),
        };
        assert!(run.id.to_string().starts_with("00000000-0000"));
        assert!(named(&run).starts_with("00000000-0000 of 19"), "{}", named(&run));
        assert!(run.is_unfinished() && how_to_resume(&run).contains("samemodel test --resume"));
    }
}
