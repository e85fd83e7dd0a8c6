//! The control: what "another model" looks like, which is the unit of the effects.
//!
//! Best is an endpoint that is known to serve another model: it is asked the same probes in the same run, and it shows that
//! the tests could have fired. Without one the unit is built in: for sampled answers the reference's own answers to *other
//! probes*, the farthest that any model could be; for greedy answers a published rate.

use std::collections::BTreeMap;

use super::{GreedySummary, Settings, pairs, test_settings};
use crate::sample::Asking;
use crate::signal::answers::Answers;
use crate::stats::Pair;
use crate::stats::divergence::{Divergence, Exposure, ProbeExposure, divergence};
use crate::stats::permutation::two_sample;

/// Divergences for each token that count as another model where no control says otherwise. Token-DiFR (arXiv 2511.20621)
/// found that another model changes over 20 % of tokens, another system prompt 5–20 %, and 8-bit weights 1–3 %.
pub const BUILT_IN_HAZARD_PER_TOKEN: f64 = 0.2;

/// Characters of a token where no host reports token counts: a round figure for English.
pub const CHARACTERS_PER_TOKEN: f64 = 4.0;

/// The unit of the effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// The endpoint that serves as control, if one does.
    pub endpoint: Option<String>,
    /// The control's p-value, when it was tested: the same test that judges the endpoints.
    pub p_value: Option<f64>,
    /// MMD² of the control for each sampled probe (mean of the combined kernels).
    pub sampled: BTreeMap<String, f64>,
    /// How soon greedy answers leave the reference's.
    pub pace: Pace,
    /// Characters of a token, from the reference's greedy answers; absent where no host reports token counts.
    pub characters_per_token: Option<f64>,
}

/// How soon another model's greedy answers leave the reference's, beyond how soon the reference leaves itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Divergences for each character at risk.
    pub hazard: f64,
    /// Characters within which most of the answers have left that ever do: early enough that honest noise has moved few, and late
    /// enough that what other requests show is not thrown away.
    pub horizon: u32,
    /// The share of answers that have left by then, above 0 and up to 1.
    pub early: f64,
    /// Where these come from.
    pub unit: Unit,
}

/// Where a unit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From a control that answered the same probes.
    Measured,
    /// From the literature.
    BuiltIn,
}

/// The share of departures that a horizon holds.
const MOST: f64 = 0.75;

impl Pace {
    /// Of answers that leave at a constant hazard for each character, above 0.
    pub fn constant(hazard: f64) -> Self {
        let horizon = (-(1.0 - MOST).ln() / hazard).ceil();
        Self { hazard, horizon: horizon as u32, early: 1.0 - (-hazard * horizon).exp(), unit: Unit::BuiltIn }
    }

    /// As measured; `None` where the answers do not leave the reference's more often than it leaves itself.
    pub fn measured(found: &Divergence) -> Option<Self> {
        let hazard = cross(found).hazard() - own(found).map_or(0.0, Exposure::hazard);
        let mut times: Vec<u32> =
            found.probes.iter().flat_map(|p| &p.cross_times).filter(|o| o.event).map(|o| o.time).collect();
        times.sort_unstable();
        let last = (MOST * times.len() as f64).ceil() as usize;
        let horizon = times.get(last.saturating_sub(1)).copied()?;
        let early = early(&found.probes, horizon);
        (hazard > 0.0 && early > 0.0).then_some(Self { hazard, horizon, early, unit: Unit::Measured })
    }
}

/// The share of greedy answers, over all probes alike, that have left within so many characters, beyond the reference's own.
pub(super) fn early<'a>(probes: impl IntoIterator<Item = &'a ProbeExposure>, horizon: u32) -> f64 {
    let (sum, n) = probes.into_iter().fold((0.0, 0.0), |(sum, n), p| (sum + p.early(horizon), n + 1.0));
    if n > 0.0 { sum / n } else { 0.0 }
}

impl Control {
    /// From the control's answers where there are any, else built in.
    pub fn establish(reference: &Answers<'_>, control: Option<(&str, Answers<'_>)>, settings: &Settings) -> Self {
        let characters_per_token = characters_per_token(reference);
        let per_token = characters_per_token.unwrap_or(CHARACTERS_PER_TOKEN);
        let mut out = Self {
            endpoint: None,
            p_value: None,
            sampled: BTreeMap::new(),
            pace: Pace::constant(BUILT_IN_HAZARD_PER_TOKEN / per_token),
            characters_per_token,
        };
        if let Some((name, answers)) = control.filter(|(_, answers)| answers.count() > 0) {
            out.measure(name, reference, &answers, settings);
        }
        if out.sampled.is_empty() {
            out.sampled = other_probes(reference, settings);
        }
        out
    }

    fn measure(&mut self, name: &str, reference: &Answers<'_>, answers: &Answers<'_>, settings: &Settings) {
        let test = test_settings(settings, name);
        self.endpoint = Some(name.to_owned());
        let mut p_values = Vec::new();
        if let Some(found) = two_sample(&pairs(reference, answers, Asking::Sampled), test) {
            p_values.push(found.p);
            self.sampled = found.probes.into_iter().map(|p| (p.probe, p.t)).collect();
        }
        if let Some(found) = divergence(&pairs(reference, answers, Asking::Greedy), test) {
            p_values.extend(found.p);
            self.pace = Pace::measured(&found).unwrap_or(self.pace);
        }
        let smallest = p_values.iter().copied().reduce(f64::min);
        self.p_value = smallest.map(|p| (p * p_values.len() as f64).min(1.0));
    }

    /// The greedy hazards for people: for each token where token counts are known, else for each character.
    pub fn greedy_summary(&self, found: &Divergence) -> GreedySummary {
        let scale = self.characters_per_token.unwrap_or(1.0);
        let m = found.probes.len().max(1) as f64;
        let own = own(found);
        GreedySummary {
            probes: found.probes.len(),
            hazard: cross(found).hazard() * scale,
            own_hazard: own.map(|o| o.hazard() * scale),
            control_hazard: self.pace.hazard * scale,
            differing: cross(found).events / m,
            own_differing: own.map(|o| o.events / m),
        }
    }
}

/// Exposure between endpoint and reference, over all probes.
pub(super) fn cross(found: &Divergence) -> Exposure {
    found.probes.iter().fold(Exposure::default(), |sum, p| sum + p.cross)
}

/// Exposure of the reference against itself; `None` when no probe has two of its answers.
pub(super) fn own(found: &Divergence) -> Option<Exposure> {
    let sum = found.probes.iter().fold(Exposure::default(), |sum, p| sum + p.own);
    (sum.characters > 0.0).then_some(sum)
}

fn characters_per_token(reference: &Answers<'_>) -> Option<f64> {
    let (mut characters, mut tokens) = (0_u64, 0_u64);
    for (_, answers) in reference.probes(Asking::Greedy) {
        for answer in answers {
            if let Some(count) = answer.sample.usage.and_then(|u| u.completion_tokens) {
                characters += answer.text.chars().count() as u64;
                tokens += count;
            }
        }
    }
    (tokens > 0 && characters > 0).then(|| characters as f64 / tokens as f64)
}

/// Each probe's reference answers against those to the next probe.
fn other_probes(reference: &Answers<'_>, settings: &Settings) -> BTreeMap<String, f64> {
    let probes: Vec<_> = reference.probes(Asking::Sampled).collect();
    if probes.len() < 2 {
        return BTreeMap::new();
    }
    let texts = |i: usize| -> Vec<&str> { probes[i % probes.len()].1.iter().map(|a| &*a.text).collect() };
    let shifted: Vec<Pair<'_>> =
        (0..probes.len()).map(|i| Pair { probe: probes[i].0, reference: texts(i), endpoint: texts(i + 1) }).collect();
    // Only the statistic is wanted, so one permutation is enough.
    let test = crate::stats::permutation::Settings { permutations: 1, ..test_settings(settings, "other probes") };
    two_sample(&shifted, test)
        .map_or_else(BTreeMap::new, |found| found.probes.into_iter().map(|p| (p.probe, p.t)).collect())
}
