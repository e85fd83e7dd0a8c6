//! What files become, and what is said of those that are wrong.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::probe::{Cap, Delivery};

/// A PNG's first bytes are all that is looked at.
const PNG: &[u8] = &[0x89, b'P', b'N', b'G', 1, 2];

fn read(kind: FileKind, text: &[u8]) -> Result<Vec<Probe>, FileError> {
    let images = |name: &str| match name {
        "cat.png" => Ok(PNG.to_vec()),
        "notes.txt" => Ok(b"text".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    parse(&Source { id: "set/name", kind, bytes: text, images: &images })
}

fn markdown_probe(text: &str) -> Probe {
    let mut probes = read(FileKind::Markdown, text.as_bytes()).unwrap();
    assert_eq!(probes.len(), 1);
    probes.remove(0)
}

fn toml_probes(text: &str) -> Vec<Probe> {
    read(FileKind::Toml, text.as_bytes()).unwrap()
}

/// The message that a wrong TOML file gets.
fn complaint(text: &str) -> String {
    read(FileKind::Toml, text.as_bytes()).unwrap_err().to_string()
}

/// A TOML file with one user message, followed by more.
fn with(rest: &str) -> String {
    format!("about = \"shows\"\n[[message]]\nrole = \"user\"\ncontent = \"Hello\"\n{rest}")
}

/// A TOML file with one user message, after more top-level keys.
fn after(first: &str) -> String {
    format!("about = \"shows\"\n{first}\n[[message]]\nrole = \"user\"\ncontent = \"Hello\"\n")
}

#[test]
fn a_markdown_file_is_one_user_message_without_its_final_newline() {
    let probe = markdown_probe("Write a haiku.\n\nAbout rain.\n");
    assert_eq!(probe.messages[0].content, "Write a haiku.\n\nAbout rain.");
    assert_eq!((probe.id.as_str(), probe.about.as_str(), probe.asking), ("set/name", "", Asking::Sampled));
}

#[test]
fn the_first_line_of_a_markdown_file_may_explain_it_and_is_not_sent() {
    let probe = markdown_probe("<!-- about: shows the wind -->\n\nWrite a haiku.\n");
    assert_eq!((probe.about.as_str(), probe.messages[0].content.as_str()), ("shows the wind", "Write a haiku."));
}

#[test]
fn other_comments_are_sent() {
    let text = "<!-- hidden -->\n<!-- about: later -->";
    assert_eq!(markdown_probe(text).messages[0].content, text);
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_change_nothing() {
    let (unix, windows) = ("<!-- about: a -->\nOne\nTwo\n", "\u{feff}<!-- about: a -->\r\nOne\r\nTwo\r\n");
    assert_eq!(markdown_probe(unix), markdown_probe(windows));
    let toml = with("[[check]]\ncontains = \"hi\"\n");
    assert_eq!(toml_probes(&toml), toml_probes(&toml.replace('\n', "\r\n")));
}

#[test]
fn markdown_that_says_nothing_is_refused() {
    let complaint = |text: &str| read(FileKind::Markdown, text.as_bytes()).unwrap_err().to_string();
    assert_eq!(complaint(" \n"), "1:1: the message is empty: write what is to be said");
    assert_eq!(complaint("<!-- about: a -->\n"), "2:1: the message is empty: write what is to be said");
    assert!(complaint("<!-- about: a\nHello").starts_with("1:1: the explanation is not closed"));
    assert!(complaint("<!-- about: -->\nHello").starts_with("1:1: the explanation is empty"));
}

#[test]
fn bytes_that_are_not_text_are_refused_where_they_stand() {
    let error = read(FileKind::Markdown, b"a\nb\xff").unwrap_err();
    assert_eq!((error.position, error.problem), (Position { line: 2, column: 2 }, Problem::Encoding));
}

#[test]
fn a_toml_file_holds_all_that_a_probe_can_have() {
    let probe = toml_probes(
        r#"
        about = "shows"
        asking = "greedy"
        samples = 3
        parameters = { max_tokens = 9, top_p = 0.5, stop = ["END"] }
        [[message]]
        role = "system"
        content = "Be brief."
        [[message]]
        role = "user"
        content = "What is it?"
        images = ["cat.png"]
        [[message]]
        role = "assistant"
        tool_calls = [{ id = "c1", name = "look", arguments = "{\"at\": 1}" }]
        [[message]]
        role = "tool"
        content = "a cat"
        tool_call_id = "c1"
        [[tool]]
        name = "look"
        parameters = { type = "object" }
        [[check]]
        regex = "cat|kitten"
        [[check]]
        one_of = ["a", "b"]
        [response_schema]
        type = "string"
        "#,
    )
    .remove(0);
    assert_eq!((probe.asking, probe.samples), (Asking::Greedy, Some(3)));
    assert_eq!(probe.parameters.stop, ["END"]);
    assert_eq!(probe.messages[1].images, [Image { media_type: "image/png".into(), base64: STANDARD.encode(PNG) }]);
    assert_eq!(probe.messages[2].tool_calls[0].name, "look");
    assert_eq!(probe.messages[3].tool_call_id.as_deref(), Some("c1"));
    assert_eq!(probe.tools[0].parameters, json!({"type": "object"}));
    assert_eq!(probe.response_schema, Some(json!({"type": "string"})));
    assert_eq!(probe.checks, [Check::Regex("cat|kitten".into()), Check::OneOf(vec!["a".into(), "b".into()])]);
}

#[test]
fn a_probe_may_be_a_canary_that_comes_both_ways_without_a_cap_with_a_seed_and_an_effort() {
    let probe = toml_probes(&after(
        "purpose = \"canary\"\ndelivery = \"both\"\n\
         parameters = { max_tokens = \"none\", seed = 7, reasoning_effort = \"low\" }",
    ))
    .remove(0);
    assert_eq!((probe.purpose, probe.delivery), (Purpose::Canary, Some(Delivery::Both)));
    let parameters = probe.parameters;
    assert_eq!((parameters.max_tokens, parameters.seed), (Some(Cap::Unsent), Some(7)));
    assert_eq!(parameters.reasoning_effort.as_deref(), Some("low"));
    assert!(complaint(&after("parameters = { max_tokens = \"all\" }")).contains("or \"none\""));
    assert!(complaint(&after("parameters = { reasoning_effort = \" \" }")).contains("`reasoning_effort` is empty"));
    assert!(complaint(&after("purpose = \"song\"")).contains("canary"));
}

const FAMILY: &str = r#"
about = "shows"
asking = "greedy"
[[message]]
role = "user"
content = "Capital of {{ country }}?"
[[check]]
contains = "{{ capital }}"
[[row]]
id = "fr"
country = "France"
capital = "Paris"
[[row]]
country = "Peru"
capital = "Lima"
"#;

#[test]
fn a_family_has_a_probe_for_each_row_named_by_id_or_number() {
    let probes = toml_probes(FAMILY);
    let told: Vec<_> = probes.iter().map(|p| (p.id.as_str(), p.messages[0].content.as_str(), &p.checks[0])).collect();
    let (paris, lima) = (Check::Contains("Paris".into()), Check::Contains("Lima".into()));
    assert_eq!(told, [("set/name/fr", "Capital of France?", &paris), ("set/name/002", "Capital of Peru?", &lima)]);
}

#[test]
fn braces_outside_a_family_are_only_text() {
    let probe = toml_probes(&with("").replace("Hello", "Say {{ this }}")).remove(0);
    assert_eq!(probe.messages[0].content, "Say {{ this }}");
}

#[test]
fn templates_keep_final_newlines_and_escape_nothing() {
    let text = FAMILY.replace("\"Capital of {{ country }}?\"", "'''<{{ country }}>&\n'''");
    assert_eq!(toml_probes(&text)[0].messages[0].content, "<France>&\n");
}

#[test]
fn a_name_that_a_row_lacks_is_named_with_file_row_and_suggestion() {
    let wrong = FAMILY.replace("{{ capital }}", "{{ captial }}");
    let expected = "7:1: in row `fr`: the row has no value `captial`; did you mean `capital`?";
    assert_eq!(complaint(&wrong), expected);
    let lacking = FAMILY.replace("capital = \"Lima\"\n", "");
    assert!(complaint(&lacking).contains("in row `002`: the row has no value `capital`"), "{}", complaint(&lacking));
}

#[test]
fn broken_and_endless_templates_are_refused() {
    assert!(complaint(&FAMILY.replace("{{ country }}?", "{{ country")).contains("the template cannot be filled"));
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(complaint(&FAMILY.replace("{{ country }}", endless)).contains("the template cannot be filled"));
}

#[test]
fn rows_must_exist_and_have_names_of_their_own() {
    assert!(complaint(&after("row = []")).contains("the family has no rows"));
    assert!(complaint(&FAMILY.replace("\"fr\"", "\"002\"")).starts_with("13:1: another row has the id `002` too"));
    assert!(complaint(&FAMILY.replace("\"fr\"", "\"a b\"")).contains("the row's id `a b` does not serve"));
}

#[test]
fn values_of_every_kind_can_be_filled_in() {
    let text = FAMILY
        .replace("{{ country }}", "{{ n }} {{ x }} {{ yes }} {{ day }} {{ list | join('-') }} {{ inner.a }}")
        .replace(
            "capital = ",
            "n = 3\nx = 1.5\nyes = true\nday = 2020-01-02\nlist = [1, 2]\ninner = { a = 'z' }\ncapital = ",
        );
    assert_eq!(toml_probes(&text)[0].messages[0].content, "Capital of 3 1.5 True 2020-01-02 1-2 z?");
}

#[test]
fn misspelt_keys_are_refused_wherever_they_stand_with_a_suggestion() {
    assert_eq!(complaint(&after("sample = 3")), "2:1: unknown key `sample`; did you mean `samples`?");
    let inner = complaint(&with("[[check]]\ncontain = \"a\"\n"));
    assert_eq!(inner, "6:1: unknown key `contain`; did you mean `contains`?");
    let parameter = complaint(&after("parameters = { max_token = 3 }"));
    assert_eq!(parameter, "2:16: unknown key `max_token`; did you mean `max_tokens`?");
    assert_eq!(complaint(&after("wholly_else = 1")), "2:1: unknown key `wholly_else`");
}

#[test]
fn broken_toml_and_wrong_kinds_of_values_keep_their_place() {
    assert!(
        complaint("about = \"a\"\nsamples = = 3\n").starts_with("2:11: "),
        "{}",
        complaint("about = \"a\"\nsamples = = 3\n")
    );
    assert!(complaint(&after("samples = \"three\"")).starts_with("2:11: invalid type"));
    assert!(complaint(&after("asking = \"softly\"")).starts_with("2:10: unknown variant"));
    assert!(complaint("asking = \"greedy\"\n").contains("missing field `about`"));
}

#[test]
fn a_conversation_must_say_something_and_end_with_a_question() {
    assert!(complaint("about = \"a\"").contains("there is no message"));
    assert!(complaint("about = \" \"").contains("the explanation is empty"));
    assert!(
        complaint(&with("[[message]]\nrole = \"user\"\ncontent = \"\"\n")).starts_with("5:1: the message is empty")
    );
    assert!(
        complaint(&with("[[message]]\nrole = \"assistant\"\ncontent = \"Hi\"\n")).contains("ends with the assistant's")
    );
    assert!(complaint(&with("[[message]]\nrole = \"system\"\ncontent = \"Hi\"\n")).contains("ends with the system"));
}

#[test]
fn fields_stay_with_the_roles_that_own_them() {
    let image = with("[[message]]\nrole = \"system\"\ncontent = \"a\"\nimages = [\"cat.png\"]\n");
    assert!(complaint(&image).contains("`images` belongs to role \"user\""));
    let stray = with("[[message]]\nrole = \"tool\"\ncontent = \"a\"\ntool_call_id = \"c\"\n");
    assert!(complaint(&stray).contains("answers no earlier tool call"));
    let call = "[[message]]\nrole = \"assistant\"\ntool_calls = [{ id = \"c\", name = \"f\", arguments = \"1\" }]\n";
    assert!(complaint(&with(call)).contains("the arguments of `f` are no JSON object"));
}

#[test]
fn parameters_out_of_range_are_refused() {
    let told = |parameter: &str| complaint(&after(&format!("parameters = {{ {parameter} }}")));
    assert!(told("temperature = 2.5").starts_with("2:14: `temperature` is 2.5: it must be above 0 and at most 2"));
    assert!(told("temperature = nan").contains("`temperature` is NaN"));
    assert!(told("temperature = 0").contains("set `asking = \"greedy\"`"));
    assert!(told("max_tokens = 0").contains("`max_tokens` is 0: it must be at least 1"));
    assert!(told("top_p = 0").contains("`top_p` is 0"));
    assert!(told("stop = [\"\"]").contains("a stop sequence is empty"));
    assert!(complaint(&after("samples = 0")).contains("`samples` is 0: it must be at least 1"));
    let greedy = complaint(&after("asking = \"greedy\"\nparameters = { temperature = 1 }"));
    assert!(greedy.contains("a greedy probe is always asked at temperature 0"));
}

#[test]
fn tools_need_sane_names_and_schemas() {
    let tool = |name: &str, schema: &str| format!("[[tool]]\nname = \"{name}\"\nparameters = {schema}\n");
    assert!(complaint(&with(&tool("two words", "{}"))).contains("`two words` is no name for a tool"));
    let twice = tool("a", "{}") + &tool("a", "{}");
    assert!(complaint(&with(&twice)).starts_with("8:1: the tool `a` is offered twice"));
    assert!(complaint(&with(&tool("a", "{ type = 3 }"))).contains("`parameters` is no usable JSON Schema"));
    assert!(complaint(&with("[response_schema]\ntype = \"strong\"\n")).contains("`response_schema` is no usable"));
}

#[test]
fn checks_have_exactly_one_condition_that_can_be_used() {
    let told = |check: &str| complaint(&with(&format!("[[check]]\n{check}\n")));
    assert!(told("").contains("this one has 0"));
    assert!(told("exact = \"a\"\ncontains = \"b\"").starts_with("5:1: a check has exactly one"));
    assert!(told("regex = \"(\"").contains("the regular expression does not compile"));
    assert!(told("contains = \"\"").contains("`contains` is empty"));
    assert!(told("one_of = []").contains("`one_of` is empty"));
    assert!(told("json_schema = { type = 3 }").contains("`json_schema` is no usable JSON Schema"));
    assert!(told("json_schema = { \"$ref\" = \"http://127.0.0.1:1/x\" }").contains("no usable JSON Schema"));
}

#[test]
fn images_must_be_there_and_be_images() {
    let told = |name: &str| complaint(&with("").replace("\"Hello\"", &format!("\"Hello\"\nimages = [\"{name}\"]")));
    assert!(told("dog.png").contains("the image `dog.png` cannot be read"));
    assert!(told("notes.txt").contains("the image `notes.txt` is of no kind that hosts take"));
}

/// TOML-like text that comes closer to the parser's depths than random characters do.
fn toml_like() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "about = \"a\"",
        "asking = \"greedy\"",
        "samples = 1",
        "[[message]]",
        "role = \"user\"",
        "role = \"tool\"",
        "content = \"{{ a }}\"",
        "content = '{% x'",
        "[[row]]",
        "id = 1",
        "a = [1, {}]",
        "[[check]]",
        "regex = \"(\"",
        "contains = \"{{ b.c }}\"",
        "[[tool]]",
        "name = \"f\"",
        "[tool.parameters]",
        "type = 3",
        "[response_schema]",
        "tool_call_id = \"\"",
        "images = [\"\"]",
        "[parameters]",
        "temperature = inf",
        "\"\" = 1",
        "row = 3",
        "= \u{e4}",
    ]);
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_are_read_or_refused_at_a_place_inside_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in [FileKind::Markdown, FileKind::Toml] {
            if let Err(error) = read(kind, &bytes) {
                prop_assert!(error.position.line <= bytes.len() + 1 && error.position.column <= bytes.len() + 1);
            }
        }
    }

    #[test]
    fn text_that_looks_like_a_probe_file_is_read_or_refused(text in toml_like()) {
        match read(FileKind::Toml, text.as_bytes()) {
            Ok(probes) => prop_assert!(!probes.is_empty()),
            Err(error) => prop_assert!(error.position.line <= text.lines().count() + 1),
        }
    }

    #[test]
    fn any_text_comes_back_from_a_markdown_file(about in "[a-z ]{0,9}[a-z]", text in "[^\r]{0,60}[^\\s\r]") {
        let probe = markdown_probe(&format!("<!-- about: {about} -->\n{text}\n"));
        prop_assert_eq!(probe.about.as_str(), about.trim());
        prop_assert_eq!(probe.messages[0].content.as_str(), text.trim_start_matches('\n'));
    }

    #[test]
    fn any_text_comes_back_from_a_toml_file_and_from_a_row(text in "[^\r]{0,60}[^\\s\r]") {
        let quoted = toml::Value::String(text.clone()).to_string();
        let single = toml_probes(&with("").replace("\"Hello\"", &quoted));
        prop_assert_eq!(&single[0].messages[0].content, &text);
        let family = FAMILY.replace("\"France\"", &quoted);
        prop_assert_eq!(&toml_probes(&family)[0].messages[0].content, &format!("Capital of {text}?"));
    }
}

#[test]
fn probes_and_images_are_known_by_their_names() {
    for name in ["a.md", "b/c.toml", "image.png", "image.JPG", "image.jpeg", "x.gif", "x.webp", "README.MD"] {
        assert!(is_of_probes(Path::new(name)), "{name}");
    }
    for name in ["report.json", "md", "samples.jsonl", "image.bmp", ".md"] {
        assert!(!is_of_probes(Path::new(name)), "{name}");
    }
    assert_eq!(FileKind::of(Path::new("README.MD")), None, "the loader passes it over");
}
