//! A small world of answers as an honest host gives them, to be spoilt one fault at a time.
//!
//! Greedy answers are the same for all hosts but for a little noise, sampled ones are drawn, and every kind of probe is there
//! of which a rule has something to say.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::sample::{Latency, Purpose, Sample, SampleParameters, ToolCall, Traits, Usage};
use crate::stats::rng;

/// What a probe of the world is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    System,
    History,
    Tools,
    Images,
    Schema,
    Thinking,
    Cut,
    Sampled,
    Stop,
    Uncapped,
    BothWays,
    Seeded,
}

use Kind::{BothWays, Cut, History, Images, Plain, Sampled, Schema, Seeded, Stop, System, Thinking, Tools, Uncapped};

/// How many probes there are of each kind, and answers to each.
const KINDS: [(Kind, u32, u32); 13] = [
    (Plain, 40, 2),
    (System, 6, 2),
    (History, 6, 2),
    (Tools, 8, 2),
    (Images, 5, 2),
    (Schema, 5, 2),
    (Thinking, 5, 2),
    (Cut, 8, 2),
    (Sampled, 12, 10),
    (Stop, 3, 2),
    (Uncapped, 2, 2),
    (BothWays, 4, 2),
    (Seeded, 6, 3),
];

/// One answer on its way, with what the probe is.
pub struct Draft {
    pub kind: Kind,
    pub number: u32,
    pub sample: Sample,
}

/// All answers of one host; hosts of different names draw differently.
pub fn host(name: &str) -> Vec<Draft> {
    let mut out = Vec::new();
    for (kind, probes, answers) in KINDS {
        for number in 0..probes {
            out.extend((0..answers).map(|replicate| draft(name, kind, number, replicate)));
        }
    }
    out
}

/// The words of the world.
pub const WORDS: [&str; 24] = [
    "river", "stone", "quiet", "lamp", "harbour", "gentle", "winter", "bread", "window", "letter", "garden", "silver",
    "the", "a", "of", "and", "walks", "sings", "holds", "under", "over", "slowly", "again", "home",
];

/// So many words; where there are many, in lines.
pub fn words(rng: &mut ChaCha8Rng, count: usize) -> String {
    let mut out = String::new();
    for i in 0..count {
        let blank = if i % 7 == 6 { "\n" } else { " " };
        out += if i == 0 { "" } else { blank };
        out += WORDS[rng.random_range(0..WORDS.len())];
    }
    out + "."
}

fn traits(kind: Kind, number: u32) -> Traits {
    let schema = json!({"type": "object", "required": ["mood"], "properties": {"mood": {"enum": ["calm", "cross"]}}});
    Traits {
        purpose: match kind {
            Stop | Uncapped | BothWays | Seeded => Purpose::Canary,
            _ => Purpose::Comparison,
        },
        messages: match kind {
            System => 2,
            History => 3 + 2 * (number % 2),
            _ => 1,
        },
        characters: characters(kind, number),
        system_characters: if kind == System { 40 + 8 * u64::from(number) } else { 0 },
        images: u32::from(kind == Images),
        tools: if kind == Tools { vec!["get_weather".into(), "get_time".into()] } else { Vec::new() },
        response_schema: (kind == Schema).then_some(schema),
        ..Traits::default()
    }
}

fn characters(kind: Kind, number: u32) -> u64 {
    let long = if kind == Plain && number < 6 { 900 + 100 * u64::from(number) } else { 0 };
    long + 60 + 4 * u64::from(number) + if kind == System { 40 + 8 * u64::from(number) } else { 0 }
}

/// Four characters a token, five for each message and two more, as a template may be; and what tools and images take.
fn prompt_tokens(kind: Kind, number: u32) -> u64 {
    let traits = traits(kind, number);
    let text = traits.characters / 4 + 5 * u64::from(traits.messages) + 2;
    let tools = if kind == Tools { 70 } else { 0 };
    let images = if kind == Images { image_tokens(number) } else { 0 };
    text + tools + images
}

/// Tokens of an image: one a patch, one a row.
pub fn image_tokens(number: u32) -> u64 {
    let side = [4, 8, 8, 4, 8][number as usize % 5];
    side * (side + 1)
}

/// Tokens of a text: one a word.
fn tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn draft(name: &str, kind: Kind, number: u32, replicate: u32) -> Draft {
    let probe = format!("{kind:?}/{number:02}");
    let own = [name, &probe, &replicate.to_string()].join("\n");
    let mut shared = rng::derive(1, &["greedy", &probe]);
    let mut drawn = rng::derive(1, &["drawn", &own]);
    let mut text = match kind {
        Sampled => words(&mut drawn, 14),
        Uncapped => words(&mut shared, 200 + 30 * number as usize),
        Stop | Seeded => words(&mut shared, 6),
        BothWays => words(&mut shared, 4),
        Tools => String::new(),
        Schema => format!("{{\"mood\": \"{}\"}}", ["calm", "cross"][number as usize % 2]),
        _ => words(&mut shared, 20 + number as usize % 9),
    };
    // Honest noise: a near-tie tips over now and then.
    if matches!(kind, Plain | System | History | Cut) && drawn.random_range(0..100) < 3 {
        let cut = text.len() * 2 / 3;
        text = text[..cut].to_owned() + &words(&mut drawn, 6);
    }
    let cap = match kind {
        Uncapped => None,
        BothWays => Some(3),
        Cut => Some(12),
        _ => Some(64),
    };
    let whole = tokens(&text);
    let is_cut = cap.is_some_and(|cap| whole > cap);
    if let Some(cap) = cap.filter(|_| is_cut) {
        text = text.split_inclusive(char::is_whitespace).take(cap as usize).collect();
    }
    let calls = (kind == Tools).then(|| ToolCall {
        name: "get_weather".into(),
        arguments: format!("{{\"city\": \"{}\"}}", WORDS[number as usize]),
    });
    let streamed = kind != BothWays || replicate.is_multiple_of(2);
    let mut sample = Sample {
        replicate,
        finish_reason: Some(if is_cut { "length" } else { "stop" }.into()),
        response_id: Some(format!("chatcmpl-{}", rng::derive_seed(1, &["id", &own]))),
        response_model: Some("m".into()),
        reasoning: (kind == Thinking).then(|| "Let me see.".into()),
        latency_ms: Some(Latency { first_token: None, total: 200 + drawn.random_range(0..50_u64) }),
        usage: Some(Usage {
            prompt_tokens: Some(prompt_tokens(kind, number)),
            completion_tokens: Some(if kind == Tools { 18 } else { tokens(&text) }),
            reasoning_tokens: None,
        }),
        parameters: Some(SampleParameters {
            temperature: Some(if matches!(kind, Sampled | Seeded) { 1.0 } else { 0.0 }),
            max_tokens: cap.map(|cap| cap as u32),
            seed: (kind == Seeded).then_some(7),
            stop: if kind == Stop { vec!["END".into()] } else { Vec::new() },
            stream: Some(streamed),
            stream_usage: streamed.then_some(true),
            traits: Some(traits(kind, number)),
            ..SampleParameters::default()
        }),
        ..Sample::new(name, probe, text)
    };
    if let Some(call) = calls {
        sample.tool_calls.push(call);
        sample.finish_reason = Some("tool_calls".into());
    }
    Draft { kind, number, sample }
}

/// Another answer with as many words, as another prompt brings it; what is drawn or seeded stays as it is.
fn asked_otherwise(draft: &mut Draft) {
    match draft.kind {
        Sampled | Seeded | Schema => {}
        Tools => draft.sample.tool_calls[0].arguments = "{\"city\": \"nowhere\"}".into(),
        _ => {
            let (_, rest) = draft.sample.text.split_once(char::is_whitespace).unwrap();
            draft.sample.text = format!("Verily {rest}");
        }
    }
}

/// Changes the count of a prompt's tokens, and the answer with it.
pub fn asked_and_counted(draft: &mut Draft, change: impl Fn(u64) -> u64) {
    let usage = draft.sample.usage.as_mut().unwrap();
    let counted = usage.prompt_tokens.map(change);
    if counted != usage.prompt_tokens {
        usage.prompt_tokens = counted;
        asked_otherwise(draft);
    }
}
