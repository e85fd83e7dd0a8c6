//! Comparison with the past: every endpoint against earlier answers of its own, approved or recorded.
//!
//! Layer 2, pure. The same tests, effects and verdicts as between endpoints. A reference that is no longer what it was says nothing
//! of others, so verdicts that rest on it are held back.

use std::collections::BTreeMap;

use super::control::Control;
use super::{Comparison, EndpointComparison, Roles, Settings, Side, answers_of, judged};
use crate::sample::Sample;
use crate::signal::answers::Answers;
use crate::verdict::Verdict;

/// Earlier answers.
#[derive(Debug, Clone, Default)]
pub struct Past<'a> {
    /// The answers, each under the name of the endpoint that gave it.
    pub samples: &'a [Sample],
    /// Why an endpoint has none, where there is more to say than that.
    pub missing: Vec<(String, String)>,
}

impl Past<'_> {
    fn missing(&self, endpoint: &str) -> &str {
        let said = self.missing.iter().find(|(name, _)| name == endpoint);
        said.map_or("there are no earlier answers of its own to compare with", |(_, why)| why)
    }
}

/// Compares every endpoint with earlier answers of its own; one without any is unmeasured. Effects are in the unit of each
/// endpoint's own control; of controls, the comparison holds the one that was told apart least.
pub fn compare_with_past(samples: &[Sample], past: &Past<'_>, roles: &Roles<'_>, settings: &Settings) -> Comparison {
    let control = |reference: &Answers<'_>| {
        Control::establish(reference, roles.control.map(|name| (name, answers_of(samples, name))), settings)
    };
    let (mut references, mut sides, mut unmeasured) = (Vec::new(), Vec::new(), Vec::new());
    for name in roles.judged() {
        let reference = answers_of(past.samples, name);
        if reference.count() == 0 {
            unmeasured.push(EndpointComparison::unmeasured(name, past.missing(name)));
            continue;
        }
        sides.push(Side { name, answers: answers_of(samples, name), against: references.len() });
        let control = control(&reference);
        references.push((reference, control));
    }
    let mut endpoints = judged(&sides, &references, &BTreeMap::new(), (roles, settings));
    endpoints.extend(unmeasured);
    endpoints.sort_by_key(|e| roles.endpoints.iter().position(|name| *name == e.endpoint));
    let told_apart_least = references.iter().map(|(_, control)| control).max_by(|a, b| {
        let p = |control: &Control| control.p_value.unwrap_or(0.0);
        p(a).total_cmp(&p(b))
    });
    Comparison {
        reference: roles.reference.to_owned(),
        reference_answers: references.iter().map(|(answers, _)| answers.count()).sum(),
        settings: settings.clone(),
        self_check: None,
        control: told_apart_least.cloned().unwrap_or_else(|| control(&Answers::default())),
        endpoints,
    }
}

/// Takes back every verdict that rests on a reference that has moved: neither is an endpoint that differs from it known to have
/// drifted, nor one that agrees with it known to be right. What was measured stays.
pub fn hold_back(comparison: &mut Comparison, because: &str) {
    let resting = |e: &&mut EndpointComparison| matches!(e.verdict, Verdict::Drifted | Verdict::Consistent);
    for endpoint in comparison.endpoints.iter_mut().filter(resting) {
        endpoint.reason =
            format!("held back, since {because}; without that: {}, {}", endpoint.verdict, endpoint.reason);
        endpoint.verdict = Verdict::Inconclusive;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use crate::sample::Usage;

    /// A model: the words that its answers begin with in turn, and the tokens that its prompts have.
    type Model = ([&'static str; 4], u64);

    const OLD: Model = (["red fox", "red hen", "blue hen", "old red fox"], 10);
    const NEW: Model = (["zzz yyy", "yyy xxx", "xxx www", "www zzz zzz"], 11);

    /// Ten answers to each of a dozen probes.
    fn answers(endpoint: &str, (words, prompt_tokens): Model) -> Vec<Sample> {
        let texts = (0..12).flat_map(|probe| (0..10).map(move |n| (probe, n)));
        let answer = |(probe, n): (usize, usize)| Sample {
            replicate: n as u32,
            usage: Some(Usage { prompt_tokens: Some(prompt_tokens), ..Usage::default() }),
            ..Sample::new(endpoint, format!("p{probe}"), format!("{} {}", words[(n * 7 + probe) % words.len()], n % 3))
        };
        texts.map(answer).collect()
    }

    fn settings() -> Settings {
        Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 999 }
    }

    #[test]
    fn each_endpoint_is_held_against_its_own_past() {
        let past: Vec<Sample> = [answers("a", OLD), answers("b", NEW)].concat();
        let now: Vec<Sample> = [answers("a", NEW), answers("b", NEW), answers("c", OLD)].concat();
        let why = vec![("c".to_owned(), "nothing of it was approved".to_owned())];
        let found = compare_with_past(
            &now,
            &Past { samples: &past, missing: why },
            &Roles::new("snapshot", vec!["a", "c", "b"]),
            &settings(),
        );
        let told: Vec<(&str, Verdict)> = found.endpoints.iter().map(|e| (e.endpoint.as_str(), e.verdict)).collect();
        assert_eq!(told[0], ("a", Verdict::Drifted));
        assert_eq!(told[1], ("c", Verdict::Unmeasured));
        assert!(told[2].0 == "b" && told[2].1 != Verdict::Drifted, "{:?}", told[2]);
        assert_eq!(found.endpoints[1].reason, "nothing of it was approved");
        assert_eq!(found.reference_answers, 240);
    }

    #[test]
    fn a_past_of_one_endpoint_gives_the_verdict_that_a_reference_of_those_answers_gives() {
        let now = answers("a", NEW);
        let past = answers("a", OLD);
        let renamed = past.iter().map(|s| Sample { endpoint: "r".into(), ..s.clone() });
        let both: Vec<Sample> = now.iter().cloned().chain(renamed).collect();
        let by_reference = compare(&both, &Roles::new("r", vec!["a"]), &settings()).expect("comparable");
        let past = Past { samples: &past, missing: Vec::new() };
        let by_past = compare_with_past(&now, &past, &Roles::new("snapshot", vec!["a"]), &settings());
        assert_eq!(by_past.endpoints, by_reference.endpoints);
    }

    #[test]
    fn verdicts_that_rest_on_a_moved_reference_are_held_back() {
        let now: Vec<Sample> = [answers("a", NEW), answers("r", OLD)].concat();
        let mut found = compare(&now, &Roles::new("r", vec!["a"]), &settings()).expect("comparable");
        let before = found.endpoints[0].clone();
        hold_back(&mut found, "the reference `r` has moved");
        assert_eq!(found.endpoints[0].verdict, Verdict::Inconclusive);
        assert!(
            found.endpoints[0]
                .reason
                .starts_with("held back, since the reference `r` has moved; without that: drifted")
        );
        assert_eq!((&found.endpoints[0].effect, found.endpoints[0].q_value), (&before.effect, before.q_value));
    }
}
