//! Between rows of the database and nouns of the program.
//!
//! Part of layer 3's store. The row types know no database: they hold only text, 64-bit integers and doubles, which
//! every backend has. What came from a host is redacted on its way into a row.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::{AnswerTimes, AttemptCounts, Ending, RecordedAttempt, RunEnd, RunId, RunRecord, Spent};
use crate::attempt::{Attempt, Outcome, Slot};
use crate::redact::Redactor;
use crate::sample::{Latency, SCHEMA, Sample, SampleError, Usage};

/// A row that does not hold what this program writes.
#[derive(Debug)]
pub(super) struct BadRow {
    pub(super) table: &'static str,
    pub(super) message: String,
}

impl BadRow {
    pub(super) fn because(table: &'static str) -> impl Fn(String) -> Self {
        move |message| Self { table, message }
    }
}

const RUNNING: &str = "running";

#[derive(Debug, FromRow)]
pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) reference: String,
    pub(super) started_at: String,
    pub(super) finished_at: Option<String>,
    pub(super) status: String,
    pub(super) seed: String,
    pub(super) config_digest: String,
    pub(super) tool_version: String,
}

impl RunRow {
    pub(super) fn new(run: &RunRecord) -> Self {
        Self {
            id: run.id.to_string(),
            model: run.model.clone(),
            reference: run.reference.clone(),
            started_at: time_column(run.started_at),
            finished_at: run.end.map(|end| time_column(end.at)),
            status: run.end.map_or(RUNNING, |end| end.how.as_str()).to_owned(),
            seed: run.seed.to_string(),
            config_digest: run.config_digest.clone(),
            tool_version: run.tool_version.clone(),
        }
    }

    pub(super) fn into_record(self) -> Result<RunRecord, BadRow> {
        let bad = BadRow::because("run");
        let end = self.end().map_err(&bad)?;
        Ok(RunRecord {
            id: parse::<RunId>("id", &self.id).map_err(&bad)?,
            started_at: parse("started_at", &self.started_at).map_err(&bad)?,
            end,
            seed: parse("seed", &self.seed).map_err(&bad)?,
            model: self.model,
            reference: self.reference,
            config_digest: self.config_digest,
            tool_version: self.tool_version,
        })
    }

    fn end(&self) -> Result<Option<RunEnd>, String> {
        let how = match self.status.as_str() {
            RUNNING => return Ok(None),
            "complete" => Ending::Complete,
            "partial" => Ending::Partial,
            "stopped-budget" => Ending::StoppedBudget,
            other => return Err(format!("unknown status `{other}`")),
        };
        let at = self.finished_at.as_deref().ok_or("finished_at is missing")?;
        Ok(Some(RunEnd { how, at: parse("finished_at", at)? }))
    }
}

/// An attempt on its way in.
#[derive(Debug)]
pub(super) struct AttemptRow {
    pub(super) id: String,
    pub(super) run: RunId,
    pub(super) slot: Slot,
    pub(super) number: i64,
    pub(super) started_at: String,
    pub(super) elapsed_us: i64,
    pub(super) status: Option<i64>,
    pub(super) outcome: &'static str,
    pub(super) failure_kind: Option<&'static str>,
    pub(super) failure_message: Option<String>,
    pub(super) usage: Usage,
    pub(super) headers: String,
    pub(super) raw: String,
    pub(super) cost: Option<f64>,
}

impl AttemptRow {
    pub(super) fn new(run: RunId, attempt: &Attempt, redactor: &Redactor) -> Self {
        let (outcome, failure, usage) = match &attempt.outcome {
            Outcome::Answered(answer) => ("answered", None, answer.usage),
            Outcome::Failed(failure) => ("failed", Some(failure), None),
        };
        Self {
            id: Uuid::now_v7().to_string(),
            run,
            slot: attempt.slot.clone(),
            number: attempt.number.into(),
            started_at: time_column(attempt.started_at),
            elapsed_us: attempt.elapsed.as_micros().try_into().unwrap_or(i64::MAX),
            status: attempt.status.map(i64::from),
            outcome,
            failure_kind: failure.map(|failure| failure.kind.as_str()),
            failure_message: failure.map(|failure| redactor.redact(&failure.message).into_owned()),
            usage: usage.unwrap_or_default(),
            headers: json_column(&attempt.headers, redactor),
            raw: redactor.redact(&attempt.raw).into_owned(),
            cost: attempt.cost,
        }
    }
}

/// An attempt on its way out.
#[derive(Debug, FromRow)]
pub(super) struct RecordedAttemptRow {
    endpoint: String,
    probe: String,
    replicate: i64,
    number: i64,
    started_at: String,
    elapsed_us: i64,
    status: Option<i64>,
    failure_kind: Option<String>,
    failure_message: Option<String>,
}

impl RecordedAttemptRow {
    pub(super) fn into_attempt(self) -> Result<RecordedAttempt, BadRow> {
        let bad = BadRow::because("attempt");
        let Self { endpoint, probe, failure_message, .. } = self;
        Ok(RecordedAttempt {
            slot: Slot { endpoint, probe, replicate: small("replicate", self.replicate).map_err(&bad)? },
            number: small("number", self.number).map_err(&bad)?,
            started_at: parse("started_at", &self.started_at).map_err(&bad)?,
            elapsed: Duration::from_micros(small("elapsed_us", self.elapsed_us).map_err(&bad)?),
            status: self.status.map(|status| small("status", status)).transpose().map_err(&bad)?,
            failure: self.failure_kind.map(|kind| SampleError { kind, message: failure_message.unwrap_or_default() }),
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct SampleRow {
    pub(super) id: String,
    pub(super) run: String,
    pub(super) attempt: Option<String>,
    pub(super) endpoint: String,
    pub(super) probe: String,
    pub(super) probe_digest: Option<String>,
    pub(super) replicate: i64,
    pub(super) model: Option<String>,
    pub(super) answered_at: Option<String>,
    pub(super) text: String,
    pub(super) reasoning: Option<String>,
    pub(super) finish_reason: Option<String>,
    pub(super) prompt_tokens: Option<i64>,
    pub(super) completion_tokens: Option<i64>,
    pub(super) reasoning_tokens: Option<i64>,
    pub(super) tool_calls: String,
    pub(super) logprobs: Option<String>,
    pub(super) response_model: Option<String>,
    pub(super) system_fingerprint: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) first_token_ms: Option<i64>,
    pub(super) total_ms: Option<i64>,
    pub(super) temperature: Option<f64>,
    pub(super) parameters: Option<String>,
    pub(super) headers: String,
    pub(super) error_kind: Option<String>,
    pub(super) error_message: Option<String>,
}

impl SampleRow {
    /// `attempt` is the id of the attempt that brought the sample; an imported one has none.
    pub(super) fn new(run: RunId, attempt: Option<&str>, sample: &Sample, redactor: &Redactor) -> Self {
        let told = |text: &Option<String>| text.as_deref().map(|text| redactor.redact(text).into_owned());
        let usage = sample.usage.unwrap_or_default();
        Self {
            id: Uuid::now_v7().to_string(),
            run: run.to_string(),
            attempt: attempt.map(str::to_owned),
            endpoint: sample.endpoint.clone(),
            probe: sample.probe.clone(),
            probe_digest: sample.probe_digest.clone(),
            replicate: sample.replicate.into(),
            model: sample.model.clone(),
            answered_at: sample.at.map(time_column),
            text: redactor.redact(&sample.text).into_owned(),
            reasoning: told(&sample.reasoning),
            finish_reason: told(&sample.finish_reason),
            prompt_tokens: usage.prompt_tokens.map(count_column),
            completion_tokens: usage.completion_tokens.map(count_column),
            reasoning_tokens: usage.reasoning_tokens.map(count_column),
            tool_calls: json_column(&sample.tool_calls, redactor),
            logprobs: sample.logprobs.as_ref().map(|logprobs| json_column(logprobs, redactor)),
            response_model: told(&sample.response_model),
            system_fingerprint: told(&sample.system_fingerprint),
            response_id: told(&sample.response_id),
            provider: told(&sample.provider),
            first_token_ms: sample.latency_ms.and_then(|latency| latency.first_token).map(count_column),
            total_ms: sample.latency_ms.map(|latency| count_column(latency.total)),
            temperature: sample.parameters.as_ref().and_then(|parameters| parameters.temperature),
            parameters: sample.parameters.as_ref().map(|parameters| json_column(parameters, redactor)),
            headers: json_column(&sample.headers, redactor),
            error_kind: sample.error.as_ref().map(|error| redactor.redact(&error.kind).into_owned()),
            error_message: sample.error.as_ref().map(|error| redactor.redact(&error.message).into_owned()),
        }
    }

    pub(super) fn into_sample(self) -> Result<Sample, BadRow> {
        self.try_into_sample().map_err(BadRow::because("sample"))
    }

    fn try_into_sample(self) -> Result<Sample, String> {
        let count = |name, value: Option<i64>| value.map(|value| small(name, value)).transpose();
        let usage = Usage {
            prompt_tokens: count("prompt_tokens", self.prompt_tokens)?,
            completion_tokens: count("completion_tokens", self.completion_tokens)?,
            reasoning_tokens: count("reasoning_tokens", self.reasoning_tokens)?,
        };
        let first_token = count("first_token_ms", self.first_token_ms)?;
        Ok(Sample {
            schema: SCHEMA.to_owned(),
            replicate: small("replicate", self.replicate)?,
            at: self.answered_at.map(|at| parse("answered_at", &at)).transpose()?,
            usage: (usage != Usage::default()).then_some(usage),
            tool_calls: from_json("tool_calls", &self.tool_calls)?,
            logprobs: self.logprobs.map(|text| from_json("logprobs", &text)).transpose()?,
            latency_ms: count("total_ms", self.total_ms)?.map(|total| Latency { first_token, total }),
            parameters: self.parameters.map(|text| from_json("parameters", &text)).transpose()?,
            headers: from_json("headers", &self.headers)?,
            error: self.error_kind.map(|kind| SampleError { kind, message: self.error_message.unwrap_or_default() }),
            model: self.model,
            endpoint: self.endpoint,
            probe: self.probe,
            probe_digest: self.probe_digest,
            text: self.text,
            reasoning: self.reasoning,
            finish_reason: self.finish_reason,
            response_model: self.response_model,
            system_fingerprint: self.system_fingerprint,
            response_id: self.response_id,
            provider: self.provider,
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct SlotRow {
    endpoint: String,
    probe: String,
    replicate: i64,
}

impl SlotRow {
    pub(super) fn into_slot(self) -> Result<Slot, BadRow> {
        let replicate = small("replicate", self.replicate).map_err(BadRow::because("sample"))?;
        Ok(Slot { endpoint: self.endpoint, probe: self.probe, replicate })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct CountsRow {
    endpoint: String,
    attempts: i64,
    answers: i64,
    failures: i64,
}

impl CountsRow {
    pub(super) fn into_counts(self) -> AttemptCounts {
        AttemptCounts {
            endpoint: self.endpoint,
            attempts: self.attempts.unsigned_abs(),
            answers: self.answers.unsigned_abs(),
            failures: self.failures.unsigned_abs(),
        }
    }
}

#[derive(Debug, FromRow)]
pub(super) struct SpentRow {
    endpoint: String,
    probe: String,
    prompt_tokens: f64,
    completion_tokens: f64,
    unmetered: i64,
    charged: f64,
}

impl SpentRow {
    pub(super) fn into_spent(self) -> Spent {
        Spent {
            endpoint: self.endpoint,
            probe: self.probe,
            prompt_tokens: self.prompt_tokens as u64,
            completion_tokens: self.completion_tokens as u64,
            unmetered: self.unmetered.unsigned_abs(),
            charged: self.charged,
        }
    }
}

#[derive(Debug, FromRow)]
pub(super) struct TimesRow {
    endpoint: String,
    first_token_ms: Option<i64>,
    total_ms: i64,
}

impl TimesRow {
    pub(super) fn into_times(self) -> Result<AnswerTimes, BadRow> {
        let bad = BadRow::because("sample");
        let first_token = self.first_token_ms.map(|ms| small("first_token_ms", ms)).transpose().map_err(&bad)?;
        let latency = Latency { first_token, total: small("total_ms", self.total_ms).map_err(&bad)? };
        Ok(AnswerTimes { endpoint: self.endpoint, latency })
    }
}

/// A time such that the order as text is the order in time, and no nanosecond is lost.
pub(super) fn time_column(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// A count as databases have it. No host has 2^63 tokens to tell of: such a number is held at the largest there is.
pub(super) fn count_column(count: u64) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// A value as JSON text in which every string is redacted and everything else is as it was.
pub(super) fn json_column<T: Serialize>(value: &T, redactor: &Redactor) -> String {
    // Serialising what was parsed from JSON, or has only strings for keys, does not fail.
    let text = serde_json::to_string(value).unwrap_or_else(|_| Value::Null.to_string());
    if redactor.finds(&text) {
        redacted(serde_json::to_value(value).unwrap_or_default(), redactor).to_string()
    } else {
        text
    }
}

fn redacted(value: Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) => Value::String(match redactor.redact(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(masked) => masked,
        }),
        Value::Array(items) => items.into_iter().map(|item| redacted(item, redactor)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (redactor.redact(&name).into_owned(), redacted(value, redactor)))
            .collect(),
        other => other,
    }
}

pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(column: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{column}: {error}"))
}

pub(super) fn small<T: TryFrom<i64>>(column: &str, number: i64) -> Result<T, String> {
    number.try_into().map_err(|_| format!("{column}: {number} is out of range"))
}

pub(super) fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{column}: {error}"))
}
