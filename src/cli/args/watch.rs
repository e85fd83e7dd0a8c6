//! The command line of `samemodel watch`, `samemodel status` and `samemodel metrics`, as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::names;

/// `samemodel watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// The models, as named in the configuration [default: `watch.models`, or all].
    #[arg(value_name = "MODEL", add = names::models())]
    pub models: Vec<String>,
    /// Check what is due now and end with its exit code, for cron, systemd timers and Kubernetes.
    #[arg(long)]
    pub once: bool,
}

/// `samemodel status`
#[derive(Debug, Args)]
pub struct Status {
    /// Only this model [default: what is watched].
    #[arg(value_name = "MODEL", add = names::models())]
    pub model: Option<String>,
    /// The form of the status.
    #[arg(long, short, value_enum, default_value_t = StatusFormat::Terminal)]
    pub format: StatusFormat,
}

/// How a status is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// One screen, for people
    Terminal,
    /// `samemodel.status/1`, for programs
    Json,
}

/// `samemodel metrics`
#[derive(Debug, Args)]
pub struct Metrics {
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
