//! Examinations of endpoints, each time that one was examined.
//!
//! Part of layer 3's store. They belong to no run and are small, so that none is ever dropped.

use sqlx::{Connection as _, FromRow};

use super::rows::{BadRow, from_json, json_column, time_column};
use super::{SqliteStore, StoreError, StoreFuture, sql};
use crate::doctor::Examined;

/// What examinations found.
///
/// As with [`Store`](super::Store), every write is durable when its future resolves.
pub trait ExaminationStore: Send + Sync {
    /// Keeps what was found of a model's endpoints, all or none. A second examination of an endpoint at the same moment replaces the
    /// first.
    fn keep_examinations<'a>(&'a self, model: &'a str, found: &'a [Examined]) -> StoreFuture<'a, ()>;

    /// The latest examination of each endpoint of a model, by the endpoints' names.
    fn latest_examinations<'a>(&'a self, model: &'a str) -> StoreFuture<'a, Vec<Examined>>;

    /// The latest eight examinations of each endpoint of a model, by the endpoints' names and of each the newest first.
    fn recent_examinations<'a>(&'a self, model: &'a str) -> StoreFuture<'a, Vec<Examined>>;
}

#[derive(Debug, FromRow)]
struct ExaminationRow {
    document: String,
}

impl ExaminationRow {
    fn into_examined(self) -> Result<Examined, BadRow> {
        from_json("document", &self.document).map_err(BadRow::because("examination"))
    }
}

impl SqliteStore {
    async fn insert_examinations(&self, model: &str, found: &[Examined]) -> Result<(), StoreError> {
        let failed = |error| self.failed(error);
        let mut connection = self.writer.connection.lock().await;
        let mut transaction = connection.begin().await.map_err(failed)?;
        for examined in found {
            sqlx::query(sql::PUT_EXAMINATION)
                .bind(model)
                .bind(examined.endpoint.as_str())
                .bind(time_column(examined.examined_at))
                .bind(json_column(examined, &self.redactor))
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }
}

impl ExaminationStore for SqliteStore {
    fn keep_examinations<'a>(&'a self, model: &'a str, found: &'a [Examined]) -> StoreFuture<'a, ()> {
        Box::pin(self.insert_examinations(model, found))
    }

    fn latest_examinations<'a>(&'a self, model: &'a str) -> StoreFuture<'a, Vec<Examined>> {
        Box::pin(async move {
            let rows = self.rows(sql::LATEST_EXAMINATIONS, model).await?;
            let mut found: Vec<Examined> = self.nouns(rows, ExaminationRow::into_examined)?;
            found.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
            Ok(found)
        })
    }

    fn recent_examinations<'a>(&'a self, model: &'a str) -> StoreFuture<'a, Vec<Examined>> {
        Box::pin(async move {
            let rows = self.rows(sql::RECENT_EXAMINATIONS, model).await?;
            self.nouns(rows, ExaminationRow::into_examined)
        })
    }
}
