//! `samemodel check`: ask, keep, compare, report.

use std::process::ExitCode as Code;

use super::alarm::{Alarm, Concluded, Telling};
use super::args::{Check, Global, GoingOn, Output};
use super::asking::Asking;
use super::job::{Job, Resumed};
use super::metrics::Configured;
use super::session::{Overrides, Resolved, Session, fresh_seed};
use super::shelf::Shelf;
use super::sink::Sink;
use super::{
    CannotBeAsked, NothingMeasured, Told, UsageError, clock, code_of, complain, deliver, doctor, mask, nothing, plan,
    prune, samples,
};
use crate::charge;
use crate::config::{Credentials, Reference};
use crate::exit::ExitCode;
use crate::report::{Format, Report};
use crate::runner::RunOutcome;
use crate::sample::Sample;
use crate::snapshot::Update;
use crate::store::{Ending, Holder, Lock, RunEnd, SqliteStore, Store as _, StoreError};

pub(super) async fn check(args: &Check, global: &Global) -> anyhow::Result<Code> {
    let comparing = Some(&args.comparing);
    let overrides =
        Overrides { samples: args.asked.samples, budget: args.asked.budget, comparing, ..Overrides::default() };
    let mut session = Session::open(global, args.asked.model.as_deref(), &overrides)?;
    session.keep_only(&args.asked.endpoint)?;
    if args.dry_run {
        let form = plan::Form::try_from(args.report.format)?;
        let seed = args.comparing.seed.unwrap_or_else(fresh_seed);
        let sink = Sink::open(args.report.output.as_deref(), global, &[])?;
        return plan::show(&session, seed, form, sink, global).await;
    }
    let seed = args.comparing.seed;
    let begin = Begin::of(&args.going_on);
    let asked = Asked { seed, begin, telling: Telling::People, ..Asked::default() };
    let (config, data_dir) = (session.loaded.config.clone(), session.data_dir(global));
    let (_, code) = Box::pin(ask_and_deliver(session, asked, &args.report, global)).await?;
    prune::after_checks(&config, &data_dir).await;
    Ok(code)
}

/// Asks, and delivers the report with its exit code. One that could not be kept is delivered too, and is an error all the same.
pub(super) async fn ask_and_deliver(
    session: Session,
    asked: Asked,
    to: &Output,
    global: &Global,
) -> anyhow::Result<(Report, Code)> {
    let sink = Sink::open(to.output.as_deref(), global, &[])?;
    // Monitoring is told in a line of its own.
    let failing = if to.format == Format::Nagios { Failing::Silently } else { Failing::Aloud };
    let asked = Asked { failing, ..asked };
    let awaited = session.awaited(asked.seed.unwrap_or_default());
    let report = Box::pin(ask(session, asked, global)).await;
    match report {
        Ok(report) => {
            let code = deliver(&report, to.format, sink, global)?;
            Ok((report, code))
        }
        Err(error) => {
            match error.downcast_ref::<Unkept>() {
                // What monitoring reads begins with a state, which would be another than the error's.
                Some(unkept) if to.format != Format::Nagios => drop(deliver(&unkept.report, to.format, sink, global)?),
                _ => nothing::write(awaited, &error, to, sink)?,
            }
            Err(error)
        }
    }
}

/// A run came to a report that could not be kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "the results of this run and its alerts cannot be kept (once that is mended, the same command with --resume keeps them and asks \
     nothing again)"
)]
struct Unkept {
    report: Box<Report>,
    source: StoreError,
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub asker: Asker,
    /// From which all random choices derive; the system's generator chooses where it is absent.
    pub seed: Option<u64>,
    pub begin: Begin,
    /// What is written of changed snapshots, where that differs from what the environment says.
    pub update: Option<Update>,
    /// Whether alerts follow from it.
    pub telling: Telling,
    pub failing: Failing,
}

/// Whether standard error is told of an error when it comes, before what follows from it, such as alerts that cannot be kept either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Failing {
    /// It is.
    Aloud,
    /// It is not: whoever asked tells of it.
    #[default]
    Silently,
}

impl Failing {
    /// Tells of it. One with a report is told of again below that, where it can be seen.
    fn tell(self, error: anyhow::Error) -> anyhow::Error {
        if self == Self::Silently {
            return error;
        }
        complain(&error);
        if error.is::<Unkept>() { error } else { error.context(Told) }
    }
}

/// What asks a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Asker {
    #[default]
    Check,
    Test,
    Watch,
    /// A test of somebody's own.
    Assertion,
}

impl Asker {
    /// What whoever finds the data directory locked is told of this process.
    fn command(self, model: &str) -> String {
        match self {
            Self::Check => format!("samemodel check {model}"),
            Self::Test => format!("samemodel test {model}"),
            Self::Watch => format!("samemodel watch {model}"),
            Self::Assertion => format!("assert_same_model! of {model}"),
        }
    }
}

/// Whether a run begins or is gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Begin {
    #[default]
    Anew,
    Resume(Resumed),
}

impl Begin {
    /// As the command line says.
    pub fn of(typed: &GoingOn) -> Self {
        match (typed.resume, typed.retry_given_up) {
            (false, _) => Self::Anew,
            (true, false) => Self::Resume(Resumed::Unfinished),
            (true, true) => Self::Resume(Resumed::Latest),
        }
    }
}

/// Asks all endpoints of a session, keeps what they answer, compares, and tells whom the configuration names. What monitoring
/// reads is written whatever comes of it.
pub(super) async fn ask(session: Session, asked: Asked, global: &Global) -> anyhow::Result<Report> {
    let metrics = Configured::of(&session.loaded, global)?;
    let credentials = Credentials::of(&session.loaded.config, &session.environment);
    mask::know(&credentials.redactor());
    let alarm = Alarm::new(&session, &credentials, asked.telling, global);
    alarm.begin().await;
    let report = carry_out(session, asked, &credentials, &alarm, global).await.map_err(|e| asked.failing.tell(e));
    if let Err(error) = &report {
        // Whoever has nothing to go on with is told so where they sit.
        let is_typed = error.is::<UsageError>() || error.is::<CannotBeAsked>();
        let slip = matches!(asked.begin, Begin::Resume(_)) && is_typed;
        if !slip {
            alarm.failed(error).await;
        }
    }
    metrics.write().await;
    report
}

async fn carry_out(
    mut session: Session,
    asked: Asked,
    credentials: &Credentials,
    alarm: &Alarm,
    global: &Global,
) -> anyhow::Result<Report> {
    let resolved = session.resolve(credentials)?;
    can_be_compared(&session, &resolved)?;
    can_be_paid(&session, &resolved)?;
    let recorded = recorded_reference(&session)?;
    let shelf = Shelf::open(&session)?.with_update(asked.update);

    let data_dir = session.data_dir(global);
    let holder = Holder::this_process(asked.asker.command(&session.name), clock::now());
    let _lock = Lock::acquire(&data_dir, &holder)?;
    let store = SqliteStore::open(&data_dir, credentials.redactor()).await?;
    let job = match asked.begin {
        Begin::Resume(which) => Job::resume(&store, &mut session, which).await?,
        Begin::Anew => {
            let refusals = doctor::known_refusals(&store, &session).await?;
            Job::begin(&store, &session, asked.seed.unwrap_or_else(fresh_seed), &refusals).await?
        }
    };
    doctor::say_what_is_left_out(&job.plan);
    let redactor = credentials.redactor();
    let asking = Asking { session: &session, job: &job, store: &store, resolved, recorded, shelf, redactor };
    let report = asked_and_judged(&asking, &store, alarm, global).await;
    store.close().await?;
    report
}

/// A run ends when what it came to is kept, and not before: one that is killed in between can be gone on with, and then asks nothing
/// again.
async fn asked_and_judged(
    asking: &Asking<'_>,
    store: &SqliteStore,
    alarm: &Alarm,
    global: &Global,
) -> anyhow::Result<Report> {
    let outcome = Box::pin(asking.ask(global)).await?;
    let how = match outcome {
        RunOutcome::Complete => Ending::Complete,
        RunOutcome::Stopped | RunOutcome::ThoughtAway(_) | RunOutcome::ReferenceDown => Ending::Partial,
        RunOutcome::BudgetReached => Ending::StoppedBudget,
    };
    let end = RunEnd { how, at: clock::now() };
    match Box::pin(asking.judge(outcome)).await {
        Ok(report) => match alarm.conclude(store, &asking.job.run, Concluded { end, outcome, report: &report }).await {
            Ok(()) => Ok(report),
            Err(source) => Err(Unkept { report: Box::new(report), source }.into()),
        },
        Err(error) => {
            // It has ended, though there is nothing to keep; whatever else was in the way can be mended.
            if code_of(&error) == ExitCode::Undecided {
                store.finish_run(&asking.job.run.id, end).await?;
            }
            Err(error)
        }
    }
}

/// Refuses to spend anything when there would be nothing to compare with.
fn can_be_compared(session: &Session, resolved: &Resolved) -> anyhow::Result<()> {
    if session.model.endpoint.is_empty() {
        return Err(UsageError(format!("model `{}` has no endpoints: add [[model.{0}.endpoint]]", session.name)).into());
    }
    if let Reference::Endpoint(name) = &session.model.reference
        && let Some(unasked) = resolved.unasked.iter().find(|u| u.endpoint == *name)
    {
        let reason = &unasked.reason;
        return Err(CannotBeAsked(format!(
            "the reference `{name}` cannot be asked: {reason}; or name another reference"
        ))
        .into());
    }
    if resolved.ready.iter().any(|r| session.is_judged(&r.endpoint.name)) {
        return Ok(());
    }
    Err(why_nobody_is_judged(session, resolved))
}

/// Why there is no endpoint that could be judged.
fn why_nobody_is_judged(session: &Session, resolved: &Resolved) -> anyhow::Error {
    let of_snapshots = session.model.reference == Reference::Snapshot;
    let (what, beside) = if of_snapshots { ("test", "the control") } else { ("compare", "the reference") };
    let model = &session.name;
    if !session.model.endpoint.iter().any(|e| session.is_judged(&e.name)) {
        let left_out: Vec<&str> =
            session.left_out.iter().map(String::as_str).filter(|name| session.is_judged(name)).collect();
        let what = if left_out.is_empty() {
            format!(
                "nothing to {what}: model `{model}` has no endpoint beside {beside}: add [[model.{model}.endpoint]]"
            )
        } else {
            let names = left_out.join("`, `");
            format!("nothing to {what}: --endpoint leaves nobody beside {beside}: name one to be judged, of `{names}`")
        };
        return UsageError(what).into();
    }
    let reasons: Vec<String> = resolved.unasked.iter().map(|u| format!("\n  {}: {}", u.endpoint, u.reason)).collect();
    let beside = if of_snapshots { "" } else { " beside the reference" };
    let told = format!("nothing to {what}: no endpoint of `{model}`{beside} can be asked{}", reasons.concat());
    CannotBeAsked(told).into()
}

/// A budget can only be held where prices are known, and must pay for one request at least.
fn can_be_paid(session: &Session, resolved: &Resolved) -> anyhow::Result<()> {
    let Some(budget) = session.defaults.budget else { return Ok(()) };
    let unpriced: Vec<&str> = resolved
        .ready
        .iter()
        .filter(|r| session.price(&r.endpoint).is_none())
        .map(|r| r.endpoint.name.as_str())
        .collect();
    if !unpriced.is_empty() {
        let names = unpriced.join("`, `");
        let what = format!("a budget needs prices, and `{names}` has none: add `price = {{ input = …, output = … }}`");
        return Err(UsageError(what).into());
    }
    let costs = session.worst_costs(&session.plan(0)?);
    if let Some(dearest) = costs.dearest.filter(|_| costs.cheapest.is_some_and(|cheapest| cheapest > budget)) {
        return Err(CannotBeAsked(charge::too_small(budget, dearest)).into());
    }
    Ok(())
}

/// The samples of a recorded reference, under its name; read before anything is spent.
pub(super) fn recorded_reference(session: &Session) -> anyhow::Result<Vec<Sample>> {
    let Reference::Recorded(recorded) = &session.model.reference else { return Ok(Vec::new()) };
    let mut samples = samples::read(&[session.loaded.resolve(&recorded.samples)])?;
    samples.retain(|s| s.is_answer() && recorded.endpoint.as_ref().is_none_or(|name| *name == s.endpoint));
    if samples.is_empty() {
        let from = recorded.endpoint.as_ref().map_or_else(String::new, |name| format!(" from `{name}`"));
        let what = format!("the recorded reference {} holds no answers{from}", recorded.samples);
        return Err(NothingMeasured(what).into());
    }
    for sample in &mut samples {
        session.reference_name().clone_into(&mut sample.endpoint);
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_turned_away_is_told_which_verb_runs() {
        let commands = [Asker::Check, Asker::Test, Asker::Watch].map(|asker| asker.command("m"));
        assert_eq!(commands, ["samemodel check m", "samemodel test m", "samemodel watch m"]);
        assert_eq!(Asker::default().command("m"), "samemodel check m");
    }
}
