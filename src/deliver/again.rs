//! Whether a delivery that failed is tried again, and when. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::{Delivery, OutboxEntry};

/// Why a delivery failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It may go away by itself.
    Passing {
        /// What it is.
        reason: String,
        /// How long the receiver asks to be left alone.
        wait: Option<Duration>,
    },
    /// Someone must do something about it first.
    Lasting {
        /// What it is.
        reason: String,
    },
}

impl Trouble {
    /// Trouble that may go away by itself, of a receiver that asks for nothing.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), wait: None }
    }

    /// Trouble that someone must do something about.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self::Lasting { reason: reason.into() }
    }

    /// What it is.
    pub fn reason(&self) -> &str {
        match self {
            Self::Passing { reason, .. } | Self::Lasting { reason } => reason,
        }
    }
}

/// The wait after the first failure; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_mins(1);

/// The shortest wait that is granted to whoever asks for one. Being asked for none is no reason to come back at once.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait, whoever asks for it: news that is older is worth little.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Where the wait no longer grows: 2^6 minutes are more than the longest one.
const MOST_DOUBLINGS: u32 = 6;

/// After this time a notification is given up.
const PATIENCE: Duration = Duration::from_hours(7 * 24);

/// What follows from a failed attempt.
pub fn after(trouble: Trouble, entry: &OutboxEntry, now: Timestamp) -> Delivery {
    let (reason, wait) = match trouble {
        Trouble::Lasting { reason } => return Delivery::GivenUp { at: now, reason },
        Trouble::Passing { reason, wait } => (reason, wait),
    };
    let age = Duration::try_from(now.duration_since(entry.notification.created_at)).unwrap_or_default();
    if age >= PATIENCE {
        return Delivery::GivenUp { at: now, reason: format!("not delivered within 7 days: {reason}") };
    }
    let doubled = FIRST_WAIT * 2u32.pow(entry.attempts.min(MOST_DOUBLINGS));
    let wait = wait.filter(|asked| !asked.is_zero()).unwrap_or(doubled).clamp(SHORTEST_WAIT, LONGEST_WAIT);
    Delivery::Postponed { until: now.checked_add(wait).unwrap_or(now), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Notification, State};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(attempts: u32) -> OutboxEntry {
        let notification =
            Notification { key: "k".into(), receiver: "r".into(), run: None, created_at: at(0), event: String::new() };
        OutboxEntry { notification, attempts, state: State::Waiting(at(0)), failure: None }
    }

    fn wait(attempts: u32, asked: Option<u64>) -> i64 {
        let trouble = Trouble::Passing { reason: "503".into(), wait: asked.map(Duration::from_secs) };
        match after(trouble, &entry(attempts), at(10)) {
            Delivery::Postponed { until, .. } => until.as_second() - 10,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_double_up_to_an_hour() {
        assert_eq!([0, 1, 2, 5, 6, 7, 4_000].map(|n| wait(n, None)), [60, 120, 240, 1920, 3600, 3600, 3600]);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_up_to_an_hour() {
        assert_eq!([wait(3, Some(1)), wait(0, Some(1_000)), wait(0, Some(1_000_000))], [1, 1_000, 3600]);
    }

    #[test]
    fn a_receiver_that_asks_for_no_wait_or_hardly_any_is_not_asked_again_at_once() {
        assert_eq!(wait(2, Some(0)), 240);
        let trouble = Trouble::Passing { reason: "503".into(), wait: Some(Duration::from_millis(1)) };
        let postponed = after(trouble, &entry(0), at(10));
        assert_eq!(postponed, Delivery::Postponed { until: at(11), reason: "503".into() });
    }

    #[test]
    fn lasting_trouble_and_a_week_of_any_are_given_up() {
        let lasting = after(Trouble::lasting("no_service"), &entry(0), at(1));
        assert_eq!(lasting, Delivery::GivenUp { at: at(1), reason: "no_service".into() });
        let week = at(7 * 24 * 3600);
        let old = after(Trouble::passing("503"), &entry(100), week);
        assert_eq!(old, Delivery::GivenUp { at: week, reason: "not delivered within 7 days: 503".into() });
    }
}
