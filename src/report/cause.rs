//! Causes: why requests stayed without an answer, in the host's own words.
//!
//! Part of layer 4. Failures of one class that say the same, numbers aside, are one cause, so that a thousand of them are a line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
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
    /// Prompts of plain requests that met this whenever they were sent, while others were answered; 0 where none is known to.
    #[serde(skip)]
    pub prompts: usize,
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
            prompts: 0,
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
            prompts: 0,
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

/// A request that asks a plain question, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// When it was sent.
    pub at: Timestamp,
    /// The probe.
    pub probe: &'a str,
    /// The class of the failure; `None` where it was answered.
    pub failure: Option<&'a str>,
}

/// The plain requests to one endpoint, with what came of each.
#[derive(Debug, Default)]
pub struct Trail<'a>(Vec<Step<'a>>);

/// Fewest times that an answer must follow a refusal: a right or an address that comes and goes is back a few times.
const FEWEST_RETURNS: usize = 5;

/// How many refused prompts there must be for each that was also answered: a route that leads astray now and then does so whatever
/// is asked.
const REFUSED_FOR_EACH_MIXED: usize = 10;

/// How often a prompt must have been refused before it counts: each time.
const FEWEST_TIMES: usize = 2;

impl<'a> Trail<'a> {
    /// Adds a request.
    pub fn push(&mut self, step: Step<'a>) {
        self.0.push(step);
    }

    /// Says of each cause of plain refusals how many prompts meet it each time.
    pub fn tell(mut self, causes: &mut [Cause]) {
        self.0.sort_by_key(|step| step.at);
        for cause in causes.iter_mut().filter(|cause| cause.refused && cause.requests == PLAIN) {
            cause.prompts = self.prompts_refused(&cause.class);
        }
    }

    fn prompts_refused(&self, class: &str) -> usize {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for step in self.0.iter().filter(|step| step.failure == Some(class)) {
            *times.entry(step.probe).or_default() += 1;
        }
        let answered: BTreeSet<&str> = self.0.iter().filter(|s| s.failure.is_none()).map(|s| s.probe).collect();
        let mixed = times.keys().filter(|probe| answered.contains(*probe)).count();
        times.retain(|probe, times| *times >= FEWEST_TIMES && !answered.contains(probe));
        let is_return = |pair: &&[Step<'_>]| {
            let is_refused = pair[0].failure == Some(class) && times.contains_key(pair[0].probe);
            is_refused && pair[1].failure.is_none()
        };
        let returns = self.0.windows(2).filter(is_return).count();
        let are_of_prompts = returns >= FEWEST_RETURNS && REFUSED_FOR_EACH_MIXED * mixed <= times.len();
        if are_of_prompts { times.len() } else { 0 }
    }
}

/// The class of requests that have nothing particular in them.
const PLAIN: &str = "plain";

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

/// Classes of refusals that may be of any request: of a right, of an address or a model's name, of credit.
const OF_ANY_REQUEST: [&str; 3] = ["forbidden", "not_found", "payment_required"];

/// Fewest prompts that must meet such a refusal each time before it is about them: a firewall's, or that of a router by its route.
const FEWEST_PROMPTS: usize = 3;

impl Cause {
    fn is_plain(&self) -> bool {
        [PLAIN, Feature::Greedy.words()].contains(&self.requests.as_str())
    }

    fn may_be_of_any_request(&self) -> bool {
        OF_ANY_REQUEST.contains(&self.class.as_str())
    }

    /// Whether plain requests meet it by what they ask, although it may be of any request.
    fn is_of_prompts(&self) -> bool {
        self.is_plain() && self.may_be_of_any_request() && self.prompts >= FEWEST_PROMPTS
    }
}

impl Asked<'_> {
    /// Whether a refusal is about what was in the requests: others are answered, these are not to this day, and plain
    /// ones do not meet the same, but where it is these by what they ask.
    fn is_about_them(&self, cause: &Cause) -> bool {
        let meets_the_same = |other: &Cause| other.is_plain() && other.class == cause.class;
        let is_met_by_others = cause.is_plain() || self.causes.iter().any(meets_the_same);
        let is_of_these = !cause.may_be_of_any_request() || cause.is_of_prompts() || !is_met_by_others;
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
            let requests = match cause.requests.as_str() {
                PLAIN if cause.is_of_prompts() => {
                    format!("plain requests, the same {} prompts at every try", cause.prompts)
                }
                PLAIN => "plain requests".to_owned(),
                requests => format!("requests {requests}"),
            };
            match cause.count {
                0 => format!("{requests}: known to be refused, of the reference's none ({})", cause.message),
                count => format!("{requests}: {count} refused, of the reference's none ({})", cause.message),
            }
        })
        .collect();
    // What an earlier examination found may have changed since, and a right that is missing here and there may be of something else.
    let is_seen = refused.iter().any(|cause| cause.count > 0 && !cause.is_of_prompts());
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

    /// The trail of these plain requests, each a probe with the class of its failure or nothing, a second apart.
    fn prompts(steps: &[(&str, &str)]) -> usize {
        let mut trail = Trail::default();
        for (second, (probe, failure)) in (0_i64..).zip(steps) {
            let at = Timestamp::from_second(second).expect("a time");
            trail.push(Step { at, probe, failure: Some(*failure).filter(|class| !class.is_empty()) });
        }
        let mut causes = causes(&[("forbidden", "plain", "HTTP 403: blocked"), ("forbidden", "with tools", "no")]);
        trail.tell(&mut causes);
        assert!(causes.iter().all(|cause| cause.is_plain() || cause.prompts == 0));
        causes.iter().map(|cause| cause.prompts).sum()
    }

    #[test]
    fn plain_requests_that_are_refused_by_what_they_ask_are_told() {
        let no = "forbidden";
        let by_turns = ["a", "b", "c", "a", "b", "c"].map(|probe| [(probe, no), ("x", "")]).concat();
        assert_eq!(prompts(&by_turns), 3);
        let found = |prompts: usize| {
            let mut host = causes(&[(no, "plain", "HTTP 403: blocked")]);
            host[0].prompts = prompts;
            refusals(Asked { causes: &host, answered: 20, unanswered: 6 }, &[])
        };
        let told = found(3).expect("a finding");
        let expected =
            "plain requests, the same 3 prompts at every try: 1 refused, of the reference's none (HTTP 403: blocked)";
        assert_eq!((told.evidence.as_str(), told.confidence), (expected, Confidence::Likely));
        assert_eq!(found(2), None);
    }

    #[test]
    fn a_right_that_is_lost_or_comes_and_goes_is_none_of_prompts() {
        let no = "forbidden";
        let refused = ["a", "b", "c"].map(|probe| [(probe, no), (probe, no)]).concat();
        let answered = [("x", ""); 6];
        assert_eq!(prompts(&[answered.as_slice(), &refused].concat()), 0, "lost");
        assert_eq!(prompts(&[answered.as_slice(), &refused, &answered].concat()), 0, "away for a time");
        let now_and_then = ["a", "b", "c", "a", "b", "c"].map(|probe| [(probe, no), ("x", "")]).concat();
        assert_eq!(prompts(&[now_and_then.as_slice(), &[("a", "")]].concat()), 0, "one was answered in the end");
        assert_eq!(prompts(&["a", "b", "c", "d", "e"].map(|probe| [(probe, no), ("x", "")]).concat()), 0, "once each");
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
