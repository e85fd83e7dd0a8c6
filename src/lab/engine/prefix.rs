//! Prompts that were read before, so that many answers to one prompt, or to prompts that begin alike, read it once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::Memory;

/// What any number of models remember of the prompts that they read last, up to a number of bytes in all. What was used longest
/// ago is forgotten first.
pub struct PrefixStore {
    state: Mutex<State>,
    capacity: usize,
    readers: AtomicU64,
}

/// The number under which a store knows a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reader(u64);

#[derive(Default)]
struct State {
    entries: HashMap<Reader, Vec<Entry>>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    /// What stood at each place of the prompt: tokens, or digests of pieces of images.
    pieces: Vec<u64>,
    memory: Arc<Memory>,
    used: u64,
}

impl PrefixStore {
    /// An empty store for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), capacity, readers: AtomicU64::new(0) }
    }

    /// A number for one more model.
    pub fn reader(&self) -> Reader {
        Reader(self.readers.fetch_add(1, Ordering::Relaxed))
    }

    /// The memory that shares the longest beginning with these pieces, and how many they share.
    pub fn find(&self, reader: Reader, pieces: &[u64]) -> Option<(Arc<Memory>, usize)> {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let entries = state.entries.get_mut(&reader)?.iter_mut();
        let (shared, entry) = entries.map(|entry| (shared(&entry.pieces, pieces), entry)).max_by_key(|(n, _)| *n)?;
        if shared == 0 {
            return None;
        }
        entry.used = clock;
        Some((Arc::clone(&entry.memory), shared))
    }

    /// Remembers these pieces, in place of those that are their beginning, and forgets others where room is short.
    pub fn put(&self, reader: Reader, pieces: &[u64], memory: Memory) {
        let mut state = self.lock();
        state.clock += 1;
        let entry = Entry { pieces: pieces.to_vec(), memory: Arc::new(memory), used: state.clock };
        let bytes = entry.bytes();
        let entries = state.entries.entry(reader).or_default();
        let mut freed = 0;
        entries.retain(|old| {
            let covered = pieces.starts_with(&old.pieces);
            freed += if covered { old.bytes() } else { 0 };
            !covered
        });
        entries.push(entry);
        state.bytes = state.bytes + bytes - freed;
        while state.bytes > self.capacity && state.forget_oldest() {}
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets what was used longest ago; `false` when there is nothing.
    fn forget_oldest(&mut self) -> bool {
        let all =
            self.entries.iter().flat_map(|(reader, entries)| entries.iter().map(move |entry| (entry.used, *reader)));
        let Some((used, reader)) = all.min_by_key(|(used, _)| *used) else { return false };
        let Some(entries) = self.entries.get_mut(&reader) else { return false };
        let Some(place) = entries.iter().position(|entry| entry.used == used) else { return false };
        self.bytes -= entries.swap_remove(place).bytes();
        true
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.memory.bytes() + size_of_val(self.pieces.as_slice())
    }
}

fn shared(a: &[u64], b: &[u64]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::super::cache::{CacheShape, KvCache};
    use super::super::spec::CacheFormat;
    use super::*;

    /// 128 bytes a token, and 8 for its number.
    fn memory(tokens: usize) -> Memory {
        let shape = CacheShape { layers: 1, heads: 1, width: 32, format: CacheFormat::F16 };
        let mut cache = KvCache::new(shape, tokens);
        cache.extend(tokens);
        cache.memory(tokens)
    }

    fn length(store: &PrefixStore, reader: Reader, pieces: &[u64]) -> usize {
        store.find(reader, pieces).map_or(0, |(_, shared)| shared)
    }

    #[test]
    fn the_longest_shared_beginning_is_found() {
        let store = PrefixStore::new(10_000);
        let (reader, other) = (store.reader(), store.reader());
        store.put(reader, &[1, 2, 3, 4], memory(4));
        store.put(reader, &[1, 2, 5], memory(3));
        assert_eq!(length(&store, reader, &[1, 2, 3, 9]), 3);
        assert_eq!(length(&store, reader, &[1, 2, 5, 6]), 3);
        assert_eq!(length(&store, reader, &[7]), 0);
        assert_eq!(length(&store, other, &[1, 2]), 0);
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_first() {
        let store = PrefixStore::new(6 * 136);
        let (reader, other) = (store.reader(), store.reader());
        store.put(reader, &[1, 2, 3], memory(3));
        store.put(other, &[4, 5, 6], memory(3));
        assert_eq!(length(&store, reader, &[1, 2, 3]), 3);
        store.put(reader, &[7], memory(1));
        assert_eq!(length(&store, other, &[4, 5, 6]), 0);
        assert_eq!((length(&store, reader, &[1, 2, 3]), length(&store, reader, &[7])), (3, 1));
    }

    #[test]
    fn a_longer_prompt_takes_the_place_of_its_beginning() {
        let store = PrefixStore::new(4 * 136);
        let reader = store.reader();
        store.put(reader, &[1, 2], memory(2));
        store.put(reader, &[1, 2, 3], memory(3));
        store.put(reader, &[9], memory(1));
        assert_eq!((length(&store, reader, &[1, 2, 3]), length(&store, reader, &[9])), (3, 1));
        store.put(reader, &[5; 9], memory(9));
        assert_eq!(store.lock().bytes, 0, "what is larger than the store is not kept");
    }
}
