//! The difference of two answers as it is read: few long changes instead of many shreds, and no long stretch of agreement.
//!
//! Layer 4, pure. Works on raw text; each format escapes the pieces for where they go.

use crate::signal::contrast::{Change, Contrast, Side};

/// Characters of agreement shown beside a change where more agree.
const CONTEXT: usize = 60;

/// Below this share of common characters the answers are better read one after the other.
const ENOUGH_IN_COMMON: f64 = 0.2;

/// How a contrast is best shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// One text with its changes.
    Changes(Vec<Change>),
    /// Both answers: too little is common to both.
    Both,
}

/// Chooses how to show a contrast.
pub fn shown(contrast: &Contrast) -> Shown {
    let pieces = readable(&contrast.changes);
    let common: usize = pieces.iter().filter_map(|p| if let Piece::Same(t) = p { Some(length(t)) } else { None }).sum();
    let longer = length(&contrast.reference).max(length(&contrast.endpoint));
    if (common as f64) < ENOUGH_IN_COMMON * longer as f64 {
        return Shown::Both;
    }
    Shown::Changes(flatten(elide(pieces)))
}

/// Both texts whole, as few long changes instead of many shreds.
pub fn joined(changes: &[Change]) -> Vec<Change> {
    flatten(readable(changes))
}

/// The text with its side marked by characters alone: `[-…-]` and `{+…+}`.
pub fn marked(side: Side, text: &str) -> String {
    match side {
        Side::Both => text.to_owned(),
        Side::Reference => format!("[-{text}-]"),
        Side::Endpoint => format!("{{+{text}+}}"),
    }
}

/// A stretch in which both agree, or one in which they do not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Same(String),
    Differs { reference: String, endpoint: String },
}

impl Piece {
    /// The longer side's characters.
    fn weight(&self) -> usize {
        match self {
            Self::Same(text) => length(text),
            Self::Differs { reference, endpoint } => length(reference).max(length(endpoint)),
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Joins changes across agreements that are shorter than the changes on both sides of them: a common "the" between two
/// sentences that have nothing to do with each other only hinders reading.
fn readable(changes: &[Change]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for change in changes {
        push(&mut out, change);
        while let [.., before @ Piece::Differs { .. }, Piece::Same(same), after @ Piece::Differs { .. }] =
            out.as_slice()
        {
            if length(same.trim()) > before.weight().min(after.weight()) {
                break;
            }
            merge_last_three(&mut out);
        }
    }
    out
}

fn push(out: &mut Vec<Piece>, change: &Change) {
    let text = change.text.as_str();
    match (change.side, out.last_mut()) {
        (Side::Both, Some(Piece::Same(same))) => same.push_str(text),
        (Side::Both, _) => out.push(Piece::Same(text.to_owned())),
        (Side::Reference, Some(Piece::Differs { reference, .. })) => reference.push_str(text),
        (Side::Endpoint, Some(Piece::Differs { endpoint, .. })) => endpoint.push_str(text),
        (Side::Reference, _) => out.push(Piece::Differs { reference: text.to_owned(), endpoint: String::new() }),
        (Side::Endpoint, _) => out.push(Piece::Differs { reference: String::new(), endpoint: text.to_owned() }),
    }
}

fn merge_last_three(out: &mut Vec<Piece>) {
    let mut sides = (String::new(), String::new());
    for piece in out.split_off(out.len().saturating_sub(3)) {
        match piece {
            Piece::Same(text) => {
                sides.0.push_str(&text);
                sides.1.push_str(&text);
            }
            Piece::Differs { reference, endpoint } => {
                sides.0.push_str(&reference);
                sides.1.push_str(&endpoint);
            }
        }
    }
    out.push(Piece::Differs { reference: sides.0, endpoint: sides.1 });
}

/// Leaves out the middle of long agreements, and their outer end at the start and the end of the text.
fn elide(pieces: Vec<Piece>) -> Vec<Piece> {
    let last = pieces.len().saturating_sub(1);
    let shorten = |(at, piece)| match piece {
        Piece::Same(text) => {
            let head = if at == 0 { 0 } else { CONTEXT };
            let tail = if at == last { 0 } else { CONTEXT };
            Piece::Same(without_middle(&text, head, tail))
        }
        differs @ Piece::Differs { .. } => differs,
    };
    if pieces.len() < 2 { pieces } else { pieces.into_iter().enumerate().map(shorten).collect() }
}

fn without_middle(text: &str, head: usize, tail: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    // Nothing is won by leaving out a word.
    if all.len() <= head + tail + 20 {
        return text.to_owned();
    }
    let start: String = all[..head].iter().collect();
    let end: String = all[all.len() - tail..].iter().collect();
    format!("{start} … {end}")
}

fn flatten(pieces: Vec<Piece>) -> Vec<Change> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Same(text) => out.push(Change { side: Side::Both, text }),
            Piece::Differs { reference, endpoint } => {
                out.push(Change { side: Side::Reference, text: reference });
                out.push(Change { side: Side::Endpoint, text: endpoint });
            }
        }
    }
    out.retain(|c| !c.text.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::contrast::contrast;
    use proptest::prelude::*;

    fn diffed(reference: &str, endpoint: &str) -> Option<String> {
        let found = contrast("p", &[reference], &[endpoint])?;
        let Shown::Changes(changes) = shown(&found) else { return None };
        Some(changes.iter().map(|c| marked(c.side, &c.text)).collect())
    }

    #[test]
    fn a_changed_word_stands_alone() {
        let found = diffed("the quick brown fox jumps over it", "the quick red fox jumps over it");
        assert_eq!(found.as_deref(), Some("the quick [-brown-]{+red+} fox jumps over it"));
    }

    #[test]
    fn shreds_are_joined() {
        let found =
            diffed("it is now said that some cats are dangerous", "it is now said that most dogs and mice sleep");
        assert_eq!(
            found.as_deref(),
            Some("it is now said that [-some cats are dangerous-]{+most dogs and mice sleep+}")
        );
    }

    #[test]
    fn texts_with_little_in_common_are_shown_whole() {
        assert_eq!(diffed("alpha beta gamma delta", "one two three four"), None);
        assert_eq!(diffed("alpha beta", ""), None);
    }

    #[test]
    fn long_agreement_is_left_out() {
        let long = "word ".repeat(60);
        let found = diffed(&format!("{long}end"), &format!("{long}stop")).expect("much in common");
        assert!(found.starts_with(" … ") && found.ends_with("word [-end-]{+stop+}"), "{found}");
        assert!(found.len() < 100, "{found}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn joining_keeps_both_texts_whole(a in "[a-c ]{0,30}", b in "[a-c ]{0,30}") {
            let Some(found) = contrast("p", &[&a], &[&b]) else { return Ok(()) };
            let pieces = flatten(readable(&found.changes));
            let without = |skip| -> String { pieces.iter().filter(|c| c.side != skip).map(|c| c.text.as_str()).collect() };
            prop_assert_eq!(without(Side::Endpoint), a);
            prop_assert_eq!(without(Side::Reference), b);
        }
    }
}
