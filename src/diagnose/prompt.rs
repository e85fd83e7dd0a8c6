//! What prompt tokens say of the prompt: that the model is not asked the same thing, and what is probably wrong with it.
//!
//! Every rule looks for one pattern in the differences of counts; the first that fits explains them. All need three probes,
//! or two of one kind beside three of the others: one prompt may be counted oddly, several in one pattern are a rule. That the
//! prompt is another is one thing and what is wrong with it another: where several faults would count so, the first is certain and
//! the name is not. All of it holds only where answers are others too, which [`super::reading`] looks at.

use std::collections::BTreeSet;

use super::pattern::{FEWEST_OF_A_KIND, Pattern, has_system, line};
use super::reading::Reading;
use super::tally::{FEWEST, Tally};
use super::{Evidence, counting, finding, tools};
use crate::plural::count;
use crate::signal::tokens::{ProbeTokens, Text};
use crate::stats::exact::Share;
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::{Confidence, Finding};

/// Characters of a token at most, on average, in any language that was looked at; a dropped text takes more tokens than this
/// leaves.
const CHARACTERS_A_TOKEN: u64 = 8;

/// The share of the reference's calls that may come back where no tool has reached the model.
const HARDLY: f64 = 0.25;

/// Tokens of the smallest description of a tool.
const TOOL_TOKENS: i64 = 4;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let pattern = Pattern::of(evidence.tokens).filter(|p| p.all.len() >= FEWEST);
    let mut findings = pattern.map_or_else(Vec::new, |pattern| explained(&pattern, evidence));
    if let Some(silent) = counting::silent(evidence.tokens) {
        // Counts that are not made and counts that waver are one way of counting.
        match findings.iter_mut().find(|f| f.fault == silent.fault) {
            Some(found) => {
                found.evidence = format!("{}; {}", found.evidence, silent.evidence);
                found.confidence = found.confidence.min(silent.confidence);
            }
            None => findings.push(silent),
        }
    }
    findings
}

fn explained(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Vec<Finding> {
    let one = |found: Option<Finding>| found.map(|found| vec![found]);
    let reading = Reading::of(pattern, evidence);
    let findings = one(counting::wavering(pattern, evidence, reading))
        .or_else(|| one(counting::in_blocks(pattern, reading)))
        .or_else(|| everywhere(pattern, evidence))
        .or_else(|| one(images(pattern)))
        .or_else(|| one(ceiling(pattern)))
        .or_else(|| one(counting::uncounted(pattern)))
        .or_else(|| offered_tools(pattern, evidence))
        .or_else(|| system_messages(pattern))
        .or_else(|| now_and_then(pattern, evidence))
        .or_else(|| template(pattern))
        .or_else(|| one(shortened(pattern)))
        .or_else(|| one(counting::unruled(pattern, evidence)))
        .unwrap_or_default();
    reading.weigh(findings, pattern)
}

/// A name that other faults may have as well, beside what is sure: that the prompt is another.
fn among_others(fault: &str, confidence: Confidence, evidence: &str) -> Vec<Finding> {
    vec![finding("prompt-differs", Certain, evidence.to_owned()), finding(fault, confidence, evidence.to_owned())]
}

/// What one difference stands for: a host's own message, a template with other marks, or a way of counting beside answers that differ
/// for another reason count the same. That it is one for all prompts says little where another tokenizer may have counted.
fn named(pattern: &Pattern<'_>, fault: &str, evidence: &str) -> Vec<Finding> {
    let is_one_tokenizer = pattern.is_one_tokenizer() || pattern.same_texts() > 0;
    among_others(fault, if is_one_tokenizer { Likely } else { Possible }, evidence)
}

/// One difference for all probes, or one for each kind of probe: a host's own message is joined to what stands there already.
fn everywhere(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Option<Vec<Finding>> {
    if pattern.differing.len() < pattern.all.len() {
        return None;
    }
    if let Some(found) = counting::uncounted(pattern) {
        return Some(vec![found]);
    }
    if let Some(offset) = pattern.offset() {
        return Some(constant(pattern, offset, evidence));
    }
    let more = pattern.offsets.iter().all(|offset| *offset > 1);
    (more && pattern.is_one_for_each_kind() && pattern.all.iter().all(|p| p.traits.is_some())).then(|| {
        let evidence = format!(
            "{}: the same number more on each, another where a system message, tools or images were sent",
            pattern.seen()
        );
        named(pattern, "hidden-system-prompt", &evidence)
    })
}

/// The fault that one difference without exception stands for.
fn constant(pattern: &Pattern<'_>, offset: i64, evidence: &Evidence<'_>) -> Vec<Finding> {
    let seen = pattern.seen();
    match offset {
        1 => start_token(pattern, "double-bos", evidence),
        -1 => start_token(pattern, "missing-bos", evidence),
        more if more > 1 => named(pattern, "hidden-system-prompt", &format!("{seen}: {more} more on each")),
        fewer => {
            let evidence = format!("{seen}: {} fewer on each", fewer.saturating_neg());
            if is_with_and_without(pattern) {
                return named(pattern, "wrong-template", &evidence);
            }
            left_out(pattern, &format!("{evidence}, as where the template's own system message is left out or another"))
        }
    }
}

/// Whether probes with a system message of the caller's differ, and probes without one.
fn is_with_and_without(pattern: &Pattern<'_>) -> bool {
    let with = pattern.differing.iter().filter(|p| has_system(p)).count();
    with >= FEWEST_OF_A_KIND && pattern.differing.len() - with >= FEWEST
}

/// Tokens that are missing where no system message was sent.
fn left_out(pattern: &Pattern<'_>, evidence: &str) -> Vec<Finding> {
    let confidence = if pattern.is_one_tokenizer() { Likely } else { Possible };
    among_others("wrong-template", confidence, evidence)
}

/// A start token comes before everything, so it is counted with a system message of the caller's and without one. Where only one
/// of these was sent, a message of the host's own that is a token longer or shorter counts the same. So do a template with another
/// token around all messages and another model with such a template, so that the name is never certain.
fn start_token(pattern: &Pattern<'_>, fault: &str, evidence: &Evidence<'_>) -> Vec<Finding> {
    let seen = pattern.seen();
    if !is_with_and_without(pattern) {
        let seen = format!("{seen}: by one on each, as by a start token, or by a token of a message of the host's");
        return among_others(fault, Possible, &seen);
    }
    let is_one_tokenizer = pattern.is_one_tokenizer() || pattern.same_texts() > 0;
    let is_plain = is_one_tokenizer && !evidence.is_as_far_as_another_model();
    among_others(fault, if is_plain { Likely } else { Possible }, &seen)
}

/// Equal up to a ceiling that longer prompts never pass.
fn ceiling(pattern: &Pattern<'_>) -> Option<Finding> {
    if !pattern.is_lower() {
        return None;
    }
    let touched = |p: &&ProbeTokens<'_>| -> Vec<i64> { p.seen.iter().copied().filter(|n| *n != p.reference).collect() };
    let counts: BTreeSet<i64> = pattern.differing.iter().flat_map(touched).collect();
    let highest = *counts.last()?;
    // Where no count grows with its prompt there is no ceiling above those that do.
    let equal: BTreeSet<i64> = pattern.all.iter().filter(|p| !p.differs()).map(|p| p.reference).collect();
    if equal.len() < 2 || pattern.all.len() - pattern.differing.len() < FEWEST {
        return None;
    }
    let longest_equal = equal.last().copied().unwrap_or(0);
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
    let longest = pattern.differing.iter().map(|p| p.reference).max().unwrap_or(0);
    let stops = 2 * (highest - counts.first()?) <= longest - shortest_cut;
    (cut >= FEWEST && longest_equal < shortest_cut && room && stops).then(|| {
        let evidence = format!("prompt_tokens of prompts above {longest_equal} tokens at most {highest}: {seen}");
        finding("truncated-context", Likely, evidence)
    })
}

/// Up to this share of what longer prompts add to the reference's counts they add to those of a host that shortens them.
const HARDLY_LONGER: f64 = 0.5;

/// Up to this share of the answers to prompts that were not shortened may be others than the reference's.
const SOME: f64 = 0.5;

/// The longest prompts shortened, each always by as much, and the longer it is the more: cut by words, or in the midst, so that no one
/// number of tokens is left. Answers to the others are the reference's, and those to the long ones are not.
fn shortened(pattern: &Pattern<'_>) -> Option<Finding> {
    let is_shorter = pattern.is_lower() && pattern.wavering() == 0 && pattern.differing.len() >= FEWEST;
    if !is_shorter || pattern.is_same_model() || !pattern.is_by_length() {
        return None;
    }
    let is_levelled = pattern.growth().is_some_and(|growth| growth <= HARDLY_LONGER);
    let (alike, _) = pattern.leaving();
    let is_rest_the_same = alike.all >= FEWEST && alike.value() <= SOME;
    let confidence = match (is_levelled, is_rest_the_same) {
        (true, true) => Likely,
        (false, false) => return None,
        _ => Possible,
    };
    let evidence = format!("{}: fewer on exactly the longest prompts, always the same number on each", pattern.seen());
    Some(finding("truncated-context", confidence, evidence))
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

/// The share of the images' tokens that the endpoint still counts.
fn kept_of_images(pattern: &Pattern<'_>) -> Option<f64> {
    let (intercept, slope) = text_tokens(pattern)?;
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

/// What the text of a single message takes, estimated from the reference's counts by least squares over characters: what comes
/// with every prompt, and what with each character.
fn text_tokens(pattern: &Pattern<'_>) -> Option<(f64, f64)> {
    let points: Vec<(f64, f64)> = pattern
        .all
        .iter()
        .filter_map(|p| Some((p.traits?, p.reference)))
        .filter(|(traits, _)| traits.messages == 1 && traits.images == 0 && traits.tools.is_empty())
        .map(|(traits, tokens)| (traits.characters as f64, tokens as f64))
        .collect();
    line(&points)
}

/// Fewer tokens where there are tools, and nowhere else.
fn offered_tools(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Option<Vec<Finding>> {
    if !pattern.is_lower() || !pattern.is_only_where(|t| !t.tools.is_empty()) {
        return None;
    }
    let seen = pattern.seen();
    let large = |p: &&ProbeTokens<'_>| {
        let tools = p.traits.map_or(0, |t| i64::try_from(t.tools.len()).unwrap_or(i64::MAX));
        p.differences().all(|d| d <= -TOOL_TOKENS.saturating_mul(tools))
    };
    let Tally { endpoint, reference } = tools::calls(evidence);
    let quiet = |calls: Share| Share { showing: calls.all - calls.showing, all: calls.all };
    let is_quiet = Tally { endpoint: quiet(endpoint), reference: quiet(reference) }.is_beyond_chance();
    let are_large = pattern.differing.iter().all(large);
    if are_large && is_quiet && endpoint.value() <= HARDLY * reference.value() {
        let never = match endpoint.showing {
            0 => format!("no call comes back, where the reference has one in {}", count(reference.showing, "answer")),
            few => format!("a call comes back in {}, the reference's in {}", count(few, "answer"), reference.showing),
        };
        return Some(vec![finding("tools-dropped", Certain, format!("{seen}, all that offer tools, and {never}"))]);
    }
    let calls = if endpoint.showing > 0 { ", which it does call" } else { "" };
    if are_large {
        // Where too few calls are to be had, nothing tells tools that are not counted from those that are not there.
        let confidence = if endpoint.showing > 0 { Likely } else { Possible };
        let evidence = format!("{seen}, all that offer tools{calls}: they are not counted, or written shorter");
        return Some(vec![finding("usage-miscounted", confidence, evidence)]);
    }
    let evidence = format!("{seen}, all that offer tools{calls}: they are written otherwise into the prompt");
    Some(among_others("wrong-template", Likely, &evidence))
}

/// Other counts where there is a system message and nowhere else, or where there is none and nowhere else.
fn system_messages(pattern: &Pattern<'_>) -> Option<Vec<Finding>> {
    let with = pattern.all.iter().filter(|p| has_system(p)).count();
    let without_one = pattern.differing.iter().all(|p| !has_system(p));
    if without_one && with > 0 && pattern.differing.len() + with == pattern.all.len() {
        return own_message(pattern);
    }
    if !pattern.is_only_where(|t| t.system_characters > 0) {
        return None;
    }
    let evidence = format!("{}, all with a system message", pattern.seen());
    Some(if pattern.is_lower() && pattern.differing.iter().all(|p| is_dropped(p)) {
        vec![finding("dropped-system-prompt", Certain, evidence)]
    } else if let Some(confidence) = replaced(pattern) {
        let evidence = format!("{evidence}, about as many as without one: the template may put its own there");
        among_others("dropped-system-prompt", confidence, &evidence)
    } else if pattern.offset().is_some() && is_varied(pattern) {
        among_others("wrong-template", Likely, &format!("{evidence}, which is written otherwise into the prompt"))
    } else {
        vec![finding("prompt-differs", Certain, format!("{evidence}, which does not reach the model as it was sent"))]
    })
}

/// One difference on all probes without a system message of their own: what stands there when none is sent is another text.
fn own_message(pattern: &Pattern<'_>) -> Option<Vec<Finding>> {
    let offset = pattern.offset().filter(|_| pattern.differing.len() >= FEWEST)?;
    let seen = pattern.seen();
    Some(if offset > 0 {
        let evidence = format!("{seen}: {offset} more on each that has no system message of its own");
        named(pattern, "hidden-system-prompt", &evidence)
    } else {
        let fewer = offset.saturating_neg();
        let evidence = format!(
            "{seen}: {fewer} fewer on each that has no system message of its own, as where the template's is left out or another"
        );
        left_out(pattern, &evidence)
    })
}

fn is_dropped(probe: &ProbeTokens<'_>) -> bool {
    let characters = probe.traits.map_or(0, |t| t.system_characters);
    let least = i64::try_from(characters / CHARACTERS_A_TOKEN).unwrap_or(i64::MAX).max(2);
    probe.differences().all(|d| d <= -least)
}

/// Characters by which system messages must differ before one number on all of them shows that it does not depend on them.
const VARIED: u64 = 24;

fn is_varied(pattern: &Pattern<'_>) -> bool {
    let lengths = || pattern.differing.iter().filter_map(|p| p.traits).map(|t| t.system_characters);
    lengths().max().unwrap_or(0) >= lengths().min().unwrap_or(0) + VARIED
}

/// Tokens by which the estimate of what a text takes may be off, and as a share of it.
const ROUGHLY: (f64, f64) = (3.0, 0.1);

/// Whether what is left of prompts with a system message is what one without takes, and how sure that is: where the reference's own
/// counts lie as near, nothing tells it from another template.
fn replaced(pattern: &Pattern<'_>) -> Option<Confidence> {
    let (intercept, slope) = text_tokens(pattern)?;
    let alone = |p: &&&ProbeTokens<'_>| p.traits.is_some_and(|t| t.messages == 2);
    let is_near = |count: i64, p: &ProbeTokens<'_>| {
        let characters = p.traits.map_or(0, |t| t.characters.saturating_sub(t.system_characters));
        let expected = intercept + slope * characters as f64;
        (count as f64 - expected).abs() <= ROUGHLY.0.max(ROUGHLY.1 * expected)
    };
    let probes: Vec<&ProbeTokens<'_>> = pattern.differing.iter().filter(alone).copied().collect();
    let theirs = probes.iter().all(|p| p.seen.iter().all(|count| is_near(*count, p)));
    let ours = probes.iter().filter(|p| is_near(p.reference, p)).count();
    let all_leave = pattern.differing.iter().all(|p| p.texts.iter().all(|text| *text != Text::Same));
    (probes.len() >= FEWEST_OF_A_KIND && theirs && all_leave).then_some(if ours == 0 { Likely } else { Possible })
}

/// One difference, in a share of the answers: some of the servers behind the address have the fault.
fn now_and_then(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Option<Vec<Finding>> {
    let offset = pattern.offset()?;
    (pattern.differing.len() >= FEWEST).then(|| constant(pattern, offset, evidence))
}

/// One difference for each kind of prompt, all to one side: tokens around each message, or in the place of each. What a
/// template makes of tools differs with the tools.
fn template(pattern: &Pattern<'_>) -> Option<Vec<Finding>> {
    let (least, most) = (*pattern.offsets.first()?, *pattern.offsets.last()?);
    let one_sided = (least > 0) == (most > 0);
    let known = pattern.differing.iter().all(|p| p.traits.is_some());
    let is_one = pattern.is_one_for_each_kind() || pattern.is_one_but_for_tools();
    let is_rule = pattern.differing.len() >= FEWEST && one_sided && known && is_one;
    is_rule.then(|| named(pattern, "wrong-template", &format!("{}: by {least:+} to {most:+}", pattern.seen())))
}
