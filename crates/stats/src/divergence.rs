//! Greedy divergence: how soon do greedy answers leave the reference's, beyond how soon it leaves itself?
//!
//! For each probe every endpoint answer is held against every reference answer, and the reference's answers against each
//! other; each pair gives a time to first divergence, censored at the answer's end ([`survival`](crate::survival)). The
//! test is a log-rank test with pairs as units, paired by probe: scores `δ − Λ(t)` from the hazard pooled over all pairs
//! (Peto and Peto 1972, § 4), the difference of their means between cross pairs and the reference's own, and labels permuted
//! within the probe, which makes it exact although pairs share answers.

use std::ops::Add;

use rand::RngExt as _;
use rayon::prelude::*;

use crate::permutation::Settings;
use crate::survival::{Observation, StepFunction, cumulative_hazard, first_divergence};
use crate::{Pair, permutation_p_value, rng};

/// The outcome of the test and what the effect is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Difference of mean scores between cross pairs and the reference's own; `None` without a second reference answer.
    pub statistic: Option<f64>,
    /// One-sided permutation p-value; `None` without a second reference answer.
    pub p: Option<f64>,
    /// Events and characters at risk of each probe, in the order given.
    pub probes: Vec<ProbeExposure>,
}

/// One probe's events and exposure, each averaged over its pairs so that all probes weigh the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeExposure {
    /// The probe's id.
    pub probe: String,
    /// Between endpoint and reference.
    pub cross: Exposure,
    /// Among the reference's own answers; zero exposure when there is only one.
    pub own: Exposure,
    /// When the endpoint's answers leave the reference's, a time for each pair.
    pub cross_times: Vec<Observation>,
    /// When the reference's own leave each other.
    pub own_times: Vec<Observation>,
}

impl ProbeExposure {
    /// The share of pairs that have diverged within so many characters, beyond that among the reference's own answers: between
    /// −1 and 1.
    pub fn early(&self, horizon: u32) -> f64 {
        let share = |times: &[Observation]| {
            let gone = times.iter().filter(|o| o.event && o.time <= horizon).count();
            if times.is_empty() { 0.0 } else { gone as f64 / times.len() as f64 }
        };
        share(&self.cross_times) - share(&self.own_times)
    }
}

/// Events over characters at risk.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Exposure {
    /// Mean number of divergences, between 0 and 1.
    pub events: f64,
    /// Mean number of characters at risk.
    pub characters: f64,
}

impl Exposure {
    fn mean(observations: &[Observation]) -> Self {
        if observations.is_empty() {
            return Self::default();
        }
        let n = observations.len() as f64;
        let events = observations.iter().filter(|o| o.event).count() as f64;
        let characters = observations.iter().map(|o| f64::from(o.time)).sum::<f64>();
        Self { events: events / n, characters: characters / n }
    }

    /// Divergences per character at risk: the maximum-likelihood estimate of a constant hazard. 0 without exposure.
    pub fn hazard(self) -> f64 {
        if self.characters > 0.0 { self.events / self.characters } else { 0.0 }
    }
}

impl Add for Exposure {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { events: self.events + other.events, characters: self.characters + other.characters }
    }
}

/// Compares all probes that both sides have answered; `None` when there is none.
pub fn divergence(pairs: &[Pair<'_>], settings: Settings<'_>) -> Option<Divergence> {
    let strata: Vec<Stratum> =
        pairs.par_iter().filter(|p| !p.reference.is_empty() && !p.endpoint.is_empty()).map(Stratum::new).collect();
    if strata.is_empty() {
        return None;
    }
    let probes = strata.iter().map(Stratum::exposure).collect();
    let tested: Vec<&Stratum> = strata.iter().filter(|s| s.reference >= 2).collect();
    if tested.is_empty() {
        return Some(Divergence { statistic: None, p: None, probes });
    }
    let all: Vec<Observation> = tested.iter().flat_map(|s| s.pairs.iter().copied()).collect();
    let hazard = cumulative_hazard(&all);
    let runs: Vec<Vec<f64>> = tested.par_iter().map(|s| s.run(&hazard, settings)).collect();
    let mut totals = vec![0.0; settings.permutations as usize + 1];
    for run in &runs {
        totals.iter_mut().zip(run).for_each(|(total, value)| *total += value);
    }
    let p = permutation_p_value(totals[0], totals[1..].iter().copied());
    Some(Divergence { statistic: Some(totals[0] / tested.len() as f64), p: Some(p), probes })
}

/// One probe's answers, reference first, with all their pairs.
struct Stratum {
    probe: String,
    reference: usize,
    answers: usize,
    /// Pairs `(i, j)` with `j < i` at `i (i − 1) / 2 + j`.
    pairs: Vec<Observation>,
}

fn at(i: usize, j: usize) -> usize {
    let (i, j) = if i > j { (i, j) } else { (j, i) };
    i * (i - 1) / 2 + j
}

impl Stratum {
    fn new(pair: &Pair<'_>) -> Self {
        let texts: Vec<&str> = pair.reference.iter().chain(&pair.endpoint).copied().collect();
        let pairs = (0..texts.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        Self {
            probe: pair.probe.to_owned(),
            reference: pair.reference.len(),
            answers: texts.len(),
            pairs: pairs.map(|(i, j)| first_divergence(texts[i], texts[j])).collect(),
        }
    }

    fn exposure(&self) -> ProbeExposure {
        let cross = (self.reference..self.answers).flat_map(|e| (0..self.reference).map(move |r| (e, r)));
        let own = (0..self.reference).flat_map(|i| (0..i).map(move |j| (i, j)));
        let cross_times: Vec<Observation> = cross.map(|(i, j)| self.pairs[at(i, j)]).collect();
        let own_times: Vec<Observation> = own.map(|(i, j)| self.pairs[at(i, j)]).collect();
        ProbeExposure {
            probe: self.probe.clone(),
            cross: Exposure::mean(&cross_times),
            own: Exposure::mean(&own_times),
            cross_times,
            own_times,
        }
    }

    /// The statistic of the observed labels first, then of each permutation.
    fn run(&self, hazard: &StepFunction, settings: Settings<'_>) -> Vec<f64> {
        let scores: Vec<f64> = self.pairs.iter().map(|o| f64::from(u8::from(o.event)) - hazard.at(o.time)).collect();
        let mut rng = rng::derive(settings.seed, &["divergence", settings.label, &self.probe]);
        let mut order: Vec<usize> = (0..self.answers).collect();
        let mut out = Vec::with_capacity(settings.permutations as usize + 1);
        out.push(self.statistic(&scores, &order));
        for _ in 0..settings.permutations {
            for i in 0..self.reference {
                let j = rng.random_range(i as u32..self.answers as u32) as usize;
                order.swap(i, j);
            }
            out.push(self.statistic(&scores, &order));
        }
        out
    }

    /// The first answers of `order` count as the reference's.
    fn statistic(&self, scores: &[f64], order: &[usize]) -> f64 {
        let (reference, endpoint) = order.split_at(self.reference);
        let cross: f64 = endpoint.iter().flat_map(|&e| reference.iter().map(move |&r| scores[at(e, r)])).sum();
        let own: f64 = reference
            .iter()
            .enumerate()
            .flat_map(|(k, &i)| reference[..k].iter().map(move |&j| scores[at(i, j)]))
            .sum();
        let (r, e) = (reference.len() as f64, endpoint.len() as f64);
        cross / (r * e) - own / (r * (r - 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings<'static> = Settings { permutations: 999, seed: 5, label: "t" };

    fn probes(count: usize, make: impl Fn(usize) -> (Vec<&'static str>, Vec<&'static str>)) -> Option<Divergence> {
        let ids: Vec<String> = (0..count).map(|i| format!("p{i}")).collect();
        let pairs: Vec<Pair<'_>> = ids
            .iter()
            .enumerate()
            .map(|(i, id)| {
                let (reference, endpoint) = make(i);
                Pair { probe: id, reference, endpoint }
            })
            .collect();
        divergence(&pairs, SETTINGS)
    }

    #[test]
    fn answers_that_all_agree_show_nothing() {
        let found = probes(40, |_| (vec!["same", "same"], vec!["same", "same"])).expect("answers");
        assert_eq!(found.p, Some(1.0));
        assert!(found.probes.iter().all(|p| p.cross.hazard() == 0.0));
    }

    #[test]
    fn a_dozen_probes_that_always_differ_are_significant_among_a_hundred() {
        let found = probes(100, |i| (vec!["one two"; 2], if i < 12 { vec!["one too"; 2] } else { vec!["one two"; 2] }));
        assert!(found.expect("answers").p.expect("two reference answers") <= 0.002);
    }

    #[test]
    fn a_reference_that_leaves_itself_as_often_is_no_drift() {
        // Each side gives either answer on a third of the probes, out of step with the other.
        let found = probes(90, |i| {
            let r = if i % 3 == 0 { vec!["a b", "a c"] } else { vec!["a b", "a b"] };
            let e = if i % 3 == 1 { vec!["a b", "a c"] } else { vec!["a b", "a b"] };
            (r, e)
        })
        .expect("answers");
        assert!(found.p.expect("two reference answers") > 0.05);
    }

    #[test]
    fn with_one_reference_answer_there_is_exposure_but_no_test() {
        let found = probes(3, |_| (vec!["abc"], vec!["abd"])).expect("answers");
        assert_eq!((found.statistic, found.p), (None, None));
        assert!((found.probes[0].cross.hazard() - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_false_alarm_rate_under_equal_noise_is_the_level() {
        let words = ["x y z", "x y w", "x q"];
        let rejected = (0..200_u64)
            .filter(|&seed| {
                let mut rng = rng::derive(seed, &["noise"]);
                let mut draw = || if rng.random_range(0..10) < 8 { words[0] } else { words[rng.random_range(1..3)] };
                let sides: Vec<_> = (0..60).map(|_| (vec![draw(), draw()], vec![draw(), draw()])).collect();
                let found = probes(60, |i| sides[i].clone()).expect("answers");
                found.p.expect("two reference answers") <= 0.05
            })
            .count();
        assert!(rejected <= 20, "{rejected} of 200");
    }
}
