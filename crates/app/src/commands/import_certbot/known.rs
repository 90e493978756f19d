//! What the state has already.

use std::collections::BTreeMap;
use std::sync::Arc;

use certferry_core::port::{CertificateAuthority, Store};
use certferry_core::recorded::Recorded;
use certferry_core::{Error, IssuerName, Secret};

/// What the state has already.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Versions.
    pub(super) recorded: Recorded,
    /// Accounts of the config's issuers.
    pub(super) accounts: BTreeMap<IssuerName, KnownAccount>,
}

/// One issuer's account.
#[derive(Debug)]
pub(super) struct KnownAccount {
    /// Its key, PKCS#8 PEM.
    pub(super) key: Secret<String>,
    /// Its URL, once the CA has answered.
    pub(super) url: Option<String>,
}

impl Known {
    pub(super) async fn read(
        store: &dyn Store,
        issuers: &BTreeMap<IssuerName, Arc<dyn CertificateAuthority>>,
    ) -> Result<Self, Error> {
        let mut accounts = BTreeMap::new();
        for (name, issuer) in issuers {
            if let Some(record) = store.account(name, issuer.directory_url()).await? {
                accounts.insert(name.clone(), KnownAccount { key: record.key, url: record.url });
            }
        }
        Ok(Self { recorded: store.recorded().await?, accounts })
    }
}
