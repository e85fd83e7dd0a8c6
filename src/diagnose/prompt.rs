//! What prompt tokens say: that the model is not asked the same thing, and what is probably wrong with it.
//!
//! Every rule looks for one pattern in the differences of counts; the first that fits explains them. All need three probes,
//! or two of one kind beside three of the others: one prompt may be counted oddly, several in one pattern are a rule.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{FEWEST, Tally};
use super::{Evidence, finding, tools};
use crate::sample::Traits;
use crate::signal::tokens::{ProbeTokens, PromptTokens};
use crate::verdict::Confidence::{Certain, Likely};
use crate::verdict::Finding;

/// Fewest probes of a kind (with a system message, with tools, with images) for a rule on that kind.
const FEWEST_OF_A_KIND: usize = 2;

/// Tokens that another template adds to a message, or leaves out, at most: markers of a role, line ends, an end token.
const TEMPLATE_TOKENS: i64 = 8;

/// Characters of a token at most, on average, in any language that was looked at; a dropped text takes more tokens than this
/// leaves.
const CHARACTERS_A_TOKEN: u64 = 8;

/// The share of the reference's calls that may come back where no tool has reached the model.
const HARDLY: f64 = 0.25;

/// Tokens of the smallest description of a tool.
const TOOL_TOKENS: i64 = 4;

/// Which probes differ, and by how much.
struct Pattern<'a> {
    all: &'a [ProbeTokens<'a>],
    differing: Vec<&'a ProbeTokens<'a>>,
    /// The different differences.
    offsets: BTreeSet<i64>,
    /// Answers with a count that differs, and all.
    answers: (usize, usize),
}

/// Whether a host's counts of tokens can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// They can, as far as is seen.
    Steady,
    /// It counts one prompt in several ways, up and down.
    Wavering,
}

impl Counts {
    /// What the counts of prompts show.
    pub fn of(tokens: &PromptTokens<'_>) -> Self {
        let pattern = Pattern::of(tokens).filter(|p| p.all.len() >= FEWEST && p.offset().is_none());
        match pattern.and_then(|p| miscounted(&p)) {
            Some(found) if found.fault == MISCOUNTED => Self::Wavering,
            _ => Self::Steady,
        }
    }
}

const MISCOUNTED: &str = "usage-miscounted";

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let pattern = Pattern::of(evidence.tokens);
    let by_counts = pattern.filter(|p| p.all.len() >= FEWEST).and_then(|pattern| {
        everywhere(&pattern)
            .or_else(|| images(&pattern))
            .or_else(|| ceiling(&pattern))
            .or_else(|| offered_tools(&pattern, evidence))
            .or_else(|| system_messages(&pattern))
            .or_else(|| now_and_then(&pattern))
            .or_else(|| miscounted(&pattern))
            .or_else(|| template(&pattern))
    });
    by_counts.into_iter().chain(silent(evidence.tokens)).collect()
}

impl<'a> Pattern<'a> {
    fn of(tokens: &'a PromptTokens<'a>) -> Option<Self> {
        let differing: Vec<&ProbeTokens<'_>> = tokens.differing().collect();
        let offsets: BTreeSet<i64> = differing.iter().flat_map(|p| p.differences()).collect();
        let touched = differing.iter().map(|p| p.differences().count()).sum();
        let answers = (touched, tokens.probes.iter().map(|p| p.seen.len()).sum());
        (!differing.is_empty()).then_some(Self { all: &tokens.probes, differing, offsets, answers })
    }

    /// The one difference, where there is only one.
    fn offset(&self) -> Option<i64> {
        if self.offsets.len() == 1 { self.offsets.first().copied() } else { None }
    }

    /// Whether all counts that differ are lower than the reference's.
    fn is_lower(&self) -> bool {
        self.offsets.iter().all(|offset| *offset < 0)
    }

    /// Whether nothing differs but probes of a kind, several of them, beside enough others.
    fn is_only_where(&self, has: impl Fn(&Traits) -> bool) -> bool {
        let of_kind = |p: &&ProbeTokens<'_>| p.traits.is_some_and(&has);
        let others = self.all.iter().filter(|p| !of_kind(p)).count();
        self.differing.len() >= FEWEST_OF_A_KIND && others >= FEWEST && self.differing.iter().all(of_kind)
    }

    /// `prompt_tokens 13 against 12 on 25 of 25 probes`, with the commonest example.
    fn seen(&self) -> String {
        let example = self.differing.iter().find_map(|p| Some((p.reference, p.reference + p.differences().next()?)));
        let (reference, endpoint) = example.unwrap_or_default();
        let (touched, all) = self.answers;
        let whole = self.differing.iter().all(|p| p.differences().count() == p.seen.len());
        let share = if whole { String::new() } else { format!(", in {touched} of {all} answers") };
        let (differing, probes) = (self.differing.len(), self.all.len());
        format!("prompt_tokens {endpoint} against {reference} on {differing} of {probes} probes{share}")
    }
}

/// One difference for all probes, or one for each kind of probe: a host's own message is joined to what stands there already.
fn everywhere(pattern: &Pattern<'_>) -> Option<Finding> {
    if pattern.differing.len() < pattern.all.len() {
        return None;
    }
    if let Some(offset) = pattern.offset() {
        return Some(constant(pattern, offset));
    }
    let mut kinds: BTreeMap<(bool, bool, bool), BTreeSet<i64>> = BTreeMap::new();
    for probe in &pattern.differing {
        let traits = probe.traits?;
        let kind = (traits.system_characters > 0, !traits.tools.is_empty(), traits.images > 0);
        kinds.entry(kind).or_default().extend(probe.differences());
    }
    let one_each = kinds.values().all(|offsets| offsets.len() == 1);
    let more = pattern.offsets.iter().all(|offset| *offset > 1);
    (one_each && more).then(|| {
        let evidence = format!(
            "{}: the same number more on each, another where a system message, tools or images were sent",
            pattern.seen()
        );
        finding("hidden-system-prompt", Certain, evidence)
    })
}

fn has_system(probe: &ProbeTokens<'_>) -> bool {
    probe.traits.is_some_and(|t| t.system_characters > 0)
}

/// The fault that one difference without exception stands for.
fn constant(pattern: &Pattern<'_>, offset: i64) -> Finding {
    let seen = pattern.seen();
    match offset {
        1 => finding("double-bos", Certain, seen),
        -1 => finding("missing-bos", Certain, seen),
        more if more > 1 => finding("hidden-system-prompt", Certain, format!("{seen}: {more} more on each")),
        fewer => finding("wrong-template", Certain, format!("{seen}: {} fewer on each", fewer.saturating_neg())),
    }
}

/// Equal up to a ceiling that longer prompts never pass.
fn ceiling(pattern: &Pattern<'_>) -> Option<Finding> {
    if !pattern.is_lower() {
        return None;
    }
    let touched = |p: &&ProbeTokens<'_>| -> Vec<i64> { p.seen.iter().copied().filter(|n| *n != p.reference).collect() };
    let counts: BTreeSet<i64> = pattern.differing.iter().flat_map(touched).collect();
    let highest = *counts.last()?;
    let longest_equal = pattern.all.iter().filter(|p| !p.differs()).map(|p| p.reference).max().unwrap_or(0);
    let shortest_cut = pattern.differing.iter().map(|p| p.reference).min().unwrap_or(0);
    let (cut, probes) = (pattern.differing.len(), pattern.all.len());
    let seen = format!("lower on {cut} of {probes} probes, equal on the rest");
    if counts.len() == 1 && longest_equal <= highest {
        // Two prompts of different length that are cut at one number leave no other explanation; one may be an oddity.
        let lengths = pattern.differing.iter().map(|p| p.reference).collect::<BTreeSet<_>>().len();
        let confidence = if lengths >= 2 || cut >= FEWEST { Certain } else { Likely };
        return Some(finding("truncated-context", confidence, format!("prompt_tokens never above {highest}: {seen}")));
    }
    // Cut at a message or a word, so not at one number; still every longer prompt, and no shorter one.
    let room = pattern.differing.iter().all(|p| p.differences().all(|d| 20 * d < -p.reference));
    (cut >= FEWEST && longest_equal < shortest_cut && room).then(|| {
        let evidence = format!("prompt_tokens of prompts above {longest_equal} tokens at most {highest}: {seen}");
        finding("truncated-context", Likely, evidence)
    })
}

/// Fewer tokens where there are images, and nowhere else.
fn images(pattern: &Pattern<'_>) -> Option<Finding> {
    let alone = pattern.differing.len() == 1 && pattern.differing[0].traits.is_some_and(|t| t.images > 0);
    if !pattern.is_lower() || !(pattern.is_only_where(|t| t.images > 0) || alone) {
        return None;
    }
    let confidence = if alone { Likely } else { Certain };
    let seen = pattern.seen();
    let kept = kept_of_images(pattern);
    Some(match kept {
        Some(kept) if kept > NOTHING_KEPT => {
            let evidence = format!("{seen}, all with images: about {:.0} % of their tokens are left", 100.0 * kept);
            finding("image-downscaled", confidence, evidence)
        }
        Some(_) => finding("image-dropped", confidence, format!("{seen}, all with images: as many as the text has")),
        None => finding("image-dropped", confidence, format!("{seen}, all with images")),
    })
}

/// Up to this share of the images' tokens nothing is left of them but error of the estimate; an image at a quarter of its
/// width and height keeps a sixteenth, and more where its rows have marks.
const NOTHING_KEPT: f64 = 0.06;

/// The share of the images' tokens that the endpoint still counts. What the text takes is estimated from the reference's
/// counts of other probes, by least squares over characters and messages.
fn kept_of_images(pattern: &Pattern<'_>) -> Option<f64> {
    let plain = |p: &&ProbeTokens<'_>| p.traits.is_some_and(|t| t.images == 0 && t.tools.is_empty());
    let points: Vec<(f64, f64)> = pattern
        .all
        .iter()
        .filter(plain)
        .filter_map(|p| {
            let traits = p.traits?;
            (traits.messages == 1).then_some((traits.characters as f64, p.reference as f64))
        })
        .collect();
    let (intercept, slope) = line(&points)?;
    let (mut kept, mut full) = (0.0, 0.0);
    for probe in &pattern.differing {
        let traits = probe.traits?;
        let text = intercept + slope * traits.characters as f64;
        for difference in probe.differences() {
            full += probe.reference as f64 - text;
            kept += (probe.reference + difference) as f64 - text;
        }
    }
    (full > 0.0).then(|| (kept / full).clamp(0.0, 1.0))
}

/// The straight line through points by least squares; `None` with fewer than five, or all at one place.
fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (points.len() >= 5 && spread > 0.0).then(|| (y - together / spread * x, together / spread))
}

/// Fewer tokens where there are tools, and nowhere else.
fn offered_tools(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
    if !pattern.is_lower() || !pattern.is_only_where(|t| !t.tools.is_empty()) {
        return None;
    }
    let seen = pattern.seen();
    let large = |p: &&ProbeTokens<'_>| {
        let tools = p.traits.map_or(0, |t| i64::try_from(t.tools.len()).unwrap_or(i64::MAX));
        p.differences().all(|d| d <= -TOOL_TOKENS.saturating_mul(tools))
    };
    let Tally { endpoint, reference } = tools::calls(evidence);
    if pattern.differing.iter().all(large) && endpoint.value() <= HARDLY * reference.value() {
        let never = match (endpoint.showing, reference.showing) {
            (_, 0) => String::new(),
            (0, n) => format!(", and no call comes back, where the reference has one in {n} answers"),
            (few, n) => format!(", and a call comes back in {few} answers, the reference's in {n}"),
        };
        return Some(finding("tools-dropped", Certain, format!("{seen}, all that offer tools{never}")));
    }
    let evidence =
        format!("{seen}, all that offer tools, which it does call: they are written otherwise into the prompt");
    Some(finding("wrong-template", Certain, evidence))
}

/// Fewer tokens where there is a system message, or more where there is none.
fn system_messages(pattern: &Pattern<'_>) -> Option<Finding> {
    let seen = pattern.seen();
    let with = pattern.all.iter().filter(|p| has_system(p)).count();
    let without_one = pattern.differing.iter().all(|p| !has_system(p));
    if without_one && with > 0 && pattern.differing.len() + with == pattern.all.len() {
        let offset = pattern.offset().filter(|offset| *offset > 0)?;
        let evidence = format!("{seen}: {offset} more on each that has no system message of its own");
        return (pattern.differing.len() >= FEWEST).then(|| finding("hidden-system-prompt", Certain, evidence));
    }
    if !pattern.is_lower() || !pattern.is_only_where(|t| t.system_characters > 0) {
        return None;
    }
    let dropped = |p: &&ProbeTokens<'_>| {
        let characters = p.traits.map_or(0, |t| t.system_characters);
        let least = i64::try_from(characters / CHARACTERS_A_TOKEN).unwrap_or(i64::MAX).max(2);
        p.differences().all(|d| d <= -least)
    };
    let evidence = format!("{seen}, all with a system message");
    Some(if pattern.differing.iter().all(dropped) {
        finding("dropped-system-prompt", Certain, evidence)
    } else {
        finding("wrong-template", Certain, format!("{evidence}, which is written otherwise into the prompt"))
    })
}

/// One difference, in a share of the answers: some of the servers behind the address have the fault.
fn now_and_then(pattern: &Pattern<'_>) -> Option<Finding> {
    let offset = pattern.offset()?;
    (pattern.differing.len() >= FEWEST).then(|| constant(pattern, offset))
}

/// Several counts for one prompt, more and fewer.
fn miscounted(pattern: &Pattern<'_>) -> Option<Finding> {
    let wavering = pattern.differing.iter().filter(|p| p.wavers()).count();
    let both_ways = pattern.offsets.first().is_some_and(|o| *o < 0) && pattern.offsets.last().is_some_and(|o| *o > 0);
    if wavering < FEWEST {
        return None;
    }
    let seen = pattern.seen();
    if !both_ways && pattern.answers.0 == pattern.answers.1 && !pattern.is_lower() {
        let evidence = format!("{seen}: never the same number more, as if a text with the time were added");
        return Some(finding("hidden-system-prompt", Likely, evidence));
    }
    let evidence = format!("{seen}: several counts for one prompt on {wavering}, where the reference has one");
    Some(finding(MISCOUNTED, Certain, evidence))
}

/// Differences without a rule: small ones, to one side, are those of a template.
fn template(pattern: &Pattern<'_>) -> Option<Finding> {
    let differing = pattern.differing.len();
    if differing < FEWEST {
        return None;
    }
    let (least, most) = (*pattern.offsets.first()?, *pattern.offsets.last()?);
    let seen = format!("{}: by {least:+} to {most:+}", pattern.seen());
    let one_sided = (least > 0) == (most > 0);
    let known = pattern.differing.iter().all(|p| p.traits.is_some());
    let small = |p: &&ProbeTokens<'_>| {
        let messages = p.traits.map_or(1, |t| i64::from(t.messages));
        p.differences().all(|d| d.abs() <= TEMPLATE_TOKENS * (messages + 1))
    };
    Some(if one_sided && pattern.differing.iter().all(small) {
        let confidence = if known && 2 * differing >= pattern.all.len() { Certain } else { Likely };
        finding("wrong-template", confidence, seen)
    } else if known {
        let evidence = format!("{seen}, without a rule: counted by another tokenizer, or estimated");
        finding(MISCOUNTED, Likely, evidence)
    } else {
        finding("wrong-template", Likely, seen)
    })
}

/// No counts, where they were to come and the reference sends them. That says nothing of the answers, so it is never certain
/// drift; a host whose counts are unknown is only harder to check.
fn silent(tokens: &PromptTokens<'_>) -> Option<Finding> {
    let silent = tokens.silent;
    (silent.showing >= FEWEST).then(|| {
        let evidence =
            format!("no token counts with {} of {} answers that were to bring them", silent.showing, silent.all);
        finding(MISCOUNTED, Likely, evidence)
    })
}
