//! Hosts that fail, and callers that go away.

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
