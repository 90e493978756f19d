//! OCI Load Balancer: certificate bundles (`certificateName`) on listeners and backend sets, by the service's own API
//! (<https://docs.oracle.com/iaas/api/#/en/loadbalancer/20170115/>).
//!
//! Reading is one GetLoadBalancer. Every change is a pure function of what was read (`change`), sent with If-Match so
//! that another writer's change is never undone, and waited for (`mutation`). UpdateListener and UpdateBackendSet
//! replace the whole object, so the whole object is sent back, fields unknown to certferry included.

mod auth;
mod bind;
mod bundle;
mod change;
mod cipher_suite;
mod client;
mod config;
mod hint;
mod http01;
mod inventory;
mod model;
mod mutation;
mod observe;
mod policy;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod region;
mod retry;
mod session;
mod signature;
mod work_request;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use certferry_core::inventory::Inventory;
use certferry_core::observed::{Http01Change, Observation, Place};
use certferry_core::port::{Bundle, Capabilities, Http01Challenge, LoadBalancer, Replacement};
use certferry_core::{BundleName, Clock, DnsName, Error, ErrorKind, ListenerName, LoadBalancerName};

pub use auth::{ApiKeyFile, Auth, CustomRegions, InstancePrincipal, Principals, ResourcePrincipal, SessionTokenFile};
use client::Api;
pub use config::{ConfigError, HealthCheck, Http01Config, Limits, LoadBalancerId, NewListener, OciConfig};
pub(crate) use hint::Caller;
use mutation::Detail;
pub use policy::{PolicyScope, dynamic_group, policy};
pub(crate) use session::{Access, Call, Session, Target};

/// One OCI load balancer.
pub struct OciLoadBalancer {
    api: Api,
    http01: Option<Http01Config>,
    create: BTreeMap<ListenerName, NewListener>,
}

impl OciLoadBalancer {
    /// Reads the credential that the config names, as far as it lies on this machine; makes no call. `clock` dates the
    /// requests, whose signatures are good for five minutes, and tells when a token ends.
    ///
    /// # Errors
    /// Config file or key file that cannot be read, used or kept private; a region or realm that is not known; an
    /// environment that describes no resource principal.
    pub fn new(name: LoadBalancerName, config: OciConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::sharing(name, config, clock, &Principals::default())
    }

    /// The same, with the instance's token shared by all load balancers that are given the same `principals`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sharing(
        name: LoadBalancerName,
        config: OciConfig,
        clock: Arc<dyn Clock>,
        principals: &Principals,
    ) -> Result<Self, Error> {
        let api = Api::new(name, &config, clock, principals)?;
        Ok(Self { api, http01: config.http01, create: config.create })
    }

    fn refused(&self, operation: &str, object: &str, said: &str) -> Error {
        Error::new(ErrorKind::Invalid, operation, self.api.subject(object)).said(said)
    }
}

#[async_trait]
impl LoadBalancer for OciLoadBalancer {
    fn name(&self) -> &LoadBalancerName {
        self.api.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            replacement: Replacement::SideBySide,
            needs_common_name: false,
            creates_listeners: true,
            answers_challenges: false,
        }
    }

    async fn observe(&self) -> Result<Observation, Error> {
        let snapshot = self.api.load_balancer(Detail::Ciphers(None)).await?;
        Ok(observe::observation(&snapshot.json, self.http01.as_ref()))
    }

    async fn upload(&self, bundle: &Bundle) -> Result<(), Error> {
        let decide = |json: &_| bundle::upload(json, bundle);
        self.api.mutate("CreateCertificate", Detail::Plain, decide).await
    }

    async fn bind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error> {
        let decide = |json: &_| bind::bind(json, place, bundle.as_str());
        self.api.mutate(bind::operation(place), Detail::Ciphers(None), decide).await
    }

    async fn unbind(&self, place: &Place, _bundle: &BundleName) -> Result<(), Error> {
        let said = "what terminates TLS refers to exactly one bundle";
        Err(self.refused(bind::operation(place), &place.to_string(), said).with_hint("bind another bundle instead"))
    }

    async fn create_listener(&self, listener: &ListenerName, bundle: &BundleName) -> Result<(), Error> {
        let Some(new) = self.create.get(listener) else {
            return Err(self
                .refused("CreateListener", &format!("listener `{listener}`"), "the config does not describe it")
                .with_hint("add `create: { port: 443, backend-set: … }` to the deploy entry"));
        };
        let decide = |json: &_| bind::create_listener(json, listener.as_str(), new, bundle.as_str());
        self.api.mutate("CreateListener", Detail::Ciphers(new.cipher_suite.as_deref()), decide).await
    }

    async fn delete(&self, bundle: &BundleName) -> Result<(), Error> {
        let decide = |json: &_| bundle::delete(json, bundle.as_str());
        self.api.mutate("DeleteCertificate", Detail::Plain, decide).await
    }

    async fn prepare_http01(&self, change: &Http01Change) -> Result<(), Error> {
        let Some(config) = &self.http01 else {
            return Err(self
                .refused("preparing http-01", &change.object, "the config has no http01 for this load balancer")
                .with_hint("add `http01:` to the load balancer in the config"));
        };
        let decide = |json: &_| http01::change(json, config, &change.object);
        self.api.mutate("preparing http-01", Detail::Plain, decide).await
    }

    /// Nothing to do: the load balancer only routes to the responder, which answers for every open challenge.
    async fn present(&self, _name: &DnsName, _challenge: &Http01Challenge) -> Result<Vec<SocketAddr>, Error> {
        Ok(Vec::new())
    }

    /// Nothing to do, as for [`present`](LoadBalancer::present).
    async fn withdraw(&self, _token: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn inventory(&self) -> Result<Inventory, Error> {
        let snapshot = self.api.load_balancer(Detail::Ciphers(None)).await?;
        Ok(inventory::inventory(&snapshot.json))
    }
}
