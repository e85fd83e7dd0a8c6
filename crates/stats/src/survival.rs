//! Survival curves of right-censored times.
//!
//! Here the "time" is a number of characters and the "death" is the first character at which two answers differ; an
//! answer that ends without differing is censored at its end.

/// A time at which something happened, or until which it was watched in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Characters at risk, at least 1 where anything was observed.
    pub time: u32,
    /// Whether the event happened at the last of them.
    pub event: bool,
}

/// Time to the first difference between two answers: the event happens at the first character that differs, or that only
/// one of them has. Equal answers are censored at their end.
pub fn first_divergence(a: &str, b: &str) -> Observation {
    if a == b {
        return Observation { time: a.chars().count() as u32, event: false };
    }
    let shared = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count() as u32;
    Observation { time: shared + 1, event: true }
}

/// A step function that is 0 before its first step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepFunction {
    times: Vec<u32>,
    values: Vec<f64>,
}

impl StepFunction {
    /// The value at a time: that of the last step at or before it.
    pub fn at(&self, time: u32) -> f64 {
        match self.times.partition_point(|&t| t <= time) {
            0 => 0.0,
            n => self.values[n - 1],
        }
    }
}

/// The Nelson–Aalen estimate of the cumulative hazard: `Λ(t) = Σ_{s ≤ t} d_s / n_s` with `d_s` events among `n_s` at risk
/// (Aalen 1978, equation 3.4).
pub fn cumulative_hazard(observations: &[Observation]) -> StepFunction {
    let mut sorted = observations.to_vec();
    sorted.sort_by_key(|o| o.time);
    let mut out = StepFunction::default();
    let (mut at_risk, mut total, mut i) = (sorted.len(), 0.0, 0);
    while i < sorted.len() {
        let time = sorted[i].time;
        let same = sorted[i..].iter().take_while(|o| o.time == time).count();
        let events = sorted[i..i + same].iter().filter(|o| o.event).count();
        if events > 0 {
            total += events as f64 / at_risk as f64;
            out.times.push(time);
            out.values.push(total);
        }
        at_risk -= same;
        i += same;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observe(times: &[(u32, bool)]) -> Vec<Observation> {
        times.iter().map(|&(time, event)| Observation { time, event }).collect()
    }

    #[test]
    fn the_hazard_follows_a_worked_example() {
        // At risk 5, 4, 2 at the three events; one censored between.
        let o = observe(&[(2, true), (3, true), (4, false), (5, true), (6, false)]);
        let hazard = cumulative_hazard(&o);
        assert!((hazard.at(5) - (0.2 + 0.25 + 0.5)).abs() < 1e-12);
        assert!((hazard.at(1)).abs() < 1e-12 && (hazard.at(99) - 0.95).abs() < 1e-12);
    }

    #[test]
    fn an_answer_that_only_goes_on_differs_where_the_other_ends() {
        assert_eq!(first_divergence("abc", "abcd"), Observation { time: 4, event: true });
        assert_eq!(first_divergence("äöü", "äöü"), Observation { time: 3, event: false });
        assert_eq!(first_divergence("", "x"), Observation { time: 1, event: true });
    }

    proptest! {
        #[test]
        fn residuals_of_the_pooled_hazard_sum_to_zero(times in prop::collection::vec((1_u32..40, any::<bool>()), 1..40)) {
            // Σ (δ − Λ(t)) = 0 is what makes them scores.
            let o = observe(&times);
            let hazard = cumulative_hazard(&o);
            let sum: f64 = o.iter().map(|x| f64::from(u8::from(x.event)) - hazard.at(x.time)).sum();
            prop_assert!(sum.abs() < 1e-9, "{}", sum);
        }
    }
}
