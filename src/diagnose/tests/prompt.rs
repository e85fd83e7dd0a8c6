//! Prompts that reach the model otherwise than they were sent, as counts and answers show.

use std::collections::BTreeMap;

use super::world::{Draft, Kind, asked_and_counted, host, image_tokens};
use super::{SETTINGS, certain, finds, finds_likely, names, tokens, traits};
use crate::compare::{Known, Roles, compare};
use crate::sample::Sample;
use crate::verdict::Confidence;

/// Counts each prompt otherwise, where the answers to three of five are others.
fn counted_and_moved(d: &mut Draft, change: fn(u64) -> u64) {
    if d.number % 5 < 3 {
        asked_and_counted(d, change);
    } else {
        tokens(d, change);
    }
}

#[test]
fn a_start_token_is_likely_where_answers_have_moved() {
    let seen = names("double-bos", Confidence::Likely, |d| counted_and_moved(d, |n| n + 1));
    assert!(seen.ends_with("on 110 of 110 probes"), "{seen}");
    let seen = names("missing-bos", Confidence::Likely, |d| counted_and_moved(d, |n| n - 1));
    assert!(seen.ends_with("on 110 of 110 probes"), "{seen}");
}

#[test]
fn answers_as_far_as_another_models_are_no_start_token_for_sure() {
    names("double-bos", Confidence::Possible, |d| asked_and_counted(d, |n| n + 1));
}

#[test]
fn a_fault_of_some_servers_is_found_in_a_share_of_the_answers() {
    let seen = names("double-bos", Confidence::Likely, |d| {
        if (d.number + d.sample.replicate).is_multiple_of(5) {
            asked_and_counted(d, |n| n + 1);
        }
    });
    assert!(seen.contains("answers"), "{seen}");
}

#[test]
fn a_known_way_of_counting_is_no_fault() {
    let mut endpoint = host("endpoint");
    for draft in &mut endpoint {
        tokens(draft, |n| n + 1);
    }
    let samples: Vec<Sample> = host("reference").into_iter().chain(endpoint).map(|d| d.sample).collect();
    let known = BTreeMap::from([("endpoint", Known { token_offset: 1, ..Known::default() })]);
    let roles = Roles { known, ..Roles::new("reference", vec!["endpoint"]) };
    let found = compare(&samples, &roles, &SETTINGS).unwrap();
    assert!(certain(&found.endpoints[0]).is_empty());
}

#[test]
fn a_message_of_the_hosts_own_is_counted() {
    finds_likely("hidden-system-prompt", "9 more on each", |d| asked_and_counted(d, |n| n + 9));
    finds_likely("hidden-system-prompt", "no system message of its own", |d| {
        if d.kind != Kind::System {
            asked_and_counted(d, |n| n + 9);
        }
    });
    finds_likely("hidden-system-prompt", "another where", |d| {
        let joined = if d.kind == Kind::System { 4 } else { 9 };
        asked_and_counted(d, move |n| n + joined);
    });
}

#[test]
fn a_message_of_the_callers_that_is_missing_is_counted() {
    finds("dropped-system-prompt", "all with a system message", |d| {
        let dropped = traits(d).system_characters / 4 + 5;
        if d.kind == Kind::System {
            asked_and_counted(d, move |n| n - dropped);
        }
    });
    finds_likely("wrong-template", "written otherwise", |d| {
        if d.kind == Kind::System {
            asked_and_counted(d, |n| n - 4);
        }
    });
}

#[test]
fn another_template_is_counted() {
    finds_likely("wrong-template", "fewer on each", |d| asked_and_counted(d, |n| n - 2));
    finds_likely("wrong-template", "by -10 to -2", |d| {
        let messages = u64::from(traits(d).messages);
        asked_and_counted(d, move |n| n - 2 * messages);
    });
}

#[test]
fn a_context_that_is_cut_is_counted() {
    finds("truncated-context", "never above 128", |d| asked_and_counted(d, |n| n.min(128)));
    finds("truncated-context", "never above 32", |d| asked_and_counted(d, |n| n.min(32)));
}

#[test]
fn images_that_are_missing_are_told_from_smaller_ones() {
    finds("image-dropped", "as many as the text has", |d| {
        let all = image_tokens(d.number);
        if d.kind == Kind::Images {
            asked_and_counted(d, move |n| n - all);
        }
    });
    finds("image-downscaled", "% of their tokens are left", |d| {
        let side = if image_tokens(d.number) > 30 { 4 } else { 2 };
        let (all, left) = (image_tokens(d.number), side * (side + 1));
        if d.kind == Kind::Images {
            asked_and_counted(d, move |n| n - all + left);
        }
    });
}

#[test]
fn tools_that_are_missing_are_counted_and_never_called() {
    finds("tools-dropped", "no call comes back", |d| {
        if d.kind == Kind::Tools {
            tokens(d, |n| n - 70);
            d.sample.tool_calls.clear();
            d.sample.text = "I cannot know the weather.".into();
            d.sample.finish_reason = Some("stop".into());
        }
    });
    let mut number = 0;
    finds("tools-dropped", "no call comes back", |d| {
        if d.kind == Kind::Tools {
            tokens(d, |n| n - 70);
            let call = d.sample.tool_calls.remove(0);
            number += 1;
            d.sample.text = match number {
                1 | 2 => format!("<|call|>{{\"name\": \"{}\"", call.name),
                _ => "I cannot know the weather.".into(),
            };
            d.sample.finish_reason = Some("stop".into());
        }
    });
    finds_likely("wrong-template", "written otherwise", |d| {
        if d.kind == Kind::Tools {
            asked_and_counted(d, |n| n - 6);
        }
    });
}
