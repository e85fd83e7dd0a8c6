//! Values that break a rule: what is said of them, where, and without showing a credential.

use super::*;

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
fn addresses_of_receivers_are_shown_neither_with_the_line_nor_in_what_is_said_of_it() {
    let address = "https://hooks.slack.com/services/T0AB12CD3/canary-B9/Zk5tLx2Vn8JdYc4HsQm";
    for (table, said) in [
        ("[alert.receiver.t]\nkind = 'slack'\nurl = 'ADDRESS'", "unknown key `url`"),
        ("[alert.receiver.t]\nkind = 'slack'\nurl_env = 'ADDRESS'", "must name an environment variable"),
        ("[alert.receiver.t]\nkind = 'webhook'\nurl_env = 'A'\nsecret_env = 'canary'", "must name an environment"),
        ("[alert.receiver.t]\nkind = 'webhook'\nurl_env = 'A'\nsecret = 'canary'", "unknown key `secret`"),
        ("[alert.receiver.t]\nkind = 'slack'\nwebhook = 'ADDRESS'", "unknown key `webhook`"),
        ("[alert.receiver.t]\nkind = 'ADDRESS'", "must be one of"),
        ("[alert.receiver.'ADDRESS']\nkind = 'slack'\nurl_env = 'A'", "must have a name without"),
        ("[alert.receiver.t]\nkind = 'command'\ncommand = ['curl', 'ADDRESS']", "must not hold a credential"),
        ("[alert.receiver.t]\nkind = 'command'\ncommand = [\n'curl',\n'ADDRESS']", "must not hold a credential"),
        ("[alert.route.t]\nto = ['ADDRESS']", "`alert.route.t.to` names no receiver"),
        ("[alert.route.t]\nto = [\n'ADDRESS']", "`alert.route.t.to` names no receiver"),
        ("[alert.heartbeat]\nurl = 'ADDRESS'", "unknown key `url`"),
        ("[alert.heartbeat]\nurl_env = 'ADDRESS'", "must name an environment variable"),
        ("[alert]\nreciever.t = {kind='slack', url='ADDRESS'}", "unknown key `reciever`"),
        ("[watch]\nmodels = ['ADDRESS']", "names no model"),
    ] {
        let error = small_with("[model.m]", &format!("{}\n[model.m]", table.replace("ADDRESS", address))).load();
        let error = error.unwrap_err();
        assert!(error.to_string().contains(said), "{table}: {error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{table}: {error}");
    }
}

#[test]
fn what_may_be_a_secret_is_refused_wherever_it_is_sent_or_run_and_not_shown() {
    for (old, new, refused) in [
        ("price =", "extra_body = { webhook_url = \"https://hooks.slack.com/services/T/canary/X\" }\nprice =", true),
        ("[model.m]", "headers = { X-Custom = \"Bearer canary\", X-B = \"Basic canary\" }\n[model.m]", true),
        ("https://host.example/v1", "https://host.example/sk-canary0123456789abc/v1", true),
        ("price =", "extra_body = { site_url = \"https://example.org/about\" }\nprice =", false),
        ("[model.m]", "headers = { HTTP-Referer = \"https://example.org\" }\n[model.m]", false),
    ] {
        let Err(error) = small_with(old, new).load() else {
            assert!(!refused, "{new}");
            continue;
        };
        assert!(refused && error.to_string().contains("must not hold a credential"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[test]
fn a_secret_in_the_file_is_answered_with_the_key_of_its_table_that_names_a_variable() {
    let help = |table: &str| small_with("[model.m]", &format!("{table}\n[model.m]")).told()[0].2.clone();
    let receiver = "[alert.receiver.t]\nkind = 'webhook'\nurl_env = 'A'\n";
    assert!(help(&format!("{receiver}secret = 'x'")).ends_with("name it in `url_env` or `secret_env`"));
    assert!(help(&format!("{receiver}secret_env = 'x'")).starts_with("what messages are signed with"));
    assert!(help("api_key = 'x'").ends_with("name it in `api_key_env`"));
    assert!(help("[defaults]\napi_key = 'x'").ends_with("name it in the provider's `api_key_env`"));
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
