//! Review: going through what waits, one snapshot at a time, as a state machine without a terminal.
//!
//! Layer 4, pure. [`Command`] is what a key asks for, and [`Review`] what has been decided and what is shown; [`screen`] shows it,
//! with what [`summary`] says in words and the answers that [`pairs`] puts side by side. Files are changed by whoever asks: a decision is carried out first and told of afterwards, so that what the
//! screen says has happened has happened.

pub mod command;
pub mod pairs;
pub mod screen;
pub mod summary;

pub use command::{Command, Decision, Part, Scope, Scroll};

/// How far a review has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    names: Vec<String>,
    decided: Vec<Decision>,
    /// The number of snapshots that each step decided.
    steps: Vec<usize>,
    /// What is shown.
    pub shown: Shown,
    /// The first line of the body that is on the screen, from 0.
    top: usize,
    /// What the last key did, for the line above the keys; empty before any.
    pub notice: String,
}

/// How long the body is, and how much of it the screen has room for, in lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// All lines.
    pub lines: usize,
    /// Lines on the screen.
    pub room: usize,
}

/// What of the screen is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// See [`Part::Info`].
    pub info: Visibility,
    /// See [`Part::Diff`].
    pub diff: Visibility,
    /// See [`Part::Help`].
    pub help: Visibility,
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
        Self { names, decided: Vec::new(), steps: Vec::new(), shown: Shown::default(), top: 0, notice: String::new() }
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
            self.top = 0;
            self.shown.help = Visibility::Hidden;
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
        self.top = 0;
        count
    }

    /// Whether there is a step that could be taken back.
    pub fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Moves the body up or down, never past its ends.
    pub fn scroll(&mut self, by: Scroll, extent: Extent) {
        // A line of the page before stays on the screen.
        let page = extent.room.saturating_sub(1).max(1);
        let wanted = match by {
            Scroll::Lines(lines) => self.top.saturating_add_signed(lines),
            Scroll::Pages(pages) => self.top.saturating_add_signed(pages.saturating_mul(page.cast_signed())),
            Scroll::Beginning => 0,
            Scroll::End => usize::MAX,
        };
        self.top = wanted.min(extent.lines.saturating_sub(extent.room));
    }

    /// The lines of a body of this extent that are on the screen: the first and the one after the last, from 0.
    pub fn on_screen(&self, extent: Extent) -> std::ops::Range<usize> {
        let top = self.top.min(extent.lines.saturating_sub(extent.room));
        top..extent.lines.min(top + extent.room)
    }

    /// Shows a part or hides it.
    pub fn toggle(&mut self, part: Part) {
        match part {
            Part::Info => self.shown.info = self.shown.info.other(),
            Part::Diff => self.shown.diff = self.shown.diff.other(),
            Part::Help => self.shown.help = self.shown.help.other(),
        }
        self.top = 0;
    }

    /// What a key does that asks for this: beside the help, which covers what there is to decide on, it closes that and does no more,
    /// but for moving through a help for which the screen has no room.
    pub fn meant(&self, asked: Option<Command>, extent: Extent) -> Option<Command> {
        let moves = matches!(asked, Some(Command::Scroll(_))) && extent.lines > extent.room;
        if self.shown.help == Visibility::Shown && !moves { Some(Command::Toggle(Part::Help)) } else { asked }
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
    fn any_key_closes_the_help_and_does_no_more() {
        let (mut review, fits) = (review(2), Extent { lines: 14, room: 20 });
        let accept = Some(Command::Decide(Decision::Accept, Scope::This));
        let down = Some(Command::Scroll(Scroll::Lines(1)));
        assert_eq!(review.meant(Some(Command::Quit), fits), Some(Command::Quit));
        review.toggle(Part::Help);
        for asked in [accept, down, Some(Command::Quit), Some(Command::Toggle(Part::Info)), None] {
            assert_eq!(review.meant(asked, fits), Some(Command::Toggle(Part::Help)), "{asked:?}");
        }
        let longer = Extent { lines: 14, room: 5 };
        assert_eq!(review.meant(down, longer), down, "a help that is longer than the screen is moved through");
        assert_eq!(review.meant(accept, longer), Some(Command::Toggle(Part::Help)));
        review.toggle(Part::Help);
        assert_eq!(review.meant(accept, fits), accept);
    }

    #[test]
    fn the_body_moves_by_lines_and_pages_and_never_past_its_ends() {
        let (mut review, extent) = (review(2), Extent { lines: 25, room: 10 });
        let mut after = |by| {
            review.scroll(by, extent);
            review.on_screen(extent)
        };
        assert_eq!([after(Scroll::Lines(-1)), after(Scroll::Lines(2))], [0..10, 2..12]);
        assert_eq!(
            [after(Scroll::Pages(1)), after(Scroll::Pages(9)), after(Scroll::Pages(-1))],
            [11..21, 15..25, 6..16]
        );
        assert_eq!([after(Scroll::Beginning), after(Scroll::End)], [0..10, 15..25]);
        assert_eq!(review.on_screen(Extent { lines: 4, room: 10 }), 0..4, "another body may be shorter");
        review.decided(Decision::Skip, 1);
        assert_eq!(review.on_screen(extent), 0..10, "the next snapshot begins at its beginning");
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
