//! The words and numbers that all formats for people share.
//!
//! Layer 4, pure. Everything here is raw: it may quote hosts, and each format escapes it for where it goes.

mod errors;
mod fault;
mod next;
mod signal;

pub use crate::plural::count;
pub use next::{Step, is_no_api, next_steps, remedy};

use std::collections::BTreeMap;

use super::{EndpointReport, Report};
use crate::attempt::FailureKind;
use crate::compare::decide::directed;
use crate::compare::{Question, Questions};
use crate::config::Reference;
use crate::verdict::{Confidence, Effect, EffectName, ProbeResult, Verdict};

/// Probes that are named as the most different ones.
const NAMED_PROBES: usize = 3;

/// What drift is an effect of, as the legend of a table says it.
const EFFECT_LEGEND: &str = "share of answers as if from another model, with its 95 % interval";

/// What the adjusted p-value is: of a report on some of the endpoints, too, the correction is over all.
pub const ADJUSTED_LEGEND: &str = "p-value, corrected over all endpoints that were compared (Holm)";

/// What an agreement on sampling covers, as the legend of a table says it.
const SAMPLING_LEGEND: &str =
    "agrees in variety and surprisal, within their tolerance: so may small changes of temperature or `top_p`";

/// What a detail is about that says what to do.
pub const NEXT: &str = "next";

/// What sends messages whose time has come.
pub const WHAT_SENDS: &str = "what is due is tried with the next check, or at once with `samemodel alert send`; where a receiver \
     fails, the rest waits";

/// From this share on a number of per cent is shown without a decimal.
const WHOLE: f64 = 0.0995;

/// A line on one endpoint with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// One word.
    pub about: &'static str,
    /// One or more sentences.
    pub text: String,
}

/// A share as per cent, with a decimal below ten: `31 %`, `3.1 %`.
pub fn percent(share: f64) -> String {
    format!("{} %", number_of_percent(share, share.abs() < WHOLE))
}

fn number_of_percent(share: f64, decimal: bool) -> String {
    let rounded = format!("{:.*}", usize::from(decimal), 100.0 * share);
    let plain = if decimal { rounded.trim_end_matches(".0") } else { &rounded };
    // No negative zero, and a true minus sign, which no one takes for the dash of an interval.
    if plain == "-0" { "0".to_owned() } else { plain.replace('-', "−") }
}

/// An effect with its interval: `31 % (22 to 39)`. One that is no share of answers as if from another model has its name before it:
/// `variety ↓ 31 % (22 to 39)` where answers vary less.
pub fn effect(effect: &Effect) -> String {
    let name = match effect.name {
        EffectName::Substitution | EffectName::Divergence => "",
        EffectName::Mixture => "mixture ",
        EffectName::Departure => "departures ",
        EffectName::Dispersion => "variety ",
        EffectName::Surprisal => "surprisal ",
    };
    // What would read as nothing has no direction.
    let (_, [_, _, high]) = directed(effect, 0.0005);
    let decimal = high < WHOLE;
    let (arrow, numbers) = directed(effect, if decimal { 0.0005 } else { 0.005 });
    let [estimate, low, high] = numbers.map(|x| number_of_percent(x, decimal));
    format!("{name}{arrow}{estimate} % ({low} to {high})")
}

/// What the effects that have a name before them are, one line for each that is shown, and what an agreement covers.
pub fn legends(report: &Report) -> Vec<(&'static str, &'static str)> {
    let shown: Vec<EffectName> =
        report.endpoints.iter().filter_map(|e| e.effect.as_ref()).map(|effect| effect.name).collect();
    let any = |names: &[EffectName]| shown.iter().any(|name| names.contains(name));
    let agrees =
        |e: &EndpointReport| e.verdict == Verdict::Consistent && e.questions.drawn.verdict == Verdict::Consistent;
    [
        ("effect", EFFECT_LEGEND, any(&[EffectName::Substitution, EffectName::Divergence])),
        ("mixture", "share of sampled answers as if from the control", any(&[EffectName::Mixture])),
        ("departures", "share of greedy answers that leave the reference's early", any(&[EffectName::Departure])),
        ("variety", "answers vary by this much less (↓) or more (↑)", any(&[EffectName::Dispersion])),
        ("surprisal", "answers are by this much less (↓) or more (↑) surprising", any(&[EffectName::Surprisal])),
        ("sampling", SAMPLING_LEGEND, report.endpoints.iter().any(agrees)),
    ]
    .into_iter()
    .filter_map(|(about, text, shown)| shown.then_some((about, text)))
    .collect()
}

/// A p-value: `0.34`, `0.012`, `<0.001`.
pub fn p_value(p: f64) -> String {
    if p < 0.0005 {
        "<0.001".to_owned()
    } else if p < 0.0995 {
        format!("{p:.3}")
    } else {
        format!("{p:.2}")
    }
}

/// A p-value in a sentence: `p = 0.012`, `p < 0.001`.
pub fn p_sentence(p: f64) -> String {
    let number = p_value(p);
    number.strip_prefix('<').map_or_else(|| format!("p = {number}"), |bound| format!("p < {bound}"))
}

/// US dollars: `$1.20`, `$0.04`, `<$0.01`.
pub fn dollars(cost: f64) -> String {
    // A sum of nothing may be a negative zero.
    let cost = if cost <= 0.0 { 0.0 } else { cost };
    if cost > 0.0 && cost < 0.005 { "<$0.01".to_owned() } else { format!("${cost:.2}") }
}

/// Names that are shown of several.
const FEW: usize = 3;

/// The first few names: `a, b, c and 2 more`.
pub fn few(names: &[&str]) -> String {
    let first = names[..names.len().min(FEW)].join(", ");
    if names.len() > FEW { format!("{first} and {} more", names.len() - FEW) } else { first }
}

/// Characters of the id of a run that tell it from others: those of its time to the millisecond.
pub const SHORT_ID: usize = 13;

/// The beginning of the id of a run, by which commands find it.
pub fn short_id(run: &str) -> &str {
    &run[..run.floor_char_boundary(SHORT_ID)]
}

/// What is compared, by name: samples need not say which model they are of.
pub fn subject(report: &Report) -> &str {
    if report.model.is_empty() { "unnamed model" } else { &report.model }
}

/// What endpoints are held against.
pub fn against(report: &Report) -> &str {
    reference_name(&report.reference)
}

/// What a reference of this name is called.
pub fn reference_name(name: &str) -> &str {
    if name == Reference::SNAPSHOT { "approved snapshots" } else { name }
}

/// Verdicts with their numbers, the worst first: `2 drifted, 1 consistent`.
pub fn tally(report: &Report) -> String {
    let order = [Verdict::Drifted, Verdict::Unmeasured, Verdict::Inconclusive, Verdict::Consistent];
    let of = |verdict| report.endpoints.iter().filter(|e| e.verdict == verdict).count();
    let parts: Vec<String> = order.into_iter().filter(|&v| of(v) > 0).map(|v| format!("{} {v}", of(v))).collect();
    if parts.is_empty() { "no endpoint was compared".to_owned() } else { parts.join(", ") }
}

/// What was asked: `40 probes (25 sampled, 15 greedy)`; empty when no endpoint shows any.
pub fn probes(report: &Report) -> String {
    let most = report.endpoints.iter().max_by_key(|e| e.probes.len());
    let all = most.map_or(0, |e| e.probes.len());
    let greedy = most.and_then(|e| e.greedy).map_or(0, |g| g.probes.min(all));
    match (all - greedy, greedy) {
        (0, 0) => String::new(),
        (_, 0) => format!("{}, sampled", count(all, "probe")),
        (0, _) => format!("{}, greedy", count(all, "probe")),
        (sampled, greedy) => format!("{all} probes ({sampled} sampled, {greedy} greedy)"),
    }
}

/// How the numbers came about: probes, tolerance, rate of false alarms and seed.
pub fn circumstances(report: &Report) -> Vec<String> {
    let mut out = vec![
        probes(report),
        format!("tolerance {}", percent(report.tolerance)),
        format!("false alarms {}", percent(report.alpha)),
        format!("seed {}", report.seed),
    ];

    out.retain(|part| !part.is_empty());
    out
}

/// Answers, and out of how many where some are missing: `250`, `248/250`.
pub fn answers(e: &EndpointReport) -> String {
    if e.unanswered == 0 { e.samples.to_string() } else { format!("{}/{}", e.samples, e.samples + e.unanswered) }
}

/// The one thing to know of an endpoint beside its verdict: the surest finding, of drift the surest that it may come of, or that many
/// attempts failed.
pub fn stands_out(e: &EndpointReport) -> Option<String> {
    let cause = e.findings.iter().find(|f| e.verdict == Verdict::Drifted && !f.is_of_the_service());
    let Some(first) = cause.or_else(|| e.findings.first()) else {
        let failing = e.errors * 10 > e.attempts;
        // What this machine could not send is none of the host's.
        let local = e.failures.get(FailureKind::Local.as_str()).copied().unwrap_or(0);
        let why = if 2 * local > e.errors { ": no descriptors left here" } else { "" };
        let share = percent(e.errors as f64 / e.attempts.max(1) as f64);
        return failing.then(|| format!("{share} of attempts failed{why}"));
    };
    let more = if e.findings.len() > 1 { format!(" +{}", e.findings.len() - 1) } else { String::new() };
    Some(format!("{} ({}){more}", first.fault, confidence(first.confidence)))
}

/// How sure a finding is.
pub fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    }
}

/// What the control shows, in a sentence.
pub fn control(report: &Report) -> String {
    match (&report.control.endpoint, report.control.p_value) {
        (None, _) => {
            "none configured: effects are measured against a built-in unit, and nothing shows that the tests could \
                      have fired"
                .to_owned()
        }
        (Some(name), None) if report.reference_account.samples == 0 && report.control.account.samples > 0 => {
            format!("{name} answered, and there is nothing approved to tell it apart from")
        }
        (Some(name), None) => format!("{name} gave too few answers to test"),
        (Some(name), Some(p)) if p <= report.alpha => {
            format!("{name}, known to serve another model, was told apart ({}): the tests can fire", p_sentence(p))
        }
        (Some(name), Some(p)) => {
            format!(
                "{name}, known to serve another model, was not told apart ({}): the tests cannot fire",
                p_sentence(p)
            )
        }
    }
}

/// What the reference held against itself shows, in a sentence.
pub fn self_check(report: &Report) -> String {
    let Some(check) = report.self_check else {
        if report.reference == Reference::SNAPSHOT {
            return "none: each endpoint is held against its own approved answers".to_owned();
        }
        return "not possible: it needs four sampled answers of the reference to a probe".to_owned();
    };
    let shows = if check.p_value > report.alpha { "does not differ" } else { "differs" };
    let tested = count(check.answers, "answer");
    format!("the reference {shows} from itself ({}, {tested})", p_sentence(check.p_value))
}

/// What came of the requests to the reference.
pub fn reference(report: &Report) -> String {
    let account = &report.reference_account;
    let mut parts = vec![against(report).to_owned(), count(account.samples, "answer")];
    let classes = failures(&account.failures);
    match (account.errors, classes.is_empty()) {
        (0, _) => {}
        (n, true) => parts.push(count(n, "failed attempt")),
        (n, false) => parts.push(format!("{} ({classes})", count(n, "failed attempt"))),
    }
    parts.extend(errors::missing(account.unanswered, account.not_asked));
    parts.join(", ")
}

/// What the run has cost, and what of it whom: `$0.49 in all: endpoints $0.29, reference $0.10, control $0.10`; `None` where no price
/// is known.
pub fn cost(report: &Report) -> Option<String> {
    let shares = [
        ("endpoints", report.endpoints.iter().filter_map(|e| e.cost).reduce(|a, b| a + b)),
        ("reference", report.reference_account.cost),
        ("control", report.control.account.cost),
    ];
    let shares = shares.into_iter().filter_map(|(who, cost)| Some(format!("{who} {}", dollars(cost?))));
    Some(format!("{} in all: {}", dollars(report.cost()?), shares.collect::<Vec<_>>().join(", ")))
}

/// Failures by class, the commonest first: `12 rate_limited, 2 reset`.
pub fn failures(by_class: &BTreeMap<String, usize>) -> String {
    let mut classes: Vec<(&String, &usize)> = by_class.iter().collect();
    classes.sort_by_key(|&(class, n)| (std::cmp::Reverse(*n), class));
    let parts: Vec<String> = classes.into_iter().map(|(class, n)| format!("{n} {class}")).collect();
    parts.join(", ")
}

/// Whether there is more to say of an endpoint than its line in the table does.
pub fn needs_attention(e: &EndpointReport) -> bool {
    e.verdict != Verdict::Consistent || !e.findings.is_empty() || e.errors > 0 || e.unanswered > 0
}

/// All that is to be said of an endpoint, in the order in which it is read.
pub fn details(e: &EndpointReport, report: &Report) -> Vec<Detail> {
    let detail = |about, text: String| Detail { about, text };
    let mut out = Vec::new();
    if e.verdict != Verdict::Consistent {
        out.push(detail("why", e.reason.clone()));
    }
    if e.questions != Questions::default() {
        out.push(detail("weights", question(&e.questions.computed) + by_what(e)));
        out.push(detail("sampling", question(&e.questions.drawn)));
    }
    out.extend(e.findings.iter().map(|f| detail("fault", fault::fault(f, e))));
    if e.verdict == Verdict::Drifted {
        out.push(detail("signals", signal::signals(&e.signals, report.alpha)));
        out.push(detail("greedy", greedy(e)));
        out.push(detail("probes", most_different(&e.probes)));
    }
    out.extend(errors::errors(e));
    out.push(detail(NEXT, next::next(e, report)));
    out.retain(|d| !d.text.is_empty());
    out
}

/// One part of a verdict: `agrees, 0.4 % (0 to 1.2)`.
fn question(question: &Question) -> String {
    let verdict = match question.verdict {
        Verdict::Consistent => "agrees",
        Verdict::Drifted => "differs",
        Verdict::Inconclusive => "not settled",
        Verdict::Unmeasured => "not measured",
    };
    question.effect.as_ref().map_or_else(|| verdict.to_owned(), |shown| format!("{verdict}, {}", effect(shown)))
}

/// By which answers a share of the weights is known, where the endpoint's own effect is the same share by the others.
fn by_what(e: &EndpointReport) -> &'static str {
    let names = (e.questions.computed.effect.as_ref().map(|x| x.name), e.effect.as_ref().map(|x| x.name));
    match names {
        (Some(EffectName::Divergence), Some(EffectName::Substitution)) => " by greedy answers",
        (Some(EffectName::Substitution), Some(EffectName::Divergence)) => " by sampled answers",
        _ => "",
    }
}

fn greedy(e: &EndpointReport) -> String {
    let Some(g) = e.greedy else { return String::new() };
    let own = g.own_differing.map_or_else(String::new, |own| format!(", {} among the reference's own", percent(own)));
    format!(
        "{} of pairs of answers at temperature 0 differ{own}, over {}",
        percent(g.differing),
        count(g.probes, "probe")
    )
}

fn most_different(probes: &[ProbeResult]) -> String {
    let mut tested: Vec<(&ProbeResult, f64)> =
        probes.iter().filter(|p| p.p_value.is_some()).filter_map(|p| Some((p, p.effect?))).collect();
    tested.sort_by(|a, b| b.1.total_cmp(&a.1));
    let parts: Vec<String> = tested
        .into_iter()
        .take(NAMED_PROBES)
        .filter(|(_, effect)| *effect > 0.0)
        .map(|(p, _)| format!("{} ({})", p.probe, p_sentence(p.p_value.unwrap_or(1.0))))
        .collect();
    if parts.is_empty() { String::new() } else { format!("most different on {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: EffectName, estimate: f64, low: f64, high: f64) -> String {
        effect(&Effect { name, estimate, low, high })
    }

    #[test]
    fn effects_are_whole_per_cent_when_large_and_have_a_decimal_near_the_tolerance() {
        assert_eq!(shown(EffectName::Substitution, 0.312, 0.22, 0.391), "31 % (22 to 39)");
        assert_eq!(shown(EffectName::Divergence, 0.012, 0.0, 0.0496), "1.2 % (0 to 5)");
        assert_eq!(shown(EffectName::Divergence, -0.012, -0.02, 0.041), "−1.2 % (−2 to 4.1)");
        assert_eq!(shown(EffectName::Divergence, -0.0001, -0.0002, 0.0), "0 % (0 to 0)");
    }

    #[test]
    fn what_an_agreement_on_sampling_covers_is_said_where_there_is_one() {
        let mut report = crate::report::fixture::mixed();
        let told = |report: &Report| legends(report).iter().any(|(_, text)| *text == SAMPLING_LEGEND);
        assert!(!told(&report), "nothing is known of how answers are drawn");
        report.endpoints[0].questions.drawn.verdict = Verdict::Consistent;
        assert!(told(&report));
    }

    #[test]
    fn a_share_of_the_weights_beside_the_same_share_by_others_says_by_what_it_is_known() {
        let of = |name, estimate, low| Effect { name, estimate, low, high: 1.0 };
        let mut report = crate::report::fixture::mixed();
        let e = &mut report.endpoints[0];
        e.questions.computed.effect = Some(of(EffectName::Divergence, 1.0, 1.0));
        e.effect = Some(of(EffectName::Substitution, 0.57, 0.0));
        let weights = |report: &Report| {
            let all = details(&report.endpoints[0], report).into_iter();
            all.filter(|detail| detail.about == "weights").map(|detail| detail.text).collect::<Vec<_>>()
        };
        assert!(weights(&report)[0].ends_with(", 100 % (100 to 100) by greedy answers"), "{:?}", weights(&report));
        report.endpoints[0].effect = Some(of(EffectName::Divergence, 1.0, 1.0));
        assert!(weights(&report)[0].ends_with(", 100 % (100 to 100)"), "{:?}", weights(&report));
    }

    #[test]
    fn effects_on_variety_say_in_which_direction() {
        assert_eq!(shown(EffectName::Dispersion, 0.4, 0.3, 0.5), "variety ↓ 40 % (30 to 50)");
        assert_eq!(shown(EffectName::Dispersion, -0.4, -0.5, -0.3), "variety ↑ 40 % (30 to 50)");
        assert_eq!(shown(EffectName::Surprisal, -0.046, -0.101, 0.009), "surprisal ↑ 5 % (−1 to 10)");
    }

    #[test]
    fn an_effect_that_reads_as_nothing_has_no_direction() {
        assert_eq!(shown(EffectName::Surprisal, -0.0002, -0.021, 0.02), "surprisal 0 % (−2 to 2.1)");
        assert_eq!(shown(EffectName::Surprisal, 0.004, -0.12, 0.13), "surprisal 0 % (−13 to 12)");
        assert_eq!(shown(EffectName::Dispersion, 0.0006, -0.02, 0.02), "variety ↓ 0.1 % (−2 to 2)");
    }

    #[test]
    fn beside_drift_stands_what_it_may_come_of_before_what_the_service_does_wrong() {
        let mut e = crate::report::fixture::mixed().endpoints.remove(0);
        let finding = |fault: &str| crate::verdict::Finding {
            fault: fault.into(),
            confidence: Confidence::Certain,
            evidence: String::new(),
        };
        (e.verdict, e.findings) = (Verdict::Drifted, vec![finding("flaky-host"), finding("double-bos")]);
        assert_eq!(stands_out(&e).as_deref(), Some("double-bos (certain) +1"));
        e.verdict = Verdict::Consistent;
        assert_eq!(stands_out(&e).as_deref(), Some("flaky-host (certain) +1"));
    }

    #[test]
    fn the_cost_says_what_it_is_made_of() {
        let mut report = crate::report::fixture::mixed();
        assert_eq!(cost(&report).as_deref(), Some("$0.95 in all: endpoints $0.72, reference $0.21, control $0.02"));
        report.endpoints.clear();
        report.control.account.cost = None;
        assert_eq!(cost(&report).as_deref(), Some("$0.21 in all: reference $0.21"));
        report.reference_account.cost = None;
        assert_eq!(cost(&report), None);
    }

    #[test]
    fn p_values_never_read_as_zero() {
        assert_eq!([0.0, 0.0004, 0.0011, 0.05, 0.34].map(p_value), ["<0.001", "<0.001", "0.001", "0.050", "0.34"]);
        assert_eq!(p_sentence(0.0001), "p < 0.001");
    }

    #[test]
    fn small_costs_do_not_read_as_nothing() {
        assert_eq!([0.0, -0.0, 0.0001, 0.04].map(dollars), ["$0.00", "$0.00", "<$0.01", "$0.04"]);
        assert_eq!(dollars(12.0), "$12.00");
    }

    #[test]
    fn failures_come_with_the_commonest_first() {
        let by_class = BTreeMap::from([("connect".to_owned(), 1), ("reset".to_owned(), 12), ("server".to_owned(), 1)]);
        assert_eq!(failures(&by_class), "12 reset, 1 connect, 1 server");
    }
}
