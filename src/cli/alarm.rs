//! What a check tells people: its results are kept, alerts follow, and what is due is sent.
//!
//! What cannot be sent changes nothing about how a check ends: it is said on standard error, and stays in the outbox for the next
//! check. What cannot be kept ends it with an error, since nobody would be told of what it found.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::args::Global;
use super::session::Session;
use super::{clock, in_a_line, note, nothing};
use crate::alert::{Alert, Kind, Message, Observation, Occasion, Phase, Policy};
use crate::config::{Alerting, Credentials};
use crate::deliver::{Beat, Courier, Delivered, Known, Pulse, Receivers, harmless};
use crate::redact::Redactor;
use crate::report::outcome::{failed_check, observations, results};
use crate::report::words::count;
use crate::report::{Report, escape};
use crate::runner::RunOutcome;
use crate::store::{AlertStore, Conclusion, Delivery, LockError, RunEnd, RunRecord, SqliteStore, Store, StoreError};
use crate::verdict::Verdict;

/// The longest that a check waits at its end for receivers that ask to be left alone for a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether alerts follow from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Telling {
    /// They do: it watches over endpoints.
    People,
    /// They do not: whoever asked looks at the report.
    #[default]
    Nobody,
}

/// What a run came to.
#[derive(Clone, Copy)]
pub(super) struct Concluded<'a> {
    pub end: RunEnd,
    pub outcome: RunOutcome,
    pub report: &'a Report,
}

impl Concluded<'_> {
    /// Whether the check did its work: it measured something, and nothing kept it from measuring the rest.
    fn has_worked(&self) -> bool {
        let measured = self.report.endpoints.iter().any(|e| e.verdict != Verdict::Unmeasured);
        measured && self.why_broken_off().is_none()
    }

    /// Why the check failed although it has a report: without the reference the rest of it could not be judged.
    fn why_broken_off(&self) -> Option<String> {
        let Report { reference, reference_account, .. } = self.report;
        (self.outcome == RunOutcome::ReferenceDown).then(|| {
            let why = reference_account.why();
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("the reference `{reference}` stopped answering before the end{why}")
        })
    }
}

/// Who is told of one check.
pub(super) struct Alarm {
    telling: Telling,
    model: String,
    config: Alerting,
    receivers: Receivers,
    pulse: Option<Pulse>,
    redactor: Redactor,
    data_dir: PathBuf,
}

impl Alarm {
    /// Everyone whom the configuration names.
    pub fn new(session: &Session, credentials: &Credentials, telling: Telling, global: &Global) -> Self {
        let config = &session.loaded.config;
        let pulse = if telling == Telling::People { pulse(&config.alert, credentials) } else { None };
        Self {
            telling,
            pulse,
            model: session.name.clone(),
            config: config.alert.clone(),
            receivers: Receivers::of(config, credentials),
            redactor: credentials.redactor(),
            data_dir: session.data_dir(global),
        }
    }

    /// Tells the dead man's switch that a check begins, and the user who would not hear of what it finds.
    pub async fn begin(&self) {
        if self.telling == Telling::People {
            for (name, reason) in self.receivers.missing() {
                note(&format!("the receiver `{name}` is not told of this check: {reason}"));
            }
        }
        self.ping(Beat::Start).await;
    }

    /// Keeps what a run came to, with the alerts that follow from it, and sends what is due. Fails when it cannot be kept, and then
    /// nothing is sent.
    pub async fn conclude(
        &self,
        store: &SqliteStore,
        run: &RunRecord,
        concluded: Concluded<'_>,
    ) -> Result<(), StoreError> {
        self.keep(store, run, concluded).await?;
        if self.telling == Telling::People {
            send_due(store, &self.receivers).await;
        }
        self.ping(if concluded.has_worked() { Beat::Success } else { Beat::Fail }).await;
        Ok(())
    }

    async fn keep(&self, store: &SqliteStore, run: &RunRecord, concluded: Concluded<'_>) -> Result<(), StoreError> {
        let Concluded { end, report, .. } = concluded;
        let conclusion = Conclusion { end: Some(end), results: results(report), ..Conclusion::default() };
        if self.telling == Telling::Nobody {
            return store.conclude(&run.id, &conclusion).await;
        }
        let now = clock::now();
        let known = Known::from(store, now).await?;
        let mut seen = observations(report, &known.alerts, &self.config, run.started_at);
        if let Some(why) = concluded.why_broken_off() {
            seen.retain(|seen| seen.subject.kind != Kind::Checker);
            seen.push(failed_check(&self.model, &why));
        }
        let id = run.id.to_string();
        // A run's own time and not the present one: concluded again, it makes the same keys.
        let occasion = Occasion { model: &self.model, run: Some(&id), at: run.started_at, made: now };
        let alerts = known.follow(seen, &occasion, &self.config);
        let is_silenced = |alert: &&Alert| known.silences.iter().any(|scope| scope.holds(&alert.subject));
        let heard = alerts.states.iter().filter(|alert| !is_silenced(alert));
        let pending: Vec<String> = heard.filter_map(|alert| self.pending(alert)).collect();
        store.conclude(&run.id, &Conclusion { alerts, ..conclusion }).await?;
        for line in &pending {
            note(line);
        }
        Ok(())
    }

    /// What to say of an alert that was seen and is not told yet, where there is anybody to tell.
    fn pending(&self, alert: &Alert) -> Option<String> {
        let Phase::Pending { failures, .. } = alert.phase else { return None };
        let fail_after = Policy::of(&self.config).fail_after(alert.subject.kind);
        let more = count(fail_after.saturating_sub(failures) as usize, "more failing run");
        let (kind, endpoint) = (alert.subject.kind.as_str(), &alert.subject.endpoint);
        let line = format!("alert pending: {kind} of {endpoint} is told after {more} (fail_after = {fail_after})");
        self.config.is_configured().then(|| escape::line(&line))
    }

    /// Tells that the check failed: it came to no report, or could not keep what it came to. That another check is under way is no
    /// failure.
    pub async fn failed(&self, error: &anyhow::Error) {
        if error.chain().any(|cause| matches!(cause.downcast_ref(), Some(LockError::Held { .. }))) {
            return;
        }
        if self.telling == Telling::People && self.config.is_configured() {
            self.raise(error).await;
        }
        self.ping(Beat::Fail).await;
    }

    async fn raise(&self, error: &anyhow::Error) {
        let seen = failed_check(&self.model, &self.redactor.redact(&in_a_line(error)));
        let run = error.downcast_ref::<nothing::OfRun>().map(|nothing| nothing.run.to_string());
        let now = clock::now();
        let occasion = Occasion { model: &self.model, run: run.as_deref(), at: now, made: now };
        if let Err(error) = self.tell_of_failure(seen.clone(), &occasion).await {
            note(&format!("the alert on this cannot be kept, so it is sent at once: {error}"));
            self.send_at_once(seen, &occasion).await;
        }
    }

    async fn tell_of_failure(&self, seen: Observation, occasion: &Occasion<'_>) -> Result<(), StoreError> {
        let store = SqliteStore::open(&self.data_dir, self.redactor.clone()).await?;
        let mut update = Known::from(&store, occasion.at).await?.follow(vec![seen], occasion, &self.config);
        // A run that is gone on with is to have its say.
        update.states.iter_mut().for_each(|alert| alert.last_run = None);
        store.update_alerts(&update).await?;
        send_due(&store, &self.receivers).await;
        store.close().await
    }

    /// Without a store there is no memory of what was told: each failed check tells of itself.
    async fn send_at_once(&self, seen: Observation, occasion: &Occasion<'_>) {
        let update = Known::default().follow(vec![seen], occasion, &self.config);
        for notification in update.notifications {
            let Ok(message) = serde_json::from_str::<Message>(&notification.event) else { continue };
            if let Err(trouble) = self.receivers.send(&notification.receiver, &message, occasion.made).await {
                note(&format!("the alert to `{}` was not delivered: {}", notification.receiver, trouble.reason()));
            }
        }
    }

    async fn ping(&self, beat: Beat) {
        if let Some(pulse) = &self.pulse
            && let Err(reason) = pulse.ping(beat).await
        {
            note(&format!("the dead man's switch was not reached: {}", harmless(&reason, &self.redactor)));
        }
    }
}

fn pulse(config: &Alerting, credentials: &Credentials) -> Option<Pulse> {
    let heartbeat = config.heartbeat.as_ref()?;
    let url = credentials.secret(&heartbeat.url_env).map_err(|missing| missing.to_string());
    match url.and_then(|url| Pulse::new(heartbeat, url)) {
        Ok(pulse) => Some(pulse),
        Err(reason) => {
            note(&format!("the dead man's switch is not told of this check: {reason}"));
            None
        }
    }
}

/// Sends what is due, and says on standard error what was not delivered.
pub(super) async fn send_due(store: &dyn AlertStore, receivers: &Receivers) {
    match flush(store, receivers, PATIENCE).await {
        Ok(delivered) => delivered.iter().filter_map(trouble).for_each(|line| note(&line)),
        Err(error) => note(&format!("what was sent cannot be kept, and may be sent again: {error}")),
    }
}

/// Sends what is due, waiting as long as `patience` for receivers that ask to be left alone for less than that.
pub(super) async fn flush(
    store: &dyn AlertStore,
    receivers: &Receivers,
    patience: Duration,
) -> Result<Vec<Delivered>, StoreError> {
    let begun = Instant::now();
    let mut out: Vec<Delivered> = Vec::new();
    loop {
        let now = clock::now();
        let pass = Courier { store, receivers }.send_due(now).await?;
        let soonest = pass.iter().filter_map(|d| postponed_until(&d.delivery)).min();
        // Of what is tried again, only the last outcome is worth telling.
        out.retain(|d| postponed_until(&d.delivery).is_none() || !pass.iter().any(|new| new.receiver == d.receiver));
        out.extend(pass);
        let Some(until) = soonest else { return Ok(out) };
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        if begun.elapsed() + wait > patience {
            return Ok(out);
        }
        tokio::time::sleep(wait).await;
    }
}

fn postponed_until(delivery: &Delivery) -> Option<Timestamp> {
    if let Delivery::Postponed { until, .. } = delivery { Some(*until) } else { None }
}

/// What to say of a delivery that failed.
pub(super) fn trouble(delivered: &Delivered) -> Option<String> {
    let receiver = &delivered.receiver;
    match &delivered.delivery {
        Delivery::Sent { .. } => None,
        Delivery::Postponed { reason, .. } => {
            Some(format!("an alert to `{receiver}` was not delivered and is kept for the next check: {reason}"))
        }
        Delivery::GivenUp { reason, .. } => Some(format!(
            "an alert to `{receiver}` is given up: {reason}; once that is mended, `samemodel alert send --again` sends it"
        )),
    }
}
