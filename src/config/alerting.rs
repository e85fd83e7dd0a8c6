//! The shape of `[alert]`: when people are told, who, and of what.
//!
//! Addresses of receivers are secrets: whoever has one can write there. So they are named by environment variables,
//! as keys are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When people are told, who, and of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerting {
    /// Runs in a row in which an endpoint must drift, or be unreachable, before anyone is told. A check that fails is told
    /// at once.
    pub fail_after: u32,
    /// Runs in a row in which it must be right before the alert is resolved.
    pub pass_after: u32,
    /// Hours after which people are reminded of what is still wrong.
    pub remind_every: f64,
    /// Changes between right and wrong, within `flap_window`, from which on an alert counts as flapping: it is told of once
    /// more, and then not resolved before it has been right for a whole window.
    pub flap_changes: u32,
    /// Hours over which changes are counted.
    pub flap_window: f64,
    /// The effect from which on drift is critical and no longer a warning, as a multiple of the tolerance. Drift with a
    /// certain cause always is.
    pub critical_from: f64,
    /// Where a report can be read, for links in messages; `{run}` and `{model}` stand for the run's id and the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_url: Option<String>,
    /// Where your notes on alerts are, for links in messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
    /// Where messages go, by name.
    pub receiver: BTreeMap<String, AlertReceiver>,
    /// Which messages go where, by name. Every route that fits counts; without any, all goes to every receiver.
    pub route: BTreeMap<String, AlertRoute>,
    /// Who is told that checks still run, and raises the alarm when they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            fail_after: 2,
            pass_after: 2,
            remind_every: 24.0,
            flap_changes: 6,
            flap_window: 168.0,
            critical_from: 5.0,
            report_url: None,
            docs_url: None,
            receiver: BTreeMap::new(),
            route: BTreeMap::new(),
            heartbeat: None,
        }
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertReceiver {
    /// What it is.
    pub kind: ReceiverKind,
    /// The environment variable that holds its address, in capitals; with `_FILE` appended it names a file that does. A Slack
    /// or generic webhook's URL, or a mail server as `smtps://user:password@host`; not for a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_env: Option<String>,
    /// The environment variable that holds the secret with which a generic webhook's messages are signed; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// The sender of e-mail, such as `samemodel <alerts@example.org>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who gets e-mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The program to run and its arguments; it gets the message as JSON on standard input. No shell is involved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The longest that one delivery may take, in seconds.
    #[serde(default = "default_delivery_timeout")]
    pub timeout: f64,
}

fn default_delivery_timeout() -> f64 {
    10.0
}

/// What a receiver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiverKind {
    /// A channel of Slack, by incoming webhook.
    Slack,
    /// Anything that takes JSON by POST.
    Webhook,
    /// A mail server.
    Email,
    /// A program on this machine.
    Command,
}

/// Which messages go where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRoute {
    /// The receivers by name.
    pub to: Vec<String>,
    /// Only alerts of this model; `*` stands for anything.
    #[serde(default = "anything")]
    pub model: String,
    /// Only alerts of this endpoint; `*` stands for anything. Alerts on a whole model, such as a check that failed, only fit `*`.
    #[serde(default = "anything")]
    pub endpoint: String,
    /// Only alerts that matter at least this much.
    #[serde(default)]
    pub severity: LeastSeverity,
}

fn anything() -> String {
    "*".to_owned()
}

/// How much an alert must matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeastSeverity {
    /// Anything that is told.
    #[default]
    Warning,
    /// Only what is critical.
    Critical,
}

/// Who is told that checks still run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The environment variable that holds the URL, in capitals; with `_FILE` appended it names a file that does.
    pub url_env: String,
    /// What is appended to the URL's path when a check begins; where it is empty, nothing is sent then.
    #[serde(default = "default_start")]
    pub start: String,
    /// What is appended to the URL's path when a check failed; where it is empty, nothing is sent then.
    /// Drift is no failure of the check.
    #[serde(default = "default_fail")]
    pub fail: String,
}

fn default_start() -> String {
    "/start".to_owned()
}

fn default_fail() -> String {
    "/fail".to_owned()
}

impl Alerting {
    /// Whether anyone is to be told of anything.
    pub fn is_configured(&self) -> bool {
        !self.receiver.is_empty()
    }

    /// The variables that hold addresses and secrets.
    pub(super) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let receivers = self.receiver.values().flat_map(|r| [&r.url_env, &r.secret_env]).flatten();
        receivers.chain(self.heartbeat.iter().map(|heartbeat| &heartbeat.url_env)).map(String::as_str)
    }
}
