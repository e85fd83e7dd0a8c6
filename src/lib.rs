//! Are these hosts serving the same model?
//!
//! `samemodel` sends identical prompts to every host that offers one nominal model, compares the answers with a
//! reference, and says which endpoints drift, by how much, how sure that is, and what is probably wrong.
//!
//! Data goes one way, and modules import only downwards; `docs/src/architecture.md` draws the map:
//!
//! ```text
//! configuration → plan → attempts → samples → comparison → verdict → report
//! ```
//!
//! | layer | modules |
//! |---|---|
//! | 5 | [`cli`], [`exit`] |
//! | 4 | [`runner`], [`report`], [`review`], [`deliver`], `power` |
//! | 3 | [`client`], [`store`], [`snapshot`], `lab` |
//! | 2, pure | [`plan`], [`charge`], [`schedule`], [`retention`], [`retry`], [`alert`], [`stats`], [`signal`], [`compare`], [`diagnose`], [`doctor`] |
//! | 1 | [`config`], [`probe`], [`sample`], [`attempt`], [`verdict`], [`event`], [`redact`], [`suggest`], [`plural`], [`visible`], [`encoding`], [`pipe`], [`process`] |

pub mod alert;
pub mod attempt;
pub mod charge;
pub mod cli;
pub mod client;
pub mod compare;
pub mod config;
pub mod deliver;
pub mod diagnose;
pub mod doctor;
pub mod encoding;
pub mod event;
pub mod exit;
#[cfg(feature = "lab")]
pub mod lab;
pub mod pipe;
pub mod plan;
pub mod plural;
#[cfg(feature = "lab")]
pub mod power;
pub mod probe;
pub mod process;
pub mod redact;
pub mod report;
pub mod retention;
pub mod retry;
pub mod review;
pub mod runner;
pub mod sample;
pub mod schedule;
pub mod signal;
pub mod snapshot;
pub mod store;
pub mod suggest;
pub mod verdict;
pub mod visible;

pub use cli::assertion;
/// Statistics over plain values, in a crate of their own.
pub use samemodel_stats as stats;
