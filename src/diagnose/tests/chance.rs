//! What a model does by itself now and then is no fault of the host, and does not hide one.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::world::{Draft, Kind, WORDS, host, words};
use super::{certain, comparison, spoilt};
use crate::sample::Sample;
use crate::stats::rng;
use crate::verdict::Confidence;

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

/// Words as often as they are early among all, and only the first so many.
fn of_the_first(most: usize, rng: &mut ChaCha8Rng) -> String {
    let mut index = || loop {
        let i = rng.random_range(0..WORDS.len()).min(rng.random_range(0..WORDS.len()));
        if i < most {
            break i;
        }
    };
    (0..14).map(|_| WORDS[index()]).collect::<Vec<_>>().join(" ")
}

/// What is said of sampling where drawn answers have the first so many of all words, and are the reference's at temperature 0.
fn told_of_drawing(reference: usize, endpoint: usize) -> Option<(Confidence, String)> {
    let side = |name: &str, most: usize| {
        let mut drafts = host(name);
        for draft in drafts.iter_mut().filter(|d| d.kind == Kind::Sampled) {
            let sample = &draft.sample;
            let mut rng = rng::derive(6, &[name, &sample.probe, &sample.replicate.to_string()]);
            draft.sample.text = of_the_first(most, &mut rng);
        }
        drafts
    };
    let found = comparison(side("reference", reference), side("endpoint", endpoint)).endpoints.remove(0);
    let told = found.findings.into_iter().find(|f| f.fault == "temperature-ignored");
    told.map(|f| (f.confidence, f.evidence))
}

#[test]
fn answers_without_their_tail_are_known_by_their_surprisal_where_greedy_ones_agree() {
    let all = WORDS.len();
    let (confidence, evidence) = told_of_drawing(all, 8).expect("a finding");
    assert_eq!(confidence, Confidence::Likely, "{evidence}");
    assert!(evidence.contains("less surprising than the reference's, as without their tail"), "{evidence}");
    let (confidence, evidence) = told_of_drawing(8, all).expect("a finding");
    assert_eq!(confidence, Confidence::Possible, "{evidence}");
    assert!(evidence.contains("more surprising"), "{evidence}");
    assert_eq!(told_of_drawing(all, all), None);
}

#[test]
fn another_models_answers_among_the_references_are_no_higher_temperature_for_sure() {
    let side = |name: &str, is_other: fn(u32) -> bool| {
        let mut drafts = host(name);
        for draft in drafts.iter_mut().filter(|d| d.kind == Kind::Sampled) {
            let sample = &draft.sample;
            let mut rng = rng::derive(7, &[name, &sample.probe, &sample.replicate.to_string()]);
            let begun = words(&mut rng::derive(8, &[&sample.probe]), 7);
            let text = words(&mut rng, 14);
            draft.sample.text = if is_other(sample.replicate) { text } else { format!("{begun} {text}") };
        }
        drafts
    };
    let endpoint = side("endpoint", |replicate| replicate.is_multiple_of(3));
    let found = comparison(side("reference", |_| false), endpoint).endpoints.remove(0);
    let sure = found.findings.iter().filter(|f| f.confidence != Confidence::Possible);
    assert_eq!(sure.count(), 0, "{:#?}", found.findings);
    assert!(found.findings.iter().any(|f| f.evidence.contains("% more than")), "{:#?}", found.findings);
}

#[test]
fn noise_that_leaves_two_of_three_answers_to_a_seed_equal_is_no_seed_that_is_ignored_for_sure() {
    let found = spoilt(|d| {
        if d.kind == Kind::Seeded && d.sample.replicate == 2 {
            d.sample.text += " And so.";
        }
    });
    let told = found.findings.iter().find(|f| f.fault == "seed-ignored").map(|f| f.confidence);
    assert_eq!(told, Some(Confidence::Possible), "{:#?}", found.findings);
}

/// What is said of sampling where short answers come again and again, of which the reference gives one as often as all others.
fn told_of_the_same(kept: impl Fn(&str) -> String) -> Option<Confidence> {
    let side = |name: &str, text: &dyn Fn(&Sample) -> String| {
        let mut drafts = host(name);
        for draft in drafts.iter_mut().filter(|d| d.kind == Kind::Sampled) {
            draft.sample.text = text(&draft.sample);
            draft.sample.response_id = None;
        }
        drafts
    };
    let drawn = side("reference", &|sample| short(&["reference", &sample.probe, &sample.replicate.to_string()]));
    let found = comparison(drawn, side("endpoint", &|sample| kept(&sample.probe))).endpoints.remove(0);
    found.findings.into_iter().find(|f| f.fault == "temperature-ignored").map(|f| f.confidence)
}

fn short(label: &[&str]) -> String {
    let mut rng = rng::derive(9, label);
    let index = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..WORDS.len()) };
    WORDS[index].to_owned()
}

#[test]
fn short_answers_that_are_always_the_same_are_drawn_at_temperature_0_where_they_are_the_commonest() {
    assert_eq!(told_of_the_same(|_| WORDS[0].to_owned()), Some(Confidence::Likely));
    for kept in 0..5_u8 {
        let told = told_of_the_same(|probe| short(&["kept", probe, &kept.to_string()]));
        assert_ne!(told, Some(Confidence::Likely), "{kept}");
    }
}
