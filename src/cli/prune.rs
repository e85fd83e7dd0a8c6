//! Dropping what the policy in `[history]` no longer keeps: at once with `samemodel history prune`, and after each check.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode as Code;

use super::args::Global;
use super::args::history::Prune;
use super::history::open;
use super::{UsageError, clock, in_a_line, note, session};
use crate::config::{Config, Environment};
use crate::plural::count;
use crate::redact::Redactor;
use crate::retention::{Level, Policy};
use crate::store::{Holder, Lock, LockError, RetentionStore as _, RunId, SqliteStore, StoreError};

pub(super) async fn prune(args: &Prune, global: &Global) -> anyhow::Result<Code> {
    let loaded = Config::load(global.config.as_deref(), &Environment::of_process(), &[])?;
    let Some(policy) = Policy::new(&loaded.config.history) else {
        let what = "everything is kept: say in [history] for how many days, with `raw_days` or `sample_days`";
        return Err(UsageError(what.into()).into());
    };
    let data_dir = session::data_dir(global, &loaded.folder);
    let now = clock::now();
    let holder = Holder::this_process("samemodel history prune", now);
    let _lock = if args.dry_run { None } else { Some(Lock::acquire(&data_dir, &holder)?) };
    let store = open(global).await?;
    let planned = policy.apply(&store.retained().await?, now);
    let done = if args.dry_run { Ok(None) } else { dropped_with_room(&store, &planned).await.map(Some) };
    store.close().await?;
    let room = done?.map_or_else(
        || "nothing was dropped: this is what would be".to_owned(),
        |(before, after)| format!("the database went from {} to {}", size(before), size(after)),
    );
    note(&format!("{}; {room}", described(&planned)));
    Ok(Code::SUCCESS)
}

/// Drops what is old after a check. The room is left to later runs, since giving it back takes as much again. That another run is
/// under way, or that it fails, takes nothing from the check: the next one tries it again.
pub(super) async fn after_checks(config: &Config, data_dir: &Path) {
    let Some(policy) = Policy::new(&config.history) else { return };
    match drop_what_is_old(policy, data_dir).await {
        Ok(planned) if planned.is_empty() => {}
        Ok(planned) => note(&format!("dropped by [history]: {}", described(&planned))),
        Err(error) if matches!(error.downcast_ref(), Some(LockError::Held { .. })) => {}
        Err(error) => note(&format!("what [history] no longer keeps is still there: {}", in_a_line(&error))),
    }
}

async fn drop_what_is_old(policy: Policy, data_dir: &Path) -> anyhow::Result<Vec<(RunId, Level)>> {
    let now = clock::now();
    let _lock = Lock::acquire(data_dir, &Holder::this_process("samemodel, dropping what is old", now))?;
    let store = SqliteStore::open(data_dir, Redactor::default()).await?;
    let planned = policy.apply(&store.retained().await?, now);
    let done = reduce(&store, &planned).await;
    store.close().await?;
    done?;
    Ok(planned)
}

async fn dropped_with_room(store: &SqliteStore, planned: &[(RunId, Level)]) -> Result<(u64, u64), StoreError> {
    reduce(store, planned).await?;
    store.compact().await
}

async fn reduce(store: &SqliteStore, planned: &[(RunId, Level)]) -> Result<(), StoreError> {
    let levels: BTreeMap<RunId, Level> = planned.iter().copied().collect();
    for (run, level) in levels {
        store.reduce(&run, level).await?;
    }
    Ok(())
}

fn described(planned: &[(RunId, Level)]) -> String {
    let runs = |level| count(planned.iter().filter(|(_, to)| *to == level).count(), "run");
    let (raw, samples) = (runs(Level::WithoutRaw), runs(Level::ResultsOnly));
    format!("{raw} without what hosts sent, {samples} down to results alone")
}

fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
