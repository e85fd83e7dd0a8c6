//! The command lines of the verbs on snapshots, as typed.

use clap::{Args, ValueEnum};

use super::{Comparing, Output};

/// `samemodel test`
#[derive(Debug, Args)]
pub struct Test {
    /// The model, as named in the configuration; `lab` for the embedded lab. May be left out when there is only one.
    pub model: Option<String>,
    /// Only these endpoints, beside the control; may be given several times.
    #[arg(long, short, value_name = "NAME")]
    pub endpoint: Vec<String>,
    /// Answers per sampled probe and endpoint.
    #[arg(long, value_name = "COUNT")]
    pub samples: Option<u32>,
    /// Stop before more than this is spent, in US dollars.
    #[arg(long, value_name = "USD")]
    pub budget: Option<f64>,
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
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub names: Vec<String>,
    /// All that wait.
    #[arg(long)]
    pub all: bool,
}

/// Snapshots by name; all where none is given.
#[derive(Debug, Args)]
pub struct Names {
    /// Only those of this name, `<model>/<endpoint>/<probe>`, or below it; a file's path or a pattern with `*` does too.
    #[arg(value_name = "NAME")]
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
}
