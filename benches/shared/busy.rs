//! How long a thread has kept a processor busy.

use std::time::Duration;

/// The processor time of this thread so far: other programs take none of that. Where the system does not say, the time that has passed.
#[cfg(unix)]
pub fn busy() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

#[cfg(not(unix))]
pub fn busy() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}
