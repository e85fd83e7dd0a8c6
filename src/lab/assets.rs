//! The files of the lab's models, compiled in, and the models loaded from them.

use std::collections::HashMap;
use std::sync::Arc;

use super::engine::{Model, WeightFormat, WeightsError};

/// The text of `tokenizer.json`, which both models share.
pub const TOKENIZER: &str = include_str!("model/tokenizer.json");
/// The template that makes one text of a conversation, in Jinja.
pub const CHAT_TEMPLATE: &str = include_str!("model/chat_template.jinja");

const BASE_CONFIG: &str = include_str!("model/base.json");
const SMALL_CONFIG: &str = include_str!("model/small.json");
static BASE_WEIGHTS: &[u8] = include_bytes!("model/base.safetensors");
static SMALL_WEIGHTS: &[u8] = include_bytes!("model/small.safetensors");

/// The models that the lab has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelKind {
    /// The one that is promised.
    Base,
    /// A smaller one with the same tokenizer, trained on the same text.
    Small,
}

impl ModelKind {
    /// Loads the model, its matrices in `format`.
    pub fn load(self, format: WeightFormat) -> Result<Model, WeightsError> {
        match self {
            Self::Base => Model::load(BASE_CONFIG, BASE_WEIGHTS, format),
            Self::Small => Model::load(SMALL_CONFIG, SMALL_WEIGHTS, format),
        }
    }
}

/// The bytes of the promised model, which its fingerprint is made from.
pub fn promised_weights() -> &'static [u8] {
    BASE_WEIGHTS
}

/// Models that are loaded once and shared by all endpoints that use them.
#[derive(Default)]
pub struct Library {
    models: HashMap<(ModelKind, WeightFormat), Arc<Model>>,
}

impl Library {
    /// The model in this format, loaded at its first use.
    pub fn model(&mut self, kind: ModelKind, format: WeightFormat) -> Result<Arc<Model>, WeightsError> {
        if let Some(model) = self.models.get(&(kind, format)) {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(kind.load(format)?);
        self.models.insert((kind, format), Arc::clone(&model));
        Ok(model)
    }
}
