//! A load balancer, as the engine needs it: described by data, and by few operations that each can be done twice. Sequence,
//! retry, verification, rollback and clean-up live in the engine.

use async_trait::async_trait;

use crate::chain::Chain;
use crate::error::Error;
use crate::name::{BundleName, ListenerName, LoadBalancerName};
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

    /// Puts a challenge response where the CA will fetch it, where that is on the load balancer itself.
    ///
    /// # Errors
    /// Refused.
    async fn present(&self, challenge: &Http01Challenge) -> Result<(), Error>;

    /// Takes a challenge response away. Gone already is success.
    ///
    /// # Errors
    /// Refused.
    async fn withdraw(&self, token: &str) -> Result<(), Error>;
}

/// What a kind of load balancer can do; the plan and the contract suite choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How a new version takes the place of an old one.
    pub replacement: Replacement,
    /// Whether it refuses certificates without a common name.
    pub needs_common_name: bool,
}

/// How a new version takes the place of an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// One object whose content changes; references stay as they are.
    InPlace,
    /// A new object beside the old one; references are moved.
    SideBySide,
}

/// A version on its way to a load balancer.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its name there.
    pub name: BundleName,
    /// The chain.
    pub chain: Chain,
    /// The private key, PKCS#8 PEM.
    pub private_key: Secret<String>,
}
