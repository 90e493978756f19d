//! Issuers as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spanned::{SecretReference, Spanned};

/// A certification authority, and the account that is used with it. The account's key is made on first use and kept in
/// the state.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Issuer {
    /// `letsencrypt`, `letsencrypt-staging`, or the https URL of an ACME directory (RFC 8555 §7.1.1). Plain http is
    /// accepted on loopback addresses only.
    pub directory: Spanned<String>,
    /// Mail addresses that the CA may write to. Default: none; the account has no contact then.
    #[serde(default)]
    pub contact: Vec<Spanned<String>>,
    /// PEM file with root certificates that are trusted for the directory's HTTPS beside the system's, relative to this file:
    /// for a private CA. Default: the system's trust store alone.
    pub trusted_roots: Option<Spanned<String>>,
    /// External account binding (RFC 8555 §7.3.4), for CAs that ask for one. Used once, when the account is made.
    /// Default: none.
    pub eab: Option<ExternalAccount>,
    /// The profile to order with: `classic`, `tlsserver`, `shortlived` … as the CA names them. Default: the CA's own
    /// default.
    pub profile: Option<Spanned<String>>,
}

/// The credentials of an external account binding, from the CA's web site.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExternalAccount {
    /// The key identifier.
    pub kid: Spanned<String>,
    /// The HMAC key in base64url, as `env:NAME` or `file:PATH`; never the key itself.
    pub hmac_key: Spanned<SecretReference>,
}
