//! One endpoint: which of its faults touch a request, and the way of the request to the engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use secrecy::SecretString;

use super::MODEL_NAME;
use super::answer::Answer;
use super::api::{ApiError, Counting, Delivery, Dialect, Order, Reply};
use super::assets::{Library, ModelKind};
use super::behaviour::{Behaviour, Route};
use super::clock::Clock;
use super::draws::{Draws, digest};
use super::engine::{Model, ModelSpec, Noise, Pool, WeightsError};
use super::fault::{Routing, Schedule, Setup, UsageSaid};
use super::flaky::{self, Fate};
use super::limit::{Bucket, Standing};
use super::memory::{Key, Memory, Recall};
use super::prompt::Prompter;
use super::work::{Chance, Machine, Work};

/// What all endpoints of a fleet share.
pub struct Shared {
    /// Templates and tokens.
    pub prompter: Arc<Prompter>,
    /// The models.
    pub library: Library,
    /// The worker threads.
    pub pool: Pool,
    /// What everything random comes from.
    pub seed: u64,
    /// What schedules go by.
    pub clock: Clock,
    /// The key that requests must carry, if any.
    pub api_key: Option<SecretString>,
    /// What every host says of its configuration, whatever is true of it.
    pub fingerprint: String,
}

/// One endpoint.
pub struct Host {
    shared: Arc<Shared>,
    setup: Setup,
    noise: Noise,
    draws: Draws,
    limit: Option<Limit>,
    /// How often each request was seen, by its digest.
    seen: Mutex<HashMap<[u8; 32], u64>>,
    /// The models that it has served, so that they stay loaded.
    models: Mutex<Vec<Serving>>,
    memory: Memory,
}

struct Limit {
    bucket: Mutex<Bucket>,
    since: Instant,
}

struct Serving {
    kind: ModelKind,
    spec: ModelSpec,
    model: Arc<Model>,
}

/// A request that has arrived, with what is wrong about the host when it does.
pub struct Visit {
    order: Order,
    behaviour: Behaviour,
    draws: Draws,
    fate: Fate,
}

impl Visit {
    /// What becomes of it.
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// What it asks for.
    pub fn order(&self) -> &Order {
        &self.order
    }
}

impl Host {
    /// An endpoint with this name, which everything random at it depends on too.
    pub fn new(name: &str, setup: Setup, noise: Noise, shared: Arc<Shared>) -> Self {
        let bucket = setup.rate_limit.map(Bucket::new);
        Self {
            draws: Draws::new(shared.seed, name),
            limit: bucket.map(|bucket| Limit { bucket: Mutex::new(bucket), since: Instant::now() }),
            seen: Mutex::default(),
            models: Mutex::default(),
            memory: Memory::default(),
            shared,
            setup,
            noise,
        }
    }

    /// What all endpoints share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whose errors and headers it has.
    pub fn dialect(&self) -> Dialect {
        self.setup.dialect
    }

    /// Counts a request against the limit, by real time; nothing where there is none.
    pub fn count(&self) -> Option<Standing> {
        let Limit { bucket, since } = self.limit.as_ref()?;
        Some(bucket.lock().unwrap_or_else(PoisonError::into_inner).take(since.elapsed()))
    }

    /// Loads the model that the host serves at all times.
    pub fn warm_up(&self) -> Result<(), WeightsError> {
        let always = self.setup.faults.iter().filter(|one| one.schedule == Schedule::default());
        let behaviour = Behaviour::of(always.map(|one| &one.fault));
        self.model(behaviour.model(self.honest(), Route::Promised)).map(drop)
    }

    /// How it serves the promised model where no fault touches it.
    fn honest(&self) -> ModelSpec {
        self.setup.honest(self.shared.library.published())
    }

    /// The model that is served like this. Loading one takes some milliseconds.
    fn model(&self, (kind, spec): (ModelKind, ModelSpec)) -> Result<Arc<Model>, WeightsError> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = models.iter().find(|one| one.kind == kind && one.spec == spec) {
            return Ok(Arc::clone(&one.model));
        }
        let model = self.shared.library.model(kind, &spec)?;
        models.push(Serving { kind, spec, model: Arc::clone(&model) });
        Ok(model)
    }

    /// Takes a request in. Which faults touch it depends on what it asks for, how often that was asked, and the clock.
    pub fn receive(&self, order: Order) -> Visit {
        let digest = digest(&order);
        let number = self.number(digest);
        let draws = self.draws.of(digest).of(number.to_le_bytes());
        let now = self.shared.clock.now();
        let touching = self.setup.faults.iter().filter(|one| one.schedule.touches(now, draws.unit(one.fault.id())));
        let behaviour = Behaviour::of(touching.map(|one| &one.fault));
        let fate = flaky::fate(draws.seed("fate"), behaviour.failing());
        Visit { order, behaviour, draws, fate }
    }

    /// How often this was asked before.
    fn number(&self, digest: [u8; 32]) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry(digest).or_insert(0);
        *count += 1;
        *count - 1
    }

    /// Sets the engine to work on a request, or finds the answer that it had before.
    pub async fn answer(self: &Arc<Self>, visit: Visit) -> Result<Answer, ApiError> {
        let Visit { order, behaviour, mut draws, .. } = visit;
        let mut tokens = draws.clone();
        if behaviour.seed(order.seed).is_some() {
            // A seed of the caller's repeats the draws, however the answer travels; noise is the machine's and never repeats.
            tokens = self.draws.of("seeded").of(digest(&Order { delivery: Delivery::Whole, ..order.clone() }));
        }
        let sticky = self.draws.of("route").of(digest(&(&order.messages, &order.tools)));
        let work = Work::new(&self.shared.prompter, behaviour.clone(), order)?;
        let mut keeper = None;
        match behaviour.replayed().map(|share| self.recall(work.key(), draws.unit("replay") < share)) {
            Some(Replay::Again(answer)) => return Ok(answer),
            Some(Replay::Make(key)) => {
                // Made from what was asked alone, it comes out the same each time.
                draws = self.draws.of("kept").of(key);
                tokens = draws.clone();
                keeper = Some(self.memory.keeper(key));
            }
            Some(Replay::Fresh) | None => {}
        }
        let route = route(&behaviour, &draws, &sticky);
        let model = self.loaded(behaviour.model(self.honest(), route)).await?;
        let positions = model.config().max_position_embeddings;
        if work.prompt_tokens() >= positions {
            return Err(ApiError::too_long(work.prompt_tokens(), positions));
        }
        if let Some(delay) = behaviour.delay() {
            tokio::time::sleep(delay).await;
        }
        let machine = Machine { model: &model, noise: self.noise, pool: &self.shared.pool };
        let speeches = work.begin(&self.shared.prompter, machine, &Chance { draws: &draws, tokens });
        Ok(Answer::new(self.reply(&behaviour, &draws, work.prompt_tokens()), speeches, keeper))
    }

    /// What a cache makes of a request: `again` says whether it is for the cache if it was seen before.
    fn recall(&self, key: Key, again: bool) -> Replay {
        match self.memory.ask(key) {
            Recall::Kept(record) if again => Replay::Again(Answer::again(record)),
            Recall::New => Replay::Make(key),
            Recall::Seen if again => Replay::Make(key),
            Recall::Seen | Recall::Kept(_) => Replay::Fresh,
        }
    }

    /// The same as [`Self::model`], without holding up other requests.
    async fn loaded(self: &Arc<Self>, served: (ModelKind, ModelSpec)) -> Result<Arc<Model>, ApiError> {
        let host = Arc::clone(self);
        match tokio::task::spawn_blocking(move || host.model(served)).await {
            Ok(model) => model.map_err(|error| ApiError::internal(error.to_string())),
            Err(_) => Err(ApiError::unavailable()),
        }
    }

    fn reply(&self, behaviour: &Behaviour, draws: &Draws, prompt_tokens: usize) -> Reply {
        let share = |purpose| 2.0 * draws.unit(purpose) - 1.0;
        Reply {
            id: format!("chatcmpl-{:016x}", draws.number("id")),
            created: jiff::Timestamp::now().as_second(),
            model: MODEL_NAME.to_owned(),
            fingerprint: self.shared.fingerprint.clone(),
            prompt_tokens,
            counting: match behaviour.usage_said() {
                None => Counting::True,
                Some(UsageSaid::Random) => Counting::Off { prompt: share("prompt"), completion: share("completion") },
                Some(UsageSaid::Absent) => Counting::Absent,
            },
            said: behaviour.finish_said(),
        }
    }
}

/// What a cache has to say to a request.
enum Replay {
    /// This was the answer.
    Again(Answer),
    /// Make the answer that is kept under this key.
    Make(Key),
    /// It gets an answer of its own.
    Fresh,
}

/// Where a request goes: by chance each time, or by its prompt.
fn route(behaviour: &Behaviour, draws: &Draws, sticky: &Draws) -> Route {
    let smaller = behaviour.routing().is_some_and(|(share, by)| match by {
        Routing::Chance => draws.unit("route") < share,
        Routing::Sticky => sticky.unit("route") < share,
    });
    if smaller { Route::Smaller } else { Route::Promised }
}
