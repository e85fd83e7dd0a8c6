//! What is known of each endpoint as an OpenMetrics text, for the textfile collector of Prometheus' `node_exporter` and its kin.
//!
//! Layer 4, pure. Only gauges and counters are used, with names that the older text format of Prometheus reads in the same way. A
//! verdict is one series for each word, so that a rule can name the word; what was not measured has no series and no zero.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::store::{EndpointResult, RecordedResult, RunId, RunRecord};
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
    /// Its endpoints by name.
    pub endpoints: BTreeMap<String, EndpointState>,
}

/// What the history says of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointState {
    /// The latest result.
    pub latest: EndpointResult,
    /// When its run began.
    pub at: Timestamp,
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

/// Times in the order in which they count: a run from the future was noted by a clock that was wrong, and must not hide what is
/// known now.
fn precedence(at: Timestamp, now: Timestamp) -> (bool, Timestamp) {
    (at <= now, at)
}

impl ModelState {
    /// What the runs and results of a model say; nothing when it has no run of its own. Imported runs are to be left out.
    pub fn of(model: &str, runs: &[RunRecord], results: &[RecordedResult], now: Timestamp) -> Option<Self> {
        let mut own: Vec<&RunRecord> = runs.iter().filter(|run| run.model == model).collect();
        own.sort_by_key(|run| precedence(run.started_at, now));
        let last = own.last()?;
        let ids: HashSet<RunId> = own.iter().map(|run| run.id).collect();
        let mut results: Vec<&RecordedResult> = results.iter().filter(|r| ids.contains(&r.run)).collect();
        results.sort_by_key(|r| precedence(r.started_at, now));
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
            endpoints,
        })
    }
}

impl EndpointState {
    fn after(before: Option<Self>, recorded: &RecordedResult) -> Self {
        let RecordedResult { started_at, result, .. } = recorded;
        let measured = (result.verdict != Verdict::Unmeasured).then_some(*started_at);
        let sum = |a: Option<f64>, b: Option<f64>| if a.is_none() { b } else { Some(a? + b.unwrap_or_default()) };
        Self {
            latest: result.clone(),
            at: *started_at,
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

/// The text; ends with `# EOF` in a line of its own.
pub fn render(models: &[ModelState]) -> String {
    let mut out = Exposition(String::new());
    models_families(&mut out, models);
    verdicts(&mut out, models);
    for (name, kind, help, value) in families() {
        out.family(name, kind, help);
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        for (model, endpoint, state) in endpoints(models) {
            if let Some(value) = value(state).filter(|v| v.is_finite()) {
                out.sample(&format!("{name}{suffix}"), &[("model", model), ("endpoint", endpoint)], value);
            }
        }
    }
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
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Ending, RunEnd};
    use crate::verdict::{Effect, EffectName};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_772_366_400).unwrap().checked_add(SignedDuration::from_mins(minute)).unwrap()
    }

    fn run(minute: i64) -> RunRecord {
        RunRecord {
            id: RunId::generate(),
            model: "m".into(),
            reference: "r".into(),
            started_at: at(minute),
            end: Some(RunEnd { how: Ending::Complete, at: at(minute + 1) }),
            seed: 1,
            config_digest: String::new(),
            tool_version: "0.1.0".into(),
        }
    }

    fn result(run: &RunRecord, endpoint: &str, verdict: Verdict) -> RecordedResult {
        let effect = Effect { name: EffectName::Substitution, estimate: 0.31, low: 0.22, high: 0.39 };
        let measured = verdict != Verdict::Unmeasured;
        let result = EndpointResult {
            endpoint: endpoint.into(),
            verdict,
            reason: "because".into(),
            p_value: None,
            q_value: measured.then_some(0.006),
            e_value: None,
            effect: measured.then_some(effect),
            tolerance: 0.05,
            samples: if measured { 250 } else { 0 },
            attempts: 252,
            errors: 2,
            cost: measured.then_some(0.25),
            findings: Vec::new(),
        };
        RecordedResult { run: run.id, started_at: run.started_at, result }
    }

    #[test]
    fn an_exposition_has_a_series_for_all_that_was_measured_and_none_for_what_was_not() {
        let runs = [run(10), run(0)];
        let results = [
            result(&runs[1], "e", Verdict::Consistent),
            result(&runs[0], "e", Verdict::Drifted),
            result(&runs[0], "down", Verdict::Unmeasured),
        ];
        let state = ModelState::of("m", &runs, &results, at(20)).unwrap();
        insta::assert_snapshot!(render(&[state]));
    }

    #[test]
    fn a_run_without_results_is_told_beside_the_results_of_the_one_before() {
        let runs = [run(10), run(0)];
        let results = [result(&runs[1], "e", Verdict::Consistent)];
        let state = ModelState::of("m", &runs, &results, at(20)).unwrap();
        assert_eq!((state.last_run, state.last_run_has_results, state.last_success), (at(10), false, Some(at(0))));
        assert_eq!(ModelState::of("other", &runs, &results, at(20)), None);
    }

    #[test]
    fn a_run_noted_by_a_clock_that_was_ahead_does_not_hide_what_is_known_now() {
        let runs = [run(600), run(0)];
        let results = [result(&runs[1], "e", Verdict::Drifted), result(&runs[0], "e", Verdict::Consistent)];
        let state = ModelState::of("m", &runs, &results, at(20)).unwrap();
        assert_eq!(state.endpoints["e"].latest.verdict, Verdict::Drifted);
        assert_eq!(state.endpoints["e"].answers, 500);
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_its_label(name in "(?s).{0,20}|[\"\\\\\n{},=#]{0,12}") {
            let mut out = Exposition(String::new());
            out.sample("x", &[("model", &name)], 1.0);
            let line = out.0.strip_suffix('\n').expect("a line");
            prop_assert!(!line.contains('\n'));
            let inner = line.strip_prefix("x{model=\"").and_then(|rest| rest.strip_suffix("\"} 1")).expect("its frame");
            let mut read = String::new();
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                prop_assert_ne!(c, '"');
                read.push(match c {
                    '\\' => match chars.next() {
                        Some('n') => '\n',
                        Some(other) => other,
                        None => return Err(TestCaseError::fail("it ends in a backslash")),
                    },
                    c => c,
                });
            }
            prop_assert_eq!(read, name);
        }
    }
}
