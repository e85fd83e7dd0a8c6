//! Samples grouped for comparison: by endpoint, kind of asking and probe.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::blank::Blank;
use super::marks::before_end_tokens;
use super::rewriting::folded;
use super::thought::{Parts, split};
use crate::sample::{Asking, Purpose, Sample, Traits};

/// The answers of one endpoint; samples with an error are left out, since they are no answers.
#[derive(Debug, Clone, Default)]
pub struct Answers<'a> {
    probes: BTreeMap<Asking, BTreeMap<&'a str, OfProbe<'a>>>,
    traits: BTreeMap<&'a str, &'a Traits>,
    set_aside: BTreeSet<&'a str>,
}

/// The answers to one probe, those with content first and in order of their text, the blank ones behind them.
#[derive(Debug, Clone, Default)]
struct OfProbe<'a> {
    all: Vec<Answer<'a>>,
    visible: usize,
}

/// One answer with the texts that are compared.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The sample it comes from.
    pub sample: &'a Sample,
    /// What was thought before it, where the host discloses that.
    pub thought: Option<&'a str>,
    /// Its content without thoughts, and without white space at its ends and special tokens behind it, and its tool calls, see
    /// [`Sample::with_calls`]; without what transport may have made of it, see [`folded`].
    pub text: Cow<'a, str>,
    /// Its content alone, without the calls and as its host spells it.
    pub content: &'a str,
    /// The special tokens that the host left at the content's end; empty where it left none.
    pub left: &'a str,
    /// Both as one text, where there are both.
    whole: Option<String>,
}

/// What some hosts begin a text with.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What stands between a thought and the content where both are taken as one text.
const BETWEEN: &str = "\n\n";

impl<'a> Answer<'a> {
    /// Takes a sample's texts apart.
    pub fn new(sample: &'a Sample) -> Self {
        let Parts { thought, content } = split(&sample.text, thought_marks(sample));
        let told = sample.reasoning.as_deref().map(str::trim).filter(|told| !told.is_empty());
        // Hosts leave the blank lines behind a thought in the content, the space of a first token and a last line feed, or do not.
        let trimmed = content.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK);
        // A token that ends an answer is no part of what is said; that it was left in is told as such.
        let content = before_end_tokens(trimmed);
        let left = trimmed[content.len()..].trim_start();
        // What was only written otherwise on its way is the same text; that it was is told as such.
        let (thought, text) = (told.or(thought), folded(sample.with_calls(content)));
        let joined = |thought| [&folded(Cow::Borrowed(thought)), BETWEEN, &text].concat();
        let whole = thought.filter(|_| !text.is_empty()).map(joined);
        Self { sample, thought, text, content, left, whole }
    }

    /// All that was generated, in its order: the thought, then the content and the calls.
    pub fn generated(&self) -> &str {
        match (&self.whole, self.thought) {
            (Some(whole), _) => whole,
            (None, Some(thought)) => thought,
            (None, None) => &self.text,
        }
    }

    /// Why nothing is answered; `None` where there is content or a call.
    pub fn blank(&self) -> Option<Blank> {
        self.text.trim().is_empty().then(|| Blank::of(self))
    }

    /// Tokens of thinking, where the host counts them apart.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.sample.usage?.reasoning_tokens
    }

    /// What its host is known to put around a thought within the content.
    pub fn thought_marks(&self) -> &'a [[String; 2]] {
        thought_marks(self.sample)
    }

    fn probe(&self) -> &'a str {
        &self.sample.probe
    }

    fn traits(&self) -> Option<&'a Traits> {
        self.sample.parameters.as_ref()?.traits.as_ref()
    }

    /// The seed with which it was asked for.
    pub fn seed(&self) -> Option<u64> {
        self.sample.parameters.as_ref()?.seed
    }

    /// Tokens of the answer, as the host counts.
    pub fn completion_tokens(&self) -> Option<u64> {
        self.sample.usage?.completion_tokens
    }

    /// The cap with which it was asked for.
    pub fn cap(&self) -> Option<u64> {
        self.sample.parameters.as_ref()?.max_tokens.map(u64::from)
    }

    /// Whether it is known that no cap was sent: what was sent is only known in full where a probe's traits are.
    pub fn is_uncapped(&self) -> bool {
        self.sample.parameters.as_ref().is_some_and(|p| p.max_tokens.is_none() && p.traits.is_some())
    }
}

fn thought_marks(sample: &Sample) -> &[[String; 2]] {
    sample.parameters.as_ref().map_or(&[], |p| &p.thought_marks)
}

fn is_no_comparison(answers: &[Answer<'_>]) -> bool {
    let mut seeds = BTreeSet::new();
    answers.iter().any(|a| a.traits().is_some_and(|t| t.purpose != Purpose::Comparison))
        || answers.iter().filter_map(Answer::seed).any(|seed| !seeds.insert(seed))
}

impl<'a> Answers<'a> {
    /// Groups the answers among these samples, whatever their endpoint; within a probe in order of text, so
    /// that it does not matter which of several equal requests was answered first.
    pub fn new(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut probes: BTreeMap<_, BTreeMap<_, OfProbe<'a>>> = BTreeMap::new();
        for sample in samples.into_iter().filter(|s| s.is_answer()) {
            let of_probe: &mut OfProbe<'a> =
                probes.entry(sample.asking()).or_default().entry(sample.probe.as_str()).or_default();
            of_probe.all.push(Answer::new(sample));
        }
        probes.values_mut().flat_map(BTreeMap::values_mut).for_each(|of_probe| {
            fn place<'k>(a: &'k Answer<'_>) -> (bool, &'k str, Option<&'k str>, u32) {
                (a.blank().is_some(), &a.text, a.thought, a.sample.replicate)
            }
            of_probe.all.sort_by(|a, b| place(a).cmp(&place(b)));
            of_probe.visible = of_probe.all.iter().take_while(|a| a.blank().is_none()).count();
        });
        let mut out = Self { probes, ..Self::default() };
        out.traits = out.all().filter_map(|a| Some((a.probe(), a.traits()?))).collect();
        out.set_aside = out.everything().filter(|(_, _, answers)| is_no_comparison(answers)).map(|all| all.1).collect();
        out
    }

    /// The probes to compare that were asked in this way, in order of their ids, with the answers that are not blank; probes
    /// without any are left out.
    pub fn probes(&self, asking: Asking) -> impl Iterator<Item = (&'a str, &[Answer<'a>])> {
        self.with_blanks(asking)
            .map(move |(probe, _)| (probe, self.of(asking, probe)))
            .filter(|(_, visible)| !visible.is_empty())
    }

    /// The probes to compare that were asked in this way, in order of their ids, with all their answers.
    pub fn with_blanks(&self, asking: Asking) -> impl Iterator<Item = (&'a str, &[Answer<'a>])> {
        let of_this = self.probes.get(&asking).into_iter().flatten();
        of_this.filter(|(probe, _)| !self.is_set_aside(probe)).map(|(probe, answers)| (*probe, answers.all.as_slice()))
    }

    /// All probes, those set aside among them, with how they were asked and their answers, blank ones too.
    pub fn everything(&self) -> impl Iterator<Item = (Asking, &'a str, &[Answer<'a>])> {
        self.probes
            .iter()
            .flat_map(|(asking, probes)| probes.iter().map(|(probe, answers)| (*asking, *probe, &*answers.all)))
    }

    /// Whether a probe's answers take no part in the statistical comparison: those of canaries, those that size what others show,
    /// and those that one seed brought several times, which are no independent draws.
    pub fn is_set_aside(&self, probe: &str) -> bool {
        self.set_aside.contains(probe)
    }

    /// What a probe has in it, where its answers say so.
    pub fn traits(&self, probe: &str) -> Option<&'a Traits> {
        self.traits.get(probe).copied()
    }

    fn of_probe(&self, asking: Asking, probe: &str) -> Option<&OfProbe<'a>> {
        self.probes.get(&asking)?.get(probe)
    }

    /// The answers to one probe that are not blank; empty when there are none.
    pub fn of(&self, asking: Asking, probe: &str) -> &[Answer<'a>] {
        self.of_probe(asking, probe).map_or(&[], |of| &of.all[..of.visible])
    }

    /// All answers to one probe; empty when there are none.
    pub fn all_of(&self, asking: Asking, probe: &str) -> &[Answer<'a>] {
        self.of_probe(asking, probe).map_or(&[], |of| &of.all)
    }

    /// The answers that take part in the statistical comparison, blank ones among them.
    pub fn compared(&self) -> impl Iterator<Item = &Answer<'a>> {
        [Asking::Greedy, Asking::Sampled].into_iter().flat_map(|asking| self.with_blanks(asking)).flat_map(|of| of.1)
    }

    /// All answers.
    pub fn all(&self) -> impl Iterator<Item = &Answer<'a>> {
        self.probes.values().flat_map(BTreeMap::values).flat_map(|of| &of.all)
    }

    /// The number of answers.
    pub fn count(&self) -> usize {
        self.all().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleParameters;

    fn sample(replicate: u32, text: &str) -> Sample {
        let line = format!(r#"{{"endpoint":"e","probe":"p","replicate":{replicate},"text":"{text}"}}"#);
        crate::sample::file::read_samples(line.as_bytes(), "here").unwrap().remove(0)
    }

    #[test]
    fn canaries_and_repeated_seeds_are_set_aside_from_the_comparison_and_from_nothing_else() {
        let asked = |probe: &str, replicate: u32, seed: Option<u64>, purpose| {
            let traits = Some(Traits { purpose, ..Traits::default() });
            let parameters = Some(SampleParameters { seed, traits, ..SampleParameters::default() });
            Sample { replicate, parameters, ..Sample::new("e", probe, "x") }
        };
        let samples = [
            asked("canary", 0, None, Purpose::Canary),
            asked("seeded", 0, Some(7), Purpose::Comparison),
            asked("seeded", 1, Some(7), Purpose::Comparison),
            asked("usual", 0, Some(1), Purpose::Comparison),
            asked("usual", 1, Some(2), Purpose::Comparison),
        ];
        let answers = Answers::new(&samples);
        assert_eq!(answers.probes(Asking::Sampled).map(|(probe, _)| probe).collect::<Vec<_>>(), ["usual"]);
        assert_eq!((answers.count(), answers.everything().count()), (5, 3));
        assert_eq!(answers.of(Asking::Sampled, "canary").len(), 1);
    }

    #[test]
    fn white_space_at_the_ends_of_a_text_is_no_difference() {
        let plain = Sample::new("e", "p", "Yes,\n no.");
        for text in [" Yes,\n no.", "\n\nYes,\n no.\n", "\u{feff}Yes,\n no."] {
            let other = Sample::new("e", "p", text);
            assert_eq!(Answer::new(&other).text, Answer::new(&plain).text, "{text:?}");
        }
    }

    #[test]
    fn what_was_written_otherwise_on_its_way_is_no_difference() {
        let plain = Sample { reasoning: Some("So \"it\" is.".into()), ..Sample::new("e", "p", "It's so,\nor not.") };
        for (thought, text) in [
            ("So \u{201c}it\u{201d} is.", "It\u{2019}s so,\nor not."),
            ("So &quot;it&quot; is.", "It&#39;s so,\r\nor\u{a0}not."),
        ] {
            let other = Sample { reasoning: Some(thought.into()), ..Sample::new("e", "p", text) };
            let (ours, theirs) = (Answer::new(&plain), Answer::new(&other));
            assert_eq!((&ours.text, ours.generated()), (&theirs.text, theirs.generated()));
            assert_ne!(ours.content, theirs.content);
        }
    }

    #[test]
    fn a_token_that_is_left_at_the_end_of_a_text_is_kept_apart() {
        let sample = Sample::new("e", "p", "Yes.\n<|eot_id|>\n");
        let answer = Answer::new(&sample);
        assert_eq!((&*answer.text, answer.left), ("Yes.", "<|eot_id|>"));
        let nothing = Sample::new("e", "p", "<|eot_id|>");
        assert!(Answer::new(&nothing).blank().is_some());
    }

    #[test]
    fn the_same_arguments_in_another_layout_are_no_difference() {
        let called = |arguments: &str| {
            let call = crate::sample::ToolCall { name: "f".into(), arguments: arguments.into() };
            let sample = Sample { tool_calls: vec![call], ..Sample::new("e", "p", "") };
            Answer::new(&sample).text.into_owned()
        };
        assert_eq!(called(r#"{"city": "Rome", "days":2}"#), called(r#"{ "city":"Rome","days": 2 }"#));
        assert_eq!(called(""), called("{}"));
        assert_ne!(called(r#"{"city": "Rome"}"#), called(r#"{"city": "Bonn"}"#));
        assert_ne!(called(r#"{"city": "Rome""#), called(r#"{"city": "Rome"}"#), "it breaks off");
    }

    #[test]
    fn it_does_not_matter_which_of_two_equal_requests_got_which_answer() {
        let first = [sample(0, "b"), sample(1, "a"), sample(2, "c")];
        let other = [sample(0, "c"), sample(1, "b"), sample(2, "a")];
        let texts = |samples: &[Sample]| -> Vec<String> {
            Answers::new(samples).of(Asking::Sampled, "p").iter().map(|a| a.text.to_string()).collect()
        };
        assert_eq!(texts(&first), ["a", "b", "c"]);
        assert_eq!(texts(&first), texts(&other));
    }
}
