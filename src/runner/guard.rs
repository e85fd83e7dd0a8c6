//! The guard: stops a run early whose caps leave a thinking model no room to answer, before it has cost more than cents.

use crate::attempt::{Asked, Attempt};
use crate::signal::answers::Answer;
use crate::signal::blank::Blank;

/// Answers that are looked at.
const LOOKED_AT: usize = 20;

/// From so many of them on that ended in thought, asking on is waste: a fifth is four times what the default tolerance leaves room
/// for.
const TOO_MANY: usize = 4;

/// The fewest tokens that are advised for thinking.
const FEWEST_ADVISED: u64 = 512;

/// What the first answers of a run show of thoughts and caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thoughts {
    /// Answers looked at.
    pub answers: usize,
    /// Those that used up their cap by thinking.
    pub away: usize,
    /// The largest cap used up so, in tokens.
    pub cap: u64,
    /// The longest thought behind which an answer came, in tokens.
    pub longest: Option<u64>,
}

impl Thoughts {
    /// Looks at one more answer; whether the run should stop for what has been seen.
    pub fn see(&mut self, attempt: &Attempt, asked: &Asked) -> bool {
        if self.answers >= LOOKED_AT {
            return false;
        }
        let Some(sample) = attempt.sample(asked) else { return false };
        let answer = Answer::new(&sample);
        self.answers += 1;
        if answer.blank() == Some(Blank::Thought) {
            self.away += 1;
            self.cap = self.cap.max(answer.cap().unwrap_or(0));
        } else if answer.thought.is_some() || answer.reasoning_tokens().is_some() {
            let characters = answer.thought.map_or(0, |thought| thought.chars().count() as u64);
            self.longest = self.longest.max(Some(answer.reasoning_tokens().unwrap_or(characters / 4)));
        }
        self.answers == LOOKED_AT && self.away >= TOO_MANY
    }

    /// An allowance with which answers would probably come, in tokens: four times what was too little, or twice what was enough.
    pub fn advised(&self) -> u64 {
        (4 * self.cap).max(2 * self.longest.unwrap_or(0)).max(FEWEST_ADVISED).next_power_of_two()
    }
}

impl std::fmt::Display for Thoughts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, away, cap, longest } = self;
        write!(f, "{away} of the first {answers} answers used up their cap of {cap} tokens by thinking (")?;
        match longest {
            Some(longest) => write!(f, "the longest thought before an answer took {longest} tokens")?,
            None => f.write_str("no thought came to its end")?,
        }
        write!(f, "): set `reasoning = {{ allowance = {} }}` in the model's table", self.advised())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::attempt::{self, Outcome, Slot};
    use crate::sample::{SampleParameters, Usage};

    fn asked() -> Asked {
        let parameters = SampleParameters { max_tokens: Some(64), ..SampleParameters::default() };
        Asked { model: "m".into(), probe_digest: "d".into(), parameters }
    }

    fn attempt(text: &str, thought: usize) -> Attempt {
        let usage = Usage { completion_tokens: Some(64), reasoning_tokens: Some(thought as u64), prompt_tokens: None };
        let answer = attempt::Answer {
            text: text.into(),
            reasoning: Some("hm ".repeat(thought)),
            finish_reason: Some(if text.is_empty() { "length" } else { "stop" }.into()),
            usage: Some(usage),
            ..attempt::Answer::default()
        };
        Attempt {
            slot: Slot { endpoint: "e".into(), probe: "p".into(), replicate: 0 },
            number: 1,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            elapsed: Duration::from_secs(1),
            status: Some(200),
            headers: BTreeMap::new(),
            raw: String::new(),
            outcome: Outcome::Answered(Box::new(answer)),
            cost: None,
        }
    }

    fn seen(away: usize) -> (Thoughts, bool) {
        let mut thoughts = Thoughts::default();
        let answers = (0..30).map(|i| if i < away { attempt("", 64) } else { attempt("Yes.", 30) });
        let stops: Vec<bool> = answers.map(|attempt| thoughts.see(&attempt, &asked())).collect();
        (thoughts, stops.contains(&true))
    }

    #[test]
    fn a_run_stops_where_a_fifth_of_its_first_answers_ended_in_thought() {
        assert!(!seen(0).1 && !seen(3).1);
        assert!(seen(4).1 && seen(20).1);
    }

    #[test]
    fn it_says_what_to_set_with_the_length_that_was_measured() {
        insta::assert_snapshot!(seen(4).0, @"4 of the first 20 answers used up their cap of 64 tokens by thinking (the longest thought before an answer took 30 tokens): set `reasoning = { allowance = 512 }` in the model's table");
        insta::assert_snapshot!(seen(20).0, @"20 of the first 20 answers used up their cap of 64 tokens by thinking (no thought came to its end): set `reasoning = { allowance = 512 }` in the model's table");
        let long = Thoughts { answers: 20, away: 8, cap: 2112, longest: Some(2000) };
        assert_eq!(long.advised(), 16384);
    }
}
