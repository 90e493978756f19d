//! The stores that the contract suite runs against. Another database is another `Backend`, and one line in `contract`.

use std::path::PathBuf;

use certferry_core::port::Store;
use certferry_store::Sqlite;
use tempfile::TempDir;

use crate::model::Model;

/// A fresh store that nobody else uses.
pub(crate) trait Backend: Sized {
    async fn fresh() -> Self;

    fn store(&self) -> &dyn Store;

    /// The same store as a process sees it that starts after this one died without closing anything.
    async fn reopened(self) -> Self;
}

impl Backend for Model {
    async fn fresh() -> Self {
        Self::default()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    async fn reopened(self) -> Self {
        self
    }
}

/// A SQLite store in a folder of its own.
pub(crate) struct SqliteFolder {
    pub(crate) store: Sqlite,
    folder: TempDir,
}

impl SqliteFolder {
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("certferry.db")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("certferry.key")
    }

    pub(crate) fn folder(&self) -> &TempDir {
        &self.folder
    }

    /// Ends the store, and keeps its files.
    pub(crate) async fn into_files(self) -> TempDir {
        self.store.close().await;
        self.folder
    }
}

impl Backend for SqliteFolder {
    async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Sqlite::open(&folder.path().join("certferry.db"), &folder.path().join("certferry.key")).await.unwrap();
        Self { store, folder }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn reopened(self) -> Self {
        let store = Sqlite::open(&self.database(), &self.key_file()).await.unwrap();
        // The old connections are still there while the new ones are made, and are never closed in order.
        drop(self.store);
        Self { store, folder: self.folder }
    }
}
