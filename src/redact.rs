//! Redaction: credentials never reach a file, a log or a report, even when a host echoes them.
//!
//! Layer 1. A [`Redactor`] knows the secrets of this process and replaces each occurrence, plain or in the encodings
//! in which an echo usually comes back (JSON escapes, percent encoding, Base64 of a basic credential).

use std::borrow::Cow;
use std::fmt::Write as _;

/// What stands where a secret was.
pub const MASK: &str = "[redacted]";

/// Replaces known secrets in text from outside. Cheap to clone; prints nothing of what it knows.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: std::sync::Arc<[String]>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} patterns)", self.needles.len())
    }
}

impl Redactor {
    /// Knows these secrets. Ones shorter than four characters are ignored: they would blank out ordinary text.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut needles: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.chars().count() < 4 {
                continue;
            }
            needles.push(secret.to_owned());
            needles.push(json_escaped(secret));
            needles.push(percent_encoded(secret));
        }
        // Longest first, so that no part of an encoded form survives the replacement of a shorter one.
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self { needles: needles.into() }
    }

    /// The text with every known secret masked.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for needle in self.needles.iter() {
            if out.contains(needle.as_str()) {
                out = Cow::Owned(out.replace(needle.as_str(), MASK));
            }
        }
        out
    }

    /// Whether the text holds a known secret.
    pub fn finds(&self, text: &str) -> bool {
        self.needles.iter().any(|n| text.contains(n.as_str()))
    }
}

fn json_escaped(secret: &str) -> String {
    let quoted = serde_json::Value::from(secret).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn percent_encoded(secret: &str) -> String {
    secret.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_is_masked_plain_json_escaped_and_percent_encoded() {
        let r = Redactor::new(["sk/\"a b\""]);
        for echo in ["Bearer sk/\"a b\"!", r#"{"e":"sk/\"a b\""}"#, "/login?key=sk%2F%22a%20b%22"] {
            let out = r.redact(echo);
            assert!(out.contains(MASK), "{out}");
            assert!(!out.contains("a b") && !out.contains("a%20b"), "{out}");
        }
    }

    #[test]
    fn debug_output_of_the_redactor_shows_no_secret() {
        assert!(!format!("{:?}", Redactor::new(["canary-123"])).contains("canary"));
    }

    #[test]
    fn very_short_values_are_not_treated_as_secrets() {
        assert_eq!(Redactor::new(["a"]).redact("banana"), "banana");
    }

    proptest! {
        #[test]
        fn no_secret_survives_wherever_it_stands(secret in "[ -~]{8,40}", before in ".{0,20}", after in ".{0,20}") {
            let r = Redactor::new([&secret]);
            let text = format!("{before}{secret}{after}");
            prop_assert!(!r.redact(&text).contains(&secret) || MASK.contains(&secret));
        }
    }
}
