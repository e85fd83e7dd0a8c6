//! What changed, in words: of the endpoint, as the run that left the snapshot found it, and of the probe itself.
//!
//! Part of layer 4's review, pure. Texts are as they are in the files: whoever shows them escapes them.

use std::collections::{BTreeMap, BTreeSet};

use super::screen::Waiting;
use crate::report::words;
use crate::snapshot::{Answer, ChangeKind, Head};

/// Findings that are shown.
const FINDINGS: usize = 2;

/// All that changed, in the order in which it is read: what a text is about, and the text.
pub fn summary(waiting: Waiting<'_>) -> Vec<(&'static str, String)> {
    let head = &waiting.new.head;
    let mut out = vec![("prompt", head.prompt.clone()), ("what", what(head))];
    if let Some(change) = &head.change {
        let because = change.because.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        out.push(("verdict", judged(head) + &because));
    }
    for finding in head.change.iter().flat_map(|c| &c.findings).take(FINDINGS) {
        let sure = words::confidence(finding.confidence);
        out.push(("fault", format!("{} ({sure}): {}", finding.fault, finding.evidence)));
    }
    out.push(("answers", answers(waiting)));
    out.push(("also", also(waiting)));
    out.retain(|(_, text)| !text.is_empty());
    out
}

/// Why this very probe waits: `5 of 8 answers are none of those approved; prompt tokens 12 → 29; this probe alone: p = 0.012`.
pub fn of_this_probe(waiting: Waiting<'_>) -> String {
    let Some(change) = waiting.new.head.change.as_ref() else { return String::new() };
    let Some(approved) = waiting.approved.filter(|_| change.kind == ChangeKind::Drifted) else {
        return change.reason.clone();
    };
    let text = |answer: &Answer| (answer.text.clone(), answer.tool_calls.clone());
    let known: BTreeSet<_> = approved.answers.iter().map(text).collect();
    let count = |answers: &mut dyn Iterator<Item = &Answer>| answers.map(|a| a.count).sum::<usize>();
    let all = count(&mut waiting.new.answers.iter());
    let mut parts = vec![match count(&mut waiting.new.answers.iter().filter(|a| !known.contains(&text(a)))) {
        0 => "the approved answers, otherwise often".to_owned(),
        new if new == all => format!("none of {} is approved", words::count(all, "answer")),
        new => format!("{new} of {} are not approved", words::count(all, "answer")),
    }];
    parts.push(also(waiting));
    parts.extend(change.p_value.map(|p| format!("this probe alone: {}", words::p_sentence(p))));
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn what(head: &Head) -> String {
    let Some(change) = &head.change else { return "approved".to_owned() };
    match change.kind {
        ChangeKind::Unseen => "new: nothing was approved yet".to_owned(),
        ChangeKind::Stale => format!("stale: {}", change.reason),
        ChangeKind::Drifted => {
            let mut parts = vec![format!("drifted: {}", change.reason)];
            parts.extend(change.tolerance.map(|t| format!("tolerance {}", words::percent(t))));
            parts.extend(change.p_value.map(|p| format!("this probe alone: {}", words::p_sentence(p))));
            parts.join("; ")
        }
    }
}

/// Where answers come from, a run by the beginning of its id.
fn short(source: &str) -> String {
    source.strip_prefix("run ").map_or_else(|| source.to_owned(), |run| format!("run {}", words::short_id(run)))
}

/// What the run that left a snapshot says of the endpoint, and which run that is: `drifted, 31 % (22 to 39), in run 0193… of …`.
pub fn judged(head: &Head) -> String {
    let change = head.change.as_ref();
    let verdict = change.and_then(|c| c.verdict).map_or_else(|| "verdict unknown".to_owned(), |v| v.to_string());
    let effect = change.and_then(|c| c.effect.as_ref()).map(|e| format!(", {}", words::effect(e)));
    let run = if head.source.is_empty() { String::new() } else { format!(", in {}", short(&head.source)) };
    let when = head.sampled.map(|at| at.strftime(" of %Y-%m-%d %H:%M UTC").to_string());
    verdict + &effect.unwrap_or_default() + &run + &when.unwrap_or_default()
}

fn answers(waiting: Waiting<'_>) -> String {
    let told = |head: &Head| {
        let when = head.approved.or(head.sampled).map(|at| at.strftime(" of %Y-%m-%d %H:%M UTC").to_string());
        format!("{}{}", head.samples, when.unwrap_or_default())
    };
    let new = format!("{} new", told(&waiting.new.head));
    match waiting.approved {
        Some(approved) => format!("{} approved, {new}", told(&approved.head)),
        None => new,
    }
}

/// What else is not as it was: finish reasons, prompt tokens, the model's name.
fn also(waiting: Waiting<'_>) -> String {
    let Some(old) = waiting.approved.map(|s| &s.head) else { return String::new() };
    let new = &waiting.new.head;
    let reasons = |all: &BTreeMap<String, usize>| {
        all.iter().map(|(reason, n)| format!("{reason} {n}")).collect::<Vec<_>>().join(", ")
    };
    let number = |n: Option<u64>| n.map_or_else(|| "not all the same".to_owned(), |n| n.to_string());
    let name = |m: &Option<String>| m.clone().unwrap_or_else(|| "not all the same".to_owned());
    let mut parts = Vec::new();
    let mut changed = |what: &str, then: String, now: String| {
        if then != now {
            parts.push(format!("{what} {then} → {now}"));
        }
    };
    changed("finish reasons", reasons(&old.finish_reasons), reasons(&new.finish_reasons));
    changed("prompt tokens", number(old.prompt_tokens), number(new.prompt_tokens));
    changed("response model", name(&old.response_model), name(&new.response_model));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::testing::snapshot;
    use crate::snapshot::{Change, Snapshot};

    fn drifted(texts: &[&str]) -> Snapshot {
        let mut new = snapshot(texts);
        new.head.change = Some(Change {
            kind: ChangeKind::Drifted,
            reason: "greedy answers leave the approved ones".into(),
            verdict: None,
            because: None,
            effect: None,
            tolerance: None,
            p_value: Some(0.012),
            findings: Vec::new(),
        });
        new
    }

    #[test]
    fn a_run_is_named_by_the_beginning_of_its_id() {
        let mut new = drifted(&["a"]);
        new.head.source = "run 01a22499-47fd-711b-857b-2406c7fbd843".into();
        assert!(judged(&new.head).contains(", in run 01a22499-47fd of "), "{}", judged(&new.head));
        new.head.source = "a file of samples".into();
        assert!(judged(&new.head).contains(", in a file of samples of "), "{}", judged(&new.head));
    }

    #[test]
    fn each_probe_says_how_its_own_answers_differ() {
        let old = snapshot(&["a", "a", "b"]);
        let told = |new: &Snapshot| of_this_probe(Waiting { approved: Some(&old), new });
        assert_eq!(told(&drifted(&["a", "c", "d"])), "2 of 3 answers are not approved; this probe alone: p = 0.012");
        assert_eq!(told(&drifted(&["c", "d", "d"])), "none of 3 answers is approved; this probe alone: p = 0.012");
        let mut new = drifted(&["a", "b", "b"]);
        new.head.prompt_tokens = Some(29);
        assert_eq!(
            told(&new),
            "the approved answers, otherwise often; prompt tokens 12 → 29; this probe alone: p = 0.012"
        );
        let reason = of_this_probe(Waiting { approved: None, new: &drifted(&["a"]) });
        assert_eq!(reason, "greedy answers leave the approved ones");
    }
}
