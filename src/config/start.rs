//! The file that `samemodel init` writes: small, commented, and ready to be edited.

/// The text of a first `providers.toml`. It loads as it stands, with two hosts of one model.
pub const START_FILE: &str = include_str!("start.toml");
