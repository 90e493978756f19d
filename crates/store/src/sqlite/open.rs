//! Opening: files, connections, schema, and the master key that belongs to the database.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certferry_core::port::Lease;
use certferry_core::{Error, ErrorKind};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool, Transaction};

use super::failure::{Failure, subject};
use super::schema::{self, SchemaState};
use super::{Sqlite, Writing, versions};
use crate::file_error::file_error;
use crate::key_file::{self, MasterKey};
use crate::lease;
use crate::seal::{Owner, Seal};

pub(super) async fn to_write(path: &Path, key_file: &Path) -> Result<Sqlite, Error> {
    create_when_absent(path).await?;
    let path = resolved(path)?;
    let failed = |failure: Failure| failure.into_error(OPERATION, &path);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(LONGEST_QUEUE)
        .connect_with(writer_options(&path))
        .await
        .map_err(|error| failed(error.into()))?;
    let mut setup = pool.begin_with("BEGIN IMMEDIATE").await.map_err(|error| failed(error.into()))?;
    let state = schema::state(&mut setup).await.map_err(failed)?;
    // An older program that works on the store would go on writing what it knows of the schema.
    let alone = if state == SchemaState::Older { Some(alone(&path)?) } else { None };
    own_schema(&mut setup, state).await.map_err(failed)?;
    let seal = matching_seal(&mut setup, &path, key_file).await?;
    setup.commit().await.map_err(|error| failed(error.into()))?;
    drop(alone);
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(LONGEST_QUEUE)
        .connect_lazy_with(reader_options(&path));
    Ok(Sqlite { path, readers, writing: Some(Writing { pool, seal }) })
}

pub(super) async fn to_read(path: &Path) -> Result<Sqlite, Error> {
    let exists = path.try_exists().map_err(|error| file_error(OPERATION, &subject(path), error))?;
    if !exists {
        return empty(path).await.map_err(|failure| failure.into_error(OPERATION, path));
    }
    let path = resolved(path)?;
    let failed = |failure: Failure| failure.into_error(OPERATION, &path);
    match readers(&path).await.map_err(failed)? {
        Some(readers) => Ok(Sqlite { path, readers, writing: None }),
        None => empty(&path).await.map_err(failed),
    }
}

/// `None` for a database in which nothing was ever stored.
async fn readers(path: &Path) -> Result<Option<SqlitePool>, Failure> {
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(LONGEST_QUEUE)
        .connect_with(reader_options(path))
        .await?;
    let mut snapshot = readers.begin().await?;
    match schema::state(&mut snapshot).await? {
        SchemaState::Current => {}
        SchemaState::Empty => return Ok(None),
        SchemaState::Foreign => return Err(foreign()),
        SchemaState::Newer(step) => return Err(MigrateError::VersionMissing(step).into()),
        SchemaState::Older => {
            return Err(Failure::Schema(
                "an older certferry wrote it last".to_owned(),
                "run `certferry apply` or start the daemon: they bring the schema up to date",
            ));
        }
    }
    snapshot.rollback().await?;
    Ok(Some(readers))
}

/// A store without a file. It lives in its one connection, which therefore never ends.
async fn empty(path: &Path) -> Result<Sqlite, Failure> {
    let readers = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(SqliteConnectOptions::new().in_memory(true))
        .await?;
    let mut setup = readers.begin().await?;
    schema::bring_up_to_date(&mut setup).await?;
    setup.commit().await?;
    Ok(Sqlite { path: path.to_owned(), readers, writing: None })
}

/// The lease, for the time in which the schema changes.
fn alone(path: &Path) -> Result<Lease, Error> {
    lease::acquire(&lease::lock_of(path), &subject(path), "a newer certferry that updates the schema").map_err(
        |error| error.with_hint("it is of an older version than this program: stop it, and start it again as this one"),
    )
}

async fn own_schema(setup: &mut SqliteConnection, state: SchemaState) -> Result<(), Failure> {
    match state {
        SchemaState::Foreign => Err(foreign()),
        SchemaState::Newer(step) => Err(MigrateError::VersionMissing(step).into()),
        SchemaState::Current => schema::bring_up_to_date(setup).await,
        SchemaState::Empty | SchemaState::Older => {
            schema::bring_up_to_date(setup).await?;
            versions::complete_leaves(setup).await
        }
    }
}

fn foreign() -> Failure {
    Failure::Schema(
        "it is a database, but not certferry's".to_owned(),
        "correct the path in the config, or move the other program's database away",
    )
}

/// The master key, proved to be the one that this database was made with.
///
/// The first opening stores a check value sealed with it, in the transaction that makes the schema: a database without a
/// check value holds no sealed key, so only then may a key file be made.
async fn matching_seal(
    setup: &mut Transaction<'static, sqlx::Sqlite>,
    path: &Path,
    key_file: &Path,
) -> Result<Seal, Error> {
    let failed = |failure: Failure| failure.into_error(OPERATION, path);
    let check: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'seal_check'")
        .fetch_optional(&mut **setup)
        .await
        .map_err(|error| failed(error.into()))?;
    let key = key_file::read(key_file)?;
    let seal = |key: &MasterKey| Seal::new(key).map_err(|error| failed(error.into()));
    match (check, key) {
        (Some(check), Some(key)) => {
            let seal = seal(&key)?;
            match seal.open(&Owner::Check, &check) {
                Ok(_) => Ok(seal),
                Err(_) => {
                    Err(wrong_key(path, key_file, "holds another key than the one that the database was made with"))
                }
            }
        }
        (Some(_), None) => Err(wrong_key(path, key_file, "is not there, but the database holds keys sealed with it")),
        (None, key) => {
            let key = match key {
                Some(key) => key,
                None => key_file::create(key_file)?,
            };
            let seal = seal(&key)?;
            let check = seal.seal(&Owner::Check, CHECK_TEXT).map_err(|error| failed(error.into()))?;
            sqlx::query("INSERT INTO meta (key, value) VALUES ('seal_check', $1)")
                .bind(check)
                .execute(&mut **setup)
                .await
                .map_err(|error| failed(error.into()))?;
            Ok(seal)
        }
    }
}

fn wrong_key(path: &Path, key_file: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, subject(path))
        .said(format!("the key file `{}` {what}", key_file.display()))
        .with_hint(format!(
            "restore `{key_file}` from the backup that belongs to `{database}`; if there is none, move both files away \
             and begin anew: accounts and certificates are then made again",
            key_file = key_file.display(),
            database = path.display(),
        ))
}

/// Makes a file (0600; SQLite gives its journal the same mode) under another name, and gives it its own when it is a
/// database in WAL mode: SQLite does not wait for others when it changes the mode, so that of several that open a new
/// database at once all but one would fail.
async fn create_when_absent(path: &Path) -> Result<(), Error> {
    let failed = |error| file_error("create_database", &subject(path), error);
    if path.try_exists().map_err(failed)? {
        return Ok(());
    }
    let blank = tempfile::Builder::new()
        .prefix(".certferry-db-")
        .tempfile_in(key_file::directory(path))
        .map_err(failed)?
        .into_temp_path();
    make_database(&blank).await.map_err(|error| Failure::from(error).into_error("create_database", path))?;
    match blank.persist_noclobber(path) {
        Ok(()) => key_file::sync_directory(path).map_err(failed),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

async fn make_database(path: &Path) -> Result<(), sqlx::Error> {
    writer_options(path).connect().await?.close().await
}

/// Without symbolic links, so that one database has one lock file, however it is reached.
fn resolved(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|error| file_error(OPERATION, &subject(path), error))
}

fn writer_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What is deleted (a key, above all) is overwritten with zeros.
        .pragma("secure_delete", "ON")
}

fn reader_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).read_only(true)
}

const OPERATION: &str = "open_store";
const CHECK_TEXT: &[u8] = b"certferry";
const READERS: u32 = 4;

/// How long to wait for a lock that another program holds on the file.
const BUSY: Duration = Duration::from_secs(10);

/// How long to wait for a connection of this process's own pool.
const LONGEST_QUEUE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_is_on_disk_when_it_returns_and_references_hold() {
        let folder = tempfile::tempdir().unwrap();
        let (database, key_file) = (folder.path().join("x.db"), folder.path().join("x.key"));
        fn can_move_between_threads<T: Send>(future: T) -> T {
            future
        }
        let store = can_move_between_threads(Sqlite::open(&database, &key_file)).await.unwrap();
        let pool = &store.writing.as_ref().unwrap().pool;
        let (full, on) = (2, 1);
        for (pragma, expected) in
            [("PRAGMA synchronous", full), ("PRAGMA foreign_keys", on), ("PRAGMA secure_delete", on)]
        {
            let value: i64 = sqlx::query_scalar(pragma).fetch_one(pool).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
        assert_eq!(mode, "wal");
    }
}
