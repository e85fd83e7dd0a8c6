//! Group commit: many records, one transaction, one wait for the disk.
//!
//! Part of layer 3's store. A durable commit waits for the disk, some milliseconds each, while dozens of answers may
//! arrive in that time. So one task writes all that has come in the meantime at once, and tells each sender when it is
//! safe.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection as _, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::rows::{AttemptRow, RunRow, SampleRow, count_column};
use super::{Recorded, StoreError, sql};

/// The most records in one transaction: enough that the wait for the disk no longer counts, few enough that the first
/// of them does not wait long.
pub(super) const MAX_BATCH: usize = 128;

/// One record on its way into the database.
pub(super) struct Write {
    pub(super) attempt: AttemptRow,
    pub(super) sample: Option<SampleRow>,
    /// Hears of the outcome once it is durable.
    pub(super) done: oneshot::Sender<Result<Recorded, StoreError>>,
}

/// The one connection that writes, shared by the task below and by the rarer writes of whole runs.
pub(super) struct Writer {
    pub(super) connection: Mutex<SqliteConnection>,
    pub(super) path: PathBuf,
}

/// Commits what comes until every sender is gone, and all of that before it ends.
pub(super) async fn run(writer: Arc<Writer>, mut incoming: mpsc::Receiver<Write>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while incoming.recv_many(&mut batch, MAX_BATCH).await > 0 {
        writer.commit(std::mem::take(&mut batch)).await;
    }
}

impl Writer {
    async fn commit(&self, batch: Vec<Write>) {
        let mut connection = self.connection.lock().await;
        match write_all(&mut connection, &batch).await {
            Ok(outcomes) => {
                for (write, outcome) in batch.into_iter().zip(outcomes) {
                    acknowledge(write, Ok(outcome));
                }
            }
            // One bad record must not take the others down with it.
            Err(error) if is_the_records_fault(&error) => {
                for write in batch {
                    let outcome = write_one(&mut connection, &write).await;
                    let outcome = outcome.map_err(|error| self.explain(error, &write));
                    acknowledge(write, outcome);
                }
            }
            Err(error) => {
                let error = StoreError::sqlite(&self.path, error);
                for write in batch {
                    acknowledge(write, Err(error.clone()));
                }
            }
        }
    }

    fn explain(&self, error: sqlx::Error, write: &Write) -> StoreError {
        if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) {
            StoreError::UnknownRun { path: self.path.clone(), run: write.attempt.run }
        } else {
            StoreError::sqlite(&self.path, error)
        }
    }
}

fn acknowledge(write: Write, outcome: Result<Recorded, StoreError>) {
    // A sender that no longer listens has its record all the same.
    let _ = write.done.send(outcome);
}

fn is_the_records_fault(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.is_foreign_key_violation() || error.is_check_violation() || error.is_unique_violation()
    })
}

async fn write_all(connection: &mut SqliteConnection, batch: &[Write]) -> sqlx::Result<Vec<Recorded>> {
    let mut transaction = connection.begin().await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for write in batch {
        outcomes.push(insert(&mut transaction, write).await?);
    }
    transaction.commit().await?;
    Ok(outcomes)
}

async fn write_one(connection: &mut SqliteConnection, write: &Write) -> sqlx::Result<Recorded> {
    let mut transaction = connection.begin().await?;
    let outcome = insert(&mut transaction, write).await?;
    transaction.commit().await?;
    Ok(outcome)
}

async fn insert(connection: &mut SqliteConnection, write: &Write) -> sqlx::Result<Recorded> {
    insert_attempt(&write.attempt).execute(&mut *connection).await?;
    let Some(sample) = &write.sample else { return Ok(Recorded::Stored) };
    let inserted = insert_sample(sample).execute(connection).await?.rows_affected();
    Ok(if inserted == 0 { Recorded::AlreadyAnswered } else { Recorded::Stored })
}

type Insert<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn insert_attempt(row: &AttemptRow) -> Insert<'_> {
    sqlx::query(sql::INSERT_ATTEMPT)
        .bind(row.id.as_str())
        .bind(row.run.to_string())
        .bind(row.slot.endpoint.as_str())
        .bind(row.slot.probe.as_str())
        .bind(i64::from(row.slot.replicate))
        .bind(row.number)
        .bind(row.started_at.as_str())
        .bind(row.elapsed_us)
        .bind(row.status)
        .bind(row.outcome)
        .bind(row.failure_kind)
        .bind(row.failure_message.as_deref())
        .bind(row.usage.prompt_tokens.map(count_column))
        .bind(row.usage.completion_tokens.map(count_column))
        .bind(row.headers.as_str())
        .bind(row.raw.as_str())
        .bind(row.cost)
}

/// The statement that adds a sample, or affects no row when the request is answered already.
pub(super) fn insert_sample(row: &SampleRow) -> Insert<'_> {
    sqlx::query(sql::INSERT_SAMPLE)
        .bind(row.id.as_str())
        .bind(row.run.as_str())
        .bind(row.attempt.as_deref())
        .bind(row.endpoint.as_str())
        .bind(row.probe.as_str())
        .bind(row.probe_digest.as_deref())
        .bind(row.replicate)
        .bind(row.model.as_deref())
        .bind(row.answered_at.as_deref())
        .bind(row.text.as_str())
        .bind(row.reasoning.as_deref())
        .bind(row.finish_reason.as_deref())
        .bind(row.prompt_tokens)
        .bind(row.completion_tokens)
        .bind(row.tool_calls.as_str())
        .bind(row.logprobs.as_deref())
        .bind(row.response_model.as_deref())
        .bind(row.system_fingerprint.as_deref())
        .bind(row.provider.as_deref())
        .bind(row.first_token_ms)
        .bind(row.total_ms)
        .bind(row.temperature)
        .bind(row.parameters.as_deref())
        .bind(row.headers.as_str())
        .bind(row.error_kind.as_deref())
        .bind(row.error_message.as_deref())
        .bind(row.response_id.as_deref())
        .bind(row.reasoning_tokens)
}

/// The statement that adds a run.
pub(super) fn insert_run<'q>(row: &'q RunRow, plan: Option<&'q str>) -> Insert<'q> {
    sqlx::query(sql::INSERT_RUN)
        .bind(row.id.as_str())
        .bind(row.model.as_str())
        .bind(row.reference.as_str())
        .bind(row.started_at.as_str())
        .bind(row.finished_at.as_deref())
        .bind(row.status.as_str())
        .bind(row.seed.as_str())
        .bind(row.config_digest.as_str())
        .bind(row.tool_version.as_str())
        .bind(plan)
}
