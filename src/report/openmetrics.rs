//! What is known of each endpoint as an OpenMetrics text, for the textfile collector of Prometheus' `node_exporter` and its kin.
//!
//! Layer 4, pure. Only gauges and counters are used, with names that the older text format of Prometheus reads in the same way. A
//! verdict is one series for each word, so that a rule can name the word, and so is the state of an alert; what was not measured has
//! no series and no zero.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::alert::{Alert, Phase, Scope, Subject};
use crate::config::Reference;
use crate::schedule::Tier;
use crate::store::{AnswerTimes, EndpointResult, RecordedResult, RecordedStart, RunId, RunRecord, StartCause};
use crate::verdict::Verdict;

/// What the history says of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelState {
    /// The model.
    pub model: String,
    /// When its latest run began.
    pub last_run: Timestamp,
    /// Whether that run came to results.
    pub last_run_has_results: bool,
    /// When the latest run began in which every endpoint was measured.
    pub last_success: Option<Timestamp>,
    /// When the latest check of each tier of a watch began that came to a run.
    pub tiers: BTreeMap<Tier, Timestamp>,
    /// Its endpoints by name.
    pub endpoints: BTreeMap<String, EndpointState>,
}

/// What the history says of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointState {
    /// The latest result.
    pub latest: EndpointResult,
    /// The run that it is of.
    pub run: RunId,
    /// When its run began.
    pub at: Timestamp,
    /// How long the answers of its run took.
    pub latency: Option<Quantiles>,
    /// How long it took until their first tokens came, where they were streamed.
    pub first_token: Option<Quantiles>,
    /// When the latest run began that measured it.
    pub measured_at: Option<Timestamp>,
    /// Answers of all runs.
    pub answers: u64,
    /// Attempts of all runs.
    pub attempts: u64,
    /// Failed attempts of all runs.
    pub errors: u64,
    /// US dollars of all runs, where prices are known.
    pub cost: Option<f64>,
}

/// How long most answers of a run took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// What half of them did not take longer than.
    pub median: f64,
    /// What 95 % of them did not take longer than.
    pub p95: f64,
}

impl Quantiles {
    /// Those of times in milliseconds; nothing where there are none.
    fn of(mut times: Vec<u64>) -> Option<Self> {
        times.sort_unstable();
        let at = |percent: usize| Some(*times.get(percent * times.len() / 100)? as f64 / 1000.0);
        Some(Self { median: at(50)?, p95: at(95)? })
    }

    /// Each with the share that it is of, as the label has it.
    fn labelled(self) -> [(&'static str, f64); 2] {
        [("0.5", self.median), ("0.95", self.p95)]
    }
}

/// How an alert stands.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertState {
    /// What it is about.
    pub subject: Subject,
    /// Where it is on its way from pending to resolved.
    pub phase: Phase,
    /// Whether a silence holds it, so that nobody is told.
    pub silenced: bool,
}

impl AlertState {
    /// How an alert stands while these silences hold.
    pub fn of(alert: Alert, silences: &[Scope]) -> Self {
        let silenced = silences.iter().any(|scope| scope.holds(&alert.subject));
        Self { subject: alert.subject, phase: alert.phase, silenced }
    }

    /// Since when something is wrong; nothing where nothing is.
    fn since(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Pending { .. } | Phase::Firing(_) => self.phase.since(),
            Phase::Quiet | Phase::Resolved { .. } => None,
        }
    }

    fn labels(&self) -> [(&'static str, &str); 3] {
        let Subject { model, endpoint, kind } = &self.subject;
        [("model", model), ("endpoint", endpoint), ("alert", kind.as_str())]
    }
}

/// Times in the order in which they count: a run from the future was noted by a clock that was wrong, and must not hide what is
/// known now.
fn precedence(at: Timestamp, now: Timestamp) -> (bool, Timestamp) {
    (at <= now, at)
}

impl ModelState {
    /// What the runs and results of a model say that is held against `reference`, where that is known; nothing when it has no run of
    /// its own. Imported runs are to be left out.
    pub fn of(
        model: &str,
        runs: &[RunRecord],
        results: &[RecordedResult],
        reference: Option<&Reference>,
        now: Timestamp,
    ) -> Option<Self> {
        let mut own: Vec<&RunRecord> = runs.iter().filter(|run| run.model == model).collect();
        own.sort_by_key(|run| precedence(run.started_at, now));
        let last = own.last()?;
        let ids: HashSet<RunId> = own.iter().map(|run| run.id).collect();
        let mut results: Vec<&RecordedResult> = results.iter().filter(|r| ids.contains(&r.run)).collect();
        results.sort_by_key(|r| r.weight(reference, now));
        let mut endpoints: BTreeMap<String, EndpointState> = BTreeMap::new();
        let mut concluded: HashSet<RunId> = HashSet::new();
        let mut with_gaps: HashSet<RunId> = HashSet::new();
        for recorded in results {
            concluded.insert(recorded.run);
            if recorded.result.verdict == Verdict::Unmeasured {
                with_gaps.insert(recorded.run);
            }
            let name = recorded.result.endpoint.clone();
            let before = endpoints.remove(&name);
            endpoints.insert(name, EndpointState::after(before, recorded));
        }
        let succeeded = |run: &&&RunRecord| concluded.contains(&run.id) && !with_gaps.contains(&run.id);
        Some(Self {
            model: model.to_owned(),
            last_run: last.started_at,
            last_run_has_results: concluded.contains(&last.id),
            last_success: own.iter().rev().find(succeeded).map(|run| run.started_at),
            tiers: BTreeMap::new(),
            endpoints,
        })
    }

    /// The same with when its tiers began, by what is noted of a watch.
    #[must_use]
    pub fn with_starts(mut self, starts: &[RecordedStart], now: Timestamp) -> Self {
        for RecordedStart { start, run, outcome } in starts.iter().filter(|s| s.start.model == self.model) {
            // What came of a start is noted only after the metrics of its run are written: until then the run speaks for it. A start
            // without one may still be given back.
            let goes_on = outcome.is_none() && start.cause != StartCause::Covered && self.last_run >= start.started_at;
            if run.is_none() && !goes_on {
                continue;
            }
            let latest = self.tiers.entry(start.tier).or_insert(start.started_at);
            if precedence(start.started_at, now) > precedence(*latest, now) {
                *latest = start.started_at;
            }
        }
        self
    }

    /// The runs of the latest results: those whose times [`Self::with_times`] is to be given.
    pub fn latest_runs(&self) -> BTreeSet<RunId> {
        self.endpoints.values().map(|state| state.run).collect()
    }

    /// The same with how long the answers of a run took, for the endpoints whose latest result is of this run.
    #[must_use]
    pub fn with_times(mut self, run: RunId, times: &[AnswerTimes]) -> Self {
        for (name, state) in self.endpoints.iter_mut().filter(|(_, state)| state.run == run) {
            let own: Vec<_> = times.iter().filter(|t| t.endpoint == *name).map(|t| t.latency).collect();
            state.latency = Quantiles::of(own.iter().map(|latency| latency.total).collect());
            state.first_token = Quantiles::of(own.iter().filter_map(|latency| latency.first_token).collect());
        }
        self
    }
}

impl EndpointState {
    fn after(before: Option<Self>, recorded: &RecordedResult) -> Self {
        let RecordedResult { run, started_at, result, .. } = recorded;
        let measured = (result.verdict != Verdict::Unmeasured).then_some(*started_at);
        let sum = |a: Option<f64>, b: Option<f64>| if a.is_none() { b } else { Some(a? + b.unwrap_or_default()) };
        Self {
            latest: result.clone(),
            run: *run,
            at: *started_at,
            latency: None,
            first_token: None,
            measured_at: measured.or(before.as_ref().and_then(|b| b.measured_at)),
            answers: before.as_ref().map_or(0, |b| b.answers) + result.samples,
            attempts: before.as_ref().map_or(0, |b| b.attempts) + result.attempts,
            errors: before.as_ref().map_or(0, |b| b.errors) + result.errors,
            cost: sum(before.and_then(|b| b.cost), result.cost),
        }
    }
}

/// The kind of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

struct Exposition(String);

impl Exposition {
    /// Begins a family, whose samples must follow at once.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", label(text))).collect();
        let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.join(","));
    }
}

/// A value of a label within its quotes.
fn label(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

const VERDICTS: [Verdict; 4] = [Verdict::Consistent, Verdict::Drifted, Verdict::Inconclusive, Verdict::Unmeasured];

/// The words of [`Phase::as_str`].
const PHASES: [&str; 4] = ["quiet", "pending", "firing", "resolved"];

/// The text; ends with `# EOF` in a line of its own.
pub fn render(models: &[ModelState], alerts: &[AlertState]) -> String {
    let mut out = Exposition(String::new());
    models_families(&mut out, models);
    tiers(&mut out, models);
    verdicts(&mut out, models);
    alerts_families(&mut out, alerts);
    for (name, kind, help, value) in families() {
        out.family(name, kind, help);
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        for (model, endpoint, state) in endpoints(models) {
            if let Some(value) = value(state).filter(|v| v.is_finite()) {
                out.sample(&format!("{name}{suffix}"), &[("model", model), ("endpoint", endpoint)], value);
            }
        }
    }
    times(&mut out, models);
    out.0 + "# EOF\n"
}

fn endpoints(models: &[ModelState]) -> impl Iterator<Item = (&str, &str, &EndpointState)> {
    models.iter().flat_map(|m| m.endpoints.iter().map(|(name, state)| (m.model.as_str(), name.as_str(), state)))
}

fn models_families(out: &mut Exposition, models: &[ModelState]) {
    let name = "samemodel_last_run_timestamp_seconds";
    out.family(name, Kind::Gauge, "When the latest run of the model began.");
    for m in models {
        out.sample(name, &[("model", &m.model)], seconds(m.last_run));
    }
    let name = "samemodel_last_run_has_results";
    out.family(name, Kind::Gauge, "Whether the latest run came to results: 0 while it goes on, and after it failed.");
    for m in models {
        out.sample(name, &[("model", &m.model)], f64::from(u8::from(m.last_run_has_results)));
    }
    let name = "samemodel_last_success_timestamp_seconds";
    out.family(name, Kind::Gauge, "When the latest run began in which every endpoint was measured.");
    for m in models {
        if let Some(at) = m.last_success {
            out.sample(name, &[("model", &m.model)], seconds(at));
        }
    }
}

fn tiers(out: &mut Exposition, models: &[ModelState]) {
    let name = "samemodel_tier_start_timestamp_seconds";
    out.family(name, Kind::Gauge, "When the latest check of the tier of a watch began that came to a run.");
    for m in models {
        for (tier, at) in &m.tiers {
            out.sample(name, &[("model", m.model.as_str()), ("tier", tier.as_str())], seconds(*at));
        }
    }
}

fn verdicts(out: &mut Exposition, models: &[ModelState]) {
    let name = "samemodel_verdict";
    out.family(name, Kind::Gauge, "The latest verdict: 1 for the word that holds, 0 for the others.");
    for (model, endpoint, state) in endpoints(models) {
        for verdict in VERDICTS {
            let labels = [("model", model), ("endpoint", endpoint), ("verdict", verdict.as_str())];
            out.sample(name, &labels, f64::from(u8::from(state.latest.verdict == verdict)));
        }
    }
}

fn alerts_families(out: &mut Exposition, alerts: &[AlertState]) {
    let name = "samemodel_alert";
    out.family(name, Kind::Gauge, "How the alert stands: 1 for the word that holds, 0 for the others.");
    for alert in alerts {
        let [model, endpoint, kind] = alert.labels();
        for word in PHASES {
            let holds = f64::from(u8::from(alert.phase.as_str() == word));
            out.sample(name, &[model, endpoint, kind, ("state", word)], holds);
        }
    }
    let name = "samemodel_alert_silenced";
    out.family(name, Kind::Gauge, "Whether a silence holds the alert, so that nobody is told.");
    for alert in alerts {
        out.sample(name, &alert.labels(), f64::from(u8::from(alert.silenced)));
    }
    let name = "samemodel_alert_since_timestamp_seconds";
    out.family(name, Kind::Gauge, "When what is wrong was first seen, while the alert is pending or firing.");
    for alert in alerts {
        if let Some(at) = alert.since() {
            out.sample(name, &alert.labels(), seconds(at));
        }
    }
}

/// A family of times: its name, help and value.
type TimesFamily = (&'static str, &'static str, fn(&EndpointState) -> Option<Quantiles>);

const TIMES: [TimesFamily; 2] = [
    ("samemodel_latency_seconds", "How long answers of the latest run took, by the share that took no longer.", |s| {
        s.latency
    }),
    ("samemodel_first_token_seconds", "How long it took until their first token came, likewise.", |s| s.first_token),
];

fn times(out: &mut Exposition, models: &[ModelState]) {
    for (name, help, of) in TIMES {
        out.family(name, Kind::Gauge, help);
        for (model, endpoint, state) in endpoints(models) {
            for (quantile, value) in of(state).into_iter().flat_map(Quantiles::labelled) {
                out.sample(name, &[("model", model), ("endpoint", endpoint), ("quantile", quantile)], value);
            }
        }
    }
}

/// A family with one series for each endpoint: its name, kind, help and value.
type Family = (&'static str, Kind, &'static str, fn(&EndpointState) -> Option<f64>);

fn families() -> [Family; 15] {
    use Kind::{Counter, Gauge};
    [
        ("samemodel_result_timestamp_seconds", Gauge, "When the run of the latest result began.", |s| {
            Some(seconds(s.at))
        }),
        ("samemodel_measured_timestamp_seconds", Gauge, "When the latest run that measured it began.", |s| {
            s.measured_at.map(seconds)
        }),
        ("samemodel_effect", Gauge, "The effect that decides, as a share of answers.", |s| {
            s.latest.effect.as_ref().map(|e| e.estimate)
        }),
        ("samemodel_effect_low", Gauge, "The lower end of its interval.", |s| s.latest.effect.as_ref().map(|e| e.low)),
        ("samemodel_effect_high", Gauge, "The upper end of its interval.", |s| {
            s.latest.effect.as_ref().map(|e| e.high)
        }),
        ("samemodel_tolerance", Gauge, "The largest effect that does not matter.", |s| Some(s.latest.tolerance)),
        ("samemodel_p_value", Gauge, "The p-value after correction over endpoints.", |s| s.latest.q_value),
        ("samemodel_run_answers", Gauge, "Answers in the latest run.", |s| Some(s.latest.samples as f64)),
        ("samemodel_run_attempts", Gauge, "Requests in the latest run.", |s| Some(s.latest.attempts as f64)),
        ("samemodel_run_errors", Gauge, "Failed requests in the latest run.", |s| Some(s.latest.errors as f64)),
        ("samemodel_run_cost_dollars", Gauge, "US dollars of the latest run.", |s| s.latest.cost),
        ("samemodel_answers", Counter, "Answers in all runs.", |s| Some(s.answers as f64)),
        ("samemodel_attempts", Counter, "Requests in all runs.", |s| Some(s.attempts as f64)),
        ("samemodel_errors", Counter, "Failed requests in all runs.", |s| Some(s.errors as f64)),
        ("samemodel_cost_dollars", Counter, "US dollars of all runs.", |s| s.cost),
    ]
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests;
