//! A report of power as a picture: one panel for each fault, its rate of detection by severity, beside the oracle's. Pure.
//!
//! Plain SVG in the page's own colours, readable without colour: designs differ by dash, the oracle is a hollow mark.

use std::fmt::Write as _;

use super::summary::{PowerReport, Rate, Row};
use crate::report::escape::html as escape;

const PANEL: (f64, f64) = (240.0, 150.0);
const MARGIN: (f64, f64) = (36.0, 28.0);
const COLUMNS: usize = 4;
const DASHES: [&str; 4] = ["none", "6 3", "2 3", "8 3 2 3"];

/// The whole picture.
pub fn svg(report: &PowerReport) -> String {
    let panels = panels(report);
    let designs: Vec<&str> = distinct(report.rows.iter().map(|row| row.design.as_str()));
    let lines = panels.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64, PANEL.1 * lines as f64 + 40.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"10\" fill=\"#222\" role=\"img\">\n<title>Rate of detection by fault, severity and design</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (index, design) in designs.iter().enumerate() {
        let (x, dash) = (12.0 + 230.0 * index as f64, DASHES[index % DASHES.len()]);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.0} 14h24\" stroke=\"#1f5fa8\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{:.0}\" y=\"18\">check, design {}</text>",
            x + 30.0,
            escape(design)
        );
    }
    let _ = writeln!(
        out,
        "<circle cx=\"{:.0}\" cy=\"14\" r=\"4\" fill=\"none\" stroke=\"#b3541e\" stroke-width=\"1.5\"/>\
         <text x=\"{:.0}\" y=\"18\">oracle</text>",
        width - 70.0,
        width - 60.0
    );
    for (index, (name, rows)) in panels.iter().enumerate() {
        let (column, line) = (index % COLUMNS, index / COLUMNS);
        let _ = writeln!(
            out,
            "<g transform=\"translate({:.0} {:.0})\">",
            PANEL.0 * column as f64,
            PANEL.1 * line as f64 + 40.0
        );
        panel(&mut out, name, rows, &designs);
        out.push_str("</g>\n");
    }
    out + "</svg>\n"
}

/// Rows by fault, honest hosts together, in the report's order.
fn panels(report: &PowerReport) -> Vec<(&str, Vec<&Row>)> {
    let name = |row: &'_ Row| if row.honest { "honest hosts: false alarms".to_owned() } else { family(row) };
    let mut panels: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in &report.rows {
        let at = panels.iter().position(|(_, rows)| name(rows[0]) == name(row));
        match at {
            Some(at) => panels[at].1.push(row),
            None if row.honest => panels.push(("honest hosts: false alarms", vec![row])),
            None => panels.push((row.fault.as_deref().unwrap_or(&row.case), vec![row])),
        }
    }
    panels
}

fn family(row: &Row) -> String {
    row.fault.clone().unwrap_or_else(|| row.case.clone())
}

fn panel(out: &mut String, name: &str, rows: &[&Row], designs: &[&str]) {
    let (width, height) = (PANEL.0 - MARGIN.0 - 12.0, PANEL.1 - MARGIN.1 - 26.0);
    let cases = distinct(rows.iter().map(|row| row.case.as_str()));
    let x = |case: &str| {
        let place = cases.iter().position(|other| *other == case).unwrap_or(0) as f64;
        MARGIN.0 + width * (place + 0.5) / cases.len() as f64
    };
    let y = |share: f64| 18.0 + height * (1.0 - share);
    let _ = writeln!(out, "<text x=\"{:.0}\" y=\"12\" font-weight=\"bold\">{}</text>", MARGIN.0, escape(name));
    for share in [0.0, 0.5, 1.0] {
        let _ = writeln!(
            out,
            "<path d=\"M{:.0} {:.1}h{width:.0}\" stroke=\"#ddd\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{share}</text>",
            MARGIN.0,
            y(share),
            MARGIN.0 - 4.0,
            y(share) + 3.0
        );
    }
    for (index, design) in designs.iter().enumerate() {
        let own: Vec<&&Row> = rows.iter().filter(|row| row.design == *design).collect();
        let points: Vec<String> =
            own.iter().map(|row| format!("{:.1} {:.1}", x(&row.case), y(shown(row).estimate))).collect();
        let dash = DASHES[index % DASHES.len()];
        let _ = writeln!(
            out,
            "<path d=\"M{}\" fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"1.5\" stroke-dasharray=\"{dash}\"/>",
            points.join("L")
        );
        for row in own {
            point(out, row, (x(&row.case), &y));
        }
    }
    for case in &cases {
        let label = case.split_once('=').map_or(*case, |(_, parameter)| parameter);
        let label: String = label.trim_start_matches("twin, ").chars().take(14).collect();
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"8\">{}</text>",
            x(case),
            y(0.0) + 14.0,
            escape(if label == name { "" } else { &label })
        );
    }
}

/// The rate that a panel shows: false alarms of honest hosts, detections of others.
fn shown(row: &Row) -> Rate {
    if row.honest { row.drifted } else { row.detected }
}

/// A rate with its interval, and the oracle's beside it.
fn point(out: &mut String, row: &Row, (x, y): (f64, &impl Fn(f64) -> f64)) {
    let rate = shown(row);
    let _ = writeln!(
        out,
        "<path d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"#1f5fa8\"/><circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"#1f5fa8\">\
         <title>{}: {} of {}</title></circle>",
        y(rate.low),
        y(rate.high),
        y(rate.estimate),
        escape(&row.case),
        rate.hits,
        rate.trials
    );
    if let Some(oracle) = &row.oracle {
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"none\" stroke=\"#b3541e\" stroke-width=\"1.5\"/>",
            x + 6.0,
            y(oracle.power)
        );
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}
