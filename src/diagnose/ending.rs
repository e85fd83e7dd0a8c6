//! What ends answers: stop sequences, end tokens, and what the host says of it.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{RULED_OUT, Tally};
use super::{Evidence, cap, finding};
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::signal::finish::Ended;
use crate::signal::marks::without_special_tokens;
use crate::stats::exact::{Share, more_often};
use crate::verdict::Confidence::{Likely, Possible};
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
        // Within a thought a sequence need not stop, and behind a call there is none.
        let text = answer.content;
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
    /// Whether all were asked for under one cap.
    is_under_one_cap: bool,
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
        !stops && a.sample.tool_calls.is_empty() && a.thought.is_none()
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
            let is_under_one_cap = answer.cap().is_some() && ours.iter().all(|other| other.cap() == answer.cap());
            if !expected.is_empty() {
                out.push(Ending { answer, text: plain_text(answer), expected, complete, is_under_one_cap });
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
    let all = endings(evidence.answers, evidence.reference);
    let ended: Vec<&Ending<'_>> = all.iter().filter(|&ending| cut(ending)).collect();
    let confidence = if are_ended_by_one_token(evidence, &ended) { confidence } else { confidence.max(Possible) };
    let evidence =
        format!("greedy answers end in the midst of the reference's, and are said to be complete: {}", tally.words());
    Some(finding("wrong-eos", confidence, evidence))
}

/// Whether these answers end before a token and not at a cap: counts tell, or what comes next in the reference's. A token is
/// one and the same, and a cap cuts before any word.
fn are_ended_by_one_token(evidence: &Evidence<'_>, ended: &[&Ending<'_>]) -> bool {
    if ended.iter().any(|ending| evidence.completion_tokens(ending.answer).is_some()) {
        return true;
    }
    let mut next: BTreeMap<char, usize> = BTreeMap::new();
    for ending in ended {
        let rest = ending.expected.first().and_then(|expected| expected.strip_prefix(ending.text.as_str()));
        if let Some(c) = rest.and_then(|rest| rest.chars().next()) {
            *next.entry(c).or_default() += 1;
        }
    }
    // Before most words there is a space, whatever ends an answer there.
    let most = next.into_iter().filter(|(c, _)| *c != ' ').map(|(_, n)| n).max().unwrap_or(0);
    most as f64 >= NEARLY_ALL * ended.len() as f64
}

/// The share of answers before whose end the same character must come next.
const NEARLY_ALL: f64 = 0.9;

/// How many times as much text as an answer that a cap has cut holds the reference's must have, before its cap was another
/// one: tokens of other tokenizers are longer or shorter by less.
const FAR_LONGER: usize = 2;

/// Greedy answers that end at a cap, by the host's word, in the midst of the reference's, which go on far beyond it under
/// the same cap; with the bytes of the longest of the endpoint's.
pub(super) fn cut_short(evidence: &Evidence<'_>) -> (Tally, usize) {
    let is_cut = |ending: &Ending<'_>| {
        let far =
            |expected: &String| expected.starts_with(&ending.text) && expected.len() >= FAR_LONGER * ending.text.len();
        let is_at_cap = Ended::of(ending.answer) == Ended::AtCap && ending.answer.thought.is_none();
        is_at_cap && ending.is_under_one_cap && !ending.text.is_empty() && ending.expected.iter().all(far)
    };
    let theirs = endings(evidence.answers, evidence.reference);
    let longest = theirs.iter().filter(|&ending| is_cut(ending)).map(|ending| ending.text.len()).max();
    (tally_endings(evidence, |ending| Some(is_cut(ending))), longest.unwrap_or(0))
}

/// The share of the answers that differ which one reason must explain.
const MOST: f64 = 0.5;

/// Answers without a finish reason, more often than the reference's. What they say may be right all the same, so that it is no
/// drift. Where most answers have one, the others may have been cut, by a host that closes every stream with `[DONE]`.
fn no_reason(evidence: &Evidence<'_>) -> Option<Finding> {
    let tally = tally(evidence, |a| Some(Ended::of(a) == Ended::Untold));
    let confidence = tally.never().filter(|_| tally.endpoint.value() > tally.reference.value())?;
    let confidence = confidence.max(if tally.endpoint.value() < MOST { Possible } else { Likely });
    Some(finding("finish-reason-wrong", confidence, format!("no finish reason on {}", tally.words())))
}

/// Answers of the length of the cap that are said to have ended by themselves, in any delivery, or in one of both.
fn wrong_reason(evidence: &Evidence<'_>) -> Option<Finding> {
    let cut = texts_cut(evidence);
    // Where what ends an answer is counted, one of the cap's length may have ended there by itself.
    let tells_by_count = !counts_its_end(evidence);
    // Where caps are not kept, an answer that is as long as its cap ended there by itself.
    let keeps_caps = cap::ignored(evidence).is_none();
    let of = |stream: Option<bool>| {
        tally(evidence, |a| {
            let sent = a.sample.parameters.as_ref().and_then(|p| p.stream);
            if stream.is_some() && sent != stream {
                return None;
            }
            let text = (a.sample.probe.as_str(), &*a.text);
            let full = keeps_caps && tells_by_count && a.cap().is_some() && a.cap() == evidence.completion_tokens(a);
            let known = cut.contains(&text);
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

/// Whether the host counts more tokens for texts of the reference's that have ended by themselves.
fn counts_its_end(evidence: &Evidence<'_>) -> bool {
    let ended = evidence.reference.all().filter(|a| Ended::of(a) == Ended::Naturally);
    let counts = ended.filter_map(|a| Some(((a.sample.probe.as_str(), &*a.text), evidence.completion_tokens(a)?)));
    let usual: BTreeMap<(&str, &str), u64> = counts.collect();
    evidence.answers.all().any(|a| {
        let ours = usual.get(&(a.sample.probe.as_str(), &*a.text));
        ours.zip(evidence.completion_tokens(a)).is_some_and(|(ours, theirs)| theirs > *ours)
    })
}

/// The reference's answers that were cut at the cap, by probe and text: who gives the same text was cut as well. Its word is taken
/// for it unless its own count says otherwise.
fn texts_cut<'a>(evidence: &Evidence<'a>) -> BTreeSet<(&'a str, &'a str)> {
    let is_full = |a: &Answer<'_>| evidence.completion_tokens(a).is_none() || evidence.is_full(a);
    let cut = evidence.reference.all().filter(|a| Ended::of(a) == Ended::AtCap && !a.text.is_empty() && is_full(a));
    cut.map(|a| (a.sample.probe.as_str(), &*a.text)).collect()
}
