//! How many requests may be under way at one endpoint, and when the next may start.
//!
//! Layer 3, pure: moments are given as the time since any fixed one. [`Level`] finds how much an endpoint takes, as TCP
//! does; [`Gate`] adds the pace of requests per minute and the pauses that a host asks for.

use std::time::Duration;

/// The shortest time between two cuts: requests that were under way at the first one say nothing new.
pub const COOLDOWN: Duration = Duration::from_secs(15);

/// How long an endpoint that has said nothing yet is waited for before it is asked once more beside what is under way.
pub const QUIET: Duration = Duration::from_secs(5);

/// The most requests that are under way at one that has said nothing yet.
const QUIET_MOST: u32 = 3;

/// What an attempt says about how much its endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Answered at the first try.
    Taken,
    /// Nothing: answered at a later try, or turned away for what was asked.
    Unknown,
    /// The host or the connection failed: no time to ask for more.
    Strained,
    /// The host said to slow down.
    TooMuch,
}

/// The number of requests that may be under way at once.
///
/// It doubles with each clean round until the host first says to slow down, and from then on grows by one a round. A
/// round is as many first-try answers as the level is high, and counts only when at least 80 % of the level was in
/// use. A failing host ends the round without growth; "slow down" also cuts the level by a fifth, once in a
/// [`COOLDOWN`] or in the wait that the host asks for, whichever is longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    cap: u32,
    allowed: u32,
    slow_start: bool,
    in_flight: u32,
    taken: u32,
    peak: u32,
    no_cut_before: Duration,
}

impl Level {
    /// A level that begins at 1 and never passes `cap`, which counts as at least 1.
    pub fn new(cap: u32) -> Self {
        Self {
            cap: cap.max(1),
            allowed: 1,
            slow_start: true,
            in_flight: 0,
            taken: 0,
            peak: 0,
            no_cut_before: Duration::ZERO,
        }
    }

    /// The most that may ever be under way.
    pub fn cap(&self) -> u32 {
        self.cap
    }

    /// How many requests may be under way, from 1 to the cap.
    pub fn allowed(&self) -> u32 {
        self.allowed
    }

    /// How many are under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether one more may start.
    pub fn has_room(&self) -> bool {
        self.in_flight < self.allowed
    }

    /// A request starts.
    pub fn begin(&mut self) {
        self.in_flight += 1;
        self.peak = self.peak.max(self.in_flight);
    }

    /// A request is over.
    pub fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Learns from an attempt that is over; `asked` is the wait that the host asked for.
    pub fn learn(&mut self, load: Load, asked: Option<Duration>, now: Duration) {
        match load {
            Load::Unknown => {}
            Load::Strained => self.new_round(),
            Load::Taken => {
                self.taken += 1;
                if self.taken >= self.allowed {
                    self.grow();
                    self.new_round();
                }
            }
            Load::TooMuch => {
                self.slow_start = false;
                self.new_round();
                if now >= self.no_cut_before {
                    self.allowed = (u64::from(self.allowed) * 4 / 5).max(1) as u32;
                    self.no_cut_before = now.saturating_add(asked.unwrap_or_default().max(COOLDOWN));
                }
            }
        }
    }

    fn grow(&mut self) {
        if u64::from(self.peak) * 5 < u64::from(self.allowed) * 4 {
            return;
        }
        let next = if self.slow_start { self.allowed.saturating_mul(2) } else { self.allowed.saturating_add(1) };
        self.allowed = next.min(self.cap);
    }

    fn new_round(&mut self) {
        self.taken = 0;
        self.peak = self.in_flight;
    }
}

/// Whether a request may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It has started.
    Started,
    /// Not before this moment.
    At(Duration),
    /// Not before another one is over.
    AfterAnother,
    /// The host asks for a longer pause than is waited for; this much of it is left.
    Closed(Duration),
}

/// Level, pace and pauses of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    level: Level,
    spacing: Duration,
    next_start: Duration,
    paused_until: Duration,
    longest_pause: Duration,
    /// Whether the endpoint has ever answered, be it with a refusal.
    answers: bool,
    /// Whether it has asked for a longer pause than that since it last answered.
    doubted: bool,
    /// Whether it has answered or said to slow down, so that the level holds.
    told: bool,
    /// When the first of the requests under way was sent, or when one of them failed.
    quiet_since: Duration,
}

impl Gate {
    /// A gate for at most `cap` requests at once and `per_minute` a minute, evenly spaced, that waits out pauses of up
    /// to `longest_pause`.
    pub fn new(cap: u32, per_minute: Option<u32>, longest_pause: Duration) -> Self {
        // Rounded up, so that the starts of a minute are never one too many.
        let spaced = |rate: u32| Duration::from_mins(1) / rate.max(1) + Duration::from_nanos(1);
        let spacing = per_minute.map_or(Duration::ZERO, spaced);
        Self {
            level: Level::new(cap),
            spacing,
            next_start: Duration::ZERO,
            paused_until: Duration::ZERO,
            longest_pause,
            answers: false,
            doubted: false,
            told: false,
            quiet_since: Duration::ZERO,
        }
    }

    /// The level.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// Starts a request if one may start now.
    pub fn admit(&mut self, now: Duration) -> Admission {
        let pause = self.paused_until.saturating_sub(now);
        if pause > self.longest_pause {
            return Admission::Closed(pause);
        }
        let earliest = self.paused_until.max(self.next_start);
        if now < earliest {
            return Admission::At(earliest);
        }
        match self.next_beside() {
            _ if self.level.has_room() => {}
            Some(at) if now >= at => {}
            Some(at) => return Admission::At(at),
            None => return Admission::AfterAnother,
        }
        if self.level.in_flight() == 0 {
            self.quiet_since = now;
        }
        self.level.begin();
        self.next_start = now.saturating_add(self.spacing);
        Admission::Started
    }

    /// When one more may start beside those that fill the level, where the endpoint has said nothing yet.
    ///
    /// Each request to a silent endpoint waits for as long as its time limits allow: a few that overlap find it out in
    /// one such time. They start one after the other, so that a small endpoint which answers is asked as the level has
    /// it, and one that says to slow down is.
    fn next_beside(&self) -> Option<Duration> {
        let under_way = self.level.in_flight();
        let may_overlap = !self.told && under_way < QUIET_MOST.min(self.level.cap());
        may_overlap.then(|| self.quiet_since.saturating_add(QUIET * under_way))
    }

    /// A request that was started is over.
    pub fn end(&mut self) {
        self.level.end();
    }

    /// Learns from an attempt that is over: what it says about load, and the pause that the host asks for.
    ///
    /// A pause beyond the longest is not kept where it comes with an answer, and where the endpoint answers otherwise
    /// it takes a second one to believe it: one busy node of many says nothing of the others.
    pub fn learn(&mut self, load: Load, pause: Option<Duration>, now: Duration) {
        let is_answer = matches!(load, Load::Taken | Load::Unknown);
        if is_answer {
            (self.answers, self.doubted) = (true, false);
        }
        self.told |= load != Load::Strained;
        self.quiet_since = now;
        let is_too_long = pause.is_some_and(|pause| pause > self.longest_pause);
        let is_believed = !is_too_long || (!is_answer && (self.doubted || !self.answers));
        self.doubted |= is_too_long && !is_answer;
        let pause = pause.filter(|_| is_believed);
        self.level.learn(load, pause, now);
        if let Some(pause) = pause {
            self.paused_until = self.paused_until.max(now.saturating_add(pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Fills the level, and answers each request that was started.
    fn round(level: &mut Level) {
        let started = level.allowed();
        (0..started).for_each(|_| level.begin());
        for _ in 0..started {
            level.end();
            level.learn(Load::Taken, None, at(0));
        }
    }

    fn grown(cap: u32, rounds: u32) -> Level {
        let mut level = Level::new(cap);
        (0..rounds).for_each(|_| round(&mut level));
        level
    }

    #[test]
    fn it_doubles_with_each_round_up_to_the_cap() {
        let levels: Vec<u32> = (0..6).map(|rounds| grown(20, rounds).allowed()).collect();
        assert_eq!(levels, [1, 2, 4, 8, 16, 20]);
    }

    #[test]
    fn a_slow_down_cuts_by_a_fifth_and_ends_the_doubling() {
        let mut level = grown(100, 4);
        level.learn(Load::TooMuch, None, at(100));
        assert_eq!(level.allowed(), 12);
        round(&mut level);
        assert_eq!(level.allowed(), 13);
    }

    #[test]
    fn cuts_are_as_far_apart_as_the_cooldown_or_the_asked_wait() {
        let mut level = grown(100, 4);
        for (seconds, expected) in [(100, 12), (101, 12), (114, 12), (115, 9), (116, 9)] {
            level.learn(Load::TooMuch, Some(at(3)), at(seconds));
            assert_eq!(level.allowed(), expected, "at {seconds} s");
        }
        level.learn(Load::TooMuch, Some(at(60)), at(200));
        level.learn(Load::TooMuch, None, at(259));
        assert_eq!(level.allowed(), 7);
        level.learn(Load::TooMuch, None, at(260));
        assert_eq!(level.allowed(), 5);
    }

    #[test]
    fn a_failing_host_stops_growth_without_a_cut() {
        let mut level = grown(100, 3);
        (0..8).for_each(|_| level.begin());
        for _ in 0..7 {
            level.end();
            level.learn(Load::Taken, None, at(0));
        }
        level.end();
        level.learn(Load::Strained, None, at(0));
        assert_eq!(level.allowed(), 8);
        level.learn(Load::Taken, None, at(0));
        assert_eq!(level.allowed(), 8);
        round(&mut level);
        assert_eq!(level.allowed(), 16);
    }

    #[test]
    fn an_answer_after_a_retry_neither_grows_nor_ends_a_round() {
        let mut level = grown(100, 1);
        (0..2).for_each(|_| level.begin());
        level.learn(Load::Unknown, None, at(0));
        level.learn(Load::Taken, None, at(0));
        assert_eq!(level.allowed(), 2);
        level.learn(Load::Taken, None, at(0));
        assert_eq!(level.allowed(), 4);
    }

    #[test]
    fn a_level_that_is_not_used_does_not_grow() {
        let mut level = grown(100, 4);
        for _ in 0..16 {
            level.begin();
            level.end();
            level.learn(Load::Taken, None, at(0));
        }
        assert_eq!(level.allowed(), 16);
    }

    #[test]
    fn requests_per_minute_are_spaced_evenly() {
        let mut gate = Gate::new(100, Some(120), at(60));
        assert_eq!(gate.admit(at(5)), Admission::Started);
        gate.end();
        assert_eq!(gate.admit(at(5)), Admission::At(Duration::new(5, 500_000_001)));
        assert_eq!(gate.admit(at(9)), Admission::Started);
        assert_eq!(gate.admit(Duration::from_millis(9501)), Admission::At(at(9) + QUIET));
        gate.learn(Load::Unknown, None, at(10));
        assert_eq!(gate.admit(at(10)), Admission::AfterAnother);
    }

    #[test]
    fn an_endpoint_that_has_said_nothing_yet_is_asked_once_more_from_time_to_time() {
        let mut gate = Gate::new(8, None, at(60));
        for (seconds, admission) in [
            (7, Admission::Started),
            (8, Admission::At(at(12))),
            (12, Admission::Started),
            (13, Admission::At(at(17))),
            (17, Admission::Started),
            (99, Admission::AfterAnother),
        ] {
            assert_eq!(gate.admit(at(seconds)), admission, "at {seconds} s");
        }
        gate.end();
        gate.learn(Load::Strained, None, at(127));
        assert_eq!(gate.admit(at(127)), Admission::At(at(137)), "what failed is not replaced at once");
    }

    #[test]
    fn an_endpoint_that_answers_or_takes_one_at_a_time_is_asked_as_the_level_has_it() {
        for load in [Load::Taken, Load::Unknown, Load::TooMuch] {
            let mut gate = Gate::new(8, None, at(60));
            assert_eq!([gate.admit(at(0)), gate.admit(at(5))], [Admission::Started; 2]);
            gate.end();
            gate.learn(load, None, at(6));
            let allowed = gate.level().allowed();
            (1..allowed).for_each(|_| assert_eq!(gate.admit(at(6)), Admission::Started));
            assert_eq!(gate.admit(at(99)), Admission::AfterAnother, "{load:?}");
        }
        let mut single = Gate::new(1, None, at(60));
        assert_eq!([single.admit(at(0)), single.admit(at(99))], [Admission::Started, Admission::AfterAnother]);
    }

    #[test]
    fn a_pause_holds_and_a_shorter_one_does_not_end_it() {
        let mut gate = Gate::new(8, None, at(60));
        gate.learn(Load::TooMuch, Some(at(30)), at(0));
        gate.learn(Load::TooMuch, Some(at(1)), at(2));
        assert_eq!(gate.admit(at(3)), Admission::At(at(30)));
        assert_eq!(gate.admit(at(30)), Admission::Started);
    }

    #[test]
    fn a_pause_that_is_too_long_closes_the_gate_until_little_of_it_is_left() {
        let mut gate = Gate::new(8, None, at(60));
        gate.learn(Load::TooMuch, Some(at(3600)), at(0));
        assert_eq!(gate.admit(at(1)), Admission::Closed(at(3599)));
        assert_eq!(gate.admit(at(3550)), Admission::At(at(3600)));
    }

    #[test]
    fn a_pause_that_is_too_long_is_believed_of_an_endpoint_that_answers_when_it_comes_twice_in_a_row() {
        let mut gate = Gate::new(8, None, at(60));
        gate.learn(Load::Taken, Some(at(3600)), at(0));
        assert_eq!(gate.admit(at(1)), Admission::Started, "what comes with an answer is no reason to stop");
        gate.end();
        gate.learn(Load::TooMuch, Some(at(3600)), at(2));
        gate.learn(Load::Taken, None, at(3));
        gate.learn(Load::Strained, Some(at(3600)), at(4));
        assert_eq!(gate.admit(at(5)), Admission::Started);
        gate.end();
        gate.learn(Load::TooMuch, Some(at(3600)), at(6));
        assert_eq!(gate.admit(at(7)), Admission::Closed(at(3599)));
    }

    fn load() -> impl Strategy<Value = Load> {
        prop::sample::select(vec![Load::Taken, Load::Unknown, Load::Strained, Load::TooMuch])
    }

    proptest! {
        #[test]
        fn whatever_happens_the_level_stays_between_one_and_the_cap(
            cap in 0u32..50,
            steps in prop::collection::vec((load(), prop::option::of(0u64..100), 0u64..20, any::<bool>()), 0..300),
        ) {
            let mut level = Level::new(cap);
            let mut now = 0;
            for (load, asked, passed, starts) in steps {
                now += passed;
                let before = level.allowed();
                if starts && level.has_room() {
                    level.begin();
                } else {
                    level.end();
                    level.learn(load, asked.map(at), at(now));
                }
                prop_assert!((1..=cap.max(1)).contains(&level.allowed()));
                prop_assert!(level.in_flight() <= cap.max(1));
                if level.allowed() < before {
                    prop_assert_eq!(load, Load::TooMuch);
                }
            }
        }

        #[test]
        fn no_more_start_in_a_minute_than_allowed_nor_during_a_pause(
            rate in 1u32..200,
            steps in prop::collection::vec((1u64..700, prop::option::weighted(0.05, 0u64..5000)), 0..300),
        ) {
            let mut gate = Gate::new(1000, Some(rate), at(60));
            let (mut now, mut paused_until) = (Duration::ZERO, Duration::ZERO);
            let mut starts = Vec::new();
            for (passed, pause) in steps {
                now += Duration::from_millis(passed);
                if let Some(pause) = pause.map(Duration::from_millis) {
                    gate.learn(Load::Unknown, Some(pause), now);
                    paused_until = paused_until.max(now + pause);
                }
                if gate.admit(now) == Admission::Started {
                    prop_assert!(now >= paused_until);
                    starts.push(now);
                    gate.end();
                }
            }
            for (first, start) in starts.iter().enumerate() {
                let within = starts[first..].iter().take_while(|later| **later < *start + at(60)).count();
                prop_assert!(within <= rate as usize, "{within} of {rate}");
            }
        }
    }
}
