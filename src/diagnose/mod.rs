//! Diagnosis: a difference put down to a likely fault.
//!
//! Layer 2, pure. Rules over what was measured, each with the evidence in words, in a file a topic. A finding is `certain` only
//! where an exact count disagrees with the reference's and the reference does not show the same; a statistic alone never
//! makes one. [`tally`] says how many answers it takes.

use self::tally::{RULED_OUT, Tally};
use crate::compare::Settings;
use crate::compare::control::{Pace, Unit};
use crate::compare::effect::Sized;
use crate::compare::thinking::Thinking;
use crate::sample::Traits;
use crate::signal::answers::{Answer, Answers};
use crate::signal::repeats::greedy_that_change;
use crate::signal::tokens::PromptTokens;
use crate::stats::divergence::{Divergence, ProbeExposure};
use crate::stats::exact::more_often;
use crate::stats::interval::mean_at_least;
use crate::stats::permutation::TwoSample;
use crate::verdict::{Confidence, EffectName, Finding, SignalResult};

pub mod availability;
mod cap;
mod channels;
mod completion;
mod counting;
mod distribution;
mod echo;
mod ending;
mod form;
mod pattern;
mod penalty;
mod prompt;
mod reading;
mod route;
mod sampling;
pub mod tally;
mod thinking;
mod tools;

pub use counting::Counts;

#[cfg(test)]
mod tests;

/// From this share of answers on, as if from another model, the model itself is doubted.
const MOSTLY_ANOTHER_MODEL: f64 = 0.5;

/// From this share of greedy answers on that leave the reference's, beyond its own, more than noise is at work.
const MOVED: f64 = 0.15;

/// What is known of one endpoint.
pub struct Evidence<'a> {
    /// The reference's answers.
    pub reference: &'a Answers<'a>,
    /// The endpoint's.
    pub answers: &'a Answers<'a>,
    /// Prompt tokens beside the reference's.
    pub tokens: &'a PromptTokens<'a>,
    /// Whether its counts can be relied on.
    pub counts: Counts,
    /// The name by which the model is asked for.
    pub asked_model: Option<&'a str>,
    /// The names under which it may answer, where the user says so.
    pub expected_models: &'a [String],
    /// The test on sampled answers.
    pub sampled: Option<&'a TwoSample>,
    /// The test on greedy answers.
    pub greedy: Option<&'a Divergence>,
    /// The tests on features of answers.
    pub features: &'a [SignalResult],
    /// The effects.
    pub effects: &'a [Sized],
    /// What both sides show of their thinking, and what is missing.
    pub thinking: &'a Thinking,
    /// How soon another model's greedy answers leave the reference's.
    pub pace: &'a Pace,
    /// Whether a control shows how far another model is.
    pub unit: Unit,
    /// Characters of a token over the reference's greedy answers; `None` where its counts cannot be of what it shows.
    pub characters_per_token: Option<f64>,
    /// The tolerances and the level of tests.
    pub settings: &'a Settings,
}

impl<'a> Evidence<'a> {
    /// Tokens of an answer, where the hosts' counts can be relied on.
    fn completion_tokens(&self, answer: &Answer<'_>) -> Option<u64> {
        let counted = answer.completion_tokens().filter(|_| self.counts == Counts::Steady);
        // A zero beside a text stands for a count that was not made.
        counted.filter(|n| counting::is_possible(answer, *n) && (*n > 0 || answer.generated().is_empty()))
    }

    /// Whether an answer has as many tokens as its cap lets through.
    fn is_full(&self, answer: &Answer<'_>) -> bool {
        answer.cap().is_some_and(|cap| self.completion_tokens(answer).is_some_and(|n| n >= cap))
    }

    /// Whether the model itself answers otherwise where no tools are: its sampled answers are as if from another one, or many of its
    /// greedy ones leave the reference's. How it then calls tools is its own affair, and no sign of a fault of the parser.
    fn is_model_moved(&self) -> bool {
        let significant = |s: &Sized| s.p.is_none_or(|p| p <= self.settings.alpha);
        let substitution = self.effects.iter().find(|s| s.effect.name == EffectName::Substitution);
        // Beyond how often the reference leaves itself: a noisy host has not moved.
        let plain = |p: &&ProbeExposure| self.traits(&p.probe).is_none_or(|traits| traits.tools.is_empty());
        let probes = self.greedy.iter().flat_map(|g| &g.probes).filter(plain);
        let excess: Vec<f64> = probes.map(|p| p.cross.events - p.own.events).collect();
        substitution.is_some_and(|s| s.effect.low >= MOSTLY_ANOTHER_MODEL && significant(s))
            || mean_at_least(&excess) >= MOVED
    }

    /// The least that each measured distance from the reference's answers can be, as a share of another model's.
    fn distances(&self) -> impl Iterator<Item = f64> {
        let distances = [EffectName::Substitution, EffectName::Divergence];
        self.effects.iter().filter(move |s| distances.contains(&s.effect.name)).map(|s| s.effect.low)
    }

    /// Whether answers are surely as far from the reference's as another model's, or nearly.
    fn is_as_far_as_another_model(&self) -> bool {
        self.distances().any(|low| low >= MOSTLY_ANOTHER_MODEL)
    }

    /// The same in every way in which they were asked.
    fn is_wholly_as_far(&self) -> bool {
        self.is_as_far_as_another_model() && self.distances().all(|low| low >= MOSTLY_ANOTHER_MODEL)
    }

    /// Greedy probes whose answers change from one time to the next.
    fn repeats(&self) -> Tally {
        Tally { endpoint: greedy_that_change(self.answers), reference: greedy_that_change(self.reference) }
    }

    /// Whether greedy answers change far more often than the reference's.
    fn is_restless(&self) -> bool {
        let Tally { endpoint, reference } = self.repeats();
        more_often(endpoint, reference) <= RULED_OUT && endpoint.value() >= 2.0 * reference.value()
    }

    /// What a probe has in it, where either side's answers say so.
    fn traits(&self, probe: &str) -> Option<&'a Traits> {
        self.answers.traits(probe).or(self.reference.traits(probe))
    }
}

/// Names of another prompt: where one is likely, the answers are others because of it.
const ANOTHER_PROMPT: [&str; 4] =
    ["dropped-system-prompt", "hidden-system-prompt", "truncated-context", "wrong-template"];

/// Names of another model, found by something more exact than a distance.
const ANOTHER_MODEL: [&str; 2] = ["partial-routing", "swapped-model"];

/// What the shape of a difference suggests, as far as what was found by more exact means leaves something to explain.
fn by_shape(evidence: &Evidence<'_>, findings: &[Finding]) -> Option<Finding> {
    let named = || ANOTHER_MODEL.into_iter().chain(ANOTHER_PROMPT);
    let is_likely = |f: &Finding| f.confidence == Confidence::Likely;
    // Content that holds its thoughts is another text.
    let is_mixed = |f: &Finding| f.fault == "reasoning-misplaced" && evidence.thinking.disclosure.is_hidden();
    if findings.iter().any(|f| is_likely(f) && (is_mixed(f) || named().any(|name| name == f.fault))) {
        return None;
    }
    let found = distribution::finding(evidence)?;
    // Whoever thinks for longer or shorter says other things, and so does another model: nothing tells which it is.
    let thinks_otherwise = findings.iter().any(|f| f.fault == "reasoning-effort-ignored");
    let found = if thinks_otherwise && ANOTHER_MODEL.contains(&found.fault.as_str()) { possible(found) } else { found };
    if findings.iter().any(|f| f.fault == found.fault) {
        return None;
    }
    let explaining = findings.iter().filter(|f| f.is_certain_drift() || f.fault == "prompt-differs");
    explaining.map(|f| f.fault.as_str()).try_fold(found, |found, fault| beside(fault, found, evidence))
}

/// What the shape of a difference still says beside a fault that is certain. Only a fault that changes what the model is asked, or
/// what is done to its texts, explains answers that differ: any other leaves the whole difference to be told.
fn beside(fault: &str, found: Finding, evidence: &Evidence<'_>) -> Option<Finding> {
    let is_another_model = found.fault == "swapped-model";
    let is_far = is_another_model && evidence.is_wholly_as_far();
    let is_drawn = found.fault == "temperature-ignored";
    match fault {
        // Texts are spoilt throughout, or it is their ends that part.
        "corrupted-output" | "undecoded-tokens" | "wrong-eos" => None,
        // Another prompt is reason enough, and only a distance as of another model has more to say.
        "prompt-differs" => is_another_model.then(|| possible(found)),
        // Some prompts are others: their answers do not take all the rest as far.
        "dropped-system-prompt" | "image-downscaled" | "image-dropped" | "tools-dropped" | "truncated-context" => {
            is_far.then(|| possible(found))
        }
        // Answers of some kind are broken, or all are cut or go on: they part where they end, and vary with their length.
        "low-output-cap" | "max-tokens-ignored" | "schema-not-enforced" | "tool-parser" => {
            (is_far || is_drawn).then(|| possible(found))
        }
        "low-output-default" | "stop-ignored" if is_of_compared(fault, evidence) => {
            (is_far || is_drawn).then(|| possible(found))
        }
        // What is said once and kept varies as little as at a lower temperature.
        "cached-responses" if is_drawn => Some(possible(found)),
        _ => Some(found),
    }
}

/// Whether answers that are compared may end elsewhere by this fault: most often only those to canaries do.
fn is_of_compared(fault: &str, evidence: &Evidence<'_>) -> bool {
    let may_end_elsewhere = |a: &Answer<'_>| match fault {
        "low-output-default" => a.is_uncapped(),
        _ => a.sample.parameters.as_ref().is_some_and(|p| !p.stop.is_empty()),
    };
    evidence.answers.compared().any(may_end_elsewhere)
}

fn possible(finding: Finding) -> Finding {
    Finding { confidence: Confidence::Possible, ..finding }
}

/// All findings, the surest first.
pub fn diagnose(evidence: &Evidence<'_>) -> Vec<Finding> {
    let miscounted = (evidence.counts == Counts::Steady).then(|| completion::miscounted(evidence)).flatten();
    let counts = if miscounted.is_some() { Counts::OfSomethingElse } else { evidence.counts };
    let evidence = &Evidence { counts, ..*evidence };
    let mut findings = prompt::findings(evidence);
    findings.extend(cap::findings(evidence));
    // Where a lower cap cuts answers, no end token does.
    let is_cut = findings.iter().any(|f| f.fault == "low-output-cap" && f.confidence < Confidence::Possible);
    findings.extend(ending::findings(evidence).into_iter().filter(|f| !(is_cut && f.fault == "wrong-eos")));
    findings.extend(channels::findings(evidence));
    findings.extend(thinking::findings(evidence));
    // What a model writes that was offered no tools says nothing of the parser.
    let dropped = findings.iter().any(|f| f.fault == "tools-dropped");
    let of_tools = if dropped { Vec::new() } else { tools::findings(evidence) };
    let (of_parser, of_model) = if evidence.is_model_moved() { (Vec::new(), of_tools) } else { (of_tools, Vec::new()) };
    findings.extend(of_parser);
    findings.extend(echo::findings(evidence));
    findings.extend(route::finding(evidence));
    findings.extend(form::findings(evidence));
    findings.extend(counting::impossible(evidence).or(miscounted));
    // Answers that go on behind their cap have more room to part.
    let go_on = findings.iter().any(|f| f.fault == "max-tokens-ignored");
    let of_sampling = sampling::findings(evidence).into_iter();
    findings.extend(of_sampling.map(|f| if go_on && f.fault == "seed-ignored" { possible(f) } else { f }));
    // Of what is equally sure, what explains all answers comes before what explains some.
    if let Some(found) = by_shape(evidence, &findings) {
        findings.insert(0, found);
    }
    if let Some(found) = echo::canned(evidence) {
        match findings.iter_mut().find(|known| known.fault == found.fault) {
            Some(known) => known.evidence = format!("{}; {}", known.evidence, found.evidence),
            None => findings.push(found),
        }
    }
    // What may be the model's own doing is told last, and never as certain.
    findings.extend(of_model.into_iter().map(possible));
    findings.extend(availability::slow(evidence));
    findings.sort_by_key(|f| f.confidence);
    findings
}

fn finding(fault: &str, confidence: Confidence, evidence: String) -> Finding {
    Finding { fault: fault.to_owned(), confidence, evidence }
}
