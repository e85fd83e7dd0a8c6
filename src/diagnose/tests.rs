//! Every fault against every rule: what must be found, and that nothing else is found for certain.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use self::world::{Draft, Kind, asked_and_counted, host, image_tokens, words};
use crate::compare::{Comparison, EndpointComparison, Known, Roles, Settings, compare};
use crate::sample::{Purpose, Sample, Traits, Usage};
use crate::stats::rng;
use crate::verdict::{Confidence, Verdict};

mod chance;
mod completion;
mod counting;
mod form;
mod naming;
mod other_reason;
mod reading;
mod route;
mod thinking;
mod world;

const SETTINGS: Settings =
    Settings { seed: 0, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };

fn comparison(reference: Vec<Draft>, endpoint: Vec<Draft>) -> Comparison {
    let samples: Vec<Sample> = reference.into_iter().chain(endpoint).map(|d| d.sample).collect();
    compare(&samples, &Roles::new("reference", vec!["endpoint"]), &SETTINGS).unwrap()
}

/// Compares an honest reference with a host that is spoilt answer by answer.
fn spoilt(spoil: impl FnMut(&mut Draft)) -> EndpointComparison {
    let mut endpoint = host("endpoint");
    endpoint.iter_mut().for_each(spoil);
    comparison(host("reference"), endpoint).endpoints.remove(0)
}

/// The faults that are found for certain.
fn certain(found: &EndpointComparison) -> Vec<&str> {
    found.findings.iter().filter(|f| f.confidence == Confidence::Certain).map(|f| f.fault.as_str()).collect()
}

/// Holds that this fault and no other is found for certain, that it makes the verdict, and that its evidence says this.
#[track_caller]
fn finds(fault: &str, says: &str, spoil: impl FnMut(&mut Draft)) {
    let found = spoilt(spoil);
    assert_eq!(certain(&found), [fault], "{:#?}", found.findings);
    assert_eq!(found.verdict, Verdict::Drifted);
    let evidence = &found.findings[0].evidence;
    assert!(evidence.contains(says), "{evidence}");
}

/// What is drawn for this one answer.
fn own_draws(draft: &Draft) -> ChaCha8Rng {
    rng::derive(2, &[&draft.sample.probe, &draft.sample.replicate.to_string()])
}

fn tokens(draft: &mut Draft, change: impl Fn(u64) -> u64) {
    let usage = draft.sample.usage.as_mut().unwrap();
    usage.prompt_tokens = usage.prompt_tokens.map(change);
}

fn traits(draft: &Draft) -> &Traits {
    draft.sample.parameters.as_ref().unwrap().traits.as_ref().unwrap()
}

fn completion(draft: &mut Draft, tokens: u64) {
    draft.sample.usage.as_mut().unwrap().completion_tokens = Some(tokens);
}

#[test]
fn an_honest_host_shows_no_fault() {
    for number in 0..10 {
        let name = format!("twin {number}");
        let endpoint = host(&name).into_iter().map(|mut draft| {
            draft.sample.endpoint = "endpoint".into();
            draft
        });
        let found = comparison(host("reference"), endpoint.collect()).endpoints.remove(0);
        let sure = found.findings.iter().filter(|f| f.confidence != Confidence::Possible);
        assert_eq!(sure.count(), 0, "{name}: {:#?}", found.findings);
        assert_ne!(found.verdict, Verdict::Drifted, "{name}: {}", found.reason);
    }
}

#[test]
fn the_start_token_is_counted() {
    finds("double-bos", "on 110 of 110 probes", |d| asked_and_counted(d, |n| n + 1));
    finds("missing-bos", "on 110 of 110 probes", |d| asked_and_counted(d, |n| n - 1));
}

#[test]
fn a_fault_of_some_servers_is_found_in_a_share_of_the_answers() {
    finds("double-bos", "answers", |d| {
        if (d.number + d.sample.replicate).is_multiple_of(5) {
            asked_and_counted(d, |n| n + 1);
        }
    });
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
    finds("hidden-system-prompt", "9 more on each", |d| asked_and_counted(d, |n| n + 9));
    finds("hidden-system-prompt", "no system message of its own", |d| {
        if d.kind != Kind::System {
            asked_and_counted(d, |n| n + 9);
        }
    });
    finds("hidden-system-prompt", "another where", |d| {
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
    finds("wrong-template", "written otherwise", |d| {
        if d.kind == Kind::System {
            asked_and_counted(d, |n| n - 4);
        }
    });
}

#[test]
fn another_template_is_counted() {
    finds("wrong-template", "fewer on each", |d| asked_and_counted(d, |n| n - 2));
    finds("wrong-template", "by -10 to -2", |d| {
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
    finds("wrong-template", "written otherwise", |d| {
        if d.kind == Kind::Tools {
            asked_and_counted(d, |n| n - 6);
        }
    });
}

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

#[test]
fn what_does_not_belong_into_a_text_is_found() {
    finds("leaked-tokens", "<|eot_id|>", |d| {
        if d.kind == Kind::Plain && d.number % 9 == 0 {
            d.sample.text += "<|eot_id|>";
        }
    });
    finds("reasoning-misplaced", "thoughts in the text", |d| {
        if let Some(thought) = d.sample.reasoning.take() {
            d.sample.text = format!("<think>{thought}</think>{}", d.sample.text);
        }
    });
    finds("reasoning-misplaced", "nothing is answered", |d| {
        if let Some(thought) = &mut d.sample.reasoning {
            *thought += &std::mem::take(&mut d.sample.text);
        }
    });
    finds("corrupted-output", "Thai", |d| {
        let has_words = matches!(d.kind, Kind::Sampled | Kind::Plain);
        if has_words && d.number % 2 == 0 && d.sample.replicate % 2 == 0 {
            d.sample.text = d.sample.text.replacen(' ', " คน", 1);
        }
    });
    finds("schema-not-enforced", "the schema is broken", |d| {
        if d.kind == Kind::Schema {
            d.sample.text = "{\"mood\": \"merry\"}".into();
        }
    });
}

#[test]
fn a_script_that_the_prompt_or_the_reference_has_is_no_corruption() {
    let foreign = |drafts: &mut Vec<Draft>, probes: u32| {
        for draft in drafts.iter_mut().filter(|d| d.kind == Kind::Sampled && d.number < probes) {
            draft.sample.text = draft.sample.text.replacen(' ', " 猫", 1);
        }
    };
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    foreign(&mut reference, 4);
    foreign(&mut endpoint, 4);
    let found = comparison(reference, endpoint).endpoints.remove(0);
    assert!(found.findings.iter().all(|f| f.fault != "corrupted-output"), "{:?}", found.findings);
    let found = spoilt(|d| {
        if d.kind == Kind::Sampled {
            d.sample.text = d.sample.text.replacen(' ', " 猫", 1);
            let traits = d.sample.parameters.as_mut().unwrap().traits.as_mut().unwrap();
            traits.scripts.insert("Han".into());
        }
    });
    assert!(found.findings.iter().all(|f| f.fault != "corrupted-output"), "{:?}", found.findings);
}

#[test]
fn a_broken_tool_parser_is_found_and_is_no_dropped_tool() {
    let mut number = 0;
    finds("tool-parser", "stands in the text", |d| {
        number += usize::from(d.kind == Kind::Tools);
        if d.kind == Kind::Tools && number % 3 == 0 {
            let call = d.sample.tool_calls.remove(0);
            d.sample.text = format!("<|call|>{{\"name\": \"{}\", \"arguments\": {}}}", call.name, call.arguments);
            d.sample.finish_reason = Some("stop".into());
        }
    });
    finds("tool-parser", "arguments that are no JSON", |d| {
        for call in &mut d.sample.tool_calls {
            call.arguments.pop();
        }
    });
}

#[test]
fn a_seed_that_is_not_used_is_found_by_its_repeats() {
    finds("seed-ignored", "answers to one seed differ on 6 of 6", |d| {
        if d.kind == Kind::Seeded {
            d.sample.text = words(&mut own_draws(d), 6);
        }
    });
}

#[test]
fn kept_answers_are_known_by_their_ids_or_by_their_equality() {
    let mut first: BTreeMap<String, Sample> = BTreeMap::new();
    let mut replay = |d: &mut Draft| {
        if d.kind == Kind::Sampled {
            let kept = first.entry(d.sample.probe.clone()).or_insert_with(|| d.sample.clone());
            d.sample = Sample { replicate: d.sample.replicate, ..kept.clone() };
        }
    };
    finds("cached-responses", "the id and the text", &mut replay);
    let found = spoilt(|d| {
        replay(d);
        d.sample.response_id = None;
    });
    assert!(certain(&found).is_empty());
    let cached = found.findings.iter().find(|f| f.fault == "cached-responses").expect("a finding");
    assert_eq!(cached.confidence, Confidence::Likely, "{:#?}", found.findings);
}

#[test]
fn another_name_than_the_one_asked_for_is_told() {
    let of = |asked: Option<&'static str>, names: [&str; 2]| {
        let mut endpoint = host("endpoint");
        for draft in &mut endpoint {
            draft.sample.response_model = Some(names[draft.number as usize % 2].to_owned());
        }
        let samples: Vec<Sample> = host("reference").into_iter().chain(endpoint).map(|d| d.sample).collect();
        let known = BTreeMap::from([("endpoint", Known { model: asked, ..Known::default() })]);
        let roles = Roles { known, ..Roles::new("reference", vec!["endpoint"]) };
        let found = compare(&samples, &roles, &SETTINGS).unwrap().endpoints.remove(0);
        found.findings.first().map(|f| f.fault.clone())
    };
    assert_eq!(of(Some("openai/gpt-oss-120b"), ["gpt-oss-120b"; 2]), None);
    assert_eq!(of(Some("openai/gpt-oss-120b"), ["gpt-oss-20b"; 2]).as_deref(), Some("swapped-model"));
    assert_eq!(of(Some("chat-prod-eu"), ["gpt-oss-120b"; 2]).as_deref(), Some("other-model-name"));
    assert_eq!(of(Some("a-large"), ["a-large", "a-small"]).as_deref(), Some("route-not-pinned"));
    assert_eq!(of(None, ["x", "y"]).as_deref(), Some("route-not-pinned"));
    assert_eq!(of(None, ["m"; 2]), None);
}

#[test]
fn what_the_reference_does_too_is_never_certain() {
    let spoil = |drafts: &mut Vec<Draft>| {
        for draft in drafts {
            draft.sample.finish_reason = None;
            draft.sample.text += "<|end|>";
            completion(draft, 9999);
        }
    };
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    spoil(&mut reference);
    spoil(&mut endpoint);
    let found = comparison(reference, endpoint).endpoints.remove(0);
    assert!(certain(&found).is_empty(), "{:#?}", found.findings);
}

#[test]
fn without_traits_the_rules_that_need_them_are_silent() {
    let bare = |drafts: Vec<Draft>| -> Vec<Draft> {
        let strip = |mut draft: Draft| {
            draft.sample.parameters.as_mut().unwrap().traits = None;
            draft
        };
        drafts.into_iter().map(strip).collect()
    };
    let mut endpoint = host("endpoint");
    for draft in endpoint.iter_mut().filter(|d| d.kind == Kind::Images || traits(d).purpose == Purpose::Canary) {
        draft.sample.usage = Some(Usage { prompt_tokens: Some(7), ..draft.sample.usage.unwrap() });
    }
    let found = comparison(bare(host("reference")), bare(endpoint)).endpoints.remove(0);
    assert!(found.findings.iter().all(|f| !f.fault.starts_with("image")), "{:#?}", found.findings);
}

#[test]
fn a_slow_host_has_not_drifted() {
    let busier = spoilt(|d| d.sample.latency_ms.as_mut().unwrap().total += 400);
    assert_eq!(busier.findings, []);
    let found = spoilt(|d| d.sample.latency_ms.as_mut().unwrap().total += 1500);
    assert_eq!(found.findings.iter().map(|f| f.fault.as_str()).collect::<Vec<_>>(), ["slow"]);
    assert_ne!(found.verdict, Verdict::Drifted);
}

#[test]
fn what_a_host_writes_in_its_own_way_is_no_fault() {
    let told = |spoil: fn(&mut Draft), fault: &str| {
        let found = spoilt(spoil);
        assert!(found.findings.iter().all(|f| f.fault != fault), "{:#?}", found.findings);
    };
    // Hosts write a call without arguments in several ways.
    told(|d| d.sample.tool_calls.iter_mut().for_each(|call| call.arguments.clear()), "tool-parser");
    // What comes before JSON, or cuts it, says nothing of what was enforced.
    for before in ["\u{feff}", "<think>Calm or cross?</think>"] {
        let found = spoilt(|d| {
            if d.kind == Kind::Schema {
                d.sample.text.insert_str(0, before);
            }
        });
        assert!(found.findings.iter().all(|f| f.fault != "schema-not-enforced"), "{:#?}", found.findings);
    }
    let cut = |d: &mut Draft| {
        if d.kind == Kind::Schema {
            d.sample.text.truncate(12);
        }
    };
    told(cut, "schema-not-enforced");
    // Within a thought a stop sequence stops nothing.
    let thinks = |d: &mut Draft| {
        if d.kind == Kind::Stop {
            d.sample.text.insert_str(0, "<think>It ends with END, so.</think>");
        }
    };
    told(thinks, "stop-ignored");
}
