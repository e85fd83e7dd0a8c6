//! JSON as hosts write it: halves of surrogate pairs, `NaN` and infinities, raw line feeds, bytes that are no UTF-8.
//!
//! Layer 3, pure. What is right by the standard is read by `serde_json` alone. Hosts that cut text between UTF-16
//! units send the halves of one character in two pieces; each half is kept as a stand-in until [`join_halves`] puts
//! them together.

use std::borrow::Cow;

use serde_json::Value;

/// The stand-in for the surrogate `D800`; those for all others follow it. They are private characters of the last
/// plane.
const STAND_INS: u32 = 0x10_D800;

/// Where the stand-ins for the second halves begin, and where they end.
const SECOND: u32 = STAND_INS + 0x400;
const END: u32 = STAND_INS + 0x800;

/// How deep values may be nested where the strict parser refuses more; what is deeper is left out.
const MOST_NESTED: usize = 100;

/// Words for numbers that JSON does not have, in lower case.
const NO_NUMBERS: [&str; 6] = ["nan", "-nan", "infinity", "-infinity", "inf", "-inf"];

/// Reads JSON. Numbers that JSON does not have, and what is nested too deeply, become `null`, and each half of a
/// surrogate pair that stands alone its stand-in.
///
/// # Errors
///
/// With what is no JSON beyond that, in the words of the strict parser.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|strict| {
        let text = String::from_utf8_lossy(bytes);
        match mend(&text) {
            Cow::Owned(mended) => serde_json::from_str(&mended).map_err(|_| strict),
            Cow::Borrowed(text) => serde_json::from_str(text).map_err(|_| strict),
        }
    })
}

/// The text with the halves of each pair put together; a half that is alone becomes U+FFFD.
pub fn join_halves(text: String) -> String {
    let stand_in = |c: char| (STAND_INS..END).contains(&u32::from(c));
    if !text.contains(stand_in) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let second = chars.peek().map(|c| u32::from(*c)).filter(|second| (SECOND..END).contains(second));
        match (u32::from(c), second) {
            (first @ STAND_INS..SECOND, Some(second)) => {
                chars.next();
                let joined = 0x1_0000 + ((first - STAND_INS) << 10) + (second - SECOND);
                out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            _ if stand_in(c) => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(c),
        }
    }
    out
}

/// The same JSON with what the strict parser refuses written otherwise; borrowed where there is nothing of it.
fn mend(text: &str) -> Cow<'_, str> {
    let mut mender = Mender::default();
    let mut rest = text;
    while !rest.is_empty() {
        let length = if mender.within { mender.string(rest) } else { mender.outside(rest) };
        rest = &rest[length..];
    }
    if mender.out == text { Cow::Borrowed(text) } else { Cow::Owned(mender.out) }
}

/// JSON that is being written otherwise. Each step takes the next piece of it and tells how long that is: never
/// nothing.
#[derive(Default)]
struct Mender {
    out: String,
    /// Whether the next piece is within a string.
    within: bool,
    depth: usize,
    /// Where in `out` a value begins that is nested too deeply.
    deep: Option<usize>,
}

impl Mender {
    /// Takes a piece within a string, up to its end.
    fn string(&mut self, rest: &str) -> usize {
        let at = rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ').unwrap_or(rest.len());
        let (before, tail) = rest.split_at(at);
        self.out.push_str(before);
        let Some(&first) = tail.as_bytes().first() else { return at };
        let (length, instead) = match first {
            b'\\' => escape(tail),
            b'"' => {
                self.within = false;
                (1, None)
            }
            // Hosts put line feeds and tabs into strings as they are.
            control => (1, Some(format!("\\u{control:04x}"))),
        };
        self.out.push_str(instead.as_deref().unwrap_or(&tail[..length]));
        at + length
    }

    /// Takes a piece outside of strings.
    fn outside(&mut self, rest: &str) -> usize {
        let special = ['"', '[', '{', ']', '}', 'n', 'N', 'i', 'I', '-', 'e', 'E'];
        let at = rest.find(special).unwrap_or(rest.len());
        let (before, tail) = rest.split_at(at);
        self.out.push_str(before);
        let Some(&first) = tail.as_bytes().first() else { return at };
        let length = match first {
            b'e' | b'E' => self.exponent(tail),
            b'n' | b'N' | b'i' | b'I' | b'-' => self.word(tail),
            bracket => {
                self.out.push(char::from(bracket));
                self.within = bracket == b'"';
                self.nest(bracket);
                1
            }
        };
        at + length
    }

    /// Counts brackets, and leaves out a value that is nested too deeply once it ends.
    fn nest(&mut self, bracket: u8) {
        match bracket {
            b'[' | b'{' => {
                self.depth += 1;
                if self.depth > MOST_NESTED && self.deep.is_none() {
                    self.deep = Some(self.out.len() - 1);
                }
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                if let Some(start) = self.deep.filter(|_| self.depth == MOST_NESTED) {
                    self.out.truncate(start);
                    self.out.push_str("null");
                    self.deep = None;
                }
            }
            _ => {}
        }
    }

    /// Takes a word that stands for a number, or a single character.
    fn word(&mut self, tail: &str) -> usize {
        let is = |word: &&&str| tail.get(..word.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(word));
        // The longest, so that nothing is left of `Infinity`.
        let Some(length) = NO_NUMBERS.iter().filter(is).map(|word| word.len()).max() else {
            self.out.push_str(&tail[..1]);
            return 1;
        };
        self.out.push_str("null");
        length
    }

    /// Takes an exponent. A number that it makes infinite, such as `-1e999`, is none.
    fn exponent(&mut self, tail: &str) -> usize {
        let digits = tail[1..].trim_start_matches(['+', '-']);
        let digits = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        let length = tail.len() - digits.len();
        let before = self.out.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-')).len();
        let number = format!("{}{}", &self.out[before..], &tail[..length]);
        if number.parse::<f64>().is_ok_and(f64::is_infinite) {
            self.out.truncate(before);
            self.out.push_str("null");
        } else {
            self.out.push_str(&tail[..length]);
        }
        length
    }
}

/// How long the escape is with which a text begins, and what it becomes where it is half of a pair whose other half
/// does not follow.
fn escape(text: &str) -> (usize, Option<String>) {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    match (unit(text), text.get(6..).and_then(unit)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, None),
        (Some(half @ 0xD800..=0xDFFF), _) => (6, char::from_u32(STAND_INS + half - 0xD800).map(String::from)),
        // The character after a backslash may have several bytes.
        _ => (1 + text[1..].chars().next().map_or(0, char::len_utf8), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn text(json: &str) -> String {
        parse(json.as_bytes()).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn halves_of_a_pair_in_two_pieces_are_one_character() {
        let (first, second) = (text(r#""a\ud83d""#), text(r#""\uDE00 b""#));
        assert_eq!(join_halves(first.clone() + &second), "a😀 b");
        assert_eq!(join_halves(second + &first), "\u{fffd} ba\u{fffd}", "in the wrong order they are none");
    }

    #[test]
    fn whole_pairs_and_escaped_backslashes_stay_what_they_are() {
        assert_eq!(join_halves(text(r#""\ud83d\ude00 \ud83d""#)), "😀 \u{fffd}");
        assert_eq!(text(r#""\\ud83d \ud83d \"NaN\"""#).replace('\u{10d83d}', "?"), r#"\ud83d ? "NaN""#);
    }

    #[test]
    fn numbers_that_json_does_not_have_are_none() {
        let value = parse(br#"{"a": NaN, "b": [-Infinity, Infinity, -1.5], "c": "NaN -Infinity"}"#).unwrap();
        assert_eq!(value, json!({"a": null, "b": [null, null, -1.5], "c": "NaN -Infinity"}));
    }

    #[test]
    fn numbers_beyond_all_bounds_are_none_in_every_spelling() {
        let value = parse(br"[1e999, -1.5E+999, 1e-999, 2e3, nan, -inf, -Infinity, infinity, null, true, false, -7]");
        assert_eq!(value.unwrap(), json!([null, null, 0.0, 2e3, null, null, null, null, null, true, false, -7]));
        assert!(parse(b"[nope]").is_err() && parse(b"[1e]").is_err());
    }

    #[test]
    fn raw_control_characters_in_strings_are_read_as_they_are() {
        assert_eq!(parse(b"{\"a\tb\":\n\"c\nd\\n\"}").unwrap(), json!({"a\tb": "c\nd\n"}));
    }

    #[test]
    fn what_is_nested_too_deeply_is_left_out() {
        let deep = format!(r#"{{"a": 1, "x": {}{}, "b": "]"}}"#, "[".repeat(200), "]".repeat(200));
        let value = parse(deep.as_bytes()).unwrap();
        assert_eq!((&value["a"], &value["b"]), (&json!(1), &json!("]")));
        assert!(parse("[".repeat(200).as_bytes()).is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_read_as_replaced() {
        assert_eq!(parse(b"\"a\xF0\x9F\"").unwrap(), json!("a\u{fffd}"));
        assert!(parse(b"{\"a\": \\ud83d").is_err());
    }

    proptest! {
        #[test]
        fn what_is_json_is_read_as_it_is(text: String, number: f64) {
            let value = json!({"text": text, "list": [number, text]});
            prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in r#"["\\uDd83NaInfity,: -]{0,40}"#) {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}
