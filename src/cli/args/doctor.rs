//! The command line of `samemodel doctor`, as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::names;

/// `samemodel doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The model, as named in the configuration; `lab` for the embedded lab. May be left out when there is only one.
    #[arg(add = names::models())]
    pub model: Option<String>,
    /// Only these endpoints; may be given several times.
    #[arg(long, short, value_name = "NAME", add = names::endpoints())]
    pub endpoint: Vec<String>,
    /// Show what would be sent and what it would cost at most, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Exit with 1 when something is another than at the last examination.
    #[arg(long)]
    pub fail_on_change: bool,
    /// Tell the receivers in `[alert]` of what is another than at the last examination.
    #[arg(long)]
    pub alert: bool,
    /// The form of what is told.
    #[arg(long, short, value_enum, default_value_t = DoctorFormat::Table)]
    pub format: DoctorFormat,
    /// Write it here instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The form of an examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// Tables, and the lines to set.
    Table,
    /// JSON: `samemodel.doctor/1`.
    Json,
}
