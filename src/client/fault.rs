//! What hosts say when they do not answer: reading error bodies of every shape, and putting them into classes.
//!
//! Layer 3, pure. Errors come as an object, as a flat object, as a bare string, in a list, as JSON within a string, or
//! as a page of HTML; under their HTTP status or, in a stream that has begun, under 200. [`read`] takes their words
//! and codes out, [`class`] finds the class, [`wait`] how long to wait. Messages are returned whole: they are
//! shortened only after redaction, since a cut could leave half of an echoed key behind.

pub mod class;
mod page;
pub mod read;
pub mod wait;

#[cfg(test)]
mod tests;

pub use page::PAGE;
pub use read::HostError;
pub use wait::{Response, wait_in_body, with_wait};

use super::{ERROR_BODY_LIMIT, lenient};
use crate::attempt::{Failure, FailureKind};
use crate::encoding::text_of;

/// The failure that a response with a status other than 2xx is. `slow_down` lists statuses that mean it beside 429.
pub fn from_status(status: u16, body: &[u8], slow_down: &[u16]) -> Failure {
    let error = lenient::parse(body).ok().as_ref().and_then(HostError::read);
    let said = error.as_ref().map_or_else(|| readable(body), HostError::told);
    // What is no JSON can be classified by its words as well.
    let error = error.unwrap_or_else(|| HostError::of_words(&said));
    // Gateways wrap the error of the host behind them into a status of their own.
    let inner = error.status().filter(|_| status >= 400 && status != 429);
    let kind = class::of(Some(inner.unwrap_or(status)), &error, slow_down);
    let message = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
    failure(kind, message)
}

/// The failure that an error under HTTP 200 is, such as one within a stream.
pub fn within_answer(error: &HostError, slow_down: &[u16]) -> Failure {
    let kind = class::of(error.status().or_else(|| error.status_in_words()), error, slow_down);
    failure(kind, format!("the host reports an error under HTTP 200: {}", error.told()))
}

/// A failure without word on retrying.
pub fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), retry_after: None, should_retry: None }
}

/// Things that hosts do not have, where they have what was asked at all.
const MISSING: [&str; 5] = ["model", "endpoint", "deployment", "tool", "account"];

/// Whether words under 404 say what is not there, other than the address.
pub fn names_what_is_missing(said: &str) -> bool {
    let said = said.to_lowercase();
    MISSING.iter().any(|thing| said.contains(thing))
}

/// A body that is not JSON, as one line of text; of a page of HTML, what is read on it.
pub(super) fn readable(body: &[u8]) -> String {
    let body = &body[..body.len().min(ERROR_BODY_LIMIT)];
    let text = text_of(body).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let text = text.trim_start();
    if page::is_page(text) { page::told(text) } else { one_line(text) }
}

/// The text with every run of white space and control characters made one space.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
