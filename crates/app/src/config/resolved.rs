//! The config as the program uses it: names parsed, defaults filled in, references good, secrets read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use certferry_core::desired::{Desired, DnsSpec};
use certferry_core::{DnsName, DnsProviderName, IssuerName, LoadBalancerName, Secret};
use certferry_providers::acme::IssuerConfig;
use certferry_providers::dns::acme_dns::AcmeDnsConfig;
use certferry_providers::dns::exec::ExecConfig;
use certferry_providers::dns::oci::OciDnsConfig;
use certferry_providers::dns::rfc2136::Rfc2136Config;
use certferry_providers::load_balancer::avi::AviConfig;
use certferry_providers::load_balancer::oci::OciConfig;
use url::Url;

use super::diagnostic::Findings;

/// The whole config.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it comes from.
    pub path: PathBuf,
    /// Where to remember things.
    pub state: State,
    /// Where the responder listens.
    pub responder: SocketAddr,
    /// The issuers, used or not.
    pub issuers: BTreeMap<IssuerName, IssuerConfig>,
    /// The load balancers, used or not.
    pub load_balancers: BTreeMap<LoadBalancerName, LoadBalancer>,
    /// The DNS providers, used or not.
    pub dns: BTreeMap<DnsProviderName, Dns>,
    /// The recursive name servers; the system's when empty.
    pub resolvers: Vec<SocketAddr>,
    /// The daemon's API, where there is one.
    pub api: Option<Api>,
    /// What the engine makes true.
    pub desired: Desired,
    /// What is odd, but not wrong.
    pub warnings: Findings,
}

impl Config {
    /// The load balancers that a certificate uses or that have a control script; the others are not contacted, and their
    /// keys not read.
    pub fn used_load_balancers(&self) -> impl Iterator<Item = (&LoadBalancerName, &LoadBalancer)> {
        let used = |name: &LoadBalancerName| {
            self.desired.certificates.iter().any(|spec| {
                spec.http01.contains(name) || spec.deploy.iter().any(|deploy| deploy.load_balancer == *name)
            })
        };
        self.load_balancers.iter().filter(move |(name, one)| one.control_script.is_some() || used(name))
    }
}

/// Where certferry remembers things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The SQLite file, absolute.
    pub database: PathBuf,
    /// The file with the key that seals private keys, absolute. It may not be there yet.
    pub key_file: PathBuf,
}

/// One load balancer.
#[derive(Clone, Debug)]
pub struct LoadBalancer {
    /// What kind it is, and how to reach it.
    pub provider: Provider,
    /// What its control script may ask for, where it has one.
    pub control_script: Option<ControlScript>,
    /// How long a bound certificate may take until every address serves it.
    pub verify_within: Duration,
    /// How long a challenge response may take until it comes back through the load balancer.
    pub self_check_within: Duration,
}

/// The kinds of load balancers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Provider {
    /// A tenant of an Avi controller.
    Avi(Box<AviConfig>),
    /// OCI Load Balancer.
    Oci(Box<OciConfig>),
}

/// One DNS provider.
#[derive(Clone, Debug)]
pub struct Dns {
    /// What kind it is, and how to reach it.
    pub provider: DnsProvider,
    /// What the engine must know of it.
    pub spec: DnsSpec,
}

/// The kinds of DNS providers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DnsProvider {
    /// An acme-dns server.
    AcmeDns(AcmeDnsConfig),
    /// A program of the user's.
    Exec(ExecConfig),
    /// OCI DNS.
    Oci(Box<OciDnsConfig>),
    /// A primary server that takes dynamic updates.
    Rfc2136(Rfc2136Config),
}

impl DnsProvider {
    /// Whether it writes address records too.
    pub fn writes_addresses(&self) -> bool {
        match self {
            Self::AcmeDns(_) | Self::Exec(_) => false,
            Self::Oci(_) | Self::Rfc2136(_) => true,
        }
    }
}

/// The daemon's API.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its URL as controllers see it; https, without a path.
    pub url: Url,
    /// The file with its certificate chain (PEM), absolute.
    pub certificate: PathBuf,
    /// The file with its private key (PEM), absolute.
    pub key: PathBuf,
    /// Whether both are made when they are not there.
    pub self_made: bool,
}

/// What a control script may ask for.
#[derive(Clone, Debug)]
pub struct ControlScript {
    /// The token that it shows.
    pub token: Secret<String>,
    /// Where the token comes from, as the config writes it, for people.
    pub token_reference: String,
    /// From whom certificates are ordered.
    pub issuer: IssuerName,
    /// With which profile.
    pub profile: Option<String>,
    /// For which names; all when empty.
    pub names: Vec<DnsName>,
}

impl Provider {
    /// Whether http-01 requests reach the responder through it.
    pub fn carries_http01(&self) -> bool {
        match self {
            Self::Avi(avi) => avi.http01.is_some(),
            Self::Oci(oci) => oci.http01.is_some(),
        }
    }
}
