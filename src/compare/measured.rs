//! All that is seen of one endpoint beside the reference, before it is judged.

use super::band::Band;
use super::control::{Pace, Unit};
use super::effect::Sized;
use super::thinking::Thinking;
use super::view::{Disclosure, View, pairs};
use super::{Against, Depth, EndpointComparison, GreedySummary, Known, Observed, Settings, effect, test_settings};
use crate::diagnose::{self, Counts, Evidence};
use crate::sample::Asking;
use crate::signal::answers::{Answer, Answers};
use crate::signal::contrast::{Contrast, contrast};
use crate::signal::finish::{Ended, reasons};
use crate::signal::metadata::Metadata;
use crate::signal::tokens::PromptTokens;
use crate::stats::divergence::{Divergence, divergence};
use crate::stats::kernel::{Lane, mean_of_combined};
use crate::stats::permutation::{self, TwoSample, lane, two_sample, two_sample_with};
use crate::stats::witness::Witness;
use crate::stats::{Pair, features, multiple};
use crate::verdict::{ProbeResult, SignalResult};

/// What was measured of one endpoint, before it is judged.
pub(super) struct Measured<'a> {
    /// The endpoint's name.
    pub endpoint: String,
    answers: &'a Answers<'a>,
    reference: &'a Answers<'a>,
    disclosure: Disclosure,
    sampled: Option<Seen<TwoSample>>,
    greedy: Option<Seen<Divergence>>,
    summary: Option<GreedySummary>,
    features: Vec<SignalResult>,
    tokens: PromptTokens<'a>,
    samples_to_decide: Option<u32>,
    samples_to_settle: Option<u32>,
    band: Band,
    pace: Pace,
    unit: Unit,
    characters_per_token: Option<f64>,
}

/// What one way of asking shows, in the view that shows most.
struct Seen<T> {
    found: T,
    view: View,
    /// The p-value, corrected for the number of views; `None` where nothing was tested.
    p: Option<f64>,
    /// Over all views.
    effects: Vec<Sized>,
}

/// How the same effect in a further view is joined to the one in the first.
type Join = fn(Sized, Sized, &Settings) -> Sized;

/// The views of one way of asking as one: the one with the smallest p-value, with the effects of all joined by name.
fn over_views<T>(mut views: Vec<Seen<T>>, join: Join, settings: &Settings) -> Option<Seen<T>> {
    let n = views.len();
    let mut effects: Vec<Sized> = Vec::new();
    for other in views.iter_mut().flat_map(|seen| std::mem::take(&mut seen.effects)).map(|effect| effect.among(n)) {
        match effects.iter_mut().find(|effect| effect.effect.name == other.effect.name) {
            Some(effect) => *effect = join(effect.clone(), other, settings),
            None => effects.push(other),
        }
    }
    let p = |seen: &Seen<T>| seen.p.unwrap_or(1.0);
    let most = views.into_iter().reduce(|best, next| if p(&next) < p(&best) { next } else { best })?;
    Some(Seen { p: most.p.map(|p| (p * n as f64).min(1.0)), effects, ..most })
}

impl Against<'_> {
    /// What the control's sampled answers train, where they are told apart from the reference's in this view.
    fn witness(&self, asked: &[Pair<'_>], view: View, seed: u64) -> Option<Witness> {
        let other = self.other.as_ref().filter(|_| self.control.units(view).sampled_from == Some(Unit::Measured))?;
        let of_control = pairs(&self.reference, other, Asking::Sampled, view);
        Witness::train(asked, &of_control.into_iter().map(|pair| (pair.probe, pair.endpoint)).collect(), seed)
    }
}

impl<'a> Measured<'a> {
    /// Measures all that both sides answered.
    pub fn new(
        name: &str,
        against: &'a Against<'a>,
        answers: &'a Answers<'a>,
        band: Band,
        settings: &Settings,
    ) -> Self {
        let (reference, control) = (&against.reference, &against.control);
        let test = test_settings(settings, name);
        let disclosure = Disclosure::between(reference, answers);
        let sampled = disclosure.views(Asking::Sampled).iter().filter_map(|&view| {
            let asked = pairs(reference, answers, Asking::Sampled, view);
            let witness = against.witness(&asked, view, settings.seed);
            let found = match &witness {
                Some(witness) => two_sample_with(&asked, witness, test),
                None => two_sample(&asked, test),
            }?;
            let drawn = effect::dispersion(&found, test).into_iter().chain(effect::surprisal(&found, test));
            let mixture = witness.map(|witness| effect::mixture(&witness, found.witness_p));
            let effects = effect::substitution(&found, control.units(view), test).into_iter().chain(mixture);
            Some(Seen { effects: effects.chain(drawn).collect(), p: Some(found.p), found, view })
        });
        let sampled = over_views(sampled.collect(), Sized::or_larger, settings);
        let greedy = disclosure.views(Asking::Greedy).iter().filter_map(|&view| {
            let found = divergence(&pairs(reference, answers, Asking::Greedy, view), test)?;
            let units = control.units(view);
            let rate = effect::divergence(&found, units, test);
            // Honest answers part at one rate; of those that leave early, only as many as that rate makes may be honest.
            let honest = rate.as_ref().map_or(band.honest, |rate| band.honest.min(rate.effect.estimate.max(0.0)));
            let departed = effect::departure(&found, units, test);
            let rate = rate.map(|effect| effect.beside(band, settings));
            let departed = departed.map(|effect| effect.beside(Band { honest, ..band }, settings));
            let effects: Vec<Sized> = rate.into_iter().chain(departed).collect();
            // The test of equality is one of honest servers' kernels as well.
            let beyond = effects.iter().filter_map(|s| s.p).reduce(f64::min);
            Some(Seen { effects, p: found.p.and(beyond), found, view })
        });
        let mut greedy = over_views(greedy.collect(), Sized::unless_contradicted, settings);
        if let Some(greedy) = greedy.as_mut().filter(|_| disclosure.is_hidden()) {
            // Content follows from thoughts: where those are hidden and part by honest noise, it parts at once.
            greedy.effects = std::mem::take(&mut greedy.effects).into_iter().map(Sized::without_alarm).collect();
            greedy.p = None;
        }
        Self {
            endpoint: name.to_owned(),
            features: features_of(reference, answers, test),
            tokens: PromptTokens::compare(reference, answers),
            summary: greedy.as_ref().map(|greedy| control.greedy_summary(&greedy.found)),
            samples_to_settle: sampled
                .as_ref()
                .and_then(|seen| effect::samples_to_settle(seen.found.answers_per_probe, &seen.effects, settings)),
            samples_to_decide: sampled
                .as_ref()
                .and_then(|seen| effect::samples_to_decide(&seen.found, control.units(seen.view), settings)),
            pace: greedy.as_ref().map_or(control.content.pace, |seen| control.units(seen.view).pace),
            band,
            answers,
            reference,
            disclosure,
            sampled,
            greedy,
            unit: if control.p_value.is_some_and(|p| p <= settings.alpha) { Unit::Measured } else { Unit::BuiltIn },
            characters_per_token: control.characters_per_token,
        }
    }

    /// Takes a known way of counting prompt tokens out.
    #[must_use]
    pub fn allow(mut self, known: Known<'_>) -> Self {
        self.tokens.allow(known.token_offset);
        self
    }

    /// The smaller p-value of both ways of asking, doubled when both were tested.
    fn p_value(&self) -> Option<f64> {
        let tests = [self.sampled.as_ref().and_then(|s| s.p), self.greedy.as_ref().and_then(|g| g.p)];
        let found: Vec<f64> = tests.into_iter().flatten().collect();
        let smallest = found.iter().copied().reduce(f64::min)?;
        Some((smallest * found.len() as f64).min(1.0))
    }

    fn effects(&self) -> Vec<Sized> {
        let sampled = self.sampled.iter().flat_map(|seen| &seen.effects);
        sampled.chain(self.greedy.iter().flat_map(|seen| &seen.effects)).cloned().collect()
    }

    /// Everything but the correction over endpoints, which needs all of them.
    pub fn judge(&self, known: Known<'_>, settings: &Settings) -> EndpointComparison {
        let p_value = self.p_value();
        let effects = self.effects();
        let thinking = Thinking::new(self.reference, self.answers, self.disclosure);
        let findings = diagnose::diagnose(&Evidence {
            reference: self.reference,
            answers: self.answers,
            tokens: &self.tokens,
            counts: Counts::of(&self.tokens),
            asked_model: known.model,
            expected_models: known.expected,
            sampled: self.sampled.as_ref().map(|seen| &seen.found),
            greedy: self.greedy.as_ref().map(|seen| &seen.found),
            features: &self.features,
            effects: &effects,
            thinking: &thinking,
            pace: &self.pace,
            unit: self.unit,
            characters_per_token: self.characters_per_token,
            settings,
        });
        EndpointComparison {
            p_value,
            e_value: p_value.map(multiple::e_value),
            answers: self.answers.count(),
            greedy_probes_to_decide: self.summary.and_then(|g| effect::probes_to_decide(g.probes, &effects, settings)),
            effects,
            samples_to_decide: self.samples_to_decide,
            samples_to_settle: self.samples_to_settle,
            depth: self.depth(),
            is_sampled: [self.reference, self.answers].iter().any(|a| a.with_blanks(Asking::Sampled).next().is_some()),
            band: self.band,
            signals: self.signals(),
            probes: self.probes(),
            greedy: self.summary,
            observed: Observed::new(reasons(self.answers), Metadata::gather(self.answers)),
            thinking,
            findings,
            ..EndpointComparison::unmeasured(&self.endpoint, "")
        }
    }

    fn depth(&self) -> Option<Depth> {
        let view = self.sampled.as_ref()?.view;
        let pairs = pairs(self.reference, self.answers, Asking::Sampled, view);
        let mean = |of: fn(&Pair<'_>) -> usize| pairs.iter().map(of).sum::<usize>() as f64 / pairs.len().max(1) as f64;
        Some(Depth { reference: mean(|p| p.reference.len()), endpoint: mean(|p| p.endpoint.len()) })
    }

    fn signals(&self) -> Vec<SignalResult> {
        let signal = |name: &str, statistic: f64, p_value: Option<f64>| SignalResult {
            name: name.to_owned(),
            statistic: Some(statistic),
            p_value,
        };
        let mut out = Vec::new();
        if let Some(Seen { found: s, .. }) = &self.sampled {
            out.push(signal("mmd", mean_of_combined(&s.t), Some(s.mmd_p)));
            out.push(signal("mmd_hamming", s.pooled_hamming1000, Some(lane(&s.t_p, Lane::Hamming1000))));
            for (name, l) in [
                ("mmd_hamming_50", Lane::Hamming50),
                ("mmd_hamming_200", Lane::Hamming200),
                ("mmd_hamming_200_normalised", Lane::Hamming200Normalised),
                ("mmd_prefix", Lane::Prefix),
            ] {
                out.push(signal(name, lane(&s.t, l), Some(lane(&s.t_p, l))));
            }
            out.push(signal("dispersion", mean_of_combined(&s.d), Some(s.dispersion_p)));
            out.push(signal("surprisal", s.surprisal, Some(s.surprisal_p)));
            out.push(SignalResult { name: "presence".into(), statistic: None, p_value: Some(s.presence_p) });
            if let Some(p) = s.witness_p {
                out.push(SignalResult { name: "witness".into(), statistic: None, p_value: Some(p) });
            }
            out.push(signal("duplicates", lane(&s.d, Lane::Equal), Some(lane(&s.d_p, Lane::Equal))));
        }
        if let Some(Seen { found: g, .. }) = &self.greedy {
            out.push(SignalResult { name: "greedy_divergence".into(), statistic: g.statistic, p_value: g.p });
        }
        if !self.tokens.probes.is_empty() {
            out.push(signal("prompt_tokens", self.tokens.differing().count() as f64, None));
        }
        out.extend(self.features.iter().cloned());
        out
    }

    fn probes(&self) -> Vec<ProbeResult> {
        let sampled = self.sampled.iter().flat_map(|s| &s.found.probes).map(|p| ProbeResult {
            probe: p.probe.clone(),
            p_value: Some(p.p),
            effect: Some(p.t),
        });
        let greedy = self.greedy.iter().flat_map(|g| &g.found.probes).map(|p| ProbeResult {
            probe: p.probe.clone(),
            p_value: None,
            effect: Some(p.cross.events),
        });
        sampled.chain(greedy).collect()
    }

    /// The sampled probe with the largest difference, or the greedy one that leaves the reference soonest.
    pub fn contrast(&self) -> Option<Contrast> {
        let sampled = self.sampled.iter().flat_map(|s| &s.found.probes).max_by(|a, b| a.t.total_cmp(&b.t));
        let greedy = self.greedy.iter().flat_map(|g| &g.found.probes);
        let soonest = greedy
            .filter(|p| p.cross.events > p.own.events)
            .min_by(|a, b| a.cross.characters.total_cmp(&b.cross.characters));
        // Under greedy asking one difference is a difference; sampled answers differ by nature.
        let stronger = match (&self.sampled, self.greedy.as_ref().and_then(|g| g.found.p)) {
            (Some(s), Some(p)) if s.found.p <= p => Asking::Sampled,
            (Some(_), None) => Asking::Sampled,
            _ => Asking::Greedy,
        };
        let (asking, probe) = match (stronger, soonest, sampled) {
            (Asking::Greedy, Some(p), _) | (_, Some(p), None) => (Asking::Greedy, &p.probe),
            (_, _, Some(p)) => (Asking::Sampled, &p.probe),
            (_, None, None) => return None,
        };
        let view = match asking {
            Asking::Sampled => self.sampled.as_ref().map(|seen| seen.view),
            Asking::Greedy => self.greedy.as_ref().map(|seen| seen.view),
        };
        let pair = pairs(self.reference, self.answers, asking, view?).into_iter().find(|pair| pair.probe == probe)?;
        contrast(probe, &pair.reference, &pair.endpoint)
    }
}

/// Features that explain: length, answers cut at the cap, white space at the start, exclamation marks, emoji.
fn features_of(reference: &Answers<'_>, endpoint: &Answers<'_>, test: permutation::Settings<'_>) -> Vec<SignalResult> {
    type Feature = fn(&Answer<'_>) -> f64;
    let all: [(&str, Feature); 5] = [
        ("length", |a| a.text.chars().count() as f64),
        ("cut_at_cap", |a| f64::from(u8::from(Ended::of(a) == Ended::AtCap))),
        ("leading_space", |a| f64::from(u8::from(begins_with_space(a)))),
        ("exclamation_marks", |a| a.text.matches(['!', '！']).count() as f64),
        ("emoji", |a| a.text.chars().filter(|c| is_emoji(*c)).count() as f64),
    ];
    let found = all.into_iter().filter_map(|(name, feature)| {
        let values: Vec<features::Values<'_>> = reference
            .probes(Asking::Sampled)
            .filter(|(probe, _)| !endpoint.is_set_aside(probe))
            .map(|(probe, r)| features::Values {
                probe,
                reference: r.iter().map(feature).collect(),
                endpoint: endpoint.of(Asking::Sampled, probe).iter().map(feature).collect(),
            })
            .collect();
        let found = features::mean_difference(&values, test, name)?;
        let statistic = Some(found.endpoint - found.reference);
        Some(SignalResult { name: name.to_owned(), statistic, p_value: Some(found.p) })
    });
    found.collect()
}

/// Whether white space begins an answer. Behind a thought it stands for the end of that, in some forms and in others not.
fn begins_with_space(answer: &Answer<'_>) -> bool {
    answer.thought.is_none() && answer.sample.text.starts_with(char::is_whitespace)
}

/// Pictures among characters: the blocks of emoji and of older pictographs.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f300}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{2b55}')
}
