//! One pass through the layers: from pieces of prompts and answers to the scores of the tokens after them.

use super::attention::{Look, Room};
use super::image::Piece;
use super::model::{Model, Sequence};
use super::ops;
use super::weights::LayerWeights;

/// A piece about to be read by the sequence with this index; all rows of a sequence are consecutive.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// What is read.
    pub piece: &'a Piece,
    /// The sequence it belongs to, an index.
    pub sequence: usize,
    /// What it is read for.
    pub purpose: Purpose,
}

/// What a piece is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be remembered, without noise, so that it can be remembered for others too.
    Memory,
    /// For the scores of the token after it, with the noise of its sequence.
    Scores,
}

impl Model {
    /// Reads some pieces of each sequence: `vocab_size` scores for each row that is read for them, in their order.
    ///
    /// What a sequence gets does not depend on its company, nor on how its pieces are spread over passes.
    pub(super) fn pass(&self, rows: &[Row<'_>], sequences: &mut [&mut Sequence], room: &mut Room) -> Vec<f32> {
        Pass { model: self, rows, sequences, room }.scores()
    }
}

struct Pass<'a, 'b> {
    model: &'a Model,
    rows: &'a [Row<'a>],
    sequences: &'a mut [&'b mut Sequence],
    room: &'a mut Room,
}

impl Pass<'_, '_> {
    fn scores(&mut self) -> Vec<f32> {
        let stream = self.hidden();
        let width = self.model.config.hidden_size;
        let wanted = self.rows.iter().zip(stream.chunks_exact(width));
        let wanted: Vec<f32> =
            wanted.filter(|(row, _)| row.purpose == Purpose::Scores).flat_map(|(_, x)| x).copied().collect();
        let weights = &self.model.weights;
        weights.embedding.apply(&self.normed(&wanted, &weights.norm))
    }

    /// The residual stream after the last layer, a row of `hidden_size` numbers for each piece.
    fn hidden(&mut self) -> Vec<f32> {
        let mut stream = self.embedded();
        let positions = self.positions();
        let model = self.model;
        for (index, layer) in model.weights.layers.iter().enumerate() {
            let attended = self.attend((index, layer), &stream, &positions);
            self.add_with_noise(&mut stream, &attended);
            let fed = self.feed(layer, &stream);
            self.add_with_noise(&mut stream, &fed);
        }
        for row in self.rows {
            self.sequences[row.sequence].cache.extend(1);
        }
        stream
    }

    fn embedded(&mut self) -> Vec<f32> {
        let (weights, width) = (&self.model.weights, self.model.config.hidden_size);
        let mut stream = vec![0.0; self.rows.len() * width];
        for (row, x) in self.rows.iter().zip(stream.chunks_exact_mut(width)) {
            match row.piece {
                Piece::Token(token) => {
                    let token = *token as usize;
                    weights.embedding.rows(token..token + 1, x);
                }
                Piece::Patch(patch) => x.copy_from_slice(&patch.numbers),
            }
        }
        stream
    }

    /// Where in its sequence each row stands.
    fn positions(&self) -> Vec<usize> {
        let mut next: Vec<usize> = self.sequences.iter().map(|sequence| sequence.cache.len()).collect();
        let position = |row: &Row<'_>| {
            next[row.sequence] += 1;
            next[row.sequence] - 1
        };
        self.rows.iter().map(position).collect()
    }

    /// What attention in a layer, the one with this index, adds to the stream.
    fn attend(&mut self, (index, layer): (usize, &LayerWeights), stream: &[f32], positions: &[usize]) -> Vec<f32> {
        let config = &self.model.config;
        let width = config.num_attention_heads * config.head_dim;
        let mut projected = layer.attention_in.apply(&self.normed(stream, &layer.attention_norm));
        let lines = projected.chunks_exact_mut(layer.attention_in.outputs());
        for ((row, position), line) in self.rows.iter().zip(positions).zip(lines) {
            let (queries, others) = line.split_at_mut(width);
            let (keys, values) = others.split_at_mut(others.len() / 2);
            self.model.turn(queries, *position);
            self.model.turn(keys, *position);
            let pairs = keys.chunks_exact_mut(config.head_dim).zip(values.chunks_exact(config.head_dim));
            for (head, pair) in pairs.enumerate() {
                self.sequences[row.sequence].cache.write((index, head), *position, pair);
            }
        }
        let mut heads = vec![0.0; self.rows.len() * width];
        let mut first = 0;
        // All rows of a sequence look together.
        for rows in self.rows.chunk_by(|a, b| a.sequence == b.sequence) {
            let last = first + rows.len();
            let cache = &self.sequences[rows[0].sequence].cache;
            let lines = &projected[first * layer.attention_in.outputs()..last * layer.attention_in.outputs()];
            let looking = Look { model: self.model, cache, layer: index, positions: &positions[first..last] };
            looking.at_all(lines, &mut heads[first * width..last * width], self.room);
            first = last;
        }
        layer.attention_out.apply(&heads)
    }

    /// What the feed-forward block of a layer adds to the stream.
    fn feed(&mut self, layer: &LayerWeights, stream: &[f32]) -> Vec<f32> {
        let inner = layer.feed_in.apply(&self.normed(stream, &layer.feed_norm));
        let mut gated = vec![0.0; inner.len() / 2];
        let lines = inner.chunks_exact(layer.feed_in.outputs());
        for (row, out) in lines.zip(gated.chunks_exact_mut(self.model.config.intermediate_size)) {
            ops::gated(row, out);
        }
        layer.feed_out.apply(&gated)
    }

    /// Each row of the stream, normed.
    fn normed(&self, stream: &[f32], gain: &[f32]) -> Vec<f32> {
        let width = self.model.config.hidden_size;
        let mut normed = vec![0.0; stream.len()];
        for (x, out) in stream.chunks_exact(width).zip(normed.chunks_exact_mut(width)) {
            ops::rms_norm(x, gain, self.model.config.rms_norm_eps, out);
        }
        normed
    }

    /// Adds a change to the stream, and to each row that is read for its scores the noise of its sequence.
    fn add_with_noise(&mut self, stream: &mut [f32], change: &[f32]) {
        ops::add(stream, change);
        for (row, x) in self.rows.iter().zip(stream.chunks_exact_mut(self.model.config.hidden_size)) {
            if row.purpose == Purpose::Scores {
                self.sequences[row.sequence].noise.round(x);
            }
        }
    }
}

impl Model {
    /// Turns all heads of a row by the angles of their position.
    fn turn(&self, heads: &mut [f32], position: usize) {
        let half = self.config.head_dim / 2;
        let angles = position * half..(position + 1) * half;
        for head in heads.chunks_exact_mut(self.config.head_dim) {
            ops::rotate(head, &self.cosines[angles.clone()], &self.sines[angles.clone()]);
        }
    }
}
