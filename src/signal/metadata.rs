//! What hosts say of themselves: the model that answered, fingerprints, the hosts behind a router.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::Answers;

/// What an endpoint's answers say of their origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Names of the model that answered, with the number of answers.
    pub models: BTreeMap<String, usize>,
    /// Fingerprints of the host's configuration.
    pub fingerprints: BTreeSet<String>,
    /// Hosts behind a router.
    pub providers: BTreeSet<String>,
}

impl Metadata {
    /// Gathers over all answers.
    pub fn gather(answers: &Answers<'_>) -> Self {
        let mut out = Self::default();
        for answer in answers.all() {
            if let Some(model) = &answer.sample.response_model {
                *out.models.entry(bounded(model)).or_default() += 1;
            }
            out.fingerprints.extend(answer.sample.system_fingerprint.as_deref().map(bounded));
            out.providers.extend(answer.sample.provider.as_deref().map(bounded));
        }
        out
    }
}

/// Characters of a name that are kept: a host may send megabytes.
const LONGEST_NAME: usize = 120;

fn bounded(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

/// Whether two names may mean one model: hosts add a path, a variant, or change case and punctuation, so that one name within
/// the other is enough.
pub fn may_be_same_model(asked: &str, answered: &str) -> bool {
    let plain = |name: &str| -> String {
        let last = name.rsplit('/').next().unwrap_or(name);
        last.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (asked, answered) = (plain(asked), plain(answered));
    asked.contains(&answered) || answered.contains(&asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_model_are_told_from_those_of_another() {
        assert!(may_be_same_model("openai/gpt-oss-120b", "gpt-oss-120b"));
        assert!(may_be_same_model(
            "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
            "llama-4-maverick-17b-128e-instruct"
        ));
        assert!(!may_be_same_model("openai/gpt-oss-120b", "openai/gpt-oss-20b"));
    }
}
