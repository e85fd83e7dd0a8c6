//! Statistics: tests, intervals and corrections over plain values.
//!
//! Pure: no I/O, no clock, no global random generator. Every random draw comes from a generator derived from
//! one seed and a label ([`rng`]), and every sum is taken in a fixed order, so that a seed gives the same bits whatever
//! the number of threads. `docs/src/statistics.md` says which question each test answers and where it comes from.

pub mod combination;
pub mod divergence;
pub mod exact;
pub mod excess;
pub mod features;
pub mod interval;
pub mod kernel;
mod labelling;
pub mod multiple;
pub mod permutation;
pub mod pieces;
pub mod presence;
pub mod rng;
mod subset;
pub mod surprisal;
pub mod survival;
pub mod witness;

/// Answers of both sides to one probe, as sequences of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The probe's id.
    pub probe: &'a str,
    /// What the reference answered.
    pub reference: Vec<&'a str>,
    /// What the endpoint answered.
    pub endpoint: Vec<&'a str>,
}

/// The p-value of an observed statistic among its permutations: `(1 + #{T_b ≥ T}) / (B + 1)`, never 0
/// (Phipson and Smyth 2010, equation 2).
///
/// Sums of the same numbers in another order differ in their last bits, so values within a relative `1e-12` count as ties.
pub fn permutation_p_value(observed: f64, permuted: impl IntoIterator<Item = f64>) -> f64 {
    let slack = 1e-12 * (1.0 + observed.abs());
    let (mut at_least, mut total) = (1_u64, 1_u64);
    for value in permuted {
        total += 1;
        at_least += u64::from(value >= observed - slack);
    }
    at_least as f64 / total as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_value_is_never_zero_and_counts_ties() {
        assert!((permutation_p_value(5.0, [0.0; 99]) - 0.01).abs() < 1e-15);
        assert!((permutation_p_value(1.0, [1.0, 0.0, 1.0 - 1e-14]) - 0.75).abs() < 1e-15);
        assert!((permutation_p_value(0.0, []) - 1.0).abs() < 1e-15);
    }
}
