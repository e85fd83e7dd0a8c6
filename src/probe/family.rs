//! Families: templates, and the rows of values that fill them.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as TemplateValue, syntax::SyntaxConfig};
use toml::{Spanned, Table, Value};

use super::error::{Located, Problem};
use super::load::is_id_part;
use crate::suggest::nearest;

/// The most work that one template may cause: far above what a prompt needs, far below what one would wait for.
const FUEL: u64 = 100_000;

/// The values of one member of a family.
pub(super) struct Row<'a> {
    /// The last part of the member's id.
    pub(super) name: String,
    values: &'a Table,
}

/// Names the rows: by their `id`, or by their number from 001.
pub(super) fn name_rows(rows: &[Spanned<Table>]) -> Result<Vec<Row<'_>>, Located> {
    let mut seen = BTreeSet::new();
    let mut named = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let name = match row.get_ref().get("id") {
            None => format!("{:03}", index + 1),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        if !is_id_part(&name) {
            return Err(Problem::RowId(format!("`{name}`")).at(row.span().start));
        }
        if !seen.insert(name.clone()) {
            return Err(Problem::DuplicateRow(name).at(row.span().start));
        }
        named.push(Row { name, values: row.get_ref() });
    }
    Ok(named)
}

/// Fills templates. A name that a row does not have is an error, never an empty string.
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        // A prompt that ends in a newline is another prompt than one that does not.
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        Self { environment }
    }

    /// The template with the row's values in it.
    pub(super) fn fill(&self, template: &str, row: &Row<'_>) -> Result<String, Problem> {
        let broken = |error: &minijinja::Error| Problem::Template(describe(error));
        let compiled = self.environment.template_from_named_str("", template).map_err(|error| broken(&error))?;
        compiled.render(convert_table(row.values)).map_err(|error| {
            let mut unknown: Vec<_> = compiled.undeclared_variables(false).into_iter().collect();
            unknown.retain(|name| !row.values.contains_key(name));
            unknown.sort_unstable();
            match unknown.into_iter().next() {
                Some(name) if error.kind() == ErrorKind::UndefinedError => {
                    let suggestion = nearest(&name, row.values.keys().map(String::as_str)).map(str::to_owned);
                    Problem::UnknownName { name, suggestion }
                }
                _ => broken(&error),
            }
        })
    }
}

/// What the template engine says, without its own file name.
fn describe(error: &minijinja::Error) -> String {
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    error.line().map_or(reason.clone(), |line| format!("{reason} (line {line} of the template)"))
}

fn convert(value: &Value) -> TemplateValue {
    match value {
        Value::String(text) => TemplateValue::from(text.as_str()),
        Value::Integer(number) => TemplateValue::from(*number),
        Value::Float(number) => TemplateValue::from(*number),
        Value::Boolean(flag) => TemplateValue::from(*flag),
        Value::Datetime(date) => TemplateValue::from(date.to_string()),
        Value::Array(items) => items.iter().map(convert).collect(),
        Value::Table(table) => convert_table(table),
    }
}

fn convert_table(table: &Table) -> TemplateValue {
    let entries: BTreeMap<&str, TemplateValue> =
        table.iter().map(|(name, value)| (name.as_str(), convert(value))).collect();
    TemplateValue::from(entries)
}
