//! Delivery: what is in the outbox is brought to its receivers, at least once each.
//!
//! Layer 4. A notification is marked as sent only when its receiver said that it has it: a program that is killed between
//! the two sends it again, under the same key. Nothing here decides what is told; that is `alert`'s part.
//!
//! | module | holds |
//! |---|---|
//! | `follow` | from observations and changes to states and messages |
//! | `receiver` | receivers with their addresses, found or missing for a reason |
//! | `again` | whether a delivery that failed is tried again, and when |
//! | `words` | what all messages for people say |
//! | `slack`, `webhook`, `email`, `command` | one kind of receiver each |
//! | `post` | a POST over HTTP, and what its response means |
//! | `heartbeat` | the dead man's switch |

pub mod again;
pub mod command;
pub mod email;
pub mod follow;
pub mod heartbeat;
mod post;
pub mod receiver;
pub mod slack;
#[cfg(test)]
mod tests;
pub mod webhook;
pub mod words;

pub use again::Trouble;
pub use follow::Known;
pub use heartbeat::{Beat, Pulse};
pub use receiver::{Receiver, Receivers, harmless};

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::alert::Message;
use crate::store::{AlertStore, Delivery, OutboxEntry, StoreError};

/// Brings what is due to its receivers.
pub struct Courier<'a> {
    /// Where the outbox is.
    pub store: &'a dyn AlertStore,
    /// Who there is.
    pub receivers: &'a Receivers,
}

/// What came of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The receiver.
    pub receiver: String,
    /// What came of it.
    pub delivery: Delivery,
}

impl Courier<'_> {
    /// Tries once each notification that is due, the earliest first. Where a receiver fails for now, what else is due
    /// there waits for the next time.
    pub async fn send_due(&self, now: Timestamp) -> Result<Vec<Delivered>, StoreError> {
        let mut failing = BTreeSet::new();
        let mut out = Vec::new();
        for entry in self.store.due(now).await? {
            let receiver = entry.notification.receiver.clone();
            if failing.contains(&receiver) {
                continue;
            }
            let delivery = self.send(&entry, now).await;
            if matches!(delivery, Delivery::Postponed { .. }) {
                failing.insert(receiver.clone());
            }
            self.store.settle(&entry.notification.key, &delivery).await?;
            out.push(Delivered { receiver, delivery });
        }
        Ok(out)
    }

    async fn send(&self, entry: &OutboxEntry, now: Timestamp) -> Delivery {
        let sent = match serde_json::from_str::<Message>(&entry.notification.event) {
            Ok(message) => self.receivers.send(&entry.notification.receiver, &message, now).await,
            Err(error) => Err(Trouble::Lasting { reason: format!("the kept message cannot be read: {error}") }),
        };
        match sent {
            Ok(()) => Delivery::Sent { at: now },
            Err(trouble) => again::after(trouble, entry, now),
        }
    }
}
