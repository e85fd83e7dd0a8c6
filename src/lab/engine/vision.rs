//! The model's eyes: an encoder that looks at a whole image and makes of each patch what stands in its place in the prompt.
//!
//! A small transformer over the patches of one image, before the language model and apart from it. Each patch sees all others,
//! so that a shape or a large digit is seen whole, and knows its row and column. An image is looked at once a prompt.

use super::image::{Image, PATCH, Patch};
use super::matrix::Matrix;
use super::ops;
use super::weights::{LayerSizes, LayerWeights, ModelConfig, Source, VisionConfig, WeightsError};

/// Rows, and columns, that have a place of their own; those beyond begin again at the first.
const PLACES: usize = 8;

/// An encoder of images.
pub struct Eyes {
    config: VisionConfig,
    epsilon: f32,
    pixels: Projection,
    rows: Vec<f32>,
    columns: Vec<f32>,
    layers: Vec<LayerWeights>,
    norm: Vec<f32>,
    out: Projection,
}

/// A matrix, and what is added to its product.
struct Projection {
    matrix: Matrix,
    bias: Vec<f32>,
}

impl Eyes {
    /// Takes the tensors of a model's encoder.
    pub fn new(source: &Source<'_>, model: &ModelConfig, config: &VisionConfig) -> Result<Self, WeightsError> {
        let width = config.hidden_size;
        let sizes = LayerSizes { hidden: width, asking: width, asked: width, feed: config.intermediate_size };
        let layers = (0..config.num_hidden_layers)
            .map(|index| LayerWeights::new(source, &sizes, &format!("image.layers.{index}")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config: config.clone(),
            epsilon: model.rms_norm_eps,
            pixels: Projection::new(source, "image.patch_proj", (width, PATCH))?,
            rows: source.numbers("image.row_embed.weight", PLACES * width)?,
            columns: source.numbers("image.column_embed.weight", PLACES * width)?,
            layers,
            norm: source.numbers("image.norm.weight", width)?,
            out: Projection::new(source, "image.out_proj", (model.hidden_size, width))?,
        })
    }

    /// An image's patches as the language model reads them, in reading order.
    pub fn see(&self, image: &Image) -> Vec<Patch> {
        let mut stream = self.placed(image);
        for layer in &self.layers {
            let projected = layer.attention_in.apply(&self.normed(&stream, &layer.attention_norm));
            ops::add(&mut stream, &layer.attention_out.apply(&self.attended(&projected)));
            let inner = layer.feed_in.apply(&self.normed(&stream, &layer.feed_norm));
            ops::add(&mut stream, &layer.feed_out.apply(&self.gated(&inner)));
        }
        let seen = self.out.apply(&self.normed(&stream, &self.norm));
        let each = seen.chunks_exact(self.out.bias.len());
        each.zip(image.marks()).map(|(numbers, mark)| Patch { numbers: numbers.into(), mark }).collect()
    }

    /// What each patch says of itself and of its place.
    fn placed(&self, image: &Image) -> Vec<f32> {
        let pixels: Vec<f32> =
            image.patches().flat_map(|patch| patch.map(|value| f32::from(value) / 127.5 - 1.0)).collect();
        let mut stream = self.pixels.apply(&pixels);
        let (width, across) = (self.config.hidden_size, image.columns().max(1));
        let place = |table: &mut [f32], at: usize, of: &[f32]| ops::add(table, &of[at % PLACES * width..][..width]);
        for (index, x) in stream.chunks_exact_mut(width).enumerate() {
            place(x, index / across, &self.rows);
            place(x, index % across, &self.columns);
        }
        stream
    }

    /// What each patch takes from all of them, head by head; a line of `projected` has a patch's queries, keys and values.
    fn attended(&self, projected: &[f32]) -> Vec<f32> {
        let (width, heads) = (self.config.hidden_size, self.config.num_attention_heads);
        let (head, line) = (width / heads, 3 * width);
        let scale = 1.0 / (head as f32).sqrt();
        let mut out = vec![0.0; projected.len() / 3];
        for (patch, out) in projected.chunks_exact(line).zip(out.chunks_exact_mut(width)) {
            for first in (0..width).step_by(head) {
                let query = &patch[first..first + head];
                let score = |other: &[f32]| scale * dot(query, &other[width + first..][..head]);
                let mut shares: Vec<f32> = projected.chunks_exact(line).map(score).collect();
                ops::softmax(&mut shares);
                for (share, other) in shares.iter().zip(projected.chunks_exact(line)) {
                    let value = &other[2 * width + first..][..head];
                    out[first..first + head].iter_mut().zip(value).for_each(|(out, value)| *out += share * value);
                }
            }
        }
        out
    }

    fn gated(&self, inner: &[f32]) -> Vec<f32> {
        let feed = self.config.intermediate_size;
        let mut gated = vec![0.0; inner.len() / 2];
        for (line, out) in inner.chunks_exact(2 * feed).zip(gated.chunks_exact_mut(feed)) {
            ops::gated(line, out);
        }
        gated
    }

    fn normed(&self, stream: &[f32], gain: &[f32]) -> Vec<f32> {
        let mut normed = vec![0.0; stream.len()];
        for (x, out) in stream.chunks_exact(gain.len()).zip(normed.chunks_exact_mut(gain.len())) {
            ops::rms_norm(x, gain, self.epsilon, out);
        }
        normed
    }
}

impl Projection {
    fn new(source: &Source<'_>, name: &str, (outputs, inputs): (usize, usize)) -> Result<Self, WeightsError> {
        let matrix = source.matrix(&[(format!("{name}.weight"), outputs)], inputs)?;
        Ok(Self { matrix, bias: source.numbers(&format!("{name}.bias"), outputs)? })
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut out = self.matrix.apply(x);
        for line in out.chunks_exact_mut(self.bias.len()) {
            ops::add(line, &self.bias);
        }
        out
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::super::spec::ModelSpec;
    use super::*;
    use crate::lab::assets::ModelKind;

    fn image(width: usize, height: usize) -> Image {
        Image { width, height, rgb: (0..width * height * 3).map(|n| (n % 251) as u8).collect() }
    }

    fn seen(image: &Image) -> Vec<Patch> {
        ModelKind::Small.load(&ModelSpec::HONEST).unwrap().weights.eyes.as_ref().unwrap().see(image)
    }

    #[test]
    fn every_patch_of_an_image_of_any_size_is_seen() {
        let model = ModelKind::Base.load(&ModelSpec::HONEST).unwrap();
        let eyes = model.weights.eyes.as_ref().unwrap();
        for (width, height) in [(8, 8), (16, 16), (64, 16), (24, 40), (64, 64), (504, 8), (0, 8)] {
            let patches = eyes.see(&image(width, height));
            assert_eq!(patches.len(), width / 8 * height / 8);
            for patch in patches {
                assert_eq!(patch.numbers.len(), model.config().hidden_size);
                assert!(patch.numbers.iter().all(|number| number.is_finite()));
            }
        }
    }

    #[test]
    fn a_patch_is_seen_among_all_others() {
        let (whole, mut changed) = (image(32, 32), image(32, 32));
        changed.rgb.iter_mut().rev().take(8 * 3).for_each(|value| *value ^= 128);
        let (ours, others) = (seen(&whole), seen(&changed));
        assert_eq!(ours, seen(&whole));
        assert!(ours.iter().zip(&others).all(|(a, b)| a.numbers != b.numbers && a.mark != b.mark));
    }

    #[test]
    fn patches_that_look_alike_differ_by_their_places() {
        let plain = seen(&Image { width: 16, height: 16, rgb: vec![200; 16 * 16 * 3] });
        for (index, patch) in plain.iter().enumerate() {
            assert!(plain[..index].iter().all(|other| other.numbers != patch.numbers));
        }
    }
}
