//! Accounts with CAs: opened once, and shared by every certificate of an issuer.

use std::collections::BTreeMap;
use std::time::Duration;

use certferry_core::port::AccountRecord;
use certferry_core::{Error, ErrorKind, IssuerName, Secret};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Engine;
use crate::journal::Subject;

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
                let record = AccountRecord { issuer: issuer.clone(), directory_url, key, next_key: None, url: None };
                self.parts.store.save_account(&record).await?;
                record
            }
        };
        // A change of keys may have had its effect though nobody saw the answer.
        if let Some(next) = record.next_key.clone() {
            match authority.open_account(&next, false).await {
                Ok(account) => return self.take_next_key(record, next, account.url).await,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
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

impl Engine {
    /// Gives the issuer's account a new key, in two phases: the new one is stored, the CA told, the old one forgotten.
    /// Killed anywhere between, the next opening finds out which of the two is the account's.
    ///
    /// # Errors
    /// The CA refuses or does not answer; the old key then still is the account's, or the next opening takes the new one.
    pub async fn rotate_account_key(&self, issuer: &IssuerName) -> Result<(), Error> {
        let subject = Subject { action: "rotate_account_key", object: Some(issuer.to_string()), ..Subject::default() };
        let rotating = async {
            self.open_account(issuer).await?;
            self.rotate_now(issuer).await?;
            Ok(format!("the account of issuer `{issuer}` has a new key"))
        };
        self.journal.around(&subject, "somebody asked for it", rotating).await
    }

    async fn rotate_now(&self, issuer: &IssuerName) -> Result<(), Error> {
        let authority = self.issuer(issuer)?;
        let mut record = self.known_account(issuer).await?;
        let next = match record.next_key.clone() {
            Some(next) => next,
            None => {
                let next = authority.new_account_key()?;
                record.next_key = Some(next.clone());
                self.parts.store.save_account(&record).await?;
                next
            }
        };
        let url = match authority.change_account_key(&next).await {
            Ok(()) => record.url.clone().unwrap_or_default(),
            Err(error) if matches!(error.kind(), ErrorKind::EffectUnknown | ErrorKind::Conflict) => {
                match authority.open_account(&next, false).await {
                    Ok(account) if record.url.as_ref().is_none_or(|url| *url == account.url) => account.url,
                    Ok(_) | Err(_) => return Err(error.with_hint("run it again: it goes on with the same new key")),
                }
            }
            Err(error) => return Err(error),
        };
        self.take_next_key(record, next, url).await
    }

    /// Gives the issuer's account up, for good.
    ///
    /// # Errors
    /// The CA refuses or does not answer.
    pub async fn deactivate_account(&self, issuer: &IssuerName) -> Result<(), Error> {
        let subject = Subject { action: "deactivate_account", object: Some(issuer.to_string()), ..Subject::default() };
        let giving_up = async {
            self.open_account(issuer).await?;
            self.issuer(issuer)?.deactivate_account().await?;
            Ok(format!("the account of issuer `{issuer}` is given up"))
        };
        self.journal.around(&subject, "somebody asked for it", giving_up).await
    }

    async fn known_account(&self, issuer: &IssuerName) -> Result<AccountRecord, Error> {
        let directory_url = self.issuer(issuer)?.directory_url();
        self.parts.store.account(issuer, directory_url).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "account", format!("issuer `{issuer}`")).said("it has no account yet")
        })
    }

    async fn take_next_key(&self, record: AccountRecord, next: Secret<String>, url: String) -> Result<(), Error> {
        let record = AccountRecord { key: next, next_key: None, url: Some(url), ..record };
        self.parts.store.save_account(&record).await
    }
}

/// How long a failure is given to others who ask: shorter than the shortest pause between two runs.
const FAILURE_SHARED: Duration = Duration::from_secs(30);
