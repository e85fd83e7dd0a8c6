//! What is noted of a watch: which times were started, and what came of them.
//!
//! Part of layer 3's store. A time is claimed before its check begins. The claim names the number of the latest start that its maker
//! knows, so that of two watchers only one gets it, on whatever machines they run.

use jiff::Timestamp;
use sqlx::{Connection as _, FromRow};

use super::rows::{BadRow, parse, time_column};
use super::{RunId, SqliteStore, StoreError, StoreFuture, sql};
use crate::schedule::Tier;
use crate::verdict::Verdict;

/// Why a check was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartCause {
    /// Its time had come.
    Schedule,
    /// A pulse put these endpoints under suspicion.
    Suspicion(Vec<String>),
    /// It was not: a full check of the same time made up for it.
    Covered,
}

/// A time that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchStart {
    /// The model.
    pub model: String,
    /// The tier.
    pub tier: Tier,
    /// One more than the one before, from 1.
    pub number: u64,
    /// Why.
    pub cause: StartCause,
    /// When it was due.
    pub due_at: Timestamp,
    /// When it was started.
    pub started_at: Timestamp,
}

/// What came of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartEnd {
    /// The run that it made.
    pub run: Option<RunId>,
    /// The verdict on all endpoints; nothing when it failed.
    pub verdict: Option<Verdict>,
}

/// A start as it is kept, with what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedStart {
    /// The start.
    pub start: WatchStart,
    /// The run that it made.
    pub run: Option<RunId>,
    /// The verdict, or `failed`; nothing while it goes on, and after it was killed.
    pub outcome: Option<String>,
}

/// The notes of watches.
///
/// As with [`Store`](super::Store), every write is durable when its future resolves.
pub trait WatchStore: Send + Sync {
    /// The latest starts of a model and tier, the latest first.
    fn starts<'a>(&'a self, model: &'a str, tier: Tier) -> StoreFuture<'a, Vec<RecordedStart>>;

    /// All starts that made a run.
    fn started_runs(&self) -> StoreFuture<'_, Vec<RecordedStart>>;

    /// Claims times before they are started, all or none. `false` when one of the numbers is taken.
    fn claim<'a>(&'a self, starts: &'a [WatchStart]) -> StoreFuture<'a, bool>;

    /// Gives claims back for which nothing was done.
    fn give_back<'a>(&'a self, starts: &'a [WatchStart]) -> StoreFuture<'a, ()>;

    /// Notes what came of a start.
    fn end_start<'a>(&'a self, start: &'a WatchStart, end: StartEnd) -> StoreFuture<'a, ()>;
}

/// What stands in the store for a check that came to no verdict.
const FAILED: &str = "failed";

#[derive(Debug, FromRow)]
struct StartRow {
    model: String,
    tier: String,
    number: i64,
    cause: String,
    due_at: String,
    started_at: String,
    suspects: String,
    run: Option<String>,
    outcome: Option<String>,
}

impl StartRow {
    fn into_start(self) -> Result<RecordedStart, BadRow> {
        let bad = BadRow::because("watch_start");
        let tier = match self.tier.as_str() {
            "pulse" => Tier::Pulse,
            "full" => Tier::Full,
            other => return Err(bad(format!("unknown tier `{other}`"))),
        };
        let cause = match self.cause.as_str() {
            "schedule" => StartCause::Schedule,
            "covered" => StartCause::Covered,
            "suspicion" => StartCause::Suspicion(super::rows::from_json("suspects", &self.suspects).map_err(&bad)?),
            other => return Err(bad(format!("unknown cause `{other}`"))),
        };
        Ok(RecordedStart {
            start: WatchStart {
                tier,
                cause,
                number: super::rows::small("number", self.number).map_err(&bad)?,
                due_at: parse("due_at", &self.due_at).map_err(&bad)?,
                started_at: parse("started_at", &self.started_at).map_err(&bad)?,
                model: self.model,
            },
            run: self.run.map(|run| parse("run", &run)).transpose().map_err(&bad)?,
            outcome: self.outcome,
        })
    }
}

impl StartCause {
    fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Schedule => ("schedule", "[]".to_owned()),
            Self::Covered => ("covered", "[]".to_owned()),
            Self::Suspicion(suspects) => ("suspicion", serde_json::Value::from(suspects.as_slice()).to_string()),
        }
    }
}

impl SqliteStore {
    async fn insert_starts(&self, starts: &[WatchStart]) -> Result<bool, StoreError> {
        let failed = |error| self.failed(error);
        let mut connection = self.writer.connection.lock().await;
        let mut transaction = connection.begin().await.map_err(failed)?;
        for start in starts {
            let (cause, suspects) = start.cause.columns();
            let inserted = sqlx::query(sql::INSERT_START)
                .bind(start.model.as_str())
                .bind(start.tier.as_str())
                .bind(super::rows::count_column(start.number))
                .bind(cause)
                .bind(time_column(start.due_at))
                .bind(time_column(start.started_at))
                .bind(suspects)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            if inserted.rows_affected() == 0 {
                // Dropped, the transaction takes back what it did.
                return Ok(false);
            }
        }
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    async fn delete_starts(&self, starts: &[WatchStart]) -> Result<(), StoreError> {
        let mut connection = self.writer.connection.lock().await;
        for start in starts {
            let delete = sqlx::query(sql::DELETE_START)
                .bind(start.model.as_str())
                .bind(start.tier.as_str())
                .bind(super::rows::count_column(start.number));
            delete.execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    async fn update_start(&self, start: &WatchStart, end: StartEnd) -> Result<(), StoreError> {
        let mut connection = self.writer.connection.lock().await;
        let update = sqlx::query(sql::END_START)
            .bind(start.model.as_str())
            .bind(start.tier.as_str())
            .bind(super::rows::count_column(start.number))
            .bind(end.run.map(|run| run.to_string()))
            .bind(end.verdict.map_or(FAILED, Verdict::as_str));
        update.execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        Ok(())
    }
}

impl WatchStore for SqliteStore {
    fn starts<'a>(&'a self, model: &'a str, tier: Tier) -> StoreFuture<'a, Vec<RecordedStart>> {
        Box::pin(async move {
            let query = sqlx::query_as(sql::STARTS).bind(model).bind(tier.as_str());
            let rows = query.fetch_all(&self.readers).await.map_err(|error| self.failed(error))?;
            self.nouns(rows, StartRow::into_start)
        })
    }

    fn started_runs(&self) -> StoreFuture<'_, Vec<RecordedStart>> {
        Box::pin(async move {
            let query = sqlx::query_as(sql::STARTED_RUNS);
            let rows = query.fetch_all(&self.readers).await.map_err(|error| self.failed(error))?;
            self.nouns(rows, StartRow::into_start)
        })
    }

    fn claim<'a>(&'a self, starts: &'a [WatchStart]) -> StoreFuture<'a, bool> {
        Box::pin(self.insert_starts(starts))
    }

    fn give_back<'a>(&'a self, starts: &'a [WatchStart]) -> StoreFuture<'a, ()> {
        Box::pin(self.delete_starts(starts))
    }

    fn end_start<'a>(&'a self, start: &'a WatchStart, end: StartEnd) -> StoreFuture<'a, ()> {
        Box::pin(self.update_start(start, end))
    }
}
