//! Products of a few rows with a panel of weights, in whatever vector instructions the processor has.
//!
//! Pure arithmetic below the engine of `samemodel`'s lab, in a crate of its own so that it is optimised in builds for tests too,
//! where all else is built for speed of compiling. Each sum goes from the first product to the last in steps that depend on nothing but its
//! own row, so a row's result is the same, bit for bit, however many others come with it.

// Vector instructions only stay what they are within functions that are compiled for the processor that has them.
#![allow(clippy::inline_always)]

use std::array;

use pulp::{Arch, Simd, WithSimd, bytemuck};

/// Outputs of a panel, whose weights for one input lie side by side: whole vectors on every processor.
pub const PANEL: usize = 64;

/// Rows to be multiplied by a panel.
pub struct Product<'a> {
    /// For each input `PANEL` weights.
    pub panel: &'a [f32],
    /// Rows of `inputs` numbers.
    pub rows: &'a [f32],
    /// Numbers in a row, and in a column of the panel.
    pub inputs: usize,
    /// After how many inputs each sum is begun anew, both parts to be added at the end.
    pub cut: Option<usize>,
    /// As many rows of `outputs` numbers, which are written from `first` on.
    pub out: &'a mut [f32],
    /// Numbers in a row of the result.
    pub outputs: usize,
    /// Where the panel's outputs begin in it.
    pub first: usize,
}

impl Product<'_> {
    /// Writes the products.
    ///
    /// # Panics
    ///
    /// When the slices are not of the sizes said.
    pub fn write(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    /// Several rows share what is loaded of the weights; sums in about eight registers keep the processor's adders busy.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.rows.len() / self.inputs;
        let mut row = 0;
        while rows - row >= 4 {
            self.block::<S, 4, 2>(simd, row);
            row += 4;
        }
        if rows - row >= 2 {
            self.block::<S, 2, 4>(simd, row);
            row += 2;
        }
        if rows > row {
            self.block::<S, 1, 4>(simd, row);
        }
    }
}

impl Product<'_> {
    /// `R` rows from `row` on, `C` vectors of outputs at a time.
    #[inline(always)]
    fn block<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, row: usize) {
        let panel: &[S::f32s] = bytemuck::cast_slice(self.panel);
        let rows: [&[f32]; R] = array::from_fn(|r| &self.rows[(row + r) * self.inputs..][..self.inputs]);
        let vectors = PANEL / S::F32_LANES;
        for column in (0..vectors).step_by(C) {
            // No closure here: it would be compiled for any processor, and call each vector instruction.
            let weights = (panel, vectors, column);
            let sums = match self.cut {
                None => sum::<S, R, C>(simd, weights, rows, 0..self.inputs),
                Some(cut) => {
                    let mut sums = sum::<S, R, C>(simd, weights, rows, 0..cut);
                    let rest = sum::<S, R, C>(simd, weights, rows, cut..self.inputs);
                    for (sum, rest) in sums.iter_mut().flatten().zip(rest.iter().flatten()) {
                        *sum = simd.add_f32s(*sum, *rest);
                    }
                    sums
                }
            };
            let first = column * S::F32_LANES;
            let wanted = (C * S::F32_LANES).min((self.outputs - self.first).saturating_sub(first));
            // The last panel may be filled up.
            if wanted == 0 {
                return;
            }
            for (r, sums) in sums.iter().enumerate() {
                let start = (row + r) * self.outputs + self.first + first;
                let sums: &[f32] = bytemuck::cast_slice(sums);
                self.out[start..start + wanted].copy_from_slice(&sums[..wanted]);
            }
        }
    }
}

/// The sums over a range of inputs, for some vectors of outputs from `column` on.
#[inline(always)]
fn sum<S: Simd, const R: usize, const C: usize>(
    simd: S,
    (panel, vectors, column): (&[S::f32s], usize, usize),
    rows: [&[f32]; R],
    inputs: std::ops::Range<usize>,
) -> [[S::f32s; C]; R] {
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    for input in inputs {
        let weights: [S::f32s; C] = array::from_fn(|c| panel[input * vectors + column + c]);
        for (sums, row) in sums.iter_mut().zip(rows) {
            let value = simd.splat_f32s(row[input]);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(value, weight, *sum);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products of rows with a panel of weights, one number after the other.
    fn plain(panel: &[f32], row: &[f32], output: usize) -> f64 {
        row.iter().enumerate().map(|(input, x)| f64::from(*x) * f64::from(panel[input * PANEL + output])).sum()
    }

    #[test]
    fn products_are_sums_of_products_for_any_number_of_rows_and_outputs() {
        let inputs = 37;
        let panel: Vec<f32> = (0..inputs * PANEL).map(|i| (i as f32 * 0.37).sin()).collect();
        for (rows, outputs, cut) in [(1, 64, None), (2, 8, Some(18)), (3, 33, None), (11, 50, Some(1))] {
            let x: Vec<f32> = (0..rows * inputs).map(|i| (i as f32 * 0.11).cos()).collect();
            let mut out = vec![7.0; rows * outputs];
            Product { panel: &panel, rows: &x, inputs, cut, out: &mut out, outputs, first: 0 }.write();
            for (row, out) in x.chunks_exact(inputs).zip(out.chunks_exact(outputs)) {
                for (output, found) in out.iter().enumerate() {
                    assert!((f64::from(*found) - plain(&panel, row, output)).abs() < 1e-5, "{rows} {outputs}");
                }
            }
        }
    }
}
