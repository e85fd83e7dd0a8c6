//! Questions: the requests of an examination, each a small probe with what is particular about it.

use serde_json::{Map, Value, json};

use crate::config::{Dialect, MaxTokensField};
use crate::probe::{Cap, Message, Parameters, Probe, Role, Tool};
use crate::sample::{Asking, Purpose};

/// The prompt of most requests: whatever answers it has much to say, and says it in another way each time.
pub const STORY: &str = "Write a story about a lighthouse keeper who finds a letter. Begin at once.";

/// A system message of known length.
pub const SYSTEM: &str = "You are a storyteller who writes in plain words and short sentences. You never use lists, headings or \
     emphasis, you never speak about yourself, and you end each of your stories with something small that somebody sees from a window.";

/// What the weather is asked of, and the tool that does not belong to it.
const WEATHER: &str = "What will the weather be like in Oslo tomorrow?";

/// The tool that answers `WEATHER`.
pub const NATURAL_TOOL: &str = "get_forecast";

/// The tool that is chosen for the model although it does not answer `WEATHER`.
pub const CHOSEN_TOOL: &str = "get_time";

/// Visible tokens of most answers.
const USUAL_CAP: u32 = 32;

/// Visible tokens of answers that must be whole to tell anything.
const WHOLE_CAP: u32 = 160;

/// A cap that no story keeps by itself, thoughts among it.
const SHORT_CAP: u32 = 10;

/// A request of an examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// Without a cap, to see whether that is taken and how long it thinks.
    Uncapped,
    /// Greedy, with a cap, in one piece.
    Whole,
    /// The same as a stream.
    Streamed,
    /// Drawn with a seed.
    Seeded,
    /// Drawn with the same seed.
    SeededAgain,
    /// Drawn with another.
    OtherSeed,
    /// Drawn with that other once more.
    OtherSeedAgain,
    /// With a stop sequence that its answers have.
    Stop,
    /// With tools.
    Tools,
    /// With the tool that it would not call by itself.
    ToolChoice,
    /// With a schema.
    Schema,
    /// With log-probabilities.
    Logprobs,
    /// For two answers, with a cap so low that it is reached.
    Choices,
    /// With a cap so low that it is reached.
    Short,
    /// With a system message.
    System,
}

impl Question {
    /// In the order in which they are asked.
    pub const ORDER: [Self; 15] = [
        Self::Uncapped,
        Self::Whole,
        Self::Streamed,
        Self::Seeded,
        Self::SeededAgain,
        Self::OtherSeed,
        Self::OtherSeedAgain,
        Self::Stop,
        Self::Tools,
        Self::ToolChoice,
        Self::Schema,
        Self::Logprobs,
        Self::Choices,
        Self::Short,
        Self::System,
    ];

    /// What becomes of the cap.
    fn cap(self) -> Option<u32> {
        match self {
            Self::Uncapped => None,
            Self::Tools | Self::ToolChoice | Self::Schema => Some(WHOLE_CAP),
            Self::Choices | Self::Short => Some(SHORT_CAP),
            Self::Whole
            | Self::Streamed
            | Self::Seeded
            | Self::SeededAgain
            | Self::OtherSeed
            | Self::OtherSeedAgain
            | Self::Stop
            | Self::Logprobs
            | Self::System => Some(USUAL_CAP),
        }
    }

    /// Whether thoughts may take their own room beside the cap.
    fn leaves_room_for_thoughts(self) -> bool {
        !matches!(self, Self::Choices | Self::Short)
    }

    /// Whether it is asked at temperature 0.
    fn is_greedy(self) -> bool {
        !matches!(
            self,
            Self::Uncapped
                | Self::Seeded
                | Self::SeededAgain
                | Self::OtherSeed
                | Self::OtherSeedAgain
                | Self::Choices
                | Self::Short
        )
    }

    /// Words of which one stands in a refusal that is about this request and no other.
    pub(super) fn keywords(self) -> &'static [&'static str] {
        match self {
            Self::Uncapped => &["max_tokens", "max_completion_tokens", "max tokens", "credits"],
            Self::Streamed => &["stream"],
            Self::Seeded | Self::SeededAgain | Self::OtherSeed | Self::OtherSeedAgain => &["seed"],
            Self::Stop => &["stop"],
            Self::Tools => &["tool", "function"],
            Self::ToolChoice => &["tool_choice", "tool choice", "tool", "function"],
            Self::Schema => &["schema", "response_format", "json", "structured"],
            Self::Logprobs => &["logprob", "log prob"],
            Self::Choices => &["`n`", "'n'", "\"n\"", " n ", "n must", "n >", "choices", "completions per"],
            Self::System => &["system", "role"],
            Self::Whole | Self::Short => &[],
        }
    }

    /// The messages.
    fn messages(self) -> Vec<Message> {
        let says = |role, content: &str| Message {
            role,
            content: content.to_owned(),
            images: Vec::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        };
        match self {
            Self::Uncapped => vec![says(Role::User, "Reply with the word yes and nothing else.")],
            Self::Tools | Self::ToolChoice => vec![says(Role::User, WEATHER)],
            Self::Schema => vec![says(Role::User, "What does a ripe tomato look like?")],
            Self::System => vec![says(Role::System, SYSTEM), says(Role::User, STORY)],
            Self::Whole
            | Self::Streamed
            | Self::Seeded
            | Self::SeededAgain
            | Self::OtherSeed
            | Self::OtherSeedAgain
            | Self::Stop
            | Self::Logprobs
            | Self::Choices
            | Self::Short => vec![says(Role::User, STORY)],
        }
    }

    /// Whether its prompt is [`STORY`] alone.
    pub(super) fn is_the_story(self) -> bool {
        !matches!(self, Self::Uncapped | Self::Tools | Self::ToolChoice | Self::Schema | Self::System)
    }

    fn seed(self) -> Option<u32> {
        match self {
            Self::Seeded | Self::SeededAgain => Some(20_261),
            Self::OtherSeed | Self::OtherSeedAgain => Some(7),
            _ => None,
        }
    }

    fn probe(self, greedy: bool, stop: Option<String>) -> Probe {
        let has_tools = matches!(self, Self::Tools | Self::ToolChoice);
        Probe {
            id: format!("doctor/{self:?}").to_lowercase(),
            about: String::new(),
            asking: if greedy { Asking::Greedy } else { Asking::Sampled },
            purpose: Purpose::Canary,
            samples: Some(1),
            delivery: None,
            messages: self.messages(),
            parameters: Parameters {
                temperature: Some(1.0),
                max_tokens: Some(self.cap().map_or(Cap::Unsent, Cap::Tokens)),
                top_p: None,
                stop: stop.into_iter().collect(),
                seed: self.seed(),
                reasoning_effort: None,
            },
            tools: if has_tools { tools() } else { Vec::new() },
            response_schema: (self == Self::Schema).then(schema),
            checks: Vec::new(),
        }
    }

    /// Fields of the body that no probe has.
    fn fields(self) -> Map<String, Value> {
        let fields = match self {
            Self::Logprobs => json!({"logprobs": true}),
            Self::Choices => json!({"n": 2}),
            Self::ToolChoice => json!({"tool_choice": {"type": "function", "function": {"name": CHOSEN_TOOL}}}),
            _ => json!({}),
        };
        fields.as_object().cloned().unwrap_or_default()
    }
}

fn tools() -> Vec<Tool> {
    let city = json!({"type": "string"});
    vec![
        Tool {
            name: NATURAL_TOOL.to_owned(),
            description: "The weather in a city on a day.".to_owned(),
            parameters: json!({"type": "object", "properties": {"city": city, "day": {"type": "string"}}, "required": ["city", "day"]}),
        },
        Tool {
            name: CHOSEN_TOOL.to_owned(),
            description: "The time of day in a city.".to_owned(),
            parameters: json!({"type": "object", "properties": {"city": city}, "required": ["city"]}),
        },
    ]
}

/// The schema of the answer to [`Question::Schema`], short enough that no cap cuts it.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "colour": {"type": "string", "enum": ["red", "green", "blue"]},
            "size": {"type": "string", "enum": ["small", "large"]},
        },
        "required": ["colour", "size"],
        "additionalProperties": false,
    })
}

/// How requests are written, as far as the host's refusals have taught.
#[derive(Debug, Clone, PartialEq)]
pub struct Manner {
    /// The name of the cap's field.
    pub cap_field: MaxTokensField,
    /// What is sent for temperature 0; nothing where none is taken, and all is drawn.
    pub zero: Option<f64>,
    /// Whether token counts are asked for in streams.
    pub stream_usage: bool,
    /// Whether the effort is sent that is configured.
    pub effort: bool,
    /// How answers come that need not be streamed.
    pub delivery: Delivery,
    /// Tokens for thinking.
    pub allowance: u32,
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As a stream.
    Streamed,
}

/// A request, ready to be written for an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Inquiry {
    /// What it is there for.
    pub question: Question,
    /// The probe.
    pub probe: Probe,
    /// Fields of the body beside what a probe has.
    pub fields: Map<String, Value>,
    /// How the answer is to come.
    pub delivery: Delivery,
    /// The dialect to write it in.
    pub dialect: Dialect,
    /// Tokens for thinking beside the cap.
    pub allowance: u32,
}

impl Inquiry {
    /// The request for `question`, in this manner of a dialect; `stop` is its stop sequence, if it has one.
    pub fn new(question: Question, manner: &Manner, dialect: &Dialect, stop: Option<String>) -> Self {
        let delivery = if question == Question::Streamed { Delivery::Streamed } else { manner.delivery };
        let dialect = Dialect {
            max_tokens: manner.cap_field,
            stream_usage: manner.stream_usage,
            effort: manner.effort,
            zero_temperature: manner.zero.unwrap_or(dialect.zero_temperature),
            // Asked for here, whatever is known.
            seed: true,
            ..dialect.clone()
        };
        let allowance = if question.leaves_room_for_thoughts() { manner.allowance } else { 0 };
        let probe = question.probe(question.is_greedy() && manner.zero.is_some(), stop);
        Self { question, probe, fields: question.fields(), delivery, dialect, allowance }
    }

    /// The cap that is sent, thoughts among it.
    pub fn cap(&self) -> Option<u32> {
        self.question.cap().map(|visible| visible.saturating_add(self.allowance))
    }

    /// Answers asked for.
    pub fn choices(&self) -> u32 {
        if self.question == Question::Choices { 2 } else { 1 }
    }
}
