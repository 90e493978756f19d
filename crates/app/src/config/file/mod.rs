//! The config as written: one struct per block, one field per key. The doc comments are the reference manual: they
//! become the schema's descriptions and docs/configuration.md.

mod api;
mod avi;
mod certificate;
mod dns;
mod issuer;
mod key;
mod load_balancer;
mod oci_auth;

use schemars::JsonSchema;
use serde::Deserialize;

pub use api::Api;
pub use avi::{Avi, AviHttp01, ControlScript, Port80};
pub use certificate::{Certificate, Create, Deploy, RenewedBy};
pub use dns::{AcmeDns, Dns, Exec, OciDns, Rfc2136, Tsig};
pub use issuer::{ExternalAccount, Issuer, MacAlgorithm, Profile, ProfileWish};
pub use key::{Key, KeyPlace};
pub use load_balancer::{LoadBalancer, Oci, OciHttp01};
pub use oci_auth::{ApiKey, OciAuth, SessionToken};

use super::spanned::{Entries, Spanned};

/// The whole file. Unknown keys are errors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "certferry.yaml")]
pub struct File {
    /// What certferry remembers across runs, and where. Default: the defaults of its keys.
    pub state: Option<State>,
    /// The server that answers the CA's http-01 requests. Default: the defaults of its keys.
    pub responder: Option<Responder>,
    /// The HTTPS API of `certferry daemon`, which control scripts call. Default: there is none.
    pub api: Option<Api>,
    /// The days before a certificate's end at which certferry warns, in log, history and status. For lifetimes that are
    /// shorter than twice the largest, they become the same shares of the lifetime as of 90 days. Default: those of the
    /// load balancer where it has such a setting (Avi: `ssl_certificate_expiry_warning_days`), else `[30, 7, 1]`.
    #[serde(default)]
    pub warning_days: Vec<Spanned<u64>>,
    /// Certification authorities, each under a name of your choice. Using one means that you agree to its terms of
    /// service.
    #[serde(default)]
    pub issuers: Entries<Issuer>,
    /// Load balancers, each under a name of your choice.
    #[serde(default)]
    pub load_balancers: Entries<LoadBalancer>,
    /// DNS providers for dns-01, and for address records on request (`certferry dns point`: `oci` and `rfc2136`), each under a
    /// name of your choice. Default: none; names are validated by http-01.
    #[serde(default)]
    pub dns: Entries<Dns>,
    /// Recursive name servers, `IP:port`, that dns-01 looks up aliases and zones with, and that `check --online` asks about
    /// names. Default: the one that the environment variable `CERTFERRY_RESOLVER` names, else those of `/etc/resolv.conf`.
    #[serde(default)]
    pub resolvers: Vec<Spanned<String>>,
    /// Certificates, each under a name of your choice. The name is the certificate's identity: rename it, and certferry
    /// takes it for another certificate. An empty map is allowed.
    // With a function of its own, serde takes no absent key for an empty one.
    #[serde(deserialize_with = "Entries::deserialize")]
    pub certificates: Entries<Certificate>,
}

/// What certferry remembers across runs: keys, versions, deployments, history.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct State {
    /// `sqlite:PATH`, the path relative to this file. Default: `sqlite:certferry.db`.
    pub url: Option<Spanned<String>>,
    /// The key that encrypts private keys in the state, relative to this file. Made with mode 0600 when it is not
    /// there; refused when others can read it. Keep a copy in another place: without it the state cannot be read.
    /// Default: `certferry.key`.
    pub key_file: Option<Spanned<String>>,
}

/// The server that answers `/.well-known/acme-challenge/` while a challenge is open, and 404 to everything else.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Responder {
    /// Address and port to listen on. Default: `0.0.0.0:8080`.
    pub listen: Option<Spanned<String>>,
}
