//! What the model was asked, as greedy answers show it where prompts are counted otherwise.
//!
//! Another prompt gives other answers, and another way of counting gives the same ones. So a count is a sign of another
//! prompt where answers differ as well, by more than honest hosts' do; where they are the reference's it is the count
//! that is off.

use super::pattern::Pattern;
use super::penalty::{self, Beside};
use super::tally::FEWEST;
use super::{ANOTHER_MODEL, Evidence, finding};
use crate::compare::band::{HONEST_SHARE_OF_DRAWS, honest_hazard as per_character};
use crate::compare::control::Unit;
use crate::stats::exact::{Share, more_often};
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::{Confidence, EffectName, Finding};

/// What answers to prompts with other counts are beside the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Others, more often and sooner than under other kernels.
    Other,
    /// Its own: what was asked is what was sent.
    Same,
    /// No farther from it than honest hosts' may be.
    Near,
    /// Others in a way that is another sampling's and no prompt's, which hides what the prompt does.
    Drawn,
    /// Too few to tell, so that counts alone speak for another prompt.
    Untold,
}

/// Fewest prompts with a long answer that is the reference's of which it is said that they were read as they were sent.
const FEWEST_READ: usize = 5;

/// Fewest answers with the reference's counts beside which those with others can be held.
const FEWEST_BESIDE: usize = 8;

/// From this p-value on answers with other counts are others more often. It need not rule chance out by itself: the
/// counts differ.
const MORE_OFTEN: f64 = 0.01;

/// From this p-value on sampled answers are drawn from another distribution. Between honest hosts a test of equality rejects
/// as well, given answers enough, so that the difference must also be beyond the tolerance.
const DRAWN_OTHERWISE: f64 = 0.001;

/// Faults that more than counts shows, or counts that no host makes in a way of its own: none has a ceiling, and where no
/// call comes back the tools are missing. Images and messages are left out of counts, or counted at another rate.
const SHOWN_OTHERWISE: [&str; 2] = ["tools-dropped", "truncated-context"];

impl Reading {
    /// What the answers of this pattern are.
    pub fn of(pattern: &Pattern<'_>, evidence: &Evidence<'_>) -> Self {
        let (alike, other) = pattern.leaving();
        let none = Share { showing: 0, all: other.all };
        let beside = [alike, pattern.own()].into_iter().find(|share| share.all >= FEWEST_BESIDE).unwrap_or(none);
        let is_drawn_otherwise = is_drawn_otherwise(evidence);
        if more_often(other, beside) <= MORE_OFTEN {
            // Where thoughts are hidden, content parts at once behind those that part late.
            let is_soon = pattern.hazard() > honest_hazard(evidence) && !evidence.thinking.disclosure.is_hidden();
            return match is_soon || is_drawn_otherwise {
                true if pattern.is_everywhere() && is_drawn_by_other_rules(evidence) => Self::Drawn,
                true => Self::Other,
                false => Self::Near,
            };
        }
        match evidence.sampled {
            _ if pattern.same_texts() >= FEWEST_READ => Self::Same,
            _ if is_drawn_otherwise => Self::Other,
            Some(_) => Self::Near,
            None => Self::Untold,
        }
    }

    /// Findings on the prompt, held to what the answers bear out.
    pub fn weigh(self, findings: Vec<Finding>, pattern: &Pattern<'_>) -> Vec<Finding> {
        let of_prompt = |f: &Finding| f.fault != "usage-miscounted" && !ANOTHER_MODEL.contains(&f.fault.as_str());
        if self == Self::Other || !findings.iter().any(of_prompt) {
            return findings;
        }
        if is_one_start_token(pattern) && !is_unmoved(pattern) {
            return findings.into_iter().map(unless_declared).collect();
        }
        let surest = |f: &Finding| if of_prompt(f) { self.surest(f) } else { f.confidence };
        let hold = |f: Finding| Finding { confidence: f.confidence.max(surest(&f)), ..f };
        if self == Self::Same {
            let miscounted = read_all_the_same(pattern);
            // One prompt that is counted in several ways and read in one is no other prompt.
            let is_wavering = pattern.wavering() >= FEWEST;
            let names = findings.into_iter().filter(|f| !is_wavering && f.fault != "prompt-differs");
            return names.map(hold).chain([miscounted]).collect();
        }
        let held: Vec<Finding> = findings.into_iter().map(hold).collect();
        let is_open = held.iter().all(|f| f.confidence == Possible);
        held.into_iter().chain(is_open.then(|| self.counted_otherwise(pattern))).collect()
    }

    /// How sure a finding on the prompt can be at most.
    fn surest(self, found: &Finding) -> Confidence {
        let is_shown = SHOWN_OTHERWISE.contains(&found.fault.as_str());
        let is_another = self == Self::Other || is_shown && self != Self::Same;
        if is_another { Certain } else { Possible }
    }

    /// The finding that nothing but the count may be another.
    fn counted_otherwise(self, pattern: &Pattern<'_>) -> Finding {
        let why = match self {
            Self::Untold => "too few answers show how the prompt was read",
            Self::Drawn => "answers differ as under another sampling, which hides how the prompt was read",
            _ => "answers are no farther from the reference's than honest hosts' may be",
        };
        finding("usage-miscounted", Possible, format!("{}, and {why}", pattern.seen()))
    }
}

/// Whether answers are others in a way that no prompt makes them: at temperature 0 they change from one time to the next, or turn away
/// from words that were used. Then the count is of another prompt, or of the same one by a host that also samples otherwise.
fn is_drawn_by_other_rules(evidence: &Evidence<'_>) -> bool {
    evidence.is_restless() || penalty::turns_away(evidence, Beside::Distance).is_some()
}

/// Whether sampled answers are others by more than the tolerance.
fn is_drawn_otherwise(evidence: &Evidence<'_>) -> bool {
    let substitution = evidence.effects.iter().find(|s| s.effect.name == EffectName::Substitution);
    let is_beyond = substitution.is_some_and(|s| s.effect.low > s.limit(evidence.settings));
    is_beyond && evidence.sampled.is_some_and(|found| found.p <= DRAWN_OTHERWISE)
}

/// Fewest prompts with a long answer of which it is said that a token more would have moved one.
const FEWEST_UNMOVED: usize = 40;

/// Whether every greedy answer is one of the reference's, word for word, on so many prompts that another token would have moved one.
fn is_unmoved(pattern: &Pattern<'_>) -> bool {
    let (_, other) = pattern.leaving();
    other.showing == 0 && pattern.same_texts() >= FEWEST_UNMOVED
}

/// A finding on a token that answers neither show nor rule out: it stands, and says what a host needs that only counts so.
fn unless_declared(found: Finding) -> Finding {
    let evidence = format!("{}; `prompt_tokens_offset` declares a host that only counts so", found.evidence);
    Finding { evidence, ..found }
}

/// Whether each prompt has one token more, or one less, than the reference's, always. A start token too many moves few answers, so that
/// few that have moved say nothing against it, and a host that counts otherwise by one can be declared (`prompt_tokens_offset`).
fn is_one_start_token(pattern: &Pattern<'_>) -> bool {
    pattern.is_everywhere() && matches!(pattern.offset(), Some(-1 | 1))
}

/// The finding that prompts are read as they were sent, whatever is counted. A start token too many may change no answer, so that one
/// token leaves it open unless very many have not moved.
fn read_all_the_same(pattern: &Pattern<'_>) -> Finding {
    let (_, other) = pattern.leaving();
    let is_one_token = matches!(pattern.offset(), Some(-1 | 1)) && pattern.wavering() < FEWEST && !is_unmoved(pattern);
    let seen = format!(
        "{}, though {} of {} greedy answers to them are the reference's: the same prompt, counted otherwise",
        pattern.seen(),
        other.all - other.showing,
        other.all
    );
    finding("usage-miscounted", if is_one_token { Possible } else { Likely }, seen)
}

/// Divergences for each character up to which greedy answers may be an honest host's.
fn honest_hazard(evidence: &Evidence<'_>) -> f64 {
    let per_character = per_character(evidence.characters_per_token);
    match evidence.pace.unit {
        // Draws of the reference show how uncertain it is where it was asked.
        Unit::Draws => per_character.min(HONEST_SHARE_OF_DRAWS * evidence.pace.hazard),
        Unit::Measured | Unit::BuiltIn => per_character,
    }
}
