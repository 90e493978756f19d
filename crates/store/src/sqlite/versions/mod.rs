//! Versions: their way from pending to issued or abandoned, their keys and chains.

mod row;

use certferry_core::desired::KeyHolder;
use certferry_core::port::NewVersion;
use certferry_core::recorded::{Version, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::IssueFailure;
use certferry_core::{CertificateName, Chain, ErrorKind, Secret};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::columns::{damaged, key_family_word, list, micros};
use super::failure::Failure;
use super::{Sqlite, Writing};
use crate::seal::Owner;

pub(super) use row::{all_current, all_pending};

pub(super) async fn begin(store: &Sqlite, new: &NewVersion) -> Result<Version, Failure> {
    let writing = store.writing()?;
    let mut transaction = writing.begin().await?;
    let id = insert(writing, &mut transaction, new).await?;
    let version = row::one(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(version)
}

/// Both steps at once: a process killed here leaves nothing that somebody would go on ordering.
pub(super) async fn take_over(store: &Sqlite, new: &NewVersion, chain: &Chain) -> Result<Version, Failure> {
    let writing = store.writing()?;
    let mut transaction = writing.begin().await?;
    let id = insert(writing, &mut transaction, new).await?;
    issue(&mut transaction, id, new.certificate.as_str(), chain, new.created_at).await?;
    let version = row::one(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(version)
}

async fn insert(writing: &Writing, transaction: &mut SqliteConnection, new: &NewVersion) -> Result<VersionId, Failure> {
    let pending: Option<i64> =
        sqlx::query_scalar("SELECT id FROM versions WHERE certificate = $1 AND state = 'pending'")
            .bind(new.certificate.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
    if let Some(pending) = pending {
        return Err(Failure::refused(ErrorKind::Conflict, format!("version {pending} is pending already")));
    }
    if let Some(replaces) = new.replaces {
        must_exist(transaction, replaces).await?;
    }
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO versions
             (certificate, state, names, key_type, key_holder, csr, issuer, directory, profile, replaces, created_at)
         VALUES ($1, 'pending', $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
    )
    .bind(new.certificate.as_str())
    .bind(list(&new.spec.names))
    .bind(new.spec.key.as_str())
    .bind(match &new.spec.key_holder {
        KeyHolder::LoadBalancer(holder) => Some(holder.as_str()),
        KeyHolder::Store => None,
    })
    .bind(&new.csr)
    .bind(new.spec.issuer.as_str())
    .bind(&new.spec.directory)
    .bind(&new.spec.profile)
    .bind(new.replaces.map(|replaces| replaces.0))
    .bind(micros(new.created_at))
    .fetch_one(&mut *transaction)
    .await?;
    // The key is bound to the version's number, which only exists now.
    if let Some(key) = &new.private_key {
        let sealed = writing.seal.seal(&Owner::Version(VersionId(id)), key.expose().as_bytes())?;
        sqlx::query("UPDATE versions SET sealed_key = $1 WHERE id = $2")
            .bind(sealed)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(VersionId(id))
}

/// The foreign key alone would let a version replace itself, when its number is guessed.
async fn must_exist(transaction: &mut SqliteConnection, version: VersionId) -> Result<(), Failure> {
    sqlx::query("SELECT 1 FROM versions WHERE id = $1")
        .bind(version.0)
        .fetch_optional(transaction)
        .await?
        .map(drop)
        .ok_or_else(|| no_such_version(version))
}

pub(super) async fn save_order(store: &Sqlite, version: VersionId, order_url: &str) -> Result<(), Failure> {
    let mut transaction = store.writing()?.begin().await?;
    pending_certificate(&mut transaction, version).await?;
    sqlx::query("UPDATE versions SET order_url = $1 WHERE id = $2")
        .bind(order_url)
        .bind(version.0)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

pub(super) async fn save_issued(
    store: &Sqlite,
    version: VersionId,
    chain: &Chain,
    at: Timestamp,
) -> Result<(), Failure> {
    let mut transaction = store.writing()?.begin().await?;
    let certificate = pending_certificate(&mut transaction, version).await?;
    issue(&mut transaction, version, &certificate, chain, at).await?;
    Ok(transaction.commit().await?)
}

async fn issue(
    transaction: &mut SqliteConnection,
    version: VersionId,
    certificate: &str,
    chain: &Chain,
    at: Timestamp,
) -> Result<(), Failure> {
    let leaf = chain.leaf();
    sqlx::query(
        "UPDATE versions SET state = 'issued', issued_at = $1, leaf_serial = $2, leaf_not_before = $3,
             leaf_not_after = $4, leaf_sha256 = $5, leaf_names = $6, leaf_common_name = $7, leaf_key_family = $8,
             leaf_issuer = $9, leaf_extended_key_usages = $10, chain = $11
         WHERE id = $12",
    )
    .bind(micros(at))
    .bind(leaf.serial.as_str())
    .bind(micros(leaf.not_before))
    .bind(micros(leaf.not_after))
    .bind(leaf.sha256.to_string())
    .bind(list(&leaf.names))
    .bind(&leaf.common_name)
    .bind(leaf.key_family.map(key_family_word))
    .bind(&leaf.issuer)
    .bind(list(&leaf.extended_key_usages))
    .bind(chain.pem())
    .bind(version.0)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM issue_failures WHERE certificate = $1")
        .bind(certificate)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "DELETE FROM renewal_windows WHERE version IN
             (SELECT id FROM versions WHERE certificate = $1 AND state = 'issued')",
    )
    .bind(certificate)
    .execute(&mut *transaction)
    .await?;
    forget_old_keys(transaction, certificate).await
}

/// Reads what an older program did not keep of its leaves out of their chains, so that it is there for every version.
pub(super) async fn complete_leaves(setup: &mut SqliteConnection) -> Result<(), Failure> {
    loop {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT id, chain FROM versions WHERE state = 'issued' AND leaf_extended_key_usages IS NULL LIMIT $1",
        )
        .bind(CHAINS_AT_ONCE)
        .fetch_all(&mut *setup)
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for (id, chain) in rows {
            // A chain that is damaged is told where it is used; the store opens all the same.
            let usages = Chain::parse(&chain).map(|chain| chain.leaf().extended_key_usages.clone());
            sqlx::query("UPDATE versions SET leaf_extended_key_usages = $1 WHERE id = $2")
                .bind(list(usages.unwrap_or_default()))
                .bind(id)
                .execute(&mut *setup)
                .await?;
        }
    }
}

/// Chains take some KiB each.
const CHAINS_AT_ONCE: i64 = 1000;

/// Only the current version, the one before it and, on each load balancer, the one that was last served there can still go
/// onto a load balancer: no other key is worth keeping.
async fn forget_old_keys(transaction: &mut SqliteConnection, certificate: &str) -> Result<(), Failure> {
    sqlx::query(
        "UPDATE versions SET sealed_key = NULL
         WHERE certificate = $1 AND state = 'issued' AND sealed_key IS NOT NULL AND id NOT IN
             (SELECT id FROM versions WHERE certificate = $1 AND state = 'issued' ORDER BY id DESC LIMIT 2)
             AND id NOT IN
             (SELECT MAX(served_version) FROM bundles WHERE certificate = $1 AND served_version IS NOT NULL
              GROUP BY load_balancer)",
    )
    .bind(certificate)
    .execute(transaction)
    .await?;
    Ok(())
}

/// The key goes: no certificate can come for it any more.
pub(super) async fn abandon(store: &Sqlite, version: VersionId, why: &str) -> Result<(), Failure> {
    let mut transaction = store.writing()?.begin().await?;
    pending_certificate(&mut transaction, version).await?;
    sqlx::query("UPDATE versions SET state = 'abandoned', abandoned_because = $1, sealed_key = NULL WHERE id = $2")
        .bind(why)
        .bind(version.0)
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

async fn pending_certificate(transaction: &mut SqliteConnection, version: VersionId) -> Result<String, Failure> {
    let row: Option<(String, String)> = sqlx::query_as("SELECT certificate, state FROM versions WHERE id = $1")
        .bind(version.0)
        .fetch_optional(transaction)
        .await?;
    let (certificate, state) = row.ok_or_else(|| no_such_version(version))?;
    if state != "pending" {
        let said = format!("version {version} of certificate `{certificate}` is {state}, not pending");
        return Err(Failure::refused(ErrorKind::Conflict, said));
    }
    Ok(certificate)
}

pub(super) async fn save_revoked(store: &Sqlite, version: VersionId, at: Timestamp) -> Result<(), Failure> {
    let changed = sqlx::query("UPDATE versions SET revoked_at = $1 WHERE id = $2 AND state = 'issued'")
        .bind(micros(at))
        .bind(version.0)
        .execute(&store.writing()?.pool)
        .await?;
    match changed.rows_affected() {
        0 => Err(Failure::refused(ErrorKind::Conflict, format!("version {version} is not an issued one"))),
        _ => Ok(()),
    }
}

pub(super) async fn private_key(store: &Sqlite, version: VersionId) -> Result<Secret<String>, Failure> {
    let seal = &store.writing()?.seal;
    let sealed: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT sealed_key FROM versions WHERE id = $1")
        .bind(version.0)
        .fetch_optional(&store.readers)
        .await?;
    let sealed = sealed.ok_or_else(|| no_such_version(version))?.ok_or_else(|| {
        let said = format!(
            "there is no private key of version {version}: a load balancer holds it, or it was removed because the \
                 version is abandoned, or two newer ones are issued and it is served nowhere"
        );
        Failure::refused(ErrorKind::NotFound, said)
    })?;
    Ok(seal.open_text(&Owner::Version(version), &sealed)?)
}

pub(super) async fn csr(store: &Sqlite, version: VersionId) -> Result<Option<Vec<u8>>, Failure> {
    let csr: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT csr FROM versions WHERE id = $1")
        .bind(version.0)
        .fetch_optional(&store.readers)
        .await?;
    csr.ok_or_else(|| no_such_version(version))
}

pub(super) async fn chain(store: &Sqlite, version: VersionId) -> Result<Chain, Failure> {
    let text: Option<Option<String>> = sqlx::query_scalar("SELECT chain FROM versions WHERE id = $1")
        .bind(version.0)
        .fetch_optional(&store.readers)
        .await?;
    let text = text.ok_or_else(|| no_such_version(version))?.ok_or_else(|| {
        Failure::refused(ErrorKind::NotFound, format!("version {version} was not issued, so it has no chain"))
    })?;
    Chain::parse(&text).map_err(|error| damaged("versions.chain", error))
}

fn no_such_version(version: VersionId) -> Failure {
    Failure::refused(ErrorKind::NotFound, format!("there is no version {version}"))
}

pub(super) async fn save_renewal_window(
    store: &Sqlite,
    version: VersionId,
    window: &RenewalWindow,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO renewal_windows (version, start_at, end_at, explanation_url, next_fetch)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (version) DO UPDATE SET start_at = excluded.start_at, end_at = excluded.end_at,
             explanation_url = excluded.explanation_url, next_fetch = excluded.next_fetch",
    )
    .bind(version.0)
    .bind(micros(window.start))
    .bind(micros(window.end))
    .bind(&window.explanation_url)
    .bind(micros(window.next_fetch))
    .execute(&store.writing()?.pool)
    .await?;
    Ok(())
}

pub(super) async fn save_issue_failure(
    store: &Sqlite,
    certificate: &CertificateName,
    failure: &IssueFailure,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO issue_failures (certificate, failed_at, failures, error, retry_at, ordered)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (certificate) DO UPDATE SET failed_at = excluded.failed_at, failures = excluded.failures,
             error = excluded.error, retry_at = excluded.retry_at, ordered = excluded.ordered",
    )
    .bind(certificate.as_str())
    .bind(micros(failure.at))
    .bind(failure.count)
    .bind(&failure.error)
    .bind(micros(failure.retry_at))
    .bind(failure.ordered.map(|ordered| ordered.to_string()))
    .execute(&store.writing()?.pool)
    .await?;
    Ok(())
}
