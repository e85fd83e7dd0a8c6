//! `samemodel status` after a check of a watch: one screen, the same as JSON, and an exit code.

use serde_json::Value;

use crate::fixture::{Project, assert_says};

#[test]
fn one_screen_says_what_fires_what_was_found_and_what_comes_next() {
    let project = Project::new()
        .with_probe("p", "Tell me of the sea.")
        .with_endpoint("reference", "lab:")
        .with_endpoint("same", "lab:")
        .with_endpoint("gone", "http://127.0.0.1:9/v1")
        .with_tables("\n[watch.full]\ncron = \"0 0 1 1 *\"\n[alert]\nfail_after = 1\n");
    let first = project.run(["status"]);
    assert_eq!(first.code(), 0, "{}", first.stderr);
    assert_says(&first.stdout, &[": nothing fires\n", "  same                  never judged\n", "  gone  "]);
    assert_says(&first.stdout, &["nothing was judged yet: run `samemodel check m`, or `samemodel watch --once`\n"]);
    assert!(!project.path(".samemodel").exists(), "looking makes no history");
    let run = project.run(["watch", "--once", "--quiet"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);

    let screen = project.run(["status"]);
    assert_eq!(screen.code(), 1, "{}", screen.stderr);
    assert_says(
        &screen.stdout,
        &[
            " UTC: 1 firing\n",
            "m: held against reference; next full check at ",
            "  same  ",
            "  gone  ",
            "unmeasured\n    no answers: ",
        ],
    );
    assert_says(&screen.stdout, &["\nalerts\n", "firing: unreachable of m/gone, "]);
    assert!(!screen.stdout.contains("reference  ") && !screen.stdout.contains("silence"), "{}", screen.stdout);

    project.run(["alert", "silence", "m/gone", "--for", "1h", "--comment", "they are on it"]);
    let silenced = project.run(["status", "m"]);
    assert_eq!(silenced.code(), 1, "it fires all the same: {}", silenced.stderr);
    assert_says(&silenced.stdout, &[", silenced, since ", "\nsilences\nm/gone until ", ": they are on it"]);

    let status = project.run(["status", "--format", "json"]).json();
    let schema: Value = serde_json::from_str(include_str!("../../schemas/status.json")).expect("JSON");
    assert!(jsonschema::is_valid(&schema, &status), "{status:#}");
    let model = &status["models"][0];
    assert_eq!((&status["schema"], &model["next"]["is_due"]), (&"samemodel.status/1".into(), &false.into()));
    let endpoints = model["endpoints"].as_array().expect("a list");
    assert_eq!(endpoints.iter().map(|e| &e["endpoint"]).collect::<Vec<_>>(), ["same", "gone"]);
    assert_eq!(endpoints[1]["latest"]["verdict"], "unmeasured");
    assert_eq!((&status["alerts"][0]["silenced"], &status["messages"]), (&true.into(), &Value::Array(vec![])));

    project.run(["--config", "none.toml", "status"]).refuses(2, &["none.toml"]);
    project.run(["status", "n"]).refuses(2, &["neither the configuration nor the history has a model `n`"]);
}
