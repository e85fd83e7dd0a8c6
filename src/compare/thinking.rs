//! Thinking: what both sides show of it, how long it takes, and what is missing where it left no answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::Disclosure;
use crate::plural::count;
use crate::signal::answers::{Answer, Answers};
use crate::signal::blank::{Blank, blanks};
use crate::stats::exact::Share;

/// Both sides' thinking and what their answers leave out, over the answers that are compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Thinking {
    /// Whether thoughts can be compared.
    pub disclosure: Disclosure,
    /// The endpoint's.
    pub endpoint: Side,
    /// The reference's.
    pub reference: Side,
}

/// One side's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Answers that are compared, blank ones among them.
    pub answers: usize,
    /// Those with a thought.
    pub with_thought: usize,
    /// The median of tokens of thinking, over the answers with such a count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Blank answers by kind.
    pub blanks: BTreeMap<Blank, usize>,
    /// The largest cap that an answer used up by thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<u64>,
    /// Planned requests that stayed without an answer.
    #[serde(default)]
    pub unanswered: usize,
}

impl Side {
    fn of(answers: &Answers<'_>) -> Self {
        let mut tokens: Vec<u64> = answers.compared().filter_map(Answer::reasoning_tokens).collect();
        tokens.sort_unstable();
        let thought_away = answers.compared().filter(|a| a.blank() == Some(Blank::Thought));
        Self {
            answers: answers.compared().count(),
            with_thought: answers.compared().filter(|a| a.thought.is_some()).count(),
            tokens: tokens.get(tokens.len() / 2).copied(),
            blanks: blanks(answers.compared()),
            cap: thought_away.filter_map(Answer::cap).max(),
            unanswered: 0,
        }
    }

    /// Blank answers and requests without any, out of all that were to be compared.
    pub fn missing(&self) -> Share {
        let blank: usize = self.blanks.values().sum();
        Share { showing: blank + self.unanswered, all: self.answers + self.unanswered }
    }

    /// What is missing, with what to do about it; `None` where nothing is.
    fn words(&self) -> Option<String> {
        let (kind, n) = self.blanks.iter().max_by_key(|(_, n)| **n).map_or((None, 0), |(kind, n)| (Some(*kind), *n));
        match kind {
            _ if self.missing().showing == 0 => None,
            Some(Blank::Thought) if n >= self.unanswered => Some(self.advice()),
            Some(kind) if n >= self.unanswered => {
                Some(format!("{n} of {} {}", count(self.answers, "answer"), kind.words()))
            }
            _ => {
                let all = count(self.missing().all, "request");
                let have = if self.unanswered == 1 { "has" } else { "have" };
                Some(format!("{} of {all} {have} no answer", self.unanswered))
            }
        }
    }

    /// How many answers used up their cap by thinking, and what to set.
    fn advice(&self) -> String {
        let cap = self
            .cap
            .map_or_else(|| "their cap".to_owned(), |cap| format!("their cap of {}", count(cap as usize, "token")));
        let n = self.blanks.get(&Blank::Thought).copied().unwrap_or(0);
        format!("{n} of {} used up {cap} by thinking: set `reasoning.allowance`", count(self.answers, "answer"))
    }
}

impl Thinking {
    /// Of the answers that are compared.
    pub fn new(reference: &Answers<'_>, endpoint: &Answers<'_>, disclosure: Disclosure) -> Self {
        Self { disclosure, endpoint: Side::of(endpoint), reference: Side::of(reference) }
    }

    /// The share of answers of which nothing can be said, of the side that misses more: between 0 and 1.
    pub fn missing(&self) -> f64 {
        self.endpoint.missing().value().max(self.reference.missing().value())
    }

    /// What is missing of the side that misses more, in words; `None` where nothing is.
    pub fn what_is_missing(&self) -> Option<String> {
        if self.reference.missing().value() > self.endpoint.missing().value() {
            self.reference.words().map(|words| format!("of the reference, {words}"))
        } else {
            self.endpoint.words()
        }
    }

    /// The blank answers of the side that has more of them, in words; `None` where there are none.
    pub fn blanks_in_words(&self) -> Option<String> {
        let answered = |side: &Side| Side { unanswered: 0, ..side.clone() };
        let Self { disclosure, endpoint, reference } = self;
        let blanks = Self { disclosure: *disclosure, endpoint: answered(endpoint), reference: answered(reference) };
        blanks.what_is_missing()
    }

    /// What is hidden, in words; `None` where nothing is.
    pub fn what_is_hidden(&self) -> Option<&'static str> {
        match self.disclosure {
            Disclosure::NoThoughts | Disclosure::Both => None,
            Disclosure::HiddenByEndpoint => Some("it hides its thoughts, so content alone is compared"),
            Disclosure::HiddenByReference => Some("the reference hides its thoughts, so content alone is compared"),
            Disclosure::HiddenByBoth => Some("both hide their thoughts, so content alone is compared"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, SampleParameters, Usage};

    fn samples(thought_away: u32, answered: u32) -> Vec<Sample> {
        let parameters = Some(SampleParameters { max_tokens: Some(64), ..SampleParameters::default() });
        let usage = Some(Usage { completion_tokens: Some(64), reasoning_tokens: Some(64), prompt_tokens: None });
        let blank = |replicate| Sample {
            replicate,
            finish_reason: Some("length".into()),
            usage,
            parameters: parameters.clone(),
            ..Sample::new("e", "p", "")
        };
        let answer = |n| Sample { replicate: thought_away + n, ..Sample::new("e", "p", format!("yes {n}")) };
        (0..thought_away).map(blank).chain((0..answered).map(answer)).collect()
    }

    #[test]
    fn what_a_cap_took_is_missing_and_said_with_what_to_set() {
        let (ours, theirs) = (samples(0, 8), samples(3, 5));
        let found = Thinking::new(&Answers::new(&ours), &Answers::new(&theirs), Disclosure::NoThoughts);
        assert!((found.missing() - 0.375).abs() < 1e-12);
        let said = "3 of 8 answers used up their cap of 64 tokens by thinking: set `reasoning.allowance`";
        assert_eq!(found.what_is_missing().as_deref(), Some(said));
        let turned = Thinking { endpoint: found.reference, reference: found.endpoint, ..found };
        assert_eq!(turned.what_is_missing(), Some(format!("of the reference, {said}")));
    }

    #[test]
    fn requests_without_an_answer_are_missing_too() {
        let ours = samples(0, 8);
        let mut found = Thinking::new(&Answers::new(&ours), &Answers::new(&ours), Disclosure::NoThoughts);
        assert_eq!((found.missing().to_bits(), found.what_is_missing()), (0.0_f64.to_bits(), None));
        found.endpoint.unanswered = 2;
        assert_eq!(found.what_is_missing().as_deref(), Some("2 of 10 requests have no answer"));
    }
}
