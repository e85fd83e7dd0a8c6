//! How tokens are drawn: seeds, repeats, and hosts that draw in a way of their own.

use serde_json::json;

use super::*;

#[tokio::test]
async fn answers_repeat_with_the_seed_whatever_the_load() {
    let questions = [QUESTION, STORY, "Describe the garden.", "What is the weather in Oslo?"];
    let bodies: Vec<_> = questions.iter().map(|question| body(question, &json!({"temperature": 1.2}))).collect();
    let one_worker = FleetOptions { seed: 5, workers: NonZeroUsize::new(1), ..FleetOptions::default() };
    let fleet_at_rest = fleet(&["lab:", "lab:quantized-weights"], one_worker).await;
    let mut alone = Vec::new();
    for index in [0, 1] {
        for body in bodies.iter().chain(&bodies) {
            alone.push(text(&ask(&fleet_at_rest, index, body).await).to_owned());
        }
    }
    let two_workers = FleetOptions { seed: 5, workers: NonZeroUsize::new(2), ..FleetOptions::default() };
    let busy_fleet = fleet(&["lab:", "lab:quantized-weights"], two_workers).await;
    let requests = [0, 1].into_iter().flat_map(|index| bodies.iter().chain(&bodies).map(move |body| (index, body)));
    let together = join_all(requests.map(|(index, body)| ask(&busy_fleet, index, body))).await;
    let mut together: Vec<_> = together.iter().map(|answer| text(answer).to_owned()).collect();
    assert_ne!(alone[0..4], alone[4..8], "repeats differ");
    assert_ne!(alone[0..8], alone[8..16], "endpoints differ");
    alone.sort();
    together.sort();
    assert_eq!(alone, together);
}

#[tokio::test]
async fn a_seed_of_the_client_repeats_the_draws() {
    let fleet = quiet(&["lab:"]).await;
    let seeded = |seed| body(STORY, &json!({"seed": seed, "temperature": 1.3}));
    let first = ask(&fleet, 0, &seeded(1)).await;
    assert_eq!(text(&first), text(&ask(&fleet, 0, &seeded(1)).await));
    assert_ne!(text(&first), text(&ask(&fleet, 0, &seeded(2)).await));
}

#[tokio::test]
async fn a_host_that_ignores_temperature_hardly_varies() {
    let fleet = quiet(&["lab:", "lab:temperature-ignored=0.000001"]).await;
    let mut distinct = Vec::new();
    for index in [0, 1] {
        let mut texts = Vec::new();
        for _ in 0..6 {
            texts.push(text(&ask(&fleet, index, &body(STORY, &json!({"temperature": 1.3}))).await).to_owned());
        }
        texts.sort();
        texts.dedup();
        distinct.push(texts.len());
    }
    assert!(distinct[0] >= 5 && distinct[1] == 1, "{distinct:?}");
}

#[tokio::test]
async fn a_host_that_ignores_seeds_draws_afresh() {
    let fleet = quiet(&["lab:seed-ignored"]).await;
    let seeded = body(STORY, &json!({"seed": 1, "temperature": 1.3}));
    let first = ask(&fleet, 0, &seeded).await;
    assert_ne!(text(&first), text(&ask(&fleet, 0, &seeded).await));
}

#[tokio::test]
async fn seeds_of_the_client_are_kept_whatever_the_load_and_the_delivery() {
    let fleet = fleet(&["lab:"], FleetOptions { noise: Noise::NONE, seed: 8, ..FleetOptions::default() }).await;
    let bodies: Vec<_> = (0..4).map(|seed| body(STORY, &json!({"seed": seed, "temperature": 1.3}))).collect();
    let mut alone = Vec::new();
    for body in &bodies {
        alone.push(text(&ask(&fleet, 0, body).await).to_owned());
    }
    let together = join_all(bodies.iter().map(|body| ask(&fleet, 0, body))).await;
    assert_eq!(together.iter().map(text).collect::<Vec<_>>(), alone);
    assert_eq!(streamed(&stream(&fleet, 0, &bodies[2]).await).content, alone[2]);
}

#[tokio::test]
async fn a_share_of_requests_goes_elsewhere_by_chance_or_by_prompt() {
    let fleet = quiet(&["lab:", "lab:partial-routing=0.5", "lab:partial-routing=0.5,sticky"]).await;
    let greedy = |question: &str| body(question, &json!({"temperature": 0, "max_tokens": 16}));
    let questions =
        [STORY, "Describe the garden.", "How do I make soup?", "Describe the lamp.", "Do you like the boat?"];
    let (mut by_chance, mut elsewhere) = (0, 0);
    for question in questions {
        let right = ask(&fleet, 0, &greedy(question)).await;
        let mut chance = Vec::new();
        let mut sticky = Vec::new();
        for _ in 0..6 {
            chance.push(text(&ask(&fleet, 1, &greedy(question)).await) == text(&right));
            sticky.push(text(&ask(&fleet, 2, &greedy(question)).await) == text(&right));
        }
        by_chance += usize::from(chance.contains(&true) && chance.contains(&false));
        assert!(sticky.iter().all(|same| *same == sticky[0]), "{question}");
        elsewhere += usize::from(!sticky[0]);
    }
    assert!(by_chance >= 3, "{by_chance} of 5 prompts went both ways");
    assert!((1..5).contains(&elsewhere), "{elsewhere} of 5 prompts stick to the smaller model");
}

#[tokio::test]
async fn samplers_are_corrupted_miscompiled_and_marked() {
    let addresses = ["lab:", "lab:corrupted-output=1", "lab:topk-miscompile=1", "lab:watermark=10"];
    let fleet = quiet(&addresses).await;
    let greedy = endless(STORY, &json!({"temperature": 0, "max_tokens": 12}));
    let mut texts = Vec::new();
    for index in 0..addresses.len() {
        texts.push(text(&ask(&fleet, index, &greedy).await).to_owned());
    }
    let foreign = |c: char| matches!(c, '\u{0E00}'..='\u{0E7F}' | '\u{4E00}'..='\u{9FFF}');
    assert!(!texts[0].contains(foreign) && texts[1].contains(foreign), "{texts:?}");
    assert!(texts[2] != texts[0] && texts[3] != texts[0], "{texts:?}");
}
