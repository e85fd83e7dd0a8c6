//! Errors of every shape, and the classes that they fall into.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::headers::Kept;
use super::*;
use FailureKind::{Forbidden, NotFound, PaymentRequired, RateLimited, Redirect, Rejected, Server, Unauthorized};

fn told(body: &Value) -> Option<String> {
    HostError::read(body).map(|error| error.told())
}

#[test]
fn every_shape_of_an_error_is_read() {
    for (body, expected) in [
        (json!({"error": {"message": "no", "code": "bad", "type": null}}), "no (bad)"),
        (json!({"error": {"message": "no", "code": 429}}), "no (429)"),
        (json!({"error": "no"}), "no"),
        (json!({"error": "no", "error_type": "dynamic_request_limited"}), "no (dynamic_request_limited)"),
        (json!({"message": "no", "type": "t", "param": "p", "code": "c"}), "no (c, t)"),
        (json!({"error": {"message": "no", "type": "poor", "code": "poor"}}), "no (poor)"),
        (
            json!({"error": {"message": "no", "code": 400, "status": "400", "type": "Poor"}, "code": "400"}),
            "no (400, Poor)",
        ),
        (json!({"error": {"code": "poor", "error_type": "POOR"}}), "poor"),
        (json!({"object": "error", "message": "no", "code": 400}), "no (400)"),
        (json!({"object": "error"}), "an error without a message"),
        (json!({"detail": [{"msg": "field required"}]}), r#"[{"msg":"field required"}]"#),
        (json!({"success": false, "errors": [{"code": 7003, "message": "no"}]}), "no (7003)"),
        (json!([{"error": {"status": "UNAVAILABLE", "message": "no"}}]), "no (UNAVAILABLE)"),
        (json!("no"), "no"),
        (json!({"error": true}), "true"),
    ] {
        assert_eq!(told(&body).as_deref(), Some(expected), "{body}");
    }
}

#[test]
fn an_answer_is_not_taken_for_an_error() {
    for body in [
        json!({"choices": [], "error": null}),
        json!({"choices": [{}], "message": "hello"}),
        json!({"id": "x"}),
        json!(null),
        json!(3),
        json!([]),
    ] {
        assert_eq!(told(&body), None, "{body}");
    }
}

#[test]
fn statuses_fall_into_their_classes() {
    for (status, kind) in [
        (301, Redirect),
        (400, Rejected),
        (401, Unauthorized),
        (402, PaymentRequired),
        (403, Forbidden),
        (404, NotFound),
        (405, Rejected),
        (408, Server),
        (409, Server),
        (410, Rejected),
        (420, RateLimited),
        (421, Server),
        (422, Rejected),
        (423, Server),
        (424, Server),
        (425, Server),
        (429, RateLimited),
        (449, Server),
        (460, Server),
        (498, Unauthorized),
        (499, Server),
        (500, Server),
        (501, Rejected),
        (503, RateLimited),
        (529, Server),
    ] {
        assert_eq!(from_status(status, b"{}", &[503]).kind, kind, "{status}");
    }
}

#[test]
fn a_code_can_say_more_than_the_status() {
    let kind = |status: u16, body: Value| from_status(status, body.to_string().as_bytes(), &[]).kind;
    assert_eq!(kind(429, json!({"error": {"code": "insufficient_quota"}})), FailureKind::PaymentRequired);
    assert_eq!(kind(400, json!({"error": {"code": "content_filter"}})), FailureKind::Filtered);
    assert_eq!(kind(400, json!({"error": {"code": "model_not_found"}})), FailureKind::NotFound);
    assert_eq!(kind(403, json!({"error": {"code": 403, "metadata": {"reasons": ["x"]}}})), FailureKind::Filtered);
}

#[test]
fn an_error_under_200_takes_its_class_from_its_own_code() {
    let kind = |code: Value| {
        within_answer(&HostError::read(&json!({"error": {"message": "m", "code": code}})).unwrap(), &[503]).kind
    };
    assert_eq!(kind(json!(429)), FailureKind::RateLimited);
    assert_eq!(kind(json!("503")), FailureKind::RateLimited);
    assert_eq!(kind(json!("server_error")), FailureKind::Server);
    assert_eq!(kind(json!(7)), FailureKind::Server);
}

#[test]
fn a_status_within_the_body_decides_the_class_wherever_it_stands() {
    let within = |body: Value| within_answer(&HostError::read(&body).expect("an error"), &[]).kind;
    for name in ["status_code", "http_code", "code", "statusCode"] {
        assert_eq!(
            within(json!({"error": {"message": "m", name: 400, "type": "invalid"}})),
            FailureKind::Rejected,
            "{name}"
        );
        assert_eq!(within(json!({"error": {"message": "m"}, name: "429"})), FailureKind::RateLimited, "{name}");
        assert_eq!(within(json!({name: 503, "message": "m"})), FailureKind::Server, "{name}");
    }
    assert_eq!(from_status(500, br#"{"error": {"message": "m", "code": 429}}"#, &[]).kind, FailureKind::RateLimited);
    assert_eq!(from_status(429, br#"{"error": {"message": "m", "code": 400}}"#, &[]).kind, FailureKind::RateLimited);
}

#[test]
fn no_credit_is_told_from_a_limit_that_passes() {
    let kind =
        |message: &str| from_status(429, json!({"error": {"message": message}}).to_string().as_bytes(), &[]).kind;
    assert_eq!(kind("Insufficient balance or no resource package. Please recharge."), FailureKind::PaymentRequired);
    assert_eq!(
        kind("You exceeded your current quota, please check your plan and billing details."),
        FailureKind::PaymentRequired
    );
    let passes = "You exceeded your current quota, please check your plan and billing details. Please retry in 20.5s.";
    assert_eq!(kind(passes), FailureKind::RateLimited);
    assert_eq!(kind("Too many requests"), FailureKind::RateLimited);
}

#[test]
fn a_wait_in_the_body_is_found_in_every_form() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let later = (now.as_millisecond() + 12_000).to_string();
    let bodies = [
        json!([{"error": {"code": 429, "details": [{"@type": "x"}, {"@type": "RetryInfo", "retryDelay": "12s"}]}}]),
        json!({"error": {"details": [{"retryDelay": {"seconds": 12}}]}}),
        json!({"error": {"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": later}}}}),
        json!({"error": {"metadata": {"headers": {"Retry-After": "12"}}}}),
        json!({"retry_after": 12, "error": "slow down"}),
        json!({"error": {"retry_after_ms": 12000}}),
        json!({"error": "Model m/m is currently loading", "estimated_time": 12.0}),
        json!({"error": {"message": "loading", "estimatedTime": "12"}}),
        json!({"error": {"message": "Rate limit reached. Please try again in 12s. Visit …"}}),
        json!({"error": "Please retry after 12 seconds."}),
        json!({"detail": "wait 12.0 s"}),
        json!("Too Many Requests. Try again in 12 seconds"),
        json!({"error": {"message": "Try again in 0 minutes and 12 seconds."}}),
        json!({"error": {"message": "m", "metadata": {"raw": "{\"error\":{\"message\":\"try again in 12s\"}}"}}}),
        json!({"error": {"message": "m", "metadata": {"raw": "Rate limited: please retry in 12s"}}}),
    ];
    for body in bodies {
        let wait = wait_in_body(body.to_string().as_bytes(), now);
        assert_eq!(wait, Some(Duration::from_secs(12)), "{body}");
    }
    let stream = b"data: {\"choices\":[]}\n\nevent: error\ndata: {\"error\":{\"message\":\"try again in 1m2.5s\"}}\n\n";
    assert_eq!(wait_in_body(stream, now), Some(Duration::from_millis(62_500)));
    for body in [
        json!({"error": "no"}),
        json!({"error": {"message": "5 seconds of audio"}}),
        json!({"error": "retry in 5 months"}),
        json!({"retry_after": -3}),
        json!({"choices": [{"delta": {"content": "try again in 12s"}}]}),
    ] {
        assert_eq!(wait_in_body(body.to_string().as_bytes(), now), None, "{body}");
    }
}

#[test]
fn what_a_model_says_of_waiting_is_none_of_the_hosts_words() {
    let now = Timestamp::UNIX_EPOCH;
    let said = json!([{"delta": {"content": "{\"retry_after\": 300}", "retry_after": 300}, "retry_after": "300"}]);
    for body in [json!({"choices": said}), json!({"data": {"choices": said}}), json!([{"choices": said}])] {
        assert_eq!(wait_in_body(body.to_string().as_bytes(), now), None, "{body}");
        assert_eq!(wait_in_body(format!("data: {body}\n\n").as_bytes(), now), None, "{body}");
        assert_eq!(HostError::read(&json!({"error": "no", "data": body})).map(|error| error.waits), Some(false));
    }
    let beside = json!({"choices": said, "error": {"message": "busy", "retry_after": 12}});
    assert_eq!(wait_in_body(beside.to_string().as_bytes(), now), Some(Duration::from_secs(12)));
    let cut = r#"{"id": "x", "choices": [{"message": {"content": "Please try again in 300 s"#;
    assert_eq!(wait_in_body(cut.as_bytes(), now), None);
    assert_eq!(wait_in_body(br#"{"error": "Please try again in 12 s"#, now), Some(Duration::from_secs(12)));
}

#[test]
fn a_body_that_is_not_json_is_told_in_one_line() {
    assert_eq!(from_status(502, b" <html><h1>Bad</h1>", &[]).message, "HTTP 502: a page of HTML: Bad");
    assert_eq!(from_status(500, b"up\n\n stream \x1b[1m", &[]).message, "HTTP 500: up stream [1m");
    assert_eq!(from_status(500, b"", &[]).message, "HTTP 500");
}

/// The class and the words of an error under HTTP 200.
fn within(body: &Value) -> (FailureKind, String) {
    let failure = within_answer(&HostError::read(body).unwrap_or_default(), &[]);
    (failure.kind, failure.message)
}

fn kind_of(status: u16, body: &Value) -> FailureKind {
    from_status(status, body.to_string().as_bytes(), &[]).kind
}

#[test]
fn an_error_under_200_is_classified_by_whatever_it_says_of_itself() {
    for (word, kind) in [
        ("invalid_request_error", Rejected),
        ("BadRequestError", Rejected),
        ("litellm.BadRequestError", Rejected),
        ("INVALID_ARGUMENT", Rejected),
        ("unsupported_parameter", Rejected),
        ("context_length_exceeded", Rejected),
        ("authentication_error", Unauthorized),
        ("invalid_api_key", Unauthorized),
        ("insufficient_quota", PaymentRequired),
        ("rate_limit_exceeded", RateLimited),
        ("RateLimitError", RateLimited),
        ("not_found_error", NotFound),
        ("model_not_found", NotFound),
        ("permission_denied", Forbidden),
        ("overloaded_error", Server),
        ("a_word_of_its_own", Server),
    ] {
        for name in ["type", "code", "status"] {
            assert_eq!(within(&json!({"error": {"message": "m", name: word}})).0, kind, "{name}: {word}");
        }
    }
}

#[test]
fn a_status_is_found_wherever_an_error_holds_it_and_the_words_are_told() {
    let said = "no such choice of tools";
    let within_text = json!({"error": {"message": said, "code": 400}}).to_string();
    for body in [
        json!({"error": {"message": said, "code": 400.0}}),
        json!({"error": {"message": said, "code": "400 Bad Request"}}),
        json!({"error": {"message": said, "httpStatus": 400}}),
        json!({"error": {"message": said, "http_status_code": 400}}),
        json!({"error": {"message": said, "details": {"code": 400}}}),
        json!({"error": {"message": said, "metadata": {"code": 400}}}),
        json!({"error": {"message": said, "status": {"code": 400}}}),
        json!({"errors": [{"message": said, "extensions": {"code": 400}}]}),
        json!({"error": {"error": {"message": said, "code": 400}}}),
        json!({"error": true, "message": said, "status": 400}),
        json!({"errorCode": 400, "errorMessage": said}),
        json!({"response": {"status_code": 400, "error": {"message": said}}}),
        json!({"type": "error", "data": {"error": {"message": said, "code": 400}}}),
        json!({"error": json!({"message": said, "code": 400}).to_string()}),
        json!({"error": {"message": within_text, "type": "upstream_error"}}),
        json!({"error": {"message": format!("Error code: 400 - {{'message': '{said}'}}")}}),
        json!({"code": -400, "message": said}),
        json!({"error": {"message": "tools are not supported: no such choice of tools"}}),
        json!({"error": {"message": "The request is invalid: no such choice of tools"}}),
        json!({"error": {"message": "parameter `tool_choice` is invalid: no such choice of tools"}}),
    ] {
        let (kind, message) = within(&body);
        assert_eq!((kind, message.contains(said)), (Rejected, true), "{body}: {message}");
    }
    assert_eq!(within(&json!({"error": true, "message": said, "status": 403})).0, Forbidden);
    for passes in ["the upstream's answer is invalid", "the answer is invalid: send the request once more"] {
        assert_eq!(within(&json!({"error": {"message": passes}})).0, Server, "{passes}");
    }
}

#[test]
fn codes_of_hosts_with_a_form_of_their_own_are_known() {
    let minimax =
        |code: i64| within(&json!({"choices": null, "base_resp": {"status_code": code, "status_msg": "why"}}));
    for (code, kind) in
        [(1002, RateLimited), (1004, Unauthorized), (1008, PaymentRequired), (1013, Server), (7, Server)]
    {
        let (found, message) = minimax(code);
        assert_eq!((found, message.contains("why")), (kind, true), "{code}: {message}");
    }
    let baidu = |code: i64| within(&json!({"error_code": code, "error_msg": "why", "id": "x"}));
    for (code, kind) in [
        (110, Unauthorized),
        (111, Unauthorized),
        (17, RateLimited),
        (18, RateLimited),
        (19, RateLimited),
        (336_501, RateLimited),
        (336_003, Rejected),
        (336_000, Server),
        (7, Server),
    ] {
        let (found, message) = baidu(code);
        assert_eq!((found, message.contains("why")), (kind, true), "{code}: {message}");
    }
}

#[test]
fn what_says_that_there_is_no_error_is_none() {
    let choices = json!([{"index": 0, "delta": {"content": "a"}}]);
    let nothing = [json!(""), json!(false), json!(0), json!({}), json!([]), json!({"message": "", "code": ""})];
    for error in
        nothing.into_iter().chain([json!({"message": null, "type": null}), json!({"code": 0, "message": "ok"})])
    {
        assert_eq!(told(&json!({"choices": choices, "error": error})), None, "{error}");
    }
    for body in [
        json!({"choices": choices, "code": 0, "message": "success", "errors": [], "detail": null}),
        json!({"choices": choices, "base_resp": {"status_code": 0, "status_msg": ""}}),
        json!({"base_resp": {"status_code": 0, "status_msg": "success"}}),
        json!({"code": 0, "message": "success"}),
        json!({"data": {"message": "hello"}}),
    ] {
        assert_eq!(told(&body), None, "{body}");
    }
    let error = json!({"choices": choices, "error": {"message": "engine died", "code": 500}});
    assert_eq!(told(&error).as_deref(), Some("engine died (500)"));
}

#[test]
fn no_credit_and_wrong_keys_are_known_under_any_status() {
    let said = |message: &str| json!({"error": {"message": message}});
    let coded = |code: &str| json!({"error": {"message": "m", "code": code}});
    for (status, body, kind) in [
        (400, said("API key not valid. Please pass a valid API key."), Unauthorized),
        (
            400,
            json!({"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xx."}),
            Unauthorized,
        ),
        (400, json!({"error": {"message": "m", "details": [{"reason": "API_KEY_INVALID"}]}}), Unauthorized),
        (403, coded("invalid_api_key"), Unauthorized),
        (404, coded("invalid_api_key"), Unauthorized),
        (400, said("Your credit balance is too low to access the API."), PaymentRequired),
        (429, coded("billing_not_active"), PaymentRequired),
        (
            429,
            json!({"error": "You have exceeded your monthly included credits for Inference Providers."}),
            PaymentRequired,
        ),
        (429, said("You have reached your monthly spend limit."), PaymentRequired),
        (
            429,
            said(
                "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
            ),
            PaymentRequired,
        ),
        (400, said("Budget has been exceeded! Current cost: 2.1, Max budget: 2.0"), PaymentRequired),
        (429, said("This key is limited to 1000 API calls / month."), PaymentRequired),
        (429, said("This key is limited to 40 API calls / minute."), RateLimited),
        (403, json!({"code": 30001, "message": "Sorry, your account balance is insufficient"}), PaymentRequired),
        (400, said("m is not a valid model ID"), NotFound),
        (404, said("no endpoints support tool use"), NotFound),
        (403, said("this key may not use the model"), Forbidden),
        (429, said("Please top up."), PaymentRequired),
        (400, said("you may give stop up to four sequences"), Rejected),
        (500, said("credit balance service is down"), Server),
    ] {
        assert_eq!(kind_of(status, &body), kind, "{status} {body}");
    }
    assert_eq!(within(&said("Insufficient Balance")).0, PaymentRequired);
    assert_eq!(
        within(&json!({"error": {"message": "m", "type": "invalid_request_error", "code": "invalid_api_key"}})).0,
        Unauthorized
    );
    assert_eq!(from_status(402, b"<p>Payment Required</p>", &[]).kind, PaymentRequired);
}

#[test]
fn a_refusal_that_says_that_the_model_is_not_there_yet_passes() {
    let said = |message: &str| json!({"error": {"message": message, "type": "invalid_request_error"}});
    for (status, words, kind) in [
        (400, "model is currently loading, try again in 5s", Server),
        (400, "The model is warming up", Server),
        (404, "Model m is still starting", Server),
        (422, "Please try again in 12 seconds", Server),
        (503, "Loading model", Server),
        (400, "Unable to load the image", Rejected),
        (400, "max_tokens must be at most 8192", Rejected),
        (404, "Please try again in 12 seconds", NotFound),
    ] {
        assert_eq!(kind_of(status, &said(words)), kind, "{status} {words}");
    }
    assert_eq!(within(&said("the model is loading")).0, Server);
    let wait = |status, body: Value| waiting(status, &[], &body).retry_after;
    assert_eq!(wait(400, said("model is loading, try again in 5s")), Some(Duration::from_secs(5)));
    assert_eq!(wait(503, json!({"error": "Model m/m is loading", "estimated_time": 6})), Some(Duration::from_secs(6)));
    assert_eq!(
        kind_of(400, &json!({"error": {"code": "invalid_api_key", "message": "try again in 5s"}})),
        Unauthorized
    );
}

/// A 429 of Gemini's, with the wait in its details.
fn exhausted(wait: &str) -> Value {
    let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait});
    let message = "You exceeded your current quota, please check your plan and billing details.";
    json!([{"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [retry]}}])
}

fn waiting(status: u16, headers: &[(&str, &str)], body: &Value) -> Failure {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let headers: Kept = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = body.to_string();
    let failure = from_status(status, body.as_bytes(), &[]);
    with_wait(failure, Response { status: Some(status), headers: &headers, body: body.as_bytes() }, now)
}

/// Headers and a body, what they are, and the wait in seconds that they tell.
type Told<'a> = (&'a [(&'a str, &'a str)], Value, FailureKind, Option<u64>);

#[test]
fn a_limit_that_tells_how_long_it_lasts_passes_whatever_it_says_of_credit() {
    let tier = json!({"error": {"message": "Rate limit reached. You can top up your account to raise your tier."}});
    let cases: [Told<'_>; 5] = [
        (&[], exhausted("9s"), RateLimited, Some(9)),
        (&[], exhausted(""), PaymentRequired, None),
        (&[("retry-after", "9")], tier.clone(), RateLimited, Some(9)),
        (&[("retry-after", "0")], tier, PaymentRequired, None),
        (&[("retry-after", "9")], json!({"error": {"code": "insufficient_quota"}}), RateLimited, Some(9)),
    ];
    for (headers, body, kind, wait) in cases {
        let failure = waiting(429, headers, &body);
        assert_eq!((failure.kind, failure.retry_after), (kind, wait.map(Duration::from_secs)), "{headers:?} {body}");
    }
}

#[test]
fn the_longer_wait_holds_and_a_refusal_has_none() {
    let again = json!({"error": {"message": "Please try again in 8.9s."}});
    let wait = |status, headers: &[(&str, &str)], body: &Value| waiting(status, headers, body).retry_after;
    assert_eq!(wait(429, &[("retry-after", "0")], &again), Some(Duration::from_millis(8900)));
    assert_eq!(wait(429, &[("retry-after", "20")], &again), Some(Duration::from_secs(20)));
    assert_eq!(wait(429, &[("x-ratelimit-reset-requests", "9s")], &json!({})), Some(Duration::from_secs(9)));
    assert_eq!(wait(503, &[("x-ratelimit-reset-requests", "9s")], &json!({})), None, "it says nothing of a limit");
    assert_eq!(wait(404, &[("retry-after", "3600")], &again), None);
    assert_eq!(
        wait(400, &[("retry-after", "5"), ("x-should-retry", "true")], &json!({})),
        Some(Duration::from_secs(5))
    );
    let busy = waiting(503, &[("retry-after", "86400")], &json!({"error": "one busy node"}));
    assert_eq!(busy.message, "HTTP 503: one busy node; the host asks to wait 86400 s");
}

#[test]
fn what_a_router_passes_on_is_told() {
    let raw = json!({"error": {"message": "\"auto\" tool choice requires --enable-auto-tool-choice"}});
    let passed_on = |raw: Value| {
        let body = json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}});
        from_status(400, body.to_string().as_bytes(), &[]).message
    };
    let expected = "HTTP 400: Provider returned error: \"auto\" tool choice requires --enable-auto-tool-choice (400)";
    assert_eq!(passed_on(json!(raw.to_string())), expected);
    assert_eq!(passed_on(raw), expected);
    assert_eq!(passed_on(json!("no tools")), "HTTP 400: Provider returned error: no tools (400)");
    assert_eq!(passed_on(json!("")), "HTTP 400: Provider returned error (400)");
    assert_eq!(passed_on(json!({"a": 1})), r#"HTTP 400: Provider returned error: {"a":1} (400)"#);
}

#[test]
fn errors_within_errors_are_read_to_a_depth_that_is_bounded() {
    let mut text = "deep".to_owned();
    for _ in 0..12 {
        text = json!({"error": {"message": text}}).to_string();
    }
    assert!(told(&json!(text)).is_some_and(|told| told.contains("deep")));
}

proptest! {
    #[test]
    fn arbitrary_bodies_never_panic(status in 100u16..700, body in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(from_status(status, &body, &[]).message.starts_with("HTTP "));
        let _ = wait_in_body(&body, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn arbitrary_json_never_panics(value in json_like()) {
        let body = value.to_string();
        prop_assert!(from_status(500, body.as_bytes(), &[]).message.starts_with("HTTP 500"));
        let _ = HostError::read(&value).map(|error| within_answer(&error, &[503]));
        let _ = wait_in_body(body.as_bytes(), Timestamp::UNIX_EPOCH);
    }
}

/// JSON of the names that errors have.
fn json_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z 0-9{}\\[\\]\"<>:.-]{0,12}".prop_map(Value::from),
    ];
    let names = ["error", "errors", "message", "code", "status", "metadata", "raw", "details", "base_resp", "response"];
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
