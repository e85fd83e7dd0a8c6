//! The command line of `samemodel watch` and `samemodel metrics`, as typed.

use std::path::PathBuf;

use clap::Args;

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

/// `samemodel metrics`
#[derive(Debug, Args)]
pub struct Metrics {
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
