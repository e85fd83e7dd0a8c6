//! Bulk: how many large bodies are read and parsed at once, so that memory is bounded whatever hosts send.
//!
//! Layer 3. Nearly all answers are small, and these never wait. A host whose body is large waits until others of its kind are done,
//! which holds up none but hosts like it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies from this size on, in decompressed bytes, are large.
const LARGE: usize = 1 << 20;

/// Large bodies that are in memory at once.
const READ_AT_ONCE: usize = 4;

/// Large bodies that are parsed at once: a parsed body is several times as large.
const PARSED_AT_ONCE: usize = 2;

/// The places for large bodies of one process.
#[derive(Debug, Clone)]
pub(super) struct Bulk {
    reading: Arc<Semaphore>,
    parsing: Arc<Semaphore>,
}

/// A place that is free again when this is dropped.
pub(super) type Place = OwnedSemaphorePermit;

impl Default for Bulk {
    fn default() -> Self {
        Self { reading: Arc::new(Semaphore::new(READ_AT_ONCE)), parsing: Arc::new(Semaphore::new(PARSED_AT_ONCE)) }
    }
}

impl Bulk {
    /// A place for a body that is being read, once so much of it is in memory that it needs one.
    pub async fn reading(&self, bytes: usize) -> Option<Place> {
        place(&self.reading, bytes).await
    }

    /// A place for a body that is about to be parsed.
    pub async fn parsing(&self, bytes: usize) -> Option<Place> {
        place(&self.parsing, bytes).await
    }
}

async fn place(places: &Arc<Semaphore>, bytes: usize) -> Option<Place> {
    if bytes < LARGE {
        return None;
    }
    // Fails when the semaphore is closed, which nobody does.
    Arc::clone(places).acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn small_bodies_never_wait_and_large_ones_only_for_each_other() {
        let bulk = Bulk::default();
        let mut places: Vec<Option<Place>> = Vec::new();
        for _ in 0..READ_AT_ONCE {
            places.push(bulk.reading(LARGE).await);
        }
        assert!(places.iter().all(Option::is_some));
        assert!(bulk.reading(LARGE - 1).now_or_never().is_some_and(|place| place.is_none()));
        assert!(bulk.reading(LARGE).now_or_never().is_none());
        places.pop();
        assert!(bulk.reading(LARGE).now_or_never().is_some_and(|place| place.is_some()));
    }
}
