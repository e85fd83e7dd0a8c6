//! Reports: a comparison with the accounts of its run, in one file a format.
//!
//! Layer 4. [`Report`] is the contract `samemodel.report/1`; all other formats are made from it and promise nothing. All text
//! that came from a host is raw in the report and escaped by each format for where it goes.
//!
//! [`mod@format`] chooses among [`terminal`], [`json`], [`junit`], [`github`], [`markdown`] and [`nagios`]; they share [`escape`],
//! [`words`], [`diff`] and [`layout`]. [`cause`] says why requests failed. [`progress`] is what is shown while a run is under way.

pub mod cause;
pub mod chart;
pub mod csv;
pub mod diff;
pub mod doctor;
pub mod escape;
pub mod format;
pub mod github;
pub mod history;
pub mod json;
pub mod junit;
pub mod layout;
pub mod markdown;
pub mod nagios;
pub mod nothing;
pub mod openmetrics;
pub mod outcome;
pub mod plan;
pub mod progress;
pub mod status;
pub mod tabular;
pub mod terminal;
mod warning;
pub mod words;

#[cfg(test)]
mod fixture;
#[cfg(test)]
pub(crate) mod tests;

pub use format::{Format, render};
pub use layout::Paint;
pub use terminal::View;
pub use warning::Warning;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::band::Band;
use crate::compare::thinking::Thinking;
use crate::compare::{Comparison, Depth, EndpointComparison, GreedySummary, Observed, Questions, SelfCheck};
use crate::diagnose::availability::{self, Failing};
use crate::sample::Sample;
use crate::signal::contrast::Contrast;
use crate::verdict::{Effect, Finding, ProbeResult, SignalResult, Verdict};
use cause::{Asked, Cause, Causes, refusals};
use warning::{gaps, warnings};

/// The schema name that every report carries.
pub const SCHEMA: &str = "samemodel.report/1";

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always `samemodel.report/1`.
    pub schema: String,
    /// The nominal model.
    pub model: String,
    /// The reference's name.
    pub reference: String,
    /// From which all random choices derive.
    pub seed: u64,
    /// Rate of false alarms over all endpoints together.
    pub alpha: f64,
    /// The largest effect that does not matter, as a share.
    pub tolerance: f64,
    /// The largest change of diversity that does not matter.
    pub dispersion_tolerance: f64,
    /// Permutations of each test.
    pub permutations: u32,
    /// The version of the program.
    pub tool_version: String,
    /// The run's id, where the samples come from a run.
    pub run: Option<String>,
    /// Set when the run did not ask all that was planned: why.
    pub partial: Option<String>,
    /// What happened to the requests to the reference.
    pub reference_account: Account,
    /// The unit of the effects, and whether the tests could have fired.
    pub control: ControlReport,
    /// The reference against itself.
    pub self_check: Option<SelfCheck>,
    /// The reference against earlier answers of its own, where there are any to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_past: Option<ReferencePast>,
    /// What became of snapshots, where any were to be looked after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<SnapshotCounts>,
    /// The endpoints, in the configured order.
    pub endpoints: Vec<EndpointReport>,
    /// What the reader must know to trust the numbers.
    #[schemars(with = "Vec<String>")]
    pub warnings: Vec<Warning>,
}

/// What became of the snapshots that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotCounts {
    /// Written, and waiting for review.
    pub waiting: usize,
    /// Written as approved.
    pub approved: usize,
    /// Not written, although they changed.
    pub unwritten: usize,
    /// Waiting since an earlier run, of endpoints of which this one had nothing better to propose.
    #[serde(default)]
    pub earlier: usize,
}

/// The reference against earlier answers of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReferencePast {
    /// Whether it is what it was.
    pub state: ReferenceState,
    /// Which earlier answers, such as `its approved snapshot`.
    pub against: String,
    /// The comparison, as of any endpoint.
    pub comparison: EndpointReport,
}

/// Whether a reference is what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceState {
    /// It answers as it did.
    Steady,
    /// It does not, so verdicts on others are held back.
    ReferenceMoved,
    /// Too little is known to say.
    Unclear,
}

impl ReferencePast {
    /// From the comparison of the reference with its past.
    pub fn new(against: String, comparison: EndpointComparison) -> Self {
        let state = match comparison.verdict {
            Verdict::Drifted => ReferenceState::ReferenceMoved,
            Verdict::Consistent => ReferenceState::Steady,
            Verdict::Inconclusive | Verdict::Unmeasured => ReferenceState::Unclear,
        };
        Self { state, against, comparison: EndpointReport::new(comparison, Account::default()) }
    }

    /// Whether the reference is no longer what it was.
    pub fn has_moved(&self) -> bool {
        self.state == ReferenceState::ReferenceMoved
    }
}

/// The control of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlReport {
    /// The endpoint that serves as control; absent when the unit is built in.
    pub endpoint: Option<String>,
    /// Its p-value by the same test; absent when there is none.
    pub p_value: Option<f64>,
    /// Requests to it.
    pub account: Account,
}

/// What happened to the requests of one endpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Answers.
    pub samples: usize,
    /// HTTP requests, retries included.
    pub attempts: usize,
    /// Attempts that failed.
    pub errors: usize,
    /// The same by class, such as `rate_limited`.
    pub failures: BTreeMap<String, usize>,
    /// Planned requests that have no answer.
    pub unanswered: usize,
    /// Those of them that a run which was stopped had not come to.
    #[serde(default)]
    pub not_asked: usize,
    /// Where a run that was carried out asked nothing more of it before the end: how many planned requests that left, and
    /// what had failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_out: Option<String>,
    /// What was paid by the configured price, in US dollars; absent without a price or token counts.
    pub cost: Option<f64>,
    /// Why attempts failed, the commonest causes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

impl Account {
    /// Accounts by endpoint of samples from anywhere: each line is an attempt, and costs are not known.
    pub fn of_samples<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> BTreeMap<String, Self> {
        let mut accounts: BTreeMap<String, Self> = BTreeMap::new();
        let mut causes: BTreeMap<&str, Causes> = BTreeMap::new();
        for sample in samples {
            let account = accounts.entry(sample.endpoint.clone()).or_default();
            account.attempts += 1;
            match &sample.error {
                None => account.samples += 1,
                Some(error) => {
                    account.errors += 1;
                    *account.failures.entry(error.kind.clone()).or_default() += 1;
                    causes.entry(&sample.endpoint).or_default().count(&error.kind, "", &error.message);
                }
            }
        }
        for (endpoint, causes) in causes {
            accounts.entry(endpoint.to_owned()).or_default().causes = causes.finish();
        }
        accounts
    }

    /// What failed, by class, and the commonest cause in the host's words.
    pub fn why(&self) -> String {
        let cause = self.causes.first().map_or_else(String::new, |cause| format!(" ({})", cause.message));
        words::failures(&self.failures) + &cause
    }

    /// Attempts that failed for the host's part, out of all that count for it.
    fn failing(&self) -> Failing {
        Failing::of(self.attempts, self.failures.iter().map(|(class, n)| (class.as_str(), *n)))
    }
}

/// One endpoint of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointReport {
    /// The endpoint's name.
    pub endpoint: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What decided it, or what is missing, in a line.
    pub reason: String,
    /// p-value before correction over endpoints.
    pub p_value: Option<f64>,
    /// p-value after correction (Holm).
    pub q_value: Option<f64>,
    /// e-value of the p-value before correction.
    pub e_value: Option<f64>,
    /// The effect that decides.
    pub effect: Option<Effect>,
    /// All effects measured.
    pub effects: Vec<Effect>,
    /// Its answers; compared, unless there was nothing to compare them with.
    pub samples: usize,
    /// HTTP requests, retries included.
    pub attempts: usize,
    /// Attempts that failed.
    pub errors: usize,
    /// The same by class, such as `rate_limited`.
    pub failures: BTreeMap<String, usize>,
    /// Planned requests that have no answer.
    pub unanswered: usize,
    /// Those of them that a run which was stopped had not come to.
    #[serde(default)]
    pub not_asked: usize,
    /// Where a run that was carried out asked nothing more of it before the end: how many planned requests that left, and
    /// what had failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_out: Option<String>,
    /// What was paid, in US dollars.
    pub cost: Option<f64>,
    /// Answers per sampled probe with which an inconclusive verdict would probably be decided.
    pub samples_to_decide: Option<u32>,
    /// Greedy probes with which it would.
    pub greedy_probes_to_decide: Option<u32>,
    /// What was compared.
    pub signals: Vec<SignalResult>,
    /// What each probe shows by itself.
    pub probes: Vec<ProbeResult>,
    /// What greedy answers show.
    pub greedy: Option<GreedySummary>,
    /// Likely faults with evidence.
    pub findings: Vec<Finding>,
    /// Two answers that show the difference.
    pub contrast: Option<Contrast>,
    /// What its answers say of themselves.
    #[serde(default)]
    pub observed: Observed,
    /// What both sides show of their thinking, and what is missing of their answers.
    #[serde(default)]
    pub thinking: Thinking,
    /// The verdict in its two parts: what is computed, and how answers are drawn.
    #[serde(default)]
    pub questions: Questions,
    /// Answers per sampled probe with which it would be settled how answers are drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_to_settle: Option<u32>,
    /// How many answers to a sampled probe were compared; absent where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<Depth>,
    /// What greedy answers of honest hosts may show.
    #[serde(default)]
    pub band: Band,
    /// Why attempts failed, the commonest causes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

/// Where the samples of a report come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The nominal model.
    pub model: String,
    /// The run's id.
    pub run: Option<String>,
    /// Why not all that was planned was asked.
    pub partial: Option<String>,
    /// Accounts by endpoint.
    pub accounts: BTreeMap<String, Account>,
    /// Endpoints that could not be asked, with the reason: they appear as unmeasured.
    pub unasked: Vec<(String, String)>,
    /// The order of the report; endpoints that are not named come last.
    pub order: Vec<String>,
    /// The reference against earlier answers of its own.
    pub reference_past: Option<ReferencePast>,
    /// What became of snapshots.
    pub snapshots: Option<SnapshotCounts>,
    /// What else the reader must know.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// Joins a comparison with the accounts of its run.
    pub fn new(comparison: Comparison, origin: Origin) -> Self {
        let account = |name: &str| origin.accounts.get(name).cloned().unwrap_or_default();
        let mut warnings = warnings(&comparison);
        warnings.extend(origin.reference_past.iter().filter(|past| past.has_moved()).map(|past| {
            let (name, against) = (&comparison.reference, &past.against);
            Warning::from(format!(
                "the reference `{name}` has moved: it no longer answers as in {against} ({})",
                past.comparison.reason
            ))
        }));
        warnings.extend(gaps(&origin.accounts));
        warnings.extend(origin.warnings.iter().cloned());
        let unasked = origin.unasked.iter().map(|(name, reason)| EndpointComparison::unmeasured(name, reason));
        let mut endpoints: Vec<EndpointReport> = comparison
            .endpoints
            .into_iter()
            .filter(|e| !origin.unasked.iter().any(|(name, _)| *name == e.endpoint))
            .chain(unasked)
            .map(|e| {
                let account = account(&e.endpoint);
                EndpointReport::new(e, account)
            })
            .collect();
        let asked = account(&comparison.reference);
        let reference = (asked.attempts > 0).then(|| asked.failing());
        for endpoint in &mut endpoints {
            endpoint.add_availability(reference, &asked.causes);
        }
        let place = |name: &str| origin.order.iter().position(|o| o == name).unwrap_or(usize::MAX);
        endpoints.sort_by_key(|e| place(&e.endpoint));
        Self {
            schema: SCHEMA.to_owned(),
            seed: comparison.settings.seed,
            alpha: comparison.settings.alpha,
            tolerance: comparison.settings.tolerance,
            dispersion_tolerance: comparison.settings.dispersion_tolerance,
            permutations: comparison.settings.permutations,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            reference_account: Account { samples: comparison.reference_answers, ..account(&comparison.reference) },
            control: ControlReport {
                account: comparison.control.endpoint.as_deref().map(account).unwrap_or_default(),
                endpoint: comparison.control.endpoint,
                p_value: comparison.control.p_value,
            },
            reference: comparison.reference,
            self_check: comparison.self_check,
            reference_past: origin.reference_past,
            snapshots: origin.snapshots,
            model: origin.model,
            run: origin.run,
            partial: origin.partial,
            endpoints,
            warnings,
        }
    }

    /// The verdict on all endpoints together: the worst of them, and unmeasured when there is none. A reference that has moved
    /// is drift.
    pub fn overall(&self) -> Verdict {
        let has = |verdict| self.endpoints.iter().any(|e| e.verdict == verdict);
        if has(Verdict::Drifted) || self.reference_past.as_ref().is_some_and(ReferencePast::has_moved) {
            Verdict::Drifted
        } else if self.endpoints.is_empty() || has(Verdict::Unmeasured) {
            Verdict::Unmeasured
        } else if has(Verdict::Inconclusive) {
            Verdict::Inconclusive
        } else {
            Verdict::Consistent
        }
    }

    /// What the whole run has cost, as far as prices are known; `None` when none is.
    pub fn cost(&self) -> Option<f64> {
        let accounts = [self.reference_account.cost, self.control.account.cost];
        self.endpoints.iter().map(|e| e.cost).chain(accounts).flatten().reduce(|a, b| a + b)
    }
}

/// Why there are no answers, as far as attempts tell.
fn silence(account: &Account) -> String {
    format!("no answers: {}", account.why())
}

impl EndpointReport {
    /// Adds what its failures say, beside the reference's.
    fn add_availability(&mut self, reference: Option<Failing>, causes: &[Cause]) {
        let failures = self.failures.iter().map(|(class, n)| (class.as_str(), *n));
        let asked = Asked { causes: &self.causes, answered: self.samples, unanswered: self.unanswered };
        self.findings.extend(reference.and_then(|_| refusals(asked, causes)));
        self.findings.extend(availability::findings(Failing::of(self.attempts, failures), reference));
        self.findings.sort_by_key(|f| f.confidence);
    }

    fn new(e: EndpointComparison, account: Account) -> Self {
        let is_silent = e.answers == 0 && account.samples == 0 && !account.failures.is_empty();
        Self {
            reason: if is_silent { silence(&account) } else { e.why() },
            endpoint: e.endpoint,
            verdict: e.verdict,
            p_value: e.p_value,
            q_value: e.q_value,
            e_value: e.e_value,
            effect: e.effect,
            effects: e.effects.into_iter().map(|s| s.effect).collect(),
            samples: e.answers,
            attempts: account.attempts.max(e.answers),
            errors: account.errors,
            failures: account.failures,
            unanswered: account.unanswered,
            not_asked: account.not_asked,
            taken_out: account.taken_out,
            cost: account.cost,
            samples_to_decide: e.samples_to_decide,
            greedy_probes_to_decide: e.greedy_probes_to_decide,
            signals: e.signals,
            probes: e.probes,
            greedy: e.greedy,
            findings: e.findings,
            contrast: e.contrast,
            observed: e.observed,
            thinking: e.thinking,
            questions: e.questions,
            samples_to_settle: e.samples_to_settle,
            depth: e.depth,
            band: e.band,
            causes: account.causes,
        }
    }
}
