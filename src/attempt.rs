//! An attempt: one HTTP request and what came of it. A retry is another attempt.
//!
//! Layer 1. Every attempt is recorded, because dropping failures biases what is left. An attempt either holds an
//! [`Answer`] or a [`Failure`], and a failure keeps its class so that refusals, truncation, transport and server
//! errors are told apart.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sample::{Latency, Sample, SampleParameters, ToolCall, Usage};

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
    /// What it costs, in US dollars; absent until that is decided, and without a price.
    #[serde(default)]
    pub cost: Option<f64>,
}

/// What was asked, as far as a sample says it: the part of its record that no host can know.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The nominal model under which endpoints are compared.
    pub model: String,
    /// The digest of the probe as it was asked.
    pub probe_digest: String,
    /// The sampling parameters as they were sent.
    pub parameters: SampleParameters,
}

impl Attempt {
    /// The sample that this attempt brought, or nothing if the host did not answer in full.
    ///
    /// All that describes the answer is what the host sent and nothing else: a finish reason, a count or a model name
    /// that it left out stays out.
    pub fn sample(&self, asked: &Asked) -> Option<Sample> {
        let Outcome::Answered(answer) = &self.outcome else { return None };
        let Answer {
            text,
            reasoning,
            finish_reason,
            usage,
            tool_calls,
            logprobs,
            response_model,
            system_fingerprint,
            response_id,
            provider,
            latency,
        } = answer.as_ref().clone();
        Some(Sample {
            model: Some(asked.model.clone()),
            probe_digest: Some(asked.probe_digest.clone()),
            replicate: self.slot.replicate,
            at: self.started_at.checked_add(self.elapsed).ok(),
            reasoning,
            finish_reason,
            usage,
            tool_calls,
            logprobs,
            response_model,
            system_fingerprint,
            response_id,
            provider,
            latency_ms: latency,
            parameters: Some(asked.parameters.clone()),
            headers: self.headers.clone(),
            ..Sample::new(&self.slot.endpoint, &self.slot.probe, text)
        })
    }
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
    /// The id that the host gave to its response.
    #[serde(default)]
    pub response_id: Option<String>,
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
    /// HTTP 401: the key is wrong.
    Unauthorized,
    /// HTTP 403: the key lacks a permission that this request needs.
    Forbidden,
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
    /// The answer had the form of one and nothing in it: no content, no call, and not one token counted.
    Blank,
    /// This machine could not send it: it has no descriptors left.
    Local,
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
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::PaymentRequired => "payment_required",
            Self::Rejected => "rejected",
            Self::Redirect => "redirect",
            Self::Filtered => "filtered",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Blank => "blank",
            Self::Local => "local",
        }
    }

    /// The class with this name; `None` for a name that this program does not write.
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
    }

    /// Whether no other request to this endpoint can succeed either, so that asking on is waste, unless it has answered others.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Redirect)
    }

    /// Whether the host has refused this very request; it may take others.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Forbidden | Self::NotFound | Self::PaymentRequired | Self::Rejected | Self::Filtered)
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt {
            slot: Slot { endpoint: "e".into(), probe: "p".into(), replicate: 3 },
            number: 1,
            started_at: Timestamp::UNIX_EPOCH,
            elapsed: Duration::from_millis(1500),
            status: Some(200),
            headers: BTreeMap::from([("server".into(), "h".into())]),
            raw: "{}".into(),
            outcome,
            cost: None,
        }
    }

    fn asked() -> Asked {
        let parameters = SampleParameters { temperature: Some(0.0), ..SampleParameters::default() };
        Asked { model: "m".into(), probe_digest: "d".into(), parameters }
    }

    #[test]
    fn a_sample_holds_what_was_asked_and_leaves_out_what_the_host_left_out() {
        let answer = Answer { text: "hi".into(), ..Answer::default() };
        let sample = attempt(Outcome::Answered(Box::new(answer))).sample(&asked()).unwrap();
        let expected = Sample {
            model: Some("m".into()),
            probe_digest: Some("d".into()),
            replicate: 3,
            at: Some("1970-01-01T00:00:01.5Z".parse().unwrap()),
            parameters: Some(asked().parameters),
            headers: BTreeMap::from([("server".into(), "h".into())]),
            ..Sample::new("e", "p", "hi")
        };
        assert_eq!(sample, expected);
    }

    #[test]
    fn a_failed_attempt_brings_no_sample() {
        let kind = FailureKind::CutStream;
        let failure = Failure { kind, message: String::new(), retry_after: None, should_retry: None };
        assert_eq!(attempt(Outcome::Failed(failure)).sample(&asked()), None);
    }
}
