//! GGUF, the file that llama.cpp and its kin load: models written as such files, and read back from them.
//!
//! Layer 3, within the engine and above its weights. [`write`] makes a file of a model's published files; a [`Gguf`] is a file
//! that was read and found whole. What the two agree on is in `layout`, what all GGUF files have in common in `header`.
//! The architecture is `llama`, which has no place for images: what brings them in is left out.

mod blocks;
mod header;
mod layout;
mod read;
#[cfg(test)]
mod tests;
mod write;

use thiserror::Error;

use super::matrix::WeightFormat;
use super::model::Model;
use super::spec::ModelSpec;
use super::vocabulary::Vocabulary;
use super::weights::{Files, ModelConfig, Tensors, WeightsError};

pub use write::{Label, write};

/// The most bytes that a file may have. The lab's models have four million, and what is read takes several times as much.
const MOST_BYTES: usize = 16 << 20;

/// A model as a GGUF file holds it.
pub struct Gguf {
    config: ModelConfig,
    vocabulary: Vocabulary,
    tensors: Tensors,
    format: WeightFormat,
    template: Option<String>,
}

/// Why a GGUF file cannot be read.
#[derive(Debug, Error)]
pub enum GgufError {
    /// It is too large to be one of the lab's.
    #[error("it has more than {} MiB, and the lab's models are small", MOST_BYTES >> 20)]
    Large,
    /// It is something else.
    #[error("it does not begin as a GGUF file does")]
    Magic,
    /// It is of an old version, or in the byte order of another machine.
    #[error("it is of version {0}, and the engine reads 2 and 3 with the lowest byte first")]
    Version(u32),
    /// It is cut short, or counts more than it has.
    #[error("it ends within {0}")]
    Short(&'static str),
    /// Something in it is not as it must be.
    #[error("{place} {wrong}")]
    Wrong {
        /// Where.
        place: String,
        /// What is wrong.
        wrong: String,
    },
    /// Its parts do not go together.
    #[error(transparent)]
    Model(#[from] WeightsError),
}

impl GgufError {
    fn key(key: &str, wrong: impl Into<String>) -> Self {
        Self::Wrong { place: format!("`{}`", key.escape_debug()), wrong: wrong.into() }
    }

    fn tensor(name: &str, wrong: impl Into<String>) -> Self {
        Self::Wrong { place: format!("tensor `{}`", name.escape_debug()), wrong: wrong.into() }
    }
}

impl Gguf {
    /// A file with more bytes than this is refused, so nobody has to read on.
    pub const MOST_BYTES: usize = MOST_BYTES;

    /// How its matrices are kept.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Its tokens.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Its chat template, where it has one.
    pub fn template(&self) -> Option<&str> {
        self.template.as_deref()
    }

    /// Loads the model, to be served as `spec` says; `tuned` is what tuning leads to, where it leads anywhere.
    pub fn model(&self, tuned: Option<Files<'_>>, spec: &ModelSpec) -> Result<Model, WeightsError> {
        let (config, vocabulary) = (self.config.clone(), self.vocabulary.clone());
        let Some(tuned) = tuned.filter(|_| spec.tuned > 0.0) else {
            return Model::new(config, vocabulary, &self.tensors, spec);
        };
        let mut tensors = self.tensors.clone();
        tensors.blend(&Tensors::from_safetensors(tuned.safetensors)?, spec.tuned)?;
        Model::new(config, vocabulary, &tensors, spec)
    }
}
