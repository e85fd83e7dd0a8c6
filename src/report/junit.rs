//! The report as JUnit XML, for CI systems that show test results: one suite a model, one case an endpoint.
//!
//! Layer 4, pure. A drifted endpoint is a failure and an unmeasured one an error, since a check that was not made must not
//! look like one that passed. An inconclusive one is skipped, with the reason: most CI systems show that and go on; the
//! program's exit code is what stops them. Without any endpoint there is one case, and it is an error.

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use super::{EndpointReport, Report, diff, escape, words};
use crate::signal::contrast::Side;
use crate::verdict::Verdict;

/// The XML document; ends with a newline.
///
/// All text is made safe by [`escape::line`], which leaves none of the characters that XML 1.0 forbids.
pub fn render(report: &Report) -> String {
    let mut suite = TestSuite::new(escape::line(words::subject(report)));
    suite.add_properties(properties(report));
    suite.add_test_cases(report.endpoints.iter().map(|e| case(e, report)));
    if report.endpoints.is_empty() {
        suite.add_test_case(no_endpoints(report));
    }
    suite.set_system_out(notes(report).join("\n"));
    let mut document = quick_junit::Report::new("samemodel");
    document.add_test_suite(suite);
    // Writing to memory does not fail; should it, the text is no XML and says why, so that no CI system takes it for a success.
    document.to_string().unwrap_or_else(|error| format!("this report cannot be written as XML: {error}\n"))
}

fn properties(report: &Report) -> Vec<Property> {
    let property = |name: &str, value: String| Property::new(name, escape::line(&value));
    let mut out = vec![
        property("reference", report.reference.clone()),
        property("seed", report.seed.to_string()),
        property("alpha", report.alpha.to_string()),
        property("tolerance", report.tolerance.to_string()),
        property("tool_version", report.tool_version.clone()),
    ];
    out.extend(report.run.clone().map(|run| property("run", run)));
    out
}

fn notes(report: &Report) -> Vec<String> {
    let mut out =
        vec![format!("control: {}", words::control(report)), format!("self-check: {}", words::self_check(report))];
    out.extend(report.partial.iter().map(|why| format!("partial: {why}")));
    out.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    out.iter().map(|note| escape::line(note)).collect()
}

fn case(e: &EndpointReport, report: &Report) -> TestCase {
    let mut status = match e.verdict {
        Verdict::Consistent => TestCaseStatus::success(),
        Verdict::Drifted => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Unmeasured => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Inconclusive => TestCaseStatus::skipped(),
    };
    let text = description(e, report).join("\n");
    if e.verdict != Verdict::Consistent {
        status.set_message(escape::line(&format!("{}: {}", e.verdict, e.reason)));
        status.set_type(e.verdict.as_str());
        status.set_description(text.as_str());
    }
    let mut case = TestCase::new(escape::line(&e.endpoint), status);
    case.set_classname(escape::line(words::subject(report)));
    if e.verdict == Verdict::Consistent {
        case.set_system_out(text);
    }
    case
}

fn description(e: &EndpointReport, report: &Report) -> Vec<String> {
    let effect = e.effect.as_ref().map(|effect| format!("effect: {}", words::effect(effect)));
    let p = e.q_value.map(|q| format!("p-value after correction: {}", words::p_value(q)));
    let details = words::details(e, report).into_iter().map(|d| format!("{}: {}", d.about, d.text));
    let mut out: Vec<String> = effect.into_iter().chain(p).chain(details).collect();
    if let Some(contrast) = &e.contrast {
        let both = match diff::shown(contrast) {
            diff::Shown::Both => vec![(Side::Reference, &contrast.reference), (Side::Endpoint, &contrast.endpoint)]
                .into_iter()
                .map(|(side, text)| diff::marked(side, text))
                .collect(),
            diff::Shown::Changes(changes) => changes.iter().map(|c| diff::marked(c.side, &c.text)).collect::<String>(),
        };
        out.push(format!("answers to {}: {both}", contrast.probe));
    }
    out.iter().map(|line| escape::line(line)).collect()
}

fn no_endpoints(report: &Report) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(words::tally(report)).set_type(Verdict::Unmeasured.as_str());
    TestCase::new("endpoints", status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn one_case_for_each_endpoint() {
        insta::assert_snapshot!(render(&fixture::mixed()), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="samemodel" tests="4" skipped="1" failures="1" errors="1">
            <testsuite name="llama-4-maverick" tests="4" skipped="1" errors="1" failures="1">
                <properties>
                    <property name="reference" value="together"/>
                    <property name="seed" value="42"/>
                    <property name="alpha" value="0.05"/>
                    <property name="tolerance" value="0.05"/>
                    <property name="tool_version" value="0.1.0"/>
                    <property name="run" value="0193a5c2"/>
                </properties>
                <testcase name="fireworks" classname="llama-4-maverick">
                    <system-out>effect: 1.2 % (0 to 4.1)
        p-value after correction: 0.84</system-out>
                </testcase>
                <testcase name="deepinfra-via-openrouter" classname="llama-4-maverick">
                    <failure message="drifted: as if 31 % of its answers (22 % to 39 %) came from another model" type="drifted">effect: 31 % (22 to 39)
        p-value after correction: 0.006
        why: as if 31 % of its answers (22 % to 39 %) came from another model
        fault: hidden-system-prompt (certain): the host adds a message of its own to the prompt; prompt_tokens 31 against 12 on 5 of 5 probes: 19 more on each
        fault: leaked-tokens (likely): the chat format shows through; special tokens in the text: &lt;|eot|&gt;
        signals: texts differ (mmd 0.0412), p = 0.001; greedy answers leave the reference&apos;s sooner, p = 0.003; prompt tokens differ on 5 probes; 41 characters longer, p = 0.002
        greedy: 40 % of pairs of answers at temperature 0 differ, 5 % among the reference&apos;s own, over 2 probes
        probes: most different on core/haiku (p = 0.010), core/who-is (p = 0.020), core/json (p = 0.030)
        answers to core/who-is: Nathan Lambert is a {+renowned +}machine learning scientist at [-the Allen Institute for AI.-]{+Hugging Face! 🤗+} He works on reinforcement learning from human feedback{+,+} and [-writes the newsletter Interconnects.-]{+he is a true legend of the field. 🔥+}</failure>
                </testcase>
                <testcase name="novita" classname="llama-4-maverick">
                    <skipped message="inconclusive: too few answers: about 480 greedy probes would decide" type="inconclusive">effect: 3.4 % (0 to 7.1)
        p-value after correction: 0.31
        why: too few answers: about 480 greedy probes would decide
        next: ask about 480 greedy probes, or raise `samples` to about 90 answers for each sampled probe</skipped>
                </testcase>
                <testcase name="azure" classname="llama-4-maverick">
                    <error message="unmeasured: no key: set AZURE_API_KEY, or AZURE_API_KEY_FILE to a file that holds it" type="unmeasured">why: no key: set AZURE_API_KEY, or AZURE_API_KEY_FILE to a file that holds it</error>
                </testcase>
                <system-out>control: llama-3.1-8b, known to serve another model, was told apart (p = 0.001): the tests can fire
        self-check: the reference does not differ from itself (p = 0.42, 250 answers)</system-out>
            </testsuite>
        </testsuites>
        "#);
    }
}
