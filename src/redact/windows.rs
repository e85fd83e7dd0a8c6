//! Windows: runs of a secret as numbers, and the one way through a text that finds them in each of its encodings.
//!
//! Part of layer 1's redaction, pure. For each byte a window may end with it in four readings: as it is, without gaps, in Base64
//! and in hexadecimal digits. Each is one look-up in a filter that nearly always says no.

use std::collections::HashSet;
use std::ops::Range;

use super::{Visit, WINDOW};

/// Runs of up to eight bytes, each as a number: filters that nearly always say no, and the exact set behind them.
#[derive(Default)]
pub(super) struct Windows {
    exact: HashSet<(usize, u64)>,
    filter: Filter,
    /// The bits of whole windows that are the same in Base64 wherever they begin within a digit, see [`Windows::in_base64`].
    base64: Filter,
    /// The lengths that occur, in bytes.
    lengths: Vec<usize>,
}

/// Where the bits of Base64 that follow a window begin: within its last digit, or behind it.
const OVER: [usize; 3] = [0, 2, 4];

/// As many bits as are looked up of a run of Base64: 60.
const COMMON: u64 = u64::MAX >> 4;

impl Windows {
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.exact.len()
    }

    /// Adds a run of at most [`WINDOW`] bytes.
    pub fn add(&mut self, window: &[u8]) {
        let value = window.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        self.filter.add(value);
        if window.len() == WINDOW {
            for over in OVER {
                self.base64.add((value >> (4 - over)) & COMMON);
            }
        }
        self.exact.insert((window.len(), value));
        if !self.lengths.contains(&window.len()) {
            self.lengths.push(window.len());
        }
    }

    /// Whether the last `length` bytes of this number are a window.
    fn holds(&self, value: u64, length: usize) -> bool {
        let value = value & (u64::MAX >> (64 - 8 * length));
        self.filter.may_have(value) && self.exact.contains(&(length, value))
    }

    /// Whether a whole window may lie at the end of these bits of Base64. It ends with the last of them, or with 2 or 4 bits of another
    /// byte behind it; in each case bits 4 to 64 are bits of the window alone, so that one look-up answers for all three.
    fn in_base64(&self, bits: u128) -> bool {
        self.base64.may_have((bits as u64) >> 4)
    }

    /// Whether a window may be in the text, by the filters alone, which is told several times as fast as its place is found.
    /// It says yes of each text that holds a window, and no of nearly every other.
    fn may_be_in(&self, bytes: &[u8]) -> bool {
        if self.lengths != [WINDOW] {
            return true;
        }
        let (mut plain, mut tight) = (0_u64, 0_u64);
        let (mut base64, mut hex) = (Digits::default(), Digits::default());
        let mut before = 0;
        for &byte in bytes {
            plain = plain << 8 | u64::from(byte);
            if !is_gap(byte) {
                tight = tight << 8 | u64::from(byte);
            }
            base64.take(SIXES[usize::from(byte)], 6);
            hex.take(hex_step(byte, before), 4);
            before = byte;
            let seen = self.filter.may_have(plain)
                || (tight != plain && self.filter.may_have(tight))
                || (base64.count >= FEWEST_SIXES && self.base64.may_have((base64.bits as u64) >> 4))
                || (hex.count >= 2 * WINDOW && self.filter.may_have(hex.bits as u64));
            if seen {
                return true;
            }
        }
        false
    }

    /// Tells each place of a window: plain, with gaps in between, in Base64 and in hexadecimal digits.
    pub fn visit(&self, bytes: &[u8], found: &mut dyn FnMut(Range<usize>) -> Visit) -> Visit {
        if self.is_empty() || !self.may_be_in(bytes) {
            return Visit::GoOn;
        }
        let (mut plain, mut tight, mut base64, mut hex) = (0_u64, Run::new(8), Run::new(6), Run::new(4));
        for (at, &byte) in bytes.iter().enumerate() {
            plain = plain << 8 | u64::from(byte);
            if !is_gap(byte) {
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
                    // Without a gap among the last bytes it is the same once more.
                    (tight.bits as u64 != plain).then(|| tight.find(self, length, at)).flatten(),
                    (length < WINDOW || self.in_base64(base64.bits)).then(|| base64.find(self, length, at)).flatten(),
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

/// Whether a byte may stand between those of a secret: white space, or a control character, which becomes white space where what hosts
/// say is told in a line.
fn is_gap(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_control()
}

/// The bits of a filter, as a power of two.
const FILTER_BITS: u32 = 16;

/// Numbers of which some were added: of any other it nearly always knows that it was not.
struct Filter {
    bits: Box<[u64; 1 << (FILTER_BITS - 6)]>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { bits: Box::new([0; 1 << (FILTER_BITS - 6)]) }
    }
}

impl Filter {
    fn add(&mut self, value: u64) {
        let bit = Self::bit(value);
        self.bits[bit >> 6] |= 1 << (bit & 63);
    }

    fn may_have(&self, value: u64) -> bool {
        let bit = Self::bit(value);
        self.bits[bit >> 6] & (1 << (bit & 63)) != 0
    }

    fn bit(value: u64) -> usize {
        (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - FILTER_BITS)) as usize
    }
}

/// The fewest digits of Base64 that hold a window.
const FEWEST_SIXES: usize = (8 * WINDOW).div_ceil(6);

/// Digits in a row, of a few bits each.
#[derive(Default)]
struct Digits {
    bits: u128,
    count: usize,
}

impl Digits {
    /// Takes a digit of so many bits, or what else a byte is to a row of digits.
    fn take(&mut self, step: u8, width: usize) {
        match step {
            BREAK => self.count = 0,
            SKIP => {}
            BACK => {
                self.bits >>= width;
                self.count = self.count.saturating_sub(1);
            }
            digit => {
                self.bits = self.bits << width | u128::from(digit);
                self.count += 1;
            }
        }
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
        let over: &[usize] = if self.width == 6 { &OVER } else { &[0] };
        over.iter().find_map(|over| {
            let digits = (8 * length + over).div_ceil(self.width);
            let seen = self.count >= digits && windows.holds((self.bits >> over) as u64, length);
            seen.then(|| self.places[(self.count - digits) % Self::KEPT])
        })
    }
}

/// Takes the byte at `at` into a run of hexadecimal digits.
fn hex_digit(run: &mut Run, bytes: &[u8], at: usize) {
    let before = at.checked_sub(1).map_or(0, |before| bytes[before]);
    match hex_step(bytes[at], before) {
        BREAK => run.count = 0,
        SKIP => {}
        BACK => run.pop(),
        digit => run.push(digit, at),
    }
}

/// The value of a hexadecimal digit, or what else a byte is to a row of them: marks stand between bytes, as in `73:6b`,
/// `73 6b`, `\x73\x6b` and `0x73, 0x6b`, where the zero is no digit.
fn hex_step(byte: u8, before: u8) -> u8 {
    match (byte, before) {
        (b'0'..=b'9', _) => byte - b'0',
        (b'a'..=b'f', _) => byte - b'a' + 10,
        (b'A'..=b'F', _) => byte - b'A' + 10,
        (b'x' | b'X', b'0') => BACK,
        (b'x' | b'X', b'\\') | (b' ' | b'\t' | b'\r' | b'\n' | b':' | b',' | b'-' | b'\\', _) => SKIP,
        _ => BREAK,
    }
}

/// The value of each character of Base64, in either alphabet; [`SKIP`] for what breaks lines, [`BREAK`] for everything else.
const SIXES: [u8; 256] = sixes();
const SKIP: u8 = 64;
const BREAK: u8 = 65;
/// What takes the last digit back; none in Base64.
const BACK: u8 = 66;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &[u8] = b"q7W3kPz9Rt5L";

    fn windows() -> Windows {
        let mut windows = Windows::default();
        SECRET.windows(WINDOW).for_each(|window| windows.add(window));
        windows
    }

    #[test]
    fn the_filters_alone_say_no_of_ordinary_text_and_yes_of_each_encoding() {
        let windows = windows();
        let sentence = "{\"role\":\"assistant\",\"content\":\"12 boats went slowly down a river.\"}";
        assert!(!windows.may_be_in(sentence.as_bytes()));
        for text in
            ["q7W3kPz9", "q7W3 kPz9", "cTdXM2tQejk", "7137573\n36b507a39", "0x71,0x37,0x57,0x33,0x6b,0x50,0x7a,0x39"]
        {
            assert!(windows.may_be_in(format!("is {text}!").as_bytes()), "{text}");
        }
        let mut short = Windows::default();
        short.add(b"abcd");
        assert!(short.may_be_in(b""), "a shorter window is looked for in any text");
    }

    /// What a text is made of that may hold a window, or nearly.
    fn part() -> impl Strategy<Value = String> {
        let likely = ["q7W3kPz9", "z9Rt5L", "cTdXM2tQejlSdDVM", "713757336b507a39"].map(str::to_owned);
        prop_oneof!["[ -~]{0,9}", "[0-9a-fA-Fx:\\\\ ]{1,20}", prop::sample::select(likely.to_vec())]
    }

    proptest! {
        #[test]
        fn of_no_text_that_holds_a_window_the_filters_say_no(
            parts in prop::collection::vec(part(), 0..9),
        ) {
            let (windows, text) = (windows(), parts.concat());
            let mut places = 0;
            // All lengths but the usual one are looked for without the filters.
            let mut exact = self::windows();
            exact.lengths.push(1);
            exact.visit(text.as_bytes(), &mut |_| {
                places += 1;
                Visit::GoOn
            });
            prop_assert!(places == 0 || windows.may_be_in(text.as_bytes()), "{text}");
        }
    }
}
