//! The engine: a Llama of any size that runs on one thread at a time, over candle's tensors, number formats and kernels.
//!
//! Layer 3, below the lab's server. [`Model`] is loaded once and shared; [`Pool`] runs requests on worker threads, several
//! at once through the same weights, and sends tokens back as they come; [`score`] says how likely an answer is, exactly.
//! Models go to other engines, and come back, as [`Gguf`] files.
//!
//! Why not candle's `Tensor::matmul` and `QMatMul` themselves: at this size they spend more on sharing work out than on the
//! work. The first reads `/proc/cpuinfo` for the number of threads at each call, the second takes a lock on one pool for
//! the whole process and wakes the other cores, and both can only be told otherwise by environment variables, which a
//! library must not set. The engine calls vector kernels that stay on their thread, so that a worker is one thread and an
//! answer does not depend on what else is being served.

mod attention;
mod cache;
mod forward;
mod gguf;
mod image;
mod matrix;
mod model;
mod noise;
mod ops;
mod pool;
mod prefix;
mod sampler;
mod score;
mod spec;
#[cfg(test)]
mod tests;
mod vision;
mod vocabulary;
mod weights;

pub use gguf::{Gguf, GgufError, Label, write as write_gguf};
pub use image::Image;
pub use matrix::WeightFormat;
pub use model::Model;
pub use noise::Noise;
pub use pool::{Emission, Finish, Job, Pool};
pub use prefix::PrefixStore;
pub use sampler::{Choice, Constraint, Logprobs, Sampling, Situation, TokenMask, Watermark};
pub use score::score;
pub use spec::{CacheFormat, ModelSpec, SumOrder};
pub use vocabulary::Vocabulary;
pub use weights::{Files, ModelConfig, WeightsError};
