//! What a host makes of the weights before it serves them: number formats, positions, tuning. Plain values.

use std::fmt;

use candle_core::quantized::k_quants::{BlockQ4_0, BlockQ8_0, GgmlType};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::matrix::{BLOCK, WeightFormat};

/// How a model is served; equal specifications share one loaded model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelSpec {
    /// How weight matrices are kept.
    pub weights: WeightFormat,
    /// How attention remembers keys and values.
    pub cache: CacheFormat,
    /// In which order scalar products are summed.
    pub sums: SumOrder,
    /// What the base of the rotary positions is multiplied by; 1 is right.
    pub rope_factor: f64,
    /// How far weights have gone from the promised model to its chat-tuned variant, from 0 to 1.
    pub tuned: f64,
}

/// How attention remembers keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheFormat {
    /// Single precision: as they were computed.
    F32,
    /// Half precision.
    F16,
    /// 8 bits and a scale for each key and value.
    Q8,
    /// 4 bits and a scale for each key and value.
    Q4,
}

/// In which order scalar products are summed. Either is right, and they differ in the last bits, as the kernels of two honest
/// hosts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SumOrder {
    /// From the first product to the last.
    Usual,
    /// Each half on its own, and then both together.
    Other,
}

impl ModelSpec {
    /// Served as published: weights in the half precision of their files, and a memory in half precision.
    pub const HONEST: Self = Self {
        weights: WeightFormat::F16,
        cache: CacheFormat::F16,
        sums: SumOrder::Usual,
        rope_factor: 1.0,
        tuned: 0.0,
    };
}

impl CacheFormat {
    /// All of them, the finest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q8, Self::Q4];

    /// The format with this name, of those with fewer bits than usual.
    pub fn quantized(name: &str) -> Option<Self> {
        [Self::Q8, Self::Q4].into_iter().find(|format| format.to_string() == name)
    }

    /// Rounds whole heads, each a multiple of 32 numbers, to what the format can hold. Rounded once, they stay as they are.
    pub fn round(self, values: &mut [f32]) {
        for values in values.chunks_exact_mut(BLOCK) {
            match self {
                Self::F32 => {}
                Self::F16 => {
                    let mut halves = [f16::ZERO; BLOCK];
                    halves.convert_from_f32_slice(values);
                    halves.convert_to_f32_slice(values);
                }
                Self::Q8 => through_block::<BlockQ8_0>(values),
                Self::Q4 => through_block::<BlockQ4_0>(values),
            }
        }
    }
}

fn through_block<T: GgmlType>(values: &mut [f32]) {
    let mut block = [T::zeros()];
    T::from_float(values, &mut block);
    T::to_float(&block, values);
}

impl SumOrder {
    /// The order with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Usual, Self::Other].into_iter().find(|order| order.to_string() == name)
    }
}

impl fmt::Display for CacheFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

impl fmt::Display for SumOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "usual",
            Self::Other => "other",
        })
    }
}
