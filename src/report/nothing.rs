//! The report of a check that came to none: every endpoint is unmeasured, for the reason that ended it.
//!
//! Layer 4, pure. Whoever reads reports by a program finds a valid one, and in it that there is nothing to report.

use super::{Account, ControlReport, EndpointReport, Report, SCHEMA};
use crate::compare::{EndpointComparison, Settings};

/// Who would have been reported on.
#[derive(Debug, Clone, PartialEq)]
pub struct Awaited {
    /// The nominal model; empty where none is known.
    pub model: String,
    /// The reference's name.
    pub reference: String,
    /// The endpoints that would have been compared, in order.
    pub endpoints: Vec<String>,
    /// The settings of the comparison.
    pub settings: Settings,
}

impl Report {
    /// The report that says that there is none, and why.
    pub fn of_nothing(awaited: Awaited, why: &str) -> Self {
        let Awaited { model, reference, endpoints, settings } = awaited;
        let unmeasured =
            |name: &String| EndpointReport::new(EndpointComparison::unmeasured(name, why), Account::default());
        Self {
            schema: SCHEMA.to_owned(),
            model,
            reference,
            seed: settings.seed,
            alpha: settings.alpha,
            tolerance: settings.tolerance,
            dispersion_tolerance: settings.dispersion_tolerance,
            permutations: settings.permutations,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            run: None,
            partial: None,
            reference_account: Account::default(),
            control: ControlReport { endpoint: None, p_value: None, account: Account::default() },
            self_check: None,
            reference_past: None,
            snapshots: None,
            endpoints: endpoints.iter().map(unmeasured).collect(),
            warnings: vec![format!("there is nothing to report: {why}").into()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Format, Paint, View, render};
    use crate::verdict::Verdict;

    #[test]
    fn a_report_of_nothing_is_valid_in_every_format_and_says_why() {
        let settings = Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };
        for endpoints in [vec![], vec!["a".to_owned(), "b".to_owned()]] {
            let awaited = Awaited { model: "m".into(), reference: "r".into(), endpoints, settings: settings.clone() };
            let report = Report::of_nothing(awaited, "no host answered");
            assert_eq!(report.overall(), Verdict::Unmeasured);
            let json = render(&report, Format::Json, &View { width: 80, paint: Paint::Plain });
            assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
            for format in [Format::Json, Format::Junit, Format::Github, Format::Markdown, Format::Terminal] {
                let text = render(&report, format, &View { width: 80, paint: Paint::Plain });
                assert!(text.contains("no host answered"), "{format:?}: {text}");
            }
        }
    }
}
