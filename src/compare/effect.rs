//! Effects: how large a difference is, as a share of answers with an interval.
//!
//! Since `MMD(P, (1−ε)P + εQ) = ε MMD(P, Q)`, the root of `T / T_control` is the equivalent substitution fraction: as if this
//! share of answers came from the control. MMD² is degenerate at 0, so no Wald interval is taken there: intervals come from
//! a bootstrap over probes and are never narrower than the permutation noise of equal sources.

use super::Settings;
use super::control::Control;
use crate::stats::divergence::{Divergence, Exposure, ProbeExposure};
use crate::stats::interval::{Interval, clustered, normal_quantile};
use crate::stats::permutation::{self, TwoSample};
use crate::stats::rng;
use crate::verdict::{Effect, EffectName};

/// The level of all intervals, two-sided.
pub const LEVEL: f64 = 0.95;

/// The chance with which a planned number of samples shall decide.
const POWER: f64 = 0.8;

/// An effect with the p-value of the test behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sized {
    /// The effect.
    pub effect: Effect,
    /// p-value of its own test; absent where there is none.
    pub p: Option<f64>,
}

fn sized(name: EffectName, interval: Interval, p: Option<f64>) -> Sized {
    Sized { effect: Effect { name, estimate: interval.estimate, low: interval.low, high: interval.high }, p }
}

/// The margin that equal sources alone would make, at [`LEVEL`].
fn null_margin(sd: f64) -> f64 {
    normal_quantile(f64::midpoint(1.0, LEVEL)) * sd
}

/// The equivalent substitution fraction, between 0 and 1; `None` without a unit for any probe.
pub fn substitution(found: &TwoSample, control: &Control, test: permutation::Settings<'_>) -> Option<Sized> {
    let probes: Vec<(f64, f64)> =
        found.probes.iter().filter_map(|p| Some((p.t, *control.sampled.get(&p.probe)?))).collect();
    let unit = probes.iter().map(|p| p.1).sum::<f64>() / probes.len() as f64;
    if probes.is_empty() || unit <= 0.0 {
        return None;
    }
    let ratio = |at: &[usize]| {
        let (t, c) = at.iter().fold((0.0, 0.0), |(t, c), &i| (t + probes[i].0, c + probes[i].1));
        // A resample of probes on which the control happens not to differ has no unit: take the whole set's.
        if c > 0.0 { t / c } else { t / at.len() as f64 / unit }
    };
    let mut rng = rng::derive(test.seed, &["interval", "substitution", test.label]);
    let interval = clustered(probes.len(), LEVEL, &mut rng, ratio).at_least(null_margin(found.t_null_sd) / unit);
    let share = interval.map(|x| x.max(0.0).sqrt().min(1.0));
    Some(sized(EffectName::Substitution, share, Some(found.mmd_p)))
}

/// The share of the reference's diversity that the endpoint's answers lack (positive) or have beyond it (negative).
pub fn dispersion(found: &TwoSample, test: permutation::Settings<'_>) -> Option<Sized> {
    let diversity = |at: &[usize]| at.iter().map(|&i| 1.0 - found.probes[i].within_reference).sum::<f64>();
    let all: Vec<usize> = (0..found.probes.len()).collect();
    let unit = diversity(&all) / all.len() as f64;
    if unit <= 0.0 {
        return None;
    }
    let lost = |at: &[usize]| {
        let d: f64 = at.iter().map(|&i| found.probes[i].within_endpoint - found.probes[i].within_reference).sum();
        let there = diversity(at);
        if there > 0.0 { d / there } else { d / at.len() as f64 / unit }
    };
    let mut rng = rng::derive(test.seed, &["interval", "dispersion", test.label]);
    let interval = clustered(all.len(), LEVEL, &mut rng, lost).at_least(null_margin(found.d_null_sd) / unit);
    Some(sized(EffectName::Dispersion, interval.map(|x| x.clamp(-1.0, 1.0)), Some(found.dispersion_p)))
}

/// The excess hazard of leaving the reference's greedy answer, as a share of the control's.
pub fn divergence(found: &Divergence, control: &Control, test: permutation::Settings<'_>) -> Option<Sized> {
    let m = found.probes.len();
    let total = |at: &[usize], of: fn(&ProbeExposure) -> Exposure| {
        at.iter().fold(Exposure::default(), |sum, &i| sum.add(of(&found.probes[i])))
    };
    let excess = |at: &[usize]| (total(at, |p| p.cross).hazard() - total(at, |p| p.own).hazard()) / control.hazard;
    let mut rng = rng::derive(test.seed, &["interval", "divergence", test.label]);
    // m probes without one divergence still leave room for a share of 1 − α^(1/m) of probes (the exact binomial bound).
    let all: Vec<usize> = (0..m).collect();
    let characters = total(&all, |p| p.cross).characters;
    if characters <= 0.0 {
        return None;
    }
    let unseen = 1.0 - (1.0 - LEVEL).powf(1.0 / m as f64);
    let margin = unseen * m as f64 / characters / control.hazard;
    let interval = clustered(m, LEVEL, &mut rng, excess).at_least(margin);
    Some(sized(EffectName::Divergence, interval.map(|x| x.clamp(-1.0, 1.0)), found.p))
}

/// Answers per probe and side with which the noise would be small enough to decide at the tolerance, with a chance of 80 %
/// (`sd₀ ∝ 1/n` for equal sides).
pub fn samples_to_decide(found: &TwoSample, control: &Control, settings: &Settings) -> Option<u32> {
    let unit =
        found.probes.iter().filter_map(|p| control.sampled.get(&p.probe)).sum::<f64>() / found.probes.len() as f64;
    let target = settings.tolerance.powi(2) * unit;
    let needed = (normal_quantile(f64::midpoint(1.0, LEVEL)) + normal_quantile(POWER)) * found.t_null_sd;
    if target <= 0.0 || needed <= target {
        return None;
    }
    Some((found.answers_per_probe * needed / target).ceil().min(f64::from(u32::MAX)) as u32)
}

/// Greedy probes with which the interval of the divergence would lie within the tolerance, if the estimate stays what it
/// is (half-widths shrink with the root of the number of probes). `None` when it lies there or no number would do.
pub fn probes_to_decide(probes: usize, effects: &[Sized], settings: &Settings) -> Option<u32> {
    let effect = &effects.iter().find(|s| s.effect.name == EffectName::Divergence)?.effect;
    let room = settings.tolerance - effect.estimate;
    let half = effect.high - effect.estimate;
    if room <= 0.0 || half < room {
        return None;
    }
    Some((probes as f64 * (half / room).powi(2)).ceil().min(f64::from(u32::MAX)) as u32)
}
