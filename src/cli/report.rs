//! `samemodel report`: a kept run, judged again by what it was answered.

use std::process::ExitCode as Code;

use super::args::Global;
use super::args::history::Report;
use super::asking::Asking;
use super::check::recorded_reference;
use super::job::Job;
use super::session::{Overrides, Resolved, Session};
use super::shelf::Shelf;
use super::sink::Sink;
use super::{deliver, history};
use crate::config::Credentials;
use crate::runner::RunOutcome;
use crate::snapshot::Update;
use crate::store::{Ending, RunRecord, SqliteStore, Store as _};

pub(super) async fn report(args: &Report, global: &Global) -> anyhow::Result<Code> {
    let sink = Sink::open(args.report.output.as_deref(), global, &[])?;
    let store = history::open(global).await?;
    let judged = judged(&store, args, global).await;
    store.close().await?;
    deliver(&judged?, args.report.format, sink, global)
}

/// The same report as at the end of the run, but for what the configuration says of the comparison now. No snapshot is written.
async fn judged(store: &SqliteStore, args: &Report, global: &Global) -> anyhow::Result<crate::report::Report> {
    let run = history::matching(store.runs().await?, args.run.as_deref(), args.model.as_deref())?.remove(0);
    let overrides = Overrides { comparing: Some(&args.comparing), ..Overrides::default() };
    let mut session = Session::open(global, Some(&run.model), &overrides)?;
    let outcome = ended(&run);
    let mut job = Job::kept(store, &mut session, run).await?;
    job.plan.seed = args.comparing.seed.unwrap_or(job.plan.seed);
    let recorded = recorded_reference(&session)?;
    let shelf = Shelf::open(&session)?.with_update(Some(Update::No));
    let redactor = Credentials::of(&session.loaded.config, &session.environment).redactor();
    // Who could not be asked then is not known, and who cannot be asked now does not matter.
    let resolved = Resolved::default();
    let asking = Asking { session: &session, job: &job, store, resolved, recorded, shelf, redactor };
    Box::pin(asking.judge(outcome)).await
}

fn ended(run: &RunRecord) -> RunOutcome {
    match run.end.map(|end| end.how) {
        Some(Ending::Complete) => RunOutcome::Complete,
        Some(Ending::StoppedBudget) => RunOutcome::BudgetReached,
        Some(Ending::Partial) | None => RunOutcome::Stopped,
    }
}
