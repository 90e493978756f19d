//! Bundles on load balancers, and deployments to listeners.

use certferry_core::recorded::{BundleRecord, Deployment, DeploymentState, VersionId};
use certferry_core::retry::RollBack;
use certferry_core::{BundleName, CertificateName, ListenerName, LoadBalancerName, Serial};
use sqlx::{FromRow, SqliteConnection};

use super::Sqlite;
use super::columns::{instant, micros, optional_instant, parsed, word};
use super::failure::Failure;

pub(super) async fn save_bundle(store: &Sqlite, bundle: &BundleRecord) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO bundles (load_balancer, name, certificate, version, served_at, served_version)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (load_balancer, name) DO UPDATE SET certificate = excluded.certificate,
             version = excluded.version, served_at = excluded.served_at, served_version = excluded.served_version",
    )
    .bind(bundle.load_balancer.as_str())
    .bind(bundle.name.as_str())
    .bind(bundle.certificate.as_str())
    .bind(bundle.version.0)
    .bind(bundle.served_at.map(micros))
    .bind(bundle.served_version.map(|version| version.0))
    .execute(&store.writing()?.pool)
    .await?;
    Ok(())
}

pub(super) async fn forget_bundle(
    store: &Sqlite,
    load_balancer: &LoadBalancerName,
    name: &BundleName,
) -> Result<(), Failure> {
    sqlx::query("DELETE FROM bundles WHERE load_balancer = $1 AND name = $2")
        .bind(load_balancer.as_str())
        .bind(name.as_str())
        .execute(&store.writing()?.pool)
        .await?;
    Ok(())
}

pub(super) async fn save_deployment(store: &Sqlite, deployment: &Deployment) -> Result<(), Failure> {
    let roll_back = deployment.roll_back.as_ref();
    sqlx::query(
        "INSERT INTO deployments (certificate, load_balancer, listener, state, version, bundle, previous_bundle,
             deployed_serial, served_serial, verified_at, last_error, updated_at, rolled_back_at, roll_backs,
             rolled_back_because, retry_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (certificate, load_balancer, listener) DO UPDATE SET state = excluded.state,
             version = excluded.version, bundle = excluded.bundle, previous_bundle = excluded.previous_bundle,
             deployed_serial = excluded.deployed_serial, served_serial = excluded.served_serial,
             verified_at = excluded.verified_at, last_error = excluded.last_error, updated_at = excluded.updated_at,
             rolled_back_at = excluded.rolled_back_at, roll_backs = excluded.roll_backs,
             rolled_back_because = excluded.rolled_back_because, retry_at = excluded.retry_at",
    )
    .bind(deployment.certificate.as_str())
    .bind(deployment.load_balancer.as_str())
    .bind(deployment.listener.as_str())
    .bind(deployment.state.as_str())
    .bind(deployment.version.0)
    .bind(deployment.bundle.as_str())
    .bind(deployment.previous_bundle.as_ref().map(BundleName::as_str))
    .bind(deployment.deployed_serial.as_ref().map(Serial::as_str))
    .bind(deployment.served_serial.as_ref().map(Serial::as_str))
    .bind(deployment.verified_at.map(micros))
    .bind(&deployment.last_error)
    .bind(micros(deployment.updated_at))
    .bind(roll_back.map(|roll_back| micros(roll_back.at)))
    .bind(roll_back.map(|roll_back| roll_back.count))
    .bind(roll_back.map(|roll_back| &roll_back.error))
    .bind(roll_back.map(|roll_back| micros(roll_back.retry_at)))
    .execute(&store.writing()?.pool)
    .await?;
    Ok(())
}

pub(super) async fn forget_deployment(
    store: &Sqlite,
    certificate: &CertificateName,
    load_balancer: &LoadBalancerName,
    listener: &ListenerName,
) -> Result<(), Failure> {
    sqlx::query("DELETE FROM deployments WHERE certificate = $1 AND load_balancer = $2 AND listener = $3")
        .bind(certificate.as_str())
        .bind(load_balancer.as_str())
        .bind(listener.as_str())
        .execute(&store.writing()?.pool)
        .await?;
    Ok(())
}

pub(super) async fn all_bundles(connection: &mut SqliteConnection) -> Result<Vec<BundleRecord>, Failure> {
    let rows: Vec<BundleRow> = sqlx::query_as(
        "SELECT load_balancer, name, certificate, version, served_at, served_version
         FROM bundles ORDER BY load_balancer, name",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(BundleRecord::try_from).collect()
}

pub(super) async fn all_deployments(connection: &mut SqliteConnection) -> Result<Vec<Deployment>, Failure> {
    let rows: Vec<DeploymentRow> = sqlx::query_as(
        "SELECT certificate, load_balancer, listener, state, version, bundle, previous_bundle, deployed_serial,
             served_serial, verified_at, last_error, updated_at, rolled_back_at, roll_backs, rolled_back_because, retry_at
         FROM deployments ORDER BY certificate, load_balancer, listener",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Deployment::try_from).collect()
}

#[derive(FromRow)]
struct BundleRow {
    load_balancer: String,
    name: String,
    certificate: String,
    version: i64,
    served_at: Option<i64>,
    served_version: Option<i64>,
}

impl TryFrom<BundleRow> for BundleRecord {
    type Error = Failure;

    fn try_from(row: BundleRow) -> Result<Self, Failure> {
        Ok(Self {
            load_balancer: parsed("bundles.load_balancer", &row.load_balancer)?,
            name: BundleName::observed(row.name),
            certificate: parsed("bundles.certificate", &row.certificate)?,
            version: VersionId(row.version),
            served_at: optional_instant("bundles.served_at", row.served_at)?,
            served_version: row.served_version.map(VersionId),
        })
    }
}

#[derive(FromRow)]
struct DeploymentRow {
    certificate: String,
    load_balancer: String,
    listener: String,
    state: String,
    version: i64,
    bundle: String,
    previous_bundle: Option<String>,
    deployed_serial: Option<String>,
    served_serial: Option<String>,
    verified_at: Option<i64>,
    last_error: Option<String>,
    updated_at: i64,
    rolled_back_at: Option<i64>,
    roll_backs: Option<u32>,
    rolled_back_because: Option<String>,
    retry_at: Option<i64>,
}

impl TryFrom<DeploymentRow> for Deployment {
    type Error = Failure;

    fn try_from(row: DeploymentRow) -> Result<Self, Failure> {
        let roll_back = match (row.rolled_back_at, row.roll_backs, row.rolled_back_because, row.retry_at) {
            (Some(at), Some(count), Some(error), Some(retry_at)) => Some(RollBack {
                at: instant("deployments.rolled_back_at", at)?,
                count,
                error,
                retry_at: instant("deployments.retry_at", retry_at)?,
            }),
            _ => None,
        };
        Ok(Self {
            certificate: parsed("deployments.certificate", &row.certificate)?,
            load_balancer: parsed("deployments.load_balancer", &row.load_balancer)?,
            listener: parsed("deployments.listener", &row.listener)?,
            state: word("deployments.state", &row.state, DeploymentState::from_word)?,
            version: VersionId(row.version),
            bundle: BundleName::observed(row.bundle),
            previous_bundle: row.previous_bundle.map(BundleName::observed),
            deployed_serial: row.deployed_serial.map(Serial::from_hex),
            served_serial: row.served_serial.map(Serial::from_hex),
            verified_at: optional_instant("deployments.verified_at", row.verified_at)?,
            last_error: row.last_error,
            roll_back,
            updated_at: instant("deployments.updated_at", row.updated_at)?,
        })
    }
}
