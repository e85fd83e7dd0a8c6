//! Kernels between answers to one probe.
//!
//! All kernels of one pair of answers are computed in one pass over symbols that were renamed to small integers, and
//! stand side by side in one array, so that a permutation adds them together in one sweep.

use std::collections::HashMap;

/// The kernels, in the order in which they stand in [`Kernels`].
pub const LANES: usize = 6;

/// One number for each kernel.
pub type Lanes = [f64; LANES];

/// Position of a kernel in [`Lanes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Lane {
    /// Share of equal characters among the first 50, padding counted as a match.
    Hamming50 = 0,
    /// The same among the first 200.
    Hamming200 = 1,
    /// `1 − 0.8^lcp` with lcp the length of the common prefix in characters: near 1 once two answers share a dozen.
    Prefix = 2,
    /// Share of equal characters among the first 1000: the kernel of Model Equality Testing (arXiv 2410.20247, § 3.2).
    Hamming1000 = 3,
    /// 1 for equal answers, 0 otherwise: its mean within an endpoint is the rate of duplicates.
    Equal = 4,
    /// [`Lane::Hamming200`] on text whose white space was normalised.
    Hamming200Normalised = 5,
}

/// The three kernels whose combination makes the test of layer 1.
pub const COMBINED: [Lane; 3] = [Lane::Hamming50, Lane::Hamming200, Lane::Prefix];

/// The mean of the combined kernels' values, which is itself a kernel: the scale of the effects.
pub fn mean_of_combined(lanes: &Lanes) -> f64 {
    COMBINED.iter().map(|&l| lanes[l as usize]).sum::<f64>() / COMBINED.len() as f64
}

/// Kernel values of all pairs among the answers to one probe, reference first, then endpoint.
#[derive(Debug, Clone)]
pub struct Kernels {
    answers: usize,
    /// Row-major, `answers × answers`, symmetric, with zeros on the diagonal: no statistic here uses it.
    values: Vec<Lanes>,
    /// Equal characters among the first 1000, as whole numbers, for the exact pooled statistic.
    matches: Vec<u32>,
}

impl Kernels {
    /// Computes all pairs; `O(answers² × 1000)` comparisons of bytes.
    pub fn new(texts: &[&str]) -> Self {
        let raw = Symbols::rename(texts.iter().map(|t| t.chars().take(LONG)));
        let normal: Vec<String> = texts.iter().map(|t| normalise_white_space(t)).collect();
        let normal = Symbols::rename(normal.iter().map(|t| t.chars().take(MIDDLE)));
        let n = texts.len();
        let mut out = Self { answers: n, values: vec![[0.0; LANES]; n * n], matches: vec![0; n * n] };
        for i in 0..n {
            for j in 0..i {
                let matches = raw.compare(i, j);
                let lanes = lanes_of(&matches, &normal.compare(i, j), texts[i] == texts[j]);
                for at in [i * n + j, j * n + i] {
                    out.values[at] = lanes;
                    out.matches[at] = matches.long;
                }
            }
        }
        out
    }

    /// The number of answers.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// The kernel values of one answer with all, `answers` of them.
    pub fn row(&self, i: usize) -> &[Lanes] {
        &self.values[i * self.answers..(i + 1) * self.answers]
    }

    /// Equal characters among the first 1000 of two answers.
    pub fn matches(&self, i: usize, j: usize) -> u32 {
        self.matches[i * self.answers + j]
    }
}

const SHORT: usize = 50;
const MIDDLE: usize = 200;
const LONG: usize = 1000;

struct Matches {
    short: u32,
    middle: u32,
    long: u32,
    prefix: u32,
}

fn lanes_of(raw: &Matches, normal: &Matches, equal: bool) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes[Lane::Hamming50 as usize] = f64::from(raw.short) / SHORT as f64;
    lanes[Lane::Hamming200 as usize] = f64::from(raw.middle) / MIDDLE as f64;
    lanes[Lane::Hamming1000 as usize] = f64::from(raw.long) / LONG as f64;
    lanes[Lane::Prefix as usize] = 1.0 - 0.8_f64.powi(raw.prefix.min(LONG as u32).cast_signed());
    lanes[Lane::Equal as usize] = f64::from(u8::from(equal));
    lanes[Lane::Hamming200Normalised as usize] = f64::from(normal.middle) / MIDDLE as f64;
    lanes
}

/// Texts as symbols renamed to the smallest type that holds them, padded with one symbol that is no character.
enum Symbols {
    Narrow(Padded<u8>),
    Wide(Padded<u32>),
}

struct Padded<S> {
    width: usize,
    symbols: Vec<S>,
}

impl Symbols {
    fn rename(texts: impl Iterator<Item = impl Iterator<Item = char>>) -> Self {
        let mut names: HashMap<char, u32> = HashMap::new();
        let mut ascii = [u32::MAX; 128];
        let rows: Vec<Vec<u32>> = texts
            .map(|text| {
                text.map(|c| {
                    // Nearly all text is ASCII, and a table is an order of magnitude faster than a hash map.
                    match ascii.get(c as usize) {
                        Some(&known) if known != u32::MAX => known,
                        _ => {
                            let next = names.len() as u32 + 1;
                            let name = *names.entry(c).or_insert(next);
                            if let Some(slot) = ascii.get_mut(c as usize) {
                                *slot = name;
                            }
                            name
                        }
                    }
                })
                .collect()
            })
            .collect();
        if names.len() < usize::from(u8::MAX) {
            Self::Narrow(Padded::new(&rows, |s| s as u8))
        } else {
            Self::Wide(Padded::new(&rows, |s| s))
        }
    }

    fn compare(&self, i: usize, j: usize) -> Matches {
        match self {
            Self::Narrow(p) => p.compare(i, j),
            Self::Wide(p) => p.compare(i, j),
        }
    }
}

impl<S: Copy + Default + PartialEq> Padded<S> {
    fn new(rows: &[Vec<u32>], narrow: impl Fn(u32) -> S) -> Self {
        // The common width is enough: beyond it all is padding, which matches.
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut symbols = vec![S::default(); width * rows.len()];
        for (row, out) in rows.iter().zip(symbols.chunks_exact_mut(width.max(1))) {
            for (symbol, slot) in row.iter().zip(out) {
                *slot = narrow(*symbol);
            }
        }
        Self { width, symbols }
    }

    fn row(&self, i: usize) -> &[S] {
        &self.symbols[i * self.width..(i + 1) * self.width]
    }

    fn compare(&self, i: usize, j: usize) -> Matches {
        let (a, b) = (self.row(i), self.row(j));
        let upto = |limit: usize| -> usize { self.width.min(limit) };
        let short = count_equal(&a[..upto(SHORT)], &b[..upto(SHORT)]);
        let middle = short + count_equal(&a[upto(SHORT)..upto(MIDDLE)], &b[upto(SHORT)..upto(MIDDLE)]);
        let long = middle + count_equal(&a[upto(MIDDLE)..], &b[upto(MIDDLE)..]);
        let padding = |limit: usize| (limit - upto(limit)) as u32;
        Matches {
            short: short + padding(SHORT),
            middle: middle + padding(MIDDLE),
            long: long + padding(LONG),
            prefix: a.iter().zip(b).take_while(|(x, y)| x == y).count() as u32,
        }
    }
}

/// Counts equal symbols in blocks small enough for a byte counter, which is what lets the compiler use vectors.
fn count_equal<S: Copy + PartialEq>(a: &[S], b: &[S]) -> u32 {
    a.chunks(128)
        .zip(b.chunks(128))
        .map(|(x, y)| u32::from(x.iter().zip(y).fold(0_u8, |count, (s, t)| count + u8::from(s == t))))
        .sum()
}

/// The text without white space at its ends and with single spaces within.
pub fn normalise_white_space(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, as slowly as it can be written.
    fn hamming(a: &str, b: &str, length: usize) -> f64 {
        let pad = |t: &str| -> Vec<Option<char>> {
            t.chars().map(Some).chain(std::iter::repeat(None)).take(length).collect()
        };
        pad(a).iter().zip(pad(b)).filter(|(x, y)| **x == *y).count() as f64 / length as f64
    }

    #[test]
    fn padding_counts_as_a_match() {
        let k = Kernels::new(&["ab", "abc"]);
        assert!((k.row(0)[1][Lane::Hamming50 as usize] - 49.0 / 50.0).abs() < 1e-15);
        assert_eq!(k.matches(0, 1), 999);
    }

    #[test]
    fn more_than_255_different_characters_are_told_apart() {
        let many: String = (0..400_u32).filter_map(|i| char::from_u32(0x4e00 + i)).collect();
        let shifted: String = (0..400_u32).filter_map(|i| char::from_u32(0x4e00 + (i + 256) % 400)).collect();
        assert!((Kernels::new(&[&many, &shifted]).row(0)[1][Lane::Hamming200 as usize]).abs() < 1e-15);
    }

    #[test]
    fn white_space_does_not_count_where_it_is_normalised() {
        let k = Kernels::new(&[" a  b\n", "a b"]);
        assert!((k.row(0)[1][Lane::Hamming200Normalised as usize] - 1.0).abs() < 1e-15);
        assert!(k.row(0)[1][Lane::Hamming200 as usize] < 1.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn kernels_follow_their_definitions(a in ".{0,260}", b in ".{0,260}") {
            let k = Kernels::new(&[&a, &b]);
            let lanes = k.row(0)[1];
            prop_assert!(lanes.iter().zip(k.row(1)[0]).all(|(there, back)| there.to_bits() == back.to_bits()));
            for (lane, length) in [(Lane::Hamming50, 50), (Lane::Hamming200, 200), (Lane::Hamming1000, 1000)] {
                prop_assert!((lanes[lane as usize] - hamming(&a, &b, length)).abs() < 1e-12);
            }
            prop_assert!(lanes.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }
}
