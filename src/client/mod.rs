//! The client: asks one endpoint one question over HTTP, and makes a record of whatever comes of it.
//!
//! Layer 3. A request travels through [`request`] (probe to body), [`target`] (endpoint to address and key),
//! `exchange` (bytes within limits; large bodies a few at a time, by `bulk`), [`sse`] and [`answer`] (bytes to answer), and comes back as an
//! [`Attempt`]. Whether another attempt follows is decided in [`crate::retry`]; how many may
//! be under way, in [`limit`].

mod bulk;
mod comments;
mod encoding;
mod exchange;
mod transport;

pub mod answer;
pub mod fault;
pub mod headers;
pub mod lenient;
pub mod level;
pub mod limit;
pub mod models;
pub mod request;
pub mod room;
pub mod sse;
pub mod target;
pub mod toolcall;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use jiff::Timestamp;
use serde_json::Value;

pub use exchange::{ERROR_BODY_LIMIT, LINE_LIMIT};
pub use limit::{Limiter, Permit};
pub use models::Listing;
pub use request::{Ask, Route};
pub use room::{BODY_LIMIT, Room};
pub use target::{Target, TargetError};

use crate::attempt::{Answer, Attempt, Failure, FailureKind, Outcome};
use crate::redact::{MASK, Redactor};
use bulk::Bulk;
use exchange::Exchange;
use fault::Response;
use headers::Kept;
use room::MARGIN;

/// The most characters of a failure's message, and of a header's value.
const TEXT_LIMIT: usize = 500;

/// The most tool calls that are kept of an answer.
const MOST_CALLS: usize = 128;

/// The most bytes kept of a body that is no answer. Less than is read of it, so that whatever was cut through where
/// reading stopped is not kept.
const KEPT_OF_A_FAILURE: usize = ERROR_BODY_LIMIT / 8;

/// Asks endpoints, and lets no secret into what it returns.
#[derive(Debug, Clone)]
pub struct Client {
    redactor: Redactor,
    bulk: Bulk,
}

impl Client {
    /// A client that masks what `redactor` knows; every key that is sent must be among it.
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, bulk: Bulk::default() }
    }

    /// Sends `ask` to `target` once, as the try with this `number` (from 1), and never fails: an attempt that got no
    /// answer holds the reason. Nothing is retried and no redirect is followed.
    pub async fn attempt(&self, target: &Target, ask: &Ask, number: u32) -> Attempt {
        let started_at = Timestamp::now();
        let room = Room::of(&ask.body);
        let exchange = exchange::exchange(target, &ask.body, room, &self.bulk).await;
        // A large body has its place until it is out of memory.
        let Exchange { status, headers, raw, elapsed, result, place: _place } = exchange;
        let kept = self.clean_raw(&raw, &result, room);
        let outcome = match result {
            Ok(answer) => Outcome::Answered(Box::new(self.clean_answer(answer, &kept, room))),
            Err(failure) => {
                Outcome::Failed(self.clean_failure(&failure, Response { status, headers: &headers, body: &raw }))
            }
        };
        let slot = ask.slot.clone();
        tracing::debug!(endpoint = target.endpoint(), probe = slot.probe, number, status, ?elapsed, "attempt");
        let headers = self.clean_headers(headers);
        Attempt { slot, number, started_at, elapsed, status, headers, raw: kept, outcome, cost: None }
    }

    fn clean(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    fn clean_raw(&self, raw: &[u8], result: &Result<Answer, Failure>, room: Room) -> String {
        let most = match result {
            Err(failure) if failure.kind != FailureKind::CutStream => KEPT_OF_A_FAILURE,
            Ok(_) | Err(_) if raw.trim_ascii_start().starts_with(b"{") => room.document,
            Ok(_) | Err(_) => room.kept,
        };
        // A character at the end that is cut through lies beyond what is kept.
        let text = String::from_utf8_lossy(&raw[..raw.len().min(most + MARGIN + 1)]);
        let text = self.clean_to(&text, most);
        // A stream brings an echoed key in pieces, none of which can be told from other text.
        if self.redactor.finds_in_pieces(&text) { MASK.to_owned() } else { text }
    }

    /// Masks a text, and keeps no more than so many bytes. Masked before it is cut, since a cut through a key would leave half of it
    /// unknown to the redactor; what lies far beyond the cut is not looked at.
    fn clean_to(&self, text: &str, most: usize) -> String {
        let seen = text.floor_char_boundary(most + MARGIN);
        let mut clean = self.clean(&text[..seen]);
        // Masks are shorter than keys, so that the margin, and a key that it ends in, may have moved to before the cut.
        let most = if seen < text.len() { most.min(clean.len().saturating_sub(MARGIN)) } else { most };
        clean.truncate(clean.floor_char_boundary(most));
        clean.shrink_to_fit();
        clean
    }

    /// Masks names and values. Names that are the same then are one header, of the last value.
    fn clean_headers(&self, headers: Kept) -> Kept {
        let clean = |(name, value): (String, String)| (self.clean(&name), self.clean(&value));
        let mut kept: Vec<(String, String)> = headers.into_iter().map(clean).collect();
        self.redactor.mask_together(&mut kept.iter_mut().map(|(_, value)| value).collect::<Vec<_>>());
        self.redactor.mask_together(&mut kept.iter_mut().map(|(name, _)| name).collect::<Vec<_>>());
        self.redactor.mask_together(&mut kept.iter_mut().flat_map(|(name, value)| [name, value]).collect::<Vec<_>>());
        kept.into_iter().map(|(name, value)| (bounded(&name), bounded(&value))).collect()
    }

    fn clean_failure(&self, failure: &Failure, response: Response<'_>) -> Failure {
        // In one line it is masked once more: what stood between the pieces of a secret is gone.
        let mut message = self.clean(&fault::one_line(&self.clean(&failure.message)));
        if failure.kind == FailureKind::Redirect {
            // The query is where hosts put what they were sent.
            message.truncate(message.find(['?', '#']).unwrap_or(message.len()));
        }
        let message = bounded(&message);
        fault::with_wait(Failure { message, ..failure.clone() }, response, Timestamp::now())
    }

    /// Masks the texts of an answer, and keeps no more of each than an answer to such a request can have. `raw` is its body as it is
    /// kept.
    fn clean_answer(&self, answer: Answer, raw: &str, room: Room) -> Answer {
        let masked = Cell::new(false);
        let clean = |text: String| self.clean_to(&text, room.text);
        let clean_text = |text: String| {
            let clean = self.clean_to(&text, room.text);
            // A text of which nothing is masked is at most cut.
            masked.set(masked.get() || !text.starts_with(clean.as_str()));
            clean
        };
        let is_safe = |logprobs: &Value| {
            let in_pieces = self.redactor.finds_in_pieces_of(logprobs);
            masked.set(masked.get() || in_pieces);
            !in_pieces
        };
        let mut answer = Answer {
            text: clean_text(answer.text),
            reasoning: answer.reasoning.map(clean_text),
            finish_reason: answer.finish_reason.map(clean),
            response_model: answer.response_model.map(clean),
            system_fingerprint: answer.system_fingerprint.map(clean),
            response_id: answer.response_id.map(clean),
            provider: answer.provider.map(clean),
            // They hold the text again, token by token.
            logprobs: answer.logprobs.filter(is_safe),
            ..answer
        };
        answer.tool_calls.truncate(MOST_CALLS);
        for call in &mut answer.tool_calls {
            call.name = clean_text(std::mem::take(&mut call.name));
            call.arguments = clean_text(std::mem::take(&mut call.arguments));
        }
        if let Some(logprobs) = &mut answer.logprobs {
            self.clean_value(logprobs);
        }
        let masked_together = self.clean_together(&mut answer);
        // Of a secret in pieces that come by turns for several texts none holds a run, and the body alone has them in order.
        if raw == MASK && !masked.get() && !masked_together {
            mask_all(&mut answer);
        }
        answer
    }

    /// Masks what holds a secret only when it is read together; whether any of the texts does.
    fn clean_together(&self, answer: &mut Answer) -> bool {
        let Answer {
            text,
            reasoning,
            tool_calls,
            finish_reason,
            response_model,
            system_fingerprint,
            response_id,
            provider,
            ..
        } = answer;
        let mut masked = self.redactor.mask_together(&mut reasoning.iter_mut().chain([text]).collect::<Vec<_>>());
        let names = tool_calls.iter_mut().map(|call| &mut call.name);
        masked |= self.redactor.mask_together(&mut names.collect::<Vec<_>>());
        let calls = tool_calls.iter_mut().flat_map(|call| [&mut call.name, &mut call.arguments]);
        masked |= self.redactor.mask_together(&mut calls.collect::<Vec<_>>());
        let arguments = tool_calls.iter_mut().map(|call| &mut call.arguments);
        masked |= self.redactor.mask_together(&mut arguments.collect::<Vec<_>>());
        let said = [response_model, system_fingerprint, response_id, provider, finish_reason];
        self.redactor.mask_together(&mut said.into_iter().flatten().collect::<Vec<_>>());
        masked
    }

    /// Masks within JSON. As deep as the parser lets JSON be, which bounds the recursion.
    fn clean_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.clean(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.clean_value(value)),
            Value::Object(fields) => {
                if fields.keys().any(|name| self.redactor.finds(name)) {
                    *fields =
                        std::mem::take(fields).into_iter().map(|(name, value)| (self.clean(&name), value)).collect();
                }
                fields.values_mut().for_each(|value| self.clean_value(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Masks whatever an answer says but why it ended, and drops what holds its text once more.
fn mask_all(answer: &mut Answer) {
    let Answer { text, reasoning, tool_calls, response_model, system_fingerprint, response_id, provider, .. } = answer;
    let calls = tool_calls.iter_mut().flat_map(|call| [&mut call.name, &mut call.arguments]);
    let others = [reasoning, response_model, system_fingerprint, response_id, provider].into_iter().flatten();
    for said in calls.chain(others).chain([text]).filter(|said| !said.is_empty()) {
        MASK.clone_into(said);
    }
    answer.logprobs = None;
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
