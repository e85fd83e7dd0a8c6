//! `samemodel plan`: what a check would send and cost.

use std::process::ExitCode as Code;

use super::args::{Global, Plan, PlanFormat};
use super::session::{Overrides, Session, fresh_seed, pace};
use super::sink::Sink;
use super::{UsageError, doctor, view};
use crate::config::Credentials;
use crate::plan::KnownRefusal;
use crate::redact::Redactor;
use crate::report::Format;
use crate::report::plan::{PlanReport, PlannedEndpoint};
use crate::store::SqliteStore;

/// The form in which a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
}

impl TryFrom<Format> for Form {
    type Error = UsageError;

    fn try_from(format: Format) -> Result<Self, UsageError> {
        match format {
            Format::Terminal => Ok(Self::Table),
            Format::Json => Ok(Self::Json),
            Format::Junit | Format::Github | Format::Markdown | Format::Nagios => Err(UsageError(
                "`--dry-run` judges nothing, and tells what would be asked as `--format terminal` or `json` only"
                    .to_owned(),
            )),
        }
    }
}

pub(super) async fn plan(args: &Plan, global: &Global) -> anyhow::Result<Code> {
    let overrides = Overrides { samples: args.samples, ..Overrides::default() };
    let mut session = Session::open(global, args.model.as_deref(), &overrides)?;
    session.keep_only(&args.endpoint)?;
    let form = if args.json || args.format == PlanFormat::Json { Form::Json } else { Form::Table };
    show(&session, fresh_seed(), form, Sink::open(None, global, &[])?, global).await
}

/// Tells what a check of this session would send.
pub(super) async fn show(
    session: &Session,
    seed: u64,
    form: Form,
    sink: Sink,
    global: &Global,
) -> anyhow::Result<Code> {
    let mut plan = session.plan(seed)?;
    plan.leave_out(&known_refusals(session, global).await?);
    doctor::say_what_is_left_out(&plan);
    let credentials = Credentials::of(&session.loaded.config, &session.environment);
    let unasked = session.resolve(&credentials)?.unasked;
    let endpoints = session.model.endpoint.iter().map(|endpoint| {
        let provider = &session.loaded.config.provider[&endpoint.provider];
        PlannedEndpoint {
            endpoint: endpoint.name.clone(),
            estimate: plan.estimate(&endpoint.name, session.price(endpoint), pace(provider)),
            cannot_be_asked: unasked.iter().find(|u| u.endpoint == endpoint.name).map(|u| u.reason.clone()),
        }
    });
    let report = PlanReport::new(&plan, session.reference_name(), session.defaults.budget, endpoints.collect());
    let view = view(&sink, global);
    sink.write(&if form == Form::Json { report.json() } else { report.table(view) })?;
    Ok(Code::SUCCESS)
}

/// What an examination has found that endpoints refuse, where there was one: nothing is made for a plan alone.
async fn known_refusals(session: &Session, global: &Global) -> anyhow::Result<Vec<KnownRefusal>> {
    let data_dir = session.data_dir(global);
    if !SqliteStore::path_in(&data_dir).exists() {
        return Ok(Vec::new());
    }
    let store = SqliteStore::open_to_read(&data_dir, Redactor::default()).await?;
    let refusals = doctor::known_refusals(&store, session).await;
    store.close().await?;
    refusals
}
