//! The report as GitHub Actions annotations: an error for each drifted endpoint, a warning for each that is undecided or was
//! not measured, and a notice that sums up the rest.
//!
//! Layer 4, pure. Each line is one workflow command, so that nothing that a host said can become one.

use super::escape::{workflow_message, workflow_property};
use super::{EndpointReport, Report, words};
use crate::verdict::Verdict;

/// One workflow command a line; ends with a newline.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let title = |about: &str| format!("{}: {about}", words::subject(report));
    for e in report.endpoints.iter().filter(|e| e.verdict != Verdict::Consistent) {
        let level = if e.verdict == Verdict::Drifted { Level::Error } else { Level::Warning };
        command(&mut out, level, &title(&format!("{} {}", e.endpoint, e.verdict)), &message(e, report));
    }
    let warnings = report.warnings.iter().map(|warning| &warning.text);
    for warning in report.partial.iter().chain(warnings) {
        command(&mut out, Level::Warning, &title("read with care"), std::slice::from_ref(warning));
    }
    let summary = vec![format!("against {}: {}", report.reference, words::tally(report))];
    let consistent: Vec<&str> =
        report.endpoints.iter().filter(|e| e.verdict == Verdict::Consistent).map(|e| e.endpoint.as_str()).collect();
    if report.endpoints.is_empty() {
        command(&mut out, Level::Error, &title("nothing was checked"), &summary);
    } else if !consistent.is_empty() {
        let names = format!("consistent: {}", consistent.join(", "));
        command(&mut out, Level::Notice, &title("consistent"), &[summary, vec![names]].concat());
    }
    out
}

#[derive(Clone, Copy)]
enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

fn message(e: &EndpointReport, report: &Report) -> Vec<String> {
    let effect = e.effect.as_ref().map(|effect| format!("effect: {}", words::effect(effect)));
    let details = words::details(e, report).into_iter().map(|d| format!("{}: {}", d.about, d.text));
    effect.into_iter().chain(details).collect()
}

fn command(out: &mut String, level: Level, title: &str, lines: &[String]) {
    let lines: Vec<String> = lines.iter().map(|line| workflow_message(line)).collect();
    let line = format!("::{} title={}::{}\n", level.as_str(), workflow_property(title), lines.join("%0A"));
    out.push_str(&line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn one_command_for_each_endpoint_that_is_not_fine() {
        insta::assert_snapshot!(render(&fixture::mixed()), @r#"
        ::error title=llama-4-maverick%3A deepinfra-via-openrouter drifted::effect: 31 %25 (22 to 39)%0Awhy: as if 31 %25 of its answers (22 %25 to 39 %25) came from another model%0Afault: hidden-system-prompt (certain): the host adds a message of its own to the prompt; prompt_tokens 31 against 12 on 5 of 5 probes: 19 more on each%0Afault: leaked-tokens (likely): the chat format shows through; special tokens in the text: <|eot|>%0Asignals: texts differ (mmd 0.0412), p = 0.001; greedy answers leave the reference's sooner, p = 0.003; prompt tokens differ on 5 probes; 41 characters longer, p = 0.002%0Agreedy: 40 %25 of pairs of answers at temperature 0 differ, 5 %25 among the reference's own, over 2 probes%0Aprobes: most different on core/haiku (p = 0.010), core/who-is (p = 0.020), core/json (p = 0.030)
        ::warning title=llama-4-maverick%3A novita inconclusive::effect: 3.4 %25 (0 to 7.1)%0Awhy: too few answers: about 480 greedy probes would decide%0Anext: ask about 480 greedy probes, or raise `samples` to about 90 answers for each sampled probe
        ::warning title=llama-4-maverick%3A azure unmeasured::why: no key: set AZURE_API_KEY, or AZURE_API_KEY_FILE to a file that holds it
        ::notice title=llama-4-maverick%3A consistent::against together: 1 drifted, 1 unmeasured, 1 inconclusive, 1 consistent%0Aconsistent: fireworks
        "#);
    }
}
