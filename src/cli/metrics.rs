//! `samemodel metrics`: what is known of each endpoint as OpenMetrics, on demand and after each run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode as Code;

use anyhow::Context as _;
use jiff::Timestamp;

use super::args::Global;
use super::args::watch::Metrics;
use super::inputs::Inputs;
use super::sink::Sink;
use super::{clock, history, in_a_line, note, part, session};
use crate::config::{Config, ConfigError, Environment, Loaded, Model};
use crate::deliver::Known;
use crate::report::openmetrics::{AlertState, ModelState, render};
use crate::retention::Standing;
use crate::schedule::Tier;
use crate::store::{RetentionStore as _, SqliteStore, Store as _, StoreError, WatchStore as _};

pub(super) async fn metrics(args: &Metrics, global: &Global) -> anyhow::Result<Code> {
    let sink = Sink::open(args.output.as_deref(), global, &[])?;
    let store = history::open(global).await?;
    let text = match configured(global) {
        Ok(models) => exposition(&store, &models).await,
        Err(error) => Err(error),
    };
    store.close().await?;
    sink.write(&text?)?;
    Ok(Code::SUCCESS)
}

/// The models of the configuration. Where none was named, what the history has is told whether it can be read or not.
fn configured(global: &Global) -> anyhow::Result<BTreeMap<String, Model>> {
    match Config::load(global.config.as_deref(), &Environment::of_process(), &[]) {
        Ok(loaded) => Ok(loaded.config.model),
        Err(error) if global.config.is_some() => Err(error.into()),
        Err(ConfigError::NotFound(_)) => Ok(BTreeMap::new()),
        Err(error) => {
            note(&format!("the metrics are without the configuration: {}", in_a_line(&error.into())));
            Ok(BTreeMap::new())
        }
    }
}

/// The file that the configuration wants written after each run.
pub(super) struct Configured {
    file: Option<PathBuf>,
    data_dir: PathBuf,
    models: BTreeMap<String, Model>,
}

impl Configured {
    /// Fails where it would take the place of what is read or kept.
    pub fn of(loaded: &Loaded, global: &Global) -> anyhow::Result<Self> {
        let file = loaded.config.metrics.file.as_ref().map(|file| loaded.resolve(file));
        if let Some(file) = &file {
            Inputs::of(global, &[]).refuse("the file of [metrics]", file)?;
        }
        let (data_dir, models) = (session::data_dir(global, &loaded.folder), loaded.config.model.clone());
        Ok(Self { file, data_dir, models })
    }

    /// Writes it, if there is one. A file that cannot be written is told of and changes no verdict; that it grows old tells
    /// whoever reads it.
    pub async fn write(&self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = self.try_write(file).await {
            note(&format!("samemodel: the metrics were not written: {}", in_a_line(&error)));
        }
    }

    async fn try_write(&self, file: &Path) -> anyhow::Result<()> {
        if !SqliteStore::path_in(&self.data_dir).exists() {
            return Ok(());
        }
        let store = SqliteStore::open(&self.data_dir, crate::redact::Redactor::default()).await?;
        let text = exposition(&store, &self.models).await;
        store.close().await?;
        replace(file, &text?)
    }
}

async fn exposition(store: &SqliteStore, configured: &BTreeMap<String, Model>) -> anyhow::Result<String> {
    let now = clock::now();
    let imported: Vec<_> =
        store.retained().await?.into_iter().filter(|r| r.standing == Standing::Imported).map(|r| r.id).collect();
    let mut runs = store.runs().await?;
    runs.retain(|run| !imported.contains(&run.id));
    let mut models: Vec<&str> = runs.iter().map(|run| run.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let mut states = Vec::new();
    for model in models {
        let results = store.results_since(model, Timestamp::MIN).await?;
        let reference = configured.get(model).map(|configured| &configured.reference);
        if let Some(state) = ModelState::of(model, &runs, &results, reference, now) {
            states.push(completed(state, store, now).await?);
        }
    }
    let Known { alerts, silences } = Known::from(store, now).await?;
    let alerts: Vec<AlertState> = alerts.into_values().map(|alert| AlertState::of(alert, &silences)).collect();
    Ok(render(&states, &alerts))
}

/// The same with what runs and results do not say: when the tiers of a watch began, and how long answers took.
async fn completed(state: ModelState, store: &SqliteStore, now: Timestamp) -> Result<ModelState, StoreError> {
    let mut starts = store.starts(&state.model, Tier::Pulse).await?;
    starts.extend(store.starts(&state.model, Tier::Full).await?);
    let mut state = state.with_starts(&starts, now);
    for run in state.latest_runs() {
        let times = store.times(&run).await?;
        state = state.with_times(run, &times);
    }
    Ok(state)
}

/// Writes a file whole or not at all: whoever reads it meanwhile sees the old one.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    // Beside the file, since a rename works within one file system alone; the ending keeps collectors from reading it.
    let part = part::beside(path).context("the path names no file").with_context(context)?;
    let written = std::fs::File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| std::fs::rename(&part, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    replaced.with_context(context)
}
