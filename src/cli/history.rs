//! `samemodel history`: runs and an endpoint's effect over time.

use std::process::ExitCode as Code;

use super::args::Global;
use super::args::history::{History, HistoryFormat, HistoryVerb};
use super::{UsageError, emit, paint, prune, session, terminal_width};
use crate::redact::Redactor;
use crate::report::View;
use crate::report::chart::Glyphs;
use crate::report::history::{HistoryReport, RunEntry};
use crate::store::{RunRecord, SqliteStore, Store as _, WatchStore as _};
use crate::suggest::nearest;

pub(super) async fn history(args: &History, global: &Global) -> anyhow::Result<Code> {
    match &args.verb {
        Some(HistoryVerb::Prune(args)) => prune::prune(args, global).await,
        None => list(args, global).await,
    }
}

/// The history that is there already.
pub(super) async fn open(global: &Global) -> anyhow::Result<SqliteStore> {
    let data_dir = session::data_dir(global, &session::folder(global));
    if !SqliteStore::path_in(&data_dir).exists() {
        let what = format!("there is no history in {}: run `samemodel check` first", data_dir.display());
        return Err(UsageError(what).into());
    }
    Ok(SqliteStore::open(&data_dir, Redactor::default()).await?)
}

/// The runs that fit, the latest first: at least one, and for a run that is meant by the beginning of its id no more.
pub(super) fn matching(runs: Vec<RunRecord>, id: Option<&str>, model: Option<&str>) -> anyhow::Result<Vec<RunRecord>> {
    let fits = |run: &RunRecord| {
        model.is_none_or(|model| run.model == model) && id.is_none_or(|id| run.id.to_string().starts_with(id))
    };
    let found: Vec<RunRecord> = runs.into_iter().filter(fits).collect();
    match (id, found.len()) {
        (None, 0) => Err(UsageError("the history has no such run: `samemodel check` makes one".into()).into()),
        (Some(_), 0) => Err(UsageError("the history has no such run: `samemodel history` lists them".into()).into()),
        (Some(id), n) if n > 1 => Err(UsageError(format!("{n} runs begin with `{id}`: give more of the id")).into()),
        _ => Ok(found),
    }
}

async fn list(args: &History, global: &Global) -> anyhow::Result<Code> {
    let store = open(global).await?;
    let report = gather(&store, args).await;
    store.close().await?;
    let report = report?;
    let stdout = std::io::stdout();
    let view = View { width: terminal_width(&stdout), paint: paint(global.color, &stdout) };
    let text = match (args.format, &args.endpoint) {
        (HistoryFormat::Json, _) => report.json(),
        (HistoryFormat::Terminal, Some(endpoint)) => report.chart(endpoint, view, glyphs()),
        (HistoryFormat::Terminal, None) => report.table(view, glyphs()),
    };
    emit(&text)?;
    Ok(Code::SUCCESS)
}

async fn gather(store: &SqliteStore, args: &History) -> anyhow::Result<HistoryReport> {
    let mut runs = store.runs().await?;
    if let Some(model) = &args.model {
        let known: Vec<String> = runs.iter().map(|run| run.model.clone()).collect();
        runs.retain(|run| run.model == *model);
        if runs.is_empty() {
            let hint = nearest(model, known.iter().map(String::as_str));
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            return Err(UsageError(format!("the history has no run of `{model}`{hint}")).into());
        }
    }
    let starts = store.started_runs().await?;
    let mut entries: Vec<RunEntry> = Vec::new();
    for run in &runs {
        if entries.len() == args.limit {
            break;
        }
        let results = store.results(&run.id).await?;
        if args.endpoint.as_ref().is_some_and(|name| !results.iter().any(|r| r.endpoint == *name)) {
            continue;
        }
        let start = starts.iter().find(|start| start.run == Some(run.id));
        let mut entry = RunEntry::new(run, start, results);
        let counts = store.counts(&run.id).await?;
        if !counts.is_empty() {
            entry.answers = counts.iter().map(|c| c.answers).sum();
            entry.errors = counts.iter().map(|c| c.failures).sum();
        }
        entries.push(entry);
    }
    if let (Some(endpoint), true) = (&args.endpoint, entries.is_empty()) {
        let of = args.model.as_ref().map_or_else(String::new, |model| format!(" of `{model}`"));
        return Err(UsageError(format!("no run{of} in the history judged an endpoint `{endpoint}`")).into());
    }
    Ok(HistoryReport::new(entries))
}

/// ASCII alone where the locale is known not to be UTF-8.
fn glyphs() -> Glyphs {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| std::env::var(name).ok()).find(|v| !v.is_empty());
    match set {
        Some(locale) if !locale.to_lowercase().replace('-', "").contains("utf8") => Glyphs::Ascii,
        _ => Glyphs::Unicode,
    }
}
