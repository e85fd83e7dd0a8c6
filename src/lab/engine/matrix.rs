//! Weight matrices in candle's number formats, and their product with a few rows.
//!
//! Blocks are quantised by candle's own code (`k_quants`), the same that `QTensor::quantize` comes down to: weights in blocks
//! of 4, 5 or 8 bits, activations in 8 bits, as its `QMatMul` does. What comes of that, or of rounding to half precision, is kept as
//! the numbers that it stands for, so a product of rounded numbers is exact up to the order of its sums, and as fast as any.

use std::fmt;
use std::ops::Range;

use candle_core::quantized::k_quants::{BlockQ4_0, BlockQ5_0, BlockQ8_0, GgmlType};
use half::f16;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use samemodel_kernel::{PANEL, Product};

use super::spec::SumOrder;

/// Numbers in a block of each quantised format; rows are whole blocks.
pub const BLOCK: usize = 32;

/// What the numbers of a weight matrix are rounded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// Single precision, which holds the half precision of the files exactly.
    F32,
    /// Half precision, as in the files.
    F16,
    /// 4 bits and a scale for 32 numbers.
    Q4_0,
    /// 5 bits and a scale for 32 numbers.
    Q5_0,
    /// 8 bits and a scale for 32 numbers.
    Q8_0,
}

impl WeightFormat {
    /// All of them, the exact ones first.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Q8_0, Self::Q5_0, Self::Q4_0];

    /// The format with this name, of those that hold the files exactly.
    pub fn exact(name: &str) -> Option<Self> {
        [Self::F32, Self::F16].into_iter().find(|format| format.to_string() == name)
    }

    /// The format with this name, of those with fewer bits than the files.
    pub fn quantized(name: &str) -> Option<Self> {
        [Self::Q4_0, Self::Q5_0, Self::Q8_0].into_iter().find(|format| format.to_string() == name)
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q4_0 => "q4_0",
            Self::Q5_0 => "q5_0",
            Self::Q8_0 => "q8_0",
        })
    }
}

/// A matrix of `outputs` rows of `inputs` numbers.
pub struct Matrix {
    /// In panels of [`PANEL`] outputs, the last one filled up with zeros: within a panel, all outputs of an input side by side.
    weights: Vec<f32>,
    activations: Activations,
    inputs: usize,
    outputs: usize,
    sums: SumOrder,
}

/// What is multiplied by the weights.
#[derive(Clone, Copy)]
enum Activations {
    /// Rows as they are.
    Whole,
    /// Rows rounded to blocks of 8 bits, as the formats of a few bits take them.
    Rounded,
}

impl Matrix {
    /// Keeps `values`, row after row of `inputs` numbers, in a format, to be summed in an order.
    ///
    /// # Panics
    ///
    /// When `values` is not whole rows, or a row not whole blocks: whoever loads weights checks first.
    pub fn new(values: &[f32], inputs: usize, (format, sums): (WeightFormat, SumOrder)) -> Self {
        assert!(
            inputs.is_multiple_of(BLOCK) && values.len().is_multiple_of(inputs),
            "a matrix has whole rows of whole blocks"
        );
        let (weights, activations) = match format {
            WeightFormat::F32 => (panels(values, inputs), Activations::Whole),
            WeightFormat::F16 => (panels(&rounded::<f16>(values), inputs), Activations::Whole),
            WeightFormat::Q4_0 => (panels(&rounded::<BlockQ4_0>(values), inputs), Activations::Rounded),
            WeightFormat::Q5_0 => (panels(&rounded::<BlockQ5_0>(values), inputs), Activations::Rounded),
            WeightFormat::Q8_0 => (panels(&rounded::<BlockQ8_0>(values), inputs), Activations::Rounded),
        };
        Self { weights, activations, inputs, outputs: values.len() / inputs, sums }
    }

    /// The length of a product's rows.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// These rows, as they are after rounding, into `out`.
    pub fn rows(&self, rows: Range<usize>, out: &mut [f32]) {
        for (row, out) in rows.zip(out.chunks_exact_mut(self.inputs)) {
            let first = row / PANEL * PANEL * self.inputs + row % PANEL;
            for (out, value) in out.iter_mut().zip(self.weights[first..].iter().step_by(PANEL)) {
                *out = *value;
            }
        }
    }

    /// Multiplies each row of `x` (`inputs` numbers) by the matrix: as many rows of `outputs` numbers.
    ///
    /// A row of the result depends on its own row of `x` alone, bit for bit, however many others come with it.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let rounded = match self.activations {
            Activations::Whole => None,
            Activations::Rounded => Some(rounded::<BlockQ8_0>(x)),
        };
        let rows = rounded.as_deref().unwrap_or(x);
        let mut out = vec![0.0; rows.len() / self.inputs * self.outputs];
        let cut = match self.sums {
            SumOrder::Usual => None,
            SumOrder::Other => Some(self.inputs / 2),
        };
        let panels = self.weights.chunks_exact(PANEL * self.inputs);
        for (panel, first) in panels.zip((0..self.outputs).step_by(PANEL)) {
            let (inputs, outputs) = (self.inputs, self.outputs);
            Product { panel, rows, inputs, cut, out: &mut out, outputs, first }.write();
        }
        out
    }
}

/// Rows brought into panels.
fn panels(rows: &[f32], inputs: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(rows.len().next_multiple_of(PANEL * inputs));
    for panel in rows.chunks(PANEL * inputs) {
        for input in 0..inputs {
            let begun = all.len();
            all.extend(panel[input..].iter().step_by(inputs));
            all.resize(begun + PANEL, 0.0);
        }
    }
    all
}

/// The scalar products of all rows of `x` with all columns of `weights`.
pub fn multiply(
    x: &ArrayView2<'_, f32>,
    weights: &ArrayView2<'_, f32>,
    mut out: ArrayViewMut2<'_, f32>,
    sums: SumOrder,
) {
    match sums {
        SumOrder::Usual => general_mat_mul(1.0, x, weights, 0.0, &mut out),
        SumOrder::Other => {
            let half = x.ncols() / 2;
            let (x, weights) = (x.split_at(Axis(1), half), weights.split_at(Axis(0), half));
            general_mat_mul(1.0, &x.0, &weights.0, 0.0, &mut out);
            general_mat_mul(1.0, &x.1, &weights.1, 1.0, &mut out);
        }
    }
}

/// Rows of this width.
pub fn view(rows: &[f32], width: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows.len() / width, width), rows).expect("there are whole rows")
}

/// Numbers as the blocks of a format hold them.
fn rounded<T: GgmlType>(x: &[f32]) -> Vec<f32> {
    let mut rounded = vec![0.0; x.len()];
    T::to_float(&encode::<T>(x), &mut rounded);
    rounded
}

fn encode<T: GgmlType>(values: &[f32]) -> Vec<T> {
    let mut blocks = vec![T::zeros(); values.len() / T::BLCK_SIZE];
    T::from_float(values, &mut blocks);
    blocks
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::*;

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    const EXACT: (WeightFormat, SumOrder) = (WeightFormat::F32, SumOrder::Usual);
    const ORDERS: [SumOrder; 2] = [SumOrder::Usual, SumOrder::Other];

    fn product(matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        matrix.apply(x)
    }

    fn near(ours: &[f32], theirs: &[f32], tolerance: f32) -> bool {
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < tolerance)
    }

    #[test]
    fn a_dense_product_is_that_of_candle() {
        let (weights, x) = (numbers(600 * 384, 0.37), numbers(3 * 384, 0.11));
        let tensor = Tensor::from_vec(weights.clone(), (600, 384), &Device::Cpu).unwrap();
        let rows = Tensor::from_vec(x.clone(), (3, 384), &Device::Cpu).unwrap();
        let expected: Vec<f32> = rows.matmul(&tensor.t().unwrap()).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        for sums in ORDERS {
            let ours = product(&Matrix::new(&weights, 384, (WeightFormat::F32, sums)), &x);
            assert!(near(&ours, &expected, 2e-5), "{sums}");
        }
    }

    #[test]
    fn half_precision_is_that_of_its_rows_in_single_precision() {
        let (weights, x) = (numbers(300 * 128, 0.37), numbers(3 * 128, 0.11));
        let halves = Matrix::new(&weights, 128, (WeightFormat::F16, SumOrder::Usual));
        let mut rows = vec![0.0; 300 * 128];
        halves.rows(0..300, &mut rows);
        assert_eq!(product(&halves, &x), product(&Matrix::new(&rows, 128, EXACT), &x));
    }

    #[test]
    fn the_order_of_sums_shows_in_the_last_bits_only() {
        let (weights, x) = (numbers(8 * 128, 0.37), numbers(128, 0.11));
        let [usual, other] = ORDERS.map(|sums| product(&Matrix::new(&weights, 128, (WeightFormat::F32, sums)), &x));
        assert!(usual != other && near(&usual, &other, 1e-5));
    }

    #[test]
    fn quantised_rows_are_those_of_candle() {
        let weights = numbers(4 * 64, 0.37);
        for (ours, theirs) in [
            (WeightFormat::Q4_0, GgmlDType::Q4_0),
            (WeightFormat::Q5_0, GgmlDType::Q5_0),
            (WeightFormat::Q8_0, GgmlDType::Q8_0),
        ] {
            let matrix = Matrix::new(&weights, 64, (ours, SumOrder::Usual));
            let tensor = Tensor::from_vec(weights.clone(), (4, 64), &Device::Cpu).unwrap();
            let tensor = QTensor::quantize(&tensor, theirs).unwrap().dequantize(&Device::Cpu).unwrap();
            let expected: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            let mut rows = vec![0.0; 4 * 64];
            matrix.rows(0..4, &mut rows);
            assert_eq!(rows, expected, "{ours}");
            assert_ne!(rows, weights, "{ours} rounds");
        }
    }

    #[test]
    fn a_quantised_product_is_that_of_candle() {
        let (weights, x) = (numbers(8 * 384, 0.37), numbers(384, 0.11));
        let block = |format: WeightFormat| {
            let values = |output: usize| &weights[output * 384..(output + 1) * 384];
            let x = encode::<BlockQ8_0>(&x);
            let of = |output: usize| match format {
                WeightFormat::Q4_0 => BlockQ4_0::vec_dot(384, &encode(values(output)), &x),
                WeightFormat::Q5_0 => BlockQ5_0::vec_dot(384, &encode(values(output)), &x),
                _ => BlockQ8_0::vec_dot(384, &encode(values(output)), &x),
            };
            (0..8).map(of).collect::<Vec<_>>()
        };
        for format in [WeightFormat::Q4_0, WeightFormat::Q5_0, WeightFormat::Q8_0] {
            let ours = product(&Matrix::new(&weights, 384, (format, SumOrder::Usual)), &x);
            assert!(near(&ours, &block(format), 1e-4), "{format}: {ours:?} for {:?}", block(format));
        }
    }

    #[test]
    fn a_row_of_a_product_does_not_depend_on_its_company() {
        for format in WeightFormat::ALL {
            for (sums, (inputs, outputs)) in ORDERS.into_iter().flat_map(|sums| [(sums, (64, 6)), (sums, (384, 129))]) {
                let matrix = Matrix::new(&numbers(inputs * outputs, 0.37), inputs, (format, sums));
                let x = numbers(37 * inputs, 0.11);
                let alone: Vec<f32> = x.chunks_exact(inputs).flat_map(|row| product(&matrix, row)).collect();
                for rows in [2, 5, 8, 19, 37] {
                    let together = product(&matrix, &x[..rows * inputs]);
                    assert_eq!(together, alone[..rows * outputs], "{format} {sums} {rows}");
                }
            }
        }
    }
}
