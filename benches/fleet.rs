//! How long a fleet of 20 endpoints takes to serve 24 probes × 10 answers × 32 tokens each over HTTP, and how much memory
//! the whole process holds then, client included.
//!
//! Not a benchmark of repeated runs but one run against two limits: 90 s on two cores, 300 MB. It says how far it is from
//! them and fails beyond. Without `--bench` it serves a small part once, as a test of itself.

use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use samemodel::lab::{Fleet, FleetOptions, LabEndpoint, MODEL_NAME};
use serde_json::{Value, json};

const LIMIT_SECONDS: f64 = 90.0;
const LIMIT_MEGABYTES: f64 = 300.0;
const CAP: usize = 32;

/// Addresses of endpoints: what hosts of a lively fleet may have.
const ADDRESSES: [&str; 10] = [
    "lab:",
    "lab:weights=f32",
    "lab:quantized-weights",
    "lab:quantized-weights=q5_0",
    "lab:quantized-weights=q8_0",
    "lab:swapped-model",
    "lab:double-bos",
    "lab:hidden-system-prompt",
    "lab:temperature-ignored",
    "lab:quantized-kv",
];

/// The lab's sampled probes are of this kind.
const PROMPTS: [&str; 24] = [
    "Tell me a story about a boat.",
    "Tell me a story about a fox.",
    "Tell me a story about a kettle.",
    "Tell me a story about a tower.",
    "Describe the garden.",
    "Describe the harbour.",
    "Describe the violin.",
    "Describe the map.",
    "Write a poem about the candle.",
    "Write a poem about the river.",
    "Write a poem about the barn.",
    "Write a poem about the dragon.",
    "Write a letter to Anna about the hammer.",
    "Write a letter to Omar about the rose.",
    "What do you think about the book?",
    "What do you think about the owl?",
    "What is the weather in Oslo?",
    "What is the weather in Lima?",
    "Plan a day in Rome.",
    "Plan a day in Cairo.",
    "How can I sleep better?",
    "How can I cook better?",
    "How do I make soup?",
    "How do I make bread?",
];

struct Load {
    endpoints: usize,
    prompts: usize,
    answers: usize,
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
fn main() {
    let whole = std::env::args().any(|argument| argument == "--bench");
    let load = if whole {
        Load { endpoints: 20, prompts: 24, answers: 10 }
    } else {
        Load { endpoints: 3, prompts: 2, answers: 2 }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let tokens = runtime.block_on(serve(&load));
    let (seconds, megabytes) = (begun.elapsed().as_secs_f64(), resident_megabytes());
    let requests = load.endpoints * load.prompts * load.answers;
    println!(
        "{} endpoints, {requests} answers, {tokens} tokens: {seconds:.1} s of {LIMIT_SECONDS:.0}, {:.0} tokens a second, \
         {} MB resident of {LIMIT_MEGABYTES:.0}",
        load.endpoints,
        tokens as f64 / seconds,
        megabytes.map_or_else(|| "unknown".to_owned(), |mb| format!("{mb:.0}")),
    );
    assert!(!whole || seconds <= LIMIT_SECONDS, "too slow");
    assert!(!whole || megabytes.is_none_or(|mb| mb <= LIMIT_MEGABYTES), "too large");
}

/// Asks everything, eight requests at a time at each endpoint; the number of answer tokens.
async fn serve(load: &Load) -> u64 {
    let endpoints: Vec<LabEndpoint> = (0..load.endpoints)
        .map(|index| {
            LabEndpoint::from_address(format!("e{index}"), ADDRESSES[index % ADDRESSES.len()]).expect("an address")
        })
        .collect();
    let fleet = Fleet::start(&endpoints, FleetOptions::default()).await.expect("a fleet");
    let client = reqwest::Client::new();
    let urls: Vec<String> = (0..load.endpoints).map(|i| format!("{}/chat/completions", fleet.base_url(i))).collect();
    let one = |url: &String| {
        let (client, url) = (client.clone(), url.clone());
        let prompts = (0..load.prompts).flat_map(|p| std::iter::repeat_n(PROMPTS[p], load.answers));
        stream::iter(prompts.map(move |prompt| ask(client.clone(), url.clone(), prompt)).collect::<Vec<_>>())
            .buffer_unordered(8)
            .try_fold(0, |sum, tokens| async move { Ok(sum + tokens) })
    };
    let all = futures_util::future::try_join_all(urls.iter().map(one)).await.expect("answers");
    all.into_iter().sum()
}

async fn ask(client: reqwest::Client, url: String, prompt: &'static str) -> Result<u64, reqwest::Error> {
    let message = json!({"role": "user", "content": prompt});
    let body = json!({"model": MODEL_NAME, "messages": [message], "max_tokens": CAP, "temperature": 1});
    let bytes = client.post(url).body(body.to_string()).send().await?.error_for_status()?.bytes().await?;
    let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
    Ok(answer["usage"]["completion_tokens"].as_u64().expect("a count"))
}

/// Of this process, where the system says it.
fn resident_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kb| kb / 1e3)
}
