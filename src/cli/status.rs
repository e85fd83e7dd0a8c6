//! `samemodel status`: how what is watched stands, from the history, the snapshots and the configuration.

use std::collections::BTreeMap;
use std::process::ExitCode as Code;

use jiff::{SignedDuration, Timestamp};

use super::args::Global;
use super::args::watch::{Status, StatusFormat};
use super::{UsageError, clock, emit, history, paint, session, terminal_width, watch};
use crate::alert::{Alert, Message, fits};
use crate::config::{Config, ConfigError, Environment, Model};
use crate::deliver::words;
use crate::exit::ExitCode;
use crate::report::View;
use crate::report::status::{
    AlertStatus, EndpointStatus, LatestVerdict, MessageStatus, ModelStatus, NextCheck, OpenRun, SCHEMA, SilenceStatus,
    StatusReport,
};
use crate::snapshot::{Folder, State};
use crate::store::{
    AlertStore as _, OutboxEntry, RecordedResult, RunRecord, Silence, SqliteStore, Store as _, StoreError,
    latest_results,
};
use crate::suggest::aside;

/// How far back messages are shown that were given up.
const SHOWN: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) async fn status(args: &Status, global: &Global) -> anyhow::Result<Code> {
    let config = configuration(global)?;
    let folder = Folder::within(&session::folder(global));
    let store = history::open_beside(&config, global).await?;
    let desk = Desk { config: &config, folder: &folder, store: store.as_ref(), now: clock::now() };
    let report = desk.report(args.model.as_deref()).await;
    if let Some(store) = store {
        store.close().await?;
    }
    let report = report?;
    let stdout = std::io::stdout();
    let view = View { width: terminal_width(&stdout), paint: paint(global.color, &stdout) };
    emit(&match args.format {
        StatusFormat::Terminal => report.screen(view),
        StatusFormat::Json => report.json(),
    })?;
    Ok(if report.is_firing() { ExitCode::Drifted } else { ExitCode::Consistent }.into())
}

/// The configuration; where none is named and none is there, one without models: the lab leaves runs then, too.
pub(super) fn configuration(global: &Global) -> Result<Config, ConfigError> {
    let environment = Environment::of_process();
    match Config::load(global.config.as_deref(), &environment, &[]) {
        Ok(loaded) => Ok(loaded.config),
        Err(ConfigError::NotFound(_)) if global.config.is_none() => Config::load_without_file(&environment, &[]),
        Err(error) => Err(error),
    }
}

/// Where it is looked up.
struct Desk<'a> {
    config: &'a Config,
    folder: &'a Folder,
    /// Absent before the first check.
    store: Option<&'a SqliteStore>,
    now: Timestamp,
}

/// What the history holds that is not of one model alone.
#[derive(Default)]
struct Kept {
    runs: Vec<RunRecord>,
    alerts: Vec<Alert>,
    silences: Vec<Silence>,
    outbox: Vec<OutboxEntry>,
}

impl Kept {
    async fn read(store: &SqliteStore, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            runs: store.runs().await?,
            alerts: store.alerts().await?,
            silences: store.silences(now).await?,
            outbox: store.outbox(now - SHOWN).await?,
        })
    }
}

impl Desk<'_> {
    /// Of this model, or of all that is watched.
    async fn report(&self, named: Option<&str>) -> anyhow::Result<StatusReport> {
        let kept = match self.store {
            Some(store) => Kept::read(store, self.now).await?,
            None => Kept::default(),
        };
        let Kept { runs, mut alerts, mut silences, outbox } = kept;
        let mut models = Vec::new();
        for name in self.models(named, &runs)? {
            models.push(self.model(name, &runs).await?);
        }
        let is_meant = |model: &str| named.is_none_or(|named| named == model);
        alerts.retain(|alert| is_meant(&alert.subject.model));
        silences.retain(|silence| named.is_none_or(|named| fits(&silence.model, named)));
        let message = |entry: OutboxEntry| {
            let message: Option<Message> = serde_json::from_str(&entry.notification.event).ok();
            let about = message.as_ref().filter(|message| is_meant(&message.model))?;
            MessageStatus::of(entry, words::headline(about), self.now)
        };
        Ok(StatusReport {
            schema: SCHEMA.to_owned(),
            at: self.now.to_string(),
            models,
            alerts: AlertStatus::all(alerts, &silences, self.config),
            silences: silences.into_iter().map(SilenceStatus::from).collect(),
            messages: outbox.into_iter().filter_map(message).collect(),
        })
    }

    /// The model that is meant, or those that are watched; without a configuration, those of the history.
    fn models(&self, named: Option<&str>, runs: &[RunRecord]) -> Result<Vec<String>, UsageError> {
        let configured = self.config.model.keys();
        let mut known: Vec<String> = configured.chain(runs.iter().map(|run| &run.model)).cloned().collect();
        known.sort_unstable();
        known.dedup();
        match named {
            Some(name) if known.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
            Some(name) => {
                let hint = aside(name, known.iter().map(String::as_str));
                Err(UsageError(format!("neither the configuration nor the history has a model `{name}`{hint}")))
            }
            None if !self.config.watch.models.is_empty() => Ok(self.config.watch.models.clone()),
            None if !self.config.model.is_empty() => Ok(self.config.model.keys().cloned().collect()),
            None => Ok(known),
        }
    }

    async fn model(&self, model: String, runs: &[RunRecord]) -> anyhow::Result<ModelStatus> {
        let mut latest = self.latest(&model).await?;
        let configured = self.config.model.get(&model);
        let names = configured.map_or_else(|| latest.keys().cloned().collect(), judged);
        let reference = match configured {
            Some(configured) => Some(configured.reference.name().to_owned()),
            None => only_reference(&latest),
        };
        let mut endpoints = Vec::new();
        for endpoint in names {
            let latest = latest.remove(&endpoint).map(|recorded| told(recorded, runs));
            endpoints.push(EndpointStatus { endpoint, latest });
        }
        let prefix = Folder::name_of_model(&model) + "/";
        let entries = self.folder.entries()?;
        let waiting = entries.iter().filter(|e| e.state == State::Waiting && e.name.starts_with(&prefix)).count();
        let open_run = open_run(&model, runs);
        Ok(ModelStatus { next: self.next(&model).await?, open_run, waiting, endpoints, reference, model })
    }

    /// What was said last of each endpoint.
    async fn latest(&self, model: &str) -> anyhow::Result<BTreeMap<String, RecordedResult>> {
        let results = match self.store {
            Some(store) => store.results_since(model, Timestamp::MIN).await?,
            None => Vec::new(),
        };
        let reference = self.config.model.get(model).map(|configured| &configured.reference);
        Ok(latest_results(results, reference, self.now))
    }

    async fn next(&self, model: &str) -> anyhow::Result<Option<NextCheck>> {
        let watched = &self.config.watch.models;
        let is_watched = watched.is_empty() || watched.iter().any(|watched| watched == model);
        if !is_watched || !self.config.model.contains_key(model) {
            return Ok(None);
        }
        let step = watch::step(self.store, &self.config.watch, model, self.now).await?;
        Ok(NextCheck::of(step))
    }
}

/// The latest run of a model, where it has not ended.
fn open_run(model: &str, runs: &[RunRecord]) -> Option<OpenRun> {
    let latest = runs.iter().filter(|run| run.model == model).max_by_key(|run| run.started_at)?;
    latest.end.is_none().then(|| OpenRun {
        run: latest.id.to_string(),
        reference: latest.reference.clone(),
        started_at: latest.started_at.to_string(),
    })
}

/// What a run said, with how the run ended.
fn told(recorded: RecordedResult, runs: &[RunRecord]) -> LatestVerdict {
    let end = runs.iter().find(|run| run.id == recorded.run).and_then(|run| run.end);
    let run_status = end.map(|end| end.how.as_str().to_owned());
    LatestVerdict { run_status, ..LatestVerdict::from(recorded) }
}

/// What all of these were held against, if that is one.
fn only_reference(latest: &BTreeMap<String, RecordedResult>) -> Option<String> {
    let mut references = latest.values().map(|recorded| &recorded.reference);
    let first = references.next()?;
    references.all(|reference| reference == first).then(|| first.clone())
}

/// The endpoints of a model that are judged, in the configured order.
fn judged(model: &Model) -> Vec<String> {
    model.endpoint.iter().map(|endpoint| &endpoint.name).filter(|name| model.is_judged(name)).cloned().collect()
}
