//! Machines and files that are not as expected: told before anything is asked, and nothing is left half done.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::fixture::{Project, assert_says};
use crate::host::{Host, Request, response};

/// Answers, unless the path says that it does not.
fn answer(request: &Request) -> Vec<u8> {
    if request.path.contains("down") {
        return response("500 Oops", &[], "{}");
    }
    let choice = json!({"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"});
    response("200 OK", &[], &json!({"model": "m", "choices": [choice]}).to_string())
}

fn project(host: &Host) -> Project {
    Project::new()
        .with_probe("p", "Tell me of the sea.")
        .with_default("retry", "{ tries = 1, down_after = 1 }")
        .with_endpoint("reference", &host.url("up"))
        .with_endpoint("same", &host.url("up"))
}

/// Nothing was asked: there is no history, or no run in it.
fn assert_unasked(project: &Project) {
    if project.path(".samemodel/history.db").exists() {
        assert_eq!(project.run_as_is(&["export", "--what", "attempts"]).code(), 2);
    }
}

#[test]
fn an_output_that_cannot_be_written_or_is_the_configuration_is_refused_before_anything_is_asked() {
    let host = Host::start(answer);
    let other = "\n[model.n]\nreference = { samples = 'recorded.jsonl' }\nprobes = ['prompts']\n\
                 [[model.n.endpoint]]\nname = 'e'\nprovider = 'keyed'\nmodel = 'e'\n";
    let project = project(&host)
        .with_keyed_endpoint("keyed", &host.url("up"), "HOST_KEY")
        .with_tables(other)
        .with_env("HOST_KEY_FILE", "key")
        .with_file("key", "sk-0123456789")
        .with_file("recorded.jsonl", "");
    fs::create_dir_all(project.path("snapshots/m")).expect("a folder");
    for (output, said) in [
        ("absent/report", "cannot write absent/report"),
        ("prompts", "it is a folder"),
        ("providers.toml", "is providers.toml, which is read"),
        ("./prompts/../providers.toml", "which is read"),
        ("prompts/p.md", "which is read"),
        ("prompts/new.md", "is among the probes of prompts"),
        ("recorded.jsonl", "is recorded.jsonl, which is read"),
        ("key", "is key, which is read"),
        ("snapshots/m/a.snap", "where snapshots are kept"),
        ("elsewhere.snap", "where snapshots are kept"),
        (".samemodel/history.db", "where the history is kept"),
        (".samemodel/history.db-wal", "where the history is kept"),
        (".samemodel/lock", "where the history is kept"),
    ] {
        let run = project.run(["check", "m", "--quiet", "-o", output]);
        assert_eq!(run.code(), 2, "{}", run.stderr);
        assert_says(&run.stderr, &[said]);
        assert_unasked(&project);
    }
    let run = project.run(["check", "m", "--quiet", "--format", "json", "-o", "report.json"]);
    let report = fs::read(project.path("report.json")).expect("a report");
    assert!(serde_json::from_slice::<Value>(&report).is_ok(), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn no_verb_writes_over_the_history_or_a_probe() {
    let host = Host::start(answer);
    let project = project(&host);
    project.run(["check", "m", "--quiet"]);
    let (history, probe) = (project.path(".samemodel/history.db"), project.path("prompts/p.md"));
    #[cfg(unix)]
    for (target, link) in [(&probe, "soft.md"), (&history, "soft.db")] {
        std::os::unix::fs::symlink(target, project.path(link)).expect("a link");
    }
    let before = (fs::read(&history).expect("a history"), fs::read(&probe).expect("a probe"));
    let links: &[&str] = if cfg!(unix) { &["soft.md", "soft.db"] } else { &[] };
    for output in [".samemodel/history.db", "prompts/p.md"].iter().chain(links) {
        for verb in [
            &["check", "m"][..],
            &["test", "m"],
            &["report"],
            &["export"],
            &["metrics"],
            &["doctor", "m"],
            &["compare", "none.jsonl", "--reference", "r"],
            &["lab", "power", "--seeds", "1"],
            &["lab", "export", "--model", "small", "--force"],
        ] {
            let run = project.run_as_is(&[verb, &["--output", *output]].concat());
            run.refuses(2, &["the output", "name another file"]);
        }
    }
    assert!(fs::read(&history).expect("a history") == before.0, "the history is as it was");
    assert!(fs::read(&probe).expect("a probe") == before.1, "the probe is as it was");
}

#[test]
fn a_file_of_metrics_that_is_read_or_kept_is_refused_before_anything_is_asked() {
    let host = Host::start(answer);
    for file in ["providers.toml", ".samemodel/history.db", "prompts/p.md", "snapshots/metrics"] {
        let project = project(&host).with_tables(&format!("\n[metrics]\nfile = '{file}'\n"));
        fs::create_dir_all(project.path(".samemodel")).expect("a folder");
        fs::create_dir_all(project.path("snapshots")).expect("a folder");
        let run = project.run(["check", "m", "--quiet"]);
        run.refuses(2, &["the file of [metrics]", "name another file"]);
        assert_unasked(&project);
        let text = fs::read_to_string(project.path("providers.toml")).expect("there");
        assert!(text.starts_with("[defaults]"), "{text}");
    }
    let times = "\n[metrics]\nfile = 'providers.toml'\n[watch.full]\ncron = '@daily'\n";
    let watched = project(&host).with_tables(times);
    watched.run(["watch", "--once"]).refuses(2, &["the file of [metrics]"]);
    assert_unasked(&watched);
}

#[test]
fn a_data_directory_that_is_none_and_a_configuration_without_models_are_told() {
    let host = Host::start(answer);
    let project = project(&host).with_file(".samemodel", "mine");
    project.run(["check", "m", "--quiet"]).refuses(2, &[".samemodel is no folder"]);
    for verb in ["history", "report", "export", "metrics"] {
        project.run_as_is(&[verb]).refuses(2, &[".samemodel is no folder"]);
    }
    assert_eq!(fs::read_to_string(project.path(".samemodel")).expect("there"), "mine");
    fs::write(project.path("providers.toml"), "").expect("written");
    for arguments in [&["plan", "m"][..], &["plan"], &["check"]] {
        project.run_as_is(arguments).refuses(2, &["the configuration has no model: add one under [model.<name>]"]);
    }
}

/// Requests that [`counting`] has had.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

fn counting(request: &Request) -> Vec<u8> {
    COUNTED.fetch_add(1, Ordering::SeqCst);
    answer(request)
}

#[test]
fn an_examination_that_could_not_be_kept_asks_nothing() {
    let host = Host::start(counting);
    project(&host).with_file(".samemodel", "mine").run(["doctor", "m"]).refuses(2, &[".samemodel is no folder"]);
    assert_eq!(COUNTED.load(Ordering::SeqCst), 0);
}

#[test]
fn samples_that_are_compressed_or_have_no_end_are_refused_with_what_to_do() {
    let project = Project::new();
    fs::write(project.path("s.jsonl.gz"), b"\x1f\x8b\x08\0\0\0\n\0\xff\n\0").expect("written");
    let run = project.run_as_is(&["compare", "s.jsonl.gz", "--reference", "r"]);
    run.refuses(2, &["compressed by gzip", "zcat FILE | samemodel compare -"]);
    assert!(!run.stderr.contains("more bad"), "{}", run.stderr);
    #[cfg(unix)]
    project.run_as_is(&["compare", "/dev/zero", "--reference", "r"]).refuses(2, &["the line is longer than"]);
}

#[test]
fn where_nothing_is_measured_machine_formats_are_valid_and_say_so() {
    let host = Host::start(answer);
    let project = project(&host).with_endpoint("third", &host.url("up")).with_model("reference", "\"broken\"");
    let project = project.with_endpoint("broken", &host.url("down"));
    for (format, says) in [
        ("json", "\"there is nothing to report: the reference `broken` has no answers"),
        ("junit", "<error message=\"unmeasured: the reference `broken` has no answers"),
        ("markdown", "the reference"),
        ("github", "the reference"),
    ] {
        let run = project.run(["check", "m", "--quiet", "--format", format]);
        assert_eq!(run.code(), 3, "{}", run.stderr);
        assert_says(&run.stdout, &[says]);
        assert_says(&run.stderr, &["has no answers"]);
        if format == "json" {
            let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
            assert_eq!(report["endpoints"].as_array().map(Vec::len), Some(3));
            assert!(report["endpoints"].as_array().expect("a list").iter().all(|e| e["verdict"] == "unmeasured"));
        }
    }
    fs::write(project.path("report.json"), "old").expect("written");
    let terminal = project.run(["check", "m", "--quiet", "-o", "report.json"]);
    assert_eq!(terminal.code(), 3);
    assert_eq!(fs::read_to_string(project.path("report.json")).expect("there"), "old", "people read the error");
    fs::write(project.path("none.jsonl"), "").expect("written");
    let compared = project.run(["compare", "none.jsonl", "--reference", "r", "--format", "json"]);
    assert_eq!(compared.code(), 3, "{}", compared.stderr);
    assert!(serde_json::from_str::<Value>(&compared.stdout).is_ok(), "{}", compared.stdout);
}

#[test]
fn a_clock_before_1970_and_samples_without_end_are_refused() {
    let host = Host::start(answer);
    let early = project(&host).with_env("SAMEMODEL_NOW", "1969-12-31T00:00:00Z");
    let run = early.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert_says(&run.stderr, &["1969-12-31T00:00:00Z, which is before 1970"]);
    assert_unasked(&early);
    let project = project(&host);
    let run = project.run(["check", "m", "--quiet", "--samples", "1000000000"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert_says(&run.stderr, &["must be at most 100000"]);
    let many = "about = \"Many.\"\nsamples = 4000000000\n[[message]]\nrole = \"user\"\ncontent = \"x\"\n";
    let project = project.with_file("prompts/many.toml", many);
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert_says(&run.stderr, &["are the most"]);
    assert_unasked(&project);
}

#[cfg(unix)]
#[test]
fn a_pipe_among_the_prompts_and_a_lock_that_is_a_link_are_refused() {
    let host = Host::start(answer);
    let project = project(&host);
    let pipe = project.path("prompts/pipe.md");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert_says(&run.stderr, &["pipe.md is no ordinary file"]);
    fs::remove_file(&pipe).expect("removed");
    assert_unasked(&project);
    let pipe = project.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    for arguments in [&["-o", "pipe"][..], &["-c", "pipe"]] {
        let run = project.run_as_is(&[&["check", "m", "--quiet"][..], arguments].concat());
        run.refuses(2, &["pipe: it is a named pipe"]);
    }
    fs::remove_file(&pipe).expect("removed");
    assert_unasked(&project);
    fs::create_dir_all(project.path(".samemodel")).expect("a folder");
    fs::write(project.path("precious"), "kept").expect("written");
    let _ = fs::remove_file(project.path(".samemodel/lock"));
    std::os::unix::fs::symlink(project.path("precious"), project.path(".samemodel/lock")).expect("a link");
    let run = project.run(["check", "m", "--quiet"]);
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert_says(&run.stderr, &["the lock is a symbolic link"]);
    assert_eq!(fs::read_to_string(project.path("precious")).expect("there"), "kept");
    assert_unasked(&project);
}
