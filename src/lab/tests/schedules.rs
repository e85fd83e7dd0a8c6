//! Faults that come, grow, flap and go by the lab's clock, and several at once.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

const DAY: Duration = Duration::from_hours(24);

async fn timed(address: &str) -> (Fleet, Clock) {
    let clock = Clock::fixed(Duration::ZERO);
    let options = FleetOptions { noise: Noise::NONE, clock: clock.clone(), ..FleetOptions::default() };
    (fleet(&[address], options).await, clock)
}

async fn prompt_tokens(fleet: &Fleet, question: &str) -> i64 {
    let answer = ask(fleet, 0, &body(question, &json!({"max_tokens": 1}))).await;
    answer["usage"]["prompt_tokens"].as_i64().unwrap()
}

#[tokio::test]
async fn a_fault_begins_and_ends_by_the_clock() {
    let (fleet, clock) = timed("lab:double-bos@from:2d,until:5d").await;
    let mut counts = Vec::new();
    for day in [0, 1, 2, 4, 5, 9] {
        clock.set(DAY * day);
        counts.push(prompt_tokens(&fleet, QUESTION).await);
    }
    let right = counts[0];
    assert_eq!(counts, [right, right, right + 1, right + 1, right, right]);
}

#[tokio::test]
async fn a_fault_that_grows_touches_more_requests_each_day() {
    let (fleet, clock) = timed("lab:double-bos@from:1d,ramp:10d").await;
    let right = prompt_tokens(&fleet, QUESTION).await;
    let mut shares = Vec::new();
    for day in [3, 6, 12] {
        clock.set(DAY * day);
        let mut touched = 0;
        for _ in 0..40 {
            touched += prompt_tokens(&fleet, QUESTION).await - right;
        }
        shares.push(touched);
    }
    assert!((2..=15).contains(&shares[0]) && (13..=28).contains(&shares[1]) && shares[2] == 40, "{shares:?}");
}

#[tokio::test]
async fn which_requests_a_share_touches_does_not_depend_on_the_load() {
    let questions: Vec<String> = (0..24).map(|number| format!("What is {number} + 1?")).collect();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (fleet, _) = timed("lab:double-bos@share:0.5").await;
        let mut one_by_one = Vec::new();
        for question in &questions {
            one_by_one.push(prompt_tokens(&fleet, question).await);
        }
        seen.push(one_by_one);
    }
    let (fleet, _) = timed("lab:double-bos@share:0.5").await;
    seen.push(join_all(questions.iter().map(|question| prompt_tokens(&fleet, question))).await);
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
    let (lone, _) = timed("lab:").await;
    let right = join_all(questions.iter().map(|question| prompt_tokens(&lone, question))).await;
    let touched = seen[0].iter().zip(right).filter(|(seen, right)| **seen != *right).count();
    assert!((6..=18).contains(&touched), "{touched} of 24");
}

#[tokio::test]
async fn a_model_that_is_swapped_later_is_loaded_then() {
    let (fleet, clock) = timed("lab:swapped-model@from:1d").await;
    let greedy = body(STORY, &json!({"temperature": 0, "max_tokens": 40}));
    let before = ask(&fleet, 0, &greedy).await;
    clock.advance(DAY);
    assert_ne!(text(&before), text(&ask(&fleet, 0, &greedy).await));
    clock.set(Duration::ZERO);
    assert_eq!(text(&before), text(&ask(&fleet, 0, &greedy).await));
}

/// An address with all faults at once, but for those that undo others or answer nothing.
fn everything() -> String {
    let left_out =
        ["missing-bos", "flaky-host", "swapped-model", "image-dropped", "tools-dropped", "schema-not-enforced"];
    let faults = Fault::catalogue().into_iter().filter(|fault| !left_out.contains(&fault.id()));
    format!("lab:{}", faults.map(|fault| fault.to_string()).collect::<Vec<_>>().join("+"))
}

#[tokio::test]
async fn all_faults_at_once_still_answer_and_come_to_an_end() {
    let fleet = quiet(&[&everything().replace("slow=250", "slow=1")]).await;
    let format =
        json!({"type": "json_schema", "json_schema": {"schema": {"type": "array", "items": {"type": "integer"}}}});
    let requests: [Value; 4] = [
        json!({"n": 2, "logprobs": true, "top_logprobs": 2}),
        json!({"tools": weather_tools(), "tool_choice": "required", "reasoning_effort": "high"}),
        json!({"response_format": format, "stop": ["1"]}),
        json!({"seed": 1, "min_p": 0.05, "presence_penalty": 1, "logit_bias": {"20": -100}}),
    ];
    for more in requests {
        let mut request = body(STORY, &more);
        request.as_object_mut().unwrap().remove("max_tokens");
        let whole = ask(&fleet, 0, &request).await;
        assert!(whole["usage"]["completion_tokens"].as_u64().unwrap() <= 40, "the cap of the host's own: {whole}");
        request["stream"] = json!(true);
        let text = post(&fleet, 0, &request).await.unwrap().text().await.unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"));
    }
}
