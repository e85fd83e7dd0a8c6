//! The dead man's switch: a service that hears of every check, and raises the alarm when it no longer does.
//!
//! A check that is killed, or never begins, cannot tell anyone; its silence does.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::post::Post;
use crate::config::Heartbeat;

/// The longest that one ping may take: a check does not wait for its watchman.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts for one ping: one that is lost would raise a false alarm.
const TRIES: u32 = 2;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A check begins.
    Start,
    /// It came to a report.
    Success,
    /// It did not.
    Fail,
}

/// The service with its address.
#[derive(Debug)]
pub struct Pulse {
    url: SecretString,
    settings: Heartbeat,
}

impl Pulse {
    /// The service at this address; what is not a URL is refused without being shown.
    pub fn new(settings: &Heartbeat, url: &SecretString) -> Result<Self, String> {
        let fits = Url::parse(url.expose_secret()).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if fits {
            Ok(Self { url: url.clone(), settings: settings.clone() })
        } else {
            Err(format!("the value of {} is no http or https URL", settings.url_env))
        }
    }

    /// Tells the service. What goes wrong is given in the service's words too, which may show the address: see
    /// [`harmless`](super::harmless).
    pub async fn ping(&self, beat: Beat) -> Result<(), String> {
        let Some(url) = self.url_of(beat) else { return Ok(()) };
        let mut last = String::new();
        for _ in 0..TRIES {
            let post = Post { url: &url, headers: HeaderMap::new(), body: String::new(), timeout: TIMEOUT };
            let outcome = match post.send(Timestamp::now()).await {
                Ok(response) => response.taken(),
                Err(trouble) => Err(trouble),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble.reason().clone_into(&mut last),
            }
        }
        Err(last)
    }

    /// The address with what is appended to its path; nothing where this beat is not wanted.
    fn url_of(&self, beat: Beat) -> Option<Url> {
        let suffix = match beat {
            Beat::Start => &self.settings.start,
            Beat::Fail => &self.settings.fail,
            Beat::Success => return Url::parse(self.url.expose_secret()).ok(),
        };
        if suffix.is_empty() {
            return None;
        }
        let mut url = Url::parse(self.url.expose_secret()).ok()?;
        let path = format!("{}{suffix}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Heartbeat {
        toml::from_str("url_env = 'PING'").unwrap()
    }

    fn pulse(settings: &Heartbeat, url: &str) -> Pulse {
        Pulse::new(settings, &SecretString::from(url)).unwrap()
    }

    #[test]
    fn what_is_appended_goes_to_the_path_and_not_into_the_query() {
        let pulse = pulse(&settings(), "https://h/canary?rid=1");
        let url = |beat| pulse.url_of(beat).unwrap().to_string();
        assert_eq!(url(Beat::Start), "https://h/canary/start?rid=1");
        assert_eq!(url(Beat::Success), "https://h/canary?rid=1");
        assert_eq!(url(Beat::Fail), "https://h/canary/fail?rid=1");
        assert!(!format!("{pulse:?}").contains("canary"));
    }

    #[test]
    fn a_beat_with_nothing_to_append_is_left_out() {
        let pulse = pulse(&Heartbeat { start: String::new(), ..settings() }, "https://h/x");
        assert_eq!(pulse.url_of(Beat::Start), None);
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_shown() {
        for value in ["canary", "file:///canary"] {
            let refused = Pulse::new(&settings(), &SecretString::from(value)).unwrap_err();
            assert_eq!(refused, "the value of PING is no http or https URL");
        }
    }
}
