//! What the store says when the file or the disk is not as it should be.

use sqlx::Connection as _;

use super::*;

async fn execute(store: &SqliteStore, statement: &'static str) {
    let mut connection = store.writer.connection.lock().await;
    sqlx::query(statement).execute(&mut *connection).await.unwrap();
}

#[tokio::test]
async fn commits_wait_for_the_disk_reading_does_not_wait_and_references_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut connection = store.writer.connection.lock().await;
    let settings: (String, i64, i64) = sqlx::query_as(
        "SELECT journal_mode, synchronous, foreign_keys
         FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    assert_eq!(settings, ("wal".to_owned(), 2, 1));
}

async fn refusal(dir: &Path) -> StoreError {
    SqliteStore::open(dir, Redactor::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = SqliteStore::path_in(dir.path());
    let text = "not a database ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_database_is_told_from_other_failures() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await.unwrap();
    let path = SqliteStore::path_in(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    // All but the first page, which makes the file a database.
    bytes[4096..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    execute(
        &store,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'later', TRUE, x'00', 0)",
    )
    .await;
    store.close().await.unwrap();
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::Newer { found: 999, .. }), "{error}");
    assert!(error.to_string().ends_with("upgrade samemodel"), "{error}");
}

#[tokio::test]
async fn a_schema_that_someone_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    execute(&store, "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    store.close().await.unwrap();
    let error = refusal(dir.path()).await;
    assert!(matches!(error, StoreError::Schema { .. }), "{error}");
}

#[tokio::test]
async fn what_may_not_be_written_is_read_as_it_is_and_has_nothing_put_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    record_answer(&store, &run, 0, "hi").await;
    store.close().await.unwrap();
    let store = SqliteStore::open_as_it_is(dir.path(), Redactor::default()).await.unwrap();
    assert_eq!(store.samples(&run).await.unwrap()[0].text, "hi");
    let error = store.finish_run(&run, RunEnd { how: Ending::Complete, at: time(9) }).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    store.close().await.unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["history.db"]);
}

#[tokio::test]
async fn a_log_beside_what_may_not_be_written_is_read_with_it() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, run) = with_run(dir.path()).await;
    record_answer(&store, &run, 0, "hi").await;
    for name in ["history.db", "history.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let read = SqliteStore::open_as_it_is(copy.path(), Redactor::default()).await.unwrap();
    assert_eq!(read.samples(&run).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_may_not_be_written_and_is_of_an_earlier_version_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(SqliteStore::path_in(dir.path()), "").unwrap();
    let error = SqliteStore::open_as_it_is(dir.path(), Redactor::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::NeedsWriting { .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains("earlier version") && told.ends_with("name the copy with `--data-dir`"), "{told}");
}

#[tokio::test]
async fn a_full_disk_is_reported_and_what_was_acknowledged_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    record_answer(&store, &run, 0, "hi").await;
    execute(&store, "PRAGMA max_page_count = 1").await;
    let (attempt, sample) = answered(1, &"x".repeat(1 << 20));
    let error = store.record(&run, &attempt, Some(&sample)).await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert_eq!(store.answered(&run).await.unwrap(), HashSet::from([slot(0)]));
    assert_eq!(store.attempts(&run).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_reported_as_locked() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    let other = open(dir.path()).await;
    let mut connection = other.writer.connection.lock().await;
    let _held = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    execute(&store, "PRAGMA busy_timeout = 0").await;
    let (attempt, sample) = answered(0, "hi");
    let error = store.record(&run, &attempt, Some(&sample)).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_an_error_that_names_table_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let (store, run) = with_run(dir.path()).await;
    record_answer(&store, &run, 0, "hi").await;
    execute(&store, "UPDATE sample SET replicate = -1").await;
    let error = store.samples(&run).await.unwrap_err().to_string();
    assert!(error.contains("table `sample`") && error.contains("replicate: -1 is out of range"), "{error}");
    execute(&store, "UPDATE run SET seed = 'x'").await;
    let error = store.run(&run).await.unwrap_err().to_string();
    assert!(error.contains("table `run`") && error.contains("seed: "), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = refusal(&file).await.to_string();
    assert!(error.starts_with(&file.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_record_after_the_writer_has_gone_says_that_the_store_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, run) = with_run(dir.path()).await;
    store.stop_writing().await;
    let error = store.record(&run, &failed(0, FailureKind::Reset), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Closed { .. }), "{error}");
}
