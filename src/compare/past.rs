//! Comparison with the past: every endpoint against earlier answers of its own, approved or recorded.
//!
//! Layer 2, pure. The same tests, effects and verdicts as between endpoints. A reference that is no longer what it was says nothing
//! of others, so verdicts that rest on it are held back.

use std::collections::BTreeMap;

use super::band::Band;
use super::control::Control;
use super::{Against, Comparison, EndpointComparison, Known, Roles, Settings, Side, answers_of, band, fleet, judged};
use crate::sample::Sample;
use crate::signal::answers::Answers;
use crate::stats::permutation::permutations_for;
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

/// Compares every endpoint with earlier answers of its own; one without any is unmeasured. Effects are in the unit of the control
/// where it is told apart from those earlier answers, and the honest band is that of the hosts of this run beside them.
pub fn compare_with_past(samples: &[Sample], past: &Past<'_>, roles: &Roles<'_>, settings: &Settings) -> Comparison {
    let roles = &Roles { known: counting_as_ever(roles), ..roles.clone() };
    let hosts: Vec<(&str, Answers<'_>)> = roles.judged().map(|name| (name, answers_of(samples, name))).collect();
    let beside: Vec<(&str, &Answers<'_>)> = hosts.iter().map(|(name, answers)| (*name, answers)).collect();
    let others: Vec<&Answers<'_>> = hosts.iter().map(|(_, answers)| answers).collect();
    let fleet = fleet(&Answers::default(), &beside, roles);
    let pasts: Vec<Answers<'_>> = hosts.iter().map(|(name, _)| answers_of(past.samples, name)).collect();
    let controls = Controls::new(samples, &pasts, roles, settings);
    let (mut references, mut sides, mut unmeasured) = (Vec::new(), Vec::new(), Vec::new());
    let mut bands: BTreeMap<&str, Band> = BTreeMap::new();
    for (host, ((name, answers), reference)) in hosts.iter().zip(pasts).enumerate() {
        if reference.count() == 0 {
            let known = EndpointComparison::unmeasured(name, past.missing(name));
            unmeasured.push(EndpointComparison { answers: answers.count(), ..known });
            continue;
        }
        let control = controls.unit(host, &reference, settings);
        bands.insert(name, band(&fleet.beside_the_past(&reference, &others, host), host, &reference, &control));
        sides.push(Side { name, answers: answers.clone(), against: references.len() });
        // Where the control is no unit it is no other model there.
        let other = control.endpoint.as_deref().map(|name| answers_of(samples, name));
        references.push(Against { reference, control, other });
    }
    let mut endpoints = judged(&sides, &references, &bands, (roles, settings));
    endpoints.extend(unmeasured);
    endpoints.sort_by_key(|e| roles.endpoints.iter().position(|name| *name == e.endpoint));
    let (control, like_the_control) = controls.told(&hosts);
    Comparison {
        reference: roles.reference.to_owned(),
        reference_answers: references.iter().map(|against| against.reference.count()).sum(),
        settings: settings.clone(),
        self_check: None,
        control,
        like_the_control,
        strangers: Vec::new(),
        endpoints,
    }
}

/// What is known of the endpoints, but for how they count: each counted its own earlier answers likewise.
fn counting_as_ever<'a>(roles: &Roles<'a>) -> BTreeMap<&'a str, Known<'a>> {
    roles.known.iter().map(|(name, known)| (*name, Known { token_offset: 0, ..*known })).collect()
}

/// The control of a run beside the past of each endpoint. An endpoint may have been approved as what the control serves: there it is
/// no other model, and says nothing of the other endpoints.
struct Controls {
    /// By host, with a p-value that allows for the number of hosts; `None` where the host has no past.
    found: Vec<Option<Control>>,
    /// Where no host has any.
    untested: Control,
    alpha: f64,
}

impl Controls {
    fn new(samples: &[Sample], pasts: &[Answers<'_>], roles: &Roles<'_>, settings: &Settings) -> Self {
        let tested = pasts.iter().filter(|past| past.count() > 0).count();
        // Both ways of asking are tested with each.
        let permutations = permutations_for(2 * tested, settings.alpha, settings.permutations);
        let settings = &Settings { permutations, ..settings.clone() };
        let control = roles.control.map(|name| (name, answers_of(samples, name)));
        let establish = |past: &Answers<'_>| {
            let found = Control::establish(past, past, control.clone(), settings);
            Control { p_value: found.p_value.map(|p| (p * tested as f64).min(1.0)), ..found }
        };
        Self {
            found: pasts.iter().map(|past| (past.count() > 0).then(|| establish(past))).collect(),
            untested: establish(&Answers::default()),
            alpha: settings.alpha,
        }
    }

    fn is_told_apart(&self, control: &Control) -> bool {
        // Where nothing can be tested, what is measured stands.
        control.p_value.is_none_or(|p| p <= self.alpha)
    }

    /// The unit for a host that is held against `past`: the control's where it is another model there, and else the built-in one.
    fn unit(&self, host: usize, past: &Answers<'_>, settings: &Settings) -> Control {
        match &self.found[host] {
            Some(control) if self.is_told_apart(control) => control.clone(),
            _ => Control::establish(past, past, None, settings),
        }
    }

    /// The control that stands for all, the one told apart least among those that were, and the hosts where it was not though it was
    /// at others. Where it was told apart at none, the one that came nearest to it.
    fn told(&self, hosts: &[(&str, Answers<'_>)]) -> (Control, Vec<(String, f64)>) {
        let p = |control: &Control| control.p_value.unwrap_or(0.0);
        let by_p = |a: &&Control, b: &&Control| p(a).total_cmp(&p(b));
        let all = || self.found.iter().flatten();
        let Some(least) = all().filter(|control| self.is_told_apart(control)).max_by(by_p) else {
            return (all().min_by(by_p).unwrap_or(&self.untested).clone(), Vec::new());
        };
        let not = |(found, host): (&Option<Control>, &(&str, Answers<'_>))| {
            let control = found.as_ref().filter(|control| !self.is_told_apart(control))?;
            Some((host.0.to_owned(), control.p_value?))
        };
        (least.clone(), self.found.iter().zip(hosts).filter_map(not).collect())
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::compare::band::Source;
    use crate::compare::compare;
    use crate::sample::{SampleParameters, Usage};

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

    /// Answers at temperature 0 of 80 characters to 60 probes, those of which the number is divisible leaving the others' midway.
    fn greedy(endpoint: &str, divisible_by: usize, word: &str) -> Vec<Sample> {
        let answer = |n: usize| {
            let leaves = n.is_multiple_of(divisible_by);
            let text = if leaves { format!("{} {}", "a".repeat(40), word.repeat(39)) } else { "a".repeat(80) };
            let parameters = Some(SampleParameters { temperature: Some(0.0), ..SampleParameters::default() });
            Sample { parameters, ..Sample::new(endpoint, format!("g{n}"), text) }
        };
        (1..=60).map(answer).collect()
    }

    fn named(of: &[Sample], endpoint: &str) -> Vec<Sample> {
        of.iter().map(|s| Sample { endpoint: endpoint.into(), ..s.clone() }).collect()
    }

    #[test]
    fn a_control_that_serves_what_an_endpoint_was_approved_as_is_no_unit_there_and_one_elsewhere() {
        let past: Vec<Sample> = [answers("a", OLD), answers("small", NEW)].concat();
        let now: Vec<Sample> = [past.clone(), answers("control", NEW)].concat();
        let roles = Roles { control: Some("control"), ..Roles::new("snapshot", vec!["a", "small"]) };
        let found = compare_with_past(&now, &Past { samples: &past, missing: Vec::new() }, &roles, &settings());
        assert!(found.control.p_value.is_some_and(|p| p <= 0.05), "{:?}", found.control.p_value);
        let alike: Vec<&str> = found.like_the_control.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(alike, ["small"]);
        assert!(found.endpoints.iter().all(|e| e.verdict != Verdict::Drifted));
        let alone = Roles { control: Some("control"), ..Roles::new("snapshot", vec!["small"]) };
        let past = answers("small", NEW);
        let found = compare_with_past(&now, &Past { samples: &past, missing: Vec::new() }, &alone, &settings());
        assert!(found.control.p_value.is_some_and(|p| p > 0.05) && found.like_the_control.is_empty());
    }

    #[test]
    fn an_endpoint_that_answered_and_has_no_past_says_how_much_it_answered() {
        let now = answers("a", OLD);
        let found = compare_with_past(&now, &Past::default(), &Roles::new("snapshot", vec!["a"]), &settings());
        assert_eq!((found.endpoints[0].verdict, found.endpoints[0].answers), (Verdict::Unmeasured, now.len()));
    }

    #[test]
    fn how_a_host_is_known_to_count_is_no_difference_from_its_own_past() {
        let past = answers("a", OLD);
        let known = Known { token_offset: 7, ..Known::default() };
        let found = |known| {
            let roles = Roles { known: BTreeMap::from([("a", known)]), ..Roles::new("snapshot", vec!["a"]) };
            compare_with_past(&past, &Past { samples: &past, missing: Vec::new() }, &roles, &settings()).endpoints
        };
        assert_eq!(found(known), found(Known::default()));
    }

    #[test]
    fn hosts_beside_an_endpoint_show_what_honest_ones_do_where_it_is_held_against_its_past() {
        let past = greedy("a", 1000, "z");
        let hosts = ["b", "c", "d"].iter().zip([12, 15, 20]).flat_map(|(name, n)| greedy(name, n, name));
        let now: Vec<Sample> = greedy("a", 30, "y").into_iter().chain(hosts).collect();
        let band = |roles: &Roles<'_>, now: &[Sample]| {
            compare_with_past(now, &Past { samples: &past, missing: Vec::new() }, roles, &settings()).endpoints[0].band
        };
        let fleet = Roles::new("snapshot", vec!["a", "b", "c", "d"]);
        assert_eq!((band(&fleet, &now).source, band(&fleet, &now).agreed > 0.0), (Source::Fleet, true));
        assert_eq!(band(&Roles::new("snapshot", vec!["a"]), &now).source, Source::BuiltIn);
        let twins = Roles { twins: BTreeSet::from(["a", "b"]), ..Roles::new("snapshot", vec!["a", "b"]) };
        assert_eq!(band(&twins, &now).source, Source::Twins);
        let others = Roles { twins: BTreeSet::from(["b"]), ..twins.clone() };
        assert_eq!(band(&others, &now).source, Source::BuiltIn, "a twin of the others says nothing of it");
    }

    #[test]
    fn twins_that_have_all_become_another_model_do_not_excuse_each_other() {
        let past = [greedy("a", 1000, "z"), greedy("b", 60, "y")].concat();
        let swapped = greedy("a", 1, "y");
        let now: Vec<Sample> = [named(&swapped, "a"), named(&swapped, "b")].concat();
        let twins = Roles { twins: BTreeSet::from(["a", "b"]), ..Roles::new("snapshot", vec!["a", "b"]) };
        let found = compare_with_past(&now, &Past { samples: &past, missing: Vec::new() }, &twins, &settings());
        assert!(found.endpoints.iter().all(|e| e.band.source == Source::Twins && e.band.honest < 0.1));
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
