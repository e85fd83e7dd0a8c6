//! Calls: that they must come, how they travel, and hosts that lose them.

use serde_json::{Value, json};

use super::*;

fn required(more: &Value) -> Value {
    let mut request = body("What is the weather in Rome?", more);
    request["tools"] = weather_tools();
    request["max_tokens"] = json!(200);
    request
}

#[tokio::test]
async fn a_call_that_must_come_comes_whole_and_in_pieces() {
    let fleet = quiet(&["lab:"]).await;
    let request = required(&json!({"tool_choice": "required", "temperature": 0}));
    let answer = ask(&fleet, 0, &request).await;
    let choice = &answer["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &Value::Null));
    let [call] = choice["message"]["tool_calls"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert!(call["id"].as_str().unwrap().starts_with("call_") && call["type"] == "function", "{call}");
    let name = call["function"]["name"].as_str().unwrap();
    assert!(["get_weather", "get_time"].contains(&name), "{name}");
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["city"].is_string(), "{arguments}");

    let events = stream(&fleet, 0, &request).await;
    let first = events.iter().find(|event| event["choices"][0]["delta"]["tool_calls"].is_array()).unwrap();
    let begin = &first["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!((&begin["index"], &begin["function"]["arguments"]), (&json!(0), &json!("")));
    let streamed = streamed(&events);
    assert_eq!((streamed.finish.as_deref(), streamed.content.as_str()), (Some("tool_calls"), ""));
    assert_eq!(streamed.calls[0].1, name);
    assert_eq!(serde_json::from_str::<Value>(&streamed.calls[0].2).unwrap(), arguments);
}

#[tokio::test]
async fn a_named_call_is_that_one() {
    let fleet = quiet(&["lab:"]).await;
    let choice = json!({"type": "function", "function": {"name": "get_time"}});
    let answer = ask(&fleet, 0, &required(&json!({"tool_choice": choice, "temperature": 1.5}))).await;
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "get_time");
}

#[tokio::test]
async fn parsers_leave_calls_in_the_text_or_break_their_arguments() {
    let fleet = quiet(&["lab:tool-parser=content,1", "lab:tool-parser=arguments,1", "lab:tools-dropped"]).await;
    let request = required(&json!({"tool_choice": "required", "temperature": 0}));
    let left = ask(&fleet, 0, &request).await;
    let call: Value = serde_json::from_str(text(&left)).unwrap();
    assert!(call["arguments"]["city"].is_string() && left["choices"][0]["message"]["tool_calls"].is_null(), "{left}");
    assert_eq!(left["choices"][0]["finish_reason"], "stop");

    let broken = ask(&fleet, 1, &request).await;
    let arguments = broken["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(arguments).is_err(), "{arguments}");
    assert!(serde_json::from_str::<Value>(&format!("{arguments}}}")).is_ok(), "{arguments}");
    assert_eq!(broken["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(streamed(&stream(&fleet, 1, &request).await).calls[0].2, arguments);

    let dropped = ask(&fleet, 2, &request).await;
    assert!(dropped["choices"][0]["message"]["tool_calls"].is_null(), "{dropped}");
}

#[tokio::test]
async fn strict_tools_with_schemas_beyond_reach_are_refused() {
    let fleet = quiet(&["lab:"]).await;
    let mut request = required(&json!({}));
    request["tools"][0]["function"]["strict"] = json!(true);
    request["tools"][0]["function"]["parameters"] = json!({"type": "array", "uniqueItems": true});
    let response = post(&fleet, 0, &request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(response.text().await.unwrap().contains("uniqueItems"));
}
