//! Weight matrices in candle's number formats, and their product with a few rows.
//!
//! Blocks are quantised and multiplied by candle's own code (`k_quants`), the same that `QTensor::quantize` and `QMatMul`
//! come down to: weights in blocks of 4, 5 or 8 bits, activations in 8 bits. What is left out is their thread pool.

use std::fmt;

use candle_core::quantized::k_quants::{BlockQ4_0, BlockQ5_0, BlockQ8_0, GgmlType};

/// Numbers in a block of each quantised format; rows are whole blocks.
pub const BLOCK: usize = 32;

/// How the numbers of a weight matrix are kept.
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

/// The scalar product of two rows of equal length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "a scalar product takes two rows of one length");
    f32::vec_dot(a.len(), a, b)
}

/// A matrix of `outputs` rows of `inputs` numbers.
pub struct Matrix {
    blocks: Blocks,
    inputs: usize,
    outputs: usize,
}

enum Blocks {
    F32(Vec<f32>),
    Q4_0(Vec<BlockQ4_0>),
    Q5_0(Vec<BlockQ5_0>),
    Q8_0(Vec<BlockQ8_0>),
}

impl Matrix {
    /// Keeps `values`, row after row of `inputs` numbers, in `format`.
    ///
    /// # Panics
    ///
    /// When `values` is not whole rows, or a row of a quantised format not whole blocks: whoever loads weights checks first.
    pub fn new(values: Vec<f32>, inputs: usize, format: WeightFormat) -> Self {
        assert!(
            inputs.is_multiple_of(BLOCK) && values.len().is_multiple_of(inputs),
            "a matrix has whole rows of whole blocks"
        );
        let outputs = values.len() / inputs;
        let blocks = match format {
            WeightFormat::F32 | WeightFormat::F16 => Blocks::F32(values),
            WeightFormat::Q4_0 => Blocks::Q4_0(quantize(&values)),
            WeightFormat::Q5_0 => Blocks::Q5_0(quantize(&values)),
            WeightFormat::Q8_0 => Blocks::Q8_0(quantize(&values)),
        };
        Self { blocks, inputs, outputs }
    }

    /// The length of a product's rows.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// One row, as it is after rounding, into `out`.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        match &self.blocks {
            Blocks::F32(all) => out.copy_from_slice(row_of(all, index, self.inputs)),
            Blocks::Q4_0(all) => GgmlType::to_float(row_of(all, index, self.inputs), out),
            Blocks::Q5_0(all) => GgmlType::to_float(row_of(all, index, self.inputs), out),
            Blocks::Q8_0(all) => GgmlType::to_float(row_of(all, index, self.inputs), out),
        }
    }

    /// Multiplies each row of `x` (`inputs` numbers) by the matrix: as many rows of `outputs` numbers.
    ///
    /// A row of the result depends on its own row of `x` alone, bit for bit, however many others come with it.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / self.inputs * self.outputs];
        match &self.blocks {
            Blocks::F32(all) => self.multiply::<f32>(all, x, &mut out),
            Blocks::Q4_0(all) => self.multiply(all, &quantize::<BlockQ8_0>(x), &mut out),
            Blocks::Q5_0(all) => self.multiply(all, &quantize::<BlockQ8_0>(x), &mut out),
            Blocks::Q8_0(all) => self.multiply(all, &quantize::<BlockQ8_0>(x), &mut out),
        }
        out
    }

    /// Each row of weights is read once and meets all rows of `x` while it is at hand.
    fn multiply<T: GgmlType>(&self, weights: &[T], x: &[T::VecDotType], out: &mut [f32]) {
        let blocks = self.inputs / T::BLCK_SIZE;
        for (output, weights) in weights.chunks_exact(blocks).enumerate() {
            for (x, out) in x.chunks_exact(blocks).zip(out.chunks_exact_mut(self.outputs)) {
                out[output] = T::vec_dot(self.inputs, weights, x);
            }
        }
    }
}

fn row_of<T: GgmlType>(all: &[T], index: usize, inputs: usize) -> &[T] {
    let blocks = inputs / T::BLCK_SIZE;
    &all[index * blocks..(index + 1) * blocks]
}

fn quantize<T: GgmlType>(values: &[f32]) -> Vec<T> {
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

    #[test]
    fn a_dense_product_is_that_of_candle() {
        let (weights, x) = (numbers(6 * 64, 0.37), numbers(3 * 64, 0.11));
        let product = Matrix::new(weights.clone(), 64, WeightFormat::F32).apply(&x);
        let weights = Tensor::from_vec(weights, (6, 64), &Device::Cpu).unwrap();
        let x = Tensor::from_vec(x, (3, 64), &Device::Cpu).unwrap();
        let expected: Vec<f32> = x.matmul(&weights.t().unwrap()).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(product.len(), expected.len());
        for (a, b) in product.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn quantised_rows_are_those_of_candle() {
        let weights = numbers(4 * 64, 0.37);
        for (ours, theirs) in [
            (WeightFormat::Q4_0, GgmlDType::Q4_0),
            (WeightFormat::Q5_0, GgmlDType::Q5_0),
            (WeightFormat::Q8_0, GgmlDType::Q8_0),
        ] {
            let matrix = Matrix::new(weights.clone(), 64, ours);
            let tensor = Tensor::from_vec(weights.clone(), (4, 64), &Device::Cpu).unwrap();
            let tensor = QTensor::quantize(&tensor, theirs).unwrap().dequantize(&Device::Cpu).unwrap();
            for (index, expected) in tensor.to_vec2::<f32>().unwrap().iter().enumerate() {
                let mut row = vec![0.0; 64];
                matrix.row(index, &mut row);
                assert_eq!(&row, expected, "{ours}");
                assert_ne!(row, weights[index * 64..(index + 1) * 64], "{ours} rounds");
            }
        }
    }

    #[test]
    fn a_quantised_product_is_that_of_the_rounded_weights_but_for_rounded_activations() {
        let (weights, x) = (numbers(8 * 384, 0.37), numbers(384, 0.11));
        for format in [WeightFormat::Q4_0, WeightFormat::Q5_0, WeightFormat::Q8_0] {
            let matrix = Matrix::new(weights.clone(), 384, format);
            let mut row = vec![0.0; 384];
            for (index, product) in matrix.apply(&x).into_iter().enumerate() {
                matrix.row(index, &mut row);
                // 8 bits leave an error of at most 1/254 in each activation, and errors of either sign.
                assert!((product - dot(&row, &x)).abs() < 0.1, "{format}: {product} for {}", dot(&row, &x));
            }
        }
    }

    #[test]
    fn a_row_of_a_product_does_not_depend_on_its_company() {
        for format in [WeightFormat::F32, WeightFormat::Q4_0, WeightFormat::Q5_0, WeightFormat::Q8_0] {
            let matrix = Matrix::new(numbers(6 * 64, 0.37), 64, format);
            let x = numbers(5 * 64, 0.11);
            let alone: Vec<f32> = x.chunks_exact(64).flat_map(|row| matrix.apply(row)).collect();
            assert_eq!(matrix.apply(&x), alone, "{format}");
        }
    }
}
