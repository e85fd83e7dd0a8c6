//! Answers in the shape that OpenAI gives them, whole or in chunks.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::fault::FinishSaid;

/// What all parts of one answer have in common.
#[derive(Debug, Clone, PartialEq)]
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
    /// How tokens are counted.
    pub counting: Counting,
    /// What is said of the end instead of the truth.
    pub said: Option<FinishSaid>,
}

/// How a host counts tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Counting {
    /// As they are.
    True,
    /// Off by a share of an eighth, from -1 to 1, and by one token at least: of the prompt and of the answer.
    Off {
        /// That of the prompt.
        prompt: f64,
        /// That of the answer.
        completion: f64,
    },
    /// Not at all.
    Absent,
}

/// Tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them, those that end it included.
    pub completion: usize,
    /// Those of thoughts.
    pub reasoning: usize,
}

/// News of one choice, with the tokens that it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// What is new.
    pub news: News,
    /// Its tokens, where log-probabilities were asked for.
    pub scored: Vec<Scored>,
}

/// What is new.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// The assistant begins to speak.
    Role,
    /// More text.
    Content(String),
    /// More thoughts.
    Reasoning(String),
    /// A call begins.
    Call {
        /// Its place among the calls.
        index: usize,
        /// Its id.
        id: String,
        /// The function.
        name: String,
    },
    /// More arguments of a call.
    Arguments {
        /// Its place among the calls.
        index: usize,
        /// The next piece.
        text: String,
    },
    /// The choice is complete.
    End(Ending),
}

/// How a choice ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The model ended it, or a stop sequence did.
    Stop,
    /// It reached its limit.
    Length,
    /// The model called.
    ToolCalls,
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

/// All that one choice has said.
#[derive(Debug, Clone, Default)]
pub struct Spoken {
    content: String,
    reasoning: String,
    calls: Vec<(String, String, String)>,
    scored: Vec<Scored>,
    ending: Option<Ending>,
}

impl Spoken {
    /// Adds what is new.
    pub fn add(&mut self, piece: Piece) {
        self.scored.extend(piece.scored);
        match piece.news {
            News::Role => {}
            News::Content(text) => self.content.push_str(&text),
            News::Reasoning(text) => self.reasoning.push_str(&text),
            News::Call { id, name, .. } => self.calls.push((id, name, String::new())),
            News::Arguments { text, .. } => {
                if let Some((_, _, arguments)) = self.calls.last_mut() {
                    arguments.push_str(&text);
                }
            }
            News::End(ending) => self.ending = Some(ending),
        }
    }

    /// As an assistant's message: content is null where the answer is elsewhere.
    fn message(&self) -> Value {
        let mut message = Map::new();
        let elsewhere = self.content.is_empty() && !(self.calls.is_empty() && self.reasoning.is_empty());
        message.insert("role".to_owned(), json!("assistant"));
        message.insert("content".to_owned(), if elsewhere { Value::Null } else { json!(self.content) });
        if !self.reasoning.is_empty() {
            message.insert("reasoning_content".to_owned(), json!(self.reasoning));
        }
        if !self.calls.is_empty() {
            let call = |(id, name, arguments): &(String, String, String)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            message.insert("tool_calls".to_owned(), self.calls.iter().map(call).collect());
        }
        Value::Object(message)
    }
}

#[derive(Serialize)]
struct Body<'a> {
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
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    logprobs: Option<Value>,
    finish_reason: Option<&'static str>,
}

impl Reply {
    /// A chunk of a stream, as JSON.
    pub fn chunk(&self, index: usize, piece: &Piece) -> String {
        let delta = match &piece.news {
            News::Role => json!({"role": "assistant", "content": ""}),
            News::Content(text) => json!({ "content": text }),
            News::Reasoning(text) => json!({ "reasoning_content": text }),
            News::Call { index, id, name } => {
                let function = json!({"name": name, "arguments": ""});
                json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
            }
            News::Arguments { index, text } => {
                json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
            }
            News::End(_) => json!({}),
        };
        let finish_reason = match piece.news {
            News::End(ending) => finish_reason(ending, self.said),
            _ => None,
        };
        let logprobs = logprobs(&piece.scored);
        let choice = Choice { index, delta: Some(delta), message: None, logprobs, finish_reason };
        self.json("chat.completion.chunk", vec![choice], None)
    }

    /// The chunk with token counts, which has no choices; nothing where tokens are not counted.
    pub fn usage_chunk(&self, tally: Tally) -> Option<String> {
        let usage = self.usage(tally)?;
        Some(self.json("chat.completion.chunk", Vec::new(), Some(usage)))
    }

    /// A whole answer, as JSON.
    pub fn whole(&self, spoken: &[Spoken], tally: Tally) -> String {
        let choice = |(index, one): (usize, &Spoken)| Choice {
            index,
            delta: None,
            message: Some(one.message()),
            logprobs: logprobs(&one.scored),
            finish_reason: one.ending.and_then(|ending| {
                let said = self.said.filter(|said| *said != FinishSaid::Streamed);
                finish_reason(ending, said)
            }),
        };
        let choices = spoken.iter().enumerate().map(choice).collect();
        self.json("chat.completion", choices, self.usage(tally))
    }

    fn usage(&self, tally: Tally) -> Option<Value> {
        let (prompt, completion) = match self.counting {
            Counting::True => (self.prompt_tokens, tally.completion),
            Counting::Off { prompt, completion } => {
                (miscounted(self.prompt_tokens, prompt), miscounted(tally.completion, completion))
            }
            Counting::Absent => return None,
        };
        let mut usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        });
        if tally.reasoning > 0 {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": tally.reasoning});
        }
        Some(usage)
    }

    fn json(&self, object: &'static str, choices: Vec<Choice>, usage: Option<Value>) -> String {
        let (id, created, model) = (self.id.as_str(), self.created, self.model.as_str());
        json!(Body { id, object, created, model, system_fingerprint: &self.fingerprint, choices, usage }).to_string()
    }
}

fn finish_reason(ending: Ending, said: Option<FinishSaid>) -> Option<&'static str> {
    match (said, ending) {
        (Some(FinishSaid::Missing), _) => None,
        (Some(FinishSaid::Stop | FinishSaid::Streamed), _) | (None, Ending::Stop) => Some("stop"),
        (None, Ending::Length) => Some("length"),
        (None, Ending::ToolCalls) => Some("tool_calls"),
    }
}

fn logprobs(scored: &[Scored]) -> Option<Value> {
    (!scored.is_empty()).then(|| json!({ "content": scored }))
}

/// A count that is off by `share` of an eighth of it, and by one at least.
fn miscounted(count: usize, share: f64) -> usize {
    let off = (count as f64 / 8.0 * share.abs()).round().max(1.0) as usize;
    if share < 0.0 && off < count { count - off } else { count + off }
}

/// A model, as the endpoint for models describes it.
pub fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "samemodel"})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Reply {
        Reply {
            id: "chatcmpl-1".to_owned(),
            created: 7,
            model: "lab".to_owned(),
            fingerprint: "fp".to_owned(),
            prompt_tokens: 10,
            counting: Counting::True,
            said: None,
        }
    }

    fn pieces() -> Vec<Piece> {
        let call = News::Call { index: 0, id: "call_1".to_owned(), name: "buy".to_owned() };
        let arguments = News::Arguments { index: 0, text: "{}".to_owned() };
        let scored =
            vec![Scored { token: "x".to_owned(), logprob: -0.5, bytes: vec![120], top_logprobs: Some(vec![]) }];
        let news = [News::Role, News::Reasoning("Hm.".to_owned()), call, arguments, News::End(Ending::ToolCalls)];
        let mut pieces: Vec<Piece> = news.into_iter().map(|news| Piece { news, scored: Vec::new() }).collect();
        pieces[1].scored = scored;
        pieces
    }

    fn json_of(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    const TALLY: Tally = Tally { completion: 6, reasoning: 2 };

    fn usage() -> Value {
        json!({
            "prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16,
            "completion_tokens_details": {"reasoning_tokens": 2},
        })
    }

    #[test]
    fn a_whole_answer_has_the_shape_of_the_protocol() {
        let mut spoken = Spoken::default();
        for piece in pieces() {
            spoken.add(piece);
        }
        let function = json!({"name": "buy", "arguments": "{}"});
        let message = json!({
            "role": "assistant", "content": null, "reasoning_content": "Hm.",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        });
        let scored = json!([{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}]);
        let choice = json!({
            "index": 0, "message": message, "logprobs": {"content": scored}, "finish_reason": "tool_calls",
        });
        assert_eq!(
            json_of(&reply().whole(&[spoken], TALLY)),
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "lab", "system_fingerprint": "fp",
                "choices": [choice], "usage": usage(),
            })
        );
    }

    #[test]
    fn a_stream_has_the_shape_of_the_protocol() {
        let deltas: Vec<Value> = pieces()
            .iter()
            .map(|piece| {
                let chunk = json_of(&reply().chunk(2, piece));
                assert_eq!(
                    (&chunk["object"], &chunk["choices"][0]["index"]),
                    (&json!("chat.completion.chunk"), &json!(2))
                );
                assert_eq!(chunk["choices"][0]["finish_reason"].is_null(), !matches!(piece.news, News::End(_)));
                chunk["choices"][0]["delta"].clone()
            })
            .collect();
        let begin =
            json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "buy", "arguments": ""}});
        assert_eq!(
            deltas,
            [
                json!({"role": "assistant", "content": ""}),
                json!({"reasoning_content": "Hm."}),
                json!({"tool_calls": [begin]}),
                json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
                json!({}),
            ]
        );
        let last = json_of(&reply().usage_chunk(TALLY).unwrap());
        assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &usage()));
        assert_eq!(Reply { counting: Counting::Absent, ..reply() }.usage_chunk(TALLY), None);
    }

    #[test]
    fn a_wrong_count_is_never_right_and_never_far_off() {
        for count in [0, 1, 5, 8, 100] {
            for share in [-1.0, -0.01, 0.0, 0.5, 1.0] {
                let wrong = miscounted(count, share);
                let off = wrong.abs_diff(count);
                assert!(off >= 1 && off <= (count / 8).max(1) + 1, "{wrong} for {count}");
            }
        }
    }
}
