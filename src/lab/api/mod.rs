//! The dialect that the lab speaks: OpenAI's chat completions, as far as a tiny model goes.

mod dialect;
mod error;
mod request;
mod response;

pub use dialect::Dialect;
pub use error::ApiError;
pub use request::{Delivery, Order};
pub use response::{Delta, Reply, Scored, models};
