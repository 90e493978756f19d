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
    sealed_next_key: Option<Vec<u8>>,
}

pub(super) async fn read(
    store: &Sqlite,
    issuer: &IssuerName,
    directory_url: &str,
) -> Result<Option<AccountRecord>, Failure> {
    let seal = &store.writing()?.seal;
    let row: Option<AccountRow> = sqlx::query_as(
        "SELECT url, sealed_key, sealed_next_key FROM accounts WHERE issuer = $1 AND directory_url = $2",
    )
    .bind(issuer.as_str())
    .bind(directory_url)
    .fetch_optional(&store.readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let key = seal.open_text(&Owner::Account { issuer, directory_url }, &row.sealed_key)?;
    let next =
        row.sealed_next_key.map(|sealed| seal.open_text(&Owner::NextAccountKey { issuer, directory_url }, &sealed));
    let (issuer, directory_url) = (issuer.clone(), directory_url.to_owned());
    Ok(Some(AccountRecord { issuer, directory_url, key, next_key: next.transpose()?, url: row.url }))
}

pub(super) async fn save(store: &Sqlite, account: &AccountRecord) -> Result<(), Failure> {
    let writing = store.writing()?;
    let owner = Owner::Account { issuer: &account.issuer, directory_url: &account.directory_url };
    let sealed = writing.seal.seal(&owner, account.key.expose().as_bytes())?;
    let owner = Owner::NextAccountKey { issuer: &account.issuer, directory_url: &account.directory_url };
    let next = account.next_key.as_ref().map(|key| writing.seal.seal(&owner, key.expose().as_bytes()));
    sqlx::query(
        "INSERT INTO accounts (issuer, directory_url, url, sealed_key, sealed_next_key) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (issuer, directory_url) DO UPDATE
         SET url = excluded.url, sealed_key = excluded.sealed_key, sealed_next_key = excluded.sealed_next_key",
    )
    .bind(account.issuer.as_str())
    .bind(&account.directory_url)
    .bind(&account.url)
    .bind(sealed)
    .bind(next.transpose()?)
    .execute(&writing.pool)
    .await?;
    Ok(())
}
