//! What is remembered across runs. Every method that writes is one journal step: it is on disk when it returns, and a
//! process killed before or after it can be continued by the next one.

use std::any::Any;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::chain::Chain;
use crate::desired::VersionSpec;
use crate::error::Error;
use crate::event::Event;
use crate::identifier::Identifier;
use crate::name::{BundleName, CertificateName, DnsName, DnsProviderName, IssuerName, ListenerName, LoadBalancerName};
use crate::recorded::{BundleRecord, Deployment, Recorded, Version, VersionId};
use crate::renewal::RenewalWindow;
use crate::retry::IssueFailure;
use crate::secret::Secret;

/// A store of versions, deployments, bundles, open challenges, accounts and history. Private keys are sealed at rest.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes this process the one engine on this store, until the lease is dropped or the process ends. `holder` says who
    /// it is, for the one who comes second.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict), naming the holder.
    async fn acquire_lease(&self, holder: &str) -> Result<Lease, Error>;

    /// All that a plan needs.
    ///
    /// # Errors
    /// The database fails.
    async fn recorded(&self) -> Result<Recorded, Error>;

    /// The account of an issuer at a directory.
    ///
    /// # Errors
    /// The database fails, or the key cannot be unsealed.
    async fn account(&self, issuer: &IssuerName, directory_url: &str) -> Result<Option<AccountRecord>, Error>;

    /// Stores an account: first its key, before the CA sees it; later again with its URL.
    ///
    /// # Errors
    /// The database fails.
    async fn save_account(&self, account: &AccountRecord) -> Result<(), Error>;

    /// Begins a version: stores its key before anything is ordered with it.
    ///
    /// # Errors
    /// The database fails, or another version of this certificate is pending.
    async fn begin_version(&self, version: &NewVersion) -> Result<Version, Error>;

    /// Stores a version that somebody else ordered, key and chain at once; it becomes the certificate's current one, as
    /// with [`Store::save_issued`].
    ///
    /// # Errors
    /// The database fails, or a version of this certificate is pending.
    async fn take_over_version(&self, version: &NewVersion, chain: &Chain) -> Result<Version, Error>;

    /// Notes the order of a pending version.
    ///
    /// # Errors
    /// The database fails.
    async fn save_order(&self, version: VersionId, order_url: &str) -> Result<(), Error>;

    /// Stores the chain of a pending version, which becomes the certificate's current one; what was noted about the renewal
    /// and failures of the one before it is forgotten.
    ///
    /// # Errors
    /// The database fails.
    async fn save_issued(&self, version: VersionId, chain: &Chain, at: Timestamp) -> Result<(), Error>;

    /// Notes that an issued version was revoked.
    ///
    /// # Errors
    /// The database fails, or the version is not issued.
    async fn save_revoked(&self, version: VersionId, at: Timestamp) -> Result<(), Error>;

    /// Gives a pending version up: its order failed or is gone.
    ///
    /// # Errors
    /// The database fails.
    async fn abandon_version(&self, version: VersionId, why: &str) -> Result<(), Error>;

    /// A version's private key, PKCS#8 PEM.
    ///
    /// # Errors
    /// The database fails, or the key cannot be unsealed.
    async fn private_key(&self, version: VersionId) -> Result<Secret<String>, Error>;

    /// The CSR (DER) that a version is ordered with, where somebody else made it.
    ///
    /// # Errors
    /// The database fails.
    async fn csr(&self, version: VersionId) -> Result<Option<Vec<u8>>, Error>;

    /// An issued version's chain.
    ///
    /// # Errors
    /// The database fails, or there is none.
    async fn chain(&self, version: VersionId) -> Result<Chain, Error>;

    /// Notes the renewal window that the CA suggested for a version.
    ///
    /// # Errors
    /// The database fails.
    async fn save_renewal_window(&self, version: VersionId, window: &RenewalWindow) -> Result<(), Error>;

    /// Notes the last issuing failure of a certificate.
    ///
    /// # Errors
    /// The database fails.
    async fn save_issue_failure(&self, certificate: &CertificateName, failure: &IssueFailure) -> Result<(), Error>;

    /// Notes a challenge before it is presented.
    ///
    /// # Errors
    /// The database fails.
    async fn open_challenge(&self, challenge: &OpenChallenge) -> Result<(), Error>;

    /// Notes that a challenge was withdrawn.
    ///
    /// # Errors
    /// The database fails.
    async fn close_challenge(&self, token: &str) -> Result<(), Error>;

    /// Challenges that were presented and not withdrawn: what a killed process left.
    ///
    /// # Errors
    /// The database fails.
    async fn open_challenges(&self) -> Result<Vec<OpenChallenge>, Error>;

    /// Notes a bundle before it is uploaded, or that it is served now.
    ///
    /// # Errors
    /// The database fails.
    async fn save_bundle(&self, bundle: &BundleRecord) -> Result<(), Error>;

    /// Notes that a bundle is gone.
    ///
    /// # Errors
    /// The database fails.
    async fn forget_bundle(&self, load_balancer: &LoadBalancerName, name: &BundleName) -> Result<(), Error>;

    /// Notes how far a deployment is.
    ///
    /// # Errors
    /// The database fails.
    async fn save_deployment(&self, deployment: &Deployment) -> Result<(), Error>;

    /// Forgets a deployment that the config no longer has.
    ///
    /// # Errors
    /// The database fails.
    async fn forget_deployment(
        &self,
        certificate: &CertificateName,
        load_balancer: &LoadBalancerName,
        listener: &ListenerName,
    ) -> Result<(), Error>;

    /// Adds to the history.
    ///
    /// # Errors
    /// The database fails.
    async fn append_history(&self, event: &Event) -> Result<(), Error>;

    /// Adds the event that warns of the end of `version` to the history, unless one was added before for the same
    /// `threshold` (to the second). Gives whether it was added now.
    ///
    /// # Errors
    /// The database fails.
    async fn append_warning(&self, version: VersionId, threshold: SignedDuration, event: &Event)
    -> Result<bool, Error>;

    /// Notes the days before a certificate's end at which a load balancer warns of it; none forgets them.
    ///
    /// # Errors
    /// The database fails.
    async fn save_warning_days(&self, load_balancer: &LoadBalancerName, days: &[u16]) -> Result<(), Error>;

    /// Reads the history, newest first.
    ///
    /// # Errors
    /// The database fails.
    async fn history(&self, filter: &HistoryFilter) -> Result<Vec<Event>, Error>;
}

/// Held as long as this process is the one engine on a store.
pub struct Lease(#[expect(dead_code, reason = "only its drop matters")] Box<dyn Any + Send + Sync>);

impl Lease {
    /// A lease that ends when `guard` is dropped.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self(Box::new(guard))
    }
}

/// An account with a CA.
#[derive(Clone, Debug)]
pub struct AccountRecord {
    /// The issuer.
    pub issuer: IssuerName,
    /// The directory that it belongs to.
    pub directory_url: String,
    /// Its key, PKCS#8 PEM.
    pub key: Secret<String>,
    /// The key that it is about to get: stored before the CA hears of it, kept until the CA has answered.
    pub next_key: Option<Secret<String>>,
    /// Its URL, once the CA has answered.
    pub url: Option<String>,
}

/// A version that is about to be ordered.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// The certificate.
    pub certificate: CertificateName,
    /// What it is ordered with.
    pub spec: VersionSpec,
    /// The version that it replaces.
    pub replaces: Option<VersionId>,
    /// Its private key, PKCS#8 PEM; `None` for one that a load balancer holds.
    pub private_key: Option<Secret<String>>,
    /// The CSR (DER) that it is to be ordered with, where somebody else made it.
    pub csr: Option<Vec<u8>>,
    /// Now.
    pub created_at: Timestamp,
}

/// A challenge that is or was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenChallenge {
    /// The version whose order it belongs to.
    pub version: VersionId,
    /// The name that it validates.
    pub name: Identifier,
    /// Its token.
    pub token: String,
    /// What the responder answers.
    pub key_authorization: String,
    /// Where it is presented, if by http-01.
    pub load_balancers: Vec<LoadBalancerName>,
    /// Where it is presented, if by dns-01.
    pub dns: Option<DnsPlace>,
}

/// Where a dns-01 response is presented. Its value follows from the key authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPlace {
    /// The provider.
    pub provider: DnsProviderName,
    /// The name of the TXT record, aliases followed.
    pub record: DnsName,
}

/// Which part of the history.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Only of this certificate.
    pub certificate: Option<CertificateName>,
    /// At most so many.
    pub limit: Option<u32>,
}
