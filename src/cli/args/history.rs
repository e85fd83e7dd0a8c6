//! The command line of `samemodel history`, `samemodel report` and `samemodel export`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Comparing, Output};
use crate::cli::names;

/// `samemodel history`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct History {
    /// What else to do with it.
    #[command(subcommand)]
    pub verb: Option<HistoryVerb>,
    /// Only runs of this model; MODEL/ENDPOINT does what --endpoint does.
    #[arg(value_name = "MODEL", add = names::models())]
    pub model: Option<String>,
    /// The same with a flag, as `report` and `export` have it.
    #[arg(long = "model", value_name = "NAME", conflicts_with = "model", add = names::models())]
    pub flagged_model: Option<String>,
    /// This endpoint's effect over time, as a chart.
    #[arg(long, short, value_name = "NAME", add = names::endpoints())]
    pub endpoint: Option<String>,
    /// The most runs to show, the latest first.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// The form of the list.
    #[arg(long, short, value_enum, default_value_t = HistoryFormat::Terminal)]
    pub format: HistoryFormat,
}

/// What to do with the history.
#[derive(Debug, Subcommand)]
pub enum HistoryVerb {
    /// Drop what the configuration's `[history]` no longer keeps, and give the room back to the disk.
    Prune(Prune),
}

/// `samemodel history prune`
#[derive(Debug, Args)]
pub struct Prune {
    /// Show what would be dropped, and drop nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// How the history is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HistoryFormat {
    /// Lines and charts, for people
    Terminal,
    /// `samemodel.history/1`, for programs
    Json,
}

/// `samemodel report`
#[derive(Debug, Args)]
pub struct Report {
    /// The run's id, or the beginning of it [default: the latest run].
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The latest run of this model.
    #[arg(long, value_name = "NAME", conflicts_with = "run", add = names::models())]
    pub model: Option<String>,
    /// Only the part of these endpoints, and nothing of others but the reference: to be sent to a host. May be given several times.
    #[arg(long, short, value_name = "NAME", add = names::endpoints())]
    pub endpoint: Vec<String>,
    /// Settings of the comparison.
    #[command(flatten)]
    pub comparing: Comparing,
    /// Where the report goes.
    #[command(flatten)]
    pub report: Output,
}

/// `samemodel export`
#[derive(Debug, Args)]
pub struct Export {
    /// The run's id, or the beginning of it [default: the latest run; for results, all runs].
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The latest run of this model; for results, all of its runs.
    #[arg(long, value_name = "NAME", conflicts_with = "run", add = names::models())]
    pub model: Option<String>,
    /// What to write.
    #[arg(long, value_enum, default_value_t = What::Samples)]
    pub what: What,
    /// How to write it.
    #[arg(long, short, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub format: ExportFormat,
    /// Write here instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Answers and failed attempts; as JSON lines they can be imported and compared
    Samples,
    /// What runs came to, one row for each endpoint and run
    Results,
    /// HTTP requests and what came of them
    Attempts,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with one line of names
    Csv,
}
