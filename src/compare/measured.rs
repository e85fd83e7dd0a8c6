//! All that is seen of one endpoint beside the reference, before it is judged.

use super::control::{Control, Pace, Unit};
use super::{EndpointComparison, GreedySummary, Known, Observed, Settings, effect, pairs, test_settings};
use crate::diagnose::{self, Counts, Evidence};
use crate::sample::Asking;
use crate::signal::answers::Answers;
use crate::signal::contrast::{Contrast, contrast};
use crate::signal::finish::reasons;
use crate::signal::metadata::Metadata;
use crate::signal::tokens::PromptTokens;
use crate::stats::divergence::{Divergence, divergence};
use crate::stats::kernel::{Lane, mean_of_combined};
use crate::stats::permutation::{self, TwoSample, lane, two_sample};
use crate::stats::{features, multiple};
use crate::verdict::{ProbeResult, SignalResult};

/// What was measured of one endpoint, before it is judged.
pub(super) struct Measured<'a> {
    /// The endpoint's name.
    pub endpoint: String,
    answers: &'a Answers<'a>,
    reference: &'a Answers<'a>,
    sampled: Option<TwoSample>,
    greedy: Option<Divergence>,
    effects: Vec<effect::Sized>,
    summary: Option<GreedySummary>,
    features: Vec<SignalResult>,
    tokens: PromptTokens<'a>,
    samples_to_decide: Option<u32>,
    pace: Pace,
    unit: Unit,
}

impl<'a> Measured<'a> {
    /// Measures all that both sides answered.
    pub fn new(
        name: &str,
        reference: &'a Answers<'a>,
        answers: &'a Answers<'a>,
        control: &Control,
        settings: &Settings,
    ) -> Self {
        let test = test_settings(settings, name);
        let sampled = two_sample(&pairs(reference, answers, Asking::Sampled), test);
        let greedy = divergence(&pairs(reference, answers, Asking::Greedy), test);
        let mut effects = Vec::new();
        if let Some(found) = &sampled {
            effects.extend(effect::substitution(found, control, test));
            effects.extend(effect::dispersion(found, test));
        }
        if let Some(found) = &greedy {
            effects.extend(effect::divergence(found, control, test));
            effects.extend(effect::departure(found, control, test));
        }
        let summary = greedy.as_ref().map(|found| control.greedy_summary(found));
        let samples_to_decide = sampled.as_ref().and_then(|found| effect::samples_to_decide(found, control, settings));
        Self {
            endpoint: name.to_owned(),
            features: features_of(reference, answers, test),
            tokens: PromptTokens::compare(reference, answers),
            answers,
            reference,
            sampled,
            greedy,
            effects,
            summary,
            samples_to_decide,
            pace: control.pace,
            unit: if control.endpoint.is_some() { Unit::Measured } else { Unit::BuiltIn },
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
        let tests = [self.sampled.as_ref().map(|s| s.p), self.greedy.as_ref().and_then(|g| g.p)];
        let found: Vec<f64> = tests.into_iter().flatten().collect();
        let smallest = found.iter().copied().reduce(f64::min)?;
        Some((smallest * found.len() as f64).min(1.0))
    }

    /// Everything but the correction over endpoints, which needs all of them.
    pub fn judge(&self, known: Known<'_>, settings: &Settings) -> EndpointComparison {
        let p_value = self.p_value();
        let findings = diagnose::diagnose(&Evidence {
            reference: self.reference,
            answers: self.answers,
            tokens: &self.tokens,
            counts: Counts::of(&self.tokens),
            asked_model: known.model,
            expected_models: known.expected,
            sampled: self.sampled.as_ref(),
            greedy: self.greedy.as_ref(),
            features: &self.features,
            effects: &self.effects,
            pace: &self.pace,
            unit: self.unit,
            settings,
        });
        EndpointComparison {
            p_value,
            e_value: p_value.map(multiple::e_value),
            effects: self.effects.clone(),
            answers: self.answers.count(),
            greedy_probes_to_decide: self
                .summary
                .and_then(|g| effect::probes_to_decide(g.probes, &self.effects, settings)),
            samples_to_decide: self.samples_to_decide,
            signals: self.signals(),
            probes: self.probes(),
            greedy: self.summary,
            observed: Observed::new(reasons(self.answers), Metadata::gather(self.answers)),
            findings,
            ..EndpointComparison::unmeasured(&self.endpoint, "")
        }
    }

    fn signals(&self) -> Vec<SignalResult> {
        let signal = |name: &str, statistic: f64, p_value: Option<f64>| SignalResult {
            name: name.to_owned(),
            statistic: Some(statistic),
            p_value,
        };
        let mut out = Vec::new();
        if let Some(s) = &self.sampled {
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
            out.push(signal("duplicates", lane(&s.d, Lane::Equal), Some(lane(&s.d_p, Lane::Equal))));
        }
        if let Some(g) = &self.greedy {
            out.push(SignalResult { name: "greedy_divergence".into(), statistic: g.statistic, p_value: g.p });
        }
        if !self.tokens.probes.is_empty() {
            out.push(signal("prompt_tokens", self.tokens.differing().count() as f64, None));
        }
        out.extend(self.features.iter().cloned());
        out
    }

    fn probes(&self) -> Vec<ProbeResult> {
        let sampled = self.sampled.iter().flat_map(|s| &s.probes).map(|p| ProbeResult {
            probe: p.probe.clone(),
            p_value: Some(p.p),
            effect: Some(p.t),
        });
        let greedy = self.greedy.iter().flat_map(|g| &g.probes).map(|p| ProbeResult {
            probe: p.probe.clone(),
            p_value: None,
            effect: Some(p.cross.events),
        });
        sampled.chain(greedy).collect()
    }

    /// The sampled probe with the largest difference, or the greedy one that leaves the reference soonest.
    pub fn contrast(&self) -> Option<Contrast> {
        let sampled = self.sampled.iter().flat_map(|s| &s.probes).max_by(|a, b| a.t.total_cmp(&b.t));
        let greedy = self.greedy.iter().flat_map(|g| &g.probes);
        let soonest = greedy
            .filter(|p| p.cross.events > p.own.events)
            .min_by(|a, b| a.cross.characters.total_cmp(&b.cross.characters));
        // Under greedy asking one difference is a difference; sampled answers differ by nature.
        let stronger = match (&self.sampled, self.greedy.as_ref().and_then(|g| g.p)) {
            (Some(s), Some(p)) if s.p <= p => Asking::Sampled,
            (Some(_), None) => Asking::Sampled,
            _ => Asking::Greedy,
        };
        let (asking, probe) = match (stronger, soonest, sampled) {
            (Asking::Greedy, Some(p), _) | (_, Some(p), None) => (Asking::Greedy, &p.probe),
            (_, _, Some(p)) => (Asking::Sampled, &p.probe),
            (_, None, None) => return None,
        };
        let texts =
            |answers: &'a Answers<'_>| -> Vec<&str> { answers.of(asking, probe).iter().map(|a| &*a.text).collect() };
        contrast(probe, &texts(self.reference), &texts(self.answers))
    }
}

/// Features that explain: length, answers cut at the cap, white space at the start, exclamation marks, emoji.
fn features_of(reference: &Answers<'_>, endpoint: &Answers<'_>, test: permutation::Settings<'_>) -> Vec<SignalResult> {
    type Feature = fn(&crate::signal::answers::Answer<'_>) -> f64;
    let all: [(&str, Feature); 5] = [
        ("length", |a| a.text.chars().count() as f64),
        ("cut_at_cap", |a| f64::from(u8::from(a.sample.finish_reason.as_deref() == Some("length")))),
        ("leading_space", |a| f64::from(u8::from(a.text.starts_with(char::is_whitespace)))),
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

/// Pictures among characters: the blocks of emoji and of older pictographs.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f300}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{2b55}')
}
