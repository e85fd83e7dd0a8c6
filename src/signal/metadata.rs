//! What hosts say of themselves: the model that answered, fingerprints, special tokens left in the text.

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
    /// Special tokens found in the text, such as `<|eot_id|>`.
    pub special_tokens: BTreeSet<String>,
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
            out.special_tokens.extend(special_tokens(&answer.sample.text).map(str::to_owned));
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

/// Special tokens in the usual bars-and-angles form.
fn special_tokens(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("<|").filter_map(|(start, _)| {
        let rest = &text[start + 2..];
        let end = rest.find("|>")?;
        let name = &rest[..end];
        let plain = !name.is_empty() && name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain.then(|| &text[start..start + 2 + end + 2])
    })
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
    fn only_whole_special_tokens_are_found() {
        let found: Vec<&str> = special_tokens("a<|eot_id|>b <| not |> <|half <|im_end|>").collect();
        assert_eq!(found, ["<|eot_id|>", "<|im_end|>"]);
    }
}
