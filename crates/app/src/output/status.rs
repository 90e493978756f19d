//! The status, printed: issued, deployed and served always stand apart.

use certferry_core::Overdue;
use serde::Serialize;

use crate::output::{instant, table};
use crate::status::{CertificateStatus, DeploymentStatus};

/// `status --output json`. Serials are lower-case hex without colons, times RFC 3339 UTC.
#[derive(Serialize)]
pub(crate) struct StatusDocument<'a> {
    certificates: Vec<CertificateRow<'a>>,
}

#[derive(Serialize)]
struct CertificateRow<'a> {
    name: &'a str,
    names: Vec<String>,
    state: &'static str,
    issued: Option<IssuedRow<'a>>,
    renew_at: Option<String>,
    /// As people read it.
    next_action: &'a str,
    /// Why the last attempt to get a version failed; null after a success. A deployment's stands with the deployment.
    last_error: Option<&'a str>,
    warning: Option<WarningRow>,
    deployments: Vec<DeploymentRow<'a>>,
}

#[derive(Serialize)]
struct IssuedRow<'a> {
    serial: &'a str,
    not_before: String,
    not_after: String,
    issuer: &'a str,
}

/// That it ends soon although its renewal is due.
#[derive(Serialize)]
struct WarningRow {
    /// As people read it.
    text: String,
    not_after: String,
    /// How many days before the end this warning is due: a fraction where a lifetime is too short for whole ones; 0 when
    /// the end has passed.
    threshold_days: f64,
    /// Whole days; less than 0 when the end is days ago.
    days_left: i64,
}

#[derive(Serialize)]
struct DeploymentRow<'a> {
    load_balancer: &'a str,
    listener: &'a str,
    state: &'static str,
    deployed_serial: Option<&'a str>,
    served_serial: Option<&'a str>,
    verified_at: Option<String>,
    last_error: Option<&'a str>,
    retry_at: Option<String>,
}

impl<'a> StatusDocument<'a> {
    /// The document for these certificates.
    pub(crate) fn new(certificates: &'a [CertificateStatus<'a>]) -> Self {
        Self { certificates: certificates.iter().map(CertificateRow::from).collect() }
    }
}

impl<'a> From<&'a CertificateStatus<'a>> for CertificateRow<'a> {
    fn from(status: &'a CertificateStatus<'a>) -> Self {
        Self {
            name: status.spec.name.as_str(),
            names: status.spec.version.names.iter().map(ToString::to_string).collect(),
            state: status.state.as_str(),
            issued: status.issued.map(|leaf| IssuedRow {
                serial: leaf.serial.as_str(),
                not_before: instant(leaf.not_before),
                not_after: instant(leaf.not_after),
                issuer: &leaf.issuer,
            }),
            renew_at: status.renew_at.map(instant),
            next_action: &status.next_action,
            last_error: status.issue_error,
            warning: status.warning.as_ref().map(WarningRow::from),
            deployments: status.deployments.iter().map(DeploymentRow::from).collect(),
        }
    }
}

impl From<&Overdue> for WarningRow {
    fn from(overdue: &Overdue) -> Self {
        let warning = &overdue.warning;
        Self {
            text: overdue.to_string(),
            not_after: instant(warning.not_after),
            threshold_days: warning.threshold.as_secs_f64() / SECONDS_PER_DAY,
            days_left: warning.days_left(),
        }
    }
}

impl<'a> From<&'a DeploymentStatus<'a>> for DeploymentRow<'a> {
    fn from(status: &'a DeploymentStatus<'a>) -> Self {
        let record = status.record;
        Self {
            load_balancer: status.load_balancer.as_str(),
            listener: status.listener.as_str(),
            state: status.state.as_str(),
            deployed_serial: record.and_then(|record| record.deployed_serial.as_ref()).map(|serial| serial.as_str()),
            served_serial: record.and_then(|record| record.served_serial.as_ref()).map(|serial| serial.as_str()),
            verified_at: record.and_then(|record| record.verified_at).map(instant),
            last_error: record.and_then(|record| record.last_error.as_deref()),
            retry_at: status.retry_at.map(instant),
        }
    }
}

/// The status for people: a row per deployment.
pub(crate) fn status_text(certificates: &[CertificateStatus<'_>]) -> String {
    if certificates.is_empty() {
        return "the config has no certificates".to_owned();
    }
    let head = ["certificate", "state", "issued", "ends", "next", "listener", "deployment", "deployed", "served"];
    let mut warnings = Vec::new();
    let mut errors = Vec::new();
    let mut rows = Vec::new();
    for status in certificates {
        if let Some(warning) = &status.warning {
            warnings.push(format!("  {}: {warning}", status.spec.name));
        }
        if let Some(error) = status.issue_error {
            errors.push(format!("  {}: {error}", status.spec.name));
        }
        for row in &status.deployments {
            if let Some(error) = row.record.and_then(|record| record.last_error.as_ref()) {
                errors.push(format!("  {} on {}/{}: {error}", status.spec.name, row.load_balancer, row.listener));
            }
        }
        let mut parts = status.deployments.iter().map(deployment_cells).collect::<Vec<_>>();
        if parts.is_empty() {
            parts.push(["-".to_owned(), String::new(), String::new(), String::new()]);
        }
        rows.extend(parts.into_iter().map(|deployment| full_row(status, deployment)));
    }
    let mut text = table(head, rows);
    for (title, lines) in [("warnings", warnings), ("last errors", errors)] {
        if !lines.is_empty() {
            text.push_str(&format!("\n\n{title}:\n{}", lines.join("\n")));
        }
    }
    text
}

fn full_row(status: &CertificateStatus<'_>, deployment: [String; 4]) -> [String; 9] {
    let [listener, state, deployed, served] = deployment;
    [
        status.spec.name.to_string(),
        status.state.as_str().to_owned(),
        status.issued.map_or_else(|| "-".to_owned(), |leaf| shortened(leaf.serial.as_str())),
        status.issued.map_or_else(|| "-".to_owned(), |leaf| instant(leaf.not_after)),
        status.next_action.clone(),
        listener,
        state,
        deployed,
        served,
    ]
}

fn deployment_cells(status: &DeploymentStatus<'_>) -> [String; 4] {
    let row = DeploymentRow::from(status);
    let served = match (row.served_serial, &row.verified_at) {
        (Some(serial), Some(at)) => format!("{} at {at}", shortened(serial)),
        (Some(serial), None) => shortened(serial),
        (None, _) => "-".to_owned(),
    };
    [
        format!("{}/{}", row.load_balancer, row.listener),
        row.state.to_owned(),
        row.deployed_serial.map_or_else(|| "-".to_owned(), shortened),
        served,
    ]
}

/// The first eight digits of a serial: enough to compare by eye; JSON has all of them.
fn shortened(serial: &str) -> String {
    serial.chars().take(8).collect()
}

const SECONDS_PER_DAY: f64 = 86_400.0;
