//! All that a plan needs, in seven statements whatever the number of certificates, and from one snapshot.

use std::collections::HashMap;

use certferry_core::CertificateName;
use certferry_core::recorded::{Recorded, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::IssueFailure;
use sqlx::{FromRow, SqliteConnection};

use super::Sqlite;
use super::columns::{instant, parsed, sha256};
use super::failure::Failure;
use super::{deliveries, versions, warnings};

pub(super) async fn read(store: &Sqlite) -> Result<Recorded, Failure> {
    let mut snapshot = store.readers.begin().await?;
    let mut recorded = Recorded {
        bundles: deliveries::all_bundles(&mut snapshot).await?,
        warning_days: warnings::all_days(&mut snapshot).await?,
        ..Recorded::default()
    };
    let certificates = &mut recorded.certificates;
    let mut windows = renewal_windows(&mut snapshot).await?;
    for version in versions::all_current(&mut snapshot).await? {
        let record = certificates.entry(version.certificate.clone()).or_default();
        record.renewal_window = windows.remove(&version.id);
        record.current = Some(version);
    }
    for version in versions::all_pending(&mut snapshot).await? {
        let record = certificates.entry(version.certificate.clone()).or_default();
        record.pending = Some(version);
    }
    for (certificate, failure) in issue_failures(&mut snapshot).await? {
        certificates.entry(certificate).or_default().issue_failure = Some(failure);
    }
    for deployment in deliveries::all_deployments(&mut snapshot).await? {
        certificates.entry(deployment.certificate.clone()).or_default().deployments.push(deployment);
    }
    snapshot.rollback().await?;
    Ok(recorded)
}

async fn renewal_windows(connection: &mut SqliteConnection) -> Result<HashMap<VersionId, RenewalWindow>, Failure> {
    let rows: Vec<WindowRow> =
        sqlx::query_as("SELECT version, start_at, end_at, explanation_url, next_fetch FROM renewal_windows")
            .fetch_all(connection)
            .await?;
    rows.into_iter().map(|row| Ok((VersionId(row.version), RenewalWindow::try_from(row)?))).collect()
}

async fn issue_failures(connection: &mut SqliteConnection) -> Result<Vec<(CertificateName, IssueFailure)>, Failure> {
    let rows: Vec<FailureRow> =
        sqlx::query_as("SELECT certificate, failed_at, failures, error, retry_at, ordered FROM issue_failures")
            .fetch_all(connection)
            .await?;
    let parse =
        |row: FailureRow| Ok((parsed("issue_failures.certificate", &row.certificate)?, IssueFailure::try_from(row)?));
    rows.into_iter().map(parse).collect()
}

#[derive(FromRow)]
struct WindowRow {
    version: i64,
    start_at: i64,
    end_at: i64,
    explanation_url: Option<String>,
    next_fetch: i64,
}

impl TryFrom<WindowRow> for RenewalWindow {
    type Error = Failure;

    fn try_from(row: WindowRow) -> Result<Self, Failure> {
        Ok(Self {
            start: instant("renewal_windows.start_at", row.start_at)?,
            end: instant("renewal_windows.end_at", row.end_at)?,
            explanation_url: row.explanation_url,
            next_fetch: instant("renewal_windows.next_fetch", row.next_fetch)?,
        })
    }
}

#[derive(FromRow)]
struct FailureRow {
    certificate: String,
    failed_at: i64,
    failures: u32,
    error: String,
    retry_at: i64,
    ordered: Option<String>,
}

impl TryFrom<FailureRow> for IssueFailure {
    type Error = Failure;

    fn try_from(row: FailureRow) -> Result<Self, Failure> {
        Ok(Self {
            at: instant("issue_failures.failed_at", row.failed_at)?,
            count: row.failures,
            error: row.error,
            retry_at: instant("issue_failures.retry_at", row.retry_at)?,
            ordered: row.ordered.map(|text| sha256("issue_failures.ordered", &text)).transpose()?,
        })
    }
}
