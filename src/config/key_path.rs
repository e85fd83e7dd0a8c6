//! The place of a value in the configuration, such as `model.lab.endpoint.twin.provider`.

use std::fmt;

use super::capability::is_more_than_a_name;

/// A dotted key from the root of the configuration. Endpoints go by their names, not by their positions, so that a key
/// means the same in every layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The path of what stands under `key` here.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    /// The path of the table that holds this value; `None` at the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> From<[&str; N]> for KeyPath {
    fn from(keys: [&str; N]) -> Self {
        Self(keys.iter().map(|&k| k.to_owned()).collect())
    }
}

impl fmt::Display for KeyPath {
    /// As it would be written in TOML: keys that are not bare are quoted. Those that may be secrets are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if is_more_than_a_name(key) {
                f.write_str("\"…\"")?;
            } else if bare {
                f.write_str(key)?;
            } else {
                write!(f, "{key:?}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_dots_is_quoted_as_in_toml() {
        assert_eq!(KeyPath::from(["model", "llama-3.3", "samples"]).to_string(), r#"model."llama-3.3".samples"#);
    }

    #[test]
    fn a_key_that_may_be_a_secret_is_left_out() {
        let path = KeyPath::from(["alert", "receiver", "https://hooks.slack.com/services/T/B/X", "kind"]);
        assert_eq!(path.to_string(), r#"alert.receiver."…".kind"#);
    }

    #[test]
    fn the_parent_of_a_top_level_key_is_the_root() {
        let root = KeyPath::from(["defaults"]).parent().unwrap();
        assert!(root.is_root() && root.parent().is_none());
    }
}
