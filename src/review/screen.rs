//! The screen of a review: what is the matter; then the answers side by side with the words that differ.
//!
//! Part of layer 4's review, pure. Holds at 80 columns and without colour, where marks stand for it. Every text of a file is escaped
//! here: somebody else may have written it.

use similar::{ChangeTag, TextDiff};

use super::command::{HELP, KEYS, KEYS_AT_THE_END, KEYS_IN_HELP, KEYS_IN_LONG_HELP};
use super::pairs::{Counted, Likeness, Pair, pairs};
use super::summary::summary;
use super::{Decision, Extent, Review, Shown, Tally, Visibility};
use crate::report::View;
use crate::report::diff::{joined, marked};
use crate::report::escape::{line, short_line};
use crate::report::layout::{self, Span, Tone, at_most, left, width, wrap, wrap_spans};
use crate::report::words;
use crate::signal::contrast::{Change as Words, Side, changes};
use crate::snapshot::{Snapshot, file};

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

/// Texts that say what is the matter: the prompt, what changed, and the first fault.
const HEADLINES: usize = 3;

/// The most lines of one of them.
const MOST_LINES: usize = 4;

/// Characters of one answer that are shown side by side; the pager has the rest.
const LONGEST: usize = 600;

/// The screen of the snapshot that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// At most as many lines as it was made for; the last is not ended.
    pub text: String,
    /// How long the body is, for moving through it.
    pub extent: Extent,
}

/// The screen of the snapshot that is up, `height` lines high: what is the matter; the body, from where it has been moved to; what the
/// last key did, and the keys.
pub fn render(review: &Review, waiting: Waiting<'_>, view: View, height: usize) -> Screen {
    let (name, at) = review.current().unwrap_or_default();
    let title = line(&format!("snapshot {at} of {}: {name}", review.total()));
    let mut lines = vec![view.paint.apply(Tone::Heading, layout::name(&title, view.width).trim_end())];
    lines.extend(headlines(waiting, review.shown, view, height));
    let body = body(waiting, review.shown, view);
    // As many lines stand below as the longest place would need, and the keys.
    let longest = format!("lines {0} to {0} of {0}", body.len());
    let below = closing(&review.notice, &longest, view).len() + 1;
    let extent = Extent { lines: body.len(), room: height.saturating_sub(lines.len() + below).max(1) };
    let shown = review.on_screen(extent);
    let place = if shown.len() < body.len() {
        format!("lines {} to {} of {}", shown.start + 1, shown.end, body.len())
    } else {
        String::new()
    };
    let is_whole = shown.len() == body.len();
    lines.extend_from_slice(&body[shown]);
    let closing = closing(&review.notice, &place, view);
    lines.resize(lines.len().max(height.saturating_sub(closing.len() + 1)), String::new());
    lines.extend(closing);
    lines.push(match (review.shown.help, is_whole) {
        (Visibility::Hidden, _) => keys(&KEYS, view),
        (Visibility::Shown, true) => keys(&[KEYS_IN_HELP], view),
        (Visibility::Shown, false) => keys(&[KEYS_IN_LONG_HELP], view),
    });
    Screen { text: lines.join("\n"), extent }
}

/// The screen when all is decided, so that the last step can be taken back too.
pub fn render_end(review: &Review, view: View) -> String {
    let Tally { accepted, rejected, skipped, .. } = review.tally();
    let tally = format!("all decided: {accepted} accepted, {rejected} rejected, {skipped} skipped");
    let mut lines: Vec<String> =
        wrap(&tally, view.width).iter().map(|row| view.paint.apply(Tone::Heading, row)).collect();
    lines.extend(closing(&review.notice, "", view));
    lines.push(keys(&KEYS_AT_THE_END, view));
    lines.join("\n")
}

/// What is asked before all that are left are decided on: the question and the keys first, and then what else is to be known:
/// `accept 9 of the 12 that are left? y does, any other key does not; …`.
pub fn question(decision: Decision, taken: usize, left: usize) -> String {
    let verb = if decision == Decision::Accept { "accept" } else { "reject" };
    let of =
        if taken < left { format!("{taken} of the {left} that are left") } else { format!("all {left} that are left") };
    let rest = if taken < left { "; of the others the run's verdict was not seen yet" } else { "" };
    format!("{verb} {of}? y does, any other key does not{rest}")
}

/// A question in as many lines as it needs, for the foot of the screen.
pub fn asked(question: &str, view: View) -> Vec<String> {
    wrap(&line(question), view.width)
}

/// What is said while many are decided on, which takes a moment.
pub fn under_way(decision: Decision, count: usize) -> String {
    format!("{} {} …", decision.present(), words::count(count, "snapshot"))
}

/// What the last key did and where the body stands: in one line, or in as many as that needs.
fn closing(notice: &str, place: &str, view: View) -> Vec<String> {
    let parts: Vec<String> = [notice, place].into_iter().filter(|part| !part.is_empty()).map(line).collect();
    let joined = parts.join(" · ");
    let lines = if width(&joined) <= view.width {
        vec![joined]
    } else {
        parts.iter().flat_map(|part| wrap(part, view.width)).collect()
    };
    lines.iter().map(|text| view.paint.apply(Tone::Faint, text)).collect()
}

/// The keys, in the longest form that fits.
fn keys(forms: &[&str], view: View) -> String {
    let fitting = forms.iter().find(|form| width(form) <= view.width).or(forms.last());
    view.paint.apply(Tone::Faint, left(fitting.unwrap_or(&""), view.width).trim_end())
}

/// The same without keys, for `show` and for a pager.
pub fn whole(name: &str, waiting: Waiting<'_>, shown: Shown, view: View) -> String {
    let title = view.paint.apply(Tone::Heading, &line(name));
    let mut lines = vec![title];
    lines.extend(in_full(waiting, view));
    lines.push(String::new());
    lines.extend(files(waiting, shown, view));
    lines.join("\n") + "\n"
}

/// What one has to know to decide: the prompt in a line, the others in a few where the screen is high enough and all is not shown below.
/// Beside the help it is the prompt alone, so that the help is whole on a small screen.
fn headlines(waiting: Waiting<'_>, shown: Shown, view: View, height: usize) -> Vec<String> {
    let most = match shown.info {
        Visibility::Shown => 1,
        Visibility::Hidden => (height.saturating_sub(8) / 4).clamp(1, MOST_LINES),
    };
    let told = summary(waiting).into_iter().filter(|(about, _)| ["prompt", "what", "fault"].contains(about));
    let rows = |(about, text): (&'static str, String)| match about {
        "prompt" => vec![left(&(left(about, LABEL) + &short_line(&text, view.width)), view.width)],
        _ => at_most(labelled(about, &text, view), most, view.width),
    };
    let headlines = if shown.help == Visibility::Shown { 1 } else { HEADLINES };
    told.take(headlines).flat_map(rows).map(|row| row.trim_end().to_owned()).collect()
}

/// All that changed, in words.
fn in_full(waiting: Waiting<'_>, view: View) -> Vec<String> {
    let short = |(about, text): (&'static str, String)| match about {
        "prompt" => labelled(about, &short_line(&text, 2 * view.width), view),
        _ => labelled(about, &text, view),
    };
    summary(waiting).into_iter().flat_map(short).collect()
}

/// What can be moved through.
fn body(waiting: Waiting<'_>, shown: Shown, view: View) -> Vec<String> {
    if shown.help == Visibility::Shown {
        return HELP.iter().flat_map(|(keys, what)| labelled(keys, what, view)).collect();
    }
    let mut lines = Vec::new();
    if shown.info == Visibility::Shown {
        lines.extend(in_full(waiting, view));
        lines.push(String::new());
    }
    lines.extend(files(waiting, shown, view));
    lines
}

/// The answers, behind what the files say of them where that is asked for.
fn files(waiting: Waiting<'_>, shown: Shown, view: View) -> Vec<String> {
    let mut lines = Vec::new();
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
        (Some(a), Some(b)) if pair.likeness == Likeness::Alike => Some(joined(&changes(&a.text, &b.text))),
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
mod tests;
