//! What comes back when the same is asked again: seeds that change nothing, and answers that were kept.

use std::collections::BTreeMap;

use super::world::{Draft, Kind, words};
use super::{certain, completion, finds, own_draws, spoilt};
use crate::sample::Sample;
use crate::verdict::Confidence;

#[test]
fn a_seed_that_is_not_used_is_found_by_its_repeats() {
    finds("seed-ignored", "answers to one seed differ on 6 of 6", |d| {
        if d.kind == Kind::Seeded {
            d.sample.text = words(&mut own_draws(d), 6);
        }
    });
}

#[test]
fn kept_answers_are_known_by_their_ids_or_by_their_equality() {
    let mut first: BTreeMap<String, Sample> = BTreeMap::new();
    let mut replay = |d: &mut Draft| {
        if d.kind == Kind::Sampled {
            let kept = first.entry(d.sample.probe.clone()).or_insert_with(|| d.sample.clone());
            d.sample = Sample { replicate: d.sample.replicate, ..kept.clone() };
        }
    };
    finds("cached-responses", "the id and the text", &mut replay);
    let found = spoilt(|d| {
        replay(d);
        d.sample.response_id = None;
    });
    assert!(certain(&found).is_empty());
    let cached = found.findings.iter().find(|f| f.fault == "cached-responses").expect("a finding");
    assert_eq!(cached.confidence, Confidence::Likely, "{:#?}", found.findings);
}

#[test]
fn one_refusal_of_all_is_cut_by_no_cap_and_kept_by_no_cache() {
    let found = spoilt(|d| {
        if d.kind != Kind::Tools {
            d.sample.text = "I'm sorry, but I can't help with that request.".into();
            d.sample.finish_reason = Some("stop".into());
            completion(d, 9);
        }
    });
    for fault in ["low-output-cap", "low-output-default", "cached-responses"] {
        assert!(found.findings.iter().all(|f| f.fault != fault), "{:#?}", found.findings);
    }
    let told = found.findings.iter().find(|f| f.evidence.contains("`I'm sorry, but I can't help with that request.`"));
    assert_eq!(told.map(|f| f.fault.as_str()), Some("swapped-model"), "{:#?}", found.findings);
}

#[test]
fn a_few_kept_answers_that_take_turns_are_no_lower_temperature() {
    let mut kept: BTreeMap<(String, u32), String> = BTreeMap::new();
    let found = spoilt(|d| {
        if d.kind == Kind::Sampled {
            let turn = (d.sample.probe.clone(), d.sample.replicate % 3);
            d.sample.text = kept.entry(turn).or_insert_with(|| d.sample.text.clone()).clone();
            d.sample.response_id = None;
        }
    });
    let told = |fault: &str| found.findings.iter().find(|f| f.fault == fault).map(|f| f.confidence);
    assert_eq!(told("cached-responses"), Some(Confidence::Likely), "{:#?}", found.findings);
    assert_ne!(told("temperature-ignored"), Some(Confidence::Likely), "{:#?}", found.findings);
}
