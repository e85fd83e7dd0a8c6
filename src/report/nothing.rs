//! The report of a check that came to none: every endpoint is unmeasured, for the reason that ended it.
//!
//! Layer 4, pure. Whoever reads reports by a program finds a valid one, and in it that there is nothing to report.

use std::collections::BTreeMap;

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

/// What became of a run that measured nothing; of none where nothing was asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InVain {
    /// The run's id.
    pub run: Option<String>,
    /// Why not all that was planned was asked.
    pub partial: Option<String>,
    /// Accounts by endpoint.
    pub accounts: BTreeMap<String, Account>,
}

impl Report {
    /// The report that says that there is none, and why.
    pub fn of_nothing(awaited: Awaited, why: &str) -> Self {
        Self::of_nothing_asked(awaited, why, InVain::default())
    }

    /// The same of a run whose requests came to nothing.
    pub fn of_nothing_asked(awaited: Awaited, why: &str, asked: InVain) -> Self {
        let Awaited { model, reference, endpoints, settings } = awaited;
        let InVain { run, partial, accounts } = asked;
        let account = |name: &str| accounts.get(name).cloned().unwrap_or_default();
        let unmeasured = |name: &String| {
            let account = account(name);
            let answers = account.samples;
            EndpointReport::new(EndpointComparison { answers, ..EndpointComparison::unmeasured(name, why) }, account)
        };
        Self {
            schema: SCHEMA.to_owned(),
            model,
            seed: settings.seed,
            alpha: settings.alpha,
            tolerance: settings.tolerance,
            dispersion_tolerance: settings.dispersion_tolerance,
            permutations: settings.permutations,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            run,
            partial,
            reference_account: account(&reference),
            control: ControlReport { endpoint: None, p_value: None, account: Account::default() },
            self_check: None,
            reference_past: None,
            snapshots: None,
            endpoints: endpoints.iter().map(unmeasured).collect(),
            reference,
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
    fn a_report_on_a_run_that_measured_nothing_has_the_run_and_what_its_requests_came_to() {
        let settings = Settings { seed: 1, alpha: 0.05, tolerance: 0.05, dispersion_tolerance: 0.1, permutations: 99 };
        let awaited = Awaited { model: "m".into(), reference: "r".into(), endpoints: vec!["a".into()], settings };
        let failures = BTreeMap::from([("server".to_owned(), 43)]);
        let dead = Account { attempts: 43, errors: 43, failures, unanswered: 50, ..Account::default() };
        let alive = Account { samples: 7, attempts: 7, unanswered: 43, not_asked: 43, ..Account::default() };
        let accounts = BTreeMap::from([("r".to_owned(), dead.clone()), ("a".to_owned(), alive)]);
        let asked = InVain { run: Some("0193a5c2".into()), partial: Some("stopped early".into()), accounts };
        let report = Report::of_nothing_asked(awaited, "the reference is out", asked);
        assert_eq!((report.run.as_deref(), report.partial.as_deref()), (Some("0193a5c2"), Some("stopped early")));
        assert_eq!(report.reference_account, dead);
        let a = &report.endpoints[0];
        assert_eq!((a.samples, a.attempts, a.not_asked, a.verdict), (7, 7, 43, Verdict::Unmeasured));
        assert_eq!(a.reason, "the reference is out");
    }

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
