//! Events of a run: what the runner tells whoever watches.
//!
//! Layer 1. The runner emits, reporters listen; neither knows the other. Events carry plain values only.

use std::time::Duration;

use crate::attempt::{FailureKind, Slot};

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run begins, or goes on after a pause.
    Started {
        /// Requests in the whole plan.
        planned: usize,
        /// Requests that were answered in an earlier part of the run.
        already_answered: usize,
        /// Worst-case cost of what is left, in US dollars.
        worst_cost: f64,
    },
    /// A planned request has its answer, and the store has acknowledged it.
    Answered {
        /// The request.
        slot: Slot,
        /// What it cost by the configured price, in US dollars.
        cost: f64,
    },
    /// An attempt failed and will be tried again.
    Retrying {
        /// The request.
        slot: Slot,
        /// Why the attempt failed.
        kind: FailureKind,
        /// How long until the next try.
        wait: Duration,
    },
    /// An attempt failed and is the last of its request, since no more is asked of the endpoint.
    Failed {
        /// The request.
        slot: Slot,
        /// Why the attempt failed.
        kind: FailureKind,
    },
    /// A planned request is given up.
    GaveUp {
        /// The request.
        slot: Slot,
        /// Why the last attempt failed.
        kind: FailureKind,
        /// What was said.
        message: String,
    },
    /// No more is asked of an endpoint in this run.
    EndpointDown {
        /// The endpoint.
        endpoint: String,
        /// Why.
        reason: String,
        /// Planned requests that will not be sent.
        skipped: usize,
    },
    /// Many of the first answers were used up by thinking, so the run stops.
    ThoughtAway {
        /// What was seen and what to set, in a line.
        advice: String,
    },
    /// The budget would be passed by the next request.
    BudgetReached {
        /// Spent so far, in US dollars.
        spent: f64,
        /// Held for requests under way, in US dollars: the most that they may cost.
        held: f64,
        /// Requests that will not be sent.
        skipped: usize,
    },
    /// The run was asked to stop; requests under way are being finished.
    Stopping,
    /// The run is over.
    Finished,
}
