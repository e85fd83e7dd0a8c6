//! What a report looks like on screens of several widths.

use super::*;
use crate::report::fixture;

#[test]
fn a_report_is_read_on_eighty_columns() {
    insta::assert_snapshot!(render(&fixture::report(), View::default()), @r#"
    llama-4-maverick against together
    5 probes (3 sampled, 2 greedy) · tolerance 5 % · false alarms 5 % · seed 42

    reference   together, 250 answers
    control     llama-3.1-8b, known to serve another model, was told apart
                (p = 0.001): the tests can fire
    self-check  the reference does not differ from itself (p = 0.42, 250 answers)
    run         0193a5c2
    cost        $1.15 in all: endpoints $0.92, reference $0.21, control $0.02
    warning     prices of 1 endpoint are unknown, so the cost is a lower bound

    ─ deepinfra-via-openrouter, drifted ────────────────────────────────────────────
    why         as if 31 % of its answers (22 % to 39 %) came from another model
    fault       hidden-system-prompt (certain): the host adds a message of its own
                to the prompt; prompt_tokens 31 against 12 on 5 of 5 probes: 19 more
                on each
    fault       leaked-tokens (likely): the chat format shows through; special
                tokens in the text: <|eot|>
    signals     texts differ (mmd 0.0412), p = 0.001; greedy answers leave the
                reference's sooner, p = 0.003; prompt tokens differ on 5 probes; 41
                characters longer, p = 0.002
    greedy      40 % of pairs of answers at temperature 0 differ, 5 % among the
                reference's own, over 2 probes
    probes      most different on core/haiku (p = 0.010), core/who-is (p = 0.020),
                core/json (p = 0.030)
    answers     core/who-is: [-typical of the reference-], {+farthest from it+}
                │ Nathan Lambert is a {+renowned +}machine learning scientist at
                │ [-the Allen Institute for AI.-]{+Hugging Face! 🤗+} He works on
                │ reinforcement learning from human feedback{+,+} and [-writes the
                │ newsletter Interconnects.-]{+he is a true legend of the field.
                │ 🔥+}

    ─ \u{1b}]0;owned\u{7}<b>|`@all…]>%0A##\u{5b}add-mask]x ' =, drifted ────────────
    why         \u{1b}]0;owned\u{7}<b>|`@all`
                \u{202e}evil\u{200b}⏎::error::pwned⏎]]>%0A##\u{5b}add-mask]x ' =
    fault       temperature-ignored (likely): the sampling parameters are not those
                that were sent
    signals     more identical answers, p = 0.001
    greedy      40 % of pairs of answers at temperature 0 differ, 5 % among the
                reference's own, over 2 probes
    probes      most different on core/haiku (p = 0.010), core/who-is (p = 0.020),
                core/json (p = 0.030)
    answers     \u{1b}]0;owned\u{7}<b…\u{5b}add-mask]x ' =: typical of the reference
                │ A short and sober answer.
                farthest from it
                │ 日本語 \u{1b}]0;owned\u{7}<b>|`@all`
                │ \u{202e}evil\u{200b}⏎::error::pwned⏎]]>%0A##\u{5b}add-mask]x ' =

    ─ azure, unmeasured ────────────────────────────────────────────────────────────
    why         no key: set AZURE_API_KEY, or AZURE_API_KEY_FILE to a file that
                holds it

    ─ novita, inconclusive ─────────────────────────────────────────────────────────
    why         too few answers: about 480 greedy probes would decide

    ─ lambda, consistent ───────────────────────────────────────────────────────────
    errors      52 of 290 attempts failed, 45 of them rate limits: 7 reset; 12
                planned requests without an answer

    endpoint                verdict       effect                     p adj.  answers
    fireworks               consistent    1.2 % (0 to 4.1)             0.84      250
    deepinfra-v…openrouter  drifted       31 % (22 to 39)             0.006      250
      └ hidden-system-prompt (certain) +1
    novita                  inconclusive  3.4 % (0 to 7.1)             0.31      250
    lambda                  consistent    0 % (0 to 4.3)               0.61  238/250
      └ 18 % of attempts failed
    azure                   unmeasured    –                               –        0
    \u{1b}]0;ow…mask]x ' =  drifted       variety ↓ 62 % (51 to 70)  <0.001      250
      └ temperature-ignored (likely)

    effect      share of answers as if from another model, with its 95 % interval
    variety     answers vary by this much less (↓) or more (↑)
    p adj.      p-value, corrected over all endpoints that were compared (Holm)

    2 drifted, 1 unmeasured, 1 inconclusive, 2 consistent
    next        novita: ask about 480 greedy probes, or raise `samples` to about 90
                answers for each sampled probe
    next        deepinfra-via-openrouter, \u{1b}]0;owned\u{7}<b>|`@all`
                \u{202e}evil\u{200b}⏎::error::pwned⏎]]>%0A##\u{5b}add-mask]x ' =: to
                report this to the host, run
                `samemodel report 0193a5c2 --format markdown`
    "#);
}

#[test]
fn on_a_wide_screen_what_stands_out_is_part_of_the_table() {
    let text = render(&fixture::mixed(), View { width: 130, ..View::default() });
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("endpoint ")).take(5).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    endpoint                  verdict       effect            p adj.  answers  errors   cost  stands out
    fireworks                 consistent    1.2 % (0 to 4.1)    0.84      250       0  $0.20
    deepinfra-via-openrouter  drifted       31 % (22 to 39)    0.006      250       0  $0.31  hidden-system-prompt (certain) +1
    novita                    inconclusive  3.4 % (0 to 7.1)    0.31      250       0  $0.20
    azure                     unmeasured    –                      –        0       0      –
    "#);
}

#[test]
fn a_narrow_screen_keeps_endpoint_verdict_and_effect() {
    let text = render(&fixture::report(), View { width: 60, ..View::default() });
    let end: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("endpoint ")).collect();
    assert!(text.lines().all(|line| layout::width(line) <= 60), "{text}");
    insta::assert_snapshot!(end.join("\n"), @r#"
    endpoint             verdict       effect
    fireworks            consistent    1.2 % (0 to 4.1)
    deepinfra…penrouter  drifted       31 % (22 to 39)
      └ hidden-system-prompt (certain) +1
    novita               inconclusive  3.4 % (0 to 7.1)
    lambda               consistent    0 % (0 to 4.3)
      └ 18 % of attempts failed
    azure                unmeasured    –
    \u{1b}]0;…ask]x ' =  drifted       variety ↓ 62 % (51 to 70)
      └ temperature-ignored (likely)

    effect      share of answers as if from another model, with
                its 95 % interval
    variety     answers vary by this much less (↓) or more (↑)
    p adj.      p-value, corrected over all endpoints that were
                compared (Holm)

    2 drifted, 1 unmeasured, 1 inconclusive, 2 consistent
    next        novita: ask about 480 greedy probes, or raise
                `samples` to about 90 answers for each sampled
                probe
    next        deepinfra-via-openrouter,
                \u{1b}]0;owned\u{7}<b>|`@all`
                \u{202e}evil\u{200b}⏎::error::pwned⏎]]>%0A##\u{5
                b}add-mask]x ' =: to report this to the host,
                run
                `samemodel report 0193a5c2 --format markdown`
    "#);
}

#[test]
fn a_command_to_copy_stands_whole_in_a_line_of_its_own() {
    let mut report = fixture::mixed();
    report.run = Some("01a22418-ab6b-7c02-a4bd-9b66c9b52b88".into());
    let command = "`samemodel report 01a22418-ab6b --format markdown -e deepinfra-via-openrouter`";
    for (width, before) in [(100, LABEL), (80, 2), (60, 0)] {
        let text = render(&report, View { width, ..View::default() });
        assert!(text.ends_with(&format!("\n{}{command}\n", " ".repeat(before))), "{width}: {text}");
    }
}

#[test]
fn colours_mark_verdicts_and_sides() {
    let text = render(&fixture::mixed(), View { paint: Paint::Ansi, ..View::default() });
    for part in ["\x1b[31m\x1b[1mdrifted", "\x1b[33minconclusive", "\x1b[35munmeasured", "\x1b[32mconsistent"] {
        assert!(text.contains(part), "{part:?}");
    }
    assert!(text.contains("\x1b[32mHugging Face! 🤗\x1b[0m"), "{text:?}");
}

#[test]
fn an_empty_answer_is_called_empty() {
    let mut report = fixture::mixed();
    report.endpoints[1].contrast = crate::signal::contrast::contrast("p", &["something"], &[" "]);
    assert!(render(&report, View::default()).contains("│ (empty)\n"));
}
