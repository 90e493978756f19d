//! What the config says about an issuer, parsed.

use certferry_acme::{Contact, ExternalAccountBinding};
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
}
