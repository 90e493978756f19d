//! The account: its key, and finding or making it (RFC 8555 §7.3).

use certferry_acme::{AccountKey, AccountKeyType, AccountStatus, NewAccount, ProblemType, RegisteredAccount};
use certferry_core::port::{Account, RevocationReason};
use certferry_core::{Chain, Error, ErrorKind, Secret};

use super::issuer::AcmeIssuer;

impl AcmeIssuer {
    pub(super) fn make_account_key(&self) -> Result<Secret<String>, Error> {
        let made = AccountKey::generate(self.config.account_key).and_then(|key| key.to_pkcs8());
        let der = made.map_err(|error| {
            Error::new(ErrorKind::Unexpected, "account key", self.subject())
                .said("a new key could not be made")
                .with_source(error)
        })?;
        let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(Secret::new(pem::encode_config(&pem::Pem::new("PRIVATE KEY", der.as_slice()), lines)))
    }

    pub(super) async fn open(&self, key: &Secret<String>, create: bool) -> Result<Account, Error> {
        let key = self.read_account_key(key)?;
        let registered = if create { self.register(key).await? } else { self.find(key).await? };
        let url = registered.account.url().to_string();
        if registered.state.status != AccountStatus::Valid {
            let status = match registered.state.status {
                AccountStatus::Revoked => "revoked by the CA",
                AccountStatus::Deactivated | AccountStatus::Valid => "deactivated",
            };
            return Err(Error::new(ErrorKind::Denied, "newAccount", format!("account {url} of {}", self.subject()))
                .said(format!("the account is {status}"))
                .with_hint(
                    "an account does not come back; give the issuer another name in the config to start a new one",
                ));
        }
        self.refresh_contact(&registered).await;
        self.keep(registered.account);
        Ok(Account { url })
    }

    pub(super) fn describe(&self, key: &Secret<String>) -> Result<String, Error> {
        let key = self.read_account_key(key)?;
        let kind = match key.key_type() {
            AccountKeyType::EcdsaP256 => "ecdsa-p256",
            AccountKeyType::EcdsaP384 => "ecdsa-p384",
            AccountKeyType::Rsa2048 => "rsa-2048",
            AccountKeyType::Rsa3072 => "rsa-3072",
            AccountKeyType::Rsa4096 => "rsa-4096",
            _ => "another kind",
        };
        Ok(format!("{kind}, thumbprint {}", key.thumbprint()))
    }

    pub(super) async fn change_key(&self, new: &Secret<String>) -> Result<(), Error> {
        let new = self.read_account_key(new)?;
        let changed = self.account()?.change_key(new).await.map_err(|error| self.failed(&error))?;
        self.keep(changed);
        Ok(())
    }

    pub(super) async fn give_up(&self) -> Result<(), Error> {
        self.account()?.deactivate().await.map(drop).map_err(|error| self.failed(&error))
    }

    pub(super) async fn revoke_leaf(
        &self,
        chain: &Chain,
        key: Option<&Secret<String>>,
        reason: Option<RevocationReason>,
    ) -> Result<(), Error> {
        let reason = reason.map(|reason| match reason {
            RevocationReason::AffiliationChanged => certferry_acme::RevocationReason::AffiliationChanged,
            RevocationReason::CessationOfOperation => certferry_acme::RevocationReason::CessationOfOperation,
            RevocationReason::KeyCompromise => certferry_acme::RevocationReason::KeyCompromise,
            RevocationReason::Superseded => certferry_acme::RevocationReason::Superseded,
        });
        let revoked = match key {
            Some(key) => {
                let key = self.read_account_key(key)?;
                self.client.revoke_by_certificate_key(&key, chain.leaf_der(), reason).await
            }
            None => self.account()?.revoke(chain.leaf_der(), reason).await,
        };
        match revoked {
            Err(error) if error.problem_type() == Some(&ProblemType::AlreadyRevoked) => Ok(()),
            outcome => outcome.map_err(|error| self.failed(&error)),
        }
    }

    /// Safe to repeat: the same key always gives the same account.
    async fn register(&self, key: AccountKey) -> Result<RegisteredAccount, Error> {
        let new = NewAccount {
            contacts: self.config.contact.clone(),
            // Naming the issuer in the config is the agreement; docs/configuration.md says so.
            terms_of_service_agreed: true,
            external_account: self.config.external_account.clone(),
        };
        self.client.new_account(key, &new).await.map_err(|error| self.failed(&error))
    }

    async fn find(&self, key: AccountKey) -> Result<RegisteredAccount, Error> {
        let found = self.client.find_account(key).await.map_err(|error| self.failed(&error))?;
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "newAccount", self.subject())
                .said("the CA does not know the account whose key is in the state")
                .with_hint(
                    "no new account is made in its place by itself, because CAA records and rate limits may hang on \
                     the old one; give the issuer another name in the config to start a new one",
                )
        })
    }

    /// Tells the CA of a contact that changed in the config. Not worth failing for. A CA that keeps no contacts shows
    /// none, and is not told again each time.
    async fn refresh_contact(&self, registered: &RegisteredAccount) {
        let known = &registered.state.contact;
        let wanted: Vec<&str> = self.config.contact.iter().map(|contact| contact.as_str()).collect();
        if registered.is_new || known.is_empty() || wanted.is_empty() || wanted == *known {
            return;
        }
        if let Err(error) = registered.account.update_contact(&self.config.contact).await {
            tracing::warn!(issuer = %self.config.name, "the account's contact could not be changed: {error}");
        }
    }

    fn read_account_key(&self, key: &Secret<String>) -> Result<AccountKey, Error> {
        let unusable = || {
            Error::new(ErrorKind::Invalid, "account key", self.subject())
                .said("the account key in the state cannot be used")
        };
        let block = pem::parse(key.expose().as_bytes()).map_err(|_| unusable())?;
        let der = zeroize::Zeroizing::new(block.into_contents());
        AccountKey::from_pkcs8(&der).map_err(|error| unusable().with_source(error))
    }
}
