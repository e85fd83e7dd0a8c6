//! From scores to the next token. Pure: the generator is a parameter.

use rand_chacha::rand_core::Rng;

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
    /// Added to the scores of these tokens.
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
}

/// Which tokens may come next; all may at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    allowed: Vec<bool>,
}

impl TokenMask {
    /// All of a vocabulary of this size.
    pub fn all(vocabulary: usize) -> Self {
        Self { allowed: vec![true; vocabulary] }
    }

    /// Keeps the tokens for which this holds.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        for (token, allowed) in self.allowed.iter_mut().enumerate() {
            *allowed = *allowed && keep(token as u32);
        }
    }

    /// Whether this token may come next; tokens outside the vocabulary may not.
    pub fn allows(&self, token: u32) -> bool {
        self.allowed.get(token as usize).copied().unwrap_or(false)
    }
}

/// What limits an answer's form, token by token.
pub trait Constraint: Send {
    /// Takes out of the mask what may not come next. At least one token must be left; the token that ends an answer counts.
    fn restrict(&self, mask: &mut TokenMask);
    /// Learns which token came.
    fn advance(&mut self, token: u32);
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
    /// That of the chosen token.
    pub chosen: f64,
    /// The likeliest tokens with theirs, likeliest first.
    pub top: Vec<(u32, f64)>,
}

/// Some tokens with their weights, not yet scaled to sum to 1.
struct Candidates {
    /// Token and weight; in falling order of weight when cut.
    weights: Vec<(u32, f32)>,
    sum: f64,
}

impl Sampling {
    /// Chooses from the scores of all tokens, and reports log-probabilities with the `top` likeliest where `Some`.
    pub fn choose(&self, scores: &[f32], generator: &mut impl Rng, top: Option<usize>) -> Choice {
        if self.temperature == 0.0 {
            let token = likeliest(scores);
            let logprobs = top.map(|top| Candidates::new(scores, 1.0).logprobs(token, top));
            return Choice { token, logprobs };
        }
        let mut candidates = Candidates::new(scores, self.temperature);
        candidates.cut(self.top_k, self.top_p);
        let token = candidates.draw(generator);
        Choice { token, logprobs: top.map(|top| candidates.logprobs(token, top)) }
    }
}

fn likeliest(scores: &[f32]) -> u32 {
    let best = scores
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (token, score)| if *score > best.1 { (token, *score) } else { best });
    best.0 as u32
}

impl Candidates {
    fn new(scores: &[f32], temperature: f64) -> Self {
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let scale = (1.0 / temperature) as f32;
        let weights: Vec<_> =
            scores.iter().enumerate().map(|(token, score)| (token as u32, ((score - top) * scale).exp())).collect();
        let sum = total(&weights);
        Self { weights, sum }
    }

    fn cut(&mut self, top_k: Option<usize>, top_p: f64) {
        let limit = top_k.filter(|k| *k < self.weights.len());
        if limit.is_none() && top_p >= 1.0 {
            return;
        }
        self.weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        self.weights.truncate(limit.unwrap_or(self.weights.len()).max(1));
        self.sum = total(&self.weights);
        let (mut reached, wanted) = (0.0, top_p * self.sum);
        let short = self.weights.iter().take_while(|(_, weight)| {
            let before = reached;
            reached += f64::from(*weight);
            before < wanted
        });
        let kept = short.count().max(1);
        self.weights.truncate(kept);
        self.sum = total(&self.weights);
    }

    fn draw(&self, generator: &mut impl Rng) -> u32 {
        /// 2⁻⁵³: a random 53-bit number times this lies in [0, 1).
        const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
        let mut left = (generator.next_u64() >> 11) as f64 * UNIT * self.sum;
        for (token, weight) in &self.weights {
            left -= f64::from(*weight);
            if left < 0.0 {
                return *token;
            }
        }
        // Only rounding leads here: the last token that could have been drawn at all.
        self.weights.iter().rev().find(|(_, weight)| *weight > 0.0).map_or(0, |(token, _)| *token)
    }

    fn logprobs(&self, chosen: u32, top: usize) -> Logprobs {
        let log = |weight: f32| (f64::from(weight) / self.sum).ln();
        let mut ranked: Vec<_> = self.weights.iter().filter(|(_, weight)| *weight > 0.0).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let of_chosen = self.weights.iter().find(|(token, _)| *token == chosen);
        Logprobs {
            chosen: of_chosen.map_or(f64::NEG_INFINITY, |(_, weight)| log(*weight)),
            top: ranked.into_iter().take(top).map(|(token, weight)| (*token, log(*weight))).collect(),
        }
    }
}

fn total(weights: &[(u32, f32)]) -> f64 {
    weights.iter().map(|(_, weight)| f64::from(*weight)).sum()
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const PLAIN: Sampling = Sampling::PLAIN;

    fn scores(shares: &[f64]) -> Vec<f32> {
        shares.iter().map(|share| share.ln() as f32 + 3.0).collect()
    }

    fn counts(sampling: &Sampling, scores: &[f32], draws: usize) -> Vec<usize> {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let mut counts = vec![0; scores.len()];
        for _ in 0..draws {
            counts[sampling.choose(scores, &mut generator, None).token as usize] += 1;
        }
        counts
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_likeliest() {
        let greedy = Sampling { temperature: 0.0, ..PLAIN };
        assert_eq!(counts(&greedy, &[1.0, 2.0, 2.0, 0.0], 10), [0, 10, 0, 0]);
    }

    #[test]
    fn shares_are_those_of_the_scores() {
        let shares = [0.5, 0.3, 0.15, 0.05];
        let draws = 20_000;
        for (count, share) in counts(&PLAIN, &scores(&shares), draws).into_iter().zip(shares) {
            let error = (share * (1.0 - share) / draws as f64).sqrt();
            assert!((count as f64 / draws as f64 - share).abs() < 4.0 * error, "{count} of {draws} for {share}");
        }
    }

    #[test]
    fn a_low_temperature_sharpens() {
        let sharp = counts(&Sampling { temperature: 0.5, ..PLAIN }, &scores(&[0.6, 0.4]), 10_000);
        let expected = 0.36 / (0.36 + 0.16);
        assert!((sharp[0] as f64 / 10_000.0 - expected).abs() < 0.02, "{sharp:?}");
    }

    #[test]
    fn top_k_and_top_p_cut_the_tail() {
        let scores = scores(&[0.1, 0.5, 0.05, 0.35]);
        let by_k = counts(&Sampling { top_k: Some(2), ..PLAIN }, &scores, 1_000);
        assert!(by_k[0] == 0 && by_k[2] == 0 && by_k[1] > by_k[3], "{by_k:?}");
        let by_p = counts(&Sampling { top_p: 0.85, ..PLAIN }, &scores, 1_000);
        assert!(by_p[0] == 0 && by_p[2] == 0 && by_p[3] > 0, "{by_p:?}");
        let both = counts(&Sampling { top_k: Some(2), top_p: 0.1, ..PLAIN }, &scores, 100);
        assert_eq!(both, [0, 100, 0, 0]);
    }

    #[test]
    fn reported_logprobs_are_those_drawn_from() {
        let shares = [0.1, 0.5, 0.05, 0.35];
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let whole = PLAIN.choose(&scores(&shares), &mut generator, Some(4));
        let logprobs = whole.logprobs.unwrap();
        assert!((logprobs.chosen - shares[whole.token as usize].ln()).abs() < 1e-6);
        assert_eq!(logprobs.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 3, 0, 2]);
        let cut = Sampling { top_k: Some(2), ..PLAIN }.choose(&scores(&shares), &mut generator, Some(4));
        let logprobs = cut.logprobs.unwrap();
        assert_eq!(logprobs.top.len(), 2);
        let sum: f64 = logprobs.top.iter().map(|(_, log)| log.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}
