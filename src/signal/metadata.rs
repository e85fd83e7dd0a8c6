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
    let have_family = asked.intersection(&answered).any(|word| is_of_family(word));
    have_family && Sizes::of(&asked).are_others(&Sizes::of(&answered))
}

/// Words of names that say what a model is for, or how it is kept, and not which it is.
const OF_ANY_MODEL: [&str; 18] = [
    "awq", "base", "bf16", "chat", "fast", "fp16", "fp8", "gguf", "gptq", "instruct", "int4", "int8", "it", "latest",
    "model", "preview", "thinking", "turbo",
];

/// Whether a word may be the name of a family, such as `llama` or `qwen3`.
fn is_of_family(word: &str) -> bool {
    let letters = word.chars().take_while(|c| c.is_alphabetic()).count();
    letters > 1 && !OF_ANY_MODEL.contains(&word)
}

/// The numbers of parameters in a name, in billions.
struct Sizes {
    numbers: Vec<f64>,
    /// Whether a number of experts says that one of them may be what is active, or what is there in all.
    has_experts: bool,
}

/// The share by which two numbers of parameters may differ that round to one.
const ROUNDED: f64 = 0.1;

impl Sizes {
    fn of(words: &BTreeSet<String>) -> Self {
        let is_experts = |word: &String| word.strip_suffix('e').is_some_and(|n| n.parse::<u32>().is_ok());
        Self { numbers: words.iter().filter_map(|w| size(w)).collect(), has_experts: words.iter().any(is_experts) }
    }

    fn are_others(&self, other: &Self) -> bool {
        let is_near = |a: &f64, b: &f64| (a - b).abs() <= ROUNDED * a.max(*b);
        let differ = !self.numbers.iter().any(|a| other.numbers.iter().any(|b| is_near(a, b)));
        let both_told = !self.numbers.is_empty() && !other.numbers.is_empty();
        both_told && differ && !self.may_be_active_of(other) && !other.may_be_active_of(self)
    }

    /// Whether what is active is told here, and there what is there in all: `17b-128e` and `400b` are one model's.
    fn may_be_active_of(&self, other: &Self) -> bool {
        let most = |numbers: &[f64]| numbers.iter().copied().fold(0.0, f64::max);
        self.has_experts && !other.has_experts && most(&self.numbers) < most(&other.numbers)
    }
}

/// The number of parameters that a word stands for, in billions: `120b`, `1.5b`, `500m`, or `a3b` for those that are active.
fn size(word: &str) -> Option<f64> {
    let word = word.strip_prefix('a').unwrap_or(word);
    let billions = |suffix: char, unit: f64| Some(word.strip_suffix(suffix)?.parse::<f64>().ok()? * unit);
    // Few millions are of tokens in a context: `1m`, `10m`.
    let of_millions = billions('m', 1e-3).filter(|n| *n > MOST_MILLIONS_OF_TOKENS);
    billions('b', 1.0).or(of_millions).filter(|n| n.is_finite() && *n > 0.0)
}

/// Up to so many, in billions as sizes are, a number of millions is the length of a context; the smallest models in use have more
/// parameters.
const MOST_MILLIONS_OF_TOKENS: f64 = 0.01;

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
        assert!(!are_other_sizes("acme-70b-chat", "llama-3-8b-chat"), "chat is no family");
        assert!(!are_other_sizes("qwen2.5-instruct-1m", "qwen2.5-7b-instruct"), "a context of a million tokens");
    }

    #[test]
    fn what_is_active_and_what_is_there_in_all_are_sizes_of_one_model() {
        let maverick = "meta-llama/Llama-4-Maverick-17B-128E-Instruct";
        assert!(
            !are_other_sizes("llama-4-maverick-400b", maverick) && !are_other_sizes(maverick, "llama-4-maverick-400b")
        );
        assert!(
            !are_other_sizes("qwen3-30b", "Qwen3-30B-A3B-Instruct") && !are_other_sizes("qwen-a3b", "qwen-30b-a3b")
        );
        assert!(are_other_sizes("qwen-30b-a3b", "qwen-235b-a22b") && are_other_sizes("qwen-30b-a3b", "qwen-4b"));
        assert!(are_other_sizes("llama-8b", maverick), "less in all than is active");
    }

    #[test]
    fn sizes_are_compared_as_numbers() {
        assert!(!are_other_sizes("llama-3-8b", "llama-3-8.0b-instruct") && !are_other_sizes("qwen-0.5b", "qwen-500m"));
        assert!(!are_other_sizes("qwen-7b", "qwen-7.6b"), "rounded");
        assert!(are_other_sizes("llama-7b", "llama-8b") && are_other_sizes("qwen-0.5b", "qwen-0.6b"));
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
