//! What time it is for a command: the system's, or, in a rehearsal, what `SAMEMODEL_NOW` says that it is at the beginning.
//!
//! With the schedules of the lab's faults, weeks of checks and their alerts can be gone through in minutes.

use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};

use super::{UsageError, note};

const VARIABLE: &str = "SAMEMODEL_NOW";

/// How far this process is ahead of the system's clock.
static AHEAD: OnceLock<SignedDuration> = OnceLock::new();

/// Sets the clock of this process by the environment, and says so where it does.
pub(super) fn set_by_environment() -> anyhow::Result<()> {
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(()) };
    let text = text.to_string_lossy();
    let then: Timestamp = text.parse().map_err(|_| {
        let text = text.escape_debug();
        UsageError(format!("{VARIABLE} is no time: `{text}`; write one such as 2026-11-22T00:00:00Z, or unset it"))
    })?;
    if AHEAD.set(then.duration_since(Timestamp::now())).is_ok() {
        note(&format!("a rehearsal: {VARIABLE} sets the clock to {then}"));
    }
    Ok(())
}

/// Refuses a clock that shows a time before 1970: ids and certificates are told by it, and nothing that is kept would be in order.
pub(super) fn check() -> anyhow::Result<()> {
    let (system, set) = (Timestamp::now(), now());
    if system.min(set) >= Timestamp::UNIX_EPOCH {
        return Ok(());
    }
    let whose = if system < Timestamp::UNIX_EPOCH { "this machine's clock" } else { VARIABLE };
    Err(UsageError(format!("{whose} says that it is {:.0}, which is before 1970: set it first", system.min(set)))
        .into())
}

/// What time it is. In a rehearsal the clock runs on from where it was set.
pub(super) fn now() -> Timestamp {
    let ahead = AHEAD.get().copied().unwrap_or_default();
    Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
}
