//! The command line as typed. What it means is settled by the verbs, one file each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::names;
use crate::report::Format;

pub mod alert;
pub mod doctor;
pub mod history;
pub mod lab;
pub mod snapshots;
pub mod watch;

/// Are these hosts serving the same model?
///
/// Sends identical prompts to every host that offers one nominal model, compares the answers with a reference, and says
/// which endpoints drift, by how much, and what is probably wrong.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// What holds for all verbs.
    #[command(flatten)]
    pub global: Global,
}

const AFTER_HELP: &str = "\
See it work, without a key or a server:  samemodel check lab
Begin with endpoints of your own:        samemodel init

Exit codes: 0 all consistent, 1 an endpoint drifted, 2 usage or configuration, 3 undecided or unmeasured,
70 internal, 75 another run is under way.";

/// Options of all verbs.
#[derive(Debug, Args)]
pub struct Global {
    /// The configuration [default: providers.toml].
    #[arg(long, short, global = true, value_name = "FILE", env = "SAMEMODEL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where runs are kept [default: .samemodel beside the configuration].
    #[arg(long, global = true, value_name = "DIR", env = "SAMEMODEL_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Say more on standard error: once for decisions, twice for requests.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Show no progress.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Ask all endpoints of a model and compare them with its reference.
    Check(Check),
    /// Ask all endpoints of a model and hold each against its own approved snapshot.
    Test(snapshots::Test),
    /// Go through the snapshots that wait, on the terminal.
    Review(snapshots::Names),
    /// Take snapshots that wait as approved.
    Accept(snapshots::Accept),
    /// Delete snapshots that wait.
    Reject(snapshots::Which),
    /// List the snapshots that wait.
    Pending(snapshots::Pending),
    /// Show snapshots: what waits beside what is approved.
    Show(snapshots::Names),
    /// Compare recorded samples, without any network.
    Compare(Compare),
    /// Judge a kept run again, and report on it: nothing is asked.
    Report(history::Report),
    /// Show what a check would send and cost, without sending anything.
    Plan(Plan),
    /// Examine endpoints: what each honours, ignores and refuses, and the lines to set in the configuration.
    Doctor(doctor::Doctor),
    /// The embedded lab: list its faults, serve an endpoint, measure how often a check finds what, write its models as files.
    Lab(lab::Lab),
    /// Alerts: try the receivers, see what is wrong and what is to be sent, keep some of it quiet for a while.
    Alert(alert::Alert),
    /// Read samples from JSON lines into the history.
    Import(Import),
    /// Write samples, results or attempts of the history as JSON lines or CSV.
    Export(history::Export),
    /// Check again and again, at the times that the configuration says.
    Watch(watch::Watch),
    /// Show in one screen how what is watched stands: verdicts, alerts, and what is to come.
    Status(watch::Status),
    /// List runs, or show how an endpoint's effect went over time.
    History(history::History),
    /// Write what is known of each endpoint as OpenMetrics, for Prometheus.
    Metrics(watch::Metrics),
    /// Write a commented configuration and the shipped prompts to begin with.
    Init(Init),
    /// Print completions for a shell. With names of models, endpoints and snapshots too: `source <(COMPLETE=bash samemodel)`, or `zsh`,
    /// or `COMPLETE=fish samemodel | source`.
    Completions(Completions),
    /// Write man pages into a folder.
    Man(Man),
}

impl Verb {
    /// The form of the report, for verbs that make one.
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Check(args) => Some(args.report.format),
            Self::Test(args) => Some(args.report.format),
            Self::Compare(args) => Some(args.report.format),
            Self::Report(args) => Some(args.report.format),
            _ => None,
        }
    }
}

/// Settings of the comparison.
#[derive(Debug, Args)]
pub struct Comparing {
    /// The largest share of answers, as if from another model, that does not matter [default: 0.05].
    #[arg(long, value_name = "SHARE")]
    pub tolerance: Option<f64>,
    /// Rate of false alarms over all endpoints together [default: 0.05].
    #[arg(long, value_name = "RATE")]
    pub alpha: Option<f64>,
    /// Permutations of each test [default: 1999].
    #[arg(long, value_name = "COUNT")]
    pub permutations: Option<u32>,
    /// From which all random choices derive; the same seed and samples give the same report.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
}

/// Where a report goes.
#[derive(Debug, Args)]
pub struct Output {
    /// The form of the report.
    #[arg(long, short, value_enum, default_value_t = Format::Terminal)]
    pub format: Format,
    /// Write the report here instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Who is asked, and how much.
#[derive(Debug, Args)]
pub struct Asked {
    /// The model, as named in the configuration; `lab` for the embedded lab. May be left out when there is only one.
    #[arg(add = names::models())]
    pub model: Option<String>,
    /// Only these endpoints, beside the reference and the control; may be given several times.
    #[arg(long, short, value_name = "NAME", add = names::endpoints())]
    pub endpoint: Vec<String>,
    /// Answers per sampled probe and endpoint.
    #[arg(long, value_name = "COUNT")]
    pub samples: Option<u32>,
    /// Stop before more than this is spent, in US dollars.
    #[arg(long, value_name = "USD")]
    pub budget: Option<f64>,
}

/// Whether a run is gone on with.
#[derive(Debug, Args)]
pub struct GoingOn {
    /// Go on with the latest run of this model that did not finish: only what has no answer is sent.
    #[arg(long, conflicts_with_all = ["endpoint", "samples", "seed"])]
    pub resume: bool,
    /// With --resume: go on with the latest run even if it ended, and ask once more for what was given up.
    #[arg(long, requires = "resume")]
    pub retry_given_up: bool,
}

/// `samemodel check`
#[derive(Debug, Args)]
pub struct Check {
    /// Who is asked, and how much.
    #[command(flatten)]
    pub asked: Asked,
    /// Whether a run is gone on with.
    #[command(flatten)]
    pub going_on: GoingOn,
    /// Show what would be sent and what it would cost, and send nothing.
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
    /// Settings of the comparison.
    #[command(flatten)]
    pub comparing: Comparing,
    /// Where the report goes.
    #[command(flatten)]
    pub report: Output,
}

/// `samemodel compare`
#[derive(Debug, Args)]
pub struct Compare {
    /// Files of samples, as JSON lines of `samemodel.sample/1`; `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The endpoint that the others are held against.
    #[arg(long, short, value_name = "NAME")]
    pub reference: String,
    /// An endpoint that is known to serve another model: the unit of the effects.
    #[arg(long, value_name = "NAME")]
    pub control: Option<String>,
    /// Only these endpoints; may be given several times.
    #[arg(long, short, value_name = "NAME")]
    pub endpoint: Vec<String>,
    /// Settings of the comparison.
    #[command(flatten)]
    pub comparing: Comparing,
    /// Where the report goes.
    #[command(flatten)]
    pub report: Output,
}

/// `samemodel plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// The model, as named in the configuration. May be left out when there is only one.
    #[arg(add = names::models())]
    pub model: Option<String>,
    /// Only these endpoints, beside the reference and the control.
    #[arg(long, short, value_name = "NAME", add = names::endpoints())]
    pub endpoint: Vec<String>,
    /// Answers per sampled probe and endpoint.
    #[arg(long, value_name = "COUNT")]
    pub samples: Option<u32>,
    /// Print JSON instead of a table, as --format json does.
    #[arg(long)]
    pub json: bool,
    /// The form of the plan.
    #[arg(long, short, value_enum, default_value_t = PlanFormat::Terminal)]
    pub format: PlanFormat,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A table, for people
    Terminal,
    /// `samemodel.plan-report/1`, for programs
    Json,
}

/// `samemodel import`
#[derive(Debug, Args)]
pub struct Import {
    /// Files of samples, as JSON lines of `samemodel.sample/1`; `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The model under which they are kept; needed where the lines name none.
    #[arg(long, value_name = "NAME", add = names::models())]
    pub model: Option<String>,
    /// The endpoint that serves as reference in this run.
    #[arg(long, short, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub reference: String,
}

/// `samemodel init`
#[derive(Debug, Args)]
pub struct Init {
    /// The folder to write into.
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
}

/// `samemodel completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// `samemodel man`
#[derive(Debug, Args)]
pub struct Man {
    /// The folder to write into; it is made if need be.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}
