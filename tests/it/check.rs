//! `samemodel check` on small fleets of the lab: verdicts, repetition, budget, resumption, one run at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::fixture::{Project, Run, TELLING, assert_says};
use crate::host::{Host, Request, delta, end, response, stream};

/// Probes with which every fault of the lab can be told, and no more than that needs.
fn telling() -> Project {
    Project::new()
        .with_shipped_probes(&TELLING)
        .with_shipped_probes(&["long/256.toml"])
        .with_default("samples", "6")
        .with_endpoint("reference", "lab:")
}

/// One probe, answered at once and in a few tokens.
fn tiny() -> Project {
    Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_default("max_tokens", "4")
        .with_endpoint("reference", "lab:")
        .with_endpoint("twin", "lab:")
}

fn history(project: &Project) -> bool {
    project.path(".samemodel/history.db").exists()
}

#[test]
fn every_fault_that_changes_answers_is_found_and_the_honest_twin_is_not() {
    let faults = [
        ("four-bit", "quantized-weights"),
        ("small-model", "swapped-model"),
        ("double-bos", "double-bos"),
        ("hidden-prompt", "hidden-system-prompt"),
        ("fixed-temperature", "temperature-ignored"),
        ("short-context", "truncated-context"),
    ];
    let project = faults
        .iter()
        .fold(telling(), |project, (name, fault)| project.with_endpoint(name, &format!("lab:{fault}")))
        .with_endpoint("twin", "lab:")
        .with_endpoint("control", "lab:swapped-model")
        .with_model("control", "\"control\"");
    let run = project.run(["check", "m", "--seed", "1", "--format", "json", "--quiet"]);
    assert_eq!(run.code(), 1, "{}", run.stderr);
    for (name, _) in faults {
        assert_eq!(run.verdict(name), "drifted", "{name}: {:#}", run.endpoint(name));
    }
    assert_ne!(run.verdict("twin"), "drifted", "{:#}", run.endpoint("twin"));
    let report = run.json();
    assert_eq!(report["endpoints"].as_array().map(Vec::len), Some(7), "reference and control are not judged");
    assert!(report["control"]["p_value"].as_f64().is_some_and(|p| p < 0.01), "{}", report["control"]);
    // That the prompt is another is one thing, and what is wrong with it another: several faults count so.
    let told: [(&str, &[(&str, &str)]); 3] = [
        ("short-context", &[("truncated-context", "certain")]),
        ("hidden-prompt", &[("prompt-differs", "certain"), ("hidden-system-prompt", "likely")]),
        ("double-bos", &[("prompt-differs", "certain"), ("double-bos", "likely")]),
    ];
    for (name, told) in told {
        let findings = &run.endpoint(name)["findings"];
        for (i, (fault, confidence)) in told.iter().enumerate() {
            assert_eq!(findings[i]["fault"], *fault, "{findings}");
            assert_eq!(findings[i]["confidence"], *confidence, "{findings}");
        }
    }
    let findings = run.endpoint("small-model")["findings"].clone();
    let named = findings.as_array().is_some_and(|all| all.iter().any(|finding| finding["fault"] == "swapped-model"));
    assert!(named, "{findings}");
    assert_eq!(run.endpoint("twin")["findings"], serde_json::json!([]));
}

#[test]
fn a_fleet_of_honest_twins_raises_no_alarm() {
    let project = telling().with_endpoint("twin", "lab:").with_endpoint("other-twin", "lab:");
    let run = project.run(["check", "--seed", "1", "--format", "json"]);
    assert!([0, 3].contains(&run.code()), "{}", run.stderr);
    for name in ["twin", "other-twin"] {
        assert_ne!(run.verdict(name), "drifted", "{:#}", run.endpoint(name));
        assert_ne!(run.verdict(name), "unmeasured", "{:#}", run.endpoint(name));
    }
}

#[test]
fn a_flaky_host_is_judged_by_what_it_answered_and_its_errors_are_counted() {
    let project = Project::new()
        .with_shipped_probes(&["greedy/weather.toml"])
        .with_probe("day", "Plan a day in Prague.")
        .with_default("samples", "8")
        .with_endpoint("reference", "lab:")
        .with_endpoint("flaky", "lab:flaky-host=0.3");
    let run = project.run(["check", "m", "--seed", "3", "--format", "json", "-q"]);
    assert_eq!(run.verdict("flaky"), "inconclusive", "{:#}", run.endpoint("flaky"));
    assert_eq!(run.code(), 3);
    let flaky = run.endpoint("flaky");
    let number = |key: &str| flaky[key].as_u64().unwrap_or_else(|| panic!("{key} in {flaky:#}"));
    assert!(number("errors") > 0, "{flaky:#}");
    assert_eq!(number("samples") + number("unanswered"), 12);
    assert_eq!(number("attempts"), number("samples") + number("errors"));
    let kinds: u64 = flaky["failures"].as_object().expect("kinds").values().filter_map(Value::as_u64).sum();
    assert_eq!(kinds, number("errors"), "each error is told by its kind");
}

/// The report without what cannot repeat.
fn lasting(run: &Run) -> Value {
    let mut report = run.json();
    report["run"] = Value::Null;
    report
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_seed_another() {
    let project = || {
        Project::new()
            .with_probe("day", "Plan a day in Prague.")
            .with_default("samples", "4")
            .with_endpoint("reference", "lab:")
            .with_endpoint("four-bit", "lab:quantized-weights")
    };
    let check = |seed: &str| project().run(["check", "m", "--seed", seed, "-f", "json", "-q"]);
    let first = lasting(&check("11"));
    assert_eq!(first, lasting(&check("11")));
    assert_ne!(first["endpoints"], lasting(&check("12"))["endpoints"]);
}

#[test]
fn a_dry_run_tells_the_requests_and_leaves_nothing_behind() {
    let project = tiny();
    let run = project.run(["check", "m", "--dry-run"]);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert_says(&run.stdout, &["reference", "twin", "4 requests"]);
    project
        .run(["check", "m", "--dry-run", "--format", "junit"])
        .refuses(2, &["`--dry-run`", "`--format terminal` or `json`"]);
    assert!(!project.path(".samemodel").exists());
}

/// A dollar a token, so that each request costs at most four dollars for its answer and a few for its prompt.
fn priced(project: Project, name: &str) -> Project {
    project.with_endpoint_and(name, "lab:", "", "price = { input = 0.0, output = 1000000.0 }\n")
}

#[test]
fn a_budget_is_never_passed_and_a_resumed_run_asks_only_for_the_rest() {
    let project = ["reference", "twin"].into_iter().fold(
        Project::new()
            .with_probe("weather", "What is the weather in Rome?")
            .with_default("samples", "10")
            .with_default("max_tokens", "4"),
        priced,
    );
    let run = project.run(["check", "m", "--seed", "1", "--budget", "30", "-f", "json"]);
    let report = run.json();
    assert_says(report["partial"].as_str().expect("it is partial"), &["budget", "--resume"]);
    let spent = |report: &Value| {
        let twin = report["endpoints"][0]["cost"].as_f64().expect("a cost");
        twin + report["reference_account"]["cost"].as_f64().expect("a cost")
    };
    assert!(spent(&report) > 20.0 && spent(&report) <= 30.0, "{}", spent(&report));
    assert_ne!(run.code(), 0);
    assert_says(&run.stderr, &["the budget is reached"]);

    let resumed = project.run(["check", "m", "--resume", "--budget", "1000", "-f", "json"]);
    let whole = resumed.json();
    assert_eq!(whole["partial"], Value::Null, "{}", resumed.stderr);
    assert_eq!(whole["run"], report["run"]);
    let twin = resumed.endpoint("twin");
    assert_eq!((&twin["samples"], &twin["attempts"]), (&10.into(), &10.into()), "nothing was asked twice");
    project.run(["check", "m", "--resume"]).refuses(2, &["no run of `m` is unfinished", "leave out --resume"]);
}

#[test]
fn a_budget_without_prices_is_refused_before_anything_is_asked() {
    let project = tiny().with_endpoint("host", "https://host.invalid/v1");
    project.run(["check", "m", "--budget", "1"]).refuses(2, &["a budget needs prices", "`host`", "price = {"]);
    assert!(!history(&project));
}

#[test]
fn a_budget_that_covers_no_request_is_refused_with_what_one_may_cost() {
    let project = Project::new().with_probe("weather", "What is the weather in Rome?").with_default("max_tokens", "4");
    let project = ["reference", "twin"].into_iter().fold(project, priced);
    let told = "the budget of $0.50 does not cover one request, which may cost $4.00: raise --budget";
    project.run(["check", "m", "--budget", "0.5"]).refuses(2, &[told]);
    let json = project.run(["check", "m", "--budget", "0.5", "-f", "json"]);
    json.refuses(2, &[told]);
    assert_eq!(json.verdict("twin"), "unmeasured");
    assert!(!history(&project));
}

#[test]
fn a_dry_run_goes_where_it_is_to_go_and_no_seed_is_taken_for_a_run_that_has_one() {
    let project = tiny();
    let run = project.run(["check", "m", "--dry-run", "--output", "plan.txt"]);
    assert_eq!((run.code(), run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert_says(
        &std::fs::read_to_string(project.path("plan.txt")).expect("a plan"),
        &["2 endpoints, reference reference"],
    );
    project.run(["check", "m", "--resume", "--seed", "1"]).refuses(2, &["--seed", "--resume"]);
}

#[test]
fn an_older_run_is_gone_on_with_and_the_newer_one_is_told_of() {
    let project = Project::new().with_probe("weather", "What is the weather in Rome?").with_default("max_tokens", "4");
    let project = ["reference", "twin"].into_iter().fold(project, priced);
    project.run(["check", "m", "--budget", "6"]);
    project.run(["check", "m", "--budget", "999"]);
    let resumed = project.run(["check", "m", "--resume", "--budget", "999"]);
    assert_says(
        &resumed.stderr,
        &["going on with run ", " of 4 answered; `m` has a newer run, ", "leave out --resume"],
    );
}

#[test]
fn what_was_given_up_is_asked_for_by_a_flag_that_the_refusal_names() {
    let project = tiny().with_default("retry", "{ tries = 1 }").with_endpoint("gone", "http://127.0.0.1:9/v1");
    project.run(["check", "m"]);
    project.run(["check", "m", "--resume"]).refuses(
        2,
        &["no run of `m` is unfinished", "2 requests of the latest were given up: --resume --retry-given-up"],
    );
    let again = project.run(["check", "m", "--resume", "--retry-given-up"]);
    assert_says(&again.stderr, &["going on with run ", "4 of 6 answered\n"]);
}

#[test]
fn who_leaves_nobody_to_judge_is_told_why() {
    tiny()
        .run(["check", "m", "-e", "reference"])
        .refuses(2, &["--endpoint leaves nobody beside the reference", "`twin`"]);
    Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_keyed_endpoint("reference", "http://127.0.0.1:9/v1", "NO_SUCH_KEY")
        .run(["test", "m"])
        .refuses(2, &["nothing to test: no endpoint of `m` can be asked", "NO_SUCH_KEY"]);
}

fn not_there(request: &Request) -> Vec<u8> {
    if request.path.starts_with("/reference/") {
        return response("404 Not Found", &[], r#"{"error":{"message":"no such model"}}"#);
    }
    stream(&[delta("Hello"), end()])
}

#[test]
fn a_reference_that_is_not_there_is_to_be_mended_before_its_run_is_gone_on_with() {
    let host = Host::start(not_there);
    let project = Project::new().with_probe("p", "Hello");
    let project =
        ["reference", "twin"].iter().fold(project, |project, name| project.with_endpoint(name, &host.url(name)));
    project.run(["check", "m"]).refuses(3, &["check `model` and `base_url`", "; then go on with --resume"]);
}

#[cfg(unix)]
#[test]
fn a_second_run_is_turned_away_and_the_first_stops_cleanly_when_interrupted() {
    let project = Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_default("samples", "200")
        .with_default("max_tokens", "2")
        .with_endpoint("reference", "lab:slow=20")
        .with_endpoint("twin", "lab:slow=20");
    project.write();
    let mut first = project.start(&["check", "m", "--seed", "1", "-vv", "-f", "json"], "");
    first.wait_until("answers of both", |run| {
        let log = run.stderr();
        ["reference", "twin"].iter().all(|e| log.matches(&format!("answered endpoint=\"{e}\"")).count() >= 4)
    });
    let second = project.run(["check", "m"]);
    let holder = format!("`samemodel check m`, process {}", first.child.id());
    second.refuses(75, &["another run is under way", &holder, "wait for it to end or stop it"]);
    first.signal("INT");
    let stopped = first.finish();
    assert!([0, 1, 3].contains(&stopped.code()), "{}", stopped.stderr);
    let report = stopped.json();
    assert_says(report["partial"].as_str().expect("it is partial"), &["stopped", "--resume"]);
    let answers = report["endpoints"][0]["samples"].as_u64().expect("a count");
    assert!((4..200).contains(&answers), "{answers}");
}

/// Requests that [`at_once`] has answered.
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn at_once(_: &Request) -> Vec<u8> {
    ASKED.fetch_add(1, Ordering::SeqCst);
    stream(&[delta("Hello"), end()])
}

#[test]
fn after_an_interruption_no_more_is_sent_than_what_is_under_way() {
    let host = Host::start(at_once);
    let project = Project::new().with_probe("p", "Hello").with_default("samples", "1000");
    let names = ["reference", "a", "b", "c"];
    let project = names.iter().fold(project, |project, name| project.with_endpoint(name, &host.url(name)));
    project.write();
    let mut run = project.start(&["check", "m", "--seed", "1"], "");
    run.wait_until("some answers", |_| ASKED.load(Ordering::SeqCst) > 100);
    run.signal("INT");
    let asked = ASKED.load(Ordering::SeqCst);
    let stopped = run.finish();
    assert_says(&stopped.stdout, &["partial", "--resume", "planned requests not asked"]);
    assert!(!stopped.stdout.contains("what failed may not be like"), "nothing failed: {}", stopped.stdout);
    let status = project.run(["status"]);
    assert_says(&status.stdout, &["its latest run was stopped before the end", "`samemodel check m --resume`"]);
    assert!(!status.stdout.contains("greedy probes show most"), "{}", status.stdout);
    let late = ASKED.load(Ordering::SeqCst) - asked;
    // A signal takes some milliseconds, in which some answers more come; hundreds were still planned.
    assert!(late < 300, "{late} of {} requests were sent after the interruption", asked + late);
}
