//! Configuration: `providers.toml` and what is layered over it.
//!
//! Layer 1. Later layers win: built-in defaults, `providers.toml`, `providers.local.toml`, environment
//! (`SAMEMODEL__…`), flags. Unknown keys are errors that name file and line and suggest what was meant.
//!
//! ```text
//! text ─ document ─┐
//!                  ├─ walk (keys and types, against shape) ─ layer ─ merged ─ validate ─ Config
//! variables, flags ┘ (assign)
//! ```
//!
//! The types in [`Config`] are the only list of keys: the JSON Schema ([`json_schema`]) is generated from them, and the
//! walk, the environment's names and the manual's tables come from that schema.

mod address;
mod alerting;
mod assign;
mod capability;
mod document;
mod environment;
mod key_path;
mod layer;
mod load;
#[cfg(test)]
mod manual;
mod problem;
mod secret;
mod shape;
mod start;
mod timetable;

#[cfg(test)]
mod tests;
mod types;
mod validate;
mod walk;
mod watch;

pub use address::{Address, AddressError, is_this_machine};
pub use alerting::{AlertReceiver, AlertRoute, Alerting, Heartbeat, LeastSeverity, ReceiverKind};
pub use environment::Environment;
pub use key_path::KeyPath;
pub use load::{DEFAULT_FILE, Loaded};
pub use problem::{ConfigError, Place, Problem};
pub use secret::{Credentials, MissingKey, SecretKind, Surplus};
pub use shape::json_schema;
#[cfg(feature = "lab")]
pub use start::LAB_MODEL;
pub use start::START_FILE;
pub use timetable::{TimetableError, cron, time_zone};
pub use types::*;
pub use validate::{Exposure, Violation, validate};
pub use watch::{History, Lab, Metrics, Missed, Tier, Watch};
