//! Certificates as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::file::Key;
use crate::config::spanned::Spanned;

/// One certificate: its names, and where it is served.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificate {
    /// DNS names and IP addresses, at least one. Wildcards (`*.some-domain.com`) need `dns01`. IP addresses need http-01, and at
    /// Let's Encrypt an issuer with `profile: shortlived`.
    pub names: Vec<Spanned<String>>,
    /// The issuer's name. Default: the only issuer there is.
    pub issuer: Option<Spanned<String>>,
    /// Who orders it, the first time and at each renewal: `certferry`, or `certbot`, which hands each version over by
    /// `certferry deploy-hook`. Then certferry delivers and verifies, and never orders; `issuer` and `http01` have no place.
    /// Default: `certferry`.
    pub renewed_by: Option<Spanned<RenewedBy>>,
    /// Key type: `ecdsa-p256`, `ecdsa-p384`, `rsa-2048`, `rsa-3072` or `rsa-4096`; or `{ on: controller, type: … }`, so that
    /// the Avi controller to which the certificate is deployed makes the key and never gives it away (renewals keep that
    /// key). Default: `ecdsa-p256`.
    pub key: Option<Spanned<Key>>,
    /// The load balancer through which the CA's http-01 requests come in. Default: those that the certificate is
    /// deployed to and that have `http01`.
    pub http01: Option<Spanned<String>>,
    /// The DNS provider that proves the names by dns-01, instead of http-01. A name and the wildcard below it may stand in one
    /// certificate. Default: http-01.
    pub dns01: Option<Spanned<String>>,
    /// Where it is served, at least one place.
    #[serde(default)]
    pub deploy: Vec<Spanned<Deploy>>,
}

/// Who orders a certificate.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RenewedBy {
    /// certbot, with `certferry deploy-hook` as its deploy hook.
    Certbot,
    /// certferry.
    Certferry,
}

/// One listener that is to serve the certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deploy {
    /// The load balancer's name in this file.
    pub load_balancer: Spanned<String>,
    /// The listener's name on the load balancer.
    pub listener: Spanned<String>,
    /// Addresses to connect to when what is served is verified. Default: the listener's own addresses.
    #[serde(default)]
    pub probe: Vec<Spanned<String>>,
    /// What to create when the listener is not there. An existing listener keeps every setting but its certificate.
    /// Default: it must be there.
    pub create: Option<Create>,
}

/// A listener to create (OCI).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Create {
    /// The port, 1 to 65535.
    pub port: Spanned<u64>,
    /// The backend set that requests go to; it must be there.
    pub backend_set: Spanned<String>,
    /// TLS versions: `TLSv1.2`, `TLSv1.3`. All listeners of one port must have the same. Default: OCI's, which is
    /// `TLSv1.2`.
    #[serde(default)]
    pub protocols: Vec<Spanned<String>>,
    /// The cipher suite's name. Default: OCI's, which has RSA ciphers and TLS 1.2 only.
    pub cipher_suite: Option<Spanned<String>>,
}
