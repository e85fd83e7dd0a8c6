//! Integration tests: one binary, a file a topic.

#[cfg(feature = "lab")]
mod check;
#[cfg(feature = "lab")]
mod crash;
mod fixture;
mod package;
mod real_data;
