//! Between rows and nouns of what follows from runs.
//!
//! Part of layer 3's store, as `rows` is. Reasons, findings and events may quote hosts, and are redacted on their way in.

use sqlx::FromRow;

use super::rows::{BadRow, from_json, json_column, parse, small};
use super::{EndpointResult, Notification, OutboxEntry, RecordedResult, Silence, State};
use crate::alert::Alert;
use crate::verdict::{Effect, EffectName, Verdict};

#[derive(Debug, FromRow)]
pub(super) struct ResultRow {
    endpoint: String,
    verdict: String,
    reason: String,
    p_value: Option<f64>,
    q_value: Option<f64>,
    e_value: Option<f64>,
    effect_name: Option<String>,
    estimate: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    tolerance: f64,
    samples: i64,
    attempts: i64,
    errors: i64,
    cost: Option<f64>,
    findings: String,
}

impl ResultRow {
    pub(super) fn into_result(self) -> Result<EndpointResult, BadRow> {
        self.try_into_result().map_err(BadRow::because("result"))
    }

    fn try_into_result(self) -> Result<EndpointResult, String> {
        Ok(EndpointResult {
            verdict: verdict(&self.verdict)?,
            effect: self.effect()?,
            samples: small("samples", self.samples)?,
            attempts: small("attempts", self.attempts)?,
            errors: small("errors", self.errors)?,
            findings: from_json("findings", &self.findings)?,
            endpoint: self.endpoint,
            reason: self.reason,
            p_value: self.p_value,
            q_value: self.q_value,
            e_value: self.e_value,
            tolerance: self.tolerance,
            cost: self.cost,
        })
    }

    fn effect(&self) -> Result<Option<Effect>, String> {
        let Some(name) = &self.effect_name else { return Ok(None) };
        let (Some(estimate), Some(low), Some(high)) = (self.estimate, self.low, self.high) else {
            return Err(format!("the effect `{name}` lacks a number"));
        };
        Ok(Some(Effect { name: effect_name(name)?, estimate, low, high }))
    }
}

fn verdict(word: &str) -> Result<Verdict, String> {
    let all = [Verdict::Consistent, Verdict::Drifted, Verdict::Inconclusive, Verdict::Unmeasured];
    all.into_iter().find(|verdict| verdict.as_str() == word).ok_or_else(|| format!("verdict: unknown word `{word}`"))
}

fn effect_name(word: &str) -> Result<EffectName, String> {
    let all = [
        EffectName::Substitution,
        EffectName::Mixture,
        EffectName::Dispersion,
        EffectName::Surprisal,
        EffectName::Divergence,
        EffectName::Departure,
    ];
    all.into_iter().find(|name| name.as_str() == word).ok_or_else(|| format!("effect_name: unknown word `{word}`"))
}

#[derive(Debug, FromRow)]
pub(super) struct RecordedResultRow {
    run: String,
    started_at: String,
    reference: String,
    #[sqlx(flatten)]
    result: ResultRow,
}

impl RecordedResultRow {
    pub(super) fn into_recorded(self) -> Result<RecordedResult, BadRow> {
        let bad = BadRow::because("result");
        Ok(RecordedResult {
            run: parse("run", &self.run).map_err(&bad)?,
            started_at: parse("started_at", &self.started_at).map_err(&bad)?,
            reference: self.reference,
            result: self.result.into_result()?,
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct AlertRow {
    state: String,
}

impl AlertRow {
    pub(super) fn into_alert(self) -> Result<Alert, BadRow> {
        from_json("state", &self.state).map_err(BadRow::because("alert"))
    }
}

#[derive(Debug, FromRow)]
pub(super) struct NotificationRow {
    key: String,
    receiver: String,
    run: Option<String>,
    created_at: String,
    event: String,
    attempts: i64,
    next_attempt_at: Option<String>,
    sent_at: Option<String>,
    given_up_at: Option<String>,
    failure: Option<String>,
}

impl NotificationRow {
    pub(super) fn into_entry(self) -> Result<OutboxEntry, BadRow> {
        self.try_into_entry().map_err(BadRow::because("notification"))
    }

    fn try_into_entry(self) -> Result<OutboxEntry, String> {
        let state = match (&self.sent_at, &self.given_up_at, &self.next_attempt_at) {
            (Some(at), _, _) => State::Sent(parse("sent_at", at)?),
            (None, Some(at), _) => State::GivenUp(parse("given_up_at", at)?),
            (None, None, Some(at)) => State::Waiting(parse("next_attempt_at", at)?),
            (None, None, None) => return Err("it neither waits nor was settled".to_owned()),
        };
        Ok(OutboxEntry {
            state,
            attempts: small("attempts", self.attempts)?,
            failure: self.failure,
            notification: Notification {
                run: self.run.map(|run| parse("run", &run)).transpose()?,
                created_at: parse("created_at", &self.created_at)?,
                key: self.key,
                receiver: self.receiver,
                event: self.event,
            },
        })
    }
}

#[derive(Debug, FromRow)]
pub(super) struct SilenceRow {
    id: String,
    model: String,
    endpoint: String,
    created_at: String,
    until: String,
    comment: String,
}

impl SilenceRow {
    pub(super) fn into_silence(self) -> Result<Silence, BadRow> {
        let bad = BadRow::because("silence");
        Ok(Silence {
            id: parse("id", &self.id).map_err(&bad)?,
            created_at: parse("created_at", &self.created_at).map_err(&bad)?,
            until: parse("until", &self.until).map_err(&bad)?,
            model: self.model,
            endpoint: self.endpoint,
            comment: self.comment,
        })
    }
}

/// JSON text with every string in it redacted; text that is no JSON is redacted as a whole.
pub(super) fn redacted_json(text: &str, redactor: &crate::redact::Redactor) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => json_column(&value, redactor),
        Err(_) => redactor.redact(text).into_owned(),
    }
}
