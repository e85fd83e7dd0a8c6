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

/// Whether two names are of two sizes of one family, such as `gpt-oss-120b` and `gpt-oss-20b`. A name that has nothing in common with
/// the other may be an alias of it.
pub fn are_other_sizes(asked: &str, answered: &str) -> bool {
    let words = |name: &str| -> BTreeSet<String> {
        let last = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        last.split(|c: char| !c.is_alphanumeric() && c != '.').map(str::to_owned).collect()
    };
    let (asked, answered) = (words(asked), words(answered));
    let sizes =
        |words: &BTreeSet<String>| -> BTreeSet<String> { words.iter().filter(|word| is_size(word)).cloned().collect() };
    let (first, second) = (sizes(&asked), sizes(&answered));
    let is_word = |word: &&String| word.chars().count() > 1 && word.chars().all(char::is_alphabetic);
    let have_family = asked.intersection(&answered).any(|word| is_word(&word));
    have_family && !first.is_empty() && !second.is_empty() && first.is_disjoint(&second)
}

/// Whether a word is a number of parameters, such as `120b` or `1.5b`.
fn is_size(word: &str) -> bool {
    let number = word.strip_suffix('b').or_else(|| word.strip_suffix('m'));
    number.is_some_and(|number| number.parse::<f64>().is_ok_and(f64::is_finite))
}

/// Whether a name fits a pattern in which `*` stands for any characters; case does not matter.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
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

    #[test]
    fn sizes_of_one_family_are_told_from_aliases() {
        assert!(are_other_sizes("openai/gpt-oss-120b", "gpt-oss-20b"));
        assert!(are_other_sizes("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-1.5b-instruct"));
        assert!(!are_other_sizes(
            "meta-llama/Llama-3.3-70B-Instruct",
            "accounts/fireworks/models/llama-v3p3-70b-instruct"
        ));
        assert!(!are_other_sizes("chat-prod-eu", "gpt-oss-120b") && !are_other_sizes("prod-70b", "gpt-oss-120b"));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(fits("gpt-oss-*", "gpt-oss-120b") && fits("*", "") && fits("*oss*b", "GPT-oss-120b"));
        assert!(fits("gpt-oss-120b", "GPT-OSS-120B") && fits("a*", "a"));
        assert!(!fits("gpt-oss-120b", "gpt-oss-120b-1") && !fits("*-20b", "gpt-oss-120b") && !fits("a*a", "a"));
    }

    proptest::proptest! {
        #[test]
        fn any_name_fits_itself_and_a_star(name in "[^*]{0,20}") {
            let (itself, longer) = (fits(&name, &name), fits(&(name.clone() + "*"), &name));
            proptest::prop_assert!(itself && longer && fits("*", &name));
            let _ = are_other_sizes(&name, "a-7b");
        }
    }
}
