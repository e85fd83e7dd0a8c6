//! Configurations as users write them, loaded whole: what comes out, and what is said about mistakes.

use std::path::Path;

use super::*;

mod mistakes;
mod rules;
mod typos;

const SHIPPED: &str = include_str!("../../providers.toml");

/// A configuration that is complete and small.
const SMALL: &str = r#"
[provider.host]
base_url = "https://host.example/v1"
api_key_env = "HOST_KEY"

[model.m]
reference = "a"
probes = ["prompts/core"]

[[model.m.endpoint]]
name = "a"
provider = "host"
model = "org/M.1"

[[model.m.endpoint]]
name = "b-2"
provider = "host"
model = "org/M.1"
price = { input = 1, output = 2.5 }
"#;

/// A folder with configuration files, an environment and flags.
struct Setup {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

impl Setup {
    fn new(main: &str) -> Self {
        let setup = Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new(), flags: Vec::new() };
        setup.write("providers.toml", main);
        setup
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn local(self, text: &str) -> Self {
        self.write("providers.local.toml", text);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.flags.push((key.into(), value.into()));
        self
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        let env = Environment::from_iter(self.variables.clone());
        Config::load(Some(&self.folder.path().join("providers.toml")), &env, &self.flags)
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|e| panic!("{e}")).config
    }

    fn problems(&self) -> Vec<Problem> {
        match self.load() {
            Err(ConfigError::Invalid(problems)) => problems,
            other => panic!("expected problems, not {other:?}"),
        }
    }

    /// Messages with their lines, 0 where there is none, and hints.
    fn told(&self) -> Vec<(usize, String, String)> {
        let told = |p: Problem| (line(&p.place), p.message, p.help.unwrap_or_default());
        self.problems().into_iter().map(told).collect()
    }
}

fn line(place: &Place) -> usize {
    if let Place::File { line, .. } = place { *line } else { 0 }
}

/// The small configuration with one piece of text replaced.
fn small_with(old: &str, new: &str) -> Setup {
    assert!(SMALL.contains(old), "{old}");
    Setup::new(&SMALL.replacen(old, new, 1))
}

#[test]
fn the_shipped_file_loads_and_holds_what_it_promises() {
    let loaded = Setup::new(SHIPPED).load().unwrap_or_else(|e| panic!("{e}"));
    let config = loaded.config;
    let hosts: std::collections::BTreeSet<_> =
        config.model["gpt-oss-120b"].endpoint.iter().map(|e| e.provider.as_str()).collect();
    assert!(hosts.len() >= 8, "{hosts:?}");
    assert!(config.model.contains_key("llama-4-maverick") && config.model.contains_key("llama-4-scout"));
    let lab = &config.model["lab"];
    let address = |name: &str| {
        let endpoint = lab.endpoint.iter().find(|e| e.name == name).unwrap();
        let provider = &config.provider[&endpoint.provider];
        assert_eq!(provider.api_key_env, None);
        provider.address(&Environment::default()).unwrap()
    };
    assert_eq!(address("reference"), Address::Lab(None));
    assert_eq!(address("control"), Address::Lab(Some("swapped-model".into())));
    assert!(lab.endpoint.iter().all(|e| matches!(address(&e.name), Address::Lab(_))));
}

#[test]
fn every_pinned_route_of_the_shipped_file_forbids_fallbacks() {
    let config = Setup::new(SHIPPED).config();
    let routed: Vec<_> =
        config.model.values().flat_map(|m| &m.endpoint).filter(|e| e.provider == "openrouter").collect();
    assert!(!routed.is_empty());
    for endpoint in routed {
        let pin = &endpoint.extra_body.as_ref().unwrap()["provider"];
        assert_eq!(pin["only"].as_array().unwrap().len(), 1, "{}", endpoint.name);
        assert_eq!((&pin["allow_fallbacks"], &pin["require_parameters"]), (&false.into(), &true.into()));
    }
}

#[test]
fn the_start_file_loads_as_it_stands() {
    let config = Setup::new(START_FILE).config();
    assert_eq!(config.defaults, Defaults::default());
    assert_eq!(config.model["gpt-oss-120b"].endpoint.len(), 3);
}

#[test]
fn the_committed_schema_accepts_the_shipped_file() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let shipped: serde_json::Value = toml::from_str(SHIPPED).unwrap();
    assert!(validator.is_valid(&shipped));
    let misspelt: serde_json::Value = toml::from_str("[defaults]\nsampels = 3").unwrap();
    assert!(!validator.is_valid(&misspelt));
}

#[test]
fn loading_says_which_files_it_read_and_where_paths_start_from() {
    let setup = Setup::new(SMALL).local("");
    let loaded = setup.load().unwrap();
    assert_eq!(loaded.files.len(), 2);
    assert_eq!(loaded.resolve("prompts/core"), setup.folder.path().join("prompts/core"));
}

#[test]
fn an_absent_file_is_an_error_that_says_how_to_begin() {
    let error = Config::load(Some(Path::new("no/such.toml")), &Environment::default(), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::NotFound(_)));
    assert!(error.to_string().contains("samemodel init"));
}

#[test]
fn later_layers_win_over_earlier_ones() {
    let base = || Setup::new(&format!("[defaults]\nsamples = 3\n{SMALL}"));
    assert_eq!(Setup::new(SMALL).config().defaults.samples, 10);
    assert_eq!(base().config().defaults.samples, 3);
    let local = || base().local("[defaults]\nsamples = 4\nmax_tokens = 5");
    assert_eq!(local().config().defaults.samples, 4);
    let variable = || local().variable("SAMEMODEL__DEFAULTS__SAMPLES", "6");
    assert_eq!(variable().config().defaults.samples, 6);
    let config = variable().flag("defaults.samples", "7").config();
    assert_eq!((config.defaults.samples, config.defaults.max_tokens), (7, 5));
}

#[test]
fn endpoints_of_the_local_file_merge_by_name() {
    let local = r#"
[[model.m.endpoint]]
name = "c"
provider = "host"
model = "org/C"

[[model.m.endpoint]]
name = "b-2"
price = { output = 9.0 }
"#;
    let endpoints = Setup::new(SMALL).local(local).config().model.remove("m").unwrap().endpoint;
    let names: Vec<_> = endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["a", "b-2", "c"]);
    assert_eq!(endpoints[1].model, "org/M.1");
    assert_eq!(endpoints[1].price, Some(Price { input: 1.0, output: 9.0 }));
}

#[test]
fn names_headers_and_free_fields_keep_their_spelling() {
    let text = r#"
[provider."My.Host"]
base_url = "https://h.example"
headers = { X-Title = "Same Model" }
[model."Llama-3.3"]
reference = "E"
probes = ["P"]
[[model."Llama-3.3".endpoint]]
name = "E"
provider = "My.Host"
model = "Org/Llama"
extra_body = { topK = 1, "a.b" = { Zeta = [1, 2.5], alpha = true } }
"#;
    let config = Setup::new(text).config();
    assert_eq!(config.provider["My.Host"].headers["X-Title"], "Same Model");
    let body = config.model["Llama-3.3"].endpoint[0].extra_body.clone().unwrap();
    assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"a.b":{"Zeta":[1,2.5],"alpha":true},"topK":1}"#);
}

#[test]
fn a_providers_timeout_inherits_what_it_does_not_name() {
    let setup = small_with("api_key_env", "timeout = { idle = 7 }\napi_key_env").local("[defaults.timeout]\ntotal = 9");
    let timeout = setup.config().provider["host"].timeout.clone().unwrap();
    assert_eq!(timeout, Timeouts { idle: 7.0, total: 9.0, ..Timeouts::default() });
}

#[test]
fn variables_reach_every_kind_of_key() {
    let config = Setup::new(SMALL)
        .variable("SAMEMODEL__PROVIDER__HOST__AUTH", "api-key")
        .variable("SAMEMODEL__MODEL__M__REFERENCE", "b-2")
        .variable("SAMEMODEL__MODEL__M__PROBES", "[\"x\", \"y\"]")
        .variable("SAMEMODEL__MODEL__M__ENDPOINT__B_2__PRICE__INPUT", "4")
        .variable("SAMEMODEL__DEFAULTS__BUDGET", "1e1")
        .variable("SAMEMODEL_OTHER", "ignored")
        .flag("model.m.endpoint.a.extra_body", "{ top_k = 5 }")
        .config();
    let model = &config.model["m"];
    assert_eq!(config.provider["host"].auth, Auth::ApiKey);
    assert_eq!(model.reference, Reference::Endpoint("b-2".into()));
    assert_eq!(model.probes, ["x", "y"]);
    assert_eq!(model.endpoint[1].price, Some(Price { input: 4.0, output: 2.5 }));
    assert_eq!(model.endpoint[0].extra_body.as_ref().unwrap()["top_k"], 5);
    assert_eq!(config.defaults.budget, Some(10.0));
}

#[test]
fn unknown_variables_and_flags_are_refused_with_a_suggestion() {
    let problems = Setup::new(SMALL)
        .variable("SAMEMODEL__DEFAULTS__SAMPELS", "3")
        .variable("SAMEMODEL__PROVIDER__HOTS__CONCURRENCY", "3")
        .variable("SAMEMODEL__DEFAULTS__STREAM", "maybe")
        .flag("model.m.endpoint.c.stream", "true")
        .flag("defaults.samples.x", "1")
        .flag("a b", "1")
        .problems();
    let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
    let expected = [
        "environment variable SAMEMODEL__DEFAULTS__SAMPELS: unknown key `sampels` in `defaults` (did you mean \
         `samples`?)",
        "environment variable SAMEMODEL__DEFAULTS__STREAM: `defaults.stream` must be `true` or `false`, not a string",
        "environment variable SAMEMODEL__PROVIDER__HOTS__CONCURRENCY: `provider` has no `hots` (did you mean `host`?)",
        "--a b: this is no dotted key of TOML",
        "--x: nothing can be set under `defaults.samples`",
        "--stream: `model.m.endpoint` has no `c` (known here: `a`, `b-2`)",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_rule_broken_by_a_variable_names_the_variable() {
    let problems = Setup::new(SMALL).variable("SAMEMODEL__DEFAULTS__ALPHA", "2").problems();
    assert_eq!(problems[0].place, Place::Variable("SAMEMODEL__DEFAULTS__ALPHA".into()));
}

#[test]
fn without_a_file_the_defaults_can_still_be_set() {
    let env = Environment::from_iter([("SAMEMODEL__DEFAULTS__ALPHA", "0.01")]);
    let config = Config::load_without_file(&env, &[("defaults.permutations".into(), "199".into())]).unwrap();
    assert_eq!((config.defaults.alpha, config.defaults.permutations), (0.01, 199));
}
