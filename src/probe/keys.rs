//! Keys that a TOML document has and its JSON Schema does not.
//!
//! Serde would refuse them too, but without a suggestion. The schema is generated from the types that are read, so the
//! two cannot disagree.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::error::{Located, Problem};
use crate::suggest::nearest;

/// Refuses the first key, in the order of the document, that the schema does not know.
pub(super) fn refuse_unknown(schema: &Value, document: &DeTable<'_>) -> Result<(), Located> {
    table(schema, schema, document)
}

/// Checks one table against its own part of the schema; `root` is where references lead.
fn table(root: &Value, schema: &Value, table: &DeTable<'_>) -> Result<(), Located> {
    let schema = follow(root, schema);
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Ok(());
    }
    let Some(known) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    for (key, content) in table {
        let Some(part) = known.get(key.get_ref().as_ref()) else {
            let suggestion = nearest(key.get_ref(), known.keys().map(String::as_str)).map(str::to_owned);
            let key_name = key.get_ref().clone().into_owned();
            return Err(Problem::UnknownKey { key: key_name, suggestion }.at(key.span().start));
        };
        value(root, part, content.get_ref())?;
    }
    Ok(())
}

fn value(root: &Value, schema: &Value, content: &DeValue<'_>) -> Result<(), Located> {
    match content {
        DeValue::Table(inner) => table(root, schema, inner),
        DeValue::Array(items) => match follow(root, schema).get("items") {
            Some(part) => items.iter().try_for_each(|item| value(root, part, item.get_ref())),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The schema itself, or what its `$ref` names.
fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| root.pointer(reference.strip_prefix('#')?))
        .unwrap_or(schema)
}
