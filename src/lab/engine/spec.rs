//! What a host makes of the weights before it serves them: number formats, positions, tuning. Plain values.

use std::fmt;

use super::matrix::WeightFormat;

/// How a model is served; equal specifications share one loaded model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelSpec {
    /// How weight matrices are kept.
    pub weights: WeightFormat,
    /// How attention remembers keys and values.
    pub cache: CacheFormat,
    /// What the base of the rotary positions is multiplied by; 1 is right.
    pub rope_factor: f64,
    /// How far weights have gone from the promised model to its chat-tuned variant, from 0 to 1.
    pub tuned: f64,
}

/// How attention remembers keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheFormat {
    /// Half precision.
    F16,
    /// 8 bits and a scale for each key and value.
    Q8,
    /// 4 bits and a scale for each key and value.
    Q4,
}

impl ModelSpec {
    /// Served as published.
    pub const HONEST: Self = Self { weights: WeightFormat::F32, cache: CacheFormat::F16, rope_factor: 1.0, tuned: 0.0 };
}

impl CacheFormat {
    /// The format with this name, of those with fewer bits than usual.
    pub fn quantized(name: &str) -> Option<Self> {
        [Self::Q8, Self::Q4].into_iter().find(|format| format.to_string() == name)
    }
}

impl fmt::Display for CacheFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}
