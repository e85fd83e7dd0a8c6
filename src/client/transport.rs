//! Transport errors: what went wrong between here and the host, by class and in words.
//!
//! Layer 3. Messages name the host and nothing else of the address: the rest may hold an account, and a proxy's address
//! a password.

use std::error::Error;
use std::io;

use super::fault::failure;
use super::target::Target;
use crate::attempt::{Failure, FailureKind};

/// The failure that an error of the HTTP client is.
pub(super) fn failed(error: reqwest::Error, target: &Target) -> Failure {
    let error = error.without_url();
    let host = target.authority();
    let told = innermost(&error);
    if has_no_descriptors(&error, &told) {
        let message = format!(
            "this machine has no file descriptors left for a connection to {host}: raise the limit (`ulimit -n`) or lower `concurrency`"
        );
        return failure(FailureKind::Local, message);
    }
    if error.is_connect() {
        return failure(FailureKind::Connect, not_connected(&error, target, &told));
    }
    if error.is_timeout() {
        return failure(FailureKind::Timeout, format!("{host} took too long: {told}"));
    }
    if error.is_builder() {
        return failure(FailureKind::Rejected, format!("the request to {host} cannot be made: {told}"));
    }
    if is_undecoded(io_kind(&error), &told) {
        return failure(FailureKind::Malformed, format!("the body from {host} cannot be decoded: {told}"));
    }
    if target.url.scheme() == "http" && told.contains(NO_HTTP) {
        let message =
            format!("the connection to {host} broke: it does not answer in plain HTTP; try https:// in `base_url`");
        return failure(FailureKind::Reset, message);
    }
    failure(FailureKind::Reset, format!("the connection to {host} broke: {told}"))
}

/// What the library says of an answer that is no HTTP, such as an alert of TLS.
const NO_HTTP: &str = "invalid HTTP version";

/// What it says of one that is no TLS, such as the 400 of a plain host.
const NO_TLS: &str = "InvalidContentType";

/// Whether a body is not in the encoding that its headers name. Some decoders say so in words alone.
fn is_undecoded(kind: Option<io::ErrorKind>, told: &str) -> bool {
    matches!(kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) || told.contains("decompress")
}

/// `EMFILE` and `ENFILE`: the process, or the system, has as many files open as it may.
const NO_DESCRIPTORS: [i32; 2] = [24, 23];

fn has_no_descriptors(error: &dyn Error, told: &str) -> bool {
    let mut next = error.source();
    while let Some(source) = next {
        let code = source.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if cfg!(unix) && code.is_some_and(|code| NO_DESCRIPTORS.contains(&code)) {
            return true;
        }
        next = source.source();
    }
    // Where a resolver ran out of them only its words are left.
    told.contains("Too many open files")
}

fn not_connected(error: &reqwest::Error, target: &Target, told: &str) -> String {
    let host = target.authority();
    if error.is_timeout() {
        return format!("no connection to {host} within {} s", target.limits.connect.as_secs_f64());
    }
    if error.is_dns() {
        return format!("no address found for {host}: {told}");
    }
    match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => format!("connection refused by {host}"),
        _ if told.contains(NO_TLS) => {
            format!("cannot connect to {host}: it answers without TLS; try http:// in `base_url`")
        }
        _ => format!("cannot connect to {host}: {told}"),
    }
}

/// What the cause at the bottom of the chain says: the ones above it only say where they stand.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn io_kind(error: &dyn Error) -> Option<io::ErrorKind> {
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(io) = source.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = source.source();
    }
    None
}
