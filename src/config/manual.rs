//! Holds what is generated from the types, and committed, against the types: the JSON Schema and the manual's tables.
//!
//! `SAMEMODEL_BLESS=1 cargo test --lib config` writes both anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::shape::{Record, Schema, Shape, json_schema};
use super::walk::one_line;

const BEGIN: &str = "<!-- keys: generated from the types, see src/config/manual.rs -->\n";
const END: &str = "<!-- end of keys -->\n";

/// Asserts that a committed file has this content, or writes it when asked to.
fn hold(path: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("SAMEMODEL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} no longer fits the types of src/config/types.rs; write it anew with\n    \
         SAMEMODEL_BLESS=1 cargo test --lib config",
        path.display(),
    );
}

#[test]
fn the_committed_schema_is_the_one_that_the_types_give() {
    let schema = serde_json::to_string_pretty(&json_schema()).unwrap();
    hold("schemas/providers.json", &(schema + "\n"));
}

#[test]
fn the_tables_of_the_manual_are_those_that_the_types_give() {
    let path = "docs/src/configuration.md";
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a mark where its tables begin");
    let (_, after) = rest.split_once(END).expect("the page has a mark where its tables end");
    hold(path, &format!("{before}{BEGIN}{}{END}{after}", tables()));
}

/// One section for each table of keys.
fn tables() -> String {
    let schema = json_schema();
    let mut out = String::new();
    section(Schema::new(&schema), "", &mut out);
    out
}

fn section(schema: Schema<'_>, path: &str, out: &mut String) {
    let record = match schema.shape() {
        Shape::Record(record) | Shape::TextOrRecord(record) => record,
        Shape::Map(item) => return section(item, &format!("{path}.<name>"), out),
        Shape::Named(item) => return section(item, path, out),
        _ => return,
    };
    if !path.is_empty() {
        let description = schema.description().map(one_line).unwrap_or_default();
        writeln!(out, "\n### `{}`\n\n{description}\n", &path[1..]).unwrap();
        table(record, out);
    }
    for (key, inner) in record.keys() {
        section(inner, &format!("{path}.{key}"), out);
    }
}

fn table(record: Record<'_>, out: &mut String) {
    out.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    let required: Vec<&str> = record.required().collect();
    for (key, schema) in record.keys() {
        let default = match schema.default() {
            _ if required.contains(&key) => "required".to_owned(),
            None | Some(Value::Null) => "–".to_owned(),
            Some(Value::Object(_)) => "see below".to_owned(),
            Some(value) => format!("`{value}`"),
        };
        let description = schema.description().map(one_line).unwrap_or_default().replace('|', "\\|");
        writeln!(out, "| `{key}` | {} | {default} | {description} |", type_of(&schema.shape())).unwrap();
    }
}

fn type_of(shape: &Shape<'_>) -> String {
    match shape {
        Shape::Record(_) | Shape::Map(_) => "table".into(),
        Shape::Named(_) => "list of tables".into(),
        Shape::List(item) => match item.shape() {
            of @ Shape::List(_) => format!("list of {}", type_of(&of).replacen("list", "lists", 1)),
            of => format!("list of {}s", type_of(&of)),
        },
        Shape::TextOrRecord(_) => "string or table".into(),
        Shape::TextOrTexts(_) => "string or list of strings".into(),
        Shape::Text => "string".into(),
        Shape::Words(words) => words.iter().map(|w| format!("`\"{w}\"`")).collect::<Vec<_>>().join(" or "),
        Shape::Whole(_) => "whole number".into(),
        Shape::Number => "number".into(),
        Shape::Boolean => "boolean".into(),
        Shape::Anything => "anything".into(),
    }
}
