//! `samemodel watch`: checks at the times that the configuration says, for as long as it runs, or what is due now with `--once`.
//!
//! Both forms keep the same notes in the history, so that they may take turns. `start` claims a time and carries its check out.

use std::path::PathBuf;
use std::process::ExitCode as Code;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::args::Global;
use super::args::watch::Watch;
use super::metrics::Configured;
use super::signals::stop_on_signals;
use super::{UsageError, clock, code_of, emit, in_a_line, note, prune, session};
use crate::config::{self, Config, Environment};
use crate::exit::ExitCode;
use crate::report::Report;
use crate::schedule::{Last, Step, Tier, Times};
use crate::store::{Holder, Lock, Scope, SqliteStore};
use crate::suggest::aside;

mod start;

use start::{Claim, Known, Started};

/// The longest sleep at a time: after each the clock is looked at, since it may have been set and the machine may have slept.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// How long after another run was in the way the next attempt comes.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn watch(args: &Watch, global: &Global) -> anyhow::Result<Code> {
    let loaded = Config::load(global.config.as_deref(), &Environment::of_process(), &[])?;
    let data_dir = session::data_dir(global, &loaded.folder);
    if loaded.config.watch.pulse.is_none() && loaded.config.watch.full.is_none() {
        let what = "there are no times to watch at: add [watch.pulse] or [watch.full] with a `cron` expression";
        return Err(UsageError(what.into()).into());
    }
    // What each check would refuse is refused before the first.
    Configured::of(&loaded, global)?;
    let times = |name: String| {
        let times = Times::new(&loaded.config.watch, &name).context("the times were read before")?;
        anyhow::Ok((name, times))
    };
    let models = named(args, &loaded.config)?.into_iter().map(times).collect::<anyhow::Result<_>>()?;
    let watcher = Watcher { config: &loaded.config, models, data_dir, global, stop: stop_on_signals() };
    if args.once { Box::pin(watcher.once()).await } else { Box::pin(watcher.forever()).await }
}

/// What a watch would do for a model at `now`, by what is noted of its starts; without a history there are none.
pub(super) async fn step(
    store: Option<&SqliteStore>,
    watch: &config::Watch,
    model: &str,
    now: Timestamp,
) -> anyhow::Result<Step> {
    let times = Times::new(watch, model).context("the times were read before")?;
    let last = match store {
        Some(store) => Known::read(store, model).await?.last(),
        None => Last::default(),
    };
    Ok(times.step(last, now))
}

/// The models of the command line, or those of the configuration.
fn named(args: &Watch, config: &Config) -> anyhow::Result<Vec<String>> {
    let known = || config.model.keys().map(String::as_str);
    if let Some(name) = args.models.iter().find(|name| !config.model.contains_key(*name)) {
        let hint = aside(name, known());
        return Err(UsageError(format!("no model `{name}` is configured{hint}")).into());
    }
    Ok(match (args.models.is_empty(), config.watch.models.is_empty()) {
        (false, _) => args.models.clone(),
        (true, false) => config.watch.models.clone(),
        (true, true) => known().map(str::to_owned).collect(),
    })
}

/// Who watches what.
struct Watcher<'a> {
    config: &'a Config,
    models: Vec<(String, Times)>,
    data_dir: PathBuf,
    global: &'a Global,
    stop: CancellationToken,
}

/// What one look at all models came to.
#[derive(Default)]
struct Round {
    /// How each check ended.
    codes: Vec<ExitCode>,
    /// Why a check that is due could not begin: another run is under way.
    busy: Option<anyhow::Error>,
    /// What comes next.
    next: Option<Next>,
}

/// A check that is to come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    until: Timestamp,
    model: String,
    tier: Tier,
}

impl std::fmt::Display for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "next: {} of {} at {:.0}", self.tier, self.model, self.until)
    }
}

impl Watcher<'_> {
    /// Checks what is due, and ends as the worst of these checks did.
    async fn once(&self) -> anyhow::Result<Code> {
        let round = self.round().await?;
        let next = round.next.map_or_else(|| "nothing comes after that".to_owned(), |next| next.to_string());
        if round.codes.is_empty() && round.busy.is_none() {
            emit(&format!("nothing is due; {next}\n"))?;
            return Ok(ExitCode::Consistent.into());
        }
        note(&next);
        match (worst(&round.codes), round.busy) {
            // A model that was not checked must not look as if it had been.
            (None | Some(ExitCode::Consistent), Some(busy)) => Err(busy),
            (code, busy) => {
                if let Some(busy) = busy {
                    note(&format!("samemodel: not checked: {}", in_a_line(&busy)));
                }
                Ok(code.unwrap_or(ExitCode::Consistent).into())
            }
        }
    }

    /// Checks and waits until it is asked to stop.
    async fn forever(&self) -> anyhow::Result<Code> {
        let holder = Holder::this_process("samemodel watch", clock::now());
        let _watching = Lock::acquire_for(Scope::Watch, &self.data_dir, &holder)?;
        let mut told = None;
        loop {
            let round = self.round().await?;
            if self.stop.is_cancelled() {
                break;
            }
            if let Some(busy) = round.busy {
                note(&format!("waiting: {}", in_a_line(&busy)));
                self.sleep(PATIENCE).await;
            } else {
                let next =
                    round.next.ok_or_else(|| UsageError("none of the times to watch at is still to come".into()))?;
                if told.as_ref() != Some(&next) {
                    emit(&format!("{next}\n"))?;
                    told = Some(next.clone());
                }
                self.sleep_until(next.until).await;
            }
            if self.stop.is_cancelled() {
                break;
            }
        }
        emit("stopped, as asked\n")?;
        Ok(Code::SUCCESS)
    }

    /// Looks at every model, checks those that are due, one after the other, and then drops what is no longer kept.
    async fn round(&self) -> anyhow::Result<Round> {
        let round = self.checks().await?;
        if !round.codes.is_empty() {
            prune::after_checks(self.config, &self.data_dir).await;
        }
        Ok(round)
    }

    async fn checks(&self) -> anyhow::Result<Round> {
        let mut round = Round::default();
        for (model, times) in &self.models {
            while !self.stop.is_cancelled() {
                let known = self.known(model).await?;
                let now = clock::now();
                match times.step(known.last(), now) {
                    Step::Never => break,
                    Step::Wait { tier, until } => {
                        let next = Next { until, model: model.clone(), tier };
                        round.next = round.next.take().into_iter().chain([next]).min();
                        break;
                    }
                    Step::Run(due) => {
                        let claim = known.claim(model, due, now);
                        if !self.take_up(&claim, times, &mut round).await? {
                            break;
                        }
                    }
                }
            }
        }
        Ok(round)
    }

    /// Carries out a claim, and a full check after a pulse that calls for one. Whether this model can be gone on with.
    async fn take_up(&self, claim: &Claim, times: &Times, round: &mut Round) -> anyhow::Result<bool> {
        let Some(report) = self.carry_out(claim, round).await? else { return Ok(round.busy.is_none()) };
        if claim.tier() == Tier::Full || !times.has_full() || self.stop.is_cancelled() {
            return Ok(true);
        }
        let known = self.known(claim.model()).await?;
        let cool_down = SignedDuration::from_secs(self.config.watch.cool_down.into());
        if let Some(full) = known.full_check_after(&report, cool_down, clock::now()) {
            let of_pulse = round.codes.len() - 1;
            if self.carry_out(&full, round).await?.is_some() {
                // What the full check says is the better answer to the same question.
                round.codes.remove(of_pulse);
            }
        }
        Ok(round.busy.is_none())
    }

    /// Carries out a claim and notes how it ended; its report, if it came to one.
    async fn carry_out(&self, claim: &Claim, round: &mut Round) -> anyhow::Result<Option<Report>> {
        match Box::pin(self.start(claim)).await? {
            Started::Taken => {}
            Started::Busy(error) => round.busy = Some(error),
            Started::Failed(error) => round.codes.push(code_of(&error)),
            Started::Ended(report) => {
                round.codes.push(report.overall().into());
                return Ok(Some(*report));
            }
        }
        Ok(None)
    }

    /// Sleeps until then, or until the clock is seen to have been set back, or until asked to stop.
    async fn sleep_until(&self, until: Timestamp) {
        let mut before = clock::now();
        while before < until && !self.stop.is_cancelled() {
            let left = Duration::try_from(until.duration_since(before)).unwrap_or_default();
            self.sleep(left.min(LONGEST_SLEEP)).await;
            let now = clock::now();
            if now < before {
                return;
            }
            before = now;
        }
    }

    async fn sleep(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn known(&self, model: &str) -> anyhow::Result<Known> {
        let store = self.store().await?;
        let known = Known::read(&store, model).await;
        store.close().await?;
        Ok(known?)
    }
}

/// The code that matters most: a fault before a verdict, and drift before what is undecided.
fn worst(codes: &[ExitCode]) -> Option<ExitCode> {
    let order = [ExitCode::Internal, ExitCode::Usage, ExitCode::Drifted, ExitCode::Undecided, ExitCode::Locked];
    order.into_iter().find(|code| codes.contains(code)).or_else(|| codes.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_outweighs_every_verdict_and_drift_what_is_undecided() {
        use ExitCode::{Consistent, Drifted, Internal, Undecided, Usage};
        assert_eq!(worst(&[Consistent, Undecided, Drifted]), Some(Drifted));
        assert_eq!(worst(&[Drifted, Usage]), Some(Usage));
        assert_eq!(worst(&[Consistent, Internal]), Some(Internal));
        assert_eq!(worst(&[Consistent]), Some(Consistent));
        assert_eq!(worst(&[]), None);
    }
}
