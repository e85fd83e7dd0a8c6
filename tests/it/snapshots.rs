//! Approved snapshots from taking to accepting, over real HTTP against the lab, with the program run as a user would.

use std::fs;

use crate::fixture::{Project, TELLING, assert_says};

/// Greedy and sampled probes enough for a verdict on another model.
const PROBES: [&str; 4] = ["sampled/poems.toml", "sampled/days.toml", "greedy/weather.toml", "greedy/stories.toml"];

/// A model of one endpoint that is held against its own snapshot.
pub fn project(address: &str) -> Project {
    Project::new()
        .with_model("reference", "\"snapshot\"")
        .with_default("samples", "8")
        .with_shipped_probes(&PROBES)
        .with_endpoint("host", address)
}

/// The file names of snapshots of this suffix, below the folder of snapshots.
pub fn files(project: &Project, suffix: &str) -> Vec<String> {
    let mut found: Vec<String> = project
        .files()
        .into_iter()
        .filter_map(|(path, _)| {
            let below = path.strip_prefix(project.path("snapshots")).ok()?.to_string_lossy().into_owned();
            below.ends_with(suffix).then_some(below)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn an_empty_baseline_is_unmeasured_and_what_was_answered_waits() {
    let project = project("lab:");
    let run = project.run(["check", "--seed", "1", "--format", "json"]);
    assert_eq!(run.code(), 3, "{}", run.stderr);
    assert_eq!(run.verdict("host"), "unmeasured");
    assert_says(&run.endpoint("host")["reason"].to_string(), &["no approved snapshot"]);
    assert_says(&run.stderr, &["wait for review in", "samemodel review"]);
    assert!(files(&project, ".snap").is_empty());
    let waiting = files(&project, ".snap.new");
    assert_eq!(run.json()["snapshots"]["waiting"], waiting.len());
    assert!(waiting.len() > 3, "{waiting:?}");
    let listed = project.run(["pending"]);
    assert_eq!(listed.code(), 0, "{}", listed.stderr);
    for name in &waiting {
        let probe = name.trim_start_matches("m/host/").trim_end_matches(".snap.new");
        assert_says(&listed.stdout, &[probe]);
    }
    assert!(listed.stdout.lines().count() <= waiting.len(), "{}", listed.stdout);
    assert_eq!(project.run(["pending", "--check"]).code(), 1);
}

#[test]
fn what_is_accepted_is_what_later_runs_are_held_against() {
    let project = project("lab:");
    project.run(["test", "--seed", "1"]);
    let accepted = project.run(["accept", "--all"]);
    assert_eq!(accepted.code(), 0, "{}", accepted.stderr);
    assert_says(&accepted.stderr, &["git add ", ", then samemodel test"]);
    assert!(
        accepted.stdout.starts_with("accepted ") && accepted.stdout.contains(" of m/host\n  "),
        "{}",
        accepted.stdout
    );
    assert!(files(&project, ".snap.new").is_empty());
    let approved = files(&project, ".snap");
    let text = fs::read_to_string(project.path("snapshots").join(&approved[0])).expect("a snapshot");
    assert_says(&text, &["schema: samemodel.snapshot/1", "model: m", "endpoint: host", "approved: ", " × {"]);
    let again = project.run(["test", "--seed", "2", "--format", "json"]);
    assert_ne!(again.verdict("host"), "drifted", "{}", again.stdout);
    assert_ne!(again.verdict("host"), "unmeasured", "{}", again.stdout);
    assert!(files(&project, ".snap.new").is_empty(), "{}", again.stderr);
}

#[test]
fn an_endpoint_that_drifts_waits_for_review_and_what_is_rejected_leaves_what_was_approved() {
    let honest = project("lab:");
    honest.run(["test", "--seed", "1", "--accept"]);
    let drifted = project("lab:swapped-model");
    copy(&honest, &drifted);
    let approved = drifted.files();
    let run = drifted.run(["test", "--seed", "2", "--format", "json"]);
    assert_eq!((run.code(), run.verdict("host").as_str()), (1, "drifted"), "{}", run.stderr);
    assert!(!files(&drifted, ".snap.new").is_empty());
    let shown = drifted.run(["show", "m/host"]);
    assert_says(&shown.stdout, &["drifted: ", "tolerance", "approved", "│ new"]);
    let rejected = drifted.run(["reject", "m"]);
    assert_eq!(rejected.code(), 0, "{}", rejected.stderr);
    for (path, bytes) in approved.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "snap")) {
        assert_eq!(&fs::read(path).expect("still there"), bytes, "{}", path.display());
    }
    assert!(files(&drifted, ".snap.new").is_empty());
}

/// Copies the approved snapshots of one project into another.
fn copy(from: &Project, to: &Project) {
    for name in files(from, ".snap") {
        let target = to.path("snapshots").join(&name);
        fs::create_dir_all(target.parent().expect("a folder")).expect("made");
        fs::copy(from.path("snapshots").join(&name), target).expect("copied");
    }
}

#[test]
fn in_ci_nothing_is_written_and_the_report_says_so() {
    let project = project("lab:").with_env("CI", "true");
    let run = project.run(["test", "--seed", "1", "--format", "json"]);
    assert_eq!(run.code(), 3);
    assert!(run.json()["snapshots"]["unwritten"].as_u64().is_some_and(|n| n > 3), "{}", run.stdout);
    assert_says(&run.stderr, &["none was written, since this is CI"]);
    assert!(!project.path("snapshots").exists());
}

#[test]
fn a_changed_probe_makes_its_snapshot_stale_and_no_drift() {
    let project = project("lab:").with_probe("extra", "Name a colour.");
    project.run(["test", "--seed", "1", "--accept"]);
    let project = project.with_probe("extra", "Name a fruit.");
    let run = project.run(["test", "--seed", "2", "--format", "json"]);
    assert_ne!(run.verdict("host"), "drifted");
    assert_says(&run.stdout, &["a stale snapshot of 1 probe (the probe has changed)"]);
    assert_eq!(files(&project, ".snap.new"), ["m/host/extra.snap.new"]);
    assert_says(&project.run(["pending"]).stdout, &["\n  extra stale: the probe has changed"]);
    let checked = project.run(["test", "--seed", "2", "--check"]);
    assert_ne!(checked.code(), 0, "--check passes nothing that has to be reviewed");
}

#[test]
fn unreferenced_snapshots_are_listed_and_deleted_only_on_request() {
    let project = project("lab:").with_probe("extra", "Name a colour.");
    project.run(["test", "--seed", "1", "--accept"]);
    fs::remove_file(project.path("prompts/extra.md")).expect("removed");
    let run = project.run(["test", "--seed", "2"]);
    assert_says(&run.stderr, &["1 snapshot is of probes or endpoints that are not configured", "m/host/extra"]);
    assert!(project.path("snapshots/m/host/extra.snap").exists());
    project.run(["test", "--seed", "2", "--unreferenced", "delete"]);
    assert!(!project.path("snapshots/m/host/extra.snap").exists());
}

#[cfg(unix)]
#[test]
fn on_a_full_disk_nothing_is_approved_by_halves_and_what_waits_still_waits() {
    let project = project("lab:");
    project.run(["test", "--seed", "1"]);
    let before = project.files();
    let full = project.run_on_a_full_disk(0, ["accept", "--all"]);
    full.refuses(70, &["cannot write ", "what was there is unchanged"]);
    assert_eq!(project.files(), before);
    assert_eq!(project.run(["accept", "--all"]).code(), 0);
    assert_eq!(project.run(["pending", "--check"]).code(), 0);
}

#[test]
fn a_check_whose_snapshots_cannot_be_written_is_gone_on_with_and_asks_nothing_again() {
    let project = project("lab:");
    let first = project.run(["check", "--seed", "1", "--format", "json"]);
    let waiting = project.path("snapshots").join(&files(&project, ".snap.new")[0]);
    fs::remove_file(&waiting).expect("it goes");
    fs::create_dir(&waiting).expect("no file can take its place");
    project.run(["check", "--seed", "1", "--quiet"]).refuses(70, &["cannot write "]);
    fs::remove_dir(&waiting).expect("it goes");
    let again = project.run(["check", "--resume", "--format", "json"]);
    assert_eq!(again.verdict("host"), "unmeasured", "{}", again.stderr);
    assert_eq!(again.endpoint("host")["attempts"], first.endpoint("host")["attempts"]);
    assert!(waiting.is_file(), "{}", again.stderr);
}

#[test]
fn a_report_on_a_test_is_held_against_the_snapshots_of_then_and_against_nothing_else() {
    let project = Project::new()
        .with_default("samples", "8")
        .with_shipped_probes(&PROBES)
        .with_endpoint("reference", "lab:")
        .with_endpoint("host", "lab:swapped-model");
    project.run(["test", "--seed", "1", "--accept"]);
    let tested = project.run(["test", "--seed", "2", "--format", "json"]);
    assert_ne!(tested.verdict("host"), "drifted", "{:#}", tested.endpoint("host"));
    let again = project.run(["report", "--format", "json"]);
    assert_eq!(again.json()["reference"], "snapshot", "{}", again.stderr);
    assert_eq!(again.json()["endpoints"], tested.json()["endpoints"]);
    assert_eq!(again.stderr, "", "it writes nothing, and says nothing of writing");
    fs::remove_dir_all(project.path("snapshots/m/host")).expect("it goes");
    project.run(["report"]).refuses(2, &["held against approved snapshots", "are others now", "samemodel test m"]);
    project.run(["test", "--seed", "3", "--accept"]);
    project.run(["report"]).refuses(2, &["held against approved snapshots", "approved since it began"]);
}

#[test]
fn what_is_not_there_is_told_from_what_does_not_wait() {
    let project = project("lab:");
    project.run(["test", "--seed", "1", "--accept"]);
    project.run(["accept", "m/host"]).refuses(2, &["nothing of `m/host` waits for review, nor of others"]);
    project.run(["accept", "m/hots"]).refuses(2, &["nothing is named `m/hots`: nothing waits for review"]);
}

#[test]
fn a_test_that_was_stopped_is_gone_on_with_as_a_test() {
    let price = "price = { input = 0.0, output = 1000000.0 }\n";
    let project = Project::new()
        .with_probe("weather", "What is the weather in Rome?")
        .with_default("max_tokens", "4")
        .with_endpoint_and("reference", "lab:", "", price)
        .with_endpoint_and("twin", "lab:", "", price);
    project.run(["test", "m", "--budget", "6"]);
    project
        .run(["check", "m", "--resume", "--budget", "999"])
        .refuses(2, &["no run of `m`", "samemodel test --resume"]);
    let whole = project.run(["test", "m", "--resume", "--budget", "999", "--format", "json"]);
    assert_eq!(whole.json()["partial"], serde_json::Value::Null, "{}", whole.stderr);
    assert_eq!(whole.json()["reference"], "snapshot");
    assert_says(&whole.stderr, &["going on with run ", " of 4 answered"]);
}

#[test]
fn a_broken_snapshot_is_an_error_and_never_left_out() {
    let project = project("lab:");
    project.run(["test", "--seed", "1", "--accept"]);
    let name = files(&project, ".snap").swap_remove(0);
    let path = project.path("snapshots").join(&name);
    let text = fs::read_to_string(&path).expect("a snapshot");
    fs::write(&path, text.replacen(" × ", " times ", 1)).expect("written");
    project
        .run(["test", "--seed", "2"])
        .refuses(2, &[&name, "is no snapshot: line ", "restore it from version control"]);
}

#[test]
fn a_filter_that_means_nothing_and_a_review_without_a_terminal_say_what_to_do() {
    let project = project("lab:");
    project.run(["accept", "nobody"]).refuses(2, &["nothing is named `nobody`", "nothing waits for review"]);
    project.run(["review"]).refuses(2, &["a review needs a terminal", "samemodel pending", "samemodel accept"]);
    project.run(["accept"]).refuses(2, &["required"]);
    let project = project.with_env("SAMEMODEL_UPDATE", "sometimes");
    project.run(["test"]).refuses(2, &["SAMEMODEL_UPDATE is `sometimes`", "auto, new, always, unseen or no"]);
}

#[test]
fn an_endpoint_that_answered_and_has_no_snapshot_says_that_and_not_what_failed_on_the_way() {
    let project = project("lab:flaky-host");
    let run = project.run(["check", "--seed", "1", "--format", "json"]);
    let host = run.endpoint("host");
    assert!(host["errors"].as_u64().is_some_and(|n| n > 0), "{host:#}");
    assert!(host["samples"].as_u64().is_some_and(|n| n > 50), "{host:#}");
    assert_says(&host["reason"].to_string(), &["no approved snapshot: ", " answers wait for review"]);
    let taken = project.run(["test", "--seed", "2", "--accept", "--format", "json"]);
    assert_says(&taken.endpoint("host")["reason"].to_string(), &["no approved snapshot", " approved now"]);
    let project = project.with_env("CI", "true").with_endpoint("other", "lab:");
    let in_ci = project.run(["test", "--seed", "3", "--format", "json"]);
    assert_says(&in_ci.endpoint("other")["reason"].to_string(), &["no approved snapshot: ", "nothing is written"]);
}

#[test]
fn a_control_is_held_against_what_was_approved_of_each_endpoint_by_itself() {
    let project = thorough("lab:")
        .with_endpoint("small", "lab:swapped-model")
        .with_endpoint("control", "lab:swapped-model")
        .with_model("control", "\"control\"");
    let first = project.run(["test", "--seed", "1", "--accept"]);
    assert_says(&first.stdout, &["control answered, and there is nothing approved to tell it apart from"]);
    let run = project.run(["test", "--seed", "2", "--format", "json"]);
    let report = run.json();
    assert!(report["control"]["p_value"].as_f64().is_some_and(|p| p <= 0.05), "{:#}", report["control"]);
    let warnings = report["warnings"].to_string();
    assert_says(&warnings, &["`small`: the control `control` is not told apart from its earlier answers"]);
    assert!(!warnings.contains("no unit"), "{warnings}");
    for name in ["host", "small"] {
        assert_ne!(run.verdict(name), "drifted", "{}", run.stdout);
    }
    let shown = project.run(["test", "--seed", "3"]);
    assert_says(&shown.stdout, &["the tests can fire"]);
}

/// A host that is asked one probe, with these lines of the defaults, of the probe and of the endpoint.
fn asked((key, value): (&str, &str), probe: &str, endpoint: &str) -> Project {
    let probe = format!("about = \"A story.\"\n{probe}");
    Project::new()
        .with_model("reference", "\"snapshot\"")
        .with_default("samples", "6")
        .with_default(key, value)
        .with_file("prompts/own.toml", &probe)
        .with_endpoint_and("host", "lab:", "", endpoint)
}

const PLAIN: &str = "[[message]]\nrole = \"user\"\ncontent = \"Tell me a story about a fox.\"\n";

#[test]
fn what_ones_own_configuration_changed_is_stale_and_no_drift() {
    let unchanged = ("samples", "6");
    let approved = asked(unchanged, PLAIN, "");
    approved.run(["test", "--seed", "1", "--accept"]);
    let with = |parameters: &str| format!("parameters = {{ {parameters} }}\n{PLAIN}");
    let tool = "[[tool]]\nname = \"look\"\ndescription = \"\"\n[tool.parameters]\ntype = \"object\"\n";
    let changed = [
        ("the cap", asked(("max_tokens", "6"), PLAIN, "")),
        ("the effort", asked(("reasoning", "{ effort = \"high\" }"), PLAIN, "")),
        ("the allowance", asked(("reasoning", "{ allowance = 40 }"), PLAIN, "")),
        ("the temperature", asked(("temperature", "0.3"), PLAIN, "")),
        ("the probe's cap", asked(unchanged, &with("max_tokens = 6"), "")),
        ("the probe's top_p", asked(unchanged, &with("top_p = 0.2"), "")),
        ("the probe's seed", asked(unchanged, &with("seed = 7"), "")),
        ("the probe's temperature", asked(unchanged, &with("temperature = 0.3"), "")),
        ("the probe's effort", asked(unchanged, &with("reasoning_effort = \"high\""), "")),
        ("the text", asked(unchanged, &PLAIN.replace("fox", "hen"), "")),
        ("a system message", {
            let system = format!("[[message]]\nrole = \"system\"\ncontent = \"You are a king.\"\n\n{PLAIN}");
            asked(unchanged, &system, "")
        }),
        ("a tool", asked(unchanged, &format!("{PLAIN}\n{tool}"), "")),
        ("the endpoint's top_p", asked(unchanged, PLAIN, "extra_body = { top_p = 0.2 }\n")),
        ("the endpoint's top_k", asked(unchanged, PLAIN, "extra_body = { top_k = 1 }\n")),
    ];
    for (what, project) in changed {
        copy(&approved, &project);
        let run = project.run(["test", "--seed", "2", "--format", "json"]);
        assert_eq!(run.verdict("host"), "unmeasured", "{what}: {}", run.endpoint("host"));
        assert_says(&run.endpoint("host")["reason"].to_string(), &["a stale snapshot of 1 probe (", "wait for review"]);
    }
    for project in [asked(("send_seed", "true"), PLAIN, ""), asked(("stream", "false"), PLAIN, "")] {
        copy(&approved, &project);
        let run = project.run(["test", "--seed", "2", "--format", "json"]);
        assert!(!["drifted", "unmeasured"].contains(&run.verdict("host").as_str()), "{}", run.endpoint("host"));
    }
    let same = asked(unchanged, PLAIN, "extra_body = { top_k = 1 }\n");
    same.run(["test", "--seed", "1", "--accept"]);
    let run = same.run(["test", "--seed", "2", "--format", "json"]);
    assert_ne!(run.verdict("host"), "unmeasured", "what the endpoint adds is as it was: {}", run.endpoint("host"));
}

/// A model of a host and a reference at this address.
fn fleet(reference: &str) -> Project {
    Project::new()
        .with_default("samples", "8")
        .with_shipped_probes(&PROBES)
        .with_endpoint("reference", reference)
        .with_endpoint("host", "lab:")
}

#[test]
fn a_reference_that_moved_holds_back_the_verdicts_on_others() {
    let before = fleet("lab:");
    before.run(["test", "--seed", "1", "--endpoint", "reference", "--accept"]);
    let steady = before.run(["check", "--seed", "2", "--format", "json"]);
    assert_ne!(steady.json()["reference_past"]["state"], "reference-moved", "{}", steady.stdout);
    let moved = fleet("lab:swapped-model");
    copy(&before, &moved);
    let run = moved.run(["check", "--seed", "3", "--format", "json"]);
    assert_eq!((run.code(), run.verdict("host").as_str()), (1, "inconclusive"), "{}", run.stderr);
    assert_eq!(run.json()["reference_past"]["state"], "reference-moved");
    assert_says(&run.endpoint("host")["reason"].to_string(), &["held back, since the reference `reference` has moved"]);
    assert!(files(&moved, ".snap.new").iter().all(|name| name.starts_with("m/reference/")));
}

#[test]
fn without_a_snapshot_the_reference_is_held_against_its_latest_run() {
    let project = fleet("lab:");
    let first = project.run(["check", "--seed", "1", "--format", "json"]);
    assert!(first.json().get("reference_past").is_none(), "there is no past yet");
    let text = fs::read_to_string(project.path("providers.toml")).expect("a configuration");
    fs::write(project.path("providers.toml"), text.replacen("lab:", "lab:swapped-model", 1)).expect("written");
    let run = project.run_as_is(&["check", "--seed", "2", "--format", "json"]);
    assert_eq!(run.json()["reference_past"]["state"], "reference-moved", "{}", run.stdout);
    assert_says(&run.json()["reference_past"]["against"].to_string(), &["run 0"]);
    assert!(!project.path("snapshots").exists(), "nobody asked for snapshots");
}

/// Runs of the test below: a few in every run of the tests, and as many as `SAMEMODEL_RUNS` says by hand.
fn runs() -> u64 {
    std::env::var("SAMEMODEL_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

/// A model with enough probes for every fault below to show, at this address.
fn thorough(address: &str) -> Project {
    Project::new()
        .with_model("reference", "\"snapshot\"")
        .with_shipped_probes(&TELLING)
        .with_default("samples", "6")
        .with_endpoint("host", address)
}

/// Of `SAMEMODEL_RUNS` runs, twenty against each baseline, an honest host may wait in one of twenty; each fault must wait within
/// three runs. Every other honest run sums in another order than the baseline did.
#[test]
fn an_honest_host_rarely_waits_for_review_and_each_fault_does_within_three_runs() {
    let (mut honest_runs, mut waited, mut late) = (0_u64, Vec::new(), Vec::new());
    let baselines = runs().div_ceil(20);
    for baseline in 0..baselines {
        let approved = thorough("lab:");
        approved.run(["test", "--accept", "--seed", &(3000 + baseline).to_string()]);
        let checked = |address: &str, seed: u64| {
            let project = thorough(address);
            copy(&approved, &project);
            let run = project.run(["test", "--quiet", "--seed", &seed.to_string()]);
            assert!(run.code() != 2 && run.code() != 70, "{}", run.stderr);
            !files(&project, ".snap.new").is_empty()
        };
        for n in 0..(runs() - 20 * baseline).min(20) {
            let address = if n % 2 == 0 { "lab:sums=other" } else { "lab:" };
            honest_runs += 1;
            if checked(address, 4000 + 100 * baseline + n) {
                waited.push((baseline, n));
            }
        }
        for fault in ["lab:swapped-model", "lab:temperature-ignored", "lab:hidden-system-prompt"] {
            if !(0..3).any(|n| checked(fault, 9000 + 100 * baseline + n)) {
                late.push((baseline, fault));
            }
        }
    }
    println!(
        "{} of {honest_runs} honest runs waited; of {} faults {} waited too late",
        waited.len(),
        3 * baselines,
        late.len()
    );
    assert!(late.is_empty(), "not within three runs: {late:?}");
    assert!(waited.len() as f64 <= 0.05 * honest_runs as f64, "{} of {honest_runs} waited: {waited:?}", waited.len());
}

#[test]
fn a_test_of_a_users_own_fails_with_the_report_while_nothing_is_approved() {
    let project = thorough("lab:");
    project.write();
    let question = samemodel::assertion::Question::new(project.path("providers.toml"), "m").endpoint("host").seed(1);
    let report = samemodel::assertion::check(&question).expect("a report");
    assert_eq!(report.overall(), samemodel::verdict::Verdict::Unmeasured);
    let failed = std::panic::catch_unwind(|| samemodel::assert_same_model!(question.clone().seed(2)));
    let message = *failed.expect_err("nothing is approved").downcast::<String>().expect("a message");
    assert_says(&message, &["samemodel review shows what waits", "no approved snapshot"]);
    let missing = samemodel::assertion::Question::new(project.path("none.toml"), "m");
    let error = samemodel::assertion::check(&missing).expect_err("there is no such file").to_string();
    assert_says(&error, &["none.toml"]);
}
