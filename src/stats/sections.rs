//! Sums of kernels over sets of a few answers, made once for all labellings.
//!
//! The pairs within the endpoint's side are most of what a labelling costs. Answers are cut into sections; for each answer, the
//! kernels with each set of a section's answers are summed beforehand, so that a labelling adds one number a section instead of one an
//! answer.

use super::kernel::{Kernels, Packed};

/// Answers whose kernels with another are summed beforehand, for each set of them: a labelling then adds one number for all of them
/// that it takes (the method of Arlazarov, Dinic, Kronrod and Faradzev 1970).
pub(super) const SECTION: usize = 4;

/// Sums for each set of a section's answers, by its mask.
pub(super) type Section = [Packed; 1 << SECTION];

/// So many sections' sums can be added without overflow.
pub(super) const FITTING: usize = Packed::SUMMANDS / SECTION;

/// The same of the sums of pairs within sections.
pub(super) const FITTING_WITHIN: usize = Packed::SUMMANDS / (SECTION * (SECTION - 1) / 2);

/// Sums of a probe's kernels over sets of answers.
pub(super) struct Sections {
    /// For each answer the kernels with the answers of each section that ends before its own, one answer after the other.
    before: Vec<Section>,
    /// Kernels of the pairs within each section.
    pub within: Vec<Section>,
}

impl Sections {
    pub fn new(kernels: &Kernels) -> Self {
        let n = kernels.answers();
        let mut out = Self { before: Vec::new(), within: Vec::new() };
        for i in 0..n {
            let row = kernels.row(i);
            out.before.extend((0..i / SECTION).map(|section| sums_of_sets(&row[section * SECTION..][..SECTION])));
        }
        for first in (0..n).step_by(SECTION) {
            let mut section = Section::default();
            for mask in 1_usize..section.len() {
                // The last answer of a set with those before it, beside the pairs of those.
                let last = mask.ilog2() as usize;
                let rest = mask & !(1 << last);
                section[mask] = section[rest];
                if first + last < n {
                    let row = &kernels.row(first + last)[first..first + last];
                    section[mask].add(&sums_of_sets(row)[rest]);
                }
            }
            out.within.push(section);
        }
        out
    }

    /// One answer's, for the sections before its own.
    pub fn before(&self, answer: usize) -> &[Section] {
        let (whole, more) = (answer / SECTION, answer % SECTION);
        let first = SECTION * whole.saturating_sub(1) * whole / 2 + more * whole;
        &self.before[first..first + whole]
    }
}

/// The sums of each set of at most [`SECTION`] kernels.
fn sums_of_sets(kernels: &[Packed]) -> Section {
    let mut out = Section::default();
    for mask in 1_usize..1 << kernels.len() {
        let last = mask.ilog2() as usize;
        out[mask] = out[mask & !(1 << last)];
        out[mask].add(&kernels[last]);
    }
    out
}

/// The masks of answers in ascending or any other order.
pub(super) fn masks(answers: &[u32], out: &mut [u8]) {
    out.fill(0);
    for &answer in answers {
        out[answer as usize / SECTION] |= 1 << (answer as usize % SECTION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::kernel::Lane;

    #[test]
    fn sums_of_sections_are_those_of_their_pairs() {
        let texts: Vec<String> = (0..11_usize).map(|i| "abcdefghijk"[..i].repeat(1 + i % 3)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let kernels = Kernels::new(&texts);
        let sections = Sections::new(&kernels);
        let lane = Lane::Hamming200 as usize;
        let chosen = [0, 2, 3, 5, 6, 9, 10];
        let mut of_chosen = vec![0; sections.within.len()];
        masks(&chosen, &mut of_chosen);
        let value = |section: &Section, mask: u8| u32::from(section[usize::from(mask)].get(lane));
        let mut found: u32 = sections.within.iter().zip(&of_chosen).map(|(s, &mask)| value(s, mask)).sum();
        for &i in &chosen {
            found += sections.before(i as usize).iter().zip(&of_chosen).map(|(s, &mask)| value(s, mask)).sum::<u32>();
        }
        let pairs = chosen.iter().enumerate().flat_map(|(k, &i)| chosen[..k].iter().map(move |&j| (i, j)));
        let expected: u32 = pairs.map(|(i, j)| u32::from(kernels.row(i as usize)[j as usize].get(lane))).sum();
        assert_eq!(found, expected);
    }
}
