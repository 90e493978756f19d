//! A certification authority, as the engine needs it: RFC 8555's resources, read and written one call at a time. Nothing
//! here polls or sleeps; every answer says when to come back.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::chain::{Chain, Sha256};
use crate::error::Error;
use crate::identifier::Identifier;
use crate::renewal::RenewalWindow;
use crate::secret::Secret;

/// One issuer: an ACME directory plus the account used with it.
#[async_trait]
pub trait CertificateAuthority: Send + Sync {
    /// The directory's URL: an account belongs to it.
    fn directory_url(&self) -> &str;

    /// Reads the directory (RFC 8555 §7.1.1): whether the CA answers, and offers `profile` where one is wanted. Changes
    /// nothing and needs no account.
    ///
    /// # Errors
    /// The CA does not answer, or [`NotOffered`](crate::ErrorKind::NotOffered), naming the profiles that it has.
    async fn check(&self, profile: Option<&str>) -> Result<(), Error>;

    /// Reads the directory anew, for what the CA says about itself. Changes nothing and needs no account.
    ///
    /// # Errors
    /// The CA does not answer.
    async fn about(&self) -> Result<AboutAuthority, Error> {
        Ok(AboutAuthority::default())
    }

    /// Makes a new account key (PKCS#8 PEM), which the caller stores before it is used.
    ///
    /// # Errors
    /// No randomness.
    fn new_account_key(&self) -> Result<Secret<String>, Error>;

    /// Finds the key's account, or creates it with the configured contact and EAB (RFC 8555 §7.3). Later calls use it.
    ///
    /// # Errors
    /// The CA cannot be reached or refuses. With `create` off, an account that the CA does not know is
    /// [`NotFound`](crate::ErrorKind::NotFound).
    async fn open_account(&self, key: &Secret<String>, create: bool) -> Result<Account, Error>;

    /// What kind of key an account has and its thumbprint (RFC 7638), for people. Asks nobody.
    ///
    /// # Errors
    /// A key that cannot be read.
    fn describe_account_key(&self, key: &Secret<String>) -> Result<String, Error>;

    /// Makes `new` the key of the account that is open (RFC 8555 §7.3.5). Later calls use it.
    ///
    /// # Errors
    /// The CA refuses or does not answer; on [`EffectUnknown`](crate::ErrorKind::EffectUnknown), and on
    /// [`Conflict`](crate::ErrorKind::Conflict), `open_account` with the new key tells whose it is.
    async fn change_account_key(&self, new: &Secret<String>) -> Result<(), Error>;

    /// Gives the account that is open up, for good (RFC 8555 §7.3.6).
    ///
    /// # Errors
    /// The CA refuses or does not answer.
    async fn deactivate_account(&self) -> Result<(), Error>;

    /// Revokes the chain's leaf (RFC 8555 §7.6): by the account that is open, or by the leaf's own key (PKCS#8 PEM) where one
    /// is given. Revoked already is success.
    ///
    /// # Errors
    /// The CA refuses or does not answer.
    async fn revoke(
        &self,
        chain: &Chain,
        key: Option<&Secret<String>>,
        reason: Option<RevocationReason>,
    ) -> Result<(), Error>;

    /// newOrder (RFC 8555 §7.4). When the CA refuses `replaces`, the order is asked for once more without it, and the
    /// answer's `replaces` is false.
    ///
    /// # Errors
    /// The CA refuses or does not answer; [`EffectUnknown`](crate::ErrorKind::EffectUnknown) when it may have made one.
    async fn new_order(&self, request: &OrderRequest) -> Result<Order, Error>;

    /// The order as it stands.
    ///
    /// # Errors
    /// The CA refuses or does not answer; `NotFound` when the order is gone.
    async fn order(&self, url: &str) -> Result<Order, Error>;

    /// An authorization as it stands, with its http-01 and dns-01 challenges.
    ///
    /// # Errors
    /// The CA refuses or does not answer.
    async fn authorization(&self, url: &str) -> Result<Authorization, Error>;

    /// Tells the CA that the response to the challenge at `url` is in place (RFC 8555 §7.5.1).
    ///
    /// # Errors
    /// The CA refuses or does not answer.
    async fn answer(&self, url: &str) -> Result<(), Error>;

    /// Finalizes an order that is ready (RFC 8555 §7.4), with a CSR in DER.
    ///
    /// # Errors
    /// The CA refuses or does not answer; on `EffectUnknown` read the order again.
    async fn finalize(&self, order: &Order, csr: &[u8]) -> Result<Order, Error>;

    /// Downloads the chain of a valid order.
    ///
    /// # Errors
    /// The CA refuses or does not answer, or what it sends is no chain.
    async fn certificate(&self, url: &str) -> Result<Chain, Error>;

    /// When the CA wants a certificate renewed (RFC 9773). `None` when it offers no ARI.
    ///
    /// # Errors
    /// The CA refuses, does not answer, or answers with a window that ends before it starts.
    async fn renewal_window(&self, chain: &Chain) -> Result<Option<RenewalWindow>, Error>;
}

/// Why a certificate is revoked: those of RFC 5280 §5.3.1 that a subscriber may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReason {
    /// The name's holder is another now.
    AffiliationChanged,
    /// The site is given up.
    CessationOfOperation,
    /// Somebody else has, or may have, the private key.
    KeyCompromise,
    /// A new certificate has taken its place.
    Superseded,
}

/// An account that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's URL, which is its key id.
    pub url: String,
}

/// What is ordered.
#[derive(Clone, Debug)]
pub struct OrderRequest {
    /// The names.
    pub names: Vec<Identifier>,
    /// The profile, where not the CA's default.
    pub profile: Option<String>,
    /// The chain that the new certificate replaces (RFC 9773 §5), where the same account ordered it.
    pub replaces: Option<Chain>,
}

/// An order (RFC 8555 §7.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its URL.
    pub url: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// URLs of its authorizations.
    pub authorizations: Vec<String>,
    /// URL to finalize at.
    pub finalize: String,
    /// URL of the certificate, once valid.
    pub certificate: Option<String>,
    /// What went wrong, in the CA's words, when invalid.
    pub error: Option<String>,
    /// Whether the CA noted which certificate it replaces.
    pub replaces: bool,
    /// When the CA gives it up if it is not finalized by then; `None` when it does not say.
    pub expires: Option<Timestamp>,
    /// How long to wait before reading it again.
    pub retry_after: Option<Duration>,
}

impl Order {
    /// Whether nothing can come of it any more, whatever its status still says (RFC 8555 §7.1.3, `expires`). What was
    /// finalized in time is still to be had.
    pub fn is_dead(&self, now: Timestamp) -> bool {
        let open = matches!(self.status, OrderStatus::Pending | OrderStatus::Ready);
        self.status == OrderStatus::Invalid || (open && self.expires.is_some_and(|end| end <= now))
    }
}

/// Where an order stands (RFC 8555 §7.1.6), in the order in which it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Authorizations are open.
    Pending,
    /// To be finalized.
    Ready,
    /// Being issued.
    Processing,
    /// Issued.
    Valid,
    /// Failed or expired.
    Invalid,
}

/// An authorization (RFC 8555 §7.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Its URL.
    pub url: String,
    /// The name that is authorized.
    pub name: Identifier,
    /// Where it stands.
    pub status: AuthorizationStatus,
    /// Its http-01 challenge; `None` when the CA offers none.
    pub http01: Option<Http01Challenge>,
    /// Its dns-01 challenge; `None` when the CA offers none.
    pub dns01: Option<Dns01Challenge>,
    /// What the CA saw, in its words, when invalid.
    pub error: Option<String>,
    /// When a challenge can be answered no more, or the validation is good no more; `None` when the CA does not say.
    pub expires: Option<Timestamp>,
    /// How long to wait before reading it again.
    pub retry_after: Option<Duration>,
}

/// Where an authorization stands (RFC 8555 §7.1.6), in the order in which it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationStatus {
    /// A challenge is to be answered.
    Pending,
    /// Validated.
    Valid,
    /// Failed, deactivated, expired or revoked.
    Invalid,
}

/// An http-01 challenge (RFC 8555 §8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http01Challenge {
    /// URL to answer at.
    pub url: String,
    /// The token: base64url characters only, checked.
    pub token: String,
    /// The key authorization, which the responder serves.
    pub key_authorization: String,
    /// Whether the CA has not been told yet.
    pub untouched: bool,
}

/// What a CA says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AboutAuthority {
    /// The names by which CAA records allow it (RFC 8555 §7.1.1, `caaIdentities`); empty when it does not say.
    pub caa_identities: Vec<String>,
    /// The time on its clock, to the second, when it answered; `None` when it does not say.
    pub time: Option<Timestamp>,
}

/// A dns-01 challenge (RFC 8555 §8.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns01Challenge {
    /// URL to answer at.
    pub url: String,
    /// The token: base64url characters only, checked.
    pub token: String,
    /// The key authorization, whose digest the TXT record holds.
    pub key_authorization: String,
    /// Whether the CA has not been told yet.
    pub untouched: bool,
}

impl Dns01Challenge {
    /// What the TXT record holds: the key authorization's SHA-256 in base64url, 43 characters.
    pub fn value(&self) -> String {
        dns01_value(&self.key_authorization)
    }
}

/// The TXT value for a key authorization (RFC 8555 §8.4).
pub fn dns01_value(key_authorization: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::of(key_authorization.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_the_digest_in_base64url_without_padding() {
        // printf '%s' 'token.thumbprint' | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(dns01_value("token.thumbprint"), "61rBZ_4knHblO0MNoxFsXZ_eTFUHum0B6IVRbhvUn5I");
    }
}
