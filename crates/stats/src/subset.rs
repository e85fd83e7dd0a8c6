//! Sums over the pairs of a chosen part of a probe's answers, for many choices at once.
//!
//! Answers stand in groups of four. What every part of one group gives with every part of another is added up once (the "method of four
//! Russians": Arlazarov, Dinic, Kronrod and Faradzhev 1970), so that a choice costs one look-up for each pair of groups
//! instead of one addition for each pair of answers.

use std::ops::Range;

use crate::kernel::{Kernels, Lanes, Packed};
use crate::presence::Labels;

/// Answers in a group.
const GROUP: usize = 4;

/// Parts of a group.
const PARTS: usize = 1 << GROUP;

/// Which answers are chosen, for many choices: one row for each group of answers, and in it, for each choice, one bit for each
/// answer of the group.
#[derive(Debug)]
pub struct Choices {
    choices: usize,
    parts: Vec<u8>,
}

impl Choices {
    /// Of so many answers none is chosen, in any of so many choices.
    pub fn none(answers: usize, choices: usize) -> Self {
        Self { choices, parts: vec![0; answers.div_ceil(GROUP) * choices] }
    }

    /// One choice of consecutive answers.
    pub fn of_one(answers: usize, chosen: Range<usize>) -> Self {
        let mut out = Self::none(answers, 1);
        chosen.for_each(|answer| out.parts[answer / GROUP] |= 1 << (answer % GROUP));
        out
    }

    /// Enters the choices of a block from choice `at` on: the answers of label 1.
    pub fn enter(&mut self, labels: &[Labels], at: usize) {
        for (answer, row) in labels.iter().enumerate() {
            let start = answer / GROUP * self.choices;
            let parts = &mut self.parts[start + at..start + self.choices];
            parts.iter_mut().zip(row).for_each(|(part, label)| *part |= label << (answer % GROUP));
        }
    }

    /// One row for each group.
    fn groups(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.parts.chunks_exact(self.choices.max(1))
    }

    /// For each choice the sum of what the answers have by themselves.
    pub fn sums<const N: usize>(&self, values: &[[f64; N]]) -> Vec<[f64; N]> {
        let mut out = vec![[0.0; N]; self.choices];
        for (values, parts) in values.chunks(GROUP).zip(self.groups()) {
            let table = parts_of(values, [0.0; N], |sum, value| std::array::from_fn(|k| sum[k] + value[k]));
            for (sum, &part) in out.iter_mut().zip(parts) {
                let add = &table[usize::from(part) % PARTS];
                sum.iter_mut().zip(add).for_each(|(sum, value)| *sum += value);
            }
        }
        out
    }

    /// For each choice the kernels summed over its unordered pairs, in [`crate::kernel::UNITS`].
    pub fn pair_sums(&self, kernels: &Kernels) -> Vec<Lanes> {
        let mut out = vec![Lanes::default(); self.choices];
        let mut packed = vec![Packed::default(); self.choices];
        let mut tables = [[Packed::default(); PARTS * PARTS]; 2];
        let mut summands = 0;
        let groups: Vec<&[u8]> = self.groups().collect();
        for (b, of_b) in groups.iter().enumerate() {
            // Two groups at a time, so that a choice's sum is fetched and stored half as often.
            for (pair, of_pair) in groups[..=b].chunks(2).enumerate() {
                if summands + 2 * GROUP * GROUP > Packed::SUMMANDS {
                    unpack(&mut out, &mut packed);
                    summands = 0;
                }
                summands += 2 * GROUP * GROUP;
                for (k, table) in tables.iter_mut().enumerate().take(of_pair.len()) {
                    fill(table, kernels, [2 * pair + k, b]);
                }
                match of_pair {
                    [of_a] => add_up(&mut packed, &tables[0], of_a, of_b),
                    [first, second] => add_up_two(&mut packed, &tables, [first, second], of_b),
                    _ => {}
                }
            }
        }
        unpack(&mut out, &mut packed);
        out
    }
}

/// Sums over the pairs of each part of one group with each part of another.
type Table = [Packed; PARTS * PARTS];

/// Adds to each choice's sum what its parts of two groups give.
fn add_up(sums: &mut [Packed], table: &Table, of_a: &[u8], of_b: &[u8]) {
    for ((sum, x), y) in sums.iter_mut().zip(of_a).zip(of_b) {
        *sum = sum.plus(table[usize::from(x << GROUP | y)]);
    }
}

/// The same of two groups `a` at once, each with its table.
fn add_up_two(sums: &mut [Packed], tables: &[Table; 2], [first, second]: [&[u8]; 2], of_b: &[u8]) {
    for (((sum, x), other), y) in sums.iter_mut().zip(first).zip(second).zip(of_b) {
        let one = tables[0][usize::from(x << GROUP | y)];
        *sum = sum.plus(one).plus(tables[1][usize::from(other << GROUP | y)]);
    }
}

fn unpack(out: &mut [Lanes], packed: &mut [Packed]) {
    for (sums, packed) in out.iter_mut().zip(packed) {
        let lanes = std::mem::take(packed).lanes();
        sums.iter_mut().zip(lanes).for_each(|(sum, value)| *sum += value);
    }
}

/// The sums of all parts of at most [`GROUP`] values.
fn parts_of<T: Copy>(values: &[T], zero: T, plus: impl Fn(T, T) -> T) -> [T; PARTS] {
    let mut out = [zero; PARTS];
    for (k, &value) in values.iter().enumerate() {
        for part in 0..1 << k {
            out[part + (1 << k)] = plus(out[part], value);
        }
    }
    out
}

/// Fills a table with kernels summed over the pairs of each part of group `a` with each part of group `b`, the latter side by side; within one
/// group over unordered pairs. The table's first row has to be 0, as that of the empty part stays.
fn fill(table: &mut Table, kernels: &Kernels, [a, b]: [usize; 2]) {
    let end = |group: usize| ((group + 1) * GROUP).min(kernels.answers());
    for (k, i) in (a * GROUP..end(a)).enumerate() {
        // Within a group each pair stands once: with the later of its answers.
        let others = if a == b { b * GROUP..i } else { b * GROUP..end(b) };
        let seen = (1 << others.len()) - 1;
        let with_i = parts_of(&kernels.row(i)[others], Packed::default(), Packed::plus);
        for part in 0..1 << k {
            for other in 0..PARTS {
                table[(part + (1 << k)) * PARTS + other] = table[part * PARTS + other].plus(with_i[other & seen]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::LANES;
    use crate::presence::BLOCK;

    proptest! {
        #[test]
        fn sums_over_a_choice_are_those_over_its_pairs_and_answers(
            texts in prop::collection::vec("[ab]{0,6}", 2..15),
            bits in prop::collection::vec(any::<u16>(), 1..5),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let kernels = Kernels::new(&texts);
            let values: Vec<[f64; 2]> = (0..texts.len()).map(|i| [i as f64, 1.0]).collect();
            let mut labels = vec![[0_u8; BLOCK]; texts.len()];
            for (i, row) in labels.iter_mut().enumerate() {
                bits.iter().zip(row).for_each(|(bits, label)| *label = (bits >> i & 1) as u8);
            }
            let mut choices = Choices::none(texts.len(), bits.len());
            choices.enter(&labels, 0);
            let (pairs, single) = (choices.pair_sums(&kernels), choices.sums(&values));
            for (at, bits) in bits.iter().enumerate() {
                let chosen: Vec<usize> = (0..texts.len()).filter(|i| bits >> i & 1 == 1).collect();
                let mut expected = [0.0; LANES];
                for (k, &i) in chosen.iter().enumerate() {
                    for &j in &chosen[..k] {
                        expected.iter_mut().zip(kernels.row(i)[j].lanes()).for_each(|(sum, value)| *sum += value);
                    }
                }
                prop_assert_eq!(pairs[at].to_vec(), expected.to_vec());
                let sum = chosen.iter().sum::<usize>() as f64;
                prop_assert_eq!(single[at].to_vec(), vec![sum, chosen.len() as f64]);
            }
        }
    }
}
