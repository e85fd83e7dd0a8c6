//! An arm: one endpoint of a run, ready to be asked, and what has become of it so far.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::attempt::Failure;
use crate::client::{Limiter, Target};
use crate::config::{Defaults, Dialect, Endpoint, Retry};

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
#[derive(Debug, Default)]
pub(super) struct State {
    given_up_in_a_row: AtomicU32,
    down: AtomicBool,
}

impl State {
    pub(super) fn answered(&self) {
        self.given_up_in_a_row.store(0, Ordering::Relaxed);
    }

    /// Counts a request that was given up; says why when the endpoint goes down with it.
    pub(super) fn gave_up(&self, failure: &Failure, down_after: u32) -> Option<String> {
        let in_a_row = self.given_up_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let reason = if failure.kind.is_fatal() {
            failure.message.clone()
        } else if in_a_row >= down_after {
            format!(
                "{in_a_row} requests in a row were given up, the last one with {}: {}",
                failure.kind, failure.message
            )
        } else {
            return None;
        };
        let was_down = self.down.swap(true, Ordering::Relaxed);
        (!was_down).then_some(reason)
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::FailureKind;

    fn failure(kind: FailureKind) -> Failure {
        Failure { kind, message: "m".into(), retry_after: None, should_retry: None }
    }

    #[test]
    fn an_endpoint_goes_down_once_after_enough_failures_in_a_row() {
        let state = State::default();
        assert_eq!(state.gave_up(&failure(FailureKind::Timeout), 2), None);
        state.answered();
        assert_eq!(state.gave_up(&failure(FailureKind::Timeout), 2), None);
        assert!(state.gave_up(&failure(FailureKind::Timeout), 2).is_some());
        assert_eq!(state.gave_up(&failure(FailureKind::Timeout), 2), None);
        assert!(state.is_down());
    }

    #[test]
    fn a_wrong_key_takes_it_down_at_once() {
        assert!(State::default().gave_up(&failure(FailureKind::Unauthorized), 5).is_some());
    }
}
