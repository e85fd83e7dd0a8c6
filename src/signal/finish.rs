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

/// Beginnings of words that say that a host broke an answer off, in lower case.
const BROKEN_OFF: [&str; 16] = [
    "abort",
    "cancel",
    "crash",
    "deadline",
    "disconnect",
    "error",
    "evict",
    "exception",
    "fail",
    "interrupt",
    "killed",
    "overload",
    "preempt",
    "timedout",
    "timeout",
    "unavailable",
];

/// The same, of whole words: they begin others as well.
const BROKEN_OFF_WHOLE: [&str; 2] = ["internal", "oom"];

/// Beginnings of words for what a cap counts: where more of it than was allowed is said to be there, a cap was reached.
const OF_LENGTH: [&str; 3] = ["context", "length", "token"];

/// Hosts' words for an answer that a filter withheld, in lower case.
const FILTERED: [&str; 12] = [
    "blocklist",
    "content_filter",
    "content_filtered",
    "error_toxic",
    "guardrail_intervened",
    "image_safety",
    "prohibited_content",
    "recitation",
    "safety",
    "safety_filter",
    "sensitive",
    "spii",
];

/// What some hosts put before each reason.
const PREFIX: [&str; 2] = ["finish", "reason"];

/// The words of a reason in lower case, whether a host puts them together with lines or with capitals.
fn words(reason: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut was_lower = false;
    for c in reason.chars() {
        if (!c.is_alphanumeric() || was_lower && c.is_uppercase()) && out.last().is_some_and(|word| !word.is_empty()) {
            out.push(String::new());
        }
        if let Some(word) = out.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    out.retain(|word| !word.is_empty());
    if out.len() > PREFIX.len() && out.iter().zip(PREFIX).all(|(word, of_prefix)| word == of_prefix) {
        out.drain(..PREFIX.len());
    }
    out
}

/// Whether a host's word says that a filter withheld the answer, or the rest of it.
pub fn is_filtered(reason: &str) -> bool {
    FILTERED.contains(&words(reason).join("_").as_str())
}

impl Ended {
    /// Reads a host's word; hosts write the same reasons in several ways.
    pub fn read(reason: Option<&str>) -> Self {
        let Some(reason) = reason else { return Self::Untold };
        let words = words(reason);
        let known = Self::known(&reason.to_ascii_lowercase()).or_else(|| Self::known(&words.join("_")));
        known.unwrap_or_else(|| Self::of_words(&words))
    }

    /// What a reason in lower case says that is one of those in use.
    fn known(reason: &str) -> Option<Self> {
        Some(match reason {
            "" | "null" => Self::Untold,
            "stop" | "complete" | "completed" | "end_turn" | "endoftext" | "eos" | "eos_token" | "stop_sequence"
            | "stop_token" => Self::Naturally,
            "length"
            | "max_completion_tokens"
            | "max_length"
            | "max_new_tokens"
            | "max_output_tokens"
            | "max_tokens"
            | "model_context_window_exceeded"
            | "model_length" => Self::AtCap,
            "tool_calls" | "tool_call" | "tool_use" | "function_call" => Self::WithCalls,
            "insufficient_system_resource" => Self::Interrupted,
            filtered if FILTERED.contains(&filtered) => Self::Otherwise,
            _ => return None,
        })
    }

    /// What the words of any other reason say: hosts make up ever new ones for what broke off, of the same words.
    fn of_words(words: &[String]) -> Self {
        let is_broken_off = |word: &String| {
            BROKEN_OFF.iter().any(|start| word.starts_with(start)) || BROKEN_OFF_WHOLE.contains(&word.as_str())
        };
        let is_of_length = |word: &String| OF_LENGTH.iter().any(|start| word.starts_with(start));
        let is_exceeded = words.iter().any(|word| word == "exceeded");
        if words.first().is_some_and(|word| word == "no") {
            // Such as that there was no error.
            Self::Otherwise
        } else if words.iter().any(is_broken_off) {
            Self::Interrupted
        } else if is_exceeded {
            if words.iter().any(is_of_length) { Self::AtCap } else { Self::Interrupted }
        } else {
            Self::Otherwise
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

    #[test]
    fn any_word_for_what_was_broken_off_is_an_interruption() {
        for word in [
            "failed",
            "exception",
            "unavailable",
            "INTERNAL",
            "unknown_error",
            "upstream_error",
            "stream-error",
            "connection error",
            "engine_abort",
            "engineAborted",
            "FINISH_REASON_ABORT",
            "engine_overloaded",
            "deadline_exceeded",
            "quota_exceeded",
            "preempted",
            "user_cancelled",
            "canceled",
            "server_error",
            "oom",
            "insufficient_system_resource",
        ] {
            assert_eq!(Ended::read(Some(word)), Ended::Interrupted, "{word}");
        }
    }

    #[test]
    fn words_of_the_same_letters_are_no_interruption() {
        for word in ["incomplete", "OTHER", "no_error", "internalized", "room", "refusal", "ERROR_TOXIC"] {
            assert_eq!(Ended::read(Some(word)), Ended::Otherwise, "{word}");
        }
        for word in ["FINISH_REASON_MAX_TOKENS", "maxTokens", "model-length", "context_length_exceeded"] {
            assert_eq!(Ended::read(Some(word)), Ended::AtCap, "{word}");
        }
        for word in ["FINISH_REASON_STOP", "endTurn", "Stop"] {
            assert_eq!(Ended::read(Some(word)), Ended::Naturally, "{word}");
        }
    }

    #[test]
    fn a_filter_is_known_by_its_words() {
        for word in ["content_filter", "content-filter", "SAFETY", "RECITATION", "FINISH_REASON_SAFETY"] {
            assert!(is_filtered(word) && Ended::read(Some(word)) == Ended::Otherwise, "{word}");
        }
        assert!(!is_filtered("stop") && !is_filtered("refusal") && !is_filtered(""));
    }

    proptest! {
        #[test]
        fn any_word_is_read(word in "\\PC{0,20}") {
            let _ = (Ended::read(Some(&word)), is_filtered(&word));
        }
    }
}
