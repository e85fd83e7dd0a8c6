//! Results, alerts and notifications in the SQLite database.
//!
//! Part of layer 3's store. What belongs together is written in one transaction; the rest is one statement each.

use jiff::Timestamp;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection as _, Sqlite, SqliteConnection};

use super::outcome_rows::{AlertRow, NotificationRow, RecordedResultRow, ResultRow, SilenceRow, redacted_json};
use super::rows::{count_column, json_column, time_column};
use super::{
    AlertStore, AlertUpdate, Conclusion, Delivery, EndpointResult, Notification, OutboxEntry, RecordedResult, RunId,
    Silence, SilenceId, SqliteStore, StoreError, StoreFuture, sql,
};
use crate::alert::Alert;
use crate::redact::Redactor;

type Statement<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

impl SqliteStore {
    pub(super) async fn keep_conclusion(&self, run: &RunId, conclusion: &Conclusion) -> Result<(), StoreError> {
        // Asked first, so that an unknown run is told from other trouble.
        self.find_run(run).await?;
        let failed = |error| self.failed(error);
        let mut connection = self.writer.connection.lock().await;
        let mut transaction = connection.begin().await.map_err(failed)?;
        if let Some(end) = conclusion.end {
            finish(run, end).execute(&mut *transaction).await.map_err(failed)?;
        }
        sqlx::query(sql::DELETE_RESULTS).bind(run.to_string()).execute(&mut *transaction).await.map_err(failed)?;
        for (position, result) in (0..).zip(&conclusion.results) {
            let insert = insert_result(run, position, result, &self.redactor);
            insert.execute(&mut *transaction).await.map_err(failed)?;
        }
        put_alerts(&mut transaction, &conclusion.alerts, &self.redactor).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    pub(super) async fn find_results(&self, run: &RunId) -> Result<Vec<EndpointResult>, StoreError> {
        let rows = self.rows_of(sql::RESULTS, run).await?;
        self.nouns(rows, ResultRow::into_result)
    }

    pub(super) async fn find_results_since(
        &self,
        model: &str,
        since: Timestamp,
    ) -> Result<Vec<RecordedResult>, StoreError> {
        let query = sqlx::query_as(sql::RESULTS_SINCE).bind(model).bind(time_column(since));
        let rows = query.fetch_all(&self.readers).await.map_err(|error| self.failed(error))?;
        self.nouns(rows, RecordedResultRow::into_recorded)
    }

    async fn put_update(&self, update: &AlertUpdate) -> Result<(), StoreError> {
        let failed = |error| self.failed(error);
        let mut connection = self.writer.connection.lock().await;
        let mut transaction = connection.begin().await.map_err(failed)?;
        put_alerts(&mut transaction, update, &self.redactor).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Carries out one statement that writes, and says how many rows it touched.
    async fn write(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let mut connection = self.writer.connection.lock().await;
        let done = statement.execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        Ok(done.rows_affected())
    }
}

impl AlertStore for SqliteStore {
    fn update_alerts<'a>(&'a self, update: &'a AlertUpdate) -> StoreFuture<'a, ()> {
        Box::pin(self.put_update(update))
    }

    fn alerts(&self) -> StoreFuture<'_, Vec<Alert>> {
        Box::pin(async move {
            let rows = sqlx::query_as(sql::ALERTS).fetch_all(&self.readers).await;
            let mut alerts: Vec<Alert> = self.nouns(rows.map_err(|error| self.failed(error))?, AlertRow::into_alert)?;
            // Sorted here because databases differ in how they order text.
            alerts.sort_by(|a, b| a.subject.cmp(&b.subject));
            Ok(alerts)
        })
    }

    fn due(&self, now: Timestamp) -> StoreFuture<'_, Vec<OutboxEntry>> {
        Box::pin(async move {
            let rows = self.rows(sql::DUE_NOTIFICATIONS, &time_column(now)).await?;
            self.nouns(rows, NotificationRow::into_entry)
        })
    }

    fn outbox(&self, since: Timestamp) -> StoreFuture<'_, Vec<OutboxEntry>> {
        Box::pin(async move {
            let rows = self.rows(sql::NOTIFICATIONS_SINCE, &time_column(since)).await?;
            self.nouns(rows, NotificationRow::into_entry)
        })
    }

    fn settle<'a>(&'a self, key: &'a str, delivery: &'a Delivery) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.write(settle_notification(key, delivery, &self.redactor)).await?;
            Ok(())
        })
    }

    fn take_up_again(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        Box::pin(async move { self.write(sqlx::query(sql::TAKE_UP_NOTIFICATIONS).bind(time_column(now))).await })
    }

    fn add_silence<'a>(&'a self, silence: &'a Silence) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let insert = sqlx::query(sql::INSERT_SILENCE)
                .bind(silence.id.to_string())
                .bind(silence.model.as_str())
                .bind(silence.endpoint.as_str())
                .bind(time_column(silence.created_at))
                .bind(time_column(silence.until))
                .bind(silence.comment.as_str());
            self.write(insert).await?;
            Ok(())
        })
    }

    fn silences(&self, now: Timestamp) -> StoreFuture<'_, Vec<Silence>> {
        Box::pin(async move {
            let rows = self.rows(sql::SILENCES, &time_column(now)).await?;
            self.nouns(rows, SilenceRow::into_silence)
        })
    }

    fn end_silence(&self, id: SilenceId, now: Timestamp) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let ended = sqlx::query(sql::END_SILENCE).bind(id.to_string()).bind(time_column(now));
            Ok(self.write(ended).await? > 0)
        })
    }
}

/// The statement that marks a run as ended.
pub(super) fn finish<'q>(run: &RunId, end: super::RunEnd) -> Statement<'q> {
    sqlx::query(sql::FINISH_RUN).bind(run.to_string()).bind(end.how.as_str()).bind(time_column(end.at))
}

fn insert_result<'q>(run: &RunId, position: i64, result: &'q EndpointResult, redactor: &Redactor) -> Statement<'q> {
    let effect = result.effect.as_ref();
    sqlx::query(sql::INSERT_RESULT)
        .bind(run.to_string())
        .bind(position)
        .bind(result.endpoint.as_str())
        .bind(result.verdict.as_str())
        .bind(redactor.redact(&result.reason).into_owned())
        .bind(result.p_value)
        .bind(result.q_value)
        .bind(result.e_value)
        .bind(effect.map(|effect| effect.name.as_str()))
        .bind(effect.map(|effect| effect.estimate))
        .bind(effect.map(|effect| effect.low))
        .bind(effect.map(|effect| effect.high))
        .bind(result.tolerance)
        .bind(count_column(result.samples))
        .bind(count_column(result.attempts))
        .bind(count_column(result.errors))
        .bind(result.cost)
        .bind(json_column(&result.findings, redactor))
}

async fn put_alerts(connection: &mut SqliteConnection, update: &AlertUpdate, redactor: &Redactor) -> sqlx::Result<()> {
    let now = time_column(Timestamp::now());
    for alert in &update.states {
        put_alert(alert, &now, redactor).execute(&mut *connection).await?;
    }
    for notification in &update.notifications {
        insert_notification(notification, redactor).execute(&mut *connection).await?;
    }
    Ok(())
}

fn put_alert<'q>(alert: &'q Alert, now: &'q str, redactor: &Redactor) -> Statement<'q> {
    sqlx::query(sql::PUT_ALERT)
        .bind(alert.subject.model.as_str())
        .bind(alert.subject.endpoint.as_str())
        .bind(alert.subject.kind.as_str())
        .bind(alert.phase.as_str())
        .bind(alert.phase.since().map(time_column))
        .bind(json_column(alert, redactor))
        .bind(now)
}

fn insert_notification<'q>(notification: &'q Notification, redactor: &Redactor) -> Statement<'q> {
    sqlx::query(sql::INSERT_NOTIFICATION)
        .bind(notification.key.as_str())
        .bind(notification.receiver.as_str())
        .bind(notification.run.map(|run| run.to_string()))
        .bind(time_column(notification.created_at))
        .bind(redacted_json(&notification.event, redactor))
}

fn settle_notification<'q>(key: &'q str, delivery: &'q Delivery, redactor: &Redactor) -> Statement<'q> {
    let (next, sent, given_up, reason) = match delivery {
        Delivery::Sent { at } => (None, Some(at), None, None),
        Delivery::Postponed { until, reason } => (Some(until), None, None, Some(reason)),
        Delivery::GivenUp { at, reason } => (None, None, Some(at), Some(reason)),
    };
    let time = |at: Option<&Timestamp>| at.map(|at| time_column(*at));
    sqlx::query(sql::SETTLE_NOTIFICATION)
        .bind(key)
        .bind(time(next))
        .bind(time(sent))
        .bind(time(given_up))
        .bind(reason.map(|reason| redactor.redact(reason).into_owned()))
}
