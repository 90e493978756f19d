//! What the config says about an issuer, parsed.

use std::time::Duration;

use certferry_acme::{AccountKeyType, Contact, ExternalAccountBinding};
use certferry_core::IssuerName;
use rustls_pki_types::CertificateDer;
use url::Url;

/// An ACME directory, and what is needed to have an account there.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Its name in the config.
    pub name: IssuerName,
    /// URL of the directory: https, or http on loopback.
    pub directory: Url,
    /// Contacts of the account. May be empty.
    pub contact: Vec<Contact>,
    /// External account binding, for CAs that ask for one.
    pub external_account: Option<ExternalAccountBinding>,
    /// Roots that the directory's HTTPS certificate may chain to beside the system's trust store.
    pub trusted_roots: Vec<CertificateDer<'static>>,
    /// The profile that certificates are ordered with; `None` is the CA's default.
    pub profile: Option<String>,
    /// What to do where the CA does not offer that profile.
    pub without_profile: WithoutProfile,
    /// Which of the chains that the CA offers: the one whose root has this common name, or whose last certificate has. The
    /// CA's default where none has.
    pub preferred_chain: Option<String>,
    /// What kind of key a new account gets.
    pub account_key: AccountKeyType,
    /// Time limits.
    pub limits: Limits,
}

/// Time limits. The defaults suit real CAs; tests make them small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection to be made.
    pub connect: Duration,
    /// For one exchange.
    pub request: Duration,
    /// For one call with all its repetitions. A longer Retry-After is handed to the caller at once.
    pub retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), request: Duration::from_secs(30), retry: Duration::from_secs(10) }
    }
}

/// What to do where the CA does not offer the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutProfile {
    /// Order without one: the CA's default then decides.
    OrderAnyway,
    /// Order nothing.
    #[default]
    Refuse,
}
