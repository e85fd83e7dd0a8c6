//! Caps, stop sequences, end tokens and finish reasons that are not kept, or not told.

use super::world::{Draft, Kind, host, words};
use super::{certain, comparison, completion, finds, spoilt};
use crate::stats::rng;
use crate::verdict::{Confidence, Verdict};

#[test]
fn a_cap_that_is_not_kept_is_counted() {
    finds("max-tokens-ignored", "completion_tokens over max_tokens", |d| {
        if matches!(d.kind, Kind::Cut | Kind::BothWays) {
            let more = words(&mut rng::derive(1, &["more", &d.sample.probe]), 12);
            d.sample.text += &more;
            d.sample.finish_reason = Some("stop".into());
            completion(d, 26);
        }
    });
}

#[test]
fn a_cap_that_is_not_kept_is_counted_where_most_that_are_over_it_are_hardly_longer() {
    let canaries =
        |name: &str| host(name).into_iter().filter(|d| d.kind == Kind::Cut || is_wide(d)).collect::<Vec<_>>();
    let mut endpoint = canaries("endpoint");
    for draft in &mut endpoint {
        let longer = if draft.kind == Kind::Cut { 60 } else { 68 };
        draft.sample.text = words(&mut rng::derive(1, &["longer", &draft.sample.probe]), longer);
        completion(draft, longer as u64);
    }
    let found = comparison(canaries("reference"), endpoint).endpoints.remove(0);
    assert_eq!(certain(&found), ["max-tokens-ignored"], "{:#?}", found.findings);
}

/// Whether a draft's cap leaves room for all that is said.
fn is_wide(draft: &Draft) -> bool {
    draft.kind == Kind::System || draft.kind == Kind::History
}

fn cut_default(d: &mut Draft, reason: &str) {
    if d.kind == Kind::Uncapped {
        d.sample.text = d.sample.text.split_inclusive(char::is_whitespace).take(16).collect();
        d.sample.finish_reason = Some(reason.into());
        completion(d, 16);
    }
}

#[test]
fn a_cap_of_the_hosts_own_is_found_whatever_it_says_of_it() {
    finds("low-output-default", "no cap was sent", |d| cut_default(d, "length"));
    let found = spoilt(|d| cut_default(d, "stop"));
    assert!(certain(&found).contains(&"low-output-default"), "{:?}", found.findings);
}

#[test]
fn a_stop_sequence_that_does_not_stop_stands_in_the_text() {
    finds("stop-ignored", "text behind a stop sequence", |d| {
        if d.kind == Kind::Stop {
            d.sample.text += " END and more.";
        }
    });
    let left = spoilt(|d| {
        if d.kind == Kind::Stop {
            d.sample.text += " END";
        }
    });
    assert!(certain(&left).is_empty() && left.findings.iter().any(|f| f.fault == "stop-ignored"));
}

#[test]
fn a_wrong_end_token_lets_answers_run_on_or_ends_them_early() {
    finds("wrong-eos", "go on behind", |d| {
        if d.sample.finish_reason.as_deref() == Some("stop")
            && !matches!(d.kind, Kind::Stop | Kind::Schema | Kind::Sampled)
        {
            d.sample.text += &words(&mut rng::derive(1, &["on", &d.sample.probe]), 40);
            d.sample.finish_reason = Some("length".into());
            completion(d, 64);
        }
    });
    finds("wrong-eos", "in the midst", |d| {
        if let Some((line, _)) = d.sample.text.clone().split_once('\n') {
            line.clone_into(&mut d.sample.text);
            d.sample.finish_reason = Some("stop".into());
            let count = line.split_whitespace().count() as u64;
            completion(d, count);
        }
    });
}

#[test]
fn a_wrong_finish_reason_is_found_by_the_cap() {
    let wrong = |d: &mut Draft| {
        if d.sample.finish_reason.as_deref() == Some("length") {
            d.sample.finish_reason = Some("stop".into());
        }
    };
    finds("finish-reason-wrong", "that the cap cut", wrong);
    // A host that does not count is known by texts that the reference gives too.
    let found = spoilt(|d| {
        wrong(d);
        d.sample.usage = None;
    });
    assert_eq!(certain(&found), ["finish-reason-wrong"]);
    let streamed = |d: &mut Draft| {
        if d.sample.parameters.as_ref().unwrap().stream == Some(true) {
            wrong(d);
        }
    };
    finds("finish-reason-wrong", "that the cap cut", streamed);
    // Without any, what is said may be right all the same.
    let found = spoilt(|d| d.sample.finish_reason = None);
    let told = found.findings.iter().find(|f| f.evidence.contains("no finish reason")).map(|f| f.confidence);
    assert_eq!((told, certain(&found).len()), (Some(Confidence::Likely), 0), "{:#?}", found.findings);
    assert_ne!(found.verdict, Verdict::Drifted, "{}", found.reason);
    // Where most answers have a reason, those without may have been cut.
    let found = spoilt(|d| {
        if d.kind == Kind::Plain && d.number % 4 == 0 {
            d.sample.finish_reason = None;
        }
    });
    let sure = found.findings.iter().find(|f| f.fault == "finish-reason-wrong" && f.confidence != Confidence::Possible);
    assert!(sure.is_none(), "{sure:?}");
}
