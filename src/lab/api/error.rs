//! Requests that are refused, whatever the words in which a host says so.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::dialect::{Dialect, Headers};

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The family of errors.
    pub kind: &'static str,
    /// What is wrong, in a word.
    pub code: Option<&'static str>,
    /// What it is about.
    pub parameter: Option<&'static str>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code: None, parameter: None, message: message.into(), retry_after: None }
    }

    /// 400: the request is not what it should be.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 400: a parameter has a value that it cannot have.
    pub fn parameter(parameter: &'static str, message: impl Into<String>) -> Self {
        Self { parameter: Some(parameter), code: Some("invalid_value"), ..Self::invalid(message) }
    }

    /// 400: the prompt leaves no room for an answer.
    pub fn too_long(tokens: usize, positions: usize) -> Self {
        let message = format!("the prompt has {tokens} tokens; with at least one of answer it must fit {positions}");
        Self { parameter: Some("messages"), code: Some("context_length_exceeded"), ..Self::invalid(message) }
    }

    /// 401: the key is missing or wrong.
    pub fn unauthorized() -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "authentication_error", "missing or wrong API key");
        Self { code: Some("invalid_api_key"), ..error }
    }

    /// 404: no such model.
    pub fn unknown_model(model: &str) -> Self {
        let error = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", format!("there is no model `{model}`"));
        Self { parameter: Some("model"), code: Some("model_not_found"), ..error }
    }

    /// 404: no such page.
    pub fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "there is nothing at this path")
    }

    /// 413: the body is too long.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", "the request is too large")
    }

    /// 429, to be tried again after this time.
    pub fn too_many(after: Duration) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "too many requests");
        Self { code: Some("rate_limit_exceeded"), retry_after: Some(after), ..error }
    }

    /// 503.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "the server is overloaded")
    }

    /// 500: the fault is the lab's own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// The response that says so in this dialect.
    pub fn response(&self, dialect: Dialect) -> Response {
        let mut response = (self.status, Json(dialect.body(self))).into_response();
        if let Some(after) = self.retry_after {
            add(response.headers_mut(), dialect.retry(after));
        }
        response
    }
}

/// Adds headers to a response's.
pub fn add(to: &mut HeaderMap, headers: Headers) {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            to.insert(name, value);
        }
    }
}
