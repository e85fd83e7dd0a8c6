//! From a JSON Schema to the expression of all texts that follow it, or of enough of them. Pure.
//!
//! A subset: whatever cannot be kept is refused, so that nothing is enforced in part. Members come in the schema's order, as
//! hosts with guided decoding have it.

mod scalar;

use std::sync::LazyLock;

use serde_json::{Map, Value};
use thiserror::Error;

use super::expression::Expression;
use super::json;
use super::number::Kind;

/// The most subschemas, members and values in one schema.
const MOST_PARTS: usize = 256;
/// The most bytes of names and values that must come as they are.
const MOST_BYTES: usize = 8_192;
/// The most bytes of all automata for patterns together; making them takes time.
const MOST_MEMORY: usize = 4 << 20;
/// The highest bound on strings and lists that is kept; one from above may be higher.
const LONGEST_BOUND: u64 = 1_000;

/// How many times a schema is unfolded inside itself.
const RECURSION: usize = 4;

/// Keywords that describe and do not bind.
const SILENT: &[&str] = &[
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "deprecated",
];

/// Keywords that bind values of one type only.
const TYPED: &[(&str, &[&str])] = &[
    ("object", &["properties", "required", "additionalProperties"]),
    ("array", &["items", "prefixItems", "minItems", "maxItems"]),
    ("string", &["minLength", "maxLength", "pattern", "format"]),
    ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
    ("integer", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
    ("boolean", &[]),
    ("null", &[]),
];

static NO_PROPERTIES: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

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
    let mut compiler = Compiler {
        root: schema,
        parts: MOST_PARTS,
        bytes: MOST_BYTES,
        memory: MOST_MEMORY,
        within: Vec::new(),
        cut: false,
    };
    let all = compiler.schema(schema, "")?;
    if all.is_nothing() { Err(wrong("", "a schema that never ends")) } else { Ok(all) }
}

/// What of a schema may still come: expressions are walked by recursion, and hashed byte by byte.
struct Compiler<'a> {
    root: &'a Value,
    parts: usize,
    bytes: usize,
    memory: usize,
    /// The references that are being followed.
    within: Vec<&'a str>,
    /// Whether some schema was not unfolded once more, so that no text matches where it stands.
    cut: bool,
}

impl<'a> Compiler<'a> {
    /// Counts a part with so many bytes to be written as they are.
    fn count(&mut self, bytes: usize, place: &str) -> Result<(), SchemaError> {
        let left = self.parts.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        (self.parts, self.bytes) = left.ok_or_else(|| wrong(place, "too many parts, or too long ones,"))?;
        Ok(())
    }

    fn schema(&mut self, schema: &'a Value, place: &str) -> Result<Expression, SchemaError> {
        self.count(0, place)?;
        let keywords = match schema {
            Value::Bool(true) => return Ok(Expression::value(json::DEPTH)),
            Value::Object(keywords) => keywords,
            _ => return Err(wrong(place, "no schema")),
        };
        let all = self.keywords(keywords, place)?;
        if all.is_nothing() && !self.cut { Err(wrong(place, "no value follows this")) } else { Ok(all) }
    }

    fn keywords(&mut self, keywords: &'a Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        if let Some(reference) = keywords.get("$ref") {
            only(keywords, &["$ref"], place)?;
            return self.reference(reference, place);
        }
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
        // One schema of which all must hold is that schema; there, `description` and the like stand beside a reference.
        if let Some([one]) = keywords.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            only(keywords, &["allOf"], place)?;
            return self.schema(one, &format!("{place}/allOf/0"));
        }
        match keywords.get("type") {
            Some(Value::String(kind)) => self.typed(kind, keywords, place),
            Some(Value::Array(kinds)) => self.one_of_types(kinds, keywords, place),
            None if keywords.contains_key("properties") => self.typed("object", keywords, place),
            None => {
                only(keywords, &[], place)?;
                Ok(Expression::value(json::DEPTH))
            }
            Some(_) => Err(wrong(place, "a type that is no text")),
        }
    }

    /// What a reference inside this schema leads to, unfolded anew; nothing if it was unfolded inside itself often enough.
    fn reference(&mut self, reference: &'a Value, place: &str) -> Result<Expression, SchemaError> {
        let pointer = reference.as_str().and_then(|reference| reference.strip_prefix('#'));
        let pointer = pointer.ok_or_else(|| wrong(place, "a `$ref` that leads out of it"))?;
        let target = self.root.pointer(pointer).ok_or_else(|| wrong(place, "a `$ref` that leads nowhere"))?;
        if self.within.iter().filter(|other| **other == pointer).count() == RECURSION {
            self.cut = true;
            return Ok(Expression::nothing());
        }
        self.within.push(pointer);
        let all = self.schema(target, pointer);
        self.within.pop();
        all
    }

    fn one_of_types(
        &mut self,
        kinds: &'a [Value],
        keywords: &'a Map<String, Value>,
        place: &str,
    ) -> Result<Expression, SchemaError> {
        let kinds = kinds.iter().map(|kind| kind.as_str().ok_or_else(|| wrong(place, "a type that is no text")));
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        let meant = |key: &str| kinds.iter().any(|kind| of_type(kind).contains(&key));
        let known: Vec<_> = keywords.keys().map(String::as_str).filter(|key| *key == "type" || meant(key)).collect();
        only(keywords, &known, place)?;
        let each = kinds.iter().map(|kind| self.of_type(kind, keywords, place));
        Ok(Expression::either(each.collect::<Result<Vec<_>, _>>()?))
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

    fn any_of(&mut self, choices: &'a [Value], place: &str) -> Result<Expression, SchemaError> {
        let each = choices.iter().enumerate().map(|(index, choice)| self.schema(choice, &format!("{place}/{index}")));
        let all = Expression::either(each.collect::<Result<Vec<_>, _>>()?);
        if choices.is_empty() { Err(wrong(place, "an empty choice")) } else { Ok(all) }
    }

    fn typed(&mut self, kind: &str, keywords: &'a Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        let known: Vec<_> = of_type(kind).iter().copied().chain(["type"]).collect();
        only(keywords, &known, place)?;
        self.of_type(kind, keywords, place)
    }

    /// Values of this type; keywords of other types say nothing about them.
    fn of_type(
        &mut self,
        kind: &str,
        keywords: &'a Map<String, Value>,
        place: &str,
    ) -> Result<Expression, SchemaError> {
        match kind {
            "object" => self.object(keywords, place),
            "array" => self.array(keywords, place),
            "string" => self.string(keywords, place),
            "integer" => scalar::number(keywords, Kind::Integer, place),
            "number" => scalar::number(keywords, Kind::Decimal, place),
            "boolean" => Ok(json::boolean()),
            "null" => Ok(json::null()),
            _ => Err(wrong(place, format!("the unknown type `{kind}`"))),
        }
    }

    fn string(&mut self, keywords: &Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        let bounds = bounds(keywords, ["minLength", "maxLength"], json::LONGEST_STRING, place)?;
        let Some(pattern) = scalar::pattern(keywords, bounds, place)? else {
            return Ok(json::string(bounds.0, bounds.1));
        };
        let left = self.memory.checked_sub(pattern.memory());
        self.memory = left.ok_or_else(|| wrong(place, "patterns that are too large together"))?;
        Ok(json::patterned(pattern))
    }

    fn array(&mut self, keywords: &'a Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        let bounds = |usual| bounds(keywords, ["minItems", "maxItems"], usual, place);
        if let Some(items) = keywords.get("prefixItems") {
            return self.tuple(items, bounds(u32::MAX)?, &format!("{place}/prefixItems"));
        }
        let item = match keywords.get("items") {
            Some(items) => self.schema(items, &format!("{place}/items"))?,
            None => Expression::value(json::DEPTH - 1),
        };
        Ok(json::list(&item, bounds(json::MOST_ITEMS)?))
    }

    /// Lists of one item for each of these schemas. That they may go on, or break off, makes no difference to what they are.
    fn tuple(&mut self, items: &'a Value, (least, most): (u32, u32), place: &str) -> Result<Expression, SchemaError> {
        let items = items.as_array().ok_or_else(|| wrong(place, "no list of schemas"))?;
        if items.len() < least as usize || items.len() > most as usize {
            return Err(wrong(place, "a bound on items that is not their number"));
        }
        let each = items.iter().enumerate().map(|(index, item)| self.schema(item, &format!("{place}/{index}")));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        Ok(json::tuple(each.into_iter()))
    }

    fn object(&mut self, keywords: &'a Map<String, Value>, place: &str) -> Result<Expression, SchemaError> {
        let others = match keywords.get("additionalProperties") {
            None | Some(Value::Bool(true)) => Some(Expression::value(json::DEPTH - 1)),
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(self.schema(schema, &format!("{place}/additionalProperties"))?),
        };
        let properties = match keywords.get("properties") {
            None => &NO_PROPERTIES,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(wrong(place, "`properties` that are no object")),
        };
        let required = required(keywords, properties, place)?;
        // Where some members have names, others may stay away.
        if let (true, Some(others)) = (properties.is_empty(), others) {
            return Ok(json::object_of(others));
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

/// The keywords that bind values of this type.
fn of_type(kind: &str) -> &'static [&'static str] {
    TYPED.iter().find(|(other, _)| *other == kind).map_or(&[], |(_, keywords)| keywords)
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
        Some(value) => {
            value.as_u64().map(Some).ok_or_else(|| wrong(place, format!("`{name}` that is no whole number")))
        }
    };
    let least_wanted = match read(least)?.unwrap_or(0) {
        number @ ..=LONGEST_BOUND => number as u32,
        _ => return Err(wrong(place, format!("`{least}` that is above {LONGEST_BOUND}"))),
    };
    // What is allowed to be longer need not be.
    let most_wanted = read(most)?.map_or_else(|| usual.max(least_wanted), |most| most.min(LONGEST_BOUND) as u32);
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
mod tests;
