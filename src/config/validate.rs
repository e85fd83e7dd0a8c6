//! What must hold of a whole configuration beyond keys and types. All violations are found together.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::address;
use super::alerting::{AlertReceiver, Alerting, ReceiverKind};
use super::capability::{holds_a_capability, is_more_than_a_name};
use super::key_path::KeyPath;
use super::secret::{holds_a_key, names_a_credential, names_a_secret_field};
use super::timetable::{cron, time_zone};
use super::types::{Config, Defaults, Dialect, Endpoint, Model, Price, Provider, Reasoning, Reference, Timeouts};
use super::watch::{History, Lab, Tier, Watch};
use crate::suggest::hint;

/// Fields of a request's body that the program sets itself: another value would falsify what a sample says of itself.
const RESERVED_FIELDS: [&str; 10] = [
    "messages",
    "model",
    "stream",
    "stream_options",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "n",
    "reasoning_effort",
];

/// More answers to one probe than any comparison gains from.
const MOST_SAMPLES: u32 = 100_000;

/// More permutations than any p-value is worth.
const MOST_PERMUTATIONS: u32 = 10_000_000;

/// The longest name, in bytes of the file that it names: file systems take 255, and endings are added.
const LONGEST_NAME: usize = 200;

/// What to do with a key that was found in the file.
const KEYS_ELSEWHERE: &str = "a key never stands in a file of the configuration: set it in the environment and name the variable in \
                              the provider's `api_key_env`, and `auth` if it is not sent as a bearer token";

/// What to do with an address of a receiver that was found in the file.
const ADDRESSES_ELSEWHERE: &str = "an address that anyone can write to is a secret and never stands in a file: set it in the \
                                   environment and write the variable's name";

/// What to do with the secret of a receiver that was found in the file.
const SIGNING_ELSEWHERE: &str = "what messages are signed with never stands in a file: set it in the environment and write the \
                                 variable's name";

/// More tokens than any model thinks.
const MOST_ALLOWANCE: u32 = 1_000_000;

/// One rule that a configuration breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The value that breaks it.
    pub path: KeyPath,
    /// What is wrong, lowercase, naming the value.
    pub message: String,
    /// What to do about it, where that is not plain from the message.
    pub help: Option<String>,
    /// Whether the value may be shown.
    pub value: Exposure,
}

/// Whether a value that breaks a rule may be shown with what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// It may.
    Shown,
    /// It may be a secret.
    Hidden,
}

/// Every rule that the configuration breaks; empty when it is valid.
pub fn validate(config: &Config) -> Vec<Violation> {
    let mut rules = Rules(Vec::new());
    rules.defaults(&config.defaults);
    rules.watch(&config.watch, config);
    rules.history(&config.history);
    rules.lab(&config.lab);
    for (name, provider) in &config.provider {
        let path = KeyPath::from(["provider", name]);
        rules.name(name, &path);
        rules.provider(provider, &path);
    }
    rules.alerting(&config.alert, &KeyPath::from(["alert"]));
    for (name, model) in &config.model {
        let path = KeyPath::from(["model", name]);
        rules.name(name, &path);
        rules.model(model, &path);
        for endpoint in &model.endpoint {
            rules.endpoint(endpoint, config, &path.child("endpoint").child(&endpoint.name));
        }
    }
    rules.0
}

/// The violations found so far. Each method checks one noun.
struct Rules(Vec<Violation>);

impl Rules {
    fn defaults(&mut self, defaults: &Defaults) {
        let path = &KeyPath::from(["defaults"]);
        self.samples(2, defaults.samples, &path.child("samples"));
        self.samples(1, defaults.greedy_samples, &path.child("greedy_samples"));
        self.at_least(1, defaults.max_tokens, &path.child("max_tokens"));
        self.at_least(99, defaults.permutations, &path.child("permutations"));
        self.at_most(MOST_PERMUTATIONS, defaults.permutations, &path.child("permutations"));
        self.at_least(1, defaults.window, &path.child("window"));
        self.within_0_and_1(defaults.alpha, &path.child("alpha"));
        self.within_0_and_1(defaults.tolerance, &path.child("tolerance"));
        self.within_0_and_1(defaults.dispersion_tolerance, &path.child("dispersion_tolerance"));
        if let Some(budget) = defaults.budget {
            self.positive(budget, &path.child("budget"));
        }
        if !(defaults.temperature > 0.0 && defaults.temperature <= 2.0) {
            let help = "this is the temperature of sampled probes; a greedy probe sets its own to 0";
            self.violation(&path.child("temperature"), "must be above 0 and at most 2", Some(help.into()));
        }
        self.reasoning(&defaults.reasoning, &path.child("reasoning"));
        let retry = (&defaults.retry, &path.child("retry"));
        self.at_least(1, retry.0.tries, &retry.1.child("tries"));
        self.at_least(1, retry.0.down_after, &retry.1.child("down_after"));
        self.positive(retry.0.first_wait, &retry.1.child("first_wait"));
        self.positive(retry.0.longest_wait, &retry.1.child("longest_wait"));
        self.positive(retry.0.longest_asked_wait, &retry.1.child("longest_asked_wait"));
        self.positive(retry.0.total, &retry.1.child("total"));
        self.timeouts(&defaults.timeout, &path.child("timeout"));
    }

    fn reasoning(&mut self, reasoning: &Reasoning, path: &KeyPath) {
        if reasoning.effort.as_ref().is_some_and(|effort| effort.trim().is_empty()) {
            let help = "such as \"low\"; leave the key out to send none";
            self.violation(&path.child("effort"), "must be a word that the host knows", Some(help.into()));
        }
        if reasoning.allowance > MOST_ALLOWANCE {
            let message = format!("must be at most {MOST_ALLOWANCE}, not {}", reasoning.allowance);
            self.violation(&path.child("allowance"), &message, None);
        }
    }

    fn watch(&mut self, watch: &Watch, config: &Config) {
        let path = &KeyPath::from(["watch"]);
        for (key, tier) in [("pulse", &watch.pulse), ("full", &watch.full)] {
            if let Some(tier) = tier {
                self.tier(tier, &path.child(key));
            }
        }
        for name in watch.models.iter().filter(|name| !config.model.contains_key(*name)) {
            let message = names_no("model", name);
            let help = hint(name, config.model.keys().map(String::as_str));
            self.violation(&path.child("models"), &message, help);
        }
    }

    fn tier(&mut self, tier: &Tier, path: &KeyPath) {
        if let Err(refused) = cron(&tier.cron) {
            let help = "minute, hour, day of the month, month and day of the week, such as `*/15 * * * *`";
            self.violation(&path.child("cron"), &refused.to_string(), Some(help.into()));
        }
        if let Err(refused) = time_zone(&tier.time_zone) {
            let help = "the name of a zone, such as `Europe/Berlin` or `UTC`";
            self.violation(&path.child("time_zone"), &refused.to_string(), Some(help.into()));
        }
        if let Some(samples) = tier.samples {
            self.samples(2, samples, &path.child("samples"));
        }
        if let Some(budget) = tier.budget {
            self.positive(budget, &path.child("budget"));
        }
        if tier.probes.as_ref().is_some_and(|probes| probes.iter().all(|p| p.trim().is_empty())) {
            let help = "leave the key out to ask the probes of the model";
            self.violation(&path.child("probes"), "must name a folder or file of probes", Some(help.into()));
        }
    }

    fn history(&mut self, history: &History) {
        let path = KeyPath::from(["history"]);
        if let (Some(raw), Some(samples)) = (history.raw_days, history.sample_days)
            && samples < raw
        {
            let help = "what a host sent is part of what is kept of an answer, so it cannot outlive the answer";
            let message = format!("must be at least `history.raw_days`, {raw}, not {samples}");
            self.violation(&path.child("sample_days"), &message, Some(help.into()));
        }
    }

    fn lab(&mut self, lab: &Lab) {
        if lab.since.as_ref().is_some_and(|since| since.parse::<Timestamp>().is_err()) {
            let help = "a date, a time and a zone, such as `2026-11-22T00:00:00Z`";
            self.violation(&KeyPath::from(["lab", "since"]), "is no time", Some(help.into()));
        }
    }

    fn timeouts(&mut self, timeout: &Timeouts, path: &KeyPath) {
        self.positive(timeout.connect, &path.child("connect"));
        self.positive(timeout.first_byte, &path.child("first_byte"));
        self.positive(timeout.idle, &path.child("idle"));
        self.positive(timeout.total, &path.child("total"));
    }

    fn provider(&mut self, provider: &Provider, path: &KeyPath) {
        if let Err(refused) = provider.check_address() {
            self.violation(&path.child("base_url"), &format!("is refused: {refused}"), None);
        } else if holds_a_key(&provider.base_url) {
            self.secret(&path.child("base_url"), "must not hold a credential", KEYS_ELSEWHERE);
        }
        if provider.api_key_env.as_deref().is_some_and(|name| !address::is_variable(name)) {
            let help = "the key itself never stands in a file: set it in the environment and write the variable's name";
            let message = "must name an environment variable, in capitals";
            self.secret(&path.child("api_key_env"), message, help);
        }
        for (name, value) in &provider.headers {
            self.header(name, value, &path.child("headers").child(name));
        }
        self.at_least(1, provider.concurrency, &path.child("concurrency"));
        if let Some(rate) = provider.requests_per_minute {
            self.at_least(1, rate, &path.child("requests_per_minute"));
        }
        if let Some(timeout) = &provider.timeout {
            self.timeouts(timeout, &path.child("timeout"));
        }
        self.dialect(&provider.dialect, &path.child("dialect"));
    }

    fn header(&mut self, name: &str, value: &str, path: &KeyPath) {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let scheme = value.split_whitespace().next().unwrap_or("").to_lowercase();
        if name.is_empty() || !name.chars().all(token) {
            self.violation(path, "is no name of a header", None);
        } else if names_a_credential(name)
            || names_a_secret_field(name)
            || ["bearer", "basic"].contains(&scheme.as_str())
            || holds_a_key(value)
            || holds_a_capability(value)
        {
            let help = "name an environment variable in `api_key_env`, and `auth` if the key is not a bearer token";
            self.secret(path, "must not hold a credential", help);
        } else if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            self.violation(path, "must be printable ASCII in one line", None);
        }
    }

    fn dialect(&mut self, dialect: &Dialect, path: &KeyPath) {
        if dialect.thought_marks.iter().flatten().any(|mark| mark.trim().is_empty()) {
            let help = "pairs of what opens and what closes a thought, such as [[\"<think>\", \"</think>\"]]";
            self.violation(&path.child("thought_marks"), "must not be empty", Some(help.into()));
        }
        if dialect.path.is_empty() || dialect.path.starts_with('/') || dialect.path.contains("://") {
            let help = "it follows the base URL and its `/`, such as `chat/completions`";
            self.violation(&path.child("path"), "must be a relative path", Some(help.into()));
        }
        let query = dialect.path.split_once('?').map_or("", |(_, query)| query);
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        if holds_a_key(&dialect.path) || fields.any(|(name, value)| !value.is_empty() && is_secret(name)) {
            self.secret(&path.child("path"), "must not hold a credential", KEYS_ELSEWHERE);
        }
        if !(0.0..=1.0).contains(&dialect.zero_temperature) {
            self.violation(&path.child("zero_temperature"), "must be from 0 to 1", None);
        }
        if !dialect.rate_limit_statuses.iter().all(|status| (400..600).contains(status)) {
            self.violation(&path.child("rate_limit_statuses"), "must be statuses from 400 to 599", None);
        }
    }

    fn model(&mut self, model: &Model, path: &KeyPath) {
        let mut names = BTreeSet::new();
        for endpoint in &model.endpoint {
            if !names.insert(endpoint.name.as_str()) {
                let path = path.child("endpoint").child(&endpoint.name);
                let help = "reports tell endpoints apart by name: give each a name of its own";
                self.violation(&path, "is the second endpoint of this name in its model", Some(help.into()));
            }
        }
        if model.endpoint.is_empty() {
            let help = format!("add one under `[[{path}.endpoint]]`");
            self.violation(path, "has no endpoint", Some(help));
        }
        if model.probes.iter().all(|p| p.trim().is_empty()) {
            let help = "name a folder of probes, such as `prompts/core`";
            self.violation(&path.child("probes"), "must name a folder or file of probes", Some(help.into()));
        }
        self.references(model, path);
        if let Some(samples) = model.samples {
            self.samples(2, samples, &path.child("samples"));
        }
        if let Some(samples) = model.greedy_samples {
            self.samples(1, samples, &path.child("greedy_samples"));
        }
        if let Some(most) = model.max_tokens {
            self.at_least(1, most, &path.child("max_tokens"));
        }
        if let Some(tolerance) = model.tolerance {
            self.within_0_and_1(tolerance, &path.child("tolerance"));
        }
    }

    /// The reference and the control, which name endpoints of the model.
    fn references(&mut self, model: &Model, path: &KeyPath) {
        let names: Vec<&str> = model.endpoint.iter().map(|e| e.name.as_str()).collect();
        let reference = match &model.reference {
            Reference::Endpoint(name) => Some(name),
            Reference::Snapshot => None,
            Reference::Recorded(recorded) => {
                if recorded.samples.trim().is_empty() {
                    self.violation(&path.child("reference").child("samples"), "must name a file of samples", None);
                }
                None
            }
        };
        for (key, name) in [("reference", reference), ("control", model.control.as_ref())] {
            let Some(name) = name.filter(|name| !names.contains(&name.as_str())) else { continue };
            let looks_like_a_file = std::path::Path::new(name).extension().is_some_and(|e| e == "jsonl" || e == "json");
            let help = if key == "reference" && looks_like_a_file && !is_more_than_a_name(name) {
                Some(format!("a file is named so: reference = {{ samples = \"{}\" }}", name.escape_debug()))
            } else {
                hint(name, names.iter().copied())
            };
            let message = names_no("endpoint of this model", name);
            self.violation(&path.child(key), &message, help);
        }
        if let (Some(reference), Some(control)) = (reference, &model.control)
            && reference == control
        {
            let help = "the control is an endpoint known to serve another model than the reference";
            self.violation(&path.child("control"), "must not be the reference", Some(help.into()));
        }
    }

    fn endpoint(&mut self, endpoint: &Endpoint, config: &Config, path: &KeyPath) {
        self.name(&endpoint.name, path);
        if endpoint.name == Reference::SNAPSHOT {
            let help = "as a reference this word means each endpoint's own approved answers: choose another name";
            self.violation(path, "has a name that is taken", Some(help.into()));
        }
        if !config.provider.contains_key(&endpoint.provider) {
            let message = names_no("provider", &endpoint.provider);
            let help = hint(&endpoint.provider, config.provider.keys().map(String::as_str));
            self.violation(&path.child("provider"), &message, help);
        }
        if endpoint.model.trim().is_empty() {
            self.violation(&path.child("model"), "must be the model's name at the provider", None);
        }
        if let Some(expected) = &endpoint.expected_model {
            let patterns = expected.patterns();
            if patterns.is_empty() || patterns.iter().any(|pattern| pattern.trim().is_empty()) {
                let help = "leave the key out where any name is right";
                self.violation(&path.child("expected_model"), "must be a name, or several", Some(help.into()));
            }
        }
        if let Some(Price { input, output }) = endpoint.price {
            for (key, price) in [("input", input), ("output", output)] {
                if !(price.is_finite() && price >= 0.0) {
                    self.violation(&path.child("price").child(key), "must not be negative", None);
                }
            }
        }
        for field in endpoint.extra_body.iter().flatten().map(|(field, _)| field.as_str()) {
            if RESERVED_FIELDS.contains(&field) {
                let help = "this field is set from the probe and the configuration, so that samples record it truly";
                self.violation(&path.child("extra_body").child(field), "is reserved", Some(help.into()));
            }
        }
        for (field, value) in endpoint.extra_body.iter().flatten() {
            self.no_key_within(field, value, &path.child("extra_body").child(field));
        }
    }

    /// What is sent with each request is kept with each sample: no key may be among it.
    fn no_key_within(&mut self, name: &str, value: &serde_json::Value, path: &KeyPath) {
        match value {
            serde_json::Value::String(text)
                if !text.is_empty()
                    && (names_a_secret_field(name) || holds_a_key(text) || holds_a_capability(text)) =>
            {
                self.secret(path, "must not hold a credential", KEYS_ELSEWHERE);
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.no_key_within(name, item, path)),
            serde_json::Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| self.no_key_within(name, value, &path.child(name)));
            }
            _ => {}
        }
    }

    fn alerting(&mut self, alert: &Alerting, path: &KeyPath) {
        self.at_least(1, alert.fail_after, &path.child("fail_after"));
        self.at_least(1, alert.pass_after, &path.child("pass_after"));
        self.at_least(2, alert.flap_changes, &path.child("flap_changes"));
        self.positive(alert.remind_every, &path.child("remind_every"));
        self.positive(alert.flap_window, &path.child("flap_window"));
        self.positive(alert.critical_from, &path.child("critical_from"));
        for (key, url) in [("report_url", &alert.report_url), ("docs_url", &alert.docs_url)] {
            let fits = |url: &str| url.starts_with("https://") || url.starts_with("http://");
            if url.as_deref().is_some_and(|url| !fits(url)) {
                self.violation(&path.child(key), "must be an http or https URL", None);
            }
        }
        for (name, receiver) in &alert.receiver {
            let path = path.child("receiver").child(name);
            self.name(name, &path);
            self.receiver(receiver, &path);
        }
        for (name, route) in &alert.route {
            let path = path.child("route").child(name).child("to");
            if route.to.is_empty() {
                let help = "the names of receivers, such as [\"slack\"]; take the route out if nobody is to be told";
                self.violation(&path, "must name a receiver", Some(help.into()));
            }
            for to in route.to.iter().filter(|to| !alert.receiver.contains_key(*to)) {
                let help = hint(to, alert.receiver.keys().map(String::as_str));
                self.violation(&path, &names_no("receiver", to), help);
            }
        }
        if let Some(heartbeat) = &alert.heartbeat {
            self.variable(Some(&heartbeat.url_env), &path.child("heartbeat").child("url_env"), ADDRESSES_ELSEWHERE);
        }
    }

    fn receiver(&mut self, receiver: &AlertReceiver, path: &KeyPath) {
        self.positive(receiver.timeout, &path.child("timeout"));
        self.variable(receiver.url_env.as_deref(), &path.child("url_env"), ADDRESSES_ELSEWHERE);
        self.variable(receiver.secret_env.as_deref(), &path.child("secret_env"), SIGNING_ELSEWHERE);
        if receiver.command.iter().any(|word| holds_a_key(word) || holds_a_capability(word)) {
            let help = "a command line is no secret: let the program read it from the environment or from a file";
            self.secret(&path.child("command"), "must not hold a credential", help);
        }
        let kind = receiver.kind;
        let rules = [
            ("url_env", receiver.url_env.is_some(), kind != ReceiverKind::Command, kind != ReceiverKind::Command),
            ("secret_env", receiver.secret_env.is_some(), false, kind == ReceiverKind::Webhook),
            ("from", receiver.from.is_some(), kind == ReceiverKind::Email, kind == ReceiverKind::Email),
            ("to", !receiver.to.is_empty(), kind == ReceiverKind::Email, kind == ReceiverKind::Email),
            ("command", !receiver.command.is_empty(), kind == ReceiverKind::Command, kind == ReceiverKind::Command),
        ];
        for (key, is_set, needed, allowed) in rules {
            if needed && !is_set {
                self.violation(&path.child(key), "is needed for a receiver of this kind", None);
            } else if is_set && !allowed {
                self.violation(&path.child(key), "means nothing for a receiver of this kind", None);
            }
        }
    }

    /// Secrets are in the environment; a name that is none may be one that was written into the file.
    fn variable(&mut self, name: Option<&str>, path: &KeyPath, help: &str) {
        if name.is_some_and(|name| !address::is_variable(name)) {
            self.secret(path, "must name an environment variable, in capitals", help);
        }
    }

    /// Names go into tables, file names and annotations.
    fn name(&mut self, name: &str, path: &KeyPath) {
        let unfit = |c: char| c.is_control() || c.is_whitespace() || "/\\".contains(c);
        if name.is_empty() || name.contains(unfit) {
            self.violation(path, "must have a name without spaces and slashes", None);
        }
        if bytes_in_a_file_name(name) > LONGEST_NAME {
            let help = "snapshots are kept in files of this name, and no file system takes longer ones";
            self.violation(path, &format!("has a name of more than {LONGEST_NAME} bytes"), Some(help.into()));
        }
    }

    fn samples(&mut self, least: u32, value: u32, path: &KeyPath) {
        self.at_least(least, value, path);
        self.at_most(MOST_SAMPLES, value, path);
    }

    fn at_most(&mut self, most: u32, value: u32, path: &KeyPath) {
        if value > most {
            self.violation(path, &format!("must be at most {most}, not {value}"), None);
        }
    }

    fn at_least(&mut self, least: u32, value: u32, path: &KeyPath) {
        if value < least {
            self.violation(path, &format!("must be at least {least}, not {value}"), None);
        }
    }

    fn positive(&mut self, value: f64, path: &KeyPath) {
        if !(value.is_finite() && value > 0.0) {
            self.violation(path, &format!("must be above 0, not {value}"), None);
        }
    }

    fn within_0_and_1(&mut self, value: f64, path: &KeyPath) {
        if !(value > 0.0 && value < 1.0) {
            self.violation(path, &format!("must lie between 0 and 1, not {value}"), None);
        }
    }

    fn violation(&mut self, path: &KeyPath, message: &str, help: Option<String>) {
        let message = format!("`{path}` {message}");
        self.0.push(Violation { path: path.clone(), message, help, value: Exposure::Shown });
    }

    /// A value that may be a secret, or was put where one is named.
    fn secret(&mut self, path: &KeyPath, message: &str, help: &str) {
        let message = format!("`{path}` {message}");
        self.0.push(Violation { path: path.clone(), message, help: Some(help.to_owned()), value: Exposure::Hidden });
    }
}

/// That there is no such thing. What is more than a name is not repeated.
fn names_no(thing: &str, name: &str) -> String {
    if is_more_than_a_name(name) {
        return format!("names no {thing}");
    }
    format!("names no {thing}: `{}`", name.escape_debug())
}

/// Whether a field of a query would hold a credential.
fn is_secret(name: &str) -> bool {
    names_a_credential(name) || names_a_secret_field(name)
}

/// The length of a name as part of a file's path, where all but letters, digits and a few marks are written as `%` and two digits.
fn bytes_in_a_file_name(name: &str) -> usize {
    let length = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c.len_utf8() } else { 3 * c.len_utf8() };
    name.chars().map(length).sum()
}
