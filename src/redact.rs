//! Redaction: credentials never reach a file, a log or a report, even when a host echoes them.
//!
//! Layer 1. A [`Redactor`] knows the secrets of this process and masks in text from outside every run of [`WINDOW`] or more
//! characters of one, however it was cut:
//!
//! - as it is, or with white space in between, as where lines are broken;
//! - in Base64, standard or URL-safe, at any place within what was encoded, in one line or in the lines of MIME;
//! - in hexadecimal digits of either case, with or without the usual marks between bytes;
//! - all of these under JSON escapes, percent encoding or HTML entities, each character escaped or not, up to [`DEPTH`]
//!   layers deep.
//!
//! What counts as a secret of an address is in `parts`; secrets in pieces, as the events of a stream bring them, are looked for by
//! `pieces`; `view` takes escapes off.
//!
//! Not seen are secrets that are reversed, encrypted, compressed, or in another encoding. The work is linear in the text: each view of
//! it is gone through once, whatever the number of secrets, with up to six look-ups in a filter of 8 KB for a byte.

mod parts;
mod pieces;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::Finder;
use serde_json::Value;

use parts::Part;
use pieces::Pieces;
use view::View;

pub use view::DEPTH;

/// What stands where a secret was.
pub const MASK: &str = "[redacted]";

/// The characters in a row of a secret that are never told: fewer would blank out ordinary text.
pub const WINDOW: usize = 8;

/// The shortest secret, in bytes; one that is shorter than a window is masked where it stands whole.
const SHORTEST: usize = 4;

/// Replaces known secrets in text from outside. Cheap to clone; prints nothing of what it knows.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<Known>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} patterns)", self.known.windows.exact.len() + self.known.wholes.len())
    }
}

impl Redactor {
    /// Knows these secrets: keys, signing secrets, and addresses, of which the parts that lead to nobody else are told. Ones shorter
    /// than four characters are ignored: they would blank out ordinary text.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut known = Known::default();
        for secret in secrets {
            for part in parts::of(secret.as_ref()) {
                known.add(&part);
            }
        }
        Self { known: Arc::new(known) }
    }

    /// The text with every known secret masked.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut found: Vec<Range<usize>> = Vec::new();
        self.visit(text, &mut |range| {
            found.push(range);
            Visit::GoOn
        });
        if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked(text, found)) }
    }

    /// Whether the text holds a known secret.
    pub fn finds(&self, text: &str) -> bool {
        let mut any = false;
        self.visit(text, &mut |_| {
            any = true;
            Visit::Stop
        });
        any
    }

    /// Whether the strings of this JSON hold a known secret when those that belong together are joined, such as the tokens of a list.
    pub fn finds_in_pieces_of(&self, value: &Value) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let mut pieces = Pieces::default();
        pieces.value(value);
        pieces.texts().any(|text| self.finds(text))
    }

    /// Whether a body holds a known secret when the pieces are joined that its lines or the events of a stream bring.
    pub fn finds_in_pieces(&self, body: &str) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let mut pieces = Pieces::default();
        pieces.body(body);
        pieces.texts().any(|text| self.finds(text))
    }

    /// Masks each of these texts whole where they hold a known secret together, in this order, and none does alone.
    pub fn mask_together(&self, texts: &mut [&mut String]) {
        if self.known.is_empty() || texts.len() < 2 {
            return;
        }
        let together: String = texts.iter().map(|text| text.as_str()).collect();
        if self.finds(&together) {
            texts.iter_mut().filter(|text| !text.is_empty()).for_each(|text| MASK.clone_into(text));
        }
    }

    /// Tells the place in `text` of each run of a secret, under whatever escapes.
    fn visit(&self, text: &str, found: &mut dyn FnMut(Range<usize>) -> Visit) {
        if self.known.is_empty() {
            return;
        }
        let mut views = vec![View::of(text)];
        for depth in 0..=DEPTH {
            let mut next = Vec::new();
            for view in &views {
                let seen = self.known.visit(&view.bytes, &mut |range| found(view.source(range)));
                if let Visit::Stop = seen {
                    return;
                }
                if depth < DEPTH {
                    next.extend(view.unescaped());
                }
            }
            views = next;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    GoOn,
    Stop,
}

/// The text with these places masked, those that overlap as one.
fn masked(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_by_key(|place| (place.start, place.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for place in places {
        let start = text.floor_char_boundary(place.start);
        if start >= done {
            out.push_str(&text[done..start]);
            out.push_str(MASK);
        }
        done = done.max(text.ceil_char_boundary(place.end));
    }
    out.push_str(&text[done..]);
    out
}

/// What is secret, ready to be looked for.
#[derive(Default)]
struct Known {
    windows: Windows,
    /// Texts that are only secret as a whole.
    wholes: Vec<Finder<'static>>,
}

impl Known {
    fn is_empty(&self) -> bool {
        self.windows.exact.is_empty() && self.wholes.is_empty()
    }

    fn add(&mut self, part: &Part) {
        match part {
            Part::Whole(text) => self.wholes.push(Finder::new(text).into_owned()),
            Part::Any { bytes, public } => {
                let length = bytes.len().min(WINDOW);
                if length < SHORTEST {
                    return;
                }
                for (start, window) in bytes.windows(length).enumerate() {
                    let is_public = |range: &Range<usize>| range.start <= start && start + length <= range.end;
                    if !public.iter().any(is_public) {
                        self.windows.add(window);
                    }
                }
            }
        }
    }

    fn visit(&self, bytes: &[u8], found: &mut dyn FnMut(Range<usize>) -> Visit) -> Visit {
        for whole in &self.wholes {
            for start in whole.find_iter(bytes) {
                if found(start..start + whole.needle().len()) == Visit::Stop {
                    return Visit::Stop;
                }
            }
        }
        self.windows.visit(bytes, found)
    }
}

/// Runs of up to eight bytes, each as a number: a filter that nearly always says no, and the exact set behind it.
#[derive(Default)]
struct Windows {
    exact: HashSet<(usize, u64)>,
    filter: Vec<u64>,
    /// The lengths that occur, in bytes.
    lengths: Vec<usize>,
}

/// The bits of the filter, as a power of two.
const FILTER_BITS: u32 = 16;

impl Windows {
    fn add(&mut self, window: &[u8]) {
        let value = window.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        self.filter.resize(1 << (FILTER_BITS - 6), 0);
        let bit = Self::bit(value);
        self.filter[bit >> 6] |= 1 << (bit & 63);
        self.exact.insert((window.len(), value));
        if !self.lengths.contains(&window.len()) {
            self.lengths.push(window.len());
        }
    }

    fn bit(value: u64) -> usize {
        (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - FILTER_BITS)) as usize
    }

    /// Whether the last `length` bytes of this number are a window.
    fn holds(&self, value: u64, length: usize) -> bool {
        let value = value & (u64::MAX >> (64 - 8 * length));
        let bit = Self::bit(value);
        self.filter[bit >> 6] & (1 << (bit & 63)) != 0 && self.exact.contains(&(length, value))
    }

    /// Tells each place of a window: plain, with white space in between, in Base64 and in hexadecimal digits.
    fn visit(&self, bytes: &[u8], found: &mut dyn FnMut(Range<usize>) -> Visit) -> Visit {
        if self.lengths.is_empty() {
            return Visit::GoOn;
        }
        let (mut plain, mut tight, mut base64, mut hex) = (0_u64, Run::new(8), Run::new(6), Run::new(4));
        for (at, &byte) in bytes.iter().enumerate() {
            plain = plain << 8 | u64::from(byte);
            if !byte.is_ascii_whitespace() {
                tight.push(byte, at);
            }
            match SIXES[usize::from(byte)] {
                BREAK => base64.count = 0,
                SKIP => {}
                six => base64.push(six, at),
            }
            hex_digit(&mut hex, bytes, at);
            for &length in &self.lengths {
                let begins = [
                    (at + 1 >= length && self.holds(plain, length)).then(|| at + 1 - length),
                    // Without white space among the last bytes it is the same once more.
                    (tight.bits as u64 != plain).then(|| tight.find(self, length, at)).flatten(),
                    base64.find(self, length, at),
                    hex.find(self, length, at),
                ];
                let end = at + 1;
                for begin in begins.into_iter().flatten() {
                    if found(begin..end) == Visit::Stop {
                        return Visit::Stop;
                    }
                }
            }
        }
        Visit::GoOn
    }
}

/// Digits in a row, of a few bits each, and where the last of them stood.
struct Run {
    width: usize,
    bits: u128,
    count: usize,
    places: [usize; Run::KEPT],
}

impl Run {
    /// As many places as the digits of a window: at most 16, in hexadecimal.
    const KEPT: usize = 16;

    fn new(width: usize) -> Self {
        Self { width, bits: 0, count: 0, places: [0; Self::KEPT] }
    }

    fn push(&mut self, digit: u8, at: usize) {
        self.bits = self.bits << self.width | u128::from(digit);
        self.places[self.count % Self::KEPT] = at;
        self.count += 1;
    }

    /// Takes the last digit back.
    fn pop(&mut self) {
        self.bits >>= self.width;
        self.count = self.count.saturating_sub(1);
    }

    /// Where a window begins that ends with the digit at `at`, which was the last to come.
    fn find(&self, windows: &Windows, length: usize, at: usize) -> Option<usize> {
        if self.count == 0 || self.places[(self.count - 1) % Self::KEPT] != at {
            return None;
        }
        // A byte may end within a digit of Base64: what follows it in there belongs to the next one.
        let over: &[usize] = if self.width == 6 { &[0, 2, 4] } else { &[0] };
        over.iter().find_map(|over| {
            let digits = (8 * length + over).div_ceil(self.width);
            let seen = self.count >= digits && windows.holds((self.bits >> over) as u64, length);
            seen.then(|| self.places[(self.count - digits) % Self::KEPT])
        })
    }
}

/// Takes the byte at `at` into a run of hexadecimal digits, over the marks that stand between bytes: `73:6b`, `73 6b`, `\x73\x6b`,
/// `0x73, 0x6b`.
fn hex_digit(run: &mut Run, bytes: &[u8], at: usize) {
    let byte = bytes[at];
    let before = at.checked_sub(1).map(|before| bytes[before]);
    match (byte, char::from(byte).to_digit(16)) {
        (_, Some(digit)) => run.push(digit as u8, at),
        (b'x' | b'X', _) if before == Some(b'0') => run.pop(),
        (b'x' | b'X', _) if before == Some(b'\\') => {}
        (b' ' | b'\t' | b'\r' | b'\n' | b':' | b',' | b'-' | b'\\', _) => {}
        _ => run.count = 0,
    }
}

/// The value of each character of Base64, in either alphabet; [`SKIP`] for what breaks lines, [`BREAK`] for everything else.
const SIXES: [u8; 256] = sixes();
const SKIP: u8 = 64;
const BREAK: u8 = 65;

const fn sixes() -> [u8; 256] {
    let mut table = [BREAK; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table[b' ' as usize] = SKIP;
    table[b'\t' as usize] = SKIP;
    table[b'\r' as usize] = SKIP;
    table[b'\n' as usize] = SKIP;
    table
}
