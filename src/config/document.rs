//! Text with places: from a byte in a file, a variable or a flag to the [`Place`] that a message names.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use super::capability::holds_a_capability;
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

/// A line fit for a terminal and a log: control characters become spaces (so that columns stay), and what may be a secret
/// is left out.
fn excerpt(line: &str) -> String {
    let (shown, mask) = without_secrets(line);
    let visible: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible + mask
}

/// What of a line may be shown, and what stands for the rest. People do paste keys and addresses into the wrong file:
/// whatever follows a key that sounds like a credential is left out, and all values of a line that holds a key, or an
/// address that may be a secret.
fn without_secrets(line: &str) -> (&str, &'static str) {
    let sounds_secret = |i: usize| {
        let key = key_before(&line[..i]);
        names_a_credential(key) || names_a_secret_field(key)
    };
    let secret = line.match_indices('=').map(|(i, _)| i).find(|&i| sounds_secret(i));
    let (mut shown, mut mask) = secret.map_or((line, ""), |i| (&line[..=i], " …"));
    if (holds_a_key(shown) || holds_an_address(shown))
        && let Some(i) = first_value(shown)
    {
        (shown, mask) = (&line[..=i], " …");
    }
    // What stands in no value: in a list of several lines, or as a key.
    if holds_a_key(shown) {
        return ("", "…");
    }
    match shown.find("://").filter(|_| holds_an_address(shown)) {
        Some(i) => (&line[..i + 3], "…"),
        None if holds_an_address(shown) => ("", "…"),
        None => (shown, mask),
    }
}

/// Whether a line holds an address that may be a secret: any but one that only says where a host is.
fn holds_an_address(line: &str) -> bool {
    let mut addresses = line.match_indices("://");
    let Some((i, _)) = addresses.next() else { return holds_a_capability(line) };
    let is_where_a_host_is = first_value(line).is_some_and(|i| key_before(&line[..i]) == "base_url");
    !is_where_a_host_is || addresses.next().is_some() || line[i..].contains('@') || holds_a_capability(line)
}

/// The place of the first `=` that a table does not follow.
fn first_value(line: &str) -> Option<usize> {
    line.match_indices('=').map(|(i, _)| i).find(|&i| !line[i + 1..].trim_start().starts_with('{'))
}

/// The last part of the key that a text ends with.
fn key_before(text: &str) -> &str {
    let text = text.trim_end().trim_end_matches(['"', '\'']);
    text.rsplit(|c: char| !(c.is_alphanumeric() || "-_".contains(c))).next().unwrap_or("")
}

/// The same place without the values of its line.
pub(super) fn without_values(place: Place) -> Place {
    match place {
        Place::File { layer, path, line, column, mut excerpt, width } => {
            if let Some(i) = first_value(&excerpt) {
                excerpt.truncate(i + 1);
                excerpt.push_str(" …");
            }
            Place::File { layer, path, line, column, excerpt, width }
        }
        elsewhere => elsewhere,
    }
}

/// Parses a file. Syntax errors are all reported, each with its line.
pub(super) fn parse<'t>(origin: &Origin<'_>, text: &'t str) -> Result<Spanned<DeTable<'t>>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table);
    }
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let (header, is_twice) = (header_before(text, span.start), error.message() == DUPLICATE);
        let place = origin.place(span);
        let is_of_header = |place: &Place| header.is_some_and(|(at, _)| same_line(place, &origin.place(at..at)));
        // What follows the first error of a line is mostly its echo, and so are the keys of a table that is there twice.
        let is_echo = |p: &Problem| same_line(&p.place, &place) || (is_twice && is_of_header(&p.place));
        if !problems.iter().any(is_echo) {
            let help = header.filter(|_| is_twice && is_of_header(&place)).and_then(|(_, header)| as_list(header));
            problems.push(Problem { place, message: format!("not TOML: {}", error.message()), help });
        }
    }
    Err(problems)
}

/// What the parser says of a key, or of a table, that is there already.
const DUPLICATE: &str = "duplicate key";

/// The last line up to this byte that begins as the header of a table does, with where it begins.
fn header_before(text: &str, at: usize) -> Option<(usize, &str)> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        start += line.len();
        (start - line.len(), line.trim())
    });
    lines.take_while(|(start, _)| *start <= at).filter(|(_, line)| line.starts_with('[')).last()
}

/// How the header of an endpoint is written where there are several, one of which is written as the only one.
fn as_list(header: &str) -> Option<String> {
    let key = header.split('#').next()?.trim().trim_start_matches('[').trim_end_matches(']');
    let is_endpoint = key.starts_with("model.") && key.ends_with(".endpoint");
    is_endpoint.then(|| format!("write `[[{key}]]`, in double brackets, above each of them"))
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
        assert_eq!(excerpt("base_url = \"https://me:pw@host\""), "base_url = …");
        assert_eq!(excerpt("path = \"chat?sig=abc\""), "path = \"chat?sig= …");
        assert_eq!(excerpt("x-title = \"sk-abcdefghijklmnop1\""), "x-title = …");
        assert_eq!(excerpt("dialect = { path = \"sk-abcdefghijklmnop1/chat\" }"), "dialect = { path = …");
        assert_eq!(excerpt("  \"sk-abcdefghijklmnop1\","), "…");
        assert_eq!(excerpt("max_tokens = 64"), "max_tokens = 64");
    }

    #[test]
    fn an_address_is_shown_only_where_it_says_where_a_host_is() {
        for line in ["base_url = \"http://host.example/v1\"", "a = { base_url = \"https://h\" }"] {
            assert_eq!(excerpt(line), line);
        }
        for (line, shown) in [
            ("url = \"https://hooks.slack.com/services/T/B/X\"", "url = …"),
            ("url_env='hc-ping.com/0a1b2c3d-aaaa-bbbb-cccc-ddddeeeeffff'", "url_env= …"),
            ("r.t = {kind=\"slack\", url=\"https://h.example/x\"}", "r.t = {kind= …"),
            ("to = [\"https://h.example/x\"]", "to = …"),
            ("  \"https://h.example/x\",", "  \"https://…"),
            ("[alert.receiver.\"https://h.example/x\"]", "[alert.receiver.\"https://…"),
            ("base_url = \"https://hooks.slack.com/services/T/B/X\"", "base_url = …"),
        ] {
            assert_eq!(excerpt(line), shown);
        }
    }
}
