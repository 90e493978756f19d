//! How the certificates stand, computed from the config and the store alone: it needs no network, and says what is known.

use certferry_core::desired::{CertificateSpec, Desired};
use certferry_core::plan::{IssueDecision, PlanOptions, issue};
use certferry_core::recorded::{CertificateRecord, Deployment, DeploymentState, Recorded};
use certferry_core::{LeafFacts, ListenerName, LoadBalancerName};
use jiff::Timestamp;

/// One certificate.
pub(crate) struct CertificateStatus<'a> {
    pub(crate) spec: &'a CertificateSpec,
    pub(crate) state: State,
    pub(crate) issued: Option<&'a LeafFacts>,
    pub(crate) renew_at: Option<Timestamp>,
    pub(crate) next_action: String,
    pub(crate) issue_error: Option<&'a str>,
    pub(crate) deployments: Vec<DeploymentStatus<'a>>,
}

/// One deployment: what the config wants, with what is recorded of it.
pub(crate) struct DeploymentStatus<'a> {
    pub(crate) load_balancer: &'a LoadBalancerName,
    pub(crate) listener: &'a ListenerName,
    pub(crate) record: Option<&'a Deployment>,
    pub(crate) state: DeploymentState,
}

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Something is to be done.
    Due,
    /// The last attempt at something failed.
    Failing,
    /// Issued, deployed, served, and not due.
    Ok,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Failing => "failing",
            Self::Ok => "ok",
        }
    }
}

/// How every certificate of the config stands.
pub(crate) fn status<'a>(desired: &'a Desired, recorded: &'a Recorded, now: Timestamp) -> Vec<CertificateStatus<'a>> {
    desired.certificates.iter().map(|spec| certificate(spec, recorded.certificate(&spec.name), now)).collect()
}

fn certificate<'a>(
    spec: &'a CertificateSpec,
    record: Option<&'a CertificateRecord>,
    now: Timestamp,
) -> CertificateStatus<'a> {
    let decision = issue(spec, record, now, &PlanOptions::default());
    let current = record.and_then(|record| record.current.as_ref());
    let deployments: Vec<_> = spec
        .deploy
        .iter()
        .map(|deploy| {
            let record = record.and_then(|record| record.deployment(&deploy.load_balancer, &deploy.listener));
            // What was verified was an earlier version: for this one, nothing is done yet.
            let stale = record.is_some_and(|record| Some(record.version) != current.map(|version| version.id));
            let state = record.map_or(DeploymentState::Pending, |record| match record.state {
                DeploymentState::Failed => DeploymentState::Failed,
                _ if stale => DeploymentState::Pending,
                state => state,
            });
            DeploymentStatus { load_balancer: &deploy.load_balancer, listener: &deploy.listener, record, state }
        })
        .collect();
    let issue_error = record.and_then(|record| record.issue_failure.as_ref()).map(|failure| failure.error.as_str());
    let delivery_due = deployments.iter().any(|deployment| deployment.state != DeploymentState::Verified);
    let failing = issue_error.is_some() || deployments.iter().any(|one| one.state == DeploymentState::Failed);
    let (issue_due, renew_at, next_action) = match &decision {
        IssueDecision::Due(step) => (true, None, format!("issue: {}", step.why)),
        IssueDecision::Waiting { failure, .. } => (true, Some(failure.retry_at), "issue again".to_owned()),
        IssueDecision::NotDue { renewal } if delivery_due => (false, Some(renewal.at), "deliver".to_owned()),
        IssueDecision::NotDue { renewal } => (false, Some(renewal.at), format!("renew by {}", renewal.reason)),
    };
    let state = match (failing, issue_due || delivery_due) {
        (true, _) => State::Failing,
        (false, true) => State::Due,
        (false, false) => State::Ok,
    };
    let issued = current.and_then(|version| version.leaf.as_ref());
    CertificateStatus { spec, state, issued, renew_at, next_action, issue_error, deployments }
}
