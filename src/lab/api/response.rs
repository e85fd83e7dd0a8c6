//! Answers in the shape that OpenAI gives them, whole or in chunks.

use serde::Serialize;
use serde_json::{Value, json};

use crate::lab::engine::Finish;

/// What all parts of one answer have in common.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The answer's id.
    pub id: String,
    /// When it was asked for, in seconds since 1970.
    pub created: i64,
    /// The model's name.
    pub model: String,
    /// What the host says of its own configuration.
    pub fingerprint: String,
    /// Tokens that were read.
    pub prompt_tokens: usize,
}

/// One chunk's news.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// The assistant begins to speak.
    Role,
    /// More text.
    Text(String, Vec<Scored>),
    /// The answer is over.
    End(Finish),
}

/// A token with its log-probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The token's text, with U+FFFD for bytes that are no whole character.
    pub token: String,
    /// Its log-probability.
    pub logprob: f64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The likeliest tokens in its place; absent within itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<Vec<Scored>>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: &'a str,
    choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
}

#[derive(Serialize)]
struct Choice {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    logprobs: Option<Value>,
    finish_reason: Option<&'static str>,
}

impl Reply {
    /// A chunk of a stream, as JSON.
    pub fn chunk(&self, delta: Delta) -> String {
        let (delta, scored, finish_reason) = match delta {
            Delta::Role => (json!({"role": "assistant", "content": ""}), Vec::new(), None),
            Delta::Text(text, scored) => (json!({ "content": text }), scored, None),
            Delta::End(finish) => (json!({}), Vec::new(), Some(name(finish))),
        };
        let logprobs = (!scored.is_empty()).then(|| json!({ "content": scored }));
        let choice = Choice { index: 0, delta: Some(delta), message: None, logprobs, finish_reason };
        self.json("chat.completion.chunk", vec![choice], None)
    }

    /// The chunk with token counts, which has no choices.
    pub fn usage_chunk(&self, completion_tokens: usize) -> String {
        self.json("chat.completion.chunk", Vec::new(), Some(self.usage(completion_tokens)))
    }

    /// A whole answer, as JSON.
    pub fn whole(&self, (text, scored): (&str, Option<&[Scored]>), finish: Finish, completion_tokens: usize) -> String {
        let message = json!({"role": "assistant", "content": text});
        let logprobs = scored.map(|scored| json!({ "content": scored }));
        let choice =
            Choice { index: 0, delta: None, message: Some(message), logprobs, finish_reason: Some(name(finish)) };
        self.json("chat.completion", vec![choice], Some(self.usage(completion_tokens)))
    }

    fn usage(&self, completion_tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        })
    }

    fn json(&self, object: &'static str, choices: Vec<Choice>, usage: Option<Value>) -> String {
        let (id, created, model) = (self.id.as_str(), self.created, self.model.as_str());
        let chunk = Chunk { id, object, created, model, system_fingerprint: &self.fingerprint, choices, usage };
        json!(chunk).to_string()
    }
}

fn name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

/// The list of models.
pub fn models(model: &str) -> Value {
    json!({"object": "list", "data": [{"id": model, "object": "model", "created": 0, "owned_by": "samemodel"}]})
}
