//! Hosts that fail, and callers that go away.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

/// What a client can tell of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    TooMany,
    Unavailable,
    Reset,
    TornBody,
    QuietEnd,
}

async fn look(fleet: &Fleet, body: &Value) -> Seen {
    let response = match post(fleet, 0, body).await {
        Ok(response) => response,
        Err(error) => {
            assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
            return Seen::Reset;
        }
    };
    match response.status().as_u16() {
        429 => {
            assert_eq!(
                (&response.headers()["retry-after"], &response.headers()["retry-after-ms"]),
                (&"1".parse().unwrap(), &"200".parse().unwrap())
            );
            Seen::TooMany
        }
        503 => Seen::Unavailable,
        status => {
            assert_eq!(status, 200);
            match response.text().await {
                Err(_) => Seen::TornBody,
                Ok(text) => {
                    assert!(
                        !text.contains("[DONE]")
                            && events(&text).iter().all(|e| e["choices"][0]["finish_reason"].is_null())
                    );
                    Seen::QuietEnd
                }
            }
        }
    }
}

#[tokio::test]
async fn a_flaky_host_fails_in_every_way() {
    let fleet = quiet(&["lab:flaky-host=1"]).await;
    let body = body(STORY, &json!({"stream": true, "temperature": 0}));
    let mut seen = Vec::new();
    for _ in 0..40 {
        seen.push(look(&fleet, &body).await);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [Seen::TooMany, Seen::Unavailable, Seen::Reset, Seen::TornBody, Seen::QuietEnd]);
}

#[tokio::test]
async fn what_fails_does_not_depend_on_the_order_of_requests() {
    let questions: Vec<String> = (0..20).map(|number| format!("What is {number} + 2?")).collect();
    let mut seen = Vec::new();
    for backwards in [false, true] {
        let fleet = quiet(&["lab:flaky-host=0.5"]).await;
        let mut fates = vec![StatusCode::CONTINUE; questions.len()];
        let order: Vec<usize> = if backwards { (0..20).rev().collect() } else { (0..20).collect() };
        for index in order {
            let asked = body(&questions[index], &json!({"max_tokens": 1}));
            // A reset has no status: 504 stands in.
            fates[index] =
                post(&fleet, 0, &asked).await.map_or(StatusCode::GATEWAY_TIMEOUT, |response| response.status());
        }
        seen.push(fates);
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].iter().any(|status| *status != StatusCode::OK) && seen[0].contains(&StatusCode::OK));
}

#[tokio::test]
async fn a_fleet_goes_on_when_callers_go_away() {
    let options = FleetOptions { workers: NonZeroUsize::new(1), ..FleetOptions::default() };
    let fleet = fleet(&["lab:wrong-eos=late", "lab:"], options).await;
    let endless = json!({"model": "lab", "messages": [{"role": "user", "content": STORY}], "n": 4});
    for more in [json!({}), json!({"stream": true})] {
        let mut request = endless.clone();
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for _ in 0..4 {
            let mut gone = Box::pin(post(&fleet, 0, &request));
            let _ = tokio::time::timeout(Duration::from_millis(30), &mut gone).await;
        }
    }
    let patience = Duration::from_mins(1);
    let asked = body(QUESTION, &json!({"max_tokens": 4}));
    let answer = tokio::time::timeout(patience, ask(&fleet, 1, &asked)).await.expect("an answer all the same");
    assert_eq!(answer["object"], "chat.completion");
}
