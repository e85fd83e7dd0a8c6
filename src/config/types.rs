//! The shape of `providers.toml`.
//!
//! The JSON Schema, the check for unknown keys and the tables of the manual all come from these types: their comments
//! are read by users.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::alerting::Alerting;
use super::watch::{History, Lab, Metrics, Watch};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "The configuration of samemodel, providers.toml")]
pub struct Config {
    /// What holds wherever a model says nothing else.
    pub defaults: Defaults,
    /// Companies and servers, by name.
    pub provider: BTreeMap<String, Provider>,
    /// Nominal models under which endpoints are compared, by name.
    pub model: BTreeMap<String, Model>,
    /// When people are told, who, and of what.
    pub alert: Alerting,
    /// When `samemodel watch` checks.
    pub watch: Watch,
    /// What of past runs is kept.
    pub history: History,
    /// What is written for monitoring.
    pub metrics: Metrics,
    /// What endpoints of the embedded lab go by.
    pub lab: Lab,
}

/// Settings of sampling, comparison and patience.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Answers per sampled probe and endpoint, at least 2.
    pub samples: u32,
    /// Answers per greedy probe and endpoint. With fewer than 2 the reference's own divergence stays unknown.
    pub greedy_samples: u32,
    /// Temperature of sampled probes, above 0 and at most 2.
    pub temperature: f64,
    /// Cap on the visible tokens of an answer, wherever a probe sets none.
    pub max_tokens: u32,
    /// How models think before they answer.
    pub reasoning: Reasoning,
    /// Whether answers are streamed.
    pub stream: bool,
    /// Whether each request carries a seed of its own.
    pub send_seed: bool,
    /// Rate of false alarms over all endpoints of a run, between 0 and 1.
    pub alpha: f64,
    /// The largest effect that does not matter, as a share of answers between 0 and 1.
    pub tolerance: f64,
    /// The largest change of the answers' diversity that does not matter, as a share of the reference's, between 0 and 1.
    pub dispersion_tolerance: f64,
    /// Permutations of each test, at least 99.
    pub permutations: u32,
    /// The most that a run may cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// The most requests that one endpoint may be ahead of the slowest one.
    pub window: u32,
    /// How failures are met.
    pub retry: Retry,
    /// Time limits.
    pub timeout: Timeouts,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            samples: 10,
            greedy_samples: 2,
            temperature: 1.0,
            max_tokens: 64,
            reasoning: Reasoning::default(),
            stream: true,
            send_seed: false,
            alpha: 0.05,
            tolerance: 0.05,
            dispersion_tolerance: 0.1,
            permutations: 1999,
            budget: None,
            window: 64,
            retry: Retry::default(),
            timeout: Timeouts::default(),
        }
    }
}

/// How a model thinks before it answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reasoning {
    /// How much it is to think, sent as `reasoning_effort` with every probe that sets none, such as "low".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Tokens for thinking. They are added to every cap that is sent, since hosts count thoughts among an answer's tokens: the caps
    /// of probes are for what is visible.
    pub allowance: u32,
}

/// How failures are met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The most attempts for one request, the first included.
    pub tries: u32,
    /// The first wait, in seconds; it doubles with each try.
    pub first_wait: f64,
    /// The longest wait of our own choosing, in seconds.
    pub longest_wait: f64,
    /// The longest wait that a host may ask for, in seconds; above it the request is given up.
    pub longest_asked_wait: f64,
    /// The most seconds from the first attempt to the start of the last.
    pub total: f64,
    /// Requests given up in a row after which an endpoint counts as down for this run.
    pub down_after: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 5, first_wait: 0.5, longest_wait: 8.0, longest_asked_wait: 120.0, total: 300.0, down_after: 5 }
    }
}

/// Time limits of one request, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: f64,
    /// Until the first byte of the body.
    pub first_byte: f64,
    /// Between two pieces of the body.
    pub idle: f64,
    /// For the whole request.
    pub total: f64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: 5.0, first_byte: 120.0, idle: 60.0, total: 600.0 }
    }
}

/// A company or server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Where its OpenAI-compatible interface begins, such as `https://api.together.ai/v1`; `lab:` for the lab.
    /// `${NAME}` stands for an environment variable, for hosts whose address holds an account.
    pub base_url: String,
    /// Whether requests may go unencrypted to a private address, such as a server in one's own cluster. Keys, prompts and answers
    /// can then be read on the way.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// The environment variable that holds the key, in capitals; with `_FILE` appended it names a file that does. Absent
    /// where no key is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// How the key is sent.
    #[serde(default)]
    pub auth: Auth,
    /// Headers sent with each request; not for credentials.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The most requests under way at once.
    #[serde(default = "default_concurrency")]
    pub concurrency: u32,
    /// The most requests in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Where this host differs from OpenAI's interface.
    #[serde(default)]
    pub dialect: Dialect,
    /// Time limits, where they differ from the defaults: what is not named here comes from `defaults.timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeouts>,
}

fn default_concurrency() -> u32 {
    8
}

/// How a key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer …`.
    #[default]
    Bearer,
    /// `api-key: …`, as Azure does.
    ApiKey,
}

/// Where a host differs from OpenAI's interface, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dialect {
    /// What follows the base URL and a `/`; it may have a query.
    pub path: String,
    /// The name of the field that caps the answer's tokens.
    pub max_tokens: MaxTokensField,
    /// Whether `stream_options: {include_usage: true}` may be sent.
    pub stream_usage: bool,
    /// The temperature sent for 0, for hosts that refuse or rewrite 0; from 0 to 1.
    pub zero_temperature: f64,
    /// Whether the host accepts a seed.
    pub seed: bool,
    /// Whether the host accepts `reasoning_effort`; where it does not, the model thinks there as it does by itself.
    pub effort: bool,
    /// Statuses that mean "slow down" beside 429.
    pub rate_limit_statuses: Vec<u16>,
    /// What opens and closes a thought within the content, as pairs, for a host that leaves thoughts there with marks of its own.
    /// Those of common formats, such as `<think>` and `</think>`, are known.
    pub thought_marks: Vec<[String; 2]>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            path: "chat/completions".into(),
            max_tokens: MaxTokensField::MaxTokens,
            stream_usage: true,
            zero_temperature: 0.0,
            seed: true,
            effort: true,
            rate_limit_statuses: Vec::new(),
            thought_marks: Vec::new(),
        }
    }
}

/// The name of the field that caps the answer's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// A nominal model and the endpoints that offer it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What the others are held against: the name of an endpoint, `snapshot` for each endpoint's own approved answers, or a
    /// file of recorded samples.
    pub reference: Reference,
    /// Folders or files of probes, from where the configuration lies.
    pub probes: Vec<String>,
    /// An endpoint that is known to serve another model: it shows in every run that the tests can fire, and its
    /// distance from the reference is the unit of the effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// Answers per sampled probe, at least 2, where they differ from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
    /// Answers per greedy probe, where they differ from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greedy_samples: Option<u32>,
    /// Cap on the tokens of an answer, where it differs from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// How it thinks before it answers, in the place of what the defaults say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// The tolerance, where it differs from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The endpoints.
    #[serde(default)]
    pub endpoint: Vec<Endpoint>,
}

impl Model {
    /// Whether an endpoint of this name is one to be judged: neither the reference nor the control.
    pub fn is_judged(&self, endpoint: &str) -> bool {
        endpoint != self.reference.name() && Some(endpoint) != self.control.as_deref()
    }
}

/// What the others are held against.
#[derive(Debug, Clone, PartialEq)]
pub enum Reference {
    /// The name of an endpoint of this model.
    Endpoint(String),
    /// Each endpoint against its own approved snapshot: the word [`Reference::SNAPSHOT`].
    Snapshot,
    /// Samples recorded earlier.
    Recorded(RecordedReference),
}

impl Reference {
    /// The word that stands for approved snapshots, which therefore no endpoint can have for a name.
    pub const SNAPSHOT: &'static str = "snapshot";

    /// Its name among samples and in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Endpoint(name) => name,
            Self::Snapshot => Self::SNAPSHOT,
            Self::Recorded(recorded) => recorded.endpoint.as_deref().unwrap_or(&recorded.samples),
        }
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Endpoint(name) => serializer.serialize_str(name),
            Self::Snapshot => serializer.serialize_str(Self::SNAPSHOT),
            Self::Recorded(recorded) => recorded.serialize(serializer),
        }
    }
}

/// The two forms that a reference has in a file.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Reference")]
#[expect(dead_code, reason = "for the schema alone")]
enum ReferenceForm {
    /// The name of an endpoint of this model, or `snapshot`: each endpoint against its own approved snapshot.
    Text(String),
    /// Samples recorded earlier.
    Recorded(RecordedReference),
}

impl JsonSchema for Reference {
    fn schema_name() -> Cow<'static, str> {
        ReferenceForm::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ReferenceForm::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Reference {
    /// Takes a string or a table; unlike a derived untagged one it says what is wrong within the table.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringOrTable;
        impl<'de> Visitor<'de> for StringOrTable {
            type Value = Reference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an endpoint, or a table such as { samples = \"file.jsonl\" }")
            }

            fn visit_str<E>(self, name: &str) -> Result<Reference, E> {
                Ok(if name == Reference::SNAPSHOT { Reference::Snapshot } else { Reference::Endpoint(name.to_owned()) })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Reference, A::Error> {
                RecordedReference::deserialize(MapAccessDeserializer::new(table)).map(Reference::Recorded)
            }
        }
        deserializer.deserialize_any(StringOrTable)
    }
}

/// A file of recorded samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedReference {
    /// The file, as JSON lines of `samemodel.sample/1`.
    pub samples: String,
    /// The endpoint within it; needed when the file holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// One way to reach a model: model × provider × route × variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Its name in reports, of its own within the model and without spaces or slashes.
    pub name: String,
    /// The provider by name.
    pub provider: String,
    /// The model's name at that provider.
    pub model: String,
    /// The price, from which costs are computed; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Fields added to each request's body, such as a router's instructions. Not those that the program sets itself:
    /// `messages`, `model`, `stream`, `stream_options`, `temperature`, `max_tokens`, `max_completion_tokens`, `seed`,
    /// `n`, `reasoning_effort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_body: Option<BTreeMap<String, Value>>,
    /// Whether answers are streamed, where it differs from the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Whether this host is known to serve the reference's model honestly, such as a second server of your own: how far its greedy
    /// answers are from the reference's is what honest hosts may show, and no other endpoint is said to drift within that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub twin: bool,
    /// How many prompt tokens more than the reference this host is known to count, negative for fewer: a known way of
    /// counting is no drift.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prompt_tokens_offset: i64,
    /// The name under which the model answers there, or several, with `*` for any characters, such as `gpt-oss-120b*`: for a
    /// deployment whose name says nothing of the model. An organisation before the name, such as `openai/`, may be there or not. Any
    /// other name in an answer is a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_model: Option<ExpectedModel>,
}

/// The names under which a model may answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExpectedModel {
    /// One name.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl ExpectedModel {
    /// The names, each a pattern.
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For tokens of the prompt.
    pub input: f64,
    /// For tokens of the answer.
    pub output: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(toml: &str) -> Result<Reference, String> {
        #[derive(Deserialize)]
        struct Holder {
            reference: Reference,
        }
        toml::from_str(toml).map(|holder: Holder| holder.reference).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn a_reference_is_a_name_or_a_table() {
        assert_eq!(reference("reference = 'e'"), Ok(Reference::Endpoint("e".into())));
        assert_eq!(reference("reference = 'snapshot'"), Ok(Reference::Snapshot));
        let recorded = RecordedReference { samples: "f.jsonl".into(), endpoint: Some("e".into()) };
        let table = "reference = { samples = 'f.jsonl', endpoint = 'e' }";
        assert_eq!(reference(table), Ok(Reference::Recorded(recorded)));
    }

    #[test]
    fn a_wrong_reference_says_what_is_wrong_with_it() {
        assert_eq!(reference("reference = { endpoint = 'e' }").unwrap_err(), "missing field `samples`");
        let number = reference("reference = 3").unwrap_err();
        assert!(number.contains("expected the name of an endpoint, or a table"), "{number}");
    }

    #[test]
    fn a_configuration_survives_serialisation() {
        let model = |reference: &str| toml::from_str(&format!("{reference}\nprobes = ['p']")).unwrap();
        let references = ["reference = 'e'", "reference = 'snapshot'", "reference = { samples = 'f.jsonl' }"];
        let config = Config {
            provider: [("p".into(), toml::from_str("base_url = 'lab:'").unwrap())].into(),
            model: references.iter().map(|r| ((*r).to_owned(), model(r))).collect(),
            ..Config::default()
        };
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }
}
