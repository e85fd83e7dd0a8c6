//! `samemodel history` and `export`: what runs came to, over time, on the screen, as files, and as tables to query.

use std::fs;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::fixture::{Project, assert_says};

/// A history of two runs of a small fleet in which one endpoint drifts.
fn checked() -> Project {
    let project = Project::new()
        .with_shipped_probes(&["greedy/weather.toml"])
        .with_probe("day", "Plan a day in Prague.")
        .with_default("samples", "4")
        .with_endpoint("reference", "lab:")
        .with_endpoint_and("double-bos", "lab:double-bos", "", "price = { input = 1.0, output = 2.0 }\n")
        .with_endpoint("twin", "lab:flaky-host=0.3");
    for seed in ["5", "6"] {
        let run = project.run(["check", "m", "--seed", seed, "--quiet"]);
        assert_eq!(run.code(), 1, "{}", run.stderr);
    }
    project
}

#[test]
fn a_history_is_listed_charted_exported_queried_and_pruned() {
    let project = checked();
    let list = project.run(["history"]);
    assert_eq!(list.code(), 0, "{}", list.stderr);
    assert_eq!(list.stdout.lines().count(), 2, "{}", list.stdout);
    assert_says(&list.stdout, &["1 drifted (double-bos)", "answers", "errors"]);
    chart(&project);
    exports(&project);
    queries(&project);
    pruning(&project);
}

fn chart(project: &Project) {
    let chart = project.run(["history", "m", "--endpoint", "double-bos"]);
    assert_says(&chart.stdout, &["double-bos\n", "drifted", "┊", "tolerance"]);
    assert_eq!(chart.stdout.matches("  drifted  ").count(), 2, "{}", chart.stdout);
    let ascii = Project::command(project, &["history", "m", "--endpoint", "double-bos"]).env("LC_ALL", "C").output();
    assert!(ascii.expect("it runs").stdout.is_ascii());
    assert_eq!(project.run(["history", "m/double-bos"]).stdout, chart.stdout, "as alerts name it");
    let unknown = ["judged an endpoint `tripled`", "known here: ", "`double-bos`"];
    project.run(["history", "m", "--endpoint", "tripled"]).refuses(2, &unknown);
    project.run(["history", "n"]).refuses(2, &["no run of `n`"]);
    for verb in ["report", "export"] {
        project.run([verb, "--model", "n"]).refuses(2, &["no run of `n`", "`m`"]);
    }
    assert_eq!(project.run(["history", "--model", "m"]).stdout, project.run(["history", "m"]).stdout);
    project.run(["history", "--model", "n"]).refuses(2, &["no run of `n`"]);
    project.run(["history", "m", "--model", "m"]).refuses(2, &["--model"]);
    project.run(["history", "--limit", "0"]).refuses(2, &["--limit"]);
    let json = project.run(["history", "--limit", "1", "--format", "json"]).json();
    assert_eq!(json["schema"], "samemodel.history/1");
    assert_eq!(json["runs"].as_array().expect("runs").len(), 1);
}

fn exports(project: &Project) {
    let csv = |arguments: [&str; 5]| {
        let run = project.run(arguments);
        assert_eq!(run.code(), 0, "{}", run.stderr);
        let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
        let names: Vec<String> = reader.headers().expect("names").iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("as many fields as names")).collect();
        (names, rows)
    };
    let (names, rows) = csv(["export", "--what", "results", "--format", "csv"]);
    assert_eq!(rows.len(), 4, "two endpoints in each of two runs");
    let column = |name: &str| names.iter().position(|n| n == name).expect("a column");
    let drifted = rows.iter().filter(|row| &row[column("verdict")] == "drifted");
    assert_eq!(drifted.map(|row| row[column("endpoint")].to_owned()).collect::<Vec<_>>(), ["double-bos", "double-bos"]);
    for row in &rows {
        row[column("started_at")].parse::<jiff::Timestamp>().expect("a time");
        row[column("tolerance")].parse::<f64>().expect("a number");
    }
    let (names, samples) = csv(["export", "--what", "samples", "--format", "csv"]);
    let kind = names.iter().position(|n| n == "error_kind").expect("a column");
    let answers = samples.iter().filter(|row| row[kind].is_empty()).count();
    let (_, attempts) = csv(["export", "--what", "attempts", "--format", "csv"]);
    assert_eq!(attempts.len(), samples.len());
    let lines = project.run(["export", "--what", "attempts"]).stdout;
    let answered = lines.lines().filter(|line| line.contains("\"outcome\":\"answered\"")).count();
    assert_eq!(answered, answers);
}

/// The `sql` blocks of the page on the history, each of which must give rows.
fn queries(project: &Project) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/history.md");
    let page = fs::read_to_string(page).expect("the page");
    let mut queries = Vec::new();
    let mut inside = false;
    for event in Parser::new(&page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) if &*kind == "sql" => {
                inside = true;
                queries.push(String::new());
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(text) if inside => queries.last_mut().expect("it began").push_str(&text),
            _ => {}
        }
    }
    assert!(queries.len() >= 4, "the page has {} queries", queries.len());
    let history = project.path(".samemodel/history.db");
    let run = async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(history).read_only(true);
        let mut file = options.connect().await.expect("the history opens");
        for query in queries {
            let rows = sqlx::query(sqlx::AssertSqlSafe(query.clone())).fetch_all(&mut file).await;
            assert!(!rows.unwrap_or_else(|error| panic!("{error}: {query}")).is_empty(), "no rows: {query}");
        }
        file.close().await.expect("it closes");
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(run);
}

fn pruning(project: &Project) {
    let policy = |text: &str| {
        let page = fs::read_to_string(project.path("providers.toml")).expect("the configuration");
        fs::write(project.path("pruning.toml"), page + text).expect("it is written");
    };
    let prune =
        |arguments: &[&str]| project.run_as_is(&[&["history", "prune", "-c", "pruning.toml"], arguments].concat());
    policy("");
    prune(&[]).refuses(2, &["everything is kept", "raw_days"]);
    policy("\n[history]\nraw_days = 0\nsample_days = 0\n");
    let dry = prune(&["--dry-run"]);
    assert_says(&dry.stderr, &["1 run down to results alone", "nothing was dropped"]);
    let before = project.run(["history", "--format", "json"]).json();
    let run = prune(&[]);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert_says(&run.stderr, &["1 run down to results alone", "the database went from "]);
    let after = project.run(["history", "--format", "json"]).json();
    assert_eq!(after["runs"][0], before["runs"][0], "the latest run stays whole");
    assert_eq!(after["runs"][1]["results"], before["runs"][1]["results"], "results stay");
    let oldest = after["runs"][1]["run"].as_str().expect("an id");
    assert_eq!(project.run(["export", oldest]).stdout, "", "its samples are gone");
    assert_says(&prune(&[]).stderr, &["0 runs without", "0 runs down"]);
}

#[test]
fn a_history_without_runs_says_what_makes_one() {
    let project = Project::new().with_endpoint("reference", "lab:");
    assert_eq!(project.run(["alert", "silence", "m/*", "--for", "7d", "--comment", "known"]).code(), 0);
    let list = project.run(["history"]);
    assert_eq!((list.code(), list.stdout.as_str()), (0, ""), "{}", list.stderr);
    assert_says(&list.stderr, &["no runs yet: `samemodel check` makes one"]);
    assert_eq!(project.run(["history", "--format", "json"]).stderr, "");
}

#[test]
fn a_history_that_is_not_there_is_said_to_be_missing() {
    let project = Project::new().with_endpoint("reference", "lab:");
    for arguments in [["history", "m"], ["export", "0"], ["metrics", "--quiet"]] {
        project.run(arguments).refuses(2, &["there is no history in", "samemodel check"]);
    }
}
