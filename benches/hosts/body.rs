//! Bodies of answers: such as hosts usually send, and far larger ones.

use serde_json::{Value, json};

/// The name under which every host serves the model.
pub const MODEL: &str = "m-70b-instruct";

/// Stands in a text where the answer's number is to be, so that no two answers are the same.
const NUMBER: &str = "######";

/// Of which the texts of usual answers are made.
const WORDS: [&str; 7] = ["the", "boat", "went", "slowly", "down", "a", "river"];

/// How many tokens a host that sends log-probabilities names for each place.
const CANDIDATES: usize = 20;

/// A body of which only a number differs from answer to answer.
pub struct Body {
    content_type: &'static str,
    before: String,
    after: String,
}

impl Body {
    /// A stream with an event for each token, as hosts send by default.
    pub fn stream(tokens: usize) -> Self {
        let event = |choices: &Value, usage: &Value| {
            let chunk = json!({"object": "chat.completion.chunk", "created": 1_780_000_000, "model": MODEL,
                "choices": choices, "usage": usage});
            format!("data: {chunk}\n\n")
        };
        let piece =
            |text: &str| event(&json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]), &Value::Null);
        let mut text = piece(NUMBER);
        for token in 1..tokens {
            text += &piece(&format!(" {}", WORDS[token * token % WORDS.len()]));
        }
        text += &event(&json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null);
        text += &event(&json!([]), &json!({"prompt_tokens": 8, "completion_tokens": tokens}));
        Self::new("text/event-stream", &(text + "data: [DONE]\n\n"))
    }

    /// A whole answer of a few words.
    pub fn small() -> Self {
        Self::whole(&answer(&few_words(), 6))
    }

    /// A whole answer of a few words and so many bytes, nearly all of them in a field that nobody knows.
    pub fn padded(bytes: usize) -> Self {
        Self::filled(bytes, |noise| {
            let mut answer = answer(&few_words(), 6);
            answer["padding"] = noise.into();
            answer
        })
    }

    /// A whole answer of so many bytes, nearly all of them its text.
    pub fn long(bytes: usize) -> Self {
        Self::filled(bytes, |noise| answer(&format!("{NUMBER} {noise}"), bytes / 4))
    }

    /// A whole answer of so many tokens with the log-probabilities of each and of those that might have stood in its place.
    pub fn with_logprobs(tokens: usize) -> Self {
        let candidate = |token: usize, rank: usize| {
            let text = format!(" token-{token:04}-rank-{rank:03}");
            json!({"token": text, "logprob": -0.125 - rank as f64, "bytes": text.as_bytes()})
        };
        let place = |token: usize| {
            let mut place = candidate(token, 0);
            place["top_logprobs"] = (0..CANDIDATES).map(|rank| candidate(token, rank)).collect::<Value>();
            place
        };
        let mut answer = answer(&few_words(), tokens);
        answer["choices"][0]["logprobs"] = json!({"content": (0..tokens).map(place).collect::<Value>()});
        Self::whole(&answer)
    }

    /// The answer that `with` makes of as much noise as fills so many bytes.
    fn filled(bytes: usize, with: impl Fn(&str) -> Value) -> Self {
        let bare = with("").to_string().len();
        Self::whole(&with(&noise(bytes.saturating_sub(bare))))
    }

    fn whole(answer: &Value) -> Self {
        Self::new("application/json", &answer.to_string())
    }

    fn new(content_type: &'static str, text: &str) -> Self {
        let (before, after) = text.split_once(NUMBER).expect("a place for the number");
        Self { content_type, before: before.to_owned(), after: after.to_owned() }
    }

    /// How long it is.
    pub fn bytes(&self) -> usize {
        self.before.len() + NUMBER.len() + self.after.len()
    }

    /// The body of the answer with this number.
    pub fn content(&self, number: u64) -> String {
        format!("{}{number:06}{}", self.before, self.after)
    }

    /// The same as a response, after which the connection stays.
    pub fn response(&self, number: u64) -> Vec<u8> {
        let (content_type, content) = (self.content_type, self.content(number));
        let length = content.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
        (head + &content).into_bytes()
    }
}

fn answer(text: &str, tokens: usize) -> Value {
    json!({"object": "chat.completion", "created": 1_780_000_000, "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": tokens}})
}

fn few_words() -> String {
    format!("{NUMBER} boats went slowly down a river.")
}

/// Letters and spaces without order, which nothing can make shorter.
fn noise(bytes: usize) -> String {
    let mut state = 1_u32;
    let letter = |_: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b" abcdefghijklmno"[(state >> 28) as usize])
    };
    (0..bytes).map(letter).collect()
}
