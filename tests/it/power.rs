//! `samemodel lab`: its list of faults, and the measurement of power by a design small enough for every change.

use std::collections::BTreeSet;
use std::path::Path;

use samemodel::probe::{self, Probe};
use serde_json::Value;

use crate::fixture::{Project, Run, assert_says};

const DESIGN: &str = "sampled=3,answers=4,greedy=8,tokens=16";

fn power(project: &Project, further: &[&str]) -> Run {
    let prompts = format!("{}/prompts/lab", env!("CARGO_MANIFEST_DIR"));
    let usual = ["lab", "power", "--design", DESIGN, "--seeds", "2", "--probes", &prompts];
    project.run_as_is(&[&usual, further].concat())
}

const CASES: [&str; 6] = ["--fault", "", "--fault", "double-bos", "--fault", "swapped-model"];

#[test]
fn power_is_the_same_to_the_last_digit_and_what_is_known_is_not_measured_again() {
    let (one, other) = (Project::new(), Project::new());
    let first = power(&one, &[&CASES[..], &["--format", "json"]].concat());
    assert_eq!(first.code(), 0, "{}", first.stderr);
    assert_says(&first.stderr, &["trial 1 of 2", "trial 2 of 2"]);
    // One case alone comes out as it does in company.
    let alone = power(&other, &["--fault", "double-bos", "--format", "json"]);
    let row = |run: &Run, case: &str| -> Value {
        let report = run.json();
        let mut rows = report["rows"].as_array().expect("rows").iter();
        rows.find(|row| row["case"] == case).unwrap_or_else(|| panic!("no {case} in {report:#}")).clone()
    };
    assert_eq!(row(&first, "double-bos"), row(&alone, "double-bos"));
    let again = power(&one, &[&CASES[..], &["--format", "json"]].concat());
    assert_eq!(again.stdout, first.stdout);
    assert!(!again.stderr.contains("trial"), "{}", again.stderr);
    assert_eq!(row(&first, "double-bos")["detected"]["hits"], 2);
    assert_eq!(row(&first, "double-bos")["named"]["hits"], 2);
    assert_eq!(row(&first, "twin")["drifted"]["hits"], 0);
    assert!(row(&first, "double-bos")["tokens"].as_f64().is_some_and(|tokens| tokens > 0.0));

    let schema: Value = serde_json::from_str(include_str!("../../schemas/power.json")).expect("JSON");
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .expect("a schema")
        .iter_errors(&first.json())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");

    for (format, says) in [("table", "double-bos"), ("markdown", "| `twin` |"), ("svg", "<svg")] {
        let run = power(&one, &[&CASES[..], &["--format", format]].concat());
        assert_says(&run.stdout, &[says]);
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is() {
    let project = Project::new();
    power(&project, &["--fault", "double-boss"]).refuses(2, &["did you mean `double-bos`?"]);
    power(&project, &["--design", "answers=1"]).refuses(2, &["`answers=1` is no design", "`answers=10`"]);
    project.run_as_is(&["lab", "power", "--probes", "nowhere"]).refuses(2, &["nowhere does not exist"]);
    assert!(!project.path(".samemodel/history.db").exists());
}

#[test]
fn every_fault_is_explained_in_a_line_with_where_it_was_seen() {
    let run = Project::new().run_as_is(&["lab", "list", "--json"]);
    let faults = run.json()["faults"].as_array().expect("faults").clone();
    assert!(faults.len() >= 32, "{}", faults.len());
    let text = Project::new().run_as_is(&["lab", "list"]).stdout;
    for fault in &faults {
        for key in ["id", "about", "seen"] {
            let words = fault[key].as_str().expect("words");
            assert!(!words.is_empty() && !words.contains('\n') && text.contains(words), "{fault}");
        }
    }
}

#[test]
fn the_probes_that_report_share_no_question_with_those_that_choose() {
    let load = |set: &str| -> Vec<Probe> {
        probe::load(&[set.to_owned()], &Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts")).expect("probes")
    };
    let (choosing, reporting) = (load("lab"), load("lab-held-out"));
    let digests: BTreeSet<String> = choosing.iter().map(Probe::digest).collect();
    let shared: Vec<&str> =
        reporting.iter().filter(|probe| digests.contains(&probe.digest())).map(|probe| probe.id.as_str()).collect();
    assert!(shared.is_empty(), "{shared:?}");
    assert_eq!(choosing.len(), reporting.len(), "both are built alike");
}
