//! What a model does by itself now and then is no fault of the host, and does not hide one.

use rand::RngExt as _;

use super::world::{Draft, Kind, host, words};
use super::{certain, comparison, spoilt};
use crate::stats::rng;

#[test]
fn what_a_model_that_answers_otherwise_does_by_itself_is_no_certain_fault() {
    let found = spoilt(|d| match d.kind {
        Kind::Tools => {
            let call = d.sample.tool_calls.remove(0);
            d.sample.text = format!("<|call|>{{\"name\": \"{}\", \"arguments\": {}}}", call.name, call.arguments);
            d.sample.finish_reason = Some("stop".into());
        }
        Kind::Plain => {
            d.sample.text = words(&mut rng::derive(3, &[&d.sample.probe]), 20);
        }
        _ => {}
    });
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
    assert_eq!(found.findings.last().map(|f| f.fault.as_str()), Some("tool-parser"), "{:#?}", found.findings);
}

#[test]
fn a_noisy_host_with_a_broken_parser_has_a_broken_parser() {
    let noisy = |mut drafts: Vec<Draft>| {
        for draft in drafts.iter_mut().filter(|d| d.kind == Kind::Plain) {
            let sample = &draft.sample;
            let mut rng = rng::derive(5, &[&sample.endpoint, &sample.probe, &sample.replicate.to_string()]);
            if rng.random_range(0..10) < 3 {
                draft.sample.text += &words(&mut rng, 2);
            }
        }
        drafts
    };
    let mut endpoint = noisy(host("endpoint"));
    for draft in endpoint.iter_mut().filter(|d| d.kind == Kind::Tools) {
        let call = draft.sample.tool_calls.remove(0);
        draft.sample.text = format!("<|call|>{{\"name\": \"{}\", \"arguments\": {}}}", call.name, call.arguments);
        draft.sample.finish_reason = Some("stop".into());
    }
    let found = comparison(noisy(host("reference")), endpoint).endpoints.remove(0);
    assert_eq!(certain(&found), ["tool-parser"], "{:#?}", found.findings);
}

#[test]
fn answers_that_drift_away_and_end_early_now_and_then_have_no_wrong_end_token() {
    let found = spoilt(|d| {
        if d.kind == Kind::Plain && d.number % 2 == 0 {
            d.sample.text = words(&mut rng::derive(3, &[&d.sample.probe]), 20);
        } else if d.kind == Kind::Plain && d.number % 8 == 1 {
            d.sample.text = d.sample.text.split('\n').next().unwrap().to_owned();
            d.sample.finish_reason = Some("stop".into());
        }
    });
    assert!(found.findings.iter().all(|f| f.fault != "wrong-eos"), "{:#?}", found.findings);
}

#[test]
fn answers_that_end_by_themselves_at_their_caps_now_and_then_have_no_wrong_finish_reason() {
    let found = spoilt(|d| {
        if d.kind == Kind::Cut && d.sample.replicate == 0 && d.number < 5 {
            let count = d.sample.text.split_whitespace().count();
            d.sample.text = words(&mut rng::derive(3, &[&d.sample.probe]), count);
            d.sample.finish_reason = Some("stop".into());
        }
    });
    assert!(found.findings.iter().all(|f| f.fault != "finish-reason-wrong"), "{:#?}", found.findings);
}

#[test]
fn one_low_temperature_for_all_requests_is_known_by_what_varies_less_and_what_varies_more() {
    let found = spoilt(|d| {
        let sample = &d.sample;
        let replicate = sample.replicate.to_string();
        let mut rng = rng::derive(3, &[&sample.probe, &replicate]);
        match d.kind {
            // Far from the reference's, and near each other.
            Kind::Sampled => {
                d.sample.text = words(&mut rng::derive(4, &[&sample.probe]), 7) + " " + &words(&mut rng, 7);
            }
            Kind::Plain => {
                let kept = sample.text.len() / 4;
                d.sample.text = sample.text[..kept].to_owned() + &words(&mut rng, 10);
            }
            _ => {}
        }
    });
    let faults: Vec<&str> = found.findings.iter().map(|f| f.fault.as_str()).collect();
    assert_eq!(faults, ["temperature-ignored"], "{found:#?}");
    assert!(found.findings[0].evidence.contains("at temperature 0 they change"), "{:#?}", found.findings);
}
