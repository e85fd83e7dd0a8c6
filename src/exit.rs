//! Exit codes: the contract with shells, cron and CI.
//!
//! Layer 5. `docs/src/exit-codes.md` explains each.

use crate::verdict::Verdict;

/// Why the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Every endpoint is consistent.
    Consistent = 0,
    /// An endpoint drifted.
    Drifted = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Inconclusive or unmeasured, none drifted.
    Undecided = 3,
    /// A fault of the program or the machine.
    Internal = 70,
    /// Another run holds the lock.
    Locked = 75,
}

impl From<Verdict> for ExitCode {
    /// The code for what was said of all endpoints together, see `Report::overall`.
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Consistent => Self::Consistent,
            Verdict::Drifted => Self::Drifted,
            Verdict::Inconclusive | Verdict::Unmeasured => Self::Undecided,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
