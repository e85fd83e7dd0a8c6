//! Kernels between answers to one probe.
//!
//! All kernels of one pair of answers are computed in one pass over small symbols and stand side by side in two whole numbers, so
//! that a permutation adds them together. Whole numbers also make equal sums equal to the bit, in whatever order they were added.

// What is to be vectorised has to be compiled as one function for the processor at hand.
#![allow(clippy::inline_always)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use pulp::{Arch, Simd, WithSimd};

/// The kernels, in the order in which they stand in [`Kernels`].
pub const LANES: usize = 6;

/// One number for each kernel.
pub type Lanes = [f64; LANES];

/// What a kernel's value of 1 is as a whole number in [`Packed`].
pub const UNITS: Lanes = [50.0, 200.0, PREFIX_UNIT, 1000.0, 1.0, 200.0];

const PREFIX_UNIT: f64 = 1000.0;

/// Position of a kernel in [`Lanes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Lane {
    /// Share of equal characters among the first 50, padding counted as a match.
    Hamming50 = 0,
    /// The same among the first 200.
    Hamming200 = 1,
    /// `1 − 0.8^lcp` in thousandths, with lcp the length of the common prefix in characters: near 1 once two answers share
    /// a dozen. The prefix ends where the shorter answer ends; equal answers have 1, however short.
    Prefix = 2,
    /// Share of equal characters among the first 1000: the kernel of Model Equality Testing (arXiv 2410.20247, § 3.2).
    Hamming1000 = 3,
    /// 1 for equal answers, 0 otherwise: its mean within an endpoint is the rate of duplicates.
    Equal = 4,
    /// [`Lane::Hamming200`] on text whose white space was normalised.
    Hamming200Normalised = 5,
}

/// Kernels of one pair, or sums of them, as whole numbers in [`UNITS`]: 21 bits each, so that one addition of two words adds
/// them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed([u64; 2]);

/// Bits of one kernel, and kernels in one word.
const BITS: usize = 21;
const IN_WORD: usize = LANES / 2;

impl Packed {
    /// So many pairs can be added without overflow from one kernel into the next: none is above 1000.
    pub const SUMMANDS: usize = (1 << BITS) / 1000;

    fn set(&mut self, lane: Lane, value: u16) {
        self.0[lane as usize / IN_WORD] |= u64::from(value) << (BITS * (lane as usize % IN_WORD));
    }

    /// All kernels' sums with these.
    #[inline]
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self([self.0[0].wrapping_add(other.0[0]), self.0[1].wrapping_add(other.0[1])])
    }

    /// One kernel.
    #[inline]
    pub fn get(self, lane: usize) -> u32 {
        (self.0[lane / IN_WORD] >> (BITS * (lane % IN_WORD))) as u32 & ((1 << BITS) - 1)
    }

    /// All kernels.
    #[inline]
    pub fn lanes(self) -> Lanes {
        std::array::from_fn(|lane| f64::from(self.get(lane)))
    }
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
    values: Vec<Packed>,
}

impl Kernels {
    /// Computes all pairs; `O(answers² × 1000)` comparisons of bytes.
    pub fn new(texts: &[&str]) -> Self {
        let raw = Symbols::new(texts, LONG);
        let normal = normalised(texts);
        let prefix = prefix_values();
        let n = texts.len();
        let mut out = Self { answers: n, values: vec![Packed::default(); n * n] };
        for i in 0..n {
            for j in 0..i {
                let matches = raw.compare(i, j);
                let equal = texts[i] == texts[j];
                let mut packed = Packed::default();
                packed.set(Lane::Hamming50, matches.short);
                packed.set(Lane::Hamming200, matches.middle);
                packed.set(Lane::Prefix, if equal { PREFIX_UNIT as u16 } else { prefix[raw.common_prefix(i, j)] });
                packed.set(Lane::Hamming1000, matches.long);
                packed.set(Lane::Equal, u16::from(equal));
                let normal = normal.as_ref().map_or(matches.middle, |normal| normal.compare(i, j).middle);
                packed.set(Lane::Hamming200Normalised, normal);
                out.values[i * n + j] = packed;
                out.values[j * n + i] = packed;
            }
        }
        out
    }

    /// The number of answers.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// The kernel values of one answer with all, `answers` of them, in [`UNITS`].
    pub fn row(&self, i: usize) -> &[Packed] {
        &self.values[i * self.answers..(i + 1) * self.answers]
    }

    /// The kernels of two answers, each between 0 and 1.
    pub fn between(&self, i: usize, j: usize) -> Lanes {
        let lanes = self.row(i)[j].lanes();
        std::array::from_fn(|lane| lanes[lane] / UNITS[lane])
    }

    /// Equal characters among the first 1000 of two answers.
    pub fn matches(&self, i: usize, j: usize) -> u32 {
        self.row(i)[j].get(Lane::Hamming1000 as usize)
    }
}

const SHORT: usize = 50;
const MIDDLE: usize = 200;
const LONG: usize = 1000;

/// Longer common prefixes than this differ from 1 by less than half a thousandth; all of it is in the first section.
const PREFIX: usize = 40;

/// The prefix kernel for common prefixes of 0 to [`PREFIX`] characters.
fn prefix_values() -> [u16; PREFIX + 1] {
    let mut rest = PREFIX_UNIT;
    std::array::from_fn(|lcp| {
        rest *= if lcp == 0 { 1.0 } else { 0.8 };
        (PREFIX_UNIT - rest).round() as u16
    })
}

/// Equal characters among the first 50, 200 and 1000.
struct Matches {
    short: u16,
    middle: u16,
    long: u16,
}

/// The texts with normalised white space; `None` where that changes nothing in what the kernel sees.
fn normalised(texts: &[&str]) -> Option<Symbols> {
    let normal: Vec<Cow<'_, str>> = texts
        .iter()
        .map(|text| {
            if is_normal(text, MIDDLE) { Cow::Borrowed(*text) } else { Cow::Owned(normalise_white_space(text, MIDDLE)) }
        })
        .collect();
    if normal.iter().all(|text| matches!(text, Cow::Borrowed(_))) {
        return None;
    }
    let normal: Vec<&str> = normal.iter().map(AsRef::as_ref).collect();
    Some(Symbols::new(&normal, MIDDLE))
}

/// Texts as symbols of the smallest type that holds them, padded with one symbol that is no character.
enum Symbols {
    Narrow(Padded<u8>),
    Wide(Padded<u32>),
}

/// Rows of one width. Each of the sections that end after 50, 200 and 1000 characters begins anew at a multiple of
/// [`VECTOR`], so that comparing them leaves no rest; the padding never differs.
struct Padded<S> {
    width: usize,
    /// Of each text, without the padding.
    lengths: Vec<usize>,
    symbols: Vec<S>,
}

const VECTOR: usize = 64;

/// Where the sections of a row begin, for characters from 0, 50 and 200 on.
const SECTIONS: [usize; 3] =
    [0, SHORT.next_multiple_of(VECTOR), MIDDLE_BEGIN + (MIDDLE - SHORT).next_multiple_of(VECTOR)];
const MIDDLE_BEGIN: usize = SHORT.next_multiple_of(VECTOR);

impl Symbols {
    /// The first `length` characters of each text.
    fn new(texts: &[&str], length: usize) -> Self {
        // Nearly all text is ASCII, which is a narrow alphabet as it stands; NUL is the padding.
        if texts.iter().all(|t| t.is_ascii() && !t.as_bytes().contains(&0)) {
            let rows: Vec<&[u8]> = texts.iter().map(|t| &t.as_bytes()[..t.len().min(length)]).collect();
            return Self::Narrow(Padded::new(&rows, |s| s));
        }
        if let Some(rows) = narrow(texts, length) {
            let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
            return Self::Narrow(Padded::new(&rows, |s| s));
        }
        let rows: Vec<Vec<char>> = texts.iter().map(|t| t.chars().take(length).collect()).collect();
        let rows: Vec<&[char]> = rows.iter().map(Vec::as_slice).collect();
        // 0 is the padding, and then no character's.
        Self::Wide(Padded::new(&rows, |c| u32::from(c) + 1))
    }

    fn compare(&self, i: usize, j: usize) -> Matches {
        match self {
            Self::Narrow(p) => p.compare(i, j),
            Self::Wide(p) => p.compare(i, j),
        }
    }

    fn common_prefix(&self, i: usize, j: usize) -> usize {
        match self {
            Self::Narrow(p) => p.common_prefix(i, j),
            Self::Wide(p) => p.common_prefix(i, j),
        }
    }
}

/// Characters as bytes: ASCII as it stands but for NUL, and others numbered in the order in which they first occur; `None` where
/// there are too many.
fn narrow(texts: &[&str], length: usize) -> Option<Vec<Vec<u8>>> {
    let mut others = HashMap::new();
    let mut name = |c: char| {
        let next = u8::try_from(128 + others.len()).ok();
        match others.entry(c) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(new) => Some(*new.insert(next?)),
        }
    };
    let mut row = |text: &&str| -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(length.min(text.len()));
        let mut rest = *text;
        while out.len() < length {
            // Most of what is not ASCII are single characters within long runs that are.
            let (run, after) = rest.split_at(ascii_run(&rest.as_bytes()[..rest.len().min(length - out.len())]));
            out.extend_from_slice(run.as_bytes());
            let mut others = after.chars();
            match others.next() {
                Some(c) if out.len() < length => out.push(name(c)?),
                _ => break,
            }
            rest = others.as_str();
        }
        Some(out)
    };
    texts.iter().map(&mut row).collect()
}

/// How many of the first bytes are ASCII and not NUL.
fn ascii_run(bytes: &[u8]) -> usize {
    let is_other = |byte: u8| !matches!(byte, 1..=0x7f);
    // By blocks, which are looked at without a branch.
    let blocks = bytes.chunks(32).take_while(|block| block.iter().fold(0, |any, &b| any | u8::from(is_other(b))) == 0);
    let start = (blocks.count() * 32).min(bytes.len());
    start + bytes[start..].iter().take_while(|&&byte| !is_other(byte)).count()
}

impl<S: Copy + Default + PartialEq> Padded<S> {
    fn new<T: Copy>(rows: &[&[T]], narrow: impl Fn(T) -> S) -> Self {
        // The common width is enough: beyond it all is padding, which matches.
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let width = SECTIONS[2] + longest.saturating_sub(MIDDLE).next_multiple_of(VECTOR);
        let mut symbols = vec![S::default(); width * rows.len()];
        for (row, out) in rows.iter().zip(symbols.chunks_exact_mut(width)) {
            let (short, rest) = row.split_at(row.len().min(SHORT));
            let (middle, long) = rest.split_at(rest.len().min(MIDDLE - SHORT));
            for (section, begin) in [short, middle, long].into_iter().zip(SECTIONS) {
                for (symbol, slot) in section.iter().zip(&mut out[begin..]) {
                    *slot = narrow(*symbol);
                }
            }
        }
        Self { width, lengths: rows.iter().map(|row| row.len()).collect(), symbols }
    }

    fn row(&self, i: usize) -> &[S] {
        &self.symbols[i * self.width..(i + 1) * self.width]
    }

    fn compare(&self, i: usize, j: usize) -> Matches {
        let [short, middle, long] = Arch::new().dispatch(Differences(self.row(i), self.row(j)));
        Matches {
            short: SHORT as u16 - short,
            middle: MIDDLE as u16 - short - middle,
            long: LONG as u16 - short - middle - long,
        }
    }

    /// The length of the common prefix, which ends where the shorter text ends, up to [`PREFIX`].
    fn common_prefix(&self, i: usize, j: usize) -> usize {
        let length = self.lengths[i].min(self.lengths[j]).min(PREFIX);
        let (a, b) = (&self.row(i)[..length], &self.row(j)[..length]);
        a.iter().zip(b).take_while(|(x, y)| x == y).count()
    }
}

/// Counts different symbols of two rows by section, in whatever vector instructions the processor has.
struct Differences<'a, S>(&'a [S], &'a [S]);

impl<T: Copy + PartialEq> WithSimd for Differences<'_, T> {
    type Output = [u16; 3];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [u16; 3] {
        let Self(a, b) = self;
        let [short, middle, long] = SECTIONS;
        // No closure here: it would be compiled for any processor.
        [
            count_different(&a[short..middle], &b[short..middle]),
            count_different(&a[middle..long], &b[middle..long]),
            count_different(&a[long..], &b[long..]),
        ]
    }
}

/// Counts different symbols of rows whose length is a multiple of [`VECTOR`], in blocks small enough for byte counters, which
/// is what lets the compiler use vectors.
#[inline(always)]
fn count_different<S: Copy + PartialEq>(a: &[S], b: &[S]) -> u16 {
    let mut counts = [0_u8; VECTOR];
    for (x, y) in a.as_chunks::<VECTOR>().0.iter().zip(b.as_chunks::<VECTOR>().0) {
        for ((count, s), t) in counts.iter_mut().zip(x).zip(y) {
            *count += u8::from(s != t);
        }
    }
    counts.iter().map(|&count| u16::from(count)).sum()
}

/// Whether the text is its own normal form as far as so many characters go; in doubt it is not.
fn is_normal(text: &str, length: usize) -> bool {
    let mut after = text.chars();
    // Goes past the characters without decoding them.
    after.nth(length);
    let head = &text[..text.len() - after.as_str().len()];
    let bytes = head.as_bytes();
    // Summed up over all, without a branch that would end it sooner.
    let doubled = bytes.array_windows().fold(0, |any, pair| any | u8::from(*pair == [b' '; 2])) > 0;
    let others = bytes.iter().fold(0, |any, byte| any | u8::from(matches!(byte, b'\t'..=b'\r'))) > 0;
    let is_within = |end: Option<&u8>| end.is_some_and(|&byte| byte != b' ');
    !doubled && !others && is_within(bytes.first()) && is_within(bytes.last()) && !has_wide_space(head)
}

/// Whether white space that is not ASCII stands in the text.
fn has_wide_space(text: &str) -> bool {
    let mut rest = text;
    loop {
        let mut after = rest[ascii_run(rest.as_bytes())..].chars();
        match after.next() {
            Some(c) if c.is_whitespace() && !c.is_ascii() => return true,
            Some(_) => rest = after.as_str(),
            None => return false,
        }
    }
}

/// The text with single spaces between its words and none around them, cut to at most so many characters.
fn normalise_white_space(text: &str, length: usize) -> String {
    let mut out = String::with_capacity(length + char::MAX_LEN_UTF8);
    let (mut characters, mut after_space) = (0, false);
    for c in text.chars() {
        if c.is_whitespace() {
            after_space = characters > 0;
            continue;
        }
        if std::mem::take(&mut after_space) && characters < length {
            out.push(' ');
            characters += 1;
        }
        if characters == length {
            break;
        }
        out.push(c);
        characters += 1;
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
        assert!((k.between(0, 1)[Lane::Hamming50 as usize] - 49.0 / 50.0).abs() < 1e-15);
        assert_eq!(k.matches(0, 1), 999);
    }

    #[test]
    fn more_than_255_different_characters_are_told_apart() {
        let many: String = (0..400_u32).filter_map(|i| char::from_u32(0x4e00 + i)).collect();
        let shifted: String = (0..400_u32).filter_map(|i| char::from_u32(0x4e00 + (i + 256) % 400)).collect();
        assert!(Kernels::new(&[&many, &shifted]).row(0)[1].get(Lane::Hamming200 as usize) == 0);
    }

    #[test]
    fn white_space_does_not_count_where_it_is_normalised() {
        let k = Kernels::new(&[" a  b\n", "a b"]);
        assert!((k.between(0, 1)[Lane::Hamming200Normalised as usize] - 1.0).abs() < 1e-15);
        assert!(k.between(0, 1)[Lane::Hamming200 as usize] < 1.0);
    }

    fn prefix(texts: &[&str]) -> f64 {
        Kernels::new(texts).between(0, 1)[Lane::Prefix as usize]
    }

    #[test]
    fn a_common_prefix_ends_where_the_shorter_answer_ends_whatever_else_there_is() {
        let long = "x".repeat(800);
        for others in [vec![], vec![long.as_str()], vec!["", "yes, of course"]] {
            let with = |a, b| [vec![a, b], others.clone()].concat();
            assert!((prefix(&with("yes", "yes, I do")) - 0.488).abs() < 1e-12);
            assert!((prefix(&with("yes", "yes")) - 1.0).abs() < 1e-12);
            assert!(prefix(&with("", "yes")).abs() < 1e-12);
            assert!((prefix(&with("", "")) - 1.0).abs() < 1e-12);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn kernels_follow_their_definitions(a in ".{0,260}", b in ".{0,260}") {
            let k = Kernels::new(&[&a, &b]);
            let lanes = k.between(0, 1);
            prop_assert_eq!(k.row(0)[1], k.row(1)[0]);
            for (lane, length) in [(Lane::Hamming50, 50), (Lane::Hamming200, 200), (Lane::Hamming1000, 1000)] {
                prop_assert!((lanes[lane as usize] - hamming(&a, &b, length)).abs() < 1e-12);
            }
            let lcp = i32::try_from(a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count()).expect("short");
            let prefix = if a == b { 1.0 } else { 1.0 - 0.8_f64.powi(lcp) };
            prop_assert!((lanes[Lane::Prefix as usize] - prefix).abs() <= 0.0005 + 1e-12);
            prop_assert!(lanes.iter().all(|v| (0.0..=1.0).contains(v)));
        }

        #[test]
        fn white_space_of_any_kind_is_one_space(
            a in "[a-d]{0,90}[ ab\\t\n\u{a0}\u{3000}é漢]{0,260}",
            b in "[a-d]{0,90}[ ab\u{85}\u{2009}e’]{0,260}",
        ) {
            let lanes = Kernels::new(&[&a, &b]).between(0, 1);
            let normal = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected = hamming(&normal(&a), &normal(&b), 200);
            prop_assert!((lanes[Lane::Hamming200Normalised as usize] - expected).abs() < 1e-12);
            prop_assert!((lanes[Lane::Hamming1000 as usize] - hamming(&a, &b, 1000)).abs() < 1e-12);
        }
    }
}
