//! Samples grouped for comparison: by endpoint, kind of asking and probe.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::sample::{Asking, Purpose, Sample, Traits};

/// The answers of one endpoint; samples with an error are left out, since they are no answers.
#[derive(Debug, Clone, Default)]
pub struct Answers<'a> {
    probes: BTreeMap<Asking, BTreeMap<&'a str, Vec<Answer<'a>>>>,
    traits: BTreeMap<&'a str, &'a Traits>,
    set_aside: BTreeSet<&'a str>,
}

/// One answer with the text that is compared.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The sample it comes from.
    pub sample: &'a Sample,
    /// Text and tool calls, see [`Sample::compared_text`].
    pub text: Cow<'a, str>,
}

impl<'a> Answer<'a> {
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

fn is_no_comparison(answers: &[Answer<'_>]) -> bool {
    let mut seeds = BTreeSet::new();
    answers.iter().any(|a| a.traits().is_some_and(|t| t.purpose == Purpose::Canary))
        || answers.iter().filter_map(Answer::seed).any(|seed| !seeds.insert(seed))
}

impl<'a> Answers<'a> {
    /// Groups the answers among these samples, whatever their endpoint; within a probe in order of text, so
    /// that it does not matter which of several equal requests was answered first.
    pub fn new(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut probes: BTreeMap<_, BTreeMap<_, Vec<Answer<'a>>>> = BTreeMap::new();
        for sample in samples.into_iter().filter(|s| s.is_answer()) {
            let answer = Answer { sample, text: sample.compared_text() };
            probes.entry(sample.asking()).or_default().entry(sample.probe.as_str()).or_default().push(answer);
        }
        probes.values_mut().flat_map(BTreeMap::values_mut).for_each(|answers| {
            answers.sort_by(|a, b| (&a.text, a.sample.replicate).cmp(&(&b.text, b.sample.replicate)));
        });
        let mut out = Self { probes, ..Self::default() };
        out.traits = out.all().filter_map(|a| Some((a.probe(), a.traits()?))).collect();
        out.set_aside = out.everything().filter(|(_, _, answers)| is_no_comparison(answers)).map(|all| all.1).collect();
        out
    }

    /// The probes to compare that were asked in this way, in order of their ids, with their answers.
    pub fn probes(&self, asking: Asking) -> impl Iterator<Item = (&'a str, &[Answer<'a>])> {
        let of_this = self.probes.get(&asking).into_iter().flatten();
        of_this.filter(|(probe, _)| !self.is_set_aside(probe)).map(|(probe, answers)| (*probe, answers.as_slice()))
    }

    /// All probes, those set aside among them, with how they were asked and their answers.
    pub fn everything(&self) -> impl Iterator<Item = (Asking, &'a str, &[Answer<'a>])> {
        self.probes
            .iter()
            .flat_map(|(asking, probes)| probes.iter().map(|(probe, answers)| (*asking, *probe, answers.as_slice())))
    }

    /// Whether a probe's answers take no part in the statistical comparison: those of canaries, and those that one seed
    /// brought several times, which are no independent draws.
    pub fn is_set_aside(&self, probe: &str) -> bool {
        self.set_aside.contains(probe)
    }

    /// What a probe has in it, where its answers say so.
    pub fn traits(&self, probe: &str) -> Option<&'a Traits> {
        self.traits.get(probe).copied()
    }

    /// The answers to one probe; empty when there are none.
    pub fn of(&self, asking: Asking, probe: &str) -> &[Answer<'a>] {
        self.probes.get(&asking).and_then(|probes| probes.get(probe)).map_or(&[], Vec::as_slice)
    }

    /// All answers.
    pub fn all(&self) -> impl Iterator<Item = &Answer<'a>> {
        self.probes.values().flat_map(BTreeMap::values).flatten()
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
