//! From scores to the next token. Pure: the generator is a parameter.
//!
//! [`Sampling::distribution`] gives the exact probabilities that [`Sampling::choose`] draws with: both come from the same
//! weights.

mod candidates;
mod corruption;
mod mask;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::vocabulary::Vocabulary;
use candidates::{Candidates, likeliest, unit};
use corruption::Corruption;
pub use mask::{Constraint, TokenMask};

/// The log-probability that is reported of a token which could not have been drawn, as hosts write it.
const UNLIKELY: f64 = -9999.0;

/// How the next token is chosen: penalties and biases, then temperature, then the `top_k` likeliest, then as many of those
/// as make up `top_p`, then those that `min_p` leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Scores are divided by this; 0 takes the likeliest token, the first of equals.
    pub temperature: f64,
    /// How many tokens are left, if limited.
    pub top_k: Option<usize>,
    /// The share of probability that is left, above 0 and up to 1.
    pub top_p: f64,
    /// Tokens below this share of the likeliest one's probability are dropped; 0 drops none.
    pub min_p: f64,
    /// Scores of tokens seen in prompt and answer are divided by this when positive, multiplied otherwise; 1 changes nothing.
    pub repetition_penalty: f64,
    /// Taken once from the score of each token that the answer has.
    pub presence_penalty: f64,
    /// Taken from the score of each token for each time that the answer has it.
    pub frequency_penalty: f64,
    /// Added to the scores of these tokens; −100 takes a token out.
    pub logit_bias: Vec<(u32, f64)>,
    /// A hidden mark in the choice of tokens.
    pub watermark: Option<Watermark>,
    /// How often the likeliest token is left out, a share of all tokens.
    pub best_dropped: f64,
    /// How often characters of another script come instead of the token chosen, a share of all tokens.
    pub corruption: f64,
}

/// A bias towards tokens that a hash of the one before picks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watermark {
    /// The share of the vocabulary that is favoured.
    pub share: f64,
    /// What is added to the favoured tokens' scores.
    pub bias: f64,
}

/// What a choice depends on, apart from how it is made.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The model's scores of all tokens.
    pub scores: &'a [f32],
    /// The prompt's tokens.
    pub prompt: &'a [u32],
    /// The tokens of the answer so far.
    pub answer: &'a [u32],
    /// What may come, where not all may.
    pub mask: Option<&'a TokenMask>,
}

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// Log-probabilities, where they were asked for.
    pub logprobs: Option<Logprobs>,
}

/// Log-probabilities of the distribution that the token was drawn from, cuts included; at temperature 0 those of
/// temperature 1 without cuts.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    /// That of the chosen token; −9999 where it could not have been drawn.
    pub chosen: f64,
    /// The likeliest tokens with theirs, likeliest first.
    pub top: Vec<(u32, f64)>,
}

/// One answer's choices, from a generator of its own.
pub struct Sampler {
    sampling: Sampling,
    generator: ChaCha8Rng,
    corruption: Corruption,
}

/// Which of the tokens are in the choice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Among {
    All,
    AllButTheLikeliest,
}

impl Sampling {
    /// The distribution of the model itself.
    pub const PLAIN: Self = Self {
        temperature: 1.0,
        top_k: None,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        logit_bias: Vec::new(),
        watermark: None,
        best_dropped: 0.0,
        corruption: 0.0,
    };

    /// Chooses a token, and reports log-probabilities with the `top` likeliest where `Some`. Knows nothing of corruption,
    /// which is a `Sampler`'s.
    pub fn choose(&self, situation: &Situation<'_>, generator: &mut impl Rng, top: Option<usize>) -> Choice {
        let candidates = self.candidates(situation, generator);
        let token = candidates.draw(generator);
        Choice { token, logprobs: top.map(|top| candidates.logprobs(token, top)) }
    }

    /// The exact probability of each token to be chosen, by its number, corruption left out.
    pub fn distribution(&self, situation: &Situation<'_>) -> Vec<f64> {
        let of = |among| self.among(situation, among).probabilities();
        let whole = of(Among::All);
        if self.best_dropped <= 0.0 {
            return whole;
        }
        let dropped = of(Among::AllButTheLikeliest);
        whole.iter().zip(dropped).map(|(all, rest)| all + self.best_dropped * (rest - all)).collect()
    }

    /// Many draws in one situation.
    #[cfg(test)]
    pub(super) fn draws(&self, situation: &Situation<'_>, seed: u64, count: usize) -> Vec<u32> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let candidates = self.candidates(situation, &mut generator);
        (0..count).map(|_| candidates.draw(&mut generator)).collect()
    }

    /// What the next token is drawn from, whether its likeliest one is dropped being drawn here.
    fn candidates(&self, situation: &Situation<'_>, generator: &mut impl Rng) -> Candidates {
        let dropped = self.best_dropped > 0.0 && unit(generator) < self.best_dropped;
        self.among(situation, if dropped { Among::AllButTheLikeliest } else { Among::All })
    }

    fn among(&self, situation: &Situation<'_>, among: Among) -> Candidates {
        let mut scores = self.adjusted(situation);
        let (best, _) = likeliest(&scores);
        let others = scores.iter().zip(0..).any(|(score, token)| token != best && *score > f32::NEG_INFINITY);
        if among == Among::AllButTheLikeliest && others {
            scores.to_mut()[best as usize] = f32::NEG_INFINITY;
        }
        let mut candidates = Candidates::new(&scores, self.temperature);
        candidates.cut(self.top_k, self.top_p, self.min_p);
        candidates
    }

    /// The scores after penalties, biases and mask.
    fn adjusted<'a>(&self, situation: &Situation<'a>) -> Cow<'a, [f32]> {
        let mut scores = Cow::Borrowed(situation.scores);
        self.penalise(&mut scores, situation);
        for (token, bias) in &self.logit_bias {
            if let Some(score) = scores.to_mut().get_mut(*token as usize) {
                *score += *bias as f32;
            }
        }
        if let Some(watermark) = self.watermark {
            let before = situation.answer.last().or(situation.prompt.last()).copied().unwrap_or(0);
            for (score, token) in scores.to_mut().iter_mut().zip(0..) {
                *score += if watermark.favours(before, token) { watermark.bias as f32 } else { 0.0 };
            }
        }
        if let Some(mask) = situation.mask {
            for (score, token) in scores.to_mut().iter_mut().zip(0..) {
                *score = if mask.allows(token) { *score } else { f32::NEG_INFINITY };
            }
        }
        scores
    }

    fn penalise(&self, scores: &mut Cow<'_, [f32]>, situation: &Situation<'_>) {
        let seen = |parts: &[&[u32]]| {
            let mut counts = vec![0_u32; situation.scores.len()];
            for token in parts.iter().copied().flatten() {
                if let Some(count) = counts.get_mut(*token as usize) {
                    *count += 1;
                }
            }
            counts
        };
        let repetition = self.repetition_penalty as f32;
        if (self.repetition_penalty - 1.0).abs() > 0.0 {
            let counts = seen(&[situation.prompt, situation.answer]);
            for (score, _) in scores.to_mut().iter_mut().zip(counts).filter(|(_, count)| *count > 0) {
                *score = if *score > 0.0 { *score / repetition } else { *score * repetition };
            }
        }
        if self.presence_penalty.abs() > 0.0 || self.frequency_penalty.abs() > 0.0 {
            let counts = seen(&[situation.answer]);
            for (score, count) in scores.to_mut().iter_mut().zip(counts).filter(|(_, count)| *count > 0) {
                *score -= (self.presence_penalty + self.frequency_penalty * f64::from(count)) as f32;
            }
        }
    }
}

impl Watermark {
    /// Whether a token is favoured after another: the same for both, always, and even over all pairs.
    pub fn favours(&self, before: u32, token: u32) -> bool {
        // The finaliser of splitmix64.
        let mut bits = (u64::from(before) << 32 | u64::from(token)).wrapping_add(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ bits >> 31) as f64) < self.share * 2.0_f64.powi(64)
    }
}

impl Sampler {
    /// Choices made in this way from this seed.
    pub fn new(sampling: Sampling, seed: [u8; 32]) -> Self {
        Self { sampling, generator: ChaCha8Rng::from_seed(seed), corruption: Corruption::default() }
    }

    /// The next token of the answer, which may come from a corrupted character.
    pub fn next(&mut self, situation: &Situation<'_>, vocabulary: &Vocabulary, top: Option<usize>) -> Choice {
        let share = self.sampling.corruption;
        let candidates = self.sampling.candidates(situation, &mut self.generator);
        let stray = self.corruption.token(share, vocabulary, situation.mask, &mut self.generator);
        let token = stray.unwrap_or_else(|| candidates.draw(&mut self.generator));
        Choice { token, logprobs: top.map(|top| candidates.logprobs(token, top)) }
    }
}
