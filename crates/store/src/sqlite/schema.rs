//! Schema steps: numbered SQL files, embedded. A step that was released is never edited; a change is a new step.

use std::borrow::Cow;
use std::sync::LazyLock;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType};
use sqlx::{SqlSafeStr, SqliteConnection};

use super::failure::Failure;

/// Brings a schema that is not newer up to date. To be called inside a transaction that may write: then no two processes
/// can do it at once, and a kill in the middle leaves nothing of it.
///
/// `Migrator::run` does the same, but its future cannot move between threads.
pub(super) async fn bring_up_to_date(connection: &mut SqliteConnection) -> Result<(), Failure> {
    connection.ensure_migrations_table(TABLE).await?;
    let applied = connection.list_applied_migrations(TABLE).await?;
    for step in MIGRATIONS.iter() {
        match applied.iter().find(|applied| applied.version == step.version) {
            Some(applied) if applied.checksum == step.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(step.version).into()),
            None => {
                connection.apply(TABLE, step).await?;
            }
        }
    }
    Ok(())
}

/// Looks whether the schema is this program's.
pub(super) async fn state(connection: &mut SqliteConnection) -> Result<SchemaState, Failure> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'").fetch_all(&mut *connection).await?;
    if tables.is_empty() {
        return Ok(SchemaState::Empty);
    }
    if !tables.iter().any(|table| table == TABLE) {
        return Ok(SchemaState::Foreign);
    }
    let applied = connection.list_applied_migrations(TABLE).await?;
    let known = |version: i64| MIGRATIONS.iter().any(|step| step.version == version);
    if let Some(newer) = applied.iter().find(|applied| !known(applied.version)) {
        return Ok(SchemaState::Newer(newer.version));
    }
    let current = MIGRATIONS.iter().all(|step| applied.iter().any(|applied| applied.version == step.version));
    Ok(if current { SchemaState::Current } else { SchemaState::Older })
}

/// How a database's schema stands to this program's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// Nothing in it: a file just made.
    Empty,
    /// Somebody else's database.
    Foreign,
    /// Steps are missing.
    Older,
    /// All steps are there.
    Current,
    /// It has a step that this program does not know.
    Newer(i64),
}

/// sqlx's own name, so that its command-line tool can look at the table.
const TABLE: &str = "_sqlx_migrations";

static MIGRATIONS: LazyLock<Vec<Migration>> = LazyLock::new(|| {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    STEPS.iter().map(migration).collect()
});

const STEPS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/sqlite/0001_first.sql")),
    (2, "key_holder", include_str!("../../migrations/sqlite/0002_key_holder.sql")),
    (3, "expiry_warnings", include_str!("../../migrations/sqlite/0003_expiry_warnings.sql")),
    (4, "next_account_key", include_str!("../../migrations/sqlite/0004_next_account_key.sql")),
    (5, "revoked", include_str!("../../migrations/sqlite/0005_revoked.sql")),
    (6, "dns_challenges", include_str!("../../migrations/sqlite/0006_dns_challenges.sql")),
    (7, "extended_key_usages", include_str!("../../migrations/sqlite/0007_extended_key_usages.sql")),
    (8, "directory", include_str!("../../migrations/sqlite/0008_directory.sql")),
    (9, "roll_backs", include_str!("../../migrations/sqlite/0009_roll_backs.sql")),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_a_step() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
        let mut files: Vec<String> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let steps: Vec<String> = STEPS.iter().map(|(version, name, _)| format!("{version:04}_{name}.sql")).collect();
        assert_eq!(files, steps);
    }
}
