//! Room: how much of a response is read and kept. It follows the cap that was asked for, not what a host sends.
//!
//! Layer 3, pure.

use serde_json::Value;

use crate::probe::UNCAPPED_TOKENS;

/// The largest whole answer that is read at all, in decompressed bytes.
pub const BODY_LIMIT: usize = 8 << 20;

/// Bytes that a body may have beside its tokens, and for each of them: enough for twenty log-probabilities that nobody asked for.
const READ: (usize, usize) = (4 << 20, 16 << 10);

/// Bytes that a stream may have beside its tokens, and for each of them: enough for an event a token, each with the log-probabilities of
/// ten alternatives that nobody asked for. It is read event by event, so that its length costs no memory.
const STREAMED: (usize, usize) = (BODY_LIMIT, 4 << 10);

/// Bytes of a stream that are kept beside its tokens, and for each of them: enough for an event a token. Comments are
/// not kept at all.
const KEPT: (usize, usize) = (8 << 10, 512);

/// The same of a whole answer: each token comes a few times, as text, as thought and in details.
const DOCUMENT: (usize, usize) = (8 << 10, 128);

/// Bytes of a text that are kept beside its tokens, and for each of them: ten times what the longest words take.
const TEXT: (usize, usize) = (16 << 10, 64);

/// Bytes that are looked at beyond what is kept, so that a secret which is cut through at the end is still known.
pub(super) const MARGIN: usize = 64 << 10;

/// How much of one response is read and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Decompressed bytes that are read of a whole answer, and of a stream's that are in memory at once.
    pub read: usize,
    /// Decompressed bytes that are read of a stream.
    pub streamed: usize,
    /// Bytes of a stream as received that are kept.
    pub kept: usize,
    /// Bytes of a whole answer as received that are kept.
    pub document: usize,
    /// Bytes of each text of the answer that are kept.
    pub text: usize,
    /// Whether log-probabilities were asked for.
    pub logprobs: bool,
}

impl Room {
    /// For the answer to this request.
    pub fn of(request: &Value) -> Self {
        let cap = ["max_tokens", "max_completion_tokens", "max_output_tokens"]
            .iter()
            .find_map(|name| request.get(*name)?.as_u64());
        let cap = cap.unwrap_or_else(|| UNCAPPED_TOKENS.into()).min(1 << 20) as usize;
        let answers = request.get("n").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16) as usize;
        let asked = |name| request.get(name).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)));
        let logprobs = asked("logprobs") || asked("top_logprobs");
        // Log-probabilities that were asked for take as much as an event.
        let of_a_document = if logprobs { KEPT.1 } else { DOCUMENT.1 };
        Self {
            read: BODY_LIMIT.min(READ.0 + READ.1 * cap),
            streamed: STREAMED.0 + STREAMED.1 * cap,
            kept: KEPT.0 + KEPT.1 * cap * answers,
            document: DOCUMENT.0 + of_a_document * cap * answers,
            text: TEXT.0 + TEXT.1 * cap,
            logprobs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_room_follows_the_cap_and_log_probabilities_are_kept_where_they_were_asked_for() {
        let small = Room::of(&json!({"max_tokens": 64}));
        assert_eq!((small.read, small.kept, small.document, small.logprobs), (5 << 20, 40 << 10, 16 << 10, false));
        assert_eq!(Room::of(&json!({"max_completion_tokens": 64})).kept, small.kept);
        assert_eq!(Room::of(&json!({"max_tokens": 64, "n": 2})).kept, 72 << 10);
        assert_eq!(Room::of(&json!({"max_tokens": 64, "logprobs": true})).document, small.kept);
        let large = Room::of(&json!({"max_tokens": 32_768}));
        assert_eq!((large.read, large.streamed), (BODY_LIMIT, BODY_LIMIT + (128 << 20)));
        assert!(Room::of(&json!({"logprobs": true})).logprobs && !Room::of(&json!({"logprobs": false})).logprobs);
    }
}
