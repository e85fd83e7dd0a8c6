//! Caps on answers: the caller's, which is kept, passed or lowered, and the host's own where none was sent.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{FEWEST, Tally};
use super::{Evidence, completion, ending, finding};
use crate::plural::count;
use crate::signal::answers::{Answer, Answers};
use crate::signal::finish::Ended;
use crate::signal::tokens::AT_ITS_END;
use crate::stats::exact::Share;
use crate::verdict::Confidence::{Certain, Possible};
use crate::verdict::Finding;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    [ignored, lowered, lowered_by_length, default].into_iter().filter_map(|rule| rule(evidence)).collect()
}

/// All texts of answers, with their probes.
fn texts<'a>(answers: &'a Answers<'_>) -> BTreeSet<(&'a str, &'a str)> {
    answers.all().map(|a| (a.sample.probe.as_str(), &*a.text)).collect()
}

/// The share of answers that show something, among those of which there is something to say.
fn share(answers: &Answers<'_>, of: impl Fn(&Answer<'_>) -> Option<bool>) -> Share {
    let mut share = Share::default();
    answers.all().filter_map(of).for_each(|shows| share.count(shows.into()));
    share
}

/// The token that ends an answer, which some hosts count: also where a cap ended it.
const ENDING: u64 = 1;

/// More tokens than the cap lets through, in texts that are longer than so many tokens are. Another tokenizer counts more of them in
/// texts no longer than those of the reference's that its cap has cut.
pub(super) fn ignored(evidence: &Evidence<'_>) -> Option<Finding> {
    let over = |a: &Answer<'_>| Some(evidence.completion_tokens(a)? > a.cap()?.saturating_add(ENDING));
    // A text that the reference gives too is not longer than the cap: it is the count that is off.
    let given = texts(evidence.reference);
    let beyond = |a: &Answer<'_>| Some(over(a)? && !given.contains(&(a.sample.probe.as_str(), &*a.text)));
    let tally = Tally { endpoint: share(evidence.answers, beyond), reference: share(evidence.reference, over) };
    let confidence = tally.never()?;
    let confidence = if are_longer(evidence, over) { confidence } else { confidence.max(Possible) };
    Some(finding("max-tokens-ignored", confidence, format!("completion_tokens over max_tokens on {}", tally.words())))
}

/// Whether the answers that are over their caps are longer than the reference's that its caps have cut, beyond chance:
/// all together, or those under one cap. What lies far beyond a small cap may be just beyond a larger one.
fn are_longer(evidence: &Evidence<'_>, over: impl Fn(&Answer<'_>) -> Option<bool>) -> bool {
    let a_token = completion::reference_bytes_per_token(evidence);
    let is_long = |a: &Answer<'_>| Some(a.text.len() as f64 > completion::ROOM * a_token? * a.cap()? as f64);
    let of_over = |a: &Answer<'_>| if over(a)? { is_long(a) } else { None };
    let of_cut = |a: &Answer<'_>| if evidence.is_full(a) || Ended::of(a) == Ended::AtCap { is_long(a) } else { None };
    let lengths = |cap: Option<u64>| {
        let is_of = |a: &Answer<'_>| cap.is_none() || a.cap() == cap;
        Tally {
            endpoint: share(evidence.answers, |a| of_over(a).filter(|_| is_of(a))),
            reference: share(evidence.reference, |a| of_cut(a).filter(|_| is_of(a))),
        }
    };
    let caps: BTreeSet<Option<u64>> = evidence.answers.all().map(Answer::cap).collect();
    lengths(None).is_beyond_chance() || caps.into_iter().any(|cap| lengths(cap).is_beyond_chance())
}

/// Answers without a cap that end at one all the same, before the reference's do.
fn default(evidence: &Evidence<'_>) -> Option<Finding> {
    let mut tally = Tally::default();
    let mut counts = BTreeSet::new();
    let mut probes = 0;
    let mut all_shorter = true;
    for (asking, probe, ours) in evidence.reference.everything() {
        let uncapped = || evidence.answers.of(asking, probe).iter().filter(|a| a.is_uncapped());
        let ours: Vec<&Answer<'_>> = ours.iter().filter(|a| a.is_uncapped()).collect();
        let Some(shortest) = ours.iter().map(|a| a.text.chars().count()).min() else { continue };
        for answer in &ours {
            tally.reference.count((Ended::of(answer) == Ended::AtCap).into());
        }
        probes += usize::from(uncapped().next().is_some());
        for answer in uncapped() {
            let shorter = answer.text.chars().count() < shortest;
            all_shorter &= shorter;
            tally.endpoint.count((shorter && Ended::of(answer) == Ended::AtCap).into());
            counts.insert(evidence.completion_tokens(answer));
        }
    }
    if let Some(confidence) = tally.never() {
        let tokens: Vec<String> = counts.into_iter().flatten().map(|n| n.to_string()).collect();
        let evidence = format!("no cap was sent, and {} end at one ({} tokens)", tally.words(), tokens.join(", "));
        return Some(finding("low-output-default", confidence, evidence));
    }
    // A host that says `stop` of it as well is given away by the number: no two prompts have answers of one length by chance.
    // A wrong end token cuts other answers as well, and may cut these after one and the same number.
    let constant = counts.len() == 1 && probes >= 2 && all_shorter && tally.endpoint.all >= FEWEST;
    let elsewhere = || ending::ends_early(evidence).is_some();
    let tokens =
        counts.first().copied().flatten().filter(|_| constant && tally.reference.showing == 0 && !elsewhere())?;
    if !completion::are_short(evidence, tokens) {
        return None;
    }
    let tokens = count(tokens as usize, "token");
    let evidence = format!("no cap was sent, and all {} answers have {tokens}", tally.endpoint.all);
    Some(finding("low-output-default", Certain, evidence))
}

/// Fewest answers that a lowered cap must have cut.
const FEWEST_CUT: usize = 8;

/// Tokens that a cap is lowered by at least. Hosts differ in whether they count the token that ends an answer.
const LOWERED: u64 = 2;

/// Many answers of one number of tokens below the caps that were sent, none longer, and the reference's longer.
fn lowered(evidence: &Evidence<'_>) -> Option<Finding> {
    let (wall, cut) = wall(evidence)?;
    let above = |a: &Answer<'_>, longest: u64| {
        let tokens = evidence.completion_tokens(a)?;
        a.cap().filter(|cap| *cap >= wall + LOWERED).map(|_| tokens > longest)
    };
    // A reference that counts what ends an answer has more tokens for the same texts.
    let theirs = share(evidence.answers, |a| above(a, wall));
    let ours = share(evidence.reference, |a| above(a, wall + AT_ITS_END));
    // As many are cut there as would go on, give or take half.
    let is_wall = theirs.showing == 0 && 2 * cut * ours.all >= ours.showing * theirs.all;
    let are_cut = is_wall && cut >= FEWEST_CUT && ours.showing >= FEWEST_CUT && completion::are_short(evidence, wall);
    (are_cut && !are_as_long(evidence, wall)).then(|| {
        let evidence = format!(
            "{cut} of {} answers end at {wall} tokens and none is longer, below the caps that were sent; {} of {} of the reference's are",
            theirs.all, ours.showing, ours.all
        );
        finding("low-output-cap", Certain, evidence)
    })
}

/// Whether the answers at the wall are nearer in length to the reference's that the caps sent have cut than to the part of these that
/// the wall would leave: then the caps have cut them too, and their tokens are counted otherwise.
fn are_as_long(evidence: &Evidence<'_>, wall: u64) -> bool {
    let mut cut: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for answer in evidence.reference.all().filter(|a| Ended::of(a) == Ended::AtCap) {
        if let Some(cap) = answer.cap() {
            let sum = cut.entry(cap).or_default();
            *sum = (sum.0 + answer.text.len() as f64, sum.1 + 1.0);
        }
    }
    let at_wall = evidence.answers.all().filter(|a| evidence.completion_tokens(a) == Some(wall));
    let (mut theirs, mut between) = (0.0, 0.0);
    for (answer, cap) in at_wall.filter_map(|a| Some((a, a.cap().filter(|cap| *cap >= wall + LOWERED)?))) {
        if let Some((bytes, answers)) = cut.get(&cap) {
            theirs += answer.text.len() as f64;
            between += f64::midpoint(1.0, wall as f64 / cap as f64) * bytes / answers;
        }
    }
    between > 0.0 && theirs > between
}

/// By how much longer than those that are cut no answer is where a cap is lowered, as a factor: tokens are not all of one length.
const ABOUT_AS_LONG: usize = 2;

/// Greedy answers that end at a cap by the host's own word, in the midst of the reference's and long before the cap that was sent,
/// where no count says how long they are; and no answer is much longer. Thoughts that nobody sees use up a cap as well.
fn lowered_by_length(evidence: &Evidence<'_>) -> Option<Finding> {
    let capped = || evidence.answers.all().filter(|a| a.cap().is_some());
    let is_counted = capped().any(|a| evidence.completion_tokens(a).is_some());
    if is_counted || evidence.thinking.disclosure.is_hidden() {
        return None;
    }
    let (tally, longest) = ending::cut_short(evidence);
    let is_wall = capped().all(|a| a.text.len() <= ABOUT_AS_LONG * longest);
    let confidence = tally.never().filter(|_| is_wall && tally.endpoint.showing >= FEWEST_CUT)?;
    let evidence = format!(
        "a cap ends greedy answers in the midst of the reference's, which go on for as much text again under the same cap: {}",
        tally.words()
    );
    Some(finding("low-output-cap", confidence, evidence))
}

/// The commonest number of tokens below their caps at which answers end that the reference did not give, with the number of these
/// answers, whatever the host says of them. A host that counts otherwise gives the reference's answers.
fn wall(evidence: &Evidence<'_>) -> Option<(u64, usize)> {
    let given = texts(evidence.reference);
    let mut walls: BTreeMap<u64, usize> = BTreeMap::new();
    for answer in evidence.answers.all().filter(|a| Ended::of(a) != Ended::WithCalls) {
        let tokens = evidence.completion_tokens(answer);
        let below = tokens.filter(|n| answer.cap().is_some_and(|cap| n + LOWERED <= cap));
        if let Some(n) = below.filter(|_| !given.contains(&(answer.sample.probe.as_str(), &*answer.text))) {
            *walls.entry(n).or_default() += 1;
        }
    }
    walls.into_iter().max_by_key(|(_, cut)| *cut)
}
