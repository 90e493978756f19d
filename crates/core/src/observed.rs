//! What load balancers and probes say about the world, in terms that every load balancer shares.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::chain::{LeafFacts, Sha256};
use crate::error::{Error, ErrorKind};
use crate::identifier::Identifier;
use crate::key::KeyFamily;
use crate::name::{BundleName, CertificateName, DnsName, ListenerName, LoadBalancerName};

/// All that was observed for one plan.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Per load balancer what it says, or why it could not be read.
    pub load_balancers: BTreeMap<LoadBalancerName, Result<Observation, Error>>,
    /// Per certificate what its listeners serve: where one serves several, each is asked for by its kind of key.
    pub served: BTreeMap<CertificateName, ServedByListener>,
}

/// What the addresses of listeners serve. A listener that was not probed is not in here.
pub type ServedByListener = BTreeMap<(LoadBalancerName, ListenerName), Vec<Served>>;

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
    /// Its own addresses, where all its listeners have them, also those that are still to be made (OCI).
    pub addresses: Vec<IpAddr>,
    /// Addresses outside that are translated to those of a listener (Avi: floating IPs).
    pub floating: BTreeMap<ListenerName, Vec<IpAddr>>,
}

impl Observation {
    /// Every address at which clients may reach a listener, by increasing value.
    pub fn reached_at(&self, listener: &ListenerName) -> BTreeSet<IpAddr> {
        let own = self.listeners.get(listener).into_iter().flat_map(|listener| &listener.addresses);
        let floating = self.floating.get(listener).into_iter().flatten();
        own.map(SocketAddr::ip).chain(self.addresses.iter().copied()).chain(floating.copied()).collect()
    }

    /// Every place that refers to a bundle.
    pub fn references(&self) -> impl Iterator<Item = (Place, &BundleName)> {
        let listeners = self.listeners.iter().flat_map(|(name, listener)| {
            listener.bundles.iter().map(|bound| (Place::Listener(name.clone()), &bound.name))
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
    /// The bundles that it refers to.
    pub bundles: Vec<BoundBundle>,
    /// How many it may refer to, and which of them a client gets.
    pub holds: Holds,
    /// What keeps certferry from setting a certificate there, and only a person can change.
    pub unfit: Option<Unfit>,
    /// Which keys its cipher suite can serve.
    pub accepts: AcceptedKeys,
    /// Host names that it answers for; empty when it answers for all, and where no name is asked for.
    pub server_names: Vec<DnsName>,
    /// Where clients reach it.
    pub addresses: Vec<SocketAddr>,
}

impl ListenerObservation {
    /// Whether it refers to a bundle.
    pub fn refers_to(&self, bundle: &BundleName) -> bool {
        self.bundles.iter().any(|bound| bound.name == *bundle)
    }

    /// The bundle whose place one with such a key for such names takes; `None` when it comes beside the others.
    pub fn predecessor(&self, family: KeyFamily, names: &[Identifier]) -> Option<&BundleName> {
        let is_replaced = |bound: &&BoundBundle| match self.holds {
            Holds::One => true,
            Holds::OnePerKeyFamily => bound.family == Some(family),
            Holds::Many => bound.family == Some(family) && bound.is_covered_by(names),
        };
        self.bundles.iter().find(is_replaced).map(|bound| &bound.name)
    }

    /// The kind of key that a handshake must ask for to see one certificate out of several; `None` where there is one.
    pub fn asks_for(&self, family: KeyFamily) -> Option<KeyFamily> {
        (self.holds != Holds::One).then_some(family)
    }
}

/// A bundle that a listener refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundBundle {
    /// Its name.
    pub name: BundleName,
    /// The kind of its key, where several are told apart by it.
    pub family: Option<KeyFamily>,
    /// The names that it is for, where several are told apart by them.
    pub names: Vec<Identifier>,
}

impl BoundBundle {
    /// The only one of its listener, of which nothing else matters.
    pub fn only(name: BundleName) -> Self {
        Self { name, family: None, names: Vec::new() }
    }

    fn is_covered_by(&self, names: &[Identifier]) -> bool {
        !self.names.is_empty() && self.names.iter().all(|name| names.iter().any(|other| other.covers(name)))
    }
}

/// How many bundles a listener may refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holds {
    /// Many, chosen by the name that the client asks for (Avi: the parent of enhanced virtual hosting).
    Many,
    /// One.
    #[default]
    One,
    /// One with an RSA and one with an ECDSA key, chosen by what the client can (Avi: a virtual service).
    OnePerKeyFamily,
}

/// Why no certificate is set on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What is so, as a sentence about it: `it is disabled`.
    pub what: String,
    /// What to change.
    pub fix: String,
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

impl Obstacle {
    /// The failure of an order whose challenges would come this way.
    pub fn to_error(&self, load_balancer: &LoadBalancerName) -> Error {
        let subject = format!("{} of load balancer `{load_balancer}`", self.object);
        Error::new(ErrorKind::Invalid, "http-01", subject).said(self.what.clone()).with_hint(self.fix.clone())
    }
}

/// What one address answered to a TLS handshake with one name.
#[derive(Clone, Debug)]
pub struct Served {
    /// The address.
    pub address: SocketAddr,
    /// What was asked for: a DNS name as SNI; for an IP address none is sent.
    pub server_name: Identifier,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_at_its_own_addresses_and_at_those_that_lead_there() {
        let listener = |address: &str| ListenerObservation {
            tls: true,
            bundles: Vec::new(),
            holds: Holds::One,
            unfit: None,
            accepts: AcceptedKeys { ecdsa: true, rsa: true, suite: String::new() },
            server_names: Vec::new(),
            addresses: vec![address.parse().unwrap()],
        };
        let (one, other): (ListenerName, ListenerName) = ("one".parse().unwrap(), "other".parse().unwrap());
        let mut seen = Observation::default();
        seen.listeners.insert(one.clone(), listener("10.0.0.1:443"));
        seen.floating.insert(one.clone(), vec!["203.0.113.1".parse().unwrap()]);
        let reached_at = |seen: &Observation, name| -> Vec<String> {
            seen.reached_at(name).iter().map(ToString::to_string).collect()
        };
        assert_eq!(reached_at(&seen, &one), ["10.0.0.1", "203.0.113.1"]);
        assert!(reached_at(&seen, &other).is_empty());
        seen.addresses.push("203.0.113.9".parse().unwrap());
        assert_eq!(reached_at(&seen, &other), ["203.0.113.9"], "one that is still to be made");
    }
}
