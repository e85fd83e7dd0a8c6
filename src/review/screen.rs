//! The screen of a review: what changed, in words; then the answers side by side with the words that differ.
//!
//! Part of layer 4's review, pure. Holds at 80 columns and without colour, where marks stand for it. Every text of a file is escaped
//! here: somebody else may have written it.

use std::collections::BTreeMap;

use similar::{ChangeTag, TextDiff};

use super::pairs::{Counted, Pair, pairs};
use super::{Review, Shown, Visibility};
use crate::report::View;
use crate::report::diff::{joined, marked};
use crate::report::escape::{line, short_line};
use crate::report::layout::{Span, Tone, left, width, wrap, wrap_spans};
use crate::report::words;
use crate::signal::contrast::{Change as Words, Side, changes};
use crate::snapshot::{ChangeKind, Head, Snapshot, file};

/// The snapshot that waits, and the approved one where there is any.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// Approved.
    pub approved: Option<&'a Snapshot>,
    /// New.
    pub new: &'a Snapshot,
}

/// Between the columns of answers.
const RULE: &str = " │ ";

/// The width of the word before a line in words.
const LABEL: usize = 12;

/// Findings that are shown.
const FINDINGS: usize = 2;

/// Characters of one answer that are shown side by side; the pager has the rest.
const LONGEST: usize = 600;

/// What can be done, for the last line of the screen.
pub const KEYS: &str =
    "a accept · r reject · s skip · A R S all the rest · u undo · i info · d diff · o open · Esc quit";

/// The whole screen of the snapshot that is up, at most `height` lines where one is given, the keys included.
pub fn render(review: &Review, waiting: Waiting<'_>, view: View, height: Option<usize>) -> String {
    let (name, at) = review.current().unwrap_or_default();
    let title = format!("snapshot {at} of {}: {name}", review.total());
    let head = [vec![view.paint.apply(Tone::Heading, &line(&title))], words_of(waiting, view)].concat();
    let keys = wrap(KEYS, view.width).into_iter().map(|l| view.paint.apply(Tone::Faint, &l));
    let keys: Vec<String> = std::iter::once(String::new()).chain(keys).collect();
    let body = body(waiting, review.shown, view);
    let room = height.map_or(usize::MAX, |h| h.saturating_sub(head.len() + keys.len()).max(3));
    let mut lines = head;
    lines.extend(cut(body, room));
    lines.extend(keys);
    lines.join("\n") + "\n"
}

/// The same without keys, for `show` and for a pager.
pub fn whole(name: &str, waiting: Waiting<'_>, shown: Shown, view: View) -> String {
    let title = view.paint.apply(Tone::Heading, &line(name));
    let lines = [vec![title], words_of(waiting, view), body(waiting, shown, view)].concat();
    lines.join("\n") + "\n"
}

fn cut(mut lines: Vec<String>, room: usize) -> Vec<String> {
    if lines.len() > room {
        let missing = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(format!("… {}: o opens all", words::count(missing, "more line")));
    }
    lines
}

fn body(waiting: Waiting<'_>, shown: Shown, view: View) -> Vec<String> {
    let mut lines = vec![String::new()];
    if shown.info == Visibility::Shown {
        lines.extend(info(waiting, view));
        lines.push(String::new());
    }
    lines.extend(if shown.diff == Visibility::Shown { diff(waiting, view) } else { side_by_side(waiting, view) });
    lines
}

/// A line in words behind what it is about.
fn labelled(about: &str, text: &str, view: View) -> Vec<String> {
    let label = LABEL.max(width(about) + 1);
    let rows = wrap(&line(text), view.width.saturating_sub(label).max(20)).into_iter().enumerate();
    rows.map(|(n, row)| left(if n == 0 { about } else { "" }, label) + &row).collect()
}

/// What changed, in words.
fn words_of(waiting: Waiting<'_>, view: View) -> Vec<String> {
    let head = &waiting.new.head;
    let mut out = Vec::new();
    let mut say = |about: &str, text: String| {
        if !text.is_empty() {
            out.extend(labelled(about, &text, view));
        }
    };
    say("prompt", short_line(&head.prompt, 2 * view.width));
    say("what", what(head));
    if let Some(change) = &head.change {
        let because = change.because.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        say("verdict", judged(head) + &because);
    }
    for finding in head.change.iter().flat_map(|c| &c.findings).take(FINDINGS) {
        let sure = words::confidence(finding.confidence);
        say("fault", format!("{} ({sure}): {}", finding.fault, finding.evidence));
    }
    say("answers", answers(waiting));
    say("also", also(waiting));
    out
}

fn what(head: &Head) -> String {
    let Some(change) = &head.change else { return "approved".to_owned() };
    match change.kind {
        ChangeKind::Unseen => "new: nothing was approved yet".to_owned(),
        ChangeKind::Stale => format!("stale: {}", change.reason),
        ChangeKind::Drifted => {
            let mut parts = vec![format!("drifted: {}", change.reason)];
            parts.extend(change.tolerance.map(|t| format!("tolerance {}", words::percent(t))));
            parts.extend(change.p_value.map(|p| format!("this probe alone: {}", words::p_sentence(p))));
            parts.join("; ")
        }
    }
}

/// What the run that left a snapshot says of the endpoint, and which run that is: `drifted, 31 % (22–39), in run 0193… of …`.
pub fn judged(head: &Head) -> String {
    let change = head.change.as_ref();
    let verdict = change.and_then(|c| c.verdict).map_or_else(|| "verdict unknown".to_owned(), |v| v.to_string());
    let effect = change.and_then(|c| c.effect.as_ref()).map(|e| format!(", {}", words::effect(e)));
    let run = if head.source.is_empty() { String::new() } else { format!(", in {}", head.source) };
    let when = head.sampled.map(|at| at.strftime(" of %Y-%m-%d %H:%M UTC").to_string());
    verdict + &effect.unwrap_or_default() + &run + &when.unwrap_or_default()
}

fn answers(waiting: Waiting<'_>) -> String {
    let told = |head: &Head| {
        let when = head.approved.or(head.sampled).map(|at| at.strftime(" of %Y-%m-%d %H:%M UTC").to_string());
        format!("{}{}", head.samples, when.unwrap_or_default())
    };
    let new = format!("{} new", told(&waiting.new.head));
    match waiting.approved {
        Some(approved) => format!("{} approved, {new}", told(&approved.head)),
        None => new,
    }
}

/// What else is not as it was: finish reasons, prompt tokens, the model's name.
fn also(waiting: Waiting<'_>) -> String {
    let Some(old) = waiting.approved.map(|s| &s.head) else { return String::new() };
    let new = &waiting.new.head;
    let reasons = |all: &BTreeMap<String, usize>| {
        all.iter().map(|(reason, n)| format!("{reason} {n}")).collect::<Vec<_>>().join(", ")
    };
    let number = |n: Option<u64>| n.map_or_else(|| "not all the same".to_owned(), |n| n.to_string());
    let name = |m: &Option<String>| m.clone().unwrap_or_else(|| "not all the same".to_owned());
    let mut parts = Vec::new();
    let mut changed = |what: &str, then: String, now: String| {
        if then != now {
            parts.push(format!("{what} {then} → {now}"));
        }
    };
    changed("finish reasons", reasons(&old.finish_reasons), reasons(&new.finish_reasons));
    changed("prompt tokens", number(old.prompt_tokens), number(new.prompt_tokens));
    changed("response model", name(&old.response_model), name(&new.response_model));
    parts.join("; ")
}

/// The answers in two columns.
fn side_by_side(waiting: Waiting<'_>, view: View) -> Vec<String> {
    let column = view.width.saturating_sub(width(RULE)) / 2;
    let titles = left(if waiting.approved.is_some() { "approved" } else { "nothing approved" }, column) + RULE + "new";
    let mut out = vec![view.paint.apply(Tone::Faint, titles.trim_end())];
    let mut told_of_the_same = false;
    for pair in pairs(waiting.approved, Some(waiting.new)) {
        if pair.is_same() && !told_of_the_same {
            out.push(view.paint.apply(Tone::Faint, "the same in both:"));
            told_of_the_same = true;
        }
        out.extend(row(&pair, column, view));
    }
    out
}

fn row(pair: &Pair, column: usize, view: View) -> Vec<String> {
    let words = match (&pair.approved, &pair.new) {
        (Some(a), Some(b)) if a.text != b.text => Some(joined(&changes(&a.text, &b.text))),
        _ => None,
    };
    let cell = |counted: Option<&Counted>, side: Side| -> Vec<String> {
        let Some(counted) = counted else { return Vec::new() };
        let mut spans = vec![Span { tone: Tone::Faint, text: format!("{} × ", counted.count) }];
        match &words {
            Some(words) => {
                spans.extend(words.iter().filter(|w| w.side == Side::Both || w.side == side).map(|w| span(w, view)));
            }
            None if counted.text.trim().is_empty() => spans.push(Span { tone: Tone::Faint, text: "(empty)".into() }),
            None => {
                let tone = match (pair.is_same(), side) {
                    (true, _) | (_, Side::Both) => Tone::Text,
                    (_, Side::Reference) => Tone::Removed,
                    (_, Side::Endpoint) => Tone::Added,
                };
                spans.push(Span { tone, text: line(&counted.text) });
            }
        }
        wrap_spans(&shortened(spans), column, view.paint)
    };
    let (old, new) = (cell(pair.approved.as_ref(), Side::Reference), cell(pair.new.as_ref(), Side::Endpoint));
    let blank = String::new();
    (0..old.len().max(new.len()))
        .map(|n| {
            let (old, new) = (old.get(n).unwrap_or(&blank), new.get(n).unwrap_or(&blank));
            (left(old, column) + RULE + new).trim_end().to_owned()
        })
        .collect()
}

/// A piece of an answer, marked by characters where there is no colour.
fn span(words: &Words, view: View) -> Span {
    let text = line(&words.text);
    let tone = match words.side {
        Side::Both => Tone::Text,
        Side::Reference => Tone::Removed,
        Side::Endpoint => Tone::Added,
    };
    let plain = view.paint == crate::report::Paint::Plain;
    Span { tone, text: if plain { marked(words.side, &text) } else { text } }
}

fn shortened(spans: Vec<Span>) -> Vec<Span> {
    let mut left = LONGEST;
    let mut out = Vec::new();
    for mut span in spans {
        if let Some((end, _)) = span.text.char_indices().nth(left) {
            span.text.truncate(end);
            span.text.push('…');
            out.push(span);
            break;
        }
        left -= span.text.chars().count();
        out.push(span);
    }
    out
}

/// What the heads of both say, the fields that differ with both values.
fn info(waiting: Waiting<'_>, view: View) -> Vec<String> {
    let fields = |snapshot: Option<&Snapshot>| -> Vec<(String, String)> {
        let text = snapshot.map(file::render).unwrap_or_default();
        // Why it waits is said above.
        let head = text.lines().skip(1).take_while(|l| *l != "---" && *l != "change:");
        let field = |line: &str| line.split_once(": ").map(|(key, value)| (key.trim().to_owned(), value.to_owned()));
        head.filter_map(field).collect()
    };
    let (old, new) = (fields(waiting.approved), fields(Some(waiting.new)));
    let gone = old.iter().filter(|(key, _)| new.iter().all(|(k, _)| k != key));
    let mut out = Vec::new();
    for (key, value) in new.iter().chain(gone) {
        let is = |fields: &[(String, String)]| fields.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let shown = match (waiting.approved.map(|_| is(&old)), is(&new)) {
            (Some(then), now) if then != now => {
                let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
                format!("{} → {}", or_none(then), or_none(now))
            }
            _ => value.clone(),
        };
        out.extend(labelled(&line(key), &shown, view));
    }
    out
}

/// The lines of both files' answers that differ, with a few around them.
fn diff(waiting: Waiting<'_>, view: View) -> Vec<String> {
    let answers = |snapshot: Option<&Snapshot>| -> String {
        let text = snapshot.map(file::render).unwrap_or_default();
        text.splitn(3, "---\n").nth(2).unwrap_or_default().to_owned()
    };
    let (old, new) = (answers(waiting.approved), answers(Some(waiting.new)));
    let found = TextDiff::from_lines(&old, &new);
    let mut out = Vec::new();
    for (n, group) in found.grouped_ops(2).iter().enumerate() {
        if n > 0 {
            out.push(view.paint.apply(Tone::Faint, "  …"));
        }
        for change in group.iter().flat_map(|op| found.iter_changes(op)) {
            let (mark, tone) = match change.tag() {
                ChangeTag::Equal => ("  ", Tone::Text),
                ChangeTag::Delete => ("- ", Tone::Removed),
                ChangeTag::Insert => ("+ ", Tone::Added),
            };
            let text = format!("{mark}{}", line(change.value().trim_end_matches('\n')));
            out.extend(wrap(&text, view.width).iter().map(|row| view.paint.apply(tone, row)));
        }
    }
    if out.is_empty() {
        out.push("the answers are the same".to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Paint;
    use crate::review::{Decision, Part};
    use crate::snapshot::Change;
    use crate::snapshot::testing::snapshot;
    use crate::verdict::{Confidence, Effect, EffectName, Finding, Verdict};
    use proptest::prelude::*;

    fn drifted(texts: &[&str]) -> Snapshot {
        let mut new = snapshot(texts);
        new.head.prompt_tokens = Some(29);
        new.head.change = Some(Change {
            kind: ChangeKind::Drifted,
            reason: "as if 31 % of its answers (22 % to 39 %) came from another model".into(),
            verdict: Some(Verdict::Drifted),
            because: None,
            effect: Some(Effect { name: EffectName::Substitution, estimate: 0.31, low: 0.22, high: 0.39 }),
            tolerance: Some(0.05),
            p_value: Some(0.001),
            findings: vec![Finding {
                fault: "hidden-system-prompt".into(),
                confidence: Confidence::Certain,
                evidence: "prompt_tokens 29 against 12 on 25 of 25 probes".into(),
            }],
        });
        new
    }

    fn review() -> Review {
        let mut review = Review::new(vec!["llama/together/core/greeting".into(), "llama/together/core/haiku".into()]);
        review.decided(Decision::Skip, 1);
        review
    }

    const OLD: [&str; 5] =
        ["frost on the window", "frost on the window", "thin light, then a crow", "\x1b[2J<b>", "quiet"];
    const NEW: [&str; 4] = ["frost on the warm window pane", "quiet", "quiet", "As an AI, I love haikus! 🎉"];

    #[test]
    fn a_screen_says_what_changed_and_shows_answers_side_by_side() {
        let (old, new) = (snapshot(&OLD), drifted(&NEW));
        let text = render(&review(), Waiting { approved: Some(&old), new: &new }, View::default(), None);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_screen_says_what_the_run_found_of_the_endpoint_whatever_the_snapshot_waits_for() {
        let mut new = drifted(&NEW);
        let change = new.head.change.as_mut().expect("it waits");
        (change.kind, change.reason) = (ChangeKind::Unseen, "nothing was approved yet".into());
        change.because = Some("as if half of its answers came from another model".into());
        let text = whole("m/e/p", Waiting { approved: None, new: &new }, Shown::default(), View::default());
        assert!(
            text.contains("verdict     drifted, 31 % (22–39), in run 1 of 2026-11-25 12:00 UTC: as if half"),
            "{text}"
        );
        new.head.change.as_mut().expect("it waits").verdict = None;
        assert!(judged(&new.head).starts_with("verdict unknown"), "{}", judged(&new.head));
    }

    #[test]
    fn info_and_diff_are_shown_where_asked_for() {
        let (old, new) = (snapshot(&OLD), drifted(&NEW));
        let mut review = review();
        review.toggle(Part::Info);
        review.toggle(Part::Diff);
        let text = render(&review, Waiting { approved: Some(&old), new: &new }, View::default(), None);
        insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[test]
    fn a_low_screen_keeps_the_keys_and_says_what_is_missing() {
        let (old, new) = (snapshot(&OLD), drifted(&NEW));
        let text = render(&review(), Waiting { approved: Some(&old), new: &new }, View::default(), Some(18));
        assert_eq!(text.lines().count(), 18, "{text}");
        assert!(text.contains("more lines: o opens all") && text.contains("a accept"), "{text}");
    }

    #[test]
    fn colours_stand_for_marks() {
        let (old, new) = (snapshot(&["a red cat"]), drifted(&["a blue cat"]));
        let view = View { width: 80, paint: Paint::Ansi };
        let text = render(&review(), Waiting { approved: Some(&old), new: &new }, view, None);
        assert!(text.contains("\x1b[31mred\x1b[0m") && text.contains("\x1b[32mblue\x1b[0m"), "{text:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_hostile_reaches_the_screen_and_no_line_is_too_wide(
            old in proptest::collection::vec(any::<String>(), 1..4),
            new in proptest::collection::vec(any::<String>(), 1..4),
            columns in 60_usize..120,
        ) {
            let texts = |of: &'_ [String]| -> Vec<String> { of.to_vec() };
            let (old, new) = (texts(&old), texts(&new));
            let o: Vec<&str> = old.iter().map(String::as_str).collect();
            let n: Vec<&str> = new.iter().map(String::as_str).collect();
            let (old, new) = (snapshot(&o), drifted(&n));
            let view = View { width: columns, paint: Paint::Plain };
            for shown in [Shown::default(), Shown { info: Visibility::Shown, diff: Visibility::Shown }] {
                let text = whole("m/e/p", Waiting { approved: Some(&old), new: &new }, shown, view);
                prop_assert!(!text.chars().any(|c| c != '\n' && crate::visible::is_hidden(c)), "{text:?}");
                for row in text.lines() {
                    prop_assert!(width(row) <= columns, "{row:?}");
                }
            }
        }
    }
}
