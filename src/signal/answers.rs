//! Samples grouped for comparison: by endpoint, kind of asking and probe.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::sample::{Asking, Sample};

/// The answers of one endpoint; samples with an error are left out, since they are no answers.
#[derive(Debug, Clone, Default)]
pub struct Answers<'a> {
    probes: BTreeMap<Asking, BTreeMap<&'a str, Vec<Answer<'a>>>>,
}

/// One answer with the text that is compared.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The sample it comes from.
    pub sample: &'a Sample,
    /// Text and tool calls, see [`Sample::compared_text`].
    pub text: Cow<'a, str>,
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
        Self { probes }
    }

    /// The probes asked in this way, in order of their ids, with their answers.
    pub fn probes(&self, asking: Asking) -> impl Iterator<Item = (&'a str, &[Answer<'a>])> {
        self.probes.get(&asking).into_iter().flatten().map(|(probe, answers)| (*probe, answers.as_slice()))
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

    fn sample(replicate: u32, text: &str) -> Sample {
        let line = format!(r#"{{"endpoint":"e","probe":"p","replicate":{replicate},"text":"{text}"}}"#);
        crate::sample::file::read_samples(line.as_bytes(), "here").unwrap().remove(0)
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
