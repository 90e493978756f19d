//! Revocation (RFC 8555 §7.6), by the account that ordered the certificate, or by the certificate's own key.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::account::{Account, to_payload};
use crate::account_key::AccountKey;
use crate::client::Client;
use crate::directory::offered;
use crate::error::{Error, Operation};
use crate::exchange::{Post, Repeat};
use crate::transport::JSON_LIMIT;

impl Account {
    /// Revokes a certificate (DER) that this account ordered, or for all of whose names it holds authorizations.
    ///
    /// Doing it twice is answered by `alreadyRevoked`; so it is repeated like a read.
    pub async fn revoke(&self, certificate: &[u8], reason: Option<RevocationReason>) -> Result<(), Error> {
        let directory = self.client().directory().await?;
        let url = offered("revokeCert", directory.revoke_cert.as_ref(), Operation::RevokeCert)?;
        let payload = to_payload(Operation::RevokeCert, &Revocation::new(certificate, reason))?;
        let post = Post { payload, ..self.read(Operation::RevokeCert, url) };
        self.client().post(post).await.map(drop)
    }
}

impl Client {
    /// Revokes a certificate (DER) by its own key, whoever ordered it.
    pub async fn revoke_by_certificate_key(
        &self,
        key: &AccountKey,
        certificate: &[u8],
        reason: Option<RevocationReason>,
    ) -> Result<(), Error> {
        let directory = self.directory().await?;
        let url = offered("revokeCert", directory.revoke_cert.as_ref(), Operation::RevokeCert)?;
        let post = Post {
            operation: Operation::RevokeCert,
            url,
            key,
            account_url: None,
            payload: to_payload(Operation::RevokeCert, &Revocation::new(certificate, reason))?,
            accept: "application/json",
            limit: JSON_LIMIT,
            repeat: Repeat::Always,
        };
        self.post(post).await.map(drop)
    }
}

/// Why a certificate is revoked: those of RFC 5280 §5.3.1 that a subscriber may give (Baseline Requirements §7.2.2).
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
    /// No reason.
    Unspecified,
}

impl RevocationReason {
    /// All, as messages list them.
    pub const ALL: [Self; 5] = [
        Self::AffiliationChanged,
        Self::CessationOfOperation,
        Self::KeyCompromise,
        Self::Superseded,
        Self::Unspecified,
    ];

    /// The word, as in RFC 5280 with hyphens: `key-compromise`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AffiliationChanged => "affiliation-changed",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::KeyCompromise => "key-compromise",
            Self::Superseded => "superseded",
            Self::Unspecified => "unspecified",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

/// A word that is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reasons are affiliation-changed, cessation-of-operation, key-compromise, superseded and unspecified")]
pub struct UnknownReason;

#[derive(Serialize)]
struct Revocation {
    certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u8>,
}

impl Revocation {
    fn new(certificate: &[u8], reason: Option<RevocationReason>) -> Self {
        Self { certificate: URL_SAFE_NO_PAD.encode(certificate), reason: reason.map(RevocationReason::code) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_back_and_have_the_codes_of_rfc_5280() {
        for (reason, code) in RevocationReason::ALL.into_iter().zip([3, 5, 1, 4, 0]) {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert_eq!(reason.code(), code);
        }
        assert_eq!("certificate-hold".parse::<RevocationReason>(), Err(UnknownReason));
    }
}
