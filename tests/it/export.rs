//! `samemodel lab export` and `lab serve --gguf`: the lab's models as files.

use std::fs;

use crate::fixture::{Project, assert_says};

/// What an export of the smallest model is called unless told otherwise.
const FILE: &str = "lab-small-q4_0.gguf";
const SMALL: [&str; 6] = ["lab", "export", "--model", "small", "--weights", "q4_0"];

/// A request to an address that reads what comes back to its end.
fn answer(url: &str) -> String {
    let body =
        r#"{"model":"lab","temperature":0,"max_tokens":8,"messages":[{"role":"user","content":"Tell me a story."}]}"#;
    let post = |client: reqwest::Client| async move {
        let sent = client.post(format!("{url}/chat/completions")).body(body).send().await;
        sent.expect("an answer").text().await.expect("its text")
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(post(reqwest::Client::new()))
}

#[test]
fn a_model_is_written_whole_and_not_over_another_file_unless_that_is_asked_for() {
    let project = Project::new();
    let run = project.run_as_is(&SMALL);
    assert_eq!((run.code(), &*run.stdout), (0, ""), "{}", run.stderr);
    assert_says(&run.stderr, &["wrote", FILE, "`small` in q4_0"]);
    let first = fs::read(project.path(FILE)).expect("the file");
    assert!(first.starts_with(b"GGUF\x03\0\0\0"));

    fs::write(project.path(FILE), "something dear").expect("a file is written");
    project.run_as_is(&SMALL).refuses(2, &[FILE, "is there already", "--force"]);
    assert_eq!(fs::read(project.path(FILE)).expect("the file"), b"something dear");

    let run = project.run_as_is(&[&SMALL[..], &["--force"]].concat());
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert_eq!(fs::read(project.path(FILE)).expect("the file"), first, "the same each time");
    let names = project.files().into_iter().map(|(path, _)| path);
    assert!(names.into_iter().all(|path| path.extension().is_none_or(|e| e != "part")));
}

#[test]
fn a_file_that_cannot_be_written_or_served_is_named() {
    let project = Project::new().with_file("spoilt.gguf", "GGUF\x03\0\0");
    let run = project.run_as_is(&[&SMALL[..], &["--out", "no/such/folder/small.gguf"]].concat());
    run.refuses(70, &["cannot write no/such/folder/small.gguf"]);
    project.run_as_is(&["lab", "serve", "--gguf", "missing.gguf"]).refuses(2, &["missing.gguf"]);
    project.run_as_is(&["lab", "serve", "--gguf", "spoilt.gguf"]).refuses(2, &["spoilt.gguf", "ends within"]);
    project.run_as_is(&["lab", "export", "--weights", "q2_k"]).refuses(2, &["q2_k", "q8_0"]);
}

#[test]
fn a_written_model_is_served_again() {
    let project = Project::new();
    assert_eq!(project.run_as_is(&SMALL).code(), 0);
    let mut running = project.start(&["lab", "serve", "--gguf", FILE, "--fault", "noise=23"], "");
    running.wait_until("the address is told", |child| child.stdout().ends_with('\n'));
    let from_file = answer(running.stdout().trim());
    assert_says(&from_file, &["\"content\":\"", "\"finish_reason\""]);
    drop(running);

    let faults = ["--fault", "swapped-model", "--fault", "quantized-weights=q4_0", "--fault", "noise=23"];
    let mut running = project.start(&[&["lab", "serve"], &faults[..]].concat(), "");
    running.wait_until("the address is told", |child| child.stdout().ends_with('\n'));
    let compiled_in = answer(running.stdout().trim());
    let choices = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON")["choices"].clone();
    assert_eq!(choices(&from_file), choices(&compiled_in));
}
