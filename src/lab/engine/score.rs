//! How likely an answer is: the exact probabilities that a host draws with, for answers that are there already.

use super::attention::Room;
use super::forward::{Purpose, Row};
use super::image::{Image, Piece};
use super::model::{Model, Sequence};
use super::noise::NoiseSource;
use super::sampler::{Sampling, Situation};

/// Positions whose scores are had together.
const TOGETHER: usize = 64;

/// The natural logarithm of the probability with which each token of `answer` comes after the prompt and the tokens before it,
/// as a host draws that serves `model` and samples in this way. A token that cannot come has −∞. The token that ends the answer
/// is one like any other: who wants it counted puts it there.
///
/// Exact but for what a host does at random beside drawing: its noise and its corrupted characters are left out, and so is a
/// constraint on the answer's form. Tokens beyond the model's last position are left out of the result.
pub fn score(model: &Model, prompt: &[u32], images: &[Image], answer: &[u32], sampling: &Sampling) -> Vec<f64> {
    let mut pieces = model.pieces(prompt, images);
    let Some(known) = pieces.len().checked_sub(1) else { return Vec::new() };
    let answer = &answer[..answer.len().min(model.config().max_position_embeddings.saturating_sub(known))];
    pieces.extend(answer.iter().map(|token| Piece::Token(*token)));
    let mut reading = Reading::new(model, &pieces[..known], pieces.len());
    let mut logprobs = Vec::with_capacity(answer.len());
    // The token before each one of the answer has its scores.
    for first in (0..answer.len()).step_by(TOGETHER) {
        let last = answer.len().min(first + TOGETHER);
        let scores = reading.read(&pieces[known + first..known + last], Purpose::Scores);
        for (index, scores) in (first..last).zip(scores.chunks_exact(model.config().vocab_size)) {
            let situation = Situation { scores, prompt, answer: &answer[..index], mask: None };
            let probability = sampling.distribution(&situation).get(answer[index] as usize).copied();
            logprobs.push(probability.unwrap_or(0.0).ln());
        }
    }
    logprobs
}

/// One sequence being read.
struct Reading<'a> {
    model: &'a Model,
    sequence: Sequence,
    room: Room,
}

impl<'a> Reading<'a> {
    /// Has read `known`, from memory where it can, with room for `room` in all.
    fn new(model: &'a Model, known: &[Piece], room: usize) -> Self {
        let sequence = model.begin(known, room, NoiseSource::silent());
        let mut reading = Self { model, sequence, room: Room::default() };
        let unread = &known[reading.sequence.cache.len()..];
        for chunk in unread.chunks(TOGETHER) {
            reading.read(chunk, Purpose::Memory);
        }
        if !unread.is_empty() {
            model.remember(known, &reading.sequence);
        }
        reading
    }

    fn read(&mut self, pieces: &[Piece], purpose: Purpose) -> Vec<f32> {
        let rows: Vec<Row<'_>> = pieces.iter().map(|piece| Row { piece, sequence: 0, purpose }).collect();
        self.model.pass(&rows, &mut [&mut self.sequence], &mut self.room)
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// The scores of the token after a prompt.
    pub fn next(model: &Model, prompt: &[u32], images: &[Image], noise: NoiseSource) -> Vec<f32> {
        let pieces = model.pieces(prompt, images);
        let (known, last) = pieces.split_at(pieces.len() - 1);
        let mut reading = Reading::new(model, known, pieces.len());
        reading.sequence.noise = noise;
        reading.read(last, Purpose::Scores)
    }
}
