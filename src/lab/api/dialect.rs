//! Whose errors and headers a host has: one protocol, and as many ways to say no as there are hosts. Pure.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ApiError;
use crate::lab::limit::Standing;

/// A family of hosts that say errors and limits alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `{"error": {"message", "type", "param", "code"}}`, limits as durations.
    #[default]
    OpenAi,
    /// `error_type` beside the message where a dynamic limit is reached; limits reset in whole seconds, and nothing else says
    /// when to come back.
    Together,
    /// Where it is not the request's fault an error is a bare text; limits say whether they are reached, not when they reset.
    Fireworks,
    /// Flat: `{"message", "type", "param", "code"}`; limits name their window, and reset in float seconds.
    Cerebras,
    /// Flat: `{"object": "error", "message", "type", "param", "code"}` with a numeric code; no word on limits.
    Sglang,
}

/// Headers by name.
pub type Headers = Vec<(&'static str, String)>;

impl Dialect {
    /// What may be asked for, in words for a message.
    pub const WANTED: &'static str = "openai, together, fireworks, cerebras or sglang";

    /// The dialect with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(Self::OpenAi),
            "together" => Some(Self::Together),
            "fireworks" => Some(Self::Fireworks),
            "cerebras" => Some(Self::Cerebras),
            "sglang" => Some(Self::Sglang),
            _ => None,
        }
    }

    /// The body that says this error.
    pub fn body(self, error: &ApiError) -> Value {
        let ApiError { status, kind, code, parameter, message, .. } = error;
        match self {
            Self::OpenAi => {
                json!({"error": {"message": message, "type": kind, "param": parameter, "code": code}})
            }
            Self::Together => {
                let mut body = json!({"error": {"message": message, "type": kind, "param": parameter, "code": code}});
                if *status == StatusCode::TOO_MANY_REQUESTS {
                    body["error"]["error_type"] = json!("dynamic_request_limited");
                }
                body
            }
            Self::Fireworks if blames_the_request(*status) => {
                json!({"error": {"object": "error", "type": kind, "code": code.unwrap_or(kind), "message": message}})
            }
            Self::Fireworks => json!({ "error": message }),
            Self::Cerebras if *status == StatusCode::TOO_MANY_REQUESTS => {
                let (kind, code) = ("too_many_requests_error", "request_quota_exceeded");
                json!({"message": message, "type": kind, "param": "quota", "code": code})
            }
            Self::Cerebras => json!({"message": message, "type": kind, "param": parameter, "code": code}),
            // The server's gate for keys stands before whatever shapes the other errors.
            Self::Sglang if *status == StatusCode::UNAUTHORIZED => json!({"error": "Unauthorized"}),
            Self::Sglang => {
                let (kind, code) = (sglang_kind(*status), status.as_u16());
                json!({"object": "error", "message": message, "type": kind, "param": parameter, "code": code})
            }
        }
    }

    /// The headers that say where a caller stands.
    pub fn standing(self, standing: &Standing) -> Headers {
        let (limit, remaining) = (standing.limit.to_string(), standing.remaining.to_string());
        match self {
            Self::OpenAi => vec![
                ("x-ratelimit-limit-requests", limit),
                ("x-ratelimit-remaining-requests", remaining),
                ("x-ratelimit-reset-requests", go_duration(standing.reset)),
            ],
            Self::Together => vec![
                ("x-ratelimit-limit", limit),
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", whole_seconds(standing.reset).to_string()),
            ],
            Self::Fireworks => vec![
                ("x-ratelimit-limit-requests", limit),
                ("x-ratelimit-remaining-requests", remaining),
                ("x-ratelimit-over-limit", if standing.remaining == 0 { "yes" } else { "no" }.to_owned()),
            ],
            Self::Cerebras => vec![
                ("x-ratelimit-limit-requests-minute", limit),
                ("x-ratelimit-remaining-requests-minute", remaining),
                ("x-ratelimit-reset-requests-minute", format!("{:.6}", standing.reset.as_secs_f64())),
            ],
            Self::Sglang => Vec::new(),
        }
    }

    /// The headers that say when to come back.
    pub fn retry(self, after: Duration) -> Headers {
        let seconds = ("retry-after", whole_seconds(after).to_string());
        match self {
            Self::OpenAi => vec![("retry-after-ms", after.as_millis().to_string()), seconds],
            Self::Fireworks | Self::Cerebras => vec![seconds],
            Self::Together | Self::Sglang => Vec::new(),
        }
    }
}

fn blames_the_request(status: StatusCode) -> bool {
    status.is_client_error() && ![StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

fn sglang_kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "NotFoundError",
        StatusCode::TOO_MANY_REQUESTS => "RateLimitError",
        status if status.is_server_error() => "InternalServerError",
        _ => "BadRequestError",
    }
}

/// Rounded up, so that whoever waits as long is not early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// As the Go language writes durations: `120ms`, `1s`, `6m0s`, `1h0m0s`.
fn go_duration(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    if seconds == 0 {
        return format!("{millis}ms");
    }
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}").trim_end_matches('0').to_owned() };
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}{fraction}s"),
        (0, m, s) => format!("{m}m{s}{fraction}s"),
        (h, m, s) => format!("{h}h{m}m{s}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_says_no_in_its_own_shape() {
        let refused = ApiError::parameter("top_p", "too much");
        let message = |dialect: Dialect, at: &str| dialect.body(&refused).pointer(at).cloned();
        for dialect in [Dialect::OpenAi, Dialect::Together, Dialect::Fireworks] {
            assert_eq!(message(dialect, "/error/message"), Some(json!("too much")));
        }
        for dialect in [Dialect::Cerebras, Dialect::Sglang] {
            assert_eq!(message(dialect, "/message"), Some(json!("too much")));
        }
        assert_eq!(message(Dialect::Sglang, "/code"), Some(json!(400)));
        assert_eq!(message(Dialect::Cerebras, "/param"), Some(json!("top_p")));
        let busy = ApiError::too_many(Duration::from_secs(1));
        assert_eq!(Dialect::Together.body(&busy)["error"]["error_type"], "dynamic_request_limited");
        assert!(Dialect::Fireworks.body(&busy)["error"].is_string());
        assert_eq!(Dialect::Cerebras.body(&busy)["code"], "request_quota_exceeded");
        assert_eq!(Dialect::Sglang.body(&ApiError::unauthorized()), json!({"error": "Unauthorized"}));
    }

    #[test]
    fn durations_are_written_as_hosts_write_them() {
        for (millis, written) in [
            (120, "120ms"),
            (1_000, "1s"),
            (62_000, "1m2s"),
            (59_940, "59.94s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), written);
        }
        assert_eq!(whole_seconds(Duration::from_millis(1_001)), 2);
    }
}
