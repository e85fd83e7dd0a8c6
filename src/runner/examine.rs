//! Carrying out an examination: one request after the other, each within a short time.
//!
//! What comes next is the examination's to say; here it is written for the endpoint, sent and handed back.

use crate::client::{Ask, Client, Limiter, Route, Target};
use crate::config::{Defaults, Endpoint, Reasoning, Timeouts};
use crate::doctor::question::Delivery;
use crate::doctor::{Examination, Inquiry, Subject};

/// What requests of an examination go through.
#[derive(Debug)]
pub struct Line<'a> {
    /// What sends them.
    pub client: &'a Client,
    /// Where they go.
    pub target: Target,
    /// How many the provider takes, and at what pace.
    pub limiter: Limiter,
}

/// Time limits of a request of an examination: those configured, where they are shorter than its own.
pub fn time_limits(configured: &Timeouts) -> Timeouts {
    Timeouts {
        connect: configured.connect,
        first_byte: configured.first_byte.min(60.0),
        idle: configured.idle.min(20.0),
        total: configured.total.min(90.0),
    }
}

/// Asks all there is to ask, and returns the examination, ready to be finished.
pub async fn examine<'a>(subject: Subject<'a>, line: &Line<'_>) -> Examination<'a> {
    let mut examination = Examination::new(subject);
    while let Some(inquiry) = examination.next() {
        // A host that asks for a longer wait than that is left in peace: what is known until then is told.
        let Ok(permit) = line.limiter.acquire().await else { break };
        let attempt = line.client.attempt(&line.target, &written(&inquiry, subject), 1).await;
        permit.report(&attempt);
        examination.record(inquiry, attempt);
    }
    examination
}

/// The request as it is sent to the endpoint.
fn written(inquiry: &Inquiry, subject: Subject<'_>) -> Ask {
    let endpoint = Endpoint { stream: Some(inquiry.delivery == Delivery::Streamed), ..subject.endpoint.clone() };
    let reasoning = Reasoning { allowance: inquiry.allowance, ..subject.defaults.reasoning.clone() };
    let defaults = Defaults { reasoning, ..subject.defaults.clone() };
    let route = Route { endpoint: &endpoint, dialect: &inquiry.dialect, defaults: &defaults };
    let mut ask = Ask::new(&inquiry.probe, route, 0, None);
    for (name, value) in &inquiry.fields {
        ask.body[name] = value.clone();
    }
    ask
}
