//! Typos and arbitrary text: every mistake is found at its line, and nothing makes the loader panic.

use proptest::prelude::*;
use regex::Regex;

use super::*;

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
