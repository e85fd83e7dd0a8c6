//! Whether a host can be relied on: failures and times. That is no drift, since what it does answer may be right.

use super::tally::FEWEST;
use super::{Evidence, finding};
use crate::signal::answers::Answers;
use crate::stats::exact::{Share, at_least, more_often};
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::{Confidence, Finding};

/// The share of failing attempts that a host in order stays below: ten times what the usual agreement of 99.9 % allows.
pub const TOLERATED: f64 = 0.01;

/// The level of the bound on the share of failures.
const LEVEL: f64 = 0.95;

/// From this p-value on a host fails more often than the reference, so that it is not the line between that fails.
const NOT_THE_LINE: f64 = 0.01;

/// Classes of failures that say something of the host: a limit on the caller's rate, a wrong key or a refused request do not.
const OF_THE_HOST: [&str; 7] = ["connect", "reset", "cut_stream", "timeout", "server", "malformed", "too_large"];

/// The class of answers that hold nothing which was generated: the host is there, and says nothing.
const BLANK: &str = "blank";

/// Attempts that failed for the host's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// Those that brought no answer.
    pub failed: Share,
    /// Those that brought a blank one.
    pub blank: Share,
}

impl Failing {
    /// Counts them among all attempts but those that failed for the caller's part.
    pub fn of<'a>(attempts: usize, failures: impl IntoIterator<Item = (&'a str, usize)>) -> Self {
        let (mut failed, mut blank, mut of_caller) = (0, 0, 0);
        for (class, n) in failures {
            match class {
                BLANK => blank += n,
                class if OF_THE_HOST.contains(&class) => failed += n,
                _ => of_caller += n,
            }
        }
        let share = |showing| Share { showing, all: attempts.saturating_sub(of_caller) };
        Self { failed: share(failed), blank: share(blank) }
    }
}

/// What a host's failures say of it; `reference` is absent where the reference was not asked in this run.
pub fn findings(endpoint: Failing, reference: Option<Failing>) -> Vec<Finding> {
    let told = |fault: &str, what: &str, of: fn(&Failing) -> Share| {
        let (share, ours) = (of(&endpoint), reference.as_ref().map(of));
        let confidence = beyond_tolerance(share, ours)?;
        let against =
            ours.map_or_else(String::new, |r| format!(", against {} of {} of the reference's", r.showing, r.all));
        let seen = format!("{}{what} ({:.0} %){against}", of_attempts(share), 100.0 * share.value());
        Some(finding(fault, confidence, seen))
    };
    let blank = told("blank-answers", "brought an answer of which nothing was generated", |f| f.blank);
    // One of which every attempt fails is down, or not where it was looked for, and its verdict says so.
    let is_down = endpoint.failed.showing == endpoint.failed.all;
    let flaky = if is_down { None } else { told("flaky-host", "failed", |f| f.failed) };
    flaky.into_iter().chain(blank).collect()
}

/// How the evidence of a finding on so many attempts begins, by which the report knows whether a finding has told its number.
pub fn of_attempts(share: Share) -> String {
    format!("{} of {} attempts ", share.showing, share.all)
}

/// How sure it is that a host fails more often than is tolerated; `None` where it may well not.
fn beyond_tolerance(endpoint: Share, reference: Option<Share>) -> Option<Confidence> {
    if endpoint.showing < FEWEST || at_least(endpoint, LEVEL) <= TOLERATED {
        return None;
    }
    let beyond = reference.is_none_or(|reference| more_often(endpoint, reference) <= NOT_THE_LINE);
    Some(if beyond { Certain } else { Possible })
}

/// How many times as long as all but the slowest quarter of the reference's all but the fastest quarter of an endpoint's answers take
/// before it is called slow, and by how many milliseconds. A busier hour or a longer queue makes it twice as long; that is a number in
/// the report and no finding.
const SLOW: (f64, f64) = (5.0, 100.0);

/// Fewest answers with times on each side.
const FEWEST_TIMES: usize = 20;

/// The finding that answers steadily take many times as long as the reference's.
pub(super) fn slow(evidence: &Evidence<'_>) -> Option<Finding> {
    let (theirs, ours) = (quarter_of_times(evidence.answers, 1)?, quarter_of_times(evidence.reference, 3)?);
    (theirs > SLOW.0 * ours && theirs > ours + SLOW.1).then(|| {
        let evidence = format!(
            "three quarters of its answers take longer than {theirs:.0} ms, of the reference's a quarter {ours:.0} ms"
        );
        finding("slow", Likely, evidence)
    })
}

/// The time that so many quarters of the answers do not take longer than.
fn quarter_of_times(answers: &Answers<'_>, quarter: usize) -> Option<f64> {
    let mut times: Vec<u64> = answers.all().filter_map(|a| Some(a.sample.latency_ms?.total)).collect();
    times.sort_unstable();
    (times.len() >= FEWEST_TIMES).then(|| times[quarter * times.len() / 4] as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confidence(endpoint: (usize, usize), reference: Option<(usize, usize)>) -> Option<Confidence> {
        let failing = |(showing, all)| Failing::of(all, [("server", showing)]);
        findings(failing(endpoint), reference.map(failing)).first().map(|f| f.confidence)
    }

    #[test]
    fn a_host_is_flaky_when_its_failures_are_beyond_what_is_tolerated_and_beyond_the_references() {
        assert_eq!(confidence((2, 20), Some((0, 500))), None);
        assert_eq!(confidence((5, 500), Some((0, 500))), None, "one per cent may be met by chance");
        assert_eq!(confidence((20, 500), Some((0, 500))), Some(Certain));
        assert_eq!(confidence((20, 500), None), Some(Certain));
        assert_eq!(confidence((20, 500), Some((18, 500))), Some(Possible), "the line fails, not the host");
        assert_eq!(confidence((20, 20), Some((0, 500))), None, "a wrong address fails always");
    }

    #[test]
    fn what_the_caller_caused_is_no_failure_of_the_host() {
        let classes = [("rate_limited", 100), ("server", 2), ("rejected", 3)];
        assert_eq!(Failing::of(500, classes).failed, Share { showing: 2, all: 397 });
    }

    #[test]
    fn a_host_that_answers_with_nothing_is_there_and_is_told_as_such() {
        let found = findings(Failing::of(400, [("blank", 60), ("reset", 1)]), Some(Failing::of(400, [])));
        assert_eq!(found.iter().map(|f| f.fault.as_str()).collect::<Vec<_>>(), ["blank-answers"]);
        assert!(found[0].evidence.starts_with("60 of 400 attempts brought"), "{found:?}");
        assert!(found[0].evidence.starts_with(&of_attempts(Share { showing: 60, all: 400 })), "{found:?}");
    }
}
