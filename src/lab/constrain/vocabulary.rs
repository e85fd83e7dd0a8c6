//! Which tokens may come next: an expression over bytes held against the whole vocabulary at once. Pure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::expression::Expression;

/// States whose tokens are remembered; a quarter of a kilobyte each.
const REMEMBERED: usize = 8_192;

/// The vocabulary as a tree of bytes, and what was found with it.
pub struct Vocabulary {
    tree: Vec<Branch>,
    bytes: Vec<Vec<u8>>,
    known: Mutex<HashMap<Expression, Arc<TokenSet>>>,
}

#[derive(Default)]
struct Branch {
    tokens: Vec<u32>,
    next: Vec<(u8, usize)>,
}

/// A set of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenSet(Vec<u64>);

impl TokenSet {
    fn insert(&mut self, token: u32) {
        let place = token as usize / 64;
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] |= 1 << (token % 64);
    }

    /// Whether this token is in it.
    pub fn has(&self, token: u32) -> bool {
        self.0.get(token as usize / 64).is_some_and(|word| word & (1 << (token % 64)) != 0)
    }
}

impl Vocabulary {
    /// The vocabulary whose tokens stand for these bytes; one that stands for none is never drawn under a constraint.
    pub fn new(bytes: Vec<Vec<u8>>) -> Self {
        let mut tree = vec![Branch::default()];
        for (token, bytes) in bytes.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            let mut at = 0;
            for byte in bytes {
                let found = tree[at].next.iter().find(|(other, _)| other == byte).map(|(_, branch)| *branch);
                at = found.unwrap_or_else(|| {
                    let new = tree.len();
                    tree[at].next.push((*byte, new));
                    tree.push(Branch::default());
                    new
                });
            }
            tree[at].tokens.push(token as u32);
        }
        Self { tree, bytes, known: Mutex::default() }
    }

    /// What must follow this token; nothing when it cannot come.
    pub fn after(&self, expression: &Expression, token: u32) -> Expression {
        match self.bytes.get(token as usize).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => bytes.iter().fold(expression.clone(), |left, byte| left.after(*byte)),
            None => Expression::nothing(),
        }
    }

    /// The tokens that may come next.
    pub fn allowed(&self, expression: &Expression) -> Arc<TokenSet> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(expression).cloned();
        known.unwrap_or_else(|| {
            let mut found = TokenSet::default();
            self.walk(0, expression, &mut found);
            let found = Arc::new(found);
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(expression.clone(), Arc::clone(&found));
            found
        })
    }

    fn walk(&self, at: usize, left: &Expression, found: &mut TokenSet) {
        for token in &self.tree[at].tokens {
            found.insert(*token);
        }
        for (byte, next) in &self.tree[at].next {
            let left = left.after(*byte);
            if !left.is_nothing() {
                self.walk(*next, &left, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_come_when_its_bytes_can_be_gone_on_with() {
        let words = ["", "a", "ab", "abc", "b", "c"];
        let vocabulary = Vocabulary::new(words.iter().map(|word| word.as_bytes().to_vec()).collect());
        let text = Expression::literal(b"abd");
        let allowed = vocabulary.allowed(&text);
        let tokens: Vec<u32> = (0..7).filter(|token| allowed.has(*token)).collect();
        assert_eq!(tokens, [1, 2]);
        assert_eq!(vocabulary.after(&text, 2), Expression::literal(b"d"));
        assert!(vocabulary.after(&text, 0).is_nothing() && vocabulary.after(&text, 99).is_nothing());
        assert!(Arc::ptr_eq(&allowed, &vocabulary.allowed(&text)));
    }
}
