//! The times of one tier: which of them is due, and which comes next, whatever clocks and people do.
//!
//! Layer 2, pure. A time is known by the moment at which the expression says that it comes; jitter delays its start and leaves its
//! name alone. When an hour is skipped or comes twice, an expression that names hours comes once, and one that comes every so many
//! minutes keeps its pace.

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::{Missed, Tier, TimetableError, cron, time_zone};
use crate::stats::rng;

/// A clock that is set back by no more than this is waited for; one that is set back further was wrong, and what was noted by it
/// no longer counts.
pub const FORGIVEN: SignedDuration = SignedDuration::from_hours(1);

/// What starts within this after its time is on time; less where times follow each other closely.
const PUNCTUAL: SignedDuration = SignedDuration::from_mins(10);

/// What there is to do for one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The check that belongs to this time is due.
    Due(Timestamp),
    /// Nothing until then.
    Wait(Timestamp),
    /// The expression's last time has passed.
    Never,
}

/// The times of one tier of one model.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    jitter: SignedDuration,
    key: String,
}

impl Timetable {
    /// The times that the configuration asks for. The jitter of each time follows from `key`, so that it is the same for every
    /// process that asks.
    pub fn new(tier: &Tier, key: &str) -> Result<Self, TimetableError> {
        Ok(Self {
            cron: cron(&tier.cron)?,
            zone: time_zone(&tier.time_zone)?,
            jitter: SignedDuration::from_secs(tier.jitter.into()),
            key: key.to_owned(),
        })
    }

    /// What to do at `now`, when the check of time `last` was the latest that was started.
    ///
    /// Without any, the latest time is due: a history that was lost must not look like one in which all is done.
    pub fn turn(&self, missed: Missed, last: Option<Timestamp>, now: Timestamp) -> Turn {
        // A time that lies this far ahead was noted by a clock that was wrong.
        let last = last.filter(|&last| last <= now.saturating_add(FORGIVEN).unwrap_or(Timestamp::MAX));
        let started = self.latest_started(now);
        match (started, last) {
            (Some(slot), None) => Turn::Due(slot),
            (Some(slot), Some(last)) if slot > last && (missed == Missed::Once || self.is_punctual(slot, now)) => {
                Turn::Due(slot)
            }
            (_, last) => self.wait(last.map_or(now, |last| last.max(now)), last, now),
        }
    }

    /// When the next time after `after` starts, or one before it whose start is still to come.
    fn wait(&self, after: Timestamp, last: Option<Timestamp>, now: Timestamp) -> Turn {
        let delayed =
            self.at_or_before(now).filter(|&slot| last.is_none_or(|last| slot > last) && self.start(slot) > now);
        delayed.or_else(|| self.after(after)).map_or(Turn::Never, |slot| Turn::Wait(self.start(slot)))
    }

    /// The latest time whose start, jitter included, is not after `now`.
    fn latest_started(&self, now: Timestamp) -> Option<Timestamp> {
        let latest = self.at_or_before(now)?;
        if self.start(latest) <= now { Some(latest) } else { self.before(latest) }
    }

    fn is_punctual(&self, slot: Timestamp, now: Timestamp) -> bool {
        let gap = self.after(slot).map_or(PUNCTUAL, |next| next.duration_since(slot) / 2);
        now.duration_since(self.start(slot)) <= gap.min(PUNCTUAL)
    }

    /// When the check of this time starts: up to the jitter later, and before the next time comes.
    fn start(&self, slot: Timestamp) -> Timestamp {
        let most = self.after(slot).map_or(self.jitter, |next| self.jitter.min(next.duration_since(slot)));
        let seconds = u64::try_from(most.as_secs()).unwrap_or_default();
        if seconds == 0 {
            return slot;
        }
        let delay = rng::derive_seed(0, &["jitter", &self.key, &slot.to_string()]) % seconds;
        slot.saturating_add(SignedDuration::from_secs(delay.cast_signed())).unwrap_or(Timestamp::MAX)
    }

    fn at_or_before(&self, moment: Timestamp) -> Option<Timestamp> {
        self.cron.find_previous_occurrence(&moment.to_zoned(self.zone.clone()), true).ok().map(|z| whole_second(&z))
    }

    fn before(&self, moment: Timestamp) -> Option<Timestamp> {
        self.cron.find_previous_occurrence(&moment.to_zoned(self.zone.clone()), false).ok().map(|z| whole_second(&z))
    }

    fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&moment.to_zoned(self.zone.clone()), false).ok().map(|z| whole_second(&z))
    }
}

fn whole_second(found: &jiff::Zoned) -> Timestamp {
    let found = found.timestamp();
    Timestamp::from_second(found.as_second()).unwrap_or(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn table(cron: &str, zone: &str, jitter: u32) -> Timetable {
        let tier =
            Tier { cron: cron.into(), time_zone: zone.into(), jitter, samples: None, probes: None, budget: None };
        Timetable::new(&tier, "m/pulse").unwrap()
    }

    /// All times that are run when someone looks every `step` seconds from `from` to `to`.
    fn run(table: &Timetable, from: &str, to: &str, step: i64) -> Vec<String> {
        let (mut now, end) = (at(from), at(to));
        let mut last = Some(now);
        let mut out = Vec::new();
        while now <= end {
            if let Turn::Due(slot) = table.turn(Missed::Once, last, now) {
                last = Some(slot);
                out.push(slot.to_string());
            }
            now = now.checked_add(SignedDuration::from_secs(step)).unwrap();
        }
        out
    }

    #[test]
    fn an_hour_that_is_skipped_moves_a_daily_time_and_drops_none() {
        // Europe/Berlin, 29 March 2026: 02:00 becomes 03:00, so 02:30 does not exist.
        let daily = table("30 2 * * *", "Europe/Berlin", 0);
        let found = run(&daily, "2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z", 300);
        assert_eq!(
            found,
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
        );
    }

    #[test]
    fn an_hour_that_comes_twice_brings_a_daily_time_once_and_keeps_the_pace_of_a_short_one() {
        // Europe/Berlin, 25 October 2026: 03:00 becomes 02:00, so 02:30 comes twice.
        let daily = table("30 2 * * *", "Europe/Berlin", 0);
        let found = run(&daily, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", 300);
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let often = table("*/30 * * * *", "Europe/Berlin", 0);
        let found = run(&often, "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", 60);
        assert_eq!(
            found,
            ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"]
        );
    }

    #[test]
    fn times_that_passed_unnoticed_are_made_up_for_once_or_not_at_all() {
        let often = table("*/15 * * * *", "UTC", 0);
        let (last, late) = (Some(at("2026-03-01T08:00:00Z")), at("2026-03-01T12:14:00Z"));
        assert_eq!(often.turn(Missed::Once, last, late), Turn::Due(at("2026-03-01T12:00:00Z")));
        assert_eq!(often.turn(Missed::Skip, last, late), Turn::Wait(at("2026-03-01T12:15:00Z")));
        let soon = at("2026-03-01T12:07:00Z");
        assert_eq!(often.turn(Missed::Skip, last, soon), Turn::Due(at("2026-03-01T12:00:00Z")));
    }

    #[test]
    fn a_history_that_is_empty_makes_the_latest_time_due_even_where_missed_times_are_skipped() {
        let daily = table("0 4 * * *", "UTC", 0);
        let now = at("2026-03-01T22:00:00Z");
        assert_eq!(daily.turn(Missed::Skip, None, now), Turn::Due(at("2026-03-01T04:00:00Z")));
    }

    #[test]
    fn a_clock_set_back_a_little_repeats_no_time_and_one_set_back_a_lot_does_not_stall() {
        let often = table("*/15 * * * *", "UTC", 0);
        let last = Some(at("2026-03-01T12:45:00Z"));
        let little = at("2026-03-01T12:05:00Z");
        assert_eq!(often.turn(Missed::Once, last, little), Turn::Wait(at("2026-03-01T13:00:00Z")));
        let a_lot = at("2026-02-01T12:05:00Z");
        assert_eq!(often.turn(Missed::Once, last, a_lot), Turn::Due(at("2026-02-01T12:00:00Z")));
    }

    #[test]
    fn jitter_delays_a_start_by_less_than_asked_and_the_same_for_all_who_ask() {
        let exact = table("0 * * * *", "UTC", 0);
        let spread = table("0 * * * *", "UTC", 600);
        let slot = at("2026-03-01T12:00:00Z");
        let last = Some(at("2026-03-01T11:00:00Z"));
        let Turn::Wait(start) = spread.turn(Missed::Once, last, slot) else { panic!("not at once") };
        assert!(start > slot && start < at("2026-03-01T12:10:00Z"), "{start}");
        assert_eq!(spread.turn(Missed::Once, last, start), Turn::Due(slot));
        assert_eq!(exact.turn(Missed::Once, last, slot), Turn::Due(slot));
        assert_eq!(
            spread.turn(Missed::Once, last, slot),
            table("0 * * * *", "UTC", 600).turn(Missed::Once, last, slot)
        );
    }

    #[test]
    fn a_jitter_longer_than_the_time_between_two_checks_lets_each_start_before_the_next() {
        let spread = table("* * * * *", "UTC", 86_400);
        let found = run(&spread, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z", 1);
        assert!(found.len() >= 59, "{}", found.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whoever looks, and whenever, no time is run twice while the clock goes forward, and each wait ends in a run.
        #[test]
        fn no_time_runs_twice_and_every_wait_comes_to_an_end(
            begin in 1_700_000_000_i64..1_900_000_000,
            steps in prop::collection::vec(1_i64..200_000, 1..20),
            jitter in 0_u32..1000,
            cron in prop::sample::select(vec!["*/15 * * * *", "30 2 * * *", "0 4 * * 1", "5 0 1 * *"]),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        ) {
            let table = table(cron, zone, jitter);
            let mut now = Timestamp::from_second(begin).unwrap();
            let mut last = None;
            for step in steps {
                match table.turn(Missed::Once, last, now) {
                    Turn::Due(slot) => {
                        prop_assert!(slot <= now && last.is_none_or(|last| slot > last));
                        last = Some(slot);
                    }
                    Turn::Wait(until) => {
                        prop_assert!(until > now);
                        let then = table.turn(Missed::Once, last, until);
                        prop_assert!(matches!(then, Turn::Due(_)), "{then:?} at {until}");
                    }
                    Turn::Never => prop_assert!(false, "these times go on"),
                }
                now = now.checked_add(SignedDuration::from_secs(step)).unwrap();
            }
        }
    }
}
