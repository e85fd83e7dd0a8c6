//! What is kept of a schema, and what is refused.

use proptest::prelude::*;
use proptest::sample::select;
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
fn a_reference_is_what_it_leads_to_and_recursion_ends() {
    let schema = json!({
        "$defs": {
            "Tree": {
                "type": "object", "required": ["name"], "additionalProperties": false,
                "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}},
            },
        },
        "allOf": [{"$ref": "#/$defs/Tree"}],
        "description": "a list, in truth",
    });
    for text in [r#"{"name": "a"}"#, r#"{"name":"a","next":{"name":"b","next":null}}"#] {
        assert!(matches(&schema, text), "{text}");
    }
    assert!(!matches(&schema, r#"{"next": null}"#));
    let nested = |levels: usize| format!("{}{}{}", r#"{"name":"a","next":"#.repeat(levels), "null", "}".repeat(levels));
    assert!(matches(&schema, &nested(RECURSION)) && !matches(&schema, &nested(RECURSION + 1)));
    // Here the type itself is the whole schema.
    assert!(matches(&json!({"type": "array", "items": {"$ref": "#"}}), "[[], [[]]]"));
}

#[test]
fn numbers_strings_and_lists_keep_their_bounds() {
    let range = json!({"type": ["integer", "string"], "minimum": 2, "exclusiveMaximum": 11, "maxLength": 1});
    for (text, right) in [("2", true), ("10", true), ("\"a\"", true), ("11", false), ("1", false), ("\"ab\"", false)] {
        assert_eq!(matches(&range, text), right, "{text}");
    }
    let code = json!({"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$", "maxLength": 6, "minLength": 1});
    assert!(matches(&code, "\"AB-123\"") && !matches(&code, "\"AB-1234\"") && !matches(&code, "\"ab-1\""));
    let date = json!({"type": ["string", "null"], "format": "date"});
    assert!(matches(&date, "\"2024-06-30\"") && matches(&date, "null") && !matches(&date, "\"2024-06-31\""));
    let pair =
        json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": false, "minItems": 2});
    assert!(matches(&pair, "[1, null]") && !matches(&pair, "[1]") && !matches(&pair, "[1, null, 2]"));
    let nine = json!({"type": "array", "prefixItems": vec![json!({"type": "null"}); 9]});
    assert!(matches(&nine, &format!("[{}]", ["null"; 9].join(", "))));
    let counts = json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}});
    assert!(matches(&counts, r#"{"a": 1, "b":0}"#) && matches(&counts, "{}") && !matches(&counts, r#"{"a": -1}"#));
    assert!(matches(&json!({"type": "string", "maxLength": 1_000_000}), "\"a\""));
}

#[test]
fn what_cannot_be_enforced_is_refused_with_its_place() {
    for (schema, said) in [
        (json!({"type": "string", "pattern": "(?=a)b"}), "looks around or back, at `/`"),
        (json!({"type": "string", "pattern": "a", "minLength": 2}), "`minLength` beside a pattern"),
        (json!({"type": "string", "pattern": "a", "format": "date"}), "`pattern` beside `format`"),
        (json!({"type": "string", "format": "iri"}), "the format `iri` at `/`"),
        (json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}), "leads nowhere at `/properties/a`"),
        (json!({"$ref": "https://a.example/b"}), "leads out of it"),
        (json!({"$ref": "#"}), "never ends"),
        (json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}), "never ends"),
        (json!({"type": "integer", "minimum": 1, "maximum": 0.5}), "no value follows this at `/`"),
        (json!({"type": "integer", "minimum": "1"}), "`minimum` that is no number"),
        (json!({"type": "integer", "multipleOf": 2}), "`multipleOf`"),
        (json!({"type": "string", "minimum": 2}), "`minimum`"),
        (json!({"$defs": {"a": {"type": "integer", "oneOf": []}}, "$ref": "#/$defs/a"}), "`oneOf` at `/$defs/a`"),
        (json!({"type": "array", "prefixItems": [{}], "minItems": 2}), "not their number"),
        (json!({"type": "word"}), "unknown type `word`"),
        (json!({"type": "array", "items": {"allOf": [{}, {}]}}), "`allOf` at `/items`"),
        (json!({"type": "object", "required": ["x"]}), "none of the properties"),
        (json!({"enum": []}), "no value"),
        (json!({"anyOf": []}), "empty choice"),
        (json!({"type": []}), "no value"),
        (json!({"type": "string", "minLength": 3, "maxLength": 2}), "above"),
        (json!({"type": "string", "minLength": 3_000_000}), "above 1000"),
        (json!({"type": "string", "maxLength": -1}), "no whole number"),
        (json!({"anyOf": vec![json!({"type": "string", "pattern": "^[^a]{900}$"}); 20]}), "too large together"),
        (json!({"enum": (0..1_000).collect::<Vec<_>>()}), "too many parts"),
        (json!({"const": "a".repeat(100_000)}), "too long"),
        (json!(false), "no schema"),
    ] {
        let message = compile(&schema).unwrap_err().to_string();
        assert!(message.contains(said), "{schema}: {message}");
    }
}

/// Anything made of the words of JSON Schema, right or wrong.
fn anything() -> impl Strategy<Value = Value> {
    let words =
        ["type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "required", "properties", "items", "prefixItems"];
    let bounds = ["minimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "format"];
    let texts = [
        "object",
        "array",
        "string",
        "number",
        "integer",
        "null",
        "a+b|^c",
        "#",
        "#/$defs/a",
        "#/properties/b",
        "date",
        "é\"",
        "(",
    ];
    let leaf = prop_oneof![
        select(texts.to_vec()).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        (-3_i64..6).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let key = select([&words[..], &bounds[..], &["additionalProperties", "a", "b", "x"]].concat());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..5).prop_map(|members| Value::Object(
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_no_schema_is_refused_and_what_is_one_leads_to_an_end(schema in anything(), turns in proptest::collection::vec(any::<u8>(), 30)) {
        let Ok(all) = compile(&schema) else { return Ok(()) };
        let mut left = all;
        for turn in turns {
            let ways: Vec<Expression> =
                (0..=u8::MAX).map(|byte| left.after(byte)).filter(|after| !after.is_nothing()).collect();
            prop_assert!(!ways.is_empty() || left.matches_empty(), "{schema}");
            match ways.get(usize::from(turn) % ways.len().max(1)) {
                Some(way) => left = way.clone(),
                None => break,
            }
        }
    }
}
