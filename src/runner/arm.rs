//! An arm: one endpoint of a run, ready to be asked, and what has become of it so far.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Failure, FailureKind, Outcome};
use crate::client::{Limiter, Target};
use crate::config::{Defaults, Dialect, Endpoint, Retry};
use crate::retry::Known;
use crate::sample::Asking;

/// One endpoint, ready to be asked.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Its index in the plan.
    pub index: usize,
    /// Its settings.
    pub endpoint: Endpoint,
    /// Where its provider differs from OpenAI's interface.
    pub dialect: Dialect,
    /// What holds where probe and endpoint say nothing, the model's own settings applied.
    pub defaults: Defaults,
    /// Its address and key.
    pub target: Target,
    /// Its provider's limiter, shared by all endpoints there.
    pub limiter: Limiter,
    /// The most requests under way at once.
    pub concurrency: u32,
    /// How failures are met.
    pub retry: Retry,
}

/// Whether an endpoint still deserves to be asked.
#[derive(Debug)]
pub(super) struct State {
    /// Requests that have not ended.
    left: AtomicUsize,
    limits: Limits,
    seen: Mutex<Seen>,
    down: AtomicBool,
    /// Cancelled when it is out.
    out: CancellationToken,
}

/// What takes an endpoint out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Requests given up in a row.
    pub down_after: u32,
    /// How many plain probes the plan has.
    pub plain_probes: usize,
    /// In how many ways they are asked.
    pub askings: usize,
    /// Within which failures are one.
    pub blip: Duration,
}

/// A request that was given up.
pub(super) struct GivenUp<'a> {
    pub failure: &'a Failure,
    /// The probe, where the request asked a plain question.
    pub plain: Option<usize>,
    /// How it was asked.
    pub asking: Asking,
    /// Attempts that were made.
    pub tries: u32,
}

#[derive(Debug, Default)]
struct Seen {
    answered: bool,
    answered_plain: bool,
    given_up_in_a_row: u32,
    last_counted: Option<Instant>,
    /// Plain probes that were refused before one was answered, or for want of credit since the latest answer to one.
    refused: BTreeSet<usize>,
    /// How those were asked.
    refused_as: BTreeSet<Asking>,
    /// Attempts that were sent.
    sent: u64,
    /// Those of them that are not over.
    under_way: BTreeSet<u64>,
    /// Attempts that timed out before there was any answer.
    timed_out: u32,
    /// The same of attempts behind one that goes on.
    timed_out_behind: u32,
}

/// Different plain probes that an endpoint which has answered none must refuse to be out.
const REFUSED: usize = 3;

/// Those that one which has must refuse in a row for want of credit.
const UNPAID: usize = 10;

/// Attempts at an endpoint that has never answered that may time out.
const SILENT: u32 = 3;

impl State {
    pub(super) fn new(requests: usize, limits: Limits) -> Self {
        let (left, down) = (AtomicUsize::new(requests), AtomicBool::new(false));
        Self { left, limits, seen: Mutex::default(), down, out: CancellationToken::new() }
    }

    pub(super) fn answered(&self, plain: Option<usize>) {
        self.left.fetch_sub(1, Ordering::Relaxed);
        let mut seen = self.seen();
        seen.answered = true;
        seen.given_up_in_a_row = 0;
        if plain.is_some() {
            seen.answered_plain = true;
            seen.refused.clear();
            seen.refused_as.clear();
        }
    }

    /// An attempt is sent; returns its place among those to this endpoint.
    pub(super) fn sends(&self) -> u64 {
        let mut seen = self.seen();
        let place = seen.sent;
        seen.sent += 1;
        seen.under_way.insert(place);
        place
    }

    /// An attempt is over, with this outcome or broken off.
    ///
    /// One behind another that goes on may have waited in the queue of a host that answers one at a time: that it timed
    /// out counts once the other one has as well.
    pub(super) fn ended(&self, place: u64, outcome: Option<&Outcome>) {
        let mut seen = self.seen();
        let is_behind = seen.under_way.first() != Some(&place);
        seen.under_way.remove(&place);
        let is_late = |outcome: &Outcome| match outcome {
            Outcome::Failed(failure) => failure.kind == FailureKind::Timeout,
            Outcome::Answered(_) => false,
        };
        let is_late = !seen.answered && outcome.is_some_and(is_late);
        if is_behind {
            seen.timed_out_behind += u32::from(is_late);
            return;
        }
        let behind = std::mem::take(&mut seen.timed_out_behind);
        if is_late {
            seen.timed_out += 1 + behind;
        }
    }

    /// Says why when the endpoint goes down with a failed attempt.
    pub(super) fn failed(&self, failure: &Failure) -> Option<String> {
        let seen = self.seen();
        if failure.kind != FailureKind::Timeout || seen.answered {
            return None;
        }
        let timed_out = seen.timed_out;
        let silent = || format!("{timed_out} attempts timed out, and nothing was ever answered: {}", failure.message);
        (timed_out >= SILENT).then(silent).filter(|_| self.goes_down())
    }

    /// Counts a request that was given up; says why when the endpoint goes down with it.
    pub(super) fn gave_up(&self, given_up: &GivenUp<'_>) -> Option<String> {
        self.left.fetch_sub(1, Ordering::Relaxed);
        let failure = given_up.failure;
        // What answers has the right key and the right address: one node of many may be out of order.
        let reason = if failure.kind.is_fatal() && self.known() == Known::Nothing {
            Some(failure.message.clone())
        } else if failure.kind.is_refusal() {
            self.refused(given_up)
        } else {
            self.in_a_row(given_up)
        };
        reason.filter(|_| self.goes_down())
    }

    /// What is known of the endpoint so far.
    pub(super) fn known(&self) -> Known {
        if self.seen().answered { Known::Answers } else { Known::Nothing }
    }

    /// A host that refuses one class of requests, or one probe, may answer all others, and one that refuses temperature 0
    /// whatever is asked at another. What answers takes plain requests, and only credit runs out for all of them.
    fn refused(&self, given_up: &GivenUp<'_>) -> Option<String> {
        let (mut seen, probe) = (self.seen(), given_up.plain?);
        if seen.answered_plain && given_up.failure.kind != FailureKind::PaymentRequired {
            return None;
        }
        seen.refused.insert(probe);
        seen.refused_as.insert(given_up.asking);
        let n = seen.refused.len();
        let (is_out, answered) = if seen.answered_plain {
            (n >= UNPAID, "since one was answered")
        } else {
            let enough = REFUSED.min(self.limits.plain_probes.max(1));
            (n >= enough && seen.refused_as.len() >= self.limits.askings, "and none was ever answered")
        };
        is_out.then(|| {
            let were =
                if n == 1 { "1 plain request was".to_owned() } else { format!("{n} different plain requests were") };
            format!("{were} refused {answered}: {}", given_up.failure.message)
        })
    }

    fn in_a_row(&self, given_up: &GivenUp<'_>) -> Option<String> {
        // What fails here says nothing of the host.
        if given_up.failure.kind == FailureKind::Local {
            return None;
        }
        let (mut seen, now) = (self.seen(), Instant::now());
        // What was tried once and failed together with others is one event.
        let is_same = given_up.tries < 2 && seen.last_counted.is_some_and(|last| now - last < self.limits.blip);
        if !is_same {
            seen.given_up_in_a_row += 1;
            seen.last_counted = Some(now);
        }
        let (n, Failure { kind, message, .. }) = (seen.given_up_in_a_row, given_up.failure);
        (n >= self.limits.down_after).then(|| match n {
            1 => format!("a request was given up, with {kind}: {message}"),
            n => format!("{n} requests in a row were given up, the last one with {kind}: {message}"),
        })
    }

    /// Requests that have neither been answered nor given up.
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether the plan has no plain question.
    pub(super) fn is_without_plain(&self) -> bool {
        self.limits.plain_probes == 0
    }

    /// Takes it out; `false` when it was already.
    fn goes_down(&self) -> bool {
        let is_first = !self.down.swap(true, Ordering::Relaxed);
        self.out.cancel();
        is_first
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Cancelled when it is out, for those who wait.
    pub(super) fn out(&self) -> &CancellationToken {
        &self.out
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing under the lock can panic halfway through a change.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind) -> Failure {
        Failure { kind, message: "m".into(), retry_after: None, should_retry: None }
    }

    fn state(down_after: u32) -> State {
        State::new(1000, Limits { down_after, plain_probes: 40, askings: 1, blip: Duration::from_millis(500) })
    }

    fn give_up(state: &State, kind: FailureKind, plain: Option<usize>, tries: u32) -> Option<String> {
        state.gave_up(&GivenUp { failure: &failure(kind), plain, asking: Asking::Greedy, tries })
    }

    #[test]
    fn an_endpoint_goes_down_once_after_enough_failures_in_a_row() {
        let state = state(2);
        let fails = || give_up(&state, FailureKind::Server, Some(0), 5);
        assert_eq!(fails(), None);
        state.answered(None);
        assert_eq!(fails(), None);
        let why = "2 requests in a row were given up, the last one with server: m";
        assert_eq!(fails().as_deref(), Some(why));
        assert_eq!(fails(), None);
        assert!(state.is_down());
        let one = give_up(&self::state(1), FailureKind::Server, Some(0), 5);
        assert_eq!(one.as_deref(), Some("a request was given up, with server: m"));
    }

    #[test]
    fn a_wrong_key_takes_it_down_at_once() {
        assert!(give_up(&state(5), FailureKind::Unauthorized, None, 1).is_some());
    }

    #[test]
    fn a_wrong_key_or_a_redirect_among_answers_takes_nothing_down_and_many_in_a_row_do() {
        let state = state(2);
        assert_eq!(state.known(), Known::Nothing);
        state.answered(Some(0));
        assert_eq!(state.known(), Known::Answers);
        assert_eq!(give_up(&state, FailureKind::Unauthorized, Some(1), 2), None);
        state.answered(Some(0));
        assert_eq!(give_up(&state, FailureKind::Redirect, Some(1), 2), None);
        assert!(give_up(&state, FailureKind::Unauthorized, Some(2), 2).is_some());
    }

    #[test]
    fn failures_at_one_moment_that_were_not_tried_again_are_one() {
        let state = state(5);
        assert!((0..50).all(|i| give_up(&state, FailureKind::TooLarge, Some(i), 1).is_none()));
    }

    #[test]
    fn refusing_a_class_or_one_probe_leaves_an_endpoint_in() {
        let state = state(5);
        assert!((0..99).all(|_| give_up(&state, FailureKind::NotFound, None, 1).is_none()));
        assert!((0..99).all(|_| give_up(&state, FailureKind::Rejected, Some(7), 1).is_none()));
    }

    #[test]
    fn refusing_different_plain_probes_and_answering_none_takes_it_out() {
        let refuse = |state: &State, kind, n| (0..n).find_map(|i| give_up(state, kind, Some(i), 1));
        let why = refuse(&state(5), FailureKind::Rejected, 3);
        assert!(why.is_some_and(|why| why.starts_with("3 different plain requests were refused and none")));
        let answering = state(5);
        answering.answered(Some(0));
        for kind in [FailureKind::Rejected, FailureKind::NotFound, FailureKind::Forbidden, FailureKind::Filtered] {
            assert_eq!(refuse(&answering, kind, 40), None, "{kind}: it has answered before");
        }
        assert_eq!(refuse(&answering, FailureKind::PaymentRequired, 9), None);
        let why = refuse(&answering, FailureKind::PaymentRequired, 10);
        assert!(why.is_some_and(|why| why.starts_with("10 different plain requests were refused since")));
    }

    #[test]
    fn refusing_temperature_0_alone_leaves_an_endpoint_in() {
        let limits = Limits { down_after: 5, plain_probes: 40, askings: 2, blip: Duration::ZERO };
        let state = State::new(1000, limits);
        let refuse = |probe, asking| {
            let failure = &failure(FailureKind::Rejected);
            state.gave_up(&GivenUp { failure, plain: Some(probe), asking, tries: 1 })
        };
        assert!((0..30).all(|probe| refuse(probe, Asking::Greedy).is_none()));
        assert!(refuse(30, Asking::Sampled).is_some(), "it refuses all that is plain");
    }

    #[test]
    fn an_endpoint_that_never_answers_is_out_after_a_few_time_outs() {
        let late = Outcome::Failed(failure(FailureKind::Timeout));
        let times_out = |state: &State| {
            state.ended(state.sends(), Some(&late));
            state.failed(&failure(FailureKind::Timeout))
        };
        let silent = state(5);
        assert_eq!([times_out(&silent), times_out(&silent)], [None, None]);
        assert!(!silent.out().is_cancelled());
        assert!(times_out(&silent).is_some());
        assert!(silent.is_down() && silent.out().is_cancelled(), "who waits for it hears of it");
        let queueing = state(5);
        let first = queueing.sends();
        assert!((0..9).all(|_| times_out(&queueing).is_none()), "the first one may be about to be answered");
        queueing.ended(first, None);
        assert_eq!([times_out(&queueing), times_out(&queueing)], [None, None]);
        assert!(times_out(&queueing).is_some());
        let together = state(5);
        let sent = [(); 3].map(|()| together.sends());
        sent.iter().rev().for_each(|place| together.ended(*place, Some(&late)));
        assert!(together.failed(&failure(FailureKind::Timeout)).is_some(), "in whatever order they are seen");
        let slow = state(5);
        slow.answered(None);
        assert!((0..9).all(|_| times_out(&slow).is_none()), "it has answered before");
    }
}
