//! Files of samples: reading and writing `samemodel.sample/1`, one JSON object a line.
//!
//! Layer 1: takes any reader or writer and opens nothing itself. Reading is strict and all-or-nothing, because a line
//! that is quietly dropped changes the verdict: one bad line refuses everything, and the error names the file, the
//! line, the reason and how many lines are bad in all.
//!
//! What is allowed:
//!
//! - blank lines, CRLF line ends and a byte-order mark at the start of any line, as joined files have;
//! - fields that this version does not know: they are left out of the sample;
//! - `null` for any field that is not required, which is the same as leaving it out;
//! - lines without `replicate`: they are numbered from 0 for each endpoint and probe, in the order of the files,
//!   passing over numbers that other lines give. A line with `error` gets the number of the answer that follows it and
//!   uses none up.
//!
//! What is refused, beside what does not fit the schema: two answers that give the same endpoint, probe and replicate
//! (lines with `error` may repeat, since a retry serves the same request), a field given twice in one line, UTF-16, compressed files, and
//! lines over [`MAX_LINE_BYTES`].

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::unique::{TWICE, Unique};
use super::{SCHEMA, Sample};
use crate::attempt::Slot;
use crate::encoding::{UTF_16, is_utf16};
use crate::plural::count;

/// The longest line that is read or written: 32 MiB. An answer of 4,000 tokens with 20 log-probabilities each takes
/// about 5 MiB.
pub const MAX_LINE_BYTES: usize = 32 << 20;

/// The length of a line after which no end of it is looked for any more, as in a device that never ends.
const ENDLESS: usize = 2 * MAX_LINE_BYTES;

/// How compressed files begin, with the name of the format and of the program that unpacks them to its output.
const COMPRESSED: [(&[u8], &str, &str); 2] =
    [(&[0x1F, 0x8B], "gzip", "zcat"), (&[0x28, 0xB5, 0x2F, 0xFD], "zstd", "zstdcat")];

/// Why samples could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SampleFileError {
    /// The file could not be read to its end.
    #[error("{file}: {source}")]
    Io {
        /// The name under which the file was given.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// At least one line is not a sample; none was taken.
    #[error("{place}: {reason}{}; nothing was read", others(*bad_lines))]
    BadLine {
        /// The first bad line.
        place: Place,
        /// What is wrong with it.
        reason: LineError,
        /// The number of bad lines in all files, at least 1.
        bad_lines: usize,
    },
}

fn others(bad_lines: usize) -> String {
    match bad_lines {
        0 | 1 => String::new(),
        2 => " (and 1 more bad line)".to_owned(),
        n => format!(" (and {})", count(n - 1, "more bad line")),
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name under which the file was given.
    pub file: Arc<str>,
    /// The line's number, from 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("the line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// Not text.
    #[error("not UTF-8: byte {at} of the line begins no character")]
    NotUtf8 {
        /// The byte's number in the line, from 1.
        at: usize,
    },
    /// No text yet.
    #[error("it is compressed by {format}: unpack it on the way, as in `{unpack} FILE | samemodel compare -`")]
    Compressed {
        /// The format.
        format: &'static str,
        /// The program that unpacks it.
        unpack: &'static str,
    },
    /// Text in UTF-16.
    #[error("{UTF_16}")]
    Utf16,
    /// A field that one object has twice.
    #[error("{message} at column {column}: remove one of both")]
    Twice {
        /// Which field.
        message: String,
        /// The column behind the second, from 1.
        column: usize,
    },
    /// Not JSON, or more than one value.
    #[error("not JSON: {message} at column {column}")]
    NotJson {
        /// What the parser said.
        message: String,
        /// The column, from 1; 0 where the parser knows none.
        column: usize,
    },
    /// JSON, but no object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// The kind of value.
        found: &'static str,
    },
    /// A schema that is not this one.
    #[error("the schema is {found}, expected \"{SCHEMA}\"")]
    WrongSchema {
        /// The value found, as JSON.
        found: String,
    },
    /// A required field is absent or null.
    #[error("the required field `{field}` is missing")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// A name without characters in it.
    #[error("`{field}` is empty; give it a name")]
    Empty {
        /// The field's name.
        field: &'static str,
    },
    /// A field of the wrong type or out of range.
    #[error("`{field}`: {message}")]
    WrongType {
        /// The field's name.
        field: String,
        /// What was expected and what was found.
        message: String,
    },
    /// A second answer to one request.
    #[error("replicate {} of probe `{}` at endpoint `{}` was already given at {first}; renumber or remove one",
        slot.replicate, slot.probe, slot.endpoint)]
    Duplicate {
        /// The request that has two answers.
        slot: Slot,
        /// The line that gave the first.
        first: Place,
    },
}

/// Reads the samples of one file, in its order. `name` stands in messages for the file.
///
/// Fails, returning no sample, when the reader fails or any line is bad. A file without samples gives an empty vector:
/// whether that is too little is for the caller to say.
pub fn read_samples(reader: impl BufRead, name: &str) -> Result<Vec<Sample>, SampleFileError> {
    let mut files = SampleReader::default();
    files.read(reader, name)?;
    files.finish()
}

/// Writes one line for each sample, such that [`read_samples`] gives them back.
///
/// Fails when the writer fails, or when a sample would need a line over [`MAX_LINE_BYTES`].
pub fn write_samples<'a>(mut writer: impl Write, samples: impl IntoIterator<Item = &'a Sample>) -> io::Result<()> {
    let mut line = Vec::new();
    for sample in samples {
        line.clear();
        serde_json::to_writer(&mut line, sample)?;
        if line.len() > MAX_LINE_BYTES {
            let Sample { endpoint, probe, replicate, .. } = sample;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("replicate {replicate} of probe `{probe}` at endpoint `{endpoint}` {}", LineError::TooLong),
            ));
        }
        line.push(b'\n');
        writer.write_all(&line)?;
    }
    writer.flush()
}

/// Reads several files as one set of samples, so that numbering and duplicates are seen across files.
#[derive(Debug, Default)]
pub struct SampleReader {
    lines: Vec<Parsed>,
    answers: HashMap<Slot, Place>,
    first_bad: Option<(Place, LineError)>,
    bad_lines: usize,
}

/// A sample whose number is settled once all files are read.
#[derive(Debug)]
struct Parsed {
    sample: Sample,
    numbered: bool,
}

impl SampleReader {
    /// Reads one file to its end; bad lines are kept in mind for [`finish`](Self::finish). Fails only when the reader
    /// does.
    pub fn read(&mut self, mut reader: impl BufRead, name: &str) -> Result<(), SampleFileError> {
        let file: Arc<str> = name.into();
        let mut buffer = Vec::new();
        for line in 1.. {
            let length = next_line(&mut reader, &mut buffer)
                .map_err(|source| SampleFileError::Io { file: name.to_owned(), source })?;
            let compressed = if line == 1 { compression(&buffer) } else { None };
            let is_last = compressed.is_some() || matches!(length, LineLength::Endless);
            let parsed = match (compressed, length) {
                (_, LineLength::End) => break,
                (Some(error), _) => Err(error),
                (None, LineLength::TooLong | LineLength::Endless) => Err(LineError::TooLong),
                (None, LineLength::Whole) => parse_line(&buffer, line == 1),
            };
            self.take(Place { file: Arc::clone(&file), line }, parsed);
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// All samples of all files, in the order of reading, or the first bad line.
    pub fn finish(mut self) -> Result<Vec<Sample>, SampleFileError> {
        if let Some((place, reason)) = self.first_bad {
            return Err(SampleFileError::BadLine { place, reason, bad_lines: self.bad_lines });
        }
        number(&mut self.lines, &self.answers);
        Ok(self.lines.into_iter().map(|line| line.sample).collect())
    }

    fn take(&mut self, place: Place, parsed: Result<Option<Parsed>, LineError>) {
        match parsed.and_then(|line| line.map(|line| self.check_duplicate(line, &place)).transpose()) {
            Ok(Some(line)) if self.first_bad.is_none() => self.lines.push(line),
            Ok(_) => {}
            Err(reason) => {
                self.bad_lines += 1;
                self.first_bad.get_or_insert((place, reason));
                self.lines.clear();
            }
        }
    }

    fn check_duplicate(&mut self, line: Parsed, place: &Place) -> Result<Parsed, LineError> {
        if !line.numbered || !line.sample.is_answer() {
            return Ok(line);
        }
        let slot = slot_of(&line.sample, line.sample.replicate);
        if let Some(first) = self.answers.get(&slot) {
            return Err(LineError::Duplicate { slot, first: first.clone() });
        }
        self.answers.insert(slot, place.clone());
        Ok(line)
    }
}

fn slot_of(sample: &Sample, replicate: u32) -> Slot {
    Slot { endpoint: sample.endpoint.clone(), probe: sample.probe.clone(), replicate }
}

/// Gives each line without a number the next one that no answer has.
fn number(lines: &mut [Parsed], taken: &HashMap<Slot, Place>) {
    let mut next: HashMap<(String, String), u32> = HashMap::new();
    for Parsed { sample, .. } in lines.iter_mut().filter(|line| !line.numbered) {
        let next = next.entry((sample.endpoint.clone(), sample.probe.clone())).or_default();
        while taken.contains_key(&slot_of(sample, *next)) {
            *next += 1;
        }
        sample.replicate = *next;
        if sample.is_answer() {
            *next += 1;
        }
    }
}

/// What is wrong with a file that begins with these bytes, where it is compressed.
fn compression(bytes: &[u8]) -> Option<LineError> {
    let (_, format, unpack) = COMPRESSED.into_iter().find(|(mark, ..)| bytes.starts_with(mark))?;
    Some(LineError::Compressed { format, unpack })
}

enum LineLength {
    End,
    Whole,
    TooLong,
    /// Its end was not looked for.
    Endless,
}

/// Fills the buffer with the next line without its end. Of a line over the limit no more than the limit is held.
fn next_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<LineLength> {
    buffer.clear();
    let mut length = LineLength::End;
    let mut seen = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(length);
        }
        let end = available.iter().position(|&b| b == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        if buffer.len() + part.len() > MAX_LINE_BYTES {
            length = LineLength::TooLong;
        } else if !matches!(length, LineLength::TooLong) {
            length = LineLength::Whole;
            buffer.extend_from_slice(part);
        }
        let used = end.map_or(available.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(length);
        }
        seen += used;
        if seen > ENDLESS {
            return Ok(LineLength::Endless);
        }
    }
}

/// One line's sample, or nothing for a blank line.
fn parse_line(bytes: &[u8], first: bool) -> Result<Option<Parsed>, LineError> {
    if first && is_utf16(bytes) {
        return Err(LineError::Utf16);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| LineError::NotUtf8 { at: error.valid_up_to() + 1 })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let Unique(value) = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let mut object = match value {
        Value::Object(object) => object,
        other => return Err(LineError::NotAnObject { found: kind(&other) }),
    };
    object.retain(|_, value| !value.is_null());
    check_fields(&object)?;
    let numbered = object.contains_key("replicate");
    let sample = serde_json::from_value(Value::Object(object.clone())).map_err(|error| wrong_type(&object, &error))?;
    Ok(Some(Parsed { sample, numbered }))
}

fn check_fields(object: &Map<String, Value>) -> Result<(), LineError> {
    match object.get("schema") {
        None => {}
        Some(Value::String(name)) if name == SCHEMA => {}
        Some(other) => return Err(LineError::WrongSchema { found: other.to_string() }),
    }
    for field in ["endpoint", "probe", "text"] {
        match object.get(field) {
            None => return Err(LineError::Missing { field }),
            Some(Value::String(name)) if field != "text" && name.trim().is_empty() => {
                return Err(LineError::Empty { field });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Finds the field that does not fit, which serde does not tell: the first that fails in an otherwise good sample.
fn wrong_type(object: &Map<String, Value>, error: &serde_json::Error) -> LineError {
    for (field, value) in object {
        let mut alone = Map::new();
        for required in ["endpoint", "probe", "text"] {
            alone.insert(required.to_owned(), Value::from("x"));
        }
        alone.insert(field.clone(), value.clone());
        if let Err(error) = serde_json::from_value::<Sample>(Value::Object(alone)) {
            return LineError::WrongType { field: field.clone(), message: error.to_string() };
        }
    }
    LineError::WrongType { field: "line".to_owned(), message: error.to_string() }
}

fn not_json(error: &serde_json::Error) -> LineError {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    if message.starts_with(TWICE) {
        return LineError::Twice { message, column: error.column() };
    }
    LineError::NotJson { message, column: error.column() }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
pub(crate) mod tests;
