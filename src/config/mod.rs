//! Configuration: `providers.toml` and what is layered over it.
//!
//! Layer 1. Later layers win: built-in defaults, `providers.toml`, `providers.local.toml`, environment
//! (`SAMEMODEL__…`), flags. Unknown keys are errors that name file and line and suggest what was meant.

mod types;

pub use types::*;
