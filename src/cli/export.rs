//! `samemodel export`: samples, results or attempts of the history as JSON lines or CSV.

use std::collections::BTreeMap;
use std::process::ExitCode as Code;

use jiff::Timestamp;

use super::args::Global;
use super::args::history::{Export, ExportFormat, What};
use super::history;
use super::sink::Sink;
use crate::report::csv::{self, Table};
use crate::report::tabular;
use crate::sample::file::write_samples;
use crate::store::{RecordedResult, RunId, RunRecord, SqliteStore, Store as _};

pub(super) async fn export(args: &Export, global: &Global) -> anyhow::Result<Code> {
    let sink = Sink::open(args.output.as_deref(), global, &[])?;
    let store = history::open(global).await?;
    let text = exported(&store, args).await;
    store.close().await?;
    sink.write(&text?)?;
    Ok(Code::SUCCESS)
}

async fn exported(store: &SqliteStore, args: &Export) -> anyhow::Result<String> {
    let runs = chosen(store.runs().await?, args)?;
    let latest = |runs: &[RunRecord]| runs[0].id;
    Ok(match (args.what, args.format) {
        (What::Samples, ExportFormat::Jsonl) => {
            let mut text = Vec::new();
            write_samples(&mut text, &store.lines(&latest(&runs)).await?)?;
            String::from_utf8(text)?
        }
        (What::Samples, ExportFormat::Csv) => csv::render(&tabular::samples(&store.lines(&latest(&runs)).await?)),
        (What::Attempts, format) => written(&tabular::attempts(&store.attempts(&latest(&runs)).await?), format),
        (What::Results, format) => written(&tabular::results(&results(store, runs).await?), format),
    })
}

fn written(table: &Table, format: ExportFormat) -> String {
    match format {
        ExportFormat::Csv => csv::render(table),
        ExportFormat::Jsonl => tabular::json_lines(table),
    }
}

/// Runs with their results, the earliest first.
async fn results(store: &SqliteStore, runs: Vec<RunRecord>) -> anyhow::Result<Vec<(RunRecord, Vec<RecordedResult>)>> {
    let mut models: Vec<String> = runs.iter().map(|run| run.model.clone()).collect();
    models.sort_unstable();
    models.dedup();
    let mut by_run: BTreeMap<RunId, Vec<RecordedResult>> = BTreeMap::new();
    for model in models {
        for result in store.results_since(&model, Timestamp::MIN).await? {
            by_run.entry(result.run).or_default().push(result);
        }
    }
    let of = |run: RunRecord| {
        let own = by_run.remove(&run.id).unwrap_or_default();
        (run, own)
    };
    Ok(runs.into_iter().rev().map(of).collect())
}

/// The runs that are meant, the latest first; of a run's id, the beginning is enough.
fn chosen(runs: Vec<RunRecord>, args: &Export) -> anyhow::Result<Vec<RunRecord>> {
    history::matching(runs, args.run.as_deref(), args.model.as_deref())
}
