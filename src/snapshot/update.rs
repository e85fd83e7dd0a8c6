//! What is written after a run: nothing, a snapshot that waits for review, or one that counts as approved at once.
//!
//! Part of layer 3's snapshots, pure. The words are those of insta, so that nobody has to learn them twice.

use std::str::FromStr;

use super::ChangeKind;

/// What `SAMEMODEL_UPDATE` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Update {
    /// Nothing in CI; elsewhere as `New`.
    #[default]
    Auto,
    /// Whatever changed waits for review.
    New,
    /// Whatever changed is approved at once.
    Always,
    /// What was never seen is approved at once, whatever else changed waits for review.
    Unseen,
    /// Nothing is written.
    No,
}

/// `SAMEMODEL_UPDATE` holds none of its words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SAMEMODEL_UPDATE is `{}`, and must be auto, new, always, unseen or no", .0.escape_debug())]
pub struct UnknownUpdate(String);

impl FromStr for Update {
    type Err = UnknownUpdate;

    fn from_str(word: &str) -> Result<Self, UnknownUpdate> {
        match word {
            "auto" | "" => Ok(Self::Auto),
            "new" => Ok(Self::New),
            "always" => Ok(Self::Always),
            "unseen" => Ok(Self::Unseen),
            "no" => Ok(Self::No),
            other => Err(UnknownUpdate(other.to_owned())),
        }
    }
}

/// Where the program runs, as far as it decides what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A CI job, whose files are thrown away.
    Ci,
    /// Anywhere else.
    Elsewhere,
}

impl Place {
    /// From the value of the variable `CI`: set, and neither empty nor `false`.
    pub fn of(ci: Option<&str>) -> Self {
        if ci.is_some_and(|value| !matches!(value, "" | "false" | "0")) { Self::Ci } else { Self::Elsewhere }
    }
}

/// Where a snapshot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Beside the approved one, for review.
    Waiting,
    /// In the place of the approved one.
    Approved,
}

impl Update {
    /// Where a changed snapshot goes; nowhere when nothing is to be written.
    pub fn of_change(self, change: ChangeKind, place: Place) -> Option<Written> {
        match (self, change) {
            (Self::No, _) => None,
            (Self::Auto, _) if place == Place::Ci => None,
            (Self::Always, _) | (Self::Unseen, ChangeKind::Unseen) => Some(Written::Approved),
            (Self::Auto | Self::New | Self::Unseen, _) => Some(Written::Waiting),
        }
    }

    /// Whether anything may be changed at all: what waits is replaced, or taken away where an endpoint answers as approved again.
    pub fn tidies(self, place: Place) -> bool {
        self.of_change(ChangeKind::Drifted, place).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChangeKind::{Drifted, Stale, Unseen};

    #[test]
    fn each_word_writes_what_it_says() {
        let writes = |word: &str, place| {
            let update: Update = word.parse().expect("a word");
            [Drifted, Stale, Unseen].map(|change| update.of_change(change, place))
        };
        let (waiting, approved) = (Some(Written::Waiting), Some(Written::Approved));
        assert_eq!(writes("auto", Place::Elsewhere), [waiting; 3]);
        assert_eq!(writes("auto", Place::Ci), [None; 3]);
        assert_eq!(writes("new", Place::Ci), [waiting; 3]);
        assert_eq!(writes("always", Place::Ci), [approved; 3]);
        assert_eq!(writes("unseen", Place::Elsewhere), [waiting, waiting, approved]);
        assert_eq!(writes("no", Place::Elsewhere), [None; 3]);
        assert!("yes".parse::<Update>().unwrap_err().to_string().contains("`yes`"));
    }

    #[test]
    fn ci_is_where_its_variable_says_so() {
        assert_eq!(["true", "1"].map(|v| Place::of(Some(v))), [Place::Ci; 2]);
        assert_eq!([None, Some(""), Some("false")].map(Place::of), [Place::Elsewhere; 3]);
    }
}
