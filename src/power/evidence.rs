//! Evidence for the oracle: answers drawn at both hosts, with their exact log-likelihood ratios.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::case::Case;
use super::design::Design;
use super::oracle::{Drawn, Evidence, oracle};
use super::summary::Oracle;
use super::trial::endpoint;
use crate::client::{Ask, Route};
use crate::config::{Defaults, Dialect};
use crate::lab::exact::{Exact, ExactError, Serving, Tokens};
use crate::lab::{FaultError, LabError, Setup};
use crate::probe::Probe;
use crate::sample::{Asking as Kind, Purpose};
use crate::stats::rng;

/// Answers drawn to each probe on either side, from which checks are resampled.
const DRAWS: usize = 24;

/// Why there is no evidence.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// The lab cannot start.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// There are no probabilities.
    #[error(transparent)]
    Exact(#[from] ExactError),
    /// A case has an address that the lab does not know.
    #[error(transparent)]
    Fault(#[from] FaultError),
}

/// Asks the oracle about one case after the other; the reference's answers are drawn once.
pub struct Asking<'a> {
    exact: Exact,
    probes: &'a [Probe],
    seed: u64,
    reference: BTreeMap<Vec<u8>, Arc<Own>>,
}

/// The reference's own answers to one request.
struct Own {
    serving: Serving,
    answers: Vec<Tokens>,
    logs: Vec<f64>,
}

impl<'a> Asking<'a> {
    /// About these probes, with everything random from this seed.
    pub fn new(probes: &'a [Probe], seed: u64) -> Result<Self, EvidenceError> {
        Ok(Self { exact: Exact::start()?, probes, seed, reference: BTreeMap::new() })
    }

    /// What the oracle sees of this case under this design; `None` where its answers have no probabilities.
    pub fn oracle(&mut self, design: Design, case: &Case) -> Result<Option<Oracle>, EvidenceError> {
        let setup: Setup = case.address.parse()?;
        let mut drawn = Vec::new();
        for body in self.bodies(design) {
            let Some(serving) = self.exact.serving(&setup, &body)? else { return Ok(None) };
            let seed = rng::derive_seed(self.seed, &["oracle", &case.address]);
            let answers = self.exact.draw(&serving, DRAWS, seed);
            let logs = self.exact.log_probabilities(&serving, &answers);
            let Some(own) = self.own(&body)? else { return Ok(None) };
            let theirs = self.exact.log_probabilities(&own.serving, &answers);
            let others = self.exact.log_probabilities(&serving, &own.answers);
            drawn.push(Drawn {
                reference: evidence(&own.answers, &others, &own.logs),
                endpoint: evidence(&answers, &logs, &theirs),
            });
        }
        let mut rng = rng::derive(self.seed, &["oracle checks", &case.address]);
        Ok(oracle(&drawn, design.answers, &mut rng))
    }

    /// The requests of the design's sampled probes.
    fn bodies(&self, design: Design) -> Vec<Vec<u8>> {
        let defaults = Defaults { temperature: design.temperature, ..Defaults::default() };
        let (endpoint, dialect) = (endpoint("reference"), Dialect::default());
        let route = Route { endpoint: &endpoint, dialect: &dialect, defaults: &defaults };
        let chosen = design.choose(self.probes).into_iter();
        let sampled = chosen.filter(|probe| probe.asking == Kind::Sampled && probe.purpose == Purpose::Comparison);
        sampled.map(|probe| Ask::new(&probe, route, 0, None).body.to_string().into_bytes()).collect()
    }

    fn own(&mut self, body: &[u8]) -> Result<Option<Arc<Own>>, EvidenceError> {
        if !self.reference.contains_key(body) {
            let Some(serving) = self.exact.serving(&Setup::default(), body)? else { return Ok(None) };
            let answers = self.exact.draw(&serving, DRAWS, rng::derive_seed(self.seed, &["oracle", "reference"]));
            let logs = self.exact.log_probabilities(&serving, &answers);
            self.reference.insert(body.to_vec(), Arc::new(Own { serving, answers, logs }));
        }
        Ok(self.reference.get(body).cloned())
    }
}

/// Log-likelihood ratios, endpoint over reference.
fn evidence(answers: &[Tokens], endpoint: &[f64], reference: &[f64]) -> Vec<Evidence> {
    let ratios = endpoint.iter().zip(reference).map(|(endpoint, reference)| endpoint - reference);
    answers.iter().zip(ratios).map(|(answer, ratio)| Evidence { ratio, tokens: answer.0.len() }).collect()
}
