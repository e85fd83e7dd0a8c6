//! Exit codes: the contract with shells, cron and CI.
//!
//! Layer 5. `docs/src/exit-codes.md` explains each.

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

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
