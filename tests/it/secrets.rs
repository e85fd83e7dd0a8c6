//! Keys and addresses that hostile hosts, receivers and mail servers echo: in every encoding and on every path, and then in no file, no
//! report and no line that the program prints.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use regex::bytes::Regex;
use serde_json::{Value, json};

use crate::fixture::{Project, Run};
use crate::host::{Host, Request, response};
use crate::receiver::Receiver;

const KEY: &str = "sk-q7W3kPz9Rt5Lx2Vn8JdYc4Hs/B&6+=u";
const USER: &str = "canary-user-91";
const PASSWORD: &str = "p4ss-W0rd-canary";
const ROUTE: &str = "T0AB12CD3/B9XY87ZW6/Zk5tLx2Vn8JdYc4HsQm";
const QUERY: &str = "tok-55aa66bb77cc";
/// What follows the mark of the signing secret, in Base64.
const SIGNING: &str = "Y2FuYXJ5LXNpZ25pbmcta2V5IQ==";

const ENCODINGS: [&str; 13] = [
    "plain", "cut", "json", "percent", "base64", "urlsafe", "within", "mime", "hex", "upper", "decimal", "entities",
    "lines",
];

const PATHS: [&str; 15] = [
    "text",
    "reasoning",
    "stream",
    "cut-stream",
    "other-choice",
    "no-choice",
    "tool-name",
    "arguments",
    "logprobs",
    "bytes",
    "header",
    "error",
    "error-event",
    "redirect",
    "metadata",
];

/// The secret as this encoding has it.
fn echo(secret: &str, encoding: &str) -> String {
    let each = |format: &dyn Fn(u8) -> String| secret.bytes().map(format).collect::<String>();
    let lines = |text: &str| text.as_bytes().chunks(16).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\r\n");
    match encoding {
        "cut" => secret[..secret.len() - 3].to_owned(),
        "json" => each(&|b| format!("\\u{b:04x}")),
        "percent" => each(&|b| if b.is_ascii_alphanumeric() { char::from(b).into() } else { format!("%{b:02X}") }),
        "base64" => STANDARD.encode(secret),
        "urlsafe" => URL_SAFE.encode(secret),
        "within" => STANDARD.encode(format!("\0u\0{secret}!")),
        "mime" => lines(&STANDARD.encode(format!("to:{secret}:end"))),
        "hex" => each(&|b| format!("{b:02x}")),
        "upper" => each(&|b| format!("{b:02X}")),
        "decimal" => each(&|b| format!("&#{b};")),
        "entities" => each(&|b| match b {
            b'&' => "&amp;".into(),
            b'=' => "&equals;".into(),
            b if b.is_ascii_digit() => format!("&#x{b:x};"),
            b => char::from(b).into(),
        }),
        "lines" => lines(secret),
        _ => secret.to_owned(),
    }
}

/// A JSON text in whose strings `@` stands for the echo.
fn with_echo(value: &Value, echo: &str) -> String {
    // What is escaped for JSON already is not escaped again.
    let escaped =
        if echo.starts_with("\\u") { echo.to_owned() } else { json!(echo).to_string().trim_matches('"').to_owned() };
    value.to_string().replace('@', &escaped)
}

fn choice(part: &Value) -> Value {
    json!({"model": "m", "choices": [{"index": 0, "message": part, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
}

/// The events of a stream with the echo in pieces of five characters, each where `part` puts it.
fn pieces(echo: &str, choice: u32, part: &dyn Fn(&str) -> Value, end: &str) -> Vec<u8> {
    let characters: Vec<char> = echo.chars().collect();
    let mut body = String::new();
    for piece in characters.chunks(5) {
        let mut event = part(&piece.iter().collect::<String>());
        event["index"] = choice.into();
        let _ = write!(body, "data: {}\n\n", json!({"id": "r-1", "model": "m", "choices": [event]}));
        if choice != 0 {
            let _ = write!(body, "data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": "a "}}]}));
        }
    }
    response("200 OK", &["content-type: text/event-stream".to_owned()], &(body + end))
}

const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// Answers as the first part of the path says: `<path>_<encoding>`.
fn answer(request: &Request) -> Vec<u8> {
    let name = request.path.split('/').nth(1).unwrap_or_default();
    let (path, encoding) = name.split_once('_').unwrap_or((name, "plain"));
    let echo = echo(&request.key, encoding);
    let in_one_line = echo.replace("\r\n", " ");
    let whole = |value: &Value| response("200 OK", &[], &with_echo(value, &echo));
    let content = |piece: &str| json!({"delta": {"content": piece}});
    let tool = |function: Value| json!({"delta": {"tool_calls": [{"index": 0, "id": "c", "function": function}]}});
    match path {
        "text" => whole(&choice(&json!({"content": "you are @, are you not?"}))),
        "reasoning" => whole(&choice(&json!({"content": "yes", "reasoning_content": "so @ asks"}))),
        "stream" => pieces(&echo, 0, &content, END),
        "cut-stream" => pieces(&echo, 0, &content, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a"),
        "other-choice" => pieces(&echo, 1, &content, END),
        "no-choice" => pieces(&echo, 3, &|piece| json!({"text": piece}), END),
        "tool-name" => pieces(&echo, 0, &|piece| tool(json!({"name": piece, "arguments": ""})), END),
        "arguments" => pieces(&echo, 0, &|piece| tool(json!({"arguments": piece})), END),
        "logprobs" => {
            let tokens = |piece: &str| json!({"token": piece, "logprob": -0.5, "top_logprobs": [{"token": piece, "logprob": -0.5}]});
            pieces(
                &echo,
                0,
                &|piece| json!({"delta": {"content": "a "}, "logprobs": {"content": [tokens(piece)]}}),
                END,
            )
        }
        "bytes" => {
            let token = |piece: &str| json!({"token": "a", "logprob": -0.5, "bytes": piece.as_bytes()});
            pieces(&echo, 0, &|piece| json!({"delta": {"content": "a "}, "logprobs": {"content": [token(piece)]}}), END)
        }
        "header" => {
            let headers = [format!("x-request-id: id-{in_one_line}"), format!("server: {in_one_line}")];
            response("200 OK", &headers, &choice(&json!({"content": "yes"})).to_string())
        }
        "error" => {
            let filler = "x".repeat(440);
            let error = json!({"error": {"message": format!("no @ {filler} @"), "code": "@"}});
            response("400 Bad Request", &[], &with_echo(&error, &echo))
        }
        "error-event" => {
            let body = format!("event: error\ndata: {}\n\n", with_echo(&json!({"message": "no @"}), &echo));
            response("200 OK", &["content-type: text/event-stream".to_owned()], &body)
        }
        "redirect" => response("302 Found", &[format!("location: https://h.example/{in_one_line}/a?b")], &in_one_line),
        "metadata" => {
            let mut value = choice(&json!({"content": "yes"}));
            for field in ["model", "id", "system_fingerprint", "provider"] {
                value[field] = json!("@");
            }
            value["choices"][0]["finish_reason"] = json!("@");
            whole(&value)
        }
        _ => response("200 OK", &[], &choice(&json!({"content": "yes"})).to_string()),
    }
}

/// Any eight characters in a row of these secrets, in any of the encodings, and pieces of five as streams bring them.
fn leaks(secrets: &[&str]) -> Regex {
    let mut needles = Vec::new();
    for secret in secrets {
        for window in secret.as_bytes().windows(8).map(|window| std::str::from_utf8(window).expect("ASCII")) {
            for encoding in ["plain", "json", "percent", "hex", "upper", "decimal", "entities"] {
                needles.push(echo(window, encoding));
                needles.push(json!(echo(window, encoding)).to_string().trim_matches('"').to_owned());
            }
            for before in 0..3 {
                let core = STANDARD.encode("\0".repeat(before) + window);
                let core = &core[(before * 8).div_ceil(6)..(before + 8) * 8 / 6];
                needles.extend([core.to_owned(), core.replace('+', "-").replace('/', "_")]);
            }
        }
        let pieces = ["plain", "base64"].map(|encoding| echo(secret, encoding));
        // Pieces of digits alone would be found in any number.
        let tells = |piece: &&[u8]| piece.len() == 5 && piece.iter().filter(|b| b.is_ascii_alphabetic()).count() > 2;
        needles.extend(
            pieces
                .iter()
                .flat_map(|text| text.as_bytes().chunks(5))
                .filter(tells)
                .map(|piece| String::from_utf8_lossy(piece).into_owned()),
        );
    }
    let escaped: Vec<String> = needles.iter().map(|needle| regex::escape(needle)).collect();
    Regex::new(&escaped.join("|")).expect("literals")
}

/// Nothing that the program printed or wrote holds a secret; the configuration is the user's own.
fn assert_kept(project: &Project, runs: &[Run], leaks: &Regex) {
    let files = project.files();
    let mut texts: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.to_str().unwrap_or_default(), bytes.as_slice())).collect();
    for run in runs {
        texts.extend([("standard output", run.stdout.as_bytes()), ("standard error", run.stderr.as_bytes())]);
    }
    for (place, bytes) in texts {
        if let Some(found) = leaks.find(bytes) {
            let around = &bytes[found.start().saturating_sub(300)..(found.end() + 200).min(bytes.len())];
            panic!(
                "{place} holds {}: …{}…",
                String::from_utf8_lossy(found.as_bytes()),
                String::from_utf8_lossy(around)
            );
        }
    }
}

/// A project that asks this host by each of these names, with a key, and logs all it can.
fn asking<'a>(host: &Host, names: impl Iterator<Item = &'a str>) -> Project {
    let project = Project::new()
        .with_probe("p", "Who am I?")
        .with_default("retry", "{ tries = 1, down_after = 100, first_wait = 0.01 }")
        .with_default("permutations", "99")
        .with_env("HOST_KEY", KEY)
        .with_env("SAMEMODEL_LOG", "trace")
        .with_keyed_endpoint("reference", &host.url("good"), "HOST_KEY");
    names.fold(project, |project, name| project.with_keyed_endpoint(name, &host.url(name), "HOST_KEY"))
}

/// A check with its report in `report.json`, and the history in files of its own.
fn checked_and_exported(project: &Project) -> Vec<Run> {
    let mut runs = vec![project.run(["check", "m", "--format", "json", "-o", "report.json"])];
    for what in ["samples", "attempts", "results"] {
        runs.push(project.run_as_is(&["export", "--what", what, "-o", &format!("{what}.jsonl")]));
    }
    runs
}

#[test]
fn a_key_that_hosts_echo_in_any_encoding_on_any_path_is_in_no_file_report_or_line() {
    let host = Host::start(answer);
    let names: Vec<String> =
        PATHS.iter().flat_map(|path| ENCODINGS.map(|encoding| format!("{path}_{encoding}"))).collect();
    let project = asking(&host, names.iter().map(String::as_str));
    let mut runs = checked_and_exported(&project);
    let report: Value =
        serde_json::from_slice(&std::fs::read(project.path("report.json")).expect("a report")).expect("JSON");
    let endpoints = report["endpoints"].as_array().expect("endpoints");
    assert_eq!(endpoints.len(), PATHS.len() * ENCODINGS.len());
    let unasked = endpoints.iter().filter(|e| e["attempts"] == 0).count();
    assert_eq!(unasked, 0, "all were asked");
    for format in ["markdown", "junit", "github", "terminal", "nagios"] {
        runs.push(project.run_as_is(&["compare", "samples.jsonl", "--reference", "reference", "--format", format]));
    }
    let masked = std::fs::read_to_string(project.path("samples.jsonl")).expect("samples");
    assert!(masked.contains("[redacted]"), "hosts did echo");
    assert_kept(&project, &runs, &leaks(&[KEY]));
}

#[test]
fn an_address_that_receivers_echo_in_any_encoding_is_in_no_file_report_or_line() {
    let secret = format!("whsec_{SIGNING}");
    let parts = [USER, PASSWORD, ROUTE, QUERY, SIGNING, &secret];
    let host = Host::start(answer);
    let receiver = Receiver::start(move |posted| {
        let number: usize = posted.path.rsplit('=').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let said = echo(parts_of(number / ENCODINGS.len()), ENCODINGS[number % ENCODINGS.len()]);
        ("400 Bad Request", "", Box::leak(format!("{} {said}", "no".repeat(number % 70)).into_boxed_str()))
    });
    let mut project = Project::new()
        .with_probe("p", "Who am I?")
        .with_default("retry", "{ tries = 1, down_after = 1 }")
        .with_env("SECRET", &secret)
        .with_env("PING", &format!("http://{}/{ROUTE}?n=3", receiver.authority()))
        .with_endpoint("reference", &host.url("good"))
        .with_endpoint("gone", "http://127.0.0.1:9/v1")
        .with_tables("\n[alert]\nfail_after = 1\n[alert.heartbeat]\nurl_env = 'PING'\n");
    for number in 0..parts.len() * ENCODINGS.len() {
        let table = format!(
            "\n[alert.receiver.r{number}]\nkind = 'webhook'\nurl_env = 'HOOK_{number}'\nsecret_env = 'SECRET'\n"
        );
        let url =
            format!("http://{USER}:{PASSWORD}@{}/services/{ROUTE}?token={QUERY}&n={number}", receiver.authority());
        project = project.with_tables(&table).with_env(&format!("HOOK_{number}"), &url);
    }
    let mut runs = vec![project.run(["alert", "test"]), project.run(["check", "m", "--quiet"])];
    runs.push(project.run_as_is(&["alert", "list"]));
    assert!(runs[0].stdout.contains("status 400: ") && runs[0].stdout.contains("[redacted]"), "{}", runs[0].stdout);
    assert!(runs[2].stdout.contains("given up"), "{}", runs[2].stdout);
    let leaks = leaks(&[USER, PASSWORD, ROUTE, QUERY, SIGNING]);
    assert_kept(&project, &runs, &leaks);
    for posted in receiver.got() {
        assert!(!leaks.is_match(posted.body.as_bytes()), "{}", posted.body);
    }
}

/// Where hosts put a key that mean ill, or that change its case.
const ODD: [&str; 8] =
    ["small-text", "capital-text", "small-model", "header-name", "comments", "events", "ids", "names"];

/// Answers as the first part of the path says, which is one of [`ODD`].
fn odd_answer(request: &Request) -> Vec<u8> {
    let key = request.key.as_str();
    let pieces: Vec<String> =
        key.as_bytes().chunks(5).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect();
    let said = |content: &str| choice(&json!({"content": content}));
    let whole = |value: &Value| response("200 OK", &[], &value.to_string());
    let stream = |begin: &str| {
        let event = json!({"model": "m", "choices": [{"index": 0, "delta": {"content": "yes"}}]});
        let body = format!("{begin}data: {event}\n\n{END}");
        response("200 OK", &["content-type: text/event-stream".to_owned()], &body)
    };
    let lines = |format: &dyn Fn(&str) -> String| {
        let begin: String = pieces.iter().map(|piece| format(piece)).collect();
        stream(&begin)
    };
    match request.path.split('/').nth(1).unwrap_or_default() {
        "small-text" => whole(&said(&format!("you are {}", key.to_lowercase()))),
        "capital-text" => whole(&said(&format!("you are {}", key.to_uppercase()))),
        "small-model" => {
            let mut value = said("yes");
            value["model"] = json!(key.to_lowercase());
            whole(&value)
        }
        "header-name" => {
            let name = key.split('/').next().unwrap_or_default();
            response("200 OK", &[format!("x-ratelimit-{name}: 1")], &said("yes").to_string())
        }
        "comments" => lines(&|piece| format!(": {piece}\n\n")),
        "events" => lines(&|piece| format!("event: {piece}\ndata: {{}}\n\n")),
        "ids" => lines(&|piece| format!("id: {piece}\ndata: {{}}\n\n")),
        "names" => {
            let debug: serde_json::Map<String, Value> =
                pieces.iter().map(|piece| (piece.clone(), json!("v"))).collect();
            stream(&format!("data: {}\n\n", json!({"choices": [], "debug": debug})))
        }
        _ => whole(&said("yes")),
    }
}

#[test]
fn a_key_in_another_case_in_the_name_of_a_header_or_in_pieces_beside_the_data_is_in_no_file_report_or_line() {
    let host = Host::start(odd_answer);
    let project = asking(&host, ODD.into_iter());
    let runs = checked_and_exported(&project);
    let samples = std::fs::read_to_string(project.path("samples.jsonl")).expect("samples");
    for name in ODD {
        assert!(samples.contains(&format!("\"endpoint\":\"{name}\"")), "{name} was asked: {samples}");
    }
    for masked in ["you are [redacted]", "\"response_model\":\"[redacted]\"", "\"x-ratelimit-[redacted]\""] {
        assert!(samples.contains(masked), "{masked} is not in {samples}");
    }
    let (small, capital) = (KEY.to_lowercase(), KEY.to_uppercase());
    assert_kept(&project, &runs, &leaks(&[KEY, &small, &capital]));
}

fn parts_of(number: usize) -> &'static str {
    [USER, PASSWORD, ROUTE, QUERY, SIGNING, "whsec_Y2FuYXJ5LXNpZ25pbmcta2V5IQ=="][number]
}

#[test]
fn a_login_that_a_mail_server_echoes_in_any_encoding_is_in_no_line() {
    let forms = [PASSWORD.to_owned(), format!("\0{USER}\0{PASSWORD}"), format!("{USER} {PASSWORD}")];
    let servers: Vec<Receiver> = forms
        .iter()
        .flat_map(|form| ENCODINGS.map(|encoding| Receiver::start_mail_that_refuses(echo(form, encoding))))
        .collect();
    let mut project = Project::new().with_probe("p", "x").with_endpoint("reference", "http://127.0.0.1:9/v1");
    for (number, server) in servers.iter().enumerate() {
        let table = format!(
            "\n[alert.receiver.r{number}]\nkind = 'email'\nurl_env = 'MAIL_{number}'\nfrom = 'a@h.example'\nto = ['b@h.example']\n"
        );
        let url = format!("smtp://{USER}:{PASSWORD}@{}", server.authority());
        project = project.with_tables(&table).with_env(&format!("MAIL_{number}"), &url);
    }
    let run = project.run(["alert", "test"]);
    assert!(run.stdout.contains("not delivered: mail: ") && run.stdout.contains("[redacted]"), "{}", run.stdout);
    assert_kept(&project, &[run], &leaks(&[USER, PASSWORD]));
}
