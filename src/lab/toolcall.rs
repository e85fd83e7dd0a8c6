//! The parser of tool calls: from the text of a call, as the model writes it, to a name and the pieces of its arguments. Pure.

use serde::Deserialize;
use serde_json::Value;

/// A call that is being read.
#[derive(Debug, Default)]
pub struct CallParser {
    /// What has been read and not been told.
    text: String,
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    /// `{"name": "…", "arguments": ` has not been seen as a whole.
    #[default]
    Head,
    /// Within the arguments.
    Arguments(Nesting),
    /// The arguments are over; what follows says nothing.
    Over,
    /// This is another way to write a call, or none.
    Odd,
}

/// What a piece of text brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallNews {
    /// A call of this function begins.
    Begin(String),
    /// More of its arguments.
    Arguments(String),
}

/// Where in a JSON value the text is.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    place: Place,
}

#[derive(Debug, Default, PartialEq)]
enum Place {
    #[default]
    Outside,
    InString,
    Escaped,
}

impl CallParser {
    /// Takes more of the text.
    pub fn push(&mut self, text: &str) -> Vec<CallNews> {
        self.text.push_str(text);
        let mut news = Vec::new();
        if matches!(self.stage, Stage::Head) {
            match head(&self.text) {
                Ok((name, rest)) => {
                    self.text = rest.to_owned();
                    self.stage = Stage::Arguments(Nesting::default());
                    news.push(CallNews::Begin(name));
                }
                Err(Mismatch::Short) => {}
                Err(Mismatch::Other) => self.stage = Stage::Odd,
            }
        }
        if let Stage::Arguments(nesting) = &mut self.stage {
            let end = nesting.end(&self.text);
            self.text.truncate(end.unwrap_or(self.text.len()));
            if end.is_some() {
                self.stage = Stage::Over;
            }
            let more = std::mem::take(&mut self.text);
            if !more.is_empty() {
                news.push(CallNews::Arguments(more));
            }
        }
        news
    }

    /// The text is complete: a call in another order of its members, or the text that was no call.
    pub fn finish(self) -> Result<Vec<CallNews>, String> {
        #[derive(Deserialize)]
        struct Whole {
            name: String,
            arguments: Value,
        }
        match self.stage {
            Stage::Arguments(_) | Stage::Over => Ok(Vec::new()),
            Stage::Head | Stage::Odd => match serde_json::from_str::<Whole>(&self.text) {
                Ok(Whole { name, arguments }) => {
                    Ok(vec![CallNews::Begin(name), CallNews::Arguments(arguments.to_string())])
                }
                Err(_) => Err(self.text),
            },
        }
    }
}

impl Nesting {
    /// Where in this text the value ends, if it does.
    fn end(&mut self, text: &str) -> Option<usize> {
        for (at, c) in text.char_indices() {
            match (&self.place, c) {
                (Place::Escaped, _) | (Place::Outside, '"') => self.place = Place::InString,
                (Place::InString, '\\') => self.place = Place::Escaped,
                (Place::InString, '"') => self.place = Place::Outside,
                (Place::Outside, '{' | '[') => self.depth += 1,
                (Place::Outside, '}' | ']' | ',') if self.depth == 0 => return Some(at),
                (Place::Outside, '}' | ']') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + c.len_utf8());
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Why a text is not the head of a call.
#[derive(Debug, PartialEq)]
enum Mismatch {
    /// It may become one.
    Short,
    /// It is something else.
    Other,
}

/// The name in a head that is complete, and what follows it.
fn head(text: &str) -> Result<(String, &str), Mismatch> {
    let text = ["{", "\"name\"", ":"].into_iter().try_fold(text, after)?;
    let text = text.trim_start();
    if !text.starts_with('"') {
        return Err(if text.is_empty() { Mismatch::Short } else { Mismatch::Other });
    }
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let (name, rest) = text.split_at(end.ok_or(Mismatch::Short)?.0 + 1);
    let name = serde_json::from_str(name).map_err(|_| Mismatch::Other)?;
    let rest = [",", "\"arguments\"", ":"].into_iter().try_fold(rest, after)?.trim_start();
    if rest.is_empty() { Err(Mismatch::Short) } else { Ok((name, rest)) }
}

/// What follows this word, blanks before it aside.
fn after<'a>(text: &'a str, word: &str) -> Result<&'a str, Mismatch> {
    let text = text.trim_start();
    match text.strip_prefix(word) {
        Some(rest) => Ok(rest),
        None if word.starts_with(text) => Err(Mismatch::Short),
        None => Err(Mismatch::Other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const CALL: &str = r#"{"name": "get_weather", "arguments": {"city": "Ro}\"me", "days": [1, {"a": 2}]}}"#;

    fn read(text: &str, size: usize) -> Result<(Vec<String>, String), String> {
        let mut parser = CallParser::default();
        let characters: Vec<char> = text.chars().collect();
        let pieces = characters.chunks(size).map(|piece| piece.iter().collect::<String>());
        let mut news: Vec<CallNews> = pieces.flat_map(|piece| parser.push(&piece)).collect();
        news.extend(parser.finish()?);
        let (mut names, mut arguments) = (Vec::new(), String::new());
        for one in news {
            match one {
                CallNews::Begin(name) => names.push(name),
                CallNews::Arguments(more) => arguments.push_str(&more),
            }
        }
        Ok((names, arguments))
    }

    #[test]
    fn a_call_is_read_whatever_the_pieces() {
        for size in 1..40 {
            let (names, arguments) = read(CALL, size).unwrap();
            assert_eq!(names, ["get_weather"]);
            assert_eq!(arguments, r#"{"city": "Ro}\"me", "days": [1, {"a": 2}]}"#);
        }
    }

    #[test]
    fn arguments_come_as_they_grow() {
        let mut parser = CallParser::default();
        assert_eq!(parser.push(r#"{"name": "a", "arguments""#), []);
        assert_eq!(parser.push(": {\"x\""), [CallNews::Begin("a".into()), CallNews::Arguments("{\"x\"".into())]);
        assert_eq!(parser.push(": 1}}\n"), [CallNews::Arguments(": 1}".into())]);
        assert_eq!(parser.push("more"), []);
        assert_eq!(parser.finish(), Ok(vec![]));
    }

    #[test]
    fn another_order_is_understood_at_the_end_and_what_is_no_call_is_text() {
        let (names, arguments) = read(r#"{"arguments": {"x": 1}, "name": "a"}"#, 3).unwrap();
        assert_eq!((names, arguments.as_str()), (vec!["a".to_owned()], r#"{"x":1}"#));
        for text in ["", "hello", r#"{"name": 1}"#, r#"{"name": "a"}"#, r#"{"name": "a", "arg"#] {
            assert_eq!(read(text, 2), Err(text.to_owned()));
        }
        assert_eq!(read(r#"{"name":"a","arguments":7}"#, 4).unwrap().1, "7");
        assert_eq!(read(r#"{"name":"a","arguments":{"x": "#, 4).unwrap().1, r#"{"x": "#);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,40}", size in 1_usize..6) {
            let _ = read(&text, size);
        }

        #[test]
        fn any_arguments_come_through_whole(text in "\\PC{0,20}", size in 1_usize..6) {
            let arguments = json!({"a": [text, {"b": null}]}).to_string();
            let call = format!("{{\"name\": \"f\", \"arguments\": {arguments}}}");
            prop_assert_eq!(read(&call, size), Ok((vec!["f".to_owned()], arguments)));
        }
    }
}
