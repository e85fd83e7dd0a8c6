//! Hosts that keep thoughts back, and hosts whose answers get lost behind them.

use super::world::{Draft, Kind, host};
use super::{comparison, spoilt};
use crate::verdict::Confidence;

/// Counts twenty tokens of thinking apart.
fn counted(draft: &mut Draft) {
    let usage = draft.sample.usage.as_mut().unwrap();
    usage.reasoning_tokens = (draft.kind == Kind::Thinking).then_some(20);
    let thought = usage.reasoning_tokens.unwrap_or(0);
    usage.completion_tokens = usage.completion_tokens.map(|n| n + thought);
}

#[test]
fn thoughts_that_are_neither_sent_nor_counted_apart_are_among_the_tokens_of_the_answer() {
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    reference.iter_mut().chain(&mut endpoint).for_each(counted);
    for draft in &mut endpoint {
        draft.sample.reasoning = None;
        draft.sample.usage.as_mut().unwrap().reasoning_tokens = None;
    }
    let found = comparison(reference, endpoint).endpoints.remove(0);
    let told: Vec<_> = found.findings.iter().map(|f| (f.fault.as_str(), f.confidence)).collect();
    assert_eq!(told, [("reasoning-hidden", Confidence::Likely)], "{:#?}", found.findings);
}

#[test]
fn answers_that_get_lost_behind_the_references_thoughts_are_blank_and_not_misplaced() {
    let found = spoilt(|d| {
        if d.kind == Kind::Thinking {
            d.sample.text.clear();
        }
    });
    let told: Vec<&str> = found.findings.iter().map(|f| f.fault.as_str()).collect();
    assert!(told.contains(&"blank-answers") && !told.contains(&"reasoning-misplaced"), "{:#?}", found.findings);
}
