//! What attention remembers: the keys and values of a sequence, and those of prompts that were read before.

use std::collections::HashMap;
use std::sync::Arc;

/// The sizes that a cache needs to know of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers.
    pub layers: usize,
    /// Heads of keys and values in a layer.
    pub heads: usize,
    /// Numbers in a head.
    pub width: usize,
}

/// Keys and values of one sequence, with room for a fixed number of tokens.
///
/// Keys lie token after token, values the other way round, so that scores and weighted sums are both scalar products of
/// rows without gaps.
#[derive(Clone)]
pub struct KvCache {
    shape: CacheShape,
    room: usize,
    len: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl KvCache {
    /// An empty cache with room for `room` tokens.
    pub fn new(shape: CacheShape, room: usize) -> Self {
        let size = shape.layers * shape.heads * shape.width * room;
        Self { shape, room, len: 0, keys: vec![0.0; size], values: vec![0.0; size] }
    }

    /// The tokens that are remembered.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Counts `count` more tokens as remembered, once all layers have written them.
    pub fn extend(&mut self, count: usize) {
        self.len += count;
    }

    /// The same memory with room for `room` tokens, at least as many as it holds.
    pub fn with_room(&self, room: usize) -> Self {
        let mut copy = Self::new(self.shape, room);
        let (width, len) = (self.shape.width, self.len);
        for head in 0..self.shape.layers * self.shape.heads {
            let (from, to) = (head * self.room * width, head * room * width);
            copy.keys[to..to + len * width].copy_from_slice(&self.keys[from..from + len * width]);
            for line in 0..width {
                let (from, to) = (from + line * self.room, to + line * room);
                copy.values[to..to + len].copy_from_slice(&self.values[from..from + len]);
            }
        }
        copy.len = len;
        copy
    }

    /// Remembers the key and value of one head for the token at `position`.
    pub fn write(&mut self, place: (usize, usize), position: usize, (key, value): (&[f32], &[f32])) {
        let (width, start) = (self.shape.width, self.start(place));
        self.keys[start + position * width..][..width].copy_from_slice(key);
        for (line, value) in value.iter().enumerate() {
            self.values[start + line * self.room + position] = *value;
        }
    }

    /// The keys of a head, `(layer, head)`, for tokens 0 to `count`, each a row of `width` numbers.
    pub fn keys(&self, place: (usize, usize), count: usize) -> impl Iterator<Item = &[f32]> {
        let (width, start) = (self.shape.width, self.start(place));
        self.keys[start..start + count * width].chunks_exact(width)
    }

    /// The values of a head for tokens 0 to `count`: `width` rows of `count` numbers.
    pub fn values(&self, place: (usize, usize), count: usize) -> impl Iterator<Item = &[f32]> {
        let start = self.start(place);
        self.values[start..start + self.room * self.shape.width].chunks_exact(self.room).map(move |line| &line[..count])
    }

    fn start(&self, (layer, head): (usize, usize)) -> usize {
        (layer * self.shape.heads + head) * self.room * self.shape.width
    }
}

/// The prompts that were read last, so that many answers to one prompt read it once.
///
/// Holds up to a number of tokens in all and forgets what was used longest ago.
pub struct PrefixCache {
    entries: HashMap<Vec<u32>, Entry>,
    capacity: usize,
    tokens: usize,
    clock: u64,
}

struct Entry {
    memory: Arc<KvCache>,
    used: u64,
}

impl PrefixCache {
    /// An empty cache for `capacity` tokens.
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity, tokens: 0, clock: 0 }
    }

    /// What was remembered of exactly these tokens.
    pub fn get(&mut self, tokens: &[u32]) -> Option<Arc<KvCache>> {
        self.clock += 1;
        let entry = self.entries.get_mut(tokens)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.memory))
    }

    /// Remembers these tokens, and forgets others where room is short.
    pub fn put(&mut self, tokens: &[u32], memory: Arc<KvCache>) {
        self.clock += 1;
        self.tokens += tokens.len();
        if self.entries.insert(tokens.to_vec(), Entry { memory, used: self.clock }).is_some() {
            self.tokens -= tokens.len();
        }
        while self.tokens > self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(tokens, _)| tokens.clone());
            let Some(oldest) = oldest else { break };
            self.tokens -= oldest.len();
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: CacheShape = CacheShape { layers: 2, heads: 2, width: 2 };

    fn filled(room: usize) -> KvCache {
        let mut cache = KvCache::new(SHAPE, room);
        for position in 0..3 {
            for place in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mark = (place.0 * 100 + place.1 * 10 + position) as f32;
                cache.write(place, position, (&[mark, -mark], &[mark + 0.5, -mark - 0.5]));
            }
        }
        cache.extend(3);
        cache
    }

    #[test]
    fn keys_lie_by_token_and_values_by_line() {
        let cache = filled(5);
        let keys: Vec<_> = cache.keys((1, 0), 3).collect();
        assert_eq!(keys, [[100.0, -100.0], [101.0, -101.0], [102.0, -102.0]]);
        let values: Vec<_> = cache.values((0, 1), 3).collect();
        assert_eq!(values, [[10.5, 11.5, 12.5], [-10.5, -11.5, -12.5]]);
    }

    #[test]
    fn a_copy_with_other_room_holds_the_same() {
        let (cache, copy) = (filled(3), filled(3).with_room(9));
        assert_eq!(copy.len(), 3);
        for place in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            assert!(cache.keys(place, 3).eq(copy.keys(place, 3)));
            assert!(cache.values(place, 3).eq(copy.values(place, 3)));
        }
    }

    #[test]
    fn the_prompt_used_longest_ago_is_forgotten_first() {
        let memory = Arc::new(filled(3));
        let mut prompts = PrefixCache::new(6);
        prompts.put(&[1, 2, 3], Arc::clone(&memory));
        prompts.put(&[4, 5, 6], Arc::clone(&memory));
        assert!(prompts.get(&[1, 2, 3]).is_some());
        prompts.put(&[7], memory);
        assert!(prompts.get(&[4, 5, 6]).is_none());
        assert!(prompts.get(&[1, 2, 3]).is_some() && prompts.get(&[7]).is_some());
    }
}
