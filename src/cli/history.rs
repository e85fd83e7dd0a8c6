//! `samemodel history`: runs and an endpoint's effect over time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode as Code;

use super::args::Global;
use super::args::history::{History, HistoryFormat, HistoryVerb};
use super::{UsageError, emit, note, paint, prune, session, terminal_width};
use crate::config::Config;
use crate::redact::Redactor;
use crate::report::View;
use crate::report::chart::Glyphs;
use crate::report::history::{HistoryReport, RunEntry};
use crate::store::{NoFolder, RunRecord, SqliteStore, Store as _, WatchStore as _};
use crate::suggest::aside;

pub(super) async fn history(args: &History, global: &Global) -> anyhow::Result<Code> {
    match &args.verb {
        Some(HistoryVerb::Prune(args)) => prune::prune(args, global).await,
        None => list(args, global).await,
    }
}

/// The history that is there already.
pub(super) async fn open(global: &Global) -> anyhow::Result<SqliteStore> {
    let data_dir = session::data_dir(global, &session::folder(global));
    is_there(&data_dir)?;
    Ok(SqliteStore::open_to_read(&data_dir, Redactor::default()).await?)
}

/// The history, or nothing where no run has made one yet.
pub(super) async fn open_if_there(global: &Global) -> anyhow::Result<Option<SqliteStore>> {
    let data_dir = session::data_dir(global, &session::folder(global));
    let is_missing = File::open(SqliteStore::path_in(&data_dir)).is_err_and(|e| e.kind() == ErrorKind::NotFound);
    if is_missing && NoFolder::found_at(&data_dir).is_none() {
        return Ok(None);
    }
    open(global).await.map(Some)
}

/// The same beside a configuration. Where that has no models either, there is nothing to look at, and that is an error.
pub(super) async fn open_beside(config: &Config, global: &Global) -> anyhow::Result<Option<SqliteStore>> {
    if config.model.is_empty() { open(global).await.map(Some) } else { open_if_there(global).await }
}

/// Fails, and says why, where there is no history that could be read: not even reading makes a folder.
fn is_there(data_dir: &Path) -> anyhow::Result<()> {
    let path = SqliteStore::path_in(data_dir);
    let dir = data_dir.display();
    let Err(error) = File::open(&path) else { return Ok(()) };
    if let Some(other) = NoFolder::found_at(data_dir) {
        return Err(UsageError(other.to_string()).into());
    }
    let what = match error.kind() {
        ErrorKind::NotFound => format!("there is no history in {dir}: run `samemodel check` first"),
        ErrorKind::PermissionDenied => {
            format!("{} cannot be read: {error}; its owner alone may read it, unless that is changed", path.display())
        }
        _ => format!("{} cannot be read: {error}", path.display()),
    };
    Err(UsageError(what).into())
}

/// The runs that fit, the latest first: at least one, and for a run that is meant by the beginning of its id no more.
pub(super) fn matching(runs: Vec<RunRecord>, id: Option<&str>, model: Option<&str>) -> anyhow::Result<Vec<RunRecord>> {
    let fits = |run: &RunRecord| {
        model.is_none_or(|model| run.model == model) && id.is_none_or(|id| run.id.to_string().starts_with(id))
    };
    let known = models(&runs);
    let found: Vec<RunRecord> = runs.into_iter().filter(fits).collect();
    if let (None, Some(model), true, false) = (id, model, found.is_empty(), known.is_empty()) {
        return Err(no_run_of(model, &known).into());
    }
    match (id, found.len()) {
        (None, 0) => Err(UsageError("the history has no such run: `samemodel check` makes one".into()).into()),
        (Some(_), 0) => Err(UsageError("the history has no such run: `samemodel history` lists them".into()).into()),
        (Some(id), n) if n > 1 => Err(UsageError(format!("{n} runs begin with `{id}`: give more of the id")).into()),
        _ => Ok(found),
    }
}

/// The models that runs are of.
fn models(runs: &[RunRecord]) -> BTreeSet<String> {
    runs.iter().map(|run| run.model.clone()).collect()
}

fn no_run_of(model: &str, known: &BTreeSet<String>) -> UsageError {
    let hint = aside(model, known.iter().map(String::as_str));
    UsageError(format!("the history has no run of `{model}`{hint}"))
}

async fn list(args: &History, global: &Global) -> anyhow::Result<Code> {
    let store = open(global).await?;
    let found = gather(&store, args).await;
    store.close().await?;
    let (report, endpoint) = found?;
    if report.runs.is_empty() && args.format == HistoryFormat::Terminal {
        note("no runs yet: `samemodel check` makes one");
    }
    let stdout = std::io::stdout();
    let view = View { width: terminal_width(&stdout), paint: paint(global.color, &stdout) };
    let text = match (args.format, &endpoint) {
        (HistoryFormat::Json, _) => report.json(),
        (HistoryFormat::Terminal, Some(endpoint)) => report.chart(endpoint, view, glyphs()),
        (HistoryFormat::Terminal, None) => report.table(view, glyphs()),
    };
    emit(&text)?;
    Ok(Code::SUCCESS)
}

/// The model and the endpoint that are meant, given the models that there are: `m/alpha` is the endpoint `alpha` of `m`, as alerts
/// name it.
fn meant(args: &History, runs: &[RunRecord]) -> (Option<String>, Option<String>) {
    let is_known = |name: &str| runs.iter().any(|run| run.model == name);
    let named = args.model.as_deref().or(args.flagged_model.as_deref());
    let both = named.filter(|model| !is_known(model) && args.endpoint.is_none());
    match both.and_then(|both| both.rsplit_once('/')).filter(|(model, _)| is_known(model)) {
        Some((model, endpoint)) => (Some(model.to_owned()), Some(endpoint.to_owned())),
        None => (named.map(str::to_owned), args.endpoint.clone()),
    }
}

/// The runs that are meant, and the endpoint if one is.
async fn gather(store: &SqliteStore, args: &History) -> anyhow::Result<(HistoryReport, Option<String>)> {
    let mut runs = store.runs().await?;
    let (model, endpoint) = meant(args, &runs);
    if let Some(model) = &model {
        let known = models(&runs);
        runs.retain(|run| run.model == *model);
        if runs.is_empty() {
            return Err(no_run_of(model, &known).into());
        }
    }
    let starts = store.started_runs().await?;
    let mut entries: Vec<RunEntry> = Vec::new();
    let mut judged: BTreeSet<String> = BTreeSet::new();
    for run in &runs {
        if entries.len() == args.limit as usize {
            break;
        }
        let results = store.results(&run.id).await?;
        judged.extend(results.iter().map(|r| r.endpoint.clone()));
        if endpoint.as_ref().is_some_and(|name| !results.iter().any(|r| r.endpoint == *name)) {
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
    if let (Some(endpoint), true) = (&endpoint, entries.is_empty()) {
        return Err(never_judged(endpoint, model.as_deref(), &judged).into());
    }
    Ok((HistoryReport::new(entries), endpoint))
}

fn never_judged(endpoint: &str, model: Option<&str>, judged: &BTreeSet<String>) -> UsageError {
    let of = model.map_or_else(String::new, |model| format!(" of `{model}`"));
    let hint = aside(endpoint, judged.iter().map(String::as_str));
    UsageError(format!("no run{of} in the history judged an endpoint `{endpoint}`{hint}"))
}

/// ASCII alone where the locale is known not to be UTF-8.
fn glyphs() -> Glyphs {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| std::env::var(name).ok()).find(|v| !v.is_empty());
    match set {
        Some(locale) if !locale.to_lowercase().replace('-', "").contains("utf8") => Glyphs::Ascii,
        _ => Glyphs::Unicode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_no_run_judged_is_told_with_those_that_were() {
        let judged = BTreeSet::from(["alpha", "beta"].map(str::to_owned));
        let told = never_judged("zeta9", Some("m"), &judged).to_string();
        assert_eq!(told, "no run of `m` in the history judged an endpoint `zeta9`; known here: `alpha`, `beta`");
        assert!(never_judged("alpa", None, &judged).to_string().ends_with("; did you mean `alpha`?"));
    }
}
