//! A load balancer, as the engine needs it: described by data, and by few operations that each can be done twice. Sequence,
//! retry, verification, rollback and clean-up live in the engine.

use std::net::SocketAddr;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::chain::Chain;
use crate::error::{Error, ErrorKind};
use crate::identifier::Identifier;
use crate::inventory::Inventory;
use crate::key::KeyType;
use crate::name::{BundleName, DnsName, ListenerName, LoadBalancerName};
use crate::observed::{Http01Change, Observation, Place};
use crate::port::Http01Challenge;
use crate::secret::Secret;

/// One load balancer. Mutations of one load balancer are made one at a time by the engine; other writers are the
/// implementation's to detect (If-Match), and it loses nothing of theirs.
#[async_trait]
pub trait LoadBalancer: Send + Sync {
    /// Its name in the config.
    fn name(&self) -> &LoadBalancerName;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Reads all of it that matters.
    ///
    /// # Errors
    /// Not reachable, not allowed, not there.
    async fn observe(&self) -> Result<Observation, Error>;

    /// Puts a bundle there. A bundle of that name and content that is there already is success.
    ///
    /// # Errors
    /// Refused, or another certificate has that name.
    async fn upload(&self, bundle: &Bundle) -> Result<(), Error>;

    /// Makes `place` refer to the bundle and leaves every other field as it is. Done already is success.
    ///
    /// # Errors
    /// Refused, or the place is not there.
    async fn bind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error>;

    /// Takes the reference to the bundle away from `place` and leaves every other field as it is; where a listener may
    /// refer to several. Done already is success.
    ///
    /// # Errors
    /// Refused, or the place is not there.
    async fn unbind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error>;

    /// Creates the listener that the config describes, serving the bundle. There already is success.
    ///
    /// # Errors
    /// Refused, or the config does not describe it.
    async fn create_listener(&self, listener: &ListenerName, bundle: &BundleName) -> Result<(), Error>;

    /// Removes a bundle. Gone already is success.
    ///
    /// # Errors
    /// Refused; [`Conflict`](crate::ErrorKind::Conflict) when something refers to it.
    async fn delete(&self, bundle: &BundleName) -> Result<(), Error>;

    /// Makes one of the changes that [`Observation::http01`] listed. Done already is success.
    ///
    /// # Errors
    /// Refused.
    async fn prepare_http01(&self, change: &Http01Change) -> Result<(), Error>;

    /// Puts the challenge response for `name` where the CA will fetch it, where that is on the load balancer itself. Gives
    /// the addresses at which it is then found; none when they are those of [`Http01Observation::probe`].
    ///
    /// [`Http01Observation::probe`]: crate::observed::Http01Observation::probe
    ///
    /// # Errors
    /// Refused.
    async fn present(&self, name: &Identifier, challenge: &Http01Challenge) -> Result<Vec<SocketAddr>, Error>;

    /// Takes a challenge response away. Gone already is success.
    ///
    /// # Errors
    /// Refused.
    async fn withdraw(&self, token: &str) -> Result<(), Error>;

    /// Whether every call that an order's challenges and the delivery after it take is allowed. Asked before anything is
    /// ordered; changes nothing.
    ///
    /// # Errors
    /// [`Denied`](crate::ErrorKind::Denied), naming each right that is missing.
    async fn check_rights(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The requests for challenges of `name` that the load balancer has logged since `since`, as lines for people. None
    /// where it keeps no such log.
    ///
    /// # Errors
    /// The log cannot be read.
    async fn challenge_requests(&self, name: &Identifier, since: Timestamp) -> Result<Vec<String>, Error> {
        let _ = (name, since);
        Ok(Vec::new())
    }

    /// A CSR (DER) for a key that the load balancer makes and never gives away, in the object `bundle`. The object is made
    /// when it is not there; one that is there already gives its CSR again.
    ///
    /// # Errors
    /// Refused, another object has that name, or [`NotOffered`](crate::ErrorKind::NotOffered).
    async fn key_request(&self, bundle: &BundleName, request: &KeyRequest) -> Result<Vec<u8>, Error> {
        let _ = request;
        let subject = format!("bundle `{bundle}` of load balancer `{}`", self.name());
        Err(Error::new(ErrorKind::NotOffered, "make key", subject).said("this kind of load balancer makes no keys"))
    }

    /// The days before a certificate's end at which the load balancer warns of it; `None` where it has no such setting.
    ///
    /// # Errors
    /// The setting cannot be read.
    async fn warning_days(&self) -> Result<Option<Vec<u16>>, Error> {
        Ok(None)
    }

    /// Reads every certificate on it, with what refers to each; changes nothing.
    ///
    /// # Errors
    /// As for [`observe`](LoadBalancer::observe), or [`NotOffered`](crate::ErrorKind::NotOffered).
    async fn inventory(&self) -> Result<Inventory, Error> {
        let subject = format!("load balancer `{}`", self.name());
        Err(Error::new(ErrorKind::NotOffered, "inventory", subject).said("this kind of load balancer has none"))
    }

    /// What keeps the bundles, where that is not the load balancer itself: two that give the same answer share their
    /// bundles. May be known only after [`observe`](LoadBalancer::observe).
    fn shared_keeper(&self) -> Option<String> {
        None
    }

    /// Whether [`observe`](LoadBalancer::observe) lists such a bundle whenever it is there. One of another keeper may be
    /// there unlisted.
    fn lists(&self, bundle: &BundleName) -> bool {
        let _ = bundle;
        true
    }

    /// Ends what is kept open between calls, a session say. A call after that opens it anew.
    async fn close(&self) {}
}

/// What a kind of load balancer can do; the plan and the contract suite choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How a new version takes the place of an old one.
    pub replacement: Replacement,
    /// Whether it refuses certificates without a common name.
    pub needs_common_name: bool,
    /// Whether it makes the listeners that the config describes.
    pub creates_listeners: bool,
    /// Whether it answers challenges by itself, so that no request reaches the responder through it.
    pub answers_challenges: bool,
}

/// How a new version takes the place of an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// One object whose content changes; references stay as they are.
    InPlace(InCommon),
    /// A new object beside the old one; references are moved.
    SideBySide,
}

impl Replacement {
    /// Whether the content of an object changes.
    pub fn is_in_place(self) -> bool {
        matches!(self, Self::InPlace(_))
    }
}

/// What all versions in one object must have in common. A version that differs in it gets an object of its own, to which
/// references are moved, as side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InCommon {
    /// Nothing: any version may follow any other.
    Nothing,
    /// The common name and the set of extended key usages.
    SubjectAndUsages,
}

/// A version on its way to a load balancer.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its name there.
    pub name: BundleName,
    /// The chain.
    pub chain: Chain,
    /// The private key, PKCS#8 PEM; `None` for one that the load balancer made and holds.
    pub private_key: Option<Secret<String>>,
}

/// What a key that a load balancer makes is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRequest {
    /// Its type.
    pub key: KeyType,
    /// The common name that the CSR asks for.
    pub common_name: DnsName,
    /// All names that it asks for.
    pub names: Vec<Identifier>,
}
