//! A snapshot as text and back: a YAML head between two lines of `---`, then the distinct answers as lines that people can read
//! and version control can compare.
//!
//! Part of layer 3's snapshots, pure. Each answer begins with how often it came and what tells it apart, `7 × {…}`. Its lines
//! follow, each behind a bar; tool calls stand behind `>`, what came in a reasoning channel behind `~`. So no line of an answer
//! can be taken for one of the format's own, whatever a model says.

use std::fmt::Write as _;

use serde_json::Value;

use super::text::{escape, unescape};
use super::{Answer, Facets, Head, SCHEMA, Snapshot};
use crate::plural::count;

/// What is wrong with the text of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FormatError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

const FENCE: &str = "---";

/// The text of a snapshot, from which [`parse`] makes the same snapshot again.
///
/// # Panics
///
/// Never: every key of a head is a string, the only thing that writing JSON and YAML can fail on.
pub fn render(snapshot: &Snapshot) -> String {
    let head = serde_json::to_value(&snapshot.head).expect("JSON with string keys");
    // YAML leaves characters that are not seen as they are.
    let head = each_text(head, &|text| Ok(escape(text))).expect("any text can be escaped");
    let head = serde_saphyr::to_string(&head).expect("YAML with string keys");
    let mut out = format!("{FENCE}\n{}\n{FENCE}\n", head.trim_end());
    for answer in &snapshot.answers {
        let facets = serde_json::to_string(&answer.facets).expect("JSON with string keys");
        let _ = writeln!(out, "\n{} × {}", answer.count, escape(&facets));
        if let Some(reasoning) = &answer.reasoning {
            lines(&mut out, '~', reasoning);
        }
        lines(&mut out, '|', &answer.text);
        for (name, arguments) in &answer.tool_calls {
            lines(&mut out, '>', &call(name, arguments));
        }
    }
    out
}

/// A tool call in a line; the name ends at the first space, so one within it is escaped.
fn call(name: &str, arguments: &str) -> String {
    let name = name.replace('\\', "\\\\").replace(' ', "\\u{20}").replace('\n', "\\n");
    let arguments = arguments.replace('\\', "\\\\").replace('\n', "\\n");
    format!("{name} {arguments}")
}

/// The text's lines behind a mark; none for an empty text.
fn lines(out: &mut String, mark: char, text: &str) {
    if text.is_empty() && mark == '|' {
        return;
    }
    for line in text.split('\n') {
        let line = escape(line);
        let space = if line.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{mark}{space}{line}");
    }
}

/// The snapshot of a text, or the first thing that is wrong with it.
pub fn parse(text: &str) -> Result<Snapshot, FormatError> {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.lines().collect();
    if lines.first() != Some(&FENCE) {
        return Err(at(1, "a snapshot begins with a line of `---`"));
    }
    let end = lines.iter().skip(1).position(|line| *line == FENCE).map(|n| n + 1);
    let Some(end) = end else { return Err(at(lines.len(), "the head is never closed by a line of `---`")) };
    let head = head(&lines[1..end])?;
    let mut body = Body::default();
    for (number, line) in lines.iter().enumerate().skip(end + 1) {
        body.line(line).map_err(|what| at(number + 1, &what))?;
    }
    let answers = body.finish();
    let counted: usize = answers.iter().map(|a| a.count).fold(0, usize::saturating_add);
    if counted != head.samples {
        let said = count(head.samples, "sample");
        let what = format!("the head says {said} and the answers below are {counted}");
        return Err(at(end + 1, &what));
    }
    Ok(Snapshot { head, answers })
}

fn at(line: usize, what: &str) -> FormatError {
    FormatError { line, what: what.to_owned() }
}

/// The value with each of its texts, names of fields included, put through `change`.
fn each_text(value: Value, change: &impl Fn(&str) -> Result<String, &'static str>) -> Result<Value, &'static str> {
    Ok(match value {
        Value::String(text) => Value::String(change(&text)?),
        Value::Array(items) => items.into_iter().map(|item| each_text(item, change)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| Ok((change(&name)?, each_text(value, change)?));
            Value::Object(fields.into_iter().map(field).collect::<Result<_, &'static str>>()?)
        }
        other => other,
    })
}

fn head(lines: &[&str]) -> Result<Head, FormatError> {
    let parsed: Result<Head, _> = serde_saphyr::from_str(&lines.join("\n"));
    let head = parsed.map_err(|error| {
        let line = error.location().map_or(0, |l| l.line() as usize);
        // The library's message shows an excerpt below its first line.
        let message = error.to_string();
        at(line + 1, message.lines().next().unwrap_or("the head cannot be read").trim_start_matches("error: "))
    })?;
    if head.schema != SCHEMA {
        let what = format!("this is `{}`, and only `{SCHEMA}` can be read", head.schema.escape_debug());
        return Err(at(2, &what));
    }
    let raw = serde_json::to_value(&head).map_err(|error| at(2, &error.to_string()))?;
    let raw = each_text(raw, &unescape).map_err(|what| at(2, &format!("in the head, {what}")))?;
    serde_json::from_value(raw).map_err(|error| at(2, &error.to_string()))
}

/// The answers read so far.
#[derive(Default)]
struct Body {
    done: Vec<Answer>,
    open: Option<Open>,
}

/// The answer whose lines are being read.
struct Open {
    answer: Answer,
    text: Vec<String>,
    reasoning: Vec<String>,
}

impl Body {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        let mut characters = line.chars();
        let mark = characters.next();
        let rest = characters.as_str();
        if mark.is_some_and(|c| c.is_ascii_digit()) {
            self.begin(line)
        } else if let Some(mark @ ('|' | '~' | '>')) = mark {
            let open = self.open.as_mut().ok_or("an answer's line comes before the first `N × {…}`")?;
            open.line(mark, &unescape(rest.strip_prefix(' ').unwrap_or(rest))?)
        } else {
            let shown: String = escape(line).chars().take(20).collect();
            Err(format!("a line begins with `N × {{…}}`, `|`, `>` or `~`, and this with `{shown}`"))
        }
    }

    fn begin(&mut self, line: &str) -> Result<(), String> {
        let (count, facets) = line.split_once(" × ").ok_or("an answer begins with how often it came, `7 × {…}`")?;
        let count = count.parse().ok().filter(|n| *n > 0).ok_or("the number of answers must be at least 1")?;
        let facets: Facets =
            serde_json::from_str(&unescape(facets)?).map_err(|error| format!("what follows `×` is wrong: {error}"))?;
        self.close();
        let answer = Answer { text: String::new(), tool_calls: Vec::new(), reasoning: None, facets, count };
        self.open = Some(Open { answer, text: Vec::new(), reasoning: Vec::new() });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(Open { mut answer, text, reasoning }) = self.open.take() {
            answer.text = text.join("\n");
            answer.reasoning = (!reasoning.is_empty()).then(|| reasoning.join("\n"));
            self.done.push(answer);
        }
    }

    fn finish(mut self) -> Vec<Answer> {
        self.close();
        self.done
    }
}

impl Open {
    fn line(&mut self, mark: char, line: &str) -> Result<(), String> {
        match mark {
            '~' => self.reasoning.push(line.to_owned()),
            '|' => self.text.push(line.to_owned()),
            _ => {
                let (name, arguments) = line.split_once(' ').ok_or("a tool call is a name, a space and arguments")?;
                self.answer.tool_calls.push((unescape(name)?, unescape(arguments)?));
            }
        }
        Ok(())
    }
}
