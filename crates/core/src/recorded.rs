//! What the store remembers.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::chain::{LeafFacts, Serial};
use crate::desired::VersionSpec;
use crate::name::{BundleName, CertificateName, ListenerName, LoadBalancerName};
use crate::renewal::RenewalWindow;
use crate::retry::{IssueFailure, RollBack};

/// All that is remembered and matters to a plan.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Per certificate.
    pub certificates: BTreeMap<CertificateName, CertificateRecord>,
    /// Bundles that certferry made (or was about to make) and has not seen gone.
    pub bundles: Vec<BundleRecord>,
    /// The days before a certificate's end at which load balancers warn of it, as they last said.
    pub warning_days: BTreeMap<LoadBalancerName, Vec<u16>>,
}

impl Recorded {
    /// What is remembered of one certificate.
    pub fn certificate(&self, name: &CertificateName) -> Option<&CertificateRecord> {
        self.certificates.get(name)
    }
}

/// One certificate.
#[derive(Clone, Debug, Default)]
pub struct CertificateRecord {
    /// The newest issued version.
    pub current: Option<Version>,
    /// A version that is being ordered.
    pub pending: Option<Version>,
    /// The renewal window that the CA suggested for `current` (ARI).
    pub renewal_window: Option<RenewalWindow>,
    /// The last issuing failure since the last success.
    pub issue_failure: Option<IssueFailure>,
    /// Its deployments.
    pub deployments: Vec<Deployment>,
}

impl CertificateRecord {
    /// The deployment to one listener.
    pub fn deployment(&self, load_balancer: &LoadBalancerName, listener: &ListenerName) -> Option<&Deployment> {
        self.deployments
            .iter()
            .find(|deployment| deployment.load_balancer == *load_balancer && deployment.listener == *listener)
    }

    /// That the current version was put back at `deployment`, while it is to wait for its next attempt.
    pub fn waits_after<'a>(&self, deployment: &'a Deployment, now: Timestamp) -> Option<&'a RollBack> {
        let current = self.current.as_ref()?.id;
        let waits = |roll_back: &&RollBack| roll_back.at <= now && now < roll_back.retry_at;
        deployment.roll_back.as_ref().filter(waits).filter(|_| deployment.version == current)
    }
}

/// The store's number for a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId(pub i64);

impl fmt::Display for VersionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One version of a certificate. Its private key and chain are asked for by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub id: VersionId,
    /// The certificate.
    pub certificate: CertificateName,
    /// What it was ordered with.
    pub spec: VersionSpec,
    /// The order, once the CA has made it.
    pub order_url: Option<String>,
    /// The version that its order said it replaces.
    pub replaces: Option<VersionId>,
    /// The leaf, once issued.
    pub leaf: Option<LeafFacts>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was issued (the certificate was stored).
    pub issued_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A bundle that certferry made on a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleRecord {
    /// The load balancer.
    pub load_balancer: LoadBalancerName,
    /// The bundle's name there.
    pub name: BundleName,
    /// The certificate.
    pub certificate: CertificateName,
    /// The version that it holds.
    pub version: VersionId,
    /// When that version was first verified to be served; `None` for one that never was.
    pub served_at: Option<Timestamp>,
    /// The version that was last verified to be served out of it: the same, or one that was there before. `None` where none
    /// was, or an older program did not note it.
    pub served_version: Option<VersionId>,
}

impl BundleRecord {
    /// Of bundles of one certificate, the one out of which the newest version was verified to be served.
    pub fn last_served<'a>(bundles: impl IntoIterator<Item = &'a Self>) -> Option<&'a Self> {
        let served = bundles.into_iter().filter(|bundle| bundle.served_version.is_some());
        served.max_by_key(|bundle| bundle.served_version)
    }
}

/// How far a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeploymentState {
    /// Not begun.
    Pending,
    /// The bundle is on the load balancer.
    Uploaded,
    /// The listener refers to the bundle.
    Bound,
    /// A handshake returned it.
    Verified,
    /// The last attempt failed; the previous bundle was put back if it had got that far.
    Failed,
}

impl DeploymentState {
    /// All states, in the order of progress.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Uploaded, Self::Bound, Self::Verified, Self::Failed];

    /// The word that outputs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Uploaded => "uploaded",
            Self::Bound => "bound",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }

    /// The state that prints as `text`.
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for DeploymentState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One deployment: certificate × listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The certificate.
    pub certificate: CertificateName,
    /// The load balancer.
    pub load_balancer: LoadBalancerName,
    /// The listener.
    pub listener: ListenerName,
    /// How far it is.
    pub state: DeploymentState,
    /// The version that it is for.
    pub version: VersionId,
    /// The bundle that it put (or is about to put) on the listener.
    pub bundle: BundleName,
    /// The bundle that was there before, to be put back if verification fails.
    pub previous_bundle: Option<BundleName>,
    /// Serial of the last version that was bound.
    pub deployed_serial: Option<Serial>,
    /// Serial that the last handshake returned.
    pub served_serial: Option<Serial>,
    /// When a handshake last returned what was deployed.
    pub verified_at: Option<Timestamp>,
    /// The last failure since the last success.
    pub last_error: Option<String>,
    /// That `version` was not served, and what was there before was put back; `None` once it is verified.
    pub roll_back: Option<RollBack>,
    /// When this record last changed.
    pub updated_at: Timestamp,
}
