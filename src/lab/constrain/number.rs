//! Decimal numbers between two bounds, byte by byte. Pure.
//!
//! What has been written so far leaves a set of values that it can still become. A digit may come only if one of them lies between
//! the bounds, so that no number has to be given up half-way.

use super::json::{DECIMALS, DIGITS};

/// One, in the unit of the last decimal place.
const ONE: i128 = 10_i128.pow(DECIMALS);
/// More than any number that can be written.
const BEYOND: i128 = 10_i128.pow(DIGITS + 1) * ONE;

/// Whether numbers have fractions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No fractions, and no zero with a sign.
    Integer,
    /// A fraction may follow.
    Decimal,
}

/// A bound on numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The number itself is allowed.
    Inclusive,
    /// It is not.
    Exclusive,
}

/// The numbers that may be written, in units of the last decimal place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    low: i128,
    high: i128,
}

impl Default for Range {
    fn default() -> Self {
        Self { low: -BEYOND, high: BEYOND }
    }
}

impl Range {
    /// Those of these from this number on.
    #[must_use]
    pub fn at_least(self, number: f64, bound: Bound) -> Self {
        let low = match bound {
            Bound::Inclusive => ceil(number),
            Bound::Exclusive => floor(number) + 1,
        };
        Self { low: self.low.max(low), ..self }
    }

    /// Those of these up to this number.
    #[must_use]
    pub fn at_most(self, number: f64, bound: Bound) -> Self {
        let high = match bound {
            Bound::Inclusive => floor(number),
            Bound::Exclusive => ceil(number) - 1,
        };
        Self { high: self.high.min(high), ..self }
    }
}

/// A number in units of the last place, rounded down. By its decimal digits: a product with 10⁶ would itself be rounded.
fn floor(number: f64) -> i128 {
    let (units, exact) = units(number.abs());
    if number < 0.0 { -units - i128::from(!exact) } else { units }
}

fn ceil(number: f64) -> i128 {
    -floor(-number)
}

/// The size of a number in whole units, and whether that is all of it.
fn units(size: f64) -> (i128, bool) {
    let text = format!("{size}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let (near, rest) = fraction.split_at(fraction.len().min(DECIMALS as usize));
    let near = format!("{near:0<width$}", width = DECIMALS as usize);
    match whole.parse::<i128>().ok().zip(near.parse::<i128>().ok()) {
        Some((whole, near)) if whole < BEYOND / ONE => (whole * ONE + near, rest.is_empty()),
        _ => (BEYOND, true),
    }
}

/// A number on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    kind: Kind,
    range: Range,
    negative: bool,
    /// The digits so far as one number, without the point.
    written: i128,
    /// How many there are before the point.
    digits: u32,
    /// How many after it, if it has come.
    decimals: Option<u32>,
}

impl Number {
    /// A number of this kind in this range, before its first byte; none if there is no such number.
    pub fn within(range: Range, kind: Kind) -> Option<Self> {
        let number = Self { kind, range, negative: false, written: 0, digits: 0, decimals: None };
        (number.possible() || Self { negative: true, ..number }.possible()).then_some(number)
    }

    /// What is left once this byte has come; none if it cannot.
    pub fn after(self, byte: u8) -> Option<Self> {
        let digit = |byte: u8| self.written * 10 + i128::from(byte - b'0');
        let next = match (byte, self.decimals) {
            (b'-', None) if self.digits == 0 && !self.negative => Self { negative: true, ..self },
            (b'.', None) if self.digits > 0 && self.kind == Kind::Decimal => Self { decimals: Some(0), ..self },
            (b'0'..=b'9', None) if self.digits == 0 || (self.written > 0 && self.digits < DIGITS) => {
                Self { written: digit(byte), digits: self.digits + 1, ..self }
            }
            (b'0'..=b'9', Some(decimals)) if decimals < DECIMALS => {
                Self { written: digit(byte), decimals: Some(decimals + 1), ..self }
            }
            _ => return None,
        };
        next.possible().then_some(next)
    }

    /// Whether what has come may stand as it is.
    pub fn complete(self) -> bool {
        let size = self.written * 10_i128.pow(DECIMALS - self.decimals.unwrap_or(0));
        self.digits > 0 && self.decimals != Some(0) && self.allows(size, size)
    }

    /// Whether some number in the range begins so.
    fn possible(self) -> bool {
        let more = match (self.decimals, self.digits) {
            (None, 0) => DIGITS..=DIGITS,
            (None, _) if self.written > 0 => 0..=DIGITS - self.digits,
            _ => 0..=0,
        };
        let place = 10_i128.pow(DECIMALS - self.decimals.unwrap_or(0));
        let step = if self.kind == Kind::Integer { ONE } else { 1 };
        more.map(|more| place * 10_i128.pow(more))
            .any(|place| self.allows(self.written * place, (self.written + 1) * place - step))
    }

    /// Whether one of the sizes from `least` to `most`, with the sign that has come, is in the range.
    fn allows(self, least: i128, most: i128) -> bool {
        let Range { low, high } = self.range;
        let (first, last) = match (self.negative, self.kind) {
            (false, _) => (least, most),
            (true, Kind::Decimal) => (-most, -least),
            (true, Kind::Integer) => (-most, -least.max(ONE)),
        };
        let (low, high) = match self.kind {
            Kind::Decimal => (low, high),
            // The sizes are whole numbers, and so must be the ends of the range.
            Kind::Integer => (-(-low).div_euclid(ONE) * ONE, high.div_euclid(ONE) * ONE),
        };
        first.max(low) <= last.min(high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: Option<Number>, text: &str) -> bool {
        let end = text.bytes().try_fold(number, |left, byte| left.map(|left| left.after(byte)));
        end.flatten().is_some_and(Number::complete)
    }

    fn between(low: f64, high: f64, kind: Kind) -> Option<Number> {
        Number::within(Range::default().at_least(low, Bound::Inclusive).at_most(high, Bound::Inclusive), kind)
    }

    #[test]
    fn a_digit_may_come_only_if_it_leads_somewhere() {
        let number = between(15.0, 120.0, Kind::Integer);
        for text in ["15", "20", "99", "100", "120"] {
            assert!(written(number, text), "{text}");
        }
        for text in ["14", "1", "121", "015", "-20", "15.0", ""] {
            assert!(!written(number, text), "{text}");
        }
        let two = number.unwrap().after(b'2').unwrap();
        assert!(two.after(b'0').unwrap().after(b'0').is_none() && !two.complete());
        assert!(number.unwrap().after(b'-').is_none() && number.unwrap().after(b'0').is_none());
    }

    #[test]
    fn exclusive_bounds_leave_the_number_itself_out() {
        let range = Range::default().at_least(0.0, Bound::Exclusive).at_most(1.0, Bound::Exclusive);
        let number = Number::within(range, Kind::Decimal);
        assert!(written(number, "0.3") && written(number, "0.000001") && written(number, "0.999999"));
        for text in ["0", "0.0", "1", "-0.1", "1.0"] {
            assert!(!written(number, text), "{text}");
        }
        assert!(Number::within(range, Kind::Integer).is_none());
    }

    #[test]
    fn bounds_are_as_exact_as_their_digits() {
        assert_eq!((floor(0.3), ceil(0.3), floor(-0.3)), (300_000, 300_000, -300_000));
        assert_eq!((floor(1e-7), ceil(1e-7), floor(-1e-7), ceil(-1e-7)), (0, 1, -1, 0));
        assert_eq!((ceil(1e300), floor(-1e300), floor(f64::MAX)), (BEYOND, -BEYOND, BEYOND));
        assert!(
            written(between(0.1, 0.3, Kind::Decimal), "0.3") && !written(between(0.1, 0.3, Kind::Decimal), "0.300001")
        );
    }

    #[test]
    fn an_integer_has_no_signed_zero_and_a_decimal_may() {
        assert!(!written(between(-5.0, 5.0, Kind::Integer), "-0") && written(between(-5.0, 5.0, Kind::Integer), "0"));
        assert!(written(between(-5.0, 5.0, Kind::Decimal), "-0.0"));
        assert!(between(0.0, 0.0, Kind::Integer).unwrap().after(b'-').is_none());
        assert!(between(1e20, 1e30, Kind::Integer).is_none() && between(2.0, 1.0, Kind::Decimal).is_none());
    }

    proptest! {
        #[test]
        fn what_can_be_written_is_just_what_lies_between(
            low in -1_500_i32..1_500, width in 0_i32..900, value in -2_500_i32..2_500, scale in 0..3,
        ) {
            let scaled = |number: i32| f64::from(number) / 10_f64.powi(scale);
            let (from, to, at) = (scaled(low), scaled(low + width), scaled(value));
            let inside = low <= value && value <= low + width;
            prop_assert_eq!(written(between(from, to, Kind::Decimal), &format!("{at}")), inside);
            let whole = f64::from(value);
            let inside = from <= whole && whole <= to;
            prop_assert_eq!(written(between(from, to, Kind::Integer), &value.to_string()), inside);
        }

        #[test]
        fn there_is_always_a_way_to_an_end(low in -1e6..1e6_f64, width in 1.0..1e4_f64, turns in proptest::collection::vec(any::<u8>(), 40)) {
            let mut number = between(low, low + width, Kind::Decimal).unwrap();
            let mut text = String::new();
            for turn in turns {
                let ways: Vec<u8> = b"-.0123456789".iter().copied().filter(|byte| number.after(*byte).is_some()).collect();
                if ways.is_empty() || (number.complete() && turn % 4 == 0) {
                    break;
                }
                let byte = ways[usize::from(turn) % ways.len()];
                text.push(char::from(byte));
                number = number.after(byte).unwrap();
            }
            prop_assert!(number.complete(), "{text}");
            let value: f64 = text.parse().unwrap();
            prop_assert!(low <= value && value <= low + width, "{text}");
        }
    }
}
