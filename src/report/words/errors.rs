//! Failed attempts in words: how many by class, and why, in the host's own words.
//!
//! Part of layer 4's words, pure. What the reason of a verdict or a fault has told already is not told again.

use std::collections::BTreeMap;

use super::{Detail, count, failures};
use crate::attempt::FailureKind;
use crate::diagnose::availability::of_attempts;
use crate::report::EndpointReport;
use crate::report::cause::Cause;
use crate::stats::exact::Share;

/// Causes of failures that are told.
const TOLD_CAUSES: usize = 3;

/// How many attempts of an endpoint failed, and what is to be known of why.
pub(super) fn errors(e: &EndpointReport) -> Vec<Detail> {
    let matters = |c: &&Cause| c.refused || e.unanswered > 0 || c.class == FailureKind::Local.as_str();
    let causes = e.causes.iter().filter(matters).filter(|c| !is_told(c, e)).take(TOLD_CAUSES);
    let causes = causes.map(|c| Detail { about: if c.refused { "refused" } else { "failed" }, text: cause(c) });
    // Where nothing was ever answered, the reason says why.
    let taken_out = e.taken_out.clone().filter(|_| e.samples > 0).unwrap_or_default();
    let numbers = [Detail { about: "errors", text: numbers(e) }, Detail { about: "out", text: taken_out }];
    numbers.into_iter().chain(causes).collect()
}

fn numbers(e: &EndpointReport) -> String {
    failed(e).into_iter().chain(missing(e.unanswered, e.not_asked)).collect::<Vec<_>>().join("; ")
}

/// Planned requests without an answer: those that failed, and those that were not asked.
pub(super) fn missing(unanswered: usize, not_asked: usize) -> Vec<String> {
    let failed = unanswered.saturating_sub(not_asked);
    let failed = (failed > 0).then(|| format!("{} without an answer", count(failed, "planned request")));
    let left = (not_asked > 0).then(|| format!("{} not asked", count(not_asked, "planned request")));
    failed.into_iter().chain(left).collect()
}

/// How many attempts failed, by class; as much of it as is not told elsewhere.
fn failed(e: &EndpointReport) -> Option<String> {
    if e.errors == 0 || are_all_told(e) {
        return None;
    }
    let evidence_of = |fault: &str| e.findings.iter().find(|f| f.fault == fault).map(|f| f.evidence.as_str());
    let (flaky, blank) = (evidence_of("flaky-host"), evidence_of("blank-answers"));
    let same = of_attempts(Share { showing: e.errors, all: e.attempts });
    if blank.is_some_and(|evidence| evidence.starts_with(&same)) {
        return None;
    }
    if flaky.is_some_and(|evidence| evidence.starts_with(&same)) {
        return Some(failures(&e.failures)).filter(|classes| !classes.is_empty());
    }
    let all = format!("{} of {} failed", e.errors, count(e.attempts, "attempt"));
    Some(all + &by_class(&e.failures, flaky.is_some().then_some(", which the fault does not count")))
}

/// Failures by class behind the number of them all; those for the caller's haste apart, with what is to be said of them.
fn by_class(by_class: &BTreeMap<String, usize>, of_limits: Option<&str>) -> String {
    let mut others = by_class.clone();
    let limits = others.remove(FailureKind::RateLimited.as_str()).unwrap_or(0);
    let others = failures(&others);
    match (limits, others.is_empty()) {
        (0, true) => String::new(),
        (0, false) => format!(": {others}"),
        (_, true) => format!(": {}", count(limits, "rate limit")),
        (_, false) => {
            let what = if limits == 1 { "a rate limit" } else { "rate limits" };
            format!(", {limits} of them {what}{}: {others}", of_limits.unwrap_or_default())
        }
    }
}

/// Whether the reason why nothing was measured has all failures by class, or a fault all that was refused.
fn are_all_told(e: &EndpointReport) -> bool {
    let refused: usize = e.causes.iter().filter(|cause| is_told(cause, e)).map(|cause| cause.count).sum();
    is_reason(e) || refused == e.errors
}

/// Whether the reason of the verdict is that all attempts failed.
fn is_reason(e: &EndpointReport) -> bool {
    e.samples == 0 && !e.failures.is_empty() && e.reason.contains(&failures(&e.failures))
}

/// Whether the reason or a fault has a cause in the host's words.
fn is_told(cause: &Cause, e: &EndpointReport) -> bool {
    let refused = e.findings.iter().filter(|f| f.fault == "request-refused").map(|f| &f.evidence);
    let reason = Some(&e.reason).filter(|_| is_reason(e));
    !cause.message.is_empty() && refused.chain(reason).any(|text| text.contains(&cause.message))
}

/// A cause with its number and the host's words.
fn cause(cause: &Cause) -> String {
    let requests = match cause.requests.as_str() {
        "" => String::new(),
        "plain" => " (plain requests)".to_owned(),
        requests => format!(" (requests {requests})"),
    };
    match cause.count {
        0 => format!("{}{requests}, not asked: {}", cause.class, cause.message),
        count => format!("{count} × {}{requests}: {}", cause.class, cause.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::verdict::{Confidence, Finding};

    /// An endpoint of which so many attempts failed, by class.
    fn endpoint(attempts: usize, by_class: &[(&str, usize)]) -> EndpointReport {
        let failures: BTreeMap<String, usize> = by_class.iter().map(|(class, n)| ((*class).to_owned(), *n)).collect();
        let errors = failures.values().sum();
        EndpointReport { attempts, errors, failures, ..fixture::mixed().endpoints.remove(0) }
    }

    fn finding(fault: &str, evidence: &str) -> Vec<Finding> {
        vec![Finding { fault: fault.to_owned(), confidence: Confidence::Certain, evidence: evidence.to_owned() }]
    }

    fn refused(count: usize) -> Cause {
        Cause {
            class: "rejected".into(),
            requests: "with tools".into(),
            refused: true,
            message: "HTTP 400: no tools".into(),
            count,
            prompts: 0,
        }
    }

    fn told(e: &EndpointReport) -> Vec<String> {
        let all = errors(e).into_iter().filter(|detail| !detail.text.is_empty());
        all.map(|Detail { about, text }| format!("{about} {text}")).collect()
    }

    #[test]
    fn rate_limits_stand_apart_from_what_the_fault_counts() {
        let mut e = endpoint(970, &[("reset", 101), ("rate_limited", 71), ("server", 62), ("cut_stream", 25)]);
        e.unanswered = 1;
        let rest = "101 reset, 62 server, 25 cut_stream; 1 planned request without an answer";
        assert_eq!(told(&e), [format!("errors 259 of 970 attempts failed, 71 of them rate limits: {rest}")]);
        e.findings = finding("flaky-host", "188 of 899 attempts failed (21 %), against 0 of 712 of the reference's");
        let limits = "71 of them rate limits, which the fault does not count";
        assert_eq!(told(&e), [format!("errors 259 of 970 attempts failed, {limits}: {rest}")]);
        assert_eq!(told(&endpoint(9, &[("rate_limited", 1)])), ["errors 1 of 9 attempts failed: 1 rate limit"]);
        assert_eq!(told(&endpoint(9, &[])), Vec::<String>::new());
    }

    #[test]
    fn numbers_that_the_fault_has_are_not_told_again() {
        let mut e = endpoint(202, &[("server", 20), ("reset", 2)]);
        e.findings = finding("flaky-host", "22 of 202 attempts failed (11 %), against 0 of 180 of the reference's");
        assert_eq!(told(&e), ["errors 20 server, 2 reset"]);
        let mut e = endpoint(400, &[("blank", 60)]);
        let evidence = "60 of 400 attempts brought an answer of which nothing was generated (15 %)";
        e.findings = finding("blank-answers", evidence);
        assert_eq!(told(&e), Vec::<String>::new());
    }

    #[test]
    fn what_the_fault_says_was_refused_is_not_told_again() {
        let mut e = endpoint(908, &[("rejected", 8)]);
        (e.causes, e.unanswered) = (vec![refused(8)], 8);
        let numbers = "errors 8 of 908 attempts failed: 8 rejected; 8 planned requests without an answer";
        assert_eq!(told(&e), [numbers, "refused 8 × rejected (requests with tools): HTTP 400: no tools"]);
        let evidence = "requests with tools: 8 refused, of the reference's none (HTTP 400: no tools)";
        e.findings = finding("request-refused", evidence);
        assert_eq!(told(&e), ["errors 8 planned requests without an answer"]);
        (e.errors, e.failures) = (9, BTreeMap::from([("rejected".to_owned(), 8), ("reset".to_owned(), 1)]));
        assert!(told(&e)[0].starts_with("errors 9 of 908 attempts failed: 8 rejected, 1 reset; "), "{:?}", told(&e));
    }

    #[test]
    fn what_this_machine_could_not_send_is_told_although_it_was_answered_later() {
        let mut e = endpoint(44, &[("local", 12)]);
        let cause = |class: &str, message: &str| Cause {
            class: class.into(),
            requests: "plain".into(),
            refused: false,
            message: message.into(),
            count: 12,
            prompts: 0,
        };
        e.causes = vec![cause("local", "no file descriptors left: raise the limit"), cause("reset", "it broke")];
        let told = told(&e);
        assert_eq!(told[1..], ["failed 12 × local (plain requests): no file descriptors left: raise the limit"]);
        assert_eq!(super::super::stands_out(&e).as_deref(), Some("27 % of attempts failed: no descriptors left here"));
        e.failures = BTreeMap::from([("local".to_owned(), 4), ("reset".to_owned(), 8)]);
        assert_eq!(super::super::stands_out(&e).as_deref(), Some("27 % of attempts failed"));
    }

    #[test]
    fn what_was_not_asked_is_no_failure() {
        assert_eq!(missing(8, 0), ["8 planned requests without an answer"]);
        assert_eq!(missing(9, 8), ["1 planned request without an answer", "8 planned requests not asked"]);
        assert_eq!(missing(1, 1), ["1 planned request not asked"]);
        assert_eq!(missing(0, 0), Vec::<String>::new());
    }

    #[test]
    fn why_an_endpoint_was_taken_out_in_the_midst_of_a_run_is_told() {
        let mut e = endpoint(20, &[("payment_required", 10)]);
        (e.samples, e.unanswered) = (10, 90);
        e.taken_out = Some("80 planned requests not asked after this failure: HTTP 402: no credit".into());
        let told = told(&e);
        assert!(told.contains(&"out 80 planned requests not asked after this failure: HTTP 402: no credit".to_owned()));
    }

    #[test]
    fn the_reason_why_nothing_was_measured_is_told_once() {
        let mut e = endpoint(8, &[("rejected", 8)]);
        (e.samples, e.causes, e.unanswered) = (0, vec![refused(8)], 8);
        e.reason = "no answers: 8 rejected (HTTP 400: no tools)".into();
        assert_eq!(told(&e), ["errors 8 planned requests without an answer"]);
    }
}
