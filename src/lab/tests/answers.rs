//! Answers as they come: whole and streamed, with caps, stops, log-probabilities and choices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_stream_brings_the_same_answer_as_a_whole() {
    let fleet = quiet(&["lab:"]).await;
    let whole = ask(&fleet, 0, &endless(STORY, &json!({"temperature": 0}))).await;
    let streaming = json!({"temperature": 0, "stream": true, "stream_options": {"include_usage": true}});
    let response = post(&fleet, 0, &endless(STORY, &streaming)).await.unwrap();
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
async fn caps_and_stop_sequences_end_an_answer() {
    let fleet = quiet(&["lab:"]).await;
    let capped = ask(&fleet, 0, &endless(STORY, &json!({"temperature": 0, "max_tokens": 5}))).await;
    assert_eq!(
        (&capped["choices"][0]["finish_reason"], &capped["usage"]["completion_tokens"]),
        (&json!("length"), &json!(5))
    );
    let full = ask(&fleet, 0, &endless(STORY, &json!({"temperature": 0}))).await;
    let stop = text(&full).split(' ').nth(2).unwrap();
    let stopped = ask(&fleet, 0, &endless(STORY, &json!({"temperature": 0, "stop": [stop]}))).await;
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
async fn several_choices_come_whole_and_side_by_side_in_a_stream() {
    let fleet = quiet(&["lab:"]).await;
    let body = body(STORY, &json!({"temperature": 1.2, "n": 3, "seed": 4}));
    let whole = ask(&fleet, 0, &body).await;
    let choices = whole["choices"].as_array().unwrap();
    let texts: Vec<_> = choices.iter().map(|choice| choice["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(choices.iter().map(|choice| choice["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(texts[0] != texts[1] && texts[1] != texts[2], "{texts:?}");
    let events = stream(&fleet, 0, &body).await;
    let mut joined = vec![String::new(); 3];
    let mut order = Vec::new();
    for choice in events.iter().filter_map(|event| event["choices"].get(0)) {
        let index = choice["index"].as_u64().unwrap() as usize;
        order.push(index);
        joined[index].push_str(choice["delta"]["content"].as_str().unwrap_or_default());
    }
    assert_eq!(joined, texts);
    order.dedup();
    assert!(order.len() > 6, "choices take turns: {order:?}");
    let usage = events.last().unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]), (&json!([]), &whole["usage"]));
    let single = ask(&fleet, 0, &super::body(STORY, &json!({"max_tokens": 24}))).await;
    assert_eq!(whole["usage"]["prompt_tokens"], single["usage"]["prompt_tokens"], "the prompt is read once");
    assert!(whole["usage"]["completion_tokens"].as_u64() > single["usage"]["completion_tokens"].as_u64());
}

#[tokio::test]
async fn hosts_ignore_caps_and_stops_and_have_caps_of_their_own() {
    // The host's own cap keeps the answer short that no cap of the caller's does.
    let ignoring = "lab:max-tokens-ignored+low-output-default=30";
    let fleet = quiet(&["lab:", ignoring, "lab:low-output-default=5", "lab:stop-ignored"]).await;
    let capped = endless(STORY, &json!({"temperature": 0, "max_tokens": 4}));
    let mut tokens = Vec::new();
    for index in 0..3 {
        tokens.push(ask(&fleet, index, &capped).await["usage"]["completion_tokens"].as_u64().unwrap());
    }
    assert_eq!(tokens, [4, 30, 4]);
    let mut free = capped.clone();
    free.as_object_mut().unwrap().remove("max_tokens");
    let low = ask(&fleet, 2, &free).await;
    assert_eq!(
        (&low["usage"]["completion_tokens"], &low["choices"][0]["finish_reason"]),
        (&json!(5), &json!("length"))
    );
    let full = ask(&fleet, 0, &endless(STORY, &json!({"temperature": 0}))).await;
    let stop = text(&full).split(' ').nth(2).unwrap();
    let ignored = ask(&fleet, 3, &endless(STORY, &json!({"temperature": 0, "stop": [stop]}))).await;
    assert_eq!(text(&ignored), text(&full));
}

#[tokio::test]
async fn a_wrong_end_is_missed_or_comes_early() {
    let fleet = quiet(&["lab:", "lab:wrong-eos=late", "lab:wrong-eos=early"]).await;
    let body = body(QUESTION, &json!({"temperature": 0, "max_tokens": 60}));
    let right = ask(&fleet, 0, &body).await;
    assert_eq!(right["choices"][0]["finish_reason"], "stop");
    let late = ask(&fleet, 1, &body).await;
    assert_eq!(
        (&late["choices"][0]["finish_reason"], &late["usage"]["completion_tokens"]),
        (&json!("length"), &json!(60))
    );
    assert!(text(&late).starts_with(text(&right)) && !text(&late).contains("<|"), "{late}");
    let newline = super::body(STORY, &json!({"temperature": 0, "logit_bias": newline_bias()}));
    let early = ask(&fleet, 2, &newline).await;
    assert_eq!((text(&early), &early["choices"][0]["finish_reason"]), ("", &json!("stop")));
}

/// Makes a newline come next.
fn newline_bias() -> Value {
    let newline = Prompter::load().unwrap().signs().newline;
    json!({newline.to_string(): 100})
}

#[tokio::test]
async fn finish_reasons_and_counts_are_said_wrongly() {
    let addresses = [
        "lab:",
        "lab:finish-reason-wrong=stop",
        "lab:finish-reason-wrong=streamed",
        "lab:finish-reason-wrong=missing",
        "lab:usage-miscounted=random",
        "lab:usage-miscounted=absent",
    ];
    let fleet = quiet(&addresses).await;
    let capped = endless(STORY, &json!({"temperature": 0, "max_tokens": 5}));
    let (mut whole, mut streams, mut usages) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..addresses.len() {
        let answer = ask(&fleet, index, &capped).await;
        whole.push(answer["choices"][0]["finish_reason"].clone());
        usages.push(answer["usage"].clone());
        let events = stream(&fleet, index, &capped).await;
        streams.push(json!(streamed(&events).finish));
        let counted = events.iter().any(|event| event["usage"].is_object());
        assert_eq!(counted, index != 5);
    }
    assert_eq!(whole[..4], [json!("length"), json!("stop"), json!("length"), json!(null)]);
    assert_eq!(streams[..4], [json!("length"), json!("stop"), json!("stop"), json!(null)]);
    assert_eq!(usages[5], json!(null));
    let off = |field: &str| usages[4][field].as_i64().unwrap() - usages[0][field].as_i64().unwrap();
    assert!(off("prompt_tokens") != 0 && off("completion_tokens").abs() == 1, "{usages:?}");
    assert_eq!(off("total_tokens"), off("prompt_tokens") + off("completion_tokens"));
}

#[tokio::test]
async fn a_cache_replays_whole_replies() {
    let fleet = quiet(&["lab:", "lab:cached-responses", "lab:cached-responses=0.5"]).await;
    let body = body(STORY, &json!({"temperature": 1.3}));
    let mut distinct = Vec::new();
    for index in 0..3 {
        let mut ids = Vec::new();
        for _ in 0..8 {
            let answer = ask(&fleet, index, &body).await;
            ids.push((answer["id"].to_string(), text(&answer).to_owned()));
        }
        ids.sort();
        ids.dedup();
        distinct.push(ids.len());
    }
    assert!(distinct[0] == 8 && distinct[1] == 1 && (2..8).contains(&distinct[2]), "{distinct:?}");
    let whole = ask(&fleet, 1, &body).await;
    let mut seeded = body.clone();
    seeded["seed"] = json!(3);
    let events = stream(&fleet, 1, &seeded).await;
    assert_eq!((&events[0]["id"], streamed(&events).content.as_str()), (&whole["id"], text(&whole)));
    assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
    let together = join_all((0..6).map(|_| ask(&fleet, 1, &seeded))).await;
    assert!(together.iter().all(|answer| answer["id"] == whole["id"]));
    let other = ask(&fleet, 1, &super::body(STORY, &json!({"temperature": 1.2}))).await;
    assert_ne!(other["id"], whole["id"]);
}

#[tokio::test]
async fn simultaneous_first_requests_of_a_cache_get_one_answer() {
    let fleet = quiet(&["lab:cached-responses"]).await;
    let body = body(STORY, &json!({"temperature": 1.3}));
    let answers = join_all((0..6).map(|_| ask(&fleet, 0, &body))).await;
    assert!(answers.iter().all(|answer| answer["id"] == answers[0]["id"] && text(answer) == text(&answers[0])));
}

#[tokio::test]
async fn special_tokens_leak_in_their_share_of_answers() {
    let fleet = quiet(&["lab:", "lab:leaked-tokens=1", "lab:leaked-tokens=0.5"]).await;
    let end = Prompter::load().unwrap().signs().end;
    let ended = body(QUESTION, &json!({"logit_bias": {end.to_string(): 100}}));
    let mut leaks = [0; 3];
    for (index, leaks) in leaks.iter_mut().enumerate() {
        for _ in 0..12 {
            let answer = ask(&fleet, index, &ended).await;
            *leaks += usize::from(text(&answer) == "<|end|>");
        }
    }
    assert!(leaks[0] == 0 && leaks[1] == 12 && (1..12).contains(&leaks[2]), "{leaks:?}");
    assert_eq!(streamed(&stream(&fleet, 1, &ended).await).content, "<|end|>");
}

#[tokio::test]
async fn a_slow_host_is_late() {
    let fleet = quiet(&["lab:slow=120"]).await;
    let before = Instant::now();
    ask(&fleet, 0, &body(QUESTION, &json!({"max_tokens": 1}))).await;
    assert!(before.elapsed() >= Duration::from_millis(120));
}
