//! A model's configuration and weights, read from the files that hold them and checked against each other.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use thiserror::Error;

use super::matrix::{BLOCK, Matrix, WeightFormat};
use super::spec::{ModelSpec, SumOrder};
use super::vision::Eyes;

/// The files of a model, as Hugging Face names their contents.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The text of `config.json`.
    pub config: &'a str,
    /// The text of `tokenizer.json`.
    pub tokenizer: &'a str,
    /// The bytes of `model.safetensors`.
    pub safetensors: &'a [u8],
}

/// The sizes of a Llama, as its `config.json` gives them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ModelConfig {
    /// Numbers in the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads that ask.
    pub num_attention_heads: usize,
    /// Heads that are asked, each by as many of the others.
    pub num_key_value_heads: usize,
    /// Numbers within the feed-forward block.
    pub intermediate_size: usize,
    /// Numbers in a head.
    pub head_dim: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// The most tokens of prompt and answer together.
    pub max_position_embeddings: usize,
    /// The base of the rotary positions.
    pub rope_theta: f64,
    /// Keeps the norm of a zero row finite.
    pub rms_norm_eps: f32,
    /// The token that begins a sequence.
    pub bos_token_id: u32,
    /// The token that ends an answer.
    pub eos_token_id: u32,
    /// The token that fills up what is too short, where there is one. The engine has no use for it.
    pub pad_token_id: Option<u32>,
    /// The sizes of the encoder of images, where the model takes any.
    pub vision_config: Option<VisionConfig>,
}

/// The sizes of an encoder of images.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VisionConfig {
    /// Numbers in its residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads, which have the width of the stream together.
    pub num_attention_heads: usize,
    /// Numbers within the feed-forward block.
    pub intermediate_size: usize,
}

/// Why a model cannot be loaded.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The configuration is not what is expected.
    #[error("model configuration: {0}")]
    Config(#[from] serde_json::Error),
    /// The tokenizer is not what is expected.
    #[error("tokenizer: {0}")]
    Tokenizer(#[source] serde_json::Error),
    /// The tokenizer has other tokens than the configuration asks for.
    #[error("tokenizer: its tokens are not numbered from 0 to the size of the vocabulary")]
    Tokens,
    /// The sizes of the configuration do not go together.
    #[error("model configuration: {0}")]
    Sizes(&'static str),
    /// The file of weights cannot be read.
    #[error("weights: {0}")]
    File(#[from] candle_core::Error),
    /// A tensor is not in the file.
    #[error("weights: there is no tensor `{0}`")]
    Missing(String),
    /// A tensor has another number of elements than the configuration asks for.
    #[error("weights: tensor `{name}` has {found} numbers where the configuration asks for {wanted}")]
    Size {
        /// The tensor.
        name: String,
        /// Its numbers.
        found: usize,
        /// The numbers that there should be.
        wanted: usize,
    },
}

impl ModelConfig {
    /// Reads `config.json`.
    pub fn from_json(json: &str) -> Result<Self, WeightsError> {
        serde_json::from_str::<Self>(json)?.checked()
    }

    /// These sizes, if they go together.
    pub(super) fn checked(self) -> Result<Self, WeightsError> {
        let seeing = self.vision_config.iter().flat_map(|vision| [vision.hidden_size, vision.intermediate_size]);
        let mut blocks = [self.hidden_size, self.intermediate_size, self.head_dim].into_iter().chain(seeing);
        if blocks.any(|size| size == 0 || !size.is_multiple_of(BLOCK)) {
            return Err(WeightsError::Sizes("widths must be multiples of 32, the block of the quantised formats"));
        }
        let (heads, shared) = (self.num_attention_heads, self.num_key_value_heads);
        if shared == 0 || heads == 0 || !heads.is_multiple_of(shared) {
            return Err(WeightsError::Sizes("heads must be a multiple of the heads they share"));
        }
        let whole = |vision: &VisionConfig| vision.hidden_size.checked_rem(vision.num_attention_heads) == Some(0);
        if !self.vision_config.iter().all(whole) {
            return Err(WeightsError::Sizes("the heads of the encoder of images must share its stream evenly"));
        }
        let (begin, end) = (self.bos_token_id as usize, self.eos_token_id as usize);
        if begin.max(end) >= self.vocab_size || self.max_position_embeddings == 0 {
            return Err(WeightsError::Sizes("special tokens must be in the vocabulary, and there must be positions"));
        }
        Ok(self)
    }
}

/// The weights of a model, ready to multiply.
pub struct Weights {
    /// One row a token: looked up on the way in, multiplied by on the way out.
    pub embedding: Matrix,
    /// Layers, first to last.
    pub layers: Vec<LayerWeights>,
    /// The gain of the last norm.
    pub norm: Vec<f32>,
    /// The encoder of images, where the model takes any.
    pub eyes: Option<Eyes>,
}

/// The weights of one layer.
pub struct LayerWeights {
    /// The gain of the norm before attention.
    pub attention_norm: Vec<f32>,
    /// Queries, keys and values in one matrix.
    pub attention_in: Matrix,
    /// From the heads back to the residual stream.
    pub attention_out: Matrix,
    /// The gain of the norm before the feed-forward block.
    pub feed_norm: Vec<f32>,
    /// Gates and ups in one matrix.
    pub feed_in: Matrix,
    /// Back to the residual stream.
    pub feed_out: Matrix,
}

impl Weights {
    /// Takes the usual tensors of a Llama, and those for images where it takes any, and keeps all matrices as they are served.
    pub fn new(tensors: &Tensors, config: &ModelConfig, spec: &ModelSpec) -> Result<Self, WeightsError> {
        let source = Source { tensors, kept: (spec.weights, spec.sums) };
        let hidden = config.hidden_size;
        let sizes = LayerSizes {
            hidden,
            asking: config.num_attention_heads * config.head_dim,
            asked: config.num_key_value_heads * config.head_dim,
            feed: config.intermediate_size,
        };
        let layer = |index| LayerWeights::new(&source, &sizes, &format!("model.layers.{index}"));
        let eyes = config.vision_config.as_ref().map(|vision| Eyes::new(&source, config, vision));
        Ok(Self {
            embedding: source.matrix(&[("model.embed_tokens.weight".to_owned(), config.vocab_size)], hidden)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, WeightsError>>()?,
            norm: source.numbers("model.norm.weight", hidden)?,
            eyes: eyes.transpose()?,
        })
    }
}

/// The sizes of a layer.
pub struct LayerSizes {
    /// Numbers in the residual stream.
    pub hidden: usize,
    /// Numbers of all heads that ask.
    pub asking: usize,
    /// Numbers of all heads that are asked.
    pub asked: usize,
    /// Numbers within the feed-forward block.
    pub feed: usize,
}

impl LayerWeights {
    /// Takes the tensors whose names begin with `layer`.
    pub fn new(source: &Source<'_>, sizes: &LayerSizes, layer: &str) -> Result<Self, WeightsError> {
        let LayerSizes { hidden, asking, asked, feed } = *sizes;
        let name = |part: &str| format!("{layer}.{part}.weight");
        let looking =
            [(name("self_attn.q_proj"), asking), (name("self_attn.k_proj"), asked), (name("self_attn.v_proj"), asked)];
        Ok(Self {
            attention_norm: source.numbers(&name("input_layernorm"), hidden)?,
            attention_in: source.matrix(&looking, hidden)?,
            attention_out: source.matrix(&[(name("self_attn.o_proj"), hidden)], asking)?,
            feed_norm: source.numbers(&name("post_attention_layernorm"), hidden)?,
            feed_in: source.matrix(&[(name("mlp.gate_proj"), feed), (name("mlp.up_proj"), feed)], hidden)?,
            feed_out: source.matrix(&[(name("mlp.down_proj"), hidden)], feed)?,
        })
    }
}

/// Named tensors in single precision, before they are brought into the format that they are served in.
#[derive(Clone)]
pub struct Tensors(HashMap<String, Vec<f32>>);

impl Tensors {
    /// Reads the bytes of a safetensors file.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, WeightsError> {
        let read = |(name, tensor): (String, Tensor)| {
            Ok((name, tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?))
        };
        let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?;
        tensors.into_iter().map(read).collect::<Result<_, WeightsError>>().map(Self)
    }

    /// Goes a share of the way to the tensors of these names in `other`, from 0 to 1.
    pub fn blend(&mut self, other: &Self, share: f64) -> Result<(), WeightsError> {
        for (name, numbers) in &mut self.0 {
            let others = other.numbers(name, numbers.len())?;
            for (number, other) in numbers.iter_mut().zip(others) {
                *number = (f64::from(*number) + share * (f64::from(*other) - f64::from(*number))) as f32;
            }
        }
        Ok(())
    }

    /// The numbers of a tensor, of which there must be so many.
    pub fn numbers(&self, name: &str, wanted: usize) -> Result<&[f32], WeightsError> {
        let numbers = self.0.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        if numbers.len() == wanted {
            Ok(numbers)
        } else {
            Err(WeightsError::Size { name: name.to_owned(), found: numbers.len(), wanted })
        }
    }
}

impl FromIterator<(String, Vec<f32>)> for Tensors {
    fn from_iter<T: IntoIterator<Item = (String, Vec<f32>)>>(tensors: T) -> Self {
        Self(tensors.into_iter().collect())
    }
}

/// Tensors on their way into a model.
pub struct Source<'a> {
    tensors: &'a Tensors,
    kept: (WeightFormat, SumOrder),
}

impl Source<'_> {
    /// The numbers of a tensor, of which there must be so many.
    pub fn numbers(&self, name: &str, wanted: usize) -> Result<Vec<f32>, WeightsError> {
        self.tensors.numbers(name, wanted).map(<[f32]>::to_vec)
    }

    /// The matrices of these names and numbers of outputs, one below the other.
    pub fn matrix(&self, parts: &[(String, usize)], inputs: usize) -> Result<Matrix, WeightsError> {
        let mut values = Vec::new();
        for (name, outputs) in parts {
            values.extend_from_slice(self.tensors.numbers(name, outputs * inputs)?);
        }
        Ok(Matrix::new(&values, inputs, self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::assets::ModelKind;

    const CONFIG: &str = r#"{"hidden_size":64,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
        "intermediate_size":192,"head_dim":32,"vocab_size":2048,"max_position_embeddings":8,"rope_theta":10000.0,
        "rms_norm_eps":1e-5,"bos_token_id":0,"eos_token_id":1}"#;

    #[test]
    fn sizes_that_do_not_go_together_are_refused() {
        assert!(ModelConfig::from_json(CONFIG).is_ok());
        for (right, wrong) in [
            (r#""hidden_size":64"#, r#""hidden_size":60"#),
            (r#""head_dim":32"#, r#""head_dim":48"#),
            (r#""num_attention_heads":2"#, r#""num_attention_heads":0"#),
            (r#""num_key_value_heads":1"#, r#""num_key_value_heads":3"#),
            (r#""eos_token_id":1"#, r#""eos_token_id":2048"#),
            (r#""max_position_embeddings":8"#, r#""max_position_embeddings":0"#),
            (r#""rope_theta":10000.0,"#, ""),
        ] {
            assert!(CONFIG.contains(right));
            assert!(ModelConfig::from_json(&CONFIG.replace(right, wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn missing_and_misshapen_tensors_are_named() {
        let config = ModelConfig::from_json(CONFIG).unwrap();
        let message = |name: &str, numbers: usize| {
            let tensor = Tensor::zeros(numbers, DType::F16, &Device::Cpu).unwrap();
            let file = safetensors_of(&HashMap::from([(name.to_owned(), tensor)]));
            let tensors = Tensors::from_safetensors(&file).unwrap();
            Weights::new(&tensors, &config, &ModelSpec::HONEST).err().unwrap().to_string()
        };
        assert!(message("other", 1).contains("there is no tensor `model.embed_tokens.weight`"));
        let short = message("model.embed_tokens.weight", 7);
        assert!(short.contains("has 7 numbers where the configuration asks for 131072"), "{short}");
        assert!(Tensors::from_safetensors(b"no such file").is_err());
    }

    #[test]
    fn every_model_loads_in_every_format() {
        for kind in ModelKind::ALL {
            for weights in WeightFormat::ALL {
                assert!(kind.load(&ModelSpec { weights, ..ModelSpec::HONEST }).is_ok(), "{kind:?} {weights}");
            }
        }
    }

    #[test]
    fn weights_go_a_share_of_the_way_to_others() {
        let tensors = |number: f32| Tensors(HashMap::from([("a".to_owned(), vec![number, 1.0])]));
        let mut blended = tensors(0.0);
        blended.blend(&tensors(2.0), 0.25).unwrap();
        assert_eq!(blended.numbers("a", 2).unwrap(), [0.5, 1.0]);
        let other = Tensors(HashMap::from([("a".to_owned(), vec![1.0])]));
        assert!(matches!(blended.blend(&other, 0.25), Err(WeightsError::Size { .. })));
        assert!(matches!(blended.blend(&Tensors(HashMap::new()), 0.25), Err(WeightsError::Missing(_))));
    }

    fn safetensors_of(tensors: &HashMap<String, Tensor>) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        candle_core::safetensors::save(tensors, &path).unwrap();
        std::fs::read(path).unwrap()
    }
}
