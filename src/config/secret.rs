//! Credentials: from the environment, or from a file that the environment names, and from nowhere else.
//!
//! A key is never printed, serialised or part of an error: messages name the variable to set.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::environment::Environment;
use super::types::{Config, Provider};
use crate::encoding::text_of;
use crate::pipe;
use crate::redact::Redactor;

/// The longest key file that is read, in bytes. Session tokens have a few thousand.
const LONGEST_KEY: u64 = 64 * 1024;

/// What a variable is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// The key of a provider.
    Key,
    /// The address of a receiver of alerts, or what signs for it.
    Alerting,
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Alerting => "address or secret",
        })
    }
}

/// Why a provider has no usable key, or a receiver no address. The endpoint is then unmeasured; others are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingKey {
    /// Neither the variable nor the one that names a file is set, or only to nothing.
    #[error("no {what}: set {variable}, or {variable}_FILE to a file that holds the {what}")]
    Unset {
        /// What is missing.
        what: SecretKind,
        /// The variable to set.
        variable: String,
    },
    /// The file that the environment names cannot be read.
    #[error("{variable} names {}, which cannot be read: {cause}", path.display())]
    Unreadable {
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The file that the environment names holds nothing.
    #[error("{variable} names {}, which holds no {what}", path.display())]
    EmptyFile {
        /// What is missing.
        what: SecretKind,
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// The value cannot be a key.
    #[error("the value of {variable} is no {what}: it has a space, a line break or a character outside ASCII")]
    Malformed {
        /// What it was to be.
        what: SecretKind,
        /// The variable that holds the value or names the file that does.
        variable: String,
    },
    /// The value is a key and more.
    #[error("the value of {variable} is more than the {what}: leave out {surplus}")]
    Surplus {
        /// What it was to be.
        what: SecretKind,
        /// The variable that holds the value or names the file that does.
        variable: String,
        /// What it is more.
        surplus: Surplus,
    },
}

/// What people copy with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// Quotation marks, which a file of variables has around it.
    Quotes,
    /// The scheme of the header that carries it.
    Scheme,
    /// The name of its variable.
    Name,
}

impl Surplus {
    /// What a value holds beside the key, if it does.
    fn of(value: &str, variable: &str, what: SecretKind) -> Option<Self> {
        let value = value.trim();
        let is_quoted = |mark: char| value.len() > 1 && value.starts_with(mark) && value.ends_with(mark);
        let scheme = value.split_whitespace().next().unwrap_or("");
        let name = variable.strip_suffix("_FILE").unwrap_or(variable);
        let assigned = value.strip_prefix("export ").unwrap_or(value).strip_prefix(name);
        if assigned.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            Some(Self::Name)
        } else if is_quoted('"') || is_quoted('\'') {
            Some(Self::Quotes)
        } else if what == SecretKind::Key && scheme.trim_end_matches(':').eq_ignore_ascii_case("bearer") {
            Some(Self::Scheme)
        } else {
            None
        }
    }
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quotes => "the quotes around it",
            Self::Scheme => "`Bearer` before it",
            Self::Name => "the variable's name and `=` before it",
        })
    }
}

/// The keys of all providers, each found or missing for a reason.
#[derive(Debug)]
pub struct Credentials {
    keys: BTreeMap<String, Result<Option<SecretString>, MissingKey>>,
    /// Addresses and secrets of alerting, by variable.
    secrets: BTreeMap<String, Result<SecretString, MissingKey>>,
    /// All variables that may hold a credential.
    variables: BTreeSet<String>,
}

impl Credentials {
    /// Looks for the keys of all providers of a configuration.
    pub fn of(config: &Config, env: &Environment) -> Self {
        let keys = config.provider.iter().map(|(name, p)| (name.clone(), Self::resolve(p, env))).collect();
        let secrets = config.alert.secret_variables();
        let secrets: BTreeMap<_, _> =
            secrets.map(|variable| (variable.to_owned(), named(variable, env, SecretKind::Alerting))).collect();
        let named_by_providers = config.provider.values().filter_map(|p| p.api_key_env.clone());
        let variables = named_by_providers.chain(secrets.keys().cloned()).collect();
        Self { keys, secrets, variables }
    }

    /// The files that variables name for credentials, whether they are there or not. None is read.
    pub fn files(config: &Config, env: &Environment) -> Vec<PathBuf> {
        let of_providers = config.provider.values().filter_map(|p| p.api_key_env.as_deref());
        let variables = of_providers.chain(config.alert.secret_variables());
        let files = variables.filter_map(|variable| env.get(&format!("{variable}_FILE")).filter(|v| !is_blank(v)));
        files.map(PathBuf::from).collect()
    }

    /// The key of one provider: `None` when it needs none.
    ///
    /// Fails when the provider names a variable and neither it nor `<variable>_FILE` leads to a key. The variable goes
    /// before the file; set to nothing but spaces it counts as not set.
    pub fn resolve(provider: &Provider, env: &Environment) -> Result<Option<SecretString>, MissingKey> {
        let Some(variable) = &provider.api_key_env else { return Ok(None) };
        named(variable, env, SecretKind::Key).map(Some)
    }

    /// The address or secret of alerting that this variable holds.
    pub fn secret(&self, variable: &str) -> Result<&SecretString, MissingKey> {
        let unset = || MissingKey::Unset { what: SecretKind::Alerting, variable: variable.to_owned() };
        self.secrets.get(variable).ok_or_else(unset)?.as_ref().map_err(Clone::clone)
    }

    /// The variables that may hold a credential, for whoever must not get them.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// The key of a provider of this configuration: `None` when it needs none or is not known.
    pub fn key(&self, provider: &str) -> Result<Option<&SecretString>, &MissingKey> {
        self.keys.get(provider).map_or(Ok(None), |key| key.as_ref().map(Option::as_ref))
    }

    /// What masks every key found wherever it turns up in text.
    pub fn redactor(&self) -> Redactor {
        let keys = self.keys.values().flatten().flatten();
        Redactor::new(keys.chain(self.secrets.values().flatten()).map(ExposeSecret::expose_secret))
    }
}

/// The value of a variable, or else what the file holds that `<variable>_FILE` names.
fn named(variable: &str, env: &Environment, what: SecretKind) -> Result<SecretString, MissingKey> {
    if let Some(value) = env.get(variable).filter(|v| !is_blank(v)) {
        return key_from(value.to_str(), variable, what);
    }
    let file_variable = format!("{variable}_FILE");
    match env.get(&file_variable).filter(|v| !is_blank(v)) {
        Some(path) => key_in_file(Path::new(path), file_variable, what),
        None => Err(MissingKey::Unset { what, variable: variable.to_owned() }),
    }
}

fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|v| v.trim().is_empty())
}

fn key_in_file(path: &Path, variable: String, what: SecretKind) -> Result<SecretString, MissingKey> {
    let mut bytes = Vec::new();
    let opened = pipe::refuse(path).and_then(|()| std::fs::File::open(path));
    let read = opened.and_then(|f| f.take(LONGEST_KEY).read_to_end(&mut bytes));
    if let Err(cause) = read {
        return Err(MissingKey::Unreadable { variable, path: path.to_owned(), cause: cause.to_string() });
    }
    let text = text_of(&bytes);
    let text = text.as_deref().map(str::trim);
    if text == Some("") {
        return Err(MissingKey::EmptyFile { what, variable, path: path.to_owned() });
    }
    key_from(text, &variable, what)
}

/// Takes visible ASCII only: anything else would break the header that carries the key, or be a slip of the hand.
fn key_from(text: Option<&str>, variable: &str, what: SecretKind) -> Result<SecretString, MissingKey> {
    if let Some(surplus) = text.and_then(|text| Surplus::of(text, variable, what)) {
        return Err(MissingKey::Surplus { what, variable: variable.to_owned(), surplus });
    }
    match text {
        Some(key) if key.chars().all(|c| c.is_ascii_graphic()) => Ok(SecretString::from(key)),
        _ => Err(MissingKey::Malformed { what, variable: variable.to_owned() }),
    }
}

/// Whether a key or a header of this name would hold a credential, such as `api_key` or `X-Auth-Token`.
pub(super) fn names_a_credential(name: &str) -> bool {
    const WORDS: [&str; 11] = [
        "apikey",
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "key",
        "password",
        "secret",
        "token",
    ];
    let name = name.to_lowercase();
    name.split(|c: char| !c.is_alphanumeric()).any(|word| WORDS.contains(&word))
}

/// Whether a field of this name holds a credential where its value is text: narrower than [`names_a_credential`], since requests have
/// fields such as `stop_token` and `prompt_cache_key`.
pub(super) fn names_a_secret_field(name: &str) -> bool {
    const ALONE: [&str; 12] = [
        "accesskey",
        "accesstoken",
        "apikey",
        "apitoken",
        "authorization",
        "authtoken",
        "bearer",
        "credential",
        "credentials",
        "passwd",
        "password",
        "secret",
    ];
    const OF_WHAT: [&str; 12] = [
        "access",
        "account",
        "api",
        "auth",
        "client",
        "hub",
        "personal",
        "private",
        "refresh",
        "secret",
        "session",
        "subscription",
    ];
    let words = words_of(name);
    match words.as_slice() {
        [only] if matches!(only.as_str(), "auth" | "code" | "cookie" | "key" | "sig" | "signature" | "token") => true,
        [.., before, last] if matches!(last.as_str(), "key" | "token") => OF_WHAT.contains(&before.as_str()),
        [.., last] => ALONE.contains(&last.as_str()),
        [] => false,
    }
}

/// The words of a name such as `api_key`, `X-Api-Key` or `apiKey`, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (small && c.is_uppercase()) {
            words.push(String::new());
        }
        small = c.is_lowercase();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What well-known keys begin with.
const MARKS: [&str; 14] = [
    "AIza",
    "AKIA",
    "eyJ",
    "fw_",
    "github_pat_",
    "ghp_",
    "gsk_",
    "hf_",
    "nvapi-",
    "r8_",
    "sk-",
    "tgp_",
    "whsec_",
    "xai-",
];

/// The shortest text after its mark that is taken for a key.
const SHORTEST_REST: usize = 12;

/// Whether a word is a key by its looks: what well-known keys begin with, and a token after it.
pub(super) fn looks_like_a_key(word: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c);
    let rest = MARKS.iter().find_map(|mark| word.strip_prefix(mark));
    rest.is_some_and(|rest| {
        rest.len() >= SHORTEST_REST && rest.chars().all(is_token) && rest.contains(|c: char| c.is_ascii_digit())
    })
}

/// Whether a text holds a word that is a key by its looks.
pub(super) fn holds_a_key(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || "\"',;:&?<>(){}[]|".contains(c))
        .any(|word| looks_like_a_key(word) || word.split(['/', '=']).any(looks_like_a_key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn provider() -> Provider {
        toml::from_str("base_url = 'https://h'\napi_key_env = 'H_KEY'").unwrap()
    }

    fn resolve<const N: usize>(variables: [(&str, &str); N]) -> Result<Option<SecretString>, MissingKey> {
        Credentials::resolve(&provider(), &Environment::from_iter(variables))
    }

    fn exposed(key: Result<Option<SecretString>, MissingKey>) -> String {
        key.unwrap().unwrap().expose_secret().to_owned()
    }

    #[test]
    fn a_provider_without_a_variable_needs_no_key() {
        let provider = Provider { api_key_env: None, ..provider() };
        assert!(Credentials::resolve(&provider, &Environment::default()).unwrap().is_none());
    }

    #[test]
    fn the_variable_goes_before_the_file_and_a_blank_one_counts_as_unset() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " from-file\r\n").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(exposed(resolve([("H_KEY", "from-env"), ("H_KEY_FILE", path)])), "from-env");
        assert_eq!(exposed(resolve([("H_KEY", " \t"), ("H_KEY_FILE", path)])), "from-file");
        assert_eq!(exposed(resolve([("H_KEY_FILE", path)])), "from-file");
    }

    #[test]
    fn a_missing_key_names_the_variable_to_set() {
        for unset in [resolve([]), resolve([("H_KEY", "")]), resolve([("H_KEY", " \n"), ("H_KEY_FILE", "")])] {
            let error = unset.unwrap_err();
            assert_eq!(error, MissingKey::Unset { what: SecretKind::Key, variable: "H_KEY".into() });
            assert_eq!(error.to_string(), "no key: set H_KEY, or H_KEY_FILE to a file that holds the key");
        }
    }

    #[test]
    fn a_key_file_that_is_empty_absent_or_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        let error = |path: &Path| resolve([("H_KEY_FILE", path.to_str().unwrap())]).unwrap_err().to_string();
        assert!(error(&empty).ends_with("empty, which holds no key"), "{}", error(&empty));
        for path in [folder.path().join("absent"), folder.path().to_owned()] {
            let message = error(&path);
            assert!(message.starts_with(&format!("H_KEY_FILE names {}, which cannot be read: ", path.display())));
        }
    }

    #[test]
    fn a_key_with_a_line_break_or_beyond_ascii_is_refused_without_being_shown() {
        for value in ["canary\nsecond", "canary é", "canary \u{7f}"] {
            let error = resolve([("H_KEY", value)]).unwrap_err();
            assert_eq!(error, MissingKey::Malformed { what: SecretKind::Key, variable: "H_KEY".into() });
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = resolve([("H_KEY_FILE", pipe.to_str().unwrap())]).unwrap_err().to_string();
        assert!(error.contains("cannot be read: it is a named pipe"), "{error}");
    }

    #[test]
    fn a_file_that_an_editor_wrote_with_a_mark_or_in_utf_16_holds_its_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let utf16 = "\u{feff}sk-1\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        for bytes in ["\u{feff}sk-1\r\n".as_bytes(), &utf16] {
            std::fs::write(path, bytes).unwrap();
            assert_eq!(exposed(resolve([("H_KEY_FILE", path)])), "sk-1");
        }
    }

    #[test]
    fn what_was_copied_with_a_key_is_named_without_the_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (value, surplus) in [
            ("\"canary-1\"", Surplus::Quotes),
            ("'canary-1'", Surplus::Quotes),
            ("Bearer canary-1", Surplus::Scheme),
            ("bearer: canary-1", Surplus::Scheme),
            ("H_KEY=canary-1", Surplus::Name),
            ("export H_KEY=\"canary-1\"", Surplus::Name),
        ] {
            std::fs::write(path, value).unwrap();
            for variable in [("H_KEY", value), ("H_KEY_FILE", path)] {
                let error = resolve([variable]).unwrap_err();
                assert!(matches!(&error, MissingKey::Surplus { surplus: told, .. } if *told == surplus), "{error:?}");
                assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
            }
        }
        let error = resolve([("H_KEY", "Bearer canary-1")]).unwrap_err().to_string();
        assert_eq!(error, "the value of H_KEY is more than the key: leave out `Bearer` before it");
        assert_eq!(exposed(resolve([("H_KEY", "H_KEY-1")])), "H_KEY-1");
    }

    #[test]
    fn neither_debug_output_nor_redacted_text_shows_a_key() {
        let config = Config { provider: [("h".to_owned(), provider())].into(), ..Config::default() };
        let credentials = Credentials::of(&config, &Environment::from_iter([("H_KEY", "canary-123")]));
        assert!(credentials.key("h").unwrap().is_some() && credentials.key("other").unwrap().is_none());
        assert!(!format!("{credentials:?}").contains("canary"));
        assert_eq!(credentials.redactor().redact("Bearer canary-123!"), "Bearer [redacted]!");
    }

    #[test]
    fn names_of_credentials_are_told_from_names_that_merely_resemble_them() {
        for name in ["api_key", "Authorization", "X-Auth-Token", "apikey", "client_secret", "cookie", "api_key_env"] {
            assert!(names_a_credential(name), "{name}");
        }
        for name in ["max_tokens", "concurrency", "X-Title", "keyboard", "author"] {
            assert!(!names_a_credential(name), "{name}");
        }
    }

    #[test]
    fn fields_that_hold_a_key_are_told_from_those_of_requests() {
        for name in
            ["api_key", "apiKey", "X-Api-Key", "token", "client_secret", "accessToken", "password", "sig", "key"]
        {
            assert!(names_a_secret_field(name), "{name}");
        }
        for name in
            ["stop_token", "prompt_cache_key", "stop_token_ids", "max_tokens", "keyboard", "user", "think_end_token"]
        {
            assert!(!names_a_secret_field(name), "{name}");
        }
    }

    #[test]
    fn keys_are_known_by_their_looks() {
        for text in [
            "sk-or-v1-0123456789abcdef",
            "Bearer gsk_abcdefgh12345678",
            "a=hf_abcdefghijkl0123",
            "x/sk-abcdefghijklmno1/y",
        ] {
            assert!(holds_a_key(text), "{text}");
        }
        for text in ["sk-learn", "task-0123456789abcdef", "eyJ", "https://host/path", "sk-this-is-no-key-at-all"] {
            assert!(!holds_a_key(text), "{text}");
        }
    }

    #[test]
    fn an_address_of_alerting_is_masked_in_parts_too() {
        let receiver = toml::from_str("kind = 'webhook'\nurl_env = 'W_URL'\nsecret_env = 'W_SECRET'").unwrap();
        let mut config = Config::default();
        config.alert.receiver.insert("w".to_owned(), receiver);
        let values = [
            ("W_URL", "https://h.example/hooks/canary-path-1?token=canary-query"),
            ("W_SECRET", "whsec_Y2FuYXJ5LXNpZ24h"),
        ];
        let redactor = Credentials::of(&config, &Environment::from_iter(values)).redactor();
        for part in ["canary-path-1", "canary-query", "Y2FuYXJ5LXNpZ24h", "canary-sign!"] {
            assert_eq!(redactor.redact(&format!("<{part}>")), "<[redacted]>");
        }
    }

    proptest! {
        #[test]
        fn no_value_of_the_variable_shows_in_an_error(value in "\\PC{6,40}") {
            if let Err(error) = resolve([("H_KEY", value.as_str())]) {
                let shown = format!("{error:?} {error}");
                prop_assert!(!shown.contains(&value) || value.trim().is_empty());
            }
        }
    }
}
