//! The oracle: what the likelihood-ratio test sees in sampled answers. Pure.
//!
//! By the lemma of Neyman and Pearson (1933) no test of the same level on the same answers has more power. It needs the
//! probability of each answer at both hosts, which only a lab knows; a check has texts alone. Where the oracle sees nothing,
//! nobody can.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::summary::Oracle;

/// The level of the oracle's test.
const ALPHA: f64 = 0.05;

/// Simulated checks on either side.
const CHECKS: usize = 4_000;

/// One answer's evidence: its log-likelihood ratio, endpoint over reference, in nats; and its length in tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// In nats; infinite where only one of the two can give this answer.
    pub ratio: f64,
    /// Tokens, its end included.
    pub tokens: usize,
}

/// Evidence of answers to one probe, drawn at the reference and at the endpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawn {
    /// Drawn at the reference.
    pub reference: Vec<Evidence>,
    /// Drawn at the endpoint.
    pub endpoint: Vec<Evidence>,
}

/// The oracle's power on `answers` answers to each probe, from so many drawn ones resampled; `None` without any.
pub fn oracle(probes: &[Drawn], answers: u32, rng: &mut ChaCha8Rng) -> Option<Oracle> {
    if probes.is_empty() || probes.iter().any(|p| p.reference.is_empty() || p.endpoint.is_empty()) {
        return None;
    }
    let mut sums = |side: fn(&Drawn) -> &[Evidence]| -> Vec<f64> {
        let mut all: Vec<f64> = (0..CHECKS).map(|_| check(probes, side, answers, rng)).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (honest, faulty) = (sums(|p| &p.reference), sums(|p| &p.endpoint));
    let all: Vec<Evidence> = probes.iter().flat_map(|p| &p.endpoint).copied().collect();
    let total: f64 = all.iter().map(|e| e.ratio).sum();
    let tokens: usize = all.iter().map(|e| e.tokens).sum();
    Some(Oracle {
        power: power(&honest, &faulty),
        nats_per_answer: total / all.len() as f64,
        nats_per_token: total / tokens.max(1) as f64,
    })
}

/// The summed evidence of one simulated check.
fn check(probes: &[Drawn], side: fn(&Drawn) -> &[Evidence], answers: u32, rng: &mut ChaCha8Rng) -> f64 {
    let mut sum = 0.0;
    for drawn in probes.iter().map(side) {
        for _ in 0..answers {
            sum += drawn[rng.random_range(0..drawn.len() as u32) as usize].ratio;
        }
    }
    sum
}

/// The share of the faulty sums above the honest ones' quantile; ties are broken by a coin of the right bias, so that the
/// level is met exactly. Both in rising order.
fn power(honest: &[f64], faulty: &[f64]) -> f64 {
    let bound = honest[((1.0 - ALPHA) * honest.len() as f64) as usize];
    let share = |sums: &[f64], keep: fn(f64, f64) -> bool| {
        sums.iter().filter(|sum| keep(**sum, bound)).count() as f64 / sums.len() as f64
    };
    let (above, at) =
        (share(honest, |sum, bound| sum > bound), share(honest, |sum, bound| sum.total_cmp(&bound).is_eq()));
    let coin = if at > 0.0 { (ALPHA - above) / at } else { 0.0 };
    share(faulty, |sum, bound| sum > bound) + coin * share(faulty, |sum, bound| sum.total_cmp(&bound).is_eq())
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;
    use statrs::distribution::{ContinuousCDF as _, Normal};

    use super::*;

    /// Evidence whose log-likelihood ratio is normal, with this divergence in nats: its mean is plus or minus the divergence
    /// and its variance twice that.
    fn normal(divergence: f64, count: usize) -> Drawn {
        let normal = Normal::standard();
        let quantiles = (0..count).map(|i| normal.inverse_cdf((i as f64 + 0.5) / count as f64));
        let side = |sign: f64| {
            let ratio = |z: f64| sign * divergence + (2.0 * divergence).sqrt() * z;
            quantiles.clone().map(|z| Evidence { ratio: ratio(z), tokens: 10 }).collect()
        };
        Drawn { reference: side(-1.0), endpoint: side(1.0) }
    }

    #[test]
    fn power_is_that_of_the_normal_shift_problem() {
        let (divergence, probes, answers) = (0.01, 20_u32, 10_u32);
        let drawn = vec![normal(divergence, 400); probes as usize];
        let found = oracle(&drawn, answers, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        let shift = (2.0 * divergence * f64::from(probes * answers)).sqrt();
        let expected = Normal::standard().cdf(shift - Normal::standard().inverse_cdf(0.95));
        assert!((found.power - expected).abs() < 0.03, "{} for {expected}", found.power);
        assert!(
            (found.nats_per_answer - divergence).abs() < 1e-3
                && (found.nats_per_token - divergence / 10.0).abs() < 1e-4
        );
    }

    #[test]
    fn without_a_difference_power_is_the_level() {
        let same = Drawn {
            reference: vec![Evidence { ratio: 0.0, tokens: 5 }; 3],
            endpoint: vec![Evidence { ratio: 0.0, tokens: 5 }; 3],
        };
        let found = oracle(&[same], 10, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert!((found.power - ALPHA).abs() < 1e-9);
    }

    #[test]
    fn what_only_one_side_can_say_settles_it() {
        let drawn = Drawn {
            reference: vec![Evidence { ratio: f64::NEG_INFINITY, tokens: 5 }],
            endpoint: vec![Evidence { ratio: 2.0, tokens: 5 }],
        };
        let found = oracle(&[drawn], 2, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert!((found.power - 1.0).abs() < 1e-9);
        assert_eq!(oracle(&[Drawn::default()], 2, &mut ChaCha8Rng::seed_from_u64(1)), None);
    }
}
