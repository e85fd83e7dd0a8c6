//! An attempt: one HTTP request and what came of it. A retry is another attempt.
//!
//! Layer 1. Every attempt is recorded, because dropping failures biases what is left. An attempt either holds an
//! [`Answer`] or a [`Failure`], and a failure keeps its class so that refusals, truncation, transport and server
//! errors are told apart.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sample::{Latency, ToolCall, Usage};

/// Which request of the plan an attempt serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// The endpoint's name.
    pub endpoint: String,
    /// The probe's id.
    pub probe: String,
    /// The number of the answer among those to the same probe, from 0.
    pub replicate: u32,
}

/// One HTTP request and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The planned request that this attempt serves.
    pub slot: Slot,
    /// The number of the try, from 1.
    pub number: u32,
    /// When the request was sent.
    pub started_at: Timestamp,
    /// How long it took until the outcome was known.
    pub elapsed: Duration,
    /// The HTTP status, when there was a response.
    pub status: Option<u16>,
    /// Response headers that say something about the host or its limits; redacted, lower-case names.
    pub headers: BTreeMap<String, String>,
    /// The response body as received (decompressed, redacted), for a stream its lines.
    pub raw: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The host answered in full.
    Answered(Box<Answer>),
    /// It did not.
    Failed(Failure),
}

/// What a host answered, with nothing added.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The content's text; empty when it was null or absent.
    pub text: String,
    /// What came in a reasoning channel.
    pub reasoning: Option<String>,
    /// The finish reason exactly as received.
    pub finish_reason: Option<String>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// Tool calls in order.
    pub tool_calls: Vec<ToolCall>,
    /// Log-probabilities as received.
    pub logprobs: Option<serde_json::Value>,
    /// The model that the host says answered.
    pub response_model: Option<String>,
    /// The host's fingerprint of itself.
    pub system_fingerprint: Option<String>,
    /// The host behind a router.
    pub provider: Option<String>,
    /// Times since the request was sent.
    pub latency: Option<Latency>,
}

/// Why an attempt has no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the failure.
    pub kind: FailureKind,
    /// What the host or the connection said; redacted and bounded.
    pub message: String,
    /// How long the host asked to wait before the next try.
    pub retry_after: Option<Duration>,
    /// The host's explicit word on whether a retry makes sense (`x-should-retry`).
    pub should_retry: Option<bool>,
}

/// The classes of failure. They decide whether a retry makes sense and what the report calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The connection could not be made: refused, DNS, TLS.
    Connect,
    /// The connection broke before the answer was complete.
    Reset,
    /// A stream ended with neither a finish reason nor `[DONE]`.
    CutStream,
    /// A time limit passed.
    Timeout,
    /// HTTP 429, or a dialect's equivalent.
    RateLimited,
    /// HTTP 5xx or an error inside a stream.
    Server,
    /// HTTP 401 or 403: the key is wrong or lacks permission.
    Unauthorized,
    /// HTTP 404: no such model or route.
    NotFound,
    /// HTTP 402 or an equivalent: no credit left.
    PaymentRequired,
    /// Another HTTP 4xx: the host refuses the request as it stands.
    Rejected,
    /// HTTP 3xx: redirects are never followed.
    Redirect,
    /// The host's content filter withheld the answer.
    Filtered,
    /// The body was not what the protocol promises.
    Malformed,
    /// The body or a line of it was larger than the limit.
    TooLarge,
}

impl FailureKind {
    /// The name used in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::CutStream => "cut_stream",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::PaymentRequired => "payment_required",
            Self::Rejected => "rejected",
            Self::Redirect => "redirect",
            Self::Filtered => "filtered",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
        }
    }

    /// Whether no other request to this endpoint can succeed either, so that asking on is waste.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Unauthorized | Self::NotFound | Self::PaymentRequired | Self::Redirect)
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
