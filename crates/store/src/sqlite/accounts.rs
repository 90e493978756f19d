//! Accounts with CAs.

use certferry_core::IssuerName;
use certferry_core::port::AccountRecord;
use sqlx::FromRow;

use super::Sqlite;
use super::failure::Failure;
use crate::seal::Owner;

#[derive(FromRow)]
struct AccountRow {
    url: Option<String>,
    sealed_key: Vec<u8>,
}

pub(super) async fn read(
    store: &Sqlite,
    issuer: &IssuerName,
    directory_url: &str,
) -> Result<Option<AccountRecord>, Failure> {
    let seal = &store.writing()?.seal;
    let row: Option<AccountRow> =
        sqlx::query_as("SELECT url, sealed_key FROM accounts WHERE issuer = $1 AND directory_url = $2")
            .bind(issuer.as_str())
            .bind(directory_url)
            .fetch_optional(&store.readers)
            .await?;
    let Some(row) = row else { return Ok(None) };
    let key = seal.open_text(&Owner::Account { issuer, directory_url }, &row.sealed_key)?;
    Ok(Some(AccountRecord { issuer: issuer.clone(), directory_url: directory_url.to_owned(), key, url: row.url }))
}

pub(super) async fn save(store: &Sqlite, account: &AccountRecord) -> Result<(), Failure> {
    let writing = store.writing()?;
    let owner = Owner::Account { issuer: &account.issuer, directory_url: &account.directory_url };
    let sealed = writing.seal.seal(&owner, account.key.expose().as_bytes())?;
    sqlx::query(
        "INSERT INTO accounts (issuer, directory_url, url, sealed_key) VALUES ($1, $2, $3, $4)
         ON CONFLICT (issuer, directory_url) DO UPDATE SET url = excluded.url, sealed_key = excluded.sealed_key",
    )
    .bind(account.issuer.as_str())
    .bind(&account.directory_url)
    .bind(&account.url)
    .bind(sealed)
    .execute(&writing.pool)
    .await?;
    Ok(())
}
