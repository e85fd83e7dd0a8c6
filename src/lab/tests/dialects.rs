//! How hosts say no, and how they say how much is left.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

const DIALECTS: [&str; 5] = ["openai", "together", "fireworks", "cerebras", "sglang"];

async fn served(trait_of: &str) -> Fleet {
    let addresses: Vec<String> = DIALECTS.iter().map(|name| format!("lab:dialect={name}{trait_of}")).collect();
    quiet(&addresses.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn error(response: Response) -> (u16, BTreeMap<String, String>, Value) {
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let (status, headers) = (response.status().as_u16(), headers.collect());
    (status, headers, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn every_error_has_its_hosts_shape_and_the_programs_client_reads_it() {
    let fleet = served("").await;
    let message = |body: &Value| {
        let mut at = ["/error/message", "/error", "/message"].into_iter();
        at.find_map(|at| body.pointer(at)?.as_str()).map(str::to_owned)
    };
    for (index, name) in DIALECTS.iter().enumerate() {
        let (status, _, body) = error(post(&fleet, index, &body(QUESTION, &json!({"top_p": 7}))).await.unwrap()).await;
        assert_eq!(status, 400);
        assert!(message(&body).unwrap().contains("top_p"), "{name}: {body}");
        let (status, _, body) =
            error(post(&fleet, index, &super::body(QUESTION, &json!({"model": "x"}))).await.unwrap()).await;
        assert_eq!(status, 404, "{name}: {body}");
        let lost = Client::new().get(format!("{}/nothing", fleet.base_url(index))).send().await.unwrap();
        assert_eq!(error(lost).await.0, 404);
    }
    let flat = error(post(&fleet, 4, &body(QUESTION, &json!({"n": 0}))).await.unwrap()).await.2;
    assert_eq!((&flat["object"], &flat["code"]), (&json!("error"), &json!(400)));
}

#[tokio::test]
async fn limits_are_kept_and_told_in_each_hosts_way() {
    let fleet = served("+rate-limit=2").await;
    let asked = body(QUESTION, &json!({"max_tokens": 1}));
    let expected: [&[(&str, &str)]; 5] = [
        &[("x-ratelimit-limit-requests", "2"), ("x-ratelimit-remaining-requests", "0")],
        &[("x-ratelimit-limit", "2"), ("x-ratelimit-remaining", "0")],
        &[("x-ratelimit-limit-requests", "2"), ("x-ratelimit-over-limit", "yes")],
        &[("x-ratelimit-limit-requests-minute", "2"), ("x-ratelimit-remaining-requests-minute", "0")],
        &[],
    ];
    for (index, name) in DIALECTS.iter().enumerate() {
        for _ in 0..2 {
            assert_eq!(post(&fleet, index, &asked).await.unwrap().status(), StatusCode::OK);
        }
        let (status, headers, body) = error(post(&fleet, index, &asked).await.unwrap()).await;
        assert_eq!(status, 429, "{name}: {body}");
        for (header, value) in expected[index] {
            assert_eq!(headers.get(*header).map(String::as_str), Some(*value), "{name}: {header}");
        }
        let waits = headers.get("retry-after").map(|wait| wait.parse::<u64>().unwrap());
        assert!(matches!((*name, waits), ("together" | "sglang", None) | (_, Some(1..=30))), "{name}: {waits:?}");
    }
    let reset = |headers: &BTreeMap<String, String>, name: &str| headers[name].clone();
    let (_, openai, _) = error(post(&fleet, 0, &asked).await.unwrap()).await;
    assert!(reset(&openai, "x-ratelimit-reset-requests").ends_with('s') && openai.contains_key("retry-after-ms"));
    let (_, together, body) = error(post(&fleet, 1, &asked).await.unwrap()).await;
    assert!(reset(&together, "x-ratelimit-reset").parse::<u64>().unwrap() <= 60);
    assert_eq!(body["error"]["error_type"], "dynamic_request_limited");
    let (_, cerebras, _) = error(post(&fleet, 3, &asked).await.unwrap()).await;
    assert!(reset(&cerebras, "x-ratelimit-reset-requests-minute").parse::<f64>().unwrap() <= 60.0);
}
