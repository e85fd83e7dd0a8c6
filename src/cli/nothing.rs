//! What is written where there is nothing to report: for programs a report that says so, for people the error alone.

use super::args::Output;
use super::sink::Sink;
use super::{FILE_WIDTH, code_of, in_a_line};
use crate::exit::ExitCode;
use crate::report::nothing::Awaited;
use crate::report::{Format, Paint, Report, View, render};

/// Writes the report that says why there is none, where a program is to read it. An error that is no finding, such as a wrong
/// configuration, leaves no report.
pub(super) fn write(awaited: Awaited, error: &anyhow::Error, to: &Output, sink: Sink) -> anyhow::Result<()> {
    let is_read = match to.format {
        Format::Terminal => false,
        // On standard output the line about the error stands in its place.
        Format::Nagios => sink.is_file(),
        Format::Json | Format::Junit | Format::Github | Format::Markdown => true,
    };
    if !is_read || code_of(error) != ExitCode::Undecided {
        return Ok(());
    }
    let report = Report::of_nothing(awaited, &in_a_line(error));
    sink.write(&render(&report, to.format, &View { width: FILE_WIDTH, paint: Paint::Plain }))
}
