//! Group commit: many records, one transaction, one wait for the disk.
//!
//! Part of layer 3's store. A durable commit waits for the disk, some milliseconds each, while dozens of answers may
//! arrive in that time. So one task writes all that has come in the meantime at once, and tells each sender when it is
//! safe. Where they come fast it waits a moment for more, since the pages that a transaction writes are mostly the same
//! for a few records and for dozens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection as _, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::rows::{AttemptRow, RunRow, SampleRow, count_column};
use super::sql::{INSERT_ATTEMPTS, INSERT_SAMPLES, Insertions};
use super::{Recorded, StoreError, sql};

/// The most records in one transaction: enough that the wait for the disk no longer counts, few enough that the first
/// of them does not wait long.
pub(super) const MAX_BATCH: usize = 128;

/// As many records in one transaction show that they come faster than one by one is worth the while.
const MANY: usize = 4;

/// How long they are gathered then: not longer than a transaction takes.
const GATHERING: Duration = Duration::from_millis(2);

/// One record on its way into the database.
pub(super) struct Write {
    /// The rows are large, and handed on several times.
    pub(super) attempt: Box<AttemptRow>,
    pub(super) sample: Option<Box<SampleRow>>,
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
        let count = batch.len();
        writer.commit(std::mem::take(&mut batch)).await;
        if count >= MANY && incoming.len() < MAX_BATCH {
            tokio::time::sleep(GATHERING).await;
        }
    }
}

impl Writer {
    async fn commit(&self, batch: Vec<Write>) {
        let mut connection = self.connection.lock().await;
        match write_all(&mut connection, &batch).await {
            Ok(Written::All) => batch.into_iter().for_each(|write| acknowledge(write, Ok(Recorded::Stored))),
            Ok(Written::Nothing) => self.commit_each(&mut connection, batch).await,
            Err(error) if is_the_records_fault(&error) => self.commit_each(&mut connection, batch).await,
            Err(error) => {
                let error = StoreError::sqlite(&self.path, error);
                for write in batch {
                    acknowledge(write, Err(error.clone()));
                }
            }
        }
    }

    /// One bad record must not take the others down with it, nor one whose request is answered already.
    async fn commit_each(&self, connection: &mut SqliteConnection, batch: Vec<Write>) {
        for write in batch {
            let outcome = write_one(connection, &write).await;
            let outcome = outcome.map_err(|error| self.explain(error, &write));
            acknowledge(write, outcome);
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

/// What became of a batch as a whole.
enum Written {
    All,
    /// A request was answered already, so that none was written: which one has to be told.
    Nothing,
}

async fn write_all(connection: &mut SqliteConnection, batch: &[Write]) -> sqlx::Result<Written> {
    let mut transaction = connection.begin().await?;
    let attempts: Vec<&AttemptRow> = batch.iter().map(|write| &*write.attempt).collect();
    let samples: Vec<&SampleRow> = batch.iter().filter_map(|write| write.sample.as_deref()).collect();
    insert(&mut transaction, &INSERT_ATTEMPTS, &attempts, bind_attempt).await?;
    let inserted = insert(&mut transaction, &INSERT_SAMPLES, &samples, bind_sample).await?;
    if inserted < samples.len() as u64 {
        transaction.rollback().await?;
        return Ok(Written::Nothing);
    }
    transaction.commit().await?;
    Ok(Written::All)
}

async fn write_one(connection: &mut SqliteConnection, write: &Write) -> sqlx::Result<Recorded> {
    let mut transaction = connection.begin().await?;
    insert(&mut transaction, &INSERT_ATTEMPTS, &[&*write.attempt], bind_attempt).await?;
    let inserted = match &write.sample {
        Some(sample) => insert_sample(&mut transaction, sample).await?,
        None => 1,
    };
    transaction.commit().await?;
    Ok(if inserted == 0 { Recorded::AlreadyAnswered } else { Recorded::Stored })
}

/// Adds a sample; 0 when the request is answered already, else 1.
pub(super) async fn insert_sample(connection: &mut SqliteConnection, row: &SampleRow) -> sqlx::Result<u64> {
    insert(connection, &INSERT_SAMPLES, &[row], bind_sample).await
}

/// Adds rows, as many at once as there is a statement for: each statement goes to SQLite's thread and back. Returns how many were added.
async fn insert<Row>(
    connection: &mut SqliteConnection,
    statements: &'static Insertions,
    mut rows: &[&Row],
    bind: for<'q> fn(Insert<'q>, &'q Row) -> Insert<'q>,
) -> sqlx::Result<u64> {
    let mut added = 0;
    while !rows.is_empty() {
        let (statement, count) = statements.most_of(rows.len());
        let (now, later) = rows.split_at(count);
        let query = now.iter().fold(sqlx::query(statement), |query, row| bind(query, row));
        added += query.execute(&mut *connection).await?.rows_affected();
        rows = later;
    }
    Ok(added)
}

type Insert<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn bind_attempt<'q>(query: Insert<'q>, row: &'q AttemptRow) -> Insert<'q> {
    query
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

fn bind_sample<'q>(query: Insert<'q>, row: &'q SampleRow) -> Insert<'q> {
    query
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
