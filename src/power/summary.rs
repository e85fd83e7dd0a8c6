//! From outcomes to rates with intervals: one row for each design and case. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::journal::{Key, Outcome};
use super::{Case, Design, Study, Truth};
use crate::charge::cost;
use crate::config::Price;
use crate::lab::fault::catalogue::Evidence;
use crate::stats::exact::{Share, clopper_pearson};
use crate::verdict::{Confidence, Verdict};

/// The schema name that every report of power carries.
pub const SCHEMA: &str = "samemodel.power/1";

/// The level of all intervals.
pub const LEVEL: f64 = 0.95;

/// How often each case was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PowerReport {
    /// Always `samemodel.power/1`.
    pub schema: String,
    /// The version of this program.
    pub version: String,
    /// The seed of the first trial.
    pub first_seed: u64,
    /// Trials of each row.
    pub trials: u32,
    /// Probes that were there to choose from.
    pub probes: usize,
    /// What tokens cost, in US dollars per million: a stated price, not the lab's.
    pub price: Price,
    /// One row for each design and case.
    pub rows: Vec<Row>,
}

/// What came of one case under one design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The case's name.
    pub case: String,
    /// Its address in the lab.
    pub address: String,
    /// Its fault, where it has just one.
    pub fault: Option<String>,
    /// Whether nothing is wrong with it.
    pub honest: bool,
    /// The design, in the form that the command takes.
    pub design: String,
    /// How often it was found: called drifted, or a fault named with certainty.
    pub detected: Rate,
    /// How often its own fault was named first.
    pub named: Option<Rate>,
    /// Of an honest host, how often any fault was named as certain or likely.
    pub accused: Option<Rate>,
    /// How often it was called drifted: for an honest host, the rate of false alarms.
    pub drifted: Rate,
    /// How often it was called consistent.
    pub consistent: Rate,
    /// The mean effect over the trials that had one.
    pub effect: Option<f64>,
    /// Tokens that one check of this endpoint takes, prompt and answers, on average.
    pub tokens: f64,
    /// What those cost at the stated price, in US dollars.
    pub cost: f64,
    /// What the best test of all could see in the sampled answers, where that can be computed.
    pub oracle: Option<Oracle>,
    /// Whether the fault can be seen at all within this budget; absent for honest hosts.
    pub visibility: Option<Visibility>,
}

/// What the likelihood-ratio test sees, from exact probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Oracle {
    /// Its power on as many sampled answers as the design asks for, at a level of 5 %.
    pub power: f64,
    /// Its evidence: the mean log-likelihood ratio of an answer of this endpoint, in nats.
    pub nats_per_answer: f64,
    /// The same for each token.
    pub nats_per_token: f64,
}

/// Whether a fault can be seen within the budget of a design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// It leaves evidence outside the text: a count, a finish reason, an error, an echo.
    Exact,
    /// The oracle or the check finds it in at least [`VISIBLE`] of all trials.
    Visible,
    /// Within this budget nobody can tell it from the promised model by its sampled answers.
    Equivalent,
}

/// The power from which on a fault counts as visible; the usual one of a planned experiment.
pub const VISIBLE: f64 = 0.8;

/// A share with its exact 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// How often.
    pub hits: u64,
    /// Of how many.
    pub trials: u64,
    /// The share, 0 to 1.
    pub estimate: f64,
    /// The lower end of the Clopper-Pearson interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Rate {
    /// So many of so many.
    pub fn new(hits: u64, trials: u64) -> Self {
        let interval = clopper_pearson(Share { showing: hits as usize, all: trials as usize }, LEVEL);
        Self { hits, trials, estimate: interval.estimate, low: interval.low, high: interval.high }
    }

    fn count<'a>(outcomes: &[&'a Outcome], hit: impl Fn(&'a Outcome) -> bool) -> Self {
        Self::new(outcomes.iter().filter(|outcome| hit(outcome)).count() as u64, outcomes.len() as u64)
    }
}

/// The finding that a prompt is another, which leaves it to a name beside it what is wrong with it.
const NO_NAME: &str = "prompt-differs";

/// Whether a check said that something is wrong: drift, or a fault named with certainty.
pub fn is_detected(outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Drifted
        || outcome.findings.iter().any(|(_, confidence)| *confidence == Confidence::Certain)
}

/// Whether a fault was named as more than possible.
fn is_accused(outcome: &Outcome) -> bool {
    outcome.findings.iter().any(|(_, confidence)| *confidence != Confidence::Possible)
}

/// What the oracle sees, by design and address.
pub type Oracles = BTreeMap<(String, String), Oracle>;

/// Rows for all designs and cases of a study, from the outcomes of its own seeds.
pub fn summarise(study: &Study, outcomes: &BTreeMap<Key, Outcome>, oracles: &Oracles) -> PowerReport {
    let row = |design: &Design, case: &Case| {
        let key = |seed| Key { design: design.to_string(), seed, address: case.address.clone() };
        let own: Vec<&Outcome> = study.seeds().filter_map(|seed| outcomes.get(&key(seed))).collect();
        row(design, case, &own, (study.price, oracles.get(&(design.to_string(), case.address.clone())).copied()))
    };
    PowerReport {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        first_seed: study.first_seed,
        trials: study.trials,
        probes: study.probes.len(),
        price: study.price,
        rows: study.designs.iter().flat_map(|design| study.cases.iter().map(move |case| row(design, case))).collect(),
    }
}

fn row(design: &Design, case: &Case, outcomes: &[&Outcome], (price, oracle): (Price, Option<Oracle>)) -> Row {
    let count = outcomes.len().max(1) as f64;
    let mean = |of: fn(&Outcome) -> u64| outcomes.iter().map(|outcome| of(outcome)).sum::<u64>() as f64 / count;
    let effects: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome.effect).collect();
    let (prompt, completion) = (mean(|o| o.prompt_tokens), mean(|o| o.completion_tokens));
    let detected = Rate::count(outcomes, is_detected);
    let first = |outcome: &Outcome, fault: &str| {
        let mut names = outcome.findings.iter().filter(|(named, _)| named != NO_NAME);
        names.next().is_some_and(|(named, _)| named == fault)
    };
    Row {
        case: case.name.clone(),
        address: case.address.clone(),
        fault: case.fault().map(str::to_owned),
        honest: case.truth == Truth::Honest,
        design: design.to_string(),
        detected,
        named: case.fault().map(|fault| Rate::count(outcomes, |outcome| first(outcome, fault))),
        accused: (case.truth == Truth::Honest).then(|| Rate::count(outcomes, is_accused)),
        drifted: Rate::count(outcomes, |outcome| outcome.verdict == Verdict::Drifted),
        consistent: Rate::count(outcomes, |outcome| outcome.verdict == Verdict::Consistent),
        effect: (!effects.is_empty()).then(|| effects.iter().sum::<f64>() / effects.len() as f64),
        tokens: prompt + completion,
        cost: cost(price, prompt.round() as u64, completion.round() as u64),
        oracle,
        visibility: visibility(case, detected, oracle.as_ref()),
    }
}

fn visibility(case: &Case, detected: Rate, oracle: Option<&Oracle>) -> Option<Visibility> {
    let seen = detected.estimate >= VISIBLE || oracle.is_some_and(|oracle| oracle.power >= VISIBLE);
    match case.truth {
        Truth::Honest => None,
        Truth::Fault(entry) if entry.evidence == Evidence::Exact => Some(Visibility::Exact),
        Truth::Fault(_) | Truth::Composed if seen => Some(Visibility::Visible),
        Truth::Fault(_) | Truth::Composed => Some(Visibility::Equivalent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: Verdict, findings: &[(&str, Confidence)]) -> Outcome {
        Outcome {
            verdict,
            findings: findings.iter().map(|(fault, confidence)| ((*fault).to_owned(), *confidence)).collect(),
            effect: Some(0.5),
            answers: 10,
            attempts: 10,
            prompt_tokens: 1_000_000,
            completion_tokens: 2_000_000,
        }
    }

    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        crate::report::tests::committed("schemas/power.json", &crate::report::json::schema::<PowerReport>());
    }

    #[test]
    fn a_case_is_found_by_drift_or_by_a_certain_finding() {
        assert!(is_detected(&outcome(Verdict::Drifted, &[])));
        assert!(is_detected(&outcome(Verdict::Consistent, &[("flaky-host", Confidence::Certain)])));
        assert!(!is_detected(&outcome(Verdict::Inconclusive, &[("swapped-model", Confidence::Possible)])));
    }

    #[test]
    fn a_row_counts_its_outcomes() {
        let case = Case::of_address("double-bos").unwrap();
        let outcomes = [
            outcome(Verdict::Drifted, &[("double-bos", Confidence::Certain), ("swapped-model", Confidence::Likely)]),
            outcome(Verdict::Drifted, &[("swapped-model", Confidence::Likely), ("double-bos", Confidence::Possible)]),
            outcome(Verdict::Drifted, &[("prompt-differs", Confidence::Certain), ("double-bos", Confidence::Likely)]),
            outcome(Verdict::Consistent, &[]),
        ];
        let price = Price { input: 1.0, output: 2.0 };
        let row = row(&Design::default(), &case, &outcomes.iter().collect::<Vec<_>>(), (price, None));
        assert_eq!((row.detected.hits, row.detected.trials), (3, 4));
        assert_eq!(row.named.map(|rate| rate.hits), Some(2));
        assert!((row.cost - 5.0).abs() < 1e-12 && (row.tokens - 3e6).abs() < 1e-6);
        assert!(!row.honest && row.accused.is_none());
    }

    #[test]
    fn an_honest_host_is_accused_by_what_is_more_than_possible() {
        let case = Case::honest().into_iter().next().expect("there are honest hosts");
        let outcomes = [
            outcome(Verdict::Consistent, &[("swapped-model", Confidence::Possible)]),
            outcome(Verdict::Consistent, &[("flaky-host", Confidence::Likely)]),
        ];
        let price = Price { input: 1.0, output: 2.0 };
        let row = row(&Design::default(), &case, &outcomes.iter().collect::<Vec<_>>(), (price, None));
        assert_eq!(row.accused.map(|rate| (rate.hits, rate.trials)), Some((1, 2)));
        assert!(row.honest && row.named.is_none());
    }
}
