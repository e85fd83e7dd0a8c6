//! Caps on answers: the caller's, which is kept, passed or lowered, and the host's own where none was sent.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{FEWEST, Tally};
use super::{Evidence, completion, ending, finding};
use crate::plural::count;
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::signal::finish::Ended;
use crate::signal::repeats::canned;
use crate::signal::tokens::AT_ITS_END;
use crate::stats::exact::Share;
use crate::verdict::Confidence::{Certain, Possible};
use crate::verdict::{Confidence, Finding};

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

/// Answers for which no cap was sent, beside the reference's.
#[derive(Default)]
struct Uncapped<'a> {
    /// Those that end at a cap by their host's word, of the endpoint's before any of the reference's ends.
    at_cap: Tally,
    /// The endpoint's.
    theirs: Vec<&'a Answer<'a>>,
    /// Their numbers of tokens.
    counts: BTreeSet<Option<u64>>,
    /// Probes that the endpoint has answered.
    probes: usize,
    /// Whether one of the endpoint's is as long as one of the reference's.
    is_any_as_long: bool,
}

impl<'a> Uncapped<'a> {
    fn of(evidence: &Evidence<'a>) -> Self {
        let mut out = Self::default();
        for (asking, probe, ours) in evidence.reference.everything() {
            let ours: Vec<&Answer<'_>> = ours.iter().filter(|a| a.is_uncapped()).collect();
            let Some(shortest) = ours.iter().map(|a| a.text.chars().count()).min() else { continue };
            for answer in &ours {
                out.at_cap.reference.count((Ended::of(answer) == Ended::AtCap).into());
            }
            let theirs: Vec<&Answer<'_>> =
                evidence.answers.of(asking, probe).iter().filter(|a| a.is_uncapped()).collect();
            out.probes += usize::from(!theirs.is_empty());
            for answer in &theirs {
                let shorter = answer.text.chars().count() < shortest;
                out.is_any_as_long |= !shorter;
                out.at_cap.endpoint.count((shorter && Ended::of(answer) == Ended::AtCap).into());
                out.counts.insert(evidence.completion_tokens(answer));
            }
            out.theirs.extend(theirs);
        }
        out
    }

    /// The one number of tokens that all have. Answers that are one text say nothing of what cuts them.
    fn one_count(&self) -> Option<u64> {
        let texts: BTreeSet<&str> = self.theirs.iter().map(|a| &*a.text).collect();
        let is_constant = self.counts.len() == 1 && self.probes >= 2 && texts.len() >= self.probes;
        let are_enough = self.theirs.len() >= FEWEST && !self.is_any_as_long && self.at_cap.reference.showing == 0;
        self.counts.first().copied().flatten().filter(|_| is_constant && are_enough)
    }
}

/// Answers without a cap that end at one all the same, before the reference's do.
fn default(evidence: &Evidence<'_>) -> Option<Finding> {
    let found = Uncapped::of(evidence);
    if let Some(confidence) = found.at_cap.never() {
        let tokens: Vec<String> = found.counts.into_iter().flatten().map(|n| n.to_string()).collect();
        let evidence =
            format!("no cap was sent, and {} end at one ({} tokens)", found.at_cap.words(), tokens.join(", "));
        return Some(finding("low-output-default", confidence, evidence));
    }
    // A host that says `stop` of it as well is given away by the number: no two prompts have answers of one length by chance.
    // A wrong end token cuts other answers as well, and may cut these after one and the same number.
    let tokens = found.one_count()?;
    if ending::ends_early(evidence).is_some() || !completion::are_short(evidence, tokens) {
        return None;
    }
    let confidence = surely_cut(evidence, &found.theirs)?;
    let tokens = count(tokens as usize, "token");
    let evidence = format!("no cap was sent, and all {} answers have {tokens}", found.theirs.len());
    Some(finding("low-output-default", confidence, evidence))
}

/// What ends a sentence, or a text, wherever a model is done.
const ENDS: [char; 12] = ['.', '!', '?', '…', '。', '！', '？', '"', '”', '`', ')', '}'];

/// From this share on it is most of the answers at a cap.
const MOST: f64 = 0.5;

/// How sure it is that a cap has cut these answers, which have one number of tokens: by the host's word, or else where they break off
/// in the midst, of their sentences and of the reference's answers. Another model's may have one length as well, or be labels.
fn surely_cut(evidence: &Evidence<'_>, at_wall: &[&Answer<'_>]) -> Option<Confidence> {
    let share = |of: &dyn Fn(&Answer<'_>) -> Option<bool>| {
        let mut share = Share::default();
        at_wall.iter().filter_map(|&a| of(a)).for_each(|shows| share.count(shows.into()));
        share
    };
    if share(&|a| Some(Ended::of(a) == Ended::AtCap)).value() >= MOST {
        return Some(Certain);
    }
    let breaks_off = |a: &Answer<'_>| Some(Ended::of(a) == Ended::AtCap || !a.text.trim_end().ends_with(ENDS));
    if share(&breaks_off).value() < MOST {
        return None;
    }
    let in_midst = share(&|a| is_in_midst(evidence, a));
    Some(if in_midst.showing >= FEWEST && in_midst.value() >= MOST { Certain } else { Possible })
}

/// Whether a greedy answer is the beginning of one of the reference's; `None` of any other.
fn is_in_midst(evidence: &Evidence<'_>, answer: &Answer<'_>) -> Option<bool> {
    let asking = answer.sample.asking();
    let goes_on = |ours: &Answer<'_>| ours.text.len() > answer.text.len() && ours.text.starts_with(&*answer.text);
    let ours = evidence.reference.of(asking, &answer.sample.probe);
    (asking == Asking::Greedy && !ours.is_empty()).then(|| !answer.text.is_empty() && ours.iter().any(goes_on))
}

/// Fewest answers that a lowered cap must have cut.
const FEWEST_CUT: usize = 8;

/// Tokens that a cap is lowered by at least. Hosts differ in whether they count the token that ends an answer.
const LOWERED: u64 = 2;

/// A cap below those that were sent: one for all of them, or for each of them another, such as half of it.
fn lowered(evidence: &Evidence<'_>) -> Option<Finding> {
    let caps: BTreeSet<u64> = evidence.answers.all().filter_map(Answer::cap).collect();
    lowered_to_one(evidence, None).or_else(|| caps.into_iter().find_map(|sent| lowered_to_one(evidence, Some(sent))))
}

/// Many answers of one number of tokens below the caps that were sent, none longer, and the reference's longer; of those with one cap
/// alone where `sent` says which.
fn lowered_to_one(evidence: &Evidence<'_>, sent: Option<u64>) -> Option<Finding> {
    let (wall, at_wall) = wall(evidence, sent)?;
    let cut = at_wall.len();
    let above = |a: &Answer<'_>, longest: u64| {
        let tokens = evidence.completion_tokens(a)?;
        let is_meant = |cap: u64| cap >= wall + LOWERED && sent.is_none_or(|sent| sent == cap);
        a.cap().filter(|cap| is_meant(*cap)).map(|_| tokens > longest)
    };
    // Hosts that count what ends an answer have more tokens for the same texts: the reference, and an endpoint where its model was done.
    let most_of = |a: &Answer<'_>| if Ended::of(a) == Ended::Naturally { wall + AT_ITS_END } else { wall };
    let theirs = share(evidence.answers, |a| above(a, most_of(a)));
    let ours = share(evidence.reference, |a| above(a, wall + AT_ITS_END));
    // As many are cut there as would go on, give or take half.
    let is_wall = theirs.showing == 0 && 2 * cut * ours.all >= ours.showing * theirs.all;
    let are_cut = is_wall && cut >= FEWEST_CUT && ours.showing >= FEWEST_CUT && completion::are_short(evidence, wall);
    if !are_cut || are_as_long(evidence, wall) {
        return None;
    }
    let confidence = surely_cut(evidence, &at_wall)?;
    let evidence = format!(
        "{cut} of {} answers end at {wall} tokens and none is longer, below the caps that were sent; {} of {} of the reference's are",
        theirs.all, ours.showing, ours.all
    );
    Some(finding("low-output-cap", confidence, evidence))
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

/// The commonest number of tokens below their caps at which answers end that the reference did not give, with these answers, whatever
/// the host says of them. A host that counts otherwise gives the reference's answers, and one text for many prompts is cut by nothing.
/// Of answers with one cap alone those are meant that have reached one by the host's word, since a few probes may end alike.
fn wall<'a>(evidence: &Evidence<'a>, sent: Option<u64>) -> Option<(u64, Vec<&'a Answer<'a>>)> {
    let (given, canned) = (texts(evidence.reference), canned(evidence.answers));
    let mut walls: BTreeMap<u64, Vec<&Answer<'_>>> = BTreeMap::new();
    for answer in evidence.answers.all().filter(|a| Ended::of(a) != Ended::WithCalls) {
        let tokens = evidence.completion_tokens(answer);
        let is_meant = sent.is_none_or(|sent| answer.cap() == Some(sent) && Ended::of(answer) == Ended::AtCap);
        let below = tokens.filter(|n| is_meant && answer.cap().is_some_and(|cap| n + LOWERED <= cap));
        let is_own = !given.contains(&(answer.sample.probe.as_str(), &*answer.text));
        if let Some(n) = below.filter(|_| is_own && !canned.contains_key(&*answer.text)) {
            walls.entry(n).or_default().push(answer);
        }
    }
    walls.into_iter().max_by_key(|(_, cut)| cut.len())
}
