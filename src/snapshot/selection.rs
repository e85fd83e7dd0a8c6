//! Snapshots named on the command line: by model, endpoint, probe, file, or a pattern over them.
//!
//! Part of layer 3's snapshots, pure.

use super::folder::NAME;

/// Which snapshots are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// Those that one of these means.
    Filters(Vec<String>),
}

/// Filters that mean nothing that is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is named `{}`", .0.join("`, `"))]
pub struct Unmatched(pub Vec<String>);

impl Selection {
    /// Whether this snapshot was meant by itself, by its own name or file, and not with others.
    pub fn means_alone(&self, name: &str) -> bool {
        let Self::Filters(filters) = self else { return false };
        filters.iter().any(|filter| named(filter) == name)
    }

    /// The names that are meant, in their order; an error where a filter means none of them.
    pub fn of<'n>(&self, names: &[&'n str]) -> Result<Vec<&'n str>, Unmatched> {
        let Self::Filters(filters) = self else { return Ok(names.to_vec()) };
        let unmatched: Vec<String> =
            filters.iter().filter(|filter| !names.iter().any(|name| means(filter, name))).cloned().collect();
        if !unmatched.is_empty() {
            return Err(Unmatched(unmatched));
        }
        Ok(names.iter().copied().filter(|name| filters.iter().any(|filter| means(filter, name))).collect())
    }
}

/// Whether a filter means this snapshot: it is its name, the name of a folder above it, or the path of either's file; in a pattern
/// `*` stands for any characters.
fn means(filter: &str, name: &str) -> bool {
    let filter = named(filter);
    let is_above = |folder: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    filter == name || is_above(filter) || (filter.contains('*') && matches(filter, name))
}

/// The name that a filter gives, whether as such or as the path of a file.
fn named(filter: &str) -> &str {
    let filter = filter.trim_start_matches("./");
    let filter = filter.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('/')).unwrap_or(filter);
    let filter = filter.strip_suffix(".new").unwrap_or(filter);
    filter.strip_suffix(".snap").unwrap_or(filter).trim_end_matches('/')
}

/// Whether a text follows a pattern in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 4] = ["llama/a/core/haiku", "llama/a/core/haiku-2", "llama/b/core/haiku", "qwen/a/joke"];

    fn selected(filters: &[&str]) -> Result<Vec<&'static str>, Unmatched> {
        Selection::Filters(filters.iter().map(|f| (*f).to_owned()).collect()).of(&NAMES)
    }

    #[test]
    fn a_filter_is_a_name_a_folder_a_file_or_a_pattern() {
        assert_eq!(selected(&["llama/a/core/haiku"]).unwrap(), [NAMES[0]]);
        assert_eq!(selected(&["llama/a"]).unwrap(), [NAMES[0], NAMES[1]]);
        assert_eq!(selected(&["snapshots/llama/"]).unwrap(), NAMES[..3]);
        assert_eq!(selected(&["./snapshots/qwen/a/joke.snap.new"]).unwrap(), [NAMES[3]]);
        assert_eq!(selected(&["*/haiku", "qwen"]).unwrap(), [NAMES[0], NAMES[2], NAMES[3]]);
        assert_eq!(Selection::All.of(&NAMES).unwrap(), NAMES);
    }

    #[test]
    fn only_a_name_or_a_file_means_one_snapshot_alone() {
        let alone = |filter: &str, name: &str| Selection::Filters(vec![filter.to_owned()]).means_alone(name);
        assert!(alone("llama/a/core/haiku", NAMES[0]) && alone("snapshots/qwen/a/joke.snap.new", NAMES[3]));
        assert!(!alone("llama/a", NAMES[0]) && !alone("qwen/*", NAMES[3]) && !Selection::All.means_alone(NAMES[0]));
    }

    #[test]
    fn a_filter_that_means_nothing_is_an_error_that_names_it() {
        let error = selected(&["llama", "lama", "x*"]).unwrap_err();
        assert_eq!(error.to_string(), "nothing is named `lama`, `x*`");
    }

    proptest! {
        #[test]
        fn a_pattern_of_a_name_with_pieces_left_out_means_it(pieces in proptest::collection::vec("[ab/]{0,3}", 1..5)) {
            prop_assert!(matches(&pieces.join("*"), &pieces.concat()));
            prop_assert!(matches(&pieces.join("*"), &pieces.join("xyz")));
        }
    }
}
