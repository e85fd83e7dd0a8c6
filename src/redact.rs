//! Redaction: credentials never reach a file, a log or a report, even when a host echoes them.
//!
//! Layer 1. A [`Redactor`] knows the secrets of this process and masks each occurrence in text from outside:
//!
//! - the secret as it is;
//! - its Base64, standard or URL-safe, alone or at any place within what was encoded, as in `Basic` credentials: all
//!   characters that the secret determines alone, which leaves at most a few bits of its first and last byte;
//! - either of them under JSON escapes (`\u0073`, `\/`, `\"`, `\\`) or percent encoding, each character escaped or not and
//!   in either case of hexadecimal digits, up to [`DEPTH`] layers deep.
//!
//! Not seen are secrets that are broken up (as by lines, or by the events of a stream), reversed, encrypted, or in another
//! encoding. The work is linear in the text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::{Finder, find};

/// What stands where a secret was.
pub const MASK: &str = "[redacted]";

/// How many layers of escapes are seen through: JSON in a JSON string in a query, and no more.
pub const DEPTH: usize = 3;

/// The shortest secret, in characters: anything shorter would blank out ordinary text.
const SHORTEST: usize = 4;

/// Replaces known secrets in text from outside. Cheap to clone; prints nothing of what it knows.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: std::sync::Arc<[Finder<'static>]>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} patterns)", self.needles.len())
    }
}

impl Redactor {
    /// Knows these secrets. Ones shorter than four characters are ignored: they would blank out ordinary text.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut needles = BTreeSet::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.chars().count() >= SHORTEST {
                needles.insert(secret.to_owned());
                needles.extend((0..3).flat_map(|before| base64_cores(secret.as_bytes(), before)));
            }
        }
        Self { needles: needles.iter().map(|needle| Finder::new(needle).into_owned()).collect() }
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

    /// Tells the place in `text` of each occurrence of each needle, under whatever escapes.
    fn visit(&self, text: &str, found: &mut dyn FnMut(Range<usize>) -> Visit) {
        if self.needles.is_empty() {
            return;
        }
        let mut views = vec![View::of(text)];
        for depth in 0..=DEPTH {
            let mut next = Vec::new();
            for view in &views {
                for needle in self.needles.iter() {
                    for start in needle.find_iter(&view.bytes) {
                        let range = view.source(start)..view.source(start + needle.needle().len());
                        if let Visit::Stop = found(range) {
                            return;
                        }
                    }
                }
                if depth < DEPTH {
                    next.extend(Escape::ALL.into_iter().filter_map(|escape| view.without(escape)));
                }
            }
            views = next;
        }
    }
}

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

/// The characters of a Base64 text that this secret alone determines when `before` bytes (0 to 2) of its first group of
/// three belong to something else; in the standard and in the URL-safe alphabet.
fn base64_cores(secret: &[u8], before: usize) -> Vec<String> {
    let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
    // A character holds six bits: those that touch a foreign byte are left out on either side.
    let first = (before * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)]
        .into_iter()
        .map(|text| text[first.min(last)..last].to_owned())
        .filter(|core| core.len() >= SHORTEST)
        .collect()
}

/// A kind of escape that text may stand under.
#[derive(Debug, Clone, Copy)]
enum Escape {
    /// Backslashes, as in a JSON string.
    Json,
    /// `%` and two hexadecimal digits, as in a URL.
    Percent,
}

impl Escape {
    const ALL: [Self; 2] = [Self::Json, Self::Percent];

    fn marker(self) -> &'static [u8] {
        match self {
            Self::Json => b"\\",
            Self::Percent => b"%",
        }
    }

    /// What the escape at the beginning of `bytes` stands for, in UTF-8, and its length; `None` when there is none.
    fn read(self, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        match (self, bytes) {
            (Self::Percent, [b'%', high, low, ..]) => Some((vec![hex(&[*high, *low])? as u8], 3)),
            (Self::Json, [b'\\', c @ (b'"' | b'\\' | b'/'), ..]) => Some((vec![*c], 2)),
            (Self::Json, [b'\\', b'u', a, b, c, d, ..]) => {
                let character = char::from_u32(hex(&[*a, *b, *c, *d])?)?;
                Some((character.to_string().into_bytes(), 6))
            }
            _ => None,
        }
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))
}

/// Text under fewer escapes than the original, and where each of its bytes stood there.
struct View<'a> {
    bytes: Cow<'a, [u8]>,
    /// For each byte its place in the original, then the original's length; nothing for the original itself.
    sources: Option<Vec<usize>>,
}

impl<'a> View<'a> {
    fn of(text: &'a str) -> Self {
        Self { bytes: Cow::Borrowed(text.as_bytes()), sources: None }
    }

    fn source(&self, index: usize) -> usize {
        self.sources.as_ref().map_or(index, |sources| sources[index])
    }

    /// The same with one layer of this escape read; `None` when there is none.
    fn without(&self, escape: Escape) -> Option<Self> {
        find(&self.bytes, escape.marker())?;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut sources = Vec::with_capacity(self.bytes.len() + 1);
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let source = self.source(at);
            if let Some((read, length)) = escape.read(&self.bytes[at..]) {
                sources.extend(std::iter::repeat_n(source, read.len()));
                bytes.extend(read);
                at += length;
            } else {
                sources.push(source);
                bytes.push(byte);
                at += 1;
            }
        }
        sources.push(self.source(self.bytes.len()));
        (bytes.len() < self.bytes.len()).then_some(Self { bytes: Cow::Owned(bytes), sources: Some(sources) })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    const SECRET: &str = "sk/\"a+b\"?Zq7";

    #[test]
    fn a_secret_is_masked_plain_escaped_and_percent_encoded_with_the_text_around_it_kept() {
        let redactor = Redactor::new([SECRET]);
        for (echo, expected) in [
            ("Bearer sk/\"a+b\"?Zq7!", "Bearer [redacted]!"),
            (r#"{"e":"é sk/\"a+b\"?Zq7 ü"}"#, r#"{"e":"é [redacted] ü"}"#),
            (r#"{"e":"sk\/\"a+b\"?\u005aq7"}"#, r#"{"e":"[redacted]"}"#),
            (r#"{"e":"{\"f\":\"sk\\\/\\\"a+b\\\"?Zq7\"}"}"#, r#"{"e":"{\"f\":\"[redacted]\"}"}"#),
            ("/login?key=sk%2F%22a%2Bb%22%3FZq7&x=1", "/login?key=[redacted]&x=1"),
            ("/login?key=%73k%2f%22a+b%22?Zq7", "/login?key=[redacted]"),
            ("sk/\"a+b\"?Zq7sk/\"a+b\"?Zq7", "[redacted][redacted]"),
        ] {
            assert_eq!(redactor.redact(echo), expected);
            assert!(redactor.finds(echo));
        }
    }

    #[test]
    fn base64_is_masked_wherever_the_secret_stands_in_what_was_encoded() {
        let redactor = Redactor::new([SECRET]);
        for user in ["", "u", "us", "user:", "Bearer "] {
            let encoded = STANDARD.encode(format!("{user}{SECRET}:end"));
            let left = redactor.redact(&encoded).into_owned();
            assert!(left.contains(MASK) && left.len() <= encoded.len() - 12 + MASK.len(), "{encoded} became {left}");
        }
    }

    #[test]
    fn text_without_a_secret_is_handed_back_as_it_is() {
        let text = r"100 % of \u00e9 and \\ and %zz, c2svImErYg==, %";
        assert!(matches!(Redactor::new([SECRET]).redact(text), Cow::Borrowed(same) if same == text));
        assert!(!Redactor::default().finds(SECRET));
    }

    #[test]
    fn debug_output_of_the_redactor_shows_no_secret() {
        assert!(!format!("{:?}", Redactor::new(["canary-123"])).contains("canary"));
    }

    #[test]
    fn very_short_values_are_not_treated_as_secrets() {
        assert_eq!(Redactor::new(["a"]).redact("banana"), "banana");
    }

    /// The secret with each character escaped or not, as the choices say.
    fn escaped(text: &str, choices: &[u8], escape: Escape) -> String {
        text.chars().zip(choices.iter().cycle()).fold(String::new(), |mut out, (c, choice)| {
            let code = u32::from(c);
            let _ = match (escape, choice % 3) {
                (Escape::Json, 0) => write!(out, "\\u{code:04x}"),
                (Escape::Json, 1) => write!(out, "\\u{code:04X}"),
                (Escape::Json, _) if "\"\\/".contains(c) => write!(out, "\\{c}"),
                (Escape::Percent, 0) => write!(out, "%{code:02x}"),
                (Escape::Percent, 1) => write!(out, "%{code:02X}"),
                (Escape::Percent, _) if c == '%' => write!(out, "%25"),
                _ => write!(out, "{c}"),
            };
            out
        })
    }

    proptest! {
        #[test]
        fn no_secret_survives_wherever_it_stands(secret in "[ -~]{8,40}", before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let redactor = Redactor::new([&secret]);
            let text = format!("{before}{secret}{after}");
            let out = redactor.redact(&text);
            prop_assert!(!out.contains(&secret) || MASK.contains(&secret));
            prop_assert!(out.contains(MASK));
        }

        #[test]
        fn no_secret_survives_under_any_mixture_of_escapes(
            secret in "[!-~]{8,40}", choices in prop::collection::vec(0_u8..3, 1..9), layers in prop::collection::vec(any::<bool>(), 0..=DEPTH),
        ) {
            let mut echo = secret.clone();
            for json in layers {
                echo = escaped(&echo, &choices, if json { Escape::Json } else { Escape::Percent });
            }
            let text = format!("é {echo} ü");
            prop_assert_eq!(Redactor::new([&secret]).redact(&text), "é [redacted] ü");
        }

        #[test]
        fn no_base64_of_a_secret_survives(secret in "[!-~]{8,40}", before in "[!-~]{0,5}", after in "[!-~]{0,5}") {
            let redactor = Redactor::new([&secret]);
            for engine in [&STANDARD, &URL_SAFE] {
                let encoded = engine.encode(format!("{before}{secret}{after}"));
                let left = redactor.redact(&encoded).replacen(MASK, "", 1);
                // What is left is what belongs to the text around, and a character on either side.
                let around = (before.len() + after.len()) * 8 / 6 + 6;
                prop_assert!(left.len() <= around, "{} became {}", encoded, left);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "(\\PC|[\\\\%u0-9a-f]){0,60}") {
            let out = Redactor::new(["abcd", "1%41", "\\u0"]).redact(&text).into_owned();
            prop_assert!(!out.contains("abcd"));
        }
    }
}
