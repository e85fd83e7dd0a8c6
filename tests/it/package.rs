//! The statistic that other people report, held against their own code's values.

use serde::Deserialize;

use crate::real_data::{load, roles, settings, statistic};
use samemodel::compare::compare;

#[derive(Deserialize)]
struct Recorded {
    package: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    statistic: f64,
    #[serde(default)]
    kept: Vec<(String, String, u32)>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("../data/met_mmd_hamming.json")).expect("recorded values")
}

fn case(name: &str) -> Case {
    let recorded = recorded();
    assert_eq!(recorded.package, "model-equality-testing 0.0.2");
    recorded.cases.into_iter().find(|c| c.name == name).expect("the case is recorded")
}

fn assert_equal(found: f64, case: &Case) {
    assert!((found - case.statistic).abs() <= 1e-9, "{}: {found} against {}", case.name, case.statistic);
}

#[test]
fn mmd_hamming_equals_the_package_on_two_models() {
    let samples = load("ultrachat-two-models.jsonl");
    let found =
        compare(&samples, &roles("llama-3-70b-fp8", "mistral-7b-v0.3-fp8"), &settings(0)).expect("a comparison");
    assert_equal(statistic(&found, "mmd_hamming"), &case("ultrachat"));
}

#[test]
fn mmd_hamming_equals_the_package_with_uneven_numbers_of_answers() {
    let case = case("ultrachat uneven");
    let mut samples = load("ultrachat-two-models.jsonl");
    samples.retain(|s| case.kept.contains(&(s.endpoint.clone(), s.probe.clone(), s.replicate)));
    let found =
        compare(&samples, &roles("llama-3-70b-fp8", "mistral-7b-v0.3-fp8"), &settings(0)).expect("a comparison");
    assert_equal(statistic(&found, "mmd_hamming"), &case);
}

#[test]
fn mmd_hamming_equals_the_package_on_one_model_against_itself() {
    for (first, second) in [(10, 10), (7, 12)] {
        let mut samples = load("llama3-70b-wikipedia.jsonl");
        samples.retain(|s| s.replicate < first + second);
        for sample in &mut samples {
            sample.endpoint = if sample.replicate < first { "a" } else { "b" }.to_owned();
        }
        let found = compare(&samples, &roles("a", "b"), &settings(0)).expect("a comparison");
        assert_equal(statistic(&found, "mmd_hamming"), &case(&format!("wikipedia {first}+{second}")));
    }
}
