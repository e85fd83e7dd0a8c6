//! The fleet as a client sees it, over real HTTP.

mod answers;
mod connections;
mod dialects;
mod fleet;
mod formats;
mod images;
mod prompts;
mod requests;
mod sampling;
mod schedules;
mod speech;
mod thoughts;
mod tools;

use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::*;

const QUESTION: &str = "What is 12 + 9?";
const STORY: &str = "Tell me a story about a lighthouse.";

async fn fleet(addresses: &[&str], options: FleetOptions) -> Fleet {
    let name = |(index, address): (usize, &&str)| LabEndpoint::from_address(format!("e{index}"), address).unwrap();
    let endpoints: Vec<_> = addresses.iter().enumerate().map(name).collect();
    Fleet::start(&endpoints, options).await.unwrap()
}

async fn quiet(addresses: &[&str]) -> Fleet {
    fleet(addresses, FleetOptions { noise: Noise::NONE, ..FleetOptions::default() }).await
}

fn body(question: &str, more: &Value) -> Value {
    let mut body = json!({"model": "lab", "messages": [{"role": "user", "content": question}], "max_tokens": 24});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// A request whose answer the model cannot end by itself.
fn endless(question: &str, more: &Value) -> Value {
    let end = Prompter::load().unwrap().signs().end;
    let mut body = body(question, more);
    body["logit_bias"] = json!({end.to_string(): -100});
    body
}

async fn post(fleet: &Fleet, index: usize, body: &Value) -> reqwest::Result<Response> {
    let url = format!("{}/chat/completions", fleet.base_url(index));
    Client::new().post(url).header("content-type", "application/json").body(body.to_string()).send().await
}

async fn ask(fleet: &Fleet, index: usize, body: &Value) -> Value {
    let response = post(fleet, index, body).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

fn events(body: &str) -> Vec<Value> {
    let data = body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// One answer that came as a stream: what its pieces of the first choice add up to, and its last finish reason.
#[derive(Debug, Default, PartialEq)]
struct Streamed {
    content: String,
    reasoning: String,
    /// Id, name and arguments.
    calls: Vec<(String, String, String)>,
    finish: Option<String>,
}

fn streamed(events: &[Value]) -> Streamed {
    let mut all = Streamed::default();
    for choice in events.iter().filter_map(|event| event["choices"].get(0)).filter(|choice| choice["index"] == 0) {
        let delta = &choice["delta"];
        all.content.push_str(delta["content"].as_str().unwrap_or_default());
        all.reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if let Some(id) = call["id"].as_str() {
                assert_eq!((index, &call["type"]), (all.calls.len(), &json!("function")));
                all.calls.push((id.to_owned(), call["function"]["name"].as_str().unwrap().to_owned(), String::new()));
            }
            all.calls[index].2.push_str(call["function"]["arguments"].as_str().unwrap());
        }
        all.finish = choice["finish_reason"].as_str().map(str::to_owned);
    }
    all
}

async fn stream(fleet: &Fleet, index: usize, body: &Value) -> Vec<Value> {
    let mut body = body.clone();
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let text = post(fleet, index, &body).await.unwrap().text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    events(&text)
}

fn weather_tools() -> Value {
    let function = |name: &str, argument: &str| {
        let parameters = json!({
            "type": "object", "properties": {argument: {"type": "string"}}, "required": [argument],
            "additionalProperties": false,
        });
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    json!([function("get_weather", "city"), function("get_time", "city")])
}
