//! Corrections for many tests at once, and evidence values.

/// Holm's step-down adjustment (Holm 1979): p-values that control the family-wise error under any dependence.
///
/// Returns adjusted values in the order given, each between its input and 1.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut running: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        running = running.max((p_values.len() - rank) as f64 * p_values[i]).min(1.0);
        adjusted[i] = running;
    }
    adjusted
}

/// Calibrates a p-value to an e-value: `(1 − p + p ln p) / (p ln² p)`, the mixture of `κ p^{κ−1}` over κ
/// (Vovk and Wang 2021, equation 2).
///
/// Its mean under the null is at most 1, so it may be multiplied over independent runs; `1/p` may not. Returns a value of
/// at least 0.5.
pub fn e_value(p: f64) -> f64 {
    if p >= 1.0 {
        return 0.5;
    }
    let p = p.max(f64::MIN_POSITIVE);
    let ln = p.ln();
    // Close to 1 numerator and denominator both vanish; the series around 1 starts 1/2 + (1 − p)/6.
    if 1.0 - p < 1e-4 { 0.5 + (1.0 - p) / 6.0 } else { (1.0 - p + p * ln) / (p * ln * ln) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn holm_gives_the_textbook_values() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn the_mean_e_value_of_a_uniform_p_value_is_one() {
        // The integral converges slowly at 0, so the grid is geometric.
        let mut sum = 0.0;
        let mut upper: f64 = 1.0;
        while upper > 1e-140 {
            let lower = upper * 0.99;
            sum += (upper - lower) * e_value((upper * lower).sqrt());
            upper = lower;
        }
        assert!(sum < 1.0 && sum > 0.99, "{sum}");
    }

    proptest! {
        #[test]
        fn holm_never_lowers_a_p_value_and_keeps_their_order(p in prop::collection::vec(0.0..=1.0_f64, 0..12)) {
            let adjusted = holm(&p);
            for i in 0..p.len() {
                prop_assert!(adjusted[i] >= p[i] && adjusted[i] <= 1.0);
                for j in 0..p.len() {
                    prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j] + 1e-15);
                }
            }
        }
    }
}
