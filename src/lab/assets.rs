//! The files of the lab's models, compiled in, and models loaded from them or from a file that is given instead.

use std::sync::{Arc, Mutex, PoisonError};

use super::engine::{
    Files, Gguf, Label, Model, ModelConfig, ModelSpec, PrefixStore, WeightFormat, WeightsError, write_gguf,
};

/// The text of `tokenizer.json`, which all models share.
pub const TOKENIZER: &str = include_str!("model/tokenizer.json");
/// The template that makes one text of a conversation, in Jinja.
pub const CHAT_TEMPLATE: &str = include_str!("model/chat_template.jinja");

static BASE: Files<'static> = Files {
    config: include_str!("model/base.json"),
    tokenizer: TOKENIZER,
    safetensors: include_bytes!("model/base.safetensors"),
};
static SMALL: Files<'static> = Files {
    config: include_str!("model/small.json"),
    tokenizer: TOKENIZER,
    safetensors: include_bytes!("model/small.safetensors"),
};

static CHAT: Files<'static> = Files {
    config: include_str!("model/chat.json"),
    tokenizer: TOKENIZER,
    safetensors: include_bytes!("model/chat.safetensors"),
};

/// What all of it may be used under, as the whole project.
const LICENCE: &str = env!("CARGO_PKG_LICENSE");
/// Models that a library keeps; the one used longest ago goes first.
const KEPT: usize = 16;
/// The bytes of prompts that all of them remember together; about 1.3 kB a token with the promised model.
const PREFIX_BYTES: usize = 96 << 20;

/// The models that the lab has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelKind {
    /// The one that is promised.
    Base,
    /// A smaller one with the same tokenizer, trained on the same text.
    Small,
    /// The promised one, tuned for chat.
    Chat,
}

impl ModelKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Base, Self::Small, Self::Chat];

    /// Loads the model as it is to be served. The promised model can be tuned on its way in; the others are as they are.
    pub fn load(self, spec: &ModelSpec) -> Result<Model, WeightsError> {
        let tuned = (self == Self::Base).then_some(Self::Chat.files());
        Model::load(self.files(), tuned, spec)
    }

    /// Its name, in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Small => "small",
            Self::Chat => "chat",
        }
    }

    /// The model as a GGUF file for other engines, its matrices kept in a format. What brings images in is left out: the
    /// architecture `llama` has no place for it.
    pub fn to_gguf(self, weights: WeightFormat) -> Result<Vec<u8>, WeightsError> {
        let name = format!("samemodel lab {}", self.name());
        write_gguf(self.files(), Label { name: &name, licence: LICENCE, template: CHAT_TEMPLATE }, weights)
    }

    /// The bytes of its weights.
    #[cfg(test)]
    pub fn weights(self) -> &'static [u8] {
        self.files().safetensors
    }

    /// The files of the model that tuning leads to.
    #[cfg(test)]
    pub fn chat_files() -> Files<'static> {
        CHAT
    }

    fn files(self) -> Files<'static> {
        match self {
            Self::Base => BASE,
            Self::Small => SMALL,
            Self::Chat => CHAT,
        }
    }
}

/// The number of tokens, the same in all models.
pub fn tokens() -> Result<usize, WeightsError> {
    ModelConfig::from_json(BASE.config).map(|config| config.vocab_size)
}

/// The bytes of the promised model, which its fingerprint is made from.
pub fn promised_weights() -> &'static [u8] {
    BASE.safetensors
}

/// Models that are loaded at their first use and shared by all endpoints that serve them.
///
/// It keeps only so many, and what an endpoint holds stays alive without it.
pub struct Library {
    models: Mutex<Vec<Loaded>>,
    prompts: Arc<PrefixStore>,
    /// What is promised instead of the compiled-in model, if anything.
    promised: Option<Gguf>,
}

struct Loaded {
    kind: ModelKind,
    spec: ModelSpec,
    model: Arc<Model>,
}

impl Default for Library {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Library {
    /// A library whose promised model is that of a file, where one is given.
    pub fn new(promised: Option<Gguf>) -> Self {
        Self { models: Mutex::default(), prompts: Arc::new(PrefixStore::new(PREFIX_BYTES)), promised }
    }

    /// The format in which the promised model's weights were published.
    pub fn published(&self) -> WeightFormat {
        self.promised.as_ref().map_or(ModelSpec::HONEST.weights, Gguf::format)
    }

    /// The model as it is to be served. Loading takes some milliseconds, and others wait meanwhile.
    pub fn model(&self, kind: ModelKind, spec: &ModelSpec) -> Result<Arc<Model>, WeightsError> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let known = models.iter().position(|loaded| loaded.kind == kind && loaded.spec == *spec);
        // The last one is the one used last.
        let loaded = match known {
            Some(index) => models.remove(index),
            None => Loaded { kind, spec: *spec, model: self.load(kind, spec)? },
        };
        let model = Arc::clone(&loaded.model);
        models.push(loaded);
        if models.len() > KEPT {
            models.remove(0);
        }
        Ok(model)
    }

    fn load(&self, kind: ModelKind, spec: &ModelSpec) -> Result<Arc<Model>, WeightsError> {
        let model = match &self.promised {
            Some(file) if kind == ModelKind::Base => file.model(Some(CHAT), spec)?,
            _ => kind.load(spec)?,
        };
        Ok(Arc::new(model.sharing(Arc::clone(&self.prompts))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_loaded_once_for_each_way_of_serving_it() {
        let library = Library::default();
        let half = ModelSpec { rope_factor: 2.0, ..ModelSpec::HONEST };
        let [one, again, other] =
            [ModelSpec::HONEST, ModelSpec::HONEST, half].map(|spec| library.model(ModelKind::Small, &spec).unwrap());
        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn the_model_used_longest_ago_is_let_go() {
        let library = Library::default();
        let model = |number: usize| {
            let spec = ModelSpec { rope_factor: 1.0 + number as f64, ..ModelSpec::HONEST };
            library.model(ModelKind::Small, &spec).unwrap()
        };
        let (first, second) = (model(0), model(1));
        for number in 2..KEPT {
            model(number);
        }
        assert!(Arc::ptr_eq(&first, &model(0)));
        model(KEPT);
        assert!(Arc::ptr_eq(&first, &model(0)) && !Arc::ptr_eq(&second, &model(1)));
    }
}
