//! What load balancers and probes say about the world, in terms that every load balancer shares.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use crate::chain::{LeafFacts, Sha256};
use crate::error::Error;
use crate::key::KeyFamily;
use crate::name::{BundleName, DnsName, ListenerName, LoadBalancerName};

/// All that was observed for one plan.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Per load balancer what it says, or why it could not be read.
    pub load_balancers: BTreeMap<LoadBalancerName, Result<Observation, Error>>,
    /// Per listener what its addresses serve. A listener that was not probed is not in here.
    pub served: BTreeMap<(LoadBalancerName, ListenerName), Vec<Served>>,
}

/// One reading of one load balancer.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Its listeners.
    pub listeners: BTreeMap<ListenerName, ListenerObservation>,
    /// Other places that refer to bundles (OCI: backend sets), with the bundle.
    pub backend_sets: BTreeMap<String, BundleName>,
    /// The bundles on it, whoever made them, with the leaf's digest where it can be read.
    pub bundles: BTreeMap<BundleName, Option<Sha256>>,
    /// The path of http-01 requests through it, where the config names one.
    pub http01: Option<Http01Observation>,
}

impl Observation {
    /// Every place that refers to a bundle.
    pub fn references(&self) -> impl Iterator<Item = (Place, &BundleName)> {
        let listeners = self.listeners.iter().filter_map(|(name, listener)| {
            listener.bundle.as_ref().map(|bundle| (Place::Listener(name.clone()), bundle))
        });
        let backend_sets = self.backend_sets.iter().map(|(name, bundle)| (Place::BackendSet(name.clone()), bundle));
        listeners.chain(backend_sets)
    }
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerObservation {
    /// Whether it terminates TLS at all.
    pub tls: bool,
    /// The bundle that it serves.
    pub bundle: Option<BundleName>,
    /// A certificate held in another way (OCI: the Certificates service), which certferry does not replace.
    pub held_elsewhere: Option<String>,
    /// Which keys its cipher suite can serve.
    pub accepts: AcceptedKeys,
    /// Host names that it answers for; empty when it answers for all.
    pub server_names: Vec<DnsName>,
    /// Where clients reach it.
    pub addresses: Vec<SocketAddr>,
}

/// Which key families a listener's cipher suite can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedKeys {
    /// ECDSA keys.
    pub ecdsa: bool,
    /// RSA keys.
    pub rsa: bool,
    /// The suite's name, for messages.
    pub suite: String,
}

impl AcceptedKeys {
    /// Whether a certificate with such a key can be served.
    pub fn accepts(&self, family: KeyFamily) -> bool {
        match family {
            KeyFamily::Ecdsa => self.ecdsa,
            KeyFamily::Rsa => self.rsa,
        }
    }
}

/// A place on a load balancer that refers to a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A backend set (OCI: towards the backends).
    BackendSet(String),
    /// A listener.
    Listener(ListenerName),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BackendSet(name) => write!(formatter, "backend set `{name}`"),
            Self::Listener(name) => write!(formatter, "listener `{name}`"),
        }
    }
}

/// The path of http-01 requests as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http01Observation {
    /// What is missing, in the order in which it has to be made; empty when the path is complete.
    pub changes: Vec<Http01Change>,
    /// What no change of ours can repair.
    pub obstacle: Option<Obstacle>,
    /// Where to fetch a challenge response as the CA would: the load balancer's addresses, port 80.
    pub probe: Vec<SocketAddr>,
}

/// One thing to make or change so that http-01 requests reach the responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http01Change {
    /// The object, for people: ``backend set `certferry-acme` ``.
    pub object: String,
    /// What is done to it and why: `created, with health check TCP on port 22`.
    pub why: String,
}

/// Something in the way that a person has to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The object in the way, for people.
    pub object: String,
    /// What it does.
    pub what: String,
    /// What to change.
    pub fix: String,
}

/// What one address answered to a TLS handshake with one name.
#[derive(Clone, Debug)]
pub struct Served {
    /// The address.
    pub address: SocketAddr,
    /// The server name sent (SNI).
    pub server_name: DnsName,
    /// The leaf and the digests of the whole chain, or why the handshake failed.
    pub answer: Result<ServedChain, String>,
}

/// The chain that a handshake returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedChain {
    /// The leaf.
    pub leaf: LeafFacts,
    /// SHA-256 of each certificate, leaf first.
    pub digests: Vec<Sha256>,
}
