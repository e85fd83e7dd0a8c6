//! The JSON Schema of the configuration, and what it says of one place: which keys may stand there and of what type.

use serde_json::Value;

use super::types::Config;

/// The JSON Schema (draft 2020-12) of `providers.toml`, generated from [`Config`].
pub fn json_schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// A node of the schema together with the root that its references point into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema<'s> {
    root: &'s Value,
    node: &'s Value,
}

/// What may stand at a place.
#[derive(Debug)]
pub(super) enum Shape<'s> {
    /// A table of known keys.
    Record(Record<'s>),
    /// A table of free keys whose values are all of one kind.
    Map(Schema<'s>),
    /// A list of tables with names of their own.
    Named(Schema<'s>),
    /// A list.
    List(Schema<'s>),
    /// A string, or a table of known keys.
    TextOrRecord(Record<'s>),
    /// A string, or a list of strings.
    TextOrTexts(Schema<'s>),
    /// A string.
    Text,
    /// One of these words.
    Words(Vec<&'s str>),
    /// A whole number from 0 to this one.
    Whole(u64),
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Whatever JSON can hold.
    Anything,
}

/// A table of known keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'s> {
    root: &'s Value,
    node: &'s Value,
}

impl<'s> Record<'s> {
    /// The keys with their schemas, in the order of the types.
    pub(super) fn keys(self) -> impl Iterator<Item = (&'s str, Schema<'s>)> + Clone {
        let properties = self.node.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(move |(key, node)| (key.as_str(), Schema { root: self.root, node }))
    }

    /// The schema of a key, when it is known.
    pub(super) fn key(self, key: &str) -> Option<Schema<'s>> {
        self.keys().find(|(known, _)| *known == key).map(|(_, schema)| schema)
    }

    /// The keys without which the table is incomplete.
    pub(super) fn required(self) -> impl Iterator<Item = &'s str> {
        self.node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}

impl<'s> Schema<'s> {
    /// The schema at its root.
    pub(super) fn new(root: &'s Value) -> Self {
        Self { root, node: root }
    }

    /// What the types' documentation says of this place.
    pub(super) fn description(self) -> Option<&'s str> {
        self.node.get("description").or_else(|| self.resolved().get("description")).and_then(Value::as_str)
    }

    /// The value that stands for an absent key, where there is one.
    #[cfg(test)]
    pub(super) fn default(self) -> Option<&'s Value> {
        self.node.get("default")
    }

    /// What may stand here. A schema that is none of the known forms takes anything.
    pub(super) fn shape(self) -> Shape<'s> {
        let node = self.resolved();
        let at = |node| Schema { root: self.root, node };
        let record = |node| Record { root: self.root, node };
        if let Some(choices) = node.get("anyOf").and_then(Value::as_array) {
            let choices: Vec<Shape<'s>> = choices.iter().filter(|c| !is_null(c)).map(|c| at(c).shape()).collect();
            return one_or_text_or_more(choices);
        }
        if let Some(words) = words(node) {
            return Shape::Words(words);
        }
        match type_name(node) {
            Some("object") if node.get("properties").is_some() => Shape::Record(record(node)),
            Some("object") => node.get("additionalProperties").map_or(Shape::Anything, |item| Shape::Map(at(item))),
            Some("array") => match node.get("items").map(|item| (at(item), at(item).shape())) {
                Some((item, Shape::Record(r))) if r.required().any(|key| key == "name") => Shape::Named(item),
                Some((item, _)) => Shape::List(item),
                None => Shape::Anything,
            },
            Some("string") => Shape::Text,
            Some("integer") => Shape::Whole(most(node)),
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            _ => Shape::Anything,
        }
    }

    fn resolved(self) -> &'s Value {
        let pointer = self.node.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        pointer.and_then(|p| self.root.pointer(p)).unwrap_or(self.node)
    }
}

fn is_null(node: &Value) -> bool {
    type_name(node).is_none() && node.get("type").and_then(Value::as_str) == Some("null")
}

/// The type's name; of an optional value's two the one that is not null.
fn type_name(node: &Value) -> Option<&str> {
    let name = match node.get("type")? {
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|n| *n != "null")?,
        name => name.as_str()?,
    };
    (name != "null").then_some(name)
}

fn one_or_text_or_more(mut choices: Vec<Shape<'_>>) -> Shape<'_> {
    match choices.as_slice() {
        [_] => choices.remove(0),
        [Shape::Text, Shape::Record(record)] => Shape::TextOrRecord(*record),
        [Shape::Text, Shape::List(item)] if matches!(item.shape(), Shape::Text) => Shape::TextOrTexts(*item),
        _ => Shape::Anything,
    }
}

/// The words of an enumeration, which has one constant for each documented variant.
fn words(node: &Value) -> Option<Vec<&str>> {
    let constants = match (node.get("oneOf"), node.get("enum")) {
        (Some(Value::Array(variants)), _) => variants.iter().map(|v| v.get("const")).collect::<Option<Vec<_>>>()?,
        (_, Some(Value::Array(constants))) => constants.iter().collect(),
        _ => return None,
    };
    constants.into_iter().map(Value::as_str).collect()
}

/// The largest whole number of a type.
fn most(node: &Value) -> u64 {
    match (node.get("maximum").and_then(Value::as_u64), node.get("format").and_then(Value::as_str)) {
        (Some(maximum), _) => maximum,
        (None, Some("uint8")) => u8::MAX.into(),
        (None, Some("uint16")) => u16::MAX.into(),
        (None, Some("uint32")) => u32::MAX.into(),
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'s>(schema: &'s Value, keys: &[&str]) -> Shape<'s> {
        keys.iter().fold(Schema::new(schema).shape(), |shape, key| match shape {
            Shape::Record(r) | Shape::TextOrRecord(r) => r.key(key).unwrap_or_else(|| panic!("no {key}")).shape(),
            Shape::Map(item) | Shape::Named(item) | Shape::List(item) => item.shape(),
            other => panic!("{key} under {other:?}"),
        })
    }

    #[test]
    fn every_kind_of_key_is_recognised() {
        let schema = json_schema();
        assert!(matches!(at(&schema, &["defaults", "samples"]), Shape::Whole(4_294_967_295)));
        assert!(matches!(at(&schema, &["defaults", "budget"]), Shape::Number));
        assert!(matches!(at(&schema, &["defaults", "stream"]), Shape::Boolean));
        assert!(matches!(at(&schema, &["provider", "x", "base_url"]), Shape::Text));
        assert!(matches!(at(&schema, &["provider", "x", "auth"]), Shape::Words(w) if w == ["bearer", "api-key"]));
        assert!(matches!(at(&schema, &["provider", "x", "timeout"]), Shape::Record(_)));
        assert!(matches!(at(&schema, &["provider", "x", "dialect", "rate_limit_statuses", "0"]), Shape::Whole(65535)));
        assert!(matches!(at(&schema, &["model", "x", "reference"]), Shape::TextOrRecord(_)));
        assert!(matches!(at(&schema, &["model", "x", "endpoint"]), Shape::Named(_)));
        assert!(matches!(at(&schema, &["model", "x", "endpoint", "0", "expected_model"]), Shape::TextOrTexts(_)));
        assert!(matches!(at(&schema, &["model", "x", "probes"]), Shape::List(_)));
    }

    #[test]
    fn only_fields_of_a_request_body_take_anything() {
        fn free(shape: &Shape<'_>, path: &str, out: &mut Vec<String>) {
            match shape {
                Shape::Anything => out.push(path.to_owned()),
                Shape::Record(r) | Shape::TextOrRecord(r) => {
                    r.keys().for_each(|(key, s)| free(&s.shape(), &format!("{path}.{key}"), out));
                }
                Shape::Map(s) | Shape::Named(s) | Shape::List(s) => free(&s.shape(), &format!("{path}.*"), out),
                _ => {}
            }
        }
        let schema = json_schema();
        let mut out = Vec::new();
        free(&Schema::new(&schema).shape(), "", &mut out);
        assert_eq!(out, [".model.*.endpoint.*.extra_body.*"]);
    }
}
