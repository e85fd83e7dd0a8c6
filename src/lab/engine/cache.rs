//! What attention remembers of a sequence: its keys and values, as it works with them and as they are kept.

use candle_core::quantized::k_quants::{BlockQ4_0, BlockQ8_0, GgmlType};
use half::f16;
use ndarray::{ArrayView2, Axis, Slice};

use super::matrix::view;
use super::spec::CacheFormat;

/// The sizes that a cache needs to know of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers.
    pub layers: usize,
    /// Heads of keys and values in a layer.
    pub heads: usize,
    /// Numbers in a head, whole blocks of 32.
    pub width: usize,
    /// What all numbers are rounded to.
    pub format: CacheFormat,
}

impl CacheShape {
    fn all_heads(self) -> usize {
        self.layers * self.heads
    }
}

/// Keys and values of one sequence, with room for a fixed number of tokens, decoded and ready to work with.
///
/// Values lie token after token, keys the other way round, as the products with queries and with shares take them fastest.
pub struct KvCache {
    shape: CacheShape,
    room: usize,
    len: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Keys and values of some tokens in the few bits of their format.
pub struct Memory {
    shape: CacheShape,
    len: usize,
    keys: Kept,
    values: Kept,
}

enum Kept {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Q8(Vec<BlockQ8_0>),
    Q4(Vec<BlockQ4_0>),
}

impl KvCache {
    /// An empty cache with room for `room` tokens.
    pub fn new(shape: CacheShape, room: usize) -> Self {
        let size = shape.all_heads() * shape.width * room;
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

    /// Rounds the key and value of one head for the token at `position` to the cache's format, and remembers them.
    pub fn write(&mut self, place: (usize, usize), position: usize, (key, value): (&mut [f32], &[f32])) {
        let (width, start) = (self.shape.width, self.start(place));
        let own = &mut self.values[start + position * width..][..width];
        own.copy_from_slice(value);
        self.shape.format.round(own);
        self.shape.format.round(key);
        for (line, key) in key.iter().enumerate() {
            self.keys[start + line * self.room + position] = *key;
        }
    }

    /// The keys of a head, `(layer, head)`, for tokens 0 to `count`: `width` rows of `count` numbers.
    pub fn keys(&self, place: (usize, usize), count: usize) -> ArrayView2<'_, f32> {
        let start = self.start(place);
        let keys = view(&self.keys[start..start + self.room * self.shape.width], self.room.max(1));
        keys.slice_axis_move(Axis(1), Slice::from(..count))
    }

    /// The values of a head for tokens 0 to `count`, each a row of `width` numbers.
    pub fn values(&self, place: (usize, usize), count: usize) -> ArrayView2<'_, f32> {
        let (width, start) = (self.shape.width, self.start(place));
        view(&self.values[start..start + count * width], width)
    }

    /// The first `count` tokens, at most those that there are, to be kept.
    pub fn memory(&self, count: usize) -> Memory {
        let (width, count) = (self.shape.width, count.min(self.len));
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for head in 0..self.shape.all_heads() {
            let start = head * self.room * width;
            values.extend_from_slice(&self.values[start..start + count * width]);
            for position in start..start + count {
                keys.extend(self.keys[position..].iter().step_by(self.room).take(width));
            }
        }
        let format = self.shape.format;
        Memory { shape: self.shape, len: count, keys: Kept::new(&keys, format), values: Kept::new(&values, format) }
    }

    fn start(&self, (layer, head): (usize, usize)) -> usize {
        (layer * self.shape.heads + head) * self.room * self.shape.width
    }
}

impl Memory {
    /// A cache that holds the first `count` tokens of this memory, with room for `room` in all.
    pub fn cache(&self, count: usize, room: usize) -> KvCache {
        let (width, count) = (self.shape.width, count.min(self.len));
        let mut cache = KvCache::new(self.shape, room.max(count));
        let (room, size) = (cache.room, count * width);
        let mut keys = vec![0.0; size];
        for head in 0..self.shape.all_heads() {
            let (from, to) = (head * self.len * width, head * room * width);
            self.values.read(from, &mut cache.values[to..to + size]);
            self.keys.read(from, &mut keys);
            for (position, key) in keys.chunks_exact(width).enumerate() {
                for (line, key) in key.iter().enumerate() {
                    cache.keys[to + line * room + position] = *key;
                }
            }
        }
        cache.len = count;
        cache
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }
}

impl Kept {
    fn new(values: &[f32], format: CacheFormat) -> Self {
        match format {
            CacheFormat::F32 => Self::F32(values.to_vec()),
            CacheFormat::F16 => Self::F16(encode(values)),
            CacheFormat::Q8 => Self::Q8(encode(values)),
            CacheFormat::Q4 => Self::Q4(encode(values)),
        }
    }

    /// As many numbers as `out` takes, from the one with this index on.
    fn read(&self, from: usize, out: &mut [f32]) {
        match self {
            Self::F32(all) => decode(all, from, out),
            Self::F16(all) => decode(all, from, out),
            Self::Q8(all) => decode(all, from, out),
            Self::Q4(all) => decode(all, from, out),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::F32(all) => size_of_val(all.as_slice()),
            Self::F16(all) => size_of_val(all.as_slice()),
            Self::Q8(all) => size_of_val(all.as_slice()),
            Self::Q4(all) => size_of_val(all.as_slice()),
        }
    }
}

fn encode<T: GgmlType>(values: &[f32]) -> Vec<T> {
    let mut blocks = vec![T::zeros(); values.len() / T::BLCK_SIZE];
    T::from_float(values, &mut blocks);
    blocks
}

fn decode<T: GgmlType>(all: &[T], from: usize, out: &mut [f32]) {
    let first = from / T::BLCK_SIZE;
    T::to_float(&all[first..first + out.len() / T::BLCK_SIZE], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

    fn number(place: (usize, usize), position: usize, line: usize) -> f32 {
        ((place.0 * 100 + place.1 * 10 + position * 37 + line) as f32 * 0.7).sin()
    }

    /// Three tokens; a value is the negative of its key.
    fn filled(format: CacheFormat) -> KvCache {
        let mut cache = KvCache::new(CacheShape { layers: 2, heads: 2, width: 32, format }, 5);
        for position in 0..3 {
            for place in PLACES {
                let mut key: Vec<f32> = (0..32).map(|line| number(place, position, line)).collect();
                let value: Vec<f32> = key.iter().map(|key| -key).collect();
                cache.write(place, position, (&mut key, &value));
            }
        }
        cache.extend(3);
        cache
    }

    #[test]
    fn keys_lie_by_line_and_values_by_token() {
        let cache = filled(CacheFormat::F16);
        let (keys, values) = (cache.keys((1, 0), 3), cache.values((1, 0), 3));
        assert_eq!((keys.dim(), values.dim()), ((32, 3), (3, 32)));
        for ((position, line), value) in values.indexed_iter() {
            assert!((value + number((1, 0), position, line)).abs() < 1e-3);
            assert!((value + keys[[line, position]]).abs() < f32::EPSILON);
        }
    }

    #[test]
    fn what_is_kept_comes_back_bit_for_bit_in_every_format() {
        for format in CacheFormat::ALL {
            let cache = filled(format);
            for count in [0, 2, 3] {
                let copy = cache.memory(3).cache(count, 9);
                assert_eq!(copy.len(), count);
                for place in PLACES {
                    assert_eq!(cache.keys(place, count), copy.keys(place, count), "{format}");
                    assert_eq!(cache.values(place, count), copy.values(place, count), "{format}");
                }
            }
        }
    }

    #[test]
    fn fewer_bits_take_less_room_and_round_more() {
        let distance = |format| {
            let cache = filled(format);
            let far = |((position, line), n): ((usize, usize), &f32)| (n + number((0, 1), position, line)).abs();
            (cache.memory(3).bytes(), cache.values((0, 1), 3).indexed_iter().map(far).sum::<f32>())
        };
        let all = CacheFormat::ALL.map(distance);
        assert_eq!(all.map(|(bytes, _)| bytes), [128, 64, 34, 18].map(|bytes| bytes * 2 * 12));
        assert!(all.is_sorted_by(|a, b| a.1 < b.1), "{all:?}");
    }
}
