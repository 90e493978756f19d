//! The store in one SQLite file.

mod accounts;
mod challenges;
mod columns;
mod deliveries;
mod failure;
mod history;
mod open;
mod recorded;
mod schema;
mod versions;
mod warnings;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use certferry_core::event::Event;
use certferry_core::port::{AccountRecord, HistoryFilter, Lease, NewVersion, OpenChallenge, Store};
use certferry_core::recorded::{BundleRecord, Deployment, Recorded, Version, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::IssueFailure;
use certferry_core::{BundleName, CertificateName, Chain, Error, IssuerName, ListenerName, LoadBalancerName, Secret};
use jiff::{SignedDuration, Timestamp};
use sqlx::{SqlitePool, Transaction};

use crate::lease;
use crate::seal::Seal;
use failure::Failure;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    readers: SqlitePool,
    writing: Option<Writing>,
}

/// What only a store opened by [`Sqlite::open`] has.
#[derive(Debug)]
struct Writing {
    /// One connection, so that this process's writers queue fairly here instead of at SQLite's lock.
    pool: SqlitePool,
    seal: Seal,
}

impl Sqlite {
    /// Opens the database for reading and writing. The file is made (0600) when absent, its schema is brought up to date,
    /// and the master key's file is made (0600) when both it and the database are new.
    ///
    /// # Errors
    /// A file that cannot be read or made, or is no certferry database; a schema newer than this program; a key file that
    /// others can read, or that is not the one which the database was made with.
    pub async fn open(path: &Path, key_file: &Path) -> Result<Self, Error> {
        open::to_write(path, key_file).await
    }

    /// Opens the database for reading only, which needs no key file, writes nothing and works while an engine holds the
    /// lease. A database that is not there yet reads as an empty one. Methods that write, or that unseal a key, fail.
    ///
    /// # Errors
    /// A file that cannot be read or is no certferry database; a schema newer or older than this program.
    pub async fn open_to_read(path: &Path) -> Result<Self, Error> {
        open::to_read(path).await
    }

    /// Where the database is: symbolic links resolved where it exists.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for what runs, and closes the files. A store that is only dropped loses nothing; SQLite tidies up at the
    /// next opening.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Some(writing) = &self.writing {
            writing.pool.close().await;
        }
    }

    fn writing(&self) -> Result<&Writing, Failure> {
        self.writing.as_ref().ok_or(Failure::OpenedToRead)
    }

    fn failed(&self, operation: &'static str) -> impl Fn(Failure) -> Error {
        move |failure| failure.into_error(operation, &self.path)
    }
}

impl Writing {
    /// Begins a transaction that has the right to write from the start, so that nothing it read can change before it
    /// writes. Dropped without a commit, it is rolled back.
    async fn begin(&self) -> Result<Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn acquire_lease(&self, holder: &str) -> Result<Lease, Error> {
        self.writing().map_err(self.failed("acquire_lease"))?;
        lease::acquire(&lease::lock_of(&self.path), &failure::subject(&self.path), holder)
    }

    async fn recorded(&self) -> Result<Recorded, Error> {
        recorded::read(self).await.map_err(self.failed("recorded"))
    }

    async fn account(&self, issuer: &IssuerName, directory_url: &str) -> Result<Option<AccountRecord>, Error> {
        accounts::read(self, issuer, directory_url).await.map_err(self.failed("account"))
    }

    async fn save_account(&self, account: &AccountRecord) -> Result<(), Error> {
        accounts::save(self, account).await.map_err(self.failed("save_account"))
    }

    async fn begin_version(&self, version: &NewVersion) -> Result<Version, Error> {
        let begun = versions::begin(self, version).await.map_err(self.failed("begin_version"));
        begun.map_err(|error| error.for_certificate(&version.certificate))
    }

    async fn take_over_version(&self, version: &NewVersion, chain: &Chain) -> Result<Version, Error> {
        let taken = versions::take_over(self, version, chain).await.map_err(self.failed("take_over_version"));
        taken.map_err(|error| error.for_certificate(&version.certificate))
    }

    async fn save_order(&self, version: VersionId, order_url: &str) -> Result<(), Error> {
        versions::save_order(self, version, order_url).await.map_err(self.failed("save_order"))
    }

    async fn save_issued(&self, version: VersionId, chain: &Chain, at: Timestamp) -> Result<(), Error> {
        versions::save_issued(self, version, chain, at).await.map_err(self.failed("save_issued"))
    }

    async fn save_revoked(&self, version: VersionId, at: Timestamp) -> Result<(), Error> {
        versions::save_revoked(self, version, at).await.map_err(self.failed("save_revoked"))
    }

    async fn abandon_version(&self, version: VersionId, why: &str) -> Result<(), Error> {
        versions::abandon(self, version, why).await.map_err(self.failed("abandon_version"))
    }

    async fn csr(&self, version: VersionId) -> Result<Option<Vec<u8>>, Error> {
        versions::csr(self, version).await.map_err(self.failed("csr"))
    }

    async fn private_key(&self, version: VersionId) -> Result<Secret<String>, Error> {
        versions::private_key(self, version).await.map_err(self.failed("private_key"))
    }

    async fn chain(&self, version: VersionId) -> Result<Chain, Error> {
        versions::chain(self, version).await.map_err(self.failed("chain"))
    }

    async fn save_renewal_window(&self, version: VersionId, window: &RenewalWindow) -> Result<(), Error> {
        versions::save_renewal_window(self, version, window).await.map_err(self.failed("save_renewal_window"))
    }

    async fn save_issue_failure(&self, certificate: &CertificateName, failure: &IssueFailure) -> Result<(), Error> {
        let saved = versions::save_issue_failure(self, certificate, failure).await;
        saved.map_err(self.failed("save_issue_failure")).map_err(|error| error.for_certificate(certificate))
    }

    async fn open_challenge(&self, challenge: &OpenChallenge) -> Result<(), Error> {
        challenges::open(self, challenge).await.map_err(self.failed("open_challenge"))
    }

    async fn close_challenge(&self, token: &str) -> Result<(), Error> {
        challenges::close(self, token).await.map_err(self.failed("close_challenge"))
    }

    async fn open_challenges(&self) -> Result<Vec<OpenChallenge>, Error> {
        challenges::all(self).await.map_err(self.failed("open_challenges"))
    }

    async fn save_bundle(&self, bundle: &BundleRecord) -> Result<(), Error> {
        let saved = deliveries::save_bundle(self, bundle).await.map_err(self.failed("save_bundle"));
        saved.map_err(|error| error.for_certificate(&bundle.certificate))
    }

    async fn forget_bundle(&self, load_balancer: &LoadBalancerName, name: &BundleName) -> Result<(), Error> {
        deliveries::forget_bundle(self, load_balancer, name).await.map_err(self.failed("forget_bundle"))
    }

    async fn save_deployment(&self, deployment: &Deployment) -> Result<(), Error> {
        let saved = deliveries::save_deployment(self, deployment).await.map_err(self.failed("save_deployment"));
        saved.map_err(|error| error.for_certificate(&deployment.certificate))
    }

    async fn forget_deployment(
        &self,
        certificate: &CertificateName,
        load_balancer: &LoadBalancerName,
        listener: &ListenerName,
    ) -> Result<(), Error> {
        let forgotten = deliveries::forget_deployment(self, certificate, load_balancer, listener).await;
        forgotten.map_err(self.failed("forget_deployment")).map_err(|error| error.for_certificate(certificate))
    }

    async fn append_history(&self, event: &Event) -> Result<(), Error> {
        history::append(self, event).await.map_err(self.failed("append_history"))
    }

    async fn append_warning(
        &self,
        version: VersionId,
        threshold: SignedDuration,
        event: &Event,
    ) -> Result<bool, Error> {
        warnings::append(self, version, threshold, event).await.map_err(self.failed("append_warning"))
    }

    async fn save_warning_days(&self, load_balancer: &LoadBalancerName, days: &[u16]) -> Result<(), Error> {
        warnings::save_days(self, load_balancer, days).await.map_err(self.failed("save_warning_days"))
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<Vec<Event>, Error> {
        history::read(self, filter).await.map_err(self.failed("history"))
    }
}
