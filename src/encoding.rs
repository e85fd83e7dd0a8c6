//! Encodings of text files: what is taken for UTF-16, and what to do about it.
//!
//! Layer 1, pure. Windows' older shell writes UTF-16 where output is redirected into a file.

/// What to do with a file in UTF-16, as the end of a message.
pub const UTF_16: &str = "it is UTF-16: save it as UTF-8, or convert it with `iconv -f UTF-16 -t UTF-8`";

/// Whether text begins as UTF-16 does: with its mark, or with a character of which one of the two bytes is zero.
pub fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_known_with_and_without_its_mark_and_nothing_else_is_taken_for_it() {
        let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for text in ["{\"a\":1}", "\u{feff}{}"] {
            assert!(is_utf16(&utf16(text, u16::to_le_bytes)) && is_utf16(&utf16(text, u16::to_be_bytes)), "{text}");
        }
        for text in ["", "{}", "\u{feff}{}", "\0\0\0\0", "déjà"] {
            assert!(!is_utf16(text.as_bytes()), "{text:?}");
        }
    }
}
