//! The files under `contrib/`: they parse, and the command lines in them are ones that the program takes.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use samemodel::cli::args::Cli;
use serde_json::Value;

fn contrib(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("contrib/{name}: {error}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib")
}

#[track_caller]
fn is_taken(words: &[&str]) {
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

/// The words of the program's command lines within text, without what the shell makes of the rest.
fn command_lines(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(command_line).collect()
}

fn command_line(line: &str) -> Option<Vec<&str>> {
    let begins =
        line.find("/usr/local/bin/samemodel ").or_else(|| line.find("run: samemodel ").map(|at| at + "run: ".len()));
    let words = line[begins?..].split_whitespace();
    Some(words.take_while(|word| !word.starts_with(['>', '|', ';', '&'])).collect())
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let files = [
        ("systemd/samemodel.service", 1),
        ("systemd/samemodel-watch.service", 1),
        ("cron/samemodel", 3),
        ("github/samemodel.yml", 2),
    ];
    for (name, count) in files {
        let text = contrib(name);
        let lines = command_lines(&text);
        assert_eq!(lines.len(), count, "{name}: {lines:?}");
        for words in &lines {
            is_taken(words);
        }
    }
}

#[test]
fn units_have_sections_of_keys_and_values() {
    for name in ["samemodel.service", "samemodel-watch.service", "samemodel.timer"] {
        let text = contrib(&format!("systemd/{name}"));
        let mut sections = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(section) => sections.push(section),
                None => {
                    assert!(
                        line.split_once('=').is_some_and(|(key, _)| key.chars().all(char::is_alphabetic)),
                        "{line}"
                    );
                }
            }
        }
        assert_eq!(sections[0], "Unit", "{name}");
    }
}

#[test]
fn lines_of_the_crontab_have_times_that_are_cron_expressions_a_user_and_a_command() {
    let text = contrib("cron/samemodel");
    let is_job = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit() || c == '*');
    let jobs: Vec<&str> = text.lines().filter(is_job).collect();
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        let words: Vec<&str> = job.split_whitespace().collect();
        samemodel::config::cron(&words[..5].join(" ")).unwrap_or_else(|error| panic!("{job}: {error}"));
        assert_eq!(words[5], "samemodel", "the user in {job}");
    }
}

#[test]
fn the_cron_job_of_kubernetes_runs_one_at_a_time_and_a_command_that_the_program_takes() {
    let text = contrib("kubernetes/cronjob.yaml");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let job = documents.iter().find(|d| d["kind"] == "CronJob").expect("a CronJob");
    assert_eq!(job["spec"]["concurrencyPolicy"], "Forbid");
    samemodel::config::cron(job["spec"]["schedule"].as_str().expect("times")).expect("a cron expression");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let words = |key: &str| container[key].as_array().expect("a list").iter().map(|w| w.as_str().expect("a word"));
    is_taken(&words("command").chain(words("args")).collect::<Vec<_>>());
    let claimed = &pod["volumes"][1]["persistentVolumeClaim"]["claimName"];
    assert!(documents.iter().any(|d| d["kind"] == "PersistentVolumeClaim" && d["metadata"]["name"] == *claimed));
}

#[test]
fn the_workflow_is_yaml_with_times_and_a_job() {
    let workflow: Value = serde_saphyr::from_str(&contrib("github/samemodel.yml")).expect("YAML");
    let cron = workflow["on"]["schedule"][0]["cron"].as_str().expect("times");
    samemodel::config::cron(cron).expect("a cron expression");
    assert!(workflow["jobs"]["check"]["steps"].as_array().is_some_and(|steps| steps.len() > 3));
}
