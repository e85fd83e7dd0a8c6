//! How long the model thinks, what is passed on of it, and answers that are blank.

use super::*;

const SUM: &str = "What is 13 + 18?";

fn thoughtful(effort: &str) -> Value {
    body(SUM, &json!({"temperature": 0, "max_tokens": 300, "reasoning_effort": effort}))
}

fn reasoning_tokens(answer: &Value) -> u64 {
    answer["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn thoughts_are_as_long_as_the_effort_says() {
    let fleet = quiet(&["lab:", "lab:reasoning-effort-ignored=2", "lab:reasoning-effort-ignored=0.3"]).await;
    assert_eq!(reasoning_tokens(&ask(&fleet, 0, &thoughtful("none")).await), 0);
    let low = ask(&fleet, 0, &thoughtful("low")).await;
    // The token that ends them is counted among them.
    let usual = reasoning_tokens(&low) - 1;
    for (host, effort, tokens) in
        [(0, "medium", 2 * usual), (0, "high", 4 * usual), (1, "low", 2 * usual), (2, "low", 5)]
    {
        let answer = ask(&fleet, host, &thoughtful(effort)).await;
        assert_eq!(reasoning_tokens(&answer) - 1, tokens, "{effort} at {host}: {answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
    }
    assert!(!text(&low).is_empty(), "{low}");
    let nested = body(SUM, &json!({"temperature": 0, "max_tokens": 300, "reasoning": {"effort": "low"}}));
    assert_eq!(text(&ask(&fleet, 0, &nested).await), text(&low));
}

#[tokio::test]
async fn hidden_thoughts_leave_the_answer_as_it_is() {
    let hosts = ["lab:", "lab:reasoning-hidden", "lab:reasoning-hidden=uncounted", "lab:reasoning-hidden=summary"];
    let fleet = quiet(&hosts).await;
    let right = ask(&fleet, 0, &thoughtful("low")).await;
    let thought = right["choices"][0]["message"]["reasoning_content"].as_str().unwrap();
    for (host, shown, counted) in [(1, None, true), (2, None, false), (3, thought.split(' ').next(), true)] {
        let answer = ask(&fleet, host, &thoughtful("low")).await;
        assert_eq!(text(&answer), text(&right));
        assert_eq!(answer["choices"][0]["message"]["reasoning_content"].as_str(), shown);
        assert_eq!(answer["usage"]["completion_tokens"], right["usage"]["completion_tokens"]);
        assert_eq!(reasoning_tokens(&answer), if counted { reasoning_tokens(&right) } else { 0 });
    }
}

#[tokio::test]
async fn blank_answers_hold_nothing_lose_what_was_made_or_are_all_thought() {
    let fleet =
        quiet(&["lab:", "lab:blank-answers=1", "lab:blank-answers=1,lost", "lab:blank-answers=1,thought"]).await;
    let asked = body(SUM, &json!({"temperature": 0}));
    let right = ask(&fleet, 0, &asked).await;
    for (host, tokens, finish) in
        [(1, json!(0), "stop"), (2, right["usage"]["completion_tokens"].clone(), "stop"), (3, json!(24), "length")]
    {
        let answer = ask(&fleet, host, &asked).await;
        assert_eq!(answer["choices"][0]["message"]["content"].as_str().unwrap_or_default(), "", "{answer}");
        assert_eq!(
            (&answer["usage"]["completion_tokens"], &answer["choices"][0]["finish_reason"]),
            (&tokens, &json!(finish))
        );
        assert_eq!(reasoning_tokens(&answer), if host == 3 { 24 } else { 0 });
        let streamed = streamed(&stream(&fleet, host, &asked).await);
        assert_eq!((streamed.content.as_str(), streamed.finish.as_deref()), ("", Some(finish)));
        assert_eq!(streamed.reasoning.is_empty(), host != 3);
    }
}

#[tokio::test]
async fn a_form_is_kept_behind_thoughts_of_any_length() {
    let fleet = quiet(&["lab:reasoning-effort-ignored=3"]).await;
    let schema = json!({"type": "json_schema", "json_schema": {"schema": {"type": "integer"}}});
    let mut asked = thoughtful("medium");
    asked["response_format"] = schema;
    let answer = ask(&fleet, 0, &asked).await;
    assert!(text(&answer).parse::<i64>().is_ok(), "{answer}");
}
