//! The report as Markdown, for comments on pull requests and summaries of CI jobs.
//!
//! Layer 4, pure. GitHub's dialect: a table, then a fold for each endpoint that needs attention. Text from hosts stands in code
//! or is escaped, so that it is neither markup nor a mention.

use std::fmt::Write as _;

use super::diff::{self, Shown};
use super::escape::{html, markdown_block, markdown_code, markdown_text};
use super::layout::wrap;
use super::{EndpointReport, Report, escape, words};
use crate::signal::contrast::{Contrast, Side};
use crate::verdict::Verdict;

/// Characters of a line of quoted answers; code blocks do not wrap by themselves.
const QUOTE: usize = 100;

/// The document; ends with a newline.
pub fn render(report: &Report) -> String {
    let mut out =
        format!("### {} against {}\n\n", markdown_code(words::subject(report)), markdown_code(&report.reference));
    paragraph(&mut out, &format!("**{}** · {}", words::tally(report), circumstances(report)));
    if !report.endpoints.is_empty() {
        out.push_str(&table(report));
    }
    for e in report.endpoints.iter().filter(|e| words::needs_attention(e)) {
        out.push_str(&details(e, report));
    }
    out.push_str(&trust(report));
    out
}

fn circumstances(report: &Report) -> String {
    markdown_text(&words::circumstances(report).join(" · "))
}

fn item(out: &mut String, about: &str, text: &str) {
    let _ = writeln!(out, "- **{about}** {}", markdown_text(text));
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\n\n");
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Consistent => "✅",
        Verdict::Drifted => "❌",
        Verdict::Inconclusive => "❔",
        Verdict::Unmeasured => "⚠️",
    }
}

fn table(report: &Report) -> String {
    let mut out = "| endpoint | verdict | effect | p adj. | stands out | answers | errors | cost |\n\
                   |---|---|---|--:|---|--:|--:|--:|\n"
        .to_owned();
    let dash = || "–".to_owned();
    for e in &report.endpoints {
        let cells = [
            markdown_code(&e.endpoint),
            format!("{} {}", sign(e.verdict), e.verdict),
            e.effect.as_ref().map_or_else(dash, words::effect),
            e.q_value.map_or_else(dash, |q| markdown_text(&words::p_value(q))),
            words::stands_out(e).map_or_else(dash, |text| markdown_text(&text)),
            words::answers(e),
            e.errors.to_string(),
            e.cost.map_or_else(dash, |cost| markdown_text(&words::dollars(cost))),
        ];
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let legends: Vec<String> = words::legends(report).iter().map(|(about, text)| format!("{about}: {text}")).collect();
    let is_tested = report.endpoints.iter().any(|e| e.q_value.is_some());
    let adjusted = is_tested.then(|| format!("p adj.: {}", words::ADJUSTED_LEGEND));
    let told: Vec<String> =
        [legends.join("; ")].into_iter().chain(adjusted).filter(|legend| !legend.is_empty()).collect();
    if told.is_empty() {
        out.push('\n');
    } else {
        paragraph(&mut out, &format!("\n<sub>{}</sub>", markdown_text(&(told.join(". ") + "."))));
    }
    out
}

fn details(e: &EndpointReport, report: &Report) -> String {
    let open = if e.verdict == Verdict::Drifted { " open" } else { "" };
    let (sign, name) = (sign(e.verdict), html(&e.endpoint));
    let mut out = format!("<details{open}><summary>{sign} <code>{name}</code>, {}</summary>\n\n", e.verdict);
    for detail in words::details(e, report) {
        item(&mut out, detail.about, &detail.text);
    }
    if let Some(contrast) = &e.contrast {
        out.push_str(&answers(contrast));
    }
    out.push_str("\n</details>\n\n");
    out
}

/// Both answers as a block in which code hosts colour the lines.
fn answers(contrast: &Contrast) -> String {
    let heading = format!(
        "\nAnswers to {}: **−** typical of the reference, **+** farthest from it at this endpoint.\n\n",
        markdown_code(&contrast.probe)
    );
    let side = |side: Side| -> String {
        match diff::shown(contrast) {
            Shown::Both if side == Side::Reference => contrast.reference.clone(),
            Shown::Both => contrast.endpoint.clone(),
            Shown::Changes(changes) => {
                changes.iter().filter(|c| c.side == side || c.side == Side::Both).map(|c| c.text.as_str()).collect()
            }
        }
    };
    let lines = |sign: char, text: String| -> Vec<String> {
        wrap(&escape::line(&text), QUOTE).into_iter().map(|line| format!("{sign} {line}")).collect()
    };
    let both = [lines('-', side(Side::Reference)), lines('+', side(Side::Endpoint))].concat();
    heading + &markdown_block("diff", &both)
}

fn trust(report: &Report) -> String {
    let mut lines = vec![
        ("reference", words::reference(report)),
        ("control", words::control(report)),
        ("self-check", words::self_check(report)),
    ];
    lines.extend(report.run.iter().map(|run| ("run", run.clone())));
    lines.extend(words::cost(report).map(|cost| ("cost", cost)));
    lines.extend(report.partial.iter().map(|why| ("⚠️ partial", why.clone())));
    lines.extend(report.warnings.iter().map(|warning| ("⚠️ warning", warning.text.clone())));
    let mut out = String::new();
    for (about, text) in &lines {
        item(&mut out, about, text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_legend_is_of_what_is_shown() {
        let mut report = fixture::mixed();
        assert!(render(&report).contains("p adj.: "));
        report.endpoints.retain(|e| e.effect.is_none());
        let told = render(&report);
        assert!(!told.contains("<sub>") && told.contains("|\n\n<details>"), "{told}");
    }

    #[test]
    fn a_table_then_a_fold_for_each_endpoint_that_needs_attention() {
        insta::assert_snapshot!(render(&fixture::mixed()), @r#"
        ### `llama-4-maverick` against `together`

        **1 drifted, 1 unmeasured, 1 inconclusive, 1 consistent** · 5 probes (3 sampled, 2 greedy) · tolerance 5 % · false alarms 5 % · seed 42

        | endpoint | verdict | effect | p adj. | stands out | answers | errors | cost |
        |---|---|---|--:|---|--:|--:|--:|
        | `fireworks` | ✅ consistent | 1.2 % (0 to 4.1) | 0.84 | – | 250 | 0 | \$0.20 |
        | `deepinfra-via-openrouter` | ❌ drifted | 31 % (22 to 39) | 0.006 | hidden-system-prompt (certain) +1 | 250 | 0 | \$0.31 |
        | `novita` | ❔ inconclusive | 3.4 % (0 to 7.1) | 0.31 | – | 250 | 0 | \$0.20 |
        | `azure` | ⚠️ unmeasured | – | – | – | 0 | 0 | – |

        <sub>effect: share of answers as if from another model, with its 95 % interval. p adj.: p-value, corrected over all endpoints that were compared (Holm).</sub>

        <details open><summary>❌ <code>deepinfra-via-openrouter</code>, drifted</summary>

        - **why** as if 31 % of its answers (22 % to 39 %) came from another model
        - **fault** hidden-system-prompt (certain): the host adds a message of its own to the prompt; prompt\_tokens 31 against 12 on 5 of 5 probes: 19 more on each
        - **fault** leaked-tokens (likely): the chat format shows through; special tokens in the text: \<\|eot\|\>
        - **signals** texts differ (mmd 0.0412), p = 0.001; greedy answers leave the reference's sooner, p = 0.003; prompt tokens differ on 5 probes; 41 characters longer, p = 0.002
        - **greedy** 40 % of pairs of answers at temperature 0 differ, 5 % among the reference's own, over 2 probes
        - **probes** most different on core/haiku (p = 0.010), core/who-is (p = 0.020), core/json (p = 0.030)

        Answers to `core/who-is`: **−** typical of the reference, **+** farthest from it at this endpoint.

        ```diff
        - Nathan Lambert is a machine learning scientist at the Allen Institute for AI. He works on
        - reinforcement learning from human feedback and writes the newsletter Interconnects.
        + Nathan Lambert is a renowned machine learning scientist at Hugging Face! 🤗 He works on
        + reinforcement learning from human feedback, and he is a true legend of the field. 🔥
        ```

        </details>

        <details><summary>❔ <code>novita</code>, inconclusive</summary>

        - **why** too few answers: about 480 greedy probes would decide
        - **next** ask about 480 greedy probes, or raise \`samples\` to about 90 answers for each sampled probe

        </details>

        <details><summary>⚠️ <code>azure</code>, unmeasured</summary>

        - **why** no key: set AZURE\_API\_KEY, or AZURE\_API\_KEY\_FILE to a file that holds it

        </details>

        - **reference** together, 250 answers
        - **control** llama-3.1-8b, known to serve another model, was told apart (p = 0.001): the tests can fire
        - **self-check** the reference does not differ from itself (p = 0.42, 250 answers)
        - **run** 0193a5c2
        - **cost** \$0.95 in all: endpoints \$0.72, reference \$0.21, control \$0.02
        "#);
    }
}
