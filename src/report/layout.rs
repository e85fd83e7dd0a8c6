//! Layout: colours, columns and line breaks for a screen of characters.
//!
//! Layer 4, pure. Works on text that is escaped already; widths are those of the screen, where some characters take two
//! places. Whether colours are wanted is a parameter: nothing here looks at a terminal.

use console::Style;

/// Whether colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paint {
    /// Characters only.
    #[default]
    Plain,
    /// ANSI colours.
    Ansi,
}

/// What a piece of text is, from which its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    Text,
    /// A heading.
    Heading,
    /// Of less importance.
    Faint,
    /// As it should be.
    Good,
    /// Drift.
    Bad,
    /// Undecided.
    Open,
    /// Not measured.
    Missing,
    /// Text that only the reference has.
    Removed,
    /// Text that only the endpoint has.
    Added,
}

impl Paint {
    /// The text in the colour of its tone.
    pub fn apply(self, tone: Tone, text: &str) -> String {
        if self == Self::Plain || tone == Tone::Text || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Text => Style::new(),
            Tone::Heading => Style::new().bold(),
            Tone::Faint => Style::new().dim(),
            Tone::Good | Tone::Added => Style::new().green(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Removed => Style::new().red(),
            Tone::Open => Style::new().yellow(),
            Tone::Missing => Style::new().magenta(),
        };
        style.force_styling(true).apply_to(text).to_string()
    }
}

/// Places that the text takes on the screen.
pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// A cell of a column: padded at the right, and cut with an ellipsis where it is too wide.
pub fn left(text: &str, columns: usize) -> String {
    console::pad_str(text, columns, console::Alignment::Left, Some("…")).into_owned()
}

/// A cell of a column: padded at the left.
pub fn right(text: &str, columns: usize) -> String {
    console::pad_str(text, columns, console::Alignment::Right, Some("…")).into_owned()
}

/// A run of text in one tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub tone: Tone,
    /// The text, escaped.
    pub text: String,
}

/// A cell of a column: padded at the right, and cut in the middle where it is too wide, since names often differ at the end.
pub fn name(text: &str, columns: usize) -> String {
    if width(text) <= columns || columns < 5 {
        return left(text, columns);
    }
    let (head, tail) = (columns / 2, columns - columns / 2 - 1);
    let mut used = 0;
    let end = text.char_indices().rev().take_while(|&(_, c)| {
        used += char_width(c);
        used <= tail
    });
    let end = end.last().map_or(text.len(), |(at, _)| at);
    left(&(console::truncate_str(text, head, "").into_owned() + "…" + &text[end..]), columns)
}

/// Breaks text at spaces, or anywhere where a word is too long, into lines of at most this width; always at least one line. What stands
/// in backquotes is to be copied, and stays in one line where it fits into one.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    wrap_spans(&[Span { tone: Tone::Text, text: text.to_owned() }], columns, Paint::Plain)
}

/// Likewise for spans; colours begin and end within a line, so that whatever stands before a line keeps its own.
pub fn wrap_spans(spans: &[Span], columns: usize, paint: Paint) -> Vec<String> {
    let places: Vec<Place> = spans.iter().flat_map(|s| s.text.chars().map(|c| (c, s.tone))).collect();
    let mut lines = Vec::new();
    let mut rest = places.as_slice();
    loop {
        let (now, later) = break_off(rest, columns.max(2));
        lines.push(painted(now, paint));
        if later.is_empty() {
            return lines;
        }
        rest = later;
    }
}

/// The first of these lines; where some are left out, the last says so.
pub fn at_most(mut lines: Vec<String>, most: usize, columns: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.pop() {
            lines.push(left(&format!("{} …", last.trim_end()), columns).trim_end().to_owned());
        }
    }
    lines
}

/// A character in its tone.
type Place = (char, Tone);

/// The places that fit into a line, and what comes after.
fn break_off(places: &[Place], columns: usize) -> (&[Place], &[Place]) {
    let (mut used, mut space, mut code_end) = (0, None, 0);
    for (at, &(c, _)) in places.iter().enumerate() {
        used += char_width(c);
        if c == '`' && at >= code_end {
            code_end = at + code(&places[at..], columns);
        }
        let parts = c == ' ' && at > 0 && at >= code_end;
        if parts && !binds(places[at - 1].0, places.get(at + 1).map(|next| next.0)) {
            if used > columns {
                return (&places[..at], &places[at + 1..]);
            }
            space = Some(at);
        }
        if used > columns {
            return match space {
                Some(space) => (&places[..space], &places[space + 1..]),
                None => places.split_at(at),
            };
        }
    }
    (places, &[])
}

/// How many places there are from a backquote to the next, both counted; none where that is more than fits into a line.
fn code(places: &[Place], columns: usize) -> usize {
    let closing = places.iter().skip(1).take(columns).position(|place| place.0 == '`');
    let length = closing.map_or(0, |inside| inside + 2);
    let width: usize = places[..length].iter().map(|place| char_width(place.0)).sum();
    if width <= columns { length } else { 0 }
}

/// Whether what stands on both sides of a space belongs together, as in `p = 0.01` and `5 %`.
fn binds(before: char, after: Option<char>) -> bool {
    matches!(before, '=' | '<') || matches!(after, Some('=' | '<' | '%'))
}

fn char_width(c: char) -> usize {
    match c {
        // U+FE0F makes some characters before it wider; at worst a line is a place shorter than it could be.
        ' '..='~' | '\u{fe0f}' => 1,
        _ => width(c.encode_utf8(&mut [0; 4])),
    }
}

fn painted(places: &[Place], paint: Paint) -> String {
    places
        .chunk_by(|a, b| a.1 == b.1)
        .map(|run| paint.apply(run[0].1, &run.iter().map(|&(c, _)| c).collect::<String>()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("a abcdefghij", 5), ["a", "abcde", "fghij"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("so p = 0.01", 8), ["so", "p = 0.01"], "an equation stays whole");
    }

    #[test]
    fn what_is_to_be_copied_stays_in_one_line_where_it_fits() {
        assert_eq!(wrap("see `ulimit -n` for it", 14), ["see", "`ulimit -n`", "for it"]);
        assert_eq!(wrap("see `a b` and `c d`", 10), ["see `a b`", "and `c d`"]);
        assert_eq!(wrap("`one two three`", 8), ["`one two", "three`"], "it is too long");
        assert_eq!(wrap("one ` two three", 9), ["one ` two", "three"], "it is no pair");
    }

    #[test]
    fn lines_that_are_left_out_leave_a_mark_within_the_columns() {
        let lines = |most| at_most(["one", "two", "three"].map(str::to_owned).to_vec(), most, 5);
        assert_eq!(
            (lines(3), lines(2)),
            (vec!["one".into(), "two".into(), "three".into()], vec!["one".into(), "two …".into()])
        );
        assert_eq!(at_most(vec!["abcde".to_owned(), "f".to_owned()], 1, 5), ["abcd…"]);
    }

    #[test]
    fn characters_of_double_width_count_twice() {
        assert_eq!(wrap("日本語日本語", 6), ["日本語", "日本語"]);
        assert_eq!((left("日本", 6).as_str(), left("日本語", 5).as_str()), ("日本  ", "日本…"));
    }

    #[test]
    fn long_names_keep_their_beginning_and_their_end() {
        assert_eq!(name("deepinfra-turbo", 9), "deep…urbo");
        assert_eq!(name("日本語日本語", 8), "日本…語 ");
        assert_eq!(name("novita", 8), "novita  ");
    }

    #[test]
    fn colours_end_with_the_line() {
        let spans = [Span { tone: Tone::Removed, text: "ab cd".into() }];
        assert_eq!(wrap_spans(&spans, 2, Paint::Ansi), ["\x1b[31mab\x1b[0m", "\x1b[31mcd\x1b[0m"]);
        assert_eq!(wrap_spans(&spans, 2, Paint::Plain), ["ab", "cd"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_character_is_lost(text in "[a-c日é` ]{0,60}", columns in 2_usize..20) {
            let lines = wrap(&text, columns);
            for line in &lines {
                prop_assert!(width(line.trim_end()) <= columns, "{line:?}");
            }
            let squeeze = |s: &str| s.replace(' ', "");
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
        }
    }
}
