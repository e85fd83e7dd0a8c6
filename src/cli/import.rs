//! `samemodel import`: samples from JSON lines into the history, all or none.

use std::collections::BTreeSet;
use std::process::ExitCode as Code;

use super::args::{Global, Import};
use super::{UsageError, clock, note, samples, session};
use crate::plural::count;
use crate::redact::Redactor;
use crate::store::{Ending, Holder, Lock, RunEnd, RunId, RunRecord, SqliteStore, Store as _};

pub(super) async fn import(args: &Import, global: &Global) -> anyhow::Result<Code> {
    let samples = samples::read(&args.files)?;
    if samples.is_empty() {
        return Err(UsageError("there are no samples in these files, so nothing was imported".into()).into());
    }
    let named: BTreeSet<&str> = samples.iter().filter_map(|s| s.model.as_deref()).collect();
    let model = match (&args.model, named.len()) {
        (Some(model), _) => model.clone(),
        (None, 1) => named.into_iter().collect(),
        (None, 0) => return Err(UsageError("the lines name no model: say --model NAME".into()).into()),
        (None, _) => {
            let list = named.into_iter().collect::<Vec<_>>().join("`, `");
            return Err(UsageError(format!("the lines name several models, `{list}`: say --model NAME")).into());
        }
    };
    let data_dir = session::data_dir(global, &session::folder(global));
    let _lock = Lock::acquire(&data_dir, &Holder::this_process("samemodel import", clock::now()))?;
    let store = SqliteStore::open(&data_dir, Redactor::default()).await?;
    let now = clock::now();
    let run = RunRecord {
        id: RunId::generate(),
        model,
        reference: args.reference.clone(),
        started_at: now,
        end: Some(RunEnd { how: Ending::Complete, at: now }),
        seed: 0,
        config_digest: String::new(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    store.import(&run, &samples).await?;
    store.close().await?;
    note(&format!("imported {} of `{}` as run {}", count(samples.len(), "sample"), run.model, run.id));
    Ok(Code::SUCCESS)
}
