//! What may come next at all.

/// Which tokens may come next; all may at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    allowed: Vec<bool>,
}

impl TokenMask {
    /// All of a vocabulary of this size.
    pub fn all(vocabulary: usize) -> Self {
        Self { allowed: vec![true; vocabulary] }
    }

    /// Keeps the tokens for which this holds.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        for (token, allowed) in self.allowed.iter_mut().enumerate() {
            *allowed = *allowed && keep(token as u32);
        }
    }

    /// Whether this token may come next; tokens outside the vocabulary may not.
    pub fn allows(&self, token: u32) -> bool {
        self.allowed.get(token as usize).copied().unwrap_or(false)
    }
}

/// What limits an answer's form, token by token.
pub trait Constraint: Send {
    /// Takes out of the mask what may not come next. At least one token must be left; the token that ends an answer counts.
    fn restrict(&self, mask: &mut TokenMask);
    /// Whether a token that was drawn may not come after all: another is drawn then, and the mask must forbid this one.
    fn refuses(&mut self, _token: u32) -> bool {
        false
    }
    /// Learns which token came.
    fn advance(&mut self, token: u32);
}
