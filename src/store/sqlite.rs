//! The history in a SQLite file.
//!
//! Part of layer 3's store. The file is in write-ahead-log mode, so that reading never waits for writing, and every
//! commit is on the disk before it returns (`synchronous = FULL`).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, FromRow, SqlitePool};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::outcome_sqlite::finish;
use super::rows::{AttemptRow, BadRow, CountsRow, RecordedAttemptRow, RunRow, SampleRow, SlotRow, SpentRow, TimesRow};
use super::writer::{self, MAX_BATCH, Write, Writer};
use super::{
    AnswerTimes, AttemptCounts, Conclusion, EndpointResult, NoFolder, Recorded, RecordedAttempt, RecordedResult,
    RunEnd, RunId, RunRecord, Spent, Store, StoreError, StoreFuture, directory, sql,
};
use crate::attempt::{Attempt, Slot};
use crate::redact::Redactor;
use crate::sample::Sample;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// How long a statement waits while another process writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that read; more would not be faster on one file.
const READERS: u32 = 2;

/// A history in one SQLite file, `history.db` in the data directory.
pub struct SqliteStore {
    pub(super) path: PathBuf,
    pub(super) redactor: Redactor,
    records: mpsc::Sender<Write>,
    writing: JoinHandle<()>,
    pub(super) writer: Arc<Writer>,
    pub(super) readers: SqlitePool,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// The database's path in a data directory, whether it is there or not.
    pub fn path_in(dir: &Path) -> PathBuf {
        dir.join("history.db")
    }

    /// Opens the history in `dir`, making the directory and the file if they are not there, and brings its schema up to
    /// date. What is recorded passes through `redactor`. Call it from within a Tokio runtime, which then writes.
    pub async fn open(dir: &Path, redactor: Redactor) -> Result<Self, StoreError> {
        let path = Self::path_in(dir);
        if let Some(other) = NoFolder::found_at(dir) {
            return Err(other.into());
        }
        directory::create(dir).map_err(|error| StoreError::io(dir, error))?;
        // Made here and not by SQLite, which would let everyone read it; its side files follow its permissions.
        directory::open_private(&path).map_err(|error| StoreError::io(&path, error))?;
        let options = options(&path).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        Self::connect(path, options, redactor).await
    }

    /// Opens the history in `dir` for a command that only reads it: as ever where it may be written, and as it is where it may not,
    /// as on a disk that is mounted read-only, while nothing writes there.
    pub async fn open_to_read(dir: &Path, redactor: Redactor) -> Result<Self, StoreError> {
        match Self::open(dir, redactor.clone()).await {
            Err(StoreError::ReadOnly { .. } | StoreError::CannotOpen { .. }) if Self::path_in(dir).exists() => {
                Self::open_as_it_is(dir, redactor).await
            }
            opened => opened,
        }
    }

    /// Opens a history of which nothing may be written, while nothing writes there. A log beside it has the latest answers and is read
    /// with it; without one SQLite is told that nothing changes the file, so that it need make none beside it, and looks at no lock:
    /// where somebody else writes it meanwhile, as to a folder that is mounted read-only here, what is read may not belong together.
    pub(super) async fn open_as_it_is(dir: &Path, redactor: Redactor) -> Result<Self, StoreError> {
        let path = Self::path_in(dir);
        let log = path.with_extension("db-wal");
        let has_log = std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
        let options = options(&path).read_only(true).immutable(!has_log);
        let because = |why| StoreError::NeedsWriting { path: path.clone(), why };
        match Self::connect(path.clone(), options, redactor).await {
            Err(StoreError::ReadOnly { .. } | StoreError::CannotOpen { .. }) if has_log => {
                Err(because("the log beside it, with the latest answers, cannot be read"))
            }
            Err(StoreError::ReadOnly { .. }) => {
                Err(because("it is of an earlier version of samemodel, and cannot be brought up to date"))
            }
            opened => opened,
        }
    }

    /// Connects, brings the schema up to date where it is not, and begins to write.
    async fn connect(path: PathBuf, options: SqliteConnectOptions, redactor: Redactor) -> Result<Self, StoreError> {
        let mut connection = options.connect().await.map_err(|error| StoreError::sqlite(&path, error))?;
        let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        MIGRATIONS.run(&mut connection).await.map_err(|error| StoreError::migration(&path, known, error))?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options);

        let writer = Arc::new(Writer { connection: Mutex::new(connection), path: path.clone() });
        let (records, incoming) = mpsc::channel(4 * MAX_BATCH);
        let writing = tokio::spawn(writer::run(Arc::clone(&writer), incoming));
        Ok(Self { path, redactor, records, writing, writer, readers })
    }

    /// Writes what is still under way, folds the log into the file and closes it. Dropping the store instead loses
    /// nothing that was acknowledged; it only leaves the log to be folded in when the file is next opened.
    pub async fn close(self) -> Result<(), StoreError> {
        drop(self.records);
        let closed = || StoreError::Closed { path: self.path.clone() };
        self.writing.await.map_err(|_| closed())?;
        self.readers.close().await;
        let writer = Arc::into_inner(self.writer).ok_or_else(closed)?;
        writer.connection.into_inner().close().await.map_err(|error| StoreError::sqlite(&self.path, error))
    }

    /// Ends the task that writes, as the end of the runtime does.
    #[cfg(test)]
    pub(super) async fn stop_writing(&mut self) {
        self.writing.abort();
        let _ = (&mut self.writing).await;
    }

    async fn insert_record(
        &self,
        attempt: Box<AttemptRow>,
        sample: Option<Box<SampleRow>>,
    ) -> Result<Recorded, StoreError> {
        let closed = || StoreError::Closed { path: self.path.clone() };
        let (done, outcome) = oneshot::channel();
        self.records.send(Write { attempt, sample, done }).await.map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }

    async fn insert_run(&self, run: &RunRecord, plan: &str) -> Result<(), StoreError> {
        let row = RunRow::new(run);
        let mut connection = self.writer.connection.lock().await;
        writer::insert_run(&row, Some(plan)).execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    async fn set_end(&self, run: &RunId, end: RunEnd) -> Result<(), StoreError> {
        let mut connection = self.writer.connection.lock().await;
        let updated = finish(run, end).execute(&mut *connection).await.map_err(|error| self.failed(error))?;
        if updated.rows_affected() == 0 { Err(self.unknown(run)) } else { Ok(()) }
    }

    async fn insert_import(&self, run: &RunRecord, samples: &[Sample]) -> Result<(), StoreError> {
        let failed = |error| self.failed(error);
        let run_row = RunRow::new(run);
        let mut connection = self.writer.connection.lock().await;
        let mut transaction = connection.begin().await.map_err(failed)?;
        writer::insert_run(&run_row, None).execute(&mut *transaction).await.map_err(failed)?;
        for sample in samples {
            let row = SampleRow::new(run.id, None, sample, &self.redactor);
            if writer::insert_sample(&mut transaction, &row).await.map_err(failed)? == 0 {
                let Sample { endpoint, probe, replicate, .. } = sample.clone();
                return Err(StoreError::DuplicateAnswer { slot: Slot { endpoint, probe, replicate } });
            }
        }
        transaction.commit().await.map_err(failed)
    }

    /// All rows of a statement with one parameter.
    pub(super) async fn rows<R>(&self, sql: &'static str, parameter: &str) -> Result<Vec<R>, StoreError>
    where
        R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        sqlx::query_as(sql).bind(parameter).fetch_all(&self.readers).await.map_err(|error| self.failed(error))
    }

    /// All rows of a statement about one run that must be there.
    pub(super) async fn rows_of<R>(&self, sql: &'static str, run: &RunId) -> Result<Vec<R>, StoreError>
    where
        R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let rows = self.rows(sql, &run.to_string()).await?;
        if rows.is_empty() {
            self.find_run(run).await?;
        }
        Ok(rows)
    }

    pub(super) async fn find_run(&self, run: &RunId) -> Result<RunRecord, StoreError> {
        let row = self.rows::<RunRow>(sql::RUN, &run.to_string()).await?.pop();
        row.ok_or_else(|| self.unknown(run))?.into_record().map_err(|bad| self.unreadable(bad))
    }

    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::sqlite(&self.path, error)
    }

    pub(super) fn unknown(&self, run: &RunId) -> StoreError {
        StoreError::UnknownRun { path: self.path.clone(), run: *run }
    }

    pub(super) fn unreadable(&self, BadRow { table, message }: BadRow) -> StoreError {
        StoreError::Unreadable { path: self.path.clone(), table, message }
    }

    /// The nouns of all rows, or the first row that holds none.
    pub(super) fn nouns<R, T, C>(&self, rows: Vec<R>, noun: impl Fn(R) -> Result<T, BadRow>) -> Result<C, StoreError>
    where
        C: FromIterator<T>,
    {
        rows.into_iter().map(noun).collect::<Result<C, BadRow>>().map_err(|bad| self.unreadable(bad))
    }
}

/// What all connections have in common.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).foreign_keys(true).busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

impl Store for SqliteStore {
    fn create_run<'a>(&'a self, run: &'a RunRecord, plan: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(self.insert_run(run, plan))
    }

    fn record<'a>(
        &'a self,
        run: &'a RunId,
        attempt: &'a Attempt,
        sample: Option<&'a Sample>,
    ) -> StoreFuture<'a, Recorded> {
        let attempt = Box::new(AttemptRow::new(*run, attempt, &self.redactor));
        let sample = sample.map(|sample| Box::new(SampleRow::new(*run, Some(&attempt.id), sample, &self.redactor)));
        Box::pin(self.insert_record(attempt, sample))
    }

    fn finish_run<'a>(&'a self, run: &'a RunId, end: RunEnd) -> StoreFuture<'a, ()> {
        Box::pin(self.set_end(run, end))
    }

    fn conclude<'a>(&'a self, run: &'a RunId, conclusion: &'a Conclusion) -> StoreFuture<'a, ()> {
        Box::pin(self.keep_conclusion(run, conclusion))
    }

    fn results<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<EndpointResult>> {
        Box::pin(self.find_results(run))
    }

    fn results_since<'a>(&'a self, model: &'a str, since: Timestamp) -> StoreFuture<'a, Vec<RecordedResult>> {
        Box::pin(self.find_results_since(model, since))
    }

    fn import<'a>(&'a self, run: &'a RunRecord, samples: &'a [Sample]) -> StoreFuture<'a, ()> {
        Box::pin(self.insert_import(run, samples))
    }

    fn runs(&self) -> StoreFuture<'_, Vec<RunRecord>> {
        Box::pin(async move {
            let rows = sqlx::query_as(sql::RUNS).fetch_all(&self.readers).await.map_err(|error| self.failed(error))?;
            self.nouns(rows, RunRow::into_record)
        })
    }

    fn run<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, RunRecord> {
        Box::pin(self.find_run(run))
    }

    fn plan<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Option<String>> {
        Box::pin(async move {
            let row: Option<(Option<String>,)> = self.rows_of(sql::PLAN, run).await?.pop();
            Ok(row.and_then(|(plan,)| plan))
        })
    }

    fn answered<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, HashSet<Slot>> {
        Box::pin(async move {
            let rows = self.rows_of(sql::ANSWERED, run).await?;
            self.nouns(rows, SlotRow::into_slot)
        })
    }

    fn samples<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<Sample>> {
        Box::pin(async move {
            let rows = self.rows_of(sql::SAMPLES, run).await?;
            let mut samples: Vec<Sample> = self.nouns(rows, SampleRow::into_sample)?;
            // Sorted here because databases differ in how they order text.
            samples.sort_by(|a, b| (&a.endpoint, &a.probe, a.replicate).cmp(&(&b.endpoint, &b.probe, b.replicate)));
            Ok(samples)
        })
    }

    fn attempts<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<RecordedAttempt>> {
        Box::pin(async move {
            let rows = self.rows_of(sql::ATTEMPTS, run).await?;
            self.nouns(rows, RecordedAttemptRow::into_attempt)
        })
    }

    fn counts<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<AttemptCounts>> {
        Box::pin(async move {
            let rows = self.rows_of(sql::COUNTS, run).await?;
            let mut counts: Vec<_> = rows.into_iter().map(CountsRow::into_counts).collect();
            counts.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
            Ok(counts)
        })
    }

    fn spent<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<Spent>> {
        Box::pin(async move {
            let rows = self.rows_of(sql::SPENT, run).await?;
            let mut spent: Vec<_> = rows.into_iter().map(SpentRow::into_spent).collect();
            spent.sort_by(|a, b| (&a.endpoint, &a.probe).cmp(&(&b.endpoint, &b.probe)));
            Ok(spent)
        })
    }

    fn times<'a>(&'a self, run: &'a RunId) -> StoreFuture<'a, Vec<AnswerTimes>> {
        Box::pin(async move {
            let rows = self.rows_of(sql::TIMES, run).await?;
            let mut times: Vec<AnswerTimes> = self.nouns(rows, TimesRow::into_times)?;
            times.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
            Ok(times)
        })
    }
}
