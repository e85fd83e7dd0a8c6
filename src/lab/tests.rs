//! The fleet as a client sees it, over real HTTP.

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

#[tokio::test]
async fn a_stream_brings_the_same_answer_as_a_whole() {
    let fleet = quiet(&["lab:"]).await;
    let whole = ask(&fleet, 0, &body(STORY, &json!({"temperature": 0}))).await;
    let streaming = json!({"temperature": 0, "stream": true, "stream_options": {"include_usage": true}});
    let response = post(&fleet, 0, &body(STORY, &streaming)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let streamed = response.text().await.unwrap();
    assert!(streamed.ends_with("data: [DONE]\n\n"));
    let events = events(&streamed);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let joined: String = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(joined, text(&whole));
    assert!(joined.len() > 20, "{joined}");
    let [end, usage] = &events[events.len() - 2..] else { panic!("too few events") };
    assert_eq!(end["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
    assert_eq!((&usage["choices"], &usage["usage"]), (&json!([]), &whole["usage"]));
    assert_eq!(usage["system_fingerprint"], whole["system_fingerprint"]);
}

#[tokio::test]
async fn token_counts_show_what_was_done_to_the_prompt() {
    let long = "lamp ".repeat(80);
    let addresses =
        ["lab:", "lab:double-bos", "lab:missing-bos", "lab:hidden-system-prompt", "lab:truncated-context=20"];
    let fleet = quiet(&addresses).await;
    let mut counts = Vec::new();
    for index in 0..addresses.len() {
        let answer = ask(&fleet, index, &body(&long, &json!({"max_tokens": 1}))).await;
        assert_eq!(answer["usage"]["completion_tokens"], 1);
        counts.push(answer["usage"]["prompt_tokens"].as_u64().unwrap());
    }
    let honest = counts[0];
    assert_eq!(counts[1..3], [honest + 1, honest - 1]);
    assert!(counts[3] > honest + 3, "{counts:?}");
    assert_eq!(counts[4], 20);
}

#[tokio::test]
async fn answers_repeat_with_the_seed_whatever_the_load() {
    let questions = [QUESTION, STORY, "Describe the garden.", "What is the weather in Oslo?"];
    let bodies: Vec<_> = questions.iter().map(|question| body(question, &json!({"temperature": 1.2}))).collect();
    let one_worker = FleetOptions { seed: 5, workers: NonZeroUsize::new(1), ..FleetOptions::default() };
    let fleet_at_rest = fleet(&["lab:", "lab:quantized-weights"], one_worker).await;
    let mut alone = Vec::new();
    for index in [0, 1] {
        for body in bodies.iter().chain(&bodies) {
            alone.push(text(&ask(&fleet_at_rest, index, body).await).to_owned());
        }
    }
    let two_workers = FleetOptions { seed: 5, workers: NonZeroUsize::new(2), ..FleetOptions::default() };
    let busy_fleet = fleet(&["lab:", "lab:quantized-weights"], two_workers).await;
    let requests = [0, 1].into_iter().flat_map(|index| bodies.iter().chain(&bodies).map(move |body| (index, body)));
    let together = join_all(requests.map(|(index, body)| ask(&busy_fleet, index, body))).await;
    let mut together: Vec<_> = together.iter().map(|answer| text(answer).to_owned()).collect();
    assert_ne!(alone[0..4], alone[4..8], "repeats differ");
    assert_ne!(alone[0..8], alone[8..16], "endpoints differ");
    alone.sort();
    together.sort();
    assert_eq!(alone, together);
}

#[tokio::test]
async fn a_seed_of_the_client_repeats_the_draws() {
    let fleet = quiet(&["lab:"]).await;
    let seeded = |seed| body(STORY, &json!({"seed": seed, "temperature": 1.3}));
    let first = ask(&fleet, 0, &seeded(1)).await;
    assert_eq!(text(&first), text(&ask(&fleet, 0, &seeded(1)).await));
    assert_ne!(text(&first), text(&ask(&fleet, 0, &seeded(2)).await));
}

#[tokio::test]
async fn a_host_that_ignores_temperature_hardly_varies() {
    let fleet = quiet(&["lab:", "lab:temperature-ignored=0.000001"]).await;
    let mut distinct = Vec::new();
    for index in [0, 1] {
        let mut texts = Vec::new();
        for _ in 0..6 {
            texts.push(text(&ask(&fleet, index, &body(STORY, &json!({"temperature": 1.3}))).await).to_owned());
        }
        texts.sort();
        texts.dedup();
        distinct.push(texts.len());
    }
    assert!(distinct[0] >= 5 && distinct[1] == 1, "{distinct:?}");
}

#[tokio::test]
async fn other_weights_and_another_model_answer_otherwise() {
    let fleet = quiet(&["lab:", "lab:quantized-weights", "lab:swapped-model"]).await;
    let mut answers = Vec::new();
    for index in 0..3 {
        let mut texts = String::new();
        for question in [STORY, "Describe the garden.", "How do I make soup?"] {
            let answer = ask(&fleet, index, &body(question, &json!({"temperature": 0, "max_tokens": 40}))).await;
            assert_eq!((&answer["model"], &answer["object"]), (&json!("lab"), &json!("chat.completion")));
            texts.push_str(text(&answer));
        }
        answers.push(texts);
    }
    assert!(answers[0] != answers[1] && answers[0] != answers[2] && answers[1] != answers[2]);
}

#[tokio::test]
async fn caps_and_stop_sequences_end_an_answer() {
    let fleet = quiet(&["lab:"]).await;
    let capped = ask(&fleet, 0, &body(STORY, &json!({"temperature": 0, "max_tokens": 5}))).await;
    assert_eq!(
        (&capped["choices"][0]["finish_reason"], &capped["usage"]["completion_tokens"]),
        (&json!("length"), &json!(5))
    );
    let full = ask(&fleet, 0, &body(STORY, &json!({"temperature": 0}))).await;
    let stop = text(&full).split(' ').nth(2).unwrap();
    let stopped = ask(&fleet, 0, &body(STORY, &json!({"temperature": 0, "stop": [stop]}))).await;
    assert_eq!(text(&stopped), text(&full).split(stop).next().unwrap());
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn log_probabilities_come_with_every_token() {
    let fleet = quiet(&["lab:"]).await;
    let asked = json!({"temperature": 0, "max_tokens": 4, "logprobs": true, "top_logprobs": 3});
    let answer = ask(&fleet, 0, &body(QUESTION, &asked)).await;
    let tokens = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(tokens.len(), 4);
    let joined: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(joined, text(&answer));
    for token in tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        assert_eq!(
            (&top[0]["token"], &top[0]["logprob"]),
            (&token["token"], &token["logprob"]),
            "greedy takes the likeliest"
        );
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
    }
    let streamed = body(QUESTION, &json!({"temperature": 0, "max_tokens": 4, "logprobs": true, "stream": true}));
    let streamed = events(&post(&fleet, 0, &streamed).await.unwrap().text().await.unwrap());
    let count: usize =
        streamed.iter().filter_map(|e| e["choices"][0]["logprobs"]["content"].as_array().map(Vec::len)).sum();
    assert_eq!(count, 4);
}

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

#[tokio::test]
async fn a_fleet_with_a_key_lets_in_only_those_who_carry_it() {
    let options = FleetOptions { api_key: Some("open sesame".into()), ..FleetOptions::default() };
    let fleet = fleet(&["lab:"], options).await;
    let models = format!("{}/models", fleet.base_url(0));
    for (header, status) in [(None, 401), (Some("Bearer wrong"), 401), (Some("Bearer open sesame"), 200)] {
        let request =
            header.iter().fold(Client::new().get(&models), |request, header| request.header("authorization", *header));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        if status == 200 {
            assert!(response.text().await.unwrap().contains(r#""id":"lab""#));
        }
    }
}

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
async fn names_must_differ() {
    let endpoint = LabEndpoint::from_address("same", "lab:").unwrap();
    let error = Fleet::start(&[endpoint.clone(), endpoint], FleetOptions::default()).await.err().unwrap();
    assert!(error.to_string().contains("`same` is there twice"), "{error}");
}

#[tokio::test]
async fn a_dropped_fleet_no_longer_listens() {
    let fleet = quiet(&["lab:"]).await;
    let url = format!("{}/models", fleet.base_url(0));
    assert!(Client::new().get(&url).send().await.is_ok());
    drop(fleet);
    for _ in 0..1000 {
        if Client::new().get(&url).send().await.is_err_and(|error| error.is_connect()) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the port still answers");
}
