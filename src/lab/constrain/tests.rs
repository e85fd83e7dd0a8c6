//! Whatever is drawn among the allowed tokens, the finished text is what was asked for.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::*;
use crate::lab::api::Tool;
use crate::lab::prompt::Prompter;

/// Longer answers than this do not come to an end.
const MOST_TOKENS: usize = 20_000;

struct Desk {
    prompter: Prompter,
}

impl Desk {
    fn new() -> Self {
        Self { prompter: Prompter::load().unwrap() }
    }

    /// Draws tokens evenly among those that are allowed until the answer ends: the tokens, and their text.
    fn write(&self, guide: &mut Guide, seed: u64) -> (Vec<u32>, String) {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let size = self.prompter.size();
        let (mut tokens, mut bytes) = (Vec::new(), Vec::new());
        while tokens.len() < MOST_TOKENS {
            let mut mask = TokenMask::all(size);
            guide.restrict(&mut mask);
            let allowed: Vec<u32> = (0..size as u32).filter(|token| mask.allows(*token)).collect();
            assert!(!allowed.is_empty(), "no way on after {:?}", String::from_utf8_lossy(&bytes));
            let token = allowed[(generator.next_u64() % allowed.len() as u64) as usize];
            if token == guide.signs.end {
                return (tokens, String::from_utf8(bytes).unwrap());
            }
            bytes.extend_from_slice(self.prompter.bytes(token));
            tokens.push(token);
            guide.advance(token);
        }
        panic!("no end after {MOST_TOKENS} tokens");
    }

    fn guide(&self, form: Form) -> Guide {
        Guide::new(form, Arc::clone(self.prompter.vocabulary()), self.prompter.signs())
    }
}

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        (0_u32..3, 3_u32..6).prop_map(|(a, b)| json!({"type": "string", "minLength": a, "maxLength": b})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": ["number", "null"]})),
        Just(json!({"type": "boolean", "description": "yes or no"})),
        Just(json!({"const": {"a": [1, "é"]}})),
        (-300_i32..300, 0_u32..500).prop_map(
            |(low, width)| json!({"type": "integer", "minimum": low, "maximum": i64::from(low) + i64::from(width)})
        ),
        (-3.0..3.0_f64, 0.1..500.0_f64).prop_map(
            |(low, width)| json!({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + width})
        ),
        proptest::sample::select(vec!["[a-z]{1,3}[0-9]+", "^(ab|é)*$", r#"^[^a"]+"?$"#, r"^\w+( \w+){0,3}\.$", "q"])
            .prop_flat_map(|pattern| (Just(pattern), 12_u32..20))
            .prop_map(|(pattern, longest)| json!({"type": "string", "pattern": pattern, "maxLength": longest})),
        proptest::sample::select(vec![
            "date",
            "time",
            "date-time",
            "duration",
            "email",
            "hostname",
            "uri",
            "ipv4",
            "ipv6",
            "uuid"
        ])
        .prop_map(|format| json!({"type": "string", "format": format})),
        "[a-z]{1,4}".prop_map(|word| json!({"type": "string", "enum": [word, "other"]})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), 0_u32..2, 2_u32..4)
                .prop_map(|(items, a, b)| json!({"type": "array", "items": items, "minItems": a, "maxItems": b})),
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|choices| json!({ "anyOf": choices })),
            proptest::collection::vec(inner.clone(), 1..3)
                .prop_map(|items| json!({"type": "array", "prefixItems": items})),
            inner.clone().prop_map(|value| json!({"type": "object", "additionalProperties": value})),
            proptest::collection::vec((inner, any::<bool>()), 0..4).prop_map(object),
        ]
    })
}

fn object(members: Vec<(Value, bool)>) -> Value {
    let name = |index: usize| format!("key {index}");
    let required: Vec<_> = members.iter().enumerate().filter(|(_, (_, r))| *r).map(|(index, _)| name(index)).collect();
    let properties: serde_json::Map<_, _> =
        members.into_iter().enumerate().map(|(index, (schema, _))| (name(index), schema)).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_drawn_the_text_follows_its_schema(schema in schemas(), seed in any::<u64>()) {
        let desk = Desk::new();
        let mut guide = desk.guide(Form::Text(schema::compile(&schema).unwrap()));
        let (_, text) = desk.write(&mut guide, seed);
        let value: Value = serde_json::from_str(&text).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        prop_assert!(validator.is_valid(&value), "{schema}: {text}");
    }
}

#[test]
fn a_free_object_is_an_object() {
    let desk = Desk::new();
    for seed in 0..3 {
        let form = Form::asked(&Format::Object, &Tools::default()).unwrap().unwrap();
        let (_, text) = desk.write(&mut desk.guide(form), seed);
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_object(), "{text}");
    }
}

fn tools(choice: ToolChoice, strict: bool) -> Tools {
    let tool = |name: &str, argument: &str| Tool {
        name: name.to_owned(),
        description: None,
        parameters: json!({
            "type": "object", "properties": {argument: {"type": "integer"}}, "required": [argument],
            "additionalProperties": false,
        }),
        strict,
    };
    Tools { offered: vec![tool("one", "a"), tool("two", "b")], choice }
}

#[test]
fn a_call_that_must_come_is_one_of_the_tools_with_its_arguments() {
    let desk = Desk::new();
    for seed in 0..20 {
        let form = Form::asked(&Format::Text, &tools(ToolChoice::Required, false)).unwrap().unwrap();
        let (tokens, text) = desk.write(&mut desk.guide(form), seed);
        assert_eq!(tokens[0], desk.prompter.signs().call);
        let call: Value = serde_json::from_str(&text).unwrap();
        let argument = match call["name"].as_str().unwrap() {
            "one" => "a",
            "two" => "b",
            other => panic!("{other}"),
        };
        assert!(call["arguments"][argument].is_i64(), "{text}");
    }
    let named = Form::asked(&Format::Text, &tools(ToolChoice::Named("two".to_owned()), false)).unwrap().unwrap();
    let (_, text) = desk.write(&mut desk.guide(named), 1);
    assert!(text.contains("\"two\""), "{text}");
}

#[test]
fn thoughts_come_before_the_form_and_end_by_their_own_token() {
    let desk = Desk::new();
    let signs = desk.prompter.signs();
    let form = Form::asked(&Format::Object, &Tools::default()).unwrap().unwrap();
    let mut guide = desk.guide(form).after_thoughts();
    let allows = |guide: &Guide, token| {
        let mut mask = TokenMask::all(desk.prompter.size());
        guide.restrict(&mut mask);
        mask.allows(token)
    };
    let brace = (0..desk.prompter.size() as u32).find(|token| desk.prompter.bytes(*token) == b"{").unwrap();
    assert!(!allows(&guide, signs.end) && allows(&guide, signs.newline) && allows(&guide, signs.thought_end));
    guide.advance(signs.newline);
    guide.advance(signs.thought_end);
    assert!(allows(&guide, signs.newline) && allows(&guide, brace) && !allows(&guide, signs.end));
    guide.advance(signs.newline);
    assert!(!allows(&guide, signs.newline) && allows(&guide, brace));
    let (_, text) = desk.write(&mut guide, 5);
    assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
}

#[test]
fn only_strict_tools_bind_a_call_that_is_up_to_the_model() {
    assert_eq!(Form::asked(&Format::Text, &tools(ToolChoice::Auto, false)), Ok(None));
    let desk = Desk::new();
    let form = Form::asked(&Format::Text, &tools(ToolChoice::Auto, true)).unwrap().unwrap();
    let mut guide = desk.guide(form);
    guide.advance(desk.prompter.signs().newline);
    guide.advance(desk.prompter.signs().call);
    let (_, text) = desk.write(&mut guide, 2);
    assert!(serde_json::from_str::<Value>(&text).unwrap()["arguments"].is_object(), "{text}");
}

#[test]
fn a_token_that_could_not_have_come_changes_nothing() {
    let desk = Desk::new();
    let mut guide = desk.guide(Form::Text(schema::compile(&json!({"type": "null"})).unwrap()));
    guide.advance(desk.prompter.signs().call);
    let (_, text) = desk.write(&mut guide, 0);
    assert_eq!(text, "null");
}
