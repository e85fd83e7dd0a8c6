//! A report of power as text: for terminals, and as Markdown for the manual. Pure.

use std::fmt::Write as _;

use super::summary::{PowerReport, Rate, Row, Visibility};
use crate::plural::count;

/// A table for a terminal, honest hosts first.
pub fn terminal(report: &PowerReport) -> String {
    let mut out = heading(report);
    for design in designs(report) {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.design == design).collect();
        let tokens = rows.iter().map(|row| row.tokens).fold(0.0, f64::max);
        let cost = rows.iter().map(|row| row.cost).fold(0.0, f64::max);
        let _ = writeln!(out, "\ndesign {design}: up to {tokens:.0} tokens an endpoint, {cost:.4} USD\n");
        let cells: Vec<[String; 6]> =
            std::iter::once(HEAD.map(str::to_owned)).chain(rows.iter().map(|r| cells(r))).collect();
        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        for row in &cells {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let _ = writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
    out + LEGEND
}

/// The same as Markdown.
pub fn markdown(report: &PowerReport) -> String {
    let mut out = heading(report);
    for design in designs(report) {
        let _ = writeln!(out, "\n### Design `{design}`\n");
        let _ = writeln!(out, "| {} | tokens | USD |", HEAD.join(" | "));
        let _ = writeln!(out, "|{}", "---|".repeat(HEAD.len() + 2));
        for row in report.rows.iter().filter(|row| row.design == design) {
            let [case, rest @ ..] = cells(row);
            let _ = writeln!(out, "| `{case}` | {} | {:.0} | {:.4} |", rest.join(" | "), row.tokens, row.cost);
        }
    }
    let legend: Vec<&str> = LEGEND.lines().filter(|line| !line.is_empty()).collect();
    let _ = write!(out, "\n- {}\n", legend.join("\n- "));
    out
}

const HEAD: [&str; 6] = ["endpoint", "detected", "named", "drifted", "oracle", "label"];

const LEGEND: &str = "
detected: called drifted, or a fault named with certainty; with the exact 95 % interval
named: its own fault is the first one named; of an honest host, any fault is named as certain or likely
drifted: the verdict alone; for an honest host, the rate of false alarms
oracle: power of the likelihood-ratio test on the same number of sampled answers, from exact probabilities, at a level of 5 %
label: `exact`, evidence outside the text; `visible`, at least 80 % by the oracle or by the check; else `equivalent within budget`
";

fn heading(report: &PowerReport) -> String {
    let last = report.first_seed + u64::from(report.trials).saturating_sub(1);
    let seeds =
        if report.trials == 1 { format!("seed {last}") } else { format!("seeds {} to {last}", report.first_seed) };
    let (input, output) = (report.price.input, report.price.output);
    format!(
        "{} of each endpoint, {seeds}; {} to choose from; tokens at {input} and {output} USD a million\n",
        count(report.trials as usize, "trial"),
        count(report.probes, "probe")
    )
}

fn designs(report: &PowerReport) -> Vec<&str> {
    let mut designs: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !designs.contains(&row.design.as_str()) {
            designs.push(&row.design);
        }
    }
    designs
}

fn cells(row: &Row) -> [String; 6] {
    let oracle = row.oracle.as_ref().map_or_else(|| "–".to_owned(), |oracle| format!("{:.2}", oracle.power));
    let label = match row.visibility {
        None => "–",
        Some(Visibility::Exact) => "exact",
        Some(Visibility::Visible) => "visible",
        Some(Visibility::Equivalent) => "equivalent within budget",
    };
    let named = row.named.or(row.accused).map_or_else(|| "–".to_owned(), |rate| format!("{:.2}", rate.estimate));
    [row.case.clone(), rate(row.detected), named, rate(row.drifted), oracle, label.to_owned()]
}

fn rate(rate: Rate) -> String {
    format!("{:.2} ({:.2} to {:.2})", rate.estimate, rate.low, rate.high)
}
