//! Exact tests and bounds for counts.

use statrs::distribution::{Beta, ContinuousCDF as _};
use statrs::function::factorial::ln_binomial;

use crate::interval::Interval;

/// How many out of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// Those that show something.
    pub showing: usize,
    /// All that were looked at.
    pub all: usize,
}

impl Share {
    /// Counts one more.
    pub fn count(&mut self, shows: Shows) {
        self.all += 1;
        self.showing += usize::from(shows == Shows::Yes);
    }

    /// Those that do not show it, among as many.
    #[must_use]
    pub fn rest(self) -> Self {
        Self { showing: self.all - self.showing, all: self.all }
    }

    /// The share, between 0 and 1; 0 where nothing was looked at.
    pub fn value(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.showing as f64 / self.all as f64 }
    }
}

/// Whether one of those that were looked at shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl From<bool> for Shows {
    fn from(it: bool) -> Self {
        if it { Self::Yes } else { Self::No }
    }
}

/// One-sided p-value of Fisher's exact test (Fisher 1935): the chance that at least so many of those that show it fall to
/// the first side, given how many there are in all, if both sides show it equally often. 1 where a side is empty.
pub fn more_often(first: Share, second: Share) -> f64 {
    if first.all == 0 || second.all == 0 {
        return 1.0;
    }
    let showing = first.showing + second.showing;
    let choose = |n: usize, k: usize| ln_binomial(n as u64, k as u64);
    let all = choose(first.all + second.all, showing);
    let chance = |k: usize| (choose(first.all, k) + choose(second.all, showing - k) - all).exp();
    let most = showing.min(first.all);
    (first.showing..=most).filter(|k| showing - k <= second.all).map(chance).sum::<f64>().min(1.0)
}

/// One-sided p-value of the sign test (Arbuthnott 1710): the chance that at least so many show it where each does or does not with
/// even odds. 1 where nothing was looked at.
pub fn tail_of_even(share: Share) -> f64 {
    tail(share, 0.5)
}

/// The chance that at least so many show it where each does with these odds, above 0 and below 1. 1 where nothing was looked at.
pub fn tail(share: Share, odds: f64) -> f64 {
    let Share { showing, all } = share;
    let chance = |k: usize| {
        let rest = (all - k) as f64;
        (ln_binomial(all as u64, k as u64) + k as f64 * odds.ln() + rest * (1.0 - odds).ln()).exp()
    };
    (showing..=all).map(chance).sum::<f64>().min(1.0)
}

/// The lower end of the one-sided interval of Clopper and Pearson (1934) for a share, at a level such as 0.95.
pub fn at_least(share: Share, level: f64) -> f64 {
    if share.showing == 0 {
        return 0.0;
    }
    let (k, rest) = (share.showing as f64, (share.all - share.showing.min(share.all)) as f64);
    Beta::new(k, rest + 1.0).map_or(0.0, |beta| beta.inverse_cdf(1.0 - level))
}

/// The exact two-sided interval for a share at a level such as 0.95 (Clopper and Pearson 1934), each end within 0 to 1; all of
/// it where nothing was looked at.
pub fn clopper_pearson(share: Share, level: f64) -> Interval {
    let one_sided = f64::midpoint(1.0, level);
    let rest = Share { showing: share.all - share.showing.min(share.all), ..share };
    Interval { estimate: share.value(), low: at_least(share, one_sided), high: 1.0 - at_least(rest, one_sided) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(showing: usize, all: usize) -> Share {
        Share { showing, all }
    }

    #[test]
    fn the_lady_tasting_tea_gets_her_p_value() {
        assert!((more_often(share(4, 4), share(0, 4)) - 1.0 / 70.0).abs() < 1e-12);
        assert!((more_often(share(3, 4), share(1, 4)) - 17.0 / 70.0).abs() < 1e-12);
    }

    #[test]
    fn an_empty_side_shows_nothing() {
        assert!((more_often(share(3, 3), share(0, 0)) - 1.0).abs() < 1e-12);
        assert!((share(0, 0).value()).abs() < 1e-12);
    }

    #[test]
    fn two_sided_intervals_are_those_of_the_closed_forms() {
        let close = |share: Share, low: f64, high: f64| {
            let found = clopper_pearson(share, 0.95);
            assert!((found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5, "{found:?}");
        };
        // Without a hit the upper end is 1 - (tail)^(1/n), and the other way round.
        close(share(0, 20), 0.0, 1.0 - 0.025_f64.powf(0.05));
        close(share(20, 20), 0.025_f64.powf(0.05), 1.0);
        // Half of two: by symmetry, and I_x(2, 1) = x².
        close(share(1, 2), 1.0 - 0.975_f64.sqrt(), 0.975_f64.sqrt());
        close(share(0, 0), 0.0, 1.0);
    }

    #[test]
    fn the_lower_bound_follows_the_closed_form_for_all_of_them() {
        // All of n: the bound is α^(1/n).
        assert!((at_least(share(10, 10), 0.95) - 0.05_f64.powf(0.1)).abs() < 1e-6);
        assert!(at_least(share(0, 10), 0.95).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_p_value_is_a_probability_and_falls_as_more_show_it(
            all in 1_usize..60, other in 1_usize..60, showing in 0_usize..60, less in 0_usize..60,
        ) {
            let (showing, less) = (showing % (all + 1), less % (other + 1));
            let p = more_often(share(showing, all), share(less, other));
            prop_assert!((0.0..=1.0).contains(&p));
            if showing < all {
                prop_assert!(more_often(share(showing + 1, all), share(less, other)) <= p + 1e-9);
            }
        }
    }
}
