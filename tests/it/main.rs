//! Integration tests: one binary, a file a topic.

#[cfg(feature = "lab")]
mod check;
mod fixture;
mod package;
mod real_data;
