//! The control: what "another model" looks like, which is the unit of the effects.
//!
//! Best is an endpoint that is known to serve another model: it is asked the same probes in the same run, and it shows that
//! the tests could have fired. Without one the unit comes from the reference: for sampled answers its answers to *other probes*, the
//! farthest that any model could be; for greedy answers how soon draws of its own leave them, or a published rate if that is less.

use std::collections::{BTreeMap, HashMap};

use super::view::{View, drawn_pairs, pairs};
use super::{GreedySummary, Settings, test_settings};
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::signal::tokens::most_tokens;
use crate::stats::Pair;
use crate::stats::divergence::{Divergence, Exposure, ProbeExposure, divergence};
use crate::stats::permutation::{TwoSample, two_sample, two_sample_by_kernels};

/// Divergences for each token that count as another model where no control says otherwise. Token-DiFR (arXiv 2511.20621)
/// found that another model changes over 20 % of tokens, another system prompt 5–20 %, and 8-bit weights 1–3 %.
pub const BUILT_IN_HAZARD_PER_TOKEN: f64 = 0.2;

/// Characters of a token where no host reports token counts: a round figure for English.
pub const CHARACTERS_PER_TOKEN: f64 = 4.0;

/// The most divergences for each token that any two models have: where one always parts at its first word, a rate by characters says
/// several for each token, and a share of that is more than it seems.
const MOST_PER_TOKEN: f64 = 1.0;

/// The unit of the effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// The endpoint that serves as control, if one does.
    pub endpoint: Option<String>,
    /// The control's p-value, when it was tested: the same test that judges the endpoints.
    pub p_value: Option<f64>,
    /// The unit where content is compared.
    pub content: Units,
    /// The unit where all that was generated is.
    pub generated: Units,
    /// Characters of a token, from the reference's greedy answers; absent where no host reports token counts, or none that can be
    /// those of what it shows.
    pub characters_per_token: Option<f64>,
}

/// What another model looks like in one view.
#[derive(Debug, Clone, PartialEq)]
pub struct Units {
    /// MMD² of the control for each sampled probe (mean of the combined kernels).
    pub sampled: BTreeMap<String, f64>,
    /// Where that comes from; `None` where nothing says how far another model would be.
    pub sampled_from: Option<Unit>,
    /// How soon greedy answers leave the reference's.
    pub pace: Pace,
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
    /// From draws of the reference's own on the same probes: how uncertain it is where it was asked.
    Draws,
    /// From the literature.
    BuiltIn,
}

/// The fewest draws that must have left the greedy answers before their rate is a unit: its standard error is then under a quarter.
const DEPARTED_DRAWS: f64 = 20.0;

/// The share of departures that a horizon holds.
const MOST: f64 = 0.75;

impl Pace {
    /// Of answers that leave at a constant hazard for each character, above 0.
    pub fn constant(hazard: f64) -> Self {
        let horizon = (-(1.0 - MOST).ln() / hazard).ceil();
        Self { hazard, horizon: horizon as u32, early: 1.0 - (-hazard * horizon).exp(), unit: Unit::BuiltIn }
    }

    /// As fast as draws of the reference leave its greedy answers, beyond how fast it leaves itself; `None` where too few do.
    fn of_draws(reference: &Answers<'_>, draws: &Answers<'_>, view: View, settings: &Settings) -> Option<Self> {
        let found = divergence(&drawn_pairs(reference, draws, view), test_settings(settings, "draws"))?;
        let hazard = cross(&found).hazard() - own(&found).map_or(0.0, Exposure::hazard);
        let enough = cross(&found).events >= DEPARTED_DRAWS && hazard > 0.0;
        enough.then(|| Self { unit: Unit::Draws, ..Self::constant(hazard) })
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

    /// The same, at no more than so many divergences for each character.
    fn at_most(self, hazard: f64) -> Self {
        Self { hazard: self.hazard.min(hazard), ..self }
    }
}

/// The share of greedy answers, over all probes alike, that have left within so many characters, beyond the reference's own.
pub(super) fn early<'a>(probes: impl IntoIterator<Item = &'a ProbeExposure>, horizon: u32) -> f64 {
    let (sum, n) = probes.into_iter().fold((0.0, 0.0), |(sum, n), p| (sum + p.early(horizon), n + 1.0));
    if n > 0.0 { sum / n } else { 0.0 }
}

impl Control {
    /// From the control's answers where there are any, else from the reference's draws to its greedy probes, else built in.
    pub fn establish(
        reference: &Answers<'_>,
        draws: &Answers<'_>,
        control: Option<(&str, Answers<'_>)>,
        settings: &Settings,
    ) -> Self {
        let characters_per_token = characters_per_token(reference);
        let per_character = |hazard: f64| hazard / characters_per_token.unwrap_or(CHARACTERS_PER_TOKEN);
        let built_in = Pace::constant(per_character(BUILT_IN_HAZARD_PER_TOKEN));
        // Of an uncertain model honest hosts were seen to part no sooner than the published rate, so that it is the most.
        let pace = |view| {
            Pace::of_draws(reference, draws, view, settings).filter(|p| p.hazard < built_in.hazard).unwrap_or(built_in)
        };
        let control = control.filter(|(_, answers)| answers.count() > 0);
        let found = |view| {
            let measure = |(name, answers): &(&str, Answers<'_>)| {
                let test = test_settings(settings, name);
                (
                    two_sample(&pairs(reference, answers, Asking::Sampled, view), test),
                    divergence(&pairs(reference, answers, Asking::Greedy, view), test),
                )
            };
            control.as_ref().map_or((None, None), measure)
        };
        let content = found(View::Content);
        // A control that is not told apart from the reference is no other model as far as anybody sees, and no unit.
        let told_apart = |p: Option<f64>| p.is_some_and(|p| p <= settings.alpha);
        let units = |(sampled, greedy): &(Option<TwoSample>, Option<Divergence>), view| {
            let (sampled_from, sampled) = match sampled.as_ref().filter(|s| told_apart(Some(s.p))) {
                Some(found) => (Some(Unit::Measured), found.probes.iter().map(|p| (p.probe.clone(), p.t)).collect()),
                None => match other_probes(reference, view, settings) {
                    Some(unit) => (Some(Unit::BuiltIn), unit),
                    None => (None, BTreeMap::new()),
                },
            };
            // One reference answer a probe leaves no test, and what is measured stands.
            let greedy = greedy.as_ref().filter(|g| g.p.is_none() || told_apart(g.p));
            let measured = greedy.and_then(Pace::measured).map(|p| p.at_most(per_character(MOST_PER_TOKEN)));
            Units { sampled, sampled_from, pace: measured.unwrap_or_else(|| pace(view)) }
        };
        let thinks = reference.compared().any(|a| a.thought.is_some());
        let content_units = units(&content, View::Content);
        Self {
            endpoint: control.as_ref().map(|(name, _)| (*name).to_owned()),
            p_value: smallest_p(&content),
            generated: if thinks { units(&found(View::Generated), View::Generated) } else { content_units.clone() },
            content: content_units,
            characters_per_token,
        }
    }

    /// The unit of a view.
    pub fn units(&self, view: View) -> &Units {
        match view {
            View::Content | View::AfterEqualThoughts => &self.content,
            View::Generated => &self.generated,
        }
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
            control_hazard: self.content.pace.hazard * scale,
            differing: cross(found).events / m,
            own_differing: own.map(|o| o.events / m),
        }
    }
}

/// The smaller p-value of both ways of asking, doubled when both were tested.
fn smallest_p((sampled, greedy): &(Option<TwoSample>, Option<Divergence>)) -> Option<f64> {
    let p_values: Vec<f64> =
        [sampled.as_ref().map(|s| s.p), greedy.as_ref().and_then(|g| g.p)].into_iter().flatten().collect();
    let smallest = p_values.iter().copied().reduce(f64::min)?;
    Some((smallest * p_values.len() as f64).min(1.0))
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

/// Fewest characters for each token that text in other letters than Latin ones has, and the most that any has: a count outside these is
/// of tokens that are not shown, or of none. Tokenizers of large models make three to five characters of English a token, and one
/// or two of Chinese.
const PLAUSIBLE: (f64, f64) = (0.4, 12.0);

/// Over the reference's greedy answers; `None` where the host counts nothing, or what cannot be the tokens of what it shows.
fn characters_per_token(reference: &Answers<'_>) -> Option<f64> {
    let (mut characters, mut latin, mut most, mut tokens) = (0_usize, 0_usize, 0.0, 0_u64);
    for answer in reference.probes(Asking::Greedy).flat_map(|(_, answers)| answers) {
        if let Some(count) = shown_tokens(answer) {
            characters += answer.generated().chars().count();
            latin += answer.generated().chars().filter(char::is_ascii).count();
            most += most_tokens(answer.generated());
            tokens += count;
        }
    }
    let ratio = characters as f64 / tokens as f64;
    let are_shown = if 2 * latin > characters { tokens as f64 <= most } else { ratio >= PLAUSIBLE.0 };
    (tokens > 0 && are_shown && ratio <= PLAUSIBLE.1).then_some(ratio)
}

/// Tokens of what an answer shows: hosts count those of hidden thoughts among the answer's.
fn shown_tokens(answer: &Answer<'_>) -> Option<u64> {
    let hidden = answer.reasoning_tokens().filter(|_| answer.thought.is_none()).unwrap_or(0);
    answer.completion_tokens()?.checked_sub(hidden)
}

/// From this share of answers on that the reference gives to other probes as well, these are not far from a probe's own, and another
/// model would be farther.
const SHARED: f64 = 0.25;

/// The share of the reference's answers whose text is an answer of it to another probe too.
fn shared(probes: &[Pair<'_>]) -> f64 {
    let form = |text: &str| text.trim().to_lowercase();
    let mut first: HashMap<String, (usize, bool)> = HashMap::new();
    let all = || probes.iter().enumerate().flat_map(|(i, p)| p.reference.iter().map(move |text| (i, form(text))));
    for (i, text) in all() {
        let (of, several) = first.entry(text).or_insert((i, false));
        *several |= *of != i;
    }
    let of_several: Vec<bool> = all().map(|(_, text)| first.get(&text).is_some_and(|(_, several)| *several)).collect();
    of_several.iter().filter(|several| **several).count() as f64 / of_several.len().max(1) as f64
}

/// Each probe's reference answers against those to the next probe; `None` where probes share answers.
fn other_probes(reference: &Answers<'_>, view: View, settings: &Settings) -> Option<BTreeMap<String, f64>> {
    // Each probe beside itself: a pair's reference side is what one side shows in this view.
    let probes = pairs(reference, reference, Asking::Sampled, view);
    if probes.len() < 2 {
        return Some(BTreeMap::new());
    }
    if shared(&probes) >= SHARED {
        return None;
    }
    let texts = |i: usize| probes[i % probes.len()].reference.clone();
    let shifted: Vec<Pair<'_>> = (0..probes.len())
        .map(|i| Pair { probe: probes[i].probe, reference: texts(i), endpoint: texts(i + 1) })
        .collect();
    // Only the statistic is wanted, so one permutation is enough.
    let test = crate::stats::permutation::Settings { permutations: 1, ..test_settings(settings, "other probes") };
    let found = two_sample_by_kernels(&shifted, test).map(|found| found.probes).unwrap_or_default();
    Some(found.into_iter().map(|p| (p.probe, p.t)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use crate::compare::{Comparison, Roles};
    use crate::sample::{Purpose, Sample, SampleParameters, Traits, drawn_id};
    use crate::verdict::{EffectName, Verdict};

    /// Twenty answers of a word and what is said with it, to each of twenty probes: of the endpoint's, this share are the first word.
    fn compared(share: f64, words: impl Fn(usize) -> [String; 2]) -> Comparison {
        let of = |endpoint: &'static str, share: f64| {
            let words = &words;
            (0..20).flat_map(move |probe| {
                (0..20).map(move |n| {
                    let text = words(probe)[usize::from(f64::from(n) >= 20.0 * share)].clone();
                    Sample { replicate: n, ..Sample::new(endpoint, format!("p{probe:02}"), text) }
                })
            })
        };
        let samples: Vec<Sample> = of("r", 0.5).chain(of("e", share)).collect();
        let settings = Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 999 };
        compare(&samples, &Roles::new("r", vec!["e"]), &settings).expect("comparable")
    }

    #[test]
    fn where_probes_share_answers_nothing_says_how_far_another_model_would_be() {
        let found = compared(0.8, |_| ["left".to_owned(), "right".to_owned()]);
        assert_eq!(found.control.content.sampled_from, None);
        let e = &found.endpoints[0];
        assert!(e.p_value.is_some_and(|p| p <= 0.01), "{:?}", e.p_value);
        assert!(e.effects.iter().all(|s| s.effect.name != EffectName::Substitution), "{:?}", e.effects);
        assert_ne!(e.verdict, Verdict::Consistent);
    }

    #[test]
    fn where_each_probe_has_answers_of_its_own_other_probes_are_the_unit() {
        let found = compared(0.8, |probe| [format!("{probe} left"), format!("{probe} right")]);
        assert_eq!(found.control.content.sampled_from, Some(Unit::BuiltIn));
        let effects = &found.endpoints[0].effects;
        let share = effects.iter().find(|s| s.effect.name == EffectName::Substitution).expect("a unit");
        assert!(share.effect.estimate < 0.6, "{:?}", share.effect);
    }

    const SETTINGS: Settings =
        Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };

    fn answer(probe: &str, temperature: f64, text: String) -> Sample {
        let purpose = if temperature > 0.0 { Purpose::Draw } else { Purpose::Comparison };
        let traits = Some(Traits { purpose, ..Traits::default() });
        let parameters = SampleParameters { temperature: Some(temperature), traits, ..SampleParameters::default() };
        Sample { parameters: Some(parameters), ..Sample::new("reference", probe, text) }
    }

    /// Greedy answers of 400 characters to 40 probes, and draws that leave them after so many.
    fn reference(leaves_after: usize) -> Vec<Sample> {
        let probes = (0..40).map(|i| format!("p{i}"));
        probes
            .flat_map(|probe| {
                let draw = "a".repeat(leaves_after) + "b";
                [answer(&probe, 0.0, "a".repeat(400)), answer(&drawn_id(&probe), 1.0, draw)]
            })
            .collect()
    }

    fn pace(samples: &[Sample]) -> Pace {
        let answers = Answers::new(samples);
        Control::establish(&answers, &answers, None, &SETTINGS).content.pace
    }

    #[test]
    fn draws_of_the_reference_are_the_unit_of_its_greedy_answers() {
        let pace = pace(&reference(99));
        assert_eq!(pace.unit, Unit::Draws);
        assert!((pace.hazard - 0.01).abs() < 1e-3, "{pace:?}");
    }

    #[test]
    fn a_control_that_parts_at_its_first_letter_parts_no_more_than_once_a_token() {
        let samples = reference(99);
        let answers = Answers::new(&samples);
        let others: Vec<Sample> = (0..40).map(|i| answer(&format!("p{i}"), 0.0, "b".repeat(400))).collect();
        let control = Control::establish(&answers, &answers, Some(("c", Answers::new(&others))), &SETTINGS);
        let pace = control.content.pace;
        assert_eq!(pace.unit, Unit::Measured);
        assert!((pace.hazard - 1.0 / CHARACTERS_PER_TOKEN).abs() < 1e-12, "{pace:?}");
    }

    #[test]
    fn too_few_draws_or_draws_of_a_very_uncertain_model_leave_the_published_rate() {
        assert_eq!(pace(&reference(99)[..30]).unit, Unit::BuiltIn, "15 draws");
        assert_eq!(pace(&reference(3)).unit, Unit::BuiltIn, "one divergence every four characters");
    }

    #[test]
    fn draws_take_no_part_in_the_comparison() {
        let samples = reference(99);
        let answers = Answers::new(&samples);
        assert_eq!((answers.probes(Asking::Greedy).count(), answers.probes(Asking::Sampled).count()), (40, 0));
    }
}
