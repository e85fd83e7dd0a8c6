//! A plan for people: what would be sent to whom, for how much, and how long it would take.

use std::fmt::Write as _;

use serde::Serialize;

use super::layout::{self, wrap};
use super::terminal::View;
use crate::plan::{Estimate, Plan};
use crate::plural::count;
use crate::sample::Asking;

/// What a check would send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    /// Always `samemodel.plan-report/1`.
    pub schema: &'static str,
    /// The nominal model.
    pub model: String,
    /// The reference's name.
    pub reference: String,
    /// Sampled probes.
    pub sampled_probes: usize,
    /// Greedy probes.
    pub greedy_probes: usize,
    /// The budget, in US dollars.
    pub budget: Option<f64>,
    /// The endpoints.
    pub endpoints: Vec<PlannedEndpoint>,
}

/// One endpoint of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedEndpoint {
    /// Its name.
    pub endpoint: String,
    /// What it would be asked for.
    pub estimate: Estimate,
    /// Why it cannot be asked, if so.
    pub cannot_be_asked: Option<String>,
}

impl PlanReport {
    /// Joins a plan with its endpoints' estimates.
    pub fn new(plan: &Plan, reference: &str, budget: Option<f64>, endpoints: Vec<PlannedEndpoint>) -> Self {
        let count = |asking| plan.probes.iter().filter(|p| p.only.is_none() && p.probe.asking == asking).count();
        Self {
            schema: "samemodel.plan-report/1",
            model: plan.model.clone(),
            reference: reference.to_owned(),
            sampled_probes: count(Asking::Sampled),
            greedy_probes: count(Asking::Greedy),
            budget,
            endpoints,
        }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).map_or_else(|e| format!("{{\"error\":\"{e}\"}}\n"), |text| text + "\n")
    }

    /// As a table with what it adds up to. On a narrow screen tokens stand below the row.
    pub fn table(&self, view: View) -> String {
        let longest = self.endpoints.iter().map(|e| layout::width(&e.endpoint)).max().unwrap_or(0).max(SHORTEST_NAME);
        let columns = if longest + Columns::All.width() <= view.width { Columns::All } else { Columns::WithoutTokens };
        let name = longest.min(view.width.saturating_sub(columns.width()).max(SHORTEST_NAME));
        let mut out = String::new();
        let head = format!(
            "{}: {} sampled and {} to {}, reference {}",
            self.model,
            self.sampled_probes,
            count(self.greedy_probes, "greedy probe"),
            count(self.endpoints.len(), "endpoint"),
            self.reference
        );
        put(&mut out, &head, ("", "  "), view);
        out.push('\n');
        let titles = ["requests", "prompt tokens", "answer tokens", "cost at most", "time"];
        out += &columns.row(&layout::left("endpoint", name), titles);
        for e in &self.endpoints {
            let Estimate { requests, prompt_tokens, most_completion_tokens, worst_cost, seconds, .. } = e.estimate;
            let (prompt, answer) = (format!("~{prompt_tokens}"), format!("≤{most_completion_tokens}"));
            let cells = [&requests.to_string(), &prompt, &answer, &dollars(worst_cost), &duration(seconds)];
            out += &columns.row(&layout::name(&e.endpoint, name), cells.map(String::as_str));
            if columns == Columns::WithoutTokens {
                put(&mut out, &format!("{prompt} prompt tokens, {answer} answer tokens"), ("    ", "    "), view);
            }
            if let Some(reason) = &e.cannot_be_asked {
                put(&mut out, &format!("cannot be asked yet: {reason}"), ("  └ ", "    "), view);
            }
        }
        out.push('\n');
        for line in self.sums() {
            put(&mut out, &line, ("", "  "), view);
        }
        out
    }

    fn sums(&self) -> Vec<String> {
        let asked = &self.endpoints;
        let requests: u64 = asked.iter().map(|e| e.estimate.requests).sum();
        let seconds = asked.iter().map(|e| e.estimate.seconds).fold(0.0, f64::max);
        let known: Vec<f64> = asked.iter().filter_map(|e| e.estimate.worst_cost).collect();
        let requests = count(requests as usize, "request");
        let mut out = vec![format!("{requests}, about {} if an answer takes 2 s", duration(seconds))];
        if known.is_empty() {
            let add = "add `price = { input = …, output = … }` to see costs and to hold a budget";
            out.push(format!("no prices are configured: {add}"));
        } else {
            let sum: f64 = known.iter().sum();
            let most = if sum > 0.0 { "at most " } else { "" };
            let mut line = format!("{most}{} without retries", dollars(Some(sum)));
            if known.len() < asked.len() {
                let unknown = asked.len() - known.len();
                let has = if unknown == 1 { "endpoint has" } else { "endpoints have" };
                let _ = write!(line, "; {unknown} {has} no price");
            }
            out.push(line);
        }
        out.extend(self.budget.map(|b| format!("a check stops before more than {} is spent", dollars(Some(b)))));
        out
    }
}

/// The columns of a name that are never gone below.
const SHORTEST_NAME: usize = 8;

/// The columns that a screen has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    All,
    WithoutTokens,
}

impl Columns {
    /// What stands beside a name.
    fn width(self) -> usize {
        match self {
            Self::All => 64,
            Self::WithoutTokens => 34,
        }
    }

    /// A line, behind a name that is as wide as its column.
    fn row(self, name: &str, [requests, prompt, answer, cost, time]: [&str; 5]) -> String {
        let tokens = match self {
            Self::All => format!(" {prompt:>14} {answer:>14}"),
            Self::WithoutTokens => String::new(),
        };
        format!("{name} {requests:>9}{tokens} {cost:>13} {time:>9}\n")
    }
}

/// Writes text in lines that fit, behind what stands before the first and before the others.
fn put(out: &mut String, text: &str, before: (&str, &str), view: View) {
    let room = view.width.saturating_sub(layout::width(before.0).max(layout::width(before.1)));
    // One that fits needs no room for what stands before others.
    let whole = layout::width(before.0) + layout::width(text) <= view.width;
    let lines = if whole { vec![text.to_owned()] } else { wrap(text, room) };
    for (at, line) in lines.iter().enumerate() {
        let _ = writeln!(out, "{}{}", if at == 0 { before.0 } else { before.1 }, line.trim_end());
    }
}

pub(super) fn dollars(amount: Option<f64>) -> String {
    match amount {
        None => "unknown".to_owned(),
        Some(0.0) => "free".to_owned(),
        Some(a) if a < 0.01 => format!("${a:.4}"),
        Some(a) => format!("${a:.2}"),
    }
}

pub(super) fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s.div_ceil(60)),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_cannot_be_asked_and_what_is_not_known() {
        let estimate = Estimate {
            requests: 40,
            prompt_tokens: 400,
            most_completion_tokens: 2560,
            seconds: 75.0,
            ..Estimate::default()
        };
        let report = PlanReport {
            schema: "samemodel.plan-report/1",
            model: "m".into(),
            reference: "a".into(),
            sampled_probes: 2,
            greedy_probes: 10,
            budget: Some(1.0),
            endpoints: vec![
                PlannedEndpoint {
                    endpoint: "a".into(),
                    estimate: Estimate { worst_cost: Some(0.25), ..estimate },
                    cannot_be_asked: None,
                },
                PlannedEndpoint { endpoint: "b".into(), estimate, cannot_be_asked: None },
                PlannedEndpoint { endpoint: "c".into(), estimate, cannot_be_asked: Some("no key: set C_KEY".into()) },
            ],
        };
        insta::assert_snapshot!(report.table(View::default()), @"
        m: 2 sampled and 10 greedy probes to 3 endpoints, reference a

        endpoint  requests  prompt tokens  answer tokens  cost at most      time
        a               40           ~400          ≤2560         $0.25     2 min
        b               40           ~400          ≤2560       unknown     2 min
        c               40           ~400          ≤2560       unknown     2 min
          └ cannot be asked yet: no key: set C_KEY

        120 requests, about 2 min if an answer takes 2 s
        at most $0.25 without retries; 2 endpoints have no price
        a check stops before more than $1.00 is spent
        ");
        insta::assert_snapshot!(report.table(View { width: 60, ..View::default() }), @"
        m: 2 sampled and 10 greedy probes to 3 endpoints,
          reference a

        endpoint  requests  cost at most      time
        a               40         $0.25     2 min
            ~400 prompt tokens, ≤2560 answer tokens
        b               40       unknown     2 min
            ~400 prompt tokens, ≤2560 answer tokens
        c               40       unknown     2 min
            ~400 prompt tokens, ≤2560 answer tokens
          └ cannot be asked yet: no key: set C_KEY

        120 requests, about 2 min if an answer takes 2 s
        at most $0.25 without retries; 2 endpoints have no price
        a check stops before more than $1.00 is spent
        ");
    }
}
