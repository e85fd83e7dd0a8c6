//! Retrying: whether a failed attempt is followed by another, and after how long.
//!
//! Layer 2, pure. Tries and time are bounded, so that an endpoint that is down shows as down instead of being asked
//! for ever. A host's own word comes first, then the wait it asks for, then exponential growth with equal jitter: half
//! of the wait is fixed, so that no two tries ever fall together as they may with full jitter.

use std::fmt;
use std::time::Duration;

use rand::{Rng, RngExt as _};

use crate::attempt::{Failure, FailureKind};
use crate::config::Retry;
use crate::plural::count;

/// What has been spent on one planned request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Attempts made, the failed one included; at least 1.
    pub tries: u32,
    /// Time since the first attempt was sent.
    pub elapsed: Duration,
}

/// What is known of the endpoint that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It has answered nothing so far.
    Nothing,
    /// It has answered, so that its key and its address are right.
    Answers,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Another attempt.
    Retry {
        /// How long to wait before it.
        after: Duration,
    },
    /// None: the request stays without an answer.
    GiveUp(GiveUp),
}

/// Why a request is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// The same request would fail in the same way.
    Permanent(FailureKind),
    /// The host says that a retry makes no sense.
    HostDeclines,
    /// As many attempts were made as `retry.tries` allows.
    TriesUsed(u32),
    /// The host asks for a longer wait than `retry.longest_asked_wait`.
    AskedTooLong {
        /// The wait it asks for.
        asked: Duration,
        /// The longest that is granted.
        longest: Duration,
    },
    /// The next attempt would start later than `retry.total` after the first.
    OutOfTime {
        /// The time that a request may take.
        total: Duration,
    },
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent(kind) => write!(f, "not tried again: waiting does not mend {kind}"),
            Self::HostDeclines => f.write_str("not tried again: the host says that a retry makes no sense"),
            Self::TriesUsed(tries) => {
                write!(f, "given up after {}, as retry.tries allows no more", count(*tries as usize, "try"))
            }
            Self::AskedTooLong { asked, longest } => write!(
                f,
                "given up: the host asks to wait {} s, and retry.longest_asked_wait is {} s",
                asked.as_secs_f64().ceil(),
                longest.as_secs_f64()
            ),
            Self::OutOfTime { total } => {
                write!(f, "given up: the next try would start after retry.total of {} s", total.as_secs_f64())
            }
        }
    }
}

/// Decides what follows `failure`, given what is `known` of the endpoint and what was `spent` on the request.
///
/// A wait that the host asks for is never shortened; up to half of `policy.first_wait` is added to it at random, so
/// that requests that were turned away together do not come back together.
pub fn decide<R: Rng + ?Sized>(failure: &Failure, known: Known, spent: Spent, policy: &Retry, rng: &mut R) -> Decision {
    if let Err(reason) = worth_retrying(failure, known) {
        return Decision::GiveUp(reason);
    }
    if spent.tries >= policy.tries {
        return Decision::GiveUp(GiveUp::TriesUsed(spent.tries));
    }
    let asked = failure.retry_after.filter(|wait| !wait.is_zero());
    let longest = seconds(policy.longest_asked_wait);
    let after = match asked {
        Some(asked) if asked > longest => return Decision::GiveUp(GiveUp::AskedTooLong { asked, longest }),
        Some(asked) => asked.saturating_add(seconds(policy.first_wait * 0.5 * rng.random::<f64>())),
        None => backoff(spent.tries, policy, rng),
    };
    let total = seconds(policy.total);
    if spent.elapsed.saturating_add(after) > total {
        return Decision::GiveUp(GiveUp::OutOfTime { total });
    }
    Decision::Retry { after }
}

/// Whether waiting can mend a failure of this class.
pub fn is_passing(kind: FailureKind) -> bool {
    use FailureKind::{Blank, Connect, CutStream, Local, Malformed, RateLimited, Reset, Server, Timeout};
    // A page of HTML or a garbled event under HTTP 200 comes from a gateway that has lost its host for a moment.
    matches!(kind, Blank | Connect | Reset | CutStream | Timeout | RateLimited | Server | Malformed | Local)
}

fn worth_retrying(failure: &Failure, known: Known) -> Result<(), GiveUp> {
    let is_fatal = failure.kind.is_fatal();
    if is_fatal && known == Known::Nothing {
        return Err(GiveUp::Permanent(failure.kind));
    }
    match failure.should_retry {
        Some(true) => Ok(()),
        Some(false) => Err(GiveUp::HostDeclines),
        // Among answers a wrong key or a redirect is one node's, and the next try may come to another one.
        None if is_fatal || is_passing(failure.kind) => Ok(()),
        None => Err(GiveUp::Permanent(failure.kind)),
    }
}

fn backoff<R: Rng + ?Sized>(tries: u32, policy: &Retry, rng: &mut R) -> Duration {
    let doublings = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX).min(62);
    let full = (policy.first_wait * 2f64.powi(doublings)).min(policy.longest_wait);
    seconds(full * 0.5 * (1.0 + rng.random::<f64>()))
}

/// A configured number of seconds; what cannot be a duration is none at all, or the longest one when it is too large.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(if value > 0.0 { Duration::MAX } else { Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    fn failure(kind: FailureKind) -> Failure {
        Failure { kind, message: String::new(), retry_after: None, should_retry: None }
    }

    fn spent(tries: u32, elapsed: f64) -> Spent {
        Spent { tries, elapsed: Duration::from_secs_f64(elapsed) }
    }

    fn decided(failure: &Failure, spent: Spent) -> Decision {
        decided_of(Known::Nothing, failure, spent)
    }

    fn decided_of(known: Known, failure: &Failure, spent: Spent) -> Decision {
        decide(failure, known, spent, &Retry::default(), &mut ChaCha8Rng::seed_from_u64(1))
    }

    const EVERY_KIND: [FailureKind; 17] = [
        FailureKind::Connect,
        FailureKind::Reset,
        FailureKind::CutStream,
        FailureKind::Timeout,
        FailureKind::RateLimited,
        FailureKind::Server,
        FailureKind::Unauthorized,
        FailureKind::Forbidden,
        FailureKind::NotFound,
        FailureKind::PaymentRequired,
        FailureKind::Rejected,
        FailureKind::Redirect,
        FailureKind::Filtered,
        FailureKind::Malformed,
        FailureKind::TooLarge,
        FailureKind::Blank,
        FailureKind::Local,
    ];

    #[test]
    fn only_failures_that_pass_are_tried_again() {
        let retried: Vec<&str> = EVERY_KIND
            .into_iter()
            .filter(|kind| matches!(decided(&failure(*kind), spent(1, 0.0)), Decision::Retry { .. }))
            .map(FailureKind::as_str)
            .collect();
        assert_eq!(
            retried,
            ["connect", "reset", "cut_stream", "timeout", "rate_limited", "server", "malformed", "blank", "local"]
        );
    }

    #[test]
    fn the_hosts_word_overrides_the_class_but_not_a_fatal_one() {
        let said = |kind, word| decided(&Failure { should_retry: Some(word), ..failure(kind) }, spent(1, 0.0));
        assert_eq!(said(FailureKind::Server, false), Decision::GiveUp(GiveUp::HostDeclines));
        assert!(matches!(said(FailureKind::Rejected, true), Decision::Retry { .. }));
        assert_eq!(
            said(FailureKind::Unauthorized, true),
            Decision::GiveUp(GiveUp::Permanent(FailureKind::Unauthorized))
        );
    }

    #[test]
    fn a_wrong_key_or_a_redirect_among_answers_is_tried_again_within_the_usual_tries() {
        let among = |failure: &Failure, tries| decided_of(Known::Answers, failure, spent(tries, 0.0));
        for kind in [FailureKind::Unauthorized, FailureKind::Redirect] {
            assert!(matches!(among(&failure(kind), 1), Decision::Retry { .. }), "{kind}");
            assert_eq!(among(&failure(kind), 5), Decision::GiveUp(GiveUp::TriesUsed(5)));
            assert_eq!(decided(&failure(kind), spent(1, 0.0)), Decision::GiveUp(GiveUp::Permanent(kind)));
            let declined = Failure { should_retry: Some(false), ..failure(kind) };
            assert_eq!(among(&declined, 1), Decision::GiveUp(GiveUp::HostDeclines));
        }
        let rejected = failure(FailureKind::Rejected);
        assert_eq!(among(&rejected, 1), Decision::GiveUp(GiveUp::Permanent(FailureKind::Rejected)));
    }

    #[test]
    fn the_last_try_is_the_last() {
        assert!(matches!(decided(&failure(FailureKind::Server), spent(4, 1.0)), Decision::Retry { .. }));
        assert_eq!(decided(&failure(FailureKind::Server), spent(5, 1.0)), Decision::GiveUp(GiveUp::TriesUsed(5)));
        assert!(GiveUp::TriesUsed(5).to_string().starts_with("given up after 5 tries, "));
        assert!(GiveUp::TriesUsed(1).to_string().starts_with("given up after 1 try, "));
    }

    #[test]
    fn a_wait_above_the_longest_granted_one_is_given_up_and_said() {
        let asked = Failure { retry_after: Some(Duration::from_hours(1)), ..failure(FailureKind::RateLimited) };
        let Decision::GiveUp(reason) = decided(&asked, spent(1, 0.0)) else { panic!("retried") };
        assert_eq!(reason.to_string(), "given up: the host asks to wait 3600 s, and retry.longest_asked_wait is 120 s");
    }

    #[test]
    fn a_try_that_would_start_too_late_is_not_made() {
        let asked = Failure { retry_after: Some(Duration::from_secs(100)), ..failure(FailureKind::RateLimited) };
        assert!(matches!(decided(&asked, spent(1, 199.0)), Decision::Retry { .. }));
        let total = Duration::from_mins(5);
        assert_eq!(decided(&asked, spent(1, 201.0)), Decision::GiveUp(GiveUp::OutOfTime { total }));
    }

    #[test]
    fn being_asked_to_wait_no_time_is_met_with_a_wait_of_our_own() {
        let asked = Failure { retry_after: Some(Duration::ZERO), ..failure(FailureKind::RateLimited) };
        let Decision::Retry { after } = decided(&asked, spent(1, 0.0)) else { panic!("given up") };
        assert!(after >= Duration::from_millis(250), "{after:?}");
    }

    proptest! {
        #[test]
        fn half_of_an_own_wait_is_fixed_and_none_is_longer_than_allowed(
            seed: u64, tries in 1u32..100, first in 0.01f64..5.0, longest in 0.01f64..60.0,
        ) {
            let policy =
                Retry { tries: 200, first_wait: first, longest_wait: longest, total: 1e9, ..Retry::default() };
            let decision = decide(
                &failure(FailureKind::Server),
                Known::Nothing,
                spent(tries, 0.0),
                &policy,
                &mut ChaCha8Rng::seed_from_u64(seed),
            );
            let Decision::Retry { after } = decision else { return Err(TestCaseError::fail("given up")) };
            let full = (first * 2f64.powi(i32::try_from(tries.min(60))? - 1)).min(longest);
            prop_assert!(after.as_secs_f64() >= full * 0.5 - 1e-6);
            prop_assert!(after.as_secs_f64() <= full + 1e-6);
        }

        #[test]
        fn an_asked_wait_is_never_shortened_nor_stretched_by_more_than_half_a_first_wait(
            seed: u64, tries in 1u32..5, asked_ms in 1u64..120_000, elapsed in 0.0f64..100.0,
        ) {
            let asked = Duration::from_millis(asked_ms);
            let failed = Failure { retry_after: Some(asked), ..failure(FailureKind::RateLimited) };
            let policy = Retry::default();
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            match decide(&failed, Known::Nothing, spent(tries, elapsed), &policy, rng) {
                Decision::Retry { after } => {
                    prop_assert!(after >= asked);
                    prop_assert!(after <= asked + seconds(policy.first_wait * 0.5));
                }
                Decision::GiveUp(reason) => prop_assert!(false, "{reason}"),
            }
        }

        #[test]
        fn no_configuration_however_odd_makes_it_panic_or_pass_the_bounds(
            seed: u64, tries: u32, first: f64, longest: f64, asked_ms: Option<u64>, limit: f64, total: f64,
        ) {
            let policy = Retry {
                first_wait: first, longest_wait: longest, longest_asked_wait: limit, total, ..Retry::default()
            };
            let failed =
                Failure { retry_after: asked_ms.map(Duration::from_millis), ..failure(FailureKind::Server) };
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            if let Decision::Retry { after } = decide(&failed, Known::Nothing, spent(tries, 0.0), &policy, rng) {
                prop_assert!(tries < policy.tries);
                prop_assert!(after <= seconds(total));
            }
        }
    }
}
