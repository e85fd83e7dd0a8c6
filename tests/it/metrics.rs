//! `samemodel metrics`: what monitoring reads, whole or not at all, and also after a run that failed.

use std::fs;

use crate::fixture::{Project, assert_says};

fn project() -> Project {
    Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_default("max_tokens", "4")
        .with_endpoint("reference", "lab:")
        .with_endpoint("twin", "lab:")
        .with_tables("\n[metrics]\nfile = \"samemodel.prom\"\n")
}

#[test]
fn a_run_leaves_metrics_and_a_failed_one_leaves_what_was_known_and_that_it_failed() {
    let project = project();
    let run = project.run(["check", "m", "--quiet"]);
    assert!([0, 3].contains(&run.code()), "{}", run.stderr);
    let text = fs::read_to_string(project.path("samemodel.prom")).expect("the file");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let twin = "{model=\"m\",endpoint=\"twin\"";
    assert_says(
        &text,
        &["samemodel_last_run_has_results{model=\"m\"} 1\n", &format!("samemodel_answers_total{twin}}} 2\n")],
    );
    let on_demand = project.run(["metrics", "--output", "again.prom"]);
    assert_eq!((on_demand.code(), on_demand.stdout.as_str()), (0, ""), "{}", on_demand.stderr);
    assert_eq!(fs::read_to_string(project.path("again.prom")).expect("the file"), text);

    let failing = project.with_endpoint("down", "http://127.0.0.1:9").with_model("reference", "\"down\"");
    assert_eq!(failing.run(["check", "m", "--quiet"]).code(), 3);
    let text = fs::read_to_string(failing.path("samemodel.prom")).expect("the file");
    assert_says(&text, &["samemodel_last_run_has_results{model=\"m\"} 0\n", &format!("samemodel_verdict{twin}")]);
    let left: Vec<_> =
        failing.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".part")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_run_of_a_watch_is_told_with_its_tier_its_times_and_the_alerts_that_follow_from_it() {
    let project = project().with_tables("\n[watch.pulse]\ncron = \"0 0 1 1 *\"\n");
    let run = project.run(["watch", "--once", "--quiet"]);
    assert!([0, 3].contains(&run.code()), "{}", run.stderr);
    let text = fs::read_to_string(project.path("samemodel.prom")).expect("the file");
    let twin = "{model=\"m\",endpoint=\"twin\"";
    assert_says(
        &text,
        &[
            "samemodel_tier_start_timestamp_seconds{model=\"m\",tier=\"pulse\"} ",
            &format!("samemodel_latency_seconds{twin},quantile=\"0.95\"}} "),
            &format!("samemodel_first_token_seconds{twin},quantile=\"0.5\"}} "),
            &format!("samemodel_alert{twin},alert=\"unreachable\",state=\"quiet\"}} 1\n"),
            &format!("samemodel_alert_silenced{twin},alert=\"unreachable\"}} 0\n"),
        ],
    );
    assert!(!text.contains("tier=\"full\""), "no full check was ever started: {text}");
    assert_eq!(project.run(["metrics"]).stdout, text, "it is told before what came of the start is noted, and after");

    assert_eq!(project.run(["alert", "silence", "m/twin", "--for", "7d"]).code(), 0);
    let silenced = project.run(["metrics"]).stdout;
    assert_says(&silenced, &[&format!("samemodel_alert_silenced{twin},alert=\"unreachable\"}} 1\n")]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let project = project();
    let run = project.run(["check", "m", "--quiet"]);
    assert!([0, 3].contains(&run.code()), "{}", run.stderr);
    project.run(["metrics", "--output", "no/such/folder/x.prom"]).refuses(2, &["cannot write no/such/folder/x.prom"]);
}

#[test]
fn a_configuration_that_was_named_must_be_there_and_another_is_noted_where_it_cannot_be_read() {
    let project = project();
    let run = project.run(["check", "m", "--quiet"]);
    assert!([0, 3].contains(&run.code()), "{}", run.stderr);
    project.run(["metrics", "-c", "nope.toml"]).refuses(2, &["nope.toml"]);
    fs::write(project.path("providers.toml"), "no = [").expect("it is written");
    let noted = project.run_as_is(&["metrics"]);
    assert_eq!(noted.code(), 0, "{}", noted.stderr);
    assert_says(&noted.stdout, &["samemodel_last_run_has_results{model=\"m\"} 1\n"]);
    assert_says(&noted.stderr, &["the metrics are without the configuration: ", "providers.toml"]);
}
