//! A POST over HTTP, and what its response means. Addresses are secrets: no message says more of one than its host.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use url::Url;

use super::Trouble;
use crate::client::headers;

/// The most bytes of a response that are read: enough for any error.
const MOST_READ: usize = 16 * 1024;

/// What is sent.
pub(super) struct Post<'a> {
    pub url: &'a Url,
    pub headers: HeaderMap,
    pub body: String,
    pub timeout: Duration,
}

/// What came back.
pub(super) struct Response {
    pub status: u16,
    pub body: String,
    /// How long the receiver asks to be left alone.
    pub wait: Option<Duration>,
}

impl Post<'_> {
    /// Sends it once, and follows no redirect.
    pub async fn send(self, now: Timestamp) -> Result<Response, Trouble> {
        let host = self.url.host_str().unwrap_or("the receiver").to_owned();
        let failed = |error: reqwest::Error| {
            let what = if error.is_timeout() {
                "took too long"
            } else if error.is_connect() {
                "cannot be reached"
            } else {
                "broke the connection"
            };
            Trouble::passing(format!("{host} {what}"))
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.timeout)
            .build()
            .map_err(|_| Trouble::passing("no HTTP client can be made"))?;
        let request = client.post(self.url.clone()).headers(self.headers).body(self.body);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let wait = headers::asked_wait(&headers::kept(response.headers()), now);
        let mut bytes = Vec::new();
        // A body that breaks off says what it says; the status is known.
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= MOST_READ {
                break;
            }
        }
        bytes.truncate(MOST_READ);
        Ok(Response { status, wait, body: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

impl Response {
    /// Whether it was taken, judged by its status alone.
    pub fn taken(&self) -> Result<(), Trouble> {
        match self.status {
            200..=299 => Ok(()),
            408 | 425 | 429 | 500..=599 => Err(Trouble::Passing { reason: self.told(), wait: self.wait }),
            _ => Err(Trouble::Lasting { reason: self.told() }),
        }
    }

    /// The status with all of the body: it is redacted before it is cut.
    pub fn told(&self) -> String {
        let body = self.body.trim();
        if body.is_empty() { format!("status {}", self.status) } else { format!("status {}: {body}", self.status) }
    }
}
