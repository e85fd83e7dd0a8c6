//! A plan for people: what would be sent to whom, for how much, and how long it would take.

use std::fmt::Write as _;

use serde::Serialize;

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

    /// As a table with what it adds up to.
    pub fn table(&self) -> String {
        let wide = self.endpoints.iter().map(|e| console::measure_text_width(&e.endpoint)).max().unwrap_or(0).max(8);
        let mut out = format!(
            "{}: {} sampled and {} to {}, reference {}\n\n",
            self.model,
            self.sampled_probes,
            count(self.greedy_probes, "greedy probe"),
            count(self.endpoints.len(), "endpoint"),
            self.reference
        );
        let head = ("endpoint", "requests", "prompt tokens", "answer tokens", "cost at most", "time");
        let _ =
            writeln!(out, "{:wide$} {:>9} {:>14} {:>14} {:>13} {:>9}", head.0, head.1, head.2, head.3, head.4, head.5);
        for e in &self.endpoints {
            let name = console::pad_str(&e.endpoint, wide, console::Alignment::Left, None);
            let _ = writeln!(
                out,
                "{name} {:>9} {:>14} {:>14} {:>13} {:>9}",
                e.estimate.requests,
                format!("~{}", e.estimate.prompt_tokens),
                format!("≤{}", e.estimate.most_completion_tokens),
                dollars(e.estimate.worst_cost),
                duration(e.estimate.seconds),
            );
            if let Some(reason) = &e.cannot_be_asked {
                let _ = writeln!(out, "  └ cannot be asked yet: {reason}");
            }
        }
        out += &self.sums();
        out
    }

    fn sums(&self) -> String {
        let asked = &self.endpoints;
        let requests: u64 = asked.iter().map(|e| e.estimate.requests).sum();
        let seconds = asked.iter().map(|e| e.estimate.seconds).fold(0.0, f64::max);
        let known: Vec<f64> = asked.iter().filter_map(|e| e.estimate.worst_cost).collect();
        let requests = count(requests as usize, "request");
        let mut out = format!("\n{requests}, about {} if an answer takes 2 s\n", duration(seconds));
        if known.is_empty() {
            out +=
                "no prices are configured: add `price = { input = …, output = … }` to see costs and to hold a budget\n";
        } else {
            let sum: f64 = known.iter().sum();
            let most = if sum > 0.0 { "at most " } else { "" };
            let _ = write!(out, "{most}{} without retries", dollars(Some(sum)));
            if known.len() < asked.len() {
                let unknown = asked.len() - known.len();
                let has = if unknown == 1 { "endpoint has" } else { "endpoints have" };
                let _ = write!(out, "; {unknown} {has} no price");
            }
            out.push('\n');
        }
        if let Some(budget) = self.budget {
            let _ = writeln!(out, "a check stops before more than {} is spent", dollars(Some(budget)));
        }
        out
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
        insta::assert_snapshot!(report.table(), @"
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
    }
}
