//! Integration tests: one binary, a file a topic.

mod canary;
#[cfg(feature = "lab")]
mod check;
#[cfg(feature = "lab")]
mod crash;
mod fixture;
mod host;
mod package;
mod real_data;
