//! Single settings from the environment and from flags: finds the value that is meant, and reads the text for it.
//!
//! `SAMEMODEL__MODEL__LLAMA_4_SCOUT__MAX_TOKENS=32` means `model.llama-4-scout.max_tokens`: each part between double
//! underscores is matched with the keys known at that place, `-`, `.` and upper case being the same as `_` and lower
//! case. A flag spells its dotted key as TOML does. Both alter what the files define and define no providers, models
//! or endpoints of their own.

use ::config::{Value, ValueKind};
use toml::Spanned;
use toml::de::DeValue;

use super::document::{Origin, lower_value};
use super::key_path::KeyPath;
use super::layer::{Layer, Table, get, name_of};
use super::problem::{ConfigError, Problem};
use super::shape::{Record, Schema, Shape};
use super::walk::{Places, Walk, unknown_key};
use crate::suggest::hint;

/// What the names of variables that set configuration begin with.
pub(super) const PREFIX: &str = "SAMEMODEL__";

/// One setting, not yet understood.
pub(super) struct Assignment<'a> {
    /// The variable or flag.
    pub(super) origin: Origin<'a>,
    /// The value as text.
    pub(super) text: &'a str,
}

/// A step from a table to what it holds.
enum Step {
    Key(String),
    /// The entry of this name in a list.
    Named(String),
}

impl Assignment<'_> {
    /// The layer that sets this one value over the merged lower layers. `None` when a problem was added.
    pub(super) fn layer(
        &self,
        schema: Schema<'_>,
        merged: &Value,
        problems: &mut Vec<Problem>,
        places: &mut Places,
    ) -> Result<Option<Layer>, ConfigError> {
        let (steps, path, schema) = match self.find(schema, merged) {
            Ok(found) => found,
            Err((message, help)) => {
                problems.push(Problem { place: self.origin.place(0..0), message, help });
                return Ok(None);
            }
        };
        let before = problems.len();
        let value = read(&schema.shape(), self.text);
        let mut walk = Walk { origin: self.origin, problems, places };
        walk.set(&path, 0..0);
        walk.value(schema, &value, &path);
        if problems.len() > before {
            return Ok(None);
        }
        Ok(Some(Layer(nest(steps, lower_value(value)?))))
    }

    /// Follows the parts of the name through the schema and the merged tables.
    fn find<'s>(&self, mut schema: Schema<'s>, merged: &Value) -> Result<Found<'s>, Unknown> {
        let mut here = Some(merged);
        let mut steps = Vec::new();
        let mut path = KeyPath::default();
        for part in self.parts()? {
            let choices = Choices::of(&schema.shape(), here, schema);
            let Some(key) = choices.keys.iter().find(|key| self.matches(&part, key)).cloned() else {
                return Err(choices.unknown(&part, &path));
            };
            (schema, here) = choices.enter(&key, here);
            path = path.child(&key);
            steps.push(if choices.named { Step::Named(key) } else { Step::Key(key) });
        }
        Ok((steps, path, schema))
    }

    fn parts(&self) -> Result<Vec<String>, Unknown> {
        match self.origin {
            Origin::Variable(name) => {
                Ok(name.strip_prefix(PREFIX).unwrap_or(name).split("__").map(str::to_lowercase).collect())
            }
            Origin::Flag(key) => toml_key(key).ok_or_else(|| ("this is no dotted key of TOML".to_owned(), None)),
            Origin::File { .. } => Ok(Vec::new()),
        }
    }

    fn matches(&self, part: &str, key: &str) -> bool {
        match self.origin {
            Origin::Variable(_) => part == variable_part(key),
            _ => part == key,
        }
    }
}

type Found<'s> = (Vec<Step>, KeyPath, Schema<'s>);
/// A message and a hint.
type Unknown = (String, Option<String>);

/// The keys that may follow at a place.
struct Choices<'s> {
    keys: Vec<String>,
    record: Option<Record<'s>>,
    item: Schema<'s>,
    named: bool,
}

impl<'s> Choices<'s> {
    fn of(shape: &Shape<'s>, here: Option<&Value>, schema: Schema<'s>) -> Self {
        let none = Self { keys: Vec::new(), record: None, item: schema, named: false };
        match (shape, here.map(|v| &v.kind)) {
            (Shape::Record(r) | Shape::TextOrRecord(r), _) => {
                Self { keys: r.keys().map(|(key, _)| key.to_owned()).collect(), record: Some(*r), ..none }
            }
            (Shape::Map(item), Some(ValueKind::Table(table))) => {
                let mut keys: Vec<String> = table.keys().cloned().collect();
                keys.sort();
                Self { keys, item: *item, ..none }
            }
            (Shape::Named(item), Some(ValueKind::Array(entries))) => {
                let keys = entries.iter().filter_map(name_of).map(ToOwned::to_owned).collect();
                Self { keys, item: *item, named: true, ..none }
            }
            _ => none,
        }
    }

    fn enter<'v>(&self, key: &str, here: Option<&'v Value>) -> (Schema<'s>, Option<&'v Value>) {
        let schema = self.record.and_then(|r| r.key(key)).unwrap_or(self.item);
        let value = here.and_then(|here| match &here.kind {
            ValueKind::Array(entries) => entries.iter().find(|entry| name_of(entry) == Some(key)),
            _ => get(here, key),
        });
        (schema, value)
    }

    fn unknown(&self, part: &str, path: &KeyPath) -> Unknown {
        match self.record {
            Some(record) => unknown_key(part, path, record),
            None if self.keys.is_empty() => (format!("nothing can be set under `{path}`"), None),
            None => {
                (format!("`{path}` has no `{}`", part.escape_debug()), hint(part, self.keys.iter().map(String::as_str)))
            }
        }
    }
}

/// How a key is spelt within the name of a variable, in lower case.
fn variable_part(key: &str) -> String {
    key.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}

/// The parts of a dotted key; `None` when it is not one.
fn toml_key(key: &str) -> Option<Vec<String>> {
    if key.contains('\n') {
        return None;
    }
    let document = format!("{key} = 0");
    let mut table = toml::de::DeTable::parse(&document).ok()?.into_inner();
    let mut parts = Vec::new();
    loop {
        if table.len() != 1 {
            return None;
        }
        let (key, value) = table.into_iter().next()?;
        parts.push(key.into_inner().into_owned());
        match value.into_inner() {
            DeValue::Table(inner) => table = inner,
            DeValue::Integer(_) => return Some(parts),
            _ => return None,
        }
    }
}

/// Reads text as a value of this shape: words need no quotes, anything else is written as in TOML. What is not TOML
/// stays a string, which the walk then refuses where no string belongs.
fn read<'t>(shape: &Shape<'_>, text: &'t str) -> Spanned<DeValue<'t>> {
    let verbatim = match shape {
        Shape::Text | Shape::Words(_) => true,
        Shape::TextOrRecord(_) => !text.trim_start().starts_with('{'),
        Shape::TextOrTexts(_) => !text.trim_start().starts_with('['),
        _ => false,
    };
    let parsed = if verbatim { None } else { DeValue::parse(text.trim()).ok() };
    parsed.unwrap_or_else(|| Spanned::new(0..text.len(), DeValue::String(text.into())))
}

/// The value at the end of the steps, as the table that a file with only this setting would be.
fn nest(steps: Vec<Step>, value: Value) -> Table {
    let table = |key: &str, value| Table::from_iter([(key.to_owned(), value)]);
    let nested = steps.into_iter().rev().fold(value, |inner, step| match (step, inner.kind) {
        (Step::Key(key), kind) => table(&key, Value::new(None, kind)).into(),
        (Step::Named(name), ValueKind::Table(mut fields)) => {
            fields.insert("name".to_owned(), name.into());
            Value::new(None, vec![Value::new(None, fields)])
        }
        (Step::Named(_), kind) => Value::new(None, kind),
    });
    match nested.kind {
        ValueKind::Table(table) => table,
        _ => Table::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_keys_are_read_as_toml_reads_them() {
        assert_eq!(toml_key(r#"model."llama-3.3".samples"#).unwrap(), ["model", "llama-3.3", "samples"]);
        for no_key in ["", "a.", "a = 1\nb", "a = {}\nb.c", "a b", "[a]\nb"] {
            assert_eq!(toml_key(no_key), None, "{no_key}");
        }
    }

    #[test]
    fn numbers_are_read_as_toml_and_words_as_they_stand() {
        assert!(matches!(read(&Shape::Number, " 0.5 ").get_ref(), DeValue::Float(_)));
        assert!(matches!(read(&Shape::Text, "0.5").get_ref(), DeValue::String(s) if s == "0.5"));
        assert!(matches!(read(&Shape::Boolean, "yes").get_ref(), DeValue::String(_)));
    }
}
