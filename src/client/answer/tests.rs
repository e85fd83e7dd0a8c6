use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sample::ToolCall;

fn read(body: &Value) -> Result<Answer, Failure> {
    whole(body.to_string().as_bytes(), Assembly::new(&[]))
}

fn stream(chunks: &[Value], done: &[&str]) -> Result<Answer, Failure> {
    let mut assembly = Assembly::new(&[503]);
    let data = chunks.iter().map(Value::to_string).chain(done.iter().map(|text| (*text).to_owned()));
    for data in data {
        assembly.event(&sse::Event { name: String::new(), data: data.into_bytes() })?;
    }
    assembly.end(&sse::Ending::Clean)
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn kind(result: Result<Answer, Failure>) -> FailureKind {
    result.unwrap_err().kind
}

#[test]
fn a_whole_answer_is_read_with_all_that_came_with_it() {
    let answer = read(&json!({
        "id": "chatcmpl-1", "model": "m-fp8", "system_fingerprint": "vllm-1", "provider": "Together",
        "choices": [{"index": 0, "finish_reason": "eos", "logprobs": {"content": [{"token": "a"}]},
            "message": {"role": "assistant", "content": "hé", "reasoning_content": "why",
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 9.0, "total_tokens": 21},
    }))
    .unwrap();
    assert_eq!(
        answer,
        Answer {
            text: "hé".into(),
            reasoning: Some("why".into()),
            finish_reason: Some("eos".into()),
            usage: Some(Usage { prompt_tokens: Some(12), completion_tokens: Some(9), reasoning_tokens: None }),
            tool_calls: vec![ToolCall { name: "f".into(), arguments: "{".into() }],
            logprobs: Some(json!({"content": [{"token": "a"}]})),
            response_model: Some("m-fp8".into()),
            system_fingerprint: Some("vllm-1".into()),
            response_id: Some("chatcmpl-1".into()),
            provider: Some("Together".into()),
            latency: None,
        }
    );
}

#[test]
fn a_stream_gives_what_the_whole_answer_gives() {
    let answer = stream(
        &[
            json!({"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
            delta(&json!({"reasoning": "wh"})),
            delta(&json!({"reasoning": "y"})),
            delta(&json!({"content": "h"})),
            json!({"choices": [{"index": 0, "delta": {"content": "é"}, "logprobs": {"content": [1]}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": null}, "logprobs": {"content": [2]}}]}),
            finish(&json!("length")),
            json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
        ],
        &["[DONE]"],
    )
    .unwrap();
    assert_eq!((answer.text.as_str(), answer.reasoning.as_deref()), ("hé", Some("why")));
    assert_eq!(answer.finish_reason.as_deref(), Some("length"));
    assert_eq!(answer.usage.and_then(|usage| usage.completion_tokens), Some(2));
    assert_eq!(answer.logprobs, Some(json!({"content": [1, 2]})));
    assert_eq!(answer.response_model.as_deref(), Some("m"));
}

#[test]
fn content_may_be_null_absent_or_a_list_of_parts() {
    let text = |message: Value| {
        let usage = json!({"completion_tokens": 1});
        let answer =
            read(&json!({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})).unwrap();
        (answer.text, answer.reasoning.unwrap_or_default())
    };
    assert_eq!(text(json!({"content": null})), (String::new(), String::new()));
    assert_eq!(text(json!({})), (String::new(), String::new()));
    let parts = json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "a"}, "b", {"type": "image"}]});
    assert_eq!(text(parts), ("ab".into(), "hm".into()));
}

#[test]
fn a_missing_finish_reason_stays_missing_and_an_odd_one_is_kept() {
    assert_eq!(stream(&[delta(&json!({"content": "a"}))], &["[DONE]"]).unwrap().finish_reason, None);
    let some = delta(&json!({"content": "a"}));
    let reason = |reason: Value| stream(&[some.clone(), finish(&reason)], &[]).unwrap().finish_reason;
    assert_eq!(reason(json!("tired")).as_deref(), Some("tired"));
    assert_eq!(reason(json!({"type": "length", "length": 9})).as_deref(), Some("length"));
    assert_eq!(reason(json!(7)).as_deref(), Some("7"));
    let whole = read(&json!({"choices": [{"message": {"content": "a"}}]})).unwrap();
    assert_eq!(whole.finish_reason, None);
}

#[test]
fn what_the_host_broke_off_is_no_answer() {
    let ended = |reason: Value| kind(stream(&[delta(&json!({"content": "a"})), finish(&reason)], &["[DONE]"]));
    for reason in [json!("abort"), json!("error"), json!("cancelled"), json!({"type": "abort", "message": "no room"})] {
        assert_eq!(ended(reason.clone()), FailureKind::Server, "{reason}");
    }
    for reason in ["failed", "upstream_error", "FINISH_REASON_ABORT", "engine_overloaded", "preempted"] {
        assert_eq!(ended(json!(reason)), FailureKind::Server, "{reason}");
    }
    assert_eq!(ended(json!("RECITATION")), FailureKind::Filtered);
}

#[test]
fn what_a_field_beside_the_finish_reason_says_was_broken_off_is_no_answer() {
    let with = |place: Value, around: Value| {
        let mut choice = json!({"index": 0, "message": {"content": "a"}, "finish_reason": "stop"});
        choice.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        let mut body = json!({"choices": [choice]});
        body.as_object_mut().unwrap().extend(around.as_object().unwrap().clone());
        body
    };
    for (place, around) in [
        (json!({"native_finish_reason": "ABORT"}), json!({})),
        (json!({"native_finish_reason": "error"}), json!({})),
        (json!({"stop_reason": "abort"}), json!({})),
        (json!({}), json!({"done_reason": "abort"})),
        (json!({}), json!({"status": "failed"})),
    ] {
        let body = with(place, around);
        let failed = read(&body).unwrap_err();
        assert_eq!(failed.kind, FailureKind::Server, "{body}");
        assert!(failed.message.contains("reason `") || failed.message.contains("status `failed`"), "{failed:?}");
        assert_eq!(kind(stream(&[body], &["[DONE]"])), FailureKind::Server);
    }
    for (place, around) in [
        (json!({"native_finish_reason": "STOP", "stop_reason": null}), json!({"status": "completed"})),
        (json!({"native_finish_reason": "end_turn", "stop_reason": 128_009}), json!({"status": 200})),
        (json!({"stop_reason": "Error:"}), json!({"done_reason": "stop", "status": {"code": 0}})),
    ] {
        let body = with(place, around);
        assert_eq!(read(&body).unwrap().finish_reason.as_deref(), Some("stop"), "{body}");
    }
    let filtered = with(json!({"native_finish_reason": "SAFETY"}), json!({}));
    assert_eq!(kind(read(&filtered)), FailureKind::Filtered);
}

#[test]
fn a_stream_that_ends_with_neither_finish_reason_nor_done_is_cut() {
    for chunks in [vec![], vec![delta(&json!({"content": "a"}))], vec![finish(&json!(""))]] {
        assert_eq!(kind(stream(&chunks, &[])), FailureKind::CutStream);
    }
    assert!(stream(&[delta(&json!({"content": "a"})), finish(&json!("stop"))], &[]).is_ok());
}

#[test]
fn the_rest_of_a_stream_counts_when_it_is_whole() {
    let end = |rest: &str| {
        let mut assembly = Assembly::new(&[]);
        let event = |text: &str| sse::Event { name: String::new(), data: text.into() };
        assembly.event(&event(&delta(&json!({"content": "a"})).to_string())).unwrap();
        assembly.end(&sse::Ending::Within(event(rest)))
    };
    assert_eq!(end("[DONE]").unwrap().text, "a");
    assert_eq!(end(&finish(&json!("stop")).to_string()).unwrap().finish_reason.as_deref(), Some("stop"));
    assert_eq!(kind(end("[DON")), FailureKind::CutStream);
    assert_eq!(kind(end(r#"{"choices":[{"delta":{"content":"b"#)), FailureKind::CutStream);
    assert_eq!(kind(end(r#"{"error":"over capacity"}"#)), FailureKind::Server);
}

#[test]
fn an_error_within_a_stream_is_a_failure_whatever_came_before() {
    let chunks = [delta(&json!({"content": "a"})), json!({"error": {"code": 429, "message": "slow"}, "choices": []})];
    assert_eq!(kind(stream(&chunks, &[])), FailureKind::RateLimited);
    let chunks = [json!({"choices": [{"error": {"message": "m", "code": 502}, "finish_reason": "error"}]})];
    assert_eq!(kind(stream(&chunks, &[])), FailureKind::Server);
    assert_eq!(kind(stream(&[finish(&json!("error"))], &["[DONE]"])), FailureKind::Server);
    let mut assembly = Assembly::new(&[]);
    let event = sse::Event { name: "error".into(), data: b"engine died".to_vec() };
    let failed = assembly.event(&event).unwrap_err();
    assert_eq!((failed.kind, failed.message.contains("engine died")), (FailureKind::Server, true));
}

#[test]
fn what_a_filter_withheld_is_told_apart_from_an_answer() {
    let body = json!({"choices": [{"message": {"content": "so f"}, "finish_reason": "content_filter"}]});
    assert_eq!(kind(read(&body)), FailureKind::Filtered);
    let body = json!({"choices": [{"message": {"content": null, "refusal": "I cannot"}, "finish_reason": "stop"}]});
    assert_eq!(kind(read(&body)), FailureKind::Filtered);
    let body = json!({"choices": [{"message": {"content": "a", "refusal": ""}, "finish_reason": "stop"}]});
    assert_eq!(read(&body).unwrap().text, "a");
}

#[test]
fn token_counts_are_found_in_every_place_they_come_in() {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 1});
    for chunk in [
        json!({"choices": [], "usage": usage}),
        json!({"choices": [], "usage": null, "x_groq": {"usage": usage}}),
        json!({"choices": [{"delta": {}, "usage": usage}]}),
    ] {
        let answer = stream(&[delta(&json!({"content": "a"})), finish(&json!("stop")), chunk], &["[DONE]"]).unwrap();
        assert_eq!(
            answer.usage,
            Some(Usage { prompt_tokens: Some(5), completion_tokens: Some(1), reasoning_tokens: None })
        );
    }
    let some = delta(&json!({"content": "a"}));
    let answer = stream(&[some, finish(&json!("stop")), json!({"choices": [], "usage": {}})], &[]).unwrap();
    assert_eq!(answer.usage, None);
}

#[test]
fn token_counts_are_read_under_every_name_and_in_every_form() {
    let told = |more: Value| {
        let mut chunk = json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]});
        chunk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(&chunk).unwrap().usage
    };
    let counts = Some(Usage { prompt_tokens: Some(12), completion_tokens: Some(3), reasoning_tokens: None });
    for more in [
        json!({"usage": {"input_tokens": 12, "output_tokens": 3}}),
        json!({"usage": {"input_tokens": 2, "cache_read_input_tokens": 10, "output_tokens": 3}}),
        json!({"usage": {"prompt_tokens": 12, "cache_read_input_tokens": 10, "completion_tokens": 3}}),
        json!({"usage": {"prompt_tokens": "12", "completion_tokens": " 3 "}}),
        json!({"usage": {"prompt_tokens": null, "promptTokens": 12.0, "completionTokens": "3.0"}}),
        json!({"usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3}}),
        json!({"prompt_eval_count": 12, "eval_count": 3}),
    ] {
        assert_eq!(told(more.clone()), counts, "{more}");
    }
    assert_eq!(told(json!({"usage": {"prompt_tokens": "many", "completion_tokens": -1}})), None);
}

#[test]
fn a_count_that_comes_by_itself_keeps_the_others() {
    let usage = |usage: Value| json!({"choices": [], "usage": usage});
    let chunks = [
        usage(json!({"input_tokens": 12, "output_tokens": 1})),
        delta(&json!({"content": "a"})),
        finish(&json!("stop")),
        usage(json!({"output_tokens": 3})),
    ];
    let counts = Usage { prompt_tokens: Some(12), completion_tokens: Some(3), reasoning_tokens: None };
    assert_eq!(stream(&chunks, &[]).unwrap().usage, Some(counts));
}

#[test]
fn what_is_no_chat_completion_is_malformed() {
    for body in ["", "hello", "3", "null", "{}", r#"{"choices":[]}"#, r#"{"choices":null}"#, "{\"choices\":[{]}"] {
        assert_eq!(kind(whole(body.as_bytes(), Assembly::new(&[]))), FailureKind::Malformed, "{body}");
    }
    assert_eq!(kind(stream(&[], &["[DONE]"])), FailureKind::Malformed);
}

#[test]
fn json_nested_too_deeply_is_refused_and_does_not_overflow_the_stack() {
    for (open, close) in [("[", "]"), ("{\"choices\":", "}")] {
        let body = format!("{}{}", open.repeat(200_000), close.repeat(200_000));
        assert_eq!(kind(whole(body.as_bytes(), Assembly::new(&[]))), FailureKind::Malformed);
    }
}

fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-z\\[\\]é]{0,6}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "choices",
        "delta",
        "message",
        "content",
        "index",
        "finish_reason",
        "usage",
        "prompt_tokens",
        "tool_calls",
        "function",
        "arguments",
        "name",
        "id",
        "error",
        "code",
        "logprobs",
        "x_groq",
        "provider",
        "thinking",
        "text",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic_or_invent_a_finish_reason(chunks in prop::collection::vec(hostile(), 0..4)) {
        if let Ok(answer) = stream(&chunks, &["[DONE]"])
            && let Some(reason) = answer.finish_reason
        {
            prop_assert!(chunks.iter().any(|chunk| chunk.to_string().contains(&reason)));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(whole(&body, Assembly::new(&[])).is_err());
    }

    #[test]
    fn text_is_the_same_whole_and_in_pieces(pieces in prop::collection::vec("\\PC{0,8}", 1..8)) {
        let chunks: Vec<Value> = pieces.iter().map(|piece| delta(&json!({"content": piece}))).collect();
        let text = pieces.concat();
        let body = json!({"choices": [{"message": {"content": text}, "finish_reason": null}]});
        prop_assert_eq!(stream(&chunks, &["[DONE]"]), read(&body));
    }
}

fn message(message: &Value, reason: &str) -> Value {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": reason}]})
}

#[test]
fn thoughts_are_read_in_every_field_that_holds_them() {
    let thought = |part: Value| stream(&[delta(&part), finish(&json!("stop"))], &[]).unwrap().reasoning;
    for part in [
        json!({"reasoning": "hm"}),
        json!({"reasoning_content": "hm"}),
        json!({"reasoning": "hm", "reasoning_content": "hm"}),
        json!({"reasoning_text": "hm"}),
        json!({"thinking": "hm"}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "h"}, {"type": "reasoning.text", "text": "m"}]}),
        json!({"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
        json!({"content": [{"type": "reasoning", "text": "hm"}]}),
        json!({"reasoning": {"content": "hm"}}),
        json!({"reasoning": {"content": null, "text": "hm"}, "reasoning_content": ""}),
        json!({"thinking_blocks": [{"type": "thinking", "thinking": "h"}, {"thinking": "m", "signature": "x"}]}),
        json!({"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}),
        json!({"provider_specific_fields": {"reasoning_content": "hm"}}),
        json!({"reasoning_content": "hm", "provider_specific_fields": {"reasoning_content": "hm", "citations": null}}),
        json!({"content": [{"type": "thinking", "thinking": "hm"}], "reasoning_content": "hm"}),
    ] {
        assert_eq!(thought(part.clone()).as_deref(), Some("hm"), "{part}");
    }
    let summary = json!({"content": "a", "reasoning": "It thought.",
        "reasoning_details": [{"type": "reasoning.summary", "summary": "It thought."}]});
    assert_eq!(thought(summary), None, "a summary was not generated");
    let said_nowhere = json!({"content": "a", "reasoning": {"effort": "low"}, "thinking": true,
        "thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]});
    assert_eq!(thought(said_nowhere), None);
}

#[test]
fn the_whole_answer_at_the_end_of_its_pieces_is_no_more_of_it() {
    let pieces = [
        delta(&json!({"reasoning_content": "Let me "})),
        delta(&json!({"reasoning_content": "see."})),
        delta(&json!({"content": "The answer "})),
        delta(&json!({"content": "is four"})),
        delta(&json!({"content": ", so it is."})),
    ];
    let whole = "The answer is four, so it is.";
    let call = json!([{"id": "c", "function": {"name": "f", "arguments": "{}"}}]);
    for last in [
        message(&json!({"role": "assistant", "content": whole, "reasoning_content": "Let me see."}), "stop"),
        message(&json!({"content": whole, "reasoning_content": ""}), "stop"),
        message(&json!({"content": whole.trim_end_matches('.')}), "stop"),
        delta(&json!({"content": whole})),
        json!({"choices": [{"index": 0, "delta": {}, "message": {"content": whole}, "finish_reason": "stop"}]}),
    ] {
        let answer = stream(&[&pieces[..], &[last.clone(), finish(&json!("stop"))]].concat(), &[]).unwrap();
        assert_eq!((answer.text.as_str(), answer.reasoning.as_deref()), (whole, Some("Let me see.")), "{last}");
    }
    let more = message(&json!({"content": format!("{whole} Yes."), "tool_calls": call}), "stop");
    let answer = stream(&[&pieces[..], &[more]].concat(), &[]).unwrap();
    assert_eq!((answer.text, answer.tool_calls.len()), (format!("{whole} Yes."), 1), "what the pieces left out is new");
}

#[test]
fn pieces_that_hold_all_so_far_are_told_from_pieces_that_go_on() {
    let text = |pieces: &[&str]| {
        let deltas: Vec<Value> = pieces.iter().map(|piece| delta(&json!({"content": piece}))).collect();
        stream(&[&deltas[..], &[finish(&json!("stop"))]].concat(), &[]).unwrap().text
    };
    assert_eq!(text(&["a", "a b", "a b c", "a b c d"]), "a b c d");
    assert_eq!(text(&["ha", "ha", "haha", "!"]), "hahahaha!");
    assert_eq!(text(&["1", "12", "3"]), "1123");
}

#[test]
fn messages_instead_of_pieces_are_joined() {
    let said = |text: &str| json!({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": null}]});
    let first = delta(&json!({"role": "assistant", "content": ""}));
    let answer = stream(&[first, said("a"), said("b"), finish(&json!("stop"))], &[]).unwrap();
    assert_eq!(answer.text, "ab");
}

#[test]
fn an_answer_of_which_nothing_was_generated_is_a_failure_and_one_that_a_cap_cut_is_not() {
    let blank = |reason: &str, usage: Value| {
        let message = json!({"role": "assistant", "content": "", "tool_calls": null});
        read(&json!({"choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage}))
    };
    assert_eq!(kind(blank("stop", json!({"prompt_tokens": 0, "completion_tokens": 0}))), FailureKind::Blank);
    assert_eq!(kind(blank("length", json!({"completion_tokens": 0}))), FailureKind::Blank);
    assert_eq!(kind(blank("stop", Value::Null)), FailureKind::Blank);
    assert!(blank("length", Value::Null).is_ok(), "hidden thoughts used it up");
    assert!(blank("stop", json!({"completion_tokens": 1})).is_ok(), "the model ended at once");
}

#[test]
fn tokens_of_thinking_are_found_where_hosts_count_them() {
    for usage in [
        json!({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}),
        json!({"completion_tokens": 9, "output_tokens_details": {"reasoning_tokens": 4}}),
        json!({"completion_tokens": 9, "reasoning_tokens": 4}),
    ] {
        let answer =
            read(&json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": usage}));
        assert_eq!(answer.unwrap().usage.and_then(|usage| usage.reasoning_tokens), Some(4), "{usage}");
    }
}

/// The outcome of a stream of these events, each a name and its data.
fn events(events: &[(&str, &str)]) -> Result<Answer, Failure> {
    let mut assembly = Assembly::new(&[]);
    for (name, data) in events {
        let event = sse::Event { name: (*name).to_owned(), data: data.as_bytes().to_vec() };
        if assembly.event(&event)? == Progress::Done {
            break;
        }
    }
    assembly.end(&sse::Ending::Clean)
}

const A: &str = r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn an_error_within_a_stream_is_one_in_every_form_and_half_an_answer_is_none() {
    for (name, data) in [
        ("error", "overloaded"),
        ("error", ""),
        ("error", "null"),
        ("error", "{}"),
        ("Error", "overloaded_error"),
        ("", "Timeout"),
        ("", "Error: overloaded"),
        ("", r#"{"choices":[{"index":0,"delta":{"content":"","error":{"message":"no"}}}]}"#),
        ("", r#"{"type":"error","data":{"error":{"message":"no","code":503}}}"#),
        ("", r#"{"type":"response.failed","response":{"status":"failed","error":{"message":"no"}}}"#),
        ("", r#"{"message":"no capacity left"}"#),
        ("", "come again later"),
    ] {
        assert_eq!(kind(events(&[("", A), (name, data), ("", "[DONE]")])), FailureKind::Server, "{name}: {data}");
    }
    let told = events(&[("", A), ("", r#"{"detail":"no capacity left"}"#), ("", "[DONE]")]).unwrap_err().message;
    assert!(told.contains("no capacity left"), "{told}");
}

#[test]
fn what_is_no_chunk_and_no_error_costs_no_answer() {
    for (name, data) in [
        ("heartbeat", r#"{"message":"processing","ts":12}"#),
        ("", r#"{"status":"queued","message":"Waiting for a worker","position":3}"#),
        ("", r#"{"detail":"queued"}"#),
        ("", r#"{"code":0,"message":"ok"}"#),
        ("", r#"{"message":"we are busy"}"#),
        ("", "12:00:01"),
        ("", "still working 3"),
        ("", "[]"),
        ("", "<ping>"),
    ] {
        let answer = events(&[(name, data), ("", A), (name, data), ("", A), ("", "[DONE]")]).unwrap();
        assert_eq!((answer.text.as_str(), answer.response_id), ("aa", None), "{data}");
    }
    let usage = r#"{"choices":[],"usage":{"completion_tokens":2}}"#;
    for behind in [r#"{"type":"done","message":"finished"}"#, "\"[DONE]\"", "[done]", "end of stream", "error", "{\"a"]
    {
        let answer = events(&[("", A), ("", STOP), ("", usage), ("", behind)]).unwrap();
        assert_eq!(answer.usage.and_then(|usage| usage.completion_tokens), Some(2), "{behind}");
    }
    assert_eq!(kind(events(&[("", A), ("", r#"{"choices":[{"ind"#), ("", "[DONE]")])), FailureKind::Malformed);
}

#[test]
fn an_empty_error_beside_an_answer_is_none() {
    let errors = [
        json!(false),
        json!(""),
        json!({}),
        json!(0),
        json!([]),
        json!({"message": null, "code": null}),
        json!({"code": 0, "message": "success"}),
        json!({"code": "0", "message": "ok"}),
    ];
    for error in errors {
        let whole = json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "error": error});
        assert_eq!(read(&whole).unwrap().text, "a", "{error}");
        let mut chunks = [delta(&json!({"content": "a"})), finish(&json!("stop")), json!({"choices": [], "usage": {}})];
        for chunk in &mut chunks {
            chunk["error"] = error.clone();
        }
        assert_eq!(stream(&chunks, &[]).unwrap().text, "a", "{error}");
    }
}

#[test]
fn a_text_that_its_last_piece_says_again_is_read_once() {
    let last = |text: &str| json!({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]});
    let piece = |text: &str| delta(&json!({"content": text}));
    for chunks in [
        vec![piece("Heath island"), last("Heath island")],
        vec![piece(" Heath"), piece(" island"), last("Heath island")],
        ["Heath", "Heath i", "Heath isl", "Heath island"]
            .iter()
            .map(|text| piece(text))
            .chain([last("Heath island")])
            .collect(),
    ] {
        assert_eq!(stream(&chunks, &[]).unwrap().text, "Heath island");
    }
    assert_eq!(stream(&[piece("ha"), last("ha")], &[]).unwrap().text, "haha");
    let short = "The heath island holds.";
    let stop = finish(&json!("stop"));
    let as_text = json!({"choices": [{"index": 0, "text": short, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 6}});
    for chunks in [
        [piece(short), piece(short), stop.clone(), usage.clone()],
        [piece(short), stop.clone(), usage, as_text],
        [piece("The heath "), piece("island holds."), piece(short), stop],
    ] {
        assert_eq!(stream(&chunks, &["[DONE]"]).unwrap().text, short, "{chunks:?}");
    }
}

#[test]
fn odd_forms_of_a_choice_are_read() {
    let stop = json!({"choices": [{"index": 1, "finish_reason": "stop"}]});
    for chunk in [
        json!({"choices": [{"index": 1, "delta": {"content": "a"}}]}),
        json!({"choices": [{"text": "a"}]}),
        delta(&json!({"content": {"type": "text", "text": "a"}})),
        delta(&json!({"content": {"text": "a"}})),
    ] {
        let mut stop = stop.clone();
        stop["choices"][0]["index"] = chunk["choices"][0]["index"].clone();
        assert_eq!(stream(&[chunk.clone(), stop], &[]).unwrap().text, "a", "{chunk}");
    }
    let two = json!({"choices": [{"index": 1, "delta": {"content": "b"}}]});
    let chunks = [delta(&json!({"content": "a"})), two, finish(&json!("stop"))];
    assert_eq!(stream(&chunks, &[]).unwrap().text, "a", "of several answers the first is read");
}

#[test]
fn a_body_of_a_document_a_line_is_a_stream() {
    let read = |lines: &[&str]| whole(lines.join("\n").as_bytes(), Assembly::new(&[]));
    assert_eq!(read(&[A, A, STOP]).unwrap().text, "aa");
    assert_eq!(read(&[A, STOP, "data: [DONE]", ""]).unwrap().text, "a");
    assert_eq!(kind(read(&[A, A, ""])), FailureKind::CutStream);
    assert_eq!(kind(read(&[A, r#"{"cho"#, A, STOP])), FailureKind::Malformed);
    assert_eq!(kind(read(&["{", " \"choices\": ["])), FailureKind::Malformed);
    let failed = read(&[r#"{"error":{"message":"engine died"}}"#, "data: [DONE]", ""]).unwrap_err();
    assert!(failed.kind == FailureKind::Server && failed.message.contains("engine died"), "{failed:?}");
}
