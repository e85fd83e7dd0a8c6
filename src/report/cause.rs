//! Causes: why requests stayed without an answer, in the host's own words.
//!
//! Part of layer 4. Failures of one class that say the same, numbers aside, are one cause, so that a thousand of them are a line.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attempt::FailureKind;
use crate::plan::LeftOut;
use crate::plural;
use crate::probe::Feature;
use crate::verdict::{Confidence, Finding};

/// Why attempts failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// The class of the failure, such as `rejected`.
    pub class: String,
    /// What the requests had in them, such as `with tools`; `plain` where nothing particular, empty where it is not known.
    pub requests: String,
    /// Whether the host refused these very requests, rather than failed.
    pub refused: bool,
    /// What the host or the connection said, redacted; of several that differ in numbers alone the first.
    pub message: String,
    /// Attempts that failed so; 0 where an earlier examination found that they are refused, and they were left out.
    pub count: usize,
}

impl Cause {
    /// Of requests that were not sent, since they are known to be refused.
    pub fn left_out(left_out: &LeftOut) -> Self {
        let LeftOut { requests, count, words, since, .. } = left_out;
        let (day, requests_left_out) = (since.strftime("%Y-%m-%d"), plural::count(*count as usize, "request"));
        Self {
            class: FailureKind::Rejected.as_str().to_owned(),
            requests: requests.clone(),
            refused: true,
            message: format!("{words} (found by `samemodel doctor` on {day}; {requests_left_out} left out)"),
            count: 0,
        }
    }
}

/// The most causes that are told of one endpoint.
const MOST: usize = 5;

/// Gathers causes.
#[derive(Debug, Default)]
pub struct Causes(BTreeMap<(String, String, String), Cause>);

impl Causes {
    /// Counts a failed attempt.
    pub fn count(&mut self, class: &str, requests: &str, message: &str) {
        let key = (class.to_owned(), requests.to_owned(), without_numbers(message));
        let new = || Cause {
            class: class.to_owned(),
            requests: requests.to_owned(),
            refused: FailureKind::named(class).is_some_and(FailureKind::is_refusal),
            message: message.to_owned(),
            count: 0,
        };
        self.0.entry(key).or_insert_with(new).count += 1;
    }

    /// The commonest, the most frequent first.
    pub fn finish(self) -> Vec<Cause> {
        let mut all: Vec<Cause> = self.0.into_values().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.message.cmp(&b.message)));
        all.truncate(MOST);
        all
    }
}

/// Words without what differs from request to request: numbers, and identifiers that hold some.
fn without_numbers(message: &str) -> String {
    let words = message.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

/// What came of an endpoint's requests.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Why attempts failed.
    pub causes: &'a [Cause],
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that still have no answer.
    pub unanswered: usize,
}

/// What a cause calls requests with nothing particular in them.
const PLAIN: &str = "plain";

/// Classes of refusals that may be of any request: of a right, of an address or a model's name, of credit.
const OF_ANY_REQUEST: [&str; 3] = ["forbidden", "not_found", "payment_required"];

impl Asked<'_> {
    /// Whether a refusal is about what was in the requests: others are answered, these are not to this day, and plain
    /// ones do not meet the same.
    fn is_about_them(&self, cause: &Cause) -> bool {
        let is_plain = |cause: &Cause| [PLAIN, Feature::Greedy.words()].contains(&cause.requests.as_str());
        let meets_the_same = |other: &Cause| is_plain(other) && other.class == cause.class;
        let may_be_of_any = OF_ANY_REQUEST.contains(&cause.class.as_str());
        let is_of_these = !may_be_of_any || !(is_plain(cause) || self.causes.iter().any(meets_the_same));
        let is_left = cause.count == 0 || (self.answered > 0 && self.unanswered > 0);
        cause.refused && !cause.requests.is_empty() && is_of_these && is_left
    }
}

/// What hosts refuse that the reference takes, as a finding: a difference by itself, and none of what is answered.
pub fn refusals(endpoint: Asked<'_>, reference: &[Cause]) -> Option<Finding> {
    let taken = |cause: &&Cause| !reference.iter().any(|other| other.refused && other.requests == cause.requests);
    let refused: Vec<&Cause> =
        endpoint.causes.iter().filter(|cause| endpoint.is_about_them(cause)).filter(taken).collect();
    let parts: Vec<String> = refused
        .iter()
        .map(|cause| {
            let requests = if cause.requests == PLAIN {
                "plain requests".to_owned()
            } else {
                format!("requests {}", cause.requests)
            };
            match cause.count {
                0 => format!("{requests}: known to be refused, of the reference's none ({})", cause.message),
                count => format!("{requests}: {count} refused, of the reference's none ({})", cause.message),
            }
        })
        .collect();
    // What an earlier examination found may have changed since.
    let is_seen = refused.iter().any(|cause| cause.count > 0);
    (!parts.is_empty()).then(|| Finding {
        fault: "request-refused".to_owned(),
        confidence: if is_seen { Confidence::Certain } else { Confidence::Likely },
        evidence: parts.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(of: &[(&str, &str, &str)]) -> Vec<Cause> {
        let mut causes = Causes::default();
        for (class, requests, message) in of {
            causes.count(class, requests, message);
        }
        causes.finish()
    }

    #[test]
    fn failures_that_differ_in_numbers_alone_are_one_cause() {
        let found = causes(&[
            ("rate_limited", "plain", "HTTP 429: try again in 12s (req_1a)"),
            ("server", "plain", "HTTP 500: up"),
            ("rate_limited", "plain", "HTTP 429: try again in 7s (req_2b)"),
        ]);
        let seen: Vec<(&str, usize)> = found.iter().map(|c| (c.message.as_str(), c.count)).collect();
        assert_eq!(seen, [("HTTP 429: try again in 12s (req_1a)", 2), ("HTTP 500: up", 1)]);
    }

    #[test]
    fn what_the_endpoint_alone_refuses_is_told_with_the_hosts_words() {
        let host = causes(&[("not_found", "with tools", "HTTP 404: no tools"), ("timeout", "plain", "late")]);
        let asked = || Asked { causes: &host, answered: 20, unanswered: 2 };
        let found = refusals(asked(), &[]).expect("a finding");
        assert_eq!(found.evidence, "requests with tools: 1 refused, of the reference's none (HTTP 404: no tools)");
        assert_eq!(refusals(asked(), &host), None, "the reference refuses them as well");
        assert!(!found.is_certain_drift());
    }

    #[test]
    fn what_is_not_about_the_requests_or_was_answered_later_is_no_refusal_of_them() {
        let found = |of: &[(&str, &str, &str)], answered, unanswered| {
            refusals(Asked { causes: &causes(of), answered, unanswered }, &[]).is_some()
        };
        let tools = ("payment_required", "with tools", "HTTP 402: fewer tokens");
        assert!(found(&[tools], 20, 2));
        assert!(!found(&[tools], 0, 22), "nothing is answered");
        assert!(!found(&[tools], 22, 0), "all was answered in the end");
        for class in OF_ANY_REQUEST {
            assert!(!found(&[(class, "plain", "HTTP: no")], 20, 2), "{class}");
            assert!(!found(&[(class, "plain", "HTTP: no"), (class, "with tools", "HTTP: no")], 20, 2), "{class}");
            assert!(!found(&[(class, "at temperature 0", "HTTP: no")], 20, 2), "{class}");
        }
        assert!(!found(&[("unauthorized", "with tools", "HTTP 401: no")], 20, 2));
        assert!(found(&[("rejected", "plain", "HTTP 400: too long")], 20, 2));
        assert!(found(&[("rejected", "at temperature 0", "HTTP 422: no")], 20, 2));
    }

    #[test]
    fn what_is_left_out_is_told_as_refused() {
        let left_out = LeftOut {
            endpoint: "e".into(),
            requests: "with tools".into(),
            count: 8,
            words: "HTTP 404: no tools".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let causes = [Cause::left_out(&left_out)];
        let found = refusals(Asked { causes: &causes, answered: 20, unanswered: 0 }, &[]).expect("a finding");
        let expected = "requests with tools: known to be refused, of the reference's none (HTTP 404: no tools (found by `samemodel \
                        doctor` on 1970-01-01; 8 requests left out))";
        assert_eq!((found.evidence.as_str(), found.confidence), (expected, Confidence::Likely));
    }
}
