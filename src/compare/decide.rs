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
//! hold it with 95 %, and the tighter of the two upper ends decides. That takes for granted that a host serves requests at
//! both temperatures alike, and an agreement says how much sampled answers by themselves leave open.

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
    /// What to ask more of, where that would let there be a firmer verdict.
    pub advice: Option<String>,
    /// The effect that decided.
    pub effect: Option<Effect>,
}

/// Judges one endpoint whose p-value is already corrected.
pub fn decide(endpoint: &EndpointComparison, settings: &Settings) -> Judgement {
    let judge = |verdict, reason: String, effect: Option<&Effect>| Judgement {
        verdict,
        reason,
        advice: None,
        effect: effect.cloned(),
    };
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
    let clearance = |s: &Sized| beside_findings(s, endpoint).clearance(settings);
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
        let advice = endpoint.samples_to_settle.filter(|_| drawn.verdict == Verdict::Inconclusive).map(|n| {
            if n <= MOST_ANSWERS {
                format!("about {n} answers for each sampled probe{} would settle it", instead_of(n, endpoint))
            } else {
                "more sampled probes would settle it".to_owned()
            }
        });
        let weights = range(computed.effect.as_ref(), None);
        let sampling = range(drawn.effect.as_ref(), Some(settings.dispersion_tolerance));
        let reason = format!("weights agree{weights}; sampling is not settled{sampling}");
        return Judgement { advice, ..judge(Verdict::Inconclusive, reason, tightest) };
    }
    if let Some(found) = endpoint.findings.iter().find(|f| f.is_of_drawing() && computed.verdict == Verdict::Consistent)
    {
        let weights = range(computed.effect.as_ref(), None);
        let reason = format!("weights agree{weights}; sampling is not settled: {}", found.evidence);
        return judge(Verdict::Inconclusive, reason, tightest);
    }
    if let Some(effect) = tightest.filter(|_| computed.verdict == Verdict::Consistent) {
        let missing = endpoint.thinking.missing();
        // Whatever is missing may differ: at most all of it.
        let allowed = endpoint.effects.iter().map(|s| s.band.agreed).fold(settings.tolerance, f64::max);
        if effect.high.max(0.0) * (1.0 - missing) + missing <= allowed {
            let open = if is_asked {
                left_open(&endpoint.effects, allowed)
            } else {
                "; only greedy answers were asked, which show nothing of sampling".to_owned()
            };
            return judge(Verdict::Consistent, format!("within the tolerance{open}"), Some(effect));
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
    let (reason, advice) = what_is_missing(endpoint, significant, settings);
    Judgement { advice, ..judge(Verdict::Inconclusive, reason, tightest) }
}

/// An effect with what excuses it: what honest kernels may show excuses nothing where other evidence speaks for another model.
fn beside_findings(found: &Sized, endpoint: &EndpointComparison) -> Sized {
    let is_excused = !endpoint.findings.iter().any(Finding::is_of_another_model);
    let band = if is_excused { found.band } else { Band::default() };
    Sized { band, ..found.clone() }
}

/// What an agreement takes for granted: that requests above temperature 0 go where those at 0 go, since sampled answers by
/// themselves bound the share of another model's far more widely at any budget that is usual.
fn left_open(effects: &[Sized], allowed: f64) -> String {
    let sampled = effects.iter().map(|s| &s.effect).find(|e| e.name == EffectName::Substitution);
    let beyond = sampled.filter(|effect| effect.high > allowed);
    let words = |effect: &Effect| {
        format!("; sampled answers by themselves leave room for {:.0} % of another model's", 100.0 * effect.high)
    };
    beyond.map_or_else(String::new, words)
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

/// What is not settled, and what to ask more of where that would do.
fn what_is_missing(endpoint: &EndpointComparison, significant: bool, settings: &Settings) -> (String, Option<String>) {
    let computed = endpoint.questions.computed.effect.as_ref();
    let shown = range(computed, Some(settings.tolerance));
    if significant && endpoint.q_value.is_some() {
        return (format!("{}{shown}", unsettled(endpoint, settings)), None);
    }
    let few = if computed.is_some() { format!("weights are not settled{shown}") } else { "too few answers".to_owned() };
    if endpoint.thinking.disclosure.is_hidden() {
        let advice = "answers differ with thoughts that are hidden, so more sampled probes would decide";
        return (few, Some(advice.to_owned()));
    }
    if computed.is_some_and(|effect| is_excused(effect, endpoint.band, settings)) {
        let honest = 100.0 * endpoint.band.honest;
        let reason = format!(
            "{few}: honest kernels may differ by up to {honest:.0} %, so a control or a declared twin would decide"
        );
        return (reason, None);
    }
    let advice = match (endpoint.greedy_probes_to_decide, endpoint.samples_to_decide) {
        (Some(n), _) if n <= MOST_PROBES => format!("about {n} greedy probes would decide"),
        (_, Some(n)) if n <= MOST_ANSWERS => {
            format!("about {n} for each sampled probe{} would decide", instead_of(n, endpoint))
        }
        (None, None) if endpoint.greedy.is_none() => "greedy probes show most".to_owned(),
        _ => "more greedy probes would decide".to_owned(),
    };
    (few, Some(advice))
}

/// What keeps a difference that is significant from being drift: the end of the interval that is shown, or, where all of that lies
/// beyond the tolerance, what honest kernels may show or the wider interval of an alarm.
fn unsettled(endpoint: &EndpointComparison, settings: &Settings) -> String {
    let computed = endpoint.questions.computed.effect.as_ref();
    let shown = endpoint.effects.iter().find(|s| Some(&s.effect) == computed);
    let Some(shown) = shown.map(|s| beside_findings(s, endpoint)).filter(|s| s.effect.low > settings.tolerance) else {
        return "a difference, but its size against the tolerance is not settled".to_owned();
    };
    let beyond = "a difference beyond the tolerance, but";
    if shown.effect.low <= shown.band.honest {
        let honest = 100.0 * shown.band.honest;
        return format!("{beyond} not surely beyond the {honest:.0} % by which honest kernels may differ");
    }
    if shown.alarm.0.is_infinite() {
        return format!("{beyond} what is not shown may have caused it");
    }
    format!("{beyond} not yet by the wider interval that an alarm needs")
}

/// How few there are of what an endpoint is held against, where these are the reason why so many answers are needed.
fn instead_of(needed: u32, endpoint: &EndpointComparison) -> String {
    let short = endpoint.depth.filter(|depth| depth.is_reference_short(needed));
    short.map_or_else(String::new, |depth| format!(" instead of the {:.0} that it is held against", depth.reference))
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
mod tests;
