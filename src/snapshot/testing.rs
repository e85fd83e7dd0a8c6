//! Samples and snapshots for tests.

use super::Snapshot;
use crate::probe::Probe;
use crate::sample::{Latency, Sample, SampleParameters, Usage};

/// A probe of one message.
pub(crate) fn probe(id: &str, message: &str) -> Probe {
    let json = serde_json::json!({
        "id": id, "about": "", "asking": "sampled", "samples": null, "parameters": {}, "tools": [],
        "response_schema": null, "checks": [], "messages": [{"role": "user", "content": message}],
    });
    serde_json::from_value(json).expect("a probe")
}

/// A sample as a host gives one.
pub(crate) fn sample(text: &str, replicate: u32) -> Sample {
    Sample {
        replicate,
        finish_reason: Some("stop".into()),
        usage: Some(Usage { prompt_tokens: Some(12), completion_tokens: Some(text.len() as u64), ..Usage::default() }),
        response_model: Some("m-fp8".into()),
        latency_ms: Some(Latency { first_token: Some(3), total: 9 }),
        at: Some("2026-11-25T12:00:00Z".parse().expect("a time")),
        parameters: Some(SampleParameters {
            temperature: Some(1.0),
            max_tokens: Some(64),
            stream: Some(true),
            traits: Some(probe("core/haiku", "Write a haiku.").traits()),
            ..SampleParameters::default()
        }),
        ..Sample::new("together", "core/haiku", text)
    }
}

/// The snapshot of these texts.
pub(crate) fn snapshot(texts: &[&str]) -> Snapshot {
    let samples: Vec<Sample> = texts.iter().zip(0..).map(|(text, n)| sample(text, n)).collect();
    let all: Vec<&Sample> = samples.iter().collect();
    Snapshot::of_samples("llama", &probe("core/haiku", "Write a haiku."), &all, "run 1").expect("answers")
}
