//! Carrying out a run: from endpoints that can be asked to the report on what they answered.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::args::Global;
use super::job::Job;
use super::ledger::Ledger;
use super::session::{Resolved, Session};
use super::signals::stop_on_signals;
use super::{NothingMeasured, UsageError, note, samples};
use crate::client::{Client, Limiter, Target};
use crate::compare::{Roles, compare};
use crate::config::{Address, RecordedReference, Reference};
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
        let lab = self.start_lab().await?;
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

    /// Starts the endpoints whose address is `lab:`; their base URLs by name.
    #[cfg(feature = "lab")]
    async fn start_lab(&self) -> anyhow::Result<Lab> {
        use crate::lab::{Fleet, FleetOptions, LabEndpoint};
        let mut endpoints = Vec::new();
        for ready in &self.resolved.ready {
            if let Address::Lab(_) = ready.address {
                let endpoint = LabEndpoint::from_address(&ready.endpoint.name, &ready.provider.base_url);
                endpoints
                    .push(endpoint.map_err(|e| UsageError(format!("provider `{}`: {e}", ready.endpoint.provider)))?);
            }
        }
        if endpoints.is_empty() {
            return Ok(Lab::default());
        }
        // A resumed run must not hear the first run's answers again, so the fleet's seed moves on with it.
        let answered = self.job.answered.len().to_string();
        let seed = rng::derive_seed(self.job.plan.seed, &["lab", &answered]);
        let fleet = Fleet::start(&endpoints, FleetOptions { seed, ..FleetOptions::default() }).await?;
        let urls = endpoints.iter().enumerate().map(|(i, e)| (e.name.clone(), fleet.base_url(i))).collect();
        Ok(Lab { urls, _fleet: Some(fleet) })
    }

    #[cfg(not(feature = "lab"))]
    async fn start_lab(&self) -> anyhow::Result<Lab> {
        if let Some(ready) = self.resolved.ready.iter().find(|r| matches!(r.address, Address::Lab(_))) {
            let name = &ready.endpoint.name;
            let what = format!(
                "endpoint `{name}` is in the lab, and this program was built without it: install it with the feature `lab`"
            );
            return Err(UsageError(what).into());
        }
        Ok(Lab::default())
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
        if let Reference::Recorded(recorded) = &self.session.model.reference {
            samples.extend(self.recorded(recorded)?);
        }
        let reference = self.session.reference_name();
        let roles = Roles {
            reference,
            endpoints: self.job.plan.endpoints.iter().map(String::as_str).collect(),
            control: self.session.model.control.as_deref(),
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

    /// The recorded reference's samples under the reference's name, only those to probes as they are asked now.
    fn recorded(&self, recorded: &RecordedReference) -> anyhow::Result<Vec<Sample>> {
        let path = self.session.loaded.resolve(&recorded.samples);
        let all = samples::read(&[path])?;
        let digests: BTreeMap<&str, String> =
            self.job.plan.probes.iter().map(|p| (p.probe.id.as_str(), p.probe.digest())).collect();
        let mut stale = 0;
        let mut kept = Vec::new();
        for mut sample in all.into_iter().filter(|s| recorded.endpoint.as_ref().is_none_or(|name| *name == s.endpoint))
        {
            let same = match (&sample.probe_digest, digests.get(sample.probe.as_str())) {
                (Some(then), Some(now)) => then == now,
                _ => true,
            };
            if !same {
                stale += 1;
                continue;
            }
            self.session.reference_name().clone_into(&mut sample.endpoint);
            kept.push(sample);
        }
        if stale > 0 {
            note(&format!("{stale} recorded answers of the reference were left out: their probes have changed since"));
        }
        Ok(kept)
    }
}

fn describe_failures(account: Option<&Account>) -> String {
    let Some(account) = account.filter(|a| !a.failures.is_empty()) else { return String::new() };
    let failures: Vec<String> = account.failures.iter().map(|(kind, n)| format!("{n} × {kind}")).collect();
    format!(": {}", failures.join(", "))
}

/// The embedded lab while a run needs it.
#[derive(Default)]
struct Lab {
    urls: BTreeMap<String, String>,
    #[cfg(feature = "lab")]
    _fleet: Option<crate::lab::Fleet>,
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
