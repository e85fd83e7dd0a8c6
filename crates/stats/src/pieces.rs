//! Texts as sequences of pieces: white space with the word or the run of punctuation that follows it, and an end mark.
//!
//! Pieces are what the statistics of words count. Concatenated they are the text again, so nothing of an answer is left
//! out; the end mark makes "ends here" a piece like any other. In scripts that are written without spaces each character
//! is a piece, since a whole sentence would be one otherwise.

use foldhash::{HashMap, HashMapExt as _};

use crate::Pair;

/// The end mark, which every answer has as its last piece.
pub const END: u32 = 0;

/// The answers to one probe, each as its pieces: the reference's first, then the endpoint's.
pub type ProbePieces = Vec<Vec<u32>>;

/// Answers to all probes as numbers for their pieces, which are shared by both sides and all probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interned {
    /// One for each probe, in the order given.
    pub probes: Vec<ProbePieces>,
    /// How many different pieces there are, the end mark among them; all numbers are below.
    pub distinct: usize,
}

impl Interned {
    /// As many answers, of which nothing was read.
    pub fn none(pairs: &[&Pair<'_>]) -> Self {
        let probes = pairs.iter().map(|p| vec![Vec::new(); p.reference.len() + p.endpoint.len()]).collect();
        Self { probes, distinct: 1 }
    }
}

/// Numbers the pieces of both sides' answers in the order in which they first occur.
pub fn intern<'a>(pairs: impl IntoIterator<Item = &'a Pair<'a>>) -> Interned {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut of_text = |text: &'a str| -> Vec<u32> {
        let mut out = Vec::with_capacity(text.len() / 5 + 2);
        out.extend(pieces(text).map(|piece| {
            let next = numbers.len() as u32 + 1;
            *numbers.entry(piece).or_insert(next)
        }));
        out.push(END);
        out
    };
    let probes = pairs
        .into_iter()
        .map(|pair| pair.reference.iter().chain(&pair.endpoint).map(|text| of_text(text)).collect())
        .collect();
    Interned { probes, distinct: numbers.len() + 1 }
}

/// Cuts a text into its pieces, without the end mark.
pub fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text }
}

/// The pieces of a text; see [`pieces`].
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(end_of_first(self.rest));
        self.rest = rest;
        Some(piece)
    }
}

/// What a character is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Word,
    /// A word by itself.
    Single,
    Punctuation,
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return match c {
            '0'..='9' | 'A'..='Z' | 'a'..='z' | '_' => Class::Word,
            c if c.is_whitespace() => Class::Space,
            _ => Class::Punctuation,
        };
    }
    if c.is_whitespace() {
        Class::Space
    } else if is_written_without_spaces(c) {
        Class::Single
    } else if c.is_alphanumeric() || is_combining(c) {
        Class::Word
    } else {
        Class::Punctuation
    }
}

/// Thai and Lao, Tibetan and Myanmar, Khmer, kana, Han.
fn is_written_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Accents that stand beside their letter, and the signs of Indian scripts that are no letters.
fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}')
}

/// Where the first piece ends, in bytes: after the white space at the start and one run of one class.
fn end_of_first(text: &str) -> usize {
    let mut run: Option<Class> = None;
    for (at, c) in text.char_indices() {
        match (run, class(c)) {
            (None, Class::Space) => {}
            (None, Class::Single) => return at + c.len_utf8(),
            (None, first) => run = Some(first),
            (Some(first), next) if first == next => {}
            (Some(_), _) => return at,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<&str> {
        pieces(text).collect()
    }

    #[test]
    fn white_space_goes_with_what_follows_it() {
        assert_eq!(cut("Yes,  it's \"so\".\n"), ["Yes", ",", "  it", "'", "s", " \"", "so", "\".", "\n"]);
        assert!(cut("").is_empty());
        assert_eq!(cut(" \n"), [" \n"]);
    }

    #[test]
    fn characters_of_scripts_without_spaces_stand_alone_and_accents_do_not() {
        assert_eq!(cut("我是 GPT。"), ["我", "是", " GPT", "。"]);
        assert_eq!(cut("cafe\u{301} naïve"), ["cafe\u{301}", " naïve"]);
    }

    #[test]
    fn equal_pieces_have_one_number_on_both_sides_and_every_answer_ends_with_the_mark() {
        let pairs = [
            Pair { probe: "p", reference: vec!["a b", ""], endpoint: vec![" b a"] },
            Pair { probe: "q", reference: vec!["b"], endpoint: vec!["a"] },
        ];
        let found = intern(&pairs);
        assert_eq!(found.probes, [vec![vec![1, 2, END], vec![END], vec![2, 3, END]], vec![vec![4, END], vec![1, END]]]);
        assert_eq!(found.distinct, 5);
    }

    proptest! {
        #[test]
        fn pieces_are_never_empty_and_make_the_text_again(text in "\\PC{0,80}|[ \\t\\na-c,.!\u{3042}\u{4e00}\u{301}]{0,60}") {
            let found = cut(&text);
            prop_assert!(found.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(found.concat(), text);
        }
    }
}
