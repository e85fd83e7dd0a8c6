//! From the answers of a run to its report: what they are compared with, and what of them waits for review.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::asking::Asking;
use super::shelf::Settled;
use super::{note, nothing};
use crate::attempt::FailureKind;
use crate::charge;
use crate::compare::past::{Past, compare_with_past, hold_back};
use crate::compare::{Comparison, EndpointComparison, Known, Roles, Settings, compare};
use crate::config::{ExpectedModel, Reference};
use crate::plan::{AskedWith, Plan, PlannedProbe};
use crate::report::cause::Cause;
use crate::report::nothing::InVain;
use crate::report::words::{is_no_api, remedy};
use crate::report::{Account, Origin, ReferencePast, Report, Warning};
use crate::runner::RunOutcome;
use crate::sample::{Purpose, Sample};
use crate::snapshot::standing::Approved;
use crate::store::{Ending, RunRecord};
use crate::verdict::Verdict;

/// How long a reference without an approved snapshot is held against what it was; after that, what it has moved to is what it is.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A run that has been asked.
pub(super) struct Judging<'a> {
    pub asking: &'a Asking<'a>,
    pub accounts: BTreeMap<String, Account>,
    pub outcome: RunOutcome,
}

/// What the answers are compared with, beside the answers themselves.
struct Findings {
    comparison: Comparison,
    reference_past: Option<ReferencePast>,
    warnings: Vec<Warning>,
}

impl Judging<'_> {
    /// Compares, keeps what waits for review, and reports.
    pub async fn report(mut self) -> anyhow::Result<Report> {
        let Asking { session, job, store, resolved, shelf, .. } = self.asking;
        let samples = store.samples(&job.run.id).await?;
        if samples.is_empty() {
            return Err(self.nothing(self.why_nothing_answered()).into());
        }
        for account in self.accounts.values_mut() {
            // What a whole run did not ask on was left out for what failed; what another one did not come to was not.
            if self.outcome == RunOutcome::Complete {
                account.not_asked = 0;
            } else {
                account.taken_out = None;
            }
        }
        let approved = shelf.beside(&job.plan, session);
        let mut findings = match &session.model.reference {
            Reference::Snapshot => self.against_snapshots(&samples, &approved),
            _ => self.against_a_reference(&samples, &approved).await?,
        };
        let reference = findings.reference_past.as_ref().map(|past| &past.comparison);
        let settled = match self.outcome {
            RunOutcome::Complete => shelf.settle(job, &samples, &approved, (&findings.comparison, reference))?,
            // What is missing may not be like what is not.
            RunOutcome::Stopped
            | RunOutcome::BudgetReached
            | RunOutcome::ThoughtAway(_)
            | RunOutcome::ReferenceDown => None,
        };
        if session.model.reference == Reference::Snapshot && shelf.is_kept() {
            say_what_became(&mut findings.comparison, &job.plan, &approved, settled.as_ref());
        }
        let partial = self.partial();
        if partial.is_some() {
            findings.comparison.endpoints.iter_mut().for_each(leave_out_advice);
        }
        let origin = Origin {
            model: session.name.clone(),
            run: Some(job.run.id.to_string()),
            partial,
            accounts: self.accounts,
            unasked: resolved.unasked.iter().map(|u| (u.endpoint.clone(), u.reason.clone())).collect(),
            order: session.model.endpoint.iter().map(|e| e.name.clone()).collect(),
            reference_past: findings.reference_past,
            snapshots: settled.map(|settled| settled.counts),
            warnings: findings.warnings,
        };
        Ok(Report::new(findings.comparison, origin))
    }

    /// Why not all that was planned was asked, and how the run is gone on with.
    fn partial(&self) -> Option<String> {
        match self.outcome {
            RunOutcome::Complete => None,
            RunOutcome::Stopped => Some("stopped before the end: go on with --resume".to_owned()),
            RunOutcome::BudgetReached => Some("stopped at the budget: raise it and go on with --resume".to_owned()),
            RunOutcome::ReferenceDown => Some(format!(
                "stopped early: the reference `{}` does not answer, and nothing can be judged without it; {}",
                self.asking.session.reference_name(),
                self.how_to_go_on()
            )),
            RunOutcome::ThoughtAway(thoughts) => {
                Some(format!("stopped early: {thoughts} and begin anew, or go on as it is with --resume"))
            }
        }
    }

    /// What there is to do before a run whose reference is out is gone on with: what it says may not go away by itself.
    fn how_to_go_on(&self) -> String {
        let causes = self.accounts.get(self.asking.session.reference_name()).map(|account| &account.causes[..]);
        let stays = |cause: &&Cause| {
            let kind = FailureKind::named(&cause.class);
            is_no_api(cause) || kind.is_some_and(|kind| kind.is_fatal() || kind.is_refusal())
        };
        match causes.and_then(|causes| causes.first()).filter(stays) {
            Some(cause) => format!("{}; then go on with --resume", remedy(cause)),
            None => "go on with --resume once it answers".to_owned(),
        }
    }

    /// Each endpoint against its own approved answers.
    fn against_snapshots(&self, samples: &[Sample], approved: &Approved) -> Findings {
        let plan = &self.asking.job.plan;
        let roles = Roles {
            unanswered: self.unanswered(samples),
            ..self.roles(plan.endpoints.iter().map(String::as_str).collect())
        };
        let past = approved.samples(plan, &plan.endpoints);
        let gaps = |name: &String| Some((name.clone(), approved.tally(plan, name).gaps()?));
        let missing: Vec<(String, String)> = plan.endpoints.iter().filter_map(gaps).collect();
        let is_compared = |name: &str| approved.tally(plan, name).current > 0;
        let warnings = missing
            .iter()
            .filter(|(name, _)| is_compared(name) && Some(name) != self.asking.session.model.control.as_ref())
            .map(|(name, gaps)| {
                Warning::about(&[name], format!("`{name}` has {gaps}: review what waits with `samemodel review`"))
            })
            .collect();
        let past = Past { samples: &past, missing };
        let settings = self.settings();
        let comparison = tokio::task::block_in_place(|| compare_with_past(samples, &past, &roles, &settings));
        Findings { comparison, reference_past: None, warnings }
    }

    /// All endpoints against the reference, and the reference against what it was.
    async fn against_a_reference(&self, samples: &[Sample], approved: &Approved) -> anyhow::Result<Findings> {
        let Asking { session, job, .. } = self.asking;
        let reference = session.reference_name();
        let recorded = self.recorded();
        // Texts of a large run take most of the memory: a second copy is made only where something is added.
        let all =
            if recorded.is_empty() { Cow::Borrowed(samples) } else { Cow::Owned([samples, &recorded[..]].concat()) };
        if !all.iter().any(|s| s.endpoint == reference && s.is_answer()) {
            let what = format!("the reference `{reference}` has no answers, so nothing can be compared with it");
            let advice = match self.outcome {
                RunOutcome::ReferenceDown => format!("; the others are not asked on: {}", self.how_to_go_on()),
                RunOutcome::Stopped | RunOutcome::BudgetReached => {
                    "; not all was asked: go on with --resume".to_owned()
                }
                RunOutcome::Complete | RunOutcome::ThoughtAway(_) => String::new(),
            };
            let why = what + &describe_failures(self.accounts.get(reference)) + &advice;
            return Err(self.nothing(why).into());
        }
        let settings = self.settings();
        let past = match &session.model.reference {
            Reference::Endpoint(_) => self.past_of_the_reference(approved).await?,
            Reference::Snapshot | Reference::Recorded(_) => None,
        };
        let roles = Roles {
            unanswered: self.unanswered(samples),
            earlier: past.as_ref().map_or(&[], |(samples, _)| samples),
            ..self.roles(job.plan.endpoints.iter().map(String::as_str).collect())
        };
        let mut comparison = tokio::task::block_in_place(|| compare(&all, &roles, &settings))?;
        let reference_past = past.as_ref().and_then(|(past, against)| {
            let past = Past { samples: past, missing: Vec::new() };
            // All hosts show what honest ones do, and the twins of the reference are twins of what it was.
            let mut roles = Roles { reference: Reference::SNAPSHOT, unanswered: BTreeMap::new(), ..roles };
            roles.twins.insert(reference);
            let found = tokio::task::block_in_place(|| compare_with_past(samples, &past, &roles, &settings));
            Some(ReferencePast::new(against.clone(), found.endpoints.into_iter().find(|e| e.endpoint == reference)?))
        });
        if reference_past.as_ref().is_some_and(ReferencePast::has_moved) {
            hold_back(&mut comparison, &format!("the reference `{reference}` has moved"));
        }
        Ok(Findings { comparison, reference_past, warnings: Vec::new() })
    }

    /// Earlier answers of the reference, and in words which: those approved, or else those of an earlier run. A reference that has
    /// moved must not be held against what it has moved to, so that is the oldest run of the last days, not the latest.
    async fn past_of_the_reference(&self, approved: &Approved) -> anyhow::Result<Option<(Vec<Sample>, String)>> {
        let Asking { session, job, store, .. } = self.asking;
        let reference = session.reference_name().to_owned();
        let snapshot = approved.samples(&job.plan, std::slice::from_ref(&reference));
        if !snapshot.is_empty() {
            return Ok(Some((snapshot, "its approved snapshot".to_owned())));
        }
        let is_earlier = |run: &RunRecord| {
            run.model == session.name
                && run.reference == reference
                && run.id < job.run.id
                && run.end.is_some_and(|end| end.how == Ending::Complete)
        };
        let mut runs: Vec<RunRecord> = store.runs().await?.into_iter().filter(is_earlier).collect();
        // In the order in which they are tried: the last days' from the oldest on, then the ones before from the latest on.
        let is_old = |run: &RunRecord| job.run.started_at.duration_since(run.started_at) > REMEMBERED;
        let recent = runs.iter().position(is_old).unwrap_or(runs.len());
        runs[..recent].reverse();
        for run in runs {
            let mut samples = store.samples(&run.id).await?;
            let asked_with = |planned: &PlannedProbe| session.asked_with(&reference, planned, &job.plan);
            samples.retain(|s| s.endpoint == reference && s.is_answer() && is_asked_alike(s, &job.plan, asked_with));
            if !samples.is_empty() {
                return Ok(Some((
                    samples,
                    format!("run {} of {}", run.id, run.started_at.strftime("%Y-%m-%d %H:%M UTC")),
                )));
            }
        }
        Ok(None)
    }

    fn roles<'a>(&'a self, endpoints: Vec<&'a str>) -> Roles<'a> {
        let Asking { session, .. } = self.asking;
        let known = session.model.endpoint.iter().map(|e| {
            let expected = e.expected_model.as_ref().map_or(&[][..], ExpectedModel::patterns);
            let known = Known { model: Some(&e.model), expected, token_offset: e.prompt_tokens_offset };
            (e.name.as_str(), known)
        });
        Roles {
            reference: session.reference_name(),
            endpoints,
            control: session.model.control.as_deref(),
            known: known.collect(),
            earlier: &[],
            twins: session.model.endpoint.iter().filter(|e| e.twin).map(|e| e.name.as_str()).collect(),
            unanswered: BTreeMap::new(),
        }
    }

    /// Requests to be compared that a whole run has no answer to, by endpoint; of a run that was stopped early, what was not asked
    /// is like what was.
    fn unanswered(&self, samples: &[Sample]) -> BTreeMap<&str, usize> {
        let plan = &self.asking.job.plan;
        if self.outcome != RunOutcome::Complete {
            return BTreeMap::new();
        }
        let compared = plan.probes.iter().filter(|p| p.probe.purpose == Purpose::Comparison);
        let planned: BTreeMap<&str, &PlannedProbe> = compared.map(|p| (p.probe.id.as_str(), p)).collect();
        let asked = |name: &str| planned.values().filter(|p| p.is_for(name)).map(|p| p.answers as usize).sum();
        let mut out: BTreeMap<&str, usize> = plan.endpoints.iter().map(|name| (name.as_str(), asked(name))).collect();
        for sample in samples.iter().filter(|s| s.is_answer() && planned.contains_key(s.probe.as_str())) {
            if let Some(left) = out.get_mut(sample.endpoint.as_str()) {
                *left = left.saturating_sub(1);
            }
        }
        out
    }

    fn settings(&self) -> Settings {
        self.asking.session.settings(self.asking.job.plan.seed)
    }

    /// That this run has measured nothing, with what its requests came to.
    fn nothing(&self, why: String) -> nothing::OfRun {
        let run = self.asking.job.run.id;
        let asked = InVain { run: Some(run.to_string()), partial: self.partial(), accounts: self.accounts.clone() };
        let awaited = self.asking.session.awaited(self.asking.job.plan.seed);
        nothing::OfRun { run, why, awaited, asked }
    }

    fn why_nothing_answered(&self) -> String {
        let Asking { session, job, .. } = self.asking;
        let is_untried = self.accounts.values().all(|account| account.attempts == 0);
        match (self.outcome, session.defaults.budget) {
            (RunOutcome::BudgetReached, Some(budget)) if is_untried => {
                let dearest = session.worst_costs(&job.plan).dearest.unwrap_or(budget);
                return charge::too_small(budget, dearest);
            }
            (RunOutcome::Stopped, _) if self.accounts.values().all(|account| account.errors == 0) => {
                return format!("stopped before any endpoint of `{}` had answered: go on with --resume", session.name);
            }
            _ => {}
        }
        let failures = self.accounts.iter().filter(|(_, account)| account.errors > 0);
        let failures = failures.map(|(name, account)| format!("\n  {name}: {}", account.why()));
        let what = format!("no endpoint of `{}` answered, so nothing was measured", session.name);
        what + &failures.collect::<String>()
    }

    /// The recorded reference's answers to probes as they are asked now.
    fn recorded(&self) -> Vec<Sample> {
        let plan = &self.asking.job.plan;
        let asked_with = |planned: &PlannedProbe| planned.asked_with(&plan.sampling);
        let is_current = |sample: &&Sample| is_asked_alike(sample, plan, asked_with);
        let current: Vec<Sample> = self.asking.recorded.iter().filter(is_current).cloned().collect();
        let stale = self.asking.recorded.len() - current.len();
        if stale > 0 {
            note(&match stale {
                1 => "1 recorded answer of the reference was left out: its probe has changed since".to_owned(),
                _ => {
                    format!("{stale} recorded answers of the reference were left out: their probes have changed since")
                }
            });
        }
        current
    }
}

/// Takes the place of the advice to ask more: of a run that was stopped, what it had planned comes first.
fn leave_out_advice(endpoint: &mut EndpointComparison) {
    if let Some(advice) = &mut endpoint.advice {
        "not all was asked".clone_into(advice);
    }
}

/// Says of each endpoint that has answered, and nothing to be held against, what became of its answers.
fn say_what_became(comparison: &mut Comparison, plan: &Plan, approved: &Approved, settled: Option<&Settled>) {
    let has_no_past = |e: &&mut EndpointComparison| {
        e.verdict == Verdict::Unmeasured && e.answers > 0 && approved.tally(plan, &e.endpoint).current == 0
    };
    for endpoint in comparison.endpoints.iter_mut().filter(has_no_past) {
        let what = match settled {
            Some(settled) => settled.told(&endpoint.endpoint),
            None => "a run that ended early leaves nothing to review".to_owned(),
        };
        endpoint.reason = format!("{}: {what}", endpoint.reason);
    }
}

/// Whether a sample's probe, as far as is known of it, is asked in the same words and with the same parameters by this plan, or not
/// at all: what one's own configuration has changed is no change of the host.
fn is_asked_alike(sample: &Sample, plan: &Plan, asked_with: impl Fn(&PlannedProbe) -> AskedWith) -> bool {
    let Some(planned) = plan.probes.iter().find(|p| p.probe.id == sample.probe) else { return true };
    let same_words = sample.probe_digest.as_ref().is_none_or(|then| *then == planned.probe.digest());
    // Where a sample says what its probe had in it, its parameters are all that were sent.
    let parameters = sample.parameters.as_ref().filter(|parameters| parameters.traits.is_some());
    same_words && parameters.is_none_or(|then| asked_with(planned).otherwise(then).is_none())
}

fn describe_failures(account: Option<&Account>) -> String {
    let account = account.filter(|a| !a.failures.is_empty());
    account.map_or_else(String::new, |account| format!(": {}", account.why()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_stopped_is_not_advised_to_ask_more_than_it_had_planned() {
        let told = |advice: Option<&str>| {
            let mut endpoint = EndpointComparison::unmeasured("e", "too few answers");
            endpoint.advice = advice.map(str::to_owned);
            leave_out_advice(&mut endpoint);
            endpoint.why()
        };
        assert_eq!(told(Some("about 90 greedy probes would decide")), "too few answers: not all was asked");
        assert_eq!(told(None), "too few answers");
    }
}
