//! Warnings that a version ends, and the days before its end at which load balancers warn.

use std::collections::BTreeMap;

use certferry_core::LoadBalancerName;
use certferry_core::event::Event;
use certferry_core::recorded::VersionId;
use jiff::SignedDuration;
use sqlx::SqliteConnection;

use super::columns::{list, micros, parsed, parsed_list};
use super::failure::Failure;
use super::{Sqlite, history};

/// In one transaction: no warning is noted that the history does not have, and the history has none twice.
pub(super) async fn append(
    store: &Sqlite,
    version: VersionId,
    threshold: SignedDuration,
    event: &Event,
) -> Result<bool, Failure> {
    let mut transaction = store.writing()?.begin().await?;
    let noted = sqlx::query(
        "INSERT INTO expiry_warnings (version, threshold, warned_at) VALUES ($1, $2, $3)
         ON CONFLICT (version, threshold) DO NOTHING",
    )
    .bind(version.0)
    .bind(threshold.as_secs())
    .bind(micros(event.at))
    .execute(&mut *transaction)
    .await?;
    if noted.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    history::insert(&mut transaction, event).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn save_days(store: &Sqlite, load_balancer: &LoadBalancerName, days: &[u16]) -> Result<(), Failure> {
    let writing = store.writing()?;
    if days.is_empty() {
        sqlx::query("DELETE FROM warning_days WHERE load_balancer = $1")
            .bind(load_balancer.as_str())
            .execute(&writing.pool)
            .await?;
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO warning_days (load_balancer, days) VALUES ($1, $2)
         ON CONFLICT (load_balancer) DO UPDATE SET days = excluded.days",
    )
    .bind(load_balancer.as_str())
    .bind(list(days.iter().map(u16::to_string)))
    .execute(&writing.pool)
    .await?;
    Ok(())
}

pub(super) async fn all_days(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<LoadBalancerName, Vec<u16>>, Failure> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT load_balancer, days FROM warning_days").fetch_all(connection).await?;
    let parse = |(load_balancer, days): (String, String)| {
        Ok((parsed("warning_days.load_balancer", &load_balancer)?, parsed_list("warning_days.days", &days)?))
    };
    rows.into_iter().map(parse).collect()
}
