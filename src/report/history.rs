//! The history for people and as `samemodel.history/1`: a line for each run, and an endpoint's effect over time.
//!
//! Layer 4, pure. As in reports, what came from a host is raw in the JSON and escaped on the screen.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chart::{Glyphs, Scale};
use super::layout::{self, Span, Tone, left, right, wrap_spans};
use super::terminal::View;
use super::{escape, words};
use crate::config::Reference;
use crate::store::{EndpointResult, RecordedStart, RunRecord, StartCause};
use crate::verdict::{Effect, Finding, Verdict};

/// The schema name that the history carries.
pub const SCHEMA: &str = "samemodel.history/1";

/// Runs of the history, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Runs of the history")]
pub struct HistoryReport {
    /// Always `samemodel.history/1`.
    pub schema: String,
    /// The runs, the latest first.
    pub runs: Vec<RunEntry>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunEntry {
    /// Its id.
    pub run: String,
    /// The nominal model.
    pub model: String,
    /// The reference's name.
    pub reference: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended; absent while it goes on, and of a run that was killed.
    pub finished_at: Option<String>,
    /// `running`, `complete`, `partial` or `stopped-budget`.
    pub status: String,
    /// `pulse` or `full`, of a run that a watch started.
    pub tier: Option<String>,
    /// The endpoints whose suspicion caused it.
    pub suspects: Vec<String>,
    /// Answers that are kept.
    pub answers: u64,
    /// Attempts that failed, of those that are kept.
    pub errors: u64,
    /// What the judged endpoints cost, in US dollars; absent where no price is known.
    pub cost: Option<f64>,
    /// What it came to, by endpoint in the order of the report; empty when it was not concluded.
    pub results: Vec<ResultEntry>,
}

/// What a run says of one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultEntry {
    /// The endpoint.
    pub endpoint: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What decided it, or what is missing, in a line.
    pub reason: String,
    /// p-value after correction over endpoints.
    pub q_value: Option<f64>,
    /// The effect that decides.
    pub effect: Option<Effect>,
    /// The largest effect of its kind that does not matter.
    pub tolerance: f64,
    /// Answers compared.
    pub samples: u64,
    /// HTTP requests, retries included.
    pub attempts: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// What was paid, in US dollars.
    pub cost: Option<f64>,
    /// Likely faults with evidence.
    pub findings: Vec<Finding>,
}

impl From<EndpointResult> for ResultEntry {
    fn from(r: EndpointResult) -> Self {
        Self {
            endpoint: r.endpoint,
            verdict: r.verdict,
            reason: r.reason,
            q_value: r.q_value,
            effect: r.effect,
            tolerance: r.tolerance,
            samples: r.samples,
            attempts: r.attempts,
            errors: r.errors,
            cost: r.cost,
            findings: r.findings,
        }
    }
}

impl RunEntry {
    /// A run with its results; answers and errors are to be set from what is kept of it.
    pub fn new(run: &RunRecord, start: Option<&RecordedStart>, results: Vec<EndpointResult>) -> Self {
        let suspects = match start.map(|s| &s.start.cause) {
            Some(StartCause::Suspicion(suspects)) => suspects.clone(),
            _ => Vec::new(),
        };
        Self {
            run: run.id.to_string(),
            model: run.model.clone(),
            reference: run.reference.clone(),
            started_at: run.started_at.to_string(),
            finished_at: run.end.map(|end| end.at.to_string()),
            status: run.end.map_or("running", |end| end.how.as_str()).to_owned(),
            tier: start.map(|s| s.start.tier.to_string()),
            suspects,
            answers: results.iter().map(|r| r.samples).sum(),
            errors: results.iter().map(|r| r.errors).sum(),
            cost: results.iter().filter_map(|r| r.cost).reduce(|a, b| a + b),
            results: results.into_iter().map(ResultEntry::from).collect(),
        }
    }

    /// How many endpoints there are of each verdict, the worst first; how it stands where there are none.
    fn tally(&self) -> String {
        let order = [Verdict::Drifted, Verdict::Unmeasured, Verdict::Inconclusive, Verdict::Consistent];
        let count = |verdict| self.results.iter().filter(|r| r.verdict == verdict).count();
        let parts = order.into_iter().map(|v| (count(v), v)).filter(|(n, _)| *n > 0);
        let drifted: Vec<&str> =
            self.results.iter().filter(|r| r.verdict == Verdict::Drifted).map(|r| r.endpoint.as_str()).collect();
        let text: Vec<String> = parts
            .map(|(n, verdict)| match verdict {
                Verdict::Drifted => format!("{n} {verdict} ({})", escape::line(&words::few(&drifted))),
                _ => format!("{n} {verdict}"),
            })
            .collect();
        if text.is_empty() { "no results".to_owned() } else { text.join(", ") }
    }

    /// What sort of run it is, in a word: the tier of one that a watch started, `test` beside approved snapshots, else nothing.
    fn sort(&self) -> &str {
        let by_hand = if self.reference == Reference::SNAPSHOT { "test" } else { "" };
        self.tier.as_deref().unwrap_or(by_hand)
    }

    /// Its line, behind the model's name if there is one; what has no room there is set in below.
    fn lines(&self, model: &str, view: View) -> Vec<String> {
        let (id, tier) = (words::short_id(&self.run), self.sort());
        let mut lines = vec![format!("{}  {}  {}", minute(&self.started_at), left(id, words::SHORT_ID), left(tier, 5))];
        let ended = if self.status == "complete" { "" } else { &self.status };
        let mut counts = words::count(self.answers as usize, "answer");
        if self.errors > 0 {
            let _ = write!(counts, ", {}", words::count(self.errors as usize, "error"));
        }
        let plain = |text: &str| Span { tone: Tone::Text, text: text.to_owned() };
        let tally = Span { tone: tone(self.worst()), text: self.tally() };
        let cost = self.cost.map_or_else(String::new, words::dollars);
        let parts = [plain(model), plain(ended), tally, plain(&counts), plain(&cost)];
        for part in parts.into_iter().filter(|part| !part.text.is_empty()) {
            let has_room = |line: &&mut String| layout::width(line) + 2 + layout::width(&part.text) <= view.width;
            if let Some(line) = lines.last_mut().filter(has_room) {
                let _ = write!(line, "  {}", view.paint.apply(part.tone, &part.text));
            } else {
                let below = wrap_spans(&[part], view.width.saturating_sub(SET_IN), view.paint);
                lines.extend(below.iter().map(|line| set_in(line.trim_end())));
            }
        }
        lines
    }

    fn worst(&self) -> Verdict {
        let order = [Verdict::Drifted, Verdict::Unmeasured, Verdict::Inconclusive, Verdict::Consistent];
        order.into_iter().find(|v| self.results.iter().any(|r| r.verdict == *v)).unwrap_or(Verdict::Unmeasured)
    }
}

impl HistoryReport {
    /// The history of these runs.
    pub fn new(runs: Vec<RunEntry>) -> Self {
        Self { schema: SCHEMA.to_owned(), runs }
    }

    /// As JSON, indented; ends with a newline.
    pub fn json(&self) -> String {
        super::json::pretty(self)
    }

    /// A line for each run, the latest first.
    pub fn table(&self, view: View, glyphs: Glyphs) -> String {
        let several = self.runs.iter().any(|run| run.model != self.runs[0].model);
        let mut out = String::new();
        for run in &self.runs {
            let model = if several { escape::line(&run.model) } else { String::new() };
            for line in run.lines(&model, view) {
                out.push_str(&glyphs.text(line.trim_end()));
                out.push('\n');
            }
        }
        out
    }

    /// One endpoint's effect over time: a line for each run that judged it, the earliest first, with a bar.
    pub fn chart(&self, endpoint: &str, view: View, glyphs: Glyphs) -> String {
        let judged: Vec<(&RunEntry, &ResultEntry)> = self
            .runs
            .iter()
            .rev()
            .filter_map(|run| Some((run, run.results.iter().find(|r| r.endpoint == endpoint)?)))
            .collect();
        let effects = judged.iter().map(|(_, r)| r.effect.as_ref().map_or_else(String::new, words::effect));
        let effects: Vec<String> = effects.map(|effect| glyphs.text(&effect)).collect();
        let width = effects.iter().map(|effect| layout::width(effect)).max().unwrap_or(0);
        // What is held against approved snapshots lies on the same scale, and is told from what is held against another endpoint.
        let sorts = if judged.iter().any(|(run, _)| run.sort() == "test") { SORT } else { 0 };
        let beside = BEFORE_EFFECTS + sorts + width + 2;
        // On a narrow screen each bar has a line of its own, below what it is of.
        let before_bars = if beside + NARROWEST_BAR <= view.width { beside } else { SET_IN };
        let columns = view.width.min(WIDEST_CHART).saturating_sub(before_bars).max(NARROWEST_BAR);
        let measured = judged.iter().filter_map(|(_, r)| Some((r.effect.as_ref()?, r.tolerance)));
        let scale = Scale::of(measured, columns);
        let mut out = format!("{}\n", view.paint.apply(Tone::Heading, &escape::line(endpoint)));
        for ((run, result), effect) in judged.iter().zip(&effects) {
            let verdict = view.paint.apply(tone(result.verdict), &left(result.verdict.as_str(), 12));
            let bar = scale.bar(result.effect.as_ref(), result.tolerance, glyphs);
            let when = minute(&run.started_at);
            let sort = if sorts > 0 { left(run.sort(), sorts) } else { String::new() };
            let before = format!("{when}  {sort}{verdict}");
            let lines = if before_bars == beside {
                vec![format!("{before}  {}  {bar}", right(effect, width))]
            } else if BEFORE_EFFECTS + sorts + layout::width(effect) <= view.width {
                vec![format!("{before}  {effect}"), set_in(&bar)]
            } else {
                vec![before, set_in(effect), set_in(&bar)]
            };
            for line in lines {
                let _ = writeln!(out, "{}", line.trim_end());
            }
        }
        let axis = format!("{}{}", " ".repeat(before_bars), scale.axis());
        out.push_str(&view.paint.apply(Tone::Faint, &axis));
        let _ = writeln!(out, "\n{}", view.paint.apply(Tone::Faint, &glyphs.legend()));
        out
    }
}

/// Columns by which what a run came to is set in, where it has no room beside the run.
const SET_IN: usize = 4;

fn set_in(text: &str) -> String {
    " ".repeat(SET_IN) + text
}

/// What stands before the effects: time, verdict and their gaps.
const BEFORE_EFFECTS: usize = 16 + 2 + 12 + 2;
/// Columns of what sort of run it is, with their gap.
const SORT: usize = 7;
const NARROWEST_BAR: usize = 12;
const WIDEST_CHART: usize = 120;

/// A time to the minute, in UTC.
fn minute(at: &str) -> String {
    layout::left(&at.get(..16).unwrap_or(at).replace('T', " "), 16)
}

/// How a verdict is coloured.
pub(super) fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Consistent => Tone::Good,
        Verdict::Drifted => Tone::Bad,
        Verdict::Inconclusive => Tone::Open,
        Verdict::Unmeasured => Tone::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Paint;
    use crate::verdict::EffectName;

    fn result(endpoint: &str, verdict: Verdict, effect: Option<(f64, f64, f64)>) -> ResultEntry {
        let of = |(estimate, low, high)| Effect { name: EffectName::Substitution, estimate, low, high };
        ResultEntry {
            endpoint: endpoint.into(),
            verdict,
            reason: String::new(),
            q_value: None,
            effect: effect.map(of),
            tolerance: 0.05,
            samples: 250,
            attempts: 252,
            errors: 2,
            cost: Some(0.2),
            findings: Vec::new(),
        }
    }

    fn run(hour: u32, status: &str, results: Vec<ResultEntry>) -> RunEntry {
        RunEntry {
            run: format!("0193a5c2-7f{hour:02}-7000-8000-000000000000"),
            model: "m".into(),
            reference: "r".into(),
            started_at: format!("2026-03-01T{hour:02}:15:00Z"),
            finished_at: None,
            status: status.into(),
            tier: (hour != 3).then(|| "pulse".into()),
            suspects: Vec::new(),
            answers: 250 * results.len() as u64,
            errors: 2 * results.len() as u64,
            cost: (!results.is_empty()).then_some(0.2),
            results,
        }
    }

    #[test]
    fn runs_beside_approved_snapshots_are_told_from_checks() {
        let drifted = || vec![result("e", Verdict::Drifted, Some((0.31, 0.22, 0.39)))];
        let test = RunEntry { reference: Reference::SNAPSHOT.into(), tier: None, ..run(3, "complete", drifted()) };
        let report = HistoryReport::new(vec![test, run(2, "complete", drifted())]);
        let table = report.table(NARROW, Glyphs::Unicode);
        assert!(table.lines().next().is_some_and(|line| line.contains("  test   ")), "{table}");
        let chart = report.chart("e", NARROW, Glyphs::Unicode);
        let sorts: Vec<&str> = chart.lines().skip(1).take(2).filter_map(|line| line.get(18..25)).collect();
        assert_eq!(sorts, ["pulse  ", "test   "], "{chart}");
    }

    fn report() -> HistoryReport {
        HistoryReport::new(vec![
            run(5, "running", vec![]),
            run(4, "complete", vec![result("e\u{1b}[2J", Verdict::Unmeasured, None)]),
            run(3, "partial", vec![result("e\u{1b}[2J", Verdict::Drifted, Some((0.31, 0.22, 0.39)))]),
            run(2, "complete", vec![result("e\u{1b}[2J", Verdict::Inconclusive, Some((0.06, 0.0, 0.11)))]),
            run(
                1,
                "complete",
                vec![
                    result("e\u{1b}[2J", Verdict::Consistent, Some((0.01, 0.0, 0.03))),
                    result("f", Verdict::Drifted, Some((0.9, 0.8, 1.0))),
                ],
            ),
        ])
    }

    const NARROW: View = View { width: 80, paint: Paint::Plain };

    #[test]
    fn runs_are_lines_with_what_they_came_to() {
        insta::assert_snapshot!(report().table(NARROW, Glyphs::Unicode));
    }

    #[test]
    fn what_a_run_came_to_stands_below_it_where_the_screen_is_narrow() {
        let table = report().table(View { width: 60, ..NARROW }, Glyphs::Unicode);
        assert!(table.lines().all(|line| layout::width(line) <= 60), "{table}");
        let told = "7f03         partial\n    1 drifted (e\\u{1b}[2J)  250 answers, 2 errors  $0.20\n";
        assert!(table.contains(told), "{table}");
        let narrow = report().table(View { width: 40, ..NARROW }, Glyphs::Unicode);
        let told = "    1 drifted (f), 1 consistent\n    500 answers, 4 errors  $0.20\n";
        assert!(narrow.contains(told), "{narrow}");
    }

    #[test]
    fn an_effect_over_time_is_a_chart_within_eighty_columns() {
        let chart = report().chart("e\u{1b}[2J", NARROW, Glyphs::Unicode);
        assert!(chart.lines().all(|line| layout::width(line) <= 80), "{chart}");
        insta::assert_snapshot!(chart);
        let ascii = report().chart("f", NARROW, Glyphs::Ascii);
        assert!(ascii.is_ascii(), "{ascii}");
    }

    #[test]
    fn bars_stand_below_where_the_screen_is_narrow() {
        let report = report();
        for width in [60, 48] {
            let chart = report.chart("e\u{1b}[2J", View { width, ..NARROW }, Glyphs::Unicode);
            assert!(chart.lines().all(|line| layout::width(line) <= width), "{chart}");
            let drifted = chart.lines().skip_while(|line| !line.contains("drifted"));
            let shown: Vec<&str> = drifted.take(2).collect();
            assert_eq!(shown[0], "2026-03-01 03:15  drifted       31 % (22 to 39)", "{chart}");
            assert!(shown[1].starts_with("    ") && shown[1].contains('●'), "{chart}");
        }
        let narrowest = report.chart("e\u{1b}[2J", View { width: 40, ..NARROW }, Glyphs::Unicode);
        assert!(narrowest.contains("  drifted\n    31 % (22 to 39)\n    "), "{narrowest}");
    }

    #[test]
    fn the_committed_schema_is_that_of_the_types_and_a_history_follows_it() {
        let schema = crate::report::json::schema::<HistoryReport>();
        crate::report::tests::committed("schemas/history.json", &schema);
        let value: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        let schema = serde_json::from_str(&schema).unwrap();
        assert!(jsonschema::is_valid(&schema, &value));
    }
}
