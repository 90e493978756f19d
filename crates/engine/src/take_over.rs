//! Taking over what another ACME client has: its account, and certificates that it ordered.
//!
//! A version that is taken over is one like all others: it is delivered, verified and retired by the same machine.

use certferry_core::desired::VersionSpec;
use certferry_core::port::{AccountRecord, NewVersion};
use certferry_core::recorded::Version;
use certferry_core::{CertificateName, Chain, Error, ErrorKind, IssuerName, Secret};

use crate::Engine;
use crate::journal::Subject;

/// A certificate that somebody else ordered. That its parts belong together was checked by the caller.
#[derive(Clone, Debug)]
pub struct HandedOver {
    /// The certificate of which it becomes the current version.
    pub certificate: CertificateName,
    /// With what it would have been ordered.
    pub spec: VersionSpec,
    /// Its chain.
    pub chain: Chain,
    /// Its private key, PKCS#8 PEM.
    pub private_key: Secret<String>,
    /// From where it comes, for people.
    pub from: String,
}

/// An account that somebody else made.
#[derive(Clone, Debug)]
pub struct AccountTaken {
    /// The issuer that gets it.
    pub issuer: IssuerName,
    /// Its key, PKCS#8 PEM.
    pub key: Secret<String>,
    /// Its URL.
    pub url: String,
    /// From where it comes, for people.
    pub from: String,
}

impl Engine {
    /// Makes `handed` the current version of its certificate. A version that is being ordered is given up. The next run delivers. One that holds the lease meanwhile is not disturbed: it goes on with what it
    /// has read, and the run after it delivers.
    ///
    /// # Errors
    /// The store fails.
    pub async fn take_over(&self, handed: &HandedOver) -> Result<Version, Error> {
        let subject = Subject {
            action: "take_over",
            certificate: Some(handed.certificate.clone()),
            object: Some(handed.from.clone()),
            ..Subject::default()
        };
        let mut taken = None;
        let taking = async {
            taken = Some(self.take_over_now(handed).await?);
            let leaf = handed.chain.leaf();
            Ok(format!("serial {}, valid until {}, from {}", leaf.serial, leaf.not_after, leaf.issuer))
        };
        self.journal.around(&subject, "another client has ordered it", taking).await?;
        taken.ok_or_else(|| Error::new(ErrorKind::Unexpected, "take over", &handed.from).said("no version came of it"))
    }

    async fn take_over_now(&self, handed: &HandedOver) -> Result<Version, Error> {
        let recorded = self.parts.store.recorded().await?;
        let record = recorded.certificate(&handed.certificate);
        if let Some(pending) = record.and_then(|record| record.pending.as_ref()) {
            let why = format!("the version in {} takes its place", handed.from);
            self.parts.store.abandon_version(pending.id, &why).await?;
        }
        let shares_a_name = |version: &&Version| version.spec.names.iter().any(|name| handed.spec.names.contains(name));
        let replaces = record.and_then(|record| record.current.as_ref()).filter(shares_a_name);
        let version = NewVersion {
            certificate: handed.certificate.clone(),
            spec: handed.spec.clone(),
            replaces: replaces.map(|version| version.id),
            private_key: Some(handed.private_key.clone()),
            csr: None,
            created_at: self.parts.clock.now(),
        };
        self.parts.store.take_over_version(&version, &handed.chain).await
    }

    /// Makes `account` the issuer's account, in place of any other. The next order proves that the CA knows it.
    ///
    /// # Errors
    /// The config has no such issuer, or the store fails.
    pub async fn take_over_account(&self, account: &AccountTaken) -> Result<(), Error> {
        let subject =
            Subject { action: "take_over_account", object: Some(account.issuer.to_string()), ..Subject::default() };
        let taking = async {
            let record = AccountRecord {
                issuer: account.issuer.clone(),
                directory_url: self.issuer(&account.issuer)?.directory_url().to_owned(),
                key: account.key.clone(),
                next_key: None,
                url: Some(account.url.clone()),
            };
            self.parts.store.save_account(&record).await?;
            Ok(format!("account {} from {}", account.url, account.from))
        };
        self.journal.around(&subject, "another client has made it", taking).await
    }
}
