//! The tools of a request: what the model may call, and whether it must.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;

/// The most tools of a request.
const MOST_TOOLS: usize = 64;
/// The longest name of a tool.
const LONGEST_NAME: usize = 64;

/// What the model may call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tools {
    /// In the caller's order; none when the caller forbids calls.
    pub offered: Vec<Tool>,
    /// Whether it must.
    pub choice: ToolChoice,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name, unlike all others of the request.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub parameters: Value,
    /// Whether arguments must follow the schema in any case.
    pub strict: bool,
}

/// Whether the model must call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// It must call one of them.
    Required,
    /// It must call this one.
    Named(String),
}

#[derive(Deserialize)]
struct ToolBody {
    #[serde(rename = "type")]
    kind: String,
    function: FunctionBody,
}

#[derive(Deserialize)]
struct FunctionBody {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    strict: Option<bool>,
}

impl Tools {
    /// Reads `tools` and `tool_choice`.
    pub fn read(tools: Option<&Value>, choice: Option<&Value>) -> Result<Self, ApiError> {
        let offered = match tools {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) if list.len() <= MOST_TOOLS => {
                list.iter().map(Tool::read).collect::<Result<Vec<_>, _>>()?
            }
            Some(_) => return Err(wrong("tools", format!("`tools` must be a list of up to {MOST_TOOLS} functions"))),
        };
        for (index, tool) in offered.iter().enumerate() {
            if offered[..index].iter().any(|other| other.name == tool.name) {
                return Err(wrong("tools", format!("the function `{}` is there twice", tool.name)));
            }
        }
        let tools = Self { offered, choice: ToolChoice::Auto };
        match choice {
            None | Some(Value::Null) => Ok(tools),
            Some(Value::String(word)) => tools.chosen(word),
            Some(named) => {
                let name = named.pointer("/function/name").and_then(Value::as_str).ok_or_else(Self::no_choice)?;
                tools.named(name)
            }
        }
    }

    fn chosen(self, word: &str) -> Result<Self, ApiError> {
        match word {
            "auto" => Ok(self),
            "none" => Ok(Self::default()),
            "required" if self.offered.is_empty() => {
                Err(wrong("tool_choice", "`tool_choice` is `required`, and there are no tools"))
            }
            "required" => Ok(Self { choice: ToolChoice::Required, ..self }),
            _ => Err(Self::no_choice()),
        }
    }

    fn named(self, name: &str) -> Result<Self, ApiError> {
        if !self.offered.iter().any(|tool| tool.name == name) {
            return Err(wrong("tool_choice", format!("`tool_choice` names `{name}`, which is none of the tools")));
        }
        Ok(Self { choice: ToolChoice::Named(name.to_owned()), ..self })
    }

    fn no_choice() -> ApiError {
        wrong("tool_choice", "`tool_choice` must be auto, none, required, or name a function")
    }
}

impl Tool {
    fn read(value: &Value) -> Result<Self, ApiError> {
        let body = ToolBody::deserialize(value).map_err(|error| wrong("tools", format!("tools: {error}")))?;
        let FunctionBody { name, description, parameters, strict } = body.function;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if body.kind != "function" {
            return Err(wrong("tools", format!("tools of type `{}` are unknown: there is `function`", body.kind)));
        }
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            return Err(wrong("tools", "a function's name has 1 to 64 letters, digits, `_` and `-`"));
        }
        let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        if !parameters.is_object() {
            return Err(wrong("tools", format!("the `parameters` of `{name}` must be a JSON Schema")));
        }
        Ok(Self { name, description, parameters, strict: strict.unwrap_or(false) })
    }

    /// The form in which templates expect it: the caller's, with every argument's type as one word, since templates join words.
    pub fn shown(&self) -> Value {
        let mut parameters = self.parameters.clone();
        let properties = parameters.get("properties").and_then(Value::as_object);
        let typed = |(name, schema): (&String, &Value)| (name.clone(), with_one_type(schema));
        parameters["properties"] = properties.into_iter().flatten().map(typed).collect();
        json!({"type": "function", "function": {
            "name": self.name, "description": self.description, "parameters": parameters,
        }})
    }
}

/// A schema whose type is a word, or nothing.
fn with_one_type(schema: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    let word = match schema.get("type") {
        Some(Value::String(_)) => return Value::Object(schema),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    };
    if word.is_empty() {
        schema.remove("type");
    } else {
        schema.insert("type".to_owned(), Value::String(word));
    }
    Value::Object(schema)
}

fn wrong(parameter: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::parameter(parameter, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Value {
        let function =
            |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
        json!([function("get_weather"), function("get_time")])
    }

    #[test]
    fn choices_are_read() {
        let read = |choice: Value| Tools::read(Some(&offered()), Some(&choice));
        assert_eq!(read(json!("auto")).unwrap().choice, ToolChoice::Auto);
        assert_eq!(read(json!("required")).unwrap().choice, ToolChoice::Required);
        assert_eq!(read(json!("none")).unwrap(), Tools::default());
        let named = json!({"type": "function", "function": {"name": "get_time"}});
        assert_eq!(read(named).unwrap().choice, ToolChoice::Named("get_time".to_owned()));
        for wrong in [json!("always"), json!({"function": {"name": "buy"}}), json!(1), json!({})] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(Tools::read(None, Some(&json!("required"))).is_err());
    }

    #[test]
    fn templates_find_one_word_for_each_type() {
        let properties =
            json!({"a": {"type": ["string", "null"]}, "b": true, "c": {"type": 1}, "d": {"type": "integer"}});
        let tool = |properties: &Value| Tool {
            name: "f".to_owned(),
            description: None,
            parameters: json!({ "properties": properties }),
            strict: false,
        };
        let shown = tool(&properties).shown();
        assert_eq!(
            shown["function"]["parameters"]["properties"],
            json!({"a": {"type": "string or null"}, "b": {}, "c": {}, "d": {"type": "integer"}})
        );
        assert_eq!(tool(&json!([1])).shown()["function"]["parameters"]["properties"], json!({}));
    }

    #[test]
    fn tools_out_of_shape_are_refused() {
        for tools in [
            json!({}),
            json!([{"type": "function"}]),
            json!([{"type": "web_search", "function": {"name": "a"}}]),
            json!([{"type": "function", "function": {"name": "with space"}}]),
            json!([{"type": "function", "function": {"name": "a", "parameters": []}}]),
            json!([{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "a"}}]),
        ] {
            assert!(Tools::read(Some(&tools), None).is_err(), "{tools}");
        }
    }
}
