//! A tenant of an Avi controller as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spanned::{SecretReference, Spanned};

/// A tenant of an Avi controller (VMware Avi Load Balancer, NSX Advanced Load Balancer). A `listener` of a deployment is
/// the name of a virtual service, or a host name that leads to exactly one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Avi {
    /// URL of the controller, or of its cluster.
    pub controller: Spanned<String>,
    /// The user to log in as. `certferry policy` prints the role that it needs.
    pub username: Spanned<String>,
    /// Its password, as `env:NAME` or `file:PATH`; never the password itself. Either this or `token`.
    pub password: Option<Spanned<SecretReference>>,
    /// An authentication token of that user ("Generate Token" on the controller), as `env:NAME` or `file:PATH`.
    pub token: Option<Spanned<SecretReference>>,
    /// The tenant. Default: `admin`.
    pub tenant: Option<Spanned<String>>,
    /// PEM file with the root certificates that the controller's HTTPS certificate is checked against, relative to this
    /// file. Default: the system's trust store.
    pub trusted_roots: Option<Spanned<String>>,
    /// How the CA's http-01 requests are answered on this load balancer; `{}` for the defaults. Default: they are not.
    pub http01: Option<AviHttp01>,
    /// Lets the controller order certificates of its own accord, by a control script that passes its CSRs on to
    /// `certferry daemon`. Default: it cannot.
    pub control_script: Option<Spanned<ControlScript>>,
}

/// How the CA's http-01 requests are answered on an Avi load balancer: by its virtual services themselves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AviHttp01 {
    /// What to do when nothing listens on port 80 of the virtual service's address: `sibling` (make a virtual service
    /// of its own), `add-service` (add port 80 to the virtual service) or `require` (make nothing, it is an error).
    /// Default: `sibling`.
    pub port_80: Option<Spanned<Port80>>,
    /// Leave what was made for port 80 in place, empty of tokens. Default: `false`.
    pub keep: Option<bool>,
    /// Virtual services that answer for names which no deployment names and which lead to none by themselves (as a virtual
    /// host, an FQDN, or by the address that they resolve to). Default: none.
    #[serde(default)]
    pub virtual_services: Vec<Spanned<String>>,
    /// Addresses from which the self-check fetches the challenge response. Default: the virtual service's own
    /// addresses, port 80.
    #[serde(default)]
    pub probe: Vec<Spanned<String>>,
    /// How long a challenge response may take until it comes back; the CA is asked only after it did. Default: `2m`.
    pub self_check_within: Option<Spanned<String>>,
}

/// What to do when nothing listens on port 80.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Port80 {
    /// Add port 80 to the virtual service.
    AddService,
    /// Make nothing: it is an error.
    Require,
    /// Make a virtual service of its own.
    Sibling,
}

/// What the control script of this controller may ask for. It needs `api` and `http01`;
/// `certferry avi install-control-script` sets the controller up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ControlScript {
    /// The token that the script shows, as `env:NAME` or `file:PATH`: at least 32 characters, for this load balancer only
    /// (`openssl rand -hex 32` makes one).
    pub token: Spanned<SecretReference>,
    /// The issuer's name. Default: the only issuer there is.
    pub issuer: Option<Spanned<String>>,
    /// Names that the controller may order certificates for; `*.some-domain.com` stands for every name one level below.
    /// Default: every name that leads to a virtual service of the tenant.
    #[serde(default)]
    pub names: Vec<Spanned<String>>,
}
