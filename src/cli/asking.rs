//! Carrying out a run: from endpoints that can be asked to the report on what they answered.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::args::Global;
use super::fleet::Lab;
use super::job::Job;
use super::ledger::Ledger;
use super::session::{Resolved, Session};
use super::signals::stop_on_signals;
use super::{NothingMeasured, note};
use crate::client::{Client, Limiter, Target};
use crate::compare::{Known, Roles, compare};
use crate::config::Address;
use crate::event::Event;
use crate::plan::Budget;
use crate::redact::Redactor;
use crate::report::progress::{Progress, Screen};
use crate::report::{Account, Origin, Report};
use crate::runner::{Arm, RunOutcome, Runner};
use crate::sample::Sample;
use crate::stats::rng;
use crate::store::{Ending, RunEnd, Store};

/// Everything that a run needs.
pub(super) struct Asking<'a> {
    pub session: &'a Session,
    pub job: &'a Job,
    pub store: &'a dyn Store,
    pub resolved: Resolved,
    /// Samples of a recorded reference.
    pub recorded: Vec<Sample>,
    pub redactor: Redactor,
}

impl Asking<'_> {
    /// Asks what has no answer yet, and compares all answers of the run.
    pub async fn carry_out(&self, global: &Global) -> anyhow::Result<Report> {
        let begun = Instant::now();
        let progress = Mutex::new(Progress::new(screen(global), move || begun.elapsed()));
        // A display that panicked is no reason to stop a run that costs money.
        let show = |event: &Event| progress.lock().unwrap_or_else(PoisonError::into_inner).on(event);
        let stop = stop_on_signals();
        // A resumed run must not hear the first run's answers again, so the fleet's seed moves on with it.
        let answered = self.job.answered.len().to_string();
        let seed = rng::derive_seed(self.job.plan.seed, &["lab", &answered]);
        let lab = Lab::start(&self.resolved.ready, seed).await?;
        let arms = self.arms(&lab)?;
        let budget = Budget::new(self.session.defaults.budget, self.ledger().spent().await?);
        let asked_to_stop = stop.clone();
        let runner = Runner {
            plan: &self.job.plan,
            arms,
            client: &Client::new(self.redactor.clone()),
            store: self.store,
            run: self.job.run.id,
            window: self.session.defaults.window as usize,
            budget,
            stop,
            events: &|event: Event| show(&event),
        };
        let outcome = {
            let running = runner.run(&self.job.answered);
            tokio::pin!(running);
            tokio::select! {
                outcome = &mut running => outcome,
                () = asked_to_stop.cancelled() => {
                    show(&Event::Stopping);
                    running.await
                }
            }?
        };
        let how = match outcome {
            RunOutcome::Complete => Ending::Complete,
            RunOutcome::Stopped => Ending::Partial,
            RunOutcome::BudgetReached => Ending::StoppedBudget,
        };
        self.store.finish_run(&self.job.run.id, RunEnd { how, at: Timestamp::now() }).await?;
        self.report(outcome).await
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger { session: self.session, job: self.job, store: self.store }
    }

    fn arms(&self, lab: &Lab) -> anyhow::Result<Vec<Arm>> {
        let defaults = &self.session.defaults;
        let longest_pause = Duration::from_secs_f64(defaults.retry.longest_asked_wait);
        let mut limiters: BTreeMap<&str, Limiter> = BTreeMap::new();
        let mut arms = Vec::new();
        for ready in &self.resolved.ready {
            let Some(index) = self.job.plan.endpoints.iter().position(|name| *name == ready.endpoint.name) else {
                continue;
            };
            let mut provider = ready.provider.clone();
            match &ready.address {
                Address::Lab(_) => provider.base_url.clone_from(&lab.urls[&ready.endpoint.name]),
                Address::Host(url) => provider.base_url = url.to_string(),
            }
            let limiter = limiters
                .entry(&ready.endpoint.provider)
                .or_insert_with(|| Limiter::new(provider.concurrency, provider.requests_per_minute, longest_pause));
            arms.push(Arm {
                index,
                target: Target::resolve(&ready.endpoint, &provider, &defaults.timeout, ready.key.as_ref(), |_| None)?,
                endpoint: ready.endpoint.clone(),
                dialect: provider.dialect.clone(),
                defaults: defaults.clone(),
                limiter: limiter.clone(),
                concurrency: provider.concurrency,
                retry: defaults.retry.clone(),
            });
        }
        Ok(arms)
    }

    async fn report(&self, outcome: RunOutcome) -> anyhow::Result<Report> {
        let id = &self.job.run.id;
        let mut samples = self.store.samples(id).await?;
        let accounts = self.ledger().accounts().await?;
        samples.extend(self.recorded());
        let reference = self.session.reference_name();
        let known = self.session.model.endpoint.iter().map(|e| {
            let known = Known { model: Some(&e.model), token_offset: e.prompt_tokens_offset };
            (e.name.as_str(), known)
        });
        let roles = Roles {
            reference,
            endpoints: self.job.plan.endpoints.iter().map(String::as_str).collect(),
            control: self.session.model.control.as_deref(),
            known: known.collect(),
        };
        if samples.is_empty() {
            let failures = accounts
                .iter()
                .flat_map(|(name, a)| a.failures.iter().map(move |(kind, n)| format!("\n  {name}: {n} × {kind}")));
            let what = format!("no endpoint of `{}` answered, so nothing was measured", self.session.name);
            return Err(NothingMeasured(what + &failures.collect::<String>()).into());
        }
        if !samples.iter().any(|s| s.endpoint == reference && s.is_answer()) {
            let what = format!("the reference `{reference}` has no answers, so nothing can be compared with it");
            return Err(NothingMeasured(what + &describe_failures(accounts.get(reference))).into());
        }
        let settings = self.session.settings(self.job.plan.seed);
        let comparison = tokio::task::block_in_place(|| compare(&samples, &roles, &settings))?;
        let partial = match outcome {
            RunOutcome::Complete => None,
            RunOutcome::Stopped => Some("stopped before the end: go on with --resume".to_owned()),
            RunOutcome::BudgetReached => Some("stopped at the budget: raise it and go on with --resume".to_owned()),
        };
        let origin = Origin {
            model: self.session.name.clone(),
            run: Some(id.to_string()),
            partial,
            accounts,
            unasked: self.resolved.unasked.iter().map(|u| (u.endpoint.clone(), u.reason.clone())).collect(),
            order: self.session.model.endpoint.iter().map(|e| e.name.clone()).collect(),
        };
        Ok(Report::new(comparison, origin))
    }

    /// The recorded reference's answers to probes as they are asked now.
    fn recorded(&self) -> Vec<Sample> {
        let digests: BTreeMap<&str, String> =
            self.job.plan.probes.iter().map(|p| (p.probe.id.as_str(), p.probe.digest())).collect();
        let is_current = |sample: &&Sample| match (&sample.probe_digest, digests.get(sample.probe.as_str())) {
            (Some(then), Some(now)) => then == now,
            _ => true,
        };
        let current: Vec<Sample> = self.recorded.iter().filter(is_current).cloned().collect();
        let stale = self.recorded.len() - current.len();
        if stale > 0 {
            note(&format!("{stale} recorded answers of the reference were left out: their probes have changed since"));
        }
        current
    }
}

fn describe_failures(account: Option<&Account>) -> String {
    let Some(account) = account.filter(|a| !a.failures.is_empty()) else { return String::new() };
    let failures: Vec<String> = account.failures.iter().map(|(kind, n)| format!("{n} × {kind}")).collect();
    format!(": {}", failures.join(", "))
}

fn screen(global: &Global) -> Screen {
    if global.quiet {
        Screen::Silent
    } else if std::io::stderr().is_terminal() {
        Screen::Bar(indicatif::ProgressDrawTarget::stderr())
    } else {
        Screen::Lines(Box::new(std::io::stderr()))
    }
}
