//! Text that survives review: everything in it is seen, nothing in it acts, and not a byte of it is lost.
//!
//! Part of layer 3's snapshots, pure. Unlike what reports show, this can be read back.

use std::fmt::Write as _;

use crate::visible::{MOST_MARKS, is_hidden, is_mark};

/// One line in which every character is seen. A backslash doubles; what is not seen, or acts, becomes `\n`, `\r`, `\t` or
/// `\u{…}`, and so does a space at the end, which editors like to take away.
pub(super) fn escape(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut marks = MOST_MARKS;
    for c in line.chars() {
        let shown_on_the_last = is_mark(c) && marks < MOST_MARKS;
        marks = if shown_on_the_last { marks + 1 } else { 0 };
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if is_hidden(c) || (is_mark(c) && !shown_on_the_last) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                // A mark after this would be seen on our own brace.
                marks = MOST_MARKS;
            }
            _ => out.push(c),
        }
    }
    if out.ends_with(char::is_whitespace) {
        let last = out.pop().map_or(0, u32::from);
        let _ = write!(out, "\\u{{{last:x}}}");
    }
    out
}

/// The line that [`escape`] was given, or what is wrong.
pub(super) fn unescape(escaped: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        match after.next() {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (c, remaining) = code_point(after.as_str())?;
                out.push(c);
                rest = remaining;
                continue;
            }
            Some(_) => return Err("a backslash must be followed by another, or by n, r, t or u{…}"),
            None => return Err("it ends within an escape"),
        }
        rest = after.as_str();
    }
    out.push_str(rest);
    Ok(out)
}

/// The character whose number stands in braces, and what follows.
fn code_point(text: &str) -> Result<(char, &str), &'static str> {
    let inside = text.strip_prefix('{').ok_or("`\\u` must be followed by a number in braces")?;
    let (digits, rest) = inside.split_once('}').ok_or("the brace after `\\u` is never closed")?;
    let number = u32::from_str_radix(digits, 16).map_err(|_| "the number after `\\u` is not hexadecimal")?;
    Ok((char::from_u32(number).ok_or("the number after `\\u` is no character's")?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_is_shown_and_what_is_harmless_is_left_alone() {
        assert_eq!(escape("naïve 日本語 🦙 C:\\x"), "naïve 日本語 🦙 C:\\\\x");
        assert_eq!(escape("\x1b[2J\u{202e}a\tb "), "\\u{1b}[2J\\u{202e}a\\tb\\u{20}");
        assert_eq!(escape("e\u{301}"), "e\u{301}");
        assert_eq!(escape("\u{301}e"), "\\u{301}e", "a mark at the start would be seen on what stands before");
    }

    #[test]
    fn a_broken_escape_says_what_is_wrong() {
        for (text, part) in
            [("\\", "ends"), ("\\x", "backslash"), ("\\u1", "braces"), ("\\u{1", "closed"), ("\\u{110000}", "no char")]
        {
            assert!(unescape(text).unwrap_err().contains(part), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was_and_is_seen_whole(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert_eq!(unescape(&escaped).unwrap(), text);
            prop_assert!(!escaped.chars().any(is_hidden));
            prop_assert_eq!(escaped.trim_end(), escaped.as_str());
        }

        #[test]
        fn any_line_is_read_or_refused(line in any::<String>()) {
            let _ = unescape(&line);
        }
    }
}
