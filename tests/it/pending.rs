//! What waits for review, over real HTTP against the lab: of one run, with that run's verdict, and never taken unawares.

use std::fs;

use serde_json::Value;

use crate::fixture::{Project, Run, assert_says};
use crate::snapshots::{files, project};

/// Runs the program after the host has come to be at another address.
fn run_at(project: &Project, address: &str, arguments: &[&str]) -> Run {
    project.write();
    let text = fs::read_to_string(project.path("providers.toml")).expect("a configuration");
    let text = text.replacen("base_url = \"lab:\"", &format!("base_url = \"{address}\""), 1);
    fs::write(project.path("providers.toml"), text).expect("written");
    project.run_as_is(arguments)
}

/// What waits, as JSON.
fn waiting(project: &Project) -> Vec<Value> {
    let listed = project.run(["pending", "--format", "json"]);
    assert_eq!(listed.json()["schema"], "samemodel.pending/1", "{}", listed.stderr);
    listed.json()["waiting"].as_array().expect("a list").clone()
}

/// All approved files with what is in them.
fn approved(project: &Project) -> Vec<(String, String)> {
    let read = |name: String| {
        let text = fs::read_to_string(project.path("snapshots").join(&name)).expect("a snapshot");
        (name, text)
    };
    files(project, ".snap").into_iter().map(read).collect()
}

/// A project of which all was approved, and which then drifted: what waits is of the run that found it.
fn drifted() -> Project {
    let project = project("lab:");
    project.run(["test", "--seed", "1", "--accept"]);
    let run = run_at(&project, "lab:swapped-model", &["test", "--seed", "2", "--format", "json"]);
    assert_eq!(run.verdict("host"), "drifted", "{}", run.stdout);
    project
}

#[test]
fn what_drifted_is_not_accepted_with_others_after_a_run_that_could_not_tell() {
    let project = drifted();
    let before = waiting(&project);
    for found in &before {
        assert_eq!((&found["verdict"], &found["caution"]), (&"drifted".into(), &"drifted".into()), "{found:#}");
        assert_eq!(found["source"], before[0]["source"]);
        assert!(found["effect"]["estimate"].is_number() && found["sampled"].is_string(), "{found:#}");
    }
    let open = project.run(["test", "--seed", "3", "--samples", "2", "--format", "json"]);
    assert_eq!(open.verdict("host"), "inconclusive", "{}", open.stdout);
    assert_eq!(open.json()["snapshots"]["earlier"], before.len());
    assert_says(&open.stderr, &["of an earlier run still wait", "samemodel pending"]);
    assert_eq!(waiting(&project), before, "a run that could not tell leaves it as it was");
    let listed = project.run(["pending"]);
    assert_says(&listed.stdout, &["m/host: drifted, ", " %", ", in run 0", " UTC\n  "]);

    let kept = approved(&project);
    let all = project.run(["accept", "--all"]);
    assert_eq!(all.code(), 1, "{}", all.stdout);
    let head = format!("left {} of m/host: drifted, ", before.len());
    assert!(before.len() > 1 && all.stdout.starts_with(&head), "{}", all.stdout);
    for found in &before {
        assert_says(&all.stdout, &[found["probe"].as_str().expect("a probe")]);
    }
    assert_says(&all.stderr, &["since the endpoint had drifted", "accept them by name or with --drifted"]);
    for several in [["accept", "m"], ["accept", "m/host/*"]] {
        assert_eq!(project.run(several).code(), 1);
    }
    assert_eq!(approved(&project), kept);

    let one = before[0]["name"].as_str().expect("a name");
    let named = project.run(["accept", one]);
    assert_eq!((named.code(), named.stdout.as_str()), (0, format!("accepted {one}\n").as_str()));
    let rest = project.run(["accept", "--all", "--drifted"]);
    assert_eq!(rest.code(), 0, "{}", rest.stdout);
    for found in &before[1..] {
        assert_says(&rest.stdout, &[found["probe"].as_str().expect("a probe")]);
    }
    assert!(waiting(&project).is_empty());
}

#[test]
fn what_drifted_waits_until_a_run_finds_the_endpoint_as_it_was_approved() {
    // Tolerances that a few answers of the same host keep.
    let project = drifted().with_default("dispersion_tolerance", "0.9");
    let run = project.run(["test", "--seed", "3", "--tolerance", "0.9", "--format", "json"]);
    assert_eq!(run.verdict("host"), "consistent", "{}", run.stdout);
    assert!(waiting(&project).is_empty());
}

#[test]
fn a_run_with_something_to_propose_replaces_all_that_waited_of_the_endpoint() {
    let project = project("lab:").with_probe("extra", "Name a colour.");
    project.run(["test", "--seed", "1"]);
    assert!(files(&project, ".snap.new").contains(&"m/host/extra.snap.new".to_owned()));
    fs::remove_file(project.path("prompts/extra.md")).expect("removed");
    project.run(["test", "--seed", "2"]);
    let found = waiting(&project);
    assert!(found.iter().all(|f| f["source"] == found[0]["source"] && f["probe"] != "extra"), "{found:#?}");
    assert!(found.iter().all(|f| f["verdict"] == "unmeasured" && f["kind"] == "unseen"), "{found:#?}");
    assert_eq!(project.run(["accept", "--all"]).code(), 0, "what was never approved is there to be taken");
}

#[test]
fn answers_of_two_runs_are_not_taken_together_whatever_lies_in_the_folder() {
    let project = project("lab:");
    project.run(["test", "--seed", "1"]);
    let name = files(&project, ".snap.new").swap_remove(0);
    let path = project.path("snapshots").join(&name);
    let old = fs::read_to_string(&path).expect("it waits");
    project.run(["test", "--seed", "2"]);
    fs::write(&path, old).expect("a file of an earlier run");
    let one = name.trim_end_matches(".snap.new");
    assert_says(&project.run(["pending"]).stdout, &["superseded by what a later run has left"]);
    let accepted = project.run(["accept", "--all"]);
    assert_eq!(accepted.code(), 1, "{}", accepted.stdout);
    assert_says(&accepted.stdout, &[&format!("left {one}: a later run has left others of the endpoint")]);
    assert_eq!(files(&project, ".snap.new"), std::slice::from_ref(&name));
    assert_eq!(project.run(["accept", one]).code(), 0);
}

#[test]
fn a_file_that_does_not_say_its_runs_verdict_is_read_and_says_so() {
    let project = project("lab:");
    project.run(["test", "--seed", "1"]);
    for name in files(&project, ".snap.new") {
        let path = project.path("snapshots").join(&name);
        let text = fs::read_to_string(&path).expect("it waits");
        assert_says(&text, &["verdict: unmeasured"]);
        fs::write(&path, text.replace("  verdict: unmeasured\n", "")).expect("written");
    }
    let listed = project.run(["pending"]);
    assert_says(&listed.stdout, &["m/host: verdict unknown, in run 0", " new: nothing was approved yet\n"]);
    assert!(waiting(&project).iter().all(|found| found["verdict"].is_null()));
    assert_eq!(project.run(["accept", "--all"]).code(), 0);
}
