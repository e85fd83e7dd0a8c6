//! `samemodel report`: a kept run, judged again by what it was answered.

use std::collections::BTreeSet;
use std::process::ExitCode as Code;

use super::args::history::Report;
use super::args::{Comparing, Global};
use super::asking::Asking;
use super::check::recorded_reference;
use super::job::Job;
use super::session::{Overrides, Resolved, Session, Unasked};
use super::shelf::Shelf;
use super::sink::Sink;
use super::{UsageError, deliver, history, nothing};
use crate::attempt::{FailureKind, Slot};
use crate::config::{Credentials, Reference};
use crate::report;
use crate::report::Account;
use crate::report::words::count;
use crate::runner::RunOutcome;
use crate::store::{Ending, EndpointResult, RecordedAttempt, RunId, RunRecord, SqliteStore, Store as _};
use crate::suggest::aside;
use crate::verdict::Verdict;

pub(super) async fn report(args: &Report, global: &Global) -> anyhow::Result<Code> {
    let sink = Sink::open(args.report.output.as_deref(), global, &[])?;
    let store = history::open(global).await?;
    let judged = judged(&store, args, global).await;
    store.close().await?;
    match judged {
        Ok(report) => deliver(&report, args.report.format, sink, global),
        Err(error) => {
            // What is meant for one host names no others.
            if let Some(of_run) = error.downcast_ref::<nothing::OfRun>().filter(|_| args.endpoint.is_empty()) {
                nothing::write(of_run.awaited.clone(), &error, &args.report, sink)?;
            }
            Err(error)
        }
    }
}

/// The same report as at the end of the run, held against what that was held against, but for what the configuration says of the
/// comparison now. No snapshot is written.
async fn judged(store: &SqliteStore, args: &Report, global: &Global) -> anyhow::Result<report::Report> {
    let run = history::matching(store.runs().await?, args.run.as_deref(), args.model.as_deref())?.remove(0);
    let overrides = Overrides { comparing: Some(&args.comparing), ..Overrides::default() };
    let mut session = Session::open(global, Some(&run.model), &overrides)?;
    let attempts = if is_partial(&run) { store.attempts(&run.id).await? } else { Vec::new() };
    let outcome = ended(&run, &attempts, session.defaults.retry.down_after);
    let mut job = Job::kept(store, &mut session, run).await?;
    session.hold_against(&job.run.reference)?;
    job.plan.seed = args.comparing.seed.unwrap_or(job.plan.seed);
    let recorded = recorded_reference(&session)?;
    let shelf = Shelf::open(&session)?.read_only();
    let kept = Kept::of(store, &session, &job).await?;
    kept.are_snapshots_as_then(&shelf, &job)?;
    let redactor = Credentials::of(&session.loaded.config, &session.environment).redactor();
    // Who cannot be asked now does not matter.
    let resolved = Resolved { unasked: kept.unasked(), ..Resolved::default() };
    let asking = Asking { session: &session, job: &job, store, resolved, recorded, shelf, redactor };
    let report = Box::pin(asking.judge(outcome)).await?;
    if is_unchanged(&args.comparing) {
        kept.is_verdict_as_then(&report)?;
    }
    if args.endpoint.is_empty() { Ok(report) } else { Ok(part(report, &args.endpoint)?) }
}

/// The name of the control in what is sent to a host.
const THE_CONTROL: &str = "the control";

/// The part of a report on these endpoints, to be sent to a host: the reference is the context, and nothing is said of its competitors,
/// nor of who the control is.
fn part(mut report: report::Report, names: &[String]) -> Result<report::Report, UsageError> {
    let known = || report.endpoints.iter().map(|e| e.endpoint.as_str());
    if let Some(unknown) = names.iter().find(|name| !known().any(|known| known == *name)) {
        let hint = aside(unknown, known());
        return Err(UsageError(format!("the run did not judge an endpoint `{unknown}`{hint}")));
    }
    report.endpoints.retain(|e| names.contains(&e.endpoint));
    report.control.endpoint = report.control.endpoint.map(|_| THE_CONTROL.to_owned());
    report.control.account = Account::default();
    let is_told = |name: &String| names.contains(name) || *name == report.reference;
    report.warnings.retain(|warning| warning.endpoints.iter().all(is_told));
    // What waits for review is of all endpoints, and no host's business.
    report.snapshots = None;
    Ok(report)
}

/// What a run came to. Of one that was held against approved snapshots, other snapshots than those of then would give another
/// judgement, of which nobody was told.
struct Kept {
    run: RunId,
    model: String,
    /// Empty of a run that was not concluded.
    results: Vec<EndpointResult>,
    is_of_snapshots: bool,
}

impl Kept {
    async fn of(store: &SqliteStore, session: &Session, job: &Job) -> anyhow::Result<Self> {
        let is_of_snapshots = session.model.reference == Reference::Snapshot;
        let results = store.results(&job.run.id).await?;
        Ok(Self { run: job.run.id, model: session.name.clone(), results, is_of_snapshots })
    }

    /// Who was not asked then, and why: nothing else of the run tells that.
    fn unasked(&self) -> Vec<Unasked> {
        let is_unasked = |r: &&EndpointResult| r.verdict == Verdict::Unmeasured && r.attempts == 0 && r.samples == 0;
        let told = |r: &EndpointResult| Unasked { endpoint: r.endpoint.clone(), reason: r.reason.clone() };
        self.results.iter().filter(is_unasked).map(told).collect()
    }

    fn are_snapshots_as_then(&self, shelf: &Shelf, job: &Job) -> Result<(), UsageError> {
        let since = shelf.approved_since(&job.plan.endpoints, job.run.started_at);
        if !self.is_of_snapshots || since == 0 {
            return Ok(());
        }
        let were = if since == 1 { "was" } else { "were" };
        Err(self.refused(&format!("{} {were} approved since it began", count(since, "snapshot"))))
    }

    fn is_verdict_as_then(&self, report: &report::Report) -> Result<(), UsageError> {
        let now = |name: &str| report.endpoints.iter().find(|e| e.endpoint == name).map(|e| e.verdict);
        let differs = |kept: &EndpointResult| now(&kept.endpoint).is_some_and(|now| now != kept.verdict);
        if self.is_of_snapshots && self.results.iter().any(differs) {
            return Err(self.refused("they, or the settings of the comparison, are others now"));
        }
        Ok(())
    }

    fn refused(&self, since: &str) -> UsageError {
        let Self { run, model, results, .. } = self;
        let each: Vec<String> = results.iter().map(|r| format!("{} {}", r.endpoint, r.verdict)).collect();
        let came_to = if each.is_empty() { String::new() } else { format!(" and came to `{}`", each.join(", ")) };
        UsageError(format!(
            "run {run} cannot be judged as it was: it was held against approved snapshots{came_to}; {since}. `samemodel export {run} \
             --what results` writes what it came to, and `samemodel test {model}` holds against the snapshots of now"
        ))
    }
}

/// Whether the command line leaves the comparison as it was.
fn is_unchanged(comparing: &Comparing) -> bool {
    let Comparing { tolerance, alpha, permutations, seed } = comparing;
    tolerance.is_none() && alpha.is_none() && permutations.is_none() && seed.is_none()
}

fn is_partial(run: &RunRecord) -> bool {
    run.end.is_some_and(|end| end.how == Ending::Partial)
}

/// How a run ended, given its attempts and how many requests in a row an endpoint may leave without an answer.
fn ended(run: &RunRecord, attempts: &[RecordedAttempt], down_after: u32) -> RunOutcome {
    match run.end.map(|end| end.how) {
        Some(Ending::Complete) => RunOutcome::Complete,
        Some(Ending::StoppedBudget) => RunOutcome::BudgetReached,
        Some(Ending::Partial) if is_out(attempts, &run.reference, down_after) => RunOutcome::ReferenceDown,
        Some(Ending::Partial) | None => RunOutcome::Stopped,
    }
}

/// The fewest requests in a row without an answer that stop a run where they are the reference's, unless fewer are configured.
const FEWEST_FAILED: u32 = 3;

/// Whether an endpoint was out at the end of a run: the last requests to it failed, so many of them or in a way that no other could
/// succeed. Nothing else of the run tells that.
fn is_out(attempts: &[RecordedAttempt], endpoint: &str, down_after: u32) -> bool {
    let mut own: Vec<&RecordedAttempt> = attempts.iter().filter(|attempt| attempt.slot.endpoint == endpoint).collect();
    own.sort_by_key(|attempt| attempt.started_at.checked_add(attempt.elapsed).ok());
    let last: Vec<&RecordedAttempt> = own.into_iter().rev().take_while(|attempt| attempt.failure.is_some()).collect();
    let mut kinds = last.iter().filter_map(|attempt| FailureKind::named(&attempt.failure.as_ref()?.kind));
    let failed: BTreeSet<&Slot> = last.iter().map(|attempt| &attempt.slot).collect();
    kinds.any(FailureKind::is_fatal) || failed.len() >= down_after.clamp(1, FEWEST_FAILED) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::compare::Settings;
    use crate::report::nothing::Awaited;
    use crate::report::{SnapshotCounts, Warning};
    use crate::sample::SampleError;

    #[test]
    fn a_reference_whose_last_requests_failed_was_out() {
        let attempt = |n: u32, kind: Option<&str>| RecordedAttempt {
            slot: Slot { endpoint: "r".into(), probe: "p".into(), replicate: n },
            number: 1,
            started_at: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(i64::from(n)),
            elapsed: Duration::from_millis(10),
            status: None,
            failure: kind.map(|kind| SampleError { kind: kind.to_owned(), message: String::new() }),
        };
        let out = |kinds: &[Option<&str>]| {
            let attempts: Vec<RecordedAttempt> = (0..).zip(kinds).map(|(n, kind)| attempt(n, *kind)).collect();
            is_out(&attempts, "r", 5)
        };
        let busy = Some("server");
        assert!(out(&[None, busy, busy, busy]) && out(&[None, Some("unauthorized")]));
        assert!(!out(&[busy, busy, busy, None]) && !out(&[None, busy, busy]) && !out(&[]));
        let tries = [attempt(1, busy), attempt(1, busy), attempt(1, busy)];
        assert!(!is_out(&tries, "r", 5), "tries of one request are one");
        assert!(is_out(&tries, "r", 1) && !is_out(&tries, "other", 1));
    }

    #[test]
    fn the_part_of_one_host_says_nothing_of_others() {
        let settings = Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };
        let endpoints = vec!["mine".to_owned(), "other".to_owned()];
        let awaited = Awaited { model: "m".into(), reference: "r".into(), endpoints, settings };
        let mut report = report::Report::of_nothing(awaited, "`other` is in these words");
        report.control.endpoint = Some("rival".to_owned());
        report.control.account.samples = 5;
        report.snapshots = Some(SnapshotCounts::default());
        let about = |endpoints: &[&str]| Warning::about(endpoints, format!("of {endpoints:?}"));
        report.warnings.extend([&["mine"][..], &["r"], &["other"], &["mine", "rival"]].map(about));
        let part = part(report, &["mine".to_owned()]).expect("it is there");
        let told: Vec<&str> = part.warnings.iter().map(|warning| warning.text.as_str()).collect();
        assert_eq!(told, ["there is nothing to report: `other` is in these words", "of [\"mine\"]", "of [\"r\"]"]);
        assert_eq!(part.endpoints.iter().map(|e| e.endpoint.as_str()).collect::<Vec<_>>(), ["mine"]);
        assert_eq!((part.control.endpoint.as_deref(), part.snapshots), (Some(THE_CONTROL), None));
        assert_eq!(part.control.account, Account::default());
    }
}
