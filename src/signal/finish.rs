//! Finish reasons, in the hosts' words and in ours.

use std::collections::BTreeMap;

use super::answers::{Answer, Answers};

/// Why an answer ended, told apart as far as hosts agree on what to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The model was done, or a stop sequence came.
    Naturally,
    /// A cap on its tokens was reached.
    AtCap,
    /// It called tools.
    WithCalls,
    /// The host broke it off.
    Interrupted,
    /// A word of the host's own.
    Otherwise,
    /// The host does not say.
    Untold,
}

impl Ended {
    /// Reads a host's word; hosts write the same reasons in several ways.
    pub fn read(reason: Option<&str>) -> Self {
        match reason.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "null") => Self::Untold,
            Some(
                "stop" | "complete" | "completed" | "end_turn" | "endoftext" | "eos" | "eos_token" | "stop_sequence"
                | "stop_token",
            ) => Self::Naturally,
            Some(
                "length"
                | "max_completion_tokens"
                | "max_length"
                | "max_new_tokens"
                | "max_output_tokens"
                | "max_tokens"
                | "model_context_window_exceeded"
                | "model_length",
            ) => Self::AtCap,
            Some("tool_calls" | "tool_call" | "tool_use" | "function_call") => Self::WithCalls,
            Some(
                "error"
                | "abort"
                | "aborted"
                | "cancel"
                | "cancelled"
                | "canceled"
                | "interrupted"
                | "timeout"
                | "server_error"
                | "internal_error"
                | "engine_error"
                | "network_error"
                | "insufficient_system_resource",
            ) => Self::Interrupted,
            Some(_) => Self::Otherwise,
        }
    }

    /// Reads an answer's.
    pub fn of(answer: &Answer<'_>) -> Self {
        Self::read(answer.sample.finish_reason.as_deref())
    }
}

/// Answers by finish reason, in the host's own words; `None` where it sent none.
pub fn reasons(answers: &Answers<'_>) -> BTreeMap<Option<String>, usize> {
    let mut out = BTreeMap::new();
    for answer in answers.all() {
        *out.entry(answer.sample.finish_reason.clone()).or_default() += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_words_for_one_reason_are_one_reason() {
        for word in ["stop", "eos", "STOP", "end_turn", "COMPLETE"] {
            assert_eq!(Ended::read(Some(word)), Ended::Naturally);
        }
        assert_eq!([Ended::read(Some("MAX_TOKENS")), Ended::read(Some("length"))], [Ended::AtCap; 2]);
        assert_eq!([None, Some(""), Some("null")].map(Ended::read), [Ended::Untold; 3]);
        assert_eq!([Ended::read(Some("abort")), Ended::read(Some("cancelled"))], [Ended::Interrupted; 2]);
        assert_eq!(Ended::read(Some("recitation")), Ended::Otherwise);
    }

    proptest! {
        #[test]
        fn any_word_is_read(word in "\\PC{0,20}") {
            let _ = Ended::read(Some(&word));
        }
    }
}
