//! Snapshots from samples, as text and back.

use proptest::prelude::*;

use super::testing::{probe, sample, snapshot};
use super::*;
use crate::sample::{Asking, Purpose};

#[test]
fn a_snapshot_is_text_that_people_can_read() {
    let mut samples = vec![sample("frost on glass\nthin light", 0), sample("\x1b[2Jgone ", 1), sample("", 2)];
    samples.push(sample("frost on glass\nthin light", 3));
    samples[2].tool_calls = vec![ToolCall { name: "get weather".into(), arguments: "{\"city\": \"Paris\"}".into() }];
    samples[2].finish_reason = Some("tool_calls".into());
    samples[1].reasoning = Some("first\n\nthen".into());
    let all: Vec<&Sample> = samples.iter().collect();
    let taken = Snapshot::of_samples("llama", &probe("core/haiku", "Write a haiku."), &all, "run 1").expect("answers");
    let text = file::render(&taken).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(text);
}

#[test]
fn samples_come_back_as_the_comparison_takes_them() {
    let asked = probe("core/haiku", "Write a haiku.");
    let samples = [sample("a", 0), sample("b", 1), sample("a", 2)];
    let all: Vec<&Sample> = samples.iter().collect();
    let taken = Snapshot::of_samples("llama", &asked, &all, "run 1").expect("answers");
    let again = taken.samples(&asked);
    let told =
        |s: &Sample| (s.with_calls(&s.text).into_owned(), s.usage, s.finish_reason.clone(), s.parameters.clone());
    let mut expected: Vec<_> = samples.iter().map(told).collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(again.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(again.iter().all(|s| s.asking() == Asking::Sampled && s.is_answer()));
    let purpose = |s: &Sample| s.parameters.as_ref().and_then(|p| p.traits.as_ref()).map(|t| t.purpose);
    assert_eq!(purpose(&again[0]), Some(Purpose::Comparison));
}

#[test]
fn what_the_endpoint_added_to_the_request_comes_back_from_the_file() {
    let extra = serde_json::json!({"top_k": 20, "min_p": 0.05, "provider": {"order": ["groq", "no", "1"], "only": null, "on": true}});
    let with_extra = |mut sample: Sample| {
        let parameters = sample.parameters.as_mut().expect("parameters");
        parameters.extra_body = serde_json::from_value(extra.clone()).expect("an object");
        sample
    };
    let samples = [with_extra(sample("a", 0))];
    let asked = probe("core/haiku", "Write a haiku.");
    let taken = Snapshot::of_samples("llama", &asked, &[&samples[0]], "run 1").expect("answers");
    let again = file::parse(&file::render(&taken)).expect("a snapshot");
    assert_eq!(again, taken);
    let now = AskedWith::of(samples[0].parameters.as_ref().expect("parameters"));
    assert_eq!(again.staleness(&asked, &now), None);
    let plain = AskedWith::of(sample("a", 0).parameters.as_ref().expect("parameters"));
    assert!(again.staleness(&asked, &plain).is_some_and(|why| why.contains("`extra_body` (min_p, provider, top_k)")));
}

#[test]
fn failures_are_no_answers() {
    let failed = Sample {
        error: Some(crate::sample::SampleError { kind: "timeout".into(), message: String::new() }),
        ..sample("", 0)
    };
    assert_eq!(Snapshot::of_samples("m", &probe("p", "?"), &[&failed], "run 1"), None);
}

#[test]
fn what_differs_between_answers_is_said_of_each() {
    let asked = probe("core/haiku", "Write a haiku.");
    let mut samples = [sample("a", 0), sample("a", 1)];
    samples[1].usage = Some(Usage { prompt_tokens: Some(13), completion_tokens: Some(1), ..Usage::default() });
    samples[1].response_model = None;
    let all: Vec<&Sample> = samples.iter().collect();
    let taken = Snapshot::of_samples("llama", &asked, &all, "run 1").expect("answers");
    assert_eq!((taken.head.prompt_tokens, taken.head.response_model.clone(), taken.answers.len()), (None, None, 2));
    let counts: Vec<_> = taken.samples(&asked).iter().map(|s| s.usage.and_then(|u| u.prompt_tokens)).collect();
    assert_eq!(counts, [Some(12), Some(13)]);
}

#[test]
fn a_changed_probe_temperature_cap_or_comparison_makes_a_snapshot_stale() {
    let taken = snapshot(&["a", "b"]);
    let asked = probe("core/haiku", "Write a haiku.");
    let now = AskedWith { temperature: Some(1.0), max_tokens: Some(64), reasoning_effort: None, endpoint: None };
    assert_eq!(taken.staleness(&asked, &now), None);
    let because = |snapshot: &Snapshot, probe: &Probe, now: &AskedWith| snapshot.staleness(probe, now).expect("stale");
    assert!(because(&taken, &probe("core/haiku", "Write two."), &now).contains("probe has changed"));
    assert!(because(&taken, &asked, &AskedWith { temperature: Some(0.7), ..now.clone() }).contains("temperature 1"));
    assert!(because(&taken, &asked, &AskedWith { max_tokens: None, ..now.clone() }).contains("a cap of 64"));
    let effort = AskedWith { reasoning_effort: Some("low".into()), ..now.clone() };
    assert!(because(&taken, &asked, &effort).contains("no effort"));
    let mut older = taken;
    older.head.comparison = 0;
    assert!(because(&older, &asked, &now).contains("version 0"));
}

#[test]
fn a_broken_file_says_which_line_is_wrong() {
    let whole = file::render(&snapshot(&["a", "b"]));
    let broken = |from: &str, to: &str| file::parse(&whole.replacen(from, to, 1)).expect_err("an error").to_string();
    assert_eq!(file::parse("").unwrap_err().to_string(), "line 1: a snapshot begins with a line of `---`");
    assert_eq!(broken("| a", "<<<<<<< ours"), {
        let line = whole.lines().position(|l| l == "| a").expect("there") + 1;
        format!("line {line}: a line begins with `N × {{…}}`, `|`, `>` or `~`, and this with `<<<<<<< ours`")
    });
    assert!(broken("samples: 2", "samples: 3").contains("the head says 3 samples and the answers below are 2"));
    assert!(broken("snapshot/1", "snapshot/9").contains("only `samemodel.snapshot/1`"));
    assert!(broken("samples: 2", "samples: two").starts_with("line "), "{}", broken("samples: 2", "samples: two"));
    assert!(broken("model:", "mdoel:").contains("mdoel"), "{}", broken("model:", "mdoel:"));
    assert!(broken("1 × ", "0 × ").contains("at least 1"));
}

fn any_answer() -> impl Strategy<Value = Sample> {
    let call = (any::<String>(), any::<String>());
    let texts = (any::<String>(), proptest::option::of(any::<String>()), proptest::collection::vec(call, 0..3));
    (texts, any::<Option<u64>>(), proptest::option::of(any::<String>())).prop_map(
        |((text, reasoning, calls), n, why)| {
            let call = |(name, arguments)| ToolCall { name, arguments };
            Sample {
                reasoning: reasoning.filter(|r| !r.is_empty()),
                tool_calls: calls.into_iter().map(call).collect(),
                finish_reason: why.clone(),
                response_model: why,
                usage: n.map(|n| Usage { prompt_tokens: Some(n), completion_tokens: Some(n / 2), ..Usage::default() }),
                ..sample(&text, 0)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_answers_come_back_from_the_text(answers in proptest::collection::vec(any_answer(), 1..5), name in any::<String>()) {
        let all: Vec<&Sample> = answers.iter().collect();
        let asked = probe(&name, &name);
        let taken = Snapshot::of_samples(&name, &asked, &all, &name).expect("answers");
        let text = file::render(&taken);
        prop_assert_eq!(file::parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?, taken);
        prop_assert!(!text.chars().any(|c| c != '\n' && crate::visible::is_hidden(c)), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), lines in proptest::collection::vec("[-|~>0-9 ×{}a]{0,8}", 0..8)) {
        let _ = file::parse(&text);
        let head = file::render(&snapshot(&["a"]));
        let _ = file::parse(&format!("{head}{}", lines.join("\n")));
    }
}
