//! The Llama itself: from token ids to the scores of the next token.

use std::sync::{Arc, Mutex, PoisonError};

use super::cache::{CacheShape, KvCache, PrefixCache};
use super::matrix::dot;
use super::noise::NoiseSource;
use super::ops;
use super::spec::ModelSpec;
use super::weights::{Files, LayerWeights, ModelConfig, Tensors, Weights, WeightsError};

/// Prompt tokens whose keys and values are kept for the next request with the same prompt; about 2 kB each in the larger
/// model.
const PREFIX_TOKENS: usize = 16_384;

/// A loaded model, shared by all requests that use it.
pub struct Model {
    config: ModelConfig,
    weights: Weights,
    /// Cosines and sines of the rotary angles: for each position half a head of each.
    cosines: Vec<f32>,
    sines: Vec<f32>,
    prompts: Mutex<PrefixCache>,
}

/// A conversation under way: what attention remembers of it, and its noise.
pub struct Sequence {
    /// Keys and values of the tokens so far.
    pub cache: KvCache,
    /// The noise of this request.
    pub noise: NoiseSource,
}

/// A token about to be read by the sequence with this index; all rows of a sequence are consecutive tokens.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The token.
    pub token: u32,
    /// The sequence it belongs to, an index.
    pub sequence: usize,
}

impl Model {
    /// Loads a model from its files, to be served as `spec` says; `tuned` is what tuning leads to, where it leads anywhere.
    pub fn load(files: Files<'_>, tuned: Option<Files<'_>>, spec: &ModelSpec) -> Result<Self, WeightsError> {
        let config = ModelConfig::from_json(files.config)?;
        let mut tensors = Tensors::from_safetensors(files.safetensors)?;
        if let Some(tuned) = tuned.filter(|_| spec.tuned > 0.0) {
            tensors.blend(&Tensors::from_safetensors(tuned.safetensors)?, spec.tuned)?;
        }
        let weights = Weights::new(&tensors, &config, spec.weights)?;
        let theta = config.rope_theta * spec.rope_factor;
        let half = config.head_dim / 2;
        let angle = |index: usize| {
            let (position, pair) = (index / half, index % half);
            position as f64 / theta.powf(2.0 * pair as f64 / config.head_dim as f64)
        };
        let angles: Vec<f64> = (0..config.max_position_embeddings * half).map(angle).collect();
        Ok(Self {
            cosines: angles.iter().map(|a| a.cos() as f32).collect(),
            sines: angles.iter().map(|a| a.sin() as f32).collect(),
            prompts: Mutex::new(PrefixCache::new(PREFIX_TOKENS)),
            config,
            weights,
        })
    }

    /// The model's sizes and special tokens.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// A sequence that has read these tokens, without noise, with room for `room` tokens in all.
    ///
    /// Prompts that were read before are taken from memory, and give the same numbers as when they are read afresh.
    pub fn begin(&self, tokens: &[u32], room: usize, noise: NoiseSource) -> Sequence {
        let known = self.prompts.lock().unwrap_or_else(PoisonError::into_inner).get(tokens);
        let memory = known.unwrap_or_else(|| {
            let mut reading =
                Sequence { cache: KvCache::new(self.cache_shape(), tokens.len()), noise: NoiseSource::silent() };
            let rows: Vec<Row> = tokens.iter().map(|token| Row { token: *token, sequence: 0 }).collect();
            self.hidden(&rows, &mut [&mut reading]);
            let memory = Arc::new(reading.cache);
            self.prompts.lock().unwrap_or_else(PoisonError::into_inner).put(tokens, Arc::clone(&memory));
            memory
        });
        Sequence { cache: memory.with_room(room), noise }
    }

    /// Reads one more token of each sequence: `vocab_size` scores for each, in their order.
    pub fn step(&self, tokens: &[u32], sequences: &mut [&mut Sequence]) -> Vec<f32> {
        let rows: Vec<Row> =
            tokens.iter().enumerate().map(|(sequence, token)| Row { token: *token, sequence }).collect();
        let hidden = self.hidden(&rows, sequences);
        self.weights.embedding.apply(&self.normed(&hidden, &self.weights.norm))
    }

    fn cache_shape(&self) -> CacheShape {
        CacheShape {
            layers: self.config.num_hidden_layers,
            heads: self.config.num_key_value_heads,
            width: self.config.head_dim,
        }
    }

    /// The residual stream after the last layer, a row of `hidden_size` numbers for each token.
    fn hidden(&self, rows: &[Row], sequences: &mut [&mut Sequence]) -> Vec<f32> {
        let width = self.config.hidden_size;
        let mut stream = vec![0.0; rows.len() * width];
        for (row, x) in rows.iter().zip(stream.chunks_exact_mut(width)) {
            self.weights.embedding.row(row.token as usize, x);
        }
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let attended = self.attend(index, &stream, rows, sequences);
            add_with_noise(&mut stream, &attended, rows, sequences);
            let fed = self.feed(layer, &stream);
            add_with_noise(&mut stream, &fed, rows, sequences);
        }
        for row in rows {
            sequences[row.sequence].cache.extend(1);
        }
        stream
    }

    /// What attention in the layer with this index adds to the stream.
    fn attend(&self, index: usize, stream: &[f32], rows: &[Row], sequences: &mut [&mut Sequence]) -> Vec<f32> {
        let layer = &self.weights.layers[index];
        let width = self.config.head_dim;
        let (asking, asked) = (self.config.num_attention_heads, self.config.num_key_value_heads);
        let mut projected = layer.attention_in.apply(&self.normed(stream, &layer.attention_norm));
        let mut heads = vec![0.0; rows.len() * asking * width];
        let mut read = vec![0; sequences.len()];
        let mut scores = Vec::new();
        let lines =
            projected.chunks_exact_mut(layer.attention_in.outputs()).zip(heads.chunks_exact_mut(asking * width));
        for (row, (line, out)) in rows.iter().zip(lines) {
            let cache = &mut sequences[row.sequence].cache;
            let position = cache.len() + read[row.sequence];
            read[row.sequence] += 1;
            let (queries, others) = line.split_at_mut(asking * width);
            let (keys, values) = others.split_at_mut(asked * width);
            self.turn(queries, position);
            self.turn(keys, position);
            for (head, pair) in keys.chunks_exact(width).zip(values.chunks_exact(width)).enumerate() {
                cache.write((index, head), position, pair);
            }
            for (head, (query, out)) in queries.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
                let place = (index, head * asked / asking);
                let memory = (cache.keys(place, position + 1), cache.values(place, position + 1));
                look(query, memory, &mut scores, out);
            }
        }
        layer.attention_out.apply(&heads)
    }

    /// What the feed-forward block of a layer adds to the stream.
    fn feed(&self, layer: &LayerWeights, stream: &[f32]) -> Vec<f32> {
        let inner = layer.feed_in.apply(&self.normed(stream, &layer.feed_norm));
        let mut gated = vec![0.0; inner.len() / 2];
        for (row, out) in
            inner.chunks_exact(layer.feed_in.outputs()).zip(gated.chunks_exact_mut(self.config.intermediate_size))
        {
            ops::gated(row, out);
        }
        layer.feed_out.apply(&gated)
    }

    /// Each row of the stream, normed.
    fn normed(&self, stream: &[f32], gain: &[f32]) -> Vec<f32> {
        let width = self.config.hidden_size;
        let mut normed = vec![0.0; stream.len()];
        for (x, out) in stream.chunks_exact(width).zip(normed.chunks_exact_mut(width)) {
            ops::rms_norm(x, gain, self.config.rms_norm_eps, out);
        }
        normed
    }

    /// Turns all heads of a row by the angles of their position.
    fn turn(&self, heads: &mut [f32], position: usize) {
        let half = self.config.head_dim / 2;
        let angles = position * half..(position + 1) * half;
        for head in heads.chunks_exact_mut(self.config.head_dim) {
            ops::rotate(head, &self.cosines[angles.clone()], &self.sines[angles.clone()]);
        }
    }
}

/// One head's look at the keys and values of its sequence, as the cache gives them; `scores` is room to work in.
fn look<'a>(
    query: &[f32],
    (keys, values): (impl Iterator<Item = &'a [f32]>, impl Iterator<Item = &'a [f32]>),
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let scale = 1.0 / (query.len() as f32).sqrt();
    scores.clear();
    scores.extend(keys.map(|key| dot(query, key) * scale));
    ops::softmax(scores);
    for (out, line) in out.iter_mut().zip(values) {
        *out = dot(scores, line);
    }
}

/// Adds a change to the stream, and to each row the noise of its sequence.
fn add_with_noise(stream: &mut [f32], change: &[f32], rows: &[Row], sequences: &mut [&mut Sequence]) {
    ops::add(stream, change);
    let width = stream.len() / rows.len().max(1);
    for (row, x) in rows.iter().zip(stream.chunks_exact_mut(width.max(1))) {
        sequences[row.sequence].noise.round(x);
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::{Noise, WeightFormat};
    use super::*;
    use crate::lab::assets::ModelKind;

    #[derive(Deserialize)]
    struct Golden {
        base: Vec<Case>,
        small: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        prompt_ids: Vec<u32>,
        top: Vec<Top>,
    }

    #[derive(Deserialize)]
    struct Top {
        id: usize,
        logprob: f64,
    }

    fn load(kind: ModelKind, weights: WeightFormat) -> Model {
        kind.load(&ModelSpec { weights, ..ModelSpec::HONEST }).unwrap()
    }

    fn logprobs(scores: &[f32]) -> Vec<f64> {
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores.iter().map(|score| f64::from(score - top).exp()).sum();
        scores.iter().map(|score| f64::from(score - top) - sum.ln()).collect()
    }

    fn next(model: &Model, prompt: &[u32], noise: NoiseSource) -> Vec<f64> {
        let (last, known) = prompt.split_last().unwrap();
        let mut sequence = model.begin(known, prompt.len(), noise);
        logprobs(&model.step(&[*last], &mut [&mut sequence]))
    }

    #[test]
    fn next_token_logprobs_are_those_of_an_independent_implementation() {
        let golden: Golden = serde_json::from_str(include_str!("../model/golden.json")).unwrap();
        for (kind, cases) in [(ModelKind::Base, golden.base), (ModelKind::Small, golden.small)] {
            let model = load(kind, WeightFormat::F32);
            assert!(!cases.is_empty());
            for case in cases {
                let ours = next(&model, &case.prompt_ids, NoiseSource::silent());
                for Top { id, logprob } in case.top {
                    assert!((ours[id] - logprob).abs() < 1e-3, "{kind:?} {id}: {} for {logprob}", ours[id]);
                }
            }
        }
    }

    #[test]
    fn a_prompt_from_memory_gives_the_numbers_of_one_read_afresh() {
        let model = load(ModelKind::Small, WeightFormat::F32);
        let prompt = [0, 3, 206, 312, 305, 228, 24];
        let fresh = next(&model, &prompt, NoiseSource::silent());
        assert_eq!(next(&model, &prompt, NoiseSource::silent()), fresh);
        // Read token by token instead of at once.
        let mut sequence = model.begin(&[], 7, NoiseSource::silent());
        let scores = prompt.map(|token| model.step(&[token], &mut [&mut sequence]));
        assert_eq!(logprobs(&scores[6]), fresh);
    }

    #[test]
    fn a_sequence_does_not_notice_its_company() {
        let model = load(ModelKind::Small, WeightFormat::Q4_0);
        let begin = |seed| model.begin(&[0, 3, 206], 5, NoiseSource::new(Noise::HONEST, [seed; 32]));
        let alone = model.step(&[312], &mut [&mut begin(1)]);
        let (mut a, mut b) = (begin(1), begin(2));
        let together = model.step(&[312, 305], &mut [&mut a, &mut b]);
        assert_eq!(together[..alone.len()], alone);
        assert_ne!(together[alone.len()..], alone);
    }

    #[test]
    fn noise_and_fewer_bits_move_the_scores_a_little() {
        let prompt = [0, 3, 206, 312, 305, 228, 24];
        let exact = load(ModelKind::Base, WeightFormat::F32);
        let fresh = next(&exact, &prompt, NoiseSource::silent());
        let distance = |other: Vec<f64>| fresh.iter().zip(other).map(|(a, b)| a.exp() * (a - b).abs()).sum::<f64>();
        let noisy = distance(next(&exact, &prompt, NoiseSource::new(Noise::HONEST, [3; 32])));
        let coarse = load(ModelKind::Base, WeightFormat::Q4_0);
        let coarse = distance(next(&coarse, &prompt, NoiseSource::silent()));
        assert!(0.0 < noisy && noisy < coarse && coarse < 2.0, "{noisy} {coarse}");
    }

    #[test]
    fn positions_and_tuning_go_into_the_model() {
        let prompt = [0, 3, 206, 312, 305, 228, 24];
        let served = |spec| next(&ModelKind::Base.load(&spec).unwrap(), &prompt, NoiseSource::silent());
        let honest = served(ModelSpec::HONEST);
        assert_ne!(served(ModelSpec { rope_factor: 2.0, ..ModelSpec::HONEST }), honest);
        let chat = next(&ModelKind::Chat.load(&ModelSpec::HONEST).unwrap(), &prompt, NoiseSource::silent());
        assert_eq!(served(ModelSpec { tuned: 1.0, ..ModelSpec::HONEST }), chat);
    }
}
