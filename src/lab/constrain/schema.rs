//! From a JSON Schema to the expression of all texts that follow it, or of enough of them. Pure.
//!
//! A subset: whatever cannot be kept is refused, so that nothing is enforced in part. Members come in the schema's order, as
//! hosts with guided decoding have it.

use serde_json::{Map, Value};
use thiserror::Error;

use super::expression::Expression;
use super::json;

/// The most subschemas, members and values in one schema.
const MOST_PARTS: usize = 256;
/// The most bytes of names and values that must come as they are.
const MOST_BYTES: usize = 8_192;
/// The longest bound on strings and lists that is kept.
const LONGEST_BOUND: u64 = 1_000;

/// Keywords that describe and do not bind.
const SILENT: &[&str] = &["title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated"];

/// Why a schema cannot be enforced.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("this host cannot enforce the schema: {what} at `{place}`")]
pub struct SchemaError {
    /// What is in the way.
    what: String,
    /// Where in the schema, as a JSON pointer.
    place: String,
}

/// All texts that follow this schema, as far as the bounds of [`json`] go.
pub fn compile(schema: &Value) -> Result<Expression, SchemaError> {
    Compiler { parts: MOST_PARTS, bytes: MOST_BYTES }.schema(schema, "")
}

/// What of a schema may still come: expressions are walked by recursion, and hashed byte by byte.
struct Compiler {
    parts: usize,
    bytes: usize,
}

impl Compiler {
    /// Counts a part with so many bytes to be written as they are.
    fn count(&mut self, bytes: usize, place: &str) -> Result<(), SchemaError> {
        let left = self.parts.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        (self.parts, self.bytes) = left.ok_or_else(|| wrong(place, "too many parts, or too long ones,"))?;
        Ok(())
    }

    fn schema(&mut self, schema: &Value, place: &str) -> Result<Expression, SchemaError> {
        self.count(0, place)?;
        let keywords = match schema {
            Value::Bool(true) => return Ok(Expression::value(json::DEPTH)),
            Value::Object(keywords) => keywords,
            _ => return Err(wrong(place, "no schema")),
        };
        if let Some(values) = keywords.get("enum").and_then(Value::as_array) {
            only(keywords, &["enum", "type"], place)?;
            return self.constants(values, keywords.get("type"), place);
        }
        if let Some(value) = keywords.get("const") {
            only(keywords, &["const", "type"], place)?;
            return self.constants(std::slice::from_ref(value), keywords.get("type"), place);
        }
        if let Some(choices) = keywords.get("anyOf").and_then(Value::as_array) {
            only(keywords, &["anyOf"], place)?;
            return self.any_of(choices, &format!("{place}/anyOf"));
        }
        match keywords.get("type") {
            Some(Value::String(kind)) => self.typed(kind, keywords, place),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().map(|kind| match kind.as_str() {
                    Some(kind) => self.typed(kind, &of_type(keywords, kind), place),
                    None => Err(wrong(place, "a type that is no text")),
                });
                Ok(Expression::either(kinds.collect::<Result<Vec<_>, _>>()?))
            }
            None if keywords.contains_key("properties") => self.typed("object", keywords, place),
            None => {
                only(keywords, &[], place)?;
                Ok(Expression::value(json::DEPTH))
            }
            Some(_) => Err(wrong(place, "a type that is no text")),
        }
        .and_then(|all| if all.is_nothing() { Err(wrong(place, "no value follows this")) } else { Ok(all) })
    }

    fn constants(&mut self, values: &[Value], kind: Option<&Value>, place: &str) -> Result<Expression, SchemaError> {
        for value in values {
            self.count(value.to_string().len(), place)?;
        }
        let fits = |value: &&Value| match kind {
            None => true,
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| is_of(value, kind)),
            Some(kind) => is_of(value, kind),
        };
        let all = Expression::either(values.iter().filter(fits).map(json::constant));
        if all.is_nothing() { Err(wrong(place, "no value follows this")) } else { Ok(all) }
    }

    fn any_of(&mut self, choices: &[Value], place: &str) -> Result<Expression, SchemaError> {
        let each = choices.iter().enumerate().map(|(index, choice)| self.schema(choice, &format!("{place}/{index}")));
        let all = Expression::either(each.collect::<Result<Vec<_>, _>>()?);
        if all.is_nothing() { Err(wrong(place, "an empty choice")) } else { Ok(all) }
    }

    fn typed(&mut self, kind: &str, keywords: &Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        match kind {
            "object" => self.object(keywords, place),
            "array" => self.array(keywords, place),
            "string" => {
                only(keywords, &["type", "minLength", "maxLength"], place)?;
                let (least, most) = bounds(keywords, ["minLength", "maxLength"], json::LONGEST_STRING, place)?;
                Ok(json::string(least, most))
            }
            "integer" | "number" | "boolean" | "null" => {
                only(keywords, &["type"], place)?;
                Ok(match kind {
                    "integer" => json::integer(),
                    "number" => json::number(),
                    "boolean" => json::boolean(),
                    _ => json::null(),
                })
            }
            _ => Err(wrong(place, format!("the unknown type `{kind}`"))),
        }
    }

    fn array(&mut self, keywords: &Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        only(keywords, &["type", "items", "minItems", "maxItems"], place)?;
        let bounds = bounds(keywords, ["minItems", "maxItems"], json::MOST_ITEMS, place)?;
        let item = match keywords.get("items") {
            Some(items) => self.schema(items, &format!("{place}/items"))?,
            None => Expression::value(json::DEPTH - 1),
        };
        Ok(json::list(&item, bounds))
    }

    fn object(&mut self, keywords: &Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        only(keywords, &["type", "properties", "required", "additionalProperties"], place)?;
        let closed = match keywords.get("additionalProperties") {
            None | Some(Value::Bool(true)) => false,
            Some(Value::Bool(false)) => true,
            Some(_) => return Err(wrong(place, "`additionalProperties` other than true and false")),
        };
        let none = Map::new();
        let properties = match keywords.get("properties") {
            None => &none,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(wrong(place, "`properties` that are no object")),
        };
        let required = required(keywords, properties, place)?;
        if properties.is_empty() && !closed {
            return Ok(json::any_object(json::DEPTH - 1));
        }
        // From the last member to the first: what may follow when none, and when some, has come before.
        let mut rest = (Expression::literal(b"}"), Expression::literal(b"}"));
        for (key, schema) in properties.iter().rev() {
            let value = self.schema(schema, &format!("{place}/properties/{key}"))?;
            let name = Value::String(key.clone()).to_string();
            self.count(name.len(), place)?;
            let member = Expression::literal(name.as_bytes()).then(json::colon()).then(value).then(rest.1.clone());
            let later = json::comma().then(member.clone());
            rest = if required.contains(&key.as_str()) {
                (member, later)
            } else {
                (Expression::either([member, rest.0]), Expression::either([later, rest.1]))
            };
        }
        Ok(Expression::literal(b"{").then(rest.0))
    }
}

fn required<'a>(
    keywords: &'a Map<String, Value>,
    properties: &Map<String, Value>,
    place: &str,
) -> Result<Vec<&'a str>, SchemaError> {
    let list = match keywords.get("required") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong(place, "`required` that is no list")),
    };
    let name = |value: &'a Value| {
        let name = value.as_str().filter(|name| properties.contains_key(*name));
        name.ok_or_else(|| wrong(place, format!("`required` {value}, which is none of the properties")))
    };
    list.iter().map(name).collect()
}

/// The keywords that matter for one of several types.
fn of_type(keywords: &Map<String, Value>, kind: &str) -> Map<String, Value> {
    let others: &[&str] = match kind {
        "object" => &["items", "minItems", "maxItems", "minLength", "maxLength"],
        "array" => &["properties", "required", "additionalProperties", "minLength", "maxLength"],
        "string" => &["properties", "required", "additionalProperties", "items", "minItems", "maxItems"],
        _ => &[
            "properties",
            "required",
            "additionalProperties",
            "items",
            "minItems",
            "maxItems",
            "minLength",
            "maxLength",
        ],
    };
    keywords.iter().filter(|(key, _)| !others.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

fn bounds(
    keywords: &Map<String, Value>,
    [least, most]: [&str; 2],
    usual: u32,
    place: &str,
) -> Result<(u32, u32), SchemaError> {
    let read = |name: &str| match keywords.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64().filter(|number| *number <= LONGEST_BOUND) {
            Some(number) => Ok(Some(number as u32)),
            None => Err(wrong(place, format!("`{name}` that is no number up to {LONGEST_BOUND}"))),
        },
    };
    let least_wanted = read(least)?.unwrap_or(0);
    let most_wanted = read(most)?.unwrap_or_else(|| usual.max(least_wanted));
    if least_wanted > most_wanted {
        return Err(wrong(place, format!("`{least}` above `{most}`")));
    }
    Ok((least_wanted, most_wanted))
}

fn only(keywords: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), SchemaError> {
    match keywords.keys().find(|key| !known.contains(&key.as_str()) && !SILENT.contains(&key.as_str())) {
        Some(key) => Err(wrong(place, format!("the keyword `{key}`"))),
        None => Ok(()),
    }
}

fn wrong(place: &str, what: impl Into<String>) -> SchemaError {
    let place = if place.is_empty() { "/".to_owned() } else { place.to_owned() };
    SchemaError { what: what.into(), place }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(schema: &Value, text: &str) -> bool {
        let all = compile(schema).unwrap();
        text.bytes().fold(all, |left, byte| left.after(byte)).matches_empty()
    }

    #[test]
    fn objects_have_their_members_in_order_and_may_lack_the_optional_ones() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["b"],
            "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}, "c": {"type": "null"}},
        });
        for text in
            [r#"{"a": 1, "b": true, "c": null}"#, r#"{"b":false}"#, r#"{"b": true, "c":null}"#, r#"{"a":2,"b":true}"#]
        {
            assert!(matches(&schema, text), "{text}");
        }
        for text in
            ["{}", r#"{"a": 1}"#, r#"{"b": true, "a": 1}"#, r#"{"b": 1}"#, r#"{"b": true,}"#, r#"{"b": true, "d": 1}"#]
        {
            assert!(!matches(&schema, text), "{text}");
        }
    }

    #[test]
    fn choices_constants_and_several_types_are_kept() {
        let schema = json!({"anyOf": [{"enum": ["red", "blue", 3], "type": "string"}, {"const": null}, {"type": ["integer", "boolean"]}]});
        for (text, right) in
            [("\"red\"", true), ("null", true), ("7", true), ("true", true), ("3.5", false), ("\"green\"", false)]
        {
            assert_eq!(matches(&schema, text), right, "{text}");
        }
        let lists = json!({"type": "array", "items": {"type": "string", "maxLength": 2}, "minItems": 1, "maxItems": 2});
        assert!(matches(&lists, r#"["ab", "c"]"#) && !matches(&lists, "[]") && !matches(&lists, r#"["abc"]"#));
        assert!(matches(&json!({}), r#"{"any": ["thing"]}"#) && matches(&json!({"type": "object"}), "{}"));
    }

    #[test]
    fn the_largest_schemas_are_kept() {
        let properties: Map<_, _> = (0..120).map(|n| (format!("key {n}"), json!({"type": "null"}))).collect();
        assert!(matches(&json!({"type": "object", "properties": properties}), r#"{"key 3": null, "key 119": null}"#));
        let long = "a".repeat(8_000);
        assert!(matches(&json!({ "const": long }), &json!(long).to_string()));
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_with_its_place() {
        for (schema, said) in [
            (json!({"type": "string", "pattern": "a+"}), "`pattern` at `/`"),
            (json!({"type": "object", "properties": {"a": {"$ref": "#"}}}), "`$ref` at `/properties/a`"),
            (json!({"type": "integer", "minimum": 1}), "`minimum`"),
            (json!({"type": "word"}), "unknown type `word`"),
            (json!({"type": "array", "items": {"allOf": []}}), "`allOf` at `/items`"),
            (json!({"type": "object", "required": ["x"]}), "none of the properties"),
            (json!({"enum": []}), "no value"),
            (json!({"anyOf": []}), "empty choice"),
            (json!({"type": []}), "no value"),
            (json!({"type": "string", "minLength": 3, "maxLength": 2}), "above"),
            (json!({"type": "string", "minLength": 3_000_000}), "no number up to"),
            (json!({"enum": (0..1_000).collect::<Vec<_>>()}), "too many parts"),
            (json!({"const": "a".repeat(100_000)}), "too long"),
            (json!(false), "no schema"),
        ] {
            let message = compile(&schema).unwrap_err().to_string();
            assert!(message.contains(said), "{schema}: {message}");
        }
    }
}
