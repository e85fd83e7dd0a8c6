//! The client against a real socket.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use secrecy::SecretString;
use serde_json::json;

use super::testing::{Server, Step, open_ended, response};
use super::*;
use crate::attempt::Slot;
use crate::config::{Dialect, Endpoint, Provider, Timeouts};

const CANARY: &str = "sk/canary+7f3a \"quoted\"";
const SSE: &str = "content-type: text/event-stream";
const JSON: &str = "content-type: application/json";

fn settings(base_url: &str) -> (Endpoint, Provider) {
    let endpoint = json!({"name": "e", "provider": "p", "model": "m"});
    let provider = json!({"base_url": base_url});
    (serde_json::from_value(endpoint).unwrap(), serde_json::from_value(provider).unwrap())
}

fn target_with(base_url: &str, dialect: Dialect, timeouts: &Timeouts) -> Target {
    let (endpoint, provider) = settings(base_url);
    let provider = Provider { dialect, ..provider };
    Target::resolve(&endpoint, &provider, timeouts, Some(&SecretString::from(CANARY)), |_| None).unwrap()
}

fn target(server: &Server) -> Target {
    target_with(&format!("http://{}/v1", server.address), Dialect::default(), &Timeouts::default())
}

fn ask() -> Ask {
    let probe = json!({
        "id": "core/p", "about": "", "asking": "sampled", "samples": null, "parameters": {}, "tools": [],
        "messages": [{"role": "user", "content": "Hi"}], "response_schema": null, "checks": [],
    });
    let (endpoint, provider) = settings("");
    let defaults = crate::config::Defaults::default();
    let route = Route { endpoint: &endpoint, dialect: &provider.dialect, defaults: &defaults };
    Ask::new(&serde_json::from_value(probe).unwrap(), route, 0, None)
}

async fn attempt(target: &Target) -> Attempt {
    Client::new(Redactor::new([CANARY])).attempt(target, &ask(), 1).await
}

async fn answered_by(bytes: Vec<u8>) -> Attempt {
    let server = Server::answering(bytes).await;
    attempt(&target(&server)).await
}

fn answer(attempt: &Attempt) -> &Answer {
    match &attempt.outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Failed(failure) => panic!("failed: {failure:?}"),
    }
}

fn failure(attempt: &Attempt) -> &Failure {
    match &attempt.outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Answered(answer) => panic!("answered: {answer:?}"),
    }
}

fn completion(text: &str) -> Vec<u8> {
    json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).to_string().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const CHUNK: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hé\"}}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

#[tokio::test]
async fn a_plain_answer_is_read_and_the_request_is_what_openai_takes() {
    let server = Server::answering(response("200 OK", &[JSON, "x-request-id: r1"], &completion("hello"))).await;
    let attempt = attempt(&target(&server)).await;
    assert_eq!((attempt.number, attempt.status), (1, Some(200)));
    assert_eq!(attempt.slot, Slot { endpoint: "e".into(), probe: "core/p".into(), replicate: 0 });
    assert_eq!(attempt.headers["x-request-id"], "r1");
    assert_eq!(attempt.raw.as_bytes(), completion("hello"));
    assert_eq!(answer(&attempt).text, "hello");
    assert_eq!(answer(&attempt).latency.unwrap().first_token, None);

    let request = server.requests().await.remove(0);
    assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {CANARY}\r\n")), "{request}");
    assert!(request.contains(concat!("user-agent: samemodel/", env!("CARGO_PKG_VERSION"))), "{request}");
    assert!(request.contains("accept-encoding: gzip, deflate, br\r\n"), "{request}");
    assert!(request.ends_with(&ask().body.to_string()), "{request}");
}

#[tokio::test]
async fn a_stream_is_read_across_pieces_and_a_connection_that_stays_open() {
    let body = format!(": OPENROUTER PROCESSING\r\n\r\n{CHUNK}{CHUNK}{FINISH}data: [DONE]\n\n");
    let whole = open_ended(&[SSE], &body);
    // In the middle of the two bytes of an é.
    let middle = whole.iter().position(|byte| *byte == 0xC3).unwrap() + 1;
    let (head, tail) = whole.split_at(middle);
    let script = vec![
        Step::Send(head.to_vec()),
        Step::Wait(Duration::from_millis(20)),
        Step::Send(tail.to_vec()),
        Step::Wait(Duration::from_secs(2)),
    ];
    let server = Server::start(vec![script]).await;
    let attempt = attempt(&target(&server)).await;
    assert_eq!(answer(&attempt).text, "héhé");
    assert_eq!(answer(&attempt).finish_reason.as_deref(), Some("stop"));
    let comment = ": OPENROUTER PROCESSING\r\n\r\n";
    assert_eq!(Some(attempt.raw.as_str()), body.strip_prefix(comment), "comments are not kept");
    let latency = answer(&attempt).latency.unwrap();
    assert!(latency.first_token.unwrap() <= latency.total, "{latency:?}");
    assert!(attempt.elapsed < Duration::from_secs(1), "waited for the end of the connection: {:?}", attempt.elapsed);
}

#[tokio::test]
async fn the_form_of_the_body_decides_and_not_its_content_type() {
    let plain_under_sse = answered_by(response("200 OK", &[SSE], &completion("hello"))).await;
    assert_eq!(answer(&plain_under_sse).text, "hello");
    let stream = format!("{CHUNK}{FINISH}");
    let stream_under_json = answered_by(response("200 OK", &[JSON], stream.as_bytes())).await;
    assert_eq!(answer(&stream_under_json).text, "hé");
}

#[tokio::test]
async fn a_stream_that_ends_early_is_cut_and_its_bytes_are_kept() {
    let attempt = answered_by(open_ended(&[SSE], CHUNK)).await;
    assert_eq!(failure(&attempt).kind, FailureKind::CutStream);
    assert_eq!(attempt.raw, CHUNK);
    let nothing = answered_by(open_ended(&[SSE], "")).await;
    assert_eq!(failure(&nothing).kind, FailureKind::CutStream);
}

#[tokio::test]
async fn a_stream_without_a_finish_reason_but_with_done_is_an_answer() {
    let attempt = answered_by(open_ended(&[SSE], &format!("{CHUNK}data: [DONE]"))).await;
    assert_eq!((answer(&attempt).text.as_str(), &answer(&attempt).finish_reason), ("hé", &None));
}

#[tokio::test]
async fn a_reset_is_told_apart_and_loses_nothing_once_the_answer_is_over() {
    let chunked = |body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{SSE}\r\ntransfer-encoding: chunked\r\n\r\n");
        vec![
            Step::Send(format!("{head}{:x}\r\n{body}\r\n", body.len()).into_bytes()),
            Step::Wait(Duration::from_millis(30)),
            Step::Reset,
        ]
    };
    let finished = format!("{CHUNK}{FINISH}");
    let server = Server::start(vec![vec![Step::Reset], chunked(CHUNK), chunked(&finished)]).await;
    let target = target(&server);
    let before = attempt(&target).await;
    assert_eq!((failure(&before).kind, before.status), (FailureKind::Reset, None));
    let within = attempt(&target).await;
    assert_eq!((failure(&within).kind, within.status), (FailureKind::Reset, Some(200)));
    assert_eq!(within.raw, CHUNK);
    assert_eq!(answer(&attempt(&target).await).text, "hé");
}

#[tokio::test]
async fn a_refused_connection_is_named_with_its_host() {
    let server = Server::start(vec![]).await;
    let address = server.address;
    let target = target(&server);
    assert!(server.requests().await.is_empty());
    let attempt = attempt(&target).await;
    assert_eq!(failure(&attempt).kind, FailureKind::Connect);
    assert_eq!(failure(&attempt).message, format!("connection refused by {address}"));
}

#[tokio::test]
async fn a_host_that_speaks_no_tls_is_a_failed_connection() {
    let server = Server::answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let target = target_with(&format!("https://{}", server.address), Dialect::default(), &Timeouts::default());
    let attempt = attempt(&target).await;
    assert_eq!(failure(&attempt).kind, FailureKind::Connect);
    let message = &failure(&attempt).message;
    assert!(message.starts_with(&format!("cannot connect to {}: ", server.address)), "{message}");
    assert!(message.ends_with("it answers without TLS; try http:// in `base_url`"), "{message}");
}

#[tokio::test]
async fn a_host_that_speaks_tls_alone_is_told_of_where_http_is_asked() {
    let attempt = answered_by(b"\x15\x03\x01\x00\x02\x02\x46".to_vec()).await;
    let message = &failure(&attempt).message;
    assert!(message.ends_with("it does not answer in plain HTTP; try https:// in `base_url`"), "{message}");
}

#[tokio::test]
async fn an_address_where_nothing_is_is_named_and_one_without_a_model_is_not() {
    for (body, names_it) in [
        (r#"{"detail":"Not Found"}"#, true),
        ("404 page not found", true),
        ("", true),
        (r#"{"error":{"message":"The model `m` does not exist"}}"#, false),
    ] {
        let server = Server::answering(response("404 Not Found", &[JSON], body.as_bytes())).await;
        let target = target(&server);
        let said = failure(&attempt(&target).await).message.clone();
        let address = format!("HTTP 404 at http://{}/v1/chat/completions", server.address);
        assert_eq!(said.starts_with(&address), names_it, "{said}");
    }
}

#[tokio::test]
async fn each_time_limit_is_told_by_its_own_words() {
    let short = |first_byte, idle, total| Timeouts { connect: 5.0, first_byte, idle, total };
    let long = Step::Wait;
    let hang = || vec![long(Duration::from_millis(600))];
    let stall = || vec![Step::Send(open_ended(&[SSE], CHUNK)), long(Duration::from_millis(600))];
    for (script, timeouts, told) in [
        (hang(), short(0.05, 9.0, 9.0), "sent nothing within 0.05 s"),
        (stall(), short(9.0, 0.05, 9.0), "sent nothing more for 0.05 s"),
        (stall(), short(9.0, 9.0, 0.3), "was not complete within 0.3 s"),
    ] {
        let server = Server::start(vec![script]).await;
        let target = target_with(&format!("http://{}", server.address), Dialect::default(), &timeouts);
        let attempt = attempt(&target).await;
        assert_eq!(failure(&attempt).kind, FailureKind::Timeout);
        assert!(failure(&attempt).message.contains(told), "{}", failure(&attempt).message);
    }
}

#[tokio::test]
async fn a_429_keeps_what_it_says_about_waiting() {
    let headers = ["retry-after: 7", "x-should-retry: true", "x-ratelimit-remaining-tokens: 0"];
    let attempt = answered_by(response("429 Too Many Requests", &headers, b"{\"error\":\"slow down\"}")).await;
    let failure = failure(&attempt);
    assert_eq!((failure.kind, attempt.status), (FailureKind::RateLimited, Some(429)));
    assert_eq!((failure.retry_after, failure.should_retry), (Some(Duration::from_secs(7)), Some(true)));
    assert_eq!(failure.message, "HTTP 429: slow down");
    assert_eq!(attempt.headers["x-ratelimit-remaining-tokens"], "0");
}

#[tokio::test]
async fn a_429_without_retry_after_waits_for_the_reset_of_what_is_used_up() {
    let headers = ["x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 1m2s"];
    let attempt = answered_by(response("429 Too Many Requests", &headers, b"")).await;
    assert_eq!(failure(&attempt).retry_after, Some(Duration::from_secs(62)));
}

#[tokio::test]
async fn a_dialect_adds_statuses_that_mean_slow_down() {
    let server = Server::answering(response("503 Busy", &[], b"")).await;
    let dialect = Dialect { rate_limit_statuses: vec![503], ..Dialect::default() };
    let target = target_with(&format!("http://{}", server.address), dialect, &Timeouts::default());
    assert_eq!(failure(&attempt(&target).await).kind, FailureKind::RateLimited);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::answering(response("302 Found", &["location: /elsewhere?from=here"], b"")).await;
    let attempt = attempt(&target(&server)).await;
    assert_eq!(failure(&attempt).kind, FailureKind::Redirect);
    assert_eq!(failure(&attempt).message, "HTTP 302: redirects are not followed; it points to /elsewhere");
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn a_small_body_that_unpacks_into_a_huge_one_is_stopped() {
    let encoded = ["content-encoding: gzip", JSON];
    let fits = answered_by(response("200 OK", &encoded, &gzip(&completion("hello")))).await;
    assert_eq!(answer(&fits).text, "hello");
    let bomb = gzip(&completion(&"a".repeat(BODY_LIMIT)));
    assert!(bomb.len() < BODY_LIMIT / 50, "{}", bomb.len());
    let attempt = answered_by(response("200 OK", &encoded, &bomb)).await;
    assert_eq!(failure(&attempt).kind, FailureKind::TooLarge);
    assert!(attempt.raw.len() <= ERROR_BODY_LIMIT, "{}", attempt.raw.len());

    let line = gzip(format!("data: {}\n\n", "a".repeat(LINE_LIMIT)).as_bytes());
    let attempt = answered_by(response("200 OK", &["content-encoding: gzip", SSE], &line)).await;
    assert_eq!(failure(&attempt).kind, FailureKind::TooLarge);

    let error = gzip("b".repeat(BODY_LIMIT).as_bytes());
    let attempt = answered_by(response("500 Oops", &["content-encoding: gzip"], &error)).await;
    assert_eq!(failure(&attempt).kind, FailureKind::Server);
    assert_eq!(attempt.raw.len(), KEPT_OF_A_FAILURE);
}

#[tokio::test]
async fn a_body_that_unpacks_into_nothing_is_stopped_as_well() {
    // The head of a member, and stored blocks without a byte in them.
    let mut endless = b"\x1F\x8B\x08\0\0\0\0\0\0\xFF".to_vec();
    endless.extend(b"\0\0\0\xFF\xFF".repeat(BODY_LIMIT / 5 + 1));
    let attempt = answered_by(response("200 OK", &["content-encoding: gzip", JSON], &endless)).await;
    assert_eq!(failure(&attempt).kind, FailureKind::TooLarge, "{:?}", failure(&attempt));
}

#[tokio::test]
async fn a_compressed_body_without_its_end_is_cut_unless_the_answer_was_over() {
    let encoded = ["content-encoding: gzip", JSON];
    let stream = format!("{CHUNK}{FINISH}");
    for (body, over) in [(completion("hello"), false), (CHUNK.into(), false), (stream.into_bytes(), true)] {
        let whole = gzip(&body);
        let mut damaged = whole.clone();
        damaged[whole.len() - 8] ^= 1;
        for packed in [&whole[..whole.len() - 1], &damaged[..]] {
            let attempt = answered_by(response("200 OK", &encoded, packed)).await;
            match &attempt.outcome {
                Outcome::Answered(answer) => assert_eq!((answer.text.as_str(), over), ("hé", true)),
                Outcome::Failed(failure) => assert_eq!((failure.kind, over), (FailureKind::CutStream, false)),
            }
        }
    }
}

#[tokio::test]
async fn what_no_answer_to_the_request_can_have_is_not_kept() {
    let text = "a".repeat(2 << 20);
    let logprobs = json!({"content": [{"token": "a", "logprob": -0.5}]});
    let choice =
        json!({"message": {"content": text, "reasoning": text}, "logprobs": logprobs, "finish_reason": "stop"});
    let attempt = answered_by(response("200 OK", &[JSON], json!({"choices": [choice]}).to_string().as_bytes())).await;
    let room = Room::of(&ask().body);
    let answer = answer(&attempt);
    let kept = [answer.text.len(), answer.reasoning.as_deref().map_or(0, str::len), attempt.raw.len()];
    assert_eq!((kept, &answer.logprobs), ([room.text, room.text, room.document], &None));
}

/// A stream that is longer than any whole answer, of these pieces and an event that answers.
fn long_stream(piece: &str) -> String {
    let pieces = BODY_LIMIT / piece.len() + 1;
    assert!(pieces * piece.len() < Room::of(&ask().body).streamed - 1000);
    let event = json!({"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]});
    format!("{}data: {event}\n\ndata: [DONE]\n\n", piece.repeat(pieces))
}

#[tokio::test]
async fn of_a_stream_longer_than_any_whole_answer_the_beginning_is_kept_and_all_of_the_answer_is_read() {
    let body = long_stream(&format!("data: {}\n\n", json!({"choices": [], "trace": "-".repeat(1000)})));
    let attempt = answered_by(response("200 OK", &[SSE], body.as_bytes())).await;
    assert_eq!((answer(&attempt).text.as_str(), attempt.raw.len()), ("Hello", Room::of(&ask().body).kept));
}

#[tokio::test]
async fn of_a_streams_comments_nothing_is_kept() {
    let body = long_stream(&format!(": {}\n\n", "-".repeat(1000)));
    let attempt = answered_by(response("200 OK", &[SSE], body.as_bytes())).await;
    assert_eq!(answer(&attempt).text, "Hello");
    let lines: Vec<&str> = attempt.raw.lines().filter(|line| !line.is_empty()).collect();
    assert!(matches!(lines[..], [event, "data: [DONE]"] if event.starts_with("data: {")), "{lines:?}");
}

#[tokio::test]
async fn a_request_that_a_kept_connection_no_longer_takes_is_sent_on_another_one() {
    let body = completion("hello");
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}\r\ncontent-length: {}\r\n\r\n", body.len());
    // It says nothing of closing, and closes with the next request unread.
    let first = vec![Step::Send([head.as_bytes(), &body].concat()), Step::Wait(Duration::from_millis(20)), Step::Reset];
    let second = vec![Step::Send(response("200 OK", &[JSON], &completion("again")))];
    let server = Server::start(vec![first, second]).await;
    let target = target(&server);
    assert_eq!(answer(&attempt(&target).await).text, "hello");
    assert_eq!(answer(&attempt(&target).await).text, "again");
    assert_eq!(server.requests().await.len(), 2);
}

#[tokio::test]
async fn a_connection_behind_an_error_or_a_list_is_kept_as_well() {
    let head = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        vec![Step::Send(head.into_bytes()), Step::Wait(Duration::from_millis(20)), Step::Reset]
    };
    let again = || vec![Step::Send(response("200 OK", &[JSON], &completion("again")))];
    let server = Server::start(vec![head("503 Busy", "later"), again(), head("200 OK", "[\"m\"]"), again()]).await;
    let target = target(&server);
    assert_eq!(failure(&attempt(&target).await).kind, FailureKind::Server);
    assert_eq!(answer(&attempt(&target).await).text, "again");
    let listed = Client::new(Redactor::default()).models(&target).await;
    assert_eq!(listed, Listing::Models(vec!["m".into()]));
    assert_eq!(answer(&attempt(&target).await).text, "again");
    assert_eq!(server.requests().await.len(), 4);
}

#[tokio::test]
async fn a_host_that_breaks_off_gets_a_request_twice_at_most_however_many_connections_may_be_kept() {
    let answers = vec![Step::Send(response("200 OK", &[JSON], &completion("again")))];
    let server = Server::start(vec![vec![Step::Reset], vec![Step::Reset], answers]).await;
    let target = target(&server);
    (0..3).for_each(|_| target.kept.add());
    assert_eq!(failure(&attempt(&target).await).kind, FailureKind::Reset);
    assert_eq!(answer(&attempt(&target).await).text, "again");
    assert_eq!([target.kept.take(), target.kept.take()], [true, false]);
}

#[tokio::test]
async fn what_is_sent_once_more_goes_out_on_a_connection_of_its_own() {
    let kept = || Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let server = Server::start(vec![vec![kept(), Step::Wait(Duration::from_millis(100))], vec![kept()]]).await;
    let target = target(&server);
    for _ in 0..2 {
        let response = target.unpooled().get(target.url.clone()).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (200, 0));
    }
    assert_eq!(server.requests().await.len(), 2);
}

#[tokio::test]
async fn gzip_is_unpacked_whatever_its_name_and_other_encodings_are_named() {
    let stream = format!("{CHUNK}{FINISH}data: [DONE]\n\n");
    let whole = completion("hé");
    for named in ["content-encoding: gzip", "content-encoding: GZIP", "content-encoding: x-gzip", "x-said: nothing"] {
        for (form, body) in [(SSE, stream.as_bytes()), (JSON, &whole[..])] {
            let (one, two) = body.split_at(body.len() / 2);
            for packed in [gzip(body), [gzip(one), gzip(two), vec![0; 9]].concat()] {
                let attempt = answered_by(response("200 OK", &[named, form], &packed)).await;
                assert_eq!((answer(&attempt).text.as_str(), attempt.raw.as_bytes()), ("hé", body), "{named}");
            }
        }
    }
    for named in ["content-encoding: gzip", "content-encoding: utf-8"] {
        let plain = answered_by(response("200 OK", &[named, SSE], stream.as_bytes())).await;
        assert_eq!(answer(&plain).text, "hé", "{named}");
    }
    let bomb = gzip(&completion(&"a".repeat(BODY_LIMIT)));
    let bomb = answered_by(response("200 OK", &["content-encoding: x-gzip", JSON], &bomb)).await;
    assert_eq!(failure(&bomb).kind, FailureKind::TooLarge);

    let zstd = b"\x28\xB5\x2F\xFD\x04\x58\x19\x00";
    let twice = gzip(&gzip(stream.as_bytes()));
    for (named, body) in [("zstd", &zstd[..]), ("gzip, gzip", &twice[..])] {
        let header = format!("content-encoding: {named}");
        let attempt = answered_by(response("200 OK", &[&header, SSE], body)).await;
        assert_eq!(failure(&attempt).kind, FailureKind::Malformed);
        let told = format!("compressed as `{named}`, though the host was asked for gzip, deflate, br");
        assert!(failure(&attempt).message.contains(&told), "{}", failure(&attempt).message);
    }
}

#[tokio::test]
async fn what_is_not_what_its_encoding_says_is_malformed() {
    let plain = completion("hello");
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(&plain).unwrap();
    for body in [raw.finish().unwrap(), plain] {
        let attempt = answered_by(response("200 OK", &["content-encoding: deflate", JSON], &body)).await;
        assert_eq!(failure(&attempt).kind, FailureKind::Malformed, "{:?}", failure(&attempt));
    }
}

#[tokio::test]
async fn bodies_that_are_no_answers_are_told_in_words() {
    let page = "<html><title>502 Bad Gateway</title>";
    for (body, told) in [
        ("", "empty"),
        (page, "a page of HTML: 502 Bad Gateway"),
        ("<ping>", "not JSON: <ping>"),
        ("{\"a\":", "not JSON"),
        ("{}", "no choice"),
        ("error code: 1015", "neither JSON nor a stream: error code: 1015"),
        ("internal\n\nfault", "neither JSON nor a stream: internal fault"),
        ("upstream is gone", "not JSON: upstream is gone"),
    ] {
        let attempt = answered_by(response("200 OK", &[JSON], body.as_bytes())).await;
        assert_eq!(failure(&attempt).kind, FailureKind::Malformed);
        assert!(failure(&attempt).message.contains(told), "{}", failure(&attempt).message);
    }
    let wide = |text: &[u8]| text.iter().flat_map(|&byte| [byte, 0]).collect::<Vec<u8>>();
    let attempt = answered_by(response("200 OK", &[JSON], &wide(&completion("yes")))).await;
    assert!(failure(&attempt).message.contains("the body is UTF-16"), "{}", failure(&attempt).message);
    let attempt = answered_by(response("400 Bad Request", &[JSON], &wide(b"no such field"))).await;
    assert!(failure(&attempt).message.contains("no such field"), "{}", failure(&attempt).message);
    let under_sse = answered_by(open_ended(&[SSE], "Too busy: come back later")).await;
    assert!(failure(&under_sse).message.ends_with("Too busy: come back later"), "{}", failure(&under_sse).message);
    for cut in ["da", ": waiting\n\n", "event: message\n", "id: 1\n\n"] {
        assert_eq!(failure(&answered_by(open_ended(&[SSE], cut)).await).kind, FailureKind::CutStream, "{cut}");
    }
    let behind = format!("debugging: on\n\n{CHUNK}{FINISH}");
    assert_eq!(answer(&answered_by(open_ended(&[SSE], &behind)).await).text, "hé");
}

#[tokio::test]
async fn a_page_that_a_model_wrote_is_its_answer() {
    let page = "<!DOCTYPE html><html><title>502 Bad Gateway</title></html>";
    let whole = answered_by(response("200 OK", &[JSON], &completion(page))).await;
    assert_eq!(answer(&whole).text, page);
    let event = json!({"choices": [{"delta": {"content": page}, "finish_reason": "stop"}]});
    let streamed = answered_by(response("200 OK", &[SSE], format!("data: {event}\n\n").as_bytes())).await;
    assert_eq!(answer(&streamed).text, page);
}

#[tokio::test]
async fn a_key_that_the_host_echoes_is_nowhere_in_the_attempt() {
    let escaped = json!(CANARY).to_string();
    let escaped = escaped.trim_matches('"');
    let percent = "sk%2Fcanary%2B7f3a%20%22quoted%22";
    let location = format!("location: https://h.example/{percent}/{CANARY}?key={percent}");
    let header = format!("x-request-id: {CANARY}");
    let error = json!({"error": {"message": format!("bad key {CANARY}"), "code": CANARY}}).to_string();
    let text = format!("you are {CANARY}");
    let spoken = json!({
        "model": CANARY, "provider": CANARY, "system_fingerprint": CANARY,
        "choices": [{"finish_reason": CANARY, "logprobs": {CANARY: [{"token": CANARY}]}, "message": {
            "content": text, "reasoning": text,
            "tool_calls": [{"function": {"name": CANARY, "arguments": {"key": CANARY}}}]}}],
    });
    // The second echo stands where the body is cut.
    let filler = "x".repeat(KEPT_OF_A_FAILURE - CANARY.len() - 8);
    let long = format!("{CANARY}{filler}{CANARY}{filler}");
    for response in [
        response("302 Found", &[&location, &header], b""),
        response("401 Unauthorized", &[&header], error.as_bytes()),
        response("500 Oops", &[], long.as_bytes()),
        response("200 OK", &[JSON, &header], spoken.to_string().as_bytes()),
        open_ended(&[SSE], &format!("data: {spoken}\n\ndata: [DONE]\n\n")),
        open_ended(&[SSE], &format!("event: error\ndata: {CANARY}\n\n")),
    ] {
        let record = serde_json::to_string(&answered_by(response).await).unwrap();
        for form in [CANARY, escaped, percent, "7f3a", "sk/cana"] {
            assert!(!record.contains(form), "{form} in {}", &record[..record.floor_char_boundary(2000)]);
        }
        assert!(record.contains(crate::redact::MASK), "nothing was masked");
    }
}

#[tokio::test]
async fn a_key_that_a_stream_echoes_in_pieces_is_not_kept_in_pieces() {
    let pieces = [&CANARY[..5], &CANARY[5..11], &CANARY[11..]];
    let chunks = pieces.map(|piece| {
        let logprobs = json!({"content": [{"token": piece, "logprob": -0.5}]});
        let choice = json!({"delta": {"content": piece}, "logprobs": logprobs, "finish_reason": "stop"});
        format!("data: {}", json!({"choices": [choice]}))
    });
    let events = chunks.join("\n\n") + "\n\n";
    let attempt = answered_by(open_ended(&[SSE], &format!("{events}data: [DONE]\n\n"))).await;
    assert!(matches!(attempt.outcome, Outcome::Answered(_)), "{:?}", attempt.outcome);
    let record = serde_json::to_string(&attempt).unwrap();
    assert!(record.contains(crate::redact::MASK));
    for piece in ["sk/ca", "ry+7f3", "7f3a"] {
        assert!(!record.contains(piece), "{piece} in {record}");
    }
}

#[tokio::test]
async fn a_key_whose_pieces_come_by_turns_for_two_texts_is_in_neither() {
    let pieces = ["sk/ca", "nary+", "7f3a ", "\"quot", "ed\""];
    assert_eq!(pieces.concat(), CANARY);
    let thought = |piece: &str| json!({"reasoning_content": piece});
    let call = |piece: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
    for turn in [&thought as &dyn Fn(&str) -> Value, &call] {
        let delta = |i: usize, piece: &str| if i.is_multiple_of(2) { json!({"content": piece}) } else { turn(piece) };
        let event = |(i, piece): (usize, &str)| {
            format!("data: {}\n\n", json!({"id": i.to_string().repeat(9), "choices": [{"delta": delta(i, piece)}]}))
        };
        let events: String = pieces.into_iter().enumerate().map(event).collect();
        let attempt = answered_by(open_ended(&[SSE], &format!("{events}{FINISH}data: [DONE]\n\n"))).await;
        assert_eq!((answer(&attempt).text.as_str(), attempt.raw.as_str()), (MASK, MASK));
        assert_eq!(answer(&attempt).finish_reason.as_deref(), Some("stop"));
        let record = serde_json::to_string(&attempt).unwrap();
        for piece in ["sk/ca", "nary+", "7f3a", "quot"] {
            assert!(!record.contains(piece), "{piece} in {record}");
        }
    }
}
