//! E-mail by SMTP: the message as plain text. Its key is the message's id, by which mail programs know copies.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Trouble, words};
use crate::alert::Message;
use crate::report::escape;

/// The most characters of a subject.
const LONGEST_SUBJECT: usize = 150;

/// The most characters of a line of the body.
const LONGEST_LINE: usize = 1000;

/// A mail server with sender and recipients.
pub struct Mailbox {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: lettre::message::Mailbox,
    to: Vec<lettre::message::Mailbox>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Why there is no usable mail server; says nothing of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadMailbox {
    /// The address is none.
    NoUrl,
    /// The password and the message could be read on the way.
    InTheClear,
    /// A sender or recipient is no address.
    NoAddress,
}

impl BadMailbox {
    /// In words, with the variable that holds the address.
    pub fn naming(self, variable: &str) -> String {
        match self {
            Self::NoUrl => {
                format!("the value of {variable} is no address of a mail server, such as smtps://user:password@host")
            }
            Self::InTheClear => {
                format!("the value of {variable} asks for no encryption: use smtps://, or smtp:// with ?tls=required")
            }
            Self::NoAddress => "`from` or `to` holds no e-mail address".to_owned(),
        }
    }
}

impl Mailbox {
    /// A mail server at this URL, which holds user and password.
    pub fn new(url: &SecretString, from: &str, to: &[String], timeout: Duration) -> Result<Self, BadMailbox> {
        let url = url.expose_secret();
        let parsed = Url::parse(url).map_err(|_| BadMailbox::NoUrl)?;
        let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let required = parsed.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        match parsed.scheme() {
            "smtps" => {}
            "smtp" if local || required => {}
            "smtp" => return Err(BadMailbox::InTheClear),
            _ => return Err(BadMailbox::NoUrl),
        }
        let address = |text: &str| text.parse().map_err(|_| BadMailbox::NoAddress);
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| BadMailbox::NoUrl)?;
        Ok(Self {
            transport: builder.timeout(Some(timeout)).build(),
            from: address(from)?,
            to: to.iter().map(|to| address(to)).collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), Trouble> {
        let mail = self.mail(message).map_err(|error| Trouble::lasting(format!("no mail can be made: {error}")))?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(Trouble::lasting(told(&error))),
            Err(error) => Err(Trouble::passing(told(&error))),
        }
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .subject(escape::short_line(&words::headline(message), LONGEST_SUBJECT))
            .message_id(Some(format!("<{}@{domain}>", message.key)))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder.body(words::plain(message, |line| escape::short_line(line, LONGEST_LINE)))
    }
}

/// What the mail server or the connection to it said.
fn told(error: &lettre::transport::smtp::Error) -> String {
    format!("mail: {error}")
}
