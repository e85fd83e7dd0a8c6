//! Diagnosis: a difference put down to a likely fault.
//!
//! Layer 2, pure. Rules over what was measured, each with the evidence in words. A finding is `certain` only where an exact
//! count disagrees; a statistic alone never makes one.

use crate::compare::effect::Sized;
use crate::signal::finish::Finish;
use crate::signal::metadata::{Metadata, may_be_same_model};
use crate::signal::tokens::{PromptTokens, Shape};
use crate::stats::kernel::mean_of_combined;
use crate::stats::permutation::TwoSample;
use crate::verdict::{Confidence, EffectName, Finding};

/// Fewest probes or answers on which an exact disagreement counts as a rule.
const FEWEST: usize = 3;

/// From this share of answers on, as if from another model, the model itself is doubted.
const MOSTLY_ANOTHER_MODEL: f64 = 0.5;

/// What is known of one endpoint.
pub struct Evidence<'a> {
    /// Prompt tokens beside the reference's.
    pub tokens: &'a PromptTokens,
    /// The name by which the model is asked for.
    pub asked_model: Option<&'a str>,
    /// Its finish reasons.
    pub finish: &'a Finish,
    /// The reference's.
    pub reference_finish: &'a Finish,
    /// What it says of itself.
    pub metadata: &'a Metadata,
    /// What the reference says of itself.
    pub reference_metadata: &'a Metadata,
    /// The test on sampled answers.
    pub sampled: Option<&'a TwoSample>,
    /// The effects.
    pub effects: &'a [Sized],
    /// The tolerance of effects.
    pub tolerance: f64,
    /// The tolerance of the dispersion.
    pub dispersion_tolerance: f64,
    /// The level of tests.
    pub alpha: f64,
}

/// All findings, the surest first.
pub fn diagnose(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = prompt(evidence.tokens);
    findings.extend(cap(evidence));
    findings.extend(special_tokens(evidence));
    findings.extend(finish_reason(evidence));
    findings.extend(names(evidence));
    findings.extend(distribution(evidence, &findings));
    findings.sort_by_key(|f| f.confidence);
    findings
}

fn finding(fault: &str, confidence: Confidence, evidence: String) -> Finding {
    Finding { fault: fault.to_owned(), confidence, evidence }
}

fn prompt(tokens: &PromptTokens) -> Vec<Finding> {
    let probes = tokens.counts.len();
    let enough = probes >= FEWEST;
    let (r, e) = tokens.example().unwrap_or_default();
    let seen = format!("prompt_tokens {e} against {r} on {} of {probes} probes", tokens.differing());
    let found = match tokens.shape() {
        Shape::Offset(1) if enough => finding("double-bos", Confidence::Certain, seen),
        Shape::Offset(-1) if enough => finding("missing-bos", Confidence::Certain, seen),
        Shape::Offset(o) if enough && o > 1 => {
            finding("hidden-system-prompt", Confidence::Certain, format!("{seen}: {o} more on each"))
        }
        Shape::Offset(o) if enough => {
            finding("wrong-template", Confidence::Certain, format!("{seen}: {} fewer on each", -o))
        }
        Shape::Ceiling(ceiling) if enough => finding(
            "truncated-context",
            Confidence::Certain,
            format!(
                "prompt_tokens never above {ceiling}: lower on {} of {probes} probes, equal on the rest",
                tokens.differing()
            ),
        ),
        Shape::Mixed { differing } if differing >= FEWEST => finding("wrong-template", Confidence::Likely, seen),
        _ => return Vec::new(),
    };
    vec![found]
}

fn cap(evidence: &Evidence<'_>) -> Option<Finding> {
    let Finish { over_cap, capped, .. } = *evidence.finish;
    // What the reference does as well is no difference from it, though worth knowing.
    let confidence = if evidence.reference_finish.over_cap == 0 { Confidence::Certain } else { Confidence::Possible };
    (over_cap >= FEWEST).then(|| {
        let seen = format!("completion_tokens over max_tokens on {over_cap} of {capped} answers");
        finding("max-tokens-ignored", confidence, seen)
    })
}

fn special_tokens(evidence: &Evidence<'_>) -> Option<Finding> {
    let leaked: Vec<&str> = evidence
        .metadata
        .special_tokens
        .difference(&evidence.reference_metadata.special_tokens)
        .map(String::as_str)
        .collect();
    (!leaked.is_empty()).then(|| {
        finding("leaked-tokens", Confidence::Likely, format!("special tokens in the text: {}", leaked.join(" ")))
    })
}

fn finish_reason(evidence: &Evidence<'_>) -> Option<Finding> {
    let (theirs, ours) = (evidence.finish.share(None), evidence.reference_finish.share(None));
    (theirs > 0.0 && ours == 0.0).then(|| {
        finding(
            "finish-reason-wrong",
            Confidence::Possible,
            format!("no finish reason on {:.0} % of answers", 100.0 * theirs),
        )
    })
}

/// The model that answers by its own word: another than was asked for, or more than one.
fn names(evidence: &Evidence<'_>) -> Option<Finding> {
    let models = &evidence.metadata.models;
    let total: usize = models.values().sum();
    let other = evidence.asked_model.and_then(|asked| {
        models.iter().find(|(name, _)| !may_be_same_model(asked, name)).map(|(name, n)| (asked, name, n))
    });
    if let Some((asked, name, n)) = other {
        let seen = format!("asked for `{asked}`, and {n} of {total} answers say that they are from `{name}`");
        let fault = if *n < total { "partial-routing" } else { "swapped-model" };
        return Some(finding(fault, Confidence::Likely, seen));
    }
    let names: Vec<String> = models.iter().map(|(name, n)| format!("`{name}` {n} times")).collect();
    (names.len() > 1).then(|| {
        finding(
            "partial-routing",
            Confidence::Possible,
            format!("answers are from several models: {}", names.join(", ")),
        )
    })
}

/// What the shape of the difference suggests, where nothing exact explains it.
fn distribution(evidence: &Evidence<'_>, exact: &[Finding]) -> Option<Finding> {
    if exact.iter().any(|f| f.confidence == Confidence::Certain) {
        return None;
    }
    let effect = |name| evidence.effects.iter().find(|s| s.effect.name == name);
    let beyond = |s: &&Sized| s.effect.low > evidence.tolerance && s.p.is_none_or(|p| p <= evidence.alpha);
    let substitution = effect(EffectName::Substitution).filter(beyond);
    let divergence = effect(EffectName::Divergence).filter(beyond);
    let dispersion = effect(EffectName::Dispersion).filter(|s| {
        s.p.is_some_and(|p| p <= evidence.alpha)
            && (s.effect.low > evidence.dispersion_tolerance || s.effect.high < -evidence.dispersion_tolerance)
    });
    if let Some(s) = dispersion.filter(|_| evidence.sampled.is_some_and(is_same_model_otherwise_sampled)) {
        let change = 100.0 * s.effect.estimate;
        let words = if change > 0.0 { "less" } else { "more" };
        let evidence =
            format!("sampled answers vary {:.0} % {words} than the reference's, around the same ones", change.abs());
        return Some(finding("temperature-ignored", Confidence::Likely, evidence));
    }
    if let Some(s) = substitution.filter(|s| s.effect.low >= MOSTLY_ANOTHER_MODEL) {
        let share = format!("as if {:.0} % of its answers came from another model", 100.0 * s.effect.estimate);
        return Some(finding("swapped-model", Confidence::Likely, share));
    }
    divergence.map(|s| {
        let share = 100.0 * s.effect.estimate;
        if s.effect.low >= MOSTLY_ANOTHER_MODEL {
            let evidence = format!("greedy answers drift away {share:.0} % as fast as another model's");
            return finding("swapped-model", Confidence::Likely, evidence);
        }
        let evidence = format!("greedy answers drift away evenly, {share:.0} % as fast as another model's; text alone cannot tell weights from kernels");
        finding("quantized-weights", Confidence::Possible, evidence)
    })
}

/// Whether the endpoint's answers lie between the reference's own and its more or less typical ones: then the similarity
/// across both sides lies between those within each, which is `|D| ≥ T`. Another model's answers are less similar to the
/// reference's than either side's are among themselves.
fn is_same_model_otherwise_sampled(found: &TwoSample) -> bool {
    mean_of_combined(&found.d).abs() >= mean_of_combined(&found.t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(counts: &[(u64, u64)]) -> Vec<(String, Confidence)> {
        let tokens = PromptTokens { counts: counts.to_vec(), wavering: 0 };
        prompt(&tokens).into_iter().map(|f| (f.fault, f.confidence)).collect()
    }

    #[test]
    fn one_token_more_on_every_probe_is_a_second_bos_for_certain() {
        assert_eq!(tokens(&[(12, 13), (20, 21), (9, 10)]), [("double-bos".to_owned(), Confidence::Certain)]);
    }

    fn over(cap: usize) -> Finish {
        Finish { over_cap: cap, capped: 20, ..Finish::default() }
    }

    fn cap_of(endpoint: &Finish, reference: &Finish) -> Option<Confidence> {
        let (tokens, metadata) = (PromptTokens::default(), Metadata::default());
        let evidence = Evidence {
            tokens: &tokens,
            asked_model: None,
            finish: endpoint,
            reference_finish: reference,
            metadata: &metadata,
            reference_metadata: &metadata,
            sampled: None,
            effects: &[],
            tolerance: 0.05,
            dispersion_tolerance: 0.1,
            alpha: 0.05,
        };
        diagnose(&evidence).first().map(|f| f.confidence)
    }

    #[test]
    fn a_cap_that_only_this_host_ignores_is_certain_and_one_that_the_reference_ignores_too_is_not() {
        assert_eq!(cap_of(&over(5), &over(0)), Some(Confidence::Certain));
        assert_eq!(cap_of(&over(5), &over(4)), Some(Confidence::Possible));
        assert_eq!(cap_of(&over(2), &over(0)), None);
    }

    #[test]
    fn another_name_than_the_one_asked_for_is_told() {
        let of = |asked, names: &[(&str, usize)]| {
            let metadata = Metadata {
                models: names.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
                ..Metadata::default()
            };
            let (tokens, finish, reference) = (PromptTokens::default(), Finish::default(), Metadata::default());
            let evidence = Evidence {
                tokens: &tokens,
                asked_model: asked,
                finish: &finish,
                reference_finish: &finish,
                metadata: &metadata,
                reference_metadata: &reference,
                sampled: None,
                effects: &[],
                tolerance: 0.05,
                dispersion_tolerance: 0.1,
                alpha: 0.05,
            };
            diagnose(&evidence).first().map(|f| f.fault.clone())
        };
        assert_eq!(of(Some("openai/gpt-oss-120b"), &[("gpt-oss-120b", 9)]), None);
        assert_eq!(of(Some("openai/gpt-oss-120b"), &[("gpt-oss-20b", 9)]).as_deref(), Some("swapped-model"));
        assert_eq!(of(Some("a-large"), &[("a-large", 7), ("a-small", 2)]).as_deref(), Some("partial-routing"));
        assert_eq!(of(None, &[("x", 7), ("y", 2)]).as_deref(), Some("partial-routing"));
    }

    #[test]
    fn two_probes_are_too_few_for_a_rule() {
        assert!(tokens(&[(12, 13), (20, 21)]).is_empty());
    }

    #[test]
    fn a_ceiling_is_a_truncated_context() {
        assert_eq!(tokens(&[(12, 12), (80, 64), (99, 64)])[0].0, "truncated-context");
    }

    #[test]
    fn equal_counts_say_nothing() {
        assert!(tokens(&[(12, 12), (80, 80), (99, 99)]).is_empty());
    }
}
