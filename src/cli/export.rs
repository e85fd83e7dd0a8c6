//! `samemodel export`: a run of the history as JSON lines.

use std::process::ExitCode as Code;

use super::args::{Export, Global};
use super::{UsageError, emit, session};
use crate::redact::Redactor;
use crate::sample::file::write_samples;
use crate::store::{RunRecord, SqliteStore, Store as _};

pub(super) async fn export(args: &Export, global: &Global) -> anyhow::Result<Code> {
    let data_dir = session::data_dir(global, &session::folder(global));
    if !SqliteStore::path_in(&data_dir).exists() {
        return Err(
            UsageError(format!("there is no history in {}: run `samemodel check` first", data_dir.display())).into()
        );
    }
    let store = SqliteStore::open(&data_dir, Redactor::default()).await?;
    let run = choose(store.runs().await?, args)?;
    let lines = store.lines(&run.id).await?;
    store.close().await?;
    let mut text = Vec::new();
    write_samples(&mut text, &lines)?;
    emit(&String::from_utf8(text)?, args.output.as_deref())?;
    Ok(Code::SUCCESS)
}

/// The latest run, or the one meant.
fn choose(runs: Vec<RunRecord>, args: &Export) -> anyhow::Result<RunRecord> {
    let by_model = |run: &RunRecord| args.model.as_ref().is_none_or(|m| run.model == *m);
    let by_id = |run: &RunRecord| args.run.as_ref().is_none_or(|id| run.id.to_string().starts_with(id.as_str()));
    let mut found: Vec<RunRecord> = runs.into_iter().filter(|run| by_model(run) && by_id(run)).collect();
    match (&args.run, found.len()) {
        (_, 0) => Err(UsageError("the history has no such run".into()).into()),
        (Some(id), n) if n > 1 => Err(UsageError(format!("{n} runs begin with `{id}`: give more of the id")).into()),
        _ => Ok(found.swap_remove(0)),
    }
}
