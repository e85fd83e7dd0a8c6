//! Parts: what of a secret must not be told. Of a key that is all of it; of an address, what lets anyone write to it.
//!
//! Part of layer 1's redaction, pure.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::{Position, Url};

use super::WINDOW;

/// Something that is not to be told.
#[derive(Debug)]
pub(super) enum Part {
    /// Any run of it, save those within these ranges.
    Any { bytes: Vec<u8>, public: Vec<Range<usize>> },
    /// All of it together; its parts are ordinary text.
    Whole(Vec<u8>),
}

impl Part {
    fn any(text: impl Into<Vec<u8>>) -> Self {
        Self::Any { bytes: text.into(), public: Vec::new() }
    }
}

/// Marks a signing secret that is Base64 after it.
const ENCODED: &str = "whsec_";

/// Words in paths and queries of public APIs, which say nothing of whose address it is: only those of a window and more matter, and
/// those that stand before the secret in well-known addresses.
const PUBLIC: &[&str] = &[
    "alerting",
    "alerts",
    "api",
    "automation",
    "automations",
    "callback",
    "callbacks",
    "catch",
    "channels",
    "development",
    "external",
    "generic",
    "heartbeat",
    "heartbeats",
    "hook",
    "hooks",
    "incoming",
    "incoming-webhook",
    "incomingwebhook",
    "integration",
    "integrations",
    "internal",
    "invocations",
    "messages",
    "monitoring",
    "monitors",
    "notification",
    "notifications",
    "notify",
    "operations",
    "ping",
    "production",
    "providers",
    "receivers",
    "samemodel",
    "send",
    "services",
    "staging",
    "subscriptions",
    "triggers",
    "v1",
    "v2",
    "v3",
    "webhook",
    "webhookb2",
    "webhooks",
    "workflow",
    "workflows",
];

/// The parts of a secret.
pub(super) fn of(secret: &str) -> Vec<Part> {
    match Url::parse(secret) {
        Ok(url) if secret.contains("://") && url.has_host() => address(secret, &url),
        _ => key(secret),
    }
}

fn key(secret: &str) -> Vec<Part> {
    let mut out = vec![Part::any(secret)];
    if let Some(encoded) = secret.strip_prefix(ENCODED) {
        out.push(Part::any(encoded));
        // The bytes themselves, however they are encoded anew.
        out.extend(decoded(encoded).map(Part::any));
    }
    out
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    [STANDARD, URL_SAFE].iter().find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}

fn address(text: &str, url: &Url) -> Vec<Part> {
    let mut out = Vec::new();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if let Some((login, _)) = authority.rsplit_once('@') {
        out.extend(in_both_forms(login).iter().flat_map(|login| credentials(login)));
    }
    let written = &rest[authority.len()..];
    for tail in in_both_forms(written).into_iter().chain(in_both_forms(&url[Position::BeforePath..])) {
        // The host alone is told, and so is a path that is too short to be told from text.
        if tail.len() > 1 {
            let host = &url[Position::BeforeHost..Position::AfterPort];
            out.push(Part::Whole(text.into()));
            out.push(Part::Whole(format!("{host}{tail}").into()));
        }
        out.extend(route(&tail));
    }
    out
}

/// The text as it is, and with its percent encoding read where it has one.
fn in_both_forms(text: &str) -> Vec<String> {
    // The reader of forms takes a plus for a space, which it is not here.
    let plus = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let read: String = url::form_urlencoded::parse(plus.as_bytes()).map(|(name, _)| name.into_owned()).collect();
    let mut out = vec![text.to_owned()];
    if read != text {
        out.push(read);
    }
    out
}

/// User and password, each and together. A user that is an address of e-mail has a public domain.
fn credentials(login: &str) -> Vec<Part> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let after = |sign: &str| user.find(sign).map(|at| at + sign.len()..user.len());
    let domain: Vec<Range<usize>> = after("@").or_else(|| after("%40")).into_iter().collect();
    let mut out = vec![Part::Any { bytes: login.into(), public: domain.clone() }, Part::any(password)];
    if user.len() >= WINDOW {
        out.push(Part::Any { bytes: user.into(), public: domain });
    }
    out
}

/// Path, query and fragment, without the public words that they begin with; nothing where they are too short to be told from text.
fn route(tail: &str) -> Option<Part> {
    let path_end = tail.find(['?', '#']).unwrap_or(tail.len());
    let mut begin = 0;
    for segment in tail[..path_end].split_inclusive('/') {
        let word = segment.trim_end_matches('/');
        if !word.is_empty() && !is_public(word) {
            break;
        }
        begin += segment.len();
    }
    // Beside a word of its own, the slash before it tells a short path from text.
    if begin == 1 {
        begin = 0;
    }
    let secret = &tail[begin..];
    (secret.len() >= WINDOW).then(|| Part::Any { bytes: secret.into(), public: words(secret) })
}

/// Where public words stand, and the names of a query's fields.
fn words(tail: &str) -> Vec<Range<usize>> {
    let delimiter = |c: char| "/?#&=;".contains(c);
    let mut out = Vec::new();
    let mut start = 0;
    let query = tail.find('?').unwrap_or(tail.len());
    for piece in tail.split_inclusive(delimiter) {
        let word = piece.trim_end_matches(delimiter);
        let is_name = start > query && piece.ends_with('=');
        if is_name || is_public(word) {
            out.push(start..start + word.len());
        }
        start += piece.len();
    }
    out
}

fn is_public(word: &str) -> bool {
    PUBLIC.contains(&word.to_ascii_lowercase().as_str())
}
