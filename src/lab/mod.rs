//! The lab: a fleet of endpoints in this process that serve a real, tiny language model over real HTTP, some of them with
//! known faults.
//!
//! Layer 3. It knows nothing of probes, runs and verdicts: whoever starts a [`Fleet`] talks to it as to any host. A request
//! goes from the server over chat template and tokenizer to the [`engine`] and comes back as text, and each [`Fault`] sits
//! where it sits in life: in the weights, the template, the tokens, the sampler, the parser or the connection.
//!
//! Everything random comes from the fleet's seed, the endpoint's name, the request and how often it was asked before, so
//! that a fleet gives the same answers whatever the load and the machine's mood. Only two things go by time: schedules of
//! faults by the fleet's [`Clock`], and limits of requests a minute by the machine's.

mod answer;
mod api;
mod assets;
mod behaviour;
mod clock;
mod constrain;
mod draws;
pub mod engine;
pub mod exact;
pub mod fault;
mod flaky;
mod gguf;
mod host;
mod images;
mod limit;
#[cfg(test)]
mod measure;
mod memory;
mod prompt;
mod server;
mod speech;
mod templates;
#[cfg(test)]
mod tests;
mod toolcall;
mod transcript;
mod wire;
mod work;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use assets::Library;
pub use assets::ModelKind;
pub use clock::Clock;
use engine::{Noise, Pool, WeightsError};
pub use fault::{Fault, FaultError, SCHEME, Setup};
pub use gguf::GgufFileError;
use host::{Host, Shared};
use prompt::{PromptError, Prompter};
use wire::{Connection, Wire};

/// The one model name that every host of the lab serves, whatever really answers.
pub const MODEL_NAME: &str = "lab";

/// The most workers that a fleet starts unless told otherwise.
const USUAL_WORKERS: usize = 2;

/// An endpoint to be served.
#[derive(Debug, Clone, PartialEq)]
pub struct LabEndpoint {
    /// Its name, unlike all others of the fleet; its randomness depends on it.
    pub name: String,
    /// What is wrong with it, and how noisy it is.
    pub setup: Setup,
}

impl LabEndpoint {
    /// The endpoint that a `lab:` address describes.
    pub fn from_address(name: impl Into<String>, address: &str) -> Result<Self, FaultError> {
        Ok(Self { name: name.into(), setup: address.parse()? })
    }
}

/// How a fleet is run.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// What all randomness comes from. A fleet with another seed gives other answers.
    pub seed: u64,
    /// Worker threads; as many as there are processors, but no more than 2, when `None`.
    pub workers: Option<NonZeroUsize>,
    /// The honest serving noise of all endpoints that name no other.
    pub noise: Noise,
    /// The key that requests must carry, if any.
    pub api_key: Option<SecretString>,
    /// What schedules of faults go by; it begins at 0 and keeps pace with real time unless told otherwise.
    pub clock: Clock,
    /// The port of the first endpoint, the next one of the second, and so on; free ones when 0.
    pub port: u16,
    /// A GGUF file with the model that is promised, instead of the compiled-in one. It must have the same tokens.
    pub gguf: Option<PathBuf>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            workers: None,
            noise: Noise::HONEST,
            api_key: None,
            clock: Clock::default(),
            port: 0,
            gguf: None,
        }
    }
}

/// Endpoints that are being served on the loopback address, each on its own port, until this is dropped.
pub struct Fleet {
    base_urls: Vec<String>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

/// Why a fleet cannot start.
#[derive(Debug, Error)]
pub enum LabError {
    /// Two endpoints have one name.
    #[error("the lab's endpoint `{0}` is there twice: give each a name of its own")]
    SameName(String),
    /// The compiled-in model cannot be loaded.
    #[error("the lab's model: {0}")]
    Model(#[from] WeightsError),
    /// The model's file cannot be served.
    #[error(transparent)]
    File(#[from] GgufFileError),
    /// The compiled-in template or tokenizer cannot be read.
    #[error("the lab's prompts: {0}")]
    Prompt(#[from] PromptError),
    /// A worker thread cannot be started.
    #[error("the lab cannot start a worker thread: {0}")]
    Worker(#[source] std::io::Error),
    /// No port can be had.
    #[error("the lab cannot listen on 127.0.0.1 for endpoint `{name}`: {source}")]
    Listen {
        /// The endpoint.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// Loading was cut short.
    #[error("the lab was stopped while it was starting")]
    Stopped,
}

impl Fleet {
    /// Loads what is needed and serves all endpoints, in their order. Needs a tokio runtime, and ends with it.
    pub async fn start(endpoints: &[LabEndpoint], options: FleetOptions) -> Result<Self, LabError> {
        let (wanted, first) = (endpoints.to_vec(), options.port);
        let loading = tokio::task::spawn_blocking(move || load(wanted, options));
        let (shared, hosts) = loading.await.map_err(|_| LabError::Stopped)??;
        let mut fleet = Self { base_urls: Vec::new(), shared, stop: CancellationToken::new() };
        for (index, (host, endpoint)) in hosts.into_iter().zip(endpoints).enumerate() {
            let port = if first == 0 { 0 } else { first.saturating_add(index as u16) };
            let url = fleet.serve(host, port).await;
            fleet.base_urls.push(url.map_err(|source| LabError::Listen { name: endpoint.name.clone(), source })?);
        }
        Ok(fleet)
    }

    /// The base URL of the endpoint with this index, such as `http://127.0.0.1:40001/v1`.
    ///
    /// # Panics
    ///
    /// When there is no such endpoint.
    pub fn base_url(&self, index: usize) -> String {
        self.base_urls[index].clone()
    }

    async fn serve(&self, host: Host, port: u16) -> std::io::Result<String> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let service = server::router(Arc::new(host)).into_make_service_with_connect_info::<Connection>();
        let stopped = self.stop.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(error) = axum::serve(Wire(listener), service).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "an endpoint of the lab stopped");
            }
        });
        Ok(format!("http://{address}/v1"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
        self.shared.pool.close();
    }
}

fn load(endpoints: Vec<LabEndpoint>, options: FleetOptions) -> Result<(Arc<Shared>, Vec<Host>), LabError> {
    for (index, endpoint) in endpoints.iter().enumerate() {
        if endpoints[..index].iter().any(|other| other.name == endpoint.name) {
            return Err(LabError::SameName(endpoint.name.clone()));
        }
    }
    let shared = Arc::new(Shared {
        prompter: Arc::new(Prompter::load()?),
        library: Library::new(options.gguf.as_deref().map(gguf::read).transpose()?),
        pool: Pool::start(options.workers.unwrap_or_else(usual_workers)).map_err(LabError::Worker)?,
        seed: options.seed,
        clock: options.clock,
        api_key: options.api_key,
        fingerprint: fingerprint(),
    });
    let mut hosts = Vec::new();
    for LabEndpoint { name, setup } in endpoints {
        let noise = setup.noise.unwrap_or(options.noise);
        let host = Host::new(&name, setup, noise, Arc::clone(&shared));
        host.warm_up()?;
        hosts.push(host);
    }
    Ok((shared, hosts))
}

fn usual_workers() -> NonZeroUsize {
    let most = NonZeroUsize::new(USUAL_WORKERS).unwrap_or(NonZeroUsize::MIN);
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(most)
}

/// What every host says of its configuration: the promised model's, also where another answers, as nobody who changes the
/// weights has to say so.
pub fn fingerprint() -> String {
    let digest: [u8; 32] = Sha256::digest(assets::promised_weights()).into();
    let number = digest.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    format!("lab-{number:08x}")
}
