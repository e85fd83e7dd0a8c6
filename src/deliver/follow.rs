//! What follows from observations and changes: new states of alerts, and messages in the outbox.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::alert::{
    Alert, Message, Moment, Observation, Occasion, Policy, Scope, Subject, Transition, advance, group, inhibit,
};
use crate::config::Alerting;
use crate::store::{AlertStore, AlertUpdate, Notification, StoreError};

/// What is known before a run's observations.
#[derive(Debug, Default)]
pub struct Known {
    /// How the alerts stand.
    pub alerts: BTreeMap<Subject, Alert>,
    /// Whom nobody is told of.
    pub silences: Vec<Scope>,
}

impl Known {
    /// What a store knows at this time.
    pub async fn from(store: &dyn AlertStore, now: Timestamp) -> Result<Self, StoreError> {
        let alerts = store.alerts().await?.into_iter();
        let silences = store.silences(now).await?.into_iter();
        Ok(Self {
            alerts: alerts.map(|alert| (alert.subject.clone(), alert)).collect(),
            silences: silences.map(|s| Scope { model: s.model, endpoint: s.endpoint }).collect(),
        })
    }

    /// What the observations change, to be kept in one transaction with the run that made them.
    pub fn follow(&self, observations: Vec<Observation>, occasion: &Occasion<'_>, config: &Alerting) -> AlertUpdate {
        let moment =
            Moment { now: occasion.at, run: occasion.run, policy: Policy::of(config), silences: &self.silences };
        let advanced = advance(&self.alerts, inhibit(&self.alerts, observations), &moment);
        let notifications = notifications(&advanced.transitions, occasion, config);
        AlertUpdate { states: advanced.states, notifications }
    }

    /// What is to be sent of changes, which leave no state of an alert. What is silenced nobody is told, then or later.
    pub fn tell(&self, mut changes: Vec<Transition>, occasion: &Occasion<'_>, config: &Alerting) -> AlertUpdate {
        changes.retain(|change| !self.silences.iter().any(|scope| scope.holds(&change.subject)));
        AlertUpdate { states: Vec::new(), notifications: notifications(&changes, occasion, config) }
    }
}

fn notifications(transitions: &[Transition], occasion: &Occasion<'_>, config: &Alerting) -> Vec<Notification> {
    let messages = group(transitions, occasion, config).into_iter();
    messages.map(|(receiver, message)| notification(receiver, &message, occasion)).collect()
}

fn notification(receiver: String, message: &Message, occasion: &Occasion<'_>) -> Notification {
    Notification {
        key: message.key.clone(),
        receiver,
        run: occasion.run.and_then(|run| run.parse().ok()),
        created_at: occasion.made,
        event: super::webhook::body(message),
    }
}
