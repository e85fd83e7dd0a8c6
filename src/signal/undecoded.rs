//! Texts that were not decoded: tokens as a tokenizer keeps them, and UTF-8 that was read as another encoding.
//!
//! The letters in which tokenizers write spaces and bytes are letters of languages too, and stand in drawings of bars. Where one
//! stands tells them apart, though not for sure: a text on tokenizers has them as well, so that it takes a contrast with the reference.

/// How byte-level tokenizers write a space and a line feed.
const BYTE_LEVEL: [char; 2] = [SPACE, LINE_FEED];

const SPACE: char = '\u{120}';

const LINE_FEED: char = '\u{10a}';

/// How `SentencePiece` writes a space.
const PIECE: char = '\u{2581}';

/// The first token in a text that was not decoded, in words.
pub fn first_token(text: &str) -> Option<&'static str> {
    let chars: Vec<char> = text.chars().collect();
    let mark = (0..chars.len()).find_map(|at| Place { chars: &chars, at }.undecoded());
    mark.or_else(|| ends_words(text).then_some("`</w>` for the end of a word"))
}

/// The beginnings of quotation marks, dashes and dots that were read as Windows-1252.
const MISREAD: [&str; 6] = ["â€™", "â€œ", "â€\u{9d}", "â€“", "â€”", "â€¦"];

/// Whether UTF-8 stands in a text as if each of its bytes were a letter.
pub fn is_misread(text: &str) -> bool {
    // Behind a word in capitals there may be a quotation mark.
    let is_second = |c: char| ('\u{a1}'..='\u{bf}').contains(&c) && !matches!(c, '«' | '»');
    let mut pairs = text.chars().zip(text.chars().skip(1));
    pairs.any(|(first, next)| first == 'Ã' && is_second(next)) || MISREAD.iter().any(|seen| text.contains(seen))
}

/// The mark that ends a word in the oldest of these tokenizers. It is a tag where words are marked up.
fn ends_words(text: &str) -> bool {
    text.contains("</w>") && !text.contains("<w>") && !text.contains("<w ")
}

/// A character of a text, where it stands.
struct Place<'a> {
    chars: &'a [char],
    at: usize,
}

impl Place<'_> {
    /// So many characters on.
    fn next(&self, by: usize) -> Option<char> {
        self.chars.get(self.at + by).copied()
    }

    fn before(&self) -> Option<char> {
        self.at.checked_sub(1).map(|at| self.chars[at])
    }

    /// The token that begins here and was not decoded, in words.
    fn undecoded(&self) -> Option<&'static str> {
        match self.next(0)? {
            SPACE if self.is_byte_level() => Some("`Ġ` for a space"),
            LINE_FEED if self.is_byte_level() => Some("`Ċ` for a line feed"),
            PIECE if self.is_piece() => Some("`▁` for a space"),
            '<' if self.is_byte() => Some("`<0x0A>` for a byte"),
            '\u{e0}'..='\u{ef}' if self.is_character_in_bytes() => Some("`âĢĻ` for a character of three bytes"),
            '\u{f0}' if self.next(1) == Some('\u{141}') => Some("`ðŁ` for a character of four bytes"),
            _ => None,
        }
    }

    /// Whether what comes before is a word or the end of a sentence, with no space behind it.
    fn is_glued(&self) -> bool {
        self.before().is_some_and(|c| {
            c.is_alphanumeric() && !c.is_uppercase() || matches!(c, '.' | ',' | ';' | '!' | '?' | ':' | ')')
        })
    }

    /// Whether a text or a word begins here.
    fn is_first(&self) -> bool {
        self.before().is_none_or(char::is_whitespace)
    }

    /// Whether a capital letter of Maltese is none: it stands for what is between words, and no word is written so.
    fn is_byte_level(&self) -> bool {
        let (next, behind) = (self.next(1), self.next(2));
        let is_initial = self.before() == Some('.') && next == Some('.');
        let is_of_capitals = next.is_some_and(char::is_uppercase) && behind.is_some_and(char::is_lowercase);
        let is_doubled = next.is_some_and(|c| BYTE_LEVEL.contains(&c) || c.is_ascii_digit());
        let is_of_list = self.next(0) == Some(LINE_FEED) && next.is_some_and(|c| matches!(c, '-' | '*' | '#'));
        self.is_glued() && !is_initial || self.is_first() && (is_of_capitals || is_doubled || is_of_list)
    }

    /// Whether a block stands between words, and not among the bars of a drawing.
    fn is_piece(&self) -> bool {
        let is_before_word = self.next(1).is_some_and(char::is_alphanumeric);
        is_before_word && (self.is_glued() || self.before().is_none_or(char::is_uppercase))
    }

    /// Whether a byte stands here as its number: `<0x0A>`.
    fn is_byte(&self) -> bool {
        let are = |from: usize, expected: &str| expected.chars().zip(from..).all(|(c, by)| self.next(by) == Some(c));
        let is_digit = |by: usize| self.next(by).is_some_and(|c| c.is_ascii_digit() || ('A'..='F').contains(&c));
        are(1, "0x") && is_digit(3) && is_digit(4) && self.next(5) == Some('>')
    }

    /// Whether the letters of three bytes stand here that are one character together. Words of no language hold them.
    fn is_character_in_bytes(&self) -> bool {
        let is_letter = |by: usize| self.next(by).is_some_and(|c| ('\u{121}'..='\u{143}').contains(&c));
        let is_sign = |by: usize| self.next(by).is_some_and(|c| ('\u{a1}'..='\u{bf}').contains(&c));
        // Of quotation marks, dashes and dots.
        let is_punctuation = self.next(0) == Some('\u{e2}') && self.next(1) == Some('\u{122}');
        is_letter(2) && (is_letter(1) || is_sign(1)) || is_punctuation && is_sign(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_found_wherever_they_stand_for_something_between_words() {
        for (text, mark) in [
            ("TheĠriverĠholds.", "`Ġ`"),
            ("One space isĠleft in it.", "`Ġ`"),
            ("ĠParis is the capital.", "`Ġ`"),
            ("It is calm.ĊThe river holds.", "`Ċ`"),
            ("Two things:Ċ- the river", "`Ċ`"),
            ("It is calm.ĊĊAnd so.", "`Ċ`"),
            ("The▁river holds", "`▁`"),
            ("▁The river holds", "`▁`"),
            ("It is calm.<0x0A>And so.", "`<0x0A>`"),
            ("The river doesnâĢĻt hold.", "`âĢĻ`"),
            ("He said âĢľyesâĢĿ.", "`âĢĻ`"),
            ("ä½łå¥½", "`âĢĻ`"),
            ("Yes ðŁĺĢ", "`ðŁ`"),
            ("the</w> river</w>", "`</w>`"),
        ] {
            assert!(first_token(text).is_some_and(|found| found.starts_with(mark)), "{text}: {:?}", first_token(text));
        }
    }

    #[test]
    fn words_bars_and_tags_of_the_same_characters_are_no_tokens() {
        for text in [
            "Ġgantija u Ċentru, il-Ġimgħa.",
            "Ġorġ u Ġanni, L-IĠIENE, BIĊĊIET",
            "A, B, Ċ, D, E, F, Ġ, G",
            "P.Ġ. Borg",
            "tokens such as `Ġthe` and \"Ċ\"",
            "load ▁▂▃▁▅ 5%",
            "▁▂▃",
            "WSPÓŁNOTA, pół, »kráľ«, vôľ",
            "a < 0x0A > b, <0x0AFF>",
            "<w>the</w> <w n=\"1\">river</w>",
            "café, São, naïve, it’s",
        ] {
            assert_eq!(first_token(text), None, "{text}");
        }
    }

    #[test]
    fn letters_for_bytes_of_another_encoding_are_told_apart() {
        assert!(is_misread("cafÃ©") && is_misread("itâ€™s"));
        assert!(!is_misread("café, SÃO, it’s 5 €") && !is_misread("ä½łå¥½"));
    }

    proptest! {
        #[test]
        fn any_text_is_searched_without_panic(text in "([ĠĊ▁âĢĻ<0x>A]|\\PC){0,20}") {
            let _ = (first_token(&text), is_misread(&text));
        }
    }
}
