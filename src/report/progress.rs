//! Progress of a run: what is shown on stderr while requests are under way.
//!
//! Layer 4. [`Progress`] listens to [`Event`]s and shows them as a bar, as plain lines or not at all; which one, and what
//! time it is, are parameters. [`Tally`] does the counting and is pure. A screen that cannot be written to does not stop a run.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::{escape, words};
use crate::attempt::FailureKind;
use crate::charge::exact_dollars;
use crate::event::Event;

/// Between two plain lines that only say how far the run is.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Between two lines on the same trouble at the same endpoint.
const BETWEEN_TROUBLES: Duration = Duration::from_secs(30);

/// Over this time the rate is measured, so that it follows a host that slows down.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// Characters of what a host said that are shown.
const LONGEST_MESSAGE: usize = 160;

/// Where progress is shown.
pub enum Screen {
    /// A bar that is drawn over and over, with troubles above it.
    Bar(ProgressDrawTarget),
    /// Plain lines: one at the start, one every ten seconds at most, troubles, one at the end.
    Lines(Box<dyn Write + Send>),
    /// Nothing.
    Silent,
}

/// Shows the progress of one run.
pub struct Progress<C> {
    view: Shown,
    clock: C,
    tally: Tally,
    troubles: BTreeMap<(String, FailureKind), Trouble>,
    last_line: Duration,
}

enum Shown {
    Bar(ProgressBar),
    Lines(Box<dyn Write + Send>),
    Silent,
}

/// A trouble of one kind at one endpoint.
struct Trouble {
    shown_at: Duration,
    /// How often it came since.
    unseen: usize,
}

impl<C: Fn() -> Duration> Progress<C> {
    /// A display on this screen; the clock tells the time since any fixed moment.
    pub fn new(screen: Screen, clock: C) -> Self {
        let view = match screen {
            Screen::Bar(target) => Shown::Bar(bar(target)),
            Screen::Lines(out) => Shown::Lines(out),
            Screen::Silent => Shown::Silent,
        };
        let last_line = clock();
        Self { view, clock, tally: Tally::default(), troubles: BTreeMap::new(), last_line }
    }

    /// Takes note of an event and shows what is new.
    pub fn on(&mut self, event: &Event) {
        let now = (self.clock)();
        self.tally.on(event, now);
        match event {
            Event::Started { planned, .. } => self.start(*planned, now),
            Event::Answered { .. } | Event::Failed { .. } => {}
            Event::Retrying { slot, kind, wait } => {
                self.trouble(&slot.endpoint, *kind, &format!("next try {}", after(*wait)), now);
            }
            Event::GaveUp { slot, kind, message } => {
                self.trouble(&slot.endpoint, *kind, &format!("given up: {message}"), now);
            }
            Event::EndpointDown { endpoint, reason, skipped } => {
                let open = words::count(*skipped, "request");
                self.say(&format!("{endpoint}: nothing more is asked, {open} open: {reason}"));
            }
            Event::BudgetReached { spent, held, skipped } => {
                let open = words::count(*skipped, "request");
                self.say(&format!("the budget is reached: {}, {open} open", spent_and_held(*spent, *held)));
            }
            Event::ThoughtAway { advice } => self.say(advice),
            Event::Stopping => self.say("stopping: requests under way are being finished"),
            Event::Finished => return self.finish(now),
        }
        self.update(now);
    }

    fn start(&mut self, planned: usize, now: Duration) {
        self.last_line = now;
        if let Shown::Bar(bar) = &self.view {
            bar.set_length(planned as u64);
            bar.enable_steady_tick(Duration::from_millis(200));
        } else {
            self.say(&self.tally.beginning());
        }
    }

    /// Says it, unless the same was said a moment ago.
    fn trouble(&mut self, endpoint: &str, kind: FailureKind, what: &str, now: Duration) {
        let key = (endpoint.to_owned(), kind);
        let times = match self.troubles.get_mut(&key) {
            Some(known) if now.saturating_sub(known.shown_at) < BETWEEN_TROUBLES => {
                known.unseen += 1;
                return;
            }
            Some(known) if known.unseen > 0 => format!(", {} more since", words::count(known.unseen, "time")),
            _ => String::new(),
        };
        self.troubles.insert(key, Trouble { shown_at: now, unseen: 0 });
        self.say(&format!("{endpoint}: {kind}{times}, {what}"));
    }

    fn update(&mut self, now: Duration) {
        match &self.view {
            Shown::Bar(bar) => {
                bar.set_position(self.tally.answered as u64);
                bar.set_message(self.tally.numbers(now));
            }
            Shown::Lines(_) if now.saturating_sub(self.last_line) >= BETWEEN_LINES => {
                self.last_line = now;
                self.say(&format!("{}, {}", self.tally.so_far(), self.tally.numbers(now)));
            }
            Shown::Lines(_) | Shown::Silent => {}
        }
    }

    fn finish(&mut self, now: Duration) {
        if let Shown::Bar(bar) = &self.view {
            bar.disable_steady_tick();
            bar.set_position(self.tally.answered as u64);
        }
        self.say(&self.tally.end(now));
        if let Shown::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }

    /// One line, escaped here, since it may quote a host.
    fn say(&mut self, text: &str) {
        let line = escape::short_line(text, LONGEST_MESSAGE);
        match &mut self.view {
            Shown::Bar(bar) => bar.println(line),
            Shown::Lines(out) => {
                // A closed stderr is no reason to lose a run.
                let _ = writeln!(out, "{line}").and_then(|()| out.flush());
            }
            Shown::Silent => {}
        }
    }
}

fn bar(target: ProgressDrawTarget) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len} {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▌░");
    ProgressBar::with_draw_target(Some(0), target).with_style(style).with_finish(ProgressFinish::AndClear)
}

/// The counts of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    planned: usize,
    answered: usize,
    already: usize,
    errors: usize,
    given_up: usize,
    /// Requests that will not be sent, as far as that is known while others are under way.
    skipped: usize,
    cost: f64,
    worst_cost: f64,
    started_at: Duration,
    /// When the latest answers came.
    recent: VecDeque<Duration>,
}

impl Tally {
    /// Takes note of an event at this time.
    pub fn on(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Started { planned, already_answered, worst_cost } => {
                let (planned, already) = (*planned, *already_answered);
                *self = Self { planned, already, answered: already, worst_cost: *worst_cost, ..Self::default() };
                self.started_at = now;
            }
            Event::Answered { cost, .. } => {
                self.answered += 1;
                self.cost += cost;
                self.recent.push_back(now);
                while self.recent.front().is_some_and(|&at| now.saturating_sub(at) > RATE_WINDOW) {
                    self.recent.pop_front();
                }
            }
            Event::Retrying { .. } | Event::Failed { .. } => self.errors += 1,
            Event::GaveUp { .. } => {
                self.errors += 1;
                self.given_up += 1;
            }
            Event::EndpointDown { skipped, .. } | Event::BudgetReached { skipped, .. } => self.skipped += skipped,
            Event::ThoughtAway { .. } | Event::Stopping | Event::Finished => {}
        }
    }

    /// Answers a second over the last half minute; `None` in the first second, when it would be a guess.
    pub fn rate(&self, now: Duration) -> Option<f64> {
        let span = now.saturating_sub(self.started_at).min(RATE_WINDOW);
        let recent = self.recent.iter().filter(|&&at| now.saturating_sub(at) <= RATE_WINDOW).count();
        (span >= Duration::from_secs(1)).then(|| recent as f64 / span.as_secs_f64())
    }

    /// Requests that may still be answered.
    pub fn left(&self) -> usize {
        self.planned.saturating_sub(self.answered + self.given_up + self.skipped)
    }

    /// Requests that were neither answered nor given up, once the run is over. What is under way when an endpoint is taken out may
    /// still be answered or given up, so that this is known at the end alone.
    fn left_out(&self) -> usize {
        self.planned.saturating_sub(self.answered + self.given_up)
    }

    fn beginning(&self) -> String {
        let already = if self.already > 0 { format!(", {} answered already", self.already) } else { String::new() };
        let cost = if self.worst_cost > 0.0 {
            format!(", at most {}", words::dollars(self.worst_cost))
        } else {
            String::new()
        };
        format!("{} planned{already}, {} to go{cost}", words::count(self.planned, "request"), self.left())
    }

    fn so_far(&self) -> String {
        format!("{}/{} answered", self.answered, self.planned)
    }

    /// Rate, errors, time left and cost.
    fn numbers(&self, now: Duration) -> String {
        let mut parts = Vec::new();
        let rate = self.rate(now);
        parts.extend(rate.map(|rate| format!("{rate:.1}/s")));
        parts.push(words::count(self.errors, "error"));
        if let Some(rate) = rate.filter(|rate| *rate > 0.0 && self.left() > 0) {
            parts.push(format!("{} left", time(Duration::from_secs_f64(self.left() as f64 / rate))));
        }
        if self.cost > 0.0 {
            parts.push(words::dollars(self.cost));
        }
        parts.join(", ")
    }

    fn end(&self, now: Duration) -> String {
        let mut parts = vec![self.so_far(), words::count(self.errors, "error")];
        if self.given_up > 0 {
            parts.push(format!("{} given up", self.given_up));
        }
        if self.left_out() > 0 {
            parts.push(format!("{} left out", self.left_out()));
        }
        if self.cost > 0.0 {
            parts.push(words::dollars(self.cost));
        }
        format!("{} in {}", parts.join(", "), time(now.saturating_sub(self.started_at)))
    }
}

/// How long a try is waited for: `in 12 s`.
/// What is spent, with what requests under way may cost beside that.
fn spent_and_held(spent: f64, held: f64) -> String {
    let spent = format!("{} spent", exact_dollars(spent));
    if held > 0.0 {
        format!("{spent} and up to {} more held for requests under way", exact_dollars(held))
    } else {
        spent
    }
}

fn after(wait: Duration) -> String {
    if wait < Duration::from_secs(1) { "within a second".to_owned() } else { format!("in {}", time(wait)) }
}

/// A time for people: `12 s`, `2 min 43 s`, `1 h 5 min`.
fn time(span: Duration) -> String {
    let seconds = span.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::attempt::Slot;

    /// A place to write to that can be read.
    #[derive(Clone, Default, Debug)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn read(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic elsewhere").clone()).expect("UTF-8")
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic elsewhere").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl indicatif::TermLike for Paper {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            writeln!(self.clone(), "{text}")
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            write!(self.clone(), "{text}")
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn slot(endpoint: &str) -> Slot {
        Slot { endpoint: endpoint.into(), probe: "p".into(), replicate: 0 }
    }

    fn answered() -> Event {
        Event::Answered { slot: slot("e"), cost: 0.01 }
    }

    fn limited() -> Event {
        Event::Retrying { slot: slot("e"), kind: FailureKind::RateLimited, wait: Duration::from_secs(12) }
    }

    const STARTED: Event = Event::Started { planned: 40, already_answered: 10, worst_cost: 0.5 };

    /// Plays events at their seconds.
    fn play(screen: Screen, events: &[(u64, Event)]) {
        let now = Cell::new(Duration::ZERO);
        let mut progress = Progress::new(screen, || now.get());
        for (at, event) in events {
            now.set(Duration::from_secs(*at));
            progress.on(event);
        }
    }

    fn lines(events: &[(u64, Event)]) -> String {
        let paper = Paper::default();
        play(Screen::Lines(Box::new(paper.clone())), events);
        paper.read()
    }

    #[test]
    fn plain_lines_come_at_the_start_every_ten_seconds_and_at_the_end() {
        let mut events = vec![(100, STARTED)];
        events.extend((1..=25).map(|s| (100 + s, answered())));
        events.push((126, Event::Finished));
        insta::assert_snapshot!(lines(&events), @r"
        40 requests planned, 10 answered already, 30 to go, at most $0.50
        20/40 answered, 1.0/s, 0 errors, 20 s left, $0.10
        30/40 answered, 1.0/s, 0 errors, 10 s left, $0.20
        35/40 answered, 0 errors, 5 left out, $0.25 in 26 s
        ");
    }

    #[test]
    fn the_same_trouble_is_told_again_only_after_a_while_and_with_its_count() {
        let mut events = vec![(0, STARTED)];
        events.extend([1, 2, 3, 40].map(|s| (s, limited())));
        let said = lines(&events);
        let troubles: Vec<&str> = said.lines().filter(|l| l.starts_with("e:")).collect();
        assert_eq!(
            troubles,
            ["e: rate_limited, next try in 12 s", "e: rate_limited, 2 times more since, next try in 12 s"]
        );
    }

    #[test]
    fn an_endpoint_that_is_down_and_what_it_said_are_shown_escaped_and_short() {
        let reason = format!("\x1b[2J401\n::error::{}", "x".repeat(500));
        let down = Event::EndpointDown { endpoint: "e".into(), reason, skipped: 7 };
        let said = lines(&[(0, STARTED), (1, down)]);
        let line = said.lines().nth(1).expect("a second line");
        assert!(line.starts_with(r"e: nothing more is asked, 7 requests open: \u{1b}[2J401⏎::error::xxx"), "{line}");
        assert!(line.ends_with('…') && line.chars().count() < 200);
        assert_eq!(said.lines().count(), 2);
    }

    #[test]
    fn what_is_spent_when_the_budget_is_reached_is_told_beside_what_is_held() {
        let held = "$0.0017 spent and up to $0.0023 more held for requests under way";
        assert_eq!(spent_and_held(0.0017, 0.0023), held);
        assert_eq!(spent_and_held(1.5, 0.0), "$1.50 spent");
    }

    #[test]
    fn what_was_given_up_or_left_out_is_not_waited_for() {
        let mut tally = Tally::default();
        let gave_up = Event::GaveUp { slot: slot("e"), kind: FailureKind::Server, message: String::new() };
        let budget = Event::BudgetReached { spent: 1.0, held: 0.0, skipped: 20 };
        for event in [STARTED, answered(), gave_up, budget] {
            tally.on(&event, Duration::from_secs(1));
        }
        assert_eq!(tally.left(), 40 - 10 - 1 - 1 - 20);
    }

    #[test]
    fn answered_given_up_and_left_out_are_what_was_planned_whatever_was_under_way() {
        let gave_up = || Event::GaveUp { slot: slot("e"), kind: FailureKind::Server, message: String::new() };
        let down = Event::EndpointDown { endpoint: "e".into(), reason: "401".into(), skipped: 28 };
        let budget = Event::BudgetReached { spent: 1.0, held: 0.0, skipped: 25 };
        // Three were under way when the endpoint was taken out, and are counted among those that are open.
        let events = [STARTED, answered(), gave_up(), down, gave_up(), gave_up(), budget, answered()];
        let mut tally = Tally::default();
        for event in &events {
            tally.on(event, Duration::from_secs(1));
        }
        assert_eq!((tally.answered, tally.given_up, tally.left_out()), (12, 3, 25));
        assert_eq!(tally.answered + tally.given_up + tally.left_out(), tally.planned);
        let said = tally.end(Duration::from_secs(9));
        assert_eq!(said, "12/40 answered, 3 errors, 3 given up, 25 left out, $0.02 in 8 s");
    }

    #[test]
    fn the_rate_follows_a_host_that_slows_down() {
        let mut tally = Tally::default();
        tally.on(&STARTED, Duration::ZERO);
        assert_eq!(tally.rate(Duration::from_millis(500)), None, "too early to say");
        (1..=20).for_each(|s| tally.on(&answered(), Duration::from_secs(s)));
        assert_eq!(tally.rate(Duration::from_secs(20)), Some(1.0));
        assert_eq!(tally.rate(Duration::from_secs(100)), Some(0.0));
    }

    #[test]
    fn the_bar_shows_the_numbers_and_troubles_above_them() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        play(Screen::Bar(target), &[(0, STARTED), (2, limited()), (4, answered()), (5, Event::Finished)]);
        let drawn = paper.read();
        assert!(drawn.contains("e: rate_limited, next try in 12 s"), "{drawn}");
        assert!(drawn.contains("11/40 0.2/s, 1 error, 1 min 56 s left, $0.01"), "{drawn}");
        assert!(drawn.contains("11/40 answered, 1 error, 29 left out, $0.01 in 5 s"), "{drawn}");
    }

    #[test]
    fn a_silent_screen_takes_all_events() {
        play(Screen::Silent, &[(0, STARTED), (1, answered()), (2, Event::Stopping), (3, Event::Finished)]);
    }

    #[test]
    fn times_are_given_in_the_two_largest_units() {
        assert_eq!(after(Duration::from_millis(20)), "within a second");
        assert_eq!(
            [0, 59, 163, 3900].map(|s| time(Duration::from_secs(s))),
            ["0 s", "59 s", "2 min 43 s", "1 h 5 min"]
        );
    }
}
