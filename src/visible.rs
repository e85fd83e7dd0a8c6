//! Which characters are seen, and which act without being seen.
//!
//! Layer 1. Whatever a host said is hostile; what shows it or keeps it in a file that people read asks here.

use unicode_width::UnicodeWidthChar as _;

/// Most combining marks that are shown on one character; no orthography needs more, and piles of them cover other lines.
pub const MOST_MARKS: usize = 3;

/// Whether it takes no place of its own but is seen on the character before it. U+FE0F asks for the coloured form of an emoji.
pub fn is_mark(c: char) -> bool {
    c == '\u{fe0f}' || (!c.is_ascii() && !is_hidden(c) && c.width() == Some(0))
}

/// Whether it is not seen, or acts on what is: control and format characters, characters that renderers ignore by default,
/// separators of lines and paragraphs, and non-characters.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
