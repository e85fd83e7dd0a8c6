//! Errors in the shape that OpenAI gives them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    parameter: Option<&'static str>,
    message: String,
    retry_after: Option<RetryAfter>,
}

/// When to come back, in the two forms that hosts use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RetryAfter {
    milliseconds: u32,
    seconds: u32,
}

/// A short time, which only the finer of the two headers can say: the coarser one rounds it up to a second.
const SOON: RetryAfter = RetryAfter { milliseconds: 200, seconds: 1 };

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

    /// 400: a parameter is known, and this host does not have it.
    pub fn unsupported(parameter: &'static str) -> Self {
        let message = format!("`{parameter}` is not supported by this host");
        Self { parameter: Some(parameter), code: Some("unsupported_parameter"), ..Self::invalid(message) }
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

    /// 429, to be tried again soon.
    pub fn too_many() -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "too many requests");
        Self { code: Some("rate_limit_exceeded"), retry_after: Some(SOON), ..error }
    }

    /// 503.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "the server is overloaded")
    }

    /// 500: the fault is the lab's own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({"message": self.message, "type": self.kind, "param": self.parameter, "code": self.code});
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert("retry-after-ms", after.milliseconds.into());
            response.headers_mut().insert("retry-after", after.seconds.into());
        }
        response
    }
}
