//! Scripts: which writing systems a text has letters of, beyond Latin.
//!
//! Pure. Latin and Greek are left out: Latin is everywhere, and single Greek letters are symbols in any language.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::RegexSet;

/// The scripts that are looked for, by their names in Unicode.
const SCRIPTS: [&str; 24] = [
    "Arabic",
    "Armenian",
    "Bengali",
    "Cyrillic",
    "Devanagari",
    "Ethiopic",
    "Georgian",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Kannada",
    "Katakana",
    "Khmer",
    "Lao",
    "Malayalam",
    "Myanmar",
    "Sinhala",
    "Tamil",
    "Telugu",
    "Thai",
    "Tibetan",
];

/// One pattern a script. The names are constants, and a test compiles them.
static PATTERNS: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSet::new(SCRIPTS.map(|name| format!(r"\p{{{name}}}"))).unwrap_or_default());

/// The scripts of which a text has at least one letter.
pub fn scripts(text: &str) -> BTreeSet<&'static str> {
    if text.is_ascii() {
        return BTreeSet::new();
    }
    PATTERNS.matches(text).into_iter().map(|i| SCRIPTS[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_is_told_by_its_letters_and_latin_and_symbols_by_none() {
        assert_eq!(PATTERNS.len(), SCRIPTS.len());
        assert_eq!(Vec::from_iter(scripts("a cat 猫 คน")), ["Han", "Thai"]);
        assert_eq!(Vec::from_iter(scripts("кот")), ["Cyrillic"]);
        assert!(scripts("naïve café, π ≈ 3.14 — “yes” 🙂 \u{fffd}").is_empty());
    }
}
