//! The command line: one file a verb, and the way from an error to an exit code.
//!
//! Layer 5. Results go to standard output; progress, hints and errors to standard error. Errors are gathered with context
//! here and nowhere else.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode as Code;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;

use crate::exit::ExitCode;
use crate::report::Report;
use crate::report::{Format, Paint, View, escape, layout, nagios, render};
use crate::snapshot::SnapshotError;
use crate::store::{LockError, StoreError};

mod alarm;
mod alert;
pub mod args;
mod asking;
pub mod assertion;
mod check;
mod clock;
mod compare;
mod completions;
mod descriptors;
mod doctor;
mod export;
mod fleet;
mod history;
mod import;
mod init;
mod inputs;
mod job;
mod judging;
mod lab;
mod ledger;
mod mask;
mod metrics;
mod names;
mod nothing;
mod part;
mod plan;
mod preflight;
mod prune;
mod report;
mod samples;
mod session;
mod shelf;
mod signals;
mod sink;
mod snapshots;
mod status;
mod watch;

use args::{Cli, Colour, Global, Verb};
use sink::Sink;

/// Parses the process's arguments and does what they say. Where a shell asks for what may come next, it is told that instead.
pub fn main() -> Code {
    CompleteEnv::with_factory(Cli::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Consistent };
            // Nothing can be done when even the help cannot be printed.
            let _ = error.print();
            return code.into();
        }
    };
    log_to_stderr(&cli.global);
    match run(&cli) {
        Ok(code) => code,
        Err(error) if cli.verb.format() == Some(Format::Nagios) => unknown(&error),
        Err(error) => {
            complain(&error);
            code_of(&error).into()
        }
    }
}

/// A monitoring system reads standard output and knows no exit codes but its own.
fn unknown(error: &anyhow::Error) -> Code {
    let line = escape::nagios(&format!("SAMEMODEL UNKNOWN - {}", mask::masked(&in_a_line(error))));
    let _ = writeln!(std::io::stdout(), "{line}");
    nagios::Status::Unknown.into()
}

fn run(cli: &Cli) -> anyhow::Result<Code> {
    clock::set_by_environment()?;
    if !matches!(cli.verb, Verb::Init(_) | Verb::Completions(_) | Verb::Man(_)) {
        clock::check()?;
    }
    let global = &cli.global;
    match &cli.verb {
        Verb::Check(args) => on_runtime(check::check(args, global)),
        Verb::Test(args) => on_runtime(snapshots::test::test(args, global)),
        Verb::Review(args) => snapshots::review::review(args, global),
        Verb::Accept(args) => snapshots::decide::accept(args, global),
        Verb::Reject(args) => snapshots::decide::reject(args, global),
        Verb::Pending(args) => snapshots::list::pending(args, global),
        Verb::Show(args) => snapshots::list::show(args, global),
        Verb::Compare(args) => compare::compare(args, global),
        Verb::Report(args) => on_runtime(report::report(args, global)),
        Verb::Plan(args) => on_runtime(plan::plan(args, global)),
        Verb::Doctor(args) => on_runtime(doctor::doctor(args, global)),
        Verb::Lab(args) => lab::lab(args, global),
        Verb::Alert(args) => on_runtime(alert::alert(args, global)),
        Verb::Import(args) => on_runtime(import::import(args, global)),
        Verb::Export(args) => on_runtime(export::export(args, global)),
        Verb::Watch(args) => on_runtime(watch::watch(args, global)),
        Verb::Status(args) => on_runtime(status::status(args, global)),
        Verb::History(args) => on_runtime(history::history(args, global)),
        Verb::Metrics(args) => on_runtime(metrics::metrics(args, global)),
        Verb::Init(args) => init::init(args),
        Verb::Completions(args) => completions::completions(args),
        Verb::Man(args) => completions::man(args),
    }
}

fn on_runtime(work: impl Future<Output = anyhow::Result<Code>>) -> anyhow::Result<Code> {
    descriptors::raise_limit();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// An error that is the user's to mend: usage or configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// Nothing could be measured, so there is no verdict.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NothingMeasured(String);

/// What is configured cannot be asked as things are: a key is not set, or the budget is too small. Nothing was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CannotBeAsked(String);

/// Standard output was closed by its reader, as `head` does: no error of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn code_of(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::Consistent;
    }
    let is = |test: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(test);
    if is(|e| matches!(e.downcast_ref(), Some(LockError::Held { .. } | LockError::Watched { .. }))) {
        ExitCode::Locked
    } else if is(|e| {
        e.is::<NothingMeasured>()
            || e.is::<nothing::OfRun>()
            || matches!(e.downcast_ref(), Some(crate::compare::CompareError::EmptyReference(..)))
    }) {
        ExitCode::Undecided
    } else if is(|e| {
        e.is::<UsageError>()
            || e.is::<CannotBeAsked>()
            || e.is::<crate::config::ConfigError>()
            || e.is::<crate::probe::LoadError>()
            || e.is::<crate::sample::file::SampleFileError>()
            || e.is::<crate::client::TargetError>()
            || e.is::<crate::compare::CompareError>()
            || matches!(e.downcast_ref(), Some(LockError::NoFile { .. } | LockError::NoFolder(_)))
            || matches!(e.downcast_ref(), Some(SnapshotError::Format { .. }))
            || matches!(e.downcast_ref(), Some(StoreError::NoFolder(_)))
    }) {
        ExitCode::Usage
    } else {
        ExitCode::Internal
    }
}

/// What an error carries that standard error was told of when it came, before what followed from it. Says nothing itself.
#[derive(Debug)]
struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

fn complain(error: &anyhow::Error) {
    if !is_broken_pipe(error) && !error.is::<Told>() {
        // Lines that are ours stay, and what a host said in them does nothing.
        let text = in_a_line(error);
        let lines: Vec<String> = mask::masked(&text).split('\n').map(escape::line).collect();
        let _ = writeln!(std::io::stderr(), "samemodel: {}", lines.join("\n"));
    }
}

/// The error with its causes.
fn in_a_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // A cause that its parent already quotes would only be said twice.
        if !last.is_empty() && !last.contains(&cause) {
            text.push_str(": ");
        }
        if !last.contains(&cause) {
            text.push_str(&cause);
        }
        last = cause;
    }
    text
}

/// Logs go to standard error, chosen by `-v` or by `SAMEMODEL_LOG` in the usual syntax.
fn log_to_stderr(global: &Global) {
    let usual = match global.verbose {
        0 => "warn",
        1 => "samemodel=info,warn",
        _ => "samemodel=debug,info",
    };
    let filter = std::env::var("SAMEMODEL_LOG").unwrap_or_else(|_| usual.to_owned());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(|| mask::Log)
        .with_ansi(paint(global.color, &std::io::stderr()) == Paint::Ansi)
        .without_time()
        .finish();
    // A second subscriber is refused only where the caller has set one: theirs wins.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn paint(colour: Colour, stream: &impl std::io::IsTerminal) -> Paint {
    let wanted = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            let forbidden = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
            stream.is_terminal() && !forbidden && !is_dumb()
        }
    };
    if wanted { Paint::Ansi } else { Paint::Plain }
}

/// Whether the terminal is one that knows no codes, such as those of an editor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name == "dumb")
}

/// Writes a report where it was asked for, and says how the program ends.
fn deliver(report: &Report, format: Format, sink: Sink, global: &Global) -> anyhow::Result<Code> {
    let view = view(&sink, global);
    sink.write(&render(report, format, &view))?;
    Ok(match format {
        Format::Nagios => nagios::status(report).into(),
        _ => ExitCode::from(report.overall()).into(),
    })
}

/// What a text that goes there is to be laid out for.
fn view(sink: &Sink, global: &Global) -> View {
    let stdout = std::io::stdout();
    if sink.is_file() {
        View { width: FILE_WIDTH, paint: Paint::Plain }
    } else {
        View { width: terminal_width(&stdout), paint: paint(global.color, &stdout) }
    }
}

/// Columns of a report that goes into a file or a pipe.
const FILE_WIDTH: usize = 120;

fn terminal_width(stdout: &std::io::Stdout) -> usize {
    if !stdout.is_terminal() {
        return FILE_WIDTH;
    }
    console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

fn emit(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Says something on standard error, beside the progress; on a terminal in lines that fit.
fn note(text: &str) {
    let text = mask::masked(text);
    let stderr = std::io::stderr();
    let columns = console::Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
    let said = match columns.filter(|_| stderr.is_terminal()) {
        Some(columns) => fitted(&text, columns),
        None => text.into_owned(),
    };
    let _ = writeln!(stderr.lock(), "{said}");
}

/// Text whose lines are at most this wide; what is broken off is set in.
fn fitted(text: &str, columns: usize) -> String {
    let fit = |line: &str| {
        if layout::width(line) <= columns {
            return line.to_owned();
        }
        let rows = layout::wrap(line, columns.saturating_sub(2));
        rows.iter().map(|row| row.trim_end()).collect::<Vec<_>>().join("\n  ")
    };
    text.split('\n').map(fit).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_broken_at_spaces_and_what_fits_is_left_as_it_is() {
        let note = "waiting for review: 24 snapshots (snap/a 12, snap/b 12): samemodel review";
        let told = "waiting for review: 24 snapshots\n  (snap/a 12, snap/b 12): samemodel\n  review";
        assert_eq!(fitted(note, 40), told);
        assert_eq!(fitted(note, 80), note);
        assert_eq!(fitted("one\n  two\n", 5), "one\n  two\n");
    }
}
