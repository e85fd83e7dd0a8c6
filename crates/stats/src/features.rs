//! Features of single answers: does their mean differ between the sides?
//!
//! A feature is a number that one answer has by itself, such as its length or whether it was cut at the cap. Its mean is
//! compared by a permutation test within the probe, two-sided. These tests explain; they take no part in the verdict.

use rand::RngExt as _;

use crate::permutation::Settings;
use crate::{permutation_p_value, rng};

/// One probe's values of a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Values<'a> {
    /// The probe's id.
    pub probe: &'a str,
    /// Of the reference's answers.
    pub reference: Vec<f64>,
    /// Of the endpoint's answers.
    pub endpoint: Vec<f64>,
}

/// The means of a feature and whether they differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanDifference {
    /// Mean over probes of the reference's means.
    pub reference: f64,
    /// Mean over probes of the endpoint's means.
    pub endpoint: f64,
    /// Two-sided permutation p-value.
    pub p: f64,
}

/// Compares a feature over all probes that both sides answered; `None` when there is none.
pub fn mean_difference(values: &[Values<'_>], settings: Settings<'_>, feature: &str) -> Option<MeanDifference> {
    let used: Vec<&Values<'_>> = values.iter().filter(|v| !v.reference.is_empty() && !v.endpoint.is_empty()).collect();
    if used.is_empty() {
        return None;
    }
    let mut differences = vec![0.0; settings.permutations as usize];
    let (mut reference, mut endpoint) = (0.0, 0.0);
    for v in &used {
        reference += mean(&v.reference);
        endpoint += mean(&v.endpoint);
        let mut pool: Vec<f64> = v.reference.iter().chain(&v.endpoint).copied().collect();
        if pool.iter().all(|x| x.total_cmp(&pool[0]).is_eq()) {
            continue;
        }
        let mut rng = rng::derive(settings.seed, &["feature", feature, settings.label, v.probe]);
        for difference in &mut differences {
            for i in 0..v.endpoint.len() {
                let j = rng.random_range(i as u32..pool.len() as u32) as usize;
                pool.swap(i, j);
            }
            let (e, r) = pool.split_at(v.endpoint.len());
            *difference += mean(e) - mean(r);
        }
    }
    let observed = (endpoint - reference).abs();
    let p = permutation_p_value(observed, differences.into_iter().map(f64::abs));
    let m = used.len() as f64;
    Some(MeanDifference { reference: reference / m, endpoint: endpoint / m, p })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings<'static> = Settings { permutations: 499, seed: 1, label: "t" };

    #[test]
    fn a_feature_that_moved_is_found_and_one_that_did_not_is_not() {
        let ids: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        let of = |shift: f64| -> Vec<Values<'_>> {
            ids.iter()
                .enumerate()
                .map(|(i, probe)| Values {
                    probe,
                    reference: (0..6).map(|k| f64::from(k * 7 % 5) + i as f64).collect(),
                    endpoint: (0..6).map(|k| f64::from(k * 7 % 5) + i as f64 + shift).collect(),
                })
                .collect()
        };
        assert!(mean_difference(&of(2.0), SETTINGS, "x").expect("values").p < 0.01);
        assert!(mean_difference(&of(0.0), SETTINGS, "x").expect("values").p > 0.9);
    }

    #[test]
    fn without_values_on_both_sides_there_is_nothing_to_compare() {
        let one = Values { probe: "p", reference: vec![1.0], endpoint: vec![] };
        assert_eq!(mean_difference(&[one], SETTINGS, "x"), None);
    }
}
