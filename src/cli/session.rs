//! What `check` and `plan` have in common: the configuration, the model, its probes, and which endpoints can be asked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rand::Rng as _;
use secrecy::SecretString;

use super::args::{Comparing, Global};
use super::fleet::Lab;
use super::{UsageError, clock};
use crate::client::request::{Ask, Route};
use crate::compare;
use crate::config::{
    Address, AddressError, Config, ConfigError, Credentials, Defaults, Endpoint, Environment, KeyPath, Loaded, Model,
    Place, Price, Problem, Provider, Reference,
};
use crate::plan::{AskedWith, Pace, Plan, PlannedProbe};
use crate::probe;
use crate::report::nothing::Awaited;
use crate::suggest::{aside, nearest};

/// More requests than any check makes.
const MOST_REQUESTS: u64 = 10_000_000;

/// A loaded configuration with one of its models chosen.
pub(super) struct Session {
    pub loaded: Loaded,
    pub environment: Environment,
    pub name: String,
    pub model: Model,
    /// The defaults with the model's own settings applied.
    pub defaults: Defaults,
    /// How many of the model's probes are asked.
    pub breadth: Breadth,
    /// Endpoints that the command line leaves out.
    pub left_out: Vec<String>,
    /// Where relative paths of probes start from.
    prompts: Prompts,
}

/// How many of a model's probes are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breadth {
    /// All that the configuration has.
    Whole,
    /// Others, such as the few of a pulse.
    Part,
}

/// What the command line changes in the configuration.
#[derive(Default)]
pub(super) struct Overrides<'a> {
    pub samples: Option<u32>,
    pub budget: Option<f64>,
    pub probes: Option<&'a [String]>,
    pub comparing: Option<&'a Comparing>,
}

/// The most that one request can cost, in US dollars; absent where there is none.
pub(super) struct WorstCosts {
    pub cheapest: Option<f64>,
    pub dearest: Option<f64>,
}

/// An endpoint that cannot be asked.
pub(super) struct Unasked {
    pub endpoint: String,
    pub reason: String,
}

/// The endpoints of a model, sorted by whether they can be asked.
#[derive(Default)]
pub(super) struct Resolved {
    pub ready: Vec<Ready>,
    pub unasked: Vec<Unasked>,
}

/// An endpoint that can be asked.
pub(super) struct Ready {
    pub endpoint: Endpoint,
    pub provider: Provider,
    pub key: Option<SecretString>,
    pub address: Address,
}

impl Session {
    /// Loads the configuration and chooses the model: the named one, or the only one.
    pub fn open(global: &Global, model: Option<&str>, overrides: &Overrides<'_>) -> anyhow::Result<Self> {
        let environment = Environment::of_process();
        let load = |keys: &[(String, String)]| load(global.config.as_deref(), &environment, model, keys);
        let name = choose(&load(&[])?.0.config, model)?;
        let (loaded, prompts) = load(&overrides.keys(&name))?;
        let model = loaded.config.model.get(&name).context("the model is in the configuration")?.clone();
        let mut defaults = loaded.config.defaults.clone();
        defaults.max_tokens = model.max_tokens.unwrap_or(defaults.max_tokens);
        defaults.reasoning = model.reasoning.clone().unwrap_or(defaults.reasoning);
        defaults.tolerance = model.tolerance.unwrap_or(defaults.tolerance);
        let breadth = if overrides.probes.is_some() { Breadth::Part } else { Breadth::Whole };
        Ok(Self { loaded, environment, name, model, defaults, breadth, left_out: Vec::new(), prompts })
    }

    /// Keeps only these endpoints beside the reference and the control.
    pub fn keep_only(&mut self, names: &[String]) -> anyhow::Result<()> {
        for name in names {
            let known = || self.model.endpoint.iter().map(|e| e.name.as_str());
            if !known().any(|k| k == name) {
                let hint = aside(name, known());
                return Err(UsageError(format!("model `{}` has no endpoint `{name}`{hint}", self.name)).into());
            }
        }
        if !names.is_empty() {
            let needed = [self.reference_name().to_owned(), self.model.control.clone().unwrap_or_default()];
            let is_kept = |e: &Endpoint| names.contains(&e.name) || needed.contains(&e.name);
            let all = std::mem::take(&mut self.model.endpoint);
            let (kept, left_out): (Vec<Endpoint>, Vec<Endpoint>) = all.into_iter().partition(is_kept);
            self.model.endpoint = kept;
            self.left_out = left_out.into_iter().map(|e| e.name).collect();
        }
        Ok(())
    }

    /// Whether an endpoint is one to be judged: neither the reference nor the control.
    pub fn is_judged(&self, endpoint: &str) -> bool {
        self.model.is_judged(endpoint)
    }

    /// Holds endpoints against what a kept run held them against, whatever the configuration says now: anything else would be another
    /// judgement.
    pub fn hold_against(&mut self, reference: &str) -> anyhow::Result<()> {
        if self.reference_name() == reference {
            return Ok(());
        }
        self.model.reference = if reference == Reference::SNAPSHOT {
            Reference::Snapshot
        } else if self.model.endpoint.iter().any(|e| e.name == reference) {
            Reference::Endpoint(reference.to_owned())
        } else {
            let what = format!("the run was held against `{reference}`, which `{}` no longer has", self.name);
            return Err(UsageError(what + ": put it back, or begin a new run").into());
        };
        Ok(())
    }

    /// The most that one request of a plan can cost, for the cheapest and for the dearest one.
    pub fn worst_costs(&self, plan: &Plan) -> WorstCosts {
        let asked = self.model.endpoint.iter().filter(|e| plan.endpoints.contains(&e.name));
        let of = |endpoint: &Endpoint| -> Vec<f64> {
            let probes = plan.probes.iter().filter(|p| p.is_for(&endpoint.name));
            probes.map(|p| endpoint.price.map_or(0.0, |price| p.worst_cost(price))).collect()
        };
        let all: Vec<f64> = asked.flat_map(of).collect();
        let (cheapest, dearest) = (all.iter().copied().reduce(f64::min), all.iter().copied().reduce(f64::max));
        WorstCosts { cheapest, dearest }
    }

    /// The reference's name among the samples.
    pub fn reference_name(&self) -> &str {
        self.model.reference.name()
    }

    /// Where runs are kept.
    pub fn data_dir(&self, global: &Global) -> PathBuf {
        data_dir(global, &self.loaded.folder)
    }

    /// What the clock of the embedded lab shows now.
    pub fn lab_time(&self) -> Duration {
        let since = self.loaded.config.lab.since.as_ref().and_then(|since| since.parse::<Timestamp>().ok());
        let passed = since.map(|since| clock::now().duration_since(since));
        passed.and_then(|passed| Duration::try_from(passed).ok()).unwrap_or_default()
    }

    /// Reads the probes and plans to put them to all endpoints.
    pub fn plan(&self, seed: u64) -> anyhow::Result<Plan> {
        let probes = probe::load(&self.model.probes, self.prompts.folder(&self.loaded));
        let probes = probes.map_err(|error| self.with_place(error))?;
        self.can_be_planned(&probes)?;
        Ok(Plan::new(&self.name, &self.model, &self.defaults, probes, seed))
    }

    /// Of a list of probes that leads nowhere, its line in the configuration as well.
    fn with_place(&self, error: probe::LoadError) -> anyhow::Error {
        use probe::LoadError::{Empty, Missing, NotAProbe, Special};
        let is_of_list = matches!(error, Missing { .. } | Empty { .. } | NotAProbe { .. } | Special { .. });
        let place = self.loaded.place_of(&KeyPath::from(["model", &self.name, "probes"]));
        if is_of_list && matches!(place, Place::File { .. }) {
            ConfigError::Invalid(vec![Problem { place, message: error.to_string(), help: None }]).into()
        } else {
            error.into()
        }
    }

    /// Refuses what could never be asked, before room for it is made.
    fn can_be_planned(&self, probes: &[probe::Probe]) -> anyhow::Result<()> {
        let usual = self.model.samples.unwrap_or(self.defaults.samples);
        let usual = usual.max(self.model.greedy_samples.unwrap_or(self.defaults.greedy_samples));
        let answers: u64 = probes.iter().map(|probe| u64::from(probe.samples.unwrap_or(usual))).sum();
        let requests = answers.saturating_mul(self.model.endpoint.len() as u64);
        if requests > MOST_REQUESTS {
            let what = format!(
                "a check of `{}` would be up to {requests} requests, and {MOST_REQUESTS} are the most",
                self.name
            );
            return Err(UsageError(what + ": ask for fewer samples, probes or endpoints").into());
        }
        Ok(())
    }

    /// Who is to be reported on.
    pub fn awaited(&self, seed: u64) -> Awaited {
        let (reference, control) = (self.reference_name(), self.model.control.as_deref());
        let names = self.model.endpoint.iter().map(|e| e.name.as_str());
        let judged = names.filter(|name| *name != reference && Some(*name) != control);
        Awaited {
            model: self.name.clone(),
            reference: reference.to_owned(),
            endpoints: judged.map(str::to_owned).collect(),
            settings: self.settings(seed),
        }
    }

    /// What is sent with a probe to an endpoint, by the endpoint's own settings where it is configured.
    pub fn asked_with(&self, endpoint: &str, planned: &PlannedProbe, plan: &Plan) -> AskedWith {
        let Some(endpoint) = self.model.endpoint.iter().find(|e| e.name == endpoint) else {
            return planned.asked_with(&plan.sampling);
        };
        let dialect = &self.loaded.config.provider[&endpoint.provider].dialect;
        let ask = Ask::new(&planned.probe, Route { endpoint, dialect, defaults: &self.defaults }, 0, None);
        AskedWith::of(ask.parameters_sent())
    }

    /// Sorts the endpoints into those that can be asked and those that cannot, with the reason.
    pub fn resolve(&self, credentials: &Credentials) -> anyhow::Result<Resolved> {
        let mut out = Resolved::default();
        for endpoint in &self.model.endpoint {
            let provider = &self.loaded.config.provider[&endpoint.provider];
            let address = match provider.address(&self.environment) {
                Ok(address) => address,
                Err(error @ AddressError::Unset(_)) => {
                    out.unasked.push(Unasked::new(endpoint, &error));
                    continue;
                }
                Err(error) => return Err(UsageError(format!("provider `{}`: {error}", endpoint.provider)).into()),
            };
            if let Address::Lab(_) = address {
                Lab::check(provider, &endpoint.provider)?;
            }
            match credentials.key(&endpoint.provider) {
                Ok(key) => out.ready.push(Ready {
                    endpoint: endpoint.clone(),
                    provider: provider.clone(),
                    key: key.cloned(),
                    address,
                }),
                Err(missing) => out.unasked.push(Unasked::new(endpoint, missing)),
            }
        }
        Ok(out)
    }

    /// What an endpoint charges; what is served on this machine is free unless it says otherwise.
    pub fn price(&self, endpoint: &Endpoint) -> Option<Price> {
        let provider = &self.loaded.config.provider[&endpoint.provider];
        let local = provider.address(&self.environment).is_ok_and(|address| is_local(&address));
        endpoint.price.or_else(|| local.then_some(Price { input: 0.0, output: 0.0 }))
    }

    /// The settings of the comparison of a run with this seed.
    pub fn settings(&self, seed: u64) -> compare::Settings {
        settings(&self.defaults, seed)
    }
}

/// Where relative paths of probes start from.
enum Prompts {
    /// Where the configuration is.
    Beside,
    /// The shipped ones of the built-in model, unpacked.
    #[cfg(feature = "lab")]
    Shipped(tempfile::TempDir),
}

impl Prompts {
    fn folder<'a>(&'a self, loaded: &'a Loaded) -> &'a Path {
        match self {
            Self::Beside => &loaded.folder,
            #[cfg(feature = "lab")]
            Self::Shipped(unpacked) => unpacked.path(),
        }
    }
}

/// Loads the configuration. The lab is there without one, and beside one that does not have it.
#[cfg(feature = "lab")]
fn load(
    path: Option<&Path>,
    environment: &Environment,
    model: Option<&str>,
    keys: &[(String, String)],
) -> anyhow::Result<(Loaded, Prompts)> {
    if model == Some("lab")
        && let Some(loaded) = Config::load_with_lab(path, environment, keys)?
    {
        let unpacked = tempfile::tempdir().context("no folder for temporary files")?;
        super::init::unpack("lab", &unpacked.path().join("prompts/lab"))?;
        return Ok((loaded, Prompts::Shipped(unpacked)));
    }
    Ok((Config::load(path, environment, keys)?, Prompts::Beside))
}

/// Loads the configuration.
#[cfg(not(feature = "lab"))]
fn load(
    path: Option<&Path>,
    environment: &Environment,
    _: Option<&str>,
    keys: &[(String, String)],
) -> anyhow::Result<(Loaded, Prompts)> {
    Ok((Config::load(path, environment, keys)?, Prompts::Beside))
}

impl Unasked {
    fn new(endpoint: &Endpoint, reason: &impl ToString) -> Self {
        Self { endpoint: endpoint.name.clone(), reason: reason.to_string() }
    }
}

impl Overrides<'_> {
    fn keys(&self, model: &str) -> Vec<(String, String)> {
        let mut keys = Vec::new();
        let of_model = |key: &str| KeyPath::from(["model", model, key]).to_string();
        let mut set = |key: String, value: Option<String>| keys.extend(value.map(|v| (key, v)));
        set(of_model("samples"), self.samples.map(|v| v.to_string()));
        // A list of strings looks the same in JSON and TOML.
        set(of_model("probes"), self.probes.map(|v| serde_json::Value::from(v).to_string()));
        set("defaults.budget".into(), self.budget.map(|v| format!("{v:?}")));
        if let Some(comparing) = self.comparing {
            set(of_model("tolerance"), comparing.tolerance.map(|v| format!("{v:?}")));
            // The model's own tolerance counts, and would be complained of twice.
            for (key, value) in comparing_keys(comparing).into_iter().filter(|(key, _)| key != "defaults.tolerance") {
                set(key, Some(value));
            }
        }
        keys
    }
}

/// The flags of a comparison as keys of the configuration, so that both are checked in one place.
pub(super) fn comparing_keys(comparing: &Comparing) -> Vec<(String, String)> {
    let values = [
        ("defaults.tolerance", comparing.tolerance.map(|v| format!("{v:?}"))),
        ("defaults.alpha", comparing.alpha.map(|v| format!("{v:?}"))),
        ("defaults.permutations", comparing.permutations.map(|v| v.to_string())),
    ];
    values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

pub(super) fn settings(defaults: &Defaults, seed: u64) -> compare::Settings {
    compare::Settings {
        seed,
        alpha: defaults.alpha,
        tolerance: defaults.tolerance,
        dispersion_tolerance: defaults.dispersion_tolerance,
        permutations: defaults.permutations,
    }
}

pub(super) fn data_dir(global: &Global, folder: &std::path::Path) -> PathBuf {
    global.data_dir.clone().unwrap_or_else(|| folder.join(".samemodel"))
}

/// The folder of the configuration, whether it can be loaded or not.
pub(super) fn folder(global: &Global) -> PathBuf {
    global.config.as_deref().and_then(std::path::Path::parent).map(PathBuf::from).unwrap_or_default()
}

/// A seed from the system's generator, small enough to be typed.
pub(super) fn fresh_seed() -> u64 {
    rand::rng().next_u64() >> 40
}

fn is_local(address: &Address) -> bool {
    match address {
        Address::Lab(_) => true,
        // Plain HTTP is for this machine only.
        Address::Host(url) => url.scheme() == "http",
    }
}

/// How fast an endpoint's provider may be asked.
pub(super) fn pace(provider: &Provider) -> Pace {
    Pace { concurrency: provider.concurrency, requests_per_minute: provider.requests_per_minute }
}

fn choose(config: &Config, wanted: Option<&str>) -> anyhow::Result<String> {
    let names = || config.model.keys().map(String::as_str);
    let list = || names().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    match wanted {
        _ if config.model.is_empty() => {
            let what =
                "the configuration has no model: add one under [model.<name>], with its endpoints and their providers";
            Err(UsageError(format!("{what} (`samemodel init DIR` writes an example into a folder)")).into())
        }
        Some(name) if config.model.contains_key(name) => Ok(name.to_owned()),
        Some(name) => {
            let hint = nearest(name, names()).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            Err(UsageError(format!("no model `{name}` is configured, only {}{hint}", list())).into())
        }
        None if config.model.len() == 1 => Ok(names().collect()),
        None => Err(UsageError(format!("which model? The configuration has {}", list())).into()),
    }
}
