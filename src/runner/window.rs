//! The window: keeps endpoints in step, so that each probe reaches all of them within one stretch of time.
//!
//! An endpoint may start a request only when its block is less than the window's width ahead of the oldest block that
//! any endpoint still has open. Endpoints that are done or down hold nobody back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Which blocks are open at which endpoint.
#[derive(Debug)]
pub struct Window {
    width: usize,
    /// For each endpoint its open blocks with the number of requests in each.
    open: Mutex<BTreeMap<usize, BTreeMap<usize, usize>>>,
    changed: Notify,
}

impl Window {
    /// A window of this many blocks, at least 1.
    pub fn new(width: usize) -> Self {
        Self { width: width.max(1), open: Mutex::default(), changed: Notify::new() }
    }

    /// An endpoint has these blocks to do.
    pub fn enter(&self, endpoint: usize, blocks: impl Iterator<Item = usize>) {
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        blocks.for_each(|block| *open.entry(block).or_default() += 1);
        self.lock().insert(endpoint, open);
    }

    /// Waits until the block is within the window.
    pub async fn wait(&self, endpoint: usize, block: usize) {
        loop {
            let changed = self.changed.notified();
            if self.admits(endpoint, block) {
                return;
            }
            changed.await;
        }
    }

    fn admits(&self, endpoint: usize, block: usize) -> bool {
        let open = self.lock();
        let oldest = open.values().filter_map(|blocks| blocks.keys().next()).min();
        // An endpoint that was retired has nothing to wait for: its requests are about to be skipped.
        !open.contains_key(&endpoint) || oldest.is_none_or(|oldest| block < oldest + self.width)
    }

    /// One request of a block is over.
    pub fn leave(&self, endpoint: usize, block: usize) {
        if let Some(blocks) = self.lock().get_mut(&endpoint)
            && let Some(count) = blocks.get_mut(&block)
        {
            *count -= 1;
            if *count == 0 {
                blocks.remove(&block);
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
        self.lock().values().flat_map(BTreeMap::values).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, BTreeMap<usize, usize>>> {
        // Nothing under the lock can panic halfway through a change.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_endpoint_waits_for_a_slow_one_until_that_retires() {
        let window = Window::new(2);
        window.enter(0, 0..5);
        window.enter(1, 0..5);
        (0..2).for_each(|block| window.leave(0, block));
        assert!(!window.admits(0, 2));
        window.leave(1, 0);
        assert!(window.admits(0, 2) && !window.admits(0, 3));
        window.retire(1);
        assert!(window.admits(0, 3) && !window.admits(0, 4));
        assert_eq!(window.open(), 3);
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
        window.leave(0, 0);
        waiting.await.expect("the wait ends");
    }
}
