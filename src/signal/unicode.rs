//! Normal forms of Unicode: one text in several spellings, which look alike and mean the same.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// Whether a text is in the composed form (NFC).
pub fn is_composed(text: &str) -> bool {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => true,
        IsNormalized::No => false,
        IsNormalized::Maybe => text.nfc().eq(text.chars()),
    }
}

/// Whether a text has characters that can be spelt in two ways.
pub fn has_two_forms(text: &str) -> bool {
    !text.is_ascii() && text.nfd().ne(text.nfc())
}

/// The text in the composed form (NFC), in which texts are equal that differ in nothing but their spelling.
pub fn composed(text: &str) -> Cow<'_, str> {
    if is_composed(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_text_in_two_forms_is_one_text() {
        let (composed_form, decomposed) = ("caf\u{e9}", "cafe\u{301}");
        assert!(is_composed(composed_form) && !is_composed(decomposed) && is_composed(""));
        assert_eq!(composed(decomposed), composed_form);
        assert!(has_two_forms(composed_form) && has_two_forms(decomposed) && !has_two_forms("猫 cafe"));
    }

    proptest! {
        #[test]
        fn what_is_composed_stays_so(text in "\\PC{0,40}") {
            let once = composed(&text).into_owned();
            prop_assert!(is_composed(&once));
            prop_assert_eq!(&composed(&once), &once);
        }
    }
}
