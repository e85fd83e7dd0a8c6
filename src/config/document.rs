//! Text with places: from a byte in a file, a variable or a flag to the [`Place`] that a message names.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use super::layer::Table;
use super::problem::{ConfigError, Place, Problem};
use super::secret::{holds_a_key, names_a_credential, names_a_secret_field};

/// Where a piece of TOML comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// A file; `layer` is its rank among the files.
    File { layer: usize, path: &'a Path, text: &'a str },
    /// An environment variable, by name.
    Variable(&'a str),
    /// A flag, by dotted key.
    Flag(&'a str),
}

impl Origin<'_> {
    /// The place of a span of bytes; spans mean nothing outside files.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        match *self {
            Self::Variable(name) => Place::Variable(name.to_owned()),
            Self::Flag(key) => Place::Flag(key.to_owned()),
            Self::File { layer, path, text } => {
                let start = floor_boundary(text, span.start);
                let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
                let line_text = text[line_start..].lines().next().unwrap_or("");
                let line_end = line_start + line_text.len();
                let end = floor_boundary(text, span.end).clamp(start, line_end.max(start));
                Place::File {
                    layer,
                    path: path.to_owned(),
                    line: text[..line_start].matches('\n').count() + 1,
                    column: text[line_start..start].chars().count() + 1,
                    excerpt: excerpt(line_text),
                    width: text[start..end].chars().count().max(1),
                }
            }
        }
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// A line fit for a terminal and a log: control characters become spaces (so that columns stay), and whatever follows
/// a key that sounds like a credential is masked, since people do paste keys into the wrong file.
fn excerpt(line: &str) -> String {
    let mut shown = line;
    let mut mask = "";
    for (i, _) in line.match_indices('=') {
        let before = line[..i].trim_end().trim_end_matches(['"', '\'']);
        let key = before.rsplit(|c: char| !(c.is_alphanumeric() || "-_".contains(c))).next().unwrap_or("");
        if names_a_credential(key) || names_a_secret_field(key) {
            (shown, mask) = (&line[..=i], " …");
            break;
        }
    }
    // A key in a value that no name tells of: all values of the line are left out.
    if holds_a_key(shown)
        && let Some(i) = shown.find('=')
    {
        (shown, mask) = (&line[..=i], " …");
    }
    // A password in an address: `https://name:password@host`.
    if let Some(i) = shown.find("://").filter(|&i| shown[i + 3..].contains('@')) {
        (shown, mask) = (&line[..i + 3], "…");
    }
    let visible: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible + mask
}

/// Parses a file. Syntax errors are all reported, each with its line.
pub(super) fn parse<'t>(origin: &Origin<'_>, text: &'t str) -> Result<Spanned<DeTable<'t>>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table);
    }
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let place = origin.place(error.span().unwrap_or(0..0));
        // What follows the first error of a line is mostly its echo.
        if !problems.iter().any(|p| same_line(&p.place, &place)) {
            problems.push(Problem { place, message: format!("not TOML: {}", error.message()), help: None });
        }
    }
    Err(problems)
}

fn same_line(a: &Place, b: &Place) -> bool {
    matches!((a, b), (Place::File { line: a, .. }, Place::File { line: b, .. }) if a == b)
}

/// The table as values of the `config` crate.
pub(super) fn lower_table(table: Spanned<DeTable<'_>>) -> Result<Table, ConfigError> {
    Table::deserialize(Deserializer::from(table)).map_err(unfit)
}

/// The value as a value of the `config` crate.
pub(super) fn lower_value(value: Spanned<DeValue<'_>>) -> Result<::config::Value, ConfigError> {
    ::config::Value::deserialize(ValueDeserializer::from(value)).map_err(unfit)
}

fn unfit(error: toml::de::Error) -> ConfigError {
    ConfigError::Layers(::config::ConfigError::Foreign(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, span: Range<usize>) -> Place {
        Origin::File { layer: 0, path: Path::new("f"), text }.place(span)
    }

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let text = "a = 1\r\nµ = \"ü\" # ö\nlast";
        let at = text.find("\"ü\"").unwrap();
        let Place::File { line, column, excerpt, width, .. } = place(text, at..at + 4) else { panic!() };
        assert_eq!((line, column, width, excerpt.as_str()), (2, 5, 3, "µ = \"ü\" # ö"));
    }

    #[test]
    fn a_span_past_the_end_or_within_a_character_is_brought_to_a_place_that_exists() {
        let Place::File { line, width, .. } = place("ü\n", 1..900) else { panic!() };
        assert_eq!((line, width), (1, 1));
        assert!(matches!(place("", 5..6), Place::File { line: 1, column: 1, .. }));
    }

    #[test]
    fn values_of_keys_that_sound_like_credentials_are_masked_in_excerpts() {
        assert_eq!(excerpt("api_key = \"sk-1\""), "api_key = …");
        assert_eq!(excerpt("headers = { \"X-Auth-Token\" = \"sk-1\" }"), "headers = { \"X-Auth-Token\" = …");
        assert_eq!(excerpt("base_url = \"https://me:pw@host\""), "base_url = \"https://…");
        assert_eq!(excerpt("path = \"chat?sig=abc\""), "path = \"chat?sig= …");
        assert_eq!(excerpt("x-title = \"sk-abcdefghijklmnop1\""), "x-title = …");
        assert_eq!(excerpt("max_tokens = 64"), "max_tokens = 64");
    }
}
