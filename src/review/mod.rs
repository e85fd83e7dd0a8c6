//! Review: going through what waits, one snapshot at a time, as a state machine without a terminal.
//!
//! Layer 4, pure. [`Review`] says what a key means and what is decided; [`screen`] shows it, with the answers that [`pairs`] puts
//! side by side. Files are changed by whoever asks: a decision is carried out first and told of afterwards, so that what the
//! screen says has happened has happened.

pub mod pairs;
pub mod screen;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A decision on one snapshot or on all that are left.
    Decide(Decision, Scope),
    /// Take the last decision back.
    Undo,
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
            'i' => Self::Toggle(Part::Info),
            'd' => Self::Toggle(Part::Diff),
            'o' => Self::Pager,
            // Escape, q, and Ctrl-C and Ctrl-D where the terminal hands them on as characters.
            '\u{1b}' | 'q' | '\u{3}' | '\u{4}' => Self::Quit,
            _ => return None,
        })
    }
}

/// How far a review has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    names: Vec<String>,
    decided: Vec<Decision>,
    /// The number of snapshots that each step decided.
    steps: Vec<usize>,
    /// What is shown.
    pub shown: Shown,
}

/// What of the screen is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// See [`Part::Info`].
    pub info: Visibility,
    /// See [`Part::Diff`].
    pub diff: Visibility,
}

/// Whether a part is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visibility {
    /// It is not.
    #[default]
    Hidden,
    /// It is.
    Shown,
}

impl Visibility {
    fn other(self) -> Self {
        if self == Self::Hidden { Self::Shown } else { Self::Hidden }
    }
}

/// What has been decided so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Accepted.
    pub accepted: usize,
    /// Rejected.
    pub rejected: usize,
    /// Skipped.
    pub skipped: usize,
    /// Not decided.
    pub left: usize,
}

impl Review {
    /// A review of the snapshots of these names, in this order.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, decided: Vec::new(), steps: Vec::new(), shown: Shown::default() }
    }

    /// The snapshot that is up, and its place among all, from 1; nothing when all are decided.
    pub fn current(&self) -> Option<(&str, usize)> {
        Some((self.names.get(self.decided.len())?, self.decided.len() + 1))
    }

    /// All that there are to review.
    pub fn total(&self) -> usize {
        self.names.len()
    }

    /// The snapshots that a decision of this scope is on.
    pub fn in_scope(&self, scope: Scope) -> &[String] {
        let rest = &self.names[self.decided.len()..];
        match scope {
            Scope::This => &rest[..rest.len().min(1)],
            Scope::Rest => rest,
        }
    }

    /// Notes that the first `count` undecided ones have been decided, as one step.
    pub fn decided(&mut self, decision: Decision, count: usize) {
        let count = count.min(self.names.len() - self.decided.len());
        if count > 0 {
            self.decided.extend(std::iter::repeat_n(decision, count));
            self.steps.push(count);
        }
    }

    /// Brings these of the undecided ones up first, each group in its order.
    pub fn first(&mut self, names: &[String]) {
        self.names[self.decided.len()..].sort_by_key(|name| !names.contains(name));
    }

    /// Notes that the last step has been taken back; says how many snapshots are undecided again.
    pub fn undone(&mut self) -> usize {
        let count = self.steps.pop().unwrap_or(0);
        self.decided.truncate(self.decided.len() - count);
        count
    }

    /// Shows a part or hides it.
    pub fn toggle(&mut self, part: Part) {
        match part {
            Part::Info => self.shown.info = self.shown.info.other(),
            Part::Diff => self.shown.diff = self.shown.diff.other(),
        }
    }

    /// What has been decided so far.
    pub fn tally(&self) -> Tally {
        let of = |decision| self.decided.iter().filter(|d| **d == decision).count();
        Tally {
            accepted: of(Decision::Accept),
            rejected: of(Decision::Reject),
            skipped: of(Decision::Skip),
            left: self.names.len() - self.decided.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn review(n: usize) -> Review {
        Review::new((0..n).map(|i| format!("m/e/p{i}")).collect())
    }

    #[test]
    fn each_decision_brings_the_next_snapshot_up() {
        let mut review = review(3);
        assert_eq!(review.current(), Some(("m/e/p0", 1)));
        review.decided(Decision::Accept, 1);
        review.decided(Decision::Skip, 1);
        assert_eq!((review.current(), review.in_scope(Scope::Rest).len()), (Some(("m/e/p2", 3)), 1));
        review.decided(Decision::Reject, 1);
        assert_eq!((review.current(), review.in_scope(Scope::This)), (None, [].as_slice()));
        assert_eq!(review.tally(), Tally { accepted: 1, rejected: 1, skipped: 1, left: 0 });
    }

    #[test]
    fn a_step_over_all_the_rest_is_taken_back_as_one() {
        let mut review = review(4);
        review.decided(Decision::Accept, 1);
        review.decided(Decision::Reject, 3);
        assert_eq!((review.undone(), review.current()), (3, Some(("m/e/p1", 2))));
        assert_eq!((review.undone(), review.undone(), review.tally().left), (1, 0, 4));
    }

    #[test]
    fn what_is_left_of_all_the_rest_comes_up_next() {
        let mut review = review(4);
        review.decided(Decision::Skip, 1);
        let taken = ["m/e/p1".to_owned(), "m/e/p3".to_owned()];
        review.first(&taken);
        assert_eq!(review.in_scope(Scope::Rest)[..2], taken);
        review.decided(Decision::Accept, taken.len());
        assert_eq!(review.current(), Some(("m/e/p2", 4)));
    }

    #[test]
    fn keys_mean_what_the_screen_says() {
        assert_eq!(Command::of_key('A'), Some(Command::Decide(Decision::Accept, Scope::Rest)));
        assert_eq!(Command::of_key('\u{1b}'), Some(Command::Quit));
        assert_eq!(Command::of_key('x'), None);
    }

    proptest! {
        #[test]
        fn nothing_is_decided_twice_or_lost(n in 0_usize..6, keys in proptest::collection::vec(0_u8..5, 0..20)) {
            let mut review = review(n);
            for key in keys {
                match key {
                    0 => review.decided(Decision::Accept, 1),
                    1 => review.decided(Decision::Skip, review.in_scope(Scope::Rest).len()),
                    2 => review.decided(Decision::Reject, 1),
                    3 => review.toggle(Part::Info),
                    _ => { review.undone(); }
                }
                let Tally { accepted, rejected, skipped, left } = review.tally();
                prop_assert_eq!(accepted + rejected + skipped + left, n);
                prop_assert_eq!(review.current().map_or(0, |(_, at)| n + 1 - at), left);
                prop_assert_eq!(review.steps.iter().sum::<usize>(), n - left);
            }
        }
    }
}
