//! A host's limit of requests: a bucket that holds a minute's worth and fills evenly. Pure: the time is a parameter.

use std::num::NonZeroU32;
use std::time::Duration;

/// How long a full bucket lasts at the permitted pace.
const WINDOW: Duration = Duration::from_mins(1);

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    limit: NonZeroU32,
    /// Requests that may come at once.
    level: f64,
    /// When that was so.
    at: Duration,
}

/// Where a caller stands after a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Requests a minute.
    pub limit: u32,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// How long until all of the limit is there again.
    pub reset: Duration,
    /// How long until another request may come; nothing for one that was let in.
    pub wait: Option<Duration>,
}

impl Bucket {
    /// A full bucket.
    pub fn new(limit: NonZeroU32) -> Self {
        Self { limit, level: f64::from(limit.get()), at: Duration::ZERO }
    }

    /// Takes a request out of the bucket at this time, if there is one in it.
    pub fn take(&mut self, now: Duration) -> Standing {
        let full = f64::from(self.limit.get());
        let pace = full / WINDOW.as_secs_f64();
        self.level = (self.level + now.saturating_sub(self.at).as_secs_f64() * pace).min(full);
        self.at = now.max(self.at);
        let wait = if self.level < 1.0 {
            Some(Duration::from_secs_f64((1.0 - self.level) / pace))
        } else {
            self.level -= 1.0;
            None
        };
        let reset = Duration::from_secs_f64((full - self.level) / pace);
        Standing { limit: self.limit.get(), remaining: self.level as u32, reset, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(limit: u32) -> Bucket {
        Bucket::new(NonZeroU32::new(limit).unwrap())
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_one_at_a_time() {
        let mut bucket = bucket(3);
        let at = Duration::from_secs;
        let left: Vec<u32> = (0..3).map(|_| bucket.take(at(5)).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = bucket.take(at(5));
        assert_eq!((refused.wait, refused.reset), (Some(at(20)), at(60)));
        assert!(bucket.take(at(24)).wait.is_some());
        assert!(bucket.take(at(26)).wait.is_none());
    }

    #[test]
    fn it_never_holds_more_than_the_limit_and_time_does_not_run_backwards() {
        let mut bucket = bucket(2);
        assert_eq!(bucket.take(Duration::from_secs(10_000)).remaining, 1);
        assert_eq!(bucket.take(Duration::ZERO).remaining, 0);
        assert!(bucket.take(Duration::ZERO).wait.is_some());
    }
}
