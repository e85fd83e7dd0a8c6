//! What counts of prompt tokens say of whoever counts: a host that counts in several ways, and another model's tokenizer.
//!
//! These rules come before those on the prompt: counts that waver, or that leave whole blocks out, show nothing of what
//! the model is asked.

use super::pattern::{Pattern, line};
use super::reading::Reading;
use super::tally::{FEWEST, RULED_OUT, Tally};
use super::{Evidence, MOSTLY_ANOTHER_MODEL, finding};
use crate::compare::control::Unit;
use crate::sample::{Asking, Traits};
use crate::signal::answers::{Answer, Answers};
use crate::signal::tokens::PromptTokens;
use crate::stats::exact::{Share, more_often};
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::Finding;

/// Whether a host's counts of tokens can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// They can, as far as is seen.
    Steady,
    /// It counts one prompt in several ways, up and down.
    Wavering,
    /// Its counts of answers are not of their tokens.
    OfSomethingElse,
}

impl Counts {
    /// What the counts of prompts show.
    pub fn of(tokens: &PromptTokens<'_>) -> Self {
        let is_wavering = |p: &Pattern<'_>| p.all.len() >= FEWEST && p.wavering() >= FEWEST && is_up_and_down(p);
        Pattern::of(tokens).filter(is_wavering).map_or(Self::Steady, |_| Self::Wavering)
    }
}

const MISCOUNTED: &str = "usage-miscounted";

/// Fewest greedy answers of which it is said that none, or nearly none, is the reference's.
const FEWEST_LEAVING: usize = 8;

/// The share of another model's greedy answers that leave the reference's.
const NEARLY_ALL: f64 = 0.9;

/// The share of the endpoint's own greedy answers that leave the reference's where the model is the same, at most; and of counts that
/// another tokenizer makes otherwise, and of what longer prompts add to the reference's that they add to its, at least.
const HALF: f64 = 0.5;

/// From this share of counts on that differ by the commonest number of their kind, a template is as likely as a tokenizer.
const MOSTLY_ONE: f64 = 0.85;

fn is_up_and_down(pattern: &Pattern<'_>) -> bool {
    pattern.offsets.first().is_some_and(|o| *o < 0) && pattern.offsets.last().is_some_and(|o| *o > 0)
}

/// Several counts for one prompt: requests that go to two models, or a host that counts in several ways.
pub(super) fn wavering(pattern: &Pattern<'_>, evidence: &Evidence<'_>, reading: Reading) -> Option<Finding> {
    let wavering = pattern.wavering();
    if wavering < FEWEST || matches!(pattern.offset(), Some(offset) if offset >= -1) {
        return None;
    }
    if let Some(found) = two_models(pattern, evidence) {
        return Some(found);
    }
    // A way of counting changes no answer: some of the servers ask otherwise, which the rules on the prompt look at.
    if reading == Reading::Other && !is_up_and_down(pattern) {
        return None;
    }
    let seen = pattern.seen();
    if pattern.is_lower() {
        let evidence = format!("{seen}: fewer for some answers to one prompt, as where cached tokens are not counted");
        return Some(finding(MISCOUNTED, Likely, evidence));
    }
    if !is_up_and_down(pattern) && pattern.answers.0 == pattern.answers.1 {
        let evidence = format!("{seen}: never the same number more, as if a text with the time were added");
        return Some(finding("hidden-system-prompt", Possible, evidence));
    }
    let evidence = format!("{seen}: several counts for one prompt on {wavering}, where the reference has one");
    Some(finding(MISCOUNTED, if pattern.is_same_model() { Certain } else { Likely }, evidence))
}

/// Answers with the reference's counts that are the reference's, and others with other counts that are not, and leave it as soon as
/// another model's do: what a cache has kept is computed by other kernels, and parts late. Where it is exactly the long prompts that are
/// counted otherwise, each in one way, something is done to long prompts.
fn two_models(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
    let (alike, other) = pattern.leaving();
    let apart = other.all >= FEWEST_LEAVING && other.value() >= NEARLY_ALL && alike.value() <= HALF;
    let is_soon = pattern.hazard() >= MOSTLY_ANOTHER_MODEL * evidence.pace.hazard;
    let is_of_prompts = pattern.is_one_tokenizer() || pattern.wavering() == 0 && pattern.is_by_length();
    let is_split = apart && is_soon && !is_of_prompts && more_often(other, alike) <= RULED_OUT;
    is_split.then(|| {
        let evidence = format!(
            "{}: {} of {} greedy answers with other counts differ from the reference's, and {} of {} with its counts, as where \
             another model with another tokenizer gives some of them",
            pattern.seen(),
            other.showing,
            other.all,
            alike.showing,
            alike.all
        );
        finding("partial-routing", Likely, evidence)
    })
}

/// Fewer tokens, where the answers are the reference's all the same: what is not counted was read.
pub(super) fn uncounted(pattern: &Pattern<'_>) -> Option<Finding> {
    let (_, other) = pattern.leaving();
    let is_read = other.all >= FEWEST_LEAVING && other.value() <= HALF && pattern.is_same_model();
    let is_far = pattern.offsets.last().is_some_and(|offset| *offset <= -BLOCK);
    (is_read && is_far).then(|| {
        let evidence = format!(
            "{}: fewer, though {} of {} greedy answers to them are the reference's, as where cached tokens are not counted",
            pattern.seen(),
            other.all - other.showing,
            other.all
        );
        finding(MISCOUNTED, Likely, evidence)
    })
}

/// Tokens of the smallest block that a cache keeps: prompts must share so many, and what is kept is a multiple of it.
const BLOCK: i64 = 16;

/// Fewer tokens by whole blocks, where answers do not show that the prompt is another: kept blocks are left out of the
/// count. Images and descriptions of tools may take as many, and a host that leaves those out has no cache to thank. So may
/// a message that is left out of each prompt: without answers that show how it was read, it may be that.
pub(super) fn in_blocks(pattern: &Pattern<'_>, reading: Reading) -> Option<Finding> {
    let all_have = |has: fn(&Traits) -> bool| pattern.differing.iter().all(|p| p.traits.is_some_and(has));
    let is_of_content = all_have(|t| t.images > 0) || all_have(|t| !t.tools.is_empty());
    let is_in_blocks = pattern.is_lower() && pattern.offsets.iter().all(|offset| offset % BLOCK == 0);
    let is_kept = is_in_blocks && !is_of_content && reading != Reading::Other && pattern.differing.len() >= FEWEST;
    let is_one_for_all = pattern.offset().is_some() && pattern.answers.0 == pattern.answers.1;
    let is_told = !is_one_for_all || pattern.leaving().1.all >= FEWEST_LEAVING;
    is_kept.then(|| {
        let evidence = format!(
            "{}: fewer by whole blocks of {BLOCK}, as where the cached tokens of a text that prompts share are not counted",
            pattern.seen()
        );
        finding(MISCOUNTED, if is_told { Likely } else { Possible }, evidence)
    })
}

/// Differences without any rule: another tokenizer's counts, or a guess.
pub(super) fn unruled(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
    let differing = pattern.differing.len();
    if differing < FEWEST {
        return None;
    }
    let (least, most) = (*pattern.offsets.first()?, *pattern.offsets.last()?);
    let seen = format!("{}: by {least:+} to {most:+}, without a rule", pattern.seen());
    if is_estimate(pattern) {
        let evidence = format!("{seen} but the number of characters: estimated");
        return Some(finding(MISCOUNTED, Likely, evidence));
    }
    if pattern.is_same_model() {
        let evidence =
            format!("{seen}, though answers are the reference's: counted by another tokenizer, or estimated");
        return Some(finding(MISCOUNTED, Likely, evidence));
    }
    if let Some(found) = two_models(pattern, evidence) {
        return Some(found);
    }
    let (_, other) = pattern.leaving();
    let none_is_same = other.all >= FEWEST_LEAVING && other.showing == other.all && pattern.same_texts() == 0;
    let share = differing as f64 / pattern.all.len() as f64;
    if none_is_same && (share >= NEARLY_ALL || share >= HALF && is_another_throughout(pattern, evidence)) {
        let evidence_of_it =
            format!("{seen}, as another tokenizer counts, and none of {} greedy answers is the reference's", other.all);
        let repeats = repeats_itself(evidence);
        // Where most counts differ by one number for each kind of prompt, a template may be the reason as well.
        let is_varied = pattern.commonest().value() < MOSTLY_ONE;
        // Long answers all part somewhere under other kernels; those of another model part at once.
        let is_soon = pattern.hazard() >= MOSTLY_ANOTHER_MODEL * evidence.pace.hazard;
        // Prompts that are all shortened to one length are counted without a rule too.
        let grows = pattern.growth().is_none_or(|growth| growth >= HALF);
        let is_steady = repeats.all >= FEWEST && repeats.value() > HALF && is_varied && is_soon && grows;
        return Some(finding("swapped-model", if is_steady { Likely } else { Possible }, evidence_of_it));
    }
    Some(finding(MISCOUNTED, Possible, format!("{seen}: counted by another tokenizer, or estimated")))
}

/// Whether no greedy answer is the reference's either where counts happen to agree, and answers are as far from it as the control's in
/// every way: two tokenizers take short prompts apart alike now and then.
fn is_another_throughout(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> bool {
    let (alike, _) = pattern.leaving();
    let is_far = evidence.unit == Unit::Measured && evidence.is_wholly_as_far();
    is_far && alike.showing == alike.all
}

/// Whether the counts follow the characters of the prompts to the token. What a tokenizer counts does not.
fn is_estimate(pattern: &Pattern<'_>) -> bool {
    let single = pattern.all.iter().filter_map(|p| Some((p.traits?, p.seen.first()?)));
    let points: Vec<(f64, f64)> = single
        .filter(|(traits, _)| traits.messages == 1 && traits.images == 0 && traits.tools.is_empty())
        .map(|(traits, count)| (traits.characters as f64, *count as f64))
        .collect();
    let follows = |(intercept, slope): (f64, f64)| points.iter().all(|(x, y)| (intercept + slope * x - y).abs() <= 1.0);
    points.len() >= FEWEST_LEAVING && line(&points).is_some_and(follows)
}

/// Greedy probes of the reference with several answers, and those of them on which all are equal.
fn repeats_itself(evidence: &Evidence<'_>) -> Share {
    let mut out = Share::default();
    let greedy = evidence.reference.everything().filter(|(asking, ..)| *asking == Asking::Greedy);
    for (_, _, answers) in greedy.filter(|(_, _, answers)| answers.len() >= 2) {
        out.count(answers.windows(2).all(|pair| pair[0].text == pair[1].text).into());
    }
    out
}

/// How many times as many tokens as the cap, or as the bytes that are shown, an answer may have.
const BEYOND_REASON: u64 = 64;

/// Whether an answer may have so many tokens. Thoughts that are not shown may pass a cap, and not without end.
pub(super) fn is_possible(answer: &Answer<'_>, tokens: u64) -> bool {
    let shown = answer.generated().len() as u64;
    let room = answer.cap().unwrap_or(UNCAPPED).max(shown).max(THOUGHT);
    tokens <= room.saturating_mul(BEYOND_REASON)
}

/// Tokens of a long thought, which some hosts count and do not hold to the cap.
const THOUGHT: u64 = 1 << 12;

/// The most tokens that are thought of where no cap was sent.
const UNCAPPED: u64 = 1 << 16;

/// More tokens than any answer to the request can have.
pub(super) fn impossible(evidence: &Evidence<'_>) -> Option<Finding> {
    let mut most = 0;
    let mut seen = |answers: &Answers<'_>| {
        let mut share = Share::default();
        for (answer, tokens) in answers.all().filter_map(|a| Some((a, a.completion_tokens()?))) {
            let impossible = !is_possible(answer, tokens);
            most = if impossible { tokens.max(most) } else { most };
            share.count(impossible.into());
        }
        share
    };
    let tally = Tally { reference: seen(evidence.reference), endpoint: seen(evidence.answers) };
    let confidence = tally.never()?;
    let evidence = format!("more tokens than the cap can hold, up to {most}, on {}", tally.words());
    Some(finding(MISCOUNTED, confidence, evidence))
}

/// No counts, where they were to come and the reference sends them: a host whose counts are unknown is only harder to check.
pub(super) fn silent(tokens: &PromptTokens<'_>) -> Option<Finding> {
    let Share { showing, all } = tokens.silent;
    (showing >= FEWEST).then(|| {
        let of_prompt = tokens.of_prompt_alone;
        let evidence = if of_prompt == 0 {
            format!("no token counts with {showing} of {all} answers that were to bring them")
        } else if of_prompt == showing {
            format!(
                "prompts are not counted with {showing} of {all} answers whose own tokens are, as where all of a prompt \
                 was cached"
            )
        } else {
            format!(
                "prompts are not counted with {showing} of {all} answers, though with {of_prompt} of these the answer's \
                 own tokens are"
            )
        };
        finding(MISCOUNTED, Likely, evidence)
    })
}
