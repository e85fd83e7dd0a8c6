//! A report as a real run makes it, with six endpoints, all verdicts and text that means harm; for tests alone.

use std::collections::BTreeMap;

use super::{Account, ControlReport, EndpointReport, Report, SCHEMA};
use crate::compare::{EndpointComparison, GreedySummary, SelfCheck};
use crate::signal::contrast::contrast;
use crate::verdict::{Confidence, Effect, EffectName, Finding, ProbeResult, SignalResult, Verdict};

/// What a host may say to break out of wherever it is shown.
pub const HOSTILE: &str = "\x1b]0;owned\x07<b>|`@all` \u{202e}evil\u{200b}\n::error::pwned\r\n]]>%0A##[add-mask]x ' =";

/// A report without endpoints.
pub fn empty() -> Report {
    let account = |cost| Account { samples: 250, attempts: 251, cost: Some(cost), ..Account::default() };
    Report {
        schema: SCHEMA.to_owned(),
        model: "llama-4-maverick".to_owned(),
        reference: "together".to_owned(),
        seed: 42,
        alpha: 0.05,
        tolerance: 0.05,
        dispersion_tolerance: 0.1,
        permutations: 999,
        tool_version: "0.1.0".to_owned(),
        run: Some("0193a5c2".to_owned()),
        partial: None,
        reference_account: account(0.21),
        control: ControlReport {
            endpoint: Some("llama-3.1-8b".to_owned()),
            p_value: Some(0.001),
            account: account(0.02),
        },
        self_check: Some(SelfCheck { p_value: 0.42, answers: 250 }),
        reference_past: None,
        snapshots: None,
        endpoints: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Six endpoints with mixed verdicts, one of which says [`HOSTILE`].
pub fn report() -> Report {
    Report {
        endpoints: vec![fireworks(), deepinfra(), novita(), lambda(), azure(), hostile()],
        warnings: vec!["prices of 1 endpoint are unknown, so the cost is a lower bound".to_owned().into()],
        ..empty()
    }
}

/// Four endpoints, one of each verdict, that say nothing unusual.
pub fn mixed() -> Report {
    Report { endpoints: vec![fireworks(), deepinfra(), novita(), azure()], ..empty() }
}

fn endpoint(name: &str, verdict: Verdict, reason: &str) -> EndpointReport {
    let probes = ["core/haiku", "core/who-is", "core/json", "greedy/capitals/france", "greedy/capitals/chad"];
    let probes = probes.iter().enumerate().map(|(i, name)| ProbeResult {
        probe: (*name).to_owned(),
        p_value: (i < 3).then_some(0.01 * (i + 1) as f64),
        effect: Some(0.3 - 0.1 * i as f64),
    });
    let greedy = GreedySummary {
        probes: 2,
        hazard: 0.02,
        own_hazard: Some(0.001),
        control_hazard: 0.2,
        differing: 0.4,
        own_differing: Some(0.05),
    };
    let account = Account { attempts: 250, cost: Some(0.204), ..Account::default() };
    let comparison = EndpointComparison {
        verdict,
        answers: 250,
        probes: probes.collect(),
        greedy: Some(greedy),
        ..EndpointComparison::unmeasured(name, reason)
    };
    EndpointReport::new(comparison, account)
}

fn effect(name: EffectName, estimate: f64, low: f64, high: f64) -> Effect {
    Effect { name, estimate, low, high }
}

fn finding(fault: &str, confidence: Confidence, evidence: &str) -> Finding {
    Finding { fault: fault.to_owned(), confidence, evidence: evidence.to_owned() }
}

fn signal(name: &str, statistic: f64, p_value: Option<f64>) -> SignalResult {
    SignalResult { name: name.to_owned(), statistic: Some(statistic), p_value }
}

fn fireworks() -> EndpointReport {
    EndpointReport {
        q_value: Some(0.84),
        effect: Some(effect(EffectName::Divergence, 0.012, 0.0, 0.041)),
        ..endpoint("fireworks", Verdict::Consistent, "within the tolerance")
    }
}

fn deepinfra() -> EndpointReport {
    let typical = "Nathan Lambert is a machine learning scientist at the Allen Institute for AI. He works on reinforcement \
                   learning from human feedback and writes the newsletter Interconnects.";
    let farthest = "Nathan Lambert is a renowned machine learning scientist at Hugging Face! 🤗 He works on reinforcement \
                    learning from human feedback, and he is a true legend of the field. 🔥";
    EndpointReport {
        q_value: Some(0.006),
        effect: Some(effect(EffectName::Substitution, 0.31, 0.22, 0.39)),
        findings: vec![
            finding(
                "hidden-system-prompt",
                Confidence::Certain,
                "prompt_tokens 31 against 12 on 5 of 5 probes: 19 more on each",
            ),
            finding("leaked-tokens", Confidence::Likely, "special tokens in the text: <|eot|>"),
        ],
        signals: vec![
            signal("mmd", 0.0412, Some(0.001)),
            signal("mmd_prefix", 0.0512, Some(0.001)),
            signal("greedy_divergence", 0.2, Some(0.003)),
            signal("dispersion", -0.01, Some(0.4)),
            signal("prompt_tokens", 5.0, None),
            signal("length", 41.4, Some(0.002)),
        ],
        contrast: contrast("core/who-is", &[typical], &[farthest]),
        cost: Some(0.31),
        ..endpoint(
            "deepinfra-via-openrouter",
            Verdict::Drifted,
            "as if 31 % of its answers (22 % to 39 %) came from another model",
        )
    }
}

fn novita() -> EndpointReport {
    EndpointReport {
        q_value: Some(0.31),
        effect: Some(effect(EffectName::Divergence, 0.034, 0.0, 0.071)),
        samples_to_decide: Some(90),
        greedy_probes_to_decide: Some(480),
        ..endpoint("novita", Verdict::Inconclusive, "too few answers: about 480 greedy probes would decide")
    }
}

fn lambda() -> EndpointReport {
    EndpointReport {
        q_value: Some(0.61),
        effect: Some(effect(EffectName::Substitution, 0.0, 0.0, 0.043)),
        samples: 238,
        attempts: 290,
        errors: 52,
        failures: BTreeMap::from([("rate_limited".to_owned(), 45), ("reset".to_owned(), 7)]),
        unanswered: 12,
        ..endpoint("lambda", Verdict::Consistent, "within the tolerance")
    }
}

fn azure() -> EndpointReport {
    EndpointReport {
        samples: 0,
        attempts: 0,
        cost: None,
        probes: Vec::new(),
        greedy: None,
        ..endpoint(
            "azure",
            Verdict::Unmeasured,
            "no key: set AZURE_API_KEY, or AZURE_API_KEY_FILE to a file that holds it",
        )
    }
}

fn hostile() -> EndpointReport {
    let answer = format!("日本語 {HOSTILE}");
    EndpointReport {
        q_value: Some(0.0001),
        effect: Some(effect(EffectName::Dispersion, 0.62, 0.51, 0.7)),
        findings: vec![finding("temperature-ignored", Confidence::Likely, HOSTILE)],
        signals: vec![signal("duplicates", 0.4, Some(0.001))],
        contrast: contrast(HOSTILE, &["A short and sober answer."], &[answer.as_str()]),
        cost: None,
        ..endpoint(HOSTILE, Verdict::Drifted, HOSTILE)
    }
}
