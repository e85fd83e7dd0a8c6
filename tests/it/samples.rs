//! Samples leave the history and come back unchanged, and say the same wherever they are compared.

use serde_json::Value;

use crate::fixture::Project;

/// A finished check of a small fleet, with its report.
fn checked() -> (Project, Value) {
    let project = Project::new()
        .with_shipped_probes(&["greedy/weather.toml"])
        .with_probe("day", "Plan a day in Prague.")
        .with_default("samples", "4")
        .with_endpoint("reference", "lab:")
        .with_endpoint("double-bos", "lab:double-bos")
        .with_endpoint("twin", "lab:flaky-host=0.4");
    let run = project.run(["check", "m", "--seed", "5", "--format", "json", "--quiet"]);
    assert_eq!(run.code(), 1, "{}", run.stderr);
    let report = run.json();
    (project, report)
}

/// What a report says of its endpoints, apart from attempts, which samples from a file do not tell.
fn judgements(report: &Value) -> Vec<Value> {
    let told = ["endpoint", "verdict", "p_value", "q_value", "effect", "signals", "probes", "findings", "samples"];
    let endpoints = report["endpoints"].as_array().expect("endpoints");
    endpoints.iter().map(|e| told.iter().map(|key| ((*key).to_owned(), e[key].clone())).collect()).collect()
}

#[test]
fn exported_samples_give_the_verdicts_of_the_check_from_a_file_and_from_standard_input() {
    let (project, report) = checked();
    let exported = project.run(["export", "--output", "samples.jsonl"]);
    assert_eq!(exported.code(), 0, "{}", exported.stderr);
    let arguments = ["--reference", "reference", "--seed", "5", "--permutations", "999", "--format", "json"];
    let compared = project.run_as_is(&[&["compare", "samples.jsonl"], &arguments[..]].concat());
    assert_eq!(compared.code(), 1, "{}", compared.stderr);
    assert_eq!(judgements(&compared.json()), judgements(&report));

    let text = std::fs::read_to_string(project.path("samples.jsonl")).expect("the samples");
    let piped = project.run_with_input(&[&["compare", "-"], &arguments[..]].concat(), &text);
    assert_eq!(piped.stdout, compared.stdout);
}

#[test]
fn what_is_imported_is_exported_line_for_line() {
    let (project, report) = checked();
    let first = project.run(["export"]).stdout;
    let attempts = |account: &Value| account["attempts"].as_u64().expect("a count");
    let judged: u64 = report["endpoints"].as_array().expect("endpoints").iter().map(attempts).sum();
    let made = judged + attempts(&report["reference_account"]);
    assert_eq!(first.lines().count() as u64, made, "every attempt is a line");
    assert!(made > 3 * (2 * 2 + 4), "some failed");
    let other = Project::new();
    let imported = other.run_with_input(&["import", "-", "--reference", "reference"], &first);
    assert_eq!(imported.code(), 0, "{}", imported.stderr);
    let second = other.run_as_is(&["export", "--model", "m"]).stdout;
    let lines = |text: &str| -> Vec<String> {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for (second, first) in lines(&second).iter().zip(lines(&first)) {
        assert_eq!(*second, first);
    }
    assert_eq!(second.lines().count(), first.lines().count());
}

#[test]
fn an_exported_line_is_valid_by_its_schema() {
    let (project, _) = checked();
    let schema =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sample.json")).expect("a schema");
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    for line in project.run(["export"]).stdout.lines() {
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert!(schema.validate(&value).is_ok(), "{:?} in {line}", schema.validate(&value).err());
    }
}
