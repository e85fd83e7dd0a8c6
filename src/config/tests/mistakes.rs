//! Files that are not as they should be written: what is said of syntax, of unknown keys, and of those that are missing.

use super::*;

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
fn endpoints_in_single_brackets_are_told_of_the_double_ones_once_each() {
    let single = SMALL.replace("[[model.m.endpoint]]", "[model.m.endpoint]");
    let line = 1 + single.lines().enumerate().filter(|(_, l)| l.contains("endpoint]")).last().unwrap().0;
    let told = Setup::new(&single).told();
    let help = "write `[[model.m.endpoint]]`, in double brackets, above each of them";
    assert_eq!(told, [(line, "not TOML: duplicate key".to_owned(), help.to_owned())]);
    let mixed = SMALL.replacen("[[model.m.endpoint]]", "[model.m.endpoint]", 1);
    let told = Setup::new(&mixed).told();
    assert_eq!((told[0].0, told[0].2.as_str()), (line, help), "{told:?}");
    let alone = single.rsplit_once("[model.m.endpoint]").unwrap().0;
    let told = Setup::new(alone).told();
    assert!(told.len() == 1 && told[0].1.contains("must be a list of tables") && told[0].2 == help, "{told:?}");
}

#[test]
fn it_is_known_where_a_value_was_set() {
    let loaded = Setup::new(SMALL).local("[model.m]\nprobes = ['other']").load().unwrap();
    let place = loaded.place_of(&KeyPath::from(["model", "m", "probes"]));
    assert!(matches!(&place, Place::File { path, line: 2, .. } if path.ends_with("providers.local.toml")), "{place:?}");
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
