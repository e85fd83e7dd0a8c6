//! The limiter: makes requests to one endpoint wait until they may start.
//!
//! Layer 3. The decisions are [`Gate`]'s; this file only waits for them, first come, first served.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::headers;
use super::level::{Admission, Gate, Load};
use crate::attempt::{Attempt, FailureKind, Outcome};
use crate::retry::is_passing;

/// A limiter; clones share one state.
#[derive(Debug, Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Mutex<Gate>,
    origin: Instant,
    /// Held by the one that is next, so that the others wait in order.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

/// Leave to send one request. It is over when this is reported or dropped.
#[derive(Debug)]
#[must_use = "the request counts as over as soon as its permit is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
}

/// The host asks for a longer pause than is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host asks to be left alone for another {} s, longer than retry.longest_asked_wait", .left.as_secs())]
pub struct Closed {
    /// How much of the pause is left.
    pub left: Duration,
}

impl Limiter {
    /// A limiter for at most `concurrency` requests at once and `requests_per_minute`, evenly spaced. Pauses that the
    /// host asks for are waited out up to `longest_pause` (`retry.longest_asked_wait`). To be made within a Tokio
    /// runtime or without one, but the clock begins here.
    pub fn new(concurrency: u32, requests_per_minute: Option<u32>, longest_pause: Duration) -> Self {
        let gate = Mutex::new(Gate::new(concurrency, requests_per_minute, longest_pause));
        let (turn, changed) = (tokio::sync::Mutex::new(()), Notify::new());
        Self { shared: Arc::new(Shared { gate, origin: Instant::now(), turn, changed }) }
    }

    /// Waits until a request may start.
    ///
    /// # Errors
    ///
    /// At once, and for as long as more than `longest_pause` is left of a pause that the host asks for.
    pub async fn acquire(&self) -> Result<Permit, Closed> {
        let shared = &self.shared;
        let _turn = shared.turn.lock().await;
        loop {
            let admission = shared.gate().admit(shared.now());
            match admission {
                Admission::Started => return Ok(Permit { shared: Arc::clone(shared) }),
                Admission::Closed(left) => return Err(Closed { left }),
                Admission::AfterAnother => shared.changed.notified().await,
                Admission::At(moment) => {
                    // A report may have changed more than the time.
                    let _ = tokio::time::timeout_at(shared.origin + moment, shared.changed.notified()).await;
                }
            }
        }
    }

    /// How many requests may be under way at present.
    pub fn allowed(&self) -> u32 {
        self.shared.gate().level().allowed()
    }
}

impl Permit {
    /// The request is over, and this came of it.
    pub fn report(self, attempt: &Attempt) {
        self.shared.gate().learn(load(attempt), pause(attempt), self.shared.now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.gate().end();
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Nothing that runs under the lock can panic halfway through a change.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// What an attempt says about how much its endpoint takes.
pub fn load(attempt: &Attempt) -> Load {
    match &attempt.outcome {
        Outcome::Answered(_) if attempt.number == 1 => Load::Taken,
        Outcome::Failed(failure) if failure.kind == FailureKind::RateLimited => Load::TooMuch,
        Outcome::Failed(failure) if is_passing(failure.kind) => Load::Strained,
        Outcome::Answered(_) | Outcome::Failed(_) => Load::Unknown,
    }
}

/// How long the endpoint is to be left alone after an attempt: the wait that came with a failure which passes, or
/// until a limit of which nothing remains is reset. A refusal is of one request, whatever wait comes with it.
pub fn pause(attempt: &Attempt) -> Option<Duration> {
    let asked = match &attempt.outcome {
        Outcome::Failed(failure) if is_passing(failure.kind) => failure.retry_after,
        Outcome::Failed(_) | Outcome::Answered(_) => None,
    };
    let over = attempt.started_at.checked_add(attempt.elapsed).unwrap_or(attempt.started_at);
    asked.max(headers::exhausted_for(&attempt.headers, over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Failure, Slot};
    use crate::client::fault::failure;

    const MINUTE: Duration = Duration::from_mins(1);

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt {
            slot: Slot { endpoint: "e".into(), probe: "p".into(), replicate: 0 },
            number: 1,
            started_at: "2026-11-22T09:00:00Z".parse().unwrap(),
            elapsed: Duration::ZERO,
            status: Some(200),
            headers: headers::Kept::new(),
            raw: String::new(),
            outcome,
            cost: None,
        }
    }

    fn answered() -> Attempt {
        attempt(Outcome::Answered(Box::default()))
    }

    fn rate_limited(wait: u64) -> Attempt {
        let retry_after = Some(Duration::from_secs(wait));
        attempt(Outcome::Failed(Failure { retry_after, ..failure(FailureKind::RateLimited, "") }))
    }

    /// Answers `count` requests that take a second each, and returns how long that took.
    async fn answer(limiter: &Limiter, count: usize) -> Duration {
        let started = Instant::now();
        let asks = (0..count).map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let permit = limiter.acquire().await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                permit.report(&answered());
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            ask.await.unwrap();
        }
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_starts_slowly_and_doubles_up_to_the_cap() {
        let limiter = Limiter::new(8, None, MINUTE);
        assert_eq!(answer(&limiter, 1 + 2 + 4 + 8 + 8).await.as_secs(), 5);
        assert_eq!(limiter.allowed(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_per_minute_hold_however_high_the_level() {
        let limiter = Limiter::new(100, Some(60), MINUTE);
        let took = answer(&limiter, 121).await;
        assert!((120..=122).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_asked_for_by_one_request_holds_for_all() {
        let limiter = Limiter::new(4, None, MINUTE);
        limiter.acquire().await.unwrap().report(&rate_limited(20));
        let started = Instant::now();
        let permit = limiter.acquire().await.unwrap();
        assert_eq!(started.elapsed().as_secs(), 20);
        drop(permit);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_too_long_is_an_error_also_for_those_in_line() {
        let limiter = Limiter::new(1, None, MINUTE);
        let permit = limiter.acquire().await.unwrap();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire().await.map(drop) }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        permit.report(&rate_limited(3600));
        assert_eq!(waiting.await.unwrap().unwrap_err().left.as_secs(), 3600);
        assert_eq!(
            limiter.acquire().await.unwrap_err().to_string(),
            "the host asks to be left alone for another 3600 s, longer than retry.longest_asked_wait"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_comes_with_a_refusal_or_once_among_answers_closes_nothing() {
        let limiter = Limiter::new(1, None, MINUTE);
        limiter.acquire().await.unwrap().report(&answered());
        let refused = Failure { retry_after: Some(Duration::from_hours(1)), ..failure(FailureKind::NotFound, "") };
        limiter.acquire().await.unwrap().report(&attempt(Outcome::Failed(refused)));
        limiter.acquire().await.unwrap().report(&rate_limited(86_400));
        limiter.acquire().await.unwrap().report(&answered());
        limiter.acquire().await.unwrap().report(&rate_limited(86_400));
        limiter.acquire().await.unwrap().report(&rate_limited(86_400));
        assert!(limiter.acquire().await.is_err(), "two in a row say so");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_is_dropped_makes_room_for_the_next() {
        let limiter = Limiter::new(1, None, MINUTE);
        drop(limiter.acquire().await.unwrap());
        drop(limiter.acquire().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_the_wait_leaves_the_place_in_line_to_others() {
        let limiter = Limiter::new(1, None, MINUTE);
        let permit = limiter.acquire().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), limiter.acquire()).await.is_err());
        drop(permit);
        drop(limiter.acquire().await.unwrap());
    }

    #[test]
    fn attempts_say_what_they_mean_for_the_level() {
        assert_eq!(load(&answered()), Load::Taken);
        assert_eq!(load(&Attempt { number: 2, ..answered() }), Load::Unknown);
        let kind = |kind| load(&attempt(Outcome::Failed(failure(kind, ""))));
        assert_eq!(kind(FailureKind::RateLimited), Load::TooMuch);
        assert_eq!(kind(FailureKind::Server), Load::Strained);
        assert_eq!(kind(FailureKind::Timeout), Load::Strained);
        assert_eq!(kind(FailureKind::Rejected), Load::Unknown);
    }

    #[test]
    fn an_answer_that_used_up_a_limit_asks_for_a_pause_until_its_reset() {
        let mut last = answered();
        last.headers.insert("x-ratelimit-remaining-requests".into(), "0".into());
        last.headers.insert("x-ratelimit-reset-requests".into(), "1m2s".into());
        assert_eq!(pause(&last), Some(Duration::from_secs(62)));
        assert_eq!(pause(&rate_limited(7)), Some(Duration::from_secs(7)));
        assert_eq!(pause(&answered()), None);
    }
}
