//! Verdicts on a real model under a real engine, llama.cpp's server, held against what is known of each host.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use flate2::read::GzDecoder;
use samemodel::compare::{EndpointComparison, Roles, Settings, compare};
use samemodel::sample::Sample;
use samemodel::sample::file::read_samples;
use samemodel::verdict::{Confidence, Verdict};

pub fn load(file: &str) -> Vec<Sample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let reader = BufReader::new(GzDecoder::new(File::open(path).expect("the recorded answers")));
    read_samples(reader, file).expect("samples")
}

fn settings() -> Settings {
    Settings { seed: 0, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 1999 }
}

/// Everything that is said of each host beside `ref`.
fn judged(samples: &[Sample], control: Option<&str>) -> BTreeMap<String, EndpointComparison> {
    let names: std::collections::BTreeSet<&str> = samples.iter().map(|s| s.endpoint.as_str()).collect();
    let roles = Roles { control, ..Roles::new("ref", names.into_iter().collect()) };
    let found = compare(samples, &roles, &settings()).expect("comparable");
    found.endpoints.into_iter().map(|e| (e.endpoint.clone(), e)).collect()
}

/// Faults that are said as certain or likely.
fn named(found: &EndpointComparison) -> Vec<&str> {
    let sure = found.findings.iter().filter(|f| f.confidence != Confidence::Possible);
    sure.map(|f| f.fault.as_str()).collect()
}

/// What may be said as certain or likely of hosts whose requests or weights are changed; of all others nothing may.
const RIGHT: [(&str, &[&str]); 8] = [
    ("chatml", &["prompt-differs", "wrong-template"]),
    ("dropsys", &["prompt-differs", "dropped-system-prompt"]),
    ("hidden", &["hidden-system-prompt", "prompt-differs"]),
    ("gemma", &["swapped-model"]),
    ("mix30", &["partial-routing"]),
    ("temp03", &["temperature-ignored"]),
    ("llamadef", &["temperature-ignored"]),
    ("kv4", &["quantized-kv"]),
];

#[test]
fn with_and_without_a_control_what_is_said_of_real_hosts_is_true() {
    let samples = load("engine/a.jsonl.gz");
    for control in [None, Some("gemma")] {
        let found = judged(&samples, control);
        let verdict = |host: &str| found[host].verdict;
        for honest in ["twin1", "twin2", "q8"] {
            assert_ne!(verdict(honest), Verdict::Drifted, "{control:?}: {:#?}", found[honest].findings);
        }
        for sampled in ["temp03", "llamadef"] {
            assert_ne!(verdict(sampled), Verdict::Consistent, "{control:?}: {sampled}");
        }
        for changed in ["q4_0", "q2k", "rope", "chatml", "hidden", "dropsys", "mix30", "temp03"] {
            assert_eq!(verdict(changed), Verdict::Drifted, "{control:?}: {changed}: {}", found[changed].reason);
        }
        for (host, found) in &found {
            let right = RIGHT.iter().find(|(name, _)| name == host).map_or(&[][..], |(_, right)| right);
            let wrong: Vec<&str> = named(found).into_iter().filter(|name| !right.contains(name)).collect();
            assert!(wrong.is_empty(), "{control:?}: {host}: {:#?}", found.findings);
        }
    }
}

#[test]
fn weights_that_agree_are_told_apart_from_sampling_that_is_not_settled() {
    let found = judged(&load("engine/a.jsonl.gz"), Some("gemma"));
    for host in ["twin1", "twin2", "llamadef", "temp03"] {
        assert_eq!(found[host].questions.computed.verdict, Verdict::Consistent, "{host}: {:?}", found[host].questions);
    }
    assert_eq!(found["temp03"].questions.drawn.verdict, Verdict::Drifted);
    assert_ne!(found["llamadef"].questions.drawn.verdict, Verdict::Consistent);
}

#[test]
fn answers_to_canaries_alone_are_a_result() {
    let found = judged(&load("engine/c.jsonl.gz"), None);
    let certain: [(&str, &[&str]); 7] = [
        ("cached", &["cached-responses"]),
        ("capplus", &["max-tokens-ignored"]),
        ("chatml", &["prompt-differs"]),
        ("doublebos", &["prompt-differs", "double-bos"]),
        ("noseed", &["seed-ignored"]),
        ("nostop", &["stop-ignored"]),
        ("saysstop", &["finish-reason-wrong"]),
    ];
    for (host, faults) in certain {
        assert_eq!(found[host].verdict, Verdict::Drifted, "{host}");
        assert!(named(&found[host]).starts_with(faults), "{host}: {:#?}", found[host].findings);
    }
    assert_eq!(found["hidsys"].verdict, Verdict::Drifted);
    for honest in ["twin1", "notools"] {
        assert!(named(&found[honest]).is_empty(), "{honest}: {:#?}", found[honest].findings);
        assert_eq!(found[honest].verdict, Verdict::Unmeasured, "{honest}");
    }
}

#[test]
fn a_few_foreign_letters_of_one_model_are_no_corrupted_output() {
    let mut samples = load("false-corrupted.jsonl.gz");
    let names: Vec<String> = samples.iter().map(|s| s.endpoint.clone()).collect();
    let reference = names.iter().find(|name| name.contains("ref")).unwrap_or(&names[0]).clone();
    samples.iter_mut().filter(|s| s.endpoint == reference).for_each(|s| s.endpoint = "ref".into());
    for (host, found) in judged(&samples, None) {
        assert_ne!(found.verdict, Verdict::Drifted, "{host}: {}", found.reason);
        assert!(named(&found).is_empty(), "{host}: {:#?}", found.findings);
    }
}
