//! Escaping: whatever a host said is hostile, and is made harmless for the place where it is shown.
//!
//! Layer 4. [`line()`] is the common ground: one line in which every character is seen and none acts. The other functions add
//! what is special in one format. Each text is escaped once, at the border of its format. JSON needs none of this: its
//! serialiser escapes, and whoever reads it gets the raw text.

use std::fmt::Write as _;

use crate::visible::{MOST_MARKS, is_hidden, is_mark};

/// Follows a character that would start a mention, a reference or a link on a code host, which then stays plain text.
const BREAK: &str = "&#8203;";

/// One line in which nothing acts on a terminal: line breaks are shown as `⏎`; control characters, overrides of the writing
/// direction, invisible characters and excess combining marks as `\u{…}`.
///
/// No newline, no escape sequence and no character without a place on the screen is in the result, except up to three combining
/// marks after a visible character. It is also free of characters that XML 1.0 forbids, and of `##[`, which the runner of
/// GitHub Actions takes for a command anywhere in a line.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = MOST_MARKS;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => continue,
            '\n' => out.push('⏎'),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '[' if out.ends_with("##") => reveal(&mut out, c),
            _ if is_mark(c) && marks < MOST_MARKS => {
                marks += 1;
                out.push(c);
                continue;
            }
            _ if is_mark(c) || is_hidden(c) => reveal(&mut out, c),
            _ => out.push(c),
        }
        marks = 0;
    }
    out
}

/// The first `most` characters of the line, with an ellipsis where some are missing.
pub fn short_line(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => line(&text[..end]) + "…",
        None => line(text),
    }
}

/// Text within a Markdown paragraph, list item or table cell, though not at its beginning: no markup, no HTML, no formula, no
/// link, no mention, no reference to an issue.
pub fn markdown_text(text: &str) -> String {
    let text = line(text);
    let mut out = String::with_capacity(text.len() * 2);
    for (at, c) in text.char_indices() {
        if c == '.' && at >= 3 && text.as_bytes()[at - 3..at].eq_ignore_ascii_case(b"www") {
            out.push_str(BREAK);
        }
        if "\\`*_[]<>#|~&$@".contains(c) {
            out.push('\\');
        }
        out.push(c);
        if matches!(c, '@' | '#') || text[at..].starts_with("://") {
            out.push_str(BREAK);
        }
    }
    out
}

/// A Markdown code span that holds the text, for paragraphs, lists and table cells; nothing in it is markup.
pub fn markdown_code(text: &str) -> String {
    // A bar ends a table cell even inside of a code span.
    let text = line(text).replace('|', "\\u{7c}");
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    if text.trim().is_empty() {
        return "(empty)".to_owned();
    }
    // Where there is a space on both sides one is taken away again; it keeps backticks at the ends apart from the fence.
    let pad = if text.starts_with([' ', '`']) || text.ends_with([' ', '`']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Text within an HTML element, where Markdown is not read.
pub fn html(text: &str) -> String {
    let text = line(text).replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A fenced Markdown block of these lines, each of which is one line of it; ends with a newline.
pub fn markdown_block(language: &str, lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|l| line(l)).collect();
    let longest = lines.iter().map(|l| longest_run(l, '`')).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

/// The message of a GitHub workflow command; join several by `%0A`.
pub fn workflow_message(text: &str) -> String {
    line(text).replace('%', "%25")
}

/// A property of a GitHub workflow command, such as its title.
pub fn workflow_property(text: &str) -> String {
    workflow_message(text).replace(':', "%3A").replace(',', "%2C")
}

/// A line of a monitoring plugin: `|` would begin performance data.
pub fn nagios(text: &str) -> String {
    line(text).replace('|', "¦")
}

/// A label of performance data, quoted: equals signs and quotes cannot be part of one and become `_`.
pub fn nagios_label(text: &str) -> String {
    let label: String = nagios(text).chars().map(|c| if matches!(c, '=' | '\'') { '_' } else { c }).collect();
    let simple = label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if simple { label } else { format!("'{label}'") }
}

/// A word of a command to copy, quoted where a shell would take it apart.
pub fn shell_word(text: &str) -> String {
    let text = line(text);
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@+,".contains(c) || (cfg!(windows) && c == '\\');
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else if cfg!(windows) {
        // No name of a file has a double quote there.
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn reveal(out: &mut String, c: char) {
    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    #[test]
    fn line_breaks_and_control_characters_are_shown_and_do_nothing() {
        assert_eq!(line("a\nb\r\nc\td\re"), r"a⏎b⏎c\td\re");
        assert_eq!(line("\x1b[31mred\x1b]0;title\x07\u{9b}2J"), r"\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J");
    }

    #[test]
    fn overrides_of_direction_and_invisible_characters_are_shown() {
        assert_eq!(
            line("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{e0041}"),
            r"a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{e0041}"
        );
    }

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        for text in ["naïve café — “quoted”", "日本語のテキスト", "नमस्ते", "สวัสดี", "مرحبا", "🦙 ❤\u{fe0f}", "e\u{301}"]
        {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn piles_of_combining_marks_are_cut_down() {
        assert_eq!(line("e\u{301}\u{301}\u{301}\u{301}"), "e\u{301}\u{301}\u{301}\\u{301}");
        assert_eq!(line("\u{301}e"), "\\u{301}e", "a mark at the start would land on our own text");
    }

    #[test]
    fn the_old_form_of_workflow_commands_is_broken_up() {
        assert_eq!(line("##[add-mask]x"), r"##\u{5b}add-mask]x");
    }

    #[test]
    fn a_short_line_says_that_something_is_missing() {
        assert_eq!((short_line("日本語", 2).as_str(), short_line("ab", 2).as_str()), ("日本…", "ab"));
    }

    #[test]
    fn mentions_references_and_links_are_broken_in_markdown() {
        assert_eq!(markdown_text("@bob #12"), r"\@&#8203;bob \#&#8203;12");
        assert_eq!(markdown_text("https://x www.x"), "https:&#8203;//x www&#8203;.x");
    }

    #[test]
    fn workflow_commands_cannot_be_left() {
        assert_eq!(workflow_message("100 %\n::error::x"), "100 %25⏎::error::x");
        assert_eq!(workflow_property("a,b::c"), "a%2Cb%3A%3Ac");
    }

    #[test]
    fn labels_of_performance_data_are_quoted_only_where_they_must_be() {
        assert_eq!(nagios_label("effect_a-b.c"), "effect_a-b.c");
        assert_eq!(nagios_label("effect a='b'|c"), "'effect a__b_¦c'");
    }

    #[cfg(unix)]
    #[test]
    fn words_of_commands_are_quoted_only_where_a_shell_would_take_them_apart() {
        assert_eq!(shell_word("../hosts-2/snapshots"), "../hosts-2/snapshots");
        assert_eq!(shell_word("/home/é/my hosts/snapshots"), "'/home/é/my hosts/snapshots'");
        assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!((shell_word("~/x").as_str(), shell_word("").as_str()), ("'~/x'", "''"));
        assert_eq!(shell_word("a\nb"), "'a⏎b'");
    }

    /// Text with what formats are attacked with, in any order.
    fn hostile() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            any::<char>().prop_map(String::from),
            "[ -~]{0,6}",
            prop::sample::select(vec![
                "\n",
                "\r",
                "\r\n",
                "\t",
                "\x1b[2J",
                "\x1b]8;;http://x\x07",
                "\u{202e}",
                "\u{200b}",
                "\u{301}\u{301}",
                "|",
                "`",
                "``",
                "```",
                "\\",
                "@you",
                "#1",
                "<b>",
                "<!--",
                "&lt;",
                "[a](b)",
                "![a](b)",
                "**",
                "~~",
                "::error::",
                "##[",
                "%0A",
                "]]>",
                "'",
                "=",
                "https://x.y",
                "www.x.y",
                "- ",
                "1. ",
                "|---|",
            ])
            .prop_map(str::to_owned),
        ];
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn is_harmless(text: &str) -> bool {
        !text.chars().any(is_hidden) && !text.contains("##[")
    }

    /// The text that a Markdown document shows, if it is text and code spans in paragraphs or cells alone.
    fn shown(markdown: &str) -> Option<String> {
        let mut out = String::new();
        for event in Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
            match event {
                Event::Text(text) | Event::Code(text) => out.push_str(&text),
                Event::Start(Tag::TableCell) => out.push('¶'),
                Event::Start(Tag::Paragraph | Tag::Table(_) | Tag::TableHead | Tag::TableRow)
                | Event::End(
                    TagEnd::Paragraph | TagEnd::Table | TagEnd::TableHead | TagEnd::TableRow | TagEnd::TableCell,
                ) => {}
                _ => return None,
            }
        }
        Some(out.replace('\u{200b}', ""))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn nothing_hostile_survives_in_a_line(text in hostile()) {
            let out = line(&text);
            prop_assert!(is_harmless(&out), "{out:?}");
            prop_assert!(console::strip_ansi_codes(&out) == out);
            prop_assert_eq!(out.lines().count(), usize::from(!out.is_empty()));
        }

        #[test]
        fn markdown_text_shows_the_line_and_is_nothing_else(text in hostile()) {
            let expected = line(&text);
            let paragraph = shown(&format!("x{}x", markdown_text(&text)));
            prop_assert_eq!(paragraph, Some(format!("x{expected}x")));
            let table = shown(&format!("|a|b|\n|---|---|\n|x{}x|{}x|\n", markdown_text(&text), markdown_text(&text)));
            prop_assert_eq!(table, Some(format!("¶a¶b¶x{expected}x¶{}x", expected.trim_start_matches([' ', '\t']))));
        }

        #[test]
        fn markdown_code_shows_the_line_and_is_nothing_else(text in hostile()) {
            let expected = line(&text).replace('|', "\\u{7c}");
            let expected = if expected.trim().is_empty() { "(empty)".to_owned() } else { expected };
            let table = shown(&format!("|a|b|\n|---|---|\n|x {} x|y|\n", markdown_code(&text)));
            prop_assert_eq!(table, Some(format!("¶a¶b¶x {expected} x¶y")));
        }

        #[test]
        fn html_holds_no_tag_and_only_our_own_entities(text in hostile()) {
            let out = html(&text);
            prop_assert!(is_harmless(&out) && !out.contains(['<', '>', '"', '\'']));
            let ours = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            prop_assert!(out.split('&').skip(1).all(|rest| ours.iter().any(|o| rest.starts_with(o))), "{}", out);
        }

        #[test]
        fn a_markdown_block_ends_only_where_it_should(text in hostile()) {
            let block = markdown_block("", std::slice::from_ref(&text)) + "after";
            let texts: Vec<String> = Parser::new(&block)
                .filter_map(|e| if let Event::Text(t) = e { Some(t.into_string()) } else { None })
                .collect();
            prop_assert_eq!(texts.concat(), format!("{}\nafter", line(&text)));
        }

        #[test]
        fn workflow_commands_have_one_line_and_only_our_own_separators(text in hostile()) {
            let (message, property) = (workflow_message(&text), workflow_property(&text));
            prop_assert!(is_harmless(&message) && is_harmless(&property));
            prop_assert!(!property.contains([':', ',']));
            prop_assert!(message.matches('%').count() == message.matches("%25").count());
        }

        #[test]
        fn lines_of_monitoring_plugins_have_no_bar_and_labels_no_equals_sign(text in hostile()) {
            prop_assert!(!nagios(&text).contains('|') && is_harmless(&nagios(&text)));
            let label = nagios_label(&text);
            prop_assert!(!label.trim_matches('\'').contains(['=', '\'', '|']));
        }
    }
}
