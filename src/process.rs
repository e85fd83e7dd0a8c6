//! Processes of this machine: whether the one that left a file behind is still there.
//!
//! Layer 1. Files that are not yet in their place are named after the process that writes them.

/// Whether another process of this number is there; where that cannot be told, it is taken to be.
pub fn is_alive(process: i32) -> bool {
    if u32::try_from(process) == Ok(std::process::id()) {
        // This one has not begun to write.
        return false;
    }
    #[cfg(unix)]
    {
        let process = rustix::process::Pid::from_raw(process);
        process.is_some_and(|process| rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH))
    }
    #[cfg(not(unix))]
    {
        true
    }
}
