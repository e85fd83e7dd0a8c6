//! `samemodel check`: ask, keep, compare, report.

use std::collections::{BTreeMap, HashSet};
use std::io::IsTerminal as _;
use std::process::ExitCode as Code;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::args::{Check, Global};
use super::session::{Overrides, Ready, Session, fresh_seed};
use super::{NothingMeasured, UsageError, deliver, note, plan as plan_verb, samples};
use crate::attempt::Slot;
use crate::client::{Client, Limiter, Target};
use crate::compare::{Roles, compare};
use crate::config::{Address, Credentials, Reference};
use crate::event::Event;
use crate::plan::{Budget, Plan, cost};
use crate::report::progress::{Progress, Screen};
use crate::report::{Account, Origin, Report};
use crate::runner::{Arm, RunOutcome, Runner};
use crate::sample::Sample;
use crate::store::{Ending, Holder, Lock, RunEnd, RunId, RunRecord, SqliteStore, Store};

pub(super) async fn check(args: &Check, global: &Global) -> anyhow::Result<Code> {
    let overrides = Overrides { samples: args.samples, budget: args.budget, comparing: Some(&args.comparing) };
    let mut session = Session::open(global, args.model.as_deref(), &overrides)?;
    session.keep_only(&args.endpoint)?;
    if args.dry_run {
        return plan_verb::show(&session, args.comparing.seed.unwrap_or_else(fresh_seed), args.report.format.into());
    }
    let credentials = Credentials::of(&session.loaded.config, &session.environment);
    let (ready, unasked) = session.resolve(&credentials)?;
    can_be_compared(&session, &ready, &unasked)?;
    can_be_paid(&session, &ready)?;

    let data_dir = session.data_dir(global);
    let holder = Holder::this_process(format!("samemodel check {}", session.name), Timestamp::now());
    let _lock = Lock::acquire(&data_dir, &holder)?;
    let store = SqliteStore::open(&data_dir, credentials.redactor()).await?;
    let job =
        if args.resume { Job::resume(&store, &session).await? } else { Job::begin(&store, &session, args).await? };
    let asking =
        Asking { session: &session, job: &job, store: &store, ready, unasked, redactor: credentials.redactor() };
    let report = asking.carry_out(global).await;
    store.close().await?;
    deliver(&report?, &args.report, global)
}

/// Refuses to spend anything when there would be nothing to compare with.
fn can_be_compared(session: &Session, ready: &[Ready], unasked: &[(String, String)]) -> anyhow::Result<()> {
    if session.model.endpoint.is_empty() {
        return Err(UsageError(format!("model `{}` has no endpoints: add [[model.{0}.endpoint]]", session.name)).into());
    }
    if let Reference::Endpoint(name) = &session.model.reference
        && let Some((_, reason)) = unasked.iter().find(|(unasked, _)| unasked == name)
    {
        let advice = "or name another reference";
        return Err(UsageError(format!("the reference `{name}` cannot be asked: {reason}, {advice}")).into());
    }
    let judged = |r: &&Ready| {
        r.endpoint.name != session.reference_name() && Some(&r.endpoint.name) != session.model.control.as_ref()
    };
    if !ready.iter().any(|r| judged(&r)) {
        let reasons: Vec<String> = unasked.iter().map(|(name, reason)| format!("\n  {name}: {reason}")).collect();
        let what = format!("nothing to compare: no endpoint of `{}` beside the reference can be asked", session.name);
        return Err(UsageError(what + &reasons.concat()).into());
    }
    Ok(())
}

/// A budget can only be held where prices are known.
fn can_be_paid(session: &Session, ready: &[Ready]) -> anyhow::Result<()> {
    if session.defaults.budget.is_none() {
        return Ok(());
    }
    let unpriced: Vec<&str> = ready
        .iter()
        .filter(|r| r.endpoint.price.is_none() && !is_local(&r.address))
        .map(|r| r.endpoint.name.as_str())
        .collect();
    if unpriced.is_empty() {
        return Ok(());
    }
    let names = unpriced.join("`, `");
    Err(UsageError(format!("a budget needs prices, and `{names}` has none: add `price = {{ input = …, output = … }}`"))
        .into())
}

fn is_local(address: &Address) -> bool {
    match address {
        Address::Lab(_) => true,
        Address::Host(url) => url.scheme() == "http",
    }
}

/// A run in the store: a new one, or one that is gone on with.
struct Job {
    run: RunRecord,
    plan: Plan,
    answered: HashSet<Slot>,
}

impl Job {
    async fn begin(store: &dyn Store, session: &Session, args: &Check) -> anyhow::Result<Self> {
        let seed = args.comparing.seed.unwrap_or_else(fresh_seed);
        let plan = session.plan(seed)?;
        let run = RunRecord {
            id: RunId::generate(),
            model: session.name.clone(),
            reference: session.reference_name().to_owned(),
            started_at: Timestamp::now(),
            end: None,
            seed,
            config_digest: digest(&serde_json::to_string(&session.loaded.config)?),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        store.create_run(&run, &serde_json::to_string(&plan)?).await?;
        Ok(Self { run, plan, answered: HashSet::new() })
    }

    async fn resume(store: &dyn Store, session: &Session) -> anyhow::Result<Self> {
        let run = store.latest_unfinished(&session.name).await?.ok_or_else(|| {
            UsageError(format!("no run of `{}` is unfinished: leave out --resume to begin one", session.name))
        })?;
        let text = store.plan(&run.id).await?.context("an unfinished run has a plan")?;
        let plan: Plan =
            serde_json::from_str(&text).with_context(|| format!("the plan of run {} cannot be read", run.id))?;
        let answered = store.answered(&run.id).await?;
        if let Some(gone) = plan.endpoints.iter().find(|name| !session.model.endpoint.iter().any(|e| e.name == **name))
        {
            return Err(UsageError(format!(
                "run {} asked endpoint `{gone}`, which the configuration no longer has: put it back, or begin a new run",
                run.id
            ))
            .into());
        }
        Ok(Self { run, plan, answered })
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Everything that a run needs.
struct Asking<'a> {
    session: &'a Session,
    job: &'a Job,
    store: &'a SqliteStore,
    ready: Vec<Ready>,
    unasked: Vec<(String, String)>,
    redactor: crate::redact::Redactor,
}

impl Asking<'_> {
    async fn carry_out(&self, global: &Global) -> anyhow::Result<Report> {
        let begun = Instant::now();
        let progress = Mutex::new(Progress::new(screen(global), move || begun.elapsed()));
        // A display that panicked is no reason to stop a run that costs money.
        let show = |event: &Event| progress.lock().unwrap_or_else(PoisonError::into_inner).on(event);
        let stop = stop_on_signals();
        let lab = self.start_lab().await?;
        let arms = self.arms(&lab)?;
        let budget = Budget::new(self.session.defaults.budget, self.spent_before().await?);
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
            now: Timestamp::now,
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

    /// Starts the endpoints whose address is `lab:`; their base URLs by name.
    #[cfg(feature = "lab")]
    async fn start_lab(&self) -> anyhow::Result<Lab> {
        use crate::lab::{Fleet, FleetOptions, LabEndpoint};
        let mut endpoints = Vec::new();
        for ready in &self.ready {
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
        let seed = crate::stats::rng::derive_seed(self.job.plan.seed, &["lab", &answered]);
        let fleet = Fleet::start(&endpoints, FleetOptions { seed, ..FleetOptions::default() }).await?;
        let urls = endpoints.iter().enumerate().map(|(i, e)| (e.name.clone(), fleet.base_url(i))).collect();
        Ok(Lab { urls, _fleet: Some(fleet) })
    }

    #[cfg(not(feature = "lab"))]
    async fn start_lab(&self) -> anyhow::Result<Lab> {
        if let Some(ready) = self.ready.iter().find(|r| matches!(r.address, Address::Lab(_))) {
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
        for ready in &self.ready {
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

    /// What earlier parts of this run have cost.
    async fn spent_before(&self) -> anyhow::Result<f64> {
        Ok(self.costs().await?.values().copied().flatten().sum())
    }

    /// Cost by endpoint: by the hosts' counts, and the worst case for each attempt that may have cost something uncounted.
    async fn costs(&self) -> anyhow::Result<BTreeMap<String, Option<f64>>> {
        let mut costs: BTreeMap<String, Option<f64>> = BTreeMap::new();
        for spent in self.store.spent(&self.job.run.id).await? {
            let price = self.session.model.endpoint.iter().find(|e| e.name == spent.endpoint).and_then(|e| e.price);
            let Some(price) = price else { continue };
            let planned = self.job.plan.probes.iter().find(|p| p.probe.id == spent.probe);
            let worst = planned.map_or(0.0, |p| p.worst_cost(price));
            let paid = cost(price, spent.prompt_tokens, spent.completion_tokens) + spent.unmetered as f64 * worst;
            let total = costs.entry(spent.endpoint).or_default();
            *total = Some(total.unwrap_or(0.0) + paid);
        }
        Ok(costs)
    }

    async fn report(&self, outcome: RunOutcome) -> anyhow::Result<Report> {
        let id = &self.job.run.id;
        let mut samples = self.store.samples(id).await?;
        let accounts = self.accounts().await?;
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
            unasked: self.unasked.clone(),
            order: self.session.model.endpoint.iter().map(|e| e.name.clone()).collect(),
        };
        Ok(Report::new(comparison, origin))
    }

    async fn accounts(&self) -> anyhow::Result<BTreeMap<String, Account>> {
        let id = &self.job.run.id;
        let mut costs = self.costs().await?;
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        let planned = self.job.plan.requests_per_endpoint();
        for counts in self.store.counts(id).await? {
            let cost = costs.remove(&counts.endpoint).flatten();
            let account = Account {
                samples: counts.answers as usize,
                attempts: counts.attempts as usize,
                errors: counts.failures as usize,
                failures: BTreeMap::new(),
                unanswered: planned.saturating_sub(counts.answers as usize),
                cost,
            };
            accounts.insert(counts.endpoint, account);
        }
        for attempt in self.store.attempts(id).await? {
            if let (Some(failure), Some(account)) = (attempt.failure, accounts.get_mut(&attempt.slot.endpoint)) {
                *account.failures.entry(failure.kind).or_default() += 1;
            }
        }
        Ok(accounts)
    }

    /// The recorded reference's samples under the reference's name, only those to probes as they are asked now.
    fn recorded(&self, recorded: &crate::config::RecordedReference) -> anyhow::Result<Vec<Sample>> {
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

/// Cancelled by Ctrl-C or SIGTERM; a second signal ends the process at once, which loses nothing that was acknowledged.
fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        signal().await;
        token.cancel();
        signal().await;
        note("stopped at once; go on with --resume");
        #[expect(clippy::exit, reason = "the user asked twice, and everything acknowledged is on disk")]
        std::process::exit(130);
    });
    stop
}

async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
