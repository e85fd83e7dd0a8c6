//! One trial: a check of many cases at once by the real path, over HTTP, with its own seed, and what each case came to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::case::Case;
use super::design::Design;
use super::journal::{Key, Outcome};
use crate::client::{Client, Limiter, Target, TargetError};
use crate::compare::{self, CompareError, Known, Roles, compare};
use crate::config::{Auth, Defaults, Dialect, Endpoint, Model, Provider, Reference, Retry};
use crate::event::Event;
use crate::lab::{FaultError, Fleet, FleetOptions, LabEndpoint, LabError, MODEL_NAME};
use crate::plan::{Budget, Plan};
use crate::probe::Probe;
use crate::redact::Redactor;
use crate::report::{Account, Origin, Report};
use crate::runner::{Arm, RunOutcome, Runner, Watched};
use crate::sample::Sample;
use crate::stats::rng;
use crate::store::{RunId, RunRecord, SqliteStore, Store as _, StoreError};

const REFERENCE: &str = "reference";
const CONTROL: &str = "control";
const CONTROL_ADDRESS: &str = "lab:swapped-model";

/// What is the same for all cases of a trial.
pub struct Trial<'a> {
    /// How much is asked.
    pub design: Design,
    /// From which everything random in it derives.
    pub seed: u64,
    /// All probes; the design chooses among them.
    pub probes: &'a [Probe],
    /// A folder of this trial's own, for its history while it runs.
    pub folder: &'a Path,
    /// Who is told what happens.
    pub events: &'a (dyn Fn(Event) + Send + Sync),
    /// Cancelled when the trial shall stop.
    pub stop: CancellationToken,
}

/// Why a trial brought nothing.
#[derive(Debug, Error)]
pub enum TrialError {
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
    /// The lab cannot serve it.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A case has an address that the lab does not know.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// Its history cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An endpoint cannot be reached.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Its answers cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

impl Trial<'_> {
    /// Asks reference, control and all cases, and judges each case as a check of it alone would.
    pub async fn run(&self, cases: &[&Case]) -> Result<Vec<(Key, Outcome)>, TrialError> {
        let fixed = [(REFERENCE, "lab:"), (CONTROL, CONTROL_ADDRESS)];
        let addresses = cases.iter().map(|case| (case.name.as_str(), case.address.as_str()));
        let endpoints: Vec<LabEndpoint> = fixed
            .into_iter()
            .chain(addresses)
            .map(|(name, address)| LabEndpoint::from_address(name, address))
            .collect::<Result<_, _>>()?;
        let seed = rng::derive_seed(self.seed, &["power", &self.design.to_string()]);
        let fleet = Fleet::start(&endpoints, FleetOptions { seed, ..FleetOptions::default() }).await?;
        let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let samples = self.ask(&names, &fleet, seed).await?;
        drop(fleet);
        tokio::task::block_in_place(|| cases.iter().map(|case| self.judge(case, &samples, seed)).collect())
    }

    fn defaults(&self) -> Defaults {
        let Design { answers, temperature, .. } = self.design;
        // Hosts on this machine need no patience.
        let retry = Retry { first_wait: 0.01, longest_wait: 0.2, ..Retry::default() };
        Defaults { samples: answers, temperature, retry, ..Defaults::default() }
    }

    /// All samples and failed attempts, by endpoint.
    async fn ask(&self, names: &[&str], fleet: &Fleet, seed: u64) -> Result<BTreeMap<String, Vec<Sample>>, TrialError> {
        let defaults = self.defaults();
        let endpoints: Vec<Endpoint> = names.iter().map(|name| endpoint(name)).collect();
        let plan = Plan::new(MODEL_NAME, &model(endpoints.clone()), &defaults, self.design.choose(self.probes), seed);
        let arms: Vec<Arm> = endpoints
            .into_iter()
            .enumerate()
            .map(|(index, endpoint)| arm(index, endpoint, fleet.base_url(index), &defaults))
            .collect::<Result<_, _>>()?;
        let store = SqliteStore::open(self.folder, Redactor::default()).await?;
        let run = record(seed);
        store.create_run(&run, "{}").await?;
        let runner = Runner {
            plan: &plan,
            arms,
            client: &Client::new(Redactor::default()),
            store: &store,
            run: run.id,
            window: defaults.window as usize,
            budget: Budget::new(None, 0.0),
            reference: None,
            watched: Watched::Nobody,
            stop: self.stop.clone(),
            events: self.events,
        };
        let outcome = runner.run(&[].into()).await?;
        let lines = store.lines(&run.id).await?;
        store.close().await?;
        if outcome != RunOutcome::Complete {
            return Err(TrialError::Stopped);
        }
        let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for line in lines {
            samples.entry(line.endpoint.clone()).or_default().push(line);
        }
        Ok(samples)
    }

    fn judge(
        &self,
        case: &Case,
        samples: &BTreeMap<String, Vec<Sample>>,
        seed: u64,
    ) -> Result<(Key, Outcome), TrialError> {
        let own: &[Sample] = samples.get(&case.name).map_or(&[], Vec::as_slice);
        let sides = [REFERENCE, CONTROL].into_iter().filter_map(|name| samples.get(name)).flatten();
        let compared: Vec<Sample> = sides.chain(own).cloned().collect();
        let defaults = Defaults::default();
        let settings = compare::Settings {
            seed,
            alpha: defaults.alpha,
            tolerance: defaults.tolerance,
            dispersion_tolerance: defaults.dispersion_tolerance,
            permutations: defaults.permutations,
        };
        let roles = Roles {
            control: Some(CONTROL),
            known: [(case.name.as_str(), Known { model: Some(MODEL_NAME), ..Known::default() })].into(),
            ..Roles::new(REFERENCE, vec![&case.name])
        };
        let comparison = compare(&compared, &roles, &settings)?;
        let origin = Origin { accounts: Account::of_samples(&compared), ..Origin::default() };
        let Some(found) = Report::new(comparison, origin).endpoints.into_iter().next() else {
            return Err(CompareError::EmptyReference(case.name.clone(), "it was not compared").into());
        };
        let mut named = BTreeSet::new();
        let findings = found.findings.into_iter().filter(|f| named.insert(f.fault.clone()));
        let tokens = |count: fn(&crate::sample::Usage) -> Option<u64>| -> u64 {
            own.iter().filter_map(|s| count(s.usage.as_ref()?)).sum()
        };
        let outcome = Outcome {
            verdict: found.verdict,
            findings: findings.map(|f| (f.fault, f.confidence)).collect(),
            effect: found.effect.map(|effect| effect.estimate),
            answers: own.iter().filter(|s| s.is_answer()).count() as u64,
            attempts: own.len() as u64,
            prompt_tokens: tokens(|usage| usage.prompt_tokens),
            completion_tokens: tokens(|usage| usage.completion_tokens),
        };
        let key = Key { design: self.design.to_string(), seed: self.seed, address: case.address.clone() };
        Ok((key, outcome))
    }
}

fn record(seed: u64) -> RunRecord {
    RunRecord {
        id: RunId::generate(),
        model: MODEL_NAME.to_owned(),
        reference: REFERENCE.to_owned(),
        started_at: jiff::Timestamp::now(),
        end: None,
        seed,
        config_digest: String::new(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn model(endpoint: Vec<Endpoint>) -> Model {
    Model {
        reference: Reference::Endpoint(REFERENCE.to_owned()),
        probes: Vec::new(),
        control: Some(CONTROL.to_owned()),
        samples: None,
        greedy_samples: None,
        max_tokens: None,
        reasoning: None,
        tolerance: None,
        endpoint,
    }
}

/// An endpoint of the lab as a check knows it.
pub(super) fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        provider: name.to_owned(),
        model: MODEL_NAME.to_owned(),
        price: None,
        extra_body: None,
        stream: None,
        prompt_tokens_offset: 0,
        twin: false,
        expected_model: None,
    }
}

fn arm(index: usize, endpoint: Endpoint, base_url: String, defaults: &Defaults) -> Result<Arm, TargetError> {
    let provider = Provider {
        base_url,
        allow_plain_http: false,
        api_key_env: None,
        auth: Auth::Bearer,
        headers: BTreeMap::new(),
        concurrency: CONCURRENCY,
        requests_per_minute: None,
        dialect: Dialect::default(),
        timeout: None,
    };
    Ok(Arm {
        index,
        target: Target::resolve(&endpoint, &provider, &defaults.timeout, None, |_| None)?,
        endpoint,
        dialect: provider.dialect,
        defaults: defaults.clone(),
        limiter: Limiter::new(CONCURRENCY, None, LONGEST_PAUSE),
        concurrency: CONCURRENCY,
        retry: defaults.retry.clone(),
    })
}

/// Requests under way at once at each endpoint.
const CONCURRENCY: u32 = 8;

/// The longest pause that a host of the lab may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
