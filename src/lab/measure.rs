//! What the lab's faults and its honest noise do to greedy answers, measured on prompts of the model's domain.
//!
//! `cargo test --release --lib lab::measure -- --nocapture` prints the figures.

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};

use super::*;

const TOKENS: u32 = 40;
const TOPICS: [&str; 12] =
    ["boat", "fox", "kettle", "tower", "book", "rose", "candle", "violin", "barn", "map", "dragon", "hammer"];
const CITIES: [&str; 6] = ["Oslo", "Rome", "Cairo", "Lima", "Tokyo", "Dublin"];
const HABITS: [&str; 6] = ["sleep", "study", "cook", "save money", "swim", "keep calm"];
const DISHES: [&str; 6] = ["soup", "bread", "salad", "pasta", "stew", "curry"];

/// 150 questions, most of them with many good answers.
fn questions() -> Vec<String> {
    let mut all = Vec::new();
    for form in [
        "Tell me a story about a {}.",
        "Describe the {}.",
        "What does the {} look like?",
        "What do you think about the {}?",
        "Write a poem about the {}.",
        "Write a letter to Anna about the {}.",
        "Do you like the {}?",
    ] {
        all.extend(TOPICS.map(|topic| form.replace("{}", topic)));
    }
    for form in [
        "What is the weather in {}?",
        "Plan a day in {}.",
        "What should I do in {}?",
        "How is the weather in {} today?",
    ] {
        all.extend(CITIES.map(|city| form.replace("{}", city)));
    }
    for form in ["How can I {} better?", "Some tips to {}, please."] {
        all.extend(HABITS.map(|habit| form.replace("{}", habit)));
    }
    for form in ["How do I make {}?", "Give me a recipe for {}."] {
        all.extend(DISHES.map(|dish| form.replace("{}", dish)));
    }
    all.extend((1..=18).map(|number| format!("What is {number} + {}?", 30 - number)));
    all
}

/// The greedy answer of each endpoint to each question.
async fn answers(addresses: &[&str]) -> Vec<Vec<String>> {
    let endpoint = |(index, address): (usize, &&str)| LabEndpoint::from_address(format!("e{index}"), address).unwrap();
    let endpoints: Vec<_> = addresses.iter().enumerate().map(endpoint).collect();
    let fleet = Fleet::start(&endpoints, FleetOptions::default()).await.unwrap();
    let client = Client::new();
    let ask = |index: usize, question: String| {
        let message = json!({"role": "user", "content": question});
        let body = json!({"model": MODEL_NAME, "messages": [message], "temperature": 0, "max_tokens": TOKENS});
        let url = format!("{}/chat/completions", fleet.base_url(index));
        let request = client.post(url).body(body.to_string());
        async move {
            let bytes = request.send().await.unwrap().bytes().await.unwrap();
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
        }
    };
    let mut all = Vec::new();
    for index in 0..addresses.len() {
        all.push(join_all(questions().into_iter().map(|question| ask(index, question))).await);
    }
    all
}

/// The share of answers that differ from those of the first endpoint, for each of the others.
async fn differing(addresses: &[&str]) -> Vec<f64> {
    let all = answers(addresses).await;
    let share = |other: &Vec<String>| {
        let differing = all[0].iter().zip(other).filter(|(a, b)| a != b).count();
        differing as f64 / other.len() as f64
    };
    let shares: Vec<f64> = all[1..].iter().map(share).collect();
    for (address, share) in addresses[1..].iter().zip(&shares) {
        println!("{address:32} {:5.1} % of greedy answers differ from {}", share * 100.0, addresses[0]);
    }
    shares
}

/// The share of answers that differ, over all pairs of six honest hosts with this address.
async fn differing_from_itself(address: &str) -> f64 {
    let all = answers(&[address; 6]).await;
    let mut pairs = 0;
    let mut differing = 0;
    for (index, one) in all.iter().enumerate() {
        for other in &all[..index] {
            pairs += one.len();
            differing += one.iter().zip(other).filter(|(a, b)| a != b).count();
        }
    }
    let share = differing as f64 / pairs as f64;
    println!("{address:32} {:5.1} % of greedy answers differ from its own", share * 100.0);
    share
}

#[tokio::test]
async fn honest_hosts_differ_a_little_and_faulty_ones_more() {
    let own = differing_from_itself("lab:").await;
    assert!((0.03..=0.10).contains(&own), "{own}");
    let faults = [
        "lab:",
        "lab:quantized-weights=q8_0",
        "lab:quantized-weights=q5_0",
        "lab:quantized-weights",
        "lab:double-bos",
        "lab:missing-bos",
        "lab:hidden-system-prompt",
        "lab:temperature-ignored",
        "lab:swapped-model",
    ];
    let shares = differing(&faults).await;
    for (address, share) in faults[1..].iter().zip(shares) {
        assert!(share > own, "{address}: {share} where honest hosts have {own}");
    }
}

#[tokio::test]
async fn fewer_bits_make_more_noise() {
    let mut shares = Vec::new();
    for bits in [23, 10, 9, 8, 7, 6] {
        shares.push(differing_from_itself(&format!("lab:noise={bits}")).await);
    }
    assert!(shares[0] < f64::EPSILON, "without noise nothing differs: {shares:?}");
    assert!(shares.is_sorted(), "{shares:?}");
}
