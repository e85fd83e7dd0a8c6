//! Integration tests: one binary, a file a topic.

mod package;
mod real_data;
