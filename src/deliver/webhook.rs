//! Generic webhooks: the message as JSON, signed as [Standard Webhooks](https://www.standardwebhooks.com/) are.
//!
//! The headers are `webhook-id` (the message's key, the same whenever it is sent), `webhook-timestamp` (seconds since
//! 1970) and, with a secret, `webhook-signature`: `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::Trouble;
use super::post::Post;
use super::receiver::Address;
use crate::alert::Message;

/// Marks a secret that is base64; any other is taken byte by byte.
const ENCODED: &str = "whsec_";

/// Sends a message to a generic webhook.
pub(super) async fn send(
    address: &Address,
    secret: Option<&SecretString>,
    message: &Message,
    now: Timestamp,
) -> Result<(), Trouble> {
    let body = body(message);
    let headers = headers(message, secret, &body, now)?;
    Post { url: address.url(), headers, body, timeout: address.timeout }.send(now).await?.taken()
}

/// The message as it is sent to webhooks and commands.
pub(super) fn body(message: &Message) -> String {
    // Serialising has nothing to fail on: keys are strings, and numbers that JSON lacks become null.
    serde_json::to_string(message).unwrap_or_default()
}

fn headers(message: &Message, secret: Option<&SecretString>, body: &str, now: Timestamp) -> Result<HeaderMap, Trouble> {
    let timestamp = now.as_second().to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("samemodel/", env!("CARGO_PKG_VERSION"))));
    let mut set = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).map_err(|_| Trouble::lasting(format!("`{name}` is no header")))?;
        headers.insert(HeaderName::from_static(name), value);
        Ok(())
    };
    set("webhook-id", &message.key)?;
    set("webhook-timestamp", &timestamp)?;
    if let Some(secret) = secret {
        let signature = sign(secret.expose_secret(), &format!("{}.{timestamp}.{body}", message.key))?;
        set("webhook-signature", &signature)?;
    }
    Ok(headers)
}

fn sign(secret: &str, signed: &str) -> Result<String, Trouble> {
    let key = match secret.strip_prefix(ENCODED) {
        None => secret.as_bytes().to_vec(),
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| Trouble::lasting("the signing secret begins with `whsec_` and is no base64 after it"))?,
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| Trouble::lasting("the signing secret is no key"))?;
    mac.update(signed.as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_the_signed_text() {
        // RFC 4231, test case 2.
        let expected = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00,
            0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        let signature = format!("v1,{}", STANDARD.encode(expected));
        assert_eq!(sign("Jefe", "what do ya want for nothing?").unwrap(), signature);
        assert_eq!(sign("whsec_SmVmZQ==", "what do ya want for nothing?").unwrap(), signature);
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_not_shown() {
        let trouble = sign("whsec_canary!", "x").unwrap_err();
        assert!(!format!("{trouble:?}").contains("canary"));
    }
}
