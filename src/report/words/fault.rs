//! Faults in words: what one is, for those who meet its name for the first time, and what was seen of it.
//!
//! Part of layer 4's words, pure.

use super::confidence;
use crate::report::EndpointReport;
use crate::verdict::Finding;

/// A finding of an endpoint. Evidence that is the reason of the verdict stands there.
pub(super) fn fault(finding: &Finding, e: &EndpointReport) -> String {
    let evidence = Some(finding.evidence.as_str()).filter(|evidence| *evidence != e.reason);
    let told: Vec<&str> = meaning(&finding.fault).into_iter().chain(evidence).collect();
    let named = format!("{} ({})", finding.fault, confidence(finding.confidence));
    if told.is_empty() { named } else { format!("{named}: {}", told.join("; ")) }
}

/// What a fault of the catalogue is, for those who meet its name for the first time.
fn meaning(fault: &str) -> Option<&'static str> {
    Some(match fault {
        "double-bos" => "the prompt begins with two start tokens",
        "missing-bos" => "the prompt lacks its start token",
        "hidden-system-prompt" => "the host adds a message of its own to the prompt",
        "wrong-template" => "the prompt is built by another chat template",
        "truncated-context" => "long prompts are cut without an error",
        "max-tokens-ignored" => "answers run on past the cap",
        "dropped-system-prompt" => "the caller's system message does not reach the model",
        "tools-dropped" => "the tools do not reach the model",
        "image-dropped" => "images do not reach the model",
        "image-downscaled" => "images reach the model smaller than they were sent",
        "usage-miscounted" => "tokens are not counted, or otherwise than at the reference; that is no drift",
        "low-output-default" => "the host has a cap of its own where none was sent",
        "low-output-cap" => "the host cuts answers at a lower cap than was sent",
        "prompt-differs" => "the prompt that reaches the model is another",
        "route-not-pinned" => "its answers name several hosts, models or deployments; that is no drift",
        "other-model-name" => "answers name another model than was asked for",
        "undecoded-tokens" => "tokens stand in the text as the tokenizer keeps them",
        "unicode-normalised" => "characters are written in another form on their way; that is no drift",
        "stop-ignored" => "stop sequences do not stop",
        "wrong-eos" => "the host takes another token for the end of an answer",
        "seed-ignored" => "the seed changes nothing",
        "cached-responses" => "answers are kept and told again, so they are no samples",
        "tool-parser" => "tool calls do not come out as calls",
        "schema-not-enforced" => "the answer's schema is not enforced",
        "reasoning-hidden" => "thoughts are not passed on",
        "reasoning-effort-ignored" => "it thinks longer or shorter than the reference at the same settings",
        "blank-answers" => "answers are empty",
        "reasoning-misplaced" => "thoughts and answer are in the wrong place",
        "corrupted-output" => "characters come that do not belong there",
        "flaky-host" => "requests fail; that is no drift",
        "request-refused" => "the host does not take requests that the reference takes; that is no drift",
        "slow" => "answers are late; that is no drift",
        "finetuned-variant" => "a variant of the model answers that was tuned for chat",
        "topk-miscompile" => "the likeliest token is missed now and then, or requests go to different servers",
        "wrong-rope" => "positions in long prompts are wrong",
        "quantized-kv" => "what attention remembers has another precision",
        "leaked-tokens" => "the chat format shows through",
        "finish-reason-wrong" => "the host does not say rightly why answers end",
        "swapped-model" => "another model answers",
        "partial-routing" => "a share of the requests goes to another model",
        "temperature-ignored" => "the sampling parameters are not those that were sent",
        "quantized-weights" => "the weights, or the kernels, have another precision",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn evidence_that_is_the_reason_is_not_told_twice() {
        let mut e = fixture::mixed().endpoints.remove(1);
        let seen = e.findings[0].evidence.clone();
        let meaning = "hidden-system-prompt (certain): the host adds a message of its own to the prompt";
        assert_eq!(fault(&e.findings[0], &e), format!("{meaning}; {seen}"));
        e.reason = seen;
        assert_eq!(fault(&e.findings[0], &e), meaning);
    }
}
