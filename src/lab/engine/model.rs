//! A loaded Llama: what is kept of it between requests, and where conversations with it begin.

use std::sync::Arc;

use super::cache::{CacheShape, KvCache};
use super::image::{Image, Piece};
use super::noise::NoiseSource;
use super::prefix::{PrefixStore, Reader};
use super::spec::ModelSpec;
use super::vocabulary::Vocabulary;
use super::weights::{Files, ModelConfig, Tensors, Weights, WeightsError};

/// The bytes of prompts that a model remembers which shares its store with no other.
const PREFIX_BYTES: usize = 16 << 20;

/// A loaded model, shared by all requests that use it.
pub struct Model {
    pub(super) config: ModelConfig,
    pub(super) spec: ModelSpec,
    pub(super) weights: Weights,
    /// Cosines and sines of the rotary angles: for each position half a head of each.
    pub(super) cosines: Vec<f32>,
    pub(super) sines: Vec<f32>,
    vocabulary: Vocabulary,
    prompts: Arc<PrefixStore>,
    reader: Reader,
}

/// A conversation under way: what attention remembers of it, and its noise.
pub struct Sequence {
    /// Keys and values of the tokens so far.
    pub cache: KvCache,
    /// The noise of this request.
    pub noise: NoiseSource,
}

impl Model {
    /// Loads a model from its files, to be served as `spec` says; `tuned` is what tuning leads to, where it leads anywhere.
    pub fn load(files: Files<'_>, tuned: Option<Files<'_>>, spec: &ModelSpec) -> Result<Self, WeightsError> {
        let config = ModelConfig::from_json(files.config)?;
        let vocabulary = Vocabulary::from_json(files.tokenizer, config.vocab_size)?;
        let mut tensors = Tensors::from_safetensors(files.safetensors)?;
        if let Some(tuned) = tuned.filter(|_| spec.tuned > 0.0) {
            tensors.blend(&Tensors::from_safetensors(tuned.safetensors)?, spec.tuned)?;
        }
        Self::new(config, vocabulary, &tensors, spec)
    }

    /// A model of these tensors.
    pub(super) fn new(
        config: ModelConfig,
        vocabulary: Vocabulary,
        tensors: &Tensors,
        spec: &ModelSpec,
    ) -> Result<Self, WeightsError> {
        let weights = Weights::new(tensors, &config, spec)?;
        let theta = config.rope_theta * spec.rope_factor;
        let half = config.head_dim / 2;
        let angle = |index: usize| {
            let (position, pair) = (index / half, index % half);
            position as f64 / theta.powf(2.0 * pair as f64 / config.head_dim as f64)
        };
        let angles: Vec<f64> = (0..config.max_position_embeddings * half).map(angle).collect();
        let prompts = Arc::new(PrefixStore::new(PREFIX_BYTES));
        Ok(Self {
            cosines: angles.iter().map(|a| a.cos() as f32).collect(),
            sines: angles.iter().map(|a| a.sin() as f32).collect(),
            reader: prompts.reader(),
            spec: *spec,
            prompts,
            vocabulary,
            config,
            weights,
        })
    }

    /// Remembers prompts in `store`, together with the other models that do.
    #[must_use]
    pub fn sharing(mut self, store: Arc<PrefixStore>) -> Self {
        self.reader = store.reader();
        self.prompts = store;
        self
    }

    /// The model's sizes and special tokens.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How it is served.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The model's tokens.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Whether it was trained to read images. One that was not takes their places for tokens like any others.
    pub fn takes_images(&self) -> bool {
        self.weights.eyes.is_some()
    }

    /// What stands at each place of a prompt: here images are looked at.
    pub(super) fn pieces(&self, tokens: &[u32], images: &[Image]) -> Vec<Piece> {
        let eyes = self.weights.eyes.iter();
        Piece::of_prompt(tokens, eyes.flat_map(|eyes| images.iter().flat_map(|image| eyes.see(image))))
    }

    /// A sequence with room for `room` tokens that has read as many of these pieces as are remembered from other prompts: its
    /// cache says how many. What is remembered has no noise, and gives the same numbers as when it is read afresh.
    pub(super) fn begin(&self, pieces: &[Piece], room: usize, noise: NoiseSource) -> Sequence {
        let marks: Vec<u64> = pieces.iter().map(Piece::mark).collect();
        let cache = match self.prompts.find(self.reader, &marks) {
            Some((memory, shared)) => memory.cache(shared, room),
            None => KvCache::new(self.cache_shape(), room),
        };
        Sequence { cache, noise }
    }

    /// Remembers these pieces, which `sequence` began with and has read without noise, for other prompts.
    pub(super) fn remember(&self, pieces: &[Piece], sequence: &Sequence) {
        let marks: Vec<u64> = pieces.iter().map(Piece::mark).collect();
        self.prompts.put(self.reader, &marks, sequence.cache.memory(pieces.len()));
    }

    fn cache_shape(&self) -> CacheShape {
        CacheShape {
            layers: self.config.num_hidden_layers,
            heads: self.config.num_key_value_heads,
            width: self.config.head_dim,
            format: self.spec.cache,
        }
    }
}
