//! Marks in a text: what belongs to the chat format, to thinking or to a tool call, and not into an answer.

use serde_json::Value;

/// Tokens of chat formats that are not written with bars and angles.
const PLAIN_TOKENS: [&str; 10] =
    ["<s>", "</s>", "<bos>", "<eos>", "<pad>", "[PAD]", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]"];

/// Those of them that are tags of HTML as well.
const STRIKES: [&str; 2] = ["<s>", "</s>"];

/// Whether a text strikes something out, in HTML: a pair of tags that does not hold all of it.
fn strikes_out(text: &str) -> bool {
    let text = text.trim();
    let pair = text.find(STRIKES[0]).zip(text.rfind(STRIKES[1]));
    pair.is_some_and(|(open, close)| open < close && (open > 0 || close + STRIKES[1].len() < text.len()))
}

/// Special tokens in a text: in bars and angles, in the full-width form that some models have, or known by name.
pub fn special_tokens(text: &str) -> impl Iterator<Item = &str> {
    let between = |open: &'static str, close: &'static str| {
        text.match_indices(open).filter_map(move |(start, _)| {
            let rest = &text[start + open.len()..];
            let end = rest.find(close)?;
            let name = &rest[..end];
            let plain =
                name.chars().count() <= 40 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '▁'));
            (plain && !name.is_empty()).then(|| &text[start..start + open.len() + end + close.len()])
        })
    };
    let strikes = strikes_out(text);
    let known = PLAIN_TOKENS.iter().filter(move |name| !strikes || !STRIKES.contains(*name));
    let named = known.filter_map(|name| text.find(name).map(|at| &text[at..at + name.len()]));
    between("<|", "|>").chain(between("<｜", "｜>")).chain(named)
}

/// The text before the special tokens at its end, which some hosts leave there.
pub fn before_end_tokens(text: &str) -> &str {
    let mut rest = text.trim_end();
    // Nearly no text ends in a way in which a token does.
    while rest.ends_with(['>', ']']) {
        let last = special_tokens(rest).filter(|token| rest.ends_with(*token)).map(str::len).max();
        let Some(length) = last else { break };
        rest = rest[..rest.len() - length].trim_end();
    }
    rest
}

/// The text without its special tokens.
pub fn without_special_tokens(text: &str) -> String {
    let mut out = text.to_owned();
    for token in special_tokens(text) {
        out = out.replace(token, "");
    }
    out
}

/// What begins a tool call in the formats of models.
const CALLS: [&str; 10] = [
    "<tool_call>",
    "<|tool_call",
    "<|tool_calls_section_begin|>",
    "<｜tool▁calls▁begin｜>",
    "<|python_tag|>",
    "<|call|>",
    "[TOOL_CALLS]",
    "<function=",
    "<|channel|>commentary to=",
    "<|tool_sep|>",
];

/// Whether a call of one of these tools stands in a text, as some model writes it.
pub fn holds_call(text: &str, tools: &[String]) -> bool {
    let forms =
        |tool: &String| [format!("\"name\":\"{tool}\""), format!("\"name\":\"functions.{tool}\""), format!("[{tool}(")];
    // JSON may have blanks wherever it likes.
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    CALLS.iter().any(|mark| text.contains(mark)) || tools.iter().flat_map(forms).any(|form| dense.contains(&form))
}

/// The most beginnings of JSON that are tried in one text.
const MOST_BEGINNINGS: usize = 32;

/// Whether a whole call of one of these tools stands in a text, as JSON with its name and its arguments.
pub fn holds_whole_call(text: &str, tools: &[String]) -> bool {
    let is_call = |value: &Value| {
        let call = value.get("function").filter(|inner| inner.is_object()).unwrap_or(value);
        let name = call.get("name").and_then(Value::as_str).is_some_and(|name| tools.iter().any(|tool| tool == name));
        name && ["arguments", "parameters"].iter().any(|field| call.get(field).is_some_and(Value::is_object))
    };
    text.match_indices('{').take(MOST_BEGINNINGS).any(|(start, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        values.next().is_some_and(|value| value.is_ok_and(|value| is_call(&value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_special_tokens_are_found() {
        let found: Vec<&str> =
            special_tokens("a<|eot_id|>b <| not |> <|half <|im_end|> <｜end▁of▁sentence｜></s>").collect();
        assert_eq!(found, ["<|eot_id|>", "<|im_end|>", "<｜end▁of▁sentence｜>", "</s>"]);
        assert_eq!(without_special_tokens("Yes.<|end|>"), "Yes.");
    }

    #[test]
    fn what_is_struck_out_in_html_is_no_special_token() {
        assert_eq!(special_tokens("It costs <s>9</s> 7 euros.").count(), 0);
        assert_eq!(special_tokens("<s>Yes.</s>").collect::<Vec<_>>(), ["<s>", "</s>"]);
        assert_eq!(special_tokens("Yes.</s>").count(), 1);
    }

    #[test]
    fn special_tokens_end_a_text_one_behind_the_other() {
        assert_eq!(before_end_tokens("Yes. <|eot_id|></s>\n"), "Yes.");
        assert_eq!(before_end_tokens("<|eot_id|>"), "");
        for whole in ["a[0]", "<b>bold</b>", "<|im_end|> ends it."] {
            assert_eq!(before_end_tokens(whole), whole);
        }
    }

    #[test]
    fn thoughts_are_no_special_tokens() {
        assert_eq!(special_tokens("<think>hm</think> yes").count(), 0);
    }

    #[test]
    fn a_call_is_known_by_its_mark_or_by_a_tool_that_was_offered() {
        let tools = ["get_weather".to_owned()];
        assert!(holds_call("{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}", &tools));
        assert!(holds_call("<tool_call>\n{}", &[]) && holds_call("[get_weather(city=\"Rome\")]", &tools));
        assert!(!holds_call("{\"name\": \"Anna\", \"age\": 3}", &tools));
        assert!(!holds_call("Call get_weather for that.", &tools));
    }

    #[test]
    fn a_whole_call_has_a_name_and_arguments() {
        let tools = ["get_weather".to_owned()];
        let whole = "So: {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}.";
        assert!(holds_whole_call(whole, &tools));
        assert!(!holds_whole_call(&whole.replace("}}", "}"), &tools) && !holds_whole_call(whole, &[]));
    }

    proptest! {
        #[test]
        fn any_text_is_searched_without_panic(text in "(<\\||\\|>|<s>|<｜|｜>|\\PC){0,20}") {
            let found: usize = special_tokens(&text).map(str::len).sum();
            prop_assert!(found <= 2 * text.len());
            prop_assert!(text.starts_with(before_end_tokens(&text)));
            let _ = (without_special_tokens(&text), holds_call(&text, &["x".into()]));
            let _ = holds_whole_call(&text, &["x".into()]);
        }
    }
}
