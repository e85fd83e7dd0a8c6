//! What a report means beyond itself: the results that are kept, and the observations that alerts follow from.
//!
//! Layer 4, pure. What a run cannot tell is no observation of anything: an open verdict neither raises nor ends an alert.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::cause::Cause;
use super::{EndpointReport, ReferenceState, Report, escape};
use crate::alert::{Alert, Condition, Example, Facts, Kind, Observation, Phase, Severity, Subject};
use crate::config::{Alerting, Reference};
use crate::store::EndpointResult;
use crate::verdict::{Confidence, Finding, Verdict};

/// Endpoints whose reasons are told where nothing was measured, and the most characters of each.
const NAMED: usize = 3;
const LONGEST_REASON: usize = 240;

/// The fewest endpoints that must leave the reference at once before it is the reference that is taken to have moved.
const FEWEST_MOVED: usize = 3;

/// So long after it moved a reference is what it has moved to.
const SETTLED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A reference that differs from itself by chance does so in one run out of `1 / alpha`; this much rarer is no chance.
const SELF_CHECK_CERTAIN: f64 = 0.1;

/// The results of a report, in its order.
pub fn results(report: &Report) -> Vec<EndpointResult> {
    report.endpoints.iter().map(|e| result(e, report)).collect()
}

fn result(e: &EndpointReport, report: &Report) -> EndpointResult {
    EndpointResult {
        endpoint: e.endpoint.clone(),
        verdict: e.verdict,
        reason: e.reason.clone(),
        p_value: e.p_value,
        q_value: e.q_value,
        e_value: e.e_value,
        effect: e.effect.clone(),
        tolerance: tolerance(e, report),
        samples: e.samples as u64,
        attempts: e.attempts as u64,
        errors: e.errors as u64,
        cost: e.cost,
        findings: e.findings.clone(),
    }
}

/// The tolerance for the endpoint's effect.
fn tolerance(e: &EndpointReport, report: &Report) -> f64 {
    match e.effect.as_ref().map(|effect| effect.name) {
        Some(name) if name.is_of_drawing() => report.dispersion_tolerance,
        _ => report.tolerance,
    }
}

/// What a report on a run that began at `at` shows of each subject, given how the alerts stand.
pub fn observations(
    report: &Report,
    alerts: &BTreeMap<Subject, Alert>,
    config: &Alerting,
    at: Timestamp,
) -> Vec<Observation> {
    let watch = Watch { report, alerts, config, at };
    let mut out = vec![watch.checker(), watch.reference()];
    for e in &report.endpoints {
        out.push(watch.unreachable(e));
        out.push(watch.drift(e));
    }
    out
}

/// What a check that came to no report shows: that it failed.
pub fn failed_check(model: &str, reason: &str) -> Observation {
    let subject = Subject { model: model.to_owned(), endpoint: String::new(), kind: Kind::Checker };
    Observation { subject, condition: Condition::Failing, facts: critical(reason.to_owned()) }
}

fn critical(reason: String) -> Facts {
    Facts { severity: Severity::Critical, reason, ..Facts::default() }
}

/// That no endpoint was measured, and of the first few why.
fn why_nothing(report: &Report) -> String {
    let why = |e: &EndpointReport| format!("{}: {}", e.endpoint, escape::short_line(&e.reason, LONGEST_REASON));
    let mut parts: Vec<String> = report.endpoints.iter().take(NAMED).map(why).collect();
    let more = report.endpoints.len().saturating_sub(NAMED);
    parts.extend((more > 0).then(|| format!("and {more} more")));
    let told = "no endpoint was measured";
    if parts.is_empty() { told.to_owned() } else { format!("{told}: {}", parts.join("; ")) }
}

/// What is wrong with the service of an endpoint that gives no answers: what was found, or else why its attempts failed.
fn causes(e: &EndpointReport) -> Vec<Finding> {
    if !e.findings.is_empty() {
        return e.findings.clone();
    }
    let finding = |cause: &Cause| Finding {
        fault: if cause.refused { "request-refused" } else { "flaky-host" }.to_owned(),
        // Requests that fail otherwise than before are nothing worse.
        confidence: Confidence::Likely,
        evidence: format!("{} × {}: {}", cause.count, cause.class, cause.message),
    };
    e.causes.iter().filter(|cause| cause.count > 0).map(finding).collect()
}

struct Watch<'a> {
    report: &'a Report,
    alerts: &'a BTreeMap<Subject, Alert>,
    config: &'a Alerting,
    at: Timestamp,
}

impl Watch<'_> {
    fn subject(&self, endpoint: &str, kind: Kind) -> Subject {
        Subject { model: self.report.model.clone(), endpoint: endpoint.to_owned(), kind }
    }

    /// The check works when it measured something, and when it could have found what there is to find.
    fn checker(&self) -> Observation {
        let subject = self.subject("", Kind::Checker);
        let measured = self.report.endpoints.iter().any(|e| e.verdict != Verdict::Unmeasured);
        let reason = if !measured {
            Some(why_nothing(self.report))
        } else if self.is_blind() {
            Some("the control was not told apart from the reference, so drift could not have been found".to_owned())
        } else {
            None
        };
        let condition = if reason.is_some() { Condition::Failing } else { Condition::Passing };
        let causes =
            if measured { Vec::new() } else { self.report.endpoints.iter().take(NAMED).flat_map(causes).collect() };
        let facts = reason.map(|reason| Facts { causes, ..critical(reason) }).unwrap_or_default();
        Observation { subject, condition, facts }
    }

    fn is_blind(&self) -> bool {
        self.report.control.p_value.is_some_and(|p| p > self.report.alpha)
    }

    /// The reference has moved when it no longer answers as it did; where that is not known, when it clearly differs from itself,
    /// or when nearly all endpoints that agreed with it before leave it in one run.
    fn reference(&self) -> Observation {
        let subject = self.subject(&self.report.reference, Kind::ReferenceMoved);
        let seen = |condition, facts| Observation { subject: subject.clone(), condition, facts };
        match &self.report.reference_past {
            Some(past) if past.has_moved() => {
                let reason = format!("it no longer answers as in {}: {}", past.against, past.comparison.reason);
                return seen(Condition::Failing, critical(reason));
            }
            Some(past) if past.state == ReferenceState::Steady => return seen(Condition::Passing, Facts::default()),
            _ => {}
        }
        if self.report.reference == Reference::SNAPSHOT {
            // Each endpoint has a reference of its own, which does not move.
            return seen(Condition::Unknown, Facts::default());
        }
        let restless = self.report.self_check.map(|check| check.p_value);
        if restless.is_some_and(|p| p <= SELF_CHECK_CERTAIN * self.report.alpha) {
            let reason = "the reference differs from itself within one run".to_owned();
            return seen(Condition::Failing, critical(reason));
        }
        let left: Vec<&str> = self.that_agreed(Verdict::Drifted).collect();
        let decided = left.len() + self.that_agreed(Verdict::Consistent).count();
        let all_left = left.len() >= FEWEST_MOVED && 4 * left.len() >= 3 * decided;
        if all_left && !self.has_settled(&subject) {
            let reason = format!(
                "{} of {decided} endpoints that agreed with it before left it at once, and are not told of one by one: {}",
                left.len(),
                left.join(", ")
            );
            return seen(Condition::Failing, critical(reason));
        }
        seen(if self.is_any_decided() { Condition::Passing } else { Condition::Unknown }, Facts::default())
    }

    /// Endpoints of a verdict that agreed with the reference when they were last told apart from it or not: one that was never seen
    /// before cannot leave.
    fn that_agreed(&self, verdict: Verdict) -> impl Iterator<Item = &str> {
        let agreed = |alert: &Alert| !alert.failing && !matches!(alert.phase, Phase::Firing(_));
        let of = move |e: &&EndpointReport| {
            e.verdict == verdict && self.alerts.get(&self.subject(&e.endpoint, Kind::Drift)).is_some_and(agreed)
        };
        self.report.endpoints.iter().filter(of).map(|e| e.endpoint.as_str())
    }

    fn is_any_decided(&self) -> bool {
        self.report.endpoints.iter().any(|e| matches!(e.verdict, Verdict::Drifted | Verdict::Consistent))
    }

    /// Whether the reference was said to have moved so long ago that what it has moved to is what it is.
    fn has_settled(&self, reference: &Subject) -> bool {
        self.alerts.get(reference).is_some_and(|alert| match &alert.phase {
            Phase::Firing(firing) => self.at.duration_since(firing.since) >= SETTLED,
            _ => false,
        })
    }

    /// An endpoint that was asked and never answered cannot be reached. One that was not asked, for lack of a key, is only
    /// missed if it was ever seen: most who have a list of hosts have no key for some.
    fn unreachable(&self, e: &EndpointReport) -> Observation {
        let subject = self.subject(&e.endpoint, Kind::Unreachable);
        let condition = match (e.samples, e.attempts) {
            (1.., _) => Condition::Passing,
            (0, 1..) => Condition::Failing,
            (0, 0) if self.report.partial.is_none() && self.alerts.contains_key(&subject) => Condition::Failing,
            (0, 0) => Condition::Unknown,
        };
        let facts = Facts { reason: e.reason.clone(), causes: causes(e), ..Facts::default() };
        Observation { subject, condition, facts }
    }

    fn drift(&self, e: &EndpointReport) -> Observation {
        let subject = self.subject(&e.endpoint, Kind::Drift);
        let certain = e.findings.iter().any(crate::verdict::Finding::is_certain_drift);
        let doubtful = self.report.self_check.is_some_and(|check| check.p_value <= self.report.alpha);
        let condition = match e.verdict {
            // By the report's own word, such a run is to be repeated before anyone acts on it.
            Verdict::Drifted if doubtful && !certain => Condition::Unknown,
            Verdict::Drifted => Condition::Failing,
            Verdict::Consistent => Condition::Passing,
            Verdict::Inconclusive | Verdict::Unmeasured => Condition::Unknown,
        };
        let tolerance = tolerance(e, self.report);
        let large = e.effect.as_ref().is_some_and(|x| x.estimate.abs() >= self.config.critical_from * tolerance);
        let facts = Facts {
            severity: if certain || large { Severity::Critical } else { Severity::Warning },
            reason: e.reason.clone(),
            effect: e.effect.clone(),
            tolerance: Some(tolerance),
            causes: e.findings.clone(),
            example: e.contrast.as_ref().map(|c| Example {
                probe: c.probe.clone(),
                reference: c.reference.clone(),
                endpoint: c.endpoint.clone(),
            }),
            features: Vec::new(),
        };
        Observation { subject, condition, facts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::SelfCheck;
    use crate::report::fixture;
    use crate::verdict::EffectName;

    fn config() -> Alerting {
        Alerting::default()
    }

    fn conditions(report: &Report, alerts: &BTreeMap<Subject, Alert>) -> Vec<(Kind, String, Condition)> {
        let seen = observations(report, alerts, &config(), Timestamp::UNIX_EPOCH).into_iter();
        seen.map(|o| (o.subject.kind, o.subject.endpoint, o.condition)).collect()
    }

    fn condition(report: &Report, kind: Kind, endpoint: &str) -> Condition {
        let all = conditions(report, &BTreeMap::new());
        all.into_iter().find(|(k, e, _)| *k == kind && e == endpoint).map(|(_, _, c)| c).unwrap()
    }

    /// A report on endpoints `e0`, `e1` … with these verdicts.
    fn report(verdicts: &[Verdict]) -> Report {
        let mut report = fixture::report();
        let model = report.endpoints[0].clone();
        report.endpoints = (0..)
            .zip(verdicts)
            .map(|(i, verdict)| EndpointReport {
                endpoint: format!("e{i}"),
                verdict: *verdict,
                findings: Vec::new(),
                ..model.clone()
            })
            .collect();
        report
    }

    /// What is seen of the reference after a run in which all endpoints agreed with it.
    fn reference_condition(verdicts: &[Verdict]) -> Condition {
        let report = report(verdicts);
        let subject =
            |endpoint: &str| Subject { model: report.model.clone(), endpoint: endpoint.to_owned(), kind: Kind::Drift };
        let known = report.endpoints.iter().map(|e| (subject(&e.endpoint), Alert::new(subject(&e.endpoint)))).collect();
        let all = conditions(&report, &known);
        all.into_iter().find(|(kind, _, _)| *kind == Kind::ReferenceMoved).map(|(_, _, seen)| seen).unwrap()
    }

    #[test]
    fn where_nothing_was_measured_each_endpoint_says_why() {
        let mut report = report(&[Verdict::Unmeasured; 5]);
        let said = "HTTP 403: no\u{1b}[2J right ".to_owned() + &"to it ".repeat(100);
        for e in &mut report.endpoints {
            (e.samples, e.attempts) = (0, 5);
            e.reason = format!("no answers: 5 forbidden ({said})");
            let (class, requests, message) = ("forbidden".into(), "plain".into(), "HTTP 403: no right".into());
            e.causes = vec![Cause { class, requests, refused: true, message, count: 5, prompts: 0 }];
        }
        let seen = observations(&report, &BTreeMap::new(), &config(), Timestamp::UNIX_EPOCH);
        let of = |kind| seen.iter().find(|o| o.subject.kind == kind).expect("it is seen");
        let Facts { reason, causes, .. } = &of(Kind::Checker).facts;
        assert!(
            reason.starts_with("no endpoint was measured: e0: no answers: 5 forbidden (HTTP 403: no\\u{1b}"),
            "{reason}"
        );
        assert!(reason.ends_with("; and 2 more") && reason.len() < 1000, "{reason}");
        assert_eq!(causes.len(), NAMED);
        let told = &of(Kind::Unreachable).facts.causes;
        assert_eq!(
            (told[0].fault.as_str(), told[0].evidence.as_str()),
            ("request-refused", "5 × forbidden: HTTP 403: no right")
        );
    }

    #[test]
    fn endpoints_that_were_never_seen_before_cannot_leave_the_reference() {
        let bad_from_the_first_day = report(&[Verdict::Drifted; 4]);
        let seen = condition(&bad_from_the_first_day, Kind::ReferenceMoved, &bad_from_the_first_day.reference);
        assert_eq!(seen, Condition::Passing);
        assert_eq!(condition(&bad_from_the_first_day, Kind::Drift, "e0"), Condition::Failing);
    }

    #[test]
    fn a_reference_that_all_left_long_ago_is_what_it_has_moved_to() {
        let report = report(&[Verdict::Drifted; 3]);
        let subject = |kind, endpoint: &str| Subject { model: report.model.clone(), endpoint: endpoint.into(), kind };
        let mut alerts: BTreeMap<Subject, Alert> =
            ["e0", "e1", "e2"].map(|e| (subject(Kind::Drift, e), Alert::new(subject(Kind::Drift, e)))).into();
        let moved = subject(Kind::ReferenceMoved, &report.reference);
        let since = Timestamp::UNIX_EPOCH;
        let firing = crate::alert::Firing { since, passes: 0, flapping: false, told: None };
        alerts
            .insert(moved.clone(), Alert { phase: Phase::Firing(firing), failing: true, ..Alert::new(moved.clone()) });
        let seen = |at| {
            let all = observations(&report, &alerts, &config(), at);
            all.into_iter().find(|o| o.subject == moved).map(|o| o.condition)
        };
        assert_eq!(seen(since + SignedDuration::from_hours(24)), Some(Condition::Failing));
        assert_eq!(seen(since + SETTLED), Some(Condition::Passing));
    }

    #[test]
    fn verdicts_become_observations_and_open_ones_are_none() {
        let report = report(&[Verdict::Consistent, Verdict::Drifted, Verdict::Inconclusive]);
        let drift = |endpoint| condition(&report, Kind::Drift, endpoint);
        assert_eq!(
            [drift("e0"), drift("e1"), drift("e2")],
            [Condition::Passing, Condition::Failing, Condition::Unknown]
        );
        assert_eq!(condition(&report, Kind::Checker, ""), Condition::Passing);
    }

    #[test]
    fn a_reference_has_moved_when_nearly_all_leave_it_at_once() {
        use Verdict::{Consistent, Drifted, Inconclusive};
        assert_eq!(reference_condition(&[Drifted; 3]), Condition::Failing);
        assert_eq!(reference_condition(&[Drifted, Drifted, Drifted, Consistent]), Condition::Failing);
        assert_eq!(reference_condition(&[Drifted, Drifted, Drifted, Consistent, Consistent]), Condition::Passing);
        assert_eq!(reference_condition(&[Drifted; 2]), Condition::Passing, "two may well drift by themselves");
        assert_eq!(reference_condition(&[Inconclusive; 3]), Condition::Unknown);
    }

    #[test]
    fn an_endpoint_without_a_key_is_missed_only_if_it_was_ever_seen() {
        let mut report = report(&[Verdict::Unmeasured, Verdict::Consistent]);
        (report.endpoints[0].samples, report.endpoints[0].attempts) = (0, 0);
        let subject = Subject { model: report.model.clone(), endpoint: "e0".into(), kind: Kind::Unreachable };
        assert_eq!(condition(&report, Kind::Unreachable, "e0"), Condition::Unknown);
        let alerts = BTreeMap::from([(subject.clone(), Alert::new(subject))]);
        let missed = (Kind::Unreachable, "e0".to_owned(), Condition::Failing);
        assert!(conditions(&report, &alerts).contains(&missed));
        report.partial = Some("stopped".into());
        assert!(!conditions(&report, &alerts).contains(&missed), "a run that was stopped had not come to it");
        report.endpoints[0].attempts = 5;
        assert_eq!(condition(&report, Kind::Unreachable, "e0"), Condition::Failing);
    }

    #[test]
    fn a_check_that_could_have_found_nothing_has_failed() {
        let mut blind = report(&[Verdict::Consistent]);
        blind.control.p_value = Some(0.4);
        assert_eq!(condition(&blind, Kind::Checker, ""), Condition::Failing);
        assert_eq!(condition(&report(&[Verdict::Unmeasured]), Kind::Checker, ""), Condition::Failing);
    }

    #[test]
    fn a_run_whose_reference_differs_from_itself_accuses_nobody_without_certainty() {
        let mut doubtful = report(&[Verdict::Drifted]);
        doubtful.self_check = Some(SelfCheck { p_value: 0.03, answers: 40 });
        assert_eq!(condition(&doubtful, Kind::Drift, "e0"), Condition::Unknown);
        assert_eq!(condition(&doubtful, Kind::ReferenceMoved, &doubtful.reference), Condition::Passing);
        doubtful.self_check = Some(SelfCheck { p_value: 0.001, answers: 40 });
        assert_eq!(condition(&doubtful, Kind::ReferenceMoved, &doubtful.reference), Condition::Failing);
    }

    #[test]
    fn results_hold_what_the_report_says_in_its_order() {
        let report = fixture::report();
        let kept = results(&report);
        let names: Vec<&str> = kept.iter().map(|r| r.endpoint.as_str()).collect();
        assert_eq!(names, report.endpoints.iter().map(|e| e.endpoint.as_str()).collect::<Vec<_>>());
        let varied = kept
            .iter()
            .zip(&report.endpoints)
            .find(|(_, e)| e.effect.as_ref().is_some_and(|effect| effect.name == EffectName::Dispersion));
        assert_eq!(varied.map(|(r, _)| r.tolerance), Some(report.dispersion_tolerance));
    }
}
