//! Pieces: what the strings of a body say together, when a secret is spread over several of them.
//!
//! Part of layer 1's redaction, pure. Strings are joined in the order in which they come: by where they stand, as the pieces of one
//! choice, tool call or token do; by the same place in any choice; all that change from event to event; and all that are said, by turns in
//! several fields. So are the comments of a stream, its fields of each kind, such as `event` and `id`, and the names of fields.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::WINDOW;

/// Strings joined by where they stand.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    by_place: HashMap<u64, Joined>,
    all: String,
    /// What stands in the fields of [`SAID`].
    said: String,
    /// The names of fields.
    names: String,
    /// How often fields of these names have come, by the digest of the names and of where they stood.
    shapes: HashMap<u64, u32>,
    /// Where the values of a key stand, by the digest of the key.
    places: HashMap<u64, Vec<u64>>,
    /// Bytes of broken lines that were joined there.
    spread: usize,
}

/// As many of these are joined. A hostile body may have many places for one key, and many values behind it in broken lines, of which each
/// goes to each place.
const MOST_SPREAD: usize = 16 << 20;

/// What begins the key under which the values of a stream's fields are joined, so that it is none of JSON's.
const OF_STREAM: &str = "\n";

/// The key under which the names of fields are joined.
const NAMES: &str = "\n\n";

/// The fields that are kept of an answer. What is said by turns in several of them is joined without what else changes from event to
/// event, such as an id, which would stand between the pieces.
const SAID: [&str; 10] = [
    "content",
    "text",
    "thinking",
    "reasoning",
    "reasoning_content",
    "reasoning_text",
    "summary",
    "refusal",
    "name",
    "arguments",
];

/// The digests of these fields, as keys.
static SAID_KEYS: LazyLock<[u64; SAID.len()]> = LazyLock::new(|| SAID.map(|name| digest(0, name.as_bytes())));

/// The strings of one place.
#[derive(Debug, Default)]
struct Joined {
    text: String,
    /// How often its last string has come once more.
    again: u32,
}

impl Joined {
    /// Takes the next string; whether it is the last one again. What every event repeats, such as an id, is joined twice: once more
    /// would hold no run of a window that is not there already.
    fn push(&mut self, text: &str) -> bool {
        let again = self.text.ends_with(text);
        self.again = if again { self.again + 1 } else { 0 };
        if self.again < 2 || text.len() < WINDOW {
            self.text.push_str(text);
        }
        again
    }
}

/// Where a value stands, as digests of the way there in three readings, which differ in how elements of lists are named, and the digest
/// of the last key on the way.
#[derive(Debug, Default, Clone, Copy)]
struct Place {
    /// By their own number, or else by their position.
    exact: u64,
    /// By their own number alone.
    numbered: u64,
    /// Not at all.
    loose: u64,
    key: u64,
}

impl Place {
    fn key(self, name: &str) -> Self {
        let with = |place| digest(place, name.as_bytes());
        let Self { exact, numbered, loose, .. } = self;
        Self { exact: with(exact), numbered: with(numbered), loose: with(loose), key: with(0) }
    }

    fn element(self, position: usize, value: &Value) -> Self {
        let number = value.get("index").and_then(Value::as_u64);
        let with = |place, number: Option<u64>| {
            let place = digest(place, b"[]");
            number.map_or(place, |number| digest(place, &number.to_le_bytes()))
        };
        Self {
            exact: with(self.exact, number.or(Some(position as u64))),
            numbered: with(self.numbered, number),
            loose: with(self.loose, None),
            key: self.key,
        }
    }
}

/// FNV-1a: places that share a digest are joined, which can only mask more.
fn digest(seed: u64, bytes: &[u8]) -> u64 {
    let start = seed ^ 0xcbf2_9ce4_8422_2325;
    bytes.iter().fold(start, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Pieces {
    /// Takes a whole body: one JSON document, or lines such as those of a stream.
    pub fn body(&mut self, body: &str) {
        if let Ok(value) = serde_json::from_str(body) {
            return self.value(&value);
        }
        // Streams may end their lines with either.
        for line in body.split(['\n', '\r']) {
            let data = line.strip_prefix("data:").unwrap_or(line).trim();
            if data.is_empty() || data == "[DONE]" {
                continue;
            }
            match serde_json::from_str(data) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => self.value(&value),
                _ if line.starts_with("data:") => self.broken(data),
                _ => {
                    self.broken(data);
                    self.field(line);
                }
            }
        }
    }

    /// Takes a line of a stream that is no data: a comment, whose name is empty, or another field. A line of JSON is none.
    fn field(&mut self, line: &str) {
        if line.trim_start().starts_with(['"', '{', '}', '[', ']']) {
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        // The usual names would stand between others.
        if !["event", "id", "retry"].contains(&name) {
            self.name(name, Place::default().key(OF_STREAM));
        }
        let place = Place::default().key(name).key(OF_STREAM);
        self.at(place.loose, place.key).push(value.trim());
    }

    /// Takes one JSON value.
    pub fn value(&mut self, value: &Value) {
        self.walk(value, Place::default());
    }

    /// Whether there is more than is joined, so that a secret may be in what is left out.
    pub fn is_too_much(&self) -> bool {
        self.spread > MOST_SPREAD
    }

    /// What is said together.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.by_place.values().map(|joined| joined.text.as_str()).chain([
            self.all.as_str(),
            self.said.as_str(),
            self.names.as_str(),
        ])
    }

    fn walk(&mut self, value: &Value, place: Place) {
        match value {
            Value::String(text) => self.piece(text, place),
            Value::Array(items) => {
                if let Some(text) = bytes(items) {
                    return self.piece(&text, place);
                }
                for (position, item) in items.iter().enumerate() {
                    self.walk(item, place.element(position, item));
                }
            }
            Value::Object(fields) => {
                // Some hosts name tokens by the keys of an object with a number each.
                if fields.values().all(Value::is_number) {
                    fields.keys().for_each(|name| self.piece(name, place.key("")));
                }
                let is_new = self.is_new(fields, place);
                for (name, value) in fields {
                    if is_new {
                        self.name(name, place);
                    }
                    self.walk(value, place.key(name));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Whether fields of these names have come here once at most: every event of a stream repeats them, and joined once more they
    /// would hold nothing new.
    fn is_new(&mut self, fields: &Map<String, Value>, place: Place) -> bool {
        let shape = fields.keys().fold(place.loose, |shape, name| digest(shape, name.as_bytes()));
        let times = self.shapes.entry(shape).or_default();
        *times = times.saturating_add(1);
        *times < 3
    }

    /// Takes the name of a field: to those of its object, wherever in a list that is, and to all others.
    fn name(&mut self, name: &str, place: Place) {
        let place = place.key(NAMES);
        self.at(place.loose, place.key).text.push_str(name);
        self.names.push_str(name);
    }

    /// What stands at a place, which the last key on the way there leads to as well.
    fn at(&mut self, place: u64, key: u64) -> &mut Joined {
        let places = &mut self.places;
        self.by_place.entry(place).or_insert_with(|| {
            places.entry(key).or_default().push(place);
            Joined::default()
        })
    }

    fn piece(&mut self, text: &str, place: Place) {
        let Place { exact, numbered, loose, key } = place;
        // Some hosts say each piece of a thought in two fields.
        if SAID_KEYS.contains(&key) && !self.said.ends_with(text) {
            self.said.push_str(text);
        }
        // What every event repeats, such as an id, would only stand between pieces.
        if !self.at(exact, key).push(text) {
            self.all.push_str(text);
        }
        if numbered != exact {
            self.at(numbered, key).push(text);
        }
        if loose != exact && loose != numbered {
            self.at(loose, key).push(text);
        }
    }

    /// Takes a line that is no JSON, perhaps since it was cut: as it is, and its strings, each to all that stands under the same key.
    fn broken(&mut self, line: &str) {
        self.at(0, 0).text.push_str(line);
        let mut key = 0;
        for (string, is_key) in strings(line) {
            if is_key {
                key = digest(0, string.as_bytes());
                self.names.push_str(string);
                continue;
            }
            self.all.push_str(string);
            self.join_under(key, string);
        }
    }

    /// Joins a string to all that stands under a key.
    fn join_under(&mut self, key: u64, string: &str) {
        let places = self.places.get(&key).map_or(&[][..], Vec::as_slice);
        self.spread += places.len() * (string.len() + 1);
        if self.spread > MOST_SPREAD {
            return;
        }
        for place in places {
            if let Some(joined) = self.by_place.get_mut(place) {
                joined.text.push_str(string);
            }
        }
    }
}

/// The text that a list of numbers is when they are taken as bytes, as tokens' bytes are given; `None` for other lists.
fn bytes(items: &[Value]) -> Option<String> {
    let bytes = items.iter().map(|item| item.as_u64().and_then(|number| u8::try_from(number).ok()));
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The strings of a line of JSON, the last perhaps cut, and whether each is the name of a field. Escapes stay as they are.
fn strings(line: &str) -> Vec<(&str, bool)> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some((_, after)) = rest.split_once('"') {
        let mut escaped = false;
        let end = after.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let end = end.unwrap_or(after.len());
        rest = after.get(end + 1..).unwrap_or_default();
        out.push((&after[..end], rest.trim_start().starts_with(':')));
    }
    out
}
