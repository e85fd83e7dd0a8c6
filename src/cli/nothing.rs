//! What is written where there is nothing to report: for programs a report that says so, for people the error alone.

use super::args::Output;
use super::sink::Sink;
use super::{CannotBeAsked, FILE_WIDTH, code_of, in_a_line};
use crate::exit::ExitCode;
use crate::report::nothing::{Awaited, InVain};
use crate::report::{Format, Paint, Report, View, render};
use crate::store::RunId;

/// A run that is kept has measured nothing, so there is no verdict.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct OfRun {
    pub run: RunId,
    pub why: String,
    /// Who would have been reported on.
    pub awaited: Awaited,
    /// What its requests came to.
    pub asked: InVain,
}

/// Writes the report that says why there is none, where a program is to read it. An error that is no finding, such as a wrong
/// configuration, leaves no report.
pub(super) fn write(awaited: Awaited, error: &anyhow::Error, to: &Output, sink: Sink) -> anyhow::Result<()> {
    let is_read = match to.format {
        Format::Terminal => false,
        // On standard output the line about the error stands in its place.
        Format::Nagios => sink.is_file(),
        Format::Json | Format::Junit | Format::Github | Format::Markdown => true,
    };
    let is_told = code_of(error) == ExitCode::Undecided || error.is::<CannotBeAsked>();
    if !is_read || !is_told {
        return Ok(());
    }
    let of_run = error.downcast_ref::<OfRun>().map(|nothing| (nothing.awaited.clone(), nothing.asked.clone()));
    let (awaited, asked) = of_run.unwrap_or_else(|| (awaited, InVain::default()));
    let report = Report::of_nothing_asked(awaited, &in_a_line(error), asked);
    sink.write(&render(&report, to.format, &View { width: FILE_WIDTH, paint: Paint::Plain }))
}
