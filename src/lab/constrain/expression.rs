//! Expressions over bytes, and what is left of one once a byte has come: its derivative (Brzozowski, 1964). Pure.
//!
//! An expression is either [`Expression::nothing`], which no text matches, or some text matches it: whatever has been
//! written so far can be brought to an end. All that is built here keeps to that.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::json;
use super::number::Number;
use super::pattern::{Pattern, Step};

/// A set of texts. Cheap to copy, compare and hash: parts are shared, and each knows its hash.
#[derive(Debug, Clone)]
pub struct Expression(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: Node,
    hash: u64,
    nullable: bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Node {
    Nothing,
    Empty,
    Byte(Bytes),
    Literal(Literal),
    Then(Expression, Expression),
    /// At least two, none of them nothing or a choice itself, all different.
    Either(Vec<Expression>),
    /// So many of one that is never empty.
    Repeat {
        one: Expression,
        least: u32,
        most: u32,
    },
    /// Any JSON value, with so many levels of lists and objects.
    Value(usize),
    Number(Number),
    /// A string after its opening quote.
    Pattern(Pattern),
}

/// What is left of a text that must come byte for byte.
#[derive(Debug, Clone)]
struct Literal {
    text: Arc<[u8]>,
    /// How much of it has come; less than all of it.
    from: usize,
}

impl Literal {
    fn rest(&self) -> &[u8] {
        &self.text[self.from..]
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.rest() == other.rest()
    }
}

impl Eq for Literal {}

impl Hash for Literal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rest().hash(state);
    }
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bytes([u64; 4]);

impl Bytes {
    /// The bytes from `first` to `last`.
    pub fn range(first: u8, last: u8) -> Self {
        (first..=last).fold(Self::default(), Self::with)
    }

    /// The bytes of this list.
    pub fn list(list: &[u8]) -> Self {
        list.iter().fold(Self::default(), |all, byte| all.with(*byte))
    }

    /// All of these and one more.
    #[must_use]
    pub fn with(mut self, byte: u8) -> Self {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        self
    }

    /// All of these but one.
    #[must_use]
    pub fn without(mut self, byte: u8) -> Self {
        self.0[usize::from(byte >> 6)] &= !(1 << (byte & 63));
        self
    }

    fn has(self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }
}

impl Expression {
    fn new(node: Node) -> Self {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        let nullable = match &node {
            Node::Nothing | Node::Byte(_) | Node::Literal(_) | Node::Value(_) | Node::Pattern(_) => false,
            Node::Empty => true,
            Node::Then(a, b) => a.matches_empty() && b.matches_empty(),
            Node::Either(list) => list.iter().any(Self::matches_empty),
            Node::Repeat { least, .. } => *least == 0,
            Node::Number(number) => number.complete(),
        };
        Self(Arc::new(Inner { node, hash: hasher.finish(), nullable }))
    }

    /// Matches no text at all.
    pub fn nothing() -> Self {
        Self::new(Node::Nothing)
    }

    /// Matches the empty text.
    pub fn empty() -> Self {
        Self::new(Node::Empty)
    }

    /// Matches one byte of these.
    pub fn byte(bytes: Bytes) -> Self {
        if bytes == Bytes::default() { Self::nothing() } else { Self::new(Node::Byte(bytes)) }
    }

    /// Matches this text.
    pub fn literal(text: &[u8]) -> Self {
        Self::rest_of(Literal { text: text.into(), from: 0 })
    }

    fn rest_of(literal: Literal) -> Self {
        if literal.rest().is_empty() { Self::empty() } else { Self::new(Node::Literal(literal)) }
    }

    /// Any JSON value, with so many levels of lists and objects.
    pub fn value(depth: usize) -> Self {
        Self::new(Node::Value(depth))
    }

    /// Matches what is left of this number.
    pub fn number(number: Number) -> Self {
        Self::new(Node::Number(number))
    }

    /// Matches what is left of a string that follows this pattern.
    pub fn pattern(pattern: Pattern) -> Self {
        Self::new(Node::Pattern(pattern))
    }

    /// Matches this, then that.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (&self.0.node, &next.0.node) {
            (Node::Nothing, _) | (_, Node::Empty) => self,
            (_, Node::Nothing) | (Node::Empty, _) => next,
            _ => Self::new(Node::Then(self, next)),
        }
    }

    /// Matches any of these.
    pub fn either(list: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<Self> = Vec::new();
        let mut add = |one: &Self| {
            if !matches!(one.0.node, Node::Nothing) && !all.contains(one) {
                all.push(one.clone());
            }
        };
        for one in list {
            match &one.0.node {
                Node::Either(inner) => inner.iter().for_each(&mut add),
                _ => add(&one),
            }
        }
        match all.len() {
            0 => Self::nothing(),
            1 => all.swap_remove(0),
            _ => Self::new(Node::Either(all)),
        }
    }

    /// Matches this or the empty text.
    #[must_use]
    pub fn optional(self) -> Self {
        Self::either([self, Self::empty()])
    }

    /// Matches from `least` to `most` of these in a row. What is repeated must not match the empty text.
    #[must_use]
    pub fn repeated(self, least: u32, most: u32) -> Self {
        match (&self.0.node, least, most) {
            (_, _, 0) | (Node::Nothing, 0, _) => Self::empty(),
            (Node::Nothing, ..) | (_, 1, 1) => self,
            _ => Self::new(Node::Repeat { one: self, least: least.min(most), most }),
        }
    }

    /// Whether nothing matches.
    pub fn is_nothing(&self) -> bool {
        matches!(self.0.node, Node::Nothing)
    }

    /// Whether the empty text matches: what has been written may stand as it is.
    pub fn matches_empty(&self) -> bool {
        self.0.nullable
    }

    /// What must follow this byte; nothing when the byte cannot come.
    #[must_use]
    pub fn after(&self, byte: u8) -> Self {
        match &self.0.node {
            Node::Nothing | Node::Empty => Self::nothing(),
            Node::Byte(bytes) => {
                if bytes.has(byte) {
                    Self::empty()
                } else {
                    Self::nothing()
                }
            }
            Node::Literal(literal) => match literal.rest().first() {
                Some(first) if *first == byte => {
                    Self::rest_of(Literal { text: Arc::clone(&literal.text), from: literal.from + 1 })
                }
                _ => Self::nothing(),
            },
            Node::Then(first, second) => {
                let inside = first.after(byte).then_shared(second);
                if first.matches_empty() { Self::either([inside, second.after(byte)]) } else { inside }
            }
            Node::Either(list) => Self::either(list.iter().map(|one| one.after(byte))),
            Node::Repeat { one, least, most } => {
                let rest = one.after(byte);
                if rest.is_nothing() {
                    return rest;
                }
                rest.then(one.clone().repeated(least.saturating_sub(1), most - 1))
            }
            Node::Value(depth) => json::value(*depth).after(byte),
            Node::Number(number) => number.after(byte).map_or_else(Self::nothing, Self::number),
            Node::Pattern(pattern) => match pattern.after(byte) {
                Step::Never => Self::nothing(),
                Step::Close => Self::empty(),
                Step::On(left) => Self::pattern(left),
            },
        }
    }

    fn then_shared(self, next: &Self) -> Self {
        if self.is_nothing() { self } else { self.then(next.clone()) }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.node == other.0.node)
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn matches(expression: &Expression, text: &str) -> bool {
        text.bytes().fold(expression.clone(), |left, byte| left.after(byte)).matches_empty()
    }

    #[test]
    fn texts_match_byte_by_byte() {
        let digit = Expression::byte(Bytes::range(b'0', b'9'));
        let minus = Expression::literal(b"-").optional();
        let number = minus.then(digit.repeated(1, 3));
        for (text, right) in [("7", true), ("-42", true), ("123", true), ("", false), ("-", false), ("1234", false)] {
            assert_eq!(matches(&number, text), right, "{text}");
        }
        let word = Expression::either([Expression::literal(b"on"), Expression::literal(b"one"), number]);
        for (text, right) in [("on", true), ("one", true), ("12", true), ("o", false), ("ones", false)] {
            assert_eq!(matches(&word, text), right, "{text}");
        }
    }

    #[test]
    fn choices_are_flat_and_without_repetition() {
        let a = Expression::literal(b"ab");
        let same = Expression::either([a.clone(), Expression::either([a.clone(), Expression::nothing()])]);
        assert_eq!(same, a);
        assert!(Expression::either([]).is_nothing());
        assert!(a.after(b'x').is_nothing());
        assert_eq!(a.clone().repeated(0, 0), Expression::empty());
        assert_eq!(Expression::byte(Bytes::list(b"x").without(b'x')), Expression::nothing());
    }
}
