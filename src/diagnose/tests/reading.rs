//! Prompts that are counted otherwise and read as they were sent, as greedy answers show.

use super::world::{Draft, Kind, host, image_tokens};
use super::{certain, comparison, spoilt, tokens, traits};
use crate::compare::EndpointComparison;
use crate::verdict::{Confidence, Verdict};

/// Holds that counts make no drift and no likely name of a fault of the prompt, and gives what is said of a fault.
#[track_caller]
fn confidence_of(found: &EndpointComparison, fault: &str) -> Option<Confidence> {
    let mut sure = found.findings.iter().filter(|f| f.confidence != Confidence::Possible);
    assert!(sure.all(|f| f.fault == "usage-miscounted"), "{:#?}", found.findings);
    assert!(certain(found).is_empty(), "{:#?}", found.findings);
    assert_ne!(found.verdict, Verdict::Drifted, "{}", found.reason);
    found.findings.iter().find(|f| f.fault == fault).map(|f| f.confidence)
}

/// A host that counts one token more, and gives the reference's answers word for word but for those that are moved.
fn one_more(keep: impl Fn(&Draft) -> bool, is_moved: impl Fn(&Draft) -> bool) -> EndpointComparison {
    let mut reference = host("reference");
    reference.retain(&keep);
    let mut endpoint = host("reference");
    endpoint.retain(&keep);
    for d in &mut endpoint {
        d.sample.endpoint = "endpoint".into();
        tokens(d, |n| n + 1);
        if is_moved(d) {
            d.sample.text += " And so.";
        }
    }
    comparison(reference, endpoint).endpoints.remove(0)
}

#[test]
fn one_token_more_on_prompts_of_which_no_answer_has_moved_is_a_way_of_counting() {
    let found = one_more(|_| true, |_| false);
    assert_eq!(confidence_of(&found, "usage-miscounted"), Some(Confidence::Likely), "{:#?}", found.findings);
    assert_eq!(confidence_of(&found, "double-bos"), Some(Confidence::Possible), "{:#?}", found.findings);
}

#[test]
fn one_token_more_stays_a_start_token_where_an_answer_has_moved_or_too_few_could_have() {
    let one_has_moved = one_more(|_| true, |d| d.kind == Kind::Plain && d.number == 7);
    let are_few = one_more(|d| d.kind != Kind::Plain || d.number < 2, |_| false);
    for found in [one_has_moved, are_few] {
        assert_eq!(certain(&found), ["prompt-differs"], "{:#?}", found.findings);
        let likely = found.findings.iter().find(|f| f.confidence == Confidence::Likely).expect("a name");
        assert_eq!(likely.fault, "double-bos");
        assert!(likely.evidence.contains("prompt_tokens_offset"), "{}", likely.evidence);
        assert_eq!(found.verdict, Verdict::Drifted);
    }
}

#[test]
fn other_counts_of_prompts_that_were_read_as_they_were_sent_are_counts() {
    let warm = spoilt(|d| tokens(d, |n| n + 64));
    assert_eq!(confidence_of(&warm, "usage-miscounted"), Some(Confidence::Likely));
    assert_eq!(confidence_of(&warm, "hidden-system-prompt"), Some(Confidence::Possible));
    let without_template = spoilt(|d| tokens(d, |n| n - 7));
    assert_eq!(confidence_of(&without_template, "usage-miscounted"), Some(Confidence::Likely));
    assert_eq!(confidence_of(&without_template, "wrong-template"), Some(Confidence::Possible));
}

/// A host with few prompts of one kind, so that few of its answers show how these are read.
fn few_of(kind: Kind, name: &str, change: impl Fn(&mut Draft)) -> Vec<Draft> {
    let mut drafts = host(name);
    drafts.retain(|d| d.kind != kind || d.number < 3);
    drafts.iter_mut().filter(|d| d.kind == kind).for_each(change);
    drafts
}

#[test]
fn images_and_messages_that_a_host_counts_at_a_rate_of_its_own_reach_the_model() {
    let flat = few_of(Kind::Images, "endpoint", |d| {
        let (all, flat) = (image_tokens(d.number), image_tokens(d.number) / 4);
        tokens(d, move |n| n - all + flat);
    });
    let found = comparison(few_of(Kind::Images, "reference", |_| {}), flat).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "image-downscaled"), Some(Confidence::Possible));
    let uncounted = few_of(Kind::System, "endpoint", |d| {
        let own = traits(d).system_characters / 4 + 5;
        tokens(d, move |n| n - own);
    });
    let found = comparison(few_of(Kind::System, "reference", |_| {}), uncounted).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "dropped-system-prompt"), Some(Confidence::Possible));
}

#[test]
fn without_answers_that_show_how_prompts_are_read_a_count_is_no_likely_fault_of_the_prompt() {
    let short = |name: &str| {
        let mut drafts = host(name);
        drafts.retain(|d| d.kind == Kind::Plain);
        for draft in &mut drafts {
            draft.sample.text = "Yes.".into();
        }
        drafts
    };
    let mut endpoint = short("endpoint");
    for draft in &mut endpoint {
        tokens(draft, |n| n + 4);
    }
    let found = comparison(short("reference"), endpoint).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "hidden-system-prompt"), Some(Confidence::Possible));
    assert_eq!(confidence_of(&found, "usage-miscounted"), Some(Confidence::Possible));
}

#[test]
fn tools_that_are_not_counted_and_hardly_ever_called_are_not_dropped_for_sure() {
    let quiet = |name: &str, calls: u32| {
        let mut drafts = host(name);
        for draft in drafts.iter_mut().filter(|d| d.kind == Kind::Tools && d.number >= calls) {
            draft.sample.tool_calls.clear();
            draft.sample.text = "I cannot know the weather.".into();
            draft.sample.finish_reason = Some("stop".into());
        }
        drafts
    };
    let mut endpoint = quiet("endpoint", 0);
    endpoint.iter_mut().filter(|d| d.kind == Kind::Tools).for_each(|d| tokens(d, |n| n - 70));
    let found = comparison(quiet("reference", 1), endpoint).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "tools-dropped"), None);
    assert_eq!(confidence_of(&found, "usage-miscounted"), Some(Confidence::Possible));
}

#[test]
fn one_prompt_that_is_counted_in_two_ways_is_no_other_prompt() {
    let again = spoilt(|d| {
        if d.sample.replicate > 0 {
            tokens(d, |n| n + 16);
        }
    });
    assert_eq!(confidence_of(&again, "usage-miscounted"), Some(Confidence::Likely));
    assert_eq!(confidence_of(&again, "hidden-system-prompt"), None);
    let third = spoilt(|d| {
        if (d.number + d.sample.replicate) % 3 == 0 {
            tokens(d, |n| n + 1);
        }
    });
    assert_eq!(confidence_of(&third, "usage-miscounted"), Some(Confidence::Likely));
    assert_eq!(confidence_of(&third, "double-bos"), None);
}

/// A host whose prompts share a text of a hundred tokens.
fn sharing(name: &str, change: impl Fn(&mut Draft)) -> Vec<Draft> {
    let mut drafts = host(name);
    for draft in &mut drafts {
        tokens(draft, |n| n + 100);
        change(draft);
    }
    drafts
}

#[test]
fn whole_blocks_that_are_left_out_are_a_cache_under_other_kernels_and_without_greedy_answers() {
    let endpoint = sharing("endpoint", |d| {
        if d.kind != Kind::Plain || d.number > 0 || d.sample.replicate > 0 {
            tokens(d, |n| n - 64);
        }
        let is_text = !matches!(d.kind, Kind::Tools | Kind::Schema | Kind::Sampled | Kind::Seeded);
        if is_text && d.number % 2 == 0 {
            d.sample.text += " And so.";
        }
    });
    let found = comparison(sharing("reference", |_| {}), endpoint).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "usage-miscounted"), Some(Confidence::Likely));
    let drawn = |drafts: Vec<Draft>| drafts.into_iter().filter(|d| d.kind == Kind::Sampled).collect::<Vec<_>>();
    let endpoint = sharing("endpoint", |d| tokens(d, |n| n - 64));
    let found = comparison(drawn(sharing("reference", |_| {})), drawn(endpoint)).endpoints.remove(0);
    // Nothing shows that one number for all is no message that is left out of each.
    assert_eq!(confidence_of(&found, "usage-miscounted"), Some(Confidence::Possible));
}
