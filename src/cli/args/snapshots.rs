//! The command lines of the verbs on snapshots, as typed.

use clap::{Args, ValueEnum};

use super::{Asked, Comparing, GoingOn, Output};
use crate::cli::names;

/// `samemodel test`
#[derive(Debug, Args)]
pub struct Test {
    /// Who is asked, and how much.
    #[command(flatten)]
    pub asked: Asked,
    /// Whether a run is gone on with.
    #[command(flatten)]
    pub going_on: GoingOn,
    /// Take what changed as approved, without review.
    #[arg(long, conflicts_with_all = ["review", "check"])]
    pub accept: bool,
    /// Review what changed as soon as the run is over.
    #[arg(long, conflicts_with = "check")]
    pub review: bool,
    /// Write nothing, and fail where anything would have to be reviewed: for CI.
    #[arg(long)]
    pub check: bool,
    /// What to do with approved snapshots of probes and endpoints that are no longer configured.
    #[arg(long, value_enum, default_value_t = Unreferenced::Warn, value_name = "WHAT")]
    pub unreferenced: Unreferenced,
    /// Settings of the comparison.
    #[command(flatten)]
    pub comparing: Comparing,
    /// Where the report goes.
    #[command(flatten)]
    pub report: Output,
}

/// What to do with snapshots that nothing refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unreferenced {
    /// List them.
    Warn,
    /// Delete them.
    Delete,
    /// Say nothing.
    Ignore,
}

/// Snapshots by name.
#[derive(Debug, Args)]
#[group(required = true)]
pub struct Which {
    /// Those of this name, `<model>/<endpoint>/<probe>`, or below it; a file's path or a pattern with `*` does too.
    #[arg(value_name = "NAME", conflicts_with = "all", add = names::snapshots())]
    pub names: Vec<String>,
    /// All that wait.
    #[arg(long)]
    pub all: bool,
}

/// `samemodel accept`
#[derive(Debug, Args)]
pub struct Accept {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Take those of endpoints that had drifted, too; without this they are left, unless they are named one by one.
    #[arg(long)]
    pub drifted: bool,
}

/// Snapshots by name; all where none is given.
#[derive(Debug, Args)]
pub struct Names {
    /// Only those of this name, `<model>/<endpoint>/<probe>`, or below it; a file's path or a pattern with `*` does too.
    #[arg(value_name = "NAME", add = names::snapshots())]
    pub names: Vec<String>,
}

/// `samemodel pending`
#[derive(Debug, Args)]
pub struct Pending {
    /// Which.
    #[command(flatten)]
    pub which: Names,
    /// Fail where any waits: for CI.
    #[arg(long)]
    pub check: bool,
    /// The form of the list.
    #[arg(long, short, value_enum, default_value_t = PendingFormat::Terminal)]
    pub format: PendingFormat,
}

/// How what waits is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PendingFormat {
    /// A line each, for people
    Terminal,
    /// `samemodel.pending/1`, for programs
    Json,
}
