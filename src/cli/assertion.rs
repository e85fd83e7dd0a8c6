//! Snapshots in tests: ask, compare with what was approved, and fail with the report.
//!
//! Layer 5. The same as `samemodel test`, as functions and as the macro [`assert_same_model!`](crate::assert_same_model).

use std::path::{Path, PathBuf};
use std::thread;

use super::args::{Colour, Global};
use super::session::Session;
use super::{check, in_a_line};
use crate::config::Reference;
use crate::report::{Format, Report, View, render};
use crate::verdict::Verdict;

/// What is asked of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    config: PathBuf,
    model: String,
    endpoints: Vec<String>,
    seed: Option<u64>,
}

impl Question {
    /// All endpoints of this model of this configuration.
    pub fn new(config: impl AsRef<Path>, model: impl Into<String>) -> Self {
        let config = config.as_ref().to_owned();
        Self { config, model: model.into(), endpoints: Vec::new(), seed: None }
    }

    /// Only this endpoint, beside others that are named so.
    #[must_use]
    pub fn endpoint(mut self, name: impl Into<String>) -> Self {
        self.endpoints.push(name.into());
        self
    }

    /// With all random choices from this seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AssertionError(String);

/// Asks, compares with the approved snapshots, and writes what changed for review, as `SAMEMODEL_UPDATE` says.
///
/// # Errors
///
/// Where the command would end without a report: the configuration is wrong, another run is under way, nobody answers.
pub fn check(question: &Question) -> Result<Report, AssertionError> {
    // A thread of its own, since the caller may be within a runtime, which cannot wait for another.
    thread::scope(|scope| scope.spawn(|| run(question)).join())
        .unwrap_or_else(|_| Err(AssertionError("the run ended by a panic".to_owned())))
}

fn run(question: &Question) -> Result<Report, AssertionError> {
    let global =
        Global { config: Some(question.config.clone()), data_dir: None, color: Colour::Never, verbose: 0, quiet: true };
    let ask = async {
        let mut session = Session::open(&global, Some(&question.model), &super::session::Overrides::default())?;
        session.model.reference = Reference::Snapshot;
        session.keep_only(&question.endpoints)?;
        let asker = check::Asker::Assertion;
        let asked = check::Asked { asker, seed: question.seed, ..check::Asked::default() };
        check::ask(session, asked, &global).await
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| AssertionError(format!("no runtime can be started: {error}")))?;
    runtime.block_on(ask).map_err(|error| AssertionError(in_a_line(&error)))
}

/// As [`check`], and fails unless every endpoint is consistent.
///
/// # Panics
///
/// With the report, or with what kept it from being made.
#[track_caller]
pub fn assert(question: &Question) {
    match check(question) {
        Ok(report) if report.overall() == Verdict::Consistent => {}
        Ok(report) => {
            let text = render(&report, Format::Terminal, &View::default());
            panic!(
                "not every endpoint of `{}` answers as approved; samemodel review shows what waits\n\n{text}",
                report.model
            )
        }
        Err(error) => panic!("`{}` cannot be held against its snapshots: {error}", question.model),
    }
}

/// Fails unless every endpoint of a model answers as its approved snapshot says: the configuration's path and the model's name, or
/// a [`Question`].
///
/// ```no_run
/// samemodel::assert_same_model!("providers.toml", "llama-4-scout");
/// ```
#[macro_export]
macro_rules! assert_same_model {
    ($config:expr, $model:expr $(,)?) => {
        $crate::assertion::assert(&$crate::assertion::Question::new($config, $model))
    };
    ($question:expr $(,)?) => {
        $crate::assertion::assert(&$question)
    };
}
