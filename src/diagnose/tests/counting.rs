//! Counts of tokens that are another host's way of counting, another tokenizer's, or another prompt's.

use rand::RngExt as _;

use super::world::{Draft, Kind, asked_and_counted, host, words};
use super::{certain, comparison, completion, finds, finds_likely, spoilt, tokens, traits};
use crate::compare::EndpointComparison;
use crate::stats::rng;
use crate::verdict::{Confidence, Verdict};

fn told(found: &EndpointComparison) -> Vec<(&str, Confidence)> {
    found.findings.iter().map(|f| (f.fault.as_str(), f.confidence)).collect()
}

/// Another answer than the reference's, the same whenever it is asked for unless it is drawn.
fn another_text(d: &mut Draft) {
    let draw = if d.kind == Kind::Sampled { d.sample.replicate.to_string() } else { String::new() };
    if !matches!(d.kind, Kind::Tools | Kind::Schema) {
        let count = d.sample.text.split_whitespace().count();
        d.sample.text = words(&mut rng::derive(7, &["another", &d.sample.probe, &draw]), count.max(12));
    }
}

/// What another tokenizer makes of a prompt of so many tokens: fewer, by about a tenth and by what its template leaves out.
fn counted_otherwise(d: &mut Draft) {
    let off = 4 + u64::from(d.number * 7 % 5);
    tokens(d, move |n| n - (n / 10 + off).min(n - 1));
}

#[test]
fn a_host_that_leaves_cached_tokens_out_counts_otherwise_and_asks_the_same() {
    let only_uncached = spoilt(|d| {
        if d.sample.replicate > 0 {
            tokens(d, |_| 1);
        }
    });
    assert_eq!(told(&only_uncached), [("usage-miscounted", Confidence::Likely)], "{:#?}", only_uncached.findings);
    assert_ne!(only_uncached.verdict, Verdict::Drifted);
    let in_blocks = spoilt(|d| {
        if d.sample.replicate > 0 {
            tokens(d, |n| n - n / 16 * 16 + 1);
        }
    });
    assert_eq!(told(&in_blocks), [("usage-miscounted", Confidence::Likely)], "{:#?}", in_blocks.findings);
    let shared = spoilt(|d| {
        if d.kind != Kind::Plain || d.number > 0 {
            tokens(d, |n| n.saturating_sub(16).max(1));
        }
    });
    assert_eq!(told(&shared), [("usage-miscounted", Confidence::Likely)], "{:#?}", shared.findings);
    let warm = spoilt(|d| tokens(d, |n| n.saturating_sub(16).max(1)));
    assert_eq!(told(&warm), [("usage-miscounted", Confidence::Likely)], "{:#?}", warm.findings);
}

#[test]
fn a_zero_is_no_count() {
    let found = spoilt(|d| {
        if d.number % 3 == 0 {
            tokens(d, |_| 0);
        }
    });
    assert_eq!(told(&found), [("usage-miscounted", Confidence::Likely)], "{:#?}", found.findings);
    assert!(found.findings[0].evidence.contains("whose own tokens are"), "{:#?}", found.findings);
}

#[test]
fn counts_that_are_left_out_now_and_then_and_counts_that_are_lower_are_one_finding() {
    let found = spoilt(|d| {
        if d.sample.replicate > 0 {
            let left_out = d.number % 5 == 0;
            tokens(d, move |_| u64::from(!left_out));
        }
    });
    assert_eq!(told(&found), [("usage-miscounted", Confidence::Likely)], "{:#?}", found.findings);
    let evidence = &found.findings[0].evidence;
    assert!(evidence.contains("fewer for some") && evidence.contains("are not counted with"), "{evidence}");
}

#[test]
fn another_tokenizer_on_other_answers_is_another_model() {
    let found = spoilt(|d| {
        another_text(d);
        counted_otherwise(d);
    });
    assert_eq!(told(&found)[0], ("swapped-model", Confidence::Likely), "{:#?}", found.findings);
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
}

#[test]
fn answers_that_all_part_late_are_no_other_models_however_prompts_are_counted() {
    let found = spoilt(|d| {
        if !matches!(d.kind, Kind::Tools | Kind::Schema | Kind::Sampled | Kind::Seeded) {
            d.sample.text += " And so.";
        }
        counted_otherwise(d);
    });
    assert!(!told(&found).contains(&("swapped-model", Confidence::Likely)), "{:#?}", found.findings);
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
}

#[test]
fn a_template_that_leaves_out_roles_and_tools_is_no_other_tokenizer_however_far_answers_go() {
    let found = spoilt(|d| {
        another_text(d);
        let marks = 3 * u64::from(traits(d).messages);
        let left_out = marks + if d.kind == Kind::Tools { 20 + 3 * u64::from(d.number) } else { 0 };
        tokens(d, move |n| n - left_out);
    });
    let sure: Vec<(&str, Confidence)> = told(&found).into_iter().filter(|(_, c)| *c != Confidence::Possible).collect();
    assert_eq!(
        sure,
        [("prompt-differs", Confidence::Certain), ("wrong-template", Confidence::Likely)],
        "{:#?}",
        found.findings
    );
}

#[test]
fn another_tokenizer_on_the_very_answers_that_differ_is_a_share_of_another_model() {
    let mut number = 0;
    let found = spoilt(|d| {
        number += 1;
        if number % 3 == 0 {
            another_text(d);
            counted_otherwise(d);
        }
    });
    assert_eq!(told(&found)[0], ("partial-routing", Confidence::Likely), "{:#?}", found.findings);
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
}

#[test]
fn what_a_cache_has_kept_is_computed_otherwise_and_is_no_other_model() {
    let found = spoilt(|d| {
        let has_words = !matches!(d.kind, Kind::Tools | Kind::Schema | Kind::Sampled | Kind::Seeded);
        if d.sample.replicate > 0 {
            tokens(d, |n| n - n / 16 * 16 + 1);
            if has_words {
                d.sample.text += " And so.";
            }
        }
    });
    assert!(told(&found).iter().all(|(fault, _)| *fault != "partial-routing"), "{:#?}", found.findings);
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
}

#[test]
fn a_message_that_some_of_the_servers_drop_is_no_way_of_counting() {
    finds("dropped-system-prompt", "all with a system message", |d| {
        let dropped = traits(d).system_characters / 4 + 5;
        if d.kind == Kind::System && d.sample.replicate == 1 {
            asked_and_counted(d, move |n| n - dropped);
        }
    });
}

#[test]
fn counts_that_follow_the_characters_are_an_estimate_whatever_the_answers_are() {
    let found = spoilt(|d| {
        another_text(d);
        let characters = traits(d).characters;
        tokens(d, move |_| characters / 3 + 1);
    });
    assert!(told(&found).contains(&("usage-miscounted", Confidence::Likely)), "{:#?}", found.findings);
    assert!(!told(&found).contains(&("swapped-model", Confidence::Likely)), "{:#?}", found.findings);
}

#[test]
fn another_way_of_counting_the_same_answers_is_no_other_model() {
    let found = spoilt(counted_otherwise);
    assert_eq!(told(&found), [("usage-miscounted", Confidence::Likely)], "{:#?}", found.findings);
    assert_ne!(found.verdict, Verdict::Drifted);
}

#[test]
fn one_token_more_is_no_second_start_where_no_probe_has_a_system_message_of_its_own() {
    let plain = |mut drafts: Vec<Draft>| {
        drafts.retain(|d| d.kind != Kind::System);
        drafts
    };
    let mut endpoint = plain(host("endpoint"));
    for d in &mut endpoint {
        asked_and_counted(d, |n| n + 1);
    }
    let found = comparison(plain(host("reference")), endpoint).endpoints.remove(0);
    assert_eq!(certain(&found), ["prompt-differs"], "{:#?}", found.findings);
    assert!(told(&found).contains(&("double-bos", Confidence::Possible)), "{:#?}", found.findings);
    assert_eq!(found.verdict, Verdict::Drifted);
    // A message of the host's own takes the place of none, and not of the caller's.
    finds_likely("hidden-system-prompt", "1 more on each that has no system message", |d| {
        if d.kind != Kind::System {
            asked_and_counted(d, |n| n + 1);
        }
    });
}

#[test]
fn a_message_that_the_template_has_of_its_own_is_missing_or_another() {
    let found = spoilt(|d| {
        if d.kind != Kind::System {
            asked_and_counted(d, |n| n - 5);
        }
    });
    assert_eq!(certain(&found), ["prompt-differs"], "{:#?}", found.findings);
    assert!(told(&found).contains(&("wrong-template", Confidence::Likely)), "{:#?}", found.findings);
}

#[test]
fn a_dropped_message_in_whose_place_the_template_puts_its_own_is_no_wrong_template() {
    let found = spoilt(|d| {
        let own = traits(d).system_characters / 4;
        if d.kind == Kind::System {
            another_text(d);
            // Five for the message and two more, as the reference counts a prompt without one.
            tokens(d, move |n| n - own - 5 + 2);
        }
    });
    assert!(told(&found).iter().all(|(fault, _)| *fault != "wrong-template"), "{:#?}", found.findings);
    assert!(told(&found).iter().any(|(fault, _)| *fault == "dropped-system-prompt"), "{:#?}", found.findings);
}

#[test]
fn a_template_that_joins_tokens_of_a_few_prompts_is_a_template() {
    let found = spoilt(|d| {
        another_text(d);
        let joined = u64::from(d.kind == Kind::Plain && d.number == 7);
        let messages = u64::from(traits(d).messages);
        tokens(d, move |n| n - 2 * messages - joined);
    });
    assert!(told(&found).contains(&("wrong-template", Confidence::Likely)), "{:#?}", found.findings);
    assert!(told(&found).iter().all(|(fault, _)| *fault != "swapped-model"), "{:#?}", found.findings);
}

#[test]
fn a_context_is_only_cut_where_counts_stop_growing() {
    let found = spoilt(|d| tokens(d, |n| n - n / 3));
    assert!(told(&found).iter().all(|(fault, _)| *fault != "truncated-context"), "{:#?}", found.findings);
    let constant = spoilt(|d| tokens(d, |_| 7));
    assert!(told(&constant).iter().all(|(fault, _)| *fault != "truncated-context"), "{:#?}", constant.findings);
}

/// A host that keeps some sixty tokens of each prompt in one way or another, and answers to what is left.
fn shortened(keep: impl Fn(u64) -> u64) -> EndpointComparison {
    spoilt(|d| {
        let usage = d.sample.usage.unwrap();
        if d.kind == Kind::Plain && usage.prompt_tokens.is_some_and(|n| n > 48) {
            another_text(d);
            tokens(d, &keep);
        }
    })
}

#[test]
fn a_context_that_is_cut_by_words_leaves_no_one_number_and_is_no_other_model() {
    let found = shortened(|n| 40 + n % 5);
    assert_eq!(told(&found)[0], ("truncated-context", Confidence::Likely), "{:#?}", found.findings);
    assert!(told(&found).iter().all(|(fault, _)| *fault != "partial-routing"), "{:#?}", found.findings);
    let growing = shortened(|n| n - n / 10);
    assert!(!told(&growing).contains(&("truncated-context", Confidence::Likely)), "{:#?}", growing.findings);
    assert!(!told(&growing).contains(&("partial-routing", Confidence::Likely)), "{:#?}", growing.findings);
}

#[test]
fn counts_over_the_cap_of_answers_that_are_the_references_are_off() {
    let found = spoilt(|d| {
        if d.kind == Kind::Cut {
            completion(d, 14);
        }
    });
    assert!(told(&found).iter().all(|(fault, _)| *fault != "max-tokens-ignored"), "{:#?}", found.findings);
}

#[test]
fn counts_that_waver_are_no_counts_and_no_drift() {
    let mut rng = rng::derive(1, &["waver"]);
    let found = spoilt(move |d| {
        let off = rng.random_range(1..5_u64);
        let more = rng.random_range(0..2) == 0;
        tokens(d, move |n| if more { n + off } else { n - off });
        let answer = d.sample.usage.and_then(|u| u.completion_tokens).unwrap();
        completion(d, if more { answer + off } else { answer.saturating_sub(off) });
    });
    assert_eq!(certain(&found), ["usage-miscounted"], "{:#?}", found.findings);
    assert!(found.findings[0].evidence.contains("several counts for one prompt"), "{:#?}", found.findings);
    assert_ne!(found.verdict, Verdict::Drifted);
}

#[test]
fn counts_that_are_absent_are_told_and_are_no_drift() {
    let found = spoilt(|d| d.sample.usage = None);
    assert_eq!(
        (found.findings[0].fault.as_str(), found.findings[0].confidence),
        ("usage-miscounted", Confidence::Likely)
    );
    assert_ne!(found.verdict, Verdict::Drifted);
    // Where they were not asked for, nothing is missing.
    let found = spoilt(|d| {
        d.sample.usage = None;
        let parameters = d.sample.parameters.as_mut().unwrap();
        (parameters.stream, parameters.stream_usage) = (Some(true), Some(false));
    });
    assert!(found.findings.iter().all(|f| f.fault != "usage-miscounted"), "{:?}", found.findings);
}
