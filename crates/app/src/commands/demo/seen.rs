//! One load balancer as its own API shows it: what certferry manages, apart from all the rest.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use certferry_core::DnsName;
use serde_json::Value;

/// One look at one load balancer.
pub(super) struct Seen {
    /// Its name in the config.
    pub(super) load_balancer: &'static str,
    /// The name that leads to it.
    pub(super) server_name: DnsName,
    /// The listeners of the story.
    pub(super) listeners: Vec<SeenListener>,
    /// Bundles by name.
    pub(super) bundles: BTreeMap<String, Bundle>,
    /// Every other object, by what people call it, without the reference to a bundle.
    pub(super) others: BTreeMap<String, Value>,
    /// Objects that were there for a while and answered so many requests for challenges.
    pub(super) passing: BTreeMap<String, usize>,
}

impl Seen {
    pub(super) fn new(load_balancer: &'static str, server_name: DnsName) -> Self {
        Self {
            load_balancer,
            server_name,
            listeners: Vec::new(),
            bundles: BTreeMap::new(),
            others: BTreeMap::new(),
            passing: BTreeMap::new(),
        }
    }
}

/// A listener.
pub(super) struct SeenListener {
    pub(super) name: &'static str,
    /// Where it really listens.
    pub(super) address: SocketAddr,
    /// The bundle that it refers to.
    pub(super) bundle: String,
    /// Its name among [`Seen::others`].
    pub(super) object: String,
}

/// A bundle.
#[derive(PartialEq, Eq)]
pub(super) struct Bundle {
    /// What tells an object from another one that takes its name later.
    pub(super) id: String,
    /// The certificate in it.
    pub(super) certificate: String,
    pub(super) kind: BundleKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BundleKind {
    /// The certificate of a CA, to which the chains of others lead.
    Issuer,
    /// A certificate with its key.
    WithKey,
}
