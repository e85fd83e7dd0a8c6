//! A key that hosts echo in every way they may is in no file, log, report or panic.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use samemodel::redact::MASK;

use crate::fixture::Project;
use crate::host::{Host, Request, delta, end, response, stream};

/// With everything in it that some encoding changes.
const CANARY: &str = "sk-canary/7Q+w9?Zr=\"x\\b%2Fq~5mTk2";

fn json_unicode(text: &str) -> String {
    text.chars().fold(String::new(), |out, c| out + &format!("\\u{:04x}", u32::from(c)))
}

fn percent(text: &str, digits: fn(u8) -> String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    text.chars().map(|c| if plain(c) { c.to_string() } else { format!("%{}", digits(c as u8)) }).collect()
}

fn percent_upper(text: &str) -> String {
    percent(text, |byte| format!("{byte:02X}"))
}

fn percent_lower(text: &str) -> String {
    percent(text, |byte| format!("{byte:02x}"))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string().trim_matches('"').to_owned()
}

/// A way to answer with the key in it.
type Echo = fn(&Request) -> Vec<u8>;

/// How a host echoes a key: the ways by the name in its path.
const ECHOES: &[(&str, Echo)] = &[
    ("text", |r| stream(&[delta(&format!("your key is {}", r.key)), end()])),
    ("pieces", |r| {
        let (first, rest) = r.key.split_at(8);
        let (second, third) = rest.split_at(11);
        stream(&[delta(first), delta(second), delta(third), end()])
    }),
    ("body-401", |r| response("401 Unauthorized", &[], &error(&format!("invalid key {}", json(&r.key))))),
    ("body-400", |r| response("400 Bad Request", &[], &format!("Bearer {} is malformed", r.key))),
    ("body-500", |r| response("500 Oops", &[], &error(&format!("{}: upstream", json(&json(&r.key)))))),
    ("header", |r| response("400 Bad Request", &[format!("x-request-id: {}", r.key)], &error("bad"))),
    ("header-of-answer", |r| {
        let text = String::from_utf8(stream(&[delta("fine"), end()])).expect("text");
        text.replacen("\r\n", &format!("\r\nx-trace-id: {}\r\n", r.key), 1).into_bytes()
    }),
    ("redirect", |r| {
        let place = format!("location: https://h.example/{}/?k={}", r.key, percent_upper(&r.key));
        response("302 Found", &[place], "")
    }),
    ("stream-error", |r| stream(&[delta("fi"), error(&format!("key {} expired", json(&r.key)))])),
    ("base64", |r| {
        let whole = [&r.key, &format!("u:{}", r.key), &format!("me:{}", r.key)].map(|text| STANDARD.encode(text));
        response("400 Bad Request", &[format!("x-request-id: {}", whole[0])], &error(&whole.join(" ")))
    }),
    ("base64-url", |r| {
        let whole = [&r.key, &format!("u:{}", r.key), &format!("me:{}", r.key)].map(|text| URL_SAFE.encode(text));
        response("400 Bad Request", &[], &error(&whole.join(" ")))
    }),
    ("unicode", |r| response("400 Bad Request", &[], &error(&json_unicode(&r.key)))),
    ("unicode-in-text", |r| stream(&[delta(&json_unicode(&r.key)), end()])),
    ("slashes", |r| response("400 Bad Request", &[], &error(&json(&r.key).replace('/', "\\/")))),
    ("percent", |r| response("400 Bad Request", &[], &error(&percent_upper(&r.key)))),
    ("percent-lower", |r| response("400 Bad Request", &[], &error(&percent_lower(&r.key)))),
];

fn error(message: &str) -> String {
    format!(r#"{{"error":{{"message":"{message}","code":"{message}"}}}}"#)
}

fn echo(request: &Request) -> Vec<u8> {
    let name = request.path.split('/').nth(1).unwrap_or_default();
    match ECHOES.iter().find(|(known, _)| *known == name) {
        Some((_, answer)) => answer(request),
        None => stream(&[delta("an honest answer"), end()]),
    }
}

/// Everything by which the key would be known, found without any help of the program's.
fn traces() -> Vec<(String, Vec<u8>)> {
    let mut traces = vec![
        ("plain", CANARY.to_owned()),
        ("JSON", json(CANARY)),
        ("JSON twice", json(&json(CANARY))),
        ("slashes", json(CANARY).replace('/', "\\/")),
        ("unicode", json_unicode(CANARY)),
        ("unicode within JSON", json(&json_unicode(CANARY))),
        ("percent", percent_upper(CANARY)),
        ("lower percent", percent_lower(CANARY)),
        // Parts that stand for more than chance, in case only the rest was masked.
        ("beginning", "sk-canary".to_owned()),
        ("middle", "7Q+w9".to_owned()),
        ("end", "5mTk2".to_owned()),
    ];
    for before in ["", "u:", "me:"] {
        for engine in [&STANDARD, &URL_SAFE] {
            let encoded = engine.encode(format!("{before}{CANARY}"));
            traces.push(("Base64", encoded[before.len() * 8 / 6 + 4..encoded.len() - 8].to_owned()));
        }
    }
    traces.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

fn holds(bytes: &[u8], trace: &[u8]) -> bool {
    bytes.windows(trace.len()).any(|window| window == trace)
}

#[track_caller]
fn assert_clean(place: &str, bytes: &[u8]) {
    for (name, trace) in traces() {
        assert!(!holds(bytes, &trace), "the key is in {place}, as {name}");
    }
}

fn project(host: &Host) -> Project {
    let names = ["reference", "honest"].into_iter().chain(ECHOES.iter().map(|(name, _)| *name));
    names.fold(
        Project::new()
            .with_probe("hello", "Say hello.")
            .with_default("retry", "{ tries = 2, first_wait = 0.01, longest_wait = 0.01 }")
            .with_env("CANARY_KEY", CANARY),
        |project, name| project.with_keyed_endpoint(name, &host.url(name), "CANARY_KEY"),
    )
}

#[test]
fn the_traces_are_found_where_nothing_masks_them() {
    let request =
        |name: &str| Request { path: format!("/{name}/v1"), key: CANARY.to_owned(), body: serde_json::Value::Null };
    for (name, _) in ECHOES {
        let raw = echo(&request(name));
        assert!(traces().iter().any(|(_, trace)| holds(&raw, trace)), "{name} echoes nothing that would be found");
    }
}

#[test]
fn a_key_that_hosts_echo_is_in_no_file_log_or_report() {
    let host = Host::start(echo);
    let project = project(&host);
    let mut masked = 0;
    for format in ["terminal", "json", "junit", "github", "markdown", "nagios"] {
        let run = project.run(["check", "m", "-vv", "--format", format]);
        assert_ne!(run.code(), 0, "{}", run.stderr);
        assert_clean(&format!("the {format} report"), run.stdout.as_bytes());
        assert_clean(&format!("the log beside the {format} report"), run.stderr.as_bytes());
        masked += run.stderr.matches(MASK).count() + run.stdout.matches(MASK).count();
    }
    assert!(masked > 0, "nothing that was shown had to be masked");
    let export = project.run(["export"]);
    assert_eq!(export.code(), 0, "{}", export.stderr);
    assert!(export.stdout.contains(MASK), "the text that held the key is among the samples");
    assert_clean("the exported samples", export.stdout.as_bytes());
    let files = project.files();
    assert!(files.iter().any(|(path, bytes)| path.ends_with("history.db") && holds(bytes, MASK.as_bytes())));
    for (path, bytes) in files {
        assert_clean(&path.display().to_string(), &bytes);
    }
}

#[test]
fn a_key_in_a_file_is_masked_as_one_in_the_environment_is() {
    let host = Host::start(echo);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{CANARY}\n")).expect("the key is written");
    let project = ["reference", "text", "body-401"].into_iter().fold(
        Project::new().with_probe("hello", "Say hello.").with_env("CANARY_KEY_FILE", &file.display().to_string()),
        |project, name| project.with_keyed_endpoint(name, &host.url(name), "CANARY_KEY"),
    );
    let run = project.run(["check", "m", "-vv"]);
    assert!(run.stderr.contains(MASK) || run.stdout.contains(MASK), "{}{}", run.stdout, run.stderr);
    assert_clean("the output", format!("{}{}", run.stdout, run.stderr).as_bytes());
    for (path, bytes) in project.files() {
        assert_clean(&path.display().to_string(), &bytes);
    }
}

#[test]
fn a_key_that_cannot_be_sent_is_refused_without_being_shown() {
    for key in [format!("{CANARY} {CANARY}"), format!("{CANARY}é")] {
        let project = ["reference", "twin"]
            .into_iter()
            .fold(Project::new().with_probe("hello", "Say hello.").with_env("CANARY_KEY", &key), |project, name| {
                project.with_keyed_endpoint(name, "http://127.0.0.1:9/v1", "CANARY_KEY")
            });
        let run = project.run(["check", "m", "-vv"]);
        run.refuses(2, &["CANARY_KEY is no key"]);
        assert_clean("the refusal", run.stderr.as_bytes());
    }
}
