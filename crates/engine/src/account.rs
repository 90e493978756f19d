//! Accounts with CAs: opened once, and shared by every certificate of an issuer.

use std::collections::BTreeMap;
use std::time::Duration;

use certferry_core::port::AccountRecord;
use certferry_core::{Error, IssuerName};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Engine;

/// How the opening of each issuer's account came out.
pub(crate) struct Accounts(BTreeMap<IssuerName, Mutex<Option<Opening>>>);

/// An opening that came to its end.
struct Opening {
    at: Instant,
    outcome: Result<(), Error>,
}

impl Accounts {
    pub(crate) fn of<'a>(issuers: impl Iterator<Item = &'a IssuerName>) -> Self {
        Self(issuers.map(|name| (name.clone(), Mutex::default())).collect())
    }
}

impl Engine {
    /// Opens the issuer's account, unless it is open. A failure is shared by all who ask at about the same time, so that a
    /// CA that is down is not asked once for each certificate.
    pub(crate) async fn open_account(&self, issuer: &IssuerName) -> Result<(), Error> {
        let Some(account) = self.accounts.0.get(issuer) else { return self.issuer(issuer).map(|_| ()) };
        let mut opening = account.lock().await;
        if let Some(Opening { at, outcome }) = opening.as_ref()
            && (outcome.is_ok() || at.elapsed() < FAILURE_SHARED)
        {
            return outcome.clone();
        }
        let outcome = self.open_account_now(issuer).await;
        *opening = Some(Opening { at: Instant::now(), outcome: outcome.clone() });
        outcome
    }

    async fn open_account_now(&self, issuer: &IssuerName) -> Result<(), Error> {
        let authority = self.issuer(issuer)?;
        let directory_url = authority.directory_url();
        let mut record = match self.parts.store.account(issuer, directory_url).await? {
            Some(record) => record,
            None => {
                let key = authority.new_account_key()?;
                let directory_url = directory_url.to_owned();
                let record = AccountRecord { issuer: issuer.clone(), directory_url, key, url: None };
                self.parts.store.save_account(&record).await?;
                record
            }
        };
        // An account that the CA once confirmed is never silently replaced: `replaces`, CAA accounturi and rate limit
        // overrides hang on it.
        let account = authority.open_account(&record.key, record.url.is_none()).await?;
        if record.url.as_ref() != Some(&account.url) {
            record.url = Some(account.url);
            self.parts.store.save_account(&record).await?;
        }
        Ok(())
    }
}

/// How long a failure is given to others who ask: shorter than the shortest pause between two runs.
const FAILURE_SHARED: Duration = Duration::from_secs(30);
