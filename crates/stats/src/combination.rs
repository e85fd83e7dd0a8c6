//! Groups of statistics over the same labellings, and how they are combined.
//!
//! Each group is ranked over the labellings, the observed one among them, and the smallest of a labelling's ranks is taken (the
//! "min-p" of Westfall and Young 1993, § 2.3): what shows in one group only is found nearly as surely as by that group alone. All
//! labellings are treated alike, so that what is exact for one group is exact for all of them together.

use crate::permutation_p_value;

/// For each labelling how far it stands out in the group in which it stands out most: minus the smallest of its ranks.
///
/// Several groups have a labelling of rank 1 each, and so the smallest p-value would be as many times larger; between
/// labellings of one rank the standardised size of the statistic decides. It adds less than 1.
pub fn smallest_rank(groups: &[Vec<f64>]) -> Vec<f64> {
    let mut out = vec![f64::NEG_INFINITY; groups.first().map_or(0, Vec::len)];
    for group in groups {
        let standing = standardise(group).into_iter().map(|z| z.max(0.0) / (1.0 + z.max(0.0)));
        for ((best, rank), tie) in out.iter_mut().zip(ranks(group)).zip(standing) {
            *best = best.max(tie - f64::from(rank));
        }
    }
    out
}

/// How many of the values are at least this one, itself included. Values within a relative `1e-12` are ties, as in
/// [`permutation_p_value`].
fn ranks(values: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| values[b as usize].total_cmp(&values[a as usize]));
    let mut out = vec![0; values.len()];
    let mut end = 0;
    for &i in &order {
        let value = values[i as usize];
        let slack = 1e-12 * (1.0 + value.abs());
        while end < order.len() && values[order[end] as usize] >= value - slack {
            end += 1;
        }
        out[i as usize] = end as u32;
    }
    out
}

/// The p-value of the first value among all.
pub fn p_of(observed_first: &[f64]) -> f64 {
    permutation_p_value(observed_first[0], observed_first[1..].iter().copied())
}

/// How a statistic spreads over permutations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Null {
    /// Standard deviation.
    pub sd: f64,
    /// The value that one permutation in a thousand undercuts.
    pub low: f64,
    /// The value that one permutation in a thousand exceeds.
    pub high: f64,
}

impl Null {
    /// Of these values, in any order; of none all is 0.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let (Some(&smallest), Some(&largest)) = (values.first(), values.last()) else { return Self::default() };
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let skipped = values.len() / 1000;
        let at = |i: usize, otherwise: f64| values.get(i).copied().unwrap_or(otherwise);
        Self { sd, low: at(skipped, smallest), high: at(values.len() - 1 - skipped, largest) }
    }
}

/// Centres and scales over the observed value and its permutations alike, which treats all of them the same and so
/// keeps the test exact. A statistic that does not vary says nothing and becomes 0.
pub fn standardise(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let constant = sd <= 1e-12 * (1.0 + mean.abs());
    values.iter().map(|v| if constant { 0.0 } else { (v - mean) / sd }).collect()
}

/// The largest of three columns, row by row.
pub fn largest(standardised: [Vec<f64>; 3]) -> Vec<f64> {
    let [a, b, c] = standardised;
    a.iter().zip(&b).zip(&c).map(|((x, y), z)| x.max(*y).max(*z)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_ties_as_a_p_value_does() {
        assert_eq!(ranks(&[2.0, 3.0, 1.0, 3.0, 3.0 - 1e-14]), [4, 3, 5, 3, 3]);
    }

    #[test]
    fn what_stands_out_in_one_group_only_stands_out() {
        let groups = [vec![9.0, 0.0, 0.1, 0.2, 0.3], vec![0.3, 0.4, 0.1, 0.2, 0.0], vec![1.0; 5]];
        let found = smallest_rank(&groups);
        assert!(found[1..].iter().all(|other| *other < found[0]), "{found:?}");
    }
}
