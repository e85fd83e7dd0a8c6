//! Holds a parsed layer against the schema: every unknown key and every value of a wrong type, each with its place.
//!
//! A layer need not be complete, so what is missing is looked for in the merged configuration ([`missing`]).

use std::collections::BTreeMap;
use std::ops::Range;

use ::config::ValueKind;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::capability::is_more_than_a_name;
use super::document::Origin;
use super::key_path::KeyPath;
use super::layer::{get, name_of};
use super::problem::{Place, Problem};
use super::secret::names_a_credential;
use super::shape::{Record, Schema, Shape};
use crate::suggest::hint;

/// Where each value of the merged configuration was last set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Places(BTreeMap<KeyPath, Place>);

impl Places {
    /// The place of a value, or of the nearest table around it that stands somewhere.
    pub(super) fn of(&self, path: &KeyPath) -> Place {
        let mut path = Some(path.clone());
        while let Some(here) = path {
            if let Some(place) = self.0.get(&here) {
                return place.clone();
            }
            path = here.parent();
        }
        Place::BuiltIn
    }
}

/// One layer's walk. Problems and places add up in what the caller lends.
pub(super) struct Walk<'a> {
    /// Where the layer comes from.
    pub(super) origin: Origin<'a>,
    /// What was found wrong.
    pub(super) problems: &'a mut Vec<Problem>,
    /// Where values were set.
    pub(super) places: &'a mut Places,
}

impl Walk<'_> {
    /// Checks a whole document.
    pub(super) fn document(&mut self, schema: Schema<'_>, table: &DeTable<'_>) {
        if let Shape::Record(record) = schema.shape() {
            self.record(record, table, &KeyPath::default());
        }
    }

    /// Checks one value that stands at `path`.
    pub(super) fn value(&mut self, schema: Schema<'_>, value: &Spanned<DeValue<'_>>, path: &KeyPath) {
        match (schema.shape(), value.get_ref()) {
            (Shape::Record(r) | Shape::TextOrRecord(r), DeValue::Table(table)) => self.record(r, table, path),
            (Shape::Map(item), DeValue::Table(table)) => {
                for (key, value) in table {
                    let path = path.child(key.get_ref());
                    self.set(&path, key.span());
                    self.value(item, value, &path);
                }
            }
            (Shape::Named(item), DeValue::Array(entries)) => self.named(item, entries, path),
            (Shape::List(item) | Shape::TextOrTexts(item), DeValue::Array(entries)) => {
                for (i, entry) in entries.iter().enumerate() {
                    let path = path.child(&i.to_string());
                    self.set(&path, entry.span());
                    self.value(item, entry, &path);
                }
            }
            (Shape::Text | Shape::TextOrRecord(_) | Shape::TextOrTexts(_), DeValue::String(_))
            | (Shape::Boolean, DeValue::Boolean(_)) => {}
            (Shape::Words(words), DeValue::String(word)) if words.contains(&word.as_ref()) => {}
            (Shape::Words(words), DeValue::String(word)) => {
                let help = hint(word, words.iter().copied());
                self.report(value.span(), format!("`{path}` must be {}", expected(&Shape::Words(words))), help);
            }
            (Shape::Whole(most), DeValue::Integer(n)) => {
                let within = u64::from_str_radix(n.as_str(), n.radix()).is_ok_and(|n| n <= most);
                if !within {
                    self.report(value.span(), format!("`{path}` must be a whole number from 0 to {most}"), None);
                }
            }
            (Shape::Number, DeValue::Integer(_) | DeValue::Float(_)) | (Shape::Anything, _) => self.free(value, path),
            (shape, found) => {
                let message = format!("`{path}` must be {}, not {}", expected(&shape), type_name(found));
                let is_single = matches!((&shape, found), (Shape::Named(_), DeValue::Table(_)));
                let help = is_single.then(|| format!("write `[[{path}]]`, in double brackets, above each of them"));
                self.report(value.span(), message, help);
            }
        }
    }

    fn record(&mut self, record: Record<'_>, table: &DeTable<'_>, path: &KeyPath) {
        for (key, value) in table {
            if let Some(schema) = record.key(key.get_ref()) {
                let path = path.child(key.get_ref());
                self.set(&path, key.span());
                self.value(schema, value, &path);
            } else {
                let (message, help) = unknown_key(key.get_ref(), path, record);
                self.report(key.span(), message, help);
            }
        }
    }

    /// A list of tables that go by their names.
    fn named(&mut self, item: Schema<'_>, entries: &DeArray<'_>, path: &KeyPath) {
        for entry in entries {
            let name = entry.get_ref().get("name").and_then(|n| n.get_ref().as_str());
            let path = path.child(name.unwrap_or("?"));
            self.set(&path, entry.span());
            if name.is_none() && entry.get_ref().is_table() {
                self.report(entry.span(), format!("`{path}` needs a `name`, a string"), None);
            }
            self.value(item, entry, &path);
        }
    }

    /// What goes into JSON as it is: everything but dates and numbers that JSON does not have.
    fn free(&mut self, value: &Spanned<DeValue<'_>>, path: &KeyPath) {
        let trouble = match value.get_ref() {
            DeValue::Datetime(_) => "must not be a date: write it as a string",
            DeValue::Integer(n) if i64::from_str_radix(n.as_str(), n.radix()).is_err() => "is too large a number",
            DeValue::Float(x) if !x.as_str().parse::<f64>().is_ok_and(f64::is_finite) => "must be a finite number",
            DeValue::Array(items) => return items.iter().for_each(|item| self.free(item, path)),
            DeValue::Table(table) => return table.iter().for_each(|(key, v)| self.free(v, &path.child(key.get_ref()))),
            _ => return,
        };
        self.report(value.span(), format!("`{path}` {trouble}"), None);
    }

    /// Notes that this layer sets the value at `path`.
    pub(super) fn set(&mut self, path: &KeyPath, span: Range<usize>) {
        self.places.0.insert(path.clone(), self.origin.place(span));
    }

    fn report(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        self.problems.push(Problem { place: self.origin.place(span), message, help });
    }
}

/// What to say of a key that is not one of the record's: a message and a hint.
pub(super) fn unknown_key(key: &str, path: &KeyPath, record: Record<'_>) -> (String, Option<String>) {
    let shown = if is_more_than_a_name(key) { "…".to_owned() } else { key.escape_debug().to_string() };
    let message =
        if path.is_root() { format!("unknown key `{shown}`") } else { format!("unknown key `{shown}` in `{path}`") };
    let known = record.keys().map(|(key, _)| key);
    let help = if names_a_credential(key) { Some(credentials_elsewhere(record)) } else { hint(key, known) };
    (message, help)
}

/// What to do with a credential that stands in a table: the keys of the table that name variables are those to set.
fn credentials_elsewhere(record: Record<'_>) -> String {
    let of_table = record.keys().map(|(key, _)| key).filter(|key| key.ends_with("_env"));
    let of_table: Vec<String> = of_table.map(|key| format!("`{key}`")).collect();
    let named_in = if of_table.is_empty() { "the provider's `api_key_env`".to_owned() } else { of_table.join(" or ") };
    format!(
        "credentials never stand in a file of the configuration: set an environment variable and name it in {named_in}"
    )
}

/// Reports every required key that the merged configuration lacks, at the table that lacks it.
pub(super) fn missing(
    schema: Schema<'_>,
    value: &::config::Value,
    path: &KeyPath,
    report: &mut impl FnMut(&KeyPath, String, Option<String>),
) {
    match (schema.shape(), &value.kind) {
        (Shape::Record(record) | Shape::TextOrRecord(record), ValueKind::Table(table)) => {
            for key in record.required().filter(|key| !table.contains_key(*key)) {
                let help = record.key(key).and_then(Schema::description).map(|d| format!("{key}: {}", one_line(d)));
                report(path, format!("`{path}` lacks `{key}`"), help);
            }
            for (key, schema) in record.keys() {
                if let Some(value) = get(value, key) {
                    missing(schema, value, &path.child(key), report);
                }
            }
        }
        (Shape::Map(item), ValueKind::Table(table)) => {
            for (key, value) in table {
                missing(item, value, &path.child(key), report);
            }
        }
        (Shape::Named(item), ValueKind::Array(entries)) => {
            for entry in entries {
                missing(item, entry, &path.child(name_of(entry).unwrap_or("?")), report);
            }
        }
        _ => {}
    }
}

/// A documentation comment as one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn expected(shape: &Shape<'_>) -> String {
    match shape {
        Shape::Record(_) | Shape::Map(_) => "a table".into(),
        Shape::Named(_) => "a list of tables".into(),
        Shape::List(_) => "a list".into(),
        Shape::TextOrRecord(record) => {
            let keys: Vec<String> = record.keys().map(|(key, _)| format!("`{key}`")).collect();
            format!("a string or a table of {}", keys.join(", "))
        }
        Shape::TextOrTexts(_) => "a string or a list of strings".into(),
        Shape::Text => "a string".into(),
        Shape::Words(words) => {
            let words: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
            format!("one of {}", words.join(", "))
        }
        Shape::Whole(_) => "a whole number".into(),
        Shape::Number => "a number".into(),
        Shape::Boolean => "`true` or `false`".into(),
        Shape::Anything => "a value".into(),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
