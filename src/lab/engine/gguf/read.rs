//! From the bytes of a GGUF file to a model, if it is one that the engine computes exactly as the file says.
//!
//! Whatever would be computed otherwise is refused: keys of the architecture that the engine does not know, tensors that it
//! has no place for, blocks that it would round once more.

use std::collections::HashMap;

use super::super::matrix::{Matrix, WeightFormat};
use super::super::spec::SumOrder;
use super::super::vocabulary::Vocabulary;
use super::super::weights::{ModelConfig, WeightsError};
use super::header::{Entry, Header, Value};
use super::layout::{self, Kind, Place, keys, places};
use super::{Gguf, GgufError, MOST_BYTES, blocks};

/// The most positions that a model may have: tables are made for all of them.
const MOST_POSITIONS: u64 = 1 << 15;
/// The widest head.
const WIDEST_HEAD: u64 = 256;
/// The largest of all other sizes, so that no product of three of them leaves 64 bits.
const LARGEST: u64 = 1 << 20;
/// The most layers.
const MOST_LAYERS: u64 = 1 << 10;
/// The longest key that is repeated in a message.
const LONGEST_KEY: usize = 64;

impl Gguf {
    /// Reads the bytes of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GgufError> {
        if bytes.len() > MOST_BYTES {
            return Err(GgufError::Large);
        }
        let header = Header::read(bytes)?;
        let config = config(&header)?;
        let places = places(&config);
        let format = format(&header, &places)?;
        let tensors = places
            .iter()
            .map(|place| Ok((place.ours.clone(), numbers(entry(&header, place)?, place, config.head_dim)?)))
            .collect::<Result<_, GgufError>>()?;
        let template = match header.value(keys::TEMPLATE) {
            Some(Value::Text(text)) => Some((*text).to_owned()),
            _ => None,
        };
        Ok(Self { vocabulary: vocabulary(&header)?, config, tensors, format, template })
    }
}

fn config(header: &Header<'_>) -> Result<ModelConfig, GgufError> {
    is(header, keys::ARCHITECTURE, layout::ARCHITECTURE)?;
    let known = |key: &str| !key.starts_with("llama.") || keys::OF_THE_MODEL.contains(&key);
    if let Some(key) = header.keys().find(|key| !known(key)) {
        let key = key.get(..LONGEST_KEY).unwrap_or(key);
        return Err(GgufError::key(key, "asks for something that the engine does not do"));
    }
    let size = |key, most| whole(header, key, 1..=most);
    let token = |key| whole(header, key, 0..=u64::from(u32::MAX)).map(|id| id as u32);
    let head_dim = size(keys::KEY_WIDTH, WIDEST_HEAD)?;
    for key in [keys::VALUE_WIDTH, keys::TURNED] {
        if size(key, WIDEST_HEAD)? != head_dim {
            return Err(GgufError::key(key, format!("is another number than `{}`", keys::KEY_WIDTH)));
        }
    }
    let vocab_size = texts(header, keys::TOKENS)?.len();
    if header.value(keys::VOCABULARY).is_some_and(|value| *value != Value::Whole(vocab_size as u64)) {
        return Err(GgufError::key(keys::VOCABULARY, "is not the number of tokens"));
    }
    let config = ModelConfig {
        hidden_size: size(keys::HIDDEN, LARGEST)?,
        num_hidden_layers: size(keys::LAYERS, MOST_LAYERS)?,
        num_attention_heads: size(keys::HEADS, LARGEST)?,
        num_key_value_heads: size(keys::SHARED_HEADS, LARGEST)?,
        intermediate_size: size(keys::FEED, LARGEST)?,
        head_dim,
        vocab_size,
        max_position_embeddings: size(keys::POSITIONS, MOST_POSITIONS)?,
        rope_theta: fraction(header, keys::THETA)?,
        rms_norm_eps: fraction(header, keys::EPSILON)? as f32,
        bos_token_id: token(keys::BOS)?,
        eos_token_id: token(keys::EOS)?,
        pad_token_id: header.value(keys::PAD).map(|_| token(keys::PAD)).transpose()?,
        vision_config: None,
    };
    Ok(config.checked()?)
}

fn vocabulary(header: &Header<'_>) -> Result<Vocabulary, GgufError> {
    is(header, keys::TOKENIZER, layout::TOKENIZER)?;
    is(header, keys::SPLIT, layout::SPLIT)?;
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    let tokens = owned(texts(header, keys::TOKENS)?);
    let types = match header.value(keys::TOKEN_TYPES) {
        Some(Value::Wholes(types)) if types.len() == tokens.len() => types,
        _ => return Err(GgufError::key(keys::TOKEN_TYPES, "does not give a type for each token")),
    };
    let special = types.iter().zip(0..).filter(|(kind, _)| **kind == layout::CONTROL).map(|(_, id)| id).collect();
    Ok(Vocabulary::new(tokens, owned(texts(header, keys::MERGES)?), special))
}

/// The one format of all matrices. There must be no tensors beside the known ones.
fn format(header: &Header<'_>, places: &[Place]) -> Result<WeightFormat, GgufError> {
    let known: HashMap<&str, Kind> = places.iter().map(|place| (&*place.theirs, place.kind)).collect();
    if let Some(name) = header.tensors.keys().find(|name| !known.contains_key(**name)) {
        return Err(GgufError::tensor(name, "has no place in a model of these sizes"));
    }
    let mut format = None;
    for place in places.iter().filter(|place| place.kind != Kind::Gain) {
        let found = entry(header, place)?.format;
        let first = *format.get_or_insert(found);
        if first != found {
            let wrong = format!("is kept as {found} and others as {first}: the engine keeps all matrices alike");
            return Err(GgufError::tensor(&place.theirs, wrong));
        }
    }
    format.ok_or(WeightsError::Sizes("there are no matrices").into())
}

fn entry<'a>(header: &Header<'a>, place: &Place) -> Result<Entry<'a>, GgufError> {
    header.tensors.get(&*place.theirs).copied().ok_or_else(|| GgufError::tensor(&place.theirs, "is missing"))
}

/// The numbers of a tensor, in the order of the published file.
fn numbers(entry: Entry<'_>, place: &Place, head: usize) -> Result<Vec<f32>, GgufError> {
    let wrong = |what: &str| GgufError::tensor(&place.theirs, what);
    if (entry.rows, entry.columns) != (place.rows as u64, place.columns as u64) {
        let Entry { rows, columns, .. } = entry;
        let sizes = format!("is of {rows} × {columns} numbers, not {} × {}", place.rows, place.columns);
        return Err(wrong(&sizes));
    }
    let numbers = blocks::decode(entry.format, entry.bytes);
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err(wrong("has numbers that are not finite"));
    }
    if !as_served(&numbers, entry.format, place) {
        return Err(wrong("is not rounded as the engine rounds, which would round it once more"));
    }
    Ok(match place.kind {
        Kind::Gain | Kind::Matrix => numbers,
        Kind::Turned => layout::halves(&numbers, place.columns, head),
    })
}

/// Whether the engine keeps these numbers as they are.
fn as_served(numbers: &[f32], format: WeightFormat, place: &Place) -> bool {
    if place.kind == Kind::Gain {
        return matches!(format, WeightFormat::F32 | WeightFormat::F16);
    }
    let mut kept = vec![0.0; numbers.len()];
    Matrix::new(numbers, place.columns, (format, SumOrder::Usual)).rows(0..place.rows, &mut kept);
    kept == numbers
}

fn is(header: &Header<'_>, key: &str, wanted: &str) -> Result<(), GgufError> {
    match header.value(key) {
        Some(Value::Text(text)) if *text == wanted => Ok(()),
        _ => Err(GgufError::key(key, format!("is not `{wanted}`"))),
    }
}

fn whole(header: &Header<'_>, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<usize, GgufError> {
    match header.value(key) {
        Some(Value::Whole(number)) if range.contains(number) => Ok(*number as usize),
        _ => Err(GgufError::key(key, format!("is no whole number from {} to {}", range.start(), range.end()))),
    }
}

fn fraction(header: &Header<'_>, key: &str) -> Result<f64, GgufError> {
    match header.value(key) {
        Some(Value::Fraction(number)) if number.is_finite() && *number > 0.0 => Ok(*number),
        _ => Err(GgufError::key(key, "is no number above 0")),
    }
}

fn texts<'h, 'a>(header: &'h Header<'a>, key: &str) -> Result<&'h [&'a str], GgufError> {
    match header.value(key) {
        Some(Value::Texts(texts)) => Ok(texts),
        _ => Err(GgufError::key(key, "is no list of texts")),
    }
}
