//! Attention of some consecutive pieces of one sequence to all that came before them.

use ndarray::ArrayViewMut2;

use super::cache::KvCache;
use super::matrix::{multiply, view};
use super::model::Model;
use super::ops;
use super::spec::SumOrder;

/// Room to work in, which one thread uses again and again.
#[derive(Default)]
pub struct Room {
    queries: Vec<f32>,
    scores: Vec<f32>,
    looks: Vec<f32>,
}

/// What the pieces of one sequence look at in one layer. Their own keys and values are in the cache already.
pub struct Look<'a> {
    /// The model.
    pub model: &'a Model,
    /// What the sequence remembers.
    pub cache: &'a KvCache,
    /// The layer's index.
    pub layer: usize,
    /// Where the pieces stand, one after the other.
    pub positions: &'a [usize],
}

impl Look<'_> {
    /// Looks with the queries that `lines` begin with, a line for each piece, and writes all heads of each piece into `out`.
    pub fn at_all(&self, lines: &[f32], out: &mut [f32], room: &mut Room) {
        let config = &self.model.config;
        let group = config.num_attention_heads / config.num_key_value_heads * config.head_dim;
        let all = config.num_attention_heads * config.head_dim;
        let line = lines.len() / self.positions.len().max(1);
        for head in 0..config.num_key_value_heads {
            let part = head * group..(head + 1) * group;
            room.queries.clear();
            for line in lines.chunks_exact(line) {
                room.queries.extend_from_slice(&line[part.clone()]);
            }
            self.at(head, room);
            for (out, look) in out.chunks_exact_mut(all).zip(room.looks.chunks_exact(group)) {
                out[part.clone()].copy_from_slice(look);
            }
        }
    }

    /// The looks of all queries at one head of keys and values: a piece's queries come one after the other.
    fn at(&self, head: usize, room: &mut Room) {
        let (width, sums) = (self.model.config.head_dim, self.model.spec.sums);
        let Some(seen) = self.positions.last().map(|position| position + 1) else { return };
        let queries = view(&room.queries, width);
        room.scores.resize(queries.nrows() * seen, 0.0);
        multiply(&queries, &self.cache.keys((self.layer, head), seen), rows_mut(&mut room.scores, seen), sums);
        let scale = 1.0 / (width as f32).sqrt();
        let each = queries.nrows() / self.positions.len();
        for (scores, position) in room.scores.chunks_exact_mut(each * seen).zip(self.positions) {
            for scores in scores.chunks_exact_mut(seen) {
                let (past, future) = scores.split_at_mut(position + 1);
                for score in past.iter_mut() {
                    *score *= scale;
                }
                ops::softmax(past);
                // What is zero changes no sum, so that looking together gives what looking alone does.
                future.fill(0.0);
            }
        }
        room.looks.resize(queries.len(), 0.0);
        let values = self.cache.values((self.layer, head), seen);
        // Halves of what is seen together would not be those of what is seen alone.
        multiply(&view(&room.scores, seen), &values, rows_mut(&mut room.looks, width), SumOrder::Usual);
    }
}

fn rows_mut(rows: &mut [f32], width: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows.len() / width, width), rows).expect("there are whole rows")
}
