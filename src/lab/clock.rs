//! The lab's clock, which the schedules of faults go by. It starts at 0 and can be set, so that months pass in seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock that all endpoints of a fleet share; clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// What it showed when it was last set.
    shown: Duration,
    /// When that was.
    set: Instant,
    /// Seconds that pass on it in one of real time.
    speed: f64,
}

impl Clock {
    /// A clock that stands still until it is set or advanced.
    pub fn fixed(at: Duration) -> Self {
        Self::new(at, 0.0)
    }

    /// A clock that begins at 0 and runs at so many times the real speed; what is no speed stands still.
    pub fn running(speed: f64) -> Self {
        Self::new(Duration::ZERO, speed.max(0.0))
    }

    fn new(shown: Duration, speed: f64) -> Self {
        Self { state: Arc::new(Mutex::new(State { shown, set: Instant::now(), speed })) }
    }

    /// What it shows.
    pub fn now(&self) -> Duration {
        self.read(|state| state.now())
    }

    /// Makes it show this; a running clock runs on from there.
    pub fn set(&self, at: Duration) {
        self.read(|state| *state = State { shown: at, set: Instant::now(), ..*state });
    }

    /// Puts it forward.
    pub fn advance(&self, by: Duration) {
        self.read(|state| *state = State { shown: state.now().saturating_add(by), set: Instant::now(), ..*state });
    }

    fn read<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Clock {
    /// A clock at real speed.
    fn default() -> Self {
        Self::running(1.0)
    }
}

impl State {
    fn now(&self) -> Duration {
        let passed = self.set.elapsed().as_secs_f64() * self.speed;
        self.shown.saturating_add(Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_fixed_clock_moves_only_when_told_and_clones_move_with_it() {
        let clock = Clock::fixed(DAY);
        let other = clock.clone();
        assert_eq!(other.now(), DAY);
        clock.advance(DAY);
        assert_eq!(other.now(), 2 * DAY);
        other.set(Duration::ZERO);
        assert_eq!(clock.now(), Duration::ZERO);
    }

    #[test]
    fn a_running_clock_is_as_fast_as_asked_for() {
        let clock = Clock::running(1e9);
        std::thread::sleep(Duration::from_millis(1));
        assert!(clock.now() > 10 * DAY, "{:?}", clock.now());
        assert_eq!(Clock::running(f64::NAN).now(), Duration::ZERO);
        let frantic = Clock::running(f64::MAX);
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(frantic.now(), Duration::MAX);
    }
}
