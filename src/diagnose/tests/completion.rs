//! Counts of completion tokens that are counts of something else, and what rules on caps and ends make of them.

use super::world::{Draft, Kind, host, words};
use super::{certain, comparison, completion, spoilt};
use crate::compare::EndpointComparison;
use crate::stats::rng;
use crate::verdict::Confidence;

fn confidence_of(found: &EndpointComparison, fault: &str) -> Option<Confidence> {
    found.findings.iter().find(|f| f.fault == fault).map(|f| f.confidence)
}

#[test]
fn counts_that_are_not_the_references_on_its_own_answers_say_nothing_of_caps() {
    let counts: [fn(&Draft) -> u64; 5] = [
        |d| d.sample.text.chars().count() as u64,
        |d| 3 * d.sample.text.split_whitespace().count() as u64,
        |_| 1,
        |_| 0,
        |d| d.sample.parameters.as_ref().unwrap().max_tokens.map_or(300, u64::from),
    ];
    for count in counts {
        let found = spoilt(|d| {
            let tokens = count(d);
            completion(d, tokens);
        });
        assert!(certain(&found).is_empty(), "{:#?}", found.findings);
        assert_eq!(confidence_of(&found, "low-output-cap"), None, "{:#?}", found.findings);
        assert_eq!(confidence_of(&found, "max-tokens-ignored"), None, "{:#?}", found.findings);
    }
    let characters = spoilt(|d| {
        let tokens = d.sample.text.chars().count() as u64;
        completion(d, tokens);
    });
    assert_eq!(confidence_of(&characters, "usage-miscounted"), Some(Confidence::Likely));
}

#[test]
fn where_answers_are_drawn_a_token_stands_for_as_much_text_as_one_of_the_references() {
    let drawn = |name: &str| host(name).into_iter().filter(|d| d.kind == Kind::Sampled).collect::<Vec<_>>();
    let of = |tokens: u64| {
        let mut endpoint = drawn("endpoint");
        for draft in &mut endpoint {
            completion(draft, tokens);
        }
        comparison(drawn("reference"), endpoint).endpoints.remove(0)
    };
    let last_chunk = of(1);
    assert_eq!(confidence_of(&last_chunk, "usage-miscounted"), Some(Confidence::Likely), "{:#?}", last_chunk.findings);
    assert_eq!(confidence_of(&last_chunk, "low-output-cap"), None, "{:#?}", last_chunk.findings);
    // Half of what they are: as another tokenizer may count, and no wall before which texts end.
    let batches = of(8);
    assert_eq!(confidence_of(&batches, "low-output-cap"), None, "{:#?}", batches.findings);
}

#[test]
fn where_the_references_counts_cannot_be_of_its_texts_the_host_is_not_blamed_for_others() {
    let mut reference = host("reference");
    for draft in &mut reference {
        completion(draft, 1);
    }
    let found = comparison(reference, host("endpoint")).endpoints.remove(0);
    let sure = found.findings.iter().filter(|f| f.confidence != Confidence::Possible);
    assert_eq!(sure.count(), 0, "{:#?}", found.findings);
}

#[test]
fn a_reference_that_counts_what_ends_an_answer_makes_no_lower_cap() {
    let drawn = |name: &str| host(name).into_iter().filter(|d| d.kind == Kind::Sampled).collect::<Vec<_>>();
    let mut reference = drawn("reference");
    for draft in &mut reference {
        completion(draft, 15);
    }
    let found = comparison(reference, drawn("endpoint")).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "low-output-cap"), None, "{:#?}", found.findings);
}

#[test]
fn a_cap_that_another_tokenizer_counts_beyond_is_kept() {
    let cut = |name: &str| host(name).into_iter().filter(|d| d.kind == Kind::Cut).collect::<Vec<_>>();
    let mut endpoint = cut("endpoint");
    for draft in &mut endpoint {
        draft.sample.text = words(&mut rng::derive(6, &[&draft.sample.probe]), 12);
        completion(draft, 14);
    }
    let found = comparison(cut("reference"), endpoint).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "max-tokens-ignored"), Some(Confidence::Possible), "{:#?}", found.findings);
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
}

#[test]
fn an_answer_that_ends_by_itself_at_a_cap_that_is_not_kept_has_the_right_reason() {
    let found = spoilt(|d| {
        if matches!(d.kind, Kind::Cut | Kind::BothWays) {
            d.sample.text += &words(&mut rng::derive(1, &["more", &d.sample.probe]), 12);
            d.sample.finish_reason = Some("stop".into());
            completion(d, 26);
        } else if d.kind == Kind::Plain && d.number < 12 {
            completion(d, 64);
        }
    });
    assert_eq!(certain(&found), ["max-tokens-ignored"], "{:#?}", found.findings);
    assert_eq!(confidence_of(&found, "finish-reason-wrong"), None, "{:#?}", found.findings);
}

#[test]
fn a_reference_that_says_of_every_answer_that_it_was_cut_makes_no_wrong_reason() {
    let mut reference = host("reference");
    for draft in reference.iter_mut().filter(|d| d.kind != Kind::Tools) {
        draft.sample.finish_reason = Some("length".into());
    }
    let found = comparison(reference, host("endpoint")).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "finish-reason-wrong"), None, "{:#?}", found.findings);
}

#[test]
fn an_end_token_that_the_reference_leaves_in_its_texts_is_no_wrong_end_of_the_host() {
    let mut reference = host("reference");
    for d in reference.iter_mut().filter(|d| !matches!(d.kind, Kind::Tools | Kind::Schema | Kind::Cut)) {
        d.sample.text += "<|eot_id|>";
    }
    let found = comparison(reference, host("endpoint")).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "wrong-eos"), None, "{:#?}", found.findings);
    let greedy = found.greedy.expect("greedy answers");
    assert!(greedy.differing < 0.1, "what ends an answer is no part of it: {greedy:?}");
}

#[test]
fn tokens_of_thinking_that_are_counted_otherwise_hide_no_thought_and_make_none_longer() {
    let thinking = |name: &str, tokens: u64| {
        let mut drafts = host(name);
        for d in drafts.iter_mut().filter(|d| d.kind == Kind::Thinking) {
            d.sample.usage.as_mut().unwrap().reasoning_tokens = Some(tokens);
        }
        drafts
    };
    for tokens in [11, 20] {
        let found = comparison(thinking("reference", 3), thinking("endpoint", tokens)).endpoints.remove(0);
        assert_eq!(confidence_of(&found, "reasoning-hidden"), None, "{:#?}", found.findings);
        assert_eq!(confidence_of(&found, "reasoning-effort-ignored"), None, "{:#?}", found.findings);
    }
}
