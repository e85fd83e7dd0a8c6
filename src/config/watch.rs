//! The shape of `[watch]`, `[history]`, `[metrics]` and `[lab]` in `providers.toml`.
//!
//! As in `types.rs`, comments here are read by users.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When `samemodel watch` checks: a cheap pulse often, a full check seldom or when a pulse raises suspicion. Either may be
/// left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// The check that comes often and costs little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulse: Option<Tier>,
    /// The check that comes seldom, and when a pulse raises suspicion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<Tier>,
    /// The models that are watched when the command line names none; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// What becomes of times that passed while nothing ran.
    pub missed: Missed,
    /// Seconds in which an endpoint under suspicion causes no second full check.
    pub cool_down: u32,
}

impl Default for Watch {
    fn default() -> Self {
        Self { pulse: None, full: None, models: Vec::new(), missed: Missed::default(), cool_down: 86_400 }
    }
}

/// One kind of check and its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// A cron expression of five fields, such as `*/15 * * * *`, or a word such as `@daily`.
    pub cron: String,
    /// The zone in which the expression is read, by its IANA name.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Seconds over which the starts are spread, so that not everyone asks on the hour; below the time between two.
    #[serde(default)]
    pub jitter: u32,
    /// Answers per sampled probe, at least 2, where they differ from the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
    /// Folders or files of probes, where they differ from the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Vec<String>>,
    /// The most that one check may cost, in US dollars, where it differs from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
}

fn utc() -> String {
    "UTC".into()
}

/// What becomes of times that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// However many there were, one check makes up for them.
    #[default]
    Once,
    /// The next time is waited for.
    Skip,
}

/// What of past runs is kept: `samemodel history prune` removes the rest. Runs and results stay for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Days after which the bodies and headers that hosts sent are dropped; never when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_days: Option<u32>,
    /// Days after which attempts, samples and plans are dropped; never when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_days: Option<u32>,
}

/// What is written for monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// The file that `check` and `watch` write after each run, from where the configuration lies; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What endpoints of the embedded lab go by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lab {
    /// When the lab's clock showed 0, such as `2026-11-22T00:00:00Z`, so that the schedules of faults go on from one check to
    /// the next. Left out, it shows 0 at the beginning of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}
