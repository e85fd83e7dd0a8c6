//! What answers say of where they come from.

use std::collections::BTreeMap;

use super::world::{Draft, host};
use super::{SETTINGS, comparison};
use crate::compare::{Known, Roles, compare};
use crate::sample::Sample;
use crate::verdict::{Confidence, Finding, Verdict};

fn at(number: usize) -> jiff::Timestamp {
    jiff::Timestamp::from_second(i64::try_from(number).unwrap()).unwrap()
}

/// A host whose answers, in the order of their times, say this of themselves.
fn saying(name: &str, say: impl Fn(usize, &mut Sample)) -> Vec<Draft> {
    let mut drafts = host(name);
    for (number, draft) in drafts.iter_mut().enumerate() {
        draft.sample.at = Some(at(number));
        say(number, &mut draft.sample);
    }
    drafts
}

fn route(reference: Vec<Draft>, endpoint: Vec<Draft>) -> Option<Finding> {
    let found = comparison(reference, endpoint).endpoints.remove(0);
    assert_ne!(found.verdict, Verdict::Drifted, "{:#?}", found.findings);
    found.findings.into_iter().find(|f| f.fault == "route-not-pinned")
}

#[test]
fn several_hosts_within_one_endpoint_are_told_from_exact_fields() {
    let provider = |number: usize, s: &mut Sample| s.provider = Some(["alpha", "beta"][number % 2].into());
    let found = route(host("reference"), saying("endpoint", provider)).unwrap();
    assert_eq!(found.confidence, Confidence::Certain);
    assert!(found.evidence.contains("provider is `alpha`"), "{}", found.evidence);
    let found = route(saying("reference", provider), saying("endpoint", provider)).unwrap();
    assert_eq!(found.confidence, Confidence::Possible, "the reference's do too");
    let header = |number: usize, s: &mut Sample| {
        s.headers.insert("openai-model".into(), ["a", "b"][number / 3 % 2].into());
    };
    assert_eq!(route(host("reference"), saying("endpoint", header)).unwrap().confidence, Confidence::Certain);
}

#[test]
fn a_fingerprint_that_alternates_is_a_route_and_one_that_changes_once_is_a_deployment() {
    let fingerprint =
        |of: fn(usize) -> String| move |number: usize, s: &mut Sample| s.system_fingerprint = Some(of(number));
    let alternating = fingerprint(|number| format!("fp_{}", number / 5 % 2));
    assert_eq!(route(host("reference"), saying("endpoint", alternating)).unwrap().confidence, Confidence::Likely);
    let deployed = fingerprint(|number| format!("fp_{}", usize::from(number > 100)));
    assert_eq!(route(host("reference"), saying("endpoint", deployed)), None);
    let of_its_own = fingerprint(|number| format!("fp_{number}"));
    assert_eq!(route(host("reference"), saying("endpoint", of_its_own)), None, "an id");
}

#[test]
fn a_deployment_that_changes_while_requests_are_in_flight_is_no_route() {
    let name = |number: usize, s: &mut Sample| {
        s.response_model = Some(["m-1", "m-2"][usize::from(number >= 100)].into());
        if (96..104).contains(&number) {
            // Asked for together, and there in another order.
            s.at = Some(at(100 + number * 5 % 8));
            s.latency_ms.as_mut().unwrap().total = 20_000;
        }
    };
    assert_eq!(route(host("reference"), saying("endpoint", name)), None);
    let back_again = |number: usize, s: &mut Sample| {
        s.response_model = Some(["m-1", "m-2"][usize::from((60..120).contains(&number))].into());
    };
    let found = route(host("reference"), saying("endpoint", back_again)).unwrap();
    assert_eq!(found.confidence, Confidence::Certain);
}

#[test]
fn without_times_nothing_tells_a_route_from_a_deployment() {
    let mut endpoint = host("endpoint");
    for (number, draft) in endpoint.iter_mut().enumerate() {
        draft.sample.at = None;
        draft.sample.provider = Some(["alpha", "beta"][number % 2].into());
    }
    assert_eq!(route(host("reference"), endpoint).unwrap().confidence, Confidence::Possible);
}

#[test]
fn gateways_name_what_they_route_to_in_headers_of_their_own() {
    for name in ["cf-aig-model", "cf-aig-provider", "x-litellm-model-id", "x-model", "x-portkey-provider"] {
        let header = |number: usize, s: &mut Sample| {
            s.headers.insert(name.into(), ["a", "b"][number % 2].into());
        };
        assert_eq!(route(host("reference"), saying("endpoint", header)).unwrap().confidence, Confidence::Certain);
    }
}

/// What is said of a host that answers under these names, where these are expected.
fn told_of_names(patterns: &[&str], name: impl Fn(usize) -> &'static str) -> Vec<(String, Confidence)> {
    let expected: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
    let endpoint = saying("endpoint", |number, s| s.response_model = Some(name(number).into()));
    let samples: Vec<Sample> = host("reference").into_iter().chain(endpoint).map(|d| d.sample).collect();
    let known = Known { model: Some("chat-prod-eu"), expected: &expected, token_offset: 0 };
    let known = BTreeMap::from([("endpoint", known)]);
    let roles = Roles { known, ..Roles::new("reference", vec!["endpoint"]) };
    let found = compare(&samples, &roles, &SETTINGS).unwrap().endpoints.remove(0);
    found.findings.into_iter().map(|f| (f.fault, f.confidence)).collect()
}

#[test]
fn several_names_that_the_user_expects_are_no_route() {
    let named = |number: usize| ["gpt-oss-120b-a", "gpt-oss-120b-b"][number % 2];
    let told = told_of_names(&["gpt-oss-120b*"], named);
    assert!(told.is_empty(), "{told:?}");
    let told = told_of_names(&["gpt-oss-120b-a"], named);
    assert!(told.contains(&("route-not-pinned".into(), Confidence::Certain)), "{told:?}");
    assert!(told.contains(&("partial-routing".into(), Confidence::Likely)), "{told:?}");
}

#[test]
fn one_answer_under_another_name_than_is_expected_may_be_a_slip() {
    let told =
        told_of_names(&["gpt-oss-120b"], |number| if number == 20 { "gpt-oss-20b" } else { "openai/gpt-oss-120b" });
    assert!(told.contains(&("partial-routing".into(), Confidence::Possible)), "{told:?}");
    assert!(told.iter().all(|(_, confidence)| *confidence == Confidence::Possible), "{told:?}");
}

#[test]
fn the_user_says_which_names_are_right() {
    let of = |patterns: &[&str], name: &'static str| told_of_names(patterns, |_| name).into_iter().next();
    assert_eq!(of(&["gpt-oss-120b*"], "gpt-oss-120b-2025"), None);
    assert_eq!(of(&["x", "gpt-*"], "gpt-oss-120b"), None);
    assert_eq!(of(&["gpt-oss-20b"], "gpt-oss-120b"), Some(("swapped-model".into(), Confidence::Likely)));
    assert_eq!(of(&[], "gpt-oss-120b"), Some(("other-model-name".into(), Confidence::Possible)));
    assert_eq!(of(&[], "m"), None, "the reference says so too");
}

#[test]
fn another_name_than_the_one_asked_for_is_told() {
    let of = |asked: Option<&'static str>, names: [&str; 2]| {
        let mut endpoint = host("endpoint");
        for (number, draft) in endpoint.iter_mut().enumerate() {
            draft.sample.at = Some(at(number));
            draft.sample.response_model = Some(names[draft.number as usize % 2].to_owned());
        }
        let samples: Vec<Sample> = host("reference").into_iter().chain(endpoint).map(|d| d.sample).collect();
        let known = BTreeMap::from([("endpoint", Known { model: asked, ..Known::default() })]);
        let roles = Roles { known, ..Roles::new("reference", vec!["endpoint"]) };
        let found = compare(&samples, &roles, &SETTINGS).unwrap().endpoints.remove(0);
        found.findings.first().map(|f| f.fault.clone())
    };
    assert_eq!(of(Some("openai/gpt-oss-120b"), ["gpt-oss-120b"; 2]), None);
    assert_eq!(of(Some("openai/gpt-oss-120b"), ["gpt-oss-20b"; 2]).as_deref(), Some("swapped-model"));
    assert_eq!(of(Some("chat-prod-eu"), ["gpt-oss-120b"; 2]).as_deref(), Some("other-model-name"));
    assert_eq!(of(Some("gpt-4o"), ["gpt-4o-mini"; 2]).as_deref(), Some("other-model-name"));
    assert_eq!(of(Some("gpt-4o"), ["gpt-4o-2024-08-06"; 2]), None);
    assert_eq!(of(Some("a-large"), ["a-large", "a-small"]).as_deref(), Some("route-not-pinned"));
    assert_eq!(of(None, ["x", "y"]).as_deref(), Some("route-not-pinned"));
    assert_eq!(of(None, ["m"; 2]), None);
}
