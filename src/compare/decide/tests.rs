//! What effects, p-values and findings come to, and with which words.

use super::*;
use crate::compare::Depth;
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

/// The reason with the advice, as an endpoint of a whole run says it.
fn why(found: EndpointComparison) -> String {
    let Judgement { reason, advice, .. } = judged(found);
    EndpointComparison { reason, advice, ..EndpointComparison::unmeasured("e", "") }.why()
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
        assert!(found.reason.starts_with("weights agree (1 %, 0 to 2); sampling is not settled"), "{}", found.reason);
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
fn nobody_is_consistent_whose_answers_turn_away_as_under_a_penalty() {
    let mut found = endpoint(Some(0.9), &[(Divergence, 0.0, 0.02), (Surprisal, -0.01, 0.01)]);
    assert_eq!(judged(found.clone()).verdict, Verdict::Consistent);
    let (fault, evidence) = ("temperature-ignored".to_owned(), "away from used words".to_owned());
    found.findings = vec![Finding { fault, confidence: Confidence::Possible, evidence }];
    let found = judged(found);
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert_eq!(found.reason, "weights agree (1 %, 0 to 2); sampling is not settled: away from used words");
}

#[test]
fn what_is_not_settled_is_said_with_what_would_settle_it() {
    let reason = |greedy, sampled| {
        let found = EndpointComparison {
            greedy_probes_to_decide: greedy,
            samples_to_decide: sampled,
            depth: Some(Depth { reference: 4.0, endpoint: 60.0 }),
            ..endpoint(Some(0.9), &[(Substitution, -0.02, 0.09)])
        };
        why(found)
    };
    let begin = "weights are not settled (3.5 %, −2 to 9; tolerance 5 %): ";
    assert_eq!(reason(Some(480), Some(90)), format!("{begin}about 480 greedy probes would decide"));
    assert_eq!(reason(Some(9000), Some(90)), format!("{begin}about 90 for each sampled probe would decide"));
    let short = "about 50 for each sampled probe instead of the 4 that it is held against would decide";
    assert_eq!(reason(Some(9000), Some(50)), format!("{begin}{short}"));
    assert_eq!(reason(Some(9000), Some(4000)), format!("{begin}more greedy probes would decide"));
}

#[test]
fn what_keeps_a_significant_difference_from_being_drift_is_the_bound_that_failed() {
    let with = |alarm, honest| {
        let mut found = endpoint(Some(0.01), &[(Divergence, 0.3, 0.5)]);
        found.effects[0].alarm = alarm;
        found.effects[0].band = Band { honest, agreed: 0.0, source: Source::BuiltIn };
        let found = judged(found);
        assert_eq!(found.verdict, Verdict::Inconclusive, "{}", found.reason);
        found.reason
    };
    let shown = " (40 %, 30 to 50; tolerance 5 %)";
    let beyond = "a difference beyond the tolerance, but";
    let wider = format!("{beyond} not yet by the wider interval that an alarm needs{shown}");
    assert_eq!((with((0.01, 0.8), 0.0), with((0.2, 0.6), 0.25)), (wider.clone(), wider));
    let honest = format!("{beyond} not surely beyond the 35 % by which honest kernels may differ{shown}");
    assert_eq!(with((0.2, 0.6), 0.35), honest);
    let hidden = with((f64::NEG_INFINITY, f64::INFINITY), 0.0);
    assert_eq!(hidden, format!("{beyond} what is not shown may have caused it{shown}"));
    let open = judged(endpoint(Some(0.01), &[(Divergence, 0.04, 0.5)])).reason;
    assert!(open.starts_with("a difference, but its size against the tolerance is not settled (27 %"), "{open}");
}

#[test]
fn what_more_probes_cannot_decide_is_said_with_what_can() {
    let with = |honest, low, high| {
        let mut found = endpoint(Some(0.9), &[(Divergence, low, high)]);
        let band = Band { honest, agreed: 0.0, source: Source::BuiltIn };
        (found.band, found.effects[0].band) = (band, band);
        why(found)
    };
    assert!(
        with(0.25, 0.09, 0.11)
            .ends_with("honest kernels may differ by up to 25 %, so a control or a declared twin would decide")
    );
    assert!(!with(0.05, 0.01, 0.06).contains("twin"));
    let mut hidden = endpoint(Some(0.9), &[(Divergence, 0.0, 1.0)]);
    hidden.thinking.disclosure = crate::compare::view::Disclosure::HiddenByBoth;
    assert!(why(hidden).ends_with("more sampled probes would decide"));
}

#[test]
fn only_what_asks_for_more_is_advice() {
    let advice = |found: EndpointComparison| judged(found).advice;
    let open = endpoint(Some(0.9), &[(Substitution, -0.02, 0.09)]);
    let greedy = EndpointComparison { greedy_probes_to_decide: Some(480), ..open.clone() };
    assert_eq!(advice(greedy).as_deref(), Some("about 480 greedy probes would decide"));
    let unsettled = EndpointComparison {
        is_sampled: true,
        samples_to_settle: Some(40),
        ..endpoint(Some(0.9), &[(Divergence, 0.0, 0.02), (Surprisal, 0.01, 0.12)])
    };
    assert_eq!(advice(unsettled).as_deref(), Some("about 40 answers for each sampled probe would settle it"));
    assert_eq!(advice(open).as_deref(), Some("greedy probes show most"));
    let mut excused = endpoint(Some(0.9), &[(Divergence, 0.09, 0.11)]);
    let band = Band { honest: 0.25, agreed: 0.0, source: Source::BuiltIn };
    (excused.band, excused.effects[0].band) = (band, band);
    assert_eq!(advice(excused), None, "more probes would decide nothing");
    assert_eq!(advice(endpoint(Some(0.9), &[(Divergence, 0.0, 0.02)])), None);
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
fn what_sampled_answers_leave_open_by_themselves_is_said_with_an_agreement() {
    let with = |high| {
        let effects = [(Divergence, 0.0, 0.02), (Substitution, 0.0, high), (Surprisal, -0.01, 0.01)];
        let found = judged(EndpointComparison { is_sampled: true, ..endpoint(Some(0.9), &effects) });
        assert_eq!(found.verdict, Verdict::Consistent);
        found.reason
    };
    assert!(with(0.58).ends_with("; sampled answers by themselves leave room for 58 % of another model's"));
    assert_eq!(with(0.04), "within the tolerance");
}

#[test]
fn greedy_answers_alone_decide_where_nothing_else_was_asked_and_that_is_said() {
    let found = judged(endpoint(Some(0.9), &[(Divergence, 0.0, 0.02)]));
    assert_eq!(found.verdict, Verdict::Consistent);
    assert!(found.reason.contains("only greedy answers were asked"), "{}", found.reason);
}

#[test]
fn an_exact_disagreement_is_drift_whatever_the_statistics_say() {
    let certain = Finding { fault: "double-bos".into(), confidence: Confidence::Certain, evidence: "13 for 12".into() };
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
