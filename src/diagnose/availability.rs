//! Whether a host can be relied on: failures and times. That is no drift, since what it does answer may be right.

use super::tally::FEWEST;
use super::{Evidence, finding};
use crate::signal::answers::Answers;
use crate::stats::exact::{Share, at_least, more_often};
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::Finding;

/// The share of failing attempts that a host in order stays below: ten times what the usual agreement of 99.9 % allows.
pub const TOLERATED: f64 = 0.01;

/// The level of the bound on the share of failures.
const LEVEL: f64 = 0.95;

/// From this p-value on a host fails more often than the reference, so that it is not the line between that fails.
const NOT_THE_LINE: f64 = 0.01;

/// Classes of failures that say something of the host: a limit on the caller's rate, a wrong key or a refused request do not.
const OF_THE_HOST: [&str; 8] =
    ["connect", "reset", "cut_stream", "timeout", "server", "malformed", "too_large", "blank"];

/// Counts attempts that failed for the host's part, among all but those that failed for the caller's.
pub fn failing<'a>(attempts: usize, failures: impl IntoIterator<Item = (&'a str, usize)>) -> Share {
    let (mut of_host, mut of_caller) = (0, 0);
    for (class, n) in failures {
        if OF_THE_HOST.contains(&class) { of_host += n } else { of_caller += n }
    }
    Share { showing: of_host, all: attempts.saturating_sub(of_caller) }
}

/// The finding that a host fails too often; `reference` is absent where the reference was not asked in this run.
pub fn flaky(endpoint: Share, reference: Option<Share>) -> Option<Finding> {
    if endpoint.showing < FEWEST || at_least(endpoint, LEVEL) <= TOLERATED {
        return None;
    }
    let beyond = reference.is_none_or(|reference| more_often(endpoint, reference) <= NOT_THE_LINE);
    let percent = 100.0 * endpoint.value();
    let against =
        reference.map_or_else(String::new, |r| format!(", against {} of {} of the reference's", r.showing, r.all));
    let evidence = format!("{} of {} attempts failed ({percent:.0} %){against}", endpoint.showing, endpoint.all);
    Some(finding("flaky-host", if beyond { Certain } else { Possible }, evidence))
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

    fn confidence(endpoint: (usize, usize), reference: Option<(usize, usize)>) -> Option<crate::verdict::Confidence> {
        let share = |(showing, all)| Share { showing, all };
        flaky(share(endpoint), reference.map(share)).map(|f| f.confidence)
    }

    #[test]
    fn a_host_is_flaky_when_its_failures_are_beyond_what_is_tolerated_and_beyond_the_references() {
        assert_eq!(confidence((2, 20), Some((0, 500))), None);
        assert_eq!(confidence((5, 500), Some((0, 500))), None, "one per cent may be met by chance");
        assert_eq!(confidence((20, 500), Some((0, 500))), Some(Certain));
        assert_eq!(confidence((20, 500), None), Some(Certain));
        assert_eq!(confidence((20, 500), Some((18, 500))), Some(Possible), "the line fails, not the host");
    }

    #[test]
    fn what_the_caller_caused_is_no_failure_of_the_host() {
        let classes = [("rate_limited", 100), ("server", 2), ("rejected", 3)];
        assert_eq!(failing(500, classes), Share { showing: 2, all: 397 });
    }
}
