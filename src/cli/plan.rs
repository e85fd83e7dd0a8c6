//! `samemodel plan`: what a check would send and cost.

use std::process::ExitCode as Code;

use super::args::{Global, Plan};
use super::emit;
use super::session::{Overrides, Session, fresh_seed, pace};
use crate::config::Credentials;
use crate::report::Format;
use crate::report::plan::{PlanReport, PlannedEndpoint};

/// The form in which a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
}

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        if format == Format::Json { Self::Json } else { Self::Table }
    }
}

pub(super) fn plan(args: &Plan, global: &Global) -> anyhow::Result<Code> {
    let overrides = Overrides { samples: args.samples, ..Overrides::default() };
    let mut session = Session::open(global, args.model.as_deref(), &overrides)?;
    session.keep_only(&args.endpoint)?;
    show(&session, fresh_seed(), if args.json { Form::Json } else { Form::Table })
}

/// Prints what a check of this session would send.
pub(super) fn show(session: &Session, seed: u64, form: Form) -> anyhow::Result<Code> {
    let plan = session.plan(seed)?;
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
    emit(&if form == Form::Json { report.json() } else { report.table() })?;
    Ok(Code::SUCCESS)
}
