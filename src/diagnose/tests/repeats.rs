//! What comes back when the same is asked again: seeds that change nothing, and answers that were kept.

use std::collections::BTreeMap;

use super::world::{Draft, Kind, words};
use super::{certain, finds, own_draws, spoilt};
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
