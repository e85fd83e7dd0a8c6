//! Receivers: where messages go, with addresses and secrets found, or missing for a reason.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::command::Program;
use super::email::Mailbox;
use super::{Trouble, slack, webhook};
use crate::alert::Message;
use crate::config::{AlertReceiver, Config, Credentials, ReceiverKind};
use crate::redact::Redactor;
use crate::report::escape;

/// The secret address of a webhook. Its debug output shows nothing of it.
pub struct Address {
    url: Url,
    /// The longest that one delivery may take.
    pub(super) timeout: Duration,
}

impl Address {
    /// The address at this URL; what is not one, or would be sent in the clear over a network, is refused without being
    /// shown.
    fn new(url: &SecretString, variable: &str, timeout: Duration) -> Result<Self, String> {
        let parsed = Url::parse(url.expose_secret()).map_err(|_| format!("the value of {variable} is no URL"))?;
        let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match parsed.scheme() {
            "https" => Ok(Self { url: parsed, timeout }),
            "http" if local => Ok(Self { url: parsed, timeout }),
            _ => Err(format!("the value of {variable} is no https URL")),
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Where messages go.
#[derive(Debug)]
pub enum Receiver {
    /// A channel of Slack.
    Slack(Address),
    /// Anything that takes JSON by POST, and the secret that messages are signed with.
    Webhook(Address, Option<SecretString>),
    /// A mail server.
    Email(Box<Mailbox>),
    /// A program on this machine.
    Command(Program),
}

/// All receivers by name, each ready or not for a reason.
pub struct Receivers {
    by_name: BTreeMap<String, Result<Receiver, String>>,
    redactor: Redactor,
}

impl Receivers {
    /// The receivers of a configuration.
    pub fn of(config: &Config, credentials: &Credentials) -> Self {
        let ready = |(name, receiver): (&String, &AlertReceiver)| (name.clone(), Receiver::new(receiver, credentials));
        Self { by_name: config.alert.receiver.iter().map(ready).collect(), redactor: credentials.redactor() }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Those that cannot be reached as the configuration stands, and why: no reason names an address or a secret.
    pub fn missing(&self) -> impl Iterator<Item = (&str, String)> {
        self.by_name.iter().filter_map(move |(name, receiver)| {
            let reason = receiver.as_ref().err()?;
            Some((name.as_str(), harmless(reason, &self.redactor)))
        })
    }

    /// Sends a message to one receiver, once. What went wrong names no address and no secret.
    pub async fn send(&self, name: &str, message: &Message, now: Timestamp) -> Result<(), Trouble> {
        let sent = match self.by_name.get(name) {
            None => Err(Trouble::lasting("no receiver of this name is configured any more")),
            // Someone has to set a variable, and then nothing is lost.
            Some(Err(reason)) => Err(Trouble::passing(reason.clone())),
            Some(Ok(receiver)) => receiver.send(message, now).await,
        };
        sent.map_err(|trouble| self.clean(trouble))
    }

    fn clean(&self, trouble: Trouble) -> Trouble {
        let clean = |reason: String| harmless(&reason, &self.redactor);
        match trouble {
            Trouble::Passing { reason, wait } => Trouble::Passing { reason: clean(reason), wait },
            Trouble::Lasting { reason } => Trouble::Lasting { reason: clean(reason) },
        }
    }
}

/// The most characters of what a receiver says that are told.
const MOST_TOLD: usize = 160;

/// What a receiver says in a line that can be printed: redacted, and only then cut, since a cut through a secret would leave half of it.
pub fn harmless(said: &str, redactor: &Redactor) -> String {
    escape::short_line(&redactor.redact(said), MOST_TOLD)
}

impl Receiver {
    fn new(config: &AlertReceiver, credentials: &Credentials) -> Result<Self, String> {
        let timeout = Duration::try_from_secs_f64(config.timeout).unwrap_or(Duration::from_secs(10));
        let secret = |variable: &Option<String>| {
            let variable = variable.as_deref().unwrap_or_default();
            let found = credentials.secret(variable).map_err(|missing| missing.to_string())?;
            Ok::<_, String>((found.clone(), variable.to_owned()))
        };
        let address = || {
            let (url, variable) = secret(&config.url_env)?;
            Address::new(&url, &variable, timeout)
        };
        match config.kind {
            ReceiverKind::Slack => Ok(Self::Slack(address()?)),
            ReceiverKind::Webhook => {
                let key = config.secret_env.as_ref().map(|_| secret(&config.secret_env)).transpose()?;
                Ok(Self::Webhook(address()?, key.map(|(key, _)| key)))
            }
            ReceiverKind::Email => {
                let (url, variable) = secret(&config.url_env)?;
                let from = config.from.as_deref().unwrap_or_default();
                Mailbox::new(&url, from, &config.to, timeout)
                    .map(|mailbox| Self::Email(Box::new(mailbox)))
                    .map_err(|error| error.naming(&variable))
            }
            ReceiverKind::Command => Ok(Self::Command(Program {
                command: config.command.clone(),
                timeout,
                withheld: credentials.variables().map(str::to_owned).collect(),
            })),
        }
    }

    async fn send(&self, message: &Message, now: Timestamp) -> Result<(), Trouble> {
        match self {
            Self::Slack(address) => slack::send(address, message, now).await,
            Self::Webhook(address, secret) => webhook::send(address, secret.as_ref(), message, now).await,
            Self::Email(mailbox) => mailbox.send(message).await,
            Self::Command(program) => program.send(message).await,
        }
    }
}
