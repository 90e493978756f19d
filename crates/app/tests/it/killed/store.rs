//! The real store, which kills its own process at one of its writes.

use std::future::pending;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use certferry_core::port::{AccountRecord, HistoryFilter, Lease, NewVersion, OpenChallenge, Store};
use certferry_core::recorded::{BundleRecord, Deployment, Recorded, Version, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::IssueFailure;
use certferry_core::{
    BundleName, CertificateName, Chain, Error, Event, IssuerName, ListenerName, LoadBalancerName, Secret,
};
use jiff::{SignedDuration, Timestamp};

use super::Moment;

pub(super) struct KillingStore {
    store: Arc<dyn Store>,
    writes: AtomicUsize,
    step: usize,
    moment: Moment,
}

impl KillingStore {
    /// Kills the process before or after the write with this number; the first is 1.
    pub(super) fn new(store: Arc<dyn Store>, step: usize, moment: Moment) -> Self {
        Self { store, writes: AtomicUsize::new(0), step, moment }
    }

    /// How many writes there were.
    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    async fn write<T>(&self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let strikes = self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.step;
        if strikes && self.moment == Moment::Before {
            return die().await;
        }
        let outcome = write.await;
        if strikes {
            return die().await;
        }
        outcome
    }
}

/// SIGKILL, from outside: no destructor runs, no buffer is flushed.
async fn die<T>() -> T {
    Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
    pending().await
}

#[async_trait]
impl Store for KillingStore {
    async fn acquire_lease(&self, holder: &str) -> Result<Lease, Error> {
        self.store.acquire_lease(holder).await
    }

    async fn recorded(&self) -> Result<Recorded, Error> {
        self.store.recorded().await
    }

    async fn account(&self, issuer: &IssuerName, directory_url: &str) -> Result<Option<AccountRecord>, Error> {
        self.store.account(issuer, directory_url).await
    }

    async fn save_account(&self, account: &AccountRecord) -> Result<(), Error> {
        self.write(self.store.save_account(account)).await
    }

    async fn begin_version(&self, version: &NewVersion) -> Result<Version, Error> {
        self.write(self.store.begin_version(version)).await
    }

    async fn take_over_version(&self, version: &NewVersion, chain: &Chain) -> Result<Version, Error> {
        self.write(self.store.take_over_version(version, chain)).await
    }

    async fn save_order(&self, version: VersionId, order_url: &str) -> Result<(), Error> {
        self.write(self.store.save_order(version, order_url)).await
    }

    async fn save_issued(&self, version: VersionId, chain: &Chain, at: Timestamp) -> Result<(), Error> {
        self.write(self.store.save_issued(version, chain, at)).await
    }

    async fn save_revoked(&self, version: VersionId, at: Timestamp) -> Result<(), Error> {
        self.write(self.store.save_revoked(version, at)).await
    }

    async fn abandon_version(&self, version: VersionId, why: &str) -> Result<(), Error> {
        self.write(self.store.abandon_version(version, why)).await
    }

    async fn private_key(&self, version: VersionId) -> Result<Secret<String>, Error> {
        self.store.private_key(version).await
    }

    async fn csr(&self, version: VersionId) -> Result<Option<Vec<u8>>, Error> {
        self.store.csr(version).await
    }

    async fn chain(&self, version: VersionId) -> Result<Chain, Error> {
        self.store.chain(version).await
    }

    async fn save_renewal_window(&self, version: VersionId, window: &RenewalWindow) -> Result<(), Error> {
        self.write(self.store.save_renewal_window(version, window)).await
    }

    async fn save_issue_failure(&self, certificate: &CertificateName, failure: &IssueFailure) -> Result<(), Error> {
        self.write(self.store.save_issue_failure(certificate, failure)).await
    }

    async fn open_challenge(&self, challenge: &OpenChallenge) -> Result<(), Error> {
        self.write(self.store.open_challenge(challenge)).await
    }

    async fn close_challenge(&self, token: &str) -> Result<(), Error> {
        self.write(self.store.close_challenge(token)).await
    }

    async fn open_challenges(&self) -> Result<Vec<OpenChallenge>, Error> {
        self.store.open_challenges().await
    }

    async fn save_bundle(&self, bundle: &BundleRecord) -> Result<(), Error> {
        self.write(self.store.save_bundle(bundle)).await
    }

    async fn forget_bundle(&self, load_balancer: &LoadBalancerName, name: &BundleName) -> Result<(), Error> {
        self.write(self.store.forget_bundle(load_balancer, name)).await
    }

    async fn save_deployment(&self, deployment: &Deployment) -> Result<(), Error> {
        self.write(self.store.save_deployment(deployment)).await
    }

    async fn forget_deployment(
        &self,
        certificate: &CertificateName,
        load_balancer: &LoadBalancerName,
        listener: &ListenerName,
    ) -> Result<(), Error> {
        self.write(self.store.forget_deployment(certificate, load_balancer, listener)).await
    }

    async fn append_history(&self, event: &Event) -> Result<(), Error> {
        self.write(self.store.append_history(event)).await
    }

    async fn append_warning(
        &self,
        version: VersionId,
        threshold: SignedDuration,
        event: &Event,
    ) -> Result<bool, Error> {
        self.write(self.store.append_warning(version, threshold, event)).await
    }

    async fn save_warning_days(&self, load_balancer: &LoadBalancerName, days: &[u16]) -> Result<(), Error> {
        self.write(self.store.save_warning_days(load_balancer, days)).await
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<Vec<Event>, Error> {
        self.store.history(filter).await
    }
}
