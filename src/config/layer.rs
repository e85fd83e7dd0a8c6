//! A layer of the configuration as a source of the `config` crate.

use std::collections::BTreeSet;

use ::config::{ConfigError, Map, Source, Value, ValueKind};

/// A table of the `config` crate.
pub(super) type Table = Map<String, Value>;

/// One layer: a file, or what the environment or the flags set.
///
/// Tables merge key by key and other values replace what was there, as usual with `config`. The endpoints of a model
/// are the exception that makes a local file useful: an entry whose name the lower layers know sets fields of that
/// endpoint, any other is added.
#[derive(Debug, Clone)]
pub(super) struct Layer(pub(super) Table);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Table, ConfigError> {
        Ok(self.0.clone())
    }

    fn collect_to(&self, lower: &mut Value) -> Result<(), ConfigError> {
        let mut table = self.0.clone();
        if let Some(ValueKind::Table(models)) = table.get_mut("model").map(|v| &mut v.kind) {
            for (name, model) in models.iter_mut() {
                let known = get(lower, "model").and_then(|m| get(m, name)).and_then(|m| get(m, "endpoint"));
                if let (Some(known), ValueKind::Table(model)) = (known, &mut model.kind)
                    && let Some(added) = model.get_mut("endpoint")
                {
                    merge_by_name(known, added)?;
                }
            }
        }
        Plain(table).collect_to(lower)
    }
}

/// A table that merges as `config` merges by itself.
#[derive(Debug, Clone)]
struct Plain(Table);

impl Source for Plain {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Table, ConfigError> {
        Ok(self.0.clone())
    }
}

/// What stands under a key, when the value is a table that has it.
pub(super) fn get<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match &value.kind {
        ValueKind::Table(table) => table.get(key),
        _ => None,
    }
}

/// The name of an entry of a list of named tables.
pub(super) fn name_of(entry: &Value) -> Option<&str> {
    match &get(entry, "name")?.kind {
        ValueKind::String(name) => Some(name),
        _ => None,
    }
}

/// Turns `added` into the known entries, overridden by the added ones of the same name, and the other added ones.
/// A name that stands twice in `added` is merged once and then kept as a duplicate, for the validation to refuse.
fn merge_by_name(known: &Value, added: &mut Value) -> Result<(), ConfigError> {
    let (ValueKind::Array(known), ValueKind::Array(entries)) = (&known.kind, &mut added.kind) else { return Ok(()) };
    let mut merged = known.clone();
    let mut seen = BTreeSet::new();
    for entry in std::mem::take(entries) {
        let name = name_of(&entry).map(ToOwned::to_owned);
        let place = known.iter().position(|k| name.is_some() && name_of(k) == name.as_deref());
        match (place, entry.kind) {
            (Some(i), ValueKind::Table(fields)) if seen.insert(i) => Plain(fields).collect_to(&mut merged[i])?,
            (_, kind) => merged.push(Value::new(None, kind)),
        }
    }
    *entries = merged;
    Ok(())
}
