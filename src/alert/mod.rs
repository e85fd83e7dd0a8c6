//! Alerts: from what runs observe to what people are told, and when.
//!
//! Layer 2, pure: the clock is a parameter, and what is kept and sent is the store's and the delivery's business.
//!
//! | module | holds |
//! |---|---|
//! | `state` | the nouns: what an alert is about, and how it stands |

pub mod state;

pub use state::{Alert, Example, Facts, Firing, Kind, Phase, Severity, Subject, Told};
