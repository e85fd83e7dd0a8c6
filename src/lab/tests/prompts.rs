//! Faults of the prompt and of the model: what shows in token counts and in what is answered.

use serde_json::{Value, json};

use super::*;

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

/// Prompt tokens of one request at each address.
async fn prompt_tokens(addresses: &[&str], request: &Value) -> Vec<i64> {
    let fleet = quiet(addresses).await;
    let mut counts = Vec::new();
    for index in 0..addresses.len() {
        let answer = ask(&fleet, index, request).await;
        counts.push(answer["usage"]["prompt_tokens"].as_i64().unwrap());
    }
    counts
}

#[tokio::test]
async fn wrong_templates_and_dropped_system_messages_change_the_count() {
    let messages = json!([
        {"role": "system", "content": "Be polite."}, {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "12 + 9 = 21"}, {"role": "user", "content": STORY},
    ]);
    let request = json!({"model": "lab", "messages": messages, "max_tokens": 1});
    let addresses = [
        "lab:",
        "lab:wrong-template=no-newlines",
        "lab:wrong-template=no-generation-prompt",
        "lab:wrong-template=no-roles",
        "lab:dropped-system-prompt",
    ];
    let counts = prompt_tokens(&addresses, &request).await;
    // Two newlines a message, and one after the assistant's role.
    assert_eq!(counts[1], counts[0] - 9);
    assert_eq!(counts[2], counts[0] - 2);
    assert!(counts[3] < counts[2] - 5 && counts[4] < counts[0] - 3, "{counts:?}");
}

#[tokio::test]
async fn tools_that_are_dropped_or_forbidden_are_not_counted() {
    let plain = body("What is the weather in Rome?", &json!({"max_tokens": 1}));
    let with = |more: Value| {
        let mut request = body("What is the weather in Rome?", &more);
        request["tools"] = weather_tools();
        request
    };
    let bare = prompt_tokens(&["lab:"], &plain).await[0];
    let counts = prompt_tokens(&["lab:", "lab:tools-dropped"], &with(json!({"max_tokens": 1}))).await;
    assert!(counts[0] > bare + 5 && counts[1] == bare, "{counts:?} beside {bare}");
    assert_eq!(prompt_tokens(&["lab:"], &with(json!({"max_tokens": 1, "tool_choice": "none"}))).await[0], bare);
}

#[tokio::test]
async fn every_fault_of_the_weights_is_served() {
    let addresses = [
        "lab:weights=f16",
        "lab:quantized-weights=q8_0",
        "lab:quantized-kv=q4",
        "lab:wrong-rope=4",
        "lab:finetuned-variant=0.5",
        "lab:finetuned-variant",
        "lab:partial-routing=1",
    ];
    let fleet = quiet(&addresses).await;
    for (index, address) in addresses.iter().enumerate() {
        let answer = ask(&fleet, index, &endless(STORY, &json!({"temperature": 0, "max_tokens": 4}))).await;
        assert_eq!(answer["usage"]["completion_tokens"], 4, "{address}");
    }
}
