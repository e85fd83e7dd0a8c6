//! The runner: carries out a plan, request by request, until every one is answered or given up.
//!
//! Layer 4. It owns the loop and decides nothing: the plan gives the order, [`retry`] says whether to try again,
//! the limiter when. Every attempt is in the store before anything else is told of it, so a killed run loses nothing that
//! it has acknowledged. [`window`] keeps endpoints in step, [`arm`] holds what is known of one endpoint during a run, and
//! [`guard`] what its first answers show.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::vec;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Asked, Attempt, Failure, FailureKind, Outcome, Slot};
use crate::charge::charge;
use crate::client::{Ask, Client, Route};
use crate::event::Event;
use crate::plan::{Budget, Plan, PlannedProbe, Request};
use crate::probe::{Feature, RequestClass};
use crate::retry::{self, Decision, Spent};
use crate::sample::Asking;
use crate::stats::rng;
use crate::store::{Recorded, RunId, Store, StoreError};

pub mod arm;
pub mod examine;
pub mod guard;
pub mod window;

pub use arm::Arm;
use arm::{GivenUp, Limits, State};
use guard::Thoughts;
use window::Window;

/// How long requests under way may go on after the run was asked to stop, or their endpoint was taken out.
pub const GRACE: Duration = Duration::from_secs(10);

/// A run about to be carried out.
pub struct Runner<'a> {
    /// What to ask.
    pub plan: &'a Plan,
    /// The endpoints of the plan that can be asked, by their index in it.
    pub arms: Vec<Arm>,
    /// Who asks.
    pub client: &'a Client,
    /// Where everything is kept.
    pub store: &'a dyn Store,
    /// The run in the store.
    pub run: RunId,
    /// The most requests that one endpoint may be ahead of the slowest, in blocks.
    pub window: usize,
    /// What may be spent.
    pub budget: Budget,
    /// Whose first answers are looked at.
    pub watched: Watched,
    /// The endpoint, by its index in the plan, without whose answers those of all others are worth nothing.
    pub reference: Option<usize>,
    /// Cancelled when the run shall stop.
    pub stop: CancellationToken,
    /// Who is told what happens.
    pub events: &'a (dyn Fn(Event) + Send + Sync),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every request was answered or given up.
    Complete,
    /// It was asked to stop.
    Stopped,
    /// The next request might have passed the budget.
    BudgetReached,
    /// Many of the first answers were used up by thinking, so that asking on would have been waste.
    ThoughtAway(Thoughts),
    /// The reference is out, and without it no other answer can be judged.
    ReferenceDown,
}

/// Whose first answers are looked at, to stop a run whose caps leave no room to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Those of this endpoint of the plan: the reference, since one host that thinks too long is a finding and no reason to stop.
    Endpoint(usize),
    /// Those of all endpoints.
    All,
    /// Nobody's: a run that is gone on with was told once.
    Nobody,
}

impl Runner<'_> {
    /// Carries out the plan, leaving out what is answered already. Fails only when the store does.
    pub async fn run(self, answered: &HashSet<Slot>) -> Result<RunOutcome, StoreError> {
        let open: Vec<Request> =
            self.plan.requests().into_iter().filter(|&r| !answered.contains(&self.plan.slot(r))).collect();
        let worst_cost = open.iter().filter_map(|r| self.arm(r.endpoint).map(|arm| self.worst(arm, *r))).sum();
        (self.events)(Event::Started {
            planned: open.len() + answered.len(),
            already_answered: answered.len(),
            worst_cost,
        });
        let window = Window::new(self.window);
        let queues: Vec<(&Arm, Vec<Request>)> = self
            .arms
            .iter()
            .map(|arm| (arm, open.iter().copied().filter(|r| r.endpoint == arm.index).collect()))
            .collect();
        for (arm, queue) in &queues {
            window.enter(arm.index, queue.iter().map(|r| r.block));
        }
        let shared = Shared {
            runner: &self,
            window: &window,
            budget: Mutex::new(self.budget.clone()),
            thoughts: Mutex::default(),
            reference_down: AtomicBool::new(false),
            facts: self.plan.probes.iter().map(Facts::of).collect(),
        };
        let mut all: FuturesUnordered<_> = queues.into_iter().map(|(arm, queue)| shared.serve(arm, queue)).collect();
        while let Some(served) = all.next().await {
            served?;
        }
        (self.events)(Event::Finished);
        let away = shared.thoughts().1;
        if shared.reference_down.load(Ordering::Relaxed) {
            return Ok(RunOutcome::ReferenceDown);
        }
        Ok(match (shared.broke(), self.stop.is_cancelled()) {
            (true, _) => RunOutcome::BudgetReached,
            (false, true) => away.map_or(RunOutcome::Stopped, RunOutcome::ThoughtAway),
            (false, false) => RunOutcome::Complete,
        })
    }

    fn arm(&self, index: usize) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.index == index)
    }

    /// The most that one attempt can cost; 0 without a price.
    fn worst(&self, arm: &Arm, request: Request) -> f64 {
        arm.endpoint.price.map_or(0.0, |price| self.plan.probes[request.probe].worst_cost(price))
    }
}

/// What all endpoints' loops share.
struct Shared<'a> {
    runner: &'a Runner<'a>,
    window: &'a Window,
    budget: Mutex<Budget>,
    /// What the first answers showed, and what they showed when that stopped the run.
    thoughts: Mutex<(Thoughts, Option<Thoughts>)>,
    reference_down: AtomicBool,
    /// Of each probe of the plan.
    facts: Vec<Facts>,
}

/// What all requests with a probe have in common, found out once and not for each of them.
struct Facts {
    digest: String,
    asking: Asking,
    is_plain: bool,
    is_uncapped: bool,
}

impl Facts {
    fn of(planned: &PlannedProbe) -> Self {
        let class = RequestClass::of(&planned.probe);
        let (is_plain, is_uncapped) = (class.is_plain(), class.has(Feature::Uncapped));
        Self { digest: planned.probe.digest(), asking: planned.probe.asking, is_plain, is_uncapped }
    }
}

/// How a request ended.
enum End {
    /// With an answer, which took so long since its attempt was sent.
    Answered(Duration),
    /// Without one, after so many attempts.
    GaveUp(Failure, u32),
    Skipped,
}

impl Shared<'_> {
    /// One endpoint's loop: as many requests under way as its limiter lets through, in the plan's order.
    async fn serve(&self, arm: &Arm, queue: Vec<Request>) -> Result<(), StoreError> {
        let plain_probes = || self.facts.iter().filter(|facts| facts.is_plain);
        let askings: BTreeSet<Asking> = plain_probes().map(|facts| facts.asking).collect();
        let state = State::new(
            queue.len(),
            Limits {
                down_after: arm.retry.down_after,
                plain_probes: plain_probes().count(),
                askings: askings.len(),
                blip: Duration::try_from_secs_f64(arm.retry.first_wait).unwrap_or_default(),
            },
        );
        // An answer without a cap may take a small host minutes: one at a time, so that the others have its places.
        let (uncapped, capped): (Vec<Request>, Vec<Request>) =
            queue.into_iter().partition(|request| self.facts[request.probe].is_uncapped);
        // As many as the cap; the limiter within decides how many really go out.
        let capped_lanes = capped.len().min(arm.concurrency.max(1) as usize);
        let (capped, uncapped) = (Mutex::new(capped.into_iter()), Mutex::new(uncapped.into_iter()));
        let queues = std::iter::repeat_n(&capped, capped_lanes).chain([&uncapped]);
        let mut lanes: FuturesUnordered<_> = queues.map(|queue| self.go_through(arm, queue, &state)).collect();
        while let Some(done) = lanes.next().await {
            done?;
        }
        self.window.retire(arm.index);
        Ok(())
    }

    /// Takes one request after the other, in the plan's order, until there is none left.
    async fn go_through(
        &self,
        arm: &Arm,
        queue: &Mutex<vec::IntoIter<Request>>,
        state: &State,
    ) -> Result<(), StoreError> {
        loop {
            // The lock is not held while the request is under way.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(request) = next else { return Ok(()) };
            let end = self.fulfil(arm, request, state).await?;
            let took = if let End::Answered(took) = &end { Some(*took) } else { None };
            self.window.leave(arm.index, request.block, took);
            self.take_note(arm, request, end, state);
        }
    }

    fn take_note(&self, arm: &Arm, request: Request, end: End, state: &State) {
        // Where no probe is plain, each request stands for one.
        let is_plain = self.facts[request.probe].is_plain || state.is_without_plain();
        let plain = is_plain.then_some(request.probe);
        let (failure, tries) = match end {
            End::Skipped => return,
            End::Answered(_) => return state.answered(plain),
            End::GaveUp(failure, tries) => (failure, tries),
        };
        let slot = self.runner.plan.slot(request);
        let (kind, message) = (failure.kind, failure.message.clone());
        (self.runner.events)(Event::GaveUp { slot, kind, message });
        let asking = self.facts[request.probe].asking;
        if let Some(reason) = state.gave_up(&GivenUp { failure: &failure, plain, asking, tries }) {
            self.take_out(arm, reason, state);
        }
    }

    fn take_out(&self, arm: &Arm, reason: String, state: &State) {
        self.window.retire(arm.index);
        let endpoint = arm.endpoint.name.clone();
        (self.runner.events)(Event::EndpointDown { endpoint, reason, skipped: state.left() });
        if self.runner.reference == Some(arm.index) {
            self.reference_down.store(true, Ordering::Relaxed);
            self.runner.stop.cancel();
        }
    }

    /// Tries until there is an answer or a reason to stop trying.
    async fn fulfil(&self, arm: &Arm, request: Request, state: &State) -> Result<End, StoreError> {
        let runner = self.runner;
        let in_step = self.window.wait(arm.index, request.block);
        // What stops goes first: where both are ready, nothing more is sent.
        let stopped = tokio::select! {
            biased;
            () = runner.stop.cancelled() => true,
            () = in_step => false,
        };
        if stopped || state.is_down() {
            return Ok(End::Skipped);
        }
        let slot = runner.plan.slot(request);
        let planned = &runner.plan.probes[request.probe];
        let seed = arm.defaults.send_seed.then(|| runner.plan.request_seed(&slot));
        let route = Route { endpoint: &arm.endpoint, dialect: &arm.dialect, defaults: &arm.defaults };
        let ask = Ask::new(&planned.probe, route, request.replicate, seed);
        let asked = Asked {
            model: runner.plan.model.clone(),
            probe_digest: self.facts[request.probe].digest.clone(),
            parameters: ask.parameters_sent().clone(),
        };
        // Most requests are answered at once and need none.
        let mut rng = None;
        let mut sent_at = None;
        for number in 1.. {
            let attempt = match self.attempt(arm, &ask, request, number, state).await {
                Ok(attempt) => attempt,
                Err(end) => return Ok(end),
            };
            // The time that a request has begins when its first attempt is sent, and not when it waits for leave to send it.
            let over = tokio::time::Instant::now();
            let sent = *sent_at.get_or_insert_with(|| over.checked_sub(attempt.elapsed).unwrap_or(over));
            let recorded = runner.store.record(&runner.run, &attempt, attempt.sample(&asked).as_ref()).await?;
            let Outcome::Failed(failure) = &attempt.outcome else {
                if recorded == Recorded::Stored {
                    let Slot { endpoint, probe, replicate } = &slot;
                    tracing::debug!(endpoint, probe, replicate, "answered");
                    let cost = attempt.cost.unwrap_or(0.0);
                    (runner.events)(Event::Answered { slot, cost });
                    self.look_at(request, &attempt, &asked);
                }
                return Ok(End::Answered(attempt.elapsed));
            };
            if let Some(reason) = state.failed(failure) {
                self.take_out(arm, reason, state);
            }
            let spent = Spent { tries: number, elapsed: sent.elapsed() };
            let rng = rng.get_or_insert_with(|| retry_rng(runner.plan.seed, &slot));
            match retry::decide(failure, state.known(), spent, &arm.retry, rng) {
                Decision::GiveUp(reason) => {
                    let message = format!("{}; {reason}", failure.message);
                    return Ok(End::GaveUp(Failure { message, ..failure.clone() }, number));
                }
                Decision::Retry { .. } if state.is_down() => {
                    (runner.events)(Event::Failed { slot, kind: failure.kind });
                    return Ok(End::Skipped);
                }
                Decision::Retry { after } => {
                    (runner.events)(Event::Retrying { slot: slot.clone(), kind: failure.kind, wait: after });
                    tokio::select! {
                        biased;
                        () = runner.stop.cancelled() => return Ok(End::Skipped),
                        () = state.out().cancelled() => return Ok(End::Skipped),
                        () = tokio::time::sleep(after) => {}
                    }
                }
            }
        }
        Ok(End::Skipped)
    }

    /// One attempt, once the limiter and the budget let it through.
    async fn attempt(
        &self,
        arm: &Arm,
        ask: &Ask,
        request: Request,
        number: u32,
        state: &State,
    ) -> Result<Attempt, End> {
        let runner = self.runner;
        let permit = tokio::select! {
            biased;
            () = runner.stop.cancelled() => return Err(End::Skipped),
            () = state.out().cancelled() => return Err(End::Skipped),
            permit = arm.limiter.acquire() => permit,
        };
        let permit = permit.map_err(|closed| {
            let failure = Failure {
                kind: FailureKind::RateLimited,
                message: closed.to_string(),
                retry_after: Some(closed.left),
                should_retry: None,
            };
            End::GaveUp(failure, number - 1)
        })?;
        if state.is_down() || !self.reserve(arm, request) {
            return Err(End::Skipped);
        }
        let place = state.sends();
        let attempt = tokio::select! {
            attempt = runner.client.attempt(&arm.target, ask, number) => Some(attempt),
            () = after_grace(&runner.stop) => None,
            // What is under way may still be answered, as one node of many may work; a silent host holds no run up.
            () = after_grace(state.out()) => None,
        };
        state.ended(place, attempt.as_ref().map(|attempt| &attempt.outcome));
        let worst = runner.worst(arm, request);
        let Some(attempt) = attempt else {
            self.budget().settle(worst, worst);
            return Err(End::Skipped);
        };
        permit.report(&attempt);
        let cost = arm.endpoint.price.map(|price| charge(&attempt.outcome, price, worst));
        self.budget().settle(worst, cost.unwrap_or(0.0));
        Ok(Attempt { cost, ..attempt })
    }

    /// Stops the run where its first answers show that its caps are too low.
    fn look_at(&self, request: Request, attempt: &Attempt, asked: &Asked) {
        let is_watched = match self.runner.watched {
            Watched::Endpoint(index) => request.endpoint == index,
            Watched::All => true,
            Watched::Nobody => false,
        };
        let mut thoughts = self.thoughts();
        if is_watched && thoughts.0.see(attempt, asked) {
            thoughts.1 = Some(thoughts.0);
            (self.runner.events)(Event::ThoughtAway { advice: thoughts.0.to_string() });
            self.runner.stop.cancel();
        }
    }

    fn thoughts(&self) -> std::sync::MutexGuard<'_, (Thoughts, Option<Thoughts>)> {
        // Nothing under the lock can panic halfway through a change.
        self.thoughts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        // Nothing under the lock can panic halfway through a change.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the worst case aside; when it does not fit, the whole run stops.
    fn reserve(&self, arm: &Arm, request: Request) -> bool {
        let fits = self.budget().reserve(self.runner.worst(arm, request));
        if !fits && !self.budget().is_exhausted() {
            self.budget().exhaust();
            let (spent, held) = {
                let budget = self.budget();
                (budget.spent(), budget.held())
            };
            (self.runner.events)(Event::BudgetReached { spent, held, skipped: self.window.open() });
            self.runner.stop.cancel();
        }
        fits
    }

    fn broke(&self) -> bool {
        self.budget().is_exhausted()
    }
}

/// What the waits of one request are drawn from.
fn retry_rng(seed: u64, slot: &Slot) -> impl Rng + use<> {
    let label = [slot.endpoint.as_str(), slot.probe.as_str(), &slot.replicate.to_string()].join("\n");
    rng::derive(seed, &["retry", &label])
}

async fn after_grace(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}
