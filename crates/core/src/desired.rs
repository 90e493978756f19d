//! What the config wants, resolved: every name parsed, every default filled in, every reference good.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::chain::Sha256;
use crate::identifier::Identifier;
use crate::key::KeyType;
use crate::name::{CertificateName, DnsName, DnsProviderName, IssuerName, ListenerName, LoadBalancerName};

/// All that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The certificates, in the order of the config.
    pub certificates: Vec<CertificateSpec>,
    /// The load balancers that they use.
    pub load_balancers: BTreeMap<LoadBalancerName, LoadBalancerSpec>,
    /// The DNS providers that they use.
    pub dns: BTreeMap<DnsProviderName, DnsSpec>,
    /// The days before its end at which a certificate is warned of; `None` leaves it to the load balancers.
    pub warning_days: Option<Vec<u16>>,
}

/// What the engine must know of a load balancer before it talks to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBalancerSpec {
    /// How long a bound bundle may take until every address serves it; after that the old one is put back.
    pub verify_within: Duration,
    /// How long a challenge response may take until it comes back through the load balancer.
    pub self_check_within: Duration,
}

impl Default for LoadBalancerSpec {
    fn default() -> Self {
        Self { verify_within: Duration::from_secs(120), self_check_within: Duration::from_secs(120) }
    }
}

/// What the engine must know of a DNS provider before it talks to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSpec {
    /// How long a value may take until every authoritative server of the zone gives it.
    pub propagate_within: Duration,
    /// The servers that must give it, instead of those that the zone's NS records name.
    pub servers: Vec<SocketAddr>,
}

impl Default for DnsSpec {
    fn default() -> Self {
        Self { propagate_within: Duration::from_secs(120), servers: Vec::new() }
    }
}

/// One certificate.
#[derive(Clone, Debug)]
pub struct CertificateSpec {
    /// Its stable name.
    pub name: CertificateName,
    /// What a version of it must be.
    pub version: VersionSpec,
    /// Who orders its versions.
    pub renewed_by: RenewedBy,
    /// The load balancers through which the CA's http-01 requests reach the responder.
    pub http01: Vec<LoadBalancerName>,
    /// The DNS provider that holds the dns-01 responses, where the names are validated by dns-01 instead.
    pub dns01: Option<DnsProviderName>,
    /// Where it is to be served.
    pub deploy: Vec<DeploySpec>,
}

/// Who orders a certificate's versions, the first one and each renewal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenewedBy {
    /// certbot, which hands every version over. No order is ever made here.
    Certbot,
    /// certferry.
    #[default]
    Certferry,
}

/// What a version is ordered with. A version that differs in any of it is replaced, due or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSpec {
    /// Names, sorted, without duplicates.
    pub names: Vec<Identifier>,
    /// Key type.
    pub key: KeyType,
    /// Who makes the private key and holds it.
    pub key_holder: KeyHolder,
    /// Issuer.
    pub issuer: IssuerName,
    /// The URL of the issuer's directory (RFC 8555 §7.1.1): tomorrow, another CA may be meant by the same name. Empty where it
    /// is not known, as with what certbot orders.
    pub directory: String,
    /// Profile, where the issuer's default is not wanted.
    pub profile: Option<String>,
}

impl VersionSpec {
    /// The longest common name that there can be (RFC 5280 appendix A.1, ub-common-name).
    pub const LONGEST_COMMON_NAME: usize = 64;

    /// A digest of all of it, the same in every run.
    pub fn digest(&self) -> Sha256 {
        let holder = match &self.key_holder {
            KeyHolder::LoadBalancer(holder) => holder.as_str(),
            KeyHolder::Store => "",
        };
        let names = self.names.iter().map(Identifier::to_string);
        let more = [self.key.as_str(), holder, self.issuer.as_str(), &self.directory].map(str::to_owned);
        let lines: Vec<String> = names.chain(more).chain(self.profile.clone()).collect();
        Sha256::of(lines.join("\n").as_bytes())
    }

    /// The name that a version asks for as its common name, where it asks for one: the first DNS name that is short enough,
    /// so that it stays the same as long as the names do.
    pub fn common_name(&self) -> Option<&DnsName> {
        self.names.iter().filter_map(Identifier::dns).find(|name| name.as_str().len() <= Self::LONGEST_COMMON_NAME)
    }
}

/// Who makes a private key and holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyHolder {
    /// certferry, sealed in its store.
    #[default]
    Store,
    /// A load balancer, which never gives it away.
    LoadBalancer(LoadBalancerName),
}

/// One place where a certificate is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploySpec {
    /// The load balancer.
    pub load_balancer: LoadBalancerName,
    /// The listener on it.
    pub listener: ListenerName,
    /// Addresses to connect to for verification, instead of the listener's own.
    pub probe: Vec<SocketAddr>,
    /// Whether to create the listener when it is not there. (With which port and fields, its provider knows.)
    pub create: bool,
}
