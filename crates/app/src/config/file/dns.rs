//! DNS providers as written: one key per provider, as with load balancers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::file::OciAuth;
use crate::config::spanned::{SecretReference, Spanned};

/// Whoever writes the TXT records of dns-01: exactly one provider's key, and what every kind of provider has.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dns {
    /// A primary name server that takes dynamic updates (RFC 2136): BIND, Knot, PowerDNS …
    pub rfc2136: Option<Spanned<Rfc2136>>,
    /// OCI DNS.
    pub oci: Option<Spanned<OciDns>>,
    /// An acme-dns server, to which the real zone's `_acme-challenge` names are CNAMEs.
    pub acme_dns: Option<Spanned<AcmeDns>>,
    /// A program of your own.
    pub exec: Option<Spanned<Exec>>,
    /// How long a value may take until every authoritative server of the zone gives it; the CA is asked only after they
    /// do. Default: `2m`.
    pub propagate_within: Option<Spanned<String>>,
    /// The servers that must give the value, as `IP:port`. Default: every server that the zone's NS records name.
    #[serde(default)]
    pub servers: Vec<Spanned<String>>,
}

/// A primary name server that takes dynamic updates, signed with TSIG (RFC 8945).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rfc2136 {
    /// The zone's primary, `IP:port`. Updates go over TCP.
    pub server: Spanned<String>,
    /// The key that updates are signed with.
    pub tsig: Tsig,
}

/// A TSIG key, as `tsig-keygen` makes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tsig {
    /// The key's name, as in the server's config.
    pub name: Spanned<String>,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`. Default: `hmac-sha256`.
    pub algorithm: Option<Spanned<String>>,
    /// The key in base64, as `env:NAME` or `file:PATH`; never the key itself.
    pub secret: Spanned<SecretReference>,
}

/// OCI DNS. The zone is the one with the longest name that the record's name ends in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OciDns {
    /// How to sign API requests. Default: the API key of profile `DEFAULT` in `~/.oci/config`.
    pub auth: Option<Spanned<OciAuth>>,
    /// Base URL to use instead of the region's own. Default: the DNS service of the profile's or the instance's region.
    pub endpoint: Option<Spanned<String>>,
    /// The OCID of the compartment in which the zone is looked for. Default: wherever it may be read.
    pub compartment: Option<Spanned<String>>,
    /// The OCID of the view whose private zones are meant, for a CA that can see them. Default: public zones.
    pub view: Option<Spanned<String>>,
}

/// An acme-dns server (<https://github.com/joohoi/acme-dns>). It keeps two values of an account and removes none, so each
/// domain needs an account of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AcmeDns {
    /// The URL of its API.
    pub server: Spanned<String>,
    /// PEM file with root certificates that are trusted for the API instead of the system's, relative to this file.
    pub trusted_roots: Option<Spanned<String>>,
    /// JSON file with the accounts, relative to this file, readable by its owner only: for each domain what
    /// `POST /register` answered, as lego and cert-manager keep it.
    pub accounts: Spanned<String>,
}

/// A program that writes the TXT record. It is started with `present` or `withdraw` as last argument and the record in the
/// environment variables `CERTFERRY_DNS_NAME` and `CERTFERRY_DNS_VALUE`. Both must be fine to do twice; `present` keeps
/// other values of the same name, and `withdraw` removes this one only.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exec {
    /// The program and its arguments. No shell is in between.
    pub command: Spanned<Vec<Spanned<String>>>,
    /// How long it may run. Default: `1m`.
    pub timeout: Option<Spanned<String>>,
}
