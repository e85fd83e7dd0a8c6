//! Repeats: what comes back when the same is asked again.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Answer, Answers};
use crate::sample::Asking;
use crate::stats::exact::Share;

/// What answers to a repeated seed are like: each share is one of probes, and of the seeds sent with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seeded {
    /// Of all, those whose answers are not all equal.
    pub changing: Share,
    /// Of those that change, the ones of which no two answers are equal, where there are three or more.
    pub scattered: Share,
}

/// Looks at the answers to every seed that was sent more than once with a probe. Blank ones are missing, and no other
/// draw.
pub fn seeded(answers: &Answers<'_>) -> Seeded {
    let mut out = Seeded::default();
    for (_, _, answers) in answers.everything().filter(|(asking, ..)| *asking == Asking::Sampled) {
        let mut groups: BTreeMap<u64, Vec<&Answer<'_>>> = BTreeMap::new();
        for answer in answers.iter().filter(|a| a.blank().is_none()) {
            if let Some(seed) = answer.seed() {
                groups.entry(seed).or_default().push(answer);
            }
        }
        for group in groups.values().filter(|group| group.len() >= 2) {
            let texts = different(group.iter().copied());
            out.changing.count((texts > 1).into());
            if group.len() > 2 && texts > 1 {
                out.scattered.count((texts == group.len()).into());
            }
        }
    }
    out
}

/// Greedy probes with several answers of which not all are equal.
pub fn greedy_that_change(answers: &Answers<'_>) -> Share {
    let mut out = Share::default();
    for (_, answers) in answers.probes(Asking::Greedy).filter(|(_, answers)| answers.len() >= 2) {
        out.count((different(answers.iter()) > 1).into());
    }
    out
}

fn different<'a>(answers: impl Iterator<Item = &'a Answer<'a>>) -> usize {
    answers.map(|a| (&*a.text, a.thought)).collect::<BTreeSet<_>>().len()
}

/// From so many probes on a text is no answer to what each of them asks.
const WHATEVER_IS_ASKED: usize = 3;

/// Texts that are answers to several probes, such as one refusal of all, with these probes. They come again whatever is asked, so that
/// they say nothing of what keeps or cuts answers.
pub fn canned<'a>(answers: &'a Answers<'_>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut probes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    // One call may be right for several prompts.
    for answer in answers.all().filter(|a| a.blank().is_none() && a.sample.tool_calls.is_empty()) {
        probes.entry(&answer.text).or_default().insert(&answer.sample.probe);
    }
    probes.retain(|_, probes| probes.len() >= WHATEVER_IS_ASKED);
    probes
}

/// Drawn answers that come under an id that an earlier answer to the same probe had, with the same text. Where one id stands for
/// several texts it is no id, and none is counted. At temperature 0 and under one seed equal texts are right, and a host may make an
/// id of what was asked, or of what is said: so short texts, which are equal by chance, only count where equal ones have ids of their own.
/// What is said whatever is asked is left out.
pub fn replayed_ids(answers: &Answers<'_>) -> Share {
    let (are_of_answers, canned) = (are_ids_of_answers(answers), canned(answers));
    let mut texts: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    let mut out = Share::default();
    for (asking, _, of_probe) in answers.everything() {
        for answer in of_probe {
            let Some(id) = answer.sample.response_id.as_deref() else { continue };
            let known = texts.entry(id).or_default();
            if asking == Asking::Sampled && is_draw(answer, of_probe) && !canned.contains_key(&*answer.text) {
                out.count((!known.is_empty() && (are_of_answers || is_long(answer))).into());
            }
            known.insert((&answer.sample.probe, &answer.text));
        }
    }
    if texts.values().any(|texts| texts.len() > 1) { Share { showing: 0, ..out } } else { out }
}

/// Whether the same answer to the same request has come under two ids, somewhere: then ids are made of neither.
fn are_ids_of_answers(answers: &Answers<'_>) -> bool {
    answers.everything().any(|(_, _, of_probe)| {
        let mut ids = BTreeMap::new();
        of_probe.iter().filter(|a| a.blank().is_none()).any(|answer| {
            let stream = answer.sample.parameters.as_ref().and_then(|p| p.stream);
            let said = (&*answer.text, answer.thought, stream, answer.seed());
            let id = answer.sample.response_id.as_deref();
            id.is_some_and(|id| *ids.entry(said).or_insert(id) != id)
        })
    })
}

/// Answers to sampled probes that are equal to an earlier one to the same probe, among those of some length: short answers
/// are equal by chance. Only probes that the other side was asked as well count, since texts come again at some and not at others, and
/// only texts that are not said whatever is asked.
pub fn duplicates(answers: &Answers<'_>, beside: &Answers<'_>) -> Share {
    equal_to_an_earlier(answers, beside, is_long)
}

/// The same as [`duplicates`] among answers of any length.
pub fn repeated(answers: &Answers<'_>, beside: &Answers<'_>) -> Share {
    equal_to_an_earlier(answers, beside, |_| true)
}

fn equal_to_an_earlier(answers: &Answers<'_>, beside: &Answers<'_>, of: impl Fn(&Answer<'_>) -> bool) -> Share {
    let mut out = Share::default();
    let canned = canned(answers);
    for (asking, probe, answers) in answers.everything() {
        if asking != Asking::Sampled || beside.all_of(Asking::Sampled, probe).is_empty() {
            continue;
        }
        let mut seen = BTreeSet::new();
        let drawn = answers.iter().filter(|a| is_draw(a, answers));
        for answer in drawn.filter(|a| of(a) && !canned.contains_key(&*a.text)) {
            out.count((!seen.insert(&*answer.text)).into());
        }
    }
    out
}

/// Characters from which on two sampled answers are hardly equal by chance.
pub const LONG_ENOUGH: usize = 40;

fn is_long(answer: &Answer<'_>) -> bool {
    answer.text.chars().count() >= LONG_ENOUGH
}

/// Whether an answer to a sampled probe is one of its own: under one seed answers are to be equal.
fn is_draw(answer: &Answer<'_>, answers: &[Answer<'_>]) -> bool {
    answer.seed().is_none() || !repeats_its_seed(answer, answers)
}

fn repeats_its_seed(answer: &Answer<'_>, answers: &[Answer<'_>]) -> bool {
    answers.iter().filter(|other| other.seed() == answer.seed()).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, SampleParameters};

    fn seeded(probe: &str, replicate: u32, text: &str) -> Sample {
        let parameters = SampleParameters { seed: Some(7), temperature: Some(1.0), ..SampleParameters::default() };
        Sample { replicate, parameters: Some(parameters), ..Sample::new("e", probe, text) }
    }

    #[test]
    fn a_seed_changes_nothing_where_its_answers_differ() {
        let samples = [seeded("p", 0, "a"), seeded("p", 1, "a"), seeded("q", 0, "a"), seeded("q", 1, "b")];
        let found = super::seeded(&Answers::new(&samples));
        assert_eq!((found.changing, found.scattered.all), (Share { showing: 1, all: 2 }, 0));
        assert_eq!(duplicates(&Answers::new(&samples), &Answers::new(&samples)).all, 0);
    }

    #[test]
    fn a_blank_answer_is_no_other_draw() {
        let samples = [seeded("p", 0, "a"), seeded("p", 1, "a"), seeded("p", 2, "")];
        assert_eq!(super::seeded(&Answers::new(&samples)).changing, Share { showing: 0, all: 1 });
    }

    #[test]
    fn answers_are_scattered_where_no_two_of_three_are_equal() {
        let group =
            |probe, texts: [&str; 3]| (0..3).map(move |i| seeded(probe, i, texts[i as usize])).collect::<Vec<_>>();
        let samples = [group("p", ["a", "b", "c"]), group("q", ["a", "b", "a"]), group("r", ["a", "a", "a"])].concat();
        let found = super::seeded(&Answers::new(&samples));
        assert_eq!(found.changing, Share { showing: 2, all: 3 });
        assert_eq!(found.scattered, Share { showing: 1, all: 2 });
    }

    #[test]
    fn an_id_that_comes_again_is_a_replay_unless_it_stands_for_other_texts() {
        let of = |replicate, id: &str, text: &str| Sample {
            replicate,
            response_id: Some(id.into()),
            ..Sample::new("e", "p", text)
        };
        let replayed = [of(0, "1", "a"), of(1, "1", "a"), of(2, "2", "a")];
        assert_eq!(replayed_ids(&Answers::new(&replayed)), Share { showing: 1, all: 3 });
        let constant = [of(0, "x", "a"), of(1, "x", "a"), of(2, "x", "b")];
        assert_eq!(replayed_ids(&Answers::new(&constant)).showing, 0);
        let greedy = replayed.map(|sample| {
            let parameters = SampleParameters { temperature: Some(0.0), ..SampleParameters::default() };
            Sample { parameters: Some(parameters), ..sample }
        });
        assert_eq!(replayed_ids(&Answers::new(&greedy)).all, 0, "an id may be made of the request");
    }

    #[test]
    fn what_is_said_whatever_is_asked_is_no_replay() {
        let refusal = "I'm sorry, but I can't help with that request.";
        let of = |probe: &str, replicate, text: &str| Sample {
            replicate,
            response_id: Some("x".into()),
            ..Sample::new("e", probe, text)
        };
        let refused = ["p", "q", "r"].map(|probe| [of(probe, 0, refusal), of(probe, 1, refusal)]).concat();
        let answers = Answers::new(&refused);
        assert_eq!(canned(&answers)[refusal].len(), 3);
        assert_eq!((duplicates(&answers, &answers), replayed_ids(&answers)), (Share::default(), Share::default()));
        let two = &refused[..4];
        assert!(canned(&Answers::new(two)).is_empty());
        assert_eq!(duplicates(&Answers::new(two), &answers), Share { showing: 2, all: 4 });
    }

    #[test]
    fn an_id_that_may_be_made_of_what_is_said_tells_nothing_of_short_answers() {
        let of = |replicate, id: &str, text: &str| Sample {
            replicate,
            response_id: Some(id.into()),
            ..Sample::new("e", "p", text)
        };
        let short = [of(0, "1", "yes"), of(1, "1", "yes"), of(2, "2", "no")];
        assert_eq!(replayed_ids(&Answers::new(&short)), Share { showing: 0, all: 3 });
        let long = "x".repeat(LONG_ENOUGH);
        let long = [of(0, "1", &long), of(1, "1", &long), of(2, "2", "no")];
        assert_eq!(replayed_ids(&Answers::new(&long)), Share { showing: 1, all: 3 });
        let streamed = |stream, sample: Sample| {
            let parameters = SampleParameters { stream: Some(stream), ..SampleParameters::default() };
            Sample { parameters: Some(parameters), ..sample }
        };
        let both_ways = [of(0, "1", "yes"), of(1, "1", "yes")].map(|sample| streamed(true, sample));
        let both_ways = [both_ways.as_slice(), &[streamed(false, of(2, "2", "yes"))]].concat();
        assert_eq!(replayed_ids(&Answers::new(&both_ways)).showing, 0, "another request has another id");
    }

    #[test]
    fn long_equal_answers_are_duplicates_and_short_ones_are_not() {
        let long = "x".repeat(LONG_ENOUGH);
        let of = |replicate, text: &str| Sample { replicate, ..Sample::new("e", "p", text) };
        let samples = [of(0, &long), of(1, &long), of(2, "Yes."), of(3, "Yes.")];
        let answers = Answers::new(&samples);
        assert_eq!(duplicates(&answers, &answers), Share { showing: 1, all: 2 });
        assert_eq!(
            duplicates(&answers, &Answers::default()),
            Share::default(),
            "the other side was asked something else"
        );
    }
}
