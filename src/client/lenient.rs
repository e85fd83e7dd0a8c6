//! JSON as hosts write it: halves of surrogate pairs, `NaN` and infinities, and bytes that are no UTF-8.
//!
//! Layer 3, pure. What is right by the standard is read by `serde_json` alone. Hosts that cut text between UTF-16 units send the
//! halves of one character in two pieces; each half is kept as a stand-in until [`join_halves`] puts them together.

use std::borrow::Cow;

use serde_json::Value;

/// The stand-in for the surrogate `D800`; those for all others follow it. They are private characters of the last plane.
const STAND_INS: u32 = 0x10_D800;

/// Where the stand-ins for the second halves begin, and where they end.
const SECOND: u32 = STAND_INS + 0x400;
const END: u32 = STAND_INS + 0x800;

/// Reads JSON. Numbers that JSON does not have become `null`, and each half of a surrogate pair that stands alone its stand-in.
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
    let mut out = String::new();
    let (mut rest, mut within) = (text, false);
    while let Some(at) = rest.find(['"', '\\', 'N', 'I', '-']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let (piece, instead) = match (within, tail.as_bytes()[0]) {
            (_, b'"') => {
                within = !within;
                (1, None)
            }
            (true, b'\\') => escape(tail),
            (false, _) => match ["NaN", "Infinity", "-Infinity"].iter().find(|word| tail.starts_with(**word)) {
                Some(word) => (word.len(), Some("null".to_owned())),
                None => (1, None),
            },
            (true, _) => (1, None),
        };
        let (piece, after) = tail.split_at(piece);
        out.push_str(instead.as_deref().unwrap_or(piece));
        rest = after;
    }
    out.push_str(rest);
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// How long the escape is with which a text begins, and what it becomes where it is half of a pair whose other half does not follow.
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
