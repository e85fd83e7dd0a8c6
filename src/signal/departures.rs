//! Departures: greedy answers that are none of the reference's, word for word, and those of its own that are none of its others.
//!
//! Layer 2, pure: how often, and of which answers. How soon answers leave is for `stats::divergence`.

use super::answers::{Answer, Answers};
use crate::sample::Asking;
use crate::stats::exact::Share;

/// Whether an answer is none of these.
pub fn departs<'r, 'a: 'r>(answer: &Answer<'_>, mut others: impl Iterator<Item = &'r Answer<'a>>) -> bool {
    others.all(|other| other.text != answer.text)
}

/// All of these answers but the one at this index.
pub fn others<'r, 'a>(answers: &'r [Answer<'a>], but: usize) -> impl Iterator<Item = &'r Answer<'a>> {
    answers.iter().enumerate().filter(move |(i, _)| *i != but).map(|(_, other)| other)
}

/// Of an endpoint's greedy answers for which `of` holds, those that are none of the reference's.
pub fn departing(answers: &Answers<'_>, reference: &Answers<'_>, of: impl Fn(&Answer<'_>) -> bool) -> Share {
    let mut share = Share::default();
    for (probe, ours) in reference.probes(Asking::Greedy) {
        for answer in answers.of(Asking::Greedy, probe).iter().filter(|a| of(a)) {
            share.count(departs(answer, ours.iter()).into());
        }
    }
    share
}

/// Of the greedy answers to probes with several, those that are none of their others: how often a side leaves itself.
pub fn departing_from_itself(answers: &Answers<'_>) -> Share {
    let mut share = Share::default();
    for (_, all) in answers.probes(Asking::Greedy).filter(|(_, all)| all.len() > 1) {
        for (i, answer) in all.iter().enumerate() {
            share.count(departs(answer, others(all, i)).into());
        }
    }
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, SampleParameters};

    fn greedy(probe: &str, texts: &[&str]) -> Vec<Sample> {
        let parameters = SampleParameters { temperature: Some(0.0), ..SampleParameters::default() };
        let sample = |(replicate, text): (u32, &&str)| Sample {
            replicate,
            parameters: Some(parameters.clone()),
            ..Sample::new("e", probe, *text)
        };
        (0..).zip(texts).map(sample).collect()
    }

    #[test]
    fn answers_depart_where_the_reference_has_none_like_them() {
        let ours = [greedy("p", &["a", "a", "b"]), greedy("q", &["c"])].concat();
        let theirs = [greedy("p", &["b", "d"]), greedy("q", &["c", "a"]), greedy("r", &["e"])].concat();
        let (ours, theirs) = (Answers::new(&ours), Answers::new(&theirs));
        assert_eq!(departing(&theirs, &ours, |_| true), Share { showing: 2, all: 4 });
        assert_eq!(departing(&theirs, &ours, |a| &*a.text != "d"), Share { showing: 1, all: 3 });
    }

    #[test]
    fn a_side_leaves_itself_where_an_answer_was_given_once_only() {
        let ours = [greedy("p", &["a", "a", "b"]), greedy("q", &["c"])].concat();
        assert_eq!(departing_from_itself(&Answers::new(&ours)), Share { showing: 1, all: 3 });
        assert_eq!(departing_from_itself(&Answers::default()), Share::default());
    }
}
