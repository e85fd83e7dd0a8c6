//! Examinations for people and programs: what each endpoint does with each feature, what changed, and what to set.
//!
//! Layer 4, pure. The JSON is a contract, `samemodel.doctor/1`; the host's words are raw in it and escaped in the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::escape;
use super::json::pretty;
use super::layout::{Tone, left, wrap};
use super::plan::{dollars, duration};
use super::terminal::View;
use super::words::{NEXT, remedy};
use crate::config::KeyPath;
use crate::doctor::{Advice, Change, Examined, Feature, Finding, MOST_REQUESTS, Place, Setting, State};
use crate::plan::Estimate;
use crate::plural::count;

/// The schema name of an examination as JSON.
pub const SCHEMA: &str = "samemodel.doctor/1";

/// Columns of a feature's name.
const FEATURE_COLUMNS: usize = 15;

/// Columns of a state.
const STATE_COLUMNS: usize = 9;

/// The most characters of a host's words in the table.
const MOST_WORDS: usize = 300;

/// What was found of a model's endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorReport {
    /// Always `samemodel.doctor/1`.
    pub schema: String,
    /// The nominal model.
    pub model: String,
    /// The version of the program.
    pub tool_version: String,
    /// The endpoints, in the configured order.
    pub endpoints: Vec<EndpointExamination>,
    /// Endpoints that could not be asked.
    pub unasked: Vec<Unasked>,
    /// The settings of all endpoints as a piece of TOML; empty where nothing is to be set.
    pub lines: String,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointExamination {
    /// What was found.
    #[serde(flatten)]
    pub examined: Examined,
    /// When it was examined before; absent the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub examined_before: Option<Timestamp>,
    /// What is another since then.
    pub changes: Vec<Change>,
}

/// An endpoint that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unasked {
    /// Its name.
    pub endpoint: String,
    /// Why.
    pub reason: String,
}

impl DoctorReport {
    /// Joins what was found now with what was found before.
    pub fn new(model: &str, now: Vec<Examined>, before: &[Examined], unasked: Vec<Unasked>) -> Self {
        let lines = lines(now.iter().flat_map(|examined| &examined.settings));
        let endpoints = now.into_iter().map(|examined| {
            let before = before.iter().find(|before| before.endpoint == examined.endpoint);
            EndpointExamination {
                examined_before: before.map(|before| before.examined_at),
                changes: before.map(|before| examined.changes(before)).unwrap_or_default(),
                examined,
            }
        });
        Self {
            schema: SCHEMA.to_owned(),
            model: model.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            endpoints: endpoints.collect(),
            unasked,
            lines,
        }
    }

    /// Whether anything is another than last time.
    pub fn has_changes(&self) -> bool {
        self.endpoints.iter().any(|endpoint| !endpoint.changes.is_empty())
    }

    /// As JSON.
    pub fn json(&self) -> String {
        pretty(self)
    }

    /// As tables, one an endpoint, and the lines to set.
    pub fn table(&self, view: &View) -> String {
        let mut out = String::new();
        for endpoint in &self.endpoints {
            out += &endpoint.table(view);
            out.push('\n');
        }
        for Unasked { endpoint, reason } in &self.unasked {
            let _ = writeln!(out, "{}: cannot be asked: {}\n", escape::line(endpoint), escape::line(reason));
        }
        if self.endpoints.iter().all(|endpoint| is_silent(&endpoint.examined)) {
            // What is to be done stands beside each of them, or why it could not be asked.
            out.truncate(out.trim_end().len() + 1);
        } else if self.lines.is_empty() {
            out += "nothing to set in providers.toml\n";
        } else {
            let _ = write!(
                out,
                "to set in providers.toml, or as it stands in providers.local.toml beside it:\n\n{}",
                self.lines
            );
        }
        out
    }
}

impl EndpointExamination {
    fn table(&self, view: &View) -> String {
        let Examined { endpoint, requests, cost, findings, .. } = &self.examined;
        let spent = cost.map_or_else(|| "no price is known".to_owned(), |cost| dollars(Some(cost)));
        let head = format!("{}: {}, {spent}", escape::line(endpoint), count(*requests, "request"));
        let mut out = view.paint.apply(Tone::Heading, &head) + "\n";
        // Where nothing is answered, nothing is to be told of features.
        let is_silent = is_silent(&self.examined);
        let is_told = |finding: &&Finding| !is_silent || finding.feature == Feature::Answers;
        for finding in findings.iter().filter(is_told) {
            out += &row(finding, view);
        }
        if let Some(cause) = why_nothing(&self.examined) {
            let columns = view.width.saturating_sub(2 + FEATURE_COLUMNS).max(20);
            for (at, text) in wrap(remedy(&cause), columns).iter().enumerate() {
                let _ = writeln!(out, "  {}{text}", left(if at == 0 { NEXT } else { "" }, FEATURE_COLUMNS));
            }
        }
        // What is not known now is not the same as it was.
        if let Some(before) = self.examined_before.filter(|_| !is_silent) {
            let since = before.strftime("%Y-%m-%d %H:%M UTC");
            match self.changes.as_slice() {
                [] => {
                    let _ = writeln!(out, "  the same as on {since}");
                }
                changes => {
                    let told: Vec<String> = changes.iter().map(|change| escape::line(&change.words())).collect();
                    let line = format!("  since {since}: {}", told.join("; "));
                    out += &(view.paint.apply(Tone::Bad, &line) + "\n");
                }
            }
        }
        out
    }
}

/// What stands before the class of the failure where nothing is answered.
const NO_ANSWER: &str = "no answer: ";

/// Whether nothing was answered.
fn is_silent(examined: &Examined) -> bool {
    examined.finding(Feature::Answers).is_some() && !examined.has_answered()
}

/// Why nothing is answered, as a cause of failures; nothing where something is, or where it is not known.
fn why_nothing(examined: &Examined) -> Option<Cause> {
    let finding = examined.finding(Feature::Answers).filter(|_| is_silent(examined))?;
    let class = finding.evidence.strip_prefix(NO_ANSWER)?.to_owned();
    let message = finding.words.clone().unwrap_or_default();
    let refused = finding.state == State::Refused;
    Some(Cause { class, requests: String::new(), refused, message, count: examined.requests, prompts: 0 })
}

fn row(finding: &Finding, view: &View) -> String {
    let tone = match finding.state {
        State::Honoured => Tone::Good,
        State::Ignored | State::Refused => Tone::Bad,
        State::Noted => Tone::Text,
        State::Unknown => Tone::Open,
    };
    let indent = 2 + FEATURE_COLUMNS + STATE_COLUMNS + 1;
    let columns = view.width.saturating_sub(indent).max(20);
    let mut texts = wrap(&escape::line(&finding.evidence), columns);
    if let Some(words) = &finding.words {
        texts.extend(wrap(&format!("the host: {}", escape::short_line(words, MOST_WORDS)), columns));
    }
    let mut out = String::new();
    for (at, text) in texts.iter().enumerate() {
        if at == 0 {
            let state = view.paint.apply(tone, &left(finding.state.words(), STATE_COLUMNS));
            let _ = writeln!(out, "  {}{state} {text}", left(finding.feature.words(), FEATURE_COLUMNS));
        } else {
            let _ = writeln!(out, "{:indent$}{text}", "");
        }
    }
    out
}

/// The settings as a piece of TOML, one table each; of several allowances for one model the largest, and of other settings of one
/// place the first.
fn lines<'a>(settings: impl Iterator<Item = &'a Setting>) -> String {
    let mut places: BTreeMap<&Place, Vec<&Setting>> = BTreeMap::new();
    for setting in settings {
        let of_place = places.entry(&setting.place).or_default();
        match of_place.iter_mut().find(|other| other.key == setting.key) {
            None => of_place.push(setting),
            Some(other) if other.value.as_u64() < setting.value.as_u64() => *other = setting,
            Some(_) => {}
        }
    }
    let tables: Vec<String> = places.into_iter().map(|(place, settings)| table(place, &settings)).collect();
    tables.join("\n")
}

fn table(place: &Place, settings: &[&Setting]) -> String {
    let head = match place {
        Place::Dialect(provider) => format!("[{}]\n", KeyPath::from(["provider", provider.as_str(), "dialect"])),
        Place::Reasoning(model) => format!("[{}]\n", KeyPath::from(["model", model.as_str(), "reasoning"])),
        Place::Endpoint { model, endpoint } => {
            let path = KeyPath::from(["model", model.as_str(), "endpoint"]);
            format!("[[{path}]]\nname = {}\n", serde_json::Value::from(endpoint.as_str()))
        }
    };
    let is_set = settings.iter().any(|setting| setting.advice == Advice::Set);
    let mark = |advice: Advice| if advice == Advice::Set { "" } else { "# " };
    let mut out = if is_set { head } else { format!("# {}\n", head.trim_end().replace('\n', "\n# ")) };
    for Setting { key, value, advice, why, .. } in settings {
        let line = escape::line(&format!("{key} = {value}  # {why}"));
        let _ = writeln!(out, "{}{line}", mark(*advice));
    }
    out
}

/// What an examination would send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DoctorPlan {
    /// Always `samemodel.doctor-plan/1`.
    pub schema: &'static str,
    /// The nominal model.
    pub model: String,
    /// The endpoints with what each is asked for at most.
    pub endpoints: Vec<PlannedExamination>,
}

/// One endpoint that would be examined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedExamination {
    /// Its name.
    pub endpoint: String,
    /// What it is asked for at most.
    pub estimate: Estimate,
}

impl DoctorPlan {
    /// For these endpoints of a model.
    pub fn new(model: &str, endpoints: Vec<PlannedExamination>) -> Self {
        Self { schema: "samemodel.doctor-plan/1", model: model.to_owned(), endpoints }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        pretty(self)
    }

    /// In a few lines.
    pub fn text(&self) -> String {
        let seconds = self.endpoints.iter().map(|e| e.estimate.seconds).fold(0.0, f64::max);
        let known: Vec<f64> = self.endpoints.iter().filter_map(|e| e.estimate.worst_cost).collect();
        let unpriced = self.endpoints.len() - known.len();
        let cost = match (known.is_empty(), unpriced) {
            (true, _) => "no prices are configured".to_owned(),
            (false, 0) => format!("{} at most", dollars(Some(known.iter().sum()))),
            (false, _) => format!("{} at most, and {unpriced} without a price", dollars(Some(known.iter().sum()))),
        };
        let to = match self.endpoints.len() {
            1 => "1 endpoint".to_owned(),
            many => format!("each of {many} endpoints"),
        };
        format!(
            "{}: at most {MOST_REQUESTS} requests to {to}, one after the other, about {}; cost: {cost}\n",
            escape::line(&self.model),
            duration(seconds)
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::report::layout::Paint;

    const VIEW: View = View { width: 80, paint: Paint::Plain };

    fn finding(feature: Feature, state: State, evidence: &str) -> Finding {
        Finding { feature, state, evidence: evidence.to_owned(), words: None, value: None }
    }

    fn setting(place: Place, key: &str, value: Value) -> Setting {
        Setting { place, key: key.to_owned(), value, advice: Advice::Set, why: "so it is".to_owned() }
    }

    fn examined() -> Examined {
        let refused = Finding {
            words: Some("HTTP 400: no \u{1b}[31mtools\u{202e}".to_owned()),
            ..finding(Feature::Tools, State::Refused, "the host refuses it by name")
        };
        Examined {
            endpoint: "host".to_owned(),
            provider: "host".to_owned(),
            model: "m".to_owned(),
            examined_at: "2026-11-28T10:00:00Z".parse().expect("a time"),
            requests: 13,
            cost: Some(0.0),
            findings: vec![finding(Feature::Stream, State::Honoured, "the answer came as a stream of events"), refused],
            settings: Vec::new(),
        }
    }

    fn report() -> DoctorReport {
        let place = Place::Dialect("host".to_owned());
        let endpoint = Place::Endpoint { model: "a.b".to_owned(), endpoint: "host".to_owned() };
        let reasoning = || Place::Reasoning("a.b".to_owned());
        let settings = vec![
            setting(place, "max_tokens", json!("max_completion_tokens")),
            setting(reasoning(), "allowance", json!(256)),
            setting(reasoning(), "allowance", json!(1024)),
            Setting { advice: Advice::Consider, ..setting(endpoint, "expected_model", json!("x\n[provider.y]")) },
        ];
        let mut before = examined();
        before.findings[1].state = State::Honoured;
        let now = Examined { settings, ..examined() };
        DoctorReport::new("a.b", vec![now], &[before], Vec::new())
    }

    #[test]
    fn the_table_tells_states_words_changes_and_lines_and_nothing_of_the_host_acts() {
        insta::assert_snapshot!(report().table(&VIEW), @r#"
        host: 13 requests, free
          stream         honoured  the answer came as a stream of events
          tools          refused   the host refuses it by name
                                   the host: HTTP 400: no \u{1b}[31mtools\u{202e}
          since 2026-11-28 10:00 UTC: tools: honoured → refused

        to set in providers.toml, or as it stands in providers.local.toml beside it:

        [provider.host.dialect]
        max_tokens = "max_completion_tokens"  # so it is

        [model."a.b".reasoning]
        allowance = 1024  # so it is

        # [[model."a.b".endpoint]]
        # name = "host"
        # expected_model = "x\n[provider.y]"  # so it is
        "#);
    }

    #[test]
    fn where_nothing_is_answered_it_is_told_once_with_what_to_do() {
        let silent = |evidence: &str, words: &str| {
            let answers =
                Finding { words: Some(words.to_owned()), ..finding(Feature::Answers, State::Refused, evidence) };
            let unknown = |feature| finding(feature, State::Unknown, "nothing is answered");
            let findings = vec![answers, unknown(Feature::Stream), unknown(Feature::Tools)];
            let now = Examined { requests: 1, findings, ..examined() };
            DoctorReport::new("m", vec![now], &[], Vec::new()).table(&VIEW)
        };
        insta::assert_snapshot!(silent("no answer: unauthorized", "HTTP 401: Incorrect API key provided"), @r"
        host: 1 request, free
          answers        refused   no answer: unauthorized
                                   the host: HTTP 401: Incorrect API key provided
          next           check the key: its variable, its provider, and whether it has
                         expired
        ");
        let page = silent("no answer: malformed", "the body is not JSON: a page of HTML: hi");
        assert!(page.contains("next           check `base_url`, and whether a proxy"), "{page}");
        assert!(silent("no answer: connect", "connection refused").contains("check the address in `base_url`"));
        let unasked = vec![Unasked { endpoint: "e".to_owned(), reason: "no key: set E_KEY".to_owned() }];
        let told = DoctorReport::new("m", Vec::new(), &[], unasked).table(&VIEW);
        assert_eq!(told, "e: cannot be asked: no key: set E_KEY\n");
    }

    #[test]
    fn the_lines_are_toml() {
        let lines: toml::Table = toml::from_str(&report().lines).expect("TOML");
        assert_eq!(lines["model"]["a.b"]["reasoning"]["allowance"].as_integer(), Some(1024));
    }

    #[test]
    fn the_committed_schema_is_that_of_the_types_and_fits_a_report() {
        let schema = crate::report::json::schema::<DoctorReport>();
        crate::report::tests::committed("schemas/doctor.json", &schema);
        let schema: Value = serde_json::from_str(&schema).expect("JSON");
        let report: Value = serde_json::from_str(&report().json()).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<String> = validator.iter_errors(&report).map(|e| e.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}
