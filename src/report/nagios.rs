//! The report for monitoring systems that run plugins: Nagios, Icinga, Naemon and their kin.
//!
//! Layer 4, pure. One line with the status and performance data, then the details; with exit codes of their own,
//! from [`status`].

use super::escape::{nagios, nagios_label};
use super::{EndpointReport, Report, words};
use crate::verdict::Verdict;

/// The states of a monitored service, with the plugins' exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Every endpoint is consistent.
    Ok = 0,
    /// An endpoint is undecided, and none is worse.
    Warning = 1,
    /// An endpoint drifted.
    Critical = 2,
    /// An endpoint was not measured, or there is none.
    Unknown = 3,
}

impl Status {
    /// The word that begins the status line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<Status> for std::process::ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// The status of all endpoints together.
pub fn status(report: &Report) -> Status {
    match report.overall() {
        Verdict::Consistent => Status::Ok,
        Verdict::Inconclusive => Status::Warning,
        Verdict::Drifted => Status::Critical,
        Verdict::Unmeasured => Status::Unknown,
    }
}

/// The plugin's output; ends with a newline.
pub fn render(report: &Report) -> String {
    let state = status(report).as_str();
    let summary = nagios(&format!("{}: {}{}", words::subject(report), words::tally(report), worst(report)));
    let data: Vec<String> = report.endpoints.iter().flat_map(|e| performance(e, report)).collect();
    let bar = if data.is_empty() { String::new() } else { format!(" | {}", data.join(" ")) };
    let mut out = format!("SAMEMODEL {state} - {summary}{bar}\n");
    for line in long_text(report) {
        out.push_str(&nagios(&line));
        out.push('\n');
    }
    out
}

/// The names of the drifted endpoints, since often only the first line is read.
fn worst(report: &Report) -> String {
    let drifted: Vec<&str> =
        report.endpoints.iter().filter(|e| e.verdict == Verdict::Drifted).map(|e| e.endpoint.as_str()).collect();
    if drifted.is_empty() { String::new() } else { format!(" ({})", drifted.join(", ")) }
}

/// `label=value;warn;crit;min;max`; `U` where nothing was measured, so that the series has a gap and no zero.
fn performance(e: &EndpointReport, report: &Report) -> [String; 2] {
    let effect = match &e.effect {
        None => "U;;;0;1".to_owned(),
        // The direction is in the text; the series shows the size.
        Some(x) if x.name.is_of_drawing() => {
            format!("{:.4};{};;0;1", x.estimate.abs(), report.dispersion_tolerance)
        }
        Some(x) => format!("{:.4};{};;0;1", x.estimate.max(0.0), report.tolerance),
    };
    let label = |kind: &str| nagios_label(&format!("{kind}_{}", e.endpoint));
    [format!("{}={effect}", label("effect")), format!("{}={};;;0", label("errors"), e.errors)]
}

fn long_text(report: &Report) -> Vec<String> {
    let mut out = Vec::new();
    for e in &report.endpoints {
        let effect = e.effect.as_ref().map_or_else(String::new, |x| format!(", effect {}", words::effect(x)));
        // The verdict first, so that no name begins a line.
        out.push(format!("{} {}{effect}", e.verdict, e.endpoint));
        if words::needs_attention(e) {
            out.extend(words::details(e, report).into_iter().map(|d| format!("  {}: {}", d.about, d.text)));
        }
    }
    out.push(format!("control: {}", words::control(report)));
    out.push(format!("self-check: {}", words::self_check(report)));
    out.extend(report.partial.iter().map(|why| format!("partial: {why}")));
    out.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn one_status_line_with_performance_data_then_the_details() {
        insta::assert_snapshot!(render(&fixture::mixed()), @r#"
        SAMEMODEL CRITICAL - llama-4-maverick: 1 drifted, 1 unmeasured, 1 inconclusive, 1 consistent (deepinfra-via-openrouter) | effect_fireworks=0.0120;0.05;;0;1 errors_fireworks=0;;;0 effect_deepinfra-via-openrouter=0.3100;0.05;;0;1 errors_deepinfra-via-openrouter=0;;;0 effect_novita=0.0340;0.05;;0;1 errors_novita=0;;;0 effect_azure=U;;;0;1 errors_azure=0;;;0
        consistent fireworks, effect 1.2 % (0 to 4.1)
        drifted deepinfra-via-openrouter, effect 31 % (22 to 39)
          why: as if 31 % of its answers (22 % to 39 %) came from another model
          fault: hidden-system-prompt (certain): the host adds a message of its own to the prompt; prompt_tokens 31 against 12 on 5 of 5 probes: 19 more on each
          fault: leaked-tokens (likely): the chat format shows through; special tokens in the text: <¦eot¦>
          signals: texts differ (mmd 0.0412), p = 0.001; greedy answers leave the reference's sooner, p = 0.003; prompt tokens differ on 5 probes; 41 characters longer, p = 0.002
          greedy: 40 % of pairs of answers at temperature 0 differ, 5 % among the reference's own, over 2 probes
          probes: most different on core/haiku (p = 0.010), core/who-is (p = 0.020), core/json (p = 0.030)
        inconclusive novita, effect 3.4 % (0 to 7.1)
          why: too few answers: about 480 greedy probes would decide
          next: ask about 480 greedy probes, or raise `samples` to about 90 answers for each sampled probe
        unmeasured azure
          why: no key: set AZURE_API_KEY, or AZURE_API_KEY_FILE to a file that holds it
        control: llama-3.1-8b, known to serve another model, was told apart (p = 0.001): the tests can fire
        self-check: the reference does not differ from itself (p = 0.42, 250 answers)
        "#);
    }
}
