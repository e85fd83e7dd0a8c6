//! The words and numbers that all formats for people share.
//!
//! Layer 4, pure. Everything here is raw: it may quote hosts, and each format escapes it for where it goes.

use std::collections::BTreeMap;

use super::cause::Cause;
use super::{EndpointReport, Report};
use crate::attempt::FailureKind;
use crate::compare::{MOST_ANSWERS, MOST_PROBES, Question, Questions};
use crate::config::Reference;
use crate::verdict::{Confidence, Effect, EffectName, Finding, ProbeResult, SignalResult, Verdict};

/// Causes of failures that are told.
const TOLD_CAUSES: usize = 3;

/// Probes that are named as the most different ones.
const NAMED_PROBES: usize = 3;

/// What drift is an effect of, as the legend of a table says it.
const EFFECT_LEGEND: &str = "share of answers as if from another model, with its 95 % interval";

/// What a detail is about that says what to do.
pub const NEXT: &str = "next";

/// Steps that are named at the end of a report, and endpoints that are named with one.
const STEPS: usize = 3;

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
    format!("{} %", number_of_percent(share, share.abs() < 0.0995))
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
    let (arrow, estimate, low, high) = match (effect.name.is_of_drawing(), effect.estimate >= 0.0) {
        (false, _) => ("", effect.estimate, effect.low, effect.high),
        (true, true) => ("↓ ", effect.estimate, effect.low, effect.high),
        (true, false) => ("↑ ", -effect.estimate, -effect.high, -effect.low),
    };
    let decimal = high < 0.0995;
    let [estimate, low, high] = [estimate, low, high].map(|x| number_of_percent(x, decimal));
    format!("{name}{arrow}{estimate} % ({low} to {high})")
}

/// What the effects that have a name before them are, one line for each that is shown.
pub fn legends(report: &Report) -> Vec<(&'static str, &'static str)> {
    let shown: Vec<EffectName> =
        report.endpoints.iter().filter_map(|e| e.effect.as_ref()).map(|effect| effect.name).collect();
    let any = |names: &[EffectName]| shown.iter().any(|name| names.contains(name));
    [
        ("effect", EFFECT_LEGEND, any(&[EffectName::Substitution, EffectName::Divergence])),
        ("mixture", "share of sampled answers as if from the control", any(&[EffectName::Mixture])),
        ("departures", "share of greedy answers that leave the reference's early", any(&[EffectName::Departure])),
        ("variety", "answers vary by this much less (↓) or more (↑)", any(&[EffectName::Dispersion])),
        ("surprisal", "answers are by this much less (↓) or more (↑) surprising", any(&[EffectName::Surprisal])),
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
    if cost > 0.0 && cost < 0.005 { "<$0.01".to_owned() } else { format!("${cost:.2}") }
}

/// A number of things: `1 answer`, `2 answers`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// What is compared, by name: samples need not say which model they are of.
pub fn subject(report: &Report) -> &str {
    if report.model.is_empty() { "unnamed model" } else { &report.model }
}

/// What endpoints are held against.
pub fn against(report: &Report) -> &str {
    if report.reference == Reference::SNAPSHOT { "approved snapshots" } else { &report.reference }
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

/// The one thing to know of an endpoint beside its verdict: the surest finding, or that many attempts failed.
pub fn stands_out(e: &EndpointReport) -> Option<String> {
    let Some(first) = e.findings.first() else {
        let failing = e.errors * 10 > e.attempts;
        return failing.then(|| format!("{} of attempts failed", percent(e.errors as f64 / e.attempts.max(1) as f64)));
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
    if account.unanswered > 0 {
        parts.push(format!("{} without an answer", count(account.unanswered, "planned request")));
    }
    parts.join(", ")
}

/// What the run has cost, with the shares of reference and control; `None` where no price is known.
pub fn cost(report: &Report) -> Option<String> {
    let shares = [("reference", report.reference_account.cost), ("control", report.control.account.cost)];
    let shares: Vec<String> =
        shares.iter().filter_map(|(who, cost)| Some(format!("{who} {}", dollars((*cost)?)))).collect();
    let all = dollars(report.cost()?);
    Some(if shares.is_empty() { all } else { format!("{all} in all ({})", shares.join(", ")) })
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
        out.push(detail("weights", question(&e.questions.computed)));
        out.push(detail("sampling", question(&e.questions.drawn)));
    }
    out.extend(e.findings.iter().map(|f| detail("fault", fault(f))));
    if e.verdict == Verdict::Drifted {
        out.push(detail("signals", signals(&e.signals, report.alpha)));
        out.push(detail("greedy", greedy(e)));
        out.push(detail("probes", most_different(&e.probes)));
    }
    out.push(detail("errors", errors(e)));
    let told = e.causes.iter().filter(|c| c.refused || e.unanswered > 0).take(TOLD_CAUSES);
    out.extend(told.map(|c| detail(if c.refused { "refused" } else { "failed" }, cause(c))));
    out.push(detail(NEXT, next(e, report)));
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

fn fault(finding: &Finding) -> String {
    let meaning = meaning(&finding.fault).map_or_else(String::new, |m| format!("{m}; "));
    format!("{} ({}): {meaning}{}", finding.fault, confidence(finding.confidence), finding.evidence)
}

/// What a fault of the catalogue is, for those who meet its name for the first time.
fn meaning(fault: &str) -> Option<&'static str> {
    Some(match fault {
        "double-bos" => "the prompt begins with two start tokens",
        "missing-bos" => "the prompt lacks its start token",
        "hidden-system-prompt" => "the host adds a message of its own to the prompt",
        "wrong-template" => "the prompt is built by another chat template",
        "truncated-context" => "long prompts are cut without an error",
        "max-tokens-ignored" => "answers run on past the cap",
        "dropped-system-prompt" => "the caller's system message does not reach the model",
        "tools-dropped" => "the tools do not reach the model",
        "image-dropped" => "images do not reach the model",
        "image-downscaled" => "images reach the model smaller than they were sent",
        "usage-miscounted" => "the host's counts cannot be relied on",
        "low-output-default" => "the host has a cap of its own where none was sent",
        "low-output-cap" => "the host cuts answers at a lower cap than was sent",
        "prompt-differs" => "the prompt that reaches the model is another",
        "route-not-pinned" => "requests go to several hosts or models; that is no drift",
        "other-model-name" => "answers name another model than was asked for",
        "undecoded-tokens" => "tokens stand in the text as the tokenizer keeps them",
        "unicode-normalised" => "characters are spelt in another normal form; that is no drift",
        "stop-ignored" => "stop sequences do not stop",
        "wrong-eos" => "the host takes another token for the end of an answer",
        "seed-ignored" => "the seed changes nothing",
        "cached-responses" => "answers are kept and told again, so they are no samples",
        "tool-parser" => "tool calls do not come out as calls",
        "schema-not-enforced" => "the answer's schema is not enforced",
        "reasoning-hidden" => "thoughts are not passed on",
        "reasoning-effort-ignored" => "it thinks at another effort than asked for",
        "blank-answers" => "answers are empty",
        "reasoning-misplaced" => "thoughts and answer are in the wrong place",
        "corrupted-output" => "characters come that do not belong there",
        "flaky-host" => "requests fail; that is no drift",
        "request-refused" => "the host does not take requests that the reference takes; that is no drift",
        "slow" => "answers are late; that is no drift",
        "finetuned-variant" => "a variant of the model answers that was tuned for chat",
        "topk-miscompile" => "the likeliest token is missed now and then, or requests go to different servers",
        "wrong-rope" => "positions in long prompts are wrong",
        "quantized-kv" => "what attention remembers has another precision",
        "leaked-tokens" => "the chat format shows through",
        "finish-reason-wrong" => "the host does not say rightly why answers end",
        "swapped-model" => "another model answers",
        "partial-routing" => "a share of the requests goes to another model",
        "temperature-ignored" => "the sampling parameters are not those that were sent",
        "quantized-weights" => "the weights, or the kernels, have another precision",
        _ => return None,
    })
}

/// The signals that failed, each in words.
fn signals(signals: &[SignalResult], alpha: f64) -> String {
    let parts: Vec<String> = signals.iter().filter_map(|s| signal(s, alpha)).collect();
    parts.join("; ")
}

fn signal(signal: &SignalResult, alpha: f64) -> Option<String> {
    if signal.name == "presence" {
        let p = signal.p_value.filter(|p| *p <= alpha)?;
        return Some(format!("words come more or less often, {}", p_sentence(p)));
    }
    let value = signal.statistic?;
    let prompt_tokens = signal.name == "prompt_tokens" && value > 0.0;
    if prompt_tokens {
        return Some(format!("prompt tokens differ on {}", count(value as usize, "probe")));
    }
    let p = signal.p_value.filter(|p| *p <= alpha)?;
    let than = |more: &'static str, less: &'static str| if value > 0.0 { more } else { less };
    let words = match signal.name.as_str() {
        "mmd" => format!("texts differ (mmd {value:.4})"),
        // The kernels behind `mmd`, one by one, say nothing more to a reader; the JSON report has them.
        name if name.starts_with("mmd_") => return None,
        "dispersion" => than("less varied texts", "more varied texts").to_owned(),
        "surprisal" => than("more surprising texts", "less surprising texts").to_owned(),
        "duplicates" => than("more identical answers", "fewer identical answers").to_owned(),
        "greedy_divergence" => "greedy answers leave the reference's sooner".to_owned(),
        "length" => format!("{:.0} characters {}", value.abs(), than("longer", "shorter")),
        "cut_at_cap" => format!("{} {} cut at the cap", percent(value.abs()), than("more answers", "fewer answers")),
        "leading_space" => {
            format!("{} {} begin with white space", percent(value.abs()), than("more answers", "fewer answers"))
        }
        "exclamation_marks" => {
            format!("{:.1} {} exclamation marks an answer", value.abs(), than("more", "fewer"))
        }
        "emoji" => format!("{:.1} {} emoji an answer", value.abs(), than("more", "fewer")),
        name => format!("{name} {value:.4}"),
    };
    Some(format!("{words}, {}", p_sentence(p)))
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

fn errors(e: &EndpointReport) -> String {
    let mut parts = Vec::new();
    if e.errors > 0 {
        let classes = if e.failures.is_empty() { String::new() } else { format!(": {}", failures(&e.failures)) };
        parts.push(format!("{} of {} failed{classes}", e.errors, count(e.attempts, "attempt")));
    }
    if e.unanswered > 0 {
        parts.push(format!("{} without an answer", count(e.unanswered, "planned request")));
    }
    parts.join("; ")
}

/// A cause with its number and the host's words.
fn cause(cause: &Cause) -> String {
    let requests = match cause.requests.as_str() {
        "" => String::new(),
        "plain" => " (plain requests)".to_owned(),
        requests => format!(" (requests {requests})"),
    };
    match cause.count {
        0 => format!("{}{requests}, not asked: {}", cause.class, cause.message),
        count => format!("{count} × {}{requests}: {}", cause.class, cause.message),
    }
}

/// What would settle an open verdict, or let there be one.
fn next(e: &EndpointReport, report: &Report) -> String {
    if report.partial.is_some() && matches!(e.verdict, Verdict::Inconclusive | Verdict::Unmeasured) {
        return "go on with --resume: not all was asked".to_owned();
    }
    // More probes do not help where few requests are answered.
    let asked = e.samples + e.unanswered;
    if let Some(cause) = e.causes.first().filter(|_| 2 * e.unanswered > asked) {
        return remedy(&cause.class).to_owned();
    }
    let agrees = e.questions.computed.verdict == Verdict::Consistent;
    let needed = if agrees { e.samples_to_settle } else { e.samples_to_decide };
    let sampled = needed.filter(|n| *n <= MOST_ANSWERS);
    let sampled = sampled.map(|n| format!("raise `samples` to about {n} answers for each sampled probe"));
    let probes = e.greedy_probes_to_decide.filter(|_| !agrees);
    let greedy = probes.filter(|n| *n <= MOST_PROBES).map(|n| format!("ask about {n} greedy probes"));
    match (greedy, sampled) {
        (Some(greedy), Some(sampled)) => format!("{greedy}, or {sampled}"),
        // A number that nobody would ask for is no advice.
        (None, None) if needed.is_some() || probes.is_some() => "add probes, or a control".to_owned(),
        (one, other) => one.or(other).unwrap_or_default(),
    }
}

/// What to do next, for all endpoints together: what would settle open verdicts, and what can be sent to a host that differs.
pub fn next_steps(report: &Report) -> Vec<String> {
    let mut steps: Vec<(String, Vec<&str>)> = Vec::new();
    // How to go on with a run that was stopped stands beside why it was.
    for e in report.endpoints.iter().filter(|_| report.partial.is_none()) {
        let step = next(e, report);
        match steps.iter_mut().find(|(there, _)| *there == step) {
            Some((_, endpoints)) => endpoints.push(&e.endpoint),
            None if step.is_empty() || !needs_attention(e) => {}
            None => steps.push((step, vec![&e.endpoint])),
        }
    }
    let mut out: Vec<String> =
        steps.iter().take(STEPS).map(|(step, endpoints)| format!("{}: {step}", names(endpoints))).collect();
    let drifted: Vec<&str> =
        report.endpoints.iter().filter(|e| e.verdict == Verdict::Drifted).map(|e| e.endpoint.as_str()).collect();
    if let Some(run) = report.run.as_ref().filter(|_| !drifted.is_empty()) {
        out.push(format!("{}: `samemodel report {run} --format markdown` writes this for the host", names(&drifted)));
    }
    out
}

/// The first few names: `a, b, c and 2 more`.
fn names(all: &[&str]) -> String {
    let first = all[..all.len().min(STEPS)].join(", ");
    if all.len() > STEPS { format!("{first} and {} more", all.len() - STEPS) } else { first }
}

/// What to do about failures of a class.
fn remedy(class: &str) -> &'static str {
    match FailureKind::named(class) {
        Some(FailureKind::Unauthorized) => "check the key: its variable, its provider, and whether it has expired",
        Some(FailureKind::Forbidden) => "give the key the right that the host names, or leave these requests out",
        Some(FailureKind::PaymentRequired) => "add credit at the host, or lower the caps",
        Some(FailureKind::NotFound) => "check `model` and `base_url` against the host's list of models",
        Some(FailureKind::Rejected) => {
            "change what the host names: `[provider.….dialect]` says how requests are written there"
        }
        Some(FailureKind::Redirect) => "set `base_url` to where the host redirects",
        Some(FailureKind::RateLimited) => "lower `concurrency` or set `requests_per_minute`, and go on with --resume",
        Some(FailureKind::Connect) => "check the address in `base_url`, and whether the host is up",
        Some(FailureKind::Local) => "raise this machine's limit on open files (`ulimit -n`), or lower `concurrency`",
        Some(FailureKind::Timeout) => "check whether the host is up; `[defaults.timeout]` says how long is waited",
        _ => "ask again later: what failed may pass",
    }
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
    fn effects_on_variety_say_in_which_direction() {
        assert_eq!(shown(EffectName::Dispersion, 0.4, 0.3, 0.5), "variety ↓ 40 % (30 to 50)");
        assert_eq!(shown(EffectName::Dispersion, -0.4, -0.5, -0.3), "variety ↑ 40 % (30 to 50)");
    }

    #[test]
    fn p_values_never_read_as_zero() {
        assert_eq!([0.0, 0.0004, 0.0011, 0.05, 0.34].map(p_value), ["<0.001", "<0.001", "0.001", "0.050", "0.34"]);
        assert_eq!(p_sentence(0.0001), "p < 0.001");
    }

    #[test]
    fn small_costs_do_not_read_as_nothing() {
        assert_eq!([0.0, 0.0001, 0.04, 12.0].map(dollars), ["$0.00", "<$0.01", "$0.04", "$12.00"]);
    }

    #[test]
    fn failures_come_with_the_commonest_first() {
        let by_class = BTreeMap::from([("connect".to_owned(), 1), ("reset".to_owned(), 12), ("server".to_owned(), 1)]);
        assert_eq!(failures(&by_class), "12 reset, 1 connect, 1 server");
    }
}
