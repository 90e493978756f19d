//! One issuer: the port that the engine drives, call by call.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use certferry_acme::{Account as AcmeAccount, CertificateId, Client, ResourceUrl};
use certferry_core::port::{
    AboutAuthority, Account, Authorization, CertificateAuthority, Order, OrderRequest, RevocationReason,
};
use certferry_core::renewal::{LATEST_FETCH, RenewalWindow};
use certferry_core::{Chain, Clock, Error, ErrorKind, Secret};
use jiff::SignedDuration;

use super::config::{IssuerConfig, WithoutProfile};
use super::convert;

/// An ACME CA with the account used there.
pub struct AcmeIssuer {
    pub(super) config: IssuerConfig,
    pub(super) client: Client,
    clock: Arc<dyn Clock>,
    account: RwLock<Option<AcmeAccount>>,
}

impl AcmeIssuer {
    /// Prepares to talk to the CA; sends nothing. `user_agent` is `product/version` with anything after it
    /// (RFC 8555 §6.1); `clock` is for answers that name a time of day.
    ///
    /// # Errors
    /// A trusted root, the directory's URL or the user agent cannot be used.
    pub fn new(config: IssuerConfig, user_agent: &str, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let now = Arc::clone(&clock);
        let client = Client::builder(config.directory.as_str())
            .user_agent(user_agent)
            .trusted_roots(config.trusted_roots.iter().cloned())
            .connect_timeout(config.limits.connect)
            .request_timeout(config.limits.request)
            .retry_budget(config.limits.retry)
            .clock(move || now.now())
            // Processes on several machines should not knock in step.
            .jitter_seed(u64::from(std::process::id()))
            .build();
        let issuer = format!("issuer `{}`", config.name);
        let client = client.map_err(|error| {
            Error::new(ErrorKind::Invalid, "ACME client", issuer).said(error.to_string()).with_source(error)
        })?;
        Ok(Self { config, client, clock, account: RwLock::default() })
    }

    /// `issuer `name` (directory)`, for errors.
    pub(super) fn subject(&self) -> String {
        format!("issuer `{}` ({})", self.config.name, self.config.directory)
    }

    /// The account that was opened.
    pub(super) fn account(&self) -> Result<AcmeAccount, Error> {
        // Nothing panics while it holds the lock, and the value is whole at any time.
        let account = self.account.read().unwrap_or_else(PoisonError::into_inner).clone();
        account
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "account", self.subject()).said("it was not opened yet"))
    }

    pub(super) fn keep(&self, account: AcmeAccount) {
        *self.account.write().unwrap_or_else(PoisonError::into_inner) = Some(account);
    }

    pub(super) fn url(&self, operation: &str, text: &str) -> Result<ResourceUrl, Error> {
        text.parse().map_err(|error: certferry_acme::InvalidUrl| {
            Error::new(ErrorKind::Unexpected, operation, self.subject()).said(error.to_string())
        })
    }
}

#[async_trait]
impl CertificateAuthority for AcmeIssuer {
    fn directory_url(&self) -> &str {
        self.client.directory_url().as_str()
    }

    async fn check(&self, profile: Option<&str>) -> Result<(), Error> {
        let directory = self.client.directory().await.map_err(|error| self.failed(&error))?;
        match profile {
            Some(profile)
                if !directory.meta.profiles.contains_key(profile)
                    && self.config.without_profile == WithoutProfile::Refuse =>
            {
                Err(self.no_such_profile(profile, &directory.meta.profiles))
            }
            _ => Ok(()),
        }
    }

    async fn about(&self) -> Result<AboutAuthority, Error> {
        let (directory, time) = self.client.read_directory().await.map_err(|error| self.failed(&error))?;
        Ok(AboutAuthority { caa_identities: directory.meta.caa_identities, time })
    }

    fn new_account_key(&self) -> Result<Secret<String>, Error> {
        self.make_account_key()
    }

    async fn open_account(&self, key: &Secret<String>, create: bool) -> Result<Account, Error> {
        self.open(key, create).await
    }

    fn describe_account_key(&self, key: &Secret<String>) -> Result<String, Error> {
        self.describe(key)
    }

    async fn change_account_key(&self, new: &Secret<String>) -> Result<(), Error> {
        self.change_key(new).await
    }

    async fn deactivate_account(&self) -> Result<(), Error> {
        self.give_up().await
    }

    async fn revoke(
        &self,
        chain: &Chain,
        key: Option<&Secret<String>>,
        reason: Option<RevocationReason>,
    ) -> Result<(), Error> {
        self.revoke_leaf(chain, key, reason).await
    }

    async fn new_order(&self, request: &OrderRequest) -> Result<Order, Error> {
        self.order_new(request).await
    }

    async fn order(&self, url: &str) -> Result<Order, Error> {
        let url = self.url("order", url)?;
        let order = self.account()?.order(&url).await.map_err(|error| self.failed(&error))?;
        Ok(convert::order(url.as_str(), order))
    }

    async fn authorization(&self, url: &str) -> Result<Authorization, Error> {
        let account = self.account()?;
        let url = self.url("authorization", url)?;
        let authorization = account.authorization(&url).await.map_err(|error| self.failed(&error))?;
        convert::authorization(&url, authorization, account.key()).map_err(|said| {
            Error::new(ErrorKind::Unexpected, "authorization", format!("authorization {url}")).said(said)
        })
    }

    async fn answer(&self, url: &str) -> Result<(), Error> {
        let url = self.url("challenge", url)?;
        self.account()?.respond(&url).await.map(|_| ()).map_err(|error| self.failed(&error))
    }

    async fn finalize(&self, order: &Order, csr: &[u8]) -> Result<Order, Error> {
        let url = self.url("finalize", &order.finalize)?;
        let finalized = self.account()?.finalize(&url, csr).await.map_err(|error| self.failed(&error))?;
        Ok(convert::order(&order.url, finalized))
    }

    async fn certificate(&self, url: &str) -> Result<Chain, Error> {
        self.chain(&self.url("certificate", url)?).await
    }

    async fn renewal_window(&self, chain: &Chain) -> Result<Option<RenewalWindow>, Error> {
        // Without the identifier of the authority's key there is no way to ask (RFC 9773 §4.1).
        let Ok(certificate) = CertificateId::from_der(chain.leaf_der()) else { return Ok(None) };
        let info = match self.client.renewal_info(&certificate).await {
            Ok(info) => info,
            Err(error) if error.is_not_offered() => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let asked = info.retry_after.map_or(USUAL_FETCH, |wait| SignedDuration::try_from(wait).unwrap_or(LATEST_FETCH));
        Ok(Some(RenewalWindow {
            start: info.value.start,
            end: info.value.end,
            explanation_url: info.value.explanation.map(String::from),
            next_fetch: self.clock.now() + asked.clamp(SOONEST_FETCH, LATEST_FETCH),
        }))
    }
}

impl fmt::Debug for AcmeIssuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AcmeIssuer({})", self.subject())
    }
}

/// RFC 9773 §4.3.2: after the Retry-After, as soon as one can, within limits of one's own; six hours where there is
/// none.
const USUAL_FETCH: SignedDuration = SignedDuration::from_hours(6);
const SOONEST_FETCH: SignedDuration = SignedDuration::from_mins(1);
