//! Blanks: answers with neither content nor call. They are missing and not short: two of them are not alike.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::Answer;
use super::finish::{Ended, is_filtered};
use super::tokens::AT_ITS_END;

/// Why nothing is answered, as far as an answer shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Blank {
    /// The cap was used up by thinking.
    Thought,
    /// Nothing was generated: the host counts no tokens, or says nothing of any.
    Nothing,
    /// A filter withheld it.
    Filtered,
    /// The model ended it by itself, behind a thought or at once.
    Ended,
}

impl Blank {
    /// The kind of an answer without content and call.
    pub(super) fn of(answer: &Answer<'_>) -> Self {
        let reason = answer.sample.finish_reason.as_deref().unwrap_or_default();
        if is_filtered(reason) {
            return Self::Filtered;
        }
        let thinks = answer.thought.is_some() || answer.reasoning_tokens().is_some_and(|n| n > 0);
        let generated = answer.completion_tokens().map_or(thinks, |n| n > 0);
        let full = answer.cap().zip(answer.completion_tokens()).is_some_and(|(cap, n)| is_used_up(cap, n));
        match Ended::of(answer) {
            // With nothing to see, a cap is reached by what is not shown.
            Ended::AtCap => Self::Thought,
            _ if full => Self::Thought,
            _ if generated => Self::Ended,
            _ => Self::Nothing,
        }
    }

    /// In words, after a number of answers.
    pub fn words(self) -> &'static str {
        match self {
            Self::Thought => "used up their cap by thinking",
            Self::Nothing => "hold nothing that was generated",
            Self::Filtered => "were withheld by a filter",
            Self::Ended => "ended without content",
        }
    }
}

/// Whether so many tokens use a cap up. Hosts leave out of their count what opens or ends an answer.
fn is_used_up(cap: u64, tokens: u64) -> bool {
    let near = cap >= LARGE && tokens.saturating_add(AT_ITS_END) >= cap;
    tokens >= cap || near
}

/// A cap that no thought of a few words comes near by itself.
const LARGE: u64 = 16;

/// Blanks by kind.
pub type Blanks = BTreeMap<Blank, usize>;

/// Counts the blanks among answers.
pub fn blanks<'a>(answers: impl IntoIterator<Item = &'a Answer<'a>>) -> Blanks {
    let mut out = Blanks::new();
    for blank in answers.into_iter().filter_map(Answer::blank) {
        *out.entry(blank).or_default() += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, SampleParameters, Usage};
    use crate::signal::answers::Answers;

    fn blank(change: impl Fn(&mut Sample)) -> Option<Blank> {
        let mut sample = Sample::new("e", "p", "");
        sample.parameters = Some(SampleParameters { max_tokens: Some(64), ..SampleParameters::default() });
        change(&mut sample);
        Answers::new([&sample]).all().next().and_then(Answer::blank)
    }

    fn tokens(n: u64) -> Usage {
        Usage { completion_tokens: Some(n), ..Usage::default() }
    }

    #[test]
    fn a_blank_has_the_kind_that_its_end_and_its_tokens_show() {
        let ended = |reason: &str, n: u64| {
            blank(|s| {
                (s.finish_reason, s.usage, s.reasoning) = (Some(reason.into()), Some(tokens(n)), Some("hm".into()));
            })
        };
        assert_eq!(ended("length", 64), Some(Blank::Thought));
        assert_eq!(ended("stop", 64), Some(Blank::Thought), "the host says the wrong word");
        assert_eq!(ended("stop", 63), Some(Blank::Thought), "a count without what ends it");
        assert_eq!(ended("stop", 61), Some(Blank::Ended));
        assert_eq!(ended("stop", 12), Some(Blank::Ended));
        assert_eq!(ended("content_filter", 12), Some(Blank::Filtered));
        assert_eq!(ended("SAFETY", 0), Some(Blank::Filtered));
        assert_eq!(blank(|s| s.finish_reason = Some("stop".into())), Some(Blank::Nothing));
        assert_eq!(blank(|s| s.usage = Some(tokens(0))), Some(Blank::Nothing));
        assert_eq!(blank(|s| s.usage = Some(tokens(1))), Some(Blank::Ended));
        let under_a_small_cap = blank(|s| {
            s.parameters = Some(SampleParameters { max_tokens: Some(3), ..SampleParameters::default() });
            s.usage = Some(tokens(1));
        });
        assert_eq!(under_a_small_cap, Some(Blank::Ended));
    }

    #[test]
    fn a_thought_in_the_text_is_no_content_and_a_call_is() {
        assert_eq!(
            blank(|s| (s.text, s.finish_reason) = ("<think>hm".into(), Some("length".into()))),
            Some(Blank::Thought)
        );
        assert_eq!(blank(|s| s.text = "yes".into()), None);
        let call = crate::sample::ToolCall { name: "f".into(), arguments: "{}".into() };
        assert_eq!(blank(|s| s.tool_calls = vec![call.clone()]), None);
    }
}
