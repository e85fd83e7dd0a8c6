//! The report on a terminal: what there is to say of each endpoint that is not just fine, then a table one screen wide and what
//! to do next. The last lines are what stands on the screen when it is done, so they are the summary.
//!
//! Layer 4, pure. Promises nothing to programs. Text from hosts never stands first on a line, since some CI systems take
//! commands from there: answers are quoted behind a bar.

use super::diff::{self, Shown};
use super::layout::{self, Paint, Span, Tone, left, right, wrap, wrap_spans};
use super::words::{self, Detail, Step};
use super::{EndpointReport, Report, escape};
use crate::signal::contrast::{Contrast, Side};
use crate::verdict::Verdict;

/// Below this width lines are too short to be read; narrower screens wrap by themselves.
const NARROWEST: usize = 50;

/// Running text is not set wider than this, however wide the screen.
const WIDEST_TEXT: usize = 110;

/// The columns without which the table says nothing: endpoint, verdict and effect.
const ESSENTIAL_COLUMNS: usize = 3;

/// Names of endpoints are cut to no less than this where a column can be left out instead.
const SHORTEST_NAME: usize = 16;

/// Names of endpoints are cut beyond this.
const WIDEST_NAME: usize = 28;

/// The width of the word before a detail.
const LABEL: usize = 12;

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its width in characters.
    pub width: usize,
    /// Whether it shows colours.
    pub paint: Paint,
}

impl Default for View {
    fn default() -> Self {
        Self { width: 80, paint: Paint::Plain }
    }
}

/// The whole report; ends with a newline.
pub fn render(report: &Report, view: View) -> String {
    let view = View { width: view.width.max(NARROWEST), ..view };
    let mut page = Page { view, out: String::new() };
    page.head(report);
    page.trust(report);
    let order = [Verdict::Drifted, Verdict::Unmeasured, Verdict::Inconclusive, Verdict::Consistent];
    for verdict in order {
        for e in report.endpoints.iter().filter(|e| e.verdict == verdict && words::needs_attention(e)) {
            page.endpoint(e, report);
        }
    }
    page.line("");
    if !report.endpoints.is_empty() {
        page.table(&report.endpoints);
        page.legend(report);
    }
    page.closing(report);
    page.out
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Consistent => Tone::Good,
        Verdict::Drifted => Tone::Bad,
        Verdict::Inconclusive => Tone::Open,
        Verdict::Unmeasured => Tone::Missing,
    }
}

struct Page {
    view: View,
    out: String,
}

impl Page {
    fn line(&mut self, text: &str) {
        // Runners of GitHub Actions take a line for a command when its first word begins like this.
        match text.trim_start().strip_prefix("::") {
            Some(rest) => {
                self.out.push_str(&text[..text.len() - rest.len() - 2]);
                self.out.push_str("·:");
                self.out.push_str(rest.trim_end());
            }
            None => self.out.push_str(text.trim_end()),
        }
        self.out.push('\n');
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        self.view.paint.apply(tone, text)
    }

    fn text_width(&self) -> usize {
        self.view.width.min(WIDEST_TEXT)
    }

    fn head(&mut self, report: &Report) {
        self.heading(&format!("{} against {}", words::subject(report), words::against(report)));
        let circumstances = words::circumstances(report).join(" · ");
        for line in wrap(&escape::line(&circumstances), self.text_width()) {
            let line = self.paint(Tone::Faint, &line);
            self.line(&line);
        }
        self.line("");
    }

    fn heading(&mut self, text: &str) {
        for line in wrap(&escape::line(text), self.text_width()) {
            let line = self.paint(Tone::Heading, &line);
            self.line(&line);
        }
    }

    fn table(&mut self, endpoints: &[EndpointReport]) {
        let mut columns = columns(endpoints);
        let others = |columns: &[Column]| columns[1..].iter().map(|c| c.width + GAP.len()).sum::<usize>();
        // On a narrow screen what costs and errors say gives way to the names; the paragraphs below have the errors.
        while columns.len() > ESSENTIAL_COLUMNS && others(&columns) + SHORTEST_NAME > self.view.width {
            columns.pop();
        }
        let room = self.view.width.saturating_sub(others(&columns)).clamp(columns[0].title.len(), WIDEST_NAME);
        columns[0].width = columns[0].width.min(room);
        let used: usize = columns.iter().map(|c| c.width + GAP.len()).sum();
        // The gap after the last column counts as the one before the remarks. Where one does not fit, each has a line of its own.
        let room = self.view.width.saturating_sub(used);
        let remarks: Vec<String> =
            endpoints.iter().map(|e| escape::line(&words::stands_out(e).unwrap_or_default())).collect();
        let longest = remarks.iter().map(|remark| layout::width(remark)).max().unwrap_or(0);
        let beside = room >= longest;
        let titles: Vec<String> = columns.iter().map(|c| c.aligned(c.title)).collect();
        let last = if beside && remarks.iter().any(|r| !r.is_empty()) { "stands out" } else { "" };
        let header = self.paint(Tone::Faint, (titles.join(GAP) + GAP + last).trim_end());
        self.line(&header);
        for (row, e) in endpoints.iter().enumerate() {
            let cells: Vec<String> =
                columns.iter().map(|c| self.paint(c.tone(e.verdict), &c.aligned(&c.cells[row]))).collect();
            let remark = if beside { left(&remarks[row], room) } else { String::new() };
            self.line(&(cells.join(GAP) + GAP + &remark));
            if !beside && !remarks[row].is_empty() {
                let line = format!("  └ {}", left(&remarks[row], self.view.width - 4));
                self.line(&line);
            }
        }
    }

    fn legend(&mut self, report: &Report) {
        let mut legends = words::legends(report);
        let is_tested = report.endpoints.iter().any(|e| e.q_value.is_some());
        legends.extend(is_tested.then_some(("p adj.", words::ADJUSTED_LEGEND)));
        if !legends.is_empty() {
            self.line("");
        }
        for (about, text) in legends {
            self.labelled(about, text, Tone::Faint);
        }
    }

    /// What the reader needs to trust the numbers.
    fn trust(&mut self, report: &Report) {
        self.labelled("reference", &words::reference(report), Tone::Text);
        self.labelled("control", &words::control(report), Tone::Text);
        self.labelled("self-check", &words::self_check(report), Tone::Text);

        if let Some(run) = &report.run {
            self.labelled("run", run, Tone::Text);
        }
        if let Some(cost) = words::cost(report) {
            self.labelled("cost", &cost, Tone::Text);
        }
        for warning in &report.warnings {
            self.labelled("warning", &warning.text, Tone::Open);
        }
    }

    /// The verdicts by number, and what to do next.
    fn closing(&mut self, report: &Report) {
        if !report.endpoints.is_empty() {
            self.line("");
        }
        self.heading(&words::tally(report));
        if let Some(partial) = &report.partial {
            self.labelled("partial", partial, Tone::Open);
        }
        for Step { text, command } in words::next_steps(report) {
            self.labelled("next", &text, Tone::Text);
            if let Some(command) = command {
                self.command(&command);
            }
        }
    }

    /// A command to copy: in a line of its own and whole, nearer to the edge where the screen is too narrow, and beyond it where it must.
    fn command(&mut self, command: &str) {
        let quoted = format!("`{}`", escape::line(command));
        let room = self.view.width.saturating_sub(layout::width(&quoted));
        self.line(&(" ".repeat(room.min(LABEL)) + &quoted));
    }

    fn endpoint(&mut self, e: &EndpointReport, report: &Report) {
        self.line("");
        let name = escape::line(&e.endpoint);
        let name = layout::name(&name, layout::width(&name).min(self.text_width() - 24));
        let used = layout::width(&name) + e.verdict.as_str().len() + 5;
        let rule = "─".repeat(self.text_width().saturating_sub(used).max(2));
        let heading = format!(
            "{} {}, {} {}",
            self.paint(Tone::Faint, "─"),
            self.paint(Tone::Heading, &name),
            self.paint(tone(e.verdict), e.verdict.as_str()),
            self.paint(Tone::Faint, &rule)
        );
        self.line(&heading);
        // What to do next stands at the end, for all endpoints together.
        for Detail { about, text } in words::details(e, report).into_iter().filter(|d| d.about != words::NEXT) {
            self.labelled(about, &text, Tone::Text);
        }
        if let Some(contrast) = &e.contrast {
            self.contrast(contrast);
        }
    }

    /// A word, and the text beside it.
    fn labelled(&mut self, label: &str, text: &str, tone: Tone) {
        let label_tone = if tone == Tone::Text { Tone::Faint } else { tone };
        let lines = wrap(&escape::line(text), self.text_width() - LABEL);
        for (at, line) in lines.iter().enumerate() {
            let before = if at == 0 { left(label, LABEL) } else { " ".repeat(LABEL) };
            let line = self.paint(label_tone, &before) + &self.paint(tone, line);
            self.line(&line);
        }
    }

    fn contrast(&mut self, contrast: &Contrast) {
        match diff::shown(contrast) {
            Shown::Changes(changes) => {
                let both = [(Side::Reference, "typical of the reference"), (Side::Endpoint, "farthest from it")];
                let legend = both.map(|(side, text)| {
                    let span = self.span(side, text);
                    self.paint(span.tone, &span.text)
                });
                self.about_answers(&contrast.probe, &legend);
                let spans: Vec<Span> = changes.iter().map(|c| self.span(c.side, &c.text)).collect();
                self.quoted(&spans);
            }
            Shown::Both => {
                self.about_answers(&contrast.probe, &["typical of the reference".to_owned()]);
                self.answer(Tone::Removed, &contrast.reference);
                let line = " ".repeat(LABEL) + "farthest from it";
                self.line(&line);
                self.answer(Tone::Added, &contrast.endpoint);
            }
        }
    }

    /// What the lines that follow are: beside the probe's name, or below it where there is no room.
    fn about_answers(&mut self, probe: &str, legend: &[String]) {
        let probe = escape::line(probe);
        let name = |room: usize| layout::name(&probe, layout::width(&probe).min(room));
        let room = self.text_width().saturating_sub(LABEL + 2);
        let about = self.paint(Tone::Faint, &left("answers", LABEL));
        let in_a_line = legend.join(", ");
        let beside = room.saturating_sub(layout::width(&in_a_line));
        if beside >= layout::width(&probe).min(SHORTEST_NAME) {
            self.line(&(about + &name(beside) + ": " + &in_a_line));
        } else {
            self.line(&(about + &name(room) + ":"));
            for part in legend {
                self.line(&(" ".repeat(LABEL) + part));
            }
        }
    }
    fn answer(&mut self, tone: Tone, text: &str) {
        if text.trim().is_empty() {
            self.quoted(&[Span { tone: Tone::Faint, text: "(empty)".to_owned() }]);
        } else {
            self.quoted(&[Span { tone, text: escape::line(text) }]);
        }
    }

    fn span(&self, side: Side, text: &str) -> Span {
        let text = escape::line(text);
        let tone = match side {
            Side::Both => Tone::Text,
            Side::Reference => Tone::Removed,
            Side::Endpoint => Tone::Added,
        };
        let text = if self.view.paint == Paint::Plain { diff::marked(side, &text) } else { text };
        Span { tone, text }
    }

    /// Answers behind a bar.
    fn quoted(&mut self, spans: &[Span]) {
        let before = " ".repeat(LABEL) + &self.paint(Tone::Faint, "│ ");
        for line in wrap_spans(spans, self.text_width() - LABEL - 2, self.view.paint) {
            let line = before.clone() + &line;
            self.line(&line);
        }
    }
}

/// What stands between columns.
const GAP: &str = "  ";

struct Column {
    title: &'static str,
    width: usize,
    align: fn(&str, usize) -> String,
    is_verdict: bool,
    cells: Vec<String>,
}

impl Column {
    fn new(title: &'static str, align: fn(&str, usize) -> String, cells: impl Iterator<Item = String>) -> Self {
        let cells: Vec<String> = cells.collect();
        let width = cells.iter().map(|c| layout::width(c)).chain([title.len()]).max().unwrap_or(0);
        Self { title, width, align, is_verdict: false, cells }
    }

    fn aligned(&self, cell: &str) -> String {
        (self.align)(cell, self.width)
    }

    fn tone(&self, verdict: Verdict) -> Tone {
        if self.is_verdict { tone(verdict) } else { Tone::Text }
    }
}

fn columns(endpoints: &[EndpointReport]) -> Vec<Column> {
    let dash = || "–".to_owned();
    let each = || endpoints.iter();
    let mut out = vec![
        Column::new("endpoint", layout::name, each().map(|e| escape::line(&e.endpoint))),
        Column { is_verdict: true, ..Column::new("verdict", left, each().map(|e| e.verdict.to_string())) },
        Column::new("effect", left, each().map(|e| e.effect.as_ref().map_or_else(dash, words::effect))),
        Column::new("p adj.", right, each().map(|e| e.q_value.map_or_else(dash, words::p_value))),
        Column::new("answers", right, each().map(words::answers)),
        Column::new("errors", right, each().map(|e| e.errors.to_string())),
    ];
    if each().any(|e| e.cost.is_some()) {
        out.push(Column::new("cost", right, each().map(|e| e.cost.map_or_else(dash, words::dollars))));
    }
    out
}

#[cfg(test)]
mod tests;
