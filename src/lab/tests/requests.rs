//! Requests that are refused, and bytes that are none.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::*;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn requests_out_of_order_are_refused_in_the_usual_shape() {
    let fleet = quiet(&["lab:"]).await;
    let too_long = "lamp ".repeat(2_000);
    for (body, status, code) in [
        (json!("no object"), 400, Value::Null),
        (body(QUESTION, &json!({"temperature": 3})), 400, json!("invalid_value")),
        (body(QUESTION, &json!({"model": "other"})), 404, json!("model_not_found")),
        (body(&too_long, &json!({})), 400, json!("context_length_exceeded")),
        (body(&"x".repeat(2 << 20), &json!({})), 413, Value::Null),
    ] {
        let response = post(&fleet, 0, &body).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["error"]["code"], code);
        assert!(answer["error"]["message"].is_string());
    }
    let lost = Client::new().get(format!("{}/nothing", fleet.base_url(0))).send().await.unwrap();
    assert_eq!(lost.status(), StatusCode::NOT_FOUND);
}

/// A value that stands where a field is expected: right, nearly right, or nothing of the kind.
fn odd_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..200).prop_map(Value::from),
        (-3.0_f64..3.0).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop_oneof![Just("required"), Just("<|end|>"), Just("<|patch|>"), Just("function"), Just("none")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            Just("type"),
            Just("function"),
            Just("name"),
            Just("parameters"),
            Just("properties"),
            Just("json_schema"),
            Just("schema"),
            Just("content"),
            Just("role"),
            Just("7"),
            Just("image_url"),
            Just("url"),
            Just("anyOf"),
        ];
        let members = proptest::collection::vec((key, inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn odd_request() -> impl Strategy<Value = Value> {
    let field = proptest::sample::select(vec![
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "seed",
        "stop",
        "tools",
        "tool_choice",
        "response_format",
        "stream",
        "stream_options",
        "reasoning_effort",
        "chat_template_kwargs",
        "messages",
        "parallel_tool_calls",
        "unknown",
    ]);
    proptest::collection::vec((field, odd_value()), 0..4).prop_map(|fields| {
        let mut request = body(QUESTION, &json!({"max_tokens": 3}));
        for (field, value) in fields {
            request[field] = value;
        }
        request
    })
}

#[test]
fn whatever_is_sent_is_answered_or_refused_as_the_callers_error() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let fleet = runtime.block_on(quiet(&["lab:", "lab:wrong-template=no-roles+leaked-tokens=1+truncated-context=9"]));
    let mut runner = TestRunner::new(Config { cases: 96, ..Config::default() });
    let result = runner.run(&(0_usize..2, odd_request()), |(index, request)| {
        let answered = async {
            let response = post(&fleet, index, &request).await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        let (status, text) = runtime.block_on(async { tokio::time::timeout(PATIENCE, answered).await }).unwrap();
        prop_assert!([200, 400, 404].contains(&status), "{status}: {text}");
        Ok(())
    });
    result.unwrap();
}
