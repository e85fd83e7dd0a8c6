//! The pattern in which counts of prompt tokens differ from the reference's.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::FEWEST;
use crate::plural::count;
use crate::sample::Traits;
use crate::signal::tokens::{ProbeTokens, PromptTokens, Text};
use crate::stats::exact::Share;

/// Fewest probes of a kind (with a system message, with tools, with images) for a rule on that kind.
pub(super) const FEWEST_OF_A_KIND: usize = 2;

/// Tokens by which prompts of one kind must differ in length before one difference on all of them shows that one tokenizer counted:
/// two tokenizers that agree on a short prompt do not agree on so many more tokens.
const FAR_APART: i64 = 100;

/// Which probes differ, and by how much.
pub(super) struct Pattern<'a> {
    pub all: &'a [ProbeTokens<'a>],
    pub differing: Vec<&'a ProbeTokens<'a>>,
    /// The different differences.
    pub offsets: BTreeSet<i64>,
    /// Answers with a count that differs, and all.
    pub answers: (usize, usize),
}

/// The share of counts that one number for each kind must explain.
const NEARLY_ALL: f64 = 0.95;

/// What templates treat alike: the number of messages, and whether a system message, tools or images are among them.
type Kind = (u32, bool, bool, bool);

/// Probes that differ, by kind.
type Kinds<'a> = BTreeMap<Kind, Vec<&'a ProbeTokens<'a>>>;

/// Whether nearly all counts differ by the commonest number of their kind, and kinds have several probes.
fn is_one_for_each(kinds: &Kinds<'_>) -> bool {
    let differing: usize = kinds.values().map(Vec::len).sum();
    FEWEST_OF_A_KIND * kinds.len() <= differing && commonest(kinds).value() >= NEARLY_ALL
}

/// Of the counts that differ, the share that differs by the commonest number of its kind.
fn commonest(kinds: &Kinds<'_>) -> Share {
    let mut share = Share::default();
    for of_kind in kinds.values() {
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        of_kind.iter().flat_map(|p| p.differences()).for_each(|offset| *counts.entry(offset).or_default() += 1);
        share.showing += counts.values().max().unwrap_or(&0);
        share.all += counts.values().sum::<usize>();
    }
    share
}

fn kind(traits: Option<&Traits>) -> Kind {
    traits
        .map_or((1, false, false, false), |t| (t.messages, t.system_characters > 0, !t.tools.is_empty(), t.images > 0))
}

impl<'a> Pattern<'a> {
    pub fn of(tokens: &'a PromptTokens<'a>) -> Option<Self> {
        let differing: Vec<&ProbeTokens<'_>> = tokens.differing().collect();
        let offsets: BTreeSet<i64> = differing.iter().flat_map(|p| p.differences()).collect();
        let touched = differing.iter().map(|p| p.differences().count()).sum();
        let answers = (touched, tokens.probes.iter().map(|p| p.seen.len()).sum());
        (!differing.is_empty()).then_some(Self { all: &tokens.probes, differing, offsets, answers })
    }

    /// The one difference, where there is only one.
    pub fn offset(&self) -> Option<i64> {
        if self.offsets.len() == 1 { self.offsets.first().copied() } else { None }
    }

    /// Whether all counts that differ are lower than the reference's.
    pub fn is_lower(&self) -> bool {
        self.offsets.iter().all(|offset| *offset < 0)
    }

    /// Whether nothing differs but probes of a kind, several of them, beside enough others.
    pub fn is_only_where(&self, has: impl Fn(&Traits) -> bool) -> bool {
        let of_kind = |p: &&ProbeTokens<'_>| p.traits.is_some_and(&has);
        let others = self.all.iter().filter(|p| !of_kind(p)).count();
        self.differing.len() >= FEWEST_OF_A_KIND && others >= FEWEST && self.differing.iter().all(of_kind)
    }

    /// Whether the counts of each prompt differ, always.
    pub fn is_everywhere(&self) -> bool {
        self.differing.len() == self.all.len() && self.wavering() == 0
    }

    /// Probes that the host counts in several ways, of which one is not the reference's.
    pub fn wavering(&self) -> usize {
        self.differing.iter().filter(|p| p.wavers()).count()
    }

    /// Whether the differences are one number for each kind of probe, as those of a template are, and kinds have several probes. A
    /// template may join tokens of a few prompts.
    pub fn is_one_for_each_kind(&self) -> bool {
        is_one_for_each(&self.kinds())
    }

    /// The same where no tools are. A template writes tools in its own form, or not at all, and each takes another
    /// number of tokens then.
    pub fn is_one_but_for_tools(&self) -> bool {
        let plain = self.kinds_without_tools();
        plain.values().map(Vec::len).sum::<usize>() >= FEWEST && is_one_for_each(&plain)
    }

    /// Of the counts that differ, the share that differs by the commonest number of its kind, where no tools are.
    pub fn commonest(&self) -> Share {
        commonest(&self.kinds_without_tools())
    }

    /// Whether the same tokenizer counted: the differences are one number for each kind on prompts of far different lengths, or
    /// the answers are those of the same model.
    pub fn is_one_tokenizer(&self) -> bool {
        let far_apart = |of_kind: &Vec<&ProbeTokens<'_>>| {
            let lengths = || of_kind.iter().map(|p| p.reference);
            lengths().max().unwrap_or(0).saturating_sub(lengths().min().unwrap_or(0)) >= FAR_APART
        };
        self.same_texts() >= FEWEST_OF_A_KIND
            || self.is_one_for_each_kind() && self.kinds().values().any(far_apart)
            || self.is_one_but_for_tools() && self.kinds_without_tools().values().any(far_apart)
    }

    /// Whether long greedy answers to several prompts are the reference's although the counts are not: no other model gives those.
    pub fn is_same_model(&self) -> bool {
        self.same_texts() >= FEWEST
    }

    /// Probes with a count that differs to an answer that is the reference's.
    pub fn same_texts(&self) -> usize {
        let is_same = |p: &&&ProbeTokens<'_>| p.answers().any(|(n, text)| n != p.reference && text == Text::Same);
        self.differing.iter().filter(is_same).count()
    }

    /// Of greedy answers, the share that the reference did not give: first of those with its counts, then of those with others.
    pub fn leaving(&self) -> (Share, Share) {
        let (mut alike, mut other) = (Share::default(), Share::default());
        for probe in self.all {
            for (count, text) in probe.answers().filter(|(_, text)| *text != Text::Untold) {
                let share = if count == probe.reference { &mut alike } else { &mut other };
                share.count((text == Text::Other).into());
            }
        }
        (alike, other)
    }

    /// Of the reference's own greedy answers to the probes that differ, those that are none of its others.
    pub fn own(&self) -> Share {
        let own = self.differing.iter().map(|p| p.own);
        own.fold(Share::default(), |a, b| Share { showing: a.showing + b.showing, all: a.all + b.all })
    }

    /// How soon greedy answers with other counts leave the reference's: divergences for each character at risk, at least 0.
    pub fn hazard(&self) -> f64 {
        let leaving = || self.differing.iter().flat_map(|p| p.leaving());
        let characters: f64 = leaving().map(|o| f64::from(o.time)).sum();
        leaving().filter(|o| o.event).count() as f64 / characters.max(1.0)
    }

    /// Whether exactly the longest prompts differ, among those of each kind of which any does, beside enough shorter ones.
    pub fn is_by_length(&self) -> bool {
        let kinds = self.kinds();
        let equal = |of: Kind| self.all.iter().filter(move |p| !p.differs() && kind(p.traits) == of);
        let is_split = |(of, longer): (&Kind, &Vec<&ProbeTokens<'_>>)| {
            equal(*of).map(|p| p.reference).max() < longer.iter().map(|p| p.reference).min()
        };
        kinds.keys().map(|of| equal(*of).count()).sum::<usize>() >= FEWEST && kinds.iter().all(is_split)
    }

    /// How many tokens more are counted for each that the reference counts more, over the prompts that differ: about one where another
    /// tokenizer counts, and none where prompts are cut to one length. `None` where too few are of different lengths.
    pub fn growth(&self) -> Option<f64> {
        let counts = |p: &&ProbeTokens<'_>| Some((p.reference as f64, *p.seen.first()? as f64));
        let points: Vec<(f64, f64)> = self.differing.iter().filter_map(counts).collect();
        line(&points).map(|(_, growth)| growth)
    }

    /// `prompt_tokens 13 against 12 on 25 of 25 probes`, with the commonest example.
    pub fn seen(&self) -> String {
        let example = self.differing.iter().find_map(|p| Some((p.reference, p.reference + p.differences().next()?)));
        let (reference, endpoint) = example.unwrap_or_default();
        let (touched, all) = self.answers;
        let whole = self.differing.iter().all(|p| p.differences().count() == p.seen.len());
        let share = if whole { String::new() } else { format!(", in {touched} of {}", count(all, "answer")) };
        let (differing, probes) = (self.differing.len(), count(self.all.len(), "probe"));
        format!("prompt_tokens {endpoint} against {reference} on {differing} of {probes}{share}")
    }

    fn kinds_without_tools(&self) -> Kinds<'a> {
        let mut kinds = self.kinds();
        kinds.retain(|(_, _, tools, _), _| !tools);
        kinds
    }

    fn kinds(&self) -> Kinds<'a> {
        let mut kinds = Kinds::new();
        for probe in &self.differing {
            kinds.entry(kind(probe.traits)).or_default().push(probe);
        }
        kinds
    }
}

pub(super) fn has_system(probe: &ProbeTokens<'_>) -> bool {
    probe.traits.is_some_and(|t| t.system_characters > 0)
}

/// The straight line through points by least squares; `None` with fewer than five, or all at one place.
pub(super) fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (points.len() >= 5 && spread > 0.0).then(|| (y - together / spread * x, together / spread))
}
