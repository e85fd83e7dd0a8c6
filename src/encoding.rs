//! Encodings of text: what is taken for UTF-16, and what to do about it.
//!
//! Layer 1, pure. Windows' older shell writes UTF-16 where output is redirected into a file, and its editor may.

/// What to do with a file in UTF-16, as the end of a message.
pub const UTF_16: &str = "it is UTF-16: save it as UTF-8, or convert it with `iconv -f UTF-16 -t UTF-8`";

/// Whether text begins as UTF-16 does: with its mark, or with a character of which one of the two bytes is zero.
pub fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..])
}

/// Text in UTF-8 or UTF-16, without its mark; `None` where it is neither.
pub fn text_of(bytes: &[u8]) -> Option<String> {
    let text = if is_utf16(bytes) {
        let unit: fn([u8; 2]) -> u16 =
            if matches!(bytes, [0xFE, 0xFF, ..] | [0, ..]) { u16::from_be_bytes } else { u16::from_le_bytes };
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()?
    } else {
        std::str::from_utf8(bytes).ok()?.to_owned()
    };
    Some(text.trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_every_encoding_that_editors_write_and_without_its_mark() {
        let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for text in ["sk-1\r\n", "\u{feff}sk-1\r\n"] {
            for bytes in [text.as_bytes().to_vec(), utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes)] {
                assert_eq!(text_of(&bytes).unwrap(), "sk-1\r\n", "{bytes:?}");
            }
        }
        assert_eq!((text_of(b"").unwrap().as_str(), text_of(b"d\xE9j\xE0")), ("", None));
    }

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
