//! What the config says about an issuer, parsed.

use certferry_core::{IssuerName, Secret};
use rustls_pki_types::CertificateDer;
use url::Url;

/// An ACME directory, and what is needed to have an account there.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Its name in the config.
    pub name: IssuerName,
    /// URL of the directory: https, or http on loopback.
    pub directory: Url,
    /// Contact URLs (`mailto:…`) of the account. May be empty.
    pub contact: Vec<String>,
    /// External account binding, for CAs that ask for one.
    pub external_account: Option<ExternalAccount>,
    /// Roots that the directory's HTTPS certificate is checked against; empty: the system's trust store.
    pub trusted_roots: Vec<CertificateDer<'static>>,
    /// The profile that certificates are ordered with; `None` is the CA's default.
    pub profile: Option<String>,
}

/// The credentials of an external account binding (RFC 8555 §7.3.4).
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    /// Key identifier.
    pub kid: String,
    /// HMAC key, decoded.
    pub hmac_key: Secret<Vec<u8>>,
}
