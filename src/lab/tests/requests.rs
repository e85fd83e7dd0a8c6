//! Requests that are refused, and bytes that are none.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn requests_out_of_order_are_refused_in_the_usual_shape() {
    let fleet = quiet(&["lab:"]).await;
    let too_long = "lamp ".repeat(400);
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
