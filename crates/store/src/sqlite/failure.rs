//! What can fail inside, and how it reads outside.

use std::path::Path;

use certferry_core::{Error, ErrorKind, Retry};
use sqlx::error::ErrorKind as Constraint;
use sqlx::migrate::MigrateError;

use crate::seal::SealError;

/// A failure that does not know yet during which call it happened, and on which database.
#[derive(Debug)]
pub(super) enum Failure {
    /// A column holds what this program never writes.
    Damaged { column: &'static str, why: String },
    /// SQLite, or the pool before it.
    Database(sqlx::Error),
    /// A method that writes or unseals, on a store that was opened to read.
    OpenedToRead,
    /// The caller asks for what the state of its object does not allow.
    Refused { kind: ErrorKind, said: String },
    /// A key cannot be sealed or unsealed.
    Seal(SealError),
    /// A schema that this program does not read; the second text is the hint.
    Schema(String, &'static str),
}

impl Failure {
    pub(super) fn refused(kind: ErrorKind, said: impl Into<String>) -> Self {
        Self::Refused { kind, said: said.into() }
    }

    pub(super) fn into_error(self, operation: &'static str, path: &Path) -> Error {
        let subject = subject(path);
        match self {
            Self::Damaged { column, why } => Error::new(ErrorKind::Unexpected, operation, subject)
                .said(format!("column {column}: {why}"))
                .with_retry(Retry::Never)
                .with_hint("something else than certferry changed this database: restore it from a backup"),
            Self::Database(error) => database_error(operation, path, error),
            Self::OpenedToRead => Error::new(ErrorKind::Denied, operation, subject)
                .said("the store was opened for reading only")
                .with_hint("this is a defect of certferry: please report it"),
            Self::Refused { kind, said } => Error::new(kind, operation, subject).said(said),
            Self::Seal(SealError::NotOpened) => Error::new(ErrorKind::Unexpected, operation, subject)
                .said("a sealed key does not open: its bytes were changed, or copied from another row")
                .with_retry(Retry::Never)
                .with_hint("restore the database from a backup"),
            Self::Seal(SealError::NotSealed) => Error::new(ErrorKind::Unexpected, operation, subject)
                .said("AES-256-GCM failed, for want of randomness or memory"),
            Self::Schema(said, hint) => Error::new(ErrorKind::Invalid, operation, subject).said(said).with_hint(hint),
        }
    }
}

/// How errors name the database.
pub(super) fn subject(path: &Path) -> String {
    format!("database `{}`", path.display())
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Self::Database(error),
            MigrateError::VersionMissing(version) => Self::Schema(
                format!("its schema has step {version}, which this certferry does not know: a newer one wrote it"),
                "run the newer certferry, or restore the backup of the database that was made before the upgrade",
            ),
            other => Self::Schema(
                other.to_string(),
                "this certferry is a build with other schema steps: run the one that wrote the database",
            ),
        }
    }
}

fn database_error(operation: &'static str, path: &Path, error: sqlx::Error) -> Error {
    let meaning = meaning(&error);
    let mut failed = Error::new(meaning.kind, operation, subject(path)).said(error_text(&error)).with_source(error);
    if let Some(hint) = meaning.hint {
        failed = failed.with_hint(hint);
    }
    match meaning.retry {
        Some(retry) => failed.with_retry(retry),
        None => failed,
    }
}

fn error_text(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            format!("{} (SQLite code {})", error.message(), error.code().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

struct Meaning {
    kind: ErrorKind,
    hint: Option<&'static str>,
    retry: Option<Retry>,
}

impl Meaning {
    fn new(kind: ErrorKind, hint: &'static str) -> Self {
        Self { kind, hint: Some(hint), retry: None }
    }

    fn plain(kind: ErrorKind) -> Self {
        Self { kind, hint: None, retry: None }
    }
}

fn meaning(error: &sqlx::Error) -> Meaning {
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::PoolTimedOut => return Meaning::new(ErrorKind::Timeout, LOCKED),
        sqlx::Error::Io(_) => return Meaning::plain(ErrorKind::Unavailable),
        _ => return Meaning { kind: ErrorKind::Unexpected, hint: None, retry: Some(Retry::Never) },
    };
    match error.kind() {
        Constraint::UniqueViolation => return Meaning::plain(ErrorKind::Conflict),
        Constraint::ForeignKeyViolation => return Meaning::plain(ErrorKind::NotFound),
        Constraint::NotNullViolation | Constraint::CheckViolation => return Meaning::plain(ErrorKind::Invalid),
        _ => {}
    }
    // The low byte is the primary result code (https://www.sqlite.org/rescode.html).
    let code = error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    match code {
        Some(SQLITE_BUSY | SQLITE_LOCKED) => Meaning::new(ErrorKind::Conflict, LOCKED),
        Some(SQLITE_PERM | SQLITE_READONLY) => Meaning::new(
            ErrorKind::Denied,
            "run certferry as the user who owns the database; its file and its directory must be writable",
        ),
        Some(SQLITE_IOERR) => Meaning::new(
            ErrorKind::Unavailable,
            "the disk failed to read or write: see the system's log; the database must not lie on a network share",
        ),
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Meaning {
            kind: ErrorKind::Unexpected,
            hint: Some(
                "the file is damaged or no certferry database: stop certferry, keep a copy, restore a backup; \
                 `sqlite3 FILE .recover` saves what can still be read",
            ),
            retry: Some(Retry::Never),
        },
        Some(SQLITE_FULL) => Meaning::new(
            ErrorKind::Unavailable,
            "free space on the file system of the database; what was stored before is intact",
        ),
        Some(SQLITE_CANTOPEN) => Meaning::new(
            ErrorKind::Unavailable,
            "the database's directory must exist, and be writable for the user who runs certferry",
        ),
        _ => Meaning::plain(ErrorKind::Unexpected),
    }
}

const LOCKED: &str =
    "another program keeps the database locked: close a `sqlite3` shell or a backup that is open on it";

const SQLITE_PERM: u32 = 3;
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_NOTADB: u32 = 26;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection, SqliteConnection};

    use super::*;

    async fn connect(path: &Path) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        options.busy_timeout(Duration::ZERO).connect().await.unwrap()
    }

    fn mapped(error: sqlx::Error) -> Error {
        Failure::from(error).into_error("save_order", Path::new("/var/lib/x.db"))
    }

    #[tokio::test]
    async fn a_full_disk_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connect(&folder.path().join("x.db")).await;
        sqlx::raw_sql("CREATE TABLE t (x BLOB); PRAGMA max_page_count = 4").execute(&mut connection).await.unwrap();
        let full = sqlx::query("INSERT INTO t VALUES (zeroblob(100000))").execute(&mut connection).await;
        let error = mapped(full.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.hint().unwrap().starts_with("free space"));
        assert_eq!(
            error.to_string(),
            "save_order on database `/var/lib/x.db`: not available: database or disk is full (SQLite code 13)"
        );
    }

    #[tokio::test]
    async fn a_lock_held_by_another_program_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let (mut one, mut two) = (connect(&path).await, connect(&path).await);
        let _held = one.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let error = mapped(two.begin_with("BEGIN IMMEDIATE").await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.hint().unwrap().contains("sqlite3"));
    }

    #[tokio::test]
    async fn a_file_that_may_not_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        connect(&path).await.close().await.unwrap();
        let mut reader = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await.unwrap();
        let error = mapped(sqlx::query("CREATE TABLE t (x)").execute(&mut reader).await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint().unwrap().contains("writable"));
    }
}
