//! Carrying out a run: endpoints are asked, and then judged by what they answered.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::args::Global;
use super::fleet::Lab;
use super::job::Job;
use super::judging::Judging;
use super::ledger::Ledger;
use super::preflight::{self, Look};
use super::session::{Resolved, Session};
use super::shelf::Shelf;
use super::signals::stop_on_signals;
use crate::client::{Client, Limiter, Target};
use crate::config::Address;
use crate::event::Event;
use crate::plan::Budget;
use crate::redact::Redactor;
use crate::report::Report;
use crate::report::progress::{Progress, Screen};
use crate::runner::{Arm, RunOutcome, Runner, Watched};
use crate::sample::Sample;
use crate::stats::rng;
use crate::store::Store;

/// Everything that a run needs.
pub(super) struct Asking<'a> {
    pub session: &'a Session,
    pub job: &'a Job,
    pub store: &'a dyn Store,
    pub resolved: Resolved,
    /// Samples of a recorded reference.
    pub recorded: Vec<Sample>,
    /// Approved snapshots, and what becomes of changed ones.
    pub shelf: Shelf,
    pub redactor: Redactor,
}

impl Asking<'_> {
    /// Asks what has no answer yet, and says how that ended.
    pub async fn ask(&self, global: &Global) -> anyhow::Result<RunOutcome> {
        let begun = Instant::now();
        let progress = Mutex::new(Progress::new(screen(global), move || begun.elapsed()));
        // A display that panicked is no reason to stop a run that costs money.
        let show = |event: Event| progress.lock().unwrap_or_else(PoisonError::into_inner).on(&event);
        let stop = stop_on_signals();
        // A resumed run must not hear the first run's answers again, so the fleet's seed moves on with it.
        let answered = self.job.answered.len().to_string();
        let seed = rng::derive_seed(self.job.plan.seed, &["lab", &answered]);
        let lab = Lab::start(&self.resolved.ready, seed, self.session.lab_time()).await?;
        let client = Client::new(self.redactor.clone());
        let runner = Runner {
            plan: &self.job.plan,
            arms: self.arms(&lab)?,
            client: &client,
            store: self.store,
            run: self.job.run.id,
            window: self.session.defaults.window as usize,
            budget: Budget::new(self.session.defaults.budget, self.ledger().spent().await?),
            watched: self.watched(),
            reference: self.reference(),
            stop,
            events: &show,
        };
        on_this_thread(self.carry_out(runner))
    }

    /// Looks at the hosts, and then asks them.
    async fn carry_out(&self, runner: Runner<'_>) -> anyhow::Result<RunOutcome> {
        let mut look = self.first_look(&runner.arms, runner.client).await;
        let (asked_to_stop, show) = (runner.stop.clone(), runner.events);
        // Said at the end: the progress is not to be broken up.
        let late = Mutex::new(Vec::new());
        let hearing = async {
            if let Some(look) = &mut look {
                look.hear_rest(&|trouble: &str| {
                    late.lock().unwrap_or_else(PoisonError::into_inner).push(trouble.to_owned());
                })
                .await;
            }
            std::future::pending().await
        };
        let running = async {
            tokio::select! {
                outcome = runner.run(&self.job.answered) => outcome,
                outcome = hearing => outcome,
            }
        };
        tokio::pin!(running);
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = asked_to_stop.cancelled() => {
                show(Event::Stopping);
                running.await
            }
        };
        late.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|trouble| preflight::say(trouble));
        Ok(outcome?)
    }

    /// Looks at the hosts before the first question of a run, and tells what shows at once.
    async fn first_look(&self, arms: &[Arm], client: &Client) -> Option<Look> {
        if !self.job.answered.is_empty() {
            return None;
        }
        preflight::say_who_is_left_out(&self.resolved.unasked);
        let mut look = Look::begin(&self.of_hosts(arms), client);
        look.tell_first().await;
        Some(look)
    }

    /// Whose first answers may stop the run: the reference's, where it is asked.
    fn watched(&self) -> Watched {
        if !self.job.answered.is_empty() {
            return Watched::Nobody;
        }
        self.reference().map_or(Watched::All, Watched::Endpoint)
    }

    /// The reference's place in the plan, where it is asked.
    fn reference(&self) -> Option<usize> {
        let reference = self.session.reference_name();
        self.job.plan.endpoints.iter().position(|name| name == reference)
    }

    /// Compares all answers of the run.
    pub async fn judge(&self, outcome: RunOutcome) -> anyhow::Result<Report> {
        let accounts = self.ledger().accounts().await?;
        Judging { asking: self, accounts, outcome }.report().await
    }

    /// The arms of endpoints that are not in the lab, whose addresses are right.
    fn of_hosts<'a>(&self, arms: &'a [Arm]) -> Vec<&'a Arm> {
        let is_host = |arm: &&Arm| {
            let ready = self.resolved.ready.iter().find(|ready| ready.endpoint.name == arm.endpoint.name);
            ready.is_some_and(|ready| matches!(ready.address, Address::Host(_)))
        };
        arms.iter().filter(is_host).collect()
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
}

/// Carries out work on a runtime of this thread alone, connections included: an answer that goes through several threads
/// takes much of its time for waking the next one. The surrounding runtime goes on writing and hearing signals meanwhile.
fn on_this_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = tokio::task::block_in_place(|| runtime.block_on(work));
    // A look for an address that is still under way is not waited for.
    runtime.shutdown_background();
    done
}

fn screen(global: &Global) -> Screen {
    if global.quiet {
        Screen::Silent
    } else if std::io::stderr().is_terminal() && !super::is_dumb() {
        Screen::Bar(indicatif::ProgressDrawTarget::stderr())
    } else {
        Screen::Lines(Box::new(std::io::stderr()))
    }
}
