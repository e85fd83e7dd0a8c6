//! What the shape of a statistical difference suggests, where nothing exact explains it.
//!
//! None of it is ever certain. The shapes are looked at from the plainest to the least: other sampling of the same model,
//! a penalty on repetition, another style, a difference that grows with the prompt, a mixture, answers that do not repeat themselves,
//! and the rest, which text alone cannot tell apart. How far another model is only a control shows, and without answers that are like
//! the control's no distance is likely another model's.

use std::fmt::Write as _;

use super::penalty::{self, Beside};
use super::sampling::closeness;
use super::tally::{FEWEST, RULED_OUT};
use super::{Evidence, MOSTLY_ANOTHER_MODEL, finding as told};
use crate::compare::control::Unit;
use crate::compare::effect::{Sized, left_at};
use crate::sample::Asking;
use crate::signal::departures::{departing, departing_from_itself};
use crate::signal::repeats::repeated;
use crate::stats::divergence::{Exposure, ProbeExposure};
use crate::stats::exact::{Share, more_often};
use crate::stats::interval::normal_tail;
use crate::stats::kernel::mean_of_combined;
use crate::stats::permutation::TwoSample;
use crate::verdict::Confidence::{Likely, Possible};
use crate::verdict::{EffectName, Finding};

/// The likeliest fault, if a difference is beyond its tolerance at all.
pub(super) fn finding(evidence: &Evidence<'_>) -> Option<Finding> {
    if let Some(found) = sampled_otherwise(evidence).or_else(|| tail(evidence)) {
        return Some(found);
    }
    let size = |name| beyond(evidence, name);
    let (substitution, divergence) = (size(EffectName::Substitution), size(EffectName::Divergence));
    let largest = substitution.iter().chain(&divergence).map(|s| s.effect.low).fold(0.0, f64::max);
    // A penalty shows in what answers turn away from, however few of them part.
    if DISTANCES.into_iter().all(|name| size(name).is_none()) {
        return penalty::turns_away(evidence, Beside::Nothing);
    }
    if let Some(found) = penalty::turns_away(evidence, Beside::Distance).or_else(|| style(evidence)) {
        return Some(found);
    }
    if largest >= MOSTLY_ANOTHER_MODEL {
        return favoured(evidence, substitution, divergence).or_else(|| another_model(evidence));
    }
    [grows_with_prompt, like_the_control, mixture, some_probes, restless]
        .into_iter()
        .find_map(|shape| shape(evidence))
        .or_else(|| divergence.map(even))
}

/// The effects that say how far answers are from the reference's.
const DISTANCES: [EffectName; 4] =
    [EffectName::Substitution, EffectName::Mixture, EffectName::Divergence, EffectName::Departure];

fn beyond<'a>(evidence: &Evidence<'a>, name: EffectName) -> Option<&'a Sized> {
    let settings = evidence.settings;
    let is_beyond = |s: &&Sized| s.effect.low > s.limit(settings) && s.p.is_none_or(|p| p <= settings.alpha);
    evidence.effects.iter().find(|s| s.effect.name == name).filter(is_beyond)
}

/// The same model, drawn from otherwise. Sampled answers are more or less spread around the same ones; or they are less spread
/// and greedy ones more, as one temperature for both makes them, however far that takes them from the reference's.
fn sampled_otherwise(evidence: &Evidence<'_>) -> Option<Finding> {
    let tolerance = evidence.settings.dispersion_tolerance;
    let spread = evidence.effects.iter().find(|s| s.effect.name == EffectName::Dispersion)?;
    spread.p.filter(|p| *p <= evidence.settings.alpha)?;
    let around_the_same = (spread.effect.low > tolerance || spread.effect.high < -tolerance)
        && evidence.sampled.is_some_and(is_same_model_otherwise_sampled);
    let differs = || DISTANCES.into_iter().any(|name| beyond(evidence, name).is_some());
    let is_one_temperature = || spread.effect.low > 0.0 && differs() && leaves_itself(evidence);
    if !around_the_same && !is_one_temperature() {
        return None;
    }
    let change = 100.0 * spread.effect.estimate;
    let words = if change > 0.0 { "less" } else { "more" };
    let mut seen = format!("sampled answers vary {:.0} % {words} than the reference's", change.abs());
    if around_the_same {
        seen += ", around the same ones";
    }
    let repeats = evidence.repeats();
    if evidence.is_restless() {
        let _ = write!(
            seen,
            "; at temperature 0 they change on {} of {} probes, the reference's on {}",
            repeats.endpoint.showing, repeats.endpoint.all, repeats.reference.showing
        );
    }
    // What changes greedy answers and lets them repeat themselves is more than other sampling. Another model's answers among the
    // reference's add variety as a higher temperature does; they take none away around the same ones.
    let is_sampling = change > 0.0 && (!evidence.is_model_moved() || leaves_itself(evidence));
    let is_rare =
        !around_the_same || evidence.sampled.is_some_and(|found| is_reached_by_none(evidence, found.dispersion_p));
    if is_sampling && may_be_kept(evidence) {
        return Some(told("temperature-ignored", Possible, format!("{seen}, as answers that are kept would too")));
    }
    Some(told("temperature-ignored", if is_sampling && is_rare { Likely } else { Possible }, seen))
}

/// Whether sampled answers come again far beyond the reference's, and the different ones are no closer to the reference's than those are
/// to each other: an answer that was drawn and kept is one of the usual ones, however many are kept, and what a lower temperature draws is
/// among the most usual.
fn may_be_kept(evidence: &Evidence<'_>) -> bool {
    let theirs = repeated(evidence.answers, evidence.reference);
    let ours = repeated(evidence.reference, evidence.answers);
    theirs.showing >= FEWEST && more_often(theirs, ours) <= RULED_OUT && closeness(evidence) != Some(true)
}

/// Sampled answers that are less surprising than the reference's, or more, while greedy ones are the reference's: the tail of the
/// distribution is cut off, or weighs otherwise.
fn tail(evidence: &Evidence<'_>) -> Option<Finding> {
    let surprisal = evidence.effects.iter().find(|s| s.effect.name == EffectName::Surprisal)?;
    let limit = surprisal.limit(evidence.settings);
    let is_beyond = surprisal.effect.low > limit || surprisal.effect.high < -limit;
    let weights = [EffectName::Divergence, EffectName::Departure];
    let agree = evidence.greedy.is_some() && weights.into_iter().all(|name| beyond(evidence, name).is_none());
    if !is_beyond || !agree || !is_chance_ruled_out(evidence, surprisal) {
        return None;
    }
    let change = 100.0 * surprisal.effect.estimate;
    let words = if change > 0.0 {
        "less surprising than the reference's, as without their tail"
    } else {
        "more surprising than the reference's"
    };
    let seen = format!("sampled answers are {:.0} % {words}, and greedy ones agree", change.abs());
    if change > 0.0 && may_be_kept(evidence) {
        return Some(told("temperature-ignored", Possible, format!("{seen}, as answers that are kept would be too")));
    }
    // What is more surprising may as well be another model's, behind requests of this kind alone; and what stands behind all answers
    // makes each of them less so.
    let is_cut = change > 0.0 && !is_left_by_nearly_all(evidence);
    Some(told("temperature-ignored", if is_cut { Likely } else { Possible }, seen))
}

/// Whether nearly all greedy answers leave the reference's, however late.
fn is_left_by_nearly_all(evidence: &Evidence<'_>) -> bool {
    let probes = evidence.greedy.map_or(&[][..], |greedy| &greedy.probes);
    let events: f64 = probes.iter().map(|p| p.cross.events).sum();
    !probes.is_empty() && events >= NEARLY_ALL * probes.len() as f64
}

/// Whether chance is ruled out for a surprisal, at the level that all rules which can be wrong by chance share.
fn is_chance_ruled_out(evidence: &Evidence<'_>, surprisal: &Sized) -> bool {
    let (Some(p), Some(found)) = (surprisal.p, evidence.sampled) else { return false };
    // No p-value of 1,999 permutations is below 1 in 2,000, and the level is. Where none of them reaches what was
    // observed, the normal distribution with their spread says how rare it is: the statistic is a mean over all answers,
    // centred by construction.
    if p <= RULED_OUT || !is_reached_by_none(evidence, found.surprisal_p) || found.surprisal_null.sd <= 0.0 {
        return p <= RULED_OUT;
    }
    let views = evidence.thinking.disclosure.views(Asking::Sampled).len() as f64;
    2.0 * views * normal_tail(found.surprisal.abs() / found.surprisal_null.sd) <= RULED_OUT
}

/// Whether none of the permutations reached what was observed, by the p-value of the test itself.
fn is_reached_by_none(evidence: &Evidence<'_>, p: f64) -> bool {
    p <= FLOOR / (f64::from(evidence.settings.permutations) + 1.0)
}

/// Up to this many times the smallest p-value there is.
const FLOOR: f64 = 1.5;

/// Whether the endpoint's answers lie between the reference's own and its more or less typical ones: then the similarity
/// across both sides lies between those within each, which is `|D| ≥ T`. Another model's answers are less similar to the
/// reference's than either side's are among themselves. Where they are a share ε of the endpoint's, `T` goes with ε² and
/// `D` with −2ε, so that a loss of variety alone (`D > 0`) tells the two apart.
fn is_same_model_otherwise_sampled(found: &TwoSample) -> bool {
    mean_of_combined(&found.d).abs() >= mean_of_combined(&found.t)
}

/// From this p-value on a feature of answers is another one, as an explanation.
const ANOTHER_FEATURE: f64 = 0.01;

/// Longer, louder, with pictures: two of three, as a chat-tuned variant has them.
fn style(evidence: &Evidence<'_>) -> Option<Finding> {
    let more = |name: &str| {
        let found = evidence.features.iter().find(|f| f.name == name)?;
        found.statistic.filter(|s| *s > 0.0 && found.p_value.is_some_and(|p| p <= ANOTHER_FEATURE))
    };
    let (length, loud, emoji) = (more("length"), more("exclamation_marks"), more("emoji"));
    if [length, loud, emoji].into_iter().flatten().count() < 2 {
        return None;
    }
    let words = [
        length.map(|n| format!("{n:.0} characters longer")),
        loud.map(|n| format!("{n:.1} exclamation marks more")),
        emoji.map(|n| format!("{n:.1} emoji more")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    // Another model may have another style as well.
    Some(told("finetuned-variant", Possible, format!("another style: answers are {} on average", words.join(", "))))
}

/// Sampled answers as if from another model, and greedy ones that leave at a far lower rate than that model's. Where drawing prefers
/// other tokens than the model does, sampled answers vary less as well; where they do not, it is the same model with other weights,
/// of which few answers were drawn. Only a control shows what a model's rate is.
fn favoured(evidence: &Evidence<'_>, substitution: Option<&Sized>, divergence: Option<&Sized>) -> Option<Finding> {
    let (s, d) = (&substitution?.effect, &divergence?.effect);
    let apart = s.low >= MOSTLY_ANOTHER_MODEL && d.high < 1.0 && d.estimate < FAR_LESS * s.estimate;
    if !apart || evidence.pace.unit != Unit::Measured {
        return None;
    }
    let spread = evidence.effects.iter().find(|s| s.effect.name == EffectName::Dispersion);
    if spread.is_none_or(|spread| spread.effect.low <= 0.0) {
        return divergence.map(even);
    }
    let seen = format!(
        "sampled answers are as if {:.0} % of them came from another model, and greedy ones leave at {:.0} % of its rate, as where \
         some tokens are favoured in drawing",
        100.0 * s.estimate,
        100.0 * d.estimate
    );
    Some(told("watermark", Possible, seen))
}

/// How much less greedy answers are moved than sampled ones where tokens are favoured.
const FAR_LESS: f64 = 0.75;

/// As far away as another model. Where sampled and greedy answers were both asked, both must be. No distance says by itself what makes
/// it: a prompt or a template that no count shows takes answers as far. Only where they are the control's own, another model is likely.
fn another_model(evidence: &Evidence<'_>) -> Option<Finding> {
    let of = |name| evidence.effects.iter().find(|s| s.effect.name == name);
    let (substitution, divergence) = (of(EffectName::Substitution), of(EffectName::Divergence));
    let is_large = |s: &&Sized| s.effect.low >= MOSTLY_ANOTHER_MODEL;
    let is_known = evidence.is_wholly_as_far() && evidence.unit == Unit::Measured && are_the_controls(evidence);
    let percent = |s: &Sized| 100.0 * s.effect.estimate;
    let seen = match (substitution.filter(is_large), divergence.filter(is_large)) {
        (Some(s), _) => format!("as if {:.0} % of its answers came from another model", percent(s)),
        (None, Some(d)) => format!("greedy answers drift away {:.0} % as fast as another model's", percent(d)),
        (None, None) => return None,
    };
    let seen = match evidence.unit {
        Unit::Measured if is_known => seen,
        Unit::Measured => format!("{seen}; another prompt or template may look the same"),
        Unit::Draws | Unit::BuiltIn => {
            format!("{seen}, by a unit that is built in: without a control other weights may look the same")
        }
    };
    Some(told("swapped-model", if is_known { Likely } else { Possible }, seen))
}

/// From this share on it is nearly all: of answers that are like the control's, or of greedy ones that leave the reference's.
const NEARLY_ALL: f64 = 0.9;

/// Whether sampled answers are as the control's own, all of them as far as is seen and most of them surely.
fn are_the_controls(evidence: &Evidence<'_>) -> bool {
    let mixture = evidence.effects.iter().find(|s| s.effect.name == EffectName::Mixture);
    mixture.is_some_and(|s| s.effect.low >= MOSTLY_ANOTHER_MODEL && s.effect.high >= NEARLY_ALL)
}

/// How much of what a mixture leaves alone must be the reference's.
const UNTOUCHED: f64 = 0.9;

/// Whether the greedy answers that do not come from elsewhere, at this share, are the reference's as often as its own are.
fn is_rest_the_references(evidence: &Evidence<'_>, share: f64) -> bool {
    let own = departing_from_itself(evidence.reference).value();
    1.0 - departures(evidence).value() >= UNTOUCHED * (1.0 - share) * (1.0 - own)
}

fn departures(evidence: &Evidence<'_>) -> Share {
    departing(evidence.answers, evidence.reference, |_| true)
}

/// Some sampled answers are as the control's, and as many as account for the whole distance: were all answers moved a little, or to
/// anything else than the control's, that would be larger.
fn like_the_control(evidence: &Evidence<'_>) -> Option<Finding> {
    let share = &beyond(evidence, EffectName::Mixture)?.effect;
    let of = |name| evidence.effects.iter().find(|s| s.effect.name == name).map(|s| &s.effect);
    let accounts_for_all = of(EffectName::Substitution)?.low <= share.high;
    let of_greedy = of(EffectName::Departure).map_or(0.0, |departure| departure.estimate);
    let is_mixture = accounts_for_all && is_rest_the_references(evidence, share.high.max(of_greedy));
    is_mixture.then(|| {
        let seen = format!(
            "{:.0} % of sampled answers ({:.0} to {:.0} %) are as the control's, and the others as the reference's",
            100.0 * share.estimate,
            100.0 * share.low,
            100.0 * share.high
        );
        told("partial-routing", Possible, seen)
    })
}

/// Some answers are the reference's throughout, and the others leave it as soon as another model's do.
fn mixture(evidence: &Evidence<'_>) -> Option<Finding> {
    let departure = beyond(evidence, EffectName::Departure)?;
    let divergence = evidence.effects.iter().find(|s| s.effect.name == EffectName::Divergence)?;
    let (share, rate) = (departure.effect.estimate, divergence.effect.estimate);
    let is_mixture = share >= SOONER * left_at(rate) && is_rest_the_references(evidence, share);
    is_mixture.then(|| {
        let seen = format!(
            "{:.0} % of greedy answers leave the reference's as soon as another model's do, and the others are its own: over whole \
             answers the rate is {:.0} % of another model's",
            100.0 * share,
            100.0 * rate
        );
        told("partial-routing", Possible, seen)
    })
}

/// How much larger the share is in a mixture than where all answers leave at one rate. Prompts differ in how soon answers to
/// them leave, which makes it a little larger or smaller by itself.
const SOONER: f64 = 1.05;

/// All of the difference is on some of the sampled probes: a prompt always goes the same way.
fn some_probes(evidence: &Evidence<'_>) -> Option<Finding> {
    let probes = &evidence.sampled?.probes;
    let far = probes.iter().filter(|p| p.p <= 0.005).count();
    let rest: Vec<f64> = probes.iter().map(|p| p.p).filter(|p| *p > 0.005).collect();
    // A quarter of p-values is below a quarter where there is no difference; more are where all probes differ a little.
    let low = rest.iter().filter(|p| **p <= 0.25).count();
    let share = far as f64 / probes.len().max(1) as f64;
    let is_some = far >= FEWEST && 2 * far <= probes.len() && 5 * low <= 2 * rest.len();
    (is_some && is_rest_the_references(evidence, share)).then(|| {
        let seen = format!("all of the difference is on {far} of {} sampled probes", probes.len());
        told("partial-routing", Possible, seen)
    })
}

/// Whether greedy answers leave themselves about as often as they leave the reference's. Where weights are another, they leave
/// the reference's together.
fn leaves_itself(evidence: &Evidence<'_>) -> bool {
    let repeats = evidence.repeats();
    evidence.is_restless() && repeats.endpoint.value() >= ABOUT_AS_OFTEN * departures(evidence).value()
}

/// Greedy answers that change from one time to the next.
fn restless(evidence: &Evidence<'_>) -> Option<Finding> {
    let repeats = evidence.repeats();
    leaves_itself(evidence).then(|| {
        let seen = format!(
            "answers at temperature 0 change from one time to the next on {} of {} probes, the reference's on {} of {}",
            repeats.endpoint.showing, repeats.endpoint.all, repeats.reference.showing, repeats.reference.all
        );
        told("topk-miscompile", Possible, seen)
    })
}

/// The share of one rate that makes another about as large.
const ABOUT_AS_OFTEN: f64 = 0.75;

/// Fewest probes with a long prompt for a rule on length.
const FEWEST_LONG: usize = 8;

/// Greedy answers to long prompts leave the reference's far sooner than those to short ones.
fn grows_with_prompt(evidence: &Evidence<'_>) -> Option<Finding> {
    let greedy = evidence.greedy?;
    let tokens = |p: &ProbeExposure| evidence.tokens.probes.iter().find(|t| t.probe == p.probe).map(|t| t.reference);
    let mut probes: Vec<(i64, &ProbeExposure)> = greedy.probes.iter().filter_map(|p| Some((tokens(p)?, p))).collect();
    probes.sort_by_key(|(tokens, _)| *tokens);
    let (short, long) = probes.split_at(probes.len() - probes.len() / 4);
    if long.len() < FEWEST_LONG {
        return None;
    }
    let hazard = |group: &[(i64, &ProbeExposure)]| {
        let sum =
            |of: fn(&ProbeExposure) -> Exposure| group.iter().fold(Exposure::default(), |sum, (_, p)| sum + of(p));
        ((sum(|p| p.cross).hazard() - sum(|p| p.own).hazard()) / evidence.pace.hazard).max(0.0)
    };
    let leaving = |group: &[(i64, &ProbeExposure)]| Share {
        showing: group.iter().filter(|(_, p)| p.cross.events > p.own.events).count(),
        all: group.len(),
    };
    let (of_long, of_short) = (hazard(long), hazard(short));
    let grows = of_long > 3.0 * of_short && more_often(leaving(long), leaving(short)) <= RULED_OUT;
    grows.then(|| {
        let seen = format!(
            "greedy answers to prompts of {} tokens or more drift away at {:.0} % of another model's rate, to shorter ones at {:.0} %",
            long[0].0,
            100.0 * of_long,
            100.0 * of_short
        );
        let fault = if of_short <= evidence.settings.tolerance { "wrong-rope" } else { "quantized-kv" };
        told(fault, Possible, seen)
    })
}

/// A little everywhere.
fn even(divergence: &Sized) -> Finding {
    let seen = format!(
        "greedy answers drift away evenly, {:.0} % as fast as another model's; text alone cannot tell weights from kernels, \
         a coarser cache or a watermark",
        100.0 * divergence.effect.estimate
    );
    told("quantized-weights", Possible, seen)
}
