//! Configurations as users write them, loaded whole: what comes out, and what is said about mistakes.

use std::path::Path;

use proptest::prelude::*;
use regex::Regex;

use super::*;

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
fn an_unknown_key_is_named_with_its_place_and_what_was_meant() {
    let error = small_with("api_key_env", "concurency = 1\napi_key_env").load().unwrap_err().to_string();
    let tail = error.split_once("providers.toml").unwrap().1;
    let expected = "\
:4:1: unknown key `concurency` in `provider.host`
  |
4 | concurency = 1
  | ^^^^^^^^^^
  = did you mean `concurrency`?";
    assert_eq!(tail, expected);
}

#[test]
fn a_key_that_resembles_none_is_answered_with_the_list_of_keys() {
    let told = small_with("output = 2.5", "output = 2.5, banana = 1").told();
    let message = "unknown key `banana` in `model.m.endpoint.b-2.price`".to_owned();
    assert_eq!(told, [(19, message, "known here: `input`, `output`".to_owned())]);
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let told = small_with("reference = \"a\"", "refrence = \"a\"\nsamples = \"many\"\nmax_tokens = -1")
        .local("[default]\n[defaults]\nstream = 1\nalpha = nan\nbudget = 1979-05-27")
        .told();
    let messages: Vec<_> = told.iter().map(|(line, message, _)| (*line, message.as_str())).collect();
    let expected = [
        (7, "unknown key `refrence` in `model.m`"),
        (8, "`model.m.samples` must be a whole number, not a string"),
        (9, "`model.m.max_tokens` must be a whole number from 0 to 4294967295"),
        (1, "unknown key `default`"),
        (3, "`defaults.stream` must be `true` or `false`, not a whole number"),
        (4, "`defaults.alpha` must be a finite number"),
        (5, "`defaults.budget` must be a number, not a date"),
    ];
    assert_eq!(messages, expected);
}

#[test]
fn syntax_errors_keep_line_and_caret() {
    let error = Setup::new("[defaults]\nsamples = \n\n[provider.x\n").load().unwrap_err().to_string();
    assert!(error.contains("providers.toml:2:") && error.contains("2 | samples = "), "{error}");
    assert!(error.contains("providers.toml:4:") && error.contains("4 | [provider.x"), "{error}");
    let twice = Setup::new("[defaults]\nsamples = 2\nsamples = 3").told();
    assert_eq!(twice[0].0, 3, "{twice:?}");
}

#[test]
fn a_missing_key_is_named_with_its_table_and_meaning() {
    let told = small_with("probes = [\"prompts/core\"]\n", "").told();
    let meaning = "probes: Folders or files of probes, from where the configuration lies.".to_owned();
    assert_eq!(told, [(6, "`model.m` lacks `probes`".to_owned(), meaning)]);
    let told = small_with("provider = \"host\"\nmodel = \"org/M.1\"\n\n", "\n").told();
    let messages: Vec<_> = told.iter().map(|(line, message, _)| (*line, message.as_str())).collect();
    let (model, provider) = ("`model.m.endpoint.a` lacks `model`", "`model.m.endpoint.a` lacks `provider`");
    assert_eq!(messages, [(10, model), (10, provider)]);
}

#[test]
fn an_endpoint_without_a_name_is_refused_in_every_layer() {
    let told = Setup::new(SMALL).local("[[model.m.endpoint]]\nprice = { input = 1, output = 1 }").told();
    assert_eq!((told[0].0, told[0].1.as_str()), (1, "`model.m.endpoint.\"?\"` needs a `name`, a string"));
}

#[test]
fn a_local_value_that_breaks_a_rule_is_shown_in_the_local_file() {
    let problems = Setup::new(SMALL).local("\n[defaults]\nsamples = 1").problems();
    assert_eq!(problems[0].message, "`defaults.samples` must be at least 2, not 1");
    assert!(matches!(&problems[0].place, Place::File { path, line: 3, .. } if path.ends_with("providers.local.toml")));
}

#[test]
fn rules_are_checked_together_and_suggest_names() {
    let cases = [
        ("reference = \"a\"", "reference = \"b2\"", "names no endpoint of this model: `b2`", "did you mean `b-2`?"),
        ("reference = \"a\"", "reference = \"old.jsonl\"", "names no endpoint", "{ samples = \"old.jsonl\" }"),
        ("reference = \"a\"", "reference = \"a\"\ncontrol = \"a\"", "must not be the reference", "another model"),
        ("provider = \"host\"", "provider = \"hots\"", "names no provider: `hots`", "did you mean `host`?"),
        ("name = \"b-2\"", "name = \"a\"", "is the second endpoint of this name", "a name of its own"),
        ("name = \"b-2\"", "name = \"b 2\"", "must have a name without spaces", ""),
        ("[\"prompts/core\"]", "[]", "must name a folder or file of probes", "prompts/core"),
        ("input = 1", "input = -1", "must not be negative", ""),
        ("https://host.example", "http://host.example", "must be https", ""),
        ("https://host.example", "https://me:pw@host.example", "must not hold a name or a password", ""),
        ("\"HOST_KEY\"", "\"sk-canary\"", "must name an environment variable", "the key itself never stands"),
        ("[model.m]", "headers = { Authorization = \"x\" }\n[model.m]", "must not hold a credential", "`api_key_env`"),
        ("[model.m]", "headers = { X-A = \"Bearer x\" }\n[model.m]", "must not hold a credential", "`api_key_env`"),
        ("[model.m]", "concurrency = 0\n[model.m]", "must be at least 1, not 0", ""),
        ("[model.m]", "timeout = { idle = 0 }\n[model.m]", "must be above 0, not 0", ""),
        ("[model.m]", "dialect = { path = \"/v1\" }\n[model.m]", "must be a relative path", ""),
        ("[model.m]", "dialect = { rate_limit_statuses = [200] }\n[model.m]", "must be statuses from 400", ""),
        ("[model.m]", "[model.m]\ntolerance = 1", "must lie between 0 and 1, not 1", ""),
        ("[provider.host]", "[defaults]\npermutations = 98\n[provider.host]", "must be at least 99, not 98", ""),
        ("[provider.host]", "[defaults]\nalpha = 0\n[provider.host]", "must lie between 0 and 1, not 0", ""),
        ("[provider.host]", "[defaults.retry]\ntotal = -1\n[provider.host]", "must be above 0, not -1", ""),
    ];
    for (old, new, message, help) in cases {
        let told = small_with(old, new).told();
        assert_eq!(told.len(), 1, "{new}: {told:?}");
        assert!(told[0].1.contains(message) && told[0].2.contains(help), "{new}: {told:?}");
        let changed = SMALL.replacen(old, new, 1);
        let written = changed.lines().nth(told[0].0 - 1).unwrap();
        assert!(!SMALL.lines().any(|l| l == written) || written.starts_with("[["), "{new}: line {}", told[0].0);
    }
}

#[test]
fn keys_in_bodies_paths_and_headers_are_refused_with_the_line_and_without_being_shown() {
    let canary = "sk-canary0123456789abc";
    for (old, new) in [
        ("price =", "extra_body = { api_key = \"canary\" }\nprice ="),
        ("price =", "extra_body = { routing = { auth = [{ token = \"canary\" }] } }\nprice ="),
        ("price =", "extra_body = { user = \"sk-canary0123456789abc\" }\nprice ="),
        ("[model.m]", "dialect = { path = \"chat/completions?key=canary\" }\n[model.m]"),
        ("[model.m]", "dialect = { path = \"invoke?api-version=1&code=canary\" }\n[model.m]"),
        ("[model.m]", "dialect = { path = \"sk-canary0123456789abc/chat\" }\n[model.m]"),
        ("[model.m]", "headers = { X-ApiToken = \"canary\" }\n[model.m]"),
        ("[model.m]", "headers = { X-Title = \"sk-canary0123456789abc\" }\n[model.m]"),
    ] {
        let setup = small_with(old, new);
        let told = setup.told();
        assert_eq!(told.len(), 1, "{new}: {told:?}");
        assert!(told[0].1.contains("must not hold a credential") && told[0].2.contains("`api_key_env`"), "{told:?}");
        assert!(
            !format!("{told:?}").contains("canary") && !setup.load().unwrap_err().to_string().contains(canary),
            "{new}: {told:?}"
        );
    }
    for fine in ["stop_token = \"x\"", "prompt_cache_key = \"x\"", "token = true", "provider = { only = [\"x\"] }"] {
        assert!(small_with("price =", &format!("extra_body = {{ {fine} }}\nprice =")).load().is_ok(), "{fine}");
    }
}

#[test]
fn amounts_and_names_beyond_all_measure_are_refused() {
    let long = "n".repeat(201);
    let accented = "€".repeat(23);
    for (old, new, message) in [
        ("[model.m]", "[model.m]\nsamples = 1000000000".to_owned(), "must be at most 100000, not 1000000000"),
        ("[model.m]", "[model.m]\nsamples = 1e9".to_owned(), "must be a whole number"),
        ("name = \"b-2\"", format!("name = \"{long}\""), "has a name of more than 200 bytes"),
        ("name = \"b-2\"", format!("name = \"{accented}\""), "has a name of more than 200 bytes"),
        ("[model.m]", "[alert.route.r]\nto = []\n[model.m]".to_owned(), "must name a receiver"),
    ] {
        let told = small_with(old, &new).told();
        assert!(told.len() == 1 && told[0].1.contains(message), "{new}: {told:?}");
    }
}

#[test]
fn reserved_fields_of_the_body_are_refused() {
    for field in ["messages", "model", "stream", "temperature", "max_tokens", "seed", "n"] {
        let told = small_with("price =", &format!("extra_body = {{ {field} = 1, top_k = 5 }}\nprice =")).told();
        assert_eq!(told[0].1, format!("`model.m.endpoint.b-2.extra_body.{field}` is reserved"));
    }
}

#[test]
fn the_names_under_which_a_model_may_answer_are_one_or_several() {
    let patterns = |expected: &str| {
        let config = small_with("price =", &format!("expected_model = {expected}\nprice =")).config();
        let endpoint = config.model["m"].endpoint.iter().find(|e| e.expected_model.is_some()).unwrap();
        endpoint.expected_model.as_ref().unwrap().patterns().to_vec()
    };
    assert_eq!(patterns("'gpt-oss-120b*'"), ["gpt-oss-120b*"]);
    assert_eq!(patterns("['a', 'b-*']"), ["a", "b-*"]);
    for (wrong, message) in
        [("[]", "must be a name, or several"), ("' '", "must be a name"), ("3", "a list of strings")]
    {
        let told = small_with("price =", &format!("expected_model = {wrong}\nprice =")).told();
        assert!(told.len() == 1 && told[0].1.contains(message), "{told:?}");
    }
}

#[test]
fn a_credential_in_a_file_is_refused_and_not_shown() {
    for (old, new) in [
        ("api_key_env", "api_key = \"sk-canary\"\napi_key_env"),
        ("\"HOST_KEY\"", "\"sk-canary\""),
        ("[model.m]", "headers = { x-api-key = \"sk-canary\" }\n[model.m]"),
        ("https://host", "https://u:canary@host"),
    ] {
        let error = small_with(old, new).load().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
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
        "setting `a b`: this is no dotted key of TOML",
        "setting `defaults.samples.x`: nothing can be set under `defaults.samples`",
        "setting `model.m.endpoint.c.stream`: `model.m.endpoint` has no `c` (known here: `a`, `b-2`)",
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

/// The keys of the shipped file that the schema knows, as ranges of bytes, found without the loader.
fn known_keys_of_the_shipped_file() -> Vec<std::ops::Range<usize>> {
    let header = Regex::new(r"^\[+(defaults|provider|model)(?:\.[\w-]+)?(?:\.(endpoint))?\]+$").unwrap();
    let first = Regex::new(r"^(\w+) = ").unwrap();
    let inner = Regex::new(r"[{,] (\w+) = ").unwrap();
    let mut keys = Vec::new();
    let mut start = 0;
    for line in SHIPPED.split_inclusive('\n') {
        let text = line.trim_end();
        let mut groups: Vec<_> = header.captures(text).into_iter().chain(first.captures(text)).collect();
        if text.starts_with("price") || text.starts_with("dialect") {
            groups.extend(inner.captures_iter(text));
        }
        let found = groups.iter().flat_map(|captures| captures.iter().skip(1).flatten());
        keys.extend(found.map(|m| start + m.start()..start + m.end()));
        start += line.len();
    }
    keys
}

fn merged(text: &str) -> Result<Loaded, ConfigError> {
    Setup::new(text).load()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_typo_in_a_known_key_is_reported_with_its_line(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        letter in "[a-z]",
        kind in 0..3,
    ) {
        let keys = known_keys_of_the_shipped_file();
        prop_assert!(keys.len() > 150, "{}", keys.len());
        let key = keys[which.index(keys.len())].clone();
        let place = key.start + at.index(key.len());
        let (end, new) = match kind { 0 => (place, letter.as_str()), 1 => (place + 1, letter.as_str()), _ => (place + 1, "") };
        let mut text = SHIPPED.to_owned();
        text.replace_range(place..end, new);
        prop_assume!(text != SHIPPED);
        let line_number = SHIPPED[..key.start].matches('\n').count() + 1;
        let Err(ConfigError::Invalid(problems)) = merged(&text) else {
            return Err(TestCaseError::fail(format!("no problem with `{}` at line {line_number}", &SHIPPED[key])));
        };
        prop_assert!(problems.iter().any(|p| line(&p.place) == line_number), "line {line_number}: {problems:?}");
    }

    #[test]
    fn arbitrary_text_never_panics_the_loader(text in "\\PC{0,80}") {
        let _ = merged(&text).map_err(|e| e.to_string());
    }

    #[test]
    fn arbitrary_toml_never_panics_the_loader(
        lines in prop::collection::vec(
            "(\\[{1,2}(model|provider|defaults)(\\.[a-c\"]{1,2}){0,2}\\]{1,2}|(name|endpoint|reference|a|base_url) = \
             (1|-?[0-9]{18,22}|nan|1e999|'x'|\\[\\]|\\[\\{\\}\\]|\\{ samples = 1 \\}|1979-05-27)|[\t\u{0}-ÿ]{0,9})",
            0..8,
        ),
    ) {
        let _ = merged(&lines.join("\n")).map_err(|e| e.to_string());
    }

    #[test]
    fn arbitrary_variables_and_flags_never_panic_the_loader(
        name in "(DEFAULTS|MODEL__M|PROVIDER__HOST|MODEL__M__ENDPOINT|\\PC{0,6})(__[A-Z_]{0,12}){0,2}",
        key in "(defaults|model.m|provider.host|model.m.endpoint.a|\\PC{0,6})(\\.[a-z_\"]{0,12}){0,2}",
        value in "(\\PC{0,12}|-?[0-9]{1,22}|\\{\\}|\\[\\])",
    ) {
        let name = format!("SAMEMODEL__{}", name.replace(['\0', '='], ""));
        let _ = Setup::new(SMALL).variable(&name, &value).flag(&key, &value).load().map_err(|e| e.to_string());
    }
}

#[test]
fn times_that_make_no_sense_are_refused_with_their_line() {
    let watch = "\n[watch.pulse]\ncron = '*/15 * * *'\n\n[watch.full]\ncron = '@daily'\ntime_zone = 'Europe/Atlantis'\n\
                 samples = 1\n\n[history]\nraw_days = 30\nsample_days = 7\n\n[lab]\nsince = 'noon'\n";
    let first = SMALL.lines().count() + 1;
    let told = Setup::new(&(SMALL.to_owned() + watch)).told();
    let about: Vec<(usize, &str)> = told.iter().map(|(line, message, _)| (*line - first, message.as_str())).collect();
    assert_eq!(about.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 6, 7, 11, 14], "{about:?}");
    assert!(about[0].1.starts_with("`watch.pulse.cron` is no cron expression: "), "{}", about[0].1);
    assert_eq!(about[1].1, "`watch.full.time_zone` is no time zone that is known here");
    assert!(told[0].2.contains("`*/15 * * * *`") && told[1].2.contains("`Europe/Berlin`"), "{told:?}");
}

#[test]
fn a_tier_without_times_and_a_model_that_is_not_there_are_refused() {
    let watch = "\n[watch]\nmodels = ['n']\n[watch.pulse]\nsamples = 3\n";
    let told = Setup::new(&(SMALL.to_owned() + watch)).told();
    assert!(told[0].1.contains("lacks `cron`"), "{told:?}");
    let watch = "\n[watch]\nmodels = ['n']\n[watch.pulse]\ncron = '@hourly'\n";
    let told = Setup::new(&(SMALL.to_owned() + watch)).told();
    assert_eq!(told[0].1, "`watch.models` names no model: `n`");
}
