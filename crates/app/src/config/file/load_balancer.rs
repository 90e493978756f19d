//! Load balancers as written: one key per provider, so that the position of an error is exact.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::file::{Avi, OciAuth};
use crate::config::spanned::Spanned;

/// One load balancer: exactly one provider's key, and what every kind of load balancer has.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadBalancer {
    /// An OCI Load Balancer.
    pub oci: Option<Spanned<Oci>>,
    /// A tenant of an Avi controller.
    pub avi: Option<Spanned<Avi>>,
    /// How long a new certificate may take, once it is bound, until every address of the listener serves it. Then the
    /// old one is put back. Default: `2m`; `15m` with `hold: certificates-service`, where the load balancer fetches a new
    /// version by itself.
    pub verify_within: Option<Spanned<String>>,
    /// How long one call to its API is repeated that fails for a reason that may pass (no answer, 429, 5xx), before the run
    /// goes on without this load balancer; the next run tries again. Default: `5m`.
    pub retry_within: Option<Spanned<String>>,
}

/// An OCI Load Balancer. (A Network Load Balancer does not terminate TLS and cannot be used.)
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Oci {
    /// Its OCID, `ocid1.loadbalancer.…`.
    pub load_balancer_id: Spanned<String>,
    /// How to sign API requests. Default: the API key of profile `DEFAULT` in `~/.oci/config`.
    pub auth: Option<Spanned<OciAuth>>,
    /// Base URL to use instead of the region's own, for every OCI service that is used. Default: by the OCID's region.
    pub endpoint: Option<Spanned<String>>,
    /// What holds the certificates: `load-balancer` (a bundle for each version, among those of the load balancer) or
    /// `certificates-service` (OCI's Certificates service: the listener is bound once, and serves whatever version is current
    /// there). Default: `load-balancer`.
    pub hold: Option<Spanned<String>>,
    /// With `hold: certificates-service`, the OCID of the compartment for the certificates. Default: the load balancer's own.
    pub compartment: Option<Spanned<String>>,
    /// How the CA's http-01 requests reach the responder through this load balancer. Default: they do not.
    pub http01: Option<OciHttp01>,
}

/// How the CA's http-01 requests reach the responder through an OCI load balancer. What is missing there is made, what
/// is there is joined; `certferry plan` shows it beforehand.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OciHttp01 {
    /// The HTTP listener on port 80; created when port 80 has none. Default: `http`.
    pub listener: Option<Spanned<String>>,
    /// The responder as the load balancer sees it: an IP address and port, because OCI backends have no host names.
    pub responder: Spanned<String>,
    /// The backend set that holds the responder; created when it is not there. Default: `certferry-acme`.
    pub backend_set: Option<Spanned<String>>,
    /// How the load balancer finds out whether the responder lives: `tcp` (a connection to its port), `tcp/22` (to
    /// another port of that machine, for a responder that only runs during `certferry apply`) or `http`. Default:
    /// `tcp`.
    pub health_check: Option<Spanned<String>>,
    /// Addresses from which the self-check fetches the challenge response. An address with another port than 80 stands
    /// for port 80; redirects to https cannot be followed through it. Default: the load balancer's own addresses, port
    /// 80.
    #[serde(default)]
    pub probe: Vec<Spanned<String>>,
    /// How long a challenge response may take until it comes back through the load balancer; the CA is asked only
    /// after it did. Default: `2m`.
    pub self_check_within: Option<Spanned<String>>,
}
