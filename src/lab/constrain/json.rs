//! The parts of JSON as expressions, in a style that always comes to an end: at most one blank at a time, and bounds on
//! strings, numbers, lists and depth. Pure.

use std::sync::LazyLock;

use serde_json::Value;

use super::expression::{Bytes, Expression};
use super::pattern::Pattern;

/// The most characters of a string whose schema sets no bound.
pub const LONGEST_STRING: u32 = 64;
/// The most members of an object or items of a list whose schema sets no bound.
pub const MOST_ITEMS: u32 = 8;
/// Levels of lists and objects in a value whose schema says nothing of it.
pub const DEPTH: usize = 3;

const LONGEST_KEY: u32 = 24;
/// The most digits before the point, fewer than make a number lose precision.
pub const DIGITS: u32 = 14;
/// The most digits after the point.
pub const DECIMALS: u32 = 6;

static CHARACTER: LazyLock<Expression> = LazyLock::new(|| {
    let one = |first, last| Expression::byte(Bytes::range(first, last));
    let rest = || one(0x80, 0xBF);
    let plain = Bytes::range(b' ', b'~').without(b'"').without(b'\\');
    // The rows of table 3-7 of the Unicode Standard: the well-formed sequences of UTF-8, and no others.
    Expression::either([
        Expression::byte(plain),
        Expression::literal(b"\\").then(Expression::byte(Bytes::list(b"\"\\/nrt"))),
        one(0xC2, 0xDF).then(rest()),
        one(0xE0, 0xE0).then(one(0xA0, 0xBF)).then(rest()),
        one(0xE1, 0xEC).then(rest()).then(rest()),
        one(0xED, 0xED).then(one(0x80, 0x9F)).then(rest()),
        one(0xEE, 0xEF).then(rest()).then(rest()),
        one(0xF0, 0xF0).then(one(0x90, 0xBF)).then(rest()).then(rest()),
        one(0xF1, 0xF3).then(rest()).then(rest()).then(rest()),
        one(0xF4, 0xF4).then(one(0x80, 0x8F)).then(rest()).then(rest()),
    ])
});

static VALUES: LazyLock<Vec<Expression>> = LazyLock::new(|| (0..=DEPTH + 1).map(unfolded).collect());

/// Any JSON value with so many levels of lists and objects, as far as the bounds go.
pub fn value(depth: usize) -> &'static Expression {
    &VALUES[depth.min(DEPTH + 1)]
}

fn unfolded(depth: usize) -> Expression {
    let flat = [string(0, LONGEST_STRING), number(), boolean(), null()];
    let nested = (depth > 0).then(|| [any_object(depth - 1), list(&Expression::value(depth - 1), (0, MOST_ITEMS))]);
    Expression::either(flat.into_iter().chain(nested.into_iter().flatten()))
}

/// An object with any members, whose values have so many levels themselves.
pub fn any_object(depth: usize) -> Expression {
    object_of(Expression::value(depth))
}

/// An object with members of any name and of this value.
pub fn object_of(value: Expression) -> Expression {
    let member = string(1, LONGEST_KEY).then(colon()).then(value);
    enclosed(b"{", &member, (0, MOST_ITEMS), b"}")
}

/// A list with from `least` to `most` of these items.
pub fn list(item: &Expression, bounds: (u32, u32)) -> Expression {
    enclosed(b"[", item, bounds, b"]")
}

fn enclosed(open: &[u8], item: &Expression, (least, most): (u32, u32), close: &[u8]) -> Expression {
    let more = comma().then(item.clone()).repeated(least.saturating_sub(1), most.saturating_sub(1));
    let items = item.clone().then(more);
    let items = match (least, most) {
        (_, 0) => Expression::empty(),
        (0, _) => items.optional(),
        _ => items,
    };
    Expression::literal(open).then(items).then(Expression::literal(close))
}

/// A string of so many characters.
pub fn string(least: u32, most: u32) -> Expression {
    let quote = Expression::literal(b"\"");
    quote.clone().then(CHARACTER.clone().repeated(least, most)).then(quote)
}

/// A string that follows this pattern.
pub fn patterned(pattern: Pattern) -> Expression {
    Expression::literal(b"\"").then(Expression::pattern(pattern))
}

/// A whole number.
pub fn integer() -> Expression {
    Expression::either([Expression::literal(b"0"), Expression::literal(b"-").optional().then(natural())])
}

/// A number, perhaps with a fraction.
pub fn number() -> Expression {
    let whole = Expression::either([Expression::literal(b"0"), natural()]);
    let fraction = Expression::literal(b".").then(digit().repeated(1, DECIMALS));
    Expression::literal(b"-").optional().then(whole).then(fraction.optional())
}

fn natural() -> Expression {
    Expression::byte(Bytes::range(b'1', b'9')).then(digit().repeated(0, DIGITS - 1))
}

fn digit() -> Expression {
    Expression::byte(Bytes::range(b'0', b'9'))
}

/// `true` or `false`.
pub fn boolean() -> Expression {
    Expression::either([Expression::literal(b"true"), Expression::literal(b"false")])
}

/// `null`.
pub fn null() -> Expression {
    Expression::literal(b"null")
}

/// What stands between two items.
pub fn comma() -> Expression {
    Expression::literal(b",").then(Expression::literal(b" ").optional())
}

/// What stands between key and value.
pub fn colon() -> Expression {
    Expression::literal(b":").then(Expression::literal(b" ").optional())
}

/// Exactly this value, blanks between its parts aside.
pub fn constant(value: &Value) -> Expression {
    match value {
        Value::Array(items) => tuple(items.iter().map(constant)),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                let key = Value::String(key.clone()).to_string();
                Expression::literal(key.as_bytes()).then(colon()).then(constant(value))
            };
            bracketed(b"{", members.iter().map(member), b"}")
        }
        plain => Expression::literal(plain.to_string().as_bytes()),
    }
}

/// A list of just these items.
pub fn tuple(items: impl Iterator<Item = Expression>) -> Expression {
    bracketed(b"[", items, b"]")
}

fn bracketed(open: &[u8], items: impl Iterator<Item = Expression>, close: &[u8]) -> Expression {
    let all = items.fold(None, |all: Option<Expression>, item| match all {
        None => Some(item),
        Some(all) => Some(all.then(comma()).then(item)),
    });
    Expression::literal(open).then(all.unwrap_or_else(Expression::empty)).then(Expression::literal(close))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn matches(expression: &Expression, text: &[u8]) -> bool {
        text.iter().fold(expression.clone(), |left, byte| left.after(*byte)).matches_empty()
    }

    #[test]
    fn values_of_every_type_match_and_what_is_no_json_does_not() {
        let any = Expression::value(DEPTH);
        for text in [r#""a\"bé🦀""#, "-0.5", "12", "true", "null", "[]", "[1, [2,3]]", r#"{"a": {"b":[]}, "c":1}"#] {
            assert!(matches(&any, text.as_bytes()), "{text}");
        }
        for text in ["", "01", "1.", "--1", "[1,]", "{a:1}", "[1 ,2]", "\"a\nb\"", "tru", "[[[[[1]]]]]"] {
            assert!(!matches(&any, text.as_bytes()), "{text}");
        }
        assert!(!matches(&integer(), b"-0") && matches(&integer(), b"-10"));
    }

    #[test]
    fn bounds_hold() {
        let two = list(&integer(), (2, 2));
        assert!(matches(&two, b"[1, 2]") && !matches(&two, b"[1]") && !matches(&two, b"[1,2,3]"));
        assert!(matches(&list(&integer(), (0, 0)), b"[]") && !matches(&list(&integer(), (0, 0)), b"[1]"));
        let short = string(1, 2);
        assert!(matches(&short, "\"é🦀\"".as_bytes()) && !matches(&short, b"\"\"") && !matches(&short, b"\"abc\""));
    }

    #[test]
    fn a_constant_is_itself_with_or_without_blanks() {
        let constant = constant(&json!({"a": [1, "x"], "b": null}));
        assert!(matches(&constant, br#"{"a": [1, "x"], "b": null}"#));
        assert!(matches(&constant, br#"{"a":[1,"x"],"b":null}"#));
        assert!(!matches(&constant, br#"{"a":[1,"y"],"b":null}"#));
    }

    proptest! {
        #[test]
        fn whatever_matches_a_string_is_a_string(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let quoted = [b"\"", bytes.as_slice(), b"\""].concat();
            if matches(&string(0, LONGEST_STRING), &quoted) {
                prop_assert!(serde_json::from_slice::<String>(&quoted).is_ok());
            }
        }

        #[test]
        fn every_text_is_matched_as_a_string(text in "\\PC{0,20}") {
            prop_assert!(matches(&string(0, LONGEST_STRING), json!(text).to_string().as_bytes()));
        }
    }
}
