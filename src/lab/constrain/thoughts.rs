//! How long thoughts are made: longer than the model would by itself, by taking away the token that ends them until
//! then, or shorter, by leaving it no other. Engines have it as a budget of thinking.

use super::Signs;
use crate::lab::engine::{Constraint, TokenMask};

/// How long thoughts are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// As the model makes them.
    Usual,
    /// So many times as long, above 0. Where that is less than 1 they end after that share of [`TYPICAL`] tokens, since nobody
    /// knows beforehand how long they would have been.
    Times(f64),
    /// They never end.
    Endless,
}

/// Tokens of a thought of the lab's model, the geometric mean over its probes that ask for one.
const TYPICAL: f64 = 16.0;

/// Thoughts of a length on their way, and what limits the answer behind them.
pub struct Thoughts {
    length: Length,
    signs: Signs,
    behind: Option<Box<dyn Constraint>>,
    /// Tokens so far.
    written: usize,
    /// Tokens after which they end, once it is known.
    due: Option<usize>,
    over: bool,
}

impl Thoughts {
    /// An answer that begins with thoughts of this length, and what limits it otherwise.
    pub fn new(length: Length, signs: Signs, behind: Option<Box<dyn Constraint>>) -> Self {
        let due = match length {
            Length::Usual => None,
            Length::Times(factor) => (factor < 1.0).then(|| times(TYPICAL, factor)),
            Length::Endless => Some(usize::MAX),
        };
        Self { length, signs, behind, written: 0, due, over: false }
    }

    fn ends_them(&self, token: u32) -> bool {
        token == self.signs.thought_end || token == self.signs.end
    }
}

fn times(tokens: f64, factor: f64) -> usize {
    (tokens * factor).round().max(1.0) as usize
}

impl Constraint for Thoughts {
    fn restrict(&self, mask: &mut TokenMask) {
        if let Some(behind) = &self.behind {
            behind.restrict(mask);
        }
        match self.due {
            Some(due) if !self.over && self.written < due => {
                mask.retain(|token| !self.ends_them(token) && token != self.signs.call);
            }
            // A budget is met in the midst of a sentence, since a thought that goes on to the next end runs into the answer. One token is
            // left, whatever the form behind says of thoughts.
            Some(_) if !self.over => mask.retain(|token| token == self.signs.thought_end),
            _ => {}
        }
    }

    /// The model would end its thoughts here: now it is known how long they are to be.
    fn refuses(&mut self, token: u32) -> bool {
        let Length::Times(factor) = self.length else { return false };
        if self.over || self.due.is_some() || !self.ends_them(token) {
            return false;
        }
        let due = times(self.written as f64, factor);
        self.due = Some(due);
        self.written < due
    }

    fn advance(&mut self, token: u32) {
        if let Some(behind) = &mut self.behind {
            behind.advance(token);
        }
        self.over |= token == self.signs.thought_end;
        self.written += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNS: Signs = Signs { end: 0, call: 1, thought_end: 2, newline: 3 };

    /// How many tokens the thoughts of a model have that would end them after so many, if it is left to itself.
    fn written(length: Length, wish: usize) -> usize {
        let mut thoughts = Thoughts::new(length, SIGNS, None);
        for count in 0..200 {
            let mut mask = TokenMask::all(5);
            thoughts.restrict(&mut mask);
            let wanted = if count >= wish { SIGNS.thought_end } else { 4 };
            let mut token = if mask.allows(wanted) { wanted } else { (0..5).find(|t| mask.allows(*t)).unwrap() };
            if thoughts.refuses(token) {
                token = 4;
            }
            thoughts.advance(token);
            if token == SIGNS.thought_end {
                return count;
            }
        }
        200
    }

    #[test]
    fn thoughts_are_as_many_times_as_long_as_is_asked_for() {
        assert_eq!(written(Length::Usual, 9), 9);
        assert_eq!([2.0, 4.0].map(|factor| written(Length::Times(factor), 9)), [18, 36]);
        assert_eq!([0.25, 0.5].map(|factor| written(Length::Times(factor), 90)), [4, 8]);
        assert_eq!(written(Length::Times(0.5), 5), 8, "nobody knows that it would have ended by itself");
        assert_eq!(written(Length::Endless, 9), 200);
    }

    #[test]
    fn what_comes_behind_thoughts_is_free() {
        let mut thoughts = Thoughts::new(Length::Times(0.1), SIGNS, None);
        for token in [4, 4, SIGNS.thought_end] {
            thoughts.advance(token);
        }
        let mut mask = TokenMask::all(5);
        thoughts.restrict(&mut mask);
        assert_eq!(mask, TokenMask::all(5));
        assert!(!thoughts.refuses(SIGNS.end));
    }
}
