//! One endpoint's behaviour: what its faults make of a request before and after the engine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::MODEL_NAME;
use super::answer::Answer;
use super::api::{ApiError, Order, Reply};
use super::assets::ModelKind;
use super::engine::{Job, Model, ModelSpec, Noise, Pool, Sampling};
use super::fault::{Fault, Override, Reach};
use super::flaky::{self, Fate};
use super::prompt::{Message, Prompter, Role};

/// What all endpoints of a fleet share.
pub struct Shared {
    /// Templates and tokens.
    pub prompter: Prompter,
    /// The worker threads.
    pub pool: Pool,
    /// What everything random comes from.
    pub seed: u64,
    /// The key that requests must carry, if any.
    pub api_key: Option<SecretString>,
    /// What every host says of its configuration, whatever is true of it.
    pub fingerprint: String,
}

/// One endpoint.
pub struct Host {
    name: String,
    shared: Arc<Shared>,
    model: Arc<Model>,
    noise: Noise,
    behaviour: Behaviour,
    arrivals: AtomicU64,
    /// How often each request was seen, by its digest.
    seen: Mutex<HashMap<[u8; 32], u64>>,
}

/// What faults add up to.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// The model that really answers.
    pub model: (ModelKind, ModelSpec),
    bos: Bos,
    system: Option<String>,
    temperature: Option<(f64, Reach)>,
    keep: Option<usize>,
    failing: f64,
    /// How late every answer is.
    pub delay: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bos {
    Once,
    Twice,
    Never,
}

impl Behaviour {
    /// The behaviour of a host with these faults; without any, that of the reference.
    pub fn of<'a>(faults: impl IntoIterator<Item = &'a Fault>) -> Self {
        let mut all = Self {
            model: (ModelKind::Base, ModelSpec::HONEST),
            bos: Bos::Once,
            system: None,
            temperature: None,
            keep: None,
            failing: 0.0,
            delay: None,
        };
        for fault in faults {
            match fault {
                Fault::QuantizedWeights(format) => all.model.1.weights = *format,
                Fault::SwappedModel => all.model.0 = ModelKind::Small,
                Fault::DoubleBos => all.bos = Bos::Twice,
                Fault::MissingBos => all.bos = Bos::Never,
                Fault::HiddenSystemPrompt(text) => all.system = Some(text.clone()),
                Fault::TemperatureIgnored(Override::Temperature { fixed, reach }) => {
                    all.temperature = Some((*fixed, *reach));
                }
                Fault::TruncatedContext { keep } => all.keep = Some(*keep),
                Fault::FlakyHost { share } => all.failing = *share,
                Fault::Slow(delay) => all.delay = Some(*delay),
                _ => {}
            }
        }
        all
    }

    fn messages(&self, mut messages: Vec<Message>) -> Vec<Message> {
        if let Some(content) = self.system.clone() {
            messages.insert(0, Message { role: Role::System, content });
        }
        messages
    }

    /// What is left of a prompt whose first token is `bos`, in the order in which servers do it: the tokenizer adds or
    /// forgets the token that begins, then the engine cuts to what it has room for.
    fn tokens(&self, mut tokens: Vec<u32>, bos: u32) -> Vec<u32> {
        match self.bos {
            Bos::Once => {}
            Bos::Twice => tokens.insert(0, bos),
            Bos::Never => {
                if tokens.first() == Some(&bos) {
                    tokens.remove(0);
                }
            }
        }
        if let Some(keep) = self.keep {
            tokens.drain(..tokens.len().saturating_sub(keep));
        }
        tokens
    }

    fn sampling(&self, asked: Sampling) -> Sampling {
        match self.temperature {
            Some((_, Reach::Sampled)) if asked.temperature == 0.0 => asked,
            Some((temperature, _)) => Sampling { temperature, ..asked },
            None => asked,
        }
    }
}

impl Host {
    /// An endpoint with this name, which everything random at it depends on too.
    pub fn new(name: String, behaviour: Behaviour, (model, noise): (Arc<Model>, Noise), shared: Arc<Shared>) -> Self {
        Self { name, shared, model, noise, behaviour, arrivals: AtomicU64::new(0), seen: Mutex::default() }
    }

    /// What all endpoints share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How late every answer is.
    pub fn delay(&self) -> Option<Duration> {
        self.behaviour.delay
    }

    /// The fate of the request that arrives now.
    pub fn fate(&self) -> Fate {
        let number = self.arrivals.fetch_add(1, Ordering::Relaxed);
        flaky::fate(self.seed_for("fate", &[]), number, self.behaviour.failing)
    }

    /// Sets the engine to work on an order.
    pub fn answer(self: &Arc<Self>, order: Order) -> Result<Answer, ApiError> {
        let messages = self.behaviour.messages(order.messages);
        let tokens = self.shared.prompter.tokens(&messages).map_err(|error| ApiError::internal(error.to_string()))?;
        let prompt = self.behaviour.tokens(tokens, self.model.config().bos_token_id);
        let positions = self.model.config().max_position_embeddings;
        if prompt.len() >= positions {
            return Err(ApiError::too_long(prompt.len(), positions));
        }
        let sampling = self.behaviour.sampling(order.sampling);
        let limit = order.limit.unwrap_or(usize::MAX).min(positions - prompt.len());
        let digest = digest(&prompt, &sampling, limit);
        let count = self.count(digest).to_le_bytes();
        // A seed that the client sends repeats its draws; the noise is the machine's and never repeats.
        let draws = order.seed.map_or(count, i64::to_le_bytes);
        let kind = if order.seed.is_some() { "draws of a seed" } else { "draws" };
        let (reply, emissions) = mpsc::unbounded_channel();
        let id = self.seed_for("id", &[&digest, &count]).first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let common = Reply {
            id: format!("chatcmpl-{id:016x}"),
            created: jiff::Timestamp::now().as_second(),
            model: MODEL_NAME.to_owned(),
            fingerprint: self.shared.fingerprint.clone(),
            prompt_tokens: prompt.len(),
        };
        self.shared.pool.submit(Job {
            model: Arc::clone(&self.model),
            prompt,
            limit,
            sampling,
            images: Vec::new(),
            constraint: None,
            ends: vec![self.model.config().eos_token_id],
            logprobs: order.logprobs,
            noise: self.noise,
            sampling_seed: self.seed_for(kind, &[&digest, &draws]),
            noise_seed: self.seed_for("noise", &[&digest, &count]),
            reply,
        });
        Ok(Answer::new(Arc::clone(self), common, emissions, order.stops))
    }

    /// How often this was asked before.
    fn count(&self, digest: [u8; 32]) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry(digest).or_insert(0);
        *count += 1;
        *count - 1
    }

    /// A seed that depends on the fleet's, on this endpoint, on its purpose and on these parts.
    fn seed_for(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.shared.seed.to_le_bytes());
        for part in [self.name.as_bytes(), purpose.as_bytes()].iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// What is asked, apart from how the answer travels.
fn digest(prompt: &[u32], sampling: &Sampling, limit: usize) -> [u8; 32] {
    let mut hash = Sha256::new();
    for token in prompt {
        hash.update(token.to_le_bytes());
    }
    for number in [
        sampling.temperature.to_bits(),
        sampling.top_p.to_bits(),
        sampling.top_k.unwrap_or(usize::MAX) as u64,
        limit as u64,
    ] {
        hash.update(number.to_le_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Sampling = Sampling::PLAIN;

    fn behaviour(address: &str) -> Behaviour {
        let setup = address.parse::<crate::lab::fault::Setup>().unwrap();
        Behaviour::of(setup.faults.iter().map(|one| &one.fault))
    }

    #[test]
    fn the_reference_changes_nothing() {
        let honest = behaviour("lab:");
        assert_eq!(honest.tokens(vec![0, 5, 6], 0), [0, 5, 6]);
        assert_eq!(honest.sampling(ASKED), ASKED);
        assert_eq!(honest.model, (ModelKind::Base, ModelSpec::HONEST));
    }

    #[test]
    fn the_token_that_begins_comes_twice_or_never() {
        assert_eq!(behaviour("lab:double-bos").tokens(vec![0, 5], 0), [0, 0, 5]);
        assert_eq!(behaviour("lab:missing-bos").tokens(vec![0, 5], 0), [5]);
    }

    #[test]
    fn truncation_keeps_the_end() {
        assert_eq!(behaviour("lab:truncated-context=2").tokens(vec![0, 5, 6, 7], 0), [6, 7]);
        assert_eq!(behaviour("lab:truncated-context=9").tokens(vec![0, 5], 0), [0, 5]);
    }

    #[test]
    fn a_fixed_temperature_reaches_greedy_requests_unless_told_otherwise() {
        let greedy = Sampling { temperature: 0.0, ..ASKED };
        assert_eq!(
            behaviour("lab:temperature-ignored").sampling(greedy.clone()).temperature.to_bits(),
            0.3_f64.to_bits()
        );
        let sampled = behaviour("lab:temperature-ignored=0.5,sampled");
        assert_eq!(sampled.sampling(greedy.clone()), greedy);
        assert_eq!(sampled.sampling(ASKED), Sampling { temperature: 0.5, ..ASKED });
    }

    #[test]
    fn a_hidden_system_message_stands_before_the_users_own() {
        let own = Message { role: Role::System, content: "own".to_owned() };
        let messages = behaviour("lab:hidden-system-prompt=theirs").messages(vec![own]);
        let contents: Vec<_> = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(contents, ["theirs", "own"]);
    }
}
