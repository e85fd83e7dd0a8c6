//! From the bytes of one probe file to its probes.
//!
//! Layer 1, pure: images come through a function that the caller gives. `docs/src/probes.md` shows the three kinds of
//! files: a `.md` file is one user message, a `.toml` file is a whole probe, and with rows it is a family of probes.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use toml::de::DeTable;
use toml::{Spanned, Table};

use super::error::{FileError, Located, Position, Problem};
use super::family::{Row, Templates, name_rows};
use super::rules::{self, Placed};
use super::spec::{self, CheckSpec, MessageSpec, ProbeFile, ToolSpec};
use super::{Check, Image, Message, Parameters, PastToolCall, Probe, Role, Tool, keys};
use crate::encoding::is_utf16;
use crate::sample::{Asking, Purpose};

/// How a probe file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// One user message as plain text.
    Markdown,
    /// A probe or a family with all that belongs to it.
    Toml,
}

impl FileKind {
    /// The kind that a file's extension tells; none for files that hold no probes, such as images.
    pub fn of(path: &Path) -> Option<Self> {
        Self::of_extension(path.extension()?.to_str()?)
    }

    fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "md" => Some(Self::Markdown),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// Whether a file among probes, by its name, may be one or the image of one. Names in capitals count: elsewhere they may be the same.
pub fn is_of_probes(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    extension
        .is_some_and(|extension| FileKind::of_extension(&extension).is_some() || IMAGES.contains(&extension.as_str()))
}

/// One probe file.
pub struct Source<'a> {
    /// The probe's id; members of a family add their row to it.
    pub id: &'a str,
    /// How it is written.
    pub kind: FileKind,
    /// What it holds.
    pub bytes: &'a [u8],
    /// Gives the bytes of an image by the name that the file has for it.
    pub images: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
}

/// The probes of a file: one, or as many as a family has rows, in their order.
///
/// Line ends are read as newlines wherever the file was written, so that digests agree over machines. Fails, with the
/// place in the file, on whatever is not UTF-8, not well formed, misspelt or senseless.
pub fn parse(source: &Source<'_>) -> Result<Vec<Probe>, FileError> {
    if is_utf16(source.bytes) {
        return Err(Problem::Utf16.at(0).in_text("", None));
    }
    let text = std::str::from_utf8(source.bytes).map_err(|error| {
        let readable = String::from_utf8_lossy(&source.bytes[..error.valid_up_to()]);
        Problem::Encoding.at(readable.len()).in_text(&readable, None)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    match source.kind {
        FileKind::Markdown => {
            markdown(source.id, &text).map(|probe| vec![probe]).map_err(|error| error.in_text(&text, None))
        }
        FileKind::Toml => toml_file(source, &text),
    }
}

const ABOUT_OPENS: &str = "<!-- about:";

/// A user message, after an optional explanation in a comment on the first line and blank lines behind that.
fn markdown(id: &str, text: &str) -> Result<Probe, Located> {
    let (about, body) = match text.strip_prefix(ABOUT_OPENS) {
        None => ("", text),
        Some(rest) => {
            let (first, body) = rest.split_once('\n').unwrap_or((rest, ""));
            let about = first.trim_end().strip_suffix("-->").ok_or_else(|| Problem::OpenAbout.at(0))?.trim();
            if about.is_empty() {
                return Err(Problem::EmptyAbout.at(0));
            }
            (about, body.trim_start_matches('\n'))
        }
    };
    let content = body.strip_suffix('\n').unwrap_or(body).to_owned();
    let message = Message { role: Role::User, content, images: vec![], tool_calls: vec![], tool_call_id: None };
    let message = Placed { offset: text.len() - body.len(), item: message };
    rules::conversation(std::slice::from_ref(&message))?;
    Ok(Probe {
        id: id.to_owned(),
        about: about.to_owned(),
        asking: Asking::Sampled,
        purpose: Purpose::Comparison,
        samples: None,
        delivery: None,
        messages: vec![message.item],
        parameters: Parameters::default(),
        tools: vec![],
        response_schema: None,
        checks: vec![],
    })
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| spec::schema().to_value());

fn toml_file(source: &Source<'_>, text: &str) -> Result<Vec<Probe>, FileError> {
    let in_file = |error: Located| error.in_text(text, None);
    let spec = read_spec(text).map_err(in_file)?;
    let templates = Templates::new();
    let builder = |row| Builder { spec: &spec, images: source.images, templates: &templates, row };
    let Some(rows) = &spec.row else {
        return builder(None).probe(source.id.to_owned()).map(|probe| vec![probe]).map_err(in_file);
    };
    if rows.is_empty() {
        return Err(FileError { position: Position { line: 1, column: 1 }, row: None, problem: Problem::NoRows });
    }
    let rows = name_rows(rows).map_err(in_file)?;
    rows.iter()
        .map(|row| {
            let id = format!("{}/{}", source.id, row.name);
            builder(Some(row)).probe(id).map_err(|error| error.in_text(text, Some(&row.name)))
        })
        .collect()
}

/// The file as written, with nothing misspelt in it.
fn read_spec(text: &str) -> Result<ProbeFile, Located> {
    let located = |error: &toml::de::Error| {
        Problem::Toml(error.message().replace('\n', ", ")).at(error.span().map_or(0, |span| span.start))
    };
    let document = DeTable::parse(text).map_err(|error| located(&error))?;
    keys::refuse_unknown(&SCHEMA, document.get_ref())?;
    toml::from_str(text).map_err(|error| located(&error))
}

/// Makes one probe of a file: for a family, with the texts of messages and checks filled from a row.
struct Builder<'a> {
    spec: &'a ProbeFile,
    images: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
    templates: &'a Templates,
    row: Option<&'a Row<'a>>,
}

impl Builder<'_> {
    fn probe(&self, id: String) -> Result<Probe, Located> {
        let spec = self.spec;
        let about = spec.about.get_ref().trim().to_owned();
        if about.is_empty() {
            return Err(Problem::EmptyAbout.at(spec.about.span().start));
        }
        if let Some(samples) = spec.samples.as_ref().filter(|samples| *samples.get_ref() == 0) {
            let problem = Problem::Range { name: "samples", value: "0".into(), wanted: "at least 1" };
            return Err(problem.at(samples.span().start));
        }
        if let Some(parameters) = &spec.parameters {
            rules::parameters(spec.asking, parameters.get_ref())
                .map_err(|problem| problem.at(parameters.span().start))?;
        }
        let messages = place(&spec.message, |message| self.message(message))?;
        rules::conversation(&messages)?;
        let tools = place(&spec.tool, |tool| Ok(read_tool(tool)))?;
        rules::tools(&tools)?;
        let checks = place(&spec.check, |check| self.check(check))?;
        Ok(Probe {
            id,
            about,
            asking: spec.asking,
            purpose: spec.purpose,
            samples: spec.samples.as_ref().map(|samples| *samples.get_ref()),
            delivery: spec.delivery,
            messages: items(messages),
            parameters: spec.parameters.as_ref().map(|parameters| parameters.get_ref().clone()).unwrap_or_default(),
            tools: items(tools),
            response_schema: spec.response_schema.as_ref().map(response_schema).transpose()?,
            checks: items(checks),
        })
    }

    fn message(&self, message: &MessageSpec) -> Result<Message, Problem> {
        let call = |call: &PastToolCall| -> Result<PastToolCall, Problem> {
            Ok(PastToolCall { id: call.id.clone(), name: call.name.clone(), arguments: self.fill(&call.arguments)? })
        };
        Ok(Message {
            role: message.role,
            content: self.fill(&message.content)?,
            images: message.images.iter().map(|name| self.image(&self.fill(name)?)).collect::<Result<_, _>>()?,
            tool_calls: message.tool_calls.iter().map(call).collect::<Result<_, _>>()?,
            tool_call_id: message.tool_call_id.clone(),
        })
    }

    fn image(&self, name: &str) -> Result<Image, Problem> {
        let refuse = |reason: String| Problem::Image { name: name.to_owned(), reason };
        let bytes = (self.images)(name)
            .map_err(|error| refuse(format!("cannot be read: {error}; name it relative to the probe file")))?;
        let media_type = media_type(&bytes)
            .ok_or_else(|| refuse("is of no kind that hosts take: use PNG, JPEG, GIF or WebP".into()))?;
        Ok(Image { media_type: media_type.to_owned(), base64: STANDARD.encode(bytes) })
    }

    fn check(&self, spec: &CheckSpec) -> Result<Check, Problem> {
        let mut found = Vec::new();
        found.extend(spec.exact.as_ref().map(|text| self.fill(text).map(Check::Exact)));
        found.extend(spec.contains.as_ref().map(|text| self.fill(text).map(Check::Contains)));
        found.extend(spec.regex.as_ref().map(|text| self.fill(text).map(Check::Regex)));
        found.extend(spec.one_of.as_ref().map(|texts| self.fill_all(texts).map(Check::OneOf)));
        found.extend(spec.json_schema.as_ref().map(|table| self.fill_schema(table).map(Check::JsonSchema)));
        let count = found.len();
        let mut only = found.into_iter();
        let (Some(check), None) = (only.next(), only.next()) else { return Err(Problem::CheckKind(count)) };
        let check = check?;
        rules::check(&check)?;
        Ok(check)
    }

    fn fill(&self, text: &str) -> Result<String, Problem> {
        self.row.map_or_else(|| Ok(text.to_owned()), |row| self.templates.fill(text, row))
    }

    fn fill_all(&self, texts: &[String]) -> Result<Vec<String>, Problem> {
        texts.iter().map(|text| self.fill(text)).collect()
    }

    /// A schema with each string in it filled; keys stay as they are.
    fn fill_schema(&self, table: &Table) -> Result<Value, Problem> {
        let mut schema = to_json_table(table);
        self.fill_value(&mut schema)?;
        Ok(schema)
    }

    fn fill_value(&self, value: &mut Value) -> Result<(), Problem> {
        match value {
            Value::String(text) => *text = self.fill(text)?,
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill_value(item))?,
            Value::Object(map) => map.values_mut().try_for_each(|item| self.fill_value(item))?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }
}

/// Reads each item and keeps its place, which is also where its problem is reported.
fn place<S, T>(specs: &[Spanned<S>], read: impl Fn(&S) -> Result<T, Problem>) -> Result<Vec<Placed<T>>, Located> {
    let one = |spec: &Spanned<S>| {
        let offset = spec.span().start;
        read(spec.get_ref()).map(|item| Placed { offset, item }).map_err(|problem| problem.at(offset))
    };
    specs.iter().map(one).collect()
}

fn items<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|placed| placed.item).collect()
}

fn read_tool(tool: &ToolSpec) -> Tool {
    Tool { name: tool.name.clone(), description: tool.description.clone(), parameters: to_json_table(&tool.parameters) }
}

fn response_schema(table: &Spanned<Table>) -> Result<Value, Located> {
    let schema = to_json_table(table.get_ref());
    rules::schema("response_schema", &schema).map_err(|problem| problem.at(table.span().start))?;
    Ok(schema)
}

fn to_json_table(table: &Table) -> Value {
    Value::Object(table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect())
}

/// TOML as JSON, keys in the order of the file. A date becomes its text, and what JSON cannot say (infinity) null,
/// which no schema keyword takes.
fn to_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(flag) => Value::from(*flag),
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(items) => items.iter().map(to_json).collect(),
        toml::Value::Table(table) => to_json_table(table),
    }
}

/// How names of images end. What an image is, its first bytes tell.
const IMAGES: [&str; 5] = ["gif", "jpeg", "jpg", "png", "webp"];

/// The media type that an image's first bytes tell.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
