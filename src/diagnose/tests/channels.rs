//! What stands in a text and does not belong there, and what a host may write as it likes.

use super::world::{Draft, Kind, host};
use super::{comparison, finds, spoilt};
use crate::verdict::{Confidence, Verdict};

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
fn marks_of_a_thought_that_is_none_are_no_misplaced_thought_and_no_drift() {
    let found = spoilt(|d| {
        if d.kind != Kind::Tools {
            d.sample.text.insert_str(0, "<think>\n\n</think>\n\n");
        }
    });
    let told: Vec<(&str, Confidence)> = found.findings.iter().map(|f| (f.fault.as_str(), f.confidence)).collect();
    assert_eq!(told, [("leaked-tokens", Confidence::Possible)], "{:#?}", found.findings);
    assert_ne!(found.verdict, Verdict::Drifted, "{}", found.reason);
    finds("leaked-tokens", "<|channel|>", |d| {
        if d.kind == Kind::Plain {
            d.sample.text.insert_str(0, "<|channel|>final<|message|>");
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
