//! Intervals.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

/// An interval with its estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// The interval under an increasing transformation.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { estimate: f(self.estimate), low: f(self.low), high: f(self.high) }
    }

    /// The smallest interval that holds this one and `estimate ± margin`.
    #[must_use]
    pub fn at_least(self, margin: f64) -> Self {
        Self { low: self.low.min(self.estimate - margin), high: self.high.max(self.estimate + margin), ..self }
    }
}

/// Resamples of the cluster bootstrap.
pub const RESAMPLES: usize = 999;

/// The fewest clusters for which the bootstrap is used; with fewer its tails are too short.
pub const FEWEST_CLUSTERS: usize = 20;

/// An interval for a statistic of clusters (here probes), at the given two-sided level such as 0.95.
///
/// With at least [`FEWEST_CLUSTERS`] a percentile bootstrap over whole clusters (Field and Welsh 2007): it carries the noise
/// within clusters too, since each cluster's value already holds it. With fewer a Student interval from the jackknife over
/// clusters. With one cluster the interval is unbounded: nothing is known of other probes.
///
/// `statistic` gets the indices of the clusters, with repetitions.
pub fn clustered(clusters: usize, level: f64, rng: &mut ChaCha8Rng, statistic: impl Fn(&[usize]) -> f64) -> Interval {
    let all: Vec<usize> = (0..clusters).collect();
    let estimate = statistic(&all);
    match clusters {
        0 | 1 => Interval { estimate, low: f64::NEG_INFINITY, high: f64::INFINITY },
        n if n < FEWEST_CLUSTERS => jackknife(n, level, estimate, statistic),
        n => {
            let mut values: Vec<f64> = (0..RESAMPLES)
                .map(|_| {
                    let drawn: Vec<usize> = (0..n).map(|_| rng.random_range(0..n as u32) as usize).collect();
                    statistic(&drawn)
                })
                .collect();
            values.sort_by(f64::total_cmp);
            let tail = (1.0 - level) / 2.0;
            let at = |q: f64| values[((q * RESAMPLES as f64) as usize).min(RESAMPLES - 1)];
            Interval { estimate, low: at(tail), high: at(1.0 - tail) }
        }
    }
}

fn jackknife(n: usize, level: f64, estimate: f64, statistic: impl Fn(&[usize]) -> f64) -> Interval {
    let without: Vec<f64> = (0..n).map(|i| statistic(&(0..n).filter(|&j| j != i).collect::<Vec<_>>())).collect();
    let mean = without.iter().sum::<f64>() / n as f64;
    let m = n as f64;
    let variance = without.iter().map(|v| (v - mean).powi(2)).sum::<f64>() * (m - 1.0) / m;
    let margin = student_quantile(f64::midpoint(1.0, level), m - 1.0) * variance.sqrt();
    Interval { estimate, low: estimate - margin, high: estimate + margin }
}

/// Quantile of the standard normal distribution.
pub fn normal_quantile(q: f64) -> f64 {
    Normal::standard().inverse_cdf(q)
}

/// The chance that a standard normal variable is at least `z`.
pub fn normal_tail(z: f64) -> f64 {
    Normal::standard().sf(z)
}

/// Quantile of Student's distribution with so many degrees of freedom, above 0.
pub fn student_quantile(q: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(q))
}

/// The lower end of the one-sided 97.5 % interval of a mean, by the normal approximation; −∞ with fewer than two values.
pub fn mean_at_least(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NEG_INFINITY;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean - normal_quantile(0.975) * (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    /// How often 95 % intervals for the mean of skewed cluster values hold the true mean.
    fn coverage(clusters: usize) -> usize {
        (0..400_u64)
            .filter(|&seed| {
                let mut rng = rng::derive(seed, &["coverage"]);
                let values: Vec<f64> = (0..clusters).map(|_| rng.random::<f64>() + rng.random::<f64>()).collect();
                let mean = |at: &[usize]| at.iter().map(|&i| values[i]).sum::<f64>() / at.len() as f64;
                let found = clustered(clusters, 0.95, &mut rng::derive(seed, &["bootstrap"]), mean);
                found.low <= 1.0 && 1.0 <= found.high
            })
            .count()
    }

    #[test]
    fn a_mean_is_bounded_by_twice_its_standard_error() {
        let values = [0.0, 1.0, 0.0, 1.0];
        assert!((mean_at_least(&values) - (0.5 - 1.96 * (1.0_f64 / 12.0).sqrt())).abs() < 1e-3);
        assert!(mean_at_least(&[1.0]).is_infinite());
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_promise() {
        for clusters in [6, 12, 24, 60] {
            let held = coverage(clusters);
            // 95 % of 400 is 380; a bootstrap of two dozen clusters may lose two points of that.
            assert!((364..=396).contains(&held), "{held} of 400 with {clusters} clusters");
        }
    }

    #[test]
    fn one_probe_says_nothing_about_others() {
        let found = clustered(1, 0.95, &mut rng::derive(0, &["x"]), |_| 0.3);
        assert!(found.low == f64::NEG_INFINITY && found.high == f64::INFINITY);
    }
}
