//! What the program writes is what it says it is: reports in each format, colours, completions, man pages, a first
//! configuration.

use std::fs;

use quick_junit::TestCaseStatus;
use serde_json::Value;

use crate::fixture::{Project, Run, assert_says};

/// Samples of a reference, of an endpoint that says the same, of one that says something else, and of one that fails.
fn samples() -> String {
    let line = |endpoint: &str, probe: usize, replicate: usize, text: &str| {
        let key =
            format!("\"model\":\"m\",\"endpoint\":\"{endpoint}\",\"probe\":\"p{probe}\",\"replicate\":{replicate}");
        if text.is_empty() {
            format!("{{{key},\"text\":\"\",\"error\":{{\"kind\":\"timeout\",\"message\":\"<b>\"}}}}\n")
        } else {
            format!("{{{key},\"text\":\"{text}\"}}\n")
        }
    };
    let mut out = String::new();
    for probe in 0..6 {
        for replicate in 0..6 {
            let usual = ["It is a sunny day.", "It is a rainy day.", "Rain, all day."][(probe + replicate) % 3];
            out += &line("reference", probe, replicate, usual);
            out += &line("same", probe, replicate, usual);
            out += &line("other", probe, replicate, "]]> <script>&amp; ::error::x\\n| Quite another thing.");
            out += &line("silent", probe, replicate, "");
        }
    }
    out
}

fn compare(further: &[&str]) -> Run {
    let project = Project::new().with_file("samples.jsonl", &samples());
    project.run_as_is(&[&["compare", "samples.jsonl", "-r", "reference"], further].concat())
}

fn report(format: &str) -> Run {
    let run = compare(&["--format", format]);
    assert_eq!(run.stderr, "");
    run
}

fn schema(name: &str) -> jsonschema::Validator {
    let path = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).expect("the schema");
    jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
}

#[track_caller]
fn assert_valid(value: &Value) {
    let errors: Vec<String> =
        schema("report").iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn the_json_report_is_valid_by_its_schema_and_says_what_was_found() {
    let run = report("json");
    assert_eq!(run.code(), 1);
    assert_valid(&run.json());
    assert_eq!(run.json()["schema"], "samemodel.report/1");
    assert_eq!(run.verdict("other"), "drifted");
    assert_ne!(run.verdict("same"), "drifted");
    assert_eq!(run.verdict("silent"), "unmeasured");
    assert_eq!(run.endpoint("silent")["failures"]["timeout"], 36);
}

#[test]
fn the_json_report_of_a_check_is_valid_by_its_schema() {
    let project = Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_default("max_tokens", "4")
        .with_endpoint("reference", "lab:")
        .with_endpoint_and("twin", "lab:", "", "price = { input = 1.0, output = 2.0 }\n")
        .with_keyed_endpoint("keyless", "https://host.invalid/v1", "HOST_KEY");
    let run = project.run(["check", "m", "--format", "json"]);
    assert_valid(&run.json());
    assert!(run.endpoint("twin")["cost"].as_f64().is_some_and(|cost| cost > 0.0));
}

#[test]
fn the_junit_report_is_read_by_a_junit_parser() {
    let run = report("junit");
    assert_eq!(run.code(), 1);
    let parsed = quick_junit::Report::deserialize_from_str(&run.stdout).expect("JUnit");
    let cases: Vec<_> = parsed.test_suites.iter().flat_map(|suite| &suite.test_cases).collect();
    let case = |name: &str| cases.iter().find(|case| case.name.as_str().contains(name)).expect("a case");
    assert!(matches!(case("other").status, TestCaseStatus::NonSuccess { .. }));
    assert!(!matches!(case("silent").status, TestCaseStatus::Success { .. }), "what was not measured has not passed");
    assert_eq!(cases.len(), 3);
}

#[test]
fn every_line_for_github_is_one_known_command() {
    let run = report("github");
    assert_eq!(run.code(), 1);
    let commands = ["::error title=", "::warning title=", "::notice title="];
    for line in run.stdout.lines() {
        assert!(commands.iter().any(|command| line.starts_with(command)), "{line}");
    }
    assert_eq!(run.stdout.matches("::error title=").count(), 1, "{}", run.stdout);
    assert_says(&run.stdout, &["::error title=m%3A other drifted", "silent unmeasured"]);
}

#[test]
fn the_markdown_report_has_a_table_and_no_live_html() {
    let run = report("markdown");
    let parser = pulldown_cmark::Parser::new_ext(&run.stdout, pulldown_cmark::Options::ENABLE_TABLES);
    let (mut rows, mut html) = (0, String::new());
    for event in parser {
        match event {
            pulldown_cmark::Event::Start(pulldown_cmark::Tag::TableRow) => rows += 1,
            pulldown_cmark::Event::Html(text) | pulldown_cmark::Event::InlineHtml(text) => html.push_str(&text),
            _ => {}
        }
    }
    assert!(rows >= 3, "{}", run.stdout);
    assert!(!html.contains("script"), "{html}");
}

#[test]
fn the_nagios_report_has_a_status_line_and_the_exit_code_of_a_plugin() {
    let run = report("nagios");
    assert_eq!(run.code(), 2);
    let first = run.stdout.lines().next().expect("a line");
    assert!(first.starts_with("SAMEMODEL CRITICAL - ") && first.contains(" | "), "{first}");
    let unknown = Project::new().run_as_is(&["check", "m", "--format", "nagios"]);
    assert_eq!(unknown.code(), 3);
    assert_says(&unknown.stdout, &["SAMEMODEL UNKNOWN - ", "samemodel init"]);
}

#[test]
fn a_report_goes_into_a_file_where_one_is_named() {
    let project = Project::new().with_file("samples.jsonl", &samples());
    let arguments = ["compare", "samples.jsonl", "-r", "reference", "-f", "json", "-o", "report.json"];
    let run = project.run_as_is(&arguments);
    assert_eq!((run.code(), run.stdout.as_str()), (1, ""));
    assert_valid(&serde_json::from_str(&fs::read_to_string(project.path("report.json")).expect("it")).expect("JSON"));
    let nowhere = project.run_as_is(&["compare", "samples.jsonl", "-r", "reference", "-o", "no/folder/report"]);
    nowhere.refuses(2, &["cannot write no/folder/report", "nothing was done"]);
}

#[test]
fn colour_is_there_when_asked_for_and_only_then() {
    const ESCAPE: char = '\u{1b}';
    assert!(compare(&["--color", "always"]).stdout.contains(ESCAPE));
    for plain in [compare(&[]), compare(&["--color", "never"]), compare(&["--color", "auto"])] {
        assert!(!plain.stdout.contains(ESCAPE));
        assert!(plain.stdout.contains("drifted"));
    }
    let project = Project::new().with_file("samples.jsonl", &samples()).with_env("NO_COLOR", "1");
    assert!(!project.run_as_is(&["compare", "samples.jsonl", "-r", "reference"]).stdout.contains(ESCAPE));
}

#[test]
fn the_shell_completes_names_of_models_and_endpoints() {
    let project =
        Project::new().with_endpoint("reference", "lab:").with_endpoint("twin", "lab:").with_env("COMPLETE", "fish");
    project.write();
    let complete = |words: &[&str]| project.run_as_is(&[&["--", "samemodel"], words].concat()).stdout;
    assert_eq!(complete(&["check", "m"]), "m\n");
    assert_eq!(complete(&["check", "m", "--endpoint", "t"]), "twin\n");
    assert_eq!(complete(&["alert", "silence", "m"]), "m/reference\nm/twin\n");
    assert!(complete(&["do"]).starts_with("doctor\t"), "{}", complete(&["do"]));
}

#[test]
fn completions_and_man_pages_know_every_verb() {
    let verbs = ["check", "compare", "plan", "import", "export", "init", "completions", "man"];
    for shell in ["bash", "zsh", "fish"] {
        let run = Project::new().run_as_is(&["completions", shell]);
        assert_eq!((run.code(), run.stderr.as_str()), (0, ""));
        assert_says(&run.stdout, &verbs);
    }
    let project = Project::new();
    assert_eq!(project.run_as_is(&["man", "pages"]).code(), 0);
    for verb in verbs {
        let page = fs::read_to_string(project.path(&format!("pages/samemodel-{verb}.1"))).expect("a page");
        assert_says(&page, &[".TH", verb]);
    }
    assert_says(&fs::read_to_string(project.path("pages/samemodel.1")).expect("a page"), &["Exit codes"]);
}

#[test]
fn the_lab_is_there_without_a_configuration_and_beside_ones_own() {
    let plan = Project::new().run_as_is(&["check", "lab", "--dry-run"]);
    assert_eq!(plan.code(), 0, "{}", plan.stderr);
    assert_says(&plan.stdout, &["reference", "twin", "four-bit", "requests"]);
    let own = Project::new().with_endpoint("reference", "lab:").with_endpoint("mine", "lab:");
    let plan = own.run(["check", "lab", "--dry-run"]);
    assert_eq!(plan.code(), 0, "{}", plan.stderr);
    assert_says(&plan.stdout, &["four-bit", "requests"]);
    assert!(!plan.stdout.contains("mine"), "{}", plan.stdout);
}

#[test]
fn init_keeps_what_stands_in_gitignore() {
    let project = Project::new();
    fs::write(project.path(".gitignore"), "/target\n/.samemodel").expect("a file");
    assert_eq!(project.run_as_is(&["init"]).code(), 0);
    let ignored = fs::read_to_string(project.path(".gitignore")).expect("the file");
    assert_eq!(ignored, "/target\n/.samemodel\nproviders.local.toml\n*.snap.new\n");
}

#[test]
fn what_init_writes_is_ready_for_the_lab_and_is_not_written_over() {
    let project = Project::new();
    let first = project.run_as_is(&["init", "new"]);
    assert_eq!(first.code(), 0, "{}", first.stderr);
    let plan = project.run_as_is(&["check", "lab", "--dry-run", "--config", "new/providers.toml"]);
    assert_eq!(plan.code(), 0, "{}", plan.stderr);
    assert_says(&plan.stdout, &["reference", "twin", "four-bit", "requests"]);
    assert_says(
        &fs::read_to_string(project.path("new/.gitignore")).expect("a list"),
        &[".samemodel/\n", "local.toml\n"],
    );
    let schema = fs::read(project.path("new/providers.schema.json")).expect("a schema");
    assert!(serde_json::from_slice::<serde_json::Value>(&schema).expect("JSON").is_object());
    let before = fs::read(project.path("new/providers.toml")).expect("the configuration");
    project.run_as_is(&["init", "new"]).refuses(2, &["is there already", "nothing was written"]);
    assert_eq!(fs::read(project.path("new/providers.toml")).expect("the configuration"), before);
}
