//! What the config says about an OCI load balancer, parsed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use certferry_core::ListenerName;

use super::auth::{Auth, CustomRegions};
use crate::http::{Backoff, BaseUrl};

/// One OCI load balancer.
#[derive(Clone, Debug)]
pub struct OciConfig {
    /// Its OCID.
    pub load_balancer_id: LoadBalancerId,
    /// How OCI is called.
    pub access: OciAccess,
    /// What holds its certificates.
    pub hold: Hold,
    /// How http-01 requests reach the responder, where this load balancer carries them.
    pub http01: Option<Http01Config>,
    /// Listeners to create when they are not there.
    pub create: BTreeMap<ListenerName, NewListener>,
}

/// How one of OCI's services is called.
#[derive(Clone, Debug)]
pub struct OciAccess {
    /// How to sign.
    pub auth: Auth,
    /// The service's address without the version path, where not the region's own.
    pub endpoint: Option<BaseUrl>,
    /// Regions that no table holds.
    pub custom_regions: CustomRegions,
    /// Time limits.
    pub limits: Limits,
}

impl OciAccess {
    /// At the region's own address, with the default time limits.
    pub fn signed_by(auth: Auth) -> Self {
        Self { auth, endpoint: None, custom_regions: CustomRegions::default(), limits: Limits::default() }
    }
}

/// What holds the certificates that a load balancer serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// The load balancer itself: a bundle for each version (`certificateName`).
    #[default]
    LoadBalancer,
    /// The Certificates service: a certificate whose current version the load balancer serves (`certificateIds`).
    CertificatesService {
        /// The OCID of the compartment that they are in, where it is not the load balancer's own.
        compartment: Option<String>,
    },
}

/// How http-01 requests reach the responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http01Config {
    /// The HTTP listener on port 80; created when port 80 has none.
    pub listener: ListenerName,
    /// The responder as the load balancer sees it. An address: OCI backends have no host names.
    pub responder: SocketAddr,
    /// The backend set that holds the responder.
    pub backend_set: String,
    /// How the load balancer finds out whether the responder lives.
    pub health_check: HealthCheck,
    /// Where to fetch challenge responses for the self-check; empty: the load balancer's addresses, port 80.
    pub probe: Vec<SocketAddr>,
}

/// The responder's health check, as the config writes it: `tcp`, `tcp/22` or `http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// An HTTP request to the responder. It answers 404 for a token that it does not know, which is what is expected.
    Http,
    /// A connection to the responder's port. For a responder that always listens.
    Tcp,
    /// A connection to another port of the same machine (`tcp/22`), for a responder that is mostly off.
    TcpPort(u16),
}

/// A listener to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewListener {
    /// Its port.
    pub port: u16,
    /// Its default backend set, which must be there.
    pub backend_set: String,
    /// TLS versions in OCI's words (`TLSv1.2`); empty: OCI's default.
    pub protocols: Vec<String>,
    /// Cipher suite; OCI's default suite has RSA ciphers only.
    pub cipher_suite: Option<String>,
}

/// Time limits. The defaults suit the real service; tests make them small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection to be made.
    pub connect: Duration,
    /// For one exchange.
    pub request: Duration,
    /// For one call with all its repetitions, and for one change with all its new starts.
    pub retry: Duration,
    /// For a work request to end.
    pub work_request: Duration,
    /// The first look at a work request comes after this; later ones take longer, up to 5 s.
    pub first_poll: Duration,
    /// Waits between repetitions.
    pub backoff: Backoff,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(60),
            retry: Duration::from_secs(5 * 60),
            work_request: Duration::from_secs(10 * 60),
            first_poll: Duration::from_millis(200),
            backoff: Backoff::default(),
        }
    }
}

/// The OCID of a load balancer: `ocid1.loadbalancer.<realm>.<region>.<unique>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancerId(String);

impl LoadBalancerId {
    /// The OCID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The realm, which decides the domain of the service's address.
    pub(super) fn realm(&self) -> &str {
        self.0.split('.').nth(2).unwrap_or_default()
    }

    /// The region as the OCID has it: an identifier (`eu-madrid-2`) or a code (`iad`).
    pub(super) fn region(&self) -> &str {
        self.0.split('.').nth(3).unwrap_or_default()
    }
}

impl FromStr for LoadBalancerId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse = |why| Err(ConfigError { what: "load balancer OCID", text: text.to_owned(), why });
        let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if text.starts_with("ocid1.networkloadbalancer.") {
            return refuse("a Network Load Balancer terminates no TLS; name a Load Balancer (ocid1.loadbalancer.…)");
        }
        let parts: Vec<&str> = text.split('.').collect();
        if !letters || !text.starts_with("ocid1.loadbalancer.") || parts.len() < 5 || parts[2].is_empty() {
            return refuse("expected ocid1.loadbalancer.<realm>.<region>.<unique>");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LoadBalancerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for HealthCheck {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.split_once('/') {
            None if text == "http" => return Ok(Self::Http),
            None if text == "tcp" => return Ok(Self::Tcp),
            Some(("tcp", port)) if !port.starts_with('+') => match port.parse() {
                Ok(port) if port > 0 => return Ok(Self::TcpPort(port)),
                _ => {}
            },
            _ => {}
        }
        Err(ConfigError { what: "health check", text: text.to_owned(), why: "write tcp, tcp/<port> or http" })
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => formatter.write_str("http"),
            Self::Tcp => formatter.write_str("tcp"),
            Self::TcpPort(port) => write!(formatter, "tcp/{port}"),
        }
    }
}

/// A value of the config that is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{text}` is refused: {why}")]
pub struct ConfigError {
    what: &'static str,
    text: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_read_as_they_are_written() {
        for text in ["http", "tcp", "tcp/22"] {
            assert_eq!(text.parse::<HealthCheck>().unwrap().to_string(), text);
        }
        for text in ["", "tcp/", "tcp/0", "tcp/70000", "tcp/+1", "udp", "http/80"] {
            assert!(text.parse::<HealthCheck>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_ocids_of_load_balancers_are_taken() {
        let id: LoadBalancerId = "ocid1.loadbalancer.oc19.eu-madrid-2.example".parse().unwrap();
        assert_eq!((id.realm(), id.region()), ("oc19", "eu-madrid-2"));
        for text in [
            "",
            "front",
            "ocid1.instance.oc1.iad.x",
            "ocid1.loadbalancer.oc1",
            "ocid1.loadbalancer.oc1.iad.x/y",
            "ocid1.networkloadbalancer.oc1.iad.x",
        ] {
            assert!(text.parse::<LoadBalancerId>().is_err(), "{text}");
        }
    }
}
