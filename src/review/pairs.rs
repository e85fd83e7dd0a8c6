//! Answers side by side: which of the new ones stands beside which of those approved.
//!
//! Part of layer 4's review, pure. The same text pairs with itself; what is left pairs with what it is most like, and the rest by its
//! rank, so that both columns hold text from the first line on.

use crate::snapshot::{Answer, Snapshot};

/// Distinct texts of one side that are matched by likeness, which is quadratic in them; beyond this they are paired in order.
const MOST_MATCHED: usize = 40;

/// Characters of a text that likeness is judged by.
const LONGEST: usize = 300;

/// Of texts less alike than this, marks on the words that differ say nothing.
const ALIKE: f64 = 0.3;

/// One distinct text and how often it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The text, and tool calls each on a line of its own.
    pub text: String,
    /// How often it came.
    pub count: usize,
}

/// How both sides of a row go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// They are the same text.
    Same,
    /// They differ in some words.
    Alike,
    /// They stand beside each other by rank alone, or one is missing.
    Unlike,
}

/// A row: what was approved and what came, one of which may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Approved.
    pub approved: Option<Counted>,
    /// New.
    pub new: Option<Counted>,
    /// How they go together.
    pub likeness: Likeness,
}

impl Pair {
    fn of(approved: Counted, new: Counted, likeness: Likeness) -> Self {
        Self { approved: Some(approved), new: Some(new), likeness }
    }

    /// Whether both sides say the same.
    pub fn is_same(&self) -> bool {
        self.likeness == Likeness::Same
    }
}

/// All answers of both, those that differ first and alike ones side by side, the more frequent before the rarer.
pub fn pairs(approved: Option<&Snapshot>, new: Option<&Snapshot>) -> Vec<Pair> {
    let mut old = approved.map(|s| counted(&s.answers)).unwrap_or_default();
    let mut fresh = new.map(|s| counted(&s.answers)).unwrap_or_default();
    let mut same = Vec::new();
    old.retain(|a| {
        let Some(at) = fresh.iter().position(|b| b.text == a.text) else { return true };
        same.push(Pair::of(a.clone(), fresh.remove(at), Likeness::Same));
        false
    });
    let mut rows = alike(&mut old, &mut fresh);
    rows.extend(by_rank(old, fresh));
    rows.extend(same);
    rows
}

/// What is like nothing, side by side in its order; what is more on one side stands alone.
fn by_rank(old: Vec<Counted>, new: Vec<Counted>) -> Vec<Pair> {
    let most = old.len().max(new.len());
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    (0..most).map(|_| Pair { approved: old.next(), new: new.next(), likeness: Likeness::Unlike }).collect()
}

/// Takes the likest pair out of both, again and again.
fn alike(old: &mut Vec<Counted>, new: &mut Vec<Counted>) -> Vec<Pair> {
    let short = |c: &Counted| -> String { c.text.chars().take(LONGEST).collect() };
    let (olds, news): (Vec<String>, Vec<String>) =
        (old.iter().take(MOST_MATCHED).map(short).collect(), new.iter().take(MOST_MATCHED).map(short).collect());
    let mut likeness: Vec<(f64, usize, usize)> = Vec::new();
    for (i, a) in olds.iter().enumerate() {
        likeness.extend(news.iter().enumerate().map(|(j, b)| (strsim::normalized_levenshtein(a, b), i, j)));
    }
    likeness.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    for (how, i, j) in likeness {
        if how >= ALIKE && chosen.iter().all(|&(a, b)| a != i && b != j) {
            chosen.push((i, j));
        }
    }
    let rows = chosen.iter().map(|&(i, j)| Pair::of(old[i].clone(), new[j].clone(), Likeness::Alike)).collect();
    let keep = |all: &mut Vec<Counted>, taken: Vec<usize>| {
        let mut at = 0..;
        all.retain(|_| at.next().is_some_and(|i| !taken.contains(&i)));
    };
    keep(old, chosen.iter().map(|c| c.0).collect());
    keep(new, chosen.iter().map(|c| c.1).collect());
    rows
}

/// Answers by text, the most frequent first.
fn counted(answers: &[Answer]) -> Vec<Counted> {
    let mut out: Vec<Counted> = Vec::new();
    for answer in answers {
        let calls = answer.tool_calls.iter().map(|(name, arguments)| format!("\n{name} {arguments}"));
        let text = answer.text.clone() + &calls.collect::<String>();
        match out.iter_mut().find(|c| c.text == text) {
            Some(there) => there.count += answer.count,
            None => out.push(Counted { text, count: answer.count }),
        }
    }
    out.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::testing::snapshot;
    use proptest::prelude::*;

    fn shown(old: &[&str], new: &[&str]) -> Vec<(Option<String>, Option<String>)> {
        let told = |c: Option<Counted>| c.map(|c| format!("{} × {}", c.count, c.text));
        let rows = pairs(Some(&snapshot(old)), Some(&snapshot(new)));
        rows.into_iter().map(|p| (told(p.approved), told(p.new))).collect()
    }

    fn row(old: &str, new: &str) -> (Option<String>, Option<String>) {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (told(old), told(new))
    }

    #[test]
    fn like_stands_beside_like_and_what_is_the_same_comes_last() {
        let old = ["the cat sat", "yes", "yes", "12345678"];
        let new = ["yes", "the cat sits", "äöüßñçéø"];
        assert_eq!(
            shown(&old, &new),
            [
                row("1 × the cat sat", "1 × the cat sits"),
                row("1 × 12345678", "1 × äöüßñçéø"),
                row("2 × yes", "1 × yes"),
            ]
        );
    }

    #[test]
    fn what_is_like_nothing_stands_beside_what_is_as_frequent() {
        let rows = shown(&["1234", "1234", "5678"], &["äöüß", "ñçéø", "ñçéø", "èàùî"]);
        assert_eq!(rows, [row("2 × 1234", "2 × ñçéø"), row("1 × 5678", "1 × äöüß"), row("", "1 × èàùî")]);
        let pairs = pairs(Some(&snapshot(&["1234"])), Some(&snapshot(&["äöüß"])));
        assert_eq!(pairs[0].likeness, Likeness::Unlike);
    }

    #[test]
    fn without_an_approved_snapshot_every_answer_is_new() {
        let rows = pairs(None, Some(&snapshot(&["a", "b"])));
        assert!(rows.iter().all(|r| r.approved.is_none()) && rows.len() == 2);
    }

    proptest! {
        #[test]
        fn every_answer_stands_in_one_row(old in proptest::collection::vec("[ab]{0,3}", 1..8), new in proptest::collection::vec("[ab]{0,3}", 1..8)) {
            let texts = |of: &[String]| -> Vec<String> { let mut t = of.to_vec(); t.sort(); t };
            let refs = |of: &'_ [String]| -> Vec<String> { of.to_vec() };
            let (o, n) = (refs(&old), refs(&new));
            let o: Vec<&str> = o.iter().map(String::as_str).collect();
            let n: Vec<&str> = n.iter().map(String::as_str).collect();
            let rows = pairs(Some(&snapshot(&o)), Some(&snapshot(&n)));
            let side = |pick: fn(&Pair) -> &Option<Counted>| {
                let mut all: Vec<String> =
                    rows.iter().filter_map(|r| pick(r).as_ref()).flat_map(|c| vec![c.text.clone(); c.count]).collect();
                all.sort();
                all
            };
            prop_assert_eq!(side(|r| &r.approved), texts(&old));
            prop_assert_eq!(side(|r| &r.new), texts(&new));
        }
    }
}
