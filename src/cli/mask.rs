//! What this process says on standard error: it passes through here, so that no secret does, whatever says it.
//!
//! A second line: what comes from outside is redacted where it comes in.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

use crate::redact::Redactor;

static KNOWN: RwLock<Option<Redactor>> = RwLock::new(None);

/// Masks what `redactor` knows from now on.
pub(super) fn know(redactor: &Redactor) {
    *KNOWN.write().unwrap_or_else(PoisonError::into_inner) = Some(redactor.clone());
}

/// The text without secrets.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    match KNOWN.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
        Some(redactor) => redactor.redact(text),
        None => Cow::Borrowed(text),
    }
}

/// Standard error for the log, which writes a line at a time.
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(masked(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
