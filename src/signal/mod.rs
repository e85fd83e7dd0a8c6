//! Signals: what can be seen of one endpoint beside the reference without a test.
//!
//! Layer 2, pure. [`answers`] groups samples; [`tokens`], [`finish`], [`repeats`], [`departures`], [`marks`], [`metadata`],
//! [`rewriting`], [`undecoded`] and [`unicode`] are layer 0 of the statistics, exact observations; [`thought`] tells thinking from
//! answers and [`blank`] says what is
//! missing; [`contrast`] picks the two answers that show a difference best.

pub mod answers;
pub mod blank;
pub mod contrast;
pub mod departures;
pub mod finish;
pub mod marks;
pub mod metadata;
pub mod repeats;
pub mod rewriting;
pub mod thought;
pub mod tokens;
pub mod undecoded;
pub mod unicode;
