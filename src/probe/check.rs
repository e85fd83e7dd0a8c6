//! Checks: what a right answer to a probe looks like.
//!
//! Layer 1, pure. A check that fails says why, in a sentence that fits into a report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// One condition on an answer's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The trimmed answer is exactly this.
    Exact(String),
    /// The answer holds this, whatever the case.
    Contains(String),
    /// The answer matches this regular expression somewhere.
    Regex(String),
    /// The trimmed answer is one of these, whatever the case.
    OneOf(Vec<String>),
    /// The answer is JSON that follows this schema.
    JsonSchema(Value),
}

/// Why an answer does not pass a check.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Miss {
    /// Another text.
    #[error("the answer is not exactly {0:?}")]
    NotExact(String),
    /// The text is not in it.
    #[error("the answer does not contain {0:?}")]
    NotContained(String),
    /// The pattern matches nowhere.
    #[error("the answer does not match /{0}/")]
    NoMatch(String),
    /// None of the texts.
    #[error("the answer is none of {0:?}")]
    NoneOf(Vec<String>),
    /// Not JSON at all.
    #[error("the answer is not JSON: {0}")]
    NotJson(String),
    /// JSON of another shape.
    #[error("the answer breaks the schema at {place}: {reason}")]
    BreaksSchema {
        /// A JSON pointer into the answer.
        place: String,
        /// What the validator says.
        reason: String,
    },
    /// The check itself cannot be used; a check from a probe file always can.
    #[error("the check cannot be used: {0}")]
    Unusable(String),
}

impl Check {
    /// Whether an answer passes.
    pub fn passes(&self, answer: &str) -> bool {
        self.judge(answer).is_ok()
    }

    /// Passes an answer, or says why not.
    pub fn judge(&self, answer: &str) -> Result<(), Miss> {
        match self {
            Self::Exact(text) => or(answer.trim() == text.trim(), || Miss::NotExact(text.clone())),
            Self::Contains(text) => {
                or(answer.to_lowercase().contains(&text.to_lowercase()), || Miss::NotContained(text.clone()))
            }
            Self::Regex(pattern) => {
                let regex = regex::Regex::new(pattern).map_err(|error| Miss::Unusable(error.to_string()))?;
                or(regex.is_match(answer), || Miss::NoMatch(pattern.clone()))
            }
            Self::OneOf(texts) => {
                let given = answer.trim().to_lowercase();
                or(texts.iter().any(|text| text.trim().to_lowercase() == given), || Miss::NoneOf(texts.clone()))
            }
            Self::JsonSchema(schema) => follows(schema, answer),
        }
    }
}

fn or(passed: bool, miss: impl FnOnce() -> Miss) -> Result<(), Miss> {
    if passed { Ok(()) } else { Err(miss()) }
}

fn follows(schema: &Value, answer: &str) -> Result<(), Miss> {
    let value: Value = serde_json::from_str(answer.trim()).map_err(|error| Miss::NotJson(error.to_string()))?;
    let validator = jsonschema::validator_for(schema).map_err(|error| Miss::Unusable(error.to_string()))?;
    validator.validate(&value).map_err(|error| {
        let place = error.instance_path().to_string();
        Miss::BreaksSchema { place: if place.is_empty() { "/".into() } else { place }, reason: error.to_string() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn exact_ignores_white_space_around_the_answer_and_nothing_else() {
        let check = Check::Exact("Paris".into());
        assert_eq!(check.judge(" Paris\n"), Ok(()));
        assert_eq!(check.judge("paris"), Err(Miss::NotExact("Paris".into())));
        assert!(!check.passes("Paris."));
    }

    #[test]
    fn contains_ignores_case_beyond_ascii() {
        assert!(Check::Contains("Ärger".into()).passes("viel ÄRGER im Haus"));
        assert_eq!(Check::Contains("x".into()).judge("abc"), Err(Miss::NotContained("x".into())));
    }

    #[test]
    fn a_regex_matches_anywhere_and_minds_case() {
        let check = Check::Regex(r"\b42\b".into());
        assert!(check.passes("It is 42."));
        assert!(!check.passes("It is 420."));
    }

    #[test]
    fn one_of_takes_any_of_its_texts_whatever_the_case() {
        let check = Check::OneOf(vec!["Yes".into(), "No".into()]);
        assert!(check.passes("no"));
        assert_eq!(check.judge("perhaps"), Err(Miss::NoneOf(vec!["Yes".into(), "No".into()])));
    }

    #[test]
    fn a_schema_tells_text_from_wrong_json_from_right_json() {
        let check = Check::JsonSchema(json!({"type": "object", "properties": {"age": {"type": "integer"}}}));
        assert!(check.passes(" {\"age\": 3}\n"));
        assert!(matches!(check.judge("three"), Err(Miss::NotJson(_))));
        assert!(matches!(check.judge("{\"age\": \"3\"}"), Err(Miss::BreaksSchema { place, .. }) if place == "/age"));
        assert!(matches!(check.judge("[]"), Err(Miss::BreaksSchema { place, .. }) if place == "/"));
    }

    #[test]
    fn a_broken_check_passes_nothing_and_says_so() {
        assert!(matches!(Check::Regex("(".into()).judge("("), Err(Miss::Unusable(_))));
        assert!(matches!(Check::JsonSchema(json!({"type": 3})).judge("3"), Err(Miss::Unusable(_))));
    }

    proptest! {
        #[test]
        fn an_answer_is_exactly_itself_and_contains_its_parts(answer in "\\PC{0,40}", cut in 0usize..40) {
            prop_assert!(Check::Exact(answer.clone()).passes(&answer));
            let part: String = answer.chars().take(cut).collect();
            // Lower-casing looks at neighbours (the Greek final sigma), so the part is lowered first.
            prop_assert!(Check::Contains(part.to_ascii_lowercase()).passes(&answer) || !part.is_ascii());
        }

        #[test]
        fn any_text_is_judged_by_any_schema_check_without_panic(answer in "\\PC{0,60}") {
            let check = Check::JsonSchema(json!({"type": "string"}));
            let is_string = serde_json::from_str::<String>(answer.trim()).is_ok();
            prop_assert_eq!(check.passes(&answer), is_string);
        }
    }
}
