//! The file that `samemodel init` writes: small, commented, and ready to be edited.

/// The name of the model that is there without a file.
#[cfg(feature = "lab")]
pub const LAB_MODEL: &str = "lab";

/// The model `lab`, which is there without a file.
#[cfg(feature = "lab")]
pub(super) const LAB: &str = include_str!("lab.toml");

/// The text of a first `providers.toml`. It loads as it stands, with two hosts of one model and the lab.
pub const START_FILE: &str = concat!(include_str!("start.toml"), "\n", include_str!("lab.toml"));
