//! Effects: how large a difference is, as a share of answers with an interval.
//!
//! Since `MMD(P, (1−ε)P + εQ) = ε MMD(P, Q)`, the root of `T / T_control` is the equivalent substitution fraction: as if this
//! share of answers came from the control. MMD² is degenerate at 0, so no Wald interval is taken there: intervals come from
//! a bootstrap over probes and are never narrower than the permutation noise of equal sources.

use super::Settings;
use super::band::{Band, HONEST_HAZARD_PER_TOKEN};
use super::control::{BUILT_IN_HAZARD_PER_TOKEN, Units, early};
use crate::stats::combination::Null;
use crate::stats::divergence::{Divergence, Exposure, ProbeExposure};
use crate::stats::interval::{Interval, clustered, normal_quantile, normal_tail};
use crate::stats::permutation::{self, TwoSample};
use crate::stats::rng;
use crate::stats::witness::Witness;
use crate::verdict::{Effect, EffectName};

/// What honest hosts may show where a control gives the unit, if that is less than the tolerance.
const BUILT_IN_BAND: f64 = HONEST_HAZARD_PER_TOKEN / BUILT_IN_HAZARD_PER_TOKEN;

/// The level of the intervals that are reported, two-sided.
pub const LEVEL: f64 = 0.95;

/// The level of the bounds that raise an alarm, two-sided. A checker runs daily over many endpoints, and bounds at 95 % are
/// passed by chance too often for that.
pub const ALARM_LEVEL: f64 = 0.998;

/// The chance with which a planned number of samples shall decide.
const POWER: f64 = 0.8;

/// An effect with what the decision needs beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sized {
    /// The effect with its interval at [`LEVEL`].
    pub effect: Effect,
    /// The ends of the interval at [`ALARM_LEVEL`].
    pub alarm: (f64, f64),
    /// p-value of its own test; absent where there is none.
    pub p: Option<f64>,
    /// What honest hosts may show, where that is more than the tolerance.
    pub band: Band,
}

impl Sized {
    /// The larger of the same effect in two views, which both bound it: where either is far it is far, and where either is wide it
    /// is wide.
    #[must_use]
    pub fn or_larger(self, other: Self, settings: &Settings) -> Self {
        let high = self.effect.high.max(other.effect.high);
        let (low, larger) =
            if other.clearance(settings) > self.clearance(settings) { (self, other) } else { (other, self) };
        let high = if larger.effect.name.is_of_drawing() { larger.effect.high } else { high };
        let alarm = (larger.alarm.0, larger.alarm.1.max(low.alarm.1));
        Self { effect: Effect { high, ..larger.effect }, alarm, ..larger }
    }

    /// The same effect, unless another view contradicts it: one that bounds nothing by itself.
    #[must_use]
    pub fn unless_contradicted(self, other: Self, settings: &Settings) -> Self {
        if other.effect.low > other.limit(settings) && other.clearance(settings) > self.clearance(settings) {
            other
        } else {
            self
        }
    }

    /// The effect as one that raises no alarm, where what is not shown may have caused it.
    #[must_use]
    pub fn without_alarm(self) -> Self {
        Self { alarm: (f64::NEG_INFINITY, f64::INFINITY), ..self }
    }

    /// The effect as found in one of so many views.
    #[must_use]
    pub fn among(self, views: usize) -> Self {
        Self { p: self.p.map(|p| (p * views as f64).min(1.0)), ..self }
    }

    fn new(name: EffectName, interval: Interval, alarm: Interval, p: Option<f64>) -> Self {
        let Interval { estimate, low, high } = interval;
        Self { effect: Effect { name, estimate, low, high }, alarm: (alarm.low, alarm.high), p, band: Band::default() }
    }

    /// The effect beside what honest hosts may show of it. A test of equality says that greedy answers of two servers are not the
    /// same, which honest ones are not either: its p-value becomes that of lying beyond the band, or beyond the tolerance where that
    /// is less, by the normal approximation.
    #[must_use]
    pub fn beside(self, band: Band, settings: &Settings) -> Self {
        let of_departures = |share: f64| if share > 0.0 { left_at(share) } else { 0.0 };
        let band = match self.effect.name {
            EffectName::Departure => {
                Band { honest: of_departures(band.honest), agreed: of_departures(band.agreed), ..band }
            }
            _ => band,
        };
        let limit = if band.honest > 0.0 { band.honest } else { settings.tolerance.min(BUILT_IN_BAND) };
        let sd = (self.effect.high - self.effect.low) / (2.0 * normal_quantile(f64::midpoint(1.0, LEVEL)));
        let beyond = normal_tail((self.effect.estimate - limit) / sd.max(f64::MIN_POSITIVE));
        Self { p: self.p.map(|p| p.max(beyond)), band, ..self }
    }

    /// The largest share that does not matter.
    pub fn limit(&self, settings: &Settings) -> f64 {
        match self.effect.name {
            EffectName::Dispersion | EffectName::Surprisal => settings.dispersion_tolerance,
            EffectName::Substitution | EffectName::Mixture | EffectName::Divergence | EffectName::Departure => {
                settings.tolerance.max(self.band.honest)
            }
        }
    }

    /// Whether its whole interval lies within the tolerance, or within what agreeing hosts show.
    pub fn is_within(&self, settings: &Settings) -> bool {
        match self.effect.name {
            EffectName::Dispersion | EffectName::Surprisal => {
                self.effect.low > -self.limit(settings) && self.effect.high < self.limit(settings)
            }
            EffectName::Substitution | EffectName::Mixture | EffectName::Divergence | EffectName::Departure => {
                self.effect.high < settings.tolerance || self.effect.high <= self.band.agreed
            }
        }
    }

    /// By how much the nearer end of the alarm's interval lies beyond the tolerance; negative when it does not.
    pub fn clearance(&self, settings: &Settings) -> f64 {
        match self.effect.name {
            EffectName::Dispersion | EffectName::Surprisal => {
                (self.alarm.0 - self.limit(settings)).max(-self.limit(settings) - self.alarm.1)
            }
            // Leaving the reference less often than it leaves itself is no drift.
            EffectName::Substitution | EffectName::Mixture | EffectName::Divergence | EffectName::Departure => {
                self.alarm.0 - self.limit(settings)
            }
        }
    }
}

/// The interval at both levels, never narrower than the noise of equal sources as permutations show it.
fn both_levels(
    clusters: usize,
    label: &[&str],
    seed: u64,
    null: Null,
    statistic: impl Fn(&[usize]) -> f64,
) -> (Interval, Interval) {
    let at = |level| clustered(clusters, level, &mut rng::derive(seed, label), &statistic);
    let interval = at(LEVEL).at_least(normal_quantile(f64::midpoint(1.0, LEVEL)) * null.sd);
    let alarm = at(ALARM_LEVEL);
    // Fewer than a thousand permutations do not reach their own 0.1 % quantile; the normal distribution's stands in.
    let reach = normal_quantile(f64::midpoint(1.0, ALARM_LEVEL)) * null.sd;
    let alarm = Interval {
        low: alarm.low.min(alarm.estimate - null.high.max(reach)),
        high: alarm.high.max(alarm.estimate - null.low.min(-reach)),
        ..alarm
    };
    (interval, alarm)
}

/// The equivalent substitution fraction, between 0 and 1; `None` without a unit for any probe.
pub fn substitution(found: &TwoSample, units: &Units, test: permutation::Settings<'_>) -> Option<Sized> {
    let probes: Vec<(f64, f64)> =
        found.probes.iter().filter_map(|p| Some((p.t, *units.sampled.get(&p.probe)?))).collect();
    let unit = probes.iter().map(|p| p.1).sum::<f64>() / probes.len() as f64;
    if probes.is_empty() || unit <= 0.0 {
        return None;
    }
    let ratio = |at: &[usize]| {
        let (t, c) = at.iter().fold((0.0, 0.0), |(t, c), &i| (t + probes[i].0, c + probes[i].1));
        // A resample of probes on which the control happens not to differ has no unit: take the whole set's.
        if c > 0.0 { t / c } else { t / at.len() as f64 / unit }
    };
    let label = ["interval", "substitution", test.label];
    let (interval, alarm) = both_levels(probes.len(), &label, test.seed, scaled(found.t_null, unit), ratio);
    let share = |x: f64| x.max(0.0).sqrt().min(1.0);
    Some(Sized::new(EffectName::Substitution, interval.map(share), alarm.map(share), Some(found.mmd_p)))
}

/// The share of sampled answers that the witness takes for the control's, beyond how many of the reference's it does.
pub fn mixture(witness: &Witness, p: Option<f64>) -> Sized {
    let at = |level| witness.share(level).map(|share| share.clamp(-1.0, 1.0));
    Sized::new(EffectName::Mixture, at(LEVEL), at(ALARM_LEVEL), p)
}

fn scaled(null: Null, unit: f64) -> Null {
    Null { sd: null.sd / unit, low: null.low / unit, high: null.high / unit }
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
    let label = ["interval", "dispersion", test.label];
    let (interval, alarm) = both_levels(all.len(), &label, test.seed, scaled(found.d_null, unit), lost);
    let share = |x: f64| x.clamp(-1.0, 1.0);
    Some(Sized::new(EffectName::Dispersion, interval.map(share), alarm.map(share), Some(found.dispersion_p)))
}

/// How much less surprising the endpoint's answers are, as a share of how surprising the reference's are; negative where they are
/// more so. `None` where the reference always answers the same.
pub fn surprisal(found: &TwoSample, test: permutation::Settings<'_>) -> Option<Sized> {
    let level = |at: &[usize]| at.iter().map(|&i| found.probes[i].reference_surprisal).sum::<f64>();
    let all: Vec<usize> = (0..found.probes.len()).collect();
    let unit = level(&all) / all.len() as f64;
    if unit <= 0.0 {
        return None;
    }
    let lost =
        |at: &[usize]| -at.iter().map(|&i| found.probes[i].surprisal).sum::<f64>() / level(at).max(f64::MIN_POSITIVE);
    let label = ["interval", "surprisal", test.label];
    let Null { sd, low, high } = scaled(found.surprisal_null, unit);
    let null = Null { sd, low: -high, high: -low };
    let (interval, alarm) = both_levels(all.len(), &label, test.seed, null, lost);
    // It is a mean over answers, and its noise within the probes that were asked is what permutations show; what other probes would
    // show is for the alarm to allow for.
    let margin = normal_quantile(f64::midpoint(1.0, LEVEL)) * sd;
    let interval = Interval { low: interval.estimate - margin, high: interval.estimate + margin, ..interval };
    let share = |x: f64| x.clamp(-1.0, 1.0);
    Some(Sized::new(EffectName::Surprisal, interval.map(share), alarm.map(share), Some(found.surprisal_p)))
}

/// The excess hazard of leaving the reference's greedy answer, as a share of the control's.
pub fn divergence(found: &Divergence, units: &Units, test: permutation::Settings<'_>) -> Option<Sized> {
    let m = found.probes.len();
    let total = |at: &[usize], of: fn(&ProbeExposure) -> Exposure| {
        at.iter().fold(Exposure::default(), |sum, &i| sum + of(&found.probes[i]))
    };
    let all: Vec<usize> = (0..m).collect();
    let characters = total(&all, |p| p.cross).characters;
    if characters <= 0.0 {
        return None;
    }
    let excess = |at: &[usize]| (total(at, |p| p.cross).hazard() - total(at, |p| p.own).hazard()) / units.pace.hazard;
    let unseen = |level: f64| unseen(m, level) * m as f64 / characters / units.pace.hazard;
    let margin = unseen(ALARM_LEVEL);
    let null = Null { sd: unseen(LEVEL) / normal_quantile(f64::midpoint(1.0, LEVEL)), low: -margin, high: margin };
    let (interval, alarm) = both_levels(m, &["interval", "divergence", test.label], test.seed, null, excess);
    let share = |x: f64| x.clamp(-1.0, 1.0);
    Some(Sized::new(EffectName::Divergence, interval.map(share), alarm.map(share), found.p))
}

/// The share of greedy answers that leave the reference's as soon as another model's do, beyond the reference's own. Where some
/// requests go to another model this is their share, since almost all that leave early are its answers; the hazard is lower
/// there, since the others stay at risk to their ends. `None` without probes.
pub fn departure(found: &Divergence, units: &Units, test: permutation::Settings<'_>) -> Option<Sized> {
    let m = found.probes.len();
    if m == 0 {
        return None;
    }
    let pace = units.pace;
    let share = |at: &[usize]| early(at.iter().map(|&i| &found.probes[i]), pace.horizon) / pace.early;
    let unseen = |level: f64| unseen(m, level) / pace.early;
    let margin = unseen(ALARM_LEVEL);
    let null = Null { sd: unseen(LEVEL) / normal_quantile(f64::midpoint(1.0, LEVEL)), low: -margin, high: margin };
    let (interval, alarm) = both_levels(m, &["interval", "departure", test.label], test.seed, null, share);
    let share = |x: f64| x.clamp(-1.0, 1.0);
    Some(Sized::new(EffectName::Departure, interval.map(share), alarm.map(share), found.p))
}

/// The share of answers that have left within the horizon of [`EffectName::Departure`], as a part of another model's, where all of
/// them leave at the rate `r` of another model's: of its answers three quarters have, so that it is `(1 − 4^−r) / 0.75`.
pub fn left_at(rate: f64) -> f64 {
    (1.0 - 4.0_f64.powf(-rate)) / 0.75
}

/// The share of probes that may show something although none of `m` did (the exact binomial bound).
fn unseen(m: usize, level: f64) -> f64 {
    1.0 - (1.0 - level).powf(1.0 / m as f64)
}

/// Answers per probe and side with which the noise would be small enough to decide at the tolerance, with a chance of 80 %
/// (`sd₀ ∝ 1/n` for equal sides).
pub fn samples_to_decide(found: &TwoSample, units: &Units, settings: &Settings) -> Option<u32> {
    let unit = found.probes.iter().filter_map(|p| units.sampled.get(&p.probe)).sum::<f64>() / found.probes.len() as f64;
    let target = settings.tolerance.powi(2) * unit;
    let needed = (normal_quantile(f64::midpoint(1.0, LEVEL)) + normal_quantile(POWER)) * found.t_null.sd;
    if target <= 0.0 || needed <= target {
        return None;
    }
    Some(to_ask_for(found.answers_per_probe * needed / target))
}

/// Answers per probe and side with which the intervals of what is drawn would lie within their tolerances, if the estimates stay
/// what they are; `None` when they lie there or no number would do.
pub fn samples_to_settle(answers_per_probe: f64, effects: &[Sized], settings: &Settings) -> Option<u32> {
    let drawn = effects.iter().filter(|s| s.effect.name.is_of_drawing() && !s.is_within(settings));
    let factors = drawn.map(|s| {
        let room = s.limit(settings) - s.effect.estimate.abs();
        let half = (s.effect.high - s.effect.low) / 2.0;
        (room > 0.0).then_some((half / room).powi(2))
    });
    let factor = factors.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)?;
    // An interval that leans to one side may ask for no more than there is, and more it must be.
    let more = answers_per_probe.floor() + 1.0;
    Some(to_ask_for((answers_per_probe * factor).max(more)))
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
    Some(to_ask_for(probes as f64 * (half / room).powi(2)))
}

/// The steps of numbers to ask for, within a power of ten.
const STEPS: [f64; 6] = [1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

/// An estimate as a number to ask for, on the next step: it rests on one draw of answers, and another would give another.
fn to_ask_for(estimate: f64) -> u32 {
    let power = 10.0_f64.powf(estimate.max(1.0).log10().floor());
    let step = STEPS.into_iter().map(|step| (step * power).ceil()).find(|step| *step >= estimate);
    step.unwrap_or(estimate).min(f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::control::{Pace, Unit};
    use crate::stats::Pair;
    use crate::stats::divergence::divergence as diverge;

    const TEST: permutation::Settings<'static> = permutation::Settings { permutations: 99, seed: 3, label: "t" };
    const SETTINGS: Settings =
        Settings { seed: 0, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };

    /// Greedy answers of a hundred characters to two hundred probes. Those to the first `moved` of them are another model's, which
    /// differ from the sixth to ninth character on.
    fn greedy(moved: usize) -> Divergence {
        let reference = "a".repeat(100);
        let other: Vec<String> = (0..4).map(|i| format!("{}{}", "a".repeat(5 + i), "b".repeat(95 - i))).collect();
        let ids: Vec<String> = (0..200).map(|i| format!("p{i}")).collect();
        let of = |i: usize| if i < moved { other[i % 4].as_str() } else { reference.as_str() };
        let pairs: Vec<Pair<'_>> = ids
            .iter()
            .enumerate()
            .map(|(i, id)| Pair { probe: id, reference: vec![&reference; 2], endpoint: vec![of(i); 2] })
            .collect();
        diverge(&pairs, TEST).expect("probes")
    }

    fn control() -> Units {
        Units {
            sampled: std::collections::BTreeMap::new(),
            sampled_from: Some(Unit::Measured),
            pace: Pace::measured(&greedy(200)).expect("another model leaves"),
        }
    }

    #[test]
    fn the_departure_is_the_share_of_requests_that_go_elsewhere_where_the_hazard_is_far_less() {
        let found = departure(&greedy(40), &control(), TEST).expect("probes");
        assert!((found.effect.estimate - 0.2).abs() < 1e-9, "{:?}", found.effect);
        assert!(found.effect.low > 0.1 && found.effect.high < 0.3, "{:?}", found.effect);
        assert!(found.clearance(&SETTINGS) > 0.0, "{:?}", found.alarm);
        let hazard = divergence(&greedy(40), &control(), TEST).expect("probes");
        assert!(hazard.effect.estimate < 0.02, "{:?}", hazard.effect);
    }

    #[test]
    fn who_never_leaves_has_no_departure_and_leaves_room_for_what_was_not_seen() {
        let found = departure(&greedy(0), &control(), TEST).expect("probes");
        assert!(found.effect.estimate.abs() < 1e-12);
        assert!(found.effect.high > 0.01 && found.clearance(&SETTINGS) < 0.0, "{found:?}");
    }

    #[test]
    fn advice_is_on_a_few_steps_whatever_answers_were_drawn() {
        let asked = |estimates: &[f64]| estimates.iter().map(|n| to_ask_for(*n)).collect::<Vec<_>>();
        assert_eq!(asked(&[0.3, 1.0, 1.2, 2.0, 3.1, 5.0, 5.1, 10.0]), [1, 1, 2, 2, 5, 5, 10, 10]);
        assert_eq!(asked(&[10.1, 15.0, 17.3, 21.0, 44.0, 61.0, 100.0]), [15, 15, 20, 30, 50, 100, 100]);
        assert_eq!(
            asked(&[101.0, 480.0, 1000.0, 1001.0, 2e8, f64::INFINITY]),
            [150, 500, 1000, 1500, 200_000_000, u32::MAX]
        );
    }

    #[test]
    fn the_horizon_of_a_constant_pace_holds_three_quarters() {
        let pace = Pace::constant(0.05);
        assert_eq!(pace.horizon, 28);
        assert!((pace.early - 0.75).abs() < 0.01, "{pace:?}");
    }
}
