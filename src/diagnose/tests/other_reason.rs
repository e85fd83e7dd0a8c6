//! What looks like a fault and has another reason: a model that has moved, models that take turns, answers that are too long.

use rand::RngExt as _;

use super::world::{Kind, words};
use super::{certain, completion, finds, own_draws, spoilt};
use crate::stats::rng;
use crate::verdict::Verdict;

#[test]
fn a_seed_is_not_blamed_for_certain_where_answers_go_on_behind_their_cap() {
    finds("max-tokens-ignored", "over max_tokens", |d| {
        if d.kind == Kind::Seeded {
            d.sample.text = words(&mut own_draws(d), 90);
            completion(d, 90);
        }
    });
}

#[test]
fn models_that_take_turns_use_the_seed() {
    let found = spoilt(|d| {
        let is_other = own_draws(d).random_range(0..10) < 4;
        if is_other && matches!(d.kind, Kind::Plain | Kind::System | Kind::History | Kind::Seeded) {
            d.sample.text = words(&mut rng::derive(3, &["other", &d.sample.probe]), 20);
        }
    });
    assert_eq!(found.verdict, Verdict::Drifted);
    assert!(found.findings.iter().all(|f| f.fault != "seed-ignored"), "{:#?}", found.findings);
}

#[test]
fn thoughts_that_another_model_breaks_off_are_its_own() {
    let found = spoilt(|d| {
        let has_words = !matches!(d.kind, Kind::Tools | Kind::Schema);
        if has_words {
            let draw = if d.kind == Kind::Sampled { d.sample.replicate.to_string() } else { String::new() };
            d.sample.text = words(&mut rng::derive(4, &[&d.sample.probe, &draw]), 12);
        }
        if d.kind == Kind::Plain {
            d.sample.reasoning = Some("Let me see.".into());
            if d.number % 5 == 0 {
                d.sample.text.clear();
            }
        }
    });
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
    let told: Vec<&str> = found.findings.iter().map(|f| f.fault.as_str()).collect();
    assert_eq!(told, ["swapped-model", "reasoning-misplaced"], "{:#?}", found.findings);
}

#[test]
fn weights_that_miss_an_end_now_and_then_have_the_right_one() {
    let found = spoilt(|d| {
        let is_plain = matches!(d.kind, Kind::Plain | Kind::System | Kind::History);
        if !is_plain || d.sample.finish_reason.as_deref() != Some("stop") {
            return;
        }
        if d.number % 8 == 0 {
            d.sample.text += " And on it goes.";
            d.sample.finish_reason = Some("length".into());
            completion(d, 64);
        } else if d.number % 8 < 6 {
            let half = d.sample.text.len() / 2;
            d.sample.text.truncate(half);
            d.sample.text += &words(&mut rng::derive(5, &[&d.sample.probe]), 8);
        }
    });
    // Without a control, so many answers that part halfway may be those of other kernels.
    assert_ne!(found.verdict, Verdict::Consistent);
    assert!(found.findings.iter().all(|f| f.fault != "wrong-eos"), "{:#?}", found.findings);
}
