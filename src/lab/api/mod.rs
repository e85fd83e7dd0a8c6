//! The protocol that the lab speaks: OpenAI's chat completions, with the fields that open hosts add to it.

mod conversation;
mod dialect;
mod error;
mod request;
mod response;
mod sampling;
mod tools;

pub use dialect::Dialect;
pub use error::{ApiError, add};
pub use request::{Delivery, Format, Order, Thinking};
pub use response::{Counting, Ending, News, Piece, Reply, Scored, Spoken, Tally, model};
pub use tools::{Tool, ToolChoice, Tools};
