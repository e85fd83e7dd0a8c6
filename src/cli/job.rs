//! A run in the store: a new one, or one that is gone on with.

use std::collections::HashSet;

use super::session::Session;
use super::{UsageError, clock};
use crate::attempt::Slot;
use crate::plan::{KnownRefusal, Plan};
use crate::probe::sha256_hex;
use crate::store::{RunId, RunRecord, Store};
use anyhow::Context as _;

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

    /// Takes up the model's latest run, or the latest that did not finish.
    pub async fn resume(store: &dyn Store, session: &mut Session, which: Resumed) -> anyhow::Result<Self> {
        let run = match which {
            Resumed::Unfinished => store.latest_unfinished(&session.name).await?,
            Resumed::Latest => store.runs().await?.into_iter().find(|run| run.model == session.name),
        };
        let run = run.ok_or_else(|| {
            let is = if which == Resumed::Latest { "kept" } else { "unfinished" };
            UsageError(format!("no run of `{}` is {is}: leave out --resume to begin one", session.name))
        })?;
        let job = Self::kept(store, session, run).await?;
        let is_answered = |request| job.answered.contains(&job.plan.slot(request));
        if which == Resumed::Latest && job.plan.requests().iter().all(|&request| is_answered(request)) {
            return Err(UsageError(format!("run {} has an answer to each of its requests", job.run.id)).into());
        }
        Ok(job)
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
