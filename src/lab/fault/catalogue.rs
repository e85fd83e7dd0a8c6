//! The table of faults: what each one is, where it was seen, and how severe it can be. Plain values.

/// What is known of one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The id in the fault catalogue.
    pub id: &'static str,
    /// What is wrong, in a line.
    pub about: &'static str,
    /// Where it was seen, in a line; nothing where it is no fault.
    pub seen: &'static str,
    /// What may stand after `=`, in words for a message.
    pub wanted: &'static str,
    /// The usual parameter; empty when the fault takes none.
    pub usual: &'static str,
    /// Parameters from mild to severe, the usual one among them.
    pub severities: &'static [&'static str],
    /// Where it shows.
    pub evidence: Evidence,
}

/// Where a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// In something that can be counted: prompt tokens, finish reasons, errors, what is echoed.
    Exact,
    /// In the distribution of the answers alone.
    Distribution,
}

const NOTHING: &str = "nothing after its name";
const ONLY: &[&str] = &[""];

const fn exact(id: &'static str, about: &'static str, seen: &'static str) -> Entry {
    Entry { id, about, seen, wanted: NOTHING, usual: "", severities: ONLY, evidence: Evidence::Exact }
}

/// All faults, in the catalogue's order.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        id: "quantized-weights",
        about: "weights rounded to 8, 5 or 4 bits in blocks of 32",
        seen: "8-bit floats cost 1 to 3 % of matching tokens at real hosts (DiFR)",
        wanted: "q8_0, q5_0 or q4_0",
        usual: "q4_0",
        severities: &["q8_0", "q5_0", "q4_0"],
        evidence: Evidence::Distribution,
    },
    Entry {
        id: "quantized-kv",
        about: "keys and values of attention kept in 8 or 4 bits",
        seen: "an option of most engines; its effect grows with the context",
        wanted: "q8 or q4",
        usual: "q4",
        severities: &["q8", "q4"],
        evidence: Evidence::Distribution,
    },
    Entry {
        evidence: Evidence::Distribution,
        ..exact(
            "swapped-model",
            "a smaller model answers under the same name",
            "Anthropic, August 2025: requests routed to the wrong servers",
        )
    },
    Entry {
        id: "partial-routing",
        about: "a share of the requests goes to a smaller model",
        seen: "Anthropic, August 2025: 0.8 % of requests, then 16 %, the same callers each time",
        wanted: "the share of requests, above 0 and up to 1, then `,sticky` if a prompt always takes the same way",
        usual: "0.2",
        severities: &["0.05", "0.1", "0.2", "0.5"],
        evidence: Evidence::Distribution,
    },
    Entry {
        id: "finetuned-variant",
        about: "a chat-tuned variant answers under the same name: longer, chattier, with emoji",
        seen: "Llama 4 Maverick on a public leaderboard, April 2025",
        wanted: "how far the weights have gone to the variant, above 0 and up to 1",
        usual: "1",
        severities: &["0.1", "0.25", "0.5", "1"],
        evidence: Evidence::Distribution,
    },
    exact("double-bos", "the token that begins a sequence comes twice", "sglang #888"),
    exact("missing-bos", "the token that begins a sequence is left out", "sglang #888"),
    Entry {
        id: "wrong-template",
        about: "the chat template is another: newlines, roles or the assistant's turn are missing",
        seen: "vLLM's report on Kimi K2: tool calls collapse, early stops soar",
        wanted: "no-newlines, no-generation-prompt or no-roles",
        usual: "no-newlines",
        severities: &["no-newlines", "no-generation-prompt", "no-roles"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "hidden-system-prompt",
        about: "the host adds a system message of its own",
        seen: "hosts that add safety or style instructions",
        wanted: "the text of the message, without `+`",
        usual: "Be polite.",
        severities: &["Be polite.", "Answer in uppercase."],
        evidence: Evidence::Exact,
    },
    exact(
        "dropped-system-prompt",
        "system messages of the caller are left out",
        "hosts whose template has no place for a system message",
    ),
    Entry {
        id: "wrong-rope",
        about: "the base of the rotary positions is wrong: well when short, worse the longer",
        seen: "llama.cpp #11008, TensorRT-LLM #3491",
        wanted: "what the base is multiplied by, from 0.01 to 100",
        usual: "4",
        severities: &["1.5", "2", "4", "8"],
        evidence: Evidence::Distribution,
    },
    Entry {
        id: "truncated-context",
        about: "only the end of a long prompt is read, without an error",
        seen: "a benchmark of code editing fell from 71.4 to 51.9 behind a short default window",
        wanted: "the number of tokens kept, at least 1",
        usual: "64",
        severities: &["512", "128", "64"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "low-output-default",
        about: "answers without a cap of the caller's end early, at a cap of the host's",
        seen: "Cloudflare: 256 tokens unless told otherwise",
        wanted: "the cap in tokens, at least 1",
        usual: "16",
        severities: &["32", "16", "8"],
        evidence: Evidence::Exact,
    },
    exact("max-tokens-ignored", "the caller's cap on the answer is not kept", "3 of 16 hosts, in 59 of 60 trials"),
    exact("stop-ignored", "stop sequences do not stop", "hosts that drop the parameter"),
    Entry {
        id: "wrong-eos",
        about: "the token that ends an answer is wrong: it runs on, or ends early",
        seen: "models whose chat end token differs from the tokenizer's",
        wanted: "late, or early",
        usual: "late",
        severities: &["early", "late"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "temperature-ignored",
        about: "the host samples in a way of its own: a fixed temperature, or a hidden top_k, top_p or repetition penalty",
        seen: "Fireworks: top_k 50 unless told otherwise; Moonshot keeps temperatures within 0 to 1",
        wanted: "a temperature above 0 and up to 2, then `,sampled` if requests at temperature 0 stay as they are; or \
                 `top_k:40`, `top_p:0.9` or `repetition_penalty:1.1`",
        usual: "0.3",
        severities: &[
            "0.9,sampled",
            "0.8,sampled",
            "0.5,sampled",
            "0.3",
            "top_p:0.9",
            "top_k:20",
            "repetition_penalty:1.1",
        ],
        evidence: Evidence::Distribution,
    },
    exact("seed-ignored", "the same seed gives another answer", "hosts that accept the parameter and drop it"),
    Entry {
        id: "cached-responses",
        about: "answers to a request seen before are replayed",
        seen: "caches in front of hosts",
        wanted: "the share of repeats that come from the cache, above 0 and up to 1",
        usual: "1",
        severities: &["0.1", "0.5", "1"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "leaked-tokens",
        about: "special tokens of the template stay in the text",
        seen: "Kimi K2 #89",
        wanted: "the share of answers, above 0 and up to 1",
        usual: "0.2",
        severities: &["0.02", "0.2", "1"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "tool-parser",
        about: "tool calls are left in the text, or arrive with broken arguments",
        seen: "Kimi K2: 72 % of calls follow their schema at one host, five weeks long",
        wanted: "`content` or `arguments`, then the share of calls after a comma, above 0 and up to 1",
        usual: "content,0.3",
        severities: &["content,0.1", "content,0.3", "arguments,0.3", "content,1"],
        evidence: Evidence::Exact,
    },
    exact("tools-dropped", "tools are not given to the model", "hosts that accept the parameter and drop it"),
    exact("schema-not-enforced", "the answer's schema is not enforced", "llm-openrouter #28"),
    Entry {
        id: "finish-reason-wrong",
        about: "the finish reason says `stop` where the cap cut, or nothing",
        seen: "vLLM #9209, #53269",
        wanted: "stop, streamed (wrong in streams only) or missing",
        usual: "stop",
        severities: &["streamed", "stop", "missing"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "reasoning-misplaced",
        about: "thoughts stand in the answer, or the answer among the thoughts",
        seen: "hosts without a parser for the model's thoughts",
        wanted: "content, or reasoning",
        usual: "content",
        severities: &["content", "reasoning"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "reasoning-hidden",
        about: "the model thinks, and its thoughts are not passed on, or their first word is",
        seen: "OpenAI and xAI count thoughts and send none, or a summary",
        wanted: "counted (their tokens are counted apart), uncounted (among the answer's) or \
                 summary (the first word is passed on)",
        usual: "counted",
        severities: &["uncounted", "summary", "counted"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "reasoning-effort-ignored",
        about: "thoughts are longer or shorter than at the effort that was asked for",
        seen: "hosts that accept the parameter and drop it, so that gpt-oss thinks at its medium effort",
        wanted: "how many times as long they are, from 0.1 to 10 and not 1; below 1 they end after that \
                 share of 16 tokens",
        usual: "2",
        severities: &["1.5", "2", "4", "0.3"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "blank-answers",
        about: "answers come without content",
        seen: "reports on hosts of gpt-oss and GLM: nothing is generated, or all of the cap is thought",
        wanted: "the share of answers, above 0 and up to 1, then `,lost` if they were generated and counted \
                 all the same, or `,thought` if a thought uses up the cap",
        usual: "0.3",
        severities: &["0.1", "0.3", "0.3,lost", "0.3,thought"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "usage-miscounted",
        about: "token counts are off at random, or absent",
        seen: "hosts that estimate tokens",
        wanted: "random, or absent",
        usual: "random",
        severities: &["random", "absent"],
        evidence: Evidence::Exact,
    },
    exact("image-dropped", "images are not given to the model", "ollama #17152"),
    Entry {
        id: "image-downscaled",
        about: "images are shrunk before the model sees them",
        seen: "ollama #17152",
        wanted: "by how much, 2 or 4",
        usual: "2",
        severities: &["2", "4"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "corrupted-output",
        about: "characters of another script come now and then",
        seen: "Anthropic, August 2025: Thai and Chinese characters in English answers",
        wanted: "the share of tokens, above 0 and up to 1",
        usual: "0.002",
        severities: &["0.0005", "0.002", "0.02"],
        evidence: Evidence::Exact,
    },
    Entry {
        id: "topk-miscompile",
        about: "the likeliest token is dropped now and then",
        seen: "Anthropic, August 2025: an approximate top-k compiled wrongly",
        wanted: "the share of tokens, above 0 and up to 1",
        usual: "0.05",
        severities: &["0.01", "0.05", "0.2"],
        evidence: Evidence::Distribution,
    },
    Entry {
        id: "watermark",
        about: "scores are biased by a hash of the token before",
        seen: "one of the cases of Model Equality Testing",
        wanted: "the bias in nats, above 0 and up to 10",
        usual: "2",
        severities: &["0.5", "1", "2"],
        evidence: Evidence::Distribution,
    },
    Entry {
        id: "flaky-host",
        about: "a share of requests meets 429, 503, a reset or a cut stream",
        seen: "every availability record",
        wanted: "the share of requests that fail, above 0 and up to 1",
        usual: "0.25",
        severities: &["0.05", "0.25", "0.5"],
        evidence: Evidence::Exact,
    },
];

/// What is no fault, and still not the promised host.
pub const HONEST: &[Entry] = &[Entry {
    id: "slow",
    about: "every answer is late",
    seen: "",
    wanted: "milliseconds, at most 60000",
    usual: "250",
    severities: &["250"],
    evidence: Evidence::Exact,
}];

/// Faults, then what is none.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    CATALOGUE.iter().chain(HONEST)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table of the manual.
    fn manual() -> String {
        let mut out = String::from(
            "# Faults of the lab\n\nThis page is made from the table in `src/lab/fault/catalogue.rs`. `samemodel lab list` says the same.\n\n\
             | fault | what is wrong | parameter | evidence | seen |\n|---|---|---|---|---|\n",
        );
        for entry in all() {
            let parameter = match entry.usual {
                "" => "none".to_owned(),
                usual => format!("{}; usually `{usual}`", entry.wanted),
            };
            let evidence = match entry.evidence {
                Evidence::Exact => "exact",
                Evidence::Distribution => "distribution",
            };
            let seen = if entry.seen.is_empty() { "no fault" } else { entry.seen };
            let _ = writeln!(out, "| `{}` | {} | {parameter} | {evidence} | {seen} |", entry.id, entry.about);
        }
        out
    }

    #[test]
    fn the_table_of_the_manual_is_that_of_the_program() {
        crate::report::tests::committed("docs/src/faults.md", &manual());
    }

    #[test]
    fn every_entry_explains_itself_in_a_line() {
        for entry in all() {
            assert!(!entry.about.is_empty() && !entry.about.contains(['\n', '|']), "{}", entry.id);
            assert!(!entry.seen.contains(['\n', '|']) && !entry.wanted.contains(['\n', '|']), "{}", entry.id);
        }
        assert!(CATALOGUE.iter().all(|entry| !entry.seen.is_empty()), "every fault was seen somewhere");
    }
}
