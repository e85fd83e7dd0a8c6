//! Dropping what retention no longer keeps, and giving the room back to the disk.
//!
//! Part of layer 3's store. Which run loses what is decided in `retention`; here it is carried out, a run at a time and each in a
//! transaction, so that a kill leaves every run at one level or another.

use sqlx::{Connection as _, FromRow};

use super::rows::{BadRow, parse};
use super::{Ending, RunId, SqliteStore, StoreError, StoreFuture, sql};
use crate::retention::{Level, Run, Standing};

/// What of the history is kept.
///
/// As with [`Store`](super::Store), every write is durable when its future resolves.
pub trait RetentionStore: Send + Sync {
    /// How every run stands, the latest first.
    fn retained(&self) -> StoreFuture<'_, Vec<Run<RunId>>>;

    /// Brings a run down to a level. What is gone already stays gone.
    fn reduce<'a>(&'a self, run: &'a RunId, level: Level) -> StoreFuture<'a, ()>;

    /// Gives unused room back to the disk, and says how many bytes the database takes before and after. Needs as much free
    /// room as it takes, for a while.
    fn compact(&self) -> StoreFuture<'_, (u64, u64)>;
}

#[derive(Debug, FromRow)]
struct RetainedRow {
    id: String,
    model: String,
    status: String,
    finished_at: Option<String>,
    kept: String,
    imported: i64,
}

impl RetainedRow {
    fn into_run(self) -> Result<Run<RunId>, BadRow> {
        let bad = BadRow::because("run");
        let level = match self.kept.as_str() {
            "whole" => Level::Whole,
            "without-raw" => Level::WithoutRaw,
            "results-only" => Level::ResultsOnly,
            other => return Err(bad(format!("kept: unknown level `{other}`"))),
        };
        let end = || parse("finished_at", self.finished_at.as_deref().unwrap_or_default()).map_err(&bad);
        let standing = match self.status.as_str() {
            _ if self.imported != 0 && level != Level::ResultsOnly => Standing::Imported,
            status if status == Ending::Complete.as_str() => Standing::Complete(end()?),
            status if status == Ending::Partial.as_str() || status == Ending::StoppedBudget.as_str() => {
                Standing::Stopped(end()?)
            }
            _ => Standing::Open,
        };
        Ok(Run { id: parse("id", &self.id).map_err(&bad)?, model: self.model, standing, level })
    }
}

impl SqliteStore {
    async fn bring_down(&self, run: &RunId, level: Level) -> Result<(), StoreError> {
        let statements: &[&'static str] = match level {
            Level::Whole => return Ok(()),
            Level::WithoutRaw => &[sql::DROP_RAW, sql::DROP_HEADERS],
            Level::ResultsOnly => &[sql::DROP_SAMPLES, sql::DROP_ATTEMPTS, sql::DROP_PLAN],
        };
        let failed = |error| self.failed(error);
        let mut connection = self.writer.connection.lock().await;
        let mut transaction = connection.begin().await.map_err(failed)?;
        for statement in statements {
            sqlx::query(*statement).bind(run.to_string()).execute(&mut *transaction).await.map_err(failed)?;
        }
        let keep = sqlx::query(sql::SET_KEPT).bind(run.to_string()).bind(level.as_str());
        keep.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn vacuum(&self) -> Result<(u64, u64), StoreError> {
        let failed = |error| self.failed(error);
        let size = || std::fs::metadata(&self.path).map(|m| m.len()).map_err(|error| StoreError::io(&self.path, error));
        let mut connection = self.writer.connection.lock().await;
        // The log is folded in on both sides, so that the file's size is that of the database.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await.map_err(failed)?;
        let before = size()?;
        sqlx::query("VACUUM").execute(&mut *connection).await.map_err(failed)?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await.map_err(failed)?;
        Ok((before, size()?))
    }
}

impl RetentionStore for SqliteStore {
    fn retained(&self) -> StoreFuture<'_, Vec<Run<RunId>>> {
        Box::pin(async move {
            let rows = sqlx::query_as(sql::RETAINED).fetch_all(&self.readers).await;
            self.nouns(rows.map_err(|error| self.failed(error))?, RetainedRow::into_run)
        })
    }

    fn reduce<'a>(&'a self, run: &'a RunId, level: Level) -> StoreFuture<'a, ()> {
        Box::pin(self.bring_down(run, level))
    }

    fn compact(&self) -> StoreFuture<'_, (u64, u64)> {
        Box::pin(self.vacuum())
    }
}
