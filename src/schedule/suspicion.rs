//! Suspicion: whether what a pulse found calls for a full check.
//!
//! Layer 2, pure. An endpoint is under suspicion when the pulse calls it drifted, or finds a difference that is significant although
//! it cannot say how large it is. So that a standing drift does not cause one full check after another, an endpoint that has caused
//! one causes no second within the time to cool down; another endpoint does.

use jiff::{SignedDuration, Timestamp};

use crate::verdict::Verdict;

/// What a pulse found at one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding<'a> {
    /// The endpoint.
    pub endpoint: &'a str,
    /// Its verdict.
    pub verdict: Verdict,
    /// The p-value after correction over endpoints.
    pub q_value: Option<f64>,
}

/// A full check that suspicion caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// When it was started.
    pub at: Timestamp,
    /// The endpoints that were under suspicion.
    pub suspects: Vec<String>,
}

/// How ready suspicion is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Caution {
    /// The rate of false alarms at which a difference counts as significant.
    pub alpha: f64,
    /// How long an endpoint that has caused a full check causes no other.
    pub cool_down: SignedDuration,
}

/// The endpoints under suspicion, if one of them calls for a full check at `now`.
pub fn suspects(pulse: &[Finding<'_>], past: &[Cause], caution: Caution, now: Timestamp) -> Option<Vec<String>> {
    let suspected: Vec<&str> = pulse.iter().filter(|f| is_suspicious(f, caution.alpha)).map(|f| f.endpoint).collect();
    // What was noted by a clock that was ahead of this one counts by how far it is off, so that it ends too.
    let is_cooling = |cause: &Cause| now.duration_since(cause.at).abs() < caution.cool_down;
    let is_new = |endpoint: &&str| !past.iter().any(|c| is_cooling(c) && c.suspects.iter().any(|s| s == endpoint));
    suspected.iter().any(is_new).then(|| suspected.into_iter().map(str::to_owned).collect())
}

fn is_suspicious(finding: &Finding<'_>, alpha: f64) -> bool {
    match finding.verdict {
        Verdict::Drifted => true,
        Verdict::Inconclusive => finding.q_value.is_some_and(|q| q <= alpha),
        Verdict::Consistent | Verdict::Unmeasured => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Caution = Caution { alpha: 0.05, cool_down: SignedDuration::from_hours(24) };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn finding(endpoint: &str, verdict: Verdict, q_value: Option<f64>) -> Finding<'_> {
        Finding { endpoint, verdict, q_value }
    }

    #[test]
    fn drift_and_a_significant_difference_raise_suspicion_and_nothing_else_does() {
        let now = at("2026-03-01T12:00:00Z");
        let pulse = [
            finding("a", Verdict::Consistent, Some(0.01)),
            finding("b", Verdict::Inconclusive, Some(0.2)),
            finding("c", Verdict::Unmeasured, None),
            finding("d", Verdict::Inconclusive, None),
        ];
        assert_eq!(suspects(&pulse, &[], DAY, now), None);
        let pulse = [finding("a", Verdict::Drifted, None), finding("b", Verdict::Inconclusive, Some(0.03))];
        assert_eq!(suspects(&pulse, &[], DAY, now), Some(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn a_standing_drift_causes_one_full_check_in_a_day_and_a_new_one_is_not_kept_waiting() {
        let past = [Cause { at: at("2026-03-01T12:00:00Z"), suspects: vec!["a".into()] }];
        let standing = [finding("a", Verdict::Drifted, None)];
        assert_eq!(suspects(&standing, &past, DAY, at("2026-03-02T11:59:59Z")), None);
        assert!(suspects(&standing, &past, DAY, at("2026-03-02T12:00:00Z")).is_some());
        let another = [finding("a", Verdict::Drifted, None), finding("b", Verdict::Drifted, None)];
        assert!(suspects(&another, &past, DAY, at("2026-03-01T13:00:00Z")).is_some());
    }

    #[test]
    fn a_clock_set_back_does_not_silence_suspicion_for_longer_than_the_time_to_cool_down() {
        let past = [Cause { at: at("2027-01-01T00:00:00Z"), suspects: vec!["a".into()] }];
        let standing = [finding("a", Verdict::Drifted, None)];
        assert!(suspects(&standing, &past, DAY, at("2026-03-01T12:00:00Z")).is_some());
    }
}
