//! Answers in a form that was asked for, and hosts that do not enforce it.

use serde_json::{Value, json};

use super::*;

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"},
            "mood": {"enum": ["good", "bad", null]}, "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
        },
        "required": ["name", "age", "mood"],
        "additionalProperties": false,
    })
}

fn formatted(format: &Value, more: &Value) -> Value {
    let mut request = body("Make JSON: Anna is 34 years old and lives in Rome.", more);
    request["max_tokens"] = json!(400);
    request["response_format"] = format.clone();
    request
}

fn schema(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema}})
}

#[tokio::test]
async fn answers_follow_their_schema_at_every_temperature() {
    let fleet = quiet(&["lab:"]).await;
    for temperature in [0.0, 1.0, 2.0] {
        let request = formatted(&schema(&person()), &json!({"temperature": temperature}));
        let answer = ask(&fleet, 0, &request).await;
        let value: Value = serde_json::from_str(text(&answer)).unwrap();
        assert!(jsonschema::is_valid(&person(), &value), "{value}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    let object = ask(&fleet, 0, &formatted(&json!({"type": "json_object"}), &json!({"temperature": 0}))).await;
    assert!(serde_json::from_str::<Value>(text(&object)).unwrap().is_object(), "{object}");
}

/// A schema as libraries make it of nested types: references, bounds, a format.
fn team() -> Value {
    json!({
        "$defs": {
            "Member": {
                "type": "object", "title": "Member", "required": ["name", "age", "joined", "manager"], "additionalProperties": false,
                "properties": {
                    "name": {"type": "string", "pattern": "^[A-Z][a-z]{1,10}$"},
                    "age": {"type": "integer", "minimum": 18, "maximum": 99},
                    "joined": {"type": "string", "format": "date"},
                    "manager": {"anyOf": [{"$ref": "#/$defs/Member"}, {"type": "null"}]},
                },
            },
        },
        "type": "object", "required": ["members", "share"], "additionalProperties": false,
        "properties": {
            "members": {"type": "array", "items": {"$ref": "#/$defs/Member"}, "minItems": 1, "maxItems": 2},
            "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        },
    })
}

#[tokio::test]
async fn answers_follow_schemas_with_references_patterns_and_bounds() {
    let fleet = quiet(&["lab:"]).await;
    let validator = jsonschema::options().should_validate_formats(true).build(&team()).unwrap();
    for (temperature, seed) in [(0.0, 1), (1.0, 2), (2.0, 3)] {
        let more = json!({"temperature": temperature, "seed": seed});
        let answer = ask(&fleet, 0, &formatted(&schema(&team()), &more)).await;
        let value: Value = serde_json::from_str(text(&answer)).unwrap();
        assert!(validator.is_valid(&value), "{value}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn a_host_that_does_not_enforce_schemas_answers_freely() {
    let fleet = quiet(&["lab:schema-not-enforced"]).await;
    let story = body(STORY, &json!({"temperature": 0}));
    let mut bound = story.clone();
    bound["response_format"] = schema(&person());
    assert_eq!(text(&ask(&fleet, 0, &bound).await), text(&ask(&fleet, 0, &story).await));
}

#[tokio::test]
async fn schemas_beyond_reach_are_refused_with_their_place() {
    let fleet = quiet(&["lab:"]).await;
    let beyond = json!({"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 2}}});
    let response = post(&fleet, 0, &formatted(&schema(&beyond), &json!({}))).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(error["error"]["param"], "response_format");
    assert!(error["error"]["message"].as_str().unwrap().contains("`multipleOf` at `/properties/a`"), "{error}");
}

/// A request whose thoughts end at once.
fn thinking(more: &Value) -> Value {
    let end = Prompter::load().unwrap().signs().thought_end;
    let mut request = formatted(&schema(&json!({"type": "integer"})), more);
    request["reasoning_effort"] = json!("low");
    request["logit_bias"] = json!({end.to_string(): 100});
    request
}

#[tokio::test]
async fn thoughts_come_before_the_form_in_their_own_channel_or_in_the_wrong_one() {
    let addresses = ["lab:", "lab:reasoning-misplaced=content", "lab:reasoning-misplaced=reasoning"];
    let fleet = quiet(&addresses).await;
    let request = thinking(&json!({"temperature": 0}));
    let right = ask(&fleet, 0, &request).await;
    assert!(text(&right).parse::<i64>().is_ok(), "{right}");
    let content = ask(&fleet, 1, &request).await;
    let (thought, answer) = text(&content).split_once("</think>").unwrap();
    assert!(thought.starts_with("<think>\n") && answer.trim_start() == text(&right), "{content}");
    let reasoning = ask(&fleet, 2, &request).await;
    let message = &reasoning["choices"][0]["message"];
    let misplaced = message["reasoning_content"].as_str().unwrap();
    assert_eq!((&message["content"], misplaced.trim_start()), (&Value::Null, text(&right)));
    let streamed = streamed(&stream(&fleet, 2, &request).await);
    assert_eq!((streamed.content.as_str(), streamed.reasoning.as_str()), ("", misplaced));
}
