//! What ends answers: stop sequences, end tokens, and what the host says of it.

use std::collections::BTreeSet;

use super::tally::{RULED_OUT, Tally};
use super::{Evidence, finding};
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::signal::finish::Ended;
use crate::signal::marks::without_special_tokens;
use crate::stats::exact::{Share, more_often};
use crate::verdict::Confidence::Possible;
use crate::verdict::Finding;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rules = [stop_sequences, runs_on, ends_early, no_reason, wrong_reason];
    rules.into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// Counts the answers of both sides for which a rule has something to say.
fn tally(evidence: &Evidence<'_>, of: impl Fn(&Answer<'_>) -> Option<bool>) -> Tally {
    let side = |answers: &Answers<'_>| {
        let mut share = Share::default();
        answers.all().filter_map(&of).for_each(|shows| share.count(shows.into()));
        share
    };
    Tally { endpoint: side(evidence.answers), reference: side(evidence.reference) }
}

/// Text behind a stop sequence.
fn stop_sequences(evidence: &Evidence<'_>) -> Option<Finding> {
    let behind = |answer: &Answer<'_>| -> Option<Option<bool>> {
        let stops = &answer.sample.parameters.as_ref()?.stop;
        let text = &answer.sample.text;
        let first = stops.iter().filter_map(|stop| Some(text.find(stop)? + stop.len())).min();
        (!stops.is_empty()).then(|| first.map(|end| !text[end..].trim().is_empty()))
    };
    let ignored = tally(evidence, |a| Some(behind(a)? == Some(true)));
    if let Some(confidence) = ignored.never() {
        let evidence = format!("text behind a stop sequence in {}", ignored.words());
        return Some(finding("stop-ignored", confidence, evidence));
    }
    // Some hosts stop, and leave the sequence in the text.
    let left = tally(evidence, |a| Some(behind(a)?.is_some()));
    left.never().map(|_| {
        let evidence = format!("the stop sequence is left at the end of {}, with nothing behind it", left.words());
        finding("stop-ignored", Possible, evidence)
    })
}

/// One greedy answer beside the reference's to the same probe.
struct Ending<'a> {
    answer: &'a Answer<'a>,
    /// Both sides' texts without special tokens: either may leave the one in that ended its answer.
    text: String,
    expected: Vec<String>,
    /// Whether all of the reference's ended naturally.
    complete: bool,
}

impl Ending<'_> {
    fn differs(&self) -> bool {
        self.expected.iter().all(|expected| *expected != self.text)
    }
}

/// Pairs each greedy answer with the reference's; and each of the reference's with its others, which shows how often
/// something happens by itself.
fn endings<'a>(of: &'a Answers<'a>, reference: &'a Answers<'a>) -> Vec<Ending<'a>> {
    let plain = |a: &Answer<'_>| {
        let stops = a.sample.parameters.as_ref().is_some_and(|p| !p.stop.is_empty());
        !stops && a.sample.tool_calls.is_empty() && a.sample.reasoning.is_none()
    };
    let mut out = Vec::new();
    for (asking, probe, ours) in reference.everything().filter(|(asking, ..)| *asking == Asking::Greedy) {
        if !ours.iter().all(plain) {
            continue;
        }
        let complete = ours.iter().all(|a| Ended::of(a) == Ended::Naturally);
        let texts: Vec<String> = ours.iter().map(plain_text).collect();
        for answer in of.of(asking, probe).iter().filter(|a| a.sample.tool_calls.is_empty()) {
            let others = ours.iter().zip(&texts).filter(|(other, _)| !std::ptr::eq(other.sample, answer.sample));
            let expected: Vec<String> = others.map(|(_, text)| text.clone()).filter(|text| !text.is_empty()).collect();
            if !expected.is_empty() {
                out.push(Ending { answer, text: plain_text(answer), expected, complete });
            }
        }
    }
    out
}

fn plain_text(answer: &Answer<'_>) -> String {
    let mut text = without_special_tokens(&answer.text);
    text.truncate(text.trim_end().len());
    text
}

fn tally_endings(evidence: &Evidence<'_>, of: impl Fn(&Ending<'_>) -> Option<bool>) -> Tally {
    let side = |answers| {
        let mut share = Share::default();
        endings(answers, evidence.reference).iter().filter_map(&of).for_each(|shows| share.count(shows.into()));
        share
    };
    Tally { endpoint: side(evidence.answers), reference: side(evidence.reference) }
}

/// Greedy answers that hold the reference's whole answer and go on until something else stops them. Weights that are a little off
/// miss an end now and then as well, so this must be what makes most of the answers differ that do.
fn runs_on(evidence: &Evidence<'_>) -> Option<Finding> {
    let missed = |ending: &Ending<'_>| {
        let began = ending.complete && ending.expected.iter().any(|expected| ending.text.starts_with(expected));
        let goes_on = ending.expected.iter().all(|expected| ending.text.len() > expected.len());
        let stopped = evidence.is_full(ending.answer) || Ended::of(ending.answer) == Ended::AtCap;
        began.then_some(goes_on && stopped)
    };
    let tally = tally_endings(evidence, missed);
    let among_others =
        tally_endings(evidence, |ending| (ending.differs() && ending.complete).then(|| missed(ending) == Some(true)));
    let confidence = tally.seldom().filter(|_| among_others.endpoint.value() >= MOST)?;
    let evidence =
        format!("greedy answers go on behind the reference's end until the cap stops them: {}", tally.words());
    Some(finding("wrong-eos", confidence, evidence))
}

/// Greedy answers that end where the reference's go on. Answers that drift away end early now and then as well, so this must be
/// what makes most of the answers differ that do.
pub(super) fn ends_early(evidence: &Evidence<'_>) -> Option<Finding> {
    let cut = |ending: &Ending<'_>| {
        let rest =
            |expected: &String| expected.strip_prefix(ending.text.as_str()).is_some_and(|rest| !rest.trim().is_empty());
        // A blank answer is the beginning of any other, and no answer that was cut.
        !ending.text.is_empty() && ending.expected.iter().all(rest) && Ended::of(ending.answer) == Ended::Naturally
    };
    let tally = tally_endings(evidence, |ending| Some(cut(ending)));
    let among_others = tally_endings(evidence, |ending| ending.differs().then(|| cut(ending)));
    let confidence = tally.seldom().filter(|_| among_others.endpoint.value() >= MOST)?;
    let evidence =
        format!("greedy answers end in the midst of the reference's, and are said to be complete: {}", tally.words());
    Some(finding("wrong-eos", confidence, evidence))
}

/// The share of the answers that differ which one reason must explain.
const MOST: f64 = 0.5;

/// Answers without a finish reason, more often than the reference's. Where most answers have one, the others may have been cut, by a
/// host that closes every stream with `[DONE]`.
fn no_reason(evidence: &Evidence<'_>) -> Option<Finding> {
    let tally = tally(evidence, |a| Some(Ended::of(a) == Ended::Untold));
    let confidence = tally.never().filter(|_| tally.endpoint.value() > tally.reference.value())?;
    let confidence = if tally.endpoint.value() < MOST { confidence.max(Possible) } else { confidence };
    Some(finding("finish-reason-wrong", confidence, format!("no finish reason on {}", tally.words())))
}

/// Answers of the length of the cap that are said to have ended by themselves, in any delivery, or in one of both.
fn wrong_reason(evidence: &Evidence<'_>) -> Option<Finding> {
    let cut = texts_cut(evidence.reference);
    let of = |stream: Option<bool>| {
        tally(evidence, |a| {
            let sent = a.sample.parameters.as_ref().and_then(|p| p.stream);
            if stream.is_some() && sent != stream {
                return None;
            }
            let full = a.cap().is_some() && a.cap() == evidence.completion_tokens(a);
            let known = cut.contains(&(a.sample.probe.as_str(), &*a.text));
            let reason = Ended::of(a);
            ((full || known) && reason != Ended::Untold).then_some(reason == Ended::Naturally)
        })
    };
    let deliveries = [(None, ""), (Some(true), " when streamed"), (Some(false), " when not streamed")];
    let found = deliveries.into_iter().filter_map(|(stream, when)| {
        let tally = of(stream);
        Some((tally.seldom().filter(|_| is_a_rule(tally))?, tally, when))
    });
    let (confidence, tally, when) = found.min_by_key(|(confidence, ..)| *confidence)?;
    let evidence = format!("`stop` for answers that the cap cut{when}: {}", tally.words());
    Some(finding("finish-reason-wrong", confidence, evidence))
}

/// An answer may end by itself just where the cap is, and other answers do so at other rates. A host that says the wrong word says
/// it of most, or more often than chance can make it.
fn is_a_rule(tally: Tally) -> bool {
    tally.endpoint.value() >= MOST || more_often(tally.endpoint, tally.reference) <= RULED_OUT
}

/// The reference's answers that were cut at the cap, by probe and text: who gives the same text was cut as well.
fn texts_cut<'a>(reference: &'a Answers<'_>) -> BTreeSet<(&'a str, &'a str)> {
    let cut = reference.all().filter(|a| Ended::of(a) == Ended::AtCap && !a.text.is_empty());
    cut.map(|a| (a.sample.probe.as_str(), &*a.text)).collect()
}
