//! A distribution over the tokens: weights, cuts, and draws. Pure.

use rand_chacha::rand_core::Rng;

use super::super::ops;
use super::{Logprobs, UNLIKELY};

/// Of the likeliest tokens, so many are looked at first where only a few are wanted.
const FIRST: usize = 64;

/// A weight for each token, not scaled to sum to 1; 0 where a token is cut.
pub struct Candidates {
    weights: Vec<f32>,
    sum: f64,
    choice: Way,
}

/// How a token is taken.
#[derive(Clone, Copy)]
enum Way {
    Draw,
    /// Always this one.
    Take(u32),
}

impl Candidates {
    /// The distribution of these scores at a temperature; at 0 the likeliest token, the first of equals, is the only choice,
    /// and the weights are those of temperature 1.
    pub fn new(scores: &[f32], temperature: f64) -> Self {
        let (best, top) = likeliest(scores);
        let (choice, scale) =
            if temperature == 0.0 { (Way::Take(best), 1.0) } else { (Way::Draw, (1.0 / temperature) as f32) };
        let mut weights: Vec<f32> = scores.iter().map(|score| (score - top) * scale).collect();
        ops::exp(&mut weights);
        let mut candidates = Self { weights, sum: 0.0, choice };
        candidates.add_up();
        candidates
    }

    /// Cuts to the `top_k` likeliest, then to as many of those as make up `top_p`, then to those of at least `min_p` of the
    /// likeliest one's probability. Nothing is cut where there is no choice.
    pub fn cut(&mut self, top_k: Option<usize>, top_p: f64, min_p: f64) {
        if matches!(self.choice, Way::Take(_)) {
            return;
        }
        let limit = top_k.filter(|k| *k < self.weights.len()).map(|k| k.max(1));
        if let Some(limit) = limit {
            let kept = self.ranked(limit);
            self.keep(&kept);
        }
        if top_p < 1.0 {
            let kept = self.nucleus(top_p);
            self.keep(&kept);
        }
        if min_p > 0.0 {
            let least = self.weights.iter().copied().fold(0.0, f32::max) * min_p as f32;
            for weight in self.weights.iter_mut().filter(|weight| **weight < least) {
                *weight = 0.0;
            }
            self.add_up();
        }
    }

    /// The fewest likeliest tokens that make up this share, at least one.
    fn nucleus(&self, share: f64) -> Vec<u32> {
        let wanted = share * self.sum;
        let mut look = FIRST;
        loop {
            let mut ranked = self.ranked(look);
            let mut reached = 0.0;
            let short = ranked.iter().take_while(|token| {
                let before = reached;
                reached += f64::from(self.weights[**token as usize]);
                before < wanted
            });
            let kept = short.count().max(1);
            if kept < ranked.len() || look >= self.weights.len() {
                ranked.truncate(kept);
                return ranked;
            }
            look *= 4;
        }
    }

    /// The `count` likeliest tokens that can come at all, likeliest first, the first of equals first.
    fn ranked(&self, count: usize) -> Vec<u32> {
        let weight = |token: &u32| self.weights[*token as usize];
        let order = |a: &u32, b: &u32| weight(b).total_cmp(&weight(a)).then(a.cmp(b));
        let mut tokens: Vec<u32> = (0..self.weights.len() as u32).filter(|token| weight(token) > 0.0).collect();
        if count < tokens.len() {
            tokens.select_nth_unstable_by(count, order);
            tokens.truncate(count);
        }
        tokens.sort_unstable_by(order);
        tokens
    }

    fn keep(&mut self, tokens: &[u32]) {
        let mut kept = vec![0.0; self.weights.len()];
        for token in tokens {
            kept[*token as usize] = self.weights[*token as usize];
        }
        self.weights = kept;
        self.add_up();
    }

    fn add_up(&mut self) {
        self.sum = self.weights.iter().map(|weight| f64::from(*weight)).sum();
    }

    /// Takes a token.
    pub fn draw(&self, generator: &mut impl Rng) -> u32 {
        match self.choice {
            Way::Take(token) => token,
            Way::Draw => self.at(unit(generator)),
        }
    }

    /// The token at this share of the whole, from 0 to below 1, when all stand side by side.
    fn at(&self, share: f64) -> u32 {
        let mut left = share * self.sum;
        for (weight, token) in self.weights.iter().zip(0..) {
            left -= f64::from(*weight);
            if left < 0.0 {
                return token;
            }
        }
        // Only rounding leads here: the last token that could have been drawn at all.
        self.weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0) as u32
    }

    /// The probability of each token to be taken.
    pub fn probabilities(&self) -> Vec<f64> {
        match self.choice {
            Way::Take(token) => (0..self.weights.len()).map(|t| f64::from(u8::from(t == token as usize))).collect(),
            Way::Draw => self.weights.iter().map(|weight| f64::from(*weight) / self.sum).collect(),
        }
    }

    /// What is reported of a chosen token, with the `top` likeliest.
    pub fn logprobs(&self, chosen: u32, top: usize) -> Logprobs {
        let log = |token: u32| {
            let weight = self.weights.get(token as usize).copied().unwrap_or(0.0);
            if weight > 0.0 { (f64::from(weight) / self.sum).ln() } else { UNLIKELY }
        };
        Logprobs { chosen: log(chosen), top: self.ranked(top).into_iter().map(|token| (token, log(token))).collect() }
    }
}

/// The token with the highest score, the first of equals, and its score.
pub fn likeliest(scores: &[f32]) -> (u32, f32) {
    let first = (0, f32::NEG_INFINITY);
    scores.iter().zip(0..).fold(first, |best, (score, token)| if *score > best.1 { (token, *score) } else { best })
}

/// An even draw from 0 to below 1.
pub fn unit(generator: &mut impl Rng) -> f64 {
    /// 2⁻⁵³: a random 53-bit number times this lies in [0, 1).
    const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
    (generator.next_u64() >> 11) as f64 * UNIT
}
