//! Hosts that keep thoughts back, and hosts whose answers get lost behind them.

use super::world::{Draft, Kind, host, words};
use super::{comparison, finds, spoilt};
use crate::compare::EndpointComparison;
use crate::stats::rng;
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

/// What is said of a host that is changed in this way, where thoughts are of twenty words and counted.
fn thinking(change: impl Fn(&mut Draft)) -> EndpointComparison {
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    for draft in reference.iter_mut().chain(&mut endpoint) {
        counted(draft);
        if draft.kind == Kind::Thinking {
            draft.sample.reasoning = Some(words(&mut rng::derive(5, &["thought", &draft.sample.probe]), 20));
        }
    }
    endpoint.iter_mut().for_each(change);
    comparison(reference, endpoint).endpoints.remove(0)
}

#[test]
fn thoughts_that_stand_in_the_text_without_marks_are_misplaced_and_not_hidden() {
    let found = thinking(|d| {
        if let Some(thought) = d.sample.reasoning.take() {
            d.sample.text = format!("{thought}\n\n{}", d.sample.text);
        }
    });
    let told: Vec<_> = found.findings.iter().map(|f| (f.fault.as_str(), f.confidence)).collect();
    assert_eq!(told, [("reasoning-misplaced", Confidence::Likely)], "{:#?}", found.findings);
    let hidden = thinking(|d| d.sample.reasoning = None);
    let told: Vec<_> = hidden.findings.iter().map(|f| (f.fault.as_str(), f.confidence)).collect();
    assert_eq!(told, [("reasoning-hidden", Confidence::Certain)], "{:#?}", hidden.findings);
}

#[test]
fn an_answer_that_stands_within_its_thought_makes_that_no_longer_one() {
    let found = thinking(|d| {
        if let Some(thought) = &mut d.sample.reasoning {
            *thought += &std::mem::take(&mut d.sample.text);
        }
    });
    let told: Vec<&str> = found.findings.iter().map(|f| f.fault.as_str()).collect();
    assert!(told.contains(&"reasoning-misplaced"), "{:#?}", found.findings);
    assert!(!told.contains(&"reasoning-effort-ignored"), "{:#?}", found.findings);
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

/// Puts a thought into the content, between marks that are declared.
fn within_marks(draft: &mut Draft, thought: &str) {
    draft.sample.text = format!("<think>{thought}</think>\n\n{}", draft.sample.text);
    draft.sample.parameters.as_mut().unwrap().thought_marks = vec![["<think>".into(), "</think>".into()]];
}

#[test]
fn thoughts_between_marks_that_are_declared_stand_where_they_belong() {
    let found = spoilt(|d| {
        if let Some(thought) = d.sample.reasoning.take() {
            within_marks(d, &thought);
        }
    });
    let sure = found.findings.iter().filter(|f| f.confidence != Confidence::Possible);
    assert_eq!(sure.count(), 0, "{:#?}", found.findings);
    assert!(found.findings.iter().all(|f| f.fault != "reasoning-misplaced"), "{:#?}", found.findings);
}

#[test]
fn answers_within_thoughts_are_found_between_declared_marks_as_in_a_field() {
    finds("reasoning-misplaced", "nothing is answered", |d| {
        if let Some(thought) = d.sample.reasoning.take() {
            let all = thought + &std::mem::take(&mut d.sample.text);
            within_marks(d, &all);
        }
    });
}

#[test]
fn what_stands_in_a_thought_between_declared_marks_is_no_part_of_the_answer() {
    let found = spoilt(|d| {
        if matches!(d.kind, Kind::Plain | Kind::Sampled | Kind::Stop | Kind::Tools) {
            within_marks(d, "คน END of it: <|call|>{\"name\": \"get_weather\", \"arguments\": {}}");
        }
    });
    let of_text = ["corrupted-output", "leaked-tokens", "reasoning-misplaced", "stop-ignored", "tool-parser"];
    assert!(found.findings.iter().all(|f| !of_text.contains(&&*f.fault)), "{:#?}", found.findings);
}
