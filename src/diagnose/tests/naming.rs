//! Names that a distance alone does not bear, and exact signs that do.

use super::world::{Draft, Kind, host, words};
use super::{SETTINGS, certain, comparison, completion, finds, spoilt};
use crate::compare::{EndpointComparison, Roles, compare};
use crate::sample::Sample;
use crate::stats::rng;
use crate::verdict::Confidence;

fn confidence_of(found: &EndpointComparison, fault: &str) -> Option<Confidence> {
    found.findings.iter().find(|f| f.fault == fault).map(|f| f.confidence)
}

/// A host whose answers are all another's, at temperature 0 the same whenever they are asked for.
fn another(seed: u64) -> impl Fn(&mut Draft) {
    move |d| {
        let draw = if d.kind == Kind::Sampled { d.sample.replicate.to_string() } else { String::new() };
        let mut rng = rng::derive(seed, &["another", &d.sample.probe, &draw]);
        match d.kind {
            Kind::Sampled => d.sample.text = words(&mut rng, 14).to_uppercase(),
            Kind::Tools => d.sample.tool_calls[0].arguments = "{\"city\": \"nowhere\"}".into(),
            Kind::Schema => {
                d.sample.text = d.sample.text.replace("calm", "CROSS").replace("cross", "calm").to_lowercase();
            }
            Kind::Cut => d.sample.text = words(&mut rng, 12),
            Kind::Plain | Kind::System | Kind::History | Kind::Images | Kind::Thinking => {
                d.sample.text = words(&mut rng, 20);
            }
            Kind::Stop | Kind::Uncapped | Kind::BothWays | Kind::Seeded => {}
        }
    }
}

#[test]
fn without_a_control_no_distance_is_likely_another_model() {
    let found = spoilt(another(1));
    assert_eq!(confidence_of(&found, "swapped-model"), Some(Confidence::Possible), "{:#?}", found.findings);
}

/// What is said of a host that is changed in this way, beside a control whose answers are all another's.
fn beside_a_control(change: impl Fn(&mut Draft)) -> EndpointComparison {
    let changed = |name: &str, change: &dyn Fn(&mut Draft)| {
        let mut drafts = host(name);
        drafts.iter_mut().for_each(change);
        drafts
    };
    let others = changed("endpoint", &change).into_iter().chain(changed("control", &another(2)));
    let samples: Vec<Sample> = host("reference").into_iter().chain(others).map(|d| d.sample).collect();
    let roles = Roles { control: Some("control"), ..Roles::new("reference", vec!["endpoint"]) };
    compare(&samples, &roles, &SETTINGS).unwrap().endpoints.remove(0)
}

#[test]
fn answers_that_are_all_as_the_controls_are_likely_another_models() {
    let found = beside_a_control(another(1));
    assert_eq!(confidence_of(&found, "swapped-model"), Some(Confidence::Likely), "{:#?}", found.findings);
}

#[test]
fn answers_that_are_as_far_as_the_controls_and_not_like_them_may_be_another_prompts() {
    let digit = |c: char| if c.is_ascii_alphabetic() { char::from(b'0' + c as u8 % 10) } else { c };
    let found = beside_a_control(|d| {
        another(1)(d);
        if d.kind == Kind::Sampled {
            d.sample.text = d.sample.text.chars().map(digit).collect();
        }
    });
    assert_eq!(confidence_of(&found, "swapped-model"), Some(Confidence::Possible), "{:#?}", found.findings);
}

#[test]
fn a_share_of_requests_goes_elsewhere_only_where_the_rest_is_the_references() {
    let plain = |d: &Draft| matches!(d.kind, Kind::Plain | Kind::System | Kind::History);
    let share = spoilt(|d| {
        if plain(d) && d.number % 3 == 0 {
            d.sample.text = words(&mut rng::derive(3, &["other", &d.sample.probe]), 20);
        }
    });
    assert_eq!(confidence_of(&share, "partial-routing"), Some(Confidence::Possible), "{:#?}", share.findings);
    // The same, and every other answer parts late.
    let weights = spoilt(|d| {
        if plain(d) && d.number % 3 == 0 {
            d.sample.text = words(&mut rng::derive(3, &["other", &d.sample.probe]), 20);
        } else if plain(d) {
            d.sample.text += " And so.";
        }
    });
    assert_eq!(confidence_of(&weights, "partial-routing"), None, "{:#?}", weights.findings);
}

#[test]
fn a_penalty_on_repetition_is_known_by_what_answers_turn_away_from() {
    let repeating = |d: &mut Draft| {
        if d.kind == Kind::Plain {
            d.sample.text = format!("the river holds the stone and {}", d.sample.text);
        }
    };
    let mut reference = host("reference");
    reference.iter_mut().for_each(repeating);
    let mut endpoint = host("endpoint");
    endpoint.iter_mut().for_each(repeating);
    for draft in endpoint.iter_mut().filter(|d| d.kind == Kind::Plain) {
        draft.sample.text = draft.sample.text.replacen("holds the", "holds one", 1);
    }
    let found = comparison(reference, endpoint).endpoints.remove(0);
    assert_eq!(confidence_of(&found, "temperature-ignored"), Some(Confidence::Possible), "{:#?}", found.findings);
    assert_eq!(confidence_of(&found, "quantized-weights"), None);
}

/// What is said where all plain answers hold a sentence, of the reference's and of the endpoint's as they are written for each.
fn parting(ours: fn(&Draft) -> &'static str, theirs: fn(&Draft) -> &'static str) -> EndpointComparison {
    let side = |name: &str, sentence: fn(&Draft) -> &'static str| {
        let mut drafts = host(name);
        for draft in drafts.iter_mut().filter(|d| !matches!(d.kind, Kind::Tools | Kind::Schema | Kind::Sampled)) {
            draft.sample.text = format!("{}, and {}", sentence(draft), draft.sample.text);
        }
        drafts
    };
    comparison(side("reference", ours), side("endpoint", theirs)).endpoints.remove(0)
}

fn says_penalty(found: &EndpointComparison) -> bool {
    found.findings.iter().any(|f| f.evidence.contains("penalty"))
}

#[test]
fn weights_that_turn_to_used_words_as_often_as_away_are_no_penalty() {
    let used =
        |d: &Draft| if d.number.is_multiple_of(2) { "the river holds the stone" } else { "the river holds one stone" };
    let other =
        |d: &Draft| if d.number.is_multiple_of(2) { "the river holds one stone" } else { "the river holds the stone" };
    let found = parting(used, other);
    assert!(!says_penalty(&found), "{:#?}", found.findings);
    assert_eq!(confidence_of(&found, "temperature-ignored"), None, "{:#?}", found.findings);
}

#[test]
fn what_turns_a_few_of_the_answers_away_that_part_is_no_penalty() {
    let ours =
        |d: &Draft| if d.number.is_multiple_of(5) { "the river holds the stone" } else { "the river holds one stone" };
    let theirs =
        |d: &Draft| if d.number.is_multiple_of(5) { "the river holds one stone" } else { "the river holds some stone" };
    let found = parting(ours, theirs);
    assert!(!says_penalty(&found), "{:#?}", found.findings);
}

#[test]
fn answers_that_turn_away_otherwise_each_time_are_drawn_and_under_no_penalty() {
    let theirs = |d: &Draft| match d.sample.replicate {
        0 => "the river holds one stone",
        _ => "the river holds some stone",
    };
    let found = parting(|_| "the river holds the stone", theirs);
    assert!(!says_penalty(&found), "{:#?}", found.findings);
    let alike = parting(|_| "the river holds the stone", |_| "the river holds one stone");
    assert!(says_penalty(&alike), "{:#?}", alike.findings);
}

fn cut_at(d: &mut Draft, cap: usize) {
    let count = d.sample.text.split_whitespace().count();
    if d.kind == Kind::Tools {
        completion(d, cap as u64);
    } else if count > cap {
        d.sample.text = d.sample.text.split_inclusive(char::is_whitespace).take(cap).collect();
        d.sample.finish_reason = Some("length".into());
        completion(d, cap as u64);
    }
}

#[test]
fn a_lower_cap_than_was_sent_is_counted() {
    finds("low-output-cap", "end at 16 tokens and none is longer", |d| {
        if d.kind != Kind::Uncapped {
            cut_at(d, 16);
        }
    });
    // A host that counts what ends an answer has a token more where its model was done.
    finds("low-output-cap", "end at 16 tokens and none is longer", |d| {
        if d.kind != Kind::Uncapped {
            cut_at(d, 16);
            if d.kind != Kind::Tools && d.sample.finish_reason.as_deref() == Some("stop") {
                completion(d, d.sample.text.split_whitespace().count() as u64 + 1);
            }
        }
    });
    // Each cap may be lowered by a share of its own.
    finds("low-output-cap", "end at 8 tokens and none is longer", |d| match d.kind {
        Kind::Uncapped => {}
        Kind::Cut => cut_at(d, 10),
        _ => cut_at(d, 8),
    });
    let said_to_be_whole = spoilt(|d| {
        if d.kind != Kind::Uncapped {
            cut_at(d, 16);
            d.sample.finish_reason = d.sample.finish_reason.take().map(|r| r.replace("length", "stop"));
        }
    });
    assert!(certain(&said_to_be_whole).contains(&"low-output-cap"), "{:#?}", said_to_be_whole.findings);
    assert_eq!(confidence_of(&said_to_be_whole, "wrong-eos"), None);
    // Another model's answers may all have one length, and it ends them by itself; what breaks off elsewhere may be a label.
    let of_one_length = |end: &'static str| {
        spoilt(move |d| {
            if !matches!(d.kind, Kind::Uncapped | Kind::Tools) {
                let number = d.sample.replicate.to_string();
                d.sample.text = words(&mut rng::derive(8, &["other", &d.sample.probe, &number]), 9);
                d.sample.text.truncate(d.sample.text.len() - 1);
                d.sample.text += end;
                d.sample.finish_reason = Some("stop".into());
                completion(d, 9);
            }
        })
    };
    let (whole, broken) = (of_one_length("."), of_one_length(""));
    assert_eq!(confidence_of(&whole, "low-output-cap"), None, "{:#?}", whole.findings);
    assert_ne!(confidence_of(&broken, "low-output-cap"), Some(Confidence::Certain), "{:#?}", broken.findings);
    // A host that does not count the last token gives the reference's answers.
    let off_by_some = spoilt(|d| {
        if d.kind == Kind::Cut && d.sample.finish_reason.as_deref() == Some("length") {
            completion(d, 10);
        }
    });
    assert_eq!(confidence_of(&off_by_some, "low-output-cap"), None, "{:#?}", off_by_some.findings);
}

#[test]
fn a_lower_cap_is_known_by_the_length_of_texts_where_nobody_counts_them() {
    let uncounted = |reason: &'static str| {
        move |d: &mut Draft| {
            if !matches!(d.kind, Kind::Uncapped | Kind::Tools) {
                cut_at(d, 8);
                let said = d.sample.finish_reason.take();
                d.sample.finish_reason = said.map(|said| said.replace("length", reason));
            }
            d.sample.usage = None;
        }
    };
    finds("low-output-cap", "for as much text again under the same cap", uncounted("length"));
    // Where it is said to be the end, nothing tells a cap from a token.
    let found = spoilt(uncounted("stop"));
    assert_eq!(confidence_of(&found, "wrong-eos"), Some(Confidence::Possible), "{:#?}", found.findings);
    // A token comes at one place.
    finds("wrong-eos", "in the midst", |d| {
        if let Some((line, _)) = d.sample.text.clone().split_once('\n') {
            line.clone_into(&mut d.sample.text);
            d.sample.finish_reason = Some("stop".into());
        }
        d.sample.usage = None;
    });
}

#[test]
fn letters_of_other_scripts_in_drawn_answers_alone_are_no_texts_that_a_host_spoils_for_sure() {
    let found = spoilt(|d| {
        if d.kind == Kind::Sampled && d.number % 2 == 0 && d.sample.replicate % 2 == 0 {
            d.sample.text = d.sample.text.replacen(' ', " คน", 1);
        }
    });
    assert_eq!(confidence_of(&found, "corrupted-output"), Some(Confidence::Possible), "{:#?}", found.findings);
}

#[test]
fn letters_of_other_scripts_are_another_models_where_its_answers_differ() {
    let found = spoilt(|d| {
        another(1)(d);
        if d.kind == Kind::Sampled && d.sample.replicate % 2 == 0 {
            d.sample.text = d.sample.text.replacen(' ', " คน", 1);
        }
    });
    assert_eq!(confidence_of(&found, "corrupted-output"), Some(Confidence::Possible), "{:#?}", found.findings);
}

#[test]
fn a_few_letters_of_other_scripts_are_an_accident() {
    let found = spoilt(|d| {
        if d.kind == Kind::Sampled && d.sample.replicate == 0 && d.number < 4 {
            d.sample.text = d.sample.text.replacen(' ', " คน", 1);
        }
    });
    let sure = confidence_of(&found, "corrupted-output").filter(|c| *c != Confidence::Possible);
    assert_eq!(sure, None, "{:#?}", found.findings);
}

#[test]
fn a_finding_that_explains_little_does_not_hide_another_model() {
    let found = spoilt(|d| {
        another(1)(d);
        if d.sample.finish_reason.as_deref() == Some("length") {
            d.sample.finish_reason = Some("stop".into());
        }
    });
    assert_eq!(certain(&found), ["finish-reason-wrong"], "{:#?}", found.findings);
    assert!(confidence_of(&found, "swapped-model").is_some(), "{:#?}", found.findings);
}

#[test]
fn a_cap_of_the_hosts_own_where_none_was_sent_does_not_hide_another_model() {
    let found = spoilt(|d| {
        another(1)(d);
        if d.kind == Kind::Uncapped {
            cut_at(d, 50);
        }
    });
    assert_eq!(certain(&found), ["low-output-default"], "{:#?}", found.findings);
    assert!(confidence_of(&found, "swapped-model").is_some(), "{:#?}", found.findings);
}

/// A host that lowers caps to 16 tokens, and is changed in another way.
fn capped(change: impl Fn(&mut Draft)) -> EndpointComparison {
    spoilt(|d| {
        change(d);
        if d.kind != Kind::Uncapped {
            cut_at(d, 16);
        }
    })
}

#[test]
fn beside_a_lower_cap_another_model_is_possible_and_an_honest_one_is_not_doubted() {
    let found = capped(another(1));
    assert!(certain(&found).contains(&"low-output-cap"), "{:#?}", found.findings);
    assert_eq!(confidence_of(&found, "swapped-model"), Some(Confidence::Possible), "{:#?}", found.findings);
    let honest = capped(|_| {});
    assert_eq!(confidence_of(&honest, "swapped-model"), None, "{:#?}", honest.findings);
}
