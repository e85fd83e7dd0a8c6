//! The token oracle: prompt tokens as each host counts them.
//!
//! The prompt is the same, so with the same model, template and system message the count is the same. One token more on
//! every probe is no noise: it may be a second BOS. Which rule differences follow is for `diagnose` to say.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Answer, Answers};
use super::departures::{departs, others};
use super::repeats::LONG_ENOUGH;
use crate::sample::{Asking, Traits};
use crate::stats::exact::Share;
use crate::stats::survival::{Observation, first_divergence};

/// Prompt tokens of all probes for which the reference has one count.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PromptTokens<'a> {
    /// The probes for which the endpoint has counts too.
    pub probes: Vec<ProbeTokens<'a>>,
    /// Answers of the endpoint without a count, out of those that were to bring one.
    pub silent: Share,
    /// Those of them whose own tokens are counted all the same.
    pub of_prompt_alone: usize,
}

/// Prompt tokens of one probe.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeTokens<'a> {
    /// The probe's id.
    pub probe: &'a str,
    /// The reference's count, the same in all its answers.
    pub reference: i64,
    /// The endpoint's counts, one an answer.
    pub seen: Vec<i64>,
    /// Whether these answers are the reference's, in the same order.
    pub texts: Vec<Text>,
    /// When each of them leaves the nearest of the reference's; nothing is at risk where nothing follows from that.
    pub leaves: Vec<Observation>,
    /// Of the reference's own answers, those that it gave once only, where that can be told.
    pub own: Share,
    /// What the probe has in it, where that is known.
    pub traits: Option<&'a Traits>,
}

/// A greedy answer beside the reference's to the same probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// The reference gave it too, and it is too long to be equal by chance.
    Same,
    /// The reference did not give it.
    Other,
    /// Nothing follows: it was drawn, or is too short.
    Untold,
}

impl Text {
    fn of<'r, 'a: 'r>(answer: &Answer<'_>, others: impl Iterator<Item = &'r Answer<'a>>, asking: Asking) -> Self {
        if !is_telling(answer, asking) {
            return Self::Untold;
        }
        if departs(answer, others) {
            return Self::Other;
        }
        if answer.text.chars().count() >= LONG_ENOUGH { Self::Same } else { Self::Untold }
    }
}

/// Whether anything follows from an answer's being the reference's.
fn is_telling(answer: &Answer<'_>, asking: Asking) -> bool {
    asking == Asking::Greedy && !answer.text.trim().is_empty()
}

/// When an answer leaves the one of the reference's that it follows longest, by all that both generated as far as both show it.
fn leaves(answer: &Answer<'_>, reference: &[Answer<'_>], asking: Asking) -> Observation {
    let beside = |r: &Answer<'_>| match (answer.thought, r.thought) {
        (Some(_), Some(_)) => first_divergence(answer.generated(), r.generated()),
        _ => first_divergence(&answer.text, &r.text),
    };
    let all = reference.iter().filter(|_| is_telling(answer, asking)).map(beside);
    all.max_by_key(|o| (!o.event, o.time)).unwrap_or(Observation { time: 0, event: false })
}

/// Of the reference's greedy answers to one probe, those that are none of its others.
fn own(answers: &[Answer<'_>], asking: Asking) -> Share {
    let mut share = Share::default();
    for (i, answer) in answers.iter().enumerate().filter(|_| asking == Asking::Greedy && answers.len() > 1) {
        match Text::of(answer, others(answers, i), asking) {
            Text::Untold => {}
            text => share.count((text == Text::Other).into()),
        }
    }
    share
}

impl ProbeTokens<'_> {
    /// The endpoint's counts, each with what its answer is.
    pub fn answers(&self) -> impl Iterator<Item = (i64, Text)> {
        self.seen.iter().copied().zip(self.texts.iter().copied())
    }

    /// When the answers with other counts than the reference's leave it.
    pub fn leaving(&self) -> impl Iterator<Item = Observation> {
        let other = self.seen.iter().zip(&self.leaves).filter(|(seen, _)| **seen != self.reference);
        other.map(|(_, leaves)| *leaves)
    }

    /// By how much each count differs from the reference's, where it does.
    pub fn differences(&self) -> impl Iterator<Item = i64> {
        self.seen.iter().map(|seen| seen.saturating_sub(self.reference)).filter(|difference| *difference != 0)
    }

    /// Whether any count differs.
    pub fn differs(&self) -> bool {
        self.differences().next().is_some()
    }

    /// Whether the endpoint counts one prompt in several ways.
    pub fn wavers(&self) -> bool {
        self.seen.iter().collect::<BTreeSet<_>>().len() > 1
    }
}

impl<'a> PromptTokens<'a> {
    /// Compares all probes, those that are no part of the statistical comparison among them.
    pub fn compare(reference: &'a Answers<'_>, endpoint: &'a Answers<'_>) -> Self {
        let mut out = Self::default();
        for (asking, probe, answers) in reference.everything() {
            let Some(expected) = one_count(answers) else { continue };
            let theirs = endpoint.of(asking, probe);
            for answer in theirs.iter().filter(|a| brings_counts(a)) {
                let is_silent = count(answer).is_none();
                let is_counted = answer.completion_tokens().is_some_and(|tokens| tokens > 0);
                out.silent.count(is_silent.into());
                out.of_prompt_alone += usize::from(is_silent && is_counted);
            }
            let counted: Vec<&Answer<'_>> = theirs.iter().filter(|a| count(a).is_some()).collect();
            if !counted.is_empty() {
                out.probes.push(ProbeTokens {
                    probe,
                    reference: expected,
                    seen: counted.iter().filter_map(|a| count(a)).collect(),
                    texts: counted.iter().map(|a| Text::of(a, answers.iter(), asking)).collect(),
                    leaves: counted.iter().map(|a| leaves(a, answers, asking)).collect(),
                    own: own(answers, asking),
                    traits: reference.traits(probe).or(endpoint.traits(probe)),
                });
            }
        }
        out
    }

    /// Takes a known way of counting out of the endpoint's counts.
    pub fn allow(&mut self, offset: i64) {
        for seen in self.probes.iter_mut().flat_map(|probe| &mut probe.seen) {
            *seen = seen.saturating_sub(offset);
        }
    }

    /// Probes with a count that differs.
    pub fn differing(&self) -> impl Iterator<Item = &ProbeTokens<'a>> {
        self.probes.iter().filter(|probe| probe.differs())
    }

    /// The commonest pair of counts that differ, as an example: reference, endpoint.
    pub fn example(&self) -> Option<(i64, i64)> {
        let mut pairs: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for probe in &self.probes {
            for &seen in probe.seen.iter().filter(|seen| **seen != probe.reference) {
                *pairs.entry((probe.reference, seen)).or_default() += 1;
            }
        }
        pairs.into_iter().max_by_key(|&(_, n)| n).map(|(pair, _)| pair)
    }
}

/// Bytes of words that a token has at least, over many answers. Tokenizers of large models make three to five of a token.
const OF_WORDS_PER_TOKEN: f64 = 1.5;

/// The most tokens that a text may be, over many answers. Letters are joined, with the white space before them; digits and signs may be
/// a token each, and what few texts have a token for each of its bytes.
pub fn most_tokens(text: &str) -> f64 {
    let is_letter = |c: &char| c.is_alphabetic();
    let mut rest = text.chars().peekable();
    let mut most = 0.0;
    while let Some(c) = rest.next() {
        let is_of_a_word = is_letter(&c) || c.is_whitespace() && rest.peek().is_some_and(is_letter);
        most += c.len_utf8() as f64 / if is_of_a_word { OF_WORDS_PER_TOKEN } else { 1.0 };
    }
    most
}

/// Fewest answers that show that something is not shown.
const FEWEST_COUNTED: usize = 3;

/// Whether a side counts more tokens than what it shows can have, thoughts that it discloses among that: it thinks unseen. Characters
/// that are counted as tokens look the same, and tell as little of what was generated.
pub fn hides_thoughts(answers: &Answers<'_>) -> bool {
    let (mut most, mut tokens, mut counted) = (0.0, 0, 0);
    for answer in answers.compared() {
        if let Some(n) = answer.completion_tokens() {
            most += most_tokens(answer.generated());
            tokens += n.saturating_sub(AROUND_IT);
            counted += 1;
        }
    }
    counted >= FEWEST_COUNTED && tokens as f64 > most
}

/// Tokens of a chat format around an answer, such as those that open and close its channel: of a very short answer they are the most,
/// and hosts count them or do not. No thought is so short.
const AROUND_IT: u64 = 8;

/// Tokens at the end of an answer that have no text, which hosts count or do not.
pub const AT_ITS_END: u64 = 2;

/// The prompt's tokens as the host counts them. No prompt has none: a zero stands for a count that was not made.
fn count(answer: &Answer<'_>) -> Option<i64> {
    let tokens = answer.sample.usage?.prompt_tokens.filter(|tokens| *tokens > 0)?;
    // No host has 2^63 tokens to tell of: such a number is held at the largest there is.
    Some(tokens.try_into().unwrap_or(i64::MAX))
}

/// The count that all answers of the reference have in common.
fn one_count(answers: &[Answer<'_>]) -> Option<i64> {
    let counts: BTreeSet<i64> = answers.iter().filter_map(count).collect();
    if counts.len() == 1 { counts.first().copied() } else { None }
}

/// Whether token counts were to come: with a whole answer they always do, with a stream where they were asked for.
fn brings_counts(answer: &Answer<'_>) -> bool {
    let Some(parameters) = &answer.sample.parameters else { return false };
    parameters.stream == Some(false) || parameters.stream_usage == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, SampleParameters, Usage};

    fn sample(probe: &str, replicate: u32, tokens: Option<u64>) -> Sample {
        let usage = tokens.map(|n| Usage { prompt_tokens: Some(n), ..Usage::default() });
        let parameters = SampleParameters { stream: Some(false), ..SampleParameters::default() };
        Sample { replicate, usage, parameters: Some(parameters), ..Sample::new("e", probe, "x") }
    }

    #[test]
    fn counts_are_held_against_the_one_that_the_reference_has() {
        let ours = [sample("p", 0, Some(9)), sample("p", 1, Some(9)), sample("q", 0, Some(5)), sample("q", 1, Some(6))];
        let theirs = [sample("p", 0, Some(9)), sample("p", 1, Some(11)), sample("q", 0, Some(7))];
        let (ours, theirs) = (Answers::new(&ours), Answers::new(&theirs));
        let mut tokens = PromptTokens::compare(&ours, &theirs);
        assert_eq!(tokens.probes.len(), 1, "a reference that wavers is no measure");
        assert_eq!(tokens.probes[0].differences().collect::<Vec<_>>(), [2]);
        assert!(tokens.probes[0].wavers());
        assert_eq!(tokens.example(), Some((9, 11)));
        tokens.allow(2);
        assert_eq!(tokens.probes[0].differences().collect::<Vec<_>>(), [-2]);
    }

    /// Whether a side that counts so many tokens for each of three such answers hides its thoughts.
    fn hides(text: &str, tokens: u64) -> bool {
        let usage = Some(Usage { completion_tokens: Some(tokens), ..Usage::default() });
        let samples: Vec<Sample> =
            (0..3).map(|replicate| Sample { usage, text: text.into(), ..sample("p", replicate, None) }).collect();
        hides_thoughts(&Answers::new(&samples))
    }

    #[test]
    fn who_counts_far_more_tokens_than_it_shows_hides_its_thoughts() {
        let words = "twenty words of text ".repeat(5);
        assert!(hides(&words, 320) && hides(&words, 90) && !hides(&words, 26) && !hides("Yes.", 2));
    }

    #[test]
    fn digits_and_signs_may_be_a_token_each_and_short_answers_have_tokens_around_them() {
        let digits = "1234567890 ".repeat(6);
        for tokens in [26, 61, 67] {
            assert!(!hides(&digits, tokens), "{tokens}");
        }
        assert!(hides(&digits, 160));
        assert!(!hides("7", 2) && !hides("7", 7) && !hides("{}", 9), "what opens and closes an answer");
        assert!(hides("7", 60));
    }

    #[test]
    fn a_prompt_of_no_tokens_was_not_counted() {
        let ours = [sample("p", 0, Some(9))];
        let theirs = [sample("p", 0, Some(0)), sample("p", 1, Some(9))];
        let (ours, theirs) = (Answers::new(&ours), Answers::new(&theirs));
        let tokens = PromptTokens::compare(&ours, &theirs);
        assert_eq!((tokens.probes[0].seen.as_slice(), tokens.silent), ([9].as_slice(), Share { showing: 1, all: 2 }));
        assert_eq!(tokens.of_prompt_alone, 0);
        let usage = Some(Usage { prompt_tokens: Some(0), completion_tokens: Some(3), ..Usage::default() });
        let theirs = [Sample { usage, ..sample("p", 0, None) }, sample("p", 1, None)];
        let theirs = Answers::new(&theirs);
        let tokens = PromptTokens::compare(&ours, &theirs);
        assert_eq!((tokens.silent, tokens.of_prompt_alone), (Share { showing: 2, all: 2 }, 1));
    }

    #[test]
    fn long_greedy_answers_are_known_as_the_references() {
        let greedy = |replicate: u32, text: &str| {
            let parameters = SampleParameters { temperature: Some(0.0), ..SampleParameters::default() };
            Sample { text: text.into(), parameters: Some(parameters), ..sample("p", replicate, Some(9)) }
        };
        let long = "x".repeat(LONG_ENOUGH);
        let ours = [greedy(0, &long), greedy(1, "yes")];
        let theirs = [greedy(0, &long), greedy(1, "yes"), greedy(2, "zzz")];
        let (ours, theirs) = (Answers::new(&ours), Answers::new(&theirs));
        let tokens = PromptTokens::compare(&ours, &theirs);
        assert_eq!(tokens.probes[0].texts, [Text::Same, Text::Untold, Text::Other]);
        let leaves: Vec<(u32, bool)> = tokens.probes[0].leaves.iter().map(|o| (o.time, o.event)).collect();
        assert_eq!(leaves, [(LONG_ENOUGH as u32, false), (3, false), (1, true)]);
        assert_eq!(tokens.probes[0].own, Share { showing: 2, all: 2 }, "each was given once");
    }

    #[test]
    fn answers_that_were_to_bring_a_count_and_do_not_are_counted() {
        let ours = [sample("p", 0, Some(9))];
        let theirs = [sample("p", 0, None), sample("p", 1, Some(9))];
        let tokens = PromptTokens::compare(&Answers::new(&ours), &Answers::new(&theirs)).silent;
        assert_eq!(tokens, Share { showing: 1, all: 2 });
    }
}
