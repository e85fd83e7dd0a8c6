//! The decision: from effects and p-values to a verdict.
//!
//! Equivalence testing with a tolerance. *Drifted*: significant after correction over endpoints, and an effect whose whole
//! interval, at the alarm's level, lies beyond its tolerance; or an exact disagreement, such as one prompt token more on
//! every probe, which shows that the model is not asked the same thing. *Consistent*: both of what is computed and how answers are
//! drawn. The share of answers as if from another model lies within the tolerance with its whole interval, and so do the
//! dispersion and the surprisal of sampled answers, and no other instrument finds a share beyond the tolerance that is surely more than
//! what the rate of divergence explains. Where greedy answers alone were asked, they decide, and that is said. Otherwise *inconclusive*.
//!
//! Sampled and greedy answers bound the same share: each interval holds it with 97.5 % on its upper side, so both together
//! hold it with 95 %, and the tighter of the two upper ends decides.

use super::band::Band;
use super::effect::{Sized, left_at};
use super::outcome::{Question, Questions};
use super::{EndpointComparison, Settings};
use crate::verdict::{Effect, EffectName, Finding, Verdict};

/// A verdict with what decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in a line.
    pub reason: String,
    /// The effect that decided.
    pub effect: Option<Effect>,
}

/// Judges one endpoint whose p-value is already corrected.
pub fn decide(endpoint: &EndpointComparison, settings: &Settings) -> Judgement {
    let judge =
        |verdict, reason: String, effect: Option<&Effect>| Judgement { verdict, reason, effect: effect.cloned() };
    if endpoint.answers == 0 {
        return judge(Verdict::Unmeasured, "no answers".into(), None);
    }
    let exact = endpoint.findings.iter().find(|f| f.is_certain_drift());
    // Where canaries are all there is, counts that are another tokenizer's are what there is to go by.
    let told = exact.or_else(|| endpoint.findings.iter().find(|f| f.is_of_another_model()));
    if let Some(finding) = told.filter(|_| endpoint.probes.is_empty()) {
        return judge(Verdict::Drifted, finding.evidence.clone(), None);
    }
    if endpoint.probes.is_empty() {
        let reason = "no probe that both it and the reference answered often enough to compare";
        return judge(Verdict::Unmeasured, reason.into(), None);
    }
    // Without any test (one reference answer to each greedy probe) the tolerance alone decides.
    let significant = endpoint.q_value.is_none_or(|q| q <= settings.alpha);
    // What honest kernels may show excuses nothing where other evidence speaks for another model.
    let is_excused = !endpoint.findings.iter().any(Finding::is_of_another_model);
    let clearance = |s: &Sized| {
        let band = if is_excused { s.band } else { Band::default() };
        Sized { band, ..s.clone() }.clearance(settings)
    };
    let farthest = endpoint.effects.iter().max_by(|a, b| clearance(a).total_cmp(&clearance(b)));
    if let Some(found) = farthest.filter(|s| significant && clearance(s) > 0.0) {
        return judge(Verdict::Drifted, describe(&found.effect), Some(&found.effect));
    }
    let tightest = share(&endpoint.effects).min_by(|a, b| a.high.total_cmp(&b.high));
    if let Some(finding) = exact {
        return judge(Verdict::Drifted, finding.evidence.clone(), surest(&endpoint.effects));
    }
    let Questions { computed, drawn } = &endpoint.questions;
    let is_asked = endpoint.is_sampled || drawn.verdict != Verdict::Unmeasured;
    if computed.verdict == Verdict::Consistent && drawn.verdict != Verdict::Consistent && is_asked {
        let how = endpoint.samples_to_settle.filter(|_| drawn.verdict == Verdict::Inconclusive).map(|n| {
            if n <= MOST_ANSWERS {
                format!(": about {n} answers for each sampled probe would settle it")
            } else {
                ": more sampled probes would settle it".to_owned()
            }
        });
        let weights = range(computed.effect.as_ref(), None);
        let sampling = range(drawn.effect.as_ref(), Some(settings.dispersion_tolerance));
        let reason = format!("weights agree{weights}; sampling is not settled{sampling}{}", how.unwrap_or_default());
        return judge(Verdict::Inconclusive, reason, tightest);
    }
    if let Some(effect) = tightest.filter(|_| computed.verdict == Verdict::Consistent) {
        let missing = endpoint.thinking.missing();
        // Whatever is missing may differ: at most all of it.
        let allowed = endpoint.effects.iter().map(|s| s.band.agreed).fold(settings.tolerance, f64::max);
        if effect.high.max(0.0) * (1.0 - missing) + missing <= allowed {
            let unasked =
                if is_asked { "" } else { "; only greedy answers were asked, which show nothing of sampling" };
            return judge(Verdict::Consistent, format!("within the tolerance{unasked}"), Some(effect));
        }
        let missing = endpoint.thinking.what_is_missing().unwrap_or_default();
        return judge(
            Verdict::Inconclusive,
            format!("what there is agrees, and too much is missing: {missing}"),
            Some(effect),
        );
    }
    if let Some(missing) = endpoint.thinking.what_is_missing().filter(|_| endpoint.thinking.missing() > MOSTLY_MISSING)
    {
        return judge(Verdict::Inconclusive, missing, tightest);
    }
    judge(Verdict::Inconclusive, what_is_missing(endpoint, significant, settings), tightest)
}

/// From this share on what is missing is the first thing to say of a verdict that cannot be had.
const MOSTLY_MISSING: f64 = 0.2;

/// The effects that bound the share of answers as if from another model. Departures show a share of requests that go elsewhere
/// and are coarse about anything else, and a mixture is of what looks like the control alone, so these may contradict a bound and
/// set none.
fn share(effects: &[Sized]) -> impl Iterator<Item = &Effect> {
    effects.iter().map(|s| &s.effect).filter(|e| bounds_share(e))
}

fn bounds_share(effect: &Effect) -> bool {
    [EffectName::Substitution, EffectName::Divergence].contains(&effect.name)
}

/// The effect that surely leaves the most to explain, and the tighter one where none does: beside an exact disagreement, a bound that
/// happens to lie at nothing must not hide a difference that was measured.
fn surest(effects: &[Sized]) -> Option<&Effect> {
    let beyond_nothing = |e: &Effect| e.low.max(0.0);
    share(effects)
        .max_by(|a, b| beyond_nothing(a).total_cmp(&beyond_nothing(b)).then_with(|| b.high.total_cmp(&a.high)))
}

/// Both parts of the verdict, given whether the endpoint's p-value is significant.
pub fn questions(effects: &[Sized], significant: bool, settings: &Settings) -> Questions {
    let (drawn, computed): (Vec<&Sized>, Vec<&Sized>) = effects.iter().partition(|s| s.effect.name.is_of_drawing());
    let part = |of: &[&Sized], is_within: bool, shown: Option<&Effect>| {
        let farthest = of.iter().max_by(|a, b| a.clearance(settings).total_cmp(&b.clearance(settings)));
        let (verdict, effect) = match farthest {
            None => (Verdict::Unmeasured, None),
            Some(found) if significant && found.clearance(settings) > 0.0 => (Verdict::Drifted, Some(&found.effect)),
            Some(_) if is_within => (Verdict::Consistent, shown),
            Some(found) => (Verdict::Inconclusive, shown.or(Some(&found.effect))),
        };
        Question { verdict, effect: effect.cloned() }
    };
    let bounded = computed.iter().any(|s| bounds_share(&s.effect) && s.is_within(settings));
    let contradiction = computed
        .iter()
        .filter(|s| s.effect.estimate > s.limit(settings) && s.effect.low > explained(&s.effect, effects))
        .max_by(|a, b| a.effect.low.total_cmp(&b.effect.low));
    let tightest = share(effects).min_by(|a, b| a.high.total_cmp(&b.high));
    let shown = contradiction.map(|s| &s.effect).or(tightest);
    let widest = drawn.iter().map(|s| &s.effect).max_by(|a, b| a.estimate.abs().total_cmp(&b.estimate.abs()));
    Questions {
        computed: part(&computed, bounded && contradiction.is_none(), shown),
        drawn: part(&drawn, drawn.iter().all(|s| s.is_within(settings)), widest),
    }
}

/// Of a share that was estimated beyond the tolerance, how much another instrument's finding explains: nothing, but of departures as many
/// as answers make that part at the rate that was measured, evenly. A bound makes up for no more.
fn explained(effect: &Effect, effects: &[Sized]) -> f64 {
    let rate = effects.iter().find(|s| s.effect.name == EffectName::Divergence).map(|s| s.effect.high.max(0.0));
    match (effect.name, rate) {
        (EffectName::Departure, Some(rate)) => left_at(rate),
        _ => 0.0,
    }
}

fn what_is_missing(endpoint: &EndpointComparison, significant: bool, settings: &Settings) -> String {
    let computed = endpoint.questions.computed.effect.as_ref();
    let shown = range(computed, Some(settings.tolerance));
    if significant && endpoint.q_value.is_some() {
        return format!("a difference, but its size against the tolerance is not settled{shown}");
    }
    let few = if computed.is_some() { format!("weights are not settled{shown}") } else { "too few answers".to_owned() };
    if endpoint.thinking.disclosure.is_hidden() {
        return format!("{few}: answers differ with thoughts that are hidden, so more sampled probes would decide");
    }
    if computed.is_some_and(|effect| is_excused(effect, endpoint.band, settings)) {
        let honest = 100.0 * endpoint.band.honest;
        return format!(
            "{few}: honest kernels may differ by up to {honest:.0} %, so a control or a declared twin would decide"
        );
    }
    match (endpoint.greedy_probes_to_decide, endpoint.samples_to_decide) {
        (Some(n), _) if n <= MOST_PROBES => format!("{few}: about {n} greedy probes would decide"),
        (_, Some(n)) if n <= MOST_ANSWERS => format!("{few}: about {n} for each sampled probe would decide"),
        (None, None) if endpoint.greedy.is_none() => format!("{few}: greedy probes show most"),
        _ => format!("{few}: more greedy probes would decide"),
    }
}

/// Whether greedy answers are farther than the tolerance and no farther than honest kernels may be: more of them show the same.
fn is_excused(effect: &Effect, band: Band, settings: &Settings) -> bool {
    let is_greedy = matches!(effect.name, EffectName::Divergence | EffectName::Departure);
    is_greedy && effect.estimate > settings.tolerance.max(band.agreed) && effect.estimate < band.honest
}

/// More answers to each probe, or more greedy probes, than these are no advice that anybody would take.
pub const MOST_ANSWERS: u32 = 100;
/// See [`MOST_ANSWERS`].
pub const MOST_PROBES: u32 = 1000;

/// An effect in parentheses with its interval, and the tolerance that it is held against: ` (−0.8 %, −2.1 to 0.6)`.
fn range(effect: Option<&Effect>, tolerance: Option<f64>) -> String {
    let Some(effect) = effect else { return String::new() };
    let number = |share: f64| {
        let rounded = format!("{:.1}", 100.0 * share);
        let plain = rounded.trim_end_matches(".0");
        if plain == "-0" { "0".to_owned() } else { plain.replace('-', "−") }
    };
    let (arrow, numbers) = directed(effect, LEAST_SHOWN);
    let [estimate, low, high] = numbers.map(number);
    let what = match effect.name {
        EffectName::Dispersion => "variety ",
        EffectName::Surprisal => "surprisal ",
        EffectName::Departure => "departures ",
        EffectName::Mixture => "as the control's ",
        EffectName::Substitution | EffectName::Divergence => "",
    };
    let tolerance = tolerance.map_or_else(String::new, |t| format!("; tolerance {} %", number(t)));
    format!(" ({what}{arrow}{estimate} %, {low} to {high}{tolerance})")
}

/// The least share that does not read as nothing with one decimal of a per cent.
const LEAST_SHOWN: f64 = 0.0005;

/// An effect as it is read: an arrow where there is a direction, and the estimate with both ends of its interval in that direction. What
/// is of drawing is less (`↓`) or more (`↑`); below `least`, where the estimate reads as nothing, it is a change without an arrow.
pub fn directed(effect: &Effect, least: f64) -> (&'static str, [f64; 3]) {
    let &Effect { estimate, low, high, .. } = effect;
    if !effect.name.is_of_drawing() {
        ("", [estimate, low, high])
    } else if estimate.abs() < least {
        ("", [-estimate, -high, -low])
    } else if estimate > 0.0 {
        ("↓ ", [estimate, low, high])
    } else {
        ("↑ ", [-estimate, -high, -low])
    }
}

fn describe(effect: &Effect) -> String {
    let percent = |x: f64| format!("{:.0} %", 100.0 * x);
    let (estimate, low, high) = (percent(effect.estimate), percent(effect.low), percent(effect.high));
    match effect.name {
        EffectName::Substitution => {
            format!("as if {estimate} of its answers ({low} to {high}) came from another model")
        }
        EffectName::Mixture => {
            format!("{estimate} of its sampled answers ({low} to {high}) are as the control's")
        }
        EffectName::Divergence => {
            format!("greedy answers leave the reference's at {estimate} ({low} to {high}) of another model's rate")
        }
        EffectName::Departure => {
            format!(
                "{estimate} ({low} to {high}) of greedy answers leave the reference's as soon as another model's do"
            )
        }
        EffectName::Surprisal if effect.estimate > 0.0 => {
            format!(
                "its answers are {estimate} less surprising ({low} to {high}) than the reference's: their tail is missing"
            )
        }
        EffectName::Surprisal => {
            let (low, high) = (percent(-effect.high), percent(-effect.low));
            format!(
                "its answers are {} more surprising ({low} to {high}) than the reference's",
                percent(-effect.estimate)
            )
        }
        EffectName::Dispersion if effect.estimate > 0.0 => {
            format!("its answers vary {estimate} less ({low} to {high}) than the reference's")
        }
        EffectName::Dispersion => {
            let (low, high) = (percent(-effect.high), percent(-effect.low));
            format!("its answers vary {} more ({low} to {high}) than the reference's", percent(-effect.estimate))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::band::Source;
    use crate::verdict::{Confidence, ProbeResult};

    const SETTINGS: Settings =
        Settings { seed: 0, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };

    fn endpoint(q_value: Option<f64>, effects: &[(EffectName, f64, f64)]) -> EndpointComparison {
        let effects = effects.iter().map(|&(name, low, high)| Sized {
            effect: Effect { name, estimate: f64::midpoint(low, high), low, high },
            alarm: (low, high),
            p: None,
            band: Band::default(),
        });
        EndpointComparison {
            answers: 10,
            q_value,
            effects: effects.collect(),
            probes: vec![ProbeResult { probe: "p".into(), p_value: None, effect: None }],
            ..EndpointComparison::unmeasured("e", "")
        }
    }

    /// The verdict where sampled answers are drawn as the reference's are, unless the effects say otherwise.
    fn verdict(q_value: Option<f64>, effects: &[(EffectName, f64, f64)]) -> Verdict {
        let settled = (Surprisal, -0.01, 0.01);
        let all: Vec<(EffectName, f64, f64)> = effects.iter().copied().chain([settled]).collect();
        judged(endpoint(q_value, &all)).verdict
    }

    fn judged(mut found: EndpointComparison) -> Judgement {
        let significant = found.q_value.is_none_or(|q| q <= SETTINGS.alpha);
        found.questions = questions(&found.effects, significant, &SETTINGS);
        decide(&found, &SETTINGS)
    }

    use EffectName::{Departure, Dispersion, Divergence, Mixture, Substitution, Surprisal};

    #[test]
    fn a_large_effect_that_is_significant_is_drift() {
        assert_eq!(verdict(Some(0.01), &[(Substitution, 0.2, 0.4)]), Verdict::Drifted);
        assert_eq!(verdict(Some(0.01), &[(Dispersion, -0.4, -0.2)]), Verdict::Drifted);
    }

    #[test]
    fn a_large_effect_that_is_not_significant_is_not() {
        assert_eq!(verdict(Some(0.2), &[(Substitution, 0.2, 0.4)]), Verdict::Inconclusive);
    }

    #[test]
    fn a_significant_difference_within_the_tolerance_is_consistent() {
        assert_eq!(verdict(Some(0.001), &[(Divergence, 0.01, 0.04)]), Verdict::Consistent);
    }

    #[test]
    fn failing_to_reject_is_not_consistency() {
        assert_eq!(verdict(Some(0.9), &[(Substitution, 0.0, 0.2)]), Verdict::Inconclusive);
        assert_eq!(verdict(None, &[]), Verdict::Inconclusive);
    }

    #[test]
    fn the_tighter_of_both_instruments_bounds_the_share_unless_the_other_contradicts() {
        assert_eq!(verdict(Some(0.9), &[(Substitution, 0.0, 0.2), (Divergence, 0.0, 0.02)]), Verdict::Consistent);
        assert_eq!(verdict(Some(0.9), &[(Substitution, 0.1, 0.2), (Divergence, 0.0, 0.02)]), Verdict::Inconclusive);
        assert_eq!(verdict(Some(0.9), &[(Divergence, 0.0, 0.02), (Dispersion, -0.02, 0.2)]), Verdict::Inconclusive);
    }

    #[test]
    fn departures_may_contradict_a_bound_and_set_none() {
        assert_eq!(verdict(Some(0.01), &[(Divergence, 0.0, 0.02), (Departure, 0.1, 0.3)]), Verdict::Drifted);
        assert_eq!(verdict(Some(0.9), &[(Divergence, 0.0, 0.02), (Departure, 0.1, 0.3)]), Verdict::Inconclusive);
        assert_eq!(verdict(Some(0.9), &[(Divergence, 0.0, 0.02), (Departure, 0.0, 0.2)]), Verdict::Consistent);
        assert_eq!(verdict(Some(0.9), &[(Divergence, 0.0, 0.2), (Departure, 0.0, 0.02)]), Verdict::Inconclusive);
    }

    #[test]
    fn what_looks_like_the_control_raises_an_alarm_and_its_absence_is_no_consistency() {
        assert_eq!(verdict(Some(0.01), &[(Mixture, 0.06, 0.2), (Substitution, 0.0, 0.4)]), Verdict::Drifted);
        assert_eq!(verdict(Some(0.2), &[(Mixture, 0.06, 0.2), (Divergence, 0.0, 0.02)]), Verdict::Inconclusive);
        assert_eq!(verdict(Some(0.9), &[(Mixture, -0.01, 0.01), (Substitution, 0.0, 0.4)]), Verdict::Inconclusive);
        assert_eq!(verdict(Some(0.9), &[(Mixture, -0.01, 0.01), (Divergence, 0.0, 0.02)]), Verdict::Consistent);
    }

    #[test]
    fn what_honest_hosts_show_is_no_drift_and_agreement_only_where_hosts_were_seen_to_agree() {
        let with = |honest, agreed, low, high| {
            let mut found = endpoint(Some(0.01), &[(Divergence, low, high), (Surprisal, -0.01, 0.01)]);
            found.effects[0].band = Band { honest, agreed, source: Source::Fleet };
            judged(found).verdict
        };
        assert_eq!(with(0.25, 0.0, 0.09, 0.17), Verdict::Inconclusive);
        assert_eq!(with(0.25, 0.2, 0.09, 0.17), Verdict::Consistent);
        assert_eq!(with(0.25, 0.2, 0.09, 0.21), Verdict::Inconclusive);
        assert_eq!(with(0.25, 0.2, 0.3, 0.5), Verdict::Drifted);
    }

    #[test]
    fn where_counts_speak_for_another_model_honest_kernels_excuse_nothing() {
        let mut found = endpoint(Some(0.01), &[(Divergence, 0.09, 0.17)]);
        found.effects[0].band = Band { honest: 0.25, agreed: 0.0, source: Source::BuiltIn };
        assert_eq!(judged(found.clone()).verdict, Verdict::Inconclusive);
        let (fault, evidence) = ("partial-routing".to_owned(), "counts".to_owned());
        found.findings = vec![Finding { fault, confidence: Confidence::Likely, evidence }];
        assert_eq!(judged(found.clone()).verdict, Verdict::Drifted);
        let canaries = EndpointComparison { probes: Vec::new(), effects: Vec::new(), ..found };
        assert_eq!(judged(canaries).verdict, Verdict::Drifted);
    }

    #[test]
    fn without_a_test_the_tolerance_alone_decides() {
        assert_eq!(verdict(None, &[(Divergence, 0.1, 0.3)]), Verdict::Drifted);
        assert_eq!(verdict(None, &[(Divergence, 0.0, 0.03)]), Verdict::Consistent);
    }

    #[test]
    fn weights_that_agree_are_no_consistency_until_it_is_settled_how_answers_are_drawn() {
        let weights = (Divergence, 0.0, 0.02);
        let of = |effects: &[(EffectName, f64, f64)]| {
            judged(EndpointComparison { is_sampled: true, ..endpoint(Some(0.9), effects) })
        };
        for drawn in [&[][..], &[(Surprisal, 0.01, 0.12)], &[(Surprisal, -0.01, 0.01), (Dispersion, -0.02, 0.2)]] {
            let found = of(&[&[weights], drawn].concat());
            assert_eq!(found.verdict, Verdict::Inconclusive, "{drawn:?}");
            assert!(
                found.reason.starts_with("weights agree (1 %, 0 to 2); sampling is not settled"),
                "{}",
                found.reason
            );
        }
        let found = of(&[weights, (Surprisal, 0.01, 0.12)]);
        assert!(found.reason.ends_with("(surprisal ↓ 6.5 %, 1 to 12; tolerance 10 %)"), "{}", found.reason);
        let found = of(&[weights, (Surprisal, -0.12, -0.01)]);
        assert!(found.reason.ends_with("(surprisal ↑ 6.5 %, 1 to 12; tolerance 10 %)"), "{}", found.reason);
        let found = of(&[weights, (Dispersion, -0.11, 0.11)]);
        assert!(found.reason.ends_with("(variety 0 %, −11 to 11; tolerance 10 %)"), "{}", found.reason);
        assert_eq!(of(&[weights, (Surprisal, -0.02, 0.04)]).verdict, Verdict::Consistent);
        let found = judged(endpoint(Some(0.01), &[weights, (Surprisal, 0.15, 0.3)]));
        assert_eq!((found.verdict, found.effect.map(|e| e.name)), (Verdict::Drifted, Some(Surprisal)));
    }

    #[test]
    fn what_is_not_settled_is_said_with_what_would_settle_it() {
        let reason = |greedy, sampled| {
            let found = EndpointComparison {
                greedy_probes_to_decide: greedy,
                samples_to_decide: sampled,
                ..endpoint(Some(0.9), &[(Substitution, -0.02, 0.09)])
            };
            judged(found).reason
        };
        let begin = "weights are not settled (3.5 %, −2 to 9; tolerance 5 %): ";
        assert_eq!(reason(Some(480), Some(90)), format!("{begin}about 480 greedy probes would decide"));
        assert_eq!(reason(Some(9000), Some(90)), format!("{begin}about 90 for each sampled probe would decide"));
        assert_eq!(reason(Some(9000), Some(4000)), format!("{begin}more greedy probes would decide"));
    }

    #[test]
    fn what_more_probes_cannot_decide_is_said_with_what_can() {
        let with = |honest, low, high| {
            let mut found = endpoint(Some(0.9), &[(Divergence, low, high)]);
            let band = Band { honest, agreed: 0.0, source: Source::BuiltIn };
            (found.band, found.effects[0].band) = (band, band);
            judged(found).reason
        };
        assert!(
            with(0.25, 0.09, 0.11)
                .ends_with("honest kernels may differ by up to 25 %, so a control or a declared twin would decide")
        );
        assert!(!with(0.05, 0.01, 0.06).contains("twin"));
        let mut hidden = endpoint(Some(0.9), &[(Divergence, 0.0, 1.0)]);
        hidden.thinking.disclosure = crate::compare::view::Disclosure::HiddenByBoth;
        assert!(judged(hidden).reason.ends_with("more sampled probes would decide"));
    }

    #[test]
    fn an_estimate_beyond_the_tolerance_that_is_not_nothing_is_no_consistency() {
        let bound = (Divergence, 0.0, 0.02);
        for against in [(Departure, 0.05, 0.2), (Substitution, 0.01, 0.6), (Mixture, 0.01, 0.3)] {
            let found = judged(endpoint(Some(0.9), &[bound, against, (Surprisal, -0.01, 0.01)]));
            assert_eq!(found.verdict, Verdict::Inconclusive, "{against:?}");
        }
        let with = |departure| judged(endpoint(Some(0.9), &[bound, departure, (Surprisal, -0.01, 0.01)]));
        let found = with((Departure, 0.05, 0.2));
        assert!(found.reason.contains("(departures 12.5 %, 5 to 20; tolerance 5 %)"), "{}", found.reason);
        // As many leave early where all part at a rate of 2 %.
        assert_eq!(with((Departure, 0.03, 0.15)).verdict, Verdict::Consistent);
    }

    #[test]
    fn greedy_answers_alone_decide_where_nothing_else_was_asked_and_that_is_said() {
        let found = judged(endpoint(Some(0.9), &[(Divergence, 0.0, 0.02)]));
        assert_eq!(found.verdict, Verdict::Consistent);
        assert!(found.reason.contains("only greedy answers were asked"), "{}", found.reason);
    }

    #[test]
    fn an_exact_disagreement_is_drift_whatever_the_statistics_say() {
        let certain =
            Finding { fault: "double-bos".into(), confidence: Confidence::Certain, evidence: "13 for 12".into() };
        for high in [0.01, 0.2] {
            let mut found = endpoint(Some(0.5), &[(Divergence, 0.0, high)]);
            found.findings = vec![certain.clone()];
            assert_eq!(decide(&found, &SETTINGS).verdict, Verdict::Drifted);
        }
    }

    #[test]
    fn beside_an_exact_disagreement_the_effect_that_was_measured_is_told() {
        let told = |effects: &[(EffectName, f64, f64)]| {
            let mut found = endpoint(Some(0.5), effects);
            let evidence = String::new();
            found.findings = vec![Finding { fault: "double-bos".into(), confidence: Confidence::Certain, evidence }];
            decide(&found, &SETTINGS).effect.map(|e| e.name)
        };
        assert_eq!(told(&[(Substitution, 0.0, 0.0), (Divergence, 0.04, 0.1)]), Some(Divergence));
        assert_eq!(told(&[(Substitution, 0.0, 0.4), (Divergence, -0.01, 0.02)]), Some(Divergence));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn a_host_that_fails_or_is_slow_has_not_drifted() {
        for fault in ["flaky-host", "slow"] {
            let mut found = endpoint(Some(0.5), &[(Divergence, 0.0, 0.01), (Surprisal, -0.01, 0.01)]);
            found.findings =
                vec![Finding { fault: fault.into(), confidence: Confidence::Certain, evidence: String::new() }];
            assert_eq!(judged(found).verdict, Verdict::Consistent);
        }
    }

    #[test]
    fn no_answers_are_unmeasured() {
        assert_eq!(decide(&EndpointComparison::unmeasured("e", ""), &SETTINGS).verdict, Verdict::Unmeasured);
    }
}
