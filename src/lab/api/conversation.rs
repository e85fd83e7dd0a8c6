//! The messages of a request, read and checked.

use serde::Deserialize;
use serde_json::Value;

use super::ApiError;
use crate::lab::images::Picture;
use crate::lab::prompt::{Call, Message, Role};

/// The most images of a request.
const MOST_IMAGES: usize = 8;

/// A message as it comes; what is not named here is let through unread.
#[derive(Deserialize)]
pub struct MessageBody {
    role: String,
    content: Option<Value>,
    tool_calls: Option<Vec<CallBody>>,
}

#[derive(Deserialize)]
struct CallBody {
    function: FunctionBody,
}

#[derive(Deserialize)]
struct FunctionBody {
    name: String,
    arguments: Option<Value>,
}

/// Reads a conversation.
pub fn read(bodies: &[MessageBody]) -> Result<Vec<Message>, ApiError> {
    if bodies.is_empty() {
        return Err(wrong("there must be at least one message"));
    }
    let messages = bodies.iter().map(MessageBody::read).collect::<Result<Vec<_>, _>>()?;
    if messages.iter().map(|message| message.pictures.len()).sum::<usize>() > MOST_IMAGES {
        return Err(wrong(format!("this host takes up to {MOST_IMAGES} images")));
    }
    Ok(messages)
}

impl MessageBody {
    fn read(&self) -> Result<Message, ApiError> {
        let role = Role::named(&self.role)
            .ok_or_else(|| wrong(format!("role `{}` is none of system, user, assistant, tool", self.role)))?;
        let mut message = Message::new(role, String::new());
        match &self.content {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => message.content.push_str(text),
            Some(Value::Array(parts)) => {
                for part in parts {
                    add(&mut message, part)?;
                }
            }
            Some(_) => return Err(wrong("`content` must be a text or a list of parts")),
        }
        if role == Role::Assistant {
            message.calls = self.tool_calls.iter().flatten().map(CallBody::read).collect();
        }
        Ok(message)
    }
}

impl CallBody {
    /// Arguments are a text in the protocol; callers that send them as JSON are understood too.
    fn read(&self) -> Call {
        let arguments = match &self.function.arguments {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        Call { name: self.function.name.clone(), arguments }
    }
}

/// Adds one part of a content to its message.
fn add(message: &mut Message, part: &Value) -> Result<(), ApiError> {
    match part.get("type").and_then(Value::as_str) {
        Some("text") => {
            let text =
                part.get("text").and_then(Value::as_str).ok_or_else(|| wrong("a part of type `text` has no text"))?;
            message.content.push_str(text);
        }
        Some("image_url") if message.role == Role::User => {
            let image = part.get("image_url");
            let url = image.and_then(|image| image.as_str().or_else(|| image.get("url")?.as_str()));
            let url = url.ok_or_else(|| wrong("a part of type `image_url` has no url"))?;
            message.pictures.push(Picture::from_url(url).map_err(|error| wrong(error.to_string()))?);
        }
        Some("image_url") => return Err(wrong("only messages of the user have images")),
        _ => return Err(wrong("this host reads parts of type `text` and `image_url`")),
    }
    Ok(())
}

fn wrong(message: impl Into<String>) -> ApiError {
    ApiError::parameter("messages", message)
}
