//! What hosts say of themselves: the model that answered, fingerprints, special tokens left in the text.

use std::collections::BTreeSet;

use super::answers::Answers;

/// What an endpoint's answers say of their origin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Names of the model that answered.
    pub models: BTreeSet<String>,
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
            out.models.extend(answer.sample.response_model.clone());
            out.fingerprints.extend(answer.sample.system_fingerprint.clone());
            out.providers.extend(answer.sample.provider.clone());
            out.special_tokens.extend(special_tokens(&answer.sample.text).map(str::to_owned));
        }
        out
    }
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
    fn only_whole_special_tokens_are_found() {
        let found: Vec<&str> = special_tokens("a<|eot_id|>b <| not |> <|half <|im_end|>").collect();
        assert_eq!(found, ["<|eot_id|>", "<|im_end|>"]);
    }
}
