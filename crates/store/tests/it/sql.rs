//! A back door: the database as another program sees it.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

pub(crate) async fn connect(database: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(database).create_if_missing(true).connect().await.unwrap()
}

/// Runs one statement, and closes.
pub(crate) async fn execute(database: &Path, sql: &str) {
    let mut connection = connect(database).await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The one column of all rows.
pub(crate) async fn texts(database: &Path, sql: &str) -> Vec<String> {
    let mut connection = connect(database).await;
    let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}
