//! From a model's published files to the bytes of a GGUF file.

use std::io::Cursor;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use sha2::{Digest as _, Sha256};

use super::super::matrix::WeightFormat;
use super::super::vocabulary::Vocabulary;
use super::super::weights::{Files, ModelConfig, Tensors, WeightsError};
use super::layout::{self, Kind, Place, keys, places};

/// Where the version stands in a file.
const VERSION: std::ops::Range<usize> = 4..8;
/// The version of the quantised formats, as files say it.
const QUANTIZATION: u32 = 2;

/// What a file says of the model beside its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its licence, an SPDX expression.
    pub licence: &'a str,
    /// The chat template, in Jinja.
    pub template: &'a str,
}

/// The file of a model whose matrices are kept in a format.
pub fn write(files: Files<'_>, label: Label<'_>, format: WeightFormat) -> Result<Vec<u8>, WeightsError> {
    let config = ModelConfig::from_json(files.config)?;
    let vocabulary = Vocabulary::from_json(files.tokenizer, config.vocab_size)?;
    let tensors = Tensors::from_safetensors(files.safetensors)?;
    let mut metadata = general(label, format, files.safetensors);
    metadata.extend(sizes(&config));
    metadata.extend(tokenizer(&config, vocabulary, label.template));
    let places = places(&config);
    let written = places.iter().map(|place| kept(&tensors, place, (format, config.head_dim)));
    let written = written.collect::<Result<Vec<QTensor>, WeightsError>>()?;
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = places.iter().map(|place| &*place.theirs).zip(&written).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors)?;
    let mut file = file.into_inner();
    // candle writes version 2, from which version 3 differs only in that its byte order may be the other one.
    file[VERSION].copy_from_slice(&layout::VERSION.to_le_bytes());
    Ok(file)
}

type Pair = (&'static str, Value);

fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

fn general(label: Label<'_>, format: WeightFormat, source: &[u8]) -> Vec<Pair> {
    vec![
        (keys::ARCHITECTURE, text(layout::ARCHITECTURE)),
        ("general.type", text("model")),
        ("general.name", text(label.name)),
        ("general.license", text(label.licence)),
        ("general.file_type", Value::U32(file_type(format))),
        ("general.quantization_version", Value::U32(QUANTIZATION)),
        // Which weights these were, so that whoever has both files can hold them against each other.
        ("samemodel.safetensors.sha256", text(digest(source))),
    ]
}

/// The SHA-256 of a file, in hexadecimal.
pub fn digest(file: &[u8]) -> String {
    Sha256::digest(file).iter().fold(String::new(), |out, byte| out + &format!("{byte:02x}"))
}

/// What files call a model with most matrices in this format.
fn file_type(format: WeightFormat) -> u32 {
    match format {
        WeightFormat::F32 => 0,
        WeightFormat::F16 => 1,
        WeightFormat::Q4_0 => 2,
        WeightFormat::Q8_0 => 7,
        WeightFormat::Q5_0 => 8,
    }
}

fn sizes(config: &ModelConfig) -> Vec<Pair> {
    let size = |number: usize| Value::U32(number as u32);
    vec![
        (keys::VOCABULARY, size(config.vocab_size)),
        (keys::POSITIONS, size(config.max_position_embeddings)),
        (keys::HIDDEN, size(config.hidden_size)),
        (keys::LAYERS, size(config.num_hidden_layers)),
        (keys::FEED, size(config.intermediate_size)),
        (keys::HEADS, size(config.num_attention_heads)),
        (keys::SHARED_HEADS, size(config.num_key_value_heads)),
        (keys::KEY_WIDTH, size(config.head_dim)),
        (keys::VALUE_WIDTH, size(config.head_dim)),
        (keys::TURNED, size(config.head_dim)),
        (keys::THETA, Value::F32(config.rope_theta as f32)),
        (keys::EPSILON, Value::F32(config.rms_norm_eps)),
    ]
}

fn tokenizer(config: &ModelConfig, vocabulary: Vocabulary, template: &str) -> Vec<Pair> {
    let kind = |id: u32| if vocabulary.special.contains(&id) { layout::CONTROL } else { layout::NORMAL };
    let types = (0..vocabulary.tokens.len() as u32).map(|id| Value::I32(kind(id))).collect();
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let mut pairs = vec![
        (keys::TOKENIZER, text(layout::TOKENIZER)),
        (keys::SPLIT, text(layout::SPLIT)),
        (keys::TOKEN_TYPES, Value::Array(types)),
        (keys::TOKENS, texts(vocabulary.tokens)),
        (keys::MERGES, texts(vocabulary.merges)),
        (keys::BOS, Value::U32(config.bos_token_id)),
        (keys::EOS, Value::U32(config.eos_token_id)),
        // The template writes the first token itself: added once more it would be there twice.
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
        ("tokenizer.ggml.add_eos_token", Value::Bool(false)),
        ("tokenizer.ggml.add_space_prefix", Value::Bool(false)),
        (keys::TEMPLATE, text(template)),
    ];
    pairs.extend(config.pad_token_id.map(|id| (keys::PAD, Value::U32(id))));
    pairs
}

/// A tensor as the file keeps it.
fn kept(tensors: &Tensors, place: &Place, (format, head): (WeightFormat, usize)) -> Result<QTensor, WeightsError> {
    let numbers = tensors.numbers(&place.ours, place.rows * place.columns)?;
    let (rows, columns) = (place.rows, place.columns);
    let tensor = match place.kind {
        Kind::Gain => {
            let tensor = Tensor::from_slice(numbers, columns, &Device::Cpu)?;
            return Ok(QTensor::quantize(&tensor, GgmlDType::F32)?);
        }
        Kind::Matrix => Tensor::from_slice(numbers, (rows, columns), &Device::Cpu)?,
        Kind::Turned => Tensor::from_vec(layout::neighbours(numbers, columns, head), (rows, columns), &Device::Cpu)?,
    };
    let format = match format {
        WeightFormat::F32 => GgmlDType::F32,
        WeightFormat::F16 => GgmlDType::F16,
        WeightFormat::Q4_0 => GgmlDType::Q4_0,
        WeightFormat::Q5_0 => GgmlDType::Q5_0,
        WeightFormat::Q8_0 => GgmlDType::Q8_0,
    };
    Ok(QTensor::quantize(&tensor, format)?)
}
