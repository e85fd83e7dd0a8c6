//! Commands: what the keys of a review ask for.
//!
//! Part of layer 4's review, pure.

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A decision on one snapshot or on all that are left.
    Decide(Decision, Scope),
    /// Take the last decision back.
    Undo,
    /// Move through what is shown.
    Scroll(Scroll),
    /// Show more or less.
    Toggle(Part),
    /// Open the whole snapshot in a pager.
    Pager,
    /// Stop here and keep what is left for later.
    Quit,
}

/// What becomes of a snapshot that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It takes the place of the approved one.
    Accept,
    /// It is deleted, and the approved one stays.
    Reject,
    /// It waits on.
    Skip,
}

/// How much is decided at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The snapshot on the screen.
    This,
    /// That one and all after it.
    Rest,
}

/// A part of the screen that can be shown or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the heads of both files say.
    Info,
    /// The lines of both files that differ, instead of answers side by side.
    Diff,
    /// What all keys do, instead of all that.
    Help,
}

/// How far what is shown moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scroll {
    /// So many lines down, or up where negative.
    Lines(isize),
    /// So many pages down, or up where negative.
    Pages(isize),
    /// To the first line.
    Beginning,
    /// To the last.
    End,
}

impl Command {
    /// The meaning of a key; nothing when it has none.
    pub fn of_key(key: char) -> Option<Self> {
        Some(match key {
            'a' => Self::Decide(Decision::Accept, Scope::This),
            'r' => Self::Decide(Decision::Reject, Scope::This),
            's' => Self::Decide(Decision::Skip, Scope::This),
            'A' => Self::Decide(Decision::Accept, Scope::Rest),
            'R' => Self::Decide(Decision::Reject, Scope::Rest),
            'S' => Self::Decide(Decision::Skip, Scope::Rest),
            'u' => Self::Undo,
            'j' => Self::Scroll(Scroll::Lines(1)),
            'k' => Self::Scroll(Scroll::Lines(-1)),
            ' ' => Self::Scroll(Scroll::Pages(1)),
            'b' => Self::Scroll(Scroll::Pages(-1)),
            'g' => Self::Scroll(Scroll::Beginning),
            'G' => Self::Scroll(Scroll::End),
            'i' => Self::Toggle(Part::Info),
            'd' => Self::Toggle(Part::Diff),
            '?' => Self::Toggle(Part::Help),
            'o' => Self::Pager,
            // Escape, q, and Ctrl-C and Ctrl-D where the terminal hands them on as characters.
            '\u{1b}' | 'q' | '\u{3}' | '\u{4}' => Self::Quit,
            _ => return None,
        })
    }
}

/// What can be done, for the last line of the screen, the longer first; [`HELP`] has the rest.
pub const KEYS: [&str; 3] = [
    "a accept · r reject · s skip · u undo · ↓ ↑ scroll · ? all keys · q quit",
    "a accept · r reject · s skip · ? all keys · q quit",
    "a, r, s decide · ? all keys · q quit",
];

/// The same while the help is shown, whole or longer than the screen.
pub const KEYS_IN_HELP: &str = "any key closes this help";
/// See [`KEYS_IN_HELP`].
pub const KEYS_IN_LONG_HELP: &str = "↓ ↑ scroll · any other key closes this help";

/// The same when all is decided.
pub const KEYS_AT_THE_END: [&str; 2] =
    ["u takes the last decision back · any other key ends the review", "u undo · any other key ends the review"];

/// Every key and what it does.
pub const HELP: [(&str, &str); 12] = [
    ("a", "accept: the new answers take the place of those approved"),
    ("r", "reject: the new answers are deleted, and what is approved stays"),
    ("s", "skip: the snapshot waits on"),
    ("A R S", "the same for this one and all that are left; A and R say for how many, and ask"),
    ("u", "take the last decision back, however many it was on"),
    ("↓ ↑, j k", "a line down, a line up"),
    ("space b", "a page down, a page up; Page Down and Page Up do the same"),
    ("g G", "to the beginning, to the end; Home and End do the same"),
    ("i", "show or hide all that the files say of both"),
    ("d", "show lines that differ, or answers side by side"),
    ("o", "open all of it in $PAGER"),
    ("q Esc", "stop here: what is left waits on; any key closes this help first"),
];

impl Decision {
    /// What is happening to snapshots that it is on.
    pub fn present(self) -> &'static str {
        match self {
            Self::Accept => "accepting",
            Self::Reject => "rejecting",
            Self::Skip => "skipping",
        }
    }

    /// What has happened to a snapshot that it was on.
    pub fn past(self) -> &'static str {
        match self {
            Self::Accept => "accepted",
            Self::Reject => "rejected",
            Self::Skip => "skipped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_screen_says() {
        assert_eq!(Command::of_key('A'), Some(Command::Decide(Decision::Accept, Scope::Rest)));
        assert_eq!(Command::of_key('\u{1b}'), Some(Command::Quit));
        assert_eq!(Command::of_key('x'), None);
    }

    #[test]
    fn every_key_that_is_told_of_means_something() {
        let told = HELP.iter().flat_map(|(keys, _)| keys.split([' ', ',']));
        for key in told.filter(|key| key.len() == 1) {
            let key = key.chars().next().unwrap_or_default();
            assert!(Command::of_key(key).is_some(), "{key}");
        }
    }
}
