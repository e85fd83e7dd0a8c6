//! Tests over all formats: the contract of the JSON report, and that nothing hostile gets through any of them.

use std::path::Path;

use clap::ValueEnum as _;
use proptest::prelude::*;

use super::fixture::{self, HOSTILE};
use super::{Format, Origin, Paint, Report, View, json, layout, nagios, render, terminal};
use crate::compare::{Roles, Settings, compare};
use crate::exit::ExitCode;
use crate::sample::Sample;
use crate::verdict::Verdict;

const VIEW: View = View { width: 80, paint: Paint::Plain };

/// A report on the recorded answers of two models.
fn recorded() -> Report {
    let lines = include_str!("../../tests/data/ultrachat-two-models.jsonl").lines();
    let samples: Vec<Sample> = lines.map(|line| serde_json::from_str(line).expect("a sample a line")).collect();
    let endpoints = samples.iter().map(|s| s.endpoint.as_str()).collect::<std::collections::BTreeSet<_>>();
    let roles = Roles::new("llama-3-70b-fp8", endpoints.into_iter().collect());
    let settings = Settings { seed: 0, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };
    let comparison = compare(&samples, &roles, &settings).expect("the reference has answers");
    let unasked = vec![("absent".to_owned(), "no samples".to_owned())];
    Report::new(comparison, Origin { model: "ultrachat-demo".to_owned(), unasked, ..Origin::default() })
}

fn with_verdicts(verdicts: &[Verdict]) -> Report {
    let mut report = fixture::report();
    report.endpoints.truncate(verdicts.len());
    for (endpoint, verdict) in report.endpoints.iter_mut().zip(verdicts) {
        endpoint.verdict = *verdict;
    }
    report
}

/// Holds a generated file against the committed one; `SAMEMODEL_BLESS=1` rewrites it.
pub(crate) fn committed(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("SAMEMODEL_BLESS").is_some() {
        std::fs::write(&path, generated).expect("the file can be written");
    }
    let there = std::fs::read_to_string(&path).expect("the file is committed");
    assert!(there == generated, "{name} is out of date: run the tests with SAMEMODEL_BLESS=1 and look at the change");
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    committed("schemas/report.json", &json::report_schema());
    committed("schemas/sample.json", &json::sample_schema());
    committed("schemas/pending.json", &json::schema::<crate::snapshot::waiting::Pending>());
}

fn errors(schema: &str, instance: &serde_json::Value) -> Vec<String> {
    let schema = serde_json::from_str(schema).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema is a schema");
    validator.iter_errors(instance).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn a_report_on_recorded_answers_follows_its_schema_and_survives_reading() {
    let report = recorded();
    let text = json::render(&report);
    let value: serde_json::Value = serde_json::from_str(&text).expect("the report is JSON");
    assert_eq!(errors(&json::report_schema(), &value), Vec::<String>::new());
    assert_eq!(value["schema"], "samemodel.report/1");
    assert_eq!(value["endpoints"][0]["verdict"], "drifted");
    assert_eq!(value["endpoints"][1]["verdict"], "unmeasured");
    assert_eq!(json::render(&serde_json::from_str::<Report>(&text).expect("a report")), text);
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let mut value = serde_json::to_value(fixture::report()).expect("JSON");
    assert_eq!(errors(&json::report_schema(), &value), Vec::<String>::new());
    value["endpoints"][0]["verdict"] = "fine".into();
    assert_eq!(errors(&json::report_schema(), &value).len(), 1);
}

#[test]
fn recorded_samples_follow_the_schema_of_samples() {
    let line = include_str!("../../tests/data/ultrachat-two-models.jsonl").lines().next().expect("a line");
    let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(errors(&json::sample_schema(), &value), Vec::<String>::new());
    assert_ne!(errors(&json::sample_schema(), &serde_json::json!({"endpoint": "e"})), Vec::<String>::new());
}

#[test]
fn each_mixture_of_verdicts_has_its_exit_code_and_status() {
    use Verdict::{Consistent, Drifted, Inconclusive, Unmeasured};
    let cases: [(&[Verdict], ExitCode, nagios::Status); 6] = [
        (&[], ExitCode::Undecided, nagios::Status::Unknown),
        (&[Consistent, Consistent], ExitCode::Consistent, nagios::Status::Ok),
        (&[Consistent, Inconclusive], ExitCode::Undecided, nagios::Status::Warning),
        (&[Inconclusive, Unmeasured], ExitCode::Undecided, nagios::Status::Unknown),
        (&[Unmeasured, Drifted], ExitCode::Drifted, nagios::Status::Critical),
        (&[Drifted, Consistent], ExitCode::Drifted, nagios::Status::Critical),
    ];
    for (verdicts, code, status) in cases {
        let report = with_verdicts(verdicts);
        assert_eq!(ExitCode::from(report.overall()), code, "{verdicts:?}");
        assert_eq!(nagios::status(&report), status, "{verdicts:?}");
    }
}

#[test]
fn a_report_without_endpoints_looks_like_a_failure_in_every_format() {
    let report = fixture::empty();
    for (format, sign) in [
        (Format::Terminal, "no endpoint was compared"),
        (Format::Junit, "<error message=\"no endpoint was compared\""),
        (Format::Github, "::error title="),
        (Format::Markdown, "no endpoint was compared"),
        (Format::Nagios, "SAMEMODEL UNKNOWN"),
    ] {
        let text = render(&report, format, &VIEW);
        assert!(text.contains(sign), "{format:?}: {text}");
    }
}

#[test]
fn formats_are_found_by_name() {
    assert_eq!(Format::from_str("junit", false), Ok(Format::Junit));
    assert!(Format::from_str("yaml", false).is_err());
}

/// A character that acts or hides, other than the newlines of the format itself.
fn acts(c: char) -> bool {
    c != '\n'
        && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}'))
}

/// What must not be in any output for people or CI systems, whatever hosts said.
fn hostile_parts(format: Format, text: &str) -> Vec<String> {
    let mut out: Vec<String> = text.chars().filter(|&c| acts(c)).map(|c| format!("{c:?}")).collect();
    let mut bad = |what: &str, is: bool| is.then(|| out.push(what.to_owned()));
    bad("old workflow command", text.contains("##["));
    let command_lines = text.lines().filter(|l| l.trim_start().starts_with("::"));
    match format {
        Format::Github => {
            bad("line that is no command", text.lines().count() != command_lines.clone().count());
            let ours = ["::error title=", "::warning title=", "::notice title="];
            bad("foreign command", command_lines.clone().any(|l| !ours.iter().any(|o| l.starts_with(o))));
        }
        _ => {
            bad("workflow command", command_lines.count() > 0);
        }
    }
    if format == Format::Nagios {
        bad("performance data after the first line", text.lines().skip(1).any(|l| l.contains('|')));
        bad("second bar", text.lines().next().is_some_and(|l| l.matches('|').count() > 1));
    }
    if format == Format::Junit {
        bad("XML that cannot be read", quick_junit::Report::deserialize_from_str(text).is_err());
    }
    out
}

const ESCAPING: [Format; 5] = [Format::Terminal, Format::Junit, Format::Github, Format::Markdown, Format::Nagios];

#[test]
fn what_a_host_said_acts_in_no_format() {
    let report = fixture::report();
    for format in ESCAPING {
        let text = render(&report, format, &VIEW);
        assert!(text.contains("evil"), "{format:?} does not show the text at all");
        assert_eq!(hostile_parts(format, &text), Vec::<String>::new(), "{format:?}: {text}");
    }
}

/// The fixture with one text in all places that come from outside.
fn poisoned(text: &str) -> Report {
    let mut report = fixture::report();
    (report.model, report.reference) = (text.to_owned(), text.to_owned());
    (report.run, report.partial) = (Some(text.to_owned()), Some(text.to_owned()));
    (report.control.endpoint, report.warnings) = (Some(text.to_owned()), vec![text.to_owned().into()]);
    report.reference_account.errors = 1;
    report.reference_account.failures.insert(text.to_owned(), 1);
    for e in &mut report.endpoints {
        (e.endpoint, e.reason) = (text.to_owned(), text.to_owned());
        e.failures.insert(text.to_owned(), 1);
        e.probes.iter_mut().for_each(|p| text.clone_into(&mut p.probe));
        e.signals.iter_mut().for_each(|s| text.clone_into(&mut s.name));
        e.findings.iter_mut().for_each(|f| (f.fault, f.evidence) = (text.to_owned(), text.to_owned()));
        e.contrast = crate::signal::contrast::contrast(text, &[text], &[text, "other"]);
    }
    report
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_text_acts_in_any_format(start in 0..HOSTILE.len(), random in any::<String>()) {
        let start = (start..=HOSTILE.len()).find(|&i| HOSTILE.is_char_boundary(i)).unwrap_or(0);
        let report = poisoned(&format!("{}{random}\n{HOSTILE}", &HOSTILE[start..]));
        for format in ESCAPING {
            let text = render(&report, format, &VIEW);
            prop_assert_eq!(hostile_parts(format, &text), Vec::<String>::new(), "{:?}: {}", format, text);
        }
    }

    #[test]
    fn no_line_on_a_terminal_is_wider_than_the_screen(width in 72_usize..160, random in "[a-zé日 ]{0,80}") {
        for report in [fixture::report(), poisoned(&random)] {
            for line in terminal::render(&report, View { width, paint: Paint::Plain }).lines() {
                prop_assert!(layout::width(line) <= width, "{} columns: {}", layout::width(line), line);
            }
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let mut report = fixture::report();
    report.endpoints.pop();
    let plain = terminal::render(&report, VIEW);
    let painted = terminal::render(&report, View { paint: Paint::Ansi, ..VIEW });
    let marks = ["[-", "-]", "{+", "+}"];
    let bare = |text: &str| {
        marks.iter().fold(text.to_owned(), |text, mark| text.replace(mark, "")).replace([' ', '\n', ',', '│'], "")
    };
    assert_ne!(plain, painted);
    assert_eq!(bare(&console::strip_ansi_codes(&painted)), bare(&plain));
}
