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

/// Whether two names may mean one model: hosts add a path, a date or a variant, or change case and punctuation, so that one name within
/// the other is enough, as long as what is more there does not make it another model.
pub fn may_be_same_model(asked: &str, answered: &str) -> bool {
    let (asked, answered) = (parts(asked), parts(answered));
    is_within(&asked, &answered) || is_within(&answered, &asked)
}

/// Words that make a model another one than that of the name without them.
const OF_ANOTHER_MODEL: [&str; 31] = [
    "air",
    "audio",
    "base",
    "code",
    "coder",
    "codex",
    "distill",
    "distilled",
    "embed",
    "embedding",
    "flash",
    "guard",
    "large",
    "lite",
    "math",
    "max",
    "medium",
    "micro",
    "mini",
    "nano",
    "o",
    "omni",
    "pico",
    "plus",
    "pro",
    "small",
    "tiny",
    "ultra",
    "vision",
    "vl",
    "xl",
];

/// Words that say nothing of a model: whichever is its last version, what it costs, or in which form it is kept.
const OF_NO_MODEL: [&str; 4] = ["free", "hf", "latest", "nitro"];

/// A part of a name: letters, a number without its points, or a number of parameters.
struct Part {
    text: String,
    makes_another: bool,
}

/// The parts of a name, in their order.
fn parts(name: &str) -> Vec<Part> {
    let mut all: Vec<Part> = words(name).iter().flat_map(|word| parts_of_word(word)).collect();
    let is_telling = |part: &Part| !OF_NO_MODEL.contains(&part.text.as_str());
    if all.iter().any(is_telling) {
        all.retain(is_telling);
    }
    all
}

fn parts_of_word(word: &str) -> Vec<Part> {
    let mut texts: Vec<String> = Vec::new();
    let is_size = is_size(word);
    let mut was_digit = None;
    for c in word.chars().filter(|c| c.is_alphanumeric()) {
        let is_digit = c.is_ascii_digit();
        if texts.is_empty() || was_digit != Some(is_digit) && !is_size {
            texts.push(String::new());
        }
        if let Some(text) = texts.last_mut() {
            text.push(c);
        }
        was_digit = Some(is_digit);
    }
    let part = |text: String| Part { makes_another: is_size || OF_ANOTHER_MODEL.contains(&text.as_str()), text };
    texts.into_iter().map(part).collect()
}

/// The words of a name without its path, in lower case. A point is part of a word only between two digits.
fn words(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let chars: Vec<char> = lower.rsplit('/').next().unwrap_or(&lower).chars().collect();
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let is_point = |at: usize| chars[at] == '.' && at > 0 && is_digit(at - 1) && is_digit(at + 1);
    let spaced = |at: usize| if chars[at].is_alphanumeric() || is_point(at) { chars[at] } else { ' ' };
    let spaced: String = (0..chars.len()).map(spaced).collect();
    spaced.split_whitespace().map(str::to_owned).collect()
}

/// Whether one name is a run of whole parts of another, and none of the other's further parts makes it another model.
fn is_within(shorter: &[Part], longer: &[Part]) -> bool {
    let name: String = shorter.iter().map(|part| part.text.as_str()).collect();
    (0..=longer.len()).any(|start| {
        let (mut rest, mut end) = (name.as_str(), start);
        while let Some(next) = longer.get(end).and_then(|part| rest.strip_prefix(part.text.as_str())) {
            (rest, end) = (next, end + 1);
        }
        let mut more = longer[..start].iter().chain(&longer[end..]);
        rest.is_empty() && !more.any(|part| part.makes_another)
    })
}

/// Whether two names are of two sizes of one family, such as `gpt-oss-120b` and `gpt-oss-20b`. A name that has nothing in common with
/// the other may be an alias of it.
pub fn are_other_sizes(asked: &str, answered: &str) -> bool {
    let words = |name: &str| -> BTreeSet<String> { words(name).into_iter().collect() };
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

/// Whether a word is a number of parameters, or that of each of several experts: `8x7b`.
fn is_size(word: &str) -> bool {
    let of_experts = word.split_once('x').filter(|(experts, _)| experts.parse::<u32>().is_ok());
    size(word).is_some() || of_experts.is_some_and(|(_, of_each)| size(of_each).is_some())
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

/// Whether a name is one of those that are expected, with the organisation before it or without where either leaves that out.
pub fn is_expected(patterns: &[String], name: &str) -> bool {
    fn last(name: &str) -> &str {
        name.rsplit('/').next().unwrap_or(name)
    }
    patterns.iter().any(|pattern| {
        let is_short = !pattern.contains('/') || !name.contains('/');
        fits(pattern, name) || is_short && fits(last(pattern), last(name))
    })
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
    fn what_a_name_has_more_may_make_it_another_models() {
        for (one, other) in [
            ("gpt-4o", "gpt-4o-mini"),
            ("gpt-4", "gpt-4o-mini"),
            ("gpt-4", "gpt-4o"),
            ("gpt-4", "gpt-4.1"),
            ("qwen3", "qwen3-0.6b"),
            ("mixtral", "mixtral-8x7b-instruct"),
            ("deepseek-v3", "deepseek-v3.1"),
            ("deepseek-r1", "deepseek-r1-distill-llama-8b"),
            ("gemini-2.5-flash", "gemini-2.5-flash-lite-preview"),
            ("Qwen/Qwen3-8B", "qwen3-8b-base"),
            ("llama-7b", "codellama-7b"),
        ] {
            assert!(!may_be_same_model(one, other) && !may_be_same_model(other, one), "{one} and {other}");
        }
    }

    #[test]
    fn what_hosts_add_to_a_name_leaves_it_that_of_the_same_model() {
        for (one, other) in [
            ("gpt-4o", "gpt-4o-2024-08-06"),
            ("gpt-4", "gpt-4-0613"),
            ("gpt-35-turbo", "gpt-3.5-turbo-0125"),
            ("claude-3.5-sonnet", "anthropic/claude-3-5-sonnet-20241022"),
            ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
            ("llama3.1:8b", "meta.llama3-1-8b-instruct-v1:0"),
            ("meta-llama/llama-3.3-70b-instruct:free", "Llama-3.3-70B-Instruct-Turbo-FP8"),
            ("gemma-2-9b", "gemma-2-9b-it@fp8"),
            ("openai/gpt-oss-120b:nitro", "gpt-oss-120b"),
            ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
            ("lab", "lab"),
            ("m", "m-2"),
        ] {
            assert!(may_be_same_model(one, other) && may_be_same_model(other, one), "{one} and {other}");
        }
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

    #[test]
    fn an_expected_name_may_come_with_its_organisation_or_without() {
        let expected = |pattern: &str, name: &str| is_expected(&[pattern.to_owned()], name);
        assert!(expected("gpt-oss-120b", "openai/gpt-oss-120b") && expected("openai/gpt-oss-*", "gpt-oss-120b"));
        assert!(expected("gpt-oss-120b", "accounts/fireworks/models/gpt-oss-120b"));
        assert!(
            !expected("gpt-oss-120b", "openai/gpt-oss-20b") && !expected("openai/gpt-oss-120b", "acme/gpt-oss-120b")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_name_fits_itself_and_a_star(name in "[^*]{0,20}") {
            let (itself, longer) = (fits(&name, &name), fits(&(name.clone() + "*"), &name));
            proptest::prop_assert!(itself && longer && fits("*", &name));
            proptest::prop_assert!(may_be_same_model(&name, &name));
            let _ = (are_other_sizes(&name, "a-7b"), may_be_same_model(&name, "a-7b"));
        }
    }
}
