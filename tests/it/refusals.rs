//! Where nothing was measured, nothing is claimed: exit 2 or 3, and a message that says what to do.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;

use crate::fixture::{Project, assert_says};
use crate::host::{Host, response};

const SAMPLES: &str = r#"{"endpoint":"a","probe":"p","text":"x"}
{"endpoint":"b","probe":"p","text":"x"}
"#;
const ERROR: &str = r#""text":"","error":{"kind":"reset","message":"the connection was reset"}"#;

/// Runs `compare FILE --reference a` on these lines.
fn compare(lines: &str, reference: &str) -> crate::fixture::Run {
    Project::new().with_file("samples.jsonl", lines).run_as_is(&["compare", "samples.jsonl", "--reference", reference])
}

fn tiny() -> Project {
    Project::new().with_probe("weather", "What is the weather in Rome?").with_default("max_tokens", "4")
}

/// An address at which nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    format!("http://{}/v1", listener.local_addr().expect("an address"))
}

#[test]
fn a_file_without_samples_is_not_compared() {
    for lines in ["", "\n\n"] {
        compare(lines, "a").refuses(3, &["no samples", "samemodel export"]);
    }
}

#[test]
fn an_unknown_reference_is_named_with_what_there_is() {
    compare(SAMPLES, "c").refuses(2, &["`c`", "there are samples from `a`, `b`"]);
    compare(SAMPLES, "aa").refuses(2, &["did you mean `a`?"]);
    let unknown = tiny().with_model("reference", "\"refrence\"").with_endpoint("reference", "lab:");
    unknown.run(["check", "m"]).refuses(2, &["providers.toml:", "refrence", "`reference`"]);
}

#[test]
fn a_reference_without_answers_is_not_compared_with() {
    let lines = format!(
        "{{\"endpoint\":\"a\",\"probe\":\"p\",{ERROR}}}\n{{\"endpoint\":\"b\",\"probe\":\"p\",\"text\":\"x\"}}"
    );
    compare(&lines, "a").refuses(3, &["the reference `a` has no answers", "look at its errors"]);
    let project = tiny().with_default("samples", "8");
    let project = project.with_endpoint("reference", &closed_port()).with_endpoint("twin", "lab:");
    project
        .run(["check", "m"])
        .refuses(3, &["the reference `reference` has no answers", "connect", "--resume once it"]);
    project.run(["check", "m", "--resume"]).refuses(3, &["the reference `reference` has no answers"]);
}

#[test]
fn an_endpoint_without_answers_is_unmeasured() {
    let lines = format!(
        "{{\"endpoint\":\"a\",\"probe\":\"p\",\"text\":\"x\"}}\n{{\"endpoint\":\"b\",\"probe\":\"p\",{ERROR}}}"
    );
    let run = compare(&lines, "a");
    assert_eq!(run.code(), 3);
    assert_says(&run.stdout, &["unnamed model against a", "b         unmeasured", "1 reset"]);
}

#[test]
fn samples_of_the_reference_alone_are_not_compared() {
    compare(r#"{"endpoint":"a","probe":"p","text":"x"}"#, "a")
        .refuses(3, &["only samples of the reference `a`", "add"]);
    let project = tiny().with_endpoint("reference", "lab:");
    project.run(["check", "m"]).refuses(2, &["nothing to compare", "beside the reference"]);
}

#[test]
fn endpoints_that_share_no_probe_are_not_called_the_same() {
    let run = compare(
        "{\"endpoint\":\"a\",\"probe\":\"p\",\"text\":\"x\"}\n{\"endpoint\":\"b\",\"probe\":\"q\",\"text\":\"x\"}",
        "a",
    );
    assert_eq!(run.code(), 3);
    assert_says(&run.stdout, &["unmeasured", "no probe"]);
    assert!(!run.stdout.contains(" consistent"), "{}", run.stdout);
}

#[test]
fn zero_answers_from_everyone_are_an_error() {
    let host = Host::start(|_| response("503 Busy", &[], r#"{"error":{"message":"come back later"}}"#));
    let names = ["reference", "twin"];
    let retry = "{ tries = 2, first_wait = 0.01, longest_wait = 0.01, down_after = 2 }";
    let project =
        names.iter().fold(tiny().with_default("retry", retry), |p, name| p.with_endpoint(name, &host.url(name)));
    for format in ["terminal", "json", "junit", "github", "markdown"] {
        let run = project.run(["check", "m", "--format", format]);
        run.refuses(3, &["no endpoint of `m` answered", "twin: ", "server", "come back later"]);
        match format {
            "json" => assert_eq!(run.endpoint("twin")["verdict"], "unmeasured", "{}", run.stdout),
            "terminal" => assert_eq!(run.stdout, "", "for people no report is made of nothing"),
            _ => assert_says(&run.stdout, &["twin", "come back later"]),
        }
    }
}

#[test]
fn where_nothing_can_be_asked_machine_formats_are_valid_and_say_so() {
    let without_key =
        tiny().with_keyed_endpoint("reference", "https://h.example/v1", "NO_KEY").with_endpoint("twin", "lab:");
    let alone = tiny().with_endpoint("reference", "lab:").with_keyed_endpoint("twin", "https://h.example/v1", "NO_KEY");
    for (project, why) in [(without_key, "the reference `reference` cannot be asked"), (alone, "nothing to compare")] {
        for format in ["json", "junit", "markdown"] {
            let run = project.run(["check", "m", "--quiet", "--format", format, "-o", "report"]);
            run.refuses(2, &[why]);
            let report = std::fs::read_to_string(project.path("report")).expect("it is written");
            assert_says(&report, &["twin", "unmeasured"]);
            if format == "json" {
                let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
                assert!(report["run"].is_null(), "{report}");
                assert!(report["warnings"][0].as_str().is_some_and(|warning| warning.contains(why)), "{report}");
            }
        }
        let people = project.run(["check", "m", "--quiet"]);
        assert_eq!(people.stdout, "", "people read the error");
    }
}

#[test]
fn a_report_on_a_dead_reference_has_the_run_and_its_failures() {
    let host = Host::start(|_| response("503 Busy", &[], r#"{"error":{"message":"come back later"}}"#));
    let retry = "{ tries = 2, first_wait = 0.01, longest_wait = 0.01, down_after = 2 }";
    let project = tiny()
        .with_default("retry", retry)
        .with_endpoint("reference", &host.url("reference"))
        .with_endpoint("twin", "lab:");
    let run = project.run(["check", "m", "--quiet", "--format", "json"]);
    run.refuses(3, &["come back later"]);
    let report = run.json();
    assert!(report["run"].is_string(), "{report:#}");
    let account = &report["reference_account"];
    assert!(account["attempts"].as_u64() >= Some(2) && account["failures"]["server"].as_u64() >= Some(2), "{account}");
}

#[test]
fn a_probe_that_no_endpoint_answered_is_told_and_does_not_count_as_the_same() {
    let project = Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_file("prompts/hopeless.md", "Say it again. ".repeat(400).as_str())
        .with_default("max_tokens", "4")
        .with_endpoint("reference", "lab:")
        .with_endpoint("twin", "lab:");
    let run = project.run(["check", "m", "--seed", "1", "--format", "json"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert_ne!(run.verdict("twin"), "consistent");
    assert_says(&run.stderr, &["rejected"]);
    let twin = run.endpoint("twin");
    assert_eq!((&twin["samples"], &twin["unanswered"]), (&2.into(), &2.into()), "{twin:#}");
    assert_eq!(twin["probes"].as_array().map(Vec::len), Some(1), "{}", twin["probes"]);
}

#[test]
fn a_key_that_is_unset_for_all_names_the_variable_and_sends_nothing() {
    let project = ["reference", "twin"]
        .into_iter()
        .fold(tiny(), |p, name| p.with_keyed_endpoint(name, "https://host.invalid/v1", "HOST_KEY"));
    project.run(["check", "m"]).refuses(2, &["no key: set HOST_KEY", "HOST_KEY_FILE"]);
    assert!(!project.path(".samemodel").exists());
}

#[test]
fn an_endpoint_whose_key_is_missing_is_unmeasured_and_does_not_keep_the_others_from_being_judged() {
    let project = Project::new()
        .with_shipped_probes(&["greedy/weather.toml"])
        .with_probe("day", "Plan a day in Prague.")
        .with_endpoint("reference", "lab:")
        .with_endpoint("double-bos", "lab:double-bos")
        .with_keyed_endpoint("keyless", "https://host.invalid/v1", "HOST_KEY");
    let run = project.run(["check", "m", "--format", "json", "--seed", "1"]);
    assert_eq!(run.code(), 1, "{}", run.stderr);
    assert_eq!((run.verdict("double-bos").as_str(), run.verdict("keyless").as_str()), ("drifted", "unmeasured"));
    assert_says(run.endpoint("keyless")["reason"].as_str().expect("a reason"), &["no key: set HOST_KEY"]);
    assert_eq!(run.endpoint("keyless")["attempts"], 0);

    let honest = tiny().with_endpoint("reference", "lab:").with_endpoint("twin", "lab:").with_keyed_endpoint(
        "keyless",
        "https://host.invalid/v1",
        "HOST_KEY",
    );
    let run = honest.run(["check", "m"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert_says(&run.stdout, &["keyless   unmeasured", "HOST_KEY"]);
}

#[test]
fn an_endpoint_that_refuses_connections_is_unmeasured_with_its_errors_counted() {
    let project = tiny()
        .with_default("retry", "{ tries = 2, first_wait = 0.01, longest_wait = 0.01 }")
        .with_endpoint("reference", "lab:")
        .with_endpoint("unplugged", &closed_port());
    let run = project.run(["check", "m", "--format", "json"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    let unplugged = run.endpoint("unplugged");
    assert_eq!(unplugged["verdict"], "unmeasured");
    assert_eq!(
        (&unplugged["errors"], &unplugged["attempts"], &unplugged["samples"]),
        (&4.into(), &4.into(), &0.into())
    );
    assert_eq!(unplugged["failures"]["connect"], 4, "{unplugged:#}");
    assert!(!unplugged["reason"].as_str().expect("a reason").is_empty());
}

#[test]
fn a_misspelt_key_of_the_configuration_is_named_with_line_and_suggestion() {
    let project = tiny().with_default("sampels", "3").with_endpoint("reference", "lab:");
    let run = project.run(["check", "m"]);
    let text = std::fs::read_to_string(project.path("providers.toml")).expect("the configuration");
    let line = 1 + text.lines().position(|l| l.starts_with("sampels")).expect("the line");
    run.refuses(2, &[&format!("providers.toml:{line}"), "sampels", "did you mean `samples`?"]);
}

#[test]
fn an_unknown_model_or_endpoint_is_refused_with_a_suggestion() {
    let project = tiny().with_endpoint("reference", "lab:").with_endpoint("twin", "lab:");
    project.run(["check", "n"]).refuses(2, &["no model `n`", "only `m`"]);
    project.run(["check", "m", "-e", "twyn"]).refuses(2, &["no endpoint `twyn`", "did you mean `twin`?"]);
    for verb in [&["check", "--dry-run"][..], &["test"], &["doctor"], &["plan"]] {
        let run = project.run_as_is(&[verb, &["m", "-e", "nope"]].concat());
        run.refuses(2, &["no endpoint `nope`; known here: `", "`twin`"]);
    }
    project.run(["check", "m", "--resume"]).refuses(2, &["no run of `m` is unfinished"]);
    project.run(["export"]).refuses(2, &["no such run"]);
}

#[test]
fn a_folder_without_configuration_is_told_how_to_begin() {
    for arguments in [&["check"][..], &["check", "n"], &["plan"], &["check", "--dry-run"]] {
        Project::new().run_as_is(arguments).refuses(2, &["providers.toml does not exist", "samemodel init"]);
    }
    Project::new().run_as_is(&["export"]).refuses(2, &["no history", "samemodel check"]);
}

#[test]
fn a_folder_without_probes_is_refused() {
    let project = Project::new().with_endpoint("reference", "lab:").with_endpoint("twin", "lab:");
    project.run(["check", "m"]).refuses(2, &["prompts", "no probe"]);
    let none = project.with_model("probes", "[\"promts\"]");
    none.run(["check", "m"]).refuses(2, &["providers.toml:", "promts does not exist", "probes = "]);
}

#[test]
fn a_bad_line_is_named_and_nothing_of_its_file_is_imported() {
    for (bad, said) in [
        (r#"{"endpoint":"a","prob":"p","text":"x"}"#, "probe"),
        ("{", "samples.jsonl:3"),
        (r#"{"schema":"samemodel.sample/9","endpoint":"a","probe":"p","text":"x"}"#, "samemodel.sample/9"),
    ] {
        let project =
            Project::new().with_file("good.jsonl", SAMPLES).with_file("samples.jsonl", &format!("{SAMPLES}{bad}\n"));
        let run = project.run_as_is(&["import", "good.jsonl", "samples.jsonl", "--model", "m"]);
        run.refuses(2, &["samples.jsonl:3", said]);
        assert!(!project.path(".samemodel").exists(), "something was imported");
        project.run_as_is(&["compare", "samples.jsonl", "-r", "a"]).refuses(2, &["samples.jsonl:3", said]);
    }
}

#[test]
fn a_reader_that_stops_reading_causes_no_panic_and_no_complaint() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/llama3-70b-wikipedia.jsonl");
    let project = Project::new();
    let imported = project.run_as_is(&["import", file, "--model", "m"]);
    assert_eq!(imported.code(), 0, "{}", imported.stderr);
    let mut command = project.command(&["export"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut first = [0; 64];
    // The export is far longer than a pipe holds, so the program is still writing when this end is closed.
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("the first bytes");
    let mut complaint = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut complaint).expect("text");
    let status = child.wait().expect("it ends");
    assert!(status.code().is_some_and(|code| code != 101), "{status}");
    assert_eq!(complaint, "");
}
