//! What can be wrong with a probe file, and where.
//!
//! Messages are lower-case, say what to do, and leave the file's name to whoever read it.

use std::fmt;

use thiserror::Error;

use crate::encoding::UTF_16;

/// A place in a file, both numbers from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl Position {
    /// The place of a byte offset in a text; past the end it is the end.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = &text[..text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a file holds no probes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{position}: {}{problem}", in_row(.row.as_deref()))]
pub struct FileError {
    /// Where the trouble is.
    pub position: Position,
    /// The row of a family in which it shows.
    pub row: Option<String>,
    /// What it is.
    pub problem: Problem,
}

fn in_row(row: Option<&str>) -> String {
    row.map_or_else(String::new, |row| format!("in row `{row}`: "))
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// Bytes that are not text.
    #[error("not UTF-8: save the file in that encoding")]
    Encoding,
    /// Text in UTF-16.
    #[error("{UTF_16}")]
    Utf16,
    /// Not TOML, or a value of the wrong kind.
    #[error("{0}")]
    Toml(String),
    /// A key that probe files do not have.
    #[error("unknown key `{key}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// The key as written.
        key: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// `<!-- about:` without its end.
    #[error("the explanation is not closed: end this line with `-->`")]
    OpenAbout,
    /// An explanation that explains nothing.
    #[error("the explanation is empty: say in a line what the probe is there to show")]
    EmptyAbout,
    /// A message without content.
    #[error("the message is empty: write what is to be said")]
    EmptyContent,
    /// No message at all.
    #[error("there is no message: add a [[message]] with role and content")]
    NoMessage,
    /// A conversation that asks nothing.
    #[error(
        "the conversation ends with the {0}: end it with role \"user\" or \"tool\", so that there is something to answer"
    )]
    NothingAsked(&'static str),
    /// Something that only another role can have.
    #[error("`{field}` belongs to role \"{role}\" alone: move it there or remove it")]
    WrongRole {
        /// The field.
        field: &'static str,
        /// Whose it is.
        role: &'static str,
    },
    /// A tool message that answers nothing.
    #[error("this tool message answers no earlier tool call: set `tool_call_id` to the id of one")]
    UnknownCall,
    /// A name that hosts refuse.
    #[error("`{0}` is no name for a tool: use 1 to 64 of a-z, A-Z, 0-9, _ and -")]
    ToolName(String),
    /// Two tools of one name.
    #[error("the tool `{0}` is offered twice: remove one")]
    DuplicateTool(String),
    /// Arguments that are not JSON.
    #[error("the arguments of `{0}` are no JSON object: write them as {{\"name\": \"value\"}}")]
    Arguments(String),
    /// A number that is too small or too large.
    #[error("`{name}` is {value}: it must be {wanted}")]
    Range {
        /// The parameter.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// A temperature that contradicts the kind of asking.
    #[error("a greedy probe is always asked at temperature 0: remove `temperature`")]
    GreedyTemperature,
    /// A stop sequence that stops at once.
    #[error("a stop sequence is empty: remove it")]
    EmptyStop,
    /// An effort without a word.
    #[error("`reasoning_effort` is empty: write a word that hosts know, such as \"low\", or remove it")]
    EmptyEffort,
    /// A schema that cannot be used.
    #[error("`{name}` is no usable JSON Schema: {reason}")]
    Schema {
        /// The field.
        name: &'static str,
        /// What the validator says.
        reason: String,
    },
    /// A pattern that cannot be used.
    #[error("the regular expression does not compile: {0}")]
    Regex(String),
    /// A check with no condition, or with several.
    #[error("a check has exactly one of exact, contains, regex, one_of and json_schema; this one has {0}")]
    CheckKind(usize),
    /// A condition that holds always or never.
    #[error("`{0}` is empty: write what a right answer looks like")]
    EmptyCheck(&'static str),
    /// An image that cannot be read or is none.
    #[error("the image `{name}` {reason}")]
    Image {
        /// The file as named in the probe.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A template that is broken.
    #[error("the template cannot be filled: {0}")]
    Template(String),
    /// A template that asks for a value that a row does not have.
    #[error("the row has no value `{name}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownName {
        /// The name in the template.
        name: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A family without members.
    #[error("the family has no rows: add a [[row]] or remove `row`")]
    NoRows,
    /// A row whose `id` cannot be part of a probe's id.
    #[error("the row's id {0} does not serve: use letters, digits, _, - and .")]
    RowId(String),
    /// Two rows of one name.
    #[error("another row has the id `{0}` too: give each its own")]
    DuplicateRow(String),
}

/// The end of a message: `; did you mean …?`, or nothing.
pub(super) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

/// A problem at a byte offset of the text being read.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) offset: usize,
    pub(super) problem: Problem,
}

impl Located {
    pub(super) fn in_text(self, text: &str, row: Option<&str>) -> FileError {
        FileError { position: Position::of(text, self.offset), row: row.map(str::to_owned), problem: self.problem }
    }
}

impl Problem {
    pub(super) fn at(self, offset: usize) -> Located {
        Located { offset, problem: self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        assert_eq!(Position::of("ab\ncd", 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of("äb\ncd", 2), Position { line: 1, column: 2 });
        assert_eq!(Position::of("äb\ncd", 5), Position { line: 2, column: 2 });
    }

    #[test]
    fn a_position_inside_a_character_or_past_the_end_is_pulled_back() {
        assert_eq!(Position::of("ä", 1), Position { line: 1, column: 1 });
        assert_eq!(Position::of("a\n", 99), Position { line: 2, column: 1 });
    }
}
