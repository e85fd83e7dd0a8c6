//! When a model is checked next: two tiers of checks, each with its times, and what a pulse makes necessary.
//!
//! Layer 2, pure. The clock is a parameter, and so is what is known of past starts; `samemodel watch` keeps both. `timetable` has the
//! times of one tier, `suspicion` decides whether a pulse calls for a full check.

use std::fmt;

use jiff::Timestamp;

use crate::config::{Missed, TimetableError, Watch};

pub mod suspicion;
pub mod timetable;

pub use timetable::{Timetable, Turn};

/// A kind of check by its thoroughness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Cheap and often.
    Pulse,
    /// Thorough and seldom.
    Full,
}

impl Tier {
    /// The name used in the configuration, the store and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pulse => "pulse",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The times of which a check was started last, by tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Last {
    /// Of pulses.
    pub pulse: Option<Timestamp>,
    /// Of full checks.
    pub full: Option<Timestamp>,
}

/// A check that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// How thorough it is.
    pub tier: Tier,
    /// Its time.
    pub at: Timestamp,
    /// The time of a pulse that this full check makes needless.
    pub covers: Option<Timestamp>,
}

/// What there is to do for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Check now.
    Run(Due),
    /// Nothing until then.
    Wait {
        /// What comes next.
        tier: Tier,
        /// When it starts.
        until: Timestamp,
    },
    /// Nothing ever again, as far as calendars go.
    Never,
}

/// The times at which one model is checked.
#[derive(Debug, Clone)]
pub struct Times {
    pulse: Option<Timetable>,
    full: Option<Timetable>,
    missed: Missed,
}

impl Times {
    /// The times of a model by the configuration. Two models of one configuration have jitters of their own.
    pub fn new(watch: &Watch, model: &str) -> Result<Self, TimetableError> {
        let of = |tier: Tier, configured: &Option<crate::config::Tier>| {
            configured.as_ref().map(|c| Timetable::new(c, &format!("{model}/{tier}"))).transpose()
        };
        Ok(Self { pulse: of(Tier::Pulse, &watch.pulse)?, full: of(Tier::Full, &watch.full)?, missed: watch.missed })
    }

    /// Whether there is a full check that suspicion could call for.
    pub fn has_full(&self) -> bool {
        self.full.is_some()
    }

    /// What to do at `now`. A full check that is due together with a pulse makes up for it.
    pub fn step(&self, last: Last, now: Timestamp) -> Step {
        let turn = |times: &Option<Timetable>, last| times.as_ref().map(|t| t.turn(self.missed, last, now));
        let pulse = turn(&self.pulse, last.pulse);
        let full = turn(&self.full, last.full);
        match (full, pulse) {
            (Some(Turn::Due(at)), pulse) => {
                let covers = if let Some(Turn::Due(pulse)) = pulse { Some(pulse) } else { None };
                Step::Run(Due { tier: Tier::Full, at, covers })
            }
            (_, Some(Turn::Due(at))) => Step::Run(Due { tier: Tier::Pulse, at, covers: None }),
            (full, pulse) => {
                let waits = [(Tier::Full, full), (Tier::Pulse, pulse)];
                let soonest = waits.into_iter().filter_map(|(tier, turn)| match turn {
                    Some(Turn::Wait(until)) => Some((until, tier)),
                    _ => None,
                });
                soonest.min_by_key(|(until, _)| *until).map_or(Step::Never, |(until, tier)| Step::Wait { tier, until })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tier(cron: &str) -> config::Tier {
        config::Tier {
            cron: cron.into(),
            time_zone: "UTC".into(),
            jitter: 0,
            samples: None,
            probes: None,
            budget: None,
        }
    }

    fn times() -> Times {
        let watch = Watch { pulse: Some(tier("*/15 * * * *")), full: Some(tier("0 4 * * *")), ..Watch::default() };
        Times::new(&watch, "m").unwrap()
    }

    #[test]
    fn what_was_never_watched_is_checked_in_full_at_once() {
        let step = times().step(Last::default(), at("2026-03-01T12:07:30Z"));
        let covers = Some(at("2026-03-01T12:00:00Z"));
        assert_eq!(step, Step::Run(Due { tier: Tier::Full, at: at("2026-03-01T04:00:00Z"), covers }));
    }

    #[test]
    fn a_pulse_comes_between_full_checks_and_a_full_check_makes_up_for_the_pulse_of_its_time() {
        let last = Last { pulse: Some(at("2026-03-01T12:00:00Z")), full: Some(at("2026-03-01T04:00:00Z")) };
        let until = at("2026-03-01T12:15:00Z");
        assert_eq!(times().step(last, at("2026-03-01T12:07:30Z")), Step::Wait { tier: Tier::Pulse, until });
        let step = times().step(last, until);
        assert_eq!(step, Step::Run(Due { tier: Tier::Pulse, at: until, covers: None }));
        let four = at("2026-03-02T04:00:00Z");
        let step = times().step(Last { pulse: Some(at("2026-03-02T03:45:00Z")), ..last }, four);
        assert_eq!(step, Step::Run(Due { tier: Tier::Full, at: four, covers: Some(four) }));
    }

    #[test]
    fn one_tier_alone_is_enough_and_none_never_comes() {
        let only_full = Watch { full: Some(tier("0 4 * * *")), ..Watch::default() };
        let last = Last { full: Some(at("2026-03-01T04:00:00Z")), pulse: None };
        let step = Times::new(&only_full, "m").unwrap().step(last, at("2026-03-01T12:00:00Z"));
        assert_eq!(step, Step::Wait { tier: Tier::Full, until: at("2026-03-02T04:00:00Z") });
        let step = Times::new(&Watch::default(), "m").unwrap().step(Last::default(), at("2026-03-01T12:00:00Z"));
        assert_eq!(step, Step::Never);
    }
}
