//! Alerts: from what runs observe to what people are told, and when.
//!
//! Layer 2, pure: the clock is a parameter; what is kept and sent is the business of the store and of `deliver`.
//!
//! ```text
//! observations ─ inhibit ─ advance (one alert each) ─┬ transitions ─ group (one message a run and receiver)
//! examinations ─ changes ────────────────────────────┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `state` | the nouns: what an alert is about, and how it stands |
//! | `advance` | from pending over firing to resolved |
//! | `features` | what examinations found changed |
//! | `inhibit` | what is not observed because something greater is wrong |
//! | `message` | what is told, grouped and routed |
//! | `pattern` | names with `*` in them |

pub mod advance;
pub mod features;
pub mod inhibit;
pub mod message;
pub mod pattern;
pub mod state;
#[cfg(test)]
mod tests;

pub use advance::{Advanced, Condition, Moment, Observation, Policy, Transition, What, advance};
pub use features::changes;
pub use inhibit::inhibit;
pub use message::{Change, Event, MESSAGE_SCHEMA, Message, Occasion, group};
pub use pattern::{Scope, fits};
pub use state::{Alert, Example, Facts, FeatureChange, Firing, Kind, Phase, Severity, Subject, Told};
