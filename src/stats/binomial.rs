//! Shares of a count, with exact intervals.

use statrs::distribution::{Beta, ContinuousCDF as _};

use super::interval::Interval;

/// The exact interval of a share after `hits` of `trials`, at the given two-sided level such as 0.95 (Clopper and Pearson
/// 1934). All three numbers lie in 0 to 1; without trials nothing is known, and the interval is all of it.
pub fn clopper_pearson(hits: u64, trials: u64, level: f64) -> Interval {
    if trials == 0 {
        return Interval { estimate: 0.0, low: 0.0, high: 1.0 };
    }
    let tail = (1.0 - level) / 2.0;
    let quantile = |a: u64, b: u64, q: f64| Beta::new(a as f64, b as f64).map_or(f64::NAN, |beta| beta.inverse_cdf(q));
    let misses = trials.saturating_sub(hits);
    Interval {
        estimate: hits as f64 / trials as f64,
        low: if hits == 0 { 0.0 } else { quantile(hits, misses + 1, tail) },
        high: if misses == 0 { 1.0 } else { quantile(hits + 1, misses, 1.0 - tail) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(interval: Interval, low: f64, high: f64) {
        assert!((interval.low - low).abs() < 5e-5 && (interval.high - high).abs() < 5e-5, "{interval:?}");
    }

    #[test]
    fn intervals_are_those_of_the_closed_forms() {
        // Without a hit the upper end is 1 - (tail)^(1/n), and the other way round.
        close(clopper_pearson(0, 20, 0.95), 0.0, 1.0 - 0.025_f64.powf(0.05));
        close(clopper_pearson(20, 20, 0.95), 0.025_f64.powf(0.05), 1.0);
        // One of one.
        close(clopper_pearson(1, 1, 0.95), 0.025, 1.0);
        // Half of two: by symmetry 0.5 ± the same, and I_x(2, 1) = x².
        let half = clopper_pearson(1, 2, 0.95);
        close(half, 1.0 - 0.975_f64.sqrt(), 0.975_f64.sqrt());
    }

    #[test]
    fn nothing_tried_is_nothing_known() {
        close(clopper_pearson(0, 0, 0.95), 0.0, 1.0);
    }
}
