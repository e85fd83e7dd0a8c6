//! The window: keeps endpoints in step, so that each probe reaches all of them within one stretch of time.
//!
//! An endpoint may start a request only when its block is less than the window's width ahead of the oldest block that
//! any endpoint still has open. Endpoints that are done or down hold nobody back, and neither do those that have not answered
//! for much longer than answers take: a silent host must not stop those that work.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How many times as long as an answer usually takes an endpoint may be without one before others go on.
const PATIENCE: u32 = 3;

/// The shortest time after which they do.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(100);

/// Which blocks are open at which endpoint.
#[derive(Debug)]
pub struct Window {
    width: usize,
    lanes: Mutex<BTreeMap<usize, Lane>>,
    changed: Notify,
}

/// One endpoint's way through the blocks.
#[derive(Debug)]
struct Lane {
    /// Open blocks with the number of requests in each.
    open: BTreeMap<usize, usize>,
    /// When an answer came last, or when it began.
    last: Instant,
    /// How long an answer takes of late.
    typical: Option<Duration>,
}

/// Whether a request may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Now,
    /// Not before something changes, or at this time.
    Later(Option<Instant>),
}

impl Window {
    /// A window of this many blocks, at least 1.
    pub fn new(width: usize) -> Self {
        Self { width: width.max(1), lanes: Mutex::default(), changed: Notify::new() }
    }

    /// An endpoint has these blocks to do.
    pub fn enter(&self, endpoint: usize, blocks: impl Iterator<Item = usize>) {
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        blocks.for_each(|block| *open.entry(block).or_default() += 1);
        self.lock().insert(endpoint, Lane { open, last: Instant::now(), typical: None });
    }

    /// Waits until the block is within the window.
    pub async fn wait(&self, endpoint: usize, block: usize) {
        loop {
            let changed = self.changed.notified();
            match self.admits(endpoint, block) {
                Admission::Now => return,
                Admission::Later(None) => changed.await,
                Admission::Later(Some(at)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    fn admits(&self, endpoint: usize, block: usize) -> Admission {
        let lanes = self.lock();
        // An endpoint that was retired has nothing to wait for: its requests are about to be skipped.
        if !lanes.contains_key(&endpoint) {
            return Admission::Now;
        }
        let now = Instant::now();
        let usual = lanes.values().filter_map(|lane| lane.typical).max();
        let patience = usual.map(|usual| (PATIENCE * usual).max(SHORTEST_PATIENCE));
        let holds = |lane: &&Lane| lane.open.keys().next().is_some_and(|oldest| block >= oldest + self.width);
        let holding = lanes.iter().filter(|(other, _)| **other != endpoint).map(|(_, lane)| lane).filter(holds);
        let until: Vec<Option<Instant>> = holding.map(|lane| patience.map(|patience| lane.last + patience)).collect();
        let own = lanes.get(&endpoint).is_some_and(|lane| holds(&lane));
        let others: Vec<Option<Instant>> = until.into_iter().filter(|at| at.is_none_or(|at| at > now)).collect();
        if others.is_empty() && !own {
            return Admission::Now;
        }
        // As soon as the first of those that hold it back is late, look again.
        Admission::Later(others.into_iter().flatten().min())
    }

    /// One request of a block is over, with the time that its answer took if it has one.
    pub fn leave(&self, endpoint: usize, block: usize, took: Option<Duration>) {
        if let Some(lane) = self.lock().get_mut(&endpoint) {
            if let Some(took) = took {
                lane.last = Instant::now();
                lane.typical = Some(lane.typical.map_or(took, |usual| (7 * usual + took) / 8));
            }
            if let Some(count) = lane.open.get_mut(&block) {
                *count -= 1;
                if *count == 0 {
                    lane.open.remove(&block);
                }
            }
        }
        self.changed.notify_waiters();
    }

    /// The endpoint is done or down.
    pub fn retire(&self, endpoint: usize) {
        self.lock().remove(&endpoint);
        self.changed.notify_waiters();
    }

    /// Requests that are not over.
    pub fn open(&self) -> usize {
        self.lock().values().flat_map(|lane| lane.open.values()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Lane>> {
        // Nothing under the lock can panic halfway through a change.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_admitted(window: &Window, endpoint: usize, block: usize) -> bool {
        window.admits(endpoint, block) == Admission::Now
    }

    #[test]
    fn a_fast_endpoint_waits_for_a_slow_one_until_that_retires() {
        let window = Window::new(2);
        window.enter(0, 0..5);
        window.enter(1, 0..5);
        (0..2).for_each(|block| window.leave(0, block, None));
        assert!(!is_admitted(&window, 0, 2));
        window.leave(1, 0, None);
        assert!(is_admitted(&window, 0, 2) && !is_admitted(&window, 0, 3));
        window.retire(1);
        assert!(is_admitted(&window, 0, 3) && !is_admitted(&window, 0, 4));
        assert_eq!(window.open(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_endpoint_holds_nobody_back_for_longer_than_a_few_answers_take() {
        let window = Window::new(1);
        window.enter(0, 0..9);
        window.enter(1, 0..9);
        window.leave(0, 0, Some(Duration::from_secs(2)));
        let begun = Instant::now();
        for block in 1..9 {
            window.wait(0, block).await;
            window.leave(0, block, Some(Duration::from_secs(2)));
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(6), "once, and not for every block");
    }

    #[tokio::test]
    async fn waiting_ends_when_the_window_moves() {
        let window = std::sync::Arc::new(Window::new(1));
        window.enter(0, 0..2);
        let waiting = tokio::spawn({
            let window = std::sync::Arc::clone(&window);
            async move { window.wait(0, 1).await }
        });
        tokio::task::yield_now().await;
        window.leave(0, 0, None);
        waiting.await.expect("the wait ends");
    }
}
