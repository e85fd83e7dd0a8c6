//! What to do next: what would settle a verdict, what mends a failure, and what can be sent to a host.
//!
//! Part of layer 4's words, pure.

use super::{few, needs_attention, short_id};
use crate::attempt::FailureKind;
use crate::client::fault::PAGE;
use crate::compare::{MOST_ANSWERS, MOST_PROBES};
use crate::config::Reference;
use crate::doctor::names_the_effort;
use crate::report::cause::Cause;
use crate::report::{EndpointReport, Report};
use crate::verdict::Verdict;

/// Steps that are named at the end of a report.
const STEPS: usize = 3;

/// What would settle an open verdict, or let there be one.
pub(super) fn next(e: &EndpointReport, report: &Report) -> String {
    if report.partial.is_some() && matches!(e.verdict, Verdict::Inconclusive | Verdict::Unmeasured) {
        return "go on with --resume: not all was asked".to_owned();
    }
    if let Some(step) = ask_again(e, report) {
        return step;
    }
    // What has drifted is decided.
    if e.verdict == Verdict::Drifted {
        return String::new();
    }
    let agrees = e.questions.computed.verdict == Verdict::Consistent;
    let needed = if agrees { e.samples_to_settle } else { e.samples_to_decide };
    let sampled = needed.filter(|n| *n <= MOST_ANSWERS).map(|n| more_answers(n, e, report));
    let probes = e.greedy_probes_to_decide.filter(|_| !agrees);
    let greedy = probes.filter(|n| *n <= MOST_PROBES).map(|n| format!("ask about {n} greedy probes"));
    match (greedy, sampled) {
        (Some(greedy), Some(sampled)) => format!("{greedy}, or {sampled}"),
        // A number that nobody would ask for is no advice.
        (None, None) if needed.is_some() || probes.is_some() => "add probes, or a control".to_owned(),
        (one, other) => one.or(other).unwrap_or_default(),
    }
}

/// Of whom so many answers to each sampled probe are to be had: of the side that has fewer. Both are asked in every run, unless one is
/// of the past.
fn more_answers(needed: u32, e: &EndpointReport, report: &Report) -> String {
    let is_approved = report.reference == Reference::SNAPSHOT;
    match e.depth {
        Some(depth) if is_approved && depth.reference < f64::from(needed) => format!(
            "approve a longer run, of about {needed} answers for each sampled probe (`samples`): {:.0} are approved",
            depth.reference
        ),
        Some(depth) if depth.is_reference_short(needed) => format!(
            "get about {needed} answers of the reference for each sampled probe: {:.0} are there",
            depth.reference
        ),
        _ => format!("raise `samples` to about {needed} answers for each sampled probe"),
    }
}

/// A step to take, and the command that takes it where there is one, to be copied whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub text: String,
    /// The command.
    pub command: Option<String>,
}

/// What to do next, for all endpoints together: what would settle open verdicts, and what can be sent to a host that differs.
pub fn next_steps(report: &Report) -> Vec<Step> {
    let mut out: Vec<Step> = of_endpoints(report).into_iter().map(|text| Step { text, command: None }).collect();
    let drifted: Vec<&str> =
        report.endpoints.iter().filter(|e| e.verdict == Verdict::Drifted).map(|e| e.endpoint.as_str()).collect();
    if let Some(run) = report.run.as_ref().filter(|_| !drifted.is_empty()) {
        let command = format!("samemodel report {} --format markdown{}", short_id(run), alone(&drifted));
        out.push(Step { text: format!("{}: to report this to the host, run", few(&drifted)), command: Some(command) });
    }
    out
}

/// What would settle the verdicts on endpoints, of those first that have none at all; and how many are not named.
fn of_endpoints(report: &Report) -> Vec<String> {
    let mut steps: Vec<(String, Vec<&str>)> = Vec::new();
    // How to go on with a run that was stopped stands beside why it was.
    let mut endpoints: Vec<&EndpointReport> = report.endpoints.iter().filter(|_| report.partial.is_none()).collect();
    endpoints.sort_by_key(|e| e.verdict != Verdict::Unmeasured);
    for e in endpoints {
        let step = next(e, report);
        match steps.iter_mut().find(|(there, _)| *there == step) {
            Some((_, endpoints)) => endpoints.push(&e.endpoint),
            None if step.is_empty() || !needs_attention(e) => {}
            None => steps.push((step, vec![&e.endpoint])),
        }
    }
    let more: usize = steps.iter().skip(STEPS).map(|(_, endpoints)| endpoints.len()).sum();
    let named = steps.iter().take(STEPS).map(|(step, endpoints)| format!("{}: {step}", few(endpoints)));
    named.chain((more > 0).then(|| format!("and {more} more: see why above"))).collect()
}

/// What keeps other hosts out of a report on one, if its name needs no quoting in any shell.
fn alone(endpoints: &[&str]) -> String {
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    match endpoints {
        [one] if is_plain(one) && !one.starts_with('-') => format!(" -e {one}"),
        _ => String::new(),
    }
}

/// From one request in so many on that stayed without an answer for what passes, these are had for less than more probes.
const WORTH_ASKING_AGAIN: usize = 10;

/// What to do about requests that failed, where more probes help less: where few requests are answered, or, beside an open verdict,
/// where many were given up for something that passes.
fn ask_again(e: &EndpointReport, report: &Report) -> Option<String> {
    let failed = e.unanswered.saturating_sub(e.not_asked);
    let asked = e.samples + failed;
    if 2 * failed > asked {
        let cause = e.causes.first()?;
        return Some(remedy_at(cause, e, report) + how_to_go_on(cause, report));
    }
    let refused: usize = e.causes.iter().filter(|cause| cause.refused).map(|cause| cause.count).sum();
    let given_up = failed.saturating_sub(refused);
    let is_open = matches!(e.verdict, Verdict::Inconclusive | Verdict::Unmeasured);
    let is_worth_it = is_open && given_up > 0 && WORTH_ASKING_AGAIN * given_up >= asked;
    let cause = e.causes.iter().find(|cause| is_passing(cause)).filter(|_| is_worth_it)?;
    Some(remedy(cause).to_owned() + how_to_go_on(cause, report))
}

/// Whether what made requests fail may pass: no refusal, no wrong key or address, and no page where an API should be.
fn is_passing(cause: &Cause) -> bool {
    let kind = FailureKind::named(&cause.class);
    kind.is_some_and(|kind| !kind.is_refusal() && !kind.is_fatal()) && !is_no_api(cause)
}

/// How a run is gone on with whose requests failed for something that passes: a whole one only for what was given up.
fn how_to_go_on(cause: &Cause, report: &Report) -> &'static str {
    match (is_passing(cause) && report.run.is_some(), report.partial.is_some()) {
        (false, _) => "",
        (true, true) => "; then go on with --resume",
        (true, false) => "; then go on with --resume --retry-given-up",
    }
}

/// What to do about failures of a cause at an endpoint: one that answers others has a right key, a right address and the model, and
/// refuses these prompts for what is in them.
fn remedy_at(cause: &Cause, e: &EndpointReport, report: &Report) -> String {
    let is_about_prompts = match FailureKind::named(&cause.class) {
        Some(FailureKind::Forbidden | FailureKind::NotFound | FailureKind::Redirect | FailureKind::Filtered) => true,
        Some(FailureKind::Rejected) => cause.requests == "plain",
        _ => false,
    };
    if e.samples == 0 || !is_about_prompts {
        return remedy(cause).to_owned();
    }
    let told = "it answers others and refuses these prompts";
    let see = |run: &String| format!("{told}: see them with `samemodel export {} --what attempts`", short_id(run));
    report.run.as_ref().map_or_else(|| told.to_owned(), see)
}

/// Words of pages and addresses at which one signs in, in small letters.
const SIGN_IN: [&str; 11] =
    ["sign in", "sign-in", "signin", "log in", "log-in", "login", "single sign-on", "//sso", "/sso", "oauth", "saml"];

/// Whether what answers is no API: a page where an answer should be, or one at which to sign in, if only by a redirect.
pub fn is_no_api(cause: &Cause) -> bool {
    let said = cause.message.to_lowercase();
    let signs_in = SIGN_IN.iter().any(|words| said.contains(words));
    let is_page = cause.message.contains(PAGE);
    match FailureKind::named(&cause.class) {
        Some(FailureKind::Malformed) => is_page,
        Some(FailureKind::Redirect) => signs_in,
        Some(FailureKind::Server) | None => false,
        Some(_) => is_page && signs_in,
    }
}

/// What to do about failures of a cause.
pub fn remedy(cause: &Cause) -> &'static str {
    if is_no_api(cause) {
        return "check `base_url`, and whether a proxy, a VPN or a sign-in page stands before the host: this is no API";
    }
    match FailureKind::named(&cause.class) {
        Some(FailureKind::Unauthorized) => "check the key: its variable, its provider, and whether it has expired",
        Some(FailureKind::Forbidden) if cause.message.contains(PAGE) => {
            "ask the host, or whoever runs your network, what answers with a page: a firewall refuses these requests"
        }
        Some(FailureKind::Forbidden) => "give the key the right that the host names, or leave these requests out",
        Some(FailureKind::PaymentRequired) => "add credit at the host, or lower the caps",
        Some(FailureKind::NotFound) => "check `model` and `base_url` against the host's list of models",
        Some(FailureKind::Rejected) if names_the_effort(&cause.message) => {
            "leave out the effort there: `effort = false` in `[provider.….dialect]`, or set one that the host takes"
        }
        Some(FailureKind::Rejected) => {
            "change what the host names: `samemodel doctor` says what to set in `[provider.….dialect]`"
        }
        Some(FailureKind::Redirect) => "set `base_url` to where the host redirects",
        Some(FailureKind::RateLimited) => "lower `concurrency` or set `requests_per_minute`",
        Some(FailureKind::Connect) => "check the address in `base_url`, and whether the host is up",
        Some(FailureKind::Local) => "raise this machine's limit on open files (`ulimit -n`), or lower `concurrency`",
        Some(FailureKind::Timeout) => "check whether the host is up; `[defaults.timeout]` says how long is waited",
        _ => "ask again later: what failed may pass",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Depth;
    use crate::report::fixture;

    fn cause(class: &str, message: &str) -> Cause {
        let (class, message) = (class.to_owned(), message.to_owned());
        Cause { class, requests: String::new(), refused: false, message, count: 20, prompts: 0 }
    }

    #[test]
    fn what_is_no_api_is_looked_for_at_its_address_and_not_asked_again() {
        let is_told =
            |class, message| remedy(&cause(class, message)).starts_with("check `base_url`, and whether a proxy");
        assert!(is_told("malformed", "the body is not JSON: a page of HTML: Acme Sign in to go on"));
        assert!(is_told("malformed", "the body is neither JSON nor a stream: a page of HTML"));
        assert!(is_told("forbidden", "HTTP 403: a page of HTML: Please log in"));
        assert!(is_told(
            "redirect",
            "HTTP 302: redirects are not followed; it points to https://sso.acme.example/login"
        ));
        assert!(!is_told("redirect", "HTTP 301: redirects are not followed; it points to https://api.acme.example/v1"));
        assert!(!is_told("server", "HTTP 502: a page of HTML: Bad gateway, log in later"));
        assert!(!is_told("malformed", "an event of the stream is not JSON"));
        assert!(!is_told("forbidden", "HTTP 403: a page of HTML: Blocked"));
        assert!(remedy(&cause("forbidden", "HTTP 403: a page of HTML: Blocked")).contains("a firewall"));
        assert!(remedy(&cause("forbidden", "HTTP 403: no right to it")).starts_with("give the key the right"));
        assert_eq!(remedy(&cause("server", "HTTP 500: up")), "ask again later: what failed may pass");
    }

    #[test]
    fn of_a_refused_effort_the_key_is_named_that_leaves_it_out() {
        let of = |message| remedy(&cause("rejected", message));
        let refused = "HTTP 400: Unrecognized request argument supplied: reasoning_effort";
        assert!(of(refused).contains("`effort = false` in `[provider.….dialect]`"), "{}", of(refused));
        assert!(of("HTTP 400: no").contains("`samemodel doctor`"), "{}", of("HTTP 400: no"));
    }

    #[test]
    fn what_was_given_up_is_asked_for_again_by_the_flags_that_the_run_needs() {
        let mut report = fixture::mixed();
        report.run = Some("01a22418-ab6b-7c02-a4bd-9b66c9b52b88".into());
        let mut e = report.endpoints[0].clone();
        (e.verdict, e.samples, e.unanswered) = (Verdict::Unmeasured, 11, 20);
        for class in ["rate_limited", "server", "timeout", "reset", "connect", "local"] {
            e.causes = vec![cause(class, "HTTP 503: busy")];
            let told = next(&e, &report);
            assert!(told.ends_with("; then go on with --resume --retry-given-up"), "{told}");
        }
        e.not_asked = 19;
        assert!(!next(&e, &report).contains("--retry-given-up"), "little failed: {}", next(&e, &report));
        report.partial = Some("stopped".into());
        assert_eq!(next(&e, &report), "go on with --resume: not all was asked");
        (e.verdict, e.not_asked) = (Verdict::Drifted, 0);
        assert!(next(&e, &report).ends_with("; then go on with --resume"), "{}", next(&e, &report));
    }

    #[test]
    fn from_a_tenth_on_what_was_given_up_for_what_passes_comes_before_more_probes() {
        let report = fixture::mixed();
        let mut e = report.endpoints[0].clone();
        (e.verdict, e.samples, e.unanswered) = (Verdict::Inconclusive, 128, 16);
        (e.samples_to_decide, e.greedy_probes_to_decide) = (Some(5), None);
        e.causes = vec![cause("server", "HTTP 503: busy")];
        let told = next(&e, &report);
        assert_eq!(told, "ask again later: what failed may pass; then go on with --resume --retry-given-up");
        let refused = Cause { refused: true, count: 16, ..cause("rejected", "HTTP 400: no tools") };
        e.causes.insert(0, refused);
        let raise = "raise `samples` to about 5 answers for each sampled probe";
        assert_eq!(next(&e, &report), raise, "what is refused is refused again");
        (e.samples, e.unanswered, e.causes) = (140, 4, vec![cause("server", "HTTP 503: busy")]);
        assert_eq!(next(&e, &report), raise);
        (e.verdict, e.samples, e.unanswered) = (Verdict::Drifted, 128, 16);
        assert_eq!(next(&e, &report), "", "what has drifted is decided");
        (e.verdict, e.samples_to_decide) = (Verdict::Consistent, None);
        assert_eq!(next(&e, &report), "", "and what agrees is too");
    }

    #[test]
    fn a_host_that_answers_others_is_not_told_to_have_a_wrong_key_or_address() {
        let mut report = fixture::mixed();
        let mut e = report.endpoints[0].clone();
        (e.verdict, e.samples, e.unanswered) = (Verdict::Inconclusive, 45, 99);
        let mut told = |class: &str, requests: &str, answered| {
            let requests = requests.to_owned();
            e.causes = vec![Cause { refused: true, requests, ..cause(class, "HTTP 403: a page of HTML: Blocked") }];
            e.samples = answered;
            next(&e, &report)
        };
        let prompts =
            "it answers others and refuses these prompts: see them with `samemodel export 0193a5c2 --what attempts`";
        for class in ["forbidden", "not_found", "redirect", "rejected"] {
            assert_eq!(told(class, "plain", 45), prompts, "{class}");
            assert_ne!(told(class, "plain", 0), prompts, "{class}: nothing is answered");
        }
        assert!(told("rejected", "with tools", 45).starts_with("change what the host names"));
        assert!(told("payment_required", "plain", 45).starts_with("add credit"), "it may have run out on the way");
        report.run = None;
        e.causes = vec![cause("not_found", "HTTP 404")];
        e.samples = 45;
        assert_eq!(next(&e, &report), "it answers others and refuses these prompts");
    }

    #[test]
    fn more_answers_are_to_be_had_of_the_side_that_has_too_few() {
        let mut report = fixture::mixed();
        let mut e = report.endpoints[0].clone();
        (e.verdict, e.samples_to_decide, e.greedy_probes_to_decide) = (Verdict::Inconclusive, Some(20), None);
        let mut told = |reference, endpoint, of: &str| {
            e.depth = Some(Depth { reference, endpoint });
            report.reference = of.to_owned();
            next(&e, &report)
        };
        let raise = "raise `samples` to about 20 answers for each sampled probe";
        assert_eq!(told(10.0, 10.0, "together"), raise);
        assert_eq!(told(30.0, 4.0, Reference::SNAPSHOT), raise);
        let get = "get about 20 answers of the reference for each sampled probe: 4 are there";
        assert_eq!(told(4.0, 30.0, "together"), get);
        let approve = "approve a longer run, of about 20 answers for each sampled probe (`samples`): 10 are approved";
        for asked in [10.0, 30.0] {
            assert_eq!(told(10.0, asked, Reference::SNAPSHOT), approve);
        }
    }

    #[test]
    fn steps_of_who_was_not_measured_come_first_and_those_that_are_not_named_are_counted() {
        let mut report = fixture::mixed();
        let open = |name: &str, needed| {
            let mut e = fixture::mixed().endpoints[0].clone();
            (e.endpoint, e.verdict, e.causes, e.depth) = (name.to_owned(), Verdict::Inconclusive, Vec::new(), None);
            (e.samples, e.unanswered, e.samples_to_decide, e.greedy_probes_to_decide) = (250, 0, Some(needed), None);
            e.questions.computed.verdict = Verdict::Inconclusive;
            e
        };
        let mut down = open("down", 20);
        (down.verdict, down.samples, down.unanswered) = (Verdict::Unmeasured, 0, 20);
        down.causes = vec![cause("server", "HTTP 500: up")];
        report.endpoints = vec![open("a", 20), open("b", 30), open("c", 40), open("d", 40), down];
        let told: Vec<String> = next_steps(&report).into_iter().map(|step| step.text).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].starts_with("down: ask again later") && told[1].starts_with("a: raise"), "{told:?}");
        assert_eq!(told[3], "and 2 more: see why above");
        report.endpoints.pop();
        assert!(next_steps(&report)[2].text.starts_with("c, d: raise"), "{:?}", next_steps(&report));
    }

    #[test]
    fn what_is_for_the_host_is_a_command_with_the_beginning_of_the_runs_id() {
        let mut report = fixture::mixed();
        report.run = Some("01a22418-ab6b-7c02-a4bd-9b66c9b52b88".into());
        let steps = next_steps(&report);
        assert_eq!(steps.len(), 2);
        assert!(steps[0].text.starts_with("novita: ") && steps[0].command.is_none(), "{steps:?}");
        assert_eq!(steps[1].text, "deepinfra-via-openrouter: to report this to the host, run");
        let command = "samemodel report 01a22418-ab6b --format markdown";
        let alone = format!("{command} -e deepinfra-via-openrouter");
        assert_eq!(steps[1].command.as_deref(), Some(&*alone));
        let several = fixture::report();
        let told = next_steps(&Report { run: report.run, ..several }).pop().and_then(|step| step.command);
        assert_eq!(told.as_deref(), Some(command));
    }
}
