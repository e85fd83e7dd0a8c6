//! The formats by name.
//!
//! Layer 4, pure.

use clap::ValueEnum;

use super::terminal::View;
use super::{Report, github, json, junit, markdown, nagios, terminal};

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, ValueEnum)]
pub enum Format {
    /// A table and paragraphs, for people
    #[default]
    Terminal,
    /// `samemodel.report/1`, for programs
    Json,
    /// JUnit XML, for CI systems
    Junit,
    /// Annotations of GitHub Actions
    Github,
    /// Markdown, for comments and job summaries
    Markdown,
    /// Output and exit codes of a monitoring plugin
    Nagios,
}

/// The report in a format; the view is used by those that are laid out for a screen.
pub fn render(report: &Report, format: Format, view: &View) -> String {
    match format {
        Format::Terminal => terminal::render(report, *view),
        Format::Json => json::render(report),
        Format::Junit => junit::render(report),
        Format::Github => github::render(report),
        Format::Markdown => markdown::render(report),
        Format::Nagios => nagios::render(report),
    }
}
