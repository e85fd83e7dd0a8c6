//! Every fault against every rule: what must be found, and that nothing else is found for certain.

use rand_chacha::ChaCha8Rng;

use self::world::{Draft, Kind, host};
use crate::compare::{Comparison, EndpointComparison, Roles, Settings, compare};
use crate::sample::{Purpose, Sample, Traits, Usage};
use crate::stats::rng;
use crate::verdict::{Confidence, Verdict};

mod chance;
mod channels;
mod completion;
mod counting;
mod ending;
mod form;
mod naming;
mod other_reason;
mod prompt;
mod reading;
mod repeats;
mod route;
mod thinking;
mod world;

const SETTINGS: Settings =
    Settings { seed: 0, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };

fn comparison(reference: Vec<Draft>, endpoint: Vec<Draft>) -> Comparison {
    let samples: Vec<Sample> = reference.into_iter().chain(endpoint).map(|d| d.sample).collect();
    compare(&samples, &Roles::new("reference", vec!["endpoint"]), &SETTINGS).unwrap()
}

/// Compares an honest reference with a host that is spoilt answer by answer.
fn spoilt(spoil: impl FnMut(&mut Draft)) -> EndpointComparison {
    let mut endpoint = host("endpoint");
    endpoint.iter_mut().for_each(spoil);
    comparison(host("reference"), endpoint).endpoints.remove(0)
}

/// The faults that are found for certain.
fn certain(found: &EndpointComparison) -> Vec<&str> {
    found.findings.iter().filter(|f| f.confidence == Confidence::Certain).map(|f| f.fault.as_str()).collect()
}

/// Holds that this fault and no other is found for certain, that it makes the verdict, and that its evidence says this.
#[track_caller]
fn finds(fault: &str, says: &str, spoil: impl FnMut(&mut Draft)) {
    let found = spoilt(spoil);
    assert_eq!(certain(&found), [fault], "{:#?}", found.findings);
    assert_eq!(found.verdict, Verdict::Drifted);
    let evidence = &found.findings[0].evidence;
    assert!(evidence.contains(says), "{evidence}");
}

/// Holds that the prompt is another for certain, and how sure the name is that comes next; gives what is said of it.
#[track_caller]
fn names(fault: &str, confidence: Confidence, spoil: impl FnMut(&mut Draft)) -> String {
    let found = spoilt(spoil);
    let told: Vec<(&str, Confidence)> = found.findings.iter().map(|f| (f.fault.as_str(), f.confidence)).collect();
    assert_eq!(certain(&found), ["prompt-differs"], "{:#?}", found.findings);
    assert!(told.contains(&(fault, confidence)), "{:#?}", found.findings);
    assert_eq!(found.verdict, Verdict::Drifted);
    found.findings[0].evidence.clone()
}

/// Holds that the prompt is another for certain, that this fault is likely, and that its evidence says this.
#[track_caller]
fn finds_likely(fault: &str, says: &str, spoil: impl FnMut(&mut Draft)) {
    let evidence = names(fault, Confidence::Likely, spoil);
    assert!(evidence.contains(says), "{evidence}");
}

/// What is drawn for this one answer.
fn own_draws(draft: &Draft) -> ChaCha8Rng {
    rng::derive(2, &[&draft.sample.probe, &draft.sample.replicate.to_string()])
}

fn tokens(draft: &mut Draft, change: impl Fn(u64) -> u64) {
    let usage = draft.sample.usage.as_mut().unwrap();
    usage.prompt_tokens = usage.prompt_tokens.map(change);
}

fn traits(draft: &Draft) -> &Traits {
    draft.sample.parameters.as_ref().unwrap().traits.as_ref().unwrap()
}

fn completion(draft: &mut Draft, tokens: u64) {
    draft.sample.usage.as_mut().unwrap().completion_tokens = Some(tokens);
}

#[test]
fn an_honest_host_shows_no_fault() {
    for number in 0..10 {
        let name = format!("twin {number}");
        let endpoint = host(&name).into_iter().map(|mut draft| {
            draft.sample.endpoint = "endpoint".into();
            draft
        });
        let found = comparison(host("reference"), endpoint.collect()).endpoints.remove(0);
        let sure = found.findings.iter().filter(|f| f.confidence != Confidence::Possible);
        assert_eq!(sure.count(), 0, "{name}: {:#?}", found.findings);
        assert_ne!(found.verdict, Verdict::Drifted, "{name}: {}", found.reason);
    }
}

#[test]
fn what_the_reference_does_too_is_never_certain() {
    let spoil = |drafts: &mut Vec<Draft>| {
        for draft in drafts {
            draft.sample.finish_reason = None;
            draft.sample.text += "<|end|>";
            completion(draft, 9999);
        }
    };
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    spoil(&mut reference);
    spoil(&mut endpoint);
    let found = comparison(reference, endpoint).endpoints.remove(0);
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
}

#[test]
fn without_traits_the_rules_that_need_them_are_silent() {
    let bare = |drafts: Vec<Draft>| -> Vec<Draft> {
        let strip = |mut draft: Draft| {
            draft.sample.parameters.as_mut().unwrap().traits = None;
            draft
        };
        drafts.into_iter().map(strip).collect()
    };
    let mut endpoint = host("endpoint");
    for draft in endpoint.iter_mut().filter(|d| d.kind == Kind::Images || traits(d).purpose == Purpose::Canary) {
        draft.sample.usage = Some(Usage { prompt_tokens: Some(7), ..draft.sample.usage.unwrap() });
    }
    let found = comparison(bare(host("reference")), bare(endpoint)).endpoints.remove(0);
    assert!(found.findings.iter().all(|f| !f.fault.starts_with("image")), "{:#?}", found.findings);
}

#[test]
fn a_slow_host_has_not_drifted() {
    let busier = spoilt(|d| d.sample.latency_ms.as_mut().unwrap().total += 400);
    assert_eq!(busier.findings, []);
    let found = spoilt(|d| d.sample.latency_ms.as_mut().unwrap().total += 1500);
    assert_eq!(found.findings.iter().map(|f| f.fault.as_str()).collect::<Vec<_>>(), ["slow"]);
    assert_ne!(found.verdict, Verdict::Drifted);
}
