//! One certificate's records during a run: every change goes to the store first, then to the copy in memory from which the
//! next decision is made.

use std::sync::Arc;

use certferry_core::port::Store;
use certferry_core::recorded::{BundleRecord, CertificateRecord, Deployment, Recorded, Version};
use certferry_core::{BundleName, CertificateName, Error, LoadBalancerName};
use tokio::sync::Mutex;

/// Shared by the deliveries of one certificate to its load balancers.
pub(crate) struct Ledger {
    certificate: CertificateName,
    store: Arc<dyn Store>,
    recorded: Mutex<Recorded>,
}

impl Ledger {
    /// What is recorded of `certificate`, with the bundles that it has anywhere.
    pub(crate) fn new(
        certificate: &CertificateName,
        store: Arc<dyn Store>,
        record: CertificateRecord,
        bundles: Vec<BundleRecord>,
    ) -> Self {
        let certificates = [(certificate.clone(), record)].into();
        let recorded = Recorded { certificates, bundles, ..Recorded::default() };
        Self { certificate: certificate.clone(), store, recorded: Mutex::new(recorded) }
    }

    /// A copy, to plan from.
    pub(crate) async fn recorded(&self) -> Recorded {
        self.recorded.lock().await.clone()
    }

    /// A copy of the certificate's record.
    pub(crate) async fn record(&self) -> CertificateRecord {
        self.recorded.lock().await.certificate(&self.certificate).cloned().unwrap_or_default()
    }

    /// `version` has been issued and stored.
    pub(crate) async fn set_current(&self, version: Version) {
        let mut recorded = self.recorded.lock().await;
        let record = recorded.certificates.entry(self.certificate.clone()).or_default();
        record.current = Some(version);
        record.pending = None;
        record.renewal_window = None;
        record.issue_failure = None;
    }

    pub(crate) async fn save_deployment(&self, deployment: Deployment) -> Result<(), Error> {
        self.store.save_deployment(&deployment).await?;
        let mut recorded = self.recorded.lock().await;
        let deployments = &mut recorded.certificates.entry(self.certificate.clone()).or_default().deployments;
        deployments
            .retain(|other| other.load_balancer != deployment.load_balancer || other.listener != deployment.listener);
        deployments.push(deployment);
        Ok(())
    }

    pub(crate) async fn save_bundle(&self, bundle: BundleRecord) -> Result<(), Error> {
        self.store.save_bundle(&bundle).await?;
        let mut recorded = self.recorded.lock().await;
        recorded.bundles.retain(|other| other.load_balancer != bundle.load_balancer || other.name != bundle.name);
        recorded.bundles.push(bundle);
        Ok(())
    }

    pub(crate) async fn forget_bundle(&self, load_balancer: &LoadBalancerName, name: &BundleName) -> Result<(), Error> {
        self.store.forget_bundle(load_balancer, name).await?;
        let mut recorded = self.recorded.lock().await;
        recorded.bundles.retain(|other| other.load_balancer != *load_balancer || other.name != *name);
        Ok(())
    }
}
